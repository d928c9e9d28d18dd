"""What we do to notebooks among nbgrader's own preprocessors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import determine_grade, is_grade

from autograder.errors import CourseError
from autograder.gradebook import books, intake, ledger
from autograder.gradebook.context import CourseContext
from autograder.gradebook.results import has_loose_text, question_results, sound_verdict, unanswered
from autograder.report import exercise
from autograder.report.page import CHECK, NOTES
from autograder.report.reveal import revealed, reveals
from autograder.submission import Submission
from autograder.verdict import ExerciseResult, Verdict

Resources = dict[str, Any]


class ApplyVerdict(CourseContext, NbGraderPreprocessor):
    """Stands where nbgrader would run the notebook: every grade cell gets the verdict's points as its result.

    nbgrader gives full points for a cell that has no result, and for almost any odd one; so each has one plain float.
    """

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Fill in the outputs.

        Raises:
            CourseError: there is no verdict. nbgrader reports the student as failed, keeps no score, and goes on with
                the next one.
        """
        assignment, student = self.assignment_and_student(resources)
        submission = intake.read(assignment, student)
        verdict = sound_verdict(assignment, student, submission)
        cells = {
            cell.metadata.nbgrader.grade_id: cell for cell in nb.cells if is_grade(cell) and cell.cell_type == "code"
        }
        if cells.keys() != {CHECK + result.name for result in verdict.exercises}:
            raise CourseError(f"{assignment.starter_path.name} changed while it was graded; run the command again")
        for result in verdict.exercises:
            cells[CHECK + result.name].outputs = _outputs(result)
        _, arrival = intake.original(assignment, student)
        nb.metadata[NOTES] = {
            **nb.metadata.get(NOTES, {}),
            "received": arrival.received.isoformat() if arrival.received else None,
            "notes": _notes(arrival.left_out, submission, verdict),
            "unanswered": unanswered(assignment, submission),
            "isolation": verdict.isolation,
            "device": verdict.device,
            "suite": verdict.suite,
            "submission": verdict.submission,
        }
        return nb, resources


class SaveScores(CourseContext, NbGraderPreprocessor):
    """Writes scores and comments as nbgrader's SaveAutoGrades does, but in one transaction, where that needs one a cell.

    A comment says what the verdict was, until a person writes another. It can reach students by other ways than our
    feedback page, so it says what policy allows and no more.
    """

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        """Write to the gradebook."""
        assignment, student = self.assignment_and_student(resources)
        with Gradebook(resources["nbgrader"]["db_url"], assignment.course.id) as gradebook:
            levels = reveals(assignment, student, books.due(gradebook, assignment, student))
        results = question_results(nb, nb.metadata[NOTES]["unanswered"])
        comments: dict[str, str | None] = {}
        for cell in filter(is_grade, nb.cells):
            name = cell.metadata.nbgrader.grade_id
            if cell.cell_type == "code":
                score, points = determine_grade(cell, self.log)
                results[name] = books.Result(points, score)
                exercised = name.removeprefix(CHECK)
                result = revealed(exercise.shown_by(cell), levels[exercised])
                comments[exercised] = exercise.to_text(result) or None
            else:
                answered = name not in nb.metadata[NOTES]["unanswered"]
                no_answer = "No answer in its place." if has_loose_text(nb) else "No answer."
                comments[name] = None if answered else no_answer
        received = nb.metadata[NOTES]["received"]
        time = datetime.fromisoformat(received) if received else None
        with Gradebook(resources["nbgrader"]["db_url"], assignment.course.id) as gradebook:
            books.save(gradebook, assignment, student, time, results, comments)
        ledger.remember_suite(assignment, student, nb.metadata[NOTES]["suite"])
        return nb, resources


def _outputs(result: ExerciseResult) -> list[NotebookNode]:
    return [
        new_output("execute_result", {"text/plain": repr(float(result.earned))}, execution_count=None),
        new_output("display_data", exercise.to_bundle(result)),
    ]


def _notes(left_out: list[str], submission: Submission, verdict: Verdict) -> list[str]:
    first = [f"Nothing could be graded: {submission.problem}"] if submission.problem else []
    return list(dict.fromkeys([*first, *left_out, *submission.notes, *verdict.notes]))
