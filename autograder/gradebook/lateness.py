"""What lateness costs.

A submission's time is when it arrived by the instructor's clock (`intake` says how that is known), never what the
student's computer claims. Extensions are granted to each student, by `course extend` or by nbgrader.
"""

from __future__ import annotations

import math
from datetime import datetime

from autograder.course import Policy

DAY = 24 * 60 * 60


def seconds_late(due: datetime | None, received: datetime | None) -> float:
    """How long after its due date a submission arrived; nothing is late if one of the times is not known."""
    return max(0.0, (received - due).total_seconds()) if due and received else 0.0


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
