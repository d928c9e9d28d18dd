"""nbgrader's gradebook, as we write and read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.lateness import penalty
from autograder.report.page import CHECK, Grade


def clear(gradebook: Gradebook, assignment: Assignment, student: str) -> None:
    """Forget what the autograder said of a submission. What people said, scores and comments, stays."""
    try:
        notebook = gradebook.find_submission_notebook(assignment.slug, assignment.slug, student)
    except MissingEntry:
        return
    notebook.late_submission_penalty = None
    grades = gradebook.db.query(GradeRow).filter(GradeRow.notebook_id == notebook.id)
    grades.update({"auto_score": None, "needs_manual_grade": True})
    gradebook.db.query(Comment).filter(Comment.notebook_id == notebook.id).update({"auto_comment": None})
    gradebook.db.commit()


@dataclass(frozen=True)
class Result:
    """What the autograder says of one grade cell; a score of None asks for a person's."""

    points: float
    score: float | None


@dataclass(frozen=True)
class Entry:
    """What stands in one grade cell: the points it is worth, the autograder's score, a person's, and extra credit."""

    points: float
    auto: float | None = None
    manual: float | None = None
    extra: float | None = None


def save(
    gradebook: Gradebook,
    assignment: Assignment,
    student: str,
    received: datetime | None,
    results: Mapping[str, Result],
    comments: Mapping[str, str | None],
) -> None:
    """Write what the autograder says of a submission, all of it or nothing.

    Args:
        gradebook: where to.
        assignment: what was answered.
        student: who answered.
        received: when the answer arrived, if anyone knows.
        results: by grade cell.
        comments: by solution cell.

    Raises:
        CourseError: the gradebook was made for other cells, or other points.
    """
    notebook = gradebook.find_submission_notebook(assignment.slug, assignment.slug, student)
    cells = _cells(gradebook, notebook)
    fits(assignment, {name: cell.max_score for name, (_, cell) in cells.items()}, results)
    for name, (grade, _) in cells.items():
        grade.auto_score = results[name].score
        # As in nbgrader: a score that a person gave stands, but may have to be thought over.
        grade.needs_manual_grade = grade.auto_score is None or grade.manual_score is not None
    query = gradebook.db.query(Comment, SolutionCell.name).join(SolutionCell, Comment.cell_id == SolutionCell.id)
    for comment, name in query.filter(Comment.notebook_id == notebook.id):
        comment.auto_comment = comments.get(name)
    notebook.assignment.timestamp = _naive_utc(received)  # nbgrader would keep an earlier submission's
    _reckon_lateness(gradebook, assignment, notebook, cells)
    gradebook.db.commit()


def fits(assignment: Assignment, cells: Mapping[str, float], results: Mapping[str, Result]) -> None:
    """Insist that results are for the grade cells that the gradebook has, `cells`, and for as many points.

    Raises:
        CourseError: the gradebook was made for other cells, or other points.
    """
    graded = {name: result.points for name, result in results.items()}
    if odd := sorted(name for name in cells.keys() | graded.keys() if cells.get(name) != graded.get(name)):
        raise CourseError(
            f"{', '.join(odd)}: the gradebook was made for other exercises or points than "
            f"{assignment.starter_path.name} has now; run `course release {assignment.slug}` again"
        )


def entries(gradebook: Gradebook, assignment: Assignment, student: str) -> dict[str, Entry]:
    """What stands in each grade cell of a student's submission; before the first, empty cells."""
    try:
        notebook = gradebook.find_submission_notebook(assignment.slug, assignment.slug, student)
    except MissingEntry:
        released = gradebook.find_notebook(assignment.slug, assignment.slug)
        return {cell.name: Entry(cell.max_score) for cell in released.grade_cells}
    return _entries(_cells(gradebook, notebook))


def due(gradebook: Gradebook, assignment: Assignment, student: str) -> datetime | None:
    """When a student's work is due: by everybody's date, or by what `course extend` or nbgrader granted."""
    if assignment.due is None:
        return None
    try:
        granted = gradebook.find_submission(assignment.slug, student).extension
    except MissingEntry:
        granted = None
    return ledger.read(assignment, student).due or assignment.due + (granted or timedelta())


def refresh_penalty(gradebook: Gradebook, assignment: Assignment, student: str) -> None:
    """Work out what lateness costs now: written answers are graded, and extensions granted, after autograding."""
    notebook = gradebook.find_submission_notebook(assignment.slug, assignment.slug, student)
    _reckon_lateness(gradebook, assignment, notebook, _cells(gradebook, notebook))
    gradebook.db.commit()


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
        comment = comments.get((who, name))
        rows.setdefault(who, {})[name] = Grade(points, score if graded else None, auto, comment, manual)
    return {who: in_order(assignment, theirs) for who, theirs in sorted(rows.items())}


def in_order(assignment: Assignment, theirs: Mapping[str, Grade]) -> dict[str, Grade]:
    """Grades in the order of the notebook: exercises, questions, and what the starter no longer has."""
    order = [*(item.name for item in assignment.exercises), *(item.name for item in assignment.questions)]
    return {name: theirs[name] for name in [*order, *sorted(theirs.keys() - set(order))] if name in theirs}


def penalties(gradebook: Gradebook, assignment: Assignment, student: str | None = None) -> dict[str, float]:
    """What lateness costs everyone, or one student, as the gradebook has it."""
    query = gradebook.db.query(Student.id, SubmittedNotebook.late_submission_penalty).select_from(SubmittedNotebook)
    query = query.join(SubmittedAssignment).join(Student).join(AssignmentRow)
    query = query.filter(AssignmentRow.name == assignment.slug)
    return {who: off or 0.0 for who, off in (query.filter(Student.id == student) if student is not None else query)}


Cells = dict[str, tuple[GradeRow, GradeCell]]


def _cells(gradebook: Gradebook, notebook: SubmittedNotebook) -> Cells:
    query = gradebook.db.query(GradeRow, GradeCell).join(GradeCell, GradeRow.cell_id == GradeCell.id)
    return {cell.name: (grade, cell) for grade, cell in query.filter(GradeRow.notebook_id == notebook.id)}


def _entries(cells: Cells) -> dict[str, Entry]:
    return {
        name: Entry(cell.max_score, grade.auto_score, grade.manual_score, grade.extra_credit)
        for name, (grade, cell) in cells.items()
    }


def _reckon_lateness(gradebook: Gradebook, assignment: Assignment, notebook: SubmittedNotebook, cells: Cells) -> None:
    """By the student's due date and the time of arrival."""
    submission = notebook.assignment
    submission.assignment.duedate = _naive_utc(assignment.due)
    if (own := due(gradebook, assignment, submission.student.id)) is not None and assignment.due is not None:
        submission.extension = own - assignment.due
    off = penalty_on(assignment, _entries(cells).values(), submission.total_seconds_late)
    notebook.late_submission_penalty = off or None


def penalty_on(assignment: Assignment, entries: Iterable[Entry], seconds_late: float) -> float:
    """What lateness costs a submission with these scores."""
    points = score = 0.0
    for entry in entries:
        given = entry.auto if entry.manual is None else entry.manual
        score += (given or 0.0) + (entry.extra or 0.0)
        points += entry.points
    return penalty(assignment.policy, points, score, seconds_late)


def _naive_utc(time: datetime | None) -> datetime | None:
    """A time as nbgrader keeps it: in UTC, without saying so."""
    return time.astimezone(UTC).replace(tzinfo=None) if time else None
