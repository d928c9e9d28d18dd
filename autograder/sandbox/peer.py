"""The conversation between a trusted process and a worker.

Both ends are peers: each may call what the other lent it, and while one waits for a reply it serves the other's calls. So a
critic that a hidden test passes to a student's `gradient_penalty` stays in the trusted process, and the student calls it.

How autograd crosses is told in `derivatives`, how modules do in `module`, which tensors take part in a call in `exchange`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import torch
from torch import nn

from autograder.sandbox import values
from autograder.sandbox.derivatives import ANCHOR, Node, RemoteOperation, is_differentiable, products
from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.exchange import DrawnFrom, Incoming, Outgoing
from autograder.sandbox.lending import Lease, Leases, Lending
from autograder.sandbox.module import NAME_LENGTH, Exchange, RemoteModule, State, describe, refresh
from autograder.sandbox.values import Tree, append_tensor
from autograder.sandbox.wire import Channel, Message, Timeout, clean

MAX_NESTING = 20  # calls within calls, across the boundary


class Peer(ABC):
    """What both ends have in common."""

    verbs: ClassVar[frozenset[str]] = frozenset({"call", "vjp"})  # the requests that are served, by `serve_…`

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.lending = Lending()
        self.leases = Leases()
        self.nodes: dict[int, Node] = {}
        self.nesting = 0
        self.turn: AbstractContextManager[Any] = nullcontext()  # held by the one thread of several that may speak
        self._known: dict[int, State] = {}  # of the modules that are lent: what the other end knows
        self._mirrors: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def forget(self, number: int) -> None:
        """The other end holds no lease on that number any more."""
        self.nodes.pop(number, None)
        self._known.pop(number, None)
        self.lending.forget(number)

    # ---- values, completed by each end

    def encode_other(self, value: object, outgoing: Outgoing) -> Tree | None:
        """The tree of something that has no value of its own, or None."""
        match value:
            case RemoteFunction():
                outgoing.linked += value.linked
                return {"home": value.number}
            case RemoteModule() if value._peer is self:
                return {"home": value.encode_state(outgoing)}
            case nn.Module():
                return {"module": self.describe(value, outgoing)}
            case torch.Generator():
                outgoing.watched.append(partial(values.set_state, value))
                return {"generator": append_tensor(value.get_state(), outgoing.sent)}
        return None

    def decode_other(self, kind: str, content: Any, incoming: Incoming) -> object:
        """The inverse of the other end's `encode_other`."""
        match kind, content:
            case "home", int(number) if number in self.lending.things:
                return self.lending.things[number]
            case "home", [int(number), str(path), list(modes), list(state)]:
                root = self.lending.things.get(number)
                if not isinstance(root, nn.Module):
                    raise ProtocolError("a module that was not lent")
                return self.refresh(root, number, [path, modes, state], incoming)
            case "module", {
                "handle": int(number),
                "class": str(name),
                "training": bool(training),
                "state": list(state),
                "tied": list(tied),
            }:
                mirror = self.stand_in(
                    RemoteModule, number, lambda lease: RemoteModule.of(self, lease, clean(name, NAME_LENGTH))
                )
                mirror.adopt(training, state, tied, incoming)
                return mirror
            case "generator", index:
                generator = torch.Generator()
                values.set_state(generator, incoming.take(index))
                incoming.exchanges.append(DrawnFrom(generator, incoming.new_place()))
                return generator
        raise ProtocolError(f"a value of the unknown kind {clean(kind, NAME_LENGTH)!r}")

    def describe(self, module: nn.Module, outgoing: Outgoing) -> dict[str, Any]:
        """Lend a module; see `module.describe`."""
        number = self.lending.lend(module)
        known = self._known.setdefault(number, {})
        return describe(module, number, known, outgoing, partial(self.take_change, module))

    def refresh(self, root: nn.Module, number: int, claim: list[Any], incoming: Incoming) -> nn.Module:
        """See `module.refresh`."""
        return refresh(root, self._known.setdefault(number, {}), claim, incoming)

    def take_change(self, module: nn.Module, tensor: torch.Tensor, new: torch.Tensor) -> None:
        """A call at the other end changed a parameter or buffer of a module that lives here."""
        if new.shape != tensor.shape:
            raise ProtocolError("a change of shape")
        with torch.no_grad():
            tensor.copy_(new)

    def stand_in(self, kind: type, number: int, make: Callable[[Lease], Any]) -> Any:
        """What stands here for a thing at the other end: one object as long as something refers to it."""
        lease = self.leases.of(number)
        found = self._mirrors.get(number)
        if not isinstance(found, kind):
            found = self._mirrors[number] = make(lease)
        return found

    def encode(self, value: object, outgoing: Outgoing) -> Tree:
        """See `values.encode`."""
        return values.encode(value, outgoing.sent, lambda other: self.encode_other(other, outgoing))

    def decode(self, tree: Tree, incoming: Incoming) -> Any:
        """See `values.decode`."""
        return values.decode(tree, incoming.take, lambda kind, content: self.decode_other(kind, content, incoming))

    # ---- asking

    def take_back(self, header: dict[str, Any]) -> None:
        """Forget what the other end, as it says with a request, no longer refers to."""
        for number in header.get("free", ()):
            self.forget(number)

    def request(
        self, message: dict[str, Any], tensors: Sequence[torch.Tensor] = (), differentiable: Sequence[bool] = ()
    ) -> Message:
        """Send a request and wait for its reply; serve the other end meanwhile.

        Raises:
            Exception: what the other end's code raised, as `error_from` builds it.
            ProtocolError, Timeout: the conversation is over.
        """
        with self.turn:
            if returned := self.leases.give_back():
                message["free"] = returned
            self.channel.send(message, tensors, differentiable)
            while True:
                reply = self.channel.receive()
                if "op" not in reply.header:
                    break
                self.serve(reply)
        if "error" in reply.header:
            raise self.error_from(reply.header["error"])
        return reply

    @abstractmethod
    def error_from(self, error: Any) -> BaseException:
        """The exception that stands for one at the other end."""

    def broken(self, why: str) -> BaseException:
        """What to raise when the other end broke the protocol."""
        return ProtocolError(why)

    def ask(
        self, message: dict[str, Any], linked: Sequence[torch.Tensor | None], sent: Sequence[torch.Tensor]
    ) -> tuple[Message, list[torch.Tensor]]:
        """Send a request whose answer is a differentiable function of tensors; the reply, and its tensors in the graph."""
        recording = torch.is_grad_enabled()
        reply = self.request(message, sent, [recording and tensor.requires_grad for tensor in sent])
        node = reply.header.get("node")
        if type(node) is not int:
            return reply, reply.tensors
        return reply, list(RemoteOperation.apply(self, self.leases.of(node), reply, ANCHOR, *linked, *sent))

    def call(self, callee: Any, args: Sequence[Any], kwargs: Mapping[str, Any], method: str = "__call__") -> Any:
        """Call something that lives at the other end, as if it were here: autograd included."""
        with self.turn:
            outgoing = Outgoing()
            tree = self.encode([callee, list(args), dict(kwargs)], outgoing)
            message = {"op": "call", "tree": tree, "method": method, "grad": torch.is_grad_enabled()}
            reply, outputs = self.ask(message, outgoing.linked, outgoing.sent)
            incoming = Incoming(outputs)
            self.take_changes(reply.header, incoming, outgoing)
            return self.value(reply.header, incoming)

    def take_changes(self, header: dict[str, Any], incoming: Incoming, outgoing: Outgoing) -> None:
        """Apply what the call changed: values one by one, and modules that have to be described anew."""
        for change in header.get("changed", ()):
            match change:
                case [int(place), index] if 0 <= place < len(outgoing.watched):
                    outgoing.watched[place](incoming.take(index).detach())
                case _:
                    raise ProtocolError("a change of something that was not passed")
        for description in header.get("modules", ()):
            self.decode_other("module", description, incoming)

    def value(self, header: dict[str, Any], incoming: Incoming) -> Any:
        """The value that a reply carries."""
        return self.decode(header.get("value"), incoming)

    def attribute(self, mirror: RemoteModule, name: str) -> Any:
        """An attribute of a module at the other end."""
        raise AttributeError(f"a module that was passed in has no attribute {name!r} here")

    def set_attribute(self, mirror: RemoteModule, name: str, value: Any) -> None:
        """Set one. Here, on the mirror: the module of another must not be touched."""
        object.__setattr__(mirror, name, value)

    # ---- serving

    def serve(self, request: Message) -> None:
        """Carry out one request of the other end and send the reply."""
        header = request.header
        with ExitStack() as until_answered:
            self.nesting += 1
            try:
                verb = header.get("op")
                if not isinstance(verb, str) or verb not in self.verbs:
                    raise ProtocolError("a request that is not served here")
                if self.nesting > MAX_NESTING:
                    raise RecursionError("maximum depth of calls within calls across the sandbox boundary exceeded")
                self.take_back(header)
                with torch.set_grad_enabled(header.get("grad") is not False):
                    reply = getattr(self, f"serve_{verb}")(request)
                until_answered.enter_context(self.turn)
                self.channel.send(*reply)
            except (ProtocolError, Timeout):
                raise
            except BaseException as error:
                until_answered.enter_context(self.turn)
                self.channel.send({"error": self.error_to(error)})
            finally:
                self.nesting -= 1

    @abstractmethod
    def error_to(self, error: BaseException) -> dict[str, Any]:
        """What the other end learns of an exception here; re-raises what must not be answered."""

    def keep(self, node: Node) -> int:
        """Keep a computation for later products, until the other end gives its number back."""
        number = self.lending.new_number()
        self.nodes[number] = node
        return number

    def serve_call(self, request: Message) -> Message:
        """Call something that was lent."""
        header = request.header
        for tensor, differentiable in zip(request.tensors, request.differentiable, strict=True):
            if differentiable and is_differentiable(tensor):
                tensor.requires_grad_()
        incoming = Incoming(request.tensors)
        callee, args, kwargs = self.decode(header["tree"], incoming)
        outgoing = Outgoing(is_reply=True)
        tree = self.encode(self.callable_of(callee, header.get("method"))(*args, **kwargs), outgoing)
        answer: dict[str, Any] = {"value": tree}
        outputs = list(outgoing.sent)
        if any(tensor.requires_grad for tensor in outputs):
            answer["node"] = self.keep(Node([*incoming.linked, *incoming.sent], outputs))
        self.report_changes(incoming, answer, outgoing)
        flags = [tensor.requires_grad for tensor in outputs]
        return Message(answer, outgoing.sent, flags + [False] * (len(outgoing.sent) - len(outputs)))

    def report_changes(self, incoming: Incoming, answer: dict[str, Any], outgoing: Outgoing) -> None:
        """Tell the other end what the call changed; see `take_changes`."""
        for exchange in incoming.exchanges:
            changes = exchange.changes()
            if changes is not None:
                found = [[place, append_tensor(tensor, outgoing.sent)] for place, tensor in changes]
                answer.setdefault("changed", []).extend(found)
            elif isinstance(exchange, Exchange):
                answer.setdefault("modules", []).append(self.describe(exchange.module, outgoing))

    def callable_of(self, callee: Any, method: object) -> Callable[..., Any]:
        """What a call request calls: the callee itself, or a method of it."""
        match method:
            case "__call__":
                return callee
            case "__deepcopy__":
                return partial(copy.deepcopy, callee)
        return getattr(callee, str(method))

    def serve_vjp(self, request: Message) -> Message:
        """The vector-Jacobian product of a kept computation."""
        header = request.header
        node, graph = self.nodes[header["node"]], header["graph"] is True
        gradients, cotangents = products(node, header["outputs"], request.tensors, header["asked"], graph=graph)
        outputs = [gradient for gradient in gradients if gradient is not None]
        answer: dict[str, Any] = {"has": [gradient is not None for gradient in gradients]}
        flags = [output.requires_grad for output in outputs]
        if graph and any(flags):
            answer["node"] = self.keep(Node([*node.inputs, *cotangents], outputs))
        return Message(answer, outputs, flags)


class RemoteFunction:
    """A callable that lives at the other end; `linked` are the parameters it closes over."""

    def __init__(self, peer: Peer, lease: Lease, name: str, linked: Sequence[torch.Tensor] = ()) -> None:
        self._peer, self._lease, self.__name__, self.linked = peer, lease, name, list(linked)

    @property
    def number(self) -> int:
        """Its number there."""
        return self._lease.number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        return self._peer.call(self, args, kwargs)

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"
