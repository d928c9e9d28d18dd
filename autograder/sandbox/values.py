"""Values: which Python objects cross the boundary, and as what.

By value: None, bool, int, float, complex, str, bytes, list, tuple, dict, set, slice, range, torch sizes, dtypes, devices,
generators, dense tensors, numpy arrays and scalars, and the distributions of `DISTRIBUTIONS`. Everything else is the affair
of the two ends, which exchange handles for it (see `peer`). A value becomes a tree of JSON and a flat list of tensors;
containers and special values are objects with one key that names their kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import distributions

from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.wire import DTYPE_NAMES, DTYPES

Tree = Any
MAX_DEPTH = 30
DISTRIBUTIONS: dict[str, type[distributions.Distribution]] = {
    kind.__name__: kind
    for kind in (
        *(distributions.Bernoulli, distributions.Beta, distributions.Categorical, distributions.Dirichlet),
        *(distributions.Exponential, distributions.Gamma, distributions.Geometric, distributions.Independent),
        *(distributions.Laplace, distributions.MultivariateNormal, distributions.Normal),
        *(distributions.OneHotCategorical, distributions.Poisson, distributions.Uniform),
    )
}
INDEPENDENT = ("base_dist", "reinterpreted_batch_ndims")


def encode(value: object, tensors: list[torch.Tensor], other: Callable[[object], Tree | None], depth: int = 0) -> Tree:
    """The tree of `value`; its tensors are appended to `tensors`.

    Args:
        value: what is to be sent.
        tensors: grows by the tensors met on the way.
        other: turns anything that has no value of its own into a tree, or returns None if it cannot.
        depth: how deep inside containers we are.

    Raises:
        TypeError: the value, or something in it, cannot cross.
    """
    if depth > MAX_DEPTH:
        raise TypeError("a value nested too deeply to cross the sandbox boundary")

    def sub(part: object) -> Tree:
        return encode(part, tensors, other, depth + 1)

    kind = type(value)
    if value is None or value is True or value is False or kind in (int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        return {"tensor": append_tensor(value, tensors)}
    if isinstance(value, np.ndarray | np.generic):
        array = torch.as_tensor(np.ascontiguousarray(value))
        return {"numpy": [append_tensor(array, tensors), isinstance(value, np.generic)]}
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
    if kind is complex:
        return {"complex": [value.real, value.imag]}  # type: ignore[attr-defined]
    if isinstance(value, bytes | bytearray):
        return {
            "bytes": append_tensor(
                torch.frombuffer(bytearray(value or b"\0"), dtype=torch.uint8)[: len(value)], tensors
            )
        }
    if kind is slice or kind is range:
        return {kind.__name__: [sub(value.start), sub(value.stop), sub(value.step)]}  # type: ignore[attr-defined]
    if isinstance(value, int | float | str):  # subclasses are sent as what they are underneath
        base = next(base for base in (int, float, str) if isinstance(value, base))
        return base.__str__(value) if base is str else (int.__int__(value) if base is int else float.__float__(value))  # type: ignore[arg-type]
    if isinstance(value, torch.dtype) and value in DTYPE_NAMES:
        return {"dtype": DTYPE_NAMES[value]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, torch.Generator):
        return {"generator": append_tensor(value.get_state(), tensors)}
    if isinstance(value, distributions.Distribution) and DISTRIBUTIONS.get(kind.__name__) is kind:
        return {"distribution": [kind.__name__, {name: sub(part) for name, part in parameters_of(value).items()}]}
    tree = other(value)
    if tree is None:
        raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot cross the sandbox boundary")
    return tree


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
    tensors.append(tensor)
    return len(tensors) - 1


def constructor_arguments(kind: type[distributions.Distribution]) -> tuple[str, ...]:
    """Names of the arguments that define a distribution of that kind."""
    return INDEPENDENT if kind is distributions.Independent else tuple(kind.arg_constraints)  # type: ignore[arg-type]


def parameters_of(distribution: distributions.Distribution) -> dict[str, Any]:
    """The constructor arguments that make an equal distribution."""
    if isinstance(distribution, distributions.Independent):
        return {name: getattr(distribution, name) for name in INDEPENDENT}
    names = [name for name in constructor_arguments(type(distribution)) if name in distribution.__dict__]
    if "probs" in names and "logits" in names:
        names.remove("logits")
    return {name: getattr(distribution, name) for name in names}


def decode(tree: Tree, tensors: list[Any], other: Callable[[str, Any], object], depth: int = 0) -> Any:
    """The inverse of `encode`, for a tree that anybody may have written.

    Args:
        tree: what came.
        tensors: the frame's tensors.
        other: builds what is not a value from its kind and content; raises `ProtocolError` for unknown kinds.
        depth: how deep inside containers we are.

    Raises:
        Exception: of any kind, if the tree is not one that `encode` writes or a value cannot be built from it. The trusted
            end turns them all into `ProtocolError`; in the worker they are what the student's call raises.
    """
    if depth > MAX_DEPTH + 2:
        raise ProtocolError("a value nested too deeply")

    def sub(part: Tree) -> Any:
        return decode(part, tensors, other, depth + 1)

    if tree is None or isinstance(tree, bool | int | float):
        return tree
    if isinstance(tree, str):
        return tree.encode("utf-8", "replace").decode()  # lone surrogates cannot be printed or written to a file
    if isinstance(tree, list):
        return [sub(part) for part in tree]
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ProtocolError("a value of no known kind")
    ((kind, content),) = tree.items()
    match kind:
        case "tensor":
            return tensors[index_of(content)]
        case "tuple":
            return tuple(sub(part) for part in content)
        case "dict":
            return {sub(key): sub(part) for key, part in content}
        case "set":
            return {sub(part) for part in content}
        case "size":
            return torch.Size([index_of(part) for part in content])
        case "complex":
            return complex(float(content[0]), float(content[1]))
        case "bytes":
            return tensors[index_of(content)].numpy().tobytes()
        case "slice":
            return slice(*[sub(part) for part in content])
        case "range":
            return range(*[sub(part) for part in content])
        case "dtype":
            return DTYPES[content]
        case "device":
            return torch.device(content)
        case "numpy":
            array = tensors[index_of(content[0])].detach().numpy()
            return array[()] if content[1] is True and array.ndim == 0 else array
        case "generator":
            generator = torch.Generator()
            generator.set_state(tensors[index_of(content)])
            return generator
        case "distribution":
            return make_distribution(str(content[0]), {name: sub(part) for name, part in content[1].items()})
        case _:
            return other(kind, content)


def index_of(number: object) -> int:
    """A non-negative int that is no bool and that a tensor size can hold."""
    if type(number) is not int or not 0 <= number < 1 << 62:
        raise ProtocolError("a number out of range")
    return number


def make_distribution(name: str, parameters: dict[str, Any]) -> distributions.Distribution:
    """An allow-listed distribution; its parameters are validated by torch."""
    kind = DISTRIBUTIONS[name]
    if not set(parameters) <= set(constructor_arguments(kind)):
        raise ProtocolError("a distribution with parameters that it does not have")
    if kind is distributions.Independent:
        return kind(*[parameters[name] for name in INDEPENDENT])
    return kind(**parameters, validate_args=True)
