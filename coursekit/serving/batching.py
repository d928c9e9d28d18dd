"""One call of a model for several requests that wait at the same time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Exception):
    """So many requests wait already that one more would only wait in vain."""


class Batcher(Generic[Item, Result]):
    """Collects items that are waited for at the same time, and has them answered together.

    `await batcher(item)` gives that item's result. A batch is begun when no other one is running, and either `max_batch` items
    wait or the first of them has waited for `max_wait` seconds; it takes the oldest. The function runs in a thread, so that the
    app goes on answering other requests meanwhile.

    Args:
        run: called with a list of items, oldest first; returns their results in the same order. What it raises, everybody in
            the batch gets; the next batch begins afresh.
        max_batch: the most items in one call.
        max_wait: seconds that an item waits for others, at most, while nothing is running.
        max_waiting: the most items that may wait; one more raises `Overloaded`.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        max_batch: int = 8,
        max_wait: float = 0.02,
        max_waiting: int = 64,
    ) -> None:
        self._run = run
        self._max_batch, self._max_wait, self._max_waiting = max_batch, max_wait, max_waiting
        self._waiting: deque[tuple[float, Item, asyncio.Future[Result]]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._full: asyncio.Event | None = None  # set when there are enough for a batch

    async def __call__(self, item: Item) -> Result:
        """Wait for the result of one item.

        Raises:
            Overloaded: too many wait.
        """
        loop = asyncio.get_running_loop()
        if self._worker is None or self._worker.done() or self._worker.get_loop() is not loop:
            self._waiting.clear()  # left over from a loop that was ended: nobody waits for them any more
            self._full = asyncio.Event()
            self._worker = loop.create_task(self._work(self._full))
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded(f"{self._max_waiting} requests are waiting")
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((loop.time(), item, future))
        assert self._full is not None
        if len(self._waiting) >= self._max_batch:
            self._full.set()
        return await future

    async def _work(self, full: asyncio.Event) -> None:
        """Make batches until nobody waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            arrived = self._waiting[0][0]
            if len(self._waiting) < self._max_batch:
                full.clear()
                timer = loop.call_at(arrived + self._max_wait, full.set)
                await full.wait()
                timer.cancel()
            batch = [self._waiting.popleft() for _ in range(min(self._max_batch, len(self._waiting)))]
            await self._answer([(item, future) for _, item, future in batch if not future.done()])

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        results: Sequence[Result] = ()
        fault: Exception | None = None
        try:
            results = await asyncio.to_thread(self._run, items) if items else ()
            if len(results) != len(items):
                fault = ValueError(f"{len(items)} items were asked about, but {len(results)} results came")
        except Exception as error:
            fault = error
        for number, (_, future) in enumerate(batch):
            if future.done():  # whoever asked has gone
                continue
            if fault is None:
                future.set_result(results[number])
            else:
                future.set_exception(fault)
