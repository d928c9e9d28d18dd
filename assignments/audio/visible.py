# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import assert_close, assert_depends, assert_finite, assert_shape, exercise, fail, tensors

HANN = torch.hann_window(16)
C_MAJOR = (0, 2, 4, 5, 7, 9, 11)
TUNE = [(0.0, 0.5, 60, 80), (0.5, 1.0, 64, 80), (0.5, 2.5, 67, 100)]
EVENTS = [376, 60, 305, 188, 64, 381, 67, 305, 192, 355, 305, 195]


class Halves(nn.Module):
    """A stand-in for a network of a flow: log s is half of what it is told, t is the condition."""

    def forward(self, kept, condition):
        """Return log s and t, one after the other."""
        return torch.cat([kept / 2, condition.expand_as(kept)], dim=1)


@exercise("spectrogram")
class TestSpectrogram:
    @given(samples=st.integers(8, 40), hop=st.integers(1, 8))
    def test_shape(self, student, samples, hop):
        """There are width / 2 + 1 bins, and a frame for every `hop` samples, that at the beginning included."""
        result = student.spectrogram(torch.ones(2, samples), HANN, hop)
        assert_shape(result, (2, 9, samples // hop + 1), what="the spectrogram")

    @given(place=st.integers(8, 30))
    @settings(max_examples=5)
    def test_click(self, student, place):
        """A click contains all frequencies alike, as strongly as the window is high where it falls."""
        sound = torch.zeros(1, 40)
        sound[0, place] = 1
        expected = torch.zeros(41)
        expected[place - 7 : place + 9] = HANN.flip(0).square()
        result = student.spectrogram(sound, HANN, 1)
        assert_close(result[0], expected.expand(9, 41), tolerance=1e-4, what="the spectrogram of a click")

    @given(sound=tensors((2, 30)))
    @settings(max_examples=5)
    def test_magnitude(self, student, sound):
        """The power is the square of the magnitude."""
        power, magnitude = student.spectrogram(sound, HANN, 4), student.spectrogram(sound, HANN, 4, power=1.0)
        assert_close(power, magnitude.square(), tolerance=1e-3, what="the power spectrogram")


@exercise("mel_filterbank")
class TestMelFilterbank:
    @given(mels=st.integers(1, 12), bins=st.integers(20, 40))
    @settings(max_examples=5)
    def test_shape_and_range(self, student, mels, bins):
        """It has a row for each filter, and weights from 0 to 1."""
        result = student.mel_filterbank(bins, mels, 8000)
        assert_shape(result, (mels, bins), what="the filterbank")
        if result.min() < 0 or result.max() > 1:
            fail(f"Weights should lie between 0 and 1, but they go from {result.min():g} to {result.max():g}.")

    def test_one_filter(self, student):
        """Between 0 and 2100 Hz, which is 0 and 1561.6 mel, a single filter has its peak at 700 Hz, 780.8 mel."""
        weights = student.mel_filterbank(43, 1, 8400, high=2100.0)  # a bin every 100 Hz
        hertz = 100.0 * torch.arange(43)
        expected = torch.minimum(hertz / 700, (2100 - hertz) / 1400).clamp(min=0)
        assert_close(weights[0], expected, tolerance=1e-4, what="the filter")


@exercise("log_mel")
class TestLogMel:
    @given(spectrum=tensors((2, 5, 3), low=1, high=4))
    def test_one_bin_each(self, student, spectrum):
        """Filters that let one bin through each give the logarithms of these bins."""
        bank = torch.eye(5)[[3, 0]]
        expected = torch.tensor([[[math.log(v) for v in row] for row in s[[3, 0]].tolist()] for s in spectrum])
        assert_close(student.log_mel(spectrum, bank), expected, tolerance=1e-4, what="the log-mel spectrogram")

    def test_silence(self, student):
        """Silence gives the logarithm of the floor."""
        result = student.log_mel(torch.zeros(1, 4, 2), torch.ones(3, 4), floor=0.01)
        assert_close(result, torch.full((1, 3, 2), math.log(0.01)), what="the log-mel spectrogram")


@exercise("griffin_lim")
class TestGriffinLim:
    @given(sound=tensors((2, 33)), iterations=st.sampled_from([0, 3]))
    @settings(max_examples=5)
    def test_right_from_the_start(self, student, sound, iterations):
        """With the true phase to start from, the sound itself comes back, and stays."""
        sound = sound + torch.randn(2, 33)
        truth = torch.stft(sound, 16, 4, window=HANN, pad_mode="constant", return_complex=True)
        result = student.griffin_lim(truth.abs(), HANN, 4, 33, truth.angle(), iterations=iterations)
        assert_close(result, sound, tolerance=1e-3, what="the sound")

    def test_comes_nearer(self, student):
        """After 30 iterations the magnitudes are nearer to the wanted ones than after none."""
        wanted = torch.stft(torch.randn(1, 64), 16, 4, window=HANN, pad_mode="constant", return_complex=True).abs()
        errors = []
        for iterations in (0, 30):
            sound = student.griffin_lim(wanted, HANN, 4, 64, torch.zeros(1, 9, 17), iterations=iterations)
            found = torch.stft(sound, 16, 4, window=HANN, pad_mode="constant", return_complex=True).abs()
            errors.append((found - wanted).square().sum().item())
        if not errors[1] < errors[0]:
            fail(
                f"The squared distance of the magnitudes was {errors[0]:.2f} at first, and {errors[1]:.2f} afterwards."
            )


@exercise("linear_prediction")
class TestLinearPrediction:
    @given(ratio=st.sampled_from([-0.75, -0.5, 0.25, 0.5, 0.75]))
    def test_echo(self, student, ratio):
        """A sound that is `ratio` times itself a sample ago, and dies away, is predicted by just that."""
        sound = ratio ** torch.arange(80.0).unsqueeze(0)
        expected = torch.tensor([[ratio, 0.0]])
        assert_close(student.linear_prediction(sound, 2), expected, tolerance=1e-3, what="the coefficients")

    @given(sound=tensors((2, 20)), factor=st.sampled_from([0.125, 8.0]))
    def test_loudness(self, student, sound, factor):
        """How loud a sound is has no influence on the coefficients."""
        sound = sound + torch.randn(2, 20)
        quiet, loud = student.linear_prediction(sound, 3), student.linear_prediction(factor * sound, 3)
        assert_shape(quiet, (2, 3), what="the result")
        assert_close(loud, quiet, tolerance=1e-3, what="the coefficients of a louder sound")


@exercise("encode_events", contract=False)
class TestEncodeEvents:
    def test_three_notes(self, student):
        """C for half a second, then E for half a second and a louder G for two, as worked out by hand."""
        assert_close(student.encode_events(TUNE).tolist(), EVENTS, what="the list of events")

    def test_order_of_the_notes(self, student):
        """It does not matter in which order the notes are listed."""
        assert_close(student.encode_events(TUNE[::-1]).tolist(), EVENTS, what="the list of events")

    def test_struck_again(self, student):
        """A pitch that is struck again while it sounds ends first."""
        notes = [(0.0, 0.3, 60, 80), (0.1, 0.2, 60, 80)]
        expected = [376, 60, 265, 188, 60, 265, 188]
        assert_close(student.encode_events(notes).tolist(), expected, what="the list of events")


@exercise("decode_events", contract=False)
class TestDecodeEvents:
    def test_three_notes(self, student):
        """The tune that the events were made of comes back, with velocities in the middle of their bins."""
        expected = [(0.0, 0.5, 60, 82), (0.5, 1.0, 64, 82), (0.5, 2.5, 67, 102)]
        assert_close(student.decode_events(torch.tensor(EVENTS)), expected, what="the list of notes")

    def test_nonsense(self, student):
        """An end without a beginning is passed over; what still sounds at the end ends there."""
        events = torch.tensor([188, 72, 255 + 50, 200 - 1])
        assert_close(student.decode_events(events), [(0.0, 0.5, 72, 64)], what="the list of notes")


@exercise("relative_attention")
class TestRelativeAttention:
    @given(value=tensors((2, 3, 4)))
    def test_no_preference(self, student, value):
        """Queries of zeros look at everything before them alike: the result is the mean so far."""
        zeros = torch.zeros(2, 3, 5)
        expected = value.cumsum(1) / torch.arange(1, 4)[:, None]
        assert_close(student.relative_attention(zeros, zeros, value, torch.ones(3, 5)), expected, what="the result")

    @given(back=st.integers(0, 2))
    @settings(max_examples=3)
    def test_one_distance(self, student, back):
        """If one distance is far more attractive than all others, each position takes what was so far back."""
        distances = torch.zeros(4, 1)
        distances[3 - back] = 100
        value = torch.arange(4.0).unsqueeze(1)
        result = student.relative_attention(torch.ones(4, 1), torch.zeros(4, 1), value, distances)
        assert_close(result[back:], value[: 4 - back], tolerance=1e-3, what="the result")


@exercise("allowed_events")
class TestAllowedEvents:
    def test_at_the_beginning(self, student):
        """Before anything sounds, no note can end, and those of the scale can begin."""
        may = student.allowed_events(torch.zeros(1, 0, dtype=torch.int64), scale=C_MAJOR)
        assert_shape(may, (1, 388), what="the mask")
        assert_close(may[0, 128:256].any().item(), False, what="whether a note may end")
        white = [pitch for pitch in range(60, 72) if may[0, pitch]]
        assert_close(white, [60, 62, 64, 65, 67, 69, 71], what="the list of pitches that may begin")

    def test_while_a_note_sounds(self, student):
        """What sounds may end and not begin again; with one voice nothing else may begin."""
        may = student.allowed_events(torch.tensor([[360, 60, 300]]), voices=1)[0]
        assert_close(may[128:256].nonzero().flatten().tolist(), [60], what="the list of pitches that may end")
        assert_close(may[:128].any().item(), False, what="whether a note may begin")


@exercise("sample_music")
class TestSampleMusic:
    @given(draws=tensors((2, 3), low=0.125, high=0.875))
    def test_certain(self, student, draws):
        """A model that always counts on by one is followed."""

        def counts_on(events):
            return 100 * torch.eye(9)[(events + 1) % 9]

        def everything(events):
            return torch.ones(len(events), 9, dtype=torch.bool)

        result = student.sample_music(counts_on, torch.tensor([[0], [4]]), draws, allowed=everything)
        assert_close(result, torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]]), what="the events")

    def test_rules(self, student):
        """Of two allowed events that are equally likely, a draw below one half takes the first."""

        def two(events):
            return torch.tensor([[False, True, False, True]]).expand(len(events), 4)

        draws = torch.tensor([[0.0, 0.45, 0.55, 0.95]])
        result = student.sample_music(lambda e: torch.zeros(1, e.shape[1], 4), torch.tensor([[1]]), draws, allowed=two)
        assert_close(result, torch.tensor([[1, 1, 1, 3, 3]]), what="the events")


