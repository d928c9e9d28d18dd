# ruff: noqa: D101
"""Hidden properties of `video`. SciPy moves pixels, libraries attend and score, and small worlds are known exactly."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import vq  # type: ignore[import-untyped]
from scipy.ndimage import map_coordinates  # type: ignore[import-untyped]
from scipy.spatial.distance import cosine  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.distributions import Categorical, MultivariateNormal, Normal
from transformers.loss.loss_utils import ForCausalLMLoss

from autograder.properties.distributions import standard_normal_nodes
from autograder.properties.networks import Parallel, assert_parameters_matter, assert_rows_apart, redraw
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_shape,
    describe,
    dimensions,
    exercise,
    fail,
    generators,
    required,
    sizes,
    weight,
)
from solutions import video as reference

Call = tuple[tuple[Any, ...], dict[str, Any]]
WARP: dict[str, Callable] = {"warp": reference.warp}  # so that a mistake in one's own costs once


@st.composite
def eighths(draw: st.DrawFn, *shape: int, low: float = -3, high: float = 3) -> Tensor:
    """Multiples of 1/8, drawn one by one."""
    first, last = math.ceil(8 * low), math.floor(8 * high)
    return torch.randint(first, last + 1, shape, generator=draw(generators())) / 8


@st.composite
def ids(draw: st.DrawFn, *shape: int, high: int, low: int = 0) -> Tensor:
    """Whole numbers from `low` to `high`, drawn one by one."""
    return torch.randint(low, high + 1, shape, generator=draw(generators()))


def noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(tuple(shape), generator=generator)


def gradients(output: Any, inputs: Sequence[Tensor], along: Tensor | None = None) -> tuple[Tensor, ...]:
    """The gradients of the sum of an output, or of its product with `along`; zeros where none flows."""
    if not isinstance(output, Tensor) or not output.requires_grad:
        fail("No gradient flows back through the result.")
    total = output.sum() if along is None else (output * along).sum()
    return torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)


def pair_of(value: Any, what: str) -> tuple[Any, Any]:
    """The two parts of a result; fails if it has not two."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        fail(f"The result should be the pair ({what}), but it is {describe(value)}.")
    return value[0], value[1]


# ---- how much like the one before


CLIPS = st.sampled_from([(3, 4, 2), (1, 2, 3), (4, 3, 1, 2, 2)]).flatmap(lambda shape: eighths(*shape))


@exercise("frame_consistency", contract=st.tuples(st.tuples(CLIPS), st.just({})))
class TestFrameConsistency:
    @required
    @given(step=st.integers(1, 3), radius=st.integers(1, 4))
    @settings(max_examples=4)
    def test_calm_clips_score_higher(self, student: Any, step: int, radius: int) -> None:
        """The faster the features of a clip turn from frame to frame, the lower it scores."""
        angles = 0.1 * step * torch.arange(1.0, 6).unsqueeze(1) * torch.arange(5.0)
        features = (radius * torch.stack([angles.cos(), angles.sin()], dim=2)).requires_grad_()
        scores = student.frame_consistency(features)
        assert_shape(scores, (5,), what="the scores")
        assert_depends(scores, features, what="the scores", on_what="the features")
        assert_between(scores[:-1] - scores[1:], 1e-3, tolerance=0, what="what a faster clip scores less")

    @given(order=st.permutations(range(5)).filter(lambda order: order not in (list(range(5)), list(range(4, -1, -1)))))
    @settings(max_examples=4)
    def test_shuffled_clips_score_lower(self, student: Any, order: list[int]) -> None:
        """A clip that turns evenly scores less once its frames are shuffled, and as much as before if it runs backwards."""
        angles = 0.6 * torch.arange(5.0)
        clip = torch.stack([angles.cos(), angles.sin()], dim=1)
        scores = student.frame_consistency(torch.stack([clip, clip.flip(0), clip[order]]))
        assert_shape(scores, (3,), what="the scores")
        assert_close(scores[1], scores[0].detach(), tolerance=1e-4, what="the score of the clip that runs backwards")
        assert_between(scores[0] - scores[2], 0.01, tolerance=0, what="what the shuffled clip scores less")

    @weight(5)
    @given(size=dimensions("batch time channels width", low=2, high=4), seed=generators())
    @settings(max_examples=8)
    def test_equals_scipys_cosines(self, student: Any, size: dict[str, int], seed: torch.Generator) -> None:
        """It is the average over neighbouring frames of the cosine that SciPy finds between them, each frame one vector."""
        features = noise(tuple(size.values()), seed) + 0.5
        clips = features.flatten(2).double().numpy()
        expected = [np.mean([1 - cosine(a, b) for a, b in itertools.pairwise(clip)]) for clip in clips]
        received = student.frame_consistency(features)
        assert_close(received, torch.tensor(expected).float(), tolerance=1e-4, what="the scores", sizes=size)

    @given(turns=st.lists(st.integers(-8, 8), min_size=1, max_size=5), seed=generators())
    @settings(max_examples=5)
    def test_only_the_direction_counts(self, student: Any, turns: list[int], seed: torch.Generator) -> None:
        """Frames that are turned by known angles score the average of the angles' cosines, however long each vector is."""
        angles = torch.tensor([0, *itertools.accumulate(turns)]) / 5
        length = torch.rand(len(angles), 1, generator=seed) * 3 + 0.5
        features = length * torch.stack([angles.cos(), angles.sin()], dim=1)
        expected = math.fsum(math.cos(turn / 5) for turn in turns) / len(turns)
        received = student.frame_consistency(features.unsqueeze(0))
        assert_close(received, torch.tensor([expected]), tolerance=1e-4, what="the score", sizes={"time": len(angles)})

    @weight(5)
    @given(black=st.integers(0, 2), seed=generators())
    @settings(max_examples=4)
    def test_black_frames(self, student: Any, black: int, seed: torch.Generator) -> None:
        """A frame of zeros has cosine 0 with its neighbours, and no gradient is infinite or NaN."""
        features = (noise((2, 1, 3), seed) + torch.tensor([2.0, 0.0, 0.0])).repeat(1, 3, 1)
        features[1, black] = 0
        features.requires_grad_()
        scores = student.frame_consistency(features)
        expected = torch.tensor([1.0, 0.0 if black == 1 else 0.5])
        assert_close(scores, expected, tolerance=1e-4, what="the scores of a still clip, and of one with a black frame")
        assert_finite(gradients(scores, [features])[0], what="the gradient with respect to the features")

    @given(features=eighths(3, 4, 2))
    @settings(max_examples=2)
    def test_each_clip_by_itself(self, student: Any, features: Tensor) -> None:
        """Each clip of a batch gets its own score, the others do not change it."""
        assert_rows_apart(student.frame_consistency, features + 0.0625, what="the scores")

    @given(time=st.integers(0, 1))
    @settings(max_examples=2)
    def test_refuses_a_single_frame(self, student: Any, time: int) -> None:
        """A ValueError is raised for fewer than two frames."""
        with pytest.raises(ValueError):
            student.frame_consistency(torch.ones(2, time, 3))


# ---- motion


def fetched(frame: Tensor, flow: Tensor) -> Tensor:
    """The frame's values where the flow leads, by SciPy."""
    rows, columns = np.mgrid[: frame.shape[2], : frame.shape[3]]
    images = [
        [map_coordinates(channel, [rows + v, columns + u], order=1, mode="nearest") for channel in image]
        for image, (u, v) in zip(frame.double().numpy(), flow.double().numpy(), strict=True)
    ]
    return torch.from_numpy(np.array(images)).to(frame.dtype)


def uniform_flow(u: float, v: float, *shape: int) -> Tensor:
    """The same flow everywhere (batch, 2, height, width), for a shape (batch, height, width)."""
    batch, height, width = shape
    return torch.tensor([float(u), float(v)]).view(1, 2, 1, 1).expand(batch, 2, height, width).contiguous()


