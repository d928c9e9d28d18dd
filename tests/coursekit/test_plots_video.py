import io

import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from coursekit import plots

CLIP = torch.rand(5, 6, 6)
FLOW = torch.tensor([1.0, -2.0]).view(2, 1, 1).expand(2, 6, 6)
PICTURES = {
    "film": lambda: plots.film({"first": CLIP, "second": CLIP[:3]}, title="two"),
    "flows": lambda: plots.flows({"a": (CLIP[0], FLOW), "b": (CLIP[1], None)}, shade={"b": CLIP[0] > 0.5}),
    "text_to_video": lambda: plots.text_to_video("a three moves left", torch.randint(9, (3, 4, 4)), CLIP[:3]),
}


@pytest.fixture(params=PICTURES)
def picture(request):
    return PICTURES[request.param]()


def test_a_picture_has_something_on_white_and_is_no_wider_than_a_page(picture):
    gray = Image.open(io.BytesIO(picture.png(scale=1))).convert("L")
    assert gray.getpixel((0, 0)) == 255
    assert gray.getextrema()[0] < 150
    assert picture.figure.get_figwidth() <= 9.8
    assert picture.alt


def test_a_film_plays_as_many_frames_as_its_longest_clip():
    film = Image.open(io.BytesIO(PICTURES["film"]().png()))
    assert film.n_frames == 5
    assert film.info["loop"] == 0
    frames = []
    for frame in range(5):
        film.seek(frame)
        frames.append(film.convert("L").tobytes())
    assert len(set(frames)) == 5


def test_a_film_shows_its_frames_in_order():
    film = PICTURES["film"]()
    film.show(4)
    first, second = (axes.images[0].get_array() for axes in film.figure.axes)
    assert torch.equal(torch.as_tensor(first), CLIP[4])
    assert torch.equal(torch.as_tensor(second), CLIP[2])


def test_a_notebook_is_given_the_film():
    data, _ = PICTURES["film"]()._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert data["text/plain"].startswith("Film: ")


def test_arrows_are_as_long_as_the_flow_and_rows_count_downwards():
    axes = PICTURES["flows"]().figure.axes[0]
    (arrows,) = [part for part in axes.collections if hasattr(part, "U")]
    assert set(arrows.U.tolist()) == {1.0}
    assert set(arrows.V.tolist()) == {-2.0}
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_the_words_of_the_caption_are_shown():
    words = {text.get_text() for text in PICTURES["text_to_video"]().figure.findobj(Text)}
    assert {"a", "three", "moves", "left"} <= words
