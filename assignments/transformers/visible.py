# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import assert_close, assert_depends, assert_finite, assert_shape, exercise, fail, tensors


def average(query, key, value, mask=None):
    """A stand-in for attention: it looks at nothing but the mask, and averages what that allows."""
    allowed = torch.ones(query.shape[-2], key.shape[-2]) if mask is None else mask.float()
    allowed = allowed.expand(*query.shape[:-1], key.shape[-2])
    return allowed @ value / allowed.sum(dim=-1, keepdim=True).clamp(min=1)


class Scale(nn.Module):
    """A stand-in for attention or for a block: it multiplies by a number, and keeps the masks that it is given."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.masks = []

    def forward(self, x, mask=None):
        """Multiply."""
        self.masks.append(mask)
        return self.factor * x


def same_weights(module: nn.Module) -> None:
    """Give the linear maps of a SelfAttention the identity, so that they change nothing."""
    with torch.no_grad():
        for name in ("query", "key", "value", "output"):
            part = getattr(module, name, None)
            if not isinstance(part, nn.Linear):
                fail(f"There should be a layer nn.Linear as the attribute {name}.")
            part.weight.copy_(torch.eye(len(part.weight)))
            part.bias.zero_()


@exercise("scaled_dot_product_attention")
class TestScaledDotProductAttention:
    @given(key=tensors((2, 4, 3)), value=tensors((2, 4, 5)))
    def test_no_preference(self, student, key, value):
        """A query of zeros prefers no key: it gets the mean of the values."""
        result = student.scaled_dot_product_attention(torch.zeros(2, 1, 3), key, value)
        assert_close(result, value.mean(dim=1, keepdim=True), tolerance=1e-4, what="the average")

    @given(width=st.integers(1, 9), scores=tensors(2))
    def test_two_keys(self, student, width, scores):
        """With two keys the weights are a logistic function of the difference of the scores, divided by √d_key."""
        query, key = torch.ones(1, width), (scores / math.sqrt(width)).unsqueeze(1).expand(2, width)
        weights = student.scaled_dot_product_attention(query, key, torch.eye(2))
        expected = torch.sigmoid(torch.stack([scores[0] - scores[1], scores[1] - scores[0]])).unsqueeze(0)
        assert_close(weights, expected, tolerance=1e-4, what="the two weights", sizes={"d_key": width})

    @given(query=tensors((3, 2)), key=tensors((3, 2)), value=tensors((3, 2)))
    def test_mask(self, student, query, key, value):
        """A query that may look at one key only gets the value of that one."""
        result = student.scaled_dot_product_attention(query, key, value, torch.eye(3, dtype=torch.bool).flip(0))
        assert_close(result, value.flip(0), what="the average")

    def test_nothing_allowed(self, student):
        """A query that may look at nothing gets zeros, and gradients that are numbers."""
        query = torch.ones(2, 3, requires_grad=True)
        mask = torch.tensor([[False, False], [True, True]])
        result = student.scaled_dot_product_attention(query, torch.eye(2, 3), torch.ones(2, 4), mask)
        assert_close(result, torch.tensor([[0.0] * 4, [1.0] * 4]), what="the average")
        result.sum().backward()
        assert_finite(query.grad, what="the gradient with respect to the queries")


@exercise("SelfAttention", contract=False)
class TestSelfAttention:
    @given(x=tensors((2, 4, 6)))
    def test_running_mean(self, student, x):
        """Causal attention that prefers nothing is a running mean."""
        module = student.SelfAttention(6, 2, attend=average)
        same_weights(module)
        expected = x.cumsum(dim=1) / torch.arange(1, 5).view(1, 4, 1)
        assert_close(module(x), expected, tolerance=1e-4, what="the result")

    @given(x=tensors((2, 4, 6)))
    def test_padding(self, student, x):
        """Without causality every position gets the mean of all that is no padding."""
        module = student.SelfAttention(6, 3, causal=False, attend=average)
        same_weights(module)
        mask = torch.tensor([[True, True, False, True], [False, True, False, False]])
        result = module(x, mask)
        assert_shape(result, (2, 4, 6))
        assert_close(result[0, 0], (x[0, 0] + x[0, 1] + x[0, 3]) / 3, tolerance=1e-4, what="the first position")
        assert_close(result[1, 1], x[1, 1], tolerance=1e-4, what="the only position that is no padding")

    def test_head_by_head(self, student):
        """Each head attends with its own features: where only those of the second matter, the first prefers nothing."""
        module = student.SelfAttention(4, 2, causal=False)
        same_weights(module)
        x = torch.tensor([[[0.0, 0.0, 40.0, 0.0], [0.0, 0.0, 0.0, 40.0]]])
        with torch.no_grad():
            module.value.weight.copy_(torch.tensor([[0.0, 0.0, 1.0, 0.0]] * 4))
        expected = torch.tensor([[[20.0, 20.0, 40.0, 40.0], [20.0, 20.0, 0.0, 0.0]]])
        assert_close(module(x), expected, tolerance=1e-4, what="the result")

    def test_uneven(self, student):
        """Seven features cannot be shared by two heads: a ValueError."""
        with pytest.raises(ValueError):
            student.SelfAttention(7, 2)


@exercise("sinusoidal_positions")
class TestSinusoidalPositions:
    @given(half=st.integers(1, 5))
    def test_position_zero(self, student, half):
        """Position 0 is 0, 1, 0, 1, …: sines and cosines in turn."""
        result = student.sinusoidal_positions(3, 2 * half)
        assert_shape(result, (3, 2 * half))
        assert_close(result[0], torch.tensor([0.0, 1.0] * half), what="the vector of position 0")

    def test_two_waves(self, student):
        """With base 100 and four features, position 1 has the angles 1 and 0.1."""
        result = student.sinusoidal_positions(2, 4, base=100.0)[1]
        assert_close(result, torch.tensor([0.84147, 0.54030, 0.09983, 0.99500]), tolerance=1e-4, what="position 1")

    def test_odd(self, student):
        """An odd width is a ValueError."""
        with pytest.raises(ValueError):
            student.sinusoidal_positions(4, 3)


@exercise("rotary_embedding")
class TestRotaryEmbedding:
    @given(x=tensors((2, 3, 4)))
    def test_position_zero(self, student, x):
        """At position 0 nothing is turned."""
        positions = torch.zeros(3, dtype=torch.int64)
        assert_close(student.rotary_embedding(x, positions), x, what="the result")

    @given(x=tensors((2, 3, 6)))
    def test_length(self, student, x):
        """A rotation keeps the length of each pair of neighbours."""
        turned = student.rotary_embedding(x, torch.tensor([5, 0, 17]))
        before, after = (y.unflatten(2, (3, 2)).square().sum(dim=3) for y in (x, turned))
        assert_close(after, before, tolerance=1e-4, what="the squared lengths of the pairs")

    def test_direction(self, student):
        """With two features, position 1 is turned by one radian: (1, 0) becomes (cos 1, sin 1)."""
        turned = student.rotary_embedding(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
        assert_close(turned, torch.tensor([[0.54030, 0.84147]]), tolerance=1e-4, what="the result")


@exercise("TransformerBlock", contract=False)
class TestTransformerBlock:
    @given(x=tensors((2, 3, 4)))
    def test_silent_parts(self, student, x):
        """If attention and the last map say nothing, the block changes nothing: both are added to what was there."""
        block = student.TransformerBlock(4, Scale(0.0))
        with torch.no_grad():
            block.down.weight.zero_()
            block.down.bias.zero_()
        assert_close(block(x), x, what="the result")

    @given(x=tensors((2, 3, 4)))
    def test_normalised_first(self, student, x):
        """What attention gets is normalised; what it says is added to the input as it was."""
        block = student.TransformerBlock(4, Scale(10.0))
        with torch.no_grad():
            block.down.weight.zero_()
            block.down.bias.zero_()
        expected = x + 10 * nn.functional.layer_norm(x, (4,))
        assert_close(block(x), expected, tolerance=1e-4, what="the result")

    def test_hands_on_the_mask(self, student):
        """The mask reaches the attention."""
        attention, mask = Scale(), torch.tensor([[True, True, False]])
        student.TransformerBlock(4, attention)(torch.ones(1, 3, 4), mask)
        if len(attention.masks) != 1 or attention.masks[0] is None:
            fail("attention(x, mask) should be called once, with the mask that the block was given.")
        assert_close(attention.masks[0], mask, what="the mask that attention got")


@exercise("GPT", contract=False)
class TestGPT:
    def test_starts_by_guessing(self, student):
        """Fresh from the constructor, no token is much more likely than another."""
        model = student.GPT(50, 8, 32, [Scale()])
        logits = model(torch.arange(8).unsqueeze(0))
        assert_shape(logits, (1, 8, 50), what="the logits")
        surprise = nn.functional.cross_entropy(logits[0], torch.full((8,), 49))
        assert_close(surprise, math.log(50), tolerance=0.1, what="the mean surprise, in nats,")

    @given(ids=tensors((2, 4), dtype=torch.int64, low=0, high=6))
    @settings(max_examples=10)
    def test_is_made_of_its_parts(self, student, ids):
        """Token and position are added, pass the blocks and the last norm, and are compared with every token."""
        model = student.GPT(7, 5, 6, [Scale(3.0), Scale(-2.0)])
        x = -6 * (model.token.weight[ids] + model.position.weight[:4])
        expected = nn.functional.layer_norm(x, (6,)) @ model.token.weight.T
        assert_close(model(ids), expected, tolerance=1e-4, what="the logits")

    def test_registers_its_blocks(self, student):
        """The parameters of the blocks are the model's, too."""
        model = student.GPT(5, 4, 2, [Scale(), Scale()])
        assert_close(len(list(model.parameters())), 6, what="the number of parameter tensors")

    def test_too_long(self, student):
        """More tokens than the context holds are a ValueError."""
        model = student.GPT(5, 3, 2, [Scale()])
        with pytest.raises(ValueError):
            model(torch.zeros(1, 4, dtype=torch.int64))


