# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import (
    assert_between,
    assert_close,
    assert_finite,
    assert_shape,
    dimensions,
    exercise,
    fail,
    sizes,
    tensors,
)


def seen(output, x, *, what="the output"):
    """Which numbers of `x` a scalar taken from an output depends on: True where the derivative is not zero."""
    if not output.requires_grad:
        fail(f"No gradient flows from {what} to the input at all.")
    (gradient,) = torch.autograd.grad(output, x, retain_graph=True, allow_unused=True)
    return torch.zeros_like(x, dtype=torch.bool) if gradient is None else gradient != 0


def named_part(module, name, kind):
    """The attribute of that name, which the docstring promises."""
    part = getattr(module, name, None)
    if not isinstance(part, kind):
        fail(f"There should be a layer nn.{kind.__name__} as the attribute {name}.")
    return part


def weather():
    """A chain of two states that stays where it is with probability 3/4 and 1/2."""
    return torch.tensor([[0.75, 0.25], [0.5, 0.5]])


@exercise("fit_markov_chain")
class TestFitMarkovChain:
    def test_a_short_text(self, student):
        """In 0, 0, 1, 0, 0, 2 what follows 0 is 0, 1, 0, 2; what follows 1 is 0; after 2 everything is as likely."""
        result = student.fit_markov_chain(torch.tensor([[0, 0, 1, 0, 0, 2]]), 3)
        assert_close(result, torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))

    def test_smoothing(self, student):
        """With 1 added to each count, 0 after 0 has three of six, 1 after 0 has two of six, and 2 after 0 one."""
        result = student.fit_markov_chain(torch.tensor([[0, 0, 1], [2, 0, 0]]), 3, smoothing=1.0)
        assert_close(result[0], torch.tensor([3 / 6, 2 / 6, 1 / 6]), what="the row of state 0")

    @given(tokens=tensors((3, 6), dtype=torch.int64, low=0, high=2), order=st.integers(0, 2))
    def test_probabilities(self, student, tokens, order):
        """A context of `order` tokens makes `order` + 1 dimensions, and the last one adds up to 1."""
        result = student.fit_markov_chain(tokens, 3, order=order)
        assert_shape(result, (3,) * (order + 1))
        assert_close(result.sum(-1), torch.ones((3,) * order), what="the sum over the next state")

    def test_two_tokens_of_context(self, student):
        """In 0, 1, 1, 0, 1, 0 the pair 0, 1 is followed once by 1 and once by 0; the pair 1, 0 by 1."""
        result = student.fit_markov_chain(torch.tensor([[0, 1, 1, 0, 1, 0]]), 2, order=2)
        assert_close(result[0, 1], torch.tensor([0.5, 0.5]), what="what follows 0, 1")
        assert_close(result[1, 0], torch.tensor([0.0, 1.0]), what="what follows 1, 0")


@exercise("sequence_log_likelihood")
class TestSequenceLogLikelihood:
    def test_a_week(self, student):
        """The sequence 0, 0, 1, 1 has the factors 3/4, 1/4 and 1/2; the first token is taken as given."""
        result = student.sequence_log_likelihood(torch.tensor([[0, 0, 1, 1]]), weather())
        assert_close(result, torch.tensor([math.log(3 / 32)]))

    def test_the_first_token(self, student):
        """The log-probability of the first token is added if there is one."""
        tokens, initial = torch.tensor([[0, 1], [1, 1]]), torch.tensor([0.25, 0.75])
        result = student.sequence_log_likelihood(tokens, weather(), initial)
        assert_close(result, torch.tensor([1 / 16, 3 / 8]).log())

    @given(tokens=tensors((2, 5), dtype=torch.int64, low=0, high=2), order=st.integers(0, 2))
    def test_dice(self, student, tokens, order):
        """If all three states are always equally likely, every token that is not given costs log 3."""
        result = student.sequence_log_likelihood(tokens, torch.full((3,) * (order + 1), 1 / 3))
        assert_close(result, torch.full((2,), -(5 - order) * math.log(3)))

    def test_impossible(self, student):
        """What cannot happen has −∞, and does not disturb the other sequences."""
        result = student.sequence_log_likelihood(torch.tensor([[0, 0], [1, 0]]), torch.eye(2))
        assert_close(result, torch.tensor([0.0, -torch.inf]))


