"""Why an exercise is worth other points than last time."""

from dataclasses import replace

import pytest

from autograder.report.reasons import reasons
from autograder.verdict import ExerciseResult, PropertyResult

HELD = PropertyResult("test_a", "A holds.", "passed")
FAILED = PropertyResult("test_b", "B holds.", "failed", "hidden", "[1]")
RESULT = ExerciseResult("square", 2.0, 1.0, None, (HELD, FAILED))


def test_the_same_result_has_none():
    assert reasons(RESULT, RESULT) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(RESULT, points=3.0), "it is worth 3 points and was worth 2"),
        (replace(RESULT, properties=(HELD,)), "test_b is gone; it did not hold"),
        (
            replace(RESULT, properties=(HELD, replace(FAILED, outcome="passed"))),
            "test_b holds; last time it did not hold",
        ),
        (replace(RESULT, properties=(HELD, replace(FAILED, weight=0.5))), "test_b weighs 0.5 and weighed 1"),
        (replace(RESULT, properties=(HELD, replace(FAILED, required=True))), "test_b is now required"),
        (
            replace(RESULT, properties=(HELD, FAILED, replace(HELD, name="test_c", outcome="timeout"))),
            "test_c is new, and took too long",
        ),
        (replace(RESULT, error="`square` is not written yet."), "`square` is not written yet."),
    ],
)
def test_what_is_different_is_said(found, said):
    assert reasons(RESULT, found) == [said]


def test_inputs_are_not_told():
    assert "[1]" not in str(reasons(RESULT, replace(RESULT, properties=(replace(HELD, outcome="error"), FAILED))))
