"""The automatic property that every annotated function gets."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from autograder.properties.contract import contract_property
from coursekit.properties import PropertyFailed


def doubled(x: Float[Tensor, "batch n"]) -> Float[Tensor, "batch"]:
    """The doubled sum of each row."""
    return 2 * x.sum(1)


def check(answer: Any) -> None:
    test = contract_property(doubled, "doubled")
    assert test is not None
    test(None, student=SimpleNamespace(doubled=answer))


def test_the_reference_keeps_it() -> None:
    check(doubled)


def test_values_are_not_its_business() -> None:
    check(lambda x: torch.zeros(len(x), dtype=x.dtype))


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: x.sum(),
        lambda x: x,
        lambda x: None,
        lambda x: x.sum(1).tolist(),
        lambda x: x.sum(1).float(),  # whatever the inputs are
        lambda x: x.sum(1).long(),
    ],
)
def test_a_broken_promise_fails(answer: Any) -> None:
    with pytest.raises(PropertyFailed):
        check(answer)


def test_a_class_has_none() -> None:
    assert contract_property(torch.nn.Linear, "Linear") is None


def test_a_parameter_that_cannot_be_drawn_is_the_authors_affair() -> None:
    def apply(function: object) -> Float[Tensor, "n"]:
        raise AssertionError

    with pytest.raises(TypeError, match="function"):
        contract_property(apply, "apply")
