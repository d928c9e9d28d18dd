"""Attacks on the sandbox itself: the family `worker`.

A case is `submission.py` with a function `attack(context)`, and `expected.toml`:

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

import contextlib
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autograder.sandbox import Sandbox, StudentError, Worker, WorkerDied, WorkerLimits
from tests.hostile.cases import Case, Finding
from tests.sandbox.processes import eventually, memory, reset_peak, workers_of
from tests.sandbox.tiers import running

SECRET = "the-secret-of-the-grader"
SECONDS_PER_CALL = 10.0
MEMORY = 700 << 20  # what a message of the largest size may cost the grader, with its copies


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@dataclass
class Host:
    """What an attack may try to reach."""

    secret: Path
    listener: socket.socket
    named: socket.socket
    abstract: str
    bystanders: dict[str, Worker] = field(default_factory=dict)

    def bystander(self, tier: str) -> Worker:
        """A worker of somebody else's, which has to go on."""
        if tier not in self.bystanders:
            worker = self.bystanders[tier] = running(tier).control.spawn(WorkerLimits(), SECONDS_PER_CALL)
            worker.run("def answer(): return 42", "cell 1")
        return self.bystanders[tier]

    def was_called_on(self) -> bool:
        """Whether somebody connected to its sockets since it was last asked."""
        called = False
        for ears in (self.listener, self.named):
            with contextlib.suppress(BlockingIOError):
                ears.accept()[0].close()
                called = True
        return called


@contextlib.contextmanager
def grading_host() -> Iterator[Host]:
    """A grader with a secret on its disk and two open ears."""
    abstract = f"grader-{os.getpid()}"
    with (
        tempfile.TemporaryDirectory(prefix="private-") as private,
        socket.socket() as listener,
        socket.socket(socket.AF_UNIX) as named,
    ):
        secret = Path(private, "secret.txt")
        secret.write_text(SECRET)
        listener.bind(("127.0.0.1", 0))
        named.bind(f"\0{abstract}")
        for ears in (listener, named):
            ears.listen()
            ears.setblocking(False)
        host = Host(secret, listener, named, abstract)
        try:
            yield host
        finally:
            for worker in host.bystanders.values():
                worker.end()


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


def attack(case: Case, host: Host, tier: str) -> Finding:
    """Run one case in one tier."""
    expected = case.expected | case.expected.get(tier, {})
    limits = dict(expected.get("limits", {}))
    bystander, control = host.bystander(tier), running(tier).control
    descriptors = len(os.listdir("/proc/self/fd"))
    reset_peak()
    before = memory("VmRSS")
    seconds = limits.pop("seconds", SECONDS_PER_CALL)
    context = context_for(host)
    weights = context["critic"].layer.weight.clone()
    with control.spawn(WorkerLimits(**limits), seconds) as worker:
        ends, result = ending(worker, (case.folder / "submission.py").read_text("utf-8"), context)
        output = worker.output(1 << 20)
        printed = os.fstat(worker._output).st_size
    wrong = complaints(expected, ends, result)
    if printed > expected.get("output_at_most_mb", 8) << 20:
        wrong.append(f"{printed} bytes of output were kept")
    if (grown := memory("VmHWM") - before) > MEMORY:
        wrong.append(f"the grader grew by {grown >> 20} MB")
    harmed = {
        "another worker": not answers(bystander),
        "the next worker": not next_answers(running(tier)),
        "the grader's file": host.secret.read_text() != SECRET,
        "the grader's module": not (
            torch.equal(context["critic"].layer.weight, weights) and context["critic"].training
        ),
        "the grader's sockets": host.was_called_on(),
        "the grader's descriptors": len(os.listdir("/proc/self/fd")) > descriptors,
    }
    eventually(lambda: len(workers_of(running(tier))) == 1)
    return Finding(
        private_bytes_read=len(SECRET) * (SECRET in repr(result) + output),
        bystanders_harmed=tuple(name for name, is_harmed in harmed.items() if is_harmed),
        processes_left=len(workers_of(running(tier))) - 1,  # the bystander
        otherwise="; ".join(wrong),
    )


def ending(worker: Worker, source: str, context: dict[str, Any]) -> tuple[str, Any]:
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


def complaints(expected: dict[str, Any], ends: str, result: Any) -> list[str]:
    """What is not as expected about how an attack ended."""
    text = str(result) if isinstance(result, BaseException) else repr(result)
    found = []
    if expected["ends"] not in (ends, "any") or not re.search(expected.get("matches", ""), text, re.DOTALL):
        found.append(f"{ends}: {text[:300]}")
    elif expected["ends"] == "died" and result.timeout != expected.get("timeout", False):
        found.append(f"died {'at the time limit' if result.timeout else 'before the time limit'}: {text[:300]}")
    if "at_most" in expected and not (isinstance(result, int | float) and result <= expected["at_most"]):
        found.append(f"returned {text[:80]}, at most {expected['at_most']} was expected")
    if isinstance(result, dict):
        found += [
            f"{name}: {said}"
            for name, said in result.items()
            if isinstance(said, str) and said.startswith("done") and name not in expected.get("may", ())
        ]
    if expected.get("equals_nothing") and any(result == value for value in (42, "anything")):
        found.append("what was returned equals another value")
    return found


def answers(bystander: Worker) -> bool:
    """Whether another worker goes on."""
    try:
        return bool(bystander.call("answer") == 42)
    except WorkerDied:
        return False


def next_answers(sandbox: Sandbox) -> bool:
    """Whether the fork server goes on."""
    with sandbox.control.spawn(WorkerLimits(), SECONDS_PER_CALL) as worker:
        worker.run("def answer(): return 42", "cell 1")
        return answers(worker)
