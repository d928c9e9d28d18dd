"""A grader that is killed, at every step of the road: nothing is lost, nothing is graded twice, the next run goes on."""

import os
import shutil
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from autograder.course import Course
from autograder.release import build_notebook, release
from tests.faults.road import in_a_process, outcome, travel
from tests.mini_course import REPOSITORY, make_course


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a released course in which ben is graded, and an archive with the submission of ada."""
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JUPYTER_CONFIG_DIR", str(folder / "jupyter"))  # no settings but the course's own
        environment.setenv("PYTHONPATH", str(REPOSITORY))
        course = make_course(folder / "course")
        shutil.copy(REPOSITORY / "nbgrader_config.py", course.root)
        release(course, ["mini"])
        for student, points in (("ben", (1.5, 0)), ("ada", (2, 3))):
            with zipfile.ZipFile(folder / f"{student}.zip", "w") as archive:
                archive.writestr(f"{student}/mini.ipynb", nbformat.writes(filled_in(course, *points)))
        travel(course.root, folder / "ben.zip")
        yield folder


def filled_in(course: Course, square: float, shift: float) -> nbformat.NotebookNode:
    notebook = build_notebook(course.assignment("mini"))
    sources = {
        "square": f"def square(x):\n    # square: {square}\n    return x",
        "Shift": f"# Shift: {shift}\nclass Shift: pass",
    }
    for cell in notebook.cells:
        cell.source = sources.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return notebook


def copy_of(released: Path, tmp_path: Path) -> Path:
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    shutil.copytree(released, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_road_that_is_cut_anywhere_can_be_gone_again(released: Path, tmp_path: Path) -> None:
    def go(folder: Path, kill_at: int | None = None) -> tuple[int, int]:
        root = folder / "course"
        return in_a_process(lambda: travel(root, folder / "ada.zip"), kill_at=kill_at, below=root)

    before = outcome(copy_of(released, tmp_path) / "course")
    whole = copy_of(released, tmp_path)
    status, steps = go(whole)
    assert status == 0
    assert steps > 50
    expected = outcome(whole / "course")
    assert expected["scores"]["ada"] == ({"square": 2.0, "Shift": 3.0, "why_squares": 0.0}, 0.0)
    for step in range(1, steps + 1):
        folder = copy_of(released, tmp_path)
        status, made = go(folder, kill_at=step)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert made == step
        assert outcome(folder / "course")["scores"]["ben"] == before["scores"]["ben"], f"cut before step {step}: ben"
        assert go(folder)[0] == 0, f"cut before step {step}: the next run fails"
        assert outcome(folder / "course") == expected, f"cut before step {step}: it leaves its mark"
