# ruff: noqa: D101
"""Hidden properties of `intro`."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from autograder.properties.networks import redraw
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
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
from solutions import intro as reference

FEW = sizes(1, 4)
SEVERAL = st.sampled_from([3, 4, 2, 5])

# ---- a classifier that can draw


@dataclass(frozen=True)
class Labelled:
    """Examples `x` (n, features) with labels from 0 to classes − 1, in any order, at least one of each class."""

    x: Tensor
    labels: Tensor
    classes: int

    @property
    def arguments(self) -> tuple[Tensor, Tensor, int]:
        """What `fit_gaussian_classes` is called with."""
        return self.x, self.labels, self.classes

    def of(self, label: int) -> list[list[float]]:
        """The examples of a class, one by one."""
        pairs = zip(self.x.tolist(), self.labels.tolist(), strict=True)
        return [row for row, other in pairs if other == label]


@st.composite
def labelled(
    draw: st.DrawFn,
    features: st.SearchStrategy[int] = FEW,
    classes: st.SearchStrategy[int] = FEW,
    each: st.SearchStrategy[int] = SEVERAL,
) -> Labelled:
    """Examples whose values are multiples of 1/8, a few of each class."""
    count, dim = draw(classes), draw(features)
    sizes_of_classes = [draw(each) for _ in range(count)]
    generator = draw(generators())
    labels = torch.arange(count).repeat_interleave(torch.tensor(sizes_of_classes))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    middles = 3 * torch.randn(count, dim, generator=generator)
    x = middles[labels] + 1.5 * torch.randn(len(labels), dim, generator=generator)
    return Labelled((8 * x).round() / 8, labels, count)


def fitted(student: Any, data: Labelled, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The triple that `fit_gaussian_classes` returns; fails if it is none of the right shapes."""
    triple = student.fit_gaussian_classes(*data.arguments, **options)
    if not isinstance(triple, tuple | list) or len(triple) != 3:
        fail(f"The result should be the triple (priors, means, covariances), but it is {describe(triple)}.")
    dim = data.x.shape[1]
    shapes = (data.classes,), (data.classes, dim), (data.classes, dim, dim)
    for part, shape, what in zip(triple, shapes, ("the priors", "the means", "the covariances"), strict=True):
        assert_shape(part, shape, what=what)
    return triple[0], triple[1], triple[2]


@exercise("fit_gaussian_classes", contract=labelled().map(lambda data: (data.arguments, {})))
class TestFitGaussianClasses:
    @required
    @given(data=labelled(classes=sizes(2, 4)))
    @settings(max_examples=6)
    def test_means(self, student: Any, data: Labelled) -> None:
        """The mean of a class is the average of its examples, wherever among the others they stand."""
        _, means, _ = fitted(student, data)
        columns = [zip(*data.of(label), strict=True) for label in range(data.classes)]
        expected = torch.tensor([[math.fsum(values) / len(values) for values in each] for each in columns])
        assert_close(means, expected, tolerance=1e-4, what="the means")

    @given(data=labelled(each=st.sampled_from([2, 1, 5, 7])))
    @settings(max_examples=6)
    def test_priors(self, student: Any, data: Labelled) -> None:
        """The prior of a class is its share of the examples."""
        priors, _, _ = fitted(student, data)
        counts = Counter(data.labels.tolist())
        expected = torch.tensor([counts[label] / len(data.x) for label in range(data.classes)])
        assert_close(priors, expected, what="the priors", sizes={"n": len(data.x), "classes": data.classes})

    @weight(2)
    @given(data=labelled(), ridge=st.sampled_from([0.0, 0.5, 2.0]))
    @settings(max_examples=8)
    def test_covariances(self, student: Any, data: Labelled, ridge: float) -> None:
        """The covariance of a class is numpy's with bias=True, and `ridge` more on the diagonal."""
        _, _, covariances = fitted(student, data, ridge=ridge)
        dim = data.x.shape[1]
        each = [np.cov(np.array(data.of(label)).T, bias=True).reshape(dim, dim) for label in range(data.classes)]
        expected = torch.tensor(np.stack(each) + ridge * np.eye(dim), dtype=torch.float32)
        hint = "the average runs over the examples of the class alone, and divides by their number n_c."
        assert_close(covariances, expected, tolerance=1e-4, what="the covariances", hint=hint)

    @weight(3)
    @given(
        data=labelled(features=st.just(2), classes=sizes(2, 3), each=st.integers(6, 9)),
        far=st.sampled_from([0.0, 1024.0, 1536.0]),
    )
    @settings(max_examples=6)
    def test_nothing_else_is_likelier(self, student: Any, data: Labelled, far: float) -> None:
        """No other priors, means or covariances make examples and labels likelier: in all of them the slope is 0."""
        data = Labelled(data.x + far, data.labels, data.classes)
        priors, means, covariances = (part.detach().double() for part in fitted(student, data))
        logits, means = priors.log().requires_grad_(), means.requires_grad_()
        covariances = ((covariances + covariances.mT) / 2).requires_grad_()
        labels = data.labels
        gaussians_of_examples = MultivariateNormal(means[labels], covariances[labels])
        joint = logits.log_softmax(0)[labels] + gaussians_of_examples.log_prob(data.x.double())
        slopes = torch.autograd.grad(joint.mean(), (logits, means, covariances))
        for slope, what in zip(slopes, ("priors", "means", "covariances"), strict=True):
            of = f"the slope of the log-likelihood in the {what}"
            assert_close(slope, torch.zeros_like(slope), tolerance=5e-3, what=of)

    @weight(2)
    @given(data=labelled(each=st.integers(3, 6)), far=st.sampled_from([1024.0, -1536.0]))
    @settings(max_examples=5)
    def test_far_from_the_origin(self, student: Any, data: Labelled, far: float) -> None:
        """Where the data lie makes no difference to their spread, a thousand standard deviations away from the origin, too."""
        _, near, spread = fitted(student, data)
        _, means, covariances = fitted(student, Labelled(data.x + far, data.labels, data.classes))
        assert_close(means - far, near, tolerance=1e-2, what="the means, less the way that the data were moved,")
        hint = "a small difference of two large numbers has lost its digits."
        assert_close(covariances, spread, tolerance=1e-2, what="the covariances of data that were moved", hint=hint)

    @weight(3)
    @given(data=labelled(each=st.just(1)), ridge=st.sampled_from([0.25, 1.0]))
    @settings(max_examples=4)
    def test_one_example_of_each_class(self, student: Any, data: Labelled, ridge: float) -> None:
        """A class with one example has that as its mean, no spread about it, and so the ridge alone as its covariance."""
        _, means, covariances = fitted(student, data, ridge=ridge)
        assert_close(means[data.labels], data.x, what="the means, in the order of the examples,")
        expected = ridge * torch.eye(data.x.shape[1]).expand_as(covariances)
        assert_close(covariances, expected, what="the covariances")


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian: mean (features,), covariance (features, features)."""

    mean: Tensor
    covariance: Tensor

    def log_density(self, x: Tensor) -> Tensor:
        """log N(x) by torch.distributions, in double precision, as float32."""
        exact = MultivariateNormal(self.mean.double(), self.covariance.double())
        return exact.log_prob(x.double()).float()

    def at(self, noise: Tensor) -> Tensor:
        """Points (n, features) that are so many standard deviations away from the mean."""
        return self.mean + noise @ torch.linalg.cholesky(self.covariance).T


@st.composite
def gaussians(draw: st.DrawFn, features: st.SearchStrategy[int] = FEW) -> Gaussian:
    """Gaussians with correlated features and variances from ¼ to 4¼, all of it multiples of 1/64."""
    dim = draw(features)
    root = draw(tensors((dim, dim), low=-1, high=1))
    return Gaussian(draw(tensors(dim)), root @ root.T + torch.eye(dim) / 4)


@st.composite
def density_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `gaussian_log_density`."""
    gaussian = draw(gaussians())
    x = draw(tensors((draw(sizes()), len(gaussian.mean))))
    return (x, gaussian.mean, gaussian.covariance), {}


