"""What counts is read from the hidden module before any student code runs."""

import pytest

from autograder.course import Course
from autograder.errors import CourseError
from autograder.properties.contract import NAME
from autograder.properties.suite import load_suite


def test_lists_every_property_with_its_sentence(shared_course: Course) -> None:
    suite = load_suite(shared_course.assignment("mini"))
    assert [item.name for item in suite.properties["square"]] == [
        "test_is_the_second_power_of_magnitudes",
        "test_ignores_the_sign_of_its_argument",
        NAME,
    ]
    first = suite.properties["square"][0]
    assert first.statement == "It is the magnitude to the power of two."
    assert first.required


def rewrite(course: Course, old: str, new: str) -> None:
    path = course.assignment("mini").hidden_path
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('@exercise("Shift")', '@exercise("Shuft")', "does not declare"),
        ('        """A new shift moves nothing."""\n', "", "docstring"),
        (
            "class TestShift:\n",
            "class TestShift:\n    def test_(self, student):\n        pass\n\nclass TestElse:\n",
            "docstring",
        ),
        ("import torch\n", "import torch\nimport no_such_module\n", "cannot be imported"),
    ],
)
def test_a_suite_that_does_not_fit_is_refused(mini_course: Course, old: str, new: str, complaint: str) -> None:
    rewrite(mini_course, old, new)
    with pytest.raises(CourseError, match=complaint):
        load_suite(mini_course.assignment("mini"))


def test_an_exercise_without_properties_is_refused(mini_course: Course) -> None:
    path = mini_course.assignment("mini").hidden_path
    text = path.read_text()
    path.write_text(text[: text.index('@exercise("Shift")')])
    with pytest.raises(CourseError, match="Shift"):
        load_suite(mini_course.assignment("mini"))
