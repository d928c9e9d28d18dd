"""Values in words: short enough for one line of a message, exact enough to try again by hand."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MOST_ELEMENTS = 24  # a larger tensor is described, not printed
FEWEST_REPEATED = 4  # elements of a constant tensor that is not printed either
MOST_ITEMS = 8
MOST_CHARACTERS = 160
MOST_DEPTH = 5
UNPRINTABLE = re.compile(r"bit.*|float4.*|u?int[1-7]")  # dtypes that torch stores but cannot print
UNSAID_DTYPES = (torch.float32, torch.int64, torch.bool)  # what torch.tensor(...) makes of the printed values by itself


def describe(value: Any, depth: int = MOST_DEPTH) -> str:
    """One line for `value`: small tensors with all their values, large ones as shape, dtype and range.

    Whatever stands deeper than `depth` containers is left out; a container may hold itself.
    """
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic):
        return number(value.item())
    if isinstance(value, bool | int | float | complex):
        return number(value)
    if isinstance(value, str | bytes):
        return _cut(repr(value))
    if isinstance(value, torch.Generator):
        return f"Generator(seed={value.initial_seed()})"
    if not depth:
        return "…"
    if isinstance(value, torch.distributions.Distribution):
        return _distribution(value, depth)
    if isinstance(value, nn.Module):
        return _module(value)
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        return _container(value, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name, ...) for field in dataclasses.fields(value)}
        return f"{type(value).__name__}({_assignments(fields, depth)})"
    if callable(value) and isinstance(name := getattr(value, "__qualname__", None), str):
        return name
    return _cut(_repr(value))


def describe_kind(value: Any) -> str:
    """What sort of thing `value` is, with an article: for "should be a tensor, but it is …"."""
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a tensor of shape {shape(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {shape(value.shape)}"
    if isinstance(value, bool | int | float | complex | str | np.generic):
        return f"the {type(value).__name__} {describe(value)}"
    if isinstance(value, list | tuple | dict | set):
        return f"a {type(value).__name__} of {plural(len(value), 'item')}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if callable(value) and not isinstance(value, nn.Module):
        return f"the function {getattr(value, '__name__', type(value).__name__)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def shape(sizes: tuple[int, ...]) -> str:
    """A shape as Python writes it: (3, 4), (3,), ()."""
    return str(tuple(sizes))


def number(value: complex, digits: int = 6) -> str:
    """A number with at most `digits` significant digits, and no trailing zeros."""
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, complex):
        return f"{value:.{digits}g}"
    text = f"{value:.{digits}g}"
    return text if any(mark in text for mark in ".en") else f"{text}.0"


def plural(count: int, noun: str) -> str:
    """1 value, 2 values."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _tensor(value: Tensor) -> str:
    dtype = str(value.dtype).removeprefix("torch.")
    if value.device.type == "meta" or value.is_nested or value.numel() == 0:
        sizes = "of nested shape" if value.is_nested else f"of shape {shape(value.shape)}"
        return f"tensor {sizes}, {dtype}"
    if UNPRINTABLE.fullmatch(dtype):
        return f"tensor of shape {shape(value.shape)}, {dtype}"
    plain = value.detach().to_dense() if value.layout != torch.strided else value.detach()
    plain = plain.dequantize() if plain.is_quantized else plain
    plain = plain.resolve_conj().resolve_neg().cpu()
    if plain.numel() >= FEWEST_REPEATED and bool((plain == plain.flatten()[0]).all()) and value.device.type == "cpu":
        return _constant(plain)
    if plain.numel() <= MOST_ELEMENTS:
        said = "" if value.dtype in UNSAID_DTYPES else f", dtype={dtype}"
        device = "" if value.device.type == "cpu" else f", device={value.device}"
        return f"tensor({nested(plain.tolist())}{said}{device})"
    return f"tensor of shape {shape(value.shape)}, {dtype}{_range(plain)}"


def _constant(value: Tensor) -> str:
    """As one would write it: torch.zeros(3, 4)."""
    item = value.flatten()[0].item()
    dtype = "" if value.dtype in (torch.float32, torch.bool) else f", dtype={value.dtype}"
    sizes = shape(value.shape)
    if isinstance(item, bool) or item not in (0, 1):
        return f"torch.full({sizes}, {number(item)}{dtype})"
    return f"torch.{'ones' if item else 'zeros'}({sizes[1:-1].rstrip(',')}{dtype})"


def _array(value: np.ndarray) -> str:
    if 0 < value.size <= MOST_ELEMENTS:
        return f"array({nested(value.tolist())})"
    sizes = f"array of shape {shape(value.shape)}, {value.dtype}"
    return sizes + (
        _range(torch.from_numpy(value.astype(np.float64))) if value.size and value.dtype.kind in "iuf" else ""
    )


def _range(value: Tensor) -> str:
    if value.is_complex():
        return ""
    value = value.double()
    finite = value[value.isfinite()]
    text = f", from {number(finite.min().item(), 4)} to {number(finite.max().item(), 4)}" if finite.numel() else ""
    odd = value.numel() - finite.numel()
    return text + (f", {odd} of {value.numel()} not finite" if odd else "")


def nested(values: Any) -> str:
    """Nested lists of numbers, each to six digits."""
    if isinstance(values, list):
        return f"[{', '.join(map(nested, values))}]"
    return number(values) if isinstance(values, int | float | complex) else repr(values)


def _distribution(value: torch.distributions.Distribution, depth: int) -> str:
    try:
        # A distribution stores one parametrisation; `probs` would otherwise be repeated as `logits`.
        given = {name: value.__dict__[name] for name in value.arg_constraints if name in value.__dict__}
    except NotImplementedError:  # torch's own answer for a distribution that declares no parameters
        given = {}
    if isinstance(value, torch.distributions.Independent):
        given = {"": value.base_dist, "reinterpreted_batch_ndims": value.reinterpreted_batch_ndims}
    return f"{type(value).__name__}({_assignments(given, depth)})"


def _module(value: nn.Module) -> str:
    text = _repr(value)
    if "\n" not in text and len(text) <= 80:
        return text
    parameters = sum(parameter.numel() for parameter in value.parameters())
    return f"{type(value).__name__} with {plural(parameters, 'parameter')}"


def _container(value: Any, depth: int) -> str:
    if isinstance(value, Mapping):
        items = [
            f"{describe(key, depth - 1)}: {describe(item, depth - 1)}" for key, item in list(value.items())[:MOST_ITEMS]
        ]
    else:
        items = [describe(item, depth - 1) for item in list(value)[:MOST_ITEMS]]
    if len(value) > MOST_ITEMS:
        items.append(f"… {len(value) - MOST_ITEMS} more")
    inside = ", ".join(items)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return f"{type(value).__name__}({_assignments(dict(zip(value._fields, value, strict=True)), depth)})"
    if isinstance(value, tuple):
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, list):
        return f"[{inside}]"
    if isinstance(value, set | frozenset):
        return f"{{{inside}}}" if value else f"{type(value).__name__}()"
    return f"{{{inside}}}"


def _assignments(named: Mapping[str, Any], depth: int) -> str:
    described = {name: describe(item, depth - 1) for name, item in named.items()}
    return ", ".join(f"{name}={item}" if name else item for name, item in described.items())


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a student's __repr__ may raise anything; its failure is what there is to say
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
