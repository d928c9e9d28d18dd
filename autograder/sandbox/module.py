"""Modules that live at the other end, and their mirrors.

A mirror has real parameters and buffers, so `parameters()`, `state_dict()`, `.grad`, `double()` and optimisers work on them.
`forward` runs at the other end, on the module itself, which is brought up to date first; what a call changes in it (statistics
of a batch norm, training in place, a layer that is added) comes back. It works both ways: a hidden test questions a student's
network through its mirror, and a student trains a test's network through another.

Both ends know which values the other one has, and send only what differs. They compare values, since `p.data -= …` leaves no
other trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.lending import Lease
from autograder.sandbox.values import append_tensor

if TYPE_CHECKING:
    from autograder.sandbox.exchange import Incoming, Outgoing
    from autograder.sandbox.peer import Peer

MAX_PARTS = 2_000  # submodules of one mirror
MAX_PATH = 12
NAME_LENGTH = 80
PARAMETER, BUFFER, TRANSIENT = "parameter", "buffer", "transient"  # a transient buffer is not part of the state dict

State = dict[str, torch.Tensor]


def state_of(module: nn.Module) -> State:
    """Parameters and buffers by their dotted names; without those that a first call has yet to give a shape."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: tensor for name, tensor in named if not is_lazy(tensor)}


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal dtype, shape and values."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def copy_of(tensor: torch.Tensor) -> torch.Tensor:
    """The values as they are now."""
    return tensor.detach().clone()


def structure_of(module: nn.Module, state: State) -> list[Any]:
    """What has to agree before values can be exchanged one by one: mode, names, kinds, shapes."""
    parts = [(name, isinstance(x, nn.Parameter), x.requires_grad, x.shape, x.dtype) for name, x in state.items()]
    return [module.training, *parts]


class Exchange:
    """One module in one call, at the end that serves the call: finds what the call changed.

    Args:
        module: what is called, or passed.
        known: the values that the other end has; kept up to date.
        places: under which index the other end awaits a new value of each tensor.
        lent: its state now, if it was lent: then it can be described anew when its structure changes.
    """

    def __init__(self, module: nn.Module, known: State, places: dict[str, int], lent: State | None = None) -> None:
        self.module, self.known, self.places = module, known, places
        self._structure = structure_of(module, lent) if lent is not None else None

    def changes(self) -> list[tuple[int, torch.Tensor]] | None:
        """Places and values of the tensors that the other end does not know yet; None if the structure changed."""
        state = state_of(self.module)
        if self._structure is not None and (
            structure_of(self.module, state) != self._structure or state.keys() != self.known.keys()
        ):
            return None
        found = []
        for name, place in self.places.items():
            now = state[name].detach() if name in state else self.known[name]
            if not same(now, self.known[name]):
                self.known[name] = now.clone()
                found.append((place, now))
        return found


def describe(
    module: nn.Module, number: int, known: State, outgoing: Outgoing, take: Callable[..., None]
) -> dict[str, Any]:
    """A module that is lent: what its mirror is made of.

    In a call its parameters travel as inputs, so that gradients of the result reach them. In a reply they are plain values:
    whoever calls the mirror later links to them then.

    Args:
        module: what is lent.
        number: under this number.
        known: becomes the values that the other end has.
        outgoing: grows by its tensors.
        take: given a tensor and a new value, does with a change at the other end what is to be done.
    """
    known.clear()
    parameters = dict(module.named_parameters(remove_duplicate=False))
    transient = {
        f"{path}.{name}" if path else name
        for path, part in module.named_modules()
        for name in part._non_persistent_buffers_set
    }
    entries = []
    firsts: dict[int, str] = {}
    for name, tensor in state_of(module).items():
        firsts[id(tensor)] = name
        known[name] = copy_of(tensor)
        index = append_tensor(tensor.detach() if outgoing.is_reply else tensor, outgoing.sent)
        kind = PARAMETER if name in parameters else TRANSIENT if name in transient else BUFFER
        entries.append([name, index, kind, tensor.requires_grad])
        outgoing.watched.append(partial(take, tensor))
    tied = [[name, first] for name, p in parameters.items() if (first := firsts.get(id(p), name)) != name]
    mode, kind_name = module.training, type(module).__name__
    return {"handle": number, "class": kind_name, "training": mode, "state": entries, "tied": tied}


