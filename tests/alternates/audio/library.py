"""Correct answers to `audio` that leave the work to the libraries: torch, scipy, transformers."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def spectrogram(sound: Tensor, window: Tensor, hop: int, *, power: float = 2.0) -> Tensor:
    spectrum = torch.stft(
        sound,
        n_fft=window.numel(),
        hop_length=hop,
        window=window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return torch.view_as_real(spectrum).square().sum(-1) if power == 2 else spectrum.abs() ** power


def mel_filterbank(bins: int, mels: int, rate: int, *, low: float = 0.0, high: float | None = None) -> Tensor:
    corners = 700 * np.expm1(np.log(10) / 2595 * np.linspace(*(_mel(f) for f in (low, high or rate / 2)), mels + 2))
    frequency = np.arange(bins) * (rate / 2 / (bins - 1))
    rows = [np.interp(frequency, corners[i : i + 3], [0.0, 1.0, 0.0]) for i in range(mels)]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def _mel(hertz: float) -> float:
    from transformers.audio_utils import hertz_to_mel

    return float(hertz_to_mel(hertz, mel_scale="htk"))


def log_mel(spectrum: Tensor, filterbank: Tensor, *, floor: float = 1e-5) -> Tensor:
    heard = F.conv1d(spectrum, filterbank.unsqueeze(-1).type_as(spectrum))
    return torch.log(torch.maximum(heard, torch.full_like(heard, floor)))


def griffin_lim(
    magnitude: Tensor, window: Tensor, hop: int, length: int, phase: Tensor, *, iterations: int = 32
) -> Tensor:
    transform = {"n_fft": len(window), "hop_length": hop, "window": window}
    angles = torch.exp(1j * phase)
    while True:
        sound = torch.istft(magnitude * angles, length=length, **transform)
        if iterations == 0:
            return sound
        again = torch.stft(sound, pad_mode="constant", return_complex=True, **transform)
        angles = torch.where(again == 0, torch.ones_like(again), torch.sgn(again))
        iterations -= 1


def linear_prediction(sound: Tensor, order: int) -> Tensor:
    from scipy.linalg import solve_toeplitz

    rows = []
    for row in sound.detach().double().numpy():
        r = np.correlate(np.concatenate([row, np.zeros(order)]), row, mode="valid")
        rows.append(solve_toeplitz(r[:-1], r[1:]))
    return torch.from_numpy(np.stack(rows)).to(sound)


def encode_events(notes: Sequence[tuple[float, float, int, int]], *, steps_per_second: int = 100) -> Tensor:
    import heapq

    heap: list[tuple[int, int, int, int]] = []
    strikes: dict[int, list[int]] = {}
    for start, _, pitch, _ in notes:
        strikes.setdefault(pitch, []).append(round(start * steps_per_second))
    for start, end, pitch, velocity in notes:
        first = round(start * steps_per_second)
        later = [strike for strike in strikes[pitch] if strike > first]
        last = min([max(round(end * steps_per_second), first + 1), *later])
        heapq.heappush(heap, (last, 0, pitch, -1))
        heapq.heappush(heap, (first, 1, pitch, velocity >> 2))
    events: list[int] = []
    clock, loudness = 0, None
    while heap:
        step, kind, pitch, bin_ = heapq.heappop(heap)
        while step > clock:
            jump = min(100, step - clock)
            events.append(255 + jump)
            clock += jump
        if kind == 0:
            events.append(128 | pitch)
            continue
        if bin_ != loudness:
            events.append(356 + bin_)
            loudness = bin_
        events.append(pitch)
    return torch.as_tensor(events, dtype=torch.long)


def decode_events(events: Tensor, *, steps_per_second: int = 100) -> list[tuple[float, float, int, int]]:
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}
    step, velocity = 0, 64
    for event in [*events.tolist(), *range(128, 256)]:
        kind = int(np.searchsorted([128, 256, 356], event, side="right"))
        match kind:
            case 0 | 1:
                pitch = event % 128
                if (row := open_rows.pop(pitch, None)) is not None:
                    row[1] = step
                if kind == 0:
                    open_rows[pitch] = [step, -1, pitch, velocity]
                    rows.append(open_rows[pitch])
            case 2:
                step += event - 255
            case 3:
                velocity = 2 + 4 * (event - 356)
    kept = [row for row in rows if row[1] > row[0]]
    kept.sort(key=lambda row: (row[0], row[2]))
    return [(a / steps_per_second, b / steps_per_second, pitch, force) for a, b, pitch, force in kept]


def relative_attention(query: Tensor, key: Tensor, value: Tensor, distances: Tensor) -> Tensor:
    length = query.size(-2)
    place = torch.arange(length)
    back = place.unsqueeze(1) - place
    vectors = distances.flip(0)[back.clamp(min=0)]
    bias = torch.einsum("...id,ijd->...ij", query, vectors) * query.size(-1) ** -0.5
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias.masked_fill(back < 0, float("-inf")))


def allowed_events(events: Tensor, *, scale: tuple[int, ...] = tuple(range(12)), voices: int = 128) -> Tensor:
    notes = torch.arange(256)
    # What each note event saw last: the place of its last occurrence, or -1.
    seen = (events.unsqueeze(-1) == notes).to(torch.int64) * torch.arange(1, events.shape[1] + 1).view(1, -1, 1)
    last = torch.cat([torch.zeros(len(events), 1, 256, dtype=torch.int64), seen], dim=1).amax(1)
    on, off = last.split(128, dim=1)
    sounding = on > off
    in_scale = torch.tensor([pitch % 12 in scale for pitch in range(128)])
    may = torch.ones(len(events), 388, dtype=torch.bool)
    may[:, :128] = in_scale & ~sounding & (sounding.sum(1, keepdim=True) < voices)
    may[:, 128:256] = sounding
    if events.shape[1]:
        may[:, 356:] = (events[:, -1] < 356).unsqueeze(1)
    return may


@torch.no_grad()
def sample_music(
    model: Callable,
    start: Tensor,
    uniform: Tensor,
    *,
    allowed: Callable = allowed_events,
    temperature: float = 1.0,
) -> Tensor:
    events = start.clone()
    for step in range(uniform.shape[1]):
        may = allowed(events)
        logits = model(events)[:, -1].double() / temperature
        logits[~may] = -torch.inf
        cumulative = F.softmax(logits, dim=-1).cumsum(-1)
        chosen = torch.searchsorted(cumulative, uniform[:, step : step + 1].double(), right=True)
        last = (may * torch.arange(may.shape[1])).amax(1, keepdim=True)
        events = torch.hstack([events, chosen.clamp(max=last)])
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
    location = F.conv1d(past[:, None], filters[:, None], padding="same")
    inside = F.linear(query, query_weight, bias)[:, None] + F.linear(memory, memory_weight)
    inside += F.linear(location.mT, location_weight)
    energy = F.linear(inside.tanh(), score[None]).squeeze(-1)
    if mask is not None:
        energy = torch.where(mask, energy, torch.full_like(energy, float("-inf")))
    weights = F.softmax(energy, dim=-1)
    return torch.bmm(weights[:, None], memory)[:, 0], weights


def tacotron_loss(
    before: Tensor,
    after: Tensor,
    target: Tensor,
    stop_logits: Tensor,
    lengths: Tensor,
    *,
    positive_weight: float = 5.0,
) -> Tensor:
    batch, mels, frames = target.shape
    real = torch.arange(frames).expand(batch, -1) < lengths.unsqueeze(1)
    stop = F.one_hot(lengths.long() - 1, frames).to(stop_logits)
    count = real.sum()
    silent = torch.where(real[:, None], target, torch.zeros_like(target))
    errors = sum(
        F.mse_loss(mel.masked_fill(~real[:, None], 0), silent, reduction="sum") / (count * mels)
        for mel in (before, after)
    )
    weight = torch.where(stop > 0, positive_weight, 1.0).to(stop_logits) * real
    cost = F.binary_cross_entropy_with_logits(stop_logits, stop, weight=weight, reduction="sum")
    return errors + cost / count


class InvertibleConv1x1(nn.Module):
    def __init__(self, channels: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        left, _, right = torch.linalg.svd(torch.randn(channels, channels, generator=generator))
        self.weight = nn.Parameter(left @ right)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = F.conv1d(x, self.weight[:, :, None])
        log_det = torch.logdet(self.weight @ self.weight.T) / 2
        return z, torch.full((x.size(0),), x.size(2), dtype=x.dtype) * log_det

    def inverse(self, z: Tensor) -> Tensor:
        return F.conv1d(z, torch.linalg.inv(self.weight)[:, :, None])


class AffineCoupling(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.add_module("network", network)

    def _transform(self, kept: Tensor, condition: Tensor) -> torch.distributions.Transform:
        log_scale, shift = torch.tensor_split(self.network(kept, condition), 2, dim=1)
        return torch.distributions.AffineTransform(shift, log_scale.exp(), event_dim=2)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = torch.tensor_split(x, 2, dim=1)
        transform = self._transform(kept, condition)
        z = transform(moved)
        return torch.cat([kept, z], 1), transform.log_abs_det_jacobian(moved, z)

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        kept, moved = torch.tensor_split(z, 2, dim=1)
        return torch.cat([kept, self._transform(kept, condition).inv(moved)], 1)


def waveglow_loss(z: Tensor, log_det: Tensor, *, sigma: float = 1.0) -> Tensor:
    prior = torch.distributions.Independent(torch.distributions.Normal(torch.zeros_like(z), sigma), 2)
    return -((prior.log_prob(z) + log_det) / (z.shape[1] * z.shape[2])).mean()


def gram_matrix(features: Tensor) -> Tensor:
    return torch.bmm(features, features.mT).div(features.shape[-1])


def style_loss(
    features: Sequence[Tensor],
    style: Sequence[Tensor],
    *,
    weights: Sequence[float] | None = None,
    gram: Callable = gram_matrix,
) -> Tensor:
    shares = torch.ones(len(features)) if weights is None else torch.tensor(weights)
    distances = torch.stack(
        [F.mse_loss(gram(ours), gram(theirs)) for ours, theirs in zip(features, style, strict=True)]
    )
    return shares.to(distances) @ distances


def adsr_envelope(samples: int, rate: int, *, attack: float, decay: float, sustain: float, release: float) -> Tensor:
    time = np.arange(samples) / rate
    level = np.full(samples, float(sustain))
    if decay:
        level = np.interp(time, [attack, attack + decay], [1.0, sustain])
    if attack:
        level = np.where(time < attack, time / attack, level)
    if release:
        level = level * np.minimum(1.0, (samples / rate - time) / release)
    return torch.tensor(level, dtype=torch.float32)


def synthesize_effect(
    noise: Tensor, gain: Tensor, envelope: Tensor, window: Tensor, hop: int, *, peak: float = 0.9
) -> Tensor:
    transform = {"n_fft": len(window), "hop_length": hop, "window": window}
    spectrum = torch.stft(noise, pad_mode="constant", return_complex=True, **transform)
    shaped = torch.istft(torch.polar(spectrum.abs() * gain, spectrum.angle()), length=noise.shape[-1], **transform)
    return peak * torch.nan_to_num(F.normalize(shaped * envelope, p=float("inf"), dim=1, eps=1e-30))
