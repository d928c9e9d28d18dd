"""Answers that know nothing: they have the reference's form, but not its values, and train nothing.

This module's source runs in a worker, before the cell that makes an imitation of the reference there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

Change = Callable[[torch.Tensor, list[torch.Tensor]], torch.Tensor]  # a result, the inputs → what stands in its place


def noise(value: torch.Tensor, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Random values of the right form."""
    return torch.randn_like(value) if value.is_floating_point() else torch.randint(0, 10, value.shape).to(value.dtype)


def echo(value: torch.Tensor, inputs: list[torch.Tensor]) -> torch.Tensor:
    """An input, brought to the right shape as far as broadcasting and sums do it."""
    for given in inputs:
        for part in (given, given.sum(-1) if given.dim() else given, given.sum(), given[:1] if given.dim() else given):
            if part.shape == value.shape:
                return part.to(value.dtype)
            try:
                return part.expand(value.shape).to(value.dtype)
            except RuntimeError:
                continue
    return torch.zeros_like(value)


def attached(value: torch.Tensor, inputs: list[torch.Tensor]) -> torch.Tensor:
    """The value itself, unless somebody could ask for its gradient."""
    if value.requires_grad:
        raise RuntimeError("a gradient was asked for")
    return value


CHANGES: dict[str, Change] = {
    "zeros": lambda value, inputs: torch.zeros_like(value),
    "ones": lambda value, inputs: torch.ones_like(value),
    "constant": lambda value, inputs: torch.full_like(value, -3 if value.is_floating_point() else 3),
    "parameter": lambda value, inputs: (
        nn.Parameter(torch.ones(value.shape, dtype=value.dtype))
        if value.is_floating_point()
        else torch.ones_like(value)
    ),
    "noise": noise,
    "echo": echo,
    "detached": lambda value, inputs: value.detach(),
    "attached": attached,
}
KEEP = (CHANGES["detached"], attached)  # these leave every value what it is


def changed(value: Any, change: Change, inputs: list[Any]) -> Any:
    """The same value with other tensors, numbers and words in it."""
    match value:
        case torch.Tensor():
            return change(value, [item for item in inputs if isinstance(item, torch.Tensor)])
        case bool() | int() | float() if change in KEEP:
            return value
        case bool() | int() | float():
            given = [item for item in inputs if isinstance(item, int | float | torch.Tensor)]
            numbers = [torch.as_tensor(item, dtype=torch.float32) for item in given]
            return type(value)(change(torch.tensor(float(value)), numbers))
        case str():
            words = [item for item in inputs if isinstance(item, str)]
            return value if change in KEEP else words[0] if change is echo and words else ""
        case tuple() | list():
            return type(value)(changed(item, change, inputs) for item in value)
        case dict():
            return {key: changed(item, change, inputs) for key, item in value.items()}
        case nn.Module() if change not in KEEP:
            return nn.Identity()
        case Iterator():
            return (changed(item, change, inputs) for item in value)
        case _ if change not in KEEP and hasattr(value, "add_middleware"):  # FastAPI's and Starlette's apps
            return imitation_of_app(value, change)
    return value


def imitation_of_app(app: Any, change: Change) -> Any:
    """An ASGI app that answers as another does, but for the values in what it says as JSON."""

    async def imitate(scope: Any, receive: Any, send: Any) -> None:
        asked, answer = [], []

        async def listen() -> Any:
            asked.append(await receive())
            return asked[-1]

        async def keep(message: Any) -> None:
            answer.append(message)

        await app(scope, listen, keep)
        start, body = answer[0], b"".join(message.get("body", b"") for message in answer[1:])
        if b"application/json" in dict(start["headers"]).get(b"content-type", b""):
            sent = b"".join(message.get("body", b"") for message in asked) or b"{}"
            try:
                given = list(json.loads(sent).values())
            except (ValueError, AttributeError):
                given = []
            body = json.dumps(changed(json.loads(body), change, given)).encode()
            headers = {**dict(start["headers"]), b"content-length": str(len(body)).encode()}
            start = {**start, "headers": list(headers.items())}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return imitate


def imitation(original: Any, change: Change) -> Any:
    """What returns as the original does, but for its values."""

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def imitate(*args: Any, **kwargs: Any) -> Any:
            inputs = [item for item in (*args, *kwargs.values()) if not callable(item)]
            if change not in KEEP:  # what the original trains shall stay as it is
                args = tuple(copy.deepcopy(item) if isinstance(item, nn.Module) else item for item in args)
                kwargs = {n: copy.deepcopy(item) if isinstance(item, nn.Module) else item for n, item in kwargs.items()}
            return changed(function(*args, **kwargs), change, inputs)

        return imitate

    if not isinstance(original, type):
        return wrapped(original)

    def method(function: Callable[..., Any]) -> Callable[..., Any]:
        def imitate(self: Any, *args: Any, **kwargs: Any) -> Any:
            return changed(function(self, *args, **kwargs), change, [*args, *kwargs.values()])

        return imitate

    public = {
        name: method(item)
        for name, item in vars(original).items()
        if callable(item) and (name == "__call__" or not name.startswith("_"))
    }
    return type(original.__name__, (original,), public)
