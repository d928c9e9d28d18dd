# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""Hidden properties of `mathematics`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import entr, rel_entr  # type: ignore[import-untyped]
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import Categorical, Independent, LogNormal, MultivariateNormal, Normal, kl_divergence
from torch.nn import functional as F

from autograder.properties.distributions import standard_normal_nodes
from coursekit.properties import (
    assert_between,
    assert_close,
    assert_finite,
    assert_shape,
    dimensions,
    exercise,
    fail,
    generators,
    required,
    sizes,
    tensors,
    weight,
)
from solutions import mathematics as reference

Calls = tuple[tuple[Any, ...], dict[str, Any]]

# ---- probability


def normalised(weights: Tensor) -> Tensor:
    """Whole numbers as probabilities: along the last axis they sum to 1."""
    return (weights.double() / weights.sum(dim=-1, keepdim=True)).float()


@st.composite
def distributions(draw: st.DrawFn, *shape: int, low: int = 0) -> Tensor:
    """Distributions along the last axis, by small whole numbers, with zeros among them unless `low` is 1."""
    weights = draw(tensors(shape, dtype=torch.int64, low=low, high=6))
    weights[..., 0] += weights.sum(dim=-1) == 0
    return normalised(weights)


@st.composite
def tables(draw: st.DrawFn, axes: Any = 3, low: int = 0) -> Tensor:
    """Joint distributions: all entries sum to 1. `axes` is how many, or a strategy of that."""
    count = draw(axes) if isinstance(axes, st.SearchStrategy) else axes
    shape = [draw(sizes(1, 4)) for _ in range(count)]
    return draw(distributions(math.prod(shape), low=low)).view(shape)


def cells(joint: Tensor) -> list[tuple[tuple[int, ...], float]]:
    """Every cell of a table, with its probability."""
    places = itertools.product(*map(range, joint.shape))
    return list(zip(places, joint.flatten().tolist(), strict=True))


def without(place: Sequence[int], axes: Any) -> tuple[int, ...]:
    """A place less some of its axes."""
    return tuple(value for axis, value in enumerate(place) if axis not in axes)


def summed_out(joint: Tensor, axes: Any) -> Tensor:
    """The marginal table, cell by cell."""
    result = torch.zeros(without(joint.shape, axes), dtype=torch.float64)
    for place, probability in cells(joint):
        result[without(place, axes)] += probability
    return result.to(joint.dtype)


def given_that(joint: Tensor, evidence: dict[int, int]) -> Tensor:
    """The conditional table, cell by cell."""
    possible = [(place, p) for place, p in cells(joint) if all(place[axis] == v for axis, v in evidence.items())]
    total = math.fsum(p for _, p in possible)
    result = torch.zeros(without(joint.shape, evidence), dtype=torch.float64)
    for place, probability in possible:
        result[without(place, evidence)] = probability / total
    return result.to(joint.dtype)


@st.composite
def populations(draw: st.DrawFn, least: int = 1) -> Tensor:
    """How many people are of each kind and show each sign: counts (kinds, signs). No kind is empty, no sign unseen."""
    counts = draw(tensors((draw(sizes(2, 4)), draw(sizes(least, 4))), dtype=torch.int64, low=0, high=9))
    counts[0] += 1
    counts[:, 0] += 1
    return counts


