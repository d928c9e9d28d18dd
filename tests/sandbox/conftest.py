"""Real workers: every test that takes `worker` or `load` runs in each tier that this machine can run."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autograder.sandbox import Sandbox, Worker, WorkerLimits
from tests.sandbox.tiers import AVAILABLE, running

SECONDS_PER_CALL = 20.0


@pytest.fixture(scope="session", params=AVAILABLE)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return running(request.param)


@pytest.fixture
def spawn(sandbox: Sandbox) -> Iterator[Callable[..., Worker]]:
    """Makes workers, which end with the test."""
    workers = []

    def spawn(source: str = "", *, seconds: float = SECONDS_PER_CALL, **limits: Any) -> Worker:
        workers.append(worker := sandbox.control.spawn(WorkerLimits(**limits), seconds))
        worker.run(textwrap.dedent(source), "cell 1")
        return worker

    yield spawn
    for worker in workers:
        worker.end()


class Loaded:
    """A submission whose names are attributes."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.worker.call(name, *args, **kwargs)


@pytest.fixture
def load(spawn: Callable[..., Worker]) -> Callable[..., Any]:
    """Runs a submission in a fresh worker; what it defines are attributes of the result."""
    return lambda source, **limits: Loaded(
        spawn("import torch\nfrom torch import nn\n" + textwrap.dedent(source), **limits)
    )
