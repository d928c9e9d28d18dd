# ruff: noqa: D101
"""Hidden properties of `autoregressive`. What a layer may see is read off its derivatives, never off its code."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Categorical
from transformers.loss.loss_utils import ForCausalLMLoss

from autograder.properties.networks import assert_parameters_matter, assert_rows_apart, redraw
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_shape,
    describe,
    exercise,
    fail,
    generators,
    required,
    sizes,
    tensors,
    weight,
)
from solutions import autoregressive as reference

Call = tuple[tuple[Any, ...], dict[str, Any]]


def ids(shape: Any, high: int, low: int = 0) -> st.SearchStrategy[Tensor]:
    """Whole numbers from `low` to `high`."""
    return tensors(shape, dtype=torch.int64, low=low, high=high)


def noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(tuple(shape), generator=generator)


def probabilities(*shape: int, low: int = 1) -> st.SearchStrategy[Tensor]:
    """Tables whose last dimension adds up to 1; with `low` 0 some entries are 0."""
    return ids(shape, 9, low).map(shares)


def shares(weights: Tensor) -> Tensor:
    """What share each number has of the sum over the last dimension; alike where all are 0."""
    weights = weights.double()
    weights = torch.where(weights.sum(-1, keepdim=True) > 0, weights, 1.0)
    return (weights / weights.sum(-1, keepdim=True)).float()


def all_sequences(symbols: int, length: int) -> Tensor:
    """All sequences of that length over 0, …, symbols − 1: (symbols ** length, length)."""
    return torch.tensor(list(itertools.product(range(symbols), repeat=length))).view(-1, length)


def load_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a student's module its weights, under the names that its docstring promises."""
    own = dict(module.named_parameters(remove_duplicate=False))
    for name, value in weights.items():
        if name not in own:
            found = ", ".join(sorted(own)) or "none at all"
            fail(f"There is no parameter {name!r} to load weights into.", f"The parameters are: {found}.")
        if own[name].shape != value.shape:
            fail(f"The parameter {name!r} should have shape {tuple(value.shape)}, but it has {tuple(own[name].shape)}.")
        with torch.no_grad():
            own[name].copy_(value)


def assert_begins_like(module: nn.Module, names: dict[str, tuple[int, ...]], seen: float) -> None:
    """Check that a convolution has these parameters, and no others, drawn as torch draws them.

    Args:
        module: what a student made.
        names: the shape of each parameter.
        seen: the share of the weights that count: the others may have been set to 0.
    """
    own = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    if own != names:
        fail(f"The parameters should be {names}.", f"They are {own}.")
    bound = math.prod(names["weight"][1:]) ** -0.5
    for name, shape in names.items():
        values = module.get_parameter(name).detach()
        assert_between(values, -bound, bound, what=f"a number in the fresh `{name}`")
        # |w| is uniform on [0, bound], with a variance of bound²/12: six standard errors.
        count = math.prod(shape) * (seen if name == "weight" else 1)
        mean, room = values.abs().sum().item() / bound / count, 6 * (12 * count) ** -0.5
        assert_between(
            mean, 0.5 - room, 0.5 + room, what=f"the mean size of the fresh `{name}`, in units of its bound,"
        )


