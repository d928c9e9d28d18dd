"""Workers: how they end, what is told of it, and that nothing is left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from autograder.sandbox import Sandbox, SandboxError, StudentError, Worker, WorkerDied, WorkerLimits
from autograder.sandbox.allowlist import environment
from tests.sandbox.processes import eventually, fork_server, private_memory, workers_of

Spawn = Callable[..., Worker]

DEATHS = """
import ctypes, os, signal, sys, threading, time
import torch
def leave(status): os._exit(status)
def abort(): os.abort()
def crash(): ctypes.string_at(0)
def loop():
    while True: pass
def sleep(): time.sleep(1000)
def deaf():
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
    time.sleep(1000)
def close():
    os.close(3)
    time.sleep(1000)
def in_a_thread():
    threading.Thread(target=os._exit, args=(4,)).start()
    time.sleep(1000)
def allocate(megabytes): return len(bytearray(megabytes << 20))
def allocate_tensor(megabytes): return torch.ones(megabytes << 18).sum()
def exhaust_in_c():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    kept = []
    while True: kept.append("x" * 100_000_000)
def answer(): return 42
"""


class TestDeath:
    @pytest.mark.parametrize(
        ("name", "arguments", "reason"),
        [
            ("leave", (0,), r"ended the Python process \(exit status 0\)"),
            ("leave", (7,), r"exit status 7"),
            ("abort", (), r"crashed: .* \(signal (6|11)\)"),
            ("crash", (), r"crashed: Segmentation fault \(signal 11\)"),
            ("in_a_thread", (), r"exit status 4"),
        ],
    )
    def test_by_its_own_hand(self, spawn: Spawn, name: str, arguments: tuple[Any, ...], reason: str) -> None:
        with pytest.raises(WorkerDied, match=reason) as caught:
            spawn(DEATHS).call(name, *arguments)
        assert not caught.value.timeout

    @pytest.mark.parametrize("name", ["loop", "sleep", "deaf"])
    def test_at_the_time_limit(self, spawn: Spawn, name: str) -> None:
        with pytest.raises(WorkerDied, match="time limit") as caught:
            spawn(DEATHS, seconds=0.5).call(name)
        assert caught.value.timeout

    def test_while_its_cells_run(self, spawn: Spawn) -> None:
        worker = spawn()
        with pytest.raises(WorkerDied, match="time limit"):
            worker.run("while True: pass", "cell 2", seconds=0.3)

    def test_at_a_deadline_for_several_calls(self, spawn: Spawn) -> None:
        worker = spawn(DEATHS)
        worker.peer.deadline = time.monotonic() + 0.3
        with pytest.raises(WorkerDied, match="time limit"):
            worker.call("loop")

    def test_with_a_closed_connection(self, spawn: Spawn) -> None:
        with pytest.raises(WorkerDied, match="connection was closed"):
            spawn(DEATHS).call("close")

    def test_of_too_much_processor_time(self, spawn: Spawn) -> None:
        """In less wall time than a call may take."""
        with pytest.raises(WorkerDied, match="processor time"):
            spawn(DEATHS, cpu_seconds=1).call("loop")

    @pytest.mark.parametrize("name", ["allocate", "allocate_tensor"])
    def test_is_not_what_too_large_an_allocation_brings(self, spawn: Spawn, name: str) -> None:
        """It is an exception, as it would be on a small machine."""
        worker = spawn(DEATHS, memory_mb=512)
        assert worker.call(name, 100)
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            worker.call(name, 1000)
        assert isinstance(caught.value, StudentError)
        assert worker.call("answer") == 42

    def test_is_final(self, spawn: Spawn) -> None:
        worker = spawn(DEATHS)
        with pytest.raises(WorkerDied) as first:
            worker.call("leave", 1)
        with pytest.raises(WorkerDied) as second:
            worker.call("answer")
        assert second.value is first.value

    def test_passes_through_code_that_expects_exceptions(self, spawn: Spawn) -> None:
        worker = spawn(DEATHS)
        with pytest.raises(WorkerDied), pytest.raises(Exception):  # noqa: B017
            worker.call("leave", 1)

    def test_of_one_does_not_touch_the_next(self, spawn: Spawn) -> None:
        one, two = spawn(DEATHS), spawn(DEATHS)
        with pytest.raises(WorkerDied):
            one.call("crash")
        assert two.call("answer") == 42
        assert spawn(DEATHS).call("answer") == 42


class TestOutput:
    def test_is_kept_and_bounded(self, spawn: Spawn) -> None:
        worker = spawn(
            "def f(n):\n    for _ in range(n): print('x' * 1000)\nprint('hello\\x1b[2J')", output_mb=1, disk_mb=1
        )
        assert worker.output() == "hello�[2J\n"
        with pytest.raises((OSError, WorkerDied)):
            worker.call("f", 10_000)
        assert len(worker.output()) <= 65536
        assert os.fstat(worker._output).st_size <= 1 << 20

    def test_ends_with_the_worker(self, spawn: Spawn) -> None:
        worker = spawn()
        worker.end()
        with pytest.raises(OSError, match="descriptor"):
            worker.output()


class TestEnd:
    def test_twice_is_once(self, spawn: Spawn) -> None:
        worker = spawn(DEATHS)
        worker.end()
        worker.end()
        with pytest.raises(WorkerDied, match="ended"):
            worker.call("answer")

    def test_leaves_no_process_and_no_descriptor(self, sandbox: Sandbox, spawn: Spawn) -> None:
        spawn().end()
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            worker = spawn(DEATHS)
            with pytest.raises(WorkerDied):
                worker.call("leave", 1)
            worker.end()
            spawn(DEATHS).end()
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert eventually(lambda: not workers_of(sandbox))

    def test_of_many_workers_leaves_the_fork_server_as_it_was(self, sandbox: Sandbox, spawn: Spawn) -> None:
        """Its memory does not grow with the class."""
        for _ in range(20):
            spawn("x = 1").end()
        assert eventually(lambda: not workers_of(sandbox))
        server = fork_server(sandbox)
        before = private_memory(server), len(os.listdir(f"/proc/{server}/fd"))
        for _ in range(100):
            spawn("x = 1").end()
        assert eventually(lambda: len(os.listdir(f"/proc/{server}/fd")) == before[1])
        assert private_memory(server) - before[0] < 4 << 20


class TestControl:
    def test_its_workers_end_with_it_and_no_others(self, sandbox: Sandbox, spawn: Spawn) -> None:
        bystander = spawn(DEATHS)
        assert eventually(lambda: len(workers_of(sandbox)) == 1)
        control = sandbox.connect()
        mine = [control.spawn(WorkerLimits(), 5.0) for _ in range(2)]
        mine[0].run(DEATHS, "cell 1")
        assert mine[0].call("answer") == 42
        assert len(workers_of(sandbox)) == 3
        control.close()
        assert eventually(lambda: len(workers_of(sandbox)) == 1)
        assert bystander.call("answer") == 42

    def test_that_goes_while_a_worker_is_made_costs_nobody_else(self, sandbox: Sandbox, spawn: Spawn) -> None:
        for _ in range(5):
            control = sandbox.connect()
            with open(os.devnull) as one, open(os.devnull) as two:
                control.send({"spawn": vars(WorkerLimits())}, [one.fileno(), two.fileno()])
            control.close()
        bystander = spawn(DEATHS)
        assert bystander.call("answer") == 42
        assert eventually(lambda: len(workers_of(sandbox)) == 1)

    def test_a_worker_that_cannot_be_locked_down_is_nobodys_fault(self, sandbox: Sandbox) -> None:
        """Not the student's: it raises SandboxError, and no verdict comes of it."""
        with pytest.raises(SandboxError, match="locked down"):
            sandbox.control.spawn(WorkerLimits(cpu_seconds="many"), 5.0)  # type: ignore[arg-type]

    def test_a_fork_server_that_is_gone_is_nobodys_fault(self) -> None:
        sandbox = Sandbox("none")
        worker = sandbox.control.spawn(WorkerLimits(), 5.0)
        sandbox._process.kill()
        sandbox._process.wait()
        with pytest.raises(SandboxError):
            worker.call("anything")
        with pytest.raises(SandboxError):
            sandbox.control.spawn(WorkerLimits(), 5.0)
        sandbox.close()


