"""The warm graders of this process, one for each assignment.

nbgrader converts one notebook at a time and knows nothing that lives longer. A grader does: it has torch imported.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from autograder.course import Assignment
from autograder.gradebook.context import current
from autograder.submission import Submission
from autograder.verdict import Verdict

if TYPE_CHECKING:
    from autograder.grade import Grader

_warm: dict[tuple[Path, str], tuple[str, Grader]] = {}
_lent: dict[tuple[Path, str], Grader] = {}


def verdict_for(assignment: Assignment, submission: Submission) -> Verdict:
    """The verdict on a submission, by the grader that was lent for its assignment, or else by a warm one of our own."""
    key = (assignment.course.root, assignment.slug)
    grader = _lent.get(key) or _own(key)
    return grader.verdict(submission)


@contextmanager
def using(assignment: Assignment, grader: Grader) -> Iterator[None]:
    """Lend a grader: until the block ends, verdicts on the assignment come from it. Its owner closes it."""
    key = (assignment.course.root, assignment.slug)
    _lent[key] = grader
    try:
        yield
    finally:
        del _lent[key]


def _own(key: tuple[Path, str]) -> Grader:
    # Imported here because it is heavy, and the formgrader loads this module long before anything is graded.
    from autograder.grade import Grader
    from autograder.store import suite_digest

    assignment = current(*key)
    suite = suite_digest(assignment)
    if key in _warm:
        made_for, grader = _warm[key]
        if made_for == suite:
            return grader
        _warm.pop(key)[1].close()  # a property was mended since; this grader knows only the old one
    _warm[key] = (suite, Grader(assignment))
    return _warm[key][1]


@atexit.register
def close() -> None:
    """Let our own go."""
    while _warm:
        _warm.popitem()[1][1].close()
