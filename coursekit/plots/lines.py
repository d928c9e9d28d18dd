"""Curves, histograms, landscapes and tables of numbers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from coursekit.plots.style import FAINT, INK, LINES, Picture, in_style, label_ends, new_figure, only_axes, row_of_axes


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
    figure = new_figure(min(9.6, 6.4 * len(panels)), 3.6)
    xlabels = [xlabel] * len(panels) if isinstance(xlabel, str) else list(xlabel)
    ylabels = [ylabel] * len(panels) if isinstance(ylabel, str) else list(ylabel)
    for index, (axes, (title, lines)) in enumerate(zip(row_of_axes(figure, len(panels)), panels.items(), strict=True)):
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
        label_ends(axes, ends)
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
    figure = new_figure(6.4, 3.2)
    axes = only_axes(figure)
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
    figure = new_figure(5.4, 4.2)
    axes = only_axes(figure)
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
    figure = new_figure(room[0] + len(tables) * (side + 0.15), tall + room[1] + 0.2)
    for index, (axes, title, table) in enumerate(zip(row_of_axes(figure, len(panels)), panels, tables, strict=True)):
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
    figure = new_figure(side * len(panels), side + 0.4)
    for index, (axes, (title, (points, places, arrows))) in enumerate(
        zip(row_of_axes(figure, len(panels)), panels.items(), strict=True)
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
