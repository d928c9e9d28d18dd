from types import ModuleType

import pytest
import torch

from autograder.mistakes import Mistake, edited, known_mistakes, mistake, mistakes_in


@mistake("square", says="The sign is kept: look at what happens below zero.")
def square_with_the_sign(x: torch.Tensor) -> torch.Tensor:
    return x * x.abs()


def cube(x: float) -> float:
    """The third power, x * x * x."""
    return x * x * x


def define(source: str, name: str):
    namespace = {"torch": torch}
    exec(source, namespace)
    return namespace[name]


def test_a_mistake_remains_what_it_was():
    assert square_with_the_sign(torch.tensor(-2.0)) == -4


def test_the_source_defines_the_exercise_and_nothing_of_the_bank():
    source = square_with_the_sign.mistake.source
    assert "mistake" not in source
    assert define(source, "square")(torch.tensor(-2.0)) == -4


def test_an_edit_replaces_code_of_the_reference():
    wrong = edited(cube, {"x * x * x": "x * x"}, says="One factor is missing.")
    assert wrong.exercise == "cube"
    assert define(wrong.source, "cube")(2) == 4


def test_an_edit_leaves_the_docstring_out():
    assert "third power" not in edited(cube, {"x * x * x": "x"}, says="").source


class Cube:
    """x * x * x"""

    def __call__(self, x: float) -> float:
        """x * x * x"""
        return x * x * x


def test_an_edit_may_change_a_class():
    wrong = edited(Cube, {"x * x * x": "x * x"}, says="One factor is missing.")
    assert wrong.exercise == "Cube"
    assert define(wrong.source, "Cube")()(2) == 4


@pytest.mark.parametrize("text", ["x ** 3", "x"])
def test_an_edit_that_does_not_fit_the_reference_exactly_once_is_refused(text):
    with pytest.raises(ValueError, match="not once"):
        edited(cube, {text: "0"}, says="")


def test_mistakes_are_found_in_their_order_by_the_name_in_the_module():
    module = ModuleType("bank")
    module.second_power = edited(cube, {"x * x * x": "x * x"}, says="One factor is missing.")
    module.helper = len
    module.square_with_the_sign = square_with_the_sign
    found = mistakes_in(module)
    assert [(item.exercise, item.name) for item in found] == [
        ("cube", "second_power"),
        ("square", "square_with_the_sign"),
    ]
    assert all(isinstance(item, Mistake) for item in found)


def test_the_mistakes_of_an_assignment_stand_in_its_file(mini_course):
    (found,) = known_mistakes(mini_course.assignment("mini"))
    assert (found.exercise, found.name) == ("square", "square_with_the_sign")


def test_an_assignment_may_have_no_mistakes(mini_course):
    assignment = mini_course.assignment("mini")
    assignment.mistakes_path.unlink()
    assert known_mistakes(assignment) == ()
