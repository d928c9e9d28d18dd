"""What of a comparison is worth a look."""

import pytest
import torch

from autograder.properties.picture import picture_of
from autograder.verdict import Picture
from coursekit.properties import PropertyFailed, assert_close


def seen(received: torch.Tensor, expected: torch.Tensor) -> Picture | None:
    """The picture of the failure of a comparison."""
    with pytest.raises(PropertyFailed) as failure:
        assert_close(received, expected)
    assert failure.value.compared is not None
    return picture_of(failure.value.compared)


def test_a_schedule_is_a_curve() -> None:
    expected = torch.linspace(1, 0, 11)
    received = expected.clone()
    received[[3, 7]] = 0.5
    picture = seen(received, expected)
    assert picture is not None
    assert picture.expected == [[1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]]
    assert picture.received[0][3] == picture.received[0][7] == 0.5
    assert (picture.wrong, picture.place) == ([3, 7], "")


def test_of_many_tables_it_is_the_one_that_is_most_wrong() -> None:
    expected = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    received = expected.clone()
    received[0, 1, 0, 0] += 1
    received[1, 2, 3, 1] += 90
    picture = seen(received, expected)
    assert picture is not None
    assert picture.place == "[1, 2]"
    assert picture.expected == expected[1, 2].tolist()
    assert picture.received == received[1, 2].tolist()
    assert picture.wrong == [3 * 5 + 1]


@pytest.mark.parametrize("form", [(1, 1, 8, 1), (1, 8), (8, 1)])
def test_sizes_of_one_do_not_count(form: tuple[int, ...]) -> None:
    picture = seen(torch.ones(form), torch.zeros(form))
    assert picture is not None
    assert picture.expected == [[0.0] * 8]
    assert picture.place == ""


@pytest.mark.parametrize("form", [(5,), (201,), (2, 8), (8, 2), (25, 8), (3, 8, 25)])
def test_too_little_and_too_much_are_no_picture(form: tuple[int, ...]) -> None:
    assert seen(torch.ones(form), torch.zeros(form)) is None


def test_integers_and_booleans_can_be_seen() -> None:
    mask = torch.ones(4, 4, dtype=torch.bool)
    picture = seen(mask, mask.tril())
    assert picture is not None
    assert picture.wrong == [1, 2, 3, 6, 7, 11]


def test_what_is_no_number_cannot() -> None:
    expected = torch.zeros(8)
    expected[0] = torch.inf
    assert seen(torch.full((8,), torch.inf).where(expected.isinf(), torch.ones(8)), expected) is None
    assert seen(torch.ones(8, dtype=torch.complex64), torch.zeros(8, dtype=torch.complex64)) is None


def test_numbers_are_as_short_as_they_can_be_read() -> None:
    picture = seen(torch.full((8,), 1 / 3), torch.full((8,), 2 / 3))
    assert picture is not None
    assert picture.received == [[0.3333] * 8]
