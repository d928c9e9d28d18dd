"""What the course remembers of a student's submissions: outside the student's folder, so that no student can write it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from autograder.course import Assignment, Course
from autograder.errors import CourseError


class Arrival(BaseModel):
    """One submission that arrived: when, if the instructor's clock saw it, where from, and what was not taken.

    `digest` is that of its files, `by_hand` says that a person put it in the student's folder, and `number` is the student's
    on the learning platform that it came from.
    """

    received: AwareDatetime | None
    origin: str
    by_hand: bool = False
    digest: str = ""
    number: str = ""
    left_out: list[str] = []


class Ledger(BaseModel):
    """All submissions of one student for one assignment.

    `due` is a due date of the student's own.
    `wrote` holds the SHA-256 of every notebook that intake put where nbgrader looks: any other is a person's doing.
    `suite` is the digest of the suite under which the gradebook's scores were given.
    `leftover` are files that are copied and still have to go, should intake be interrupted in between.
    """

    arrivals: dict[int, Arrival] = {}
    due: AwareDatetime | None = None
    wrote: list[str] = []
    suite: str = ""
    leftover: list[str] = []

    def collected(self) -> Arrival | None:
        """The last submission that came from the student and not by a grader's hand."""
        return next(
            (self.arrivals[n] for n in sorted(self.arrivals, reverse=True) if not self.arrivals[n].by_hand), None
        )


def ledgers(assignment: Assignment) -> Path:
    """Where an assignment's ledgers lie. nbgrader's globs pass over names that begin with a dot."""
    return assignment.submitted_root / ".ledger" / assignment.slug


def read(assignment: Assignment, student: str) -> Ledger:
    """A student's ledger, empty at first.

    Raises:
        CourseError: someone broke the file.
    """
    path = ledgers(assignment) / f"{student}.json"
    try:
        return Ledger.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Ledger()
    except ValidationError as error:
        raise CourseError(f"{path} is damaged ({error.errors()[0]['msg']}); mend it or delete it") from None


def numbers(course: Course) -> dict[str, str]:
    """Every student by their number on the learning platform, as far as submissions came from one.

    Raises:
        CourseError: someone broke a ledger.
    """
    found: dict[str, str] = {}
    for assignment in course:
        for path in sorted(ledgers(assignment).glob("[!.]*.json")):
            arrivals = read(assignment, path.stem).arrivals.values()
            found.update({arrival.number: path.stem for arrival in arrivals if arrival.number})
    return found


def write(assignment: Assignment, student: str, ledger: Ledger) -> None:
    """Keep a student's ledger, whole or not at all."""
    path = ledgers(assignment) / f"{student}.json"
    replace(path, (ledger.model_dump_json(indent=1) + "\n").encode())


def remember_suite(assignment: Assignment, student: str, suite: str) -> None:
    """Keep under which suite a student's scores were given."""
    with alone(assignment, "intake"):
        known = read(assignment, student)
        if known.suite != suite:
            known.suite = suite
            write(assignment, student, known)


def replace(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def stamp(time: datetime) -> str:
    """A time as nbgrader writes it."""
    return f"{time:%Y-%m-%d %H:%M:%S.%f} UTC"


@contextmanager
def alone(assignment: Assignment, work: Literal["intake", "grading"]) -> Iterator[None]:
    """Wait until nobody else is at this work on the assignment: several commands and the formgrader may run at once.

    Raises:
        CourseError: the file that tells the others cannot be made.
    """
    path = ledgers(assignment) / f".{work}.lock"
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(path.open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise CourseError(
                f"cannot lock {path} ({error.strerror}); free some space or mend its permissions"
            ) from None
        yield
