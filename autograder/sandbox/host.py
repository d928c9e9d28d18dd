"""The trusted end: what a hidden test holds in its hands when it speaks of a student's function, module or object.

Everything that comes from the worker is a claim. Shapes and types of what must fit together (gradients, the state of a
module) are checked here; whether a value is right is the business of the property that asked for it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from autograder.sandbox.errors import Frame, ProtocolError, StudentError, WorkerDied, student_error
from autograder.sandbox.module import NAME_LENGTH, RemoteModule
from autograder.sandbox.peer import Incoming, Outgoing, Peer, RemoteFunction, Reply
from autograder.sandbox.stock import specification
from autograder.sandbox.values import Tree, append_tensor
from autograder.sandbox.wire import Channel, Timeout, clean

MAX_FRAMES = 12


class Name:
    """Something that the submission defines at top level, by its name there."""

    def __init__(self, name: str) -> None:
        self.name = name


class HostPeer(Peer):
    """The trusted end of the conversation with one worker.

    Args:
        channel: the connection.
        seconds_per_call: wall time for one outermost request.
        lost: told once, with the reason, when the conversation is over; ends the worker and says how it ended.
    """

    max_held = 1 << 30

    def __init__(self, channel: Channel, seconds_per_call: float, lost: Callable[[str], str]) -> None:
        super().__init__(channel)
        self.seconds_per_call = seconds_per_call
        self.deadline = float("inf")  # on top of the limit for each call, time.monotonic()
        self.seed: int | None = None  # for the worker's generators, sent with the next request
        self.gone: WorkerDied | None = None
        self._lost = lost
        self._waiting = 0
        self._callback_error: BaseException | None = None

    # ---- asking

    def request(self, message: dict[str, Any], tensors: Any = (), differentiable: Any = None) -> Reply:
        """As `Peer.request`, within the time limit.

        Raises:
            StudentError: the student's code raised.
            WorkerDied: the worker ended, hung, or broke the protocol; the same from now on.
        """
        if self.gone is not None:
            raise self.gone
        if self.seed is not None:
            message["seed"], self.seed = self.seed, None
        if not self._waiting:
            self.channel.deadline = min(time.monotonic() + self.seconds_per_call, self.deadline)
        self._waiting += 1
        try:
            return super().request(message, tensors, differentiable)
        except (ProtocolError, Timeout) as error:
            if self.gone is None:
                timeout = isinstance(error, Timeout)
                reason = self._lost("it was still running when the time limit was reached" if timeout else str(error))
                self.gone = WorkerDied(reason, timeout=timeout)
            raise self.gone from None
        finally:
            self._waiting -= 1

    def error_from(self, error: Any) -> BaseException:
        """The exception that stands for the student's."""
        # What a callback of the test itself raised is the test's own affair, whatever the student made of it.
        cause, self._callback_error = self._callback_error, None
        if cause is not None:
            return cause
        match error:
            case {"types": list(types), "message": str(message), "frames": list(frames)} if types:
                names = [clean(name, NAME_LENGTH) for name in types[:20]]
                return student_error(names, clean(message, 2000), tuple(map(frame_from, frames[-MAX_FRAMES:])))
        raise ProtocolError("a badly formed error")

    def value(self, reply: Reply, tensors: list[torch.Tensor]) -> Any:
        """The decoded value of a reply; one that cannot be built (a Normal with scale NaN) is the student's error."""
        self._callback_error = None
        try:
            return super().value(reply, tensors)
        except ProtocolError as error:
            raise student_error(["ValueError"], f"returned a value that cannot be used: {clean(error, 300)}") from None

    def attribute(self, handle: int, path: str, name: str) -> tuple[bool, Any]:
        """(True, None) for a method, (False, value) for any other attribute."""
        reply = self.request({"op": "get", "handle": handle, "path": path, "name": name})
        if reply.header.get("method") is True:
            return True, None
        return False, self.value(reply, reply.tensors)

    # ---- values

    def decode(self, tree: Tree, incoming: Incoming) -> Any:
        """As `Peer.decode`, for a tree that anybody may have written.

        Raises:
            ProtocolError: no value can be made of it.
        """
        try:
            return super().decode(tree, incoming)
        except ProtocolError:
            raise
        except Exception as error:
            raise ProtocolError(f"{type(error).__name__}: {clean(error, 200)}") from None

    def encode_other(self, value: object, outgoing: Outgoing) -> Tree | None:
        """Names and handles going home; stock modules by value; other modules as mirrors, functions as callbacks."""
        match value:
            case Name():
                return {"name": value.name}
            case RemoteObject() | RemoteIterator():
                return {"home": value._handle}
            case nn.Module() if not isinstance(value, RemoteModule) and (spec := specification(value)) is not None:
                state = []
                for name, tensor in value.state_dict(keep_vars=True).items():
                    state.append([name, append_tensor(tensor, outgoing.sent)])
                    outgoing.watched.append((None, name, tensor))
                return {"stock": [spec, state, value.training]}
        if isinstance(value, nn.Module | RemoteFunction):
            return super().encode_other(value, outgoing)
        if callable(value):
            handle = self.lend(value)
            self._links[handle] = [p for p in getattr(value, "linked", ()) if p.requires_grad]
            name = clean(getattr(value, "__name__", type(value).__name__), NAME_LENGTH)
            return {"function": [handle, name, [append_tensor(p, outgoing.sent) for p in self._links[handle]]]}
        return None

    @functools.cached_property
    def _links(self) -> dict[int, list[torch.Tensor]]:
        """For each callback, the parameters here that its result depends on."""
        return {}

    def decode_other(self, kind: str, content: Any, incoming: Incoming) -> object:
        """What the worker refers to by handle."""
        match kind, content:
            case "home", int(handle) if handle in self.lent:
                incoming.linked += self._links.get(handle, [])
                return self.lent[handle]
            case "function", [int(handle), str(name)]:
                return RemoteFunction(self, handle, clean(name, NAME_LENGTH))
            case "iterator", int(handle):
                return RemoteIterator(self, handle)
            case "object", [int(handle), str(name), str(text)]:
                return RemoteObject(self, handle, clean(name, NAME_LENGTH), clean(text, 200))
            case "opaque", [str(name), str(text)]:
                return Opaque(clean(name, NAME_LENGTH), clean(text, 200))
        return super().decode_other(kind, content, incoming)

    # ---- serving callbacks

    def serve_call(self, request: Reply) -> Reply:
        """Call a callback. Only what was lent can be called, only by its handle, and no method of it."""
        match request.header:
            case {"tree": [{"home": int() | list()}, list(), dict()], "method": "__call__"}:
                return super().serve_call(request)
        raise ProtocolError("a call of something that was not passed")

    def callable_of(self, callee: Any, method: object) -> Callable[..., Any]:
        """The callback, its exceptions noted: they belong to the test, not to the protocol."""

        def callback(*args: Any, **kwargs: Any) -> Any:
            try:
                return callee(*args, **kwargs)
            except Exception as error:
                self._callback_error = error
                raise

        return callback

    def error_to(self, error: BaseException) -> dict[str, Any]:
        """What the student's code sees of an exception in a callback: what it would see in one process.

        Anything else that goes wrong while serving is a malformed request, unless torch itself complains of a derivative.
        """
        if not isinstance(error, Exception):
            raise error
        if error is not self._callback_error and not isinstance(error, RuntimeError):
            raise ProtocolError(f"a malformed request: {type(error).__name__}") from error
        private = isinstance(error, AssertionError)  # a spy's finding is none of the student's code's business
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"types": kinds, "message": "" if private else clean(error, 500), "frames": []}


