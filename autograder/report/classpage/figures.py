"""The figures of a class, each with the students behind it. Plain arithmetic on what was gathered; nothing is read or written.

Members are places in the list of students, in its order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from autograder.report.classpage.gather import Student
from autograder.verdict import ExerciseResult, Outcome

FEWEST = 10  # scores: a correlation of fewer says next to nothing
Members = tuple[int, ...]


@dataclass(frozen=True)
class Bin:
    """Students with a score from `low` to below `high` (the last bin: up to `high`)."""

    low: float
    high: float
    members: Members


@dataclass(frozen=True)
class Spread:
    """Scores in brief: the quartiles and the mean."""

    lower: float
    median: float
    upper: float
    mean: float


@dataclass(frozen=True)
class ItemFigures:
    """One exercise or written question.

    Attributes:
        share: mean share of its points that was earned; None if nobody has a score for it.
        discrimination: correlation of its score with the share earned in all the rest, from -1 to 1.
        obstacle: why there is no discrimination.
        full, part, none: who earned everything, something, nothing.
    """

    name: str
    points: float
    share: float | None
    discrimination: float | None
    obstacle: str
    full: Members
    part: Members
    none: Members


@dataclass(frozen=True)
class PropertyFigures:
    """One property, over those whose code got as far as being asked.

    Attributes:
        passed: for how many it holds.
        failed, error, timeout: for whom it does not, and how.
        untried: how many were never asked, for instance as the exercise is not written.
    """

    exercise: str
    name: str
    statement: str
    required: bool
    passed: int
    failed: Members
    error: Members
    timeout: Members
    untried: int

    @property
    def missed(self) -> Members:
        """Everyone for whom it does not hold."""
        return tuple(sorted((*self.failed, *self.error, *self.timeout)))

    @property
    def asked(self) -> int:
        """How many were asked."""
        return self.passed + len(self.failed) + len(self.error) + len(self.timeout)

    @property
    def rate(self) -> float | None:
        """The share of those asked for whom it holds."""
        return self.passed / self.asked if self.asked else None


@dataclass(frozen=True)
class MistakeFigures:
    """One known mistake, and whose answers behave like it."""

    exercise: str
    name: str
    says: str
    members: Members


@dataclass(frozen=True)
class Group:
    """Students whose answers to one exercise fail the very same properties in the same way.

    `says` are the known mistakes that verdicts name for some of them; none is a misconception that nobody has written down.
    """

    exercise: str
    failing: tuple[tuple[str, Outcome], ...]
    says: tuple[str, ...]
    members: Members


@dataclass(frozen=True)
class Remark:
    """Something that a person should know of: a text, where, and whose submissions it is about."""

    text: str
    members: Members
    exercise: str = ""


def distribution(students: Sequence[Student], most: int) -> tuple[Bin, ...]:
    """Scores from nothing to all points, in at most so many bins of the same round width; the last may be narrower."""
    scored = [(index, item.score) for index, item in enumerate(students) if item.score is not None and item.graded]
    points = max((score.points for _, score in scored), default=0.0)
    if not points:
        return ()
    step = _round_up(points / most)
    count = math.ceil(points / step - 1e-9)
    members: list[list[int]] = [[] for _ in range(count)]
    for index, score in scored:
        place = math.floor(score.earned / step + 1e-9)
        members[min(max(place, 0), count - 1)].append(index)
    return tuple(Bin(step * n, min(step * (n + 1), points), tuple(who)) for n, who in enumerate(members))


def _round_up(value: float) -> float:
    """The smallest of 1, 2, 2.5 and 5, times a power of ten, that is no smaller."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))


def spread(students: Iterable[Student]) -> Spread | None:
    """The quartiles and the mean of all scores; None if there are none."""
    earned = [item.score.earned for item in students if item.score is not None and item.graded]
    if not earned:
        return None
    lower, median, upper = np.quantile(earned, [0.25, 0.5, 0.75])
    return Spread(float(lower), float(median), float(upper), float(np.mean(earned)))


def items(students: Sequence[Student], names: Iterable[str]) -> list[ItemFigures]:
    """How hard each exercise or question is, and how well it tells those who do well in all the rest from the others."""
    return [_item(students, name) for name in names]


def _item(students: Sequence[Student], name: str) -> ItemFigures:
    full: list[int] = []
    part: list[int] = []
    none: list[int] = []
    shares, rests = [], []
    points = 0.0
    for index, item in enumerate(students):
        grades = item.score.grades if item.score is not None else {}
        if name not in grades or (score := grades[name].score) is None:
            continue
        points = grades[name].points
        shares.append(score / points)
        (full if score >= points else part if score > 0 else none).append(index)
        others = [(grade.score, grade.points) for other, grade in grades.items() if other != name]
        known = [(got, worth) for got, worth in others if got is not None]
        worth = sum(worth for _, worth in known)
        rests.append(sum(got for got, _ in known) / worth if worth else math.nan)
    discrimination, obstacle = correlation(shares, rests)
    mean = sum(shares) / len(shares) if shares else None
    return ItemFigures(name, points, mean, discrimination, obstacle, tuple(full), tuple(part), tuple(none))


def correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, str]:
    """Pearson's correlation of pairs that are both known, or why it cannot be had."""
    pairs = np.array([(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a) and math.isfinite(b)])
    if len(pairs) < FEWEST:
        return None, "too few"
    if (pairs.std(axis=0) < 1e-9).any():
        return None, "all alike"
    return float(np.corrcoef(pairs.T)[0, 1]), ""


def reached(result: ExerciseResult) -> bool:
    """Whether code got as far as a property: it is written, and it runs."""
    return result.error is None or _stopped(result)


def properties(students: Sequence[Student]) -> list[PropertyFigures]:
    """Every property's figures, the one that fewest have first."""
    found: dict[tuple[str, str], dict[str, list[int]]] = {}
    about: dict[tuple[str, str], tuple[str, bool]] = {}
    for index, result in _results(students):
        for item in result.properties:
            key = (result.name, item.name)
            about[key] = (item.statement, item.required)
            outcome = item.outcome if reached(result) else "not_run"
            found.setdefault(key, {}).setdefault(outcome, []).append(index)
    figures = [
        PropertyFigures(
            exercise,
            name,
            *about[exercise, name],
            passed=len(by.get("passed", ())),
            failed=tuple(by.get("failed", ())),
            error=tuple(by.get("error", ())),
            timeout=tuple(by.get("timeout", ())),
            untried=len(by.get("not_run", ())),
        )
        for (exercise, name), by in found.items()
    ]
    return sorted(figures, key=lambda item: (2.0 if item.rate is None else item.rate, -len(item.missed)))


def mistakes(students: Sequence[Student]) -> list[MistakeFigures]:
    """Known mistakes that verdicts name, the most frequent first."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for index, result in _results(students):
        for mistake in result.mistakes:
            found.setdefault((result.name, mistake.name, mistake.says), []).append(index)
    figures = [MistakeFigures(*key, members=tuple(who)) for key, who in found.items()]
    return sorted(figures, key=lambda item: -len(item.members))


def groups(students: Sequence[Student]) -> list[Group]:
    """Two and more who failed alike, the largest group first. Who did not write the exercise failed by themselves."""
    found: dict[tuple[str, tuple[tuple[str, Outcome], ...]], list[int]] = {}
    says: dict[tuple[str, tuple[tuple[str, Outcome], ...]], Counter[str]] = {}
    for index, result in _results(students):
        failing = tuple((item.statement, item.outcome) for item in result.properties if item.outcome != "passed")
        if failing and result.error is None:
            key = (result.name, failing)
            found.setdefault(key, []).append(index)
            says.setdefault(key, Counter()).update(mistake.says for mistake in result.mistakes)
    alike = [
        Group(*key, says=tuple(text for text, _ in says[key].most_common()), members=tuple(who))
        for key, who in found.items()
        if len(who) > 1
    ]
    return sorted(alike, key=lambda group: -len(group.members))


def stops(students: Sequence[Student]) -> list[Remark]:
    """Exercises whose code went over a limit, or took its whole process down: killed, out of memory, left, crashed."""
    return _remarks(
        (result.name, result.error, index) for index, result in _results(students) if result.error and _stopped(result)
    )


def notes(students: Sequence[Student]) -> list[Remark]:
    """What was met in files; the same words of several students once."""
    return _remarks(("", note, index) for index, item in enumerate(students) for note in item.notes)


def timed_out(students: Sequence[Student]) -> Members:
    """Who went over a time limit."""
    return _unique(index for index, result in _results(students) if _outcomes(result, "timeout"))


def crashed(students: Sequence[Student]) -> Members:
    """Whose code took its process down."""
    return _unique(
        index for index, result in _results(students) if _stopped(result) and not _outcomes(result, "timeout")
    )


def _stopped(result: ExerciseResult) -> bool:
    """Whether the exercise's process had to be given up. Its error is then that property's message, word for word."""
    last = [item for item in result.properties if item.outcome == "timeout" or item.message == result.error]
    return result.error is not None and any(item.outcome in ("timeout", "error") for item in last)


def _outcomes(result: ExerciseResult, outcome: Outcome) -> bool:
    return any(item.outcome == outcome for item in result.properties)


def _results(students: Sequence[Student]) -> Iterable[tuple[int, ExerciseResult]]:
    for index, item in enumerate(students):
        for result in item.verdict.exercises if item.verdict is not None else ():
            yield index, result


def _remarks(found: Iterable[tuple[str, str, int]]) -> list[Remark]:
    whose: dict[tuple[str, str], list[int]] = {}
    for exercise, text, index in found:
        whose.setdefault((exercise, text), []).append(index)
    remarks = [Remark(text, tuple(who), exercise) for (exercise, text), who in whose.items()]
    return sorted(remarks, key=lambda remark: -len(remark.members))


def _unique(members: Iterable[int]) -> Members:
    return tuple(sorted(set(members)))
