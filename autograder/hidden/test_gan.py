# ruff: noqa: D101
"""Hidden properties of `gan`."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, kl_divergence

from autograder.properties.networks import (
    assert_parameters_matter,
    assert_rows_apart,
    assert_state_is_complete,
    redraw,
)
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_independent,
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
from solutions import gan as reference

DATA_SHAPES = [(2,), (5,), (3, 2), (2, 3, 2), (1, 2, 4)]
"""Shapes of one sample: flat ones, and images with unequal sides."""


def logits(size: st.SearchStrategy[int] | int | None = None) -> st.SearchStrategy[Tensor]:
    """A logit for each image of a batch, none of them 0, where stable formulas have a kink."""
    drawn = tensors(sizes() if size is None else size, low=-6, high=6)
    return drawn.map(lambda values: torch.where(values == 0, 0.0625, values))


def gradient(output: Tensor, of: Tensor) -> Tensor:
    """The gradient of a scalar, zero where the graph does not lead."""
    (found,) = torch.autograd.grad(output, of, allow_unused=True, materialize_grads=True, retain_graph=True)
    return found


def assert_scalar(value: Any, *, what: str) -> None:
    """Check that a loss is a tensor of shape ()."""
    assert_shape(value, (), what=what)


# ---- the original game


@exercise("discriminator_loss")
class TestDiscriminatorLoss:
    @required
    @given(real=logits(3), fake=logits(4))
    @settings(max_examples=5)
    def test_falls_as_the_two_are_told_apart(self, student: Any, real: Tensor, fake: Tensor) -> None:
        """It falls as the logit of any real image rises, and as the logit of any generated image falls."""
        real.requires_grad_(), fake.requires_grad_()
        loss = student.discriminator_loss(real, fake)
        assert_depends(loss, real, what="the loss", on_what="the logits of real images")
        assert_depends(loss, fake, what="the loss", on_what="the logits of generated images")
        hint = "a discriminator learns to give real images large logits and generated ones small ones."
        by_real, by_fake = torch.autograd.grad(loss.sum(), (real, fake))
        assert_between(by_real, None, -1e-6, tolerance=0, what="the gradient for the logit of a real image", hint=hint)
        assert_between(by_fake, 1e-6, None, tolerance=0, what="the gradient for the logit of a fake image", hint=hint)

    @weight(2)
    @given(real=logits(), fake=logits(), label=st.sampled_from([1.0, 0.9, 0.75]))
    @settings(max_examples=10)
    def test_is_what_torchs_bernoulli_says(self, student: Any, real: Tensor, fake: Tensor, label: float) -> None:
        """It is minus the mean log-probability of "real" for real images, less that of "fake" for generated ones."""
        said, other = Bernoulli(logits=real.double()), Bernoulli(logits=fake.double())
        on_real = label * said.log_prob(torch.tensor(1.0)) + (1 - label) * said.log_prob(torch.tensor(0.0))
        expected = -(on_real.mean() + other.log_prob(torch.tensor(0.0)).mean()).to(real.dtype)
        loss = student.discriminator_loss(real, fake, label)
        counts = {"real": len(real), "fake": len(fake)}
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes=counts)

    @weight(2)
    @given(p=st.lists(st.integers(1, 4), min_size=3, max_size=3), q=st.lists(st.integers(1, 4), min_size=3, max_size=3))
    @settings(max_examples=6)
    def test_best_discriminator_measures_jensen_shannon(self, student: Any, p: list[int], q: list[int]) -> None:
        """For the best discriminator of two distributions it is 2 log 2 − 2 JSD (Goodfellow et al. 2014, theorem 1)."""
        real, fake = (Categorical(torch.tensor(counts, dtype=torch.float64)) for counts in (p, q))
        middle = Categorical(probs=(real.probs + fake.probs) / 2)
        divergence = (kl_divergence(real, middle) + kl_divergence(fake, middle)) / 2
        # Every outcome as often as its distribution says; the best logit is the log-ratio of the two.
        best = (real.logits - fake.logits).float()
        loss = student.discriminator_loss(
            best.repeat_interleave(torch.tensor(p)), best.repeat_interleave(torch.tensor(q))
        )
        expected = (2 * math.log(2) - 2 * divergence).float()
        assert_close(loss, expected, tolerance=1e-4, what="the loss of the best discriminator")

    @weight(2)
    @given(real=logits(3), fake=logits(2))
    @settings(max_examples=4)
    def test_more_of_the_same(self, student: Any, real: Tensor, fake: Tensor) -> None:
        """Real images given twice, or generated ones, change nothing: each of the two means is over its own images."""
        once = student.discriminator_loss(real, fake)
        assert_scalar(once, what="the loss")
        for first, second in ((real.repeat(2), fake), (real, fake.repeat(3))):
            again = student.discriminator_loss(first, second)
            counts = {"real": len(first), "fake": len(second)}
            assert_close(again, once, tolerance=1e-4, what="the loss with some images given again", sizes=counts)

    @weight(3)
    @given(fake=logits(3), label=st.sampled_from([0.9, 0.75, 0.6]))
    @settings(max_examples=5)
    def test_label_is_what_real_images_are_pulled_to(self, student: Any, fake: Tensor, label: float) -> None:
        """With a label of r the best probability for a real image is r; what generated images cost is not touched."""
        best = torch.full((2,), math.log(label / (1 - label)), requires_grad=True)
        fake.requires_grad_()
        loss = student.discriminator_loss(best, fake, real_label=label)
        by_real, by_fake = torch.autograd.grad(loss, (best, fake), allow_unused=True, materialize_grads=True)
        assert_close(by_real, torch.zeros(2), what="the gradient for a real image that is given the probability r")
        assert_close(by_fake, fake.detach().sigmoid() / 3, what="the gradient for the logits of generated images")

    @weight(5)
    @given(signs=tensors(4, dtype=torch.bool), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=6)
    def test_survives_large_logits(self, student: Any, signs: Tensor, size: float) -> None:
        """At logits of ±200 and ±10⁴ each wrong one costs that many nats, each right one nothing; gradients are finite."""
        values = torch.where(signs, size, -size).requires_grad_()
        loss = student.discriminator_loss(values[:2], values[2:])
        wrong = (~signs[:2]).sum() + signs[2:].sum()
        assert_close(loss, size * wrong / 2, what="the loss")
        slope = torch.cat([signs[:2].float() - 1, signs[2:].float()]) / 2
        assert_close(gradient(loss, values), slope, what="the gradient with respect to the logits")


@exercise("minimax_generator_loss")
class TestMinimaxGeneratorLoss:
    @required
    @given(fake=logits(3))
    @settings(max_examples=5)
    def test_falls_as_the_discriminator_is_fooled(self, student: Any, fake: Tensor) -> None:
        """It falls as the logit of any generated image rises."""
        fake.requires_grad_()
        loss = student.minimax_generator_loss(fake)
        assert_depends(loss, fake, what="the loss", on_what="the logits")
        assert_between(gradient(loss.sum(), fake), None, -1e-6, tolerance=0, what="the gradient for a logit")

    @weight(2)
    @given(fake=logits())
    @settings(max_examples=8)
    def test_is_what_torchs_bernoulli_says(self, student: Any, fake: Tensor) -> None:
        """It is the mean log-probability, by torch.distributions.Bernoulli, that the discriminator gives to "fake"."""
        expected = Bernoulli(logits=fake.double()).log_prob(torch.tensor(0.0)).mean().float()
        loss = student.minimax_generator_loss(fake)
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes={"batch": len(fake)})

    @weight(2)
    @given(fake=logits(3))
    @settings(max_examples=4)
    def test_gradient_is_the_probability(self, student: Any, fake: Tensor) -> None:
        """In a batch of B the gradient for a logit is −σ(a)/B: it vanishes where the discriminator is not fooled at all."""
        fake = (fake - 3.03125).requires_grad_()  # none at the kink that stable formulas have at 0
        received = gradient(student.minimax_generator_loss(fake), fake)
        assert_close(received, -fake.detach().sigmoid() / 3, tolerance=1e-6, what="the gradient for the logits")

    @weight(3)
    @given(signs=tensors(3, dtype=torch.bool), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=5)
    def test_survives_large_logits(self, student: Any, signs: Tensor, size: float) -> None:
        """At logits of ±200 and ±10⁴ it is finite, and so are its gradients: 0 or −1/B."""
        values = torch.where(signs, size, -size).requires_grad_()
        loss = student.minimax_generator_loss(values)
        assert_close(loss, -size * signs.sum() / 3, what="the loss")
        assert_close(gradient(loss, values), -signs.float() / 3, what="the gradient with respect to the logits")


@exercise("nonsaturating_generator_loss")
class TestNonsaturatingGeneratorLoss:
    @required
    @given(fake=logits(3))
    @settings(max_examples=5)
    def test_falls_as_the_discriminator_is_fooled(self, student: Any, fake: Tensor) -> None:
        """It falls as the logit of any generated image rises."""
        fake.requires_grad_()
        loss = student.nonsaturating_generator_loss(fake)
        assert_depends(loss, fake, what="the loss", on_what="the logits")
        assert_between(gradient(loss.sum(), fake), None, -1e-6, tolerance=0, what="the gradient for a logit")

    @weight(2)
    @given(fake=logits())
    @settings(max_examples=8)
    def test_is_what_torchs_bernoulli_says(self, student: Any, fake: Tensor) -> None:
        """It is minus the mean log-probability, by torch.distributions.Bernoulli, that the discriminator gives to "real"."""
        expected = -Bernoulli(logits=fake.double()).log_prob(torch.tensor(1.0)).mean().float()
        loss = student.nonsaturating_generator_loss(fake)
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes={"batch": len(fake)})

    @weight(2)
    @given(fake=logits(3))
    @settings(max_examples=4)
    def test_does_not_saturate(self, student: Any, fake: Tensor) -> None:
        """In a batch of B the gradient for a logit is (σ(a) − 1)/B: strong where the discriminator is not fooled at all."""
        fake = (fake - 3.03125).requires_grad_()  # none at the kink that stable formulas have at 0
        received = gradient(student.nonsaturating_generator_loss(fake), fake)
        assert_close(received, (fake.detach().sigmoid() - 1) / 3, tolerance=1e-6, what="the gradient for the logits")

    @weight(3)
    @given(signs=tensors(3, dtype=torch.bool), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=5)
    def test_survives_large_logits(self, student: Any, signs: Tensor, size: float) -> None:
        """At logits of ±200 and ±10⁴ it is finite, and so are its gradients: 0 or −1/B."""
        values = torch.where(signs, size, -size).requires_grad_()
        loss = student.nonsaturating_generator_loss(values)
        assert_close(loss, size * (~signs).sum() / 3, what="the loss")
        assert_close(gradient(loss, values), signs.float().sub(1) / 3, what="the gradient with respect to the logits")


# ---- training


class Told(nn.Module):
    """A network that tells a diary what comes in and what goes out."""

    def __init__(self, inner: nn.Module, name: str, diary: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.inner = inner
        self.name, self.diary = name, diary

    def forward(self, x: Tensor) -> Tensor:
        """What the network inside makes of `x`."""
        result = self.inner(x)
        self.diary.append((self.name, (x.detach().clone(), result.detach().clone())))
        return result


def game(seed: int, data: int = 2, latent: int = 3) -> tuple[nn.Module, nn.Module]:
    """A generator and a discriminator of a few weights."""
    generator = torch.Generator().manual_seed(seed)
    g = nn.Sequential(nn.Linear(latent, 4), nn.Tanh(), nn.Linear(4, data))
    d = nn.Sequential(nn.Linear(data, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))
    for network in (g, d):
        redraw(network, generator, scale=0.5)
    return g, d


class Training:
    """One call of a student's `train_gan`, and what was seen of it."""

    def __init__(self, student: Any, g: nn.Module, d: nn.Module, data: Tensor, seed: int, **options: Any) -> None:
        self.diary: list[tuple[str, Any]] = []
        generator, discriminator = Told(g, "g", self.diary), Told(d, "d", self.diary)
        generator.in_place = discriminator.in_place = True  # type: ignore[assignment]  # they are there to be trained
        pieces = {"d_loss": discriminator_loss, "g_loss": generator_loss, **options}
        for name in ("d_loss", "g_loss", "penalty"):
            if name in pieces:
                pieces[name] = self._noted(name, pieces[name])
        self.history = student.train_gan(
            generator, discriminator, data,
            rng=torch.Generator().manual_seed(seed), **pieces,
        )  # fmt: skip

    def _noted(self, name: str, function: Callable) -> Callable:
        def noted(*args: Any) -> Any:
            values = [arg.detach().clone() if isinstance(arg, Tensor) else None for arg in args]
            graphs = [isinstance(arg, Tensor) and arg.requires_grad for arg in args]
            before = len(self.diary)
            result = function(*args)
            del self.diary[before:]  # what a penalty asks the discriminator is no part of the training
            self.diary.append((name, (values, graphs)))
            return result

        return noted

    def phases(self) -> list[tuple[str, dict[str, Any]]]:
        """What each part of the training was about: ("d", real, fake, noise and penalty) or ("g", fake and noise).

        Raises:
            PropertyFailed: the losses are given something else than the discriminator's scores.
        """
        found: list[tuple[str, dict[str, Any]]] = []
        seen: dict[str, list[Any]] = {"g": [], "d": [], "penalty": []}
        for name, event in self.diary:
            if name in seen:
                seen[name].append(event)
                continue
            inputs = [x for score in event[0] if (x := last(seen["d"], score)) is not None]
            if not len(inputs) == len(event[0]) == (2 if name == "d_loss" else 1):
                fail(f"{name} should be given what the discriminator makes of one minibatch at a time.")
            about = {"fake": inputs[-1], "noise": last(seen["g"], inputs[-1])}
            if about["noise"] is None:
                fail(f"The last scores that {name} is given should be those of samples that the generator made.")
            if name == "d_loss":
                about["real"] = inputs[0]
            found.append((name[0], about))
        # A penalty belongs to the discriminator's step around it, whichever of the two is computed first.
        rounds = (about for which, about in found if which == "d")
        for event in seen["penalty"]:
            next(rounds, {})["penalty"] = event
        for which, network in (("d", "discriminator"), ("g", "generator")):
            if not any(which == other for other, _ in found):
                fail(f"The function that is passed as {which}_loss= was never called: the {network} minimises it.")
        return found


def last(calls: list[tuple[Tensor, Tensor]], result: Tensor) -> Tensor | None:
    """What a network was given when it last returned this."""
    return next((x for x, out in reversed(calls) if out.shape == result.shape and torch.equal(out, result)), None)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """A loss for the discriminator that is not the reference's default."""
    return (real - 1).square().mean() + (fake + 1).square().mean()


def generator_loss(fake: Tensor) -> Tensor:
    """A loss for the generator that is not the reference's default."""
    return (fake - 0.5).square().mean()


def size_penalty(discriminator: Callable, real: Tensor, fake: Tensor) -> Tensor:
    """A penalty that depends on everything that it is given."""
    return (discriminator((real + 2 * fake) / 3).square().mean() + real.mean() * fake.mean()) / 2


