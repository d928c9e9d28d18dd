"""Verdicts on the real assignment `vae`."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from autograder.course import Assignment, Course
from autograder.grade import Grader
from autograder.reference import reference_notebook, reference_script
from autograder.submission import read_submission
from autograder.verdict import Verdict
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def vae() -> Assignment:
    return Course.load(REPOSITORY).assignment("vae")


@pytest.fixture(scope="module")
def grader(vae: Assignment) -> Iterator[Grader]:
    with Grader(vae, force=True) as grader:
        yield grader


def verdict(grader: Grader, path: Path) -> Verdict:
    return grader.verdict(read_submission(path, grader.assignment))


def test_the_reference_earns_everything_as_script_and_as_notebook(
    vae: Assignment, grader: Grader, tmp_path: Path
) -> None:
    script, notebook = tmp_path / "script" / "vae.py", tmp_path / "notebook" / "vae.ipynb"
    script.parent.mkdir()
    notebook.parent.mkdir()
    script.write_text(reference_script(vae), "utf-8")
    nbformat.write(reference_notebook(vae), notebook)
    first, second = verdict(grader, script), verdict(grader, notebook)
    assert first.earned == first.points == 40
    assert first == second


def test_the_untouched_starter_earns_nothing(vae: Assignment, grader: Grader) -> None:
    assert verdict(grader, vae.starter_path).earned == 0


def test_a_deleted_exercise_costs_itself_only(vae: Assignment, grader: Grader, tmp_path: Path) -> None:
    """Later exercises have it as a default argument."""
    cells = reference_script(vae).split("# %%")
    kept = [cell for cell in cells if "def kl_divergence(" not in cell]
    assert len(kept) == len(cells) - 1
    (tmp_path / "vae.py").write_text("# %%".join(kept), "utf-8")
    result = verdict(grader, tmp_path / "vae.py")
    assert result.earned == result.points - result.exercise("kl_divergence").points
    assert result.exercise("kl_divergence").error == "`kl_divergence` is not defined in the submission."
