"""Verdicts on the real assignment `vae`."""

from pathlib import Path

import nbformat
import pytest

from autograder.course import Assignment
from autograder.grade import Grader
from autograder.reference import reference_notebook, reference_script
from autograder.submission import read_submission
from autograder.verdict import Verdict


@pytest.fixture
def vae(vae_grader: Grader) -> Assignment:
    return vae_grader.assignment


def verdict(vae_grader: Grader, path: Path) -> Verdict:
    return vae_grader.verdict(read_submission(path, vae_grader.assignment))


def test_the_reference_earns_everything_as_script_and_as_notebook(
    vae: Assignment, vae_grader: Grader, tmp_path: Path
) -> None:
    script, notebook = tmp_path / "script" / "vae.py", tmp_path / "notebook" / "vae.ipynb"
    script.parent.mkdir()
    notebook.parent.mkdir()
    script.write_text(reference_script(vae), "utf-8")
    nbformat.write(reference_notebook(vae), notebook)
    first, second = verdict(vae_grader, script), verdict(vae_grader, notebook)
    assert first.earned == first.points == 40
    assert first == second


def test_the_untouched_starter_earns_nothing(vae: Assignment, vae_grader: Grader) -> None:
    assert verdict(vae_grader, vae.starter_path).earned == 0


def test_a_deleted_exercise_costs_itself_only(vae: Assignment, vae_grader: Grader, tmp_path: Path) -> None:
    """Later exercises have it as a default argument."""
    cells = reference_script(vae).split("# %%")
    kept = [cell for cell in cells if "def kl_divergence(" not in cell]
    assert len(kept) == len(cells) - 1
    (tmp_path / "vae.py").write_text("# %%".join(kept), "utf-8")
    result = verdict(vae_grader, tmp_path / "vae.py")
    assert result.earned == result.points - result.exercise("kl_divergence").points
    assert result.exercise("kl_divergence").error == "`kl_divergence` is not defined in the submission."
