"""Images beside one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from coursekit.plots.style import INK, LINES, Picture, in_style, new_figure

if TYPE_CHECKING:  # Matplotlib is loaded with the first picture, so that graders, who draw none, need not wait for it.
    from matplotlib.axes import Axes


@in_style
def strips(
    rows: Mapping[str, Tensor],
    size: tuple[int, int],
    *,
    captions: Sequence[str] | None = None,
    title: str = "",
    scale: float = 1.0,
    alt: str | None = None,
) -> Picture:
    """Rows of images, each with its name on the left.

    Args:
        rows: for each name a tensor in [0, 1]: (columns, height · width), dark where the value is high, or, in colour,
            (columns, 3 · height · width) with all of red before green, and green before blue.
        size: height and width of an image in pixels.
        captions: a word below each column.
        title: what all of it is.
        scale: how much larger than usual to draw it.
        alt: what to say where it cannot be seen.
    """
    columns = max(len(images) for images in rows.values())
    room = 0.15 + 0.085 * max(len(name) for name in rows)
    cell = scale * min(0.8, (9.6 - room) / columns)
    heading, footing = 0.1 + 0.25 * bool(title), 0.1 + 0.2 * bool(captions)
    width, height = room + cell * columns + 0.1, heading + cell * len(rows) + footing
    figure = new_figure(width, height)
    figure.set_layout_engine("none")  # the places of images and names are known
    axes = figure.add_axes((room / width, footing / height, cell * columns / width, cell * len(rows) / height))
    for row, images in enumerate(rows.values()):
        for column, image in enumerate(images):
            draw_image(axes, image, size, (column, len(rows) - 1 - row))
    for row, name in enumerate(rows):
        axes.text(-0.12, len(rows) - 0.5 - row, name, ha="right", va="center")
    for column, caption in enumerate(captions or ()):
        axes.text(column + 0.5, -0.08, caption, ha="center", va="top", color=INK)
    axes.set(title=title, xlim=(0, columns), ylim=(0, len(rows)), aspect="equal")
    axes.axis("off")
    return Picture(figure, alt or f"{title or 'Images'}: {columns} columns, with rows {', '.join(rows)}.")


@in_style
def one_at_a_time(
    text: tuple[str, Mapping[str, float]],
    image: tuple[Tensor, tuple[int, int], int, Tensor],
    sound: tuple[Tensor, Tensor],
) -> Picture:
    """Three unfinished works, above what is known of them, below how probable each next value is.

    Args:
        text: the text so far, and by name the letters that may come next, with their probabilities.
        image: an image (height · width,), its height and width in pixels, how many of its pixels are known in raster
            order, and the probability of each level of the next one (levels,), from white to black.
        sound: the amplitudes so far (length,), and the probability of each level of the next one (levels,), at equal
            distances from −1 to 1.
    """
    from matplotlib.patches import Rectangle

    figure = new_figure(9.6, 4.4)
    rows = figure.subplots(2, 3, gridspec_kw={"height_ratios": (1.5, 1)})
    so_far, letters = text
    pixels, (height, width), known, chances = image
    waves, loudness = sound
    bars: list[tuple[Sequence[str], Sequence[float], str]] = [
        (list(letters), list(letters.values()), "next letter"),
        (["white", *[""] * (len(chances) - 2), "black"], chances.tolist(), "next pixel"),
        (["−1", *[""] * (len(loudness) - 2), "1"], loudness.tolist(), "next amplitude"),
    ]
    for axes, title in zip(rows[0], ("A text", "An image", "A sound"), strict=True):
        axes.set(title=title, xticks=[], yticks=[])
        axes.grid(False)
        for side in axes.spines.values():
            side.set_visible(False)
    letter: dict[str, Any] = {"family": "DejaVu Sans Mono", "fontsize": 13, "ha": "left", "va": "center"}
    rows[0][0].set(xlim=(0, 1), ylim=(0, 1))
    lines = so_far.split("\n")
    for place, line in enumerate(lines):
        rows[0][0].text(0.02, 0.75 - 0.14 * place, line, **letter)
    # In a monospaced face blanks bring the question mark behind what stands in the last line.
    mark = " " * len(lines[-1]) + "?"
    rows[0][0].text(0.02, 0.75 - 0.14 * (len(lines) - 1), mark, color=LINES[1], weight="bold", **letter)

    ink = pixels.detach().cpu().clone()
    ink[known:] = 0
    draw_image(rows[0][1], ink, (height, width), (0, 0), border=0)
    rows[0][1].set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect=height / width)
    for place in range(known, height * width):
        corner = (place % width / width, 1 - (place // width + 1) / height)
        rows[0][1].add_patch(Rectangle(corner, 1 / width, 1 / height, facecolor="#dfe3e6", linewidth=0))
    corner = (known % width / width, 1 - (known // width + 1) / height)
    rows[0][1].add_patch(Rectangle(corner, 1 / width, 1 / height, facecolor="white", edgecolor=LINES[1], linewidth=2))

    rows[0][2].plot(waves.detach().cpu().numpy(), color=INK, linewidth=1)
    rows[0][2].axvspan(len(waves), 1.3 * len(waves), color="#dfe3e6", linewidth=0)
    rows[0][2].axvline(len(waves), color=LINES[1], linewidth=2)
    rows[0][2].set(xlim=(0, 1.3 * len(waves)), ylim=(-1, 1))
    for axes, (names, values, label) in zip(rows[1], bars, strict=True):
        axes.bar(range(len(values)), values, color=LINES[1], alpha=0.75, width=0.8)
        axes.set_xticks(range(len(values)), names)
        axes.set(xlabel=label, ylim=(0, 1), yticks=[0, 1])
        axes.tick_params(length=0)
        axes.grid(False)
    rows[1][0].set_ylabel("probability")
    alt = "A text, an image and a sound, each unfinished; below each the probabilities of what comes next."
    return Picture(figure, alt)


def explore(decode: Callable[[Tensor], Tensor], size: tuple[int, int], *, extent: float = 3.0) -> Any:
    """Two sliders over a two-dimensional latent space, and the image that a decoder paints where they stand.

    Args:
        decode: codes (1, 2) to images (1, height · width) in [0, 1].
        size: height and width of an image in pixels.
        extent: the sliders go from −extent to extent.
    """
    from ipywidgets import FloatSlider, interactive

    def show(z1: float, z2: float) -> None:
        from IPython.display import display

        display(strips({"": decode(torch.tensor([[z1, z2]]))}, size, scale=3.0))

    sliders = {name: FloatSlider(value=0.0, min=-extent, max=extent, step=0.1) for name in ("z1", "z2")}
    return interactive(show, **sliders)


def draw_image(
    axes: Axes,
    image: Tensor,
    size: tuple[int, int],
    corner: tuple[float, float],
    side: float = 1.0,
    border: float = 0.04,
) -> None:
    """Put an image into a square with its lower left corner at `corner`."""
    x, y = corner
    inset = border * side
    place = (x + inset, x + side - inset, y + inset, y + side - inset)
    colours = image.detach().cpu().reshape(-1, *size)
    pixels = (colours[0] if len(colours) == 1 else colours.permute(1, 2, 0).clamp(0, 1)).numpy()
    axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=1, extent=place, interpolation="nearest", aspect="auto")
