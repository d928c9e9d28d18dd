"""What grading a class anew would change: every score as the gradebook has it and as it would become, and why.

Verdicts are computed and stored as for a grading, so that the one that follows has them at hand. Nothing is recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nbformat
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory

from autograder.classroom import Progress, taken_in
from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.grade import Grader
from autograder.gradebook import graders
from autograder.gradebook.record import opened
from autograder.gradebook.results import sound_verdict
from autograder.gradebook.settings import load
from autograder.gradebook.standing import Score, cleared, foreseen, standing
from autograder.report.exercise import results_shown
from autograder.report.page import NOTES, Grade
from autograder.report.reasons import reasons
from autograder.submission import Submission
from autograder.verdict import ExerciseResult, Verdict

Outlook = Literal["gains", "loses", "stays", "new", "fails"]


@dataclass(frozen=True)
class Foreseen:
    """One exercise or written question: its score and points, as they are and as they become.

    Attributes:
        score: in the gradebook; None if nobody has graded it.
        becomes: after the grading.
        points: what it is worth in the gradebook.
        kept: whether a grader set the points, which stay.
        commented: whether a grader wrote a comment, which stays.
        why: what changed since the last grading, in sentences.
    """

    name: str
    score: float | None
    becomes: float | None
    points: float
    kept: bool
    commented: bool
    why: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What grading anew would do to one student's score.

    Attributes:
        score: what the gradebook says, lateness taken off; None before the first grading.
        becomes: what it will say; None if the submission cannot be graded.
        penalty: points that lateness takes off now.
        penalty_becomes: and after the grading.
        exercises: and written questions, all of them.
        notes: what is known of the submission as a whole.
        failure: why it cannot be graded.
    """

    student: str
    outlook: Outlook
    score: float | None
    becomes: float | None
    penalty: float
    penalty_becomes: float
    exercises: tuple[Foreseen, ...]
    notes: tuple[str, ...] = ()
    failure: str | None = None


def foresee(
    assignment: Assignment,
    only: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    force: bool = False,
    trust: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> list[Preview]:
    """Say what `grade_class` with the same arguments would change.

    Raises:
        CourseError: nobody handed anything in, or nothing can be graded here, or the gradebook cannot be used.
    """
    submissions, refused = taken_in(assignment, only)
    coursedir = CourseDirectory(config=load(assignment.course))
    with Grader(assignment, workers=workers, force=force, trust=trust) as grader:
        progress("Grading", 0, len(submissions))
        for done, _ in enumerate(grader.verdicts(submissions.values()), 1):
            progress("Grading", done, len(submissions))
        with graders.using(assignment, grader), opened(assignment.course, assignment) as gradebook:
            found = [
                _of_student(
                    gradebook, assignment, student, submission, _graded_notebook(coursedir, assignment, student)
                )
                for student, submission in submissions.items()
            ]
            for student, why in refused.items():  # a grading passes them by
                now = standing(gradebook, assignment, student)
                found.append(_compared(student, now, now, failure=why))
    return sorted(found, key=lambda item: item.student)


def summary(previews: Sequence[Preview]) -> dict[Outlook, int]:
    """How many students gain, lose, and so on."""
    counts = Counter(item.outlook for item in previews)
    kinds: tuple[Outlook, ...] = ("gains", "loses", "stays", "new", "fails")
    return {kind: counts[kind] for kind in kinds}


def _of_student(
    gradebook: Gradebook, assignment: Assignment, student: str, submission: Submission, graded: Path
) -> Preview:
    now = standing(gradebook, assignment, student)
    try:
        verdict = sound_verdict(assignment, student, submission)
        then = foreseen(gradebook, assignment, student, submission, verdict)
    except (CourseError, OSError) as error:
        return _compared(student, now, cleared(gradebook, assignment, student), failure=str(error))
    return _compared(student, now, then, verdict=verdict, last=_last_grading(graded))


def _graded_notebook(coursedir: CourseDirectory, assignment: Assignment, student: str) -> Path:
    folder = Path(coursedir.format_path(coursedir.autograded_directory, student, assignment.slug))
    return folder / f"{assignment.slug}.ipynb"


@dataclass(frozen=True)
class LastGrading:
    """What was found when a submission was graded last: results by exercise, and which submission that was."""

    results: Mapping[str, ExerciseResult]
    submission: str | None


def _last_grading(path: Path) -> LastGrading | None:
    """What the graded notebook shows; None if there is none that can be read."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        return None
    about = notebook.metadata.get(NOTES, {})
    return LastGrading(results_shown(notebook), about.get("submission"))


def _compared(
    student: str,
    now: Score | None,
    then: Score | None,
    *,
    verdict: Verdict | None = None,
    last: LastGrading | None = None,
    failure: str | None = None,
) -> Preview:
    graded = now is not None and any(grade.score is not None for grade in now.grades.values())
    before, after = (score.grades if score else {} for score in (now, then))
    found = {result.name: result for result in verdict.exercises} if verdict else {}
    exercises = tuple(
        _exercise(name, before.get(name), after.get(name), last.results.get(name) if last else None, found.get(name))
        for name in {**after, **before}
    )
    score = round(now.earned, 4) if now and graded else None
    becomes = round(then.earned, 4) if then and (failure is None or then is now) else None
    notes = []
    if graded and failure is None and last is None:
        notes.append("The notebook that was graded last is gone: only the gradebook says what changes.")
    if verdict and last and last.submission not in (None, verdict.submission):
        notes.append("What was graded last was another submission.")
    return Preview(
        student=student,
        outlook=_outlook(score, becomes, failure),
        score=score,
        becomes=becomes,
        penalty=now.penalty if now else 0.0,
        penalty_becomes=then.penalty if then else 0.0,
        exercises=exercises,
        notes=tuple(notes),
        failure=failure,
    )


def _exercise(
    name: str,
    now: Grade | None,
    then: Grade | None,
    last: ExerciseResult | None,
    found: ExerciseResult | None,
) -> Foreseen:
    grade = then or now
    assert grade is not None
    why = reasons(last, found) if last and found else []
    if grade.manual is not None and now and then and now.auto != then.auto:
        why.append(f"the autograder would say {_points(then.auto)}, not {_points(now.auto)}")
    return Foreseen(
        name=name,
        score=now.score if now else None,
        becomes=then.score if then else None,
        points=grade.points,
        kept=grade.manual is not None,
        commented=grade.comment is not None,
        why=tuple(why),
    )


def _points(score: float | None) -> str:
    return "nothing" if score is None else f"{score:g}"


def _outlook(score: float | None, becomes: float | None, failure: str | None) -> Outlook:
    if failure is not None:
        return "fails"
    if score is None or becomes is None:
        return "new"
    return "gains" if becomes > score else "loses" if becomes < score else "stays"
