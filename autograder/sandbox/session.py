"""The sandbox: start a fork server in the best tier that works here, and prove that its locks hold."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from autograder.sandbox.allowlist import (
    COURSE,
    SCRATCH,
    SYSTEM,
    bubblewrap,
    environment,
    library_paths,
    site_packages,
    stage_packages,
    without_private,
)
from autograder.sandbox.control import Control, ForkServerEnded, WorkerLimits
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.jail import landlock_version
from autograder.sandbox.probe import probe
from autograder.sandbox.syscalls import compile_filter
from autograder.sandbox.wire import clean

Tier = Literal["bubblewrap", "landlock", "none"]
TIERS: tuple[Tier, ...] = ("bubblewrap", "landlock", "none")
START_SECONDS = 180.0


def unavailable(tier: Tier) -> str | None:
    """Why a tier cannot work on this machine, as far as can be told at once; None if it may."""
    if tier == "landlock" and landlock_version() < 1:
        return "the kernel has no Landlock; it needs Linux 5.13 or newer, with landlock among its security modules"
    if tier == "bubblewrap":
        if shutil.which("bwrap") is None:
            return "bubblewrap is not installed; run: sudo apt-get install bubblewrap"
        python = os.path.realpath(sys.executable)
        command = bubblewrap([*library_paths(), python], os.path.dirname(__file__), root=os.geteuid() == 0)
        tried = subprocess.run([*command, python, "-S", "-c", ""], capture_output=True, text=True)
        if tried.returncode:
            return clean(tried.stderr.strip().splitlines()[-1:] or "bubblewrap failed", 300)
    return None


class Sandbox:
    """A running fork server.

    Args:
        tier: how to isolate; the best that works here if None. "none" only on request: it isolates nothing.
        packages: importable packages (folders) that workers may use beside site-packages, by name.
        data: folders that workers may read.
        preload: modules to import before any worker is forked.
        meanwhile: something to do here while the fork server imports.

    Raises:
        SandboxError: the tier (or every real one) does not work on this machine; says why.
    """

    control: Control
    tier: Tier
    not_preloaded: list[str]
    threads: int
    reasons: dict[str, str]  # why better tiers than `tier` do not work here

    def __init__(
        self,
        tier: Tier | None = None,
        *,
        packages: Sequence[Path] = (),
        data: Sequence[Path] = (),
        preload: Sequence[str] = (),
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        paths = [str(path.resolve()) for path in data]
        self._stage = tempfile.TemporaryDirectory(prefix="sandbox-")
        self.reasons = {}
        try:
            os.chmod(self._stage.name, 0o755)
            stage_packages(Path(self._stage.name, "packages"), packages)
            # Apart from the packages, which every worker may read: what one worker writes is not for the next.
            os.mkdir(Path(self._stage.name, "scratch"))
            for candidate in [tier] if tier else TIERS[:2]:
                try:
                    self._start(candidate, paths, list(preload), meanwhile)
                except SandboxError as error:
                    self.reasons[candidate] = str(error)
                else:
                    return
            reasons = "; ".join(f"{tier}: {reason}" for tier, reason in self.reasons.items())
            raise SandboxError(f"submissions cannot be isolated on this machine ({reasons})")
        except BaseException:
            self._stage.cleanup()
            raise

    def _start(self, tier: Tier, data: list[str], preload: list[str], meanwhile: Callable[[], object]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with tempfile.TemporaryFile() as errors:
            with theirs:
                self._process = self._launch(tier, data, theirs, errors)
            self.control = Control(ours)
            try:
                self.control.send(self._configuration(tier, data, preload))
                meanwhile()
                hello = self.control.wait("ready", START_SECONDS)
                if tier != "none":
                    self._prove()
            except ForkServerEnded as error:
                self._end()
                errors.seek(0)
                lines = errors.read().decode("utf-8", "replace").strip().splitlines()
                raise SandboxError(clean(lines[-1] if lines else error, 300)) from None
            except BaseException:
                self._end()
                raise
        self.tier, self.not_preloaded, self.threads = tier, hello["missing"], hello["threads"]

    def _launch(
        self, tier: Tier, data: list[str], control: socket.socket, errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        packages, scratch = os.path.join(self._stage.name, "packages"), os.path.join(self._stage.name, "scratch")
        python = os.path.realpath(sys.executable)
        paths = [COURSE if tier == "bubblewrap" else packages, *site_packages()]
        run = f"from autograder.sandbox.forkserver import main; main({control.fileno()})"
        command = [python, "-S", "-s", "-P", "-c", f"import sys; sys.path[:0] = {paths!r}; {run}"]
        if (reason := unavailable(tier)) is not None:
            raise SandboxError(reason)
        if tier == "bubblewrap":
            command = [*bubblewrap([*library_paths(), *data, python], packages, root=os.geteuid() == 0), *command]
        return subprocess.Popen(
            command,
            pass_fds=[control.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env=environment(SCRATCH if tier == "bubblewrap" else scratch),
            start_new_session=True,  # Ctrl-C is for the grader, which then ends its workers in order
        )

    def _configuration(self, tier: Tier, data: list[str], preload: list[str]) -> dict[str, Any]:
        packages = COURSE if tier == "bubblewrap" else os.path.join(self._stage.name, "packages")
        namespaces, locked = tier == "bubblewrap", tier != "none"
        return {
            "readable": [*SYSTEM, *without_private(library_paths()), packages, *data],
            "program": compile_filter(namespaces=namespaces).hex() if locked else "",
            "namespaces": namespaces,
            "own_uids": namespaces and os.geteuid() == 0,
            "locked": locked,
            "preload": preload,
        }

    def _prove(self) -> None:
        """A worker tries what it must not be able to do.

        Raises:
            SandboxError: it could.
        """
        with self.control.spawn(WorkerLimits(), START_SECONDS) as worker:
            succeeded = probe(worker)
        if succeeded:
            raise SandboxError(f"the locks do not hold: a worker could {', '.join(succeeded)}")

    def connect(self) -> Control:
        """A control socket of its own, for a forked runner: what is started over it ends with it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.control.send({"connect": True}, [theirs.fileno()])
        return Control(ours)

    def close(self) -> None:
        """End the fork server, and with it every worker."""
        self._end()
        self._stage.cleanup()

    def _end(self) -> None:
        self.control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
