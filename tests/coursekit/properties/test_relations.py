import math

import pytest
import torch
from torch import tensor

from coursekit.properties.relations import relation

EXPECTED = tensor([1.5, -0.25, 3.0, 0.0])
POSITIVE = tensor([0.5, 2.0, 3.0])
SQUARE = tensor([[1.0, 2.0], [3.0, 4.0]])
SIZES = {"batch": 4, "latent": 3}


def said(actual, expected, sizes=SIZES, tolerance=1e-5):
    return relation(actual, expected, tolerance, sizes)


@pytest.mark.parametrize(
    ("actual", "expected", "sentence"),
    [
        (EXPECTED * 0, EXPECTED, "Every value is 0."),
        (-EXPECTED, EXPECTED, "The sign is flipped."),
        (EXPECTED * 2, EXPECTED, "Every value is 2.0 times what it should be."),
        (EXPECTED / 1.7, EXPECTED, "Every value is 1.7 times too small."),
        (EXPECTED * -2, EXPECTED, "The sign is flipped, and every value is 2.0 times what it should be."),
        (EXPECTED + 0.5, EXPECTED, "Every value is 0.5 too large."),
        (EXPECTED - 0.5, EXPECTED, "Every value is 0.5 too small."),
        (EXPECTED * 0 + 0.7, EXPECTED, "Every value is the same, 0.7, where they should differ."),
        (EXPECTED.exp(), EXPECTED, "Every value is the exponential of what it should be."),
        (POSITIVE.log(), POSITIVE, "Every value is the logarithm of what it should be."),
        (EXPECTED.sigmoid(), EXPECTED, "Every value is the sigmoid of what it should be."),
        (EXPECTED.square(), EXPECTED, "Every value is the square of what it should be."),
        (POSITIVE.sqrt(), POSITIVE, "Every value is the square root of what it should be."),
        (1 / POSITIVE, POSITIVE, "Every value is one divided by what it should be."),
        (EXPECTED.flip(0), EXPECTED, "The order along dimension 0 is reversed."),
        (SQUARE.T, SQUARE, "It is the transpose of what it should be."),
        (tensor([9.0, 1.5, -0.25, 3.0]), EXPECTED, "The values are one place too late along dimension 0."),
        (tensor([-0.25, 3.0, 0.0, 9.0]), EXPECTED, "The values are one place too early along dimension 0."),
        (EXPECTED[[1, 0, 3, 2]], EXPECTED, "The right values are there, but in another order."),
        (tensor([True, False]), tensor([False, True]), "Every value is the opposite of what it should be."),
        (tensor([2, 4]), tensor([1, 2]), "Every value is 2.0 times what it should be."),
        (tensor(3.0), tensor(1.5), "It is 2.0 times what it should be."),
    ],
)
def test_simple_relations_are_named(actual, expected, sentence):
    assert said(actual, expected) == sentence


@pytest.mark.parametrize(
    ("actual", "part"),
    [
        (EXPECTED / 3, "3 is the size of latent (a mean where a sum is expected?)"),
        (EXPECTED * 3, "3 is the size of latent (a sum where a mean is expected?)"),
        (EXPECTED / 12, "12 is the size of batch times latent (a mean"),
        (EXPECTED * math.sqrt(3), "1.732 is the square root of 3, the size of latent"),
        (EXPECTED / math.log(2), "a logarithm to base 2"),
        (EXPECTED - math.log(3), "the logarithm of 3, the size of latent"),
    ],
)
def test_a_drawn_size_explains_a_factor_or_an_offset(actual, part):
    assert part in said(actual, EXPECTED)


def test_without_drawn_sizes_the_dimensions_may_explain_it():
    assert "4 is the size of dimension 0" in said(EXPECTED * 4, EXPECTED, sizes={})
    assert said(SQUARE * 2, SQUARE, sizes={}) == "Every value is 2.0 times what it should be."


def test_equal_sizes_are_all_named():
    assert "the size of rows and of columns" in said(EXPECTED * 5, EXPECTED, sizes={"rows": 5, "columns": 5})


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (tensor(1.7), tensor(1.0)),
        (tensor([1.7, 1.7]), tensor([1.0, 1.0])),
        (tensor([0.3, 0.3]), tensor([0.0, 0.0])),
        (tensor(0.0), tensor(1.0)),
        (torch.tensor([1.6, -0.25, 3.0, 0.0]), EXPECTED),
        (tensor([math.inf, 1.0]), tensor([1.0, 1.0])),
        (tensor([1j]), tensor([2j])),
        (tensor([True, True]), tensor([False, True])),
    ],
)
def test_nothing_is_said_where_nothing_can_be_known(actual, expected):
    """Any factor and any offset fit a constant."""
    assert said(actual, expected) is None


def test_a_coarse_tolerance_makes_no_relation_up():
    expected = tensor([0.01, 0.02, -0.01])
    assert said(tensor([0.4, 0.45, 0.42]), expected, tolerance=0.3) is None
