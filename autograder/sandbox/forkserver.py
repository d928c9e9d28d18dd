"""The fork server: a process that has everything imported and forks a locked-down worker when asked.

It runs no student code. In the bubblewrap tier it already stands inside a file system that holds the interpreter, its
libraries and this package, and nothing else; each worker then gets namespaces of its own.

It is asked over control sockets (SOCK_SEQPACKET, one JSON message a packet):

    {"connect": true} + socket                 serve one more control socket
    {"spawn": limits} + socket + output file   fork a worker → {"worker": number} + pidfd
                                               and later, when it has ended, {"ended": number, "status": …, "peak_mb": …}

A worker belongs to the control socket over which it was asked for, and is killed when that closes.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from dataclasses import dataclass
from typing import Any

MESSAGE = 1 << 16
FIRST_UID, UIDS = 100_000, 50_000  # where root has workers, each with a user of its own


@dataclass(frozen=True)
class Child:
    """One worker."""

    number: int
    pid: int
    owner: socket.socket
    scratch: str | None  # a folder to remove afterwards


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

    def run(self) -> None:
        """Serve."""
        while self.controls:
            for descriptor, _ in self.poll.poll():
                if descriptor in self.children:
                    self.bury(descriptor)
                elif descriptor in self.controls:
                    self.answer(self.controls[descriptor])

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
        else:
            self.spawn(control, request["spawn"], *descriptors)

    def disconnect(self, control: socket.socket) -> None:
        """Forget a control socket, and end what was started over it."""
        for descriptor, child in self.children.items():
            if child.owner is control:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        self.poll.unregister(control)
        del self.controls[control.fileno()]
        control.close()

    def spawn(self, control: socket.socket, limits: dict[str, int], connection: int, output: int) -> None:
        """Fork a worker."""
        from autograder.sandbox import jail

        self.count += 1
        scratch = None if self.namespaces else tempfile.mkdtemp(prefix="worker-")
        pid = jail.fork_into_pid_namespace(self.own_namespace) if self.namespaces else os.fork()
        if pid == 0:
            self.become_worker(limits, connection, output, scratch or "/tmp")
        handle = os.pidfd_open(pid)
        self.children[handle] = Child(self.count, pid, control, scratch)
        self.poll.register(handle, select.POLLIN)
        socket.send_fds(control, [json.dumps({"worker": self.count}).encode()], [handle])
        os.close(connection)
        os.close(output)

    def bury(self, descriptor: int) -> None:
        """Reap a worker that has ended, and tell its owner how."""
        child = self.children.pop(descriptor)
        self.poll.unregister(descriptor)
        os.close(descriptor)
        _, status, usage = os.wait4(child.pid, 0)
        if child.scratch:
            shutil.rmtree(child.scratch, ignore_errors=True)
        message = {"ended": child.number, "status": status, "peak_mb": usage.ru_maxrss >> 10}
        try:
            child.owner.send(json.dumps(message).encode())
        except OSError:
            return  # the owner is gone; nobody wants to know

    def become_worker(self, limits: dict[str, int], connection: int, output: int, scratch: str) -> None:
        """The child's side of the fork: put the locks on, then serve. Never returns."""
        try:
            self._become_worker(limits, connection, output, scratch)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)

    def _become_worker(self, limits: dict[str, int], connection: int, output: int, scratch: str) -> None:
        from autograder.sandbox import jail
        from autograder.sandbox.wire import MEBIBYTE, Channel
        from autograder.sandbox.worker import WorkerPeer

        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(connection, 3)
        os.closerange(4, 4096)
        os.setsid()
        if self.config["locked"]:
            jail.lock(
                namespaces=self.namespaces,
                uid=FIRST_UID + self.count % UIDS if self.config["own_uids"] else None,
                scratch=scratch,
                readable=self.config["readable"],
                program=self.program,
                limits=limits,
            )
        os.environ.update(HOME=scratch, TMPDIR=scratch)
        tempfile.tempdir = None
        os.chdir(scratch)
        sys.stdin = os.fdopen(0, closefd=False)
        random.seed(0)
        channel = Channel(socket.socket(fileno=3), max_payload=limits["message_mb"] * MEBIBYTE, keep_strides=True)
        WorkerPeer(channel).loop()
        os._exit(0)


def main(descriptor: int) -> None:
    """Read the configuration from the control socket, import everything, say so, serve."""
    control = socket.socket(fileno=descriptor)
    config = json.loads(control.recv(1 << 20))
    from autograder.sandbox import warmup

    warmup.import_torch()
    failed = warmup.import_modules(["autograder.sandbox.jail", "autograder.sandbox.worker", *config["preload"]])
    threads = warmup.settle()
    control.send(json.dumps({"ready": True, "failed": failed, "threads": threads}).encode())
    ForkServer(control, config).run()
