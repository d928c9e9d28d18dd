"""What a wrong result has to do with the right one, when it is something simple: a factor, a sign, another order.

A relation is stated only if it explains every element, and much better than the expected values themselves do; on a
constant (where any factor and any offset fit) only if the factor or the offset means something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from coursekit.properties.describe import number

Close = Callable[[Tensor], bool]

FUNCTIONS: tuple[tuple[Callable[[Tensor], Tensor], str], ...] = (
    (torch.exp, "the exponential of"),
    (torch.log, "the logarithm of"),
    (torch.sigmoid, "the sigmoid of"),
    (torch.square, "the square of"),
    (torch.sqrt, "the square root of"),
    (torch.reciprocal, "one divided by"),
)


def relation(actual: Tensor, expected: Tensor, tolerance: float, sizes: Mapping[str, Any]) -> str | None:
    """A sentence on how `actual` follows from `expected`, tensors of the same shape, or None.

    Args:
        actual: what came, on the CPU.
        expected: what should have come; not equal to `actual`.
        tolerance: of the comparison that failed.
        sizes: drawn sizes by name; without any, the sizes of the dimensions of `expected`.
    """
    if actual.is_complex() or expected.is_complex():
        return None
    if actual.dtype == expected.dtype == torch.bool:
        return "Every value is the opposite of what it should be." if not (actual == expected).any() else None
    actual, expected = actual.double(), expected.double()
    if not (actual.isfinite().all() and expected.isfinite().all()):
        return None
    distance = (actual - expected).abs().max()

    def close(other: Tensor) -> bool:
        error = (actual - other).abs()
        near = error <= 1e-3 * other.abs() + min(max(tolerance, 1e-6), 1e-3)
        return bool(near.all()) and bool(error.max() <= 0.1 * distance)

    named = {name: size for name, size in sizes.items() if isinstance(size, int)}
    # A factor of 2 has better explanations than a dimension that happens to have that size.
    named = named or {f"dimension {dim}": size for dim, size in enumerate(expected.shape) if size > 2}
    return next((said for said in _relations(actual, expected, close, named) if said), None)


def _relations(actual: Tensor, expected: Tensor, close: Close, sizes: Mapping[str, int]) -> Iterator[str | None]:
    several = actual.numel() > 1
    varied = expected.unique().numel() > 1
    if not actual.any():
        yield "Every value is 0." if several else None
        return
    yield "The sign is flipped." if close(-expected) else None
    yield _scaled(actual, expected, close, sizes)
    yield _shifted(actual, expected, close, sizes, varied)
    if not varied:
        return
    if actual.unique().numel() == 1:
        yield f"Every value is the same, {number(actual.flatten()[0].item())}, where they should differ."
        return
    for function, said in FUNCTIONS:
        yield f"Every value is {said} what it should be." if close(function(expected)) else None
    yield from _reordered(actual, expected, close)


def _scaled(actual: Tensor, expected: Tensor, close: Close, sizes: Mapping[str, int]) -> str | None:
    square = expected.square().sum()
    if not square:
        return None
    factor = ((actual * expected).sum() / square).item()
    if not factor or not close(factor * expected):
        return None
    subject = "Every value" if actual.numel() > 1 else "It"
    flipped = "The sign is flipped, and " if factor < 0 else ""
    subject = subject.lower() if flipped else subject
    size = abs(factor)
    said = (
        f"{flipped}{subject} is {_round(size)} times what it should be"
        if size > 1
        else f"{flipped}{subject} is {_round(1 / size)} times too small"
    )
    meaning = _meaning_of_factor(size, sizes)
    constant = expected[expected != 0].unique().numel() == 1
    if constant and not meaning and not any(math.isclose(size, nice, rel_tol=1e-3) for nice in (2, 0.5)):
        return None
    return f"{said}{meaning}."


def _meaning_of_factor(factor: float, sizes: Mapping[str, int]) -> str:
    """Why it may be this factor; empty if nothing explains it."""
    large = max(factor, 1 / factor)
    for count, labels in _sizes(sizes):
        # A factor of 2 comes from a forgotten ½ or a doubled term far more often than from a dimension of size 2.
        if count > 2 and math.isclose(large, count, rel_tol=1e-3):
            guess = "a sum where a mean" if factor > 1 else "a mean where a sum"
            return f", and {count} is the size of {labels} ({guess} is expected?)"
        root = math.sqrt(count)
        if not root.is_integer() and math.isclose(large, root, rel_tol=1e-3):
            return f", and {_round(large)} is the square root of {count}, the size of {labels}"
    if math.isclose(large, 1 / math.log(2), rel_tol=1e-3):
        return ": a logarithm to base 2 and a natural logarithm differ by this factor"
    return ""


def _shifted(actual: Tensor, expected: Tensor, close: Close, sizes: Mapping[str, int], varied: bool) -> str | None:
    offset = (actual - expected).mean().item()
    if not close(expected + offset):
        return None
    meaning = next(
        (
            f", and that is the logarithm of {count}, the size of {labels}"
            for count, labels in _sizes(sizes)
            if math.isclose(abs(offset), math.log(count), rel_tol=1e-3)
        ),
        "",
    )
    if not varied and not meaning:
        return None
    subject = "Every value" if actual.numel() > 1 else "It"
    return f"{subject} is {_round(abs(offset))} too {'large' if offset > 0 else 'small'}{meaning}."


def _reordered(actual: Tensor, expected: Tensor, close: Close) -> Iterator[str | None]:
    for dim, size in enumerate(expected.shape):
        yield f"The order along dimension {dim} is reversed." if close(expected.flip(dim)) else None
        for step in (1, -1) if size > 2 else ():
            rolled = expected.roll(step, dim)
            start = 1 if step == 1 else 0  # without the place that rolling fills from the other end
            came, moved = actual.narrow(dim, start, size - 1), rolled.narrow(dim, start, size - 1)
            if moved.unique().numel() > 1 and bool((came - moved).abs().max() <= 1e-6):
                yield f"The values are one place too {'late' if step == 1 else 'early'} along dimension {dim}."
    if expected.ndim == 2 and expected.shape[0] == expected.shape[1]:
        yield "It is the transpose of what it should be." if close(expected.T) else None
    in_order, wanted = actual.flatten().sort().values, expected.flatten().sort().values
    yield "The right values are there, but in another order." if bool((in_order - wanted).abs().max() <= 1e-6) else None


def _sizes(sizes: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Every size and every product of two, above 1, with the names that have it."""
    found: dict[int, list[str]] = {}
    for name, size in sizes.items():
        found.setdefault(size, []).append(name)
    for (first, size), (second, other) in combinations(sizes.items(), 2):
        if size > 1 and other > 1 and size * other not in found:
            found.setdefault(size * other, []).append(f"{first} times {second}")
    return ((size, " and of ".join(labels)) for size, labels in found.items() if size > 1)


def _round(value: float) -> str:
    """A factor or offset is known to a few digits only: 2.00003 is 2.0."""
    return number(value, 4)
