"""Points in a plane, and what a model makes of the plane."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from coursekit.plots.images import draw_image
from coursekit.plots.style import KINDS, LINES, Picture, in_style, new_figure, only_axes, row_of_axes


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
    figure = new_figure(6.4, 6.6)
    axes = only_axes(figure)
    step = 2 * extent / cells
    for image, (x, y) in zip(images, torch.cartesian_prod(edges[:-1], edges[:-1]).tolist(), strict=True):
        draw_image(axes, image, size, (x, y), step)
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
    figure = new_figure(4.9 * len(points), 4.9)
    for axes, (title, places) in zip(row_of_axes(figure, len(points)), points.items(), strict=True):
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
    figure = new_figure(side * columns + 1.2, side * len(rows) + 0.4)
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
    figure = new_figure(side * len(panels), side + 0.5)
    middle = (torch.arange(cells) + 0.5) / cells * 2 * extent - extent
    places = torch.cartesian_prod(middle, middle).flip(1)  # row by row, from the bottom
    for index, (axes, (title, classify)) in enumerate(
        zip(row_of_axes(figure, len(panels)), panels.items(), strict=True)
    ):
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
