"""Right answers earn everything, wrong ones lose points: what public suites got wrong, ours gets right."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.engines.job import Job
from autograder.grade import Grader
from autograder.submission import submission_of
from tests.published import Case, cases

REPOSITORY = Path(__file__).parents[2]
COURSE = Course.load(REPOSITORY)
SLUGS = [assignment.slug for assignment in COURSE if (Path(__file__).parent / f"{assignment.slug}.py").is_file()]


@pytest.fixture(scope="module", params=SLUGS)
def graded(request: pytest.FixtureRequest) -> Iterator[Grader]:
    """A warm grader of one assignment."""
    with Grader(COURSE.assignment(request.param)) as grader:
        yield grader


def test_each_case_earns_what_it_deserves(graded: Grader):
    slug = graded.assignment.slug
    known = cases(importlib.import_module(f"tests.published.{slug}"))
    jobs = {
        name: Job(submission_of({case.exercise: case.source}), (case.exercise,), diagnose=False)
        for name, case in known.items()
    }
    names = {id(job): name for name, job in jobs.items()}
    unfair = {}
    for job, verdict in graded.engine.verdicts(jobs.values()):
        assert verdict.failure is None
        case: Case = known[names[id(job)]]
        (result,) = verdict.exercises
        lost = [item.name for item in result.properties if item.outcome != "passed"]
        if case.right != (result.earned == result.points) or (not case.right and result.earned > 0.7 * result.points):
            unfair[names[id(job)]] = (result.earned / result.points, lost)
    assert unfair == {}
