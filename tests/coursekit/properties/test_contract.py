from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, Union

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float, Float64, Int, Shaped
from torch import Tensor, nn

from coursekit.properties.contract import bind_sizes, conforms, parse, signature_hints

BATCH = Float[Tensor, "batch"]
T = TypeVar("T")


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (torch.zeros(3), BATCH),
        (torch.zeros(3, dtype=torch.float64), BATCH),
        (torch.zeros(3, dtype=torch.bfloat16), BATCH),
        (nn.Parameter(torch.zeros(3)), BATCH),
        (torch.zeros(3, 2), Float[Tensor, "batch latent"]),
        (torch.zeros(4), Float[Tensor, "batch+1"]),
        (torch.zeros(6), Float[Tensor, "2*batch"]),
        (torch.zeros(5, 4, 3), Float[Tensor, "*data batch"]),
        (torch.zeros(3), Float[Tensor, "*data batch"]),
        (torch.zeros(5, 3), Float[Tensor, "... batch"]),
        (torch.zeros(9, 3), Float[Tensor, "_ batch"]),
        (torch.zeros(1), Float[Tensor, "#batch"]),
        (torch.zeros(7), Float[Tensor, "unknown+1"]),
        (torch.zeros(3, 2), Float[Tensor, "batch side=2"]),
        (torch.tensor(1.0), Float[Tensor, ""]),
        (torch.tensor([1]), Int[Tensor, "_"]),
        (torch.tensor([1]), Shaped[Tensor, "_"]),
        (np.zeros(3), Float[np.ndarray, "batch"]),
        ((torch.zeros(3), torch.zeros(3)), tuple[BATCH, BATCH]),
        ((1, 2, 3), tuple[int, ...]),
        ([torch.zeros(3), torch.zeros(3)], tuple[BATCH, BATCH]),
        ((), tuple[()]),
        ([1.0, 2], list[float]),
        ({"a": 1.0}, dict[str, float]),
        (1, float),
        (np.float32(1.0), float),
        (np.int64(1), int),
        (True, bool),
        (np.bool_(True), bool),
        ("a", str),
        ("a", Literal["a", "b"]),
        (None, None),
        (None, int | None),
        (3, int | None),
        (3, Union[int, None]),  # noqa: UP007
        (torch.zeros(2), Tensor),
        (nn.Linear(1, 1), nn.Module),
        (len, Callable),
        (len, Callable[[int], int]),
        ("anything", Any),
        ("anything", T),
        (3, Annotated[int, "positive"]),
    ],
)
def test_kept_promises(value, annotation):
    assert conforms(value, annotation, {"batch": 3}) is None


@pytest.mark.parametrize(
    ("value", "annotation", "sentence"),
    [
        (3.0, BATCH, "the result should be a tensor of shape (batch), but it is the float 3.0"),
        (None, BATCH, "the result should be a tensor of shape (batch), but it is None"),
        (torch.zeros(2), BATCH, "the result should have shape (batch = 3,), but it has (2,)"),
        (torch.zeros(3, 2), BATCH, "the result should have shape (batch = 3,), but it has (3, 2)"),
        (torch.zeros(3), Float[Tensor, "batch new"], "the result should have shape (batch = 3, new), but it has (3,)"),
        (torch.zeros(3), Float[Tensor, "batch+1"], "the result should have shape (batch+1 = 4,), but it has (3,)"),
        (torch.zeros(2), Float[Tensor, "#batch"], "the result should have shape (#batch = 3,), but it has (2,)"),
        (torch.zeros(()), Float[Tensor, "*data 1"], "the result should have shape (*data, 1), but it has ()"),
        (torch.tensor([1, 2, 3]), BATCH, "the result should have a dtype of the family Float, but it has int64"),
        (torch.zeros(3), Float64[Tensor, "batch"], "should have a dtype of the family Float64, but it has float32"),
        (torch.zeros(3), Bool[Tensor, "batch"], "should have a dtype of the family Bool, but it has float32"),
        (torch.zeros(3), Float[np.ndarray, "batch"], "should be a NumPy array"),
        (torch.zeros(2, 3), tuple[BATCH, BATCH], "the result should be a tuple, but it is a tensor of shape (2, 3)"),
        ((torch.zeros(3),), tuple[BATCH, BATCH], "the result should be a tuple of 2 items, but it has 1"),
        ((torch.zeros(3), torch.zeros(2)), tuple[BATCH, BATCH], "the result[1] should have shape (batch = 3,)"),
        ((1.0,), list[float], "should be a list"),
        ([1.0, "x"], list[float], "the result[1] should be a float, but it is the str 'x'"),
        ([], dict[str, int], "should be a dictionary"),
        ({"a": "x"}, dict[str, int], "the result['a'] should be an int"),
        (True, float, "the result should be a float, but it is the bool True"),
        (True, int, "should be an int"),
        (1, bool, "should be a bool"),
        (1.0, int, "should be an int, but it is the float 1.0"),
        (torch.tensor(1.0), float, "but it is a tensor of shape () (.item() makes a number of it)"),
        (1, str, "should be a str"),
        (1, None, "should be None"),
        ("c", Literal["a", "b"], "should be one of ('a', 'b')"),
        ("x", int | None, "should be an int"),
        (torch.zeros(2), BATCH | None, "should have shape (batch = 3,)"),
        (1.0, Tensor, "should be a tensor, but it is the float 1.0"),
        (1, Callable, "should be callable"),
        (1, nn.Module, "should be a Module, but it is the int 1"),
    ],
)
def test_broken_promises_are_said(value, annotation, sentence):
    assert sentence in conforms(value, annotation, {"batch": 3})


