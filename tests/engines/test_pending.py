"""A submission whose shares are graded one by one."""

from dataclasses import replace

from autograder.course import Course
from autograder.engines.job import Job
from autograder.engines.pending import Pending
from autograder.submission import submission_of
from autograder.verdict import ExerciseResult, Verdict, blank_verdict

NAMES = ["square", "Shift"]


def on_share(course: Course, name: str, isolation: str = "bubblewrap") -> Verdict:
    submission = submission_of({"square": "square = 1"})
    blank = blank_verdict(course.assignment("mini"), submission, isolation=isolation, device="cpu", suite="s")
    return replace(blank, exercises=(ExerciseResult(name, 2.0, 1.0),))


def test_it_is_whole_when_every_share_has_a_verdict(shared_course: Course) -> None:
    pending = Pending.of(Job(submission_of({"square": "square = 1"})), NAMES)
    assert [(place, share.exercises) for place, share in pending.missing()] == [(0, ("square",)), (1, ("Shift",))]
    pending.verdicts[1] = on_share(shared_course, "Shift")
    assert pending.whole(NAMES) is None
    assert [place for place, _ in pending.missing()] == [0]
    pending.verdicts[0] = on_share(shared_course, "square")
    whole = pending.whole(NAMES)
    assert whole is not None
    assert [result.name for result in whole.exercises] == NAMES
    assert whole.earned == 2.0


def test_shares_that_were_isolated_otherwise_make_no_verdict(shared_course: Course) -> None:
    pending = Pending.of(Job(submission_of({"square": "square = 1"})), NAMES)
    pending.verdicts = [on_share(shared_course, "square"), on_share(shared_course, "Shift", "landlock")]
    assert pending.whole(NAMES) is None
