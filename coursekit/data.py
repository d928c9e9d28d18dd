"""Data for the hands-on cells, small enough for a laptop: digits, letters that are no digits, toy sentences.

Nothing here needs the network. `load_digits` uses it where it can be had, and says in `name` what it found.
"""

from __future__ import annotations

import itertools
import math
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

PATIENCE = 4.0
"""Seconds to wait for a server before the bundled data are used."""


@dataclass(frozen=True)
class Images:
    """Grey images with labels, split into a training and a test part.

    `train` and `test` are (n, height · width), float32 in [0, 1], 1 for ink; `train_labels` and `test_labels` are (n,),
    int64. `margin` is the empty border in pixels that the collection leaves around each figure.
    """

    name: str
    height: int
    width: int
    margin: int
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


def load_digits(source: Literal["auto", "mnist", "bundled"] = "auto") -> Images:
    """Handwritten digits.

    Args:
        source: "mnist" is torchvision's MNIST (28 × 28, 60 000 + 10 000 images), downloaded once into
            `$COURSEKIT_DATA` or `~/.cache/coursekit`; "bundled" is scikit-learn's collection (8 × 8, 1437 + 360
            images), which is always at hand; "auto" is MNIST if it is there or can be had, otherwise the bundled
            digits. `COURSEKIT_OFFLINE=1` keeps "auto" from trying the network.

    Raises:
        OSError: "mnist" was asked for and cannot be had.
    """
    root = Path(os.environ.get("COURSEKIT_DATA") or Path.home() / ".cache" / "coursekit")
    download = source == "mnist" or os.environ.get("COURSEKIT_OFFLINE") != "1"
    if source == "bundled" or not (download or (root / "MNIST").is_dir()):
        return _bundled_digits()
    try:
        return _mnist(root, download=download)
    except (ImportError, OSError, RuntimeError) as error:  # no torchvision; no network; RuntimeError: a broken file
        if source == "mnist":
            raise OSError(f"MNIST cannot be had ({error}); use load_digits('bundled')") from error
        return _bundled_digits()