class TestIsolationOfWorkers:
    def test_nothing_is_left_for_the_next(self, spawn: Spawn) -> None:
        one = spawn("""
            import os, sys, torch
            open(os.path.join(os.environ["HOME"], "mark"), "w").write("x")
            torch.Tensor.__add__ = None
            sys.modules["mark"] = 1
            os.environ["MARK"] = "x"
        """)
        one.end()
        two = spawn("""
            import os, sys, torch
            def marks(): return os.listdir(os.environ["HOME"]), "mark" in sys.modules, "MARK" in os.environ, torch.ones(1) + 1
        """)
        assert two.call("marks") == ([], False, False, torch.tensor([2.0]))

    def test_it_holds_one_socket_and_its_output(self, spawn: Spawn) -> None:
        opened = spawn("""
            import os
            def opened(): return [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")[:-1]]
        """).call("opened")
        assert sorted(name.partition(":")[0] for name in opened) == ["/dev/null", "/memfd", "/memfd", "socket"]

    def test_its_environment_is_prepared(self, spawn: Spawn) -> None:
        found = spawn("import os\ndef found(): return list(os.environ)").call("found")
        added = [name for name in found if name not in environment("")]
        assert all(name.startswith(("KMP_", "TORCH", "PYTORCH", "PWD", "LC_CTYPE")) for name in added), added