@exercise("gaussian_log_density", contract=density_calls())
class TestGaussianLogDensity:
    @required
    @given(gaussian=gaussians(), generator=generators())
    @settings(max_examples=8)
    def test_falls_off_on_both_sides(self, student: Any, gaussian: Gaussian, generator: torch.Generator) -> None:
        """It is greatest at the mean, and the further from the mean the less, whichever way one goes."""
        direction = torch.randn(1, len(gaussian.mean), generator=generator)
        steps = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).unsqueeze(1)
        x = gaussian.at(steps * direction / direction.norm())
        values = student.gaussian_log_density(x, gaussian.mean, gaussian.covariance)
        assert_shape(values, (5,), what="the log-density")
        along = values[[0, 1]] - values[[1, 2]], values[[4, 3]] - values[[3, 2]]
        assert_between(torch.cat(along), high=-1e-3, tolerance=0, what="what a step away from the mean changes")

    @weight(2)
    @given(gaussian=gaussians(), count=sizes(), generator=generators())
    @settings(max_examples=10)
    def test_equals_torchs(self, student: Any, gaussian: Gaussian, count: int, generator: torch.Generator) -> None:
        """It is the log-probability of torch.distributions.MultivariateNormal."""
        dim = len(gaussian.mean)
        x = gaussian.at(torch.randn(count, dim, generator=generator))
        received = student.gaussian_log_density(x, gaussian.mean, gaussian.covariance)
        assert_close(
            received,
            gaussian.log_density(x),
            tolerance=1e-4,
            what="the log-density",
            sizes={"n": count, "features": dim},
        )

    @given(gaussian=gaussians(features=st.sampled_from([2, 1])))
    @settings(max_examples=4)
    def test_the_density_integrates_to_one(self, student: Any, gaussian: Gaussian) -> None:
        """The density integrates to 1 over the line or the plane, here by a sum over a fine grid."""
        dim, grid = len(gaussian.mean), torch.linspace(-14.0, 14.0, 71)
        x = gaussian.mean + torch.cartesian_prod(*[grid] * dim).view(-1, dim)
        values = student.gaussian_log_density(x, gaussian.mean, gaussian.covariance)
        assert_shape(values, (len(x),), what="the log-density")
        total = values.double().exp().sum() * (grid[1] - grid[0]).double() ** dim
        assert_close(total, 1.0, tolerance=1e-3, what="the integral", sizes={"features": dim})

    @weight(5)
    @given(gaussian=gaussians(), away=st.sampled_from([50.0, 1e4]), generator=generators())
    @settings(max_examples=6)
    def test_far_points(self, student: Any, gaussian: Gaussian, away: float, generator: torch.Generator) -> None:
        """It is right for points 50 and 10⁴ standard deviations away, where the density itself is 0 in any dtype."""
        direction = torch.randn(2, len(gaussian.mean), generator=generator)
        x = gaussian.at(away * direction / direction.norm(dim=1, keepdim=True))
        received = student.gaussian_log_density(x, gaussian.mean, gaussian.covariance)
        hint = "a density that is 0 has lost its logarithm."
        assert_close(received, gaussian.log_density(x), tolerance=1e-3, what="the log-density", hint=hint)

    @weight(5)
    @given(size=st.sampled_from([0.01, 100.0]), generator=generators())
    @settings(max_examples=4)
    def test_many_dimensions(self, student: Any, size: float, generator: torch.Generator) -> None:
        """It is right in 60 dimensions, where det Σ is 10⁻¹²⁰ or 10¹²⁰, neither of which is a float32."""
        root = torch.eye(60) + 0.05 * torch.randn(60, 60, generator=generator)
        gaussian = Gaussian(torch.randn(60, generator=generator), size * ((root @ root.T) + (root @ root.T).T) / 2)
        x = gaussian.at(torch.randn(2, 60, generator=generator))
        received = student.gaussian_log_density(x, gaussian.mean, gaussian.covariance)
        hint = "a determinant that is 0 or infinite has lost its logarithm."
        assert_close(received, gaussian.log_density(x), tolerance=1e-3, what="the log-density", hint=hint)

    @given(gaussian=gaussians(), x=st.just(torch.tensor([[2.0], [-1.0], [0.5]])))
    @settings(max_examples=4)
    def test_each_point_by_itself(self, student: Any, gaussian: Gaussian, x: Tensor) -> None:
        """A point has the same log-density whatever other points are in the batch."""
        x = x.expand(3, len(gaussian.mean))
        together = student.gaussian_log_density(x, gaussian.mean, gaussian.covariance)
        assert_shape(together, (3,), what="the log-density")
        alone = student.gaussian_log_density(x[1:2], gaussian.mean, gaussian.covariance)
        assert_close(together[1:2], alone, tolerance=1e-4, what="the log-density of one point in a batch of three")


@dataclass(frozen=True)
class Classes:
    """Gaussians side by side: priors (classes,), means (classes, features), covariances (classes, features, features)."""

    priors: Tensor
    means: Tensor
    covariances: Tensor

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the dimensions, by name."""
        return dict(zip(("classes", "features"), self.means.shape, strict=True))

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor]:
        """What `class_posterior` is called with after the data."""
        return self.priors, self.means, self.covariances


def shares(count: int) -> st.SearchStrategy[Tensor]:
    """Positive probabilities (count,) that sum to 1."""
    return st.lists(st.integers(1, 5), min_size=count, max_size=count).map(lambda w: torch.tensor(w) / sum(w))


@st.composite
def gaussian_classes(
    draw: st.DrawFn, classes: st.SearchStrategy[int] = FEW, features: st.SearchStrategy[int] = FEW
) -> Classes:
    """A few classes. No two have the same mean."""
    count, dim = draw(classes), draw(features)
    each = [draw(gaussians(st.just(dim))) for _ in range(count)]
    means = torch.stack([gaussian.mean for gaussian in each]) + 8 * torch.arange(float(count)).unsqueeze(1)
    return Classes(draw(shares(count)), means, torch.stack([gaussian.covariance for gaussian in each]))


class Table:
    """A made-up log-density, called like `gaussian_log_density`: a class is known by its mean. It notes how it is called."""

    def __init__(self, classes: Classes, values: Tensor) -> None:
        self.classes, self.values = classes, values  # the values are (n, classes)
        self.calls: list[tuple[Tensor, ...]] = []

    def __call__(self, x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
        """The values of the class of that mean, and of points that are known by their first feature.

        With the covariance of another class it is another value.
        """
        self.calls.append((x, mean, covariance))
        label = int((self.classes.means.to(mean) - mean).abs().sum(1).argmin())
        foreign = (self.classes.covariances[label].to(covariance) - covariance).sum()
        return self.values[x[:, 0].long() % len(self.values), label].to(x.dtype) + foreign


def numbered(count: int, features: int) -> Tensor:
    """Points (count, features) whose first feature is their number."""
    return torch.arange(float(count)).unsqueeze(1).expand(count, features) + torch.arange(float(features)) / 8


@st.composite
def posterior_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `class_posterior`."""
    classes, count = draw(gaussian_classes()), draw(sizes())
    table = Table(classes, draw(tensors((count, classes.sizes["classes"]))))
    return (numbered(count, classes.sizes["features"]), *classes.arguments), {"log_density": table}


