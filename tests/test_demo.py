"""The sample class goes the whole road: `course demo`, held to what each student deserves."""

import html
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from autograder.course import Course
from autograder.demo.class_list import CLASS, build_class, class_of_mistakes
from autograder.demo.road import build_course, demo
from autograder.errors import CourseError
from autograder.mistakes import known_mistakes
from autograder.submission import read_submission
from tests.mini_course import REPOSITORY

FULL = 40.0
# What each loses of the 40 points for exercises: nothing, everything, or only in the exercises that it got wrong.
WRONG = {
    "s01-all-right": set(),
    "s02-all-right-script": set(),
    "s04-kl-averaged": {"kl_divergence"},
    "s05-logvar-as-sigma": {"kl_divergence", "reparameterize"},
    "s06-sign-of-the-loss": {"beta_vae_loss"},
    "s07-likelihood-averaged": {"bernoulli_log_likelihood", "kl_weight"},
    "s08-syntax-error": {"elbo"},
    "s09-endless-training": set(),
    "s10-late": {"embed"},
    "s13-hangs": {"interpolate_latents"},
    "s14-exits": {"kl_weight"},
    "s16-steals": set(),
}
NOTHING = ("s11-untouched", "s12-broken-file", "s17-forged-metadata")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `course demo` was run."""
    folder = tmp_path_factory.mktemp("sample") / "demo"
    command = [sys.executable, "-P", "-m", "autograder.cli", "demo", "--folder", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(student.name in done.stdout for student in CLASS)
    return folder


@pytest.fixture(scope="module")
def graded(sample: Path) -> dict[str, dict]:
    """What `course grade --json` says afterwards: all from stored verdicts."""
    command = [sys.executable, "-P", "-m", "autograder.cli", "grade", "vae", "--json"]
    done = subprocess.run(command, cwd=sample, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {item["student"]: item for item in json.loads(done.stdout)}


@pytest.mark.parametrize("student", WRONG)
def test_a_student_loses_points_where_the_answer_is_wrong_and_nowhere_else(graded: dict, student: str) -> None:
    item = graded[student]
    lost = {name for name, points in item["worth"].items() if item["exercises"][name] < points}
    assert lost == WRONG[student]


@pytest.mark.parametrize("student", NOTHING)
def test_who_answered_nothing_earns_nothing(graded: dict, student: str) -> None:
    assert graded[student]["score"] == 0


def test_a_cheat_gains_nothing(graded: dict) -> None:
    assert graded["s15-cheats"]["exercises"]["kl_divergence"] == 0
    assert graded["s15-cheats"]["score"] <= FULL - 4


def test_lateness_costs_by_the_instructors_clock(graded: dict) -> None:
    assert {name for name, item in graded.items() if item["penalty"]} == {"s10-late"}


def test_everyone_has_a_page_with_nothing_private_in_it(sample: Path, graded: dict) -> None:
    """Hidden code, the secret and what the thief would have read are in nobody's page."""
    command = [sys.executable, "-P", "-m", "autograder.cli", "feedback", "vae"]  # grading again took the old pages away
    assert subprocess.run(command, cwd=sample, capture_output=True, check=False).returncode == 0
    hidden = (sample / "autograder/hidden/test_vae.py").read_text("utf-8")
    private = [line.strip() for line in hidden.splitlines() if "student." in line and len(line.strip()) > 30]
    secret = (sample / "course.seed").read_text().strip()
    assert private
    for student in CLASS:
        page = (sample / "feedback" / student.name / "vae" / "vae.html").read_text("utf-8")
        assert secret not in page
        assert not [line for line in private if line in page]


def test_a_folder_that_is_no_sample_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CourseError, match="not empty"):
        build_course(Course.load(REPOSITORY), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("slug", ["rl", "capstone"])
def test_a_class_makes_every_known_mistake_once(slug: str, tmp_path: Path) -> None:
    """Each is in the file of one student, and nobody makes two in one exercise."""
    assignment = Course.load(REPOSITORY).assignment(slug)
    files = build_class(assignment, tmp_path, class_of_mistakes(assignment))
    handed_in = [[cell.source for cell in read_submission(path, assignment).cells] for path in files.values()]
    for mistake in known_mistakes(assignment):
        assert sum(mistake.source.strip() in sources for sources in handed_in) == 1, mistake.name


def test_the_pages_of_a_class_of_mistakes_name_them(mini_course: Course, tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    demo(mini_course, folder, Console(file=io.StringIO()), mistakes="mini")
    pages = "".join(page.read_text("utf-8") for page in folder.glob("feedback/m*/mini/mini.html"))
    for mistake in known_mistakes(mini_course.assignment("mini")):
        assert html.escape(mistake.says) in pages