@exercise("train_gan", contract=False)
class TestTrainGan:
    @required
    def test_learns_where_the_data_lie(self, student: Any) -> None:
        """A generator of points ends up nearer to the data than it began, against a discriminator that is no fool."""
        rng = torch.Generator().manual_seed(3)
        data = torch.randn(64, 1, generator=rng) / 4 + 2
        g, d = nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
        for network in (g, d):
            redraw(network, rng, scale=0.3)
        before = g.bias.item()
        options = {"latent_dim": 1, "steps": 30, "batch_size": 16, "learning_rate": 0.05, "betas": (0.5, 0.9)}
        Training(student, g, d, data, 1, **options)
        after = g.bias.item()
        if not abs(after - 2) < abs(before - 2) - 0.3:
            fail(f"The data lie around 2. The generator's points lay around {before:.2f} before, and now {after:.2f}.")

    @weight(7)
    @given(seed=st.integers(0, 1000), critic_steps=st.sampled_from([2, 3]))
    @settings(max_examples=3)
    def test_takes_the_steps_of_adam(self, student: Any, seed: int, critic_steps: int) -> None:
        """Each step is `critic_steps` steps of the discriminator's Adam, then one of the generator's, each on its own loss."""
        g, d = game(seed)
        twins = copy.deepcopy(g), copy.deepcopy(d)
        adam = {"learning_rate": 0.05, "betas": (0.3, 0.9)}
        options: dict[str, Any] = {"steps": 3, "batch_size": 4, "critic_steps": critic_steps, "latent_dim": 3}
        options["penalty"] = size_penalty
        training = Training(student, g, d, points(9, seed), seed, **options, **adam)
        phases = training.phases()
        order, wanted = "".join(which for which, _ in phases), ("d" * critic_steps + "g") * 3
        if order != wanted:
            fail(f"With critic_steps={critic_steps}, 3 steps should be {wanted}, but they were {order}.",
                 "(d is a step of the discriminator, g one of the generator.)")  # fmt: skip
        expected = replay(*twins, phases, 0.05, (0.3, 0.9))
        for name, trained, twin in (("the generator", g, twins[0]), ("the discriminator", d, twins[1])):
            for part, parameter in trained.named_parameters():
                target = twin.get_parameter(part).detach()
                assert_close(parameter.detach(), target, tolerance=1e-3, what=f"after 3 steps, {part} of {name}")
        assert_close([tuple(pair) for pair in training.history], expected, tolerance=1e-3, what="the returned list")

    @weight(7)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_draws_anew_each_time(self, student: Any, seed: int) -> None:
        """Minibatches are rows of the data, drawn at random; noise is standard normal, and fresh whenever it is needed."""
        g, d = game(seed, data=1, latent=4)
        data = torch.arange(40.0)[:, None] / 40
        phases = Training(student, g, d, data, seed, steps=3, batch_size=20, latent_dim=4).phases()
        real = torch.stack([about["real"].flatten() for which, about in phases if which == "d"])
        if not torch.isin(real, data).all():
            fail("The first argument of d_loss should be the scores of rows of the data: these are others.")
        if (real == real[0]).all() or all(torch.equal(row.sort().values, row) for row in real):
            fail(f"The real samples of the first two steps are {describe(real[:2])}: they should be drawn at random.")
        noise = torch.stack([about["noise"] for _, about in phases])
        assert_shape(noise, (6, 20, 4), what="the noise of the six parts of three steps")
        if len(noise.unique()) < 0.95 * noise.numel():
            fail("The same noise is used several times: each step of either network needs its own, for every sample.")
        # 480 numbers: six standard errors each.
        assert_between(noise.double().mean(), -0.28, 0.28, what="the mean of the noise")
        assert_between(noise.double().var(), 0.6, 1.4, what="the variance of the noise")

    @weight(7)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_the_rng_decides_everything(self, student: Any, seed: int) -> None:
        """Equal generators of random numbers give the same minibatches and noise, others give other ones."""
        data = torch.arange(40.0)[:, None] / 40
        runs = []
        for own in (seed, seed, seed + 1):
            g, d = game(seed, data=1, latent=2)
            phases = Training(student, g, d, data, own, steps=1, batch_size=12, latent_dim=2).phases()
            real = torch.cat([about["real"] for which, about in phases if which == "d"])
            runs.append((real, torch.cat([about["noise"] for _, about in phases])))
        (real, noise), (same_real, same_noise), (other_real, other_noise) = runs
        assert_close(same_real, real, what="the real samples of a second training with an equal rng")
        assert_close(same_noise, noise, what="the noise of a second training with an equal rng")
        if torch.equal(real, other_real):
            fail("With another rng the real samples are the same: are they drawn from it?")
        if torch.equal(noise, other_noise):
            fail("With another rng the noise is the same: is it drawn from it?")

    @weight(0.5)
    @given(first=st.integers(-5, 5), second=st.integers(-5, 5))
    @settings(max_examples=2)
    def test_reports_every_step(self, student: Any, first: int, second: int) -> None:
        """It returns a pair of floats for each step, and tells them to on_step as it goes, counting from 0."""
        g, d = game(0)
        rising, news = itertools.count(first), []
        pieces: dict[str, Any] = {
            "d_loss": lambda r, f: 0 * (r.sum() + f.sum()) + next(rising),
            "g_loss": lambda f: 0 * f.sum() + second,
            "penalty": lambda d, r, f: 0 * d(r).sum() + 5,
            "on_step": lambda *said: news.append(said),
        }
        training = Training(student, g, d, points(9, 0), 0, steps=2, batch_size=4, latent_dim=3, **pieces)
        expected = [(float(first + step + 5), float(second)) for step in range(2)]
        assert_close([tuple(pair) for pair in training.history], expected, what="the returned list")
        if not all(isinstance(value, float) for pair in training.history for value in pair):
            fail(f"The pairs should hold floats, but the list is {describe(training.history)}.")
        assert_close(news, [(step, *expected[step]) for step in range(2)], what="what on_step was called with")

    @weight(0.5)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_penalty_sees_the_minibatch(self, student: Any, seed: int) -> None:
        """The penalty is given the real and the fake samples that the discriminator learns from, without a graph."""
        g, d = game(seed)
        options: dict[str, Any] = {"steps": 2, "batch_size": 4, "latent_dim": 3, "penalty": size_penalty}
        for which, about in Training(student, g, d, points(9, seed), seed, **options).phases():
            if which == "g":
                continue
            if "penalty" not in about:
                fail("The discriminator took a step without the penalty.")
            (_, real, fake), graphs = about["penalty"]
            assert_close(real, about["real"], what="the second argument of the penalty")
            assert_close(fake, about["fake"], what="the third argument of the penalty")
            if graphs[2]:
                fail(
                    "The fake samples carry a graph, so that the discriminator's loss reaches back into the generator."
                )


def points(count: int, seed: int) -> Tensor:
    """Data for a game, all different."""
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))


def replay(
    g: nn.Module, d: nn.Module, phases: list[tuple[str, dict[str, Any]]], rate: float, betas: tuple[float, float],
) -> list[tuple[float, float]]:  # fmt: skip
    """Train on what was recorded, by torch's Adam; the two losses of each step."""
    adam = {name: torch.optim.Adam(net.parameters(), lr=rate, betas=betas) for name, net in (("g", g), ("d", d))}
    values = {"g": math.nan, "d": math.nan}
    pairs = []
    for which, about in phases:
        if which == "g":
            value = generator_loss(d(g(about["noise"])))
        else:
            value = discriminator_loss(d(about["real"]), d(about["fake"]))
            value = value + size_penalty(d, about["real"], about["fake"])
        for network in (g, d):
            network.zero_grad()
        value.backward()
        adam[which].step()
        values[which] = value.item()
        if which == "g":
            pairs.append((values["d"], values["g"]))
    return pairs


# ---- how far a generator reaches


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[Tensor, float]:
    """Modes (k, dim) that are far apart, measured by a standard deviation."""
    count, dim = draw(sizes(2, 5)), draw(sizes(2, 4))
    std = draw(st.sampled_from([0.5, 0.25, 2.0]))
    order = torch.randperm(count, generator=draw(generators()))
    return 10 * std * (order[:, None] + torch.arange(dim)) * torch.ones(1, dim), std


def direction(dim: int, generator: torch.Generator) -> Tensor:
    """A random vector of length 1."""
    return F.normalize(torch.randn(dim, generator=generator), dim=0)


@exercise("mode_coverage")
class TestModeCoverage:
    @required
    @given(mixture=mixtures(), reached=sizes(1, 4), generator=generators())
    @settings(max_examples=6)
    def test_counts_the_modes_that_are_hit(
        self, student: Any, mixture: tuple[Tensor, float], reached: int, generator: torch.Generator
    ) -> None:
        """Samples right on some of the modes cover these, and all of them are good; far from all modes none is covered."""
        modes, std = mixture
        some = modes[: min(reached, len(modes))]
        samples = some.repeat_interleave(2, dim=0)
        assert_close(tuple(student.mode_coverage(samples, modes, std)), (len(some), 1.0), what="the pair")
        assert_close(tuple(student.mode_coverage(samples - 1000 * std, modes, std)), (0, 0.0), what="the pair")

    @weight(4)
    @given(mixture=mixtures(), distances=tensors(7, low=0, high=5), generator=generators())
    @settings(max_examples=8)
    def test_good_within_three_standard_deviations(
        self, student: Any, mixture: tuple[Tensor, float], distances: Tensor, generator: torch.Generator
    ) -> None:
        """A sample is good up to three standard deviations from a mode, by Euclidean distance, and not beyond."""
        modes, std = mixture
        distances = torch.where(distances == 3, 2.875, distances)  # on the border, rounding would decide
        own = torch.randint(len(modes), (7,), generator=generator)
        away = torch.stack([direction(modes.shape[1], generator) for _ in range(7)])
        away[0] = modes.shape[1] ** -0.5  # no coordinate alone is three standard deviations off
        distances[0] = 3.5
        samples = modes[own] + std * distances[:, None] * away
        good = [i for i in range(7) if distances[i] < 3]
        expected = (len({int(own[i]) for i in good}), len(good) / 7)
        received = student.mode_coverage(samples, modes, std)
        assert_close(tuple(received), expected, what="the pair", sizes={"n": 7, "k": len(modes)})
        border = torch.tensor([[3 * std, 0.0], [0.0, -3 * std], [4 * std, 0.0], [0.0, 4 * std]])
        received = student.mode_coverage(border, torch.tensor([[0.0, 0.0], [99 * std, 0.0]]), std)
        assert_close(tuple(received), (1, 0.5), what="the pair, with two samples at just three standard deviations")

    @weight(4)
    @given(std=st.sampled_from([0.5, 1.0, 2.0]), generator=generators())
    @settings(max_examples=4)
    def test_only_the_nearest_mode_counts(self, student: Any, std: float, generator: torch.Generator) -> None:
        """Where two modes lie close together, a sample within reach of both covers the nearer one alone."""
        along = direction(3, generator)
        modes = torch.stack([0 * along, 2 * std * along, 50 * std * along])
        samples = torch.stack([0.5 * std * along, 0.75 * std * along, -0.25 * std * along])
        assert_close(tuple(student.mode_coverage(samples, modes, std)), (1, 1.0), what="the pair")

    @given(mixture=mixtures(), generator=generators())
    @settings(max_examples=4)
    def test_order_does_not_matter(
        self, student: Any, mixture: tuple[Tensor, float], generator: torch.Generator
    ) -> None:
        """The order of samples and of modes does not matter, nor does a shift of everything, nor samples that come twice."""
        modes, std = mixture
        samples = modes[:2] + 1.75 * std * torch.randn(2, modes.shape[1], generator=generator)
        once = tuple(student.mode_coverage(samples, modes, std))
        shift = 10 * std
        again = student.mode_coverage(samples.flip(0).repeat(2, 1) + shift, modes.flip(0) + shift, std)
        assert_close(tuple(again), once, what="the pair of the same samples, shuffled and shifted")

    @given(mixture=mixtures())
    @settings(max_examples=3)
    def test_gives_an_int_and_a_float(self, student: Any, mixture: tuple[Tensor, float]) -> None:
        """The number of modes is an int, the share a float."""
        modes, std = mixture
        pair = student.mode_coverage(modes[:1], modes, std)
        if not isinstance(pair, tuple) or [type(part) for part in pair] != [int, float]:
            fail(f"The result should be a pair of an int and a float, but it is {describe(pair)}.")


# ---- Wasserstein


@exercise("wasserstein_critic_loss")
class TestWassersteinCriticLoss:
    @required
    @given(real=tensors(3), fake=tensors(4))
    @settings(max_examples=4)
    def test_falls_as_the_two_are_told_apart(self, student: Any, real: Tensor, fake: Tensor) -> None:
        """It falls as the score of any real sample rises, and as the score of any generated sample falls."""
        real.requires_grad_(), fake.requires_grad_()
        loss = student.wasserstein_critic_loss(real, fake)
        assert_depends(loss, real, what="the loss", on_what="the scores of real samples")
        assert_depends(loss, fake, what="the loss", on_what="the scores of generated samples")
        by_real, by_fake = torch.autograd.grad(loss.sum(), (real, fake))
        hint = "a critic learns to score real samples high and generated ones low."
        assert_between(by_real, None, -1e-9, tolerance=0, what="the gradient for the score of a real sample", hint=hint)
        assert_between(by_fake, 1e-9, None, tolerance=0, what="the gradient for the score of a fake sample", hint=hint)

    @weight(2)
    @given(real=tensors(sizes()), fake=tensors(sizes()))
    @settings(max_examples=10)
    def test_is_the_difference_of_means(self, student: Any, real: Tensor, fake: Tensor) -> None:
        """It is the mean score of generated samples less that of real ones, here by hand."""
        expected = math.fsum(fake.tolist()) / len(fake) - math.fsum(real.tolist()) / len(real)
        loss = student.wasserstein_critic_loss(real, fake)
        counts = {"real": len(real), "fake": len(fake)}
        assert_close(loss, torch.tensor(expected), what="the loss", sizes=counts)

    @given(points=tensors(4), shift=st.sampled_from([0.5, 2.0, -1.0]))
    @settings(max_examples=4)
    def test_best_critic_measures_the_shift(self, student: Any, points: Tensor, shift: float) -> None:
        """Fake points that are the real ones, shifted, lie at that distance: what the critic D(x) = ∓x says."""
        critic = -math.copysign(1, shift)
        loss = student.wasserstein_critic_loss(critic * points, critic * (points + shift))
        assert_close(loss, torch.tensor(-abs(shift)), what="the loss of the best critic")

    @weight(2)
    @given(real=tensors(3), fake=tensors(4), scale=st.sampled_from([3.0, -2.0, 100.0]))
    @settings(max_examples=5)
    def test_is_linear_in_the_scores(self, student: Any, real: Tensor, fake: Tensor, scale: float) -> None:
        """A constant added to all scores changes nothing; scores multiplied by a number multiply the loss by it."""
        loss = student.wasserstein_critic_loss(real, fake)
        assert_scalar(loss, what="the loss")
        moved = student.wasserstein_critic_loss(scale * real + 7, scale * fake + 7)
        assert_close(moved, scale * loss, tolerance=1e-4, what=f"the loss of {scale:g} times the scores, plus 7,")


