"""The house style: what all pictures share.

Each function of `plots` returns a `Picture`: a notebook shows it when it is the last line of a cell, and
`picture.save("a.png")` keeps it. The background is white whatever the theme, so that a picture reads alike by day and by night.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:  # Matplotlib is loaded with the first picture, so that graders, who draw none, need not wait for it.
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI)


def only_axes(figure: Figure) -> Axes:
    """The axes of a figure that has one plot."""
    return row_of_axes(figure, 1)[0]


def row_of_axes(figure: Figure, count: int) -> list[Axes]:
    """Plots beside one another."""
    return list(figure.subplots(1, count, squeeze=False)[0])


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
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