@exercise("stationary_distribution")
class TestStationaryDistribution:
    @given(a=st.integers(1, 8), b=st.integers(1, 8))
    def test_two_states(self, student, a, b):
        """With two states the time spent in each is as the chances of coming there."""
        transitions = torch.tensor([[1 - a / 8, a / 8], [b / 8, 1 - b / 8]])
        result = student.stationary_distribution(transitions)
        assert_close(result, torch.tensor([b / (a + b), a / (a + b)]), tolerance=1e-4, what="π")

    @given(weights=tensors((4, 4), low=0.5, high=3))
    def test_stays(self, student, weights):
        """A step of the chain leaves it as it is, and it adds up to 1."""
        transitions = weights / weights.sum(dim=1, keepdim=True)
        result = student.stationary_distribution(transitions)
        assert_shape(result, (4,), what="π")
        assert_close(result @ transitions, result, tolerance=1e-4, what="π after a step")
        assert_close(result.sum(), torch.tensor(1.0), tolerance=1e-4, what="the sum of π")

    def test_round_and_round(self, student):
        """A chain that goes 0, 1, 2, 0, 1, 2, … is in each state a third of the time."""
        around = torch.eye(3).roll(1, dims=1)
        assert_close(student.stationary_distribution(around), torch.full((3,), 1 / 3), tolerance=1e-4, what="π")


@exercise("entropy_rate")
class TestEntropyRate:
    @given(states=sizes())
    def test_dice(self, student, states):
        """A die with n faces has log n nats a throw."""
        die = torch.full((states, states), 1 / states)
        assert_close(student.entropy_rate(die, die[0]), torch.tensor(math.log(states)), what="the entropy rate")

    def test_clockwork(self, student):
        """A chain that leaves no choice has none, though its zeros have no logarithm."""
        around = torch.eye(3).roll(1, dims=1)
        assert_close(student.entropy_rate(around, torch.full((3,), 1 / 3)), torch.tensor(0.0), what="the entropy rate")

    @given(share=tensors((), low=0, high=1))
    def test_half_a_coin(self, student, share):
        """If one state tosses a coin and the other never does, it is log 2 times the share of the one."""
        transitions = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
        result = student.entropy_rate(transitions, torch.stack([share, 1 - share]))
        assert_close(result, share * math.log(2), what="the entropy rate")


def weights_of(cell):
    """What a step is given beside input and state, from a cell of torch's."""
    return [p.detach() for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)]


@exercise("rnn_step")
class TestRnnStep:
    @given(n=dimensions("batch input hidden"))
    @settings(max_examples=10)
    def test_is_torchs(self, student, n):
        """It does what torch.nn.RNNCell does with the same weights."""
        cell = nn.RNNCell(n["input"], n["hidden"])
        x, h = torch.randn(n["batch"], n["input"]), torch.randn(n["batch"], n["hidden"])
        assert_close(student.rnn_step(x, h, *weights_of(cell)), cell(x, h).detach(), what="the state", sizes=n)

    def test_is_bounded(self, student):
        """Whatever it reads, the state stays between −1 and 1."""
        result = student.rnn_step(torch.tensor([[50.0]]), torch.zeros(1, 1), *torch.ones(2, 1, 1), *torch.ones(2, 1))
        assert_between(result, -1, 1, what="the state")


