"""Taking a submission in: from what a student handed in to a folder that nbgrader can be trusted with.

    submitted/alice/vae/
        vae.ipynb        rebuilt: the released notebook with the student's answers in it
        timestamp.txt    when the submission arrived
        original-1/      what the student handed in; after that original-2, …, and the last one counts

nbgrader sees the first two. Nothing of the student's own notebook but the text of its cells ever reaches it, and
verdicts come from the last original alone. Anything else that lies in the folder was put there by hand, a grader's
correction of `vae.ipynb` for instance, and is taken in as the student's next submission.

Time is by the instructor's clock: `collect` knows when a submission arrived, and the ledger keeps it. What was put there
by hand keeps the time of the submission that it replaces; a first one has none, and is not late. A student's own
`timestamp.txt` is just one more file that was handed in.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import nbformat

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.files import copy
from autograder.gradebook.ledger import Arrival, Ledger
from autograder.gradebook.rebuild import rebuild
from autograder.submission import Submission, read_submission

ORIGINAL = "original-"
TIMESTAMP = "timestamp.txt"
SECRET = "submission_secret.txt"  # `nbgrader submit` makes it; nbgrader gives feedback back to whoever knows it
SECRET_TEXT = re.compile(r"[\w.+/=-]{1,256}", re.ASCII)

# A student's name becomes a folder, a file and one of nbgrader's globs.
STUDENT = re.compile(r"\w([\w.@+ -]{0,100}[\w@+-])?")


def students(assignment: Assignment) -> list[str]:
    """Everyone who handed something in."""
    folders = assignment.submitted_root.glob(f"[!.]*/{assignment.slug}")
    return sorted(folder.parent.name for folder in folders if folder.is_dir())


def check_name(student: str) -> None:
    """Insist on a name that is safe wherever nbgrader puts it.

    Raises:
        CourseError: it is not.
    """
    if not STUDENT.fullmatch(student):
        raise CourseError(f"{student!r} cannot name a student: letters, digits, spaces and . _ @ + - can")


def receive(
    assignment: Assignment, student: str, sources: Sequence[Path], *, received: datetime | None, origin: str
) -> Submission:
    """Take in files that came from elsewhere, as the student's newest submission.

    Args:
        assignment: what they answer.
        student: who handed them in.
        sources: a folder, whose contents are meant, or single files.
        received: when they arrived, by the instructor's clock; None if nobody knows.
        origin: where they came from, for the record.

    Raises:
        CourseError: the student's name will not do.
    """
    check_name(student)
    with _alone(assignment):
        _take(assignment, student, sources, Arrival(received=received and received.astimezone(UTC), origin=origin))
        return _present(assignment, student)


def intake(assignment: Assignment, student: str) -> Submission:
    """Make sure that all of a student's folder is taken in, and read the submission.

    Raises:
        CourseError: there is no such folder, or its name will not do.
    """
    check_name(student)
    folder = assignment.submission_directory(student)
    if not folder.is_dir():
        raise CourseError(f"{student} has handed in nothing for {assignment.slug}; `course collect` brings submissions")
    with _alone(assignment):
        known = ledger.read(assignment, student)
        for name in known.leftover:
            _remove(folder / name)
        if by_hand := _put_there_by_hand(assignment, folder, known):
            last = arrival(assignment, student)
            here = Arrival(received=last and last.received, origin="put there by hand")
            _take(assignment, student, by_hand, here, leftover=[path.name for path in by_hand])
        return _present(assignment, student)


def arrival(assignment: Assignment, student: str) -> Arrival | None:
    """What is known of the arrival of the submission that counts."""
    last = _last(assignment.submission_directory(student))
    return ledger.read(assignment, student).arrivals.get(last)


def _put_there_by_hand(assignment: Assignment, folder: Path, known: Ledger) -> list[Path]:
    ours = {f"{ORIGINAL}{number}" for number in known.arrivals}
    rest = sorted(path for path in folder.iterdir() if path.name not in ours or path.is_symlink())
    notebook = folder / f"{assignment.slug}.ipynb"
    if {path.name for path in rest} <= {notebook.name, TIMESTAMP, SECRET} and known.arrivals:
        try:
            if notebook not in rest or _digest(notebook.read_bytes()) in known.wrote:
                return []
        except OSError:  # a link that leads nowhere, or to where we may not look
            pass
    return rest


def _take(
    assignment: Assignment, student: str, sources: Sequence[Path], arrived: Arrival, leftover: Sequence[str] = ()
) -> None:
    """Make `sources` the student's last original. Interrupted anywhere, it has happened or it has not."""
    folder = assignment.submission_directory(student)
    folder.mkdir(parents=True, exist_ok=True)
    incoming = assignment.submitted_root / ".incoming"
    incoming.mkdir(exist_ok=True)
    known = ledger.read(assignment, student)
    number = max(_last(folder), *known.arrivals, 0) + 1 ...
