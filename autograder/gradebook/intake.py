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

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.files import JUNK, copy_tree
from autograder.gradebook.ledger import Arrival, Ledger
from autograder.gradebook.rebuild import rebuild
from autograder.submission import Submission, read_submission
from autograder.text import printable

ORIGINAL = "original-"
TIMESTAMP = "timestamp.txt"
SECRET = "submission_secret.txt"  # `nbgrader submit` makes it; nbgrader gives feedback back to whoever knows it
SECRET_TEXT = re.compile(rb"[\w.+/=-]+")

# A student's name becomes a folder, a file and one of nbgrader's globs.
STUDENT = re.compile(r"\w([\w.@+ -]{0,100}[\w@+-])?")


Outcome = Literal["new", "updated", "unchanged"]


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
    assignment: Assignment, student: str, folder: Path, *, received: datetime | None, origin: str, number: str = ""
) -> Outcome:
    """Take in a folder that came from elsewhere, as the student's newest submission.

    The same files as last time are no new submission: what a grader put there by hand since then stays, and so does the
    time, if it is known.

    Args:
        assignment: what was answered.
        student: who answered.
        folder: what was handed in; it stays as it is.
        received: when it arrived, by the instructor's clock; None if nobody knows.
        origin: where it came from, for the record.
        number: the student's on the learning platform that it came from.

    Raises:
        CourseError: the student's name will not do, or there is no such folder.
        OSError: the folder cannot be read.
    """
    check_name(student)
    if not _is_folder(folder):
        raise CourseError(f"{folder} is no folder")
    with ledger.alone(assignment, "intake"):
        time = received.astimezone(UTC) if received else None
        arrival = Arrival(received=time, origin=printable(origin, 200), number=number)
        outcome = _take(assignment, student, folder, arrival)
        _present(assignment, student)
        return outcome


def intake(assignment: Assignment, student: str) -> Submission:
    """Make sure that all of a student's folder is taken in, and read the submission that counts.

    Raises:
        CourseError: there is no such folder, or its name will not do.
    """
    check_name(student)
    folder = assignment.submission_directory(student)
    if not _is_folder(folder):
        raise CourseError(f"{student} has handed in nothing for {assignment.slug}; `course collect` brings submissions")
    with ledger.alone(assignment, "intake"):
        known = ledger.read(assignment, student)
        _clear_away(assignment, student, known)
        if (by_hand := _put_there_by_hand(assignment, folder, known)) is not None:
            last = known.arrivals.get(_last(folder, known))
            here = Arrival(received=last.received if last else None, origin="put there by hand", by_hand=True)
            _take(assignment, student, folder, here, by_hand)
        return _present(assignment, student)


def original(assignment: Assignment, student: str) -> tuple[Path, Arrival]:
    """The submission that counts, as it was handed in, and what is known of its arrival.

    Raises:
        CourseError: nothing was taken in.
    """
    folder = assignment.submission_directory(student)
    known = ledger.read(assignment, student)
    if not (last := _last(folder, known)):
        raise CourseError(f"{student} has handed in nothing for {assignment.slug}; `course collect` brings submissions")
    return folder / f"{ORIGINAL}{last}", known.arrivals[last]


def read(assignment: Assignment, student: str) -> Submission:
    """Read the submission that counts; one that cannot be read has a `problem`, and earns nothing.

    Raises:
        CourseError: nothing was taken in.
    """
    folder, arrival = original(assignment, student)
    return _read(folder, arrival.digest, assignment)[0]


def notebook(assignment: Assignment, student: str) -> NotebookNode:
    """The notebook that was rebuilt from the submission that counts.

    Raises:
        CourseError: nothing was taken in.
    """
    folder, arrival = original(assignment, student)
    return nbformat.reads(_read(folder, arrival.digest, assignment)[1].decode(), as_version=4)


@lru_cache(maxsize=8)  # nbgrader comes back to one submission several times before it goes on to the next
def _read(folder: Path, digest: str, assignment: Assignment) -> tuple[Submission, bytes]:
    """A submission and the notebook rebuilt from it."""
    submission = _submission(folder, digest, assignment)
    return submission, nbformat.writes(rebuild(assignment, submission)).encode()