@exercise("wasserstein_generator_loss")
class TestWassersteinGeneratorLoss:
    @required
    @given(fake=tensors(3))
    @settings(max_examples=4)
    def test_falls_as_scores_rise(self, student: Any, fake: Tensor) -> None:
        """It falls as the score of any generated sample rises."""
        fake.requires_grad_()
        loss = student.wasserstein_generator_loss(fake)
        assert_depends(loss, fake, what="the loss", on_what="the scores")
        assert_between(gradient(loss.sum(), fake), None, -1e-9, tolerance=0, what="the gradient for a score")

    @weight(2)
    @given(fake=tensors(sizes()))
    @settings(max_examples=8)
    def test_is_minus_the_mean(self, student: Any, fake: Tensor) -> None:
        """It is minus the mean score, here by hand."""
        expected = torch.tensor(-math.fsum(fake.tolist()) / len(fake))
        loss = student.wasserstein_generator_loss(fake)
        assert_close(loss, expected, what="the loss", sizes={"batch": len(fake)})

    @weight(2)
    @given(fake=tensors(3), size=st.sampled_from([1.0, 100.0, 1e4]))
    @settings(max_examples=4)
    def test_never_saturates(self, student: Any, fake: Tensor, size: float) -> None:
        """In a batch of B the gradient for every score is −1/B, however high or low it is."""
        fake = (size * fake).requires_grad_()
        received = gradient(student.wasserstein_generator_loss(fake), fake)
        assert_close(received, torch.full((3,), -1 / 3), what="the gradient for the scores")


# ---- penalties on slopes


class Plane(nn.Module):
    """D(x) = slope · x, with a weight for each number of a sample."""

    def __init__(self, shape: tuple[int, ...], norm: float, generator: torch.Generator) -> None:
        super().__init__()
        slope = torch.randn(shape, generator=generator)
        self.slope = nn.Parameter(norm * slope / slope.norm())

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch,)."""
        return (x * self.slope.to(x.dtype)).flatten(1).sum(1)


class Bowl(nn.Module):
    """D(x) = scale · ‖x‖² / 2, whose slope at x is scale · x."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch,)."""
        return self.scale.to(x.dtype) * x.square().flatten(1).sum(1) / 2


class Kink(nn.Module):
    """D(x) = scale · max(0, the first number of x): a slope of scale on one side of 0, and none on the other."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch,)."""
        first = x.flatten(1)[:, 0]
        return self.scale.to(x.dtype) * first * (first > 0)


class Spy(nn.Module):
    """A critic that notes where it is asked."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """What the critic says."""
        self.asked.append(x.detach().clone())
        return self.critic(x)

    def points(self, count: int) -> Tensor:
        """All points, one for each sample.

        Raises:
            PropertyFailed: there is another number of them.
        """
        found = torch.cat(self.asked) if self.asked else torch.zeros(0)
        if len(found) != count:
            fail(
                f"For {count} pairs of samples the critic should be asked at {count} points, but it was at {len(found)}."
            )
        return found


@st.composite
def penalty_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `gradient_penalty`."""
    shape = (draw(sizes(1, 4)), *draw(st.sampled_from(DATA_SHAPES)))
    return (Bowl(0.5), draw(tensors(shape)), draw(tensors(shape))), {"rng": draw(generators())}


def ways(student: Any, count: int, width: int, seed: int) -> Tensor:
    """How far along the way from fake to real each number of x̂ lies: (count, width).

    Raises:
        PropertyFailed: a second call with an equal rng asks the critic elsewhere.
    """
    generator = torch.Generator().manual_seed(seed)
    fake = torch.randn(count, width, generator=generator)
    real = fake + 1 + torch.rand(count, width, generator=generator)
    spies = Spy(Bowl(1.0)), Spy(Bowl(1.0))
    for spy in spies:
        student.gradient_penalty(spy, real, fake, rng=torch.Generator().manual_seed(seed))
    points = spies[0].points(count)
    assert_close(spies[1].points(count), points, what="where a second call with an equal rng asks the critic")
    return (points - fake) / (real - fake)


@exercise("gradient_penalty", contract=False)
class TestGradientPenalty:
    @required
    @given(norm=st.sampled_from([8.0, 10.0, 12.0]), seed=st.integers(0, 1000))
    @settings(max_examples=5)
    def test_steep_critics_pay(self, student: Any, norm: float, seed: int) -> None:
        """A critic of a large slope pays more than one of slope 1, and can learn from it."""
        generator = torch.Generator().manual_seed(seed)
        real, fake = torch.randn(2, 3, 4, generator=generator)
        gentle, steep = Plane((4,), 1.0, generator), Plane((4,), norm, generator)
        low, high = (student.gradient_penalty(critic, real, fake) for critic in (gentle, steep))
        assert_depends(
            high, steep.slope, what="the penalty", on_what="the critic's weights",
            hint="the slope is itself a result that is to be differentiated: its graph has to be kept.",
        )  # fmt: skip
        if not high.sum() > low.sum() + 0.5:
            fail(f"A slope of {norm:g} costs {describe(high)}, a slope of 1 costs {describe(low)}.")

    @weight(2)
    @given(
        shape=st.sampled_from(DATA_SHAPES),
        batch=sizes(1, 4),
        norm=st.sampled_from([0.5, 2.0, 3.0]),
        double=st.booleans(),
        seed=st.integers(0, 1000),
    )
    @settings(max_examples=12)
    def test_flat_critics(
        self, student: Any, shape: tuple[int, ...], batch: int, norm: float, double: bool, seed: int
    ) -> None:
        """For a critic of the same slope c everywhere it is (c − 1)², whatever the shape of the samples and their number."""
        generator = torch.Generator().manual_seed(seed)
        real, fake = torch.randn(2, batch, *shape, generator=generator).to(torch.float64 if double else torch.float32)
        critic = Plane(shape, norm, generator)
        penalty = student.gradient_penalty(critic, real, fake, rng=generator)
        hint = "the norm is over all numbers of a sample, and the mean over samples."
        expected = torch.tensor((norm - 1) ** 2, dtype=real.dtype)
        assert_close(penalty, expected, tolerance=1e-4, what="the penalty", hint=hint, sizes={"batch": batch})

    @weight(2)
    @given(call=penalty_calls(), scale=st.sampled_from([0.5, 1.0, 2.0]))
    @settings(max_examples=8)
    def test_each_sample_has_its_own_slope(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], scale: float
    ) -> None:
        """Where slopes differ it is the mean of what each sample's slope at its own point costs, here one by one."""
        (_, real, fake), options = call
        spy = Spy(Bowl(scale))
        penalty = student.gradient_penalty(spy, real, fake, **options)
        slopes = [scale * point.norm().item() for point in spy.points(len(real))]
        expected = torch.tensor(math.fsum((slope - 1) ** 2 for slope in slopes) / len(slopes))
        assert_close(penalty, expected, tolerance=1e-3, what="the penalty", sizes={"batch": len(real)})

    @weight(3)
    @given(shape=st.sampled_from(DATA_SHAPES), batch=sizes(3, 6), graph=st.booleans(), seed=st.integers(0, 1000))
    @settings(max_examples=6)
    def test_between_real_and_fake(
        self, student: Any, shape: tuple[int, ...], batch: int, graph: bool, seed: int
    ) -> None:
        """The critic is asked on the line from each fake sample to its real one, at a place that is another for each."""
        generator = torch.Generator().manual_seed(seed)
        fake = torch.randn(batch, *shape, generator=generator)
        real = fake + 1 + torch.rand(batch, *shape, generator=generator)
        spy = Spy(Bowl(1.0))
        student.gradient_penalty(spy, real, 1 * fake.clone().requires_grad_() if graph else fake, rng=generator)
        way = ((spy.points(batch) - fake) / (real - fake)).flatten(1)
        assert_close(way, way[:, :1].expand_as(way), tolerance=1e-3, what="the part of the way, for each number,",
                     hint="all numbers of a sample go the same part of the way.")  # fmt: skip
        assert_between(way, 0, 1, tolerance=1e-4, what="the part of the way from the fake to the real sample")
        if (way[:, 0] - way[0, 0]).abs().max() < 1e-4:
            fail(f"All {batch} samples go the same part of the way, {way[0, 0].item():.4f}: each needs its own ε.")

    @weight(3)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_uniform(self, student: Any, seed: int) -> None:
        """ε is uniform on [0, 1): one number for each sample, its mean ½, its variance 1/12, and drawn from rng."""
        way = ways(student, 100, 2, seed)
        assert_close(way[:, 0], way[:, 1], tolerance=1e-3, what="how far the first number of each sample goes")
        epsilon = way[:, 0].double()
        # Six standard errors for 100 samples.
        assert_between(epsilon.mean(), 0.5 - 0.174, 0.5 + 0.174, what="the mean of ε")
        assert_between((epsilon - 0.5).square().mean(), 1 / 12 - 0.045, 1 / 12 + 0.045, what="the variance of ε")

    @weight(3)
    @given(
        kind=st.sampled_from(["plane", "bowl", "kink"]),
        scale=st.sampled_from([0.5, 2.0, 3.0]),
        seed=st.integers(0, 1000),
    )
    @settings(max_examples=9)
    def test_derivative_for_the_critic(self, student: Any, kind: str, scale: float, seed: int) -> None:
        """Its derivative by the critic's scale is the mean of 2 (slope − 1) slope / scale: the graph leads through slopes."""
        generator = torch.Generator().manual_seed(seed)
        real, fake = torch.randn(2, 4, 2, 3, generator=generator)
        if kind == "plane":
            critic: Any = Plane((2, 3), scale, generator)
        else:
            critic = Bowl(scale) if kind == "bowl" else Kink(scale)
            # Some on this side of the kink, some on that.
            real[:, 0, 0], fake[:, 0, 0] = torch.tensor([[1.0, -2.0, 0.5, -1.0], [2.0, -0.5, 1.0, -2.0]])
        spy = Spy(critic)
        penalty = student.gradient_penalty(spy, real, fake, rng=generator)
        assert_scalar(penalty, what="the penalty")
        if not penalty.requires_grad:
            fail("No gradient flows from the penalty to the critic's weights: the slope was computed without a graph.")
        points = spy.points(4).flatten(1)
        slopes = {
            "plane": torch.full((4,), scale),
            "bowl": scale * points.norm(dim=1),
            "kink": scale * (points[:, 0] > 0),
        }[kind]
        expected = (2 * (slopes - 1) * slopes / scale).mean()
        (weights,) = critic.parameters()
        received = gradient(penalty, weights)
        if kind == "plane":
            received = (received * weights.detach()).sum() / scale
        assert_close(received, expected, tolerance=1e-3, what="the derivative of the penalty by the critic's scale")

    @weight(3)
    @given(shape=st.sampled_from(DATA_SHAPES), seed=st.integers(0, 1000))
    @settings(max_examples=4)
    def test_level_critics(self, student: Any, shape: tuple[int, ...], seed: int) -> None:
        """A critic without any slope pays 1, and the gradients for its weights are finite."""
        generator = torch.Generator().manual_seed(seed)
        real, fake = torch.randn(2, 3, *shape, generator=generator)
        critic = Bowl(0.0)
        penalty = student.gradient_penalty(critic, real, fake, rng=generator)
        assert_close(penalty, torch.tensor(1.0), tolerance=1e-3, what="the penalty of a critic that is 0 everywhere")
        if not penalty.requires_grad:
            fail("No gradient flows from the penalty to the critic's weights: the slope was computed without a graph.")
        assert_finite(
            gradient(penalty, critic.scale), what="the gradient with respect to the critic's weight",
            hint="the square root has no derivative at 0.",
        )  # fmt: skip

    @weight(3)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=3)
    def test_the_rng_decides(self, student: Any, seed: int) -> None:
        """Equal generators of random numbers give the same points, another gives others."""
        here, there = ways(student, 4, 3, seed), ways(student, 4, 3, seed)
        assert_close(there, here, tolerance=1e-4, what="the part of the way with an equal rng")
        generator = torch.Generator().manual_seed(0)
        real, fake = torch.randn(2, 4, 3, generator=generator)
        spies = []
        for own in (seed, seed + 1):
            spies.append(Spy(Bowl(1.0)))
            student.gradient_penalty(spies[-1], real, fake, rng=torch.Generator().manual_seed(own))
        first, second = (spy.points(4) for spy in spies)
        if torch.allclose(first, second):
            fail("With another rng the critic is asked at the same points: is ε drawn from it?")


@st.composite
def r1_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `r1_penalty`."""
    return (Bowl(0.5), draw(tensors((draw(sizes(1, 4)), *draw(st.sampled_from(DATA_SHAPES)))))), {}


@exercise("r1_penalty", contract=r1_calls())
class TestR1Penalty:
    @required
    @given(norm=st.sampled_from([1.0, 2.0, 3.0]), seed=st.integers(0, 1000))
    @settings(max_examples=5)
    def test_steep_discriminators_pay(self, student: Any, norm: float, seed: int) -> None:
        """A discriminator of twice the slope pays more, and can learn from it."""
        generator = torch.Generator().manual_seed(seed)
        real = torch.randn(3, 4, generator=generator)
        gentle, steep = Plane((4,), norm, generator), Plane((4,), 2 * norm, generator)
        low, high = (student.r1_penalty(discriminator, real) for discriminator in (gentle, steep))
        assert_depends(
            high, steep.slope, what="the penalty", on_what="the discriminator's weights",
            hint="the slope is itself a result that is to be differentiated: its graph has to be kept.",
        )  # fmt: skip
        if not high.sum() > low.sum() + 0.5:
            fail(f"A slope of {2 * norm:g} costs {describe(high)}, a slope of {norm:g} costs {describe(low)}.")

    @weight(3)
    @given(
        shape=st.sampled_from(DATA_SHAPES),
        batch=sizes(1, 4),
        norm=st.sampled_from([0.5, 1.0, 3.0]),
        gamma=st.sampled_from([1.0, 4.0, 10.0]),
        seed=st.integers(0, 1000),
    )
    @settings(max_examples=10)
    def test_flat_discriminators(
        self, student: Any, shape: tuple[int, ...], batch: int, norm: float, gamma: float, seed: int
    ) -> None:
        """For a discriminator of the same slope c everywhere it is γ/2 · c², whatever the shape of the samples."""
        generator = torch.Generator().manual_seed(seed)
        real = torch.randn(batch, *shape, generator=generator)
        penalty = student.r1_penalty(Plane(shape, norm, generator), real, gamma)
        expected = torch.tensor(gamma / 2 * norm**2)
        assert_close(penalty, expected, tolerance=1e-4, what="the penalty", sizes={"batch": batch})

    @weight(2)
    @given(
        shape=st.sampled_from(DATA_SHAPES),
        batch=sizes(1, 4),
        scale=st.sampled_from([0.5, 1.0, 2.0]),
        seed=st.integers(0, 1000),
    )
    @settings(max_examples=6)
    def test_at_the_real_samples(
        self, student: Any, shape: tuple[int, ...], batch: int, scale: float, seed: int
    ) -> None:
        """The slope is taken at the real samples themselves, and each sample has its own; γ is 10 unless said otherwise."""
        real = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed))
        penalty = student.r1_penalty(Bowl(scale), real)
        expected = torch.tensor(5 * math.fsum((scale * x.norm().item()) ** 2 for x in real) / batch)
        assert_close(penalty, expected, tolerance=1e-3, what="the penalty", sizes={"batch": batch})

    @weight(2)
    @given(scale=st.sampled_from([0.5, 2.0, 3.0]), gamma=st.sampled_from([1.0, 6.0]), seed=st.integers(0, 1000))
    @settings(max_examples=5)
    def test_derivative_for_the_discriminator(self, student: Any, scale: float, gamma: float, seed: int) -> None:
        """Its derivative by the discriminator's scale is twice the penalty, divided by the scale."""
        real = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(seed))
        discriminator = Bowl(scale)
        penalty = student.r1_penalty(discriminator, real, gamma=gamma)
        assert_scalar(penalty, what="the penalty")
        expected = gamma * scale * real.square().flatten(1).sum(1).mean()
        received = gradient(penalty, discriminator.scale)
        assert_close(received, expected, tolerance=1e-3, what="the derivative by the discriminator's scale")

    @given(scale=st.sampled_from([0.5, 2.0]), seed=st.integers(0, 1000))
    @settings(max_examples=3)
    def test_no_slope_no_price(self, student: Any, scale: float, seed: int) -> None:
        """Where the discriminator is level a sample pays nothing, and gradients are finite."""
        real = torch.rand(4, 3, generator=torch.Generator().manual_seed(seed)) + 0.1
        real[1:] *= -1
        discriminator = Kink(scale)
        penalty = student.r1_penalty(discriminator, real, 8.0)
        assert_close(
            penalty, torch.tensor(scale**2), tolerance=1e-3, what="the penalty with one sloping sample of four"
        )
        received = gradient(penalty, discriminator.scale)
        assert_close(received, torch.tensor(2 * scale), tolerance=1e-3, what="the derivative by the scale")


