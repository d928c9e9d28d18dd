"""A class that nobody taught: as many students as wanted, the same ones every time."""

import random

import numpy as np

from autograder.gradebook.standing import Score
from autograder.report.classpage.gather import Student
from autograder.report.page import Grade
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult, Verdict

NAMES = [f"exercise_{letter}" for letter in "abcdefghijklmnopqrst"]
POINTS = 2.0
SENTENCES = ("It has the shape that was promised.", "It is `zero` for equal arguments.", "It is never negative.")


def result(name, passed, *, error=None, mistake=None, outcome="failed"):
    """A result whose properties hold as `passed` says."""
    properties = tuple(
        PropertyResult(
            f"test_{n}", f"{sentence[:-1]} in {name}.", "passed" if held else outcome, error, required=n == 0
        )
        for n, (sentence, held) in enumerate(zip(SENTENCES, passed, strict=True))
    )
    earned = POINTS * sum(passed) / len(passed) if passed[0] else 0.0
    mistakes = (MistakeFound(mistake, f"What {mistake} says."),) if mistake else ()
    return ExerciseResult(name, POINTS, earned, error, properties, mistakes)


def verdict(results, notes=()):
    """A verdict of those results."""
    return Verdict("mini", 40.0, sum(r.earned for r in results), "none", "cpu", "s", "d", tuple(results), tuple(notes))


def student(name, results, *, question=None, **more):
    """A student with those results, all of them in the gradebook."""
    grades = {r.name: Grade(r.points, r.earned, r.earned) for r in results}
    grades["why"] = Grade(3.0, question)
    given = verdict(results, more.get("notes", ()))
    return Student(name, score=Score(name, grades, more.pop("penalty", 0.0)), verdict=given, **more)


def synthetic_class(size, seed=0):
    """Students of all abilities; the first two have handed in the same."""
    draw = random.Random(seed)
    everyone = []
    for number in range(size):
        ability = draw.gauss(1.0, 1.0)
        results = []
        for place, name in enumerate(NAMES):
            chance = 1 / (1 + 2.718 ** (place / 6 - ability - 0.5))
            if draw.random() < 0.02:
                results.append(
                    result(name, (False,) * 3, error="The time limit was reached: it ran.", outcome="timeout")
                )
                continue
            passed = tuple(draw.random() < chance for _ in SENTENCES)
            mistake = f"mistake_{place}" if not all(passed) and draw.random() < 0.3 else None
            results.append(result(name, passed, mistake=mistake))
        codes = np.random.default_rng(seed * 10_000 + max(number, 1)).integers(0, 1 << 63, 200).astype(np.uint64)
        everyone.append(
            student(
                f"student-{number:04}",
                results,
                question=draw.choice([None, 1.0, 3.0]),
                late=draw.choice([0.0] * 9 + [1.5]),
                notes=("Cell 7 is no Python.",) if draw.random() < 0.03 else (),
                passages={"": codes},
            )
        )
    return everyone
