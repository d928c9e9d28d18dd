"""Real verdicts: a warm parent, forked runners, workers in the sandbox."""

import time
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.engines.job import Job
from autograder.grade import Grader
from autograder.reference import reference_script
from autograder.submission import Submission, read_submission
from autograder.verdict import Verdict


@pytest.fixture
def hand_in(shared_course: Course, tmp_path: Path):
    """Read a submission: the reference with some text replaced, and more cells at its end."""
    assignment = shared_course.assignment("mini")

    def make(*replacements: tuple[str, str], more: str = "", name: str = "mini.py") -> Submission:
        text = reference_script(assignment)
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text + more)
        return read_submission(tmp_path / name, assignment)

    return make


SQUARE = "return x.multiply(x.clone())"


def outcomes(verdict: Verdict, exercise: str) -> list[str]:
    return [item.outcome for item in verdict.exercise(exercise).properties]


def test_the_reference_earns_everything_twice_the_same(grader: Grader, hand_in) -> None:
    first, second = (grader.engine.verdicts([Job(hand_in())]) for _ in range(2))
    ((_, one),), ((_, two),) = first, second
    assert one.earned == one.points == 5.0
    assert one.failure is None
    assert one == two  # but for seconds, which do not compare
    assert one.isolation in ("bubblewrap", "landlock")


def test_the_stub_earns_nothing(grader: Grader, hand_in) -> None:
    verdict = grader.verdict(hand_in((SQUARE, "raise NotImplementedError")))
    assert verdict.exercise("square").earned == 0
    assert verdict.exercise("square").error == "`square` is not written yet."
    assert verdict.exercise("Shift").earned == 3.0


@pytest.mark.parametrize(
    ("body", "outcome", "words"),
    [
        ("import os; os._exit(0)", "error", "exit status 0"),
        ("import os, time; [time.sleep(1) for _ in range(60)]", "timeout", "time limit"),
        ("import ctypes; ctypes.string_at(0)", "error", "crashed"),
    ],
)
def test_an_exercise_that_dies_costs_itself_only(grader: Grader, hand_in, body: str, outcome: str, words: str) -> None:
    verdict = grader.verdict(hand_in((SQUARE, body)))
    assert outcomes(verdict, "square") == [outcome, "not_run", "not_run"]
    assert words in (verdict.exercise("square").error or "")
    assert verdict.exercise("square").earned == 0
    assert verdict.exercise("Shift").earned == 3.0


def test_a_students_exception_is_told_with_the_students_lines(grader: Grader, hand_in) -> None:
    verdict = grader.verdict(hand_in((SQUARE, "return 1 / 0")))
    message = verdict.exercise("square").properties[0].message or ""
    assert message.startswith("ZeroDivisionError: division by zero")
    assert "in square: return 1 / 0" in message
    assert "autograder" not in message


def test_a_cell_that_fails_does_not_stop_the_next(grader: Grader, hand_in) -> None:
    verdict = grader.verdict(hand_in(("import torch\n", "import torch\n\n# %%\n1 / 0\n\n# %%\n")))
    assert verdict.earned == 5.0
    assert any("ZeroDivisionError" in note for note in verdict.notes)


@pytest.mark.parametrize("ending", ["while True: pass", "import os; os._exit(1)", "raise SystemExit"])
def test_a_cell_that_never_returns_keeps_its_definitions(grader: Grader, hand_in, ending: str) -> None:
    """A forgotten training loop under a definition costs neither that exercise nor another."""
    verdict = grader.verdict(hand_in((SQUARE, f"{SQUARE}\n\nlimit = 3\n{ending}\n")))
    assert verdict.earned == 5.0
    assert verdict.notes


def test_a_later_definition_counts(grader: Grader, hand_in) -> None:
    verdict = grader.verdict(hand_in(more="\n\n# %%\ndef square(x):\n    return x\n"))
    assert verdict.exercise("square").earned == 0


def test_a_missing_exercise_is_said_so(grader: Grader, hand_in) -> None:
    verdict = grader.verdict(hand_in(("def square(", "def quadrat(")))
    assert "not defined" in (verdict.exercise("square").error or "")
    assert outcomes(verdict, "square") == ["not_run"] * 3


@pytest.mark.parametrize(
    "cheat",
    [
        "import hypothesis; hypothesis.reject()",
        "import pytest; pytest.skip('no')",
        "import pytest; pytest.xfail('no')",
        "raise KeyboardInterrupt",
        "raise GeneratorExit",
        "import warnings; warnings.simplefilter('error'); raise UserWarning",
    ],
)
def test_the_language_of_tests_means_nothing_in_a_submission(grader: Grader, hand_in, cheat: str) -> None:
    verdict = grader.verdict(hand_in((SQUARE, cheat)))
    assert outcomes(verdict, "square") == ["error"] * 3
    assert verdict.exercise("square").earned == 0


def test_printing_and_warning_cost_nothing(grader: Grader, hand_in) -> None:
    noise = "import sys, warnings; print('x' * 10**5); warnings.warn('!'); print('?', file=sys.stderr)"
    assert grader.verdict(hand_in((SQUARE, f"{noise}\n    {SQUARE}"))).earned == 5.0


def test_an_unreadable_file_earns_nothing_and_says_why(grader: Grader, shared_course: Course, tmp_path: Path) -> None:
    (tmp_path / "mini.ipynb").write_text('{"cells": [')
    verdict = grader.verdict(read_submission(tmp_path / "mini.ipynb", shared_course.assignment("mini")))
    assert verdict.earned == 0
    assert verdict.failure is None
    assert all(result.error for result in verdict.exercises)


def test_a_verdict_does_not_depend_on_the_number_of_workers(grader: Grader, hand_in) -> None:
    counting = """
        global calls
        calls = globals().get("calls", 0) + 1
        return x.multiply(x.clone()) + (calls > 12)"""
    submission = hand_in((SQUARE, counting))
    ((_, several),) = grader.engine.verdicts([Job(submission)])
    with Grader(grader.assignment, workers=1) as alone:
        ((_, one),) = alone.engine.verdicts([Job(submission)])
    assert one == several
    assert 0 < one.earned < one.points


def test_many_submissions_come_back_each_with_its_own(grader: Grader, hand_in) -> None:
    wrong = hand_in((SQUARE, "return x"), name="mini.py")
    right = hand_in(more="\n\n# %%\nspare = 1\n")
    found = {id(submission): verdict.earned for submission, verdict in grader.verdicts([wrong, right] * 3)}
    assert found == {id(wrong): 3.0, id(right): 5.0}


def test_runners_go_on_while_the_caller_is_at_work_on_a_verdict(grader: Grader, hand_in) -> None:
    submissions = [hand_in(more=f"\n\n# %%\nspare = {number}\n") for number in range(3)]
    with Grader(grader.assignment, workers=2) as two:
        verdicts = two.engine.verdicts(map(Job, submissions))
        next(verdicts)
        until = time.monotonic() + 60
        while two.engine._answers.qsize() < 3 and time.monotonic() < until:  # the shares that were sent ahead
            time.sleep(0.05)
        assert two.engine._answers.qsize() == 3
        assert [verdict.earned for _, verdict in verdicts] == [5.0, 5.0]
