"""One share of a submission, and the verdict on it: what a runner does, whichever engine started it."""

from __future__ import annotations

import time
from dataclasses import replace

from autograder.diagnose import Diagnosis, worth_explaining
from autograder.properties.plugin import examine
from autograder.properties.student import Session
from autograder.properties.suite import Suite
from autograder.sandbox import Control, WorkerDied
from autograder.submission import Submission
from autograder.verdict import Depth, ExerciseResult, Verdict, with_results


def compute(
    suite: Suite,
    submission: Submission,
    control: Control,
    blank: Verdict,
    diagnosis: Diagnosis | None = None,
    *,
    depth: Depth = "feedback",
    seed: bytes | None = None,
) -> Verdict:
    """Load the submission into a worker and run the suite on it.

    Args:
        suite: the hidden properties.
        submission: what was read of the student's file.
        control: the fork server's ear.
        blank: a verdict without results.
        diagnosis: what names the known mistakes behind lost points; None to leave that out.
        depth: how much to find out about an exercise that fails.
        seed: draws inputs in place of the course's secret.
    """
    if submission.problem is not None:
        return with_results(blank, unread_results(suite, submission.problem))
    seed = suite.assignment.course.seed if seed is None else seed
    start = time.perf_counter()
    session = Session(control, submission, suite.assignment)
    try:
        try:
            session.load()
        except WorkerDied as death:
            return with_results(blank, unread_results(suite, f"The submission could not be loaded: {death.reason}."))
        loaded = time.perf_counter()
        examination = examine(suite, session, seed=seed, depth=depth)
        examined = time.perf_counter()
        results = examination.exercise_results()
        if diagnosis is not None and any(map(worth_explaining, results)):
            session.bury()  # what its code has kept from the examination would make it answer otherwise
            results = tuple(replace(r, mistakes=diagnosis.explain(r, session, control, seed)) for r in results)
    finally:
        session.close()
    faults = [
        f"{fault.cell.capitalize()} stopped: {fault.text}"
        for _, fault in sorted(session.faults.items())
        if not fault.text.startswith("SyntaxError")  # whoever read the file has noted it
    ]
    done = time.perf_counter()
    seconds = {
        "load": loaded - start,
        "properties": examined - loaded,
        "diagnosis": done - examined,
        "total": done - start,
        **examination.seconds,
    }
    verdict = with_results(blank, results)
    return replace(
        verdict,
        notes=(*blank.notes, *faults),
        seconds={name: round(value, 4) for name, value in seconds.items()},
    )


def unread_results(suite: Suite, problem: str) -> tuple[ExerciseResult, ...]:
    """Results for a file of which nothing could be read."""
    points = {exercise.name: exercise.points for exercise in suite.assignment.exercises}
    return tuple(
        ExerciseResult(name, points[name], 0.0, problem, tuple(item.result("not_run", problem) for item in listed))
        for name, listed in suite.properties.items()
    )
