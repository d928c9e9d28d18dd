"""Writing verdicts into the gradebook, with nbgrader's own converter, and reading scores back from it."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, NbGraderException
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SQLAlchemyError
from traitlets.config import Config

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.gradebook import books, history
from autograder.gradebook.autograding import withdraw
from autograder.gradebook.connection import one_engine
from autograder.gradebook.context import current
from autograder.gradebook.intake import intake
from autograder.gradebook.ledger import alone
from autograder.gradebook.quiet import quietly
from autograder.gradebook.settings import load
from autograder.gradebook.standing import Score, standing, standings


@dataclass(frozen=True)
class Recorded:
    """What came of recording one student's submission: a score, or the reason why there is none."""

    student: str
    score: Score | None
    failure: str | None = None


def record(
    course: Course, slug: str, students: Iterable[str], progress: Callable[[Recorded], None] = lambda recorded: None
) -> list[Recorded]:
    """Run nbgrader's autograding for each of the students; what goes wrong with one of them stops no other.

    Verdicts come from `graders.verdict_for`: from the grader that `graders.using` lends, or from a warm one of its own.

    Args:
        course: whose.
        slug: for which assignment.
        students: for whom; may come one by one, as verdicts do.
        progress: called after each of them.

    Raises:
        CourseError: the gradebook cannot be opened, or the assignment is not in it, or the log of changes cannot be written.
    """
    assignment = current(course.root, slug)
    history.check(course)
    config = load(course)
    coursedir = CourseDirectory(config=config, assignment_id=slug)
    recorded: list[Recorded] = []
    with opened(course, assignment) as gradebook:
        for student in students:
            with alone(assignment, "grading"):
                failure = _autograde(assignment, coursedir, config, student)
                if failure is None:
                    recorded.append(Recorded(student, standing(gradebook, assignment, student)))
                else:
                    withdraw(gradebook, coursedir, assignment, student)
                    graded = coursedir.format_path(coursedir.autograded_directory, student, slug)
                    shutil.rmtree(graded, ignore_errors=True)
                    recorded.append(Recorded(student, None, failure))
                gradebook.db.commit()  # what nbgrader writes for the next one is to be seen
            progress(recorded[-1])
    return recorded


def scores(course: Course, slug: str) -> dict[str, Score]:
    """Everyone's score as the gradebook has it, with what graders changed, and with lateness reckoned anew.

    Raises:
        CourseError: the gradebook cannot be opened, or the assignment is not in it, or someone broke a ledger.
    """
    assignment = current(course.root, slug)
    with opened(course, assignment) as gradebook:
        for student in books.penalties(gradebook, assignment):
            books.refresh_penalty(gradebook, assignment, student)
        return standings(gradebook, assignment)


def enrolled(course: Course, slug: str) -> list[str]:
    """Everyone whom the gradebook knows, whether or not they handed anything in.

    Raises:
        CourseError: the gradebook cannot be opened, or the assignment is not in it.
    """
    with opened(course, current(course.root, slug)) as gradebook:
        return [student.id for student in gradebook.students]


def _autograde(assignment: Assignment, coursedir: CourseDirectory, config: Config, student: str) -> str | None:
    """Autograde one submission; returns why that failed, if it did."""
    coursedir.student_id = glob.escape(student)
    with quietly() as overheard:
        try:
            # Before nbgrader looks: it passes over a folder that has no notebook, and a script may be all there is.
            intake(assignment, student)
            converter = Autograde(coursedir=coursedir, config=config)
            converter.force = True
            converter.start()
        except NbGraderException:
            return overheard.reason
        except (CourseError, OSError) as error:
            return str(error)
    return None


@contextmanager
def opened(course: Course, assignment: Assignment) -> Iterator[Gradebook]:
    """The gradebook, with the assignment in it.

    Raises:
        CourseError: it cannot be used, or the assignment is not in it.
    """
    coursedir = CourseDirectory(config=load(course))
    try:
        with one_engine(), Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
            try:
                gradebook.find_notebook(assignment.slug, assignment.slug)
            except MissingEntry:
                raise CourseError(
                    f"{assignment.slug} is not in the gradebook yet; run `course release {assignment.slug}` first"
                ) from None
            gradebook.db.commit()  # whoever waits in the block keeps no transaction open
            yield gradebook
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error  # without the statement, and without an address to read about it
        raise CourseError(f"the gradebook cannot be used: {' '.join(str(reason).split())}") from None