# ---- spectral normalisation, feature matching


def matrix(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A matrix whose largest singular value stands well apart from the others."""
    u, v = direction(rows, generator), direction(columns, generator)
    return 3 * torch.outer(u, v) + torch.randn(rows, columns, generator=generator) / 4


@st.composite
def spectral_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `spectral_normalize`."""
    rows, rest = draw(sizes(1, 4)), draw(st.sampled_from([(3,), (2, 3, 3), (4, 1, 1)]))
    generator = draw(generators())
    return (matrix(rows, math.prod(rest), generator).view(rows, *rest), direction(rows, generator)), {}


@exercise("spectral_normalize", contract=spectral_calls())
class TestSpectralNormalize:
    @required
    @given(rows=sizes(2, 5), columns=sizes(2, 5), generator=generators())
    @settings(max_examples=5)
    def test_only_the_length_changes(self, student: Any, rows: int, columns: int, generator: torch.Generator) -> None:
        """The result is the weight times one number, which shrinks as the weight grows; gradients flow back to the weight."""
        w = matrix(rows, columns, generator).requires_grad_()
        u = direction(rows, generator)
        result, other = pair(student.spectral_normalize(w, u)), pair(student.spectral_normalize(5 * w, u))
        assert_shape(result[0], (rows, columns), what="the normalised weight")
        factor = (result[0] / w).detach()
        assert_close(factor, factor[:1, :1].expand_as(w), tolerance=1e-3, what="result / weight, element by element,")
        assert_close(detached(other[0]), detached(result[0]), tolerance=1e-3, what="the result for 5 times the weight")
        assert_depends(result[0], w, what="the normalised weight", on_what="the weight")

    @weight(2)
    @given(rows=sizes(2, 4), rest=st.sampled_from([(3,), (2, 3, 3), (3, 1, 2)]), generator=generators())
    @settings(max_examples=6)
    def test_largest_singular_value_becomes_one(
        self, student: Any, rows: int, rest: tuple[int, ...], generator: torch.Generator
    ) -> None:
        """After many steps the largest singular value is 1, by torch.linalg, and u is its left singular vector."""
        w = matrix(rows, math.prod(rest), generator)
        result, u = pair(student.spectral_normalize(w.view(rows, *rest), direction(rows, generator), steps=60))
        assert_shape(result, (rows, *rest), what="the normalised weight")
        values = torch.linalg.svdvals(result.detach().flatten(1))
        assert_close(values[0], torch.tensor(1.0), tolerance=1e-3, what="the largest singular value of the result")
        left, _, _ = torch.linalg.svd(w)
        assert_shape(u, (rows,), what="u")
        assert_close(
            (u @ left[:, 0]).abs(), torch.tensor(1.0), tolerance=1e-3, what="the overlap of u with the singular vector"
        )

    @weight(2)
    @given(call=spectral_calls(), steps=st.integers(1, 3))
    @settings(max_examples=8)
    def test_step_by_step(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], steps: int) -> None:
        """After n steps u points along (W Wᵀ)ⁿ u, and the weight is divided by uᵀWv, here by powers of a matrix."""
        (w, u), _ = call
        result, received = pair(student.spectral_normalize(w, u, steps))
        square = w.flatten(1).double() @ w.flatten(1).double().T
        before = F.normalize(torch.linalg.matrix_power(square, steps - 1) @ u.double(), dim=0)
        expected = F.normalize(square @ before, dim=0)
        assert_close(received, expected.float(), tolerance=1e-3, what="the last u", sizes={"steps": steps})
        # v is Wᵀ(before) / ‖Wᵀ(before)‖, and σ = uᵀWv is then the length of Wv.
        sigma = (square @ before).norm() / (before @ square @ before).sqrt()
        assert_close(result, (w / sigma).float(), tolerance=1e-3, what="the normalised weight", sizes={"steps": steps})

    @weight(4)
    @given(rows=sizes(2, 4), columns=sizes(2, 4), steps=st.integers(1, 2), generator=generators())
    @settings(max_examples=5)
    def test_gradient(self, student: Any, rows: int, columns: int, steps: int, generator: torch.Generator) -> None:
        """Its gradient is that of W / uᵀWv for constant u and v: growing along uvᵀ, which is divided out, changes nothing."""
        w, start = matrix(rows, columns, generator).requires_grad_(), direction(rows, generator)
        result, u = pair(student.spectral_normalize(w, start, steps))
        if u.requires_grad:
            fail("The last u carries a graph: the next call would differentiate through this one.")
        growth = torch.randn(rows, columns, generator=generator)
        received = gradient((result * growth).sum(), w)
        plain, g = w.detach().double(), growth.double()
        v = F.normalize(plain.T @ torch.linalg.matrix_power(plain @ plain.T, steps - 1) @ start.double(), dim=0)
        sigma = (plain @ v).norm()
        expected = g / sigma - (g * plain).sum() / sigma**2 * torch.outer(plain @ v / sigma, v)
        assert_close(received, expected.float(), tolerance=5e-3, what="the gradient with respect to the weight")

    @weight(3)
    @given(call=spectral_calls())
    @settings(max_examples=5)
    def test_goes_on_where_it_stopped(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Two calls of one step each, the second from the first one's u, are one call of two steps."""
        (w, u), _ = call
        _, first = pair(student.spectral_normalize(w, u, steps=1))
        result, last = pair(student.spectral_normalize(w, first, steps=1))
        at_once, u_at_once = pair(student.spectral_normalize(w, u, steps=2))
        assert_close(at_once, result, tolerance=1e-4, what="the normalised weight after two steps at once")
        assert_close(u_at_once, last, tolerance=1e-4, what="u after two steps at once")
        assert_close(last.norm(), torch.tensor(1.0), tolerance=1e-4, what="the length of u")


def pair(value: Any) -> tuple[Tensor, Tensor]:
    """A pair of tensors; fails if it is none."""
    if not isinstance(value, tuple | list) or len(value) != 2 or not all(isinstance(part, Tensor) for part in value):
        fail(f"The result should be a pair of tensors, but it is {describe(value)}.")
    return value[0], value[1]


def detached(value: Any) -> Any:
    """A tensor cut off from its graph; anything else as it is, for assert_close to refuse."""
    return value.detach() if isinstance(value, Tensor) else value


@st.composite
def feature_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `feature_matching_loss`."""
    shape = draw(st.sampled_from(DATA_SHAPES))
    return (draw(tensors((draw(sizes()), *shape))), draw(tensors((draw(sizes()), *shape)))), {}


@exercise("feature_matching_loss", contract=feature_calls())
class TestFeatureMatchingLoss:
    @required
    @given(real=tensors((3, 2)), seed=st.integers(0, 1000))
    @settings(max_examples=5)
    def test_zero_if_the_means_agree(self, student: Any, real: Tensor, seed: int) -> None:
        """It is 0 where the two means are the same, and positive elsewhere, with a gradient for the generated features."""
        shift = 1 + torch.rand(2, generator=torch.Generator().manual_seed(seed))
        same = student.feature_matching_loss(real, real.flip(0))
        assert_close(same, torch.tensor(0.0), what="the loss of features with the same mean")
        fake = (real + shift).requires_grad_()
        loss = student.feature_matching_loss(real, fake)
        assert_depends(loss, fake, what="the loss", on_what="the generated features")
        assert_between(loss, 0.1, what="the loss of features whose means differ by more than 1")

    @weight(3)
    @given(shape=st.sampled_from([(2,), (3, 2), (2, 3, 2)]), counts=st.tuples(sizes(), sizes()), generator=generators())
    @settings(max_examples=8)
    def test_is_the_squared_distance_of_the_means(
        self, student: Any, shape: tuple[int, ...], counts: tuple[int, int], generator: torch.Generator
    ) -> None:
        """It is the sum over all features of the squared difference of two means, whatever the features' shape."""
        real, fake = (torch.randn(count, *shape, generator=generator) for count in counts)
        centres = [batch.flatten(1).double().mean(0).tolist() for batch in (real, fake)]
        expected = torch.tensor(math.dist(*centres) ** 2)
        names = {"real": counts[0], "fake": counts[1], "features": math.prod(shape)}
        loss = student.feature_matching_loss(real, fake)
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes=names)

    @weight(2)
    @given(real=tensors((3, 4)), fake=tensors((2, 4)), scale=st.sampled_from([2.0, 3.0]))
    @settings(max_examples=4)
    def test_moves_with_the_features(self, student: Any, real: Tensor, fake: Tensor, scale: float) -> None:
        """A shift of all features changes nothing, nor does their order; features times c cost c² times as much."""
        once = student.feature_matching_loss(real, fake)
        assert_scalar(once, what="the loss")
        moved = student.feature_matching_loss(scale * real.flip(0) + 3, scale * fake.flip(0) + 3)
        assert_close(moved, scale**2 * once, tolerance=1e-3, what=f"the loss of {scale:g} times the features, plus 3,")

    @weight(3)
    @given(real=tensors((3, 2)), fake=tensors((4, 2)), copies=st.integers(2, 3))
    @settings(max_examples=4)
    def test_features_given_twice(self, student: Any, real: Tensor, fake: Tensor, copies: int) -> None:
        """Each feature given several times costs several times as much; images given several times change nothing."""
        once = student.feature_matching_loss(real, fake)
        assert_scalar(once, what="the loss")
        wide = student.feature_matching_loss(real.repeat(1, copies), fake.repeat(1, copies))
        assert_close(wide, copies * once, tolerance=1e-4, what=f"the loss with each feature {copies} times")
        more = student.feature_matching_loss(real.repeat(copies, 1), fake)
        assert_close(more, once, tolerance=1e-4, what=f"the loss with each real image {copies} times")


# ---- networks for images


def multiply(module: nn.Module, names: list[str], factor: float) -> None:
    """Multiply some parameters by a number."""
    with torch.no_grad():
        for name in names:
            parameter = module.get_parameter(name)
            parameter.copy_(factor * parameter)


def weights_of(module: nn.Module) -> list[str]:
    """The names of all parameters with two or more dimensions."""
    return [name for name, parameter in module.named_parameters() if parameter.ndim > 1]


def enlarge(module: nn.Module, generator: torch.Generator, scale: float) -> None:
    """Draw all weights anew from N(0, scale²); biases and batch normalisation stay as they are."""
    with torch.no_grad():
        for name in weights_of(module):
            parameter = module.get_parameter(name)
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def assert_starts_as_promised(module: nn.Module) -> None:
    """Check that weights are draws from N(0, 0.02²), biases and shifts 0, scales about 1.

    Raises:
        PropertyFailed: they are not.
    """
    count = 0
    for name, parameter in module.named_parameters():
        values, n = parameter.detach().double(), parameter.numel()
        if values.ndim > 1:
            count += n
            spread = f"the standard deviation of the {n} numbers of {name}"
            assert_between(values.mean(), -0.12 / n**0.5, 0.12 / n**0.5, tolerance=0, what=f"the mean of {name}")
            if n >= 30:
                slack = 0.12 / (2 * n) ** 0.5  # six standard errors
                root = values.square().mean().sqrt()
                assert_between(root, 0.02 - slack, 0.02 + slack, tolerance=0, what=spread)
        elif values.any():
            what = f"a number in {name}, which is no bias and no shift, since those start at 0"
            assert_between(values, 0.85, 1.15, what=what)
    if count < 100:
        fail(f"The network has only {count} weights. Are all of its layers registered?")


