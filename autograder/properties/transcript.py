"""What a submission's code answers to the suite's questions, written down so that two submissions can be compared.

A transcript holds, for each property and each drawn input, everything that came out of the worker: returned values, arguments
of callbacks, gradients, the kinds of exceptions, and in the end what the property made of it. Inputs are drawn from the same
seeds for everyone, and every input is tried whether or not an earlier one failed; so two answers that behave alike have the
same transcript, whatever their code looks like.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis.errors import HypothesisException

from autograder.properties.plugin import Examination, Recorder, without_outcomes
from autograder.properties.student import Session
from autograder.properties.suite import Suite
from autograder.sandbox import StudentError, WorkerDied

EXAMPLES = 6  # inputs for each property, if it draws as many itself: mostly enough to tell mistakes apart
THOROUGH = 5  # times as many as it draws itself, where that was not enough
MOST = 30  # but no more than these
MAX_ANSWERS = 200  # for one input: a training loop calls back thousands of times
MAX_NUMBERS = 32  # of one tensor


@dataclass(frozen=True)
class Answer:
    """One thing that a worker said: its form (kind, types, shapes, words) and its numbers."""

    form: str
    numbers: tuple[float, ...] = ()


@dataclass
class Example:
    """One input of one property: what the worker said, and what the property complained about, without the figures."""

    answers: list[Answer] = field(default_factory=list)
    complaint: str | None = None


Transcript = dict[str, list[Example]]  # of one exercise, by property


def written(kind: str, value: object) -> Answer:
    """A value, written down."""
    numbers: list[float] = []
    return Answer(f"{kind} {' '.join(_forms(value, numbers))}", tuple(numbers))


def _forms(value: object, numbers: list[float]) -> Iterator[str]:
    match value:
        case torch.Tensor():
            yield f"{value.dtype}{list(value.shape)}{' in a graph' if value.requires_grad else ''}"
            numbers += _sampled(value.detach())
        case bool() | int() | float():
            yield type(value).__name__
            numbers.append(float(value))
        case None | str():
            yield repr(value)
        case list() | tuple():
            yield f"{type(value).__name__}("
            for part in value:
                yield from _forms(part, numbers)
            yield ")"
        case dict():
            yield "dict("
            for key, part in value.items():
                yield str(key)
                yield from _forms(part, numbers)
            yield ")"
        case np.ndarray() | np.generic():
            yield "numpy"
            yield from _forms(torch.as_tensor(np.asarray(value)), numbers)
        case torch.distributions.Distribution():
            yield type(value).__name__
            yield from _forms([value.mean, value.variance], numbers)
        case _:
            yield type(value).__name__


def _sampled(tensor: torch.Tensor) -> list[float]:
    """All elements of a small tensor; of a large one some that are spread over it, its mean and its mean square."""
    flat = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).flatten().to(torch.float64)
    if flat.numel() <= MAX_NUMBERS:
        return flat.tolist()
    places = torch.linspace(0, flat.numel() - 1, MAX_NUMBERS - 2).long()
    return [*flat[places].tolist(), flat.mean().item(), flat.square().mean().sqrt().item()]


class Witness(Examination):
    """Puts a suite's questions for the sake of the answers, not for points: no failure stops it."""

    def __init__(self, suite: Suite, session: Session, *, seed: bytes, thorough: bool) -> None:
        super().__init__(suite, session, seed=seed, depth="score")
        self._thorough = thorough
        self.transcripts: dict[str, Transcript] = {name: {} for name in suite.properties}
        session.observe(self.listen)
        self._example: Example | None = None

    def listen(self, kind: str, value: object) -> None:
        """Write down what the worker says."""
        if self._example is not None and len(self._example.answers) < MAX_ANSWERS:
            self._example.answers.append(written(kind, value))

    def _recorder(self, item: pytest.Function) -> Recorder:
        exercise, name = self._identify(item)
        assert exercise is not None
        return Listener(self, self.transcripts[exercise].setdefault(name, []))

    def _examples(self, chosen: settings) -> int:
        own = super()._examples(chosen)
        return min(own * THOROUGH, MOST) if self._thorough else min(own, EXAMPLES)

    def begin_example(self, examples: list[Example]) -> Example:
        """A new page."""
        self._example = Example()
        examples.append(self._example)
        return self._example


class Listener(Recorder):
    """Lets every example run to where it fails, and goes on with the next."""

    def __init__(self, witness: Witness, examples: list[Example]) -> None:
        super().__init__()
        self._witness, self._written = witness, examples

    def watch(self, test: Callable[..., None]) -> Callable[..., None]:
        """The same test, which only a dead worker can fail."""

        @functools.wraps(test)
        def watched(*args: Any, **kwargs: Any) -> None:
            example = self._witness.begin_example(self._written)
            try:
                without_outcomes(test, *args, **kwargs)
            except (HypothesisException, WorkerDied):
                self._written.remove(example)
                raise
            except Exception as error:
                example.complaint = complaint(error)

        return watched


def complaint(error: Exception) -> str:
    """What went wrong, without figures: `ValueError`, or the property's own words."""
    if isinstance(error, StudentError):
        return type(error).__name__
    return f"{type(error).__name__}: {re.sub(r'[-+−]?[0-9][0-9.e+−-]*', '#', str(error))[:400]}"


def transcripts(suite: Suite, session: Session, seed: bytes, thorough: bool = False) -> dict[str, Transcript]:
    """The transcript of a submission for every exercise of a suite.

    Args:
        suite: what is asked.
        session: who answers.
        seed: draws the inputs.
        thorough: with more inputs than each property draws itself, instead of few.
    """
    witness = Witness(suite, session, seed=seed, thorough=thorough)
    try:
        return witness.run().transcripts
    finally:
        session.observe(None)
