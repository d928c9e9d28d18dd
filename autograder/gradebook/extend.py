"""A due date of one student's own: granted before or after they hand in."""

from __future__ import annotations

from datetime import UTC, datetime

from nbgrader.api import MissingEntry

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook import books, ledger
from autograder.gradebook.intake import check_name
from autograder.gradebook.record import opened


def extend(course: Course, slug: str, student: str, due: datetime | None) -> None:
    """Let a due date count for one student, and reckon lateness anew if they are graded already.

    Args:
        course: whose.
        slug: for which assignment.
        student: for whom.
        due: until when; None to take it back.

    Raises:
        CourseError: the assignment has no due date, or is not in the gradebook, or the name will not do.
    """
    assignment = course.assignment(slug)
    check_name(student)
    if assignment.due is None:
        raise CourseError(f"{slug} has no due date in course.toml, so nothing in it is late")
    with ledger.alone(assignment, "intake"):
        known = ledger.read(assignment, student)
        known.due = due.astimezone(UTC) if due else None
        ledger.write(assignment, student, known)
    with opened(course, assignment) as gradebook:
        try:
            gradebook.find_submission(slug, student).extension = None  # an earlier one of ours, or of nbgrader's
            books.refresh_penalty(gradebook, assignment, student)
        except MissingEntry:
            return  # it counts from the day that they are graded
