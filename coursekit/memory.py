"""How much memory the tensors of a computation take, moment by moment, on any device."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Ledger(TorchDispatchMode):
    """Counts the bytes of the tensors that are made while it is on, and of those that are let go.

    `with Ledger() as ledger: …` and then `ledger.history`, the bytes alive after each operation, and `ledger.peak`. What was
    there before does not count. Tensors that share memory count once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: list[int] = []
        self._alive: dict[int, int] = {}

    @property
    def peak(self) -> int:
        """The most bytes that were alive at one time."""
        return max(self.history, default=0)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operation, and take down what it made."""
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs or {}))}
        result = function(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage.data_ptr() in given or id(storage) in self._alive:  # a view, or a change in place
                continue
            self._alive[id(storage)] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, id(storage), None)
        self.history.append(sum(self._alive.values()))
        return result


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in _tensors(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
