"""Things that move: films that play in the page, and the flow of their pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coursekit.plots.style import DPI, FAINT, INK, KINDS, LINES, Picture, in_style, new_figure, only_axes, row_of_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Film(Picture):
    """A figure that changes: an animated PNG, which every browser plays, over and over.

    Args:
        figure: a Matplotlib figure, free of pyplot.
        alt: what the film shows, in a sentence.
        show: show(t) turns the figure into its frame t.
        frames: how many frames there are.
        seconds: how long each is shown.
    """

    def __init__(
        self, figure: Figure, alt: str, show: Callable[[int], None], frames: int, *, seconds: float = 0.2
    ) -> None:
        super().__init__(figure, alt)
        self.show, self.frames, self.seconds = show, frames, seconds

    @in_style
    def png(self, scale: float = 1.0) -> bytes:
        """The film as an animated PNG file, `scale` times as fine as it is shown."""
        from PIL import Image

        images = []
        for frame in range(self.frames):
            self.show(frame)
            buffer = io.BytesIO()
            self.figure.savefig(buffer, format="png", dpi=scale * DPI)
            images.append(Image.open(buffer).convert("L"))
        film = io.BytesIO()
        images[0].save(
            film,
            format="PNG",
            save_all=True,
            append_images=images[1:],
            duration=round(1000 * self.seconds),
            loop=0,
        )
        return film.getvalue()

    def __repr__(self) -> str:
        return f"Film: {self.alt}"


@in_style
def film(
    clips: Mapping[str, Tensor], *, columns: int = 5, seconds: float = 0.2, title: str = "", alt: str | None = None
) -> Film:
    """Clips that play at the same time, each with its name above; one that is shorter waits at its last frame.

    Args:
        clips: for each name a grey clip (frames, height, width) in [0, 1], dark where the value is high.
        columns: how many stand beside one another.
        seconds: how long a frame is shown.
        title: what all of it is.
        alt: what to say where it cannot be seen.
    """
    columns = min(columns, len(clips))
    rows = -(-len(clips) // columns)
    figure = new_figure(1.9 * columns, 2.1 * rows + 0.35 * bool(title))
    grid = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    shown = []
    for axes in grid:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.set_visible(False)
    for axes, (name, clip) in zip(grid, clips.items(), strict=False):
        axes.set_visible(True)
        pixels = clip.detach().cpu().numpy()
        shown.append((axes.imshow(pixels[0], cmap="gray_r", vmin=0, vmax=1, interpolation="nearest"), pixels))
        axes.set_title(name, fontsize=9, loc="center")
        for spine in axes.spines.values():
            spine.set(visible=True, color="#d5d9dd")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)

    def show(frame: int) -> None:
        for image, pixels in shown:
            image.set_data(pixels[min(frame, len(pixels) - 1)])

    frames = max(len(clip) for clip in clips.values())
    return Film(figure, alt or f"{title or 'Clips'}: {', '.join(clips)}.", show, frames, seconds=seconds)


@in_style
def flows(
    panels: Mapping[str, tuple[Tensor, Tensor | None]],
    *,
    shade: Mapping[str, Tensor] | None = None,
    alt: str | None = None,
) -> Picture:
    """Frames with arrows over them: where each pixel goes, or comes from.

    Args:
        panels: for each panel's title a grey frame (height, width) in [0, 1], and the flow (2, height, width), in pixels,
            to the right and downwards, or None. Arrows are as long as the flow; where it is 0 there is none.
        shade: for some panels' titles a mask (height, width), True where the frame is tinted.
        alt: what to say where it cannot be seen.
    """
    side = min(3.2, 9.6 / len(panels))
    figure = new_figure(side * len(panels), side + 0.35)
    for axes, (title, (frame, flow)) in zip(row_of_axes(figure, len(panels)), panels.items(), strict=True):
        height, width = frame.shape
        axes.imshow(0.55 * frame.detach().cpu().numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        if shade and title in shade:
            tint = torch.zeros(height, width, 4)
            tint[..., 0], tint[..., 1], tint[..., 2] = 0.82, 0.29, 0.36
            tint[..., 3] = 0.45 * shade[title].cpu().float()
            axes.imshow(tint.numpy(), interpolation="nearest")
        if flow is not None:
            moving = flow.detach().cpu().norm(dim=0) > 0.1
            y, x = moving.nonzero().T.numpy()
            u, v = flow.detach().cpu()[:, moving].numpy()
            axes.quiver(x, y, u, v, color=LINES[0], angles="xy", scale_units="xy", scale=1, width=0.008)
        axes.set(title=title, xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set(visible=True, color="#d5d9dd")
    return Picture(figure, alt or f"Frames, with arrows where pixels move; panels: {', '.join(panels)}.")


@in_style
def text_to_video(caption: str, codes: Tensor, frames: Tensor) -> Picture:
    """How a film comes of a caption: its words, the grid of codes that follows them, the frames that are painted of these.

    Args:
        caption: the words.
        codes: numbers in a codebook (time, height, width), int64.
        frames: grey frames (frames, height, width) in [0, 1].
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patches import FancyArrowPatch, Rectangle

    figure = new_figure(9.6, 3.3)
    axes = only_axes(figure)
    words = caption.split()
    for place, word in enumerate(words):
        axes.add_patch(Rectangle((0, 4.6 - 0.9 * place), 2.2, 0.7, facecolor="#eef1f4", edgecolor=FAINT))
        axes.text(1.1, 4.95 - 0.9 * place, word, ha="center", va="center")
    axes.text(1.1, 5.75, "1 · read the caption", ha="center", va="center", weight="bold")
    kinds = codes.unique(return_inverse=True)[1]
    colours = [to_rgb(colour) for colour in KINDS]
    for time, layer in enumerate(kinds):
        left, bottom = 4.1 + 1.0 * time, 3.35 - 0.75 * time
        for y, row in enumerate(layer.tolist()):
            for x, kind in enumerate(row):
                size = 1.7 / len(row)
                corner = (left + size * x, bottom + size * (len(layer) - 1 - y))
                tone = "white" if kind == 0 else colours[kind % len(colours)]
                axes.add_patch(Rectangle(corner, size, size, facecolor=tone, edgecolor=FAINT, linewidth=0.7))
    axes.text(6.0, 5.75, "2 · write codes, one by one", ha="center", va="center", weight="bold")
    for time, frame in enumerate(frames):
        left, bottom = 9.6 + 3.6 * time / max(len(frames) - 1, 1), 3.1 - 2.2 * time / max(len(frames) - 1, 1)
        box = Rectangle((left, bottom), 2, 2, facecolor="none", edgecolor=FAINT, zorder=2 + time)
        axes.add_patch(box)
        extent = (left, left + 2, bottom, bottom + 2)
        axes.imshow(frame.cpu().numpy(), cmap="gray_r", vmin=0, vmax=1, extent=extent, zorder=2 + time, aspect="auto")
    axes.text(12.2, 5.75, "3 · paint the frames", ha="center", va="center", weight="bold")
    for start, end in ((2.5, 3.8), (8.0, 9.3)):
        axes.add_patch(FancyArrowPatch((start, 3.2), (end, 3.2), arrowstyle="-|>", mutation_scale=13, color=FAINT))
    axes.text(3.15, 3.5, "GPT", ha="center", color=LINES[1])
    axes.text(8.65, 3.5, "decoder", ha="center", color=LINES[1])
    axes.set(xlim=(-0.1, 15.4), ylim=(0.2, 6.1), aspect="equal")
    axes.axis("off")
    return Picture(
        figure,
        f"The words “{caption}”; an arrow to {len(codes)} grids of coloured cells, the codes; an arrow to "
        f"{len(frames)} frames of a film.",
    )
