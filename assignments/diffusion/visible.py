# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import (
    assert_between,
    assert_close,
    assert_depends,
    assert_shape,
    dimensions,
    exercise,
    fail,
    sizes,
    tensors,
)

# Three steps after which 0.64, 0.36 and 0.25 of the signal's power are left: roots that one can work out by hand.
ALPHA_BAR = torch.tensor([0.64, 0.36, 0.25])
BETAS = torch.tensor([0.36, 0.4375, 1 - 0.25 / 0.36])


@exercise("linear_beta_schedule")
class TestLinearBetaSchedule:
    def test_the_paper(self, student):
        """For 1000 steps it goes from 10⁻⁴ to 0.02, and the value in the middle is halfway."""
        betas = student.linear_beta_schedule(1000)
        assert_shape(betas, (1000,), what="the schedule")
        ends = betas[[0, -1]] * torch.tensor([1e4, 50.0])
        assert_close(ends, torch.ones(2), tolerance=1e-3, what="the two ends, times 10⁴ and times 50")
        assert_close((betas[499] + betas[500]) / 2, 0.01005, tolerance=1e-6, what="the middle")

    @given(steps=st.integers(21, 200))
    def test_equal_distances(self, student, steps):
        """There are as many values as steps, each as much above the one before, and none is out of (0, 1)."""
        betas = student.linear_beta_schedule(steps)
        assert_shape(betas, (steps,), what="the schedule")
        rises = betas.diff() * steps
        assert_close(rises, rises[:1].expand(steps - 1), tolerance=1e-4, what="the rise from step to step, times T")
        assert_between(betas, 1e-9, 0.999001, what="the schedule")

    def test_fewer_steps(self, student):
        """A tenth of the steps, ten times the noise at each: 100 steps go from 10⁻³ to 0.2."""
        ends = student.linear_beta_schedule(100)[[0, -1]] * torch.tensor([1e3, 5.0])
        assert_close(ends, torch.ones(2), tolerance=1e-3, what="the two ends, times 10³ and times 5")


@exercise("alpha_bars")
class TestAlphaBars:
    def test_an_example(self, student):
        """After steps of ½, ½ and ¾ there are ½, ¼ and ¹⁄₁₆ of the signal left."""
        result = student.alpha_bars(torch.tensor([0.5, 0.5, 0.75]))
        assert_close(result, torch.tensor([0.5, 0.25, 0.0625]), what="ᾱ", hint="ᾱ[0] is 1 − β[0].")

    @given(steps=sizes(1, 8), percent=st.integers(1, 99))
    def test_equal_steps(self, student, steps, percent):
        """If all β are the same, ᾱ[t] is (1 − β)^(t + 1)."""
        result = student.alpha_bars(torch.full((steps,), percent / 100))
        expected = torch.tensor([(1 - percent / 100) ** (t + 1) for t in range(steps)])
        assert_close(result, expected, what="ᾱ", sizes={"steps": steps})


def alpha_bar_of(betas):
    """ᾱ, step by step."""
    left, result = 1.0, []
    for beta in betas.tolist():
        left *= 1 - beta
        result.append(left)
    return torch.tensor(result)


@exercise("cosine_beta_schedule")
class TestCosineBetaSchedule:
    @given(steps=st.integers(2, 100))
    def test_length_and_range(self, student, steps):
        """There are as many values as steps, rising, all of them in (0, 0.999]."""
        betas = student.cosine_beta_schedule(steps)
        assert_shape(betas, (steps,), what="the schedule")
        assert_between(betas, 1e-9, 0.999001, what="the schedule")
        if (betas.diff() < 0).any():
            fail("The schedule falls somewhere, but each step should add at least as much noise as the one before.")

    def test_without_offset(self, student):
        """Without an offset two steps leave ½ and next to nothing: β is ½, then 0.999 for what would be 1."""
        betas = student.cosine_beta_schedule(2, offset=0.0)
        assert_close(betas, torch.tensor([0.5, 0.999]), tolerance=1e-4, what="the schedule")

    def test_is_a_squared_cosine(self, student):
        """Multiplied up, without offset, 100 steps leave cos²(π/8), ½ and sin²(π/8) after 25, 50 and 75 of them."""
        left = alpha_bar_of(student.cosine_beta_schedule(100, offset=0.0))[[24, 49, 74]]
        expected = torch.tensor([math.cos(math.pi / 8) ** 2, 0.5, math.sin(math.pi / 8) ** 2])
        assert_close(left, expected, tolerance=1e-3, what="ᾱ[24], ᾱ[49] and ᾱ[74]")