def gradients(scalar: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradients of a number; zeros where none flows."""
    return torch.autograd.grad(scalar, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)


def influences(output: Tensor, *inputs: Tensor, along: torch.Generator) -> list[Tensor]:
    """How much an output (channels,) of the first image depends on each place of each input, summed over channels."""
    if not isinstance(output, Tensor) or not output.requires_grad:
        fail("No gradient flows back through the result.")
    weights = torch.rand(output.shape, generator=along) + 0.5
    return [gradient[0].abs().sum(0) for gradient in gradients((output * weights).sum(), inputs)]


def assert_sees(found: Tensor, seen: Tensor, *, what: str, whom: str) -> None:
    """Check where influences are zero and where they are not.

    Args:
        found: influences of all places.
        seen: where there has to be one; elsewhere there may be none.
        what: what depends: "the output at (1, 2)".
        whom: on what: "the input".
    """
    if (places := (~seen & (found != 0)).nonzero().tolist()) != []:
        fail(f"{what} must not depend on {whom} at {tuple(places[0])}, but it does.", shown(found != 0, seen))
    if (places := (seen & (found == 0)).nonzero().tolist()) != []:
        fail(f"{what} should depend on {whom} at {tuple(places[0])}, but it does not.", shown(found != 0, seen))


def shown(found: Tensor, seen: Tensor) -> str:
    """Two small maps, of what should be seen and of what is."""
    maps = ["".join("#" if cell else "." for cell in row) for part in (seen, found) for row in part.view(len(part), -1)]
    if found.ndim == 1:
        maps = ["".join("#" if cell else "." for cell in part) for part in (seen, found)]
    half = len(maps) // 2
    return f"should see  {' / '.join(maps[:half])}\nsees        {' / '.join(maps[half:])}"


# ---- Markov chains


@st.composite
def corpora(draw: st.DrawFn, *, order: st.SearchStrategy[int] | None = None) -> Call:
    """Arguments of `fit_markov_chain`."""
    states, chosen = draw(sizes(2, 4)), draw(st.integers(0, 3) if order is None else order)
    tokens = draw(ids((draw(sizes(1, 4)), draw(sizes(chosen + 1, chosen + 5))), states - 1))
    return (tokens, states), {"order": chosen, "smoothing": draw(st.sampled_from([0.0, 0.5, 0.0, 1.0, 0.25]))}


@exercise("fit_markov_chain", contract=corpora())
class TestFitMarkovChain:
    @required
    @given(batch=sizes(1, 3), length=sizes(4, 7), first=st.booleans())
    @settings(max_examples=4)
    def test_what_always_follows_is_certain(self, student: Any, batch: int, length: int, first: bool) -> None:
        """If 1 always follows 0 and 0 always follows 1, the chain goes back and forth with certainty."""
        tokens = (torch.arange(length) + first).remainder(2).repeat(batch, 1)
        assert_close(student.fit_markov_chain(tokens, 2), torch.tensor([[0.0, 1.0], [1.0, 0.0]]), what="the chain")

    @weight(4)
    @given(call=corpora())
    @settings(max_examples=15)
    def test_counts_by_hand(self, student: Any, call: Call) -> None:
        """Every probability is the fraction that counting by hand gives, for any order and smoothing."""
        (tokens, states), options = call
        order, smoothing = options["order"], Fraction(options["smoothing"])
        counts: Counter[tuple[int, ...]] = Counter()
        for row in tokens.tolist():
            counts.update(tuple(row[end - order : end + 1]) for end in range(order, len(row)))
        expected = []
        for context in itertools.product(range(states), repeat=order):
            total = sum(counts[*context, state] for state in range(states)) + smoothing * states
            for state in range(states):
                expected.append(float((counts[*context, state] + smoothing) / total) if total else 1 / states)
        received = student.fit_markov_chain(tokens, states, **options)
        shape = (states,) * (order + 1)
        assert_close(received, torch.tensor(expected).view(shape), what="the chain", sizes={"states": states})

    @weight(2)
    @given(tokens=ids((2, 6), 2), other=ids((2, 6), 2), order=st.integers(1, 2))
    @settings(max_examples=8)
    def test_sequences_have_borders(self, student: Any, tokens: Tensor, other: Tensor, order: int) -> None:
        """Nothing is counted across a border: the order of the sequences in the batch makes no difference."""
        tokens[:, -1], other[:, 0] = 0, 1  # what would be counted across the border is seldom seen elsewhere
        there = student.fit_markov_chain(torch.cat([tokens, other]), 3, order=order)
        back = student.fit_markov_chain(torch.cat([other, tokens]), 3, order=order)
        assert_shape(there, (3,) * (order + 1), what="the chain")
        assert_close(back, there, what="the chain of the same sequences in another order")

    @weight(3)
    @given(tokens=ids((2, 5), 1), order=st.integers(1, 2), more=st.integers(1, 2))
    @settings(max_examples=6)
    def test_unseen_contexts(self, student: Any, tokens: Tensor, order: int, more: int) -> None:
        """After a context that nothing has followed all states are equally likely, with smoothing and without."""
        states = 2 + more
        for smoothing in (0.0, 0.5):
            chain = student.fit_markov_chain(tokens, states, order=order, smoothing=smoothing)
            assert_shape(chain, (states,) * (order + 1), what="the chain")
            expected = torch.full((more, *[states] * order), 1 / states)
            assert_close(chain[2:], expected, what="the probabilities after a context that begins with an unseen state")

    @weight(2)
    @given(tokens=ids((2, 3), 2), order=st.integers(0, 2), rounds=st.integers(1, 3))
    @settings(max_examples=8)
    def test_smoothing_is_data_that_was_not_there(self, student: Any, tokens: Tensor, order: int, rounds: int) -> None:
        """Smoothing with 1 is the same as seeing every state once more after every context."""
        tokens = tokens[:, : order + 1]
        everything = all_sequences(3, order + 1).repeat(rounds, 1)
        expected = student.fit_markov_chain(torch.cat([tokens, everything]), 3, order=order)
        received = student.fit_markov_chain(tokens, 3, order=order, smoothing=float(rounds))
        assert_shape(received, (3,) * (order + 1), what="the chain")
        assert_close(received, expected, what=f"the chain with a smoothing of {rounds}")

    @weight(2)
    @given(tokens=ids((3, 7), 1), smoothing=st.sampled_from([0.0, 2.0]))
    @settings(max_examples=5)
    def test_contexts_are_in_the_order_of_reading(self, student: Any, tokens: Tensor, smoothing: float) -> None:
        """The entry [0, 1, 1] is the probability of 1 after 0 and then 1, not after 1 and then 0."""
        tokens[0, :4] = torch.tensor([0, 0, 1, 1])
        chain = student.fit_markov_chain(tokens, 2, order=2, smoothing=smoothing)
        assert_shape(chain, (2, 2, 2), what="the chain")
        windows = [tuple(row[i : i + 3]) for row in tokens.tolist() for i in range(5)]
        after = [window for window in windows if window[:2] == (0, 1)]
        share = (sum(window[2] for window in after) + smoothing) / (len(after) + 2 * smoothing)
        assert_close(chain[0, 1, 1], share, what="the probability of 1 after 0, 1")

    @given(tokens=ids((2, 2), 2), order=st.integers(2, 3))
    @settings(max_examples=3)
    def test_sequences_shorter_than_a_context(self, student: Any, tokens: Tensor, order: int) -> None:
        """Sequences that are too short for a context and its successor count for nothing."""
        expected = torch.full((3,) * (order + 1), 1 / 3)
        assert_close(student.fit_markov_chain(tokens, 3, order=order), expected, what="the chain")


@st.composite
def chains(draw: st.DrawFn, *, low: int = 0, initial: bool | None = None) -> Call:
    """Arguments of `sequence_log_likelihood`; with `low` 0 some transitions are impossible."""
    states, order = draw(sizes(2, 4)), draw(st.sampled_from([1, 2, 0]))
    tokens = draw(ids((draw(sizes(1, 4)), draw(sizes(order, order + 4))), states - 1))
    args = (tokens, draw(probabilities(*[states] * (order + 1), low=low)))
    if draw(st.booleans()) if initial is None else initial:
        return (*args, draw(probabilities(states**order)).view([states] * order)), {}
    return args, {}


@exercise("sequence_log_likelihood", contract=chains())
class TestSequenceLogLikelihood:
    @required
    @given(stay=st.sampled_from([0.875, 0.75, 0.625]), length=st.integers(6, 9))
    @settings(max_examples=4)
    def test_prefers_what_the_chain_prefers(self, student: Any, stay: float, length: int) -> None:
        """In a chain that likes to stay where it is, a sequence is the less likely the more often it changes."""
        chain = torch.tensor([[stay, 1 - stay], [1 - stay, stay]])
        changes = torch.arange(length).unsqueeze(0) > length - 1 - torch.arange(5).unsqueeze(1)
        tokens = changes.cumsum(1).remainder(2)  # row i changes i times
        received = student.sequence_log_likelihood(tokens, chain)
        assert_shape(received, (5,), what="the log-likelihood")
        assert_between(received, None, 0, what="a log-probability")
        drop = received[:-1] - received[1:]
        assert_between(drop, 0.01, tolerance=0, what="what one more change costs")

    @weight(4)
    @given(call=chains())
    @settings(max_examples=15)
    def test_multiplies_probabilities(self, student: Any, call: Call) -> None:
        """Its exponential is the product of the chain's probabilities along the sequence, by hand, for any order."""
        (tokens, table, *rest), _ = call
        order = table.ndim - 1
        expected = []
        for row in tokens.tolist():
            product = rest[0][tuple(row[:order])].item() if rest else 1.0
            for end in range(order, len(row)):
                product *= table[tuple(row[end - order : end + 1])].item()
            expected.append(math.log(product) if product else -math.inf)
        received = student.sequence_log_likelihood(*call[0])
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the log-likelihood")

    @weight(2)
    @given(states=st.integers(2, 3), order=st.integers(0, 2), seed=generators())
    @settings(max_examples=6)
    def test_probabilities_of_all_sequences_add_up_to_one(
        self, student: Any, states: int, order: int, seed: torch.Generator
    ) -> None:
        """The probabilities of all sequences of a length add up to 1; without `initial`, for each beginning by itself."""
        table = torch.rand([states] * (order + 1), generator=seed).softmax(-1)
        initial = torch.rand(states**order, generator=seed).softmax(0).view([states] * order)
        tokens = all_sequences(states, order + 2)
        for start, total in ((initial, 1.0), (None, float(states**order))):
            log_p = student.sequence_log_likelihood(tokens, table, start)
            assert_shape(log_p, (len(tokens),), what="the log-likelihood")
            assert_close(log_p.double().exp().sum(), total, tolerance=1e-4, what="the sum of all probabilities")

    @weight(6)
    @given(length=st.sampled_from([500, 2000]), halves=st.integers(1, 3))
    @settings(max_examples=3)
    def test_long_sequences(self, student: Any, length: int, halves: int) -> None:
        """A sequence of thousands of tokens, whose probability no float can hold, has a finite log-probability."""
        table = torch.tensor([[1 - 0.5**halves, 0.5**halves], [1.0, 0.0]])
        tokens = torch.arange(length).remainder(2).repeat(2, 1)
        expected = torch.full((2,), -halves * math.log(2) * (length // 2))
        received = student.sequence_log_likelihood(tokens, table)
        assert_close(received, expected, tolerance=1e-4, what="the log-likelihood", sizes={"length": length})

    @weight(2)
    @given(place=st.integers(1, 4), order=st.integers(1, 2))
    @settings(max_examples=5)
    def test_what_cannot_be_is_minus_infinity(self, student: Any, place: int, order: int) -> None:
        """One step that the chain never takes makes the whole sequence impossible, and no other."""
        table = torch.full([3] * (order + 1), 1 / 2)
        table[..., 2] = 0.0
        tokens = torch.zeros(2, 6, dtype=torch.int64)
        tokens[0, place + 1] = 2
        expected = torch.tensor([-math.inf, (6 - order) * math.log(1 / 2)])
        received = student.sequence_log_likelihood(tokens, table)
        assert_close(received, expected, tolerance=1e-4, what="the log-likelihood")

    @weight(2)
    @given(call=chains(low=1, initial=True), more=ids((4, 3), 1))
    @settings(max_examples=6)
    def test_the_chain_rule(self, student: Any, call: Call, more: Tensor) -> None:
        """A sequence costs what its beginning costs, and what its end costs once the beginning is known."""
        (tokens, table, initial), _ = call
        order = table.ndim - 1
        longer = torch.cat([tokens, more[: len(tokens)]], dim=1)
        whole = student.sequence_log_likelihood(longer, table, initial)
        beginning = student.sequence_log_likelihood(tokens, table, initial)
        end = student.sequence_log_likelihood(longer[:, tokens.shape[1] - order :], table)
        for part in (whole, beginning, end):
            assert_shape(part, (len(tokens),), what="the log-likelihood")
        assert_close(whole, beginning + end, tolerance=1e-4, what="the log-likelihood of the whole")


@exercise(
    "stationary_distribution",
    contract=st.tuples(st.tuples(sizes().flatmap(lambda n: probabilities(n, n))), st.just({})),
)
class TestStationaryDistribution:
    @required
    @given(leave=st.sampled_from([(1, 3), (1, 2), (5, 1), (2, 7), (4, 8)]))
    @settings(max_examples=4)
    def test_two_states(self, student: Any, leave: tuple[int, int]) -> None:
        """Of two states each is visited in proportion to the probability of leaving the other."""
        a, b = leave[0] / 8, leave[1] / 8
        chain = torch.tensor([[1 - a, a], [b, 1 - b]])
        expected = torch.tensor([b / (a + b), a / (a + b)])
        assert_close(student.stationary_distribution(chain), expected, tolerance=1e-4, what="the distribution")

    @weight(2)
    @given(chain=sizes(1, 6).flatmap(lambda n: probabilities(n, n)))
    @settings(max_examples=8)
    def test_a_step_changes_nothing(self, student: Any, chain: Tensor) -> None:
        """A step of the chain leaves it as it is; no probability is negative, and they add up to 1."""
        found = student.stationary_distribution(chain)
        assert_shape(found, (len(chain),), what="the distribution")
        assert_between(found, 0, what="a probability")
        assert_close(found.sum(), 1.0, tolerance=1e-4, what="the sum of all probabilities")
        assert_close(found @ chain, found, tolerance=1e-4, what="the distribution after a step")

    @weight(2)
    @given(chain=sizes(2, 5).flatmap(lambda n: probabilities(n, n)))
    @settings(max_examples=8)
    def test_equals_the_sum_over_trees(self, student: Any, chain: Tensor) -> None:
        """It is what Kirchhoff's matrix-tree theorem says: in proportion to the minors of I − P."""
        laplacian = torch.eye(len(chain), dtype=torch.float64) - chain.double()
        rest = [[other for other in range(len(chain)) if other != state] for state in range(len(chain))]
        minors = torch.stack([torch.linalg.det(laplacian[keep][:, keep]) for keep in rest])
        expected = (minors / minors.sum()).float()
        assert_close(student.stationary_distribution(chain), expected, tolerance=1e-4, what="the distribution")

    @weight(3)
    @given(weights=ids(4, 5, 1), ring=st.booleans())
    @settings(max_examples=6)
    def test_walks_that_are_periodic(self, student: Any, weights: Tensor, ring: bool) -> None:
        """A walk along weighted edges is at each place in proportion to its edges' weights, even if it never settles down."""
        count = 4 if ring else 5  # both have no odd cycles, so that even and odd places alternate
        edges = torch.zeros(count, count)
        for place, each in enumerate(weights.tolist()):
            edges[place, (place + 1) % count] = edges[(place + 1) % count, place] = each
        chain = edges / edges.sum(1, keepdim=True)
        expected = edges.sum(1) / edges.sum()
        assert_close(student.stationary_distribution(chain), expected, tolerance=1e-4, what="the distribution")

    @weight(2)
    @given(rates=st.tuples(st.sampled_from([1, 3]), st.sampled_from([2, 8])), keep=st.booleans())
    @settings(max_examples=4)
    def test_chains_that_hardly_move(self, student: Any, rates: tuple[int, int], keep: bool) -> None:
        """A chain that leaves its states once in hundreds of steps has the distribution of a faster one."""
        a, b = (rate / 1024 for rate in (rates if keep else rates[::-1]))
        chain = torch.tensor([[1 - a, a], [b, 1 - b]])
        expected = torch.tensor([b / (a + b), a / (a + b)])
        assert_close(student.stationary_distribution(chain), expected, tolerance=2e-3, what="the distribution")

    @given(order=st.permutations(range(4)), chain=probabilities(4, 4))
    @settings(max_examples=4)
    def test_names_of_states_do_not_matter(self, student: Any, order: list[int], chain: Tensor) -> None:
        """If the states are numbered otherwise, their probabilities are, too."""
        found = student.stationary_distribution(chain)
        assert_shape(found, (4,), what="the distribution")
        again = student.stationary_distribution(chain[order][:, order])
        assert_close(again, found[order], tolerance=1e-4, what="the distribution of the renumbered chain")


@st.composite
def paces(draw: st.DrawFn, low: int = 1) -> Call:
    """Arguments of `entropy_rate`."""
    states = draw(sizes())
    return (draw(probabilities(states, states, low=low)), draw(probabilities(states))), {}


@exercise("entropy_rate", contract=paces())
class TestEntropyRate:
    @required
    @given(states=sizes(2, 6), seed=generators())
    @settings(max_examples=5)
    def test_all_states_alike(self, student: Any, states: int, seed: torch.Generator) -> None:
        """Where each of n states follows with the same probability it is log n."""
        stationary = torch.rand(states, generator=seed).softmax(0)
        received = student.entropy_rate(torch.full((states, states), 1 / states), stationary)
        assert_close(received, math.log(states), tolerance=1e-4, what="the entropy rate", sizes={"states": states})

    @weight(4)
    @given(call=paces())
    @settings(max_examples=8)
    def test_is_an_average_of_entropies(self, student: Any, call: Call) -> None:
        """It is the average of the entropies that torch.distributions finds for the rows, each weighted by its π."""
        (chain, stationary), _ = call
        expected = sum(
            p * Categorical(probs=row).entropy().item() for p, row in zip(stationary.tolist(), chain, strict=True)
        )
        received = student.entropy_rate(chain, stationary)
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the entropy rate")

    @weight(5)
    @given(choices=st.lists(st.integers(1, 4), min_size=4, max_size=4), stationary=probabilities(4))
    @settings(max_examples=6)
    def test_zeros_cost_nothing(self, student: Any, choices: list[int], stationary: Tensor) -> None:
        """A state that is followed by one of k others, all alike, counts with log k; what never follows counts 0."""
        chain = shares((torch.arange(4).unsqueeze(0) < torch.tensor(choices).unsqueeze(1)).long())
        expected = math.fsum(p * math.log(k) for p, k in zip(stationary.tolist(), choices, strict=True))
        received = student.entropy_rate(chain, stationary)
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the entropy rate")

    @weight(2)
    @given(call=paces())
    @settings(max_examples=6)
    def test_is_what_one_more_token_adds(self, student: Any, call: Call) -> None:
        """It is the entropy of two neighbours together, less the entropy of the first alone."""
        (chain, stationary), _ = call
        joint = Categorical(probs=(stationary.unsqueeze(1) * chain).flatten()).entropy()
        expected = joint - Categorical(probs=stationary).entropy()
        assert_close(student.entropy_rate(chain, stationary), expected, tolerance=1e-4, what="the entropy rate")


# ---- recurrent networks


@dataclass(frozen=True)
class Cell:
    """What a step of a recurrent network is given."""

    inputs: tuple[Tensor, ...]  # x, h, W_ih, W_hh, b_ih, b_hh
    kind: type[nn.RNNCell] | type[nn.GRUCell]

    def by_torch(self) -> Tensor:
        """What torch's own cell makes of it."""
        x, h, *weights = self.inputs
        cell = self.kind(x.shape[1], h.shape[1])
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return torch.func.functional_call(cell, dict(zip(names, weights, strict=True)), (x, h))

    def changed(self, **changes: Tensor) -> "Cell":
        """The same with other inputs."""
        names = ("x", "h", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return Cell(tuple(changes.get(name, old) for name, old in zip(names, self.inputs, strict=True)), self.kind)


@st.composite
def cells(
    draw: st.DrawFn, kind: type[nn.RNNCell] | type[nn.GRUCell], *, batch: int | None = None, hidden: int | None = None
) -> Cell:
    """Steps of all sizes, far from saturation."""
    rows = draw(sizes(1, 4)) if batch is None else batch
    size, width = draw(sizes(1, 4)), draw(sizes(1, 4)) if hidden is None else hidden
    seed, out = draw(generators()), width * (3 if kind is nn.GRUCell else 1)
    shapes = ((rows, size), (rows, width), (out, size), (out, width), (out,), (out,))
    return Cell(tuple(0.8 * noise(shape, seed) for shape in shapes), kind)


def assert_steps_like_torch(step: Callable, cell: Cell) -> None:
    """Check the values of a step against torch's own cell."""
    names = dict(zip(("batch", "input", "hidden"), (*cell.inputs[0].shape, cell.inputs[1].shape[1]), strict=True))
    assert_close(step(*cell.inputs), cell.by_torch(), tolerance=1e-4, what="the new state", sizes=names)


def assert_differentiates_like_torch(step: Callable, cell: Cell, seed: torch.Generator) -> None:
    """Check all six gradients of a step against those of torch's own cell."""
    inputs = [part.clone().requires_grad_() for part in cell.inputs]
    received, expected = step(*inputs), Cell(tuple(inputs), cell.kind).by_torch()
    assert_shape(received, tuple(expected.shape), what="the new state")
    if not received.requires_grad:
        fail("No gradient flows back through the new state.")
    along = noise(expected.shape, seed)
    got, wanted = (gradients((out * along).sum(), inputs) for out in (received, expected))
    for name, one, other in zip(("x", "h", "weight_ih", "weight_hh", "bias_ih", "bias_hh"), got, wanted, strict=True):
        assert_close(one, other, tolerance=1e-4, what=f"the gradient with respect to {name}")


def assert_listens(step: Callable, cell: Cell) -> None:
    """Check that the new state depends on what is read, and on the state before."""
    x, h = (part.clone().requires_grad_() for part in cell.inputs[:2])
    new = step(x, h, *cell.inputs[2:])
    assert_shape(new, tuple(h.shape), what="the new state")
    assert_depends(new, x, what="the new state", on_what="x")
    assert_depends(new, h, what="the new state", on_what="h")


@exercise("rnn_step")
class TestRnnStep:
    @required
    @given(cell=cells(nn.RNNCell, batch=2, hidden=3))
    @settings(max_examples=3)
    def test_depends_on_input_and_state(self, student: Any, cell: Cell) -> None:
        """The new state changes with what is read, and with the state before."""
        assert_listens(student.rnn_step, cell)

    @weight(4)
    @given(cell=cells(nn.RNNCell))
    @settings(max_examples=10)
    def test_equals_torchs_cell(self, student: Any, cell: Cell) -> None:
        """It is what torch.nn.RNNCell computes, whatever the sizes."""
        assert_steps_like_torch(student.rnn_step, cell)

    @weight(2)
    @given(numbers=st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=6, max_size=6))
    @settings(max_examples=5)
    def test_one_neuron_by_hand(self, student: Any, numbers: list[float]) -> None:
        """One neuron that reads one number is the hyperbolic tangent of a sum of four terms."""
        x, h, a, b, c, d = numbers
        shapes = ((1, 1),) * 4 + ((1,),) * 2
        inputs = [torch.full(shape, number) for shape, number in zip(shapes, numbers, strict=True)]
        expected = torch.tensor([[math.tanh(a * x + c + b * h + d)]])
        assert_close(student.rnn_step(*inputs), expected, what="the new state")

    @weight(2)
    @given(cell=cells(nn.RNNCell), seed=generators())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, cell: Cell, seed: torch.Generator) -> None:
        """Its gradients with respect to all six arguments are those of torch.nn.RNNCell."""
        assert_differentiates_like_torch(student.rnn_step, cell, seed)

    @given(cell=cells(nn.RNNCell, batch=3))
    @settings(max_examples=3)
    def test_each_sequence_by_itself(self, student: Any, cell: Cell) -> None:
        """Each row of a batch has its own state, the others do not change it."""
        x, h, *weights = cell.inputs
        assert_rows_apart(lambda x, h: student.rnn_step(x, h, *weights), x, h, what="the new state")


@exercise("gru_step")
class TestGruStep:
    @required
    @given(cell=cells(nn.GRUCell, batch=2, hidden=3))
    @settings(max_examples=3)
    def test_depends_on_input_and_state(self, student: Any, cell: Cell) -> None:
        """The new state changes with what is read, and with the state before."""
        assert_listens(student.gru_step, cell)

    @weight(4)
    @given(cell=cells(nn.GRUCell))
    @settings(max_examples=10)
    def test_equals_torchs_cell(self, student: Any, cell: Cell) -> None:
        """It is what torch.nn.GRUCell computes, whatever the sizes."""
        assert_steps_like_torch(student.gru_step, cell)

    @weight(2)
    @given(cell=cells(nn.GRUCell), open=st.booleans())
    @settings(max_examples=6)
    def test_the_update_gate(self, student: Any, cell: Cell, open: bool) -> None:
        """With an update gate of 1 the state stays as it is, with one of 0 it is the candidate, which forgets the state."""
        h, bias = cell.inputs[1], cell.inputs[4].clone()
        bias[h.shape[1] : 2 * h.shape[1]] = 60.0 if open else -60.0
        cell = cell.changed(bias_ih=bias)
        new = student.gru_step(*cell.inputs)
        assert_close(new, h if open else cell.by_torch(), tolerance=1e-4, what="the new state")

    @weight(2)
    @given(cell=cells(nn.GRUCell), bias=st.sampled_from([60.0, -60.0]))
    @settings(max_examples=6)
    def test_the_reset_gate(self, student: Any, cell: Cell, bias: float) -> None:
        """The reset gate weighs what the candidate hears of the state, after its matrix and bias: all of it, or nothing."""
        x, h, w_x, w_h, b_x, b_h = (part.double() for part in cell.inputs)
        width = h.shape[1]
        b_x[:width], b_x[width : 2 * width] = bias, -60.0  # the update gate is 0: the state becomes the candidate
        heard = h @ w_h[2 * width :].T + b_h[2 * width :] if bias > 0 else torch.zeros_like(h)
        expected = torch.tanh(x @ w_x[2 * width :].T + b_x[2 * width :] + heard).float()
        new = student.gru_step(*cell.changed(bias_ih=b_x.float()).inputs)
        assert_close(new, expected, tolerance=1e-4, what="the new state")

    @weight(2)
    @given(cell=cells(nn.GRUCell), seed=generators())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, cell: Cell, seed: torch.Generator) -> None:
        """Its gradients with respect to all six arguments are those of torch.nn.GRUCell."""
        assert_differentiates_like_torch(student.gru_step, cell, seed)

    @given(cell=cells(nn.GRUCell, batch=3))
    @settings(max_examples=3)
    def test_each_sequence_by_itself(self, student: Any, cell: Cell) -> None:
        """Each row of a batch has its own state, the others do not change it."""
        x, h, *weights = cell.inputs
        assert_rows_apart(lambda x, h: student.gru_step(x, h, *weights), x, h, what="the new state")


def leaky(x: Tensor, h: Tensor) -> Tensor:
    """A state that fades by half while it takes up what is read."""
    return h / 2 + x


def folded(x: Tensor, h: Tensor) -> Tensor:
    """A state of another width than what is read."""
    return h.tanh() + x.sum(1, keepdim=True)


@st.composite
def readings(draw: st.DrawFn) -> Call:
    """Arguments of `unroll`."""
    batch, length, size, hidden = (draw(sizes(1, 4)) for _ in range(4))
    return (folded, draw(tensors((batch, length, size))), draw(tensors((batch, hidden)))), {}


@exercise("unroll", contract=readings())
class TestUnroll:
    @required
    @given(length=st.integers(2, 4), seed=generators())
    @settings(max_examples=3)
    def test_remembers(self, student: Any, length: int, seed: torch.Generator) -> None:
        """The last state depends on the first input, and on the state before that."""
        inputs, state = (noise(shape, seed).requires_grad_() for shape in ((2, length, 3), (2, 3)))
        states = student.unroll(leaky, inputs, state)
        assert_shape(states, (2, length, 3), what="the states")
        assert_depends(states[:, -1], state, what="the last state", on_what="the state before the first input")
        (gradient,) = torch.autograd.grad(states[:, -1].sum(), inputs, retain_graph=True)
        if not gradient[:, 0].any():
            fail("The last state does not change with the first input.")

    @weight(4)
    @given(length=sizes(1, 5), size=sizes(1, 3), hidden=sizes(1, 3), seed=generators())
    @settings(max_examples=8)
    def test_equals_torchs_network(
        self, student: Any, length: int, size: int, hidden: int, seed: torch.Generator
    ) -> None:
        """With the steps of torch's GRUCell it is torch's GRU: the state after each input, in order."""
        cell, network = nn.GRUCell(size, hidden), nn.GRU(size, hidden, batch_first=True)
        redraw(cell, seed)
        network.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
        inputs, state = noise((2, length, size), seed), noise((2, hidden), seed)
        expected, _ = network(inputs, state.unsqueeze(0))
        received = student.unroll(lambda x, h: cell(x, h).detach(), inputs, state)
        names = {"length": length, "input": size, "hidden": hidden}
        assert_close(received, expected.detach(), tolerance=1e-4, what="the states", sizes=names)

    @weight(3)
    @given(call=readings())
    @settings(max_examples=6)
    def test_one_step_for_each_position(self, student: Any, call: Call) -> None:
        """`step` is called once for each position, in order, with what is read there and the state that it last returned."""
        (_, inputs, state), _ = call
        inputs = inputs + 10 * torch.arange(inputs.shape[1]).view(1, -1, 1)
        diary: list[tuple[Tensor, Tensor]] = []

        def step(x: Tensor, h: Tensor) -> Tensor:
            diary.append((x.clone(), h.clone()))
            return folded(x, h)

        student.unroll(step, inputs, state)
        if len(diary) != inputs.shape[1]:
            fail(f"For {inputs.shape[1]} positions `step` was called {len(diary)} times.")
        for position, (x, h) in enumerate(diary):
            assert_close(x, inputs[:, position], what=f"what step {position} reads")
            assert_close(h, state, tolerance=1e-4, what=f"the state that step {position} starts from")
            state = folded(x, h)

    @weight(3)
    @given(length=st.integers(2, 5), seed=generators())
    @settings(max_examples=5)
    def test_gradients_reach_back(self, student: Any, length: int, seed: torch.Generator) -> None:
        """With a state that fades by half at each step, an input t steps ago counts ½ᵗ, and a later one not at all."""
        inputs, state = (noise(shape, seed).requires_grad_() for shape in ((1, length, 2), (1, 2)))
        states = student.unroll(leaky, inputs, state)
        assert_shape(states, (1, length, 2), what="the states")
        if not states.requires_grad:
            fail("No gradient flows back through the states.")
        for now in range(length):
            x, h = gradients(states[0, now].sum(), (inputs, state))
            expected = torch.tensor([0.5 ** (now - t) if t <= now else 0.0 for t in range(length)])
            assert_close(x[0, :, 0], expected, what=f"the derivatives of state {now} with respect to the inputs")
            assert_close(h, torch.full((1, 2), 0.5 ** (now + 1)), what=f"the derivative of state {now} to the start")


# ---- language modelling


@st.composite
def lessons(draw: st.DrawFn, *, padded: bool | None = None, some: bool = True) -> Call:
    """Arguments of `next_token_loss`: sequences of unequal lengths, filled up with an id that is drawn."""
    batch, length, vocabulary = draw(sizes(1, 3)), draw(sizes(2, 5)), draw(sizes(2, 5))
    tokens, logits = draw(ids((batch, length), vocabulary - 1)), draw(tensors((batch, length, vocabulary)))
    if not (draw(st.booleans()) if padded is None else padded):
        return (logits, tokens), {}
    padding = draw(st.integers(0, vocabulary - 1))
    lengths = draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch))
    for row, end in enumerate(lengths):
        tokens[row, end:] = padding
    if some:
        tokens[0, 1] = (padding + 1) % vocabulary  # so that there is something to predict
    return (logits, tokens), {"padding": padding}


