"""An exception, as the student who met it should read it: their own lines, and nothing of the machinery around them."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

MOST_FRAMES = 3
MOST_CHARACTERS = 400  # of an exception's own message
NONDETERMINISTIC = (
    "With the same input it once failed and once did not: does your code draw random numbers of its own, or remember "
    "something from one call to the next?"
)


class NotDefined(AttributeError):
    """The checks ask for a name that the student has not defined."""


@dataclass(frozen=True)
class Explanation:
    """What went wrong, in a few lines; `unwritten` names the stub, if that is what was met."""

    message: str
    unwritten: str | None = None


@dataclass(frozen=True)
class Explainer:
    """Tells the student's code from the checks' and from libraries'.

    Attributes:
        namespace: the globals in which the student's code runs.
        checks: the file that holds the visible properties, without links in its path.
    """

    namespace: Mapping[str, Any]
    checks: Path

    def explain(self, error: BaseException) -> Explanation:
        """What `error`, raised while a property ran, says about the student's code."""
        import pytest
        from hypothesis.errors import Flaky

        if isinstance(error, pytest.skip.Exception):
            return Explanation("It was skipped, and what is skipped does not count.")
        if isinstance(error, Flaky):
            return Explanation(NONDETERMINISTIC)
        if isinstance(error, NotDefined):
            return Explanation(str(error))
        frames = list(walk_tb(error.__traceback__))
        own = [(frame, line) for frame, line in frames if self._is_students(frame)]
        concerned = [(frame, line) for frame, line in frames if self._is_students(frame) or self._is_checks(frame)]
        raised_by_student = bool(concerned) and self._is_students(concerned[-1][0])
        if raised_by_student and isinstance(error, NotImplementedError) and frames[-1] == own[-1]:
            name = own[-1][0].f_code.co_qualname
            return Explanation(f"{name} is not written yet.", name)
        if raised_by_student:
            return Explanation("\n".join([_said(error), *_lines(own)]))
        if isinstance(error, AssertionError):
            return Explanation(str(error) or _failed_assertion(concerned))
        return Explanation("\n".join([_said(error), *_lines(own)]) if own else _unusable(error, concerned))

    def _is_students(self, frame: FrameType) -> bool:
        """In the notebook itself, or in a module of the student's own beside the checks."""
        if frame.f_globals is self.namespace:
            return True
        path = Path(frame.f_code.co_filename).resolve()
        return path != self.checks and path.is_relative_to(self.checks.parent) and "site-packages" not in path.parts

    def _is_checks(self, frame: FrameType) -> bool:
        return Path(frame.f_code.co_filename).resolve() == self.checks


def _said(error: BaseException) -> str:
    text = str(error).strip()
    text = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _lines(frames: list[tuple[FrameType, int]]) -> list[str]:
    """Where in the student's code, the innermost line last."""
    return [
        f"  {_where(frame)}line {line}: {_source(frame, line)}".rstrip(": ") for frame, line in frames[-MOST_FRAMES:]
    ]


def _where(frame: FrameType) -> str:
    name = frame.f_code.co_qualname
    return "" if name == "<module>" else f"in {name}, "


def _source(frame: FrameType, line: int) -> str:
    return linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()


def _failed_assertion(frames: list[tuple[FrameType, int]]) -> str:
    return f"This does not hold: {_source(*frames[-1]).removeprefix('assert ')}" if frames else "A check does not hold."


def _unusable(error: BaseException, frames: list[tuple[FrameType, int]]) -> str:
    """The check itself could not go on: it was called, or was answered, in a way that it cannot use."""
    where = f"\n  in the check: {_source(*frames[-1])}" if frames else ""
    return f"{_said(error)}{where}"