@exercise("class_posterior", contract=posterior_calls())
class TestClassPosterior:
    @required
    @given(classes=gaussian_classes(st.just(3), st.just(2)), labels=st.permutations(range(3)))
    @settings(max_examples=6)
    def test_finds_the_class_that_is_near(self, student: Any, classes: Classes, labels: list[int]) -> None:
        """At the mean of a class that is far from the others, that class has the greatest posterior."""
        means = 10 * classes.means
        received = student.class_posterior(
            means[labels],
            classes.priors,
            means,
            classes.covariances,
            log_density=reference.gaussian_log_density,
        )
        assert_shape(received, (3, 3), what="the log-posterior")
        assert_close(received.argmax(1), torch.tensor(labels), what="the class with the greatest posterior")

    @weight(3)
    @given(classes=gaussian_classes(), count=sizes(), generator=generators())
    @settings(max_examples=12)
    def test_equals_bayes_rule(self, student: Any, classes: Classes, count: int, generator: torch.Generator) -> None:
        """It is the logarithm of p(x|class) p(class) over its sum, here class by class from a table of log-densities."""
        table = Table(classes, torch.randn(count, classes.sizes["classes"], generator=generator))
        x = numbered(count, classes.sizes["features"])
        received = student.class_posterior(x, *classes.arguments, log_density=table)
        rows = [
            [math.exp(value) * prior for value, prior in zip(row, classes.priors.tolist(), strict=True)]
            for row in table.values.tolist()
        ]
        expected = torch.tensor([[math.log(joint / math.fsum(row)) for joint in row] for row in rows])
        assert_close(received, expected, tolerance=1e-4, what="the log-posterior", sizes={"n": count, **classes.sizes})

    @weight(4)
    @given(
        classes=gaussian_classes(sizes(2, 4)),
        shift=st.sampled_from([-1e5, 1e5, -1e3, 1e3]),
        generator=generators(),
    )
    @settings(max_examples=6)
    def test_survives_large_log_densities(
        self, student: Any, classes: Classes, shift: float, generator: torch.Generator
    ) -> None:
        """At log-densities of ±10³ and ±10⁵ it is what it is at those that are less by as much, in double precision."""
        count = classes.sizes["classes"]
        small = torch.randn(3, count, generator=generator, dtype=torch.float64)
        classes = Classes(*[part.double() for part in classes.arguments])
        x = numbered(3, classes.sizes["features"]).double()
        received = student.class_posterior(x, *classes.arguments, log_density=Table(classes, small + shift))
        joint = small.exp() * classes.priors
        expected = (joint / joint.sum(1, keepdim=True)).log()
        assert_close(received, expected, tolerance=1e-6, what=f"the log-posterior at log-densities near {shift:g}")

    @weight(4)
    @given(classes=gaussian_classes(sizes(2, 4)), gap=st.sampled_from([300.0, 2e4]), generator=generators())
    @settings(max_examples=4)
    def test_far_points_have_a_posterior(
        self, student: Any, classes: Classes, gap: float, generator: torch.Generator
    ) -> None:
        """Where one class is likelier by hundreds of nats, the others have that much less, and not −∞."""
        count = classes.sizes["classes"]
        values = torch.zeros(2, count)
        values[:, 1:] = -gap - 100 * torch.rand(2, count - 1, generator=generator).mul(8).round()
        x = numbered(2, classes.sizes["features"])
        received = student.class_posterior(x, *classes.arguments, log_density=Table(classes, values))
        expected = values + (classes.priors / classes.priors[0]).log()
        assert_close(received, expected, tolerance=1e-3, what="the log-posterior")

    @weight(2)
    @given(classes=gaussian_classes(sizes(2, 4)), absent=st.integers(0, 3), generator=generators())
    @settings(max_examples=5)
    def test_a_class_that_never_occurs(
        self, student: Any, classes: Classes, absent: int, generator: torch.Generator
    ) -> None:
        """A class whose prior is 0 gets −∞, and the others get what they would get without it."""
        count = classes.sizes["classes"]
        present = torch.arange(count) != absent % count
        priors = classes.priors * present
        priors = priors / priors.sum()
        table = Table(classes, torch.randn(2, count, generator=generator))
        x = numbered(2, classes.sizes["features"])
        received = student.class_posterior(x, priors, classes.means, classes.covariances, log_density=table)
        assert_shape(received, (2, count), what="the log-posterior")
        joint = table.values.exp() * priors
        expected = (joint / joint.sum(1, keepdim=True)).log()
        assert_close(received, expected, tolerance=1e-4, what="the log-posterior")

    @given(classes=gaussian_classes(st.just(2)), generator=generators())
    @settings(max_examples=5)
    def test_one_covariance_makes_a_linear_classifier(
        self, student: Any, classes: Classes, generator: torch.Generator
    ) -> None:
        """With one covariance for both classes the log-odds are linear in x, with the weights of linear discriminants."""
        priors, means, covariances = classes.arguments
        means = means / 8
        covariance = covariances[:1].expand(2, -1, -1)
        x = torch.randn(4, means.shape[1], generator=generator)
        received = student.class_posterior(x, priors, means, covariance, log_density=reference.gaussian_log_density)
        assert_shape(received, (4, 2), what="the log-posterior")
        weights = torch.linalg.solve(covariance[0].double(), (means[0] - means[1]).double())
        odds = (x - means.mean(0)).double() @ weights + (priors[0] / priors[1]).log()
        assert_close(received[:, 0] - received[:, 1], odds.float(), tolerance=1e-3, what="the log-odds")

    @weight(3)
    @given(classes=gaussian_classes(), count=sizes())
    @settings(max_examples=4)
    def test_asks_for_one_class_at_a_time(self, student: Any, classes: Classes, count: int) -> None:
        """`log_density` is given all points, and the mean and the covariance of one and the same class."""
        table = Table(classes, torch.zeros(count, classes.sizes["classes"]))
        x = numbered(count, classes.sizes["features"])
        student.class_posterior(x, *classes.arguments, log_density=table)
        if not table.calls:
            fail("`log_density` was never called.")
        for points, mean, covariance in table.calls:
            assert_close(points, x, what="the points that `log_density` was given")
            assert_shape(mean, tuple(x.shape[1:]), what="the mean that `log_density` was given")
            label = int((classes.means - mean).abs().sum(1).argmin())
            assert_close(covariance, classes.covariances[label], what="the covariance that came with that mean")


@st.composite
def sample_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `sample_from_class`."""
    classes, samples = draw(gaussian_classes()), draw(sizes())
    count, dim = classes.means.shape
    labels = draw(tensors(samples, dtype=torch.int64, low=0, high=count - 1))
    return (labels, classes.means, classes.covariances, draw(tensors((samples, dim)))), {}


@exercise("sample_from_class", contract=sample_calls())
class TestSampleFromClass:
    @required
    @given(classes=gaussian_classes(sizes(2, 4)), labels=st.lists(st.integers(0, 3), min_size=3, max_size=5))
    @settings(max_examples=6)
    def test_noise_moves_the_samples_away_from_the_means(
        self, student: Any, classes: Classes, labels: list[int]
    ) -> None:
        """Without noise a sample is the mean of its class, with noise it is not."""
        wanted = torch.tensor(labels) % len(classes.means)
        zero = torch.zeros(len(labels), classes.sizes["features"])
        still = student.sample_from_class(wanted, classes.means, classes.covariances, zero)
        assert_close(still, classes.means[wanted], what="the samples at noise 0")
        moved = student.sample_from_class(wanted, classes.means, classes.covariances, zero + 1)
        distance = (moved - classes.means[wanted]).abs().sum(1)
        assert_between(distance, 1e-3, tolerance=0, what="how far noise 1 moves a sample")

    @weight(2)
    @given(classes=gaussian_classes(features=sizes(2, 4)), label=st.integers(0, 3))
    @settings(max_examples=6)
    def test_covariance(self, student: Any, classes: Classes, label: int) -> None:
        """What each number of the noise does to a sample adds up to the covariance: its products with itself are Σ."""
        label %= len(classes.means)
        dim = classes.sizes["features"]
        moved = student.sample_from_class(torch.full((dim,), label), classes.means, classes.covariances, torch.eye(dim))
        assert_shape(moved, (dim, dim), what="the samples")
        columns = moved - classes.means[label]
        assert_close(
            columns.T @ columns, classes.covariances[label], tolerance=1e-3, what="the covariance of the samples"
        )

    @weight(2)
    @given(classes=gaussian_classes(features=sizes(2, 4)), label=st.integers(0, 3), generator=generators())
    @settings(max_examples=6)
    def test_lower_factor(self, student: Any, classes: Classes, label: int, generator: torch.Generator) -> None:
        """A feature moves with its own number of the noise, the same way, and with those before it, never with later ones."""
        label %= len(classes.means)
        dim = classes.sizes["features"]
        moved = student.sample_from_class(torch.full((dim,), label), classes.means, classes.covariances, torch.eye(dim))
        assert_shape(moved, (dim, dim), what="the samples")
        columns = moved - classes.means[label]
        assert_close(columns.tril(-1), torch.zeros(dim, dim), tolerance=1e-4, what="what later noise does to a feature")
        assert_between(columns.diagonal(), 0.1, tolerance=0, what="what a feature's own noise does to it")

    @weight(4)
    @given(classes=gaussian_classes(), count=sizes(1, 6), generator=generators())
    @settings(max_examples=10)
    def test_each_from_its_own_class(
        self, student: Any, classes: Classes, count: int, generator: torch.Generator
    ) -> None:
        """Sample by sample it is μ + L ε, with the mean and numpy's Cholesky factor of the class asked for."""
        labels = torch.randint(0, len(classes.means), (count,), generator=generator)
        noise = torch.randn(count, classes.sizes["features"], generator=generator)
        received = student.sample_from_class(labels, classes.means, classes.covariances, noise)
        roots = np.linalg.cholesky(classes.covariances.double().numpy())
        pairs = zip(labels.tolist(), noise.double().numpy(), strict=True)
        rows = [classes.means[label].double().numpy() + roots[label] @ eps for label, eps in pairs]
        expected = torch.tensor(np.stack(rows), dtype=torch.float32)
        assert_close(received, expected, tolerance=1e-4, what="the samples", sizes={"samples": count, **classes.sizes})

    @given(classes=gaussian_classes(), generator=generators())
    @settings(max_examples=5)
    def test_is_as_likely_as_its_noise(self, student: Any, classes: Classes, generator: torch.Generator) -> None:
        """A sample is as likely under its class as its noise under N(0, 1), but for the volume of the class."""
        label = int(torch.randint(0, len(classes.means), (), generator=generator))
        noise = torch.randn(3, classes.sizes["features"], generator=generator)
        received = student.sample_from_class(torch.full((3,), label), classes.means, classes.covariances, noise)
        assert_shape(received, tuple(noise.shape), what="the samples")
        gaussian = Gaussian(classes.means[label], classes.covariances[label])
        peak = gaussian.log_density(classes.means[label : label + 1])
        assert_close(
            gaussian.log_density(received) - peak,
            -noise.square().sum(1) / 2,
            tolerance=1e-3,
            what="the log-density of a sample, less that of the mean,",
        )


