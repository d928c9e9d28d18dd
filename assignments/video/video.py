# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Generative video
#
# A film is a pile of pictures, and you can make pictures. So make sixteen of them, one after the other, each as good as
# can be, and play them. What you see is not a film. Every frame is a different cat. The whiskers boil, the shadow
# jumps, and nobody would call it motion. What makes a pile of pictures a film lies *between* them: things stay what
# they are, and go where they were going. This is called **temporal coherence**, and it is what this assignment is
# about.
#
# It asks three things of a model that single pictures did not.
#
# - **Know what moved where.** Optical flow, warping, occlusion: the old craft of film restorers and video codecs, with
#   which coherence can be measured, and slow motion made.
# - **Live with many futures.** A ball in mid-frame may go left or right, and the average of the two is a smear. Here
#   *conditional* VAEs and GANs come into their own.
# - **Cope with the sheer amount.** A second of video has more numbers than a hundred books have letters. So it is first
#   written in a vocabulary of its own, by a *VQ-VAE*, and then a Transformer writes in that vocabulary whatever a
#   caption asks for. That is VideoGPT (Yan et al. 2021), and by the end of section 6 you will have built it: you type
#   "a three moves left", and a three moves left. A judge that knows nothing of your model will count how often.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension; a clip is (batch, channels, time, height, width), as `nn.Conv3d` has it, a single
#   frame (batch, channels, height, width), and a grid of codes (batch, time, height, width);
# - flow is in pixels, first to the right, then *downwards*, as rows count;
# - masks are True where something is visible, or may be looked at; `logvar` is $\log \sigma^2$; logarithms are natural;
# - functions draw no random numbers of their own: noise, or numbers between 0 and 1, are passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. A default such as `warp=warp` is fixed when its cell is run:
# after mending an earlier answer run the cells below it once more.
#
# Plan for four hours. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots
from coursekit.moving import MOTIONS, moving_digits

# %% tags=["hands-on"]
BUDGET = 1.0  # all trainings are so many times as long as on a laptop; with a GPU, try 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # networks as small as these gain nothing from a second

digits = data.load_digits()
KINDS = (0, 1, 3, 4, 7)
STRAIGHT = list(MOTIONS)[:4]  # left, right, up, down
generator = torch.Generator().manual_seed(42)
clips = moving_digits(digits, 10, frames=9, kinds=KINDS, generator=generator)
named = {caption: clip[0] for caption, clip in zip(clips.captions, clips.videos, strict=True)}
plots.film(named, title="Clips as we have them: 9 frames of 16 × 16 pixels, and a caption")

# %% [markdown]
# This is our world, the *moving digits* of Srivastava et al. (2015) with captions as Mittal et al. (2017) gave them. It
# is small, and has what matters: things that keep their shape, motion that is told in words, an edge to bounce from.
# And we know to the pixel where everything went, which nobody knows of a real film.
#
# Here is where we are going. (The colours are no learnt codes yet, only how much ink lies in a block of 4 × 4 pixels.
# From section 5 on they will be learnt.)

# %% tags=["hands-on"]
frames = clips.videos[5, 0, ::4]
plots.text_to_video(clips.captions[5], F.avg_pool2d(frames, 4).mul(20).ceil().long(), frames)

# %% [markdown]
# ## 1 · Pictures in time
#
# Where is generated video used? In **entertainment**: previsualisation of scenes before they are shot, backgrounds that
# answer to the camera, de-aging and dubbing that moves the lips, slow motion and the repair of old film, characters in
# games. In **advertising**: storyboards, one clip cut to twelve formats, a product turned before the eye without a
# studio, banners in the language and the season of whoever looks. All of these want the same two things: that the clip
# is what was asked for, and that it holds together. In section 7 you will play a small agency, and choose the best of
# several takes by exactly these two numbers.
#
# Start with the second. How would you *measure* that a clip holds together? The simplest answer compares each frame
# with the one before. Describe a frame by a vector $f_t$ of features, and take the cosine of the angle between
# neighbours:
#
# $$\text{consistency} = \frac{1}{T - 1} \sum_{t=2}^{T}
# \frac{f_t \cdot f_{t-1}}{\lVert f_t \rVert\, \lVert f_{t-1} \rVert}.$$
#
# With CLIP's embedding for $f$ this is the number that most papers on text-to-video print as *frame consistency* (Esser
# et al. 2023). The cosine, unlike a distance, does not change if all frames are made twice as bright.
#
# ### Exercise · `frame_consistency`
#
# *● · 10 minutes.* Mind the black frame: films begin with one.


# %% exercise="frame_consistency" points=2
def frame_consistency(features: Float[Tensor, "batch time *features"]) -> Float[Tensor, "batch"]:
    """How much each frame of a clip is like the one before it.

    The cosine of the angle between the features of two neighbouring frames, a frame's features
    being taken as one vector, averaged over the time − 1 pairs of neighbours (Esser et al. 2023,
    section 4, where the features are CLIP's). A frame whose features are all 0 has cosine 0
    with every other, and gradients are finite there. A constant of at most 10⁻⁶ may keep
    divisions from 0.

    Args:
        features: what is known of each frame (batch, time, *features): its pixels, or what a
            network says of it.

    Returns:
        Scores (batch,), from −1 to 1; a clip that stands still scores 1.

    Raises:
        ValueError: if there are fewer than 2 frames.
    """
    raise NotImplementedError


# %% [markdown]
# Does it rank a smooth clip above a shuffled one? Two hundred clips, their frames in order, the same frames in random
# order, and two clips in which time plays no part.

# %% tags=["hands-on"]
generator = torch.Generator().manual_seed(0)
films = moving_digits(digits, 200, frames=9, kinds=KINDS, generator=generator).videos
orders = torch.rand(200, 9, generator=generator).argsort(dim=1)
orders[(orders == torch.arange(9)).all(dim=1)] = torch.arange(9).flip(0)
shuffled = films.transpose(1, 2)[torch.arange(200)[:, None], orders].transpose(1, 2)
scores = {
    "in order": frame_consistency(films.transpose(1, 2)),
    "shuffled": frame_consistency(shuffled.transpose(1, 2)),
}
right = (scores["in order"] > scores["shuffled"]).float().mean()
print(f"the clip in order scores higher in {right:.0%} of the pairs")
still = films[:, :, :1].expand(-1, -1, 9, -1, -1)
noise = torch.rand(films.shape, generator=generator)
for name, some in (("a still picture", still), ("grey noise", noise)):
    print(f"{name} scores {frame_consistency(some.transpose(1, 2)).mean():.2f}")
plots.histogram(scores, xlabel="frame consistency, of raw pixels")

# %% [markdown]
# It ranks as it should. But look at what scores highest: the picture that does not move at all. And noise, in which
# every pixel is fresh, scores 0.75, since all of its numbers are positive: an angle is measured from *zero*, and
# features that are never negative are never far apart. A number that stillness maximises must not be optimised, nor
# read alone. To ask whether something *moved as it should*, we must know where it went.

# %% [markdown]
# ## 2 · Where did it go?
#
# **Optical flow** says for each pixel of one frame where the same thing is in another frame: a vector $(u, v)$, so many
# pixels to the right and so many downwards. Once we have it, a frame can be moved along it.
#
# There are two ways to do that. One could take every pixel and *push* it to its new place. Then two pixels may land on
# one, and on some places none: the result has holes. So one does it the other way round. For every pixel of the
# *result* ask where it comes from, and *fetch* it there:
#
# $$\text{warped}(x, y) = \text{frame}\big(x + u(x, y),\ y + v(x, y)\big).$$
#
# This is **backward warping**. No holes, and every pixel of the result is defined. Where the place lies between pixels,
# take the average of its four neighbours, each weighted by how near it is (bilinear interpolation). With the fractions
# $a$ and $b$ of a pixel to the right and downwards,
#
# $$(1-a)(1-b)\, p_{00} + a\,(1-b)\, p_{01} + (1-a)\, b\, p_{10} + a\,b\, p_{11}.$$
#
# It is linear in the pixels and piecewise linear in the flow, so that gradients flow through both. A network can
# *learn* to move things (Jaderberg et al. 2015, *spatial transformers*). Mind the direction: to make a thing move to
# the right by 2, the result must fetch from 2 to the *left*. Getting that sign wrong is the classic mistake, together
# with swapping $x$ and $y$, and with mixing up two ways to count pixels in `F.grid_sample` (`align_corners`).
#
# ### Exercise · `warp`
#
# *●●● · 30 minutes.* By hand, with four look-ups, or with `F.grid_sample`, which counts from −1 to 1.


# %% exercise="warp" points=4
def warp(
    frame: Float[Tensor, "batch channels height width"],
    flow: Float[Tensor, "batch 2 height width"],
) -> Float[Tensor, "batch channels height width"]:
    """Fetch every pixel from where the flow says that it is: backward warping.

    With (u, v) the flow at row y and column x, the result there is the frame's value at column
    x + u and row y + v. Pixels are points at whole coordinates, the first at (0, 0). Between
    them values are interpolated linearly in both directions (bilinear); beyond the outermost
    pixels the frame goes on with the value of the nearest one. Jaderberg et al. 2015, section
    3.3. Differentiable in both arguments: gradients flow to the frame, and to the flow wherever
    it leads to a place within the frame.

    Args:
        frame: where pixels are fetched (batch, channels, height, width).
        flow: where from, relative to each pixel (batch, 2, height, width), in pixels: [:, 0] is
            u, to the right, and [:, 1] is v, downwards; any real numbers.

    Returns:
        The warped frame (batch, channels, height, width).
    """
    raise NotImplementedError


# %% [markdown]
# Warping by a known flow returns the frame. The clips know their flow: `flow(4, 0)` leads from the pixels of frame 4 to
# their places in frame 0. Fetch by it from frame 0, and out comes frame 4, as if we had seen it. One thing is wrong in
# some columns. Where a digit touched the edge, its ink is smeared: these pixels come from *outside* the frame, and the
# frame goes on with its outermost pixels. What really was there nobody knows. We come back to that.

