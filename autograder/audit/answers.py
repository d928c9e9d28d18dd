"""The answers that an audit hands in, exercise by exercise, and what each may earn."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.audit import imitation
from autograder.audit.mutants import Mutant, mutants
from autograder.audit.table import Kind
from autograder.course import Assignment
from autograder.engines.job import Job
from autograder.mistakes import Mistake
from autograder.reference import completed, reference_sources
from autograder.submission import submission_of
from autograder.verdict import Depth

SEED = "audit"  # not the course's own: what an audit finds must not depend on the machine that it runs on
WITH_OTHERS = 10  # of the other seeds question wrong answers, too, of which there are many
TRIVIAL = tuple(imitation.CHANGES)
WRONG = {
    "exception": "def {name}(*args, **kwargs):\n    raise RuntimeError('no idea')\n",
    "nothing": "def {name}(*args, **kwargs):\n    return None\n",
    "object": "def {name}(*args, **kwargs):\n    return object()\n",
    "text": "def {name}(*args, **kwargs):\n    return 'the answer'\n",
}


@dataclass(frozen=True)
class Answer:
    """Something to hand in.

    Attributes:
        kind: what it is.
        name: which one of its kind.
        exercise: what it answers; None for all.
        job: how it is graded.
        of: what it was made from.
    """

    kind: Kind
    name: str
    exercise: str | None
    job: Job
    of: Mistake | Mutant | None = None


def answers(assignment: Assignment, known: tuple[Mistake, ...], chosen: tuple[str, ...]) -> Iterator[Answer]:
    """All answers to the chosen exercises."""
    for path in alternates(assignment):
        submission = submission_of({path.stem: path.read_text("utf-8")})
        yield Answer("alternate", path.stem, None, Job(submission, chosen, diagnose=False, depth="score", seed=SEED))
    references = reference_sources(assignment)
    for exercise in assignment.exercises:
        if exercise.name not in chosen:
            continue
        reference = references[exercise.name]
        whole = functools.partial(completed, assignment, references, exercise.name)
        yield _answer("reference", "reference", exercise.name, whole(reference))
        yield _answer("stub", "stub", exercise.name, whole(exercise.source))
        for name, source in WRONG.items():
            yield _answer("wrong", name, exercise.name, whole(source.format(name=exercise.name)))
        for name in TRIVIAL:
            yield _answer("trivial", name, exercise.name, whole(trivial(exercise.name, reference, name)))
        for mistake in known:
            if mistake.exercise == exercise.name:
                yield _answer("mistake", mistake.name, exercise.name, whole(mistake.source), mistake)
        for number, mutant in enumerate(mutants(exercise.name, reference)):
            yield _answer("mutant", str(number), exercise.name, whole(mutant.source), mutant)


def with_other_seeds(
    assignment: Assignment, chosen: tuple[str, ...], everything: Sequence[Answer], seeds: int
) -> Iterator[Answer]:
    """Right answers questioned with so many other seeds, and known mistakes and trivial answers with some of them."""
    reference = submission_of(reference_sources(assignment))
    whole = Answer("reference", "reference", None, Job(reference, chosen, diagnose=False, depth="score"))
    right = [whole, *(answer for answer in everything if answer.kind == "alternate")]
    wrong = [answer for answer in everything if answer.kind in ("trivial", "mistake")]
    for number in range(seeds):
        for answer in (*right, *(wrong if number < WITH_OTHERS else ())):
            yield replace(
                answer, job=replace(answer.job, seed=f"another, number {number}", diagnose=False, depth="score")
            )


def _answer(
    kind: Kind, name: str, exercise: str, sources: Mapping[str, str], of: Mistake | Mutant | None = None
) -> Answer:
    depth: Depth = "failure" if kind == "mutant" else "score"
    job = Job(submission_of(sources), (exercise,), diagnose=kind == "mistake", depth=depth, seed=SEED)
    return Answer(kind, name, exercise, job, of)


def trivial(exercise: str, reference: str, change: str) -> str:
    """The source of an answer with the reference's form and no sense."""
    return "\n\n".join(
        [inspect.getsource(imitation), reference, f"{exercise} = imitation({exercise}, CHANGES[{change!r}])\n"]
    )


def alternates(assignment: Assignment) -> list[Path]:
    """Files of correct answers written in other ways."""
    return sorted((assignment.course.root / "tests" / "alternates" / assignment.slug).glob("*.py"))
