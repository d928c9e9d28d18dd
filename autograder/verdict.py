"""The verdict: everything that grading finds out about one submission, as plain data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from autograder.course import Assignment
    from autograder.submission import Submission

Outcome = Literal["passed", "failed", "error", "timeout", "not_run"]
# How much is found out about an exercise that fails: that it does, what it earns, or also its smallest counterexamples.
Depth = Literal["failure", "score", "feedback"]


@dataclass(frozen=True)
class Picture:
    """What was expected and what came: two tables of numbers of the same form. A curve is a table of one row.

    Attributes:
        expected: rows of what should have come.
        received: rows of what came.
        wrong: places, counted row by row, where they differ by more than the property allows.
        place: which part of a larger tensor this is, as an index; empty for all of it.
    """

    expected: list[list[float]]
    received: list[list[float]]
    wrong: list[int]
    place: str = ""


@dataclass(frozen=True)
class PropertyResult:
    """What one hidden property found.

    `message`, `counterexample` and `picture` are for whoever may see them by the course's policy: they can carry hidden inputs.
    """

    name: str
    statement: str
    outcome: Outcome
    message: str | None = None
    counterexample: str | None = None
    weight: float = 1.0
    required: bool = False
    picture: Picture | None = None

    @classmethod
    def of(cls, data: dict[str, Any]) -> PropertyResult:
        """The inverse of `dataclasses.asdict`."""
        picture = data.get("picture")
        return cls(**{**data, "picture": Picture(**picture) if picture else None})


@dataclass(frozen=True)
class MistakeFound:
    """A known mistake that behaves as this answer does."""

    name: str
    says: str


@dataclass(frozen=True)
class ExerciseResult:
    """One exercise: its points, and why."""

    name: str
    points: float
    earned: float
    error: str | None = None
    properties: tuple[PropertyResult, ...] = ()
    mistakes: tuple[MistakeFound, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The result for one submission.

    `notes` say what the reader of the submission met on the way (a cell with a syntax error, a file name that had to be
    guessed). `failure` is set when the grader itself failed: such a verdict is never stored and never becomes a score.
    """

    assignment: str
    points: float
    earned: float
    isolation: str
    device: str
    suite: str
    submission: str
    exercises: tuple[ExerciseResult, ...]
    notes: tuple[str, ...] = ()
    failure: str | None = None
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    def to_json(self) -> str:
        """One JSON document, always with the same order of keys."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """The inverse of `to_json`.

        Raises:
            ValueError: the text is no verdict.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            exercises = tuple(
                ExerciseResult(
                    **{
                        **exercise,
                        "properties": tuple(map(PropertyResult.of, exercise["properties"])),
                        "mistakes": tuple(MistakeFound(**m) for m in exercise["mistakes"]),
                    }
                )
                for exercise in data["exercises"]
            )
            return cls(**{**data, "exercises": exercises, "notes": tuple(data["notes"])})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a verdict: {error}") from None

    def exercise(self, name: str) -> ExerciseResult:
        """The result of one exercise.

        Raises:
            LookupError: the assignment has no such exercise.
        """
        for result in self.exercises:
            if result.name == name:
                return result
        raise LookupError(name)


def score(points: float, results: tuple[PropertyResult, ...]) -> float:
    """What an exercise earns: the weighted share of properties that hold, or nothing if a required one does not.

    A required property is one that no trivial answer satisfies: without it, zeros would collect points for every
    invariance that zeros happen to have.
    """
    total = sum(result.weight for result in results)
    if not total or any(result.required and result.outcome != "passed" for result in results):
        return 0.0
    held = sum(result.weight for result in results if result.outcome == "passed")
    return round(points * held / total, 4)


def with_results(blank: Verdict, results: tuple[ExerciseResult, ...]) -> Verdict:
    """The verdict with its results, and their sum."""
    return replace(blank, exercises=results, earned=round(sum(result.earned for result in results), 4))


def with_points(result: ExerciseResult, points: float) -> ExerciseResult:
    """The same result where the exercise is worth other points."""
    return (
        result if points == result.points else replace(result, points=points, earned=score(points, result.properties))
    )


def joined(shares: Sequence[Verdict], names: Sequence[str]) -> Verdict:
    """One verdict from those on the shares of a submission; where the grader failed on one, it failed.

    Args:
        shares: each with its own exercises.
        names: all exercises, in order.
    """
    for share in shares:
        if share.failure is not None:
            return share
    results = sorted((r for share in shares for r in share.exercises), key=lambda result: names.index(result.name))
    seconds = Counter[str]()
    for share in shares:
        seconds.update(share.seconds)
    return replace(
        with_results(shares[0], tuple(results)),
        notes=tuple(dict.fromkeys(note for share in shares for note in share.notes)),
        seconds=dict(seconds),
    )


def blank_verdict(
    assignment: Assignment,
    submission: Submission,
    *,
    isolation: str,
    device: str,
    suite: str,
    failure: str | None = None,
) -> Verdict:
    """A verdict with nothing earned yet."""
    return Verdict(
        assignment=assignment.slug,
        points=assignment.points,
        earned=0.0,
        isolation=isolation,
        device=device,
        suite=suite,
        submission=submission.digest,
        exercises=tuple(ExerciseResult(exercise.name, exercise.points, 0.0) for exercise in assignment.exercises),
        notes=submission.notes,
        failure=failure,
    )
