# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import (
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_shape,
    exercise,
    fail,
    generators,
    sizes,
    tensors,
)


@exercise("discriminator_loss")
class TestDiscriminatorLoss:
    @given(real=sizes(), fake=sizes())
    def test_a_coin_costs_two_logs(self, student, real, fake):
        """A discriminator that tosses a coin, all logits 0, pays log 2 for real and log 2 for fake images."""
        loss = student.discriminator_loss(torch.zeros(real), torch.zeros(fake))
        assert_close(loss, torch.tensor(2 * math.log(2)), what="the loss")

    @given(real=tensors(3), fake=tensors(3))
    def test_trading_places(self, student, real, fake):
        """Whoever takes real for fake and turns all logits round pays the same."""
        assert_close(student.discriminator_loss(-fake, -real), student.discriminator_loss(real, fake), what="the loss")

    @given(real=tensors(3), fake=tensors(2))
    def test_smoothing(self, student, real, fake):
        """A label of 0.9 instead of 1 adds 0.1 times the mean real logit; it changes nothing for fake images."""
        plain, smooth = student.discriminator_loss(real, fake), student.discriminator_loss(real, fake, 0.9)
        assert_close(smooth - plain, 0.1 * real.mean(), tolerance=1e-4, what="what smoothing adds")

    def test_certainty(self, student):
        """Certain and right costs nothing, certain and wrong costs the logits, with finite gradients both times."""
        logits = torch.tensor([1e4, 1e4, 1e4], requires_grad=True)
        right = student.discriminator_loss(logits, -logits)
        wrong = student.discriminator_loss(-logits, logits)
        assert_close(torch.stack([right, wrong]), torch.tensor([0.0, 2e4]), what="the losses, right and wrong")
        (right + wrong).backward()
        assert_finite(logits.grad, what="the gradient with respect to the logits")


@exercise("minimax_generator_loss")
class TestMinimaxGeneratorLoss:
    @given(batch=sizes())
    def test_a_coin(self, student, batch):
        """Against a coin, all logits 0, it is −log 2."""
        loss = student.minimax_generator_loss(torch.zeros(batch))
        assert_close(loss, torch.tensor(-math.log(2)), what="the loss")

    @given(logits=tensors(3))
    def test_zero_sum(self, student, logits):
        """A logit and its negative, together: log(1 − σ(a)) − log(1 − σ(−a)) is −a."""
        difference = student.minimax_generator_loss(logits) - student.minimax_generator_loss(-logits)
        assert_close(difference, -logits.mean(), tolerance=1e-4, what="the difference of the two losses")

    def test_certainty(self, student):
        """Found out (logits of −10⁴) it is 0; believed (10⁴) it is −10⁴; gradients are finite."""
        logits = torch.tensor([-1e4, -1e4], requires_grad=True)
        losses = [student.minimax_generator_loss(logits), student.minimax_generator_loss(-logits)]
        assert_close(torch.stack(losses), torch.tensor([0.0, -1e4]), what="the losses")
        sum(losses).backward()
        assert_finite(logits.grad, what="the gradient with respect to the logits")


@exercise("nonsaturating_generator_loss")
class TestNonsaturatingGeneratorLoss:
    @given(batch=sizes())
    def test_a_coin(self, student, batch):
        """Against a coin, all logits 0, it is log 2."""
        loss = student.nonsaturating_generator_loss(torch.zeros(batch))
        assert_close(loss, torch.tensor(math.log(2)), what="the loss")

    def test_learns_when_found_out(self, student):
        """Found out, with a logit of −10⁴, it is 10⁴, and its gradient is −1: as strong as it ever gets."""
        logits = torch.tensor([-1e4], requires_grad=True)
        loss = student.nonsaturating_generator_loss(logits)
        assert_close(loss, torch.tensor(1e4), what="the loss")
        loss.backward()
        assert_close(logits.grad, torch.tensor([-1.0]), what="the gradient with respect to the logit")

    @given(logits=tensors(3))
    def test_falls_where_the_logit_rises(self, student, logits):
        """Every logit that rises lowers the loss."""
        logits.requires_grad_()
        student.nonsaturating_generator_loss(logits).backward()
        assert_between(logits.grad, high=-1e-4, tolerance=0, what="the gradient with respect to the logits")


