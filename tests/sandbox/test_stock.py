"""Stock modules, rebuilt from their specification and state: they compute the same."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from autograder.sandbox.stock import ARGUMENTS, build, specification

MODULES = [
    (nn.Linear(3, 2, bias=False), (4, 3)),
    (nn.Conv1d(2, 4, 3, padding=1, groups=2, padding_mode="circular"), (1, 2, 6)),
    (nn.Conv2d(2, 3, (3, 1), stride=(2, 1), padding="valid", bias=False), (1, 2, 6, 6)),
    (nn.Conv3d(1, 2, 2, dilation=2), (1, 1, 4, 4, 4)),
    (nn.LayerNorm((2, 3), bias=False), (4, 2, 3)),
    (nn.LayerNorm(3, elementwise_affine=False), (4, 3)),
    (nn.GroupNorm(2, 4), (3, 4, 2)),
    (nn.BatchNorm1d(3, momentum=0.3), (5, 3)),
    (nn.BatchNorm2d(2, affine=False).eval(), (3, 2, 4, 4)),
    (nn.GELU(approximate="tanh"), (5,)),
    *[(kind(), (5,)) for kind in (nn.ReLU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Identity)],
    (nn.LeakyReLU(0.3), (5,)),
    (nn.ELU(0.5), (5,)),
    (nn.Softplus(2.0, 10.0), (5,)),
    (nn.Flatten(0, 1), (2, 3, 4)),
    (nn.Dropout(0.3).eval(), (5,)),
    (nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 1))), (2, 3)),
    (nn.Sequential(OrderedDict(first=nn.Linear(3, 4), second=nn.Linear(4, 1))).double(), (2, 3)),
]


def rebuilt(module: nn.Module) -> nn.Module:
    spec = specification(module)
    assert spec is not None
    return build(spec, {name: x.detach().clone() for name, x in module.state_dict().items()}, module.training)


@pytest.mark.parametrize(("module", "shape"), MODULES, ids=lambda value: type(value).__name__)
def test_a_stock_module_computes_the_same(module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape).to(next(iter(module.state_dict().values()), torch.zeros(1)).dtype)
    twin = rebuilt(module)
    assert torch.equal(twin(x), module(x))
    assert list(twin.state_dict()) == list(module.state_dict())
    assert twin.training == module.training


def test_every_stock_kind_is_tried() -> None:
    tried = {type(part) for module, _ in MODULES for part in module.modules()} | {nn.Embedding}
    assert tried >= set(ARGUMENTS)


def test_an_embedding_keeps_its_padding() -> None:
    twin = rebuilt(nn.Embedding(5, 2, padding_idx=1))
    assert twin.padding_idx == 1
    assert torch.equal(twin(torch.tensor([1])), torch.zeros(1, 2))


def test_the_tensors_that_came_are_its_parameters() -> None:
    """So that gradients reach the test's own."""
    weight = torch.randn(1, 2, requires_grad=True)
    module = build(["Linear", {"in_features": 2, "out_features": 1, "bias": False}], {"weight": weight}, True)
    assert isinstance(module.weight, nn.Parameter)
    module(torch.ones(2)).sum().backward()
    assert torch.equal(weight.grad, torch.ones(1, 2))
    assert torch.optim.Adam(module.parameters())


class Own(nn.Linear): ...


def hooked() -> nn.Module:
    module = nn.Sequential(nn.Linear(2, 2))
    module.register_forward_hook(lambda *_: None)
    return module


def partly_frozen() -> nn.Module:
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    module[0].eval()
    return module


def shared() -> nn.Module:
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, nn.Tanh(), layer)


@pytest.mark.parametrize(
    "module",
    [
        Own(2, 2),
        hooked(),
        partly_frozen(),
        shared(),
        nn.LSTM(2, 2),
        nn.Sequential(nn.Linear(2, 2), nn.MultiheadAttention(2, 1)),
    ],
    ids=["a subclass", "a hook", "modes that differ", "a layer used twice", "an LSTM", "attention inside"],
)
def test_what_these_words_do_not_describe_is_not_stock(module: nn.Module) -> None:
    assert specification(module) is None