@exercise("merge_pairs")
class TestMergePairs:
    def test_everywhere(self, student):
        """Every occurrence is merged, at the ends, too."""
        assert_close(student.merge_pairs([1, 2, 3, 1, 2], (1, 2), 9), [9, 3, 9], what="the tokens")

    @given(count=st.integers(0, 7))
    def test_overlaps(self, student, count):
        """A token is merged once: from the left, two by two."""
        result = student.merge_pairs([7] * count, (7, 7), 8)
        assert_close(result, [8] * (count // 2) + [7] * (count % 2), what="the tokens")

    @given(tokens=st.lists(st.integers(0, 3), max_size=6))
    def test_leaves_its_argument(self, student, tokens):
        """The list that goes in stays as it is."""
        before = list(tokens)
        student.merge_pairs(tokens, (0, 1), 9)
        assert_close(tokens, before, what="the argument afterwards")


@exercise("learn_merges")
class TestLearnMerges:
    def test_most_frequent_first(self, student):
        """In "banana" and "bandana", "an" is the most frequent pair, then what is made with it."""
        words = [list(b"banana"), list(b"bandana")]
        # an occurs 4 times; then (b, an) twice, (an, a) twice, of which b, 98, is smaller than 256.
        expected = [(97, 110), (98, 256)]
        assert_close(student.learn_merges(words, 2), expected, what="the merges")

    def test_nothing_left(self, student):
        """It ends when no pair occurs twice; words are not run together."""
        assert_close(student.learn_merges([[1, 2], [1, 2], [3, 1]], 5), [(1, 2)], what="the merges")

    def test_asks_merge(self, student):
        """The words are merged by the function that is passed in, with ids from `first` on."""
        asked = []

        def merge(tokens, pair, new):
            asked.append((list(tokens), tuple(pair), new))
            return [0]

        student.learn_merges([[5, 6], [5, 6]], 3, first=40, merge=merge)
        if asked != [([5, 6], (5, 6), 40)] * 2:
            fail(f"merge should have been called as merge([5, 6], (5, 6), 40), twice; the calls were {asked}.")


@exercise("perplexity")
class TestPerplexity:
    @given(size=st.integers(2, 9), labels=tensors((2, 4), dtype=torch.int64, low=0, high=1))
    def test_guessing(self, student, size, labels):
        """Whoever finds all tokens equally likely hesitates between all of them."""
        result = student.perplexity(torch.zeros(2, 4, size), labels)
        assert_close(result, float(size), tolerance=1e-4, what="the perplexity", sizes={"vocabulary": size})

    def test_certain_of_the_next(self, student):
        """A model that is certain of every next token, and right, has perplexity 1."""
        labels = torch.tensor([[2, 0, 1, 2, 1]])
        logits = 100.0 * nn.functional.one_hot(torch.tensor([[0, 1, 2, 1, 0]]), 3)
        assert_close(student.perplexity(logits, labels), 1.0, what="the perplexity")

    def test_not_counted(self, student):
        """Labels of −100 do not count; if all others are certain, the perplexity is 1."""
        labels = torch.tensor([[2, 0, -100, 2], [0, 1, -100, -100]])
        guess = torch.tensor([[0, 0, 2, 0], [1, 0, 0, 0]])
        assert_close(student.perplexity(100.0 * nn.functional.one_hot(guess, 3), labels), 1.0, what="the perplexity")
        with pytest.raises(ValueError):
            student.perplexity(torch.zeros(1, 3, 2), torch.tensor([[1, -100, -100]]))


@exercise("attend_with_cache", contract=False)
class TestAttendWithCache:
    @given(x=tensors((1, 2, 4, 3)), cut=st.integers(1, 3))
    def test_in_two_pieces(self, student, x, cut):
        """A sequence in two pieces gives the same as the sequence in one."""
        whole, _ = student.attend_with_cache(x, x, x, attend=average)
        first, cache = student.attend_with_cache(*3 * [x[:, :, :cut]], attend=average)
        second, _ = student.attend_with_cache(*3 * [x[:, :, cut:]], cache, attend=average)
        assert_close(torch.cat([first, second], dim=2), whole, tolerance=1e-4, what="the pieces, put together,")

    @given(x=tensors((1, 2, 4, 3)))
    def test_first_piece_is_causal(self, student, x):
        """Without a cache it is causal attention: where nothing is preferred, a running mean."""
        result, _ = student.attend_with_cache(x, x, x, attend=average)
        expected = x.cumsum(dim=2) / torch.arange(1, 5).view(1, 1, 4, 1)
        assert_close(result, expected, tolerance=1e-4, what="the result")

    @given(old=tensors((1, 2, 3, 2)), new=tensors((1, 2, 1, 2)))
    def test_cache_grows(self, student, old, new):
        """The cache holds all keys and all values, oldest first."""
        _, (keys, values) = student.attend_with_cache(new, new, 2 * new, (old, 2 * old), attend=average)
        assert_close(keys, torch.cat([old, new], dim=2), what="the keys in the cache")
        assert_close(values, 2 * torch.cat([old, new], dim=2), what="the values in the cache")


class Counting:
    """A stand-in for a model: the token after n is n + 1. Its cache is the number of tokens that it has read."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, ids, cache):
        """Logits, and the new cache."""
        self.calls.append((tuple(ids.shape), cache))
        return nn.functional.one_hot(ids + 1, 20).float(), (cache or 0) + ids.shape[1]


@exercise("generate_with_cache", contract=False)
class TestGenerateWithCache:
    @given(start=st.integers(0, 5), new_tokens=st.integers(0, 6))
    def test_counts(self, student, start, new_tokens):
        """A model that counts continues 3, 4 with 5, 6, 7, …"""
        prompt = torch.tensor([[start, start + 1]])
        result = student.generate_with_cache(Counting(), prompt, new_tokens)
        expected = torch.arange(start, start + 2 + new_tokens).unsqueeze(0)
        assert_close(result, expected, what="the text")

    def test_reads_nothing_twice(self, student):
        """The first call reads the prompt, each later one a single token, with the cache of the call before."""
        model = Counting()
        student.generate_with_cache(model, torch.tensor([[0, 1, 2], [3, 4, 5]]), 3)
        expected = [((2, 3), None), ((2, 1), 3), ((2, 1), 4)]
        if model.calls != expected:
            fail(f"The calls should have had these shapes and caches: {expected}.", f"They had: {model.calls}.")

    def test_ends(self, student):
        """After the end of a text only the end follows, while others go on."""
        result = student.generate_with_cache(Counting(), torch.tensor([[4], [2]]), 4, end=6)
        assert_close(result, torch.tensor([[4, 5, 6, 6, 6], [2, 3, 4, 5, 6]]), what="the texts")

    def test_chooses(self, student):
        """`choose` sees the logits of the last position, and its word counts."""
        seen = []

        def choose(logits):
            seen.append(logits)
            return torch.tensor([9])

        result = student.generate_with_cache(Counting(), torch.tensor([[0, 1]]), 2, choose=choose)
        assert_close(result, torch.tensor([[0, 1, 9, 9]]), what="the text")
        assert_close(seen[0], nn.functional.one_hot(torch.tensor([2]), 20).float(), what="what choose saw first")


@exercise("mask_tokens", contract=False)
class TestMaskTokens:
    def test_three_fates(self, student):
        """Of the selected, some are hidden, some replaced, some kept; all of them are to be predicted."""
        inputs, labels = student.mask_tokens(
            torch.tensor([[10, 11, 12, 13]]),
            torch.tensor([[0.0, 0.1, 0.14, 0.5]]),
            torch.tensor([[0.5, 0.85, 0.95, 0.5]]),
            torch.tensor([[20, 21, 22, 23]]),
            mask_token=3,
        )
        assert_close(inputs, torch.tensor([[3, 21, 12, 13]]), what="the inputs")
        assert_close(labels, torch.tensor([[10, 11, 12, -100]]), what="the labels")

    @given(select=tensors((2, 3), low=0, high=0.875), rate=st.sampled_from([0.0, 0.25, 0.5]))
    def test_rate(self, student, select, rate):
        """A token takes part where its draw is below the rate."""
        tokens = torch.tensor([[4, 5, 6], [7, 8, 9]])
        _, labels = student.mask_tokens(tokens, select, torch.zeros(2, 3), tokens, mask_token=0, rate=rate)
        assert_close(labels, torch.where(select < rate, tokens, -100), what="the labels")

    def test_protected(self, student):
        """Protected tokens never take part."""
        tokens = torch.tensor([[1, 7, 2]])
        zeros = torch.zeros(1, 3)
        inputs, labels = student.mask_tokens(tokens, zeros, zeros, tokens, mask_token=3, protected=(1, 2))
        assert_close(inputs, torch.tensor([[1, 3, 2]]), what="the inputs")
        assert_close(labels, torch.tensor([[-100, 7, -100]]), what="the labels")


@exercise("corrupt_spans", contract=False)
class TestCorruptSpans:
    def test_two_gaps(self, student):
        """Two gaps get two numbers, and the targets say what belongs into each."""
        tokens, corrupted = torch.tensor([11, 12, 13, 14, 15]), torch.tensor([False, True, True, False, True])
        inputs, targets = student.corrupt_spans(tokens, corrupted, 99)
        assert_close(inputs, torch.tensor([11, 99, 14, 98]), what="the inputs")
        assert_close(targets, torch.tensor([99, 12, 13, 98, 15, 97]), what="the targets")

    @given(tokens=tensors(4, dtype=torch.int64, low=1, high=9))
    def test_no_gap(self, student, tokens):
        """Without a gap the text stays as it is, and the targets are a single sentinel."""
        inputs, targets = student.corrupt_spans(tokens, torch.zeros(4, dtype=torch.bool), 50)
        assert_close(inputs, tokens, what="the inputs")
        assert_close(targets, torch.tensor([50]), what="the targets")

    @given(corrupted=tensors(6, dtype=torch.bool))
    def test_nothing_is_lost(self, student, corrupted):
        """Inputs and targets together hold every token of the text once."""
        tokens = torch.arange(6)
        inputs, targets = student.corrupt_spans(tokens, corrupted, 99)
        left = torch.cat([inputs, targets])
        assert_close(left[left < 6].sort().values, tokens, what="the tokens that are no sentinels, sorted,")


@exercise("relative_position_bucket")
class TestRelativePositionBucket:
    def test_near(self, student):
        """Near distances have a drawer each: keys before the query from 0 on, keys after it from 16 on."""
        result = student.relative_position_bucket(torch.tensor([0, -1, -7, 1, 7]))
        assert_close(result, torch.tensor([0, 1, 7, 17, 23]), what="the drawers")

    @given(distance=st.integers(128, 10_000))
    def test_far(self, student, distance):
        """From `max_distance` on all distances share the last drawer."""
        result = student.relative_position_bucket(torch.tensor([-distance, distance]))
        assert_close(result, torch.tensor([15, 31]), what="the drawers")

    def test_one_direction(self, student):
        """In one direction keys after the query count as distance 0, and near distances have half of all drawers."""
        result = student.relative_position_bucket(torch.tensor([5, 0, -1, -15]), bidirectional=False)
        assert_close(result, torch.tensor([0, 0, 1, 15]), what="the drawers")

    def test_between(self, student):
        """In between it is logarithmic: with 32 drawers for two directions, distance 20 is in drawer 10, 50 in 13."""
        result = student.relative_position_bucket(torch.tensor([-20, -50]))
        assert_close(result, torch.tensor([10, 13]), what="the drawers")


@exercise("fine_tuning_labels", contract=False)
class TestFineTuningLabels:
    def test_padding_at_the_right(self, student):
        """The prompt and padding are not learnt, the answer is, its end included."""
        tokens = torch.tensor([[5, 6, 7, 0, 0], [5, 6, 7, 8, 0]])
        mask = torch.tensor([[True, True, True, True, False], [True] * 5])
        result = student.fine_tuning_labels(tokens, torch.tensor([2, 3]), mask)
        expected = torch.tensor([[-100, -100, 7, 0, -100], [-100, -100, -100, 8, 0]])
        assert_close(result, expected, what="the labels", hint="0 is both padding and the end of an answer here.")

    def test_padding_at_the_left(self, student):
        """With padding at the left, the prompt begins after it."""
        tokens, mask = torch.tensor([[0, 0, 5, 6, 7]]), torch.tensor([[False, False, True, True, True]])
        result = student.fine_tuning_labels(tokens, torch.tensor([1]), mask)
        assert_close(result, torch.tensor([[-100, -100, -100, 6, 7]]), what="the labels")


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "How are\nyou?"},
]


ROLES = ("system", "user", "assistant")
CHATML = {
    "begin": {role: f"<|im_start|>{role}\n" for role in ROLES},
    "end": dict.fromkeys(ROLES, "<|im_end|>\n"),
    "special": ("<|im_start|>", "<|im_end|>"),
}


@exercise("format_chat", contract=False)
class TestFormatChat:
    def test_markers(self, student):
        """Before each message stands what begins its role, after it what ends it, if anything does."""
        markers = {"begin": {"system": "!", "user": "<u>", "assistant": "<a>"}, "end": {"assistant": "</a>"}}
        result = student.format_chat(CHAT, **markers)
        expected = "!Be brief.<u>Hello!<a>Hello.</a><u>How are\nyou?"
        if result != expected:
            fail(f"The text should be {expected!r}, but it is {result!r}.")

    def test_generation_prompt(self, student):
        """The generation prompt opens an answer and leaves it open."""
        closed, opened = (student.format_chat(CHAT, **CHATML, add_generation_prompt=p) for p in (False, True))
        if opened != closed + "<|im_start|>assistant\n":
            fail("With a generation prompt the text should go on with <|im_start|>assistant and a line break.")

    @pytest.mark.parametrize(
        "message",
        [
            {"role": "robot", "content": "Beep."},
            {"role": "system", "content": "I come second."},
            {"role": "user", "content": "Hi<|im_end|>"},
        ],
        ids=["unknown role", "late system message", "marker in a content"],
    )
    def test_refuses(self, student, message):
        """A ValueError says that something is wrong."""
        with pytest.raises(ValueError):
            student.format_chat([CHAT[1], message], **CHATML)


def letters(messages):
    """A stand-in for counting tokens: letters, and one more for each message."""
    return sum(len(message["content"]) + 1 for message in messages)


@exercise("trim_history", contract=False)
class TestTrimHistory:
    @pytest.mark.parametrize(("budget", "kept"), [(100, [0, 1, 2, 3]), (37, [0, 1, 2, 3]), (36, [0, 3]), (23, [0, 3])])
    def test_budget(self, student, budget, kept):
        """The system message stays; of the rest the longest end that fits and begins with the user."""
        result = student.trim_history(CHAT, budget, letters)
        expected = [CHAT[index] for index in kept]
        if result != expected:
            fail(f"With a budget of {budget} this should be kept: {expected}.", f"Kept was {result}.")

    def test_nothing_fits(self, student):
        """If not even the last question fits it is a ValueError."""
        with pytest.raises(ValueError):
            student.trim_history(CHAT, 22, letters)

    def test_leaves_its_argument(self, student):
        """The conversation itself stays as it is."""
        chat = list(CHAT)
        student.trim_history(chat, 30, letters)
        if chat != CHAT:
            fail("The list that was passed in has changed.")


@exercise("pass_at_k")
class TestPassAtK:
    @given(samples=st.integers(1, 20), data=st.data())
    def test_one_look(self, student, samples, data):
        """With one look it is the share of programs that passed."""
        correct = data.draw(st.integers(0, samples))
        assert_close(student.pass_at_k(samples, correct, 1), correct / samples, what="the probability")

    def test_two_of_four(self, student):
        """Of four programs one is right: two of them hold it half of the time."""
        assert_close(student.pass_at_k(4, 1, 2), 0.5, what="the probability")

    @given(samples=st.integers(1, 20), data=st.data())
    def test_extremes(self, student, samples, data):
        """Without a right program it is 0, with only right ones 1."""
        k = data.draw(st.integers(1, samples))
        assert_close(student.pass_at_k(samples, 0, k), 0.0, what="the probability")
        assert_close(student.pass_at_k(samples, samples, k), 1.0, what="the probability")

    def test_impossible(self, student):
        """More than were written cannot be drawn: a ValueError."""
        with pytest.raises(ValueError):
            student.pass_at_k(3, 1, 4)


@exercise("rouge_l")
class TestRougeL:
    @given(words=st.lists(st.sampled_from("abc"), min_size=1, max_size=5))
    def test_word_for_word(self, student, words):
        """Whoever says the reference word for word gets 1, 1, 1."""
        assert_close(student.rouge_l(words, words), (1.0, 1.0, 1.0), what="the triple")

    def test_gaps(self, student):
        """Words may be left out on both sides, but their order counts."""
        result = student.rouge_l("the old fox sleeps".split(), "the fox sleeps under the oak".split())
        assert_close(result, (3 / 4, 3 / 6, 0.6), what="the triple")
        result = student.rouge_l(["a", "b"], ["b", "a"])
        assert_close(result, (0.5, 0.5, 0.5), what="the triple")

    def test_nothing_in_common(self, student):
        """Without a common word, or without any word, it is 0, 0, 0."""
        assert_close(student.rouge_l(["a"], ["b"]), (0.0, 0.0, 0.0), what="the triple")
        assert_close(student.rouge_l([], ["b"]), (0.0, 0.0, 0.0), what="the triple")
