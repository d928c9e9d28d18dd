# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.properties import assert_close, assert_depends, assert_independent, assert_shape, exercise, fail, tensors


@exercise("frame_consistency")
class TestFrameConsistency:
    @given(frame=tensors((2, 1, 3), low=1), time=st.integers(2, 5))
    @settings(max_examples=10)
    def test_stillness_is_perfect(self, student, frame, time):
        """A clip in which nothing changes scores 1."""
        result = student.frame_consistency(frame.repeat(1, time, 1))
        assert_close(result, torch.ones(2), what="the score", sizes={"batch": 2, "time": time})

    def test_three_frames(self, student):
        """Neighbours at right angles score 0, equal ones 1: together ½."""
        features = torch.tensor([[[3.0, 0.0], [0.0, 2.0], [0.0, 5.0]]])
        assert_close(student.frame_consistency(features), torch.tensor([0.5]), what="the score")

    def test_one_frame(self, student):
        """A single frame has no neighbour: a ValueError."""
        with pytest.raises(ValueError):
            student.frame_consistency(torch.ones(2, 1, 3))


@exercise("warp")
class TestWarp:
    @given(frame=tensors((2, 3, 4, 5)))
    @settings(max_examples=5)
    def test_no_flow(self, student, frame):
        """Where nothing flows the frame stays as it is."""
        result = student.warp(frame, torch.zeros(2, 2, 4, 5))
        assert_close(result, frame, tolerance=1e-4, what="the warped frame")

    @given(frame=tensors((1, 2, 4, 5)))
    @settings(max_examples=5)
    def test_one_to_the_right(self, student, frame):
        """A flow of (1, 0) fetches every pixel from its right neighbour, and the last column from the edge."""
        flow = torch.zeros(1, 2, 4, 5)
        flow[:, 0] = 1
        expected = frame[..., [1, 2, 3, 4, 4]]
        assert_close(student.warp(frame, flow), expected, tolerance=1e-4, what="the warped frame")

    def test_between_pixels(self, student):
        """A quarter of the way from 0 down to 8 is 2."""
        frame = torch.tensor([[[[0.0, 0.0], [8.0, 8.0]]]])
        flow = torch.zeros(1, 2, 2, 2)
        flow[:, 1, 0] = 0.25
        expected = torch.tensor([[[[2.0, 2.0], [8.0, 8.0]]]])
        assert_close(student.warp(frame, flow), expected, tolerance=1e-4, what="the warped frame")


def shifted(frame, flow):
    """A `warp` for flows that are the same everywhere and whole: as far as it need be for these checks."""
    u, v = flow[0, :, 0, 0].round().int().tolist()
    height, width = frame.shape[2:]
    rows = (torch.arange(height) + v).clamp(0, height - 1)
    columns = (torch.arange(width) + u).clamp(0, width - 1)
    return frame[:, :, rows][..., columns]


def even_flow(u, v, size=(4, 5)):
    """The same flow at each pixel of a single frame."""
    return torch.tensor([u, v], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, *size).contiguous()


@exercise("visible_pixels", contract=False)
class TestVisiblePixels:
    def test_there_and_back(self, student):
        """Everything moves 1 down and back: all is visible but the last row, which leaves the frame."""
        seen = student.visible_pixels(even_flow(0, 1), even_flow(0, -1), warp=shifted)
        expected = torch.ones(1, 4, 5, dtype=torch.bool)
        expected[:, 3] = False
        assert_close(seen, expected, what="the mask")

    def test_another_thing(self, student):
        """Where the way back leads elsewhere nothing is visible."""
        seen = student.visible_pixels(even_flow(1, 0), even_flow(1, 0), warp=shifted)
        assert_close(seen, torch.zeros(1, 4, 5, dtype=torch.bool), what="the mask")

    def test_looks_where_the_flow_leads(self, student):
        """warp is called with `back` and `flow`, in this order."""
        heard = []

        def spy(frame, flow):
            heard.append((frame, flow))
            return frame

        flow, back = even_flow(1, 0), even_flow(-2, 1)
        student.visible_pixels(flow, back, warp=spy)
        if not any(torch.equal(a, back) and torch.equal(b, flow) for a, b in heard):
            fail("warp was not called as warp(back, flow).")