class Shift(nn.Module):
    """A generator that knows how to spread points, and has to learn where to put them."""

    def __init__(self) -> None:
        super().__init__()
        self.middle = nn.Parameter(torch.zeros(2))

    def forward(self, z):
        """Noise, moved to the middle."""
        return z + self.middle


class Judge(nn.Module):
    """A discriminator of points: one logit for each."""

    def __init__(self) -> None:
        super().__init__()
        self.logit = nn.Linear(2, 1)

    def forward(self, x):
        """The logits (batch,)."""
        return self.logit(x).squeeze(1)


def train(student, seed: int, **options):
    """Train small networks on points around (2, −1); returns them and what `train_gan` returns."""
    torch.manual_seed(0)
    generator, discriminator = Shift(), Judge()
    points = torch.tensor([2.0, -1.0]) + torch.randn(200, 2)
    losses = {
        "d_loss": lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        "g_loss": lambda fake: F.softplus(-fake).mean(),
    }
    options = {"learning_rate": 0.1, **losses, **options}
    rng = torch.Generator().manual_seed(seed)
    history = student.train_gan(generator, discriminator, points, latent_dim=2, rng=rng, **options)
    return generator, discriminator, history


@exercise("train_gan", contract=False)
class TestTrainGan:
    def test_learns(self, student):
        """A generator that starts around (0, 0) finds points that lie around (2, −1)."""
        generator, _, history = train(student, 0, steps=150)
        if len(history) != 150:
            fail(f"150 steps should give a list of 150 pairs, but it has {len(history)}.")
        distance = (generator.middle.detach() - torch.tensor([2.0, -1.0])).norm()
        assert_between(distance, high=1.0, what="the distance from where the data are, 2.24 at the start,")

    @given(seed=st.integers(0, 100))
    @settings(max_examples=2)
    def test_can_be_repeated(self, student, seed):
        """Equal generators of random numbers give equal trainings."""
        first, second = (train(student, seed, steps=3)[2] for _ in range(2))
        assert_close(second, first, tolerance=0, what="what the second training returns")

    def test_each_trains_its_own(self, student):
        """The discriminator's part leaves the generator alone: with nothing to learn in its own part it stays as it is."""
        generator, discriminator, _ = train(student, 0, steps=2, critic_steps=3, g_loss=lambda fake: 0 * fake.mean())
        assert_close(generator.middle.detach(), torch.zeros(2), what="what the generator has learned")
        torch.manual_seed(0)
        if torch.equal(discriminator.logit.weight, Judge().logit.weight):
            fail("The discriminator has learned nothing in six steps.")

    def test_the_penalty_counts(self, student):
        """What `penalty` says of the discriminator, the real and the fake points is added to the discriminator's loss."""
        judges = []

        def penalty(discriminator, real, fake):
            judges.append((tuple(real.shape), tuple(fake.shape)))
            return 100 + 0 * discriminator(real).sum()

        plain, fined = (train(student, 0, steps=1, batch_size=5, penalty=p)[2] for p in (None, penalty))
        assert_close(judges, [((5, 2), (5, 2))], what="the shapes of the real and the fake points")
        assert_close(fined[0][0] - plain[0][0], 100.0, tolerance=1e-3, what="what a penalty of 100 adds")

    def test_on_step(self, student):
        """After each step on_step hears its number, from 0, and the two losses."""
        heard = []
        _, _, history = train(student, 0, steps=3, on_step=lambda *news: heard.append(news))
        assert_close(heard, [(i, *pair) for i, pair in enumerate(history)], what="what on_step heard")


@exercise("mode_coverage")
class TestModeCoverage:
    def test_two_of_three(self, student):
        """Samples at two of three modes, and one in between: 2 modes, 75% good."""
        modes = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
        samples = torch.tensor([[0.1, 0.0], [10.0, 0.2], [9.9, 0.0], [5.0, 0.0]])
        assert_close(student.mode_coverage(samples, modes, 0.1), (2, 0.75), what="the pair")

    @given(dim=sizes(), modes=sizes(), samples=sizes())
    def test_far_away(self, student, dim, modes, samples):
        """Samples far from everything cover nothing."""
        pair = student.mode_coverage(torch.full((samples, dim), 100.0), torch.randn(modes, dim), 1.0)
        assert_close(pair, (0, 0.0), what="the pair")

    def test_three_standard_deviations(self, student):
        """2.9 standard deviations are good, 3.1 are not, along an axis and across."""
        across = torch.tensor([[1.0, 1.0]]) / math.sqrt(2)
        samples = torch.cat([2.9 * 0.5 * across, 3.1 * 0.5 * across])
        assert_close(student.mode_coverage(samples, torch.zeros(1, 2), 0.5), (1, 0.5), what="the pair")