# %% tags=["hands-on"]
before, after = clips.videos[:, :, 0], clips.videos[:, :, 4]
flow = clips.flow(4, 0)
moved = warp(before, flow)
shown = [0, 1, 2, 3, 4, 5]
plots.strips(
    {
        "frame 0": before[shown, 0].flatten(1),
        "frame 4": after[shown, 0].flatten(1),
        "frame 0, warped": moved[shown, 0].flatten(1),
        "difference": (moved - after)[shown, 0].abs().flatten(1),
    },
    (16, 16),
    captions=[clips.captions[i].split(" ", 1)[1] for i in shown],
    scale=1.5,
)

# %% [markdown]
# And where the flow is *not* known? Then turn the question around. `warp` is differentiable, so look for the flow that
# makes the warped frame equal to the next one, by gradient descent on the flow itself. Two remarks make it work. One
# pixel alone cannot tell where it came from (the *aperture problem*), so neighbours are asked to agree, by a penalty on
# differences between them (Horn & Schunck 1981). And a gradient sees only one pixel far, so it begins with blurred
# frames, on which things overlap, and sharpens them step by step. Real systems let a network guess the flow (RAFT, Teed
# & Deng 2020); the loss is still this one, where nobody knows the truth.

# %% tags=["hands-on"]


def blur(frame, radius):
    """A frame as seen by somebody short-sighted."""
    for _ in range(2):
        frame = F.avg_pool2d(frame, 2 * radius + 1, 1, radius, count_include_pad=False)
    return frame


def find_flow(before, after, steps=60):
    """The flow from `after` back to `before`, by descent through `warp`."""
    flow = torch.zeros(len(after), 2, *after.shape[2:], requires_grad=True)
    optimizer = torch.optim.Adam([flow], lr=0.1)
    for radius in (3, 2, 1, 0):
        one, other = (blur(frame, radius) for frame in (before, after))
        for _ in range(steps):
            error = (warp(one, flow) - other).square().sum(dim=(1, 2, 3)).sum()
            across = (flow[..., 1:] - flow[..., :-1]).square().sum()
            down = (flow[..., 1:, :] - flow[..., :-1, :]).square().sum()
            optimizer.zero_grad()
            (error + 0.05 * (across + down)).backward()
            optimizer.step()
    return flow.detach()


PAIR = [1, 4]
two, next_two = clips.videos[PAIR, :, 2], clips.videos[PAIR, :, 4]
found = find_flow(two, next_two)
truth = clips.flow(4, 2)[PAIR]
inked = next_two > 0.1
plots.flows(
    {
        f"{clips.captions[which]}: {name}": (next_two[k, 0], flow[k] * inked[k])
        for k, which in enumerate(PAIR)
        for name, flow in (("true flow", truth), ("found", found))
    }
)

# %% [markdown]
# The arrows point from each inked pixel to where it was two frames earlier, so against the motion.
#
# ### What is hidden
#
# A thing that moves uncovers what was behind it. For an uncovered pixel there *is* no place in the earlier frame, and
# whatever the flow says about it is invented. Such pixels must not be counted. How does one know them? By going there
# and back. If $w$ leads from here to a place in the other frame, and $w'$, the other frame's own flow, leads from *that
# place* back here, the two cancel. Where they do not, one of them was about something else. With a little tolerance
# (Sundaram, Brox & Keutzer 2010) a pixel counts as visible if
#
# $$\lVert w + w' \rVert^2 \le 0.01 \, \big( \lVert w \rVert^2 + \lVert w' \rVert^2 \big) + 0.5 .$$
#
# Note where $w'$ is looked up: not here, but where $w$ leads. That is a warp, of a flow by a flow.
#
# ### Exercise · `visible_pixels`
#
# *●● · 15 minutes.*


# %% exercise="visible_pixels" points=2
def visible_pixels(
    flow: Float[Tensor, "batch 2 height width"],
    back: Float[Tensor, "batch 2 height width"],
    *,
    warp: Callable = warp,
) -> Bool[Tensor, "batch height width"]:
    """Which pixels of a frame can be seen in another one: the way there and back leads home.

    For a pixel whose flow is w, let w′ be the value of `back` where w leads. The pixel counts as
    visible if two things hold:

    - ‖w + w′‖² ≤ 0.01 · (‖w‖² + ‖w′‖²) + 0.5 (Sundaram et al. 2010, equation 5);
    - the place where w leads is within the frame: its column is from 0 to width − 1, its row
      from 0 to height − 1, both ends included.

    Args:
        flow: from each pixel of this frame to its place in the other one (batch, 2, height,
            width), in pixels, to the right and downwards.
        back: from each pixel of the other frame to its place in this one, likewise.
        warp: your `warp`, or another function that is called like it; warp(back, flow) is w′ of
            every pixel.

    Returns:
        True where a pixel is visible (batch, height, width).
    """
    raise NotImplementedError


# %% [markdown]
# A scene with a background: a digit on a card glides over wallpaper. In the middle, in red, what the later frame shows
# and the earlier did not, found from the two flows alone.

# %% tags=["hands-on"]
generator = torch.Generator().manual_seed(1)
wallpaper = blur(torch.rand(1, 1, 24, 24, generator=generator), 1).sub(0.35).clamp(0, 1) * 1.5


def scene(column):
    """The wallpaper with a card on it, and True where the card is."""
    card = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    card[..., 7:17, column : column + 10] = True
    frame = wallpaper.masked_fill(card, 0)
    left, top = clips.places[5, 0].tolist()
    figure = clips.videos[5, 0, 0, top : top + 8, left : left + 8]
    frame[0, 0, 8:16, column + 1 : column + 9] = figure
    return frame, card


(early, early_card), (late, late_card) = scene(4), scene(9)
back = torch.cat([-5.0 * late_card, 0.0 * late_card], dim=1)
ahead = torch.cat([5.0 * early_card, 0.0 * early_card], dim=1)
seen = visible_pixels(back, ahead)
fetched = warp(early, back)
plots.flows(
    {
        "before": (early[0, 0], None),
        "after, and the flow back": (late[0, 0], back[0]),
        "before, warped": (fetched[0, 0], None),
    },
    shade={"after, and the flow back": ~seen[0]},
)

# %% [markdown]
# On the right, left of the card, stands the ghost of the digit: pixels that were fetched from the earlier frame
# although what is there now was hidden then.
#
# ### The warping error
#
# Now coherence can be measured as it should be: take out the motion, leave out what was hidden, and compare what is
# left,
#
# $$E = \frac{\sum_p m_p\, \lVert \text{current}_p - \text{warp}(\text{previous})_p \rVert^2}{\sum_p m_p},$$
#
# where $p$ runs over pixels, $m_p$ is 1 where a pixel is visible, and the norm is over colours (Lai et al. 2018). A
# film in which everything only *moves* has error 0, however fast. What is left is flicker, boiling, and things that
# change what they are.
#
# ### Exercise · `temporal_consistency`
#
# *●● · 15 minutes.* An average over the *visible* pixels, for each pair of frames by itself. And a pair in which
# nothing is visible should not end in 0/0.


# %% exercise="temporal_consistency" points=3
def temporal_consistency(
    previous: Float[Tensor, "batch channels height width"],
    current: Float[Tensor, "batch channels height width"],
    flow: Float[Tensor, "batch 2 height width"],
    visible: Bool[Tensor, "batch height width"],
    *,
    warp: Callable = warp,
) -> Float[Tensor, "batch"]:
    """How far a frame is from the one before it, once the motion is taken out: the warping error.

    The squared difference between `current` and warp(previous, flow), summed over channels and
    averaged over the visible pixels (Lai et al. 2018, section 4). Differentiable in both
    frames.

    Args:
        previous: the frame before (batch, channels, height, width).
        current: the frame now, of the same shape.
        flow: from each pixel of `current` to where it was in `previous` (batch, 2, height,
            width), in pixels, to the right and downwards.
        visible: True where a pixel of `current` could be seen in `previous` (batch, height,
            width); the others do not count.
        warp: your `warp`, or another function that is called like it.

    Returns:
        Errors (batch,), one for each pair of frames: no mean over the batch. 0 for a pair
        without a visible pixel, with finite gradients.
    """
    raise NotImplementedError


# %% [markdown]
# A test of the test. We let the brightness of each frame flicker, as it does when a filter is applied frame by frame,
# and compare the warping error with the plain difference between neighbours, which is the same function with a flow of
# 0.

# %% tags=["hands-on"]
walk = moving_digits(digits, 100, frames=9, kinds=KINDS, generator=torch.Generator().manual_seed(2))
strengths = torch.linspace(0, 0.5, 6)
errors: dict[str, list[float]] = {"motion taken out": [], "plain difference": []}
for strength in strengths:
    generator = torch.Generator().manual_seed(3)
    brightness = 1 + strength * torch.randn(100, 1, 9, 1, 1, generator=generator)
    flickering = walk.videos * brightness
    for name in errors:
        total = 0.0
        for t in range(1, 9):
            back, ahead = walk.flow(t, t - 1), walk.flow(t - 1, t)
            if name == "plain difference":
                back, ahead = torch.zeros_like(back), torch.zeros_like(ahead)
            seen = visible_pixels(back, ahead)
            pair = flickering[:, :, t - 1], flickering[:, :, t]
            total += temporal_consistency(*pair, back, seen).mean().item() / 8
        errors[name].append(total)
plots.curves(
    {"What two measures say about flicker": errors},
    x=strengths,
    xlabel="strength of the flicker",
    ylabel="mean squared error of a pixel",
)

# %% [markdown]
# The plain difference is large already where there is no flicker at all: it takes motion for a fault. The warping error
# starts from zero.

