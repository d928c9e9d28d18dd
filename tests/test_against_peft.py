"""What `advanced` teaches of LoRA is what the library peft does."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from solutions import advanced


@pytest.fixture(scope="module")
def peft():
    import peft  # some seconds

    return peft


def small_model() -> nn.Sequential:
    torch.manual_seed(0)
    block = nn.Sequential(OrderedDict(query=nn.Linear(6, 6), act=nn.Tanh(), value=nn.Linear(6, 6, bias=False)))
    return nn.Sequential(OrderedDict(first=nn.Linear(3, 6), block=block, head=nn.Linear(6, 2)))


def adapted(peft):
    """The same model, adapted by peft and by the reference, with the same matrices."""
    config = peft.LoraConfig(r=4, lora_alpha=10, target_modules=["query", "value"], init_lora_weights=False)
    theirs = peft.get_peft_model(small_model(), config)
    ours = advanced.apply_lora(small_model(), ["query", "value"], rank=4, alpha=10.0)
    with torch.no_grad():
        for name in ("query", "value"):
            layer, other = ours.get_submodule(f"block.{name}"), theirs.get_submodule(f"base_model.model.block.{name}")
            layer.A.copy_(other.lora_A["default"].weight)
            layer.B.copy_(other.lora_B["default"].weight)
    return ours, theirs


def test_adapted_layers_give_what_pefts_do(peft):
    ours, theirs = adapted(peft)
    x = torch.randn(5, 3)
    torch.testing.assert_close(ours(x), theirs(x))


def test_as_many_numbers_are_trained(peft):
    ours, theirs = adapted(peft)
    assert advanced.count_parameters(ours) == theirs.get_nb_trainable_parameters()


def test_merged_weights_are_pefts(peft):
    ours, theirs = adapted(peft)
    for layer in (ours.block.query, ours.block.value):
        layer.merge()
    merged = theirs.merge_and_unload()
    for name in ("query", "value"):
        weight = ours.get_submodule(f"block.{name}").linear.weight
        torch.testing.assert_close(weight, merged.get_submodule(f"block.{name}").weight)