@exercise("DCGANGenerator", contract=False)
class TestDCGANGenerator:
    @required
    @given(generator=generators())
    @settings(max_examples=2)
    def test_depends_on_code_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """The images change with the code, and with the network's weights."""
        network = student.DCGANGenerator(3, 1, 8, width=4)
        z = torch.randn(4, 3, generator=generator, requires_grad=True)
        images = network(z)
        assert_depends(images, z, what="the images", on_what="the code")
        assert_parameters_matter(images, network, what="the images")

    @given(latent=sizes(), channels=sizes(1, 3), size=st.sampled_from([8, 16, 32]), batch=sizes(1, 3))
    @settings(max_examples=4)
    def test_shape(self, student: Any, latent: int, channels: int, size: int, batch: int) -> None:
        """Codes (batch, latent_dim) become images (batch, channels, size, size), whatever these sizes are."""
        images = student.DCGANGenerator(latent, channels, size, width=2).eval()(torch.zeros(batch, latent))
        assert_shape(images, (batch, channels, size, size), what="the images")

    @weight(7)
    @given(size=st.sampled_from([8, 16]), generator=generators())
    @settings(max_examples=3)
    def test_layers(self, student: Any, size: int, generator: torch.Generator) -> None:
        """Batch normalisation and ReLU follow every layer but the last, and tanh follows that."""
        network = student.DCGANGenerator(3, 1, size, width=4).train()
        names = weights_of(network)
        if len(names) < 2:
            fail(f"The network should have a hidden layer and a last one, but it has {len(names)} weights in all.")
        enlarge(network, generator, 0.5)
        z = torch.randn(6, 3, generator=generator)
        images = network(z)
        assert_between(images, -1, 1, what="a pixel", hint="after the last layer comes tanh.")
        # What is normalised does not grow with its weights: all but the last layer's.
        moved = []
        for name in names:
            multiply(network, [name], 3.0)
            if (network(z) - images).abs().max() > 0.05:
                moved.append(name)
            multiply(network, [name], 1 / 3)
        if not moved:
            fail("No weight changes the images when it is multiplied by 3: is the last layer normalised, too?")
        if len(moved) > 1:
            fail("Several weights change the images when they are multiplied by 3, each of them alone.",
                 "Hint: behind batch normalisation that changes nothing; it follows every layer but the last.")  # fmt: skip
        maps = sorted(network.get_parameter(moved[0]).shape[:2])
        if maps != [1, 4]:
            fail(f"With channels=1 and width=4 the last layer should go from 4 feature maps to 1, but it has {maps}.")
        # Of two last layers with opposite weights, one at least makes dark pixels, unless a sigmoid follows instead of tanh.
        multiply(network, moved, -1.0)
        low = min(images.min().item(), network(z).min().item())
        if not low < -0.5:
            fail(f"Large weights give no pixel below {low:.2f}: they should come near to −1 and 1.")
        others = z[3:].clone().requires_grad_()
        together = network(torch.cat([z[:3], others]))
        hint = "batch normalisation measures a feature map over all images of a batch."
        assert_depends(
            together[:3],
            others,
            what="the first half of the batch, in training mode,",
            on_what="the other codes",
            hint=hint,
        )
        # Shifted far below 0, everything that ReLU lets through is 0: the code is not seen any more.
        network = student.DCGANGenerator(3, 1, size, width=4).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim == 1 and parameter.numel() > 1 and not parameter.any():
                    parameter.fill_(-50.0)
        z.requires_grad_()
        hint = "it lets through what is negative: ReLU does not."
        assert_independent(network(z), z, tolerance=0, what="the image, with batch normalisation shifted far below 0,",
                           of_what="the code", hint=hint)  # fmt: skip

    @weight(7)
    @given(size=st.sampled_from([8, 16]), channels=sizes(1, 3))
    @settings(max_examples=3)
    def test_initialisation(self, student: Any, size: int, channels: int) -> None:
        """Weights start as draws from N(0, 0.02²), biases and shifts at 0, scales around 1; two networks start differently."""
        networks = [student.DCGANGenerator(16, channels, size, width=16) for _ in range(2)]
        assert_starts_as_promised(networks[0])
        first, second = (network.get_parameter(weights_of(network)[0]).detach() for network in networks)
        if torch.equal(first, second):
            fail("Two networks start from the same weights: they should be drawn at random.")

    @weight(7)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_evaluation(self, student: Any, generator: torch.Generator) -> None:
        """In evaluation mode each image is made by itself, and a second network that loads the state makes the same."""
        first, second = (student.DCGANGenerator(3, 2, 8, width=4) for _ in range(2))
        enlarge(first, generator, 0.5)
        z = torch.randn(4, 3, generator=generator)
        with torch.no_grad():
            first.train()(z)
        assert_rows_apart(first.eval(), z, what="the images")
        assert_state_is_complete(first, second, lambda network: network(z))


@exercise("DCGANDiscriminator", contract=False)
class TestDCGANDiscriminator:
    @required
    @given(generator=generators())
    @settings(max_examples=2)
    def test_depends_on_image_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """The logits change with the image, and with the network's weights."""
        network = student.DCGANDiscriminator(1, 8, width=4)
        enlarge(network, generator, 0.3)
        images = torch.randn(4, 1, 8, 8, generator=generator, requires_grad=True)
        logits = network(images)
        assert_depends(logits, images, what="the logits", on_what="the images")
        assert_parameters_matter(logits, network, what="the logits")

    @weight(0.5)
    @given(channels=sizes(1, 3), size=st.sampled_from([8, 16, 32]), batch=sizes(1, 3), norm=st.booleans())
    @settings(max_examples=4)
    def test_shape(self, student: Any, channels: int, size: int, batch: int, norm: bool) -> None:
        """Images (batch, channels, size, size) become logits (batch,), and features (batch, features)."""
        network = student.DCGANDiscriminator(channels, size, width=2, batch_norm=norm).eval()
        images = torch.zeros(batch, channels, size, size)
        assert_shape(network(images), (batch,), what="the logits")
        features = network.features(images)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != batch:
            fail(
                f"The features of {batch} images should be a tensor (batch, features), but they are {describe(features)}."
            )

    @weight(8)
    @given(size=st.sampled_from([16, 32]), generator=generators())
    @settings(max_examples=2)
    def test_layers(self, student: Any, size: int, generator: torch.Generator) -> None:
        """Leaky ReLU of slope 0.2 follows each convolution; in all layers but the first, batch normalisation stands between."""
        x = torch.randn(6, 3, size, size, generator=generator)
        plain = student.DCGANDiscriminator(3, size, width=4, batch_norm=False).train()
        normed = student.DCGANDiscriminator(3, size, width=4, batch_norm=True).train()
        for network in (plain, normed):
            enlarge(network, generator, 0.3)
            kernels = convolutions(network)
            if len(kernels) < 2:
                fail(f"The network should have two or more convolutions, but {len(kernels)} are registered.")
            assert_leaky(network, kernels, x)
        assert_rows_apart(plain, x, what="the logits of a network without batch normalisation, in training mode,")
        before = normed.features(x).detach()
        for name in convolutions(normed):
            kernel = normed.get_parameter(name)
            with torch.no_grad():
                kernel[0] *= 3
            changed = bool((normed.features(x).detach() - before).abs().max() > 0.01)
            with torch.no_grad():
                kernel[0] /= 3
            first = kernel.shape[1] == 3
            if first and len(kernel) != 4:
                fail(f"With width=4 the first layer should have 4 feature maps, but it has {len(kernel)}.")
            if first and not changed:
                fail("Three times the weight of a map in the first layer changes nothing: is that layer normalised?")
            if changed and not first:
                fail("Three times the weight of a map in a later layer changes the features.",
                     "Hint: behind batch normalisation it would change nothing.")  # fmt: skip
        others = x[1:].clone().requires_grad_()
        together = normed.features(torch.cat([x[:1], others]))
        hint = "batch normalisation measures a feature map over all images of a batch."
        assert_depends(together[0], others, what="the first image's features, in training mode,",
                       on_what="the other images", hint=hint)  # fmt: skip

    @weight(8)
    @given(size=st.sampled_from([8, 16]), channels=sizes(1, 3), norm=st.booleans())
    @settings(max_examples=3)
    def test_initialisation(self, student: Any, size: int, channels: int, norm: bool) -> None:
        """Weights start as draws from N(0, 0.02²), biases and shifts at 0, scales around 1; two networks start differently."""
        networks = [student.DCGANDiscriminator(channels, size, width=16, batch_norm=norm) for _ in range(2)]
        assert_starts_as_promised(networks[0])
        first, second = (network.get_parameter(weights_of(network)[0]).detach() for network in networks)
        if torch.equal(first, second):
            fail("Two networks start from the same weights: they should be drawn at random.")

    @weight(8)
    @given(norm=st.booleans(), generator=generators())
    @settings(max_examples=3)
    def test_logit_is_linear_in_the_features(self, student: Any, norm: bool, generator: torch.Generator) -> None:
        """Each logit is one linear function of its image's features, and may be any real number."""
        network = student.DCGANDiscriminator(1, 8, width=2, batch_norm=norm).eval()
        images, ends = 2 * torch.randn(300, 1, 8, 8, generator=generator), []
        for _ in range(4):  # one network may like every image
            enlarge(network, generator, 0.5)
            with torch.no_grad():
                logits, features = network(images), network.features(images)
            ends += [logits.min().item(), logits.max().item()]
        assert_shape(logits, (300,), what="the logits")
        if features.shape[1] > 250:
            fail(
                f"The last grid of an image of 8 × 8 at width=2 should have few features, but it has {features.shape[1]}."
            )
        low, high = min(ends), max(ends)
        if low > -0.1 or high < 0.1 or (low > -1 and high < 1):
            fail(f"The logits of networks with large weights lie between {low:.3g} and {high:.3g}:",
                 "a logit may be any real number. Does a sigmoid follow the last layer?")  # fmt: skip
        columns = torch.cat([features, torch.ones(300, 1)], dim=1).double()
        fitted = columns @ torch.linalg.lstsq(columns, logits.double()[:, None], driver="gelsd").solution
        hint = "`forward` makes the logit of what `features` returns, by one linear layer."
        assert_close(
            logits.double(), fitted[:, 0], tolerance=2e-3, what="the logit, against the best linear fit,", hint=hint
        )

    @weight(0.5)
    @given(norm=st.booleans(), generator=generators())
    @settings(max_examples=2)
    def test_evaluation(self, student: Any, norm: bool, generator: torch.Generator) -> None:
        """In evaluation mode each image is scored by itself, and a second network that loads the state gives equal logits."""
        first, second = (student.DCGANDiscriminator(2, 8, width=4, batch_norm=norm) for _ in range(2))
        enlarge(first, generator, 0.3)
        images = torch.randn(4, 2, 8, 8, generator=generator)
        with torch.no_grad():
            first.train()(images)
        assert_rows_apart(first.eval(), images, what="the logits")
        assert_state_is_complete(first, second, lambda network: network(images))


def convolutions(network: nn.Module) -> list[str]:
    """The names of all kernels."""
    return [name for name, parameter in network.named_parameters() if parameter.ndim == 4]


def assert_leaky(network: Any, kernels: list[str], x: Tensor) -> None:
    """Check that some kernel, the last one, turns a feature of v > 0 into one of −0.2 v when its sign is flipped.

    Raises:
        PropertyFailed: none does.
    """
    before = network.features(x).detach()
    slopes = []
    for name in kernels:
        multiply(network, [name], -1.0)
        after = network.features(x).detach()
        multiply(network, [name], -1.0)
        clear = before > 0.05
        ratio = -(after / before)[clear]
        if len(ratio) and (ratio - ratio[0]).abs().max() < 1e-2:
            slopes.append(ratio[0].item())
    if not slopes:
        fail("Features should be what leaky ReLU makes of the last convolution, but no sign of a convolution's weight",
             "turns every positive feature into a negative one of a fixed part of its size.")  # fmt: skip
    if not any(abs(slope - 0.2) < 0.01 for slope in slopes):
        fail(f"The slope of the nonlinearity below 0 should be 0.2, but it is {slopes[-1]:.2f}.")


@exercise("ConditionalGenerator", contract=False)
class TestConditionalGenerator:
    @required
    @given(generator=generators())
    @settings(max_examples=3)
    def test_depends_on_code_and_class(self, student: Any, generator: torch.Generator) -> None:
        """The images change with the code, and with numbers that the network has learned of the class."""
        network = conditional(student, nn.Identity(), 3, 2, generator)
        z = torch.randn(3, 4, generator=generator, requires_grad=True)
        made = network(z, torch.tensor([0, 1, 2]))
        assert_depends(made, z, what="what is made", on_what="the code")
        assert_parameters_matter(made, network, what="what is made")

    @weight(3)
    @given(batch=sizes(), latent=sizes(), classes=sizes(2, 4), dim=sizes(1, 4), generator=generators())
    @settings(max_examples=6)
    def test_code_then_class(
        self, student: Any, batch: int, latent: int, classes: int, dim: int, generator: torch.Generator
    ) -> None:
        """The generator is given the code, and after it as many numbers for the class as embedding_dim says."""
        network = conditional(student, nn.Identity(), classes, dim, generator)
        z = torch.randn(batch, latent, generator=generator)
        given = network(z, torch.randint(classes, (batch,), generator=generator)).detach()
        sizes_ = {"latent": latent, "embedding_dim": dim}
        assert_shape(given, (batch, latent + dim), what="what the generator is given")
        assert_close(given[:, :latent], z, what=f"the first {latent} numbers of it", sizes=sizes_)

    @weight(5)
    @given(classes=sizes(2, 5), dim=sizes(2, 4), generator=generators())
    @settings(max_examples=5)
    def test_a_vector_for_each_class(self, student: Any, classes: int, dim: int, generator: torch.Generator) -> None:
        """Each class has a vector of its own, which neither the code changes nor the other rows of the batch."""
        network = conditional(student, nn.Identity(), classes, dim, generator)
        labels = torch.cat([torch.arange(classes), torch.randint(classes, (6,), generator=generator)])
        given = network(torch.randn(len(labels), 3, generator=generator), labels).detach()
        assert_shape(given, (len(labels), 3 + dim), what="what the generator is given")
        vectors = given[:classes, 3:]
        assert_close(given[classes:, 3:], vectors[labels[classes:]], what="the vectors of classes that come again")
        if classes > 1 and torch.pdist(vectors).min() < 1e-5:
            fail(f"Two of the {classes} classes have the same vector.")

    @weight(5)
    @given(generator=generators())
    @settings(max_examples=3)
    def test_the_vectors_are_learned(self, student: Any, generator: torch.Generator) -> None:
        """Gradients flow to the vectors of the classes that are asked for, through the parameters and in the state."""
        first = conditional(student, nn.Identity(), 3, 2, generator)
        z, labels = torch.randn(4, 1, generator=generator), torch.tensor([0, 2, 2, 0])
        before = first(z, labels)[:, 1:].detach()
        optimizer = torch.optim.SGD(first.parameters(), lr=0.5)
        optimizer.zero_grad()
        first(z, labels)[:2].sum().backward()
        optimizer.step()
        moved = (first(z, labels)[:, 1:].detach() - before).abs().amin(1)
        assert_between(moved, 1e-3, tolerance=0, what="how far a vector moves in a step of gradient descent")
        second = student.ConditionalGenerator(nn.Identity(), 3, 2)
        assert_state_is_complete(first, second, lambda network: network(z, labels))

    @weight(2)
    @given(generator=generators())
    @settings(max_examples=3)
    def test_uses_the_generator(self, student: Any, generator: torch.Generator) -> None:
        """The images are those of the generator that is passed in, and its weights are trained with the rest."""
        inner = nn.Sequential(nn.Linear(5, 6), nn.Unflatten(1, (1, 2, 3)))
        redraw(inner, generator)
        network = student.ConditionalGenerator(inner, 4, 2)
        z, labels = torch.randn(3, 3, generator=generator), torch.tensor([0, 1, 3])
        images = network(z, labels)
        assert_shape(images, (3, 1, 2, 3), what="the images")
        trained = [parameter for parameter in network.parameters() if tuple(parameter.shape) == (6, 5)]
        if not trained:
            fail("The weights of the generator are not among the parameters of the conditional one.")
        received = gradient(images.sum(), trained[0])
        assert_close(
            received[:, :3], z.sum(0).expand(6, 3), tolerance=1e-4, what="the gradient for the generator's weights"
        )


def conditional(student: Any, inner: nn.Module, classes: int, dim: int, generator: torch.Generator) -> Any:
    """A conditional generator with random weights."""
    network = student.ConditionalGenerator(inner, classes, dim)
    redraw(network, generator)
    return network


# ---- text to image, image to image


