"""Files beside a submission, which its code may read."""

import json
from pathlib import Path

import pytest

from autograder.attachments import MOST, read_attachment
from autograder.course import Course
from autograder.errors import CourseError
from autograder.grade import Grader
from autograder.gradebook.intake import read as read_original
from autograder.gradebook.intake import receive
from autograder.reference import reference_script
from autograder.submission import Submission, read_submission
from tests.mini_course import make_course

LOADS = """
import json
POWER = json.load(open("weights.json"))["power"]

def square(x):
    return x**POWER
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The small course, whose assignment takes JSON and text, up to a megabyte."""
    course = make_course(tmp_path_factory.mktemp("course"))
    path = course.root / "course.toml"
    text = path.read_text().replace("[limits]\n", "[limits]\nattachments_mb = 1\n")
    path.write_text(text + 'attachments = [".json", ".txt"]\n')
    return Course.load(course.root)


@pytest.fixture
def folder(course: Course, tmp_path: Path) -> Path:
    """A student's folder, in which `square` needs a file that says which power it is."""
    folder = tmp_path / "handed in"
    folder.mkdir()
    (folder / "mini.py").write_text(reference_script(course.assignment("mini")) + "\n\n# %%\n" + LOADS)
    (folder / "weights.json").write_text('{"power": 2}')
    return folder


def read(course: Course, folder: Path) -> Submission:
    return read_submission(folder, course.assignment("mini"))


def names(submission: Submission) -> list[str]:
    return [item.name for item in submission.attachments]


def test_only_the_kinds_that_the_assignment_takes_come_along(course: Course, folder: Path) -> None:
    (folder / "notes.TXT").write_text("hello")
    (folder / "helper.pkl").write_bytes(b"\x80")
    (folder / "below").mkdir()
    (folder / "below" / "more.json").write_text("{}")
    assert names(read(course, folder)) == ["notes.TXT", "weights.json"]


def test_where_none_are_taken_there_are_none(mini_course: Course, folder: Path) -> None:
    assert names(read(mini_course, folder)) == []


def test_what_is_no_file_of_a_plain_name_is_noted(course: Course, folder: Path) -> None:
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "a b.json").write_text("{}")
    (folder / "folder.json").mkdir()
    submission = read(course, folder)
    assert names(submission) == ["weights.json"]
    notes = "\n".join(submission.notes)
    assert "a b.json was left out" in notes
    assert "link.json is a link" in notes
    assert "folder.json is no ordinary file" in notes


def test_too_much_is_left_out_and_noted(course: Course, folder: Path) -> None:
    (folder / "a.txt").write_bytes(bytes(600_000))
    (folder / "b.txt").write_bytes(bytes(600_000))
    submission = read(course, folder)
    assert names(submission) == ["a.txt", "weights.json"]
    assert any(note.startswith("b.txt was left out") and "1 MB" in note for note in submission.notes)
    (folder / "b.txt").unlink()
    for number in range(MOST):
        (folder / f"n{number}.json").write_text("{}")
    assert len(names(read(course, folder))) == MOST


def test_another_file_is_another_submission(course: Course, folder: Path) -> None:
    digests = {read(course, folder).digest}
    (folder / "weights.json").write_text('{"power": 3}')
    digests.add(read(course, folder).digest)
    (folder / "weights.json").rename(folder / "weight.json")
    digests.add(read(course, folder).digest)
    (folder / "weight.json").unlink()
    digests.add(read(course, folder).digest)
    assert len(digests) == 4


def test_a_file_that_changes_meanwhile_is_noticed(course: Course, folder: Path) -> None:
    submission = read(course, folder)
    (attachment,) = submission.attachments
    assert json.loads(read_attachment(submission.path, attachment)) == {"power": 2}
    (folder / "weights.json").write_text('{"power": 3}')
    with pytest.raises(CourseError, match="has changed"):
        read_attachment(submission.path, attachment)


def test_its_code_reads_them_where_it_runs(course: Course, folder: Path) -> None:
    """In a fresh worker, too, after it has ended one, and whatever it wrote into them."""
    with Grader(course.assignment("mini"), workers=1) as grader:
        assert grader.verdict(read(course, folder)).exercise("square").earned == 2.0
        spoils = "\n\n# %%\nopen('weights.json', 'w').write('{}')\nimport os\nos._exit(1)\n"
        (folder / "mini.py").write_text((folder / "mini.py").read_text() + spoils)
        assert grader.verdict(read(course, folder)).exercise("square").earned == 2.0
        (folder / "weights.json").write_text('{"power": 3}')
        assert grader.verdict(read(course, folder)).exercise("square").earned < 2.0


def test_they_are_taken_in_with_the_submission(course: Course, folder: Path) -> None:
    assignment = course.assignment("mini")
    receive(assignment, "ada", folder, received=None, origin="test")
    assert names(read_original(assignment, "ada")) == ["weights.json"]


def test_there_must_be_room_for_them(course: Course) -> None:
    path = course.root / "course.toml"
    text = path.read_text()
    path.write_text(text.replace("attachments_mb = 1\n", "attachments_mb = 64\n"))
    with pytest.raises(CourseError, match="must be less than disk_mb"):
        Course.load(course.root)
    path.write_text(text)
