"""Marks: which exercise a class of properties is about, and what each property counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from hypothesis.strategies import SearchStrategy

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])
Contract = SearchStrategy[Any] | Literal[False] | None


def exercise(name: str, *, contract: Contract = None) -> Callable[[Class], Class]:
    """Say that a test class holds the properties of the exercise `name`.

    Sets `cls.exercise` and `cls.contract`.

    Args:
        name: the function or class that students write.
        contract: what the automatic property "it returns what its signature promises" calls the exercise with: a
            strategy of `(args, kwargs)`, None to derive one from the annotated signature, False for no such property.

    Raises:
        TypeError: the class is not called `Test…`, so that pytest would pass it over in silence.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"@exercise takes the name of a function or class, not {name!r}")
    if contract is not None and contract is not False and not isinstance(contract, SearchStrategy):
        raise TypeError(f"contract of exercise {name!r} must be a strategy of (args, kwargs), None or False")

    def mark(cls: Class) -> Class:
        if not isinstance(cls, type) or not cls.__name__.startswith("Test"):
            raise TypeError(f"@exercise({name!r}) marks classes whose name begins with Test: pytest sees no others")
        cls.exercise = name  # type: ignore[attr-defined]
        cls.contract = contract  # type: ignore[attr-defined]
        return cls

    return mark


def required(function: Function) -> Function:
    """Without this property the exercise earns nothing.

    For the property that no trivial answer has (zeros, ones, an input echoed, noise of the right shape, a constant) but
    that most half-right answers do. Works above and below `@given`, which copies a function's attributes.
    """
    function.required = True  # type: ignore[attr-defined]
    return function


def weight(value: float) -> Callable[[Function], Function]:
    """Let a property count `value` times as much as others.

    Raises:
        TypeError: `value` is no positive number (`@weight` without its number, for example).
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value < math.inf):
        raise TypeError(f"@weight takes a positive number, as in @weight(2), not {value!r}")

    def mark(function: Function) -> Function:
        function.weight = float(value)  # type: ignore[attr-defined]
        return function

    return mark
