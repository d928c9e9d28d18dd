"""The class page of students who handed in, were graded and recorded."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from bs4 import BeautifulSoup
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.intake import receive
from autograder.gradebook.record import record
from autograder.gradebook.settings import database
from autograder.report.classpage.gather import gather
from autograder.report.classpage.write import report
from autograder.report.feedback import feedback
from autograder.store import VerdictStore
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult, with_results

KEPT = ExerciseResult(
    "square",
    2.0,
    0.5,
    None,
    (PropertyResult("t", "It is even.", "failed", "got 1"), PropertyResult("u", "It is small.", "passed")),
    (MistakeFound("m", "The sign is kept."),),
)


@pytest.fixture
def grade(course, mini, oracle):
    """Record students, and keep their verdicts as a grader does."""

    def grade(*students):
        record(course, "mini", students)
        store = VerdictStore(mini, "cpu")
        for submission in tuple(oracle.asked):  # a verdict is asked for once more
            verdict = oracle.verdict(submission)
            for share in store.known(submission).shares:
                store.put(
                    share, with_results(verdict, tuple(r for r in verdict.exercises if r.name in share.exercises))
                )

    return grade


def read(path):
    """The page, and the students behind each of its buttons, by the button's words."""
    soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    names = [row.th.get_text() for row in soup.find(id="table").tbody.find_all("tr")]
    picks = json.loads(soup.find(id="picks").string)
    return soup, {label: [names[place] for place in members] for label, *members in picks}


def test_it_tells_what_is_stored(course, mini, desk, oracle, grade):
    oracle.results["square"] = KEPT
    for student, answers in {"ada": {"square": "pass", "answer": "So."}, "bob": {"square": "pass"}, "eve": {}}.items():
        desk.hand_in(student, **answers)
    grade("ada", "bob", "eve")
    feedback(course, "mini", ["ada"])
    soup, who = read(report(mini))
    assert who["handed in"] == who["graded"] == ["ada", "bob", "eve"]
    assert who["waiting for a grader"] == ["ada"]
    assert who["square: It is even."] == ["ada", "bob", "eve"]  # eve's points alone are what her code says
    assert who["square: m"] == ["ada", "bob", "eve"]
    assert who["square: earned something"] == ["ada", "bob"]
    assert who["square: earned everything"] == ["eve"]
    assert who["score 3 to 4"] == ["ada", "bob"]
    assert who["score 5 to 6"] == ["eve"]
    assert "The sign is kept." in soup.get_text()
    [link] = soup.select("#table tbody a")
    assert (course.root / "report" / link["href"]).resolve() == course.root / "feedback" / "ada" / "mini" / "mini.html"
    assert (course.root / "report" / link["href"]).is_file()


def test_what_a_person_changed_in_the_gradebook_counts(course, mini, desk, grade):
    desk.hand_in("ada")
    grade("ada")
    with Gradebook(database(course), course.id) as gradebook:
        gradebook.find_grade("check_square", "mini", "mini", "ada").manual_score = 0.0
        gradebook.find_grade("why_squares", "mini", "mini", "ada").manual_score = 2.0
        gradebook.db.commit()
    _, who = read(report(mini))
    assert who["square: earned nothing"] == ["ada"]
    assert who["why_squares: earned everything"] == ["ada"]
    assert "waiting for a grader" not in who


def test_the_last_submission_counts_and_an_older_verdict_is_told_apart(mini, desk, grade):
    desk.hand_in("ada", square="# square: 0")
    grade("ada")
    desk.hand_in("ada", square="# square: 2")
    student = receive_again(mini, desk)
    assert student.verdict is None
    _, who = read(report(mini))
    assert who["with an old verdict"] == ["ada"]


def receive_again(mini, desk):
    """Take in what lies in ada's folder, without grading it."""
    from autograder.gradebook.intake import intake

    intake(mini, "ada")
    return gather(mini)[0]