def in_shares(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The prior (kinds,), and how probable each sign is for each kind (signs, kinds)."""
    return normalised(counts.sum(dim=1)), normalised(counts).T.contiguous()


@exercise("bayes_posterior", contract=populations().map(lambda counts: (in_shares(counts), {})))
class TestBayesPosterior:
    @required
    @given(counts=populations(2))
    @settings(max_examples=10)
    def test_counts_people(self, student: Any, counts: Tensor) -> None:
        """It is the share of each kind among all people who show the sign, here by counting them."""
        prior, likelihood = in_shares(counts)
        expected = torch.tensor([[n / sum(column) for n in column] for column in counts.T.tolist()])
        received = student.bayes_posterior(prior, likelihood)
        names = {"batch": len(likelihood), "hypotheses": len(prior)}
        assert_close(received, expected, what="the posterior", sizes=names)

    @weight(3)
    @given(counts=populations(2), scales=tensors(4, dtype=torch.int64, low=-3, high=6))
    @settings(max_examples=6)
    def test_densities(self, student: Any, counts: Tensor, scales: Tensor) -> None:
        """Only the ratios within a row of likelihoods matter: rows need not sum to anything, and may exceed 1."""
        prior, likelihood = in_shares(counts)
        scaled = likelihood * 10.0 ** scales[: len(likelihood), None]
        expected = normalised(counts.T)
        assert_close(student.bayes_posterior(prior, scaled), expected, what="the posterior")

    @weight(2)
    @given(prior=distributions(4), likelihood=tensors((3, 4), low=0.125, high=2))
    @settings(max_examples=8)
    def test_what_was_ruled_out_stays_so(self, student: Any, prior: Tensor, likelihood: Tensor) -> None:
        """A prior of 0 stays 0, and a prior of 1 stays 1, whatever is observed; each row sums to 1."""
        for beliefs in (prior, torch.eye(4)[1]):
            received = student.bayes_posterior(beliefs, likelihood)
            assert_shape(received, (3, 4), what="the posterior")
            assert_close(received.sum(dim=1), torch.ones(3), what="the sum over hypotheses")
            assert_close(
                received[:, beliefs == 0], torch.zeros(3, int((beliefs == 0).sum())), what="what was ruled out"
            )

    @given(likelihood=tensors((3, 2), low=0.125, high=2), odds=st.sampled_from([0.25, 1.0, 9.0, 99.0]))
    @settings(max_examples=5)
    def test_odds(self, student: Any, likelihood: Tensor, odds: float) -> None:
        """The posterior odds of two hypotheses are the prior odds times the ratio of the likelihoods."""
        received = student.bayes_posterior(torch.tensor([odds / (1 + odds), 1 / (1 + odds)]), likelihood)
        assert_shape(received, (3, 2), what="the posterior")
        expected = torch.tensor([odds * first / second for first, second in likelihood.tolist()])
        assert_close(received[:, 0] / received[:, 1], expected, tolerance=1e-4, what="the posterior odds")

    @weight(4)
    @given(row=st.integers(0, 2), ruled_out=st.booleans())
    @settings(max_examples=6)
    def test_the_impossible(self, student: Any, row: int, ruled_out: bool) -> None:
        """A ValueError says that an observation in some row is impossible, also if only the prior rules it out."""
        likelihood = torch.full((3, 3), 0.5)
        likelihood[row] = torch.tensor([0.0, 0.0, 1.0 if ruled_out else 0.0])
        prior = torch.tensor([0.25, 0.75, 0.0]) if ruled_out else torch.tensor([0.25, 0.5, 0.25])
        with pytest.raises(ValueError):
            student.bayes_posterior(prior, likelihood)


def beliefs_by_hand(log_prior: Tensor, log_likelihood: Tensor) -> Tensor:
    """Row t: prior and the first t observations added up, less the logarithm of the sum of their exponentials."""
    rows, totals = [], log_prior.tolist()
    for observation in [[0.0] * len(totals), *log_likelihood.tolist()]:
        totals = [total + value for total, value in zip(totals, observation, strict=True)]
        top = max(totals)
        log_sum = top + math.log(math.fsum(math.exp(total - top) for total in totals))
        rows.append([total - log_sum for total in totals])
    return torch.tensor(rows, dtype=torch.float64)


@st.composite
def evidence_streams(draw: st.DrawFn) -> Calls:
    """Arguments of `update_beliefs`."""
    observations, hypotheses = draw(sizes(1, 4)), draw(sizes(2, 4))
    prior = draw(distributions(hypotheses, low=1))
    return (prior.log(), draw(tensors((observations, hypotheses), low=-4, high=0))), {}


@exercise("update_beliefs", contract=evidence_streams())
class TestUpdateBeliefs:
    @required
    @given(call=evidence_streams())
    @settings(max_examples=10)
    def test_each_row_is_bayes_theorem(self, student: Any, call: Calls) -> None:
        """Row t is Bayes' theorem for the first t observations together, here with probabilities multiplied out."""
        log_prior, log_likelihood = call[0]
        received = student.update_beliefs(log_prior, log_likelihood)
        assert_shape(received, (len(log_likelihood) + 1, len(log_prior)), what="the result")
        prior, rows = log_prior.exp().tolist(), log_likelihood.exp().tolist()
        for t, row in enumerate(received):
            joint = [math.prod([p, *(seen[h] for seen in rows[:t])]) for h, p in enumerate(prior)]
            expected = torch.tensor([value / math.fsum(joint) for value in joint])
            assert_close(row.exp(), expected, tolerance=1e-4, what=f"the exponential of row {t}")

    @given(call=evidence_streams())
    @settings(max_examples=5)
    def test_yesterdays_posterior_is_todays_prior(self, student: Any, call: Calls) -> None:
        """One observation at a time, each beginning with the last row so far, gives the same rows as all at once."""
        log_prior, log_likelihood = call[0]
        rows = [log_prior]
        for observation in log_likelihood:
            both = student.update_beliefs(rows[-1], observation[None])
            assert_shape(both, (2, len(log_prior)), what="the result for one observation")
            rows.append(both[1])
        received = student.update_beliefs(log_prior, log_likelihood)
        assert_close(received, torch.stack(rows), tolerance=1e-4, what="the result")

    @given(call=evidence_streams())
    @settings(max_examples=5)
    def test_order_of_observations(self, student: Any, call: Calls) -> None:
        """In the end it does not matter in which order things were observed; row 0 is the prior."""
        log_prior, log_likelihood = call[0]
        forward = student.update_beliefs(log_prior, log_likelihood)
        backward = student.update_beliefs(log_prior, log_likelihood.flip(0))
        assert_shape(forward, (len(log_likelihood) + 1, len(log_prior)), what="the result")
        assert_close(forward[0], log_prior, what="row 0")
        assert_close(forward[-1], backward[-1], tolerance=1e-4, what="the last row, the observations being reversed,")

    @weight(4)
    @given(
        call=evidence_streams(),
        low=st.sampled_from([-1e4, -2000.0, -150.0]),
        seed=tensors((100, 4), dtype=torch.int64, low=-1, high=0),
    )
    @settings(max_examples=5)
    def test_improbable_observations(self, student: Any, call: Calls, low: float, seed: Tensor) -> None:
        """A hundred observations with log-likelihoods down to −10⁴ are no trouble: only differences matter."""
        log_prior = call[0][0].double()
        log_likelihood = low + seed[:, : len(log_prior)].double()
        expected = beliefs_by_hand(log_prior, seed[:, : len(log_prior)])
        received = student.update_beliefs(log_prior, log_likelihood)
        assert_close(received, expected, tolerance=1e-5, what="the result", hint="it can stay in log space throughout.")

    @weight(2)
    @given(call=evidence_streams(), data=st.data())
    @settings(max_examples=6)
    def test_ruled_out(self, student: Any, call: Calls, data: st.DataObject) -> None:
        """A hypothesis under which something observed is impossible has the log-posterior −∞ from then on."""
        log_prior, log_likelihood = call[0]
        when = data.draw(st.integers(0, len(log_likelihood) - 1), label="when")
        who = data.draw(st.integers(0, len(log_prior) - 1), label="who")
        others = [h for h in range(len(log_prior)) if h != who]
        log_likelihood[when, who] = -math.inf
        received = student.update_beliefs(log_prior, log_likelihood)
        assert_shape(received, (len(log_likelihood) + 1, len(log_prior)), what="the result")
        gone = torch.full((len(log_likelihood) - when,), -math.inf)
        assert_close(received[when + 1 :, who], gone, what="the log-posterior of what is ruled out")
        assert_finite(received[: when + 1], what="the log-posteriors before that")
        total = received[when + 1 :, others].exp().sum(dim=1)
        assert_close(total, torch.ones(len(gone)), tolerance=1e-4, what="the sum of the other probabilities")


@st.composite
def marginal_calls(draw: st.DrawFn) -> tuple[Tensor, tuple[int, ...]]:
    """A table, and some of its axes, in any order, but not all of them."""
    joint = draw(tables(st.integers(2, 4)))
    axes = st.lists(st.integers(0, joint.ndim - 1), unique=True, min_size=1, max_size=joint.ndim - 1)
    return joint, tuple(draw(axes))


@exercise("marginalize", contract=marginal_calls().map(lambda call: (call, {})))
class TestMarginalize:
    @required
    @weight(2)
    @given(call=marginal_calls())
    @settings(max_examples=15)
    def test_adds_up_cells(self, student: Any, call: tuple[Tensor, tuple[int, ...]]) -> None:
        """Each entry is the sum of all cells of the table that agree with it, here cell by cell."""
        joint, axes = call
        expected = summed_out(joint, axes)
        hint = "the named axes are summed out, the others are left in their order."
        assert_close(student.marginalize(joint, axes), expected, what="the table", hint=hint)

    @weight(4)
    @given(joint=tables(st.integers(1, 3)))
    @settings(max_examples=6)
    def test_none_and_all(self, student: Any, joint: Tensor) -> None:
        """With no axes it is the table itself, with all of them a scalar, 1."""
        assert_close(student.marginalize(joint, ()), joint, what="the table with nothing summed out")
        everything = student.marginalize(joint, tuple(range(joint.ndim)))
        assert_close(everything, torch.tensor(1.0), what="the table with everything summed out")

    @given(call=marginal_calls())
    @settings(max_examples=6)
    def test_order_of_axes(self, student: Any, call: tuple[Tensor, tuple[int, ...]]) -> None:
        """The order in which the axes are named changes nothing, and one after the other gives the same as all at once."""
        joint, axes = call
        once = student.marginalize(joint, axes)
        step_by_step = joint
        for axis in sorted(axes, reverse=True):
            step_by_step = student.marginalize(step_by_step, (axis,))
        assert_close(once, step_by_step, what="the table")
        assert_close(student.marginalize(joint, axes[::-1]), once, what="the table with the axes in reversed order")

    @given(first=distributions(2), second=distributions(3), third=distributions(4))
    @settings(max_examples=5)
    def test_independent_variables(self, student: Any, first: Tensor, second: Tensor, third: Tensor) -> None:
        """Of independent variables, whose probabilities were multiplied, each comes back as it was."""
        joint = torch.einsum("i,j,k->ijk", first, second, third)
        for axes, expected in {(1, 2): first, (0, 2): second, (1, 0): third}.items():
            assert_close(student.marginalize(joint, axes), expected, what=f"the table without the axes {axes}")


@st.composite
def conditions(draw: st.DrawFn, axes: Any = None, least: int = 1) -> tuple[Tensor, dict[int, int]]:
    """A table, and evidence on some of its variables, but not all, that is possible."""
    joint = draw(tables(st.integers(2, 4) if axes is None else axes))
    place = draw(st.sampled_from([place for place, probability in cells(joint) if probability]))
    known = draw(st.lists(st.integers(0, joint.ndim - 1), unique=True, min_size=least, max_size=joint.ndim - 1))
    return joint, {axis: place[axis] for axis in known}


@exercise("condition", contract=conditions().map(lambda call: (call, {})))
class TestCondition:
    @required
    @given(call=conditions(st.integers(2, 3)))
    @settings(max_examples=12)
    def test_cell_by_cell(self, student: Any, call: tuple[Tensor, dict[int, int]]) -> None:
        """Each entry is the probability of its cell over that of the evidence, here cell by cell."""
        joint, evidence = call
        received = student.condition(joint, evidence)
        assert_close(received, given_that(joint, evidence), what=f"the table given {evidence}")

    @weight(2)
    @given(call=conditions(st.integers(3, 4), 2))
    @settings(max_examples=8)
    def test_one_piece_after_the_other(self, student: Any, call: tuple[Tensor, dict[int, int]]) -> None:
        """Evidence can come in any order, and piece by piece: the result is the same as all at once."""
        joint, evidence = call
        step_by_step = joint
        for axis in sorted(evidence, reverse=True):
            step_by_step = student.condition(step_by_step, {axis: evidence[axis]})
        once = student.condition(joint, evidence)
        assert_close(once, step_by_step, what=f"the table given {evidence}")
        backwards = dict(reversed(evidence.items()))
        assert_close(student.condition(joint, backwards), once, what=f"the table given {backwards}")

    @weight(2)
    @given(joint=tables(st.integers(1, 3)), data=st.data())
    @settings(max_examples=6)
    def test_nothing_and_everything(self, student: Any, joint: Tensor, data: st.DataObject) -> None:
        """If nothing is known it is the table itself, if everything is known a scalar, 1."""
        assert_close(student.condition(joint, {}), joint, what="the table given nothing")
        place = data.draw(st.sampled_from([place for place, probability in cells(joint) if probability]))
        everything = student.condition(joint, dict(enumerate(place)))
        assert_close(everything, torch.tensor(1.0), what="the table given everything")

    @given(first=distributions(3, low=1), second=distributions(4, low=1), value=st.integers(0, 2))
    @settings(max_examples=4)
    def test_independent_variables(self, student: Any, first: Tensor, second: Tensor, value: int) -> None:
        """What is known of a variable changes nothing for another that is independent of it."""
        joint = torch.outer(first, second)
        assert_close(student.condition(joint, {0: value}), second, what="the second variable given the first")
        assert_close(student.condition(joint, {1: value}), first, what="the first variable given the second")

    @weight(4)
    @given(call=conditions(st.integers(2, 3)))
    @settings(max_examples=6)
    def test_the_impossible(self, student: Any, call: tuple[Tensor, dict[int, int]]) -> None:
        """A ValueError says that the evidence has probability zero."""
        joint, evidence = call
        assume(all(joint.shape[axis] > 1 for axis in evidence))
        joint[tuple(evidence.get(axis, slice(None)) for axis in range(joint.ndim))] = 0
        assume(joint.any())
        with pytest.raises(ValueError):
            student.condition(joint / joint.sum(), evidence)


# ---- linear maps


def orthogonal(n: int, generator: torch.Generator) -> Tensor:
    """A rotation or reflection (n, n), in double precision."""
    return torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q


@st.composite
def affine_maps(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Points (batch, latent), a matrix (out, latent), an offset (out,)."""
    size = draw(dimensions("batch latent out", high=4))
    batch, latent, out = size["batch"], size["latent"], size["out"]
    return draw(tensors((batch, latent))), draw(tensors((out, latent))), draw(tensors(out))


@exercise("transform_latents")
class TestTransformLatents:
    @required
    @given(z=tensors((4, 3)), scales=tensors(3, low=0.5, high=3), offset=tensors(3))
    @settings(max_examples=6)
    def test_scales_each_axis(self, student: Any, z: Tensor, scales: Tensor, offset: Tensor) -> None:
        """A diagonal matrix stretches the cloud along each axis by itself, and the offset moves all of it."""
        columns = zip(z.T.tolist(), scales.tolist(), offset.tolist(), strict=True)
        expected = torch.tensor([[value * scale + shift for value in column] for column, scale, shift in columns]).T
        received = student.transform_latents(z, scales.diag(), offset)
        assert_close(received, expected, tolerance=1e-4, what="the cloud")

    @weight(3)
    @given(call=affine_maps(), data=st.data())
    @settings(max_examples=10)
    def test_point_by_point(self, student: Any, call: tuple[Tensor, Tensor, Tensor], data: st.DataObject) -> None:
        """Each point becomes A (z − c) + b, here number by number; A need not be square."""
        z, matrix, offset = call
        centre = data.draw(tensors(z.shape[1]), label="centre")
        moved = [[value - c for value, c in zip(row, centre.tolist(), strict=True)] for row in z.tolist()]
        expected = [
            [
                math.fsum(map(math.prod, zip(a, row, strict=True))) + b
                for a, b in zip(matrix.tolist(), offset.tolist(), strict=True)
            ]
            for row in moved
        ]
        received = student.transform_latents(z, matrix, offset, centre=centre)
        names = dict(zip(("batch", "latent"), z.shape, strict=True)) | {"out": len(offset)}
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the cloud", sizes=names)

    @given(matrix=tensors((3, 2)), offset=tensors(3))
    @settings(max_examples=5)
    def test_columns_of_the_matrix(self, student: Any, matrix: Tensor, offset: Tensor) -> None:
        """The origin goes to the offset, and from there the j-th unit vector goes along the j-th column."""
        received = student.transform_latents(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), matrix, offset)
        expected = torch.stack([offset, offset + matrix[:, 0], offset + matrix[:, 1]])
        assert_close(received, expected, what="where the origin and the unit vectors go")

    @weight(3)
    @given(degrees=st.integers(10, 170), size=st.sampled_from([0.5, 1.0, 4.0]), centre=tensors(2))
    @settings(max_examples=5)
    def test_turns_to_the_left(self, student: Any, degrees: int, size: float, centre: Tensor) -> None:
        """The matrix of a rotation turns points around the centre to the left, here as complex numbers that are multiplied."""
        angle = math.radians(degrees)
        matrix = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        turn = complex(math.cos(angle), math.sin(angle))
        z = size * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]])
        pivot = complex(*centre.tolist())
        turned = [turn * (complex(*point) - pivot) + pivot for point in z.tolist()]
        expected = torch.tensor([[point.real, point.imag] for point in turned])
        received = student.transform_latents(z, matrix, centre, centre=centre)
        assert_close(received, expected, tolerance=1e-4, what="the cloud")


@st.composite
def random_vectors(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Values (n, latent), all equally probable, of a random vector; a matrix (out, latent); an offset (out,)."""
    size = draw(dimensions("latent out", high=4))
    values = draw(tensors((5, size["latent"])))
    return values, draw(tensors((size["out"], size["latent"]))), draw(tensors(size["out"]))


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the covariance of a random vector that takes each of these values (n, size) with probability 1 / n."""
    return values.mean(dim=0), torch.cov(values.T, correction=0).reshape(values.shape[1], values.shape[1])


@st.composite
def gaussian_maps(draw: st.DrawFn) -> Calls:
    """Arguments of `transform_gaussian`."""
    values, matrix, offset = draw(random_vectors())
    return (*moments(values), matrix, offset), {}


@exercise("transform_gaussian", contract=gaussian_maps())
class TestTransformGaussian:
    @required
    @given(mean=tensors(2), deviations=tensors(2, low=0.5, high=2), scales=tensors(2, low=0.5, high=3))
    @settings(max_examples=6)
    def test_independent_dimensions(self, student: Any, mean: Tensor, deviations: Tensor, scales: Tensor) -> None:
        """Where each dimension is stretched by itself, so is each mean, and each standard deviation."""
        matrix, offset = scales.diag(), torch.tensor([1.0, -2.0])
        received = student.transform_gaussian(mean, deviations.square().diag(), matrix, offset)
        means = [s * m + b for s, m, b in zip(scales.tolist(), mean.tolist(), offset.tolist(), strict=True)]
        variances = [(s * d) ** 2 for s, d in zip(scales.tolist(), deviations.tolist(), strict=True)]
        assert_close(received, (torch.tensor(means), torch.tensor(variances).diag()), tolerance=1e-4, what="the pair")

    @weight(4)
    @given(call=random_vectors())
    @settings(max_examples=12)
    def test_value_by_value(self, student: Any, call: tuple[Tensor, Tensor, Tensor]) -> None:
        """They are the mean and the covariance of a random vector of which every single value is transformed."""
        values, matrix, offset = call
        images = torch.stack([(matrix * value).sum(dim=1) + offset for value in values])
        mean, covariance = moments(images)
        received = student.transform_gaussian(*moments(values), matrix, offset)
        names = {"latent": matrix.shape[1], "out": matrix.shape[0]}
        assert_close(received, (mean, covariance), tolerance=1e-4, what="the pair", sizes=names)

    @given(call=gaussian_maps(), offset=tensors(1))
    @settings(max_examples=4)
    def test_offset_moves_the_mean_alone(self, student: Any, call: Calls, offset: Tensor) -> None:
        """Another offset moves the mean by as much, and leaves the covariance, which is symmetric, as it is."""
        mean, covariance, matrix, here = call[0]
        there = here + offset + 4
        before = student.transform_gaussian(mean, covariance, matrix, here)
        after = student.transform_gaussian(mean, covariance, matrix, there)
        assert_close(after[0] - before[0], there - here, tolerance=1e-4, what="how far the mean moved")
        assert_close(after[1], before[1], tolerance=1e-4, what="the covariance with another offset")
        assert_close(before[1], before[1].T.contiguous(), tolerance=1e-4, what="the covariance")

    @given(generator=generators(), scale=st.sampled_from([0.5, 2.0, 3.0]))
    @settings(max_examples=4)
    def test_whitening(self, student: Any, generator: torch.Generator, scale: float) -> None:
        """The inverse of a factor L of Σ = L Lᵀ makes the covariance the identity; L itself brings it back."""
        factor = orthogonal(3, generator) @ torch.tensor([0.5, 1.0, scale], dtype=torch.float64).diag()
        mean = torch.randn(3, generator=generator, dtype=torch.float64)
        inverse, one = torch.linalg.inv(factor), torch.eye(3, dtype=torch.float64)
        received = student.transform_gaussian(mean, factor @ factor.T, inverse, -inverse @ mean)
        assert_close(received, (torch.zeros_like(mean), one), what="the whitened pair")
        back = student.transform_gaussian(torch.zeros_like(mean), one, factor, mean)
        assert_close(back, (mean, factor @ factor.T), what="the pair that was brought back")


@dataclass(frozen=True)
class Spectral:
    """A symmetric matrix of which everything is known, and where to start: all in double precision."""

    values: Tensor  # eigenvalues (n,), the dominant one first; the others are at most half as large
    vectors: Tensor  # eigenvectors (n, n), one in each column
    start: Tensor  # (n,), with something of each eigenvector in it

    @property
    def matrix(self) -> Tensor:
        """Q Λ Qᵀ, symmetric to the last bit."""
        matrix = self.vectors @ self.values.diag() @ self.vectors.T
        return (matrix + matrix.T) / 2


@st.composite
def spectral(draw: st.DrawFn, negative: bool | None = None) -> Spectral:
    """Matrices with a dominant eigenvalue, of which it is plain which entry of its eigenvector is the largest."""
    n, generator = draw(sizes(2, 4)), draw(generators())
    dominant = draw(st.sampled_from([4.0, 2.0, 8.0]))
    others = dominant / 2 * (0.25 + 0.75 * torch.rand(n - 1, generator=generator, dtype=torch.float64))
    others *= 2.0 * torch.randint(0, 2, (n - 1,), generator=generator) - 1
    sign = -1 if (draw(st.booleans()) if negative is None else negative) else 1
    vectors = orthogonal(n, generator)
    while not plain(vectors[:, 0]):
        vectors = orthogonal(n, generator)
    parts = 1 + torch.rand(n, generator=generator, dtype=torch.float64)
    parts *= 2.0 * torch.randint(0, 2, (n,), generator=generator) - 1
    return Spectral(torch.cat([torch.tensor([sign * dominant]).double(), others]), vectors, vectors @ parts)


def plain(vector: Tensor) -> bool:
    """Whether one entry is clearly the largest in absolute value."""
    first, second = vector.abs().topk(2).values.tolist()
    return first > 1.05 * second


def turned(vector: Tensor) -> Tensor:
    """The unit vector on the same line whose largest entry is positive."""
    largest = max(vector.tolist(), key=abs)
    return vector / math.copysign(math.sqrt(math.fsum(v * v for v in vector.tolist())), largest)


@st.composite
def power_calls(draw: st.DrawFn) -> Calls:
    """Arguments of `power_iteration`."""
    n = draw(sizes(1, 4))
    half = draw(tensors((n, n), low=-1, high=1))
    return (half + half.T + 8 * torch.eye(n), draw(tensors(n, low=0.5, high=2)), draw(st.integers(1, 4))), {}


@exercise("power_iteration", contract=power_calls())
class TestPowerIteration:
    @required
    @given(system=spectral(negative=False))
    @settings(max_examples=8)
    def test_finds_the_dominant_eigenvector(self, student: Any, system: Spectral) -> None:
        """After many steps the vector lies on the line of the dominant eigenvector, as torch.linalg.eigh finds it."""
        values, vectors = torch.linalg.eigh(system.matrix)
        vector = vectors[:, values.abs().argmax()]
        received = student.power_iteration(system.matrix.float(), system.start.float(), 60)[1]
        assert_shape(received, tuple(vector.shape), what="the eigenvector")
        projector = torch.outer(vector, vector)
        assert_close(
            torch.outer(received, received).double(), projector, tolerance=1e-4, what="v vᵀ, with v the eigenvector,"
        )

    @weight(4)
    @given(system=spectral())
    @settings(max_examples=10)
    def test_eigenvalue_and_eigenvector(self, student: Any, system: Spectral) -> None:
        """After many steps it has found the eigenvalue of greatest absolute value, even a negative one, and its vector."""
        received = student.power_iteration(system.matrix.float(), system.start.float(), 60)
        expected = system.values[0].float(), turned(system.vectors[:, 0]).float()
        assert_close(received, expected, tolerance=1e-4, what="the pair")

    @weight(5)
    @given(system=spectral(), steps=st.integers(1, 4))
    @settings(max_examples=10)
    def test_step_by_step(self, student: Any, system: Spectral, steps: int) -> None:
        """After k steps the vector lies on the line of Aᵏ start, and the eigenvalue is its Rayleigh quotient."""
        # In the basis of the eigenvectors the k-th power is a multiplication of each part by its eigenvalue, k times.
        parts = (system.vectors.T @ system.start) * system.values**steps
        vector = system.vectors @ parts
        assume(plain(vector))
        quotient = (parts.square() @ system.values) / parts.square().sum()
        received = student.power_iteration(system.matrix, system.start, steps)
        assert_close(received, (quotient, turned(vector)), tolerance=1e-6, what=f"the pair after {steps} steps")

    @weight(2)
    @given(system=spectral(), scale=st.sampled_from([1e5, 1e-5]))
    @settings(max_examples=4)
    def test_neither_overflows_nor_underflows(self, student: Any, system: Spectral, scale: float) -> None:
        """Many steps with large or small numbers neither overflow nor underflow."""
        matrix, start = (scale * system.matrix).float(), system.start.float()
        value, vector = student.power_iteration(matrix, start, 100)
        assert_close(value / scale, system.values[0].float(), tolerance=1e-4, what="the scaled eigenvalue")
        assert_close(vector, turned(system.vectors[:, 0]).float(), tolerance=1e-4, what="the eigenvector")

    @weight(2)
    @given(system=spectral(), length=st.sampled_from([1.0, 200.0, 0.01]), steps=st.integers(1, 30))
    @settings(max_examples=6)
    def test_start_and_its_opposite(self, student: Any, system: Spectral, length: float, steps: int) -> None:
        """The length of the start does not matter, nor its sign: the largest entry of the eigenvector is positive."""
        value, vector = student.power_iteration(system.matrix, length * system.start, steps)
        assert_shape(vector, tuple(system.start.shape), what="the eigenvector")
        assume(plain(vector))
        assert_between(vector[vector.abs().argmax()], 0, what="the entry of greatest absolute value")
        assert_close(torch.linalg.vector_norm(vector), 1.0, what="the length of the eigenvector")
        opposite = student.power_iteration(system.matrix, -system.start, steps)
        assert_close(opposite, (value, vector), what="the pair from the opposite start")


@st.composite
def clouds(draw: st.DrawFn, n: Any = None) -> tuple[Tensor, int]:
    """Data (n, data) around a point other than the origin, and how many directions to look for."""
    generator, rows, data = draw(generators()), draw(sizes(3, 9) if n is None else n), draw(sizes(1, 5))
    scales = 2.0 ** -torch.arange(data)
    x = torch.randn(rows, data, generator=generator) * scales @ orthogonal(data, generator).float()
    return x + 3 * torch.randn(data, generator=generator), draw(st.integers(1, min(rows - 1, data)))


def variances_along(x: Tensor, directions: Tensor) -> Tensor:
    """The variance of data along each of some directions."""
    return torch.stack([(x.double() * direction.double()).sum(dim=1).var() for direction in directions]).to(x.dtype)


def best_variances(x: Tensor, count: int) -> Tensor:
    """The largest eigenvalues of the covariance of the data."""
    covariance = np.atleast_2d(np.cov(x.double().numpy(), rowvar=False))
    return torch.from_numpy(np.linalg.eigvalsh(covariance)[::-1][:count].copy()).to(x.dtype)


@exercise("principal_components", contract=clouds(sizes(2, 5)).map(lambda call: (call, {})))
class TestPrincipalComponents:
    @required
    @weight(2)
    @given(call=clouds())
    @settings(max_examples=10)
    def test_captures_the_variance(self, student: Any, call: tuple[Tensor, int]) -> None:
        """Along each direction the data vary by as much as the largest eigenvalues of their covariance, in falling order."""
        x, count = call
        directions = student.principal_components(x, count)[1]
        assert_shape(directions, (count, x.shape[1]), what="the directions")
        expected, received = best_variances(x, count), variances_along(x, directions)
        names = {"n": len(x), "data": x.shape[1]}
        assert_close(
            received, expected, tolerance=1e-3, what="the variance of the data along the directions", sizes=names
        )

    @weight(4)
    @given(call=clouds())
    @settings(max_examples=10)
    def test_mean_and_variances(self, student: Any, call: tuple[Tensor, int]) -> None:
        """The mean and the variances are those that scikit-learn's PCA finds."""
        x, count = call
        expected = PCA(count, svd_solver="full").fit(x.double().numpy())
        mean, _, variances = student.principal_components(x, count)
        assert_close(mean, torch.from_numpy(expected.mean_).float(), tolerance=1e-4, what="the mean")
        assert_close(
            variances, torch.from_numpy(expected.explained_variance_).float(), tolerance=1e-3, what="the variances",
            sizes={"n": len(x), "data": x.shape[1]}, hint="they are in falling order, and divided by n − 1.",
        )  # fmt: skip

    @given(call=clouds())
    @settings(max_examples=6)
    def test_directions_are_orthonormal(self, student: Any, call: tuple[Tensor, int]) -> None:
        """The directions have length 1 and are at right angles, and along two of them the data are uncorrelated."""
        x, count = call
        _, directions, variances = student.principal_components(x, count)
        assert_shape(directions, (count, x.shape[1]), what="the directions")
        hint = "there is a direction in each row."
        products = directions @ directions.T
        assert_close(products, torch.eye(count), tolerance=1e-4, what="the products of the directions", hint=hint)
        covariance = torch.cov((x @ directions.T).T).reshape(count, count)
        assert_close(
            covariance, variances.diag(), tolerance=1e-3, what="the covariance along the directions", hint=hint
        )

    @weight(2)
    @given(generator=generators(), size=dimensions("n data", low=4, high=6), count=st.integers(1, 3))
    @settings(max_examples=6)
    def test_finds_the_plane(self, student: Any, generator: torch.Generator, size: dict[str, int], count: int) -> None:
        """Of data that lie on a line, a plane, …, away from the origin, mean and directions lose nothing."""
        spread = torch.randn(size["n"], count, generator=generator) @ torch.randn(
            count, size["data"], generator=generator
        )
        x = spread + 5 * torch.randn(size["data"], generator=generator)
        mean, directions, _ = student.principal_components(x, count)
        assert_shape(mean, (size["data"],), what="the mean")
        assert_shape(directions, (count, size["data"]), what="the directions")
        again = mean + (x - mean) @ directions.T @ directions
        assert_close(again, x, tolerance=1e-3, what="the data, put together from the mean and the directions,")

    @given(call=clouds(), shift=st.sampled_from([-10.0, 20.0]))
    @settings(max_examples=4)
    def test_where_the_data_lie(self, student: Any, call: tuple[Tensor, int], shift: float) -> None:
        """Data moved elsewhere have their mean moved, and keep their variances; twice as large, they have four times those."""
        x, count = call[0].double(), call[1]
        mean, _, variances = student.principal_components(x, count)
        moved, _, same = student.principal_components(x + shift, count)
        assert_close(moved - mean, torch.full_like(mean, shift), what="how far the mean moved")
        assert_close(same, variances, tolerance=1e-4, what="the variances of the moved data")
        large = student.principal_components(2 * x, count)[2]
        assert_close(large, 4 * variances, tolerance=1e-4, what="the variances of the larger data")


# ---- derivatives


@st.composite
def gradient_calls(draw: st.DrawFn) -> Calls:
    """Arguments of `numerical_gradient`."""
    shape = draw(st.lists(sizes(1, 3), max_size=3))
    return (lambda x: x.sin().sum(), draw(tensors(shape))), {}


@exercise("numerical_gradient", contract=gradient_calls())
class TestNumericalGradient:
    @required
    @given(x=tensors((2, 3)), slope=tensors((2, 3)))
    @settings(max_examples=6)
    def test_of_a_plane(self, student: Any, x: Tensor, slope: Tensor) -> None:
        """Of a plane it is the slope, everywhere."""
        received = student.numerical_gradient(lambda x: (slope.to(x) * x).sum() + 1, x)
        assert_close(received, slope, tolerance=1e-4, what="the gradient")

    @weight(3)
    @given(x=tensors(4), slope=tensors(4), step=st.sampled_from([0.5, 0.25, 1.0]))
    @settings(max_examples=6)
    def test_large_steps(self, student: Any, x: Tensor, slope: Tensor, step: float) -> None:
        """With a large step h it is exact for parabolas, and at x³ it is 3x² + h²: the differences are central."""
        received = student.numerical_gradient(lambda x: (slope.to(x) * x + x.square()).sum(), x, step)
        expected = torch.tensor([b + 2 * a for a, b in zip(x.tolist(), slope.tolist(), strict=True)])
        assert_close(received, expected, tolerance=1e-4, what="the gradient of a parabola")
        expected = torch.tensor([3 * a * a + step**2 for a in x.tolist()])
        received = student.numerical_gradient(lambda x: x.pow(3).sum(), x, step)
        assert_close(received, expected, tolerance=1e-4, what=f"the gradient of x³ with the step {step}")

    @weight(3)
    @given(shape=st.sampled_from([(3,), (2, 3), (2, 1, 2), ()]), data=st.data())
    @settings(max_examples=8)
    def test_equals_autograd(self, student: Any, shape: tuple[int, ...], data: st.DataObject) -> None:
        """It agrees with autograd to six digits, whatever the shape of x, and also where entries work on each other."""
        x = data.draw(tensors(shape, dtype=torch.float64), label="x")

        def f(x: Tensor) -> Tensor:
            return (x * torch.arange(1, x.numel() + 1).view(x.shape)).sum().sin() + (x.exp() * x.sum().cos()).sum()

        point = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(f(point), point)
        assert_close(student.numerical_gradient(f, x), expected, tolerance=1e-6, what="the gradient")

    @weight(2)
    @given(x=tensors((2, 2)), step=st.sampled_from([0.5, 2.0**-10]))
    @settings(max_examples=4)
    def test_asks_in_double_precision(self, student: Any, x: Tensor, step: float) -> None:
        """The function is given float64 tensors of the shape of x, one entry moved by the step."""
        points: list[Tensor] = []

        def f(point: Tensor) -> Tensor:
            points.append(point.detach().clone())
            return point.square().sum()

        received = student.numerical_gradient(f, x, step=step)
        for point in points:
            if point.dtype != torch.float64:
                fail(f"The function should be given float64 tensors, but it was given {point.dtype}.")
            assert_shape(point, (2, 2), what="what the function is given")
        moves = {tuple(round(v / step) for v in (p - x).flatten().tolist()) for p in points} - {(0, 0, 0, 0)}
        units = [tuple(row) for row in torch.eye(4, dtype=torch.int64).tolist()]
        wanted = {tuple(sign * v for v in unit) for unit in units for sign in (1, -1)}
        if moves != wanted:
            fail(
                f"In steps of h the function should be asked at {sorted(wanted)} from x, but it was at {sorted(moves)}."
            )
        assert_close(received, 2 * x, tolerance=1e-4, what="the gradient")

    @given(x=tensors(3), size=st.sampled_from([1e3, 1e4]))
    @settings(max_examples=4)
    def test_large_values(self, student: Any, x: Tensor, size: float) -> None:
        """On top of a large constant small differences are still seen: float32 would drown them."""
        received = student.numerical_gradient(lambda x: size + x.square().sum() / 2, x)
        assert_close(received, x, tolerance=1e-4, what="the gradient")


def polar(x: Tensor) -> Tensor:
    """Radius, angle and height as three coordinates and a distance from the origin."""
    radius, angle, height = x
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height, (radius.square() + height.square()).sqrt()])


