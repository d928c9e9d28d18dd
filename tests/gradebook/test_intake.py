"""From what a student handed in to a folder that nbgrader can be trusted with."""

import contextlib
import json
import os
from datetime import UTC, datetime

import nbformat
import pytest

from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.intake import check_name, intake, original, read, receive, students

NOON = datetime(2027, 2, 12, 12, 0, tzinfo=UTC)


@pytest.fixture
def inbox(desk, tmp_path):
    """Put files where they came from, outside the course."""

    def put(name="inbox", **answers):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "mini.ipynb").write_text(nbformat.writes(desk.notebook(**answers)))
        return folder

    return put


def test_the_original_stays_untouched_beside_the_rebuilt_notebook(mini, desk):
    handed_in = desk.hand_in("ada").read_bytes()
    intake(mini, "ada")
    folder = mini.submission_directory("ada")
    assert sorted(path.name for path in folder.iterdir()) == ["mini.ipynb", "original-1"]
    assert (folder / "original-1" / "mini.ipynb").read_bytes() == handed_in
    assert nbformat.read(folder / "mini.ipynb", 4).cells


def test_taking_in_twice_changes_nothing(mini, desk):
    desk.hand_in("ada")
    intake(mini, "ada")
    before = {path: path.stat().st_mtime_ns for path in mini.submitted_root.rglob("*") if path.suffix != ".lock"}
    intake(mini, "ada")
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("name", ["mini.py", "Copy of mini (1).ipynb"])
def test_a_script_or_a_misnamed_notebook_becomes_the_notebook_that_nbgrader_looks_for(mini, desk, name):
    text = mini.course.root.joinpath("solutions/mini.py").read_text()
    path = desk.folder("ada") / name
    path.write_text(text if name.endswith(".py") else nbformat.writes(desk.notebook()))
    submission = intake(mini, "ada")
    assert {cell.exercise for cell in submission.cells} >= {"square"}
    assert (desk.folder("ada") / "mini.ipynb").exists()


def test_what_cannot_be_read_has_a_problem_and_a_notebook_all_the_same(mini, desk):
    (desk.folder("ada") / "mini.ipynb").write_bytes(b"\xff\xfe{{{")
    desk.folder("ben")
    for student in ("ada", "ben"):
        assert intake(mini, student).problem
        assert nbformat.read(desk.folder(student) / "mini.ipynb", 4).cells


def test_a_link_is_not_followed(mini, desk, tmp_path):
    (tmp_path / "secret.ipynb").write_text(nbformat.writes(desk.notebook()))
    (desk.folder("eve") / "mini.ipynb").symlink_to(tmp_path / "secret.ipynb")
    assert intake(mini, "eve").problem
    assert not (desk.folder("eve") / "mini.ipynb").is_symlink()
    assert "is a link" in original(mini, "eve")[1].left_out[0]


def test_a_first_submission_put_there_by_hand_has_no_time(mini, desk):
    desk.hand_in("ada")
    (desk.folder("ada") / "timestamp.txt").write_text("2020-01-01 00:00:00 UTC")
    intake(mini, "ada")
    assert original(mini, "ada")[1].received is None
    assert not (desk.folder("ada") / "timestamp.txt").exists()


def test_the_time_of_arrival_is_what_nbgrader_reads(mini, desk, inbox):
    receive(mini, "ada", inbox(), received=NOON, origin="test")
    assert (desk.folder("ada") / "timestamp.txt").read_text() == "2027-02-12 12:00:00.000000 UTC"


def test_a_newer_submission_counts_and_the_older_one_is_kept(mini, desk, inbox):
    assert receive(mini, "ada", inbox(square="# first"), received=NOON, origin="test") == "new"
    assert receive(mini, "ada", inbox(square="# second"), received=None, origin="test") == "updated"
    assert "# second" in (desk.folder("ada") / "mini.ipynb").read_text()
    assert "# first" in (desk.folder("ada") / "original-1" / "mini.ipynb").read_text()
    assert original(mini, "ada")[1].received is None


def test_the_same_files_again_are_no_new_submission(mini, inbox):
    receive(mini, "ada", inbox(), received=NOON, origin="test")
    assert receive(mini, "ada", inbox(), received=NOON.replace(hour=23), origin="test") == "unchanged"
    assert original(mini, "ada")[1].received == NOON


