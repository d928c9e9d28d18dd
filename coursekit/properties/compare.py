"""Comparisons whose failures a student understands: what was expected, what came, and what the two have to do with it.

Every check raises `PropertyFailed` with a few short lines, the most telling first. Comparisons look at type, shape and
dtype before values, and are written so that NaN never passes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from coursekit.properties.describe import describe, describe_kind, nested, number, plural, shape
from coursekit.properties.relations import relation

Sizes = Mapping[str, Any]
MOST_SHOWN = 16  # elements of a tensor that a message prints
COARSE = (torch.float16, torch.bfloat16)  # no two orders of summation agree to 1e-5 in these


class PropertyFailed(AssertionError):
    """A property does not hold; the message says so to whoever wrote the answer. `compared` is what could be shown of it."""

    def __init__(self, message: str, compared: Compared | None = None) -> None:
        super().__init__(message)
        self.compared = compared


class Compared(NamedTuple):
    """Two tensors of one shape that differ: where, and in which place most."""

    received: Tensor
    expected: Tensor
    wrong: Tensor
    worst: tuple[int, ...]


def fail(*lines: str | None, compared: Compared | None = None) -> NoReturn:
    """Raise `PropertyFailed` with the lines that are there."""
    raise PropertyFailed("\n".join(line for line in lines if line), compared)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    tolerance: float = 1e-5,
    what: str = "the result",
    hint: str | None = None,
    sizes: Sizes | None = None,
) -> None:
    """Check that `actual` is `expected`: type, shape, dtype, device, finiteness, and then each value.

    An element passes if |actual − expected| ≤ tolerance · max(1, |expected|). Integers and booleans must be equal.
    Infinities must be where they are expected; NaN never passes, on either side. For float16 and bfloat16 the tolerance
    is at least four units in the last place, unless it is 0, which asks for equality.

    Args:
        actual: what the answer returned.
        expected: a tensor, a NumPy array, a number, or a sequence or dictionary of these. A number is matched by a
            number, a NumPy scalar or a tensor of shape () of any dtype.
        tolerance: relative above 1, absolute below.
        what: how the message calls `actual`: "the KL divergence", "the gradient with respect to mu".
        hint: one more line, shown only if shapes or values differ.
        sizes: drawn sizes by name, so that the message can explain a factor: "4 is the size of latent".

    Raises:
        PropertyFailed: they differ.
    """
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            fail(f"{_title(what)} should be a dictionary, but it is {describe_kind(actual)}.")
        if set(actual) != set(expected):
            fail(f"{_title(what)} should have the keys {describe(sorted(expected, key=str))}.",
                 f"It has {describe(sorted(actual, key=str))}.", _hint(hint))  # fmt: skip
        for key in expected:
            label = f"{what}[{key!r}]"
            assert_close(actual[key], expected[key], tolerance=tolerance, what=label, hint=hint, sizes=sizes)
    elif isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple):
            fail(f"{_title(what)} should be a {type(expected).__name__} of {plural(len(expected), 'item')}, "
                 f"but it is {describe_kind(actual)}.")  # fmt: skip
        if len(actual) != len(expected):
            fail(f"{_title(what)} should have {plural(len(expected), 'item')}, but it has {len(actual)}.", _hint(hint))
        for index, (item, other) in enumerate(zip(actual, expected, strict=True)):
            assert_close(item, other, tolerance=tolerance, what=f"{what}[{index}]", hint=hint, sizes=sizes)
    else:
        _assert_values_close(actual, expected, tolerance, what, hint, sizes or {})


def assert_shape(actual: Any, expected: tuple[int, ...], *, what: str = "the result", hint: str | None = None) -> None:
    """Check that `actual` is a tensor (or NumPy array) of that shape.

    Raises:
        PropertyFailed: it is not.
    """
    if not _is(actual, np.ndarray):
        _assert_tensor(actual, what)
    if tuple(actual.shape) != tuple(expected):
        fail(*_wrong_shape(tuple(actual.shape), tuple(expected), what), _hint(hint))


def assert_finite(actual: Any, *, what: str = "the result", hint: str | None = None) -> None:
    """Check that a tensor or number holds no NaN and no infinity.

    Raises:
        PropertyFailed: it does; says how many and where.
    """
    values = _values(actual, what)
    bad = ~values.isfinite()
    if bad.any():
        fail(_not_finite(values, bad, what), _hint(hint))


def assert_between(
    actual: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    tolerance: float = 1e-5,
    what: str = "the result",
    hint: str | None = None,
) -> None:
    """Check that every value lies in [low, high], give or take `tolerance` · max(1, |bound|); NaN does not.

    Raises:
        PropertyFailed: one does not.
    """
    values = _values(actual, what)
    if values.is_complex():
        fail(f"{_title(what)} should be real, but its dtype is {values.dtype}.")
    values = values.double()
    inside = ~values.isnan()
    if low is not None:
        inside &= values >= low - tolerance * max(1.0, abs(low))
    if high is not None:
        inside &= values <= high + tolerance * max(1.0, abs(high))
    if not inside.all():
        place = _first(~inside)
        bounds = [
            f"at least {number(low)}" if low is not None else "",
            f"at most {number(high)}" if high is not None else "",
        ]
        wanted = " and ".join(bound for bound in bounds if bound)
        fail(f"{_title(what)} should be {wanted}, but it is {number(values[place].item())}{_at(place)}.", _hint(hint))


def assert_depends(
    output: Any, on: Tensor, *, what: str = "the result", on_what: str = "the input", hint: str | None = None
) -> None:
    """Check that a gradient flows from `output` to `on`, and that it is not zero everywhere.

    The gradient is that of a sum of `output` with unequal weights, since a plain sum may well be constant (a softmax).
    Mind points where the right gradient is zero, such as the KL divergence at its minimum.

    Args:
        output: a tensor computed from `on`.
        on: a tensor that requires grad.
        what: how the message calls `output`.
        on_what: how it calls `on`.
        hint: one more line.

    Raises:
        PropertyFailed: `output` is cut off from `on`, or its gradient is zero or not finite.
    """
    gradient = _gradient(output, on, what)
    if gradient is None:
        cut = "(.detach(), .item(), .data, torch.no_grad and torch.tensor(...) all cut the graph.)"
        fail(f"{_title(what)} does not depend on {on_what}: no gradient flows back to it.", _hint(hint) or cut)
    assert_finite(gradient, what=f"the gradient of {what} with respect to {on_what}", hint=hint)
    if not gradient.any():
        fail(f"{_title(what)} does not change with {on_what}: its gradient is zero everywhere.", _hint(hint))


def assert_independent(
    output: Any,
    of: Tensor,
    *,
    tolerance: float = 1e-5,
    what: str = "the result",
    of_what: str = "the input",
    hint: str | None = None,
) -> None:
    """Check that no gradient beyond `tolerance` flows from `output` to `of`.

    Not exactly zero, because a constant that is taken off and put back (a common maximum) cancels only up to rounding.

    Raises:
        PropertyFailed: it depends on it.
    """
    gradient = _gradient(output, of, what)
    if gradient is None:
        return
    dependent = ~(gradient.abs() <= tolerance)
    if dependent.any():
        place = _first(dependent)
        fail(
            f"{_title(what)} should not depend on {of_what}, but a gradient flows back to it: "
            f"{number(gradient[place].item())}{_at(place)}.",
            _hint(hint),
        )


def _assert_values_close(
    actual: Any, expected: Any, tolerance: float, what: str, hint: str | None, sizes: Sizes
) -> None:
    exact_dtype = True
    if _is(expected, np.ndarray):
        if not _is(actual, np.ndarray):
            fail(f"{_title(what)} should be a NumPy array, but it is {describe_kind(actual)}.", _as_array(actual))
        dtypes: tuple[Any, Any] = (actual.dtype, expected.dtype)
    elif _is(expected, Tensor):
        _assert_tensor(actual, what)
        dtypes = (actual.dtype, expected.dtype)
    elif _is_number(expected):
        if not _is_number(actual) and not _is(actual, Tensor):
            fail(f"{_title(what)} should be a number, but it is {describe_kind(actual)}.")
        exact_dtype, dtypes = False, (None, None)
    else:
        raise TypeError(f"assert_close compares tensors, arrays and numbers, not {describe_kind(expected)}")

    if (came := tuple(getattr(actual, "shape", ()))) != (wanted := tuple(getattr(expected, "shape", ()))):
        fail(*_wrong_shape(came, wanted, what), _hint(hint))
    if exact_dtype and dtypes[0] != dtypes[1]:
        fail(f"{_title(what)} should have dtype {dtypes[1]}, but it has {dtypes[0]}.")
    if _is(expected, Tensor) and actual.device != expected.device:
        fail(f"{_title(what)} should be on the device {expected.device}, but it is on {actual.device}.")

    low_precision = _is(actual, Tensor) and actual.dtype in COARSE
    if low_precision and tolerance:
        tolerance = max(tolerance, 4 * torch.finfo(actual.dtype).eps)
    _compare(_plain(actual), _plain(expected), tolerance, what, hint, sizes)


def _compare(actual: Tensor, expected: Tensor, tolerance: float, what: str, hint: str | None, sizes: Sizes) -> None:
    """Compare two plain tensors of the same shape, element by element."""
    if not actual.numel():
        return
    unexpected = ~actual.isfinite() & expected.isfinite()
    if unexpected.any():
        fail(_not_finite(actual, unexpected, what), *_both(actual, expected), _hint(hint))
    if expected.isnan().any():
        fail(f"What {what} is compared with is NaN{_at(_first(expected.isnan()))}.", _hint(hint))

    if not (actual.is_floating_point() or actual.is_complex() or expected.is_floating_point() or expected.is_complex()):
        wrong = actual != expected
        excess = (actual.double() - expected.double()).abs()
    else:
        wide = torch.complex128 if actual.is_complex() or expected.is_complex() else torch.float64
        actual, expected = actual.to(wide), expected.to(wide)
        # inf − inf is NaN: infinities must be equal; all else must be within tolerance, which NaN is not.
        error = (actual - expected).abs()
        allowed = tolerance * expected.abs().clamp(min=1)
        infinite = ~expected.isfinite()
        wrong = ~torch.where(infinite, actual == expected, error <= allowed)
        excess = torch.where(infinite, torch.inf, error / expected.abs().clamp(min=1))
    if not wrong.any():
        return

    place = _worst(excess.masked_fill(~wrong, -1))
    came, wanted = _tell_apart(actual[place].item(), expected[place].item())
    if actual.numel() == 1:
        fail(f"{_title(what)} should be {wanted}, but it is {came}.", relation(actual, expected, tolerance, sizes),
             _hint(hint))  # fmt: skip
    count = int(wrong.sum())
    share = "everywhere" if count == wrong.numel() else f"in {count} of {plural(wrong.numel(), 'place')}"
    fail(
        f"{_title(what)} {_be(what)} wrong {share}; most of all{_at(place)}: it should be {wanted}, but it is {came}.",
        *_both(actual, expected),
        relation(actual, expected, tolerance, sizes),
        _hint(hint),
        compared=Compared(actual, expected, wrong, place),
    )


def _wrong_shape(actual: tuple[int, ...], expected: tuple[int, ...], what: str) -> tuple[str, str | None]:
    said = f"{_title(what)} should have shape {shape(expected)}, but it has shape {shape(actual)}."
    return said, _shape_relation(actual, expected)


def _shape_relation(actual: tuple[int, ...], expected: tuple[int, ...]) -> str | None:
    """What a wrong shape looks like, if it looks like something."""
    if not actual:
        return "All dimensions are gone: a sum or mean without dim= takes the whole tensor, the batch too."
    if [size for size in actual if size != 1] == [size for size in expected if size != 1]:
        if len(actual) == len(expected):
            return "The dimension of size 1 is in another place."
        return f"There is a dimension of size 1 too {'many' if len(actual) > len(expected) else 'few'}."
    if len(expected) == 1 and actual == expected * 2:
        return f"Broadcasting {shape(expected)} against ({expected[0]}, 1) makes such a table of all pairs."
    if sorted(actual) == sorted(expected):
        return "The sizes are right, but the dimensions are in another order."
    if len(actual) == len(expected) + 1:
        for dim, size in enumerate(actual):
            if actual[:dim] + actual[dim + 1 :] == expected:
                return f"Dimension {dim}, of size {size}, should not be there any more."
    if len(actual) == len(expected) - 1:
        for dim, size in enumerate(expected):
            if expected[:dim] + expected[dim + 1 :] == actual:
                return f"The dimension of size {size} is missing."
    return None


def _not_finite(values: Tensor, bad: Tensor, what: str) -> str:
    place = _first(bad)
    came = number(values[place].item())
    if values.numel() == 1:
        return f"{_title(what)} should be finite, but it is {came}."
    return (
        f"{_title(what)} should be finite, but {int(bad.sum())} of {plural(values.numel(), 'value')} "
        f"{'is' if int(bad.sum()) == 1 else 'are'} not: the first is {came}{_at(place)}."
    )


def _gradient(output: Any, of: Tensor, what: str) -> Tensor | None:
    """The gradient of a weighted sum of `output`; None if the graph does not lead to `of`."""
    _assert_tensor(output, what)
    if not output.requires_grad:
        return None
    real = (torch.view_as_real(output) if output.is_complex() else output).flatten()
    golden = (math.sqrt(5) - 1) / 2  # its multiples modulo 1 are spread evenly and never repeat
    weights = torch.arange(1, real.numel() + 1, dtype=torch.float64).mul(golden).frac().add(0.5).to(real)
    (gradient,) = torch.autograd.grad((real * weights).sum(), of, retain_graph=True, allow_unused=True)
    return gradient


def _both(actual: Tensor, expected: Tensor) -> tuple[str, ...]:
    if not 1 < actual.numel() <= MOST_SHOWN:
        return ()
    return f"expected  {nested(expected.tolist())}", f"received  {nested(actual.tolist())}"


def _tell_apart(actual: complex, expected: complex) -> tuple[str, str]:
    """Both numbers with as many digits as it takes to see that they differ."""
    for digits in (6, 9, 12):
        came, wanted = number(actual, digits), number(expected, digits)
        if came != wanted:
            return came, wanted
    return number(actual, 17), number(expected, 17)


def _first(mask: Tensor) -> tuple[int, ...]:
    return tuple(int(index) for index in mask.nonzero()[0])


def _worst(excess: Tensor) -> tuple[int, ...]:
    return tuple(int(index) for index in torch.unravel_index(excess.argmax(), excess.shape))


def _at(place: tuple[int, ...]) -> str:
    return f" at [{', '.join(map(str, place))}]" if place else ""


def _hint(hint: str | None) -> str | None:
    return f"Hint: {hint}" if hint else None


def _title(what: str) -> str:
    """`what` at the start of a sentence; a name in code stays as it is."""
    return f"T{what[1:]}" if what.startswith(("the ", "these ", "this ")) else what


def _be(what: str) -> str:
    """Is, or are: "the loss", "the gradient of the losses", but "the losses of a batch"."""
    head = re.split(r" (?:of|for|with|at|in|on|to|by|from|after|before|when|that|which) ", what, maxsplit=1)[0]
    return "are" if re.search(r"[^su]s$", head) and not head.endswith(("is", " bias")) else "is"


def _values(value: Any, what: str) -> Tensor:
    if not _is_number(value) and not _is(value, np.ndarray):
        _assert_tensor(value, what)
    return _plain(value)


def _assert_tensor(value: Any, what: str) -> None:
    if not _is(value, Tensor):
        inside = " Return one tensor, not several." if isinstance(value, list | tuple) else ""
        fail(f"{_title(what)} should be a tensor, but it is {describe_kind(value)}.{inside}", _nothing(value))
    if value.layout != torch.strided or value.is_nested:
        fail(f"{_title(what)} should be an ordinary dense tensor, but its layout is {value.layout}.")


def _nothing(value: Any) -> str | None:
    return "Is there a return statement on every way through the function?" if value is None else None


def _as_array(value: Any) -> str | None:
    return ".numpy() makes an array of a tensor." if _is(value, Tensor) else _nothing(value)


def _is(value: Any, kind: type) -> bool:
    """`isinstance` by the real type: an object can claim any `__class__`."""
    return issubclass(type(value), kind)


def _is_number(value: Any) -> bool:
    return issubclass(type(value), bool | int | float | complex | np.number | np.bool_)


def _plain(value: Any) -> Tensor:
    """The values alone, on the CPU, without a graph."""
    if _is(value, Tensor):
        value = value.detach().resolve_conj().resolve_neg().cpu()
        return value.float() if value.is_floating_point() and value.itemsize == 1 else value
    if _is(value, np.ndarray):
        return torch.from_numpy(np.array(value, order="C"))
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return torch.tensor(value)
    if isinstance(value, int) and abs(value) < 2**63:
        return torch.tensor(value, dtype=torch.int64)
    if isinstance(value, complex):
        return torch.tensor(value, dtype=torch.complex128)
    return torch.tensor(_float(value), dtype=torch.float64)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the range of floats
        return math.copysign(math.inf, value)