@exercise("matching_aware_loss")
class TestMatchingAwareLoss:
    @required
    @given(real=logits(3), mismatched=logits(3), fake=logits(3))
    @settings(max_examples=5)
    def test_tells_three_kinds_apart(self, student: Any, real: Tensor, mismatched: Tensor, fake: Tensor) -> None:
        """It falls as the logit of a real image with its text rises, and as those of the two other kinds fall."""
        for part in (real, mismatched, fake):
            part.requires_grad_()
        loss = student.matching_aware_loss(real, mismatched, fake)
        assert_depends(loss, real, what="the loss", on_what="the logits of real images with their texts")
        by_real, by_fake = gradient(loss.sum(), real), gradient(loss.sum(), fake)
        assert_between(by_real, None, -1e-6, tolerance=0, what="the gradient for a real image with its text")
        assert_between(by_fake, 1e-6, None, tolerance=0, what="the gradient for a generated image")

    @weight(3)
    @given(batch=sizes(), seed=st.integers(0, 1000))
    @settings(max_examples=8)
    def test_is_what_torchs_bernoulli_says(self, student: Any, batch: int, seed: int) -> None:
        """It is minus the mean of log-probabilities by torch.distributions.Bernoulli, the two wrong kinds at half weight."""
        parts = 3 * torch.randn(3, batch, generator=torch.Generator().manual_seed(seed))
        labels = torch.tensor([[1.0], [0.0], [0.0]]).expand(3, batch)
        log_p = Bernoulli(logits=parts.double()).log_prob(labels.double())
        expected = -(log_p * torch.tensor([[1.0], [0.5], [0.5]])).sum(0).mean().float()
        loss = student.matching_aware_loss(*parts)
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes={"batch": batch})

    @weight(2)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=4)
    def test_gradients(self, student: Any, seed: int) -> None:
        """In a batch of B the gradients are (σ(r) − 1)/B, σ(w)/2B and σ(f)/2B."""
        parts = [part.requires_grad_() for part in torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))]
        loss = student.matching_aware_loss(*parts)
        assert_scalar(loss, what="the loss")
        names = ("real images with their texts", "real images with other texts", "generated images")
        for part, name, label, share in zip(parts, names, (1, 0, 0), (1, 2, 2), strict=True):
            expected = (part.detach().sigmoid() - label) / 4 / share
            assert_close(gradient(loss, part), expected, what=f"the gradient for the logits of {name}")

    @weight(3)
    @given(signs=tensors((3, 2), dtype=torch.bool), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=5)
    def test_survives_large_logits(self, student: Any, signs: Tensor, size: float) -> None:
        """At logits of ±200 and ±10⁴ it is finite, and so are its gradients."""
        values = torch.where(signs, size, -size).requires_grad_()
        loss = student.matching_aware_loss(*values)
        wrong = (~signs[0]).sum() + (signs[1] | signs[2]).sum() / 2 + (signs[1] & signs[2]).sum() / 2
        assert_close(loss, size * wrong / 2, what="the loss")
        assert_finite(gradient(loss, values), what="the gradient with respect to the logits")


def forth(x: Tensor) -> Tensor:
    """From the first kind to the second: (n, 2, 3) to (n, 2, 2)."""
    flat = x.flatten(1)
    columns = [flat[:, 0] - 1, 2 * flat[:, 1], flat[:, 2] * flat[:, 3], flat[:, 4] + flat[:, 5]]
    return torch.stack(columns, dim=1).view(-1, 2, 2)


def back(y: Tensor) -> Tensor:
    """From the second kind to the first: (m, 2, 2) to (m, 2, 3), and no inverse of `forth`."""
    y = y.flatten(1)
    columns = [y[:, 1], y[:, 0] / 2, y[:, 2] + 1, y[:, 3], y[:, 0] * y[:, 3], y[:, 2] - y[:, 1]]
    return torch.stack(columns, dim=1).view(-1, 2, 3)


class Factor(nn.Module):
    """A translator that multiplies by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        """What x becomes."""
        return self.factor * x


@st.composite
def cycle_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `cycle_consistency_loss`, with two kinds of images in different shapes and numbers."""
    return (draw(tensors((draw(sizes()), 2, 3))), draw(tensors((draw(sizes()), 2, 2))), forth, back), {}


def manhattan(first: Tensor, second: Tensor) -> float:
    """The mean over rows of the sum of absolute differences, number by number."""
    pairs = zip(first.flatten(1).tolist(), second.flatten(1).tolist(), strict=True)
    return math.fsum(abs(a - b) for row, other in pairs for a, b in zip(row, other, strict=True)) / len(first)


