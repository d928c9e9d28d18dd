"""What tests of several modules share: a small course of its own, and ways to hand something in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from autograder.course import Course
from autograder.grade import Grader
from tests.mini_course import REPOSITORY, make_course

# As graders compute. With several threads sums are rounded otherwise, and Adam magnifies a rounding error of a zero gradient.
torch.set_num_threads(1)

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser."""
    if not Path(CHROMIUM).exists():
        pytest.fail(f"there is no {CHROMIUM}; install it: apt-get install chromium")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        except PlaywrightError as error:
            pytest.fail(f"{CHROMIUM} does not start: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def mini_course(tmp_path: Path) -> Course:
    """A course with the assignment `mini`: two exercises, a question and a hands-on cell, and all that belongs to it."""
    return make_course(tmp_path / "course")


@pytest.fixture(scope="session")
def shared_course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The same course for all tests that change nothing in it."""
    return make_course(tmp_path_factory.mktemp("shared") / "course")


@pytest.fixture(scope="session")
def vae_grader() -> Iterator[Grader]:
    """A warm grader of the real assignment `vae`."""
    with Grader(Course.load(REPOSITORY).assignment("vae"), force=True) as grader:
        yield grader


@pytest.fixture(scope="session")
def grader(shared_course: Course) -> Iterator[Grader]:
    """A warm grader of `mini`, in the sandbox."""
    with Grader(shared_course.assignment("mini"), workers=2) as grader:
        yield grader
