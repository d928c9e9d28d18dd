"""The trusted side: start a fork server in the best tier there is, ask it for workers, end them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import site
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from autograder import SINGLE_THREADED
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.host import HostPeer, Name
from autograder.sandbox.syscalls import compile_filter
from autograder.sandbox.wire import MEBIBYTE, Channel, clean

Tier = Literal["bubblewrap", "landlock", "none"]
TIERS: tuple[Tier, ...] = ("bubblewrap", "landlock", "none")
COURSE = "/opt/course"  # where the sandbox's own package stands for a fork server in bubblewrap
SYSTEM = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo"]
START_SECONDS = 180.0
PRIVATE_PACKAGES = ("autograder", "solutions")  # never readable to a worker, wherever they are installed


@dataclass(frozen=True)
class WorkerLimits:
    """What one worker may use."""

    memory_mb: int = 4096
    disk_mb: int = 64
    output_mb: int = 8
    message_mb: int = 256
    cpu_seconds: int = 300


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

    def __init__(
        self,
        tier: Tier | None = None,
        *,
        packages: Sequence[Path] = (),
        data: Sequence[Path] = (),
        preload: Sequence[str] = (),
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        self._stage = tempfile.TemporaryDirectory(prefix="sandbox-")
        os.chmod(self._stage.name, 0o755)
        _stage_packages(Path(self._stage.name), packages)
        reasons = []
        for candidate in [tier] if tier else TIERS[:2]:
            try:
                self._start(candidate, [str(path.resolve()) for path in data], list(preload), meanwhile)
            except SandboxError as error:
                reasons.append(f"{candidate}: {error}")
            else:
                return
        self._stage.cleanup()
        raise SandboxError("submissions cannot be isolated on this machine (" + "; ".join(reasons) + ")")

    def _start(self, tier: Tier, data: list[str], preload: list[str], meanwhile: Callable[[], object]) -> None:
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stage = COURSE if tier == "bubblewrap" else self._stage.name
        libraries = library_paths()
        config = {
            "readable": [*SYSTEM, *_without_private(libraries), stage, *data],
            "program": compile_filter(own_pid_is_1=tier == "bubblewrap").hex() if tier != "none" else "",
            "namespaces": tier == "bubblewrap",
            "own_uids": tier == "bubblewrap" and os.geteuid() == 0,
            "locked": tier != "none",
            "preload": preload,
        }
        python = os.path.realpath(sys.executable)
        run = f"from autograder.sandbox.forkserver import main; main({theirs.fileno()})"
        program = f"import sys; sys.path[:0] = {[stage, *site_packages()]!r}; {run}"
        command = [python, "-S", "-s", "-P", "-c", program]
        if tier == "bubblewrap":
            if shutil.which("bwrap") is None:
                raise SandboxError("bubblewrap is not installed; run: sudo apt-get install bubblewrap")
            command = [*bubblewrap([*libraries, *data, python], self._stage.name), *command]
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=environment("/tmp" if tier == "bubblewrap" else self._stage.name),
                start_new_session=True,  # Ctrl-C is for the grader, which then ends its workers in order
            )
            theirs.close()
            self.control = Control(control)
            try:
                control.send(json.dumps(config).encode())
                meanwhile()
                hello = self.control.wait("ready", START_SECONDS)
            except (OSError, SandboxError):
                self.close()
                errors.seek(0)
                last = errors.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["it did not start"]
                raise SandboxError(clean(last[0], 300)) from None
        self.tier: Tier = tier
        self.not_preloaded: list[str] = hello["failed"]
        self.threads: int = hello["threads"]

    def connect(self) -> Control:
        """A control socket of its own, for a forked runner: what is started over it ends with it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.control.send({"connect": True}, [theirs.fileno()])
        return Control(ours)

    def close(self) -> None:
        """End the fork server, and with it every worker."""
        self.control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._stage.name and hasattr(self, "tier"):
            self._stage.cleanup()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Control:
    """One control socket to the fork server."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._ended: dict[int, dict[str, Any]] = {}

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one message, with descriptors."""
        socket.send_fds(self._socket, [json.dumps(message).encode()], list(descriptors))

    def wait(self, key: str, seconds: float = 30.0) -> dict[str, Any]:
        """The next message that holds `key`; word of ended workers is kept meanwhile.

        Raises:
            SandboxError: the fork server is gone or does not answer.
        """
        self._socket.settimeout(seconds)
        try:
            while True:
                data, descriptors, _, _ = socket.recv_fds(self._socket, MEBIBYTE, 1)
                if not data:
                    raise SandboxError("the fork server has ended")
                message: dict[str, Any] = json.loads(data) | {"descriptors": descriptors}
                if "ended" in message:
                    self._ended[message["ended"]] = message
                if key in message:
                    return message
        except TimeoutError:
            raise SandboxError("the fork server does not answer") from None

    def spawn(self, limits: WorkerLimits, seconds_per_call: float) -> Worker:
        """A fresh worker."""
        ours, theirs = socket.socketpair()
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        with theirs:
            self.send({"spawn": asdict(limits)}, [theirs.fileno(), output])
        message = self.wait("worker")
        return Worker(self, message["worker"], message["descriptors"][0], ours, output, limits, seconds_per_call)

    def end_of(self, number: int) -> dict[str, Any]:
        """How a worker ended; waits for it."""
        while number not in self._ended:
            self.wait("ended")
        return self._ended.pop(number)

    def close(self) -> None:
        """Close the socket."""
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
        self._connection = connection
        self._limits = limits
        self.peak_mb = 0
        self.peer = HostPeer(Channel(connection, max_payload=limits.message_mb * MEBIBYTE), seconds_per_call, self._end)
        self._ended: str | None = None

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
        return [clean(name, 80) for name in names] if isinstance(names, list) else []

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function, or make an instance of a class, that the submission defines."""
        return self.peer.call(Name(name), args, kwargs)

    def output(self, length: int = 65536) -> str:
        """The last bytes that the worker printed, cleaned. May hold whatever its code saw."""
        size = os.fstat(self._output).st_size
        return clean(os.pread(self._output, length, max(0, size - length)).decode("utf-8", "replace"), length)

    def end(self) -> None:
        """Kill the worker, if it still lives, and free what it used."""
        self._end("finished")
        os.close(self._output)

    def _end(self, reason: str) -> str:
        if self._ended is not None:
            return self._ended
        # A worker that closed its connection is about to end by itself: how it ended says more than that we killed it.
        if reason.startswith("the connection"):
            select.select([self._pidfd], [], [], 1.0)
        alive = not select.select([self._pidfd], [], [], 0)[0]
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            alive = False
        message = self._control.end_of(self._number)
        self.peak_mb = int(message["peak_mb"])
        self._ended = reason if alive else self._how(int(message["status"]))
        self._connection.close()
        os.close(self._pidfd)
        return self._ended

    def _how(self, status: int) -> str:
        if "bad_alloc" in (tail := self.output(4096)) or "MemoryError" in tail or "allocate memory" in tail:
            return f"it ran out of memory ({self._limits.memory_mb} MB are allowed)"
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            if number == signal.SIGXCPU:
                return "it used up its processor time"
            return f"it crashed: {signal.strsignal(number) or number} (signal {number})"
        return f"it ended the Python process (exit status {os.WEXITSTATUS(status)})"

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


# ---- what a worker may see


def site_packages() -> list[str]:
    """The folders from which this interpreter imports installed packages."""
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return [path for path in dict.fromkeys(map(os.path.realpath, paths)) if os.path.isdir(path)]


def library_paths() -> list[str]:
    """The interpreter's own library and the installed packages."""
    paths = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")]
    return [path for path in dict.fromkeys([*map(os.path.realpath, filter(None, paths)), *site_packages()])]


