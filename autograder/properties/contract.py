"""The automatic property of every function: it returns what its signature promises.

Shapes and types only; whether values are right is for the other properties to say. The signature is the reference's, which a
test keeps equal to the starter's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.properties import arguments, bind_sizes, conforms, describe, fail

NAME = "test_returns_what_its_signature_promises"
EXAMPLES = 10  # shapes and dtypes go wrong soon or never
STATEMENT = "It returns what its signature promises: the right type and shape, in the dtype of its inputs."


def contract_property(reference: Callable[..., Any], name: str, calls: Any = None) -> Callable[..., None] | None:
    """The property, as a test method; None for a class, whose instances hidden properties question themselves.

    Args:
        reference: the function whose annotations are the contract.
        name: the exercise.
        calls: strategy of `(args, kwargs)`; derived from the signature if None.

    Raises:
        TypeError: the signature has a parameter that cannot be drawn, and `calls` is None.
    """
    if inspect.isclass(reference):
        return None
    promised = inspect.get_annotations(reference, eval_str=True).get("return", Any)

    @settings(max_examples=EXAMPLES)
    @given(call=calls if calls is not None else arguments(reference), double=st.booleans())
    def test(self: object, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], double: bool) -> None:
        args, kwargs = call
        if double:
            args, kwargs = in_double(args), in_double(kwargs)
        result = getattr(student, name)(*args, **kwargs)
        fault = conforms(result, promised, bind_sizes(reference, args, kwargs))
        if fault is not None:
            fail(fault)
        given_dtypes = set(floating_dtypes((args, kwargs)))
        for dtype in floating_dtypes(result):
            if given_dtypes and dtype not in given_dtypes:
                wanted = describe(next(iter(given_dtypes)))
                fail(f"the inputs have dtype {wanted}, but the result has {describe(dtype)}")

    test.__doc__ = STATEMENT
    test.__name__ = NAME
    return test


def in_double(value: Any) -> Any:
    """The same value with every float32 tensor in it as float64."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
        return value.double()
    if isinstance(value, tuple | list):
        return type(value)(map(in_double, value))
    if isinstance(value, dict):
        return {key: in_double(item) for key, item in value.items()}
    return value


def floating_dtypes(value: Any) -> list[torch.dtype]:
    """Dtypes of the floating-point tensors in a value."""
    if isinstance(value, torch.Tensor):
        return [value.dtype] if value.is_floating_point() else []
    if isinstance(value, tuple | list):
        return [dtype for item in value for dtype in floating_dtypes(item)]
    if isinstance(value, dict):
        return floating_dtypes(list(value.values()))
    return []
