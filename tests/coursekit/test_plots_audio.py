import io

import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from coursekit import plots

NOTES = [(0.0, 1.0, 60, 100), (0.5, 2.0, 72, 30)]
POWER = torch.rand(9, 20) + 1e-6
PICTURES = {
    "spectrograms": lambda: plots.spectrograms({"a": POWER, "b": POWER, "c": POWER}, rate=8000, hop=64, columns=2),
    "piano_roll": lambda: plots.piano_roll({"tune": NOTES, "silence": []}),
    "alignments": lambda: plots.alignments({"early": (torch.rand(6, 4), "abc "), "late": (torch.rand(6, 4), "abc ")}),
    "three_ways": lambda: plots.three_ways(torch.randn(1280), POWER, NOTES, rate=8000, hop=64),
}


@pytest.fixture(params=PICTURES)
def picture(request):
    return PICTURES[request.param]()


def words(picture):
    return {text.get_text() for text in picture.figure.findobj(Text)}


def test_a_picture_has_something_on_white_and_is_no_wider_than_a_page(picture):
    gray = Image.open(io.BytesIO(picture.png(scale=1))).convert("L")
    assert gray.getpixel((0, 0)) == 255
    assert gray.getextrema()[0] < 150
    assert picture.figure.get_figwidth() <= 9.8
    assert picture.alt


def test_a_spectrogram_is_in_decibels_below_its_loudest():
    power = torch.tensor([[1.0, 0.1], [0.0, 1e-9]])
    (image,) = plots.spectrograms({"": power}, rate=8000, hop=64).figure.axes[0].images
    levels = torch.tensor(image.get_array())
    assert levels[0].tolist() == pytest.approx([0, -10], abs=1e-4)
    assert image.get_clim() == (-60, 0)
    assert levels[1].max() <= -60
    assert image.origin == "lower"


def test_time_and_frequency_have_their_units():
    axes = plots.spectrograms({"": POWER}, rate=8000, hop=100).figure.axes[0]
    assert axes.get_xlim() == (0, pytest.approx(20 * 100 / 8000))
    assert axes.get_ylim() == (0, 4)
    assert plots.spectrograms({"": POWER}, rate=8000, hop=100, top=1000).figure.axes[0].get_ylim() == (0, 1)
    assert plots.spectrograms({"": POWER}, rate=8000, hop=100, mel=True).figure.axes[0].get_ylim() == (-0.5, 8.5)


def test_letters_stand_where_they_begin():
    picture = plots.spectrograms({"word": POWER}, rate=8000, hop=64, letters={"word": [(0.0, "q"), (0.1, "z")]})
    places = {text.get_text(): text.xy[0] for text in picture.figure.axes[0].texts}
    assert places == {"q": 0.0, "z": 0.1}


def test_a_place_without_a_panel_stays_empty():
    assert [axes.axison for axes in PICTURES["spectrograms"]().figure.axes] == [True, True, True, False]


def test_notes_are_bars_and_loud_ones_are_darker():
    first, second = plots.piano_roll({"tune": NOTES}).figure.axes[0].patches
    assert (first.get_x(), first.get_width(), first.get_y() + first.get_height() / 2) == (0.0, 1.0, 60)
    assert (second.get_x(), second.get_width(), second.get_y() + second.get_height() / 2) == (0.5, 1.5, 72)
    assert first.get_alpha() > second.get_alpha()
    assert {"C4", "C5", "tune"} <= words(plots.piano_roll({"tune": NOTES}))


def test_alignments_name_the_letters_and_leave_out_padding():
    picture = plots.alignments({"word": (torch.rand(6, 5), "ab ")}, seconds=0.5)
    axes = picture.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "␣"]
    assert axes.images[0].get_array().shape == (3, 6)
    assert axes.images[0].get_extent()[1] == 3.0


def test_three_ways_say_what_each_takes():
    assert any("8,000 numbers" in word for word in words(PICTURES["three_ways"]()))
