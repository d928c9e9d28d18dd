"""Derivatives of every order across the boundary, by one idea.

Whoever computed outputs from inputs keeps both as a *node*; the other end holds a `torch.autograd.Function` whose backward asks
for the node's vector-Jacobian product. Such a product is itself computed from inputs, so under `create_graph=True` it becomes a
node in turn, and higher derivatives need nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from autograder.sandbox.lending import Lease
from autograder.sandbox.wire import Message

if TYPE_CHECKING:
    from autograder.sandbox.peer import Peer


@dataclass(frozen=True)
class Node:
    """A computation that may be differentiated later."""

    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.nbytes for tensor in (*self.inputs, *self.outputs))


def is_differentiable(tensor: torch.Tensor) -> bool:
    """Whether gradients exist for its dtype."""
    return tensor.is_floating_point() or tensor.is_complex()


def products(
    node: Node, outputs: Sequence[int], cotangents: Sequence[torch.Tensor], asked: Sequence[bool], *, graph: bool
) -> tuple[list[torch.Tensor | None], list[torch.Tensor]]:
    """The vector-Jacobian products of a node: for each of its inputs that is asked for, if it has one; and the cotangents.

    Args:
        node: the computation.
        outputs: which of its outputs the cotangents belong to.
        cotangents: one for each of these.
        asked: for each input, whether its product is wanted.
        graph: whether the products are to be differentiable, with respect to the cotangents too.
    """
    cotangents = [tensor.requires_grad_(graph and is_differentiable(tensor)) for tensor in cotangents]
    wanted = [x for x, ask in zip(node.inputs, asked, strict=True) if ask and x.requires_grad]
    pairs = [(node.outputs[i], cotangent) for i, cotangent in zip(outputs, cotangents, strict=True)]
    pairs = [(output, cotangent) for output, cotangent in pairs if output.requires_grad]
    gradients: Sequence[torch.Tensor | None] = [None] * len(wanted)
    if wanted and pairs:
        gradients = torch.autograd.grad(
            *([output for output, _ in pairs], wanted, [cotangent for _, cotangent in pairs]),
            retain_graph=True,
            create_graph=graph,
            allow_unused=True,
        )
    found = {id(tensor): gradient for tensor, gradient in zip(wanted, gradients, strict=True)}
    return [found.get(id(x)) if ask else None for x, ask in zip(node.inputs, asked, strict=True)], cotangents


# Lets an output require grad when no input does: the student's function may hold parameters of its own.
ANCHOR = torch.zeros((), requires_grad=True)


class RemoteOperation(torch.autograd.Function):
    """A computation at the other end, as one operation of the graph here.

    Its inputs are first the linked tensors, which stay, then the sent ones. While the graph lives, so does the lease on the
    other end's node.
    """

    @staticmethod
    def forward(
        ctx: Any, peer: Peer, lease: Lease, reply: Message, anchor: torch.Tensor, *inputs: torch.Tensor | None
    ) -> tuple[torch.Tensor, ...]:
        """The tensors of the reply."""
        ctx.set_materialize_grads(False)
        ctx.peer, ctx.lease = peer, lease
        # Only what is differentiated: a buffer among the others may change before the backward pass.
        needed = ctx.needs_input_grad[4:]
        ctx.save_for_backward(*[tensor if need else None for tensor, need in zip(inputs, needed, strict=True)])
        flagged = zip(reply.tensors, reply.differentiable, strict=True)
        ctx.mark_non_differentiable(
            *[t for t, differentiable in flagged if not (differentiable and is_differentiable(t))]
        )
        return tuple(reply.tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[Any, ...]:
        """Ask the other end for the product; differentiable itself when autograd records a graph."""
        peer, inputs = ctx.peer, ctx.saved_tensors
        present = [index for index, cotangent in enumerate(cotangents) if cotangent is not None]
        asked = [tensor is not None for tensor in inputs]
        if not present or not any(asked):
            return (None,) * (4 + len(inputs))
        graph = torch.is_grad_enabled()
        message = {"op": "vjp", "node": ctx.lease.number, "outputs": present, "asked": asked, "graph": graph}
        reply, products = peer.ask(message, inputs, [cotangents[index] for index in present])
        has = reply.header.get("has")
        if not isinstance(has, list) or len(has) != len(inputs) or sum(map(bool, has)) != len(products):
            raise peer.broken("a badly formed product")
        remaining = iter(products)
        gradients = [next(remaining) if given else None for given in has]
        for tensor, gradient in zip(inputs, gradients, strict=True):
            if gradient is not None and (
                tensor is None or gradient.shape != tensor.shape or gradient.dtype != tensor.dtype
            ):
                raise peer.broken("a gradient of the wrong shape or type")
        return (None,) * 4 + tuple(gradients)