def look(student, past, **changed):
    """One look, in which only what is said in `changed` plays a part."""
    zeros = {
        "query_weight": torch.zeros(1, 2),
        "memory_weight": torch.zeros(1, 3),
        "filters": torch.zeros(1, 3),
        "location_weight": torch.zeros(1, 1),
        "bias": torch.zeros(1),
        "score": torch.zeros(1),
    }
    memory = torch.arange(15.0).view(1, 5, 3)
    return student.location_sensitive_attention(torch.ones(1, 2), memory, past, **(zeros | changed)), memory


@exercise("location_sensitive_attention")
class TestLocationSensitiveAttention:
    def test_no_preference(self, student):
        """Without a preference every letter that is there gets the same weight, and padding none."""
        mask = torch.tensor([[True, True, True, True, False]])
        (context, weights), memory = look(student, torch.zeros(1, 5), mask=mask)
        assert_close(weights, torch.tensor([[0.25, 0.25, 0.25, 0.25, 0.0]]), what="the weights")
        assert_close(context, memory[:, :4].mean(1), what="the context")

    @given(place=st.integers(0, 3))
    def test_moves_on(self, student, place):
        """With a filter that sees the letter before, the look moves on by one letter."""
        parts = {"filters": torch.tensor([[9.0, 0, 0]]), "location_weight": torch.ones(1, 1), "score": torch.ones(1)}
        (_, weights), _ = look(student, torch.eye(5)[[place]], **(parts | {"score": torch.full((1,), 50.0)}))
        assert_close(weights, torch.eye(5)[[place + 1]], tolerance=1e-3, what="the weights")


