"""The locks around one worker, put on in the worker itself after the fork and before any student code runs.

Each lock is there for what the others let through:

    namespaces   no other process, network, mount or host name can even be named
    rlimits      memory, processor time, file size, open files are finite
    privileges   no capability, no way to regain one through a set-uid file
    Landlock     no file outside an allow-list, whatever the mounts say; no TCP; no signal out of the worker
    seccomp      no system call outside an allow-list: the kernel's attack surface

Landlock (Linux 5.13) and seccomp need no privilege and no namespaces, so they hold in containers, too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Iterable, Sequence

libc = ctypes.CDLL(None, use_errno=True)

# Of /proc only what concerns the worker itself. The command lines of other processes name courses and students; and where there
# is no namespace for it, /proc/self/net lists all connections of the machine.
SYSTEM_FILES = [
    *(f"/proc/self/{name}" for name in "cmdline comm fd fdinfo limits maps stat statm status".split()),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems"),
    *("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"),
]

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = (
    *(0x0002_0000, 0x0400_0000, 0x0800_0000),
    *(0x2000_0000, 0x4000_0000),
)
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 38, 47
PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER, SIGKILL = 4, 2, 9
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446


def check(result: int, what: str) -> int:
    """`result` of a C call, or its errno as an OSError."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def prctl(option: int, *arguments: int) -> int:
    """prctl(2)."""
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return check(libc.prctl(option, *padded), f"prctl({option})")


# ---- namespaces


def unshare(flags: int) -> None:
    """unshare(2); Python has it only from 3.12."""
    check(libc.unshare(flags), "unshare")


def fork_into_pid_namespace(own: int) -> int:
    """fork() whose child is process 1 of a new namespace, so that all it may start dies with it.

    Args:
        own: descriptor of this process's own PID namespace, to which later forks return.
    """
    unshare(CLONE_NEWPID)
    child = -1
    try:
        child = os.fork()
    finally:
        if child:  # the parent, also after a fork that failed: its next child gets a namespace of its own again
            check(libc.setns(own, CLONE_NEWPID), "setns")
    return child


def private_namespaces(scratch: str, disk_mb: int) -> None:
    """A network without interfaces, no shared memory with anyone, and an empty folder that is gone with the worker."""
    unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET)
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    # Inodes are bounded as well: a million empty files cost kernel memory that no size limit counts.
    mount("tmpfs", scratch, "tmpfs", flags, f"size={disk_mb}m,nr_inodes=4096,mode=1777")
    mount("tmpfs", "/dev/shm", "tmpfs", flags, f"size={disk_mb}m,nr_inodes=256,mode=1777")
    mount("proc", "/proc", "proc", flags)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    result = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    check(result, f"mount {target}")


# ---- limits


def virtual_memory() -> int:
    """Bytes of address space that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def limit_resources(memory_mb: int, cpu_seconds: int, file_mb: int, threads: int | None) -> None:
    """Finite memory (beyond what the interpreter and its libraries map already), processor time, files; no core dumps.

    Threads are counted by user: so only where a worker shares its user with no more than the other workers.
    """
    address_space = virtual_memory() + (memory_mb << 20)
    file_size = file_mb << 20
    if threads is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
    for kind, soft, hard in (
        (resource.RLIMIT_AS, address_space, address_space),
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 2),
        (resource.RLIMIT_FSIZE, file_size, file_size),
        (resource.RLIMIT_NOFILE, 128, 128),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))


# ---- privileges


def drop_privileges(uid: int | None) -> None:
    """Become `uid` (None: stay), lose every capability, and never gain any."""
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break  # past the last one that this kernel knows, or not ours to drop
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    version_3_self, no_capabilities = struct.pack("<Ii", 0x2008_0522, 0), bytes(24)
    check(libc.capset(version_3_self, no_capabilities), "capset")
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    die_with_parent()  # again: a change of user forgets it


def die_with_parent() -> None:
    """Whatever happens to the fork server, its workers do not survive it."""
    prctl(PR_SET_PDEATHSIG, SIGKILL)


# ---- Landlock

ACCESS_EXECUTE, ACCESS_WRITE_FILE, ACCESS_READ_FILE, ACCESS_READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
ACCESS_TRUNCATE = 1 << 14
ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # file accesses known to each version of the ABI; 16 from version 5
NET_BIND_TCP, NET_CONNECT_TCP = 1 << 0, 1 << 1
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1 << 0, 1 << 1
ACCESS_FOR_FILES = ACCESS_EXECUTE | ACCESS_WRITE_FILE | ACCESS_READ_FILE | ACCESS_TRUNCATE


def landlock_version() -> int:
    """Version of the kernel's Landlock ABI; 0 where there is none."""
    return max(0, libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def restrict_files(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Allow reading below `readable`, anything but execution below `writable`, and nothing else.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    version = landlock_version()
    if version < 1:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    handled = (1 << ACCESS_BITS.get(version, 16)) - 1
    fields = [handled]
    if version >= 4:
        fields.append(NET_BIND_TCP | NET_CONNECT_TCP)
    if version >= 6:
        fields.append(SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL)
    attributes = struct.pack(f"<{len(fields)}Q", *fields)
    size = ctypes.c_size_t(len(attributes))
    ruleset = check(libc.syscall(LANDLOCK_CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    try:
        for path in readable:
            _allow(ruleset, path, ACCESS_READ_FILE | ACCESS_READ_DIR)
        for path in writable:
            _allow(ruleset, path, handled & ~ACCESS_EXECUTE)
        check(libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # nothing there, nothing to allow
    try:
        if not os.path.isdir(path):
            access &= ACCESS_FOR_FILES
        rule, below_path = struct.pack("<Qi", access, descriptor), 1
        check(libc.syscall(LANDLOCK_ADD_RULE, ruleset, below_path, rule, 0), f"landlock_add_rule {path}")
    finally:
        os.close(descriptor)


# ---- seccomp


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter(program: bytes) -> None:
    """Install a compiled seccomp filter for good, for every thread to come."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0), "seccomp")


def lock(
    *,
    namespaces: bool,
    uid: int | None,
    scratch: str,
    readable: Sequence[str],
    program: bytes,
    limits: dict[str, int],
    threads: int | None,
) -> None:
    """Put every lock on, in the only order that works: each step takes away what the next no longer needs."""
    if namespaces:
        private_namespaces(scratch, limits["disk_mb"])
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # if the machine runs out of memory, this process goes first
    limit_resources(limits["memory_mb"], limits["cpu_seconds"], max(limits["disk_mb"], limits["output_mb"]), threads)
    drop_privileges(uid)
    writable = [scratch, "/dev/null", *(["/dev/shm"] if namespaces else [])]
    restrict_files([*readable, *SYSTEM_FILES], writable)
    install_filter(program)
