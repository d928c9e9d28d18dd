"""Bringing submissions in: from nbgrader's exchange, or from an archive or a folder that came another way."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError, ExchangeFactory

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.gradebook.exchange import Collected
from autograder.gradebook.files import JUNK, unpack
from autograder.gradebook.intake import check_name, receive
from autograder.gradebook.quiet import quietly
from autograder.gradebook.settings import load
from autograder.submission import SUFFIXES


def collect(
    course: Course, slug: str, source: Path | None = None, *, received: datetime | None = None
) -> list[Collected]:
    """Take submissions in.

    Args:
        course: whose.
        slug: to which assignment.
        source: a zip archive or a folder, with a folder for each student or files named `<student>_<anything>`; None for
            nbgrader's exchange.
        received: when the contents of `source` arrived. Dates in an archive are whatever its maker wrote; without this,
            nothing in it is late.

    Raises:
        CourseError: the exchange, the archive or a name in it cannot be used. Nothing was taken in.
    """
    assignment = course.assignment(slug)
    if source is None:
        return _from_exchange(assignment)
    if not source.exists():
        raise CourseError(f"there is no archive or folder {source}")
    assignment.submitted_root.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="collect-") as scratch:
        top = source
        if not source.is_dir():
            top = Path(scratch) / "unpacked"
            unpack(source, top)
        folders = _by_student(assignment, top, Path(scratch) / "sorted")
        if not folders:
            raise CourseError(f"{source} holds no submissions")
        for student in folders:
            check_name(student)
        return [_receive(assignment, student, folders[student], received, source.name) for student in sorted(folders)]


def _receive(assignment: Assignment, student: str, folder: Path, received: datetime | None, origin: str) -> Collected:
    try:
        return Collected(student, receive(assignment, student, folder, received=received, origin=origin))
    except OSError as error:
        return Collected(student, "refused", str(error))


def _from_exchange(assignment: Assignment) -> list[Collected]:
    config = load(assignment.course)
    config.ExchangeCollect.update = True
    coursedir = CourseDirectory(config=config)
    coursedir.assignment_id = assignment.slug
    factory = ExchangeFactory(config=config)
    with quietly():
        collector = factory.Collect(coursedir=coursedir, authenticator=Authenticator(config=config), config=config)
        try:
            collector.start()
        except ExchangeError as error:
            raise CourseError(
                f"nbgrader's exchange: {error}; to collect from an archive or a folder, name it"
            ) from None
    return collector.collected


def _by_student(assignment: Assignment, top: Path, scratch: Path) -> dict[str, Path]:
    """Whose is what: a folder for each student. Files that stand alone go into one under `scratch`."""
    folders: dict[str, Path] = {}
    alone: dict[str, list[tuple[Path, str]]] = {}
    for path in sorted(top.iterdir()):
        if path.name in JUNK or path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            inner = path / assignment.slug  # as nbgrader keeps them: alice/vae/vae.ipynb
            folders[path.name] = inner if [inner] == list(path.iterdir()) else path
        elif path.is_file() and not path.is_symlink():
            student, _, name = path.name.partition("_")
            if not name and path.suffix in SUFFIXES and path.stem != assignment.slug:
                student, name = path.stem, path.name
            if not student or not name:
                raise CourseError(f"whose is {path.name}? Put each student's files into a folder that has their name")
            alone.setdefault(student, []).append((path, name))
    for student, files in alone.items():
        if student in folders or sum(path.suffix in SUFFIXES for path, _ in files) > 1:
            names = ", ".join(path.name for path, _ in files)
            raise CourseError(
                f"are {names} all of {student}? Put each student's files into a folder that has their name"
            )
        folders[student] = scratch / student
        folders[student].mkdir(parents=True)
        for path, name in files:
            shutil.copyfile(path, folders[student] / name)
    return folders