def of_polar(x: Tensor) -> Tensor:
    """Its Jacobian, entry by entry."""
    radius, angle, height = x.tolist()
    c, s, length = math.cos(angle), math.sin(angle), math.hypot(radius, height)
    rows = [[c, -radius * s, 0], [s, radius * c, 0], [0, 0, 1], [radius / length, 0, height / length]]
    return torch.tensor(rows, dtype=x.dtype)


@st.composite
def jacobian_calls(draw: st.DrawFn) -> Calls:
    """Arguments of `jacobian`."""
    matrix = draw(tensors((3, 2)))
    return (lambda x: (matrix.to(x) @ x).sin(), draw(tensors(2))), {}


@exercise("jacobian", contract=jacobian_calls())
class TestJacobian:
    @required
    @given(x=tensors(4))
    @settings(max_examples=6)
    def test_each_by_itself(self, student: Any, x: Tensor) -> None:
        """Where each output depends on its own input alone, the derivatives stand on the diagonal, and 0 elsewhere."""
        received = student.jacobian(lambda x: x.sin() + 2 * x, x)
        assert_close(received, torch.tensor([math.cos(v) + 2 for v in x.tolist()]).diag(), what="the Jacobian")

    @weight(2)
    @given(size=dimensions("m n", high=4), data=st.data())
    @settings(max_examples=8)
    def test_of_a_matrix(self, student: Any, size: dict[str, int], data: st.DataObject) -> None:
        """Of a linear map it is the matrix of the map: a row for each output, a column for each input."""
        matrix = data.draw(tensors((size["m"], size["n"])), label="matrix")
        x = data.draw(tensors(size["n"]), label="x")
        received = student.jacobian(lambda x: matrix.to(x) @ x + 1, x)
        assert_close(received, matrix, what="the Jacobian", sizes=size)

    @weight(2)
    @given(x=tensors(3, dtype=torch.float64, low=0.5, high=3), wants=st.booleans())
    @settings(max_examples=6)
    def test_of_coordinates(self, student: Any, x: Tensor, wants: bool) -> None:
        """From cylindrical coordinates to others it is what one finds by hand, whether or not x requires grad."""
        received = student.jacobian(polar, x.clone().requires_grad_(wants))
        assert_close(received, of_polar(x), what="the Jacobian")

    @weight(2)
    @given(x=tensors(3), constant=tensors(2))
    @settings(max_examples=4)
    def test_what_depends_on_nothing(self, student: Any, x: Tensor, constant: Tensor) -> None:
        """Where an output depends on some inputs only, or on none at all, the other entries are 0."""
        received = student.jacobian(lambda x: torch.stack([x[0] * 3, constant[0].to(x), x[2] + x[0]]), x)
        expected = torch.tensor([[3.0, 0, 0], [0, 0, 0], [1, 0, 1]])
        assert_close(received, expected, what="the Jacobian")
        assert_close(
            student.jacobian(lambda x: constant.to(x), x), torch.zeros(2, 3), what="the Jacobian of a constant"
        )

    @weight(5)
    @given(x=tensors(2, dtype=torch.float64), speed=st.sampled_from([1e8, 3e6]))
    @settings(max_examples=4)
    def test_is_exact(self, student: Any, x: Tensor, speed: float) -> None:
        """It is exact, also for a wave so fine that differences step over it."""
        received = student.jacobian(lambda x: (speed * x).sin() / speed + x.flip(0), x)
        expected = torch.tensor([[math.cos(speed * x[0].item()), 1.0], [1.0, math.cos(speed * x[1].item())]])
        assert_close(received, expected.double(), what="the Jacobian", hint="autograd knows it, differences do not.")

    @given(x=tensors(3, dtype=torch.float64, low=0.5, high=3), matrix=tensors((2, 4), dtype=torch.float64))
    @settings(max_examples=4)
    def test_chain_rule(self, student: Any, x: Tensor, matrix: Tensor) -> None:
        """Of two maps one after the other it is the product of their Jacobians."""

        def second(y: Tensor) -> Tensor:
            return (matrix @ y).tanh()

        whole = student.jacobian(lambda x: second(polar(x)), x)
        inner, outer = student.jacobian(polar, x), student.jacobian(second, polar(x))
        assert_shape(inner, (4, 3), what="the Jacobian of the first map")
        assert_shape(outer, (2, 4), what="the Jacobian of the second map")
        assert_close(whole, outer @ inner, what="the Jacobian of both")