@exercise("temporal_consistency", contract=False)
class TestTemporalConsistency:
    @given(frame=tensors((1, 3, 4, 5)))
    @settings(max_examples=5)
    def test_pure_motion(self, student, frame):
        """What only moves costs nothing."""
        flow = even_flow(-1, 0)
        moved = shifted(frame, flow)
        seen = torch.ones(1, 4, 5, dtype=torch.bool)
        error = student.temporal_consistency(frame, moved, flow, seen, warp=shifted)
        assert_close(error, torch.zeros(1), what="the error")

    def test_visible_pixels_only(self, student):
        """Two colours off by 1 and 3 at each pixel: 1 + 9 = 10, whatever share of the pixels is visible."""
        previous = torch.zeros(2, 2, 4, 5)
        current = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).expand(2, 2, 4, 5).clone()
        seen = torch.zeros(2, 4, 5, dtype=torch.bool)
        seen[:, :2] = True
        current[:, :, 2:] = 77.0
        error = student.temporal_consistency(previous, current, torch.zeros(2, 2, 4, 5), seen, warp=lambda f, w: f)
        assert_close(error, torch.full((2,), 10.0), what="the error")

    def test_nothing_visible(self, student):
        """Where nothing is visible the error is 0."""
        frames = torch.zeros(1, 1, 4, 5), torch.ones(1, 1, 4, 5)
        hidden = torch.zeros(1, 4, 5, dtype=torch.bool)
        error = student.temporal_consistency(*frames, torch.zeros(1, 2, 4, 5), hidden, warp=lambda f, w: f)
        assert_close(error, torch.zeros(1), what="the error")


@exercise("interpolate_frames", contract=False)
class TestInterpolateFrames:
    @given(first=tensors((1, 2, 4, 5)), second=tensors((1, 2, 4, 5)))
    @settings(max_examples=5)
    def test_ends(self, student, first, second):
        """At time 0 it is the first frame, at time 1 the second."""
        flows = even_flow(1, 0), even_flow(-1, 0)
        results = [student.interpolate_frames(first, second, *flows, time, warp=shifted) for time in (0.0, 1.0)]
        assert_close(results[0], first, what="the frame at time 0")
        assert_close(results[1], second, what="the frame at time 1")

    @given(first=tensors((1, 1, 4, 5)), second=tensors((1, 1, 4, 5)), quarter=st.integers(1, 3))
    @settings(max_examples=5)
    def test_without_motion(self, student, first, second, quarter):
        """Without any motion one frame fades into the other."""
        time, still = quarter / 4, even_flow(0, 0)
        result = student.interpolate_frames(first, second, still, still, time, warp=lambda f, w: f)
        assert_close(result, (1 - time) * first + time * second, tolerance=1e-4, what="the frame")

    def test_halfway(self, student):
        """Halfway along a motion of (4, 0) both frames are fetched from 2 pixels away, on either side."""
        heard = []

        def spy(frame, flow):
            heard.append(flow[0, :, 0, 0].tolist())
            return frame

        frames = torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 4, 5)
        student.interpolate_frames(*frames, even_flow(4, 0), even_flow(-4, 0), 0.5, warp=spy)
        assert_close(sorted(heard), [[-2.0, 0.0], [2.0, 0.0]], tolerance=1e-4, what="what warp was asked for")


