"""Correct answers to `video` by other algebra: double precision, matrices of weights, one-hot products, keyword arguments."""

import numpy as np
import torch
from torch import nn


def frame_consistency(features):
    pairs = features.shape[1] - 1
    if pairs < 1:
        raise ValueError("one frame")
    frames = features.double().reshape(*features.shape[:2], -1)
    products = frames @ frames.mT
    squares = products.diagonal(dim1=1, dim2=2)
    neighbours = products.diagonal(offset=1, dim1=1, dim2=2)
    # max() keeps both the value and the gradient finite where a frame is black.
    lengths = torch.maximum(squares[:, 1:] * squares[:, :-1], torch.tensor(1e-24, dtype=torch.float64)).sqrt()
    return (neighbours / lengths).mean(1).to(features.dtype)


def warp(frame, flow):
    # Hat functions: a pixel counts as much as 1 less its distance, in both directions.
    _, _, height, width = frame.shape
    columns, rows = torch.arange(width, dtype=torch.float64), torch.arange(height, dtype=torch.float64)
    x = (columns + flow[:, 0].double()).clamp(0, width - 1)
    y = (rows[:, None] + flow[:, 1].double()).clamp(0, height - 1)
    across = (1 - (x[..., None] - columns).abs()).clamp(min=0)
    down = (1 - (y[..., None] - rows).abs()).clamp(min=0)
    return torch.einsum("bcij,byxi,byxj->bcyx", frame.double(), down, across).to(frame.dtype)


def visible_pixels(flow, back, *, warp=warp):
    flow, there = flow.double(), warp(back, flow).double()
    height, width = flow.shape[2:]
    excess = (flow + there).pow(2).sum(1) - 0.01 * torch.cat([flow, there], dim=1).pow(2).sum(1)
    x = torch.arange(width) + flow[:, 0]
    y = torch.arange(height).unsqueeze(1) + flow[:, 1]
    return (excess <= 0.5) & (x == x.clamp(0, width - 1)) & (y == y.clamp(0, height - 1))


def temporal_consistency(previous, current, flow, visible, *, warp=warp):
    difference = (current - warp(previous, flow)).double()
    share = visible.double()
    share = share / share.sum(dim=(1, 2), keepdim=True).clamp(min=1e-9)
    return torch.einsum("bchw,bchw,bhw->b", difference, difference, share).to(current.dtype)


def interpolate_frames(first, second, forward, backward, time, *, warp=warp):
    if abs(time - 0.5) > 0.5:
        raise ValueError("time")
    flows = torch.stack([forward, backward], dim=-1).double()
    coefficients = torch.tensor([[-(1 - time) * time, time**2], [(1 - time) ** 2, -time * (1 - time)]]).double()
    to_first, to_second = (flows @ coefficients.T).to(forward.dtype).unbind(-1)
    late = warp(second, to_second)
    return warp(first, to_first).mul(1 - time).add(late, alpha=time)


def kl_to_prior(mu, logvar, prior_mu, prior_logvar):
    dtype = mu.dtype
    mu, logvar, prior_mu, prior_logvar = (part.double() for part in (mu, logvar, prior_mu, prior_logvar))
    q = torch.diag_embed(torch.exp(logvar))
    precision = torch.diag_embed(torch.exp(-prior_logvar))
    distance = prior_mu - mu
    trace = torch.einsum("bij,bji->b", precision, q)
    mahalanobis = torch.einsum("bi,bij,bj->b", distance, precision, distance)
    kl = 0.5 * (trace + mahalanobis - mu.shape[1] - torch.logdet(q) - torch.logdet(precision))
    return kl.to(dtype)


def conditional_elbo(target, condition, encoder, prior, decoder, noise, *, log_likelihood, kl=kl_to_prior):
    posterior = encoder(target, condition)
    sigma = posterior[1].mul(0.5).exp()
    price = kl(*posterior, *prior(condition))
    return -(price - log_likelihood(decoder(sigma * noise + posterior[0], condition), target))


def pick_frames(videos, times):
    chosen = torch.nn.functional.one_hot(times, videos.shape[2]).to(videos.dtype)
    images = torch.einsum("bcthw,bft->bfchw", videos, chosen)
    return images.reshape(-1, *images.shape[2:])


def video_gan_losses(real_frames, fake_frames, real_clips, fake_clips, frame_weight=1.0):
    weights, critics, generator = (frame_weight, 1.0), [], []
    for real, fake in ((real_frames, fake_frames), (real_clips, fake_clips)):
        margin = torch.cat([torch.minimum(torch.zeros_like(part), part) for part in (real - 1, -fake - 1)])
        share = torch.cat([torch.full_like(part, 1 / len(part)) for part in (real, fake)])
        critics.append(-(margin @ share))
        generator.append(-fake.mean())
    return tuple(sum(w * part for w, part in zip(weights, parts, strict=True)) for parts in (critics, generator))


