"""Why an exercise is worth other points than last time: two results on it, compared."""

from __future__ import annotations

from autograder.report.exercise import OUTCOMES, number
from autograder.verdict import ExerciseResult, PropertyResult


def reasons(last: ExerciseResult, found: ExerciseResult) -> list[str]:
    """What is different, one sentence each; nothing if the result is the same."""
    texts = []
    if last.points != found.points:
        texts.append(f"it is worth {number(found.points)} points and was worth {number(last.points)}")
    old, new = ({item.name: item for item in result.properties} for result in (last, found))
    for name in {**old, **new}:
        texts += _of_property(name, old.get(name), new.get(name))
    if not texts and last.error != found.error:
        texts.append(found.error or f"no more: {last.error}")
    return texts


def _of_property(name: str, old: PropertyResult | None, new: PropertyResult | None) -> list[str]:
    if old is None and new is not None:
        return [f"{name} is new, and {OUTCOMES[new.outcome][1]}"]
    if new is None and old is not None:
        return [f"{name} is gone; it {_past(old)}"]
    assert old is not None
    assert new is not None
    texts = []
    if old.outcome != new.outcome:
        texts.append(f"{name} {OUTCOMES[new.outcome][1]}; last time it {_past(old)}")
    if old.weight != new.weight:
        texts.append(f"{name} weighs {number(new.weight)} and weighed {number(old.weight)}")
    if old.required != new.required:
        texts.append(f"{name} is {'now' if new.required else 'no longer'} required")
    return texts


PAST = {
    "passed": "held",
    "failed": "did not hold",
    "error": "stopped with an error",
    "timeout": "took too long",
    "not_run": "was not tried",
}


def _past(item: PropertyResult) -> str:
    return PAST[item.outcome]