def _without_private(libraries: list[str]) -> list[str]:
    """Library folders, with those that hold an installed copy of the course's private side taken apart.

    Landlock allows whole folders only: so such a folder is replaced by its entries, but for the private ones.
    """
    readable = []
    for folder in libraries:
        private = [name for name in PRIVATE_PACKAGES if os.path.exists(os.path.join(folder, name))]
        if private:
            readable += [os.path.join(folder, name) for name in os.listdir(folder) if name not in private]
        else:
            readable.append(folder)
    return readable


def _stage_packages(stage: Path, packages: Sequence[Path]) -> None:
    """Copy the sandbox's own package, and those that workers may use, to where a worker may read."""
    here = Path(__file__).resolve().parent
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    (stage / here.parent.name).mkdir()
    shutil.copy(here.parent / "__init__.py", stage / here.parent.name)
    shutil.copytree(here, stage / here.parent.name / here.name, ignore=skip)
    for package in packages:
        shutil.copytree(package, stage / package.name, ignore=skip)


def environment(home: str) -> dict[str, str]:
    """All that a worker's environment holds: nothing of the grader's own."""
    return {
        **SINGLE_THREADED,
        "PATH": "/usr/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "HF_HUB_OFFLINE": "1",
        "COURSEKIT_GRADING": "1",
    }


def bubblewrap(readable: Sequence[str], stage: str) -> list[str]:
    """The bubblewrap command line: an allow-list, bound read-only into an empty file system.

    As root the fork server keeps the capabilities to make namespaces and to give each worker a user of its own. Otherwise it
    stands in a user namespace and has capabilities only there.
    """
    root = os.geteuid() == 0
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if not root:
        # As user 0 of the namespace, or bubblewrap nests a second one, into which no worker could be put.
        command += ["--unshare-user", "--uid", "0", "--gid", "0"]
    made: set[str] = set()
    for path in sorted({*SYSTEM, *readable}):
        if not os.path.exists(path):
            continue
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
            continue
        for parent in [*map(str, reversed(Path(path).parents))][1:]:
            if parent not in made and not any(parent == other or parent.startswith(other + "/") for other in readable):
                command += ["--dir", parent]  # said out loud: bubblewrap makes missing parents 0700
                made.add(parent)
        command += ["--ro-bind", path, path]
    command += ["--dir", "/opt", "--ro-bind", stage, COURSE, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    command += ["--chdir", "/tmp", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    for capability in ("SYS_ADMIN", "SETPCAP", *(("SETUID", "SETGID", "SYS_RESOURCE") if root else ())):
        command += ["--cap-add", f"CAP_{capability}"]
    return [*command, "--"]
