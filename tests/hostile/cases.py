"""What every family of hostile cases has in common: a case is a folder with data, and running it makes a finding."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A folder: what is handed in, and `expected.toml` with what has to come of it."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def expected(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "expected.toml").read_text("utf-8"))


def cases(family: str) -> list[Case]:
    """The cases of one family: "worker", "grading" or "archive"."""
    return [Case(path.parent) for path in sorted(HERE.glob(f"{family}/*/expected.toml"))]


@dataclass(frozen=True)
class Finding:
    """What one hostile case brought about.

    Attributes:
        points_gained: beyond what the code had earned.
        private_bytes_read: of secrets, tests and solutions, in anything that came back.
        bystanders_harmed: others that do not work any more, or were changed.
        processes_left: still there when it was over.
        otherwise: what else was not as it should be.
    """

    points_gained: float = 0.0
    private_bytes_read: int = 0
    bystanders_harmed: tuple[str, ...] = ()
    processes_left: int = 0
    otherwise: str = ""

    @property
    def contained(self) -> bool:
        return self == Finding()
