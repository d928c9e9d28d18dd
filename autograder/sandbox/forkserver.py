"""The fork server: a process that has everything imported and forks a locked-down worker when asked.

It runs no student code. In the bubblewrap tier it already stands inside a file system that holds the interpreter, its
libraries and this package, and nothing else; each worker then gets namespaces of its own.

It is asked over control sockets (SOCK_SEQPACKET, one JSON message a packet):

    {"connect": true} + socket                 serve one more control socket
    {"spawn": limits} + socket + output file   fork a worker → {"worker": number} + pidfd, or {"failed": why}
                                               and later, when it has ended, {"ended": number, "status": …, …}

A worker belongs to the control socket over which it was asked for, and is killed when that closes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from typing import Any

from autograder.sandbox import allowlist, scratch

MESSAGE = 1 << 16
CONFIGURATION = 1 << 20
FIRST_UID, UIDS = (
    2_000_000_000,
    50_000,
)  # where root has workers, each with a user of its own; nobody else's are up there
WATCH_SECONDS = 0.25
MAX_THREADS = 256
FAILED = 70  # exit status of a worker whose own machinery failed


@dataclass
class Child:
    """One worker."""

    number: int
    pid: int
    owner: socket.socket
    limits: dict[str, int]
    scratch: str | None  # a folder to watch, and to remove afterwards
    reason: str | None = None  # why it was killed from here


class ForkServer:
    """Serves until its last control socket closes."""

    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.config = config
        self.program = bytes.fromhex(config["program"])
        self.namespaces: bool = config["namespaces"]
        self.own_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self.controls = {control.fileno(): control}
        self.children: dict[int, Child] = {}
        self.count = 0
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        self.watched_at = 0.0

    def run(self) -> None:
        """Serve."""
        while self.controls:
            watching = any(child.scratch for child in self.children.values())
            for descriptor, _ in self.poll.poll(WATCH_SECONDS * 1000 if watching else None):
                if descriptor in self.children:
                    self.bury(descriptor)
                elif descriptor in self.controls:
                    self.answer(self.controls[descriptor])
            if watching and time.monotonic() > self.watched_at + WATCH_SECONDS:
                self.watch()

    def answer(self, control: socket.socket) -> None:
        """One message of a control socket."""
        try:
            message, descriptors, _, _ = socket.recv_fds(control, MESSAGE, 2)
        except OSError:
            message, descriptors = b"", []
        if not message:
            self.disconnect(control)
            return
        request = json.loads(message)
        if "connect" in request:
            new = socket.socket(fileno=descriptors[0])
            self.controls[new.fileno()] = new
            self.poll.register(new, select.POLLIN)
            return
        try:
            self.spawn(control, request["spawn"], *descriptors)
        except OSError as error:
            tell(control, {"failed": f"a worker could not be started: {error.strerror}"})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def disconnect(self, control: socket.socket) -> None:
        """Forget a control socket, and end what was started over it."""
        for descriptor, child in self.children.items():
            if child.owner is control:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        self.poll.unregister(control)
        del self.controls[control.fileno()]
        control.close()

    def spawn(self, control: socket.socket, limits: dict[str, int], connection: int, output: int) -> None:
        """Fork a worker.

        Raises:
            OSError: the system has no room for one more.
        """
        from autograder.sandbox import jail

        self.count += 1
        folder = None if self.namespaces else tempfile.mkdtemp(prefix="worker-")
        pid = jail.fork_into_pid_namespace(self.own_namespace) if self.namespaces else os.fork()
        if pid == 0:
            self.become_worker(limits, connection, output, folder or allowlist.SCRATCH)
        handle = os.pidfd_open(pid)
        self.children[handle] = Child(self.count, pid, control, limits, folder)
        self.poll.register(handle, select.POLLIN)
        tell(control, {"worker": self.count}, [handle])

    def bury(self, descriptor: int) -> None:
        """Reap a worker that has ended, and tell its owner how."""
        child = self.children.pop(descriptor)
        self.poll.unregister(descriptor)
        os.close(descriptor)
        _, status, usage = os.wait4(child.pid, 0)
        if child.scratch:
            with contextlib.suppress(OSError):  # what is left goes with the stage
                scratch.remove(child.scratch)
        seconds = usage.ru_utime + usage.ru_stime
        tell(child.owner, {"ended": child.number, "status": status, "cpu_seconds": seconds, "reason": child.reason})

    def watch(self) -> None:
        """Without namespaces no kernel limit covers all files and threads of one worker: end those that have too many."""
        for descriptor, child in self.children.items():
            if child.scratch is None or child.reason:
                continue
            if scratch.overfull(child.scratch, child.limits["disk_mb"] << 20):
                child.reason = f"it wrote too many or too large files ({child.limits['disk_mb']} MB are allowed)"
            elif threads_of(child.pid) > MAX_THREADS:
                child.reason = f"it started too many threads ({MAX_THREADS} are allowed)"
            if child.reason:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        self.watched_at = time.monotonic()

    def become_worker(self, limits: dict[str, int], connection: int, output: int, folder: str) -> None:
        """The child's side of the fork: put the locks on, then serve. Never returns."""
        try:
            self._become_worker(limits, connection, output, folder)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(FAILED)

    def _become_worker(self, limits: dict[str, int], connection: int, output: int, folder: str) -> None:
        from autograder.sandbox import jail
        from autograder.sandbox.wire import MEBIBYTE, Channel
        from autograder.sandbox.worker import WorkerPeer

        # The connection and the output file are all that is left open: no control socket, no namespace, no other worker.
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(connection, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        os.setsid()
        jail.die_with_parent()
        if self.config["locked"]:
            jail.lock(
                namespaces=self.namespaces,
                uid=FIRST_UID + self.count % UIDS if self.config["own_uids"] else None,
                scratch=folder,
                readable=self.config["readable"],
                program=self.program,
                limits=limits,
                threads=MAX_THREADS if self.namespaces else None,
            )
        os.environ.update(HOME=folder, TMPDIR=folder)
        tempfile.tempdir = None
        os.chdir(folder)
        sys.stdin = os.fdopen(0, closefd=False)
        channel = Channel(socket.socket(fileno=3), max_payload=limits["message_mb"] * MEBIBYTE, keep_strides=True)
        WorkerPeer(channel).loop()
        os._exit(0)


def tell(control: socket.socket, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
    """Send a message, if its reader is still there. That it is not costs its own workers, never the fork server."""
    with contextlib.suppress(OSError):
        socket.send_fds(control, [json.dumps(message).encode()], descriptors or [])


def threads_of(pid: int) -> int:
    """How many threads a process has."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Threads:"))
    except (OSError, StopIteration):
        return 0  # it has just ended


def main(descriptor: int) -> None:
    """Read the configuration from the control socket, import everything, say so, serve. Never returns."""
    try:
        control = socket.socket(fileno=descriptor)
        config = json.loads(control.recv(CONFIGURATION))
        from autograder.sandbox import warmup

        warmup.import_torch()
        missing = warmup.import_modules(["autograder.sandbox.jail", "autograder.sandbox.worker", *config["preload"]])
        threads = warmup.settle()
        tell(control, {"ready": True, "missing": missing, "threads": threads})
        ForkServer(control, config).run()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # some libraries complain at length about being taken down
