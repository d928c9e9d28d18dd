"""What is asked of the process that grades: a submission and what to find out about it, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from autograder.attachments import Attachment
from autograder.submission import Cell, Submission
from autograder.verdict import Depth

SHARES = 2  # not as many as there are cores: the verdict must not depend on the machine


@dataclass(frozen=True)
class Job:
    """One submission to grade.

    Attributes:
        submission: what was handed in.
        exercises: the only ones to look at, if not all.
        diagnose: name known mistakes behind lost points.
        depth: how much to find out about an exercise that fails.
        seed: draws the inputs in place of the course's secret.
        undivided: it is a share of a submission, not to be divided again.
    """

    submission: Submission
    exercises: tuple[str, ...] | None = None
    diagnose: bool = True
    depth: Depth = "feedback"
    seed: str | None = None
    undivided: bool = False

    def shares(self, names: Sequence[str]) -> tuple[Job, ...]:
        """The parts that are graded apart, so that one submission can use two cores: every other exercise of `names`."""
        if self.undivided:
            return (self,)
        chosen = tuple(name for name in names if self.exercises is None or name in self.exercises)
        parts = [chosen[start::SHARES] for start in range(SHARES)]
        shares = tuple(replace(self, exercises=part, undivided=True) for part in parts if part)
        return shares or (replace(self, undivided=True),)

    def pack(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "submission": {**asdict(self.submission), "path": str(self.submission.path)}}


def unpack_submission(data: dict[str, Any]) -> Submission:
    """The submission in a packed job."""
    return Submission(
        **{
            **data,
            "path": Path(data["path"]),
            "cells": tuple(Cell(**cell) for cell in data["cells"]),
            "notes": tuple(data["notes"]),
            "attachments": tuple(Attachment(**item) for item in data["attachments"]),
        }
    )
