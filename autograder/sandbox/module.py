"""Modules that live at the other end, and their mirrors.

A mirror has real parameters and buffers, so `parameters()`, `state_dict()`, `.grad`, `double()` and optimisers work on them.
`forward` runs at the other end, on the module itself, which is brought up to date first; what a call changes in it (batch-norm
statistics, training in place) comes back. It works both ways: a hidden test questions a student's network through its mirror,
and a student trains a test's network through another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.values import append_tensor

if TYPE_CHECKING:
    from autograder.sandbox.peer import Incoming, Outgoing, Peer

MAX_STATE = 5_000  # parameters and buffers of one module
MAX_PATH = 12
NAME_LENGTH = 80


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by their dotted names."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal dtype, shape and values. By value, since `p.data -= …` leaves no other trace."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


class Watched:
    """A tensor of a module that takes part in a call at the end that computes it, and its value before."""

    def __init__(self, root: nn.Module, name: str, before: torch.Tensor) -> None:
        self.root, self.name = root, name
        self._before = before.detach().clone()

    def change(self, now: torch.Tensor) -> torch.Tensor | None:
        """The tensor's value now, if the call changed it."""
        return None if same(now.detach(), self._before) else now.detach()


def changes(watched: list[Watched]) -> list[tuple[int, torch.Tensor]]:
    """Places and new values of the watched tensors that changed."""
    states: dict[int, dict[str, torch.Tensor]] = {}
    found = []
    for index, item in enumerate(watched):
        state = states.setdefault(id(item.root), state_of(item.root))
        if item.name in state and (now := item.change(state[item.name])) is not None:
            found.append((index, now))
    return found


def describe(module: nn.Module, handle: int, outgoing: Outgoing) -> dict[str, Any]:
    """A module that is lent: what its mirror is made of.

    In a call its parameters travel as inputs, so that gradients of the result reach them. In a reply they are plain values:
    whoever calls the mirror later links to them then.
    """
    parameters = dict(module.named_parameters())
    entries = []
    for name, tensor in state_of(module).items():
        index = append_tensor(tensor.detach() if outgoing.is_reply else tensor, outgoing.sent)
        entries.append([name, index, name in parameters, tensor.requires_grad])
        outgoing.watched.append((None, name, tensor))
    return {"handle": handle, "class": type(module).__name__, "training": module.training, "state": entries}


def refresh(root: nn.Module, path: str, training: bool, state: list[Any], incoming: Incoming) -> nn.Module:
    """Give a lent module the state that its mirror has; the part of it at `path`.

    Raises:
        ProtocolError: the state is not that of this module.
    """
    module = dict(root.named_modules()).get(path)
    if module is None:
        raise ProtocolError("a part that the module does not have")
    if module.training != training:
        module.train(training)
    own = state_of(root)
    for name, index, requires_grad in state:
        tensor = own.get(name)
        if tensor is None:
            raise ProtocolError("a parameter that the module does not have")
        if index is not None:
            new = incoming.sent[index]
            if new.shape != tensor.shape:
                raise ProtocolError("a parameter of another shape")
            if tensor.dtype == new.dtype:
                with torch.no_grad():
                    tensor.copy_(new)
            else:
                tensor.data = new.detach()  # the mirror was converted, say by .double()
        if isinstance(tensor, nn.Parameter):
            tensor.requires_grad_(requires_grad is True)
        incoming.linked.append(tensor)
        incoming.watched.append(Watched(root, name, tensor))
    return module


class RemoteModule(nn.Module):
    """Mirror of a module at the other end. Submodules are mirrors that share its handle."""

    def __init__(self, peer: Peer, handle: int, path: str, class_name: str, training: bool) -> None:
        super().__init__()
        # Past nn.Module.__setattr__ and __getattr__, which would look for parameters of these names.
        self.__dict__.update(_peer=peer, _handle=handle, _path=path, _class_name=class_name, _known={})
        self.training = training

    def adopt(self, state: list[Any], incoming: Incoming) -> None:
        """Create the parameters and buffers that the other end describes.

        They take the places of the tensors that came: a result that depends on a parameter depends on that input.

        Raises:
            ProtocolError: the description is badly formed.
        """
        if len(state) > MAX_STATE:
            raise ProtocolError("a module with too many parameters")
        for entry in state:
            match entry:
                case [str(name), int(index), bool(is_parameter), bool(requires_grad)]:
                    parts = name.split(".")
                case _:
                    raise ProtocolError("a badly described module")
            plain = all(part and len(part) <= NAME_LENGTH and (part.isidentifier() or part.isdigit()) for part in parts)
            if len(parts) > MAX_PATH or not plain or not 0 <= index < len(incoming.sent):
                raise ProtocolError("a badly described parameter")
            owner = self._descend(parts[:-1])
            tensor = incoming.sent[index].detach().clone()
            if is_parameter:
                tensor = nn.Parameter(tensor, requires_grad=requires_grad)
                owner._parameters[parts[-1]] = tensor
            else:
                owner._buffers[parts[-1]] = tensor
            incoming.sent[index] = tensor
            incoming.watched.append(Watched(self, name, tensor))
        for name, tensor in self._state():
            self.note_current(name, tensor)

    def _descend(self, parts: list[str]) -> RemoteModule:
        module = self
        for depth, part in enumerate(parts, 1):
            if part not in module._modules:
                path = ".".join(parts[:depth])
                module._modules[part] = RemoteModule(self._peer, self._handle, path, part, self.training)
            module = module._modules[part]  # type: ignore[assignment]
        return module

    def _state(self) -> Iterator[tuple[str, torch.Tensor]]:
        prefix = f"{self._path}." if self._path else ""
        for name, tensor in state_of(self).items():
            yield prefix + name, tensor

    def note_current(self, name: str, tensor: torch.Tensor) -> None:
        """Note that the module itself has this very value of a parameter or buffer."""
        self._known[name] = tensor.detach().clone()

    def encode_state(self, outgoing: Outgoing) -> list[Any]:
        """Handle, path, mode, and the state, with new values for what changed here since the last call."""
        entries = []
        for name, tensor in self._state():
            known = self._known.get(name)
            fresh = known is None or not same(known, tensor.detach())
            entries.append(
                [name, append_tensor(tensor.detach(), outgoing.sent) if fresh else None, tensor.requires_grad]
            )
            outgoing.linked.append(tensor)
            outgoing.watched.append((self, name, tensor))
            if fresh:
                self.note_current(name, tensor)
        return [self._handle, self._path, self.training, entries]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's forward, at the other end."""
        return self._peer.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise
        is_method, value = self._peer.attribute(self._handle, self._path, name)
        return (lambda *args, **kwargs: self._peer.call(self, args, kwargs, method=name)) if is_method else value

    def __repr__(self) -> str:
        return f"<module {self._class_name}>"
