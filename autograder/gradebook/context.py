"""How nbgrader's plugins find their course.

The formgrader runs for months: course and starter are read anew whenever they have changed, and only then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from traitlets import Unicode
from traitlets.config import Configurable

from autograder.course import Assignment, Course

Stamp = tuple[tuple[int, int] | None, ...]

_read: dict[tuple[Path, str], tuple[Stamp, Assignment]] = {}


class CourseContext(Configurable):
    """Anything that nbgrader makes for us and that has to know the course; `settings` says where the course is."""

    course_root = Unicode(help="The folder of course.toml").tag(config=True)

    def assignment(self, slug: str) -> Assignment:
        """The assignment of that name, as its files are now."""
        return current(Path(self.course_root), slug)

    def assignment_and_student(self, resources: dict[str, Any]) -> tuple[Assignment, str]:
        """What a notebook that nbconvert is working on is an answer to, and whose it is."""
        names = resources["nbgrader"]
        return self.assignment(names["assignment"]), names["student"]


def current(root: Path, slug: str) -> Assignment:
    """The assignment of that name; the same object for as long as its files do not change.

    Raises:
        CourseError: there is none.
    """
    known = _read.get((root, slug))
    if known and known[0] == _stamp(known[1]):
        return known[1]
    assignment = Course.load(root).assignment(slug)
    _read[root, slug] = (_stamp(assignment), assignment)
    return assignment


def _stamp(assignment: Assignment) -> Stamp:
    return tuple(_version(path) for path in (assignment.course.root / "course.toml", assignment.starter_path))


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
