"""What a worker may see: paths, and its environment. Everything else is not there."""

from __future__ import annotations

import os
import shutil
import site
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import torch

from autograder import SINGLE_THREADED

# In bubblewrap: where the sandbox's own package stands, and where each worker finds an empty folder to write to.
COURSE, SCRATCH = "/opt/course", "/scratch"
SYSTEM = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo"]
PRIVATE_PACKAGES = ("autograder", "solutions")  # never readable to a worker, wherever they are installed


def site_packages() -> list[str]:
    """The folders from which this interpreter imports installed packages; first the one where torch is."""
    torch_is_in = str(Path(torch.__file__).parents[1])
    paths = [torch_is_in, sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return [path for path in dict.fromkeys(map(os.path.realpath, paths)) if os.path.isdir(path)]


def library_paths() -> list[str]:
    """The interpreter's own library and the installed packages."""
    paths = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sysconfig.get_config_var("LIBDIR")]
    return [path for path in dict.fromkeys([*map(os.path.realpath, filter(None, paths)), *site_packages()])]


def without_private(libraries: list[str]) -> list[str]:
    """Library folders, with those that hold an installed copy of the course's private side taken apart.

    Landlock allows whole folders only: so such a folder is replaced by its entries, but for the private ones.
    """
    readable = []
    for folder in libraries:
        private = [name for name in PRIVATE_PACKAGES if os.path.exists(os.path.join(folder, name))]
        if private:
            readable += [os.path.join(folder, name) for name in os.listdir(folder) if name not in private]
        else:
            readable.append(folder)
    return readable


def stage_packages(stage: Path, packages: Sequence[Path]) -> None:
    """Copy the sandbox's own package, and those that workers may use, to where a worker may read."""
    here = Path(__file__).resolve().parent
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    (stage / here.parent.name).mkdir(parents=True)
    shutil.copy(here.parent / "__init__.py", stage / here.parent.name)
    shutil.copytree(here, stage / here.parent.name / here.name, ignore=skip)
    for package in packages:
        shutil.copytree(package, stage / package.name, ignore=skip)


def environment(home: str) -> dict[str, str]:
    """All that a worker's environment holds: nothing of the grader's own."""
    return {
        **SINGLE_THREADED,
        "PATH": "/usr/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "HF_HUB_OFFLINE": "1",
        "COURSEKIT_GRADING": "1",
    }


def bubblewrap(readable: Sequence[str], stage: str, *, root: bool) -> list[str]:
    """The bubblewrap command line: an allow-list, bound read-only into an empty file system.

    Args:
        readable: files and folders, beside those of the system.
        stage: the folder to find at `COURSE`.
        root: as root the fork server keeps the capabilities to make namespaces and to give each worker a user of its own.
            Otherwise it stands in a user namespace and has capabilities only there.
    """
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if not root:
        # As user 0 of the namespace, or bubblewrap nests a second one, into which no worker could be put.
        command += ["--unshare-user", "--uid", "0", "--gid", "0"]
    made: set[str] = set()
    for path in sorted({*SYSTEM, *readable}):
        if not os.path.exists(path):
            continue
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
            continue
        for parent in [*map(str, reversed(Path(path).parents))][1:]:
            if parent not in made and not any(parent == other or parent.startswith(other + "/") for other in readable):
                command += ["--dir", parent]  # said out loud: bubblewrap makes missing parents 0700
                made.add(parent)
        command += ["--ro-bind", path, path]
    if "/tmp" not in made:  # code may name it; but the grader itself may lie there
        command += ["--symlink", SCRATCH, "/tmp"]
    command += ["--dir", "/opt", "--ro-bind", stage, COURSE, "--proc", "/proc", "--dev", "/dev", "--dir", SCRATCH]
    command += ["--chdir", SCRATCH, "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    for capability in ("SYS_ADMIN", "SETPCAP", *(("SETUID", "SETGID", "SYS_RESOURCE") if root else ())):
        command += ["--cap-add", f"CAP_{capability}"]
    return [*command, "--"]
