"""A small course: two exercises, a question and a hands-on cell, and all that belongs to it."""

import shutil
from pathlib import Path

from autograder.course import Course

REPOSITORY = Path(__file__).parents[1]

COURSE = """\
[course]
id = "mini"
title = "A small course"

[limits]
seconds_per_cell = 10
seconds_per_call = 5
seconds_per_exercise = 20
seconds_per_submission = 60

[[assignment]]
slug = "mini"
title = "Small steps"
"""

STARTER = '''\
# %% [markdown]
# # Small steps

# %%
import torch
from jaxtyping import Float
from torch import Tensor, nn

from coursekit import check

# %% [markdown]
# A square is a number times itself.

# %% exercise="square" points=2
def square(x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """The square of every number.

    Args:
        x: any numbers (n,).

    Returns:
        Their squares (n,).
    """
    raise NotImplementedError


# %% exercise="Shift" points=3
class Shift(nn.Module):
    """Adds a constant, a parameter called `offset` that starts at zero.

    Args:
        size: how many numbers each row has.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """Add the offset to each row of x (batch, n)."""
        raise NotImplementedError


# %% [markdown] question="why_squares" points=2
# Why are squares never negative?

# %% tags=["hands-on"]
numbers = torch.linspace(-1, 1, 5)
print(numbers)
'''

SOLUTION = '''\
"""Reference answers of `mini`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def square(x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """The square of every number.

    Args:
        x: any numbers (n,).

    Returns:
        Their squares (n,).
    """
    return x.multiply(x.clone())


class Shift(nn.Module):
    """Adds a constant, a parameter called `offset` that starts at zero.

    Args:
        size: how many numbers each row has.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(size))

    def forward(self, x: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """Add the offset to each row of x (batch, n)."""
        return x.add(self.offset.unsqueeze(0))
'''

VISIBLE = '''\
"""Checks that students can run."""

import torch

from coursekit.properties import assert_close, exercise


@exercise("square")
class TestSquare:
    def test_of_two_is_four(self, student):
        """The square of 2 is 4."""
        assert_close(student.square(torch.tensor([2.0])), torch.tensor([4.0]))
'''

HIDDEN = '''\
"""Hidden properties of `mini`."""

import torch
from hypothesis import given

from coursekit.properties import assert_close, exercise, required, tensors


@exercise("square")
class TestSquare:
    @required
    @given(x=tensors((3,)))
    def test_is_the_second_power_of_magnitudes(self, student, x):
        """It is the magnitude to the power of two."""
        assert_close(student.square(x), x.abs() ** 2.0)

    @given(x=tensors((3,)))
    def test_ignores_the_sign_of_its_argument(self, student, x):
        """A number and its negative have the same square."""
        assert_close(student.square(-x), x.abs() ** 2.0)


@exercise("Shift")
class TestShift:
    @required
    @given(x=tensors((2, 3)), offset=tensors((3,)))
    def test_adds_whatever_the_offset_is(self, student, x, offset):
        """Each row is moved by the offset."""
        shift = student.Shift(3)
        with torch.no_grad():
            shift.offset.copy_(offset)
        assert_close(shift(x), torch.stack([row + offset for row in x]))

    def test_starts_with_an_offset_of_zero(self, student):
        """A new shift moves nothing."""
        assert_close(student.Shift(4)(torch.ones(1, 4)), torch.ones(1, 4))
'''

MISTAKES = '''\
"""Known mistakes in `mini`."""

from autograder.mistakes import mistake


@mistake("square", says="A negative number keeps its sign: look at what the square of -1 should be.")
def square_with_the_sign(x):
    return x * x.abs().clone().detach()
'''


def make_course(root: Path) -> Course:
    """Write the course into a folder."""
    files = {
        "course.toml": COURSE,
        "assignments/mini/mini.py": STARTER,
        "assignments/mini/visible.py": VISIBLE,
        "solutions/__init__.py": "",
        "solutions/mini.py": SOLUTION,
        "autograder/hidden/test_mini.py": HIDDEN,
        "autograder/mistakes/mini.py": MISTAKES,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    shutil.copytree(REPOSITORY / "coursekit", root / "coursekit", ignore=shutil.ignore_patterns("__pycache__"))
    return Course.load(root)
