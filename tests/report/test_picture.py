"""Drawings of what was expected and what came."""

from xml.etree import ElementTree

import pytest

from autograder.report.picture import svg
from autograder.verdict import Picture

CURVE = Picture([[0.0, 0.1, 0.4, 0.9, 1.6, 2.5]], [[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]], [1, 3, 4, 5])
LEAK = Picture(
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]],
    [[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]],
    [0, 1],
    "[1, 0]",
)


def drawn(picture: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(svg(picture))


def of_class(figure: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [item for item in figure.iter() if item.get("class") == name]


def test_curves_share_a_frame() -> None:
    figure = drawn(CURVE)
    expected, received = (
        [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
        for name in ("expected", "received")
        for line in of_class(figure, name)
        if line.tag == "polyline"
    )
    assert expected[0] == received[0]
    assert [x for x, _ in expected] == [x for x, _ in received]
    assert expected[-1][1] < received[-1][1], "larger is higher"


def test_the_leak_is_framed() -> None:
    figure = drawn(LEAK)
    (frame,) = of_class(figure, "wrong")
    assert frame.get("d") == "M0 0h22v22h-22zM22 0h22v22h-22z"
    assert "framed is what is wrong" in "".join(figure.itertext())
    assert "at [1, 0] of the result" in "".join(figure.itertext())


def test_what_is_wrong_nearly_everywhere_is_not_framed() -> None:
    picture = Picture(LEAK.expected, LEAK.received, list(range(9)))
    assert of_class(drawn(picture), "wrong") == []
    assert "framed" not in "".join(drawn(picture).itertext())


def test_negative_values_have_a_colour_of_their_own() -> None:
    picture = Picture([[-1.0, 0.0, 1.0]] * 3, [[1.0, 0.0, -1.0]] * 3, list(range(9)))
    assert len(of_class(drawn(picture), "more")) == len(of_class(drawn(picture), "less")) == 2


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (CURVE, "Expected and received: 4 of 6 values are wrong"),
        (LEAK, "Expected and received of [1, 0]: 2 of 9 values are wrong"),
    ],
)
def test_words_say_what_is_drawn(picture: Picture, words: str) -> None:
    (image,) = [item for item in drawn(picture).iter() if item.get("role") == "img"]
    assert image.get("aria-label") == words


def test_nothing_of_a_place_is_markup() -> None:
    assert "<script>" not in svg(Picture(LEAK.expected, LEAK.received, [], "<script>"))


def test_equal_values_can_be_drawn() -> None:
    drawn(Picture([[0.0] * 6], [[0.0] * 6], [0]))
    drawn(Picture([[0.0] * 3] * 3, [[0.0] * 3] * 3, [0]))
