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
from autograder.gradebook import books
from autograder.gradebook.context import current
from autograder.gradebook.intake import intake


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


def forget(gradebook: Gradebook, coursedir: CourseDirectory, assignment: Assignment, student: str) -> None:
    """See to it that nothing the autograder said of a submission outlives it: neither the score nor the page about it."""
    books.clear(gradebook, assignment, student)
    page = coursedir.format_path(coursedir.feedback_directory, student, assignment.slug)
    shutil.rmtree(page, ignore_errors=True)


class SubmissionExporter(NotebookExporter):
    """Reads submissions for nbgrader's first pass, and its own result for the second."""

    def from_filename(self, filename: str, resources: dict[str, Any], **kw: Any) -> tuple[str, dict[str, Any]]:
        """Clear what was said of the last submission, take this one in, and convert what intake made of it."""
        coursedir = self.parent.coursedir
        student = resources["nbgrader"]["student"]
        assignment = current(Path(coursedir.root), resources["nbgrader"]["assignment"])
        if Path(filename).parent == assignment.submission_directory(student):
            with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
                forget(gradebook, coursedir, assignment, student)
            intake(assignment, student)
        return super().from_filename(filename, resources, **kw)
