"""Verdicts become scores in nbgrader's gradebook."""

from autograder.gradebook.record import record, scores


def test_scores_are_the_verdicts(course, desk, oracle):
    desk.hand_in("ada", square="# square: 1.5", shift="# Shift: 3")
    [recorded] = record(course, "mini", ["ada"])
    assert recorded.failure is None
    assert recorded.score.earned == 4.5
    assert {name: grade.score for name, grade in scores(course, "mini")["ada"].grades.items()} == {
        "square": 1.5,
        "Shift": 3.0,
        "why_squares": 0.0,
    }
