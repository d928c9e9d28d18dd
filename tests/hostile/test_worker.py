"""Submissions that attack the sandbox itself, each in every tier that this machine can run.

A folder of `worker/` is one attack: `submission.py` with a function `attack(context)`, and `expected.toml`:

    does            what it tries, in words
    ends            how the call ends: "returned", "raised" (StudentError), "died" (WorkerDied), "spied" (the test's own
                    AssertionError comes through) or "any" of them
    matches         a regular expression for the reason, the error's text, or the repr of what was returned
    timeout         whether it died at the time limit
    at_most         the largest number that may be returned
    may             tries, of those that a returned dict names, that may succeed
    equals_nothing  what was returned equals no other value
    output_at_most_mb
    [limits]        seconds for a call, and fields of WorkerLimits
    [bubblewrap], [landlock]    what is different in that tier

Whatever the attack: the grader's secret is in nothing that comes back, other workers and the fork server answer, no process is
left, nobody called on the grader's sockets, and the grader's own memory stays bounded.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autograder.sandbox import Sandbox, StudentError, Worker, WorkerDied, WorkerLimits
from tests.sandbox.processes import eventually, memory, reset_peak, workers_of
from tests.sandbox.tiers import AVAILABLE, running

CASES = sorted(path.parent for path in (Path(__file__).parent / "worker").glob("*/expected.toml"))
SECRET = "the-secret-of-the-grader"
SECONDS_PER_CALL = 10.0
MEMORY = 700 << 20  # what a message of the largest size may cost the grader, with its copies


@dataclass
class Host:
    """What an attack may try to reach."""

    secret: Path
    listener: socket.socket
    abstract: str
    bystanders: dict[str, Worker] = field(default_factory=dict)

    def bystander(self, tier: str) -> Worker:
        if tier not in self.bystanders:
            worker = self.bystanders[tier] = running(tier).control.spawn(WorkerLimits(), SECONDS_PER_CALL)
            worker.run("def answer(): return 42", "cell 1")
        return self.bystanders[tier]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    secret = tmp_path_factory.mktemp("private") / "secret.txt"
    secret.write_text(SECRET)
    abstract = f"grader-{os.getpid()}"
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as named:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        named.bind(f"\0{abstract}")
        named.listen()
        host = Host(secret, listener, abstract)
        yield host
        for worker in host.bystanders.values():
            worker.end()
        for ears in (listener, named):
            ears.setblocking(False)
            with pytest.raises(BlockingIOError):
                ears.accept()


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def context_for(host: Host) -> dict[str, Any]:
    """What the attack is called with."""

    def spy(x: Any) -> None:
        raise AssertionError("a finding")

    return {
        "callback": lambda x: x * 2,
        "apply": lambda function, *arguments: function(*arguments),
        "spy": spy,
        "critic": Critic(),
        "tensor": torch.ones(3, requires_grad=True),
        "secret": str(host.secret),
        "grader": __file__,
        "pid": os.getpid(),
        "port": host.listener.getsockname()[1],
        "abstract": host.abstract,
    }


def run(worker: Worker, source: str, context: dict[str, Any]) -> tuple[str, Any]:
    """How the attack ends, and with what."""
    try:
        worker.run(source, "cell 1")
        result = worker.call("attack", context)
        if isinstance(result, torch.Tensor) and result.requires_grad:
            result.sum().backward()
        return "returned", result
    except StudentError as error:
        return "raised", error
    except WorkerDied as death:
        return "died", death
    except AssertionError as error:
        return "spied", error


def expectation(case: Path, tier: str) -> dict[str, Any]:
    expected = tomllib.loads((case / "expected.toml").read_text("utf-8"))
    return expected | expected.get(tier, {})


@pytest.mark.parametrize("tier", AVAILABLE)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_attack(host: Host, case: Path, tier: str) -> None:
    expected = expectation(case, tier)
    limits = dict(expected.get("limits", {}))
    bystander, control = host.bystander(tier), running(tier).control
    descriptors = len(os.listdir("/proc/self/fd"))
    reset_peak()
    before = memory("VmRSS")
    seconds = limits.pop("seconds", SECONDS_PER_CALL)
    context = context_for(host)
    weights = context["critic"].layer.weight.clone()
    with control.spawn(WorkerLimits(**limits), seconds) as worker:
        ends, result = run(worker, (case / "submission.py").read_text("utf-8"), context)
        output = worker.output(1 << 20)
        assert os.fstat(worker._output).st_size <= expected.get("output_at_most_mb", 8) << 20
    check(expected, ends, result)

    assert memory("VmHWM") - before < MEMORY
    assert SECRET not in repr(result) + output
    assert host.secret.read_text() == SECRET
    assert torch.equal(context["critic"].layer.weight, weights)
    assert context["critic"].training
    assert bystander.call("answer") == 42
    assert next_worker_answers(running(tier))
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert eventually(lambda: len(workers_of(running(tier))) == 1), "a process is left"


def check(expected: dict[str, Any], ends: str, result: Any) -> None:
    """Compare how an attack ended with what is expected."""
    text = str(result) if isinstance(result, BaseException) else repr(result)
    assert expected["ends"] in (ends, "any"), f"{ends}: {text[:300]}"
    assert re.search(expected.get("matches", ""), text, re.DOTALL), text[:300]
    if expected["ends"] == "died":
        assert result.timeout == expected.get("timeout", False)
    if "at_most" in expected:
        assert result <= expected["at_most"]
    if isinstance(result, dict):
        done = {
            name: text
            for name, text in result.items()
            if text.startswith("done") and name not in expected.get("may", ())
        }
        assert not done
    if expected.get("equals_nothing"):
        assert result != 42
        assert result != "anything"


def next_worker_answers(sandbox: Sandbox) -> bool:
    with sandbox.control.spawn(WorkerLimits(), SECONDS_PER_CALL) as worker:
        worker.run("import torch\ndef f(x): return x + 1", "cell 1")
        return bool(torch.equal(worker.call("f", torch.ones(2)), torch.full((2,), 2.0)))