@exercise("signal_to_noise")
class TestSignalToNoise:
    def test_an_example(self, student):
        """Signal of ½, ⅘ and ¹⁄₁₀ is once, four times and a ninth of the noise."""
        result = student.signal_to_noise(torch.tensor([0.5, 0.8, 0.1]))
        assert_close(result, torch.tensor([1.0, 4.0, 1 / 9]), tolerance=1e-4, what="the ratio")

    @given(percent=st.integers(1, 99))
    def test_turned_around(self, student, percent):
        """With signal and noise exchanged the ratio is turned upside down."""
        there, back = (student.signal_to_noise(torch.tensor([p / 100]))[0] for p in (percent, 100 - percent))
        assert_close(there * back, torch.tensor(1.0), tolerance=1e-3, what="the product of both ratios")


@exercise("q_sample", contract=False)
class TestQSample:
    @given(x0=tensors((3, 2)))
    def test_without_noise(self, student, x0):
        """Without noise the signal is left by a factor of 0.8, 0.6 and 0.5 at times 0, 1 and 2 of the example."""
        result = student.q_sample(x0, torch.arange(3), torch.zeros(3, 2), ALPHA_BAR)
        assert_close(result, torch.tensor([[0.8], [0.6], [0.5]]) * x0, what="the noisy data", hint="ᾱ is of powers.")

    @given(noise=tensors((2, 3)))
    def test_without_signal(self, student, noise):
        """Where there is no signal, the noise has a factor of 0.6 at time 0 and of 0.8 at time 1."""
        result = student.q_sample(torch.zeros(2, 3), torch.arange(2), noise, ALPHA_BAR)
        assert_close(result, torch.tensor([[0.6], [0.8]]) * noise, what="the noisy data")

    @given(shape=dimensions("batch channels height width"))
    def test_images(self, student, shape):
        """Images keep their shape, whatever it is, and each has a time of its own."""
        sizes = tuple(shape.values())
        t = torch.arange(sizes[0]) % 3
        result = student.q_sample(torch.ones(sizes), t, torch.zeros(sizes), ALPHA_BAR)
        assert_close(result, torch.stack([torch.full(sizes[1:], [0.8, 0.6, 0.5][i]) for i in t.tolist()]), sizes=shape)


@exercise("predict_x0", contract=False)
class TestPredictX0:
    @given(xt=tensors((3, 2)))
    def test_without_noise(self, student, xt):
        """If there is no noise, what is seen is the signal, weakened: it is divided by 0.8, 0.6 and 0.5."""
        result = student.predict_x0(xt, torch.arange(3), torch.zeros(3, 2), ALPHA_BAR)
        assert_close(result, xt / torch.tensor([[0.8], [0.6], [0.5]]), tolerance=1e-4, what="the prediction")

    def test_noise_is_taken_off(self, student):
        """At time 0 of the example 2 = 0.8 · 1 + 0.6 · 2, so the signal was 1."""
        result = student.predict_x0(torch.full((1, 1), 2.0), torch.zeros(1).long(), torch.full((1, 1), 2.0), ALPHA_BAR)
        assert_close(result, torch.ones(1, 1), tolerance=1e-4, what="the prediction")

    @given(xt=tensors((2, 2)))
    def test_clip(self, student, xt):
        """With clip no value is beyond it, and values within are as they are without."""
        t, noise = torch.zeros(2).long(), torch.zeros(2, 2)
        free = student.predict_x0(xt, t, noise, ALPHA_BAR)
        confined = student.predict_x0(xt, t, noise, ALPHA_BAR, clip=1.5)
        assert_close(confined, torch.where(free.abs() < 1.5, free, free.sign() * 1.5), what="the confined prediction")