@st.composite
def invertible(draw: st.DrawFn, low: int = 1) -> Tensor:
    """Matrices (batch, n, n) with determinants of either sign, some far from 1, in double precision."""
    batch, n, generator = draw(sizes(1, 4)), draw(sizes(low, 4)), draw(generators())
    left, right = (torch.stack([orthogonal(n, generator) for _ in range(batch)]) for _ in range(2))
    scales = 0.25 + 3 * torch.rand(batch, 1, n, generator=generator, dtype=torch.float64)
    return left * scales @ right


@exercise("change_of_variables", contract=invertible().map(lambda j: ((torch.zeros(len(j)), j.float()), {})))
class TestChangeOfVariables:
    @required
    @given(log_density=tensors(3), scales=tensors((3, 2), low=0.5, high=4))
    @settings(max_examples=6)
    def test_stretching_thins_out(self, student: Any, log_density: Tensor, scales: Tensor) -> None:
        """Where space is stretched by some factor the density falls by that factor."""
        received = student.change_of_variables(log_density, torch.diag_embed(scales))
        densities = zip(log_density.tolist(), scales.tolist(), strict=True)
        expected = torch.tensor([math.log(math.exp(p) / (first * second)) for p, (first, second) in densities])
        assert_close(received, expected, tolerance=1e-4, what="the log-density", sizes={"batch": 3, "n": 2})

    @weight(4)
    @given(jacobians=invertible(), generator=generators())
    @settings(max_examples=10)
    def test_of_a_gaussian(self, student: Any, jacobians: Tensor, generator: torch.Generator) -> None:
        """A standard normal z sent through z ↦ J z is N(0, J Jᵀ), whose density torch knows, whatever the sign of det J."""
        z = torch.randn(jacobians.shape[:2], generator=generator, dtype=torch.float64)
        log_density = Independent(Normal(torch.zeros_like(z), torch.ones_like(z)), 1).log_prob(z)
        y = torch.stack([matrix @ point for matrix, point in zip(jacobians, z, strict=True)])
        expected = MultivariateNormal(torch.zeros_like(z), jacobians @ jacobians.mT).log_prob(y)
        received = student.change_of_variables(log_density, jacobians)
        names = {"batch": len(z), "n": z.shape[1]}
        assert_close(received, expected, what="the log-density", sizes=names)

    @given(z=tensors(4, low=-2, high=2))
    @settings(max_examples=4)
    def test_of_an_exponential(self, student: Any, z: Tensor) -> None:
        """Where z is standard normal, exp(z) is log-normal: here the Jacobian differs from point to point."""
        received = student.change_of_variables(Normal(0.0, 1.0).log_prob(z), z.exp()[:, None, None])
        assert_close(received, LogNormal(0.0, 1.0).log_prob(z.exp()), tolerance=1e-4, what="the log-density")

    @weight(4)
    @given(generator=generators(), scale=st.sampled_from([1e-4, 1e4]), n=st.sampled_from([100, 120]))
    @settings(max_examples=4)
    def test_determinants_beyond_any_float(
        self, student: Any, generator: torch.Generator, scale: float, n: int
    ) -> None:
        """A hundred dimensions, each 10⁴ times as large or as small, are no trouble."""
        jacobian = scale * orthogonal(n, generator)[None]
        received = student.change_of_variables(torch.ones(1), jacobian.float())
        assert_close(received, torch.tensor([1 - n * math.log(scale)]), tolerance=1e-4, what="the log-density")

    @given(first=invertible(), log_density=tensors(4, dtype=torch.float64))
    @settings(max_examples=5)
    def test_there_and_back(self, student: Any, first: Tensor, log_density: Tensor) -> None:
        """The inverse map brings the density back; a map that turns space over is like one that does not."""
        log_density = log_density[: len(first)]
        there = student.change_of_variables(log_density, first)
        back = student.change_of_variables(there, torch.linalg.inv(first))
        assert_close(back, log_density, what="the log-density there and back")
        mirrored = torch.cat([-first[:, :1], first[:, 1:]], dim=1)
        assert_close(student.change_of_variables(log_density, mirrored), there, what="the log-density in a mirror")