# %% [markdown] question="coherence" points=3
# ### Question · Two numbers for coherence
#
# A vendor shows you a text-to-video model with a frame consistency of 0.98, the highest in the table of its brochure,
# and the clips look like slow zooms into photographs. Explain with sections 1 and 2 how the number and the clips go
# together. Which of the two measures can be fooled by a clip in which nothing moves, and why? Then propose a set of
# measurements (at least three) that together would have told the vendor's model from a good one, and say what each of
# them alone would miss.
#
# *3 points: one for what stillness does to both measures; one for three measurements that complement each other; one
# for what each of them misses.*

# %% [markdown]
# ### Between two frames
#
# Slow motion from an ordinary camera: frames are invented between those that were taken. To fade from one to the other
# shows two ghosts. To *move* along the flow shows the thing on its way.
#
# The trouble is that for backward warping the flow must start at the pixels of the frame that we do not have. Jiang et
# al. (2018, *Super SloMo*) guess it from the two flows that we have. If everything goes at an even speed, what is at a
# pixel at time $t$ came from $t$ times its motion back. Its motion is read off at the *same pixel* of the two flows,
# forward from the first frame and backward from the second, each counted the more the nearer its frame is:
#
# $$F_{t \to 0} = -(1 - t)\, t\, F_{0 \to 1} + t^2\, F_{1 \to 0}, \qquad
# F_{t \to 1} = (1 - t)^2\, F_{0 \to 1} - t\,(1 - t)\, F_{1 \to 0} .$$
#
# Check it: for a thing that moves by $v$, we have $F_{0 \to 1} = v$ and $F_{1 \to 0} = -v$, hence $F_{t \to 0} = -t v$
# and $F_{t \to 1} = (1 - t) v$. Both frames are then warped to time $t$ and blended, $(1 - t)$ parts of the first and
# $t$ of the second.
#
# ### Exercise · `interpolate_frames`
#
# *●● · 15 minutes.*


# %% exercise="interpolate_frames" points=3
def interpolate_frames(
    first: Float[Tensor, "batch channels height width"],
    second: Float[Tensor, "batch channels height width"],
    forward: Float[Tensor, "batch 2 height width"],
    backward: Float[Tensor, "batch 2 height width"],
    time: float,
    *,
    warp: Callable = warp,
) -> Float[Tensor, "batch channels height width"]:
    """A frame between two frames, everything having gone its way at an even speed.

    At time t the flows to the two frames are taken to be, pixel by pixel (Jiang et al. 2018,
    equation 4),

        to_first  = −(1 − t) t · forward + t² · backward
        to_second = (1 − t)² · forward − t (1 − t) · backward,

    and the result is (1 − t) · warp(first, to_first) + t · warp(second, to_second), which can be
    differentiated with respect to both frames and, as far as `warp` can, to both flows.

    Args:
        first: the frame at time 0 (batch, channels, height, width).
        second: the frame at time 1, of the same shape.
        forward: from each pixel of `first` to its place in `second` (batch, 2, height, width),
            in pixels, to the right and downwards.
        backward: from each pixel of `second` to its place in `first`, likewise.
        time: t, from 0 to 1.
        warp: your `warp`, or another function that is called like it.

    Returns:
        The frame at time t (batch, channels, height, width).

    Raises:
        ValueError: if `time` is below 0 or above 1.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
start, end = clips.videos[:, :, 1], clips.videos[:, :, 7]
there, back = clips.flow(1, 7), clips.flow(7, 1)
times = torch.linspace(0, 1, 9).tolist()
slow = torch.stack([interpolate_frames(start, end, there, back, t) for t in times], dim=2)
faded = torch.stack([(1 - t) * start + t * end for t in times], dim=2)
rows = {}
for which in (4, 5):
    rows[f"{clips.captions[which]}, by flow"] = slow[which, 0].flatten(1)
    rows[f"{clips.captions[which]}, faded"] = faded[which, 0].flatten(1)
    rows[f"{clips.captions[which]}, in truth"] = clips.videos[which, 0, 1:8].flatten(1)
plots.strips(rows, (16, 16), title="From frame 1 to frame 7, six pixels on, in eight steps")

# %% [markdown]
# The rows by flow have more frames than were ever taken: seven frames of the truth, nine of ours, all from the first
# and the last.

# %% [markdown]
# ## 3 · What comes next
#
# Show a model a single frame, a digit in the middle of the paper, and ask for the next four. What should it say? In
# half of our clips it went sideways, in the other half up or down. A network that is trained to be *nearest on
# average*, by a squared error or pixel by pixel, has one answer only, and its best is the average of all futures: a
# smear. (You have met that smear as the blur of a VAE.) What we want is a *distribution* over futures, given the frame.
#
# That is a VAE with a condition, a **CVAE** (Sohn, Lee & Yan 2015). Every part of the story gets the condition $c$ to
# see:
#
# $$z \sim p_\theta(z \mid c), \qquad x \sim p_\theta(x \mid z, c).$$
#
# The code $z$ now need not tell what can be seen in $c$ anyway: the shape of the digit, its place. All that is left for
# it to say is what $c$ leaves *open*, which way it goes. And the prior depends on $c$, too, because what is possible
# does: from the edge a digit cannot go further out. The bound is derived as before, with $c$ behind every bar:
#
# $$\log p(x \mid c) \ge \mathbb{E}_{q(z \mid x, c)} \big[ \log p_\theta(x \mid z, c) \big]
# - \mathrm{KL}\big( q_\phi(z \mid x, c) \,\|\, p_\theta(z \mid c) \big).$$
#
# Its second term is now between two Gaussians, neither of them standard. Measure everything in units of the prior: with
# the ratio $r = \sigma^2 / \sigma_p^2$, in each dimension
#
# $$\mathrm{KL} = \tfrac12 \left( r + \frac{(\mu - \mu_p)^2}{\sigma_p^2} - 1 - \log r \right).$$
#
# ### Exercise · `kl_to_prior`
#
# *● · 10 minutes.* It is not symmetric: mind which of the two is in the denominator.


# %% exercise="kl_to_prior" points=2
def kl_to_prior(
    mu: Float[Tensor, "batch latent"],
    logvar: Float[Tensor, "batch latent"],
    prior_mu: Float[Tensor, "batch latent"],
    prior_logvar: Float[Tensor, "batch latent"],
) -> Float[Tensor, "batch"]:
    """KL(N(μ, σ²) ‖ N(μₚ, σₚ²)) of each data point, in closed form.

    All dimensions are independent, in both Gaussians. With μₚ = 0 and σₚ = 1 it is the
    divergence of a plain VAE (Sohn et al. 2015, section 4).

    Args:
        mu: means μ of the posterior (batch, latent).
        logvar: its log-variances log σ² (batch, latent).
        prior_mu: means μₚ of the prior (batch, latent), a different one for each data point.
        prior_logvar: its log-variances log σₚ² (batch, latent).

    Returns:
        Divergences (batch,), in nats: a sum over latent dimensions, no mean over the batch.
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `conditional_elbo`
#
# *●● · 15 minutes.* As in the `vae` assignment, with the condition passed on. During training the code comes from the
# *posterior*, which has seen the future; the prior, which has not, is pulled after it by the KL term. When we generate,
# there is no future to be seen, and the prior is asked.


# %% exercise="conditional_elbo" points=3
def conditional_elbo(
    target: Float[Tensor, "batch *data"],
    condition: Float[Tensor, "batch *given"],
    encoder: Callable,
    prior: Callable,
    decoder: Callable,
    noise: Float[Tensor, "batch latent"],
    *,
    log_likelihood: Callable,
    kl: Callable = kl_to_prior,
) -> Float[Tensor, "batch"]:
    """The evidence lower bound of log p(target | condition), estimated with one code for each.

    log p(x|z, c) − KL(q(z|x, c) ‖ p(z|c)), with the code z drawn from q(z|x, c) by
    reparameterisation: z is the posterior's mean plus its standard deviation times the noise
    (Sohn et al. 2015, equation 4). x is the target, c the condition. Gradients reach the encoder,
    the prior and the decoder.

    Args:
        target: what is to be told (batch, *data), such as the frames to come.
        condition: what is known (batch, *given), such as the frame before them.
        encoder: encoder(target, condition) gives the pair (mu, logvar) of q(z|x, c), each
            (batch, latent); logvar is log σ².
        prior: prior(condition) gives the pair (mu, logvar) of p(z|c), likewise.
        decoder: decoder(z, condition) gives what `log_likelihood` takes.
        noise: draws from N(0, 1) (batch, latent), the only source of randomness.
        log_likelihood: log_likelihood(decoded, target) gives log p(x|z, c) of each data point
            (batch,), in nats.
        kl: your `kl_to_prior`, or another function that is called like it.

    Returns:
        Bounds (batch,), in nats: to be maximised, no mean over the batch.
    """
    raise NotImplementedError


# %% [markdown]
# The decoder below does not paint. It says for each of the four frames how far the first one has to be moved, and
# *your* `warp` moves it (as Finn et al. 2016 did for robots that push things). So it cannot change what the thing is:
# coherence is built in. Two numbers for a code, so that we can look at all of them.

# %% tags=["hands-on"]
world = {"kinds": KINDS, "hands": 8, "grid": 4, "motions": STRAIGHT}
short = moving_digits(digits, 4000, frames=5, **world, generator=torch.Generator().manual_seed(4))
first = short.videos[:, 0, 0].flatten(1).to(DEVICE)
later = short.videos[:, 0, 1:].flatten(1).to(DEVICE)


class Network(nn.Module):
    """Two hidden layers; reads inputs side by side, and may answer with mean and log-variance."""

    def __init__(self, inputs, outputs, *, gaussian=False, width=128):
        super().__init__()
        hidden = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, (1 + gaussian) * outputs))
        self.gaussian = gaussian

    def forward(self, *parts):
        """What comes of all parts of the input, side by side."""
        result = self.layers(torch.cat(parts, dim=1))
        return result.chunk(2, dim=1) if self.gaussian else result


