"""What the autograder says of each grade cell: of exercises by a verdict, of written questions by whether they are answered."""

from __future__ import annotations

from collections.abc import Collection

from nbformat import NotebookNode
from nbgrader.utils import is_grade

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook import intake
from autograder.gradebook.books import Result
from autograder.gradebook.graders import verdict_for
from autograder.report.page import CHECK, STUDENT_CELL
from autograder.submission import Submission
from autograder.verdict import Verdict


def sound_verdict(assignment: Assignment, student: str, submission: Submission) -> Verdict:
    """The verdict on a student's submission.

    Raises:
        CourseError: the grader itself failed on it.
    """
    verdict = verdict_for(assignment, submission)
    if verdict.failure:
        raise CourseError(f"{assignment.slug} of {student} could not be graded: {verdict.failure}")
    return verdict


def results(assignment: Assignment, student: str, submission: Submission, verdict: Verdict) -> dict[str, Result]:
    """What is to be said of every grade cell of a submission that was taken in."""
    exercises = {CHECK + result.name: Result(result.points, float(result.earned)) for result in verdict.exercises}
    return exercises | question_results(intake.notebook(assignment, student), unanswered(assignment, submission))


def question_results(nb: NotebookNode, without_answer: Collection[str]) -> dict[str, Result]:
    """No points where nothing was written; everything else is for a person to say."""
    loose = has_loose_text(nb)
    return {
        name: Result(float(cell.metadata.nbgrader.points), 0.0 if name in without_answer and not loose else None)
        for cell in nb.cells
        if is_grade(cell) and cell.cell_type != "code"
        for name in [cell.metadata.nbgrader.grade_id]
    }


def has_loose_text(nb: NotebookNode) -> bool:
    """Whether an answer may stand in a cell that lost its name on the way through another editor: a person has to look."""
    return any(cell.cell_type == "markdown" and cell.id.startswith(STUDENT_CELL) for cell in nb.cells)


def unanswered(assignment: Assignment, submission: Submission) -> list[str]:
    """The written questions that a submission leaves open."""
    return [question.name for question in assignment.questions if question.name not in submission.answers]
