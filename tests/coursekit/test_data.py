import math
import socket
import sys
from collections import Counter

import pytest
import torch

from coursekit import data
from coursekit.data import GridWorld, Language, Vocabulary, draw_letters, draw_shapes, load_digits


@pytest.fixture(scope="module")
def digits():
    return load_digits("bundled")


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine that has no MNIST, and must not ask the network for it."""
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path))
    monkeypatch.setenv("COURSEKIT_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def mnist_files(nowhere):
    """The four files of MNIST as torchvision keeps them, with three images to train on and two to test with."""
    raw = nowhere / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 3), ("t10k", 2)):
        pixels = torch.arange(count * 28 * 28).remainder(256).to(torch.uint8)
        images = [0, 0, 8, 3, *count.to_bytes(4, "big"), 0, 0, 0, 28, 0, 0, 0, 28, *pixels.tolist()]
        (raw / f"{part}-images-idx3-ubyte").write_bytes(bytes(images))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, *count.to_bytes(4, "big"), *range(count)]))
    return nowhere


def test_bundled_digits_are_flat_grey_images(digits):
    assert digits.train.shape == (1437, 64)
    assert digits.test.shape == (360, 64)
    assert digits.train.dtype == torch.float32
    assert (digits.train.min(), digits.train.max()) == (0, 1)


def test_both_parts_of_the_bundled_digits_hold_all_ten(digits):
    for labels in (digits.train_labels, digits.test_labels):
        assert labels.bincount(minlength=10).min() > len(labels) / 15


def test_no_image_is_in_both_parts(digits):
    train = Counter(map(tuple, digits.train.tolist()))
    assert not [image for image in map(tuple, digits.test.tolist()) if image in train]


def test_labels_fit_the_images(digits):
    """The nearest training image nearly always shows the same digit."""
    nearest = torch.cdist(digits.test, digits.train).argmin(dim=1)
    assert (digits.train_labels[nearest] == digits.test_labels).float().mean() > 0.97


def test_without_a_network_the_bundled_digits_stand_in(nowhere):
    assert load_digits().name == "scikit-learn's digits"


def test_mnist_on_disk_is_used_without_a_network(mnist_files):
    found = load_digits()
    assert (found.name, found.height, found.width, found.margin) == ("MNIST", 28, 28, 4)
    assert found.train.shape == (3, 784)
    assert found.test_labels.tolist() == [0, 1]
    assert torch.allclose(found.train[0, :3], torch.tensor([0.0, 1.0, 2.0]) / 255)


def test_without_torchvision_the_bundled_digits_stand_in(monkeypatch):
    """It is optional: a large package, needed for nothing else."""
    monkeypatch.delenv("COURSEKIT_OFFLINE", raising=False)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    assert load_digits().name == "scikit-learn's digits"
    with pytest.raises(OSError, match=r"use load_digits\('bundled'\)"):
        load_digits("mnist")


def test_asking_for_mnist_in_vain_says_what_to_do(nowhere, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("Dataset not found")

    monkeypatch.setattr("torchvision.datasets.MNIST", refuse)
    with pytest.raises(OSError, match=r"Dataset not found.*use load_digits\('bundled'\)"):
        load_digits("mnist")


def test_a_slow_server_is_not_waited_for_long(monkeypatch):
    """The time limit holds while the data are fetched, and is taken back afterwards."""
    limits = []

    def give_up(*args, **kwargs):
        limits.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    monkeypatch.delenv("COURSEKIT_OFFLINE", raising=False)
    monkeypatch.setattr("torchvision.datasets.MNIST", give_up)
    assert load_digits().name == "scikit-learn's digits"
    assert limits == [data.PATIENCE]
    assert socket.getdefaulttimeout() is None


def test_letters_have_the_size_and_range_of_the_digits(digits):
    letters, names = draw_letters(digits, generator=torch.Generator().manual_seed(0))
    assert letters.shape == (104, 64)
    assert names == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ") * 4
    assert letters.min() >= 0
    assert letters.max() <= 1
    assert (letters.amax(dim=1) > 0.8).all()


def test_letters_leave_the_margin_of_mnist_empty(mnist_files):
    letters, _ = draw_letters(load_digits(), letters="OW")
    pages = letters.view(-1, 28, 28)
    assert pages[:, :4].sum() == pages[:, -4:].sum() == pages[:, :, :4].sum() == pages[:, :, -4:].sum() == 0
    assert pages[:, 4:-4, 4:-4].sum() > 0


def test_equal_generators_tilt_letters_alike(digits):
    first, second, other = (
        draw_letters(digits, letters="AB", generator=torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


COIN = {"SENTENCE": "HEADS | TAILS", "HEADS": "it is heads FACE", "TAILS": "tails", "FACE": " | up | down | gone"}


def test_probabilities_follow_the_rules():
    assert Language(COIN).probability == {
        "it is heads": 1 / 8,
        "it is heads up": 1 / 8,
        "it is heads down": 1 / 8,
        "it is heads gone": 1 / 8,
        "tails": 1 / 2,
    }


def test_the_topic_is_where_a_sentence_comes_from():
    assert Language(COIN).topic["it is heads up"] == "heads"


def test_a_sentence_that_two_rules_allow_counts_for_both():
    assert Language({"SENTENCE": "a | B", "B": "a | b"}).probability == {"a": 3 / 4, "b": 1 / 4}


def test_entropy_is_that_of_the_choices():
    """A fair coin, and for one of its sides a choice among four: log 2 + ½ log 4."""
    assert Language(COIN).entropy == pytest.approx(math.log(2) + math.log(4) / 2)


def test_the_toy_language_is_a_distribution():
    language = Language()
    assert math.fsum(language.probability.values()) == pytest.approx(1)
    assert len(language.probability) == 4 * 3 * 4 * 27
    assert language.entropy == pytest.approx(math.log(len(language.probability)))


def test_samples_come_as_often_as_their_probability():
    language = Language(COIN)
    counts = Counter(language.sample(8000, generator=torch.Generator().manual_seed(0)))
    for sentence, p in language.probability.items():
        assert abs(counts[sentence] - 8000 * p) < 6 * math.sqrt(8000 * p * (1 - p))


def test_equal_generators_draw_the_same_sentences():
    first, second = (Language(COIN).sample(20, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert first == second


def test_sentences_come_back_from_their_tokens():
    vocabulary = Vocabulary(Language(COIN).words)
    sentences = ["it is heads up", "tails"]
    tokens = vocabulary.encode(sentences)
    assert tokens.shape == (2, 5)
    assert tokens[1, 1:].tolist() == [vocabulary.end] + [vocabulary.padding] * 3
    assert vocabulary.decode(tokens) == sentences


def test_a_strange_word_becomes_unknown():
    vocabulary = Vocabulary(["tails"])
    assert vocabulary.encode(["tails never"]).tolist() == [[4, vocabulary.unknown, vocabulary.end]]
    assert vocabulary.decode(torch.tensor([[4, vocabulary.unknown]])) == ["tails <unknown>"]


def test_a_vocabulary_counts_its_special_words():
    assert len(Vocabulary(["a", "b"])) == 6


def test_a_grid_worlds_moves_are_probabilities_until_the_episode_ends():
    world = GridWorld(["..+", ".#-", "@.."], slip=0.25)
    ends = [world.rows[y][x] in "+-" for y, x in world.squares]
    assert world.transitions.sum(dim=2).tolist() == [[0.0 if end else 1.0] * 4 for end in ends]
    assert world.rewards[:, 0].tolist() == [0, 0, 1, 0, -1, 0, 0, 0]


def test_a_walker_slips_to_either_side():
    world = GridWorld(["...", ".@.", "..."], slip=0.5)
    up = world.transitions[world.start, 0]
    assert {world.squares[i]: up[i].item() for i in up.nonzero().flatten().tolist()} == {
        (0, 1): 0.5,
        (1, 0): 0.25,
        (1, 2): 0.25,
    }


def test_a_walker_stays_where_a_wall_is():
    world = GridWorld(["@#"], slip=0.0)
    assert world.transitions[0, :, 0].tolist() == [1, 1, 1, 1]


def test_steps_follow_the_probabilities_and_end_at_the_prize():
    world = GridWorld(["@+"], slip=0.0)
    right = torch.ones(3, dtype=torch.int64)
    states, rewards, done = world.step(torch.zeros(3, dtype=torch.int64), right)
    assert (states.tolist(), rewards.tolist(), done.tolist()) == ([1] * 3, [0.0] * 3, [False] * 3)
    states, rewards, done = world.step(states, right)
    assert (states.tolist(), rewards.tolist(), done.tolist()) == ([1] * 3, [1.0] * 3, [True] * 3)


def test_shapes_are_what_their_captions_say():
    images, captions = draw_shapes(600, size=96, generator=torch.Generator().manual_seed(0))
    assert images.shape == (600, 3, 96, 96)
    assert (images.min() > 0, images.max()) == (True, 1)
    assert len(set(captions)) == 60
    filled = {
        "circle": (0.7, 0.9),
        "square": (0.85, 1),
        "triangle": (0.4, 0.65),
        "cross": (0.45, 0.72),
        "ring": (0.5, 0.8),
    }
    for image, caption in zip(images, captions, strict=True):
        _, size, colour, shape = caption.split()
        ink = (1 - image).sum(dim=0) / (1 - torch.tensor(data.SHAPE_COLOURS[colour])).sum()
        assert torch.allclose(image, 1 - ink * (1 - torch.tensor(data.SHAPE_COLOURS[colour]))[:, None, None], atol=1e-5)
        rows, columns = (ink > 0.5).nonzero().T
        height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        assert (max(height, width) > 40) == (size == "large"), caption
        low, high = filled[shape]
        assert 0.95 * low < ink.sum() / (height * width) < 1.1 * high, caption
        middle = ink[int(rows.float().mean().round()), int(columns.float().mean().round())]
        assert (middle < 0.5) == (shape == "ring"), caption


def test_shapes_come_in_any_resolution_and_by_seed():
    small, captions = draw_shapes(3, size=16, generator=torch.Generator().manual_seed(0))
    large, same = draw_shapes(3, size=64, generator=torch.Generator().manual_seed(0))
    assert captions == same
    assert torch.allclose(torch.nn.functional.avg_pool2d(large, 4), small, atol=0.35)
    assert (torch.nn.functional.avg_pool2d(large, 4) - small).abs().mean() < 0.01