def predicted(tokens: Tensor, padding: int | None = None) -> list[tuple[int, int, int]]:
    """For each token that is predicted its row, the position that predicts it, and its id."""
    return [
        (row, place, token)
        for row, sequence in enumerate(tokens.tolist())
        for place, token in enumerate(sequence[1:])
        if token != padding
    ]


@exercise("next_token_loss", contract=lessons())
class TestNextTokenLoss:
    @required
    @given(call=lessons(padded=False))
    @settings(max_examples=5)
    def test_rewards_the_next_token(self, student: Any, call: Call) -> None:
        """The loss falls as the score of the next token rises, and rises with the scores of all others."""
        logits, tokens = call[0]
        logits = logits.clone().requires_grad_()
        loss = student.next_token_loss(logits, tokens)
        assert_shape(loss, (), what="the loss")
        assert_depends(loss, logits, what="the loss", on_what="the scores")
        (gradient,) = torch.autograd.grad(loss, logits)
        for row, place, token in predicted(tokens):
            for other, slope in enumerate(gradient[row, place].tolist()):
                if not (slope < 0 if other == token else slope > 0):
                    fail(
                        f"At position {place} the score of token {other} has the derivative {slope:.3g}.",
                        f"The next token is {token}: the derivative is negative for it, and positive for all others.",
                    )

    @weight(4)
    @given(call=lessons())
    @settings(max_examples=12)
    def test_by_hand(self, student: Any, call: Call) -> None:
        """It is the mean of −log p over all tokens that are predicted, one by one and by hand."""
        (logits, tokens), options = call
        costs = []
        for row, place, token in predicted(tokens, **options):
            scores = logits[row, place].tolist()
            costs.append(math.log(math.fsum(map(math.exp, scores))) - scores[token])
        names = zip(("batch", "length", "vocab"), logits.shape, strict=True)
        received = student.next_token_loss(logits, tokens, **options)
        expected = torch.tensor(math.fsum(costs) / len(costs))
        assert_close(received, expected, tolerance=1e-4, what="the loss", sizes=dict(names))

    @given(call=lessons())
    @settings(max_examples=6)
    def test_equals_transformers_loss(self, student: Any, call: Call) -> None:
        """It is the loss with which the library transformers trains language models."""
        (logits, tokens), options = call
        labels = tokens.masked_fill(tokens == options["padding"], -100) if options else tokens
        expected = ForCausalLMLoss(logits, labels, logits.shape[2])
        received = student.next_token_loss(logits, tokens, **options)
        assert_close(received, expected, tolerance=1e-4, what="the loss")

    @weight(2)
    @given(call=lessons(padded=True))
    @settings(max_examples=6)
    def test_what_is_not_asked_for(self, student: Any, call: Call) -> None:
        """Neither the scores after the last token matter, nor those before padding, and all others do."""
        (logits, tokens), options = call
        logits = logits.clone().requires_grad_()
        loss = student.next_token_loss(logits, tokens, **options)
        assert_depends(loss, logits, what="the loss", on_what="the scores")
        (gradient,) = torch.autograd.grad(loss, logits)
        asked = torch.zeros(tokens.shape, dtype=torch.bool)
        for row, place, _ in predicted(tokens, **options):
            asked[row, place] = True
        assert_close(gradient.abs().sum(2) > 0, asked, what="whether the scores at each position matter")

    @weight(2)
    @given(count=st.integers(2, 6), vocabulary=sizes(3, 5))
    @settings(max_examples=5)
    def test_every_token_counts_alike(self, student: Any, count: int, vocabulary: int) -> None:
        """A token counts the same in a long sequence and in a short one: of one dear and n cheap ones the mean is taken."""
        tokens = torch.zeros(2, count + 1, dtype=torch.int64)
        tokens[0, :2], tokens[1] = 1, 1
        logits = torch.zeros(2, count + 1, vocabulary)
        logits[1, :, 1] = 40.0  # certain, and right
        expected = math.log(vocabulary) / (count + 1)
        received = student.next_token_loss(logits, tokens, padding=0)
        assert_close(received, expected, tolerance=1e-4, what="the loss", sizes={"length": count + 1})

    @weight(6)
    @given(batch=sizes(1, 3), length=st.integers(1, 3), padding=st.integers(0, 2), seed=generators())
    @settings(max_examples=6)
    def test_nothing_to_predict(
        self, student: Any, batch: int, length: int, padding: int, seed: torch.Generator
    ) -> None:
        """Where nothing is predicted the loss is 0, and so are its gradients: all is padding, or there is one token only."""
        logits = noise((batch, length, 3), seed).requires_grad_()
        tokens = torch.full((batch, length), padding)
        tokens[:, 0] = torch.randint(0, 3, (batch,), generator=seed)
        loss = student.next_token_loss(logits, tokens, padding=padding)
        assert_close(loss, torch.tensor(0.0), what="the loss")
        if loss.requires_grad:
            (gradient,) = gradients(loss, [logits])
            assert_close(gradient, torch.zeros_like(gradient), what="the gradient with respect to the scores")

    @weight(2)
    @given(tokens=ids((2, 4), 2), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=5)
    def test_survives_large_scores(self, student: Any, tokens: Tensor, size: float) -> None:
        """At scores of 200 and 10⁴ each wrong guess costs that much, and each right one nothing."""
        logits = torch.zeros(2, 4, 3)
        logits[:, :, 1] = size
        expected = size * (tokens[:, 1:] != 1).double().mean().item()
        received = student.next_token_loss(logits, tokens)
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the loss")


