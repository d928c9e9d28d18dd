"""The conversation between a trusted process and a worker.

Both ends are peers: each may call what the other lent it, and while one waits for a reply it serves the other's calls. So a
critic that a hidden test passes to a student's `gradient_penalty` stays in the trusted process, and the student calls it.

Autograd crosses by one idea. Whoever computed outputs from inputs keeps both as a *node*; the other end holds a
`torch.autograd.Function` whose backward asks for the node's vector-Jacobian product. Such a product is itself computed from
inputs, so under `create_graph=True` it becomes a node in turn, and derivatives of every order need nothing more.

Tensors take part in a call in three ways:

    sent      travel with the call (arguments)
    linked    the other end holds its own copy and the result may depend on it (parameters of a module that lives there)
    watched   may be changed in place by the call, and such changes come back (state of modules, see `module`)
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from autograder.sandbox import values
from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.module import NAME_LENGTH, RemoteModule, Watched, changes, describe, refresh
from autograder.sandbox.values import Tree
from autograder.sandbox.wire import Channel, Timeout, clean

MAX_NESTING = 20  # calls within calls, across the boundary
MAX_NODES = 20_000
MAX_FREED = 5_000  # node numbers given back with one message


@dataclass(frozen=True)
class Reply:
    """What came back for a request."""

    header: dict[str, Any]
    tensors: list[torch.Tensor]
    differentiable: list[bool]


@dataclass
class Outgoing:
    """The tensors that one encoded value involves."""

    is_reply: bool = False
    sent: list[torch.Tensor] = field(default_factory=list)
    linked: list[torch.Tensor] = field(default_factory=list)
    watched: list[Any] = field(default_factory=list)


@dataclass
class Incoming:
    """The same, at the other end, in the same order."""

    sent: list[torch.Tensor]
    linked: list[torch.Tensor] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)


@dataclass(frozen=True)
class Node:
    """A computation that may be differentiated later."""

    inputs: list[torch.Tensor | None]
    outputs: list[torch.Tensor]
    size: int


def is_differentiable(tensor: torch.Tensor) -> bool:
    """Whether gradients exist for its dtype."""
    return tensor.is_floating_point() or tensor.is_complex()


class Peer:
    """What both ends have in common. `verbs` are the requests that this end serves, by name."""

    max_held = 1 << 31  # bytes of tensors in nodes

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.lent: dict[int, Any] = {}
        self.nodes: dict[int, Node] = {}
        self.held = 0
        self.unused: deque[int] = deque()  # nodes of the other end that nothing here refers to any more
        self.nesting = 0
        self._last = 0
        self._handles: dict[int, int] = {}  # of modules, which are lent once

    @property
    def verbs(self) -> Mapping[str, Callable[..., Reply]]:
        """The requests that this end serves."""
        return {"call": self.serve_call, "vjp": self.serve_vjp}

    def number(self) -> int:
        """A handle that was never used before."""
        self._last += 1
        return self._last

    def lend(self, thing: object) -> int:
        """Keep `thing` so that the other end can refer to it; its handle."""
        handle = self.number()
        self.lent[handle] = thing
        return handle

    # ---- values, completed by each end

    def encode_other(self, value: object, outgoing: Outgoing) -> Tree | None:
        """The tree of something that has no value of its own, or None."""
        match value:
            case RemoteFunction():
                outgoing.linked += value.linked
                return {"home": value.handle}
            case RemoteModule() if value._peer is self:
                return {"home": value.encode_state(outgoing)}
            case nn.Module():
                if id(value) not in self._handles:
                    self._handles[id(value)] = self.lend(value)
                return {"module": describe(value, self._handles[id(value)], outgoing)}
        return None

    def decode_other(self, kind: str, content: Any, incoming: Incoming) -> object:
        """The inverse of the other end's `encode_other`."""
        match kind, content:
            case "home", int(handle) if handle in self.lent:
                return self.lent[handle]
            case "home", [int(handle), str(path), bool(training), list(state)]:
                root = self.lent.get(handle)
                if not isinstance(root, nn.Module):
                    raise ProtocolError("a module that was not lent")
                return refresh(root, path, training, state, incoming)
            case "module", {
                "handle": int(handle),
                "class": str(name),
                "training": bool(training),
                "state": list(state),
            }:
                module = RemoteModule(self, handle, "", clean(name, NAME_LENGTH), training)
                module.adopt(state, incoming)
                return module
        raise ProtocolError(f"a value of the unknown kind {clean(kind, NAME_LENGTH)!r}")

    def encode(self, value: object, outgoing: Outgoing) -> Tree:
        """See `values.encode`."""
        return values.encode(value, outgoing.sent, lambda other: self.encode_other(other, outgoing))

    def decode(self, tree: Tree, incoming: Incoming) -> Any:
        """See `values.decode`."""
        return values.decode(tree, incoming.sent, lambda kind, content: self.decode_other(kind, content, incoming))

    # ---- asking

    def request(
        self,
        message: dict[str, Any],
        tensors: Sequence[torch.Tensor] = (),
        differentiable: Sequence[bool] | None = None,
    ) -> Reply:
        """Send a request and wait for its reply; serve the other end meanwhile.

        Raises:
            Exception: what the other end's code raised, as `error_from` builds it.
            ProtocolError, Timeout: the conversation is over.
        """
        message["free"] = [self.unused.popleft() for _ in range(min(len(self.unused), MAX_FREED))]
        self.channel.send(message, tensors, differentiable)
        while True:
            reply = Reply(*self.channel.receive())
            if "op" not in reply.header:
                break
            self.serve(reply)
        if "error" in reply.header:
            raise self.error_from(reply.header["error"])
        return reply

    def error_from(self, error: Any) -> BaseException:
        """The exception that stands for one at the other end."""
        raise NotImplementedError

    def call(self, callee: Any, args: Sequence[Any], kwargs: Mapping[str, Any], method: str = "__call__") -> Any:
        """Call something that lives at the other end, as if it were here: autograd included."""
        outgoing = Outgoing()
        tree = self.encode([callee, list(args), dict(kwargs)], outgoing)
        message = {"op": "call", "tree": tree, "method": method, "grad": torch.is_grad_enabled()}
        box: list[Reply] = []
        outputs = RemoteOperation.apply(
            self, message, len(outgoing.linked), box, ANCHOR, *outgoing.linked, *outgoing.sent
        )
        self.take_changes(box[0], outgoing.watched)
        return self.value(box[0], list(outputs))

    def value(self, reply: Reply, tensors: list[torch.Tensor]) -> Any:
        """The value that a reply carries, made of `tensors`."""
        return self.decode(reply.header.get("value"), Incoming(tensors))

    def take_changes(self, reply: Reply, watched: list[Any]) -> None:
        """Bring changes of module state home. The changed tensors are the last ones of the reply."""
        indices = reply.header.get("changed", [])
        if not isinstance(indices, list) or len(indices) > len(reply.tensors):
            raise ProtocolError("badly formed changes")
        for index, new in zip(indices, reply.tensors[len(reply.tensors) - len(indices) :], strict=True):
            if type(index) is not int or not 0 <= index < len(watched):
                raise ProtocolError("a change of something that was not passed")
            mirror, name, tensor = watched[index]
            if new.shape != tensor.shape:
                raise ProtocolError("a change of shape")
            with torch.no_grad():
                tensor.copy_(new)
            if mirror is not None and new.dtype == tensor.dtype:
                mirror.note_current(name, tensor)

    def attribute(self, handle: int, path: str, name: str) -> tuple[bool, Any]:
        """(True, None) for a method of a module at the other end, (False, value) for any other attribute."""
        raise AttributeError(f"a module that was passed in has no attribute {name!r} here")

    # ---- serving

    def serve(self, request: Reply) -> None:
        """Carry out one request of the other end and send the reply."""
        header = request.header
        self.nesting += 1
        try:
            verb = header.get("op")
            if not isinstance(verb, str) or verb not in self.verbs or self.nesting > MAX_NESTING:
                raise ProtocolError("a request that is not served here")
            for handle in header.get("free", ()):
                if (node := self.nodes.pop(handle, None)) is not None:
                    self.held -= node.size
            with torch.set_grad_enabled(header.get("grad", True) is True):
                reply = self.verbs[verb](request)
            self.channel.send(reply.header, reply.tensors, reply.differentiable)
        except (ProtocolError, Timeout):
            raise
        except BaseException as error:
            self.channel.send({"error": self.error_to(error)})
        finally:
            self.nesting -= 1

    def error_to(self, error: BaseException) -> dict[str, Any]:
        """What the other end learns of an exception here; re-raises what must not be answered."""
        raise NotImplementedError

    def keep(self, inputs: list[torch.Tensor | None], outputs: list[torch.Tensor]) -> int:
        """Keep a computation for later products; its number. Bounded, since the other end says when to forget."""
        size = sum(tensor.nbytes for tensor in (*inputs, *outputs) if tensor is not None)
        self.held += size
        if self.held > self.max_held or len(self.nodes) >= MAX_NODES:
            raise ProtocolError("too many computations are kept for differentiation")
        handle = self.number()
        self.nodes[handle] = Node(inputs, outputs, size)
        return handle

    def serve_call(self, request: Reply) -> Reply:
        """Call something that was lent."""
        header = request.header
        for tensor, differentiable in zip(request.tensors, request.differentiable, strict=True):
            if differentiable and is_differentiable(tensor):
                tensor.requires_grad_()
        incoming = Incoming(request.tensors)
        callee, args, kwargs = self.decode(header["tree"], incoming)
        function = self.callable_of(callee, header.get("method"))
        outgoing = Outgoing(is_reply=True)
        tree = self.encode(function(*args, **kwargs), outgoing)
        outputs = outgoing.sent
        inputs = [*incoming.linked, *incoming.sent]
        node = self.keep([*inputs], outputs) if any(tensor.requires_grad for tensor in outputs) else None
        changed = changes(incoming.watched)
        return Reply(
            {"value": tree, "node": node, "changed": [index for index, _ in changed]},
            [*outputs, *[tensor for _, tensor in changed]],
            [*[tensor.requires_grad for tensor in outputs], *[False] * len(changed)],
        )

    def callable_of(self, callee: Any, method: object) -> Callable[..., Any]:
        """What a call request calls."""
        raise NotImplementedError

    def serve_vjp(self, request: Reply) -> Reply:
        """The vector-Jacobian product of a kept computation."""
        header = request.header
        node = self.nodes[header["node"]]
        graph = header["graph"] is True
        cotangents = [tensor.requires_grad_(graph and is_differentiable(tensor)) for tensor in request.tensors]
        wanted = [
            tensor
            for tensor, asked in zip(node.inputs, header["asked"], strict=True)
            if asked and tensor is not None and tensor.requires_grad
        ]
        pairs = [(node.outputs[i], c) for i, c in zip(header["outputs"], cotangents, strict=True)]
        pairs = [(output, cotangent) for output, cotangent in pairs if output.requires_grad]
        gradients: tuple[torch.Tensor | None, ...] = ()
        if wanted and pairs:
            gradients = torch.autograd.grad(
                *([output for output, _ in pairs], wanted, [cotangent for _, cotangent in pairs]),
                retain_graph=True,
                create_graph=graph,
                allow_unused=True,
            )
        found = {id(tensor): gradient for tensor, gradient in zip(wanted, gradients, strict=bool(gradients))}
        by_input = [found.get(id(x)) if asked else None for x, asked in zip(node.inputs, header["asked"], strict=True)]
        outputs = [gradient for gradient in by_input if gradient is not None]
        again = None
        if graph and any(output.requires_grad for output in outputs):
            again = self.keep([*node.inputs, *cotangents], outputs)
        return Reply(
            {"has": [gradient is not None for gradient in by_input], "node": again},
            outputs,
            [output.requires_grad for output in outputs],
        )


