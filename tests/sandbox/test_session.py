"""The sandbox as a whole: tiers, what it takes to start one, what is left when it ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.sandbox import Sandbox, SandboxError, Worker, WorkerLimits
from autograder.sandbox import session as session_module
from autograder.sandbox.allowlist import bubblewrap, library_paths, without_private
from autograder.sandbox.probe import probe
from tests.sandbox.tiers import AVAILABLE

Spawn = Callable[..., Worker]
REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534


def test_this_machine_can_isolate() -> None:
    """A grader without any real tier refuses to grade, so its tests must not pass in silence either."""
    assert AVAILABLE


def test_the_locks_hold(spawn: Spawn) -> None:
    assert probe(spawn()) == []


def test_without_locks_the_probe_says_so() -> None:
    with Sandbox("none") as sandbox, sandbox.control.spawn(WorkerLimits(), 10.0) as worker:
        succeeded = probe(worker)
    assert {"read the grader's files", "open a network socket", "start a process", "run a program"} <= set(succeeded)


def test_a_tier_whose_locks_do_not_hold_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "probe", lambda worker: ["read the grader's files"])
    with pytest.raises(SandboxError, match="a worker could read the grader's files"):
        Sandbox(AVAILABLE[-1])


def test_without_a_tier_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "unavailable", lambda tier: f"no {tier} here")
    with pytest.raises(SandboxError, match="bubblewrap: no bubblewrap here; landlock: no landlock here"):
        Sandbox()


def test_the_next_tier_is_taken_and_the_reason_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    real = session_module.unavailable
    monkeypatch.setattr(session_module, "unavailable", lambda tier: "broken" if tier == "bubblewrap" else real(tier))
    if "landlock" not in AVAILABLE:
        with pytest.raises(SandboxError, match="bubblewrap: broken"):
            Sandbox()
        return
    with Sandbox() as sandbox:
        assert sandbox.tier == "landlock"
        assert sandbox.reasons == {"bubblewrap": "broken"}


def test_packages_and_data_can_be_used_and_nothing_else(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    (kit / "__pycache__").mkdir(parents=True)
    (kit / "__init__.py").write_text("ANSWER = 42")
    data, private = tmp_path / "data", tmp_path / "private"
    for folder in (data, private):
        folder.mkdir()
        (folder / "file").write_text("1 2 3")
        folder.chmod(0o755)
    with Sandbox(AVAILABLE[0], packages=[kit], data=[data], preload=["kit", "no_such_module"]) as sandbox:
        assert sandbox.not_preloaded == ["no_such_module"]
        assert sandbox.threads == 1
        with sandbox.control.spawn(WorkerLimits(), 10.0) as worker:
            worker.run(
                "import kit\ndef read(path): return open(path).read()\ndef answer(): return kit.ANSWER", "cell 1"
            )
            assert worker.call("answer") == 42
            assert worker.call("read", str(data / "file")) == "1 2 3"
            with pytest.raises(OSError):
                worker.call("read", str(private / "file"))


def test_a_closed_sandbox_leaves_nothing(tmp_path: Path) -> None:
    sandbox = Sandbox("none")
    stage = sandbox._stage.name
    sandbox.control.spawn(WorkerLimits(), 5.0)
    sandbox.close()
    assert sandbox._process.poll() is not None
    assert not os.path.exists(stage)


GRADER = """
from autograder.sandbox import Sandbox
sandbox = Sandbox("none")
print(sandbox._process.pid, sandbox._stage.name, flush=True)
input()
"""


def test_a_fork_server_ends_with_its_grader() -> None:
    """Also when the grader is killed and can close nothing."""
    grader = subprocess.Popen(
        [sys.executable, "-c", GRADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert grader.stdout is not None
    pid, stage = grader.stdout.readline().split()
    handle = os.pidfd_open(int(pid))
    grader.kill()
    grader.communicate()
    assert select.select([handle], [], [], 20)[0]
    os.close(handle)
    shutil.rmtree(stage)


class TestCommandLine:
    def test_binds_an_allow_list_read_only(self) -> None:
        command = bubblewrap([*library_paths(), "/usr/share"], "/stage", root=True)
        assert "--ro-bind" in command
        assert "--bind" not in command
        assert not {"/", "/home", "/root", "/etc", str(REPOSITORY)} & {
            command[i + 1] for i, word in enumerate(command) if word == "--ro-bind"
        }

    def test_as_root_needs_no_user_namespace(self) -> None:
        command = bubblewrap([], "/stage", root=True)
        assert "--unshare-user" not in command
        assert "CAP_SETUID" in command

    def test_otherwise_is_user_0_of_a_user_namespace(self) -> None:
        command = bubblewrap([], "/stage", root=False)
        assert "--unshare-user" in command
        assert command[command.index("--uid") + 1] == "0"
        assert "CAP_SETUID" not in command


def test_an_installed_private_side_is_taken_out(tmp_path: Path) -> None:
    for name in ("torch", "autograder", "solutions"):
        (tmp_path / name).mkdir()
    assert without_private([str(tmp_path), "/usr/lib"]) == [str(tmp_path / "torch"), "/usr/lib"]


UNPRIVILEGED = """
import json, os
from autograder.sandbox import Sandbox, WorkerLimits
from autograder.sandbox.session import unavailable
found = {"unavailable": unavailable("bubblewrap")}
with Sandbox() as sandbox, sandbox.control.spawn(WorkerLimits(), 20.0) as worker:
    worker.run('''
import os, threading, time
def user(): return os.getuid(), os.getpid()
def threads():
    try:
        for count in range(1000): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
    except RuntimeError: pass
    return threading.active_count()
''', "cell 1")
    found |= {"tier": sandbox.tier, "reasons": sandbox.reasons, "user": worker.call("user")}
    if sandbox.tier == "bubblewrap":
        found["threads"] = worker.call("threads")
print(json.dumps(found))
"""


def as_nobody(python: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a user without privileges."""
    packages = Path(torch.__file__).parents[1]
    environment = {"PYTHONPATH": f"{REPOSITORY}:{packages}", "OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"]}
    someone = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(
        [python, "-P", "-c", script], env=environment, cwd="/", capture_output=True, text=True, **someone
    )  # type: ignore[call-overload]


def can_run(python: str, script: str) -> bool:
    """Whether that user can. The interpreter may lie where only its owner may read, the system's seldom does."""
    try:
        return as_nobody(python, script).returncode == 0
    except OSError:
        return False


def test_without_privileges() -> None:
    """In a user namespace, if users may make one; a worker is then user 0 of it, and process 1."""
    pythons = [sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"]
    python = next(python for python in pythons if can_run(python, "import torch, autograder"))
    result = as_nobody(python, UNPRIVILEGED)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    if found["unavailable"] is None:
        assert found["tier"] == "bubblewrap"
        assert found["user"] == [0, 1]
        assert found["threads"] <= 256
    else:
        assert found["tier"] == "landlock"
        assert found["reasons"]["bubblewrap"] == found["unavailable"]