@exercise("kl_to_prior")
class TestKLToPrior:
    @given(mu=tensors((3, 2)), logvar=tensors((3, 2)))
    @settings(max_examples=10)
    def test_nothing_new(self, student, mu, logvar):
        """If the posterior is the prior it costs nothing."""
        result = student.kl_to_prior(mu, logvar, mu.clone(), logvar.clone())
        assert_close(result, torch.zeros(3), what="the divergence")

    @given(mu=tensors((3, 2)))
    @settings(max_examples=10)
    def test_half_the_precision(self, student, mu):
        """With σ = σₚ = 2 each dimension costs an eighth of the squared distance of the means."""
        logvar = torch.full_like(mu, math.log(4))
        result = student.kl_to_prior(mu, logvar, torch.zeros_like(mu), logvar)
        assert_close(result, mu.square().sum(1) / 8, tolerance=1e-4, what="the divergence")

    def test_is_not_symmetric(self, student):
        """From σ = 2 to σₚ = 1 it costs 0.8069 nats, the other way 0.3181."""
        zero, wide = torch.zeros(1, 1), torch.full((1, 1), math.log(4))
        there, back = student.kl_to_prior(zero, wide, zero, zero), student.kl_to_prior(zero, zero, zero, wide)
        expected = torch.tensor([0.8069, 0.3181])
        assert_close(torch.cat([there, back]), expected, tolerance=1e-3, what="the two divergences")


@exercise("conditional_elbo", contract=False)
class TestConditionalElbo:
    @given(target=tensors((3, 2)), condition=tensors((3, 2)), noise=tensors((3, 2)))
    @settings(max_examples=10)
    def test_is_made_of_its_parts(self, student, target, condition, noise):
        """It is what `log_likelihood` says of the decoded code, less what `kl` says of posterior and prior."""
        result = student.conditional_elbo(
            target,
            condition,
            lambda x, c: (x + 2 * c, torch.zeros(3, 2)),
            lambda c: (3 * c, c),
            lambda z, c: z - c,
            noise,
            log_likelihood=lambda decoded, x: (decoded * 5 - x).sum(1),
            kl=lambda mu, logvar, prior_mu, prior_logvar: (mu + logvar - prior_mu + 7 * prior_logvar).sum(1),
        )
        mu = target + 2 * condition
        expected = ((mu + noise - condition) * 5 - target).sum(1) - (mu - 3 * condition + 7 * condition).sum(1)
        assert_close(result, expected, tolerance=1e-4, what="the bound", hint="Here all parts are made up.")

    def test_gradients(self, student):
        """Gradients reach posterior and prior."""
        mu, prior_mu = torch.ones(2, 1, requires_grad=True), torch.zeros(2, 1, requires_grad=True)
        bound = student.conditional_elbo(
            torch.ones(2, 3),
            torch.ones(2, 3),
            lambda x, c: (mu, torch.zeros(2, 1)),
            lambda c: (prior_mu, torch.zeros(2, 1)),
            lambda z, c: z.expand(2, 3),
            torch.zeros(2, 1),
            log_likelihood=lambda decoded, x: (decoded + x).sum(1),
            kl=lambda mu, logvar, prior_mu, prior_logvar: (mu - 4 * prior_mu).sum(1),
        )
        assert_depends(bound, mu, what="the bound", on_what="the posterior's mean")
        assert_depends(bound, prior_mu, what="the bound", on_what="the prior's mean")


@exercise("pick_frames", contract=False)
class TestPickFrames:
    def test_clip_after_clip(self, student):
        """Clip 0 at times 2 and 0, then clip 1 at times 1 and 1."""
        videos = torch.arange(2 * 2 * 3 * 2 * 2.0).view(2, 2, 3, 2, 2)
        images = student.pick_frames(videos, torch.tensor([[2, 0], [1, 1]]))
        expected = torch.stack([videos[0, :, 2], videos[0, :, 0], videos[1, :, 1], videos[1, :, 1]])
        assert_close(images, expected, what="the images")

    @given(videos=tensors((1, 3, 4, 2, 2)))
    @settings(max_examples=5)
    def test_all_frames(self, student, videos):
        """All frames of one clip, in order, are the clip itself."""
        images = student.pick_frames(videos, torch.arange(4)[None])
        assert_close(images, videos[0].transpose(0, 1), what="the images")