def frame_from(claim: Any) -> Frame:
    """A traceback line as the worker tells it."""
    match claim:
        case [str(cell), int(line), str(function), str(source)]:
            return Frame(clean(cell, NAME_LENGTH), line, clean(function, NAME_LENGTH), clean(source, 200))
    raise ProtocolError("a badly formed traceback")


class RemoteObject:
    """An object of a student's class: attributes by value, methods by call."""

    def __init__(self, peer: HostPeer, handle: int, class_name: str, text: str) -> None:
        self.__dict__.update(_peer=peer, _handle=handle, _class_name=class_name, _text=text)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._peer.call(self, args, kwargs, method=method)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        is_method, value = self._peer.attribute(self._handle, "", name)
        return functools.partial(self._call, name) if is_method else value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object itself."""
        return self._call("__call__", *args, **kwargs)

    def __len__(self) -> int:
        return self._call("__len__")

    def __getitem__(self, index: Any) -> Any:
        return self._call("__getitem__", index)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._call("__iter__"))

    def __contains__(self, item: Any) -> bool:
        return self._call("__contains__", item) is True

    def __repr__(self) -> str:
        return f"<{self._class_name} object>"


class RemoteIterator:
    """A generator of the student's. Apart from `RemoteObject`, since `list()` asks that for its length."""

    def __init__(self, peer: HostPeer, handle: int) -> None:
        self._peer, self._handle = peer, handle

    def __iter__(self) -> RemoteIterator:
        return self

    def __next__(self) -> Any:
        try:
            return self._peer.call(self, (), {}, method="__next__")
        except StudentError as error:
            if isinstance(error, StopIteration):
                raise StopIteration from None
            raise


class Opaque:
    """Something that cannot cross; it can be shown and refused, nothing else."""

    def __init__(self, class_name: str, text: str) -> None:
        self.class_name, self.text = class_name, text

    def __repr__(self) -> str:
        return f"<{self.class_name}: {self.text}>"
