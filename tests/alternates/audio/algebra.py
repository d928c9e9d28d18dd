"""Correct answers to `audio` by other but equal algebra: matrices for transforms, einsum, double precision, sorted tables."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn


def _analysis(window: Tensor, hop: int, length: int) -> Tensor:
    """The matrix (frames, width, length) that cuts a sound into windowed frames."""
    width, frames = len(window), length // hop + 1
    sample = torch.arange(frames).view(-1, 1, 1) * hop + torch.arange(width).view(1, -1, 1) - width // 2
    return (sample == torch.arange(length)) * window.double().view(1, -1, 1)


def _fourier(width: int) -> Tensor:
    turns = torch.outer(torch.arange(width // 2 + 1), torch.arange(width)).double() / width
    return torch.exp(-2j * math.pi * turns)


def _synthesis(spectrum: Tensor, window: Tensor, hop: int, length: int) -> Tensor:
    frames = torch.fft.irfft(spectrum.transpose(1, 2), n=len(window))
    cut = _analysis(window, hop, length)
    # The normal equations are diagonal: each sample has a sum of squares of its own.
    return torch.einsum("btw,twl->bl", frames, cut) / cut.square().sum((0, 1))


def spectrogram(sound: Tensor, window: Tensor, hop: int, *, power: float = 2.0) -> Tensor:
    frames = torch.einsum("bl,twl->bwt", sound.double(), _analysis(window, hop, sound.shape[1]))
    spectrum = _fourier(len(window)) @ frames.to(torch.complex128)
    return torch.linalg.vector_norm(torch.view_as_real(spectrum), dim=-1).pow(power).to(sound.dtype)


def mel_filterbank(bins: int, mels: int, rate: int, *, low: float = 0.0, high: float | None = None) -> Tensor:
    ends = np.array([low, rate / 2 if high is None else high])
    # 2595 log₁₀ is 1127.01 log; the factor makes no difference to where equal steps lead.
    corners = 700 * (np.geomspace(*(1 + ends / 700), mels + 2) - 1)
    frequency = np.linspace(0, rate / 2, bins)
    # Straight pieces with kinks at three corners each.
    slopes = 1 / np.diff(corners)
    up = np.maximum(0, frequency - corners[:, None])
    hats = slopes[:-1, None] * up[:-2] - (slopes[:-1] + slopes[1:])[:, None] * up[1:-1] + slopes[1:, None] * up[2:]
    hats[hats < 1e-9] = 0.0
    return torch.tensor(hats, dtype=torch.float32)


def log_mel(spectrum: Tensor, filterbank: Tensor, *, floor: float = 1e-5) -> Tensor:
    heard = torch.einsum("mk,bkt->bmt", filterbank.double(), spectrum.double())
    return (heard.sub(floor).relu() + floor).log().to(spectrum.dtype)


def griffin_lim(
    magnitude: Tensor,
    window: Tensor,
    hop: int,
    length: int,
    phase: Tensor,
    *,
    iterations: int = 32,
) -> Tensor:
    size, fourier = magnitude.double(), _fourier(len(window))
    cut = _analysis(window, hop, length)
    spectrum = torch.polar(size, phase.double())
    for _ in range(iterations):
        frames = torch.einsum("bl,twl->bwt", _synthesis(spectrum, window, hop, length), cut)
        spectrum = torch.polar(size, (fourier @ frames.to(torch.complex128)).angle())
    return _synthesis(spectrum, window, hop, length).to(magnitude.dtype)


def linear_prediction(sound: Tensor, order: int) -> Tensor:
    whole = torch.fft.rfft(sound.double(), n=2 * sound.shape[1] + order)
    r = torch.fft.irfft(whole * whole.conj(), n=2 * sound.shape[1] + order)
    matrix = torch.stack([r[:, :order].roll(shift, 1) for shift in range(order)], dim=1).triu()
    matrix = matrix + matrix.triu(1).mT
    coefficients = torch.cholesky_solve(r[:, 1 : order + 1, None], torch.linalg.cholesky(matrix))
    return coefficients.squeeze(2).to(sound.dtype)


def encode_events(notes: Sequence[tuple[float, float, int, int]], *, steps_per_second: int = 100) -> Tensor:
    if not notes:
        return torch.empty(0, dtype=torch.int64)
    table = np.array(notes, dtype=np.float64)
    first, last = np.rint(table[:, :2] * steps_per_second).astype(int).T
    last = np.maximum(last, first + 1)
    pitch, velocity = table[:, 2:].astype(int).T
    order = np.lexsort((first, pitch))
    for one, two in itertools.pairwise(order):
        if pitch[one] == pitch[two]:
            last[one] = min(last[one], first[two])
    # One row for each change: when, whether it is a beginning, pitch, bin.
    ends = np.stack([last, np.zeros_like(last), pitch, np.zeros_like(last)], axis=1)
    begins = np.stack([first, np.ones_like(first), pitch, velocity // 4], axis=1)
    rows = np.concatenate([begins, ends])
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
    pauses = np.diff(rows[:, 0], prepend=0)
    events, bins = [], [-1]
    for (_, kind, key, bin_), pause in zip(rows.tolist(), pauses.tolist(), strict=True):
        events += [355] * (pause // 100)
        if pause % 100:
            events.append(255 + pause % 100)
        if kind:
            if bins[-1] != bin_:
                events.append(356 + bin_)
            bins.append(bin_)
        events.append(key + 128 * (1 - kind))
    return torch.tensor(np.array(events), dtype=torch.int64)


def decode_events(events: Tensor, *, steps_per_second: int = 100) -> list[tuple[float, float, int, int]]:
    events = events.long()
    passing = (events >= 256) & (events < 356)
    clock = (passing * (events - 255)).cumsum(0)
    places = torch.arange(len(events))
    settings = torch.where(events >= 356, places, -1)
    latest = torch.cummax(settings, 0).values if len(events) else settings
    force = torch.where(latest >= 0, 4 * (events[latest.clamp(min=0)] - 356) + 2, 64) if len(events) else latest
    notes = []
    for pitch in range(128):
        about = places[(events == pitch) | (events == pitch + 128)]
        times = torch.cat([clock[about], clock[-1:]])
        for number, place in enumerate(about.tolist()):
            begin, end = times[number].item(), times[number + 1].item()
            if events[place] == pitch and begin < end:
                notes.append((begin / steps_per_second, end / steps_per_second, pitch, int(force[place])))
    return sorted(notes, key=lambda note: (note[0], note[2]))


def relative_attention(query: Tensor, key: Tensor, value: Tensor, distances: Tensor) -> Tensor:
    length, width = query.shape[-2:]
    q, k, v, e = (part.double() for part in (query, key, value, distances))
    place = torch.arange(length)
    back = (place.view(-1, 1) - place).clamp(min=0)
    table = torch.einsum("...id,rd->...ir", q, e)
    index = (len(distances) - 1 - back).expand(*table.shape[:-2], length, length)
    scores = (torch.einsum("...id,...jd->...ij", q, k) + table.gather(-1, index)) / width**0.5
    scores = scores.where(place.view(-1, 1) >= place, torch.tensor(-torch.inf, dtype=torch.float64))
    weights = (scores - scores.logsumexp(-1, keepdim=True)).exp()
    return torch.einsum("...ij,...jd->...id", weights, v).to(value.dtype)


def allowed_events(events: Tensor, *, scale: tuple[int, ...] = tuple(range(12)), voices: int = 128) -> Tensor:
    sounding = torch.zeros(events.shape[0], 128, dtype=torch.bool)
    for column in events.unbind(1):
        for first, state in ((0, True), (128, False)):
            hit = column.unsqueeze(1) - first == torch.arange(128)
            sounding = torch.where(hit, torch.tensor(state), sounding)
    begin = ~sounding & torch.isin(torch.arange(128).remainder(12), torch.tensor(scale))
    begin &= sounding.count_nonzero(dim=1).unsqueeze(1).lt(voices)
    velocity = torch.ones(len(events), 32, dtype=torch.bool)
    if events.numel():
        velocity &= ~(events[:, -1:] >= 356)
    return torch.hstack([begin, sounding, torch.ones(len(events), 100, dtype=torch.bool), velocity])


def sample_music(
    model: Callable,
    start: Tensor,
    uniform: Tensor,
    *,
    allowed: Callable = allowed_events,
    temperature: float = 1.0,
) -> Tensor:
    with torch.no_grad():
        events = torch.cat([start, torch.zeros(uniform.shape, dtype=start.dtype)], dim=1)
        for place in range(start.shape[1], events.shape[1]):
            so_far = events[:, :place]
            may, logits = allowed(so_far), model(so_far)[:, -1, :].double()
            logits = torch.where(may, logits, -torch.inf)
            odds = ((logits - logits.amax(1, keepdim=True)) / temperature).exp()
            # The number is scaled up to the sum of all odds, not the odds down to 1.
            reached = odds.cumsum(1) > uniform[:, place - start.shape[1]].double().unsqueeze(1) * odds.sum(
                1, keepdim=True
            )
            events[:, place] = (reached & may).int().argmax(1)
    return events


def location_sensitive_attention(
    query: Tensor,
    memory: Tensor,
    past: Tensor,
    *,
    query_weight: Tensor,
    memory_weight: Tensor,
    filters: Tensor,
    location_weight: Tensor,
    bias: Tensor,
    score: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    width = filters.shape[1]
    # Filters and their weights are one linear map from each letter's neighbourhood to the hidden layer.
    taps = torch.einsum("hc,cm->hm", location_weight, filters)
    edge = past.new_zeros(len(past), width // 2)
    around = torch.cat([edge, past, edge], dim=1).unfold(1, width, 1)
    inside = torch.einsum("blm,hm->blh", around, taps)
    inside = inside + torch.einsum("bd,hd->bh", query, query_weight)[:, None]
    inside = inside + torch.einsum("bld,hd->blh", memory, memory_weight) + bias
    energy = torch.einsum("blh,h->bl", 2 * torch.sigmoid(2 * inside) - 1, score)
    allowed = torch.ones_like(past, dtype=torch.bool) if mask is None else mask
    odds = (
        (energy - energy.masked_fill(~allowed, -torch.inf).amax(1, keepdim=True))
        .masked_fill(~allowed, -torch.inf)
        .exp()
    )
    weights = odds / odds.sum(1, keepdim=True)
    return torch.einsum("bl,bld->bd", weights, memory), weights


def tacotron_loss(
    before: Tensor,
    after: Tensor,
    target: Tensor,
    stop_logits: Tensor,
    lengths: Tensor,
    *,
    positive_weight: float = 5.0,
) -> Tensor:
    frame = torch.arange(target.shape[2]).expand(len(lengths), -1)
    real = frame.lt(lengths[:, None])
    share = real.to(target) / real.sum()
    keep = real[:, None].expand_as(target)
    total = target.new_zeros(())
    for mel in (before, after):
        difference = torch.where(keep, mel - target, 0.0)
        total = total + torch.einsum("bmt,bmt,bt->", difference, difference, share) / target.shape[1]
    logits = torch.where(real, stop_logits, 0.0)
    wrong = torch.where(frame == lengths[:, None] - 1, -logits, logits)
    factor = torch.where(frame == lengths[:, None] - 1, positive_weight, 1.0).to(share)
    cost = torch.logaddexp(wrong, torch.zeros_like(wrong))
    return total + torch.einsum("bt,bt,bt->", factor, cost, share)


class InvertibleConv1x1(nn.Module):
    def __init__(self, channels: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        noise = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
        turn = torch.matrix_exp(noise - noise.T)  # of a skew-symmetric matrix: a rotation
        self.weight = nn.Parameter(turn.to(torch.get_default_dtype()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.einsum("oc,bcl->bol", self.weight, x)
        volume = torch.linalg.svdvals(self.weight).log().sum() * x.shape[-1]
        return z, volume.repeat(x.shape[0])

    def inverse(self, z: Tensor) -> Tensor:
        return torch.einsum("oc,bcl->bol", torch.linalg.pinv(self.weight), z)


class AffineCoupling(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def _parts(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        kept, moved = x.unflatten(1, (2, -1)).unbind(1)
        log_scale, shift = self.network(kept, condition).unflatten(1, (2, -1)).unbind(1)
        return kept, moved, log_scale, shift

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved, log_scale, shift = self._parts(x=x, condition=condition)
        z = torch.addcmul(shift, moved, log_scale.exp())
        return torch.stack([kept, z], dim=1).flatten(1, 2), torch.einsum("bcl->b", log_scale)

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        kept, moved, log_scale, shift = self._parts(x=z, condition=condition)
        return torch.stack([kept, (moved - shift) / log_scale.exp()], dim=1).flatten(1, 2)


def waveglow_loss(z: Tensor, log_det: Tensor, *, sigma: float = 1.0) -> Tensor:
    scaled = z.double() / sigma
    each = 0.5 * (scaled.square() + math.log(2 * math.pi * sigma**2))
    return (each.sum() - log_det.double().sum()).div(z.numel()).to(z.dtype)


def gram_matrix(features: Tensor) -> Tensor:
    return torch.einsum("bct,bdt->bcd", features, features / features.shape[2])


def style_loss(
    features: Sequence[Tensor],
    style: Sequence[Tensor],
    *,
    weights: Sequence[float] | None = None,
    gram: Callable = gram_matrix,
) -> Tensor:
    loss = features[0].new_zeros(())
    for place in range(len(features)):
        wanted, found = gram(style[place]), gram(features[place])
        share = 1.0 if weights is None else weights[place]
        loss = loss + share * (found - wanted).pow(2).flatten(1).mean(1).mean(0)
    return loss


def adsr_envelope(
    samples: int,
    rate: int,
    *,
    attack: float,
    decay: float,
    sustain: float,
    release: float,
) -> Tensor:
    time = torch.arange(samples).double() / rate
    climb = (time / attack).clamp(max=1) if attack else torch.ones_like(time)
    fallen = ((time - attack) / decay).clamp(0, 1) if decay else (time >= attack).double()
    fade = ((samples - torch.arange(samples)).double() / (rate * release)).clamp(max=1) if release else 1.0
    return (climb * (1 - fallen * (1 - sustain)) * fade).to(torch.float32)


def synthesize_effect(
    noise: Tensor,
    gain: Tensor,
    envelope: Tensor,
    window: Tensor,
    hop: int,
    *,
    peak: float = 0.9,
) -> Tensor:
    frames = torch.einsum("bl,twl->bwt", noise.double(), _analysis(window, hop, noise.shape[1]))
    spectrum = (_fourier(len(window)) @ frames.to(torch.complex128)) * gain
    sound = _synthesis(spectrum, window, hop, noise.shape[1]) * envelope
    loudest = torch.maximum(sound.amax(1), -sound.amin(1))[:, None]
    return torch.where(loudest == 0, 0.0, peak * sound / loudest).to(noise.dtype)
