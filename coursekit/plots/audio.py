"""Sounds to look at: spectrograms, piano rolls, and which letter is being read when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coursekit.plots.style import FAINT, INK, LINES, Picture, in_style, new_figure

if TYPE_CHECKING:  # Matplotlib is loaded with the first picture, so that graders, who draw none, need not wait for it.
    from matplotlib.axes import Axes

    from coursekit.midi import Note

COLOURS = "bone_r"
OCTAVES = {pitch: f"C{pitch // 12 - 1}" for pitch in range(0, 128, 12)}


@in_style
def spectrograms(
    panels: Mapping[str, Tensor],
    *,
    rate: int,
    hop: int,
    columns: int | None = None,
    reach: float = 60.0,
    top: float | None = None,
    mel: bool = False,
    letters: Mapping[str, Sequence[tuple[float, str]]] | None = None,
    alt: str | None = None,
) -> Picture:
    """How much of each frequency there is at each moment, dark where there is much, in decibels below the loudest.

    Args:
        panels: for each panel's title a power spectrogram (bins, frames).
        rate: samples a second.
        hop: samples from frame to frame.
        columns: panels in a row; all of them if not said.
        reach: how many decibels below the loudest are still to be seen.
        top: the highest frequency to show, in hertz; half the rate if not said.
        mel: whether the bins are mel filters, from low to high, rather than frequencies from 0 to rate / 2.
        letters: for the titles of some panels, letters to write above them, each with the second at which it begins.
        alt: what to say where it cannot be seen.
    """
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    figure = new_figure(9.6, 0.5 + (2.1 if columns > 1 else 1.9) * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.axis("off")
            continue
        title, power = list(panels.items())[place]
        written = (letters or {}).get(title, ())
        _spectrogram(axes, power, rate, hop, reach, None if mel else (top or rate / 2))
        for second, letter in written:
            axes.axvline(second, color=FAINT, linewidth=0.5)
            axes.annotate(
                letter, (second, 1), (2, 2), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=9
            )
        axes.set_title(title, pad=16 if written else 6)
        axes.set_xlabel("seconds" if place + columns >= len(panels) else "")
        axes.set_ylabel(("mel filter" if mel else "kHz") if place % columns == 0 else "")
    return Picture(figure, alt or f"Spectrograms, frequency over time: {', '.join(panels)}.")


@in_style
def piano_roll(
    panels: Mapping[str, Sequence[Note]], *, seconds: float | None = None, alt: str | None = None
) -> Picture:
    """Notes over time, high ones at the top, each as long as it sounds and as dark as it was struck.

    Args:
        panels: for each panel's title its notes, (start, end, pitch, velocity) each.
        seconds: where the time axis ends; with the last note if not said.
        alt: what to say where it cannot be seen.
    """
    figure = new_figure(9.6, 0.4 + 1.75 * len(panels))
    every = [note for notes in panels.values() for note in notes] or [(0.0, 1.0, 60, 64)]
    pitches, last = [note[2] for note in every], seconds or max(note[1] for note in every)
    for axes, (title, notes) in zip(
        figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0], panels.items(), strict=True
    ):
        _roll(axes, notes, min(pitches), max(pitches))
        axes.set(title=title, xlim=(0, last))
    axes.set_xlabel("seconds")
    return Picture(figure, alt or f"Piano rolls, pitch over time: {', '.join(panels)}.")


@in_style
def alignments(
    panels: Mapping[str, tuple[Tensor, str]], *, seconds: float | None = None, alt: str | None = None
) -> Picture:
    """Which letters are looked at while each frame is made.

    Args:
        panels: for each panel's title the weights (frames, letters), and the letters.
        seconds: how long a frame lasts; frames are counted if not said.
        alt: what to say where it cannot be seen.
    """
    figure = new_figure(9.6, 3.0 if len(panels) > 1 else 3.6)
    for place, (axes, (title, (weights, text))) in enumerate(
        zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True)
    ):
        weights = weights.detach().cpu()[:, : len(text)]
        end = len(weights) * (seconds or 1)
        axes.imshow(
            weights.T.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", origin="lower", interpolation="none",
            extent=(0, end, -0.5, len(text) - 0.5),
        )  # fmt: skip
        axes.set_yticks(range(len(text)), ["␣" if letter == " " else letter for letter in text], fontsize=8)
        axes.set(title=title, xlabel="seconds" if seconds else "frame", ylabel="letter" if place == 0 else "")
        axes.tick_params(length=0)
        axes.grid(False)
    return Picture(figure, alt or f"Attention to letters over time: {', '.join(panels)}.")


@in_style
def three_ways(sound: Tensor, power: Tensor, notes: Sequence[Note], *, rate: int, hop: int) -> Picture:
    """One piece of music as amplitudes, as a spectrogram, and as notes, with how many numbers each takes.

    Args:
        sound: amplitudes (samples,).
        power: its power spectrogram (bins, frames).
        notes: what is played, (start, end, pitch, velocity) each.
        rate: samples a second.
        hop: samples from frame to frame.
    """
    seconds = len(sound) / rate
    figure = new_figure(9.6, 5.6)
    wave, spectrum, roll = figure.subplots(3, 1, sharex=True)
    wave.plot(torch.arange(len(sound)) / rate, sound.detach().cpu(), color=LINES[0], linewidth=0.4)
    wave.set(title=f"Amplitudes: {rate:,} numbers a second", ylabel="amplitude", xlim=(0, seconds))
    _spectrogram(spectrum, power, rate, hop, 60.0, rate / 2)
    spectrum.set(title=f"Spectrogram: {rate / hop:.0f} columns of {len(power)} numbers a second", ylabel="kHz")
    pitches = [note[2] for note in notes]
    _roll(roll, notes, min(pitches), max(pitches))
    roll.set(title=f"Notes: {len(notes) / seconds:.0f} a second", xlabel="seconds", xlim=(0, seconds))
    return Picture(figure, "A tune, three times: its waveform, its spectrogram, its notes as bars over time.")


def _spectrogram(axes: Axes, power: Tensor, rate: int, hop: int, reach: float, top: float | None) -> None:
    """Draw one; without `top` the bins are counted."""
    power = power.detach().cpu()
    level = 10 * (power / power.max().clamp(min=1e-20)).clamp(min=1e-20).log10()
    height = len(power) - 0.5 if top is None else rate / 2000
    low = -0.5 if top is None else 0
    axes.imshow(
        level.numpy(), cmap=COLOURS, vmin=-reach, vmax=0, aspect="auto", origin="lower", interpolation="none",
        extent=(0, power.shape[1] * hop / rate, low, height),
    )  # fmt: skip
    axes.set_ylim(low, height if top is None else top / 1000)
    axes.grid(False)


def _roll(axes: Axes, notes: Sequence[Note], low: int, high: int) -> None:
    """Draw notes as bars."""
    for start, end, pitch, velocity in notes:
        axes.barh(
            pitch, end - start, left=start, height=0.9, color=LINES[0], alpha=0.25 + 0.75 * velocity / 127,
            edgecolor=INK, linewidth=0.4,
        )  # fmt: skip
    ticks = [pitch for pitch in OCTAVES if low - 2 <= pitch <= high + 2]
    axes.set_yticks(ticks, [OCTAVES[pitch] for pitch in ticks])
    axes.set(ylim=(low - 2, high + 2), ylabel="pitch")
