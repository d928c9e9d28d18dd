"""Every assignment's notebook, with the reference's answers filled in, runs from top to bottom as a student runs it."""

import ast
import shutil
from pathlib import Path

import nbclient
import pytest
from nbformat import NotebookNode

from autograder.course import Assignment, Course
from autograder.exercise import HANDS_ON
from autograder.reference import reference_notebook

REPOSITORY = Path(__file__).parents[1]
ASSIGNMENTS = list(Course.load(REPOSITORY))
SECONDS = 600  # far more than it takes; a notebook that hangs must not hang the tests
PICTURE, WIDGET = "image/png", "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module", params=ASSIGNMENTS, ids=lambda assignment: assignment.slug)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The reference notebook after a run in a kernel of its own, in a copy of the assignment's folder."""
    assignment: Assignment = request.param
    folder = tmp_path_factory.mktemp("notebook") / assignment.slug
    # As it is released, without the starter: a file transformers.py would hide the library from the kernel.
    shutil.copytree(assignment.directory, folder, ignore=shutil.ignore_patterns(assignment.starter_path.name))
    notebook = reference_notebook(assignment)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COURSEKIT_OFFLINE", "1")
        environment.setenv("PYTHONPATH", str(REPOSITORY))
        environment.setenv(
            "OMP_WAIT_POLICY", "PASSIVE"
        )  # threads of two kernels that wait must not keep each other waiting
        nbclient.NotebookClient(
            notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        ).execute()
    return notebook


def shows(cell: NotebookNode) -> str | None:
    """The kind of output that a cell promises: its last line is a call into `coursekit.plots`."""
    *_, last = ast.parse(cell.source).body
    called = last.value.func if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) else None
    if not isinstance(called, ast.Attribute) or ast.unparse(called.value) != "plots":
        return None
    return WIDGET if called.attr == "explore" else PICTURE


def outputs(cell: NotebookNode) -> set[str]:
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def hands_on(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if HANDS_ON in cell.metadata.get("tags", [])]


def test_every_code_cell_ran(executed: NotebookNode):
    """nbclient raises at the first error; this says that nothing was passed over either."""
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")


def test_every_promised_picture_is_there(executed: NotebookNode):
    promised = [(cell, kind) for cell in hands_on(executed) if (kind := shows(cell))]
    assert promised
    assert [cell.source for cell, kind in promised if kind not in outputs(cell)] == []


def test_every_picture_says_what_it_shows(executed: NotebookNode):
    """In the text that stands for it, and in the metadata from which a page takes its alt text."""
    for cell in hands_on(executed):
        for output in cell.outputs:
            if PICTURE in output.get("data", {}):
                alt = output.metadata[PICTURE]["alt"]
                assert len(alt) > 20
                assert alt in output.data["text/plain"]


def test_nothing_is_complained_about(executed: NotebookNode):
    """No warning of a library reaches the student."""
    complaints = [out.text for cell in hands_on(executed) for out in cell.outputs if out.get("name") == "stderr"]
    assert complaints == []
