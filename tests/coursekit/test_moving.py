import pytest
import torch

from coursekit import data
from coursekit.moving import MOTIONS, NAMES, moving_digits

DIGITS = data.load_digits("bundled")


def clips(count=200, **options):
    return moving_digits(DIGITS, count, generator=torch.Generator().manual_seed(0), **options)


def test_shapes_and_ranges():
    some = clips(3, frames=5, size=20)
    assert some.videos.shape == (3, 1, 5, 20, 20)
    assert some.videos.min() >= 0
    assert some.videos.max() <= 1
    assert len(some) == len(some.captions) == len(some.labels) == len(some.motions) == 3


def test_a_digit_keeps_its_ink_wherever_it_goes():
    """It never leaves the frame."""
    ink = clips().videos.sum(dim=(1, 3, 4))
    assert torch.allclose(ink, ink[:, :1].expand_as(ink))


def test_captions_tell_digit_and_motion():
    some = clips(300)
    for caption, label, motion in zip(some.captions, some.labels.tolist(), some.motions.tolist(), strict=True):
        article, rest = caption.split(" ", 1)
        assert rest == f"{NAMES[label]} {list(MOTIONS)[motion]}"
        assert article == ("an" if label == 8 else "a")
    assert set(some.labels.tolist()) == set(range(10))
    assert set(some.motions.tolist()) == set(range(5))


def test_it_goes_where_the_caption_says():
    some = clips()
    steps = some.places[:, 1:] - some.places[:, :-1]
    for k, name in enumerate(list(MOTIONS)[:4]):
        assert (steps[some.motions == k] == torch.tensor(MOTIONS[name])).all()
    assert (steps[some.motions == 4].abs() == 1).all()


def test_who_bounces_turns_round_at_the_edge():
    some = clips(100, frames=20, motions=["bounces"])
    assert some.places.min() == 0
    assert some.places.max() == 8


def test_the_digit_is_where_it_is_said_to_be():
    some = clips(20)
    for clip, places in zip(some.videos, some.places.tolist(), strict=True):
        column, row = places[0]
        figure = clip[0, 0, row : row + 8, column : column + 8]
        for frame, (column, row) in zip(clip[0], places, strict=True):
            assert torch.equal(frame[row : row + 8, column : column + 8], figure)
            assert frame.sum() == pytest.approx(figure.sum().item())


def test_flow_leads_from_a_frame_to_another():
    some = clips(20)
    flow = some.flow(1, 4)
    assert flow.shape == (20, 2, 16, 16)
    assert torch.equal(flow[:, :, 3, 5], (some.places[:, 4] - some.places[:, 1]).float())


def test_a_choice_of_digits_hands_and_places():
    some = clips(kinds=(3, 7), hands=2, grid=4, frames=5, motions=["moves up"])
    assert set(some.labels.tolist()) == {3, 7}
    assert (some.places[:, 0] % 4 == 0).all()
    first = some.videos[:, 0, 0]
    figures = {frame[frame.sum(1) > 0][:, frame.sum(0) > 0].flatten().numpy().tobytes() for frame in first}
    assert len(figures) <= 4


def test_large_digits_are_scaled_down():
    large = data.Images("large", 28, 28, 4, torch.rand(5, 784), torch.arange(5), torch.rand(5, 784), torch.arange(5))
    some = moving_digits(large, 10, kinds=range(5), generator=torch.Generator().manual_seed(0))
    assert (some.videos[:, 0, 0] > 0).sum(dim=(1, 2)).tolist() == [64] * 10


def test_the_same_generator_gives_the_same_clips():
    assert torch.equal(clips(10).videos, clips(10).videos)


@pytest.mark.parametrize("options", [{"frames": 12}, {"motions": ["flies"]}, {"size": 8}, {"size": 15, "grid": 9}])
def test_refuses_what_cannot_be(options):
    with pytest.raises(ValueError, match=r"room|flies"):
        clips(**options)
