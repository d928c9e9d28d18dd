"""The student, as hidden properties see one: an object whose attributes are the submission's names.

Behind it stands a worker that has run the submission's cells. A cell that raises does not stop the next. A cell that ends or
hangs the worker is run again in a fresh one with its definitions only, so that a forgotten training loop costs nobody the
exercises; if that ends the worker, too, it is left out.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any, Literal

from autograder.attachments import read_attachment
from autograder.course import Assignment
from autograder.exercise import HANDS_ON, Starter
from autograder.sandbox import Control, Observer, StudentError, Worker, WorkerDied, WorkerLimits
from autograder.submission import Cell, Submission

How = Literal["all", "definitions", "nothing"]


@dataclass(frozen=True)
class CellFault:
    """What went wrong in one cell."""

    cell: str
    exercise: str | None
    text: str


class Session:
    """A submission in a worker, renewed when it dies."""

    def __init__(self, control: Control, submission: Submission, assignment: Assignment) -> None:
        self._control = control
        self._limits = limits = assignment.limits
        self._stubs = stubs(assignment.starter)
        self._cells = submission.cells
        self._files = [(item.name, read_attachment(submission.path, item)) for item in submission.attachments]
        self._how: list[How] = ["definitions" if cell.definitions_only else "all" for cell in submission.cells]
        self._worker: Worker | None = None
        self._end = time.monotonic() + limits.seconds_per_submission
        self.observer: Observer | None = None
        self.names: frozenset[str] = frozenset()
        self.faults: dict[int, CellFault] = {}

    @property
    def worker(self) -> Worker:
        """A living worker with the submission loaded.

        Raises:
            WorkerDied: the submission's time is over.
        """
        self.load()
        assert self._worker is not None
        return self._worker

    def load(self) -> None:
        """Have a living worker with the submission loaded; `names` and `faults` are known afterwards.

        Raises:
            WorkerDied: the submission's time is over.
        """
        while self._worker is None:
            if time.monotonic() > self._end:
                raise WorkerDied("the time for the whole submission is over", timeout=True)
            self._worker = self._try_to_load()

    def _try_to_load(self) -> Worker | None:
        limits = self._limits
        worker = self._control.spawn(
            WorkerLimits(
                memory_mb=limits.memory_mb,
                disk_mb=limits.disk_mb,
                output_mb=limits.output_mb,
                message_mb=limits.message_mb,
                cpu_seconds=int(limits.seconds_per_submission) + 1,
            ),
            limits.seconds_per_call,
        )
        worker.peer.deadline = self._end
        for name, content in self._files:
            worker.put_file(name, content)
        worker.run(self._stubs, "starter")
        for index, (cell, how) in enumerate(zip(self._cells, self._how, strict=True)):
            if how == "nothing":
                continue
            try:
                only_definitions = how == "definitions"
                seconds = limits.seconds_per_cell
                worker.run(cell.source, cell_name(cell), only_definitions=only_definitions, seconds=seconds)
            except StudentError as error:
                self._note(index, cell, str(error))
            except WorkerDied as death:
                worker.end()
                self._note(index, cell, death.reason)
                self._how[index] = "nothing" if how == "definitions" else "definitions"
                return None
        try:
            self.names = frozenset(worker.run(FORGET_STUBS, "starter"))
        except StudentError:
            self.names = frozenset()  # it broke what runs cells: nothing that it defines can be told apart
        except WorkerDied:
            worker.end()
            raise
        worker.peer.observer = self.observer
        return worker

    def redefine(self, source: str) -> None:
        """Run one more cell, in which the starter's stubs stand for what is not defined, as they do in the first ones.

        Raises:
            StudentError: it raised.
            WorkerDied: it ended the worker, or the submission's time is over.
        """
        self.worker.run(self._stubs, "starter")
        self.worker.run(source, "cell 1")
        self.names = frozenset(self.worker.run(FORGET_STUBS, "starter"))

    def observe(self, observer: Observer | None) -> None:
        """Have somebody told what the submission's code answers, or nobody any more."""
        self.observer = observer
        if self._worker is not None:
            self._worker.peer.observer = observer

    def _note(self, index: int, cell: Cell, text: str) -> None:
        self.faults.setdefault(index, CellFault(cell_name(cell), cell.exercise, text))

    def begin(self, seconds: float) -> None:
        """Start an exercise: a living worker, and a deadline for all calls until the next one."""
        self.worker.peer.deadline = min(self._end, time.monotonic() + seconds)

    def seed(self, seed: int) -> None:
        """Seed the worker's generators with its next request."""
        if self._worker is not None:
            self._worker.peer.seed = seed

    def bury(self) -> None:
        """Put a dead worker away; the next use gets a fresh one."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call what the submission defines by that name."""
        return self.worker.call(name, *args, **kwargs)

    def close(self) -> None:
        """End the worker."""
        self.bury()


FORGET_STUBS = """
for name, stub in __stubs__.items():
    if globals().get(name) is stub:
        del globals()[name]
"""


def stubs(starter: Starter) -> str:
    """The starter's imports and stubs, which stand in a worker before the submission's cells run.

    A stub is the default of an argument in later exercises, which are passed something right when they are graded. So a
    student whose own definition failed, or who deleted it, loses that exercise and no other. What is still a stub after the
    last cell is taken away again (`FORGET_STUBS`): it counts as not defined.
    """
    sources = [
        cell.source
        for cell in starter.notebook.cells
        if cell.cell_type == "code" and HANDS_ON not in cell.metadata.get("tags", ())
    ]
    names = [exercise.name for exercise in starter.exercises]
    return "\n\n".join([*sources, f"__stubs__ = {{name: globals()[name] for name in {names!r}}}"])


def cell_name(cell: Cell) -> str:
    """What tracebacks call a cell; the worker finds the student's own lines by it."""
    return f"cell {cell.number}"


class Student:
    """What the fixture `student` gives a hidden property."""

    def __init__(self, session: Session) -> None:
        self.__dict__["_session"] = session

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return functools.partial(self._session.call, name)
