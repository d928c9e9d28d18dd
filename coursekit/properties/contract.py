"""The contract in an annotated signature: shapes by name, dtype families, plain Python types.

`Float[Tensor, "batch latent"]` promises a floating-point tensor of two dimensions; one name is one size in the whole
signature. The grammar of the names is jaxtyping's: https://docs.kidger.site/jaxtyping/api/array/.
"""

from __future__ import annotations

import ast
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

import numpy as np
from torch import Tensor

from coursekit.properties.describe import describe_kind, plural, shape

Sizes = dict[str, Any]
OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Dim:
    """One word of a shape: `batch`, `3`, `n+1`, `_`, `*data`, `...`, `#batch`."""

    text: str
    name: str | None = None  # batch, *data
    size: int | None = None  # 3
    expression: ast.expr | None = None  # n+1
    variadic: bool = False  # *data, ...
    broadcastable: bool = False  # #batch: that size, or 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of single dimensions that this one is made of."""
        if self.expression is not None:
            return tuple(node.id for node in ast.walk(self.expression) if isinstance(node, ast.Name))
        return (self.name,) if self.name and not self.variadic else ()

    def evaluate(self, sizes: Mapping[str, Any]) -> int | None:
        """Its size, if `sizes` settle it."""
        if self.size is not None:
            return self.size
        if any(name not in sizes for name in self.names):
            return None
        if self.expression is not None:
            return _evaluate(self.expression, sizes)
        return int(sizes[self.name]) if self.name else None


@functools.cache
def parse(dim_str: str) -> tuple[Dim, ...]:
    """The words of a shape.

    Raises:
        ValueError: one is not understood.
    """
    return tuple(map(_parse, dim_str.split()))


def is_tensor_annotation(annotation: Any) -> bool:
    """Whether it is jaxtyping's, such as `Float[Tensor, "batch"]`."""
    return isinstance(getattr(annotation, "dim_str", None), str) and hasattr(annotation, "dtypes")


def dims_of(annotation: Any) -> list[Dim]:
    """The dimensions in an annotation and in those inside it."""
    if is_tensor_annotation(annotation):
        return list(parse(annotation.dim_str))
    return [dim for inside in typing.get_args(annotation) for dim in dims_of(inside)]


