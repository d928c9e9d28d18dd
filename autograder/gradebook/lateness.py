"""What lateness costs.

A submission's time is when it arrived by the instructor's clock (`intake` says how that is known), never what the
student's computer claims. Extensions are nbgrader's own, granted for each student.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from nbgrader.plugins import BasePlugin

from autograder.course import Policy
from autograder.gradebook.context import CourseContext

DAY = 24 * 60 * 60


def penalty(policy: Policy, points: float, score: float, seconds_late: float) -> float:
    """Points taken off: a share of the assignment's `points` for every day begun, and never more than the `score`.

    After `policy.late_days` the whole score goes.
    """
    if seconds_late <= 0:
        return 0.0
    days = math.ceil(seconds_late / DAY)
    if days > policy.late_days:
        return score
    return min(score, round(policy.late_penalty_per_day * days * points, 4))


class LatePenalty(CourseContext, BasePlugin):
    """The policy of `course.toml`, for nbgrader's AssignLatePenalties."""

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float:
        """Points to take off `score`; nbgrader calls this for late submissions only."""
        graded = self.parent
        notebook = graded.gradebook.find_submission_notebook(graded.notebook_id, graded.assignment_id, student_id)
        policy = self.assignment(graded.assignment_id).course.policy
        return penalty(policy, notebook.max_score, score, total_seconds_late)


def naive_utc(time: datetime | None) -> datetime | None:
    """A time as nbgrader keeps it: in UTC, without saying so."""
    return time and time.astimezone(UTC).replace(tzinfo=None)
