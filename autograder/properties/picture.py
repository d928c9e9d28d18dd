"""What was expected and what came, as numbers that are worth a look: a curve or a table."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.verdict import Picture
from coursekit.properties.compare import Compared

CURVE = (6, 200)  # values of a curve: fewer are read, more are not seen
TABLE = (3, 24)  # rows and columns
DIGITS = 4


def picture_of(compared: Compared) -> Picture | None:
    """The picture of a comparison; None where there is nothing to look at.

    Of a tensor with more than two dimensions the table is shown in which it differs most.
    """
    received, expected, wrong, worst = compared
    if received.is_complex() or not (received.isfinite().all() and expected.isfinite().all()):
        return None
    kept = [dim for dim, size in enumerate(received.shape) if size > 1]
    came, wanted, differs = (tensor.squeeze() for tensor in (received, expected, wrong))
    at = tuple(worst[dim] for dim in kept[:-2])
    came, wanted, differs = came[at], wanted[at], differs[at]
    if came.ndim == 1 and CURVE[0] <= len(came) <= CURVE[1]:
        came, wanted = came[None], wanted[None]
    elif came.ndim != 2 or not all(TABLE[0] <= size <= TABLE[1] for size in came.shape):
        return None
    place = f"[{', '.join(map(str, at))}]" if at else ""
    return Picture(_rows(wanted), _rows(came), differs.flatten().nonzero().flatten().tolist(), place)


def _rows(values: Tensor) -> list[list[float]]:
    return [[float(f"{value:.{DIGITS}g}") for value in row] for row in values.to(torch.float64).tolist()]
