"""The pictures of the hands-on cells, all in one quiet style.

Each function returns a `Picture`: a notebook shows it when it is the last line of a cell, and `picture.save("a.png")`
keeps it. The background is white whatever the theme, so that a picture reads alike by day and by night.
"""

from __future__ import annotations

import base64
import functools
import io
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:  # Matplotlib is loaded with the first picture, so that graders, who draw none, need not wait for it.
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from coursekit.data import GridWorld

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
INK = "#33383d"
FAINT = "#8a9199"
LINES = ("#3b6fb6", "#d1495b", "#2e8b57", "#b8860b", "#8e5ea2", "#3aa6a6")
KINDS = ("#3b6fb6", "#d1495b", "#2e8b57", "#b8860b", "#8e5ea2", "#3aa6a6", "#e07b39", "#7a7f85", "#c06c9b", "#6b8e23")
DPI = 100
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.ymargin": 0.08,
    "axes.axisbelow": True,
    "grid.color": "#e6e8ea",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
}


def in_style(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function draw in the house style, and leave the reader's own settings as they are."""

    @functools.wraps(draw)
    def drawn(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


class Picture:
    """A figure, with the words that stand for it where it cannot be seen.

    Args:
        figure: a Matplotlib figure, free of pyplot.
        alt: what the picture shows, in a sentence.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure = figure
        self.alt = alt

    @in_style
    def png(self, scale: float = 2.0) -> bytes:
        """The picture as a PNG file, `scale` times as fine as it is shown."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=scale * DPI)
        return buffer.getvalue()

    def save(self, path: str | Path) -> None:
        """Write a PNG file."""
        Path(path).write_bytes(self.png())

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """What Jupyter shows: twice as many pixels as it takes room for, which fine screens need."""
        width, height = (round(inches * DPI) for inches in self.figure.get_size_inches())
        data = {"image/png": base64.b64encode(self.png()).decode("ascii"), "text/plain": repr(self)}
        return data, {"image/png": {"width": width, "height": height, "alt": self.alt}}


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
    figure = _figure(width, height)
    figure.set_layout_engine("none")  # the places of images and names are known
    axes = figure.add_axes((room / width, footing / height, cell * columns / width, cell * len(rows) / height))
    for row, images in enumerate(rows.values()):
        for column, image in enumerate(images):
            _image(axes, image, size, (column, len(rows) - 1 - row))
    for row, name in enumerate(rows):
        axes.text(-0.12, len(rows) - 0.5 - row, name, ha="right", va="center")
    for column, caption in enumerate(captions or ()):
        axes.text(column + 0.5, -0.08, caption, ha="center", va="top", color=INK)
    axes.set(title=title, xlim=(0, columns), ylim=(0, len(rows)), aspect="equal")
    axes.axis("off")
    return Picture(figure, alt or f"{title or 'Images'}: {columns} columns, with rows {', '.join(rows)}.")


@in_style
def plane(
    decode: Callable[[Tensor], Tensor],
    size: tuple[int, int],
    *,
    cells: int = 15,
    extent: float = 2.5,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """The images that a decoder paints over a square of a two-dimensional latent space.

    Args:
        decode: codes (n, 2) to images (n, height · width) in [0, 1].
        size: height and width of an image in pixels.
        cells: images on each side.
        extent: the square goes from −extent to extent on both axes.
        title: what all of it is.
        alt: what to say where it cannot be seen.
    """
    edges = torch.linspace(-extent, extent, cells + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    images = decode(torch.cartesian_prod(centres, centres))
    figure = _figure(6.4, 6.6)
    axes = _axes(figure)
    step = 2 * extent / cells
    for image, (x, y) in zip(images, torch.cartesian_prod(edges[:-1], edges[:-1]).tolist(), strict=True):
        _image(axes, image, size, (x, y), step)
    axes.set(title=title, xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent))
    axes.grid(False)
    return Picture(figure, alt or f"{title or 'The latent plane'}: {cells} by {cells} decoded images.")


@in_style
def scatter(
    points: Mapping[str, Tensor],
    labels: Sequence[str | int] | Tensor,
    *,
    axis_names: tuple[str, str] = ("$z_1$", "$z_2$"),
    alt: str | None = None,
) -> Picture:
    """Points of the plane, coloured by what they are, with a name in the middle of each kind.

    Args:
        points: for each panel's title a tensor (n, 2).
        labels: what each point is, the same in all panels.
        axis_names: what the two coordinates are.
        alt: what to say where it cannot be seen.
    """
    names = [str(label) for label in (labels.tolist() if isinstance(labels, Tensor) else labels)]
    kinds = sorted(set(names))
    figure = _figure(4.9 * len(points), 4.9)
    for axes, (title, places) in zip(_panels(figure, len(points)), points.items(), strict=True):
        places = places.detach().cpu()
        groups = {kind: places[[name == kind for name in names]] for kind in kinds}
        middles = _apart(torch.stack([_middle(group) for group in groups.values()]), places, max(map(len, kinds)))
        for (kind, group), middle, colour in zip(groups.items(), middles.tolist(), KINDS * len(kinds), strict=False):
            axes.scatter(group[:, 0].numpy(), group[:, 1].numpy(), s=9, color=colour, alpha=0.55, linewidths=0)
            box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": colour, "alpha": 0.9}
            axes.text(middle[0], middle[1], kind, ha="center", va="center", color=colour, weight="bold", bbox=box)
        axes.set(title=title, xlabel=axis_names[0], ylabel=axis_names[1])
        axes.locator_params(nbins=6)
    return Picture(figure, alt or f"Points coloured by kind ({', '.join(kinds)}); panels: {', '.join(points)}.")


@in_style
def curves(
    panels: Mapping[str, Mapping[str, Any]],
    *,
    xlabel: str | Sequence[str],
    ylabel: str | Sequence[str],
    x: Any = None,
    levels: Mapping[str, float] | None = None,
    legend: bool = False,
    alt: str | None = None,
) -> Picture:
    """Lines, each with its name beside it. A line of one point is drawn as a dot, a line without a name in grey.

    Args:
        panels: for each panel's title its lines: by name a sequence of numbers, or a pair of sequences x, y.
        xlabel: what runs along the x axis, or one such name for each panel.
        ylabel: what is measured, or one such name for each panel.
        x: where the points of every line lie; 1, 2, 3, … if not said.
        levels: values to compare with, drawn as dashed lines with these names, in every panel where they fall within
            reach of the lines.
        legend: whether the names stand in a legend, for lines that end in one place, rather than at their ends.
        alt: what to say where it cannot be seen.
    """
    figure = _figure(min(9.6, 6.4 * len(panels)), 3.6)
    xlabels = [xlabel] * len(panels) if isinstance(xlabel, str) else list(xlabel)
    ylabels = [ylabel] * len(panels) if isinstance(ylabel, str) else list(ylabel)
    for index, (axes, (title, lines)) in enumerate(zip(_panels(figure, len(panels)), panels.items(), strict=True)):
        colours = itertools.cycle(LINES)
        ends, counted = [], True
        for name, line in lines.items():
            colour = next(colours) if name or len(lines) == 1 else FAINT
            xs, ys = line if isinstance(line, tuple) else (x, line)
            ys = torch.as_tensor(ys).detach().cpu()
            xs = torch.arange(1, len(ys) + 1) if xs is None else torch.as_tensor(xs).detach().cpu()
            counted &= not xs.is_floating_point()
            axes.plot(xs.numpy(), ys.numpy(), color=colour, marker="o" if len(ys) == 1 else None, label=name)
            if len(ys) == 1:
                point = (xs.item(), ys.item())
                axes.annotate(name, point, (6, 5), textcoords="offset points", color=colour, annotation_clip=False)
            elif not legend:
                ends.append((ys[-1].item(), name, colour))
        if legend:
            axes.legend(frameon=False, labelcolor="linecolor")
        low, high = axes.get_ylim()
        reach = high - low
        for name, level in (levels or {}).items():
            if low - reach <= level <= high + reach:
                axes.axhline(level, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.2)
                ends.append((level, name, FAINT))
        _label_ends(axes, ends)
        axes.set(title=title, xlabel=xlabels[index], ylabel=ylabels[index])
        if counted and axes.get_xlim()[1] - axes.get_xlim()[0] < 10:
            axes.locator_params(axis="x", integer=True)
    names = ", ".join(dict.fromkeys(name for lines in panels.values() for name in lines if name))
    said = "; ".join(dict.fromkeys(f"{y} against {x}" for x, y in zip(xlabels, ylabels, strict=True)))
    return Picture(figure, alt or f"Lines: {said}{', for ' * bool(names)}{names}.")


@in_style
def histogram(groups: Mapping[str, Tensor], *, xlabel: str, title: str = "", alt: str | None = None) -> Picture:
    """How often each value occurs, for several groups, drawn over one another with the same bins.

    Args:
        groups: for each name its values (n,).
        xlabel: what the values are.
        title: what all of it is.
        alt: what to say where it cannot be seen.
    """
    figure = _figure(6.4, 3.2)
    axes = _axes(figure)
    values = {name: group.detach().cpu().flatten() for name, group in groups.items()}
    together = torch.cat(list(values.values()))
    bins = torch.linspace(together.min().item(), together.max().item(), 41).tolist()
    for (name, group), colour in zip(values.items(), LINES, strict=False):
        axes.hist(group.numpy(), bins=bins, density=True, color=colour, alpha=0.45, label=name)
        axes.hist(group.numpy(), bins=bins, density=True, color=colour, histtype="step", linewidth=1.2)
    axes.legend(frameon=False)
    axes.set(title=title, xlabel=xlabel, yticks=[])
    axes.set_ylabel("share")
    return Picture(figure, alt or f"{title or 'Histogram'} of {xlabel} for {', '.join(groups)}.")


@in_style
def contours(
    values: Tensor,
    x: Tensor,
    y: Tensor,
    *,
    xlabel: str,
    ylabel: str,
    levels: Sequence[float],
    unit: str = "",
    paths: Mapping[str, Tensor] | None = None,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """Lines of equal height over a plane.

    Args:
        values: heights (len(y), len(x)).
        x: where the columns lie.
        y: where the rows lie.
        xlabel: what runs along the x axis.
        ylabel: what runs along the y axis.
        levels: heights to draw lines at.
        unit: what is written after each height.
        paths: ways over the plane (steps, 2), by name, each with a dot at its end.
        title: what all of it is.
        alt: what to say where it cannot be seen.
    """
    figure = _figure(5.4, 4.2)
    axes = _axes(figure)
    grid = [tensor.detach().cpu().numpy() for tensor in (x, y, values)]
    axes.contourf(*grid, levels=list(levels), extend="both", cmap="Blues", alpha=0.6)
    lines = axes.contour(*grid, levels=list(levels), colors=INK, linewidths=0.9)
    axes.grid(False)
    axes.clabel(lines, fmt=lambda height: f"{height:g} {unit}".strip(), fontsize=9)
    limits = {"xlim": (x.min().item(), x.max().item()), "ylim": (y.min().item(), y.max().item())}
    for (name, path), colour in zip((paths or {}).items(), itertools.cycle(LINES[1:])):
        across, up = path.detach().cpu().T.numpy()
        axes.plot(across, up, color=colour, marker="o", markersize=2.5, linewidth=1.3, label=name)
        axes.plot(across[-1:], up[-1:], "o", color=colour, markersize=7)
    if paths:
        axes.legend(frameon=True, facecolor="white", edgecolor="none", labelcolor="linecolor", loc="lower right")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, **limits)
    ways = f", with the ways {', '.join(paths)}" if paths else ""
    return Picture(figure, alt or f"{title or 'Height'} over {xlabel} and {ylabel}, as contour lines{ways}.")


@in_style
def matrices(
    panels: Mapping[str, Tensor],
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    xlabel: str | Sequence[str] = "",
    ylabel: str = "",
    numbers: bool = False,
    alt: str | None = None,
) -> Picture:
    """Tables of numbers as colours, all on one scale: blue above zero, red below.

    Args:
        panels: for each panel's title a tensor (rows, columns).
        rows: a name for each row, the same in all panels; written at the first one only.
        columns: a name for each column, the same in all panels.
        xlabel: what runs along the columns, or one such name for each panel.
        ylabel: what runs along the rows.
        numbers: whether to write the values into the cells, as percentages.
        alt: what to say where it cannot be seen.
    """
    tables = [table.detach().float().cpu() for table in panels.values()]
    most = max(max(table.abs().max().item() for table in tables), 1e-9)
    signed = any(bool((table < 0).any()) for table in tables)
    room = 0.6 + 0.085 * max(map(len, rows or [""])), 0.75 + 0.085 * max(map(len, columns or [""]))
    height, width = tables[0].shape
    side = min((9.6 - room[0]) / len(tables) - 0.15, 4.2)
    tall = side * min(max(height / width, 0.35), 1.3)
    spaces = [tall / height] * (rows is not None) + [side / width] * (columns is not None)
    letters = max(5.0, min(10.0, 60 * min(spaces, default=1)))
    xlabels = [xlabel] * len(panels) if isinstance(xlabel, str) else list(xlabel)
    figure = _figure(room[0] + len(tables) * (side + 0.15), tall + room[1] + 0.2)
    for index, (axes, title, table) in enumerate(zip(_panels(figure, len(panels)), panels, tables, strict=True)):
        colours = "RdBu" if signed else "Blues"
        axes.imshow(
            table.numpy(), cmap=colours, vmin=-most if signed else 0, vmax=most, aspect="auto", interpolation="none"
        )
        axes.grid(False)
        axes.set(title=title, xlabel=xlabels[index], ylabel=ylabel if index == 0 else "")
        if columns is not None:
            axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=letters)
        if rows is not None:
            axes.set_yticks(range(len(rows)), rows if index == 0 else [""] * len(rows), fontsize=letters)
        if rows is not None or columns is not None:
            axes.tick_params(length=0)
        if numbers:
            for (row, column), value in zip(
                itertools.product(range(height), range(width)), table.flatten(), strict=True
            ):
                colour = "white" if abs(value) > 0.6 * most else INK
                axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour, fontsize=8)
    across = " and ".join(dict.fromkeys(xlabels)) or "columns"
    return Picture(figure, alt or f"Tables as colours, {ylabel or 'rows'} by {across}: {', '.join(panels)}.")


@in_style
def fields(
    panels: Mapping[str, tuple[Tensor, Tensor | None, Tensor | None]],
    *,
    extent: float,
    paths: Sequence[Tensor] = (),
    axis_names: tuple[str, str] = ("$x_1$", "$x_2$"),
    alt: str | None = None,
) -> Picture:
    """Points of the plane with arrows over them: where something would move at each place.

    Args:
        panels: for each panel's title points (n, 2), places (m, 2), and the arrows that begin there (m, 2), both of
            which may be None. Arrows are drawn with their lengths in proportion, the longest as long as the places are
            apart, if these form a square grid.
        extent: every panel goes from −extent to extent on both axes.
        paths: ways through the plane (steps, 2), drawn as lines in the last panel, each with a dot at its end.
        axis_names: what the two coordinates are.
        alt: what to say where it cannot be seen.
    """
    side = min(4.6, 9.6 / len(panels))
    figure = _figure(side * len(panels), side + 0.4)
    for index, (axes, (title, (points, places, arrows))) in enumerate(
        zip(_panels(figure, len(panels)), panels.items(), strict=True)
    ):
        across, up = points.detach().cpu().T.numpy()
        axes.scatter(across, up, s=4, color=LINES[0], alpha=0.35, linewidths=0)
        if places is not None and arrows is not None:
            gap = 2 * extent / max(1.0, len(places) ** 0.5)
            longest = arrows.norm(dim=1).max().clamp(min=1e-12)
            x, y = places.detach().cpu().T.numpy()
            u, v = (0.95 * gap * arrows / longest).detach().cpu().T.numpy()
            axes.quiver(x, y, u, v, color=LINES[1], angles="xy", scale_units="xy", scale=1, width=0.004, minlength=0)
        for path in paths if index == len(panels) - 1 else ():
            x, y = path.detach().cpu().T.numpy()
            axes.plot(x, y, color=INK, linewidth=0.9, alpha=0.7)
            axes.plot(x[-1:], y[-1:], "o", color=LINES[1], markersize=4)
        axes.set(title=title, xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal", xlabel=axis_names[0])
        axes.grid(False)
        axes.locator_params(nbins=5)
        if index == 0:
            axes.set_ylabel(axis_names[1])
        else:
            axes.set_yticklabels([])
    return Picture(figure, alt or f"Points of the plane and arrows over them; panels: {', '.join(panels)}.")


@in_style
def regions(
    panels: Mapping[str, Callable[[Tensor], Tensor]],
    points: Tensor,
    labels: Tensor,
    *,
    extent: float,
    densities: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    cells: int = 150,
    axis_names: tuple[str, str] = ("$x_1$", "$x_2$"),
    alt: str | None = None,
) -> Picture:
    """What classifiers say of every place of the plane, and the points that they were to learn from.

    Args:
        panels: for each panel's title a function from places (n, 2) to the probabilities of the classes (n, classes);
            the less sure it is of a place, the paler is the colour there.
        points: examples (m, 2).
        labels: the class of each (m,).
        extent: every panel goes from −extent to extent on both axes.
        densities: for some panels' titles a function from places (n, 2) to the density of each class there (n, classes),
            drawn as lines of equal height: of a Gaussian, one, two and three standard deviations from its middle.
        cells: places on each side at which the functions are asked.
        axis_names: what the two coordinates are.
        alt: what to say where it cannot be seen.
    """
    from matplotlib.colors import to_rgb

    side = min(4.0, 9.6 / len(panels))
    figure = _figure(side * len(panels), side + 0.5)
    middle = (torch.arange(cells) + 0.5) / cells * 2 * extent - extent
    places = torch.cartesian_prod(middle, middle).flip(1)  # row by row, from the bottom
    for index, (axes, (title, classify)) in enumerate(zip(_panels(figure, len(panels)), panels.items(), strict=True)):
        chances = classify(places).detach().cpu()
        palette = torch.tensor([to_rgb(colour) for colour in KINDS[: chances.shape[1]]])
        sure, winner = chances.max(dim=1)
        depth = 0.6 * ((sure - 1 / chances.shape[1]) / (1 - 1 / chances.shape[1])).unsqueeze(1)
        colours = (1 - depth * (1 - palette[winner])).reshape(cells, cells, 3)
        axes.imshow(colours.numpy(), origin="lower", extent=(-extent, extent, -extent, extent))
        for kind, colour in enumerate(KINDS[: chances.shape[1]]):
            x, y = points[labels == kind].detach().cpu().T.numpy()
            axes.scatter(x, y, s=12, color=colour, edgecolors="white", linewidths=0.4)
        if densities and title in densities:
            heights = densities[title](places).detach().cpu().reshape(cells, cells, -1)
            for height, colour in zip(heights.unbind(dim=2), KINDS, strict=False):
                levels = [height.max().item() * math.exp(-(r**2) / 2) for r in (3, 2, 1)]
                axes.contour(middle.numpy(), middle.numpy(), height.numpy(), levels, colors=colour, linewidths=1.3)
        axes.set(title=title, xlabel=axis_names[0], xlim=(-extent, extent), ylim=(-extent, extent))
        axes.grid(False)
        axes.locator_params(nbins=5)
        if index == 0:
            axes.set_ylabel(axis_names[1])
        else:
            axes.set_yticklabels([])
    return Picture(figure, alt or f"The plane, coloured by what classifiers say of each place: {', '.join(panels)}.")


@in_style
def perceptron(
    image: Tensor,
    hidden: Tensor,
    chances: Tensor,
    size: tuple[int, int],
    *,
    title: str = "",
    alt: str | None = None,
) -> Picture:
    """A classifier with one hidden layer at work: an image, how active each unit is, how probable it thinks each class.

    Args:
        image: what goes in (height · width,), in [0, 1].
        hidden: the activations of the hidden units (units,), not negative; a dozen can be drawn well.
        chances: the probabilities of the classes (classes,).
        size: height and width of an image in pixels.
        title: what all of it is.
        alt: what to say where it cannot be seen.
    """
    from matplotlib.patches import Circle, FancyArrowPatch, Rectangle

    figure = _figure(7.4, 4.3)
    axes = _axes(figure)
    hidden, chances = hidden.detach().cpu(), chances.detach().cpu()
    _image(axes, image, size, (0, 1.0), 3.0)
    axes.add_patch(Rectangle((0.12, 1.12), 2.76, 2.76, fill=False, edgecolor="#c4c9ce", linewidth=1))
    units = (torch.linspace(4.8, 0.2, len(hidden)) if len(hidden) > 1 else torch.tensor([2.5])).tolist()
    classes = torch.linspace(4.75, 0.25, len(chances)).tolist()
    shades = (hidden / hidden.max().clamp(min=1e-9)).tolist()
    for height, shade in zip(units, shades, strict=True):
        for y in torch.linspace(1.2, 3.8, 7).tolist():
            axes.plot([2.95, 5.3], [y, height], color=LINES[0], linewidth=0.5, alpha=0.16, zorder=1)
        for y, chance in zip(classes, chances.tolist(), strict=True):
            strength = 0.08 + 0.8 * shade * chance
            axes.plot([5.3, 8.3], [height, y], color=LINES[0], linewidth=0.7, alpha=strength, zorder=1)
        axes.add_patch(Circle((5.3, height), 0.17, facecolor="white", edgecolor=LINES[0], linewidth=1.2, zorder=2))
        axes.add_patch(Circle((5.3, height), 0.17, facecolor=LINES[0], alpha=shade, linewidth=0, zorder=3))
    winner = int(chances.argmax())
    for kind, (y, chance) in enumerate(zip(classes, chances.tolist(), strict=True)):
        colour = LINES[1] if kind == winner else FAINT
        axes.text(8.5, y, str(kind), ha="center", va="center", color=colour, weight="bold")
        axes.add_patch(Rectangle((8.75, y - 0.15), 3.0 * chance, 0.3, facecolor=colour, linewidth=0))
        axes.text(8.85 + 3.0 * chance, y, f"{chance:.0%}", va="center", color=colour, fontsize=9)
    for start, end, height, colour, name in (
        (3.2, 8.1, 5.55, LINES[0], "forward: what is it?"),
        (8.1, 3.2, -0.55, LINES[1], "backward: who is to blame?"),
    ):
        axes.add_patch(
            FancyArrowPatch((start, height), (end, height), arrowstyle="-|>", mutation_scale=12, color=colour)
        )
        axes.text(5.65, height + 0.12, name, ha="center", va="bottom", color=colour)
    for x, words in ((1.5, "pixels $x$"), (10.0, "probabilities")):
        axes.text(x, -0.55, words, ha="center", va="center")
    axes.set(title=title, xlim=(-0.1, 12.7), ylim=(-0.9, 6.2), aspect="equal")
    axes.axis("off")
    said = f"An image goes through {len(hidden)} hidden units; of {len(chances)} classes number {winner} is thought likeliest."
    return Picture(figure, alt or said)


@in_style
def autoencoder(image: Tensor, decoded: Tensor, size: tuple[int, int]) -> Picture:
    """A variational autoencoder at a glance: image, encoder, a Gaussian over codes, decoder, image.

    Args:
        image: what goes in (height · width,).
        decoded: what comes out (height · width,).
        size: height and width of an image in pixels.
    """
    from matplotlib.patches import Ellipse, FancyArrowPatch, Polygon

    figure = _figure(9.6, 3.1)
    axes = _axes(figure)
    for picture, left in ((image, 0.0), (decoded, 11.4)):
        _image(axes, picture, size, (left, 0.7), 2.2)
    networks = {"encoder": (2.9, 2.3, 1.1, LINES[0]), "decoder": (8.9, 1.1, 2.3, LINES[2])}
    for name, (left, before, after, colour) in networks.items():
        right = left + 1.8
        corners = [
            (left, 1.8 - before / 2),
            (left, 1.8 + before / 2),
            (right, 1.8 + after / 2),
            (right, 1.8 - after / 2),
        ]
        axes.add_patch(Polygon(corners, facecolor=colour, alpha=0.18, edgecolor=colour, linewidth=1.4))
        axes.text(left + 0.9, 1.8, name, ha="center", va="center", color=colour, weight="bold")
    for radius in (1, 2, 3):
        axes.add_patch(Ellipse((6.8, 1.8), radius, radius, fill=False, edgecolor="#c4c9ce", linewidth=1))
    for scale, alpha in ((1.0, 0.25), (0.55, 0.45)):
        axes.add_patch(Ellipse((7.2, 2.2), 0.9 * scale, 0.55 * scale, facecolor=LINES[1], alpha=alpha, linewidth=0))
    axes.plot([7.36], [2.1], "o", color=INK, markersize=4)
    for start, end in ((2.3, 2.85), (4.75, 5.25), (8.35, 8.85), (10.75, 11.3)):
        axes.add_patch(FancyArrowPatch((start, 1.8), (end, 1.8), arrowstyle="-|>", mutation_scale=11, color=FAINT))
    below = {1.1: "an image $x$", 6.8: "grey: the prior $p(z)=\\mathcal{N}(0, I)$", 12.5: "pixel probabilities"}
    above = {
        3.8: "$q_\\phi(z\\,|\\,x)$",
        6.8: "red: $q_\\phi(z\\,|\\,x)$,  dot: one draw $z$",
        9.8: "$p_\\theta(x\\,|\\,z)$",
    }
    for height, words in ((-0.05, below), (3.55, above)):
        for x, text in words.items():
            axes.text(x, height, text, ha="center", va="center", fontsize=10)
    axes.set(xlim=(-0.1, 13.7), ylim=(-0.3, 3.8), aspect="equal")
    axes.axis("off")
    alt = (
        "An image goes into the encoder, which gives a small Gaussian within the wide prior; one point drawn from it goes \
into the decoder, which gives the image's pixel probabilities."
    )
    return Picture(figure, alt)


@in_style
def clouds(
    rows: Mapping[str, Mapping[str, Tensor]],
    *,
    behind: Tensor,
    extent: float,
    alt: str | None = None,
) -> Picture:
    """Rows of small panels with points of the plane, over the same points in grey everywhere.

    Args:
        rows: for each row's name its panels, by title: tensors (n, 2).
        behind: points to compare with (m, 2).
        extent: every panel goes from −extent to extent on both axes.
        alt: what to say where it cannot be seen.
    """
    columns = max(len(panels) for panels in rows.values())
    side = min(2.0, 8.4 / columns)
    figure = _figure(side * columns + 1.2, side * len(rows) + 0.4)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, panels), colour in zip(grid, rows.items(), itertools.cycle(LINES)):
        for axes in line[len(panels) :]:
            axes.axis("off")
        for axes, (title, points) in zip(line, panels.items(), strict=False):
            for cloud, ink, size in ((behind, "#c9ced3", 3), (points, colour, 4)):
                x, y = cloud.detach().cpu().T.numpy()
                axes.scatter(x, y, s=size, color=ink, alpha=0.6, linewidths=0)
            axes.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal", xticks=[], yticks=[])
            axes.set_title(title, fontsize=10, loc="center")
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", color=colour)
    titles = ", ".join(dict.fromkeys(title for panels in rows.values() for title in panels))
    named = f", in rows {', '.join(rows)}" if any(rows) else ""
    return Picture(figure, alt or f"Points of the plane{named}; panels: {titles}.")


@in_style
def adversaries(real: Tensor, fake: Tensor, size: tuple[int, int]) -> Picture:
    """A generative adversarial network at a glance: noise, generator, forgery; data; discriminator, verdict.

    Args:
        real: an image of the data (height · width,).
        fake: an image of the generator (height · width,).
        size: height and width of an image in pixels.
    """
    from matplotlib.patches import Ellipse, FancyArrowPatch, Polygon

    figure = _figure(9.6, 3.7)
    axes = _axes(figure)
    for radius in (0.6, 1.2, 1.8):
        axes.add_patch(Ellipse((1.0, 1.2), radius, radius, fill=False, edgecolor="#c4c9ce", linewidth=1))
    axes.plot([1.25], [1.4], "o", color=INK, markersize=4)
    networks = {"generator": (2.7, 1.2, 0.9, 2.2, LINES[0]), "discriminator": (9.3, 2.5, 2.6, 1.0, LINES[1])}
    for name, (left, middle, before, after, colour) in networks.items():
        right = left + 2.4
        corners = [
            (left, middle - before / 2),
            (left, middle + before / 2),
            (right, middle + after / 2),
            (right, middle - after / 2),
        ]
        axes.add_patch(Polygon(corners, facecolor=colour, alpha=0.18, edgecolor=colour, linewidth=1.4))
        axes.text(left + 1.2, middle, name, ha="center", va="center", color=colour, weight="bold")
    _image(axes, fake, size, (6.0, 0.2), 2.0)
    _image(axes, real, size, (6.0, 2.8), 2.0)
    ways = [((2.0, 1.2), (2.6, 1.2)), ((5.2, 1.2), (5.9, 1.2)), ((8.1, 1.2), (9.2, 2.0)), ((8.1, 3.8), (9.2, 3.0))]
    for start, end in [*ways, ((11.8, 2.5), (12.5, 2.5))]:
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=FAINT))
    back = FancyArrowPatch(
        (11.2, 1.75),
        (4.0, 0.2),
        arrowstyle="-|>",
        mutation_scale=11,
        connectionstyle="arc3,rad=-0.22",
        color=LINES[0],
    )
    back.set_linestyle((0, (4, 3)))
    axes.add_patch(back)
    axes.text(13.3, 2.5, "real?\n$\\sigma(D(x))$", ha="center", va="center")
    axes.text(1.0, -0.15, "noise $z$", ha="center", va="center")
    axes.text(7.0, 2.45, "forged: $G(z)$", ha="center", va="center")
    axes.text(7.0, 5.02, "real: $x$", ha="center", va="center")
    axes.text(11.2, -0.35, "the generator learns by what would have fooled $D$", ha="center", color=LINES[0])
    axes.set(xlim=(-0.1, 14.3), ylim=(-0.75, 5.3), aspect="equal")
    axes.axis("off")
    alt = (
        "Noise goes into the generator, which makes a forged image; real and forged images go into the discriminator, "
        "which says how real each looks; a dashed arrow leads from there back to the generator."
    )
    return Picture(figure, alt)


