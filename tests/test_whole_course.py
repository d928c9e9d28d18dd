"""All assignments go the road together: one release, and a class that hands in every one of them."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder.course import Assignment, Course
from autograder.demo.road import build_course
from autograder.reference import reference_notebook
from tests.mini_course import REPOSITORY

SLUGS = list(Course.load(REPOSITORY).assignments)


def run(course: Course, *arguments: str) -> str:
    """What a command of `course` prints."""
    command = [sys.executable, "-P", "-m", "autograder.cli", *arguments]
    done = subprocess.run(command, cwd=course.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course of which everything has been released."""
    built = build_course(Course.load(REPOSITORY), tmp_path_factory.mktemp("whole") / "course")
    said = run(built, "release")
    assert all(f"release/{slug}" in said for slug in SLUGS)
    return built


def released(assignment: Assignment) -> Path:
    """The notebook that students get."""
    return assignment.course.root / "release" / assignment.slug / f"{assignment.slug}.ipynb"


def hand_in(assignment: Assignment, student: str, notebook: nbformat.NotebookNode) -> None:
    """Put a notebook where nbgrader collects to."""
    folder = assignment.submission_directory(student)
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{assignment.slug}.ipynb")


@pytest.mark.parametrize("slug", SLUGS)
def test_right_answers_earn_everything_and_untouched_ones_nothing(course: Course, slug: str):
    assignment = course.assignment(slug)
    hand_in(assignment, "right", reference_notebook(assignment))
    hand_in(assignment, "untouched", nbformat.read(released(assignment), as_version=4))
    graded = {item["student"]: item for item in json.loads(run(course, "grade", slug, "--json"))}
    assert graded["right"]["exercises"] == {exercise.name: exercise.points for exercise in assignment.exercises}
    assert set(graded["untouched"]["exercises"].values()) == {0}
    pages = run(course, "feedback", slug)
    assert [f"feedback/{student}/{slug}/{slug}.html" in pages for student in graded] == [True, True]
