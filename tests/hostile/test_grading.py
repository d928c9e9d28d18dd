"""Hostile submissions to `vae`, graded as any other: none gains a point, or carries a private byte into its verdict.

A case is a folder in `grading/`: the submission, and `expected.toml` with what it earns honestly. The first ones win full marks
in stock nbgrader, without leaving their kernel.
"""

import json
import tomllib
from pathlib import Path

import pytest

from autograder.engines.job import Job
from autograder.grade import Grader
from autograder.leaks import leaks
from autograder.reference import reference_script
from autograder.submission import find_submission, read_submission

CASES = sorted(path.parent for path in Path(__file__).parent.glob("grading/*/expected.toml"))


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_a_cheat_earns_what_it_deserves_and_learns_nothing(vae_grader: Grader, folder: Path, tmp_path: Path) -> None:
    expected = tomllib.loads((folder / "expected.toml").read_text())
    assignment = vae_grader.assignment
    submission = read_submission(find_submission(folder, assignment), assignment)
    ((_, verdict),) = vae_grader.engine.verdicts([Job(submission)])
    assert verdict.failure is None
    assert verdict.earned == expected["earned"]
    assert {result.name for result in verdict.exercises} == {exercise.name for exercise in assignment.exercises}
    document = verdict.to_json()
    (tmp_path / "verdict.json").write_text(document)
    assert leaks(assignment.course, tmp_path) == []
    assert assignment.course.root.joinpath("course.seed").read_text().strip() not in document
    assert json.loads(document)["points"] == assignment.points
    assert submission.problem is None


def test_afterwards_honest_work_still_earns_everything(vae_grader: Grader, tmp_path: Path) -> None:
    (tmp_path / "vae.py").write_text(reference_script(vae_grader.assignment), "utf-8")
    submission = read_submission(tmp_path / "vae.py", vae_grader.assignment)
    ((_, verdict),) = vae_grader.engine.verdicts([Job(submission)])
    assert verdict.earned == verdict.points
