"""How much of a verdict a student is shown, by the course's policy."""

from __future__ import annotations

from dataclasses import replace

from autograder.course import Reveal
from autograder.verdict import ExerciseResult, PropertyResult

LEVELS: tuple[Reveal, ...] = ("score", "property", "message", "counterexample")


def revealed(result: ExerciseResult, reveal: Reveal) -> ExerciseResult:
    """The part of an exercise's result that its student may see.

    An error is the student's own: it says that the code did not get as far as a property. What a property found, and a
    mistake that was recognised by it, can carry hidden inputs.
    """
    level = LEVELS.index(reveal)
    return replace(
        result,
        properties=tuple(_property(found, level) for found in result.properties) if level >= 1 else (),
        mistakes=result.mistakes if level >= 2 else (),
    )


def _property(found: PropertyResult, level: int) -> PropertyResult:
    return replace(
        found,
        message=found.message if level >= 2 else None,
        counterexample=found.counterexample if level >= 3 else None,
    )
