# ruff: noqa: D101
"""Hidden properties of `diffusion`."""

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
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

    @weight(2)
    @given(steps=st.integers(25, 1500))
    @settings(max_examples=6)
    def test_destroys_as_much_in_any_number_of_steps(self, student: Any, steps: int) -> None:
        """However many steps there are, all β together are 10.05, as in the paper's thousand steps."""
        betas = student.linear_beta_schedule(steps)
        assert_shape(betas, (steps,), what="β")
        assert_close(betas.double().sum(), 10.05, tolerance=1e-4, what="the sum of all β")

    @weight(3)
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
        assert_close(received[-100:].log(), library.alphas_cumprod[-100:].log(), tolerance=1e-3, what="log ᾱ at the end")

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
    @given(alpha_bar=parts_of_signal(), generator=generators())
    @settings(max_examples=4)
    def test_is_a_ratio_of_powers(self, student: Any, alpha_bar: Tensor, generator: torch.Generator) -> None:
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
        xt, noise = drawn.x0.clone().requires_grad_(), drawn.noise.clone().requires_grad_()
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
        """After the first step the mean moves with x0 and with xt, gradients flow back to both, and the variance is positive."""
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
        factor = torch.tensor(2.0, requires_grad=True)
        given = drawn.x0, drawn.t, noise, drawn.alpha_bar
        right = student.ddpm_loss(lambda xt, t: noise.clone(), *given, corrupt=reference.q_sample)
        wrong = student.ddpm_loss(lambda xt, t: factor * noise, *given, corrupt=reference.q_sample)
        assert_close(detached(right).sum(), 0.0, what="the loss of a model that tells the noise exactly")
        assert_between(detached(wrong), 1e-4, tolerance=0, what="the loss of a model that says twice the noise")
        assert_depends(wrong, factor, what="the loss", on_what="the model's parameters")
        (gradient,) = torch.autograd.grad(wrong.sum(), factor)
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

    @weight(3)
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
        w = torch.tensor(factor, requires_grad=True)
        loss = student.ddpm_loss(lambda xt, t: w * xt, *drawn.given, corrupt=reference.q_sample)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            fail(f"No gradient flows back from the loss, {describe(loss)}.")
        (gradient,) = torch.autograd.grad(loss.sum(), w)
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


