"""Where a submission will stand is where it stands once its verdict is recorded."""

from datetime import UTC, datetime, timedelta

import pytest
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook.extend import extend
from autograder.gradebook.intake import intake, receive
from autograder.gradebook.record import opened, record
from autograder.gradebook.settings import database
from autograder.gradebook.standing import Score, cleared, foreseen, standing
from autograder.report.page import Grade

DUE = datetime(2027, 2, 12, 12, 0, tzinfo=UTC)


@pytest.fixture
def due(course):
    """The course, with a due date."""
    toml = course.root / "course.toml"
    toml.write_text(f"{toml.read_text()}due = {DUE:%Y-%m-%dT%H:%M:%SZ}\n")
    return Course.load(course.root)


@pytest.fixture
def hand_in(desk):
    """Let ada hand in so many days after the due date."""

    def put(days, **answers):
        desk.hand_in("ada", **answers)
        folder = desk.folder("ada").rename(desk.assignment.course.root / f"inbox{days}")
        receive(desk.assignment, "ada", folder, received=DUE + timedelta(days=days), origin="test")

    return put


def look_ahead(course, oracle):
    """Ada's score as it will be, and as it then is."""
    assignment = course.assignment("mini")
    submission = intake(assignment, "ada")
    with opened(course, assignment) as gradebook:
        then = foreseen(gradebook, assignment, "ada", submission, oracle.verdict(submission))
    [recorded] = record(course, "mini", ["ada"])
    return then, recorded.score


@pytest.mark.parametrize("days", [-1, 1.5, 8])
@pytest.mark.parametrize("again", [False, True])
def test_what_is_foreseen_comes_true(due, hand_in, oracle, days, again):
    if again:
        hand_in(0, square="# square: 0.25")
        record(due, "mini", ["ada"])
    hand_in(days, square="# square: 1.5", answer="Two signs make none.")
    then, score = look_ahead(due, oracle)
    assert then == score
    assert (score.penalty > 0) == (days > 0)


@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_an_extension_is_foreseen(due, hand_in, oracle, by):
    hand_in(1.5)
    record(due, "mini", ["ada"])
    if by == "course":
        extend(due, "mini", "ada", DUE + timedelta(days=1))
    else:
        with Gradebook(database(due), due.id) as gradebook:
            gradebook.grant_extension("mini", "ada", days=1)
    then, score = look_ahead(due, oracle)
    assert then == score
    assert score.penalty == pytest.approx(0.1 * 7)


def test_what_people_entered_is_foreseen(due, hand_in, oracle):
    hand_in(1.5, square="# square: 1.5", answer="Two signs make none.")
    record(due, "mini", ["ada"])
    with Gradebook(database(due), due.id) as gradebook:
        gradebook.find_grade("check_square", "mini", "mini", "ada").manual_score = 1.75
        gradebook.find_grade("why_squares", "mini", "mini", "ada").manual_score = 1.0
        gradebook.find_grade("check_Shift", "mini", "mini", "ada").extra_credit = 0.25
        gradebook.find_comment("square", "mini", "mini", "ada").manual_comment = "Nearly."
        gradebook.db.commit()
    then, score = look_ahead(due, oracle)
    assert then == score
    assert score.grades["square"] == Grade(2.0, 1.75, 1.5, "Nearly.", 1.75)


def test_a_submission_that_cannot_be_graded_keeps_what_people_entered(due, hand_in, oracle):
    hand_in(1.5)
    record(due, "mini", ["ada"])
    with Gradebook(database(due), due.id) as gradebook:
        gradebook.find_grade("check_square", "mini", "mini", "ada").manual_score = 1.75
        gradebook.db.commit()
    oracle.failing["# square"] = "the runner was killed"
    assignment = due.assignment("mini")
    with opened(due, assignment) as gradebook:
        then = cleared(gradebook, assignment, "ada")
    assert record(due, "mini", ["ada"])[0].failure
    with opened(due, assignment) as gradebook:
        assert standing(gradebook, assignment, "ada") == then
    assert then == Score("ada", {**then.grades, "square": Grade(2.0, 1.75, None, None, 1.75)}, 0.0)
    assert then.waiting == ["Shift", "why_squares"]


def test_nobody_stands_anywhere_before_the_first_grading(course, mini):
    with opened(course, mini) as gradebook:
        assert standing(gradebook, mini, "ada") is None
        assert cleared(gradebook, mini, "ada").earned == 0.0


def test_a_gradebook_made_for_other_points_is_foreseen_to_refuse(course, desk, oracle):
    desk.hand_in("ada")
    starter = course.assignment("mini").starter_path
    starter.write_text(starter.read_text().replace("points=2", "points=20", 1))
    oracle.assignment = assignment = Course.load(course.root).assignment("mini")
    submission = intake(assignment, "ada")
    with (
        opened(assignment.course, assignment) as gradebook,
        pytest.raises(CourseError, match="run `course release mini` again"),
    ):
        foreseen(gradebook, assignment, "ada", submission, oracle.verdict(submission))
