"""Scores on their way to a learning platform."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from autograder.errors import CourseError
from autograder.gradebook.collect import collect
from autograder.gradebook.export import export
from autograder.gradebook.record import record
from autograder.gradebook.settings import database
from tests.gradebook.test_platforms import download, notebook  # noqa: F401

GRADEBOOK = """\
Student,ID,SIS User ID,SIS Login ID,Section,Other work (5),Small steps (991),Final Score
    Points Possible,,,,,10,7,(read only)
"Doe, Jane",11,S11,jdoe,A,9,,
"Lee, Ann",12,S12,alee,A,8,1.5,
"Ray, Man",13,S13,mray,A,,,
"""

WORKSHEET = """\
Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (submission),Last modified (grade),Feedback comments
Participant 77,Jane van Doe,jane@example.org,Submitted for grading,,7.00,"Friday, 12 February 2027, 9:00 AM",-,
Participant 78,Ann Lee,ann@example.org,Submitted for grading,,7.00,"Friday, 12 February 2027, 9:05 AM",-,
"""


@pytest.fixture
def graded(course, mini, oracle, notebook, download):  # noqa: F811
    """Collect an archive, record it, and give every written answer a grade."""

    def run(names: dict[str, str], manual: float | None = 1.0) -> None:
        files = {
            name: notebook(square=f"# square: {points}", answer="Two signs make none.")
            for name, points in names.items()
        }
        students = [one.student for one in collect(course, "mini", download(files))]
        record(course, "mini", students)
        with Gradebook(database(course), course.id) as gradebook:
            for student in students:
                grade = gradebook.find_grade("why_squares", "mini", "mini", student)
                grade.manual_score = manual
            gradebook.db.commit()

    return run


CANVAS = {"doejane_11_1_mini.ipynb": "0.5", "leeann_LATE_12_2_mini.ipynb": "2"}
MOODLE = {
    "Jane van Doe_77_assignsubmission_file_/mini.ipynb": "0.5",
    "Ann Lee_78_assignsubmission_file_/mini.ipynb": "2",
}


def read(text):
    return list(csv.reader(io.StringIO(text)))


def canvas_takes(table):
    """How Canvas's importer (lib/gradebook_importer.rb) finds students and assignments, in the words of this course."""
    header = table[0]
    assert "Student" in header[0]
    assert "ID" in header[1]
    width = 3
    if re.search(r"SIS\s+Login\s+ID", header[2]):
        width = 4
    elif re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3]):
        width = 5
    assert "Section" in header[width - 1]
    students = [row for row in table[1:] if "Points Possible" not in row[0]]
    return {row[1]: dict(zip(header[width:], row[width:], strict=True)) for row in students}


def moodle_takes(table):
    """How Moodle's importer (mod/assign/feedback/offline/importgradeslib.php) does, in English."""
    header = table[0]
    who, grade = header.index("Identifier"), header.index("Grade")
    assert "Last modified (grade)" in header
    return {row[who][len("Participant ") :]: row[grade] for row in table[1:]}


def test_from_canvas_and_back(course, graded, tmp_path):
    graded(CANVAS)
    (tmp_path / "gradebook.csv").write_text("\ufeff" + GRADEBOOK, "utf-8")
    exported = export(course, "mini", "canvas", tmp_path / "gradebook.csv")
    assert canvas_takes(read(exported.text())) == {
        "11": {"Small steps (991)": "4.5"},
        "12": {"Small steps (991)": "6"},
        "13": {"Small steps (991)": ""},
    }
    assert exported.table[1][-1] == "7"
    assert (exported.written, exported.waiting, exported.absent) == (("doejane", "leeann"), (), ())


def test_to_canvas_without_a_table_of_its_own(course, graded):
    graded(CANVAS)
    table = read(export(course, "mini", "canvas").text())
    assert canvas_takes(table) == {"11": {"Small steps": "4.5"}, "12": {"Small steps": "6"}}
    assert table[1] == ["    Points Possible", "", "", "", "", "7"]


def test_from_moodle_and_back(course, graded, tmp_path):
    graded(MOODLE)
    (tmp_path / "worksheet.csv").write_text(WORKSHEET)
    exported = export(course, "mini", "moodle", tmp_path / "worksheet.csv")
    assert moodle_takes(exported.table) == {"77": "4.5", "78": "6"}
    untouched = [[cell for place, cell in enumerate(row) if place != 4] for row in exported.table]
    assert untouched == [[cell for place, cell in enumerate(row) if place != 4] for row in read(WORKSHEET)]
    assert moodle_takes(export(course, "mini", "moodle").table) == {"77": "4.5", "78": "6"}


