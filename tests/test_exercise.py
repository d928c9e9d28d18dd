from pathlib import Path

import pytest

from autograder.errors import CourseError
from autograder.exercise import Starter, definition, imported_modules, read_starter

CELL = '# %% exercise="one" points=2\ndef one():\n    """The number one.\n\n    More.\n    """\n    raise NotImplementedError\n'


@pytest.fixture
def read(tmp_path: Path):
    def read_text(text: str) -> Starter:
        (tmp_path / "mini.py").write_text(text, "utf-8")
        return read_starter(tmp_path / "mini.py")

    return read_text


def test_exercises_and_questions_come_in_their_order(read):
    question = '# %% [markdown] question="why" points=1.5\n# ## Why?\n#\n# Say it.\n'
    starter = read(f"{CELL}\n{question}\n{CELL.replace('one', 'two')}")
    assert [(item.name, item.points, item.kind) for item in starter.exercises] == [
        ("one", 2, "function"),
        ("two", 2, "function"),
    ]
    assert [(item.name, item.points, item.text) for item in starter.questions] == [("why", 1.5, "## Why?\n\nSay it.")]


def test_the_purpose_is_the_first_line_of_the_docstring(read):
    assert read(CELL).exercises[0].purpose == "The number one."


def test_a_class_is_an_exercise_too(read):
    (exercise,) = read('# %% exercise="One" points=1\nclass One:\n    """One."""\n').exercises
    assert (exercise.kind, exercise.purpose) == ("class", "One.")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (CELL.replace("def one", "def two"), "cell 1: the cell of exercise 'one' defines no function"),
        (CELL.replace('"""', "'").replace("The number", ""), "not valid Python"),
        ('# %% exercise="one" points=1\ndef one():\n    raise NotImplementedError\n', "has no docstring"),
        (CELL.replace("points=2", ""), "points"),
        (CELL.replace("points=2", "points=0"), "points must be positive"),
        (CELL.replace("points=2", "points=-1"), "points must be positive"),
        (CELL.replace("points=2", 'points="many"'), "points"),
        (CELL + "\n" + CELL, "'one' is declared twice"),
        (CELL + '\n# %% [markdown] question="one" points=1\n# Why?\n', "'one' is declared twice"),
        ("# %%\nx = (\n", "cell 1: not valid Python"),
    ],
)
def test_a_faulty_starter_names_the_cell_to_mend(read, text, complaint):
    with pytest.raises(CourseError, match=r"mini\.py") as caught:
        read(text)
    assert complaint in str(caught.value)


def test_a_missing_starter_is_an_error(tmp_path):
    with pytest.raises(CourseError, match="cannot be read"):
        read_starter(tmp_path / "mini.py")


def test_a_definition_is_found_at_top_level_only():
    source = "class A:\n    def inner(self): ...\n\n\ndef f(): ...\n"
    assert definition(source, "f").lineno == 5
    with pytest.raises(LookupError):
        definition(source, "inner")


def test_imports_are_told_without_what_is_relative():
    source = "import a.b as c, d\nfrom e.f import g\nfrom . import h\nfrom .i import j\ndef k():\n    import l\n"
    assert list(imported_modules(source)) == ["a.b", "d", "e.f", "e.f.g", "l"]


def test_a_starter_tells_what_it_imports(mini_course):
    imports = mini_course.assignment("mini").starter.imports
    assert {"torch", "jaxtyping", "coursekit", "coursekit.check"} <= set(imports)
    assert len(set(imports)) == len(imports)
