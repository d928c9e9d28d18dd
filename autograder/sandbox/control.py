"""The trusted side's hold on workers: ask the fork server for one, run cells and calls in it, end it, learn how it ended."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from autograder.sandbox.errors import ProtocolError, SandboxError
from autograder.sandbox.host import HostPeer, Name
from autograder.sandbox.wire import MEBIBYTE, Channel, Timeout, clean

START_SECONDS = 60.0  # for a worker to stand; usually hundredths of one
OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "allocate memory")


class ForkServerEnded(SandboxError):
    """The fork server is gone, and with it every worker."""


@dataclass(frozen=True)
class WorkerLimits:
    """What one worker may use."""

    memory_mb: int = 4096
    disk_mb: int = 64
    output_mb: int = 8
    message_mb: int = 256
    cpu_seconds: int = 300


class Control:
    """One control socket to the fork server."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._ended: dict[int, dict[str, Any]] = {}
        self._abandoned: set[int] = set()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one message, with descriptors.

        Raises:
            SandboxError: the fork server is gone.
        """
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode()], list(descriptors))
        except OSError as error:
            raise ForkServerEnded(f"the fork server has ended: {error.strerror}") from None

    def wait(self, key: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """The next message that holds `key`; word of ended workers is kept meanwhile.

        Raises:
            SandboxError: the fork server is gone, does not answer, or could not do what it was asked.
        """
        self._socket.settimeout(seconds)
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, MEBIBYTE, 1)
            except TimeoutError:
                raise SandboxError("the fork server does not answer") from None
            except OSError as error:
                raise ForkServerEnded(f"the fork server has ended: {error.strerror}") from None
            if not data:
                raise ForkServerEnded("the fork server has ended")
            message: dict[str, Any] = json.loads(data) | {"descriptors": descriptors}
            if "failed" in message:
                raise SandboxError(message["failed"])
            if "ended" in message:
                if message["ended"] in self._abandoned:
                    self._abandoned.discard(message["ended"])
                    continue
                self._ended[message["ended"]] = message
            if key in message:
                return message

    def spawn(self, limits: WorkerLimits, seconds_per_call: float) -> Worker:
        """A fresh worker, with all its locks on.

        Raises:
            SandboxError: it could not be made; no student is to blame.
        """
        ours, theirs = socket.socketpair()
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        try:
            with theirs:
                self.send({"spawn": asdict(limits)}, [theirs.fileno(), output])
            message = self.wait("worker")
        except SandboxError:
            ours.close()
            os.close(output)
            raise
        worker = Worker(self, message["worker"], message["descriptors"][0], ours, output, limits, seconds_per_call)
        worker.await_ready()
        return worker

    def end_of(self, number: int) -> dict[str, Any]:
        """How a worker ended; waits for it."""
        while number not in self._ended:
            self.wait("ended")
        return self._ended.pop(number)

    def abandon(self, number: int) -> None:
        """Nobody will ask how that worker ended."""
        if self._ended.pop(number, None) is None:
            self._abandoned.add(number)

    def close(self) -> None:
        """Close the socket; the fork server then ends the workers that were asked for over it."""
        self._socket.close()


class Worker:
    """A locked-down process that holds one submission."""

    def __init__(
        self,
        control: Control,
        number: int,
        pidfd: int,
        connection: socket.socket,
        output: int,
        limits: WorkerLimits,
        seconds_per_call: float,
    ) -> None:
        self._control, self._number, self._pidfd, self._output = control, number, pidfd, output
        self._connection, self._limits = connection, limits
        self._closed = False
        self.peer = HostPeer(
            Channel(connection, max_payload=limits.message_mb * MEBIBYTE), seconds_per_call, self._died
        )

    def await_ready(self) -> None:
        """Wait for the worker's word that every lock is on. No code of a student's has run before that.

        Raises:
            SandboxError: the locks could not be put on.
        """
        self.peer.channel.deadline = time.monotonic() + START_SECONDS
        try:
            header = self.peer.channel.receive().header
        except (ProtocolError, Timeout):
            header = {}
        if header.get("ready") is not True:
            lines = self.output().strip().splitlines()
            self.end()
            raise SandboxError(
                f"a worker could not be locked down: {lines[-1] if lines else 'it ended without a word'}"
            )

    def run(self, source: str, name: str, *, only_definitions: bool = False, seconds: float | None = None) -> list[str]:
        """Run one cell; the names of the callables that the submission then holds.

        Raises:
            StudentError: the cell raised; what it defined before that stands.
            WorkerDied: the cell ended the worker, or ran over its time.
        """
        limit, self.peer.seconds_per_call = self.peer.seconds_per_call, seconds or self.peer.seconds_per_call
        try:
            reply = self.peer.request(
                {"op": "run", "source": source, "name": name, "definitions_only": only_definitions}
            )
        finally:
            self.peer.seconds_per_call = limit
        names = reply.header.get("value")
        return [clean(name, 80) for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def put_file(self, name: str, content: bytes) -> None:
        """Write a file into the worker's current folder.

        Raises:
            StudentError: there is no space for it.
            WorkerDied: the worker ended.
        """
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)
        self.peer.request({"op": "file", "name": name}, [data])

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function, or make an instance of a class, that the submission defines."""
        return self.peer.call(Name(name), args, kwargs)

    def output(self, length: int = 65536) -> str:
        """The last bytes that the worker printed, cleaned. May hold whatever its code saw."""
        size = os.fstat(self._output).st_size
        return clean(os.pread(self._output, length, max(0, size - length)).decode("utf-8", "replace"), length)

    def end(self) -> None:
        """Kill the worker, if it still lives, and free what it used. Does not wait for it to be gone."""
        if self._closed:
            return
        self._closed = True
        if self.peer.gone is None:
            self._kill()
            self._control.abandon(self._number)
            self.peer.abandon("it was ended")
        self._connection.close()
        os.close(self._pidfd)
        os.close(self._output)

    def _kill(self) -> bool:
        """Whether it was alive until now."""
        alive = not select.select([self._pidfd], [], [], 0)[0]
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return alive

    def _died(self, reason: str) -> str:
        """The conversation is over, for that reason as it looks from here: end the worker, and find out what happened."""
        # A worker that closed its connection is about to end by itself: how it ended says more than that we killed it.
        if reason.startswith("the connection"):
            select.select([self._pidfd], [], [], 1.0)
        alive = self._kill()
        message = self._control.end_of(self._number)
        return message["reason"] or (reason if alive else self._how(message["status"], message["cpu_seconds"]))

    def _how(self, status: int, cpu_seconds: float) -> str:
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        tail = self.output(4096)
        if (number or code) and any(word in tail for word in OUT_OF_MEMORY):
            return f"it ran out of memory ({self._limits.memory_mb} MB are allowed)"
        if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_seconds >= self._limits.cpu_seconds):
            return f"it used up its processor time ({self._limits.cpu_seconds} seconds are allowed)"
        if number == signal.SIGKILL:
            return "it was killed by the system, most likely because the machine ran out of memory"
        if number is not None:
            return f"it crashed: {signal.strsignal(number) or number} (signal {number})"
        return f"it ended the Python process (exit status {code})"

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