def test_a_plain_table_has_every_exercise(course, graded):
    graded(CANVAS)
    assert export(course, "mini", "csv").table == [
        ["student", "number", "square", "Shift", "why_squares", "late", "score", "of"],
        ["points", "", "2", "3", "2", "", "", "7"],
        ["doejane", "11", "0.5", "3", "1", "", "4.5", "7"],
        ["leeann", "12", "2", "3", "1", "", "6", "7"],
    ]


def test_who_waits_for_a_grader_gets_an_empty_cell(course, graded, tmp_path):
    """And what stands there already stays."""
    graded(CANVAS, manual=None)
    (tmp_path / "gradebook.csv").write_text(GRADEBOOK)
    exported = export(course, "mini", "canvas", tmp_path / "gradebook.csv")
    assert [row[-1] for row in exported.table[2:]] == ["", "1.5", ""]
    assert exported.waiting == ("doejane", "leeann")


def test_who_is_in_no_row_is_named(course, graded, tmp_path):
    graded({**CANVAS, "kim.ipynb": "1", "mray_mini.ipynb": "1"})
    (tmp_path / "gradebook.csv").write_text(GRADEBOOK)
    exported = export(course, "mini", "canvas", tmp_path / "gradebook.csv")
    assert exported.absent == ("kim",)
    assert canvas_takes(exported.table)["13"] == {"Small steps (991)": "5"}  # by the login


def test_other_points_have_to_be_meant(course, graded, tmp_path):
    graded(CANVAS)
    path = tmp_path / "gradebook.csv"
    path.write_text(GRADEBOOK.replace("10,7,", "10,70,"))
    with pytest.raises(CourseError, match="has 70 points where the course has 7"):
        export(course, "mini", "canvas", path)
    assert canvas_takes(export(course, "mini", "canvas", path, scale=True).table)["12"] == {"Small steps (991)": "60"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no table of students"),
        (GRADEBOOK.replace("Small steps", "Big steps"), "no column called 'Small steps' or 'mini'; say --column"),
        (GRADEBOOK.replace("Other work", "Small steps"), "2 columns called"),
        (GRADEBOOK.replace('"Lee, Ann",12', '"Doe, Jane",11'), "could be each of 2 students"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(course, graded, tmp_path, content, words):
    graded(CANVAS)
    (tmp_path / "gradebook.csv").write_text(content)
    with pytest.raises(CourseError, match=words) as error:
        export(course, "mini", "canvas", tmp_path / "gradebook.csv")
    assert "\n" not in str(error.value)


def test_a_column_can_be_named(course, graded, tmp_path):
    graded(CANVAS)
    (tmp_path / "gradebook.csv").write_text(GRADEBOOK.replace("Small steps (991)", "Week 1 (991)"))
    exported = export(course, "mini", "canvas", tmp_path / "gradebook.csv", column="week 1")
    assert canvas_takes(exported.table)["12"] == {"Week 1 (991)": "6"}


def test_semicolons_are_met_and_given_back(course, graded, tmp_path):
    graded(MOODLE)
    rows = read(WORKSHEET)
    path = tmp_path / "worksheet.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    text = export(course, "mini", "moodle", path).text()
    assert moodle_takes(list(csv.reader(io.StringIO(text), delimiter=";"))) == {"77": "4.5", "78": "6"}


def test_stock_nbgrader_exports_the_same(course, graded, tmp_path):
    graded(CANVAS)
    command = [sys.executable, "-m", "nbgrader", "export", "--exporter=autograder.gradebook.export.CanvasExport"]
    target = tmp_path / "out.csv"
    done = subprocess.run(
        [*command, "--assignment=['mini']", f"--to={target}"], cwd=course.root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert target.read_bytes().decode() == export(course, "mini", "canvas").text()


def test_the_command_says_what_it_wrote(course, graded, tmp_path, monkeypatch, capsys):
    from autograder.cli import main

    graded({**CANVAS, "kim.ipynb": "1"})
    monkeypatch.chdir(course.root)
    monkeypatch.setattr("sys.argv", ["course", "export", "mini", "--to", "csv"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (0, None)
    assert "3 scores in mini-csv.csv" in capsys.readouterr().out
    assert Path("mini-csv.csv").read_bytes().decode() == export(course, "mini", "csv").text()
    (tmp_path / "gradebook.csv").write_text(GRADEBOOK)
    monkeypatch.setattr(
        "sys.argv", ["course", "export", "mini", "--to", "canvas", "--roster", str(tmp_path / "gradebook.csv")]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "not exported: kim" in capsys.readouterr().err
