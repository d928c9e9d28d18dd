"""The worker's end: holds the student's namespace, runs cells, answers calls.

This code shares a process with the student's and can be changed by it at will. Nothing here protects anything; it only has to
be right for honest submissions. What protects is the jail around the process and the distrust at the other end.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import random
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from autograder.sandbox import stock
from autograder.sandbox.errors import MIRRORED, ProtocolError
from autograder.sandbox.module import NAME_LENGTH, Watched
from autograder.sandbox.peer import Incoming, Outgoing, Peer, RemoteFunction, Reply
from autograder.sandbox.values import Tree
from autograder.sandbox.wire import Channel, clean

NAMESPACE = "submission"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


class WorkerPeer(Peer):
    """The untrusted end of the conversation."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        module = types.ModuleType(NAMESPACE)
        sys.modules[NAMESPACE] = module
        self.namespace = vars(module)
        self.namespace["display"] = lambda *objects, **options: None  # a notebook has it without an import

    @property
    def verbs(self) -> Mapping[str, Callable[..., Reply]]:
        """The requests that this end serves."""
        return {"run": self.serve_run, "call": self.serve_call, "get": self.serve_get, "vjp": self.serve_vjp}

    def loop(self) -> None:
        """Serve until the connection closes."""
        while True:
            try:
                request = Reply(*self.channel.receive())
            except ProtocolError:
                return
            self.serve(request)

    def serve(self, request: Reply) -> None:
        """As `Peer.serve`; a seed that came along is set first."""
        seed = request.header.get("seed")
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
        super().serve(request)

    # ---- the student's cells

    def serve_run(self, request: Reply) -> Reply:
        """Run one cell; the callables that the namespace holds afterwards."""
        header = request.header
        try:
            run_cell(header["source"], header["name"], self.namespace, only_definitions=header["definitions_only"])
        finally:
            sys.stdout.flush()
        names = [name for name, value in self.namespace.items() if not name.startswith("__") and callable(value)]
        return Reply({"value": names[:5000]}, [], [])

    # ---- values

    def encode_other(self, value: object, outgoing: Outgoing) -> Tree | None:
        """Modules with their state; objects and callables by handle; anything else to be shown only."""
        if isinstance(value, RemoteFunction | nn.Module):
            return super().encode_other(value, outgoing)
        if isinstance(value, types.GeneratorType):
            return {"iterator": self.lend(value)}
        kind = type(value)
        if kind.__module__ == NAMESPACE:
            return {"object": [self.lend(value), kind.__qualname__, clean(object.__repr__(value), 200)]}
        if callable(value):
            return {"function": [self.lend(value), clean(getattr(value, "__name__", kind.__name__), NAME_LENGTH)]}
        return {"opaque": [kind.__qualname__, clean(repr(value), 200)]}

    def decode_other(self, kind: str, content: Any, incoming: Incoming) -> object:
        """Names, handles coming home, callbacks and stock modules."""
        match kind, content:
            case "name", str(name):
                if name not in self.namespace:
                    raise NameError(f"name {name!r} is not defined")
                return self.namespace[name]
            case "function", [handle, name, parameters]:
                return RemoteFunction(self, handle, name, [incoming.sent[index] for index in parameters])
            case "stock", [spec, state, training]:
                module = stock.build(spec, state, training, incoming.sent.__getitem__)
                incoming.watched += [Watched(module, name, incoming.sent[index]) for name, index in state]
                return module
        return super().decode_other(kind, content, incoming)

    def _part(self, handle: int, path: str) -> Any:
        thing = self.lent[handle]
        return thing.get_submodule(path) if path else thing

    # ---- serving

    def serve_get(self, request: Reply) -> Reply:
        """An attribute of something lent: by value, or word that it is a method."""
        header = request.header
        owner = self._part(header["handle"], header["path"])
        value = getattr(owner, header["name"])
        if callable(value) and getattr(value, "__self__", None) is owner:
            return Reply({"method": True}, [], [])
        outgoing = Outgoing(is_reply=True)
        tree = self.encode(value, outgoing)
        return Reply({"value": tree}, outgoing.sent, [False] * len(outgoing.sent))

    def callable_of(self, callee: Any, method: object) -> Callable[..., Any]:
        """The callee itself, or a method of it."""
        return callee if method == "__call__" else getattr(callee, str(method))

    # ---- errors

    def error_to(self, error: BaseException) -> dict[str, Any]:
        """The exception's classes, its message, and the student's own lines of its traceback."""
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"types": kinds, "message": clean(error, 2000), "frames": student_frames(error)}

    def error_from(self, error: Any) -> BaseException:
        """What a callback raised, as the built-in exception that it is or derives from."""
        nearest = next((name for name in error["types"] if name in MIRRORED), "RuntimeError")
        return getattr(builtins, nearest)(error["message"])


def run_cell(source: str, name: str, namespace: dict[str, Any], *, only_definitions: bool) -> None:
    """Execute one cell in `namespace`; `name` is what tracebacks call it.

    With `only_definitions` everything is left out but imports, functions, classes and plain constants: a hands-on cell may
    train for minutes, yet hold a helper that later cells use.
    """
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    tree = ast.parse(source, name)
    if only_definitions:
        tree.body = [node for node in tree.body if isinstance(node, DEFINITIONS) or is_constant(node)]
    exec(compile(tree, name, "exec", dont_inherit=True), namespace)


def is_constant(node: ast.stmt) -> bool:
    """Whether a statement gives a name a literal value."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return False
    try:
        ast.literal_eval(node.value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def student_frames(error: BaseException) -> list[list[Any]]:
    """[cell, line, function, source line] for each step of the traceback that lies in a cell of the student's."""
    steps = []
    if isinstance(error, SyntaxError) and (error.filename or "").startswith("cell "):
        steps.append([error.filename, error.lineno or 0, "", (error.text or "").strip()])
    for step in traceback.extract_tb(error.__traceback__):
        if step.filename.startswith("cell "):
            steps.append([step.filename, step.lineno or 0, step.name, step.line or ""])
    return steps[-12:]
