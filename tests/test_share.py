"""What the results of some exercises depend on in a hidden module."""

import ast

import pytest

from autograder.course import Course
from autograder.share import hidden_part, starter_part
from tests.mini_course import HIDDEN

HELPER = '\n\ndef helper():\n    """What several properties use."""\n    return 1\n'


def test_other_exercises_are_left_out() -> None:
    part = hidden_part(HIDDEN, ["square"])
    assert "TestSquare" in part
    assert "test_ignores_the_sign_of_its_argument" in part
    assert "Shift" not in part
    assert "import torch" in part
    assert "def helper" in hidden_part(HIDDEN + HELPER, ["square"])


def test_several_exercises_are_kept_together() -> None:
    assert hidden_part(HIDDEN, ["square", "Shift"]) == ast.unparse(ast.parse(HIDDEN))


def test_comments_and_blank_lines_are_nothing() -> None:
    assert hidden_part(HIDDEN.replace("\n\n", "\n\n# said\n\n"), ["square"]) == hidden_part(HIDDEN, ["square"])


@pytest.mark.parametrize(
    "more",
    [
        "\n\nSHIFTS = TestShift\n",
        '\n\nSHIFTS = globals()["TestShift"]\n',
        "\n\nimport functools\n\n\n@functools.cache\ndef drawn():\n    return torch.rand(3)\n",
        "\n\nCOUNT = 0\n\n\ndef count():\n    global COUNT\n    COUNT += 1\n",
    ],
)
def test_where_it_cannot_be_told_apart_all_of_it_counts(more: str) -> None:
    assert hidden_part(HIDDEN + more, ["square"]) == HIDDEN + more


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("class TestShift:", "class TestShift(Base):"),
        ("class TestShift:", "class TestShift:\n    cases = [1]\n"),
        ("class TestShift:", "class TestShift:\n    print(1)\n"),
        ('@exercise("Shift")', '@exercise("Shift")\n@marked'),
        ('@exercise("Shift")', "@exercise(NAME)"),
        ("        shift = student.Shift(3)", "        import statistics\n        shift = student.Shift(3)"),
    ],
)
def test_a_class_that_does_more_than_define_properties_stays(old: str, new: str) -> None:
    assert old in HIDDEN
    assert "class TestShift" in hidden_part(HIDDEN.replace(old, new), ["square"])


def test_points_are_no_part_of_a_starter(mini_course: Course) -> None:
    before = starter_part(mini_course.assignment("mini").starter)
    path = mini_course.assignment("mini").starter_path
    path.write_text(path.read_text().replace("points=3", "points=9"))
    assert starter_part(Course.load(mini_course.root).assignment("mini").starter) == before
    path.write_text(path.read_text().replace("nn\n", "nn\nimport math\n", 1))
    assert starter_part(Course.load(mini_course.root).assignment("mini").starter) != before
