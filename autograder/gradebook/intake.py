"""Taking a submission in: from what a student handed in to a folder that nbgrader can be trusted with.

    submitted/alice/vae/
        vae.ipynb        rebuilt: the released notebook with the student's answers in it
        timestamp.txt    when it arrived
        original/        what the student handed in, untouched; earlier ones are original-1, original-2, …

nbgrader sees the first two. Nothing of the student's own notebook but the text of its cells ever reaches it, and
verdicts come from `original/` alone. A receipt outside the student's folder (`submitted/.receipts/vae/alice.json`)
remembers what intake wrote there; whatever else lies in the folder has been put there by hand, and is a new submission.

Time is by the instructor's clock: `collect` states when a submission arrived, and intake keeps that on the receipt. A
submission that was put there by hand keeps the time of the one it replaces; the first of its kind has none, and is not
late. A student's `timestamp.txt` is one more file in `original/`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import nbformat

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook.files import copy_tree
from autograder.gradebook.rebuild import rebuild
from autograder.submission import Submission, read_submission

ORIGINAL = "original"
ORIGINALS = (ORIGINAL, f"{ORIGINAL}-[0-9]*")  # as globs
TIMESTAMP = "timestamp.txt"
SECRET = "submission_secret.txt"  # from `nbgrader submit`; without it nbgrader cannot give feedback back

# nbgrader takes a student's name for a glob and for a folder.
STUDENT = re.compile(r"[^\W_][\w.@+ -]{0,126}[\w.@+-]|[^\W_]")


@dataclass(frozen=True)
class Receipt:
    """What intake remembers of a submission."""

    received: str | None  # ISO 8601 in UTC
    origin: str
    left_out: tuple[str, ...]
    notebook: str  # SHA-256 of the notebook that intake wrote

    @property
    def time(self) -> datetime | None:
        """When it arrived, if anyone knows."""
        return datetime.fromisoformat(self.received) if self.received else None


def students(assignment: Assignment) -> list[str]:
    """Everyone who handed something in."""
    folders = assignment.submitted_root.glob(f"[!.]*/{assignment.slug}")
    return sorted(folder.parent.name for folder in folders if folder.is_dir())


def receipt(assignment: Assignment, student: str) -> Receipt | None:
    """The receipt of a student's submission, if it was taken in."""
    try:
        data = json.loads(_receipt_path(assignment, student).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return Receipt(**{**data, "left_out": tuple(data["left_out"])})


def receive(assignment: Assignment, student: str, source: Path, *, received: datetime | None, origin: str) -> Submission:
    """Take in a folder, or one file, that came from elsewhere. It replaces the student's earlier submission.

    Raises:
        CourseError: the student's name is none that nbgrader can work with.
    """
    check_name(student)
    with _alone(assignment):
        _take(assignment, student, [source], received, origin)
        return _finish(assignment, student)


def intake(assignment: Assignment, student: str) -> Submission:
    """Make sure that what lies in a student's folder is taken in, and read it.

    Raises:
        CourseError: the student has handed nothing in.
    """
    folder = assignment.submission_directory(student)
    if not folder.is_dir():
        raise CourseError(f"{student} has handed in nothing for {assignment.slug}; `course collect` brings submissions")
    with _alone(assignment):
        known = receipt(assignment, student)
        if by_hand := _put_there_by_hand(assignment, folder, known):
            _take(assignment, student, by_hand, known.time if known else None, "put there by hand")
            for path in by_hand:
                _remove(path)
        return _finish(assignment, student)


def check_name(student: str) -> None:
    """Insist on a name that is safe as a folder and as nbgrader's glob.

    Raises:
        CourseError: it is not.
    """
    if not STUDENT.fullmatch(student):
        raise CourseError(f"{student!r} cannot be a student's name: use letters, digits and . _ @ + - only")


def _put_there_by_hand(assignment: Assignment, folder: Path, known: Receipt | None) -> list[Path]:
    """What intake did not write."""
    entries = sorted(folder.iterdir())
    if known is None or not _is_folder(folder / ORIGINAL):
        return entries
    ours = [path for path in entries if any(path.match(glob) for glob in ORIGINALS) and _is_folder(path)]
    rest = [path for path in entries if path not in ours]
    notebook = folder / f"{assignment.slug}.ipynb"
    if {path.name for path in rest} <= {notebook.name, TIMESTAMP, SECRET} and _digest(notebook) == known.notebook:
        return []
    return rest


def _take(assignment: Assignment, student: str, sources: list[Path], received: datetime | None, origin: str) -> None:
    """Put `sources` in place as the student's original. Killed half-way, it leaves the old one or the new one."""
    folder = assignment.submission_directory(student)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_private(assignment, "incoming")) as scratch:
        new = Path(scratch) / ORIGINAL
        left_out = copy_tree(sources, new)
        _write_receipt(assignment, student, Receipt(received and received.astimezone(UTC).isoformat(), origin, tuple(left_out), ""))
        if os.path.lexists(folder / ORIGINAL):
            os.rename(folder / ORIGINAL, folder / f"{ORIGINAL}-{_next(folder)}")
        os.rename(new, folder / ORIGINAL)


def _finish(assignment: Assignment, student: str) -> Submission:
    """Write what nbgrader sees."""
    folder = assignment.submission_directory(student)
    known = receipt(assignment, student)
    assert known is not None
    submission = read_submission(folder / ORIGINAL, assignment)
    notebook = nbformat.writes(rebuild(assignment, submission)).encode()
    ...
    return submission