def signature_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function, or of a class's constructor, with strings resolved; `return` among them.

    Raises:
        TypeError: one names something that does not exist.
    """
    target = function.__init__ if isinstance(function, type) else inspect.unwrap(function)  # type: ignore[misc]
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError as error:
        raise TypeError(f"an annotation of {getattr(function, '__name__', function)} cannot be read: {error}") from None
    except TypeError:  # a callable that is neither function nor class, such as functools.partial
        return {}


def bind_sizes(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sizes:
    """The sizes that the arguments of a call give to the names in the signature.

    An int parameter that is called like a dimension is its size: `steps` settles `Float[Tensor, "steps latent"]`.
    """
    hints = signature_hints(function)
    named = {name for hint in hints.values() for dim in dims_of(hint) for name in dim.names}
    sizes: Sizes = {}
    call = inspect.signature(function).bind(*args, **kwargs)
    call.apply_defaults()
    for name, value in call.arguments.items():
        if name in named and isinstance(value, int):
            sizes[name] = value
    for name, value in call.arguments.items():
        conforms(value, hints.get(name, Any), sizes)
    return sizes


def conforms(value: Any, annotation: Any, sizes: Sizes, *, what: str = "the result") -> str | None:
    """How `value` breaks its annotation, in a sentence, or None if it keeps it.

    Args:
        value: anything.
        annotation: a jaxtyping annotation, a type, or a tuple, list, dict, union or literal of these. One that says
            nothing that can be checked is kept by everything.
        sizes: sizes of names bound so far. Names that are met for the first time are bound here, so that two tensors of
            one result, or a result and the arguments (see `bind_sizes`), must agree.
        what: how the sentence calls `value`.
    """
    if is_tensor_annotation(annotation):
        return _tensor_conforms(value, annotation, sizes, what)
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return None if value is None else f"{what} should be None, but it is {describe_kind(value)}"
    if origin is Union or origin is types.UnionType:
        return _union_conforms(value, inside, sizes, what)
    if origin is Literal:
        return None if value in inside else f"{what} should be one of {inside}, but it is {describe_kind(value)}"
    if origin is typing.Annotated:
        return conforms(value, inside[0], sizes, what=what)
    if origin is tuple:
        return _tuple_conforms(value, inside, sizes, what)
    if origin is list:
        if not isinstance(value, list):
            return f"{what} should be a list, but it is {describe_kind(value)}"
        return _first_fault(conforms(item, inside[0], sizes, what=f"{what}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            return f"{what} should be a dictionary, but it is {describe_kind(value)}"
        items = value.items()
        return _first_fault(conforms(item, inside[1], sizes, what=f"{what}[{key!r}]") for key, item in items)
    return _type_conforms(value, origin or annotation, what)


def _tensor_conforms(value: Any, annotation: Any, sizes: Sizes, what: str) -> str | None:
    kind: Any = annotation.array_type if isinstance(annotation.array_type, type) else Tensor
    promised = f"({', '.join(annotation.dim_str.split())})"
    if not isinstance(value, kind):
        noun = "a NumPy array" if kind is np.ndarray else "a tensor"
        return f"{what} should be {noun} of shape {promised}, but it is {describe_kind(value)}"
    dtype = str(value.dtype).removeprefix("torch.")
    family = annotation.dtypes
    if isinstance(family, tuple | list) and dtype not in family:
        return f"{what} should have a dtype of the family {annotation.dtype.__name__}, but it has {dtype}"
    bound = dict(sizes)
    if not _bind(tuple(value.shape), parse(annotation.dim_str), bound):
        return f"{what} should have shape {_promise(annotation.dim_str, sizes)}, but it has {shape(value.shape)}"
    sizes.update(bound)
    return None


def _bind(sizes: tuple[int, ...], dims: tuple[Dim, ...], bound: Sizes) -> bool:
    """Match a shape with its words, binding names that are new."""
    at = next((index for index, dim in enumerate(dims) if dim.variadic), None)
    if at is None:
        return len(sizes) == len(dims) and all(map(lambda d, s: _bind_one(d, s, bound), dims, sizes))
    after = len(dims) - at - 1
    if len(sizes) < len(dims) - 1:
        return False
    middle = sizes[at : len(sizes) - after]
    rest = sizes[:at] + sizes[len(sizes) - after :]
    single = dims[:at] + dims[at + 1 :]
    several = dims[at]
    if several.name:
        known = bound.setdefault(several.name, middle)
        if tuple(known) != middle and not several.broadcastable:
            return False
    return all(map(lambda d, s: _bind_one(d, s, bound), single, rest))


def _bind_one(dim: Dim, size: int, bound: Sizes) -> bool:
    if dim.broadcastable and size == 1:
        return True
    expected = dim.evaluate(bound)
    if expected is None:
        if dim.name:
            bound[dim.name] = size
        return True  # an expression of names that nothing has bound yet says nothing
    return size == expected


def _promise(dim_str: str, sizes: Sizes) -> str:
    """(batch = 3, latent): the words, with the sizes that are known."""
    words = []
    for dim in parse(dim_str):
        known = sizes.get(dim.name) if dim.variadic and dim.name else dim.evaluate(sizes)
        words.append(dim.text if known is None or dim.size is not None else f"{dim.text} = {known}")
    return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def _union_conforms(value: Any, options: tuple[Any, ...], sizes: Sizes, what: str) -> str | None:
    faults = []
    for option in options:
        attempt = dict(sizes)
        fault = conforms(value, option, attempt, what=what)
        if fault is None:
            sizes.update(attempt)
            return None
        faults.append(fault)
    # What a value of the right sort did wrong says more than "it is not None".
    return next((fault for fault in faults if "but it has" in fault), faults[0])


def _tuple_conforms(value: Any, inside: tuple[Any, ...], sizes: Sizes, what: str) -> str | None:
    if not isinstance(value, tuple | list):  # a list unpacks as well: no correct answer should fail for it
        return f"{what} should be a tuple, but it is {describe_kind(value)}"
    if len(inside) == 2 and inside[1] is ...:
        inside = inside[:1] * len(value)
    elif inside == ((),):
        inside = ()
    if len(value) != len(inside):
        return f"{what} should be a tuple of {plural(len(inside), 'item')}, but it has {len(value)}"
    pairs = enumerate(zip(value, inside, strict=True))
    return _first_fault(conforms(item, hint, sizes, what=f"{what}[{i}]") for i, (item, hint) in pairs)


def _type_conforms(value: Any, annotation: Any, what: str) -> str | None:
    if annotation in (Any, object, inspect.Parameter.empty) or not isinstance(annotation, type):
        return None
    if annotation is Callable or getattr(annotation, "__name__", "") == "Callable":
        return None if callable(value) else f"{what} should be callable, but it is {describe_kind(value)}"
    numbers: dict[type, tuple[type, ...]] = {
        bool: (bool, np.bool_),
        int: (int, np.integer),
        float: (float, int, np.floating, np.integer),  # an int is welcome where a float is promised (PEP 484)
        complex: (complex, float, int, np.number),
    }
    if annotation in numbers:
        if isinstance(value, numbers[annotation]) and (annotation is bool or not isinstance(value, bool | np.bool_)):
            return None
        item = " (.item() makes a number of it)" if isinstance(value, Tensor) and value.numel() == 1 else ""
        return f"{what} should be {_article(annotation.__name__)}, but it is {describe_kind(value)}{item}"
    if isinstance(value, annotation):
        return None
    said = "a tensor" if annotation is Tensor else _article(annotation.__name__)
    return f"{what} should be {said}, but it is {describe_kind(value)}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _first_fault(faults: Iterator[str | None]) -> str | None:
    return next((fault for fault in faults if fault is not None), None)


def _parse(word: str) -> Dim:
    text = word
    broadcastable = variadic = False
    while word and word[0] in "#*?":
        broadcastable |= word[0] == "#"
        variadic |= word[0] == "*"
        word = word[1:]
    if word == "...":
        return Dim(text, variadic=True)
    if word.startswith("_") and word.isidentifier():  # anonymous, with or without a name for the reader
        return Dim(text, variadic=variadic)
    if word.isdecimal():
        return Dim(text, size=int(word))
    if word.isidentifier():
        return Dim(text, name=word, variadic=variadic, broadcastable=broadcastable)
    name, equals, value = word.partition("=")
    if equals and name.isidentifier() and value.isdecimal():  # rows=3: the name is for the reader
        return Dim(text, size=int(value), broadcastable=broadcastable)
    try:
        expression = ast.parse(word, mode="eval").body
        _evaluate(expression, dict.fromkeys([n.id for n in ast.walk(expression) if isinstance(n, ast.Name)], 1))
    except (SyntaxError, ZeroDivisionError) as error:
        raise ValueError(f"the dimension {text!r} of a shape is not understood") from error
    return Dim(text, expression=expression, broadcastable=broadcastable)


def _evaluate(node: ast.expr, sizes: Mapping[str, Any]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return int(sizes[node.id])
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_evaluate(node.left, sizes), _evaluate(node.right, sizes))
    raise SyntaxError(ast.unparse(node))
