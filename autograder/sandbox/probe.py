"""A check that the locks hold: a worker tries what no worker may do, and tells what it managed.

It is no proof against an attacker, but no tier is used on a machine whose kernel or container silently lacks a lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograder.sandbox.control import Worker

SOURCE = '''
import ctypes, os, socket, torch

libc = ctypes.CDLL(None, use_errno=True)

def succeed(function, *arguments):
    """A call of the C library, with its errno as an OSError."""
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "refused")

def start_a_process():
    if os.fork() == 0:
        os._exit(0)

def run_a_program():
    try:
        os.execv("/no/such/program", ["program"])
    except FileNotFoundError:
        return  # it was looked for

def look_at(process):
    if process == 0:
        raise ProcessLookupError  # the parent is outside of this PID namespace
    return open(f"/proc/{process}/cmdline").read()

# Nothing here does harm where it succeeds.
def attempts(private):
    yield "read the grader's files", lambda: open(private).read()
    yield "read the password file", lambda: open("/etc/passwd").read()
    yield "list the root folder", lambda: os.listdir("/")
    yield "change an installed package", lambda: open(f"{os.path.dirname(torch.__file__)}/__init__.py", "a")
    yield "open a network socket", lambda: socket.socket(socket.AF_INET)
    yield "open a local socket", lambda: socket.socket(socket.AF_UNIX)
    yield "start a process", start_a_process
    yield "run a program", run_a_program
    yield "signal its parent", lambda: os.kill(os.getppid() or -1, 0)
    yield "see its parent", lambda: look_at(os.getppid())
    yield "ask for its parent's limits", lambda: succeed(libc.prlimit, os.getppid() or 2, 7, None, None)
    yield "read another process's memory", lambda: succeed(libc.process_vm_readv, os.getpid(), None, 0, None, 0, 0)
    yield "make a namespace", lambda: succeed(libc.unshare, 0x10000000)

def probe(private):
    succeeded = []
    for name, attempt in attempts(private):
        try:
            attempt()
        except OSError:
            continue
        succeeded.append(name)
    return succeeded
'''


def probe(worker: Worker) -> list[str]:
    """What a worker managed to do of what it must not; in words."""
    worker.run(SOURCE, "cell probe")
    return [str(name) for name in worker.call("probe", str(Path(__file__).resolve()))]
