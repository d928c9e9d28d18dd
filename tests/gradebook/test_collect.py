"""Submissions come in from nbgrader's exchange, from archives and from folders."""

import contextlib
import os
import shutil
import zipfile
from datetime import UTC, datetime, timedelta

import nbformat
import pytest
from nbgrader.apps.api import NbGraderAPI
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeFactory

from autograder.errors import CourseError
from autograder.gradebook.collect import collect
from autograder.gradebook.exchange import last_change
from autograder.gradebook.intake import original, read, students
from autograder.gradebook.settings import load

NOON = datetime(2027, 2, 12, 12, 0, tzinfo=UTC)


def outcomes(collected):
    return {one.student: one.outcome for one in collected}


@pytest.fixture
def inbox(desk, tmp_path):
    """A folder of submissions, as a learning-management system gives them out."""
    folder = tmp_path / "inbox"

    def put(name, **answers):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(desk.notebook(**answers)))
        return folder

    return put


def zipped(folder):
    return shutil.make_archive(str(folder), "zip", folder)


@pytest.mark.parametrize("as_archive", [False, True])
def test_folders_and_single_files_become_submissions(course, mini, inbox, tmp_path, as_archive):
    inbox("ada/mini.ipynb", square="# ada")
    inbox("ben/mini/mini.ipynb", square="# ben")
    inbox("eve_12345_mini.ipynb", square="# eve")
    source = inbox("kim.ipynb", square="# kim")
    if as_archive:
        source = tmp_path / "inbox.zip"
        zipped(tmp_path / "inbox")
    assert outcomes(collect(course, "mini", source)) == dict.fromkeys(("ada", "ben", "eve", "kim"), "new")
    for student in students(mini):
        assert any(f"# {student}" in cell.source for cell in read(mini, student).cells)
        assert original(mini, student)[1].received is None
    assert not list((mini.submitted_root / ".incoming").iterdir())


def test_collecting_the_same_again_changes_nothing_and_a_newer_one_counts(course, inbox):
    collect(course, "mini", inbox("ada/mini.ipynb", square="# one"))
    assert outcomes(collect(course, "mini", inbox("ada/mini.ipynb", square="# one"))) == {"ada": "unchanged"}
    assert outcomes(collect(course, "mini", inbox("ada/mini.ipynb", square="# two"))) == {"ada": "updated"}


def test_the_time_that_the_instructor_states_counts(course, mini, inbox):
    collect(course, "mini", inbox("ada/mini.ipynb"), received=NOON)
    assert original(mini, "ada")[1].received == NOON


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["mini.ipynb"], "whose is mini.ipynb"),
        (["jane_doe_mini.ipynb", "jane_smith_mini.ipynb"], "all of jane"),
        (["ada/mini.ipynb", "ada_mini.ipynb"], "all of ada"),
        (["ada/mini.ipynb", "x*/mini.ipynb"], "cannot name a student"),
    ],
)
def test_when_it_is_not_clear_whose_is_what_nothing_is_taken(course, mini, inbox, names, match):
    for name in names:
        source = inbox(name)
    with pytest.raises(CourseError, match=match):
        collect(course, "mini", source)
    assert students(mini) == []