@exercise("cycle_consistency_loss", contract=cycle_calls())
class TestCycleConsistencyLoss:
    @required
    @given(x=tensors((3, 2)), y=tensors((2, 2)))
    @settings(max_examples=4)
    def test_there_and_back_again(self, student: Any, x: Tensor, y: Tensor) -> None:
        """It is 0 for translators that undo each other, and positive, with a gradient, for others."""
        there = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            there.weight.copy_(torch.tensor([[0.0, 2.0], [-1.0, 0.0]]))
        inverse = torch.tensor([[0.0, -1.0], [0.5, 0.0]]).T
        loss = student.cycle_consistency_loss(x, y, there, lambda y: y @ inverse)
        assert_close(loss, torch.tensor(0.0), what="the loss of translators that undo each other")
        x, y = x.abs() + 1, y.abs() + 1
        loss = student.cycle_consistency_loss(x, y, there, lambda y: 3 * y @ inverse)
        assert_depends(loss, there.weight, what="the loss", on_what="the weights of a translator")
        assert_between(loss, 0.1, what="the loss of translators that do not undo each other")

    @weight(4)
    @given(call=cycle_calls())
    @settings(max_examples=10)
    def test_number_by_number(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Both ways are added: each is the mean over its images of the sum of absolute differences, here by hand."""
        (x, y, *_), _ = call
        expected = torch.tensor(manhattan(back(forth(x)), x) + manhattan(forth(back(y)), y))
        loss = student.cycle_consistency_loss(x, y, forth, back)
        names = {"n": len(x), "m": len(y), "the numbers of an image x": 6, "the numbers of an image y": 4}
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes=names)

    @given(x=tensors((3, 2)), y=tensors((2, 3)), shift=st.sampled_from([1.0, -2.0]))
    @settings(max_examples=4)
    def test_each_way_counts(self, student: Any, x: Tensor, y: Tensor, shift: float) -> None:
        """If only one kind of image comes back changed, by a constant, that costs its size for each number of an image."""
        to_y, to_x = {2: lambda x: F.pad(x, (0, 1)), 3: lambda x: x}, {3: lambda y: y[:, :2], 2: lambda y: y}
        # x goes to three numbers and back without a loss; y loses its third number, which is a constant here.
        y = torch.cat([y[:, :2], torch.full((2, 1), shift)], dim=1)
        loss = student.cycle_consistency_loss(x, y, to_y[2], to_x[3])
        assert_close(loss, torch.tensor(abs(shift)), what="the loss of translators that lose the third number of y")
        loss = student.cycle_consistency_loss(y, x, to_x[3], to_y[2])
        assert_close(loss, torch.tensor(abs(shift)), what="the loss with the two kinds exchanged")

    @given(call=cycle_calls(), scale=st.sampled_from([2.0, 3.0]))
    @settings(max_examples=4)
    def test_images_given_twice(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], scale: float) -> None:
        """Images of either kind given several times change nothing, whichever of the two there are more of."""
        (x, y, *_), _ = call
        once = student.cycle_consistency_loss(x, y, forth, back)
        assert_scalar(once, what="the loss")
        for first, second in ((x.repeat(3, 1, 1), y), (x, y.repeat(2, 1, 1))):
            again = student.cycle_consistency_loss(first, second, forth, back)
            assert_close(again, once, tolerance=1e-4, what="the loss with images given again", sizes={"n": len(first)})

    @weight(4)
    @given(x=tensors((3, 2)), y=tensors((2, 2)), a=st.sampled_from([0.5, 2.0]), b=st.sampled_from([0.25, 1.0, 3.0]))
    @settings(max_examples=5)
    def test_both_translators_learn(self, student: Any, x: Tensor, y: Tensor, a: float, b: float) -> None:
        """Each translator learns from both cycles: factors a and b have the gradients of |ab − 1| (E‖x‖₁ + E‖y‖₁)."""
        there, here = Factor(a), Factor(b)
        loss = student.cycle_consistency_loss(x, y, there, here)
        assert_scalar(loss, what="the loss")
        size = manhattan(x, 0 * x) + manhattan(y, 0 * y)
        sign = torch.tensor(a * b - 1).sign()
        hint = "the image in between is not to be cut off from its graph."
        if a * b != 1:
            assert_close(
                gradient(loss, there.factor), sign * b * size, tolerance=1e-4, what="the gradient for a", hint=hint
            )
            assert_close(
                gradient(loss, here.factor), sign * a * size, tolerance=1e-4, what="the gradient for b", hint=hint
            )


def double(x: Tensor) -> Tensor:
    """A translator."""
    return 2 * x + 1


def turn(x: Tensor) -> Tensor:
    """Another translator."""
    return 0.5 - x.flip(1)


@st.composite
def identity_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `identity_loss`."""
    shape = draw(st.sampled_from(DATA_SHAPES))
    return (draw(tensors((draw(sizes()), *shape))), draw(tensors((draw(sizes()), *shape))), double, turn), {}


@exercise("identity_loss", contract=identity_calls())
class TestIdentityLoss:
    @required
    @given(x=tensors((3, 2), low=1, high=3), y=tensors((2, 2), low=1, high=3))
    @settings(max_examples=4)
    def test_leaves_alone_what_is_right(self, student: Any, x: Tensor, y: Tensor) -> None:
        """It is 0 for translators that change nothing, and positive, with a gradient, for others."""
        loss = student.identity_loss(x, y, lambda x: 1 * x, lambda y: 1 * y)
        assert_close(loss, torch.tensor(0.0), what="the loss of translators that change nothing")
        there = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            there.weight.copy_(3 * torch.eye(2))
        loss = student.identity_loss(x, y, there, there)
        assert_depends(loss, there.weight, what="the loss", on_what="the weights of a translator")
        assert_between(loss, 0.1, what="the loss of translators that change something")

    @weight(3)
    @given(call=identity_calls())
    @settings(max_examples=8)
    def test_number_by_number(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Each translator is given what it makes: both means of sums of absolute differences are added, here by hand."""
        (x, y, *_), _ = call
        expected = torch.tensor(manhattan(double(y), y) + manhattan(turn(x), x))
        names = {"n": len(x), "m": len(y), "the numbers of an image": x[0].numel()}
        loss = student.identity_loss(x, y, double, turn)
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes=names)

    @weight(2)
    @given(x=tensors((3, 2)), y=tensors((2, 2)), shift=st.sampled_from([1.0, -2.0]))
    @settings(max_examples=4)
    def test_each_translator_counts(self, student: Any, x: Tensor, y: Tensor, shift: float) -> None:
        """A translator that adds a constant to the two numbers of an image costs twice its size, whichever of the two it is."""
        for translators in ((lambda y: y + shift, lambda x: 1 * x), (lambda y: 1 * y, lambda x: x + shift)):
            loss = student.identity_loss(x, y, *translators)
            assert_close(loss, torch.tensor(2 * abs(shift)), what="the loss")
        to_y, to_x = Factor(3.0), Factor(0.5)
        loss = student.identity_loss(x, y, to_y, to_x)
        for translator, made, sign in ((to_y, y, 1), (to_x, x, -1)):
            expected = torch.tensor(sign * manhattan(made, 0 * made))
            received = gradient(loss, translator.factor)
            assert_close(received, expected, tolerance=1e-4, what="the gradient for a translator's factor")


# ---- the image pool


def numbered(first: int, count: int) -> Tensor:
    """Images (count, 1, 1, 1) that can be told apart."""
    return torch.arange(float(first), float(first + count)).view(count, 1, 1, 1)


def follow(size: int, batches: list[Tensor], answers: list[Any]) -> list[int | None]:
    """For each image after the pool was full, the place of the stored image that was given back, or None for itself.

    Raises:
        PropertyFailed: something else was given back.
    """
    stored: list[float] = []
    places: list[int | None] = []
    for images, answer in zip(batches, answers, strict=True):
        assert_shape(answer, tuple(images.shape), what="what is given back")
        for image, back_again in zip(images.flatten().tolist(), answer.detach().flatten().tolist(), strict=True):
            if len(stored) < size:
                stored.append(image)
                if back_again != image:
                    fail("As long as the pool is not full, each image should be given back as it came.")
            elif back_again == image:
                places.append(None)
            elif back_again in stored:
                places.append(stored.index(back_again))
                stored[stored.index(back_again)] = image
            else:
                fail(f"With a pool of {size} images, one was given back that is neither the one that came nor stored.",
                     "(An image that came back from the pool is no longer there; a new one stands in its place.)")  # fmt: skip
    return places


@exercise("ImagePool", contract=False)
class TestImagePool:
    @required
    @given(size=sizes(2, 4), seed=st.integers(0, 1000))
    @settings(max_examples=3)
    def test_older_images_come_back(self, student: Any, size: int, seed: int) -> None:
        """Images come back as they are while the pool is filled; later some are older ones, and some are new."""
        pool, rng = student.ImagePool(size), torch.Generator().manual_seed(seed)
        first = pool.query(numbered(1, size), rng)
        assert_close(first, numbered(1, size), what="what the empty pool gives back")
        later = pool.query(numbered(1 + size, 40), rng).flatten()
        assert_shape(later, (40,), what="what the full pool gives back")
        same = (later == numbered(1 + size, 40).flatten()).sum().item()
        if same in (0, 40):
            fail(f"Of 40 images put into a full pool, {same} were given back as they came: it should be about half.")

    @weight(7)
    @given(size=st.sampled_from([2, 0, 1, 3]), batch=sizes(1, 5), graph=st.booleans(), seed=st.integers(0, 1000))
    @settings(max_examples=8)
    def test_nothing_is_lost(self, student: Any, size: int, batch: int, graph: bool, seed: int) -> None:
        """What comes back, without a graph, is the image that came, or one that was stored and whose place that one takes."""
        pools, rng = [student.ImagePool(size) for _ in range(2)], torch.Generator().manual_seed(seed)
        batches = [numbered(1 + batch * i, batch) for i in range(12)]
        answers: list[list[Any]] = [[], []]
        for images in batches:
            for sign, pool, heard in zip((1, -1), pools, answers, strict=True):
                heard.append(pool.query((sign * images).requires_grad_(graph), rng))
                if isinstance(heard[-1], Tensor) and heard[-1].requires_grad:
                    fail(
                        "What is given back carries a graph: the pool would keep alive everything that made its images."
                    )
        for sign, heard in zip((1, -1), answers, strict=True):
            follow(size, [sign * images for images in batches], heard)

    @weight(7)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_chances_are_fair(self, student: Any, seed: int) -> None:
        """A coin decides for each image by itself whether an older one comes, and each of those is equally likely."""
        pool, rng = student.ImagePool(3), torch.Generator().manual_seed(seed)
        batches = [numbered(1, 3), *(numbered(4 + 600 * i, 600) for i in range(5))]
        places = follow(3, batches, [pool.query(images, rng) for images in batches])
        old = [place is not None for place in places]
        # Six standard errors each, for 3000 images and about 1500 places.
        assert_between(sum(old) / 3000, 0.5 - 0.055, 0.5 + 0.055, what="the share of older images")
        turns = sum(a != b for a, b in itertools.pairwise(old)) / 2999
        assert_between(
            turns, 0.5 - 0.055, 0.5 + 0.055, what="how often an older image follows a new one, or a new one an older,"
        )
        taken = [place for place in places if place is not None]
        for place in range(3):
            share = taken.count(place) / len(taken)
            assert_between(
                share, 1 / 3 - 0.08, 1 / 3 + 0.08, what="the share of one of three places among older images"
            )
        first = [pool.query(numbered(1, 3), rng)[2].item() != 3 for pool in [student.ImagePool(2) for _ in range(30)]]
        if all(first) or not any(first):
            fail(
                f"In 30 pools of 2 images, the third one was {'always' if first[0] else 'never'} exchanged for an older one."
            )
        follows = sum(b == (a + 1) % 3 for a, b in itertools.pairwise(taken)) / len(taken)
        assert_between(follows, 1 / 3 - 0.08, 1 / 3 + 0.08, what="how often the next of three places follows a place")

    @weight(7)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_the_rng_decides(self, student: Any, seed: int) -> None:
        """Equal generators of random numbers give the same images back, another gives others."""
        heard = []
        for own in (seed, seed, seed + 1):
            pool, rng = student.ImagePool(3), torch.Generator().manual_seed(own)
            heard.append(torch.cat([pool.query(numbered(1 + 30 * i, 30), rng) for i in range(2)]))
        first, same, other = heard
        assert_close(same, first, what="what a second pool with an equal rng gives back")
        if torch.equal(other, first):
            fail("With another rng the same images come back: is chance drawn from it?")


# ---- styles


@exercise("adaptive_instance_norm")
class TestAdaptiveInstanceNorm:
    @required
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=3)
    def test_gives_the_mean_that_is_asked_for(self, student: Any, seed: int) -> None:
        """The mean of each map becomes the shift, and gradients flow back to the maps, the scale and the shift."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(3, 2, 4, 3, generator=generator, requires_grad=True)
        scale, shift = (torch.randn(3, 2, generator=generator).requires_grad_() for _ in range(2))
        result = student.adaptive_instance_norm(x, scale, shift)
        assert_shape(result, (3, 2, 4, 3), what="the result")
        assert_close(result.mean(dim=(2, 3)).detach(), shift.detach(), tolerance=1e-3, what="the mean of each map")
        for part, name in ((x, "the feature maps"), (scale, "the scale"), (shift, "the shift")):
            assert_depends(result, part, what="the result", on_what=name)

    @weight(3)
    @given(batch=sizes(1, 3), channels=sizes(1, 4), eps=st.sampled_from([1e-5, 0.1, 1.0]), seed=st.integers(0, 1000))
    @settings(max_examples=8)
    def test_agrees_with_torch(self, student: Any, batch: int, channels: int, eps: float, seed: int) -> None:
        """It is torch's instance normalisation, with scale and shift of each image's own."""
        generator = torch.Generator().manual_seed(seed)
        x = 3 * torch.randn(batch, channels, 3, 2, generator=generator) + 1
        scale, shift = torch.randn(2, batch, channels, generator=generator)
        expected = [
            F.instance_norm(x[i : i + 1].double(), weight=scale[i].double(), bias=shift[i].double(), eps=eps)
            for i in range(batch)
        ]
        result = student.adaptive_instance_norm(x, scale, shift, eps)
        assert_close(result, torch.cat(expected).float(), tolerance=1e-4, what="the result")

    @weight(3)
    @given(
        height=st.sampled_from([0.25, 1.0, 3.0]), eps=st.sampled_from([0.5, 2.0]), scale=st.sampled_from([2.0, -1.0])
    )
    @settings(max_examples=6)
    def test_maps_of_two_values(self, student: Any, height: float, eps: float, scale: float) -> None:
        """A map that is a half the time and −a the other becomes shift ± scale · a / √(a² + eps)."""
        x = torch.tensor([height, -height]).repeat(2)[None, None, :, None]
        shift = torch.tensor([[0.5]])
        result = student.adaptive_instance_norm(x + 4, torch.tensor([[scale]]), shift, eps=eps)
        expected = 0.5 + scale * x / (height**2 + eps) ** 0.5
        assert_close(result, expected, tolerance=1e-4, what="the result")

    @weight(2)
    @given(seed=st.integers(0, 1000), factor=st.sampled_from([2.0, 50.0]))
    @settings(max_examples=4)
    def test_forgets_the_old_style(self, student: Any, seed: int, factor: float) -> None:
        """Whatever mean and spread a map of an image had before does not matter; a constant map becomes the shift."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(2, 3, 4, 4, generator=generator)
        scale, shift = torch.randn(2, 2, 3, generator=generator)
        result = student.adaptive_instance_norm(x, scale, shift, 1e-9)
        factors = 1 + factor * torch.rand(2, 3, 1, 1, generator=generator)
        moved = student.adaptive_instance_norm(factors * x + factors, scale, shift, 1e-9)
        assert_close(moved, result, tolerance=1e-2, what="the result for maps of another mean and spread")
        flat = student.adaptive_instance_norm(torch.ones(2, 3, 2, 2), scale, shift)
        assert_close(
            flat, shift[:, :, None, None].expand(2, 3, 2, 2), tolerance=1e-4, what="the result for constant maps"
        )

    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_each_image_by_itself(self, student: Any, seed: int) -> None:
        """Each image is normalised by itself, the others do not change it."""
        generator = torch.Generator().manual_seed(seed)
        x, (scale, shift) = torch.randn(3, 2, 2, 3, generator=generator), torch.randn(2, 3, 2, generator=generator)
        assert_rows_apart(student.adaptive_instance_norm, x, scale, shift, what="the result")


@exercise("MappingNetwork", contract=False)
class TestMappingNetwork:
    @required
    @given(generator=generators())
    @settings(max_examples=3)
    def test_depends_on_code_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """The styles change with the code, and with the network's weights."""
        network = student.MappingNetwork(3, 5, layers=2)
        redraw(network, generator, scale=0.7)
        z = torch.randn(4, 3, generator=generator, requires_grad=True)
        styles = network(z)
        assert_depends(styles, z, what="the styles", on_what="the code")
        assert_parameters_matter(styles, network, what="the styles")

    @given(batch=sizes(), latent=sizes(), style=sizes(), layers=sizes(1, 4))
    @settings(max_examples=5)
    def test_shape(self, student: Any, batch: int, latent: int, style: int, layers: int) -> None:
        """Codes (batch, latent_dim) become styles (batch, style_dim), through as many linear layers as were asked for."""
        network = student.MappingNetwork(latent, style, layers)
        assert_shape(network(torch.ones(batch, latent)), (batch, style), what="the styles")
        assert_finite(network(torch.zeros(batch, latent)), what="the style of a code of zeros")
        matrices = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
        if len(matrices) != layers:
            fail(f"With layers={layers} the network should have {layers} matrices, but it has {len(matrices)}.")

    @weight(5)
    @given(latent=sizes(2, 5), layers=sizes(1, 4), generator=generators())
    @settings(max_examples=6)
    def test_closed_form(self, student: Any, latent: int, layers: int, generator: torch.Generator) -> None:
        """With identity matrices and no biases, positive numbers stay, negative ones are multiplied by 0.2 in each layer."""
        network = student.MappingNetwork(latent, latent, layers)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.eye(latent) if parameter.ndim == 2 else torch.zeros(parameter.shape))
        z = torch.randn(5, latent, generator=generator)
        z[:, 0] = -z[:, 0].abs() - 0.5
        received = network(z).detach()
        start = z * (latent**0.5 / z.norm(dim=1, keepdim=True))
        assert_shape(received, (5, latent), what="the styles")
        positive = start > 0
        assert_close(received[positive], start[positive], tolerance=1e-3, what="the positive numbers",
                     hint="a code is brought to length √latent_dim, before the first layer.")  # fmt: skip
        # After the last layer leaky ReLU may be left out.
        bends = layers if (received[0, 0] / start[0, 0] - 0.2**layers).abs() < 1e-4 + 0.1**layers else layers - 1
        assert_close(received[~positive] / start[~positive], torch.full_like(received[~positive], 0.2**bends),
                     tolerance=2e-4, what="negative numbers, divided by what they were,")  # fmt: skip

    @weight(4)
    @given(latent=sizes(2, 4), layers=sizes(1, 3), factor=st.sampled_from([3.0, 0.2, 20.0]), generator=generators())
    @settings(max_examples=5)
    def test_length_does_not_matter(
        self, student: Any, latent: int, layers: int, factor: float, generator: torch.Generator
    ) -> None:
        """Codes in the same direction have the same style, whatever their lengths, and each row is mapped by itself."""
        network = student.MappingNetwork(latent, 4, layers)
        redraw(network, generator, scale=0.7)
        z = torch.randn(3, latent, generator=generator)
        styles = network(z).detach()
        longer = network(z * torch.tensor([[factor], [1.0], [2.0]])).detach()
        assert_close(longer, styles, tolerance=1e-3, what="the styles of longer or shorter codes")
        assert_rows_apart(network, z, what="the styles")

    @weight(4)
    @given(layers=sizes(2, 4), generator=generators())
    @settings(max_examples=3)
    def test_state(self, student: Any, layers: int, generator: torch.Generator) -> None:
        """Every layer has weights of its own, and a second network that loads the state gives the same styles."""
        first, second = (student.MappingNetwork(3, 3, layers) for _ in range(2))
        redraw(first, generator)
        matrices = [p for p in first.parameters() if p.ndim == 2]
        if len(matrices) != layers:
            fail(f"With layers={layers} the network should have {layers} matrices, but it has {len(matrices)}.")
        z = torch.randn(4, 3, generator=generator)
        assert_state_is_complete(first, second, lambda network: network(z))


def modulated(x: Tensor, kernel: Tensor, style: Tensor, demodulate: bool, eps: float) -> Tensor:
    """A modulated convolution, one image and one output channel after the other, in double precision."""
    images = []
    for image, factors in zip(x.double(), style.double(), strict=True):
        maps = []
        for filters in kernel.double():
            own = torch.stack([f * channel for f, channel in zip(factors, filters, strict=True)])
            if demodulate:
                own = own / math.sqrt(math.fsum(own.square().flatten().tolist()) + eps)
            maps.append(F.conv2d(image[None], own[None], padding=kernel.shape[-1] // 2)[0, 0])
        images.append(torch.stack(maps))
    return torch.stack(images).to(x.dtype)


@st.composite
def modulation_calls(draw: st.DrawFn, least: int = 1) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `modulated_conv2d`: `least` input channels or more, no weight or style so small that eps would matter."""
    batch, into, out = draw(sizes(1, 3)), draw(sizes(least, 3)), draw(sizes(1, 4))
    kernel, generator = draw(st.sampled_from([3, 1, 5])), draw(generators())
    x = torch.randn(batch, into, 4, 3, generator=generator)
    weights, style = (
        torch.randn(out, into, kernel, kernel, generator=generator),
        torch.randn(batch, into, generator=generator),
    )
    away = [drawn + 0.5 * torch.where(drawn < 0, -1, 1) for drawn in (weights, style)]
    return (x, *away), {"demodulate": draw(st.booleans())}


@exercise("modulated_conv2d", contract=modulation_calls())
class TestModulatedConv2d:
    @required
    @given(call=modulation_calls())
    @settings(max_examples=4)
    def test_depends_on_everything(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Without demodulation it is linear in the maps, and gradients flow back to the maps, the weight and the style."""
        (x, kernel, style), _ = call
        for part in (x, kernel, style):
            part.requires_grad_()
        result = student.modulated_conv2d(x, kernel, style, demodulate=False)
        assert_shape(result, (len(x), len(kernel), 4, 3), what="the result")
        for part, name in ((x, "the feature maps"), (kernel, "the weight"), (style, "the style")):
            assert_depends(result, part, what="the result", on_what=name)
        twice = student.modulated_conv2d(2 * x, kernel, style, demodulate=False)
        assert_close(twice.detach(), 2 * result.detach(), tolerance=1e-4, what="the result for twice the feature maps")

    @weight(3)
    @given(call=modulation_calls(), eps=st.sampled_from([0.5, 2.0]))
    @settings(max_examples=10)
    def test_image_by_image(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], eps: float) -> None:
        """Each image is convolved with a weight of its own, here made one output channel after the other."""
        (x, kernel, style), options = call
        expected = modulated(x, kernel, style, options["demodulate"], eps)
        result = student.modulated_conv2d(x, kernel, style, eps=eps, **options)
        names = zip(("batch", "in_channels", "out_channels"), (*x.shape[:2], len(kernel)), strict=True)
        assert_close(result, expected, tolerance=1e-3, what="the result", sizes=dict(names))

    @weight(2)
    @given(batch=sizes(1, 3), channels=sizes(1, 3), seed=st.integers(0, 1000))
    @settings(max_examples=4)
    def test_without_demodulation(self, student: Any, batch: int, channels: int, seed: int) -> None:
        """Without demodulation it is torch's convolution of maps that are multiplied by the style."""
        generator = torch.Generator().manual_seed(seed)
        x, kernel = (
            torch.randn(batch, channels, 4, 5, generator=generator),
            torch.randn(2, channels, 3, 3, generator=generator),
        )
        style = torch.randn(batch, channels, generator=generator)
        expected = F.conv2d(x * style[:, :, None, None], kernel, padding=1)
        result = student.modulated_conv2d(x, kernel, style, demodulate=False)
        assert_close(result, expected, tolerance=1e-4, what="the result")

    @weight(4)
    @given(call=modulation_calls(least=2), factor=st.sampled_from([3.0, 10.0, 0.5]))
    @settings(max_examples=6)
    def test_size_of_the_style_is_divided_out(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], factor: float
    ) -> None:
        """With demodulation, a style and weight of another size give the same; white noise keeps its variance."""
        (x, kernel, style), _ = call
        result = student.modulated_conv2d(x, kernel, style)
        larger = student.modulated_conv2d(x, kernel, factor * style)
        assert_close(larger, result, tolerance=1e-3, what=f"the result for {factor:g} times the style")
        factors = torch.arange(1.0, len(kernel) + 1)[:, None, None, None]
        larger = student.modulated_conv2d(x, factor * factors * kernel, style)
        assert_close(
            larger, result, tolerance=1e-3, what="the result for weights that are larger for some output channels"
        )
        # The weight of one image, seen by an impulse: its squares add up to 1 for each output channel.
        size = kernel.shape[-1]
        impulses = torch.eye(x.shape[1])[:, :, None, None] * F.pad(torch.ones(1, 1), (size,) * 4)
        seen = student.modulated_conv2d(impulses, kernel, style[:1].expand(len(impulses), -1))
        total = seen.square().sum(dim=(0, 2, 3))
        assert_close(
            total, torch.ones(len(kernel)), tolerance=1e-3, what="the sum of squares of the weight of an output channel"
        )

    @weight(2)
    @given(strength=st.sampled_from([0.5, 1.0, 3.0]), eps=st.sampled_from([0.25, 2.0]))
    @settings(max_examples=4)
    def test_eps(self, student: Any, strength: float, eps: float) -> None:
        """A weight of one number w and a style s give x · ws / √((ws)² + eps)."""
        x = torch.arange(6.0).view(1, 1, 2, 3)
        kernel, style = torch.tensor([[[[-2.0]]]], requires_grad=True), torch.tensor([[strength]], requires_grad=True)
        squares = 4 * strength**2 + eps
        result = student.modulated_conv2d(x, kernel, style, True, eps)
        assert_close(detached(result), x * (-2 * strength / math.sqrt(squares)), tolerance=1e-4, what="the result")
        slope = 15 * eps / squares**1.5  # the sum of x is 15
        for part, name, other in ((kernel, "the weight", strength), (style, "the style", -2)):
            expected = torch.full_like(part, slope * other)
            assert_close(gradient(result.sum(), part), expected, tolerance=1e-3, what=f"the gradient for {name}")

    @weight(2)
    @given(call=modulation_calls())
    @settings(max_examples=3)
    def test_each_image_has_its_own_style(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """No image is touched by another one or by its style, and images in another order come out in that order."""
        (x, kernel, style), options = call
        x, style = torch.cat([x, x + 1]), torch.cat([style, style + 0.5])
        result = student.modulated_conv2d(x, kernel, style, **options)
        reversed_ = student.modulated_conv2d(x.flip(0), kernel, style.flip(0), **options)
        assert_close(reversed_, result.flip(0), tolerance=1e-4, what="the result for images in reverse order")
        assert_rows_apart(lambda x, style: student.modulated_conv2d(x, kernel, style, **options), x, style)


class Painter(nn.Module):
    """Images that are scale times a linear function of the style: the Jacobian is known."""

    def __init__(self, style: int, shape: tuple[int, int, int], scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.jacobian = torch.randn(style, *shape, generator=generator)
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, styles: Tensor) -> Tensor:
        """Images (batch, channels, height, width)."""
        scale = self.scale.to(styles.dtype)
        return scale * torch.einsum("bs,schw->bchw", styles, self.jacobian.to(styles.dtype))

    def lengths(self, noise: Tensor) -> Tensor:
        """‖Jᵀy‖ of each row, in double precision."""
        y = noise.double() / math.sqrt(noise.shape[2] * noise.shape[3])
        pulls = y.flatten(1) @ self.jacobian.double().flatten(1).T
        return self.scale.item() * pulls.norm(dim=1)


def swirl(styles: Tensor) -> Tensor:
    """Images (batch, 2, 1, 3) that are no linear function of the styles (batch, 2)."""
    a, b = styles.unbind(1)
    columns = [a * b, a.sin(), b.square(), (a + b).cos(), a - b, a * a * b]
    return torch.stack(columns, dim=1).view(-1, 2, 1, 3)


@st.composite
def path_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `path_length_penalty`."""
    batch = draw(sizes(1, 4))
    return (
        swirl,
        draw(tensors((batch, 2))),
        draw(tensors((batch, 2, 1, 3))),
        draw(st.sampled_from([0.0, 0.5, 2.0])),
    ), {}


IMAGE_SHAPES = [(1, 2, 3), (3, 2, 2), (2, 1, 4)]


@exercise("path_length_penalty", contract=path_calls())
class TestPathLengthPenalty:
    @required
    @given(scale=st.sampled_from([2.0, 3.0]), seed=st.integers(0, 1000))
    @settings(max_examples=4)
    def test_uneven_paths_pay(self, student: Any, scale: float, seed: int) -> None:
        """Longer paths have larger lengths and, above the target, a larger penalty, from which the network can learn."""
        generator = torch.Generator().manual_seed(seed)
        short = Painter(3, (1, 2, 3), 1.0, generator)
        long = copy.deepcopy(short)
        with torch.no_grad():
            long.scale.mul_(scale)
        styles, noise = torch.randn(2, 3, generator=generator), torch.randn(2, 1, 2, 3, generator=generator)
        (low, near), (high, far) = (pair(student.path_length_penalty(p, styles, noise, 0.0)) for p in (short, long))
        assert_depends(
            high, long.scale, what="the penalty", on_what="the parameters of the network",
            hint="a length is itself a derivative that is to be differentiated: its graph has to be kept.",
        )  # fmt: skip
        assert_shape(far, (2,), what="the lengths")
        if not (high > low + 1e-3 and (far > near).all()):
            fail(f"{scale:g} times the path gives the penalty {describe(high)} and the lengths {describe(far)},",
                 f"where it was {describe(low)} and {describe(near)}.")  # fmt: skip

    @weight(4)
    @given(
        batch=sizes(1, 4), style=sizes(1, 4), shape=st.sampled_from(IMAGE_SHAPES),
        target=st.sampled_from([0.0, 1.0, 2.5]), seed=st.integers(0, 1000),
    )  # fmt: skip
    @settings(max_examples=10)
    def test_known_jacobian(
        self, student: Any, batch: int, style: int, shape: tuple[int, int, int], target: float, seed: int
    ) -> None:
        """Where the Jacobian is known, the lengths are ‖Jᵀy‖, and the penalty is the mean of (length − target)²."""
        generator = torch.Generator().manual_seed(seed)
        painter = Painter(style, shape, 1.5, generator)
        styles, noise = torch.randn(batch, style, generator=generator), torch.randn(batch, *shape, generator=generator)
        expected = painter.lengths(noise)
        penalty, lengths = pair(student.path_length_penalty(painter, styles, noise, target))
        names = dict(zip(("batch", "style", "channels", "height", "width"), (batch, style, *shape), strict=True))
        assert_close(lengths, expected.float(), tolerance=1e-3, what="the lengths", sizes=names)
        cost = (expected - target).square().mean().float()
        assert_close(penalty, cost, tolerance=1e-3, what="the penalty", sizes=names)

    @weight(2)
    @given(call=path_calls())
    @settings(max_examples=6)
    def test_agrees_with_torchs_jacobian(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """For a network that bends, the Jacobian is taken at each image's own style, here by torch.autograd.functional."""
        (_, styles, noise, target), _ = call
        expected = []
        for style, drawn in zip(styles.double(), noise.double(), strict=True):
            jacobian = torch.autograd.functional.jacobian(lambda w: swirl(w[None])[0].flatten(), style)
            expected.append((jacobian.T @ drawn.flatten() / math.sqrt(3)).norm())
        penalty, lengths = pair(student.path_length_penalty(swirl, styles, noise, target))
        assert_close(lengths, torch.stack(expected).float(), tolerance=1e-3, what="the lengths")
        cost = (torch.stack(expected) - target).square().mean().float()
        assert_close(penalty, cost, tolerance=1e-3, what="the penalty", sizes={"batch": len(styles)})

    @weight(4)
    @given(scale=st.sampled_from([0.5, 2.0]), target=st.sampled_from([0.0, 1.0, 3.0]), seed=st.integers(0, 1000))
    @settings(max_examples=5)
    def test_derivative_for_the_network(self, student: Any, scale: float, target: float, seed: int) -> None:
        """Its derivative by a scale of images is the mean of 2 (length − target) length / scale; the lengths have no graph."""
        generator = torch.Generator().manual_seed(seed)
        painter = Painter(3, (2, 2, 3), scale, generator)
        styles, noise = torch.randn(4, 3, generator=generator), torch.randn(4, 2, 2, 3, generator=generator)
        noise[0] = 0  # a length of 0, where a square root has no derivative
        expected = painter.lengths(noise)
        penalty, lengths = pair(student.path_length_penalty(painter, styles, noise, target))
        if lengths.requires_grad:
            fail("The lengths carry a graph, which a running mean of them would keep alive for ever.")
        slope = (2 * (expected - target) * expected / scale).mean().float()
        assert_scalar(penalty, what="the penalty")
        assert_close(gradient(penalty, painter.scale), slope, tolerance=2e-3, what="the derivative by the scale")


# ---- resolution


@exercise("pixel_shuffle", contract=arguments(
    reference.pixel_shuffle, x=st.tuples(sizes(1, 3), st.just(4), sizes(1, 3), sizes(1, 3)).flatmap(tensors),
    factor=st.sampled_from([1, 2]),
))  # fmt: skip
class TestPixelShuffle:
    @required
    @given(channels=sizes(1, 3), height=sizes(1, 3), width=sizes(1, 3), seed=st.integers(0, 1000))
    @settings(max_examples=5)
    def test_every_number_finds_a_place(self, student: Any, channels: int, height: int, width: int, seed: int) -> None:
        """Every number of the input stands once in the output, which is larger by the factor, and gradients flow back."""
        x = torch.randn(
            2, 4 * channels, height, width, generator=torch.Generator().manual_seed(seed), requires_grad=True
        )
        result = student.pixel_shuffle(x, 2)
        assert_shape(result, (2, channels, 2 * height, 2 * width), what="the result")
        there, here = (part.detach().flatten(1).sort(dim=1).values for part in (result, x))
        assert_close(there, here, what="the numbers of each image, sorted,")
        assert_depends(result, x, what="the result", on_what="the input")

    @weight(3)
    @given(
        batch=sizes(1, 3),
        channels=sizes(1, 3),
        height=sizes(1, 4),
        width=sizes(1, 4),
        factor=st.sampled_from([2, 3, 1]),
    )
    @settings(max_examples=8)
    def test_number_by_number(
        self, student: Any, batch: int, channels: int, height: int, width: int, factor: int
    ) -> None:
        """Channel c · r² + i · r + j at (h, w) comes to channel c, row r · h + i and column r · w + j."""
        x = torch.arange(float(batch * channels * factor**2 * height * width)).view(batch, -1, height, width)
        result = student.pixel_shuffle(x, factor)
        assert_shape(result, (batch, channels, factor * height, factor * width), what="the result")
        rows, columns = torch.arange(factor * height), torch.arange(factor * width)
        c = torch.arange(channels)[:, None, None]
        i, j = (rows % factor)[None, :, None], (columns % factor)[None, None, :]
        h, w = (rows // factor)[None, :, None], (columns // factor)[None, None, :]
        assert_close(result, x[:, c * factor**2 + i * factor + j, h, w], what="the result")

    @weight(2)
    @given(x=tensors((2, 18, 2, 3)))
    @settings(max_examples=4)
    def test_undone_by_torch(self, student: Any, x: Tensor) -> None:
        """torch's pixel_unshuffle brings back what was there before, in the dtype that it had."""
        for one in (x, x.double()):
            assert_close(F.pixel_unshuffle(student.pixel_shuffle(one, 3), 3), one, what="what is brought back")

    @weight(3)
    @pytest.mark.parametrize(("channels", "factor"), [(2, 2), (5, 2), (6, 2), (3, 3), (12, 3), (8, 4)])
    def test_refuses_other_numbers_of_channels(self, student: Any, channels: int, factor: int) -> None:
        """A number of channels that is no multiple of r² is a ValueError, and then nothing else is done."""
        try:
            result = student.pixel_shuffle(torch.zeros(4, channels, 6, 6), factor)
        except ValueError:
            return
        fail(f"{channels} channels with factor={factor} should be a ValueError, but it returned {describe(result)}.")


def edges(images: Tensor) -> Tensor:
    """Features (batch, 2, …) that a difference of pixels is not enough to know."""
    return torch.stack([images[..., 1:].square(), images[..., :-1] * images[..., 1:]], dim=1)


def squares(logits: Tensor) -> Tensor:
    """An adversarial loss that is not the reference's default."""
    return (logits - 2).square().mean()


@st.composite
def resolution_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `super_resolution_loss`."""
    batch = draw(sizes(1, 3))
    shape = (batch, draw(sizes(1, 3)), draw(sizes(1, 3)), draw(sizes(2, 4)))
    options = {"features": edges, "adversarial": squares, "weight": draw(st.sampled_from([0.5, 2.0]))}
    return (draw(tensors(shape)), draw(tensors(shape)), draw(tensors(batch))), options


@exercise("super_resolution_loss", contract=resolution_calls())
class TestSuperResolutionLoss:
    @required
    @given(upscaled=tensors((2, 1, 3, 3)), logits=tensors(2), seed=st.integers(0, 1000))
    @settings(max_examples=4)
    def test_falls_as_the_image_becomes_sharp(self, student: Any, upscaled: Tensor, logits: Tensor, seed: int) -> None:
        """It is least for the sharp image itself, and gradients flow back to the image and to the logits."""
        sharp = upscaled + 1 + torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
        upscaled.requires_grad_(), logits.add_(4).requires_grad_()
        options: dict[str, Any] = {"features": lambda x: 2 * x, "adversarial": squares, "weight": 0.5}
        loss = student.super_resolution_loss(upscaled, sharp, logits, **options)
        assert_scalar(loss, what="the loss")
        assert_depends(loss, upscaled, what="the loss", on_what="the upscaled image")
        assert_depends(loss, logits, what="the loss", on_what="the discriminator's logits")
        best = student.super_resolution_loss(sharp, sharp, logits, **options)
        if not best < loss - 0.1:
            fail(f"The sharp image itself costs {describe(best)}, another one costs {describe(loss)}.")

    @weight(4)
    @given(call=resolution_calls())
    @settings(max_examples=10)
    def test_is_the_sum_of_two_parts(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """It is the mean squared difference of the features, over all of them, plus the weighted adversarial loss."""
        (upscaled, sharp, logits), options = call
        ours, theirs = edges(upscaled).flatten().tolist(), edges(sharp).flatten().tolist()
        content = math.fsum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True)) / len(ours)
        expected = torch.tensor(content) + options["weight"] * squares(logits)
        names = dict(zip(("batch", "channels", "height", "width"), upscaled.shape, strict=True))
        loss = student.super_resolution_loss(upscaled, sharp, logits, **options)
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes=names)

    @weight(2)
    @given(images=tensors((2, 2, 2, 3)), logits=tensors(2), weight=st.sampled_from([0.25, 1.0, 4.0]))
    @settings(max_examples=5)
    def test_weight_of_the_adversarial_loss(self, student: Any, images: Tensor, logits: Tensor, weight: float) -> None:
        """For the sharp image itself it is `weight` times what `adversarial` says; without `weight`, a thousandth of it."""
        pieces: dict[str, Any] = {"features": edges, "adversarial": squares}
        said = student.super_resolution_loss(images, images.clone(), logits, weight=weight, **pieces)
        assert_close(said, weight * squares(logits), tolerance=1e-4, what="the loss of the sharp image")
        silent = student.super_resolution_loss(images, images.clone(), 100 * logits, **pieces)
        assert_close(silent, 1e-3 * squares(100 * logits), tolerance=1e-4, what="the same without `weight`")

    @weight(2)
    @given(call=resolution_calls())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """By pixels, the gradient is twice the difference, divided by the number of all pixels."""
        (upscaled, sharp, logits), options = call
        upscaled.requires_grad_(), logits.requires_grad_()
        loss = student.super_resolution_loss(upscaled, sharp, logits, **{**options, "features": lambda x: 1 * x})
        expected = 2 * (upscaled.detach() - sharp) / sharp.numel()
        assert_close(gradient(loss, upscaled), expected, tolerance=1e-4, what="the gradient for the upscaled image")
        slope = options["weight"] * 2 * (logits.detach() - 2) / len(logits)
        assert_close(gradient(loss, logits), slope, tolerance=1e-4, what="the gradient for the logits")