def places(height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns of all pixels."""
    return list(itertools.product(range(height), range(width)))


SIDES = st.sampled_from([(4, 5), (3, 2), (1, 4), (5, 1), (2, 6)])


@exercise("warp")
class TestWarp:
    @required
    @given(u=st.integers(1, 7), v=st.integers(1, 7), colors=eighths(2, 3, low=1), seed=generators())
    @settings(max_examples=4)
    def test_moves_colours_without_mixing_in_others(
        self, student: Any, u: int, v: int, colors: Tensor, seed: torch.Generator
    ) -> None:
        """A frame of one colour stays as it is; other frames change, within their range, with the frame and with the flow."""
        flow = uniform_flow(u / 8, v / 8, 2, 8, 9).requires_grad_()
        plain = colors.view(2, 3, 1, 1).expand(2, 3, 8, 9).contiguous()
        middle = (slice(None), slice(None), slice(2, 6), slice(2, 7))
        assert_close(
            student.warp(plain, flow)[middle], plain[middle], tolerance=1e-4, what="the middle of a one-coloured frame"
        )
        frame = torch.rand(2, 3, 8, 9, generator=seed).requires_grad_()
        result = student.warp(frame, flow)
        assert_shape(result, (2, 3, 8, 9))
        assert_between(result, 0, 1, what="a warped frame whose values are from 0 to 1")
        if (result - frame)[middle].abs().max() < 1e-3:
            fail("A flow that is not 0 leaves the frame as it was.")
        assert_depends(result, frame, on_what="the frame")
        assert_depends(result, flow, on_what="the flow")

    @weight(4)
    @given(sides=SIDES, batch=sizes(2, 3), channels=sizes(1, 3), seed=generators())
    @settings(max_examples=12)
    def test_equals_scipys(
        self, student: Any, sides: tuple[int, int], batch: int, channels: int, seed: torch.Generator
    ) -> None:
        """It is SciPy's map_coordinates of order 1 with the mode "nearest", for any frame and any flow."""
        frame, flow = noise((batch, channels, *sides), seed), 2 * noise((batch, 2, *sides), seed)
        received = student.warp(frame, flow)
        names = dict(zip(("batch", "channels", "height", "width"), frame.shape, strict=True))
        assert_close(received, fetched(frame, flow), tolerance=1e-4, what="the warped frame", sizes=names)

    @weight(3)
    @given(u=st.integers(-2, 2), v=st.integers(-2, 2), row=st.integers(2, 3), column=st.integers(2, 4))
    @settings(max_examples=6)
    def test_a_bright_pixel(self, student: Any, u: int, v: int, row: int, column: int) -> None:
        """A pixel at row r and column c is found, under a flow of u and v everywhere, at row r − v and column c − u."""
        frame = torch.zeros(1, 1, 6, 7)
        frame[0, 0, row, column] = 1
        received = student.warp(frame, uniform_flow(u, v, 1, 6, 7))
        expected = torch.zeros(6, 7)
        expected[row - v, column - u] = 1
        assert_shape(received, (1, 1, 6, 7), what="the warped frame")
        assert_close(received[0, 0], expected, tolerance=1e-4, what=f"a bright pixel under the flow {(u, v)}")

    @weight(2)
    @given(slopes=eighths(2, 3), sides=SIDES, seed=generators())
    @settings(max_examples=6)
    def test_slopes_are_reproduced(
        self, student: Any, slopes: Tensor, sides: tuple[int, int], seed: torch.Generator
    ) -> None:
        """On a frame that is a slanted plane it reads the plane's height at the place, the nearest one within the frame."""
        height, width = sides
        rows, columns = torch.arange(float(height)).unsqueeze(1), torch.arange(float(width))
        a, b, c = slopes.view(2, 3, 1, 1).unbind(1)
        flow = 2 * noise((2, 2, height, width), seed)
        there = (columns + flow[:, 0]).clamp(0, width - 1), (rows + flow[:, 1]).clamp(0, height - 1)
        received = student.warp((a * columns + b * rows + c).unsqueeze(1), flow)
        assert_close(received, (a * there[0] + b * there[1] + c).unsqueeze(1), tolerance=1e-4, what="the warped plane")

    @weight(3)
    @given(seed=generators())
    @settings(max_examples=5)
    def test_gradients(self, student: Any, seed: torch.Generator) -> None:
        """It is linear in the frame, and its gradient with respect to the flow is the slope of the frame at the place."""
        frame, other = noise((2, 3, 5, 6), seed), noise((2, 3, 5, 6), seed)
        slopes = noise((2, 2), seed) + 3
        rows, columns = torch.arange(5.0).unsqueeze(1), torch.arange(6.0)
        plane = (slopes[:, 0, None, None] * columns + slopes[:, 1, None, None] * rows).unsqueeze(1)
        # Between two columns and two rows, and within the frame.
        corner = torch.stack([torch.randint(0, most, (2, 5, 6), generator=seed) for most in (5, 4)], dim=1)
        inside = corner + 0.1 + 0.8 * torch.rand(2, 2, 5, 6, generator=seed)
        flow = (inside - torch.stack([columns.expand(5, 6), rows.expand(5, 6)])).requires_grad_()
        frame.requires_grad_()
        along = noise((2, 3, 5, 6), seed)
        (by_frame,) = gradients(student.warp(frame, flow), [frame], along)
        wanted = (along * fetched(other, flow.detach())).sum(dim=(1, 2, 3))
        found = (by_frame * other).sum(dim=(1, 2, 3))
        assert_close(found, wanted, tolerance=1e-3, what="the change with the frame, in the direction of another frame")
        (by_flow,) = gradients(student.warp(plane, flow), [flow])
        expected = slopes.view(2, 2, 1, 1).expand(2, 2, 5, 6).contiguous()
        assert_close(by_flow, expected, tolerance=1e-3, what="the gradient with respect to the flow")


def homecoming(flow: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Which pixels are visible, pixel by pixel and in double precision; and where that is beyond doubt."""
    batch, _, height, width = flow.shape
    visible, sure = (torch.zeros(batch, height, width, dtype=torch.bool) for _ in range(2))
    for clip, (row, column) in itertools.product(range(batch), places(height, width)):
        u, v = flow[clip, :, row, column].tolist()
        back_u, back_v = there[clip, :, row, column].tolist()
        astray = (u + back_u) ** 2 + (v + back_v) ** 2
        allowed = (u * u + v * v + back_u**2 + back_v**2) / 100 + 1 / 2
        inside = 0 <= column + u <= width - 1 and 0 <= row + v <= height - 1
        visible[clip, row, column] = astray <= allowed and inside
        sure[clip, row, column] = abs(astray - allowed) > 1e-3
    return visible, sure


@exercise("visible_pixels", contract=arguments(reference.visible_pixels, warp=st.just(reference.warp)))
class TestVisiblePixels:
    @required
    @given(u=st.integers(-3, 3), v=st.integers(-3, 3), further=st.integers(3, 5))
    @settings(max_examples=4)
    def test_the_way_back_leads_home(self, student: Any, u: int, v: int, further: int) -> None:
        """In the middle of a frame pixels are visible if the way back is the way there, reversed, and not if it is another."""
        flow = uniform_flow(u / 8, v / 8, 1, 5, 5)
        for back, expected in ((-flow, True), (further - flow, False)):
            received = student.visible_pixels(flow, back, **WARP)
            assert_shape(received, (1, 5, 5))
            hint = "True marks the pixels that can be seen."
            middle = received[:, 1:4, 1:4]
            assert_close(middle, torch.full((1, 3, 3), expected), what="the middle of the frame", hint=hint)

    @weight(4)
    @given(size=dimensions("height width", low=2, high=5), seed=generators())
    @settings(max_examples=8)
    def test_places_beyond_the_frame(self, student: Any, size: dict[str, int], seed: torch.Generator) -> None:
        """Who leaves the frame is not visible, even if the way back leads home; the outermost pixels are within."""
        shape = (2, 2, size["height"], size["width"])
        flow = torch.randint(-6, 7, shape, generator=seed) / 2
        received = student.visible_pixels(flow, torch.zeros(shape), warp=lambda back, flow: -flow)
        assert_close(received, homecoming(flow, -flow)[0], what="which pixels are visible", sizes=size)

    @weight(5)
    @given(seed=generators())
    @settings(max_examples=6)
    def test_how_far_astray_is_allowed(self, student: Any, seed: torch.Generator) -> None:
        """‖w + w′‖² may be 0.5, and more by a hundredth of ‖w‖² + ‖w′‖²: on long ways the way home may be missed by more."""
        height, width = 3, 32
        columns = torch.arange(float(width)).expand(2, 1, height, width)
        goal = torch.randint(0, width, (2, 1, height, width), generator=seed)
        rows = torch.arange(float(height)).view(1, 1, height, 1).expand(2, 1, height, width)
        flow = torch.cat([goal - columns, torch.randint(0, height, rows.shape, generator=seed) - rows], dim=1)
        allowed = (flow.square().sum(1, keepdim=True) / 50 + 0.5).sqrt()
        angle = 6.3 * torch.rand(2, 1, height, width, generator=seed)
        astray = (0.5 + torch.rand(2, 1, height, width, generator=seed)) * allowed
        there = astray * torch.cat([angle.cos(), angle.sin()], dim=1) - flow
        visible, sure = homecoming(flow, there)
        received = student.visible_pixels(flow, torch.zeros_like(flow), warp=lambda back, flow: there)
        assert_shape(received, (2, height, width))
        assert_close(received[sure], visible[sure], what="which pixels are visible")

    @weight(3)
    @given(size=dimensions("height width", low=3, high=6), seed=generators())
    @settings(max_examples=6)
    def test_the_way_back_begins_where_the_way_there_ends(
        self, student: Any, size: dict[str, int], seed: torch.Generator
    ) -> None:
        """The way back is read at the place where the flow leads, between pixels if need be."""
        shape = (2, 2, size["height"], size["width"])
        flow, back = noise(shape, seed) / 2 + 0.5, noise(shape, seed) - 0.5
        visible, sure = homecoming(flow, fetched(back, flow))
        received = student.visible_pixels(flow, back, **WARP)
        assert_shape(received, (2, *shape[2:]))
        assert_close(received[sure], visible[sure], what="which pixels are visible", sizes=size)

    @weight(2)
    @given(step=st.sampled_from([2, -2]), row=st.integers(1, 3), column=st.integers(3, 5))
    @settings(max_examples=4)
    def test_what_something_moved_away_from(self, student: Any, step: int, row: int, column: int) -> None:
        """Where a thing has moved on, the background behind it could not be seen before; all else could."""
        before, now = (torch.zeros(6, 10, dtype=torch.bool) for _ in range(2))
        before[row : row + 2, column : column + 2] = True
        now[row : row + 2, column + step : column + step + 2] = True
        flow, back = torch.zeros(1, 2, 6, 10), torch.zeros(1, 2, 6, 10)
        flow[0, 0, now], back[0, 0, before] = -step, step
        received = student.visible_pixels(flow, back, **WARP)
        assert_close(received, ~(before & ~now).unsqueeze(0), what="which pixels could be seen before")


def leaning(frame: Tensor, flow: Tensor) -> Tensor:
    """A made-up way to warp, which uses both of its arguments."""
    return 2 * frame.flip(3) - flow[:, :1] + 3 * flow[:, 1:]


@exercise("temporal_consistency", contract=arguments(reference.temporal_consistency, warp=st.just(reference.warp)))
class TestTemporalConsistency:
    @required
    @given(seed=generators())
    @settings(max_examples=3)
    def test_grows_with_the_difference(self, student: Any, seed: torch.Generator) -> None:
        """Where nothing moves it is 0 if nothing changes, and grows with flicker; gradients reach both frames."""
        previous = noise((1, 2, 4, 5), seed).expand(3, 2, 4, 5).contiguous().requires_grad_()
        flow = torch.zeros(3, 2, 4, 5)
        flicker = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1)
        current = (previous.detach() + flicker).requires_grad_()
        error = student.temporal_consistency(previous, current, flow, torch.ones(3, 4, 5).bool(), **WARP)
        assert_shape(error, (3,), what="the errors")
        assert_depends(error, current, what="the error", on_what="the frame now")
        assert_depends(error, previous, what="the error", on_what="the frame before")
        assert_close(error[0], 0.0, what="the error of a frame that stays as it was")
        assert_between(error[1:] - error[:-1], 0.01, tolerance=0, what="what more flicker costs more")

    @weight(4)
    @given(size=dimensions("batch channels height width", low=2, high=4), seed=generators())
    @settings(max_examples=8)
    def test_by_hand(self, student: Any, size: dict[str, int], seed: torch.Generator) -> None:
        """It is the squared difference to what `warp` makes of the frame before, summed over channels, averaged over pixels."""
        batch, channels, height, width = size.values()
        previous, current = (noise((batch, channels, height, width), seed) for _ in range(2))
        flow = noise((batch, 2, height, width), seed)
        visible = torch.rand(batch, height, width, generator=seed) < 0.6
        visible[0] = False
        visible[:, 0, 0] = True  # in the first clip nothing else
        warped = leaning(previous, flow)
        expected = []
        for clip in range(batch):
            seen = [(y, x) for y, x in places(height, width) if visible[clip, y, x]]
            costs = [(current[clip, :, y, x] - warped[clip, :, y, x]).double().square().sum().item() for y, x in seen]
            expected.append(math.fsum(costs) / len(costs))
        received = student.temporal_consistency(previous, current, flow, visible, warp=leaning)
        assert_close(received, torch.tensor(expected), tolerance=1e-4, what="the errors", sizes=size)

    @weight(2)
    @given(u=st.integers(-2, 2), v=st.integers(-1, 1), seed=generators())
    @settings(max_examples=5)
    def test_known_motion_costs_nothing(self, student: Any, u: int, v: int, seed: torch.Generator) -> None:
        """A frame cut out of a wide picture at another place costs nothing, where what it shows was there before."""
        picture = noise((1, 3, 9, 11), seed)
        previous, current = picture[:, :, 2:7, 2:9], picture[:, :, 2 + v : 7 + v, 2 + u : 9 + u]
        rows, columns = torch.arange(5).unsqueeze(1) + v, torch.arange(7) + u
        visible = (rows >= 0) & (rows < 5) & (columns >= 0) & (columns < 7)
        received = student.temporal_consistency(
            previous, current, uniform_flow(u, v, 1, 5, 7), visible.unsqueeze(0), **WARP
        )
        assert_close(received, torch.zeros(1), tolerance=1e-4, what="the error of a frame that only moved")

    @weight(5)
    @given(seed=generators(), blind=st.integers(0, 2))
    @settings(max_examples=4)
    def test_nothing_visible(self, student: Any, seed: torch.Generator, blind: int) -> None:
        """A pair without a visible pixel gets 0 and no gradient that is NaN; the other pairs do not notice."""
        previous, current = (noise((3, 2, 3, 4), seed) for _ in range(2))
        flow = uniform_flow(0, 0, 3, 3, 4)
        visible = torch.ones(3, 3, 4, dtype=torch.bool)
        visible[blind] = False
        current.requires_grad_()
        error = student.temporal_consistency(previous, current, flow, visible, **WARP)
        expected = (current.detach() - previous).square().sum(dim=1).mean(dim=(1, 2))
        expected[blind] = 0
        assert_close(error, expected, tolerance=1e-4, what="the errors")
        (gradient,) = gradients(error, [current])
        assert_close(gradient[blind], torch.zeros(2, 3, 4), what="the gradient of the pair without a visible pixel")

    @weight(2)
    @given(seed=generators())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, seed: torch.Generator) -> None:
        """With n visible pixels a visible pixel of the frame now has the gradient 2/n times the difference, the others none."""
        previous, current = (noise((2, 2, 3, 4), seed) for _ in range(2))
        visible = torch.rand(2, 3, 4, generator=seed) < 0.5
        visible[:, 0, 0], visible[:, 1, 1] = True, False
        current.requires_grad_(), previous.requires_grad_()
        error = student.temporal_consistency(previous, current, torch.zeros(2, 2, 3, 4), visible, warp=leaning)
        assert_shape(error, (2,), what="the errors")
        by_now, by_before = gradients(error, [current, previous])
        count = visible.sum(dim=(1, 2)).view(2, 1, 1, 1)
        difference = (current - 2 * previous.flip(3)).detach()
        wanted = 2 * difference * visible.unsqueeze(1) / count
        assert_close(by_now, wanted, tolerance=1e-4, what="the gradient for the frame now")
        assert_close(by_before, -2 * wanted.flip(3), tolerance=1e-4, what="the gradient for the frame before")


def bent(frame: Tensor, flow: Tensor) -> Tensor:
    """A made-up way to warp, from whose result frame and flow can both be told."""
    return frame * (1 + flow[:, :1]) + 2 * flow[:, 1:]


@exercise("interpolate_frames", contract=arguments(reference.interpolate_frames, warp=st.just(reference.warp)))
class TestInterpolateFrames:
    @required
    @given(seed=generators(), still=st.booleans())
    @settings(max_examples=4)
    def test_begins_and_ends_with_the_given_frames(self, student: Any, seed: torch.Generator, still: bool) -> None:
        """At time 0 it is the first frame, at time 1 the second, and in between it depends on both."""
        first, second = (noise((2, 2, 3, 4), seed).requires_grad_() for _ in range(2))
        forward, backward = ((0 if still else 1) * noise((2, 2, 3, 4), seed) for _ in range(2))
        for time, expected in ((0.0, first), (1.0, second)):
            received = student.interpolate_frames(first, second, forward, backward, time, **WARP)
            assert_close(received, expected.detach(), tolerance=1e-4, what=f"the frame at time {time:g}")
        middle = student.interpolate_frames(first, second, forward, backward, 0.5, **WARP)
        assert_depends(middle, first, what="the frame at time 0.5", on_what="the first frame")
        assert_depends(middle, second, what="the frame at time 0.5", on_what="the second frame")

    @weight(4)
    @given(size=dimensions("batch channels height width", high=3), time=st.sampled_from([0.25, 0.625, 0.875, 0.5]),
           seed=generators())  # fmt: skip
    @settings(max_examples=8)
    def test_flows_and_weights(self, student: Any, size: dict[str, int], time: float, seed: torch.Generator) -> None:
        """Both flows are averages of what `forward` and `backward` say, weighted like the frames: by 1 − t and t."""
        batch, channels, height, width = size.values()
        first, second = (noise((batch, channels, height, width), seed) for _ in range(2))
        forward, backward = (noise((batch, 2, height, width), seed) for _ in range(2))
        # A part t of the way has been gone: the way back to the first frame is so long, as each of the two flows has it.
        to_first = (1 - time) * (-time * forward) + time * (time * backward)
        to_second = (1 - time) * ((1 - time) * forward) + time * (-(1 - time) * backward)
        expected = torch.lerp(bent(first, to_first), bent(second, to_second), time)
        received = student.interpolate_frames(first, second, forward, backward, time, warp=bent)
        assert_close(received, expected, tolerance=1e-4, what=f"the frame at time {time:g}", sizes=size)

    @weight(2)
    @given(time=st.sampled_from([0.25, 0.625, 0.75]), seed=generators())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, time: float, seed: torch.Generator) -> None:
        """Where nothing moves the frames have the gradients 1 − t and t, and the flows those that the formula gives them."""
        frames = [noise((2, 3, 3, 4), seed).requires_grad_() for _ in range(2)]
        flows = [torch.zeros(2, 2, 3, 4, requires_grad=True) for _ in range(2)]
        received = student.interpolate_frames(*frames, *flows, time, warp=bent)
        by_first, by_second, by_forward, by_backward = gradients(received, [*frames, *flows])
        assert_close(by_first, torch.full_like(by_first, 1 - time), what="the gradient for the first frame")
        assert_close(by_second, torch.full_like(by_second, time), what="the gradient for the second frame")
        # What a step of either flow changes in the result, to the right and downwards; see `bent`.
        first, second = (torch.stack([frame.detach().sum(1), torch.full((2, 3, 4), 6.0)], dim=1) for frame in frames)
        early, late = (1 - time) * first, time * second
        wanted = -time * (1 - time) * early + (1 - time) ** 2 * late
        assert_close(by_forward, wanted, tolerance=1e-4, what="the gradient for the flow forward")
        wanted = time**2 * early - time * (1 - time) * late
        assert_close(by_backward, wanted, tolerance=1e-4, what="the gradient for the flow backward")

    @weight(4)
    @given(u=st.sampled_from([4, -4]), v=st.sampled_from([0, 4, -4]), quarter=st.integers(1, 3))
    @settings(max_examples=5)
    def test_things_go_at_an_even_speed(self, student: Any, u: int, v: int, quarter: int) -> None:
        """A bright pixel that moves four columns between two frames has moved one at a quarter of the time, and stays whole."""
        first, second, expected = torch.zeros(3, 1, 1, 9, 10)
        for frame, part in ((first, 0), (second, 4), (expected, quarter)):
            frame[0, 0, 4 + v * (part - 2) // 4, 4 + u * (part - 2) // 4] = 1
        flow = uniform_flow(u, v, 1, 9, 10)
        received = student.interpolate_frames(first, second, flow, -flow, quarter / 4, **WARP)
        assert_shape(received, (1, 1, 9, 10))
        inside = (slice(None), slice(None), slice(2, 7), slice(2, 7))
        assert_close(received[inside], expected[inside], tolerance=1e-4, what=f"the frame at time {quarter / 4}")

    @given(time=st.sampled_from([0.125, 0.25, 0.375]), seed=generators())
    @settings(max_examples=4)
    def test_backwards_in_time(self, student: Any, time: float, seed: torch.Generator) -> None:
        """A film may run backwards: with both frames and both flows exchanged, 1 − t takes the place of t."""
        first, second = (noise((2, 1, 4, 5), seed) for _ in range(2))
        forward, backward = (noise((2, 2, 4, 5), seed) for _ in range(2))
        there = student.interpolate_frames(first, second, forward, backward, time, **WARP)
        assert_shape(there, (2, 1, 4, 5))
        back = student.interpolate_frames(second, first, backward, forward, 1 - time, **WARP)
        assert_close(back, there, tolerance=1e-4, what="the frame of the film that runs backwards")

    @given(outside=st.sampled_from([-0.125, 1.125, 2.0, -1.0]))
    @settings(max_examples=4)
    def test_refuses_other_times(self, student: Any, outside: float) -> None:
        """A ValueError is raised for a time below 0 or above 1."""
        frame, flow = torch.ones(1, 1, 2, 2), torch.zeros(1, 2, 2, 2)
        with pytest.raises(ValueError):
            student.interpolate_frames(frame, frame, flow, flow, outside, **WARP)


# ---- conditional generation


@dataclass(frozen=True)
class Beliefs:
    """Posteriors and priors, independent Gaussians: four tensors (batch, latent)."""

    mu: Tensor
    logvar: Tensor
    prior_mu: Tensor
    prior_logvar: Tensor

    @property
    def all(self) -> tuple[Tensor, ...]:
        """The four, as `kl_to_prior` takes them."""
        return self.mu, self.logvar, self.prior_mu, self.prior_logvar

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the dimensions, by name."""
        return dict(zip(("batch", "latent"), self.mu.shape, strict=True))

    def divergence(self) -> Tensor:
        """The expectation under q of log q(z) − log p(z), dimension by dimension (batch, latent), by quadrature."""
        mu, logvar, prior_mu, prior_logvar = (part.double() for part in self.all)
        q, p = Normal(mu, (logvar / 2).exp()), Normal(prior_mu, (prior_logvar / 2).exp())
        nodes, weights = (grid[:, None, None] for grid in standard_normal_nodes())
        z = q.mean + q.stddev * nodes
        return (weights * (q.log_prob(z) - p.log_prob(z))).sum(dim=0)


@st.composite
def beliefs(draw: st.DrawFn, *, batch: int | None = None, latent: st.SearchStrategy[int] | None = None) -> Beliefs:
    """Beliefs of all sizes."""
    shape = (draw(sizes(2, 4)) if batch is None else batch, draw(sizes(1, 4) if latent is None else latent))
    return Beliefs(*(draw(eighths(*shape, low=-2, high=2)) for _ in range(4)))


@exercise("kl_to_prior")
class TestKLToPrior:
    @required
    @given(q=beliefs())
    @settings(max_examples=6)
    def test_is_zero_at_the_prior_and_grows_away_from_it(self, student: Any, q: Beliefs) -> None:
        """It is 0 where posterior and prior are the same; at equal variances it grows as their means move apart."""
        zero = student.kl_to_prior(q.mu, q.logvar, q.mu, q.logvar)
        assert_close(zero, torch.zeros(len(q.mu)), tolerance=1e-4, what="the divergence from the prior to itself")
        mu, prior_mu = q.mu.clone().requires_grad_(), (q.mu + 1).requires_grad_()
        near = student.kl_to_prior(mu, q.logvar, prior_mu, q.logvar)
        far = student.kl_to_prior(mu, q.logvar, prior_mu + 1, q.logvar)
        assert_depends(near, mu, what="the divergence", on_what="mu")
        assert_depends(near, prior_mu, what="the divergence", on_what="prior_mu")
        assert_between(near, 1e-3, tolerance=0, what="the divergence where the means differ by 1")
        assert_between(far - near, 1e-3, tolerance=0, what="what it grows if they differ by 2")

    @weight(4)
    @given(q=beliefs())
    @settings(max_examples=12)
    def test_equals_the_integral(self, student: Any, q: Beliefs) -> None:
        """It is the integral of q(z) (log q(z) − log p(z)), here by quadrature, summed over latent dimensions."""
        expected = q.divergence().sum(dim=1).float()
        assert_close(student.kl_to_prior(*q.all), expected, tolerance=1e-4, what="the divergence", sizes=q.sizes)

    @given(q=beliefs(), scale=st.integers(1, 4), shift=st.integers(-4, 4))
    @settings(max_examples=4)
    def test_the_unit_does_not_matter(self, student: Any, q: Beliefs, scale: int, shift: int) -> None:
        """It is the same in other units of z: both Gaussians moved by the same amount, and stretched by the same factor."""
        mu, logvar, prior_mu, prior_logvar = q.all
        factor, longer = scale / 2, 2 * math.log(scale / 2)
        moved = (factor * mu + shift, logvar + longer, factor * prior_mu + shift, prior_logvar + longer)
        plain = student.kl_to_prior(*q.all)
        assert_shape(plain, (len(mu),), what="the divergence")
        assert_close(student.kl_to_prior(*moved), plain, tolerance=1e-3, what="the divergence in other units")

    @weight(4)
    @given(q=beliefs(latent=sizes(1, 3)))
    @settings(max_examples=6)
    def test_gradients(self, student: Any, q: Beliefs) -> None:
        """Its gradients with respect to all four arguments, the prior's among them, are those of the integral."""
        ours = [part.clone().requires_grad_() for part in q.all]
        theirs = [part.double().requires_grad_() for part in q.all]
        found = gradients(student.kl_to_prior(*ours), ours)
        wanted = torch.autograd.grad(Beliefs(*theirs).divergence().sum(), theirs)
        names = ("mu", "logvar", "prior_mu", "prior_logvar")
        for name, got, exact in zip(names, found, wanted, strict=True):
            assert_close(got, exact.float(), tolerance=1e-3, what=f"the gradient with respect to {name}")

    @given(q=beliefs(batch=3))
    @settings(max_examples=2)
    def test_each_data_point_by_itself(self, student: Any, q: Beliefs) -> None:
        """Each data point of a batch gets its own value, the others do not change it."""
        assert_rows_apart(student.kl_to_prior, *q.all, what="the divergence")


class Joined(nn.Module):
    """A module that is given two things, and looks at all numbers of both side by side."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, first: Tensor, second: Tensor) -> Any:
        """What the inner module makes of the two."""
        return self.inner(torch.cat([first.flatten(1), second.flatten(1)], dim=1))


class Flat(nn.Sequential):
    """A module that looks at all numbers of a data point side by side."""

    def forward(self, x: Tensor) -> Any:
        """What the inner module makes of it."""
        return super().forward(x.flatten(1))


DATA, GIVEN, STD = (2, 2), (1, 4), 0.75


def log_likelihood(decoded: Tensor, target: Tensor) -> Tensor:
    """log N(target; decoded, STD² I) of each data point."""
    return Normal(decoded, STD).log_prob(target.flatten(1)).sum(dim=1)


def gauss_hermite(count: int = 4) -> tuple[Tensor, Tensor]:
    """Nodes and weights for expectations under N(0, 1), exact for the quadratic functions that are averaged here."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return torch.from_numpy(nodes).float(), torch.from_numpy(weights / weights.sum()).float()


@dataclass(frozen=True)
class World:
    """A conditional VAE of affine maps, and data for it."""

    encoder: Joined
    prior: Flat
    decoder: Joined
    target: Tensor
    condition: Tensor

    @classmethod
    def build(cls, seed: torch.Generator, latent: int = 1, batch: int = 2) -> "World":
        """A world with drawn weights."""
        data, given_ = math.prod(DATA), math.prod(GIVEN)
        encoder = Joined(Parallel(nn.Linear(data + given_, latent), nn.Linear(data + given_, latent)))
        prior = Flat(Parallel(nn.Linear(given_, latent), nn.Linear(given_, latent)))
        decoder = Joined(nn.Linear(latent + given_, data))
        for network in (encoder, prior, decoder):
            redraw(network, seed, scale=0.4)
        return cls(encoder, prior, decoder, noise((batch, *DATA), seed), noise((batch, *GIVEN), seed))

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """All of them, by the names of network and parameter."""
        networks = {"the encoder": self.encoder, "the prior": self.prior, "the decoder": self.decoder}
        return {
            f"{name} ({part})": parameter
            for name, network in networks.items()
            for part, parameter in network.named_parameters()
        }

    def ask(self, student: Any, noise: Tensor, repeat: int = 1, **changes: Any) -> Tensor:
        """The student's bounds, every data point so many times in turn."""
        given_ = [x.repeat(repeat, *[1] * (x.ndim - 1)) for x in (self.target, self.condition)]
        parts = {"encoder": self.encoder, "prior": self.prior, "decoder": self.decoder} | changes
        return student.conditional_elbo(
            *given_, *parts.values(), noise, log_likelihood=log_likelihood, kl=reference.kl_to_prior
        )

    def mean(self, student: Any, **changes: Any) -> Tensor:
        """The student's bound of each data point for one latent dimension, averaged over the noise by quadrature."""
        nodes, weights = gauss_hermite()
        batch = len(self.target)
        bounds = self.ask(student, nodes.repeat_interleave(batch).unsqueeze(1), len(nodes), **changes)
        assert_shape(bounds, (len(nodes) * batch,), what="the bound")
        return weights @ bounds.view(len(nodes), batch)

    def bound(self) -> Tensor:
        """∫ q(z) (log p(x|z, c) + log p(z|c) − log q(z)) dz of each data point, by quadrature."""
        (mu, logvar), (prior_mu, prior_logvar) = self.encoder(self.target, self.condition), self.prior(self.condition)
        q, p = Normal(mu, (logvar / 2).exp()), Normal(prior_mu, (prior_logvar / 2).exp())
        total = torch.zeros(len(mu))
        for node, share in zip(*gauss_hermite(), strict=True):
            z = q.mean + q.stddev * node
            log_p = log_likelihood(self.decoder(z, self.condition), self.target)
            total = total + share * (log_p + (p.log_prob(z) - q.log_prob(z)).sum(dim=1))
        return total


@st.composite
def conditional_calls(draw: st.DrawFn) -> Call:
    """Arguments of `conditional_elbo`, with functions that work in the dtype of their input."""
    batch, latent = draw(sizes()), draw(sizes())
    target, condition = draw(eighths(batch, *DATA)), draw(eighths(batch, *GIVEN))

    def encoder(target: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        return target.flatten(1)[:, :1].repeat(1, latent), condition.flatten(1)[:, :1].repeat(1, latent)

    def prior(condition: Tensor) -> tuple[Tensor, Tensor]:
        return condition.flatten(1)[:, :1].repeat(1, latent), condition.flatten(1)[:, 1:2].repeat(1, latent)

    def decoder(z: Tensor, condition: Tensor) -> Tensor:
        return z.sum(dim=1, keepdim=True) + condition.flatten(1)[:, :1].repeat(1, 4)

    options = {"log_likelihood": log_likelihood, "kl": reference.kl_to_prior}
    return (target, condition, encoder, prior, decoder, draw(eighths(batch, latent))), options


@exercise("conditional_elbo", contract=conditional_calls())
class TestConditionalElbo:
    @required
    @given(seed=generators())
    @settings(max_examples=4)
    def test_rewards_a_decoder_that_is_right(self, student: Any, seed: torch.Generator) -> None:
        """A decoder that tells the target earns a higher bound than one that tells its opposite, and can learn it."""
        world = World.build(seed)
        world.target.copy_(world.target[:1] + world.target[:1].sign())
        inner = world.decoder.inner
        assert isinstance(inner, nn.Linear)
        bounds = []
        for direction in (1, -1):
            with torch.no_grad():
                inner.weight.zero_()
                inner.bias.copy_(direction * world.target[0].flatten())
            bounds.append(world.ask(student, noise((2, 1), seed)))
        assert_depends(bounds[1], inner.bias, what="the bound", on_what="the decoder's weights")
        if not bounds[0].sum() > bounds[1].sum():
            fail(f"The right decoder gets {describe(bounds[0])}, the wrong one {describe(bounds[1])}.")

    @weight(3)
    @given(seed=generators())
    @settings(max_examples=5)
    def test_equals_the_integral(self, student: Any, seed: torch.Generator) -> None:
        """Averaged over the noise it is the integral of q(z) (log p(x|z, c) + log p(z|c) − log q(z))."""
        world = World.build(seed)
        with torch.no_grad():
            expected, received = world.bound(), world.mean(student)
        assert_close(received, expected, tolerance=1e-3, what="the mean of the bound over the noise")

    @weight(4)
    @given(seed=generators())
    @settings(max_examples=3)
    def test_gradients_reach_all_networks(self, student: Any, seed: torch.Generator) -> None:
        """Its gradients for the weights of encoder, prior and decoder are those of the integral."""
        world = World.build(seed)
        parameters = world.parameters
        expected = torch.autograd.grad(world.bound().sum(), list(parameters.values()))
        received = gradients(world.mean(student), list(parameters.values()))
        for name, got, wanted in zip(parameters, received, expected, strict=True):
            assert_close(got, wanted, tolerance=1e-3, what=f"the gradient for {name}")

    @given(seed=generators())
    @settings(max_examples=3)
    def test_is_tight_at_the_true_posterior(self, student: Any, seed: torch.Generator) -> None:
        """With the true posterior of an affine Gaussian world as its encoder its mean is log p(x|c), known in closed form."""
        world = World.build(seed)
        inner = world.decoder.inner
        assert isinstance(inner, nn.Linear)
        slope = inner.weight.detach()[:, 0]

        def posterior(target: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
            mu, logvar = world.prior(condition)
            precision = (-logvar).exp() + slope.square().sum() / STD**2
            rest = target.flatten(1) - world.decoder(torch.zeros(len(target), 1), condition)
            return (mu * (-logvar).exp() + (rest @ slope / STD**2).unsqueeze(1)) / precision, -precision.log()

        with torch.no_grad():
            mu, logvar = (part.double() for part in world.prior(world.condition))
            centre = world.decoder(mu.float(), world.condition).double()
            spread = STD**2 * torch.eye(4).double() + logvar.exp().unsqueeze(2) * torch.outer(slope, slope).double()
            evidence = MultivariateNormal(centre, spread).log_prob(world.target.flatten(1).double()).float()
            received = world.mean(student, encoder=posterior)
        assert_close(received, evidence, tolerance=1e-3, what="the mean bound at the true posterior")

    @weight(2)
    @given(seed=generators())
    @settings(max_examples=3)
    def test_the_code_moves_with_the_noise(self, student: Any, seed: torch.Generator) -> None:
        """The decoder is shown μ + σ ε, with μ and σ from the encoder, beside the condition, and never the target."""
        world = World.build(seed, latent=3)
        shown: list[tuple[Tensor, Tensor]] = []

        def decoder(z: Tensor, condition: Tensor) -> Tensor:
            shown.append((z.detach().clone(), condition.detach().clone()))
            return z.sum(dim=1, keepdim=True).repeat(1, 4)

        eps = noise((2, 3), seed)
        with torch.no_grad():
            world.ask(student, eps, decoder=decoder)
            mu, logvar = world.encoder(world.target, world.condition)
        if not shown:
            fail("The decoder was never called.")
        expected = Normal(mu, (logvar / 2).exp()).icdf(Normal(0.0, 1.0).cdf(eps))
        assert_close(torch.cat([z for z, _ in shown]), expected, tolerance=1e-3, what="the code that the decoder gets")
        got = torch.cat([condition for _, condition in shown])
        assert_close(got, world.condition, what="the condition that the decoder gets")

    @given(seed=generators())
    @settings(max_examples=2)
    def test_each_data_point_by_itself(self, student: Any, seed: torch.Generator) -> None:
        """Each data point of a batch gets its own value, the others do not change it."""
        world = World.build(seed, latent=2, batch=3)

        def bound(target: Tensor, condition: Tensor, eps: Tensor) -> Tensor:
            parts = (world.encoder, world.prior, world.decoder, eps)
            options = {"log_likelihood": log_likelihood, "kl": reference.kl_to_prior}
            return student.conditional_elbo(target, condition, *parts, **options)

        assert_rows_apart(bound, world.target, world.condition, noise((3, 2), seed), what="the bound")


@st.composite
def picks(draw: st.DrawFn, *, least: int = 2) -> tuple[Tensor, Tensor]:
    """Arguments of `pick_frames`."""
    batch, channels, time, height, width = (draw(sizes(low, 4)) for low in (2, 1, 3, 1, 1))
    frames = draw(sizes(least, 4))
    return draw(eighths(batch, channels, time, height, width)), draw(ids(batch, frames, high=time - 1))


@exercise("pick_frames", contract=picks(least=1).map(lambda call: (call, {})))
class TestPickFrames:
    @required
    @given(seed=generators(), time=st.integers(0, 3))
    @settings(max_examples=4)
    def test_one_frame_of_each_clip(self, student: Any, seed: torch.Generator, time: int) -> None:
        """Of each clip the frame that is asked for is taken, if it is one and the same for all, and gradients flow to it."""
        videos = noise((3, 2, 4, 2, 3), seed).requires_grad_()
        received = student.pick_frames(videos, torch.full((3, 1), time))
        assert_close(received, videos.detach()[:, :, time], what="the images")
        assert_depends(received, videos, what="the images", on_what="the clips")

    @weight(4)
    @given(call=picks())
    @settings(max_examples=8)
    def test_one_by_one(self, student: Any, call: tuple[Tensor, Tensor]) -> None:
        """Row b · frames + i is the frame times[b, i] of clip b."""
        videos, times = call
        rows = [videos[clip, :, time] for clip, row in enumerate(times.tolist()) for time in row]
        names = dict(zip(("batch", "channels", "time", "height", "width"), videos.shape, strict=True))
        received = student.pick_frames(videos, times)
        assert_close(received, torch.stack(rows), what="the images", sizes=names | {"frames": times.shape[1]})

    @given(seed=generators(), size=dimensions("batch channels time", low=2, high=4))
    @settings(max_examples=3)
    def test_whole_clips(self, student: Any, seed: torch.Generator, size: dict[str, int]) -> None:
        """With all times in order the images of a clip, put together again, are the clip."""
        videos = noise((*size.values(), 2, 3), seed)
        times = torch.arange(size["time"]).expand(size["batch"], -1)
        images = student.pick_frames(videos, times)
        assert_shape(images, (size["batch"] * size["time"], size["channels"], 2, 3), what="the images")
        again = torch.stack([torch.stack(list(clip), dim=1) for clip in images.split(size["time"])])
        assert_close(again, videos, what="the clips put together again")

    @weight(2)
    @given(call=picks())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, call: tuple[Tensor, Tensor]) -> None:
        """A frame gets the gradients of all images that were taken from it: none if it was not taken, twice if twice."""
        videos, times = call
        videos.requires_grad_()
        (gradient,) = gradients(student.pick_frames(videos, times), [videos])
        taken = Counter((clip, time) for clip, row in enumerate(times.tolist()) for time in row)
        expected = torch.zeros_like(gradient)
        for (clip, time), count in taken.items():
            expected[clip, :, time] = count
        assert_close(gradient, expected, what="the gradient of the sum of all images")


@dataclass(frozen=True)
class Scores:
    """What two critics say: real frames, generated ones, real clips, generated ones."""

    parts: tuple[Tensor, Tensor, Tensor, Tensor]

    def ask(self, student: Any, *options: float) -> tuple[Tensor, Tensor]:
        """The two losses of a student; fails unless they are two scalars."""
        pair = pair_of(student.video_gan_losses(*self.parts, *options), "critics' loss, generator's loss")
        for value, name in zip(pair, ("critics'", "generator's"), strict=True):
            assert_shape(value, (), what=f"the {name} loss")
        return pair

    @property
    def sizes(self) -> dict[str, int]:
        """How many of each there are."""
        names = ("real_frames", "fake_frames", "real_clips", "fake_clips")
        return dict(zip(names, map(len, self.parts), strict=True))


@st.composite
def scores(draw: st.DrawFn, *, reach: float = 3) -> Scores:
    """Scores of batches of different sizes, none of them where the hinge has its kink."""
    counts = draw(st.permutations([2, 3, 4, 5]))
    return Scores(tuple(draw(eighths(count, low=-reach, high=reach - 0.0625)) + 0.0625 for count in counts))  # type: ignore[arg-type]


@exercise("video_gan_losses")
class TestVideoGanLosses:
    @required
    @given(said=scores(reach=0.5), frame_weight=st.sampled_from([0.5, 2.0]))
    @settings(max_examples=4)
    def test_who_wants_what(self, student: Any, said: Scores, frame_weight: float) -> None:
        """Within the margin both critics want higher scores for what is real and lower ones for the rest; the generator not."""
        for part in said.parts:
            part.requires_grad_()
        critics, generator = said.ask(student, frame_weight)
        for part, name in zip(said.parts, said.sizes, strict=True):
            assert_depends(critics, part, what="the critics' loss", on_what=name)
            slope = gradients(critics, [part])[0] * (1 if name.startswith("fake") else -1)
            assert_between(slope, 1e-4, tolerance=0, what=f"the slope of the critics' loss in its {name}")
            if name.startswith("fake"):
                assert_depends(generator, part, what="the generator's loss", on_what=name)
                slope = gradients(generator, [part])[0]
                assert_between(slope, None, -1e-4, tolerance=0, what=f"the slope of the generator's loss in {name}")

    @weight(4)
    @given(said=scores(), frame_weight=st.sampled_from([0.25, 0.5, 2.0, 3.0]))
    @settings(max_examples=10)
    def test_equals_torchs_hinge(self, student: Any, said: Scores, frame_weight: float) -> None:
        """The critics' loss is made of torch's HingeEmbeddingLoss, the generator's of plain means, frames being weighted."""
        real_frames, fake_frames, real_clips, fake_clips = said.parts

        def hinge(real: Tensor, fake: Tensor) -> Tensor:
            away = nn.HingeEmbeddingLoss(margin=1.0)
            return away(real, torch.full_like(real, -1)) + away(-fake, torch.full_like(fake, -1))

        critics = frame_weight * hinge(real_frames, fake_frames) + hinge(real_clips, fake_clips)
        generator = -(
            frame_weight * math.fsum(fake_frames) / len(fake_frames) + math.fsum(fake_clips) / len(fake_clips)
        )
        received = said.ask(student, frame_weight)
        assert_close(received[0], critics, tolerance=1e-4, what="the critics' loss", sizes=said.sizes)
        assert_close(
            received[1], torch.tensor(generator), tolerance=1e-4, what="the generator's loss", sizes=said.sizes
        )

    @given(said=scores())
    @settings(max_examples=3)
    def test_frames_count_once_by_default(self, student: Any, said: Scores) -> None:
        """Without a weight frames count as much as clips: with the two critics exchanged both losses stay."""
        other = Scores((*said.parts[2:], *said.parts[:2]))
        for received, expected, name in zip(
            other.ask(student), said.ask(student), ("critics'", "generator's"), strict=True
        ):
            assert_close(received, expected, tolerance=1e-4, what=f"the {name} loss with frames and clips exchanged")

    @weight(3)
    @given(frame_weight=st.sampled_from([0.5, 2.0]), size=st.sampled_from([2.0, 50.0]))
    @settings(max_examples=4)
    def test_where_nothing_is_to_be_learnt(self, student: Any, frame_weight: float, size: float) -> None:
        """Beyond the margin the critics have nothing to learn; the generator goes on learning, wherever the scores are."""
        said = Scores(tuple(sign * torch.full((count,), size) for sign, count in ((1, 3), (-1, 2), (1, 2), (-1, 4))))  # type: ignore[arg-type]
        for part in said.parts:
            part.requires_grad_()
        critics, generator = said.ask(student, frame_weight)
        assert_close(critics, 0.0, what="the loss of critics that are sure and right")
        slopes = gradients(generator, [said.parts[1], said.parts[3]])
        for slope, count, share, name in zip(slopes, (2, 4), (frame_weight, 1.0), ("frames", "clips"), strict=True):
            wanted = torch.full((count,), -share / count)
            assert_close(slope, wanted, what=f"the generator's gradient for the scores of generated {name}")

    @weight(2)
    @given(said=scores(), again=st.integers(0, 3))
    @settings(max_examples=4)
    def test_more_of_the_same(self, student: Any, said: Scores, again: int) -> None:
        """Scores of one kind given twice change nothing: each of the means is over its own scores."""
        doubled = Scores(tuple(part.repeat(2) if i == again else part for i, part in enumerate(said.parts)))  # type: ignore[arg-type]
        for received, expected, name in zip(
            doubled.ask(student, 0.5), said.ask(student, 0.5), ("critics'", "generator's"), strict=True
        ):
            assert_close(received, expected, tolerance=1e-4, what=f"the {name} loss with some scores given again")


# ---- a layer for clips


def load_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a student's layer its weights, under the names and with the shapes that its docstring promises."""
    own = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    wanted = {name: tuple(value.shape) for name, value in weights.items()}
    if own != wanted:
        fail(f"The parameters should be {wanted}.", f"They are {own}.")
    with torch.no_grad():
        for name, value in weights.items():
            module.get_parameter(name).copy_(value)


@dataclass(frozen=True)
class Layer:
    """A causal convolution."""

    inputs: int
    outputs: int
    kernel: tuple[int, int, int]
    stride: tuple[int, int, int] = (1, 1, 1)

    def build(self, student: Any, seed: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        """A student's layer with weights that are drawn, and these; no weight is near 0."""
        options = {} if self.stride == (1, 1, 1) else {"stride": self.stride}
        layer = student.CausalConv3d(self.inputs, self.outputs, self.kernel, **options)
        weights = {
            "weight": noise((self.outputs, self.inputs, *self.kernel), seed),
            "bias": noise((self.outputs,), seed),
        }
        weights["weight"] += 0.1 * weights["weight"].sign()
        load_weights(layer, weights)
        return layer, weights

    def by_frames(self, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
        """What it makes of clips, frame by frame, as sums of convolutions of images."""
        frames, rows, columns = self.kernel
        out = []
        for now in range(0, x.shape[2], self.stride[0]):
            total = weights["bias"].view(1, -1, 1, 1)
            for i in range(frames):
                then = max(0, now - (frames - 1 - i))
                total = total + F.conv2d(x[:, :, then], weights["weight"][:, :, i], padding=(rows // 2, columns // 2))
            out.append(total[:, :, :: self.stride[1], :: self.stride[2]])
        return torch.stack(out, dim=2)


@st.composite
def layers(draw: st.DrawFn, *, strides: Sequence[tuple[int, int, int]] = ((1, 1, 1),)) -> Layer:
    """Layers that look back at least one frame."""
    kernel = (draw(st.sampled_from([3, 2, 4])), draw(st.sampled_from([3, 1, 5])), draw(st.sampled_from([3, 1, 5])))
    return Layer(draw(sizes(1, 3)), draw(sizes(1, 3)), kernel, draw(st.sampled_from(strides)))


@exercise("CausalConv3d", contract=False)
class TestCausalConv3d:
    @required
    @given(seed=generators())
    @settings(max_examples=2)
    def test_looks_at_what_was(self, student: Any, seed: torch.Generator) -> None:
        """The output is as large as the input, and depends on the frame before, and on the weights."""
        layer, _ = Layer(2, 3, (3, 3, 3)).build(student, seed)
        x = noise((2, 2, 5, 4, 6), seed).requires_grad_()
        out = layer(x)
        assert_shape(out, (2, 3, 5, 4, 6), what="the output")
        assert_parameters_matter(out, layer, what="the output")
        (gradient,) = gradients(out[0, :, 3], [x])
        if not gradient[0, :, 2].any():
            fail("The output at frame 3 does not depend on the input at frame 2.")

    @weight(4)
    @given(layer=layers(), time=sizes(1, 5), seed=generators())
    @settings(max_examples=8)
    def test_frame_by_frame(self, student: Any, layer: Layer, time: int, seed: torch.Generator) -> None:
        """Each frame of the output is a sum of convolutions of frames so far, the first frame standing for those before it."""
        convolution, weights = layer.build(student, seed)
        x = noise((2, layer.inputs, time, 4, 3), seed)
        with torch.no_grad():
            received = convolution(x)
        names = {"time": time, "frames of the kernel": layer.kernel[0]}
        assert_close(received, layer.by_frames(x, weights), tolerance=1e-4, what="the output", sizes=names)

    @weight(3)
    @given(layer=layers(), now=st.integers(0, 5), seed=generators())
    @settings(max_examples=5)
    def test_what_a_frame_sees(self, student: Any, layer: Layer, now: int, seed: torch.Generator) -> None:
        """Its Jacobian is zero for all later frames, and for all that are further back than the kernel reaches."""
        convolution, weights = layer.build(student, seed)
        x = noise((1, layer.inputs, 6, 3, 3), seed).requires_grad_()
        out = convolution(x)
        assert_shape(out, (1, layer.outputs, 6, 3, 3), what="the output")
        along = torch.rand(out[0, :, now].shape, generator=seed) + 0.5
        (gradient,) = gradients(out[0, :, now], [x], along)
        found = gradient[0].abs().sum(dim=(0, 2, 3)) > 0
        frames = torch.arange(6)
        seen = (now - layer.kernel[0] < frames) & (frames <= now)
        assert_close(found, seen, what=f"on which frames of the input the output at frame {now} depends")
        (wanted,) = gradients(layer.by_frames(x, weights)[0, :, now], [x], along)
        assert_close(gradient, wanted, tolerance=1e-3, what=f"the gradient of frame {now} with respect to the input")

    @weight(6)
    @given(
        layer=layers(strides=[(2, 2, 2), (1, 2, 2), (2, 1, 1), (3, 1, 2)]), extra=st.integers(0, 1), seed=generators()
    )
    @settings(max_examples=6)
    def test_strides(self, student: Any, layer: Layer, extra: int, seed: torch.Generator) -> None:
        """With strides the first of each so many frames, rows and columns remain, and a size n becomes ⌈n / stride⌉."""
        convolution, weights = layer.build(student, seed)
        x = noise((2, layer.inputs, 4 + extra, 4 + extra, 5 - extra), seed)
        expected = layer.by_frames(x, weights)
        assert expected.shape[2:] == tuple(math.ceil(n / s) for n, s in zip(x.shape[2:], layer.stride, strict=True))
        with torch.no_grad():
            received = convolution(x)
        names = dict(zip(("stride in time", "stride in height", "stride in width"), layer.stride, strict=True))
        assert_close(received, expected, tolerance=1e-4, what="the output", sizes=names)

    @weight(2)
    @given(layer=layers(), seed=generators())
    @settings(max_examples=3)
    def test_still_scenes_stay_still(self, student: Any, layer: Layer, seed: torch.Generator) -> None:
        """What stands still in the input stands still in the output, from the first frame on."""
        convolution, _ = layer.build(student, seed)
        with torch.no_grad():
            out = convolution(noise((1, layer.inputs, 1, 4, 3), seed).expand(-1, -1, 4, -1, -1))
        assert_shape(out, (1, layer.outputs, 4, 4, 3), what="the output")
        assert_close(out[:, :, 1:], out[:, :, :1].expand(-1, -1, 3, -1, -1), tolerance=1e-4, what="the output later on")

    @given(shape=st.sampled_from([(4, 3, 5), (2, 1, 3)]))
    @settings(max_examples=2)
    def test_begins_like_a_convolution(self, student: Any, shape: tuple[int, int, int]) -> None:
        """Its weights begin within ±1/√(number of inputs to an output), like those of nn.Conv3d, and are not all alike."""
        layer = student.CausalConv3d(6, 20, shape)
        bound = (6 * math.prod(shape)) ** -0.5
        parameters = dict(layer.named_parameters())
        wanted = {"weight": (20, 6, *shape), "bias": (20,)}
        if (own := {name: tuple(value.shape) for name, value in parameters.items()}) != wanted:
            fail(f"The parameters should be {wanted}.", f"They are {own}.")
        for name, parameter in parameters.items():
            assert_between(parameter, -bound, bound, what=f"the fresh `{name}`")
            # |w| is uniform on [0, bound], with a variance of bound²/12: six standard errors.
            mean, room = parameter.detach().abs().mean().item() / bound, 6 * (12 * parameter.numel()) ** -0.5
            assert_between(
                mean, 0.5 - room, 0.5 + room, what=f"the mean size of the fresh `{name}`, in units of its bound,"
            )

    @given(even=st.sampled_from([(3, 2, 3), (1, 3, 4), (3, 4, 2)]))
    @settings(max_examples=3)
    def test_refuses_even_kernels(self, student: Any, even: tuple[int, int, int]) -> None:
        """A ValueError is raised if the kernel's rows or columns are even."""
        with pytest.raises(ValueError):
            student.CausalConv3d(2, 2, even)


# ---- attention along lines


AXES = ("time", "height", "width")


@dataclass(frozen=True)
class Lines:
    """What axial attention is given; `mask` may be None."""

    query: Tensor
    key: Tensor
    value: Tensor
    axis: str
    mask: Tensor | None

    @property
    def sides(self) -> tuple[int, ...]:
        """Time, height and width."""
        return tuple(self.value.shape[1:4])

    @property
    def length(self) -> int:
        """Of a line."""
        return self.sides[AXES.index(self.axis)]

    def allowed(self) -> Tensor:
        """Which place may look at which, all places of a clip being written one after the other."""
        places = torch.cartesian_prod(*map(torch.arange, self.sides))
        along = AXES.index(self.axis)
        other = [i for i in range(3) if i != along]
        same = (places[:, None, other] == places[None, :, other]).all(2)
        if self.mask is None:
            return same
        return same & self.mask[places[:, None, along], places[None, :, along]]

    def in_full(self) -> Tensor:
        """What torch's attention among all places makes of it, with all other lines masked out."""
        query, key, value = (part.flatten(1, 3) for part in (self.query, self.key, self.value))
        return F.scaled_dot_product_attention(query, key, value, attn_mask=self.allowed()).unflatten(1, self.sides)

    def ask(self, student: Any) -> Tensor:
        """What a student makes of it."""
        options = () if self.mask is None else (self.mask,)
        received = student.axial_attention(self.query, self.key, self.value, self.axis, *options)
        assert_shape(received, tuple(self.value.shape))
        return received


@st.composite
def lines(draw: st.DrawFn, *, masked: bool, d_key: st.SearchStrategy[int] | None = None) -> Lines:
    """Clips with three different sides; the mask has a True in every row, and is not symmetric."""
    sides, axis = draw(st.permutations([2, 3, 4])), draw(st.sampled_from(AXES))
    features, outputs = draw(sizes(2, 5) if d_key is None else d_key), draw(sizes(1, 3))
    seed = draw(generators())
    query, key, value = (noise((2, *sides, width), seed) for width in (features, features, outputs))
    length = sides[AXES.index(axis)]
    mask = None
    if masked:
        mask = (torch.rand(length, length, generator=seed) < 0.5) | torch.eye(length).roll(1, 0).bool()
        mask[0, 0], mask[0, 1], mask[1, 0] = True, False, True
    return Lines(1.5 * query, key, value, axis, mask)


@exercise("axial_attention")
class TestAxialAttention:
    @required
    @given(axis=st.sampled_from(AXES), seed=generators())
    @settings(max_examples=4)
    def test_looks_where_query_and_key_agree(self, student: Any, axis: str, seed: torch.Generator) -> None:
        """A query that agrees with one key of its line alone gets the value of that key, and a gradient flows back to it."""
        dim, length = AXES.index(axis) + 1, 3
        line = torch.eye(length).view(*(length if i == dim - 1 else 1 for i in range(3)), length)
        key = 8 * line.expand(2, 3, 3, 3, length)
        value = noise((2, 3, 3, 3, 2), seed).requires_grad_()
        received = student.axial_attention(key.roll(1, dim), key, value, axis)
        assert_depends(received, value, on_what="the values")
        assert_close(received, value.detach().roll(1, dim), tolerance=1e-4, what="what each place gathered")

    @weight(3)
    @given(given_=lines(masked=False))
    @settings(max_examples=6)
    def test_equals_full_attention_within_lines(self, student: Any, given_: Lines) -> None:
        """It is torch's attention among all places of a clip, if none may look at another line."""
        names = dict(zip(("batch", *AXES, "d_key"), given_.query.shape, strict=True))
        hint = f"this is about lines along the {given_.axis}."
        assert_close(
            given_.ask(student),
            given_.in_full(),
            tolerance=1e-4,
            what="what each place gathered",
            hint=hint,
            sizes=names,
        )

    @weight(4)
    @given(given_=lines(masked=True))
    @settings(max_examples=6)
    def test_masks(self, student: Any, given_: Lines) -> None:
        """With a mask the i-th place of a line looks at the j-th only where mask[i, j] is True."""
        received = given_.ask(student)
        assert_close(received, given_.in_full(), tolerance=1e-4, what="what each place gathered")

    @weight(2)
    @given(given_=lines(masked=True), place=st.integers(0, 23), seed=generators())
    @settings(max_examples=5)
    def test_what_a_place_sees(self, student: Any, given_: Lines, place: int, seed: torch.Generator) -> None:
        """A place depends on the values that it may look at, in its own line and its own clip, and on no others."""
        value = given_.value.clone().requires_grad_()
        received = Lines(given_.query, given_.key, value, given_.axis, given_.mask).ask(student)
        (gradient,) = gradients(received.flatten(1, 3)[1, place], [value])
        found = gradient.abs().sum(dim=4).flatten(1) > 0
        expected = torch.stack([torch.zeros(24, dtype=torch.bool), given_.allowed()[place]])
        what = f"on which values place {place} of clip 1 depends"
        assert_close(found.view(2, *given_.sides), expected.view(2, *given_.sides), what=what)

    @weight(2)
    @given(given_=lines(masked=True), seed=generators())
    @settings(max_examples=4)
    def test_gradients(self, student: Any, given_: Lines, seed: torch.Generator) -> None:
        """Its gradients with respect to queries, keys and values are those of torch's attention."""
        parts = [part.requires_grad_() for part in (given_.query, given_.key, given_.value)]
        along = noise(given_.value.shape, seed)
        found, wanted = (gradients(result, parts, along) for result in (given_.ask(student), given_.in_full()))
        for name, got, expected in zip(("queries", "keys", "values"), found, wanted, strict=True):
            assert_close(got, expected, tolerance=1e-3, what=f"the gradient with respect to the {name}")

    @weight(4)
    @given(axis=st.sampled_from(AXES), size=st.sampled_from([10.0, 100.0]), seed=generators())
    @settings(max_examples=4)
    def test_a_mask_is_stronger_than_any_score(
        self, student: Any, axis: str, size: float, seed: torch.Generator
    ) -> None:
        """A key that is masked out gets nothing, even if it scores 10⁴ and all others as far below 0; all stays finite."""
        sides = [2, 2, 2]
        sides[AXES.index(axis)] = 3
        line = torch.tensor([size, -size, -size]).view(*(3 if side == 3 else 1 for side in sides), 1)
        key, value = line.expand(1, *sides, 1), noise((1, *sides, 2), seed)
        mask = torch.tensor([[False, True, True]]).expand(3, 3)
        received = student.axial_attention(torch.full((1, *sides, 1), size), key, value, axis, mask)
        dim = AXES.index(axis) + 1
        expected = value.narrow(dim, 1, 2).mean(dim, keepdim=True).expand(1, *sides, 2).contiguous()
        assert_close(received, expected, tolerance=1e-3, what="what each place gathered")


# ---- discrete codes


@st.composite
def codings(draw: st.DrawFn, *, codes: int = 6) -> tuple[Tensor, Tensor]:
    """Vectors at places of one, two or no dimensions beside the first, and a codebook; none is equally near to two codes."""
    places = draw(st.sampled_from([(4,), (2, 3), (2, 1, 3)]))
    dim = draw(sizes(2, 4))
    seed = draw(generators())
    codebook = noise((codes, dim), seed) * torch.linspace(0.5, 2.5, codes).unsqueeze(1)
    z = noise((*places, dim), seed) * 1.5
    nearest = torch.tensor(sorted(squares(z.view(-1, dim), codebook).sort(1).values[:, :2].diff().flatten().tolist()))
    while nearest[0] < 1e-3:
        z = z + 0.37
        nearest = squares(z.view(-1, dim), codebook).sort(1).values[:, :2].diff().flatten().sort().values
    return z, codebook


def squares(z: Tensor, codebook: Tensor) -> Tensor:
    """All squared distances (positions, codes), in double precision."""
    return (z.double().unsqueeze(1) - codebook.double()).square().sum(2)


@exercise("vector_quantize")
class TestVectorQuantize:
    @required
    @given(order=st.permutations(range(5)), seed=generators())
    @settings(max_examples=4)
    def test_finds_codes_again(self, student: Any, order: list[int], seed: torch.Generator) -> None:
        """Vectors that lie close to codes become these codes, and gradients flow back."""
        codebook = 4 * torch.eye(5)[:, :4] + 1
        z = (codebook[order] + 0.1 * noise((5, 4), seed).clamp(-2, 2)).requires_grad_()
        quantized, indices = pair_of(student.vector_quantize(z, codebook.clone().requires_grad_()), "vectors, numbers")
        assert_close(indices, torch.tensor(order), what="the numbers of the codes")
        assert_close(quantized, codebook[order], tolerance=1e-4, what="the quantised vectors")
        if not quantized.requires_grad:
            fail("No gradient flows back through the quantised vectors.")

    @weight(4)
    @given(call=codings())
    @settings(max_examples=10)
    def test_equals_scipys(self, student: Any, call: tuple[Tensor, Tensor]) -> None:
        """Each vector gets the code that scipy.cluster.vq finds nearest to it, whatever the positions are arranged like."""
        z, codebook = call
        expected = torch.from_numpy(vq(z.view(-1, z.shape[-1]).numpy(), codebook.numpy())[0]).long().view(z.shape[:-1])
        quantized, indices = pair_of(student.vector_quantize(z, codebook), "vectors, numbers")
        assert_close(indices, expected, what="the numbers of the codes")
        assert_close(quantized, codebook[expected], tolerance=1e-4, what="the quantised vectors")

    @weight(5)
    @given(call=codings())
    @settings(max_examples=6)
    def test_gradients_pass_unchanged(self, student: Any, call: tuple[Tensor, Tensor]) -> None:
        """What arrives at a quantised vector arrives, the same, at the vector that it replaces, and nowhere else."""
        z, codebook = (part.requires_grad_() for part in call)
        quantized, _ = pair_of(student.vector_quantize(z, codebook), "vectors, numbers")
        assert_shape(quantized, tuple(z.shape), what="the quantised vectors")
        # A loss that is not linear: its gradient is that at the codes, not at the vectors.
        by_z, by_codebook = gradients(quantized.pow(3), [z, codebook])
        nearest = codebook.detach()[squares(z.view(-1, z.shape[-1]), codebook).argmin(1)].view(z.shape)
        assert_close(by_z, 3 * nearest.square(), tolerance=1e-3, what="the gradient with respect to z")
        assert_close(by_codebook, torch.zeros_like(codebook), what="the gradient with respect to the codebook")

    @weight(2)
    @given(codebook=ids(5, 2, high=2), again=st.permutations(range(10)))
    @settings(max_examples=6)
    def test_the_first_of_equals(self, student: Any, codebook: Tensor, again: list[int]) -> None:
        """Of several codes that are equally near the first is taken: of equal ones, and of ones on both sides."""
        double = codebook.repeat(2, 1)[again].float()
        middle = torch.stack([(a + b) / 2 for a, b in itertools.combinations(double, 2)])
        exact = squares(middle, double)  # quarters of whole numbers
        expected = torch.tensor([row.index(min(row)) for row in exact.tolist()])
        quantized, indices = pair_of(student.vector_quantize(middle, double), "vectors, numbers")
        assert_close(indices, expected, what="the numbers of the codes")
        assert_close(quantized, double[expected], what="the quantised vectors")

    @given(call=codings())
    @settings(max_examples=3)
    def test_once_is_enough(self, student: Any, call: tuple[Tensor, Tensor]) -> None:
        """What is quantised once more stays as it is."""
        z, codebook = call
        once, indices = pair_of(student.vector_quantize(z, codebook), "vectors, numbers")
        twice, again = pair_of(student.vector_quantize(once, codebook), "vectors, numbers")
        assert_close(again, indices, what="the numbers of the codes of codes")
        assert_close(twice, once, tolerance=1e-4, what="the codes of codes")
        assert_between((once - z).abs().max(), 1e-3, tolerance=0, what="how far the vectors were moved")


@st.composite
def matches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Vectors, and the codes that they are near to."""
    places = draw(st.sampled_from([(4,), (2, 3), (2, 1, 3)]))
    dim, seed = draw(sizes(2, 4)), draw(generators())
    return noise((*places, dim), seed), noise((*places, dim), seed)


BETAS = st.sampled_from([0.5, 2.0, 3.0])


@exercise("vq_loss")
class TestVqLoss:
    @required
    @given(call=matches(), beta=BETAS)
    @settings(max_examples=5)
    def test_draws_the_two_together(self, student: Any, call: tuple[Tensor, Tensor], beta: float) -> None:
        """It is 0 where vectors lie on their codes and grows with the distance; its gradients draw each to the other."""
        z, nearest = (part.requires_grad_() for part in call)
        loss = student.vq_loss(z, nearest, beta)
        assert_shape(loss, (), what="the loss")
        assert_close(
            student.vq_loss(z, z.detach().clone(), beta), 0.0, what="the loss where vectors lie on their codes"
        )
        assert_between(loss, 1e-3, tolerance=0, what="the loss where they do not")
        away = (z - nearest).detach()
        for part, direction, name in ((z, away, "z"), (nearest, -away, "nearest")):
            assert_depends(loss, part, what="the loss", on_what=name)
            (slope,) = gradients(loss, [part])
            assert_between(slope * direction, 0, what=f"the slope of the loss as {name} moves away")

    @weight(3)
    @given(call=matches(), beta=BETAS)
    @settings(max_examples=6)
    def test_by_hand(self, student: Any, call: tuple[Tensor, Tensor], beta: float) -> None:
        """It is 1 + β times the squared distance, averaged over all positions."""
        z, nearest = call
        rows = zip(z.view(-1, z.shape[-1]).tolist(), nearest.view(-1, z.shape[-1]).tolist(), strict=True)
        distances = [math.dist(a, b) ** 2 for a, b in rows]
        expected = torch.tensor((1 + beta) * math.fsum(distances) / len(distances))
        names = {"dim": z.shape[-1], "positions": len(distances)}
        assert_close(student.vq_loss(z, nearest, beta), expected, tolerance=1e-4, what="the loss", sizes=names)

    @weight(5)
    @given(call=matches(), beta=BETAS)
    @settings(max_examples=6)
    def test_gradients(self, student: Any, call: tuple[Tensor, Tensor], beta: float) -> None:
        """With n positions a code has the gradient 2/n (e − z), from the first term alone, a vector β · 2/n (z − e)."""
        z, nearest = (part.requires_grad_() for part in call)
        by_z, by_nearest = gradients(student.vq_loss(z, nearest, beta), [z, nearest])
        away = (z - nearest).detach() * 2 / math.prod(z.shape[:-1])
        assert_close(by_nearest, -away, tolerance=1e-4, what="the gradient with respect to the codes")
        assert_close(by_z, beta * away, tolerance=1e-4, what="the gradient with respect to the vectors")

    @given(call=matches())
    @settings(max_examples=3)
    def test_beta_is_a_quarter_by_default(self, student: Any, call: tuple[Tensor, Tensor]) -> None:
        """Without β the commitment counts a quarter."""
        expected = student.vq_loss(*call, 0.25)
        assert_close(student.vq_loss(*call), expected, tolerance=1e-4, what="the loss without β")
        assert_between(expected, 1e-3, tolerance=0, what="the loss")

    @given(call=matches(), beta=BETAS)
    @settings(max_examples=3)
    def test_more_of_the_same(self, student: Any, call: tuple[Tensor, Tensor], beta: float) -> None:
        """Positions given twice cost the same as given once."""
        once = student.vq_loss(*call, beta)
        twice = student.vq_loss(*(torch.cat([part, part]) for part in call), beta)
        assert_close(twice, once, tolerance=1e-4, what="the loss of the doubled positions")
        assert_between(once, 1e-3, tolerance=0, what="the loss")


@exercise(
    "codebook_perplexity",
    contract=st.tuples(st.tuples(ids(2, 3, high=3), st.integers(4, 6)), st.just({})),
)
class TestCodebookPerplexity:
    @required
    @given(used=st.integers(2, 5), unused=st.integers(0, 3), times=st.integers(1, 3))
    @settings(max_examples=5)
    def test_codes_that_are_equally_frequent(self, student: Any, used: int, unused: int, times: int) -> None:
        """If some codes are equally frequent and the others never occur it is the number of the former."""
        indices = torch.arange(used).repeat(times).view(times, used)
        received = student.codebook_perplexity(indices, used + unused)
        assert_close(received, float(used), tolerance=1e-4, what="the perplexity", sizes={"codes": used + unused})

    @weight(4)
    @given(indices=ids(3, 5, high=3), codes=st.integers(4, 7))
    @settings(max_examples=8)
    def test_equals_torchs_entropy(self, student: Any, indices: Tensor, codes: int) -> None:
        """It is e to the entropy, by torch.distributions, of the shares of the codes."""
        counts = Counter(indices.flatten().tolist())
        entropy = Categorical(torch.tensor(list(counts.values())).double()).entropy().item()
        received = student.codebook_perplexity(indices, codes)
        assert_close(received, math.exp(entropy), tolerance=1e-4, what="the perplexity", sizes={"codes": codes})

    @weight(2)
    @given(indices=ids(6, high=2), parts=st.integers(2, 4))
    @settings(max_examples=4)
    def test_codes_that_are_split(self, student: Any, indices: Tensor, parts: int) -> None:
        """If every code is split into k that are equally frequent it is k times as large."""
        split = (parts * indices.unsqueeze(1) + torch.arange(parts)).flatten()
        whole = student.codebook_perplexity(indices, 3)
        received = student.codebook_perplexity(split, 3 * parts)
        assert_close(received, parts * whole, tolerance=1e-4, what="the perplexity of the codes that are split")

    @weight(2)
    @given(code=st.integers(0, 3), count=st.integers(1, 5))
    @settings(max_examples=3)
    def test_one_code_for_all(self, student: Any, code: int, count: int) -> None:
        """If one code does all the work it is 1, in a codebook of whatever size."""
        for codes in (4, 512):
            received = student.codebook_perplexity(torch.full((count, 1), code), codes)
            assert_close(received, 1.0, tolerance=1e-4, what=f"the perplexity of one code among {codes}")


# ---- video as a language


def grids(*, high: int = 5) -> st.SearchStrategy[Tensor]:
    """Codes of clips of different sides."""
    return st.permutations([2, 3, 4]).flatmap(lambda sides: ids(2, *sides, high=high))


@exercise("video_tokens", contract=st.tuples(st.tuples(grids(), st.integers(1, 9)), st.just({})))
class TestVideoTokens:
    @required
    @given(order=st.permutations(range(5)), offset=st.integers(1, 20))
    @settings(max_examples=4)
    def test_a_single_row(self, student: Any, order: list[int], offset: int) -> None:
        """The codes of a single row keep their order, and their distances from each other."""
        codes = torch.tensor(order)
        received = student.video_tokens(codes.view(1, 1, 1, 5), offset)
        assert_shape(received, (1, 5), what="the tokens")
        assert_close(received.diff(), codes.diff().unsqueeze(0), what="the differences between the tokens")

    @weight(4)
    @given(codes=grids(), offset=st.integers(2, 20))
    @settings(max_examples=6)
    def test_reads_like_a_page(self, student: Any, codes: Tensor, offset: int) -> None:
        """Frame after frame, row after row, from left to right, `offset` is added to each code."""
        clips = [[offset + code for frame in clip for row in frame for code in row] for clip in codes.tolist()]
        names = dict(zip(("batch", *AXES), codes.shape, strict=True))
        assert_close(student.video_tokens(codes, offset), torch.tensor(clips), what="the tokens", sizes=names)

    @weight(2)
    @given(codes=grids(high=3), offset=st.integers(1, 9))
    @settings(max_examples=4)
    def test_no_token_is_a_word(self, student: Any, codes: Tensor, offset: int) -> None:
        """Code 0 becomes the token `offset`, and no token lies below: words and codes are told apart."""
        received = student.video_tokens(codes, offset)
        assert_close(
            received.sort(dim=1).values, (codes + offset).flatten(1).sort(dim=1).values, what="the tokens, sorted"
        )

    @weight(2)
    @given(codes=grids(), offset=st.integers(1, 9), frames=st.integers(1, 2))
    @settings(max_examples=4)
    def test_the_beginning_comes_first(self, student: Any, codes: Tensor, offset: int, frames: int) -> None:
        """The first frames of a clip give the first tokens: a clip can be gone on with."""
        start = student.video_tokens(codes[:, :frames].contiguous(), offset)
        whole = student.video_tokens(codes, offset)
        assert_shape(whole, (2, 24), what="the tokens")
        assert_close(start, whole[:, : start.shape[1]], what="the tokens of the first frames")


@st.composite
def sentences(draw: st.DrawFn) -> tuple[Tensor, tuple[int, int, int], int]:
    """Arguments of `video_from_tokens`."""
    shape, offset = tuple(draw(st.permutations([2, 3, 4]))), draw(st.integers(2, 20))
    return draw(ids(2, 24, high=offset + 5, low=offset)), shape, offset  # type: ignore[return-value]


@exercise("video_from_tokens", contract=st.tuples(sentences(), st.just({})))
class TestVideoFromTokens:
    @required
    @given(order=st.permutations(range(5)), offset=st.integers(1, 20))
    @settings(max_examples=4)
    def test_a_single_row(self, student: Any, order: list[int], offset: int) -> None:
        """The tokens of a single row keep their order, and `offset` becomes 0."""
        tokens = torch.tensor(order) + offset
        received = student.video_from_tokens(tokens.unsqueeze(0), (1, 1, 5), offset)
        assert_shape(received, (1, 1, 1, 5), what="the codes")
        assert_close(received.flatten(), torch.tensor(order), what="the codes")

    @weight(4)
    @given(call=sentences())
    @settings(max_examples=6)
    def test_reads_like_a_page(self, student: Any, call: tuple[Tensor, tuple[int, int, int], int]) -> None:
        """Token after token fills row after row of frame after frame, `offset` being taken off."""
        tokens, shape, offset = call
        expected = torch.zeros(2, *shape, dtype=torch.int64)
        for clip, sentence in enumerate(tokens.tolist()):
            for token, place in zip(sentence, itertools.product(*map(range, shape)), strict=True):
                expected[clip, *place] = token - offset
        assert_close(student.video_from_tokens(tokens, shape, offset), expected, what="the codes")

    @weight(2)
    @given(codes=grids(), offset=st.integers(1, 9))
    @settings(max_examples=4)
    def test_undoes_video_tokens(self, student: Any, codes: Tensor, offset: int) -> None:
        """A clip that was written as tokens is read as the same clip."""
        tokens = reference.video_tokens(codes, offset)
        received = student.video_from_tokens(tokens, tuple(codes.shape[1:]), offset)
        assert_close(received, codes, what="the codes")

    @weight(4)
    @given(call=sentences(), length=st.sampled_from([12, 23, 25, 72]), place=st.integers(0, 23))
    @settings(max_examples=5)
    def test_refuses_what_is_no_clip(
        self, student: Any, call: tuple[Tensor, tuple[int, int, int], int], length: int, place: int
    ) -> None:
        """A ValueError is raised if there are more tokens than places, or fewer, or if a single one of them is a word."""
        tokens, shape, offset = call
        one_word = tokens.clone()
        one_word[1, place] = offset - 1
        wrong = {
            f"{length} tokens for 24 places": tokens.repeat(1, 3)[:, :length],
            "48 tokens for 24 places": tokens.repeat(1, 2),
            "tokens that are all words": tokens - tokens.max() + offset - 1,
            "a word among the codes": one_word,
        }
        taken = [name for name, each in wrong.items() if not refuses(student.video_from_tokens, each, shape, offset)]
        if taken:
            fail(f"No ValueError is raised for {', nor for '.join(taken)}.")


def refuses(function: Callable, *args: Any) -> bool:
    """Whether a function raises a ValueError."""
    try:
        function(*args)
    except ValueError:
        return True
    return False


@dataclass(frozen=True)
class Lesson:
    """What `next_token_loss` is given."""

    logits: Tensor
    tokens: Tensor
    text_lengths: Tensor
    padding: int

    @property
    def scored(self) -> list[tuple[int, int, int]]:
        """Row, position of the logits, and token, of all that is scored."""
        found = []
        for row, (sentence, text) in enumerate(zip(self.tokens.tolist(), self.text_lengths.tolist(), strict=True)):
            for place in range(text, len(sentence)):
                if sentence[place] != self.padding:
                    found.append((row, place - 1, sentence[place]))
        return found

    def ask(self, student: Any, logits: Tensor | None = None) -> Tensor:
        """A student's loss."""
        logits = self.logits if logits is None else logits
        return student.next_token_loss(logits, self.tokens, self.text_lengths, self.padding)


@st.composite
def lessons(draw: st.DrawFn) -> Lesson:
    """Rows of a caption, a video and padding, with different lengths of each; padding may also stand in between."""
    seed = draw(generators())
    vocabulary, length = draw(sizes(4, 6)), draw(st.integers(6, 8))
    padding = draw(st.integers(0, vocabulary - 1))
    texts = draw(st.permutations([1, 2, 3]))
    tokens = torch.randint(0, vocabulary, (3, length), generator=seed)
    for row, (text, filled) in enumerate(zip(texts, draw(st.permutations([0, 1, 2])), strict=True)):
        tokens[row, length - filled :] = padding
        if tokens[row, text] == padding:  # something is scored in every row, and the first token of the video is
            tokens[row, text] = (padding + 1) % vocabulary
    return Lesson(2 * noise((3, length, vocabulary), seed), tokens, torch.tensor(texts), padding)


@exercise(
    "next_token_loss",
    contract=lessons().map(lambda each: ((each.logits, each.tokens, each.text_lengths, each.padding), {})),
)
class TestNextTokenLoss:
    @required
    @given(lesson=lessons())
    @settings(max_examples=4)
    def test_rewards_the_next_token(self, student: Any, lesson: Lesson) -> None:
        """The loss falls as the score of the next token rises, wherever in the video that is."""
        logits = lesson.logits.clone().requires_grad_()
        loss = lesson.ask(student, logits)
        assert_shape(loss, (), what="the loss")
        assert_depends(loss, logits, what="the loss", on_what="the scores")
        (gradient,) = gradients(loss, [logits])
        row, place, token = lesson.scored[-1]
        slope = gradient[row, place, token].item()
        if not slope < 0:
            fail(
                f"The scores at position {place} of row {row} are about the token {token}, which follows.",
                f"The loss should fall as its score rises, but the slope is {slope:.3g}.",
            )

    @weight(4)
    @given(lesson=lessons())
    @settings(max_examples=10)
    def test_by_hand(self, student: Any, lesson: Lesson) -> None:
        """It is the mean of −log p over all tokens that are scored, one by one and by hand."""
        costs = []
        for row, place, token in lesson.scored:
            every = lesson.logits[row, place].tolist()
            costs.append(math.log(math.fsum(map(math.exp, every))) - every[token])
        expected = torch.tensor(math.fsum(costs) / len(costs))
        names = dict(zip(("batch", "length", "vocabulary"), lesson.logits.shape, strict=True))
        assert_close(lesson.ask(student), expected, tolerance=1e-4, what="the loss", sizes=names)

    @weight(2)
    @given(lesson=lessons())
    @settings(max_examples=5)
    def test_equals_transformers_loss(self, student: Any, lesson: Lesson) -> None:
        """It is the loss of the library transformers, with −100 as the label of captions and padding."""
        labels = lesson.tokens.masked_fill(lesson.tokens == lesson.padding, -100)
        labels = labels.masked_fill(torch.arange(labels.shape[1]) < lesson.text_lengths.unsqueeze(1), -100)
        expected = ForCausalLMLoss(lesson.logits, labels, lesson.logits.shape[2])
        assert_close(lesson.ask(student), expected, tolerance=1e-4, what="the loss")

    @weight(3)
    @given(lesson=lessons())
    @settings(max_examples=6)
    def test_what_is_scored(self, student: Any, lesson: Lesson) -> None:
        """The scores at a position matter exactly if a token of the video follows there."""
        logits = lesson.logits.clone().requires_grad_()
        (gradient,) = gradients(lesson.ask(student, logits), [logits])
        expected = torch.zeros(lesson.tokens.shape, dtype=torch.bool)
        for row, place, _ in lesson.scored:
            expected[row, place] = True
        assert_close(gradient.abs().sum(2) > 0, expected, what="whether the scores at each position matter")

    @weight(2)
    @given(cheap=st.integers(2, 6), text=st.integers(1, 3), vocabulary=sizes(3, 6))
    @settings(max_examples=4)
    def test_every_token_counts_alike(self, student: Any, cheap: int, text: int, vocabulary: int) -> None:
        """A token counts the same in a long row and in a short one: of one dear and n cheap ones the mean is taken."""
        tokens = torch.zeros(2, text + cheap, dtype=torch.int64)
        tokens[0, : text + 1], tokens[1] = 1, 1
        logits = torch.zeros(2, text + cheap, vocabulary)
        logits[1, :, 1] = 40.0  # certain, and right
        lesson = Lesson(logits, tokens, torch.tensor([text, text]), 0)
        expected = torch.tensor(math.log(vocabulary) / (cheap + 1))
        assert_close(lesson.ask(student), expected, tolerance=1e-4, what="the loss", sizes={"cheap tokens": cheap})

    @weight(2)
    @given(lesson=lessons(), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=3)
    def test_survives_large_scores(self, student: Any, lesson: Lesson, size: float) -> None:
        """At scores of 200 and 10⁴ each wrong guess costs that much, and each right one nothing."""
        logits = torch.zeros_like(lesson.logits)
        logits[:, :, 1] = size
        expected = torch.tensor(size * sum(token != 1 for *_, token in lesson.scored) / len(lesson.scored))
        assert_close(lesson.ask(student, logits), expected, tolerance=1e-4, what="the loss")


READING: dict[str, Callable] = {"to_tokens": reference.video_tokens, "to_codes": reference.video_from_tokens}
ONE_WORD = torch.zeros(1, 1, dtype=torch.int64)


@dataclass
class Narrator:
    """A made-up language model of words and codes: the odds of the next code follow from all tokens so far, and are eighths.

    Notes what it is shown. `odds` (contexts, codes) are used in turn, the row being the sum of the tokens, each counted with
    its place. Words get scores, too, larger than those of codes.
    """

    odds: Tensor
    offset: int
    shown: list[Tensor] = field(default_factory=list)
    recorded: list[bool] = field(default_factory=list)

    def chances(self, sentence: Sequence[int]) -> Tensor:
        """The probabilities of the codes after a sentence."""
        return self.odds[sum((place + 1) * token for place, token in enumerate(sentence)) % len(self.odds)]

    def __call__(self, tokens: Tensor) -> Tensor:
        """The logits of what follows each token (batch, length, vocabulary)."""
        self.shown.append(tokens.clone())
        self.recorded.append(torch.is_grad_enabled())
        codes = torch.stack([
            torch.stack([self.chances(sentence[: place + 1]) for place in range(len(sentence))])
            for sentence in tokens.tolist()
        ])  # fmt: skip
        # Logits are known up to a constant, which is another one at each place.
        shift = torch.arange(tokens.shape[1]).remainder(3).unsqueeze(1) - 1.0
        words = torch.full((*tokens.shape, self.offset), 3.0)
        return torch.cat([words, codes.log()], dim=2) + shift

    def draw(self, text: Tensor, uniform: Tensor, power: float = 1.0, given: Tensor | None = None) -> Tensor:
        """The clips, one number at a time; `power` is one over the temperature."""
        clips = []
        for row, (caption, numbers) in enumerate(zip(text.tolist(), uniform.flatten(1).tolist(), strict=True)):
            known = given[row].flatten().tolist() if given is not None else []
            drawn: list[int] = []
            for place, number in enumerate(numbers):
                if place < len(known):
                    drawn.append(known[place])
                    continue
                shares = [p**power for p in self.chances([*caption, *(code + self.offset for code in drawn)]).tolist()]
                sums = list(itertools.accumulate(shares))
                drawn.append(next(code for code, total in enumerate(sums) if total > number * sums[-1]))
            clips.append(drawn)
        return torch.tensor(clips).view(uniform.shape)


@st.composite
def narrators(draw: st.DrawFn) -> Narrator:
    """Narrators of three codes with odds that are eighths, some of them 0, no two rows alike."""
    cuts = st.lists(st.integers(0, 8), min_size=2, max_size=2).map(sorted).map(tuple)
    rows = draw(st.lists(cuts, min_size=5, max_size=5, unique=True))
    odds = torch.tensor([[b - a for a, b in itertools.pairwise([0, *cut, 8])] for cut in rows])
    return Narrator(odds / 8, draw(st.integers(2, 5)))


@dataclass(frozen=True)
class Request:
    """A narrator, captions for it, and uniform numbers, which are odd sixteenths and so never near a border."""

    narrator: Narrator
    text: Tensor
    uniform: Tensor

    def ask(self, student: Any, **options: Any) -> Tensor:
        """A student's clips."""
        return student.sample_video(self.narrator, self.text, self.uniform, self.narrator.offset, **options, **READING)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests with two captions that differ."""
    narrator, words, seed = draw(narrators()), draw(st.integers(1, 3)), draw(generators())
    text = torch.randint(0, narrator.offset, (2, words), generator=seed)
    text[1, -1] = (text[0, -1] + 1) % narrator.offset
    sides = draw(st.sampled_from([(2, 1, 3), (3, 2, 1), (2, 2, 2)]))
    return Request(narrator, text, (2 * torch.randint(0, 8, (2, *sides), generator=seed) + 1) / 16)


def undecided(tokens: Tensor) -> Tensor:
    """The logits of a model of two words and three codes that likes all alike."""
    return torch.zeros(*tokens.shape, 5)


@st.composite
def undecided_calls(draw: st.DrawFn) -> Call:
    """Arguments of `sample_video`."""
    shape = (draw(sizes()), *(draw(sizes(1, 3)) for _ in range(3)))
    uniform = torch.rand(shape, generator=draw(generators()))
    return (undecided, draw(ids(shape[0], draw(sizes(1, 3)), high=1)), uniform, 2), dict(READING)


@exercise("sample_video", contract=undecided_calls())
class TestSampleVideo:
    @required
    @given(words=st.integers(1, 3), phase=st.integers(0, 2), number=st.integers(1, 15))
    @settings(max_examples=4)
    def test_draws_what_is_certain(self, student: Any, words: int, phase: int, number: int) -> None:
        """Where the model is certain of a code, that is drawn, whatever the number."""
        wanted = (torch.arange(8) + phase).remainder(3)

        def model(tokens: Tensor) -> Tensor:
            places = (torch.arange(tokens.shape[1]) - words + 1).clamp(min=0)
            logits = 60.0 * F.one_hot(wanted[places] + 4, 7).float()
            return logits.expand(len(tokens), -1, -1)

        request = Request(model, torch.ones(2, words, dtype=torch.int64), torch.full((2, 2, 2, 2), number / 16))  # type: ignore[arg-type]
        received = student.sample_video(model, request.text, request.uniform, 4, **READING)
        assert_close(received, wanted.view(1, 2, 2, 2).expand(2, -1, -1, -1), what="the codes")

    @weight(3)
    @given(request_=requests())
    @settings(max_examples=8)
    def test_token_by_token(self, student: Any, request_: Request) -> None:
        """Each code is the first whose cumulative probability exceeds its number, given the caption and all codes before."""
        expected = request_.narrator.draw(request_.text, request_.uniform)
        assert_close(request_.ask(student), expected, what="the codes")

    @weight(3)
    @given(request_=requests())
    @settings(max_examples=5)
    def test_asks_once_for_each_code(self, student: Any, request_: Request) -> None:
        """The model is called once for each code, without recording a graph, and reads the caption and the tokens so far."""
        narrator = request_.narrator
        request_.ask(student, temperature=0.5)
        codes = request_.uniform[0].numel()
        if len(narrator.shown) != codes:
            fail(
                f"The model should be called once for each of {codes} codes, but it was called {len(narrator.shown)} times."
            )
        if any(narrator.recorded):
            fail("Gradients are enabled while the model is called, so a graph of everything is kept.")
        drawn = narrator.draw(request_.text, request_.uniform, power=2).flatten(1) + narrator.offset
        for call, tokens in enumerate(narrator.shown):
            expected = torch.cat([request_.text, drawn[:, :call]], dim=1)
            assert_close(tokens, expected, what=f"what call {call} of the model is shown")

    @weight(4)
    @given(request_=requests(), temperature=st.sampled_from([0.5, 0.5, 2.0]))
    @settings(max_examples=8)
    def test_temperature(self, student: Any, request_: Request, temperature: float) -> None:
        """At half the temperature the probabilities are squared, at twice the temperature roots are taken, and normalised."""
        expected = request_.narrator.draw(request_.text, request_.uniform, 1 / temperature)
        assert_close(request_.ask(student, temperature=temperature), expected, what="the codes")

    @weight(7)
    @given(request_=requests(), seed=generators())
    @settings(max_examples=6)
    def test_goes_on_with_given_frames(self, student: Any, request_: Request, seed: torch.Generator) -> None:
        """Given frames are kept and read, and not asked for; their numbers have no effect; what follows is drawn after them."""
        narrator, uniform = request_.narrator, request_.uniform
        given_ = torch.randint(0, 3, (2, uniform.shape[1] - 1, *uniform.shape[2:]), generator=seed)
        expected = narrator.draw(request_.text, uniform, given=given_)
        assert_close(request_.ask(student, given=given_), expected, what="the codes")
        if len(narrator.shown) != uniform[0, -1].numel():
            fail(f"{uniform[0, -1].numel()} codes are not given, but the model was called {len(narrator.shown)} times.")

    @given(words=st.integers(1, 3), seed=generators())
    @settings(max_examples=2)
    def test_nothing_left_to_draw(self, student: Any, words: int, seed: torch.Generator) -> None:
        """If all frames are given they are the result, and the model is not called."""
        given_ = torch.randint(0, 3, (2, 2, 2, 3), generator=seed)
        request = Request(Narrator(torch.ones(1, 3) / 3, 4), torch.zeros(2, words, dtype=torch.int64), given_ / 3)
        assert_close(request.ask(student, given=given_), given_, what="the codes")
        if request.narrator.shown:
            fail("The model was called, though there is nothing to draw.")

    @given(never=st.integers(1, 3), side=sizes(1, 3))
    @settings(max_examples=3)
    def test_what_is_impossible_is_never_drawn(self, student: Any, never: int, side: int) -> None:
        """At the number 0 codes of probability 0 are passed over."""
        logits = torch.zeros(7)
        logits[2 : 2 + never] = -math.inf
        received = student.sample_video(
            lambda tokens: logits.expand(*tokens.shape, -1), ONE_WORD, torch.zeros(1, 1, side, 2), 2, **READING
        )
        assert_close(received, torch.full((1, 1, side, 2), never), what="the codes at the number 0")

    @given(start=st.integers(0, 5000))
    @settings(max_examples=2)
    def test_the_last_code_is_the_last(self, student: Any, start: int) -> None:
        """At the largest number below 1 the last code is drawn, even if rounding makes all probabilities add up to less."""
        # Scores whose probabilities in float32 add up to 1 − 2⁻²³ or less.
        for seed in range(start, start + 200):
            logits = noise((11,), torch.Generator().manual_seed(seed))
            if logits.softmax(0).cumsum(0)[-1] < 1 - 2**-24:
                break
        uniform = torch.full((1, 1, 1, 1), 1 - 2**-24)
        received = student.sample_video(
            lambda tokens: F.pad(logits, (2, 0)).expand(*tokens.shape, -1), ONE_WORD, uniform, 2, **READING
        )
        assert_close(received, torch.full((1, 1, 1, 1), 10), what="the code at the largest number below 1")