@exercise("posterior_mean_variance", contract=False)
class TestPosteriorMeanVariance:
    @given(x0=tensors((2, 3)), xt=tensors((2, 3)))
    def test_first_step(self, student, x0, xt):
        """One step above the clean data it is the clean data, and sure of it."""
        mean, variance = student.posterior_mean_variance(x0, xt, torch.zeros(2).long(), BETAS, ALPHA_BAR)
        assert_close(mean, x0, tolerance=1e-4, what="the mean")
        assert_close(variance, torch.zeros(2), what="the variance", hint="Before index 0 stands ᾱ = 1.")

    def test_an_example(self, student):
        """At t = 1 of the example the variance is 0.4375 · 0.36 / 0.64, and the mean weighs x0 by 0.546875, xt by 0.421875."""
        t = torch.ones(2).long()
        x0, xt = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]])
        mean, variance = student.posterior_mean_variance(x0, xt, t, BETAS, ALPHA_BAR)
        assert_close(mean, torch.tensor([[0.546875], [0.421875]]), tolerance=1e-4, what="the mean")
        assert_close(variance, torch.full((2,), 0.24609375), tolerance=1e-4, what="the variance")

    @given(x0=tensors((3, 2, 2)))
    def test_on_the_road(self, student, x0):
        """If xt is the weakened x0, √ᾱ[t] · x0, then the mean is the less weakened, √ᾱ[t−1] · x0."""
        weak, strong = torch.tensor([0.8, 0.6, 0.5]), torch.tensor([1.0, 0.8, 0.6])
        xt = weak.view(3, 1, 1) * x0
        mean, _ = student.posterior_mean_variance(x0, xt, torch.arange(3), BETAS, ALPHA_BAR)
        assert_close(mean, strong.view(3, 1, 1) * x0, tolerance=1e-4, what="the mean")


@exercise("ddpm_loss", contract=False)
class TestDdpmLoss:
    @given(x0=tensors((3, 2)), noise=tensors((3, 2)))
    def test_found(self, student, x0, noise):
        """A model that finds the noise has no loss, one that is wrong by ½ everywhere has ¼."""
        t = torch.zeros(3).long()
        for error in (0.0, 0.5):
            loss = student.ddpm_loss(lambda xt, t, off=error: noise + off, x0, t, noise, ALPHA_BAR)
            assert_close(loss, torch.tensor(error**2), what="the loss")

    @given(x0=tensors((2, 3)), noise=tensors((2, 3)))
    def test_what_the_model_gets(self, student, x0, noise):
        """The model gets the corrupted data and their times."""
        heard = []

        def model(xt, t):
            heard.append((xt, t))
            return torch.zeros_like(xt)

        t = torch.tensor([2, 0])
        student.ddpm_loss(model, x0, t, noise, ALPHA_BAR, corrupt=lambda x0, t, noise, alpha_bar: x0 + 2 * noise)
        assert_close(heard[0][0], x0 + 2 * noise, what="what the model got as xt", hint="Here corrupt is made up.")
        assert_close(heard[0][1], t, what="what the model got as t")

    def test_gradient(self, student):
        """Gradients reach the model's parameters."""
        scale = torch.ones((), requires_grad=True)
        t = torch.zeros(3).long()
        loss = student.ddpm_loss(lambda xt, t: scale * xt, torch.ones(3, 2), t, torch.ones(3, 2), ALPHA_BAR)
        assert_depends(loss, scale, what="the loss", on_what="the model's parameter")


@exercise("timestep_embedding", contract=False)
class TestTimestepEmbedding:
    @given(batch=sizes(), half=sizes())
    def test_at_zero(self, student, batch, half):
        """At time 0 all sines are 0 and all cosines 1: zeros, then ones."""
        result = student.timestep_embedding(torch.zeros(batch).long(), 2 * half)
        expected = torch.cat([torch.zeros(batch, half), torch.ones(batch, half)], dim=1)
        assert_close(result, expected, what="the embedding", sizes={"batch": batch, "half": half})

    @given(t=st.integers(0, 1000))
    def test_fast_and_slow(self, student, t):
        """With four numbers and a period of 100 the frequencies are 1 and 1/10."""
        result = student.timestep_embedding(torch.tensor([t]), 4, max_period=100.0)
        expected = [[math.sin(t), math.sin(t / 10), math.cos(t), math.cos(t / 10)]]
        assert_close(result, torch.tensor(expected), tolerance=1e-3, what="the embedding")


