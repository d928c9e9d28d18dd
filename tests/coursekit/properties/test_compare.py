import math

import numpy as np
import pytest
import torch
from torch import tensor

from coursekit.properties import (
    PropertyFailed,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_independent,
    assert_shape,
)

EXPECTED = tensor([1.5, -0.25, 3.0, 0.0])


def message(function, *args, **kwargs):
    with pytest.raises(PropertyFailed) as caught:
        function(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (EXPECTED + 5e-6, EXPECTED),
        (tensor([1e6]) + 1, tensor([1e6])),
        (tensor(2.0), 2.0),
        (tensor(2.0, dtype=torch.float64), 2),
        (2, 2.0),
        (np.float32(0.1), 0.1),
        (True, True),
        (10**30, 10**30),
        (tensor([-0.0]), tensor([0.0])),
        (tensor([math.inf, -math.inf, 1.0]), tensor([math.inf, -math.inf, 1.0])),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
        (tensor([1, 2]), tensor([1, 2])),
        (tensor([True, False]), tensor([True, False])),
        (tensor([1 + 2j]), tensor([1 + 2j])),
        (tensor([1.0], requires_grad=True), tensor([1.0])),
        (torch.nn.Parameter(tensor([1.0])), tensor([1.0])),
        (tensor([1.0, 2.0]).half() + 1e-3, tensor([1.0, 2.0]).half()),
        (torch.arange(6.0).view(2, 3).T, torch.arange(6.0).view(2, 3).T.contiguous()),
        (tensor([1 + 2j]).conj(), tensor([1 - 2j])),
        (np.array([1.0, 2.0])[::-1], np.array([2.0, 1.0])),
        ((tensor(1.0), [2.0, 3.0]), [tensor(1.0), (2.0, 3.0)]),
        ({"loss": 1.0}, {"loss": 1.0}),
        ([], []),
    ],
)
def test_equal_values_pass(actual, expected):
    assert_close(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (tensor([math.nan]), tensor([1.0])),
        (tensor([1.0]), tensor([math.nan])),
        (tensor([math.nan]), tensor([math.nan])),
        (math.nan, math.nan),
        (tensor([math.inf]), tensor([-math.inf])),
        (tensor([math.inf]), tensor([1e38])),
        (tensor([1e38]), tensor([math.inf])),
        (tensor([200_001]), tensor([200_000])),
        (200_001, 200_000),
        (tensor([True]), tensor([False])),
        (tensor([1.0 + 1e-3j]), tensor([1.0 + 0j])),
        ("1.0", 1.0),
        (None, 1.0),
        ([1.0], (1.0, 2.0)),
        (1.0, [1.0]),
        ({"a": 1.0}, {"b": 1.0}),
        ([], {}),
        (tensor([1.0, 1.0]), 1.0),
        (1.0, tensor(1.0)),
        (np.ones(2), torch.ones(2)),
        (torch.ones(2), np.ones(2)),
        (torch.ones(2).to_sparse(), torch.ones(2)),
        (tensor(1), tensor(True)),
        (tensor([1.0], dtype=torch.float64), tensor([1.0])),
    ],
)
def test_different_values_fail(actual, expected):
    with pytest.raises(PropertyFailed):
        assert_close(actual, expected)


def test_tolerance_is_absolute_below_one_and_relative_above():
    assert_close(tensor([0.009]), tensor([0.0]), tolerance=0.01)
    assert_close(tensor([100.9]), tensor([100.0]), tolerance=0.01)
    with pytest.raises(PropertyFailed):
        assert_close(tensor([0.011]), tensor([0.0]), tolerance=0.01)
    with pytest.raises(PropertyFailed):
        assert_close(tensor([101.1]), tensor([100.0]), tolerance=0.01)


def test_tolerance_zero_asks_for_equality_even_of_half_precision():
    with pytest.raises(PropertyFailed):
        assert_close(tensor([1.0]).half() + 1e-3, tensor([1.0]).half(), tolerance=0)


def test_an_object_that_claims_to_be_a_tensor_is_none():
    class Chameleon:
        __class__ = torch.Tensor

        def __getattr__(self, name):
            return getattr(EXPECTED, name)

    assert "should be a tensor" in message(assert_close, Chameleon(), EXPECTED)


def test_comparing_with_something_else_is_the_authors_mistake():
    with pytest.raises(TypeError, match="the str 'two'"):
        assert_close(2.0, "two")


def test_type_comes_before_shape_shape_before_dtype_dtype_before_values():
    assert "should be a tensor" in message(assert_close, [0.0], EXPECTED)
    assert "shape" in message(assert_close, torch.zeros(3, dtype=torch.float64), EXPECTED)
    assert "dtype" in message(assert_close, torch.zeros(4, dtype=torch.float64), EXPECTED)
    assert "device" in message(assert_close, torch.zeros(4, device="meta"), EXPECTED)
    assert "finite" in message(assert_close, tensor([9.0, 9.0, math.nan, 9.0]), EXPECTED)


def test_a_message_says_what_was_expected_what_came_and_where():
    said = message(assert_close, tensor([1.5, -0.25, 3.0, 0.125]), EXPECTED, what="the KL divergence", hint="see (3)")
    assert said.splitlines() == [
        "The KL divergence is wrong in 1 of 4 places; most of all at [3]: it should be 0.0, but it is 0.125.",
        "expected  [1.5, -0.25, 3.0, 0.0]",
        "received  [1.5, -0.25, 3.0, 0.125]",
        "Hint: see (3)",
    ]


def test_a_message_about_one_number_is_one_sentence():
    assert message(assert_close, 0.3, 0.7, what="the weight") == "The weight should be 0.7, but it is 0.3."


