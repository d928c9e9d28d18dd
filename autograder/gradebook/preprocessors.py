"""What we do to notebooks among nbgrader's own preprocessors."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook import books, intake
from autograder.gradebook.context import CourseContext
from autograder.gradebook.graders import verdict_for
from autograder.report import exercise
from autograder.report.page import CHECK, NOTES, compose, render
from autograder.report.reveal import revealed
from autograder.submission import Submission
from autograder.verdict import ExerciseResult, Verdict

Resources = dict[str, Any]


class Preprocessor(CourseContext, NbGraderPreprocessor):
    """A preprocessor that knows whose notebook it has, of which assignment."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """nbconvert calls this."""
        names = resources["nbgrader"]
        self.work(nb, resources, self.assignment(names["assignment"]), names["student"])
        return nb, resources

    def work(self, nb: NotebookNode, resources: Resources, assignment: Assignment, student: str) -> None:
        """What the preprocessor does to `nb`."""
        raise NotImplementedError


class ApplyVerdict(Preprocessor):
    """Stands where nbgrader would run the notebook: every grade cell gets the verdict's points as its result.

    nbgrader gives full points for a cell that has no result, and for almost any odd one; so each has one plain float.
    """

    def work(self, nb: NotebookNode, resources: Resources, assignment: Assignment, student: str) -> None:
        """Fill in the outputs.

        Raises:
            CourseError: there is no verdict, or it does not fit the gradebook. nbgrader reports the student as failed,
                keeps no score, and goes on with the next one.
        """
        submission = intake.read(assignment, student)
        verdict = verdict_for(assignment, submission)
        if verdict.failure:
            raise CourseError(f"{assignment.slug} of {student} could not be graded: {verdict.failure}")
        cells = {
            cell.metadata.nbgrader.grade_id.removeprefix(CHECK): cell
            for cell in nb.cells
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade")
        }
        _insist_on_fit(assignment, cells, verdict)
        for result in verdict.exercises:
            cells[result.name].outputs = _outputs(result)
        _, arrival = intake.original(assignment, student)
        nb.metadata[NOTES] = {
            "notes": _notes(arrival.left_out, submission, verdict),
            "isolation": verdict.isolation,
            "device": verdict.device,
            "suite": verdict.suite,
        }


class Comment(Preprocessor):
    """Tells graders in nbgrader's comments what the verdict was; what they write themselves takes precedence there.

    Comments can reach students by other ways than our feedback page, so they say what policy allows and no more.
    """

    def work(self, nb: NotebookNode, resources: Resources, assignment: Assignment, student: str) -> None:
        """Write the comments."""
        results = {result.name: result for cell in nb.cells if (result := exercise.in_outputs(cell))}
        with Gradebook(resources["nbgrader"]["db_url"], assignment.course.id) as gradebook:
            for name, result in results.items():
                comment = gradebook.find_comment(name, assignment.slug, assignment.slug, student)
                comment.auto_comment = exercise.to_text(revealed(result, assignment.course.policy.reveal)) or None
            gradebook.db.commit()


class ComposeFeedback(Preprocessor):
    """Makes the page that the feedback template prints."""

    def work(self, nb: NotebookNode, resources: Resources, assignment: Assignment, student: str) -> None:
        """Put the page into `resources`."""
        with Gradebook(resources["nbgrader"]["db_url"], assignment.course.id) as gradebook:
            penalty = books.refresh_penalty(gradebook, assignment, student)
            grades = books.grades(gradebook, assignment, student)[student]
        _, arrival = intake.original(assignment, student)
        page = compose(nb, assignment, student, grades, received=arrival.received, penalty=penalty)
        resources["page"] = Markup(render(page))


def _insist_on_fit(assignment: Assignment, cells: dict[str, NotebookNode], verdict: Verdict) -> None:
    """The released exercises and their points must be those that the verdict is about."""
    released = {name: float(cell.metadata.nbgrader.points) for name, cell in cells.items()}
    graded = {result.name: result.points for result in verdict.exercises}
    if released != graded:
        odd = sorted(name for name in released.keys() | graded.keys() if released.get(name) != graded.get(name))
        raise CourseError(
            f"{', '.join(odd)}: the gradebook's exercises and points are not those of {assignment.starter_path.name}; "
            f"run `course release {assignment.slug}` again"
        )


def _outputs(result: ExerciseResult) -> list[NotebookNode]:
    return [
        new_output("execute_result", {"text/plain": repr(float(result.earned))}, execution_count=None),
        new_output("display_data", exercise.to_bundle(result)),
    ]


def _notes(left_out: list[str], submission: Submission, verdict: Verdict) -> list[str]:
    first = [f"Nothing could be graded: {submission.problem}"] if submission.problem else []
    return list(dict.fromkeys([*first, *left_out, *submission.notes, *verdict.notes]))
