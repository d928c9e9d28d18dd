import itertools
import math
import statistics

import torch

from coursekit.music import BEAT, CHORDS, WHITE_KEYS, Composer


def tunes(bars, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [Composer(bars).compose(generator=generator) for _ in range(count)]


def test_the_mean_surprisal_is_the_entropy():
    """At six sigma."""
    for bars in (1, 4):
        costs = [nats for _, nats in tunes(bars, 2000)]
        error = statistics.stdev(costs) / math.sqrt(len(costs))
        assert abs(statistics.mean(costs) - Composer(bars).entropy) < 6 * error


def test_a_tune_tells_its_choices():
    """Equal tunes have equal surprisal, and their frequency is what it says."""
    drawn = tunes(1, 3000)
    counted = {}
    for notes, nats in drawn:
        counted.setdefault(tuple(notes), []).append(nats)
    for costs in counted.values():
        assert max(costs) - min(costs) < 1e-9
    often = max(counted.values(), key=len)
    expected = 3000 * math.exp(-often[0])
    assert abs(len(often) - expected) < 6 * math.sqrt(expected)


def test_every_bar_has_a_bass_and_a_melody_without_gaps():
    for notes, _ in tunes(4, 20):
        bass = [note for note in notes if note[1] - note[0] == 4 * BEAT]
        melody = sorted(note for note in notes if note not in bass)
        assert [note[0] for note in bass] == [4 * BEAT * bar for bar in range(4)]
        assert {note[2] % 12 for note in bass} <= {WHITE_KEYS[degree] for degree in CHORDS.values()}
        assert bass[0][2] % 12 == 0
        assert [note[0] for note in melody[1:]] == [note[1] for note in melody[:-1]]
        assert melody[-1][1] == 16 * BEAT
        assert {note[2] % 12 for note in notes} <= set(WHITE_KEYS)


def test_no_two_notes_of_a_pitch_overlap():
    for notes, _ in tunes(8, 50):
        for pitch in {note[2] for note in notes}:
            same = sorted(note for note in notes if note[2] == pitch)
            assert all(first[1] <= second[0] for first, second in itertools.pairwise(same))
