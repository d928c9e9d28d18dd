"""For an author at the keyboard, who runs the properties of one assignment with pytest itself:

pytest autograder/hidden/test_vae.py --submission FILE     on a notebook or script, in the sandbox
pytest autograder/hidden/test_vae.py --reference           on the reference, in pytest's own process
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autograder.course import Course
from autograder.properties.plugin import Examination
from autograder.properties.student import Session
from autograder.properties.suite import load_suite
from autograder.sandbox import Sandbox
from autograder.submission import read_submission


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say who is questioned."""
    group = parser.getgroup("course")
    group.addoption("--submission", type=Path, metavar="FILE", help="question this notebook or script, in the sandbox")
    group.addoption("--reference", action="store_true", help="question the reference, in this process")


def pytest_configure(config: pytest.Config) -> None:
    """Set up the examination."""
    file: Path | None = config.getoption("--submission")
    slugs = {Path(arg.partition("::")[0]).stem.removeprefix("test_") for arg in config.args}
    if (file is None) == (not config.getoption("--reference")) or len(slugs) != 1:
        raise pytest.UsageError("name one file of hidden properties, and either --submission FILE or --reference")
    course = Course.find(Path(__file__).parent)
    assignment = course.assignment(slugs.pop())
    suite = load_suite(assignment)
    if file is None:
        student: Any = suite.reference
    else:
        sandbox = Sandbox(packages=[course.root / "coursekit"], preload=assignment.starter.imports)
        config.add_cleanup(sandbox.close)
        student = Session(sandbox.control, read_submission(file, assignment), assignment)
        student.load()
    config.pluginmanager.register(Examination(suite, student, seed=course.seed, loud=True))