class CausalConv3d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, *, stride=(1, 1, 1)):
        super().__init__()
        if 0 in (kernel_size[1] % 2, kernel_size[2] % 2):
            raise ValueError(kernel_size)
        fresh = nn.Conv3d(in_channels, out_channels, kernel_size)
        self.register_parameter("weight", fresh.weight)
        self.register_parameter("bias", fresh.bias)
        self.kernel_size, self.stride = tuple(kernel_size), tuple(stride)

    def forward(self, x):
        past, up, left = self.kernel_size[0] - 1, self.kernel_size[1] // 2, self.kernel_size[2] // 2
        x = torch.cat([x[:, :, :1].repeat(1, 1, past, 1, 1), x], dim=2).double()
        x = nn.functional.pad(x, (left, left, up, up))
        for dim, (size, step) in enumerate(zip(self.kernel_size, self.stride, strict=True)):
            x = x.unfold(2 + dim, size, step)
        out = torch.einsum("bithwjkl,oijkl->bothw", x, self.weight.double()) + self.bias.double().view(-1, 1, 1, 1)
        return out.to(self.weight.dtype)


def axial_attention(query, key, value, axis, mask=None):
    letters = {
        "time": ("bihwd", "bjhwd", "bhwij"),
        "height": ("btiwd", "btjwd", "btwij"),
        "width": ("bthid", "bthjd", "bthij"),
    }
    looking, looked_at, table = letters[axis]
    scores = torch.einsum(f"{looking},{looked_at}->{table}", query.double(), key.double()) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -float("inf"))
    weights = torch.exp(scores - scores.logsumexp(-1, keepdim=True))
    return torch.einsum(f"{table},{looked_at}->{looking}", weights, value.double()).to(value.dtype)


def vector_quantize(z, codebook):
    a, b = z.detach().double().reshape(-1, z.shape[-1]), codebook.detach().double()
    distances = a.square().sum(1, keepdim=True) - 2 * a @ b.T + b.square().sum(1)
    indices = torch.from_numpy(np.argmin(distances.numpy(), axis=1)).reshape(z.shape[:-1])
    nearest = torch.nn.functional.one_hot(indices, len(codebook)).to(codebook.dtype) @ codebook
    return z + (nearest - z).detach(), indices


def vq_loss(z, nearest, beta=0.25):
    def squared(a, b):
        return (
            torch.cdist(a.reshape(-1, 1, a.shape[-1]).double(), b.reshape(-1, 1, b.shape[-1]).double()).square().mean()
        )

    return (squared(z.detach(), nearest) + beta * squared(z, nearest.detach())).to(z.dtype)


def codebook_perplexity(indices, codes):
    counts = np.bincount(indices.numpy().ravel(), minlength=codes)
    share = counts / counts.sum()
    return float(2 ** -np.sum(share * np.log2(share + 1e-12)))


def video_tokens(codes, offset):
    return torch.cat([frame.flatten(1) for frame in codes.unbind(1)], dim=1) + offset


def video_from_tokens(tokens, shape, offset):
    codes = tokens - offset
    if codes.shape[1:] != (int(np.prod(shape)),) or bool((codes < 0).any()):
        raise ValueError("tokens")
    return torch.stack([frame.unflatten(1, tuple(shape[1:])) for frame in codes.chunk(shape[0], dim=1)], dim=1)


def next_token_loss(logits, tokens, text_lengths, padding):
    log_p = logits.double().log_softmax(-1)
    chosen = torch.nn.functional.one_hot(tokens.roll(-1, 1), logits.shape[-1]).double()
    surprise = -(log_p * chosen).sum(-1)
    following = torch.arange(1, tokens.shape[1] + 1).expand_as(tokens)
    counts = (following >= text_lengths[:, None]) & (following < tokens.shape[1]) & (tokens.roll(-1, 1) != padding)
    return (surprise[counts].sum() / counts.sum()).to(logits.dtype)


def sample_video(
    model, text, uniform, offset, *, temperature=1.0, given=None, to_tokens=video_tokens, to_codes=video_from_tokens
):
    frames = [] if given is None else list(given.unbind(1))
    pixels = uniform.shape[2] * uniform.shape[3]
    for time in range(len(frames), uniform.shape[1]):
        drawn = torch.empty(len(text), 0, dtype=torch.int64)
        before = [text]
        if frames:
            before.append(to_tokens(torch.stack(frames, dim=1), offset))
        for pixel in range(pixels):
            with torch.inference_mode():
                scores = model(torch.cat([*before, drawn + offset], dim=1))
            odds = torch.exp((scores[:, -1, offset:].double() - scores[:, -1, offset:].max().double()) / temperature)
            sums = odds.cumsum(1)
            code = (sums <= uniform[:, time].flatten(1)[:, pixel, None] * sums[:, -1:]).sum(1)
            drawn = torch.cat([drawn, code.clamp(max=odds.shape[1] - 1)[:, None]], dim=1)
        frames.append(drawn.unflatten(1, tuple(uniform.shape[2:])))
    return torch.stack(frames, dim=1)
