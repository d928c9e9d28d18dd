"""What a grading would change is said before it does, and is what it then changes."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from nbgrader.api import Gradebook

from autograder.classroom import grade_class
from autograder.course import Course
from autograder.gradebook.history import changes
from autograder.gradebook.record import scores
from autograder.gradebook.settings import database
from autograder.preview import foresee, summary
from autograder.reference import reference_script
from autograder.release import release
from autograder.report.feedback import feedback

STARTS_AT_ZERO = "    def test_starts_with_an_offset_of_zero("
KEEPS_THE_SHAPE = '''\
    def test_keeps_the_shape(self, student):
        """It has the shape of what was moved."""
        assert student.Shift(4)(torch.ones(1, 4)).shape == (1, 4)

'''
ZEROS, ONES = "torch.zeros(size)", "torch.ones(size)"

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own affair


@pytest.fixture
def hand_in(mini, desk):
    """Hand in the reference, with some of its text replaced."""

    def put(student, *replacements):
        text = reference_script(mini)
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (desk.folder(student) / "mini.ipynb").unlink(missing_ok=True)  # made from what was handed in before
        (desk.folder(student) / "mini.py").write_text(text)

    return put


@pytest.fixture(scope="module")
def gradings(tmp_path_factory):
    """Where the first test leaves what grading the class makes."""
    return tmp_path_factory.mktemp("gradings") / "course"


@pytest.fixture
def graded(course, mini, hand_in, gradings):
    """A class of two who are graded, with pages: ada earns everything, ben's shift does not start at zero."""
    if gradings.exists():
        shutil.copytree(gradings, course.root, dirs_exist_ok=True)
        return
    hand_in("ada")
    hand_in("ben", (ZEROS, ONES))
    found = {item.student: item.score for item in grade_class(mini)}
    assert found == {"ada": 5.0, "ben": 3.5}
    feedback(course, "mini")
    shutil.copytree(course.root, gradings)


def edit(course, path, *replacements):
    """Change a file of the course, and read the course anew."""
    file = course.root / path
    text = file.read_text()
    for old, new in replacements:
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)
    return Course.load(course.root).assignment("mini")


def weigh(course, weight):
    """Let one property of `Shift` weigh otherwise."""
    new = [(STARTS_AT_ZERO, f"    @weight({weight})\n{STARTS_AT_ZERO}"), ("tensors\n", "tensors, weight\n")]
    return edit(course, "autograder/hidden/test_mini.py", *new)