class Mover(nn.Module):
    """Moves the first frame, by what a code says, to where it is in each of the next four."""

    def __init__(self, latent_dim):
        super().__init__()
        self.steps = Network(latent_dim + 256, 8)

    def forward(self, z, frame):
        """The four frames after `frame` (batch, 4 · 256)."""
        places = self.steps(z, frame).view(-1, 4, 2).cumsum(dim=1).flatten(0, 1)
        flow = places[:, :, None, None].expand(-1, -1, 16, 16)
        frames = frame.view(-1, 1, 16, 16).repeat_interleave(4, dim=0)
        return warp(frames, flow).view(len(frame), -1)


def gaussian_log_likelihood(painted, target, std=0.25):
    """log p(x|z, c) of each clip, up to a constant."""
    return -(painted - target).square().sum(dim=1) / (2 * std**2)


torch.manual_seed(0)
encoder = Network(1024 + 256, 2, gaussian=True).to(DEVICE)
prior = Network(256, 2, gaussian=True).to(DEVICE)
mover = Mover(2).to(DEVICE)
average = Network(256, 1024).to(DEVICE)  # for comparison: one answer for each frame, no code
networks = nn.ModuleList([encoder, prior, mover, average])
optimizer = torch.optim.Adam(networks.parameters(), lr=2e-3)
generator = torch.Generator().manual_seed(0)
bounds = []
for _ in tqdm(range(round(350 * BUDGET)), desc="CVAE"):
    batch = torch.randint(len(first), (64,), generator=generator)
    noise = torch.randn(64, 2, generator=generator).to(DEVICE)
    bound = conditional_elbo(
        later[batch],
        first[batch],
        encoder,
        prior,
        mover,
        noise,
        log_likelihood=gaussian_log_likelihood,
    ).mean()
    smear = F.binary_cross_entropy_with_logits(average(first[batch]), later[batch])
    optimizer.zero_grad()
    (1000 * smear - bound).backward()
    optimizer.step()
    bounds.append(bound.item())

# %% [markdown]
# Two first frames that training has seen with several futures. Below each what happened, the one answer of the
# averaging network, and what comes of codes drawn from the prior.

# %% tags=["hands-on"]
middle = (short.places[:, 0] == 4).all(dim=1)
corner = (short.places[:, 0] == 0).all(dim=1)
generator = torch.Generator().manual_seed(1)
rows = {}
with torch.no_grad():
    for place, name in ((middle, "middle"), (corner, "corner")):
        which = place.nonzero()[0]
        frame = first[which]
        futures = {"what happened": later[which], "the average": average(frame).sigmoid()}
        for number in range(1, 5):
            mu, logvar = prior(frame)
            noise = torch.randn(mu.shape, generator=generator).to(DEVICE)
            futures[f"draw {number}"] = mover(mu + (logvar / 2).exp() * noise, frame)
        for kind, future in futures.items():
            rows[f"{name}: {kind}"] = torch.cat([frame, future.view(4, 256)])
plots.strips(rows, (16, 16), title="The first frame, and four that follow")

# %% [markdown]
# The draws need not be right to be *possible*. Count where a thousand of them go; and look at the codes that the
# encoder gives to clips which begin in the middle, in the colours of what happened there.

# %% tags=["hands-on"]
print(f"{'':8}{'left':>8}{'right':>8}{'up':>8}{'down':>8}")
with torch.no_grad():
    for place, name in ((middle, "middle"), (corner, "corner")):
        frames = first[place.nonzero()[0]].expand(1000, -1)
        mu, logvar = prior(frames)
        noise = torch.randn(1000, 2, generator=generator).to(DEVICE)
        shift = mover.steps(mu + (logvar / 2).exp() * noise, frames).view(-1, 4, 2).sum(dim=1)
        across = shift[:, 0].abs() > shift[:, 1].abs()
        way = torch.where(across, (shift[:, 0] < 0).long(), 2 + (shift[:, 1] < 0).long())
        shares = torch.bincount(way, minlength=4) / 1000  # fetched from the right: to the left
        print(f"{name:8}" + "".join(f"{share:8.0%}" for share in shares.tolist()))
    codes = encoder(later[middle], first[middle])[0].cpu()
went = [STRAIGHT[motion].split()[1] for motion in short.motions[middle].tolist()]
plots.scatter({"Codes of clips that begin in the middle": codes}, went)

# %% [markdown]
# The code has become a compass. Nobody told it about directions; it says what the first frame leaves open, and nothing
# else. The prior has learnt that from the corner there are two ways only. (Some draws fall between the clusters, and go
# aslant or not as far. A Gaussian has no holes, and four ways have.)

# %% [markdown] question="futures" points=3
# ### Question · The average of all futures
#
# The averaging network and the CVAE saw the same clips. In your own words: why does the first answer with a smear, and
# would a larger network or more data help? What does the CVAE's code hold here, and how could you tell from its KL, in
# nats, that it holds a choice among about four ways and not a picture? Finally: in the corner only two ways are open.
# Which network of the three, and which term of the bound, is responsible that no digit is sent out of the frame?
#
# *3 points: one for the smear as the optimum of its loss; one for the code and the number of nats ($\ln 4 \approx 1.4$
# is the least); one for the prior and the KL term.*

# %% [markdown]
# ## 4 · Two critics
#
# A GAN needs no likelihood, only somebody who can tell real from generated. What should a critic of *films* look at? At
# a whole clip, by a network over space and time: it sees motion, and has an enormous number of pixels to find fault
# with. Or at single frames: each must be a good picture. MoCoGAN (Tulyakov et al. 2018) and DVD-GAN (Clark et al. 2019)
# employ one critic each. The frame critic sees a few frames at random at full quality, the clip critic everything more
# coarsely, and neither has to do the other's work.
#
# ### Exercise · `pick_frames`
#
# *● · 10 minutes.* Take frames out of clips, and stack them into one batch. Advice that saves an evening: a `view` or
# `reshape` that must cross channels and time without a `transpose` first gives a batch of the right shape, and of no
# picture that ever was.


# %% exercise="pick_frames" points=1
def pick_frames(
    videos: Float[Tensor, "batch channels time height width"],
    times: Int[Tensor, "batch frames"],
) -> Float[Tensor, "batch*frames channels height width"]:
    """Take single frames out of clips, as a batch of images for a critic of images.

    Tulyakov et al. 2018, section 3. Gradients flow to the frames that are taken.

    Args:
        videos: clips (batch, channels, time, height, width).
        times: which frames of each clip (batch, frames), int64, counting from 0; any order, and
            one may be taken several times.

    Returns:
        Images (batch · frames, channels, height, width), clip after clip: the frame of clip b at
        times[b, i] is row b · frames + i.
    """
    raise NotImplementedError


# %% [markdown]
# The loss is the **hinge** that DVD-GAN uses (Lim & Ye 2017): a critic is asked to score real examples above 1 and
# generated ones below −1, and is not paid for more; the generator wants a high score,
#
# $$\mathcal{L}_D = \mathbb{E}\,[\max(0, 1 - D(x))] + \mathbb{E}\,[\max(0, 1 + D(G))], \qquad
# \mathcal{L}_G = -\mathbb{E}\,[D(G)],$$
#
# for each critic, and added up.
#
# ### Exercise · `video_gan_losses`
#
# *●● · 10 minutes.* There are more frames than clips, so take the means apart.


