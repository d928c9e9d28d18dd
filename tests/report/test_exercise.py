"""One exercise's result, in words."""

import json

from nbformat.v4 import new_code_cell, new_output

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


def test_the_comment_is_short():
    assert to_text(RESULT).splitlines() == [
        "<stopped>",
        "1 of 2 properties hold.",
        "The sign is kept.",
        "✗ B & C hold. (does not hold)",
    ]


def test_points_are_written_without_idle_zeros():
    assert [number(value) for value in (2.0, 1.5, 0.333333, 10.0, 0.0)] == ["2", "1.5", "0.33", "10", "0"]
