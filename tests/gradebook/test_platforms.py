"""Archives as Canvas and Moodle give them out."""

import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.collect import collect
from autograder.gradebook.intake import original, read
from autograder.gradebook.platforms import HandedIn, handed_in, students_of

DUE = datetime(2027, 2, 12, 23, 59, tzinfo=UTC)


@pytest.fixture
def notebook(desk):
    """A filled notebook, as text."""
    return lambda **answers: nbformat.writes(desk.notebook(**answers))


@pytest.fixture
def download(tmp_path: Path):
    """Write an archive as a platform makes it; contents are text or bytes."""

    def write(contents: dict[str, str | bytes]) -> Path:
        path = tmp_path / "submissions.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path

    return write


def packed(**contents: str) -> bytes:
    """What `coursekit submit` makes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def outcomes(collected):
    return {one.student: (one.outcome, one.problem) for one in collected}


def code(mini, student):
    return "\n".join(cell.source for cell in read(mini, student).cells)


def test_canvas_names_a_student_a_number_and_a_file(course, mini, notebook, download):
    archive = download(
        {
            "doejane_11_9001_mini.ipynb": notebook(square="# jane"),
            "leeann_LATE_12_9002_my_work.ipynb": notebook(square="# ann"),
            "rayman_13_9003_mini-submission.zip": packed(mini__ipynb=notebook(square="# man")),
        }
    )
    assert outcomes(collect(course, "mini", archive)) == {
        "doejane": ("new", None),
        "leeann": ("new", "late, says the platform: add --received to reckon it"),
        "rayman": ("new", None),
    }
    assert [words in code(mini, who) for who, words in (("doejane", "jane"), ("leeann", "ann"), ("rayman", "man"))]
    assert ledger.numbers(course) == {"11": "doejane", "12": "leeann", "13": "rayman"}


def test_only_who_is_called_late_is_late(course, mini, notebook, download, monkeypatch):
    monkeypatch.setattr(mini, "due", DUE)
    monkeypatch.setattr(course, "assignment", lambda slug: mini)
    archive = download(
        {"a_1_5_mini.ipynb": notebook(), "b_LATE_2_6_mini.ipynb": notebook(), "eve/mini.ipynb": notebook()}
    )
    downloaded = DUE + timedelta(days=2)
    collect(course, "mini", archive, received=downloaded)
    assert [original(mini, who)[1].received for who in ("a", "b", "eve")] == [DUE, downloaded, downloaded]


def test_a_later_attempt_goes_by_the_first_ones_names(tmp_path):
    """Canvas puts `-1` behind the name of a file that is handed in once more."""
    for name in ("a_1_5_mini-2.ipynb", "a_1_6_weights-2.json", "a_1_7_notes.txt", "b_2_8_mini.ipynb", "b_2_9_w-2.json"):
        (tmp_path / name).write_text("")
    assert {one.name: sorted(one.files) for one in handed_in(tmp_path, "mini")} == {
        "a": ["mini.ipynb", "notes.txt", "weights.json"],
        "b": ["mini.ipynb", "w-2.json"],
    }


def test_moodle_makes_a_folder_of_a_name_and_a_number(course, mini, notebook, download):
    archive = download(
        {
            "Jane van Doe_77_assignsubmission_file_/mini.ipynb": notebook(square="# jane"),
            "Ann_Lee_78_assignsubmission_file/final/mini.ipynb": notebook(square="# ann"),
            "Zoë Ray_79_assignsubmission_file_/mini-submission.zip": packed(mini__ipynb=notebook(square="# zoë")),
        }
    )
    assert outcomes(collect(course, "mini", archive)) == dict.fromkeys(
        ("Jane van Doe", "Ann_Lee", "Zoë Ray"), ("new", None)
    )
    assert "# zoë" in code(mini, "Zoë Ray")
    assert ledger.numbers(course) == {"77": "Jane van Doe", "78": "Ann_Lee", "79": "Zoë Ray"}


def test_whoever_was_known_by_a_number_keeps_the_name(course, notebook, download):
    collect(course, "mini", download({"doejane_11_1_mini.ipynb": notebook(square="# one")}))
    renamed = download({"smithjane_11_2_mini-1.ipynb": notebook(square="# two"), "doejane_12_3_mini.ipynb": notebook()})
    assert outcomes(collect(course, "mini", renamed)) == {"doejane": ("updated", None), "doejane 12": ("new", None)}


def test_of_two_with_one_name_each_gets_the_number():
    twins = [HandedIn("doejane", number, False, {}) for number in ("11", "12")]
    assert [name for name, _ in students_of([*twins, HandedIn("kim", "", None, {})], {})] == [
        "doejane 11",
        "doejane 12",
        "kim",
    ]
    assert [name for name, _ in students_of(twins, {"11": "doejane"})] == ["doejane", "doejane 12"]


@pytest.mark.parametrize(
    "content",
    [b"no archive", packed(**{"../../evil.ipynb": "{}"}), packed(inner__zip="PK")],
    ids=["broken", "traversal", "archive-in-archive"],
)
def test_an_archive_within_that_is_hostile_or_empty_costs_its_student_alone(course, mini, notebook, download, content):
    archive = download({"a_1_5_mini-submission.zip": content, "b_2_6_mini.ipynb": notebook(square="# b")})
    collected = {one.student: one for one in collect(course, "mini", archive)}
    assert collected["b"].outcome == "new"
    if collected["a"].outcome == "refused":
        assert "\n" not in collected["a"].problem
        assert not mini.submission_directory("a").exists()
    else:
        assert read(mini, "a").problem is not None


def test_files_that_cannot_be_told_apart_are_refused(tmp_path):
    for name in ("ann_mini.ipynb", "ann_more.ipynb"):
        (tmp_path / name).write_text("")
    with pytest.raises(CourseError, match="all of ann"):
        handed_in(tmp_path, "mini")
