"""Strategies that draw inputs: tensors, sizes, and whole argument lists from an annotated signature.

A tensor is drawn as one seed, not element by element: that is fast, and shrinking the seed leads to simple tensors (all
zeros, then all ones). Values lie on a grid of eighths, so that a counterexample is short enough to try by hand.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, cast

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from coursekit.properties.contract import Dim, conforms, dims_of, is_tensor_annotation, parse, signature_hints

__all__ = ["arguments", "conforms", "dimensions", "generators", "sizes", "tensors"]

SEEDS = 2**16 - 1
_SEEDS = st.integers(0, SEEDS)
# What is drawn for a family of dtypes: its first member here.
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (
    torch.float32, torch.float64, torch.int64, torch.bool, torch.uint8, torch.int32, torch.int16, torch.int8,
    torch.float16, torch.bfloat16, torch.complex64, torch.complex128,
)}  # fmt: skip
Shape = Sequence[int] | int


def tensors(
    shape: Shape | SearchStrategy[Any],
    *,
    dtype: torch.dtype = torch.float32,
    low: float = -3,
    high: float = 3,
    requires_grad: bool = False,
) -> SearchStrategy[Tensor]:
    """Tensors with values in [low, high], both ends included.

    Floating-point values are multiples of 1/8 (of a smaller power of two if the range is shorter than 1). Seed 0 gives
    all zeros and seed 1 all ones, as far as the range allows.

    Args:
        shape: sizes, one size, or a strategy of these.
        dtype: floating-point, complex (both parts are drawn), integer or boolean.
        low: least value.
        high: greatest value.
        requires_grad: whether to start a graph.

    Raises:
        ValueError: the range is empty, or holds no integer for an integer dtype.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"low={low} and high={high} are no range")
    if not (dtype.is_floating_point or dtype.is_complex) and math.ceil(low) > math.floor(high):
        raise ValueError(f"there is no integer between low={low} and high={high}")
    return _drawn_tensors(shape, dtype, low, high, requires_grad)


@st.composite  # not builds or map, whose values Hypothesis shows as calls instead of tensors
def _drawn_tensors(
    draw: st.DrawFn, shape: Any, dtype: torch.dtype, low: float, high: float, requires_grad: bool
) -> Tensor:
    sizes = draw(shape) if isinstance(shape, SearchStrategy) else shape
    return _tensor(sizes, draw(_SEEDS), dtype, low, high).requires_grad_(requires_grad)


def sizes(low: int = 1, high: int = 5) -> SearchStrategy[int]:
    """Sizes of a dimension: small, and 1 among them, where broadcasting hides mistakes.

    The simplest is 3, which neither broadcasting nor a forgotten factor of 2 can be confused with.
    """
    return _sizes(low, high, 0)


def dimensions(
    names: str, *, low: int = 1, high: int = 5, **given: SearchStrategy[int] | int
) -> SearchStrategy[dict[str, int]]:
    """A size for each name: `dimensions("batch latent")` draws `{"batch": 3, "latent": 4}`.

    The simplest sizes differ from each other, so that a message can tell the dimensions apart.

    Args:
        names: separated by spaces.
        low: least size.
        high: greatest size.
        given: another strategy, or a fixed size, for the dimension of that name.

    Raises:
        TypeError: `given` names something else.
    """
    listed = names.split()
    if stray := set(given) - set(listed):
        raise TypeError(f"dimensions({names!r}) has no dimension {sorted(stray)[0]!r}")
    drawn = [_strategy(given.get(name, _sizes(low, high, place))) for place, name in enumerate(listed)]
    return st.tuples(*drawn).map(lambda found: dict(zip(listed, found, strict=True)))


def generators() -> SearchStrategy[torch.Generator]:
    """Seeded generators on the CPU."""
    return _SEEDS.map(lambda seed: torch.Generator().manual_seed(seed))