def refresh(root: nn.Module, known: State, claim: list[Any], incoming: Incoming) -> nn.Module:
    """Give a lent module the state that its mirror has; the part of it that is meant.

    Args:
        root: what was lent.
        known: the values that the other end has of it; kept up to date.
        claim: what the mirror's `encode_state` wrote, without the number.
        incoming: the tensors that came.

    Raises:
        ProtocolError: the state is not that of this module.
    """
    path, modes, state = claim
    parts = dict(root.named_modules()) if path or modes else {"": root}
    if path not in parts:
        raise ProtocolError("a part that the module does not have")
    for part, training in modes:
        parts[part].train(training is True)
    own = state_of(root)
    places = {}
    for name, index, requires_grad in state:
        tensor = own.get(name)
        if tensor is None:
            raise ProtocolError("a parameter that the module does not have")
        if index is not None:
            new = incoming.take(index)
            if new.shape != tensor.shape:
                raise ProtocolError("a parameter of another shape")
            put(tensor, new.detach())
            known[name] = copy_of(tensor)
        if isinstance(tensor, nn.Parameter) and tensor.requires_grad != requires_grad:
            tensor.requires_grad_(requires_grad is True)
        incoming.linked.append(tensor)
        places[name] = incoming.new_place()
    incoming.exchanges.append(Exchange(root, known, places, own))
    return parts[path]


def put(tensor: torch.Tensor, value: torch.Tensor, *, noticed: bool = True) -> None:
    """Give a parameter or buffer another value of the same shape, and the dtype of that: its owner may have been converted.

    Args:
        tensor: of the module.
        value: its new value.
        noticed: whether autograd notices. For a mirror it does not: whether a graph is out of date because of the change is
            found out at home, where the values are that it was recorded with. So a layer that masks its own weights in
            `forward` is as differentiable here as there.
    """
    if tensor.dtype != value.dtype:
        tensor.data = value
    elif noticed:
        with torch.no_grad():
            tensor.copy_(value)
    else:
        tensor.data.copy_(value)


class Snapshot:
    """What a module is now, to be put back later."""

    def __init__(self, module: nn.Module) -> None:
        self._modes = [(part, part.training) for part in module.modules()]
        self._tensors = [(x, copy_of(x), x.requires_grad) for x in state_of(module).values()]

    def restore(self) -> None:
        """Undo what happened since."""
        for part, training in self._modes:
            part.training = training
        for tensor, value, requires_grad in self._tensors:
            if not same(tensor.detach(), value):
                put(tensor, value)
            if tensor.requires_grad != requires_grad:
                tensor.requires_grad_(requires_grad)