# ---- information


@st.composite
def code_lengths(draw: st.DrawFn) -> list[int]:
    """The lengths of the words of a binary code that wastes nothing: leaves of a tree that is split at random."""
    lengths = [1, 1]
    for _ in range(draw(st.integers(0, 4))):
        length = lengths.pop(draw(st.integers(0, len(lengths) - 1)))
        lengths += [length + 1, length + 1]
    return lengths


def coded_for(lengths: Sequence[int]) -> Tensor:
    """The distribution for which the code is made."""
    return torch.tensor([0.5**length for length in lengths])


def batches() -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of batches: none, one axis, two axes."""
    return st.sampled_from([(), (3,), (2, 3), (1,)])


@st.composite
def pairs(draw: st.DrawFn, low: int = 1) -> tuple[Tensor, Tensor]:
    """Two batches of distributions (*batch, outcomes)."""
    shape = *draw(batches()), draw(sizes(2, 5))
    return draw(distributions(*shape, low=low)), draw(distributions(*shape, low=low))


def impossible(p: Tensor, q: Tensor) -> Tensor:
    """Where p allows what q does not."""
    return ((p > 0) & (q == 0)).any(dim=-1)


PAIRS: st.SearchStrategy[Calls] = pairs().map(lambda pair: (pair, {}))


@exercise("entropy", contract=batches().flatmap(lambda b: distributions(*b, 3)).map(lambda p: ((p,), {})))
class TestEntropy:
    @required
    @given(outcomes=st.integers(2, 5))
    @settings(max_examples=4)
    def test_grows_with_the_number_of_outcomes(self, student: Any, outcomes: int) -> None:
        """Where all outcomes are equally probable it is positive, and for n² outcomes twice as large as for n."""
        few, many = (student.entropy(torch.full((n,), 1 / n)) for n in (outcomes, outcomes**2))
        assert_between(few, 0.1, what=f"the entropy of {outcomes} equally probable outcomes")
        assert_close(many, 2 * few, tolerance=1e-4, what=f"the entropy of {outcomes**2} equally probable outcomes")

    @weight(3)
    @given(lengths=code_lengths())
    @settings(max_examples=6)
    def test_is_the_length_of_the_best_code(self, student: Any, lengths: list[int]) -> None:
        """It is the mean length, in bits of log 2 nats each, of the words of a code that wastes nothing."""
        expected = math.log(2) * math.fsum(length * 0.5**length for length in lengths)
        received = student.entropy(coded_for(lengths))
        assert_close(received, torch.tensor(expected), what="the entropy", sizes={"outcomes": len(lengths)})

    @weight(3)
    @given(shape=batches(), data=st.data())
    @settings(max_examples=10)
    def test_each_distribution_by_itself(self, student: Any, shape: tuple[int, ...], data: st.DataObject) -> None:
        """Any number of distributions, with zeros in them, get the entropy that SciPy gives to each."""
        p = data.draw(distributions(*shape, 4), label="p")
        expected = torch.from_numpy(np.asarray(entr(p.double().numpy()).sum(axis=-1))).float()
        assert_close(student.entropy(p), expected, what="the entropy", sizes={"outcomes": 4})

    @weight(2)
    @given(p=distributions(2, 3), place=st.integers(0, 2))
    @settings(max_examples=5)
    def test_what_never_happens(self, student: Any, p: Tensor, place: int) -> None:
        """An outcome that never happens adds nothing, and what is certain has entropy 0."""
        more = torch.cat([p, torch.zeros(2, 2)], dim=1)
        assert_close(student.entropy(more), student.entropy(p), what="the entropy with two impossible outcomes more")
        assert_close(student.entropy(torch.eye(3)[place]), torch.tensor(0.0), what="the entropy of what is certain")

    @given(p=distributions(3), q=distributions(4))
    @settings(max_examples=4)
    def test_independent_variables(self, student: Any, p: Tensor, q: Tensor) -> None:
        """The entropies of two independent variables add up."""
        parts = student.entropy(p) + student.entropy(q)
        assert_close(student.entropy(torch.outer(p, q).flatten()), parts, what="the entropy of both")


@exercise("cross_entropy", contract=PAIRS)
class TestCrossEntropy:
    @required
    @given(pair=pairs())
    @settings(max_examples=8)
    def test_expecting_the_truth_is_best(self, student: Any, pair: tuple[Tensor, Tensor]) -> None:
        """Who expects what is true is surprised least: to expect anything else costs more."""
        p, q = pair
        assume(not torch.equal(p, q))
        right, wrong = student.cross_entropy(p, p), student.cross_entropy(p, q)
        assert_shape(right, tuple(p.shape[:-1]), what="the cross-entropy")
        assert_between((wrong - right).sum(), 1e-4, tolerance=0, what="H(p, q) − H(p, p)")
        assert_between(right, 0.01, what="H(p, p)")

    @weight(3)
    @given(lengths=code_lengths(), data=st.data())
    @settings(max_examples=8)
    def test_is_the_length_of_the_wrong_code(self, student: Any, lengths: list[int], data: st.DataObject) -> None:
        """It is the mean length, in bits of log 2 nats each, of words that come with p in a code that is made for q."""
        p = data.draw(distributions(len(lengths)), label="p")
        expected = math.log(2) * math.fsum(math.prod(pair) for pair in zip(p.tolist(), lengths, strict=True))
        received = student.cross_entropy(p, coded_for(lengths))
        assert_close(received, torch.tensor(expected), what="the cross-entropy", sizes={"outcomes": len(lengths)})

    @weight(3)
    @given(pair=pairs())
    @settings(max_examples=8)
    def test_equals_torch(self, student: Any, pair: tuple[Tensor, Tensor]) -> None:
        """Each pair of distributions gets what torch's loss of the same name makes of them."""
        p, q = pair
        flat = F.cross_entropy(q.log().flatten(0, -2) if q.ndim > 1 else q.log()[None],
                               p.flatten(0, -2) if p.ndim > 1 else p[None], reduction="none")  # fmt: skip
        received = student.cross_entropy(p, q)
        names = {"outcomes": p.shape[-1]}
        assert_close(received, flat.view(p.shape[:-1]), tolerance=1e-4, what="the cross-entropy", sizes=names)

    @weight(5)
    @given(pair=pairs(low=0))
    @settings(max_examples=10)
    def test_zeros(self, student: Any, pair: tuple[Tensor, Tensor]) -> None:
        """What never happens costs nothing, expected or not; what happens and was thought impossible costs ∞."""
        p, q = pair
        q = torch.where(p == 0, q / 2, q)  # other zeros stay, and the sum does not matter to the surprise
        finite = [[a * -math.log(b) for a, b in zip(*rows, strict=True) if a and b] for rows in rows_of(p, q)]
        expected = torch.tensor([math.fsum(row) for row in finite]).view(p.shape[:-1])
        expected = expected.masked_fill(impossible(p, q), math.inf)
        assert_close(student.cross_entropy(p, q), expected, tolerance=1e-4, what="the cross-entropy")


