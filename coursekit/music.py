"""A composer whose every choice is known: tunes for two voices, drawn from a grammar, with their exact probabilities."""

from __future__ import annotations

import math

import torch

from coursekit.midi import Note

BEAT = 0.5
"""Seconds."""

WHITE_KEYS = (0, 2, 4, 5, 7, 9, 11)
CHORDS = {"I": 0, "IV": 3, "V": 4, "vi": 5}
"""The degree of the scale on which each chord is built."""

PROGRESSIONS = {
    "I": {"IV": 0.4, "V": 0.3, "vi": 0.3},
    "IV": {"V": 0.6, "I": 0.4},
    "V": {"I": 0.7, "vi": 0.3},
    "vi": {"IV": 0.6, "V": 0.4},
}
RHYTHMS = {(2, 2): 0.3, (1, 1, 2): 0.3, (2, 1, 1): 0.2, (1, 1, 1, 1): 0.2}
STEPS = {1: 0.45, -1: 0.45, 0: 0.1}


class Composer:
    """Tunes in C major: a bass note in every bar, and above it a melody.

    A bar has four beats and a chord; the first is I, each further one is drawn given the one before (`PROGRESSIONS`). The
    bass plays the root of the chord and holds it. The melody has a rhythm (`RHYTHMS`), begins with one of the three notes of
    the chord, all equally likely, and goes on by `STEPS` of the scale. First beats are struck harder.

    Args:
        bars: how long a tune is.
    """

    def __init__(self, bars: int = 8) -> None:
        self.bars = bars

    @property
    def entropy(self) -> float:
        """The entropy of a tune, in nats: what the best possible model pays for one on average.

        A tune tells all choices that were made, so it is the sum of theirs.
        """
        chance = {"I": 1.0}
        chords = 0.0
        for _ in range(self.bars - 1):
            chords += sum(p * _entropy(PROGRESSIONS[chord]) for chord, p in chance.items())
            after = dict.fromkeys(CHORDS, 0.0)
            for chord, p in chance.items():
                for following, q in PROGRESSIONS[chord].items():
                    after[following] += p * q
            chance = after
        further = sum(p * (len(rhythm) - 1) for rhythm, p in RHYTHMS.items())
        bar = _entropy(RHYTHMS) + math.log(3) + further * _entropy(STEPS)
        return chords + self.bars * bar

    def compose(self, *, generator: torch.Generator | None = None) -> tuple[list[Note], float]:
        """Draw a tune: its notes (start, end, pitch, velocity), in seconds, and its surprisal −log p, in nats."""
        notes: list[Note] = []
        nats, chord = 0.0, "I"
        for bar in range(self.bars):
            if bar:
                chord, cost = _draw(PROGRESSIONS[chord], generator)
                nats += cost
            rhythm, cost = _draw(RHYTHMS, generator)
            start, root = 4 * bar, CHORDS[chord]
            notes.append((BEAT * start, BEAT * (start + 4), _pitch(root - 7), 66))
            third = int(torch.randint(3, (), generator=generator))
            degree = root + 2 * third
            nats += cost + math.log(3)
            for place, beats in enumerate(rhythm):
                if place:
                    step, cost = _draw(STEPS, generator)
                    degree, nats = degree + step, nats + cost
                notes.append((BEAT * start, BEAT * (start + beats), _pitch(degree), 70 if place else 98))
                start += beats
        return notes, nats


def _draw(chances: dict, generator: torch.Generator | None) -> tuple:
    """One of the keys, with its probability, and its surprisal in nats."""
    options = list(chances)
    probabilities = torch.tensor(list(chances.values()), dtype=torch.float64)
    chosen = options[int(torch.multinomial(probabilities, 1, generator=generator))]
    return chosen, -math.log(chances[chosen])


def _entropy(chances: dict) -> float:
    return -sum(p * math.log(p) for p in chances.values())


def _pitch(degree: int) -> int:
    """The MIDI pitch of a degree of C major; 0 is middle C, and each octave has seven."""
    octave, key = divmod(degree, 7)
    return 60 + 12 * octave + WHITE_KEYS[key]