@exercise("tacotron_loss")
class TestTacotronLoss:
    @given(target=tensors((2, 3, 4)), off=st.sampled_from([0.5, 1.0, 2.0]))
    def test_errors(self, student, target, off):
        """Off by a constant before the post-net and right after it, with the stop token undecided."""
        logits, lengths = torch.zeros(2, 4), torch.tensor([4, 4])
        result = student.tacotron_loss(target + off, target, target, logits, lengths, positive_weight=1.0)
        assert_close(result, torch.tensor(off**2 + math.log(2)), tolerance=1e-4, what="the loss")

    def test_stop(self, student):
        """Certain to stop at the last real frame, and only there, costs nothing; padding does not count."""
        target = torch.randn(1, 2, 4)
        after = target.clone()
        after[:, :, 2:] += 7
        logits = torch.tensor([[-90.0, 90.0, 90.0, -90.0]])
        result = student.tacotron_loss(target, after, target, logits, torch.tensor([2]))
        assert_close(result, torch.tensor(0.0), what="the loss")


@exercise("InvertibleConv1x1")
class TestInvertibleConv1x1:
    def test_there_and_back(self, student):
        """What was mixed can be unmixed, also after the weight has changed."""
        layer = student.InvertibleConv1x1(4)
        with torch.no_grad():
            layer.weight.copy_(torch.eye(4) + torch.ones(4, 4))
        x = torch.randn(2, 4, 3)
        z, log_det = layer(x)
        assert_close(z, x + x.sum(1, keepdim=True), tolerance=1e-4, what="z")
        assert_close(layer.inverse(z), x, tolerance=1e-4, what="what comes back")
        assert_close(log_det, torch.full((2,), 3 * math.log(5)), tolerance=1e-4, what="the log-determinant")

    def test_orthogonal_at_first(self, student):
        """At first its weight is orthogonal."""
        weight = student.InvertibleConv1x1(5, generator=torch.Generator().manual_seed(0)).weight
        assert_close(weight @ weight.T, torch.eye(5), tolerance=1e-4, what="weight times its transpose")


