"""A verdict that is put together from what was kept is the one that would be made at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.course import Assignment, Course
from autograder.grade import Grader
from autograder.reference import reference_script
from autograder.submission import Submission, read_submission
from autograder.verdict import Verdict

HIDDEN, STARTER = "autograder/hidden/test_mini.py", "assignments/mini/mini.py"

# A square that is wrong, after some calls, and in words that it knows; a shift that does not start at zero; a cell that stops.
SQUARE = """calls.append(1)
    return x * x.abs() if len(calls) > 9 else x.multiply(x.clone())"""


@pytest.fixture
def submission(mini_course: Course, tmp_path: Path) -> Submission:
    text = reference_script(mini_course.assignment("mini"))
    for old, new in (
        ("return x.multiply(x.clone())", SQUARE),
        ("torch.zeros(size)", "torch.ones(size)"),
        ("import torch\n", "import torch\n\ncalls = []\n1 / 0\n"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "mini.py").write_text(text)
    return read_submission(tmp_path / "mini.py", mini_course.assignment("mini"))


def changed(course: Course, path: str, *replacements: tuple[str, str]) -> Assignment:
    file = course.root / path
    text = file.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text)
    return Course.load(course.root).assignment("mini")


def graded(assignment: Assignment, submission: Submission, *, force: bool = False) -> Verdict:
    with Grader(assignment, workers=1, force=force) as grader:
        return grader.verdict(submission)


def text(verdict: Verdict) -> str:
    """All of it but the times."""
    return replace(verdict, seconds={}).to_json()


def test_only_what_changed_is_questioned_again_and_the_verdict_is_as_if_all_was(
    mini_course: Course, submission: Submission
) -> None:
    assignment = mini_course.assignment("mini")
    first = graded(assignment, submission)
    assert first.notes
    assert 0 < first.exercise("Shift").earned < 3
    kept = {path: path.read_bytes() for path in (mini_course.verdicts_directory / "mini").glob("*.json")}
    start = "    def test_starts_with_an_offset_of_zero("
    later = changed(mini_course, HIDDEN, ("tensors\n", "tensors, weight\n"))
    assert text(graded(later, submission)) != text(first)  # what all properties see has changed
    second = graded(later, submission)
    before = set((mini_course.verdicts_directory / "mini").glob("*.json"))
    later = changed(mini_course, HIDDEN, (start, f"    @weight(4)\n{start}"))
    third = graded(later, submission)
    [new] = set((mini_course.verdicts_directory / "mini").glob("*.json")) - before
    assert [result.name for result in Verdict.from_json(new.read_text()).exercises] == ["Shift"]
    assert third.exercise("square") == second.exercise("square")
    assert third.seconds["square"] == second.seconds["square"]
    assert third.exercise("Shift").earned < second.exercise("Shift").earned
    assert text(third) == text(graded(later, submission, force=True))
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_other_points_need_no_question(mini_course: Course, submission: Submission) -> None:
    graded(mini_course.assignment("mini"), submission)
    later = changed(mini_course, STARTER, ("points=3", "points=9"))
    with Grader(later) as grader:
        verdict = grader.verdict(submission)
        assert grader._engine is None
    assert verdict.points == 11
    assert text(verdict) == text(graded(later, submission, force=True))
