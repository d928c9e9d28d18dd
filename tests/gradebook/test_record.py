"""Verdicts become scores in nbgrader's gradebook."""

from datetime import UTC, datetime, timedelta

import pytest
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook.extend import extend
from autograder.gradebook.intake import receive
from autograder.gradebook.record import record, scores
from autograder.gradebook.settings import database
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult


def points(course, student):
    return {name: grade.score for name, grade in scores(course, "mini")[student].grades.items()}


def book(course):
    return Gradebook(database(course), course.id)


def test_scores_are_the_verdicts(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5", shift="# Shift: 3")
    [recorded] = record(course, "mini", ["ada"])
    assert recorded.failure is None
    assert recorded.score.earned == 4.5
    assert recorded.score.points == 7.0
    assert points(course, "ada") == {"square": 1.5, "Shift": 3.0, "why_squares": 0.0}


@pytest.mark.parametrize("earned", ["0", "0.0", "1e-4", "2", "1.3333"])
def test_every_number_of_points_arrives_as_it_is(course, desk, oracle, earned):
    desk.hand_in("ada", square=f"# square: {earned}")
    record(course, "mini", ["ada"])
    assert points(course, "ada")["square"] == float(earned)


def test_a_written_answer_waits_for_a_person(course, desk, oracle):
    desk.hand_in("ada", answer="Two signs make none.")
    [recorded] = record(course, "mini", ["ada"])
    assert recorded.score.waiting == ["why_squares"]


def test_an_answer_in_a_cell_that_lost_its_name_waits_for_a_person_too(course, desk, oracle):
    notebook = desk.notebook(answer="Two signs make none.")
    for cell in notebook.cells:
        cell.metadata = {}
    desk.hand_in("ada", notebook)
    [recorded] = record(course, "mini", ["ada"])
    assert recorded.score.waiting == ["why_squares"]
    assert recorded.score.earned == 5.0


def test_an_answer_in_the_cell_of_its_question_waits_as_well(course, desk, oracle):
    notebook = desk.notebook()
    for cell in notebook.cells:
        if cell.source.startswith("Why are squares"):
            cell.source += "\n\nBecause two signs make none."
    desk.hand_in("ada", notebook)
    assert record(course, "mini", ["ada"])[0].score.waiting == ["why_squares"]


def test_nothing_readable_is_an_explicit_zero(course, desk, oracle):
    desk.folder("ada")
    (desk.folder("ben") / "mini.ipynb").write_text("{ this is no notebook")
    (desk.folder("eve") / "report.pdf").write_text("%PDF")
    for recorded in record(course, "mini", ["ada", "ben", "eve"]):
        assert recorded.failure is None
        assert {grade.score for grade in recorded.score.grades.values()} == {0.0}


def test_a_failing_grader_leaves_no_score_and_stops_no_other(course, desk, oracle):
    for student in ("ada", "ben", "eve"):
        desk.hand_in(student, square=f"# square: 2\n    # {student}")
    record(course, "mini", ["ada", "ben", "eve"])
    oracle.failing["# ben"] = "the runner was killed"
    ada, ben, eve = record(course, "mini", ["ada", "ben", "eve"])
    assert "the runner was killed" in ben.failure
    assert ben.score is None
    assert points(course, "ben") == {"square": None, "Shift": None, "why_squares": None}
    assert not (course.root / "autograded" / "ben" / "mini").exists()
    assert ada.score.earned == eve.score.earned == 5.0


def test_who_handed_nothing_in_fails_alone(course, desk, oracle):
    desk.hand_in("ada")
    ada, ben = record(course, "mini", ["ada", "ben"])
    assert ada.score.earned == 5.0
    assert "handed in nothing" in ben.failure


def test_a_regrade_replaces_the_old_score(course, desk, oracle):
    desk.hand_in("ada", square="# square: 2")
    record(course, "mini", ["ada"])
    desk.hand_in("ada", square="# square: 0.5")
    record(course, "mini", ["ada"])
    assert points(course, "ada")["square"] == 0.5


def test_what_people_wrote_survives_a_regrade(course, desk, oracle):
    desk.hand_in("ada", square="# square: 0.5", answer="Two signs make none.")
    record(course, "mini", ["ada"])
    with book(course) as gradebook:
        gradebook.find_grade("check_square", "mini", "mini", "ada").manual_score = 1.75
        gradebook.find_grade("why_squares", "mini", "mini", "ada").manual_score = 1.0
        gradebook.find_grade("check_Shift", "mini", "mini", "ada").extra_credit = 0.25
        gradebook.find_comment("square", "mini", "mini", "ada").manual_comment = "Nearly."
        gradebook.db.commit()
    oracle.failing["# square"] = "the runner was killed"
    record(course, "mini", ["ada"])
    oracle.failing.clear()
    record(course, "mini", ["ada"])
    assert points(course, "ada") == {"square": 1.75, "Shift": 3.25, "why_squares": 1.0}
    assert scores(course, "mini")["ada"].grades["square"].comment == "Nearly."
    with book(course) as gradebook:
        assert gradebook.find_comment("square", "mini", "mini", "ada").comment == "Nearly."
        assert gradebook.find_grade("check_square", "mini", "mini", "ada").needs_manual_grade


def test_comments_say_what_the_verdict_was(course, desk, oracle):
    held, failed = PropertyResult("a", "A holds.", "passed"), PropertyResult("b", "B holds.", "failed", "hidden", "[1]")
    mistake = MistakeFound("m", "The sign is kept.")
    oracle.results["square"] = ExerciseResult("square", 2.0, 1.0, None, (held, failed), (mistake,))
    desk.hand_in("ada", square="pass")
    record(course, "mini", ["ada"])
    with book(course) as gradebook:
        said = gradebook.find_comment("square", "mini", "mini", "ada").comment
    assert said == "1 of 2 properties hold.\nThe sign is kept.\n✗ B holds. (does not hold)"


def test_comments_say_no_more_than_policy_allows(course, desk, oracle):
    text = (course.root / "course.toml").read_text() + '\n[policy]\nreveal = "score"\n'
    (course.root / "course.toml").write_text(text)
    failed = PropertyResult("b", "B holds.", "failed", "hidden", "[1]")
    oracle.results["square"] = ExerciseResult("square", 2.0, 1.0, None, (failed,), (MistakeFound("m", "The sign."),))
    desk.hand_in("ada", square="pass")
    record(course, "mini", ["ada"])
    with book(course) as gradebook:
        assert gradebook.find_comment("square", "mini", "mini", "ada").comment is None


def test_lateness_is_reckoned_by_arrival_and_again_when_more_is_graded(course, desk, oracle):
    late(course, desk, days=1.5, answer="Two signs make none.")
    course = Course.load(course.root)
    [recorded] = record(course, "mini", ["ada"])
    assert recorded.score.penalty == pytest.approx(0.2 * 7)
    assert recorded.score.earned == pytest.approx(5 - 0.2 * 7)


def test_after_the_last_day_nothing_is_earned_by_answers_graded_later_either(course, desk, oracle):
    late(course, desk, days=8, answer="Two signs make none.")
    course = Course.load(course.root)
    assert record(course, "mini", ["ada"])[0].score.earned == 0.0
    with book(course) as gradebook:
        gradebook.find_grade("why_squares", "mini", "mini", "ada").manual_score = 2.0
        gradebook.db.commit()
    assert scores(course, "mini")["ada"].earned == 0.0


def test_an_extension_that_nbgrader_grants_counts(course, desk, oracle):
    late(course, desk, days=1.5)
    course = Course.load(course.root)
    record(course, "mini", ["ada"])
    with book(course) as gradebook:
        gradebook.grant_extension("mini", "ada", days=2)
    assert scores(course, "mini")["ada"].penalty == 0.0


@pytest.mark.parametrize("graded_first", [False, True])
def test_a_due_date_of_ones_own_counts_and_can_be_taken_back(course, desk, oracle, graded_first):
    late(course, desk, days=1.5)
    course = Course.load(course.root)
    due = course.assignment("mini").due
    if graded_first:
        assert record(course, "mini", ["ada"])[0].score.penalty > 0
    extend(course, "mini", "ada", due + timedelta(days=2))
    record(course, "mini", ["ada"])
    assert scores(course, "mini")["ada"].penalty == 0.0
    extend(course, "mini", "ada", due + timedelta(days=1))
    assert scores(course, "mini")["ada"].penalty == pytest.approx(0.1 * 7)
    extend(course, "mini", "ada", None)
    assert scores(course, "mini")["ada"].penalty == pytest.approx(0.2 * 7)


def test_without_a_due_date_there_is_nothing_to_extend(course):
    with pytest.raises(CourseError, match="no due date"):
        extend(course, "mini", "ada", datetime(2027, 2, 12, tzinfo=UTC))


def test_a_students_own_timestamp_is_not_believed(course, desk, oracle):
    (desk.folder("ada") / "timestamp.txt").write_text("2020-01-01 00:00:00 UTC")
    late(course, desk, days=1.5)
    assert record(Course.load(course.root), "mini", ["ada"])[0].score.penalty > 0


def late(course, desk, days, **answers):
    """Let ada hand in some days after the due date."""
    due = datetime(2027, 2, 12, 12, 0, tzinfo=UTC)
    text = (course.root / "course.toml").read_text()
    (course.root / "course.toml").write_text(f"{text}due = {due:%Y-%m-%dT%H:%M:%SZ}\n")
    desk.hand_in("ada", **answers)
    folder = desk.folder("ada").rename(course.root / "inbox")
    receive(desk.assignment, "ada", folder, received=due + timedelta(days=days), origin="test")


@pytest.mark.parametrize("edits", [{'e="square"': 'e="cube"', "def square(": "def cube("}, {"points=2": "points=20"}])
def test_a_gradebook_made_for_other_exercises_or_points_is_not_written_to(course, desk, oracle, edits):
    desk.hand_in("ada", square="# square: 2\n    # cube: 2")
    starter = course.assignment("mini").starter_path
    for old, new in edits.items():
        starter.write_text(starter.read_text().replace(old, new, 1))
    oracle.assignment = Course.load(course.root).assignment("mini")
    [recorded] = record(course, "mini", ["ada"])
    assert "run `course release mini` again" in recorded.failure
    assert points(course, "ada")["Shift"] is None


def test_an_assignment_that_was_never_released_says_so(course):
    with book(course) as gradebook:
        gradebook.remove_assignment("mini")
    with pytest.raises(CourseError, match="run `course release mini` first"):
        record(course, "mini", [])
