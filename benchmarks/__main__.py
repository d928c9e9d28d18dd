"""`make bench`: one class, all ways, one run.

(a) `course grade`, warm; (b) stock nbgrader with the same properties in its kernels; (c) the floor of one verdict. Prints a
table and writes `latest.json` and `latest.svg` beside this file. All of it on this machine, one after the other, so that the
figures can be set against each other; they say nothing about another machine.
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
from autograder.release import release
from autograder.submission import Submission, read_submission
from benchmarks import stock
from benchmarks.floor import floor_seconds

HERE = Path(__file__).parent
AIMS = {
    "verdict_over_floor": "at most 2 now, 1.25 in the end",
    "nbgrader_over_class": "at least 5 now, 10 in the end",
    "two_workers_over_one": "at least 1.8",
}
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


def verdict_seconds(assignment: Assignment, reference: Submission, runs: int, workers: int | None) -> list[float]:
    """Warm verdicts on the reference, one at a time: wall seconds of each, as its engine sees them."""
    with Grader(assignment, workers=workers, force=True) as grader:
        list(grader.engine.verdicts([Job(reference)]))
        return [timed(lambda: list(grader.engine.verdicts([Job(reference)]))) for _ in range(runs)]


def throughput(assignment: Assignment, submissions: list[Submission], workers: int) -> float:
    """Submissions a second, warm: how known mistakes behave on these inputs has been found out, too."""
    with Grader(assignment, workers=workers, force=True) as grader:
        list(grader.engine.verdicts(map(Job, submissions)))
        return len(submissions) / timed(lambda: list(grader.engine.verdicts(map(Job, submissions))))


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
        reference = submissions[0]

        console.print("(c) the floor …")
        floor = floor_seconds(assignment, runs)
        console.print("warm verdicts …")
        verdict = verdict_seconds(assignment, reference, runs, None)
        alone = verdict_seconds(assignment, reference, runs, 1)
        console.print("a class that nobody has graded yet …")
        cold = timed(lambda: grade_class(assignment, list(files), force=True))
        console.print("one worker, two workers …")
        one = throughput(assignment, submissions, 1)
        two = throughput(assignment, submissions, 2)
        console.print("(a) course grade …")
        ours = [timed(lambda: grade_class(assignment, list(files), force=True)) for _ in range(repeats)]
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
        "verdict_seconds": statistics.median(verdict),
        "floor_seconds": statistics.median(floor),
        "verdict_over_floor": statistics.median(verdict) / statistics.median(floor),
        "verdict_seconds_one_worker": statistics.median(alone),
        "one_worker_over_floor": statistics.median(alone) / statistics.median(floor),
        "first_class_seconds": cold,
        "class_seconds": statistics.median(ours),
        "nbgrader_class_seconds": statistics.median(theirs),
        "nbgrader_over_class": statistics.median(theirs) / statistics.median(ours),
        "submissions_per_second_one_worker": one,
        "submissions_per_second_two_workers": two,
        "two_workers_over_one": two / one,
        "spread": {"verdict": verdict, "one_worker": alone, "floor": floor, "class": ours, "nbgrader_class": theirs},
    }


def show(figures: dict[str, Any]) -> Table:
    """The figures as a table."""
    table = Table("figure", "value", "aim")
    for key, value in figures.items():
        if isinstance(value, float | int):
            table.add_row(key, f"{value:.3g}", AIMS.get(key, ""))
    return table


def plot(figures: dict[str, Any], path: Path) -> None:
    """Two bar charts: a verdict against its floor, a class against stock nbgrader."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    pairs = (
        (
            "One verdict, seconds",
            {
                "floor, one process": figures["spread"]["floor"],
                "all cores": figures["spread"]["verdict"],
                "one worker": figures["spread"]["one_worker"],
            },
        ),
        (
            f"A class of {figures['class_size']}, seconds",
            {"course grade": figures["spread"]["class"], "stock nbgrader": figures["spread"]["nbgrader_class"]},
        ),
    )
    picture, axes = plt.subplots(1, 2, figsize=(9, 2.6), constrained_layout=True)
    for axis, (title, bars) in zip(axes, pairs, strict=True):
        medians = [statistics.median(values) for values in bars.values()]
        axis.barh(list(bars), medians, color=["#9aa5b1", "#3b6ea5", "#7ba3cc"][: len(bars)], height=0.6)
        for row, (values, median) in enumerate(zip(bars.values(), medians, strict=True)):
            axis.plot(values, [row] * len(values), "k|", markersize=12)
            axis.annotate(f"{median:.2f}", (median, row), xytext=(8, 0), textcoords="offset points", va="center")
        axis.set_title(title, loc="left")
        axis.set_xlim(0, max(max(values) for values in bars.values()) * 1.25)
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
