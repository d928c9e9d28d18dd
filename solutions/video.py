"""Reference answers to `video`. Each has the signature and the docstring of its stub in the starter."""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


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
    if features.shape[1] < 2:
        raise ValueError("a single frame has no neighbour")
    frames = features.flatten(2)
    return F.cosine_similarity(frames[:, 1:], frames[:, :-1], dim=2).mean(dim=1)


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
    height, width = frame.shape[2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    # grid_sample counts from −1 at the first pixel to 1 at the last one.
    grid = 2 * torch.stack([columns / max(width - 1, 1), rows / max(height - 1, 1)], dim=3) - 1
    return F.grid_sample(frame, grid, mode="bilinear", padding_mode="border", align_corners=True)


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
    there = warp(back, flow)
    astray = (flow + there).square().sum(dim=1)
    length = flow.square().sum(dim=1) + there.square().sum(dim=1)
    height, width = flow.shape[2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    within = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return (astray <= 0.01 * length + 0.5) & within


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
    error = (current - warp(previous, flow)).square().sum(dim=1)
    seen = visible.to(error.dtype)
    return (error * seen).sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)


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
    if not 0 <= time <= 1:
        raise ValueError(f"time {time} is not between the frames")
    to_first = -(1 - time) * time * forward + time**2 * backward
    to_second = (1 - time) ** 2 * forward - time * (1 - time) * backward
    return (1 - time) * warp(first, to_first) + time * warp(second, to_second)


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
    ratio = logvar - prior_logvar
    distance = (mu - prior_mu).square() / prior_logvar.exp()
    return (ratio.exp() + distance - 1 - ratio).sum(dim=1) / 2


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
    mu, logvar = encoder(target, condition)
    z = mu + (logvar / 2).exp() * noise
    return log_likelihood(decoder(z, condition), target) - kl(mu, logvar, *prior(condition))


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
    clips = torch.arange(len(videos), device=videos.device)[:, None]
    return videos.transpose(1, 2)[clips, times].flatten(0, 1)


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
    critics = [
        F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        for real, fake in ((real_frames, fake_frames), (real_clips, fake_clips))
    ]
    return frame_weight * critics[0] + critics[1], -frame_weight * fake_frames.mean() - fake_clips.mean()


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
        _, rows, columns = kernel_size
        if rows % 2 == 0 or columns % 2 == 0:
            raise ValueError(f"a kernel of {rows} by {columns} pixels has no middle")
        convolution = nn.Conv3d(in_channels, out_channels, kernel_size)
        self.weight, self.bias = convolution.weight, convolution.bias
        self.stride = stride

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
        frames, rows, columns = self.weight.shape[2:]
        before = x[:, :, :1].expand(-1, -1, frames - 1, -1, -1)
        x = torch.cat([before, x], dim=2)
        return F.conv3d(x, self.weight, self.bias, self.stride, padding=(0, rows // 2, columns // 2))


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
    dim = {"time": 1, "height": 2, "width": 3}[axis]
    query, key, value = (x.movedim(dim, 3) for x in (query, key, value))  # (…, …, …, line, d)
    scores = query @ key.transpose(3, 4) / math.sqrt(query.shape[4])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return (scores.softmax(dim=4) @ value).movedim(3, dim)


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
    with torch.no_grad():
        distance = torch.cdist(
            z.reshape(1, -1, z.shape[-1]), codebook[None], compute_mode="donot_use_mm_for_euclid_dist"
        )
        indices = distance[0].argmin(dim=1).view(z.shape[:-1])
        step = codebook[indices] - z
    return z + step, indices


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
    codebook = (z.detach() - nearest).square().sum(dim=-1)
    commitment = (z - nearest.detach()).square().sum(dim=-1)
    return (codebook + beta * commitment).mean()


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
    share = torch.bincount(indices.flatten(), minlength=codes).double() / indices.numel()
    return torch.special.entr(share).sum().exp().item()


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
    return codes.flatten(1) + offset


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
    if tokens.shape[1] != math.prod(shape):
        raise ValueError(f"{tokens.shape[1]} tokens do not fill a grid of {shape}")
    if (tokens < offset).any():
        raise ValueError("there is a word among the codes")
    return (tokens - offset).unflatten(1, shape)


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
    positions = torch.arange(1, tokens.shape[1], device=tokens.device)
    scored = (positions >= text_lengths[:, None]) & (tokens[:, 1:] != padding)
    return F.cross_entropy(logits[:, :-1][scored], tokens[:, 1:][scored])


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
    tokens, draws = text, uniform.flatten(1)
    if given is not None:
        tokens = torch.cat([text, to_tokens(given, offset)], dim=1)
    drawn = tokens.shape[1] - text.shape[1]
    for column in range(drawn, draws.shape[1]):
        with torch.no_grad():
            logits = model(tokens)[:, -1, offset:] / temperature
        cumulative = logits.softmax(dim=1).cumsum(dim=1)
        code = (cumulative <= draws[:, column, None]).sum(dim=1).clamp(max=cumulative.shape[1] - 1)
        tokens = torch.cat([tokens, code[:, None] + offset], dim=1)
    return to_codes(tokens[:, text.shape[1] :], tuple(uniform.shape[1:]), offset)
