"""Works to look at, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from coursekit.capstone.works import Work


def show(works: Mapping[str, Work]) -> Any:
    """Works of one kind, each with its name: images in a row, music as piano rolls, texts one below the other.

    Args:
        works: by name; images are all of one size.

    Returns:
        A picture, or None if texts were printed.
    """
    from coursekit import plots

    images = {name: work for name, work in works.items() if isinstance(work, Tensor)}
    notes = {name: work for name, work in works.items() if isinstance(work, list)}
    if images:
        size = next(iter(images.values())).shape[1:]
        pixels = torch.stack([image.flatten() for image in images.values()])
        return plots.strips(
            {"": pixels}, (size[0], size[1]), captions=list(images), scale=2.0, alt=f"Images: {', '.join(images)}."
        )
    if notes:
        return plots.piano_roll(notes)
    for name, text in works.items():
        print(f"{name}:", textwrap.fill(str(text), 100), sep="\n", end="\n\n")
    return None
