"""The hidden properties of `vae`, held against answers of which it is known what they are worth."""

import copy
import importlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autograder.course import Course, Limits
from autograder.mistakes import Mistake, known_mistakes
from autograder.properties import plugin
from autograder.properties.plugin import examine
from autograder.properties.suite import Suite, import_file, load_suite
from autograder.reference import reference_sources

REPOSITORY = Path(__file__).parents[2]
ASSIGNMENT = Course.load(REPOSITORY).assignment("vae")
EXERCISES = [exercise.name for exercise in ASSIGNMENT.exercises]
ALTERNATES = sorted((REPOSITORY / "tests" / "alternates" / "vae").glob("*.py"))
MISTAKES = known_mistakes(ASSIGNMENT)
REFERENCE = importlib.import_module("solutions.vae")
NOT_DIFFERENTIABLE = {"kl_weight", "train_vae", "embed", "interpolate_latents", "anomaly_score", "word_dropout"}


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite(ASSIGNMENT)


@pytest.fixture(autouse=True)
def without_shrinking(monkeypatch):
    """Whether a property fails matters here, not how simple its counterexample is, nor how pytest would print it."""
    monkeypatch.setattr(plugin, "SHRINK_CALLS", 0)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def fractions(suite: Suite, answers: Mapping[str, Any]) -> dict[str, float]:
    """The part of its points that each answer earns."""
    some = replace(suite, properties={name: suite.properties[name] for name in answers})
    examination = examine(some, SimpleNamespace(**answers), limits=Limits(), examples=10, seed=b"any")
    return {result.name: result.earned / result.points for result in examination.exercise_results()}


def defined(name: str, source: str) -> Any:
    """What a source defines, among the names of the reference's module."""
    namespace = dict(vars(REFERENCE))
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), namespace)
    return namespace[name]


# ---- correct answers earn everything


def test_the_reference_earns_everything(suite):
    assert set(fractions(suite, {name: getattr(REFERENCE, name) for name in EXERCISES}).values()) == {1.0}


@pytest.mark.parametrize("path", ALTERNATES, ids=lambda path: path.stem)
def test_correct_answers_written_in_other_ways_earn_everything(suite, path):
    module = import_file(path, f"alternate_{path.stem}")
    earned = fractions(suite, {name: getattr(module, name) for name in EXERCISES})
    assert {name: part for name, part in earned.items() if part < 1} == {}


@pytest.mark.parametrize("name", EXERCISES)
def test_an_answer_needs_no_other(suite, name):
    """A mistake costs once: every exercise can earn everything while all others are untouched stubs."""
    namespace = {key: value for key, value in vars(REFERENCE).items() if key not in EXERCISES}
    sources = reference_sources(ASSIGNMENT)
    for exercise in ASSIGNMENT.exercises:
        exec(sources[name] if exercise.name == name else exercise.source, namespace)
    assert fractions(suite, {name: namespace[name]}) == {name: 1.0}


# ---- trivial answers earn next to nothing


def every_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same value with its tensors and numbers changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(every_tensor(item, change) for item in value)
    return type(value)(change(torch.tensor(float(value))))


def noise(like: Tensor) -> Tensor:
    return torch.randn_like(like) if like.is_floating_point() else torch.randint_like(like, 10)


def echo(like: Tensor, inputs: list[Tensor]) -> Tensor:
    """An input, brought to the right shape as far as broadcasting and sums do it."""
    for given in inputs:
        for part in (given, given.sum(-1) if given.dim() else given, given.sum(), given[:1] if given.dim() else given):
            if part.shape == like.shape:
                return part.to(like.dtype)
            try:
                return part.expand(like.shape).to(like.dtype)
            except RuntimeError:
                continue
    return torch.zeros_like(like)


def imitation(name: str, change: Callable[[Tensor, list[Tensor]], Tensor]) -> Any:
    """An answer that returns what the reference does, but for its values, and trains nothing."""
    original = getattr(REFERENCE, name)
    if isinstance(original, type):

        class Imitation(original):
            def forward(self, x):
                return every_tensor(super().forward(x), lambda value: change(value, [x]))

        return Imitation

    def imitate(*args, **kwargs):
        inputs = [arg if isinstance(arg, Tensor) else torch.tensor(float(arg)) for arg in args if not callable(arg)]
        copies = [copy.deepcopy(arg) if isinstance(arg, nn.Module) else arg for arg in args]
        return every_tensor(original(*copies, **kwargs), lambda value: change(value, inputs))

    return imitate


TRIVIAL: dict[str, Callable[[Tensor, list[Tensor]], Tensor]] = {
    "zeros": lambda value, inputs: torch.zeros_like(value),
    "ones": lambda value, inputs: torch.ones_like(value),
    "constant": lambda value, inputs: torch.full_like(value, -3),
    "parameter": lambda value, inputs: nn.Parameter(torch.ones(value.shape)).to(value.dtype),
    "noise": lambda value, inputs: noise(value),
    "echo": echo,
}


@pytest.mark.parametrize("kind", TRIVIAL)
def test_trivial_answers_earn_next_to_nothing(suite, kind):
    earned = fractions(suite, {name: imitation(name, TRIVIAL[kind]) for name in EXERCISES})
    assert {name: part for name, part in earned.items() if part > 0.1} == {}


def test_answers_cut_off_from_their_graph_earn_next_to_nothing(suite):
    names = [name for name in EXERCISES if name not in NOT_DIFFERENTIABLE]
    earned = fractions(suite, {name: imitation(name, lambda value, inputs: value.detach()) for name in names})
    assert {name: part for name, part in earned.items() if part > 0.1} == {}


@pytest.mark.parametrize("answer", [None, 0.0, "z"])
def test_answers_of_the_wrong_type_earn_nothing(suite, answer):
    names = [name for name in EXERCISES if name != "kl_weight" or not isinstance(answer, float)]
    assert set(fractions(suite, dict.fromkeys(names, lambda *args, **kwargs: answer)).values()) == {0.0}


def test_the_stubs_earn_nothing(suite):
    stubs = {exercise.name: defined(exercise.name, exercise.source) for exercise in ASSIGNMENT.exercises}
    assert set(fractions(suite, stubs).values()) == {0.0}


# ---- known mistakes lose points


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_known_mistake_loses_points(suite, mistake: Mistake):
    earned = fractions(suite, {mistake.exercise: defined(mistake.exercise, mistake.source)})
    assert earned[mistake.exercise] <= 0.7


def test_every_exercise_has_known_mistakes():
    assert min(Counter(mistake.exercise for mistake in MISTAKES)[name] for name in EXERCISES) >= 3


def test_a_mistake_says_what_was_seen_and_shows_no_code():
    for mistake in MISTAKES:
        assert mistake.says.endswith((".", "?")), mistake.name
        assert not any(sign in mistake.says for sign in ("torch.", "(0", " = ", "**", "dim=")), mistake.name
