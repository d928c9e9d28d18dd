"""Drawings of how a model is built or what it walks through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from coursekit.plots.images import draw_image
from coursekit.plots.style import FAINT, INK, LINES, Picture, in_style, new_figure, only_axes, row_of_axes

if TYPE_CHECKING:  # Matplotlib is loaded with the first picture, so that graders, who draw none, need not wait for it.
    from coursekit.data import GridWorld


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

    figure = new_figure(7.4, 4.3)
    axes = only_axes(figure)
    hidden, chances = hidden.detach().cpu(), chances.detach().cpu()
    draw_image(axes, image, size, (0, 1.0), 3.0)
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

    figure = new_figure(9.6, 3.1)
    axes = only_axes(figure)
    for picture, left in ((image, 0.0), (decoded, 11.4)):
        draw_image(axes, picture, size, (left, 0.7), 2.2)
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
def adversaries(real: Tensor, fake: Tensor, size: tuple[int, int]) -> Picture:
    """A generative adversarial network at a glance: noise, generator, forgery; data; discriminator, verdict.

    Args:
        real: an image of the data (height · width,).
        fake: an image of the generator (height · width,).
        size: height and width of an image in pixels.
    """
    from matplotlib.patches import Ellipse, FancyArrowPatch, Polygon

    figure = new_figure(9.6, 3.7)
    axes = only_axes(figure)
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
    draw_image(axes, fake, size, (6.0, 0.2), 2.0)
    draw_image(axes, real, size, (6.0, 2.8), 2.0)
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
    figure = new_figure(side * width * len(panels) + 0.3, side * height + 0.5)
    for axes, (title, (values, policy)) in zip(row_of_axes(figure, len(panels)), panels.items(), strict=True):
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
