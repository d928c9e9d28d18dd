"""The figures of a class, by cases that were worked out by hand."""

import math

import numpy as np
import pytest

from autograder.gradebook.standing import Score
from autograder.report.classpage import figures
from autograder.report.classpage.gather import Student
from autograder.report.page import Grade
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult
from tests.report.synthetic import verdict


def scored(name, *scores, points=2.0):
    """A student with a score for each of the exercises a, b, c, …."""
    grades = {letter: Grade(points, score, score) for letter, score in zip("abcdef", scores, strict=False)}
    return Student(name, score=Score(name, grades, 0.0))


def answer(*outcomes, error=None, mistakes=(), message=None, name="e"):
    """A result with these outcomes."""
    found = tuple(PropertyResult(f"t{n}", f"S{n}.", outcome, message) for n, outcome in enumerate(outcomes))
    return ExerciseResult(name, 1.0, 0.0, error, found, tuple(MistakeFound(m, f"{m}!") for m in mistakes))


def judged(*results, notes=()):
    """A student with that verdict."""
    return Student("x", verdict=verdict(results), notes=notes)


def test_scores_fall_into_bins_and_the_best_into_the_last():
    class_ = [scored(str(n), score, points=10.0) for n, score in enumerate((0.0, 4.9, 5.0, 9.9, 10.0))]
    assert [(b.low, b.high, b.members) for b in figures.distribution(class_, 2)] == [
        (0.0, 5.0, (0, 1)),
        (5.0, 10.0, (2, 3, 4)),
    ]


def test_a_score_on_the_border_of_bins_belongs_above_it():
    bins = figures.distribution([scored("x", 0.3, points=1.0)], 10)  # 0.3 / 0.1 is below 3 in floating point
    assert bins[3].members == (0,)


@pytest.mark.parametrize(
    ("points", "most", "borders"),
    [
        (43.0, 20, [2.5 * n for n in range(18)] + [43.0]),
        (40.0, 20, [2.0 * n for n in range(21)]),
        (5.0, 10, [0.5 * n for n in range(11)]),
        (7.0, 10, [*map(float, range(8))]),
    ],
)
def test_bins_are_of_a_round_width(points, most, borders):
    bins = figures.distribution([scored("x", 0.0, points=points)], most)
    assert [item.low for item in bins] + [bins[-1].high] == pytest.approx(borders)


def test_a_penalty_can_lead_no_further_down_than_the_first_bin():
    late = Student("x", score=Score("x", {"a": Grade(2.0, 0.5, 0.5)}, 0.75))
    assert figures.distribution([late], 4)[0].members == (0,)


def test_who_has_no_score_is_in_no_bin():
    unknown = [Student("x"), Student("y", score=Score("y", {"a": Grade(2.0, None)}, 0.0))]
    assert figures.distribution(unknown, 4) == ()
    assert figures.spread(unknown) is None


def test_quartiles_and_mean():
    class_ = [scored(str(n), float(n), points=8.0) for n in (0, 1, 2, 3, 8)]
    assert figures.spread(class_) == figures.Spread(lower=1.0, median=2.0, upper=3.0, mean=2.8)


def test_difficulty_is_the_mean_share_of_those_who_have_a_score():
    class_ = [scored("x", 2.0, 2.0), scored("y", 1.0, 0.0), scored("z", 0.0, None)]
    a, b = figures.items(class_, "ab")
    assert (a.share, a.full, a.part, a.none) == (0.5, (0,), (1,), (2,))
    assert (b.share, b.full, b.part, b.none) == (0.5, (0,), (), (1,))


def test_discrimination_is_the_correlation_with_the_rest_alone():
    """a = 0…9; the rest is b + c, with b = a and c = 9 − a: constant. For b the rest is a + c, constant, too."""
    class_ = [scored(str(n), n, n, 9 - n, points=9.0) for n in range(10)]
    assert [item.obstacle for item in figures.items(class_, "ab")] == ["all alike"] * 2
    class_ = [scored(str(n), n, n, points=9.0) for n in range(10)]
    assert figures.items(class_, "a")[0].discrimination == pytest.approx(1.0)
    class_ = [scored(str(n), n, 9 - n, points=9.0) for n in range(10)]
    assert figures.items(class_, "a")[0].discrimination == pytest.approx(-1.0)