@exercise("video_gan_losses")
class TestVideoGanLosses:
    def test_no_opinion(self, student):
        """Critics that score everything 0 pay 2 each; the generator pays nothing."""
        critics, generator = student.video_gan_losses(*(torch.zeros(n) for n in (6, 4, 3, 2)))
        assert_shape(critics, (), what="the critics' loss")
        assert_close(critics, torch.tensor(4.0), what="the critics' loss")
        assert_close(generator, torch.tensor(0.0), what="the generator's loss")

    @given(frames=tensors(4), clips=tensors(2))
    @settings(max_examples=5)
    def test_the_generator_wants_high_scores(self, student, frames, clips):
        """The generator's loss is minus the mean score of its frames, minus that of its clips."""
        _, generator = student.video_gan_losses(torch.zeros(3), frames, torch.zeros(3), clips)
        assert_close(generator, -frames.mean() - clips.mean(), tolerance=1e-4, what="the generator's loss")

    def test_weight(self, student):
        """Frame scores beyond the hinge cost the critics nothing, whatever the weight."""
        said = torch.full((3,), 1.5), torch.full((3,), -2.0), torch.zeros(2), torch.zeros(2)
        critics, _ = student.video_gan_losses(*said, frame_weight=5.0)
        assert_close(critics, torch.tensor(2.0), what="the critics' loss")


@exercise("CausalConv3d")
class TestCausalConv3d:
    def test_size(self, student):
        """It keeps time, height and width; strides divide them, rounded up."""
        layer = student.CausalConv3d(2, 3, (3, 3, 5))
        assert_shape(layer(torch.randn(1, 2, 4, 6, 5)), (1, 3, 4, 6, 5), what="the result")
        layer = student.CausalConv3d(2, 3, (3, 3, 5), stride=(2, 2, 4))
        assert_shape(layer(torch.randn(1, 2, 5, 6, 9)), (1, 3, 3, 3, 3), what="the result with strides")

    def test_no_look_ahead(self, student):
        """The first frames of the result do not depend on later ones."""
        layer = student.CausalConv3d(1, 2, (3, 3, 3))
        late = torch.randn(1, 1, 2, 4, 4, requires_grad=True)
        result = layer(torch.cat([torch.randn(1, 1, 3, 4, 4), late], dim=2))
        assert_independent(result[:, :, :3], late, what="frames 0 to 2", of_what="frames 3 and 4")
        assert_depends(result[:, :, 3:], late, what="the rest of the result", on_what="frames 3 and 4")

    def test_before_the_beginning(self, student):
        """A still scene stays still, from the first frame on."""
        layer = student.CausalConv3d(1, 2, (4, 3, 3))
        result = layer(torch.randn(1, 1, 1, 5, 5).expand(1, 1, 6, 5, 5)).detach()
        assert_close(result, result[:, :, :1].expand(1, 2, 6, 5, 5).clone(), tolerance=1e-4, what="the result")


@exercise("axial_attention", contract=False)
class TestAxialAttention:
    @given(axis=st.sampled_from(["time", "height", "width"]), value=tensors((1, 2, 3, 4, 2)))
    @settings(max_examples=10)
    def test_indifference(self, student, axis, value):
        """If all queries are 0, each place gets the mean of its line."""
        zero = torch.zeros(1, 2, 3, 4, 5)
        dim = {"time": 1, "height": 2, "width": 3}[axis]
        expected = value.mean(dim=dim, keepdim=True).expand_as(value).clone()
        result = student.axial_attention(zero, zero, value, axis)
        assert_close(result, expected, tolerance=1e-4, what="the result", hint=f"The axis is {axis}.")

    @given(value=tensors((1, 3, 2, 2, 2)))
    @settings(max_examples=5)
    def test_mask(self, student, value):
        """Who may look at the first frame only gets what stands there."""
        mask = torch.tensor([[True, False, False]] * 3)
        ones = torch.ones(1, 3, 2, 2, 4)
        result = student.axial_attention(ones, ones, value, "time", mask)
        assert_close(result, value[:, :1].expand_as(value).clone(), tolerance=1e-4, what="the result")