# ---- its discriminative twin


@dataclass(frozen=True)
class Linear:
    """A linear classifier and some examples."""

    x: Tensor
    labels: Tensor
    weights: Tensor
    bias: Tensor

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """What `logistic_gradient` is called with."""
        return self.x, self.labels, self.weights, self.bias

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the dimensions, by name."""
        return {"n": len(self.x), "features": len(self.weights), "classes": len(self.bias)}

    def gradient(self) -> tuple[Tensor, ...]:
        """The gradient by autograd, in double precision, as float32."""
        weights, bias = (part.double().requires_grad_() for part in (self.weights, self.bias))
        loss = F.cross_entropy(self.x.double() @ weights + bias, self.labels)
        return tuple(part.float() for part in torch.autograd.grad(loss, (weights, bias)))


@st.composite
def linear_classifiers(draw: st.DrawFn) -> Linear:
    """Linear classifiers with standard normal weights and examples, of all classes as far as they go round."""
    count, features, examples = draw(sizes(2, 4)), draw(sizes(1, 4)), draw(sizes(1, 6))
    generator = draw(generators())
    x, weights, bias = (
        torch.randn(shape, generator=generator) for shape in ((examples, features), (features, count), (count,))
    )
    labels = (torch.arange(examples) % count)[torch.randperm(examples, generator=generator)]
    return Linear(x, labels, weights, bias)


def gradient_pair(student: Any, linear: Linear) -> tuple[Tensor, Tensor]:
    """The pair that `logistic_gradient` returns; fails if it is none of the right shapes."""
    return pair(student.logistic_gradient(*linear.arguments), linear.weights, linear.bias, "the gradient")


def pair(result: Any, weights: Tensor, bias: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """A result that should be two tensors, for weights and bias; fails if it is not."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        fail(f"There should be two results, for weights and bias, but there is {describe(result)}.")
    assert_shape(result[0], tuple(weights.shape), what=f"{what} for the weights")
    assert_shape(result[1], tuple(bias.shape), what=f"{what} for the bias")
    return result[0], result[1]


@exercise("logistic_gradient", contract=linear_classifiers().map(lambda linear: (linear.arguments, {})))
class TestLogisticGradient:
    @required
    @given(linear=linear_classifiers())
    @settings(max_examples=8)
    def test_points_uphill(self, student: Any, linear: Linear) -> None:
        """It points uphill: the loss grows along the gradient for the weights, nearly as fast as along any direction."""
        received, _ = gradient_pair(student, linear)
        expected, _ = linear.gradient()
        norms = received.norm() * expected.norm()
        cosine = (received * expected).sum() / norms.clamp(min=1e-12)
        assert_between(
            cosine, 0.5, tolerance=0, what="the cosine of the angle between the gradient and the steepest way"
        )

    @weight(3)
    @given(linear=linear_classifiers())
    @settings(max_examples=12)
    def test_equals_autograd(self, student: Any, linear: Linear) -> None:
        """Both parts are what autograd finds for the mean of torch's cross-entropy."""
        for received, expected, what in zip(
            gradient_pair(student, linear), linear.gradient(), ("weights", "bias"), strict=True
        ):
            assert_close(received, expected, tolerance=1e-4, what=f"the gradient for the {what}", sizes=linear.sizes)

    @given(data=labelled(classes=sizes(2, 4)))
    @settings(max_examples=5)
    def test_at_zero(self, student: Any, data: Labelled) -> None:
        """At zero weights all classes are equally likely, so the gradient of a bias is 1/classes less the class's share."""
        count, features = data.classes, data.x.shape[1]
        linear = Linear(data.x, data.labels, torch.zeros(features, count), torch.zeros(count))
        of_weights, of_bias = gradient_pair(student, linear)
        tally = Counter(data.labels.tolist())
        expected = [1 / count - tally[label] / len(data.x) for label in range(count)]
        assert_close(of_bias, torch.tensor(expected), what="the gradient for the bias", sizes=linear.sizes)
        own = [[math.fsum(column) for column in zip(*data.of(label), strict=True)] for label in range(count)]
        wanted = (data.x.sum(0).unsqueeze(1) / count - torch.tensor(own).T) / len(data.x)
        assert_close(of_weights, wanted, tolerance=1e-4, what="the gradient for the weights", sizes=linear.sizes)

    @given(linear=linear_classifiers())
    @settings(max_examples=4)
    def test_is_a_mean_over_examples(self, student: Any, linear: Linear) -> None:
        """All examples twice give the same gradient: it is a mean over examples."""
        x, labels = torch.cat([linear.x] * 2), torch.cat([linear.labels] * 2)
        twice = gradient_pair(student, Linear(x, labels, linear.weights, linear.bias))
        once = gradient_pair(student, linear)
        assert_close(tuple(twice), tuple(once), tolerance=1e-4, what="the gradient with all examples twice")

    @weight(4)
    @given(linear=linear_classifiers(), size=st.sampled_from([200.0, -200.0, 1e4, -1e4]))
    @settings(max_examples=6)
    def test_survives_large_scores(self, student: Any, linear: Linear, size: float) -> None:
        """At scores of ±200 and ±10⁴, where exponentials are infinite or 0, it is still what autograd finds."""
        weights, bias = torch.zeros_like(linear.weights), size * (1 + torch.arange(float(len(linear.bias))))
        sure = Linear(linear.x, linear.labels, weights, bias.flip(0))
        both = zip(gradient_pair(student, sure), sure.gradient(), ("weights", "bias"), strict=True)
        for received, expected, what in both:
            assert_close(received, expected, tolerance=1e-4, what=f"the gradient for the {what}")


@st.composite
def descents(draw: st.DrawFn) -> tuple[Linear, int, float]:
    """Examples, a number of steps, and a learning rate."""
    return draw(linear_classifiers()), draw(st.integers(2, 5)), draw(st.sampled_from([0.5, 0.25, 2.0]))