def test_discrimination_by_hand():
    """Item (0 ×5, 1 ×5) with rest (0, 0, 0, 0, 1, 0, 1, 1, 1, 1): cov = 0.15, variances 0.25 each, so 0.6."""
    rest = (0, 0, 0, 0, 1, 0, 1, 1, 1, 1)
    class_ = [scored(str(n), float(n >= 5), float(rest[n]), points=1.0) for n in range(10)]
    assert figures.items(class_, "a")[0].discrimination == pytest.approx(0.6)


def test_what_waits_for_a_grader_is_not_part_of_the_rest():
    class_ = [scored(str(n), n, n, None if n % 2 else 0.0, points=9.0) for n in range(10)]
    rest = [n / 9 if n % 2 else n / 18 for n in range(10)]
    wanted = np.corrcoef([n / 9 for n in range(10)], rest)[0, 1]
    assert figures.items(class_, "a")[0].discrimination == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("first", "second", "obstacle"),
    [
        (range(9), range(9), "too few"),
        (range(10), [1.0] * 10, "all alike"),
        ([0.1 + 0.2] * 5 + [0.3] * 5, range(10), "all alike"),
        (range(10), [math.nan, *range(9)], "too few"),
    ],
)
def test_a_correlation_that_cannot_be_had_says_why(first, second, obstacle):
    assert figures.correlation(list(first), list(second)) == (None, obstacle)


def test_an_exercise_without_others_has_nothing_to_go_with():
    assert figures.items([scored(str(n), n, points=9.0) for n in range(12)], "a")[0].obstacle == "too few"


def test_properties_are_rated_among_those_who_were_asked():
    class_ = [
        judged(answer("passed", "failed")),
        judged(answer("passed", "error")),
        judged(answer("error", "error", error="`e` is not written yet.", message="NotImplementedError")),
        judged(answer("not_run", "not_run", error="`e` is not defined in the submission.")),
        judged(answer("passed", "timeout", error="The time limit was reached.", message="The time limit was reached.")),
        Student("nobody"),
    ]
    worst, best = figures.properties(class_)
    assert (worst.statement, worst.rate, worst.failed, worst.error, worst.timeout) == ("S1.", 0.0, (0,), (1,), (4,))
    assert (worst.untried, worst.missed, worst.asked) == (2, (0, 1, 4), 3)
    assert (best.statement, best.rate, best.missed) == ("S0.", 1.0, ())


def test_a_property_that_nobody_was_asked_comes_last():
    class_ = [judged(answer("passed"), answer("not_run", error="`f` is not defined in the submission.", name="f"))]
    assert [(item.exercise, item.rate) for item in figures.properties(class_)] == [("e", 1.0), ("f", None)]


def test_mistakes_are_ranked_by_how_many_make_them():
    class_ = [judged(answer("failed", mistakes=m)) for m in (["rare", "common"], ["common"], [])]
    assert [(item.name, item.members) for item in figures.mistakes(class_)] == [("common", (0, 1)), ("rare", (0,))]


def test_groups_are_the_same_properties_with_the_same_outcomes():
    class_ = [
        judged(answer("failed", "passed")),
        judged(answer("failed", "passed", mistakes=["m"])),
        judged(answer("error", "passed")),
        judged(answer("failed", "failed")),
        judged(answer("passed", "passed")),
        judged(answer("passed", "passed")),
    ]
    assert figures.groups(class_) == [figures.Group("e", (("S0.", "failed"),), ("m!",), (0, 1))]


def test_who_did_not_write_an_exercise_is_in_no_group():
    assert figures.groups([judged(answer("error", error="`e` is not written yet."))] * 3) == []


def test_what_was_stopped_is_told_apart_from_what_was_slow():
    slow, dead = "The time limit was reached: it ran.", "Your code stopped the grader: it ran out of memory."
    class_ = [
        judged(answer("timeout", "not_run", error=slow, message=slow)),
        judged(answer("error", "not_run", error=dead, message=dead)),
        judged(answer("error", "error", message="ValueError")),
        judged(answer("error", error="`e` is not written yet.", message="NotImplementedError")),
        judged(answer("not_run", error="mini.ipynb is empty.", message="mini.ipynb is empty.")),
    ]
    assert (figures.timed_out(class_), figures.crashed(class_)) == ((0,), (1,))
    assert [(item.text, item.members) for item in figures.stops(class_)] == [(slow, (0,)), (dead, (1,))]


def test_the_same_note_of_several_is_one():
    class_ = [judged(notes=("a",)), judged(notes=("b", "a"))]
    assert [(item.text, item.members) for item in figures.notes(class_)] == [("a", (0, 1)), ("b", (1,))]
