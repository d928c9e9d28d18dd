import ctypes
import fcntl
import os
import resource


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
        setuid=lambda: os.setuid(0),
        setgid=lambda: os.setresgid(0, 0, 0),
        chroot=lambda: os.chroot("."),
        mount=lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, 0),
        unmount=lambda: call(166, b"/proc", 2),
        mount_namespace=lambda: call(272, 0x20000),
        pivot=lambda: call(155, b".", b"."),
        open_tree=lambda: call(428, -100, b"/", 1),
        bpf=lambda: call(321, 0, 0, 0),
        io_uring=lambda: call(425, 1, 0),
        userfaultfd=lambda: call(323, 1),
        perf=lambda: call(298, 0, 0, 0, 0, 0),
        kernel_log=lambda: call(103, 3, ctypes.create_string_buffer(100), 100),
        module=lambda: call(175, 0, 0, 0),
        keys=lambda: call(248, b"user", b"x", b"y", 1, -3),
        memory_file=lambda: os.memfd_create("x"),
        shared_segment=lambda: call(29, 0, 1 << 20, 0o1600),
        lock_memory=lambda: call(151, 3),
        more_files=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999)),
        more_memory=lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
        more_time=lambda: resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6)),
        dumpable=lambda: call(157, 4, 1, 0, 0, 0),
        speculation=lambda: call(157, 53, 0, 0, 0, 0),
        terminal_input=lambda: fcntl.ioctl(0, 0x5412, b"x"),
        host_name=lambda: call(170, b"x", 1),
        clock=lambda: call(227, 0, ctypes.create_string_buffer(16)),
        file_handle=lambda: call(304, -100, ctypes.create_string_buffer(64), 0),
        landlock=lambda: call(444, 0, 0, 1) and 1 / 0,
        old_calls=lambda: call(156, 0),
    )