@exercise("gru_step")
class TestGruStep:
    @given(n=dimensions("batch input hidden"))
    @settings(max_examples=10)
    def test_is_torchs(self, student, n):
        """It does what torch.nn.GRUCell does with the same weights."""
        cell = nn.GRUCell(n["input"], n["hidden"])
        x, h = torch.randn(n["batch"], n["input"]), torch.randn(n["batch"], n["hidden"])
        assert_close(student.gru_step(x, h, *weights_of(cell)), cell(x, h).detach(), what="the state", sizes=n)

    @given(x=tensors((2, 3)), h=tensors((2, 4)))
    def test_closed(self, student, x, h):
        """With the update gate at 1 the state stays as it was."""
        bias = torch.tensor([0.0, 100.0, 0.0]).repeat_interleave(4)
        zeros = torch.zeros(12, 3), torch.zeros(12, 4)
        assert_close(student.gru_step(x, h, *zeros, bias, torch.zeros(12)), h, what="the state")


@exercise("unroll")
class TestUnroll:
    @given(inputs=tensors((2, 4, 3)), state=tensors((2, 3)))
    def test_adding_up(self, student, inputs, state):
        """If a step adds what it reads, the states are the sums so far."""
        result = student.unroll(lambda x, h: h + x, inputs, state)
        assert_close(result, state.unsqueeze(1) + inputs.cumsum(dim=1), tolerance=1e-4, what="the states")

    def test_back_to_the_start(self, student):
        """Gradients flow from the last state to the state before the first input."""
        state = torch.ones(1, 2, requires_grad=True)
        result = student.unroll(lambda x, h: h / 2 + x, torch.zeros(1, 3, 2), state)
        result[:, -1].sum().backward()
        assert_close(state.grad, torch.full((1, 2), 1 / 8), what="the gradient with respect to the state")


@exercise("next_token_loss")
class TestNextTokenLoss:
    @given(tokens=tensors((2, 4), dtype=torch.int64, low=0, high=4))
    def test_know_nothing(self, student, tokens):
        """Whoever finds all five tokens equally likely pays log 5, however long the texts are."""
        result = student.next_token_loss(torch.zeros(2, 4, 5), tokens)
        assert_close(result, torch.tensor(math.log(5)), what="the loss")

    def test_looks_one_ahead(self, student):
        """Scores that name the next token cost nothing; scores that name the present one cost much."""
        tokens = torch.tensor([[0, 1, 2, 3]])
        named = 100 * torch.eye(5)
        assert_close(student.next_token_loss(named[tokens + 1], tokens), torch.tensor(0.0), what="the loss")
        assert_between(student.next_token_loss(named[tokens], tokens), 99, what="the loss")

    @given(logits=tensors((1, 5, 4)), more=tensors((1, 2, 4)))
    def test_padding_is_free(self, student, logits, more):
        """Two more places of padding change nothing."""
        tokens, padding = torch.tensor([[1, 2, 1, 3, 2]]), torch.zeros(1, 2, dtype=torch.int64)
        short = student.next_token_loss(logits, tokens, padding=0)
        long = student.next_token_loss(torch.cat([logits, more], 1), torch.cat([tokens, padding], 1), padding=0)
        assert_close(long, short, what="the loss with padding")


@exercise("influence")
class TestInfluence:
    @given(x=tensors((2, 5)), place=st.integers(0, 4))
    def test_a_factor(self, student, x, place):
        """In a model that multiplies by −3 each place depends on itself only, by 3 for each channel."""
        expected = torch.zeros(5)
        expected[place] = 6
        assert_close(student.influence(nn.Conv1d(2, 2, 1), x, (place,)) > 0, expected > 0, what="where it is positive")
        assert_close(student.influence(lambda x: -3 * x, x, (place,)), expected, what="the influence")

    def test_a_neighbour(self, student):
        """In a model that moves an image one pixel to the right each pixel depends on its left neighbour."""
        result = student.influence(lambda x: x.roll(1, dims=3), torch.ones(1, 3, 4), (1, 2))
        expected = torch.zeros(3, 4)
        expected[1, 1] = 1
        assert_close(result, expected, what="the influence")


PAST = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]]).bool()


