"""The road of a small class in a process of its own, which can be killed at any step.

A step is whatever changes the disk: a file opened to be written, renamed, removed, a folder made, a commit to the gradebook.
Verdicts come from an engine that reads them off the code. How real ones survive a kill is told in `test_killed.py`, too.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy

from autograder.course import Assignment, Course
from autograder.engines.job import Job
from autograder.errors import CourseError
from autograder.grade import Grader
from autograder.gradebook import graders
from autograder.gradebook.collect import collect
from autograder.gradebook.history import changes
from autograder.gradebook.record import record, scores
from autograder.report.feedback import feedback
from autograder.verdict import Verdict, blank_verdict

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}


class ReadsPoints:
    """An engine that gives each exercise the points that a comment in the code states."""

    isolation = "none"

    def __init__(self, assignment: Assignment, suite: str) -> None:
        self._assignment, self._suite = assignment, suite

    def verdicts(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Verdict]]:
        for job in jobs:
            text = "\n".join(cell.source for cell in job.submission.cells)
            verdict = blank_verdict(self._assignment, job.submission, isolation="none", device="cpu", suite=self._suite)
            results = tuple(
                replace(result, earned=float(text.partition(f"# {result.name}: ")[2].partition("\n")[0] or 0))
                for result in verdict.exercises
                if job.exercises is None or result.name in job.exercises
            )
            yield job, replace(verdict, exercises=results, earned=sum(result.earned for result in results))

    def close(self) -> None:
        """Nothing was started."""


def travel(root: Path, archive: Path) -> None:
    """Collect an archive, grade it, write the gradebook and the pages."""
    course = Course.load(root)
    assignment = course.assignment("mini")
    collected = collect(course, "mini", archive)
    with Grader(assignment) as grader:
        grader._engine = ReadsPoints(assignment, grader._store.suite)  # type: ignore[assignment]
        with graders.using(assignment, grader):
            recorded = record(course, "mini", [one.student for one in collected])
            if failures := [one.failure for one in recorded if one.failure is not None]:
                raise CourseError(failures[0])  # as the command does, when it has gone through the class
            for page in feedback(course, "mini").values():
                if isinstance(page, CourseError):
                    raise page


def outcome(root: Path) -> dict[str, Any]:
    """What the road has left: everybody's scores, the log's last word on each, and every file but those that are caches."""
    course = Course.load(root)
    return {
        "scores": {
            student: ({name: grade.score for name, grade in score.grades.items()}, score.penalty)
            for student, score in scores(course, "mini").items()
        },
        "log": {(line.student, line.exercise): line.becomes for line in changes(course)},
        "files": sorted(
            str(path.relative_to(root))
            for folder in ("submitted", "autograded", "feedback", "verdicts")
            for path in (root / folder).rglob("*")
            if path.is_file() and path.suffix != ".part"  # half a file under a name that nobody reads
        ),
    }


def in_a_process(
    action: Callable[[], object], *, kill_at: int | None = None, below: Path | None = None
) -> tuple[int, int]:
    """Run something in a forked process; how it ended, and how many steps it made.

    Args:
        action: what to run.
        kill_at: the step before which the process kills itself, counted from 1.
        below: the folder whose changes are steps.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            counter = itertools.count(1)

            def step() -> None:
                number = next(counter)
                os.write(writing, b".")
                if number == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            if below is not None:
                watch(below, step)
            action()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        steps = len(pipe.read())
    return os.waitpid(pid, 0)[1], steps


def watch(folder: Path, step: Callable[[], None]) -> None:
    """Call `step` before every change of the disk below a folder, and before every commit. For the rest of the process."""
    inside = os.fsencode(folder)

    def changes(event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            _, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return False
        elif event not in CHANGES:
            return False
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return event != "open"  # relative to a folder that was opened before
        return os.fsencode(os.path.abspath(path)).startswith(inside) or not os.path.isabs(path)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if changes(event, arguments):
            step()

    sys.addaudithook(hook)
    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", lambda connection: step())