@exercise(
    "timestep_embedding", contract=arguments(reference.timestep_embedding, dim=st.sampled_from([2, 4, 6]))
)
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
        """The first sine is that of t itself, and each next wave is slower by the same factor, max_period after `half` of them."""
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

    @weight(4)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_takes_the_steps_of_adam(self, student: Any, seed: int) -> None:
        """The final weights, and the losses returned, are those of Adam on the minibatches, times and noise that were used."""
        generator = torch.Generator().manual_seed(seed)
        model = Denoiser(5, 4, generator)
        twin = copy.deepcopy(model)
        data, record = torch.randn(7, 5, generator=generator), Recorder()
        history = record.train(student, model, data, ALPHA_BAR, seed, epochs=2, batch_size=3, learning_rate=0.01)
        if len(record.images) != 6:
            said = "2 epochs over 7 images in minibatches of 3 are 6 steps, but the loss was asked for"
            fail(f"{said} {len(record.images)} times.")
        losses = replay(twin, record, learning_rate=0.01)
        expected = [sum(losses[:3]) / 7, sum(losses[3:]) / 7]
        assert_close(history, expected, tolerance=1e-3, what="the returned mean losses")
        for part, parameter in model.named_parameters():
            wanted = twin.get_parameter(part).detach()
            assert_close(parameter.detach(), wanted, tolerance=1e-3, what=f"after 6 steps, {part} of the model")

    @weight(3)
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

    @weight(4)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_times_are_uniform(self, student: Any, seed: int) -> None:
        """Each image of each minibatch gets a time of its own, and every time from 0 to T − 1 comes equally often."""
        record = Recorder()
        model = Denoiser(1, 4, torch.Generator().manual_seed(seed))
        record.train(student, model, torch.zeros(400, 1), ALPHA_BAR, seed, epochs=1, batch_size=100)
        times = torch.cat(record.times)
        if times.is_floating_point():
            fail(f"Times should be whole numbers, but their dtype is {times.dtype}.")
        if any(len(t.unique()) == 1 for t in record.times):
            fail("All images of a minibatch have the same time: each needs its own.")
        assert_between(times, 0, 3, what="a time, where T is 4,")
        counts = torch.bincount(times, minlength=4)
        # 400 draws: each time is expected 100 times, and six standard deviations are 52.
        assert_between(counts, 48, 152, what="how often each time from 0 to 3 came in 400 draws")

    @weight(4)
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

    @weight(2)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_noise_is_standard_normal(self, student: Any, seed: int) -> None:
        """Every step draws fresh standard normal noise, one number for each of the data."""
        model, record = Denoiser(3, 4, torch.Generator().manual_seed(seed)), Recorder()
        record.train(student, model, torch.zeros(50, 3), ALPHA_BAR, seed, epochs=2, batch_size=25)
        noise = torch.cat(record.noise)
        assert_shape(noise, (100, 3), what="all noise of two epochs")
        if len(noise.unique()) < 0.95 * noise.numel():
            fail("The same noise is used several times: each image needs its own, new in every step.")
        # 300 numbers: six standard errors each.
        assert_between(noise.mean(), -0.35, 0.35, what="the mean of the noise")
        assert_between(noise.var(), 0.5, 1.5, what="the variance of the noise")

    @weight(2)
    @given(offset=st.integers(-5, 5))
    @settings(max_examples=2)
    def test_returns_the_mean_loss_of_each_epoch(self, student: Any, offset: int) -> None:
        """It returns, and tells on_epoch, the mean over all data points of the loss: a minibatch counts by its size."""
        model = Denoiser(5, 4, torch.Generator().manual_seed(0))
        record = Recorder(lambda model, x0, t, noise, alpha_bar: 0 * model(x0, t).sum() + x0.mean() - offset)
        data = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])[:, None].expand(5, 5)
        history = record.train(student, model, data, ALPHA_BAR, 0, epochs=3, batch_size=3)
        assert_close(history, [0.2 - offset] * 3, tolerance=1e-4, what="the returned list")
        if not all(isinstance(value, float) for value in history):
            fail(f"The list should hold floats, but it is {describe(history)}.")
        expected = [(epoch, 0.2 - offset) for epoch in range(3)]
        assert_close(record.epochs, expected, tolerance=1e-4, what="what on_epoch was called with")

    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_works_on_images(self, student: Any, seed: int) -> None:
        """Data may have any shape, and the loss is given the schedule that was passed in."""
        record = Recorder(lambda model, x0, t, noise, alpha_bar: (model.weight * noise.mean()).square().sum())
        alpha_bar = torch.linspace(0.9, 0.1, 3)
        record.train(student, nn.Linear(2, 2), torch.randn(5, 1, 2, 2), alpha_bar, seed, epochs=1, batch_size=5)
        assert_shape(record.noise[0], (5, 1, 2, 2), what="the noise")
        assert_close(record.alpha_bars[0], alpha_bar, what="alpha_bar as the loss got it")


def replay(model: nn.Module, record: Recorder, learning_rate: float) -> list[float]:
    """Train on the recorded minibatches, times and noise; the loss of each minibatch times its size."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    for x0, t, noise in zip(record.images, record.times, record.noise, strict=True):
        loss = nn.functional.mse_loss(model(reference.q_sample(x0, t, noise, ALPHA_BAR), t), noise)
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
    """Pairs of standard normal numbers, x and y of each, and the weight of each pair in an expectation."""
    nodes, weights = standard_normal_nodes(31)
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
        """With clip the predicted x0 is confined before the step: the result is that of data at the limit, and may lie beyond."""
        far = Noisy(4 * clip * torch.ones_like(drawn.x0), drawn.t, drawn.noise, drawn.betas).xt
        zero, limit = torch.zeros_like(far), torch.full_like(far, clip)
        received = student.ddpm_step(
            *(far, drawn.t, drawn.noise, zero, drawn.betas, drawn.alpha_bar), clip=clip, **PIECES
        )
        expected, _ = posterior_by_quadrature(drawn, limit, far)
        assert_close(received, expected, tolerance=1e-3, what=f"the result with clip={clip}")
