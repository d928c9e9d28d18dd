"""Sounds made by formula, to learn from and to listen to: strings, bells, a voice that reads letters, tunes.

All of them are tensors of amplitudes between −1 and 1, at `rate` samples a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from coursekit.midi import Note

RATE = 8000


def listen(sound: Tensor, rate: int = RATE) -> Any:
    """A player for a sound (samples,), as loud as it can be without clipping; silence stays silence."""
    from IPython.display import Audio

    sound = sound.detach().cpu().flatten().float()
    return Audio((0.9 * sound / sound.abs().max().clamp(min=1e-6)).numpy(), rate=rate, normalize=False)


def pluck(hertz: float, seconds: float, *, rate: int = RATE) -> Tensor:
    """A plucked string: overtones at whole multiples of the pitch, the high ones gone first."""
    time = torch.arange(round(seconds * rate)) / rate
    order = torch.arange(1, max(2, math.floor(rate / 2 / hertz) + 1), dtype=torch.float32)[:, None]
    strength = torch.sin(math.pi * order / 5) / order**1.5  # plucked at a fifth of its length
    waves = torch.sin(2 * math.pi * order * hertz * time) * torch.exp(-(1.5 + 1.2 * order) * time)
    return _faded((strength * waves).sum(dim=0), rate) / 1.5


def bell(hertz: float, seconds: float, *, rate: int = RATE) -> Tensor:
    """A bell: its overtones are no multiples of one another, and the low ones last (after Risset 1969)."""
    time = torch.arange(round(seconds * rate)) / rate
    ratio = torch.tensor([0.56, 0.92, 1.19, 1.71, 2.0, 2.74, 3.0, 3.76, 4.07])[:, None]
    strength = torch.tensor([1.0, 1.0, 1.35, 1.8, 2.67, 1.67, 1.46, 1.33, 1.33])[:, None]
    waves = torch.sin(2 * math.pi * ratio * hertz * time) * torch.exp(-1.6 * ratio * time)
    return _faded((strength * waves * (ratio * hertz < rate / 2)).sum(dim=0), rate) / 10


def play(notes: Iterable[Note], *, rate: int = RATE) -> Tensor:
    """The sound of notes, (start, end, pitch, velocity) each, on a plucked string that is damped when they end."""
    notes = list(notes)
    sound = torch.zeros(round((max((end for _, end, _, _ in notes), default=0) + 0.3) * rate))
    for start, end, pitch, velocity in notes:
        note = velocity / 127 * pluck(440 * 2 ** ((pitch - 69) / 12), end - start + 0.1, rate=rate)
        note = note * ((end + 0.1 - start - torch.arange(len(note)) / rate) / 0.1).clamp(0, 1)
        first = round(start * rate)
        sound[first : first + len(note)] += note[: len(sound) - first]
    return sound / sound.abs().max().clamp(min=1)


@dataclass(frozen=True)
class Phone:
    """The sound of a letter: a buzz with resonances, hiss in a band, or both.

    Attributes:
        voice: how loud the buzz is.
        formants: its first three resonances, in hertz.
        hiss: how loud the hiss is.
        band: the middle and the width of the hiss, in hertz.
        seconds: how long it lasts, on average.
        closed: what part of that is silent first, while the lips or the tongue are shut.
    """

    voice: float = 0.0
    formants: tuple[float, float, float] = (500.0, 1500.0, 2500.0)
    hiss: float = 0.0
    band: tuple[float, float] = (2000.0, 1000.0)
    seconds: float = 0.1
    closed: float = 0.0


PHONES = {
    " ": Phone(seconds=0.08),
    # Vowels: a man's average formants (Peterson & Barney 1952).
    "a": Phone(1.0, (730, 1090, 2440), seconds=0.16),
    "e": Phone(1.0, (530, 1840, 2480), seconds=0.14),
    "i": Phone(1.0, (270, 2290, 3010), seconds=0.14),
    "o": Phone(1.0, (570, 840, 2410), seconds=0.16),
    "u": Phone(1.0, (300, 870, 2240), seconds=0.14),
    "l": Phone(0.4, (360, 1300, 2700)),
    "m": Phone(0.3, (250, 1000, 2200)),
    "n": Phone(0.3, (250, 1600, 2600)),
    "r": Phone(0.4, (430, 1200, 1600)),
    "f": Phone(hiss=0.1, band=(2200, 2400)),
    "s": Phone(hiss=0.3, band=(3400, 700), seconds=0.12),
    "x": Phone(hiss=0.3, band=(2100, 700), seconds=0.12),  # as in shoe
    "z": Phone(0.25, (250, 1500, 2500), hiss=0.2, band=(3300, 700)),
    "k": Phone(hiss=0.5, band=(1700, 500), seconds=0.09, closed=0.6),
    "p": Phone(hiss=0.5, band=(600, 600), seconds=0.09, closed=0.6),
    "t": Phone(hiss=0.5, band=(3000, 900), seconds=0.09, closed=0.6),
}
"""What `speak` can read. Every letter is one sound."""

CONSONANTS, VOWELS = "fklmnprstxz", "aeiou"


def words(count: int, *, syllables: tuple[int, int] = (2, 3), generator: torch.Generator | None = None) -> list[str]:
    """Words that can be spoken: syllables of a consonant and a vowel, at times with a consonant at the end.

    Args:
        count: how many.
        syllables: the least and the greatest number of syllables.
        generator: source of all choices, uniform and independent; one word in two ends in a consonant.
    """

    def draw(options: str) -> str:
        return options[int(torch.randint(len(options), (), generator=generator))]

    made = []
    for _ in range(count):
        number = int(torch.randint(syllables[0], syllables[1] + 1, (), generator=generator))
        word = "".join(draw(CONSONANTS) + draw(VOWELS) for _ in range(number))
        made.append(word + (draw("lmnrs") if torch.rand((), generator=generator) < 0.5 else ""))
    return made


def speak(
    text: str, *, pitch: float = 120.0, rate: int = RATE, generator: torch.Generator | None = None
) -> tuple[Tensor, list[float]]:
    """Read letters aloud, by source and filter: a buzz or a hiss, shaped by resonances that glide from one to the next.

    Args:
        text: letters of `PHONES`.
        pitch: of the voice at the beginning, in hertz; it falls a little.
        rate: samples a second.
        generator: source of the hiss, and of how long each letter lasts: 30% more or less than usual.

    Returns:
        The sound (samples,), and the second at which each letter begins.

    Raises:
        ValueError: there is nothing to read, or a letter that has no sound.
    """
    if not text or (unknown := set(text) - set(PHONES)):
        raise ValueError(f"{''.join(sorted(unknown))!r} cannot be spoken" if text else "there is nothing to read")
    phones = [PHONES[letter] for letter in text]
    lasts = torch.tensor([phone.seconds for phone in phones]) * (0.7 + 0.6 * torch.rand(len(text), generator=generator))
    ends = lasts.cumsum(dim=0)
    starts = ends - lasts
    hop = rate // 200  # what changes is written down every 5 ms
    frames = int(ends[-1] * rate) // hop + 1
    moment = torch.arange(frames) * hop / rate
    letter = torch.searchsorted(ends, moment, right=True).clamp(max=len(text) - 1)
    open_ = (moment - starts[letter]) / lasts[letter] >= torch.tensor([phone.closed for phone in phones])[letter]
    table = torch.tensor([[p.voice, p.hiss, *p.band, *p.formants] for p in phones])
    track = table[letter]
    track[:, :2] *= open_[:, None]
    track[-3:, :2] = 0  # the voice dies away
    track = _smooth(track, 9)  # no mouth moves at once
    samples = (frames - 1) * hop
    buzz = _buzz(track, samples, hop, pitch, rate)
    hiss = _hiss(track, samples, hop, rate, generator)
    sound = buzz + hiss
    return 0.9 * sound / sound.abs().max().clamp(min=1e-6), starts.tolist()


def _buzz(track: Tensor, samples: int, hop: int, pitch: float, rate: int) -> Tensor:
    """Overtones of a falling pitch, each as loud as the resonances make it."""
    time = torch.arange(samples) / rate
    hertz = pitch * (1.05 - 0.15 * time / max(1.0, samples / rate))
    turns = 2 * math.pi * (hertz / rate).cumsum(dim=0)
    order = torch.arange(1, int(0.47 * rate / pitch) + 1, dtype=torch.float32)[:, None]
    overtone = order * hertz[::hop][None, :]  # (orders, frames)
    strength = torch.ones_like(overtone) / order
    formants = track[: overtone.shape[1], 4:]
    for place, width in enumerate((80.0, 100.0, 150.0)):
        ratio = overtone / formants[:, place]
        strength = strength / ((1 - ratio**2) ** 2 + (ratio * width / formants[:, place]) ** 2).sqrt()
    strength = strength / strength.square().sum(dim=0).sqrt() * track[: overtone.shape[1], 0]
    every = torch.nn.functional.interpolate(strength[None], size=samples, mode="linear")[0]
    return (every * torch.sin(order * turns)).sum(dim=0)


def _hiss(track: Tensor, samples: int, hop: int, rate: int, generator: torch.Generator | None) -> Tensor:
    """White noise, filtered frame by frame."""
    width = 4 * hop
    window = torch.hann_window(width)
    noise = torch.stft(
        torch.randn(samples, generator=generator), width, hop, window=window, pad_mode="constant", return_complex=True
    )
    hertz = torch.linspace(0, rate / 2, width // 2 + 1)[:, None]
    loud, middle, wide = track[: noise.shape[1], 1:4].T
    gain = loud * torch.exp(-(((hertz - middle) / wide.clamp(min=1)) ** 2))
    return torch.istft(noise * gain, width, hop, window=window, length=samples)


def _smooth(track: Tensor, frames: int) -> Tensor:
    """A moving mean over an odd number of frames."""
    padded = torch.nn.functional.pad(track.T[None], (frames // 2, frames // 2), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, frames, stride=1)[0].T


def _faded(sound: Tensor, rate: int) -> Tensor:
    """Without a click at either end."""
    place = torch.arange(len(sound)) / rate
    return sound * (place / 0.003).clamp(max=1) * ((len(sound) / rate - place) / 0.01).clamp(max=1)