def _bundled_digits() -> Images:
    from sklearn.datasets import load_digits as bundled

    digits = bundled()
    images = torch.tensor(digits.data / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    # They stand in order of their writers, so a split by place would test on hands that training never saw.
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    test, train = order[:360], order[360:]
    return Images("scikit-learn's digits", 8, 8, 0, images[train], labels[train], images[test], labels[test])


def _mnist(root: Path, *, download: bool) -> Images:
    from torchvision.datasets import MNIST

    with _patience(PATIENCE):
        train, test = (MNIST(root, train=part, download=download) for part in (True, False))
    parts = [(part.data.flatten(1) / 255, part.targets) for part in (train, test)]
    return Images("MNIST", 28, 28, 4, *parts[0], *parts[1])


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def checkpoint(name: str) -> Path:
    """The folder of a small pretrained model that comes with the course, for `from_pretrained`.

    Raises:
        ValueError: there is none of that name.
    """
    folders = {path.name: path for path in Path(__file__).with_name("checkpoints").iterdir() if path.is_dir()}
    if name not in folders:
        raise ValueError(f"no model {name!r} comes with the course; there are {', '.join(sorted(folders))}")
    return folders[name]


def draw_letters(
    like: Images, *, letters: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", generator: torch.Generator | None = None
) -> tuple[Tensor, list[str]]:
    """Printed capitals in several typefaces, tilted at random, scaled down just as the digits of `like` were.

    Args:
        like: the digits whose size and border the letters take.
        letters: which to draw.
        generator: source of the tilts.

    Returns:
        Images (n, height · width), float32 in [0, 1], and the letter that each shows.
    """
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    faces = ("DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif-Bold", "STIXGeneralBol")
    height, width = like.height - 2 * like.margin, like.width - 2 * like.margin
    images, names = [], []
    for face, letter in itertools.product(faces, letters):
        font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", f"{face}.ttf")), 160)
        tilt = 24 * torch.rand((), generator=generator).item() - 12
        page = Image.new("L", (320, 320))
        ImageDraw.Draw(page).text((160, 160), letter, fill=255, font=font, anchor="mm")
        page = page.rotate(tilt, Image.Resampling.BICUBIC)
        figure = page.crop(page.getbbox())
        scale = min(width / figure.width, height / figure.height)
        size = (max(1, round(scale * figure.width)), max(1, round(scale * figure.height)))
        small = Image.new("L", (like.width, like.height))
        corner = ((like.width - size[0]) // 2, (like.height - size[1]) // 2)
        small.paste(figure.resize(size, Image.Resampling.BOX), corner)
        images.append(torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8) / 255)
        names.append(letter)
    return torch.stack(images), names


SHAPE_COLOURS = {
    "red": (0.84, 0.19, 0.2),
    "green": (0.18, 0.62, 0.3),
    "blue": (0.2, 0.36, 0.8),
    "yellow": (0.95, 0.77, 0.16),
    "purple": (0.56, 0.27, 0.68),
    "black": (0.13, 0.14, 0.15),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
SHAPE_SIZES = {"small": (0.26, 0.36), "large": (0.56, 0.7)}
"""From the middle of a shape to its edge, where half the width of the picture is 1: the range of each size."""


def draw_shapes(count: int, *, size: int = 32, generator: torch.Generator | None = None) -> tuple[Tensor, list[str]]:
    """Coloured shapes on white paper, anywhere in the picture, each with a caption such as "a small red circle".

    Args:
        count: how many.
        size: height and width in pixels.
        generator: source of colour, shape, size and place, all uniform and independent.

    Returns:
        Images (count, 3, size, size), float32 in [0, 1], and their captions.
    """
    names = [list(SHAPE_SIZES), list(SHAPE_COLOURS), list(SHAPES)]
    drawn = [torch.randint(len(options), (count,), generator=generator) for options in names]
    chance = torch.rand(count, 3, generator=generator)
    low, high = torch.tensor(list(SHAPE_SIZES.values()))[drawn[0]].unbind(dim=1)
    radius = (low + (high - low) * chance[:, 0])[:, None, None]
    middle = (2 * chance[:, 1:] - 1) * (0.95 - radius[:, :, 0])
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    x, y = axis[None, None, :] - middle[:, 0, None, None], middle[:, 1, None, None] - axis[None, :, None]
    far, thin = torch.hypot(x, y), 0.3 * radius
    outside = torch.stack(  # how far a point is outside the shape, negative within
        [
            far - radius,
            torch.maximum(x.abs(), y.abs()) - 0.86 * radius,
            torch.maximum(0.866 * x.abs() + y / 2, -y) - radius / 2,
            torch.minimum(
                torch.maximum(x.abs() - thin, y.abs() - radius), torch.maximum(x.abs() - radius, y.abs() - thin)
            ),
            (far - 0.75 * radius).abs() - 0.25 * radius,
        ]
    )
    distance = outside[drawn[2], torch.arange(count)]
    ink = (0.5 - distance * size / 2).clamp(0, 1)[:, None]  # pixels on the edge are partly covered
    colour = torch.tensor(list(SHAPE_COLOURS.values()))[drawn[1]][:, :, None, None]
    words = zip(*([options[i] for i in chosen] for options, chosen in zip(names, drawn, strict=True)), strict=True)
    return 1 - ink * (1 - colour), [f"a {' '.join(word)}" for word in words]


TOY_ENGLISH = {
    "SENTENCE": "SEA | FOREST | KITCHEN | STAGE",
    "SEA": "WHEN the AGE MARINER SAILS WATER",
    "FOREST": "WHEN the AGE ANIMAL ROAMS WOOD",
    "KITCHEN": "WHEN the AGE COOK MAKES DISH",
    "STAGE": "WHEN the AGE ARTIST PLAYS MUSIC",
    "WHEN": " | today | at night",
    "AGE": " | old | young | sleepy",
    "MARINER": "sailor | captain | pirate",
    "SAILS": "sails | rows | drifts",
    "WATER": "across the bay | along the coast | around the island",
    "ANIMAL": "fox | owl | bear",
    "ROAMS": "hides | sleeps | hunts",
    "WOOD": "under the oak | near the stream | behind the rocks",
    "COOK": "cook | baker | waiter",
    "MAKES": "tastes | serves | burns",
    "DISH": "the soup | the bread | the cake",
    "ARTIST": "singer | dancer | clown",
    "PLAYS": "bows | smiles | waves",
    "MUSIC": "before the show | after the song | during the applause",
}
"""A toy language. A name stands for one of its alternatives, all equally likely; other words stand as they are."""


class Language:
    """All sentences of a toy language, with their probabilities: small enough to list, so its entropy is known exactly.

    Args:
        rules: alternatives for each name, separated by `|`, not recursive. Derivations start at "SENTENCE"; which of
            its alternatives a sentence comes from is its topic.
    """

    def __init__(self, rules: Mapping[str, str] = TOY_ENGLISH) -> None:
        self._rules = {name: [option.split() for option in options.split("|")] for name, options in rules.items()}
        starts = self._rules["SENTENCE"]
        self.probability: dict[str, float] = {}
        self.topic: dict[str, str] = {}
        for start in starts:
            for words, probability in self._phrases(start):
                sentence = " ".join(words)
                self.probability[sentence] = self.probability.get(sentence, 0.0) + probability / len(starts)
                self.topic[sentence] = " ".join(start).lower()

    def _phrases(self, symbols: Sequence[str]) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every way to put `symbols` in words, with its probability."""
        choices = [self._choices(symbol) for symbol in symbols]
        for phrase in itertools.product(*choices):
            yield tuple(word for words, _ in phrase for word in words), math.prod(p for _, p in phrase)

    def _choices(self, symbol: str) -> list[tuple[tuple[str, ...], float]]:
        options = self._rules.get(symbol)
        if options is None:
            return [((symbol,), 1.0)]
        return [(words, p / len(options)) for option in options for words, p in self._phrases(option)]

    @cached_property
    def entropy(self) -> float:
        """The entropy of a sentence, in nats: what the best possible model pays for one on average."""
        return -math.fsum(p * math.log(p) for p in self.probability.values())

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Every word, in alphabetical order."""
        return tuple(sorted({word for sentence in self.probability for word in sentence.split()}))

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> list[str]:
        """Draw sentences, independently of one another."""
        probabilities = torch.tensor(list(self.probability.values()), dtype=torch.float64)
        sentences = list(self.probability)
        return [sentences[i] for i in torch.multinomial(probabilities, count, True, generator=generator)]


class Vocabulary:
    """Words as token ids, and back. The first four ids are special: padding, begin, end, unknown."""

    padding, begin, end, unknown = range(4)

    def __init__(self, words: Iterable[str]) -> None:
        self.words = ("<pad>", "<begin>", "<end>", "<unknown>", *words)
        self._ids = {word: i for i, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Token ids (sentences, length), int64: each sentence, its end, and padding up to the longest."""
        rows = [[*(self._ids.get(word, self.unknown) for word in s.split()), self.end] for s in sentences]
        length = max(map(len, rows), default=0)
        return torch.tensor([row + [self.padding] * (length - len(row)) for row in rows], dtype=torch.int64)

    def decode(self, tokens: Tensor) -> list[str]:
        """The sentences of token ids (sentences, length), each up to its end."""
        rows = (itertools.takewhile(lambda i: i != self.end, row) for row in tokens.tolist())
        return [" ".join(self.words[i] for i in row if i != self.padding) for row in rows]


class GridWorld:
    """A small world on squared paper, to walk about in: a decision process that can be listed.

    The four actions are 0 up, 1 right, 2 down, 3 left. A move against a wall or the edge leaves everything as it is. Whatever
    is done on a square with a prize (+) or a trap (−) earns `prize` or `-prize`, and ends the episode.

    Args:
        rows: the map, one string a row: `.` floor, `#` wall, `@` the square to start from, `+` a prize, `-` a trap.
        slip: the probability that a move goes astray, half of it to either side.
        prize: what a prize earns, and a trap takes.
    """

    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))

    def __init__(self, rows: Sequence[str], *, slip: float = 0.2, prize: float = 1.0) -> None:
        self.rows = tuple(rows)
        self.squares = [(y, x) for y, row in enumerate(rows) for x, mark in enumerate(row) if mark != "#"]
        marks = "".join(rows).replace("#", "")
        self.start = marks.index("@")
        count = len(self.squares)
        earned = torch.tensor([prize * ((mark == "+") - (mark == "-")) for mark in marks])
        self.rewards = earned.unsqueeze(1).repeat(1, 4)
        self.transitions = torch.zeros(count, 4, count)
        for state, (y, x) in enumerate(self.squares):
            for action in range(4) if marks[state] not in "+-" else ():
                for turn, chance in ((0, 1 - slip), (1, slip / 2), (3, slip / 2)):
                    dy, dx = self.moves[(action + turn) % 4]
                    place = (y + dy, x + dx)
                    after = self.squares.index(place) if place in self.squares else state
                    self.transitions[state, action, after] += chance

    def step(
        self, states: Tensor, actions: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One move of several walkers: the states (n,) that they come to, their rewards (n,), and whose episode ended (n,).

        Where an episode has ended the state stays as it is.
        """
        chances = self.transitions[states, actions]
        done = chances.sum(dim=1) < 0.5
        chances = torch.where(done.unsqueeze(1), torch.eye(len(self.squares))[states], chances)
        after = torch.multinomial(chances, 1, generator=generator).squeeze(1)
        return after, self.rewards[states, actions], done