# %% exercise="video_gan_losses" points=2
def video_gan_losses(
    real_frames: Float[Tensor, "real_frames"],
    fake_frames: Float[Tensor, "fake_frames"],
    real_clips: Float[Tensor, "real_clips"],
    fake_clips: Float[Tensor, "fake_clips"],
    frame_weight: float = 1.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What two critics and a generator of video minimise: hinge losses of frames and of clips.

    One critic looks at single frames, the other at whole clips (Tulyakov et al. 2018, section
    3), with hinge losses (Clark et al. 2019). For one critic, with scores r of real and f of
    generated examples,

        critic    = mean of max(0, 1 − r) + mean of max(0, 1 + f)
        generator = −mean of f,

    and each of the two results is `frame_weight` times the frame critic's term plus the clip
    critic's. Each mean is over its own scores: there may be more frames than clips, and more
    generated examples than real ones, or fewer.

    Args:
        real_frames: the frame critic's scores of real frames (real_frames,), any real numbers.
        fake_frames: its scores of generated frames (fake_frames,).
        real_clips: the clip critic's scores of real clips (real_clips,).
        fake_clips: its scores of generated clips (fake_clips,).
        frame_weight: how much the frame critic counts.

    Returns:
        The pair (critics' loss, generator's loss), scalars of shape (), with their graphs.
    """
    raise NotImplementedError


# %% [markdown]
# The generator splits its noise as MoCoGAN does: one code for **content**, drawn once for a clip, from which a picture
# is painted; a small recurrent network for **motion**, with fresh noise at each step, told in which direction it is to
# go. The picture is moved by `warp`. The clip critic knows the direction, too, and besides generated clips it is shown
# *real clips with the wrong direction* as fakes (the matching-aware trick of text-to-image GANs; your loss allows more
# fakes than reals). What keeps the critics in check is spectral normalisation.

# %% tags=["hands-on"]
spectral_norm = nn.utils.parametrizations.spectral_norm


class Generator(nn.Module):
    """A picture, and a way for it to go."""

    def __init__(self):
        super().__init__()
        self.content = nn.Sequential(Network(16, 64), nn.Sigmoid())
        self.motion = nn.GRUCell(4 + 4, 16)
        self.velocity = nn.Linear(16, 2)

    def forward(self, motions, generator):
        """A clip for each motion, with noise from the generator."""
        count = len(motions)
        told = F.one_hot(motions, 4).float()
        noise = torch.randn(count, 16, generator=generator).to(DEVICE)
        picture = F.pad(self.content(noise).view(count, 1, 8, 8), (4, 4, 4, 4))
        state, place = noise.new_zeros(count, 16), noise.new_zeros(count, 2)
        frames = [picture]
        for _ in range(4):
            fresh = torch.randn(count, 4, generator=generator).to(DEVICE)
            state = self.motion(torch.cat([fresh, told], dim=1), state)
            place = place + self.velocity(state)
            frames.append(warp(picture, place[:, :, None, None].expand(-1, -1, 16, 16)))
        return torch.stack(frames, dim=2)


def make_critic(inputs, outputs):
    """A critic of three layers, none of them steeper than 1."""
    sizes = (inputs, 128), (128, 128), (128, outputs)
    one, two, three = (spectral_norm(nn.Linear(*size)) for size in sizes)
    return nn.Sequential(nn.Flatten(), one, nn.LeakyReLU(0.2), two, nn.LeakyReLU(0.2), three)


def clip_scores(clips, motions):
    """Is it real, and does it go that way?"""
    scores = clip_critic(clips)
    return scores[:, 4] + 2 * scores.gather(1, motions[:, None]).squeeze(1)


torch.manual_seed(1)
painter = Generator().to(DEVICE)
frame_critic, clip_critic = make_critic(256, 1).to(DEVICE), make_critic(5 * 256, 5).to(DEVICE)
critics = nn.ModuleList([frame_critic, clip_critic])
painter_optimizer = torch.optim.Adam(painter.parameters(), lr=2e-3, betas=(0.5, 0.99))
critic_optimizer = torch.optim.Adam(critics.parameters(), lr=4e-3, betas=(0.5, 0.99))
real_clips, real_motions = short.videos[middle].to(DEVICE), short.motions[middle].to(DEVICE)
generator = torch.Generator().manual_seed(1)
history = []
for _ in tqdm(range(round(450 * BUDGET)), desc="two critics"):
    batch = torch.randint(len(real_clips), (32,), generator=generator).to(DEVICE)
    real, motions = real_clips[batch], real_motions[batch]
    wrong = (motions + torch.randint(1, 4, (32,), generator=generator).to(DEVICE)) % 4
    times = torch.randint(5, (32, 2), generator=generator).to(DEVICE)
    fake = painter(motions, generator)

    losses = []
    for shown in (fake.detach(), fake):
        frames = [frame_critic(pick_frames(some, times)).squeeze(1) for some in (real, shown)]
        scored = [clip_scores(some, motions) for some in (real, shown)]
        if shown is not fake:
            scored[1] = torch.cat([scored[1], clip_scores(real, wrong)])
            loss = video_gan_losses(
                *frames,
                *scored,
            )[0]
            optimizer = critic_optimizer
        else:
            loss = video_gan_losses(
                *frames,
                *scored,
            )[1]
            optimizer = painter_optimizer
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history.append(losses)

# %% tags=["hands-on"]
with torch.no_grad():
    asked = torch.arange(4).repeat_interleave(2).to(DEVICE)
    made = painter(asked, torch.Generator().manual_seed(5)).cpu()
rows = {}
for place, motion in enumerate(asked.tolist()):
    rows[f"{STRAIGHT[motion]}, {'ab'[place % 2]}"] = made[place, 0].flatten(1)
plots.strips(rows, (16, 16), title="What the generator makes when told the direction")

# %% [markdown]
# It goes where it is told. Its pictures are less good: a few shapes, over and over, some of them no digit. Two critics
# do not protect from mode collapse, and a few seconds of training do not make a painter. What you can see here is the
# division of labour: how things look comes from one critic, how they go from the other.

# %% [markdown]
# ## 5 · A vocabulary for video
#
# Language models are the best generators that we have, and they need *tokens*. Pixels are bad tokens: our tiny clips
# would be sentences of 2304 words, and real ones of millions, nearly all of them redundant. So let a network learn a
# vocabulary in which a clip is a short text. That is the **VQ-VAE** (van den Oord et al. 2017), here for video, as in
# VideoGPT:
#
# - an *encoder* turns the clip into a coarse grid of vectors, here from 9 × 16 × 16 pixels to 3 × 4 × 4 places;
# - each vector is replaced by the nearest one of a **codebook** of 128. Its number is the token;
# - a *decoder* paints the clip from the codebook's vectors.
#
# ### Time has a direction
#
# The encoder is made of three-dimensional convolutions. An ordinary one would let the code of a moment depend on what
# comes *after* it. That is harmless for compression, but awkward when the model is to continue a clip of which only the
# beginning is there, and it could not encode a single image at all. So use convolutions that are **causal in time** (as
# `CausalConv1d` was in WaveNet): all $k - 1$ frames of padding go in front. What should stand there, before the
# beginning? Zeros would be a black leader, and a still scene would begin with a jolt. Repeating the first frame does
# not (Yu et al. 2024; Yang et al. 2025). Then the first frame is encoded from itself alone, and an image is a film of
# one frame.
#
# With a stride of 4 in time the frames 0, 4 and 8 are kept, each of which has seen what came before it: 9 frames become
# $1 + 2$ moments.
#
# ### Exercise · `CausalConv3d`
#
# *●● · 20 minutes.*


# %% exercise="CausalConv3d" points=3
class CausalConv3d(nn.Module):
    """A convolution over time, height and width that never looks ahead in time.

    With a kernel of k frames, frame t of the output (before strides) is made of the frames
    t − k + 1, …, t of the input; the last slice of the kernel is for the present. Before the
    beginning the first frame is repeated, k − 1 times, so that a still scene stays still (Yu et al.
    2024, section 3.2; the repetition as in Yang et al. 2025). In height and width the kernel is
    centred, and there are zeros around the frame.

    With strides (a, b, c) only the frames 0, a, 2a, …, the rows 0, b, 2b, … and the columns 0, c,
    2c, … of that output are kept, so that a size n becomes ⌈n / stride⌉.

    The parameters are called `weight` (out_channels, in_channels, *kernel_size) and `bias`
    (out_channels,), as in `nn.Conv3d`, and begin like that one's.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: frames, rows and columns of the kernel; rows and columns are odd.
        stride: steps in time, height and width.

    Raises:
        ValueError: if the rows or columns of the kernel are even.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int, int],
        *,
        stride: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "batch in_channels time height width"],
    ) -> Float[Tensor, "batch out_channels new_time new_height new_width"]:
        """Apply the layer to a batch of clips.

        Args:
            x: clips or feature maps (batch, in_channels, time, height, width).

        Returns:
            Feature maps (batch, out_channels, new_time, new_height, new_width).
        """
        raise NotImplementedError


# %% [markdown]
# ### Attention along the axes
#
# Convolutions see a few pixels far. Attention sees everything, at a price: $N$ places need $N^2$ weights, and a clip of
# only 16 frames of 32 × 32 places has $N = 16\,384$, hence 268 million. **Axial attention** (Ho et al. 2019) lets each
# place look along one axis only: first along time, then along its column, then along its row. Each place then compares
# itself with $T + H + W$ others instead of $T \cdot H \cdot W$, and after the three steps everything has had a way to
# everything. VideoGPT's encoder and decoder use it, and most video diffusion models alternate attention over space and
# over time in the same manner.
#
# ### Exercise · `axial_attention`
#
# *●● · 20 minutes.* Bring the axis next to the channels, and treat all else as batch. Then bring it back!


# %% exercise="axial_attention" points=3
def axial_attention(
    query: Float[Tensor, "batch time height width d_key"],
    key: Float[Tensor, "batch time height width d_key"],
    value: Float[Tensor, "batch time height width d_value"],
    axis: Literal["time", "height", "width"],
    mask: Bool[Tensor, "length length"] | None = None,
) -> Float[Tensor, "batch time height width d_value"]:
    """Attention along one axis of a video: each place looks at those of its own line only.

    A line runs along `axis` through a place, its other two coordinates being fixed. Among the
    places of one line it is scaled dot-product attention,

        Σ_j w_ij v_j,   w_ij = softmax over j of (q_i · k_j / √d_key)

    (Ho et al. 2019, section 3). Different lines, and different clips, have nothing to do with
    each other. It stays finite at scores of ±10⁴.

    Args:
        query: queries (batch, time, height, width, d_key).
        key: keys, of the same shape.
        value: values (batch, time, height, width, d_value).
        axis: along which axis the lines run.
        mask: True where the i-th place of a line may look at the j-th (length, length), the same
            for all lines; `length` is the size of `axis`, and every row has a True. None allows
            everything.

    Returns:
        What each place gathered (batch, time, height, width, d_value).
    """
    raise NotImplementedError


# %% tags=["hands-on"]
frames_seen = torch.arange(2, 33, 2)
full = (frames_seen * 32 * 32).double() ** 2
axial = (frames_seen * 32 * 32).double() * (frames_seen + 32 + 32)
plots.curves(
    {
        "Weights for a clip of 32 × 32 places": {
            "all with all": full.log10(),
            "along the axes": axial.log10(),
        }
    },
    x=frames_seen,
    xlabel="frames",
    ylabel="attention weights, log₁₀",
)

# %% [markdown]
# ### Choosing a word
#
# Each vector $z$ of the encoder becomes the nearest vector of the codebook,
#
# $$k = \arg\min_j \lVert z - e_j \rVert, \qquad z_q = e_k .$$
#
# A choice has no gradient: move $z$ a little and $k$ stays what it was. So one *pretends*. In the forward pass $z_q$ is
# used, in the backward pass the gradient at $z_q$ is handed to $z$ as if the two were the same: the **straight-through
# estimator** (Bengio et al. 2013). If the decoder says "I wish this vector were a little further up", the encoder is
# told so, and does not mind that it was another vector that the decoder saw. The idiom is $z + \mathrm{sg}[z_q - z]$,
# where $\mathrm{sg}$ stops gradients.
#
# ### Exercise · `vector_quantize`
#
# *●●● · 20 minutes.*