@exercise("MaskedConv2d")
class TestMaskedConv2d:
    @pytest.mark.parametrize("mask_type", ["A", "B"])
    def test_looks_back(self, student, mask_type):
        """A pixel depends on those above it and left of it, and on itself only if the type is "B"."""
        layer = student.MaskedConv2d(1, 1, 3, mask_type)
        x = torch.ones(1, 1, 3, 3, requires_grad=True)
        expected = PAST.clone()
        expected[1, 1] = mask_type == "B"
        assert_close(seen(layer(x)[0, 0, 1, 1], x)[0, 0], expected, what="what the middle of 3 × 3 pixels depends on")

    @given(n=dimensions("batch inputs outputs height width"), mask_type=st.sampled_from("AB"))
    def test_keeps_the_size(self, student, n, mask_type):
        """Images keep their height and width."""
        layer = student.MaskedConv2d(n["inputs"], n["outputs"], 5, mask_type)
        result = layer(torch.zeros(n["batch"], n["inputs"], n["height"], n["width"]))
        assert_shape(result, (n["batch"], n["outputs"], n["height"], n["width"]), what="the feature maps")

    def test_other_weights(self, student):
        """If all weights are 1 and an image is white, a pixel in the midst gets 4 from its past, and 1 from itself."""
        for mask_type, expected in (("A", 4.0), ("B", 5.0)):
            layer = student.MaskedConv2d(1, 1, 3, mask_type)
            with torch.no_grad():
                layer.weight.fill_(1)
                layer.bias.zero_()
            middle = layer(torch.ones(1, 1, 3, 3))[0, 0, 1, 1]
            assert_close(middle, torch.tensor(expected), what=f"the middle with type {mask_type}")

    def test_three_colours(self, student):
        """At its own pixel green sees red if the type is "A", red and green if it is "B"."""
        for mask_type, expected in (("A", [True, False, False]), ("B", [True, True, False])):
            layer = student.MaskedConv2d(3, 3, 1, mask_type, colors=3)
            x = torch.ones(1, 3, 1, 1, requires_grad=True)
            result = seen(layer(x)[0, 1, 0, 0], x).flatten()
            assert_close(result, torch.tensor(expected), what=f"which colours green sees with type {mask_type}")

    def test_mistaken_arguments(self, student):
        """An even kernel and a mask of type "C" are ValueErrors."""
        for arguments in ((1, 1, 4, "A"), (1, 1, 3, "C")):
            with pytest.raises(ValueError):
                student.MaskedConv2d(*arguments)


def running_sum(pixels):
    """A stand-in for a model of 8 levels: it is certain of one more than the sum of the pixels before, modulo 8."""
    flat = pixels.flatten(1)
    levels = (flat.cumsum(dim=1) - flat + 1) % 8
    return 1000 * nn.functional.one_hot(levels, 8).float().movedim(2, 1).unflatten(2, pixels.shape[1:])


@exercise("sample_pixels", contract=False)
class TestSamplePixels:
    @given(uniform=tensors((2, 2, 3), low=0, high=0.875))
    @settings(max_examples=5)
    def test_one_after_the_other(self, student, uniform):
        """A model that always answers with one more than the sum so far draws 1, 2, 4, 0, 0, 0."""
        result = student.sample_pixels(lambda pixels: running_sum(pixels).clone(), uniform)
        assert_close(result, torch.tensor([[[1, 2, 4], [0, 0, 0]]] * 2), what="the images")

    @given(levels=tensors((3, 2, 2), dtype=torch.int64, low=0, high=7))
    @settings(max_examples=5)
    def test_a_die(self, student, levels):
        """If eight levels are equally likely, a number u between k/8 and (k + 1)/8 gives level k."""
        result = student.sample_pixels(lambda pixels: torch.zeros(len(pixels), 8, 2, 2), (levels + 0.5) / 8)
        assert_close(result, levels, what="the images")

    def test_asks_once_for_each_pixel(self, student):
        """Six pixels take six calls, and the future is always 0."""
        calls = []

        def model(pixels):
            calls.append(pixels.clone())
            return running_sum(pixels)

        student.sample_pixels(model, torch.full((1, 2, 3), 0.5))
        shown = [call.flatten().tolist() for call in calls]
        assert_close(shown[:3], [[0] * 6, [1] + [0] * 5, [1, 2] + [0] * 4], what="what the first three calls showed")
        assert_close(len(shown), 6, what="the number of calls")

    def test_completes(self, student):
        """Pixels that are known stay, and only the others are drawn."""
        image, known = torch.full((1, 2, 2), 3), torch.tensor([[True, True], [False, False]])
        result = student.sample_pixels(running_sum, torch.full((1, 2, 2), 0.5), image=image, known=known)
        assert_close(result, torch.tensor([[[3, 3], [7, 6]]]), what="the image")


