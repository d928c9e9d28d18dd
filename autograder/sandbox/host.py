"""The trusted end of a conversation with a worker.

Everything that comes from the worker is a claim. What must fit together (gradients, the state of a module) is checked here;
whether a value is right is the business of the property that asked for it. A claim that no honest worker makes ends the worker:
out of this end come only values, `StudentError` and `WorkerDied`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from autograder.sandbox.derivatives import Node
from autograder.sandbox.errors import (
    Frame,
    ProtocolError,
    StudentError,
    WorkerDied,
    nearest_builtin,
    student_error,
)
from autograder.sandbox.exchange import Incoming, Outgoing
from autograder.sandbox.module import NAME_LENGTH, RemoteModule, Snapshot
from autograder.sandbox.peer import Peer, RemoteFunction
from autograder.sandbox.remote import Opaque, RemoteIterator, RemoteObject
from autograder.sandbox.stock import specification
from autograder.sandbox.values import Tree, append_tensor
from autograder.sandbox.wire import MEBIBYTE, Channel, Message, Timeout, clean

MAX_FRAMES = 12
MAX_LENT = 5_000
MAX_NODES = 20_000
MAX_HELD = 256 * MEBIBYTE  # of tensors in nodes
MAX_ARGUMENTS = 32 * MEBIBYTE  # of tensors in a call of a callback, whose own work may take many times that


Observer = Callable[
    [str, Any], None
]  # told what the worker says: a kind ("value", "passed", "gradient", "error") and it


class Name:
    """Something that the submission defines at top level, by its name there."""

    def __init__(self, name: str) -> None:
        self.name = name


class HostPeer(Peer):
    """The trusted end of the conversation with one worker.

    A module that a test passes can be trained by the student's code while the call lasts. Afterwards it is what it was before,
    or else a student could change the critic with which the test then computes what to expect. A test of a function that is
    to train a module in place says so with an attribute: `module.in_place = True`.

    Args:
        channel: the connection.
        seconds_per_call: wall time for one outermost request.
        lost: told once, with the reason, when the conversation is over; ends the worker and says how it ended.
    """

    def __init__(self, channel: Channel, seconds_per_call: float, lost: Callable[[str], str]) -> None:
        super().__init__(channel)
        self.seconds_per_call = seconds_per_call
        self.deadline = float("inf")  # on top of the limit for each call, time.monotonic()
        self.seed: int | None = None  # for the worker's generators, sent with the next request
        self.gone: WorkerDied | None = None
        self.observer: Observer | None = None
        self._lost = lost
        self._waiting = 0
        self._held = 0
        self._callback_error: Exception | None = None
        self._links: dict[int, list[torch.Tensor]] = {}  # for each callback, the parameters its result depends on
        self._borrowed: dict[int, Snapshot] = {}  # modules that the worker has put values into during this call

    # ---- asking

    def request(
        self, message: dict[str, Any], tensors: Sequence[torch.Tensor] = (), differentiable: Sequence[bool] = ()
    ) -> Message:
        """As `Peer.request`, within the time limit.

        Raises:
            StudentError: the student's code raised.
            WorkerDied: the worker ended, hung, or broke the protocol; the same from now on.
        """
        if self.gone is not None:
            raise self.gone.with_traceback(None)  # of the first time; it would grow, and keep all that it refers to
        if self.seed is not None:
            message["seed"], self.seed = self.seed, None
        if not self._waiting:
            self.channel.deadline = min(time.monotonic() + self.seconds_per_call, self.deadline)
        self._waiting += 1
        try:
            return super().request(message, tensors, differentiable)
        except Timeout:
            raise self._give_up("it was still running when the time limit was reached", timeout=True) from None
        except ProtocolError as error:
            raise self.broken(str(error)) from None
        finally:
            self._waiting -= 1
            self._return_borrowed()

    def abandon(self, why: str) -> None:
        """The worker was ended from here; calls from now on say so."""
        self.gone = WorkerDied(why)

    def broken(self, why: str) -> BaseException:
        """The worker is ended; what to raise from now on."""
        return self._give_up(why)

    def _give_up(self, why: str, *, timeout: bool = False) -> WorkerDied:
        if self.gone is None:
            self.gone = WorkerDied(self._lost(why), timeout=timeout)
        return self.gone

    def _return_borrowed(self) -> None:
        while self._borrowed and not self._waiting:
            self._borrowed.popitem()[1].restore()

    def ask(
        self, message: dict[str, Any], linked: Sequence[torch.Tensor | None], sent: Sequence[torch.Tensor]
    ) -> tuple[Message, list[torch.Tensor]]:
        """As `Peer.ask`; gradients are observed."""
        answer = super().ask(message, linked, sent)
        if self.observer is not None and message["op"] == "vjp":
            self.observer("gradient", answer[1])
        return answer

    def error_from(self, error: Any) -> BaseException:
        """The exception that stands for the student's."""
        exception = self._error_from(error)
        if self.observer is not None:
            self.observer("error", nearest_builtin(names_of(exception)))
        return exception

    def _error_from(self, error: Any) -> BaseException:
        cause, self._callback_error = self._callback_error, None
        match error:
            case {"types": list(types), "message": str(message), "frames": list(frames)} if types:
                names = [clean(name, NAME_LENGTH) for name in types[:20] if isinstance(name, str)]
                if cause is not None and (nearest_builtin(names_of(cause)) or "RuntimeError") in names:
                    return cause  # what a callback of the test itself raised, and the student's code let through
                if isinstance(cause, AssertionError):
                    return cause  # what a spy found stands, whatever the student's code made of it
                return student_error(names, clean(message, 2000), tuple(map(frame_from, frames[-MAX_FRAMES:])))
        raise ProtocolError("a badly formed error")

    def take_changes(self, header: dict[str, Any], incoming: Incoming, outgoing: Outgoing) -> None:
        """As `Peer.take_changes`, of claims."""
        try:
            super().take_changes(header, incoming, outgoing)
        except Exception as error:
            raise self.broken(f"a change that cannot be made: {clean(error, 200)}") from None

    def take_change(self, module: nn.Module, tensor: torch.Tensor, new: torch.Tensor) -> None:
        """A change of a module of the test's own, if the test wants it."""
        if getattr(module, "in_place", False):
            super().take_change(module, tensor, new)

    def value(self, header: dict[str, Any], incoming: Incoming) -> Any:
        """The decoded value of a reply; one that cannot be built (a Normal with scale NaN) is the student's error."""
        cause, self._callback_error = self._callback_error, None
        if isinstance(cause, AssertionError):
            raise cause  # see error_from
        try:
            value = super().value(header, incoming)
        except ProtocolError as error:
            raise student_error(["ValueError"], f"returned a value that cannot be used: {clean(error, 300)}") from None
        else:
            if self.observer is not None:
                self.observer("value", value)
            return value
        finally:
            self._return_borrowed()  # the value may be a module of the test's, with the state that it has there

    def attribute(self, mirror: RemoteModule | RemoteObject, name: str) -> Any:
        """An attribute by value, or a method."""
        value = self.call(mirror, (name,), {}, method=".")
        return functools.partial(self._method, mirror, name) if value is METHOD else value

    def set_attribute(self, mirror: RemoteModule, name: str, value: Any) -> None:
        """Set an attribute of a student's module."""
        self.call(mirror, (name, value), {}, method="__setattr__")

    def _method(self, mirror: RemoteModule | RemoteObject, method: str, /, *args: Any, **kwargs: Any) -> Any:
        return self.call(mirror, args, kwargs, method=method)

    # ---- values

    def decode(self, tree: Tree, incoming: Incoming) -> Any:
        """As `Peer.decode`, for a tree that anybody may have written.

        Raises:
            ProtocolError: no value can be made of it.
        """
        try:
            return super().decode(tree, incoming)
        except (ProtocolError, StudentError):
            raise
        except Exception as error:
            raise ProtocolError(f"{type(error).__name__}: {clean(error, 200)}") from None

    def encode_other(self, value: object, outgoing: Outgoing) -> Tree | None:
        """Names and handles going home; stock modules by value; other modules as mirrors, functions as callbacks."""
        match value:
            case Name():
                return {"name": value.name}
            case RemoteObject() | RemoteIterator():
                return {"home": value._lease.number}
            case nn.Module() if not isinstance(value, RemoteModule) and (spec := specification(value)) is not None:
                in_place = bool(getattr(value, "in_place", False))
                state = []
                for name, tensor in value.state_dict(keep_vars=True).items():
                    state.append([name, append_tensor(tensor, outgoing.sent)])
                    if in_place:
                        outgoing.watched.append(functools.partial(self.take_change, value, tensor))
                return {"stock": [spec, state, value.training, in_place]}
        tree = super().encode_other(value, outgoing)
        if tree is None and callable(value):
            number = self._lend(value)
            self._links[number] = links = [p for p in getattr(value, "linked", ()) if p.requires_grad]
            name = clean(getattr(value, "__name__", type(value).__name__), NAME_LENGTH)
            return {"function": [number, name, [append_tensor(p, outgoing.sent) for p in links]]}
        return tree

    def _lend(self, thing: object) -> int:
        if len(self.lending.things) >= MAX_LENT:
            raise ProtocolError("too many things are kept for the worker")
        return self.lending.lend(thing)

    def decode_other(self, kind: str, content: Any, incoming: Incoming) -> object:
        """What the worker refers to by handle."""
        match kind, content:
            case "home", int(number) if number in self.lending.things:
                incoming.linked += self._links.get(number, [])
                return self.lending.things[number]
            case "method", _:
                return METHOD
            case "function", [int(number), str(name)]:
                cleaned = clean(name, NAME_LENGTH)
                return self.stand_in(RemoteFunction, number, lambda lease: RemoteFunction(self, lease, cleaned))
            case "iterator", int(number):
                return self.stand_in(RemoteIterator, number, lambda lease: RemoteIterator(self, lease))
            case ("object" | "opaque") as kind, [int(number), str(name), str(text)]:
                made, described = (
                    (RemoteObject if kind == "object" else Opaque),
                    (clean(name, NAME_LENGTH), clean(text, 200)),
                )
                return self.stand_in(made, number, lambda lease: made(self, lease, *described))
        return super().decode_other(kind, content, incoming)

    def refresh(self, root: nn.Module, number: int, claim: list[Any], incoming: Incoming) -> nn.Module:
        """As `Peer.refresh`; what was there before is put back when the call is over."""
        if number not in self._borrowed and not getattr(root, "in_place", False):
            self._borrowed[number] = Snapshot(root)
        return super().refresh(root, number, claim, incoming)

    # ---- serving callbacks

    def take_back(self, header: dict[str, Any]) -> None:
        """As `Peer.take_back`, of claims."""
        numbers = header.get("free", [])
        if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
            raise ProtocolError("badly formed numbers")
        super().take_back(header)

    def forget(self, number: int) -> None:
        """As `Peer.forget`; keeps the accounts."""
        if (node := self.nodes.get(number)) is not None:
            self._held -= node.size
        self._links.pop(number, None)
        super().forget(number)

    def keep(self, node: Node) -> int:
        """As `Peer.keep`, within limits."""
        self._held += node.size
        if self._held > MAX_HELD or len(self.nodes) >= MAX_NODES:
            raise ProtocolError("too many computations are kept for differentiation")
        return super().keep(node)

    def serve_call(self, request: Message) -> Message:
        """Call a callback. Only what was lent can be called, and only modules be copied."""
        if sum(tensor.nbytes for tensor in request.tensors) > MAX_ARGUMENTS:
            raise ValueError(f"at most {MAX_ARGUMENTS // MEBIBYTE} MB may be passed to a function that was passed in")
        match request.header:
            case {"tree": [{"home": int() | list()}, list(), dict()], "method": "__call__"}:
                return super().serve_call(request)
            case {"tree": [{"home": list()}, [], {"dict": []}], "method": "__deepcopy__"}:
                return super().serve_call(request)
        raise ProtocolError("a call of something that was not passed")

    def callable_of(self, callee: Any, method: object) -> Callable[..., Any]:
        """The callback, its exceptions noted: they belong to the test, not to the protocol."""
        if method == "__deepcopy__":
            return functools.partial(self._copy, callee)

        def callback(*args: Any, **kwargs: Any) -> Any:
            if self.observer is not None:
                self.observer("passed", [args, kwargs])
            try:
                return callee(*args, **kwargs)
            except Exception as error:
                self._callback_error = error
                raise

        return callback

    def _copy(self, module: nn.Module) -> nn.Module:
        """A copy of a test's module for the student's code to keep, and to train."""
        copied: nn.Module = super().callable_of(module, "__deepcopy__")()
        copied.in_place = True  # type: ignore[assignment]
        self._lend(copied)
        return copied

    def serve_vjp(self, request: Message) -> Message:
        """As `Peer.serve_vjp`, for a request that anybody may have written."""
        try:
            return super().serve_vjp(request)
        except (LookupError, TypeError, ValueError) as error:
            raise ProtocolError(f"a malformed request: {type(error).__name__}") from None

    def error_to(self, error: BaseException) -> dict[str, Any]:
        """What the student's code sees of an exception in a callback: what it would see in one process."""
        if not isinstance(error, Exception):
            raise error
        private = isinstance(error, AssertionError)  # a spy's finding is none of the student's code's business
        return {"types": names_of(error), "message": "" if private else clean(error, 500), "frames": []}


METHOD = object()  # stands for a method in the place of an attribute


def names_of(error: BaseException) -> list[str]:
    """The names of an exception's classes, most derived first."""
    return [kind.__name__ for kind in type(error).__mro__]


def frame_from(claim: Any) -> Frame:
    """A traceback line as the worker tells it."""
    match claim:
        case [str(cell), int(line), str(function), str(source)]:
            return Frame(clean(cell, NAME_LENGTH), line, clean(function, NAME_LENGTH), clean(source, 200))
    raise ProtocolError("a badly formed traceback")
