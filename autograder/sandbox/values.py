"""Values: which Python objects cross the boundary, and as what.

By value: None, bool, int, float, complex, str, bytes, list, tuple, dict, set, slice, range, SimpleNamespace, torch sizes,
dtypes, devices, generators, dense tensors, numpy arrays and scalars, and the distributions of `DISTRIBUTIONS`. Everything else
is the affair of the two ends, which exchange handles for it (see `peer`). A value becomes a tree of JSON and a flat list of
tensors; containers and special values are objects with one key that names their kind.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import distributions

from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.wire import DTYPE_NAMES, DTYPES, MAX_HEADER, MAX_TENSORS, TOO_MANY_PARTS

Tree = Any
MAX_DEPTH = 30
MAX_KEYS = (
    10_000  # of a dict or set: keys that were chosen to collide take time that grows with the square of their number
)
# For each distribution the constructor's arguments that say all about it. A MultivariateNormal crosses as its Cholesky factor:
# to decompose a matrix of an untrusted size is work that no time limit would interrupt.
PARAMETERS: dict[type[distributions.Distribution], str] = {
    distributions.Bernoulli: "probs logits",
    distributions.Beta: "concentration1 concentration0",
    distributions.Categorical: "probs logits",
    distributions.Dirichlet: "concentration",
    distributions.Exponential: "rate",
    distributions.Gamma: "concentration rate",
    distributions.Geometric: "probs logits",
    distributions.Independent: "base_distribution reinterpreted_batch_ndims",
    distributions.Laplace: "loc scale",
    distributions.MultivariateNormal: "loc scale_tril",
    distributions.Normal: "loc scale",
    distributions.OneHotCategorical: "probs logits",
    distributions.Poisson: "rate",
    distributions.Uniform: "low high",
}
DISTRIBUTIONS = {kind.__name__: kind for kind in PARAMETERS}


def encode(value: object, tensors: list[torch.Tensor], other: Callable[[object], Tree | None], depth: int = 0) -> Tree:
    """The tree of `value`; its tensors are appended to `tensors`.

    Args:
        value: what is to be sent.
        tensors: grows by the tensors met on the way.
        other: turns anything that has no value of its own into a tree, or returns None if it cannot.
        depth: how deep inside containers we are.

    Raises:
        TypeError: the value, or something in it, cannot cross.
        ValueError: it is too large.
    """
    kind = type(value)
    if value is None or value is True or value is False or kind in (int, float):
        return value
    if kind is str:
        return bounded(value)  # type: ignore[arg-type]
    if isinstance(value, torch.Tensor):
        return {"tensor": append_tensor(value, tensors)}
    if depth > MAX_DEPTH:
        raise TypeError("a value nested too deeply to cross the sandbox boundary")

    def sub(part: object) -> Tree:
        return encode(part, tensors, other, depth + 1)

    if kind is list:
        return [sub(part) for part in value]  # type: ignore[attr-defined]
    if kind is torch.Size:
        return {"size": list(value)}  # type: ignore[call-overload]
    if isinstance(value, tuple):  # named tuples, too: their class stays at home
        return {"tuple": [sub(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[sub(key), sub(part)] for key, part in value.items()]}
    if isinstance(value, set | frozenset):
        return {"set": [sub(part) for part in value]}
    if kind is SimpleNamespace:
        return {"namespace": {str(name): sub(part) for name, part in vars(value).items()}}
    if isinstance(value, np.ndarray | np.generic):
        array = np.array(value, order="C")  # a copy: torch wants writable memory without negative strides
        return {"numpy": [append_tensor(torch.as_tensor(array), tensors), isinstance(value, np.generic)]}
    if kind is complex:
        return {"complex": [value.real, value.imag]}  # type: ignore[attr-defined]
    if isinstance(value, bytes | bytearray):
        array = np.frombuffer(bytearray(value), dtype=np.uint8)
        return {"bytes": append_tensor(torch.as_tensor(array), tensors)}
    if kind is slice or kind is range:
        return {kind.__name__: [sub(value.start), sub(value.stop), sub(value.step)]}  # type: ignore[attr-defined]
    # Subclasses are sent as what they are underneath, past any method that they override.
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return bounded(str.__str__(value))
    if isinstance(value, torch.dtype) and value in DTYPE_NAMES:
        return {"dtype": DTYPE_NAMES[value]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, distributions.Distribution) and DISTRIBUTIONS.get(kind.__name__) is kind:
        return {"distribution": [kind.__name__, {name: sub(part) for name, part in parameters_of(value).items()}]}
    tree = other(value)
    if tree is None:
        raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot cross the sandbox boundary")
    return tree


def bounded(text: str) -> str:
    """The same text, if it can cross."""
    if len(text) > MAX_HEADER:
        raise ValueError(f"a text of {len(text)} characters is too long to cross the sandbox boundary")
    return text


def append_tensor(tensor: torch.Tensor, tensors: list[torch.Tensor]) -> int:
    """Append a plain view of `tensor` to `tensors`; its index there."""
    if type(tensor) is not torch.Tensor and not isinstance(tensor, torch.nn.Parameter):
        # A subclass of the student's must not run its own __torch_function__ while it is being sent.
        with torch._C.DisableTorchFunctionSubclass():
            tensor = tensor.as_subclass(torch.Tensor)
    if tensor.layout is not torch.strided or tensor.dtype not in DTYPE_NAMES or tensor.device.type == "meta":
        raise TypeError(
            f"a tensor with layout {tensor.layout}, dtype {tensor.dtype}, device {tensor.device} cannot cross the boundary"
        )
    if len(tensors) >= MAX_TENSORS:
        raise ValueError(TOO_MANY_PARTS)
    tensors.append(tensor)
    return len(tensors) - 1


def parameters_of(distribution: distributions.Distribution) -> dict[str, Any]:
    """The constructor arguments that make an equal distribution."""
    names = PARAMETERS[type(distribution)].split()
    if isinstance(distribution, distributions.Independent):
        return dict(zip(names, (distribution.base_dist, distribution.reinterpreted_batch_ndims), strict=True))
    if isinstance(distribution, distributions.OneHotCategorical):
        distribution = distribution._categorical
    if "logits" in names:  # one of the two was given; the other may have been computed from it since
        own = vars(distribution)
        given = "logits" if "probs" not in own or own.get("_param", own) is own.get("logits") else "probs"
        return {given: own[given]}
    return {name: getattr(distribution, name) for name in names}


def decode(
    tree: Tree, take: Callable[[object], torch.Tensor], other: Callable[[str, Any], object], depth: int = 0
) -> Any:
    """The inverse of `encode`, for a tree that anybody may have written.

    Args:
        tree: what came.
        take: the tensor at an index, once; raises `ProtocolError` if there is none.
        other: builds what is not a value from its kind and content; raises `ProtocolError` for unknown kinds.
        depth: how deep inside containers we are.

    Raises:
        Exception: of any kind, if the tree is not one that `encode` writes or a value cannot be built from it. The trusted
            end turns them all into `ProtocolError`; in the worker they are what the student's call raises.
    """
    if tree is None or isinstance(tree, bool | int | float):
        return tree
    if isinstance(tree, str):
        # Lone surrogates cannot be printed or written to a file.
        return tree if tree.isascii() else tree.encode("utf-8", "replace").decode()
    if depth > MAX_DEPTH + 2:
        raise ProtocolError("a value nested too deeply")

    def sub(part: Tree) -> Any:
        return decode(part, take, other, depth + 1)

    if isinstance(tree, list):
        return [sub(part) for part in tree]
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ProtocolError("a value of no known kind")
    ((kind, content),) = tree.items()
    match kind:
        case "tensor":
            return take(content)
        case "tuple":
            return tuple([sub(part) for part in content])
        case "dict" | "set" if len(content) > MAX_KEYS:
            raise ProtocolError("a dict or set with too many members")
        case "dict":
            return {sub(key): sub(part) for key, part in content}
        case "set":
            return {sub(part) for part in content}
        case "namespace":
            return SimpleNamespace(**{name: sub(part) for name, part in content.items()})
        case "size":
            return torch.Size([size_of(part) for part in content])
        case "complex":
            return complex(float(content[0]), float(content[1]))
        case "bytes":
            return take(content).numpy().tobytes()
        case "slice":
            return slice(*[sub(part) for part in content])
        case "range":
            return range(*[sub(part) for part in content])
        case "dtype":
            return DTYPES[content]
        case "device":
            return torch.device(content)
        case "numpy":
            array = take(content[0]).detach().numpy()
            return array[()] if content[1] is True and array.ndim == 0 else array
        case "distribution":
            return make_distribution(str(content[0]), {name: sub(part) for name, part in content[1].items()})
        case _:
            return other(kind, content)


def size_of(number: object) -> int:
    """A size, as torch counts."""
    if type(number) is not int or not 0 <= number < 1 << 62:
        raise ProtocolError("a number out of range")
    return number


def make_distribution(name: str, parameters: dict[str, Any]) -> distributions.Distribution:
    """An allow-listed distribution; its parameters are validated by torch."""
    kind = DISTRIBUTIONS[name]
    if not set(parameters) <= set(PARAMETERS[kind].split()):
        raise ProtocolError("a distribution with parameters that it does not have")
    return kind(**parameters, validate_args=None if kind is distributions.Independent else True)


def set_state(generator: torch.Generator, state: torch.Tensor) -> None:
    """Give a generator a state that anybody may have written.

    The state of a CPU generator is a C struct: seed, outputs left, flag, position, 624 words. torch believes the position, so
    one that lies would read behind the words.
    """
    raw = state.numpy().tobytes()
    if len(raw) != torch.Generator().get_state().numel():
        raise ProtocolError("a generator's state of the wrong size")
    left, _, position = struct.unpack_from("<iiQ", raw, 8)
    if not 0 < left <= 624 or left + position > 625:
        raise ProtocolError("a generator's state that points outside of itself")
    generator.set_state(state)
