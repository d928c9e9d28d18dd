"""Grading a class: take in, compute verdicts in parallel, and record them through nbgrader as they come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.grade import Grader
from autograder.gradebook import graders
from autograder.gradebook.context import current
from autograder.gradebook.intake import intake, students
from autograder.gradebook.record import record
from autograder.submission import Submission

Progress = Callable[[str, int, int], None]  # what is done, how many of them, out of how many


@dataclass(frozen=True)
class Graded:
    """What came of one student's submission.

    Attributes:
        score: what the gradebook says, lateness taken off; None if grading failed.
        points: all that can be earned.
        exercises: earned points by exercise.
        worth: points that each exercise is worth.
        penalty: points that lateness takes off.
        waiting: written questions that nobody has graded yet.
        notes: what was met in the file, for the student.
        failure: why there is no score.
        seconds: what the verdict took.
    """

    student: str
    score: float | None
    points: float
    exercises: dict[str, float]
    worth: dict[str, float]
    penalty: float
    waiting: tuple[str, ...]
    notes: tuple[str, ...]
    failure: str | None
    seconds: float


def taken_in(assignment: Assignment, only: Sequence[str] | None = None) -> tuple[dict[str, Submission], dict[str, str]]:
    """The submission of everyone who handed something in, or of `only` some, and why others cannot be taken in.

    Raises:
        CourseError: nobody handed anything in, or one of those who were named did not.
    """
    chosen = list(only) if only is not None else students(assignment)
    if not chosen:
        raise CourseError(
            f"there are no submissions to {assignment.slug}; `course collect {assignment.slug}` brings them"
        )
    same = current(
        assignment.course.root, assignment.slug
    )  # as nbgrader's plugins see it: what is read here, they have
    submissions: dict[str, Submission] = {}
    refused: dict[str, str] = {}
    for student in chosen:
        try:
            submissions[student] = intake(same, student)
        except (CourseError, OSError) as error:
            if only is not None:
                raise
            refused[student] = str(error)
    return submissions, refused


def grade_class(
    assignment: Assignment,
    only: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    force: bool = False,
    trust: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> list[Graded]:
    """Grade everyone who handed something in, or `only` some.

    Each verdict is stored and recorded as it comes, so a run that is stopped goes on where it was. One submission that
    cannot be graded gets a reason, and the others go on.

    Raises:
        CourseError: nobody handed anything in, or nothing can be graded here.
    """
    submissions, refused = taken_in(assignment, only)
    student_of = {id(submission): student for student, submission in submissions.items()}
    worth = {exercise.name: exercise.points for exercise in assignment.exercises}
    notes: dict[str, tuple[str, ...]] = {}
    seconds: dict[str, float] = {}

    def with_verdict(grader: Grader) -> Iterator[str]:
        """Students, as soon as there is a verdict; last those on whom the grader failed, for another try."""
        failed = []
        progress("Grading", 0, len(submissions))
        for done, (submission, verdict) in enumerate(grader.verdicts(submissions.values()), 1):
            student = student_of[id(submission)]
            notes[student] = (*filter(None, [submission.problem]), *verdict.notes)
            seconds[student] = verdict.seconds.get("total", 0.0)
            progress("Grading", done, len(submissions))
            if verdict.failure is None:
                yield student
            else:
                failed.append(student)
        yield from failed

    with (
        Grader(assignment, workers=workers, force=force, trust=trust) as grader,
        graders.using(assignment, grader),
    ):
        count = itertools.count(1)
        recorded = record(
            assignment.course,
            assignment.slug,
            with_verdict(grader),
            progress=lambda _: progress("Recording", next(count), len(submissions)),
        )
    graded = [
        Graded(
            student=item.student,
            score=round(score.earned, 4) if score else None,
            points=score.points if score else assignment.points,
            exercises={name: score.grades[name].score or 0.0 for name in worth} if score else {},
            worth=worth,
            penalty=score.penalty if score else 0.0,
            waiting=tuple(score.waiting) if score else (),
            notes=notes.get(item.student, ()),
            failure=item.failure,
            seconds=seconds.get(item.student, 0.0),
        )
        for item in recorded
        for score in [item.score]
    ]
    graded += [Graded(name, None, assignment.points, {}, worth, 0.0, (), (), why, 0.0) for name, why in refused.items()]
    return sorted(graded, key=lambda item: item.student)