@in_style
def grid_world(
    world: GridWorld,
    panels: Mapping[str, tuple[Tensor | None, Tensor | None]],
    *,
    alt: str | None = None,
) -> Picture:
    """A grid world seen from above: what its squares are worth, and where a policy goes from them.

    Args:
        world: a `coursekit.data.GridWorld`.
        panels: for each panel's title a pair: the values of the states (states,), written on their squares, or None; and
            a policy, drawn as arrows, or None. A policy is an action for each state (states,), or the probabilities of
            the actions (states, actions), to which the arrows' lengths are proportional.
        alt: what to say where it cannot be seen.
    """
    from matplotlib.patches import Rectangle

    height, width = len(world.rows), len(world.rows[0])
    side = min(0.82, 9.2 / len(panels) / width)
    figure = _figure(side * width * len(panels) + 0.3, side * height + 0.5)
    for axes, (title, (values, policy)) in zip(_panels(figure, len(panels)), panels.items(), strict=True):
        worth = world.rewards.amax(dim=1) if values is None else values
        chances = policy if policy is None or policy.ndim == 2 else torch.nn.functional.one_hot(policy, 4)
        axes.add_patch(Rectangle((0, 0), width, height, facecolor=INK, linewidth=0))
        for state, (y, x) in enumerate(world.squares):
            corner, mark = (x, height - 1 - y), world.rows[y][x]
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor="#d5d9dd", linewidth=0.8))
            colour = LINES[0] if worth[state] > 0 else LINES[1]
            strength = 0.75 * (worth[state].abs() / worth.abs().max().clamp(min=1e-9)).item()
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=strength, linewidth=0))
            if values is not None:
                place, number = (x + 0.5, height - y - 0.88), f"{values[state]:.2f}".replace("-", "−")
                axes.text(*place, number, ha="center", va="center", fontsize=11 * side)
            if mark in "+-@":
                sign = {"+": "prize", "-": "trap", "@": "start"}[mark]
                axes.text(x + 0.5, height - y - 0.14, sign, ha="center", va="center", fontsize=11 * side, weight="bold")
            if chances is not None and mark not in "+-":
                for (dy, dx), chance in zip(world.moves, chances[state].tolist(), strict=True):
                    if chance > 0.02:
                        reach = 0.08 + 0.28 * chance
                        tail = (x + 0.5, height - y - 0.47)
                        if chance > 0.9:  # alone on its square, so it stands in the middle
                            reach, tail = 0.44, (tail[0] - 0.22 * dx, tail[1] + 0.22 * dy)
                        tip = (tail[0] + reach * dx, tail[1] - reach * dy)
                        arrow = {
                            "arrowstyle": "-|>",
                            "color": INK,
                            "alpha": 0.3 + 0.7 * chance,
                            "shrinkA": 0,
                            "shrinkB": 0,
                        }
                        arrow |= {"linewidth": 0.8 + 0.6 * chance, "mutation_scale": 5 + 4 * chance}
                        axes.annotate("", tip, tail, arrowprops=arrow)
        axes.set(title=title, xlim=(0, width), ylim=(0, height), aspect="equal")
        axes.axis("off")
    return Picture(figure, alt or f"A grid world of {height} by {width} squares; panels: {', '.join(panels)}.")


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

    figure = _figure(9.6, 4.4)
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
    _image(rows[0][1], ink, (height, width), (0, 0), border=0)
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