def everything(course):
    """Every byte that a grading records."""
    places = [course.root / name for name in ("gradebook.db", "changes.jsonl", "autograded", "feedback")]
    assert all(place.exists() for place in places)
    paths = [path for place in places for path in [place, *place.rglob("*")]]
    return {path: path.is_file() and (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def told(previews):
    """What is said of every student, in the form of what a grading returns."""
    return {item.student: (item.becomes, {e.name: e.becomes for e in item.exercises}) for item in previews}


def recorded(course):
    """The same from the gradebook."""
    return {
        student: (round(score.earned, 4), {name: grade.score for name, grade in score.grades.items()})
        for student, score in scores(course, "mini").items()
    }


def test_a_changed_weight_moves_that_exercise_only_and_the_preview_says_so(course, graded):
    assignment = weigh(course, 4)
    before = everything(course)
    ada, ben = previews = foresee(assignment)
    assert everything(course) == before
    assert summary(previews) == {"gains": 0, "loses": 1, "stays": 1, "new": 0, "fails": 0}
    assert (ada.outlook, ada.score, ada.becomes) == ("stays", 5.0, 5.0)
    assert (ben.outlook, ben.score, ben.becomes) == ("loses", 3.5, 2.6)
    square, shift, why = ben.exercises
    assert square.score == square.becomes == 2.0
    assert square.why == why.why == ()
    assert (shift.score, shift.becomes) == (1.5, 0.6)
    assert shift.why == ("test_starts_with_an_offset_of_zero weighs 4 and weighed 1",)
    told_before = len(changes(course))
    grade_class(assignment)
    assert recorded(course) == told(previews)
    [line] = changes(course)[told_before:]
    assert (line.student, line.exercise, line.was, line.becomes) == ("ben", "Shift", 1.5, 0.6)
    assert line.before != line.after
    assert [line.after for line in changes(course, student="ada")] == [line.before] * 3
    assert [item.outlook for item in foresee(assignment)] == ["stays", "stays"]


def test_what_people_entered_stays_and_the_preview_says_so(course, graded):
    with Gradebook(database(course), course.id) as gradebook:
        gradebook.find_grade("check_Shift", "mini", "mini", "ben").manual_score = 2.75
        gradebook.find_grade("check_square", "mini", "mini", "ben").extra_credit = 0.5
        gradebook.find_grade("why_squares", "mini", "mini", "ada").manual_score = 1.5
        gradebook.find_comment("Shift", "mini", "mini", "ben").manual_comment = "Nearly."
        gradebook.db.commit()
    assignment = weigh(course, 4)
    ada, ben = previews = foresee(assignment)
    square, shift, _ = ben.exercises
    assert (shift.score, shift.becomes, shift.kept, shift.commented) == (2.75, 2.75, True, True)
    assert shift.why[-1] == "the autograder would say 0.6, not 1.5"
    assert (square.score, square.becomes, square.kept) == (2.5, 2.5, False)
    assert [item.kept for item in ada.exercises] == [False, False, True]
    lines = len(changes(course))
    grade_class(assignment)
    assert recorded(course) == told(previews)
    assert scores(course, "mini")["ben"].grades["Shift"].comment == "Nearly."
    assert len(changes(course)) == lines


def test_added_and_removed_properties_and_other_points_are_told(course, graded):
    edit(course, "autograder/hidden/test_mini.py", (STARTS_AT_ZERO, f"{KEEPS_THE_SHAPE}    def no_property("))
    assignment = edit(course, "assignments/mini/mini.py", ("points=2\ndef", "points=4\ndef"))
    before = everything(course)
    previews = foresee(assignment)
    assert everything(course) == before
    assert {(item.outlook, item.becomes) for item in previews} == {("fails", None)}
    assert all("run `course release mini` again" in item.failure for item in previews)
    release(assignment.course, ["mini"])
    ada, ben = previews = foresee(assignment)
    assert ada.exercises[0].why == ("it is worth 4 points and was worth 2",)
    assert ben.exercises[1].why == (
        "test_starts_with_an_offset_of_zero is gone; it did not hold",
        "test_keeps_the_shape is new, and holds",
    )
    grade_class(assignment)
    assert recorded(course) == told(previews)


def test_a_student_who_is_new_and_one_who_hands_in_again(course, mini, graded, hand_in):
    hand_in("eve")
    hand_in("ben")
    previews = foresee(mini)
    assert [item.outlook for item in previews] == ["stays", "gains", "new"]
    assert previews[1].notes == ("What was graded last was another submission.",)
    assert "last time it did not hold" in previews[1].exercises[1].why[0]
    grade_class(mini)
    assert recorded(course) == told(previews)


def test_the_command_prints_a_table_or_one_document(course, mini, graded):
    weigh(course, 4)

    def run(*arguments):
        command = [sys.executable, "-P", "-m", "autograder.cli", *arguments]
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(command, cwd=course.root, env=environment, capture_output=True, text=True, check=False)

    before = everything(course)
    done = run("grade", "mini", "--preview")
    assert done.returncode == 0, done.stderr
    assert "weighs 4 and weighed 1" in done.stdout
    assert "Nothing was recorded. Students: 1 lose, 1 stay." in done.stdout
    document = json.loads(run("grade", "mini", "--preview", "--json", "--student", "ben").stdout)
    assert everything(course) == before
    assert document["summary"]["loses"] == 1
    assert [item["student"] for item in document["students"]] == ["ben"]
    assert run("grade", "mini").returncode == 0
    last = json.loads(run("log", "mini", "--student", "ben", "--json").stdout)[-1]
    assert (last["command"], last["exercise"], last["from"], last["to"]) == ("cli grade mini", "Shift", 1.5, 0.6)
    assert "cli grade mini" in run("log").stdout
    assert "there is no assignment" in run("log", "maxi").stderr