@exercise("wasserstein_critic_loss")
class TestWassersteinCriticLoss:
    @given(real=sizes().flatmap(tensors), fake=sizes().flatmap(tensors))
    def test_means(self, student, real, fake):
        """It is the mean fake score minus the mean real one, however many there are of each."""
        expected = sum(fake.tolist()) / len(fake) - sum(real.tolist()) / len(real)
        loss = student.wasserstein_critic_loss(real, fake)
        assert_shape(loss, (), what="the loss")
        assert_close(loss, expected, what="the loss", sizes={"real": len(real), "fake": len(fake)})

    @given(real=tensors(3), fake=tensors(2), level=st.integers(-100, 100))
    def test_level(self, student, real, fake, level):
        """Only differences count: raising all scores by the same changes nothing."""
        raised = student.wasserstein_critic_loss(real + level, fake + level)
        assert_close(raised, student.wasserstein_critic_loss(real, fake), tolerance=1e-3, what="the loss")


@exercise("wasserstein_generator_loss")
class TestWassersteinGeneratorLoss:
    @given(scores=sizes().flatmap(tensors))
    def test_mean(self, student, scores):
        """It is minus the mean score."""
        loss = student.wasserstein_generator_loss(scores)
        assert_shape(loss, (), what="the loss")
        assert_close(loss, -sum(scores.tolist()) / len(scores), what="the loss", sizes={"batch": len(scores)})

    @given(scores=tensors(4))
    def test_gradient(self, student, scores):
        """Its gradient is −1/batch for every score: it never saturates."""
        scores.requires_grad_()
        student.wasserstein_generator_loss(scores).backward()
        assert_close(scores.grad, torch.full((4,), -0.25), what="the gradient with respect to the scores")


@exercise("gradient_penalty", contract=False)
class TestGradientPenalty:
    @given(slope=st.integers(0, 5), batch=sizes(), rng=generators())
    def test_linear_critic(self, student, slope, batch, rng):
        """A critic that is linear with a slope of length c everywhere is penalised by (c − 1)²."""
        direction = F.normalize(torch.arange(1.0, 25.0), dim=0).view(2, 3, 4)
        real, fake = torch.randn(2, batch, 2, 3, 4)
        penalty = student.gradient_penalty(lambda x: (slope * direction * x).sum((1, 2, 3)), real, fake, rng)
        assert_close(penalty, torch.tensor((slope - 1.0) ** 2), tolerance=1e-3, what="the penalty")

    @given(rng=generators())
    def test_one_number_for_each_sample(self, student, rng):
        """The critic sees points between real and fake, each sample at a place of its own, all its numbers at the same."""
        seen = []

        def critic(x):
            seen.append(x.detach())
            return x.flatten(1).sum(1)

        student.gradient_penalty(critic, torch.zeros(8, 1, 4, 4), torch.ones(8, 1, 4, 4), rng)
        place = seen[0].flatten(1)
        assert_shape(seen[0], (8, 1, 4, 4), what="what the critic saw")
        assert_close(place, place[:, :1].expand(8, 16), what="ε within a sample", hint="One ε for each sample.")
        assert_between(place, 0, 1, what="the way from one end to the other")
        if place[:, 0].unique().numel() < 8:
            fail("Several samples have the same ε: each should have its own.")

    def test_reaches_the_critic(self, student):
        """Its gradient reaches the critic: for a slope c it is 2 (c − 1)."""
        slope = torch.tensor(3.0, requires_grad=True)
        rng = torch.Generator().manual_seed(0)
        penalty = student.gradient_penalty(lambda x: slope * x[:, 0], torch.zeros(4, 2), torch.ones(4, 2), rng)
        assert_depends(penalty, slope, what="the penalty", on_what="the critic's weights")
        penalty.backward()
        assert_close(slope.grad, torch.tensor(4.0), tolerance=1e-3, what="the gradient with respect to the slope")


