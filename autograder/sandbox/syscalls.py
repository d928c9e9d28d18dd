"""The system calls that a worker may make, compiled to a seccomp filter.

An allow-list: numerical Python needs memory, threads, clocks, and files that were opened under Landlock's eyes. What is
forbidden on purpose answers EPERM, so that Python raises a plain PermissionError. Everything else, calls of future kernels
included, answers ENOSYS, which the C library takes as "not here" and works around.
"""

from __future__ import annotations

import errno
import functools
import socket
import tempfile

ALLOWED = """
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek sendfile copy_file_range
    creat close close_range dup dup2 dup3 flock fsync fdatasync ftruncate fallocate
    fadvise64 readahead stat fstat lstat newfstatat fstatat64 statx access faccessat faccessat2 readlink readlinkat getdents
    getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
    umask statfs fstatfs
    pipe pipe2 eventfd eventfd2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
    timerfd_create timerfd_settime timerfd_gettime
    mmap munmap mremap mprotect madvise brk msync mincore membarrier
    futex futex_waitv get_robust_list set_robust_list rseq set_tid_address exit exit_group restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause
    gettid getpid getppid getuid geteuid getgid getegid getgroups getpgrp getpgid getsid getresuid getresgid
    getrlimit getrusage times sysinfo uname getcpu getpriority sched_yield sched_getaffinity
    sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
    nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time getitimer setitimer alarm
    timer_create timer_settime timer_gettime timer_delete timer_getoverrun getrandom arch_prctl
    recvfrom recvmsg sendto shutdown getsockopt setsockopt getsockname getpeername
""".split()

FORBIDDEN = """
    execve execveat fork vfork ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal kcmp
    socket connect bind listen accept accept4 recvmmsg sendmsg sendmmsg
    kill tkill rt_sigqueueinfo rt_tgsigqueueinfo wait4 waitid setsid setpgid
    mount umount2 pivot_root chroot unshare setns mknod mknodat chown fchown lchown fchownat
    setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset setpriority setrlimit
    memfd_create memfd_secret shmget shmat shmctl shmdt semget semop msgget msgsnd msgrcv mq_open mlock mlock2 mlockall
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key
    setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr
    open_by_handle_at name_to_handle_at fanotify_init inotify_init inotify_init1 personality sethostname setdomainname
    settimeofday clock_settime adjtimex clock_adjtime reboot swapon swapoff syslog acct quotactl iopl ioperm modify_ldt
    init_module finit_module delete_module kexec_load kexec_file_load sched_setscheduler sched_setattr sched_setparam
    vmsplice splice tee
""".split()

# Landlock does not mediate what these do to a path, so they are for workers in a file system of their own. Elsewhere a worker
# has its user in common with the grader, and could make the gradebook unreadable, or a private file readable by all.
ON_PATHS = "chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat truncate".split()

CLONE_THREAD = 0x0001_0000
O_ACCMODE, O_WRONLY, O_RDWR, O_TRUNC = 0o3, 0o1, 0o2, 0o1000
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, locks, F_DUPFD_CLOEXEC, pipe sizes, F_GET_SEALS. Not among them: F_SETOWN and
# F_SETSIG, by which the kernel sends any signal to any process of the same user.
FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1034)
# Questions about a descriptor, and switching it to non-blocking. Not among them: TIOCSTI, which types into a terminal.
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_GET_NO_NEW_PRIVS, PR_SET_VMA
PRCTLS = (3, 15, 16, 23, 39, 0x5356_4D41)


@functools.cache
def compile_filter(*, namespaces: bool) -> bytes:
    """The filter's BPF program.

    Args:
        namespaces: the worker has namespaces of its own. Then `ON_PATHS` is allowed; and so is tgkill of process 1, which is
            the worker itself: that is how abort() ends a process. Without, other processes of the same user have numbers, too.
    """
    import pyseccomp
    from pyseccomp import ALLOW, EQ, ERRNO, MASKED_EQ, Arg

    program = pyseccomp.SyscallFilter(ERRNO(errno.ENOSYS))

    def rule(action: int, name: str, *conditions: object) -> None:
        try:
            program.add_rule(action, name, *conditions)
        except (OSError, RuntimeError, ValueError):
            return  # unknown to this architecture or this libseccomp: then it stays ENOSYS

    for name in (*ALLOWED, *(ON_PATHS if namespaces else ())):
        rule(ALLOW, name)
    for name in (*FORBIDDEN, *(() if namespaces else ON_PATHS)):
        rule(ERRNO(errno.EPERM), name)
    # Threads, not processes. clone3, whose flags lie in memory where no filter can look, stays ENOSYS: glibc then uses clone.
    rule(ALLOW, "clone", Arg(0, MASKED_EQ, CLONE_THREAD, CLONE_THREAD))
    rule(ERRNO(errno.EPERM), "clone", Arg(0, MASKED_EQ, CLONE_THREAD, 0))
    # To truncate takes a descriptor for writing. Before version 3, Landlock lets O_RDONLY | O_TRUNC empty what may only be
    # read. openat2, whose flags lie in memory, stays ENOSYS.
    for name, position in (("open", 1), ("openat", 2)):
        rule(ALLOW, name, Arg(position, MASKED_EQ, O_TRUNC, 0))
        for mode in (O_WRONLY, O_RDWR):
            rule(ALLOW, name, Arg(position, MASKED_EQ, O_ACCMODE | O_TRUNC, mode | O_TRUNC))
    # Limits and processors of this process alone: others of the same user could be starved by them.
    for name in ("prlimit64", "sched_setaffinity"):
        rule(ALLOW, name, Arg(0, EQ, 0))
    for name, position, allowed in (("fcntl", 1, FCNTLS), ("ioctl", 1, IOCTLS), ("prctl", 0, PRCTLS)):
        for value in allowed:
            rule(ALLOW, name, Arg(position, EQ, value))
    # An event loop wakes itself through a pair of sockets that nobody else can name; without sendmsg it carries bytes only.
    rule(ALLOW, "socketpair", Arg(0, EQ, socket.AF_UNIX))
    if namespaces:
        rule(ALLOW, "tgkill", Arg(0, EQ, 1))
    with tempfile.TemporaryFile() as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()
