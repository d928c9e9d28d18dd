"""Grading: a verdict for a submission, from the store if there is one, else from an engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from autograder.course import Assignment
from autograder.engines.job import Job
from autograder.engines.local import LocalEngine
from autograder.engines.pending import Pending
from autograder.store import VerdictStore
from autograder.submission import Submission
from autograder.verdict import Verdict

if TYPE_CHECKING:
    from autograder.sandbox import Tier


class Grader:
    """Gives verdicts on submissions to one assignment.

    The engine starts with the first submission that has no stored verdict, and stays warm until `close`.

    Args:
        assignment: what is graded.
        workers: submissions at once; None for one a core.
        device: where student code runs.
        trust: run submissions without isolation. For one's own code only.
        force: grade again what has a verdict.
        tier: how to isolate; None for the best that works here.
    """

    def __init__(
        self,
        assignment: Assignment,
        *,
        workers: int | None = None,
        device: str = "cpu",
        trust: bool = False,
        force: bool = False,
        tier: Tier | None = None,
    ) -> None:
        self.assignment = assignment
        self._workers, self._device, self._force = workers, device, force
        self._tier: Tier | None = "none" if trust else tier
        self._store = VerdictStore(assignment, device)
        self._engine: LocalEngine | None = None
        self._fresh: set[str] = set()  # what was graded here: forcing means once

    def verdict(self, submission: Submission) -> Verdict:
        """The verdict on one submission.

        Raises:
            CourseError: it cannot be graded here.
        """
        return next(iter(self.verdicts([submission])))[1]

    def verdicts(self, submissions: Iterable[Submission]) -> Iterator[tuple[Submission, Verdict]]:
        """Verdicts in order of completion, those in the store first. Each is stored before it is passed on.

        Raises:
            CourseError: grading cannot go on; what was yielded is stored.
        """
        names = [exercise.name for exercise in self.assignment.exercises]
        missing = []
        for submission in submissions:
            kept = not self._force or submission.digest in self._fresh
            pending = self._store.known(submission) if kept else Pending.of(Job(submission), names)
            if (verdict := pending.whole(names)) is not None:
                yield submission, verdict
            else:
                missing.append(pending)
        asked: dict[int, tuple[Pending, int]] = {}
        shares: list[Job] = []
        for pending in missing:
            # A verdict says how the submission was isolated, all of it.
            pending.verdicts = [
                verdict if verdict and verdict.isolation == self.engine.isolation else None
                for verdict in pending.verdicts
            ]
            for place, share in pending.missing():
                asked[id(share)] = pending, place
                shares.append(share)
        if not shares:
            return
        for share, found in self.engine.verdicts(shares):
            self._store.put(share, found)
            pending, place = asked[id(share)]
            pending.verdicts[place] = found
            if (verdict := pending.whole(names)) is not None:
                self._fresh.add(share.submission.digest)
                yield share.submission, verdict

    @property
    def engine(self) -> LocalEngine:
        """The engine, started at first use."""
        if self._engine is None:
            self._engine = LocalEngine(
                self.assignment, self._store.suite, workers=self._workers, device=self._device, tier=self._tier
            )
        return self._engine

    def close(self) -> None:
        """End the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
