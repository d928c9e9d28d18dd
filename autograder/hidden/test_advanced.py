# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""Hidden properties of `advanced`."""

from __future__ import annotations

import copy
import itertools
import math
import statistics
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test  # type: ignore[import-untyped]
from torch import Tensor, nn

from autograder.properties.networks import redraw
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_shape,
    describe,
    exercise,
    fail,
    generators,
    required,
    tensors,
    weight,
)
from coursekit.serving import PAGE_HEADERS, page
from solutions import advanced as reference


def assert_text(text: Any, expected: str, *, what: str, hint: str | None = None) -> None:
    """Check that a text is the expected one, character by character."""
    if not isinstance(text, str):
        fail(f"{what} should be a string, but it is {describe(text)}.")
    if text != expected:
        place = next((i for i, (a, b) in enumerate(zip(text, expected, strict=False)) if a != b), None)
        place = min(len(text), len(expected)) if place is None else place
        lines = [f"{what} differs from place {place} on.", f"expected  {expected!r}", f"received  {text!r}"]
        fail(*lines, f"Hint: {hint}" if hint else None)


# ---- in context

WORDS = ["rain ", " two cats", "a bird ", " snow", "it rained all of the night ", " no", "sun  ", " wind and more wind"]


def pairs_of_words(low: int, high: int) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Examples of which no two are alike."""
    inputs = st.lists(st.sampled_from(WORDS), min_size=low, max_size=high, unique=True)
    return inputs.map(
        lambda words: [(word, f"{'short' if len(word) < 8 else 'rather long'} {len(word)}") for word in words]
    )


def quarters(text: str) -> int:
    """How many pieces of four characters a text makes: of a whole text it is not the sum of its parts'."""
    return -(-len(text) // 4)


@exercise("few_shot_prompt", contract=False)
class TestFewShotPrompt:
    @required
    @given(examples=pairs_of_words(2, 4), instruction=st.sampled_from(["", "How long is it?"]))
    @settings(max_examples=6)
    def test_can_be_read_back(self, student: Any, examples: list[tuple[str, str]], instruction: str) -> None:
        """Blank lines part it into blocks: the instruction if there is one, each example in order, the open question."""
        prompt = student.few_shot_prompt(examples, "fog", instruction=instruction)
        if not isinstance(prompt, str):
            fail(f"The prompt should be a string, but it is {describe(prompt)}.")
        blocks = prompt.split("\n\n")
        if instruction:
            assert_text(blocks[0], instruction, what="The first block")
            blocks = blocks[1:]
        if len(blocks) != len(examples) + 1:
            fail(f"{len(examples)} examples and a query should make {len(examples) + 1} blocks, not {len(blocks)}.",
                 f"received  {prompt!r}")  # fmt: skip
        for number, ((given_, answer), block) in enumerate(zip(examples, blocks, strict=False)):
            lines = block.split("\n")
            if lines != ["Input: " + given_, "Output: " + answer]:
                fail(f"The block of example {number}, {(given_, answer)!r}, is {block!r}.")
        assert_text(blocks[-1], "Input: fog\nOutput:", what="The last block")

    @weight(2)
    @given(query=st.sampled_from(WORDS))
    @settings(max_examples=4)
    def test_ends_with_the_colon(self, student: Any, query: str) -> None:
        """Without examples and instruction it is the question alone, and it ends with the colon: no space, no line break."""
        hint = "the model is to go on right after the colon."
        prompt = student.few_shot_prompt([], query)
        assert_text(prompt, "Input: " + query + "\nOutput:", what="The prompt of a query alone", hint=hint)

    @weight(2)
    @given(order=st.permutations(["  two  spaces ", "{0} and {x}", "first\nsecond", "Output: no", "über 100 %"]))
    @settings(max_examples=4)
    def test_strings_stay_as_they_are(self, student: Any, order: list[str]) -> None:
        """Every string is put in as it is, spaces, braces, colons and line breaks with it."""
        instruction, given_, answer, query, _ = order
        prompt = student.few_shot_prompt([(given_, answer)], query, instruction=instruction)
        parts = [instruction, "\n\nInput: ", given_, "\nOutput: ", answer, "\n\nInput: ", query, "\nOutput:"]
        assert_text(prompt, "".join(parts), what="The prompt")

    @weight(6)
    @given(order=st.permutations(range(4)), instruction=st.sampled_from(["How long is it?", "Say how long it is."]))
    @settings(max_examples=4)
    def test_the_oldest_examples_are_left_out(self, student: Any, order: list[int], instruction: str) -> None:
        """If it would be longer than the limit the oldest examples go, no more of them than necessary."""
        examples = [(WORDS[i] * (1 + 2 * i), "yes" * (i + 1)) for i in order]
        self._check_limits(student, examples, instruction, len, {})

    @weight(8)
    @given(examples=pairs_of_words(3, 4), instruction=st.sampled_from(["How long is it?", ""]))
    @settings(max_examples=4)
    def test_the_limit_is_in_units_of_length(
        self, student: Any, examples: list[tuple[str, str]], instruction: str
    ) -> None:
        """The limit is on what `length` says of the whole text, here pieces of four characters."""
        self._check_limits(student, examples, instruction, quarters, {"length": quarters})

    @staticmethod
    def _check_limits(
        student: Any,
        examples: list[tuple[str, str]],
        instruction: str,
        length: Callable[[str], int],
        options: dict[str, Any],
    ) -> None:
        """Ask with every limit that matters: as long as a prompt with the last k examples, and one less."""
        prompts = [
            student.few_shot_prompt(examples[first:], "fog", instruction=instruction)
            for first in range(len(examples) + 1)
        ]
        found = [length(prompt) for prompt in prompts]
        for limit in sorted({size - less for size in found for less in (0, 1)} | {found[0] + 100}):
            if limit < found[-1]:
                continue
            best = next(prompt for prompt, size in zip(prompts, found, strict=True) if size <= limit)
            received = student.few_shot_prompt(examples, "fog", instruction=instruction, limit=limit, **options)
            assert_text(received, best, what=f"The prompt with {limit} as its limit")

    @weight(10)
    @given(
        examples=pairs_of_words(0, 2),
        instruction=st.sampled_from(["How long is it?", ""]),
        options=st.sampled_from([{"length": quarters}, {}]),
    )
    @settings(max_examples=6)
    def test_what_cannot_fit_is_an_error(
        self, student: Any, examples: list[tuple[str, str]], instruction: str, options: dict[str, Any]
    ) -> None:
        """If instruction and query alone are longer than the limit it is a ValueError, and no shortened text."""
        alone = student.few_shot_prompt([], "fog", instruction=instruction)
        size = options.get("length", len)(alone)
        received = student.few_shot_prompt(examples[:0], "fog", instruction=instruction, limit=size, **options)
        assert_text(received, alone, what="The prompt that just fits")
        with pytest.raises(ValueError):
            student.few_shot_prompt(examples, "fog", instruction=instruction, limit=size - 1, **options)


@dataclass
class Language:
    """A language of five tokens whose speaker forgets nothing: the scores of the next one depend on all before it."""

    table: Tensor  # (7, 5)
    asked: list[Tensor] = field(default_factory=list)

    def __call__(self, ids: Tensor) -> Tensor:
        """Scores of the next token at every place (batch, length, 5)."""
        self.asked.append(ids.clone())
        state, found = torch.zeros(len(ids), dtype=torch.int64), []
        for column in ids.long().unbind(1):
            state = (2 * state + column + 1) % 7
            found.append(self.table[state])
        return torch.stack(found, dim=1)

    def log_p(self, prompt: Tensor, label: Tensor) -> float:
        """How likely a label is after a prompt, one token after the other."""
        state, total = 0, 0.0
        for place, token in enumerate([*prompt.tolist(), *label.tolist()]):
            scores = self.table[state].tolist()
            if place >= len(prompt):
                total += scores[token] - math.log(math.fsum(map(math.exp, scores)))
            state = (2 * state + token + 1) % 7
        return total


@dataclass(frozen=True)
class Choice:
    """A prompt, and labels of which no two neighbours are equally long. The first label begins with the padding's id."""

    language: Language
    prompt: Tensor
    labels: list[Tensor]
    padding: int

    def ask(self, function: Callable[..., Tensor], **options: Any) -> Tensor:
        """What a function makes of it."""
        return function(self.language, self.prompt, self.labels, padding=self.padding, **options)


@st.composite
def choices(draw: st.DrawFn, lengths: Sequence[int] | None = None) -> Choice:
    """Prompts of two to five tokens, two to four labels of one to three."""
    if lengths is None:
        lengths = draw(st.sampled_from([(2, 1, 3), (3, 1), (2, 3, 1, 2), (1, 3, 2), (2, 1)]))
    language = Language(torch.randn(7, 5, generator=draw(generators())) * 2)
    prompt, *labels = (
        draw(tensors(length, dtype=torch.int64, low=0, high=4)) for length in (draw(st.integers(2, 5)), *lengths)
    )
    return Choice(language, prompt, labels, int(labels[0][0]))


@exercise(
    "label_log_likelihoods",
    contract=choices().map(lambda c: ((c.language, c.prompt, c.labels), {"padding": c.padding})),
)
class TestLabelLogLikelihoods:
    @required
    @given(choice=choices(lengths=(1, 1, 1)))
    @settings(max_examples=6)
    def test_labels_of_one_token(self, student: Any, choice: Choice) -> None:
        """For labels of one token it is their log-probability right after the prompt."""
        expected = torch.tensor([choice.language.log_p(choice.prompt, label) for label in choice.labels])
        hint = "row t of the logits holds the scores of the token at place t + 1."
        received = choice.ask(student.label_log_likelihoods)
        assert_close(received, expected, tolerance=1e-4, what="the log-likelihoods", hint=hint)

    @weight(4)
    @given(choice=choices())
    @settings(max_examples=8)
    def test_token_by_token(self, student: Any, choice: Choice) -> None:
        """A longer label is the sum over its own tokens, each after the prompt and those before it, here one by one."""
        expected = torch.tensor([choice.language.log_p(choice.prompt, label) for label in choice.labels])
        received = choice.ask(student.label_log_likelihoods)
        assert_close(received, expected, tolerance=1e-4, what="the log-likelihoods")

    @given(choice=choices(lengths=(1,)))
    @settings(max_examples=3)
    def test_all_labels_of_a_length_add_up_to_one(self, student: Any, choice: Choice) -> None:
        """The probabilities of all 25 labels of two tokens add up to 1."""
        labels = [torch.tensor(pair) for pair in itertools.product(range(5), repeat=2)]
        received = student.label_log_likelihoods(choice.language, choice.prompt, labels)
        assert_shape(received, (25,), what="the log-likelihoods")
        assert_close(received.exp().sum(), 1.0, tolerance=1e-4, what="the sum of all probabilities")

    @weight(2)
    @given(choice=choices())
    @settings(max_examples=5)
    def test_the_model_is_asked_once(self, student: Any, choice: Choice) -> None:
        """The model is asked once, with a row for each label: the prompt, the label, padding on the right."""
        choice.ask(student.label_log_likelihoods)
        if len(choice.language.asked) != 1:
            fail(f"The model was asked {len(choice.language.asked)} times: all labels fit into one batch.")
        (ids,) = choice.language.asked
        longest = max(map(len, choice.labels))
        rows = [
            [*choice.prompt.tolist(), *label.tolist(), *[choice.padding] * (longest - len(label))]
            for label in choice.labels
        ]
        assert_close(ids, torch.tensor(rows), what="the batch that the model was given")

    @weight(6)
    @given(choice=choices())
    @settings(max_examples=6)
    def test_normalized_by_the_number_of_tokens(self, student: Any, choice: Choice) -> None:
        """With normalize=True each sum is divided by the number of that label's own tokens."""
        expected = [choice.language.log_p(choice.prompt, label) / len(label) for label in choice.labels]
        received = choice.ask(student.label_log_likelihoods, normalize=True)
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the mean log-likelihoods")

    @given(choice=choices(), padding=st.integers(0, 4))
    @settings(max_examples=5)
    def test_padding_does_not_matter(self, student: Any, choice: Choice, padding: int) -> None:
        """Which token fills up the rows makes no difference, even one that stands in a label."""
        one = choice.ask(student.label_log_likelihoods)
        other = student.label_log_likelihoods(choice.language, choice.prompt, choice.labels, padding=padding)
        assert_shape(one, (len(choice.labels),), what="the log-likelihoods")
        assert_close(other, one, tolerance=1e-4, what="the log-likelihoods with other padding")

    @given(choice=choices())
    @settings(max_examples=3)
    def test_in_the_dtype_of_the_logits(self, student: Any, choice: Choice) -> None:
        """A model in double precision gets its answer in double precision."""
        double = Choice(Language(choice.language.table.double()), choice.prompt, choice.labels, choice.padding)
        received = double.ask(student.label_log_likelihoods)
        expected = [double.language.log_p(choice.prompt, label) for label in choice.labels]
        assert_close(received, torch.tensor(expected, dtype=torch.float64), what="the log-likelihoods")


def shares(scores: Sequence[float]) -> list[float]:
    """Probabilities that are proportional to exp(score)."""
    total = math.fsum(map(math.exp, scores))
    return [math.exp(score) / total for score in scores]


def calibrated(scores: Tensor, content_free: Tensor) -> Tensor:
    """Probabilities over prior, normalised: number by number."""
    contents = [shares(row) for row in content_free.tolist()]
    prior = [math.fsum(column) / len(contents) for column in zip(*contents, strict=True)]
    rows = []
    for row in scores.tolist():
        odds = [p / q for p, q in zip(shares(row), prior, strict=True)]
        rows.append([value / math.fsum(odds) for value in odds])
    return torch.tensor(rows)


def check_classes(result: Any, expected: Tensor, *, tolerance: float = 1e-4) -> None:
    """Check the probabilities, and that each choice is as likely as any."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        fail(f"The result should be the pair (choice, probabilities), but it is {describe(result)}.")
    choice, probabilities = result
    assert_close(probabilities, expected, tolerance=tolerance, what="the probabilities")
    assert_shape(choice, expected.shape[:1], what="the choice")
    if choice.dtype != torch.int64:
        fail(f"The choice should have dtype torch.int64, but it has {choice.dtype}.")
    assert_between(choice, 0, expected.shape[1] - 1, what="the choice")
    lost = expected.amax(1) - expected.gather(1, choice[:, None])[:, 0]
    assert_between(lost, None, 0, tolerance=tolerance, what="the best probability less that of the choice")


def scores_of(rows: int, labels: int, scale: float = 2.0) -> st.SearchStrategy[Tensor]:
    """Scores without ties."""
    return generators().map(lambda generator: scale * torch.randn(rows, labels, generator=generator) - 1)


@exercise("zero_shot_classify")
class TestZeroShotClassify:
    @required
    @given(scores=scores_of(4, 3), favourite=st.integers(0, 2))
    @settings(max_examples=6)
    def test_corrects_for_a_favourite(self, student: Any, scores: Tensor, favourite: int) -> None:
        """What the model prefers even without content loses that advantage: p over the prior, with sum 1."""
        content_free = torch.zeros(1, 3)
        content_free[0, favourite] = 4.0
        scores = scores + content_free
        result = student.zero_shot_classify(scores, content_free)
        check_classes(result, calibrated(scores, content_free))

    @weight(2)
    @given(scores=scores_of(4, 3))
    @settings(max_examples=5)
    def test_without_calibration(self, student: Any, scores: Tensor) -> None:
        """Without content-free inputs the probabilities are in proportion to exp(score), and the likeliest is chosen."""
        result = student.zero_shot_classify(scores)
        check_classes(result, torch.tensor([shares(row) for row in scores.tolist()]))

    @weight(7)
    @given(scores=scores_of(2, 3, 1.0), content_free=scores_of(3, 3, 3.0), shift=st.sampled_from([3.0, -4.0]))
    @settings(max_examples=6)
    def test_averages_probabilities(self, student: Any, scores: Tensor, content_free: Tensor, shift: float) -> None:
        """The prior of several content-free inputs is the mean of their probabilities, each row normalised by itself."""
        content_free = content_free + shift * torch.arange(3.0)[:, None]
        result = student.zero_shot_classify(scores, content_free)
        check_classes(result, calibrated(scores, content_free))

    @weight(2)
    @given(scores=scores_of(3, 4), shift=tensors((3, 1)))
    @settings(max_examples=5)
    def test_a_constant_changes_nothing(self, student: Any, scores: Tensor, shift: Tensor) -> None:
        """A number added to all scores of an input, or of a content-free one, changes nothing."""
        _, expected = student.zero_shot_classify(scores, scores[:2])
        _, received = student.zero_shot_classify(scores + shift, scores[:2] - shift[:1])
        assert_shape(expected, (3, 4), what="the probabilities")
        assert_close(received, expected, tolerance=1e-3, what="the probabilities after adding a number to each row")

    @weight(2)
    @given(scores=scores_of(1, 4))
    @settings(max_examples=4)
    def test_an_input_without_content_decides_nothing(self, student: Any, scores: Tensor) -> None:
        """An input with the scores of the only content-free input gets equal probabilities."""
        _, received = student.zero_shot_classify(scores, scores)
        assert_close(received, torch.full((1, 4), 0.25), tolerance=1e-4, what="the probabilities")

    @weight(8)
    @given(far=st.sampled_from([1e4, 500.0]), gap=st.integers(1, 3), place=st.integers(0, 2))
    @settings(max_examples=5)
    def test_survives_large_scores(self, student: Any, far: float, gap: int, place: int) -> None:
        """Scores and priors of −500 and −10⁴ neither vanish nor overflow: only their differences count."""
        scores, content_free = torch.zeros(1, 3), torch.zeros(2, 3)
        scores[0, place] = -far
        content_free[:, place] = -far - gap
        expected = shares([float(gap) if label == place else 0.0 for label in range(3)])
        check_classes(student.zero_shot_classify(scores, content_free), torch.tensor([expected]), tolerance=2e-3)
        flat = student.zero_shot_classify(scores)
        check_classes(flat, torch.tensor([[0.0 if label == place else 0.5 for label in range(3)]]))


# ---- bias


@st.composite
def decisions(draw: st.DrawFn, count: int) -> tuple[Tensor, Tensor]:
    """Decisions from 0 to 1 about the members of so many groups, and the groups: no two groups have the same size.

    Groups have any numbers, members come in any order, and the rates of two groups are at least 1/8 apart.
    """
    names = draw(st.lists(st.integers(-9, 99), min_size=count, max_size=count, unique=True))
    generator = draw(generators())
    rates = torch.randperm(8, generator=generator)[:count]
    found = []
    for size, name, rate in zip(range(2, 2 + count), names, rates.tolist(), strict=True):
        off = torch.tensor([(-1) ** i for i in range(size)]) * min(rate, 8 - rate) / 8
        off[-1] *= size % 2 == 0
        found += [(rate / 8 + float(o), name) for o in off]
    order = torch.randperm(len(found), generator=generator).tolist()
    values, groups = zip(*[found[i] for i in order], strict=True)
    return torch.tensor(values), torch.tensor(groups)


def rate_gap(values: Tensor, groups: Tensor, counts: Sequence[bool] | None = None) -> float:
    """The gap, in fractions."""
    members: dict[int, list[Fraction]] = {}
    for value, group, counted in zip(values.tolist(), groups.tolist(), counts or [True] * len(values), strict=True):
        if counted:
            members.setdefault(group, []).append(Fraction(value))
    rates = [sum(found) / len(found) for found in members.values()]
    return float(max(rates) - min(rates))


@exercise("demographic_parity_gap")
class TestDemographicParityGap:
    @required
    @given(a=st.integers(2, 6), b=st.integers(2, 6), yes=st.integers(1, 2), swapped=st.booleans())
    @settings(max_examples=6)
    def test_two_groups(self, student: Any, a: int, b: int, yes: int, swapped: bool) -> None:
        """Of two groups it is the difference of the shares of favourable decisions, never negative."""
        a += a == b
        values = torch.tensor([1.0] * yes + [0.0] * (a - yes) + [0.0] * b)
        groups = torch.tensor([0] * a + [1] * b)
        received = student.demographic_parity_gap(values, 1 - groups if swapped else groups)
        assert_close(received, torch.tensor(yes / a), what="the gap", sizes={"members": a, "the others": b})

    @weight(4)
    @given(drawn=decisions(4))
    @settings(max_examples=6)
    def test_several_groups(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """Of several groups, whatever their numbers and sizes, it is the largest mean decision less the smallest."""
        received = student.demographic_parity_gap(*drawn)
        assert_close(received, torch.tensor(rate_gap(*drawn)), what="the gap")

    @weight(6)
    @given(drawn=decisions(3), generator=generators())
    @settings(max_examples=8)
    def test_only_the_qualified(self, student: Any, drawn: tuple[Tensor, Tensor], generator: torch.Generator) -> None:
        """With `qualified` only those count for whom it is not 0, in their groups' numbers, too."""
        values, groups = drawn
        qualified = torch.randint(0, 2, (len(values),), generator=generator)
        for group in groups.unique():  # one in each group counts, and one does not
            first, second = (groups == group).nonzero()[:2, 0].tolist()
            qualified[first], qualified[second] = int(torch.randint(2, 4, (), generator=generator)), 0
        expected = rate_gap(values, groups, (qualified != 0).tolist())
        received = student.demographic_parity_gap(values, groups, qualified=qualified)
        assert_close(received, torch.tensor(expected), what="the gap among the qualified")

    @weight(3)
    @given(drawn=decisions(3), size=st.integers(1, 3))
    @settings(max_examples=5)
    def test_groups_without_anybody_are_left_out(self, student: Any, drawn: tuple[Tensor, Tensor], size: int) -> None:
        """A group in which nobody counts is left out, and if only one group is left the gap is 0."""
        values, groups = drawn
        names = groups.unique()
        two = (groups != names[0]).long()
        received = student.demographic_parity_gap(values, groups, qualified=two)
        assert_close(
            received, torch.tensor(rate_gap(values, groups, (two != 0).tolist())), what="the gap of two groups"
        )
        one = (groups == names[0]).long()
        alone = student.demographic_parity_gap(values, groups, qualified=one)
        assert_close(alone, torch.tensor(0.0), what="the gap if one group is left")

    @given(drawn=decisions(3), generator=generators())
    @settings(max_examples=4)
    def test_order_and_names_do_not_matter(
        self, student: Any, drawn: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> None:
        """People in another order, everybody twice, other numbers for the groups: the gap stays."""
        values, groups = drawn
        order = torch.randperm(len(values), generator=generator).repeat(2)
        received = student.demographic_parity_gap(values[order], 3 - 2 * groups[order])
        assert_close(received, torch.tensor(rate_gap(values, groups)), what="the gap")

    @given(drawn=decisions(2))
    @settings(max_examples=2)
    def test_nobody_is_an_error(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """If nobody counts it is a ValueError."""
        values, groups = drawn
        with pytest.raises(ValueError):
            student.demographic_parity_gap(values, groups, qualified=torch.zeros_like(groups))
        with pytest.raises(ValueError):
            student.demographic_parity_gap(values[:0], groups[:0])


TERMS = [("he", "she"), ("king", "queen"), ("man", "woman")]


@exercise("swap_terms", contract=False)
class TestSwapTerms:
    @required
    @given(pairs=st.permutations(TERMS), first=st.sampled_from([0, 1]))
    @settings(max_examples=4)
    def test_replaces_each_term_by_its_partner(self, student: Any, pairs: list[tuple[str, str]], first: int) -> None:
        """Each term of a sentence gives way to the other one of its pair, in both directions, the rest stays."""
        words = [pair[first] for pair in TERMS]
        others = [pair[1 - first] for pair in TERMS]
        received = student.swap_terms("then {} saw the {}, a tall {}.".format(*words), pairs)
        assert_text(received, "then {} saw the {}, a tall {}.".format(*others), what="The text")

    @weight(5)
    @given(both=st.sampled_from(TERMS), order=st.permutations(TERMS))
    @settings(max_examples=4)
    def test_all_at_once(self, student: Any, both: tuple[str, str], order: list[tuple[str, str]]) -> None:
        """Both terms of a pair in one text change places, and swapping twice gives back the text."""
        one, other = both
        text = f"{one.title()} met the {other}, and the {other} left. {other.title()} was the {one}."
        received = student.swap_terms(text, order)
        expected = f"{other.title()} met the {one}, and the {one} left. {one.title()} was the {other}."
        assert_text(received, expected, what="The text", hint="a word that was put in is not replaced again.")
        assert_text(student.swap_terms(received, order), text, what="The text swapped twice")

    @weight(5)
    @given(place=st.integers(0, 2))
    @settings(max_examples=3)
    def test_capitals(self, student: Any, place: int) -> None:
        """Terms are found whatever their capitals; a replacement begins with a capital if the word did, the rest is small."""
        one, other = TERMS[place]
        text = f"{one.title()}'s  {one.upper()}? {other} {other.upper()}: {one[0] + one[1:].upper()} NOBODY Nobody"
        expected = f"{other.title()}'s  {other.title()}? {one} {one.title()}: {other} NOBODY Nobody"
        assert_text(student.swap_terms(text, TERMS), expected, what="The text")

    @weight(5)
    @given(order=st.permutations(TERMS))
    @settings(max_examples=2)
    def test_whole_words_only(self, student: Any, order: list[tuple[str, str]]) -> None:
        """A term inside a longer word is none: there, kingdom, human and shepherd stay."""
        text = "there sheen kingdom human shepherd womanly heman The mane"
        assert_text(student.swap_terms(text, order), text, what="A text without any term")

    @weight(5)
    @given(mark=st.sampled_from(["'s", "_2", "-", ".", "7", '"', "/", "é"]))
    @settings(max_examples=8)
    def test_whatever_is_no_letter_ends_a_word(self, student: Any, mark: str) -> None:
        """Apostrophes, digits, underscores, whatever is not from a to z ends a word; all of it and every space stays."""
        letters = mark.strip("'\"") if mark == "'s" else ""
        text = f"  he{mark}\n\t{'' if letters else mark}king  (MAN)"
        expected = f"  she{mark}\n\t{'' if letters else mark}queen  (Woman)"
        assert_text(student.swap_terms(text, TERMS), expected, what="The text")

    @given(text=st.sampled_from(["", "nothing here", "42"]))
    @settings(max_examples=3)
    def test_nothing_to_swap(self, student: Any, text: str) -> None:
        """A text without a term is given back as it is, and with no pairs every text is."""
        assert_text(student.swap_terms(text, TERMS), text, what="The text")
        assert_text(student.swap_terms("he " + text, []), "he " + text, what="The text without pairs")


@dataclass(frozen=True)
class Person:
    """Texts about an A or a B, their scores, and who is another when they are swapped."""

    scores: dict[str, float]

    def score(self, texts: list[str]) -> Tensor:
        """A number for each text."""
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            fail(f"score takes a list of texts, but it was given {describe(texts)}.")
        return torch.tensor([self.scores[text] for text in texts])

    @staticmethod
    def swap(text: str) -> str:
        """The same text about the other one."""
        return text.translate(str.maketrans("AB", "BA"))

    @property
    def differences(self) -> list[float]:
        """Of each pair, with its sign."""
        return [value - self.scores[self.swap(text)] for text, value in self.scores.items() if text.startswith("A")]


@st.composite
def people(draw: st.DrawFn, low: int = 2, high: int = 4) -> Person:
    """People with differences of both signs and different sizes; and texts about nobody."""
    count = draw(st.integers(low, high))
    signs = draw(st.permutations([1, -1] * high)).copy()
    signs[:2] = [1, -1]
    scores: dict[str, float] = {}
    for number in range(count):
        base, gap = draw(st.integers(-16, 16)) / 8, signs[number] * (3 + 2 * number + draw(st.integers(0, 1))) / 8
        scores |= {f"A{number}": base, f"B{number}": base - gap, f"nobody {number}": draw(st.integers(-16, 16)) / 8}
    return Person(scores)


def texts_of(person: Person) -> list[str]:
    """Texts about A and about nobody, in turn."""
    return [text for text in person.scores if not text.startswith("B")]


@exercise(
    "counterfactual_gap", contract=people().map(lambda person: ((person.score, texts_of(person), person.swap), {}))
)
class TestCounterfactualGap:
    @required
    @given(person=people(1, 1), other=st.booleans())
    @settings(max_examples=5)
    def test_one_text(self, student: Any, person: Person, other: bool) -> None:
        """For one text it is the distance between its score and that of the text about somebody else."""
        received = student.counterfactual_gap(person.score, ["B0" if other else "A0"], person.swap)
        assert_close(received, torch.tensor(abs(person.differences[0])), what="the gap")

    @weight(5)
    @given(person=people())
    @settings(max_examples=8)
    def test_is_the_mean_distance(self, student: Any, person: Person) -> None:
        """For several texts it is the mean of the distances, whichever of the two scores is higher."""
        texts = [text for text in texts_of(person) if text.startswith("A")]
        expected = math.fsum(map(abs, person.differences)) / len(texts)
        received = student.counterfactual_gap(person.score, texts, person.swap)
        assert_close(received, torch.tensor(expected), what="the gap", sizes={"texts": len(texts)})

    @weight(4)
    @given(person=people())
    @settings(max_examples=6)
    def test_texts_about_nobody_do_not_count(self, student: Any, person: Person) -> None:
        """Texts that the swap leaves as they are change nothing, however many there are."""
        expected = math.fsum(map(abs, person.differences)) / len(person.differences)
        received = student.counterfactual_gap(person.score, texts_of(person) + ["nobody 0"] * 2, person.swap)
        assert_close(received, torch.tensor(expected), what="the gap")

    @weight(6)
    @given(person=people())
    @settings(max_examples=3)
    def test_nobody_is_an_error(self, student: Any, person: Person) -> None:
        """If the swap changes no text at all it is a ValueError."""
        with pytest.raises(ValueError):
            student.counterfactual_gap(person.score, ["nobody 0", "nobody 1"], person.swap)

    @given(person=people())
    @settings(max_examples=3)
    def test_from_the_other_side(self, student: Any, person: Person) -> None:
        """It is the same for the swapped texts, and twice as large if all scores are."""
        double = Person({text: -2 * value for text, value in person.scores.items()})
        texts = [person.swap(text) for text in texts_of(person)]
        expected = 2 * math.fsum(map(abs, person.differences)) / len(person.differences)
        received = student.counterfactual_gap(double.score, texts, double.swap)
        assert_close(received, torch.tensor(expected), what="the gap of doubled scores")


def vectors(*counts: int, dim: int = 3) -> st.SearchStrategy[list[Tensor]]:
    """Sets of so many vectors of different lengths."""
    return generators().map(lambda generator: [drawn_vectors(count, dim, generator) for count in counts])


def drawn_vectors(count: int, dim: int, generator: torch.Generator) -> Tensor:
    """Vectors in random directions, with lengths from 1 to 3."""
    directions = F.normalize(torch.randn(count, dim, generator=generator), dim=1)
    return directions * (1 + 2 * torch.rand(count, 1, generator=generator))


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Of the angle between two vectors, by hand."""
    dot = math.fsum(p * q for p, q in zip(a, b, strict=True))
    return dot / math.sqrt(math.fsum(p * p for p in a) * math.fsum(q * q for q in b))


def associations(words: Tensor, a: Tensor, b: Tensor) -> list[float]:
    """Of each word, pair by pair."""
    return [
        statistics.fmean(cosine(w, v) for v in a.tolist()) - statistics.fmean(cosine(w, v) for v in b.tolist())
        for w in words.tolist()
    ]


def weat(student: Any, *sets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The student's triple; fails if it is none."""
    result = student.embedding_association(*sets)
    if not isinstance(result, tuple | list) or len(result) != 3:
        fail(f"The result should be a triple (d, of x, of y), but it is {describe(result)}.")
    return result[0], result[1], result[2]


@exercise("embedding_association")
class TestEmbeddingAssociation:
    @required
    @given(sets=vectors(3, 2, 2, 3))
    @settings(max_examples=6)
    def test_association_of_each_word(self, student: Any, sets: list[Tensor]) -> None:
        """A word's association is its mean cosine with the words of a less that with the words of b, pair by pair."""
        x, y, a, b = sets
        _, of_x, of_y = weat(student, x, y, a, b)
        assert_close(of_x, torch.tensor(associations(x, a, b)), tolerance=1e-4, what="the associations of x")
        assert_close(of_y, torch.tensor(associations(y, a, b)), tolerance=1e-4, what="the associations of y")

    @weight(5)
    @given(sets=vectors(3, 4, 2, 3))
    @settings(max_examples=8)
    def test_effect_size(self, student: Any, sets: list[Tensor]) -> None:
        """d is the difference of the two means over the sample standard deviation of all associations, divided by n − 1."""
        x, y, a, b = sets
        of_x, of_y = associations(x, a, b), associations(y, a, b)
        expected = (statistics.fmean(of_x) - statistics.fmean(of_y)) / statistics.stdev([*of_x, *of_y])
        d, _, _ = weat(student, *sets)
        assert_close(d, torch.tensor(expected), tolerance=1e-3, what="d", sizes={"words": len(x) + len(y)})

    @weight(3)
    @given(sets=vectors(1, 1, 2, 2))
    @settings(max_examples=5)
    def test_one_word_against_one(self, student: Any, sets: list[Tensor]) -> None:
        """With one target word on each side d is √2 or −√2: the two lie a sample standard deviation times √2 apart."""
        x, y, a, b = sets
        assume(abs(associations(x, a, b)[0] - associations(y, a, b)[0]) > 1e-2)
        d, of_x, of_y = weat(student, *sets)
        expected = math.copysign(math.sqrt(2), float(of_x.sum() - of_y.sum()))
        assert_close(d, torch.tensor(expected), tolerance=1e-3, what="d")

    @weight(2)
    @given(sets=vectors(2, 2, 2, 2), lengths=vectors(2, 2, 2, 2))
    @settings(max_examples=4)
    def test_lengths_do_not_matter(self, student: Any, sets: list[Tensor], lengths: list[Tensor]) -> None:
        """Only directions count: vectors of other lengths have the same associations."""
        _, expected, _ = weat(student, *sets)
        longer = [part * other.norm(dim=1, keepdim=True) for part, other in zip(sets, lengths, strict=True)]
        _, received, _ = weat(student, *longer)
        assert_shape(expected, (2,), what="the associations of x")
        assert_close(received, expected, tolerance=1e-4, what="the associations of x, all vectors being longer")

    @weight(2)
    @given(generator=generators())
    @settings(max_examples=4)
    def test_positive_where_x_is_near_a(self, student: Any, generator: torch.Generator) -> None:
        """d is positive if x lies near a, and y near b; it turns its sign if the targets or the attributes change places."""
        centres = torch.eye(3)[:2].repeat_interleave(3, dim=0)
        x, y = (centres + 0.2 * torch.randn(6, 3, generator=generator)).split(3)
        a, b = (2 * centres + 0.2 * torch.randn(6, 3, generator=generator)).split(3)
        found = [weat(student, *sets)[0] for sets in ((x, y, a, b), (y, x, a, b), (x, y, b, a))]
        assert_between(found[0], 0.5, None, what="d")
        assert_close(found[1], -found[0], tolerance=1e-3, what="d with x and y exchanged")
        assert_close(found[2], -found[0], tolerance=1e-3, what="d with a and b exchanged")


@st.composite
def samples(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two samples of different sizes on a coarse grid, so that there are ties; none of them is all of the smallest."""
    n, m = draw(st.sampled_from([(3, 2), (2, 4), (4, 3), (3, 5)]))
    return draw(tensors(n, low=-1, high=1)), draw(tensors(m, low=-1, high=1))


def p_by_enumeration(x: Tensor, y: Tensor) -> float:
    """In fractions, choice by choice."""
    pool = [Fraction(value) for value in [*x.tolist(), *y.tolist()]]
    observed = sum(pool[: len(x)]) / len(x) - sum(pool[len(x) :]) / len(y)
    as_large, count = 0, 0
    for first in itertools.combinations(range(len(pool)), len(x)):
        one = [pool[i] for i in first]
        other = [pool[i] for i in range(len(pool)) if i not in first]
        as_large += sum(one) / len(one) - sum(other) / len(other) >= observed
        count += 1
    return as_large / count


@exercise("permutation_p_value")
class TestPermutationPValue:
    @required
    @given(n=st.integers(2, 4), m=st.integers(2, 4), generator=generators())
    @settings(max_examples=6)
    def test_far_apart(self, student: Any, n: int, m: int, generator: torch.Generator) -> None:
        """If all of x lies above all of y, only one choice of all is that extreme; the other way round every choice is."""
        high, low = 2 + torch.rand(n, generator=generator), torch.rand(m, generator=generator)
        received = student.permutation_p_value(high, low)
        assert_close(received, 1 / math.comb(n + m, n), tolerance=1e-6, what="the p-value", sizes={"n": n, "m": m})
        assert_close(student.permutation_p_value(low, high), 1.0, what="the p-value with x below y")

    @weight(4)
    @given(drawn=samples())
    @settings(max_examples=8)
    def test_every_choice(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """It is the fraction of all choices of n numbers that differ at least as much, here in exact fractions."""
        received = student.permutation_p_value(*drawn)
        assert_close(received, p_by_enumeration(*drawn), tolerance=1e-6, what="the p-value")

    @weight(2)
    @given(generator=generators())
    @settings(max_examples=4)
    def test_equals_scipys(self, student: Any, generator: torch.Generator) -> None:
        """It is the p-value of scipy.stats.permutation_test, one-sided, with all permutations."""
        x, y = torch.randn(4, generator=generator), torch.randn(3, generator=generator)
        expected = permutation_test(
            (x.double().numpy(), y.double().numpy()),
            lambda one, other, axis: np.mean(one, axis=axis) - np.mean(other, axis=axis),
            vectorized=True,
            n_resamples=np.inf,
            alternative="greater",
        ).pvalue
        received = student.permutation_p_value(x, y)
        assert_close(received, float(expected), tolerance=1e-6, what="the p-value")
        if not isinstance(received, float):
            fail(f"The p-value should be a float, but it is {describe(received)}.")

    @weight(4)
    @given(generator=generators(), n=st.integers(2, 4), m=st.integers(2, 4))
    @settings(max_examples=6)
    def test_ties_count(self, student: Any, generator: torch.Generator, n: int, m: int) -> None:
        """Choices that differ equally much count, for large numbers, too: if all numbers are the same the p-value is 1."""
        values = 1000 * torch.rand(3, generator=generator)
        received = student.permutation_p_value(values[:1].expand(n), values[:1].expand(m))
        assert_close(received, 1.0, what="the p-value of equal numbers")
        x, y = (values[torch.randint(3, (size,), generator=generator)] for size in (n, m))
        x[0], y[0] = values.max(), values.max()  # so that either of the two may be chosen
        hint = "a sum in another order differs in its last digits."
        received = student.permutation_p_value(x, y)
        assert_close(received, p_by_enumeration(x, y), tolerance=1e-6, what="the p-value", hint=hint)

    @given(scale=st.sampled_from([3.5e-7, -3.5e-7]))
    @settings(max_examples=2)
    def test_rounding_makes_no_difference(self, student: Any, scale: float) -> None:
        """A difference that falls short by less than 10⁻⁶ counts as equally large; one that falls short by more does not."""
        near = student.permutation_p_value(torch.tensor([scale]), torch.zeros(1))
        assert_close(near, 1.0, what="the p-value of two numbers next to each other")
        clear = student.permutation_p_value(torch.tensor([7.5e-7]), torch.zeros(1))
        assert_close(clear, 0.5, what="the p-value of 7.5e-7 against 0, whose differences are 1.5e-6 apart")


def unit(vector: Tensor) -> Tensor:
    """The same direction, length 1."""
    return vector / vector.norm()


@st.composite
def biased_pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Pairs that lie apart along one direction most, and that direction; pairs far from 0, of different sizes."""
    dim, count = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    generator = draw(generators())
    direction = F.normalize(torch.randn(dim, generator=generator), dim=0)
    sizes_ = 1 + torch.rand(count, 1, generator=generator)
    apart = sizes_ * direction + 0.2 * torch.randn(count, dim, generator=generator)
    centres = 5 * torch.randn(count, dim, generator=generator)
    return torch.stack([centres + apart, centres - apart], dim=1), direction


@exercise("bias_direction")
class TestBiasDirection:
    @required
    @given(generator=generators(), scale=st.sampled_from([0.1, 3.0]))
    @settings(max_examples=6)
    def test_finds_the_direction(self, student: Any, generator: torch.Generator, scale: float) -> None:
        """If all pairs lie apart along one line, it is that line's direction, with length 1, towards the first words."""
        direction = unit(torch.randn(3, generator=generator))
        apart = scale * torch.tensor([1.0, 2.0, 0.5])[:, None] * direction
        centres = 4 * torch.randn(3, 3, generator=generator)
        received = student.bias_direction(torch.stack([centres + apart, centres - apart], dim=1))
        assert_close(received, direction, tolerance=1e-3, what="the direction")

    @weight(6)
    @given(drawn=biased_pairs())
    @settings(max_examples=8)
    def test_is_the_first_principal_component(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """It is the eigenvector of the sum of outer products of all centred words that has the largest eigenvalue."""
        pairs, _ = drawn
        received = student.bias_direction(pairs)
        assert_shape(received, pairs.shape[-1:], what="the direction")
        halves = ((pairs[:, 0] - pairs[:, 1]) / 2).double().numpy()
        scatter = sum(2 * np.outer(half, half) for half in halves)
        _, found = np.linalg.eigh(scatter)
        expected = torch.from_numpy(found[:, -1])
        expected = expected * torch.sign(expected @ torch.from_numpy(halves).sum(0))
        assert_close(received, expected.float(), tolerance=2e-3, what="the direction")

    @weight(3)
    @given(drawn=biased_pairs(), generator=generators())
    @settings(max_examples=6)
    def test_where_the_pairs_are_does_not_matter(
        self, student: Any, drawn: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> None:
        """Each pair is centred by itself: moving both words of a pair along changes nothing."""
        pairs, _ = drawn
        moved = pairs + 9 * torch.randn(len(pairs), 1, pairs.shape[2], generator=generator)
        expected = student.bias_direction(pairs)
        assert_shape(expected, pairs.shape[-1:], what="the direction")
        assert_close(expected.norm(), torch.tensor(1.0), tolerance=1e-4, what="its length")
        assert_close(student.bias_direction(moved), expected, tolerance=5e-3, what="the direction for moved pairs")

    @weight(4)
    @given(drawn=biased_pairs())
    @settings(max_examples=5)
    def test_points_to_the_first_words(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """It points towards the first words; with the words of every pair exchanged it points the other way."""
        pairs, direction = drawn
        pairs = pairs / 20  # however little they differ
        received, turned = student.bias_direction(pairs), student.bias_direction(pairs.flip(1))
        assert_shape(received, direction.shape, what="the direction")
        assert_between(received @ direction, 0.5, None, what="the cosine with the way to the first words")
        assert_close(turned, -received, tolerance=2e-3, what="the direction with the words of each pair exchanged")

    @weight(2)
    @given(generator=generators(), scale=st.sampled_from([0.2, 2.0]))
    @settings(max_examples=4)
    def test_a_pair_the_wrong_way_round(self, student: Any, generator: torch.Generator, scale: float) -> None:
        """One pair whose words are exchanged does not disturb the line, only most pairs decide which way it points."""
        direction = unit(torch.randn(3, generator=generator))
        for one in range(3):
            apart = scale * torch.tensor([1.0, 1.5, 1.25])[:, None] * direction
            apart[one] *= -1
            pairs = torch.stack([apart, -apart], dim=1) + scale * torch.randn(3, 1, 3, generator=generator)
            assert_close(student.bias_direction(pairs), direction, tolerance=1e-3, what="the direction")


@exercise("remove_direction")
class TestRemoveDirection:
    @required
    @given(generator=generators(), length=st.sampled_from([1.0, 3.0]))
    @settings(max_examples=6)
    def test_nothing_is_left_along_the_direction(self, student: Any, generator: torch.Generator, length: float) -> None:
        """What is left is at right angles to the direction, and what was at right angles to it before stays."""
        basis = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
        parts = torch.randn(4, 3, generator=generator) + 2
        received = student.remove_direction(parts @ basis.T, length * basis[:, 0])
        assert_shape(received, (4, 3), what="the result")
        expected = parts * torch.tensor([0.0, 1.0, 1.0])
        assert_close(received @ basis, expected, tolerance=1e-4, what="the components of the result, along and across")

    @weight(5)
    @given(generator=generators(), length=st.sampled_from([0.25, 4.0, -2.0]))
    @settings(max_examples=6)
    def test_any_length_and_sign(self, student: Any, generator: torch.Generator, length: float) -> None:
        """Only the line of the direction matters, not its length, not its sign."""
        vectors_, direction = torch.randn(4, 3, generator=generator), unit(torch.randn(3, generator=generator))
        expected = student.remove_direction(vectors_, direction)
        received = student.remove_direction(vectors_, length * direction)
        assert_shape(expected, (4, 3), what="the result")
        assert_close(received, expected, tolerance=1e-4, what=f"the result for a direction of length {abs(length)}")
        along = (received @ direction).abs()
        assert_between(along, None, 0, tolerance=1e-4, what="what is left along the direction")

    @weight(6)
    @given(vectors_=tensors((4, 3)), axis=st.integers(0, 2), strength=st.sampled_from([0.25, 0.5, 1.5, 0.0]))
    @settings(max_examples=8)
    def test_strength(self, student: Any, vectors_: Tensor, axis: int, strength: float) -> None:
        """Along an axis of the coordinates that one coordinate shrinks by the factor 1 − strength, and no other changes."""
        vectors_[:, axis] += 4
        expected = vectors_.clone()
        expected[:, axis] *= 1 - strength
        received = student.remove_direction(vectors_, 2 * torch.eye(3)[axis], strength=strength)
        assert_close(received, expected, tolerance=1e-4, what="the result")

    @weight(2)
    @given(generator=generators())
    @settings(max_examples=4)
    def test_twice_is_once(self, student: Any, generator: torch.Generator) -> None:
        """Removing a direction again changes nothing, and a vector along it becomes 0."""
        direction = 2 * torch.randn(4, generator=generator)
        once = student.remove_direction(torch.randn(3, 4, generator=generator), direction)
        assert_shape(once, (3, 4), what="the result")
        assert_close(
            student.remove_direction(once, direction), once, tolerance=1e-4, what="the result of removing twice"
        )
        nothing = student.remove_direction(direction[None] * torch.tensor([[3.0], [-1.0]]), direction)
        assert_close(nothing, torch.zeros(2, 4), tolerance=1e-4, what="what is left of vectors along the direction")

    @weight(3)
    @given(generator=generators())
    @settings(max_examples=4)
    def test_each_vector_by_itself(self, student: Any, generator: torch.Generator) -> None:
        """What becomes of a vector does not depend on the others, and is twice as long for one twice as long."""
        vectors_, direction = torch.randn(3, 4, generator=generator), torch.randn(4, generator=generator)
        together = student.remove_direction(vectors_, direction)
        alone = student.remove_direction(2 * vectors_[1:2], direction)
        assert_shape(together, (3, 4), what="the result")
        assert_close(alone, 2 * together[1:2], tolerance=1e-4, what="the result for one vector, doubled")


# ---- adapting a large model by little


@dataclass(frozen=True)
class Adapted:
    """A linear layer, and matrices for its update."""

    linear: nn.Linear
    a: Tensor
    b: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Of the update."""
        return len(self.a)

    @property
    def update(self) -> Tensor:
        """What is to be added to the weight: a sum of outer products."""
        parts = [torch.outer(column, row) for column, row in zip(self.b.T, self.a, strict=True)]
        return self.alpha * sum(parts[1:], parts[0]) / self.rank

    def expected(self, x: Tensor) -> Tensor:
        """What a linear layer with the updated weight gives."""
        return F.linear(x, self.linear.weight.detach() + self.update, self.linear.bias)

    def build(self, student: Any, *, started: bool = True) -> Any:
        """A student's layer, with these matrices if it is `started`."""
        layer = student.LoRALinear(copy.deepcopy(self.linear), self.rank, self.alpha)
        own = dict(layer.named_parameters())
        for name, value in (("A", self.a), ("B", self.b)):
            if name not in own:
                fail(f"There is no parameter {name!r}. The parameters are: {', '.join(sorted(own)) or 'none at all'}.")
            assert_shape(own[name], tuple(value.shape), what=name)
            if started:
                with torch.no_grad():
                    own[name].copy_(value)
        return layer


@st.composite
def adapted(draw: st.DrawFn, dtype: torch.dtype = torch.float32, bias: bool | None = None) -> Adapted:
    """Layers of three different sizes, with a bias or without; alpha is neither the rank nor its square."""
    generator = draw(generators())
    inner, outer = draw(st.sampled_from([(3, 4), (4, 2), (5, 3)]))
    rank = draw(st.sampled_from([2, 3, 4]))
    linear = nn.Linear(inner, outer, bias=draw(st.booleans()) if bias is None else bias, dtype=dtype)
    redraw(linear, generator)
    a = torch.randn(rank, inner, generator=generator).to(dtype)
    b = torch.randn(outer, rank, generator=generator).to(dtype)
    return Adapted(linear, a, b, draw(st.sampled_from([0.5, 1.0, 8.0])) * rank + 1)


def weight_of(layer: Any) -> Tensor:
    """The weight of the layer inside an adapted one, as it is now."""
    found = dict(layer.named_parameters()).get("linear.weight")
    if found is None:
        fail("There is no parameter 'linear.weight': the attribute `linear` should be the given layer.")
    return found.detach().clone()


@exercise("LoRALinear", contract=False)
class TestLoRALinear:
    @required
    @given(case=adapted(), generator=generators())
    @settings(max_examples=5)
    def test_adds_the_update(self, student: Any, case: Adapted, generator: torch.Generator) -> None:
        """It gives what a linear layer with the weight W + (alpha / rank) · B A gives, and A and B can learn from it."""
        layer, x = case.build(student), torch.randn(3, case.linear.in_features, generator=generator, requires_grad=True)
        y = layer(x)
        names = {"rank": case.rank, "in": case.linear.in_features}
        assert_close(y.detach(), case.expected(x).detach(), tolerance=1e-3, what="the output", sizes=names)
        parameters = dict(layer.named_parameters())
        for name in "AB":
            assert_depends(y, parameters[name], what="the output", on_what=name)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        expected = (case.linear.weight.detach() + case.update).sum(0).expand(3, -1)
        assert_close(gradient, expected, tolerance=1e-3, what="the gradient with respect to the input")

    @weight(8)
    @given(with_bias=adapted(bias=True), without=adapted(bias=False), generator=generators())
    @settings(max_examples=3)
    def test_at_first(self, student: Any, with_bias: Adapted, without: Adapted, generator: torch.Generator) -> None:
        """At first it does what the given layer does, B being zero; that layer is frozen as a whole, A and B can learn."""
        for case in (with_bias, without):
            layer, x = case.build(student, started=False), torch.randn(3, case.linear.in_features, generator=generator)
            parameters = dict(layer.named_parameters())
            y = layer(x)
            gradients = y.requires_grad and torch.autograd.grad(
                y.square().sum(), [parameters["A"], parameters["B"]], allow_unused=True, materialize_grads=True
            )
            assert_close(weight_of(layer), case.linear.weight.detach(), what="the weight of `linear`")
            assert_close(parameters["B"].detach(), torch.zeros_like(case.b), what="B")
            if not parameters["A"].detach().abs().min() > 0:
                fail(f"A should be random at first, but it is {describe(parameters['A'].detach())}.")
            assert_close(y.detach(), case.linear(x).detach(), tolerance=1e-4, what="the output at the start")
            trained = sorted(name for name, parameter in parameters.items() if parameter.requires_grad)
            if trained != ["A", "B"]:
                fail(f"What requires gradients is {', '.join(trained) or 'nothing'}; it should be A and B.")
            if (case.linear.bias is not None) != ("linear.bias" in parameters):
                fail("The bias of `linear` should be there if the given layer has one, and only then.")
            if layer.merged is not False:
                fail(f"`merged` should be False at first, but it is {describe(layer.merged)}.")
            if not gradients or not gradients[1].any():
                fail("No gradient reaches B at the start: nothing would ever be learnt.")
            assert_close(gradients[0], torch.zeros_like(case.a), what="the gradient with respect to A, B being zero")

    @weight(4)
    @given(case=adapted(), generator=generators())
    @settings(max_examples=4)
    def test_merge(self, student: Any, case: Adapted, generator: torch.Generator) -> None:
        """`merge` adds the update to the weight of `linear`, once: outputs stay, and A and B play no part in them."""
        layer, x = case.build(student), torch.randn(3, case.linear.in_features, generator=generator)
        before = layer(x).detach()
        for times in ("once", "twice"):
            layer.merge()
            expected = case.linear.weight.detach() + case.update
            assert_close(weight_of(layer), expected, tolerance=1e-3, what=f"the weight of `linear`, merged {times},")
            if layer.merged is not True:
                fail(f"`merged` should be True after merging, but it is {describe(layer.merged)}.")
            y = layer(x)
            assert_close(y.detach(), before, tolerance=1e-3, what=f"the output after merging {times}")
        parameters = dict(layer.named_parameters())
        with torch.no_grad():
            parameters["B"].add_(1)
        assert_close(layer(x).detach(), before, tolerance=1e-3, what="the output, merged, with another B")

    @weight(4)
    @given(case=adapted(), generator=generators())
    @settings(max_examples=4)
    def test_unmerge(self, student: Any, case: Adapted, generator: torch.Generator) -> None:
        """`unmerge` takes the update out again, and changes nothing if nothing is merged; then it can be merged anew."""
        layer, x = case.build(student), torch.randn(3, case.linear.in_features, generator=generator)
        layer.unmerge(), layer.merge()
        assert_close(layer(x).detach(), case.expected(x).detach(), tolerance=1e-3, what="the output while it is merged")
        layer.unmerge(), layer.unmerge()
        assert_close(weight_of(layer), case.linear.weight.detach(), tolerance=1e-3, what="the weight after unmerging")
        if layer.merged is not False:
            fail(f"`merged` should be False after unmerging, but it is {describe(layer.merged)}.")
        y = layer(x)
        assert_close(y.detach(), case.expected(x).detach(), tolerance=1e-3, what="the output after unmerging")
        assert_depends(y, dict(layer.named_parameters())["A"], what="the output after unmerging", on_what="A")
        layer.merge()
        expected = case.linear.weight.detach() + case.update
        assert_close(weight_of(layer), expected, tolerance=1e-3, what="the weight after merging anew")

    @weight(8)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_a_is_normal_and_comes_from_the_generator(self, student: Any, seed: int) -> None:
        """A is drawn from N(0, 1/in) with the generator: the same one gives the same A, another one another."""
        linear = nn.Linear(49, 3)
        layers = [
            student.LoRALinear(linear, 80, 4.0, generator=torch.Generator().manual_seed(own))
            for own in (seed, seed, seed + 1)
        ]
        first, same, other = (dict(layer.named_parameters())["A"].detach() for layer in layers)
        assert_shape(first, (80, 49), what="A")
        assert_close(same, first, what="A of a second layer with an equal generator")
        if torch.equal(first, other):
            fail("With another generator A is the same: is it drawn from it?")
        # 3920 numbers; six standard errors.
        z = 7 * first.double()
        assert_between(z.mean(), -0.1, 0.1, what="the mean of A, times √in,")
        assert_between(z.std(), 0.93, 1.07, what="the standard deviation of A, times √in,")
        assert_between(z.abs().max(), 2.5, None, what="the largest of 3920 normal numbers")

    @given(case=adapted(torch.float64), generator=generators())
    @settings(max_examples=2)
    def test_any_batch_in_the_layers_dtype(self, student: Any, case: Adapted, generator: torch.Generator) -> None:
        """A and B have the dtype of the weight; inputs may have any number of batch dimensions, none of them too."""
        layer = case.build(student)
        for shape in ((2, 3), ()):
            x = torch.randn(*shape, case.linear.in_features, generator=generator, dtype=torch.float64)
            assert_close(layer(x).detach(), case.expected(x).detach(), tolerance=1e-6, what="the output")


def small_model(generator: torch.Generator) -> nn.Sequential:
    """A model with linear layers of several names, at several depths."""

    def block() -> nn.Sequential:
        names = ("query", "key", "queries")
        return nn.Sequential(OrderedDict([(name, nn.Linear(3, 3)) for name in names] + [("norm", nn.LayerNorm(3))]))

    deeper = nn.Sequential(OrderedDict(block=block()))
    parts: dict[str, nn.Module] = {
        "query": nn.Linear(2, 3),
        "first": block(),
        "deeper": deeper,
        "head": nn.Linear(3, 4),
    }
    model = nn.Sequential(OrderedDict(parts))
    redraw(model, generator, scale=0.7)
    return model


class Adapter:
    """Stands in for `LoRALinear`, and takes notes. What it makes of a layer is smaller, and only its last part is trained."""

    def __init__(self) -> None:
        self.given: list[tuple[Tensor, Any, Any]] = []

    def __call__(self, layer: Any, rank: int, alpha: float) -> nn.Module:
        """Two layers, the first one frozen and called `query`, as `LoRALinear` calls its own."""
        weight_ = layer.weight.detach().clone()
        self.given.append((weight_, rank, alpha))
        outer, inner = weight_.shape
        frozen = nn.Linear(inner, 1).requires_grad_(False)
        return nn.Sequential(OrderedDict[str, nn.Module](query=frozen, out=nn.Linear(1, outer, bias=False)))

    def was_given(self, weight_: Tensor) -> bool:
        """Whether a layer with that weight was given."""
        return any(found.shape == weight_.shape and torch.equal(found, weight_) for found, _, _ in self.given)


def adapted_model(student: Any, model: nn.Module, targets: list[str], **options: Any) -> tuple[Any, dict[str, Any]]:
    """The student's adapted model, and its parameters by name; fails if it is none."""
    found = student.apply_lora(copy.deepcopy(model), targets, **{"rank": 2, "alpha": 3.0, **options})
    if not isinstance(found, nn.Module):
        fail(f"The result should be the model, but it is {describe(found)}.")
    return found, dict(found.named_parameters())


@exercise("apply_lora", contract=False)
class TestApplyLora:
    @required
    @given(generator=generators())
    @settings(max_examples=2)
    def test_replaces_the_named_layers(self, student: Any, generator: torch.Generator) -> None:
        """Every linear layer of that name, at any depth, gives way to what `adapt` makes of it; all others stay."""
        model, adapter = small_model(generator), Adapter()
        _, parameters = adapted_model(student, model, ["query"], adapt=adapter)
        for place in ("query", "first.query", "deeper.block.query"):
            if not adapter.was_given(model.get_parameter(f"{place}.weight").detach()):
                fail(f"The layer {place} was not given to adapt.")
            if f"{place}.out.weight" not in parameters or f"{place}.weight" in parameters:
                fail(f"In the place of {place} there should be what adapt returned for it, but there is not.")
        if len(adapter.given) != 3:
            fail(f"Three layers are called query, but adapt was called {len(adapter.given)} times.")
        for place in ("first.key", "first.queries", "deeper.block.key", "head", "first.norm"):
            wanted = model.get_parameter(f"{place}.weight").detach()
            if f"{place}.weight" not in parameters:
                fail(f"The layer {place} should still be there.")
            assert_close(parameters[f"{place}.weight"].detach(), wanted, what=f"the weight of {place}")

    @weight(6)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_freezes_the_rest(self, student: Any, generator: torch.Generator) -> None:
        """Of what the model had nothing is trained any more; what adapters bring requires gradients if they say so."""
        model, parameters = adapted_model(student, small_model(generator), ["query"], adapt=Adapter())
        free = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
        y = model(torch.randn(3, 2, generator=generator))
        found = torch.autograd.grad(y.square().sum(), list(free.values()), allow_unused=True) if free else ()
        expected = ["deeper.block.query.out.weight", "first.query.out.weight", "query.out.weight"]
        if sorted(free) != expected:
            fail(
                f"What requires gradients is {', '.join(sorted(free)) or 'nothing'}.",
                f"It should be {', '.join(expected)}.",
            )
        for name, gradient in zip(free, found, strict=True):
            if gradient is None or not gradient.any():
                fail(f"No gradient reaches {name} from the output of the adapted model.")

    @weight(3)
    @given(generator=generators(), rank=st.integers(1, 3), alpha=st.sampled_from([0.5, 8.0]))
    @settings(max_examples=2)
    def test_passes_on_rank_and_alpha(self, student: Any, generator: torch.Generator, rank: int, alpha: float) -> None:
        """`adapt` is given the layer, the rank and alpha, for each linear layer of several names."""
        model, adapter = small_model(generator), Adapter()
        options: dict[str, Any] = {"adapt": adapter, "rank": rank, "alpha": alpha}
        _, parameters = adapted_model(student, model, ["key", "head", "norm"], **options)
        if len(adapter.given) != 3:
            fail(f"Two layers are called key and one head, but adapt was called {len(adapter.given)} times.")
        for place in ("first.key", "deeper.block.key", "head"):
            if not adapter.was_given(model.get_parameter(f"{place}.weight").detach()):
                fail(f"The layer {place} was not given to adapt.")
            if f"{place}.out.weight" not in parameters:
                fail(f"In the place of {place} there should be what adapt returned for it, but there is not.")
        for _, *numbers in adapter.given:
            assert_close(numbers, [rank, alpha], what="what adapt was given, rank and alpha,")

    @weight(3)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_other_modules_of_that_name_stay(self, student: Any, generator: torch.Generator) -> None:
        """Only linear layers are replaced: a norm or a whole block of that name stays, and what is inside it is looked at."""
        inside = nn.Sequential(OrderedDict(query=nn.Linear(2, 2), other=nn.Linear(2, 2)))
        model = nn.Sequential(OrderedDict(target=inside, last=nn.Sequential(OrderedDict(target=nn.LayerNorm(2)))))
        model.append(nn.Sequential(OrderedDict(target=nn.Linear(2, 3))))
        redraw(model, generator)
        adapter = Adapter()
        _, parameters = adapted_model(student, model, ["target"], adapt=adapter)
        expected = model.get_parameter("2.target.weight").detach()
        if len(adapter.given) != 1 or not adapter.was_given(expected):
            fail(f"One linear layer is called target, but adapt was called {len(adapter.given)} times.")
        assert_close(list(adapter.given[0][1:]), [2, 3.0], what="what adapt was given, rank and alpha,")
        kept = ["last.target.bias", "last.target.weight", "target.other.weight", "target.query.weight"]
        if gone := [name for name in kept if name not in parameters]:
            fail(f"{gone[0]} is gone, though nothing but linear layers is to be replaced.")

    @weight(6)
    @given(generator=generators(), targets=st.sampled_from([["value"], ["que"], ["first.query"], ["norm"], []]))
    @settings(max_examples=5)
    def test_names_that_fit_nothing(self, student: Any, generator: torch.Generator, targets: list[str]) -> None:
        """Names are compared whole, and if no linear layer has one of them it is a ValueError."""
        with pytest.raises(ValueError):
            student.apply_lora(small_model(generator), targets, rank=2, alpha=3.0, adapt=Adapter())


class Tied(nn.Module):
    """A model that uses one matrix twice, and has a buffer."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embedding.weight
        self.norm = nn.BatchNorm1d(width)


@exercise("count_parameters", contract=st.integers(2, 4).map(lambda size: ((nn.Linear(size, 3),), {})))
class TestCountParameters:
    @required
    @given(inner=st.integers(2, 5), outer=st.integers(2, 5), frozen=st.booleans())
    @settings(max_examples=4)
    def test_a_frozen_layer_and_one_that_is_trained(self, student: Any, inner: int, outer: int, frozen: bool) -> None:
        """Of two layers, one of them frozen, it counts the numbers of the other and of both, biases with weights."""
        model = nn.Sequential(nn.Linear(inner, 6), nn.Linear(6, outer))
        model[0 if frozen else 1].requires_grad_(False)
        first, second = 6 * inner + 6, 6 * outer + outer
        expected = (second if frozen else first, first + second)
        assert_close(student.count_parameters(model), expected, what="(trainable, total)")

    @weight(4)
    @given(inner=st.integers(2, 5), part=st.sampled_from(["weight", "bias"]))
    @settings(max_examples=4)
    def test_parameter_by_parameter(self, student: Any, inner: int, part: str) -> None:
        """Each parameter counts by itself, in one layer one may be frozen and the other one not."""
        model = nn.Sequential(nn.Linear(inner, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 3)))
        model.get_parameter(f"2.0.{part}").requires_grad_(False)
        first, frozen = 4 * inner + 4, {"weight": 12, "bias": 3}[part]
        assert_close(student.count_parameters(model), (first + 15 - frozen, first + 15), what="(trainable, total)")

    @weight(4)
    @given(words=st.integers(4, 7), width=st.integers(2, 3), trained=st.booleans())
    @settings(max_examples=4)
    def test_what_is_used_twice_counts_once(self, student: Any, words: int, width: int, trained: bool) -> None:
        """A matrix that is used in two places counts once, and the running statistics of a batch norm not at all."""
        model = Tied(words, width)
        model.norm.requires_grad_(trained)
        found, norm = words * width, 2 * width
        assert_close(student.count_parameters(model), (found + norm * trained, found + norm), what="(trainable, total)")

    @given(inner=st.integers(1, 4))
    @settings(max_examples=2)
    def test_nothing_to_train(self, student: Any, inner: int) -> None:
        """A frozen model has nothing to train, and one without parameters nothing at all; the counts are whole numbers."""
        for model, total in ((nn.Linear(inner, 2).requires_grad_(False), 2 * inner + 2), (nn.Tanh(), 0)):
            result = student.count_parameters(model)
            assert_close(result, (0, total), what="(trainable, total)")
            if not all(type(value) is int for value in result):
                fail(f"The counts should be whole numbers, but they are {describe(result)}.")


# ---- weights in few bits


@st.composite
def weights(draw: st.DrawFn, rows: int = 3, columns: int = 5) -> Tensor:
    """Matrices whose rows differ much in size, the largest number of a row being sometimes positive, sometimes negative."""
    generator = draw(generators())
    drawn = torch.rand(rows, columns, generator=generator) * 2 - 1
    largest = torch.randint(columns, (rows,), generator=generator)
    drawn[torch.arange(rows), largest] = torch.where(torch.rand(rows, generator=generator) < 0.5, -1.5, 1.5)
    sizes_ = torch.tensor([0.01, 1.0, 30.0, 5.0])[:rows, None]
    return drawn * sizes_[torch.randperm(rows, generator=generator)]


def quantized(student: Any, weight_: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """The student's pair, of the right types; fails if it is none."""
    result = student.quantize(weight_, **options)
    if not isinstance(result, tuple | list) or len(result) != 2:
        fail(f"The result should be the pair (codes, scales), but it is {describe(result)}.")
    codes, scales = result
    assert_shape(codes, tuple(weight_.shape), what="the codes")
    if codes.dtype != torch.int8:
        fail(f"The codes should have dtype torch.int8, but they have {codes.dtype}.")
    return codes, scales


def check_nearest(codes: Tensor, scales: Tensor, weight_: Tensor) -> None:
    """Check that each code is the whole number that comes nearest, give or take rounding."""
    error = (codes.double() * scales.double() - weight_.double()).abs() / scales.double()
    hint = "a value is rounded to the nearest code, not cut off."
    assert_between(error, None, 0.5, tolerance=1e-3, what="the error, in units of the scale,", hint=hint)


@exercise("quantize", contract=arguments(reference.quantize, bits=st.integers(2, 8), per_row=st.booleans()))
class TestQuantize:
    @required
    @given(weight_=weights())
    @settings(max_examples=6)
    def test_codes_times_scales_are_the_weights(self, student: Any, weight_: Tensor) -> None:
        """A scale for each row: its largest absolute value over 127. Codes times scales miss by half a scale at most."""
        codes, scales = quantized(student, weight_)
        expected = [[max(abs(value) for value in row) / 127] for row in weight_.tolist()]
        assert_close(1000 * scales, 1000 * torch.tensor(expected), tolerance=1e-4, what="the scales, times 1000,")
        check_nearest(codes, scales, weight_)

    @weight(2)
    @given(weight_=weights())
    @settings(max_examples=5)
    def test_the_largest_gets_the_largest_code(self, student: Any, weight_: Tensor) -> None:
        """The largest absolute value of each row has the code 127 or −127, as its sign is, and no code is −128."""
        codes, _ = quantized(student, weight_)
        place = weight_.abs().argmax(1, keepdim=True)
        expected = 127 * weight_.gather(1, place).sign().long()
        assert_close(codes.long().gather(1, place), expected, what="the codes of the largest values")
        assert_between(codes, -127, 127, what="a code")
        both, _ = quantized(student, -weight_)
        assert_close(both.long(), -codes.long(), what="the codes of the weights with the other sign")

    @weight(5)
    @given(weight_=weights())
    @settings(max_examples=5)
    def test_one_scale_for_all(self, student: Any, weight_: Tensor) -> None:
        """With per_row=False there is one scale, (1, 1), from the largest of all values."""
        codes, scales = quantized(student, weight_, per_row=False)
        largest = max(abs(value) for row in weight_.tolist() for value in row)
        assert_close(scales, torch.tensor([[largest / 127]]), what="the scale")
        check_nearest(codes, scales, weight_)

    @weight(7)
    @given(weight_=weights(), bits=st.integers(2, 7), per_row=st.booleans())
    @settings(max_examples=6)
    def test_fewer_bits(self, student: Any, weight_: Tensor, bits: int, per_row: bool) -> None:
        """With b bits codes go from −(2^(b − 1) − 1) to as much above zero, and the scale follows."""
        codes, scales = quantized(student, weight_, bits=bits, per_row=per_row)
        most = {2: 1, 3: 3, 4: 7, 5: 15, 6: 31, 7: 63}[bits]
        largest = weight_.abs().amax(1, keepdim=True) if per_row else weight_.abs().max().view(1, 1)
        assert_close(1000 * scales, 1000 * largest / most, tolerance=1e-4, what="the scales, times 1000,")
        assert_close(codes.long().abs().max(), most, what="the largest code")
        check_nearest(codes, scales, weight_)

    @weight(7)
    @given(weight_=weights(), row=st.integers(0, 2), per_row=st.booleans())
    @settings(max_examples=6)
    def test_rows_of_zeros(self, student: Any, weight_: Tensor, row: int, per_row: bool) -> None:
        """A row of zeros has codes 0 and scale 1, the others do not notice; so has a matrix of zeros."""
        changed = weight_.clone()
        changed[row] = 0
        codes, scales = quantized(student, changed)
        assert_close(codes[row].long(), torch.zeros(5, dtype=torch.int64), what="the codes of a row of zeros")
        assert_shape(scales, (3, 1), what="the scales")
        assert_close(scales[row], torch.ones(1), what="the scale of a row of zeros")
        others = [index for index in range(3) if index != row]
        check_nearest(codes[others], scales[others], weight_[others])
        codes, scales = quantized(student, 0 * weight_, per_row=per_row)
        assert_close(codes.long().abs().sum(), 0, what="the sum of the codes of zeros")
        assert_close(scales, torch.ones(3 if per_row else 1, 1), what="the scales of zeros")


@st.composite
def coded(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Codes of all sizes, and scales of their rows."""
    rows, columns = draw(st.sampled_from([(3, 4), (4, 2), (2, 2)]))
    codes = draw(tensors((rows, columns), dtype=torch.int64, low=-127, high=127))
    codes[0, 0], codes[-1, -1] = 127, -126
    return codes.to(torch.int8), draw(tensors((rows, 1), low=1, high=8)) / 4 + torch.arange(rows)[:, None]


@exercise(
    "dequantize",
    contract=arguments(reference.dequantize, scales=lambda dims: tensors((dims["rows"], 1), low=1 / 8, high=2)),
)
class TestDequantize:
    @required
    @given(drawn=coded())
    @settings(max_examples=6)
    def test_code_times_scale(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """Each weight is its code times the scale of its row, here one by one."""
        codes, scales = drawn
        expected = [
            [code * scale for code in row] for row, (scale,) in zip(codes.tolist(), scales.tolist(), strict=True)
        ]
        assert_close(student.dequantize(codes, scales), torch.tensor(expected), what="the weights")

    @weight(2)
    @given(drawn=coded(), scale=st.sampled_from([0.125, 3.0]))
    @settings(max_examples=4)
    def test_one_scale_for_all(self, student: Any, drawn: tuple[Tensor, Tensor], scale: float) -> None:
        """A single scale (1, 1) is that of all rows."""
        codes, _ = drawn
        expected = torch.tensor([[code * scale for code in row] for row in codes.tolist()])
        assert_close(student.dequantize(codes, torch.tensor([[scale]])), expected, what="the weights")

    @weight(3)
    @given(drawn=coded())
    @settings(max_examples=3)
    def test_in_the_dtype_of_the_scales(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """The weights have the dtype of the scales, and its precision."""
        codes, scales = drawn
        fine = scales.double() / 3
        expected = [[code * scale for code in row] for row, (scale,) in zip(codes.tolist(), fine.tolist(), strict=True)]
        received = student.dequantize(codes, fine)
        expected_ = torch.tensor(expected, dtype=torch.float64)
        assert_close(received, expected_, tolerance=1e-12, what="the weights for scales in double precision")
        half = student.dequantize(codes, scales.half())
        assert_close(
            half, (codes.float() * scales).half(), tolerance=2e-3, what="the weights for scales in half precision"
        )

    @given(weight_=weights())
    @settings(max_examples=4)
    def test_brings_back_the_weights(self, student: Any, weight_: Tensor) -> None:
        """Weights that are whole multiples of their row's scale come back as they were."""
        whole = (weight_ / weight_.abs().amax(1, keepdim=True) * 127).round()
        scales = torch.tensor([[0.5], [2.0], [0.125]])
        received = student.dequantize(whole.to(torch.int8), scales)
        assert_close(received, whole * scales, tolerance=1e-5, what="the weights")


CODES = {"encode": reference.quantize, "decode": reference.dequantize}


def buffers_of(layer: Any) -> dict[str, Tensor]:
    """The buffers of a student's layer, those that are promised among them."""
    found = dict(layer.named_buffers())
    for name in ("codes", "scales"):
        if name not in found:
            fail(f"There is no buffer {name!r}. The buffers are: {', '.join(sorted(found)) or 'none at all'}.")
    return found


@st.composite
def linear_layers(draw: st.DrawFn, bias: bool | None = None) -> nn.Linear:
    """Linear layers with rows of different sizes."""
    weight_ = draw(weights(rows=draw(st.sampled_from([3, 2, 4]))))
    linear = nn.Linear(weight_.shape[1], weight_.shape[0], bias=draw(st.booleans()) if bias is None else bias)
    with torch.no_grad():
        linear.weight.copy_(weight_)
    return linear


def rounded(weight_: Tensor) -> Tensor:
    """What a weight becomes on the way through eight bits, by numpy."""
    array = weight_.detach().double().numpy()
    scales = np.abs(array).max(axis=1, keepdims=True) / 127
    return torch.from_numpy(np.rint(array / scales) * scales).float()


@exercise("Int8Linear", contract=False)
class TestInt8Linear:
    @required
    @given(linear=linear_layers(bias=True), generator=generators())
    @settings(max_examples=5)
    def test_is_a_linear_layer_with_rounded_weights(
        self, student: Any, linear: nn.Linear, generator: torch.Generator
    ) -> None:
        """It gives what a linear layer with the weight as it comes back from int8 gives, and gradients reach the input."""
        layer = student.Int8Linear(linear, **CODES)
        x = torch.randn(4, linear.in_features, generator=generator, requires_grad=True)
        y, weight_ = layer(x), rounded(linear.weight)
        expected = F.linear(x, weight_, linear.bias).detach()
        assert_depends(y, x, what="the output", on_what="the input")
        assert_close(y.detach(), expected, tolerance=1e-3, what="the output")
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert_close(
            gradient, weight_.sum(0).expand(4, -1), tolerance=1e-3, what="the gradient with respect to the input"
        )

    @weight(7)
    @given(linear=linear_layers())
    @settings(max_examples=4)
    def test_keeps_nothing_but_codes_scales_and_bias(self, student: Any, linear: nn.Linear) -> None:
        """Codes in int8, scales and the bias are buffers, and all there is: no parameters, no weight in floating point."""
        layer = student.Int8Linear(linear, **CODES)
        if parameters := [name for name, _ in layer.named_parameters()]:
            fail(f"It has the parameters {', '.join(parameters)}, but it is not to be trained: make them buffers.")
        found = buffers_of(layer)
        expected = {"codes", "scales"} | ({"bias"} if linear.bias is not None else set())
        if set(found) != expected:
            fail(f"Its buffers are {', '.join(sorted(found))}; they should be {', '.join(sorted(expected))}.")
        codes, scales = reference.quantize(linear.weight.detach())
        assert_close(found["codes"], codes, what="the codes")
        assert_close(found["scales"], scales, what="the scales")
        if layer(torch.zeros(1, linear.in_features)).requires_grad:
            fail(
                "The output requires a gradient though the input does not: what the layer keeps should carry no graph."
            )
        if linear.bias is not None:
            assert_close(found["bias"], linear.bias.detach(), what="the bias")
        if set(layer.state_dict()) != expected:
            fail(f"Its state_dict holds {', '.join(sorted(layer.state_dict()))}, not {', '.join(sorted(expected))}.")

    @weight(3)
    @given(linear=linear_layers(bias=False), generator=generators())
    @settings(max_examples=4)
    def test_without_a_bias(self, student: Any, linear: nn.Linear, generator: torch.Generator) -> None:
        """A layer without a bias becomes one without a bias: `bias` is None, and zeros give zeros."""
        layer = student.Int8Linear(linear, **CODES)
        x = torch.randn(3, linear.in_features, generator=generator)
        assert_close(layer(x), (x @ rounded(linear.weight).T).detach(), tolerance=1e-3, what="the output")
        assert_close(layer(0 * x), torch.zeros(3, linear.out_features), what="the output for zeros")
        if layer.bias is not None:
            fail(f"`bias` should be None, but it is {describe(layer.bias)}.")

    @weight(7)
    @given(linear=linear_layers(), generator=generators())
    @settings(max_examples=3)
    def test_asks_encode_and_decode(self, student: Any, linear: nn.Linear, generator: torch.Generator) -> None:
        """It keeps what `encode` makes of the weight, and uses what `decode` makes of that, here with codes of its own."""

        def encode(weight_: Tensor) -> tuple[Tensor, Tensor]:
            return weight_.sign().to(torch.int8), weight_.abs().mean(1, keepdim=True)

        def decode(codes: Tensor, scales: Tensor) -> Tensor:
            return 2 * codes.to(scales.dtype) * scales + 1

        layer = student.Int8Linear(linear, encode=encode, decode=decode)
        x = torch.randn(3, linear.in_features, generator=generator)
        weight_ = linear.weight.detach()
        plain = 2 * weight_.sign() * weight_.abs().mean(1, keepdim=True) + 1
        assert_close(layer(x), F.linear(x, plain, linear.bias).detach(), tolerance=1e-3, what="the output")
        assert_close(buffers_of(layer)["codes"].long(), weight_.sign().long(), what="the codes")

    @weight(3)
    @given(linear=linear_layers(), generator=generators(), shape=st.sampled_from([(2, 3), (), (1, 2, 2)]))
    @settings(max_examples=4)
    def test_any_batch(
        self, student: Any, linear: nn.Linear, generator: torch.Generator, shape: tuple[int, ...]
    ) -> None:
        """Inputs may have any number of batch dimensions, none of them too."""
        x = torch.randn(*shape, linear.in_features, generator=generator)
        expected = F.linear(x, rounded(linear.weight), linear.bias).detach()
        assert_close(student.Int8Linear(linear, **CODES)(x), expected, tolerance=1e-3, what="the output")

    @weight(2)
    @given(first=linear_layers(bias=True), second=linear_layers(bias=True))
    @settings(max_examples=3)
    def test_its_state_is_all_of_it(self, student: Any, first: nn.Linear, second: nn.Linear) -> None:
        """Another layer of the same size that loads its state_dict does the same."""
        assume(first.weight.shape == second.weight.shape)
        layers = [student.Int8Linear(linear, **CODES) for linear in (first, second)]
        layers[1].load_state_dict(layers[0].state_dict())
        x = torch.eye(first.in_features)
        assert_close(layers[1](x), layers[0](x), tolerance=1e-4, what="the output of the layer that loaded the state")


# ---- training in little memory


@dataclass
class Chain:
    """Blocks that are called one after the other and take notes: which one, in which pass."""

    count: int
    calls: list[int] = field(default_factory=list)

    def blocks(self) -> list[Callable[[Tensor], Tensor]]:
        """As functions."""
        return [self._block(number) for number in range(self.count)]

    def _block(self, number: int) -> Callable[[Tensor], Tensor]:
        def block(x: Tensor) -> Tensor:
            self.calls.append(number)
            return self.act(number, x)

        return block

    @staticmethod
    def act(number: int, x: Tensor) -> Tensor:
        """A function of its own for each block, of which the next two need its result."""
        return torch.sin(x * (1 + number / 4)) + x.roll(1) * x

    def plain(self, x: Tensor) -> Tensor:
        """The composition, without notes."""
        for number in range(self.count):
            x = self.act(number, x)
        return x

    def segments(self, segments: int) -> list[list[int]]:
        """The runs of blocks: as `numpy.array_split` makes them."""
        return [part.tolist() for part in np.array_split(np.arange(self.count), segments)]


@exercise("checkpointed", contract=False)
class TestCheckpointed:
    @required
    @given(count=st.integers(2, 5), data=st.data(), x=tensors((2, 3), low=-1, high=1))
    @settings(max_examples=5)
    def test_is_the_composition_with_its_gradient(
        self, student: Any, count: int, data: st.DataObject, x: Tensor
    ) -> None:
        """The result and the gradient for x are those of calling one block after the other."""
        chain = Chain(count)
        segments = data.draw(st.integers(1, count), label="segments")
        x = (x + torch.arange(6.0).view(2, 3) / 8).requires_grad_()
        expected = chain.plain(x)
        received = student.checkpointed(chain.blocks(), x, segments)
        assert_close(received.detach(), expected.detach(), tolerance=1e-4, what="the result")
        assert_depends(received, x, what="the result", on_what="x")
        (wanted,) = torch.autograd.grad(expected.square().sum(), x)
        (gradient,) = torch.autograd.grad(student.checkpointed(chain.blocks(), x, segments).square().sum(), x)
        assert_close(gradient, wanted, tolerance=1e-3, what="the gradient with respect to x")

    @weight(6)
    @given(case=st.sampled_from([(5, 2), (7, 3), (4, 2), (5, 3), (6, 1), (3, 3), (8, 5)]))
    @settings(max_examples=7)
    def test_segments_run_again_last_one_first(self, student: Any, case: tuple[int, int]) -> None:
        """In the backward pass each segment runs once more, the last one first; the longer ones are the first ones."""
        count, segments = case
        chain = Chain(count)
        x = torch.linspace(-1, 1, 3).requires_grad_()
        result = student.checkpointed(chain.blocks(), x, segments)
        if chain.calls != list(range(count)):
            fail(f"In the forward pass the blocks should be called in order, once each; called were {chain.calls}.")
        chain.calls.clear()
        if not result.requires_grad:
            fail("No gradient flows back from the result.")
        torch.autograd.grad(result.sum(), x)
        expected = [number for part in reversed(chain.segments(segments)) for number in part]
        if chain.calls != expected:
            fail(f"With {count} blocks in {segments} segments the backward pass should call {expected} again,",
                 f"but it called {chain.calls or 'none'}.")  # fmt: skip

    @weight(4)
    @given(generator=generators(), needs=st.booleans())
    @settings(max_examples=4)
    def test_gradients_for_parameters(self, student: Any, generator: torch.Generator, needs: bool) -> None:
        """Gradients reach the parameters of the blocks, whether or not x requires one."""
        blocks = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh())
        redraw(blocks, generator)
        x = torch.randn(5, 3, generator=generator, requires_grad=needs)
        parameters = list(blocks.parameters())
        wanted = torch.autograd.grad(blocks(x).square().sum(), parameters)
        result = student.checkpointed(list(blocks), x, 2)
        if not result.requires_grad:
            fail("No gradient flows back to the parameters of the blocks.")
        found = torch.autograd.grad(result.square().sum(), parameters, allow_unused=True, materialize_grads=True)
        for place, (got, gradient) in enumerate(zip(found, wanted, strict=True)):
            assert_close(got, gradient, tolerance=1e-3, what=f"the gradient for parameter {place} of the blocks")

    @weight(6)
    @given(seed=st.integers(0, 1000), segments=st.integers(1, 2))
    @settings(max_examples=4)
    def test_dropout_is_the_same_both_times(self, student: Any, seed: int, segments: int) -> None:
        """Dropout keeps the same numbers in both passes: what was dropped gets no gradient, and what was kept gets one."""
        x = torch.linspace(1, 2, 40).requires_grad_()
        result = student.checkpointed([nn.Dropout(0.5), nn.Sequential(nn.Tanh(), nn.Dropout(0.25))], x, segments)
        (gradient,) = torch.autograd.grad(result.sum(), x)
        assert_shape(result, (40,))
        assert_close((gradient != 0).long(), (result.detach() != 0).long(), what="where the gradient is not zero")

    @given(x=tensors((2, 3)))
    @settings(max_examples=2)
    def test_without_gradients(self, student: Any, x: Tensor) -> None:
        """Where no gradient is asked for the blocks are called once, in order."""
        chain = Chain(3)
        with torch.no_grad():
            received = student.checkpointed(chain.blocks(), x, 2)
        assert_close(received, chain.plain(x), tolerance=1e-4, what="the result")
        if chain.calls != [0, 1, 2]:
            fail(f"The blocks called were {chain.calls}.")


def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """A criterion: the mean over examples of a sum over the rest. Large outputs cost a little, too."""
    return ((outputs - y).square() + outputs / 2).flatten(1).sum(1).mean()


@dataclass(frozen=True)
class Splits:
    """A model, and a batch in parts of different sizes."""

    model: nn.Sequential
    batches: list[tuple[Tensor, Tensor]]

    def whole(self) -> tuple[Tensor, list[Tensor]]:
        """Loss and gradients of all of it at once."""
        x, y = (torch.cat(parts) for parts in zip(*self.batches, strict=True))
        loss = squared_error(self.model(x), y)
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        return loss.detach(), list(found)


@st.composite
def splits(draw: st.DrawFn, parts: Sequence[int] | None = None, *, dtype: torch.dtype = torch.float32) -> Splits:
    """Batches of which the parts have different sizes and different losses."""
    counts = parts if parts is not None else draw(st.sampled_from([(3, 1), (1, 2, 4), (4, 1, 2), (2, 5)]))
    generator = draw(generators())
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)
    redraw(model, generator)
    batches = [
        (
            torch.randn(count, 3, generator=generator).to(dtype),
            torch.randn(count, 2, generator=generator).to(dtype) + 3 * place,
        )
        for place, count in enumerate(counts)
    ]
    return Splits(model, batches)


def check_gradients(result: Any, loss: Tensor, gradients: list[Tensor]) -> None:
    """Check the pair that `accumulate_gradients` returns."""
    if not isinstance(result, tuple | list) or len(result) != 2 or not isinstance(result[1], tuple | list):
        fail(f"The result should be the pair (loss, list of gradients), but it is {describe(result)}.")
    if len(result[1]) != len(gradients):
        fail(f"There should be a gradient for each of {len(gradients)} parameters, but there are {len(result[1])}.")
    assert_close(result[0], loss, tolerance=1e-3, what="the loss")
    for place, (received, expected) in enumerate(zip(result[1], gradients, strict=True)):
        assert_close(received, expected, tolerance=1e-3, what=f"the gradient for parameter {place}")


class Watched(nn.Module):
    """A model that notes when it is called, and when a gradient comes back."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.events = events

    def forward(self, x: Tensor) -> Tensor:
        """A linear map."""
        self.events.append(f"forward {len(x)}")
        y = self.linear(x)
        if y.requires_grad:
            y.register_hook(lambda gradient: self.events.append(f"backward {len(gradient)}"))
        return y * 1


class Spare(nn.Module):
    """A model with a parameter that takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Parameter(torch.ones(2))
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """A linear map."""
        return self.linear(x)


@exercise("accumulate_gradients", contract=False)
class TestAccumulateGradients:
    @required
    @given(case=splits((2, 2)))
    @settings(max_examples=4)
    def test_two_equal_parts(self, student: Any, case: Splits) -> None:
        """Of two parts of equal size it gives the loss and the gradients of both together."""
        check_gradients(student.accumulate_gradients(case.model, squared_error, case.batches), *case.whole())

    @weight(4)
    @given(case=splits())
    @settings(max_examples=6)
    def test_parts_of_different_sizes(self, student: Any, case: Splits) -> None:
        """Parts of different sizes give the loss and the gradients of one large batch: each example weighs the same."""
        check_gradients(student.accumulate_gradients(case.model, squared_error, case.batches), *case.whole())

    @weight(6)
    @given(seed=st.integers(0, 1000), sizes_=st.sampled_from([(3, 1, 2), (2, 4), (1, 2, 3, 4)]))
    @settings(max_examples=3)
    def test_one_graph_at_a_time(self, student: Any, seed: int, sizes_: tuple[int, ...]) -> None:
        """Each part is passed forward and differentiated before the next one is touched, and no graph is left."""
        events: list[str] = []
        generator = torch.Generator().manual_seed(seed)
        batches = [(torch.randn(n, 3, generator=generator), torch.randn(n, 2, generator=generator)) for n in sizes_]
        loss, _ = student.accumulate_gradients(Watched(events), squared_error, batches)
        expected = [f"{way} {n}" for n in sizes_ for way in ("forward", "backward")]
        if events != expected:
            fail(f"With parts of {', '.join(map(str, sizes_))} examples the order should be {', '.join(expected)}.",
                 f"It was {', '.join(events) or 'nothing at all'}.")  # fmt: skip
        if loss.requires_grad:
            fail("The loss carries a graph, which keeps every part in memory.")

    @weight(6)
    @given(case=splits(), place=st.integers(0, 1))
    @settings(max_examples=4)
    def test_frozen_and_unused_parameters(self, student: Any, case: Splits, place: int) -> None:
        """Frozen parameters have no gradient in the list; those that require one but take no part have zeros."""
        case.model[2 * place].requires_grad_(False)
        check_gradients(student.accumulate_gradients(case.model, squared_error, case.batches), *case.whole())
        model = Spare()
        x, y = case.batches[0]
        loss = squared_error(model(x), y)
        wanted = torch.autograd.grad(loss, [model.linear.weight, model.linear.bias])
        zeros = torch.zeros_like(model.spare)
        received = student.accumulate_gradients(model, squared_error, case.batches[:1])
        check_gradients(received, loss.detach(), [zeros, *wanted])

    @weight(2)
    @given(case=splits(dtype=torch.float64))
    @settings(max_examples=3)
    def test_no_graph_is_left(self, student: Any, case: Splits) -> None:
        """The loss carries no graph, and all is in the dtype of the model, here double precision."""
        result = student.accumulate_gradients(case.model, squared_error, case.batches)
        check_gradients(result, *case.whole())
        if result[0].requires_grad or any(part.requires_grad for part in result[1]):
            fail("The results carry a graph, which keeps every part in memory.")


# ---- serving


@dataclass(frozen=True)
class Queue:
    """Requests, and the server's rules. All times are multiples of 1/8."""

    arrivals: list[float]
    lengths: list[int]
    max_size: int
    max_wait: float
    max_tokens: int | None = None
    per_token: float | None = None

    def seconds(self, lengths: list[int]) -> float:
        """How long a batch takes: its longest request counts, and their number."""
        return (self.per_token or 0.0) * (max(lengths) + len(lengths))

    def ask(self, function: Callable[..., Any], **changes: Any) -> Any:
        """What a function makes of it."""
        options: dict[str, Any] = {"max_size": self.max_size, "max_wait": self.max_wait}
        if self.max_tokens is not None:
            options["max_tokens"] = self.max_tokens
        if self.per_token is not None:
            options["seconds"] = self.seconds
        return function(self.arrivals, self.lengths, **options | changes)

    def by_the_clock(self) -> list[tuple[float, list[int]]]:
        """What happens, eighth of a second by eighth of a second."""
        found: list[tuple[float, list[int]]] = []
        done, free, tick = 0, 0, 0
        while done < len(self.arrivals):
            here = [i for i in range(done, len(self.arrivals)) if 8 * self.arrivals[i] <= tick]
            if not here or tick < free:
                tick += 1
                continue
            batch: list[int] = []
            for i in here:
                longest = max(self.lengths[j] for j in [*batch, i])
                too_many = self.max_tokens is not None and longest * (len(batch) + 1) > self.max_tokens
                if len(batch) == self.max_size or (batch and too_many):
                    break
                batch.append(i)
            full = len(batch) == self.max_size or len(batch) < len(here)
            if not full and tick < 8 * (self.arrivals[batch[0]] + self.max_wait):
                tick += 1
                continue
            found.append((tick / 8, batch))
            busy = self.seconds([self.lengths[i] for i in batch])
            free, done = tick + int(8 * busy), done + len(batch)
        return found


@st.composite
def queues(
    draw: st.DrawFn, *, tokens: bool = False, busy: bool = False, gaps: st.SearchStrategy[int] | None = None
) -> Queue:
    """Queues of six to nine requests."""
    count = draw(st.integers(6, 9))
    steps = draw(st.lists(gaps if gaps is not None else st.integers(0, 6), min_size=count, max_size=count))
    arrivals = [float(sum(steps[: place + 1])) / 8 for place in range(count)]
    lengths = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    return Queue(
        arrivals,
        lengths,
        draw(st.integers(2, 4)),
        draw(st.integers(1, 8)) / 8,
        draw(st.integers(6, 14)) if tokens else None,
        draw(st.sampled_from([0.125, 0.25])) if busy else None,
    )


def check_batches(received: Any, expected: list[tuple[float, list[int]]], hint: str | None = None) -> None:
    """Compare batches, and say which one is the first that differs."""
    if not isinstance(received, list):
        fail(f"The result should be a list of pairs, but it is {describe(received)}.")
    for place, wanted in enumerate(expected):
        if place == len(received):
            fail(f"There should be {len(expected)} batches, but there are only {place}.")
        got = received[place]
        pair = isinstance(got, tuple | list) and len(got) == 2 and isinstance(got[1], list | tuple)
        if not pair or list(got[1]) != wanted[1] or not abs(got[0] - wanted[0]) < 1e-6:
            fail(f"Batch {place} should be {wanted}, but it is {describe(got)}.", f"Hint: {hint}" if hint else None)
    if len(received) > len(expected):
        fail(f"There should be {len(expected)} batches, but there are {len(received)}.")


@exercise(
    "dynamic_batches", contract=queues().map(lambda q: ((q.arrivals, q.lengths), {"max_size": 2, "max_wait": 0.5}))
)
class TestDynamicBatches:
    @required
    @given(size=st.integers(2, 4), batches=st.integers(2, 3), start=st.integers(0, 9))
    @settings(max_examples=5)
    def test_full_batches_start_at_once(self, student: Any, size: int, batches: int, start: int) -> None:
        """If so many requests arrive at once as fit into several batches, they start at that moment, oldest first."""
        arrivals = [start / 8] * (size * batches)
        received = student.dynamic_batches(arrivals, [1] * len(arrivals), max_size=size, max_wait=1.0)
        expected = [(start / 8, list(range(first, first + size))) for first in range(0, len(arrivals), size)]
        check_batches(received, expected)

    @weight(4)
    @given(queue=queues())
    @settings(max_examples=8)
    def test_waits_for_others(self, student: Any, queue: Queue) -> None:
        """A batch starts as soon as it is full, or when its oldest request has waited long enough; here by the clock."""
        check_batches(queue.ask(student.dynamic_batches), queue.by_the_clock())

    @weight(5)
    @given(queue=queues(busy=True, gaps=st.integers(0, 3)))
    @settings(max_examples=8)
    def test_one_batch_at_a_time(self, student: Any, queue: Queue) -> None:
        """While the server is busy requests gather; when it is free those that have waited long enough start at once."""
        check_batches(queue.ask(student.dynamic_batches), queue.by_the_clock())

    @weight(8)
    @given(queue=queues(tokens=True, busy=True))
    @settings(max_examples=10)
    def test_padding_counts(self, student: Any, queue: Queue) -> None:
        """Number times largest length stays within max_tokens, and the first request that does not fit closes the batch."""
        hint = "every request of a batch is as long as the longest; the oldest is always taken."
        check_batches(queue.ask(student.dynamic_batches), queue.by_the_clock(), hint)

    @weight(2)
    @given(late=st.integers(2, 6))
    @settings(max_examples=3)
    def test_a_batch_that_is_closed_does_not_wait(self, student: Any, late: int) -> None:
        """A request that does not fit closes the batch before it, which then starts at once, full or not."""
        lengths = [2, 2, 9, 1, 1]
        arrivals = [0.0, 0.125, 0.25, 0.25, late / 8 + 0.25]
        received = student.dynamic_batches(arrivals, lengths, max_size=4, max_wait=2.0, max_tokens=8)
        # The long one alone has more than 8 tokens: it goes by itself as soon as the next one waits.
        last = (arrivals[3] + 2.0, [3, 4])
        check_batches(received, [(0.25, [0, 1]), (0.25, [2]), last])

    @weight(2)
    @given(queue=queues(busy=True))
    @settings(max_examples=4)
    def test_asks_how_long_each_batch_takes(self, student: Any, queue: Queue) -> None:
        """`seconds` is asked once for each batch, with the lengths of its requests."""
        asked: list[list[int]] = []

        def seconds(lengths: list[int]) -> float:
            asked.append(list(lengths))
            return 0.25

        batches = queue.ask(student.dynamic_batches, seconds=seconds)
        expected = [[queue.lengths[i] for i in requests] for _, requests in batches]
        if asked != expected:
            fail(f"The batches hold requests of lengths {expected}, but seconds was asked about {asked}.")

    @weight(2)
    @given(queue=queues(busy=True, gaps=st.integers(1, 6)))
    @settings(max_examples=5)
    def test_without_waiting(self, student: Any, queue: Queue) -> None:
        """With max_wait 0 nobody is kept waiting while the server is free."""
        queue = Queue(queue.arrivals, queue.lengths, queue.max_size, 0.0, None, queue.per_token)
        check_batches(queue.ask(student.dynamic_batches), queue.by_the_clock())

    @given(queue=queues(gaps=st.integers(1, 6)), place=st.integers(1, 5))
    @settings(max_examples=3)
    def test_arrivals_in_order(self, student: Any, queue: Queue, place: int) -> None:
        """Nobody asks, nothing happens; arrivals that are not in order are a ValueError."""
        if (received := student.dynamic_batches([], [], max_size=2, max_wait=1.0)) != []:
            fail(f"Without requests there are no batches, but it returned {describe(received)}.")
        arrivals = queue.arrivals.copy()
        arrivals[place - 1], arrivals[place] = arrivals[place], arrivals[place - 1]
        with pytest.raises(ValueError):
            student.dynamic_batches(arrivals, queue.lengths, max_size=2, max_wait=1.0)


class Writer:
    """Stands in for a language model: says what it was asked, and takes notes."""

    def __init__(self, fault: str | None = None) -> None:
        self.calls: list[tuple[list[str], list[int]]] = []
        self.fault = fault

    def __call__(self, prompts: list[str], max_tokens: list[int]) -> list[str]:
        """A text for each prompt; an exception if there is a fault and one of them says so."""
        self.calls.append((list(prompts), list(max_tokens)))
        if self.fault is not None and any("fail" in prompt for prompt in prompts):
            raise RuntimeError(self.fault)
        return [self.text(prompt, most) for prompt, most in zip(prompts, max_tokens, strict=True)]

    @staticmethod
    def text(prompt: str, most: int) -> str:
        """What it writes."""
        return f"<{prompt[::-1]}|{most}>"


def post(student: Any, app: Any, body: Any) -> tuple[int, Any]:
    """The answer to a request to /generate."""
    return student.ask(app, "POST", "/generate", body)


def check_answer(answer: tuple[int, Any], status: int, content: Any, *, what: str) -> None:
    """Check status and content of an answer."""
    if answer[0] != status:
        fail(
            f"{what} should be answered with status {status}, but it is answered with {answer[0]}: {describe(answer[1])}."
        )
    if answer[1] != content:
        fail(f"{what} should be answered with {content!r}, but it is answered with {describe(answer[1])}.")


PROMPTS = ["Once upon a time", "<b>ü & 猫</b>", 'a "quote"\nand a line']
QUICK = {"max_wait": 0.0}


@exercise("create_app", contract=False)
class TestCreateApp:
    @required
    @given(prompt=st.sampled_from(PROMPTS), tokens=st.integers(1, 100))
    @settings(max_examples=3)
    def test_writes(self, student: Any, prompt: str, tokens: int) -> None:
        """POST /generate answers with what the model wrote for the prompt, asked once, for as many tokens as was said."""
        writer = Writer()
        app = student.create_app(writer, **QUICK)
        answer = post(student, app, {"prompt": prompt, "max_tokens": tokens})
        check_answer(answer, 200, {"text": Writer.text(prompt, tokens)}, what=f"The prompt {prompt!r}")
        if writer.calls != [([prompt], [tokens])]:
            fail(f"The model should be asked once, for {([prompt], [tokens])}; it was asked {writer.calls}.")

    @weight(2)
    @given(limit=st.sampled_from([5, 20, 50]))
    @settings(max_examples=2)
    def test_page_health_and_defaults(self, student: Any, limit: int) -> None:
        """GET / is the page with its headers, GET /health says ok without asking the model; max_tokens may be left out."""
        writer = Writer()
        app = student.create_app(writer, max_tokens=limit, **QUICK)
        status, content = student.ask(app, "GET", "/")
        if status != 200 or content != page():
            fail(f"GET / should answer 200 with page(), but it answers {status} with {describe(content)}.")
        headers = student.headers_of(app, "GET", "/")
        for name, value in PAGE_HEADERS.items():
            if headers.get(name.lower()) != value:
                fail(f"The header {name} of the page should be {value!r}, but it is {headers.get(name.lower())!r}.")
        if not headers.get("content-type", "").startswith("text/html"):
            fail(f"The page should be sent as text/html, but it is sent as {headers.get('content-type')!r}.")
        check_answer(student.ask(app, "GET", "/health"), 200, {"status": "ok"}, what="GET /health")
        if writer.calls:
            fail("The model was asked, though nobody sent a prompt.")
        expected = Writer.text("rain", min(20, limit))
        check_answer(
            post(student, app, {"prompt": "rain"}), 200, {"text": expected}, what="A prompt without max_tokens"
        )

    @weight(10)
    @given(most=st.integers(5, 30), longest=st.integers(4, 20))
    @settings(max_examples=2)
    def test_refuses_what_it_should(self, student: Any, most: int, longest: int) -> None:
        """422 for what has the wrong form or is beyond a limit, 413 for a body that is too large; the model is not asked."""
        writer = Writer()
        app = student.create_app(writer, max_tokens=most, max_prompt=longest, max_body=200, **QUICK)
        good: list[Any] = [{"prompt": "x" * longest, "max_tokens": most}, {"prompt": "猫", "max_tokens": 1}]
        for body in good:
            expected = {"text": Writer.text(body["prompt"], body["max_tokens"])}
            check_answer(post(student, app, body), 200, expected, what=f"The request {body}")
        bad: list[Any] = [
            *({"prompt": prompt} for prompt in ("", "x" * (longest + 1), 5, None, ["a"])),
            *({"prompt": "a", "max_tokens": value} for value in (0, -1, most + 1, "5", 5.0, 2.5, True, None)),
            {"prompt": "a", "temperature": 1.0},
            {"max_tokens": 3},
            {},
            ["a"],
            "a",
        ]
        for body in bad:
            status, content = post(student, app, body)
            if status != 422 or not isinstance(content, dict | list):
                fail(f"The request {body!r} should be answered with status 422 and JSON, "
                     f"but it is answered with {status} and {describe(content)}.")  # fmt: skip
        for raw in (b"", b"{", b'{"prompt": NaN}', b'{"prompt": "\\ud800", "max_tokens": -1}', b"\xff"):
            status, content = student.ask(app, "POST", "/generate", body=raw)
            if status not in (400, 422) or not isinstance(content, dict | list):
                fail(f"The body {raw!r} should be answered with status 422 and JSON, "
                     f"but it is answered with {status} and {describe(content)}.")  # fmt: skip
        frame = len(b'{"prompt": "a", "max_tokens": 2}')
        fits = b'{"prompt": "a", "max_tokens": 2' + b" " * (200 - frame) + b"}"
        status, content = student.ask(app, "POST", "/generate", body=fits)
        check_answer(
            (status, content), 200, {"text": Writer.text("a", 2)}, what="A body of as many bytes as it may have"
        )
        for body in (fits + b" ", b"x" * 50_000):
            status, _ = student.ask(app, "POST", "/generate", body=body)
            if status != 413:
                fail(f"A body of {len(body)} bytes, where 200 are allowed, should be answered with 413, not {status}.")
        if len(writer.calls) != len(good) + 1:
            fail(f"The model was asked {len(writer.calls)} times, though only {len(good) + 1} requests were in order.")

    @weight(10)
    @given(size=st.sampled_from([2, 3]), batches=st.integers(2, 3))
    @settings(max_examples=2)
    def test_answers_together(self, student: Any, size: int, batches: int) -> None:
        """Requests wait for others, and those that wait are answered by one call; one more than may wait gets 503."""
        writer = Writer()
        app = student.create_app(writer, max_batch=size, max_wait=5.0)
        bodies = [{"prompt": f"number {i}", "max_tokens": 1 + i} for i in range(size * batches)]
        answers = student.ask_together(app, [("POST", "/generate", body) for body in bodies])
        for answer, body in zip(answers, bodies, strict=True):
            expected = {"text": Writer.text(str(body["prompt"]), int(str(body["max_tokens"])))}
            check_answer(tuple(answer), 200, expected, what=f"The request {body}, one of {len(bodies)}")
        taken = [len(prompts) for prompts, _ in writer.calls]
        if taken != [size] * batches:
            fail(f"{len(bodies)} requests at once, {size} in a batch, are {batches} calls of the model; "
                 f"it was called with {', '.join(map(str, taken))} prompts.")  # fmt: skip
        crowded = Writer()
        app = student.create_app(crowded, max_batch=8, max_wait=0.15, max_waiting=size)
        answers = student.ask_together(app, [("POST", "/generate", {"prompt": "a"})] * (size + 2))
        statuses = sorted(status for status, _ in answers)
        if statuses != [200] * size + [503] * 2:
            fail(f"Where {size} may wait, {size + 2} requests at once should be answered with 200 and 503 (two of them), "
                 f"but they are answered with {', '.join(map(str, statuses))}.")  # fmt: skip
        if sum(len(prompts) for prompts, _ in crowded.calls) != size:
            fail("The model was asked about requests that were answered with 503.")
        with pytest.raises(OSError):  # TimeoutError: whoever asks gives up before somebody else has come
            student.ask(student.create_app(Writer(), max_wait=60.0), "POST", "/generate", {"prompt": "a"}, seconds=0.08)

    @weight(10)
    @given(secret=st.sampled_from(["the password is 42", "/home/someone/model.bin"]))
    @settings(max_examples=2)
    def test_survives_a_model_that_fails(self, student: Any, secret: str) -> None:
        """If the model raises, the answer is 500 in JSON without its message; requests after it are answered as ever."""
        writer = Writer(fault=secret)
        app = student.create_app(writer, **QUICK)
        for turn in range(2):
            status, content = post(student, app, {"prompt": "fail"})
            if status != 500 or not isinstance(content, dict | list):
                fail(f"A model that raises should be answered with status 500 and JSON, "
                     f"but the answer is {status} with {describe(content)}.")  # fmt: skip
            if secret in str(content):
                fail(f"The answer holds the exception's message, which is nobody's business: {describe(content)}.")
            answer = post(student, app, {"prompt": "rain", "max_tokens": 3 + turn})
            check_answer(answer, 200, {"text": Writer.text("rain", 3 + turn)}, what="The request after that")
        other = Writer()
        answer = post(student, student.create_app(other, **QUICK), {"prompt": "fail", "max_tokens": 2})
        check_answer(answer, 200, {"text": Writer.text("fail", 2)}, what="The same request to a second app")
        if len(other.calls) != 1 or len(writer.calls) != 4:
            fail("Two apps should share nothing: each asks its own model.")
