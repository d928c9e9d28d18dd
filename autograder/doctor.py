"""What this machine can isolate, run and accelerate, and how to mend what it cannot.

The locks are not looked up but tried: a sandbox is started in each tier, and a worker attempts what no worker may do.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from autograder.sandbox import Sandbox, SandboxError, StudentError, Tier, WorkerDied, WorkerLimits
from autograder.sandbox.jail import landlock_version
from autograder.sandbox.probe import probe

Status = Literal["ok", "warn", "bad"]
GIBIBYTE = 1 << 30
PROBE_MEMORY_MB = 256
PACKAGES = ("torch", "nbgrader", "hypothesis", "numpy")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LANDLOCK_GAINS = {2: "moves between folders", 3: "truncation", 4: "TCP", 5: "devices", 6: "signals"}
MENDING: dict[Tier, str] = {
    "bubblewrap": (
        "Run `sudo apt-get install bubblewrap`, and let users make namespaces (`sudo sysctl user.max_user_namespaces=10000`; "
        "on Ubuntu also `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`). A container needs CAP_SYS_ADMIN."
    ),
    "landlock": "Use Linux 5.13 or newer, with `landlock` in the kernel parameter `lsm=`.",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` is what to do about it, if something is to be done."""

    what: str
    status: Status
    detail: str
    mend: str = ""


def diagnose() -> list[Finding]:
    """Everything worth knowing; takes some seconds, since it starts sandboxes."""
    return [*isolation(), *kernel(), *machine(), *software()]


# ---- isolation


def isolation() -> Iterator[Finding]:
    """Each tier, tried; and first of all whether submissions can be graded here."""
    tried: dict[Tier, Finding] = {tier: try_tier(tier) for tier in ("bubblewrap", "landlock")}
    working = [tier for tier, finding in tried.items() if finding.status == "ok"]
    if not working:
        yield Finding("isolation", "bad", "none: submissions are refused", "Mend one of the two tiers below.")
    elif working[0] == "bubblewrap":
        yield Finding("isolation", "ok", "bubblewrap, the best tier")
    else:
        detail = (
            "landlock: no namespaces, so that a worker can tell which paths exist, and its disk and threads are watched"
        )
        yield Finding("isolation", "warn", detail, "Mend bubblewrap for the best tier.")
    yield from tried.values()


def try_tier(tier: Tier) -> Finding:
    """Start a sandbox and have its locks tried."""
    what = f"{tier} tier"
    try:
        with Sandbox(tier) as sandbox:
            with sandbox.control.spawn(WorkerLimits(), 30.0) as worker:
                succeeded = probe(worker)
            memory = memory_is_limited(sandbox)
            threads = sandbox.threads
    except (SandboxError, StudentError, WorkerDied) as error:
        reason = str(error).partition(f"({tier}: ")[2].removesuffix(")") or str(error)
        return Finding(what, "warn", f"does not work here: {reason}", MENDING[tier])
    if succeeded:
        return Finding(what, "bad", f"the locks do not hold: a worker could {', '.join(succeeded)}", MENDING[tier])
    if not memory:
        mend = "Do not grade here: a submission could take all of the machine's memory."
        return Finding(what, "bad", "a worker's memory is not limited", mend)
    if threads != 1:
        mend = "An import of an assignment starts threads; leave it to the cells that need it."
        return Finding(what, "bad", f"the fork server has {threads} threads, and could hang its workers", mend)
    return Finding(what, "ok", "works: files, network, processes and memory are closed off")


def memory_is_limited(sandbox: Sandbox) -> bool:
    """Whether a worker that asks for more than it may have is refused, rather than the machine filled."""
    with sandbox.control.spawn(WorkerLimits(memory_mb=PROBE_MEMORY_MB), 30.0) as worker:
        worker.run("def allocate(megabytes): return len(bytearray(megabytes << 20))", "cell probe")
        try:
            worker.call("allocate", 2 * PROBE_MEMORY_MB)
        except StudentError as error:
            return isinstance(error, MemoryError)
        return False


def kernel() -> Iterator[Finding]:
    """What the kernel offers to lock a process in."""
    version = landlock_version()
    if version:
        missing = [gain for since, gain in LANDLOCK_GAINS.items() if version < since]
        gaps = f"; {', '.join(missing)} are left to seccomp and namespaces" if missing else ""
        yield Finding("Landlock", "ok", f"version {version} of its interface{gaps}")
    else:
        yield Finding("Landlock", "bad", "not in this kernel", MENDING["landlock"])
    actions = read("/proc/sys/kernel/seccomp/actions_avail")
    if "errno" in actions:
        yield Finding("seccomp", "ok", "filters of system calls")
    else:
        yield Finding("seccomp", "bad", "not in this kernel", "Use a kernel with CONFIG_SECCOMP_FILTER.")
    yield user_namespaces()


def user_namespaces() -> Finding:
    """Whether a user without privileges may make a namespace, which bubblewrap needs then."""
    forbidden = (
        read("/proc/sys/user/max_user_namespaces") == "0"
        or read("/proc/sys/kernel/unprivileged_userns_clone") == "0"
        or read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1"
    )
    if not forbidden:
        return Finding("user namespaces", "ok", "allowed")
    if os.geteuid() == 0:
        return Finding("user namespaces", "ok", "not for other users; root does without")
    return Finding("user namespaces", "warn", "not allowed here", MENDING["bubblewrap"])


def read(path: str) -> str:
    """What a file of the kernel's says; nothing if this kernel does not have it."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


# ---- machine


def machine() -> Iterator[Finding]:
    """Cores, memory, disk, GPU."""
    cores = len(os.sched_getaffinity(0))
    yield Finding("cores", "ok", f"{cores}: as many submissions are graded at once")
    available = (
        int(next(line.split()[1] for line in read("/proc/meminfo").splitlines() if "MemAvailable" in line)) << 10
    )
    needed = (1 + cores) * GIBIBYTE
    status: Status = "ok" if available >= needed else "warn"
    mend = "" if status == "ok" else "Grade fewer at once: course grade --workers 1."
    yield Finding("memory", status, f"{available / GIBIBYTE:.1f} GB free; grading takes about 1 GB for each core", mend)
    free = shutil.disk_usage(".").free
    status = "ok" if free >= GIBIBYTE else "warn"
    yield Finding(
        "disk", status, f"{free / GIBIBYTE:.1f} GB free", "" if status == "ok" else "Make room: verdicts are kept."
    )
    if torch.cuda.is_available():
        yield Finding("GPU", "ok", f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}")
    else:
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU only"
        yield Finding("GPU", "ok", f"none that this PyTorch can use (it is built for {built}): grading runs on the CPU")


# ---- software


def software() -> Iterator[Finding]:
    """Versions, and what is only needed for some commands."""
    yield Finding("Python", "ok", platform.python_version())
    for name in PACKAGES:
        version = installed(name)
        yield Finding(
            name, "ok" if version else "bad", version or "not installed", "" if version else "Run `make setup`."
        )
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser:
        yield Finding("browser", "ok", browser)
    else:
        mend = "Only the browser tests need one: run `sudo apt-get install chromium`."
        yield Finding("browser", "warn", "no Chromium", mend)
    version = installed("ray")
    yield Finding("ray", "ok", version or "not installed; only `--engine ray` needs it")


def installed(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
