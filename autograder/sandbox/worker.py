"""The worker's end: holds the student's namespace, runs cells, answers calls.

This code shares a process with the student's and can be changed by it at will. Nothing here protects anything; it only has to
be right for honest submissions. What protects is the jail around the process and the distrust at the other end.
"""

from __future__ import annotations

import builtins
import copy
import functools
import operator
import random
import sys
import threading
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from autograder.sandbox import stock
from autograder.sandbox.errors import ProtocolError, nearest_builtin
from autograder.sandbox.exchange import Incoming, Outgoing
from autograder.sandbox.execution import CellRunner, student_frames
from autograder.sandbox.module import NAME_LENGTH, Exchange, copy_of
from autograder.sandbox.peer import Peer, RemoteFunction
from autograder.sandbox.values import Tree
from autograder.sandbox.wire import Channel, Message, clean

NAMESPACE = "submission"
MAX_NAMES = 5_000


class Method:
    """Stands for an attribute that is a method: it is called by its name, on the object as it is then."""


def seed_everything(seed: int) -> None:
    """Seed the generators that code uses when it is given none."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed queues one for each absent device, with a traceback


class WorkerPeer(Peer):
    """The untrusted end of the conversation."""

    verbs = Peer.verbs | {"run", "file"}

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.turn = threading.RLock()
        module = types.ModuleType(NAMESPACE)
        sys.modules[NAMESPACE] = module
        self.namespace = vars(module)
        self.namespace["display"] = lambda *objects, **options: None  # a notebook has it without an import
        self._cells = CellRunner(self.namespace)
        seed_everything(0)

    def loop(self) -> None:
        """Say that all locks are on, then serve until the connection closes."""
        self.channel.send({"ready": True})
        while True:
            try:
                request = self.channel.receive()
            except ProtocolError:
                return
            self.serve(request)

    def serve(self, request: Message) -> None:
        """As `Peer.serve`; a seed that came along is set first."""
        if "seed" in request.header:
            seed_everything(request.header["seed"])
        super().serve(request)

    def request(
        self, message: dict[str, Any], tensors: Sequence[torch.Tensor] = (), differentiable: Sequence[bool] = ()
    ) -> Message:
        """As `Peer.request`, for one thread after the other, while the other end waits for an answer."""
        with self.turn:
            if not self.nesting:
                raise RuntimeError("what was passed to a call can be used only until the call returns")
            return super().request(message, tensors, differentiable)

    def serve_run(self, request: Message) -> Message:
        """Run one cell; the callables that the namespace holds afterwards."""
        header = request.header
        try:
            self._cells.run(header["source"], header["name"], only_definitions=header["definitions_only"])
        finally:
            sys.stdout.flush()
        names = [name for name, value in self.namespace.items() if not name.startswith("__") and callable(value)]
        return Message({"value": names[:MAX_NAMES]}, [], [])

    def serve_file(self, request: Message) -> Message:
        """Write a file into the current folder."""
        with open(request.header["name"], "wb") as file:
            file.write(request.tensors[0].numpy().tobytes())
        return Message({}, [], [])

    # ---- values

    def encode_other(self, value: object, outgoing: Outgoing) -> Tree | None:
        """What the base class knows; everything else by handle, so that it can be asked and can come back."""
        if (tree := super().encode_other(value, outgoing)) is not None:
            return tree
        if value is Method:
            return {"method": True}
        kind = type(value)
        if kind.__module__ == NAMESPACE:
            return {"object": [self.lending.lend(value), kind.__qualname__, ""]}
        if callable(value):
            return {
                "function": [self.lending.lend(value), clean(getattr(value, "__name__", kind.__name__), NAME_LENGTH)]
            }
        if isinstance(value, Iterable):
            return {"iterator": self.lending.lend(iter(value))}
        return {"opaque": [self.lending.lend(value), kind.__qualname__, clean(repr(value), 200)]}

    def decode_other(self, kind: str, content: Any, incoming: Incoming) -> object:
        """Names, callbacks and stock modules."""
        match kind, content:
            case "name", str(name):
                if name not in self.namespace:
                    raise NameError(f"name {name!r} is not defined")
                return self.namespace[name]
            case "function", [number, name, parameters]:
                return RemoteFunction(
                    self, self.leases.of(number), name, [incoming.take(index) for index in parameters]
                )
            case "stock", [spec, state, training, in_place]:
                tensors = {name: incoming.take(index) for name, index in state}
                module = stock.build(spec, tensors, training)
                if in_place:
                    known = {name: copy_of(tensor) for name, tensor in tensors.items()}
                    places = {name: incoming.new_place() for name in tensors}
                    incoming.exchanges.append(Exchange(module, known, places))
                return module
        return super().decode_other(kind, content, incoming)

    def callable_of(self, callee: Any, method: object) -> Callable[..., Any]:
        """As `Peer.callable_of`; what Python finds by special methods, or by other ways, is left to Python."""
        if method in SPECIAL:
            return functools.partial(SPECIAL[method], callee)
        return super().callable_of(callee, method)

    # ---- errors

    def error_to(self, error: BaseException) -> dict[str, Any]:
        """The exception's classes, its message, and the student's own lines of its traceback."""
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"types": kinds, "message": clean(error, 2000), "frames": student_frames(error)}

    def error_from(self, error: Any) -> BaseException:
        """What a callback raised, as the built-in exception that it is or derives from."""
        return getattr(builtins, nearest_builtin(error["types"]) or "RuntimeError")(error["message"])


def attribute(owner: Any, name: str) -> Any:
    """An attribute, or word that it is a method."""
    value = getattr(owner, name)
    return Method if callable(value) and getattr(value, "__self__", None) is owner else value


SPECIAL: dict[object, Callable[..., Any]] = {
    ".": attribute,
    "__bool__": bool,
    "__len__": len,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__contains__": operator.contains,
    "__iter__": lambda thing: (item for item in thing),
    "__setattr__": setattr,
    "__deepcopy__": copy.deepcopy,
}
