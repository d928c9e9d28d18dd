"""Files that come with a submission and that its code may read: weights, settings, texts.

Which kinds an assignment takes, and how much of them, stands in `course.toml`. In a worker they lie in the current folder, as
they lay beside the notebook at home. No trusted process looks into them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.text import Unreadable, printable, read_bytes

MOST = 50
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
MEGABYTE = 2**20


@dataclass(frozen=True)
class Attachment:
    """One file beside a submission, by its name and the SHA-256 of its content."""

    name: str
    digest: str


def find_attachments(submission: Path, assignment: Assignment) -> tuple[tuple[Attachment, ...], list[str]]:
    """What lies beside a notebook or script and is of a kind that the assignment takes; a note on all that is left out.

    Raises:
        CourseError: a file cannot be read.
    """
    kinds, limit = assignment.attachments, assignment.limits.attachments_mb
    beside = sorted(path for path in submission.parent.iterdir() if path.suffix.lower() in kinds) if kinds else []
    found: list[Attachment] = []
    notes: list[str] = []
    total = 0
    for path in beside:
        shown = printable(path.name, 60)
        if not NAME.fullmatch(path.name):
            notes.append(f"{shown} was left out: letters, digits and . _ - make a name that works everywhere.")
            continue
        if len(found) == MOST or total + path.lstat().st_size > limit * MEGABYTE:
            notes.append(f"{shown} was left out: {MOST} files of together {limit} MB are the most.")
            continue
        try:
            content = read_bytes(path)
        except Unreadable as reason:
            notes.append(f"{shown} {reason}.")
            continue
        total += len(content)
        found.append(Attachment(path.name, hashlib.sha256(content).hexdigest()))
    return tuple(found), notes


def read_attachment(submission: Path, attachment: Attachment) -> bytes:
    """The content of a file that was found.

    Raises:
        CourseError: it is no longer what it was.
    """
    path = submission.parent / attachment.name
    try:
        content = read_bytes(path)
    except Unreadable as reason:
        raise CourseError(f"{path} {reason}") from None
    if hashlib.sha256(content).hexdigest() != attachment.digest:
        raise CourseError(f"{path} has changed while it was graded; run the command again")
    return content