def rows_of(p: Tensor, q: Tensor) -> list[tuple[list[float], list[float]]]:
    """Pairs of distributions, one after the other."""
    return list(zip(p.reshape(-1, p.shape[-1]).tolist(), q.reshape(-1, q.shape[-1]).tolist(), strict=True))


@exercise("kl_divergence", contract=PAIRS)
class TestKLDivergence:
    @required
    @given(pair=pairs())
    @settings(max_examples=8)
    def test_is_zero_only_at_the_truth(self, student: Any, pair: tuple[Tensor, Tensor]) -> None:
        """It is 0 where q is p, and positive elsewhere."""
        p, q = pair
        assert_close(student.kl_divergence(p, p), torch.zeros(p.shape[:-1]), what="KL(p ‖ p)")
        assume(not torch.equal(p, q))
        received = student.kl_divergence(p, q)
        assert_shape(received, tuple(p.shape[:-1]), what="the divergence")
        assert_between(received.sum(), 1e-4, tolerance=0, what="KL(p ‖ q)")

    @weight(3)
    @given(pair=pairs())
    @settings(max_examples=10)
    def test_equals_torchs_categorical(self, student: Any, pair: tuple[Tensor, Tensor]) -> None:
        """Each pair of distributions gets what torch.distributions says of two Categorical ones."""
        p, q = pair
        expected = kl_divergence(Categorical(p.double()), Categorical(q.double())).float()
        received = student.kl_divergence(p, q)
        assert_close(received, expected, tolerance=1e-4, what="the divergence", sizes={"outcomes": p.shape[-1]})

    @weight(2)
    @given(lengths=code_lengths(), data=st.data())
    @settings(max_examples=6)
    def test_is_what_the_wrong_code_wastes(self, student: Any, lengths: list[int], data: st.DataObject) -> None:
        """It is by how much, in bits of log 2 nats, the words of a code made for q are too long where p is true."""
        true = data.draw(st.permutations(lengths), label="the lengths of the right code")
        expected = math.log(2) * math.fsum((b - a) * 0.5**a for a, b in zip(true, lengths, strict=True))
        received = student.kl_divergence(coded_for(true), coded_for(lengths))
        assert_close(received, torch.tensor(expected), what="the divergence", sizes={"outcomes": len(lengths)})

    @weight(4)
    @given(pair=pairs(low=0))
    @settings(max_examples=12)
    def test_zeros(self, student: Any, pair: tuple[Tensor, Tensor]) -> None:
        """What p rules out adds nothing, even where q does, too; what q alone rules out costs ∞, there and nowhere else."""
        p, q = pair
        expected = torch.from_numpy(np.asarray(rel_entr(p.double().numpy(), q.double().numpy()).sum(axis=-1))).float()
        assert_close(student.kl_divergence(p, q), expected, tolerance=1e-4, what="the divergence")

    @given(p=distributions(2, 3, low=1), q=distributions(2, 4, low=1))
    @settings(max_examples=4)
    def test_adds_up_over_independent_variables(self, student: Any, p: Tensor, q: Tensor) -> None:
        """For independent variables the divergences add up."""
        joint = [torch.outer(p[i], q[i]).flatten() for i in (0, 1)]
        parts = student.kl_divergence(p[0], p[1]) + student.kl_divergence(q[0], q[1])
        assert_close(student.kl_divergence(*joint), parts, tolerance=1e-4, what="the divergence of both together")


