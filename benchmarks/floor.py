"""The floor of a verdict: the same properties in one bare process that calls the reference directly.

No sandbox, no second process, no file. What a verdict costs beyond it is the price of isolation.
"""

from __future__ import annotations

import time

from autograder.course import Assignment
from autograder.properties.plugin import examine
from autograder.properties.suite import load_suite
from autograder.sandbox.warmup import import_torch, settle


def floor_seconds(assignment: Assignment, runs: int) -> list[float]:
    """Wall seconds of each of `runs` examinations of the reference, after one that does not count.

    Raises:
        AssertionError: the reference does not earn everything: then nothing was measured.
    """
    import_torch()
    suite = load_suite(assignment)
    seconds = []
    for run in range(runs + 1):
        start = time.perf_counter()
        examination = examine(suite, suite.reference, seed=assignment.course.seed)
        elapsed = time.perf_counter() - start
        earned = sum(result.earned for result in examination.exercise_results())
        assert abs(earned - assignment.points) < 1e-6, f"the reference earned {earned} of {assignment.points}"
        if run:
            seconds.append(elapsed)
        else:
            settle()
    return seconds
