import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.submission import read_submission
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult, Verdict, blank_verdict, joined, score

OUTCOMES = ["passed", "failed", "error", "timeout", "not_run"]


def result(outcome: str, *, weight: float = 1.0, required: bool = False) -> PropertyResult:
    return PropertyResult("test_it", "It holds.", outcome, weight=weight, required=required)


def verdict(**changes: object) -> Verdict:
    found = PropertyResult("test_it", "Größe · σ.", "failed", "3 ≠ 4", "x = [1]", 2.0, True)
    exercises = (ExerciseResult("square", 2.0, 1.5, None, (found,), (MistakeFound("half", "Half of it."),)),)
    fields = {
        "assignment": "mini",
        "points": 5.0,
        "earned": 1.5,
        "isolation": "landlock",
        "device": "cpu",
        "suite": "s",
        "submission": "d",
        "exercises": exercises,
        "notes": ("A note.",),
        "seconds": {"total": 0.5},
    }
    return Verdict(**{**fields, **changes})


def test_all_properties_held_earn_all():
    assert score(4, (result("passed"), result("passed", required=True))) == 4


def test_properties_count_by_their_weight():
    assert score(4, (result("passed", weight=3), result("failed"))) == 3


@pytest.mark.parametrize("outcome", OUTCOMES[1:])
def test_only_what_passed_counts(outcome):
    assert score(4, (result("passed"), result(outcome))) == 2


@pytest.mark.parametrize("outcome", OUTCOMES[1:])
def test_without_a_required_property_nothing_is_earned(outcome):
    assert score(4, (result("passed", weight=9), result(outcome, required=True))) == 0


@pytest.mark.parametrize("results", [(), (result("passed", weight=0),)])
def test_nothing_to_hold_earns_nothing(results):
    assert score(4, results) == 0


@given(
    points=st.floats(0.25, 100),
    drawn=st.lists(st.tuples(st.sampled_from(OUTCOMES), st.floats(0.1, 9), st.booleans()), min_size=1),
)
def test_a_score_lies_between_nothing_and_all(points, drawn):
    results = tuple(result(outcome, weight=weight, required=required) for outcome, weight, required in drawn)
    assert 0 <= score(points, results) <= round(points, 4)
    if all(item.outcome == "passed" for item in results):
        assert score(points, results) == round(points, 4)


def test_json_gives_the_verdict_back():
    assert Verdict.from_json(verdict().to_json()) == verdict()


def test_json_is_one_readable_document():
    text = verdict().to_json()
    assert json.loads(text)["exercises"][0]["properties"][0]["statement"] == "Größe · σ."
    assert "Größe" in text


def test_seconds_do_not_make_verdicts_differ():
    assert verdict(seconds={"total": 9.0}) == verdict()
    assert verdict(earned=1.0) != verdict()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"exercises": [1], "notes": []}', '{"exercises": [], "notes": 3}'])
def test_what_is_no_verdict_is_said_so(text):
    with pytest.raises(ValueError):
        Verdict.from_json(text)


def test_an_exercise_is_found_by_its_name():
    assert verdict().exercise("square").earned == 1.5
    with pytest.raises(LookupError):
        verdict().exercise("cube")


def test_a_blank_verdict_has_every_exercise_and_no_points(mini_course, tmp_path):
    (tmp_path / "mini.py").write_text("x = (")
    assignment = mini_course.assignment("mini")
    submission = read_submission(tmp_path / "mini.py", assignment)
    blank = blank_verdict(assignment, submission, isolation="none", device="cpu", suite="s")
    assert [(item.name, item.points, item.earned) for item in blank.exercises] == [("square", 2, 0), ("Shift", 3, 0)]
    assert (blank.points, blank.earned, blank.submission) == (5, 0, submission.digest)
    assert blank.notes == submission.notes


def test_shares_are_joined_in_the_order_of_the_notebook():
    first = ExerciseResult("square", 2.0, 1.5)
    second = ExerciseResult("shift", 3.0, 0.25)
    shares = [
        verdict(
            exercises=(second,), earned=0.25, notes=("A note.", "Cell 2 stopped."), seconds={"total": 1.0, "load": 2.0}
        ),
        verdict(exercises=(first,), earned=1.5, notes=("A note.", "Cell 3 stopped."), seconds={"total": 0.5}),
    ]
    whole = joined(shares, ["square", "shift"])
    assert whole.exercises == (first, second)
    assert whole.earned == 1.75
    assert whole.notes == ("A note.", "Cell 2 stopped.", "Cell 3 stopped.")
    assert whole.seconds == {"total": 1.5, "load": 2.0}


def test_where_the_grader_failed_on_a_share_it_failed():
    failed = verdict(failure="a fault", exercises=())
    assert joined([verdict(), failed], ["square"]) is failed