class RemoteFunction:
    """A callable that lives at the other end; `linked` are the parameters it closes over."""

    def __init__(self, peer: Peer, handle: Any, name: str, linked: Sequence[torch.Tensor] = ()) -> None:
        self._peer, self.handle, self.__name__, self.linked = peer, handle, name, list(linked)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        return self._peer.call(self, args, kwargs)

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


# Lets an output require grad when no input does: the student's function may hold parameters of its own.
ANCHOR = torch.zeros((), requires_grad=True)


class Reference:
    """Dies with the graph that refers to a node at the other end, which may then be forgotten."""


class RemoteOperation(torch.autograd.Function):
    """A computation at the other end, as one operation of the graph here.

    Its inputs are first the linked tensors, which stay, then the sent ones. The reply is left in `box`: autograd lets only
    tensors out.
    """

    @staticmethod
    def forward(
        ctx: Any, peer: Peer, message: dict[str, Any], linked: int, box: list[Reply], anchor: torch.Tensor, *inputs: Any
    ) -> tuple[torch.Tensor, ...]:
        """Send the request; the tensors of its reply."""
        ctx.set_materialize_grads(False)
        needed = ctx.needs_input_grad[5:]
        reply = peer.request(message, inputs[linked:], needed[linked:])
        box.append(reply)
        node = reply.header.get("node")
        ctx.peer, ctx.needed, ctx.node = peer, needed, node if type(node) is int else None
        if ctx.node is not None:
            ctx.reference = Reference()
            weakref.finalize(ctx.reference, peer.unused.append, ctx.node)
        # Only what is differentiated: a buffer among the others may change before the backward pass.
        ctx.save_for_backward(*[tensor if need else None for tensor, need in zip(inputs, needed, strict=True)])
        ctx.mark_non_differentiable(
            *[
                tensor
                for tensor, differentiable in zip(reply.tensors, reply.differentiable, strict=True)
                if not (differentiable and ctx.node is not None and is_differentiable(tensor))
            ]
        )
        return tuple(reply.tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[Any, ...]:
        """Ask the other end for the product; differentiable itself when autograd records a graph."""
        inputs = ctx.saved_tensors
        present = [index for index, cotangent in enumerate(cotangents) if cotangent is not None]
        if not present or ctx.node is None:
            return (None,) * (5 + len(inputs))
        message = {
            "op": "vjp",
            "node": ctx.node,
            "outputs": present,
            "asked": [bool(need) for need in ctx.needed],
            "graph": torch.is_grad_enabled(),
        }
        box: list[Reply] = []
        sent = [cotangents[index] for index in present]
        outputs = iter(RemoteOperation.apply(ctx.peer, message, len(inputs), box, ANCHOR, *inputs, *sent))
        has = box[0].header.get("has")
        if not isinstance(has, list) or len(has) != len(inputs) or sum(map(bool, has)) != len(box[0].tensors):
            raise ProtocolError("a badly formed product")
        gradients = [next(outputs) if given else None for given in has]
        for tensor, gradient in zip(inputs, gradients, strict=True):
            if gradient is None:
                continue
            if tensor is None or gradient.shape != tensor.shape or gradient.dtype != tensor.dtype:
                raise ProtocolError("a gradient of the wrong shape or type")
        return (None,) * 5 + tuple(gradients)