@exercise("r1_penalty", contract=False)
class TestR1Penalty:
    @given(slope=st.integers(0, 5), batch=sizes(), gamma=st.sampled_from([1.0, 2.0, 10.0]))
    def test_linear(self, student, slope, batch, gamma):
        """A discriminator with a slope of length c everywhere is penalised by γ/2 · c²."""
        direction = F.normalize(torch.arange(1.0, 13.0), dim=0).view(1, 3, 4)
        x = torch.randn(batch, 1, 3, 4)
        penalty = student.r1_penalty(lambda x: (slope * direction * x).sum((1, 2, 3)), x, gamma)
        assert_close(penalty, torch.tensor(gamma / 2 * slope**2), tolerance=1e-3, what="the penalty")

    @given(x=tensors((3, 2)))
    def test_at_real_samples(self, student, x):
        """The slope of ½‖x‖² is x, so at real samples x the penalty is γ/2 times their mean squared length."""
        penalty = student.r1_penalty(lambda x: x.square().sum(1) / 2, x, 2.0)
        assert_close(penalty, x.square().sum(1).mean(), tolerance=1e-4, what="the penalty", sizes={"batch": 3})

    def test_reaches_the_discriminator(self, student):
        """Its gradient reaches the discriminator: for a slope c and γ = 10 it is 10 c."""
        slope = torch.tensor(3.0, requires_grad=True)
        penalty = student.r1_penalty(lambda x: slope * x[:, 0], torch.zeros(4, 2))
        assert_depends(penalty, slope, what="the penalty", on_what="the discriminator's weights")
        penalty.backward()
        assert_close(slope.grad, torch.tensor(30.0), tolerance=1e-3, what="the gradient with respect to the slope")


@exercise("spectral_normalize")
class TestSpectralNormalize:
    @given(factor=st.sampled_from([0.5, 2.0, 10.0]))
    def test_diagonal(self, student, factor):
        """diag(3, 2, 1) has the largest singular value 3; after many steps it becomes diag(1, ⅔, ⅓), scaled or not."""
        weight = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
        u = F.normalize(torch.ones(3), dim=0)
        normalized, _ = student.spectral_normalize(factor * weight, u, 30)
        assert_close(normalized, weight / 3, tolerance=1e-4, what="the normalised weight")

    @given(weight=tensors((4, 2, 3, 3)))
    def test_convolution(self, student, weight):
        """Of a convolution's weight it is the matrix (out, everything else) that gets the spectral norm 1."""
        weight = weight + torch.randn(4, 2, 3, 3)
        normalized, u = student.spectral_normalize(weight, F.normalize(torch.randn(4), dim=0), 500)
        assert_shape(normalized, (4, 2, 3, 3), what="the normalised weight")
        assert_close(
            torch.linalg.matrix_norm(normalized.flatten(1), 2), 1.0, tolerance=1e-2, what="its largest singular value"
        )
        assert_close(u.norm(), 1.0, what="the length of u")

    def test_one_step(self, student):
        """One step on diag(2, 1) from (1, 1)/√2 leads to (4, 1)/√17."""
        u = torch.tensor([1.0, 1.0]) / math.sqrt(2)
        _, new = student.spectral_normalize(torch.diag(torch.tensor([2.0, 1.0])), u)
        assert_close(new, torch.tensor([4.0, 1.0]) / math.sqrt(17), what="u after one step")


@exercise("feature_matching_loss")
class TestFeatureMatchingLoss:
    @given(real=tensors((3, 2)))
    def test_order_and_number_do_not_matter(self, student, real):
        """The same images in another order, or twice over, have the same mean: the loss is 0."""
        fake = real.flip(0).repeat(2, 1)
        assert_close(student.feature_matching_loss(real, fake), torch.tensor(0.0), what="the loss")

    @given(batch=sizes(), features=sizes())
    def test_sums_over_features(self, student, batch, features):
        """If every feature is off by 2 on average, it is 4 for each feature."""
        loss = student.feature_matching_loss(torch.zeros(batch, features), torch.full((batch, features), 2.0))
        assert_close(loss, torch.tensor(4.0 * features), what="the loss", sizes={"batch": batch, "features": features})

    @given(real=tensors((2, 3)), fake=tensors((4, 3)))
    def test_reaches_the_images(self, student, real, fake):
        """Gradients reach the features of generated images."""
        fake = (fake + 10).requires_grad_()
        assert_depends(student.feature_matching_loss(real, fake), fake, what="the loss", on_what="the fake features")


