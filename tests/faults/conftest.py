"""A released course in which one student is graded, and what a second one hands in, with each kind of gradebook."""

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from autograder.course import Course
from autograder.gradebook.settings import DATABASE
from autograder.release import build_notebook, release
from tests.faults.road import travel
from tests.mini_course import REPOSITORY, make_course
from tests.postgres import Server, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server."""
    with server() as running:
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Server | None:
    """The server that holds the gradebook; None where it is a file in the course's folder."""
    return request.getfixturevalue("postgres") if request.param == "postgresql" else None


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory, databases: Server | None) -> Path:
    """A folder with a released course in which ben is graded, and an archive with the submission of ada."""
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as environment:  # which other tests must not meet
        set_apart(environment, folder)
        if databases is not None:
            environment.setenv(DATABASE, databases.create("original"))
        course = make_course(folder / "course")
        shutil.copy(REPOSITORY / "nbgrader_config.py", course.root)
        release(course, ["mini"])
        for student, points in (("ben", (1.5, 0)), ("ada", (2, 3))):
            with zipfile.ZipFile(folder / f"{student}.zip", "w") as archive:
                archive.writestr(f"{student}/mini.ipynb", nbformat.writes(_filled_in(course, *points)))
        travel(course.root, folder / "ben.zip")
    return folder


def set_apart(environment: pytest.MonkeyPatch, folder: Path) -> None:
    """No settings but the course's own."""
    environment.setenv("JUPYTER_CONFIG_DIR", str(folder / "jupyter"))
    environment.setenv("PYTHONPATH", str(REPOSITORY))


@pytest.fixture
def fresh(
    released: Path, tmp_path: Path, databases: Server | None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Makes a new copy of that folder, gradebook included, in the place of the last."""
    set_apart(monkeypatch, released)

    def copy() -> Path:
        if databases is not None:
            monkeypatch.setenv(DATABASE, databases.create("copy", "original"))
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(released, tmp_path / "copy")
        return tmp_path / "copy"

    return copy


def _filled_in(course: Course, square: float, shift: float) -> nbformat.NotebookNode:
    notebook = build_notebook(course.assignment("mini"))
    sources = {
        "square": f"def square(x):\n    # square: {square}\n    return x",
        "Shift": f"# Shift: {shift}\nclass Shift: pass",
    }
    for cell in notebook.cells:
        cell.source = sources.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return notebook
