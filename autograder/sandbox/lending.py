"""Handles: how one end refers to what lives at the other.

Whoever lends a thing keeps it under a number. Whoever borrows it holds a `Lease` on that number; when the last holder of the
lease is gone, the number travels back with the next message and the lender forgets the thing. So neither end grows with the
length of the conversation.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

MAX_RETURNED = 5_000  # numbers given back with one message


class Lending:
    """What this end has lent, by number. The same thing always goes out under the same number, and so keeps its identity."""

    def __init__(self) -> None:
        self.things: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}  # by id(); valid since `things` keeps the object alive
        self._last = 0

    def new_number(self) -> int:
        """A number that was never used before."""
        self._last += 1
        return self._last

    def lend(self, thing: object) -> int:
        """Keep `thing` so that the other end can refer to it; its number."""
        number = self._numbers.get(id(thing))
        if number is None:
            number = self._numbers[id(thing)] = self.new_number()
            self.things[number] = thing
        return number

    def forget(self, number: int) -> None:
        """The other end refers to this no more."""
        if number in self.things:
            del self._numbers[id(self.things.pop(number))]


class Lease:
    """The right to refer to a number of the other end's."""

    def __init__(self, number: int, returned: set[int]) -> None:
        self.number = number
        self._returned = returned

    def __del__(self) -> None:
        self._returned.add(self.number)


class Leases:
    """The leases that this end holds."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[int, Lease] = WeakValueDictionary()
        self._returned: set[int] = set()

    def of(self, number: int) -> Lease:
        """The lease on a number that has just arrived."""
        lease = self._held.get(number)
        if lease is None:
            lease = self._held[number] = Lease(number, self._returned)
            # It may have been given up here a moment ago, while the other end was lending it once more.
            self._returned.discard(number)
        return lease

    def give_back(self) -> list[int]:
        """The numbers that nothing here holds any longer, for the next message."""
        return [self._returned.pop() for _ in range(min(len(self._returned), MAX_RETURNED))]