@exercise("AffineCoupling")
class TestAffineCoupling:
    @given(x=tensors((2, 4, 3)), condition=tensors((2, 1, 3)))
    @settings(max_examples=5)
    def test_scale_and_shift(self, student, x, condition):
        """The first half stays, the second is scaled and shifted, and all of it can be undone."""
        layer = student.AffineCoupling(Halves())
        z, log_det = layer(x, condition)
        assert_close(z[:, :2], x[:, :2], what="the first half of z")
        assert_close(z[:, 2:], x[:, 2:] * (x[:, :2] / 2).exp() + condition, tolerance=1e-4, what="the second half of z")
        assert_close(log_det, x[:, :2].flatten(1).sum(1) / 2, tolerance=1e-4, what="the log-determinant")
        assert_close(layer.inverse(z, condition), x, tolerance=1e-4, what="what comes back")


@exercise("waveglow_loss")
class TestWaveglowLoss:
    @given(sigma=st.sampled_from([0.5, 1.0, 2.0]))
    def test_at_the_top(self, student, sigma):
        """z = 0 costs log(σ √(2π)) for each number."""
        result = student.waveglow_loss(torch.zeros(2, 4, 3), torch.zeros(2), sigma=sigma)
        assert_close(result, torch.tensor(math.log(sigma) + 0.918939), tolerance=1e-4, what="the loss")

    def test_determinant(self, student):
        """Each nat of the log-determinant takes off one nat for the sound, so 1/12 for each of 12 numbers."""
        without = student.waveglow_loss(torch.ones(2, 4, 3), torch.zeros(2))
        with_it = student.waveglow_loss(torch.ones(2, 4, 3), torch.ones(2))
        assert_close(without - with_it, torch.tensor(1 / 12), tolerance=1e-4, what="the difference of the losses")


