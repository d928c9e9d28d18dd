"""The audit table: what was measured, as plain data, and what in it misses the bar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["reference", "alternate", "stub", "wrong", "trivial", "mistake", "mutant"]

LEAST = {"reference": 1.0, "alternate": 1.0}  # of an exercise's points
MOST = {"stub": 0.0, "wrong": 0.0, "trivial": 0.1, "mistake": 0.7}
LEAST_KILLED = 0.95  # of an assignment's mutants
LEAST_MISTAKES, LEAST_ALTERNATES = 3, 2


def misses(kind: Kind, earned: float) -> bool:
    """Whether an answer of that kind earned less or more of an exercise's points than it may."""
    return not LEAST.get(kind, 0.0) <= earned <= MOST.get(kind, 1.0)


@dataclass(frozen=True)
class MistakeAudit:
    """One known mistake, handed in."""

    name: str
    earned_fraction: float
    recognised: bool
    named: tuple[str, ...]


@dataclass(frozen=True)
class Survivor:
    """A mutant that lost nothing; `reason` says why it means the same as the reference, if somebody has said so."""

    operator: str
    before: str
    after: str
    reason: str | None


@dataclass
class MutantAudit:
    """All mutants of one exercise."""

    total: int = 0
    killed: int = 0
    survivors: list[Survivor] = field(default_factory=list)


@dataclass
class ExerciseAudit:
    """One exercise: the part of its points that each answer earned.

    `differentiated` says whether any property asks for a gradient; where none does, an answer without one is right.
    """

    name: str
    points: float
    reference: float = 0.0
    stub: float = 0.0
    wrong: dict[str, float] = field(default_factory=dict)
    trivial: dict[str, float] = field(default_factory=dict)
    differentiated: bool = True
    alternates: dict[str, float] = field(default_factory=dict)
    mistakes: list[MistakeAudit] = field(default_factory=list)
    mutants: MutantAudit = field(default_factory=MutantAudit)

    @property
    def trivial_max(self) -> float:
        """The most that an answer without sense earned."""
        return max(self.trivial.values(), default=0.0)

    def _earned(self) -> Iterator[tuple[Kind, str, float]]:
        """What was handed in, by kind and name, and what it earned."""
        yield "reference", "itself", self.reference
        yield "stub", "itself", self.stub
        yield from (("wrong", name, earned) for name, earned in self.wrong.items())
        yield from (("trivial", name, earned) for name, earned in self.trivial.items())
        yield from (("alternate", name, earned) for name, earned in self.alternates.items())
        yield from (("mistake", mistake.name, mistake.earned_fraction) for mistake in self.mistakes)

    def complaints(self) -> Iterator[str]:
        """What misses the bar, in sentences."""
        for kind, name, earned in self._earned():
            if misses(kind, earned):
                yield f"{self.name}: the {kind} {name} earns {earned:.0%}"
        if len(self.alternates) < LEAST_ALTERNATES:
            yield f"{self.name}: there are {len(self.alternates)} alternates, not {LEAST_ALTERNATES}"
        if len(self.mistakes) < LEAST_MISTAKES:
            yield f"{self.name}: there are {len(self.mistakes)} known mistakes, not {LEAST_MISTAKES}"
        for mistake in self.mistakes:
            if not mistake.recognised:
                named = ", ".join(mistake.named) or "nothing"
                yield f"{self.name}: the mistake {mistake.name} is taken for {named}"
        for survivor in self.mutants.survivors:
            if survivor.reason is None:
                yield f"{self.name}: unexplained survivor ({survivor.operator}): {survivor.before} → {survivor.after}"


@dataclass
class Audit:
    """One assignment. `sources` is the digest of the files that its authors write: another one makes an audit stale."""

    assignment: str
    isolation: str
    sources: str
    exercises: list[ExerciseAudit]
    stale: list[str] = field(default_factory=list)
    seeds: dict[str, list[str]] = field(default_factory=dict)
    seeds_tried: int = 0
    seconds: float = 0.0

    @property
    def killed(self) -> float:
        """The part of all mutants that lost points."""
        total = sum(e.mutants.total for e in self.exercises)
        return sum(e.mutants.killed for e in self.exercises) / total if total else 1.0

    def complaints(self) -> list[str]:
        """What misses the bar, in sentences."""
        found = [text for exercise in self.exercises for text in exercise.complaints()]
        if self.killed < LEAST_KILLED:
            found.append(f"{self.killed:.1%} of the mutants are killed, not {LEAST_KILLED:.0%}")
        found += [f"stale equivalent: {text}" for text in self.stale]
        found += [f"with the seed {seed!r}, {text}" for seed, texts in self.seeds.items() for text in texts]
        return found

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        exercises = [{**asdict(exercise), "trivial_max": exercise.trivial_max} for exercise in self.exercises]
        return {
            **asdict(self),
            "exercises": exercises,
            "killed": round(self.killed, 4),
            "complaints": self.complaints(),
        }
