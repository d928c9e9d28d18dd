"""Whatever a student's notebook looks like, nbgrader gets the released structure with the student's text in it."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.nbgraderformat import MetadataValidator

from autograder.gradebook.rebuild import LONGEST_CELL, rebuild
from autograder.release import build_notebook
from autograder.submission import read_submission


@pytest.fixture
def rebuilt(mini, tmp_path):
    """Rebuild what is handed in: a notebook, or the text of one."""

    def build(notebook, name="mini.ipynb"):
        path = tmp_path / name
        path.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook))
        return rebuild(mini, read_submission(path, mini))

    return build


def roles(notebook):
    return [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]


def source(notebook, name):
    [cell] = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name]
    return cell.source


def skip_execution(cells):
    for cell in cells:
        cell.metadata.tags = ["skip-execution", "remove_cell"]


def delete_checks(cells):
    cells[:] = [cell for cell in cells if not cell.source.startswith("check(")]


def duplicate_checks(cells):
    cells += [cell.copy() for cell in cells if cell.source.startswith("check(")]


def retype_checks(cells):
    for cell in cells:
        if cell.source.startswith("check("):
            cell.cell_type = "markdown"
            del cell["outputs"], cell["execution_count"]


def another_version(cells):
    for cell in cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.schema_version = 99


def unlock(cells):
    for cell in cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.update(locked=False, points=1000, grade=True, solution=True, task=True)


def empty_metadata(cells):
    for cell in cells:
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader = {}


def outputs_full_of_points(cells):
    for cell in cells:
        if cell.cell_type == "code":
            data = {"text/plain": "1000.0", "text/html": "<script>alert(1)</script>"}
            cell.outputs = [nbformat.v4.new_output("execute_result", data)]


def shuffle(cells):
    cells.reverse()


@pytest.mark.parametrize(
    "hostile",
    [
        skip_execution,
        delete_checks,
        duplicate_checks,
        retype_checks,
        another_version,
        unlock,
        empty_metadata,
        outputs_full_of_points,
        shuffle,
    ],
)
def test_structure_comes_from_the_release_alone(mini, desk, rebuilt, hostile):
    notebook = desk.notebook(square="# mine")
    hostile(notebook.cells)
    result = rebuilt(notebook)
    assert roles(result) == roles(build_notebook(mini))
    assert "# mine" in source(result, "square")
    assert not any(cell.get("outputs") for cell in result.cells)
    assert "skip-execution" not in str(result)
    MetadataValidator().validate_nb(result)
    nbformat.validate(result)


@pytest.mark.parametrize("notebook", ["", "[]", "{", '{"cells": [1, null, {"cell_type": "code"}]}', "null"])
def test_a_notebook_that_is_none_gives_the_released_one(mini, rebuilt, notebook):
    assert roles(rebuilt(notebook)) == roles(build_notebook(mini))


def test_a_notebook_that_nobody_touched_comes_back_as_it_was(mini, rebuilt):
    assert rebuilt(build_notebook(mini)).cells == build_notebook(mini).cells


def test_the_last_definition_is_the_answer_and_the_others_stay_where_they_are(desk, rebuilt):
    notebook = desk.notebook(square="# first")
    notebook.cells.append(new_code_cell("def square(x):\n    return x**2  # last"))
    result = rebuilt(notebook)
    assert "# last" in source(result, "square")
    assert any("# first" in cell.source and "nbgrader" not in cell.metadata for cell in result.cells)


def test_other_cells_keep_their_places(desk, rebuilt):
    notebook = desk.notebook()
    place = next(n for n, cell in enumerate(notebook.cells) if cell.source.startswith("check(square)"))
    notebook.cells[place + 1 : place + 1] = [new_code_cell("square(torch.ones(2))"), new_markdown_cell("It works!")]
    sources = [cell.source for cell in rebuilt(notebook).cells]
    at = sources.index("check(square)")
    assert sources[at + 1 : at + 3] == ["square(torch.ones(2))", "It works!"]


def test_a_changed_hands_on_cell_is_shown_as_the_student_left_it(desk, rebuilt):
    notebook = desk.notebook()
    notebook.cells[-1].source = "print('my numbers')"
    result = rebuilt(notebook)
    assert result.cells[-1].source == "print('my numbers')"
    assert not any("torch.linspace" in cell.source for cell in result.cells)


def test_an_answer_with_a_syntax_error_is_shown(desk, rebuilt):
    notebook = desk.notebook()
    for cell in notebook.cells:
        if cell.source.startswith("def square"):
            cell.source = "def square(x:\n    return x"
    assert source(rebuilt(notebook), "square") == "def square(x:\n    return x"


def test_two_answers_in_one_cell_are_shown_once(rebuilt):
    result = rebuilt("def square(x):\n    return x * x\n\nclass Shift:\n    pass\n", "mini.py")
    assert "def square" in source(result, "square")
    assert source(result, "Shift") == "# Defined together with square."


def test_a_script_gives_the_same_notebook_structure(mini, rebuilt):
    script = (mini.course.root / "solutions" / "mini.py").read_text()
    result = rebuilt(script, "mini.py")
    assert roles(result) == roles(build_notebook(mini))
    assert "x.multiply" in source(result, "square")


def test_written_answers_are_put_in(desk, rebuilt):
    assert source(rebuilt(desk.notebook(answer="Two signs make none.")), "why_squares") == "Two signs make none."


def test_an_answer_in_the_cell_of_its_question_is_not_lost(desk, rebuilt):
    notebook = desk.notebook()
    for cell in notebook.cells:
        if cell.source.startswith("Why are squares"):
            cell.source += "\n\nBecause two signs make none."
    result = rebuilt(notebook)
    assert source(result, "why_squares_prompt") == "Why are squares never negative?"
    assert any("two signs make none" in cell.source and "nbgrader" not in cell.metadata for cell in result.cells)


def test_a_notebook_that_lost_all_names_is_told_by_its_text(mini, desk, rebuilt):
    notebook = desk.notebook(square="# mine")
    for cell in notebook.cells:
        cell.metadata = {}
    result = rebuilt(notebook)
    assert roles(result) == roles(build_notebook(mini))
    assert "# mine" in source(result, "square")
    assert not any(cell.id.startswith("student-") for cell in result.cells)


def test_a_cell_longer_than_anyone_reads_is_cut_for_show(desk, rebuilt):
    notebook = desk.notebook()
    notebook.cells.append(new_markdown_cell("x" * (LONGEST_CELL + 1)))
    assert max(len(cell.source) for cell in rebuilt(notebook).cells) < LONGEST_CELL + 100