def arguments(function: Callable[..., Any], **overrides: Any) -> SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Calls of `function` that its annotated signature allows, as `(args, kwargs)`.

    One name stands for one size in the whole signature, an int parameter of that name included. Parameters with a
    default are left to it. Numbers are drawn where almost every function accepts them: int from 1 to 5, float strictly
    between 0 and 1; integer tensors from 0 to 3, floating-point ones from −3 to 3.

    Args:
        function: a function, or a class for the arguments of its constructor.
        overrides: by name of a parameter or of a dimension: a strategy, a function from the drawn sizes to a strategy,
            or a value (a function that is itself the value goes into `just(...)`).

    Raises:
        TypeError: a parameter's annotation cannot be drawn, or an override names nothing.
    """
    title = getattr(function, "__name__", repr(function))
    hints = signature_hints(function)
    parameters = inspect.signature(function).parameters
    passed = {
        name: hints.get(name, Any)
        for name, parameter in parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and (name in overrides or parameter.default is parameter.empty)
    }
    drawn = {name: hint for name, hint in passed.items() if name not in overrides}
    dims = [dim for hint in drawn.values() for dim in dims_of(hint)]
    names = dict.fromkeys(name for dim in dims for name in dim.names)
    singles = {name: _sizes(1, 5, place) for place, name in enumerate(names)}
    several = {dim.name: _several_sizes() for dim in dims if dim.variadic and dim.name}
    if stray := set(overrides) - set(passed) - set(singles) - set(several):
        raise TypeError(f"{title} has no parameter or dimension {sorted(stray)[0]!r}")
    simplest = {**dict.fromkeys(singles, 1), **dict.fromkeys(several, ())}
    for name, hint in drawn.items():  # now, not at the first draw: an annotation that cannot be drawn is the author's
        if _from_hint(hint, simplest) is None:
            raise TypeError(f"{title}: the parameter {name!r} cannot be drawn from its annotation {hint}; override it")

    strategies = {name: _strategy(overrides.get(name, default)) for name, default in {**singles, **several}.items()}
    computed = [dim for dim in dims if dim.expression is not None]
    bindings = st.fixed_dictionaries(strategies).filter(
        lambda bound: all((d.evaluate(bound) or 0) > 0 for d in computed)
    )

    @st.composite
    def calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bound = draw(bindings)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        by_name = False
        for name, parameter in parameters.items():
            if name not in passed:
                by_name = True  # a parameter was left to its default: the others can only be given by name
                continue
            if name in overrides:
                given = overrides[name]
                strategy = _strategy(given(dict(bound)) if isinstance(given, types.FunctionType) else given)
            elif drawn[name] is int and name in bound:  # `steps: int` beside Float[Tensor, "steps latent"]
                strategy = st.just(bound[name])
            else:
                strategy = cast(SearchStrategy[Any], _from_hint(drawn[name], bound))  # drawable, as seen above
            if by_name or parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[name] = draw(strategy)
            else:
                args.append(draw(strategy))
        return tuple(args), kwargs

    return calls()


_SIMPLE: dict[Any, SearchStrategy[Any]] = {
    int: st.integers(1, 5),
    float: st.integers(1, 7).map(lambda eighths: eighths / 8),
    bool: st.booleans(),
    torch.Generator: generators(),
    type(None): st.none(),
    None: st.none(),
}


def _from_hint(hint: Any, bound: Mapping[str, Any]) -> SearchStrategy[Any] | None:
    """A strategy for an annotation, given the sizes of its names; None if there is none."""
    if is_tensor_annotation(hint):
        return _from_tensor_annotation(hint, bound)
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _SIMPLE.get(hint) if isinstance(hint, type | None) else None
    if origin is Literal:
        return st.sampled_from(inside)
    if origin is Union or origin is types.UnionType:
        options = _from_hints(sorted(inside, key=lambda option: option is not type(None)), bound)
        return st.one_of(options) if options else None
    if origin is list or (origin is tuple and inside[1:] == (...,)):
        item = _from_hints(inside[:1], bound)
        items = st.lists(item[0], min_size=1, max_size=3) if item else None
        return items.map(tuple) if items is not None and origin is tuple else items
    if origin is tuple:
        parts = _from_hints(inside, bound)
        return st.tuples(*parts) if parts else None
    return None


def _from_hints(hints: Sequence[Any], bound: Mapping[str, Any]) -> list[SearchStrategy[Any]]:
    """A strategy for each annotation; none at all if one of them has none."""
    found = [strategy for hint in hints if (strategy := _from_hint(hint, bound)) is not None]
    return found if len(found) == len(hints) else []


def _from_tensor_annotation(hint: Any, bound: Mapping[str, Any]) -> SearchStrategy[Any] | None:
    family = hint.dtypes if isinstance(hint.dtypes, tuple | list) else ("float32",)
    dtype = next((dtype for name, dtype in DTYPES.items() if name in family), None)
    if dtype is None or hint.array_type not in (Tensor, np.ndarray):
        return None
    parts = [_part(dim, place, bound) for place, dim in enumerate(parse(hint.dim_str))]
    shape: Any = sum(parts, ()) if all(isinstance(part, tuple) for part in parts) else None
    if shape is None:
        shape = st.tuples(*map(_strategy, parts)).map(lambda parts: sum(parts, ()))
    low = -3 if dtype.is_floating_point or dtype.is_complex else 0
    drawn = tensors(shape, dtype=dtype, low=low, high=3)
    return drawn.map(Tensor.numpy) if hint.array_type is np.ndarray else drawn


def _part(dim: Dim, place: int, bound: Mapping[str, Any]) -> Any:
    """The sizes that a word of a shape stands for, or a strategy of these."""
    if dim.variadic:
        return tuple(bound[dim.name]) if dim.name else _several_sizes()
    size = dim.evaluate(bound)
    return (size,) if size is not None else _sizes(1, 5, place).map(lambda drawn: (drawn,))


def _sizes(low: int, high: int, place: int) -> SearchStrategy[int]:
    """Sizes of which the simplest is 3, 4, 5, …, depending on the place among other dimensions."""
    if low > high:
        raise ValueError(f"low={low} and high={high} are no range")
    telling = list(range(max(low, 3), high + 1))
    start = place % len(telling) if telling else 0
    confusing = [size for size in (2, 1, 0) if low <= size <= high]
    return st.sampled_from([*telling[start:], *telling[:start], *confusing])


def _several_sizes() -> SearchStrategy[tuple[int, ...]]:
    return st.lists(sizes(1, 3), max_size=2).map(tuple)


def _strategy(given: Any) -> SearchStrategy[Any]:
    return given if isinstance(given, SearchStrategy) else st.just(given)


def _tensor(shape: Shape, seed: int, dtype: torch.dtype, low: float, high: float) -> Tensor:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if dtype.is_complex:
        part = torch.float64
        both = [_tensor(shape, s, part, low, high) for s in (seed, seed if seed < 2 else seed + SEEDS)]
        return torch.complex(*both).to(dtype)
    if seed < 2 or low == high:
        value = min(max(seed, low), high)
        whole = not dtype.is_floating_point and value != int(value)
        return torch.full(shape, math.ceil(value) if whole else value, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    if dtype is torch.bool:
        low, high = max(low, 0), min(high, 1)
    step = _step(low, high) if dtype.is_floating_point else 1
    first, last = math.ceil(low / step), math.floor(high / step)
    return (torch.randint(first, last + 1, shape, generator=generator).double() * step).to(dtype)


def _step(low: float, high: float) -> float:
    """The grid: eighths, or as much finer as a short range needs for eight steps."""
    step = 1 / 8
    while low < high < low + 8 * step:
        step /= 2
    return step
