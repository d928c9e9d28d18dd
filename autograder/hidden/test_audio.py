# ruff: noqa: D101
"""Hidden properties of `audio`. Sounds are transformed by scipy, inverted by least squares, and listened to nowhere."""

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_toeplitz  # type: ignore[import-untyped]
from scipy.signal import ShortTimeFFT, lfilter  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal
from transformers.audio_utils import mel_filter_bank

from autograder.properties.networks import redraw
from coursekit.properties import (
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
from solutions import audio as reference

Call = tuple[tuple[Any, ...], dict[str, Any]]
Note = tuple[float, float, int, int]


def noise(*shape: int, seed: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=seed)


def between(low: float, high: float, *shape: int, seed: torch.Generator) -> Tensor:
    """Uniform numbers."""
    return low + (high - low) * torch.rand(shape, generator=seed)


def gradients(scalar: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradients of a number; zeros where none flows."""
    if not isinstance(scalar, Tensor) or not scalar.requires_grad:
        fail("No gradient flows back through the result.")
    return torch.autograd.grad(scalar, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)


def assert_same_gradients(got: Tensor, wanted: Tensor, inputs: dict[str, Tensor], seed: torch.Generator) -> None:
    """Check the gradients of a result, along a random direction, with respect to each input."""
    assert_shape(got, tuple(wanted.shape))
    along = noise(*wanted.shape, seed=seed).to(wanted)
    found, expected = (gradients((out * along).sum(), list(inputs.values())) for out in (got, wanted))
    for name, one, other in zip(inputs, found, expected, strict=True):
        assert_close(one, other, tolerance=1e-3, what=f"the gradient with respect to {name}")


def assert_each_alone(function: Callable[[Tensor], Tensor], batch: Tensor, *, what: str) -> None:
    """Check that every row of a batch gets what it gets when it comes alone."""
    together = function(batch)
    if not isinstance(together, Tensor) or together.shape[:1] != batch.shape[:1]:
        fail(f"There should be a row for each of {len(batch)} inputs, but {what} is {describe(together)}.")
    alone = torch.cat([function(row) for row in batch.split(1)])
    assert_close(together, alone, tolerance=1e-4, what=f"{what} of several at once")


# ---- sound and its transform


@dataclass(frozen=True)
class Recording:
    """Sounds, and how they are cut into frames."""

    sound: Tensor
    window: Tensor
    hop: int

    @property
    def samples(self) -> int:
        """Of each sound."""
        return self.sound.shape[1]

    @property
    def frames(self) -> int:
        """How many there are."""
        return self.samples // self.hop + 1

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.window) // 2 + 1

    @property
    def double(self) -> "Recording":
        """The same in double precision."""
        return Recording(self.sound.double(), self.window.double(), self.hop)

    def transform(self, sound: Tensor | None = None) -> Tensor:
        """The complex spectrogram, as scipy finds it."""
        found = ShortTimeFFT(self.window.double().numpy(), self.hop, fs=1.0, phase_shift=None)
        given = self.sound if sound is None else sound
        longer = F.pad(given.double(), (0, len(self.window)))  # scipy wants half a window at least
        return torch.from_numpy(found.stft(longer.numpy(), p0=0, p1=self.frames))

    def inverse(self, spectrum: Tensor) -> Tensor:
        """The sounds whose windowed frames are nearest to those of complex spectrograms, by least squares."""
        width = len(self.window)
        cut = torch.zeros(self.frames, width, self.samples, dtype=torch.float64)
        for frame, place in itertools.product(range(self.frames), range(width)):
            if 0 <= (sample := frame * self.hop + place - width // 2) < self.samples:
                cut[frame, place, sample] = self.window[place]
        wanted = torch.fft.irfft(spectrum.mT, n=width).flatten(1).mT
        return torch.linalg.lstsq(cut.flatten(0, 1), wanted).solution.mT

    def distance(self, sound: Tensor, magnitude: Tensor) -> Tensor:
        """How far the magnitudes of sounds are from given ones, every bin of the whole circle counted."""
        twice = torch.full((self.bins, 1), 2.0, dtype=torch.float64)
        twice[0] = twice[-1] = 1.0
        return (twice * (self.transform(sound).abs() - magnitude).square()).sum(dim=(1, 2)).sqrt()


@st.composite
def recordings(
    draw: st.DrawFn, *, invertible: bool = False, batch: int | None = None, low: int = 1, high: int = 24
) -> Recording:
    """Noise in frames of all sorts; with `invertible` neighbouring frames overlap by half or more."""
    width = draw(st.sampled_from([8, 6, 4, 10]))
    hop = draw(st.integers(1, width // 2 if invertible else width + 1))
    rows, samples, seed = (
        draw(sizes(1, 3)) if batch is None else batch,
        draw(st.integers(low, high)),
        draw(generators()),
    )
    shapes = (between(0.25, 1.25, width, seed=seed), torch.hann_window(width))
    return Recording(noise(rows, samples, seed=seed), draw(st.sampled_from(shapes)), hop)


def spectrogram_calls() -> st.SearchStrategy[Call]:
    """Arguments of `spectrogram`."""
    power = st.sampled_from([2.0, 1.0])
    return st.tuples(recordings(), power).map(lambda p: ((p[0].sound, p[0].window, p[0].hop), {"power": p[1]}))


@exercise("spectrogram", contract=spectrogram_calls())
class TestSpectrogram:
    @required
    @given(width=st.sampled_from([8, 12, 16]), turns=st.integers(1, 3), hop=st.integers(1, 4), seed=generators())
    @settings(max_examples=5)
    def test_a_tone_stands_in_its_bin(
        self, student: Any, width: int, turns: int, hop: int, seed: torch.Generator
    ) -> None:
        """A tone that turns k times in a frame has all its power in bin k: with a window of ones, (width / 2)²."""
        height, start = between(0.5, 2, 2, 1, seed=seed), between(0, 6, 2, 1, seed=seed)
        time = torch.arange(4 * width)
        sound = (height * torch.cos(2 * math.pi * turns * time / width + start)).requires_grad_()
        found = student.spectrogram(sound, torch.full((width,), 0.5), hop)
        assert_shape(found, (2, width // 2 + 1, 4 * width // hop + 1), what="the spectrogram")
        assert_depends(found, sound, what="the spectrogram", on_what="the sound")
        middle = [t for t in range(found.shape[2]) if width // 2 <= t * hop <= 4 * width - width // 2]
        expected = torch.zeros(2, width // 2 + 1, len(middle))
        expected[:, turns] = (height * width / 4).square()
        assert_close(found[:, :, middle], expected, tolerance=1e-3, what="the spectrogram of a tone, but for its ends")

    @weight(4)
    @given(recording=recordings(low=6), power=st.sampled_from([2.0, 1.0]))
    @settings(max_examples=12)
    def test_equals_scipys(self, student: Any, recording: Recording, power: float) -> None:
        """It is the absolute value of what scipy's short-time Fourier transform finds, to the given power."""
        expected = recording.transform().abs().pow(power).float()
        found = student.spectrogram(recording.sound, recording.window, recording.hop, power=power)
        assert_close(found, expected, tolerance=1e-4, what="the spectrogram", sizes={"width": len(recording.window)})

    @weight(2)
    @given(recording=recordings(batch=1), place=st.integers(0, 23), height=st.sampled_from([-2.0, 0.5, 3.0]))
    @settings(max_examples=8)
    def test_a_click(self, student: Any, recording: Recording, place: int, height: float) -> None:
        """One sample other than 0 shows in all bins alike, in each frame with the window's value at its place there."""
        place %= recording.samples
        sound = height * F.one_hot(torch.tensor([place]), recording.samples).float()
        expected = torch.zeros(recording.frames)
        for frame in range(recording.frames):
            inside = place - frame * recording.hop + len(recording.window) // 2
            if 0 <= inside < len(recording.window):
                expected[frame] = (height * recording.window[inside]).square()
        found = student.spectrogram(sound, recording.window, recording.hop)
        assert_close(found, expected.expand(1, recording.bins, -1), tolerance=1e-4, what="the spectrogram of a click")

    @weight(2)
    @given(recording=recordings(), seed=generators())
    @settings(max_examples=5)
    def test_no_energy_is_lost(self, student: Any, recording: Recording, seed: torch.Generator) -> None:
        """With a frame at every sample, the power in all bins of the whole circle adds up to the sound's energy,
        times the window's, times the width (Parseval)."""
        width = len(recording.window)
        sound = F.pad(recording.sound, (width, width))
        found = student.spectrogram(sound, recording.window, 1)
        assert_shape(found, (len(sound), recording.bins, sound.shape[1] + 1), what="the spectrogram")
        whole = found.sum(dim=(1, 2)) + found[:, 1:-1].sum(dim=(1, 2))
        expected = width * recording.window.square().sum() * sound.square().sum(1)
        assert_close(whole, expected, tolerance=1e-4, what="the power in all bins", sizes={"width": width})

    @given(recording=recordings(low=4), power=st.sampled_from([2.0, 1.0]), seed=generators())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, recording: Recording, power: float, seed: torch.Generator) -> None:
        """Its gradient with respect to the sound is that of torch's own short-time Fourier transform."""
        sound, window = recording.sound.requires_grad_(), recording.window
        torchs = torch.stft(sound, len(window), recording.hop, window=window, pad_mode="constant", return_complex=True)
        found = student.spectrogram(sound, window, recording.hop, power=power)
        assert_same_gradients(found, torchs.abs().pow(power), {"the sound": sound}, seed)

    @given(recording=recordings(batch=3))
    @settings(max_examples=3)
    def test_each_sound_by_itself(self, student: Any, recording: Recording) -> None:
        """Each sound of a batch has its own spectrogram, the others do not change it."""
        ask = lambda sound: student.spectrogram(sound, recording.window, recording.hop)  # noqa: E731
        assert_each_alone(ask, recording.sound, what="the spectrogram")


# ---- mel filters


@dataclass(frozen=True)
class Bank:
    """What `mel_filterbank` is asked for."""

    bins: int
    mels: int
    rate: int
    low: float = 0.0
    high: float | None = None

    @property
    def call(self) -> Call:
        """The arguments; the ends only where they are not the defaults."""
        ends = {name: end for name, end in (("low", self.low), ("high", self.high)) if end}
        return (self.bins, self.mels, self.rate), ends

    @property
    def corners(self) -> list[float]:
        """Where the filters begin, peak and end, in hertz: the mels + 2 frequencies."""
        first, last = (2595 * math.log10(1 + end / 700) for end in (self.low, self.high or self.rate / 2))
        mels = [first + (last - first) * place / (self.mels + 1) for place in range(self.mels + 2)]
        return [700 * (10 ** (mel / 2595) - 1) for mel in mels]

    @property
    def frequencies(self) -> Tensor:
        """Of the bins, in hertz."""
        return torch.arange(self.bins, dtype=torch.float64) * self.rate / (2 * (self.bins - 1))

    def by_transformers(self) -> Tensor:
        """The same from the library transformers."""
        high = self.rate / 2 if self.high is None else self.high
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of filters without a bin
            found = mel_filter_bank(self.bins, self.mels, self.low, high, self.rate)
        return torch.from_numpy(found.T.astype(np.float32))


@st.composite
def banks(draw: st.DrawFn, *, fine: bool = False, ends: bool | None = None) -> Bank:
    """Filter banks; with `fine` every filter has several bins."""
    rate = draw(st.sampled_from([16000, 8000, 22050, 11024]))
    bins = draw(st.sampled_from([201, 257]) if fine else st.integers(2, 40))
    low, high = 0.0, None
    if draw(st.booleans()) if ends is None else ends:
        low, high = float(draw(st.integers(50, 900))), float(draw(st.integers(2000, 4000)))
    return Bank(bins, draw(st.integers(2, 8) if fine else st.integers(1, 12)), rate, low, high)


@exercise("mel_filterbank", contract=banks().map(lambda bank: bank.call))
class TestMelFilterbank:
    @required
    @given(bank=banks(fine=True))
    @settings(max_examples=5)
    def test_filters_peak_in_order(self, student: Any, bank: Bank) -> None:
        """Every filter is largest at a bin next to its peak, and almost 1 there."""
        args, ends = bank.call
        found = student.mel_filterbank(*args, **ends)
        assert_shape(found, (bank.mels, bank.bins), what="the filters")
        step = bank.frequencies[1].item()
        for number, (row, (left, peak, right)) in enumerate(
            zip(found, zip(bank.corners, bank.corners[1:], bank.corners[2:], strict=False), strict=True)
        ):
            top = int(row.argmax())
            if not abs(bank.frequencies[top].item() - peak) < step:
                fail(f"Filter {number} is largest at {bank.frequencies[top]:.0f} Hz; it should be near {peak:.0f} Hz.")
            lowest = 1 - step / min(peak - left, right - peak)
            assert_between(row[top], lowest, 1, what=f"the largest weight of filter {number}")

    @weight(4)
    @given(bank=banks())
    @settings(max_examples=12)
    def test_equals_the_librarys(self, student: Any, bank: Bank) -> None:
        """It is the bank of HTK's filters, not normalised, that the library transformers makes."""
        args, ends = bank.call
        assert_close(student.mel_filterbank(*args, **ends), bank.by_transformers(), what="the filters")

    @weight(2)
    @given(bank=banks(fine=True))
    @settings(max_examples=5)
    def test_neighbours_share_every_bin(self, student: Any, bank: Bank) -> None:
        """Between the first and the last peak the weights of each bin add up to 1: as one filter falls the next rises."""
        args, ends = bank.call
        found = student.mel_filterbank(*args, **ends)
        assert_shape(found, (bank.mels, bank.bins), what="the filters")
        inside = (bank.frequencies >= bank.corners[1]) & (bank.frequencies <= bank.corners[-2])
        assert_close(found.sum(0)[inside], torch.ones(int(inside.sum())), what="the weights of a bin, added up")

    @weight(2)
    @given(bank=banks(fine=True, ends=True))
    @settings(max_examples=5)
    def test_begins_and_ends_where_it_should(self, student: Any, bank: Bank) -> None:
        """What lies below `low` or above `high` passes no filter; what lies between passes one or two."""
        args, ends = bank.call
        found = student.mel_filterbank(*args, **ends)
        assert_shape(found, (bank.mels, bank.bins), what="the filters")
        heard, margin = found.sum(0), 0.5  # hertz: at an end itself rounding decides
        low, high = float(bank.corners[0]), float(bank.corners[-1])
        outside = (bank.frequencies < low - margin) | (bank.frequencies > high + margin)
        inside = (bank.frequencies > low + margin) & (bank.frequencies < high - margin)
        assert_between(heard[outside], 0, 0, tolerance=1e-6, what="all weights of a bin below `low` or above `high`")
        assert_between(heard[inside], 1e-6, tolerance=0, what="all weights of a bin between `low` and `high`")

    @weight(2)
    @given(mels=st.integers(30, 50), bins=st.integers(5, 9))
    @settings(max_examples=4)
    def test_filters_narrower_than_a_bin(self, student: Any, mels: int, bins: int) -> None:
        """A filter in which no bin falls is all zeros; those in which one falls are what they should be."""
        bank = Bank(bins, mels, 16000)
        assert_close(student.mel_filterbank(*bank.call[0]), bank.by_transformers(), what="the filters")


@st.composite
def hearings(draw: st.DrawFn, *, floor: bool | None = None) -> Call:
    """Arguments of `log_mel`: power in every bin, and weights of which some are 0."""
    batch, bins, mels, frames = draw(sizes(1, 3)), draw(sizes(2, 5)), draw(sizes(1, 4)), draw(sizes(1, 4))
    spectrum = draw(tensors((batch, bins, frames), low=0, high=4)) + 0.125
    weights = draw(tensors((mels, bins), dtype=torch.int64, low=0, high=4)).float() / 4
    least = draw(st.sampled_from([0.5, 2.0, 0.25]))
    return (spectrum, weights), {"floor": least} if (draw(st.booleans()) if floor is None else floor) else {}


@exercise("log_mel", contract=hearings())
class TestLogMel:
    @required
    @given(power=tensors((2, 4, 3), low=1, high=9), factor=st.sampled_from([2.0, 4.0, 0.5]))
    @settings(max_examples=4)
    def test_hears_what_passes(self, student: Any, power: Tensor, factor: float) -> None:
        """Filters that let one bin pass each, with some factor, give the logarithm of factor times power."""
        power.requires_grad_()
        order = [2, 0, 3]
        found = student.log_mel(power, factor * torch.eye(4)[order])
        assert_depends(found, power, what="the result", on_what="the spectrogram")
        expected = [[[math.log(factor * row[b][t]) for t in range(3)] for b in order] for row in power.tolist()]
        assert_close(found, torch.tensor(expected), tolerance=1e-4, what="the result")

    @weight(3)
    @given(call=hearings())
    @settings(max_examples=8)
    def test_by_hand(self, student: Any, call: Call) -> None:
        """Each number is the logarithm of a sum over bins, weight times power, or of the floor if that is more."""
        (spectrum, weights), options = call
        floor = options.get("floor", 1e-5)
        expected = torch.zeros(len(spectrum), len(weights), spectrum.shape[2])
        for row, mel, frame in itertools.product(*map(range, expected.shape)):
            heard = math.fsum(
                w * p for w, p in zip(weights[mel].tolist(), spectrum[row, :, frame].tolist(), strict=True)
            )
            expected[row, mel, frame] = math.log(max(heard, floor))
        sizes_ = {"bins": weights.shape[1], "mels": len(weights)}
        assert_close(
            student.log_mel(spectrum, weights, **options), expected, tolerance=1e-4, what="the result", sizes=sizes_
        )

    @weight(3)
    @given(call=hearings(), least=st.sampled_from([1e-3, 0.25, 1e-8, None]))
    @settings(max_examples=6)
    def test_silence(self, student: Any, call: Call, least: float | None) -> None:
        """Where nothing is heard there stands the logarithm of the floor, and gradients are finite."""
        (spectrum, weights), _ = call
        silent = torch.zeros_like(spectrum).requires_grad_()
        found = student.log_mel(silent, weights, **({} if least is None else {"floor": least}))
        expected = torch.full((len(spectrum), len(weights), spectrum.shape[2]), math.log(least or 1e-5))
        assert_close(found, expected, tolerance=1e-4, what="what silence sounds like")
        (gradient,) = gradients(found.sum(), [silent])
        assert_finite(gradient, what="the gradient with respect to the spectrogram")

    @weight(2)
    @given(call=hearings(floor=False), louder=st.sampled_from([2.0, 8.0, 100.0]))
    @settings(max_examples=4)
    def test_louder_by_a_factor_is_higher_by_a_constant(self, student: Any, call: Call, louder: float) -> None:
        """A spectrogram that is c times as large raises all that is heard by log c: the floor is not added to it."""
        (spectrum, weights), _ = call
        weights = weights + 0.125
        found = student.log_mel(louder * spectrum, weights, floor=1e-2)
        before = student.log_mel(spectrum, weights, floor=1e-2)
        assert_shape(before, (len(spectrum), len(weights), spectrum.shape[2]))
        assert_close(found, before + math.log(louder), tolerance=1e-4, what="the result for a louder sound")


# ---- Griffin and Lim


@dataclass(frozen=True)
class Wish:
    """Magnitudes that a sound should have, and angles to start from; in double precision."""

    magnitude: Tensor
    phase: Tensor
    recording: Recording

    @property
    def call(self) -> tuple[Any, ...]:
        """The arguments of `griffin_lim`."""
        found = self.recording
        return self.magnitude, found.window, found.hop, found.samples, self.phase

    def granted(self, iterations: int) -> Tensor:
        """What as many iterations make of it, each a least-squares problem."""
        spectrum = torch.polar(self.magnitude, self.phase)
        for _ in range(iterations):
            angle = self.recording.transform(self.recording.inverse(spectrum)).angle()
            spectrum = torch.polar(self.magnitude, angle)
        return self.recording.inverse(spectrum)


@st.composite
def wishes(draw: st.DrawFn, batch: int | None = None) -> Wish:
    """Magnitudes that no sound has, with angles from −π to π."""
    recording = draw(recordings(invertible=True, batch=batch, low=4, high=20)).double
    seed, shape = draw(generators()), (len(recording.sound), recording.bins, recording.frames)
    return Wish(between(0.1, 3, *shape, seed=seed).double(), between(-3, 3, *shape, seed=seed).double(), recording)


@exercise("griffin_lim", contract=wishes().map(lambda wish: (tuple(
    part.float() if isinstance(part, Tensor) else part for part in wish.call
), {"iterations": 2})))  # fmt: skip
class TestGriffinLim:
    @required
    @given(recording=recordings(invertible=True, low=6), iterations=st.sampled_from([0, 1, 3]))
    @settings(max_examples=6)
    def test_with_the_true_angles(self, student: Any, recording: Recording, iterations: int) -> None:
        """From the magnitudes and angles of a sound it returns this sound, whatever the number of iterations."""
        recording = recording.double
        found = recording.transform()
        wish = Wish(found.abs(), found.angle(), recording)
        assert_close(student.griffin_lim(*wish.call, iterations=iterations), recording.sound, what="the sound")

    @weight(5)
    @given(wish=wishes(), iterations=st.sampled_from([1, 0, 2, 3]))
    @settings(max_examples=12)
    def test_by_least_squares(self, student: Any, wish: Wish, iterations: int) -> None:
        """Each iteration keeps the angles of the sound that is nearest, found by solving the least-squares problem."""
        found = student.griffin_lim(*wish.call, iterations=iterations)
        assert_close(found, wish.granted(iterations), tolerance=1e-4, what=f"the sound after {iterations} iterations")

    @weight(2)
    @given(wish=wishes())
    @settings(max_examples=4)
    def test_never_gets_worse(self, student: Any, wish: Wish) -> None:
        """With every iteration the magnitudes of the sound are nearer to the given ones, or at least no further."""
        sounds = [student.griffin_lim(*wish.call, iterations=count) for count in (0, 1, 2, 4, 12)]
        for sound in sounds:
            assert_shape(sound, tuple(wish.recording.sound.shape), what="the sound")
        far = [wish.recording.distance(sound.detach(), wish.magnitude) for sound in sounds]
        for before, after in itertools.pairwise(far):
            assert_between(after - before, None, 1e-9, tolerance=0, what="what more iterations add to the distance")
        assert_between(far[-1] - far[0], None, -1e-9, tolerance=0, what="what 12 iterations add to the distance")

    @weight(2)
    @given(cycles=st.integers(5, 26), seed=generators())
    @settings(max_examples=3)
    def test_finds_a_tone(self, student: Any, cycles: int, seed: torch.Generator) -> None:
        """A tone is found again from angles that are off by up to half a radian, within 32 iterations, which are done
        unless another number is given."""
        tone = torch.cos(2 * math.pi * cycles * torch.arange(128, dtype=torch.float64) / 128).unsqueeze(0)
        recording = Recording(tone, torch.hamming_window(16, dtype=torch.float64), 4)
        true = recording.transform()
        magnitude, off = true.abs(), between(-0.5, 0.5, *true.shape, seed=seed)
        wish = Wish(magnitude, true.angle() + off, recording)
        found = student.griffin_lim(*wish.call)
        assert_close(found, student.griffin_lim(*wish.call, iterations=32), what="the sound without `iterations`")
        assert_shape(found, (1, 128), what="the sound")
        far = recording.distance(found, magnitude) / recording.distance(torch.zeros_like(found), magnitude)
        assert_between(far, None, 0.1, what="the relative distance from the magnitudes of the tone")
        loudest = torch.fft.rfft(found[0]).abs().argmax()
        assert_close(loudest, torch.tensor(cycles), what="how often the loudest tone in the result turns")

    @weight(5)
    @given(wish=wishes(batch=2), iterations=st.integers(1, 2))
    @settings(max_examples=4)
    def test_silence(self, student: Any, wish: Wish, iterations: int) -> None:
        """Magnitudes of zero are those of silence, whatever the angles; another sound of the batch does not notice."""
        magnitude = wish.magnitude * torch.tensor([0.0, 1.0]).view(2, 1, 1)
        found = student.griffin_lim(magnitude, *wish.call[1:], iterations=iterations)
        assert_shape(found, tuple(wish.recording.sound.shape), what="the sound")
        assert_close(found[0], torch.zeros_like(found[0]), what="the silent sound")
        assert_close(found[1], wish.granted(iterations)[1], tolerance=1e-4, what="the other sound")


# ---- linear prediction


@st.composite
def voices(draw: st.DrawFn) -> Call:
    """Arguments of `linear_prediction`: noise that has been filtered a little, so that lags differ."""
    order, seed = draw(st.integers(1, 4)), draw(generators())
    sound = noise(draw(sizes(1, 3)), order + draw(st.integers(1, 12)), seed=seed)
    return (sound + 0.7 * F.pad(sound, (1, 0))[:, :-1], order), {}


@exercise("linear_prediction", contract=voices())
class TestLinearPrediction:
    @required
    @given(ratio=st.sampled_from([0.5, -0.75, 0.875, -0.25]), samples=st.integers(3, 9))
    @settings(max_examples=5)
    def test_a_tone_that_fades(self, student: Any, ratio: float, samples: int) -> None:
        """A sound that fades by a factor ρ each sample, cut off after N: with order 1, ρ less what the silence costs."""
        sound = torch.stack([height * ratio ** torch.arange(samples) for height in (1.0, -3.0)])
        expected = ratio * (1 - ratio ** (2 * samples - 2)) / (1 - ratio ** (2 * samples))
        found = student.linear_prediction(sound, 1)
        assert_close(found, torch.full((2, 1), expected), tolerance=1e-4, what="the coefficient")

    @weight(4)
    @given(call=voices())
    @settings(max_examples=10)
    def test_least_squares(self, student: Any, call: Call) -> None:
        """They make the squared error least, from the first sample to `order` samples after the last."""
        (sound, order), _ = call
        rows = []
        for row in sound.double():
            past = torch.stack([F.pad(row, (lag, order - lag)) for lag in range(1, order + 1)], dim=1)
            rows.append(torch.linalg.lstsq(past, F.pad(row, (0, order)).unsqueeze(1)).solution[:, 0])
        found = student.linear_prediction(sound, order)
        assert_close(found, torch.stack(rows).float(), tolerance=1e-3, what="the coefficients")

    @weight(2)
    @given(call=voices())
    @settings(max_examples=5)
    def test_equals_scipys(self, student: Any, call: Call) -> None:
        """They solve the Toeplitz system of the autocorrelation, by scipy."""
        (sound, order), _ = call
        expected = []
        for row in sound.double().numpy():
            r = np.correlate(row, row, "full")[len(row) - 1 :]
            expected.append(solve_toeplitz(r[:order], r[1 : order + 1]))
        found = student.linear_prediction(sound.double(), order)
        assert_close(found, torch.from_numpy(np.stack(expected)), what="the coefficients")

    @weight(2)
    @given(radius=st.floats(0.3, 0.8), angle=st.floats(0.5, 2.5), third=st.floats(-0.5, 0.5))
    @settings(max_examples=5)
    def test_finds_the_filter(self, student: Any, radius: float, angle: float, third: float) -> None:
        """What an all-pole filter makes of a click, until it has faded, gives the filter's coefficients."""
        pair = [1.0, -2 * radius * math.cos(angle), radius**2]
        poles = np.convolve(pair, [1.0, -third])  # 1 − a₁z⁻¹ − a₂z⁻² − a₃z⁻³
        click = np.zeros(200)
        click[0] = 2.0
        sound = torch.from_numpy(lfilter([1.0], poles, click)).unsqueeze(0)
        found = student.linear_prediction(sound, 3)
        assert_close(found, torch.from_numpy(-poles[1:]).unsqueeze(0), tolerance=1e-4, what="the coefficients")

    @weight(2)
    @given(call=voices(), louder=st.sampled_from([1e-3, 30.0]))
    @settings(max_examples=4)
    def test_loudness_makes_no_difference(self, student: Any, call: Call, louder: float) -> None:
        """A sound that is louder or quieter, in a batch or alone, has the same coefficients."""
        (sound, order), _ = call
        sound = sound.double()
        found = student.linear_prediction(sound, order)
        assert_shape(found, (len(sound), order), what="the coefficients")
        alone = torch.cat([student.linear_prediction(louder * row, order) for row in sound.split(1)])
        assert_close(alone, found, tolerance=1e-4, what="the coefficients of each sound alone, at another loudness")


# ---- notes as events


@dataclass(frozen=True)
class Score:
    """Notes on a grid, (pitch, first step, last step, velocity), and how far each time is off the grid, in steps."""

    notes: tuple[tuple[int, int, int, int], ...]
    off: tuple[float, ...]
    rate: int

    @property
    def in_seconds(self) -> list[Note]:
        """As `encode_events` is given them."""
        shifts = zip(self.notes, self.off, strict=True)
        return [
            (max(first + shift, 0.0) / self.rate, (last - shift) / self.rate, pitch, velocity)
            for (pitch, first, last, velocity), shift in shifts
        ]

    @property
    def call(self) -> Call:
        """The arguments of `encode_events`; the rate only where it is not the default."""
        return (self.in_seconds,), {} if self.rate == 100 else {"steps_per_second": self.rate}

    def sung(self) -> list[tuple[int, int, int, int]]:
        """What sounds: notes last a step at least, and end where the same pitch is struck again."""
        found = []
        for pitch, first, last, velocity in self.notes:
            again = [other for key, other, _, _ in self.notes if key == pitch and other > first]
            found.append((pitch, first, min([max(last, first + 1), *again]), velocity))
        return sorted(found, key=lambda note: (note[1], note[0]))

    def events(self) -> list[int]:
        """What `encode_events` writes, one step of time after the other."""
        written: list[int] = []
        waited, force = 0, None
        sung = self.sung()
        for step in range(max((last for _, _, last, _ in sung), default=-1) + 1):
            ends = sorted(pitch for pitch, _, last, _ in sung if last == step)
            begins = sorted((pitch, velocity // 4) for pitch, first, _, velocity in sung if first == step)
            if ends or begins:
                while waited > 0:
                    written.append(255 + min(waited, 100))
                    waited -= 100
                waited = 0
            written += [128 + pitch for pitch in ends]
            for pitch, bin_ in begins:
                written += [pitch] if bin_ == force else [356 + bin_, pitch]
                force = bin_
            waited += 1
        return written

    def read_again(self) -> list[Note]:
        """What `decode_events` makes of these events."""
        return [(first / self.rate, last / self.rate, p, 4 * (v // 4) + 2) for p, first, last, v in self.sung()]


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Short pieces of few pitches, so that they meet; long pauses now and then; times are off the grid."""
    pitches = draw(st.sampled_from([(60, 61, 64), (0, 127), (60,), (3, 40, 100)]))
    starts = st.sampled_from([0, 1, 2, 3, 4, 5, 3, 2, 6, 100, 200, 201, 250])
    keys = st.lists(st.tuples(st.sampled_from(pitches), starts), min_size=3, max_size=7, unique=True)
    lengths = st.sampled_from([2, 1, 3, 5, 0, 100, 130])
    rows, off = [], []
    for pitch, first in draw(keys):
        length = draw(lengths)
        velocity = draw(st.sampled_from([64, 65, 3, 127, 100, 40]))
        rows.append((pitch, first, first + length, velocity))
        # The start comes later and the end earlier, or the other way round; a note of length 0 must still end after it began.
        off.append(draw(st.sampled_from([-0.375, -0.25] if length == 0 else [0.0, 0.25, 0.375, -0.25, -0.375])))
    shifted = [shift if first else min(shift, 0.0) for shift, (_, first, _, _) in zip(off, rows, strict=True)]
    return Score(tuple(rows), tuple(shifted), draw(st.sampled_from([100, 50, 8])))


def whole(events: Sequence[int]) -> Tensor:
    """Events as a tensor."""
    return torch.tensor(events, dtype=torch.int64)


@exercise("encode_events", contract=scores().map(lambda score: score.call))
class TestEncodeEvents:
    @required
    @given(first=st.integers(1, 90), length=st.integers(1, 99), pitch=st.integers(0, 127), velocity=st.integers(1, 127))
    @settings(max_examples=6)
    def test_one_note(self, student: Any, first: int, length: int, pitch: int, velocity: int) -> None:
        """One note is five events: time, velocity, beginning, time, end."""
        found = student.encode_events([(first / 100, (first + length) / 100, pitch, velocity)])
        expected = [255 + first, 356 + velocity // 4, pitch, 255 + length, 128 + pitch]
        assert_close(found, whole(expected), what="the events")

    @weight(6)
    @given(score=scores())
    @settings(max_examples=25)
    def test_step_by_step(self, student: Any, score: Score) -> None:
        """The events are those that are written when one goes through the piece step by step."""
        args, options = score.call
        assert_close(student.encode_events(*args, **options), whole(score.events()), what="the events")

    @weight(2)
    @given(pauses=st.lists(st.sampled_from([100, 200, 99, 101, 250, 300]), min_size=2, max_size=3))
    @settings(max_examples=5)
    def test_long_pauses(self, student: Any, pauses: list[int]) -> None:
        """Time is written in as many events of 100 steps as fit, and one for the rest if there is a rest."""
        starts = [sum(pauses[: place + 1]) + place for place in range(len(pauses))]
        score = Score(tuple((60, start, start + 1, 80) for start in starts), (0.0,) * len(pauses), 100)
        found = student.encode_events(*score.call[0])
        hint = "the events for time are 256 to 355, for 1 to 100 steps."
        assert_close(found, whole(score.events()), what="the events of a piece with long pauses", hint=hint)

    @weight(3)
    @given(pitches=st.lists(st.integers(0, 127), min_size=4, max_size=4, unique=True), turn=st.permutations(range(6)))
    @settings(max_examples=6)
    def test_on_one_step(self, student: Any, pitches: list[int], turn: list[int]) -> None:
        """On one step ends come before beginnings, and low pitches before high ones, in whatever order notes are given."""
        a, b, c, d = pitches
        notes = [(a, 0, 3, 40), (b, 0, 3, 80), (c, 3, 5, 80), (d, 3, 5, 40), (a, 3, 5, 80), (a, 5, 6, 40)]
        score = Score(tuple(notes[place] for place in turn), (0.0,) * 6, 100)
        assert_close(student.encode_events(*score.call[0]), whole(score.events()), what="the events")

    @weight(2)
    @given(velocities=st.lists(st.integers(1, 127), min_size=2, max_size=5), same=st.integers(0, 30))
    @settings(max_examples=5)
    def test_velocities(self, student: Any, velocities: list[int], same: int) -> None:
        """A velocity is written where its bin is another than that of the beginning before, and only there."""
        velocities = [*velocities, 4 * same + 1, 4 * same + 3, 4 * same + 2]
        rows = tuple((60 + place, place, place + 1, velocity) for place, velocity in enumerate(velocities))
        score = Score(rows, (0.0,) * len(rows), 100)
        found = student.encode_events(*score.call[0])
        assert_close(found, whole(score.events()), what="the events of notes of unequal force")

    @weight(2)
    @given(first=st.integers(0, 20), gap=st.integers(1, 9), more=st.integers(1, 9), early=st.booleans())
    @settings(max_examples=6)
    def test_struck_again(self, student: Any, first: int, gap: int, more: int, early: bool) -> None:
        """A pitch that is struck again while it sounds ends there, once; what its first note had left is dropped."""
        last = first + gap + more
        rows = (
            (60, first, last + 4 if early else last, 80),
            (60, first + gap, last + 2, 80),
            (64, first, last + 9, 80),
        )
        score = Score(rows, (0.0,) * 3, 100)
        found = student.encode_events(*score.call[0])
        assert_close(found, whole(score.events()), what="the events of a pitch that is struck twice")

    @weight(2)
    @given(first=st.integers(0, 50), back=st.sampled_from([-0.375, -0.25, 0.0625]), pitch=st.integers(0, 126))
    @settings(max_examples=5)
    def test_times_are_rounded(self, student: Any, first: int, back: float, pitch: int) -> None:
        """Times go to the nearest step; a note that would then end where it begins lasts for one step."""
        short = ((first + 1 + back) / 100, (first + 1.0625 + abs(back)) / 100, pitch, 64)
        long = ((first + 1 - back) / 100, (first + 5 + back) / 100, pitch + 1, 64)
        found = student.encode_events([long, short])
        expected = [256 + first, 372, pitch, pitch + 1, 256, 128 + pitch, 258, 129 + pitch]
        assert_close(found, whole(expected), what="the events of a very short note and a longer one")

    @weight(2)
    @given(rate=st.sampled_from([50, 8, 25, 200]), first=st.integers(1, 40), length=st.integers(1, 40))
    @settings(max_examples=4)
    def test_other_clocks(self, student: Any, rate: int, first: int, length: int) -> None:
        """Time is measured in as many steps a second as is said."""
        score = Score(((60, first, first + length, 64), (62, 0, first, 64)), (0.0, 0.0), rate)
        found = student.encode_events(score.in_seconds, steps_per_second=rate)
        assert_close(found, whole(score.events()), what=f"the events at {rate} steps a second")

    def test_nothing(self, student: Any) -> None:
        """No notes are no events: an empty tensor of whole numbers."""
        assert_close(student.encode_events([]), whole([]), what="the events of no notes")


@dataclass(frozen=True)
class Ear:
    """Reads events, one pitch after the other; an oracle for `decode_events`."""

    events: tuple[int, ...]
    rate: int

    def notes(self) -> list[Note]:
        """The notes, sorted."""
        clock = list(itertools.accumulate((e - 255 if 256 <= e < 356 else 0) for e in self.events))
        force = list(itertools.accumulate(self.events, lambda v, e: 4 * (e - 356) + 2 if e >= 356 else v, initial=64))
        found = []
        for pitch in range(128):
            about = [place for place, event in enumerate(self.events) if event in (pitch, 128 + pitch)]
            for place, after in itertools.zip_longest(about, about[1:]):
                first = clock[place]
                last = clock[-1] if after is None else clock[after]
                if self.events[place] == pitch and last > first:
                    found.append((first / self.rate, last / self.rate, pitch, force[place]))
        return sorted(found, key=lambda note: (note[0], note[2]))

    @property
    def call(self) -> Call:
        """The arguments of `decode_events`."""
        return (whole(self.events),), {} if self.rate == 100 else {"steps_per_second": self.rate}


@st.composite
def ears(draw: st.DrawFn) -> Ear:
    """Events that make no sense, of few pitches, so that they meet."""
    pitches = draw(st.sampled_from([(60, 62), (0, 127), (5, 90)]))
    kinds = [*pitches, *pitches, *(128 + pitch for pitch in pitches), 256, 258, 300, 355, 356, 370, 387]
    picks = torch.randint(len(kinds), (draw(st.integers(3, 14)),), generator=draw(generators()))
    events = [kinds[pick] for pick in picks]
    if draw(st.booleans()):  # a chord, of which the high pitch ends first
        low, high = pitches
        events += [310, 357, high, low, 265, 128 + high, 270, 128 + low]
    return Ear(tuple(events), draw(st.sampled_from([100, 50, 8])))


@exercise("decode_events", contract=ears().map(lambda ear: ear.call))
class TestDecodeEvents:
    @required
    @given(first=st.integers(1, 99), length=st.integers(1, 99), pitch=st.integers(0, 127), bin_=st.integers(0, 31))
    @settings(max_examples=6)
    def test_one_note(self, student: Any, first: int, length: int, pitch: int, bin_: int) -> None:
        """Time, velocity, beginning, time, end: that is one note."""
        found = student.decode_events(whole([255 + first, 356 + bin_, pitch, 255 + length, 128 + pitch]))
        assert_close(found, [(first / 100, (first + length) / 100, pitch, 4 * bin_ + 2)], what="the notes")

    @weight(6)
    @given(ear=ears())
    @settings(max_examples=25)
    def test_whatever_was_written(self, student: Any, ear: Ear) -> None:
        """The notes are right whoever wrote the events, also where they make no sense."""
        args, options = ear.call
        assert_close(student.decode_events(*args, **options), ear.notes(), what="the notes")

    @weight(2)
    @given(score=scores())
    @settings(max_examples=8)
    def test_reads_what_was_encoded(self, student: Any, score: Score) -> None:
        """The events of a piece give its notes again, on the grid, with velocities in the middle of their bins."""
        found = student.decode_events(whole(score.events()), steps_per_second=score.rate)
        assert_close(found, score.read_again(), what="the notes")

    @weight(2)
    @given(ends=st.lists(st.integers(0, 127), min_size=1, max_size=3), pitch=st.integers(0, 127))
    @settings(max_examples=4)
    def test_ends_without_a_beginning(self, student: Any, ends: list[int], pitch: int) -> None:
        """The end of a pitch that does not sound is passed over, before its note and after it."""
        stray = [128 + end for end in ends] + [128 + pitch]
        found = student.decode_events(whole([*stray, 260, pitch, 265, 128 + pitch, *stray, 270, *stray]))
        assert_close(found, [(0.05, 0.15, pitch, 64)], what="the notes")

    @weight(2)
    @given(pitch=st.integers(0, 127), wait=st.integers(1, 50), again=st.integers(1, 50))
    @settings(max_examples=4)
    def test_struck_again(self, student: Any, pitch: int, wait: int, again: int) -> None:
        """A pitch that begins while it sounds makes two notes, each with its own velocity."""
        found = student.decode_events(whole([360, pitch, 255 + wait, 370, pitch, 255 + again, 128 + pitch]))
        later = (wait + again) / 100
        assert_close(found, [(0.0, wait / 100, pitch, 18), (wait / 100, later, pitch, 58)], what="the notes")

    @weight(2)
    @given(pitches=st.lists(st.integers(0, 127), min_size=3, max_size=3, unique=True), wait=st.integers(1, 100))
    @settings(max_examples=4)
    def test_what_still_sounds(self, student: Any, pitches: list[int], wait: int) -> None:
        """What still sounds at the end ends there, with the velocity that it began with; low pitches come first."""
        found = student.decode_events(whole([380, *pitches, 255 + wait, 357]))
        assert_close(found, [(0.0, wait / 100, pitch, 98) for pitch in sorted(pitches)], what="the notes")

    @weight(2)
    @given(pitch=st.integers(0, 127), wait=st.integers(1, 50))
    @settings(max_examples=4)
    def test_notes_of_no_length(self, student: Any, pitch: int, wait: int) -> None:
        """A note that ends on the step on which it began is left out, however it ends."""
        found = student.decode_events(whole([pitch, 128 + pitch, 255 + wait, pitch, pitch, 255 + wait, pitch]))
        assert_close(found, [(wait / 100, 2 * wait / 100, pitch, 64)], what="the notes")

    @weight(3)
    @given(
        pitches=st.lists(st.integers(0, 127), min_size=3, max_size=3, unique=True),
        waits=st.lists(st.integers(1, 50), min_size=2, max_size=2),
    )
    @settings(max_examples=4)
    def test_chords(self, student: Any, pitches: list[int], waits: list[int]) -> None:
        """Notes are sorted by their start, and those of a chord by their pitch, whichever ends first."""
        low, middle, high = sorted(pitches)
        once, twice = waits[0], sum(waits)
        events = [high, low, 255 + once, 128 + high, middle, 255 + waits[1], 128 + middle, 128 + low]
        expected = [(0.0, twice / 100, low, 64), (0.0, once / 100, high, 64), (once / 100, twice / 100, middle, 64)]
        assert_close(student.decode_events(whole(events)), expected, what="the notes")

    def test_nothing(self, student: Any) -> None:
        """No events are no notes."""
        assert_close(student.decode_events(whole([])), [], what="the notes of no events")
        assert_close(student.decode_events(whole([256, 356, 200])), [], what="the notes of events without a beginning")


# ---- attention that knows distances


@dataclass(frozen=True)
class Glance:
    """What relative attention is given."""

    query: Tensor
    key: Tensor
    value: Tensor
    distances: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments."""
        return self.query, self.key, self.value, self.distances

    def by_hand(self) -> Tensor:
        """With a table of a vector for each pair of positions, the way that the skew saves."""
        length, d_key = self.query.shape[-2:]
        table = torch.stack(
            [torch.stack([self.distances[-1 - abs(i - j)] for j in range(length)]) for i in range(length)]
        )
        content = (self.query.unsqueeze(-2) * self.key.unsqueeze(-3)).sum(-1)
        position = (self.query.unsqueeze(-2) * table).sum(-1)
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        scores = ((content + position) / d_key**0.5).masked_fill(hidden, -math.inf)
        return (scores.softmax(-1).unsqueeze(-1) * self.value.unsqueeze(-3)).sum(-2)


@st.composite
def glances(draw: st.DrawFn, *, length: st.SearchStrategy[int] | None = None, more: int | None = None) -> Glance:
    """Glances of all sizes, with none, one or two batch dimensions."""
    batch = draw(st.sampled_from([(2,), (), (2, 3), (1,)]))
    size, d_key, d_value = draw(sizes(1, 6) if length is None else length), draw(sizes()), draw(sizes())
    most, seed = size + (draw(st.integers(0, 2)) if more is None else more), draw(generators())
    shapes = ((*batch, size, d_key), (*batch, size, d_key), (*batch, size, d_value), (most, d_key))
    return Glance(*(1.5 * noise(*shape, seed=seed) for shape in shapes))


@exercise("relative_attention", contract=glances().map(lambda glance: (glance.inputs, {})))
class TestRelativeAttention:
    @required
    @given(back=st.integers(1, 3), most=st.integers(5, 7), seed=generators())
    @settings(max_examples=5)
    def test_looks_as_far_back_as_the_distance_says(
        self, student: Any, back: int, most: int, seed: torch.Generator
    ) -> None:
        """Where one distance alone agrees with the query, each position gets the value from so far back."""
        distances = torch.zeros(most, 4)
        distances[most - 1 - back] = 20.0
        value = (noise(2, 5, 3, seed=seed) + torch.arange(5.0).unsqueeze(1)).requires_grad_()
        found = student.relative_attention(torch.ones(2, 5, 4), torch.zeros(2, 5, 4), value, distances)
        assert_shape(found, (2, 5, 3))
        assert_depends(found, value, what="the result", on_what="the values")
        hint = "the last row of `distances` is that of distance 0."
        assert_close(found[:, back:], value[:, : 5 - back].detach(), tolerance=1e-4, what="the result", hint=hint)

    @weight(4)
    @given(glance=glances())
    @settings(max_examples=12)
    def test_equals_the_whole_table(self, student: Any, glance: Glance) -> None:
        """It is what a table with a vector for each pair of positions gives, which takes length² · d_key numbers."""
        found = student.relative_attention(*glance.inputs)
        assert_close(found, glance.by_hand(), tolerance=1e-4, what="the result")

    @weight(2)
    @given(glance=glances(length=sizes(2, 4)), seed=generators())
    @settings(max_examples=5)
    def test_gradients(self, student: Any, glance: Glance, seed: torch.Generator) -> None:
        """Its gradients with respect to all four arguments are those of the whole table; unused distances get none."""
        for part in glance.inputs:
            part.requires_grad_()
        names = ("the queries", "the keys", "the values", "the distances")
        found = student.relative_attention(*glance.inputs)
        assert_same_gradients(found, glance.by_hand(), dict(zip(names, glance.inputs, strict=True)), seed)

    @weight(2)
    @given(glance=glances(length=sizes(2, 5)))
    @settings(max_examples=5)
    def test_without_distances(self, student: Any, glance: Glance) -> None:
        """With vectors of zeros for all distances it is torch's own causal attention."""
        query, key, value, distances = glance.inputs
        found = student.relative_attention(query, key, value, torch.zeros_like(distances))
        expected = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        assert_close(found, expected, tolerance=1e-4, what="the result")

    @weight(2)
    @given(glance=glances(length=st.integers(3, 5)), cut=st.integers(1, 2), seed=generators())
    @settings(max_examples=5)
    def test_what_comes_later_changes_nothing(
        self, student: Any, glance: Glance, cut: int, seed: torch.Generator
    ) -> None:
        """The first positions get the same whatever stands after them, or if nothing does."""
        query, key, value, distances = glance.inputs
        whole_ = student.relative_attention(*glance.inputs)
        assert_shape(whole_, tuple(value.shape))
        alone = student.relative_attention(query[..., :cut, :], key[..., :cut, :], value[..., :cut, :], distances)
        assert_close(alone, whole_[..., :cut, :], tolerance=1e-4, what="the result for the beginning alone")

    @weight(3)
    @given(length=st.integers(3, 5), share=st.sampled_from([0.25, 0.5]), seed=generators())
    @settings(max_examples=4)
    def test_the_mask_is_stronger_than_any_score(
        self, student: Any, length: int, share: float, seed: torch.Generator
    ) -> None:
        """A later position with a score of 10⁴ gets no weight from one whose own scores are near −10⁴."""
        key = torch.full((length, 1), -100.0)
        key[-1], key[0] = 100.0, -100.0 + math.log(share) / 100
        value, query = noise(length, 2, seed=seed), torch.full((length, 1), 100.0)
        found = student.relative_attention(query, key, value, torch.zeros(length, 1))
        expected = torch.stack([(share * value[0] + value[1:n].sum(0)) / (share + n - 1) for n in range(1, length)])
        assert_close(found[:-1], expected, tolerance=2e-3, what="the result of all but the last position")

    @weight(3)
    @given(d_key=st.sampled_from([1, 4]), sign=st.sampled_from([1.0, -1.0]), seed=generators())
    @settings(max_examples=5)
    def test_survives_large_scores(self, student: Any, d_key: int, sign: float, seed: torch.Generator) -> None:
        """At scores from −10⁴ to 10⁴ the best position takes all, and later ones have no part in it."""
        order = torch.randperm(5, generator=seed)
        key = (100 * (order - 2) / 2 / d_key**0.5).unsqueeze(1).repeat(1, d_key)
        value = noise(5, 2, seed=seed)
        query = torch.full((5, d_key), sign * 100.0)
        found = student.relative_attention(query, key, value, torch.zeros(6, d_key))
        best = [max(range(i + 1), key=lambda j: sign * order[j].item()) for i in range(5)]
        assert_close(found, value[best], tolerance=1e-4, what="the result")


# ---- music within rules

MAJOR = (0, 2, 4, 5, 7, 9, 11)


def permitted(history: Sequence[int], scale: Sequence[int], voices_: int) -> list[bool]:
    """The rules for what may come next, one event after the other."""
    sounding: set[int] = set()
    for event in history:
        if event < 128:
            sounding.add(event)
        elif event < 256:
            sounding.discard(event - 128)
    may_begin = [p not in sounding and p % 12 in scale and len(sounding) < voices_ for p in range(128)]
    may_end = [p in sounding for p in range(128)]
    settable = not history or history[-1] < 356
    return [*may_begin, *may_end, *[True] * 100, *[settable] * 32]


@st.composite
def histories(draw: st.DrawFn) -> Call:
    """Arguments of `allowed_events`: a batch of events of few pitches, so that they meet."""
    pitches = draw(st.sampled_from([(60, 61, 64, 67), (0, 127, 65, 66), (12, 24, 25)]))
    kinds = [*pitches, *pitches, *(128 + p for p in pitches), 255 + 7, 355, 356, 387]
    length, batch = draw(st.integers(4, 14)), draw(sizes(1, 3))
    events = torch.tensor(kinds)[torch.randint(len(kinds), (batch, length), generator=draw(generators()))]
    if draw(st.booleans()):
        events[0, -1] = 370  # a velocity comes last
    scale = draw(st.sampled_from([MAJOR, (0, 1), (11,), tuple(range(12))]))
    return (events,), {"scale": scale, "voices": draw(st.sampled_from([2, 1, 3, 128]))}


def assert_permits(found: Any, histories_: Sequence[Sequence[int]], scale: Sequence[int], voices_: int) -> None:
    """Check a table of what is allowed; names the first event that is wrong."""
    assert_shape(found, (len(histories_), 388), what="the table of what is allowed")
    expected = torch.tensor([permitted(history, scale, voices_) for history in histories_])
    kinds = ("the beginning of pitch", "the end of pitch", "time event", "velocity event")
    if found.dtype == torch.bool and (wrong := (found != expected).nonzero().tolist()):
        row, event = wrong[0]
        place = sum(event >= first for first in (128, 256, 356))
        number = event - 128 * place if place < 2 else event
        fail(
            f"After the events {list(histories_[row])}, {kinds[place]} {number} should be "
            f"{'allowed' if expected[row, event] else 'forbidden'}, but it is not.",
            f"The scale is {tuple(scale)}, and {voices_} pitches may sound at a time.",
        )
    assert_close(found, expected, what="what is allowed")


@exercise("allowed_events", contract=histories())
class TestAllowedEvents:
    @required
    @given(pitch=st.integers(0, 127), other=st.integers(1, 127), wait=st.integers(256, 355))
    @settings(max_examples=4)
    def test_one_note(self, student: Any, pitch: int, other: int, wait: int) -> None:
        """While one pitch sounds it may end, and not begin; all others may begin, and not end."""
        events = [[pitch, wait], [(pitch + other) % 128, wait]]
        assert_permits(student.allowed_events(torch.tensor(events)), events, range(12), 128)

    @weight(4)
    @given(call=histories())
    @settings(max_examples=15)
    def test_by_the_rules(self, student: Any, call: Call) -> None:
        """What is allowed is what the rules say, read one event after the other."""
        (events,), options = call
        found = student.allowed_events(events, **options)
        assert_permits(found, events.tolist(), options["scale"], options["voices"])

    @weight(2)
    @given(batch=sizes(1, 3), scale=st.sampled_from([MAJOR, (3,), (1, 6)]), voices_=st.integers(1, 3))
    @settings(max_examples=4)
    def test_at_the_beginning(self, student: Any, batch: int, scale: tuple[int, ...], voices_: int) -> None:
        """Before the first event nothing may end; whatever is in the scale may begin."""
        events = torch.zeros(batch, 0, dtype=torch.int64)
        assert_permits(student.allowed_events(events, scale=scale, voices=voices_), [[]] * batch, scale, voices_)

    @weight(2)
    @given(pitch=st.integers(0, 127), steps=st.integers(1, 11))
    @settings(max_examples=4)
    def test_outside_the_scale(self, student: Any, pitch: int, steps: int) -> None:
        """A pitch that sounds may end even if it is not in the scale; its octaves may not begin."""
        scale = ((pitch + steps) % 12,)
        events = [[pitch, 300], [pitch, 128 + pitch]]
        assert_permits(student.allowed_events(torch.tensor(events), scale=scale), events, scale, 128)

    @weight(2)
    @given(pitches=st.lists(st.integers(0, 127), min_size=3, max_size=3, unique=True), voices_=st.integers(1, 3))
    @settings(max_examples=5)
    def test_only_so_many_voices(self, student: Any, pitches: list[int], voices_: int) -> None:
        """When as many pitches sound as may, none may begin; when one has ended, one may."""
        a, b, c = pitches
        events = [[a, b, c, 128 + b], [a, 280, b, c], [a, 128 + a, b, 300], [a, b, 128 + a, 128 + b]]
        found = student.allowed_events(torch.tensor(events), voices=voices_)
        assert_permits(found, events, range(12), voices_)

    @weight(2)
    @given(pitch=st.integers(0, 127))
    @settings(max_examples=3)
    def test_the_last_event_about_a_pitch_counts(self, student: Any, pitch: int) -> None:
        """Whether a pitch sounds is said by the last event about it, however often it began or ended before."""
        on, off = pitch, 128 + pitch
        events = [[on, on, off, 256], [off, off, on, 256], [on, off, on, 256], [on, off, on, off], [off, 256, 256, on]]
        assert_permits(student.allowed_events(torch.tensor(events)), events, range(12), 128)

    @weight(3)
    @given(bins=st.lists(st.integers(356, 387), min_size=3, max_size=3), wait=st.integers(256, 355))
    @settings(max_examples=3)
    def test_velocities(self, student: Any, bins: list[int], wait: int) -> None:
        """Just after a velocity no other may be set; after anything else one may, however many there were before."""
        a, b, c = bins
        events = [[a, wait, b], [a, b, 60], [60, 188, a], [wait, c, wait], [c, 60, 188]]
        events += [[c, wait, 355], [wait, 60, 356], [wait, 60, 387]]  # the last time event; the first and last velocity
        assert_permits(student.allowed_events(torch.tensor(events)), events, range(12), 128)


@dataclass
class Composer:
    """A toy model of music: the odds of the next event follow from all events so far, and are eighths.

    Notes what it is shown. Says nonsense about all places but the last.
    """

    odds: Tensor  # (rows, vocabulary)
    shown: list[Tensor] = field(default_factory=list)
    recorded: list[bool] = field(default_factory=list)

    def chances(self, so_far: Sequence[int]) -> Tensor:
        """The probabilities of the next event, if all are allowed."""
        row = len(so_far) + sum((place + 1) * event for place, event in enumerate(so_far))
        return self.odds[row % len(self.odds)]

    def __call__(self, events: Tensor) -> Tensor:
        """The logits after each event (batch, length, vocabulary); known up to a constant."""
        self.shown.append(events.clone())
        self.recorded.append(torch.is_grad_enabled())
        logits = torch.zeros(*events.shape, self.odds.shape[1])
        logits[..., 0] = 50.0
        logits[:, -1] = torch.stack([self.chances(row) for row in events.tolist()]).log() + 1.5
        return logits


@dataclass
class Rules:
    """Forbids the event that came last, and one more that depends on how many there are; notes what it is shown."""

    vocabulary: int
    shown: list[Tensor] = field(default_factory=list)

    def permit(self, so_far: Sequence[int]) -> list[bool]:
        """What may come next."""
        forbidden = (so_far[-1], (len(so_far) + so_far[0]) % self.vocabulary)
        return [event not in forbidden for event in range(self.vocabulary)]

    def __call__(self, events: Tensor) -> Tensor:
        """The same for a batch."""
        self.shown.append(events.clone())
        return torch.tensor([self.permit(row) for row in events.tolist()])


@dataclass(frozen=True)
class Session:
    """What `sample_music` is given."""

    composer: Composer
    rules: Rules
    start: Tensor
    uniform: Tensor
    temperature: float

    def written(self) -> Tensor:
        """The pieces, one number at a time; weights are whole numbers of eighths."""
        pieces = []
        for row, draws in zip(self.start.tolist(), self.uniform.tolist(), strict=True):
            for draw in draws:
                may = self.rules.permit(row)
                chances = (self.composer.chances(row) ** (1 / self.temperature)).tolist()
                odds = [p if ok else 0.0 for p, ok in zip(chances, may, strict=True)]
                sums = list(itertools.accumulate(odds))
                row = [*row, next(event for event, total in enumerate(sums) if total > draw * sums[-1])]
            pieces.append(row)
        return torch.tensor(pieces)

    @property
    def call(self) -> Call:
        """The arguments."""
        options = {} if self.temperature == 1.0 else {"temperature": self.temperature}
        return (self.composer, self.start, self.uniform), {"allowed": self.rules, **options}


@st.composite
def music_sessions(draw: st.DrawFn) -> Session:
    """Pieces of a vocabulary of five events; no draw is near a border between two of them."""
    odds = draw(tensors((7, 5), dtype=torch.int64, low=1, high=4)).float()
    batch, given_, steps = draw(st.integers(2, 4)), draw(sizes(1, 3)), draw(st.integers(2, 4))
    start = draw(tensors((batch, given_), dtype=torch.int64, low=0, high=4))
    # Odds, or their squares at a temperature of ½, add up to at most 80, so that a border between two events is a fraction
    # with such a denominator: 107 is prime. A number of exactly 0 comes now and then.
    whole_numbers = draw(tensors((batch, steps), dtype=torch.int64, low=-50, high=106))
    uniform = whole_numbers.clamp(min=0).float() / 107
    return Session(Composer(odds), Rules(5), start, uniform, draw(st.sampled_from([0.5, 1.0, 0.5])))


def everything(events: Tensor) -> Tensor:
    """No rules, for a vocabulary of five."""
    return torch.ones(len(events), 5, dtype=torch.bool)


@exercise("sample_music", contract=music_sessions().map(lambda session: session.call))
class TestSampleMusic:
    @required
    @given(start=tensors((2, 2), dtype=torch.int64, low=0, high=4), steps=st.integers(2, 5), number=st.integers(1, 15))
    @settings(max_examples=4)
    def test_writes_what_is_certain(self, student: Any, start: Tensor, steps: int, number: int) -> None:
        """Where the model is certain of an event, that comes next, whatever the number."""

        def model(events: Tensor) -> Tensor:
            return 60.0 * F.one_hot((events + 2) % 5, 5).float()

        found = student.sample_music(model, start, torch.full((2, steps), number / 16), allowed=everything)
        expected = (start[:, -1:] + 2 * torch.arange(1, steps + 1)) % 5
        assert_close(found, torch.cat([start, expected], dim=1), what="the events")

    @weight(4)
    @given(session=music_sessions())
    @settings(max_examples=12)
    def test_event_by_event(self, student: Any, session: Session) -> None:
        """Each event is the first whose cumulative probability, among the allowed ones, exceeds its number."""
        args, options = session.call
        assert_close(student.sample_music(*args, **options), session.written(), what="the events")

    @weight(3)
    @given(session=music_sessions())
    @settings(max_examples=6)
    def test_asks_once_for_each_event(self, student: Any, session: Session) -> None:
        """Model and rules are asked once for each event that is drawn, about all events so far, the given ones first."""
        args, options = session.call
        student.sample_music(*args, **options)
        expected, given_ = session.written(), session.start.shape[1]
        for who, shown in (("the model", session.composer.shown), ("`allowed`", session.rules.shown)):
            if len(shown) != session.uniform.shape[1]:
                fail(f"For {session.uniform.shape[1]} events {who} was asked {len(shown)} times.")
            for step, events in enumerate(shown):
                assert_close(events, expected[:, : given_ + step], what=f"what {who} is shown at step {step}")

    @weight(4)
    @given(
        forbidden=st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True), size=st.sampled_from([30.0, 1e4])
    )
    @settings(max_examples=5)
    def test_forbidden_events_never_come(self, student: Any, forbidden: list[int], size: float) -> None:
        """However certain a model is of what is forbidden, the others share all of the probability."""
        scores_ = torch.zeros(5)
        scores_[forbidden] = size
        may = torch.ones(5, dtype=torch.bool)
        may[forbidden] = False
        free = may.nonzero().flatten()
        uniform = ((torch.arange(len(free)) + 0.5) / len(free)).unsqueeze(0).expand(2, -1)
        start = torch.zeros(2, 1, dtype=torch.int64)
        found = student.sample_music(
            lambda events: scores_.expand(*events.shape, 5), start, uniform, allowed=lambda e: may.expand(len(e), 5)
        )
        assert_close(found, torch.cat([start, free.expand(2, -1)], dim=1), what="the events")

    @weight(2)
    @given(temperature=st.sampled_from([0.5, 2.0, 0.25]), steps=sizes(1, 4), seed=generators())
    @settings(max_examples=5)
    def test_temperature(self, student: Any, temperature: float, steps: int, seed: torch.Generator) -> None:
        """At temperature τ the odds of two events are those of the model to the power of 1/τ."""
        odds = torch.tensor([2.0, 1.0, 3.0, 1.0, 2.0])
        shares = (odds ** (1 / temperature) / (odds ** (1 / temperature)).sum()).tolist()
        ends = list(itertools.accumulate(shares))
        chosen = torch.randint(0, 5, (2, steps), generator=seed)
        near = torch.rand(
            (2, steps), generator=seed
        )  # somewhere in the first or the last hundredth of the event's share
        inside = torch.where(near < 0.5, 0.01, 0.99)
        uniform = torch.tensor(ends)[chosen] - torch.tensor(shares)[chosen] * inside
        start = torch.zeros(2, 1, dtype=torch.int64)
        found = student.sample_music(
            lambda e: odds.log().expand(*e.shape, 5), start, uniform, allowed=everything, temperature=temperature
        )
        assert_close(found, torch.cat([start, chosen], dim=1), what="the events")

    @weight(2)
    @given(low=st.integers(1, 3), high=st.integers(1, 3), batch=sizes(1, 3))
    @settings(max_examples=4)
    def test_the_ends(self, student: Any, low: int, high: int, batch: int) -> None:
        """The number 0 draws the first event that is allowed, and the largest below 1 the last, even if the model's
        probabilities add up to less."""
        # Eleven scores whose probabilities in float32 add up to a little less than 1.
        may = F.pad(torch.ones(11, dtype=torch.bool), (low, high))
        tries = (noise(len(may), seed=torch.Generator().manual_seed(seed)) for seed in itertools.count(7 * low + high))
        scores_ = next(s for s in tries if s.masked_fill(~may, -math.inf).softmax(0).cumsum(0)[-1] < 1 - 2**-24)
        uniform = torch.tensor([[0.0, 1 - 2**-24]]).expand(batch, 2)
        start = torch.zeros(batch, 1, dtype=torch.int64)
        found = student.sample_music(
            lambda e: scores_.expand(*e.shape, -1), start, uniform, allowed=lambda e: may.expand(len(e), -1)
        )
        assert_close(found, torch.tensor([[0, low, low + 10]]).expand(batch, 3), what="the events")

    @given(session=music_sessions())
    @settings(max_examples=2)
    def test_keeps_no_graph(self, student: Any, session: Session) -> None:
        """The model is called without recording a graph, which would grow with each event."""
        args, options = session.call
        student.sample_music(*args, **options)
        if any(session.composer.recorded):
            fail("Gradients are enabled while the model is called, so a graph of everything is kept.")


# ---- speech


@dataclass(frozen=True)
class Look:
    """What location-sensitive attention is given."""

    query: Tensor
    memory: Tensor
    past: Tensor
    weights: dict[str, Tensor]
    mask: Tensor | None = None

    def ask(self, function: Callable) -> tuple[Tensor, Tensor]:
        """The pair that a function returns; fails if it is none."""
        pair = function(self.query, self.memory, self.past, **self.weights, mask=self.mask)
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(x, Tensor) for x in pair):
            fail(f"The result should be the pair (context, weights), but it is {describe(pair)}.")
        assert_shape(pair[0], (len(self.query), self.memory.shape[2]), what="the context")
        assert_shape(pair[1], tuple(self.past.shape), what="the weights")
        return pair[0], pair[1]

    def by_hand(self) -> tuple[Tensor, Tensor]:
        """The pair, one letter at a time."""
        w, contexts, rows = self.weights, [], []
        middle = w["filters"].shape[1] // 2
        for row, (state, letters, past) in enumerate(zip(self.query, self.memory, self.past, strict=True)):
            energies = {}
            for j, letter in enumerate(letters):
                if self.mask is not None and not self.mask[row, j]:
                    continue
                found = torch.zeros(len(w["filters"]))
                for m in range(w["filters"].shape[1]):
                    if 0 <= j + m - middle < len(past):
                        found = found + w["filters"][:, m] * past[j + m - middle]
                inside = w["query_weight"] @ state + w["memory_weight"] @ letter + w["location_weight"] @ found
                energies[j] = (w["score"] * torch.tanh(inside + w["bias"])).sum()
            total = torch.logsumexp(torch.stack(list(energies.values())), 0)
            shares = [(energies[j] - total).exp() if j in energies else torch.zeros(()) for j in range(len(letters))]
            rows.append(torch.stack(shares))
            contexts.append(sum(share * letter for share, letter in zip(shares, letters, strict=True)))
        return torch.stack(contexts), torch.stack(rows)


@st.composite
def looks(draw: st.DrawFn, *, masked: bool | None = None, length: st.SearchStrategy[int] | None = None) -> Look:
    """Looks of all sizes; the filters are wider than some texts."""
    batch, letters = draw(sizes(1, 3)), draw(sizes(1, 5) if length is None else length)
    d_query, d_memory, hidden, channels = (draw(sizes(1, 4)) for _ in range(4))
    width, seed = draw(st.sampled_from([3, 5, 1])), draw(generators())
    shapes = {
        "query_weight": (hidden, d_query),
        "memory_weight": (hidden, d_memory),
        "filters": (channels, width),
        "location_weight": (hidden, channels),
        "bias": (hidden,),
        "score": (hidden,),
    }
    weights = {name: noise(*shape, seed=seed) for name, shape in shapes.items()}
    weights["score"] *= 2
    past = between(0, 2, batch, letters, seed=seed)
    mask = None
    if draw(st.booleans()) if masked is None else masked:
        ends = torch.randint(1, letters + 1, (batch, 1), generator=seed)
        mask = torch.arange(letters) < ends
    return Look(noise(batch, d_query, seed=seed), noise(batch, letters, d_memory, seed=seed), past, weights, mask)


def look_call(look: Look) -> Call:
    """The arguments of `location_sensitive_attention`."""
    return (look.query, look.memory, look.past), {**look.weights, "mask": look.mask}


@exercise("location_sensitive_attention", contract=looks().map(look_call))
class TestLocationSensitiveAttention:
    @required
    @given(last=tensors((2,), dtype=torch.int64, low=0, high=3), seed=generators())
    @settings(max_examples=5)
    def test_moves_forward(self, student: Any, last: Tensor, seed: torch.Generator) -> None:
        """With a filter that shifts by one, a look goes to the letter after the last one: the context is that letter's."""
        memory = noise(2, 5, 3, seed=seed).requires_grad_()
        weights = {
            "query_weight": torch.zeros(1, 2),
            "memory_weight": torch.zeros(1, 3),
            "filters": torch.tensor([[1.0, 0.0, 0.0]]),  # what stands before
            "location_weight": torch.tensor([[8.0]]),
            "bias": torch.tensor([-4.0]),
            "score": torch.tensor([20.0]),
        }
        look = Look(noise(2, 2, seed=seed), memory, F.one_hot(last, 5).float(), weights)
        context, shares = look.ask(student.location_sensitive_attention)
        assert_depends(context, memory, what="the context", on_what="the memory")
        assert_close(shares.detach(), F.one_hot(last + 1, 5).float(), tolerance=1e-4, what="the weights")
        expected = memory.detach()[torch.arange(2), last + 1]
        assert_close(context.detach(), expected, tolerance=1e-4, what="the context")

    @weight(4)
    @given(look=looks())
    @settings(max_examples=12)
    def test_letter_by_letter(self, student: Any, look: Look) -> None:
        """Context and weights are those of the formula, one letter and one filter tap at a time."""
        found, expected = look.ask(student.location_sensitive_attention), look.by_hand()
        for name, one, other in zip(("the context", "the weights"), found, expected, strict=True):
            assert_close(one, other, tolerance=1e-4, what=name)

    @weight(3)
    @given(look=looks(masked=True, length=st.integers(3, 5)), seed=generators())
    @settings(max_examples=6)
    def test_padding(self, student: Any, look: Look, seed: torch.Generator) -> None:
        """Where there is no letter the weight is 0, whatever stands there; the weights of the others add up to 1."""
        assert look.mask is not None
        look.mask[:, -1] = False
        look.mask[:, :2] = True
        hidden = ~look.mask
        loud = torch.where(hidden.unsqueeze(2), 30 * noise(*look.memory.shape, seed=seed), look.memory)
        other = Look(look.query, loud, look.past, look.weights, look.mask)
        pairs = [given_.ask(student.location_sensitive_attention) for given_ in (look, other)]
        for _, shares in pairs:
            assert_close(shares[hidden], torch.zeros(int(hidden.sum())), tolerance=0, what="the weight of padding")
            assert_close(shares.sum(1), torch.ones(len(shares)), what="all weights of a row, added up")
        for name, one, two in zip(("context", "weights"), *pairs, strict=True):
            assert_close(two, one, tolerance=1e-4, what=f"the {name} with something else in the padding")

    @weight(2)
    @given(look=looks(length=st.integers(3, 5)), seed=generators())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, look: Look, seed: torch.Generator) -> None:
        """The context's gradients with respect to all inputs and weights are those of the formula."""
        inputs = {"the query": look.query, "the memory": look.memory, "the past": look.past, **look.weights}
        for part in inputs.values():
            part.requires_grad_()
        (found, _), (expected, _) = look.ask(student.location_sensitive_attention), look.by_hand()
        assert_same_gradients(found, expected, inputs, seed)

    @weight(2)
    @given(look=looks(length=st.integers(2, 5)), place=st.integers(0, 1), seed=generators())
    @settings(max_examples=4)
    def test_beyond_the_ends(self, student: Any, look: Look, place: int, seed: torch.Generator) -> None:
        """Beyond both ends of a text there are no looks: letters before the first and after the last do not exist."""
        look.weights["filters"] = noise(2, 5, seed=seed)
        look.weights["location_weight"] = 2 * noise(len(look.weights["bias"]), 2, seed=seed)
        look.past[:, -place] += 2.0
        found, expected = look.ask(student.location_sensitive_attention), look.by_hand()
        assert_close(found[1], expected[1], tolerance=1e-4, what="the weights")

    @given(look=looks(masked=True, length=st.integers(2, 5)), seed=generators())
    @settings(max_examples=3)
    def test_where_nothing_scores(self, student: Any, look: Look, seed: torch.Generator) -> None:
        """With a score of zeros all letters count alike: the context is their plain mean."""
        assert look.mask is not None
        look.weights["score"] = torch.zeros_like(look.weights["score"])
        context, _ = look.ask(student.location_sensitive_attention)
        means = [memory[mask].mean(0) for memory, mask in zip(look.memory, look.mask, strict=True)]
        assert_close(context, torch.stack(means), tolerance=1e-4, what="the context")


@dataclass(frozen=True)
class Lesson:
    """What Tacotron's loss is given."""

    before: Tensor
    after: Tensor
    target: Tensor
    stop: Tensor
    lengths: Tensor
    weight: float

    @property
    def call(self) -> Call:
        """The arguments; the weight only where it is not the default."""
        options = {} if self.weight == 5.0 else {"positive_weight": self.weight}
        return (self.before, self.after, self.target, self.stop, self.lengths), options

    def ask(self, function: Callable) -> Tensor:
        """The loss that a function finds; fails if it is no scalar."""
        args, options = self.call
        found = function(*args, **options)
        assert_shape(found, (), what="the loss")
        return found

    def by_hand(self) -> Tensor:
        """The loss, one real frame at a time."""
        mel, stop, frames = torch.tensor(0.0), torch.tensor(0.0), int(self.lengths.sum())
        for row, length in enumerate(self.lengths.tolist()):
            for frame in range(length):
                wanted = self.target[row, :, frame]
                for made in (self.before, self.after):
                    mel = mel + (made[row, :, frame] - wanted).square().sum() / (frames * len(wanted))
                last = float(frame == length - 1)
                cost = -Bernoulli(logits=self.stop[row, frame]).log_prob(torch.tensor(last))
                stop = stop + (self.weight if last else 1.0) * cost / frames
        return mel + stop


@st.composite
def lessons(draw: st.DrawFn, *, padded: bool = False) -> Lesson:
    """Lessons with sequences of unequal lengths; with `padded` the first is longer than the second, and not full."""
    batch, mels, seed = draw(st.integers(2, 3) if padded else sizes(1, 3)), draw(sizes(1, 4)), draw(generators())
    frames = draw(st.integers(4, 6) if padded else sizes(1, 5))
    lengths = draw(st.lists(st.integers(1, frames), min_size=batch, max_size=batch))
    if padded:
        lengths[:2] = [frames - 1, draw(st.integers(1, 2))]
    shapes = (*[(batch, mels, frames)] * 3, (batch, frames))
    before, after, target, stop = (1.5 * noise(*shape, seed=seed) for shape in shapes)
    return Lesson(before, after, target, stop, torch.tensor(lengths), draw(st.sampled_from([5.0, 2.0, 8.0, 0.5])))


@exercise("tacotron_loss", contract=lessons().map(lambda lesson: lesson.call))
class TestTacotronLoss:
    @required
    @given(lesson=lessons(padded=True))
    @settings(max_examples=4)
    def test_rewards_what_is_right(self, student: Any, lesson: Lesson) -> None:
        """It falls as either spectrogram comes nearer to the target, and as the stop token is said at the last frame
        and at no other."""
        parts = (lesson.before, lesson.after, lesson.stop)
        for part in parts:
            part.requires_grad_()
        loss = lesson.ask(student.tacotron_loss)
        for part, name in zip(parts, ("`before`", "`after`", "the stop logits"), strict=True):
            assert_depends(loss, part, what="the loss", on_what=name)
        by_before, by_after, by_stop = gradients(loss, parts)
        for row, length in enumerate(lesson.lengths.tolist()):
            for slope, made, name in ((by_before, lesson.before, "before"), (by_after, lesson.after, "after")):
                along = slope * (made - lesson.target)
                assert_between(
                    along[row, :, :length], 0, what=f"the slope of the loss away from the target in `{name}`"
                )
            wanted = torch.where(torch.arange(length) == length - 1, -1.0, 1.0)
            assert_between(by_stop[row, :length] * wanted, 0, what="the slope of the loss towards the wrong stop")

    @weight(4)
    @given(lesson=lessons())
    @settings(max_examples=12)
    def test_frame_by_frame(self, student: Any, lesson: Lesson) -> None:
        """It is the sum of the three means, one real frame at a time, with torch.distributions' Bernoulli for the stop."""
        names = zip(("batch", "mels", "frames"), lesson.target.shape, strict=True)
        assert_close(
            lesson.ask(student.tacotron_loss), lesson.by_hand(), tolerance=1e-4, what="the loss", sizes=dict(names)
        )

    @weight(3)
    @given(lesson=lessons(padded=True), seed=generators())
    @settings(max_examples=5)
    def test_padding(self, student: Any, lesson: Lesson, seed: torch.Generator) -> None:
        """What stands in padding has no influence, in any of the four tensors, and gets no gradient."""
        parts = (lesson.before, lesson.after, lesson.stop)
        for part in parts:
            part.requires_grad_()
        loss = lesson.ask(student.tacotron_loss)
        padding = torch.arange(lesson.target.shape[2]) >= lesson.lengths.unsqueeze(1)
        for gradient, name in zip(gradients(loss, parts), ("`before`", "`after`", "the stop logits"), strict=True):
            size = gradient.abs() if gradient.ndim == 2 else gradient.abs().sum(1)
            assert_close(size[padding], torch.zeros(int(padding.sum())), what=f"the gradient for {name} in padding")

        def strange(part: Tensor) -> Tensor:
            hidden = padding if part.ndim == 2 else padding.unsqueeze(1)
            return torch.where(hidden, 20 * noise(*part.shape, seed=seed), part.detach())

        given_parts = (lesson.before, lesson.after, lesson.target, lesson.stop)
        before, after, target, stop = (strange(part) for part in given_parts)
        other = Lesson(before, after, target, stop, lesson.lengths, lesson.weight).ask(student.tacotron_loss)
        assert_close(other, loss.detach(), tolerance=1e-4, what="the loss with something else in the padding")

    @weight(2)
    @given(lengths=st.lists(st.integers(1, 6), min_size=2, max_size=4, unique=True), error=st.sampled_from([1.0, 3.0]))
    @settings(max_examples=4)
    def test_every_frame_counts_alike(self, student: Any, lengths: list[int], error: float) -> None:
        """A frame counts the same in a long sequence and in a short one: if only the first sequence is wrong, its share
        of all real frames counts."""
        batch, frames = len(lengths), max(lengths) + 1
        target = torch.zeros(batch, 3, frames)
        before = target.clone()
        before[0] = error
        stop = torch.full((batch, frames), -80.0)
        stop[torch.arange(batch), torch.tensor(lengths) - 1] = 80.0
        found = student.tacotron_loss(before, target, target, stop, torch.tensor(lengths))
        expected = error**2 * lengths[0] / sum(lengths)
        assert_close(found, torch.tensor(expected), tolerance=1e-4, what="the loss", sizes={"batch": batch})

    @weight(2)
    @given(frames=st.integers(2, 6), length=st.integers(2, 6), factor=st.sampled_from([5.0, 2.0, 10.0]))
    @settings(max_examples=5)
    def test_the_stop_token(self, student: Any, frames: int, length: int, factor: float) -> None:
        """Of n frames that each say "perhaps", the last costs `positive_weight` · log 2 / n, the others log 2 / n each."""
        length = min(frames, length)
        mel, stop = torch.ones(2, 2, frames), torch.zeros(2, frames)
        lengths = torch.full((2,), length)
        found = student.tacotron_loss(mel, mel, mel, stop, lengths, positive_weight=factor)
        expected = math.log(2) * (length - 1 + factor) / length
        assert_close(found, torch.tensor(expected), tolerance=1e-4, what="the loss", sizes={"frames": length})

    @weight(3)
    @given(seed=generators(), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=4)
    def test_survives_large_logits(self, student: Any, seed: torch.Generator, size: float) -> None:
        """At logits of ±200 and ±10⁴ each wrong one costs that much, each right one nothing; gradients are finite."""
        mel, lengths = torch.zeros(2, 1, 4), torch.tensor([4, 3])
        says = torch.randint(0, 2, (2, 4), generator=seed)
        logits = (size * (2.0 * says - 1)).requires_grad_()
        last = torch.arange(4) == lengths.unsqueeze(1) - 1
        wrong = ((says == 1) != last) & (torch.arange(4) < lengths.unsqueeze(1))
        found = student.tacotron_loss(mel, mel, mel, logits, lengths, positive_weight=2.0)
        expected = (size * wrong * torch.where(last, 2.0, 1.0)).sum() / 7
        assert_close(found, expected, tolerance=1e-4, what="the loss")
        (gradient,) = gradients(found, [logits])
        assert_finite(gradient, what="the gradient with respect to the stop logits")


# ---- a flow


def flow_pair(pair: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The pair that a flow returns; fails if it is none."""
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
        fail(f"The flow should return the pair (z, log_det), but it returned {describe(pair)}.")
    assert_shape(pair[0], tuple(x.shape), what="z")
    assert_shape(pair[1], (len(x),), what="log_det")
    return pair[0], pair[1]


def log_determinant(flow: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """log |det ∂z/∂x| of each sequence of a batch, from the whole Jacobian."""
    found = []
    for row in x.split(1):
        # For a batch of one, so that the Jacobian is a square table of all numbers by all numbers.
        table = torch.autograd.functional.jacobian(flow, row)
        if table.numel() != row.numel() ** 2:
            fail("z should have as many numbers as x.")
        found.append(torch.linalg.slogdet(table.view(row.numel(), -1).double()).logabsdet)
    return torch.stack(found).float()


def mixing(channels: int, seed: torch.Generator, *, flipped: bool | None = None) -> Tensor:
    """A matrix (channels, channels) far from orthogonal, and far from singular, with the sign of its determinant chosen."""
    turn, stretch = torch.linalg.qr(noise(channels, channels, seed=seed)).Q, between(0.5, 2, channels, seed=seed)
    matrix = turn * stretch @ torch.linalg.qr(noise(channels, channels, seed=seed)).Q
    if flipped is not None and bool(torch.linalg.det(matrix) < 0) != flipped:
        matrix[0] *= -1
    return matrix


def mixer(student: Any, matrix: Tensor) -> Any:
    """A student's convolution with this weight."""
    layer = student.InvertibleConv1x1(len(matrix))
    own = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    if own != {"weight": tuple(matrix.shape)}:
        fail(f"There should be one parameter, `weight`, of shape {tuple(matrix.shape)}.", f"There is {own or 'none'}.")
    with torch.no_grad():
        layer.get_parameter("weight").copy_(matrix)
    return layer


@exercise("InvertibleConv1x1", contract=False)
class TestInvertibleConv1x1:
    @required
    @given(channels=st.integers(2, 4), seed=generators())
    @settings(max_examples=3)
    def test_mixes_channels(self, student: Any, channels: int, seed: torch.Generator) -> None:
        """z at each moment is the weight's product with x there, and depends on both."""
        matrix = mixing(channels, seed)
        layer, x = mixer(student, matrix), noise(2, channels, 3, seed=seed).requires_grad_()
        z, _ = flow_pair(layer(x), x)
        assert_depends(z, x, what="z", on_what="x")
        assert_depends(z, layer.get_parameter("weight"), what="z", on_what="the weight")
        expected = torch.stack([torch.stack([matrix @ moment for moment in row.unbind(1)], 1) for row in x.detach()])
        assert_close(z.detach(), expected, tolerance=1e-4, what="z")

    @weight(3)
    @given(channels=st.integers(2, 3), length=st.integers(2, 4), seed=generators())
    @settings(max_examples=3)
    def test_log_determinant(self, student: Any, channels: int, length: int, seed: torch.Generator) -> None:
        """log_det is that of the whole Jacobian, found by differentiation, for determinants of both signs."""
        for flipped in (False, True):
            layer, x = mixer(student, mixing(channels, seed, flipped=flipped)), noise(2, channels, length, seed=seed)
            _, log_det = flow_pair(layer(x), x)
            assert_depends(log_det, layer.get_parameter("weight"), what="log_det", on_what="the weight")

            def mixed(row: Tensor, layer: Any = layer) -> Tensor:
                return flow_pair(layer(row), row)[0]

            expected = log_determinant(mixed, x)
            assert_close(log_det.detach(), expected, tolerance=1e-3, what="log_det", sizes={"length": length})

    @weight(5)
    @given(channels=st.integers(2, 5), length=st.integers(1, 4), seed=generators())
    @settings(max_examples=4)
    def test_can_be_undone(self, student: Any, channels: int, length: int, seed: torch.Generator) -> None:
        """`inverse` finds the x of which `forward` makes z, also when the weight is no longer orthogonal."""
        matrix = mixing(channels, seed)
        layer, z = mixer(student, matrix), noise(2, channels, length, seed=seed)
        x = layer.inverse(z)
        expected = torch.linalg.inv(matrix.double()) @ z.double()
        assert_close(x.detach(), expected.float(), tolerance=1e-3, what="the x that `inverse` finds")
        again, _ = flow_pair(layer(x), z)
        assert_close(again.detach(), z, tolerance=1e-3, what="what `forward` makes of that x")

    @weight(2)
    @given(channels=st.integers(2, 4), length=st.integers(2, 4), seed=generators())
    @settings(max_examples=3)
    def test_the_weight_learns(self, student: Any, channels: int, length: int, seed: torch.Generator) -> None:
        """The gradient of log_det with respect to the weight is length times the transposed inverse."""
        matrix = mixing(channels, seed, flipped=True)
        layer, x = mixer(student, matrix), noise(2, channels, length, seed=seed)
        _, log_det = flow_pair(layer(x), x)
        (gradient,) = gradients(log_det[1], [layer.get_parameter("weight")])
        expected = length * torch.linalg.inv(matrix.double()).T.float()
        assert_close(gradient, expected, tolerance=1e-3, what="the gradient of log_det")

    @weight(5)
    @given(channels=st.integers(4, 8), seed=st.integers(0, 1000))
    @settings(max_examples=3)
    def test_begins_as_a_turn(self, student: Any, channels: int, seed: int) -> None:
        """The weight begins as an orthogonal matrix, another one for another generator, and the same for the same."""
        weights = []
        for number in (seed, seed, seed + 1):
            layer = student.InvertibleConv1x1(channels, generator=torch.Generator().manual_seed(number))
            if "weight" not in dict(layer.named_parameters()):
                fail("There should be a parameter `weight`.")
            weights.append(layer.get_parameter("weight").detach().clone())
            assert_shape(weights[-1], (channels, channels), what="the weight")
        assert_close(
            weights[0] @ weights[0].T, torch.eye(channels), tolerance=1e-4, what="the first weight times its transpose"
        )
        assert_close(weights[1], weights[0], what="the first weight for a generator in the same state")
        if (weights[2] - weights[0]).abs().max() < 1e-3:
            fail("Two generators in different states give the same first weight.")


class Director(nn.Module):
    """A network for a coupling: it hears three moments of both its inputs; notes what it is told."""

    def __init__(self, half: int, features: int, seed: torch.Generator) -> None:
        super().__init__()
        self.hear = nn.Conv1d(half + features, 2 * half, 3, padding=1)
        redraw(self, seed, scale=0.4)
        self.told: list[tuple[Tensor, Tensor]] = []

    def forward(self, kept: Tensor, condition: Tensor) -> Tensor:
        """log s, and t after it."""
        self.told.append((kept.detach().clone(), condition.detach().clone()))
        return torch.tanh(self.hear(torch.cat([kept, condition], dim=1))) + 0.25


@dataclass(frozen=True)
class Coupling:
    """A coupling's network, and what it is asked about."""

    network: Director
    x: Tensor
    condition: Tensor

    def forward(self) -> tuple[Tensor, Tensor]:
        """z and log |det ∂z/∂x|, one channel at a time."""
        half = self.x.shape[1] // 2
        said = self.network(self.x[:, :half], self.condition)
        moved = [said[:, c].exp() * self.x[:, half + c] + said[:, half + c] for c in range(half)]
        return torch.cat([self.x[:, :half], torch.stack(moved, 1)], 1), said[:, :half].flatten(1).sum(1)


@st.composite
def couplings(draw: st.DrawFn, *, batch: int | None = None) -> Coupling:
    """Couplings of four or six channels; the halves of a sequence are of unequal size."""
    half, features, length = draw(st.integers(2, 3)), draw(sizes(1, 3)), draw(st.integers(1, 4))
    rows, seed = draw(sizes(1, 3)) if batch is None else batch, draw(generators())
    x, condition = noise(rows, 2 * half, length, seed=seed), noise(rows, features, length, seed=seed)
    return Coupling(Director(half, features, seed), x, condition)


def own_weight(layer: Any) -> Tensor:
    """The weights of the network in a student's coupling, whichever process they live in."""
    own = dict(layer.named_parameters())
    if "network.hear.weight" not in own:
        fail("The network should be the attribute `network`.", f"The parameters are: {', '.join(own) or 'none'}.")
    return own["network.hear.weight"]


@exercise("AffineCoupling", contract=False)
class TestAffineCoupling:
    @required
    @given(coupling=couplings(batch=2))
    @settings(max_examples=4)
    def test_scales_and_shifts(self, student: Any, coupling: Coupling) -> None:
        """The first half of the channels stays, the second is scaled by s and shifted by t; gradients reach x and the
        network."""
        x = coupling.x.requires_grad_()
        layer = student.AffineCoupling(coupling.network)
        z, _ = flow_pair(layer(x, coupling.condition), x)
        assert_depends(z, x, what="z", on_what="x")
        assert_depends(z, own_weight(layer), what="z", on_what="the network")
        assert_close(z.detach(), coupling.forward()[0].detach(), tolerance=1e-4, what="z")

    @weight(3)
    @given(coupling=couplings(batch=2))
    @settings(max_examples=4)
    def test_log_determinant(self, student: Any, coupling: Coupling) -> None:
        """log_det is that of the whole Jacobian, found by differentiation."""
        layer, x = student.AffineCoupling(coupling.network), coupling.x
        _, log_det = flow_pair(layer(x, coupling.condition), x)
        expected = []
        for row, told in zip(x.split(1), coupling.condition.split(1), strict=True):

            def coupled(part: Tensor, told: Tensor = told) -> Tensor:
                return flow_pair(layer(part, told), part)[0]

            expected.append(log_determinant(coupled, row))
        names = dict(zip(("batch", "channels", "length"), x.shape, strict=True))
        assert_close(log_det.detach(), torch.cat(expected), tolerance=1e-3, what="log_det", sizes=names)

    @weight(5)
    @given(coupling=couplings())
    @settings(max_examples=5)
    def test_can_be_undone(self, student: Any, coupling: Coupling) -> None:
        """`inverse` finds the x of which z was made, given the same condition."""
        layer = student.AffineCoupling(coupling.network)
        x = layer.inverse(coupling.forward()[0].detach(), coupling.condition)
        assert_close(x.detach(), coupling.x, tolerance=1e-3, what="the x that `inverse` finds")

    @weight(2)
    @given(coupling=couplings())
    @settings(max_examples=4)
    def test_what_the_network_is_told(self, student: Any, coupling: Coupling) -> None:
        """In both directions the network is told the first half of the channels, and the condition, once."""
        layer = student.AffineCoupling(coupling.network)
        half = coupling.x.shape[1] // 2
        for way, ask in (("forward", layer), ("inverse", layer.inverse)):
            coupling.network.told.clear()
            ask(coupling.x, coupling.condition)
            if len(told := coupling.network.told) != 1:
                fail(f"In `{way}` the network was asked {len(told)} times.")
            assert_close(told[0][0], coupling.x[:, :half], what=f"the first argument of the network in `{way}`")
            assert_close(told[0][1], coupling.condition, what=f"the second argument of the network in `{way}`")

    @weight(2)
    @given(coupling=couplings(batch=2), seed=generators())
    @settings(max_examples=3)
    def test_gradients(self, student: Any, coupling: Coupling, seed: torch.Generator) -> None:
        """z and log_det have the gradients of the formula, with respect to x, condition and network."""
        inputs = {"x": coupling.x, "the condition": coupling.condition}
        for part in inputs.values():
            part.requires_grad_()
        layer = student.AffineCoupling(coupling.network)
        pair = flow_pair(layer(*inputs.values()), coupling.x)
        ours = [*inputs.values(), own_weight(layer)]
        theirs = [*inputs.values(), coupling.network.hear.weight]
        for found, expected in zip(pair, coupling.forward(), strict=True):
            along = noise(*expected.shape, seed=seed)
            both = (gradients((out * along).sum(), of) for out, of in ((found, ours), (expected, theirs)))
            for name, one, other in zip((*inputs, "the network's weights"), *both, strict=True):
                assert_close(one, other, tolerance=1e-3, what=f"the gradient with respect to {name}")

    @weight(2)
    def test_keeps_the_network(self, student: Any) -> None:
        """Its parameters are those of the network, which is its attribute `network`."""
        network = nn.Conv1d(1, 2, 3)
        found = {name: tuple(value.shape) for name, value in student.AffineCoupling(network).named_parameters()}
        expected = {f"network.{name}": tuple(value.shape) for name, value in network.named_parameters()}
        if found != expected:
            fail(f"The parameters should be {expected}.", f"They are {found}.")


@st.composite
def flows(draw: st.DrawFn, *, sigma: st.SearchStrategy[float] | None = None) -> Call:
    """Arguments of `waveglow_loss`."""
    shape, seed = (draw(sizes(1, 4)), draw(sizes(1, 4)), draw(sizes(1, 5))), draw(generators())
    deviation = draw(st.sampled_from([0.5, 1.0, 2.0, 0.75]) if sigma is None else sigma)
    options = {} if deviation == 1.0 else {"sigma": deviation}
    return (2 * noise(*shape, seed=seed), 5 * noise(shape[0], seed=seed)), options


@exercise("waveglow_loss", contract=flows())
class TestWaveglowLoss:
    @required
    @given(call=flows())
    @settings(max_examples=4)
    def test_prefers_quiet_codes_and_large_determinants(self, student: Any, call: Call) -> None:
        """It grows with the size of each number of z, and falls as the determinant of any sound grows."""
        (z, log_det), options = call
        z.requires_grad_(), log_det.requires_grad_()
        loss = student.waveglow_loss(z, log_det, **options)
        assert_shape(loss, (), what="the loss")
        assert_depends(loss, z, what="the loss", on_what="z")
        assert_depends(loss, log_det, what="the loss", on_what="log_det")
        by_z, by_det = gradients(loss, [z, log_det])
        assert_between(by_z * z.sign(), 0, what="the slope of the loss away from z = 0")
        assert_between(by_det, None, -1e-4, tolerance=0, what="the slope of the loss for log_det")

    @weight(4)
    @given(call=flows())
    @settings(max_examples=10)
    def test_equals_torchs_normal(self, student: Any, call: Call) -> None:
        """It is minus torch.distributions' log-probability of z, less log_det, for each number, averaged over sounds."""
        (z, log_det), options = call
        log_p = Normal(0.0, options.get("sigma", 1.0)).log_prob(z).flatten(1).sum(1) + log_det
        names = dict(zip(("batch", "channels", "length"), z.shape, strict=True))
        found = student.waveglow_loss(z, log_det, **options)
        expected = -(log_p / z[0].numel()).mean()
        assert_close(found, expected, tolerance=1e-4, what="the loss", sizes=names)

    @weight(2)
    @given(gain=st.sampled_from([0.5, 2.0, 3.0]), sigma=st.sampled_from([0.5, 1.0, 2.0]), seed=generators())
    @settings(max_examples=5)
    def test_a_flow_that_is_known(self, student: Any, gain: float, sigma: float, seed: torch.Generator) -> None:
        """For a flow that multiplies by a it is what the normal distribution with deviation σ / a says about the sound."""
        x = noise(3, 2, 4, seed=seed)
        log_det = torch.full((3,), 8 * math.log(gain))
        expected = -Normal(0.0, sigma / gain).log_prob(x).mean()
        found = student.waveglow_loss(gain * x, log_det, sigma=sigma)
        assert_close(found, expected, tolerance=1e-4, what="the loss", sizes={"batch": 3, "channels": 2, "length": 4})

    @weight(2)
    @given(call=flows(), times=st.integers(2, 3))
    @settings(max_examples=4)
    def test_more_of_the_same(self, student: Any, call: Call, times: int) -> None:
        """Sounds given again change nothing, and neither does a sound that is its own continuation."""
        (z, log_det), options = call
        once = student.waveglow_loss(z, log_det, **options)
        assert_shape(once, (), what="the loss")
        again = student.waveglow_loss(z.repeat(times, 1, 1), log_det.repeat(times), **options)
        assert_close(again, once, tolerance=1e-4, what="the loss of the same sounds given again")
        longer = student.waveglow_loss(z.repeat(1, 1, times), times * log_det, **options)
        assert_close(longer, once, tolerance=1e-4, what="the loss of sounds that go on as before")


# ---- texture


@exercise("gram_matrix")
class TestGramMatrix:
    @required
    @given(active=tensors((2, 3, 5), dtype=torch.int64, low=0, high=1))
    @settings(max_examples=5)
    def test_counts_how_often_two_are_active(self, student: Any, active: Tensor) -> None:
        """Of features that are on or off it is the share of frames in which both of a pair are on."""
        active[:, 0, 0] = active[:, 1, 0] = 1
        features = active.float().requires_grad_()
        found = student.gram_matrix(features)
        assert_depends(found, features, what="the matrix", on_what="the features")
        expected = torch.zeros(2, 3, 3)
        for row, a, b in itertools.product(range(2), range(3), range(3)):
            expected[row, a, b] = (active[row, a] & active[row, b]).sum() / 5
        assert_close(found.detach(), expected, what="the matrix")

    @weight(4)
    @given(features=st.tuples(sizes(1, 3), sizes(1, 4), sizes(1, 5)).flatmap(tensors))
    @settings(max_examples=8)
    def test_frame_by_frame(self, student: Any, features: Tensor) -> None:
        """It is the mean over frames of the outer product of the features of a frame with themselves."""
        outer = [torch.stack([torch.outer(f, f) for f in row.unbind(1)]).mean(0) for row in features.double()]
        names = dict(zip(("batch", "channels", "frames"), features.shape, strict=True))
        found = student.gram_matrix(features)
        assert_close(found, torch.stack(outer).float(), tolerance=1e-4, what="the matrix", sizes=names)

    @weight(2)
    @given(features=tensors((2, 3, 4)), order=st.permutations(range(4)), times=st.integers(2, 3))
    @settings(max_examples=4)
    def test_when_it_happens_makes_no_difference(
        self, student: Any, features: Tensor, order: list[int], times: int
    ) -> None:
        """The order of frames makes no difference, and neither does hearing all of them again."""
        found = student.gram_matrix(features)
        assert_shape(found, (2, 3, 3), what="the matrix")
        again = student.gram_matrix(features[:, :, order].repeat(1, 1, times))
        assert_close(again, found, tolerance=1e-4, what="the matrix of the same frames in another order, repeated")

    @weight(2)
    @given(features=tensors((2, 3, 2)), level=st.sampled_from([2.0, -3.0]))
    @settings(max_examples=4)
    def test_what_is_always_on(self, student: Any, features: Tensor, level: float) -> None:
        """A constant feature has its square on the diagonal, and beside it the others' means times its level."""
        features[:, 0] = level
        expected = level * features.mean(2)
        found = student.gram_matrix(features)
        assert_shape(found, (2, 3, 3), what="the matrix")
        for part, name in ((found[:, 0], "row"), (found[:, :, 0], "column")):
            assert_close(part, expected, tolerance=1e-4, what=f"the {name} of the constant feature")


@dataclass(frozen=True)
class Textures:
    """What the loss of style is given."""

    features: list[Tensor]
    style: list[Tensor]
    weights: list[float] | None

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments."""
        given_ = {} if self.weights is None else {"weights": self.weights}
        return {"gram": reference.gram_matrix, **given_}

    def by_hand(self) -> Tensor:
        """One layer, one sound and one pair of channels at a time."""
        total = torch.tensor(0.0)
        shares = [1.0] * len(self.style) if self.weights is None else self.weights
        for ours, theirs, share in zip(self.features, self.style, shares, strict=True):
            batch, channels = ours.shape[:2]
            for row, a, b in itertools.product(range(batch), range(channels), range(channels)):
                g, wanted = ((f[row, a] * f[row, b]).mean() for f in (ours, theirs))
                total = total + share * (g - wanted).square() / (batch * channels**2)
        return total


@st.composite
def textures(draw: st.DrawFn, *, layers: st.SearchStrategy[int] | None = None) -> Textures:
    """Textures of some layers; the two sounds are of different lengths."""
    batch, seed, features, style = draw(sizes(1, 3)), draw(generators()), [], []
    count = draw(sizes(1, 3) if layers is None else layers)
    for _ in range(count):
        channels = draw(sizes(1, 4))
        features.append(noise(batch, channels, draw(sizes(1, 4)), seed=seed))
        style.append(noise(batch, channels, draw(sizes(1, 5)), seed=seed))
    weights = draw(st.none() | st.lists(st.sampled_from([0.5, 2.0, 3.0]), min_size=count, max_size=count))
    return Textures(features, style, weights)


def loudness(features: Tensor) -> Tensor:
    """Something else than a Gram matrix, of the same shape: sums of two channels' means."""
    mean = features.mean(2)
    return mean.unsqueeze(1) + mean.unsqueeze(2)


@exercise("style_loss", contract=textures().map(lambda t: ((t.features, t.style), t.options)))
class TestStyleLoss:
    @required
    @given(given_=textures(layers=st.integers(2, 3)), step=st.sampled_from([0.5, -0.25]))
    @settings(max_examples=4)
    def test_grows_with_the_distance(self, student: Any, given_: Textures, step: float) -> None:
        """For features that are 1 + ε times those of the style it is Σ ((1 + ε)² − 1)² ‖A‖² / channels², with the
        gradient that belongs to it."""
        style = [part + 0.5 for part in given_.style]
        features = [((1 + step) * part).requires_grad_() for part in style]
        found = student.style_loss(features, style, **given_.options)
        assert_shape(found, (), what="the loss")
        for number, part in enumerate(features):
            assert_depends(found, part, what="the loss", on_what=f"the features of layer {number}")
        own = Textures(style, [torch.zeros_like(part) for part in style], given_.weights).by_hand()
        assert_close(found.detach(), ((1 + step) ** 2 - 1) ** 2 * own, tolerance=1e-3, what="the loss")

    @weight(4)
    @given(given_=textures())
    @settings(max_examples=10)
    def test_by_hand(self, student: Any, given_: Textures) -> None:
        """It is the weighted sum over layers of the mean squared difference of two Gram matrices, entry by entry."""
        found = student.style_loss(given_.features, given_.style, **given_.options)
        names = {"batch": len(given_.style[0]), "layers": len(given_.style)}
        assert_close(found, given_.by_hand(), tolerance=1e-4, what="the loss", sizes=names)

    @weight(2)
    @given(given_=textures(), times=st.integers(2, 3), seed=generators())
    @settings(max_examples=4)
    def test_the_same_texture(self, student: Any, given_: Textures, times: int, seed: torch.Generator) -> None:
        """The same frames in another order, or more than once, are the same texture: the loss is 0."""
        features = []
        for part in given_.style:
            order = torch.randperm(part.shape[2], generator=seed)
            features.append(part[:, :, order].repeat(1, 1, times))
        found = student.style_loss(features, given_.style, **given_.options)
        assert_close(found, torch.tensor(0.0), tolerance=1e-4, what="the loss of the same texture")

    @weight(5)
    @given(given_=textures(), seed=generators())
    @settings(max_examples=5)
    def test_asks_what_it_is_given(self, student: Any, given_: Textures, seed: torch.Generator) -> None:
        """Textures are compared by the function `gram`: here one that knows nothing but loudness."""
        pairs = zip(given_.features, given_.style, given_.weights or [1.0] * len(given_.style), strict=True)
        expected = sum(share * (loudness(f) - loudness(s)).square().mean() for f, s, share in pairs)
        found = student.style_loss(given_.features, given_.style, **{**given_.options, "gram": loudness})
        assert_close(found, expected, tolerance=1e-4, what="the loss")

    @given(given_=textures(), seed=generators())
    @settings(max_examples=3)
    def test_gradients(self, student: Any, given_: Textures, seed: torch.Generator) -> None:
        """Its gradients with respect to the features are those of the formula."""
        inputs = {f"the features of layer {n}": part.requires_grad_() for n, part in enumerate(given_.features)}
        found = student.style_loss(given_.features, given_.style, **given_.options)
        assert_same_gradients(found, given_.by_hand(), inputs, seed)


# ---- sound effects


@dataclass(frozen=True)
class Shape:
    """An envelope: rates are powers of two and times are sixteenths of seconds, so that nothing hangs on rounding."""

    samples: int
    rate: int
    attack: float
    decay: float
    sustain: float
    release: float

    @property
    def call(self) -> Call:
        """The arguments of `adsr_envelope`."""
        names = ("attack", "decay", "sustain", "release")
        return (self.samples, self.rate), {name: getattr(self, name) for name in names}

    def level(self, time: float) -> float:
        """The factor at a time."""
        total, found = self.samples / self.rate, self.sustain
        for begin, end, heights in (
            (self.attack, self.attack + self.decay, (1.0, self.sustain)),
            (0.0, self.attack, (0.0, 1.0)),
        ):
            if begin <= time < end:
                found = float(np.interp(time, (begin, end), heights))
        return found * min(1.0, (total - time) / self.release) if self.release else found

    def drawn(self) -> Tensor:
        """All factors."""
        return torch.tensor([self.level(n / self.rate) for n in range(self.samples)])


@st.composite
def shapes(draw: st.DrawFn, *, parts: tuple[int, ...] | None = None) -> Shape:
    """Envelopes, also of sounds that end before their attack or decay does."""
    sixteenths = st.sampled_from([3, 0, 4, 8, 1, 0, 12])
    attack, decay, release = (draw(sixteenths) / 16 for _ in range(3)) if parts is None else (p / 16 for p in parts)
    sustain = draw(st.sampled_from([0.5, 0.25, 0.75, 1.0, 0.0]))
    return Shape(draw(st.integers(1, 48)), draw(st.sampled_from([16, 32, 8])), attack, decay, sustain, release)


@exercise("adsr_envelope", contract=shapes().map(lambda shape: shape.call))
class TestAdsrEnvelope:
    @required
    @given(shape=shapes(parts=(4, 4, 8)), sustain=st.sampled_from([0.5, 0.25, 0.75]))
    @settings(max_examples=4)
    def test_four_parts(self, student: Any, shape: Shape, sustain: float) -> None:
        """It climbs to 1, falls to the level that is sustained, stays there, and fades out."""
        whole_ = Shape(40, 16, 0.25, 0.25, sustain, 0.5)  # 2.5 seconds: until ¼, until ½, until 2, until the end
        args, options = whole_.call
        found = student.adsr_envelope(*args, **options)
        climb, fall = torch.arange(4) / 4, 1 - (1 - sustain) * torch.arange(4) / 4
        fade = sustain * (8 - torch.arange(8)) / 8
        expected = torch.cat([climb, fall, torch.full((24,), sustain), fade])
        assert_close(found, expected, what="the envelope")

    @weight(4)
    @given(shape=shapes())
    @settings(max_examples=15)
    def test_sample_by_sample(self, student: Any, shape: Shape) -> None:
        """Every factor is the level, read off the line through its corners, times the fade-out."""
        args, options = shape.call
        assert_close(student.adsr_envelope(*args, **options), shape.drawn(), what="the envelope")

    @weight(4)
    @given(place=st.integers(0, 2), length=st.integers(3, 12), sustain=st.sampled_from([0.5, 0.25]))
    @settings(max_examples=6)
    def test_parts_of_no_length(self, student: Any, place: int, length: int, sustain: float) -> None:
        """A part that lasts no time is left out: there is no division by zero, and the next one begins at once."""
        parts = [length / 16, 0.25, 0.25]
        parts[place] = 0.0
        shape = Shape(24, 16, parts[0], parts[1], sustain, parts[2])
        args, options = shape.call
        assert_close(student.adsr_envelope(*args, **options), shape.drawn(), what="the envelope")

    @weight(2)
    @given(samples=st.integers(4, 16), release=st.sampled_from([1.0, 1.5, 2.0]), sustain=st.sampled_from([0.5, 0.0]))
    @settings(max_examples=4)
    def test_sounds_that_are_too_short(self, student: Any, samples: int, release: float, sustain: float) -> None:
        """In a short sound the fade-out begins while the level still climbs or falls, and multiplies it."""
        shape = Shape(samples, 16, 0.5, 1.0, sustain, release)
        args, options = shape.call
        assert_close(student.adsr_envelope(*args, **options), shape.drawn(), what="the envelope")


@dataclass(frozen=True)
class Effect:
    """What an effect is made of, in double precision."""

    recording: Recording
    gain: Tensor
    envelope: Tensor
    peak: float

    def ask(self, function: Callable, **changes: Any) -> Tensor:
        """What a function makes of it."""
        given_ = {"noise": self.recording.sound, "gain": self.gain, "envelope": self.envelope, **changes}
        options = {} if self.peak == 0.9 else {"peak": self.peak}
        return function(
            given_["noise"], given_["gain"], given_["envelope"], self.recording.window, self.recording.hop, **options
        )

    def filtered(self) -> Tensor:
        """The noise behind the filter, by scipy and least squares."""
        return self.recording.inverse(self.recording.transform() * self.gain)

    def made(self) -> Tensor:
        """The sounds."""
        sound = self.filtered() * self.envelope
        loudest = torch.tensor([max(map(abs, row)) for row in sound.tolist()], dtype=torch.float64)
        return self.peak * sound / loudest.unsqueeze(1)


@st.composite
def effects(draw: st.DrawFn, *, batch: int | None = None) -> Effect:
    """Effects with gains and envelopes between 0.1 and 2."""
    recording = draw(recordings(invertible=True, batch=batch, low=6, high=20)).double
    seed, peak = draw(generators()), draw(st.sampled_from([0.9, 0.5, 1.0]))
    # Sounds of a batch are not equally loud.
    louder = torch.arange(1, len(recording.sound) + 1).unsqueeze(1)
    recording = Recording(recording.sound * louder, recording.window, recording.hop)
    gain = between(0.1, 2, recording.bins, recording.frames, seed=seed).double()
    return Effect(recording, gain, between(0.1, 1, recording.samples, seed=seed).double(), peak)


def effect_call(effect: Effect) -> Call:
    """The arguments of `synthesize_effect`, in single precision."""
    parts = (effect.recording.sound, effect.gain, effect.envelope, effect.recording.window)
    return (*(part.float() for part in parts), effect.recording.hop), {"peak": effect.peak}


@exercise("synthesize_effect", contract=effects().map(effect_call))
class TestSynthesizeEffect:
    @required
    @given(effect=effects(), level=st.sampled_from([0.5, 3.0]))
    @settings(max_examples=5)
    def test_a_filter_that_does_nothing(self, student: Any, effect: Effect, level: float) -> None:
        """With one gain for everything and an envelope of ones it is the noise again, as loud as `peak` says."""
        sound = effect.recording.sound
        found = effect.ask(
            student.synthesize_effect,
            gain=torch.full_like(effect.gain, level),
            envelope=torch.ones_like(effect.envelope),
        )
        expected = effect.peak * sound / sound.abs().amax(1, keepdim=True)
        assert_close(found, expected, what="the sound")

    @weight(4)
    @given(effect=effects())
    @settings(max_examples=10)
    def test_by_scipy_and_least_squares(self, student: Any, effect: Effect) -> None:
        """Transformed by scipy, filtered, brought back by least squares, shaped and scaled it is the same."""
        assert_close(effect.ask(student.synthesize_effect), effect.made(), tolerance=1e-4, what="the sound")

    @weight(2)
    @given(effect=effects(batch=3))
    @settings(max_examples=4)
    def test_as_loud_as_it_should_be(self, student: Any, effect: Effect) -> None:
        """The largest amplitude of each sound is `peak`, on whichever side of zero it lies."""
        sound = effect.recording.sound * torch.tensor([[1.0], [-1.0], [0.1]])
        found = effect.ask(student.synthesize_effect, noise=sound)
        assert_shape(found, tuple(sound.shape), what="the sound")
        expected = torch.full((3,), effect.peak).double()
        assert_close(found.abs().amax(1), expected, what="the largest amplitude of each sound")

    @weight(5)
    @given(effect=effects(batch=2), which=st.sampled_from(["gain", "envelope", "noise"]))
    @settings(max_examples=5)
    def test_silence(self, student: Any, effect: Effect, which: str) -> None:
        """What is silent stays so: without noise, behind a closed filter, under an envelope of zeros."""
        silent = torch.zeros_like(effect.recording.sound if which == "noise" else getattr(effect, which))
        found = effect.ask(student.synthesize_effect, **{which: silent})
        assert_close(found, torch.zeros_like(effect.recording.sound), what="the sound")

    @weight(2)
    @given(effect=effects(), start=st.integers(1, 5))
    @settings(max_examples=4)
    def test_the_envelope_comes_last(self, student: Any, effect: Effect, start: int) -> None:
        """Where the envelope is 0 there is silence, and the rest is scaled to be as loud as `peak` by itself."""
        envelope = effect.envelope.clone()
        envelope[:start] = 0.0
        shaped = Effect(effect.recording, effect.gain, envelope, effect.peak)
        assert_close(shaped.ask(student.synthesize_effect), shaped.made(), tolerance=1e-4, what="the sound")
