import ctypes
import multiprocessing
import os
import subprocess


libc = ctypes.CDLL(None, use_errno=True)


def call(*arguments):
    """A system call, by its number on x86-64."""
    if os.uname().machine != "x86_64":
        raise OSError("the numbers are others here")
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attempt(**tries):
    """What came of each try."""
    found = {}
    for name, action in tries.items():
        try:
            found[name] = "done: " + repr(action())[:200]
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error}"[:200]
    return found


def attack(context):
    return attempt(
        fork=os.fork,
        vfork=lambda: call(58),
        clone=lambda: call(56, 17, 0, 0, 0, 0),
        clone3=lambda: call(435, 0, 0),
        execve=lambda: os.execv("/usr/bin/id", ["id"]),
        execveat=lambda: call(322, -100, b"/usr/bin/id", None, None, 0),
        subprocess=lambda: subprocess.run(["/usr/bin/id"]),
        system=lambda: os.system("id") and 1 / 0,
        multiprocessing=lambda: multiprocessing.get_context("fork").Process(target=print).start(),
        user_namespace=lambda: call(272, 0x10000000),
        clone_namespace=lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0),
    )
