"""MIDI files, read by another program: mido."""

import io

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursekit.midi import save_midi, to_midi

CHORD = [(0.0, 1.0, 60, 80), (0.5, 1.0, 64, 90), (1.0, 300.0, 60, 100)]


def notes_in(file: mido.MidiFile) -> list[tuple[float, float, int, int]]:
    """What a player would play: (start, end, pitch, velocity), sorted."""
    now, sounding, found = 0.0, {}, []
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity:
            assert message.note not in sounding
            sounding[message.note] = (now, message.velocity)
        elif message.type in ("note_off", "note_on"):
            start, velocity = sounding.pop(message.note)
            found.append((start, now, message.note, velocity))
    assert not sounding
    return sorted(found)


def played(data: bytes) -> list[tuple[float, float, int, int]]:
    return notes_in(mido.MidiFile(file=io.BytesIO(data)))


def same(found, expected) -> bool:
    return [note[2:] for note in found] == [note[2:] for note in expected] and all(
        note[:2] == pytest.approx(wanted[:2], abs=1 / 960) for note, wanted in zip(found, expected, strict=True)
    )


def test_a_player_finds_the_notes():
    """Also those after a pause that takes three bytes to say, and one that begins where the same pitch ends."""
    assert same(played(to_midi(CHORD)), CHORD)


@given(
    gaps=st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 20_000)), max_size=5),
    pitch=st.integers(0, 127),
    velocity=st.integers(1, 127),
)
def test_times_are_right_to_a_tick(gaps, pitch, velocity):
    notes, now = [], 0
    for silence, length in gaps:
        notes.append(((now + silence) / 100, (now + silence + length) / 100, pitch, velocity))
        now += silence + length
    assert same(played(to_midi(notes)), notes)


def test_the_instrument_can_be_chosen():
    file = mido.MidiFile(file=io.BytesIO(to_midi(CHORD, program=24)))
    assert [m.program for track in file.tracks for m in track if m.type == "program_change"] == [24]


def test_a_file_without_notes_is_a_file():
    assert played(to_midi([])) == []


def test_a_file_is_written(tmp_path):
    path = save_midi(CHORD, tmp_path / "chord.mid")
    assert same(notes_in(mido.MidiFile(path)), CHORD)


@pytest.mark.parametrize("note", [(0, 1, 128, 64), (0, 1, -1, 64), (0, 1, 60, 0), (0, 1, 60, 128), (2, 1, 60, 64)])
def test_what_is_no_note_is_refused(note):
    with pytest.raises(ValueError, match="no note"):
        to_midi([note])


def test_an_instrument_that_is_none_is_refused():
    with pytest.raises(ValueError, match="0 to 127"):
        to_midi(CHORD, program=128)
