"""Values: what crosses comes out equal; what anybody writes instead raises, and costs little."""

from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributions

from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.exchange import Incoming
from autograder.sandbox.values import DISTRIBUTIONS, decode, encode, set_state


def refuse(kind: str, content: Any) -> Any:
    raise ProtocolError(kind)


def crossed(value: object) -> Any:
    """The value on the other side."""
    tensors: list[torch.Tensor] = []
    tree = encode(value, tensors, lambda other: None)
    return decode(tree, Incoming(tensors).take, refuse)


def decoded(tree: Any, *tensors: torch.Tensor) -> Any:
    """What comes of a tree that anybody may have written."""
    return decode(tree, Incoming(list(tensors)).take, refuse)


KEYS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.complex_numbers(allow_nan=False)
)
VALUES = st.recursive(
    KEYS | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.frozensets(KEYS, max_size=3).map(set)
    ),
    max_leaves=12,
)


@given(value=VALUES)
def test_plain_values_come_out_equal_and_of_the_same_type(value: Any) -> None:
    result = crossed(value)
    assert type(result) is type(value)
    assert result == value or "\\ud" in ascii(value)


@pytest.mark.parametrize(
    "value",
    [
        *(slice(1, None, 2), range(3, 10, 2), torch.Size([2, 3]), torch.float64, torch.device("cpu"), 10**100),
        *(float("inf"), -0.0, SimpleNamespace(a=1, b=[2])),
    ],
)
def test_other_values_come_out_equal(value: object) -> None:
    assert repr(crossed(value)) == repr(value)


def test_nan_stays_nan() -> None:
    assert np.isnan(crossed(float("nan")))


@pytest.mark.parametrize(
    "array",
    [
        *(
            np.arange(6.0).reshape(2, 3),
            np.array(3.0),
            np.zeros((0, 2)),
            np.arange(4)[::-1],
            np.arange(6).reshape(2, 3).T,
        ),
        *(np.float32(2), np.int64(-1), np.bool_(True), np.array([True, False]), np.broadcast_to(1.0, (2, 2))),
    ],
)
def test_numpy(array: Any) -> None:
    """Arrays stay arrays of their shape, also those without dimensions; scalars stay scalars."""
    result = crossed(array)
    assert type(result) is type(array)
    assert result.dtype == array.dtype
    assert result.shape == array.shape
    assert np.array_equal(result, array)