@lru_cache(maxsize=4096)  # a class that is graded is held in memory anyway
def _submission(folder: Path, digest: str, assignment: Assignment) -> Submission:
    return read_submission(folder, assignment)


def _last(folder: Path, known: Ledger) -> int:
    return max((number for number in known.arrivals if _is_folder(folder / f"{ORIGINAL}{number}")), default=0)


def _put_there_by_hand(assignment: Assignment, folder: Path, known: Ledger) -> list[str] | None:
    """Files that make a new submission; None if there is no new one. Hidden files are never a person's work."""
    last = _last(folder, known)
    originals = {f"{ORIGINAL}{number}" for number in range(1, last + 1)}
    rest = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - originals - JUNK
    ours = {TIMESTAMP, SECRET}
    notebook = folder / f"{assignment.slug}.ipynb"
    if _is_file(notebook) and _digest(notebook.read_bytes()) in known.wrote:
        ours.add(notebook.name)
    return sorted(rest) if not last or rest - ours else None


def _take(
    assignment: Assignment, student: str, source: Path, arrival: Arrival, only: Sequence[str] | None = None
) -> Outcome:
    """Make `source` the student's last original. Killed at any moment, it has happened or it has not.

    Given `only`, `source` is the student's own folder, and those files of it move.
    """
    folder = assignment.submission_directory(student)
    incoming = assignment.submitted_root / ".incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    for abandoned in incoming.iterdir():  # by one that was killed: nobody else is here now
        shutil.rmtree(abandoned)
    known = ledger.read(assignment, student)
    before = known.collected()
    with tempfile.TemporaryDirectory(dir=incoming) as scratch:
        copied = copy_tree(source, Path(scratch) / "new", only)
        arrival.digest, arrival.left_out = copied.digest, copied.left_out
        last = _last(folder, known)
        if last and before and before.digest == arrival.digest and not arrival.by_hand:
            before.received = before.received or arrival.received
            ledger.write(assignment, student, known)
            return "unchanged"
        number = last + 1
        while os.path.lexists(folder / f"{ORIGINAL}{number}"):  # a student may hand in a folder of that name
            number += 1
        known.arrivals[number] = arrival
        known.leftover = list(only or ())
        ledger.write(assignment, student, known)
        folder.mkdir(parents=True, exist_ok=True)
        os.rename(Path(scratch) / "new", folder / f"{ORIGINAL}{number}")
    _clear_away(assignment, student, known)
    return "updated" if last else "new"


def _clear_away(assignment: Assignment, student: str, known: Ledger) -> None:
    """Remove what was copied into the last original, once it is there."""
    folder = assignment.submission_directory(student)
    if known.leftover and _last(folder, known) == max(known.arrivals):
        for path in (folder / name for name in known.leftover):
            if _is_folder(path):
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    if known.leftover:
        known.leftover = []
        ledger.write(assignment, student, known)


def _present(assignment: Assignment, student: str) -> Submission:
    """Write what nbgrader sees."""
    folder = assignment.submission_directory(student)
    source, arrival = original(assignment, student)
    submission, content = _read(source, arrival.digest, assignment)
    known = ledger.read(assignment, student)
    if _digest(content) not in known.wrote:
        known.wrote.append(_digest(content))
        ledger.write(assignment, student, known)
    _put(folder / f"{assignment.slug}.ipynb", content)
    _put(folder / TIMESTAMP, ledger.stamp(arrival.received).encode() if arrival.received else None)
    _put(folder / SECRET, _secret(source))
    return submission


def _secret(source: Path) -> bytes | None:
    path = source / SECRET
    content = path.read_bytes() if _is_file(path) and path.stat().st_size <= 256 else b""
    return content if SECRET_TEXT.fullmatch(content) else None


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif not _is_file(path) or path.read_bytes() != content:
        ledger.replace(path, content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
