import copy
import json
from pathlib import Path

import jupytext
import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.cells import MOST_CELLS
from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.reading import CODE_LIMIT
from autograder.reference import reference_notebook
from autograder.submission import (
    ANSWER_PLACEHOLDER,
    MOST_NOTES,
    find_submission,
    raw_cells,
    read_submission,
)


@pytest.fixture
def mini(mini_course: Course) -> Assignment:
    return mini_course.assignment("mini")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def write_notebook(path: Path, *sources: object) -> Path:
    cells = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in sources]
    return write(path, json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def stubs(assignment: Assignment) -> str:
    return assignment.starter_path.read_text("utf-8")


ANSWER = "def square(x):\n    return x * x\n"


def test_the_same_work_is_the_same_as_notebook_and_as_script(mini, tmp_path):
    notebook = reference_notebook(mini)
    notebook.cells.insert(2, nbformat.v4.new_code_cell("%matplotlib inline\nx = 1"))
    notebook.cells.append(nbformat.v4.new_code_cell("%%time\n# cat and dog?\nfiles = !ls"))
    script = write(tmp_path / "a" / "mini.py", jupytext.writes(copy.deepcopy(notebook), fmt="py:percent"))
    as_notebook = tmp_path / "b" / "mini.ipynb"
    as_notebook.parent.mkdir()
    nbformat.write(notebook, as_notebook)
    one, other = read_submission(script, mini), read_submission(as_notebook, mini)
    assert one.cells == other.cells
    assert one.digest == other.digest
    assert one.notes == other.notes == ()
    assert [cell.exercise for cell in one.cells if cell.exercise] == ["square", "Shift"]
    assert sum(cell.definitions_only for cell in one.cells) == 1


def test_what_is_no_code_does_not_change_the_digest(mini, tmp_path):
    path = write(tmp_path / "mini.py", stubs(mini))
    before = read_submission(path, mini).digest
    write(path, stubs(mini).replace("# # Small steps", "# # My steps\n\n# %%\n# a thought\n\n# %% [markdown]\n# more"))
    assert read_submission(path, mini).digest == before


def test_code_and_its_role_change_the_digest(mini, tmp_path):
    path = tmp_path / "mini.py"
    digests = set()
    for text in ("# %%\nx = 1\n", "# %%\nx = 2\n", '# %% tags=["hands-on"]\nx = 1\n', "# %%\nx = 1\n# %%\nx = 2\n"):
        digests.add(read_submission(write(path, text), mini).digest)
    assert len(digests) == 4


def test_nothing_of_a_submission_is_run_or_imported(mini, tmp_path):
    mark = tmp_path / "mark"
    path = write(tmp_path / "mini.py", f"open({str(mark)!r}, 'w')\n{ANSWER}")
    assert read_submission(path, mini).cells[0].exercise == "square"
    assert not mark.exists()


@pytest.mark.parametrize("tags", [["skip-execution"], ["hands-off"], "hands-on", [{"a": 1}], None])
def test_foreign_tags_mean_nothing(mini, tmp_path, tags):
    path = write_notebook(tmp_path / "mini.ipynb", ANSWER)
    document = json.loads(path.read_text())
    document["cells"][0]["metadata"] = {"tags": tags, "nbgrader": {"grade_id": "square", "schema_version": 99}}
    write(path, json.dumps(document))
    (cell,) = read_submission(path, mini).cells
    assert (cell.exercise, cell.definitions_only) == ("square", False)


def test_cells_duplicated_and_moved_are_read_in_their_order(mini, tmp_path):
    sources = ["check(square)", ANSWER, "check(square)", ANSWER.replace("x * x", "x**2"), "import torch"]
    submission = read_submission(write_notebook(tmp_path / "mini.ipynb", *sources), mini)
    assert [cell.source for cell in submission.cells if cell.number] == [source.rstrip() for source in sources]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"{", "not valid JSON"),
        (b"<!DOCTYPE html>", "not valid JSON"),
        (b'{"a": 1}', "no notebook"),
        (b'{"cells": []}', "holds no code"),
        (b'{"cells": [{"cell_type": "markdown", "source": "text"}]}', "holds no code"),
    ],
)
def test_what_cannot_be_read_is_a_problem_in_one_sentence(mini, tmp_path, content, problem):
    path = tmp_path / "mini.ipynb"
    path.write_bytes(content)
    submission = read_submission(path, mini)
    assert problem in (submission.problem or "")
    assert submission.problem is not None
    assert submission.problem.startswith("mini.ipynb ")
    assert submission.problem.endswith(".")
    assert submission.cells == ()


def test_a_notebook_under_the_name_of_a_script_is_a_notebook(mini, tmp_path):
    assert read_submission(write_notebook(tmp_path / "mini.py", ANSWER), mini).cells[0].exercise == "square"