def assert_starts_small(network: nn.Module) -> None:
    """Check that weights were drawn from N(0, 0.02²)."""
    weights = [parameter.detach() for parameter in network.parameters() if parameter.ndim > 1]
    if not weights:
        fail("The network has no weights. Make the layers in __init__, as attributes of self.")
    spread = torch.cat([weight.flatten() for weight in weights]).std()
    assert_between(spread, 0.018, 0.022, what="the standard deviation of the weights at the start")


@exercise("DCGANGenerator")
class TestDCGANGenerator:
    @given(batch=sizes(2, 4), channels=sizes(1, 3), size=st.sampled_from([8, 16]))
    @settings(max_examples=4)
    def test_shape_and_range(self, student, batch, channels, size):
        """Codes (batch, latent_dim) become images (batch, channels, size, size), in [−1, 1]."""
        generator = student.DCGANGenerator(5, channels, size, 4)
        images = generator(10 * torch.randn(batch, 5))
        assert_shape(images, (batch, channels, size, size), what="the images")
        assert_between(images, -1, 1, what="a pixel")

    def test_starts_small(self, student):
        """Its weights start as draws from N(0, 0.02²)."""
        assert_starts_small(student.DCGANGenerator(16, 1, 16, 16))

    def test_depends_on_the_code(self, student):
        """Images depend on the code; in evaluation mode each on its own alone."""
        generator = student.DCGANGenerator(5, 1, 8, 8).eval()
        z = torch.randn(3, 5, requires_grad=True)
        images = generator(z)
        assert_depends(images, z, what="the images", on_what="the code")
        assert_close(generator(z[:1]), images[:1], tolerance=1e-4, what="the first image, made alone")


@exercise("DCGANDiscriminator")
class TestDCGANDiscriminator:
    @given(batch=sizes(2, 4), channels=sizes(1, 3), size=st.sampled_from([8, 16]), batch_norm=st.booleans())
    @settings(max_examples=4)
    def test_shape(self, student, batch, channels, size, batch_norm):
        """Images become logits (batch,)."""
        discriminator = student.DCGANDiscriminator(channels, size, 4, batch_norm)
        logits = discriminator(torch.randn(batch, channels, size, size))
        assert_shape(logits, (batch,), what="the logits")

    def test_starts_small(self, student):
        """Its weights start as draws from N(0, 0.02²)."""
        assert_starts_small(student.DCGANDiscriminator(1, 16, 16))

    def test_without_batch_norm(self, student):
        """Without batch normalisation each image is scored by itself, in training mode, too."""
        discriminator = student.DCGANDiscriminator(1, 8, 8, False).train()
        images = torch.randn(3, 1, 8, 8)
        assert_close(discriminator(images[:1]), discriminator(images)[:1], tolerance=1e-4, what="the first logit")

    def test_logits_are_linear_in_the_features(self, student):
        """A logit is a weighted sum of the features: a straight fit of 500 logits leaves nothing over."""
        discriminator = student.DCGANDiscriminator(1, 8, 4).eval()
        with torch.no_grad():
            images = torch.randn(500, 1, 8, 8)
            features, logits = discriminator.features(images), discriminator(images)
        if features.ndim != 2 or len(features) != 500:
            fail(f"The features should be (batch, features), but their shape is {tuple(features.shape)}.")
        given = torch.cat([features, torch.ones(500, 1)], dim=1).double()
        if given.shape[1] < 250:
            left = logits.double() - given @ torch.linalg.pinv(given) @ logits.double()
            assert_between(
                left.abs().max() / logits.std(), high=0.01, what="what is left over, as a share of the spread"
            )


class Echo(nn.Module):
    """A generator that returns the code that it was given."""

    def forward(self, code):
        """The code, as it came."""
        return code