# ---- what a model sees


@dataclass
class LinearModel:
    """outputs = weights · inputs, places and channels all mixed; notes what it is given."""

    weights: Tensor  # (out_channels, *place, channels, *place)
    seen: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, ...]:
        """The sizes of a place."""
        return tuple(self.weights.shape[1 : self.weights.ndim // 2])

    @property
    def channels(self) -> int:
        """Of the input."""
        return self.weights.shape[self.weights.ndim // 2]

    def __call__(self, x: Tensor) -> Tensor:
        """What it makes of a batch."""
        self.seen.append(tuple(x.shape))
        half = self.weights.ndim // 2
        matrix = self.weights.reshape(math.prod(self.weights.shape[:half]), -1)
        return (x.flatten(1) @ matrix.T).unflatten(1, self.weights.shape[:half])


@st.composite
def linear_models(draw: st.DrawFn, *, dimensions: st.SearchStrategy[int] | None = None) -> LinearModel:
    """Models with several channels on both sides, many of whose weights are 0."""
    place = tuple(draw(sizes(1, 3)) for _ in range(draw(st.integers(1, 2) if dimensions is None else dimensions)))
    shape = (draw(sizes(1, 3)), *place, draw(sizes(1, 3)), *place)
    return LinearModel(draw(ids(shape, 2, -2)).float())


def doubling(x: Tensor) -> Tensor:
    """A made-up model with two channels, each of which looks at its own place and at the next."""
    return torch.cat([x, -2 * x.roll(1, -1)], dim=1)


@st.composite
def inquiries(draw: st.DrawFn) -> Call:
    """Arguments of `influence`."""
    place = tuple(draw(sizes(1, 4)) for _ in range(draw(st.integers(1, 2))))
    position = tuple(draw(st.integers(0, size - 1)) for size in place)
    return (doubling, draw(tensors((draw(sizes(1, 3)), *place))), position), {}


@exercise("influence", contract=inquiries())
class TestInfluence:
    @required
    @given(length=st.integers(3, 6), place=st.integers(0, 2), slope=st.integers(2, 5), seed=generators())
    @settings(max_examples=5)
    def test_finds_the_one_that_counts(
        self, student: Any, length: int, place: int, slope: int, seed: torch.Generator
    ) -> None:
        """Where each output depends on its own input alone, that one has the slope as its influence, all others 0."""
        received = student.influence(lambda x: slope * x, noise((1, length), seed), (place,))
        expected = slope * F.one_hot(torch.tensor(place), length).float()
        assert_close(received, expected, what="the influence")

    @weight(4)
    @given(model=linear_models(), seed=generators(), pick=st.integers(0, 80))
    @settings(max_examples=12)
    def test_linear_models(self, student: Any, model: LinearModel, seed: torch.Generator, pick: int) -> None:
        """Of a linear model it is the sizes of the weights, added up over the channels on both sides."""
        position = tuple(int(i) for i in torch.unravel_index(torch.tensor(pick % math.prod(model.place)), model.place))
        expected = torch.stack([out[position] for out in model.weights]).abs().sum(dim=(0, 1))
        received = student.influence(model, noise((model.channels, *model.place), seed), position)
        assert_close(received, expected, tolerance=1e-4, what="the influence")

    @weight(2)
    @given(x=tensors((1, 3)), gains=st.lists(st.integers(1, 3), min_size=2, max_size=2), place=st.integers(0, 2))
    @settings(max_examples=5)
    def test_opposites_do_not_cancel(self, student: Any, x: Tensor, gains: list[int], place: int) -> None:
        """Two outputs, or two inputs, that count with opposite signs count for the sum of their sizes."""
        up, down = gains
        one = F.one_hot(torch.tensor(place), 3).float()
        outputs = student.influence(lambda x: torch.cat([up * x, -down * x], dim=1), x, (place,))
        assert_close(outputs, (up + down) * one, what="the influence on two opposite outputs")
        inputs = student.influence(lambda x: up * x[:, :1] - down * x[:, 1:], x.expand(2, 3), (place,))
        assert_close(inputs, (up + down) * one, what="the influence of two opposite inputs")

    @weight(2)
    @given(x=tensors((2, 2, 3), low=0.5, high=3), row=st.integers(0, 1), column=st.integers(0, 2))
    @settings(max_examples=5)
    def test_curved_models(self, student: Any, x: Tensor, row: int, column: int) -> None:
        """Of a model that is not linear it is the slope at the input that is given."""
        received = student.influence(lambda x: x.square() + x[:, :, :1, :1].log(), x, (row, column))
        expected = torch.zeros(2, 3)
        expected[row, column] += 2 * x[:, row, column].sum()
        expected[0, 0] += (1 / x[:, 0, 0]).sum()
        assert_close(received, expected, tolerance=1e-4, what="the influence")

    @given(model=linear_models(), seed=generators())
    @settings(max_examples=4)
    def test_keeps_no_graph(self, student: Any, model: LinearModel, seed: torch.Generator) -> None:
        """The result has no graph, not even if the input has one; the model is given batches of one."""
        x = noise((model.channels, *model.place), seed).requires_grad_()
        received = student.influence(model, x, (0,) * len(model.place))
        assert_shape(received, model.place, what="the influence")
        if received.requires_grad:
            fail("The influence still has a graph.")
        wrong = [shape for shape in model.seen if shape != (1, *x.shape)]
        if wrong:
            fail(f"The model should be given a batch of one, {(1, *x.shape)}, but it was given {wrong[0]}.")


# ---- PixelCNN


@dataclass(frozen=True)
class Mask:
    """A masked convolution, and what may be seen through it."""

    inputs: int
    outputs: int
    kernel: int
    kind: str
    colors: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        return (self.outputs, self.inputs, self.kernel, self.kernel)

    def allows(self, out: int, channel: int, down: int, right: int) -> bool:
        """Whether an output may depend on an input channel so many rows further down and columns further right."""
        if (down, right) != (0, 0):
            return (down, right) < (0, 0)  # earlier in raster order
        color_out, color_in = out * self.colors // self.outputs, channel * self.colors // self.inputs
        return color_in < color_out or (self.kind == "B" and color_in == color_out)

    @property
    def pattern(self) -> Tensor:
        """Which weights may count."""
        radius = self.kernel // 2
        places = itertools.product(*map(range, self.shape))
        seen = [self.allows(out, channel, y - radius, x - radius) for out, channel, y, x in places]
        return torch.tensor(seen).view(self.shape)

    def build(self, student: Any, seed: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        """A student's layer with weights that are drawn, and these; no weight is 0."""
        layer = student.MaskedConv2d(self.inputs, self.outputs, self.kernel, self.kind, colors=self.colors)
        weights = {"weight": noise(self.shape, seed), "bias": noise((self.outputs,), seed)}
        weights["weight"] += 0.1 * weights["weight"].sign()
        load_weights(layer, weights)
        return layer, weights

    def assert_obeyed(self, student: Any, seed: torch.Generator, height: int, width: int) -> None:
        """Check which inputs have an influence on which outputs: the Jacobian, which is the response to single pixels."""
        layer, _ = self.build(student, seed)
        load_weights(layer, {"bias": torch.zeros(self.outputs)})
        pixels = list(itertools.product(range(self.inputs), range(height), range(width)))
        impulses = torch.eye(len(pixels)).view(-1, self.inputs, height, width)
        with torch.no_grad():
            responses = layer(impulses)
        assert_shape(responses, (len(pixels), self.outputs, height, width), what="the output")
        reach = self.kernel // 2
        outputs = list(itertools.product(range(self.outputs), range(height), range(width)))
        for (channel, y, x), response in zip(pixels, responses, strict=True):
            for (out, i, j), found in zip(outputs, response.flatten().tolist(), strict=True):
                inside = abs(y - i) <= reach and abs(x - j) <= reach
                seen = inside and self.allows(out, channel, y - i, x - j)
                if seen == (found != 0):
                    continue
                what = f"Of type {self.kind}, with {self.colors} colour(s) and a kernel of {self.kernel},"
                must = "should depend" if seen else "must not depend"
                whom = f"on input channel {channel} at {(y, x)}"
                fail(f"{what} output channel {out} at {(i, j)} {must} {whom}, but it does{' not' if seen else ''}.")


@st.composite
def masks(draw: st.DrawFn, *, colors: st.SearchStrategy[int] | None = None) -> Mask:
    """Masked convolutions of all kinds."""
    chosen = draw(st.integers(1, 3) if colors is None else colors)
    inputs, outputs = (chosen * draw(st.integers(1, 2)) for _ in range(2))
    return Mask(inputs, outputs, draw(st.sampled_from([3, 5, 1])), draw(st.sampled_from("AB")), chosen)


@exercise("MaskedConv2d", contract=False)
class TestMaskedConv2d:
    @required
    @given(kind=st.sampled_from("AB"), kernel=st.sampled_from([3, 5]), seed=generators())
    @settings(max_examples=4)
    def test_looks_at_what_was_drawn_before(self, student: Any, kind: str, kernel: int, seed: torch.Generator) -> None:
        """The output has the size of the image, and depends on the pixels to the left and above, and on the weights."""
        layer, _ = Mask(2, 3, kernel, kind).build(student, seed)
        x = noise((2, 2, 4, 5), seed).requires_grad_()
        out = layer(x)
        assert_shape(out, (2, 3, 4, 5), what="the output")
        assert_parameters_matter(out, layer, what="the output")
        (found,) = influences(out[0, :, 2, 3], x, along=seed)
        for place, name in (((2, 2), "to the left"), ((1, 3), "above")):
            if not found[place]:
                fail(f"The output at (2, 3) does not depend on the pixel {name}.")

    @weight(5)
    @given(mask=masks(colors=st.just(1)), height=sizes(1, 4), width=sizes(1, 4), seed=generators())
    @settings(max_examples=8)
    def test_raster_order(self, student: Any, mask: Mask, height: int, width: int, seed: torch.Generator) -> None:
        """With one colour its Jacobian is zero for all pixels that come later, and its own under A; not zero for the others."""
        mask.assert_obeyed(student, seed, height, width)

    @weight(5)
    @given(mask=masks(colors=st.integers(2, 3)), seed=generators())
    @settings(max_examples=8)
    def test_order_of_colours(self, student: Any, mask: Mask, seed: torch.Generator) -> None:
        """With several colours its Jacobian at a pixel's own place is zero for later colours, and its own under A."""
        mask.assert_obeyed(student, seed, 2, 3)

    @weight(4)
    @given(mask=masks(), height=sizes(1, 4), width=sizes(1, 4), seed=generators())
    @settings(max_examples=8)
    def test_is_a_convolution(self, student: Any, mask: Mask, height: int, width: int, seed: torch.Generator) -> None:
        """It is nn.Conv2d with zeros around the image, and zeros for the weights that must not be seen."""
        layer, weights = mask.build(student, seed)
        torchs = nn.Conv2d(mask.inputs, mask.outputs, mask.kernel, padding="same")
        torchs.load_state_dict({"weight": weights["weight"] * mask.pattern, "bias": weights["bias"]})
        x = noise((2, mask.inputs, height, width), seed)
        with torch.no_grad():
            assert_close(layer(x), torchs(x), tolerance=1e-4, what="the output")

    @weight(6)
    @given(mask=masks(), seed=generators())
    @settings(max_examples=4)
    def test_training_opens_nothing(self, student: Any, mask: Mask, seed: torch.Generator) -> None:
        """A step of training moves the weights that are seen as in nn.Conv2d, and what was hidden stays hidden."""
        layer, weights = mask.build(student, seed)
        torchs = nn.Conv2d(mask.inputs, mask.outputs, mask.kernel, padding="same")
        torchs.load_state_dict({"weight": weights["weight"] * mask.pattern, "bias": weights["bias"]})
        x, target = noise((2, mask.inputs, 3, 3), seed), noise((2, mask.outputs, 3, 3), seed)
        for network in (layer, torchs):
            parameters = list(network.parameters())
            found = torch.autograd.grad((network(x) - target).square().mean(), parameters, allow_unused=True)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, found, strict=True):
                    if gradient is not None:
                        parameter -= gradient
        with torch.no_grad():
            torchs.weight *= mask.pattern
            assert_close(layer(x), torchs(x), tolerance=1e-3, what="the output after a step of training")

    @weight(2)
    @given(colors=st.integers(1, 2), kind=st.sampled_from("AB"))
    @settings(max_examples=2)
    def test_begins_like_a_convolution(self, student: Any, colors: int, kind: str) -> None:
        """Its parameters are `weight` and `bias`, of the shapes and sizes with which nn.Conv2d begins."""
        mask = Mask(8, 12, 5, kind, colors)
        shapes = {"weight": mask.shape, "bias": (12,)}
        layer = student.MaskedConv2d(8, 12, 5, kind, colors=colors)
        with torch.no_grad():
            if "weight" in dict(layer.named_parameters()) and layer.get_parameter("weight").shape == mask.shape:
                layer.get_parameter("weight").mul_(mask.pattern)  # the others make no difference
        assert_begins_like(layer, shapes, mask.pattern.double().mean().item())

    @weight(2)
    @pytest.mark.parametrize(
        ("sizes_", "kind", "colors"),
        [((2, 2, 4), "A", 1), ((2, 2, 3), "C", 1), ((2, 2, 3), "a", 1), ((3, 2, 3), "A", 2), ((4, 3, 3), "B", 2)],
    )
    def test_refuses(self, student: Any, sizes_: tuple[int, int, int], kind: str, colors: int) -> None:
        """A kernel without a middle, an unknown type, and channels that the colours cannot share are a ValueError."""
        with pytest.raises(ValueError):
            student.MaskedConv2d(*sizes_, kind, colors=colors)


@dataclass
class Painter:
    """A toy model of images: the odds of a pixel's levels follow from the pixels before it, and are eighths.

    Notes what it is shown. `odds` (before, levels) are used in turn, the row being the number of pixels before plus the sum
    of their levels, each counted with its place.
    """

    odds: Tensor
    shown: list[Tensor] = field(default_factory=list)
    recorded: list[bool] = field(default_factory=list)

    def chances(self, drawn: Sequence[int]) -> Tensor:
        """The probabilities of the levels of the next pixel."""
        row = len(drawn) + sum((place + 1) * level for place, level in enumerate(drawn))
        return self.odds[row % len(self.odds)]

    def __call__(self, pixels: Tensor) -> Tensor:
        """The logits of every pixel (batch, levels, height, width)."""
        self.shown.append(pixels.clone())
        self.recorded.append(torch.is_grad_enabled())
        _, height, width = pixels.shape
        tables = [
            torch.stack([self.chances(image[:place]) for place in range(height * width)], dim=1)
            for image in pixels.flatten(1).tolist()
        ]
        # Logits are known up to a constant, which is another one at each place.
        shift = torch.arange(height * width).remainder(3) - 1.0
        return (torch.stack(tables).log() + shift).unflatten(2, (height, width))

    def draw(self, uniform: Tensor, image: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """The images, one number at a time."""
        images = []
        for row, draws in enumerate(uniform.flatten(1).tolist()):
            drawn: list[int] = []
            for place, number in enumerate(draws):
                if image is not None and known is not None and known.flatten()[place]:
                    drawn.append(int(image[row].flatten()[place]))
                else:
                    sums = itertools.accumulate(self.chances(drawn).tolist())
                    drawn.append(next(level for level, total in enumerate(sums) if total > number))
            images.append(drawn)
        return torch.tensor(images).view(uniform.shape)


def painters(levels: int = 3) -> st.SearchStrategy[Painter]:
    """Painters with odds that are eighths, some of them 0."""
    cuts = st.lists(st.integers(0, 8), min_size=levels - 1, max_size=levels - 1).map(sorted)
    rows = cuts.map(lambda cut: [(b - a) / 8 for a, b in itertools.pairwise([0, *cut, 8])])
    return st.lists(rows, min_size=5, max_size=5).map(lambda drawn: Painter(torch.tensor(drawn)))


def canvases(batch: int = 2) -> st.SearchStrategy[Tensor]:
    """Uniform numbers that are odd sixteenths, and so never near a border between two levels."""
    sides = st.tuples(st.just(batch), sizes(1, 3), sizes(1, 3))
    return sides.flatmap(lambda shape: ids(shape, 7)).map(lambda whole: (2 * whole + 1) / 16)


def unfinished(uniform: Tensor, generator: torch.Generator, *, share: float) -> tuple[Tensor, Tensor]:
    """Images with three levels, of which about that share of the pixels is known: the images, and where."""
    image = torch.randint(0, 3, tuple(uniform.shape), generator=generator)
    return image, torch.rand(tuple(uniform.shape[1:]), generator=generator) < share


def lopsided(pixels: Tensor) -> Tensor:
    """The logits of a model with three levels that has looked at nothing."""
    return torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(len(pixels), 3, *pixels.shape[1:])


@st.composite
def paintings(draw: st.DrawFn) -> Call:
    """Arguments of `sample_pixels`."""
    uniform = draw(canvases())
    if draw(st.booleans()):
        return (lopsided, uniform), {}
    known = draw(tensors(tuple(uniform.shape[1:]), dtype=torch.bool, low=0, high=1))
    return (lopsided, uniform), {"image": draw(ids(tuple(uniform.shape), 2)), "known": known}


@exercise("sample_pixels", contract=paintings())
class TestSamplePixels:
    @required
    @given(height=sizes(2, 3), width=sizes(2, 3), uniform=st.integers(1, 15), phase=st.integers(0, 3))
    @settings(max_examples=5)
    def test_draws_what_is_certain(self, student: Any, height: int, width: int, uniform: int, phase: int) -> None:
        """Where the model is certain of a level, that is the pixel's, whatever the number."""
        wanted = (torch.arange(height * width) + phase).remainder(4).view(height, width)

        def model(pixels: Tensor) -> Tensor:
            return 60.0 * F.one_hot(wanted, 4).permute(2, 0, 1).float().expand(len(pixels), -1, -1, -1)

        received = student.sample_pixels(model, torch.full((2, height, width), uniform / 16))
        assert_close(received, wanted.expand(2, -1, -1), what="the images")

    @weight(4)
    @given(painter=painters(), uniform=canvases())
    @settings(max_examples=10)
    def test_pixel_by_pixel(self, student: Any, painter: Painter, uniform: Tensor) -> None:
        """Each pixel is the first level whose cumulative probability exceeds its number, given the pixels drawn before."""
        received = student.sample_pixels(painter, uniform)
        assert_close(received, painter.draw(uniform), what="the images")

    @weight(5)
    @given(painter=painters(), uniform=canvases(), some=st.booleans(), seed=generators())
    @settings(max_examples=10)
    def test_asks_once_for_each_pixel(
        self, student: Any, painter: Painter, uniform: Tensor, some: bool, seed: torch.Generator
    ) -> None:
        """The model is called once for each pixel that is drawn, is shown what is known or drawn already, and 0 elsewhere."""
        image, known = unfinished(uniform, seed, share=0.4 if some else 0.0)
        student.sample_pixels(painter, uniform, **({"image": image, "known": known} if some else {}))
        expected, drawn = painter.draw(uniform, image, known).flatten(1), (~known).flatten().nonzero().flatten()
        if len(painter.shown) != len(drawn):
            fail(f"The model should be called for {len(drawn)} pixels, but it was called {len(painter.shown)} times.")
        for call, place in enumerate(drawn.tolist()):
            visible = known.flatten() | (torch.arange(known.numel()) < place)
            so_far = (expected * visible).view(uniform.shape)
            assert_close(painter.shown[call], so_far, what=f"what call {call} of the model is shown")

    @weight(4)
    @given(painter=painters(), uniform=canvases(), seed=generators())
    @settings(max_examples=8)
    def test_completes_images(self, student: Any, painter: Painter, uniform: Tensor, seed: torch.Generator) -> None:
        """Known pixels stay, and are not asked for; the others are drawn given those before, whatever stands there."""
        image, known = unfinished(uniform, seed, share=0.5)
        before = image.clone()
        received = student.sample_pixels(painter, uniform, image=image, known=known)
        assert_close(received, painter.draw(uniform, image, known), what="the images")
        assert_close(image, before, what="the argument `image` after the call")
        if len(painter.shown) != int((~known).sum()):
            fail(f"{int((~known).sum())} pixels are not known, but the model was called {len(painter.shown)} times.")
        if any((pixels.bool() & ~known & (pixels != received)).any() for pixels in painter.shown):
            fail("The model was shown what stands in `image` at a pixel that is not known.")

    @given(painter=painters(), uniform=canvases())
    @settings(max_examples=2)
    def test_keeps_no_graph(self, student: Any, painter: Painter, uniform: Tensor) -> None:
        """The model is called without recording a graph, which would grow with each pixel."""
        student.sample_pixels(painter, uniform)
        if any(painter.recorded):
            fail("Gradients are enabled while the model is called, so a graph of everything is kept.")

    @weight(2)
    @given(painter=painters(4))
    @settings(max_examples=5)
    def test_all_numbers_alike_give_the_models_probabilities(self, student: Any, painter: Painter) -> None:
        """Over all pairs of eighths, two pixels have each pair of levels exactly as often as the model's probabilities say."""
        eighths = (torch.arange(8) + 0.5) / 8
        uniform = torch.cartesian_prod(eighths, eighths).view(64, 1, 2)
        images = student.sample_pixels(painter, uniform)
        assert_shape(images, (64, 1, 2), what="the images")
        counts = Counter(map(tuple, images.flatten(1).tolist()))
        for first, second in itertools.product(range(4), repeat=2):
            expected = 64 * painter.chances([])[first].item() * painter.chances([first])[second].item()
            what = f"how many of 64 images are {first}, {second}"
            assert_close(counts[first, second], round(expected), what=what)

    @given(never=st.integers(1, 3), levels=st.integers(4, 6), size=sizes(1, 3))
    @settings(max_examples=4)
    def test_what_is_impossible_is_never_drawn(self, student: Any, never: int, levels: int, size: int) -> None:
        """At the number 0 levels of probability 0 are passed over."""
        logits = torch.zeros(levels)
        logits[:never] = -math.inf
        received = student.sample_pixels(
            lambda pixels: logits.view(1, -1, 1, 1).expand(len(pixels), -1, size, size), torch.zeros(2, size, size)
        )
        assert_close(received, torch.full((2, size, size), never), what="the images at the number 0")

    @given(start=st.integers(0, 5000))
    @settings(max_examples=4)
    def test_the_last_level_is_the_last(self, student: Any, start: int) -> None:
        """At the largest number below 1 the last level is drawn, even if rounding makes all probabilities add up to less."""
        # Scores whose probabilities in float32 add up to 1 − 2⁻²³ or less.
        for seed in range(start, start + 200):
            logits = noise((11,), torch.Generator().manual_seed(seed))
            if logits.softmax(0).cumsum(0)[-1] < 1 - 2**-24:
                break
        uniform = torch.full((1, 1, 1), 1 - 2**-24)
        received = student.sample_pixels(lambda pixels: logits.view(1, -1, 1, 1), uniform)
        assert_close(received, torch.full((1, 1, 1), 10), what="the level at the largest number below 1")


@exercise(
    "bits_per_dim",
    contract=arguments(
        reference.bits_per_dim, log_likelihood=sizes().flatmap(lambda batch: tensors(batch, low=-40, high=4))
    ),
)
class TestBitsPerDim:
    @required
    @given(dimensions=sizes(1, 5), shift=st.integers(0, 5))
    @settings(max_examples=6)
    def test_what_is_likelier_costs_less(self, student: Any, dimensions: int, shift: int) -> None:
        """The likelier a data point, the fewer bits; what is less likely than 1 costs more than none."""
        log_p = -torch.arange(6.0).square() - 1 - shift
        received = student.bits_per_dim(log_p, dimensions)
        assert_shape(received, (6,), what="the bits")
        assert_between(received, 0.01, tolerance=0, what="the bits")
        assert_between(received[1:] - received[:-1], 0.01, tolerance=0, what="what a less likely data point costs more")

    @weight(4)
    @given(bits=st.lists(st.integers(0, 8), min_size=1, max_size=4), dimensions=sizes(1, 6))
    @settings(max_examples=8)
    def test_fair_coins(self, student: Any, bits: list[int], dimensions: int) -> None:
        """Numbers that are drawn by b fair coins each cost b bits each, however many there are."""
        log_p = torch.tensor([dimensions * b * math.log(1 / 2) for b in bits])
        received = student.bits_per_dim(log_p, dimensions)
        names = {"dimensions": dimensions, "batch": len(bits)}
        assert_close(received, torch.tensor(bits).float(), tolerance=1e-4, what="the bits", sizes=names)

    @weight(4)
    @given(log_p=tensors(3, low=-20, high=20), dimensions=sizes(1, 6), width=st.integers(-8, 3))
    @settings(max_examples=8)
    def test_the_unit_does_not_matter(self, student: Any, log_p: Tensor, dimensions: int, width: int) -> None:
        """The same data in another unit cost the same: the density is so much higher as the bins are narrower."""
        plain = student.bits_per_dim(log_p, dimensions)
        assert_shape(plain, (3,), what="the bits")
        scaled = student.bits_per_dim(log_p - dimensions * width * math.log(2), dimensions, bin_width=2.0**width)
        assert_close(scaled, plain, tolerance=1e-4, what=f"the bits with bins of 2^{width}")

    @weight(2)
    @given(spread=st.sampled_from([1.0, 2.0, 3.0]), width=st.sampled_from([0.125, 0.25]), dimensions=sizes(1, 3))
    @settings(max_examples=4)
    def test_bins_of_a_gaussian(self, student: Any, spread: float, width: float, dimensions: int) -> None:
        """For a Gaussian in small bins it is, to a hundredth, what an ideal code for the bins' exact probabilities needs."""
        normal = NormalDist(0, spread)
        middles = [spread * k / 2 for k in range(-3, 4)]
        exact = [-math.log2(normal.cdf(m + width / 2) - normal.cdf(m - width / 2)) for m in middles]
        log_p = torch.tensor([dimensions * math.log(normal.pdf(middle)) for middle in middles])
        received = student.bits_per_dim(log_p, dimensions, bin_width=width)
        assert_close(received, torch.tensor(exact), tolerance=0.01, what="the bits")


def gate(values: Tensor) -> Tensor:
    """tanh of the first half of the channels times the sigmoid of the second."""
    half = values.shape[1] // 2
    return values[:, :half].tanh() * (1 + (values[:, half:] / 2).tanh()) / 2


@dataclass(frozen=True)
class Stacks:
    """A gated layer of a student's with drawn weights, and features for both of its stacks."""

    layer: Any
    v: Tensor
    h: Tensor
    first: bool

    @classmethod
    def build(
        cls,
        student: Any,
        seed: torch.Generator,
        *,
        kernel: int,
        first: bool,
        size: tuple[int, ...] = (2, 2, 4, 5),
        scale: float = 0.3,
    ) -> "Stacks":
        """A layer of that kind with weights of that size, for features of that size."""
        layer = student.GatedPixelCNNLayer(size[1], kernel, first=first)
        redraw(layer, seed, scale=scale)
        return cls(layer, noise(size, seed), noise(size, seed), first)

    @property
    def channels(self) -> int:
        """Of either stack."""
        return self.v.shape[1]

    def run(self, v: Tensor | None = None, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The pair that the layer returns; fails if it is none of the right shape."""
        v, h = self.v if v is None else v, self.h if h is None else h
        pair = self.layer(v, h)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            fail(f"The layer should return the pair (v′, h′), but it returned {describe(pair)}.")
        for part, name in zip(pair, ("v′", "h′"), strict=True):
            assert_shape(part, tuple(v.shape), what=name)
        return pair[0], pair[1]

    def added(self) -> Tensor:
        """What the layer adds to h, or puts in its place."""
        new = self.run()[1]
        return new if self.first else new - self.h

    @torch.no_grad()
    def measured(self) -> tuple[Tensor, Tensor]:
        """p and q, if not large, read off h′ through the gate; `link` and `output` are other ones afterwards.

        With `output` the identity, h′ shows tanh(a) · σ(b). A bias of 30 at `link` opens one of the two factors, so that the
        other can be inverted. With weights of 0 at `link` it is q that is seen, with the identity q + p.
        """
        c = self.channels
        identity = {"output.weight": torch.eye(c)[..., None, None], "output.bias": torch.zeros(c)}
        read = []
        for scale in (0.0, 1.0):
            link = scale * torch.eye(2 * c)[..., None, None]
            load_weights(
                self.layer, identity | {"link.weight": link, "link.bias": torch.tensor([0.0] * c + [30.0] * c)}
            )
            a = self.added().clamp(-0.999999, 0.999999).atanh()
            load_weights(self.layer, {"link.bias": torch.tensor([30.0] * c + [0.0] * c)})
            b = self.added().clamp(1e-6, 1 - 1e-6).logit()
            read.append(torch.cat([a, b], dim=1))
        return read[1] - read[0], read[0]


def gated(*, kernels: Sequence[int] = (3, 5)) -> st.SearchStrategy[dict[str, Any]]:
    """Kinds of gated layers."""
    return st.fixed_dictionaries({"kernel": st.sampled_from(kernels), "first": st.booleans()})


@exercise("GatedPixelCNNLayer", contract=False)
class TestGatedPixelCNNLayer:
    @required
    @given(kind=gated(kernels=[3]), seed=generators())
    @settings(max_examples=3)
    def test_looks_up_and_to_the_left(self, student: Any, kind: dict[str, Any], seed: torch.Generator) -> None:
        """v′ depends on the row above, h′ on the pixel to the left, and both on the weights."""
        stacks = Stacks.build(student, seed, **kind)
        v, h = stacks.v.requires_grad_(), stacks.h.requires_grad_()
        for out, name in zip(stacks.run(v, h), ("v′", "h′"), strict=True):
            assert_parameters_matter(out, stacks.layer, what=name)
            if not out.requires_grad:
                fail(f"No gradient flows back through {name}.")
            above, left = influences(out[0, :, 2, 2], v, h, along=seed)
            if name == "v′" and not above[1, 2]:
                fail("v′ at (2, 2) does not depend on v at (1, 2).")
            if name == "h′" and not left[2, 1]:
                fail("h′ at (2, 2) does not depend on h at (2, 1).")

    @weight(5)
    @given(kind=gated(), row=st.integers(0, 3), column=st.integers(0, 4), seed=generators())
    @settings(max_examples=10)
    def test_what_each_stack_sees(
        self, student: Any, kind: dict[str, Any], row: int, column: int, seed: torch.Generator
    ) -> None:
        """Its Jacobian is zero but for the rows above in v, within the kernel, and for h′ also what is left of it in h."""
        stacks = Stacks.build(student, seed, **kind)
        v, h = stacks.v.requires_grad_(), stacks.h.requires_grad_()
        rows, columns = torch.arange(4).unsqueeze(1) - row, torch.arange(5).unsqueeze(0) - column
        radius, own = kind["kernel"] // 2, 0 if kind["first"] else 1
        above = (-radius <= rows) & (rows < own) & (columns.abs() <= radius)
        left = (rows == 0) & (-radius <= columns) & (columns < own)
        nothing = torch.zeros_like(above)
        for out, name, sees in zip(stacks.run(v, h), ("v′", "h′"), ((above, nothing), (above, left)), strict=True):
            for found, seen, whom in zip(influences(out[0, :, row, column], v, h, along=seed), sees, "vh", strict=True):
                assert_sees(found, seen, what=f"{name} at {(row, column)}", whom=whom)

    @weight(8)
    @given(kind=gated(), channels=st.sampled_from([2, 1, 3]), seed=generators())
    @settings(max_examples=6)
    def test_the_two_gates(self, student: Any, kind: dict[str, Any], channels: int, seed: torch.Generator) -> None:
        """With p and q as they can be measured, v′ and h′ are what the two formulas make of them."""
        stacks = Stacks.build(student, seed, **kind, size=(2, channels, 3, 3), scale=0.1)
        p, q = stacks.measured()
        shapes = {
            "link.weight": (2 * channels, 2 * channels, 1, 1),
            "link.bias": (2 * channels,),
            "output.weight": (channels, channels, 1, 1),
            "output.bias": (channels,),
        }
        weights = {name: noise(shape, seed) for name, shape in shapes.items()}
        load_weights(stacks.layer, weights)
        with torch.no_grad():
            v, h = stacks.run()
        assert_close(v, gate(p), tolerance=1e-3, what="v′")
        inner = gate(q + F.conv2d(p, weights["link.weight"], weights["link.bias"]))
        expected = F.conv2d(inner, weights["output.weight"], weights["output.bias"])
        assert_close(h, expected if kind["first"] else stacks.h + expected, tolerance=1e-3, what="h′")

    @weight(2)
    @given(kind=gated(), seed=generators())
    @settings(max_examples=4)
    def test_p_and_q_are_convolutions(self, student: Any, kind: dict[str, Any], seed: torch.Generator) -> None:
        """What enters the gates is linear in v and in h, up to biases that are not 0."""
        stacks = Stacks.build(student, seed, **kind, size=(1, 2, 3, 3), scale=0.1)
        other = Stacks(stacks.layer, noise(stacks.v.shape, seed), noise(stacks.h.shape, seed), stacks.first)
        both = Stacks(stacks.layer, stacks.v + other.v, stacks.h + other.h, stacks.first)
        none = Stacks(stacks.layer, 0 * stacks.v, 0 * stacks.h, stacks.first)
        for name, one, two, sums, bias in zip(
            "pq", *(part.measured() for part in (stacks, other, both, none)), strict=True
        ):
            assert_close(sums, one + two - bias, tolerance=2e-3, what=f"{name} for the sum of two inputs")
            if not (bias.abs() > 1e-3).any():
                fail(f"For zeros {name} is zero everywhere: its convolution has no bias.")

    @weight(2)
    @given(kind=gated(), border=st.integers(1, 2), seed=generators())
    @settings(max_examples=4)
    def test_zeros_around_the_image(
        self, student: Any, kind: dict[str, Any], border: int, seed: torch.Generator
    ) -> None:
        """Beyond the border there are zeros: an image with zeros around it gives the same features in its middle."""
        stacks = Stacks.build(student, seed, **kind, size=(1, 2, 3, 4))
        with torch.no_grad():
            narrow = stacks.run()
            wide = stacks.run(*(F.pad(part, (border,) * 4) for part in (stacks.v, stacks.h)))
        for inner, outer, name in zip(narrow, wide, ("v′", "h′"), strict=True):
            middle = outer[:, :, border:-border, border:-border]
            assert_close(middle, inner, tolerance=1e-4, what=f"{name} in the middle of the larger image")

    @weight(5)
    @given(row=st.integers(0, 3), column=st.integers(0, 3), seed=generators())
    @settings(max_examples=5)
    def test_no_blind_spot(self, student: Any, row: int, column: int, seed: torch.Generator) -> None:
        """Four layers on top of each other see every pixel drawn before, and no other."""
        x = noise((1, 2, 4, 4), seed).requires_grad_()
        v = h = x
        for first in (True, False, False, False):
            v, h = Stacks.build(student, seed, kernel=3, first=first, size=(1, 2, 4, 4)).run(v, h)
        before = torch.arange(16).view(4, 4) < 4 * row + column
        if not before.any():
            return
        (found,) = influences(h[0, :, row, column], x, along=seed)
        assert_sees(found, before, what=f"h after four layers at {(row, column)}", whom="the image")

    @given(kind=gated(), seed=generators())
    @settings(max_examples=2)
    def test_each_image_by_itself(self, student: Any, kind: dict[str, Any], seed: torch.Generator) -> None:
        """Each image of a batch is passed through by itself, the others do not change it."""
        stacks = Stacks.build(student, seed, **kind, size=(3, 3, 3, 3))
        assert_rows_apart(lambda v, h: torch.cat(stacks.run(v, h), dim=1), stacks.v, stacks.h, what="the pair (v′, h′)")

    @pytest.mark.parametrize("kernel", [4, 2, 1])
    def test_refuses(self, student: Any, kernel: int) -> None:
        """A kernel whose size is even, or less than 3, is a ValueError."""
        with pytest.raises(ValueError):
            student.GatedPixelCNNLayer(2, kernel)


# ---- PixelSNAIL


@dataclass(frozen=True)
class Gathering:
    """Features that ask and are asked, with the weights of the three maps."""

    x: Tensor
    memory: Tensor
    weights: dict[str, Tensor]

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the layer, by the names of its arguments."""
        (key_dim, x_channels), (value_dim, memory_channels) = (
            self.weights[f"{name}.weight"].shape[:2] for name in ("query", "value")
        )
        return {
            "x_channels": x_channels,
            "memory_channels": memory_channels,
            "key_dim": key_dim,
            "value_dim": value_dim,
        }

    def build(self, student: Any) -> Any:
        """A student's layer with these weights."""
        layer = student.CausalAttention2d(*self.sizes.values())
        load_weights(layer, self.weights)
        return layer

    def by_torch(self) -> Tensor:
        """What torch's own attention makes of it; zeros for the first pixel."""
        parts = zip(("query", "key", "value"), (self.x, self.memory, self.memory), strict=True)
        query, key, value = (
            F.conv2d(part, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]).flatten(2).mT
            for name, part in parts
        )
        later = [
            F.scaled_dot_product_attention(query[:, i : i + 1], key[:, :i], value[:, :i])
            for i in range(1, query.shape[1])
        ]
        found = torch.cat([torch.zeros_like(value[:, :1]), *later], dim=1)
        return found.mT.unflatten(2, self.x.shape[2:])


@st.composite
def gatherings(draw: st.DrawFn, *, size: tuple[int, int] | None = None, batch: int = 2) -> Gathering:
    """Features and weights of all sizes."""
    x_channels, memory_channels, key_dim, value_dim = (draw(sizes(1, 4)) for _ in range(4))
    height, width = (draw(sizes(1, 3)), draw(sizes(1, 3))) if size is None else size
    seed = draw(generators())
    shapes = {
        "query.weight": (key_dim, x_channels, 1, 1),
        "query.bias": (key_dim,),
        "key.weight": (key_dim, memory_channels, 1, 1),
        "key.bias": (key_dim,),
        "value.weight": (value_dim, memory_channels, 1, 1),
        "value.bias": (value_dim,),
    }
    weights = {name: noise(shape, seed) for name, shape in shapes.items()}
    x, memory = (noise((batch, c, height, width), seed) for c in (x_channels, memory_channels))
    return Gathering(x, memory, weights)


@exercise("CausalAttention2d", contract=False)
class TestCausalAttention2d:
    @required
    @given(asked=gatherings(size=(2, 2)))
    @settings(max_examples=3)
    def test_gathers_from_afar(self, student: Any, asked: Gathering) -> None:
        """The last pixel gathers from the first one, with weights that matter."""
        layer = asked.build(student)
        memory = asked.memory.clone().requires_grad_()
        out = layer(asked.x, memory)
        assert_shape(out, (2, asked.sizes["value_dim"], 2, 2), what="the result")
        assert_parameters_matter(out[:, :, -1, -1], layer, what="the result at the last pixel")
        (gradient,) = gradients(out[:, :, -1, -1].sum(), [memory])
        if not gradient[:, :, 0, 0].any():
            fail("The result at the last pixel does not change with the memory at the first one.")

    @weight(4)
    @given(asked=gatherings())
    @settings(max_examples=10)
    def test_equals_torchs_attention(self, student: Any, asked: Gathering) -> None:
        """At each pixel it is torch's own attention over the pixels before; zeros at the first."""
        with torch.no_grad():
            received = asked.build(student)(asked.x, asked.memory)
        assert_close(received, asked.by_torch(), tolerance=1e-4, what="the result", sizes=asked.sizes)

    @weight(2)
    @given(asked=gatherings(size=(1, 3), batch=1))
    @settings(max_examples=5)
    def test_three_pixels_by_hand(self, student: Any, asked: Gathering) -> None:
        """Of three pixels the second gets the value of the first; the third shares by the logistic function of its scores."""
        x, memory = asked.x[0, :, 0].T, asked.memory[0, :, 0].T
        query, key, value = (
            part @ asked.weights[f"{name}.weight"][:, :, 0, 0].T + asked.weights[f"{name}.bias"]
            for name, part in (("query", x), ("key", memory), ("value", memory))
        )
        scores = [math.fsum(a * b for a, b in zip(query[2].tolist(), row, strict=True)) for row in key[:2].tolist()]
        share = 1 / (1 + math.exp((scores[1] - scores[0]) / asked.sizes["key_dim"] ** 0.5))
        expected = torch.stack([0 * value[0], value[0], share * value[0] + (1 - share) * value[1]])
        with torch.no_grad():
            received = asked.build(student)(asked.x, asked.memory)
        assert_close(received, expected.T[None, :, None], tolerance=1e-4, what="the result", sizes=asked.sizes)

    @weight(4)
    @given(asked=gatherings(size=(2, 3)), row=st.integers(0, 1), column=st.integers(0, 2), seed=generators())
    @settings(max_examples=6)
    def test_what_a_pixel_sees(
        self, student: Any, asked: Gathering, row: int, column: int, seed: torch.Generator
    ) -> None:
        """Its Jacobian is zero for the memory at the pixel itself and at all later ones, and for the x of all others."""
        layer = asked.build(student)
        x, memory = asked.x.clone().requires_grad_(), asked.memory.clone().requires_grad_()
        out = layer(x, memory)
        assert_shape(out, (2, asked.sizes["value_dim"], 2, 3), what="the result")
        of_x, of_memory = influences(out[0, :, row, column], x, memory, along=seed)
        number = 3 * row + column
        places = torch.arange(6).view(2, 3)
        assert_sees(of_memory, places < number, what=f"The result at {(row, column)}", whom="the memory")
        # With a single pixel before it there is nothing to choose: then its own x makes no difference, either.
        own = (places == number) & ((of_x != 0) | (number > 1))
        assert_sees(of_x, own, what=f"The result at {(row, column)}", whom="x")

    @weight(3)
    @given(asked=gatherings(), seed=generators())
    @settings(max_examples=5)
    def test_gradients(self, student: Any, asked: Gathering, seed: torch.Generator) -> None:
        """Its gradients with respect to features and weights are those of torch's own attention, and finite."""
        layer = asked.build(student)
        inputs = x, memory = [part.clone().requires_grad_() for part in (asked.x, asked.memory)]
        weights = {name: value.clone().requires_grad_() for name, value in asked.weights.items()}
        expected = Gathering(x, memory, weights).by_torch()
        received = layer(*inputs)
        assert_shape(received, tuple(expected.shape), what="the result")
        if not (expected.requires_grad and received.requires_grad):
            if expected.requires_grad:
                fail("No gradient flows back through the result.")
            return  # a single pixel, which gets zeros
        along, own = noise(expected.shape, seed), [layer.get_parameter(name) for name in weights]
        got = gradients((received * along).sum(), [*inputs, *own])
        wanted = gradients((expected * along).sum(), [*inputs, *weights.values()])
        for name, one, other in zip(("x", "memory", *weights), got, wanted, strict=True):
            assert_close(one, other, tolerance=1e-3, what=f"the gradient with respect to {name}")

    @weight(4)
    @given(asked=gatherings(size=(1, 4), batch=1), large=st.booleans())
    @settings(max_examples=6)
    def test_the_first_two_pixels(self, student: Any, asked: Gathering, large: bool) -> None:
        """The first pixel gets zeros, the second the value of the first, however large the scores; gradients are finite."""
        layer = asked.build(student)
        inputs = [((300 if large else 1) * part).requires_grad_() for part in (asked.x, asked.memory)]
        out = layer(*inputs)
        assert_shape(out, (1, asked.sizes["value_dim"], 1, 4), what="the result")
        value = F.conv2d(inputs[1][..., :1], asked.weights["value.weight"], asked.weights["value.bias"])
        expected = torch.cat([torch.zeros_like(value), value], dim=3)
        assert_close(out[..., :2], expected, tolerance=1e-4, what="the result at the first two pixels")
        wanted = [*inputs, *(layer.get_parameter(name) for name in asked.weights)]
        if not out.requires_grad:
            fail("No gradient flows back through the result.")
        found = gradients(out.square().sum(), wanted)
        for name, gradient in zip(("x", "memory", *asked.weights), found, strict=True):
            assert_finite(gradient, what=f"the gradient with respect to {name}")

    @weight(3)
    @given(scores=st.lists(st.integers(0, 8), min_size=2, max_size=4), seed=generators())
    @settings(max_examples=5)
    def test_no_score_shows_through(self, student: Any, scores: list[int], seed: torch.Generator) -> None:
        """Pixels before with scores near −10⁴ share all of the weight, though a later one has a score of 10⁴."""
        count = len(scores)
        layer = student.CausalAttention2d(1, 2, 1, 1)
        weights = {
            "query.weight": torch.ones(1, 1, 1, 1),
            "key.weight": torch.tensor([1.0, 0.0]).view(1, 2, 1, 1),
            "value.weight": torch.tensor([0.0, 1.0]).view(1, 2, 1, 1),
        } | {f"{name}.bias": torch.zeros(1) for name in ("query", "key", "value")}
        load_weights(layer, weights)
        keys = torch.tensor([*(-100 + score / 800 for score in scores), 100.0, 100.0])
        values = noise((count + 2,), seed)
        memory = torch.stack([keys, values]).view(1, 2, 1, count + 2)
        with torch.no_grad():
            received = layer(torch.full((1, 1, 1, count + 2), 100.0), memory)
        assert_shape(received, (1, 1, 1, count + 2), what="the result")
        odds = [math.exp(score / 8) for score in scores]
        expected = sum(odd * value for odd, value in zip(odds, values.tolist(), strict=False)) / sum(odds)
        assert_close(received[0, 0, 0, count], expected, tolerance=2e-3, what=f"the result at pixel {count}")


# ---- WaveNet

LEVELS = st.sampled_from([256, 16, 255, 2, 7, 1024])


def expanded(level: float, levels: int) -> float:
    """The amplitude that belongs to a level, fractions of levels included: the inverse of the μ-law."""
    mu = levels - 1
    bent = 2 * level / mu - 1
    return math.copysign(((1 + mu) ** abs(bent) - 1) / mu, bent)


@exercise(
    "mu_law_encode",
    contract=arguments(
        reference.mu_law_encode,
        x=st.lists(sizes(1, 3), max_size=3).flatmap(lambda shape: tensors(shape, low=-1, high=1)),
    ),
)
class TestMuLawEncode:
    @required
    @given(levels=st.sampled_from([256, 16, 255]))
    @settings(max_examples=3)
    def test_ends_and_order(self, student: Any, levels: int) -> None:
        """−1 becomes level 0, 1 the last level, and the louder the higher in between."""
        received = student.mu_law_encode(torch.tensor([-1.0, -0.5, -0.1, 0.1, 0.5, 1.0]), levels)
        assert_shape(received, (6,), what="the levels")
        assert_close(received[[0, -1]], torch.tensor([0, levels - 1]), what="the levels of −1 and 1")
        assert_between(received[1:] - received[:-1], 1, what="the difference between the levels of rising amplitudes")

    @weight(5)
    @given(levels=LEVELS, offset=st.sampled_from([0.0, 0.4, -0.4, 0.2, -0.2]), seed=generators())
    @settings(max_examples=12)
    def test_nearest_level(self, student: Any, levels: int, offset: float, seed: torch.Generator) -> None:
        """Each amplitude becomes the level that its bent amplitude is nearest to, by the inverse of the μ-law."""
        codes = torch.randint(0, levels, (4, 3), generator=seed)
        amplitudes = [expanded(min(max(code + offset, 0), levels - 1), levels) for code in codes.flatten().tolist()]
        received = student.mu_law_encode(torch.tensor(amplitudes).view(4, 3), levels)
        assert_close(received, codes, what="the levels", sizes={"levels": levels})

    @weight(5)
    @given(excess=st.sampled_from([0.001, 0.5, 10.0, math.inf]), levels=LEVELS)
    @settings(max_examples=5)
    def test_what_lies_outside(self, student: Any, excess: float, levels: int) -> None:
        """Amplitudes beyond −1 and 1 count as the nearer end."""
        received = student.mu_law_encode(torch.tensor([-1 - excess, 1 + excess]), levels)
        assert_close(received, torch.tensor([0, levels - 1]), what="the levels")

    @weight(2)
    @given(levels=st.sampled_from([256, 64]), seed=generators())
    @settings(max_examples=4)
    def test_quiet_sounds_get_many_levels(self, student: Any, levels: int, seed: torch.Generator) -> None:
        """Half of all levels are for amplitudes that are quiet, where a linear scale has a few."""
        quiet = expanded(0.75 * (levels - 1), levels)
        received = student.mu_law_encode(torch.tensor([-quiet, quiet]), levels)
        assert_shape(received, (2,), what="the levels")
        half = (levels - 1) / 2
        assert_between(received[1] - received[0], half - 1, half + 1, what=f"how many levels lie within ±{quiet:.4f}")

    @given(levels=st.sampled_from([2, 6, 10, 256, 255, 7]))
    @settings(max_examples=6)
    def test_a_half_goes_up(self, student: Any, levels: int) -> None:
        """Silence lies in the middle: halfway between two levels if their number is even, and then the upper one counts."""
        received = student.mu_law_encode(torch.zeros(2, 1), levels)
        assert_close(received, torch.full((2, 1), levels // 2), what="the level of silence", sizes={"levels": levels})


@exercise(
    "mu_law_decode",
    contract=arguments(
        reference.mu_law_decode, codes=st.lists(sizes(1, 3), max_size=3).flatmap(lambda shape: ids(shape, 255))
    ),
)
class TestMuLawDecode:
    @required
    @given(levels=st.sampled_from([256, 16, 255]))
    @settings(max_examples=3)
    def test_ends_and_order(self, student: Any, levels: int) -> None:
        """The first level is −1, the last is 1, and the amplitude grows in between."""
        received = student.mu_law_decode(torch.arange(levels), levels)
        assert_shape(received, (levels,), what="the amplitudes")
        assert_close(received[[0, -1]], torch.tensor([-1.0, 1.0]), tolerance=1e-4, what="the first and the last")
        assert_between(received[1:] - received[:-1], 1e-6, tolerance=0, what="the step from one amplitude to the next")

    @weight(4)
    @given(levels=LEVELS, seed=generators())
    @settings(max_examples=8)
    def test_by_hand(self, student: Any, levels: int, seed: torch.Generator) -> None:
        """It is the inverse of the μ-law, one number at a time."""
        codes = torch.randint(0, levels, (3, 4), generator=seed)
        expected = torch.tensor([expanded(code, levels) for code in codes.flatten().tolist()]).view(3, 4)
        received = student.mu_law_decode(codes, levels)
        assert_close(received, expected, what="the amplitudes", sizes={"levels": levels})

    @weight(3)
    @given(levels=LEVELS)
    @settings(max_examples=5)
    def test_encoding_gives_the_level_again(self, student: Any, levels: int) -> None:
        """The amplitude of each level is encoded as that level."""
        codes = torch.arange(levels)
        amplitudes = student.mu_law_decode(codes, levels)
        assert_shape(amplitudes, (levels,), what="the amplitudes")
        assert_close(reference.mu_law_encode(amplitudes, levels), codes, what="the levels of the amplitudes")

    @weight(2)
    @given(levels=LEVELS)
    @settings(max_examples=5)
    def test_is_odd(self, student: Any, levels: int) -> None:
        """Levels at the same distance from both ends are opposite amplitudes."""
        amplitudes = student.mu_law_decode(torch.arange(levels), levels)
        assert_shape(amplitudes, (levels,), what="the amplitudes")
        assert_close(amplitudes.flip(0), -amplitudes, tolerance=1e-4, what="the amplitudes, read backwards,")

    @weight(5)
    @given(dtype=st.sampled_from([torch.uint8, torch.int16, torch.int32]), levels=st.sampled_from([256, 200]))
    @settings(max_examples=4)
    def test_any_integers(self, student: Any, dtype: torch.dtype, levels: int) -> None:
        """Levels of any integer dtype, bytes for example, give the same amplitudes, as float32."""
        codes = torch.arange(0, levels, 9)
        expected = torch.tensor([expanded(code, levels) for code in codes.tolist()])
        assert_close(student.mu_law_decode(codes.to(dtype), levels), expected, what=f"the amplitudes of {dtype} levels")


@dataclass(frozen=True)
class Taps:
    """A causal convolution: its sizes."""

    inputs: int
    outputs: int
    kernel: int
    dilation: int

    def build(self, student: Any, seed: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        """A student's layer with weights that are drawn, and these; no weight is 0."""
        layer = student.CausalConv1d(self.inputs, self.outputs, self.kernel, dilation=self.dilation)
        shape = (self.outputs, self.inputs, self.kernel)
        weights = {"weight": noise(shape, seed), "bias": noise((self.outputs,), seed)}
        weights["weight"] += 0.1 * weights["weight"].sign()
        load_weights(layer, weights)
        return layer, weights


def taps() -> st.SearchStrategy[Taps]:
    """Causal convolutions of all sizes."""
    return st.builds(Taps, sizes(1, 3), sizes(1, 3), st.integers(1, 4), st.integers(1, 4))


@exercise("CausalConv1d", contract=False)
class TestCausalConv1d:
    @required
    @given(inputs=sizes(1, 3), seed=generators())
    @settings(max_examples=3)
    def test_listens_to_what_was(self, student: Any, inputs: int, seed: torch.Generator) -> None:
        """The output is as long as the input, and depends on the step before, and on the weights."""
        layer, _ = Taps(inputs, 3, 2, 1).build(student, seed)
        x = noise((2, inputs, 5), seed).requires_grad_()
        out = layer(x)
        assert_shape(out, (2, 3, 5), what="the output")
        assert_parameters_matter(out, layer, what="the output")
        (found,) = influences(out[0, :, 3], x, along=seed)
        if not found[2]:
            fail("The output at step 3 does not depend on the input at step 2.")

    @weight(4)
    @given(layer=taps(), length=sizes(1, 8), seed=generators())
    @settings(max_examples=10)
    def test_step_by_step(self, student: Any, layer: Taps, length: int, seed: torch.Generator) -> None:
        """At each step it is the sum of weights times inputs that the formula says, with zeros before the beginning."""
        convolution, weights = layer.build(student, seed)
        x = noise((2, layer.inputs, length), seed)
        expected = weights["bias"].double().view(1, -1, 1).repeat(2, 1, length)
        for t, i in itertools.product(range(length), range(layer.kernel)):
            if (then := t - (layer.kernel - 1 - i) * layer.dilation) >= 0:
                expected[:, :, t] += x[:, :, then].double() @ weights["weight"][:, :, i].double().T
        names = {"kernel_size": layer.kernel, "dilation": layer.dilation, "length": length}
        with torch.no_grad():
            received = convolution(x)
        assert_close(received, expected.float(), tolerance=1e-4, what="the output", sizes=names)

    @weight(2)
    @given(layer=taps(), length=sizes(1, 6), seed=generators())
    @settings(max_examples=6)
    def test_equals_torchs_with_its_end_cut_off(
        self, student: Any, layer: Taps, length: int, seed: torch.Generator
    ) -> None:
        """It is nn.Conv1d with zeros on both sides, less the outputs after the end of the input."""
        convolution, weights = layer.build(student, seed)
        past = (layer.kernel - 1) * layer.dilation
        torchs = nn.Conv1d(layer.inputs, layer.outputs, layer.kernel, padding=past, dilation=layer.dilation)
        torchs.load_state_dict(weights)
        x = noise((2, layer.inputs, length), seed)
        with torch.no_grad():
            assert_close(convolution(x), torchs(x)[:, :, :length], tolerance=1e-4, what="the output")

    @weight(4)
    @given(layer=taps(), now=st.integers(0, 8), seed=generators())
    @settings(max_examples=8)
    def test_what_a_step_hears(self, student: Any, layer: Taps, now: int, seed: torch.Generator) -> None:
        """Its Jacobian is zero for all later steps, and for all earlier ones but every `dilation`-th within the kernel."""
        convolution, _ = layer.build(student, seed)
        x = noise((2, layer.inputs, 9), seed).requires_grad_()
        out = convolution(x)
        assert_shape(out, (2, layer.outputs, 9), what="the output")
        (found,) = influences(out[0, :, now], x, along=seed)
        heard = {now - i * layer.dilation for i in range(layer.kernel)}
        seen = torch.tensor([step in heard for step in range(9)])
        assert_sees(found, seen, what=f"The output at step {now}", whom="the input")

    @given(layer=taps(), length=st.integers(2, 6), seed=generators())
    @settings(max_examples=4)
    def test_what_was_said_stays(self, student: Any, layer: Taps, length: int, seed: torch.Generator) -> None:
        """The beginning of a sequence gives the beginning of the output, whatever comes later."""
        convolution, _ = layer.build(student, seed)
        x = noise((1, layer.inputs, length), seed)
        with torch.no_grad():
            whole = convolution(x)
            assert_shape(whole, (1, layer.outputs, length), what="the output")
            assert_close(convolution(x[:, :, :-1]), whole[:, :, :-1], tolerance=1e-4, what="the output for a beginning")

    @given(dilation=st.integers(1, 4))
    @settings(max_examples=2)
    def test_begins_like_a_convolution(self, student: Any, dilation: int) -> None:
        """Its parameters are `weight` and `bias`, of the shapes and sizes with which nn.Conv1d begins."""
        layer = student.CausalConv1d(10, 30, 3, dilation=dilation)
        assert_begins_like(layer, {"weight": (30, 10, 3), "bias": (30,)}, 1.0)


STACKS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=4)


@exercise(
    "receptive_field",
    contract=st.tuples(STACKS.map(lambda drawn: tuple(zip(*drawn, strict=True)) or ((), ())), st.just({})),
)
class TestReceptiveField:
    @required
    @given(layers=st.integers(2, 9))
    @settings(max_examples=5)
    def test_doubling(self, student: Any, layers: int) -> None:
        """Kernels of 2 with dilations 1, 2, 4, … see twice as much with each layer: 2ⁿ steps with n of them."""
        received = student.receptive_field([2] * layers, [2**layer for layer in range(layers)])
        assert_close(received, 2**layers, what="the receptive field")

    @weight(3)
    @given(stack=STACKS)
    @settings(max_examples=12)
    def test_as_measured(self, student: Any, stack: list[tuple[int, int]]) -> None:
        """It is what differentiating a stack of convolutions shows: from the first step that counts to the present one."""
        x = torch.zeros(1, 1, 70, requires_grad=True)
        out = x
        for kernel, dilation in stack:
            out = F.conv1d(F.pad(out, ((kernel - 1) * dilation, 0)), torch.ones(1, 1, kernel), dilation=dilation)
        (gradient,) = torch.autograd.grad(out[0, 0, -1], x)
        measured = 70 - int(gradient[0, 0].nonzero()[0])
        received = student.receptive_field([kernel for kernel, _ in stack], [dilation for _, dilation in stack])
        assert_close(received, measured, what="the receptive field")

    @given(stack=STACKS, kernel=st.integers(1, 5), dilation=st.integers(1, 600))
    @settings(max_examples=6)
    def test_one_more_layer(self, student: Any, stack: list[tuple[int, int]], kernel: int, dilation: int) -> None:
        """One more layer, wherever it is put, adds its reach: (k − 1) · d."""
        kernels, dilations = [each for each, _ in stack], [each for _, each in stack]
        before = student.receptive_field(kernels, dilations)
        for grown in (([kernel, *kernels], [dilation, *dilations]), ([*kernels, kernel], [*dilations, dilation])):
            assert_close(student.receptive_field(*grown), before + (kernel - 1) * dilation, what="the receptive field")


@dataclass(frozen=True)
class Block:
    """A student's WaveNet block around drawn parts, and a sequence."""

    block: Any
    parts: dict[str, nn.Module]
    x: Tensor

    @classmethod
    def build(
        cls, student: Any, seed: torch.Generator, *, channels: int, skip: int, parts: Sequence[nn.Module] | None = None
    ) -> "Block":
        """A block of these sizes; filter and gate look at one step only, unless others are given."""
        filter_, gate_ = parts or (nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, channels, 1))
        ours: dict[str, nn.Module] = {"filter": filter_, "gate": gate_}
        ours |= {"residual": nn.Conv1d(channels, channels, 1), "skip": nn.Conv1d(channels, skip, 1)}
        for part in ours.values():
            redraw(part, seed, scale=0.7)
        block = student.WaveNetBlock(channels, skip, filter_, gate_)
        for name in ("residual", "skip"):
            load_weights(block, {f"{name}.{key}": value for key, value in ours[name].state_dict().items()})
        return cls(block, ours, noise((2, channels, 5), seed))

    def run(self, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The pair that the block returns; fails if it is none of the right shapes."""
        x = self.x if x is None else x
        pair = self.block(x)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            fail(f"The block should return the pair (x′, s), but it returned {describe(pair)}.")
        assert_shape(pair[0], tuple(x.shape), what="x′")
        assert_shape(pair[1], (len(x), len(self.bias("skip")), x.shape[2]), what="s")
        return pair[0], pair[1]

    def bias(self, part: str) -> Tensor:
        """The bias of a part, ready to be added to a sequence."""
        return self.parts[part].get_parameter("bias").detach().unsqueeze(1)


@exercise("WaveNetBlock", contract=False)
class TestWaveNetBlock:
    @required
    @given(seed=generators())
    @settings(max_examples=3)
    def test_depends_on_input_and_parts(self, student: Any, seed: torch.Generator) -> None:
        """Both results change with the input, with filter and gate, and with the block's own weights."""
        drawn = Block.build(student, seed, channels=3, skip=2)
        x = drawn.x.clone().requires_grad_()
        new, skip = drawn.run(x)
        for out, name, own in ((new, "x′", "residual"), (skip, "s", "skip")):
            assert_depends(out, x, what=name)
            named = dict(drawn.block.named_parameters())
            for part in ("filter", "gate", own):
                if f"{part}.weight" not in named:
                    fail(f"There is no parameter {f'{part}.weight'!r}: `{part}` should be an attribute of the block.")
                assert_depends(out, named[f"{part}.weight"], what=name, on_what=f"the weights of `{part}`")

    @weight(5)
    @given(channels=sizes(1, 4), skip=sizes(1, 4), seed=generators())
    @settings(max_examples=8)
    def test_the_formula(self, student: Any, channels: int, skip: int, seed: torch.Generator) -> None:
        """x′ and s are what the formula makes of the four parts."""
        drawn = Block.build(student, seed, channels=channels, skip=skip)
        with torch.no_grad():
            new, out = drawn.run()
            z = gate(torch.cat([drawn.parts["filter"](drawn.x), drawn.parts["gate"](drawn.x)], dim=1))
            assert_close(new, drawn.x + drawn.parts["residual"](z), tolerance=1e-4, what="x′")
            assert_close(out, drawn.parts["skip"](z), tolerance=1e-4, what="s")

    @weight(3)
    @given(seed=generators(), channels=sizes(1, 3))
    @settings(max_examples=4)
    def test_a_closed_gate(self, student: Any, seed: torch.Generator, channels: int) -> None:
        """If the gate is closed nothing passes: what is left is the shortcut, and the biases of `residual` and `skip`."""
        filter_, gate_ = nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, channels, 1)
        drawn = Block.build(student, seed, channels=channels, skip=2, parts=(filter_, gate_))
        load_weights(
            drawn.block,
            {"gate.weight": torch.zeros(channels, channels, 1), "gate.bias": torch.full((channels,), -40.0)},
        )
        with torch.no_grad():
            new, out = drawn.run()
            assert_close(new, drawn.x + drawn.bias("residual"), tolerance=1e-4, what="x′")
            assert_close(out, drawn.bias("skip").expand(2, 2, 5), tolerance=1e-4, what="s")

    @weight(2)
    @given(seed=generators(), now=st.integers(0, 4), dilation=st.integers(1, 2))
    @settings(max_examples=4)
    def test_hears_what_its_parts_hear(self, student: Any, seed: torch.Generator, now: int, dilation: int) -> None:
        """Around causal convolutions it is causal: its Jacobian is zero but for the steps that they look at."""
        parts = [reference.CausalConv1d(2, 2, 2, dilation=dilation) for _ in range(2)]
        drawn = Block.build(student, seed, channels=2, skip=3, parts=parts)
        x = drawn.x.clone().requires_grad_()
        seen = torch.tensor([step in (now, now - dilation) for step in range(5)])
        for out, name in zip(drawn.run(x), ("x′", "s"), strict=True):
            (found,) = influences(out[0, :, now], x, along=seed)
            assert_sees(found, seen, what=f"{name} at step {now}", whom="the input")

    @given(seed=generators())
    @settings(max_examples=2)
    def test_each_sequence_by_itself(self, student: Any, seed: torch.Generator) -> None:
        """Each sequence of a batch is passed through by itself, the others do not change it."""
        drawn = Block.build(student, seed, channels=2, skip=3)
        assert_rows_apart(lambda x: torch.cat(drawn.run(x), dim=1), drawn.x, what="the pair (x′, s)")
