import dataclasses
import math
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn, tensor
from torch.distributions import Bernoulli, Independent, Normal

from coursekit.properties.describe import describe, describe_kind, number


@dataclasses.dataclass
class Gaussian:
    mu: float
    sigma: float


Pair = namedtuple("Pair", "first second")


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (tensor([[-0.5, 1.25]]), "tensor([[-0.5, 1.25]])"),
        (tensor(1.0, requires_grad=True), "tensor(1.0)"),
        (tensor([1.0], dtype=torch.float64), "tensor([1.0], dtype=float64)"),
        (tensor([1, 2]), "tensor([1, 2])"),
        (torch.zeros(3, 4), "torch.zeros(3, 4)"),
        (torch.ones(4, dtype=torch.int64), "torch.ones(4, dtype=torch.int64)"),
        (torch.full((2, 2), -0.5), "torch.full((2, 2), -0.5)"),
        (torch.ones(4) > 0, "torch.full((4,), True)"),
        (torch.zeros(64, 784), "torch.zeros(64, 784)"),
        (tensor([True]), "tensor([True])"),
        (tensor([1 + 2j]), "tensor([1+2j], dtype=complex64)"),
        (tensor([math.nan, -math.inf]), "tensor([nan, -inf])"),
        (torch.zeros(0, 3), "tensor of shape (0, 3), float32"),
        (torch.arange(100.0), "tensor of shape (100,), float32, from 0.0 to 99.0"),
        (torch.full((50,), math.nan), "tensor of shape (50,), float32, 50 of 50 not finite"),
        (torch.ones(2, device="meta"), "tensor of shape (2,), float32"),
        (torch.eye(2).to_sparse(), "tensor([[1.0, 0.0], [0.0, 1.0]])"),
        (np.array([1.0, 2.0]), "array([1.0, 2.0])"),
        (np.zeros((30, 2)), "array of shape (30, 2), float64, from 0.0 to 0.0"),
        (np.float32(0.5), "0.5"),
        (1 / 3, "0.333333"),
        (1e-12, "1e-12"),
        (7, "7"),
        (None, "None"),
        ("a" * 200, "'" + "a" * 159 + "…"),
        (torch.float32, "torch.float32"),
        (torch.Generator().manual_seed(3), "Generator(seed=3)"),
        (Normal(0.0, tensor(2.0)), "Normal(loc=tensor(0.0), scale=tensor(2.0))"),
        (Bernoulli(probs=tensor(0.5)), "Bernoulli(probs=tensor(0.5))"),
        (
            Independent(Normal(tensor([0.0]), tensor([1.0])), 1),
            "Independent(Normal(loc=tensor([0.0]), scale=tensor([1.0])), reinterpreted_batch_ndims=1)",
        ),
        (nn.Linear(3, 2), "Linear(in_features=3, out_features=2, bias=True)"),
        (nn.Sequential(nn.Linear(3, 2), nn.ReLU()), "Sequential with 8 parameters"),
        (math.sqrt, "sqrt"),
        (Gaussian(0.0, 1.0), "Gaussian(mu=0.0, sigma=1.0)"),
        (Pair(1, 2), "Pair(first=1, second=2)"),
        ((tensor([1.0]),), "(tensor([1.0]),)"),
        ([1, 2], "[1, 2]"),
        ({"a": 1}, "{'a': 1}"),
        (set(), "set()"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, … 12 more]"),
        (Unprintable(), "<Unprintable, whose repr raises RuntimeError>"),
    ],
)
def test_values_are_described_in_a_line(value, text):
    assert describe(value) == text


def test_a_container_may_hold_itself():
    value = [1]
    value.append(value)
    assert describe(value) == "[1, [1, [1, [1, [1, …]]]]]"


@pytest.mark.parametrize(
    "dtype", [torch.bits8, torch.int4, torch.uint1, torch.float8_e5m2, torch.bfloat16, torch.uint16]
)
def test_every_dtype_is_described(dtype):
    assert str(dtype).removeprefix("torch.") in describe(torch.empty(3, dtype=dtype))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (3.0, "the float 3.0"),
        (True, "the bool True"),
        (torch.zeros(3, 4), "a tensor of shape (3, 4)"),
        (np.zeros(3), "a NumPy array of shape (3,)"),
        ([1], "a list of 1 item"),
        ((), "a tuple of 0 items"),
        (nn.Linear(1, 1), "a Linear"),
        (Unprintable(), "an Unprintable"),
        (Gaussian, "the class Gaussian"),
        (math.sqrt, "the function sqrt"),
    ],
)
def test_kinds_have_an_article(value, text):
    assert describe_kind(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2.0"), (-0.5, "-0.5"), (1e20, "1e+20"), (math.inf, "inf"), (2, "2")]
)
def test_numbers_have_few_digits(value, text):
    assert number(value) == text
