"""What can go wrong between a trusted process and student code."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Iterable
from dataclasses import dataclass

MIRRORED = (
    "ArithmeticError AssertionError AttributeError FileNotFoundError FloatingPointError ImportError IndexError KeyError "
    "LookupError MemoryError ModuleNotFoundError NameError NotImplementedError OSError OverflowError PermissionError "
    "RecursionError RuntimeError StopIteration SyntaxError TypeError UnicodeError ValueError ZeroDivisionError"
).split()


class SandboxError(Exception):
    """The sandbox itself does not work here; no student is to blame."""


class ProtocolError(Exception):
    """The other side broke the protocol. Honest code cannot, so the worker is given up."""


class WorkerDied(BaseException):
    """The worker ended or was ended: `reason` says how.

    A BaseException, so that a property which expects some exception of the student's code does not take this for it.
    """

    def __init__(self, reason: str, *, timeout: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.timeout = timeout


@dataclass(frozen=True)
class Frame:
    """One line of the student's own code in a traceback."""

    cell: str
    line: int
    function: str
    source: str


class StudentError(Exception):
    """The student's code raised an exception.

    What is raised here is a subclass that also derives from the built-in exception of the same name, so that
    `pytest.raises(ValueError)` reads as it does in one process. Text and frames are the worker's claims, cleaned.
    """

    kind: str = "Exception"
    frames: tuple[Frame, ...] = ()

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.kind  # KeyError would print a repr


def nearest_builtin(types: Iterable[str]) -> str | None:
    """The first of an exception's classes, most derived first, that has a stand-in at the other end."""
    return next((name for name in types if name in MIRRORED), None)


@functools.cache
def mirrored_class(name: str) -> type[StudentError]:
    """`StudentError`, also derived from the built-in exception `name` if that is one of ours to mirror."""
    if name not in MIRRORED:
        return StudentError
    return type(f"Student{name}", (StudentError, getattr(builtins, name)), {})


def student_error(types: list[str], message: str, frames: tuple[Frame, ...] = ()) -> StudentError:
    """The local stand-in for an exception whose class and base classes are called `types`, most derived first."""
    kind = types[0] if types else "Exception"
    error = mirrored_class(nearest_builtin(types) or "")(f"{kind}: {message}" if message else kind)
    error.kind, error.frames = kind, frames
    return error
