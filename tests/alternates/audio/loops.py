"""Correct answers to `audio` written with Python loops, one frame, one event or one number at a time."""

import cmath
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def _frame(sound, middle, width):
    frame = sound.new_zeros(width)
    for place, n in enumerate(range(middle - width // 2, middle + width // 2)):
        if 0 <= n < len(sound):
            return torch.cat([frame[:place], sound[n : middle + width // 2], frame[place + len(sound) - n :]])[:width]
    return frame


def _fourier(width, bins, like):
    table = [[cmath.exp(-2j * math.pi * (k * n % width) / width) for n in range(width)] for k in range(bins)]
    real = torch.tensor([[c.real for c in row] for row in table], dtype=torch.float64)
    imag = torch.tensor([[c.imag for c in row] for row in table], dtype=torch.float64)
    return real.to(like), imag.to(like)


def _transform(sound, window, hop):
    """Real and imaginary parts (bins, frames) of one sound."""
    width = len(window)
    cos, sin = _fourier(width, width // 2 + 1, sound)
    frames = [window * _frame(sound, middle, width) for middle in range(0, len(sound) + 1, hop)]
    frames = torch.stack(frames, dim=1)
    return cos @ frames, sin @ frames


def _inverse(real, imag, window, hop, length):
    """One sound from real and imaginary parts: overlap and add."""
    width = len(window)
    cos, sin = _fourier(width, width // 2 + 1, real)
    total = torch.zeros(length + 2 * width, dtype=real.dtype)
    norm = torch.zeros(length + 2 * width, dtype=real.dtype)
    times = torch.tensor([1 if k in (0, width // 2) else 2 for k in range(width // 2 + 1)])
    for t in range(real.shape[1]):
        frame = (real[:, t] * times / width) @ cos + (imag[:, t] * times / width) @ sin
        total[t * hop : t * hop + width] += window * frame
        norm[t * hop : t * hop + width] += window * window
    start = width // 2
    return total[start : start + length] / norm[start : start + length]


def spectrogram(sound, window, hop, *, power=2.0):
    rows = []
    for row in sound:
        real, imag = _transform(row, window, hop)
        size = real * real + imag * imag
        if power != 2:
            # The root has no derivative at 0.
            size = torch.where(size > 0, size.clamp(min=1e-30) ** (power / 2), size)
        rows.append(size)
    return torch.stack(rows)


def mel_filterbank(bins, mels, rate, *, low=0.0, high=None):
    def to_mel(f):
        return 2595 * math.log10(1 + f / 700)

    first, last = to_mel(low), to_mel(rate / 2 if high is None else high)
    corners = []
    for i in range(mels + 2):
        corners.append(700 * (10 ** ((first + i * (last - first) / (mels + 1)) / 2595) - 1))
    table = torch.zeros(mels, bins)
    for i in range(mels):
        for k in range(bins):
            f = k * rate / (2 * (bins - 1))
            if corners[i] < f <= corners[i + 1]:
                table[i, k] = (f - corners[i]) / (corners[i + 1] - corners[i])
            elif corners[i + 1] < f < corners[i + 2]:
                table[i, k] = (corners[i + 2] - f) / (corners[i + 2] - corners[i + 1])
    return table


def log_mel(spectrum, filterbank, *, floor=1e-5):
    filters = []
    for weights in filterbank:
        heard = 0
        for bin_, weight in enumerate(weights):
            heard = heard + weight * spectrum[:, bin_]
        filters.append(torch.where(heard < floor, torch.full_like(heard, floor), heard).log())
    return torch.stack(filters, dim=1)


def griffin_lim(magnitude, window, hop, length, phase, *, iterations=32):
    sounds = []
    for size, angle in zip(magnitude, phase, strict=True):
        sound = _inverse(size * torch.cos(angle), size * torch.sin(angle), window, hop, length)
        for _ in range(iterations):
            real, imag = _transform(sound, window, hop)
            angle = torch.atan2(imag, real)
            sound = _inverse(size * torch.cos(angle), size * torch.sin(angle), window, hop, length)
        sounds.append(sound)
    return torch.stack(sounds)


def linear_prediction(sound, order):
    """Levinson's recursion."""
    rows = []
    for row in sound.double():
        r = [sum((row[n] * row[n + k]).item() for n in range(len(row) - k)) for k in range(order + 1)]
        a, error = [], r[0]
        for i in range(1, order + 1):
            reflection = (r[i] - sum(a[j] * r[i - 1 - j] for j in range(i - 1))) / error
            a = [a[j] - reflection * a[i - 2 - j] for j in range(i - 1)] + [reflection]
            error *= 1 - reflection**2
        rows.append(a)
    return torch.tensor(rows, dtype=sound.dtype)


def encode_events(notes, *, steps_per_second=100):
    grid = {}
    for start, end, pitch, velocity in notes:
        first, last = (math.floor(time * steps_per_second + 0.5) for time in (start, end))
        grid[first, pitch] = (last if last > first else first + 1, velocity)
    begins, ends = {}, {}
    for (first, pitch), (last, velocity) in grid.items():
        for other, key in grid:
            if key == pitch and first < other < last:
                last = other
        begins.setdefault(first, []).append((pitch, velocity))
        ends.setdefault(last, []).append(pitch)
    events, before, bin_ = [], 0, None
    for step in sorted(set(begins) | set(ends)):
        pause = step - before
        while pause > 100:
            events.append(355)
            pause -= 100
        if pause:
            events.append(255 + pause)
        before = step
        for pitch in sorted(ends.get(step, [])):
            events.append(128 + pitch)
        for pitch, velocity in sorted(begins.get(step, [])):
            if bin_ is None or bin_ != velocity // 4:
                bin_ = velocity // 4
                events.append(356 + bin_)
            events.append(pitch)
    return torch.LongTensor(events)


def decode_events(events, *, steps_per_second=100):
    table = {}
    for pitch in range(128):
        now, velocity, begun = 0, 64, None
        for event in [*(int(event) for event in events), 128 + pitch]:
            if event in (pitch, 128 + pitch):
                if begun is not None and begun[0] < now:
                    table[begun[0], pitch] = (now, begun[1])
                begun = (now, velocity) if event == pitch else None
            elif 256 <= event <= 355:
                now += event - 256 + 1
            elif event >= 356:
                velocity = (event - 356) * 4 + 2
    notes = []
    for first, pitch in sorted(table):
        last, velocity = table[first, pitch]
        notes.append((first / steps_per_second, last / steps_per_second, pitch, velocity))
    return notes


def relative_attention(query, key, value, distances):
    if query.ndim > 2:
        parts = zip(query, key, value, strict=True)
        return torch.stack([relative_attention(q, k, v, distances) for q, k, v in parts])
    rows = []
    for i in range(len(query)):
        scores = []
        for j in range(i + 1):
            vector = distances[len(distances) - 1 - (i - j)]
            scores.append((query[i] * (key[j] + vector)).sum() / math.sqrt(query.shape[1]))
        weights = torch.softmax(torch.stack(scores), dim=0)
        rows.append(sum(weight * v for weight, v in zip(weights, value, strict=False)))
    return torch.stack(rows)


def allowed_events(events, *, scale=tuple(range(12)), voices=128):
    table = []
    for row in events.tolist():
        sounds = [False] * 128
        for event in row:
            if event < 256:
                sounds[event % 128] = event < 128
        full = sounds.count(True) >= voices
        table.append(
            [not sounds[p] and p % 12 in scale and not full for p in range(128)]
            + sounds
            + [True] * 100
            + [len(row) == 0 or row[-1] < 356] * 32
        )
    return torch.tensor(table)


def sample_music(model, start, uniform, *, allowed=allowed_events, temperature=1.0):
    pieces = start.tolist()
    with torch.inference_mode():
        for step in range(uniform.shape[1]):
            so_far = torch.tensor(pieces)
            may, logits = allowed(so_far), model(so_far)[:, -1]
            for piece, row, ok, number in zip(
                pieces, logits.tolist(), may.tolist(), uniform[:, step].tolist(), strict=True
            ):
                free = [event for event, fine in enumerate(ok) if fine]
                top = max(row[event] for event in free)
                odds = [math.exp((row[event] - top) / temperature) for event in free]
                total, reached = math.fsum(odds), 0.0
                chosen = free[-1]
                for event, share in zip(free, odds, strict=True):
                    reached += share / total
                    if reached > number:
                        chosen = event
                        break
                piece.append(chosen)
    return torch.tensor(pieces)


def location_sensitive_attention(
    query,
    memory,
    past,
    *,
    query_weight,
    memory_weight,
    filters,
    location_weight,
    bias,
    score,
    mask=None,
):
    batch, length, _ = memory.shape
    width = filters.shape[1]
    contexts, rows = [], []
    for b in range(batch):
        energy = []
        for j in range(length):
            feature = torch.zeros_like(filters[:, 0])
            for m in range(width):
                letter = j + m - width // 2
                if letter in range(length):
                    feature = feature + filters[:, m] * past[b, letter]
            inside = query_weight @ query[b] + memory_weight @ memory[b, j] + location_weight @ feature + bias
            energy.append(torch.dot(score, torch.tanh(inside)))
        letters = [j for j in range(length) if mask is None or bool(mask[b, j])]
        top = max(energy[j].item() for j in letters)
        shares = {j: torch.exp(energy[j] - top) for j in letters}
        total = sum(shares.values())
        row = [shares[j] / total if j in shares else energy[j].detach() * 0 for j in range(length)]
        contexts.append(sum(row[j] * memory[b, j] for j in letters))
        rows.append(torch.stack(row))
    return torch.stack(contexts), torch.stack(rows)


def tacotron_loss(before, after, target, stop_logits, lengths, *, positive_weight=5.0):
    squares, costs, frames = 0, 0, 0
    for b, length in enumerate(lengths.tolist()):
        for mel in (before, after):
            squares = squares + (mel[b, :, :length] - target[b, :, :length]).pow(2).sum()
        for t in range(length):
            logit = stop_logits[b, t]
            if t == length - 1:
                costs = costs + positive_weight * torch.nn.functional.softplus(-logit)
            else:
                costs = costs + torch.nn.functional.softplus(logit)
        frames += length
    return squares / (frames * target.shape[1]) + costs / frames


class InvertibleConv1x1(nn.Module):
    def __init__(self, channels, *, generator=None):
        super().__init__()
        # Gram and Schmidt.
        rows = []
        for _ in range(channels):
            row = torch.randn(channels, generator=generator, dtype=torch.float64)
            for _ in range(2):
                for other in rows:
                    row = row - (row @ other) * other
            rows.append(row / row.norm())
        self.weight = nn.Parameter(torch.stack(rows).float())

    def forward(self, x):
        moments = [x[:, :, t] @ self.weight.T for t in range(x.shape[2])]
        one = torch.linalg.det(self.weight.double()).abs().log().to(x.dtype)
        return torch.stack(moments, dim=2), torch.stack([x.shape[2] * one for _ in x])

    def inverse(self, z):
        undo = self.weight.double().inverse().to(z.dtype)
        return torch.stack([z[:, :, t] @ undo.T for t in range(z.shape[2])], dim=2)


class AffineCoupling(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, condition):
        half = x.shape[1] // 2
        said = self.network(x[:, :half], condition)
        channels = [x[:, c] for c in range(half)]
        log_det = 0
        for c in range(half):
            channels.append(torch.exp(said[:, c]) * x[:, half + c] + said[:, half + c])
            log_det = log_det + said[:, c].sum(1)
        return torch.stack(channels, dim=1), log_det

    def inverse(self, z, condition):
        half = z.shape[1] // 2
        said = self.network(z[:, :half], condition)
        channels = [z[:, c] for c in range(half)]
        for c in range(half):
            channels.append((z[:, half + c] - said[:, half + c]) / torch.exp(said[:, c]))
        return torch.stack(channels, dim=1)


def waveglow_loss(z, log_det, *, sigma=1.0):
    costs = []
    for code, volume in zip(z, log_det, strict=True):
        numbers = code.numel()
        log_p = -(code.flatten() @ code.flatten()) / (2 * sigma * sigma) - numbers * math.log(
            sigma * math.sqrt(2 * math.pi)
        )
        costs.append(-(log_p + volume) / numbers)
    return sum(costs) / len(costs)


def gram_matrix(features):
    matrices = []
    for sound in features:
        matrix = 0
        for frame in sound.T:
            matrix = matrix + torch.outer(frame, frame) / sound.shape[1]
        matrices.append(matrix)
    return torch.stack(matrices)


def style_loss(features, style, *, weights=None, gram: Callable = gram_matrix):
    total = 0
    for layer, (ours, theirs) in enumerate(zip(features, style, strict=True)):
        weight = 1 if weights is None else weights[layer]
        difference = gram(ours) - gram(theirs)
        for row in difference:
            total = total + weight * (row * row).sum() / ours.shape[1] ** 2 / len(difference)
    return total


def adsr_envelope(samples, rate, *, attack, decay, sustain, release):
    factors = []
    for n in range(samples):
        t = n / rate
        if t < attack:
            level = t / attack
        elif t < attack + decay:
            level = 1 + (sustain - 1) * (t - attack) / decay
        else:
            level = sustain
        if release and (samples - n) / rate < release:
            level *= (samples - n) / rate / release
        factors.append(float(level))
    return torch.tensor(factors)


def synthesize_effect(noise: Tensor, gain, envelope, window, hop, *, peak=0.9):
    sounds = []
    for row in noise:
        real, imag = _transform(row, window, hop)
        sound = _inverse(real * gain, imag * gain, window, hop, len(row)) * envelope
        loudest = max(abs(x) for x in sound.tolist())
        sounds.append(sound * (peak / loudest) if loudest else sound)
    return torch.stack(sounds)
