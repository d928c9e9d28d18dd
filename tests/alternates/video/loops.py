"""Correct answers to `video` written with Python loops, one pixel, one place or one row at a time."""

import itertools
import math

import torch
from torch import nn


def frame_consistency(features):
    if features.shape[1] < 2:
        raise ValueError("no neighbours")
    scores = []
    for clip in features:
        total = 0
        for before, now in itertools.pairwise(clip):
            length = before.norm() * now.norm() + 1e-12
            total = total + (before * now).sum() / length
        scores.append(total / (len(clip) - 1))
    return torch.stack(scores)


def warp(frame, flow):
    batch, _, height, width = frame.shape
    clips = []
    for b in range(batch):
        rows = []
        for y in range(height):
            row = []
            for x in range(width):
                across = (x + flow[b, 0, y, x]).clamp(0, width - 1)
                down = (y + flow[b, 1, y, x]).clamp(0, height - 1)
                left, above = min(int(across), max(width - 2, 0)), min(int(down), max(height - 2, 0))
                right, below = min(left + 1, width - 1), min(above + 1, height - 1)
                a, d = across - left, down - above
                upper = (1 - a) * frame[b, :, above, left] + a * frame[b, :, above, right]
                lower = (1 - a) * frame[b, :, below, left] + a * frame[b, :, below, right]
                row.append((1 - d) * upper + d * lower)
            rows.append(torch.stack(row, dim=1))
        clips.append(torch.stack(rows, dim=1))
    return torch.stack(clips)


def visible_pixels(flow, back, *, warp=warp):
    there = warp(back, flow)
    batch, _, height, width = flow.shape
    seen = torch.zeros(batch, height, width, dtype=torch.bool)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                u, v = flow[b, 0, y, x].item(), flow[b, 1, y, x].item()
                back_u, back_v = there[b, 0, y, x].item(), there[b, 1, y, x].item()
                allowed = 0.01 * (u * u + v * v + back_u * back_u + back_v * back_v) + 0.5
                home = (u + back_u) ** 2 + (v + back_v) ** 2 <= allowed
                seen[b, y, x] = home and 0 <= x + u <= width - 1 and 0 <= y + v <= height - 1
    return seen


def temporal_consistency(previous, current, flow, visible, *, warp=warp):
    warped = warp(previous, flow)
    errors = []
    for before, now, seen in zip(warped, current, visible, strict=True):
        if seen.any():
            errors.append(((now - before)[:, seen] ** 2).sum() / int(seen.sum()))
        else:
            errors.append(0.0 * now.sum())
    return torch.stack(errors)


def interpolate_frames(first, second, forward, backward, time, *, warp=warp):
    if time < 0 or time > 1:
        raise ValueError("outside")
    rest = 1 - time
    images = []
    for b in range(len(first)):
        one = slice(b, b + 1)
        start = warp(first[one], time * time * backward[one] - rest * time * forward[one])
        end = warp(second[one], rest * rest * forward[one] - time * rest * backward[one])
        images.append(rest * start[0] + time * end[0])
    return torch.stack(images)


def kl_to_prior(mu, logvar, prior_mu, prior_logvar):
    totals = []
    for b in range(mu.shape[0]):
        total = 0
        for i in range(mu.shape[1]):
            variance, prior_variance = torch.exp(logvar[b, i]), torch.exp(prior_logvar[b, i])
            total = total + torch.log(prior_variance / variance) / 2 - 0.5
            total = total + (variance + (mu[b, i] - prior_mu[b, i]) ** 2) / (2 * prior_variance)
        totals.append(total)
    return torch.stack(totals)


def conditional_elbo(target, condition, encoder, prior, decoder, noise, *, log_likelihood, kl=kl_to_prior):
    bounds = []
    for b in range(len(target)):
        x, c = target[b : b + 1], condition[b : b + 1]
        mu, logvar = encoder(x, c)
        z = mu + torch.exp(0.5 * logvar) * noise[b : b + 1]
        prior_mu, prior_logvar = prior(c)
        bounds.append(log_likelihood(decoder(z, c), x) - kl(mu, logvar, prior_mu, prior_logvar))
    return torch.cat(bounds)


def pick_frames(videos, times):
    return torch.stack([clip[:, t] for clip, row in zip(videos, times.tolist(), strict=True) for t in row])


def video_gan_losses(real_frames, fake_frames, real_clips, fake_clips, frame_weight=1.0):
    def mean(values):
        return sum(values) / len(values)

    critics, generator = 0, 0
    for weight, real, fake in ((frame_weight, real_frames, fake_frames), (1, real_clips, fake_clips)):
        critics = critics + weight * mean([(1 - r) * (r < 1) for r in real])
        critics = critics + weight * mean([(1 + f) * (f > -1) for f in fake])
        generator = generator - weight * mean(list(fake))
    return critics, generator


