"""Dots and queues."""

import torch
from matplotlib.text import Text

from coursekit import plots

BATCHES = [(0.5, [0, 1]), (1.5, [2])]


def words(picture):
    """Everything that is written in a picture."""
    return {text.get_text() for text in picture.figure.findobj(Text)}


def test_dots_name_rows_series_and_levels():
    picture = plots.dots(
        {"A title": {"before": [0.1, 0.9], "after": torch.tensor([0.4, 0.6])}},
        ["fox", "lamb"],
        xlabel="luck",
        levels={"fair": 0.5},
        limits=(0, 1),
    )
    assert {"A title", "before", "after", "fox", "lamb", "luck", "fair"} <= words(picture)
    assert picture.alt == "luck of fox, lamb, as dots, for before, after."
    (axes,) = picture.figure.axes
    before, after = (scatter.get_offsets().tolist() for scatter in axes.collections)
    assert before == [[0.1, 0], [0.9, 1]]
    assert [round(x, 6) for x, _ in after] == [0.4, 0.6]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is at the top


def test_panels_share_the_names_of_rows():
    picture = plots.dots({"a": {"x": [1.0]}, "b": {"x": [2.0]}}, ["only"], xlabel="n", alt="said")
    assert len(picture.figure.axes) == 2
    assert picture.alt == "said"


def test_a_queue_draws_waiting_and_serving():
    picture = plots.queue({"two by two": BATCHES}, [0.0, 0.25, 1.0], {"two by two": [0.5, 0.25]})
    (axes,) = picture.figure.axes
    drawn = {tuple(map(tuple, line.get_xydata().tolist())) for line in axes.lines}
    assert ((0.25, 1.0), (0.5, 1.0)) in drawn  # the second request waits for its batch
    assert ((1.5, 2.0), (1.75, 2.0)) in drawn  # the third is worked on
    assert "two by two" in words(picture)
    assert len(picture.png()) > 1000
