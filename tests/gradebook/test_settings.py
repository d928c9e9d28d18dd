"""What stock nbgrader and the formgrader are told."""

import os
import shutil
from pathlib import Path

import pytest
from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.server_extensions.formgrader import handlers

from autograder.gradebook import settings
from autograder.gradebook.record import record
from autograder.gradebook.settings import DATABASE, database, load


def test_a_release_holds_what_students_need_and_no_more(course):
    released = {path.name for path in (course.root / "release" / "mini").iterdir()}
    assert {"mini.ipynb", "visible.py"} <= released
    assert "mini.py" not in released


def test_the_gradebook_lies_with_the_course_unless_stated(course, monkeypatch):
    assert database(course) == f"sqlite:///{course.root}/gradebook.db"
    monkeypatch.setenv(DATABASE, "postgresql+psycopg://db.example.org/grades")
    assert load(course).CourseDirectory.db_url == "postgresql+psycopg://db.example.org/grades"


def test_what_an_instructor_adds_to_the_file_wins(course, tmp_path, desk, oracle):
    with (course.root / "nbgrader_config.py").open("a") as file:
        file.write(f"c.CourseDirectory.db_url = 'sqlite:///{tmp_path}/other.db'\n")
    shutil.copy(course.root / "gradebook.db", tmp_path / "other.db")
    desk.hand_in("ada")
    record(course, "mini", ["ada"])
    with Gradebook(f"sqlite:///{tmp_path}/other.db", course.id) as gradebook:
        assert gradebook.find_submission("mini", "ada").score == 5.0


def test_a_course_without_the_file_has_the_same_settings(course):
    (course.root / settings.FILE).unlink()
    assert load(course).CourseDirectory.db_url == database(course)


def test_nbgrader_finds_alembic_without_an_activated_environment(course, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    settings.settings(course)
    assert shutil.which("alembic")
    assert os.environ["PATH"].endswith("/usr/bin:/bin")


@pytest.fixture
def formgrader_page(course, desk, oracle):
    """What graders see of a submission, as the formgrader renders it."""

    def render(**answers):
        desk.hand_in("eve", **answers)
        record(course, "mini", ["eve"])
        config = load(course)
        config.HTMLExporter.template_name = "formgrade"
        config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
        path = Path(CourseDirectory(config=config).format_path("autograded", "eve", "mini")) / "mini.ipynb"
        names = ("assignment_id", "notebook_id", "submission_id", "base_url", "student", "last_name", "first_name")
        resources = {**dict.fromkeys(names, "x"), "index": 0, "total": 1, "notebook_path": "x"}
        return HTMLExporter(config=config).from_filename(str(path), resources=resources)[0]

    return render


def test_nothing_that_a_student_writes_runs_in_a_graders_browser(formgrader_page):
    answer = "<script>steal()</script><img src=x onerror=steal()>[x](javascript:steal()) ![x](https://evil.example/x)"
    page = formgrader_page(answer=answer, square="# </pre><script>steal()</script>")
    for bad in ("<script>steal", '<img src="x"', 'href="javascript', 'src="https://evil'):
        assert bad not in page
    assert "&lt;script&gt;steal()" in page


def test_graders_see_why_in_the_formgrader(formgrader_page, oracle):
    from autograder.verdict import ExerciseResult, PropertyResult

    failed = PropertyResult("a", "It is even.", "failed", "got <b>1</b>", "x = -1")
    oracle.results["square"] = ExerciseResult("square", 2.0, 0.5, None, (failed,))
    page = formgrader_page(square="pass")
    assert "It is even." in page
    assert "got &lt;b&gt;1&lt;/b&gt;" in page