# %% exercise="vector_quantize" points=4
def vector_quantize(
    z: Float[Tensor, "*positions dim"],
    codebook: Float[Tensor, "codes dim"],
) -> tuple[Float[Tensor, "*positions dim"], Int[Tensor, "*positions"]]:
    """Replace each vector by the nearest one of a codebook, with straight-through gradients.

    Nearest by the Euclidean distance; of several that are equally near, the first in the
    codebook (van den Oord et al. 2017, equations 1 and 2). Backwards the layer is taken for the
    identity: the gradient with respect to a quantised vector passes unchanged to the vector of
    `z` that it replaces, and none flows to the codebook.

    Args:
        z: what the encoder says at each position (*positions, dim).
        codebook: the vectors to choose from (codes, dim).

    Returns:
        The pair (quantised vectors (*positions, dim); the number of each in the codebook
        (*positions), int64, from 0 to codes − 1).
    """
    raise NotImplementedError


# %% [markdown]
# The straight-through gradient goes around the codebook, so the codebook would never learn. Two more terms see to it
# that the two sides meet (van den Oord et al. 2017, eq. 3):
#
# $$\underbrace{\lVert \mathrm{sg}[z] - e \rVert^2}_{\text{the codebook comes to the encoder}} + \;
# \beta\, \underbrace{\lVert z - \mathrm{sg}[e] \rVert^2}_{\text{the encoder commits itself}} .$$
#
# Without the stops both would be the same term, and $\beta$ meaningless. With $\beta < 1$ the codebook does most of the
# walking.
#
# ### Exercise · `vq_loss`
#
# *●● · 10 minutes.*


# %% exercise="vq_loss" points=3
def vq_loss(
    z: Float[Tensor, "*positions dim"],
    nearest: Float[Tensor, "*positions dim"],
    beta: float = 0.25,
) -> Float[Tensor, ""]:
    """What draws the codebook to the encoder's vectors, and these to the codebook.

    The mean over all positions of ‖sg[z] − e‖² + β ‖z − sg[e]‖², where e is `nearest`, ‖·‖² sums
    over the last dimension, and sg stops the gradient: the first term moves the codebook only,
    the second the encoder only (van den Oord et al. 2017, equation 3, without its first term).

    Args:
        z: what the encoder says at each position (*positions, dim).
        nearest: the codebook's vector for each (*positions, dim), with its graph:
            codebook[indices], not the straight-through result.
        beta: the weight β of the second term, the commitment.

    Returns:
        A scalar, of shape ().
    """
    raise NotImplementedError


# %% [markdown]
# The failure to watch for is **codebook collapse**: a few codes are chosen all the time, and are trained; the others
# are chosen never, so they never learn anything that would make anybody choose them. How many codes are *really* in
# use? With shares $p_k$, the entropy $-\sum_k p_k \ln p_k$ is that of a fair die with $\exp(\text{entropy})$ sides.
#
# ### Exercise · `codebook_perplexity`
#
# *● · 5 minutes.*


# %% exercise="codebook_perplexity" points=1
def codebook_perplexity(indices: Int[Tensor, "*positions"], codes: int) -> float:
    """How many codes are in use, in effect: e to the power of the entropy of their shares.

    The share of a code is how often it occurs among the indices, divided by their number; a
    code that never occurs adds nothing to the entropy −Σ p log p.

    Args:
        indices: numbers of codes (*positions), int64, from 0 to codes − 1; at least one.
        codes: how many codes the codebook has.

    Returns:
        A number from 1, if one code does all the work, to `codes`, if all are equally frequent.
    """
    raise NotImplementedError


# %% [markdown]
# ### Training the vocabulary
#
# The network is small: a causal convolution that cuts the clip into blocks, one axial block, a codebook, two causal
# convolutions back. Two tricks of the trade keep the codebook alive. For the first steps nothing is quantised, and then
# the codebook begins with vectors that the encoder really uses. And a code that was not chosen lately is moved to where
# some vector of the encoder is.

# %% tags=["hands-on"]
CODES = 128
library = moving_digits(digits, 4000, frames=9, **world, generator=torch.Generator().manual_seed(6))
videos = library.videos.to(DEVICE)


class AxialBlock(nn.Module):
    """Attention along time (to the past only), height and width, added to what was there."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.inputs = nn.Conv3d(width, 3 * width, 1)
        self.output = nn.Conv3d(width, width, 1)

    def forward(self, x):
        """Let every place look along its three lines."""
        query, key, value = self.inputs(self.norm(x)).movedim(1, 4).chunk(3, dim=4)
        past = torch.ones(x.shape[2], x.shape[2], dtype=torch.bool, device=x.device).tril()
        masks = {"time": past, "height": None, "width": None}
        gathered = sum(axial_attention(query, key, value, *look) for look in masks.items())
        return x + self.output(gathered.movedim(4, 1))


class VQVAE(nn.Module):
    """Clips (batch, 1, 1 + 4n, 16, 16) to grids of codes (batch, 1 + n, 4, 4), and back."""

    def __init__(self, width=64, dim=16):
        super().__init__()
        self.encoder = nn.Sequential(
            CausalConv3d(1, width, (5, 5, 5), stride=(4, 4, 4)),
            nn.GELU(),
            nn.Conv3d(width, width, 1),
            nn.GELU(),
            AxialBlock(width),
            nn.Conv3d(width, dim, 1),
        )
        self.codebook = nn.Parameter(torch.randn(CODES, dim))
        self.decoder = nn.Sequential(
            CausalConv3d(dim, width, (2, 3, 3)),
            nn.GELU(),
            nn.Conv3d(width, 2 * width, 1),
            nn.GELU(),
            nn.Conv3d(2 * width, 64, 1),  # a block of 4 × 4 × 4 pixels at each place
        )

    def encode(self, clips):
        """Vectors (batch, time, 4, 4, dim), not yet quantised."""
        return self.encoder(clips).movedim(1, 4)

    def decode(self, vectors):
        """The logits of a clip's pixels."""
        blocks = self.decoder(vectors.movedim(4, 1)).unflatten(1, (4, 4, 4))
        clips = blocks.permute(0, 4, 1, 5, 2, 6, 3).flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return clips[:, None, 3:]  # the first moment is one frame, all others are four

    @torch.no_grad()
    def codes(self, clips):
        """The grid of codes of each clip."""
        grids = [vector_quantize(self.encode(part), self.codebook)[1] for part in clips.split(500)]
        return torch.cat(grids)

    @torch.no_grad()
    def paint(self, codes):
        """The clip of each grid of codes."""
        return self.decode(self.codebook[codes]).sigmoid()


torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
vqvae = VQVAE().to(DEVICE)
STEPS = round(330 * BUDGET)
FREE = STEPS * 2 // 5  # so long nothing is quantised
optimizer = torch.optim.Adam(vqvae.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS, pct_start=0.1)
painting, in_use = [], []
for step in tqdm(range(STEPS), desc="VQ-VAE"):
    batch = videos[torch.randint(len(videos), (32,), generator=generator).to(DEVICE)]
    vectors = vqvae.encode(batch)
    spread = vectors.detach().flatten(0, 3)
    some = torch.randint(len(spread), (CODES,), generator=generator).to(DEVICE)
    if step == FREE:
        vqvae.codebook.data.copy_(spread[some])
    penalty = 0.0
    if step >= FREE:
        quantized, indices = vector_quantize(vectors, vqvae.codebook)
        penalty = vq_loss(vectors, vqvae.codebook[indices])
        vectors = quantized
        in_use.append(codebook_perplexity(indices, CODES))
        if step % 25 == 24 and step < 0.8 * STEPS:
            idle = torch.bincount(indices.flatten(), minlength=CODES) == 0
            vqvae.codebook.data[idle] = spread[some][idle]
    logits = vqvae.decode(vectors)
    nats = F.binary_cross_entropy_with_logits(logits, batch, reduction="sum") / len(batch)
    optimizer.zero_grad()
    (nats / 16 + penalty).backward()
    optimizer.step()
    schedule.step()
    painting.append(nats.item())

plots.curves(
    {
        "Painting": {"": painting},
        "Codes in use": {"": (torch.arange(FREE, STEPS), in_use)},
    },
    xlabel="step",
    ylabel=("nats a clip", f"perplexity, of {CODES}"),
)

# %% tags=["hands-on"]
codes = vqvae.codes(videos)
painted = vqvae.paint(codes[:4]).cpu()
rows = {}
for k in range(4):
    rows[library.captions[k]] = library.videos[k, 0].flatten(1)
    rows[f"{library.captions[k]}, painted"] = painted[k, 0].flatten(1)
plots.strips(rows, (16, 16), title="2304 pixels, and what 48 codes make of them")

# %% [markdown]
# Forty-eight tokens of 7 bits: 42 bytes for a clip that took 2304 bytes. What is lost is grey detail. That a GPT could
# learn, too; but it would have to, and it has better things to do.

# %% [markdown]
# ## 6 · Video from text
#
# From here on it is language modelling. A *sentence* is a caption, and behind it the codes of the clip in raster order:
# frame by frame, row by row. One vocabulary holds both: first the words, then the codes, each of them pushed up by the
# number of words so that token 3 is not both "down" and code 3.
#
# ### Exercise · `video_tokens` and `video_from_tokens`
#
# *● · 5 minutes each.* There and back.


# %% exercise="video_tokens" points=1
def video_tokens(
    codes: Int[Tensor, "batch time height width"],
    offset: int,
) -> Int[Tensor, "batch time*height*width"]:
    """Write the codes of a clip one after the other, as a sentence that a language model reads.

    In raster order: frame after frame, in a frame row after row from the top, in a row from the
    left. To each code `offset` is added, so that its token differs from those of words (Yan et
    al. 2021, section 3.2).

    Args:
        codes: numbers in the codebook (batch, time, height, width), int64.
        offset: how many tokens are words: the token of code 0.

    Returns:
        Tokens (batch, time · height · width), int64.
    """
    raise NotImplementedError


# %% exercise="video_from_tokens" points=1
def video_from_tokens(
    tokens: Int[Tensor, "batch length"],
    shape: tuple[int, int, int],
    offset: int,
) -> Int[Tensor, "batch time height width"]:
    """Read a sentence of tokens as the codes of a clip again: the inverse of `video_tokens`.

    Args:
        tokens: tokens in raster order (batch, length), int64.
        shape: time, height and width of the clip's grid of codes.
        offset: the token of code 0.

    Returns:
        Codes (batch, time, height, width), int64.

    Raises:
        ValueError: if `length` is not time · height · width, or if one of the tokens is a word,
            that is, below `offset`.
    """
    raise NotImplementedError


