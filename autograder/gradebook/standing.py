"""Where a submission stands in the gradebook, and where it will stand under a verdict that is not recorded yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nbgrader.api import Gradebook

from autograder.course import Assignment
from autograder.gradebook import books, intake
from autograder.gradebook.lateness import seconds_late
from autograder.gradebook.results import results
from autograder.report.page import CHECK, Grade
from autograder.submission import Submission
from autograder.verdict import Verdict


@dataclass(frozen=True)
class Score:
    """What the gradebook says of one student's submission.

    Attributes:
        grades: of every exercise and written question, by its name.
        penalty: points that lateness takes off.
    """

    student: str
    grades: dict[str, Grade]
    penalty: float

    @property
    def points(self) -> float:
        """All that can be earned."""
        return sum(grade.points for grade in self.grades.values())

    @property
    def earned(self) -> float:
        """What counts as of now."""
        return sum(grade.score or 0.0 for grade in self.grades.values()) - self.penalty

    @property
    def waiting(self) -> list[str]:
        """What nobody has graded yet: written answers, and everything of a submission on which grading failed."""
        return [name for name, grade in self.grades.items() if grade.score is None]


def standing(gradebook: Gradebook, assignment: Assignment, student: str) -> Score | None:
    """What the gradebook says of a student's submission; None before the first one is graded."""
    return standings(gradebook, assignment, student).get(student)


def standings(gradebook: Gradebook, assignment: Assignment, student: str | None = None) -> dict[str, Score]:
    """What the gradebook says of everyone's submissions, or of one student's."""
    off = books.penalties(gradebook, assignment, student)
    everyone = books.grades(gradebook, assignment, student)
    return {who: Score(who, grades, off[who]) for who, grades in everyone.items()}


def foreseen(
    gradebook: Gradebook,
    assignment: Assignment,
    student: str,
    submission: Submission,
    verdict: Verdict,
) -> Score:
    """What recording a verdict will make the gradebook say. Points and comments that people gave stay.

    Raises:
        CourseError: the gradebook was made for other cells, or other points.
    """
    expected = results(assignment, student, submission, verdict)
    entries = books.entries(gradebook, assignment, student)
    books.fits(assignment, {name: entry.points for name, entry in entries.items()}, expected)
    entries = {name: replace(entry, auto=expected[name].score) for name, entry in entries.items()}
    _, arrival = intake.original(assignment, student)
    late = seconds_late(books.due(gradebook, assignment, student), arrival.received)
    return _score(gradebook, assignment, student, entries, books.penalty_on(assignment, entries.values(), late))


def cleared(gradebook: Gradebook, assignment: Assignment, student: str) -> Score:
    """What `books.clear` would make the gradebook say, when a submission cannot be graded."""
    entries = books.entries(gradebook, assignment, student)
    entries = {name: replace(entry, auto=None) for name, entry in entries.items()}
    return _score(gradebook, assignment, student, entries, 0.0)


def _score(
    gradebook: Gradebook, assignment: Assignment, student: str, entries: Mapping[str, books.Entry], penalty: float
) -> Score:
    now = standing(gradebook, assignment, student)
    comments = {name: grade.comment for name, grade in now.grades.items()} if now else {}
    grades = {}
    for cell, entry in entries.items():
        name = cell.removeprefix(CHECK)
        given = entry.auto if entry.manual is None else entry.manual
        counts = None if given is None else given + (entry.extra or 0.0)
        grades[name] = Grade(entry.points, counts, entry.auto, comments.get(name), entry.manual)
    return Score(student, books.in_order(assignment, grades), penalty)