def test_handing_in_the_first_version_once_more_is_a_new_submission(mini, inbox):
    for answer, outcome in (("# a", "new"), ("# b", "updated"), ("# a", "updated")):
        assert receive(mini, "ada", inbox(square=answer), received=None, origin="test") == outcome


def test_a_time_that_becomes_known_later_is_kept(mini, inbox):
    receive(mini, "ada", inbox(), received=None, origin="test")
    receive(mini, "ada", inbox(), received=NOON, origin="test")
    assert original(mini, "ada")[1].received == NOON


def test_a_graders_correction_counts_keeps_the_time_and_survives_collecting_again(mini, desk, inbox):
    receive(mini, "ada", inbox(square="# wrong"), received=NOON, origin="test")
    path = desk.folder("ada") / "mini.ipynb"
    path.write_text(path.read_text().replace("# wrong", "# mended"))
    assert any("# mended" in cell.source for cell in intake(mini, "ada").cells)
    receive(mini, "ada", inbox(square="# wrong"), received=NOON, origin="test")
    assert any("# mended" in cell.source for cell in read(mini, "ada").cells)
    _, arrival = original(mini, "ada")
    assert arrival.by_hand
    assert arrival.received == NOON


def test_looking_at_a_submission_in_jupyter_makes_no_new_one(mini, desk):
    desk.hand_in("ada")
    intake(mini, "ada")
    (desk.folder("ada") / ".ipynb_checkpoints").mkdir()
    intake(mini, "ada")
    assert original(mini, "ada")[0].name == "original-1"


def test_a_folder_that_only_claims_to_be_taken_in_is_taken_in(mini, desk):
    """A student cannot hand in a state of affairs: the ledger lies elsewhere."""
    forged = desk.folder("eve") / "original-1"
    forged.mkdir()
    desk.hand_in("eve", square="# square: 2").rename(forged / "mini.ipynb")
    desk.hand_in("eve", square="# square: 0")
    cells = intake(mini, "eve").cells
    assert any("# square: 0" in cell.source for cell in cells)
    assert original(mini, "eve")[0].name == "original-2"


@pytest.mark.parametrize("killed_at", range(1, 8))
def test_an_interrupted_intake_is_made_good_by_the_next(mini, desk, monkeypatch, killed_at):
    calls = 0

    def counted(function):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == killed_at:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return call

    desk.hand_in("ada", square="# square: 2")
    (desk.folder("ada") / "data.csv").write_text("1,2")
    with monkeypatch.context() as patched:
        for name in ("rename", "replace", "unlink"):
            patched.setattr(os, name, counted(getattr(os, name)))
        with contextlib.suppress(KeyboardInterrupt):
            intake(mini, "ada")
    assert any("# square: 2" in cell.source for cell in intake(mini, "ada").cells)
    folder, arrival = original(mini, "ada")
    assert (folder / "data.csv").read_text() == "1,2"
    assert arrival.received is None
    assert intake(mini, "ada").problem is None


def test_the_secret_by_which_nbgrader_gives_feedback_back_is_passed_on(mini, desk, inbox):
    folder = inbox()
    (folder / "submission_secret.txt").write_text("af09" * 16)
    receive(mini, "ada", folder, received=None, origin="test")
    assert (desk.folder("ada") / "submission_secret.txt").read_text() == "af09" * 16
    (folder / "submission_secret.txt").write_text("../../../etc/passwd\n")
    receive(mini, "ada", folder, received=None, origin="test")
    assert not (desk.folder("ada") / "submission_secret.txt").exists()


@pytest.mark.parametrize("name", ["ada", "ada.lovelace@example.org", "s 123-4", "Zoë", "7"])
def test_ordinary_names_will_do(name):
    check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../ada", "a/b", "*", "a[b]", "a?", ".ada", "ada ", "a\nb", "x" * 200])
def test_names_that_are_paths_or_globs_will_not(mini, inbox, name):
    with pytest.raises(CourseError, match="cannot name a student"):
        receive(mini, name, inbox(), received=None, origin="test")
    assert students(mini) == []


def test_a_damaged_ledger_says_where_it_is(mini, desk):
    desk.hand_in("ada")
    intake(mini, "ada")
    (ledger.ledgers(mini) / "ada.json").write_text(json.dumps({"arrivals": "none"}))
    with pytest.raises(CourseError, match=r"ada\.json is damaged"):
        intake(mini, "ada")
