import pytest

from autograder.course import Policy
from autograder.gradebook.lateness import DAY, penalty

POLICY = Policy(late_penalty_per_day=0.1, late_days=5)


@pytest.mark.parametrize(
    ("seconds", "score", "off"),
    [
        (0, 30.0, 0.0),
        (-5, 30.0, 0.0),
        (1, 30.0, 4.0),  # a day begun is a day
        (DAY, 30.0, 4.0),
        (DAY + 1, 30.0, 8.0),
        (5 * DAY, 30.0, 20.0),
        (5 * DAY + 1, 30.0, 30.0),  # afterwards nothing is earned
        (4 * DAY, 10.0, 10.0),  # no one goes below zero
    ],
)
def test_each_day_begun_costs_its_share(seconds, score, off):
    assert penalty(POLICY, 40.0, score, seconds) == off


def test_a_course_may_forgive():
    assert penalty(Policy(late_penalty_per_day=0, late_days=1000), 40.0, 30.0, 90 * DAY) == 0.0
