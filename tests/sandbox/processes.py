"""What tests want to know about processes: whose children there are, what they use."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from autograder.sandbox import Sandbox


def below(processes: set[int]) -> set[int]:
    """The children of processes, dead ones that nobody has waited for included."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{entry}/stat") as file:
            if int(file.read().rpartition(")")[2].split()[1]) in processes:
                found.add(int(entry))
    return found


def fork_server(sandbox: Sandbox) -> int:
    """The process that forks workers. Bubblewrap stands before it, and its own init between them."""
    process = sandbox._process.pid
    for _ in range(2 if sandbox.tier == "bubblewrap" else 0):
        (process,) = below({process})
    return process


def workers_of(sandbox: Sandbox) -> set[int]:
    """The processes of its workers."""
    return below({fork_server(sandbox)})


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within some seconds."""
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def private_memory(pid: int) -> int:
    """Bytes of a process that are its own."""
    with open(f"/proc/{pid}/statm") as file:
        _, total, shared, *_ = map(int, file.read().split())
    return (total - shared) * os.sysconf("SC_PAGE_SIZE")


def reset_peak() -> None:
    """Let the kernel measure this process's peak memory anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def memory(what: str) -> int:
    """Bytes of memory of this process, as /proc/self/status says it."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(what))
