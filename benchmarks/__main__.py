"""`make bench`: one class, all ways, one run.

(a) `course grade`, warm; (b) stock nbgrader with the same properties in its kernels; (c) the floor of one verdict, for each of
five assignments. Prints a table and writes `latest.json` and `latest.svg` beside this file. All of it on this machine, one
after the other, so that the figures can be set against each other; they say nothing about another machine.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import nbformat
import typer
from nbformat.v4 import new_code_cell
from rich.console import Console
from rich.table import Table

from autograder.classroom import grade_class
from autograder.course import Assignment, Course
from autograder.demo.class_list import CLASS, build_class
from autograder.demo.road import build_course
from autograder.engines.job import Job
from autograder.grade import Grader
from autograder.gradebook.intake import receive
from autograder.reference import reference_sources
from autograder.release import release
from autograder.submission import Submission, read_submission, submission_of
from benchmarks import stock
from benchmarks.floor import floor_seconds

HERE = Path(__file__).parent
FIVE = ("vae", "gan", "transformers", "diffusion", "rl")
AIMS = {
    **{f"{slug}_over_floor": "at most 1.25" for slug in FIVE},
    "nbgrader_over_class": "at least 10",
    "two_workers_over_one": "at least 1.8",
    "recording_share": "at most 0.1",
}
KINDS = (("verdicts", "verdict", "#3b6ea5"), ("floors", "floor", "#9aa5b1"))  # of bars, from below
console = Console(stderr=True)


def again(content: Callable[[Assignment], bytes]) -> Callable[[Assignment], bytes]:
    """The same notebook with one more cell, so that it is no submission which already has a verdict."""

    def more(assignment: Assignment) -> bytes:
        notebook = nbformat.reads(content(assignment).decode(), as_version=4)
        notebook.cells.append(new_code_cell("handed_in = 2"))
        return nbformat.writes(notebook).encode()

    return more


def timed(action: Callable[[], object]) -> float:
    """Wall seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def verdict_seconds(assignment: Assignment, runs: int, workers: int | None = None) -> list[float]:
    """Warm verdicts on the reference, one at a time: wall seconds of each, as its engine sees them."""
    reference = submission_of(reference_sources(assignment))
    with Grader(assignment, workers=workers, force=True) as grader:
        list(grader.engine.verdicts([Job(reference)]))
        return [timed(lambda: list(grader.engine.verdicts([Job(reference)]))) for _ in range(runs)]


def throughput(assignment: Assignment, submissions: list[Submission], workers: int) -> float:
    """Submissions a second, warm: how known mistakes behave on these inputs has been found out, too."""
    with Grader(assignment, workers=workers, force=True) as grader:
        list(grader.engine.verdicts(map(Job, submissions)))
        return len(submissions) / timed(lambda: list(grader.engine.verdicts(map(Job, submissions))))


def grading_seconds(assignment: Assignment, submissions: list[Submission]) -> float:
    """A class graded as `course grade --force` does it, start of the warm processes included, but not recorded."""

    def grade() -> None:
        with Grader(assignment, force=True) as grader:
            list(grader.verdicts(submissions))

    return timed(grade)


