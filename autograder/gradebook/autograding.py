"""Where our side of `nbgrader autograde` begins: before nbgrader has read or copied anything of a student's.

nbgrader offers two places. A hook runs before the student's files are copied, but its failure is passed over. The
exporter runs next and reads the notebook, and its failure fails this student and no other. Intake happens in the first,
so that nothing hostile is copied, and is made sure of in the second.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook import books, history, ledger
from autograder.gradebook.context import current
from autograder.gradebook.intake import intake
from autograder.gradebook.results import sound_verdict
from autograder.gradebook.standing import Score, cleared, foreseen, standing


def take_in(assignment: str, student: str, notebooks: list[str]) -> None:
    """nbgrader's `pre_convert_hook`: take a student's folder in, and let nbgrader grade the one notebook that results.

    Args:
        assignment: a glob; the folder says more.
        student: a glob; the folder says more.
        notebooks: paths of all notebooks in the student's folder. nbgrader goes on with what we leave in it.
    """
    folder = Path(notebooks[0]).parent
    notebooks[:] = [str(folder / f"{folder.name}.ipynb")]
    intake(current(folder.parents[2], folder.name), folder.parent.name)


def withdraw(gradebook: Gradebook, coursedir: CourseDirectory, assignment: Assignment, student: str) -> None:
    """Forget what was said of a submission that cannot be graded, and log that.

    Raises:
        CourseError: the log cannot be written; then nothing is forgotten.
    """
    forget(gradebook, coursedir, assignment, student, cleared(gradebook, assignment, student), None)


def forget(
    gradebook: Gradebook,
    coursedir: CourseDirectory,
    assignment: Assignment,
    student: str,
    then: Score,
    suite: str | None,
) -> None:
    """See to it that nothing the autograder said of a submission outlives it: neither the score nor the page about it.

    Args:
        gradebook: where it is said.
        coursedir: where the page is.
        assignment: what was answered.
        student: who answered.
        then: what the gradebook will say when the submission is graded, for the log.
        suite: the digest of the suite that it will be graded with; None if it cannot be.

    Raises:
        CourseError: the log cannot be written; then nothing is forgotten.
    """
    now = standing(gradebook, assignment, student)
    graded = now is not None and any(grade.auto is not None for grade in now.grades.values())
    before = _suite_before(assignment, student) if graded else None
    history.announce(assignment.course, assignment.slug, now, then, before, suite)
    books.clear(gradebook, assignment, student)
    page = coursedir.format_path(coursedir.feedback_directory, student, assignment.slug)
    shutil.rmtree(page, ignore_errors=True)


def _suite_before(assignment: Assignment, student: str) -> str | None:
    """The suite under which the gradebook's scores were given; None if a broken ledger has lost it."""
    try:
        return ledger.read(assignment, student).suite or None
    except CourseError:
        return None


class SubmissionExporter(NotebookExporter):
    """Reads submissions for nbgrader's first pass, and its own result for the second."""

    def from_filename(self, filename: str, resources: dict[str, Any], **kw: Any) -> tuple[str, dict[str, Any]]:
        """Take a submission in, find the verdict, clear what was said of the last one, and convert what intake made of it."""
        coursedir = self.parent.coursedir
        student = resources["nbgrader"]["student"]
        assignment = current(Path(coursedir.root), resources["nbgrader"]["assignment"])
        if Path(filename).parent == assignment.submission_directory(student):
            self._make_room(coursedir, assignment, student)
        return super().from_filename(filename, resources, **kw)

    def _make_room(self, coursedir: CourseDirectory, assignment: Assignment, student: str) -> None:
        """Have nothing said of a submission any more, once it is logged what will be said of it."""

        def gradebook() -> Gradebook:
            return Gradebook(coursedir.db_url, coursedir.course_id)

        try:
            submission = intake(assignment, student)
            verdict = sound_verdict(assignment, student, submission)
            with gradebook() as book:
                then = foreseen(book, assignment, student, submission, verdict)
        except Exception:
            with gradebook() as book:
                withdraw(book, coursedir, assignment, student)
            raise
        with gradebook() as book:
            forget(book, coursedir, assignment, student, then, verdict.suite)
