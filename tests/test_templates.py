"""The templates of the capstone, graded as submissions are: dull as they are, they earn all automated points."""

from pathlib import Path

import pytest

from autograder.course import Course
from autograder.grade import Grader
from autograder.submission import read_submission
from coursekit.capstone import OPTIONS

CAPSTONE = Course.load(Path(__file__).parents[1]).assignment("capstone")


@pytest.fixture(scope="module")
def grader():
    with Grader(CAPSTONE, workers=1) as grader:
        yield grader


@pytest.mark.parametrize("option", OPTIONS)
def test_a_template_earns_everything(grader, option):
    submission = read_submission(CAPSTONE.directory / "templates" / f"{option}.py", CAPSTONE)
    verdict = grader.verdict(submission)
    assert verdict.failure is None
    assert {e.name: (e.earned, e.error) for e in verdict.exercises} == {
        e.name: (e.points, None) for e in CAPSTONE.exercises
    }
