"""How much of a verdict a student is shown, by the course's policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from autograder.course import Assignment, Reveal
from autograder.gradebook import ledger
from autograder.verdict import ExerciseResult, PropertyResult

LEVELS: tuple[Reveal, ...] = ("score", "property", "message", "counterexample")


def reveals(assignment: Assignment, student: str, due: datetime | None) -> Mapping[str, Reveal]:
    """How much a student, whose work is due at that time, may see as of now, by exercise."""
    policy, arrivals = assignment.policy, ledger.read(assignment, student).arrivals.values()
    attempts = sum(not arrival.by_hand for arrival in arrivals)
    opened = [policy.reveal, *(level for least, level in policy.reveal_after_attempts.items() if attempts >= least)]
    if policy.reveal_after_due and due and datetime.now(UTC) > due + timedelta(days=policy.late_days):
        opened.append(policy.reveal_after_due)
    most = max(opened, key=LEVELS.index)
    return defaultdict(lambda: most, policy.reveal_of)


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
        picture=found.picture if level >= 3 else None,
    )
