"""Bringing submissions in: from nbgrader's exchange, or from an archive or a folder that came another way."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError, ExchangeFactory

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.exchange import Collected
from autograder.gradebook.files import unpack
from autograder.gradebook.intake import check_name, receive
from autograder.gradebook.platforms import HandedIn, handed_in, students_of
from autograder.gradebook.quiet import quietly
from autograder.gradebook.settings import load


def collect(
    course: Course, slug: str, source: Path | None = None, *, received: datetime | None = None
) -> list[Collected]:
    """Take submissions in.

    Args:
        course: whose.
        slug: to which assignment.
        source: a zip archive or a folder, as Canvas or Moodle make it, or with a folder for each student, or with files
            named `<student>_<anything>`; None for nbgrader's exchange.
        received: when the contents of `source` arrived. Dates in an archive are whatever its maker wrote; without this,
            nothing in it is late. With it, nothing is late that Canvas does not call so.

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
        everyone = dict(students_of(handed_in(top, slug), ledger.numbers(course)))
        if not everyone:
            raise CourseError(f"{source} holds no submissions")
        for student in everyone:
            check_name(student)
        gathered = Path(scratch) / "gathered"
        return [
            _receive(assignment, student, everyone[student], gathered / student, received, source.name)
            for student in sorted(everyone)
        ]


def _receive(
    assignment: Assignment, student: str, one: HandedIn, folder: Path, received: datetime | None, origin: str
) -> Collected:
    """Take in one student's files. Where the platform says whether they were late, it is believed before `received`."""
    if one.late is False and received and assignment.due:
        received = min(received, assignment.due)
    try:
        one.gather(folder)
        outcome = receive(assignment, student, folder, received=received, origin=origin, number=one.number)
    except (CourseError, OSError) as error:
        return Collected(student, "refused", str(error))
    unknown = one.late and received is None
    return Collected(student, outcome, "late, says the platform: add --received to reckon it" if unknown else None)


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
