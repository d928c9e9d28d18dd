import ctypes
import os
import shutil
import sys


def attempt(**tries):
    """What came of each try."""
    found = {}
    for name, action in tries.items():
        try:
            found[name] = "done: " + repr(action())[:200]
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error}"[:200]
    return found


def write_and_run():
    shutil.copy(sys.executable, "program")
    os.chmod("program", 0o755)
    os.execv("program", ["program", "-c", "0"])


def run_from_memory():
    descriptor = os.memfd_create("program")
    with open(sys.executable, "rb") as file:
        os.write(descriptor, file.read(1 << 20))
    os.execve(descriptor, ["program"], {})


def attack(context):
    return attempt(
        written=write_and_run,
        in_memory=run_from_memory,
        interpreter=lambda: os.execv(sys.executable, [sys.executable, "-c", "0"]),
        shell=lambda: os.execv("/bin/sh", ["sh"]),
        spawn=lambda: os.posix_spawn("/bin/true", ["true"], {}),
        clone=lambda: 1 / 0 if ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0) < 0 else "cloned",
    )