def test_subclasses_are_what_they_are_underneath() -> None:
    class Always(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    class Loud(str):
        def __str__(self) -> str:
            return "loud"

    assert type(crossed(Always(3))) is int
    assert crossed([Loud("quiet")]) == ["quiet"]
    assert type(crossed(OrderedDict(a=1))) is dict
    assert crossed(namedtuple("Pair", "x y")(1, 2)) == (1, 2)


def test_a_tensor_subclass_does_not_take_part_in_its_own_encoding() -> None:
    class Greedy(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_: Any, **__: Any) -> Any:
            raise AssertionError("called while it was sent")

    result = crossed(torch.ones(2).as_subclass(Greedy))
    assert type(result) is torch.Tensor


ROW = torch.tensor([0.2, 0.3, 0.5])
EXAMPLES = {
    "Bernoulli": {"logits": ROW},
    "Beta": {"concentration1": ROW, "concentration0": ROW},
    "Categorical": {"probs": ROW},
    "Dirichlet": {"concentration": ROW},
    "Exponential": {"rate": ROW},
    "Gamma": {"concentration": ROW, "rate": ROW},
    "Geometric": {"probs": ROW},
    "Independent": {"base_distribution": distributions.Normal(ROW, 1.0), "reinterpreted_batch_ndims": 1},
    "Laplace": {"loc": ROW, "scale": ROW},
    "MultivariateNormal": {"loc": ROW, "covariance_matrix": torch.eye(3) + 0.5},
    "Normal": {"loc": ROW, "scale": ROW},
    "OneHotCategorical": {"probs": ROW},
    "Poisson": {"rate": ROW},
    "Uniform": {"low": ROW, "high": ROW + 1},
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name: str) -> None:
    """Two equal distributions draw the same and give it the same probability."""
    one = DISTRIBUTIONS[name](**EXAMPLES[name])
    two = crossed(one)
    assert type(two) is type(one)
    torch.manual_seed(0)
    drawn = one.sample((4,))
    torch.manual_seed(0)
    assert torch.allclose(two.sample((4,)), drawn)
    assert torch.allclose(two.log_prob(drawn), one.log_prob(drawn))


def test_looking_at_a_distribution_does_not_change_what_is_sent() -> None:
    """Its probabilities are computed from the logits at the first look, and rounded."""
    tiny = distributions.Categorical(logits=torch.tensor([0.0, -200.0]))
    assert tiny.probs[1] == 0
    assert crossed(tiny).logits[1] == -200


@pytest.mark.parametrize(
    "value", [object(), torch.zeros(1).to_sparse(), torch.zeros(1, device="meta"), np.array(["a"])]
)
def test_what_has_no_value_cannot_cross(value: object) -> None:
    with pytest.raises(TypeError):
        crossed(value)


def test_a_list_that_holds_itself_cannot_cross() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested"):
        crossed(endless)


MALFORMED: dict[str, Any] = {
    "an unknown kind": {"__class__": 1},
    "two kinds": {"tuple": [], "set": []},
    "no kind": {},
    "a tensor that did not come": {"tensor": 2},
    "a negative index": {"tensor": -1},
    "an index that is True": {"tensor": True},
    "an index that is a tree": {"tensor": [[0]]},
    "a tensor taken twice": [{"tensor": 0}, {"tensor": 0}],
    "bytes taken twice": [{"bytes": 0}, {"bytes": 0}],
    "a key that cannot be one": {"dict": [[[1], 2]]},
    "pairs that are none": {"dict": [1]},
    "a dict of a number": {"dict": 1},
    # Integers that differ by 2**61 - 1 have equal hashes: together they would take minutes.
    "100,000 keys that collide": {"dict": [[i * (2**61 - 1), 0] for i in range(100_000)]},
    "100,000 members that collide": {"set": [i * (2**61 - 1) for i in range(100_000)]},
    "a namespace of a list": {"namespace": [1]},
    "a size beyond counting": {"size": [2**70]},
    "a size that is True": {"size": [True]},
    "an unknown dtype": {"dtype": "__class__"},
    "a dtype of a list": {"dtype": []},
    "a device that is none": {"device": "nowhere"},
    "a complex of strings": {"complex": ["a", "b"]},
    "a range of nothing": {"range": [1, 2, 0]},
    "numpy of nothing": {"numpy": []},
    "a distribution of no kind": {"distribution": ["Module", {}]},
    "a distribution with odd arguments": {"distribution": ["Normal", {"loc": 0.0, "scale": 1.0, "__class__": 1}]},
    "a distribution that is not validated": {
        "distribution": ["Normal", {"loc": 0.0, "scale": 1.0, "validate_args": False}]
    },
    "a distribution with NaN": {"distribution": ["Normal", {"loc": 0.0, "scale": float("nan")}]},
    "a matrix to decompose": {
        "distribution": ["MultivariateNormal", {"loc": {"tensor": 0}, "covariance_matrix": {"tensor": 1}}]
    },
    "lists 1,000 deep": json.loads("[" * 900 + "]" * 900),
}


@pytest.mark.parametrize("tree", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_tree_raises(tree: Any) -> None:
    with pytest.raises(Exception):  # noqa: B017 — of any kind: the trusted end turns them all into ProtocolError
        decoded(tree, torch.ones(2, 2), torch.eye(2))


def generator_state(left: int, position: int) -> torch.Tensor:
    state = torch.Generator().get_state()
    state[8:12] = torch.frombuffer(bytearray(left.to_bytes(4, "little", signed=True)), dtype=torch.uint8)
    state[16:24] = torch.frombuffer(bytearray(position.to_bytes(8, "little")), dtype=torch.uint8)
    return state


@pytest.mark.parametrize("drawn", [0, 1, 5, 623, 624, 625, 1000])
def test_any_true_state_of_a_generator_is_taken(drawn: int) -> None:
    one, two = torch.Generator().manual_seed(3), torch.Generator()
    torch.rand(drawn, generator=one)
    set_state(two, one.get_state())
    assert torch.equal(torch.randn(9, generator=one), torch.randn(9, generator=two))


@pytest.mark.parametrize(
    "state",
    [
        *(torch.zeros(4, dtype=torch.uint8), torch.full((5056,), 255, dtype=torch.uint8)),
        *(generator_state(624, 624), generator_state(2, 2**40), generator_state(0, 0), generator_state(-5, 3)),
    ],
)
def test_a_state_that_points_outside_of_itself_is_refused(state: torch.Tensor) -> None:
    with pytest.raises(ProtocolError):
        set_state(torch.Generator(), state)
