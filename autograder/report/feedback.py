"""Feedback pages, by nbgrader's own converter, so that `nbgrader release_feedback` finds them where it looks."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import GenerateFeedback, NbGraderException
from nbgrader.coursedir import CourseDirectory

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook import books
from autograder.gradebook.connection import one_engine
from autograder.gradebook.context import CourseContext
from autograder.gradebook.ledger import alone
from autograder.gradebook.quiet import quietly
from autograder.gradebook.settings import load
from autograder.report.page import compose, render
from autograder.report.reveal import reveals


class PageExporter(CourseContext, Exporter):
    """Stands where nbgrader would render the notebook for its student, and makes our page."""

    file_extension = ".html"
    output_mimetype = "text/html"

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page, with the gradebook's word as of now."""
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        names = resources["nbgrader"]
        assignment, student = self.assignment(names["assignment"]), names["student"]
        with Gradebook(names["db_url"], assignment.course.id) as gradebook:
            try:
                books.refresh_penalty(gradebook, assignment, student)
            except MissingEntry:
                raise CourseError(
                    f"the gradebook has no submission of theirs; run `course grade {assignment.slug}` first"
                ) from None
            grades = books.grades(gradebook, assignment, student)[student]
            levels = reveals(assignment, student, books.due(gradebook, assignment, student))
            penalty = books.penalties(gradebook, assignment, student)[student]
        return render(compose(nb, assignment, student, grades, levels, penalty)), resources


def feedback(course: Course, slug: str, students: Iterable[str] | None = None) -> dict[str, Path | CourseError]:
    """Write a page for each student whose submission is graded.

    Args:
        course: whose.
        slug: for which assignment.
        students: for whom; None for all.

    Returns:
        The page of each student, or what kept it from being written.
    """
    assignment = course.assignment(slug)
    config = load(course)
    coursedir = CourseDirectory(config=config, assignment_id=slug)
    graded = Path(coursedir.root) / coursedir.autograded_directory
    if students is None:
        students = sorted(folder.parent.name for folder in graded.glob(f"*/{slug}"))
    pages: dict[str, Path | CourseError] = {}
    with one_engine():
        for student in students:
            coursedir.student_id = glob.escape(student)
            with alone(assignment, "grading"), quietly() as overheard:
                try:
                    converter = GenerateFeedback(coursedir=coursedir, config=config)
                    converter.force = True
                    converter.start()
                    written = Path(coursedir.format_path(coursedir.feedback_directory, student, slug))
                    pages[student] = written / f"{assignment.slug}.html"
                except NbGraderException:
                    pages[student] = CourseError(f"no page for {student}: {overheard.reason}")
    return pages