def descent_call(drawn: tuple[Linear, int, float]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `fit_logistic`."""
    linear, steps, rate = drawn
    options = {"steps": steps, "learning_rate": rate, "gradient": reference.logistic_gradient}
    return (linear.x, linear.labels, len(linear.bias)), options


class Slopes:
    """A made-up gradient, called like `logistic_gradient`: other numbers at each call. It notes how it is called."""

    def __init__(self, linear: Linear, generator: torch.Generator) -> None:
        self.linear, self.generator = linear, generator
        self.calls: list[tuple[Tensor, ...]] = []
        self.given: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, labels: Tensor, weights: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The next pair."""
        self.calls.append((x, labels, weights.clone(), bias.clone()))  # which an answer may change in place
        shapes = self.linear.weights.shape, self.linear.bias.shape
        for_weights, for_bias = (torch.randn(shape, generator=self.generator) for shape in shapes)
        self.given.append((for_weights, for_bias))
        return for_weights, for_bias


@exercise("fit_logistic", contract=descents().map(descent_call))
class TestFitLogistic:
    @required
    @given(labels=st.permutations([0, 0, 1, 1, 2, 2]), generator=generators())
    @settings(max_examples=4)
    def test_learns_to_tell_clusters_apart(self, student: Any, labels: list[int], generator: torch.Generator) -> None:
        """Three clusters that lie apart are told apart after thirty steps."""
        classes = torch.tensor(labels)
        corners = torch.tensor([[3.0, 0.0], [-2.0, 3.0], [-2.0, -3.0]])
        x = corners[classes] + 0.3 * torch.randn(6, 2, generator=generator)
        result = student.fit_logistic(x, classes, 3, steps=30, learning_rate=0.1, gradient=reference.logistic_gradient)
        weights, bias = pair(result, torch.empty(2, 3), torch.empty(3), "the result")
        assert_close((x @ weights + bias).argmax(1), classes, what="the class with the highest score")

    @weight(4)
    @given(drawn=descents(), generator=generators())
    @settings(max_examples=6)
    def test_follows_the_gradient(
        self, student: Any, drawn: tuple[Linear, int, float], generator: torch.Generator
    ) -> None:
        """From zero it goes, step by step, against whatever gradient it is told, asking once at each place it comes to."""
        linear, steps, rate = drawn
        slopes = Slopes(linear, generator)
        result = student.fit_logistic(
            linear.x, linear.labels, len(linear.bias), steps=steps, learning_rate=rate, gradient=slopes
        )
        final = pair(result, linear.weights, linear.bias, "the result")
        if len(slopes.calls) != steps:
            fail(f"For {steps} steps the gradient was asked for {len(slopes.calls)} times.")
        place = torch.zeros_like(linear.weights), torch.zeros_like(linear.bias)
        for number, (call, slope) in enumerate(zip(slopes.calls, slopes.given, strict=True)):
            assert_close(tuple(call[:2]), (linear.x, linear.labels), what="the examples that the gradient was given")
            assert_close(tuple(call[2:]), place, tolerance=1e-4, what=f"the weights and bias before step {number}")
            place = place[0] - rate * slope[0], place[1] - rate * slope[1]
        assert_close(tuple(final), place, tolerance=1e-4, what="the weights and bias in the end")

    @weight(2)
    @given(drawn=descents())
    @settings(max_examples=6)
    def test_equals_torchs_descent(self, student: Any, drawn: tuple[Linear, int, float]) -> None:
        """It comes to where torch.optim.SGD comes to with the cross-entropy of a linear layer that begins at zero."""
        linear, steps, rate = drawn
        layer = nn.Linear(linear.sizes["features"], linear.sizes["classes"])
        optimizer = torch.optim.SGD(layer.parameters(), lr=rate)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.zero_()
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(layer(linear.x), linear.labels).backward()
            optimizer.step()
        args, options = descent_call(drawn)
        weights, bias = pair(student.fit_logistic(*args, **options), linear.weights, linear.bias, "the result")
        assert_close(weights, layer.weight.detach().T, tolerance=1e-3, what="the weights")
        assert_close(bias, layer.bias.detach(), tolerance=1e-3, what="the bias")

    @given(linear=linear_classifiers(), generator=generators())
    @settings(max_examples=3)
    def test_no_steps(self, student: Any, linear: Linear, generator: torch.Generator) -> None:
        """No steps give zeros, of the dtype of x, and nobody asks for a gradient."""
        slopes = Slopes(linear, generator)
        result = student.fit_logistic(
            linear.x.double(), linear.labels, len(linear.bias), steps=0, learning_rate=0.5, gradient=slopes
        )
        weights, bias = pair(result, linear.weights, linear.bias, "the result")
        assert_close(weights, torch.zeros_like(linear.weights).double(), what="the weights")
        assert_close(bias, torch.zeros_like(linear.bias).double(), what="the bias")
        if slopes.calls:
            fail("The gradient was asked for, though no step was to be taken.")


# ---- the next token


def scores(batch: int = 2, vocabulary: int = 6) -> st.SearchStrategy[Tensor]:
    """Logits (batch, vocabulary) of which no two in a row are equal, in any order."""

    def spread(generator: torch.Generator) -> Tensor:
        orders = torch.stack([torch.randperm(vocabulary, generator=generator) for _ in range(batch)])
        return (orders + torch.rand(batch, vocabulary, generator=generator) * 0.8 - vocabulary / 2) * 0.7

    return generators().map(spread)


def by_transformers(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """The distribution that the library transformers draws from."""
    nothing = torch.zeros(len(logits), 0, dtype=torch.int64)
    warpers: list[Callable[[Tensor, Tensor], Tensor]] = [TemperatureLogitsWarper(float(temperature))]
    warpers += [TopKLogitsWarper(top_k)] if top_k is not None else []
    warpers += [TopPLogitsWarper(top_p)] if top_p is not None else []
    for warper in warpers:
        logits = warper(nothing, logits)
    return logits.softmax(1)


def softened(row: list[float], temperature: float) -> list[float]:
    """The distribution at a temperature, by its definition."""
    if temperature == 0:
        return [float(token == row.index(max(row))) for token in range(len(row))]
    powers = [math.exp((value - max(row)) / temperature) for value in row]
    return [power / math.fsum(powers) for power in powers]


def between_sums(probabilities: Tensor) -> list[float]:
    """Every top-p that matters to a row (vocabulary,): low and high in each gap between sums of its largest."""
    sums = sorted({0.0, *probabilities.sort(descending=True).values.double().cumsum(0).tolist()})
    gaps = [(low, high) for low, high in itertools.pairwise(sums) if high - low > 1e-3]
    return [low + (high - low) * part for low, high in gaps for part in (0.1, 0.9)]


@exercise(
    "token_distribution",
    contract=arguments(
        reference.token_distribution,
        temperature=st.sampled_from([1.0, 0.5, 0.0]),
        top_k=st.sampled_from([None, 2]),
        top_p=st.sampled_from([None, 0.6]),
    ),
)
class TestTokenDistribution:
    @required
    @given(logits=scores(3))
    @settings(max_examples=6)
    def test_higher_scores_are_likelier(self, student: Any, logits: Tensor) -> None:
        """In each row the probabilities sum to 1, and a token with a higher logit is likelier."""
        probabilities = student.token_distribution(logits)
        assert_shape(probabilities, (3, 6), what="the probabilities")
        assert_close(probabilities.sum(1), torch.ones(3), tolerance=1e-4, what="the sum of the probabilities")
        rises = probabilities.gather(1, logits.argsort(1)).diff(dim=1)
        assert_between(
            rises, 1e-6, tolerance=0, what="how much likelier a token is than the one with the next lower logit"
        )

    @weight(3)
    @given(
        logits=tensors((2, 5), dtype=torch.int64, low=-2, high=2),
        temperature=st.sampled_from([0.5, 1.0, 2.0, 0.01, 0.0, 10.0]),
    )
    @settings(max_examples=12)
    def test_temperature(self, student: Any, logits: Tensor, temperature: float) -> None:
        """A probability is proportional to exp(logit / temperature); at 0 it is 1 for the first of the largest logits."""
        expected = torch.tensor([softened(row, temperature) for row in logits.tolist()])
        received = student.token_distribution(logits.float(), temperature=temperature)
        assert_close(received, expected, tolerance=1e-4, what="the probabilities")

    @weight(3)
    @given(
        logits=tensors((3, 5), dtype=torch.int64, low=-2, high=2),
        top_k=st.sampled_from([None, 2, 1]),
        top_p=st.sampled_from([None, 0.3, 0.9]),
    )
    @settings(max_examples=8)
    def test_temperature_zero(self, student: Any, logits: Tensor, top_k: int | None, top_p: float | None) -> None:
        """At temperature 0 the largest logit has probability 1, the first of equal ones, whatever top_k and top_p are."""
        received = student.token_distribution(logits.float(), temperature=0.0, top_k=top_k, top_p=top_p)
        first = [row.index(max(row)) for row in logits.tolist()]
        expected = torch.tensor([[float(token == best) for token in range(5)] for best in first])
        assert_close(received, expected, what="the probabilities")

    @weight(2)
    @given(
        logits=tensors((2, 6), dtype=torch.int64, low=-2, high=2),
        top_k=st.integers(1, 8),
        temperature=st.sampled_from([1.0, 0.5]),
    )
    @settings(max_examples=10)
    def test_top_k(self, student: Any, logits: Tensor, top_k: int, temperature: float) -> None:
        """top_k keeps the k largest and all that equal the k-th, as the library transformers does; all if k is larger."""
        received = student.token_distribution(logits.float(), temperature=temperature, top_k=top_k)
        expected = by_transformers(logits.float(), temperature, top_k, None)
        assert_close(received, expected, tolerance=1e-4, what="the probabilities")

    @weight(3)
    @given(
        logits=tensors((1, 5), dtype=torch.int64, low=-2, high=2),
        temperature=st.sampled_from([1.0, 2.0, 0.5]),
        top_k=st.sampled_from([3, None, 2, 4]),
    )
    @settings(max_examples=10)
    def test_top_p_keeps_the_smallest_set(
        self, student: Any, logits: Tensor, temperature: float, top_k: int | None
    ) -> None:
        """What top_p keeps reaches p, no set of fewer tokens does, nothing left out is likelier, and at least one is kept."""
        full = by_transformers(logits.double(), temperature, top_k, None)[0]
        subsets = [chosen for size in range(1, 6) for chosen in itertools.combinations(full.tolist(), size)]
        for top_p in between_sums(full):
            received = student.token_distribution(logits.float(), temperature=temperature, top_k=top_k, top_p=top_p)
            assert_shape(received, (1, 5), what="the probabilities")
            kept = received[0] > 0
            fewest = min(len(chosen) for chosen in subsets if math.fsum(chosen) >= top_p)
            if int(kept.sum()) != fewest:
                found = ", ".join(f"{probability:.4g}" for probability in full.tolist())
                fail(f"With p = {top_p:.4g}, of tokens with the probabilities {found}",
                     f"{fewest} should be kept, but {int(kept.sum())} are.")  # fmt: skip
            if (~kept).any():
                assert_between(
                    full[kept].min() - full[~kept].max(), 0, what="the least kept less the greatest left out"
                )
            expected = torch.where(kept, full, 0.0)
            assert_close(received[0], (expected / expected.sum()).float(), tolerance=1e-4, what="the probabilities")

    @given(logits=scores(2))
    @settings(max_examples=3)
    def test_a_p_of_one_keeps_all(self, student: Any, logits: Tensor) -> None:
        """With a top_p of 1 nothing is left out, not even a token whose probability is 10⁻¹³."""
        logits[:, 2] = logits.amax(1) - 30
        received = student.token_distribution(logits, top_p=1.0)
        assert_close(received, logits.softmax(1), tolerance=1e-4, what="the probabilities")
        assert_between(received, 1e-15, tolerance=0, what="the probability of a token that is left in")

    @weight(3)
    @given(
        logits=scores(2),
        temperature=st.sampled_from([1.0, 0.6, 2.0]),
        top_k=st.sampled_from([3, 4, 2, None]),
    )
    @settings(max_examples=8)
    def test_in_this_order(self, student: Any, logits: Tensor, temperature: float, top_k: int | None) -> None:
        """Temperature first, then top_k, then top_p of what is left, renormalised: as in the library transformers."""
        logits = torch.stack([logits[0], logits[0].flip(0)])
        for top_p in between_sums(by_transformers(logits, temperature, top_k, None)[0]):
            received = student.token_distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
            expected = by_transformers(logits, temperature, top_k, top_p)
            assert_close(received, expected, tolerance=1e-4, what="the probabilities")

    @weight(2)
    @given(
        logits=tensors((2, 5), dtype=torch.int64, low=-2, high=2),
        banned=st.sets(st.integers(0, 4), min_size=1, max_size=4),
        top_k=st.integers(1, 5),
    )
    @settings(max_examples=8)
    def test_impossible_tokens(self, student: Any, logits: Tensor, banned: set[int], top_k: int) -> None:
        """A token whose logit is −∞ has probability 0, however many are to be kept, and the others share what is left."""
        possible = logits.float()
        possible[:, sorted(banned)] = -torch.inf
        received = student.token_distribution(possible, top_k=top_k)
        assert_close(
            received, by_transformers(possible, 1.0, top_k, None), tolerance=1e-4, what="with top_k, the result"
        )
        likely = student.token_distribution(possible, top_p=0.9999)
        assert_close(likely, possible.softmax(1), tolerance=1e-3, what="with a top_p of 0.9999, the result")

    @given(logits=scores(1))
    @settings(max_examples=2)
    def test_refuses_senseless_settings(self, student: Any, logits: Tensor) -> None:
        """A negative temperature, a top_k less than 1 and a top_p outside of (0, 1] raise ValueError."""
        for name, values in {"temperature": (-0.5,), "top_k": (0, -1), "top_p": (0.0, 1.5, -0.25)}.items():
            for value in values:
                with pytest.raises(ValueError):
                    student.token_distribution(logits, **{name: value})


class Given:
    """A distribution that is called like `token_distribution`: rows of a table. It notes how it is called."""

    def __init__(self, probabilities: Tensor) -> None:
        self.probabilities = probabilities
        self.calls: list[dict[str, Any]] = []

    def __call__(self, logits: Tensor, **options: Any) -> Tensor:
        """The rows, whose numbers stand in the first column of `logits`."""
        self.calls.append(options)
        return self.probabilities[logits[:, 0].long()].to(logits.dtype)


def eighths(batch: int, vocabulary: int = 5) -> st.SearchStrategy[Tensor]:
    """Probabilities (batch, vocabulary) that are multiples of 1/8, some of them 0."""

    def table(generator: torch.Generator) -> Tensor:
        drawn = torch.randint(0, vocabulary, (batch, 8), generator=generator)
        return F.one_hot(drawn, vocabulary).sum(1) / 8

    return generators().map(table)


def row_numbers(batch: int, vocabulary: int = 5) -> Tensor:
    """Logits (batch, vocabulary) that `Given` knows."""
    return torch.arange(float(batch)).unsqueeze(1).repeat(1, vocabulary)


@st.composite
def token_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `sample_token`."""
    batch = draw(sizes())
    uniform = draw(tensors(batch, low=0, high=7 / 8))
    return (row_numbers(batch), uniform), {"distribution": Given(draw(eighths(batch)))}


@exercise("sample_token", contract=token_calls())
class TestSampleToken:
    @required
    @given(tokens=st.permutations(range(5)), uniform=tensors(5, low=0, high=7 / 8))
    @settings(max_examples=5)
    def test_a_certain_token(self, student: Any, tokens: list[int], uniform: Tensor) -> None:
        """A token of probability 1 is drawn, each row's own."""
        certain = Given(F.one_hot(torch.tensor(tokens), 5).float())
        received = student.sample_token(row_numbers(5), uniform, distribution=certain)
        assert_close(received, torch.tensor(tokens), what="the tokens")

    @weight(3)
    @given(batch=sizes(1, 5).flatmap(eighths), generator=generators())
    @settings(max_examples=15)
    def test_inverts_the_cumulative_distribution(self, student: Any, batch: Tensor, generator: torch.Generator) -> None:
        """It is the first token up to which the probabilities sum to more than `uniform`, here by exact fractions."""
        uniform = torch.randint(0, 16, (len(batch),), generator=generator) / 16
        received = student.sample_token(row_numbers(len(batch)), uniform, distribution=Given(batch))
        expected = []
        for row, number in zip(batch.tolist(), uniform.tolist(), strict=True):
            sums = list(itertools.accumulate(map(Fraction, row)))
            expected.append(next(token for token, total in enumerate(sums) if total > Fraction(number)))
        assert_close(received, torch.tensor(expected), what="the tokens")

    @weight(3)
    @given(
        logits=scores(1),
        temperature=st.sampled_from([1.0, 0.5]),
        top_k=st.sampled_from([None, 3]),
    )
    @settings(max_examples=4)
    def test_draws_as_often_as_is_likely(
        self, student: Any, logits: Tensor, temperature: float, top_k: int | None
    ) -> None:
        """Over a thousand evenly spread numbers each token is drawn as often as is likely, give or take one, low ids first."""
        uniform = (torch.arange(1000) + 0.5) / 1000
        received = student.sample_token(
            logits.expand(1000, -1),
            uniform,
            temperature=temperature,
            top_k=top_k,
            distribution=reference.token_distribution,
        )
        assert_shape(received, (1000,), what="the tokens")
        counts = torch.bincount(received, minlength=6)
        expected = 1000 * by_transformers(logits, temperature, top_k, None)[0]
        assert_between((counts - expected).abs(), high=1.01, what="the difference between counts and probabilities")
        assert_between(received.diff(), 0, what="how the token's id changes as `uniform` grows")

    @weight(5)
    @given(zeros=st.integers(1, 3), generator=generators())
    @settings(max_examples=5)
    def test_never_an_impossible_token(self, student: Any, zeros: int, generator: torch.Generator) -> None:
        """Not at the smallest number nor at the greatest is a token of probability 0 drawn, though a sum be 1 less rounding."""
        last = 1 - 2**-24  # the greatest float32 below 1
        nothing = [0.0] * zeros
        rows = torch.tensor([[*nothing, 0.5, last - 0.5], [0.5, last - 0.5, *nothing], [0.5, 0.5, *nothing]])
        uniform = torch.tensor([0.0, last, last])
        received = student.sample_token(row_numbers(3, zeros + 2), uniform, distribution=Given(rows))
        assert_close(received, torch.tensor([zeros, 1, 1]), what="the tokens")

    @weight(2)
    @given(
        temperature=st.sampled_from([0.5, 0.0]), top_k=st.sampled_from([None, 3]), top_p=st.sampled_from([0.75, None])
    )
    @settings(max_examples=5)
    def test_passes_the_settings_on(
        self, student: Any, temperature: float, top_k: int | None, top_p: float | None
    ) -> None:
        """`distribution` is called once, with the temperature, top_k and top_p that were asked for."""
        given_rows = Given(torch.tensor([[0.5, 0.5]]))
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        student.sample_token(row_numbers(1, 2), torch.zeros(1), distribution=given_rows, **options)
        if given_rows.calls != [options]:
            fail(f"`distribution` was given {describe(given_rows.calls)}, where {describe([options])} was expected.")


# ---- text


class Teller:
    """A toy language model: what follows a token depends on all that it can see up to there. It notes how it is called."""

    MODULUS = 11

    def __init__(self, vocabulary: int, generator: torch.Generator, end: int | None = None) -> None:
        self.table = torch.rand(self.MODULUS, vocabulary, generator=generator)
        if end is not None:  # texts should end now and then
            self.table[:4, end] = 2.0
        self.calls: list[Tensor] = []
        self.recorded: list[bool] = []

    def __call__(self, ids: Tensor) -> Tensor:
        """Logits (batch, length, vocabulary)."""
        self.calls.append(ids.clone())
        self.recorded.append(torch.is_grad_enabled())
        state, logits = torch.zeros(len(ids), dtype=torch.int64), []
        for column in ids.unbind(1):
            state = (3 * state + column + 1) % self.MODULUS
            logits.append(self.table[state])
        return torch.stack(logits, dim=1)

    def texts(self, prompt: Tensor, uniform: Tensor, *, context: int | None = None, end: int | None = None) -> Tensor:
        """What is written with `pick`, text by text and token by token."""
        texts = []
        for row, draws in zip(prompt.tolist(), uniform.tolist(), strict=True):
            added: list[int] = []
            for draw in draws:
                if end is not None and end in added:
                    added.append(end)
                    continue
                state = 0
                for token in [*row, *added] if context is None else [*row, *added][-context:]:
                    state = (3 * state + token + 1) % self.MODULUS
                ranked = self.table[state].argsort(descending=True).tolist()
                added.append(ranked[int(draw * len(ranked) / 2)])
            texts.append([*row, *added])
        return torch.tensor(texts).view(len(texts), -1)


def pick(logits: Tensor, uniform: Tensor) -> Tensor:
    """A way to choose: the more `uniform`, the lower the rank, down to the middle."""
    ranked = logits.argsort(dim=1, descending=True)
    return ranked.gather(1, (uniform * logits.shape[1] / 2).long().unsqueeze(1)).squeeze(1)


def calls_needed(added: Tensor, end: int | None) -> int:
    """How many tokens are chosen until all texts have ended, given what is added to them (batch, new)."""
    rows = added.tolist()
    return max(row.index(end) + 1 if end in row else len(row) for row in rows)


@st.composite
def text_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `generate_text`."""
    batch, length, new = (draw(sizes(low, 4)) for low in (1, 1, 1))
    prompt = draw(tensors((batch, length), dtype=torch.int64, low=0, high=4))
    uniform = draw(tensors((batch, new), low=0, high=7 / 8))
    return (Teller(5, draw(generators())), prompt, uniform), {"choose": pick}


def prompts(batch: int, length: int, high: int = 4) -> st.SearchStrategy[Tensor]:
    """Token ids (batch, length), from 0 to `high`."""
    return tensors((batch, length), dtype=torch.int64, low=0, high=high)


@exercise("generate_text", contract=text_calls())
class TestGenerateText:
    @required
    @given(prompt=prompts(3, 2), generator=generators())
    @settings(max_examples=5)
    def test_goes_on_with_the_prompt(self, student: Any, prompt: Tensor, generator: torch.Generator) -> None:
        """The prompt comes first, then the token that is chosen from the logits of its last position."""
        teller = Teller(7, generator)
        received = student.generate_text(teller, prompt, torch.zeros(3, 2), choose=pick)
        assert_shape(received, (3, 4), what="the texts")
        expected = teller.texts(prompt, torch.zeros(3, 1))
        assert_close(received[:, :3], expected, what="the prompt and the first new token")

    @weight(4)
    @given(
        prompt=st.tuples(st.sampled_from([3, 2, 1]), sizes(1, 4)).flatmap(lambda shape: prompts(*shape)),
        new=st.integers(2, 6),
        context=st.sampled_from([None, 2, 3, 1]),
        end=st.sampled_from([None, 4, 0]),
        generator=generators(),
    )
    @settings(max_examples=16)
    def test_equals_writing_text_by_text(
        self,
        student: Any,
        prompt: Tensor,
        new: int,
        context: int | None,
        end: int | None,
        generator: torch.Generator,
    ) -> None:
        """The texts are those that come out if each is written alone, token by token, with its own row of `uniform`."""
        teller, uniform = Teller(5, generator, end), torch.rand(len(prompt), new, generator=generator)
        received = student.generate_text(teller, prompt, uniform, choose=pick, context=context, end=end)
        expected = teller.texts(prompt, uniform, context=context, end=end)
        assert_close(received, expected, what="the texts")

    @weight(3)
    @given(
        prompt=prompts(2, 3),
        new=st.integers(2, 5),
        context=st.sampled_from([None, 4, 2]),
        end=st.sampled_from([4, None]),
        generator=generators(),
    )
    @settings(max_examples=10)
    def test_what_the_model_reads(
        self,
        student: Any,
        prompt: Tensor,
        new: int,
        context: int | None,
        end: int | None,
        generator: torch.Generator,
    ) -> None:
        """For each new token the model reads, once, all that is written so far, or the last `context` tokens of it."""
        teller, uniform = Teller(5, generator, end), torch.rand(2, new, generator=generator)
        received = student.generate_text(teller, prompt, uniform, choose=pick, context=context, end=end)
        expected = teller.texts(prompt, uniform, context=context, end=end)
        needed = calls_needed(expected[:, 3:], end)
        if len(teller.calls) != needed:
            fail(f"{needed} tokens had to be chosen, but the model was called {len(teller.calls)} times.")
        for number, ids in enumerate(teller.calls):
            written = expected[:, : 3 + number]
            wanted = written if context is None else written[:, -context:]
            assert_close(ids, wanted, what=f"what the model was given for new token {number}")
        assert_shape(received, tuple(expected.shape), what="the texts")

    @weight(3)
    @given(prompt=prompts(2, 2), new=st.integers(1, 4), generator=generators())
    @settings(max_examples=6)
    def test_tokens_are_chosen_by_choose(
        self, student: Any, prompt: Tensor, new: int, generator: torch.Generator
    ) -> None:
        """`choose` is given the logits of the last position (batch, vocab) and one column of `uniform`, in their order."""
        teller, uniform, seen = Teller(5, generator), torch.rand(2, new, generator=generator), []

        def choose(logits: Tensor, uniform: Tensor) -> Tensor:
            seen.append((logits, uniform))
            return logits.argmin(1)

        received = student.generate_text(teller, prompt, uniform, choose=choose)
        assert_shape(received, (2, 2 + new), what="the texts")
        if len(seen) != new:
            fail(f"For {new} new tokens `choose` was called {len(seen)} times.")
        for number, (logits, column) in enumerate(seen):
            assert_close(column, uniform[:, number], what=f"the numbers that `choose` was given for new token {number}")
            last = teller(received[:, : 2 + number])[:, -1]
            assert_close(logits, last, what=f"the logits that `choose` was given for new token {number}")
            assert_close(received[:, 2 + number], logits.argmin(1), what=f"new token {number}")

    @weight(4)
    @given(batch=st.sampled_from([3, 1, 2]), new=st.integers(3, 8), generator=generators())
    @settings(max_examples=10)
    def test_after_the_end_there_is_nothing_else(
        self, student: Any, batch: int, new: int, generator: torch.Generator
    ) -> None:
        """After `end` a text is filled up with `end`, while others go on; when all have ended, the model is called no more."""
        teller, uniform = Teller(5, generator, end=4), torch.rand(batch, new, generator=generator)
        prompt = torch.randint(0, 4, (batch, 2), generator=generator)
        received = student.generate_text(teller, prompt, uniform, choose=pick, end=4)
        expected = teller.texts(prompt, uniform, end=4)
        assert_close(received, expected, what="the texts")
        needed = calls_needed(expected[:, 2:], end=4)
        if len(teller.calls) != needed:
            fail(f"All texts had ended after {needed} calls of the model, but there were {len(teller.calls)}.")

    @weight(3)
    @given(new=st.integers(2, 5), generator=generators())
    @settings(max_examples=4)
    def test_an_end_in_the_prompt_ends_nothing(self, student: Any, new: int, generator: torch.Generator) -> None:
        """A prompt in which `end` stands, even as its last token, is continued like any other."""
        teller, uniform = Teller(5, generator), torch.rand(2, new, generator=generator)
        prompt = torch.tensor([[1, 4], [4, 2]])
        received = student.generate_text(teller, prompt, uniform, choose=pick, end=4)
        assert_close(received, teller.texts(prompt, uniform, end=4), what="the texts")

    @weight(2)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_equals_the_librarys_generate(self, student: Any, generator: torch.Generator) -> None:
        """With a GPT-2 of the library transformers, and the likeliest token each time, it writes what `generate` writes."""
        config = GPT2Config(vocab_size=7, n_positions=16, n_embd=8, n_layer=1, n_head=2, pad_token_id=6, eos_token_id=6)
        model = GPT2LMHeadModel(config).eval()
        redraw(model, generator)
        prompt = torch.randint(0, 6, (2, 3), generator=generator)
        expected = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=5, do_sample=False)
        expected = F.pad(expected, (0, 8 - expected.shape[1]), value=6)
        received = student.generate_text(
            lambda ids: model(ids).logits,
            prompt,
            torch.zeros(2, 5),
            choose=lambda logits, uniform: logits.argmax(1),
            end=6,
        )
        assert_close(received, expected, what="the texts")

    @given(prompt=prompts(2, 3), generator=generators())
    @settings(max_examples=3)
    def test_nothing_new(self, student: Any, prompt: Tensor, generator: torch.Generator) -> None:
        """Without new tokens it is the prompt, and the model is not called."""
        teller = Teller(5, generator)
        received = student.generate_text(teller, prompt, torch.zeros(2, 0), choose=pick, end=3)
        assert_close(received, prompt, what="the texts")
        if teller.calls:
            fail(f"The model was called {len(teller.calls)} times, though no token was asked for.")

    @given(prompt=prompts(1, 2), generator=generators())
    @settings(max_examples=2)
    def test_keeps_no_graph(self, student: Any, prompt: Tensor, generator: torch.Generator) -> None:
        """The model is called without recording a graph, which would only take memory."""
        teller = Teller(5, generator)
        student.generate_text(teller, prompt, torch.zeros(1, 2), choose=pick)
        if any(teller.recorded):
            fail("Gradients are enabled while the model is called, so a graph of each call is recorded.")


# ---- images

WORDS = ("a red ring", "two", "a large blue cross", "sea", "snow at night")


class Painter:
    """A toy pipeline: an image is its prompt's number times 10, and noise from [0, 2). It notes how it is called."""

    def __init__(self, shape: tuple[int, int, int] = (1, 2, 2)) -> None:
        self.shape = shape
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, prompts: list[str], generators: list[torch.Generator]) -> Tensor:
        """Images (batch, channels, height, width)."""
        self.calls.append((prompts, generators))
        return torch.stack([self.paint(prompt, rng) for prompt, rng in zip(prompts, generators, strict=False)])

    def look(self, prompts: Any, generators: Any) -> Tensor:
        """Blank images, and a note of the first number that each generator gives."""
        listed = isinstance(generators, Sequence)
        drawn = [torch.rand((), generator=rng).item() for rng in generators] if listed else generators
        self.calls.append((prompts, drawn))
        return torch.zeros(len(prompts), *self.shape)

    def paint(self, prompt: str, rng: torch.Generator) -> Tensor:
        """One image. How often a number is drawn depends on the prompt, as on the steps of a real pipeline."""
        noise = torch.zeros(self.shape)
        for _ in range(1 + len(prompt) % 3):
            noise = noise / 2 + torch.rand(self.shape, generator=rng)
        return noise + 10 * WORDS.index(prompt)

    def alone(self, prompt: str, seed: int) -> Tensor:
        """What the image of that prompt and seed has to be."""
        return self.paint(prompt, torch.Generator().manual_seed(seed))


@st.composite
def orders(draw: st.DrawFn, least: int = 1, most: int = 6) -> tuple[list[str], list[int]]:
    """Prompts, and a seed for each; some of them come twice."""
    count = draw(sizes(least, most))
    words = st.lists(st.sampled_from(WORDS), min_size=count, max_size=count)
    return draw(words), draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))


