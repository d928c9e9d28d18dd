"""Short films of moving digits, each with a caption: video data of which every pixel's motion is known.

After the moving MNIST of Srivastava et al. (2015), with the captions of Mittal et al. (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from coursekit.data import Images

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MOTIONS = {
    "moves left": (-1, 0),
    "moves right": (1, 0),
    "moves up": (0, -1),
    "moves down": (0, 1),
    "bounces": (1, 1),
}
"""What a digit may do, and its first step in pixels, to the right and downwards. One that bounces may begin either way."""


@dataclass(frozen=True)
class Clips:
    """Grey films with captions.

    `videos` are (n, 1, frames, size, size), float32 in [0, 1], 1 for ink. `captions` are such as "a three moves left".
    `labels` (n,) are the digits, `motions` (n,) the places in `MOTIONS`, both int64. `places` (n, frames, 2), int64, are
    the column and the row of the upper left corner of the digit in each frame.
    """

    videos: Tensor
    captions: list[str]
    labels: Tensor
    motions: Tensor
    places: Tensor

    def __len__(self) -> int:
        return len(self.videos)

    def flow(self, start: int, end: int) -> Tensor:
        """How far the digits move from frame `start` to frame `end`: (n, 2, size, size), in pixels, right and downwards.

        The whole frame moves with its digit. That is as true as anything, since the paper around it is blank.
        """
        step = (self.places[:, end] - self.places[:, start]).float()
        return step[:, :, None, None].expand(-1, -1, *self.videos.shape[3:]).contiguous()


def moving_digits(
    digits: Images,
    count: int,
    *,
    frames: int = 7,
    size: int = 16,
    figure: int = 8,
    kinds: Sequence[int] = tuple(range(10)),
    motions: Sequence[str] = tuple(MOTIONS),
    hands: int | None = None,
    grid: int = 1,
    part: Literal["train", "test"] = "train",
    generator: torch.Generator | None = None,
) -> Clips:
    """Films in which one digit goes its way, a pixel from frame to frame.

    Args:
        digits: where the digits come from.
        count: how many films.
        frames: how many frames each has.
        size: height and width of a frame in pixels.
        figure: height and width of a digit; larger ones are scaled down to it.
        kinds: which digits.
        motions: what the digits may do, of `MOTIONS`. One that bounces goes aslant, and turns round at each edge. The
            others begin where they have room for all of their way.
        hands: how many images of each digit there are to choose from; None takes all.
        grid: digits begin at columns and rows that are multiples of so many pixels.
        part: which digits, those for training or those for tests.
        generator: source of digit, motion and place, all uniform.

    Raises:
        ValueError: there is no such motion, or no room for it, or no place on the grid to begin.
    """
    if unknown := set(motions) - set(MOTIONS):
        raise ValueError(f"no digit {sorted(unknown)[0]!r}; there are {', '.join(MOTIONS)}")
    room = size - figure
    if room < max(1, frames - 1 if set(motions) - {"bounces"} else 1):
        raise ValueError(f"a digit of {figure} pixels has no room for {frames} frames in {size} pixels")
    images, labels = (digits.train, digits.train_labels) if part == "train" else (digits.test, digits.test_labels)
    usable = torch.cat([(labels == kind).nonzero().squeeze(1)[:hands] for kind in kinds])
    chosen = usable[torch.randint(len(usable), (count,), generator=generator)]
    which = torch.randint(len(motions), (count,), generator=generator)
    moves = torch.tensor([list(MOTIONS).index(name) for name in motions])[which]
    turns = torch.randint(2, (count, 2), generator=generator) * 2 - 1
    places = torch.rand(count, 2, generator=generator)

    step = torch.tensor(list(MOTIONS.values()))[moves]
    bounces = (step.abs().sum(dim=1) == 2)[:, None]
    step = torch.where(bounces, step * turns, step)
    needed = torch.where(bounces, 0, step * (frames - 1))  # so far it goes without turning round
    low, high = (-needed).clamp(min=0), room - needed.clamp(min=0)
    first, last = -(-low // grid), high // grid
    if (first > last).any():
        raise ValueError(f"a grid of {grid} pixels leaves no room to begin")
    start = grid * (first + (places * (last - first + 1)).long())
    path = start[:, None] + step[:, None] * torch.arange(frames)[:, None]
    path = room - ((path % (2 * room)) - room).abs()  # a zigzag between 0 and room

    square = images[chosen].view(count, 1, digits.height, digits.width)
    square = square[:, :, digits.margin : digits.height - digits.margin, digits.margin : digits.width - digits.margin]
    square = F.adaptive_avg_pool2d(square, figure) if square.shape[2] > figure else square
    videos = torch.zeros(count, 1, frames, size, size)
    clip, frame, row, column = torch.meshgrid(*map(torch.arange, (count, frames, figure, figure)), indexing="ij")
    rows, columns = path[..., 1, None, None] + row, path[..., 0, None, None] + column
    videos[clip, 0, frame, rows, columns] = square.expand(-1, frames, -1, -1)
    names = list(MOTIONS)
    told = zip(labels[chosen].tolist(), moves.tolist(), strict=True)
    captions = [f"{'an' if label == 8 else 'a'} {NAMES[label]} {names[kind]}" for label, kind in told]
    return Clips(videos, captions, labels[chosen], moves, path)
