# ruff: noqa: D101
"""Hidden properties of `diffusion`."""

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import get_timestep_embedding
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal

from autograder.properties.distributions import standard_normal_nodes
from autograder.properties.networks import redraw
from coursekit.data import load_digits
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
    sizes,
    tensors,
    weight,
)
from solutions import diffusion as reference

DIGITS = 2 * load_digits("bundled").train[:96] - 1
# What a function that builds on earlier exercises is given, so that a mistake in those costs once.
PIECES: dict[str, Callable] = {
    "predict": reference.predict_x0,
    "posterior": reference.posterior_mean_variance,
}
SHAPES = st.sampled_from([(3,), (2, 2), (1, 2, 3), ()])


@dataclass(frozen=True)
class Noisy:
    """Data at a time of their own each, with noise, and the schedule that says how much of it."""

    x0: Tensor
    t: Tensor
    noise: Tensor
    betas: Tensor

    @property
    def alpha_bar(self) -> Tensor:
        """ᾱ, by multiplying step by step."""
        return torch.tensor(list(itertools.accumulate((1 - self.betas.double()).tolist(), float.__mul__))).float()

    @property
    def xt(self) -> Tensor:
        """The noisy data, one step of the chain after the other."""
        rows = []
        for x0, t, noise in zip(self.x0.double(), self.t.tolist(), self.noise.double(), strict=True):
            mean, variance = x0, 0.0
            for beta in self.betas[: t + 1].tolist():
                mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
            rows.append(mean + math.sqrt(variance) * noise)
        return torch.stack(rows).float()

    @property
    def given(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The arguments of `q_sample`."""
        return self.x0, self.t, self.noise, self.alpha_bar


def schedules(low: int = 2, high: int = 6, least: float = 1 / 32) -> st.SearchStrategy[Tensor]:
    """Variances β of a few steps, in no order, from `least` to ½: large enough for any way to calculate with them."""
    return st.integers(low, high).flatmap(lambda steps: tensors(steps, low=least, high=0.5))


@st.composite
def noisy(
    draw: st.DrawFn,
    *,
    batch: st.SearchStrategy[int] | None = None,
    shape: st.SearchStrategy[tuple[int, ...]] = SHAPES,
    first: int = 0,
) -> Noisy:
    """Noisy data, at times from `first` on."""
    betas = draw(schedules(max(2, first + 1)))
    size = (draw(sizes(1, 4) if batch is None else batch), *draw(shape))
    t = draw(tensors(size[0], dtype=torch.int64, low=first, high=len(betas) - 1))
    return Noisy(draw(tensors(size)), t, draw(tensors(size)), betas)


def scheduler(kind: type, betas: Tensor, **options: Any) -> Any:
    """A scheduler of the library with these β."""
    return kind(num_train_timesteps=len(betas), trained_betas=betas.tolist(), **options)


def detached(value: Any) -> Any:
    """A tensor cut off from its graph; anything else as it is, for assert_close to refuse."""
    return value.detach() if isinstance(value, Tensor) else value


def each_row(call: Callable[..., Any], *batched: Tensor) -> Tensor:
    """What a function gives for each row by itself, in one tensor."""
    return torch.cat([detached(call(*[part[row : row + 1] for part in batched])) for row in range(len(batched[0]))])


# ---- noise schedules


def assert_betas(actual: Any, expected: Any, *, hint: str | None = None, what: str = "1000 · β") -> None:
    """Compare variances of which the smallest count as well: to a millionth, or to a thousandth of their size."""
    assert_shape(actual, (len(expected),), what="β")
    expected = torch.as_tensor(expected, dtype=torch.float64)
    assert_close(1000 * actual.double(), 1000 * expected, tolerance=1e-3, what=what, hint=hint)


@exercise("linear_beta_schedule", contract=st.integers(2, 12).map(lambda steps: ((steps,), {})))
class TestLinearBetaSchedule:
    @required
    @given(steps=st.integers(3, 400))
    @settings(max_examples=6)
    def test_are_growing_variances(self, student: Any, steps: int) -> None:
        """It gives one variance for each step, between 0 and 1, none smaller than the one before, the last one larger."""
        betas = student.linear_beta_schedule(steps)
        assert_shape(betas, (steps,), what="β")
        assert_between(betas, 1e-7, 0.9999, tolerance=0, what="β")
        assert_between(betas[1:] - betas[:-1], 0, tolerance=1e-7, what="how much β grows from step to step")
        if not betas[-1] > 1.5 * betas[0]:
            fail(f"β begins with {describe(betas[0])} and ends with {describe(betas[-1])}: it should grow.")

    @weight(2)
    def test_equals_diffusers_at_a_thousand_steps(self, student: Any) -> None:
        """For 1000 steps it is the linear schedule of diffusers' DDPMScheduler."""
        expected = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear").betas
        assert_betas(student.linear_beta_schedule(1000), expected)

    @weight(3)
    @given(steps=st.integers(60, 2000), start=st.integers(1, 20), end=st.integers(1, 400))
    @settings(max_examples=8)
    def test_is_a_straight_line_between_its_ends(self, student: Any, steps: int, start: int, end: int) -> None:
        """For T steps it goes from 1000/T · start to 1000/T · end in equal differences, both ends included."""
        first, last = start * 1e-4, end * 1e-4
        rise = 1000 / steps * (last - first) / (steps - 1)
        line = list(itertools.accumulate([1000 / steps * first, *[rise] * (steps - 1)]))
        assert_betas(student.linear_beta_schedule(steps, start=first, end=last), line)

    @given(steps=st.integers(25, 1500))
    @settings(max_examples=6)
    def test_destroys_as_much_in_any_number_of_steps(self, student: Any, steps: int) -> None:
        """However many steps there are, all β together are 10.05, as in the paper's thousand steps."""
        betas = student.linear_beta_schedule(steps)
        assert_shape(betas, (steps,), what="β")
        assert_close(betas.double().sum(), 10.05, tolerance=1e-4, what="the sum of all β")

    @weight(4)
    @given(steps=st.integers(2, 19), end=st.sampled_from([0.02, 0.03, 0.2]))
    @settings(max_examples=8)
    def test_no_value_above_the_limit(self, student: Any, steps: int, end: float) -> None:
        """Where the straight line rises above 0.999 the value is 0.999, and below that the line is what it was."""
        line = [1000 / steps * (1e-4 + (end - 1e-4) * t / (steps - 1)) for t in range(steps)]
        betas = student.linear_beta_schedule(steps, end=end)
        assert_betas(betas, [min(0.999, value) for value in line])

    @given(steps=st.integers(2, 50))
    @settings(max_examples=2)
    def test_is_a_float32_tensor(self, student: Any, steps: int) -> None:
        """It is a float32 tensor on the CPU."""
        betas = student.linear_beta_schedule(steps)
        assert_shape(betas, (steps,), what="β")
        if betas.dtype != torch.float32 or betas.device.type != "cpu":
            fail(f"β should be float32 and on the CPU, but it is {betas.dtype} and on {betas.device}.")


@exercise("alpha_bars", contract=schedules(1).map(lambda betas: ((betas,), {})))
class TestAlphaBars:
    @required
    @given(betas=schedules(2))
    @settings(max_examples=5)
    def test_falls_from_below_one(self, student: Any, betas: Tensor) -> None:
        """It lies between 0 and 1, is smaller with every step, and follows β: more noise leaves less."""
        left, less = student.alpha_bars(betas), student.alpha_bars(betas + 0.25)
        assert_shape(left, (len(betas),), what="ᾱ")
        assert_between(left, 1e-4, 1 + 1e-6, tolerance=0, what="ᾱ")
        assert_between(left[:-1] - left[1:], 1e-4, tolerance=0, what="how much ᾱ falls from step to step")
        if not less[-1] < left[-1]:
            fail("With larger β the last ᾱ should be smaller.")

    @weight(3)
    @given(betas=schedules(1, 8))
    @settings(max_examples=8)
    def test_is_what_the_chain_leaves(self, student: Any, betas: Tensor) -> None:
        """It is the square of what is left of the number 1 after a step, each step multiplying by √(1 − β)."""
        signal, left = 1.0, []
        for beta in betas.tolist():
            signal *= math.sqrt(1 - beta)
            left.append(signal**2)
        assert_close(student.alpha_bars(betas), torch.tensor(left), tolerance=1e-4, what="ᾱ")

    @weight(2)
    def test_equals_diffusers(self, student: Any) -> None:
        """For 1000 linear steps it is the alphas_cumprod of diffusers' DDPMScheduler."""
        library = DDPMScheduler(num_train_timesteps=1000)
        received = student.alpha_bars(library.betas)
        assert_close(received, library.alphas_cumprod, tolerance=1e-4, what="ᾱ")
        assert_close(
            received[-100:].log(), library.alphas_cumprod[-100:].log(), tolerance=1e-3, what="log ᾱ at the end"
        )

    @given(betas=schedules(2))
    @settings(max_examples=5)
    def test_noise_and_signal_make_one(self, student: Any, betas: Tensor) -> None:
        """1 − ᾱ is the variance of the noise that has been added, itself faded by later steps."""
        variance, added = 0.0, []
        for beta in betas.tolist():
            variance = (1 - beta) * variance + beta
            added.append(variance)
        received = student.alpha_bars(betas)
        assert_close(1 - received, torch.tensor(added), tolerance=1e-4, what="1 − ᾱ")

    @given(betas=schedules(4))
    @settings(max_examples=4)
    def test_the_past_alone_counts(self, student: Any, betas: Tensor) -> None:
        """A schedule cut short has the same ᾱ as far as it goes, the first being 1 − β of the first step."""
        whole, short = student.alpha_bars(betas), student.alpha_bars(betas[:2])
        assert_shape(short, (2,), what="ᾱ of two steps")
        assert_close(short, whole[:2], what="ᾱ of the first two steps alone")
        assert_close(short[0], 1 - betas[0], what="ᾱ of the first step")


def cosine_alpha_bar(u: float, offset: float) -> float:
    """ᾱ at the part u of the way, by the identity cos² a = (1 + cos 2a) / 2."""
    angles = [(part + offset) / (1 + offset) * math.pi for part in (u, 0.0)]
    return (1 + math.cos(angles[0])) / (1 + math.cos(angles[1]))


@exercise("cosine_beta_schedule", contract=st.integers(2, 12).map(lambda steps: ((steps,), {})))
class TestCosineBetaSchedule:
    @required
    @given(steps=st.integers(4, 300))
    @settings(max_examples=6)
    def test_are_growing_variances(self, student: Any, steps: int) -> None:
        """It gives one variance for each step, between 0 and 1, none smaller than the one before, the last one the largest."""
        betas = student.cosine_beta_schedule(steps)
        assert_shape(betas, (steps,), what="β")
        assert_between(betas, 1e-7, 1, tolerance=1e-6, what="β")
        assert_between(betas[1:] - betas[:-1], 0, tolerance=1e-6, what="how much β grows from step to step")
        if not betas[-1] > 1.5 * betas[0]:
            fail(f"β begins with {describe(betas[0])} and ends with {describe(betas[-1])}: it should grow.")

    @weight(2)
    @given(steps=st.sampled_from([2, 10, 50, 200]))
    @settings(max_examples=4)
    def test_equals_diffusers(self, student: Any, steps: int) -> None:
        """It is the schedule that diffusers' DDPMScheduler calls squaredcos_cap_v2."""
        expected = DDPMScheduler(num_train_timesteps=steps, beta_schedule="squaredcos_cap_v2").betas
        assert_betas(student.cosine_beta_schedule(steps), expected)

    @weight(3)
    @given(steps=st.integers(2, 250), offset=st.integers(0, 40).map(lambda part: part / 100))
    @settings(max_examples=10)
    def test_alpha_bar_falls_like_a_squared_cosine(self, student: Any, steps: int, offset: float) -> None:
        """Up to the last step the product of all 1 − β so far is f(t + 1) / f(0), with s = offset."""
        betas = student.cosine_beta_schedule(steps, offset=offset)
        assert_shape(betas, (steps,), what="β")
        left = (1 - betas.double()).cumprod(0)[:-1]
        expected = torch.tensor([cosine_alpha_bar((t + 1) / steps, offset) for t in range(steps - 1)])
        assert_close(left, expected.double(), tolerance=1e-4, what="ᾱ before the last step")

    @weight(2)
    @given(steps=st.integers(1, 40), offset=st.sampled_from([0.0, 0.008, 0.3]))
    @settings(max_examples=8)
    def test_the_last_step_is_clipped(self, student: Any, steps: int, offset: float) -> None:
        """The last step would destroy everything, and is held at 0.999; all others are what the formula says."""
        ratios = [cosine_alpha_bar((t + 1) / steps, offset) / cosine_alpha_bar(t / steps, offset) for t in range(steps)]
        betas = student.cosine_beta_schedule(steps, offset=offset)
        assert_betas(betas, [min(0.999, 1 - ratio) for ratio in ratios])

    @weight(2)
    @given(steps=st.integers(8, 60))
    @settings(max_examples=4)
    def test_halfway_half_is_left(self, student: Any, steps: int) -> None:
        """Without an offset half of the signal's power is left after half of the steps, whatever their number."""
        betas = student.cosine_beta_schedule(2 * steps, offset=0.0)
        assert_shape(betas, (2 * steps,), what="β")
        left = (1 - betas.double()).cumprod(0)
        assert_close(left[steps - 1], 0.5, tolerance=1e-4, what=f"ᾱ after {steps} of {2 * steps} steps")

    @given(steps=st.integers(2, 50))
    @settings(max_examples=2)
    def test_is_a_float32_tensor(self, student: Any, steps: int) -> None:
        """It is a float32 tensor on the CPU."""
        betas = student.cosine_beta_schedule(steps)
        assert_shape(betas, (steps,), what="β")
        if betas.dtype != torch.float32 or betas.device.type != "cpu":
            fail(f"β should be float32 and on the CPU, but it is {betas.dtype} and on {betas.device}.")


def parts_of_signal(high: int = 6) -> st.SearchStrategy[Tensor]:
    """ᾱ of a few steps, in no order, from 1/32 to 31/32."""
    return st.integers(2, high).flatmap(lambda steps: tensors(steps, low=1 / 32, high=31 / 32))


@exercise("signal_to_noise", contract=parts_of_signal().map(lambda left: ((left,), {})))
class TestSignalToNoise:
    @required
    @given(alpha_bar=parts_of_signal())
    @settings(max_examples=5)
    def test_grows_with_what_is_left(self, student: Any, alpha_bar: Tensor) -> None:
        """It is positive, larger the more of the signal is left, and more than 1 where nearly all of it is."""
        ordered = torch.cat([torch.tensor([1 / 64]), alpha_bar.sort().values.unique(), torch.tensor([63 / 64])])
        ratios = student.signal_to_noise(ordered)
        assert_shape(ratios, tuple(ordered.shape), what="the ratio")
        assert_between(ratios[1:] - ratios[:-1], 1e-3, tolerance=0, what="how much the ratio grows with ᾱ")
        assert_between(ratios, 1e-6, tolerance=0, what="the ratio")
        assert_between(ratios[-1], 1, what="the ratio at ᾱ = 63/64")

    @weight(3)
    @given(alpha_bar=parts_of_signal())
    @settings(max_examples=6)
    def test_are_the_odds(self, student: Any, alpha_bar: Tensor) -> None:
        """It is what a bookmaker calls the odds of ᾱ: here the exponential of the logit that torch gives a Bernoulli."""
        expected = Bernoulli(probs=alpha_bar).logits.exp()
        assert_close(student.signal_to_noise(alpha_bar), expected, tolerance=1e-4, what="the ratio")

    @weight(2)
    @given(alpha_bar=parts_of_signal())
    @settings(max_examples=4)
    def test_is_a_ratio_of_powers(self, student: Any, alpha_bar: Tensor) -> None:
        """It is the mean square of the signal in noisy data over that of the noise, when both had variance 1 at first."""
        ones, zeros = torch.ones(len(alpha_bar)), torch.zeros(len(alpha_bar))
        t = torch.arange(len(alpha_bar))
        signal = reference.q_sample(ones, t, zeros, alpha_bar)
        noise = reference.q_sample(zeros, t, ones, alpha_bar)
        expected = signal.square() / noise.square()
        assert_close(student.signal_to_noise(alpha_bar), expected, tolerance=1e-4, what="the ratio")

    @given(alpha_bar=parts_of_signal())
    @settings(max_examples=5)
    def test_signal_and_noise_exchanged(self, student: Any, alpha_bar: Tensor) -> None:
        """With signal and noise exchanged it is one divided by what it was, and at ᾱ = ½ it is 1."""
        ratios, inverse = student.signal_to_noise(alpha_bar), student.signal_to_noise(1 - alpha_bar)
        assert_shape(ratios, tuple(alpha_bar.shape), what="the ratio")
        assert_close(ratios * inverse, torch.ones_like(alpha_bar), tolerance=1e-4, what="the product of the two ratios")
        half = student.signal_to_noise(torch.full((2,), 0.5))
        assert_close(half, torch.ones(2), what="the ratio at ᾱ = ½")


# ---- the forward process


@exercise("q_sample", contract=noisy().map(lambda drawn: (drawn.given, {})))
class TestQSample:
    @required
    @given(drawn=noisy())
    @settings(max_examples=5)
    def test_mixes_data_and_noise(self, student: Any, drawn: Noisy) -> None:
        """Noisy data move with the data and with the noise, both by positive factors, and gradients flow back to both."""
        x0, noise = drawn.x0.clone().requires_grad_(), drawn.noise.clone().requires_grad_()
        xt = student.q_sample(x0, drawn.t, noise, drawn.alpha_bar)
        assert_shape(xt, tuple(x0.shape), what="the noisy data")
        assert_depends(xt, x0, what="the noisy data", on_what="x0")
        assert_depends(xt, noise, what="the noisy data", on_what="the noise")
        by_x0, by_noise = torch.autograd.grad(xt.sum(), (x0, noise))
        assert_between(by_x0, 1e-3, tolerance=0, what="the factor of x0")
        assert_between(by_noise, 1e-3, tolerance=0, what="the factor of the noise")

    @weight(3)
    @given(drawn=noisy())
    @settings(max_examples=10)
    def test_equals_the_steps_one_by_one(self, student: Any, drawn: Noisy) -> None:
        """It is t + 1 steps of the chain, each multiplying by √(1 − β) and adding noise of variance β, in one leap."""
        received = student.q_sample(*drawn.given)
        assert_close(received, drawn.xt, tolerance=1e-4, what="the noisy data", hint="index 0 is one step of noise.")

    @weight(2)
    @given(drawn=noisy(shape=st.just((2, 2))))
    @settings(max_examples=6)
    def test_equals_diffusers(self, student: Any, drawn: Noisy) -> None:
        """It is what diffusers' DDPMScheduler calls add_noise."""
        expected = scheduler(DDPMScheduler, drawn.betas).add_noise(drawn.x0, drawn.noise, drawn.t)
        assert_close(student.q_sample(*drawn.given), expected, tolerance=1e-4, what="the noisy data")

    @given(drawn=noisy())
    @settings(max_examples=5)
    def test_keeps_variance_one(self, student: Any, drawn: Noisy) -> None:
        """Data of variance 1 become noisy data of variance 1, at any time: the squares of the two factors add up to 1."""
        x0, noise = torch.ones_like(drawn.x0), torch.zeros_like(drawn.x0)
        of_x0 = student.q_sample(x0, drawn.t, noise, drawn.alpha_bar)
        of_noise = student.q_sample(noise, drawn.t, x0, drawn.alpha_bar)
        assert_shape(of_x0, tuple(x0.shape), what="the noisy data")
        assert_close(of_x0.square() + of_noise.square(), x0, tolerance=1e-4, what="the variance of noisy data")

    @weight(2)
    @given(drawn=noisy(batch=st.just(3), shape=st.sampled_from([(3,), (3, 3), (2, 3)])))
    @settings(max_examples=5)
    def test_each_data_point_has_its_own_time(self, student: Any, drawn: Noisy) -> None:
        """Each data point has its own time, the same for all of its elements: alone it becomes what it does in a batch."""
        together = student.q_sample(*drawn.given)
        assert_shape(together, tuple(drawn.x0.shape), what="the noisy data")
        alone = each_row(
            lambda x0, t, noise: student.q_sample(x0, t, noise, drawn.alpha_bar), drawn.x0, drawn.t, drawn.noise
        )
        assert_close(together, alone, what="the noisy data of a batch")


@exercise("predict_x0", contract=noisy().map(lambda drawn: (drawn.given, {})))
class TestPredictX0:
    @required
    @given(drawn=noisy())
    @settings(max_examples=5)
    def test_takes_noise_out(self, student: Any, drawn: Noisy) -> None:
        """The estimate grows with the noisy data and falls with the noise in them, and gradients flow back to both."""
        xt, noise = (drawn.x0 / 64).requires_grad_(), (drawn.noise / 64).requires_grad_()
        x0 = student.predict_x0(xt, drawn.t, noise, drawn.alpha_bar)
        assert_shape(x0, tuple(xt.shape), what="the estimate")
        assert_depends(x0, xt, what="the estimate", on_what="xt")
        assert_depends(x0, noise, what="the estimate", on_what="the noise")
        by_xt, by_noise = torch.autograd.grad(x0.sum(), (xt, noise))
        assert_between(by_xt, 1e-3, tolerance=0, what="the factor of xt")
        assert_between(by_noise, None, -1e-3, tolerance=0, what="the factor of the noise")

    @weight(3)
    @given(drawn=noisy())
    @settings(max_examples=10)
    def test_finds_the_data_again(self, student: Any, drawn: Noisy) -> None:
        """Given noisy data from the chain and the noise that is in them it finds the data again."""
        received = student.predict_x0(drawn.xt, drawn.t, drawn.noise, drawn.alpha_bar)
        assert_close(received, drawn.x0, tolerance=1e-3, what="the estimate")

    @weight(2)
    @given(drawn=noisy(shape=st.just((2,))), clip=st.sampled_from([None, 0.5, 2.0]))
    @settings(max_examples=6)
    def test_equals_diffusers(self, student: Any, drawn: Noisy, clip: float | None) -> None:
        """It is what diffusers' DDPMScheduler takes as pred_original_sample, its clip_sample_range being clip."""
        library = scheduler(DDPMScheduler, drawn.betas, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
        rows = zip(drawn.noise.split(1), drawn.t.tolist(), drawn.x0.split(1), strict=True)
        expected = torch.cat([library.step(noise, t, xt).pred_original_sample for noise, t, xt in rows])
        received = student.predict_x0(drawn.x0, drawn.t, drawn.noise, drawn.alpha_bar, clip=clip)
        assert_close(received, expected, tolerance=1e-3, what="the estimate")

    @weight(4)
    @given(drawn=noisy(shape=st.just((4,))), clip=st.sampled_from([0.25, 1.0, 2.0]))
    @settings(max_examples=8)
    def test_clips_what_it_returns(self, student: Any, drawn: Noisy, clip: float) -> None:
        """With clip the estimate is confined to both sides of 0, element by element, and is otherwise what it was."""
        size = torch.linspace(-2, 2, 4) * clip
        xt = Noisy(size.expand_as(drawn.x0), drawn.t, drawn.noise, drawn.betas).xt
        received = student.predict_x0(xt, drawn.t, drawn.noise, drawn.alpha_bar, clip=clip)
        expected = torch.tensor([-clip, -2 / 3 * clip, 2 / 3 * clip, clip]).expand_as(xt)
        assert_close(received, expected, tolerance=1e-3, what=f"the estimate with clip={clip}")

    @given(drawn=noisy())
    @settings(max_examples=4)
    def test_without_clip_nothing_is_confined(self, student: Any, drawn: Noisy) -> None:
        """Without clip the estimate may be as large as it likes: twice the data and twice the noise give twice as much."""
        once = student.predict_x0(8 * drawn.xt, drawn.t, drawn.noise, drawn.alpha_bar)
        twice = student.predict_x0(16 * drawn.xt, drawn.t, 2 * drawn.noise, drawn.alpha_bar)
        assert_shape(once, tuple(drawn.x0.shape), what="the estimate")
        assert_close(twice, 2 * once, tolerance=1e-3, what="the estimate of twice as much")

    @given(drawn=noisy(batch=st.just(3), shape=st.sampled_from([(3,), (3, 3), (2, 3)])))
    @settings(max_examples=4)
    def test_each_data_point_has_its_own_time(self, student: Any, drawn: Noisy) -> None:
        """Each data point has its own time, the same for all of its elements: alone it gives what it does in a batch."""
        together = student.predict_x0(*drawn.given)
        assert_shape(together, tuple(drawn.x0.shape), what="the estimate")
        alone = each_row(
            lambda xt, t, noise: student.predict_x0(xt, t, noise, drawn.alpha_bar), drawn.x0, drawn.t, drawn.noise
        )
        assert_close(together, alone, what="the estimates of a batch")


def posterior_of(student: Any, drawn: Noisy, x0: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
    """The pair that `posterior_mean_variance` returns; fails if it is none."""
    pair = student.posterior_mean_variance(x0, xt, drawn.t, drawn.betas, drawn.alpha_bar)
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
        fail(f"The pair (mean, variance) should come back, but it was {describe(pair)}.")
    assert_shape(pair[0], tuple(xt.shape), what="the mean")
    assert_shape(pair[1], (len(xt),), what="the variance")
    return pair[0], pair[1]


def posterior_by_quadrature(drawn: Noisy, x0: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each element and variance of each row of q(x_{t−1} | x_t, x_0), for t > 0: Bayes' rule on a fine grid."""
    grid = torch.linspace(-16, 16, 6401, dtype=torch.float64)
    means, variances = [], []
    for start, end, t in zip(x0.double(), xt.double(), drawn.t.tolist(), strict=True):
        before = Noisy(start[None], torch.tensor([t - 1]), torch.zeros_like(start[None]), drawn.betas)
        center, left = before.xt.double()[..., None], float(before.alpha_bar[t - 1])
        beta = float(drawn.betas[t])
        log_prior = Normal(center[0], math.sqrt(1 - left)).log_prob(grid)
        log_posterior = log_prior + Normal(math.sqrt(1 - beta) * grid, math.sqrt(beta)).log_prob(end[..., None])
        chances = log_posterior.softmax(-1)
        means.append(chances @ grid)
        variances.append((chances @ grid.square() - means[-1].square()).mean())
    return torch.stack(means).float(), torch.stack(variances).float()


@exercise(
    "posterior_mean_variance",
    contract=noisy().map(lambda drawn: ((drawn.x0, drawn.noise, drawn.t, drawn.betas, drawn.alpha_bar), {})),
)
class TestPosteriorMeanVariance:
    @required
    @given(drawn=noisy(first=1))
    @settings(max_examples=5)
    def test_lies_between_goal_and_present(self, student: Any, drawn: Noisy) -> None:
        """After the first step the mean moves with x0 and xt, gradients flow back to both, and the variance is positive."""
        x0, xt = drawn.x0.clone().requires_grad_(), drawn.noise.clone().requires_grad_()
        mean, variance = posterior_of(student, drawn, x0, xt)
        assert_depends(mean, x0, what="the mean", on_what="x0")
        assert_depends(mean, xt, what="the mean", on_what="xt")
        by_x0, by_xt = torch.autograd.grad(mean.sum(), (x0, xt))
        assert_between(by_x0, 1e-4, tolerance=0, what="the factor of x0")
        assert_between(by_xt, 1e-4, tolerance=0, what="the factor of xt")
        assert_between(variance, 1e-4, 0.9999, tolerance=0, what="the variance")

    @weight(3)
    @given(drawn=noisy(first=1))
    @settings(max_examples=8)
    def test_mean_is_that_of_bayes(self, student: Any, drawn: Noisy) -> None:
        """The mean is that of q(x_{t−1}|x_0) q(x_t|x_{t−1}) as a density of x_{t−1}, here on a fine grid."""
        mean, _ = posterior_of(student, drawn, drawn.x0, drawn.noise)
        expected, _ = posterior_by_quadrature(drawn, drawn.x0, drawn.noise)
        assert_close(mean, expected, tolerance=1e-3, what="the mean")

    @weight(3)
    @given(drawn=noisy(first=1))
    @settings(max_examples=8)
    def test_variance_is_that_of_bayes(self, student: Any, drawn: Noisy) -> None:
        """The variance is that of the same density, one number for each data point, and smaller than β."""
        _, variance = posterior_of(student, drawn, drawn.x0, drawn.noise)
        _, expected = posterior_by_quadrature(drawn, drawn.x0, drawn.noise)
        assert_close(variance, expected, tolerance=1e-4, what="the variance")
        assert_between(drawn.betas[drawn.t] - variance, 0, what="β, less the variance,")

    @weight(2)
    @given(drawn=noisy(batch=st.just(1), shape=st.just((2, 2))), generator=generators())
    @settings(max_examples=6)
    def test_equals_diffusers(self, student: Any, drawn: Noisy, generator: torch.Generator) -> None:
        """Mean and variance are those by which diffusers' DDPMScheduler steps, told the data themselves."""
        mean, variance = posterior_of(student, drawn, drawn.x0, drawn.noise)
        library = scheduler(DDPMScheduler, drawn.betas, prediction_type="sample", clip_sample=False)
        again = copy.deepcopy(generator.get_state())
        expected = library.step(drawn.x0, int(drawn.t[0]), drawn.noise, generator=generator).prev_sample
        generator.set_state(again)
        noise = torch.randn(drawn.x0.shape, generator=generator)
        received = mean + variance.abs().sqrt()[:, None, None] * noise
        assert_close(received, expected, tolerance=1e-3, what="the mean plus noise by the variance")

    @weight(4)
    @given(drawn=noisy())
    @settings(max_examples=5)
    def test_the_first_step_leads_to_the_data(self, student: Any, drawn: Noisy) -> None:
        """At t = 0 what stands before is the clean data: the mean is x0, whatever xt is, and the variance is 0."""
        drawn.t[0] = 0
        mean, variance = posterior_of(student, drawn, drawn.x0, drawn.noise)
        assert_close(mean[0], drawn.x0[0], tolerance=1e-4, what="the mean at t = 0")
        assert_close(variance[0], 0.0, tolerance=1e-6, what="the variance at t = 0")

    @weight(2)
    @given(drawn=noisy(first=1))
    @settings(max_examples=5)
    def test_steps_back_are_steps_forward(self, student: Any, drawn: Noisy) -> None:
        """Averaged over x_t as the chain draws it, it is again the chain's x_{t−1}: the same mean, the same variance."""
        xt = Noisy(drawn.x0, drawn.t, torch.zeros_like(drawn.x0), drawn.betas).xt.requires_grad_()
        mean, variance = posterior_of(student, drawn, drawn.x0, xt)
        expected = Noisy(drawn.x0, drawn.t - 1, torch.zeros_like(drawn.x0), drawn.betas).xt
        assert_close(detached(mean), expected, tolerance=1e-3, what="the mean at the mean of x_t")
        (slope,) = torch.autograd.grad(mean.sum(), xt)
        slope = slope.flatten(1)[:, 0] if slope.dim() > 1 else slope
        total = variance.detach() + slope.square() * (1 - drawn.alpha_bar[drawn.t])
        assert_close(total, 1 - drawn.alpha_bar[drawn.t - 1], tolerance=1e-4, what="the variance of x_{t−1}")

    @given(drawn=noisy(batch=st.just(3), shape=st.sampled_from([(3,), (2, 3)])))
    @settings(max_examples=4)
    def test_each_data_point_has_its_own_time(self, student: Any, drawn: Noisy) -> None:
        """Each data point has its own time, the same for all of its elements: alone it gives what it does in a batch."""
        mean, _ = posterior_of(student, drawn, drawn.x0, drawn.noise)
        alone = each_row(
            lambda x0, xt, t: student.posterior_mean_variance(x0, xt, t, drawn.betas, drawn.alpha_bar)[0],
            *(drawn.x0, drawn.noise, drawn.t),
        )
        assert_close(mean, alone, what="the means of a batch")


# ---- training


class Weighted(nn.Module):
    """A model with one parameter w: a function of w and of what the model is given.

    A module, since gradients find their way back to a module's parameters, but not to what a function has around it.
    """

    def __init__(self, answer: Callable[..., Tensor], w: float = 1.0) -> None:
        super().__init__()
        self.answer, self.w = answer, nn.Parameter(torch.tensor(w))

    def forward(self, *given: Tensor) -> Tensor:
        """What the function makes of w and of what is given."""
        return self.answer(self.w, *given)


@st.composite
def loss_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `ddpm_loss`, with a model that works in the dtype of its input."""
    drawn = draw(noisy())

    def model(xt: Tensor, t: Tensor) -> Tensor:
        return 0.5 * xt + 1

    return (model, *drawn.given), {"corrupt": reference.q_sample}


@exercise("ddpm_loss", contract=loss_calls())
class TestDDPMLoss:
    @required
    @given(drawn=noisy())
    @settings(max_examples=5)
    def test_is_zero_for_the_noise_itself(self, student: Any, drawn: Noisy) -> None:
        """A model that tells the noise exactly has the loss 0, others have more, and gradients show the model the way."""
        noise = drawn.noise.masked_fill(drawn.noise == 0, 1)
        model = Weighted(lambda w, xt, t: w * noise, 2.0)
        given = drawn.x0, drawn.t, noise, drawn.alpha_bar
        right = student.ddpm_loss(lambda xt, t: noise.clone(), *given, corrupt=reference.q_sample)
        wrong = student.ddpm_loss(model, *given, corrupt=reference.q_sample)
        assert_close(detached(right).sum(), 0.0, what="the loss of a model that tells the noise exactly")
        assert_between(detached(wrong), 1e-4, tolerance=0, what="the loss of a model that says twice the noise")
        assert_depends(wrong, model.w, what="the loss", on_what="the model's parameters")
        (gradient,) = torch.autograd.grad(wrong.sum(), model.w)
        assert_between(gradient, 1e-4, tolerance=0, what="the gradient for the factor, which is too large,")

    @weight(3)
    @given(drawn=noisy(batch=sizes(1, 4)), generator=generators())
    @settings(max_examples=8)
    def test_is_the_mean_square(self, student: Any, drawn: Noisy, generator: torch.Generator) -> None:
        """It is the mean over the batch and over all elements of the squared error, here added up by hand."""
        guess = torch.randn(drawn.x0.shape, generator=generator)
        errors = [a - b for a, b in zip(guess.flatten().tolist(), drawn.noise.flatten().tolist(), strict=True)]
        expected = torch.tensor(math.fsum(error * error for error in errors) / len(errors))
        loss = student.ddpm_loss(lambda xt, t: guess.clone(), *drawn.given, corrupt=reference.q_sample)
        named = {"batch": len(guess), "elements of a data point": guess[0].numel()}
        assert_close(loss, expected, tolerance=1e-4, what="the loss", sizes=named)

    @weight(5)
    @given(drawn=noisy(first=1))
    @settings(max_examples=5)
    def test_what_the_model_sees(self, student: Any, drawn: Noisy) -> None:
        """The model is given what corrupt returns, which gets the data, their times, the noise and ᾱ; and the same times."""
        mixed: list[tuple[Tensor, ...]] = []
        seen: list[tuple[Tensor, ...]] = []

        def corrupt(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
            mixed.append((x0, t, noise, alpha_bar))
            return x0 - 7

        def model(xt: Tensor, t: Tensor) -> Tensor:
            seen.append((xt, t))
            return xt

        student.ddpm_loss(model, *drawn.given, corrupt=corrupt)
        if not seen or not mixed:
            fail(f"The function passed as {'corrupt=' if seen else 'model'} was never called.")
        for name, received, expected in zip(("x0", "t", "noise", "alpha_bar"), mixed[0], drawn.given, strict=True):
            assert_close(received, expected, what=f"what corrupt got as {name}")
        assert_close(seen[0][0], drawn.x0 - 7, what="what the model got as xt")
        assert_close(seen[0][1], drawn.t, what="what the model got as t")

    @weight(2)
    @given(drawn=noisy(), factor=st.sampled_from([-1.0, 0.0, 0.5]))
    @settings(max_examples=6)
    def test_gradient(self, student: Any, drawn: Noisy, factor: float) -> None:
        """For a model w · xt its gradient for w is twice the mean of (w · xt − noise) · xt."""
        model = Weighted(lambda w, xt, t: w * xt, factor)
        loss = student.ddpm_loss(model, *drawn.given, corrupt=reference.q_sample)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            fail(f"No gradient flows back from the loss, {describe(loss)}.")
        (gradient,) = torch.autograd.grad(loss.sum(), model.w)
        expected = 2 * ((factor * drawn.xt - drawn.noise) * drawn.xt).double().mean().float()
        assert_close(gradient, expected, tolerance=1e-3, what="the gradient for w")

    @weight(2)
    @given(drawn=noisy())
    @settings(max_examples=4)
    def test_batch_given_twice(self, student: Any, drawn: Noisy) -> None:
        """A batch given twice has the same loss as given once."""

        def loss(*given: Tensor) -> Any:
            return student.ddpm_loss(lambda xt, t: xt * 0.5, *given, drawn.alpha_bar, corrupt=reference.q_sample)

        once, given = loss(*drawn.given[:3]), [torch.cat([part, part.flip(0)]) for part in drawn.given[:3]]
        assert_shape(once, (), what="the loss")
        assert_close(loss(*given), once, tolerance=1e-4, what="the loss of the doubled batch")


@exercise("timestep_embedding", contract=arguments(reference.timestep_embedding, dim=st.sampled_from([2, 4, 6])))
class TestTimestepEmbedding:
    @required
    @given(half=st.integers(1, 6), time=st.integers(1, 40))
    @settings(max_examples=6)
    def test_tells_times_apart(self, student: Any, half: int, time: int) -> None:
        """At t = 0 half of the numbers are 0 and half are 1; at other times they are others, from −1 to 1."""
        rows = student.timestep_embedding(torch.tensor([0, time, time + 1]), 2 * half)
        assert_shape(rows, (3, 2 * half), what="the embedding")
        zero = torch.cat([torch.zeros(half), torch.ones(half)])
        assert_close(rows[0].sort().values, zero, what="the embedding of t = 0, sorted")
        assert_between(rows, -1, 1, what="the embedding")
        if min((rows[a] - rows[b]).abs().max() for a, b in ((0, 1), (0, 2), (1, 2))) < 1e-2:
            fail(f"The times 0, {time} and {time + 1} should have different embeddings, but they are {describe(rows)}.")

    @weight(3)
    @given(half=st.integers(2, 8), period=st.sampled_from([10_000.0, 100.0]), generator=generators())
    @settings(max_examples=8)
    def test_equals_diffusers(self, student: Any, half: int, period: float, generator: torch.Generator) -> None:
        """It is what diffusers' get_timestep_embedding gives without its options, with downscale_freq_shift=0."""
        t = torch.randint(1000, (4,), generator=generator)
        expected = get_timestep_embedding(t, 2 * half, downscale_freq_shift=0, max_period=period)
        received = student.timestep_embedding(t, 2 * half, max_period=period)
        assert_close(received, expected, tolerance=1e-3, what="the embedding")

    @weight(2)
    @given(half=st.integers(1, 8), period=st.sampled_from([10_000.0, 81.0]))
    @settings(max_examples=5)
    def test_waves_slow_down_by_one_factor(self, student: Any, half: int, period: float) -> None:
        """The first sine is that of t, each next wave is slower by the same factor, which is max_period after `half` waves."""
        rows = student.timestep_embedding(torch.tensor([1]), 2 * half, max_period=period)
        assert_shape(rows, (1, 2 * half), what="the embedding")
        frequencies = [math.asin(max(-1.0, min(1.0, value))) for value in rows[0, :half].tolist()]
        expected = [1.0]
        for _ in range(half - 1):
            expected.append(expected[-1] / math.exp(math.log(period) / half))
        assert_close(frequencies, expected, tolerance=1e-4, what="the angles of the sines at t = 1")

    @given(half=st.integers(2, 5), t=tensors(3, dtype=torch.int64, low=0, high=60), later=st.integers(1, 40))
    @settings(max_examples=5)
    def test_later_is_a_rotation(self, student: Any, half: int, t: Tensor, later: int) -> None:
        """A later time turns each pair of sine and cosine by the angle that this time itself has, whatever t was."""
        now, then, turn = (student.timestep_embedding(s, 2 * half) for s in (t, t + later, torch.full_like(t, later)))
        assert_shape(then, (3, 2 * half), what="the embedding")
        (sin, cos), (turn_sin, turn_cos) = now.chunk(2, dim=1), turn.chunk(2, dim=1)
        expected = torch.cat([sin * turn_cos + cos * turn_sin, cos * turn_cos - sin * turn_sin], dim=1)
        assert_close(then, expected, tolerance=1e-3, what=f"the embedding {later} later")
        assert_close(sin.square() + cos.square(), torch.ones(3, half), what="sin² + cos² of each wave")

    @given(t=tensors(4, dtype=torch.int64, low=0, high=900))
    @settings(max_examples=3)
    def test_is_float32(self, student: Any, t: Tensor) -> None:
        """Whole numbers become float32 numbers, a row for each time."""
        rows = student.timestep_embedding(t, 6)
        assert_shape(rows, (4, 6), what="the embedding")
        if rows.dtype != torch.float32:
            fail(f"The embedding should be float32, but it is {rows.dtype}.")
        assert_close(student.timestep_embedding(t[1:2], 6), rows[1:2], what="the embedding of one time alone")


class Denoiser(nn.Module):
    """A small network to be trained: linear in the data but for one layer of tanh, told the time as a fraction."""

    def __init__(self, data: int, steps: int, generator: torch.Generator, hidden: int = 8) -> None:
        super().__init__()
        self.first, self.last, self.steps = nn.Linear(data + 1, hidden), nn.Linear(hidden, data), steps
        redraw(self, generator, scale=0.3)

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        """The noise that it believes to be in xt (batch, data)."""
        return self.last(torch.tanh(self.first(torch.cat([xt, t[:, None] / self.steps], dim=1))))


class Recorder:
    """The loss that `train_diffusion` is given, which takes notes of what came in each step."""

    def __init__(self, loss: Callable = reference.ddpm_loss) -> None:
        self._loss = loss
        self.images: list[Tensor] = []
        self.times: list[Tensor] = []
        self.noise: list[Tensor] = []
        self.alpha_bars: list[Tensor] = []
        self.epochs: list[tuple[int, float]] = []

    def loss(self, model: Callable, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
        """Called like `ddpm_loss`, once in each step."""
        for notes, value in zip((self.images, self.times, self.noise), (x0, t, noise), strict=True):
            notes.append(value.detach().clone())
        self.alpha_bars.append(alpha_bar.detach().clone())
        return self._loss(model, x0, t, noise, alpha_bar)

    def train(self, student: Any, model: nn.Module, data: Tensor, alpha_bar: Tensor, seed: int, **options: Any) -> Any:
        """Call the student's `train_diffusion`; its history."""
        model.in_place = True  # type: ignore[assignment]  # what it trains here, we want trained
        history = student.train_diffusion(
            *(model, data, alpha_bar),
            generator=torch.Generator().manual_seed(seed),
            on_epoch=lambda epoch, loss: self.epochs.append((epoch, loss)),
            loss=self.loss,
            **options,
        )
        if not self.images:
            fail("The function that is passed as loss= was never called: a step minimises what it returns.")
        for x0, t, noise in zip(self.images, self.times, self.noise, strict=True):
            assert_shape(t, (len(x0),), what="the times of a minibatch")
            assert_shape(noise, tuple(x0.shape), what="the noise of a minibatch")
        return history


ALPHA_BAR = torch.tensor([0.95, 0.8, 0.5, 0.2])


@exercise("train_diffusion", contract=False)
class TestTrainDiffusion:
    @required
    def test_learns_to_find_noise_in_digits(self, student: Any) -> None:
        """After a few epochs on handwritten digits the network it was given finds noise better than before."""
        generator = torch.Generator().manual_seed(0)
        model = Denoiser(64, 4, generator, hidden=32)
        t, noise = torch.arange(96) % 4, torch.randn(DIGITS.shape, generator=generator)
        before = reference.ddpm_loss(model, DIGITS, t, noise, ALPHA_BAR).item()
        Recorder().train(student, model, DIGITS, ALPHA_BAR, 1, epochs=4, batch_size=48, learning_rate=0.03)
        after = reference.ddpm_loss(model, DIGITS, t, noise, ALPHA_BAR).item()
        if not after < before - 0.1:
            fail(f"Before training the loss on digits is {before:.2f}, after it {after:.2f}.")

    @weight(6)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_takes_the_steps_of_adam(self, student: Any, seed: int) -> None:
        """Each step draws times and fresh noise; the final weights, and the losses returned, are those of Adam on these."""
        generator = torch.Generator().manual_seed(seed)
        model, alpha_bar = Denoiser(5, 2, generator), ALPHA_BAR[1:3]
        twin = copy.deepcopy(model)
        data, record = torch.randn(25, 5, generator=generator), Recorder()
        history = record.train(student, model, data, alpha_bar, seed, epochs=2, batch_size=10, learning_rate=0.01)
        if len(record.images) != 6:
            said = "2 epochs over 25 images in minibatches of 10 are 6 steps, but the loss was asked for"
            fail(f"{said} {len(record.images)} times.")
        assert_drawn(record, 2)
        losses = replay(twin, record, alpha_bar, learning_rate=0.01)
        expected = [sum(losses[:3]) / 25, sum(losses[3:]) / 25]
        assert_close(history, expected, tolerance=1e-3, what="the returned mean losses")
        for part, parameter in model.named_parameters():
            wanted = twin.get_parameter(part).detach()
            assert_close(parameter.detach(), wanted, tolerance=1e-3, what=f"after 6 steps, {part} of the model")

    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_passes_over_all_images_in_a_new_order_each_epoch(self, student: Any, seed: int) -> None:
        """Each epoch takes every image once, in full minibatches and a last smaller one, in a new random order."""
        model = Denoiser(5, 4, torch.Generator().manual_seed(seed))
        data, record = torch.arange(14.0)[:, None].expand(14, 5) / 14, Recorder()
        record.train(student, model, data, ALPHA_BAR, seed, epochs=2, batch_size=4)
        taken = [len(x) for x in record.images]
        if taken != [4, 4, 4, 2] * 2:
            said = "2 epochs over 14 images in minibatches of 4 should take 4, 4, 4, 2, 4, 4, 4, 2 images, but took"
            fail(f"{said} {taken}.")
        orders = [torch.cat(record.images[i : i + 4])[:, 0].mul(14).round().int().tolist() for i in (0, 4)]
        if any(sorted(order) != list(range(14)) for order in orders):
            fail(f"The images of the first epoch, by number, were {orders[0]}: every one should be there once.")
        if orders[0] == orders[1] or orders[0] == sorted(orders[0]):
            said = f"The order of the images was {orders[0]}, then {orders[1]}:"
            fail(f"{said} it should be random, and new in each epoch.")

    @weight(2)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_times_are_uniform(self, student: Any, seed: int) -> None:
        """Each image of each minibatch gets a time of its own, and every time from 0 to T − 1 comes equally often."""
        record = Recorder()
        model = Denoiser(1, 4, torch.Generator().manual_seed(seed))
        record.train(student, model, torch.zeros(400, 1), ALPHA_BAR, seed, epochs=1, batch_size=100)
        assert_drawn(record, 4)
        counts = torch.bincount(torch.cat(record.times), minlength=4)
        # 400 draws: each time is expected 100 times, and six standard deviations are 52.
        assert_between(counts, 48, 152, what="how often each time from 0 to 3 came in 400 draws")

    @weight(6)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_the_generator_decides_everything(self, student: Any, seed: int) -> None:
        """Equal generators give the same minibatches, times and noise; another generator gives others."""
        records = []
        for own in (seed, seed, seed + 1):
            model, record = Denoiser(5, 4, torch.Generator().manual_seed(seed)), Recorder()
            data = torch.arange(150.0).view(30, 5) / 150
            record.train(student, model, data, ALPHA_BAR, own, epochs=1, batch_size=16)
            records.append([torch.cat(part) for part in (record.images, record.times, record.noise)])
        for name, first, same, other in zip(("order", "times", "noise"), *records, strict=True):
            assert_close(same, first, what=f"the {name} of a second training with an equal generator")
            if torch.equal(first, other):
                fail(f"With another generator the {name} did not change: {'are they' if name == 'times' else 'is it'} "
                     "drawn from it?")  # fmt: skip

    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_noise_is_standard_normal(self, student: Any, seed: int) -> None:
        """Every step draws fresh standard normal noise, one number for each of the data."""
        model, record = Denoiser(3, 4, torch.Generator().manual_seed(seed)), Recorder()
        record.train(student, model, torch.zeros(50, 3), ALPHA_BAR, seed, epochs=2, batch_size=25)
        noise = torch.cat(record.noise)
        assert_shape(noise, (100, 3), what="all noise of two epochs")
        assert_drawn(record, 4)
        # 300 numbers: six standard errors each.
        assert_between(noise.mean(), -0.35, 0.35, what="the mean of the noise")
        assert_between(noise.var(), 0.5, 1.5, what="the variance of the noise")

    @given(offset=st.integers(-5, 5))
    @settings(max_examples=2)
    def test_returns_the_mean_loss_of_each_epoch(self, student: Any, offset: int) -> None:
        """It returns, and tells on_epoch, the mean over all data points of the loss: a minibatch counts by its size."""
        model = Denoiser(5, 4, torch.Generator().manual_seed(0))
        steps = itertools.count()

        def loss(model: Callable, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
            return 0 * model(x0, t).sum() + x0.mean() - offset + next(steps) // 2  # two steps are an epoch

        record = Recorder(loss)
        data = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])[:, None].expand(5, 5)
        history = record.train(student, model, data, ALPHA_BAR, 0, epochs=3, batch_size=3)
        losses = [0.2 - offset + epoch for epoch in range(3)]
        assert_close(history, losses, tolerance=1e-4, what="the returned list")
        if not all(isinstance(value, float) for value in history):
            fail(f"The list should hold floats, but it is {describe(history)}.")
        assert_close(record.epochs, list(enumerate(losses)), tolerance=1e-4, what="what on_epoch was called with")

    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_works_on_images(self, student: Any, seed: int) -> None:
        """Data may have any shape, the loss is given the schedule that was passed in, and options may be left out."""
        record = Recorder(lambda model, x0, t, noise, alpha_bar: (model.weight * noise.mean()).square().sum())
        alpha_bar = torch.linspace(0.9, 0.1, 3)
        generator = torch.Generator().manual_seed(seed)
        model, data = nn.Linear(2, 2, bias=False), torch.randn(5, 1, 2, 2, generator=generator)
        model.in_place = True  # type: ignore[assignment]
        student.train_diffusion(model, data, alpha_bar, epochs=1, loss=record.loss)
        if not record.noise:
            fail("The function that is passed as loss= was never called: a step minimises what it returns.")
        assert_shape(record.noise[0], (5, 1, 2, 2), what="the noise")
        assert_close(record.alpha_bars[0], alpha_bar, what="alpha_bar as the loss got it")


def assert_drawn(record: Recorder, steps: int) -> None:
    """Check times and noise of many images: each image its own, all times there, noise on both sides of 0."""
    times, noise = torch.cat(record.times), torch.cat([part.flatten() for part in record.noise])
    if times.is_floating_point():
        fail(f"Times should be whole numbers, but their dtype is {times.dtype}.")
    if any(len(t.unique()) == 1 for t in record.times if len(t) > 4 * steps):
        fail("All images of a minibatch have the same time: each needs its own.")
    assert_between(times, 0, steps - 1, what=f"a time, where T is {steps},")
    if missing := sorted(set(range(steps)) - set(times.tolist())):
        fail(f"Among {len(times)} times that were drawn from 0 to {steps - 1}, {missing[0]} never came.")
    if len(noise.unique()) < 0.95 * len(noise):
        fail("The same noise is used several times: each image needs its own, new in every step.")
    if (noise >= 0).all() or (noise <= 0).all():
        fail(f"All {len(noise)} numbers of the noise lie on the same side of 0: it should be standard normal.")


def replay(model: nn.Module, record: Recorder, alpha_bar: Tensor, learning_rate: float) -> list[float]:
    """Train on the recorded minibatches, times and noise; the loss of each minibatch times its size."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    for x0, t, noise in zip(record.images, record.times, record.noise, strict=True):
        loss = nn.functional.mse_loss(model(reference.q_sample(x0, t, noise, alpha_bar), t), noise)
        losses.append(loss.item() * len(x0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


# ---- the way back


@st.composite
def steps_back(draw: st.DrawFn, **options: Any) -> tuple[Noisy, Tensor, Tensor]:
    """Noisy data as `x0` of the first part, a prediction of their noise as its `noise`; the same prediction; fresh noise."""
    drawn = draw(noisy(**options))
    return drawn, drawn.noise, draw(tensors(tuple(drawn.x0.shape)))


def ddpm_calls(**options: Any) -> st.SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments of `ddpm_step`."""
    return steps_back(**options).map(
        lambda parts: (
            (parts[0].x0, parts[0].t, parts[1], parts[2], parts[0].betas, parts[0].alpha_bar),
            dict(PIECES),
        )
    )


def point_noise(point: float, xt: Tensor, alpha_bar: Tensor) -> Tensor:
    """The noise in xt when all data are one point: what a perfect model says. `alpha_bar` is that of each row."""
    left = alpha_bar.double().view(-1, *[1] * (xt.dim() - 1))
    return ((xt.double() - left.sqrt() * point) / (1 - left).sqrt()).to(xt.dtype)


def plane_of_nodes() -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of standard normal numbers, x and y of each, and the weight of each pair in an expectation.

    Gauss and Hermite's rule with three nodes, which is exact for polynomials up to degree 5: for the mean and the variance
    of anything linear.
    """
    nodes = torch.tensor([-math.sqrt(3), 0.0, math.sqrt(3)], dtype=torch.float64)
    weights = torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64) / 6
    x, y = torch.meshgrid(nodes, nodes, indexing="ij")
    return x.flatten(), y.flatten(), torch.outer(weights, weights).flatten()


@exercise("ddpm_step", contract=ddpm_calls())
class TestDDPMStep:
    @required
    @given(call=ddpm_calls(first=1))
    @settings(max_examples=6)
    def test_noise_out_and_noise_in(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Before the last step more predicted noise in xt gives less, and more fresh noise gives more."""
        (xt, t, predicted, noise, *schedule), pieces = call
        x = student.ddpm_step(xt, t, predicted, noise, *schedule, **pieces)
        less = student.ddpm_step(xt, t, predicted + 1, noise, *schedule, **pieces)
        more = student.ddpm_step(xt, t, predicted, noise + 1, *schedule, **pieces)
        for part in (x, less, more):
            assert_shape(part, tuple(xt.shape), what="the result")
        assert_between(x - less, 1e-4, tolerance=0, what="what one more predicted noise takes away")
        assert_between(more - x, 1e-4, tolerance=0, what="what one more fresh noise adds")

    @weight(4)
    @given(drawn=noisy(shape=st.just((2, 2))), clip=st.sampled_from([None, 1.0, 0.5]), seed=st.integers(0, 1000))
    @settings(max_examples=10)
    def test_equals_diffusers(self, student: Any, drawn: Noisy, clip: float | None, seed: int) -> None:
        """It is the step of diffusers' DDPMScheduler (variance_type="fixed_small"), its clip_sample_range being clip."""
        library = scheduler(DDPMScheduler, drawn.betas, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
        fresh, expected = torch.empty_like(drawn.x0), torch.empty_like(drawn.x0)
        for row, t in enumerate(drawn.t.tolist()):
            own = slice(row, row + 1)
            fresh[own] = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(seed + row))
            same = torch.Generator().manual_seed(seed + row)
            expected[own] = library.step(drawn.noise[own], t, drawn.x0[own], generator=same).prev_sample
        given = drawn.x0, drawn.t, drawn.noise, fresh, drawn.betas, drawn.alpha_bar
        received = student.ddpm_step(*given, clip=clip, **PIECES)
        assert_close(received, expected, tolerance=1e-3, what="the data a step earlier")

    @weight(3)
    @given(betas=schedules(), point=st.integers(-8, 8).map(lambda part: part / 4))
    @settings(max_examples=6)
    def test_undoes_a_step_of_the_chain(self, student: Any, betas: Tensor, point: float) -> None:
        """If all data are one point and the model knows it, x_t as the chain draws it becomes x_{t−1} as the chain draws it."""
        t = len(betas) - 1
        x, y, weights = plane_of_nodes()
        many = torch.full_like(x, point)
        drawn = Noisy(many, torch.full((len(x),), t), x, betas)
        earlier = float(drawn.alpha_bar[t - 1])
        xt, left = drawn.alpha_bar[t].sqrt() * many + (1 - drawn.alpha_bar[t]).sqrt() * x, drawn.alpha_bar[drawn.t]
        predicted = point_noise(point, xt, left).float()
        given = xt.float(), drawn.t, predicted, y.float(), betas, drawn.alpha_bar
        received = student.ddpm_step(*given, **PIECES)
        assert_shape(received, tuple(x.shape), what="the result")
        mean = weights @ received.double()
        assert_close(mean, math.sqrt(earlier) * point, tolerance=1e-3, what="the mean of x_{t−1}")
        variance = weights @ (received.double() - mean).square()
        assert_close(variance, 1 - earlier, tolerance=1e-3, what="the variance of x_{t−1}")

    @weight(3)
    @given(drawn=noisy(), generator=generators())
    @settings(max_examples=6)
    def test_the_last_step_adds_no_noise(self, student: Any, drawn: Noisy, generator: torch.Generator) -> None:
        """At t = 0 it returns the predicted x0 and adds no noise, also where others of the batch are not there yet."""
        drawn.t[-1] = 0
        fresh = 3 * torch.randn(drawn.x0.shape, generator=generator)
        xt = drawn.xt
        given = xt, drawn.t, drawn.noise, fresh, drawn.betas, drawn.alpha_bar
        received = student.ddpm_step(*given, **PIECES)
        assert_shape(received, tuple(xt.shape), what="the result")
        assert_close(received[-1], drawn.x0[-1], tolerance=1e-3, what="the result at t = 0")

    @weight(2)
    @given(drawn=noisy(batch=st.just(3), shape=st.sampled_from([(3,), (2, 3)])), generator=generators())
    @settings(max_examples=5)
    def test_each_data_point_has_its_own_time(self, student: Any, drawn: Noisy, generator: torch.Generator) -> None:
        """Each data point has its own time, the same for all of its elements: alone it becomes what it does in a batch."""
        drawn.t[0] = 0
        fresh = torch.randn(drawn.x0.shape, generator=generator)

        def step(xt: Tensor, t: Tensor, predicted: Tensor, noise: Tensor) -> Any:
            return student.ddpm_step(xt, t, predicted, noise, drawn.betas, drawn.alpha_bar, **PIECES)

        batched = drawn.x0, drawn.t, drawn.noise, fresh
        together = step(*batched)
        assert_shape(together, tuple(drawn.x0.shape), what="the result")
        assert_close(together, each_row(step, *batched), what="the result of a batch")

    @weight(2)
    @given(drawn=noisy(shape=st.just((3,)), first=1), clip=st.sampled_from([0.25, 1.0]))
    @settings(max_examples=6)
    def test_clips_the_prediction_not_the_result(self, student: Any, drawn: Noisy, clip: float) -> None:
        """With clip the predicted x0 is confined before the step: the result is that of data at the limit."""
        far = Noisy(4 * clip * torch.ones_like(drawn.x0), drawn.t, drawn.noise, drawn.betas).xt
        zero, limit = torch.zeros_like(far), torch.full_like(far, clip)
        received = student.ddpm_step(
            *(far, drawn.t, drawn.noise, zero, drawn.betas, drawn.alpha_bar), clip=clip, **PIECES
        )
        expected, _ = posterior_by_quadrature(drawn, limit, far)
        assert_close(received, expected, tolerance=1e-3, what=f"the result with clip={clip}")


def falling_times(high: int = 9) -> st.SearchStrategy[list[int]]:
    """A few times, the latest first."""
    return st.lists(st.integers(0, high), min_size=1, max_size=5, unique=True).map(lambda times: sorted(times)[::-1])


class Walk:
    """A model and a step that take notes of how they are called."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []
        self.steps: list[tuple[Tensor, Tensor]] = []

    def model(self, x: Tensor, t: Tensor) -> Tensor:
        """Something that depends on both."""
        self.asked.append(t.detach().clone())
        return 0.5 * x + (t + 1).to(x.dtype).reshape(-1, *[1] * (x.dim() - 1))

    def step(self, x: Tensor, t: Tensor, following: Tensor, predicted: Tensor) -> Tensor:
        """Likewise."""
        self.steps.append((t.detach().clone(), following.detach().clone()))
        return 0.75 * x + predicted


@exercise("generate", contract=False)
class TestGenerate:
    @required
    @given(times=falling_times(), x=tensors((2, 3)))
    @settings(max_examples=6)
    def test_every_time_takes_a_step(self, student: Any, times: list[int], x: Tensor) -> None:
        """What the model says at each time of the list reaches the result, here by a step that adds it."""
        received = student.generate(
            lambda x, t: torch.zeros_like(x) + (t + 1).reshape(-1, 1), x, times, lambda x, t, following, p: x + p
        )
        expected = x + sum(times) + len(times)
        assert_close(detached(received), expected, tolerance=1e-4, what="the result")

    @weight(3)
    @given(times=falling_times(), x=tensors((2, 3)))
    @settings(max_examples=8)
    def test_each_step_begins_where_the_last_one_ended(self, student: Any, times: list[int], x: Tensor) -> None:
        """The model is asked about what the last step gave, in the order of the list, and so is the step."""
        walk = Walk()
        expected = x.double()
        for time in times:
            expected = 0.75 * expected + 0.5 * expected + time + 1
        received = student.generate(walk.model, x, times, walk.step)
        assert_close(detached(received), expected.float(), tolerance=1e-4, what="the result")

    @weight(3)
    @given(times=falling_times(), batch=sizes(1, 3))
    @settings(max_examples=8)
    def test_each_step_is_told_where_it_goes(self, student: Any, times: list[int], batch: int) -> None:
        """Each step is told its time and the next of the list, the last one −1, as int64 tensors: one for each data point."""
        walk = Walk()
        student.generate(walk.model, torch.ones(batch, 2), times, walk.step)
        if len(walk.steps) != len(times):
            fail(f"{len(times)} times should take as many steps, but step was called {len(walk.steps)} times.")
        for (t, following), now, then in zip(walk.steps, times, [*times[1:], -1], strict=True):
            assert_close(t, torch.full((batch,), now), what="t as the step got it")
            assert_close(following, torch.full((batch,), then), what=f"`following` as the step got it at time {now}")

    @weight(2)
    @given(times=falling_times(), batch=sizes(1, 3))
    @settings(max_examples=5)
    def test_asks_the_model_once_for_each_time(self, student: Any, times: list[int], batch: int) -> None:
        """The model is asked once for each time, with an int64 tensor that holds the time of each data point."""
        walk = Walk()
        student.generate(walk.model, torch.ones(batch, 2), times, walk.step)
        if len(walk.asked) != len(times):
            fail(f"{len(times)} times should take as many calls of the model, but there were {len(walk.asked)}.")
        for t, now in zip(walk.asked, times, strict=True):
            assert_close(t, torch.full((batch,), now), what="t as the model got it")

    @weight(5)
    @given(times=falling_times(), x=tensors((2, 3)))
    @settings(max_examples=3)
    def test_no_graph(self, student: Any, times: list[int], x: Tensor) -> None:
        """Neither the result nor what the model is shown carries a graph, though its weights require gradients."""
        kept: list[bool] = []

        def answer(w: Tensor, x: Tensor, t: Tensor) -> Tensor:
            kept.append(x.requires_grad)
            return w * x

        received = student.generate(Weighted(answer, 0.5), x, times, lambda x, t, following, predicted: x - predicted)
        assert_shape(received, (2, 3), what="the result")
        if received.requires_grad or any(kept):
            what = "The result" if received.requires_grad else "What the model is shown after the first step"
            fail(f"{what} requires grad: the graph of all steps is kept in memory.")

    @weight(2)
    @given(times=falling_times(), x=tensors((2, 3)), point=st.sampled_from([-1.0, 0.5, 2.0]))
    @settings(max_examples=5)
    def test_ends_at_the_data(self, student: Any, times: list[int], x: Tensor, point: float) -> None:
        """If all data are one point and the model knows it, DDIM's steps lead there, from any noise and by any times."""
        alpha_bar = torch.linspace(0.95, 0.05, 10)

        def model(x: Tensor, t: Tensor) -> Tensor:
            return point_noise(point, x, alpha_bar[t])

        def step(x: Tensor, t: Tensor, following: Tensor, predicted: Tensor) -> Tensor:
            return reference.ddim_step(x, t, following, predicted, alpha_bar)

        received = student.generate(model, x, times, step)
        assert_close(detached(received), torch.full((2, 3), point), tolerance=1e-3, what="the result")


@st.composite
def leaps(draw: st.DrawFn, **options: Any) -> tuple[Noisy, Tensor, Tensor]:
    """Noisy data, times to go to, and fresh noise. The noise that is predicted is that of the first."""
    drawn = draw(noisy(**options))
    part = draw(tensors(len(drawn.t), low=0, high=7 / 8))
    following = ((drawn.t + 1) * part).floor().long() - 1
    return drawn, following, draw(tensors(tuple(drawn.x0.shape)))


def ddim_calls(eta: st.SearchStrategy[float], **options: Any) -> st.SearchStrategy[Any]:
    """Arguments of `ddim_step`."""

    def call(parts: tuple[tuple[Noisy, Tensor, Tensor], float]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        (drawn, following, fresh), eta = parts
        args = drawn.x0, drawn.t, following, drawn.noise, drawn.alpha_bar
        return args, {"noise": fresh, "eta": eta, "predict": reference.predict_x0}

    return st.tuples(leaps(**options), eta).map(call)


ETAS = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@exercise("ddim_step", contract=ddim_calls(ETAS))
class TestDDIMStep:
    @required
    @given(parts=leaps(shape=st.just((3,)), first=1))
    @settings(max_examples=6)
    def test_noise_comes_out(self, student: Any, parts: tuple[Noisy, Tensor, Tensor]) -> None:
        """Without new noise the result grows with xt, and more predicted noise in xt gives less."""
        drawn, following, _ = parts
        following = following.clamp(min=0)
        options = {"predict": reference.predict_x0}
        given = drawn.x0, drawn.t, following, drawn.noise, drawn.alpha_bar
        x = student.ddim_step(*given, **options)
        more = student.ddim_step(drawn.x0 + 1, *given[1:], **options)
        less = student.ddim_step(*given[:3], drawn.noise + 1, drawn.alpha_bar, **options)
        for part in (x, more, less):
            assert_shape(part, tuple(x.shape), what="the result")
        assert_between(more - x, 1e-4, tolerance=0, what="what one more in xt adds")
        assert_between(x - less, 1e-4, tolerance=0, what="what one more predicted noise takes away")

    @weight(5)
    @given(
        betas=tensors(12, low=1 / 32, high=0.5),
        leap=st.sampled_from([(11, 1), (7, 2), (8, 4), (5, 6), (2, 3), (0, 1), (10, 12)]),
        clip=st.sampled_from([None, 1.0, 0.5]),
        generator=generators(),
    )
    @settings(max_examples=10)
    def test_equals_diffusers(
        self, student: Any, betas: Tensor, leap: tuple[int, int], clip: float | None, generator: torch.Generator
    ) -> None:
        """It is the step of diffusers' DDIMScheduler, with use_clipped_model_output=True and clip_sample_range being clip."""
        time, stride = leap
        library = scheduler(DDIMScheduler, betas, clip_sample=clip is not None, clip_sample_range=clip or 1.0)
        library.set_timesteps(12 // stride)
        xt, predicted, noise = torch.randn(3, 2, 2, 2, generator=generator)
        t = torch.full((2,), time)
        following = (t - stride).clamp(min=-1)
        for eta in (0.0, 0.25, 1.0):
            step = library.step(predicted, time, xt, eta=eta, use_clipped_model_output=True, variance_noise=noise)
            received = student.ddim_step(
                *(xt, t, following, predicted, library.alphas_cumprod),
                **{"noise": noise, "eta": eta, "clip": clip, "predict": reference.predict_x0},
            )
            assert_close(received, step.prev_sample, tolerance=1e-3, what=f"the data at time {following[0].item()}")

    @weight(2)
    @given(parts=leaps(batch=sizes(2, 4), first=1), eta=ETAS)
    @settings(max_examples=6)
    def test_minus_one_is_clean_data(self, student: Any, parts: tuple[Noisy, Tensor, Tensor], eta: float) -> None:
        """Where `following` is −1 it returns the predicted x0, without noise, also where others of the batch stop before."""
        drawn, following, fresh = parts
        following[0].clamp_(min=0)
        following[-1] = -1
        received = student.ddim_step(
            *(drawn.xt, drawn.t, following, drawn.noise, drawn.alpha_bar),
            **{"noise": fresh, "eta": eta, "predict": reference.predict_x0},
        )
        assert_shape(received, tuple(drawn.x0.shape), what="the result")
        assert_close(received[-1], drawn.x0[-1], tolerance=1e-3, what="the result where `following` is −1")

    @weight(3)
    @given(
        betas=schedules(3),
        parts=st.tuples(st.integers(0, 7), st.integers(0, 7)),
        point=st.integers(-8, 8).map(lambda part: part / 4),
        eta=ETAS,
    )
    @settings(max_examples=8)
    def test_keeps_the_distributions_of_the_chain(
        self, student: Any, betas: Tensor, parts: tuple[int, int], point: float, eta: float
    ) -> None:
        """If all data are one point and the model knows it, x_t becomes what the chain is at `following`, for any eta."""
        time = 1 + parts[0] * (len(betas) - 1) // 8
        then = parts[1] * time // 8
        x, y, weights = plane_of_nodes()
        drawn = Noisy(torch.full_like(x, point), torch.full((len(x),), time), x, betas)
        alpha_bar = drawn.alpha_bar
        xt = (alpha_bar[time].sqrt() * point + (1 - alpha_bar[time]).sqrt() * x).float()
        predicted = point_noise(point, xt, alpha_bar[drawn.t])
        received = student.ddim_step(
            *(xt, drawn.t, torch.full_like(drawn.t, then), predicted, alpha_bar),
            **{"noise": y.float(), "eta": eta, "predict": reference.predict_x0},
        )
        assert_shape(received, tuple(x.shape), what="the result")
        mean = weights @ received.double()
        assert_close(mean, math.sqrt(alpha_bar[then]) * point, tolerance=1e-3, what="the mean at `following`")
        variance = weights @ (received.double() - mean).square()
        assert_close(variance, 1 - alpha_bar[then].item(), tolerance=1e-3, what="the variance at `following`")

    @weight(2)
    @given(drawn=noisy(first=1), generator=generators())
    @settings(max_examples=6)
    def test_is_ddpm_at_eta_one(self, student: Any, drawn: Noisy, generator: torch.Generator) -> None:
        """With eta = 1 and steps of one it is the step of DDPM: posterior mean, posterior variance."""
        fresh = torch.randn(drawn.x0.shape, generator=generator)
        expected = reference.ddpm_step(drawn.x0, drawn.t, drawn.noise, fresh, drawn.betas, drawn.alpha_bar)
        received = student.ddim_step(
            *(drawn.x0, drawn.t, drawn.t - 1, drawn.noise, drawn.alpha_bar),
            **{"noise": fresh, "eta": 1.0, "predict": reference.predict_x0},
        )
        assert_close(received, expected, tolerance=1e-3, what="the data a step earlier")

    @weight(2)
    @given(drawn=noisy(first=2), fresh=st.booleans())
    @settings(max_examples=5)
    def test_two_leaps_or_one(self, student: Any, drawn: Noisy, fresh: bool) -> None:
        """At eta = 0, with or without noise given, a leap may be made in two parts, if the predicted noise stays the same."""
        noise = {"noise": drawn.noise.flip(0) + 1} if fresh else {}

        def leap(x: Tensor, start: Tensor, end: Tensor) -> Any:
            return student.ddim_step(x, start, end, drawn.noise, drawn.alpha_bar, predict=reference.predict_x0, **noise)

        middle, end = drawn.t - 1, torch.zeros_like(drawn.t)
        end[0] = -1
        once, twice = leap(drawn.x0, drawn.t, end), leap(leap(drawn.x0, drawn.t, middle), middle, end)
        assert_shape(once, tuple(drawn.x0.shape), what="the result")
        assert_close(twice, once, tolerance=1e-3, what="the result of two leaps")

    @weight(2)
    @given(parts=leaps(shape=st.just((3,))), clip=st.sampled_from([0.25, 1.0]), eta=st.sampled_from([0.0, 0.5]))
    @settings(max_examples=6)
    def test_clips_what_is_predicted(
        self, student: Any, parts: tuple[Noisy, Tensor, Tensor], clip: float, eta: float
    ) -> None:
        """Where clip confines the predicted x0, it is the step of a model that predicts the noise leading to the limit."""
        drawn, following, fresh = parts
        far = Noisy(4 * clip * torch.ones_like(drawn.x0), drawn.t, drawn.noise, drawn.betas).xt
        options = {"noise": fresh, "eta": eta, "predict": reference.predict_x0}
        confined = student.ddim_step(far, drawn.t, following, drawn.noise, drawn.alpha_bar, clip=clip, **options)
        predicted = point_noise(clip, far, drawn.alpha_bar[drawn.t])
        expected = student.ddim_step(far, drawn.t, following, predicted, drawn.alpha_bar, **options)
        assert_shape(expected, tuple(far.shape), what="the result")
        assert_close(confined, expected, tolerance=1e-3, what=f"the result with clip={clip}")

    @weight(2)
    @given(drawn=noisy(first=1), eta=st.sampled_from([0.25, 0.5, 0.75]))
    @settings(max_examples=6)
    def test_eta_is_a_factor(self, student: Any, drawn: Noisy, eta: float) -> None:
        """New noise moves the result in proportion to eta: at 0 not at all, at ½ half as far as at 1."""

        def step(noise: Tensor, eta: float) -> Any:
            given = drawn.x0, drawn.t, drawn.t - 1, drawn.noise, drawn.alpha_bar
            return student.ddim_step(*given, noise=noise, eta=eta, predict=reference.predict_x0)

        zero = torch.zeros_like(drawn.x0)
        part, whole, none = (step(zero + 8, e) - step(zero, e) for e in (eta, 1.0, 0.0))
        assert_shape(whole, tuple(zero.shape), what="how far noise moves the result")
        assert_between(whole, 0.1, tolerance=0, what="how far noise moves the result at eta=1")
        assert_close(part, eta * whole, tolerance=1e-3, what=f"how far noise moves the result at eta={eta}")
        assert_close(none, zero, what="how far noise moves the result at eta=0")

    @given(parts=leaps(batch=st.just(3), shape=st.sampled_from([(3,), (2, 3)])))
    @settings(max_examples=4)
    def test_each_data_point_has_its_own_times(self, student: Any, parts: tuple[Noisy, Tensor, Tensor]) -> None:
        """Each data point has its own two times, the same for all of its elements: alone it becomes what it does in a batch."""
        drawn, following, fresh = parts

        def step(xt: Tensor, t: Tensor, following: Tensor, predicted: Tensor, noise: Tensor) -> Any:
            return student.ddim_step(
                *(xt, t, following, predicted, drawn.alpha_bar), noise=noise, eta=0.5, predict=reference.predict_x0
            )

        batched = drawn.x0, drawn.t, following, drawn.noise, fresh
        together = step(*batched)
        assert_shape(together, tuple(drawn.x0.shape), what="the result")
        assert_close(together, each_row(step, *batched), what="the result of a batch")


# ---- conditions


@st.composite
def guided_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `guided_noise`."""
    drawn = draw(noisy())
    labels = draw(tensors(len(drawn.t), dtype=torch.int64, low=0, high=4))
    scale, null = draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])), draw(st.integers(5, 9))
    return (toy_guided, drawn.x0, drawn.t, labels), {"scale": scale, "null": null}


def toy_guided(xt: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    """A made-up model that looks at everything it is given, each row by itself."""
    known = (labels * labels + 1).to(xt.dtype) / (t + 2)
    return xt * known.reshape(-1, *[1] * (xt.dim() - 1)) - labels.to(xt.dtype).reshape(-1, *[1] * (xt.dim() - 1))


@exercise("guided_noise", contract=guided_calls())
class TestGuidedNoise:
    @required
    @given(call=guided_calls(), gap=st.integers(1, 4))
    @settings(max_examples=6)
    def test_goes_from_unconditional_to_conditional(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], gap: int
    ) -> None:
        """A larger scale moves the noise towards what the label makes of it, and gradients flow back to the model."""
        (_, xt, t, labels), options = call

        def answer(w: Tensor, xt: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            return xt + w * (labels != options["null"]).to(xt.dtype).reshape(-1, *[1] * (xt.dim() - 1))

        model = Weighted(answer, float(gap))
        weak, strong = (student.guided_noise(model, xt, t, labels, scale=s, null=options["null"]) for s in (0.5, 2.5))
        for part in (weak, strong):
            assert_shape(part, tuple(xt.shape), what="the guided noise")
        assert_depends(strong, model.w, what="the guided noise", on_what="the model's parameters")
        gained = detached(strong) - detached(weak)
        assert_between(gained, 0.1, what="what the larger scale adds, where the label adds a positive number")

    @weight(3)
    @given(call=guided_calls(), scale=st.integers(-4, 12).map(lambda part: part / 2))
    @settings(max_examples=8)
    def test_extrapolates(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], scale: float) -> None:
        """It lies on the line through what the model says without and with the label, `scale` times as far from the first."""
        (model, xt, t, labels), options = call
        without, with_it = model(xt, t, torch.full_like(labels, options["null"])), model(xt, t, labels)
        expected = torch.lerp(without, with_it, scale)
        received = student.guided_noise(model, xt, t, labels, scale=scale, null=options["null"])
        assert_close(received, expected, tolerance=1e-3, what="the guided noise", sizes={})

    @weight(2)
    @given(call=guided_calls())
    @settings(max_examples=5)
    def test_scale_one_is_the_conditional_model(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]
    ) -> None:
        """Scale 1 gives the conditional model."""
        (model, xt, t, labels), options = call
        received = student.guided_noise(model, xt, t, labels, scale=1.0, null=options["null"])
        assert_close(received, model(xt, t, labels), tolerance=1e-4, what="the guided noise at scale 1")

    @weight(2)
    @given(call=guided_calls())
    @settings(max_examples=5)
    def test_scale_zero_ignores_the_labels(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Scale 0 gives the model with the label `null`, whatever the labels are."""
        (model, xt, t, labels), options = call
        received = student.guided_noise(model, xt, t, labels, scale=0.0, null=options["null"])
        expected = model(xt, t, torch.full_like(labels, options["null"]))
        assert_close(received, expected, tolerance=1e-4, what="the guided noise at scale 0")

    @weight(2)
    @given(call=guided_calls())
    @settings(max_examples=5)
    def test_what_the_model_is_asked(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """The model is asked about each data point once with its label and once with `null`, with its data and its time."""
        (_, xt, t, labels), options = call
        asked: list[tuple[Any, ...]] = []

        def model(xt: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            rows = zip(xt.tolist(), t.tolist(), labels.tolist(), strict=True)
            asked.extend((str(x), time, label) for x, time, label in rows)
            return xt

        student.guided_noise(model, xt, t, labels, scale=2.0, null=options["null"])
        both = torch.cat([labels, torch.full_like(labels, options["null"])]).tolist()
        wanted = [(str(x), time, label) for x, time, label in zip(xt.tolist() * 2, t.tolist() * 2, both, strict=True)]
        if sorted(asked) != sorted(wanted):
            told = sorted((time, label) for _, time, label in asked)
            meant = sorted((time, label) for _, time, label in wanted)
            fail(
                "The model should be asked about the data as they are, at these times with these labels:",
                f"expected  {meant}",
                f"received  {told}",
            )

    @given(call=guided_calls(), scale=st.sampled_from([-1.0, 0.5, 3.0]))
    @settings(max_examples=4)
    def test_gradients_flow_through_both(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], scale: float
    ) -> None:
        """For a model w · f its gradient for w, at w = 1, is the guided noise of f: both of its answers count."""
        (model, xt, t, labels), options = call
        weighted = Weighted(lambda w, *given: w * (1 + model(*given)))
        received = student.guided_noise(weighted, xt, t, labels, scale=scale, null=options["null"])
        assert_depends(received, weighted.w, what="the guided noise", on_what="the model's parameters")
        (gradient,) = torch.autograd.grad(received.sum(), weighted.w)
        assert_close(gradient, detached(received).sum(), tolerance=1e-3, what="the gradient for w")

    @given(call=guided_calls())
    @settings(max_examples=4)
    def test_each_data_point_by_itself(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Each data point is guided by its own label: alone it gives what it does in a batch."""
        (model, xt, t, labels), options = call

        def guided(*batched: Tensor) -> Any:
            return student.guided_noise(model, *batched, scale=1.5, null=options["null"])

        together = guided(xt, t, labels)
        assert_shape(together, tuple(xt.shape), what="the guided noise")
        assert_close(together, each_row(guided, xt, t, labels), tolerance=1e-4, what="the guided noise of a batch")


@dataclass(frozen=True)
class Reading:
    """Pixels, words and weights for `cross_attention`."""

    x: Tensor
    context: Tensor
    to_q: Tensor
    to_k: Tensor
    to_v: Tensor
    heads: int = 1
    mask: Tensor | None = None

    @property
    def given(self) -> tuple[Tensor, ...]:
        """All tensors but the mask, in order."""
        return self.x, self.context, self.to_q, self.to_k, self.to_v

    def ask(self, student: Any, **changes: Any) -> Any:
        """The student's answer; checked for its shape."""
        options = {"heads": self.heads, "mask": self.mask} | changes
        received = student.cross_attention(*self.given, **options)
        assert_shape(received, (*self.x.shape[:2], len(self.to_v)), what="the result")
        return received


@st.composite
def readings(
    draw: st.DrawFn, *, heads: st.SearchStrategy[int] | None = None, masked: bool = False, words: int = 1
) -> Reading:
    """Everything `cross_attention` needs; all its sizes differ or are drawn."""
    generator = draw(generators())
    batch, pixels, count = draw(sizes(1, 3)), draw(sizes(1, 4)), draw(sizes(words, 5))
    several = draw(st.sampled_from([1, 2, 3]) if heads is None else heads)
    inner, dim, context_dim = several * draw(sizes(2, 4)), draw(sizes(2, 5)), draw(sizes(2, 5))
    shapes = (batch, pixels, dim), (batch, count, context_dim), (inner, dim), (inner, context_dim), (inner, context_dim)
    mask = None
    if masked:
        mask = torch.rand(batch, count, generator=generator) < 0.5
        mask[:, draw(st.integers(0, count - 1))] = True
    x, context, to_q, to_k, to_v = (torch.randn(shape, generator=generator) for shape in shapes)
    return Reading(x, context, to_q, to_k, to_v, several, mask)


@exercise("cross_attention")
class TestCrossAttention:
    @required
    @given(reading=readings(words=2))
    @settings(max_examples=5)
    def test_reads_words_by_looking_at_pixels(self, student: Any, reading: Reading) -> None:
        """What is read changes with pixels, words and all three weights, and if all words say the same, that is read."""
        given = [part.clone().requires_grad_() for part in reading.given]
        received = student.cross_attention(*given, heads=reading.heads)
        assert_shape(received, (*reading.x.shape[:2], len(reading.to_v)), what="the result")
        for part, name in zip(given, ("x", "context", "to_q", "to_k", "to_v"), strict=True):
            assert_depends(received, part, what="the result", on_what=name)
        same = reading.context[:, :1].expand_as(reading.context)
        received = student.cross_attention(reading.x, same, *reading.given[2:], heads=reading.heads)
        expected = (same[:, :1] @ reading.to_v.T).expand_as(received)
        assert_close(received, expected, tolerance=1e-4, what="what is read where all words are the same")

    @weight(3)
    @given(reading=readings(masked=True))
    @settings(max_examples=8)
    def test_equals_diffusers(self, student: Any, reading: Reading) -> None:
        """It is the cross-attention of diffusers' Attention, which Stable Diffusion is built of, less its last layer."""
        assert reading.mask is not None
        inner, dim = reading.to_q.shape
        library = Attention(
            *(dim, reading.context.shape[2]), heads=reading.heads, dim_head=inner // reading.heads, bias=False
        )
        library.to_out = nn.ModuleList([nn.Identity(), nn.Identity()])
        with torch.no_grad():
            for name in ("to_q", "to_k", "to_v"):
                getattr(library, name).weight.copy_(getattr(reading, name))
            hidden = torch.zeros(reading.mask.shape).masked_fill(~reading.mask, -1e9)[:, None, :]
            expected = library(reading.x, reading.context, attention_mask=hidden)
        assert_close(reading.ask(student), expected, tolerance=1e-3, what="what the pixels read")

    @weight(2)
    @given(reading=readings(heads=st.just(1)), gap=st.integers(-16, 16).map(lambda part: part / 4))
    @settings(max_examples=6)
    def test_two_words_are_a_logistic_curve(self, student: Any, reading: Reading, gap: float) -> None:
        """With one pixel and two words the share of the first word is the sigmoid of the difference of scores over √d."""
        width = len(reading.to_q)
        x, to_q, to_k = torch.ones(1, 1, 1), torch.ones(width, 1), torch.tensor([[1.0, 0.0]]).expand(width, 2)
        context = torch.tensor([[[gap, 1.0], [0.0, 0.0]]])
        to_v = torch.tensor([[0.0, 1.0]]).expand(width, 2)
        received = student.cross_attention(x, context, to_q, to_k, to_v)
        share = 1 / (1 + math.exp(-gap * width / math.sqrt(width)))
        assert_close(received, torch.full((1, 1, width), share), tolerance=1e-4, what="the share of the first word")

    @weight(2)
    @given(reading=readings(heads=st.sampled_from([2, 3])))
    @settings(max_examples=5)
    def test_each_head_by_itself(self, student: Any, reading: Reading) -> None:
        """Each head is an attention of its own on its own channels: computed alone it gives its part of the result."""
        alone = [
            student.cross_attention(reading.x, reading.context, *rows)
            for rows in zip(*(part.chunk(reading.heads) for part in reading.given[2:]), strict=True)
        ]
        assert_close(reading.ask(student), torch.cat(alone, dim=2), tolerance=1e-4, what="what all heads read")

    @weight(4)
    @given(reading=readings(masked=True, words=2))
    @settings(max_examples=6)
    def test_hidden_words_are_not_there(self, student: Any, reading: Reading) -> None:
        """Words where mask is False might as well not stand there, and what they are makes no difference."""
        assert reading.mask is not None
        received = reading.ask(student)
        for row, mask in enumerate(reading.mask):
            expected = student.cross_attention(
                *(reading.x[row : row + 1], reading.context[row : row + 1, mask], *reading.given[2:]),
                heads=reading.heads,
            )
            assert_close(received[row : row + 1], expected, tolerance=1e-4, what=f"what is read of text {row}")

    @given(reading=readings(words=3))
    @settings(max_examples=4)
    def test_gradients_past_hidden_words(self, student: Any, reading: Reading) -> None:
        """Where a word is hidden gradients are those of the text without it."""
        x = reading.x.clone().requires_grad_()
        mask = torch.ones(reading.context.shape[:2], dtype=torch.bool)
        mask[:, -1] = False
        gradients = []
        for context, seen in ((reading.context, mask), (reading.context[:, :-1], None)):
            received = student.cross_attention(x, context, *reading.given[2:], heads=reading.heads, mask=seen)
            assert_depends(received, x, what="the result", on_what="x")
            gradients.append(torch.autograd.grad(received.square().sum(), x)[0])
        assert_close(gradients[0], gradients[1], tolerance=1e-3, what="the gradient for x where a word is hidden")

    @given(reading=readings(words=2), generator=generators())
    @settings(max_examples=4)
    def test_order_of_words_and_pixels(self, student: Any, reading: Reading, generator: torch.Generator) -> None:
        """The order of the words makes no difference; pixels in another order read the same, in that order."""
        words = torch.randperm(reading.context.shape[1], generator=generator)
        pixels = torch.randperm(reading.x.shape[1], generator=generator)
        expected = reading.ask(student)[:, pixels]
        moved = replace(reading, x=reading.x[:, pixels], context=reading.context[:, words])
        assert_close(moved.ask(student), expected, tolerance=1e-4, what="what pixels read in another order")

    @given(reading=readings(words=2))
    @settings(max_examples=4)
    def test_each_image_reads_its_own_text(self, student: Any, reading: Reading) -> None:
        """Each image reads its own text: alone it reads what it does in a batch."""
        together = reading.ask(student)
        alone = each_row(
            lambda x, context: student.cross_attention(x, context, *reading.given[2:], heads=reading.heads),
            *reading.given[:2],
        )
        assert_close(together, alone, tolerance=1e-4, what="what a batch reads")


# ---- latents


def affine(data: Tensor, latent: int, scale: float) -> Tensor:
    """A made-up affine encoder's output for data (batch, …): (batch, latent), the dtype that of the data."""
    flat = data.flatten(1)
    weights = torch.linspace(-scale, scale, flat.shape[1] * latent, dtype=flat.dtype).reshape(-1, latent)
    return flat @ weights + 0.25


@st.composite
def latent_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `to_latents`."""
    batch, latent = draw(sizes(1, 3)), draw(sizes(1, 4))
    images = draw(tensors((batch, *draw(st.sampled_from([(3,), (1, 2, 2)]))), low=0, high=1))

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        return affine(x, latent, 1.0), affine(x, latent, -0.5)

    return (images, encode, draw(tensors((batch, latent)))), {"scale": draw(st.sampled_from([0.18215, 0.5, 2.0]))}


@exercise("to_latents", contract=latent_calls())
class TestToLatents:
    @required
    @given(call=latent_calls())
    @settings(max_examples=5)
    def test_moves_with_mean_and_noise(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Where the encoder's means are larger, so are the latents, and where the noise is larger, too."""
        (images, encode, noise), options = call
        latents = student.to_latents(images, encode, noise, **options)
        shifted = student.to_latents(images, lambda x: (encode(x)[0] + 1, encode(x)[1]), noise, **options)
        noisier = student.to_latents(images, encode, noise + 1, **options)
        for part in (latents, shifted, noisier):
            assert_shape(part, tuple(noise.shape), what="the latents")
        assert_between(detached(shifted - latents), 1e-3, tolerance=0, what="what a mean that is one larger adds")
        assert_between(detached(noisier - latents), 1e-3, tolerance=0, what="what one more noise adds")

    @weight(2)
    @given(call=latent_calls())
    @settings(max_examples=6)
    def test_the_encoder_sees_minus_one_to_one(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]
    ) -> None:
        """The encoder is given pixels from −1 (black) to 1 (white): 0 where they were ½."""
        (images, _, noise), options = call
        seen: list[Tensor] = []

        def encode(x: Tensor) -> tuple[Tensor, Tensor]:
            seen.append(x.detach().clone())
            return torch.zeros(len(x), noise.shape[1]), torch.zeros(len(x), noise.shape[1])

        student.to_latents(images, encode, noise, **options)
        if not seen:
            fail("The encoder was never called.")
        assert_close(torch.cat(seen), (images - 0.5) / 0.5, what="what the encoder got")

    @weight(4)
    @given(
        mu=tensors((1, 2)),
        logvar=tensors((1, 2)),
        scale=st.sampled_from([0.18215, 0.5, 2.0]),
    )
    @settings(max_examples=6)
    def test_mean_and_variance(self, student: Any, mu: Tensor, logvar: Tensor, scale: float) -> None:
        """Over standard normal noise latents have the mean scale · mu and the variance scale² · exp(logvar), by quadrature."""
        nodes, weights = standard_normal_nodes()
        many = (len(nodes), 2)
        latents = student.to_latents(
            torch.zeros(many),
            lambda x: (mu.expand(len(x), 2), logvar.expand(len(x), 2)),
            nodes[:, None].float().expand(many),
            scale=scale,
        )
        assert_shape(latents, many, what="the latents")
        latents = detached(latents).double()
        mean = weights @ latents
        assert_close(mean, scale * mu[0].double(), tolerance=1e-4, what="the mean of the latents")
        variance = weights @ (latents - mean).square()
        assert_close(variance, scale**2 * logvar[0].double().exp(), tolerance=1e-3, what="the variance of the latents")

    @given(call=latent_calls())
    @settings(max_examples=4)
    def test_each_number_has_its_own_noise(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Each latent number moves with its own number of the noise, and with no other."""
        (images, encode, noise), options = call
        before = detached(student.to_latents(images, encode, noise, **options))
        changed = noise.clone()
        changed[-1, -1] += 1
        after = detached(student.to_latents(images, encode, changed, **options))
        assert_shape(after, tuple(noise.shape), what="the latents")
        moved = (after - before).abs() > 1e-6
        expected = torch.zeros_like(moved)
        expected[-1, -1] = True
        assert_close(moved, expected, what="which latents move with the last number of the noise")

    @weight(2)
    @given(call=latent_calls())
    @settings(max_examples=5)
    def test_from_latents_finds_the_images_again(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]
    ) -> None:
        """With an encoder that is certain and says everything, its latents lead back to the images."""
        (images, _, _), options = call
        latents = student.to_latents(
            *(images, lambda x: (x, torch.full_like(x, -60.0)), torch.ones_like(images)), **options
        )
        back = reference.from_latents(detached(latents), lambda z: z, **options)
        assert_close(back, images, tolerance=1e-4, what="the images that the latents lead back to")


@st.composite
def image_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `from_latents`."""
    latents = draw(tensors((draw(sizes(1, 3)), draw(sizes(1, 4)))))

    def decode(z: Tensor) -> Tensor:
        return torch.cat([0.25 * z, z.square() - 1], dim=1)

    return (latents, decode), {"scale": draw(st.sampled_from([0.18215, 0.5, 2.0]))}


@exercise("from_latents", contract=image_calls())
class TestFromLatents:
    @required
    @given(call=image_calls())
    @settings(max_examples=5)
    def test_brighter_is_brighter(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Where the decoder gives more the pixel is brighter, and none is below 0 or above 1."""
        (latents, _), options = call
        pixels = torch.linspace(-0.9, 0.9, 4)
        images = student.from_latents(latents, lambda z: pixels.repeat(len(z), 1), **options)
        assert_shape(images, (len(latents), 4), what="the images")
        assert_between(images, 0, 1, what="a pixel")
        assert_between(images[:, 1:] - images[:, :-1], 1e-2, tolerance=0, what="the difference of brighter pixels")

    @weight(2)
    @given(call=image_calls())
    @settings(max_examples=6)
    def test_the_decoder_sees_latents_without_the_scale(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]
    ) -> None:
        """The decoder is given the latents divided by the scale."""
        (latents, _), options = call
        seen: list[Tensor] = []

        def decode(z: Tensor) -> Tensor:
            seen.append(z.detach().clone())
            return z

        student.from_latents(latents, decode, **options)
        if not seen:
            fail("The decoder was never called.")
        assert_close(
            torch.cat(seen) * options["scale"], latents, tolerance=1e-4, what="what the decoder got, times the scale,"
        )

    @weight(2)
    @given(images=tensors((2, 1, 2, 2), low=0, high=1), scale=st.sampled_from([0.18215, 0.5, 2.0]))
    @settings(max_examples=6)
    def test_way_back(self, student: Any, images: Tensor, scale: float) -> None:
        """Latents that say everything lead back to the images that they came from."""
        noise = torch.zeros_like(images)
        latents = reference.to_latents(images, lambda x: (x.flip(3), noise), noise, scale=scale)
        received = student.from_latents(latents, lambda z: z.flip(3), scale=scale)
        assert_close(detached(received), images, tolerance=1e-4, what="the images")

    @weight(3)
    @given(pixels=tensors((1, 10), low=-4, high=4), scale=st.sampled_from([0.5, 2.0]))
    @settings(max_examples=6)
    def test_black_and_white_are_the_ends(self, student: Any, pixels: Tensor, scale: float) -> None:
        """What the decoder gives becomes 0 at −1, ½ at 0, 1 at 1; what is beyond these becomes black or white."""
        pixels[0, :4] = torch.tensor([-1.0, 0.0, 1.0, 1.5])
        shades = [[min(1.0, max(0.0, 0.5 + value / 2)) for value in row] for row in pixels.tolist()]
        received = student.from_latents(torch.zeros(1, 2), lambda z: pixels.clone(), scale=scale)
        assert_close(detached(received), torch.tensor(shades), tolerance=1e-5, what="the images")


# ---- how good are the samples?


def clouds(seed: int, *, points: tuple[int, int] = (7, 9), dim: int = 3) -> tuple[Tensor, Tensor]:
    """Two sets of points, of different sizes, places and forms."""
    generator = torch.Generator().manual_seed(seed)

    def cloud(count: int) -> Tensor:
        # Longer in some directions than in others, but flat in none: roots of nearly 0 are hard in single precision.
        turn, _ = torch.linalg.qr(torch.randn(dim, dim, generator=generator))
        points = torch.randn(count, dim, generator=generator) * torch.linspace(0.5, 2, dim)
        return points @ turn + torch.randn(dim, generator=generator)

    return cloud(points[0]), cloud(points[1])


def frechet_by_singular_values(real: Tensor, generated: Tensor) -> Tensor:
    """The distance without any root of a matrix: the overlap is the sum of the singular values of A Bᵀ, Σ₁ being AᵀA."""
    roots = [(part.double() - part.double().mean(0)) / math.sqrt(len(part) - 1) for part in (real, generated)]
    overlap = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    moved = (real.double().mean(0) - generated.double().mean(0)).square().sum()
    return (moved + sum(root.square().sum() for root in roots) - 2 * overlap).to(real.dtype)


@exercise("frechet_distance", contract=st.integers(0, 99).map(lambda seed: (clouds(seed), {})))
class TestFrechetDistance:
    @required
    @given(seed=st.integers(0, 10**4), far=st.integers(2, 6))
    @settings(max_examples=5)
    def test_grows_as_sets_move_apart(self, student: Any, seed: int, far: int) -> None:
        """It is 0 from a set to itself, and grows as the set is moved away."""
        points, _ = clouds(seed)
        here, near, there = (student.frechet_distance(points, points + shift) for shift in (0.0, 1.0, float(far)))
        for part in (here, near, there):
            assert_shape(part, (), what="the distance")
        assert_close(here, 0.0, tolerance=1e-2, what="the distance of a set from itself")
        assert_between(near, 0.5, tolerance=0, what="the distance of a set that has been moved")
        if not there > near + 0.1:
            fail(f"Moved by 1 the set is {describe(near)} away, moved by {far} it is {describe(there)}.")

    @weight(3)
    @given(seed=st.integers(0, 10**4), dim=st.sampled_from([2, 3, 5]))
    @settings(max_examples=8)
    def test_equals_singular_values(self, student: Any, seed: int, dim: int) -> None:
        """It is the squared Wasserstein distance of the two Gaussians, here by the singular values of the points themselves."""
        real, generated = clouds(seed, points=(9, 12), dim=dim)
        expected = frechet_by_singular_values(real, generated)
        assert_close(student.frechet_distance(real, generated), expected, tolerance=3e-3, what="the distance")

    @weight(2)
    @given(
        seed=st.integers(0, 10**4),
        stretch=st.lists(st.sampled_from([0.25, 0.5, 2.0, 3.0]), min_size=3, max_size=3),
        shift=tensors(3),
    )
    @settings(max_examples=6)
    def test_stretched_and_moved(self, student: Any, seed: int, stretch: list[float], shift: Tensor) -> None:
        """A set stretched along its main axes is (s − 1)² times its variance away, axis by axis, and its move squared."""
        points, _ = clouds(seed)
        centered = (points - points.mean(0)).double()
        _, lengths, axes = torch.linalg.svd(centered, full_matrices=False)
        factors = torch.tensor(stretch).double()
        other = (centered @ axes.T * factors @ axes + shift.double()).float()
        expected = ((factors - 1).square() * lengths.square() / (len(points) - 1)).sum() + shift.double().square().sum()
        received = student.frechet_distance(centered.float(), other)
        assert_close(received, expected.float(), tolerance=3e-3, what="the distance", sizes={"n": 7})

    @weight(2)
    @given(seed=st.integers(0, 10**4))
    @settings(max_examples=4)
    def test_fewer_points_than_dimensions(self, student: Any, seed: int) -> None:
        """With fewer points than dimensions, where covariances are singular, it is finite, real and right."""
        real, generated = clouds(seed, points=(4, 3), dim=6)
        real, generated = real / 4, generated / 4
        expected = frechet_by_singular_values(real, generated)
        received = student.frechet_distance(real, generated)
        assert_close(received, expected, tolerance=2e-2, what="the distance")

    @given(seed=st.integers(0, 10**4), generator=generators())
    @settings(max_examples=4)
    def test_turned_and_exchanged(self, student: Any, seed: int, generator: torch.Generator) -> None:
        """It stays the same if both sets are turned and moved together, and if they change places."""
        real, generated = clouds(seed)
        turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
        once = student.frechet_distance(real, generated)
        again = student.frechet_distance(generated @ turn + 1, real @ turn + 1)
        assert_shape(once, (), what="the distance")
        assert_close(again, once, tolerance=3e-3, what="the distance of the turned sets")

    @weight(2)
    @given(seed=st.integers(0, 10**4))
    @settings(max_examples=4)
    def test_sizes_of_sets_count(self, student: Any, seed: int) -> None:
        """Variances are divided by the number of points less 1, in each set for itself: it is right for two points, too."""
        real, generated = clouds(seed, points=(2, 12), dim=2)
        expected = frechet_by_singular_values(real, generated)
        received = student.frechet_distance(real, generated)
        assert_close(received, expected, tolerance=2e-2, what="the distance", sizes={"n": 2, "m": 12})


@st.composite
def point_sets(draw: st.DrawFn, count: int = 7) -> tuple[Tensor, Tensor]:
    """Two sets of points with whole coordinates, so that distances may tie; no point stands twice in a set."""
    spots = list(itertools.product(range(5), range(4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**4)))
    sets: list[Tensor] = []
    for shift in (0, draw(st.integers(0, 4))):
        chosen = torch.randperm(len(spots), generator=generator)[: count + len(sets)]
        sets.append(torch.tensor([spots[int(place)] for place in chosen]).float() + torch.tensor([float(shift), 0.0]))
    return sets[0], sets[1]


def share_covered(points: Tensor, centres: Tensor, k: int) -> float:
    """The share of points that lie in a ball of the centres, point by point, with whole numbers."""
    rows, others = points.int().tolist(), centres.int().tolist()

    def apart(a: list[int], b: list[int]) -> int:
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    radii = [sorted(apart(a, b) for b in others)[k] for a in others]
    inside = [any(apart(p, c) <= radius for c, radius in zip(others, radii, strict=True)) for p in rows]
    return sum(inside) / len(inside)


@exercise("precision_recall", contract=st.tuples(point_sets(), st.integers(1, 4)).map(lambda p: ((*p[0], p[1]), {})))
class TestPrecisionRecall:
    @required
    @given(sets=point_sets(), k=st.integers(1, 3))
    @settings(max_examples=5)
    def test_from_perfect_to_useless(self, student: Any, sets: tuple[Tensor, Tensor], k: int) -> None:
        """Samples that are the data themselves have precision and recall 1; samples far away have 0."""
        points, _ = sets
        assert_close(pair_of(student, points, points.flip(0), k), (1.0, 1.0), what="precision and recall of the data")
        away = pair_of(student, points, points + 100, k)
        assert_close(away, (0.0, 0.0), what="precision and recall of samples far away")

    @weight(4)
    @given(sets=point_sets(), k=st.integers(1, 4))
    @settings(max_examples=15)
    def test_point_by_point(self, student: Any, sets: tuple[Tensor, Tensor], k: int) -> None:
        """Precision is the share of samples in balls around the data, recall the share of data in balls around the samples."""
        real, generated = sets
        expected = share_covered(generated, real, k), share_covered(real, generated, k)
        assert_close(pair_of(student, real, generated, k), expected, tolerance=1e-4, what="(precision, recall)")

    @weight(2)
    @given(sets=point_sets(), k=st.integers(1, 4))
    @settings(max_examples=5)
    def test_sets_exchanged(self, student: Any, sets: tuple[Tensor, Tensor], k: int) -> None:
        """If the two sets change places, precision and recall do; and precision is the first, also where modes are missing."""
        real, generated = sets
        there, back = pair_of(student, real, generated, k), pair_of(student, generated, real, k)
        assert_close(back, there[::-1], what="(precision, recall) of the sets exchanged")
        line = torch.arange(8.0)[:, None] * torch.tensor([1.0, 0.0])
        collapsed = pair_of(student, torch.cat([line, line + 50]), line + 0.25, k)
        assert_close(collapsed, (1.0, 0.5), what="(precision, recall) of samples that miss one of two modes")

    @weight(2)
    @given(k=st.integers(1, 3), side=st.sampled_from([1.0, 2.0, 0.5]))
    @settings(max_examples=5)
    def test_the_surface_belongs_to_the_ball(self, student: Any, k: int, side: float) -> None:
        """On a line of points at equal distances a ball reaches exactly to a neighbour, and a sample there is inside."""
        real = side * torch.arange(6.0)[:, None] * torch.tensor([1.0, 0.0])
        reach = side * k  # of the last point of the line, whose neighbours all lie on one side
        generated = torch.tensor([[5 * side + reach, 0.0], [5 * side + reach + side / 4, 0.0]]).repeat(4, 1)
        generated += torch.arange(8).div(2, rounding_mode="floor")[:, None] * torch.tensor([0.0, 64.0])
        precision, _ = pair_of(student, real, generated, k)
        assert_close(precision, 1 / 8, what="the precision of one sample on the surface among eight")

    @given(sets=point_sets())
    @settings(max_examples=4)
    def test_three_neighbours_by_default(self, student: Any, sets: tuple[Tensor, Tensor]) -> None:
        """By default it is the third neighbour that sets the radius, and more neighbours never lower either share."""
        real, generated = sets
        several = [pair_of(student, real, generated, k) for k in (1, 2, 3, 4)]
        for fewer, more in itertools.pairwise(several):
            assert_between(more[0] - fewer[0], 0, what="what one more neighbour adds to the precision")
            assert_between(more[1] - fewer[1], 0, what="what one more neighbour adds to the recall")
        plain = student.precision_recall(real, generated)
        assert_close(plain, several[2], what="(precision, recall) by default")


def pair_of(student: Any, real: Tensor, generated: Tensor, k: int) -> tuple[float, float]:
    """The pair that `precision_recall` returns; fails if it is none."""
    pair = student.precision_recall(real, generated, k)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        fail(f"The pair (precision, recall) should come back, but it was {describe(pair)}.")
    for part, name in zip(pair, ("precision", "recall"), strict=True):
        assert_between(part, 0, 1, what=f"the {name}")
    return float(pair[0]), float(pair[1])