@exercise("bits_per_dim")
class TestBitsPerDim:
    @given(dimensions=st.integers(1, 100), levels=st.integers(2, 256))
    def test_dice(self, student, dimensions, levels):
        """If all levels are equally likely it is log₂ of how many there are, whatever the size of the image."""
        likelihood = torch.full((2,), -dimensions * math.log(levels))
        result = student.bits_per_dim(likelihood, dimensions)
        assert_close(result, torch.full((2,), math.log2(levels)), tolerance=1e-4, what="bits for each dimension")

    def test_a_flat_density(self, student):
        """256 levels scaled to [0, 1]: the density of the uniform distribution is 1, and a pixel costs 8 bits."""
        result = student.bits_per_dim(torch.zeros(1), 64, bin_width=1 / 256)
        assert_close(result, torch.tensor([8.0]), what="bits for each dimension")


@exercise("GatedPixelCNNLayer")
class TestGatedPixelCNNLayer:
    def test_two_feature_maps(self, student):
        """Both stacks keep their shape, whether it is the first layer or a later one."""
        for first in (True, False):
            layer = student.GatedPixelCNNLayer(4, 3, first=first)
            result = layer(torch.zeros(2, 4, 3, 5), torch.zeros(2, 4, 3, 5))
            if not isinstance(result, tuple) or len(result) != 2:
                fail("The layer should return the pair (v′, h′).")
            for part, what in zip(result, ("v′", "h′"), strict=True):
                assert_shape(part, (2, 4, 3, 5), what=what)

    @pytest.mark.parametrize("first", [True, False])
    def test_what_each_stack_sees(self, student, first):
        """v′ sees the rows above across the width of the kernel, h′ what is left; both their own place if not first."""
        torch.manual_seed(0)
        layer = student.GatedPixelCNNLayer(2, 3, first=first)
        v, h = (torch.randn(1, 2, 3, 3, requires_grad=True) for _ in range(2))
        new_v, new_h = layer(v, h)
        rows = torch.tensor([[1, 1, 1], [0, 0, 0] if first else [1, 1, 1], [0, 0, 0]]).bool()
        left = torch.tensor([[0, 0, 0], [1, not first, 0], [0, 0, 0]]).bool()
        for result, of, expected, what in (
            (new_v, v, rows, "what v′ depends on in v"),
            (new_v, h, torch.zeros(3, 3).bool(), "what v′ depends on in h"),
            (new_h, v, rows, "what h′ depends on in v"),
            (new_h, h, left, "what h′ depends on in h"),
        ):
            assert_close(seen(result[0, :, 1, 1].sum(), of)[0].any(dim=0), expected, what=what)

    def test_shortcut(self, student):
        """If the last convolution gives nothing, h′ is h; in the first layer it is 0."""
        x = torch.randn(1, 4, 3, 3)
        for first, expected in ((True, torch.zeros_like(x)), (False, x)):
            layer = student.GatedPixelCNNLayer(4, 3, first=first)
            output = named_part(layer, "output", nn.Conv2d)
            with torch.no_grad():
                output.weight.zero_()
                output.bias.zero_()
            assert_close(layer(x, x)[1].detach(), expected, what="h′")


