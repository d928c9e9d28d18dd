"""The tensors that take part in a call.

They do so in three ways:

    sent      travel with the call (arguments)
    linked    the other end holds its own copy and the result may depend on it (parameters of a module that lives there)
    watched   may be changed in place by the call, and such changes come back (state of modules, see `module`; generators)

The end that asks collects them while it encodes, the end that serves while it decodes: in the same order, so that a place in a
list is all that has to be told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from autograder.sandbox.errors import ProtocolError

if TYPE_CHECKING:
    from autograder.sandbox.module import Exchange


@dataclass
class Outgoing:
    """The tensors that one encoded value involves; `watched` say what to do with a new value."""

    is_reply: bool = False
    sent: list[torch.Tensor] = field(default_factory=list)
    linked: list[torch.Tensor] = field(default_factory=list)
    watched: list[Callable[[torch.Tensor], None]] = field(default_factory=list)


@dataclass
class Incoming:
    """The same, at the other end, in the same order."""

    sent: list[torch.Tensor]
    linked: list[torch.Tensor] = field(default_factory=list)
    exchanges: list[Exchange | DrawnFrom] = field(default_factory=list)
    places: int = 0
    taken: set[int] = field(default_factory=set)

    def take(self, index: object) -> torch.Tensor:
        """The tensor of that number. Each goes to one place: else a short text could stand for any number of copies.

        Raises:
            ProtocolError: there is none, or it has been taken.
        """
        if type(index) is not int or not 0 <= index < len(self.sent) or index in self.taken:
            raise ProtocolError("a reference to a tensor that did not come")
        self.taken.add(index)
        return self.sent[index]

    def new_place(self) -> int:
        """The next index in the other end's `watched`."""
        self.places += 1
        return self.places - 1


class DrawnFrom:
    """A generator that was passed to a call: what is drawn from it there is drawn here, too."""

    def __init__(self, generator: torch.Generator, place: int) -> None:
        self._generator, self._place = generator, place
        self._before = generator.get_state()

    def changes(self) -> list[tuple[int, torch.Tensor]]:
        """Its new state, if the call drew from it."""
        now = self._generator.get_state()
        return [] if torch.equal(now, self._before) else [(self._place, now)]