def test_whoever_handed_in_nothing_is_on_the_list(course, mini, desk, grade):
    desk.hand_in("ada")
    grade("ada")
    with Gradebook(database(course), course.id) as gradebook:
        gradebook.update_or_create_student("zoe")
    _, who = read(report(mini))
    assert who["handed in nothing"] == ["zoe"]
    assert who["handed in"] == ["ada"]


def test_late_is_by_the_students_own_due_date(course, desk, grade, tmp_path):
    path = course.root / "course.toml"
    path.write_text(path.read_text() + "due = 2027-02-01T12:00:00Z\n")
    mini = Course.load(course.root).assignment("mini")
    for student in ("ada", "bob", "cyd"):
        folder = tmp_path / student
        folder.mkdir()
        (folder / "mini.ipynb").write_bytes(desk.hand_in("desk").read_bytes())
        receive(mini, student, folder, received=mini.due + timedelta(days=2), origin="a test")
    known = ledger.read(mini, "bob")
    known.due = mini.due + timedelta(days=3)
    ledger.write(mini, "bob", known)
    grade("cyd")
    with Gradebook(database(course), course.id) as gradebook:
        gradebook.grant_extension("mini", "cyd", days=1)
    late = {item.name: item.late for item in gather(mini)}
    assert late == {"ada": 2.0, "bob": 0.0, "cyd": 1.0, "desk": 0.0}


def test_a_file_that_cannot_be_read_is_a_note(mini, desk, grade):
    (desk.folder("ada") / "mini.ipynb").write_text("{")
    grade("ada")
    soup, who = read(report(mini))
    assert who["note on the file"] == ["ada"]
    assert "mini.ipynb is not valid JSON" in soup.find(id="trouble").parent.get_text()


def test_what_stopped_is_flagged(mini, desk, oracle, grade):
    words = "The time limit was reached: it was still running."
    slow = (PropertyResult("t", "It is even.", "timeout", words), PropertyResult("u", "It is small.", "not_run"))
    oracle.results["square"] = replace(KEPT, earned=0.0, error=words, properties=slow, mistakes=())
    desk.hand_in("ada", square="pass")
    grade("ada")
    soup, who = read(report(mini))
    assert who["ran out of time"] == who["square: stopped"] == ["ada"]
    assert words in soup.get_text()
    assert "out of time" in soup.find(id="table").get_text()


def test_nothing_of_tests_inputs_or_answers_is_in_it(mini, desk, oracle, grade):
    found = replace(KEPT.properties[0], message="got 1", counterexample="x = tensor([-1.])")
    oracle.results["square"] = replace(KEPT, properties=(found,))
    desk.hand_in("ada", square="secret_of_ada = 1", answer="Because of ada.")
    grade("ada")
    text = report(mini).read_text("utf-8")
    for piece in ("tensor([-1.])", "got 1", "secret_of_ada", "Because of ada."):
        assert piece not in text


def test_it_goes_where_it_is_told_and_its_links_with_it(course, mini, desk, grade, tmp_path):
    desk.hand_in("ada")
    grade("ada")
    feedback(course, "mini")
    path = report(mini, tmp_path / "far" / "away.html")
    soup, _ = read(path)
    assert path.stat().st_mode & 0o777 == 0o600  # it names people
    assert (path.parent / soup.select("#table tbody a")[0]["href"]).resolve().is_file()


def test_reading_changes_nothing_of_what_was_handed_in(course, mini, desk, grade):
    desk.hand_in("ada")
    grade("ada")
    (desk.folder("ada") / "by_hand.py").write_text("x = 1")
    desk.hand_in("bob")
    before = {path: path.read_bytes() for path in mini.submitted_root.rglob("*") if path.is_file()}
    report(mini)
    assert {path: path.read_bytes() for path in mini.submitted_root.rglob("*") if path.is_file()} == before


def test_without_submissions_it_says_what_to_run(mini):
    with pytest.raises(CourseError, match="course collect mini"):
        report(mini)