@exercise("CausalAttention2d")
class TestCausalAttention2d:
    def test_shape(self, student):
        """Each pixel gets value_dim numbers, the first one zeros."""
        result = student.CausalAttention2d(3, 4, 5, 6)(torch.randn(2, 3, 4, 2), torch.randn(2, 4, 4, 2))
        assert_shape(result, (2, 6, 4, 2))
        assert_close(result[:, :, 0, 0], torch.zeros(2, 6), what="what the first pixel gets")

    @given(memory=tensors((1, 2, 2, 3)))
    @settings(max_examples=10)
    def test_no_preference(self, student, memory):
        """Where all queries are zero, a pixel gets the mean of the values before it."""
        layer = student.CausalAttention2d(2, 2, 3, 2)
        with torch.no_grad():
            for name in ("query", "value"):
                part = named_part(layer, name, nn.Conv2d)
                part.bias.zero_()
                part.weight.copy_(torch.eye(2)[:, :, None, None] if name == "value" else torch.zeros(3, 2, 1, 1))
        result = layer(torch.ones(1, 2, 2, 3), memory)
        values = memory.flatten(2)
        means = (values.cumsum(dim=2) - values) / torch.tensor([1.0, 1, 2, 3, 4, 5])
        assert_close(result.flatten(2).detach(), means, tolerance=1e-4, what="what is gathered")

    def test_looks_back(self, student):
        """A pixel depends on all of the memory before it, and neither on its own place nor on later ones."""
        torch.manual_seed(0)
        layer = student.CausalAttention2d(2, 2, 4, 2)
        x, memory = torch.randn(1, 2, 3, 3, requires_grad=True), torch.randn(1, 2, 3, 3, requires_grad=True)
        result = layer(x, memory)
        looked = seen(result[0, :, 1, 1].sum(), memory)[0].any(dim=0)
        assert_close(looked, PAST, what="what the middle of 3 × 3 pixels depends on")
        result.square().sum().backward()
        assert_finite(x.grad, what="the gradient with respect to x")


@exercise("mu_law_encode")
class TestMuLawEncode:
    def test_the_ends(self, student):
        """−1 is the first level, 1 the last, 0 the upper one of the two in the middle; beyond the ends it stays there."""
        result = student.mu_law_encode(torch.tensor([-2.0, -1.0, 0.0, 1.0, 1.5]))
        assert_close(result, torch.tensor([0, 0, 128, 255, 255]), what="the levels")

    def test_quiet_sounds_have_more_levels(self, student):
        """A tenth of the amplitude takes the levels from 128 to 203: more than half of those above the middle."""
        result = student.mu_law_encode(torch.tensor([0.01, 0.1, 0.5]))
        assert_close(result, torch.tensor([157, 203, 239]), what="the levels")

    @given(x=tensors((2, 5), low=-1, high=1))
    def test_order(self, student, x):
        """A louder sound never has a lower level."""
        ordered = x.flatten().sort().values
        result = student.mu_law_encode(ordered, 16)
        assert_between(result.diff(), 0, what="the difference to the level of the next louder sound")
        assert_between(result, 0, 15, what="the levels")


@exercise("mu_law_decode")
class TestMuLawDecode:
    def test_the_ends(self, student):
        """The first level is −1, the last one is 1."""
        result = student.mu_law_decode(torch.tensor([[0, 255]]))
        assert_close(result, torch.tensor([[-1.0, 1.0]]), what="the amplitudes")

    def test_three_levels(self, student):
        """Level 3 of 5 is halfway between silence and 1 on the bent scale, which is (√5 − 1) / 4."""
        result = student.mu_law_decode(torch.tensor([1, 2, 3]), 5)
        quiet = (math.sqrt(5) - 1) / 4
        assert_close(result, torch.tensor([-quiet, 0.0, quiet]), what="the amplitudes")

    @given(levels=st.integers(2, 256))
    def test_as_loud_downwards(self, student, levels):
        """Levels that are equally far from both ends are equally loud."""
        result = student.mu_law_decode(torch.arange(levels), levels)
        assert_close(result, -result.flip(0), tolerance=1e-4, what="the amplitudes")