def measure(runs: int, repeats: int) -> dict[str, Any]:
    """All figures.

    Args:
        runs: verdicts and floors to take the median of.
        repeats: classes graded each way, to take the median of.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch) / "course"
        course = build_course(Course.find(HERE), folder)
        assignment = course.assignment("vae")
        console.print("building the class …")
        # Left out are those that hang, exit or attack, and files that are no notebooks: stock nbgrader does not survive
        # them, and waiting is no work. The others hand in twice, under two names, with a cell to tell them apart.
        well_behaved = tuple(s for s in CLASS if not s.misbehaves and s.suffix == ".ipynb" and "broken" not in s.name)
        students = well_behaved + tuple(
            replace(s, name=f"{s.name}-again", content=again(s.content)) for s in well_behaved
        )
        files = build_class(assignment, Path(scratch) / "handed-in", students)
        release(course, ["vae"])
        for name, path in files.items():
            receive(assignment, name, path.parent, received=None, origin="the benchmark")
        submissions = [read_submission(path, assignment) for path in files.values()]

        floors, verdicts = {}, {}
        for slug in FIVE:
            console.print(f"(c) {slug}: the floor, and warm verdicts …")
            floors[slug] = floor_seconds(course.assignment(slug), runs)
            verdicts[slug] = verdict_seconds(course.assignment(slug), runs)
        alone = verdict_seconds(assignment, runs, workers=1)
        console.print("a class that nobody has graded yet …")
        cold = timed(lambda: grade_class(assignment, list(files), force=True))
        console.print("one worker, two workers …")
        one = throughput(assignment, submissions, 1)
        two = throughput(assignment, submissions, 2)
        console.print("(a) course grade …")
        ours = [timed(lambda: grade_class(assignment, list(files), force=True)) for _ in range(repeats)]
        without = [grading_seconds(assignment, submissions) for _ in range(repeats)]
        console.print("(b) stock nbgrader …")
        theirs_folder = Path(scratch) / "stock"
        stock.make_course(theirs_folder, assignment, files)
        theirs = [stock.class_seconds(theirs_folder, assignment) for _ in range(repeats)]
        graded = stock.graded(theirs_folder, assignment)
    return {
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
        },
        "class_size": len(students),
        "stock_graded": graded,
        **{f"{slug}_floor_seconds": statistics.median(floors[slug]) for slug in FIVE},
        **{f"{slug}_verdict_seconds": statistics.median(verdicts[slug]) for slug in FIVE},
        **{f"{slug}_over_floor": statistics.median(verdicts[slug]) / statistics.median(floors[slug]) for slug in FIVE},
        "vae_one_worker_over_floor": statistics.median(alone) / statistics.median(floors["vae"]),
        "first_class_seconds": cold,
        "class_seconds": statistics.median(ours),
        "recording_share": 1 - statistics.median(without) / statistics.median(ours),
        "nbgrader_class_seconds": statistics.median(theirs),
        "nbgrader_over_class": statistics.median(theirs) / statistics.median(ours),
        "submissions_per_second_one_worker": one,
        "submissions_per_second_two_workers": two,
        "two_workers_over_one": two / one,
        "spread": {
            "floors": floors,
            "verdicts": verdicts,
            "one_worker": alone,
            "class": ours,
            "class_without_recording": without,
            "nbgrader_class": theirs,
        },
    }


def show(figures: dict[str, Any]) -> Table:
    """The figures as a table."""
    table = Table("figure", "value", "aim")
    for key, value in figures.items():
        if isinstance(value, float | int):
            table.add_row(key, f"{value:.3g}", AIMS.get(key, ""))
    return table


def plot(figures: dict[str, Any], path: Path) -> None:
    """Two bar charts: verdicts against their floors, a class against stock nbgrader."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    spread = figures["spread"]
    bars = [(f"{slug}: {what}", spread[kind][slug], colour) for slug in reversed(FIVE) for kind, what, colour in KINDS]
    classes = [
        ("course grade", spread["class"], "#3b6ea5"),
        ("stock nbgrader", spread["nbgrader_class"], "#9aa5b1"),
    ]
    titles = ("One verdict, seconds", f"A class of {figures['class_size']}, seconds")
    picture, axes = plt.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    for axis, title, rows in zip(axes, titles, (bars, classes), strict=True):
        for row, (_, values, colour) in enumerate(rows):
            median = statistics.median(values)
            axis.barh(row, median, color=colour, height=0.7)
            axis.plot(values, [row] * len(values), "k|", markersize=8)
            axis.annotate(f"{median:.2f}", (max(values), row), xytext=(6, 0), textcoords="offset points", va="center")
        axis.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axis.set_title(title, loc="left")
        axis.set_xlim(0, max(max(values) for _, values, _ in rows) * 1.25)
        axis.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, metadata={"Date": None})


def main(
    runs: Annotated[int, typer.Option(help="Verdicts to take the median of.")] = 7,
    repeats: Annotated[int, typer.Option(help="Classes to take the median of.")] = 3,
) -> None:
    """Measure, print, write."""
    figures = measure(runs, repeats)
    (HERE / "latest.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    plot(figures, HERE / "latest.svg")
    Console().print(show(figures))


if __name__ == "__main__":
    typer.run(main)
