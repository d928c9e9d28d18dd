"""Correct answers to `video` that leave the work to torch's own functions, modules and distributions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.nn import functional as F


def frame_consistency(features: Tensor) -> Tensor:
    if features.size(1) < 2:
        raise ValueError("at least two frames, please")
    units = F.normalize(features.flatten(2), dim=-1, eps=1e-8)
    return torch.einsum("btf,btf->bt", units[:, 1:], units[:, :-1]).mean(-1)


def warp(frame: Tensor, flow: Tensor) -> Tensor:
    # Pixels as affine_grid counts them if −1 and 1 are the outer edges: a pixel is 2/size wide.
    batch, _, height, width = frame.shape
    identity = torch.eye(2, 3, dtype=frame.dtype).expand(batch, 2, 3)
    grid = F.affine_grid(identity, [batch, 1, height, width], align_corners=False)
    step = flow.permute(0, 2, 3, 1) * torch.tensor([2 / width, 2 / height], dtype=flow.dtype)
    return F.grid_sample(frame, grid + step, padding_mode="border", align_corners=False)


def visible_pixels(flow: Tensor, back: Tensor, *, warp: Callable = warp) -> Tensor:
    there = warp(back, flow)
    _, _, height, width = flow.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = torch.stack([x, y]).to(flow.dtype) + flow
    last = torch.tensor([width - 1, height - 1], dtype=flow.dtype).view(2, 1, 1)
    inside = torch.logical_and(place.ge(0), place.le(last)).all(dim=1)
    limit = 0.5 + (torch.linalg.vector_norm(flow, dim=1) ** 2 + torch.linalg.vector_norm(there, dim=1) ** 2) / 100
    return inside & torch.linalg.vector_norm(flow + there, dim=1).pow(2).le(limit)


def temporal_consistency(
    previous: Tensor, current: Tensor, flow: Tensor, visible: Tensor, *, warp: Callable = warp
) -> Tensor:
    error = F.mse_loss(warp(previous, flow), current, reduction="none").sum(1)
    # The mean over nothing is NaN, which nansum and nanmean would hide from the gradient as well.
    error = torch.where(visible, error, 0.0).flatten(1).sum(1)
    count = visible.flatten(1).sum(1)
    return torch.where(count > 0, error / count.clamp(min=1), torch.zeros_like(error))


def interpolate_frames(
    first: Tensor, second: Tensor, forward: Tensor, backward: Tensor, time: float, *, warp: Callable = warp
) -> Tensor:
    if not 0 <= time <= 1:
        raise ValueError("between the two frames, please")
    blend = torch.lerp(-forward, backward, time)
    start, end = warp(torch.cat([first, second]), torch.cat([time * blend, (time - 1) * blend])).chunk(2)
    return torch.lerp(start, end, time)


def kl_to_prior(mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor) -> Tensor:
    q = Independent(Normal(mu, (logvar / 2).exp()), 1)
    p = Independent(Normal(prior_mu, (prior_logvar / 2).exp()), 1)
    return torch.distributions.kl_divergence(q, p)


def conditional_elbo(
    target: Tensor,
    condition: Tensor,
    encoder: Callable,
    prior: Callable,
    decoder: Callable,
    noise: Tensor,
    *,
    log_likelihood: Callable,
    kl: Callable = kl_to_prior,
) -> Tensor:
    prior_mu, prior_logvar = prior(condition)
    mu, logvar = encoder(target, condition)
    z = torch.addcmul(mu, torch.exp(logvar).sqrt(), noise)
    decoded = decoder(z, condition)
    return log_likelihood(decoded, target).sub(kl(mu, logvar, prior_mu, prior_logvar))


def pick_frames(videos: Tensor, times: Tensor) -> Tensor:
    batch, channels, _, height, width = videos.shape
    index = times[:, None, :, None, None].expand(batch, channels, times.shape[1], height, width)
    return videos.gather(2, index).permute(0, 2, 1, 3, 4).reshape(-1, channels, height, width)


def video_gan_losses(
    real_frames: Tensor, fake_frames: Tensor, real_clips: Tensor, fake_clips: Tensor, frame_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    def critic(real: Tensor, fake: Tensor) -> Tensor:
        return torch.clamp(1 - real, min=0).mean().add(torch.clamp(1 + fake, min=0).mean())

    critics = torch.add(critic(real_clips, fake_clips), critic(real_frames, fake_frames), alpha=frame_weight)
    return critics, -torch.add(fake_clips.mean(), fake_frames.mean(), alpha=frame_weight)


class CausalConv3d(nn.Conv3d):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int, int],
        *,
        stride: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        _, rows, columns = kernel_size
        if not rows % 2 or not columns % 2:
            raise ValueError("the kernel needs a middle")
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding=(0, rows // 2, columns // 2))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 0, 0, 0, self.kernel_size[0] - 1, 0), mode="replicate"))


def axial_attention(query: Tensor, key: Tensor, value: Tensor, axis: str, mask: Tensor | None = None) -> Tensor:
    where = ("time", "height", "width").index(axis) + 1
    lines = [part.transpose(where, 3) for part in (query, key, value)]
    return F.scaled_dot_product_attention(*lines, attn_mask=mask).transpose(where, 3).contiguous()


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, nearest):
        return nearest.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def vector_quantize(z: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    distances = (z.detach().unsqueeze(-2) - codebook.detach()).pow(2).sum(-1)
    indices = distances.min(dim=-1).indices
    return StraightThrough.apply(z, F.embedding(indices, codebook.detach())), indices


def vq_loss(z: Tensor, nearest: Tensor, beta: float = 0.25) -> Tensor:
    pull = F.mse_loss(nearest, z.detach()) + beta * F.mse_loss(z, nearest.detach())
    return pull * z.size(-1)


def codebook_perplexity(indices: Tensor, codes: int) -> float:
    share = F.one_hot(indices.flatten(), codes).double().mean(0)
    return math.exp(torch.distributions.Categorical(probs=share).entropy())


def video_tokens(codes: Tensor, offset: int) -> Tensor:
    return torch.add(codes, offset).reshape(codes.size(0), -1)


def video_from_tokens(tokens: Tensor, shape: tuple[int, int, int], offset: int) -> Tensor:
    if tokens.size(1) != shape[0] * shape[1] * shape[2] or tokens.min() < offset:
        raise ValueError("this is no clip")
    return torch.sub(tokens, offset).view(-1, *shape)


def next_token_loss(logits: Tensor, tokens: Tensor, text_lengths: Tensor, padding: int) -> Tensor:
    labels = tokens.masked_fill(tokens == padding, -100)
    labels = labels.masked_fill(torch.arange(tokens.size(1)).lt(text_lengths.unsqueeze(1)), -100)
    labels = F.pad(labels, (0, 1), value=-100)[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


@torch.no_grad()
def sample_video(
    model: Callable,
    text: Tensor,
    uniform: Tensor,
    offset: int,
    *,
    temperature: float = 1.0,
    given: Tensor | None = None,
    to_tokens: Callable = video_tokens,
    to_codes: Callable = video_from_tokens,
) -> Tensor:
    batch, *sides = uniform.shape
    length = math.prod(sides)
    sentence = text.new_zeros(batch, text.shape[1] + length)
    sentence[:, : text.shape[1]] = text
    start = text.shape[1]
    if given is not None:
        known = to_tokens(given, offset)
        sentence[:, start : start + known.shape[1]] = known
        start += known.shape[1]
    for place in range(start, sentence.shape[1]):
        probabilities = torch.softmax(model(sentence[:, :place])[:, -1, offset:] / temperature, dim=-1)
        number = uniform.reshape(batch, -1)[:, place - text.shape[1]]
        edges = probabilities.cumsum(-1)[:, :-1].contiguous()  # beyond the last edge there is only the last code
        code = torch.searchsorted(edges, number.to(edges.dtype).unsqueeze(1).contiguous(), right=True)
        sentence[:, place] = code.squeeze(1) + offset
    return to_codes(sentence[:, text.shape[1] :], (sides[0], sides[1], sides[2]), offset)
