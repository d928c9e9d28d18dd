"""Who changed which score, and when."""

import fcntl
import json
import os
import resource
import signal
import sys
from datetime import UTC, datetime

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from autograder.errors import CourseError
from autograder.gradebook import history
from autograder.gradebook.history import LATE, announce, changes, command, login_name
from autograder.gradebook.record import record, scores
from autograder.gradebook.settings import database, load
from autograder.gradebook.standing import Score
from autograder.report.page import Grade

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own affair


def lines(course, **only):
    return [(item.student, item.exercise, item.was, item.becomes) for item in changes(course, **only)]


def points(course, student):
    return {name: grade.score for name, grade in scores(course, "mini")[student].grades.items()}


def score(square, penalty=0.0):
    return Score("ada", {"square": Grade(2.0, square, square)}, penalty)


def test_every_score_that_changes_has_a_line(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5", shift="# Shift: 2")
    record(course, "mini", ["ada"])
    first = [("ada", "square", None, 1.5), ("ada", "Shift", None, 2.0), ("ada", "why_squares", None, 0.0)]
    assert lines(course) == first
    desk.hand_in("ada", square="# square: 0.5", shift="# Shift: 2")
    record(course, "mini", ["ada"])
    assert lines(course)[3:] == [("ada", "square", 1.5, 0.5)]


def test_a_line_says_who_when_by_what_and_under_which_suites(course, desk, oracle, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/course", "grade", "mini", "--force"])
    started = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    desk.hand_in("ada", square="# square: 1.5")
    record(course, "mini", ["ada"])
    desk.hand_in("ada", square="# square: 2")
    record(course, "mini", ["ada"])
    last = json.loads((course.root / history.FILE).read_text().splitlines()[-1])
    assert started <= last.pop("time") <= f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert last == {
        "who": login_name(),
        "command": "course grade mini",
        "assignment": "mini",
        "student": "ada",
        "exercise": "square",
        "from": 1.5,
        "to": 2.0,
        "suite_before": "test",
        "suite_after": "test",
    }
    assert changes(course)[0].before is None


def test_a_regrade_that_changes_nothing_has_none(course, desk, oracle):
    desk.hand_in("ada")
    record(course, "mini", ["ada"])
    before = (course.root / history.FILE).read_bytes()
    record(course, "mini", ["ada"])
    assert (course.root / history.FILE).read_bytes() == before


def test_what_a_person_set_does_not_change_and_has_none(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5")
    record(course, "mini", ["ada"])
    with Gradebook(database(course), course.id) as gradebook:
        gradebook.find_grade("check_square", "mini", "mini", "ada").manual_score = 1.75
        gradebook.db.commit()
    desk.hand_in("ada", square="# square: 0")
    record(course, "mini", ["ada"])
    assert lines(course)[3:] == []


def test_a_submission_that_can_be_graded_no_more_loses_its_scores_and_that_is_told(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5")
    record(course, "mini", ["ada"])
    oracle.failing["# square"] = "the runner was killed"
    record(course, "mini", ["ada"])
    record(course, "mini", ["ada"])
    assert lines(course)[3:] == [
        ("ada", "square", 1.5, None),
        ("ada", "Shift", 3.0, None),
        ("ada", "why_squares", 0.0, None),
    ]
    assert {(item.before, item.after) for item in changes(course)[3:]} == {("test", None)}
    oracle.failing.clear()
    record(course, "mini", ["ada"])
    assert lines(course)[6] == ("ada", "square", None, 1.5)


def test_stock_nbgrader_tells_as_much(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5")
    config = load(course)
    assert NbGraderAPI(CourseDirectory(config=config), config=config).autograde("mini", "ada")["success"]
    assert lines(course)[0] == ("ada", "square", None, 1.5)


def test_lateness_is_told_as_well(course):
    announce(course, "mini", score(2.0), score(2.0, 0.7), "a", "b")
    announce(course, "mini", score(2.0, 0.7), score(2.0), "b", "b")
    assert lines(course) == [("ada", LATE, None, 0.7), ("ada", LATE, 0.7, None)]


def test_it_can_be_asked_for_an_assignment_or_a_student(course):
    announce(course, "mini", None, score(2.0), None, "a")
    announce(course, "other", None, score(1.0), None, "a")
    assert lines(course, slug="mini") == [("ada", "square", None, 2.0)]
    assert lines(course, student="ben") == []
    assert len(lines(course, student="ada")) == 2


@pytest.mark.parametrize("broken", ['{"time": "2027', "nonsense\n", "[1]\n", '{"time": 1}\n', "\xff\n"])
def test_a_broken_line_hides_no_other(course, broken):
    announce(course, "mini", None, score(2.0), None, "a")
    with (course.root / history.FILE).open("a") as file:
        file.write(broken)
    announce(course, "mini", score(2.0), score(1.0), "a", "b")
    assert lines(course) == [("ada", "square", None, 2.0), ("ada", "square", 2.0, 1.0)]


def test_a_disk_without_space_leaves_no_half_of_a_line(course):
    announce(course, "mini", None, score(2.0), None, "a")
    path = course.root / history.FILE
    before = path.read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(CourseError, match="so no score was changed"):
            announce(course, "mini", score(2.0), score(1.0), "a", "b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


def test_a_log_that_cannot_be_written_stops_the_change(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5")
    record(course, "mini", ["ada"])
    desk.hand_in("ada", square="# square: 0")
    path = course.root / history.FILE
    path.rename(course.root / "kept")
    path.mkdir()
    graded = (course.root / "autograded" / "ada" / "mini" / "mini.ipynb").read_bytes()
    with pytest.raises(CourseError, match="cannot be written") as caught:
        record(course, "mini", ["ada"])
    assert "\n" not in str(caught.value)
    assert (course.root / "autograded" / "ada" / "mini" / "mini.ipynb").read_bytes() == graded
    config = load(course)
    autograded = NbGraderAPI(CourseDirectory(config=config), config=config).autograde("mini", "ada")
    assert not autograded["success"]
    assert "so no score was changed" in autograded["log"]
    assert points(course, "ada")["square"] == 1.5
    path.rmdir()
    (course.root / "kept").rename(path)
    record(course, "mini", ["ada"])
    assert lines(course)[-1] == ("ada", "square", 1.5, 0.0)


def test_one_that_is_killed_waiting_to_write_leaves_nothing(course):
    announce(course, "mini", None, score(2.0), None, "a")
    path = course.root / history.FILE
    before = path.read_bytes()
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        pid = os.fork()
        if pid == 0:
            announce(course, "mini", score(2.0), score(1.0), "a", "b")
            os._exit(0)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert path.read_bytes() == before
    announce(course, "mini", score(2.0), score(1.0), "a", "b")
    assert lines(course)[-1] == ("ada", "square", 2.0, 1.0)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["/opt/bin/nbgrader", "autograde", "vae", "--student", "x"], "nbgrader autograde vae"),
        (["/lib/nbgrader/__main__.py", "autograde", "vae"], "nbgrader autograde vae"),
        (["jupyter-lab", "--ServerApp.token=secret"], "jupyter-lab"),
        ([], ""),
    ],
)
def test_the_command_is_told_without_its_options(monkeypatch, argv, said):
    monkeypatch.setattr(sys, "argv", argv)
    assert command() == said


def test_names_are_the_operating_systems(monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.setenv("USER", "somebody")
    assert login_name() != "somebody"
