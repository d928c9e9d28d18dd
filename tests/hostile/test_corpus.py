"""Every hostile case is contained: no point gained, no private byte read, nobody harmed, nothing left behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.grade import Grader
from tests.hostile.archives import collect_archive
from tests.hostile.cases import Case, Finding, cases
from tests.hostile.gradings import Grading
from tests.hostile.workers import Host, attack, grading_host
from tests.mini_course import make_course
from tests.sandbox.tiers import AVAILABLE


def every_case_of(family: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(family), ids=lambda case: case.name)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with grading_host() as host:
        yield host


@pytest.fixture(scope="module")
def grading(vae_grader: Grader) -> Grading:
    return Grading(vae_grader)


@pytest.mark.parametrize("tier", AVAILABLE)
@every_case_of("worker")
def test_attacks_on_the_sandbox(host: Host, case: Case, tier: str) -> None:
    assert attack(case, host, tier) == Finding()


@every_case_of("grading")
def test_submissions_that_cheat(grading: Grading, case: Case) -> None:
    assert grading.cheat(case) == Finding()


def test_afterwards_honest_work_still_earns_everything(grading: Grading) -> None:
    assert grading.honest_work_earns_everything(None)


@every_case_of("archive")
def test_archives(case: Case, tmp_path: Path) -> None:
    assert collect_archive(case, make_course(tmp_path / "course"), tmp_path) == Finding()


def test_there_are_enough_cases() -> None:
    assert sum(len(cases(family)) for family in ("worker", "grading", "archive")) >= 120
