"""Stock nbgrader, run from the course's folder, gives the verdicts' scores."""

import subprocess
import sys
from dataclasses import replace

import pytest
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from autograder.engines.job import Job
from autograder.gradebook import graders
from autograder.gradebook.intake import intake
from autograder.gradebook.record import record, scores
from autograder.gradebook.settings import load
from autograder.store import VerdictStore


@pytest.fixture
def stored(mini, oracle):
    """Have verdicts in the store, where another process finds them."""

    def put(*students):
        for student in students:
            submission = intake(mini, student)
            verdict = oracle.verdict(submission)
            for share in Job(submission).shares([exercise.name for exercise in mini.exercises]):
                results = tuple(verdict.exercise(name) for name in share.exercises)
                VerdictStore(mini, "cpu").put(share, replace(verdict, exercises=results))

    return put


pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own affair


def nbgrader(course, *arguments):
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=course.root, capture_output=True, text=True, timeout=120)


def points(course, student):
    return {name: grade.score for name, grade in scores(course, "mini")[student].grades.items()}


def test_the_command_line_gives_the_verdicts_scores_and_executes_nothing(course, desk, stored, tmp_path):
    desk.hand_in("ada", square="# square: 1.5", shift="# Shift: 2", answer="Two signs make none.")
    desk.hand_in("ben", name="Copy of mini.ipynb", square="# square: 0.5", shift="# Shift: 0")
    for name in ("nbgrader_config.py", "conftest.py", "numpy.py", "sitecustomize.py", "visible.py"):
        (desk.folder("ben") / name).write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    stored("ada", "ben")
    done = nbgrader(course, "autograde", "mini")
    assert done.returncode == 0, done.stderr
    assert points(course, "ada") == {"square": 1.5, "Shift": 2.0, "why_squares": None}
    assert points(course, "ben") == {"square": 0.5, "Shift": 0.0, "why_squares": 0.0}
    done = nbgrader(course, "generate_feedback", "mini")
    assert done.returncode == 0, done.stderr
    page = (course.root / "feedback" / "ada" / "mini" / "mini.html").read_text()
    assert "Two signs make none." in page
    assert "<b>3.5</b> of 7" in page
    assert not (tmp_path / "sprung").exists()
    assert {path.suffix for path in (course.root / "autograded").rglob("*.*")} == {".ipynb", ".py"}


def test_the_formgraders_buttons_do_too(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5", shift="# Shift: 2")
    config = load(course)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    autograded = api.autograde("mini", "ada")
    assert autograded["success"], autograded
    assert points(course, "ada") == {"square": 1.5, "Shift": 2.0, "why_squares": 0.0}
    feedback = api.generate_feedback("mini", "ada")
    assert feedback["success"], feedback
    assert "<b>3.5</b> of 7" in (course.root / "feedback" / "ada" / "mini" / "mini.html").read_text()


def test_one_that_cannot_be_graded_is_reported_and_the_others_are_graded(course, desk, oracle):
    for student in ("ada", "ben", "eve"):
        desk.hand_in(student, square=f"# square: 1\n    # {student}")
    oracle.failing["# ben"] = "the runner was killed"
    config = load(course)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    results = {student: api.autograde("mini", student) for student in ("ada", "ben", "eve")}
    assert [results[student]["success"] for student in ("ada", "ben", "eve")] == [True, False, True]
    assert "the runner was killed" in results["ben"]["log"]
    assert points(course, "ben") == {"square": None, "Shift": None, "why_squares": None}
    assert points(course, "eve")["square"] == 1.0


def test_a_warm_grader_gives_them_where_none_is_lent(course, desk):
    (desk.folder("ada") / "mini.py").write_text((course.root / "solutions" / "mini.py").read_text())
    desk.hand_in("ben")
    (desk.folder("ben") / "mini.ipynb").rename(desk.folder("ben") / "final.ipynb")
    [ada, ben] = record(course, "mini", ["ada", "ben"])
    assert ada.score.earned == 5.0
    assert 0 < ben.score.earned < 5  # the square is right, and the shift is an empty class
    graders.close()