@exercise("gram_matrix")
class TestGramMatrix:
    @given(signs=tensors((2, 6), low=0, high=1, dtype=torch.int64))
    def test_one_channel(self, student, signs):
        """A single channel of ±1 has the mean square 1."""
        features = (2.0 * signs - 1).unsqueeze(1)
        assert_close(student.gram_matrix(features), torch.ones(2, 1, 1), what="the Gram matrix")

    def test_two_channels(self, student):
        """Channels that are never active together have a 0 in common."""
        features = torch.tensor([[[3.0, 0.0, 3.0, 0.0], [0.0, 1.0, 0.0, 1.0]]])
        assert_close(student.gram_matrix(features), torch.tensor([[[4.5, 0.0], [0.0, 0.5]]]), what="the Gram matrix")


@exercise("style_loss", contract=False)
class TestStyleLoss:
    @given(features=tensors((2, 3, 4)))
    def test_same_texture(self, student, features):
        """The same moments in another order, or all of them twice, are the same texture."""
        twice = torch.cat([features.flip(2), features], dim=2)
        result = student.style_loss([features, features], [features.flip(2), twice])
        assert_close(result, torch.tensor(0.0), tolerance=1e-4, what="the loss")

    def test_weights(self, student):
        """With a made-up Gram matrix: the layers' mean squared differences, weighted and added."""
        features, style = [torch.ones(2, 2, 3), torch.ones(2, 4, 3)], [torch.zeros(2, 2, 5), torch.zeros(2, 4, 5)]
        result = student.style_loss(
            features, style, weights=[10.0, 1.0], gram=lambda f: f[:, :, :1].repeat(1, 1, f.shape[1])
        )
        assert_close(result, torch.tensor(11.0), what="the loss")


@exercise("adsr_envelope")
class TestAdsrEnvelope:
    def test_ten_samples(self, student):
        """Ten samples at 10 a second, worked out by hand."""
        result = student.adsr_envelope(10, 10, attack=0.2, decay=0.2, sustain=0.5, release=0.25)
        expected = torch.tensor([0, 0.5, 1, 0.75, 0.5, 0.5, 0.5, 0.5, 0.4, 0.2])
        assert_close(result, expected, tolerance=1e-4, what="the envelope")

    def test_nothing(self, student):
        """Without attack, decay and release it is the level of `sustain`."""
        result = student.adsr_envelope(5, 10, attack=0.0, decay=0.0, sustain=0.25, release=0.0)
        assert_close(result, torch.full((5,), 0.25), what="the envelope")


@exercise("synthesize_effect")
class TestSynthesizeEffect:
    @given(noise=tensors((2, 33)))
    @settings(max_examples=5)
    def test_no_filter(self, student, noise):
        """With a gain of 1 everywhere it is the noise under its envelope, at the wanted peak."""
        noise = noise + torch.randn(2, 33)
        envelope = torch.linspace(0, 1, 33)
        result = student.synthesize_effect(noise, torch.ones(9, 9), envelope, HANN, 4, peak=0.5)
        expected = noise * envelope
        expected = 0.5 * expected / expected.abs().max(1, keepdim=True).values
        assert_close(result, expected, tolerance=1e-3, what="the sound")

    def test_silence(self, student):
        """A gain of 0 gives silence, not a division by zero."""
        result = student.synthesize_effect(torch.randn(1, 33), torch.zeros(9, 9), torch.ones(33), HANN, 4)
        assert_finite(result, what="the sound")
        assert_close(result, torch.zeros(1, 33), what="the sound")

    def test_reaches_the_gain(self, student):
        """The gain can be learnt: gradients reach it."""
        gain = (1 + torch.rand(9, 9)).requires_grad_()
        sound = student.synthesize_effect(torch.randn(1, 33), gain, torch.ones(33), HANN, 4)
        assert_depends(sound, gain, what="the sound", on_what="the gain")