class Linear(nn.Module):
    """A stand-in for a network: the noise as a straight line in x, whatever the time."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, xt, t):
        """The noise that is believed to be in xt."""
        return self.scale * xt + self.shift


def train(student, seed, **options):
    """Train the stand-in on data that are all 2, with a stand-in for the loss; returns what `train_diffusion` returns."""

    def loss(model, x0, t, noise, alpha_bar):
        rates = alpha_bar[t].view(-1, 1)
        return (model(rates.sqrt() * x0 + (1 - rates).sqrt() * noise, t) - noise).square().mean()

    generator = torch.Generator().manual_seed(seed)
    images = torch.full((20, 2), 2.0)
    return student.train_diffusion(Linear(), images, ALPHA_BAR, generator=generator, loss=loss, **options)


@exercise("train_diffusion", contract=False)
class TestTrainDiffusion:
    def test_learns(self, student):
        """Training lowers the mean loss: the last epochs' is well below the first's."""
        history = train(student, 0, epochs=30, batch_size=5, learning_rate=0.03)
        if len(history) != 30:
            fail(f"30 epochs should give a list of 30 numbers, but it has {len(history)}.")
        last = sum(history[-5:]) / 5
        if not last < history[0] - 0.3:
            fail(f"The mean loss was {history[0]:.2f} in the first epoch and {last:.2f} in the last five.")

    @given(seed=st.integers(0, 100))
    @settings(max_examples=3)
    def test_can_be_repeated(self, student, seed):
        """Equal generators give equal trainings."""
        first, second = (train(student, seed, epochs=2, batch_size=8) for _ in range(2))
        assert_close(second, first, tolerance=0, what="what the second training returns")

    def test_reports_each_epoch(self, student):
        """After each epoch on_epoch hears its number, from 0, and its mean loss."""
        heard = []
        history = train(student, 0, epochs=3, batch_size=8, on_epoch=lambda *news: heard.append(news))
        assert_close(heard, list(enumerate(history)), what="what on_epoch heard")


@exercise("ddpm_step", contract=False)
class TestDdpmStep:
    @given(xt=tensors((2, 3)), noise=tensors((2, 3)))
    def test_the_last_step_adds_nothing(self, student, xt, noise):
        """At t = 0 the noise that is passed in does not matter: the result is the predicted clean data."""
        zeros = torch.zeros(2, 3)
        result = student.ddpm_step(xt, torch.zeros(2).long(), zeros, noise, BETAS, ALPHA_BAR)
        assert_close(result, xt / 0.8, tolerance=1e-4, what="x at time −1")

    @given(noise=tensors((3, 2)))
    def test_what_is_added(self, student, noise):
        """At t = 1 of the example the noise is added with the standard deviation √0.24609375."""
        zeros = torch.zeros(3, 2)
        result = student.ddpm_step(zeros, torch.ones(3).long(), zeros, noise, BETAS, ALPHA_BAR)
        assert_close(result, math.sqrt(0.24609375) * noise, tolerance=1e-4, what="x at time 0")

    def test_equation_11(self, student):
        """At t = 1 of the example (xt − 0.4375 / 0.8 · predicted) / 0.75 is the mean."""
        xt, predicted = torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0], [-1.5]])
        result = student.ddpm_step(xt, torch.ones(2).long(), predicted, torch.zeros(2, 1), BETAS, ALPHA_BAR)
        assert_close(result, torch.tensor([[4.0], [1.09375]]), tolerance=1e-4, what="x at time 0")


@exercise("generate", contract=False)
class TestGenerate:
    def test_the_walk(self, student):
        """The model and the step hear every time in order, and the step what follows, in the end −1."""
        heard = []

        def model(x, t):
            heard.append(t)
            return 10 * x

        def step(x, t, following, predicted):
            heard.extend([following, predicted])
            return x + 1

        result = student.generate(model, torch.zeros(2, 3), [7, 4, 0], step)
        times = [torch.full((2,), time) for time in (7, 4, 4, 0, 0, -1)]
        seen = [torch.full((2, 3), float(x)) for x in (0, 10, 20)]
        expected = [times[0], times[1], seen[0], times[2], times[3], seen[1], times[4], times[5], seen[2]]
        assert_close(heard, expected, what="what model and step heard")
        assert_close(result, torch.full((2, 3), 3.0), what="the result")

    def test_no_graph(self, student):
        """The result carries no graph."""
        weight = torch.ones((), requires_grad=True)
        result = student.generate(lambda x, t: weight * x, torch.ones(2, 3), [1, 0], lambda x, t, s, e: x - e / 2)
        if result.requires_grad:
            fail("The samples require grad, though nothing will be trained with them.")


@exercise("ddim_step", contract=False)
class TestDdimStep:
    @given(x0=tensors((3, 2)), noise=tensors((3, 2)))
    def test_along_the_road(self, student, x0, noise):
        """If the noise is told right, it goes from 0.5 · x0 + √0.75 · ε to 0.8 · x0 + 0.6 · ε: less noise, the same."""
        xt = 0.5 * x0 + math.sqrt(0.75) * noise
        result = student.ddim_step(xt, torch.full((3,), 2), torch.zeros(3).long(), noise, ALPHA_BAR)
        assert_close(result, 0.8 * x0 + 0.6 * noise, tolerance=1e-4, what="x at time 0")

    @given(x0=tensors((2, 3)), noise=tensors((2, 3)))
    def test_to_the_end(self, student, x0, noise):
        """A leap to −1 gives the predicted clean data."""
        xt = 0.6 * x0 + 0.8 * noise
        result = student.ddim_step(xt, torch.ones(2).long(), torch.full((2,), -1), noise, ALPHA_BAR)
        assert_close(result, x0, tolerance=1e-4, what="x at time −1")

    @given(noise=tensors((2, 3)))
    def test_eta(self, student, noise):
        """With η = 1 a step from 1 to 0 adds noise with DDPM's standard deviation, √0.24609375 in the example."""
        zeros, t = torch.zeros(2, 3), torch.ones(2).long()
        result = student.ddim_step(zeros, t, t - 1, zeros, ALPHA_BAR, noise=noise, eta=1.0)
        assert_close(result, math.sqrt(0.24609375) * noise, tolerance=1e-4, what="x at time 0")


