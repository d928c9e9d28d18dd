"""The loop: mutate, run, keep what ends in a new way.

What guides it is how a run ends. An input that ends as none did before becomes a seed itself, and so mutations of mutations
reach what is deep inside a reader.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.fuzz.files import Archives, Notebooks, Scripts
from tests.fuzz.frames import Conversations

MOST_SECONDS = 0.1  # of processor time for one input
MOST_FAULTS = 20
POOL = 2000


class Target(Protocol):
    """A reader of what strangers write."""

    name: str

    def seeds(self) -> list[bytes]:
        """Inputs of the honest kind."""

    def mutate(self, data: bytes, random: Random, others: list[bytes]) -> bytes:
        """An input like another."""

    def run(self, data: bytes) -> str:
        """Read it, and say how that ended. An exception is a fault."""


TARGETS: tuple[Callable[[], Target], ...] = (Conversations, Notebooks, Scripts, Archives)


@dataclass
class Report:
    """What came of it."""

    inputs: int = 0
    endings: set[str] = field(default_factory=set)
    slowest: float = 0.0
    faults: list[tuple[bytes, str]] = field(default_factory=list)


def fuzz(target: Target, count: int, seed: int, advance: Callable[[], object] = lambda: None) -> Report:
    """Run `count` mutated inputs; the same seed gives the same inputs."""
    random, report, pool = Random(seed), Report(), target.seeds()
    for _ in range(count):
        data = target.mutate(random.choice(pool), random, pool)
        ending, slow = attempt(target, data, report)
        if slow:  # once more: the machine may have been busy, or a module been imported
            _, slow = attempt(target, data, report)
            if slow:
                report.faults.append((data, f"took {slow:.2f} s"))
        kind = re.sub(r"[^A-Za-z]+", " ", ending or "")
        if kind not in report.endings:
            report.endings.add(kind)
            if len(pool) < POOL:
                pool.append(data)
        report.inputs += 1
        advance()
        if len(report.faults) >= MOST_FAULTS:
            break
    return report


def attempt(target: Target, data: bytes, report: Report) -> tuple[str | None, float]:
    """How it ended, and the processor time if that was too much."""
    start = time.process_time()
    try:
        ending = target.run(data)
    except Exception as error:
        report.faults.append((data, f"{type(error).__name__}: {error}"[:300]))
        return None, 0.0
    seconds = time.process_time() - start
    if seconds <= MOST_SECONDS:
        report.slowest = max(report.slowest, seconds)
    return ending, seconds if seconds > MOST_SECONDS else 0.0