# %% [markdown]
# ### Learning to answer
#
# The model is trained to foretell the next token, and *which* tokens are scored decides what it learns. The caption is
# a question. Somebody else will ask it, so there is no use in learning to foretell it, and its loss would only blur the
# curve. Scored are the tokens of the video, all of them: also the first, which is foretold *at the last word of the
# caption*. This is the place for an off-by-one: whoever scores from the first position *of* the video on drops the one
# token that must be chosen from the words alone.
#
# ### Exercise · `next_token_loss`
#
# *●●● · 20 minutes.* Logits at $t$ are about token $t + 1$.


# %% exercise="next_token_loss" points=3
def next_token_loss(
    logits: Float[Tensor, "batch length vocabulary"],
    tokens: Int[Tensor, "batch length"],
    text_lengths: Int[Tensor, "batch"],
    padding: int,
) -> Float[Tensor, ""]:
    """The cross-entropy of the video's tokens, each given the caption and the tokens before it.

    A row of `tokens` is a caption, then a video, then padding up to the longest. The logits at a
    position are about the token at the *next* one, so those at the last position are about
    nothing. The caption is read, not learnt: its tokens are not scored, and neither is padding;
    the first token of the video, which the last word of the caption foretells, is (Yan et al.
    2021, section 3.2, with text as the condition). It stays finite at scores of ±10⁴.

    Args:
        logits: the model's scores of every token (batch, length, vocabulary).
        tokens: what stands at each position (batch, length), int64.
        text_lengths: how many tokens the caption of each row has (batch,), at least 1.
        padding: the token that fills up short rows. Wherever it stands it is not scored.

    Returns:
        A scalar, of shape (), in nats for a token: the mean over all scored tokens of the batch,
        so that a row with twice as many counts twice as much. At least one is scored.
    """
    raise NotImplementedError


# %% [markdown]
# ### The model
#
# A GPT of two layers, given. One thing is special: the embedding of a code is made from its *vector in the codebook*
# (as in VideoGPT), so that the model need not find out from nothing which codes look alike; try without it, and
# conditioning takes several times as long to appear. A place is the sum of a moment, a row and a column.

# %% tags=["hands-on"]
words = data.Vocabulary(sorted({word for caption in library.captions for word in caption.split()}))
OFFSET = len(words)
GRID = tuple(codes.shape[1:])
captions = words.encode(library.captions)
CAPTION = captions.shape[1]
print(f"a vocabulary of {OFFSET} words and signs, and {CODES} codes")
print(f"a sentence of {CAPTION} tokens of text, and {math.prod(GRID)} of video")


class Layer(nn.Module):
    """A Transformer block that looks back."""

    def __init__(self, width, heads=4):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.inputs, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        wide, narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.think = nn.Sequential(wide, nn.GELU(), narrow)

    def forward(self, x):
        """Look back, then think."""
        parts = self.inputs(self.norms[0](x)).chunk(3, dim=2)
        heads = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts]
        seen = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.output(seen.transpose(1, 2).flatten(2))
        return x + self.think(self.norms[1](x))


class VideoGPT(nn.Module):
    """Scores of what follows each token of a caption and a clip."""

    def __init__(self, codebook, width=64, layers=2):
        super().__init__()
        self.register_buffer("codebook", (codebook - codebook.mean(dim=0)) / codebook.std(dim=0))
        self.words = nn.Embedding(OFFSET, width)
        self.codes = nn.Linear(codebook.shape[1], width)
        places = [torch.randn(size, width) / 2 for size in (CAPTION, *GRID)]
        self.places = nn.ParameterList(map(nn.Parameter, places))
        self.layers = nn.Sequential(*[Layer(width) for _ in range(layers)], nn.LayerNorm(width))
        self.scores = nn.Linear(width, OFFSET + CODES)
        nn.init.zeros_(self.scores.weight)

    def forward(self, tokens):
        """Logits (batch, length, vocabulary) of the token after each of `tokens`."""
        table = torch.cat([self.words.weight, self.codes(self.codebook)])
        text, moment, row, column = self.places
        grid = (moment[:, None, None] + row[:, None] + column).flatten(0, 2)
        places = torch.cat([text, grid])[: tokens.shape[1]]
        return self.scores(self.layers(table[tokens] + places))


torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
gpt = VideoGPT(vqvae.codebook.detach()).to(DEVICE)
sentences = torch.cat([captions.to(DEVICE), video_tokens(codes, OFFSET)], dim=1)
lengths = torch.full((16,), CAPTION, device=DEVICE)
STEPS = round(650 * BUDGET)
optimizer = torch.optim.Adam(gpt.parameters(), betas=(0.9, 0.98))
cycle = {"max_lr": 8e-3, "total_steps": STEPS, "pct_start": 0.1, "cycle_momentum": False}
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, **cycle)
losses = []
for _ in tqdm(range(STEPS), desc="VideoGPT"):
    batch = sentences[torch.randint(len(sentences), (16,), generator=generator).to(DEVICE)]
    loss = next_token_loss(gpt(batch), batch, lengths, words.padding)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
smooth = torch.tensor(losses)[: STEPS // 10 * 10].view(-1, 10).mean(dim=1)
plots.curves(
    {"VideoGPT": {"": (10 * torch.arange(1, len(smooth) + 1), smooth)}},
    xlabel="step",
    ylabel="nats a token",
    levels={"every code alike": math.log(CODES)},
)

# %% [markdown]
# ### Writing a film
#
# The loop is that of every language model: ask, draw, append, ask again. Two things are new. Words cannot follow, so
# they take no part in the drawing. And a film may be *continued*: where the first moments are given, their tokens
# simply stand there already.
#
# ### Exercise · `sample_video`
#
# *●●● · 25 minutes.*


# %% exercise="sample_video" points=4
def sample_video(
    model: Callable,
    text: Int[Tensor, "batch words"],
    uniform: Float[Tensor, "batch time height width"],
    offset: int,
    *,
    temperature: float = 1.0,
    given: Int[Tensor, "batch given_time height width"] | None = None,
    to_tokens: Callable = video_tokens,
    to_codes: Callable = video_from_tokens,
) -> Int[Tensor, "batch time height width"]:
    """Draw clips from a language model of captions and codes, token by token in raster order.

    The model reads the caption, then all tokens of the clip so far, and the logits at the last
    position, divided by the temperature, are about the next token. Tokens below `offset` are
    words, and cannot follow: only the logits from `offset` on count, and the softmax is over
    these. The next code is the smallest k whose cumulative probability p(0) + … + p(k) exceeds
    the code's number in `uniform`, or the last code if rounding leaves none.

    The model is asked once for each code that is drawn, and not for others, without recording a
    graph. Yan et al. 2021, section 3.2.

    Args:
        model: model(tokens) gives for tokens (batch, length), int64, of any length, the logits
            of what follows each of them (batch, length, vocabulary).
        text: captions (batch, words), int64, all of one length, at least 1.
        uniform: draws from the uniform distribution on [0, 1) (batch, time, height, width), one
            for each code of the clip, the only source of randomness.
        offset: the token of code 0; codes are all tokens from here to the end of the vocabulary.
        temperature: above 0; the lower, the more surely the likeliest code is drawn.
        given: the first frames' codes (batch, given_time, height, width), int64, which are kept;
            the clip goes on from there, and their numbers in `uniform` have no effect. None
            draws all frames.
        to_tokens: your `video_tokens`, or another function that is called like it.
        to_codes: your `video_from_tokens`, or another function that is called like it.

    Returns:
        Codes (batch, time, height, width), int64, from 0 on, the given frames among them.
    """
    raise NotImplementedError


# %% tags=["hands-on"]


def imagine(texts, *, seed=0, temperature=0.8, given=None):
    """Clips for captions."""
    uniform = torch.rand(len(texts), *GRID, generator=torch.Generator().manual_seed(seed))
    told, draws = words.encode(texts).to(DEVICE), uniform.to(DEVICE)
    drawn = sample_video(gpt, told, draws, OFFSET, temperature=temperature, given=given)
    return vqvae.paint(drawn).cpu()


texts = [
    "a zero moves left",
    "a one moves right",
    "a three moves up",
    "a four moves down",
    "a seven moves left",
]
takes = imagine(texts, seed=3)
plots.strips({text: take[0].flatten(1) for text, take in zip(texts, takes, strict=True)}, (16, 16))

# %% tags=["hands-on"]
plots.film({text: take[0] for text, take in zip(texts, takes, strict=True)}, title="And as films")

# %% [markdown]
# ### Did it do what it was told?
#
# Do not trust your eyes, and still less the loss. Ask a **judge**: a small network that was trained on *real* clips,
# without any of your models, to say which digit it sees and which way it goes. First find out how good the judge is
# itself, then what the VQ-VAE costs, then what the GPT does. Guessing would get 20% of the digits and 25% of the
# directions.

# %% tags=["hands-on"]


class Judge(nn.Module):
    """Which digit is it, and where does it go?"""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(1, 12, (1, 3, 3), stride=(2, 2, 2), padding=(0, 1, 1)),
            nn.ReLU(),
            nn.Conv3d(12, 24, (3, 3, 3), stride=(2, 2, 2), padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * 3 * 4 * 4, 64),
            nn.ReLU(),
        )
        self.digit, self.motion = nn.Linear(64, 10), nn.Linear(64, 4)

    def forward(self, clips):
        """Logits of the digit and of the motion."""
        features = self.body(clips)
        return self.digit(features), self.motion(features)

    @torch.no_grad()
    def agrees(self, clips, labels, motions):
        """Whether it sees the digit, and whether the motion, that each clip should show."""
        digit, motion = self(clips.to(DEVICE))
        return digit.argmax(dim=1).cpu() == labels, motion.argmax(dim=1).cpu() == motions