def test_windows_text_is_text(mini, tmp_path):
    path = tmp_path / "mini.py"
    path.write_bytes(b"\xef\xbb\xbf" + ANSWER.replace("\n", "\r\n").encode())
    assert read_submission(path, mini).cells[0].source == ANSWER.rstrip()


def test_a_guessed_encoding_is_noted(mini, tmp_path):
    path = tmp_path / "mini.py"
    path.write_bytes((ANSWER + "# é").encode("latin-1"))
    submission = read_submission(path, mini)
    assert submission.cells[0].exercise == "square"
    assert submission.notes == ("mini.py is not in UTF-8; it was read as Latin-1.",)


@pytest.mark.parametrize("name", ["mini.py", "mini.ipynb"])
def test_too_much_code_is_a_problem(mini, tmp_path, name):
    source = "x = '" + "a" * CODE_LIMIT + "'"
    path = write(tmp_path / name, source) if name.endswith("py") else write_notebook(tmp_path / name, source)
    assert "more than 500 kB of code" in (read_submission(path, mini).problem or "")


def test_large_outputs_do_not_matter(mini, tmp_path):
    path = write_notebook(tmp_path / "mini.ipynb", ANSWER)
    document = json.loads(path.read_text())
    document["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 5_000_000}, 3, None]
    submission = read_submission(write(path, json.dumps(document)), mini)
    assert submission.problem is None
    assert submission.cells[0].exercise == "square"


def test_too_many_cells_are_a_problem(mini, tmp_path):
    path = write_notebook(tmp_path / "mini.ipynb", *["1"] * (MOST_CELLS + 1))
    assert "cells" in (read_submission(path, mini).problem or "")


def test_a_flood_of_notes_is_cut(mini, tmp_path):
    path = write_notebook(tmp_path / "mini.ipynb", ANSWER, *["x = ("] * 100)
    notes = read_submission(path, mini).notes
    assert len(notes) == MOST_NOTES
    assert "81 more" in notes[-1]


def test_a_syntax_error_is_noted_with_cell_and_line(mini, tmp_path):
    path = write_notebook(tmp_path / "mini.ipynb", ANSWER, "# mine\nclass Shift(:\n    pass")
    submission = read_submission(path, mini)
    assert submission.notes == ("Cell 2 (`class Shift(:`) has a syntax error on line 2: invalid syntax.",)
    assert submission.cells[1].source == "# mine\nclass Shift(:\n    pass"


def test_a_link_is_a_problem(mini, tmp_path):
    (tmp_path / "mini.py").symlink_to(mini.solution_path)
    submission = read_submission(tmp_path / "mini.py", mini)
    assert "link" in (submission.problem or "")


def test_a_missing_file_is_an_error(mini, tmp_path):
    with pytest.raises(CourseError, match=r"mini\.py"):
        read_submission(tmp_path / "mini.py", mini)


def test_another_name_is_noted(mini, tmp_path):
    path = write(tmp_path / "final_v2.py", ANSWER)
    assert read_submission(path, mini).notes == ("The file should be called mini.py, not final_v2.py.",)


def question(text: object, kind: str = "markdown") -> dict[str, object]:
    return {"cell_type": kind, "source": text, "metadata": {"nbgrader": {"grade_id": "why_squares"}}}


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        ([question("A product of equal signs. ")], "A product of equal signs."),
        ([question(["Two ", "lines"])], "Two lines"),
        ([question("Kept", "code")], "Kept"),
        ([question("Kept", "raw")], "Kept"),
        ([question("One."), question("Two."), question("One.")], "One.\n\nTwo."),
        ([question(f"{ANSWER_PLACEHOLDER}\nBelow it.")], "Below it."),
        ([question(ANSWER_PLACEHOLDER)], None),
        ([question("  ")], None),
        ([question({"a": 1})], None),
        ([], None),
    ],
)
def test_written_answers_come_by_their_question(mini, tmp_path, cells, answer):
    path = write(tmp_path / "mini.ipynb", json.dumps({"cells": cells, "nbformat": 4}))
    assert read_submission(path, mini).answers == ({"why_squares": answer} if answer else {})


def test_an_answer_written_below_the_question_in_the_starter_counts(mini, tmp_path):
    prompt = "# Why are squares never negative?\n"
    path = write(tmp_path / "mini.py", stubs(mini).replace(prompt, f"{prompt}#\n# Because.\n"))
    assert read_submission(path, mini).answers == {"why_squares": "Because."}
    assert read_submission(write(path, stubs(mini)), mini).answers == {}