@exercise("CausalConv1d")
class TestCausalConv1d:
    @given(size=st.integers(1, 3), dilation=st.integers(1, 3), length=st.integers(1, 8))
    def test_as_long_as_before(self, student, size, dilation, length):
        """The output is as long as the input, however short that is."""
        layer = student.CausalConv1d(2, 3, size, dilation=dilation)
        assert_shape(layer(torch.zeros(1, 2, length)), (1, 3, length), what="the output")

    @given(dilation=st.integers(1, 3))
    @settings(max_examples=5)
    def test_an_echo(self, student, dilation):
        """With the weights 10 and 1 a click is heard at once, and ten times as loud after `dilation` steps."""
        layer = student.CausalConv1d(1, 1, 2, dilation=dilation)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([[[10.0, 1.0]]]))
            layer.bias.zero_()
        click, expected = torch.zeros(2, 1, 1, 8)
        click[0, 0, 2], expected[0, 0, 2], expected[0, 0, 2 + dilation] = 1, 1, 10
        assert_close(layer(click).detach(), expected, what="the output")


@exercise("receptive_field")
class TestReceptiveField:
    def test_wavenet(self, student):
        """Ten layers of kernel size 2 with dilations 1, 2, 4, …, 512 see 1024 inputs."""
        assert_close(student.receptive_field([2] * 10, [2**i for i in range(10)]), 1024, what="the receptive field")

    @given(size=st.integers(1, 5), dilation=st.integers(1, 5))
    def test_one_layer(self, student, size, dilation):
        """One layer of kernel size 1 sees the present only; each further weight takes it `dilation` steps back."""
        result = student.receptive_field([size], [dilation])
        assert_close(result, len(range(0, (size - 1) * dilation, 1)) + 1, what="the receptive field")


class Times(nn.Module):
    """A stand-in for a convolution: it multiplies by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        """Multiply."""
        return self.factor * x


@exercise("WaveNetBlock")
class TestWaveNetBlock:
    def test_shapes(self, student):
        """The pair (x′, s): as many channels as x, and `skip_channels`."""
        result = student.WaveNetBlock(3, 5, Times(1.0), Times(1.0))(torch.zeros(2, 3, 7))
        if not isinstance(result, tuple) or len(result) != 2:
            fail("The layer should return the pair (x′, s).")
        assert_shape(result[0], (2, 3, 7), what="x′")
        assert_shape(result[1], (2, 5, 7), what="s")

    @given(x=tensors((1, 2, 4)))
    @settings(max_examples=10)
    def test_by_hand(self, student, x):
        """If both 1 × 1 convolutions change nothing, s is tanh(filter(x)) σ(gate(x)), and x′ is that much more than x."""
        block = student.WaveNetBlock(2, 2, Times(3.0), Times(-2.0))
        with torch.no_grad():
            for name in ("residual", "skip"):
                part = named_part(block, name, nn.Conv1d)
                part.weight.copy_(torch.eye(2).unsqueeze(2))
                part.bias.zero_()
        after, skip = block(x)
        expected = torch.tanh(3 * x) * torch.sigmoid(-2 * x)
        assert_close(skip.detach(), expected, what="s")
        assert_close(after.detach(), x + expected, what="x′")

    def test_shut(self, student):
        """If both 1 × 1 convolutions give nothing, x passes unchanged."""
        block = student.WaveNetBlock(2, 3, Times(1.0), Times(1.0))
        with torch.no_grad():
            for parameter in (*named_part(block, "residual", nn.Conv1d).parameters(), *block.skip.parameters()):
                parameter.zero_()
        x = torch.randn(1, 2, 4)
        assert_close(block(x)[0].detach(), x, what="x′")
