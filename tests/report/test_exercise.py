"""One exercise's result, in words."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_output

from autograder.errors import CourseError
from autograder.report.exercise import MIME, number, shown_by, to_bundle, to_html, to_text
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult

RESULT = ExerciseResult(
    "square",
    2.0,
    1.0,
    "<stopped>",
    (
        PropertyResult("a", "A holds.", "passed", weight=2.0),
        PropertyResult("b", "B & C hold.", "failed", "got <1>", "x = [0]", required=True),
    ),
    (MistakeFound("m", "The sign is kept."),),
)


def test_a_result_comes_back_from_the_cell_that_shows_it():
    bundle = json.loads(json.dumps(to_bundle(RESULT)))
    cell = new_code_cell(
        outputs=[new_output("execute_result", {"text/plain": "1.0"}), new_output("display_data", bundle)]
    )
    assert shown_by(cell) == RESULT
    assert MIME in bundle


def test_the_fragment_says_everything_and_escapes_it():
    html = to_html(RESULT)
    for text in ("&lt;stopped&gt;", "A holds.", "B &amp; C hold.", "got &lt;1&gt;", "x = [0]", "The sign is kept."):
        assert text in html
    assert "<1>" not in html


def test_names_in_code_are_set_as_code_and_nothing_else_is_markup():
    found = PropertyResult("a", "It asks `backup` for <b>.", "failed")
    html = to_html(ExerciseResult("e", 1.0, 0.0, None, (found,), (MistakeFound("m", "`clip` & <i>"),)))
    assert "It asks <code>backup</code> for &lt;b&gt;." in html
    assert "<code>clip</code> &amp; &lt;i&gt;" in html


def test_the_comment_is_short():
    assert to_text(RESULT).splitlines() == [
        "<stopped>",
        "1 of 2 properties hold.",
        "The sign is kept.",
        "✗ B & C hold. (does not hold)",
    ]


def test_points_are_written_without_idle_zeros():
    assert [number(value) for value in (2.0, 1.5, 0.333333, 10.0, 0.0)] == ["2", "1.5", "0.33", "10", "0"]


def test_what_was_said_before_is_not_said_again():
    same = tuple(PropertyResult(name, "It holds.", "error", "NameError: z", "x = [0]") for name in "abc")
    html = to_html(ExerciseResult("square", 2.0, 0.0, None, same))
    assert html.count("NameError: z") == 1
    assert html.count("As above.") == 2


def test_a_notebook_that_somebody_else_graded_says_what_to_do():
    with pytest.raises(CourseError, match="run `course grade`"):
        shown_by(new_code_cell(outputs=[new_output("execute_result", {"text/plain": "1.0"})]))