@exercise("ConditionalGenerator")
class TestConditionalGenerator:
    @given(z=tensors((4, 3)), labels=tensors(4, dtype=torch.int64, low=0, high=4))
    def test_code_then_class(self, student, z, labels):
        """The generator is given z, then the vector of the class: the same for the same class, another for another."""
        seen = student.ConditionalGenerator(Echo(), 5, 2)(z, labels)
        assert_shape(seen, (4, 5), what="what the generator is given")
        assert_close(seen[:, :3], z, what="its first part")
        same = labels[:, None] == labels
        equal = (seen[:, None, 3:] == seen[:, 3:]).all(2)
        assert_close(equal, same, what="which pairs of images have the same class vector")

    def test_learns_its_vectors(self, student):
        """The vectors of the classes are parameters, and the generator's are among its own, too."""
        conditional = student.ConditionalGenerator(nn.Linear(4, 3), 5, 2)
        count = sum(parameter.numel() for parameter in conditional.parameters())
        assert_close(count, 5 * 2 + 4 * 3 + 3, what="the number of parameters")


@exercise("matching_aware_loss")
class TestMatchingAwareLoss:
    def test_a_coin(self, student):
        """With all logits 0 it is 2 log 2: the two kinds of wrong pairs share one half each."""
        zeros = torch.zeros(3)
        loss = student.matching_aware_loss(zeros, zeros, zeros)
        assert_close(loss, torch.tensor(2 * math.log(2)), what="the loss")

    @given(real=tensors(3), wrong=tensors(3), fake=tensors(3))
    def test_wrong_is_wrong(self, student, real, wrong, fake):
        """Mismatched and generated pairs count alike."""
        loss = student.matching_aware_loss(real, wrong, fake)
        assert_close(student.matching_aware_loss(real, fake, wrong), loss, what="the loss")

    def test_certainty(self, student):
        """Certain about real, mismatched and generated pairs, and right: 0, with finite gradients."""
        logits = torch.tensor([1e4, 1e4], requires_grad=True)
        loss = student.matching_aware_loss(logits, -logits, -logits)
        assert_close(loss, torch.tensor(0.0), what="the loss")
        loss.backward()
        assert_finite(logits.grad, what="the gradient with respect to the logits")


@exercise("cycle_consistency_loss", contract=False)
class TestCycleConsistencyLoss:
    @given(x=tensors((3, 1, 2, 2)), y=tensors((2, 1, 2, 2)))
    def test_there_and_back(self, student, x, y):
        """Translators that undo one another, doubling and halving, cost nothing."""
        loss = student.cycle_consistency_loss(x, y, lambda x: 2 * x, lambda y: y / 2)
        assert_close(loss, torch.tensor(0.0), what="the loss")

    @given(batch=sizes(), side=sizes())
    def test_sums_over_pixels(self, student, batch, side):
        """Two translators that add 1 and add 2 leave every pixel 3 too high, in both circles."""
        x, y = torch.zeros(batch, 1, side, side), torch.zeros(batch + 1, 1, side, side)
        loss = student.cycle_consistency_loss(x, y, lambda x: x + 1, lambda y: y + 2)
        assert_close(loss, torch.tensor(6.0 * side**2), what="the loss", sizes={"batch": batch, "side": side})

    def test_each_circle(self, student):
        """Each circle begins with its own kind: x through to_y first, y through to_x first."""
        x, y = torch.full((1, 1), 3.0), torch.full((1, 1), -3.0)
        loss = student.cycle_consistency_loss(x, y, F.relu, lambda y: y)
        assert_close(loss, torch.tensor(3.0), what="the loss")


@exercise("identity_loss", contract=False)
class TestIdentityLoss:
    @given(x=tensors((3, 2)), y=tensors((2, 2)))
    def test_already_there(self, student, x, y):
        """Translators that leave everything as it is cost nothing."""
        loss = student.identity_loss(x, y, lambda x: x, lambda y: y)
        assert_close(loss, torch.tensor(0.0), what="the loss")

    @given(batch=sizes(), side=sizes())
    def test_to_y_gets_y(self, student, batch, side):
        """to_y is given y and to_x is given x: adding x − x and y − 1 costs 1 for each number of y."""
        x, y = torch.zeros(batch, side), torch.full((batch + 1, side), 2.0)
        loss = student.identity_loss(x, y, lambda y: y - 1, lambda x: 0 * x)
        assert_close(loss, torch.tensor(1.0 * side), what="the loss", sizes={"batch": batch, "side": side})


