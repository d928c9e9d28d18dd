"""What is stored of a class: who handed in, what the gradebook says of it, and the verdict behind that. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook import books
from autograder.gradebook.intake import original, students
from autograder.gradebook.lateness import DAY, seconds_late
from autograder.gradebook.record import enrolled, opened, scores
from autograder.gradebook.settings import load
from autograder.gradebook.standing import Score
from autograder.report.classpage.similarity import fingerprints, released_fingerprints
from autograder.store import VerdictStore
from autograder.submission import Submission, read_submission
from autograder.verdict import Verdict


@dataclass(frozen=True)
class Student:
    """One student, and what is known of their submission.

    Attributes:
        handed_in: whether there is a submission.
        score: what the gradebook says; None if nothing has been graded.
        verdict: under the present suite; None if there is none.
        late: how long after the student's own due date it arrived, in days; 0 if it was in time, or nobody knows.
        notes: what was met in the file.
        page: their feedback page, if it is written.
        passages: fingerprints of the code, by the exercise that it answers ("" for all other code).
    """

    name: str
    handed_in: bool = True
    score: Score | None = None
    verdict: Verdict | None = None
    late: float = 0.0
    notes: tuple[str, ...] = ()
    page: Path | None = None
    passages: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)

    @property
    def graded(self) -> bool:
        """Whether the gradebook has any score of theirs."""
        return self.score is not None and any(grade.score is not None for grade in self.score.grades.values())

    @property
    def waiting(self) -> tuple[str, ...]:
        """What waits for a person, of a submission that is graded."""
        return tuple(self.score.waiting) if self.score is not None and self.graded else ()


def gather(assignment: Assignment) -> list[Student]:
    """Everyone who handed in or is on the gradebook's list, by name.

    Raises:
        CourseError: nobody handed anything in, or the gradebook cannot be used.
    """
    names = students(assignment)
    if not names:
        raise CourseError(
            f"there are no submissions to {assignment.slug}; `course collect {assignment.slug}` brings them"
        )
    known = scores(assignment.course, assignment.slug)
    store, exercises = VerdictStore(assignment, "cpu"), [exercise.name for exercise in assignment.exercises]
    coursedir = CourseDirectory(config=load(assignment.course))
    released = released_fingerprints(assignment)

    def student(gradebook: Gradebook, name: str) -> Student:
        try:
            folder, arrival = original(assignment, name)
            submission = read_submission(folder, assignment)
        except (CourseError, OSError) as error:  # not taken in yet, or no longer readable: a person has to look
            return Student(name, score=known.get(name), notes=(str(error),))
        verdict = store.known(submission).whole(exercises)
        page = Path(coursedir.format_path(coursedir.feedback_directory, name, assignment.slug))
        page /= f"{assignment.slug}.html"
        return Student(
            name,
            score=known.get(name),
            verdict=verdict,
            late=seconds_late(books.due(gradebook, assignment, name), arrival.received) / DAY,
            notes=_notes(submission, verdict),
            page=page if page.is_file() else None,
            passages=fingerprints(submission.cells, released),
        )

    missing = set(enrolled(assignment.course, assignment.slug)) - set(names)
    with opened(assignment.course, assignment) as gradebook:
        everyone = [student(gradebook, name) for name in names]
    everyone += [Student(name, handed_in=False) for name in missing]
    return sorted(everyone, key=lambda item: (item.name.casefold(), item.name))


def _notes(submission: Submission, verdict: Verdict | None) -> tuple[str, ...]:
    said = verdict.notes if verdict is not None else submission.notes
    return tuple(dict.fromkeys((*filter(None, [submission.problem]), *said)))
