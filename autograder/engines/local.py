"""The local engine: all cores of this machine, one warm parent, one runner for each share of a submission."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from multiprocessing import Pipe
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from autograder import SINGLE_THREADED
from autograder.course import Assignment
from autograder.engines.job import Job
from autograder.engines.pending import Pending
from autograder.errors import CourseError
from autograder.submission import Submission
from autograder.verdict import Verdict, blank_verdict

if TYPE_CHECKING:
    from autograder.sandbox import Tier


AHEAD = 2  # jobs that lie ready for each runner, so that none waits while the caller is at work on a verdict
ENDED = "the grading process has ended; what has a verdict is kept, run the command again"


class LocalEngine:
    """Computes verdicts in parallel.

    Args:
        assignment: what is graded.
        suite: digest of the suite, for the verdicts.
        workers: runners at once; None for one a core.
        device: where student code runs.
        tier: how it is isolated; None for the best that works here.

    Raises:
        CourseError: the suite cannot be imported, or submissions cannot be isolated here.
    """

    def __init__(
        self,
        assignment: Assignment,
        suite: str,
        *,
        workers: int | None = None,
        device: str = "cpu",
        tier: Tier | None = None,
    ) -> None:
        self._assignment, self._suite, self._device = assignment, suite, device
        self.workers = workers or len(os.sched_getaffinity(0))
        self._connection, theirs = Pipe()
        run = f"from autograder.engines.warm import main; main({theirs.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", run],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **SINGLE_THREADED, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": "0"},
        )
        theirs.close()
        self._send(
            {
                "root": str(assignment.course.root),
                "slug": assignment.slug,
                "tier": tier,
                "device": device,
                "suite": suite,
                "workers": self.workers,
            }
        )
        # A thread takes every answer at once: two ends that both waited for the other to read would wait for ever.
        self._answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        hello = self._receive()
        if "error" in hello:
            self.close()
            raise CourseError(hello["error"])
        self.isolation: str = hello["isolation"]

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._connection.send_bytes(json.dumps(message).encode())
        except OSError:
            raise CourseError(ENDED) from None

    def _listen(self) -> None:
        try:
            while True:
                self._answers.put(json.loads(self._connection.recv_bytes()))
        except (EOFError, OSError):
            self._answers.put(None)

    def _receive(self) -> dict[str, Any]:
        answer = self._answers.get()
        if answer is None:
            self._answers.put(None)  # for whoever asks again
            raise CourseError(ENDED)
        return answer

    def verdicts(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Verdict]]:
        """Verdicts in order of completion. The shares of a submission are graded one after the other, or at once."""
        names = [exercise.name for exercise in self._assignment.exercises]
        waiting = self._shares(jobs, names)
        running: dict[int, tuple[Pending, int]] = {}
        number = 0
        while True:
            while len(running) < AHEAD * self.workers and (following := next(waiting, None)) is not None:
                pending, index, share = following
                number += 1
                running[number] = pending, index
                self._send({"id": number, **share.pack()})
            if not running:
                return
            answer = self._receive()
            pending, index = running.pop(answer["id"])
            pending.verdicts[index] = self._verdict(pending.job.submission, answer)
            if (verdict := pending.whole(names)) is not None:
                yield pending.job, verdict

    @staticmethod
    def _shares(jobs: Iterable[Job], names: list[str]) -> Iterator[tuple[Pending, int, Job]]:
        for job in jobs:
            pending = Pending.of(job, names)
            for index, share in pending.missing():
                yield pending, index, share

    def _verdict(self, submission: Submission, answer: dict[str, Any]) -> Verdict:
        if "verdict" in answer:
            return Verdict.from_json(answer["verdict"])
        return blank_verdict(
            self._assignment,
            submission,
            isolation=self.isolation,
            device=self._device,
            suite=self._suite,
            failure=answer["failure"],
        )

    def close(self) -> None:
        """End the warm parent and everything under it."""
        with socket.socket(fileno=os.dup(self._connection.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)  # to close it would not do, since the listener is at it
        self._listener.join()
        self._connection.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