@exercise("ImagePool")
class TestImagePool:
    @given(images=tensors((4, 1, 2, 2)), size=st.sampled_from([0, 4, 9]))
    def test_not_full(self, student, images, size):
        """Until it is full, and always with size 0, it gives back what it is given."""
        assert_close(student.ImagePool(size).query(images), images, what="what the pool gives back")

    @given(rng=generators())
    def test_half_are_old(self, student, rng):
        """Full, it gives back the new image or one of the stored ones, which then is gone."""
        pool = student.ImagePool(10)
        pool.query(torch.arange(10.0)[:, None], rng)
        back = pool.query(torch.arange(10.0, 410.0)[:, None], rng)[:, 0]
        old = back != torch.arange(10.0, 410.0)
        assert_between(old.sum(), 140, 260, what="how many of 400 images were exchanged")
        if back.unique().numel() < 400:
            fail("An image came back twice: one that is given back for another should leave the pool.")

    def test_no_graph(self, student):
        """What it gives back carries no graph."""
        if student.ImagePool(2).query(torch.ones(3, 1, requires_grad=True)).requires_grad:
            fail("The images require grad, though they are only there to be judged.")


@exercise("adaptive_instance_norm")
class TestAdaptiveInstanceNorm:
    @given(x=tensors((2, 3, 4, 4)), scale=tensors((2, 3), low=0.5), shift=tensors((2, 3)))
    def test_new_mean_and_spread(self, student, x, scale, shift):
        """Each feature map of each image gets the mean `shift` and the standard deviation `scale`."""
        y = student.adaptive_instance_norm(x + torch.randn(2, 3, 4, 4), scale, shift)
        assert_shape(y, (2, 3, 4, 4), what="the result")
        assert_close(y.mean((2, 3)), shift, tolerance=1e-3, what="the mean of each feature map")
        assert_close(y.std((2, 3), correction=0), scale, tolerance=1e-3, what="the spread of each feature map")

    @given(level=st.integers(-3, 3))
    def test_constant(self, student, level):
        """A constant feature map becomes `shift`, not NaN."""
        y = student.adaptive_instance_norm(torch.full((1, 2, 3, 3), float(level)), torch.ones(1, 2), torch.ones(1, 2))
        assert_close(y, torch.ones(1, 2, 3, 3), tolerance=1e-3, what="the result")


@exercise("MappingNetwork")
class TestMappingNetwork:
    @given(batch=sizes(), latent=sizes(), style=sizes(), layers=sizes())
    @settings(max_examples=5)
    def test_shape(self, student, batch, latent, style, layers):
        """Codes (batch, latent_dim) become styles (batch, style_dim), through that many linear layers."""
        network = student.MappingNetwork(latent, style, layers)
        assert_shape(network(torch.randn(batch, latent)), (batch, style), what="the styles")
        count = sum(parameter.ndim == 2 for parameter in network.parameters())
        assert_close(count, layers, what="the number of weight matrices")

    @given(z=tensors((3, 4)), factor=st.sampled_from([0.5, 3.0, 100.0]))
    def test_length_does_not_matter(self, student, z, factor):
        """A code and the same code, stretched, have the same style."""
        network, z = student.MappingNetwork(4, 6, 2), z + torch.randn(3, 4)
        assert_close(network(factor * z), network(z), tolerance=1e-3, what="the styles of stretched codes")


@exercise("modulated_conv2d", contract=False)
class TestModulatedConv2d:
    @given(x=tensors((2, 3, 4, 5)), style=tensors((2, 3)))
    def test_scaling_the_input(self, student, x, style):
        """Without demodulation it is an ordinary convolution of feature maps that were multiplied by the style."""
        weight = torch.randn(6, 3, 3, 3)
        expected = F.conv2d(x * style[:, :, None, None], weight, padding=1)
        result = student.modulated_conv2d(x, weight, style, demodulate=False)
        assert_close(result, expected, tolerance=1e-3, what="the result")

    @given(x=tensors((2, 3, 4, 4)), factor=st.sampled_from([0.1, 3.0]))
    def test_demodulated(self, student, x, factor):
        """With demodulation a style that is larger throughout changes nothing."""
        weight, style = torch.randn(5, 3, 3, 3), torch.rand(2, 3) + 0.5
        small, large = (student.modulated_conv2d(x, weight, f * style) for f in (1, factor))
        assert_close(large, small, tolerance=1e-3, what="the result for a stretched style")

    def test_each_image_has_its_weight(self, student):
        """Two images with two styles come out as each does alone."""
        x, weight, style = torch.randn(2, 3, 4, 4), torch.randn(5, 3, 1, 1), torch.randn(2, 3)
        both = student.modulated_conv2d(x, weight, style)
        alone = [student.modulated_conv2d(x[[i]], weight, style[[i]]) for i in range(2)]
        assert_close(both, torch.cat(alone), tolerance=1e-3, what="the result")


