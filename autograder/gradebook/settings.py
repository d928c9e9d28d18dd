"""nbgrader's settings, made from `course.toml`.

`nbgrader_config.py` merges them into what stock nbgrader and the formgrader read; `course grade` and its siblings read
that same file, so that all of them give the same scores.
"""

from __future__ import annotations

import os
import shutil
import sysconfig

from sqlalchemy import URL
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from autograder.course import Course

FILE = "nbgrader_config.py"
DATABASE = "COURSE_DATABASE"  # environment variable; any SQLAlchemy URL, for example postgresql+psycopg://host/grades


def settings(course: Course) -> Config:
    """What stock nbgrader has to know of a course."""
    _let_commands_be_found()
    c = Config()
    c.CourseContext.course_root = str(course.root)

    c.CourseDirectory.root = str(course.root)
    c.CourseDirectory.course_id = course.id
    c.CourseDirectory.source_directory = "assignments"
    c.CourseDirectory.release_directory = "release"
    c.CourseDirectory.submitted_directory = "submitted"
    c.CourseDirectory.autograded_directory = "autograded"
    c.CourseDirectory.feedback_directory = "feedback"
    c.CourseDirectory.db_url = database(course)
    c.CourseDirectory.ignore = [
        ".*",
        "*.pyc",
        "__pycache__",
        *(f"{assignment.slug}.py" for assignment in course),  # the starter; students get the notebook made from it
        "original-[0-9]*",  # what a student handed in, beside the notebook rebuilt from it
    ]

    c.Exchange.timezone = str(course.timezone)
    c.NbGraderAPI.timezone = str(course.timezone)
    c.ExchangeFactory.collect = "autograder.gradebook.exchange.Collect"

    # A starter holds no solution, so none is cleared: ClearSolutions would replace every stub by "YOUR CODE HERE".
    c.GenerateAssignment.preprocessors = [
        "nbgrader.preprocessors.LockCells",
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.CheckCellMetadata",
        "nbgrader.preprocessors.ComputeChecksums",
        "nbgrader.preprocessors.SaveCells",
    ]

    c.Autograde.pre_convert_hook = "autograder.gradebook.autograding.take_in"
    c.Autograde.exporter_class = "autograder.gradebook.autograding.SubmissionExporter"
    c.Autograde.sanitize_preprocessors = []  # there is nothing of the student's structure to sanitize
    c.Autograde.autograde_preprocessors = [
        "autograder.gradebook.preprocessors.ApplyVerdict",
        "autograder.gradebook.preprocessors.SaveScores",
    ]

    c.GenerateFeedback.exporter_class = "autograder.report.feedback.PageExporter"
    c.GenerateFeedback.preprocessors = []
    # What students write in Markdown reaches the browsers of graders too, in the formgrader.
    c.HTMLExporter.filters = {"markdown2html": "autograder.report.markdown.safe_html"}
    return c


def database(course: Course) -> str:
    """The gradebook's address: `$COURSE_DATABASE`, or `gradebook.db` in the course's folder."""
    stated = os.environ.get(DATABASE)
    return stated or URL.create("sqlite", database=str(course.root / "gradebook.db")).render_as_string()


def _let_commands_be_found() -> None:
    """nbgrader runs `alembic` by its bare name to make a gradebook; it stands beside Python, not always on the path."""
    if shutil.which("alembic") is None:
        os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


def load(course: Course) -> Config:
    """The settings that the stock commands would find: the course's `nbgrader_config.py`, if it has one."""
    if (course.root / FILE).is_file():
        return PyFileConfigLoader(FILE, path=str(course.root)).load_config()
    return settings(course)
