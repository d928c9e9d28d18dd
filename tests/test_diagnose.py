"""Diagnosis: transcripts compared."""

import math

import pytest

from autograder.course import Course
from autograder.diagnose import (
    REFERENCE,
    agreeing,
    alike,
    between,
    from_json,
    is_free,
    to_json,
    worth_explaining,
)
from autograder.engines.job import Job
from autograder.exercise import Exercise
from autograder.grade import Grader
from autograder.properties.transcript import Answer, Example
from autograder.submission import submission_of
from autograder.verdict import ExerciseResult, PropertyResult


def says(*numbers: float, complaint: str | None = None) -> Example:
    return Example([Answer("value float", tuple(numbers))], complaint)


RIGHT = {"test": [says(1.0), says(2.0), says(0.0)]}
TWICE = {"test": [says(2.0), says(4.0), says(0.0)]}
SQUARED = {"test": [says(1.0), says(4.0), says(0.0)]}


def test_the_mistake_that_says_the_same_everywhere_is_named():
    assert agreeing(TWICE, {REFERENCE: RIGHT, "twice": TWICE, "squared": SQUARED}) == ["twice"]


def test_rounding_is_no_difference():
    rounded = {"test": [says(2.00001), says(3.99999), says(1e-9)]}
    assert agreeing(rounded, {REFERENCE: RIGHT, "twice": TWICE}) == []  # 1e-9 is not 0
    rounded["test"][2] = says(0.0)
    assert agreeing(rounded, {REFERENCE: RIGHT, "twice": TWICE}) == ["twice"]


def test_one_input_is_too_little_evidence():
    assert agreeing(SQUARED, {REFERENCE: RIGHT, "squared": SQUARED}) == []


def test_two_that_agree_equally_are_both_named():
    assert agreeing(TWICE, {REFERENCE: RIGHT, "twice": TWICE, "double": TWICE}) == ["twice", "double"]


def test_no_name_is_better_than_many():
    assert agreeing(TWICE, {REFERENCE: RIGHT, "a": TWICE, "b": TWICE, "c": TWICE}) == []


def test_an_answer_that_only_raises_agrees_with_nothing():
    raising = {"test": [Example([Answer("error 'ValueError'")], "ValueError")] * 3}
    assert agreeing(raising, {REFERENCE: RIGHT, "raising": raising}) == []


def test_what_is_said_on_other_inputs_counts_too():
    more = {**TWICE, "test_more": [says(7.0)]}
    assert (
        agreeing(more, {REFERENCE: {**RIGHT, "test_more": [says(7.0)]}, "twice": {**TWICE, "test_more": [says(8.0)]}})
        == []
    )


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (Answer("a", (1.0, 2.0)), Answer("a", (1.0, 2.0)), 0.0),
        (Answer("a", (1.0, 2.0)), Answer("a", (1.0, 4.0)), 0.5),
        (Answer("a", (1.0,)), Answer("b", (1.0,)), math.inf),
        (Answer("a", (math.nan, 1.0)), Answer("a", (math.nan, 1.0)), 0.0),
        (Answer("a", (math.inf,)), Answer("a", (-math.inf,)), math.inf),
        (Answer("a", (math.nan,)), Answer("a", (0.0,)), math.inf),
        (Answer("a"), Answer("a"), 0.0),
    ],
)
def test_the_distance_of_two_answers(one: Answer, other: Answer, apart: float):
    assert between(one, other) == apart


def test_networks_are_compared_by_complaints():
    bright, dark = "PropertyFailed: too bright", "PropertyFailed: too dark"
    answer = {"test": [says(1.0, complaint=bright), says(2.0)]}
    others = {
        REFERENCE: RIGHT,
        "bright": {"test": [says(5.0, complaint=bright)]},
        "dark": {"test": [says(1.0, complaint=dark)]},
    }
    assert alike(answer, others) == ["bright"]


def test_an_exception_alone_is_no_complaint():
    raising = {"test": [says(1.0, complaint="StudentValueError")]}
    assert alike(raising, {REFERENCE: RIGHT, "raising": raising}) == []


@pytest.mark.parametrize(
    ("outcomes", "error", "worth"),
    [
        (("passed", "failed"), None, True),
        (("error", "failed"), None, True),
        (("passed", "passed"), None, False),
        (("failed", "timeout"), None, False),
        (("not_run",), None, False),
        (("error",), "`square` is not written yet.", False),
    ],
)
def test_what_is_worth_explaining(outcomes: tuple[str, ...], error: str | None, worth: bool):
    properties = tuple(PropertyResult(str(n), "", outcome) for n, outcome in enumerate(outcomes))
    assert worth_explaining(ExerciseResult("square", 2.0, 0.0, error, properties)) is worth


