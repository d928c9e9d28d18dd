"""Submissions to `vae` that cheat, graded as any other: the family `grading`.

A case is what a student hands in, and `expected.toml`:

    about     what it tries, in words
    earned    what its code earns honestly
    problem   a regular expression for why nothing of it could be read, if so
    notes     a regular expression for what the verdict says beside the results, if something

The first ones win full marks in stock nbgrader, without leaving their kernel.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from autograder.engines.job import Job
from autograder.grade import Grader
from autograder.leaks import leaks
from autograder.reference import reference_script
from autograder.submission import Submission, find_submission, read_submission
from tests.hostile.cases import Case, Finding
from tests.sandbox.processes import below, eventually


class Grading:
    """A grader for hostile submissions, and an honest one beside them."""

    def __init__(self, grader: Grader) -> None:
        self.grader = grader
        self.assignment = grader.assignment
        self._seed = grader.assignment.course.root.joinpath("course.seed").read_text().strip()

    def read(self, folder: Path) -> Submission:
        return read_submission(find_submission(folder, self.assignment), self.assignment)

    def cheat(self, case: Case) -> Finding:
        """Grade one case."""
        before = self.processes()
        ((_, verdict),) = self.grader.engine.verdicts([Job(submission := self.read(case.folder))])
        document = verdict.to_json()
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "verdict.json").write_text(document, "utf-8")
            leaked = leaks(self.assignment.course, Path(scratch))
        earned = case.expected["earned"]
        wrong = [] if verdict.failure is None else [f"the grader failed: {verdict.failure}"]
        if verdict.earned < earned:
            wrong.append(f"earned {verdict.earned} of the {earned} points that it deserves")
        if [result.name for result in verdict.exercises] != [exercise.name for exercise in self.assignment.exercises]:
            wrong.append("not every exercise has a result")
        if not re.search(case.expected.get("problem", "^$"), submission.problem or "", re.DOTALL):
            wrong.append(f"read with the problem: {submission.problem}")
        if not re.search(case.expected.get("notes", ""), "\n".join(verdict.notes), re.DOTALL):
            wrong.append(f"the verdict's notes are {verdict.notes}")
        harmed = () if self.honest_work_earns_everything() else ("an honest submission",)
        eventually(lambda: self.processes() <= before)
        return Finding(
            points_gained=max(0.0, round(verdict.earned - earned, 4)),
            private_bytes_read=sum(map(len, leaked)) + len(self._seed) * (self._seed in document),
            bystanders_harmed=harmed,
            processes_left=len(self.processes() - before),
            otherwise="; ".join(wrong),
        )

    def honest_work_earns_everything(self, exercises: tuple[str, ...] | None = ("kl_divergence",)) -> bool:
        """Whether a right answer, graded now by the same processes, is one."""
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, "vae.py").write_text(reference_script(self.assignment), "utf-8")
            ((_, verdict),) = self.grader.engine.verdicts([Job(self.read(Path(scratch)), exercises)])
        return bool(verdict.exercises) and all(result.earned == result.points for result in verdict.exercises)

    def processes(self) -> set[int]:
        """The engine's process and all below it."""
        found = {self.grader.engine._process.pid}
        while more := below(found) - found:
            found |= more
        return found
