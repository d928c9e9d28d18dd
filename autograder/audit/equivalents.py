"""Mutants that mean the same as the reference, listed with the reason: `autograder/equivalents/<slug>.toml`.

    [[equivalent]]
    exercise = "kl_divergence"
    before = "return …"
    after = "return …"
    reason = "…"

`before` and `after` are the lines that `course audit` prints of a survivor. What in the list no longer survives, or is no
longer generated, is reported as stale.
"""

from __future__ import annotations

import tomllib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autograder.course import Assignment
from autograder.errors import CourseError


class Equivalent(BaseModel):
    """One mutant that cannot be told from the reference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exercise: str
    before: str
    after: str
    reason: Annotated[str, Field(min_length=10)]


class EquivalentsFile(BaseModel):
    """All of an assignment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    equivalent: list[Equivalent] = []


def equivalents(assignment: Assignment) -> list[Equivalent]:
    """The list of an assignment; empty if it has none.

    Raises:
        CourseError: the file is not as it should be.
    """
    path = assignment.equivalents_path
    try:
        return EquivalentsFile.model_validate(tomllib.loads(path.read_text("utf-8"))).equivalent
    except FileNotFoundError:
        return []
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be used: {error}") from None
