"""What a hidden test holds of the student's beside functions and modules: objects, iterators, things to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from autograder.sandbox.errors import StudentError
from autograder.sandbox.lending import Lease

if TYPE_CHECKING:
    from autograder.sandbox.host import HostPeer


class RemoteObject:
    """An object of a student's class: attributes by value, methods by call.

    It equals only itself, whatever its class says: an object that claims to equal everything must not pass for the answer.
    """

    def __init__(self, peer: HostPeer, lease: Lease, class_name: str, text: str) -> None:
        self.__dict__.update(_peer=peer, _lease=lease, _class_name=class_name, _text=text)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._peer.call(self, args, kwargs, method=method)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._peer.attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._call("__setattr__", name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object itself."""
        return self._call("__call__", *args, **kwargs)

    def __bool__(self) -> bool:
        return self._call("__bool__") is True

    def __len__(self) -> int:
        return self._call("__len__")

    def __getitem__(self, index: Any) -> Any:
        return self._call("__getitem__", index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._call("__setitem__", index, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._call("__iter__"))

    def __contains__(self, item: Any) -> bool:
        return self._call("__contains__", item) is True

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteObject:
        """A copy, made where the object is."""
        return self._call("__deepcopy__")

    def __repr__(self) -> str:
        return f"<{self._class_name} object>"


class Opaque(RemoteObject):
    """An object of a class that is not the student's own and has no value here: a deque, a fraction, an optimiser."""

    def __repr__(self) -> str:
        return f"<{self._class_name}: {self._text}>"


class RemoteIterator:
    """A generator of the student's. Apart from `RemoteObject`, since `list()` asks that for its length."""

    def __init__(self, peer: HostPeer, lease: Lease) -> None:
        self._peer, self._lease = peer, lease

    def __iter__(self) -> RemoteIterator:
        return self

    def __next__(self) -> Any:
        try:
            return self._peer.call(self, (), {}, method="__next__")
        except StudentError as error:
            if isinstance(error, StopIteration):
                raise StopIteration from None
            raise
