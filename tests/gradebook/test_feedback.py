"""Feedback pages, by nbgrader's converter."""

import re

import pytest
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook import books
from autograder.gradebook.ledger import ledgers
from autograder.gradebook.record import record
from autograder.gradebook.settings import database
from autograder.report.feedback import feedback
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult


@pytest.fixture
def page(course, desk, oracle):
    """Hand in as ada, record, and give back the text of her page."""

    def render(**answers):
        desk.hand_in("ada", **answers)
        record(course, "mini", ["ada"])
        return feedback(Course.load(course.root), "mini")["ada"].read_text()

    return render


def test_it_shows_points_and_the_students_own_code(page):
    text = page(square="# square: 1.5", answer="Two signs make none.")
    assert "<b>4.5</b> of 7 points" in text
    assert "# square: 1.5" in text
    assert "Two signs make none." in text
    assert "1 written answer waits for a grader." in text


HIDDEN = ExerciseResult(
    "square",
    2.0,
    0.5,
    None,
    (
        PropertyResult("t", "It is even.", "failed", "got 1 & <2>", "x = -1"),
        PropertyResult("u", "It is small.", "passed"),
    ),
    (MistakeFound("m", "The sign is kept."),),
)


@pytest.mark.parametrize(
    ("reveal", "shown"),
    [("score", 0), ("property", 1), ("message", 3), ("counterexample", 4)],
)
def test_it_shows_of_hidden_properties_what_policy_allows(page, oracle, course, reveal, shown):
    path = course.root / "course.toml"
    path.write_text(f'{path.read_text()}\n[policy]\nreveal = "{reveal}"\n')
    oracle.results["square"] = HIDDEN
    text = page(square="pass")
    pieces = ["It is even.", "got 1 &amp; &lt;2&gt;", "The sign is kept.", "x = -1"]
    assert [piece in text for piece in pieces] == [n < shown for n in range(4)]
    assert "<b>0.5</b> of 2" in text


def test_a_graders_points_and_words_are_shown(page, course):
    page()
    with Gradebook(database(course), course.id) as gradebook:
        gradebook.find_grade("check_square", "mini", "mini", "ada").manual_score = 0.25
        gradebook.find_comment("square", "mini", "mini", "ada").manual_comment = "Look at **zero**."
        gradebook.db.commit()
    text = feedback(course, "mini")["ada"].read_text()
    assert "Your grader set these points; the properties gave 2." in text
    assert "Look at <strong>zero</strong>." in text
    assert "<b>3.25</b> of 7 points" in text


def test_who_handed_in_nothing_readable_is_told_why(course, desk, oracle):
    (desk.folder("ada") / "mini.ipynb").write_text("{")
    record(course, "mini", ["ada"])
    text = feedback(course, "mini")["ada"].read_text()
    assert "Nothing could be graded: mini.ipynb is not valid JSON" in text
    assert "<b>0</b> of 7 points" in text


def test_nothing_in_it_can_run_or_reach_out(page, oracle):
    evil = "<script>steal()</script><img src=x onerror=steal()>"
    failed = PropertyResult("t", "It holds.", "error", evil, evil)
    oracle.results["square"] = ExerciseResult("square", 2.0, 0.0, evil, (failed,), (MistakeFound("m", evil),))
    text = page(square=f"# {evil}", answer=f"{evil} [x](javascript:steal()) ![x](https://evil.example/x.png)")
    tags = set(re.findall(r"<([a-z0-9]+)", text))
    assert not tags & {"script", "img", "iframe", "object", "embed", "form", "link", "base", "button", "input"}
    assert not re.search(r"<[^>]*\son\w+=", text)
    assert not re.search(r"(?:src|href|style)=\"(?!#|https?://)", text)
    assert "default-src 'none'" in text


def the_grader_fails(oracle, mini):
    oracle.failing["# square"] = "the runner was killed"


def intake_fails(oracle, mini):
    (ledgers(mini) / "ada.json").write_text("{")


@pytest.mark.parametrize("fault", [the_grader_fails, intake_fails])
def test_a_page_does_not_outlive_the_score_it_shows(page, course, mini, oracle, fault):
    page(square="# square: 2")
    fault(oracle, mini)
    [recorded] = record(course, "mini", ["ada"])
    assert recorded.score is None
    with Gradebook(database(course), course.id) as gradebook:
        assert books.grades(gradebook, mini, "ada")["ada"]["square"].score is None
    assert not (course.root / "feedback" / "ada" / "mini").exists()
    assert feedback(course, "mini") == {}


def test_who_was_never_graded_gets_a_reason(course):
    result = feedback(course, "mini", ["nobody"])["nobody"]
    assert isinstance(result, CourseError)


def test_who_is_in_no_gradebook_is_told_what_to_run(page, course):
    """The gradebook was lost and made anew, and what had been autograded still lies there."""
    page(square="pass")
    with Gradebook(database(course), course.id) as gradebook:
        gradebook.remove_submission("mini", "ada")
    reason = feedback(Course.load(course.root), "mini")["ada"]
    assert str(reason) == "no page for ada: the gradebook has no submission of theirs; run `course grade mini` first"
