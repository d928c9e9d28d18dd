"""A submission on its way to the process that grades it, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from autograder.submission import Cell, Submission


def pack(submission: Submission) -> dict[str, Any]:
    """Plain data."""
    return {**asdict(submission), "path": str(submission.path)}


def unpack(data: dict[str, Any]) -> Submission:
    """The inverse of `pack`."""
    return Submission(
        **{
            **data,
            "path": Path(data["path"]),
            "cells": tuple(Cell(**cell) for cell in data["cells"]),
            "notes": tuple(data["notes"]),
        }
    )