@exercise("guided_noise", contract=False)
class TestGuidedNoise:
    @given(xt=tensors((3, 2)), scale=st.integers(-2, 5))
    def test_along_the_difference(self, student, xt, scale):
        """If the label adds 10 to the noise and ∅ adds nothing, then guidance adds 10 · scale."""
        t, labels = torch.tensor([4, 5, 6]), torch.tensor([0, 1, 1])
        result = student.guided_noise(
            lambda xt, t, labels: xt + 10 * (labels != 7).view(-1, 1), xt, t, labels, scale=float(scale), null=7
        )
        assert_close(result, xt + 10.0 * scale, tolerance=1e-4, what="the guided noise")

    @given(xt=tensors((2, 3)))
    def test_everyone_has_his_own(self, student, xt):
        """At scale 1 it is the conditional model: every row with its own time and label."""
        t, labels = torch.tensor([40, 50]), torch.tensor([1, 2])
        result = student.guided_noise(
            lambda xt, t, labels: xt + (t + labels).view(-1, 1), xt, t, labels, scale=1.0, null=0
        )
        assert_close(result, xt + torch.tensor([[41.0], [52.0]]), tolerance=1e-4, what="the guided noise")


@exercise("cross_attention", contract=False)
class TestCrossAttention:
    @given(x=tensors((2, 4, 3)), word=tensors((2, 1, 2)))
    def test_one_word(self, student, x, word):
        """If there is but one word, every pixel reads that word's value."""
        to_q, to_k, to_v = torch.ones(4, 3), torch.ones(4, 2), torch.arange(8.0).view(4, 2)
        result = student.cross_attention(x, word, to_q, to_k, to_v)
        expected = torch.stack([to_v @ row[0] for row in word]).unsqueeze(1).expand(2, 4, 4)
        assert_close(result, expected, tolerance=1e-4, what="what the pixels read")

    def test_two_words(self, student):
        """A head of 4 channels, scores of 0 and 2 · log 3: the second word counts three times as much as the first."""
        x, context = torch.ones(1, 1, 1), torch.tensor([[[0.0], [1.0]]])
        to_q, to_k = torch.ones(4, 1), torch.full((4, 1), math.log(3) / 2)
        result = student.cross_attention(x, context, to_q, to_k, torch.ones(4, 1))
        assert_close(result, torch.full((1, 1, 4), 0.75), tolerance=1e-4, what="what the pixel reads")

    @given(x=tensors((2, 2, 3)), context=tensors((2, 3, 2)), other=tensors((2, 3, 2)))
    def test_padding(self, student, x, context, other):
        """What stands at padding does not matter."""
        mask = torch.tensor([[True, True, False], [False, True, False]])
        weights = torch.linspace(-1, 1, 12).view(4, 3), torch.linspace(1, 2, 8).view(4, 2), torch.ones(4, 2)
        changed = torch.where(mask.unsqueeze(2), context, other)
        first, second = (student.cross_attention(x, c, *weights, heads=2, mask=mask) for c in (context, changed))
        assert_close(second, first, what="what the pixels read with other words at padding")


