"""`python -m benchmarks.many 1000`: a large class of `vae`, how long it takes, and what memory it holds meanwhile.

Everybody hands in a file of their own: known mistakes, one each, in a reference that is otherwise right, and the reference
itself, with the student's name in it, so that none has a verdict already. Prints figures and writes `many.json` and `many.svg`
beside this file.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console

from autograder.classroom import grade_class
from autograder.course import Assignment, Course
from autograder.demo.road import build_course
from autograder.gradebook.intake import receive
from autograder.mistakes import known_mistakes
from autograder.reference import reference_sources
from autograder.release import release
from autograder.report.terminal import progress_bar

HERE = Path(__file__).parent
MEBIBYTE = 1 << 20
MISTAKEN = 3  # of four students make a mistake
console = Console(stderr=True)


class Memory(threading.Thread):
    """Watches what this process and all below it hold: their proportional share of every page, in MiB, every few seconds."""

    def __init__(self, seconds: float = 5.0) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float]] = []
        self._start, self._seconds, self._over = time.monotonic(), seconds, threading.Event()

    def run(self) -> None:
        """Until it is told that it is over."""
        while not self._over.wait(self._seconds):
            self.samples.append((time.monotonic() - self._start, sum(map(proportional, family()))))

    def end(self) -> None:
        """Stop watching."""
        self._over.set()
        self.join()


def family() -> list[psutil.Process]:
    """This process and all below it."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def proportional(process: psutil.Process) -> float:
    """MiB of a process, where a page that several share counts in parts."""
    try:
        return process.memory_full_info().pss / MEBIBYTE
    except psutil.Error:  # it has just ended
        return 0.0


def hand_in(assignment: Assignment, count: int, scratch: Path) -> None:
    """Let so many students hand in."""
    reference = reference_sources(assignment)
    mistakes = itertools.cycle(known_mistakes(assignment))
    for number in range(count):
        answers = dict(reference)
        if number % (MISTAKEN + 1):
            mistake = next(mistakes)
            answers[mistake.exercise] = mistake.source
        cells = [f'# %% exercise="{name}"\n{source}' for name, source in answers.items()]
        name = f"student-{number:04}"
        folder = scratch / name
        folder.mkdir(parents=True)
        (folder / f"{assignment.slug}.py").write_text("\n\n".join([*cells, f"# %%\nname = {name!r}\n"]), "utf-8")
        receive(assignment, name, folder, received=None, origin="the benchmark")


def measure(count: int) -> dict[str, Any]:
    """Grade and record a class of that size."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        course = build_course(Course.find(HERE), Path(scratch) / "course")
        assignment = course.assignment("vae")
        release(course, [assignment.slug])
        console.print(f"{count} students hand in …")
        hand_in(assignment, count, Path(scratch) / "handed-in")
        memory = Memory()
        memory.start()
        start = time.perf_counter()
        with progress_bar(console) as progress:
            graded = grade_class(assignment, progress=progress)
        seconds = time.perf_counter() - start
        memory.end()
    assert len(graded) == count
    assert all(item.failure is None for item in graded)
    samples = [held for _, held in memory.samples]
    part = max(1, len(samples) // 4)
    early, late = statistics.median(samples[part : 2 * part]), statistics.median(samples[-part:])
    return {
        "cores": len(os.sched_getaffinity(0)),
        "submissions": count,
        "seconds": seconds,
        "submissions_per_minute": 60 * count / seconds,
        "mebibytes_second_quarter": early,
        "mebibytes_last_quarter": late,
        "last_over_second_quarter": late / early,
        "memory": memory.samples,
    }


def plot(figures: dict[str, Any], path: Path) -> None:
    """Memory over time."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    picture, axis = plt.subplots(figsize=(7, 2.4), constrained_layout=True)
    minutes, held = [t / 60 for t, _ in figures["memory"]], [m for _, m in figures["memory"]]
    axis.plot(minutes, held, color="#3b6ea5", linewidth=1)
    axis.set_ylim(0, max(held) * 1.15)
    axis.set_title(f"{figures['submissions']} submissions: memory in MiB, over minutes", loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, metadata={"Date": None})


def main(count: Annotated[int, typer.Argument(help="How many students.")] = 1000) -> None:
    """Measure, print, write."""
    figures = measure(count)
    (HERE / "many.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    plot(figures, HERE / "many.svg")
    for name, value in figures.items():
        if name != "memory":
            Console().print(f"{name}: {value:.4g}")


if __name__ == "__main__":
    typer.run(main)
