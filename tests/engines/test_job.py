import json
from dataclasses import replace

import pytest

from autograder.engines.job import Job, unpack_submission
from autograder.submission import submission_of

NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, [("a", "c", "e"), ("b", "d")]),
        (("e", "b", "a"), [("a", "e"), ("b",)]),  # in the order of the notebook, whatever was asked
        (("d",), [("d",)]),
        ((), [()]),  # something has to be answered
    ],
)
def test_shares_hold_every_exercise_once(chosen: tuple[str, ...] | None, expected: list[tuple[str, ...]]) -> None:
    job = Job(submission_of({"a": "a = 1"}), chosen, diagnose=False, seed="s")
    shares = job.shares(NAMES)
    assert [share.exercises for share in shares] == expected
    assert all(replace(share, exercises=chosen, undivided=False) == job for share in shares)
    assert all(share.shares(NAMES) == (share,) for share in shares)


def test_a_job_is_plain_data() -> None:
    submission = submission_of({"a": "a = 1"})
    packed = json.loads(json.dumps(Job(submission).pack()))
    assert unpack_submission(packed["submission"]) == submission
