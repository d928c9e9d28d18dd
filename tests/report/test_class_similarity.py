"""Which code counts as alike, and who is told apart from a class that is alike anyway."""

import numpy as np
import pytest

from autograder.report.classpage.similarity import (
    FEWEST,
    WINDOW,
    K,
    alikeness,
    fingerprints,
    released_fingerprints,
    tokens,
    winnow,
)
from autograder.submission import submission_of

CODE = '''
def smooth(values, width: int = 3) -> list:
    """A running mean."""
    total, out = 0.0, []
    for index, value in enumerate(values):
        total += value
        if index >= width:
            total -= values[index - width]
        out.append(total / min(index + 1, width))  # not yet full
    return out
'''
DISGUISED = """
def smooth(numbers, window=3):
    acc, result = 0.0, []
    for i, n in enumerate(numbers):
        # add the new one

        acc += n
        if i >= window: acc -= numbers[i - window]
        result.append( acc / min(i + 1, window) )
    return result
"""


def test_names_comments_layout_texts_and_annotations_do_not_count():
    assert tokens(CODE.replace('    """A running mean."""\n', "")) == tokens(DISGUISED)
    assert tokens("raise ValueError('a')") == tokens("raise ValueError(f'{b}')")


def test_what_is_called_counts():
    assert tokens("def f(x):\n    return torch.exp(x)") != tokens("def f(x):\n    return torch.log(x)")


def test_a_docstring_counts_as_nothing_but_its_place():
    with_text, without = tokens('def f(x):\n    "Text."\n    return x'), tokens("def f(x):\n    pass\n    return x")
    assert with_text == without


def test_own_attributes_are_renamed_and_those_of_libraries_are_not():
    words = tokens("class A(nn.Module):\n    def __init__(self):\n        self.layer = nn.Linear(1, 2)")
    assert "Linear" in words
    assert "layer" not in words


@pytest.mark.parametrize("source", ["def (", "", "x = '\\ud800'", "(" * 5000, "\0"])
def test_what_is_no_python_has_no_tokens(source):
    assert isinstance(tokens(source), list)


def test_of_every_window_the_smallest_is_kept():
    words = [str(n % 7 * n) for n in range(60)]
    every, kept = winnow(words, window=1), winnow(words)
    assert set(kept) <= set(every)
    assert every.min() in kept
    assert len(kept) < len(every) / 2


def test_a_long_enough_common_piece_is_always_found():
    """That is what winnowing guarantees, wherever the piece stands and whatever is around it."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        piece = [str(n) for n in draw.integers(0, 1000, K + WINDOW - 1)]
        texts = [
            [
                *map(str, draw.integers(1000, 2000, draw.integers(0, 30))),
                *piece,
                *map(str, draw.integers(2000, 3000, 9)),
            ]
            for _ in range(2)
        ]
        assert len(np.intersect1d(winnow(texts[0]), winnow(texts[1])))


def test_too_little_code_has_no_fingerprint():
    assert len(winnow(["a"] * (K - 1))) == 0
    assert len(winnow(["a"] * K)) == 1


def test_what_was_released_does_not_count(shared_course):
    mini = shared_course.assignment("mini")
    released = released_fingerprints(mini)
    stub = mini.exercises[1].source
    assert len(released)
    assert fingerprints(submission_of({"Shift": stub}).cells, released) == {}
    more = stub + CODE.replace("def smooth", "def more")
    assert fingerprints(submission_of({"Shift": more}).cells, released)


def passages(seed, shared=()):
    """Code of two exercises: what only this one wrote, and what is shared."""
    own = np.random.default_rng(seed).integers(0, 1 << 63, 60).astype(np.uint64)
    both = np.concatenate([own, np.array(shared, np.uint64)])
    return {"a": np.unique(both[::2]), "b": np.unique(both[1::2])}


COMMON = np.random.default_rng(99).integers(0, 1 << 63, 80)
COPIED = np.random.default_rng(98).integers(0, 1 << 63, 80)


def test_a_pair_far_beyond_the_usual_is_named():
    class_ = [passages(n, COMMON) for n in range(20)] + [{}]
    class_ += [passages(30, [*COMMON, *COPIED]), passages(31, [*COMMON, *COPIED])]
    found = alikeness(class_)
    assert [(pair.first, pair.second) for pair in found.pairs] == [(21, 22)]
    assert found.pairs[0].rare == 80
    assert set(found.pairs[0].where) == {"a", "b"}
    assert found.usual == pytest.approx(0.0, abs=0.01)


def test_a_class_that_is_alike_all_over_has_no_pair():
    assert alikeness([passages(1, COMMON)] * 20).pairs == ()


def test_the_share_by_hand():
    """Both have 60 passages of their own and 160 in common, of 12: 2·160·log 6 / (2·(60·log 12 + 160·log 6))."""
    class_ = [passages(n) for n in range(10)] + [passages(n, [*COMMON, *COPIED]) for n in (30, 31)]
    [pair] = alikeness(class_).pairs
    assert pair.share == pytest.approx(160 * np.log(6) / (60 * np.log(12) + 160 * np.log(6)))


def test_one_and_the_same_mistake_in_one_exercise_is_no_pair():
    def one(seed):
        return {"a": np.unique(np.concatenate([passages(seed)["a"][:5], COPIED.astype(np.uint64)]))}

    assert alikeness([*(passages(n) for n in range(20)), one(30), one(31)]).pairs == ()


def test_of_a_few_nobody_can_say_what_is_usual():
    found = alikeness([passages(1, COPIED)] * (FEWEST - 1))
    assert (found.usual, found.pairs) == (None, ())