@exercise("to_latents", contract=False)
class TestToLatents:
    @given(images=tensors((2, 3), low=0, high=1))
    def test_the_encoder_sees_both_signs(self, student, images):
        """The encoder gets pixels from −1 to 1, and its means are scaled."""
        result = student.to_latents(images, lambda x: (x, torch.zeros_like(x)), torch.zeros(2, 3), scale=0.5)
        assert_close(result, images - 0.5, what="the latents", hint="Here mu is what the encoder got.")

    @given(noise=tensors((3, 2)))
    def test_noise(self, student, noise):
        """The noise is scaled by σ, and with the mean by `scale`: at σ = 2 and scale 3 by 6."""
        result = student.to_latents(
            torch.ones(3, 4), lambda x: (torch.zeros(3, 2), torch.full((3, 2), math.log(4))), noise, scale=3.0
        )
        assert_close(result, 6 * noise, tolerance=1e-4, what="the latents")


@exercise("from_latents", contract=False)
class TestFromLatents:
    @given(x=tensors((2, 3), low=-1, high=1))
    def test_back_to_pixels(self, student, x):
        """The decoder gets latents without the scale, and −1 to 1 become 0 to 1."""
        result = student.from_latents(4 * x, lambda z: z, scale=4.0)
        assert_close(result, x / 2 + 0.5, what="the pixels", hint="Here the decoder returns what it got.")

    def test_confined(self, student):
        """Whatever the decoder says, pixels stay in [0, 1]."""
        result = student.from_latents(torch.zeros(1, 3), lambda z: torch.tensor([[-9.0, 0.0, 9.0]]), scale=2.0)
        assert_close(result, torch.tensor([[0.0, 0.5, 1.0]]), what="the pixels")


@exercise("frechet_distance", contract=False)
class TestFrechetDistance:
    @given(real=tensors((6, 3)), shift=tensors(3))
    def test_shifted(self, student, real, shift):
        """The same points elsewhere: it is the squared length of the shift."""
        distance = student.frechet_distance(real, real + shift)
        assert_close(distance, shift.square().sum(), tolerance=1e-2, what="the distance")

    def test_one_dimension(self, student):
        """On a line it is (μ₁ − μ₂)² + (σ₁ − σ₂)²: variances of 1 and 9 give 4."""
        real = torch.tensor([[-1.0], [0.0], [1.0]])
        distance = student.frechet_distance(real, 3 * real)
        assert_close(
            distance, torch.tensor(4.0), tolerance=1e-3, what="the distance", hint="Covariances divide by n − 1."
        )

    @given(real=tensors((7, 2)), generated=tensors((5, 2)))
    def test_symmetric(self, student, real, generated):
        """It is the same both ways, and never below zero."""
        there, back = student.frechet_distance(real, generated), student.frechet_distance(generated, real)
        assert_close(back, there, tolerance=1e-2, what="the distance the other way")
        if there < -1e-2:
            fail(f"The distance is negative: {there:.4f}.")


@exercise("precision_recall", contract=False)
class TestPrecisionRecall:
    @given(points=tensors((6, 2)))
    def test_the_same_points(self, student, points):
        """Of a set and itself both are 1."""
        pair = student.precision_recall(points, points.clone(), k=2)
        assert_close(list(pair), [1.0, 1.0], what="precision and recall")

    def test_one_mode_is_missing(self, student):
        """Samples from one of two clusters: all look real, but only half of reality is covered."""
        cluster = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        real = torch.cat([cluster, cluster + 100])
        pair = student.precision_recall(real, 0.9 * cluster + 0.05, k=2)
        assert_close(list(pair), [1.0, 0.5], what="precision and recall")

    def test_the_radius(self, student):
        """With k = 1 a ball reaches to the nearest other point: −0.5 lies in that of 0, whose neighbour is at 1."""
        real = torch.tensor([[0.0], [1.0], [10.0], [12.0]])
        samples = torch.tensor([[-0.5], [-1.5], [8.5], [30.0]])
        precision, _ = student.precision_recall(real, samples, k=1)
        assert_close(precision, 0.5, what="the precision", hint="Its own distance of 0 is no neighbour's.")