def _figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI)


def _axes(figure: Figure) -> Axes:
    return _panels(figure, 1)[0]


def _panels(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(1, count, squeeze=False)[0])


def _image(
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


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name right of its end, moved apart where they would lie on one another."""
    low, high = axes.get_ylim()
    gap = 0.075 * (high - low)
    named = sorted(end for end in ends if end[1])
    places: list[float] = []
    for value, _, _ in named:
        places.append(max(value, places[-1] + gap) if places else value)
    ceiling = high
    for index in reversed(range(len(places))):  # what was pushed out at the top pushes back
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    for place, (_, name, colour) in zip(places, named, strict=True):
        spot = (1.01, place)
        axes.annotate(name, spot, xycoords=("axes fraction", "data"), va="center", color=colour, annotation_clip=False)


def _middle(points: Tensor) -> Tensor:
    """The point that lies nearest to the median: in the midst of its kind, even if the kind has several clusters."""
    return points[(points - points.median(dim=0).values).norm(dim=1).argmin()]


def _apart(labels: Tensor, points: Tensor, letters: int) -> Tensor:
    """Move labels (n, 2) of so many letters away from one another, in a plane that is as wide as `points` (m, 2)."""
    gap = 0.07
    width = (points.max(dim=0).values - points.min(dim=0).values).clamp(min=1e-6)
    width = width * torch.tensor([0.6 + 0.4 * letters, 1.0])  # a word takes more room across than along
    places = labels / width
    for _ in range(100):
        between = places[:, None] - places[None]
        distance = between.norm(dim=2, keepdim=True)
        near = (distance < gap) & (distance > 0)
        places = places + (between / distance.clamp(min=1e-6) * (gap - distance) * near).sum(dim=1) / 4
    return places * width