judge = Judge().to(DEVICE)
optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
for _ in tqdm(range(round(250 * BUDGET)), desc="judge"):
    batch = torch.randint(len(videos), (48,), generator=generator)
    digit, motion = judge(videos[batch.to(DEVICE)])
    loss = F.cross_entropy(digit, library.labels[batch].to(DEVICE))
    loss = loss + F.cross_entropy(motion, library.motions[batch].to(DEVICE))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

fresh = moving_digits(digits, 120, frames=9, **world, generator=torch.Generator().manual_seed(8))
exam = {
    "real clips": fresh.videos,
    "through the VQ-VAE": vqvae.paint(vqvae.codes(fresh.videos.to(DEVICE))),
    "GPT, temperature 1.0": imagine(fresh.captions, temperature=1.0),
    "GPT, temperature 0.7": imagine(fresh.captions, temperature=0.7),
    "GPT, captions shuffled": imagine(fresh.captions[1:] + fresh.captions[:1], temperature=0.7),
}
print(f"{'':26}{'digit':>8}{'motion':>8}{'consistency':>13}")
for name, some in exam.items():
    digit, motion = judge.agrees(some, fresh.labels, fresh.motions)
    steady = frame_consistency(some.transpose(1, 2)).mean()
    print(f"{name:26}{digit.float().mean():8.0%}{motion.float().mean():8.0%}{steady:13.2f}")

# %% [markdown]
# The last row is the control that every conditional model should have to pass: the same captions, but each judged
# against *another* clip's wishes. It falls to guessing, so it is the text that decides.
#
# Now continue films. The first moment, which is the first frame alone since the encoder is causal, is taken from a real
# clip: a digit in the upper left corner. The caption says where it goes from there.

# %% tags=["hands-on"]
corners = ((library.places[:, 0] == 0).all(dim=1) & (library.motions == 1)).nonzero().squeeze(1)
which = [corners[library.labels[corners] == kind][0].item() for kind in (3, 7)]
rows = {}
for index in which:
    name = library.captions[index].rsplit(" ", 1)[0]
    for way in ("right", "down"):
        take = imagine([f"{name} {way}"], seed=1, temperature=0.5, given=codes[[index], :1])
        rows[f"{name} {way}"] = take[0, 0].flatten(1)
plots.strips(rows, (16, 16), title="The same first frame, two captions")

# %% [markdown] question="words_or_clips" points=3
# ### Question · What the table shows
#
# Read the judge's table. Name the three places at which the digit of a caption can get lost between the words and the
# frames that you see, and say which rows of the table tell them apart. What would it mean if "GPT, captions shuffled"
# scored as high as the row above it? And why does the judge have to be trained on real clips only, rather than on clips
# of your model?
#
# *3 points: one for VQ-VAE, GPT and judge as the places, with the rows; one for the control; one for the judge's
# independence.*

# %% [markdown]
# ## 7 · A small agency
#
# A brief comes in: *a three moves left, for the banner of a shop that closes in three days*. Nobody who makes a film
# shows the first take. Let the model make several, and choose by two numbers from this notebook: does the judge see
# what was asked for, and does the clip hold together? The winner is then slowed down to twice its length, since banners
# are watched from the corner of an eye. Its motion is known, as it was ordered: one pixel to the left at each frame.

# %% tags=["hands-on"]
BRIEF = "a three moves left"
takes = imagine([BRIEF] * 6, seed=11, temperature=1.0)
with torch.no_grad():
    digit, motion = (scores.softmax(dim=1).cpu() for scores in judge(takes.to(DEVICE)))
fits = digit[:, 3] * motion[:, STRAIGHT.index("moves left")]
back = torch.zeros(6, 2, 16, 16)
back[:, 0] = 1.0  # what moves left comes from the right
errors = []
for t in range(1, 9):
    seen = visible_pixels(back, -back)
    errors.append(temporal_consistency(takes[:, :, t - 1], takes[:, :, t], back, seen))
error = torch.stack(errors).mean(dim=0)
ranking = (fits.log() - 30 * error).argsort(descending=True)
for place, take in enumerate(ranking.tolist(), 1):
    numbers = f"fits the brief {fits[take]:.2f}, warping error {error[take]:.4f}"
    print(f"{place}. take {take + 1}: {numbers}")
winner = takes[ranking[0]]
slow = []
for t in range(8):
    pair = winner[None, :, t], winner[None, :, t + 1]
    slow += [interpolate_frames(*pair, -back[:1], back[:1], time)[0, 0] for time in (0.0, 0.5)]
slow.append(winner[0, 8])
shown = {f"take {k + 1}": takes[k, 0] for k in ranking.tolist()}
plots.film(
    {**shown, "the winner, slowed": torch.stack(slow)},
    columns=4,
    title=f"“{BRIEF}”, six takes by rank",
    seconds=0.15,
)

# %% [markdown]
# Real studios work like this at another scale: generate many, filter by learnt scores, repair the best by hand. So do
# advertisers, with scores that predict clicks; and whoever optimises a score for long gets what the score rewards (see
# *best of n* in the assignment on reinforcement learning). One more thing is different with video than with digits. A
# face that speaks is believed. Film is taken for evidence, which makes consent, labelling and provenance (such as the
# C2PA standard's signed history of a file) part of the craft and not an afterthought.

# %% [markdown] question="campaign" points=3
# ### Question · A campaign
#
# An agency wants to make 500 versions of a ten-second spot, one for each town, from one filmed original: another shop
# sign, another weather, the presenter saying the town's name. Sketch the pipeline with the parts of this notebook: what
# is kept from the original and by which means, what is generated and under which condition, and which two measurements
# decide automatically whether a version is shown to a person at all. Then name one thing that must be settled with the
# presenter, and one that the viewers must be told, before any of it is broadcast.
#
# *3 points: one for a pipeline that separates what is kept from what is generated; one for two measurements with what
# each of them catches; one for consent and labelling.*

# %% [markdown]
# ## Further reading
#
# - W. Yan, Y. Zhang, P. Abbeel & A. Srinivas, *VideoGPT: Video Generation using VQ-VAE and Transformers*, 2021,
#   [arXiv:2104.10157](https://arxiv.org/abs/2104.10157); A. van den Oord, O. Vinyals & K. Kavukcuoglu, *Neural Discrete
#   Representation Learning*, NeurIPS 2017, [arXiv:1711.00937](https://arxiv.org/abs/1711.00937); Y. Bengio, N. Léonard
#   & A. Courville, *Estimating or Propagating Gradients Through Stochastic Neurons*, 2013,
#   [arXiv:1308.3432](https://arxiv.org/abs/1308.3432).
# - L. Yu et al., *Language Model Beats Diffusion: Tokenizer is Key to Visual Generation* (MAGVIT-v2), ICLR 2024,
#   [arXiv:2310.05737](https://arxiv.org/abs/2310.05737); Z. Yang et al., *CogVideoX*, ICLR 2025,
#   [arXiv:2408.06072](https://arxiv.org/abs/2408.06072): where causal convolutions over time went. J. Ho et al., *Axial
#   Attention in Multidimensional Transformers*, 2019, [arXiv:1912.12180](https://arxiv.org/abs/1912.12180).
# - J. Ho et al., *Video Diffusion Models*, NeurIPS 2022, [arXiv:2204.03458](https://arxiv.org/abs/2204.03458); P. Esser
#   et al., *Structure and Content-Guided Video Synthesis with Diffusion Models*, ICCV 2023,
#   [arXiv:2302.03011](https://arxiv.org/abs/2302.03011): the other road from text to video, and frame consistency.
# - S. Tulyakov et al., *MoCoGAN: Decomposing Motion and Content for Video Generation*, CVPR 2018,
#   [arXiv:1707.04993](https://arxiv.org/abs/1707.04993); A. Clark, J. Donahue & K. Simonyan, *Adversarial Video
#   Generation on Complex Datasets* (DVD-GAN), 2019, [arXiv:1907.06571](https://arxiv.org/abs/1907.06571).
# - K. Sohn, H. Lee & X. Yan, *Learning Structured Output Representation using Deep Conditional Generative Models*,
#   NeurIPS 2015; C. Finn, I. Goodfellow & S. Levine, *Unsupervised Learning for Physical Interaction through Video
#   Prediction*, NeurIPS 2016, [arXiv:1605.07157](https://arxiv.org/abs/1605.07157).
# - M. Jaderberg et al., *Spatial Transformer Networks*, NeurIPS 2015,
#   [arXiv:1506.02025](https://arxiv.org/abs/1506.02025); B. Horn & B. Schunck, *Determining Optical Flow*, Artificial
#   Intelligence 1981; Z. Teed & J. Deng, *RAFT*, ECCV 2020, [arXiv:2003.12039](https://arxiv.org/abs/2003.12039); N.
#   Sundaram, T. Brox & K. Keutzer, *Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow*, ECCV
#   2010.
# - W.-S. Lai et al., *Learning Blind Video Temporal Consistency*, ECCV 2018,
#   [arXiv:1808.00449](https://arxiv.org/abs/1808.00449); H. Jiang et al., *Super SloMo*, CVPR 2018,
#   [arXiv:1712.00080](https://arxiv.org/abs/1712.00080); T. Unterthiner et al., *Towards Accurate Generative Models of
#   Video*, 2018, [arXiv:1812.01717](https://arxiv.org/abs/1812.01717): the Fréchet distance, for clips.
# - N. Srivastava, E. Mansimov & R. Salakhutdinov, *Unsupervised Learning of Video Representations using LSTMs*, ICML
#   2015, [arXiv:1502.04681](https://arxiv.org/abs/1502.04681): moving digits; G. Mittal, T. Marwah & V.
#   Balasubramanian, *Sync-DRAW*, ACM Multimedia 2017, [arXiv:1611.10314](https://arxiv.org/abs/1611.10314): with
#   captions.
