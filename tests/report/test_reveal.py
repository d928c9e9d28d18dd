from datetime import UTC, datetime, timedelta

import pytest

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.ledger import Arrival
from autograder.report.reveal import LEVELS, revealed, reveals
from autograder.verdict import ExerciseResult, MistakeFound, Picture, PropertyResult

RESULT = ExerciseResult(
    "square",
    2.0,
    1.0,
    "your cell stopped",
    (PropertyResult("t", "It holds.", "failed", "a message", "an input", picture=Picture([[1.0]], [[2.0]], [0])),),
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
    assert any(found.picture for found in shown.properties) == bool(counterexample)


@pytest.mark.parametrize("level", LEVELS)
def test_points_and_the_students_own_error_are_always_shown(level):
    shown = revealed(RESULT, level)
    assert (shown.earned, shown.points, shown.error) == (1.0, 2.0, "your cell stopped")


def test_the_last_level_hides_nothing():
    assert revealed(RESULT, "counterexample") == RESULT


def handed_in(assignment, times: int, by_hand: int = 0) -> None:
    now = datetime.now(UTC)
    arrivals = [Arrival(received=now, origin="a test", by_hand=n >= times) for n in range(times + by_hand)]
    ledger.write(assignment, "ada", ledger.Ledger(arrivals=dict(enumerate(arrivals, 1))))


def with_policy(course: Course, policy: str) -> Assignment:
    path = course.root / "course.toml"
    text = path.read_text("utf-8").partition("[[assignment]]")[0]
    path.write_text(f'{text}[[assignment]]\nslug = "mini"\ntitle = "Mini"\n[assignment.policy]\n{policy}\n', "utf-8")
    return Course.load(course.root).assignment("mini")


@pytest.mark.parametrize(
    ("times", "level"), [(0, "score"), (1, "score"), (2, "message"), (3, "message"), (4, "counterexample")]
)
def test_more_is_shown_from_so_many_submissions_on(mini_course, times, level):
    """What a grader put there by hand is none of them."""
    policy = "reveal = 'score'\nreveal_after_attempts = { 2 = 'message', 4 = 'counterexample' }"
    assignment = with_policy(mini_course, policy)
    handed_in(assignment, times, by_hand=3)
    assert reveals(assignment, "ada", None)["square"] == level


@pytest.mark.parametrize(("days", "level"), [(1, "property"), (-1, "property"), (-3, "message")])
def test_more_is_shown_once_the_student_cannot_hand_in_any_more(mini_course, days, level):
    assignment = with_policy(mini_course, "reveal = 'property'\nreveal_after_due = 'message'\nlate_days = 2")
    assert reveals(assignment, "ada", datetime.now(UTC) + timedelta(days=days))["square"] == level


def test_opening_takes_nothing_back(mini_course):
    assignment = with_policy(mini_course, "reveal = 'message'\nreveal_after_attempts = { 1 = 'property' }")
    handed_in(assignment, 1)
    assert reveals(assignment, "ada", None)["square"] == "message"


def test_an_exercise_can_have_a_level_of_its_own(mini_course):
    shown = reveals(with_policy(mini_course, "reveal_of = { square = 'score' }"), "ada", None)
    assert (shown["square"], shown["Shift"]) == ("score", "counterexample")


def test_a_level_for_an_exercise_that_is_none_is_refused(mini_course):
    with pytest.raises(CourseError, match="'cube', which is no exercise of mini"):
        _ = with_policy(mini_course, "reveal_of = { cube = 'score' }").exercises
