"""Music as a standard MIDI file, which every music program opens: notes in, bytes out.

A note is (start, end, pitch, velocity), start and end in seconds: what `decode_events` of the assignment `audio` returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Note = tuple[float, float, int, int]
TICKS_PER_BEAT = 480
BEATS_PER_SECOND = 2  # 120 beats a minute, what a player assumes anyway


def to_midi(notes: Iterable[Note], *, program: int = 0) -> bytes:
    """The file: one track, one channel, 120 beats a minute.

    Args:
        notes: of each note start and end in seconds, pitch and velocity, both from 0 to 127, the velocity at least 1.
        program: the instrument, from 0 to 127: 0 is a piano, 24 a guitar, 52 a choir (General MIDI).

    Raises:
        ValueError: a number is out of range, or a note ends before it begins.
    """
    changes: list[tuple[int, bool, int, int]] = []  # (tick, whether a beginning, pitch, velocity): ends sort first
    for start, end, pitch, velocity in notes:
        if not (0 <= start <= end and 0 <= pitch < 128 and 1 <= velocity < 128):
            raise ValueError(f"({start}, {end}, {pitch}, {velocity}) is no note that a MIDI file can hold")
        changes += [(_ticks(start), True, pitch, velocity), (max(_ticks(end), _ticks(start) + 1), False, pitch, 0)]
    if not 0 <= program < 128:
        raise ValueError(f"programs go from 0 to 127, so {program} is none")
    track = bytearray(b"\x00\xff\x51\x03" + (1_000_000 // BEATS_PER_SECOND).to_bytes(3, "big"))
    track += bytes([0, 0xC0, program])
    now = 0
    for tick, beginning, pitch, velocity in sorted(changes):
        track += _variable_length(tick - now) + bytes([0x90 if beginning else 0x80, pitch, velocity])
        now = tick
    track += b"\x00\xff\x2f\x00"
    header = b"".join(number.to_bytes(2, "big") for number in (0, 1, TICKS_PER_BEAT))
    return b"MThd" + len(header).to_bytes(4, "big") + header + b"MTrk" + len(track).to_bytes(4, "big") + bytes(track)


def save_midi(notes: Iterable[Note], path: str | Path, *, program: int = 0) -> Path:
    """Write the file, and return where it is."""
    path = Path(path)
    path.write_bytes(to_midi(notes, program=program))
    return path


def _ticks(seconds: float) -> int:
    return round(seconds * BEATS_PER_SECOND * TICKS_PER_BEAT)


def _variable_length(number: int) -> bytes:
    """A number in base 128, most significant digit first; all digits but the last have their highest bit set."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))