@exercise("path_length_penalty", contract=False)
class TestPathLengthPenalty:
    @given(slope=st.integers(0, 4), target=st.sampled_from([0.0, 1.0, 2.5]))
    def test_linear(self, student, slope, target):
        """If every pixel is slope · w₀, then Jᵀy is slope times the sum of y = noise / √(height · width)."""
        noise = torch.randn(3, 1, 2, 8)
        lengths = slope * noise.sum((1, 2, 3)).abs() / 4
        result = student.path_length_penalty(
            lambda w: (slope * w[:, 0]).view(-1, 1, 1, 1).expand(-1, 1, 2, 8), torch.randn(3, 5), noise, target
        )
        expected = ((lengths - target).square().mean(), lengths)
        assert_close(result, expected, tolerance=1e-3, what="the pair (penalty, lengths)")

    def test_reaches_the_network(self, student):
        """The gradient of the penalty reaches the network; the lengths carry no graph."""
        slope = torch.tensor(2.0, requires_grad=True)
        penalty, lengths = student.path_length_penalty(
            lambda w: slope * w.view(-1, 1, 2, 2), torch.randn(3, 4), torch.randn(3, 1, 2, 2), 1.0
        )
        assert_depends(penalty, slope, what="the penalty", on_what="the network's weights")
        if lengths.requires_grad:
            fail("The lengths require grad: the running mean would drag every past step along.")


@exercise("pixel_shuffle", contract=False)
class TestPixelShuffle:
    def test_four_channels(self, student):
        """Four channels of one pixel, 0 1 2 3, become two rows, 0 1 and 2 3."""
        result = student.pixel_shuffle(torch.arange(4.0).view(1, 4, 1, 1), 2)
        assert_close(result, torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), what="the result")

    @given(channels=sizes(1, 3), height=sizes(), width=sizes(), factor=sizes(1, 3))
    def test_shape(self, student, channels, height, width, factor):
        """Channels go down by r², height and width up by r each, and every number is kept."""
        x = torch.randn(2, channels * factor**2, height, width)
        result = student.pixel_shuffle(x, factor)
        assert_shape(result, (2, channels, factor * height, factor * width), what="the result")
        assert_close(result.flatten().sort().values, x.flatten().sort().values, what="the numbers, sorted")

    def test_not_enough_channels(self, student):
        """Six channels are no multiple of four: a ValueError."""
        with pytest.raises(ValueError):
            student.pixel_shuffle(torch.zeros(1, 6, 2, 2), 2)


@exercise("super_resolution_loss", contract=False)
class TestSuperResolutionLoss:
    @given(sharp=tensors((2, 1, 2, 2)), weight=st.sampled_from([0.0, 0.5, 1.0]))
    def test_parts(self, student, sharp, weight):
        """Images that are off by 2 in every feature cost 4, and the adversarial loss comes on top, weighted."""
        loss = student.super_resolution_loss(
            sharp + 1, sharp, torch.zeros(2), features=lambda x: 2 * x, weight=weight,
            adversarial=lambda logits: (logits + 3).mean(),
        )  # fmt: skip
        assert_close(loss, torch.tensor(4 + 3 * weight), tolerance=1e-4, what="the loss")

    def test_gradients(self, student):
        """Gradients reach the upscaled image and the logits."""
        upscaled, logits = torch.ones(2, 1, 2, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
        loss = student.super_resolution_loss(
            upscaled, torch.zeros(2, 1, 2, 2), logits, features=lambda x: x, adversarial=lambda logits: -logits.mean()
        )
        assert_depends(loss, upscaled, what="the loss", on_what="the upscaled images")
        assert_depends(loss, logits, what="the loss", on_what="the discriminator's logits")
