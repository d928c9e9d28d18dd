"""Verdicts are kept under everything they depend on."""

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.course import Assignment, Course
from autograder.engines.job import Job
from autograder.store import VerdictStore, share_digest, suite_digest
from autograder.submission import Submission, read_submission
from autograder.verdict import ExerciseResult, PropertyResult, Verdict, blank_verdict, with_results


@pytest.fixture
def submission(mini_course: Course) -> Submission:
    assignment = mini_course.assignment("mini")
    return read_submission(assignment.starter_path, assignment)


def square_of(submission: Submission) -> Job:
    """The share of a submission that is about `square`."""
    return Job(submission, ("square",), undivided=True)


def half_held(assignment: Assignment, submission: Submission, suite: str) -> Verdict:
    """What such a share may earn."""
    found = PropertyResult("test_a", "A holds.", "passed"), PropertyResult("test_b", "B holds.", "failed", weight=3.0)
    blank = blank_verdict(assignment, submission, isolation="bubblewrap", device="cpu", suite=suite)
    return with_results(blank, (ExerciseResult("square", 2.0, 0.5, None, found),))


def test_what_was_put_is_got(mini_course: Course, submission: Submission) -> None:
    assignment = mini_course.assignment("mini")
    store = VerdictStore(assignment, "cpu")
    share = square_of(submission)
    assert store.get(share) is None
    verdict = half_held(assignment, submission, store.suite)
    store.put(share, verdict)
    assert VerdictStore(assignment, "cpu").get(share) == verdict


def test_a_failure_of_the_grader_is_not_kept(mini_course: Course, submission: Submission) -> None:
    store = VerdictStore(mini_course.assignment("mini"), "cpu")
    about = {"isolation": "bubblewrap", "device": "cpu", "suite": store.suite}
    share = square_of(submission)
    store.put(share, blank_verdict(mini_course.assignment("mini"), submission, failure="no memory", **about))
    assert store.get(share) is None


@pytest.mark.parametrize(
    "path",
    [
        "autograder/hidden/test_mini.py",
        "autograder/mistakes/mini.py",
        "solutions/mini.py",
        "assignments/mini/mini.py",
        "coursekit/properties/compare.py",
        "coursekit/data.py",
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
    share = square_of(submission)
    store.put(share, half_held(assignment, submission, store.suite))
    assert store.get(square_of(replace(submission, digest="0" * 64))) is None
    assert store.get(replace(share, exercises=("Shift",))) is None
    assert VerdictStore(assignment, "cuda").get(share) is None


def test_a_damaged_file_is_no_verdict(mini_course: Course, submission: Submission) -> None:
    assignment = mini_course.assignment("mini")
    store = VerdictStore(assignment, "cpu")
    share = square_of(submission)
    store.put(share, half_held(assignment, submission, store.suite))
    (file,) = Path(mini_course.verdicts_directory).rglob("*.json")
    file.write_text(file.read_text()[:50])
    assert store.get(share) is None


def changed(course: Course, path: str, old: str, new: str) -> Assignment:
    """The assignment with another text in one of its files."""
    file = course.root / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    return Course.load(course.root).assignment("mini")


HIDDEN, STARTER, TOML = "autograder/hidden/test_mini.py", "assignments/mini/mini.py", "course.toml"


@pytest.mark.parametrize(
    ("path", "old", "new", "moved"),
    [
        (HIDDEN, "torch.ones(1, 4)", "torch.ones(2, 4)", {"Shift"}),
        (HIDDEN, "    @required\n", "", {"square"}),
        (HIDDEN, "** 2.0)", "** 2)", {"square"}),
        (HIDDEN, "import torch", "import math\nimport torch", {"square", "Shift"}),
        (HIDDEN, '@exercise("Shift")', 'HELPER = 1\n\n\n@exercise("Shift")', {"square", "Shift"}),
        (HIDDEN, '"""A new shift', '"""TestSquare: a new shift', {"Shift"}),
        (HIDDEN, "class TestShift:", "class TestShift(TestSquare):", {"square", "Shift"}),
        (STARTER, "points=2", "points=4", set()),
        (STARTER, "    raise NotImplementedError", "    raise NotImplementedError()", {"square", "Shift"}),
        ("solutions/mini.py", "x.multiply(x.clone())", "x.clone().multiply(x)", {"square", "Shift"}),
        ("autograder/mistakes/mini.py", "keeps its sign", "keeps the sign", {"square", "Shift"}),
        ("coursekit/properties/compare.py", '"""', '"""\n', {"square", "Shift"}),
        (TOML, 'title = "A small course"', 'title = "A small course"\n[policy]\nexamples = 7', {"square", "Shift"}),
        (TOML, 'title = "A small course"', 'title = "A small course"\n[policy]\nlate_days = 7', set()),
        (TOML, 'title = "Small steps"', 'title = "Small steps"\none_work = true', {"square", "Shift"}),
    ],
)
def test_a_change_reaches_the_shares_whose_results_may_depend_on_it(
    mini_course: Course, path: str, old: str, new: str, moved: set[str]
) -> None:
    before = {name: share_digest(mini_course.assignment("mini"), [name]) for name in ("square", "Shift")}
    assignment = changed(mini_course, path, old, new)
    assert {name for name in before if share_digest(assignment, [name]) != before[name]} == moved


def test_shares_of_one_work_are_kept_apart(mini_course: Course, submission: Submission) -> None:
    assignment = changed(mini_course, TOML, 'title = "Small steps"', 'title = "Small steps"\none_work = true')
    store, square = VerdictStore(assignment, "cpu"), square_of(submission)
    shift = replace(square, exercises=("Shift",))
    verdict = half_held(assignment, submission, store.suite)
    store.put(square, verdict)
    store.put(shift, with_results(verdict, (replace(verdict.exercises[0], name="Shift", points=3.0, earned=0.75),)))
    assert [found and found.exercises[0].name for found in map(store.get, (square, shift))] == ["square", "Shift"]


def test_in_one_work_every_change_reaches_every_share(mini_course: Course) -> None:
    assignment = changed(mini_course, TOML, 'title = "Small steps"', 'title = "Small steps"\none_work = true')
    before = share_digest(assignment, ["square"])
    assert share_digest(changed(mini_course, HIDDEN, "torch.ones(1, 4)", "torch.ones(2, 4)"), ["square"]) != before


def test_a_seed_of_its_own_has_no_verdicts(mini_course: Course) -> None:
    before = share_digest(mini_course.assignment("mini"), ["square"])
    (mini_course.root / "course.seed").write_text("another\n")
    assert share_digest(Course.load(mini_course.root).assignment("mini"), ["square"]) != before


def test_other_points_are_reckoned_from_what_is_kept(mini_course: Course, submission: Submission) -> None:
    assignment = mini_course.assignment("mini")
    store, share = VerdictStore(assignment, "cpu"), square_of(submission)
    store.put(share, half_held(assignment, submission, store.suite))
    later = changed(mini_course, STARTER, "points=2", "points=6")
    verdict = VerdictStore(later, "cpu").get(share)
    assert verdict is not None
    assert (verdict.points, verdict.earned, verdict.exercises[0].points, verdict.exercises[0].earned) == (
        9,
        1.5,
        6,
        1.5,
    )
    assert verdict.suite == suite_digest(later) != store.suite