def test_a_hostile_archive_changes_nothing(course, mini, tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("ada/mini.ipynb", "{}")
        archive.writestr("../../evil.py", "boom")
    with pytest.raises(CourseError, match="nothing of it was taken"):
        collect(course, "mini", tmp_path / "evil.zip")
    assert students(mini) == []
    assert not list(tmp_path.rglob("evil.py"))


def test_a_source_that_is_not_there_or_empty_says_so(course, tmp_path):
    with pytest.raises(CourseError, match="there is no archive or folder"):
        collect(course, "mini", tmp_path / "nothing.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CourseError, match="holds no submissions"):
        collect(course, "mini", tmp_path / "empty")


@pytest.fixture
def exchange(course, tmp_path):
    """nbgrader's exchange, with the assignment released to it."""
    root = tmp_path / "exchange"
    root.mkdir()
    root.chmod(0o777)
    with (course.root / "nbgrader_config.py").open("a") as file:
        file.write(f"c.Exchange.root = {str(root)!r}\nc.Exchange.cache = {str(tmp_path / 'cache')!r}\n")
    config = load(course)
    released = NbGraderAPI(CourseDirectory(config=config), config=config).release_assignment("mini")
    assert released["success"], released
    return root


@pytest.fixture
def submit(course, desk, exchange, tmp_path):
    """Run `nbgrader submit` as a student does, in the student's own folder."""

    def run(student, **answers):
        home = tmp_path / "homes" / student / "mini"
        home.mkdir(parents=True, exist_ok=True)
        (home / "mini.ipynb").write_text(nbformat.writes(desk.notebook(**answers)))
        config = load(course)
        config.CourseDirectory.root = str(home.parent)
        coursedir = CourseDirectory(config=config, assignment_id="mini", student_id=student)
        with contextlib.chdir(home.parent):
            factory = ExchangeFactory(config=config)
            factory.Submit(coursedir=coursedir, authenticator=Authenticator(config=config), config=config).start()
        return max((exchange / "mini" / "inbound").glob(f"{student}+*"))

    return run


def test_the_exchange_is_collected_from(course, mini, submit):
    submit("ada", square="# ada")
    submit("ben", square="# ben")
    assert outcomes(collect(course, "mini")) == {"ada": "new", "ben": "new"}
    assert any("# ada" in cell.source for cell in read(mini, "ada").cells)
    assert len((mini.submission_directory("ada") / "submission_secret.txt").read_text()) == 128


def test_the_formgraders_button_collects_in_the_same_way(course, mini, submit):
    submit("ada")
    config = load(course)
    collected = NbGraderAPI(CourseDirectory(config=config), config=config).collect("mini")
    assert collected["success"], collected
    assert original(mini, "ada")[0].name == "original-1"


def test_a_newer_submission_replaces_the_older_and_nothing_new_nothing(course, mini, submit):
    submit("ada", square="# first")
    collect(course, "mini")
    submit("ada", square="# second")
    assert outcomes(collect(course, "mini")) == {"ada": "updated"}
    assert outcomes(collect(course, "mini")) == {"ada": "unchanged"}
    assert any("# second" in cell.source for cell in read(mini, "ada").cells)


def test_dates_that_a_student_sets_are_not_believed(course, mini, submit):
    before = datetime.now(UTC) - timedelta(seconds=5)
    folder = submit("eve")
    (folder / "timestamp.txt").write_text("2020-01-01 00:00:00.000000 UTC")
    for path in (*folder.iterdir(), folder):
        os.utime(path, (0, 0))
    folder.rename(folder.with_name("eve+mini+2020-01-01 00:00:00.000000 UTC+abc"))
    collect(course, "mini")
    received = original(mini, "eve")[1].received
    assert before < received < datetime.now(UTC) + timedelta(seconds=5)


def test_a_change_after_submitting_moves_the_time(submit):
    folder = submit("eve")
    first = last_change(folder)
    (folder / "mini.ipynb").chmod(0o600)
    assert last_change(folder) > first


def test_one_that_cannot_be_taken_stops_no_other(course, submit):
    submit("ada")
    folder = submit("ben")
    folder.rename(folder.with_name(folder.name.replace("ben", "b*n")))
    collected = {one.student: one for one in collect(course, "mini")}
    assert collected["ada"].outcome == "new"
    assert collected["b*n"].outcome == "refused"
    assert "cannot name a student" in collected["b*n"].problem


@pytest.mark.parametrize("name", ["eve+mini+yesterday+x", "eve+mini+", "eve+mini+99999-01-01 00:00:00 UTC+x"])
def test_a_folder_named_as_no_submission_is_stops_nothing(course, submit, name):
    submit("ada").with_name(name).mkdir()
    assert outcomes(collect(course, "mini")) == {"ada": "new"}


def test_names_in_no_encoding_stop_nothing(course, mini, submit):
    folder = submit("eve")
    os.rename(folder, os.fsencode(folder) + b"\xff")
    with open(os.fsencode(folder) + b"\xff/\xfe.txt", "w"):
        pass
    assert outcomes(collect(course, "mini")) == {"eve": "new"}
    assert read(mini, "eve").problem is None


def test_what_is_no_folder_replaces_no_submission(course, mini, submit, tmp_path):
    folder = submit("ada", square="# ada")
    collect(course, "mini")
    later = folder.with_name("ada+mini+2099-01-01 00:00:00.000000 UTC+x")
    later.symlink_to(tmp_path)
    assert outcomes(collect(course, "mini")) == {"ada": "refused"}
    later.unlink()
    later.write_text("")
    assert outcomes(collect(course, "mini")) == {"ada": "refused"}
    assert any("# ada" in cell.source for cell in read(mini, "ada").cells)


def test_no_exchange_is_one_sentence(course, tmp_path):
    with (course.root / "nbgrader_config.py").open("a") as file:
        file.write(f"c.Exchange.root = {str(tmp_path / 'nowhere')!r}\n")
    with pytest.raises(CourseError, match="name it") as caught:
        collect(course, "mini")
    assert "\n" not in str(caught.value)
