"""The examination of a student: outcomes, messages, determinism. Students are objects of this process here."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, seed, settings, strategies

from autograder.course import Course
from autograder.properties.plugin import Examination, examine, without_outcomes
from autograder.properties.suite import Suite, load_suite
from autograder.verdict import PropertyResult
from coursekit.properties import fail


@pytest.fixture(scope="module")
def suite(shared_course: Course) -> Suite:
    return load_suite(shared_course.assignment("mini"))


def examined(suite: Suite, **names: Any) -> Examination:
    student = SimpleNamespace(**{**vars(suite.reference), **names})
    return examine(suite, student, seed=b"a seed")


def found(examination: Examination, exercise: str, name: str) -> PropertyResult:
    return examination.results[exercise, name]


def test_the_reference_has_every_property(suite: Suite) -> None:
    results = examined(suite).exercise_results()
    assert [result.earned for result in results] == [2.0, 3.0]
    assert {item.outcome for result in results for item in result.properties} == {"passed"}


def test_a_wrong_answer_fails_with_a_message_and_a_small_counterexample(suite: Suite) -> None:
    result = found(examined(suite, square=lambda x: x.abs() * x), "square", "test_is_the_second_power_of_magnitudes")
    assert result.outcome == "failed"
    assert "The result" in (result.message or "")
    assert (result.counterexample or "").startswith("x = ")


def test_without_its_required_property_an_exercise_earns_nothing(suite: Suite) -> None:
    results = examined(suite, square=lambda x: torch.zeros(3)).exercise_results()
    assert results[0].earned == 0


def test_the_same_student_gets_the_same_results(suite: Suite) -> None:
    first, second = (examined(suite, square=lambda x: x.abs() * x).exercise_results() for _ in range(2))
    assert first == second


def test_what_is_drawn_does_not_depend_on_the_code_that_is_loaded(tmp_path: Path, monkeypatch) -> None:
    """Hypothesis would mix constants that it finds in local modules into what it draws."""

    def drawn() -> list[int]:
        seen: list[int] = []

        @seed(0)
        @settings(max_examples=200, database=None)
        @given(strategies.integers())
        def draw(number: int) -> None:
            seen.append(number)

        draw()
        return seen

    before = drawn()
    (tmp_path / "new_module.py").write_text(f"NUMBERS = {list(range(123_000, 124_000))}\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("new_module")
    assert drawn() == before


def test_an_exception_in_the_test_is_the_answers_failure(suite: Suite) -> None:
    """None where a tensor was promised makes the property itself stumble."""
    result = found(examined(suite, Shift=lambda size: None), "Shift", "test_starts_with_an_offset_of_zero")
    assert result.outcome == "failed"
    assert "could not be used" in (result.message or "")


def test_discarding_every_example_is_not_passing(suite: Suite) -> None:
    def square(x: torch.Tensor) -> torch.Tensor:
        assume(False)
        return x

    result = found(examined(suite, square=square), "square", "test_is_the_second_power_of_magnitudes")
    assert result.outcome == "not_run"


def test_skipping_is_not_passing(suite: Suite) -> None:
    def square(x: torch.Tensor) -> torch.Tensor:
        pytest.skip("no")

    result = found(examined(suite, square=square), "square", "test_is_the_second_power_of_magnitudes")
    assert result.outcome == "not_run"


def test_pytests_way_of_failing_is_failing(suite: Suite) -> None:
    def square(x: torch.Tensor) -> torch.Tensor:
        pytest.fail("not this")

    result = found(examined(suite, square=square), "square", "test_is_the_second_power_of_magnitudes")
    assert (result.outcome, result.message) == ("failed", "not this")


def test_an_exception_that_did_not_come_is_told_in_a_sentence() -> None:
    def test() -> None:
        with pytest.raises(ValueError, match="x"):
            pass

    with pytest.raises(AssertionError, match=r"^No ValueError was raised\.$"):
        without_outcomes(test)


def test_an_answer_that_changes_its_mind_fails(suite: Suite) -> None:
    calls = []

    def square(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        if len(calls) == 5:
            fail("for once")
        return x * x

    result = found(examined(suite, square=square), "square", "test_is_the_second_power_of_magnitudes")
    assert result.outcome == "failed"


def test_what_pytest_did_not_come_to_is_not_run(suite: Suite) -> None:
    examination = Examination(suite, suite.reference, seed=b"")
    results = examination.exercise_results()
    assert all(result.earned == 0 for result in results)
    assert {item.outcome for result in results for item in result.properties} == {"not_run"}
