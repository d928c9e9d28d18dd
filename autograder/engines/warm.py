"""The warm parent: a process that has torch, pytest, Hypothesis and the suite imported and forks a runner for each job.

It speaks with its engine over a pipe, in JSON documents:

    → {"root", "slug", "tier", "device", "workers"}
    ← {"isolation", "suite"}                          or {"error": sentence}
    → {"id", "submission", "exercises", …}            a job; it waits until one of the runners is free
    ← {"id", "verdict"} or {"id", "failure"}          in order of completion

A runner is trusted, but works with what a hostile worker tells it. So each runs in a process of its own, bounded in time, and
its end costs one job.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograder.course import Course
from autograder.errors import CourseError
from autograder.reference import reference_sources
from autograder.store import behaviours_directory

if TYPE_CHECKING:
    from autograder.properties.suite import Suite

GRACE_SECONDS = 60.0  # beyond a submission's own limit, for the trusted side's work


@dataclass
class Runner:
    """A forked process that computes one verdict, and the pipe it writes it to."""

    job: int
    pid: int
    pipe: int
    kill_at: float
    received: bytearray = field(default_factory=bytearray)


class WarmParent:
    """Forks runners and passes on what they find."""

    def __init__(self, connection: Connection, config: dict[str, Any]) -> None:
        from autograder.diagnose import Diagnosis
        from autograder.mistakes import known_mistakes
        from autograder.properties.suite import load_suite
        from autograder.sandbox import Sandbox, warmup

        course = Course.load(Path(config["root"]))
        self.assignment = course.assignment(config["slug"])
        self.device = config["device"]
        self.suite_digest = config["suite"]
        self.sandbox = Sandbox(
            config["tier"],
            packages=[course.root / "coursekit"],
            preload=self.assignment.starter.imports,
            meanwhile=warmup.import_torch,
        )
        self.suite = load_suite(self.assignment)
        self.diagnosis = Diagnosis(
            self.suite,
            known_mistakes(self.assignment),
            reference_sources(self.assignment),
            behaviours_directory(self.assignment, self.suite_digest, self.device),
        )
        _rehearse(self.suite)
        self.connection = connection
        self.workers = config["workers"]
        self.waiting: deque[dict[str, Any]] = deque()
        self.runners: dict[int, Runner] = {}
        warmup.settle()

    def serve(self) -> None:
        """Serve until the engine closes the pipe."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(timeout=1.0):
                    if key.fileobj is self.connection:
                        try:
                            self.waiting.append(json.loads(self.connection.recv_bytes()))
                        except EOFError:
                            return
                    elif self.read(key.data):
                        selector.unregister(key.data.pipe)
                        self.finish(key.data)
                while self.waiting and len(self.runners) < self.workers:
                    runner = self.fork(self.waiting.popleft())
                    selector.register(runner.pipe, selectors.EVENT_READ, runner)
                for runner in self.runners.values():
                    if time.monotonic() > runner.kill_at:
                        os.kill(runner.pid, signal.SIGKILL)  # its pipe closes, and the loop above finishes it

    def fork(self, job: dict[str, Any]) -> Runner:
        """Start a runner."""
        control = self.sandbox.connect()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self.run(job, control, writing)
        os.close(writing)
        control.close()  # the runner's copy remains; when the runner ends, so do its workers
        limit = self.assignment.limits.seconds_per_submission + GRACE_SECONDS
        runner = Runner(job["id"], pid, reading, time.monotonic() + limit)
        self.runners[pid] = runner
        return runner

    def run(self, job: dict[str, Any], control: Any, pipe: int) -> None:
        """The runner: compute, write, end. Never returns."""
        from autograder.engines.job import unpack_submission
        from autograder.engines.runner import compute
        from autograder.verdict import blank_verdict

        try:
            os.setpgid(0, 0)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nowhere, descriptor)
            self.connection.close()
            submission = unpack_submission(job["submission"])
            blank = blank_verdict(
                self.assignment,
                submission,
                isolation=self.sandbox.tier,
                device=self.device,
                suite=self.suite_digest,
            )
            names = job["exercises"]
            verdict = compute(
                self.suite if names is None else self.suite.only(names),
                submission,
                control,
                blank,
                self.diagnosis if job["diagnose"] else None,
                depth=job["depth"],
                seed=job["seed"].encode() if job["seed"] is not None else None,
            )
            answer = {"verdict": verdict.to_json()}
        except BaseException:
            answer = {"failure": traceback.format_exc(limit=-6)}
        with os.fdopen(pipe, "w", encoding="utf-8") as file:
            json.dump(answer, file)
        os._exit(0)

    def read(self, runner: Runner) -> bool:
        """Take what a runner wrote; whether that was all."""
        data = os.read(runner.pipe, 1 << 16)
        runner.received += data
        return not data

    def finish(self, runner: Runner) -> None:
        """Reap a runner and pass its answer on."""
        os.close(runner.pipe)
        _, status = os.waitpid(runner.pid, 0)
        del self.runners[runner.pid]
        try:
            answer = json.loads(bytes(runner.received))
        except ValueError:
            how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
            answer = {"failure": f"the process that grades it ended with {how}"}
        self.connection.send_bytes(json.dumps({"id": runner.job, **answer}).encode())

    def close(self) -> None:
        """End every runner and the sandbox."""
        for runner in self.runners.values():
            os.kill(runner.pid, signal.SIGKILL)
            os.waitpid(runner.pid, 0)
        self.sandbox.close()


def _rehearse(suite: Suite) -> None:
    """Question the reference once: what pytest, Hypothesis and torch find out only once, they find out here.

    Raises:
        CourseError: the reference itself does not earn everything. Then no submission can be graded fairly.
    """
    from autograder.properties.plugin import examine

    examination = examine(suite, suite.reference, seed=suite.assignment.course.seed)
    for result in examination.exercise_results():
        for item in result.properties:
            if item.outcome != "passed":
                raise CourseError(
                    f"the reference of {suite.assignment.slug} fails {result.name}.{item.name}: {item.message}; "
                    "mend the property or the reference before grading"
                )


def main(descriptor: int) -> None:
    """Configure, answer, serve."""
    connection = Connection(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine, which closes the pipe
    config = json.loads(connection.recv_bytes())
    sys.path.append(config["root"])  # last: nothing in the course's folder takes the place of an installed package
    from autograder.sandbox import SandboxError

    try:
        parent = WarmParent(connection, config)
    except (CourseError, SandboxError) as error:
        connection.send_bytes(json.dumps({"error": str(error)}).encode())
        return
    connection.send_bytes(json.dumps({"isolation": parent.sandbox.tier}).encode())
    try:
        parent.serve()
    finally:
        parent.close()
    sys.stderr.flush()
    os._exit(0)  # some libraries complain at length about being taken down