@exercise("vector_quantize")
class TestVectorQuantize:
    def test_nearest(self, student):
        """Each vector becomes the nearest of the codebook."""
        codebook = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
        z = torch.tensor([[[1.0, 1.0], [3.0, 1.0]], [[-9.0, 5.0], [0.5, 3.0]]])
        quantized, indices = student.vector_quantize(z, codebook)
        assert_close(indices, torch.tensor([[0, 1], [2, 2]]), what="the indices")
        assert_close(quantized, codebook[indices], tolerance=1e-4, what="the vectors")

    @given(z=tensors((3, 2)), direction=tensors((3, 2)))
    @settings(max_examples=5)
    def test_straight_through(self, student, z, direction):
        """The gradient passes unchanged to z, and none flows to the codebook."""
        z = z.requires_grad_()
        codebook = torch.tensor([[0.0, 1.0], [2.0, -1.0], [-3.0, 0.5]], requires_grad=True)
        quantized, _ = student.vector_quantize(z, codebook)
        assert_independent(quantized, codebook, what="the quantised vectors", of_what="the codebook")
        assert_depends(quantized, z, what="the quantised vectors", on_what="z")
        (gradient,) = torch.autograd.grad((quantized * direction).sum(), z)
        assert_close(gradient, direction, what="the gradient")


@exercise("vq_loss")
class TestVqLoss:
    @given(z=tensors((4, 3)), nearest=tensors((4, 3)))
    @settings(max_examples=5)
    def test_beta(self, student, z, nearest):
        """With β = 1 it is twice the squared distance, averaged over positions."""
        loss = student.vq_loss(z, nearest, 1.0)
        assert_shape(loss, (), what="the loss")
        expected = 2 * (z - nearest).square().sum(1).mean()
        assert_close(loss, expected, tolerance=1e-4, what="the loss")

    def test_who_moves(self, student):
        """With β = 0 only the codebook is moved."""
        z, nearest = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
        loss = student.vq_loss(z, nearest, 0.0)
        assert_depends(loss, nearest, what="the loss", on_what="the codebook's vectors")
        (gradient,) = torch.autograd.grad(loss, z, allow_unused=True)
        if gradient is not None and gradient.any():
            fail("With β = 0 a gradient flows to z: one of the two terms is to stop it.")


@exercise("codebook_perplexity", contract=False)
class TestCodebookPerplexity:
    @given(used=st.integers(1, 6), times=st.integers(1, 3))
    def test_equal_shares(self, student, used, times):
        """If some codes are equally frequent and the others unused, it is their number."""
        result = student.codebook_perplexity(torch.arange(used).repeat(times), 8)
        assert_close(result, float(used), tolerance=1e-4, what="the perplexity")

    def test_unequal_shares(self, student):
        """Shares of ¾ and ¼ count as 1.755 codes."""
        result = student.codebook_perplexity(torch.tensor([[2, 2], [2, 0]]), 3)
        assert_close(result, 1.7548, tolerance=1e-3, what="the perplexity")


@exercise("video_tokens")
class TestVideoTokens:
    def test_order(self, student):
        """Frame by frame, row by row, from the left."""
        codes = torch.arange(12).view(1, 2, 2, 3)
        assert_close(student.video_tokens(codes, 100), torch.arange(100, 112)[None], what="the tokens")

    def test_each_clip_has_a_row(self, student):
        """Each clip has a row of its own."""
        codes = torch.tensor([1, 2, 3]).view(3, 1, 1, 1).expand(3, 2, 2, 2).contiguous()
        expected = torch.tensor([[6], [7], [8]]).expand(3, 8).contiguous()
        assert_close(student.video_tokens(codes, 5), expected, what="the tokens")


