"""Stock nbgrader with the same properties: what a course has that runs its hidden tests in the student's kernel.

The notebook is the released one; only the sources of its grade cells differ. There nbgrader's own Execute runs each cell in
the student's kernel, and the cell calls the properties of its exercise on whatever the kernel's globals hold. Hands-on cells,
which train for about a minute and which `course grade` does not run either, are taken out: what is compared is grading.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.course import Assignment, Course
from autograder.exercise import HANDS_ON
from autograder.release import build_notebook

HERE = Path(__file__).resolve().parents[1]

CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "stock"
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ExecutePreprocessor.timeout = 120
"""


def grade_exercise(root: str, slug: str, exercise: str, namespace: dict[str, Any]) -> float:
    """Inside a kernel: the points of one exercise, by the hidden properties, called on the kernel's own objects."""
    from autograder.properties.plugin import examine
    from autograder.properties.suite import Suite, load_suite

    course = Course.load(Path(root))
    whole = load_suite(course.assignment(slug))
    suite = Suite(whole.assignment, whole.module, whole.reference, {exercise: whole.properties[exercise]})
    student = SimpleNamespace(**{name: value for name, value in namespace.items() if not name.startswith("_")})
    examination = examine(suite, student, seed=course.seed)
    return examination.exercise_results()[0].earned


def make_course(folder: Path, assignment: Assignment, submissions: dict[str, Path]) -> None:
    """A stock nbgrader course with the submissions in it."""
    folder.mkdir(parents=True)
    (folder / "nbgrader_config.py").write_text(CONFIG, "utf-8")
    notebook = build_notebook(assignment)
    for cell in notebook.cells:
        role = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and role.get("grade"):
            exercise = role["grade_id"].removeprefix("check_")
            arguments = f"{str(assignment.course.root)!r}, {assignment.slug!r}, {exercise!r}, globals()"
            cell.source = f"from benchmarks.stock import grade_exercise\ngrade_exercise({arguments})"
    source = folder / "source" / assignment.slug
    source.mkdir(parents=True)
    nbformat.write(notebook, source / f"{assignment.slug}.ipynb")
    nbgrader(folder, "generate_assignment", assignment.slug, "--force")
    released = nbformat.read(folder / "release" / assignment.slug / f"{assignment.slug}.ipynb", as_version=4)
    for student, path in submissions.items():
        target = folder / "submitted" / student / assignment.slug
        target.mkdir(parents=True)
        nbformat.write(filled(released, nbformat.read(path, as_version=4)), target / f"{assignment.slug}.ipynb")


def filled(released: NotebookNode, handed_in: NotebookNode) -> NotebookNode:
    """The released notebook with a student's answers in it, and without its hands-on cells."""
    answers = {cell.metadata["exercise"]: cell.source for cell in handed_in.cells if "exercise" in cell.metadata}
    notebook = copy.deepcopy(released)
    notebook.cells = [cell for cell in notebook.cells if HANDS_ON not in cell.metadata.get("tags", ())]
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = answers.get(name, cell.source)
    return notebook


def nbgrader(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run nbgrader in a course's folder, with what makes our own graders quick: one thread, no plugins of pytest."""
    quick = {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = {**os.environ, **quick, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def class_seconds(folder: Path, assignment: Assignment) -> float:
    """Wall seconds of `nbgrader autograde` for the whole class."""
    start = time.perf_counter()
    nbgrader(folder, "autograde", assignment.slug, "--force")
    return time.perf_counter() - start


def graded(folder: Path, assignment: Assignment) -> int:
    """How many submissions stock nbgrader got through: each leaves its notebook in `autograded/`."""
    return len(list((folder / "autograded").glob(f"*/{assignment.slug}/{assignment.slug}.ipynb")))