def test_numbers_that_look_alike_are_told_apart():
    assert message(assert_close, 1.0000001, 1.0, tolerance=0) == "The result should be 1.0, but it is 1.0000001."


def test_a_message_is_short_whatever_the_tensors():
    rows = torch.arange(4096.0).view(64, 64)
    said = message(assert_close, rows + torch.eye(64) * 1e5, rows)
    assert len(said.splitlines()) <= 6
    assert len(said) < 300


def test_a_missing_return_is_guessed():
    assert "return statement" in message(assert_close, None, EXPECTED)


def test_an_item_is_named_by_its_place():
    assert message(assert_close, (1.0, 2.0), (1.0, 3.0)).startswith("The result[1] should be 3.0")
    assert message(assert_close, {"kl": 1.0}, {"kl": 2.0}).startswith("The result['kl'] should be 2.0")


@pytest.mark.parametrize(
    ("actual", "expected", "said"),
    [
        ((), (4,), "without dim="),
        ((4, 1), (4,), "size 1 too many"),
        ((4,), (4, 1), "size 1 too few"),
        ((1, 4), (4, 1), "another place"),
        ((4, 4), (4,), "Broadcasting (4,) against (4, 1)"),
        ((3, 4), (4, 3), "another order"),
        ((4, 3), (4,), "Dimension 1, of size 3, should not be there"),
        ((4,), (4, 3), "The dimension of size 3 is missing"),
        ((7, 8), (4, 3), "should have shape (4, 3), but it has shape (7, 8)"),
    ],
)
def test_a_wrong_shape_is_explained(actual, expected, said):
    assert said in message(assert_close, torch.zeros(actual), torch.zeros(expected))
    assert said in message(assert_shape, torch.zeros(actual), expected)


def test_shape_alone_can_be_checked():
    assert_shape(torch.zeros(2, 3), (2, 3))
    assert_shape(np.zeros((2, 3)), (2, 3))
    with pytest.raises(PropertyFailed, match="should be a tensor"):
        assert_shape(3.0, ())


@pytest.mark.parametrize("value", [EXPECTED, tensor([1, 2]), 3, 2.5, np.ones(2), tensor(True)])
def test_finite_values_are_finite(value):
    assert_finite(value)


@pytest.mark.parametrize("value", [tensor([0.0, math.nan]), math.inf, np.array([-math.inf])])
def test_other_values_are_not_finite(value):
    with pytest.raises(PropertyFailed, match="should be finite"):
        assert_finite(value)


def test_values_between_bounds():
    assert_between(EXPECTED, -0.25, 3.0)
    assert_between(tensor([-1e-6]), 0)
    assert_between(tensor([1, 2]), high=2)
    assert message(assert_between, EXPECTED, 0, what="the KL") == "The KL should be at least 0, but it is -0.25 at [1]."
    assert "at least 0 and at most 1" in message(assert_between, 1.5, 0, 1)
    assert "nan" in message(assert_between, tensor([math.nan]), 0)
    assert "real" in message(assert_between, tensor([1j]), 0)


class TestDependence:
    def test_a_gradient_is_dependence(self):
        x = tensor([1.0, 2.0], requires_grad=True)
        assert_depends(x * 2, x)

    def test_a_sum_that_is_constant_hides_nothing(self):
        x = tensor([1.0, 2.0], requires_grad=True)
        assert_depends(x.softmax(0), x)

    def test_a_detached_result_does_not_depend(self):
        x = tensor([1.0], requires_grad=True)
        assert "no gradient flows back" in message(assert_depends, x.detach(), x, on_what="mu")

    def test_a_graph_that_leads_elsewhere_is_no_dependence(self):
        x, y = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
        assert "no gradient flows back" in message(assert_depends, y * 2, x)

    def test_a_gradient_of_zero_is_no_dependence(self):
        x = tensor([1.0], requires_grad=True)
        assert "zero everywhere" in message(assert_depends, x * 0, x)

    def test_a_gradient_of_nan_is_a_failure(self):
        x = tensor([0.0], requires_grad=True)
        assert "should be finite" in message(assert_depends, x.sqrt() * 0, x)

    def test_the_graph_can_be_used_again(self):
        x = tensor([1.0], requires_grad=True)
        y = x.exp()
        assert_depends(y, x)
        assert_depends(y, x)

    def test_independence_is_no_gradient(self):
        x, y = tensor([1.0, 2.0], requires_grad=True), tensor([1.0], requires_grad=True)
        assert_independent(y * 2, x)
        assert_independent(x * 0, x)
        assert_independent(y.detach(), x)

    def test_rounding_is_no_dependence(self):
        """A common maximum, taken off and put back, can leave a gradient of the order of rounding."""
        x, y = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
        assert_independent(x + 1e-7 * y, y)

    def test_dependence_where_there_should_be_none(self):
        x = tensor([1.0, 2.0], requires_grad=True)
        assert "should not depend on the other rows" in message(assert_independent, x * 2, x, of_what="the other rows")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("the loss", "The loss is wrong"),
        ("the losses", "The losses are wrong"),
        ("the gradient for the logits", "The gradient for the logits is wrong"),
        ("the values of the sweep", "The values of the sweep are wrong"),
        ("the bias", "The bias is wrong"),
        ("the radius", "The radius is wrong"),
        ("states[0]", "states[0] is wrong"),
    ],
)
def test_one_is_wrong_and_many_are(what, sentence):
    assert message(assert_close, tensor([1.0, 2.0]), tensor([1.0, 3.0]), what=what).startswith(sentence)
