import pytest

from autograder.report.reveal import LEVELS, revealed
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult

RESULT = ExerciseResult(
    "square",
    2.0,
    1.0,
    "your cell stopped",
    (PropertyResult("t", "It holds.", "failed", "a message", "an input"),),
    (MistakeFound("m", "the sign"),),
)


@pytest.mark.parametrize(
    ("level", "statement", "message", "counterexample"),
    [
        ("score", None, None, None),
        ("property", "It holds.", None, None),
        ("message", "It holds.", "a message", None),
        ("counterexample", "It holds.", "a message", "an input"),
    ],
)
def test_each_level_shows_what_it_says(level, statement, message, counterexample):
    shown = revealed(RESULT, level)
    assert [found.statement for found in shown.properties] == ([statement] if statement else [])
    assert [found.message for found in shown.properties] == ([message] if statement else [])
    assert [found.counterexample for found in shown.properties] == ([counterexample] if statement else [])
    assert bool(shown.mistakes) == (LEVELS.index(level) >= 2)


@pytest.mark.parametrize("level", LEVELS)
def test_points_and_the_students_own_error_are_always_shown(level):
    shown = revealed(RESULT, level)
    assert (shown.earned, shown.points, shown.error) == (1.0, 2.0, "your cell stopped")


def test_the_last_level_hides_nothing():
    assert revealed(RESULT, "counterexample") == RESULT
