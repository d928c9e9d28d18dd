"""A submission whose shares are graded one by one, here and there, until the verdict on it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autograder.engines.job import Job
from autograder.verdict import Verdict, joined


@dataclass
class Pending:
    """What is known of a submission so far: a verdict, or none yet, on each of its shares."""

    job: Job
    shares: tuple[Job, ...]
    verdicts: list[Verdict | None]

    @classmethod
    def of(cls, job: Job, names: Sequence[str]) -> Pending:
        """Nothing is known; `names` are all exercises of the assignment, in order."""
        shares = job.shares(names)
        return cls(job, shares, [None] * len(shares))

    def missing(self) -> Iterator[tuple[int, Job]]:
        """The shares without a verdict, and their places."""
        return ((place, share) for place, share in enumerate(self.shares) if self.verdicts[place] is None)

    def whole(self, names: Sequence[str]) -> Verdict | None:
        """The verdict on the submission; None while something is missing, or was isolated otherwise than the rest."""
        known = [verdict for verdict in self.verdicts if verdict is not None]
        one_way = len({verdict.isolation for verdict in known}) == 1
        return joined(known, names) if one_way and len(known) == len(self.shares) else None