def test_figures_of_networks_and_of_drawn_numbers_are_free():
    assert is_free(Exercise("A", 1.0, "class", "class A(nn.Module):\n    pass"))
    assert is_free(Exercise("f", 1.0, "function", "def f(n: int, *, generator: torch.Generator) -> Tensor: ..."))
    assert not is_free(Exercise("f", 1.0, "function", "def f(x: Tensor, noise: Tensor) -> Tensor: ..."))


def test_behaviours_can_be_kept():
    behaviours = {REFERENCE: RIGHT, "odd": {"test": [says(math.nan, math.inf, complaint="it is “odd”")]}}
    assert str(from_json(to_json(behaviours))) == str(behaviours)


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": {"b": [{"answers": 7}]}}'])
def test_what_was_kept_may_be_broken(text: str):
    with pytest.raises(ValueError):
        from_json(text)


# ---- through the sandbox


def named(grader: Grader, source: str, exercise: str = "square") -> list[str]:
    ((_, verdict),) = grader.engine.verdicts([Job(submission_of({exercise: source}))])
    assert verdict.failure is None
    return [item.name for item in verdict.exercise(exercise).mistakes]


def test_the_same_mistake_in_other_words_is_recognised(grader: Grader):
    other_words = "def square(x):\n    return torch.stack([n**2 if n > 0 else -(n**2) for n in x]).detach()\n"
    assert named(grader, other_words) == ["square_with_the_sign"]


def test_what_an_answer_kept_from_its_examination_is_forgotten(grader: Grader):
    """Mistakes are compared with what it does when it is fresh, as they are."""
    keeps = "calls = []\ndef square(x):\n    calls.append(x)\n    return x * x.abs() if len(calls) < 40 else x\n"
    assert named(grader, keeps) == ["square_with_the_sign"]


def test_another_mistake_is_not_named(grader: Grader):
    assert named(grader, "def square(x):\n    return x * x.abs() + 1\n") == []
    assert named(grader, "def square(x):\n    return torch.zeros_like(x)\n") == []


def test_neither_right_nor_unwritten_nor_deadly_answers_are_explained(grader: Grader):
    assert named(grader, "def square(x):\n    return x * x\n") == []
    assert named(grader, "def square(x):\n    raise NotImplementedError\n") == []
    assert named(grader, "def square(x):\n    import os; os._exit(1)\n") == []


def test_an_exercise_without_known_mistakes_is_left_alone(grader: Grader):
    assert named(grader, "class Shift(nn.Module):\n    def forward(self, x):\n        return x\n", "Shift") == []


def test_behaviours_are_found_out_once(grader: Grader, shared_course: Course):
    answer = "def square(x):\n    return x * x.abs()\n"
    assert named(grader, answer) == ["square_with_the_sign"]
    (path,) = (shared_course.verdicts_directory / "mini").glob("behaviours-*/square-*.json")
    path.write_text("broken")
    assert named(grader, answer) == ["square_with_the_sign"]
    assert set(from_json(path.read_text())) == {REFERENCE, "square_with_the_sign"}


def test_a_mistake_that_few_inputs_show_is_looked_at_on_more(mini_course: Course):
    """The only property of the exercise has one input by itself, which is too little evidence."""
    hidden = mini_course.root / "autograder" / "hidden" / "test_mini.py"
    text = hidden.read_text("utf-8")
    properties, rest = text.split('@exercise("Shift")')
    first, _ = properties.split("    @given(x=tensors((3,)))\n    def test_ignores")
    first = first.replace('@exercise("square")', '@exercise("square", contract=False)')
    first = first.replace("from hypothesis import given", "from hypothesis import given, settings")
    first = first.replace("    @required\n", "    @required\n    @settings(max_examples=1)\n")
    hidden.write_text(f'{first}\n\n@exercise("Shift"){rest}', "utf-8")
    mistakes = mini_course.root / "autograder" / "mistakes" / "mini.py"
    more = '@mistake("square", says="One more.")\ndef square_and_one(x):\n    return x * x + 1.0\n'
    mistakes.write_text(f"{mistakes.read_text('utf-8')}\n\n{more}", "utf-8")
    with Grader(mini_course.assignment("mini")) as grader:
        assert named(grader, "def square(x):\n    return 1 + x.square()\n") == ["square_and_one"]
