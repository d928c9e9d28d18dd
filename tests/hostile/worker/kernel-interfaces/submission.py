import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


def attempt(**tries):
    """What came of each try."""
    found = {}
    for name, action in tries.items():
        try:
            found[name] = "done: " + repr(action())[:200]
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error}"[:200]
    return found


def call(*arguments):
    # A system call, by its number on x86-64.
    if os.uname().machine != "x86_64":
        raise OSError("the numbers are others here")
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def attack(context):
    memory = ctypes.create_string_buffer(256)
    return attempt(
        bpf=lambda: call(321, 0, memory, 72),
        io_uring=lambda: call(425, 8, memory),
        userfaultfd=lambda: call(323, 0),
        perf=lambda: call(298, memory, 0, -1, -1, 0),
        modules=lambda: call(175, memory, 10, memory),
        kexec=lambda: call(246, 0, 0, 0, 0),
        reboot=lambda: call(169, 0xFEE1DEAD, 672274793, 0, 0),
        mount=lambda: call(165, b"none", b"/", b"tmpfs", 0, 0),
        pivot=lambda: call(155, b"/", b"/"),
        change_root=lambda: call(161, b"/"),
        new_namespace=lambda: call(272, 0x10000000),
        join_namespace=lambda: call(308, 3, 0),
        add_key=lambda: call(248, b"user", b"x", b"y", 1, -3),
        clock=lambda: call(227, 0, memory),
        host_name=lambda: call(170, b"mine", 4),
        swap=lambda: call(167, b"/", 0),
        handle=lambda: call(304, -100, memory, 0),
        ports=lambda: call(173, 0, 65535, 1),
        personality=lambda: call(135, 0x0400000),
        shared_memory=lambda: call(29, 0x1234, 4096, 0o1666),
        message_queue=lambda: call(68, 0x1234, 0o1666),
    )