@exercise("video_from_tokens", contract=False)
class TestVideoFromTokens:
    def test_order(self, student):
        """Frame by frame, row by row, from the left."""
        codes = student.video_from_tokens(torch.arange(100, 112)[None], (2, 2, 3), 100)
        assert_close(codes, torch.arange(12).view(1, 2, 2, 3), what="the codes")

    def test_refusals(self, student):
        """Too few tokens, or a word among them: a ValueError."""
        with pytest.raises(ValueError):
            student.video_from_tokens(torch.full((1, 11), 9), (2, 2, 3), 5)
        with pytest.raises(ValueError):
            student.video_from_tokens(torch.tensor([[7, 4]]), (1, 1, 2), 5)


@exercise("next_token_loss", contract=False)
class TestNextTokenLoss:
    @given(vocabulary=st.integers(7, 12), words=st.integers(1, 3))
    def test_knowing_nothing(self, student, vocabulary, words):
        """If all tokens have the same score, each costs the logarithm of their number."""
        tokens = torch.tensor([[1, 2, 3, 4, 5, 6]])
        loss = student.next_token_loss(torch.zeros(1, 6, vocabulary), tokens, torch.tensor([words]), 0)
        assert_shape(loss, (), what="the loss")
        assert_close(loss, torch.tensor(math.log(vocabulary)), tolerance=1e-4, what="the loss")

    def test_the_first_token_of_the_video_counts(self, student):
        """Only the logits that foretell the video matter: here those at positions 1 and 2, of a caption of 2 words."""
        tokens, lengths = torch.tensor([[1, 2, 5, 6, 0]]), torch.tensor([2])
        logits = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
        loss = student.next_token_loss(logits, tokens, lengths, 0)
        assert_depends(loss, logits, what="the loss", on_what="the logits")
        (gradient,) = torch.autograd.grad(loss, logits)
        matters = gradient[0].ne(0).any(dim=1).tolist()
        if matters != [False, True, True, False, False]:
            fail(
                f"The loss depends on the logits at positions {[i for i, m in enumerate(matters) if m]}, not at 1 and 2."
            )


def counting(codes):
    """A model that is sure that token t + 1 of `codes` follows token t, counted round, with 3 words before."""

    def model(tokens):
        after = torch.where(tokens >= 3, 3 + (tokens - 2) % codes, 3)
        return 50.0 * torch.nn.functional.one_hot(after, 3 + codes).float()

    return model


@exercise("sample_video", contract=False)
class TestSampleVideo:
    def test_in_order(self, student):
        """A model that counts writes 0, 1, 2, 3, 0, 1, …, in raster order."""
        text = torch.tensor([[1, 2], [2, 1]])
        result = student.sample_video(counting(4), text, torch.full((2, 2, 1, 3), 0.5), 3)
        expected = (torch.arange(6) % 4).view(1, 2, 1, 3).expand(2, 2, 1, 3).contiguous()
        assert_close(result, expected, what="the codes")

    def test_goes_on(self, student):
        """It goes on from the given frames, with one call for each new code."""
        calls = []

        def model(tokens):
            calls.append(tokens.shape[1])
            return counting(4)(tokens)

        given_frame = torch.tensor([2, 2]).view(1, 1, 1, 2)
        result = student.sample_video(model, torch.tensor([[1]]), torch.rand(1, 2, 1, 2), 3, given=given_frame)
        assert_close(result, torch.tensor([2, 2, 3, 0]).view(1, 2, 1, 2), what="the codes")
        assert_close(calls, [3, 4], what="the lengths of what the model was asked about")

    @given(first=st.integers(0, 3))
    @settings(max_examples=4)
    def test_draws_by_the_given_numbers(self, student, first):
        """If four codes are equally likely, a number between k/4 and (k + 1)/4 draws code k; words are never drawn."""

        def model(tokens):
            logits = torch.zeros(*tokens.shape, 7)
            logits[..., :3] = 9.0
            return logits

        uniform = torch.tensor([[first, 3 - first]]).view(1, 1, 1, 2) / 4 + 0.1
        result = student.sample_video(model, torch.tensor([[1, 2]]), uniform, 3)
        assert_close(result, torch.tensor([first, 3 - first]).view(1, 1, 1, 2), what="the codes")