@st.composite
def gaussians(draw: st.DrawFn, n: int) -> tuple[Tensor, Tensor]:
    """The mean (n,) and the covariance (n, n) of a Gaussian, in double precision."""
    double = torch.float64
    lower = draw(tensors((n, n), dtype=double, low=-1, high=1)).tril(-1)
    factor = lower + draw(tensors(n, dtype=double, low=0.5, high=2)).diag()
    return draw(tensors(n, dtype=double)), factor @ factor.T


@st.composite
def two_gaussians(draw: st.DrawFn, low: int = 1) -> tuple[Tensor, ...]:
    """Arguments of `gaussian_kl`."""
    n = draw(sizes(low, 4))
    return *draw(gaussians(n)), *draw(gaussians(n))


@exercise("gaussian_kl", contract=two_gaussians().map(lambda four: (tuple(part.float() for part in four), {})))
class TestGaussianKL:
    @required
    @given(four=two_gaussians())
    @settings(max_examples=6)
    def test_grows_with_the_distance(self, student: Any, four: tuple[Tensor, ...]) -> None:
        """Of equal Gaussians it is 0; if one of them moves away it is positive, and larger the farther it goes."""
        mean, covariance, _, _ = four
        zero, near, far = (student.gaussian_kl(mean, covariance, mean + by, covariance) for by in (0.0, 1.0, 2.0))
        assert_close(zero, torch.tensor(0.0).double(), what="the divergence of equal Gaussians")
        assert_between(near, 1e-3, what="the divergence of one that was moved")
        assert_between(far - near, 1e-3, what="what it adds to go farther")

    @given(four=two_gaussians())
    @settings(max_examples=4)
    def test_log_density_falls(self, student: Any, four: tuple[Tensor, ...]) -> None:
        """If only the means differ it is by how much the log-density falls from one mean to the other."""
        mean, covariance, other, _ = four
        here, there = MultivariateNormal(mean, covariance).log_prob(torch.stack([mean, other]))
        received = student.gaussian_kl(mean, covariance, other, covariance)
        assert_close(received, here - there, what="the divergence")

    @weight(4)
    @given(four=two_gaussians())
    @settings(max_examples=10)
    def test_equals_torch(self, student: Any, four: tuple[Tensor, ...]) -> None:
        """It is what torch.distributions says of two multivariate normal ones."""
        p, q = MultivariateNormal(four[0], four[1]), MultivariateNormal(four[2], four[3])
        expected = kl_divergence(p, q)
        received = student.gaussian_kl(*four)
        assert_close(received, expected, what="the divergence", sizes={"n": len(four[0])})

    @given(p=gaussians(1), q=gaussians(1))
    @settings(max_examples=5)
    def test_equals_the_integral(self, student: Any, p: tuple[Tensor, Tensor], q: tuple[Tensor, Tensor]) -> None:
        """In one dimension it is the integral of p(x) (log p(x) − log q(x)), here by quadrature."""
        nodes, weights = standard_normal_nodes()
        first, second = (Normal(mean, variance[0].sqrt()) for mean, variance in (p, q))
        x = first.mean + first.stddev * nodes
        expected = weights @ (first.log_prob(x) - second.log_prob(x))
        assert_close(student.gaussian_kl(*p, *q), expected, tolerance=1e-4, what="the divergence")

    @given(first=two_gaussians(), second=two_gaussians())
    @settings(max_examples=4)
    def test_adds_up(self, student: Any, first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> None:
        """For independent blocks of dimensions the divergences add up."""
        both = [
            torch.cat(parts) if parts[0].ndim == 1 else torch.block_diag(*parts)
            for parts in zip(first, second, strict=True)
        ]
        parts = student.gaussian_kl(*first) + student.gaussian_kl(*second)
        assert_close(student.gaussian_kl(*both), parts, what="the divergence of both blocks")

    @given(four=two_gaussians(2), generator=generators())
    @settings(max_examples=4)
    def test_other_coordinates(self, student: Any, four: tuple[Tensor, ...], generator: torch.Generator) -> None:
        """It does not depend on the coordinates: an invertible affine map of both Gaussians leaves it as it is."""
        n = len(four[0])
        matrix = orthogonal(n, generator) * (0.5 + torch.rand(n, generator=generator, dtype=torch.float64))
        moved = [matrix @ part + 1 if part.ndim == 1 else matrix @ part @ matrix.T for part in four]
        assert_close(student.gaussian_kl(*moved), student.gaussian_kl(*four), what="the divergence of what was mapped")


KL = {"kl": reference.kl_divergence}


@exercise("mutual_information", contract=tables(2).map(lambda joint: ((joint,), KL)))
class TestMutualInformation:
    @required
    @given(p=distributions(3, low=1), q=distributions(4, low=1), share=st.sampled_from([0.5, 0.75]))
    @settings(max_examples=6)
    def test_is_zero_for_independent_variables(self, student: Any, p: Tensor, q: Tensor, share: float) -> None:
        """It is 0 for independent variables, and positive if one often copies the other."""
        assert_close(student.mutual_information(torch.outer(p, q), **KL), torch.tensor(0.0), what="the information")
        copying = share * p.diag() + (1 - share) * torch.outer(p, p)
        received = student.mutual_information(copying, **KL)
        assert_between(received, 1e-2, tolerance=0, what="the information in a copy")

    @weight(3)
    @given(joint=tables(2, low=1))
    @settings(max_examples=10)
    def test_cell_by_cell(self, student: Any, joint: Tensor) -> None:
        """It is the mean over all cells of log p(a, b) / (p(a) p(b)), here cell by cell."""
        rows, columns = summed_out(joint, (1,)).tolist(), summed_out(joint, (0,)).tolist()
        expected = math.fsum(p * math.log(p / (rows[i] * columns[j])) for (i, j), p in cells(joint))
        names = dict(zip(("rows", "columns"), joint.shape, strict=True))
        received = student.mutual_information(joint, **KL)
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the information", sizes=names)

    @weight(3)
    @given(joint=tables(2))
    @settings(max_examples=10)
    def test_saves_surprise(self, student: Any, joint: Tensor) -> None:
        """It is H(A) + H(B) − H(A, B), by SciPy, also where rows, columns and cells are 0."""
        parts = summed_out(joint, (1,)), summed_out(joint, (0,)), joint
        first, second, both = (float(entr(part.double().numpy()).sum()) for part in parts)
        received = student.mutual_information(joint, **KL)
        assert_close(received, torch.tensor(first + second - both), tolerance=1e-4, what="the information")

    @weight(2)
    @given(p=distributions(4), order=st.permutations(range(4)))
    @settings(max_examples=5)
    def test_of_a_function(self, student: Any, p: Tensor, order: list[int]) -> None:
        """Where one variable names the other in another alphabet, it tells all: the information is the entropy."""
        joint = p.diag()[:, order]
        expected = float(entr(p.double().numpy()).sum())
        received = student.mutual_information(joint, **KL)
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the information")

    @given(joint=tables(2))
    @settings(max_examples=4)
    def test_is_symmetric(self, student: Any, joint: Tensor) -> None:
        """A tells as much about B as B about A, and that is never less than nothing."""
        one, other = (student.mutual_information(table.contiguous(), **KL) for table in (joint, joint.T))
        assert_close(one, other, tolerance=1e-4, what="the information, the variables being exchanged,")
        assert_between(one, 0, what="the information")


# ---- ways between two codes


@exercise("lerp")
class TestLerp:
    @required
    @given(start=tensors(4), end=tensors(4))
    @settings(max_examples=6)
    def test_halfway(self, student: Any, start: Tensor, end: Tensor) -> None:
        """Halfway is the mean of the two codes."""
        expected = torch.tensor([[(a + b) / 2 for a, b in zip(start.tolist(), end.tolist(), strict=True)]])
        assert_close(student.lerp(start, end, torch.tensor([0.5])), expected, what="the point halfway")

    @weight(4)
    @given(start=tensors(3), end=tensors(3), t=sizes(1, 5).flatmap(tensors))
    @settings(max_examples=10)
    def test_equals_torch(self, student: Any, start: Tensor, end: Tensor, t: Tensor) -> None:
        """Each point is what torch.lerp finds for its t, in whatever order they come, below 0 and above 1, too."""
        expected = torch.stack([torch.lerp(start, end, float(fraction)) for fraction in t])
        received = student.lerp(start, end, t)
        assert_close(received, expected, tolerance=1e-4, what="the points", sizes={"steps": len(t), "latent": 3})

    @weight(2)
    @given(start=tensors(2), end=tensors(2), before=st.integers(-3, 3))
    @settings(max_examples=5)
    def test_ends(self, student: Any, start: Tensor, end: Tensor, before: int) -> None:
        """t = 0 is the start and t = 1 the end, wherever they stand among the others."""
        received = student.lerp(start, end, torch.tensor([before, 0.0, 1.0, -before]))
        assert_shape(received, (4, 2), what="the points")
        assert_close(received[1:3], torch.stack([start, end]), what="the points at 0 and 1")

    @given(start=tensors(3), end=tensors(3), there=st.integers(2, 6))
    @settings(max_examples=4)
    def test_there_and_back(self, student: Any, start: Tensor, end: Tensor, there: int) -> None:
        """From the end to the start the way is the same, the other way round, in steps of equal length."""
        t = torch.linspace(0, 1, there + 1)
        way = student.lerp(start, end, t)
        back = student.lerp(end, start, t)
        assert_close(back.flip(0), way, tolerance=1e-4, what="the way")
        steps = way[1:] - way[:-1]
        expected = ((end - start) / there).expand(there, 3).contiguous()
        assert_close(steps, expected, tolerance=1e-4, what="the steps")


@dataclass(frozen=True)
class Arc:
    """Two unit vectors (latent,) at right angles, in double precision, an angle, and a place on the arc."""

    first: Tensor
    second: Tensor
    angle: float

    def at(self, angle: float) -> Tensor:
        """The unit vector that far from the first one, by the rotation of the plane, a matrix exponential."""
        turning = torch.outer(self.second, self.first) - torch.outer(self.first, self.second)
        return torch.linalg.matrix_exp(angle * turning) @ self.first

    def mixed(self, t: Tensor, lengths: tuple[float, float]) -> Tensor:
        """The way between ends of these lengths: the shares of both are those that make a rotation of unit ones."""
        ends = torch.stack([self.first, self.end], dim=1)
        turned = torch.stack([self.at(fraction * self.angle) for fraction in t.tolist()], dim=1)
        shares = torch.linalg.lstsq(ends, turned).solution * torch.tensor(lengths, dtype=torch.float64)[:, None]
        return (ends @ shares).T.contiguous()

    @property
    def end(self) -> Tensor:
        """Where the arc ends."""
        return self.at(self.angle)


@st.composite
def arcs(draw: st.DrawFn, low: float = 0.2, high: float = 2.9) -> Arc:
    """Arcs of some length, in some plane."""
    plane = orthogonal(draw(sizes(2, 5)), draw(generators()))
    return Arc(plane[:, 0].contiguous(), plane[:, 1].contiguous(), low + (high - low) * draw(st.integers(0, 8)) / 8)


PLACES = sizes(1, 4).flatmap(lambda steps: tensors(steps, dtype=torch.float64, low=-1, high=2))
LENGTHS = st.sampled_from([1.0, 3.0, 0.25])


@exercise(
    "slerp",
    contract=st.tuples(arcs(), PLACES).map(
        lambda drawn: ((drawn[0].first.float(), drawn[0].end.float(), drawn[1].float()), {})
    ),
)
class TestSlerp:
    @required
    @given(arc=arcs(math.pi / 2, math.pi / 2), length=LENGTHS)
    @settings(max_examples=6)
    def test_right_angle(self, student: Any, arc: Arc, length: float) -> None:
        """Halfway between two codes at a right angle, of equal length, lies a code of that length, towards their sum."""
        start, end = (length * arc.first).float(), (length * arc.second).float()
        received = student.slerp(start, end, torch.tensor([0.5]))
        middle = torch.stack([start, end]).double().sum(dim=0)
        expected = length * middle / middle.norm()
        assert_close(received, expected[None].float(), tolerance=1e-4, what="the point halfway")

    @weight(2)
    @given(arc=arcs(), t=PLACES, length=LENGTHS)
    @settings(max_examples=10)
    def test_turns_at_a_steady_rate(self, student: Any, arc: Arc, t: Tensor, length: float) -> None:
        """Codes of equal length: each t is a rotation by t Ω in their plane, of the same length, below 0 and above 1, too."""
        received = student.slerp(length * arc.first, length * arc.end, t)
        expected = torch.stack([length * arc.at(fraction * arc.angle) for fraction in t.tolist()])
        names = {"steps": len(t), "latent": len(arc.first)}
        assert_close(received, expected, what="the points", sizes=names)

    @weight(3)
    @given(arc=arcs(), t=PLACES, lengths=st.tuples(LENGTHS, LENGTHS))
    @settings(max_examples=8)
    def test_unequal_lengths(self, student: Any, arc: Arc, t: Tensor, lengths: tuple[float, float]) -> None:
        """Codes of other lengths: the shares of start and end are those for unit codes at the same angle."""
        received = student.slerp(lengths[0] * arc.first, lengths[1] * arc.end, t)
        hint = "the angle does not depend on the lengths; the codes themselves are mixed, not their directions."
        assert_close(received, arc.mixed(t, lengths), what="the points", hint=hint)

    @weight(4)
    @given(generator=generators(), factor=st.sampled_from([1.0, 2.0, 0.5]), t=PLACES)
    @settings(max_examples=6)
    def test_same_direction(self, student: Any, generator: torch.Generator, factor: float, t: Tensor) -> None:
        """Codes in the same direction have a straight line between them; a code and itself have nothing."""
        start = torch.randn(7, generator=generator)
        received = student.slerp(start, factor * start, t.float())
        expected = torch.stack([torch.lerp(start, factor * start, fraction) for fraction in t.tolist()])
        assert_close(received, expected, what="the points", hint="rounding may bring a cosine above 1.")

    @weight(2)
    @given(arc=arcs(), margin=st.sampled_from([0.5e-6, 1.5e-6]), lengths=st.tuples(LENGTHS, LENGTHS), t=PLACES)
    @settings(max_examples=10)
    def test_almost_the_same_direction(
        self, student: Any, arc: Arc, margin: float, lengths: tuple[float, float], t: Tensor
    ) -> None:
        """Where the cosine is above 1 − 10⁻⁶ the way is straight, where it is below there is an arc."""
        arc = replace(arc, angle=math.acos(1 - margin))
        start, end = lengths[0] * arc.first, lengths[1] * arc.end
        straight = torch.stack([torch.lerp(start, end, fraction) for fraction in t.tolist()])
        expected = straight if margin < 1e-6 else arc.mixed(t, lengths)
        received = student.slerp(start, end, t)
        assert_close(received, expected, tolerance=1e-9, what=f"the points at a cosine of 1 − {margin:g}")

    @weight(6)
    @given(arc=arcs(), margin=st.sampled_from([0.0, 0.5e-6, 1.5e-6]), lengths=st.tuples(LENGTHS, LENGTHS), t=PLACES)
    @settings(max_examples=12)
    def test_opposite_directions(
        self, student: Any, arc: Arc, margin: float, lengths: tuple[float, float], t: Tensor
    ) -> None:
        """A ValueError says that the codes are opposite, with a cosine below −1 + 10⁻⁶; above that there is an arc."""
        arc = replace(arc, angle=math.acos(-1 + margin))
        start, end = lengths[0] * arc.first, lengths[1] * arc.end
        if margin < 1e-6:
            with pytest.raises(ValueError):
                student.slerp(start, end, t)
        else:
            received = student.slerp(start, end, t)
            assert_close(received, arc.mixed(t, lengths), what=f"the points at a cosine of −1 + {margin:g}")
