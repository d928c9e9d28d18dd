"""Verdicts are kept under everything they depend on."""

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.store import VerdictStore, suite_digest
from autograder.submission import Submission, read_submission
from autograder.verdict import blank_verdict


@pytest.fixture
def submission(mini_course: Course) -> Submission:
    assignment = mini_course.assignment("mini")
    return read_submission(assignment.starter_path, assignment)


def test_what_was_put_is_got(mini_course: Course, submission: Submission) -> None:
    assignment = mini_course.assignment("mini")
    store = VerdictStore(assignment, "cpu")
    assert store.get(submission) is None
    verdict = blank_verdict(assignment, submission, isolation="bubblewrap", device="cpu", suite=store.suite)
    store.put(submission, verdict)
    assert VerdictStore(assignment, "cpu").get(submission) == verdict


def test_a_failure_of_the_grader_is_not_kept(mini_course: Course, submission: Submission) -> None:
    store = VerdictStore(mini_course.assignment("mini"), "cpu")
    about = {"isolation": "bubblewrap", "device": "cpu", "suite": store.suite}
    store.put(submission, blank_verdict(mini_course.assignment("mini"), submission, failure="no memory", **about))
    assert store.get(submission) is None


@pytest.mark.parametrize(
    "path",
    [
        "autograder/hidden/test_mini.py",
        "autograder/mistakes/mini.py",
        "solutions/mini.py",
        "assignments/mini/mini.py",
        "coursekit/properties/compare.py",
    ],
)
def test_a_changed_suite_has_no_verdicts(mini_course: Course, path: str) -> None:
    before = suite_digest(mini_course.assignment("mini"))
    file = mini_course.root / path
    file.write_text(file.read_text() + "\n# changed\n")
    assert suite_digest(Course.load(mini_course.root).assignment("mini")) != before


def test_other_code_has_no_verdict(mini_course: Course, submission: Submission) -> None:
    assignment = mini_course.assignment("mini")
    store = VerdictStore(assignment, "cpu")
    verdict = blank_verdict(assignment, submission, isolation="bubblewrap", device="cpu", suite=store.suite)
    store.put(submission, verdict)
    assert store.get(replace(submission, digest="0" * 64)) is None
    assert VerdictStore(assignment, "cuda").get(submission) is None


def test_a_damaged_file_is_no_verdict(mini_course: Course, submission: Submission) -> None:
    assignment = mini_course.assignment("mini")
    store = VerdictStore(assignment, "cpu")
    store.put(submission, blank_verdict(assignment, submission, isolation="", device="cpu", suite=store.suite))
    (file,) = Path(mini_course.verdicts_directory).rglob("*.json")
    file.write_text(file.read_text()[:50])
    assert store.get(submission) is None