def test_raw_cells_hold_text_too(mini, tmp_path):
    assert [cell.kind for cell in raw_cells(write(tmp_path / "mini.py", stubs(mini)))[1:3]] == ["text", "code"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("def square(x): ..."),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CELL = JSON | st.fixed_dictionaries(
    {},
    optional={
        "cell_type": JSON | st.sampled_from(["code", "markdown"]),
        "source": JSON,
        "input": JSON,
        "id": JSON,
        "metadata": JSON | st.fixed_dictionaries({}, optional={"tags": JSON, "nbgrader": JSON}),
    },
)
NOTEBOOK = JSON | st.fixed_dictionaries({}, optional={"cells": JSON | st.lists(CELL), "worksheets": JSON})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=NOTEBOOK)
def test_any_json_is_read(mini, tmp_path, document):
    submission = read_submission(write(tmp_path / "mini.ipynb", json.dumps(document)), mini)
    assert (submission.problem is None) == bool(submission.cells)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), name=st.sampled_from(["mini.py", "mini.ipynb"]))
def test_any_bytes_are_read(mini, tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    submission = read_submission(path, mini)
    path.unlink()
    assert (submission.problem is None) == bool(submission.cells)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"mini.ipynb": ANSWER}, "mini.ipynb"),
        ({"mini.py": ANSWER}, "mini.py"),
        ({"mini.ipynb": "", "mini.py": ANSWER}, "mini.py"),
        ({"mini.ipynb": ANSWER, "mini.py": ""}, "mini.ipynb"),
        ({"mini.ipynb": ANSWER, "mini.py": ANSWER}, "mini.ipynb"),
        ({"mini.ipynb": ANSWER, "mini.py": ANSWER + "class Shift: ..."}, "mini.py"),
        ({"mini.ipynb": "", "mini.py": ""}, "mini.ipynb"),
        ({"mine.ipynb": ANSWER}, "mine.ipynb"),
        ({"mini (1).py": ANSWER, "visible.py": ANSWER}, "mini (1).py"),
        ({"mine.ipynb": ANSWER, "helpers.py": "x = 1"}, "mine.ipynb"),
        ({"mine.ipynb": "x = 1", "answers.py": ANSWER}, "answers.py"),
        ({"mine.ipynb": ANSWER, "answers.py": ANSWER}, "mine.ipynb"),
        ({"mini.ipynb": "", "mini-Copy1.ipynb": ANSWER}, "mini-Copy1.ipynb"),
        ({"mini.ipynb": ANSWER, "mini-Copy1.ipynb": ANSWER}, "mini.ipynb"),
        ({"mini.ipynb": "", "other.ipynb": "x = 1", "third.ipynb": ""}, "mini.ipynb"),
        ({"mini/mini.ipynb": ANSWER, "__MACOSX/._mini.ipynb": "x"}, "mini/mini.ipynb"),
        ({"mini.ipynb": ANSWER, ".ipynb_checkpoints/mini-checkpoint.ipynb": ANSWER}, "mini.ipynb"),
        ({"work/mini.ipynb": ANSWER, "scratch.py": "x = 1"}, "work/mini.ipynb"),
        ({"old/mini.ipynb": ANSWER + "class Shift: ...", "mini.ipynb": ANSWER}, "mini.ipynb"),
    ],
)
def test_the_file_with_the_work_is_found(mini, tmp_path, files, expected):
    """An empty text stands for what was handed out: the stubs."""
    folder = tmp_path / "alice"
    for name, source in files.items():
        source = source or stubs(mini)
        write(folder / name, source) if name.endswith(".py") else write_notebook(folder / name, source)
    assert find_submission(folder, mini) == folder / expected
    assert read_submission(folder, mini).path == folder / expected


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["visible.py"],
        ["mini.txt"],
        ["a.ipynb", "b.ipynb"],
        ["a.py", "b.py"],
        ["one/mini.ipynb", "two/mini.ipynb"],
    ],
)
def test_nothing_is_guessed_when_several_could_be_meant_or_none(mini, tmp_path, names):
    folder = tmp_path / "alice"
    folder.mkdir()
    for name in names:
        write(folder / name, ANSWER) if name.endswith("py") else write_notebook(folder / name, ANSWER)
    with pytest.raises(CourseError, match=r"mini\.ipynb"):
        find_submission(folder, mini)
    problem = read_submission(folder, mini).problem or ""
    assert "mini.ipynb" in problem
    assert str(tmp_path) not in problem


def test_links_in_a_folder_are_not_followed(mini, tmp_path):
    folder = tmp_path / "alice"
    folder.mkdir()
    (folder / "mini.py").symlink_to(mini.solution_path)
    (folder / "inner").symlink_to(mini.solution_path.parent)
    with pytest.raises(CourseError, match="holds no notebook"):
        find_submission(folder, mini)


def test_a_missing_folder_is_an_error(mini, tmp_path):
    with pytest.raises(CourseError, match="no folder"):
        find_submission(tmp_path / "nobody", mini)


def test_two_files_are_noted(mini, tmp_path):
    write_notebook(tmp_path / "mini.ipynb", stubs(mini))
    write(tmp_path / "mini.py", ANSWER)
    assert read_submission(find_submission(tmp_path, mini), mini).notes == (
        "There are mini.py (1 of 2 exercises answered) and mini.ipynb (0 of 2); mini.py was graded.",
    )