class CausalConv3d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, *, stride=(1, 1, 1)):
        super().__init__()
        if kernel_size[1] % 2 != 1 or kernel_size[2] % 2 != 1:
            raise ValueError("even")
        bound = 1 / math.sqrt(in_channels * math.prod(kernel_size))
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *kernel_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))
        self.stride = stride

    def forward(self, x):
        frames, rows, columns = self.weight.shape[2:]
        height, width = x.shape[3:]
        out = []
        for now in range(x.shape[2]):
            total = self.bias.view(1, -1, 1, 1)
            for i in range(frames):
                image = x[:, :, max(now - frames + 1 + i, 0)]
                image = nn.functional.pad(image, (columns // 2, columns // 2, rows // 2, rows // 2))
                for r in range(rows):
                    for c in range(columns):
                        part = image[:, :, r : r + height, c : c + width]
                        total = total + torch.einsum("oi,bihw->bohw", self.weight[:, :, i, r, c], part)
            out.append(total)
        a, b, c = self.stride
        return torch.stack(out, dim=2)[:, :, ::a, ::b, ::c]


def axial_attention(query, key, value, axis, mask=None):
    sides = value.shape[1:4]
    along = ["time", "height", "width"].index(axis)
    result = torch.zeros_like(value)
    for place in torch.cartesian_prod(*[torch.arange(side) for side in sides]).tolist():
        line = [[*place[:along], j, *place[along + 1 :]] for j in range(sides[along])]
        if mask is not None:
            line = [other for other in line if mask[place[along], other[along]]]
        t, h, w = place
        scores = [(query[:, t, h, w] * key[:, a, b, c]).sum(-1) / query.shape[-1] ** 0.5 for a, b, c in line]
        weights = torch.stack(scores, dim=1).softmax(1)
        values = torch.stack([value[:, a, b, c] for a, b, c in line], dim=1)
        result[:, t, h, w] = (weights.unsqueeze(2) * values).sum(1)
    return result


def vector_quantize(z, codebook):
    flat = z.reshape(-1, z.shape[-1])
    numbers = []
    for vector in flat.tolist():
        distances = [math.dist(vector, code) for code in codebook.tolist()]
        numbers.append(distances.index(min(distances)))
    indices = torch.tensor(numbers).reshape(z.shape[:-1])
    return codebook.detach()[indices] + (z - z.detach()), indices


def vq_loss(z, nearest, beta=0.25):
    vectors, codes = z.reshape(-1, z.shape[-1]), nearest.reshape(-1, z.shape[-1])
    total = 0
    for vector, code in zip(vectors, codes, strict=True):
        total = total + ((code - vector.detach()) ** 2).sum() + beta * ((vector - code.detach()) ** 2).sum()
    return total / len(vectors)


def codebook_perplexity(indices, codes):
    found = indices.flatten().tolist()
    product = 1.0
    for code in range(codes):
        share = found.count(code) / len(found)
        product *= share**-share if share else 1.0
    return product


def video_tokens(codes, offset):
    _, time, height, width = codes.shape
    columns = [codes[:, t, y, x] + offset for t in range(time) for y in range(height) for x in range(width)]
    return torch.stack(columns, dim=1)


def video_from_tokens(tokens, shape, offset):
    time, height, width = shape
    if len(tokens[0]) != time * height * width:
        raise ValueError("length")
    codes = torch.empty(len(tokens), time, height, width, dtype=torch.int64)
    for b, sentence in enumerate(tokens.tolist()):
        for place, token in enumerate(sentence):
            if token < offset:
                raise ValueError("a word")
            codes[b, place // (height * width), place // width % height, place % width] = token - offset
    return codes


def next_token_loss(logits, tokens, text_lengths, padding):
    costs = []
    for scores, sentence, text in zip(logits, tokens.tolist(), text_lengths.tolist(), strict=True):
        for place in range(text, len(sentence)):
            if sentence[place] != padding:
                costs.append(torch.logsumexp(scores[place - 1], 0) - scores[place - 1, sentence[place]])
    return sum(costs) / len(costs)


def sample_video(
    model, text, uniform, offset, *, temperature=1.0, given=None, to_tokens=video_tokens, to_codes=video_from_tokens
):
    batch, time, height, width = uniform.shape
    tokens = text.clone()
    for t in range(time):
        if given is not None and t < given.shape[1]:
            tokens = torch.cat([tokens, to_tokens(given[:, t : t + 1], offset)], dim=1)
            continue
        for y in range(height):
            for x in range(width):
                with torch.no_grad():
                    scores = model(tokens)[:, -1].double() / temperature
                new = []
                for b in range(batch):
                    probabilities = scores[b, offset:].softmax(0).float()
                    total, code = probabilities[0], 0
                    while total <= uniform[b, t, y, x] and code + 1 < len(probabilities):
                        code += 1
                        total = total + probabilities[code]
                    new.append(code + offset)
                tokens = torch.cat([tokens, torch.tensor(new)[:, None]], dim=1)
    return to_codes(tokens[:, text.shape[1] :], (time, height, width), offset)