def test_new_names_are_bound_and_then_hold():
    sizes = {}
    assert conforms((torch.zeros(3, 2), torch.zeros(3, 2)), tuple[(Float[Tensor, "b d"],) * 2], sizes) is None
    assert sizes == {"b": 3, "d": 2}
    assert conforms((torch.zeros(3, 2), torch.zeros(3, 4)), tuple[(Float[Tensor, "b d"],) * 2], {}) is not None


def test_several_dimensions_are_bound_together():
    sizes = {}
    assert conforms(torch.zeros(4, 5, 3), Float[Tensor, "*data n"], sizes) is None
    assert sizes == {"data": (4, 5), "n": 3}
    assert "*data = (4, 5)" in conforms(torch.zeros(4, 6), Float[Tensor, "*data"], sizes)


def test_a_broken_promise_binds_nothing():
    sizes = {}
    assert conforms(torch.zeros(3, 2), Float[Tensor, "n n"], sizes) is not None
    assert conforms(torch.zeros(3, 2), Float[Tensor, "n"] | Float[Tensor, "a b"], sizes) is None
    assert sizes == {"a": 3, "b": 2}


def test_a_call_binds_the_names_of_its_signature():
    def f(x: Float[Tensor, "batch data"], n: int, *, y: Float[Tensor, "batch"]) -> BATCH: ...

    assert bind_sizes(f, (torch.zeros(4, 2), 3), {"y": torch.zeros(4)}) == {"batch": 4, "data": 2}


def test_an_int_parameter_called_like_a_dimension_is_its_size():
    def f(start: Float[Tensor, "latent"], steps: int) -> Float[Tensor, "steps latent"]: ...

    assert bind_sizes(f, (torch.zeros(2),), {"steps": 5}) == {"latent": 2, "steps": 5}


def test_defaults_bind_too():
    def f(x: Float[Tensor, "n data"], data: int = 4) -> Float[Tensor, "n"]: ...

    assert bind_sizes(f, (torch.zeros(3, 4),), {}) == {"n": 3, "data": 4}


def test_hints_of_a_class_are_its_constructors():
    class Net(nn.Module):
        def __init__(self, size: "int") -> None: ...

    assert signature_hints(Net)["size"] is int


def test_an_annotation_that_names_nothing_is_said():
    def f(x: "Tensro") -> None: ...

    with pytest.raises(TypeError, match="Tensro"):
        signature_hints(f)


@pytest.mark.parametrize("word", ["n+", "f(n)", "__import__('os')", "n.real", "1.5"])
def test_words_that_are_no_dimension_are_refused(word):
    with pytest.raises(ValueError, match="not understood"):
        parse(word)