def image_calls() -> st.SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments of `generate_images`, whose sizes are those of the painter."""
    return orders().map(lambda order: ((Painter(), *order), {"batch_size": 2}))


@exercise("generate_images", contract=image_calls())
class TestGenerateImages:
    @required
    @given(words=st.permutations(WORDS))
    @settings(max_examples=5)
    def test_an_image_for_each_prompt(self, student: Any, words: list[str]) -> None:
        """There is an image for each prompt, in their order."""
        received = student.generate_images(Painter(), words, [1, 2, 3, 4, 5], batch_size=5)
        assert_shape(received, (5, 1, 2, 2), what="the images")
        expected = torch.tensor([WORDS.index(word) for word in words])
        assert_close((received[:, 0, 0, 0] / 10).floor().long(), expected, what="the numbers of the prompts painted")

    @weight(4)
    @given(
        order=orders(2),
        batch_size=st.sampled_from([2, 3, 1, 8]),
        shape=st.sampled_from([(1, 2, 2), (3, 2, 1)]),
    )
    @settings(max_examples=15)
    def test_depends_on_its_prompt_and_its_seed_alone(
        self, student: Any, order: tuple[list[str], list[int]], batch_size: int, shape: tuple[int, int, int]
    ) -> None:
        """Each image is the one that is painted alone, with a fresh generator that is given its seed."""
        painter = Painter(shape)
        received = student.generate_images(painter, *order, batch_size=batch_size)
        expected = torch.stack([painter.alone(prompt, seed) for prompt, seed in zip(*order, strict=True)])
        assert_close(received, expected, what="the images", hint="each image needs a generator of its own.")

    @weight(4)
    @given(order=orders(2), batch_size=st.sampled_from([2, 3, 1, 4, None]))
    @settings(max_examples=8)
    def test_batches(self, student: Any, order: tuple[list[str], list[int]], batch_size: int | None) -> None:
        """The pipeline is given `batch_size` prompts at once, 4 if nothing is said, the last time what is left."""
        painter, (words, seeds) = Painter(), order
        options = {} if batch_size is None else {"batch_size": batch_size}
        student.generate_images(painter, words, seeds, **options)
        size = batch_size or 4
        batches = [list(prompts) for prompts, _ in painter.calls]
        expected = [words[start : start + size] for start in range(0, len(words), size)]
        if batches != expected:
            fail(f"The pipeline was given the prompts {describe(batches)}, where {describe(expected)} was expected.")

    @weight(2)
    @given(order=orders(1, 5))
    @settings(max_examples=5)
    def test_what_the_pipeline_is_given(self, student: Any, order: tuple[list[str], list[int]]) -> None:
        """The pipeline is given a list of strings and a list of as many generators, each seeded and otherwise unused."""
        painter, (words, seeds) = Painter(), order
        student.generate_images(painter.look, words, seeds, batch_size=3)
        left = list(seeds)
        for prompts, rngs in painter.calls:
            if not isinstance(prompts, list) or not isinstance(rngs, list) or len(prompts) != len(rngs):
                fail(f"The pipeline was given {describe(prompts)} and {describe(rngs)}, not two lists of one length.")
            for number, seed in zip(rngs, left[: len(rngs)], strict=True):
                assert_close(number, torch.rand((), generator=torch.Generator().manual_seed(seed)).item(),
                             what=f"the first number from the generator for the seed {seed}")  # fmt: skip
            left = left[len(rngs) :]

    @given(order=orders(1, 4), more=st.sampled_from([1, -1, 2]))
    @settings(max_examples=4)
    def test_a_seed_for_each_prompt(self, student: Any, order: tuple[list[str], list[int]], more: int) -> None:
        """More or fewer seeds than prompts raise ValueError."""
        words, seeds = order
        seeds = [*seeds, 5, 6][: len(seeds) + more]
        with pytest.raises(ValueError):
            student.generate_images(Painter(), words, seeds, batch_size=2)
