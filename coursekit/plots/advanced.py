"""Pictures of what a model does for each of several cases, before and after; and of a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from coursekit.plots.style import FAINT, KINDS, LINES, Picture, in_style, new_figure, row_of_axes


@in_style
def dots(
    panels: Mapping[str, Mapping[str, Sequence[float] | Tensor]],
    rows: Sequence[str],
    *,
    xlabel: str,
    levels: Mapping[str, float] | None = None,
    limits: tuple[float, float] | None = None,
    alt: str | None = None,
) -> Picture:
    """One number for each row, as a dot on a line; several series as dots of several colours, joined.

    Args:
        panels: for each panel's title its series: by name a number for each row.
        rows: a name for each row, from the top.
        xlabel: what the numbers are.
        levels: values to compare with, drawn as dashed upright lines with these names.
        limits: where the x axis begins and ends; by default where the numbers do.
        alt: what to say where it cannot be seen.
    """
    figure = new_figure(min(9.6, 2.0 + 4.4 * len(panels)), 1.1 + 0.27 * len(rows))
    for index, (axes, (title, series)) in enumerate(zip(row_of_axes(figure, len(panels)), panels.items(), strict=True)):
        table = [[float(value) for value in values] for values in series.values()]
        places = list(range(len(rows)))
        for place, found in zip(places, zip(*table, strict=True), strict=True):
            axes.plot([min(found), max(found)], [place, place], color=FAINT, linewidth=1.2, zorder=1)
        for (name, _), values, colour in zip(series.items(), table, LINES, strict=False):
            axes.scatter(values, places, s=42, color=colour, label=name, zorder=2)
        for name, level in (levels or {}).items():
            axes.axvline(level, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.2, zorder=0)
            axes.annotate(
                name, (level, 1.0), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                va="top", color=FAINT, fontsize=9,
            )  # fmt: skip
        axes.set_yticks(places, list(rows) if index == 0 else [""] * len(rows))
        axes.set(title=title, xlabel=xlabel, ylim=(len(rows) - 0.4, -1.1 if levels else -0.6))
        axes.tick_params(axis="y", length=0)
        if limits:
            axes.set_xlim(*limits)
        if len(series) > 1 and index == len(panels) - 1:
            axes.legend(frameon=False, labelcolor="linecolor", loc="center left", bbox_to_anchor=(1.0, 0.5))
    names = ", ".join(dict.fromkeys(name for series in panels.values() for name in series if name))
    return Picture(figure, alt or f"{xlabel} of {', '.join(rows)}, as dots{', for ' * bool(names)}{names}.")


@in_style
def queue(
    panels: Mapping[str, Sequence[tuple[float, Sequence[int]]]],
    arrivals: Sequence[float],
    seconds: Mapping[str, Sequence[float]],
    *,
    alt: str | None = None,
) -> Picture:
    """Who waits how long: a thin line from a request's arrival to its start, a thick one while its batch is worked on.

    Args:
        panels: for each panel's title the batches (start, requests), as `dynamic_batches` gives them.
        arrivals: when each request came.
        seconds: for each panel's title how long each batch took.
        alt: what to say where it cannot be seen.
    """
    figure = new_figure(9.6, 1.2 + 0.085 * len(arrivals) + 0.6)
    plots = row_of_axes(figure, len(panels))
    last = max(start + took for title in panels for (start, _), took in zip(panels[title], seconds[title], strict=True))
    for index, (axes, (title, batches)) in enumerate(zip(plots, panels.items(), strict=True)):
        for number, ((start, requests), took) in enumerate(zip(batches, seconds[title], strict=True)):
            colour = KINDS[number % len(KINDS)]
            for request in requests:
                axes.plot([arrivals[request], start], [request, request], color=FAINT, linewidth=0.8)
                axes.plot([start, start + took], [request, request], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot(list(arrivals), range(len(arrivals)), ".", color=FAINT, markersize=4)
        axes.set(title=title, xlabel="seconds", xlim=(-0.02 * last, 1.02 * last), ylim=(len(arrivals), -1))
        axes.set_ylabel("request" if index == 0 else "")
    return Picture(figure, alt or f"Requests over time, waiting and served in batches: {', '.join(panels)}.")
