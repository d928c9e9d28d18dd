"""What is made of a submission's cells. Each test hands in a script to the small course of `conftest.py`."""

from collections.abc import Callable

import pytest

from autograder.cells import script_cells
from autograder.course import Course
from autograder.reading import Reading, released_with

IMPORTS = "# %%\nimport torch\nfrom torch import nn\n"
SQUARE = "# %%\ndef square(x):\n    return x * x\n"
SHIFT = "# %%\nclass Shift(nn.Module):\n    pass\n"

Read = Callable[[str], Reading]


@pytest.fixture
def read(mini_course: Course) -> Read:
    released = released_with(mini_course.assignment("mini"))
    return lambda script: Reading([cell for cell in script_cells(script) if cell.number], released)


def stub(course: Course, name: str) -> str:
    source = next(item.source for item in course.assignment("mini").exercises if item.name == name)
    return f"# %%\n{source}\n"


def test_the_exercise_of_a_cell_is_the_first_that_it_defines(read):
    reading = read(IMPORTS + '# %% exercise="Shift"\nhelp_me = 1\ndef square(x): ...\nclass Shift: ...\n')
    assert [cell.exercise for cell in reading.cells] == [None, "square"]


@pytest.mark.parametrize("source", ["square = lambda x: x * x", "try:\n    def square(x): ...\nexcept OSError: ..."])
def test_an_exercise_may_be_defined_in_any_way(read, source):
    assert read(f"# %%\n{source}\n").cells[0].exercise == "square"


def test_a_method_of_that_name_is_no_exercise(read):
    assert read("# %%\nclass Mine:\n    def square(self): ...\n").cells[0].exercise is None


def test_cells_without_code_are_left_out(read):
    assert read("# %%\n\n# %%\n# only a comment\n\n# %%\n%matplotlib inline\n\n# %%\n%%bash\nls\n").cells == []


def test_hands_on_cells_run_definitions_only(read):
    assert read('# %% tags=["hands-on"]\nx = 1\n').cells[0].definitions_only


def test_a_hands_on_cell_of_the_starter_is_one_without_its_tag_too(read):
    reading = read("# %%\nnumbers  =  torch.linspace(-1, 1, 5)  # five\n\nprint(numbers)\n\n# %%\nprint(4)\n")
    assert [cell.definitions_only for cell in reading.cells if cell.number] == [True, False]


def test_an_answer_that_is_an_assignment_is_not_lost_in_a_hands_on_cell(read):
    """Of a hands-on cell only definitions run, and an assignment is none."""
    assert not read('# %% tags=["hands-on"]\nsquare = lambda x: x * x\n').cells[0].definitions_only
    assert read('# %% tags=["hands-on"]\ndef square(x): ...\n').cells[0].definitions_only


def test_a_syntax_error_is_noted_where_it_is(read):
    reading = read(IMPORTS + "# %%\ndef square(x:\n    return x\n" + SHIFT)
    assert [cell.exercise for cell in reading.cells] == [None, None, "Shift"]
    assert reading.notes == ["Line 5 has a syntax error: '(' was never closed."]


@pytest.mark.parametrize("name", ["squares", "Square", "sqaure", "square_"])
def test_a_misspelt_exercise_is_noted(read, name):
    assert read(f"# %%\ndef {name}(x): ...\n").notes == [f"`{name}` is defined, but the exercise is called `square`."]


def test_a_misspelt_exercise_is_noted_beside_its_stub(read, mini_course):
    reading = read(IMPORTS + stub(mini_course, "square") + "# %%\ndef squares(x): ...\n")
    assert "`squares` is defined, but the exercise is called `square`." in reading.notes


def test_a_helper_beside_an_answer_is_no_misspelling(read):
    assert read(SQUARE + "# %%\ndef squares(x): ...\n").notes == []


def test_an_untouched_stub_after_the_answer_does_not_undo_it(read, mini_course):
    reading = read(IMPORTS + SQUARE + stub(mini_course, "square"))
    assert [cell.source for cell in reading.cells if cell.exercise] == ["def square(x):\n    return x * x"]
    assert reading.notes == ["The stub of `square` stands after your answer and was left out."]


def test_an_untouched_stub_before_the_answer_stays(read, mini_course):
    reading = read(IMPORTS + stub(mini_course, "square") + SQUARE)
    assert [cell.exercise for cell in reading.cells].count("square") == 2
    assert not any("stub" in note for note in reading.notes)


def test_a_later_answer_replaces_an_earlier_one(read):
    reading = read(SQUARE + "# %%\ndef square(x):\n    return x\n")
    assert [cell.source[-8:] for cell in reading.cells] == ["rn x * x", "return x"]


def test_an_answer_in_a_cell_turned_into_markdown_counts(read):
    reading = read("# %% [markdown]\n# def square(x):\n#     return x * x\n")
    assert [(cell.exercise, cell.number) for cell in reading.cells] == [("square", 1)]
    assert "is no code cell" in reading.notes[0]


def test_an_old_version_parked_in_markdown_stays_parked(read):
    reading = read(SQUARE + "# %% [markdown]\n# def square(x):\n#     return 0\n")
    assert [cell.number for cell in reading.cells] == [1]


def test_lost_imports_are_put_back(read, mini_course):
    """As nbgrader puts back a locked cell: an answer is not wrong because of what stood above it."""
    reading = read(SHIFT)
    assert "from torch import Tensor, nn" in reading.cells[0].source
    assert [cell.number for cell in reading.cells] == [0, 1]
    assert "`nn`" in reading.notes[0]


@pytest.mark.parametrize("imports", [IMPORTS, "# %%\nimport torch.nn as nn\n", "# %%\nfrom torch import nn\n"])
def test_imports_of_ones_own_will_do(read, imports):
    assert read(imports + SHIFT).notes == []


def test_no_end_of_markdown_is_searched_for_answers(read):
    """A notebook may hold megabytes of text; parsing takes hundreds of times as much memory."""
    text = "# def square(x): ...\n" * 30_000
    assert read(f"# %% [markdown]\n{text}\n# %%\nx = 1\n").cells[0].exercise is None
