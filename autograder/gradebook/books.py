"""What we write into nbgrader's gradebook beside what nbgrader writes itself, and how we read it."""

from __future__ import annotations

from typing import Any

from nbgrader.api import Assignment as AssignmentRow
from nbgrader.api import (
    Comment,
    Gradebook,
    GradeCell,
    MissingEntry,
    SolutionCell,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.api import Grade as GradeRow

from autograder.course import Assignment
from autograder.gradebook import intake
from autograder.gradebook.lateness import naive_utc, penalty
from autograder.report.page import CHECK, Grade


def clear(gradebook: Gradebook, assignment: Assignment, student: str) -> None:
    """Forget what the autograder said of a submission. What people said, scores and comments, stays."""
    try:
        submission = gradebook.find_submission(assignment.slug, student)
    except MissingEntry:
        return
    for notebook in submission.notebooks:
        notebook.late_submission_penalty = None
        for grade in notebook.grades:
            grade.auto_score = None
            grade.needs_manual_grade = True
        for comment in notebook.comments:
            comment.auto_comment = None
    gradebook.db.commit()


def note_times(gradebook: Gradebook, assignment: Assignment, student: str) -> None:
    """Let the gradebook have the course's due date and the submission's time of arrival.

    nbgrader keeps the time of an earlier submission if a later one has none, and knows nothing of `course.toml`.
    """
    gradebook.find_assignment(assignment.slug).duedate = naive_utc(assignment.due)
    submission = gradebook.find_submission(assignment.slug, student)
    submission.timestamp = naive_utc(intake.original(assignment, student)[1].received)
    gradebook.db.commit()


def refresh_penalty(gradebook: Gradebook, assignment: Assignment, student: str) -> float:
    """Work out what lateness costs now: written answers are graded, and extensions granted, after autograding."""
    note_times(gradebook, assignment, student)
    submission = gradebook.find_submission(assignment.slug, student)
    notebook = gradebook.find_submission_notebook(assignment.slug, assignment.slug, student)
    off = penalty(assignment.course.policy, notebook.max_score, notebook.score, submission.total_seconds_late)
    notebook.late_submission_penalty = off or None
    gradebook.db.commit()
    return off


def grades(gradebook: Gradebook, assignment: Assignment, student: str | None = None) -> dict[str, dict[str, Grade]]:
    """What the gradebook says of everyone's exercises and questions, or of one student's, in the notebook's order."""

    def submitted(*columns: Any, row: Any, cell: Any) -> list[Any]:
        query = gradebook.db.query(Student.id, cell.name, *columns).select_from(row)
        query = query.join(cell, row.cell_id == cell.id).join(
            SubmittedNotebook, row.notebook_id == SubmittedNotebook.id
        )
        query = query.join(SubmittedAssignment).join(Student).join(AssignmentRow)
        query = query.filter(AssignmentRow.name == assignment.slug)
        return list(query.filter(Student.id == student) if student is not None else query)

    comments = {
        (who, name): text for who, name, text in submitted(Comment.manual_comment, row=Comment, cell=SolutionCell)
    }
    columns = GradeCell.max_score, GradeRow.score, GradeRow.auto_score, GradeRow.manual_score
    rows: dict[str, dict[str, Grade]] = {}
    for who, cell, points, score, auto, manual in submitted(*columns, row=GradeRow, cell=GradeCell):
        name = cell.removeprefix(CHECK)
        graded = auto is not None or manual is not None
        rows.setdefault(who, {})[name] = Grade(points, score if graded else None, auto, comments.get((who, name)))
    order = [*(item.name for item in assignment.exercises), *(item.name for item in assignment.questions)]
    return {
        who: {name: theirs[name] for name in [*order, *sorted(theirs.keys() - set(order))] if name in theirs}
        for who, theirs in sorted(rows.items())
    }
