import ctypes
import os
import socket
import struct
import urllib.request


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
        tcp=lambda: socket.create_connection(("127.0.0.1", context["port"]), 1),
        udp=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        ipv6=lambda: socket.socket(socket.AF_INET6),
        unix=lambda: socket.socket(socket.AF_UNIX),
        pair=lambda: socket.socketpair(socket.AF_INET),
        netlink=lambda: socket.socket(16, 3),
        packet=lambda: socket.socket(17, 3),
        vsock=lambda: socket.socket(40, 1),
        names=lambda: socket.getaddrinfo("localhost", 80),
        web=lambda: urllib.request.urlopen(f"http://127.0.0.1:{context['port']}", timeout=1),
        connect_again=lambda: call(
            42, 3, struct.pack("<H", 1) + b"\0" + context["abstract"].encode(), 2 + 1 + len(context["abstract"])
        ),
        bind=lambda: call(49, 3, struct.pack("<H", 1) + b"name", 6),
        listen=lambda: call(50, 3, 1),
    )