class RemoteModule(nn.Module):
    """Mirror of a module at the other end. Submodules are mirrors that share its lease, and what is known."""

    def __init__(
        self, peer: Peer, lease: Lease, path: str, class_name: str, known: State, modes: dict[str, bool]
    ) -> None:
        super().__init__()
        # Past nn.Module.__setattr__ and __getattr__, which would look for parameters of these names.
        self.__dict__.update(_peer=peer, _lease=lease, _path=path, _class_name=class_name, _known=known, _modes=modes)

    @classmethod
    def of(cls, peer: Peer, lease: Lease, class_name: str) -> RemoteModule:
        """A mirror without state."""
        return cls(peer, lease, "", class_name, {}, {})

    # ---- state

    def adopt(self, training: bool, state: list[Any], tied: list[Any], incoming: Incoming) -> None:
        """Become what the other end describes. What is here already stays the same object, for the optimisers that hold it.

        The parameters take the places of the tensors that came: a result that depends on one depends on that input.

        Raises:
            ProtocolError: the description is badly formed.
        """
        before, places, described = set(state_of(self)), {}, set()
        for entry in state:
            match entry:
                case [str(name), index, "parameter" | "buffer" | "transient" as kind, bool(requires_grad)]:
                    owner, leaf = self._owner(name)
                case _:
                    raise ProtocolError("a badly described module")
            tensor = incoming.take(index)
            incoming.sent[index] = owner._adopt_tensor(name, leaf, kind, tensor.detach(), requires_grad)
            described.add(name)
            places[name] = incoming.new_place()
        for entry in tied:
            match entry:
                case [str(name), str(first)] if first in described:
                    owner, leaf = self._owner(name)
                    owner._parameters[leaf] = self.get_parameter(first)
                case _:
                    raise ProtocolError("a badly described module")
        for name in before - described:
            owner, leaf = self._owner(name)
            owner._parameters.pop(leaf, None)
            owner._buffers.pop(leaf, None)
            self._known.pop(name, None)
        self.train(training)
        self._modes.update({part._path: training for part in self._mirrors()})
        incoming.exchanges.append(Exchange(self, self._known, places))

    def _adopt_tensor(self, name: str, leaf: str, kind: str, value: torch.Tensor, requires_grad: bool) -> torch.Tensor:
        """Have a parameter or buffer of that value; unless it was changed here and is about to be sent."""
        tensors: dict[str, Any] = self._parameters if kind == PARAMETER else self._buffers
        tensor = tensors.get(leaf)
        if tensor is None or tensor.shape != value.shape:
            tensors[leaf] = tensor = nn.Parameter(value, requires_grad=requires_grad) if kind == PARAMETER else value
            if kind == TRANSIENT:
                self._non_persistent_buffers_set.add(leaf)
        elif not same(self._known[name], value):
            put(tensor, value, noticed=False)
        if kind == PARAMETER and tensor.requires_grad != requires_grad:
            tensor.requires_grad_(requires_grad)
        self._known[name] = value.clone()
        return tensor

    def _owner(self, name: str) -> tuple[RemoteModule, str]:
        """The part that holds the parameter of that dotted name, made if it is not there, and the name in it."""
        *path, leaf = parts = name.split(".")
        plain = all(part and len(part) <= NAME_LENGTH and (part.isidentifier() or part.isdigit()) for part in parts)
        if not plain or len(parts) > MAX_PATH:
            raise ProtocolError("a badly named parameter")
        module = self
        for depth, part in enumerate(path, 1):
            if part not in module._modules:
                if len(self._modes) >= MAX_PARTS:
                    raise ProtocolError("a module with too many parts")
                below = RemoteModule(self._peer, self._lease, ".".join(path[:depth]), part, self._known, self._modes)
                below.training = self._modes[below._path] = self.training
                module._modules[part] = below
            module = module._modules[part]  # type: ignore[assignment]
        return module, leaf

    def _mirrors(self) -> Iterator[RemoteModule]:
        return (part for part in self.modules() if isinstance(part, RemoteModule))

    def encode_state(self, outgoing: Outgoing) -> list[Any]:
        """Number, path, modes, and the state, with new values for what changed here since the other end last knew."""
        prefix = f"{self._path}." if self._path else ""
        entries = []
        for short, tensor in state_of(self).items():
            name, value = prefix + short, tensor.detach()
            index = None
            if name not in self._known or not same(self._known[name], value):
                index = append_tensor(value, outgoing.sent)
                self._known[name] = value.clone()
            entries.append([name, index, tensor.requires_grad])
            outgoing.linked.append(tensor)
            outgoing.watched.append(partial(self._take, name, tensor))
        modes = []
        for part in self._mirrors():
            if self._modes[part._path] != part.training:
                modes.append([part._path, part.training])
                self._modes.update({below._path: part.training for below in part._mirrors()})  # as train() does there
        return [self._lease.number, self._path, modes, entries]

    def _take(self, name: str, tensor: torch.Tensor, new: torch.Tensor) -> None:
        """The other end changed a parameter or buffer."""
        if new.shape != tensor.shape:
            raise ProtocolError("a change of shape")
        put(tensor, new, noticed=False)
        self._known[name] = new.clone()

    # ---- behaviour

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward, at the other end."""
        return self._peer.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise
        return self._peer.attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training" or value is None or isinstance(value, torch.Tensor):
            super().__setattr__(name, value)
        else:
            self._peer.set_attribute(self, name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteModule:
        """The mirror of a copy: it is made where the module is."""
        return self._peer.call(self, (), {}, method="__deepcopy__")

    def __repr__(self) -> str:
        return f"<module {self._class_name}>"
