# ruff: noqa: D101
"""Hidden properties of `transformers`. Wherever the library of that name does the same, it is asked."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.loss.loss_utils import ForCausalLMLoss
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.utils.chat_template_utils import render_jinja_template

from autograder.properties.networks import assert_parameters_matter, assert_rows_apart, redraw
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_shape,
    describe,
    exercise,
    fail,
    generators,
    required,
    sizes,
    tensors,
    weight,
)
from solutions import transformers as reference

IGNORED = -100  # the label that counts for nothing


def ids(shape: Any, high: int = 5, low: int = 0, dtype: torch.dtype = torch.int64) -> st.SearchStrategy[Tensor]:
    """Token ids from `low` to `high`."""
    return tensors(shape, dtype=dtype, low=low, high=high)


def flags(*shape: int) -> st.SearchStrategy[Tensor]:
    """Tensors of True and False."""
    return tensors(shape, dtype=torch.bool, low=0, high=1)


def load_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a student's module its weights, under the names that its docstring promises."""
    own = dict(module.named_parameters(remove_duplicate=False))
    for name, value in weights.items():
        if name not in own:
            found = ", ".join(sorted(own)) or "none at all"
            fail(f"There is no parameter {name!r} to load weights into.", f"The parameters are: {found}.")
        if own[name].shape != value.shape:
            fail(f"The parameter {name!r} should have shape {tuple(value.shape)}, but it has {tuple(own[name].shape)}.")
        with torch.no_grad():
            own[name].copy_(value)


# ---- attention


@dataclass(frozen=True)
class Lookup:
    """What attention is given; `mask` may be None."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None

    def ask(self, function: Callable[..., Tensor]) -> Tensor:
        """What a function makes of it."""
        return function(self.query, self.key, self.value, self.mask)

    def by_torch(self) -> Tensor:
        """What torch's own attention makes of it; zeros for queries that may look at nothing."""
        if self.mask is None:
            return F.scaled_dot_product_attention(self.query, self.key, self.value)
        nothing = ~self.mask.any(-1, keepdim=True)
        found = F.scaled_dot_product_attention(self.query, self.key, self.value, attn_mask=self.mask | nothing)
        return found.masked_fill(nothing, 0.0)


@st.composite
def lookups(draw: st.DrawFn, *, masked: bool) -> Lookup:
    """Lookups of all sizes, with none, one or two batch dimensions."""
    queries, keys, d_key, d_value = (draw(sizes()) for _ in range(4))
    batch = draw(st.sampled_from([(2,), (), (2, 3), (1,)]))
    whole: dict[str, Any] = {"dtype": torch.int64, "low": -1, "high": 1}  # so that a score is 0 now and then
    query, key = (draw(tensors((*batch, size, d_key), **whole)).float() for size in (queries, keys))
    shapes = st.sampled_from([(*batch, queries, keys), (queries, keys), (1, keys)])
    return Lookup(
        query,
        key,
        draw(tensors((*batch, keys, d_value))),
        draw(shapes.flatmap(lambda s: flags(*s))) if masked else None,
    )


@exercise(
    "scaled_dot_product_attention",
    contract=arguments(
        reference.scaled_dot_product_attention,
        mask=lambda dims: st.none() | flags(dims["queries"], dims["keys"]),
    ),
)
class TestScaledDotProductAttention:
    @required
    @given(order=st.permutations(range(4)), value=tensors((4, 3)), generator=generators())
    @settings(max_examples=5)
    def test_looks_where_query_and_key_agree(
        self, student: Any, order: list[int], value: Tensor, generator: torch.Generator
    ) -> None:
        """A query that agrees with one key alone gets the value of that key, and a gradient flows back to the value."""
        key = 12 * torch.eye(4)
        value = (value + 10 * torch.arange(4.0).unsqueeze(1)).requires_grad_()
        found = student.scaled_dot_product_attention(key[order], key, value)
        assert_depends(found, value, what="the result", on_what="the values")
        assert_close(found, value[order], tolerance=1e-4, what="the result")

    @weight(2)
    @given(query=tensors((1, 1)), d_key=sizes(1, 8), d_value=sizes(), generator=generators())
    @settings(max_examples=8)
    def test_two_keys_share_by_the_logistic(
        self, student: Any, query: Tensor, d_key: int, d_value: int, generator: torch.Generator
    ) -> None:
        """Of two keys the first gets the weight 1 / (1 + e^−s), s being the difference of the two products, over √d_key."""
        query, key, value = (
            torch.randn(shape, generator=generator) for shape in ((1, d_key), (2, d_key), (2, d_value))
        )
        products = [math.fsum(a * b for a, b in zip(query[0].tolist(), row, strict=True)) for row in key.tolist()]
        share = 1 / (1 + math.exp((products[1] - products[0]) / d_key**0.5))
        received = student.scaled_dot_product_attention(query, key, value)
        hint = "products grow with the number of features, and are divided by the root of that number."
        expected = (share * value[0] + (1 - share) * value[1]).unsqueeze(0)
        assert_close(
            received, expected, tolerance=1e-4, what="the result", hint=hint, sizes={"d_key": d_key, "d_value": d_value}
        )

    @weight(2)
    @given(lookup=lookups(masked=False))
    @settings(max_examples=8)
    def test_equals_torchs(self, student: Any, lookup: Lookup) -> None:
        """Without a mask it is torch's own attention, for any sizes and any number of batch dimensions."""
        received = student.scaled_dot_product_attention(lookup.query, lookup.key, lookup.value)
        assert_close(received, lookup.by_torch(), tolerance=1e-4, what="the result")

    @weight(3)
    @given(lookup=lookups(masked=True))
    @settings(max_examples=12)
    def test_equals_torchs_with_a_mask(self, student: Any, lookup: Lookup) -> None:
        """With a mask it is torch's own attention over the keys that are allowed, and zeros where none is."""
        received = lookup.ask(student.scaled_dot_product_attention)
        assert_close(received, lookup.by_torch(), tolerance=1e-4, what="the result")

    @weight(2)
    @given(lookup=lookups(masked=True), generator=generators())
    @settings(max_examples=8)
    def test_gradients(self, student: Any, lookup: Lookup, generator: torch.Generator) -> None:
        """Its gradients with respect to queries, keys and values are those of torch's own attention, and always finite."""
        inputs = [tensor.requires_grad_() for tensor in (lookup.query, lookup.key, lookup.value)]
        expected, received = lookup.by_torch(), lookup.ask(student.scaled_dot_product_attention)
        assert_shape(received, tuple(expected.shape))
        along = torch.randn(expected.shape, generator=generator)
        options: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}
        if not received.requires_grad:
            fail("No gradient flows back through the result.")
        both = zip(
            ("queries", "keys", "values"),
            torch.autograd.grad((received * along).sum(), inputs, **options),
            torch.autograd.grad((expected * along).sum(), inputs, **options),
            strict=True,
        )
        for name, got, wanted in both:
            assert_close(got, wanted, tolerance=1e-3, what=f"the gradient with respect to the {name}")

    @weight(2)
    @given(lookup=lookups(masked=False), blind=st.integers(0, 4))
    @settings(max_examples=5)
    def test_a_query_without_keys_gets_zeros(self, student: Any, lookup: Lookup, blind: int) -> None:
        """A query that may look at no key gets zeros, and passes back no gradient; no other query notices."""
        queries = lookup.query.shape[-2]
        blind %= queries
        mask = torch.ones(queries, lookup.key.shape[-2], dtype=torch.bool)
        mask[blind] = False
        key = lookup.key.clone().requires_grad_()
        received = student.scaled_dot_product_attention(lookup.query, key, lookup.value, mask)
        assert_shape(received, (*lookup.query.shape[:-1], lookup.value.shape[-1]))
        row = received[..., blind, :]
        assert_close(row, torch.zeros_like(row), what="the result of the query that may look at no key")
        if received.requires_grad:
            (gradient,) = torch.autograd.grad(received.sum(), key, allow_unused=True, materialize_grads=True)
            assert_finite(gradient, what="the gradient with respect to the keys")

    @given(lookup=lookups(masked=False), other=generators())
    @settings(max_examples=5)
    def test_masked_keys_have_no_influence(self, student: Any, lookup: Lookup, other: torch.Generator) -> None:
        """A key that no query may look at can be anything: the result stays, and no gradient reaches that key or its value."""
        size = lookup.key.shape[-2]
        allowed = torch.arange(size + 2) < size  # two more keys, and nobody may look at them
        mask = allowed.expand(lookup.query.shape[-2], -1)
        found = []
        for scale in (1.0, 50.0):
            key, value = (
                torch.cat([part, scale * torch.randn(*part.shape[:-2], 2, part.shape[-1], generator=other)], dim=-2)
                for part in (lookup.key, lookup.value)
            )
            key.requires_grad_(), value.requires_grad_()
            found.append(student.scaled_dot_product_attention(lookup.query, key, value, mask))
            hidden = found[-1] if found[-1].requires_grad else value.sum() * 0
            for part, name in ((key, "keys"), (value, "values")):
                (gradient,) = torch.autograd.grad(
                    hidden.sum(), part, retain_graph=True, allow_unused=True, materialize_grads=True
                )
                ours = gradient[..., size:, :]
                assert_close(ours, torch.zeros_like(ours), what=f"the gradient that reaches the masked {name}")
        assert_close(found[1], found[0].detach(), tolerance=1e-4, what="the result with other keys behind the mask")

    @weight(4)
    @given(d_key=st.sampled_from([1, 4]), keys=sizes(2, 4), sign=st.sampled_from([1, -1]), generator=generators())
    @settings(max_examples=6)
    def test_survives_large_scores(
        self, student: Any, d_key: int, keys: int, sign: int, generator: torch.Generator
    ) -> None:
        """At scores from −10⁴ to 10⁴ the best key takes all, and gradients are finite."""
        key = torch.linspace(-100, 100, keys)[torch.randperm(keys, generator=generator)]
        query = torch.full((1, d_key), sign * 100 / d_key**0.5)
        value = torch.randn(keys, 2, generator=generator)
        inputs = [query, key.unsqueeze(1).repeat(1, d_key), value]
        for part in inputs:
            part.requires_grad_()
        received = student.scaled_dot_product_attention(*inputs)
        best = (sign * key).argmax()
        assert_close(received, value[best : best + 1], tolerance=1e-4, what="the result")
        for name, gradient in zip("qkv", gradients(received, inputs), strict=True):
            assert_finite(gradient, what=f"the gradient with respect to {name}")

    @weight(3)
    @given(scores=st.lists(st.integers(0, 8), min_size=2, max_size=4), generator=generators())
    @settings(max_examples=6)
    def test_a_mask_is_stronger_than_any_score(
        self, student: Any, scores: list[int], generator: torch.Generator
    ) -> None:
        """Keys with scores near −10⁴ share all of the weight if a key with a score of 10⁴ is masked out."""
        key = torch.tensor([100.0, *(-100 + score / 800 for score in scores)]).unsqueeze(1)
        value = torch.randn(len(key), 3, generator=generator)
        mask = torch.arange(len(key)).unsqueeze(0) > 0
        received = student.scaled_dot_product_attention(torch.tensor([[100.0]]), key, value, mask)
        shares = torch.tensor([math.exp(score / 8) for score in scores])
        expected = (shares / shares.sum()).unsqueeze(0) @ value[1:]
        assert_close(received, expected, tolerance=2e-3, what="the result")

    @weight(2)
    @given(value=tensors((5, 2)), generator=generators())
    @settings(max_examples=5)
    def test_a_query_of_zeros_averages(self, student: Any, value: Tensor, generator: torch.Generator) -> None:
        """A query of zeros agrees with all keys alike: it gets the plain mean of the values that it may look at."""
        key = torch.randn(5, 3, generator=generator)
        value = value + torch.arange(5.0).unsqueeze(1)
        mask = torch.ones(5, 5, dtype=torch.bool).tril()
        received = student.scaled_dot_product_attention(torch.zeros(5, 3), key, value, mask)
        expected = torch.stack([value[: row + 1].mean(0) for row in range(5)])
        assert_close(received, expected, tolerance=1e-4, what="the result under a causal mask")


def gradients(output: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradients of the sum of an output; zeros where none flows."""
    if not output.requires_grad:
        fail("No gradient flows back through the result.")
    return torch.autograd.grad(output.sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True)


@dataclass(frozen=True)
class Sequences:
    """A batch for self-attention, with the weights of its four maps; `mask` is True where there is a token."""

    x: Tensor
    mask: Tensor | None
    heads: int
    causal: bool
    weights: dict[str, Tensor]

    @property
    def tokens(self) -> Tensor:
        """Where there is a token (batch, length)."""
        return torch.ones(self.x.shape[:2], dtype=torch.bool) if self.mask is None else self.mask

    def build(self, student: Any, **changes: Any) -> Any:
        """A student's module with these weights."""
        attention = student.SelfAttention(
            self.x.shape[2], self.heads, causal=self.causal, attend=reference.scaled_dot_product_attention
        )
        load_weights(attention, self.weights | changes)
        return attention.eval()

    def by_torch(self) -> Tensor:
        """What `nn.MultiheadAttention` makes of it."""
        width, length = self.x.shape[2], self.x.shape[1]
        module = multihead_attention(width, self.heads)
        parts = [[self.weights[f"{part}.{kind}"] for part in ("query", "key", "value")] for kind in ("weight", "bias")]
        state = {"in_proj_weight": torch.cat(parts[0]), "in_proj_bias": torch.cat(parts[1])}
        state |= {f"out_proj.{kind}": self.weights[f"output.{kind}"] for kind in ("weight", "bias")}
        module.load_state_dict(state)
        later = torch.ones(length, length, dtype=torch.bool).triu(1) if self.causal else None
        out, _ = module(self.x, self.x, self.x, key_padding_mask=~self.tokens, attn_mask=later, need_weights=False)
        return out


@functools.cache
def multihead_attention(width: int, heads: int) -> nn.MultiheadAttention:
    """Torch's module."""
    return nn.MultiheadAttention(width, heads, batch_first=True)


def attention_weights(width: int, generator: torch.Generator, scale: float = 1.0) -> dict[str, Tensor]:
    """Weights and biases of the four maps."""
    shapes = {"weight": (width, width), "bias": (width,)}
    return {
        f"{part}.{kind}": scale * torch.randn(shape, generator=generator) / width**0.5
        for part in ("query", "key", "value", "output")
        for kind, shape in shapes.items()
    }


def paddings(batch: int, length: int) -> st.SearchStrategy[Tensor]:
    """Masks (batch, length) of sequences that are padded at one end, each with one token at least."""
    row = st.tuples(st.integers(1, length), st.booleans()).map(
        lambda drawn: [
            drawn[1] == (place >= length - drawn[0]) if drawn[1] else place < drawn[0] for place in range(length)
        ]
    )
    return st.lists(row, min_size=batch, max_size=batch).map(torch.tensor)


@st.composite
def sequences(
    draw: st.DrawFn,
    *,
    causal: bool | None = None,
    padded: bool | None = None,
    heads: st.SearchStrategy[int] | None = None,
    length: int | None = None,
) -> Sequences:
    """Batches of two sequences."""
    generator = draw(generators())
    heads_drawn = draw(heads if heads is not None else st.sampled_from([2, 3, 1]))
    width = heads_drawn * draw(st.sampled_from([2, 3, 1]))
    length = draw(sizes(1, 5)) if length is None else length
    mask = draw(paddings(2, length)) if (draw(st.booleans()) if padded is None else padded) else None
    chosen = draw(st.booleans()) if causal is None else causal
    x = torch.randn(2, length, width, generator=generator)
    return Sequences(x, mask, heads_drawn, chosen, attention_weights(width, generator, 2.0))


@exercise("SelfAttention", contract=False)
class TestSelfAttention:
    @required
    @given(batch=sequences(causal=True, padded=False, heads=st.just(2), length=3))
    @settings(max_examples=3)
    def test_later_positions_look_at_earlier_ones(self, student: Any, batch: Sequences) -> None:
        """The result at the last position depends on the input at the first one, and on the weights."""
        attention = batch.build(student)
        x = batch.x.clone().requires_grad_()
        out = attention(x)
        assert_shape(out, tuple(x.shape), what="the result")
        assert_parameters_matter(out[:, -1], attention, what="the result")
        (gradient,) = torch.autograd.grad(out[:, -1].square().sum(), x, allow_unused=True, materialize_grads=True)
        if not gradient[:, 0].any():
            fail("The result at the last position does not change with the input at the first one.")

    @weight(4)
    @given(batch=sequences())
    @settings(max_examples=12)
    def test_equals_torchs_multihead_attention(self, student: Any, batch: Sequences) -> None:
        """With the same weights it is nn.MultiheadAttention, wherever there is a token, causal or not, padded or not."""
        received = batch.build(student)(batch.x, batch.mask)
        assert_shape(received, tuple(batch.x.shape), what="the result")
        expected = batch.by_torch()
        names = {"heads": batch.heads, "width": batch.x.shape[2]}
        assert_close(
            received[batch.tokens], expected[batch.tokens], tolerance=1e-4, what="the result at tokens", sizes=names
        )

    @weight(2)
    @given(batch=sequences(causal=True, padded=False, heads=st.sampled_from([2, 3]), length=2))
    @settings(max_examples=5)
    def test_each_head_by_hand(self, student: Any, batch: Sequences) -> None:
        """Of two positions the second shares its weight by the logistic function of its scores, in each head by itself."""
        weights = {name: value.double() for name, value in batch.weights.items()}
        rows = []
        for x in batch.x.double():
            q, k, v = (x @ weights[f"{p}.weight"].T + weights[f"{p}.bias"] for p in ("query", "key", "value"))
            parts = []
            for features in torch.arange(x.shape[1]).chunk(batch.heads):
                scores = (k[:, features] @ q[1, features]).tolist()
                share = 1 / (1 + math.exp((scores[1] - scores[0]) / len(features) ** 0.5))
                parts.append(share * v[0, features] + (1 - share) * v[1, features])
            rows.append(weights["output.weight"] @ torch.cat(parts) + weights["output.bias"])
        received = batch.build(student)(batch.x)
        assert_shape(received, tuple(batch.x.shape), what="the result")
        names = {"heads": batch.heads, "width": batch.x.shape[2]}
        assert_close(
            received[:, 1],
            torch.stack(rows).float(),
            tolerance=1e-4,
            what="the result at the second position",
            sizes=names,
        )

    @weight(2)
    @given(batch=sequences(causal=True, length=4), place=st.integers(0, 2))
    @settings(max_examples=5)
    def test_causal_attention_sees_no_future(self, student: Any, batch: Sequences, place: int) -> None:
        """If causal, a position's result depends on its own input, and on no later one; a beginning gives the same alone."""
        attention = batch.build(student)
        x = batch.x.clone().requires_grad_()
        out = attention(x)
        assert_shape(out, tuple(x.shape), what="the result")
        if not out.requires_grad:
            fail("No gradient flows back through the result.")
        (gradient,) = torch.autograd.grad(out[:, place].square().sum(), x, retain_graph=True)
        later = gradient[:, place + 1 :]
        assert_close(later, torch.zeros_like(later), what=f"the gradient of position {place} for later ones")
        if not gradient[:, place].any():
            fail(f"The result at position {place} does not depend on the input there.")
        alone = attention(batch.x[:, : place + 1])
        assert_close(out[:, : place + 1], alone.detach(), tolerance=1e-4, what="the result at the first positions")

    @given(batch=sequences(causal=False, padded=False, length=4), order=st.permutations(range(4)))
    @settings(max_examples=5)
    def test_without_causality_order_does_not_matter(self, student: Any, batch: Sequences, order: list[int]) -> None:
        """If not causal, positions in another order give the same results, in that order."""
        attention = batch.build(student)
        received, expected = attention(batch.x[:, order]), attention(batch.x)
        assert_shape(received, tuple(batch.x.shape), what="the result")
        assert_close(received, expected[:, order], tolerance=1e-4, what="the result in another order")

    @weight(2)
    @given(batch=sequences(padded=True, length=4), generator=generators())
    @settings(max_examples=8)
    def test_padding_is_never_looked_at(self, student: Any, batch: Sequences, generator: torch.Generator) -> None:
        """A padded sequence gives at its tokens what it gives without padding, whatever the padding holds; all is finite."""
        assert batch.mask is not None
        attention = batch.build(student)
        noise = 10 * torch.randn(batch.x.shape, generator=generator)
        received = attention(torch.where(batch.mask.unsqueeze(2), batch.x, noise), batch.mask)
        assert_shape(received, tuple(batch.x.shape), what="the result")
        assert_finite(received, what="the result, padding included,")
        for row, x, tokens in zip(received, batch.x, batch.mask, strict=True):
            alone = attention(x[tokens].unsqueeze(0))[0]
            assert_close(row[tokens], alone.detach(), tolerance=1e-4, what="the result at the tokens")

    @given(batch=sequences(padded=False, length=4))
    @settings(max_examples=5)
    def test_queries_of_zero_average(self, student: Any, batch: Sequences) -> None:
        """Queries of zero prefer no key: each position gets the mean over what it may see, mapped by value and output."""
        width = batch.x.shape[2]
        zeros = {"query.weight": torch.zeros(width, width), "query.bias": torch.zeros(width)}
        received = batch.build(student, **zeros)(batch.x)
        running = batch.x.cumsum(1) / torch.arange(1, 5).unsqueeze(1)
        mean = running if batch.causal else running[:, -1:].expand_as(running)
        expected = mean
        for part in ("value", "output"):
            expected = F.linear(expected, batch.weights[f"{part}.weight"], batch.weights[f"{part}.bias"])
        assert_close(received, expected, tolerance=1e-4, what="the result")

    @weight(2)
    @given(batch=sequences(padded=False, heads=st.sampled_from([2, 3]), length=3))
    @settings(max_examples=5)
    def test_each_head_has_its_own_features(self, student: Any, batch: Sequences) -> None:
        """Before the last map, the features of a head depend on the queries, keys and values of that head alone."""
        width = batch.x.shape[2]
        size = width // batch.heads
        attention = batch.build(student, **{"output.weight": torch.eye(width), "output.bias": torch.zeros(width)})
        out = attention(batch.x)
        assert_shape(out, tuple(batch.x.shape), what="the result")
        named = dict(attention.named_parameters())
        found = gradients(out[:, :, :size].square(), [named[f"{part}.weight"] for part in ("query", "key", "value")])
        for part, gradient in zip(("query", "key", "value"), found, strict=True):
            others = gradient[size:]
            what = f"the gradient of the first head's features for other rows of {part}.weight"
            assert_close(others, torch.zeros_like(others), what=what, sizes={"heads": batch.heads, "width": width})

    @given(batch=sequences(padded=False, length=3))
    @settings(max_examples=3)
    def test_each_sequence_by_itself(self, student: Any, batch: Sequences) -> None:
        """Each sequence of a batch is attended to by itself, the others do not change it."""
        assert_rows_apart(batch.build(student), torch.cat([batch.x, batch.x + 1]), what="the result")

    @given(heads=st.integers(2, 4), more=st.integers(1, 3))
    @settings(max_examples=3)
    def test_features_that_cannot_be_shared_are_refused(self, student: Any, heads: int, more: int) -> None:
        """A width that is no multiple of the number of heads raises ValueError."""
        with pytest.raises(ValueError):
            student.SelfAttention(3 * heads + 1 + more % (heads - 1), heads)


# ---- positions


@exercise("sinusoidal_positions", contract=arguments(reference.sinusoidal_positions, width=st.sampled_from([4, 2, 6])))
class TestSinusoidalPositions:
    @required
    @given(length=st.integers(3, 12), width=st.sampled_from([4, 2, 8]))
    @settings(max_examples=5)
    def test_every_position_has_its_own_waves(self, student: Any, length: int, width: int) -> None:
        """Position 0 has sines of 0 and cosines of 1; all features lie in [−1, 1]; no two positions are alike."""
        table = student.sinusoidal_positions(length, width)
        assert_shape(table, (length, width), what="the table")
        assert_between(table, -1, 1, what="a feature")
        start = torch.tensor([0.0, 1.0]).repeat_interleave(width // 2)
        assert_close(table[0].sort().values.float(), start, what="the features of position 0, sorted,")
        distances = torch.cdist(table.double(), table.double()) + torch.eye(length)
        assert_between(distances, 1e-2, tolerance=0, what="the distance of two positions")

    @weight(4)
    @given(length=sizes(2, 8), width=st.sampled_from([6, 2, 4, 10]), base=st.sampled_from([10_000.0, 100.0, 2.0]))
    @settings(max_examples=10)
    def test_equals_powers_of_a_complex_number(self, student: Any, length: int, width: int, base: float) -> None:
        """Features 2i+1 and 2i of position p are the real and imaginary part of e^(jω) to the power p, ω = base^(−2i/width)."""
        rows = [
            [
                part
                for i in range(width // 2)
                for wave in [complex(math.cos(base ** (-2 * i / width)), math.sin(base ** (-2 * i / width))) ** p]
                for part in (wave.imag, wave.real)
            ]
            for p in range(length)
        ]
        options = {} if base == 10_000 else {"base": base}
        received = student.sinusoidal_positions(length, width, **options)
        assert_close(received, torch.tensor(rows), tolerance=1e-4, what="the table", sizes={"width": width})

    @weight(2)
    @given(width=st.sampled_from([6, 4, 8]), base=st.sampled_from([10_000.0, 16.0]))
    @settings(max_examples=5)
    def test_a_shift_is_a_rotation(self, student: Any, width: int, base: float) -> None:
        """One position further, every pair of neighbouring features is turned by one and the same angle."""
        table = student.sinusoidal_positions(9, width, base=base)
        assert_shape(table, (9, width), what="the table")
        waves = torch.complex(table[:, 1::2].double(), table[:, 0::2].double())
        turns = waves[1:] / waves[:-1]
        expected = turns[:1].expand_as(turns)
        assert_close(torch.view_as_real(turns), torch.view_as_real(expected), tolerance=1e-3, what="the turn of a pair")

    @given(width=st.sampled_from([8, 6, 10]), base=st.sampled_from([10_000.0, 50.0]))
    @settings(max_examples=5)
    def test_wavelengths_grow_geometrically(self, student: Any, width: int, base: float) -> None:
        """The first wave turns by 1 with each position, and each next one by base^(2/width) times less."""
        table = student.sinusoidal_positions(2, width, base=base)
        assert_shape(table, (2, width), what="the table")
        angles = torch.atan2(table[1, 0::2].double(), table[1, 1::2].double())
        assert_close(angles[0], torch.tensor(1.0).double(), tolerance=1e-4, what="the angle of the first wave")
        ratios = angles[:-1] / angles[1:]
        expected = torch.full_like(ratios, base ** (2 / width))
        assert_close(ratios, expected, tolerance=2e-3, what="the ratio of neighbouring angles")

    @given(position=st.integers(500, 3000))
    @settings(max_examples=3)
    def test_far_positions(self, student: Any, position: int) -> None:
        """Positions far from the start are right, too, and do not depend on how long the table is."""
        table = student.sinusoidal_positions(position + 1, 4)
        expected = [math.sin(position), math.cos(position), math.sin(position / 100), math.cos(position / 100)]
        assert_shape(table, (position + 1, 4), what="the table")
        assert_close(table[position], torch.tensor(expected), tolerance=2e-3, what="the last row")

    @given(width=st.sampled_from([3, 1, 7]))
    @settings(max_examples=2)
    def test_an_odd_width_is_refused(self, student: Any, width: int) -> None:
        """An odd width raises ValueError."""
        with pytest.raises(ValueError):
            student.sinusoidal_positions(4, width)


def planes(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Normally distributed vectors."""
    return torch.randn(shape, generator=generator)


@st.composite
def rotary_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `rotary_embedding`."""
    batch, length, width = draw(st.sampled_from([(2,), (), (2, 3)])), draw(sizes()), draw(st.sampled_from([4, 2, 6]))
    return (draw(tensors((*batch, length, width))), draw(ids(length, 40))), {}


@exercise("rotary_embedding", contract=rotary_calls())
class TestRotaryEmbedding:
    @required
    @given(generator=generators(), start=st.integers(1, 5))
    @settings(max_examples=5)
    def test_turns_without_stretching(self, student: Any, generator: torch.Generator, start: int) -> None:
        """Position 0 leaves a vector as it is; every other one turns it, keeps its length, and lets gradients through."""
        x = planes((3, 4, 6), generator).requires_grad_()
        still = student.rotary_embedding(x, torch.zeros(4, dtype=torch.int64))
        assert_close(still, x.detach(), what="the result at position 0")
        turned = student.rotary_embedding(x, torch.arange(start, start + 4))
        assert_depends(turned, x, what="the result", on_what="the vectors")
        assert_close(turned.norm(dim=-1), x.norm(dim=-1).detach(), tolerance=1e-4, what="the length of a turned vector")
        assert_between((turned - x).norm(dim=-1), 1e-3, tolerance=0, what="how far a vector has moved")

    @weight(3)
    @given(
        generator=generators(),
        positions=ids(4, 20),
        width=st.sampled_from([6, 2, 4]),
        base=st.sampled_from([10_000.0, 100.0]),
        batch=st.sampled_from([(2,), (), (2, 3)]),
    )
    @settings(max_examples=8)
    def test_equals_a_complex_product(
        self,
        student: Any,
        generator: torch.Generator,
        positions: Tensor,
        width: int,
        base: float,
        batch: tuple[int, ...],
    ) -> None:
        """Features 2i and 2i+1, read as a complex number, are multiplied by e^(j p ω) with ω = base^(−2i/width)."""
        x = planes((*batch, 4, width), generator)
        speeds = torch.tensor([base ** (-2 * i / width) for i in range(width // 2)], dtype=torch.float64)
        turn = torch.polar(torch.ones(4, width // 2, dtype=torch.float64), positions.double().unsqueeze(1) * speeds)
        numbers = torch.view_as_complex(x.double().unflatten(-1, (-1, 2))) * turn
        options = {} if base == 10_000 else {"base": base}
        received = student.rotary_embedding(x, positions, **options)
        expected = torch.view_as_real(numbers).flatten(-2).float()
        assert_close(received, expected, tolerance=1e-4, what="the result", sizes={"width": width, "length": 4})

    @weight(2)
    @given(generator=generators(), positions=ids(3, 50), base=st.sampled_from([10_000.0, 400.0]))
    @settings(max_examples=5)
    def test_equals_gptj(self, student: Any, generator: torch.Generator, positions: Tensor, base: float) -> None:
        """It is what the library transformers does to the queries and keys of GPT-J."""
        x = planes((2, 3, 4), generator)
        angles = positions.unsqueeze(1) / torch.tensor([1.0, base**0.5])
        expected = apply_rotary_pos_emb(x.unsqueeze(2), angles.sin()[None], angles.cos()[None]).squeeze(2)
        received = student.rotary_embedding(x, positions, base=base)
        assert_close(received, expected, tolerance=1e-4, what="the result")

    @weight(2)
    @given(generator=generators(), positions=ids(2, 9, low=1), shift=st.integers(1, 30))
    @settings(max_examples=5)
    def test_scores_depend_on_distances_alone(
        self, student: Any, generator: torch.Generator, positions: Tensor, shift: int
    ) -> None:
        """The inner product of a turned query and a turned key stays if both move on by the same number of positions."""
        vectors = planes((2, 4), generator)
        positions[1] += positions[0]  # not the same place twice, where any rotation would do
        here = student.rotary_embedding(vectors, positions)
        there = student.rotary_embedding(vectors, positions + shift)
        for turned in (here, there):
            assert_shape(turned, (2, 4))
        assert_close(there[0] @ there[1], here[0] @ here[1], tolerance=1e-3, what="the inner product after a shift")
        apart = student.rotary_embedding(vectors, positions + torch.tensor([0, 1]))
        if torch.allclose(apart[0] @ apart[1], here[0] @ here[1], rtol=1e-5, atol=1e-5):
            fail("The inner product does not change with the distance of query and key.")

    @given(generator=generators(), positions=ids(3, 9), more=ids(3, 9))
    @settings(max_examples=5)
    def test_rotations_add_up(self, student: Any, generator: torch.Generator, positions: Tensor, more: Tensor) -> None:
        """To be turned at p and then at r is to be turned at p + r; at −p it is turned back."""
        x = planes((3, 4), generator)
        once = student.rotary_embedding(x, positions)
        twice, at_once = student.rotary_embedding(once, more), student.rotary_embedding(x, positions + more)
        assert_close(twice, at_once, tolerance=1e-4, what="the vector that was turned twice")
        assert_close(student.rotary_embedding(once, -positions), x, tolerance=1e-4, what="the vector turned back")

    @given(generator=generators(), dtype=st.sampled_from([torch.bfloat16, torch.float16, torch.float64]))
    @settings(max_examples=4)
    def test_keeps_the_dtype(self, student: Any, generator: torch.Generator, dtype: torch.dtype) -> None:
        """The result has the dtype of the vectors, and positions may be int32."""
        x = planes((2, 4), generator).to(dtype)
        received = student.rotary_embedding(x, torch.tensor([0, 1], dtype=torch.int32))
        one, two = x[1, :2].double().unbind()
        cos, sin = math.cos(1), math.sin(1)
        assert_shape(received, (2, 4))
        expected = torch.stack([one * cos - two * sin, one * sin + two * cos]).to(dtype)
        assert_close(received[1, :2], expected, tolerance=2e-2 if dtype.itemsize == 2 else 1e-5, what="the first pair")

    @given(width=st.sampled_from([3, 1, 5]))
    @settings(max_examples=2)
    def test_an_odd_width_is_refused(self, student: Any, width: int) -> None:
        """An odd width raises ValueError."""
        with pytest.raises(ValueError):
            student.rotary_embedding(torch.ones(2, width), torch.arange(2))


# ---- the model


class Mixing(nn.Module):
    """In the place of attention, or of a whole block: a running mean over the tokens so far, mapped; notes what it is given."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.map = nn.Linear(width, width)
        redraw(self, generator, 0.7)
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean over this position and earlier ones that are no padding, and a linear map of it."""
        self.seen.append((x.detach().clone(), mask))
        there = torch.ones(x.shape[:2]) if mask is None else mask.float()
        total = (x * there.unsqueeze(2).to(x.dtype)).cumsum(1)
        return self.map(total / there.cumsum(1).clamp(min=1).unsqueeze(2).to(x.dtype)).sin()


def silent(width: int) -> Mixing:
    """Attention that gathers nothing."""
    module = Mixing(width, torch.Generator())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    return module


@functools.cache
def gpt2_block(width: int, heads: int) -> GPT2Block:
    """A layer of GPT-2 from the library transformers."""
    return GPT2Block(gpt2_config(width, heads)).eval()


def gpt2_config(width: int, heads: int, vocabulary: int = 7, layers: int = 1) -> GPT2Config:
    """A tiny GPT-2 without dropout."""
    return GPT2Config(
        **{"vocab_size": vocabulary, "n_positions": 12, "n_embd": width, "n_layer": layers, "n_head": heads},
        **{"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_implementation": "eager"},
        **{"bos_token_id": None, "eos_token_id": None},
    )


def reference_attention(block: GPT2Block, heads: int) -> nn.Module:
    """The reference's attention with the weights of a GPT-2 layer, whose maps are stored transposed."""
    width = block.ln_1.weight.shape[0]
    attention = reference.SelfAttention(width, heads)
    with torch.no_grad():
        weights, biases = block.attn.c_attn.weight.T.chunk(3), block.attn.c_attn.bias.chunk(3)
        parts = (attention.query, attention.key, attention.value)
        for part, weight_, bias in zip(parts, weights, biases, strict=True):
            part.weight.copy_(weight_), part.bias.copy_(bias)
        attention.output.weight.copy_(block.attn.c_proj.weight.T)
        attention.output.bias.copy_(block.attn.c_proj.bias)
    return attention


def gpt2_block_weights(block: GPT2Block) -> dict[str, Tensor]:
    """The other weights of a GPT-2 layer, by the names that `TransformerBlock` promises."""
    parts = {"norm1": block.ln_1, "norm2": block.ln_2}
    named = {f"{name}.{kind}": getattr(norm, kind) for name, norm in parts.items() for kind in ("weight", "bias")}
    maps = {"up": block.mlp.c_fc, "down": block.mlp.c_proj}
    named |= {f"{name}.weight": part.weight.T for name, part in maps.items()}
    return named | {f"{name}.bias": part.bias for name, part in maps.items()}


def block_weights(width: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of a `TransformerBlock`."""
    shapes: dict[str, tuple[int, ...]] = {
        "norm1.weight": (width,),
        "norm1.bias": (width,),
        "norm2.weight": (width,),
        "norm2.bias": (width,),
    }
    shapes |= {"up.weight": (4 * width, width), "up.bias": (4 * width,)}
    shapes |= {"down.weight": (width, 4 * width), "down.bias": (width,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def causal_bias(length: int, mask: Tensor | None = None) -> Tensor:
    """What GPT-2's own layers add to the scores."""
    allowed = torch.ones(1, 1, length, length, dtype=torch.bool).tril()
    allowed = allowed if mask is None else allowed & mask[:, None, None]
    return torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)


NEW_GELU = nn.GELU(approximate="tanh")


@exercise("TransformerBlock", contract=False)
class TestTransformerBlock:
    @required
    @given(generator=generators())
    @settings(max_examples=3)
    def test_depends_on_input_attention_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """The result has the shape of the input, and changes with it, with the attention and with the block's own weights."""
        attention = Mixing(4, generator)
        block = student.TransformerBlock(4, attention)
        x = planes((2, 3, 4), generator).requires_grad_()
        out = block.eval()(x)
        assert_shape(out, (2, 3, 4), what="the result")
        assert_depends(out, x, what="the result")
        named = dict(block.named_parameters())
        weights = {name: p for name, p in named.items() if not name.startswith("attention")}
        found = gradients(out.square(), list(weights.values()))
        if not any(gradient.any() for gradient in found):
            fail("No gradient flows from the result to the block's own weights.")
        if not attention.seen:
            fail("The attention is never called.")

    @weight(4)
    @given(generator=generators(), heads=st.sampled_from([2, 1]), padded=paddings(2, 4))
    @settings(max_examples=5)
    def test_equals_a_layer_of_gpt2(self, student: Any, generator: torch.Generator, heads: int, padded: Tensor) -> None:
        """With the same weights it is GPT2Block of the library transformers, at all tokens, with padding and without."""
        theirs = gpt2_block(4, heads)
        redraw(theirs, generator, 0.6)
        ours = student.TransformerBlock(4, reference_attention(theirs, heads))
        load_weights(ours, gpt2_block_weights(theirs))
        ours.eval()
        x = 2 * planes((2, 4, 4), generator)
        for mask in (None, padded):
            expected, received = theirs(x, attention_mask=causal_bias(4, mask)).detach(), ours(x, mask)
            assert_shape(received, (2, 4, 4), what="the result")
            tokens = torch.ones_like(padded) if mask is None else padded
            assert_close(received[tokens], expected[tokens], tolerance=1e-4, what="the result at tokens")

    @weight(2)
    @given(generator=generators(), padded=paddings(2, 3))
    @settings(max_examples=5)
    def test_attention_is_given_what_is_normalised(
        self, student: Any, generator: torch.Generator, padded: Tensor
    ) -> None:
        """The attention is called once, with norm1 of the input and with the mask that was passed in, or None."""
        attention = Mixing(4, generator)
        block = student.TransformerBlock(4, attention).eval()
        weights = block_weights(4, generator)
        load_weights(block, weights)
        x = 3 * planes((2, 3, 4), generator) + 1
        block(x, padded), block(x)
        if len(attention.seen) != 2:
            fail(f"In two calls of the block the attention was called {len(attention.seen)} times, not twice.")
        (first, mask), (_, none) = attention.seen
        expected = F.layer_norm(x, (4,), weights["norm1.weight"], weights["norm1.bias"])
        assert_close(first, expected, tolerance=1e-4, what="what the attention was given")
        if not isinstance(mask, Tensor):
            fail(f"The block was given a mask, but the attention got {describe(mask)} in its place.")
        assert_close(mask, padded, what="the mask that the attention was given")
        if none is not None:
            fail(f"The block was given no mask, but the attention got {describe(none)} in its place.")

    @weight(2)
    @given(generator=generators(), scale=st.sampled_from([1.0, 20.0]))
    @settings(max_examples=5)
    def test_what_was_there_stays(self, student: Any, generator: torch.Generator, scale: float) -> None:
        """If `down` is zero the result is x + attention(norm1(x)); if the attention gives zeros as well, it is x, unchanged."""
        weights = block_weights(4, generator)
        weights |= {name: torch.zeros_like(weights[name]) for name in ("down.weight", "down.bias")}
        x = scale * planes((2, 3, 4), generator)
        attention = Mixing(4, generator)
        normalised = F.layer_norm(x, (4,), weights["norm1.weight"], weights["norm1.bias"])
        for inner, expected in ((silent(4), x), (attention, x + attention(normalised))):
            block = student.TransformerBlock(4, inner)
            load_weights(block, weights)
            assert_close(block.eval()(x), expected.detach(), tolerance=1e-4, what="the result with down = 0")

    @weight(3)
    @given(generator=generators(), biased=st.booleans())
    @settings(max_examples=6)
    def test_thinking_is_done_position_by_position(
        self, student: Any, generator: torch.Generator, biased: bool
    ) -> None:
        """If the attention gives zeros, the result is x + down(gelu(up(norm2(x)))), with the GELU of GPT-2."""
        weights = block_weights(3, generator)
        x = planes((2, 3, 3), generator)
        block = student.TransformerBlock(3, silent(3))
        load_weights(block, weights)
        inner = F.layer_norm(x, (3,), weights["norm2.weight"], weights["norm2.bias"])
        inner = NEW_GELU(F.linear(inner, weights["up.weight"], weights["up.bias"]))
        expected = x + F.linear(inner, weights["down.weight"], weights["down.bias"])
        hint = "there are two GELUs: the exact one, and the one with tanh, which GPT-2 uses."
        assert_close(block.eval()(x), expected, tolerance=2e-5, what="the result", hint=hint)

    @given(width=st.sampled_from([4, 2, 3]))
    @settings(max_examples=2)
    def test_attention_is_a_part_of_it(self, student: Any, width: int) -> None:
        """Its state_dict holds all of it: two norms, two linear maps from width to 4 · width and back, and the attention."""
        block = student.TransformerBlock(width, Mixing(width, torch.Generator()))
        generator = torch.Generator()
        shapes = {name: tuple(value.shape) for name, value in block_weights(width, generator).items()}
        shapes |= {"attention.map.weight": (width, width), "attention.map.bias": (width,)}
        own = {name: tuple(value.shape) for name, value in block.state_dict().items()}
        missing = [f"{name} {shape}" for name, shape in shapes.items() if own.get(name) != shape]
        if missing:
            fail(f"The state_dict lacks {', '.join(missing)}.", f"It has {', '.join(sorted(own))}.")


@functools.cache
def gpt2(width: int, heads: int, vocabulary: int, layers: int) -> GPT2LMHeadModel:
    """A tiny GPT-2 of the library transformers."""
    return GPT2LMHeadModel(gpt2_config(width, heads, vocabulary, layers)).eval()


def reference_block(theirs: GPT2Block, heads: int) -> nn.Module:
    """The reference's block with the weights of a GPT-2 layer."""
    block = reference.TransformerBlock(theirs.ln_1.weight.shape[0], reference_attention(theirs, heads))
    block.load_state_dict(gpt2_block_weights(theirs), strict=False)
    return block.eval()


def gpt_weights(vocabulary: int, context: int, width: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of a `GPT` without blocks."""
    shapes: dict[str, tuple[int, ...]] = {"token.weight": (vocabulary, width), "position.weight": (context, width)}
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@exercise("GPT", contract=False)
class TestGPT:
    @required
    @given(generator=generators())
    @settings(max_examples=3)
    def test_scores_depend_on_tokens_positions_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """There is a score for every position and token; scores change with the token, its position, and the weights."""
        model = student.GPT(7, 6, 4, [Mixing(4, generator)]).eval()
        row = torch.randint(0, 7, (1, 5), generator=generator)
        text = torch.cat([row, (row + 1) % 7])
        logits = model(text)
        assert_shape(logits, (2, 5, 7), what="the result")
        if torch.allclose(logits[0], logits[1], atol=1e-4):
            fail("Other tokens get the same scores.")
        assert_parameters_matter(logits.square(), model, what="the scores")

    @weight(4)
    @given(generator=generators(), layers=st.sampled_from([2, 1]), padded=paddings(2, 5))
    @settings(max_examples=4)
    def test_equals_gpt2(self, student: Any, generator: torch.Generator, layers: int, padded: Tensor) -> None:
        """With the same weights and right blocks it is GPT2LMHeadModel of the library transformers, at all tokens."""
        theirs = gpt2(4, 2, 7, layers)
        redraw(theirs, generator, 0.5)
        body = theirs.transformer
        ours = student.GPT(7, 12, 4, [reference_block(block, 2) for block in body.h])
        weights = {"token.weight": body.wte.weight, "position.weight": body.wpe.weight}
        load_weights(ours, weights | {"norm.weight": body.ln_f.weight, "norm.bias": body.ln_f.bias})
        ours.eval()
        text = torch.randint(0, 7, (2, 5), generator=generator)
        for mask in (None, padded):
            with torch.no_grad():
                expected = theirs(text, attention_mask=None if mask is None else mask.long()).logits
                received = ours(text, mask)
            assert_shape(received, (2, 5, 7), what="the scores")
            tokens = torch.ones_like(padded) if mask is None else padded
            assert_close(received[tokens], expected[tokens], tolerance=1e-4, what="the scores at tokens")

    @weight(3)
    @given(generator=generators(), text=ids((2, 4), 5))
    @settings(max_examples=5)
    def test_without_blocks(self, student: Any, generator: torch.Generator, text: Tensor) -> None:
        """Without blocks, the score of a token is the product of its vector with the normalised sum of token and position."""
        model = student.GPT(6, 5, 3, [])
        weights = gpt_weights(6, 5, 3, generator)
        load_weights(model, weights)
        rows = []
        for row in text.tolist():
            vectors = [weights["token.weight"][t] + weights["position.weight"][p] for p, t in enumerate(row)]
            normed = F.layer_norm(torch.stack(vectors), (3,), weights["norm.weight"], weights["norm.bias"])
            rows.append(torch.stack([normed @ vector for vector in weights["token.weight"]], dim=1))
        assert_close(model.eval()(text), torch.stack(rows), tolerance=1e-4, what="the scores")

    @weight(3)
    @given(generator=generators(), text=ids((2, 3), 5))
    @settings(max_examples=5)
    def test_blocks_follow_one_another(self, student: Any, generator: torch.Generator, text: Tensor) -> None:
        """The first block is given the sum of token and position vectors, each next one what the one before made of it."""
        blocks = [Mixing(3, generator) for _ in range(3)]
        model = student.GPT(6, 5, 3, blocks)
        weights = gpt_weights(6, 5, 3, generator)
        load_weights(model, weights)
        with torch.no_grad():
            model.eval()(text)
            counts = [len(block.seen) for block in blocks]
            if counts != [1, 1, 1]:
                fail(f"In one call of the model its three blocks were called {counts} times.")
            seen = [block.seen[0][0] for block in blocks]
            start = weights["token.weight"][text] + weights["position.weight"][:3]
            assert_close(seen[0], start, tolerance=1e-4, what="what the first block was given")
            for number in (1, 2):
                made = blocks[number - 1](seen[number - 1])
                assert_close(seen[number], made, tolerance=1e-4, what=f"what block {number} was given")

    @weight(3)
    @given(generator=generators(), text=ids((2, 3), 5), padded=paddings(2, 3))
    @settings(max_examples=4)
    def test_every_block_is_given_the_mask(
        self, student: Any, generator: torch.Generator, text: Tensor, padded: Tensor
    ) -> None:
        """The mask goes to every block as it is, and None if there is none; positions count from the first column."""
        blocks = [Mixing(3, generator) for _ in range(2)]
        model = student.GPT(6, 5, 3, blocks).eval()
        with torch.no_grad():
            model(text, padded), model(text)
        for number, block in enumerate(blocks):
            if len(block.seen) != 2:
                fail(f"In two calls of the model block {number} was called {len(block.seen)} times.")
            (first, mask), (second, none) = block.seen
            if not isinstance(mask, Tensor):
                fail(f"The model was given a mask, but block {number} got {describe(mask)} in its place.")
            assert_close(mask, padded, what=f"the mask that block {number} was given")
            if none is not None:
                fail(f"The model was given no mask, but block {number} got {describe(none)} in its place.")
            if number == 0:
                assert_close(first, second, what="what the first block was given with a mask")

    @weight(7)
    @given(count=sizes(1, 3), generator=generators())
    @settings(max_examples=3)
    def test_all_weights_can_be_trained(self, student: Any, count: int, generator: torch.Generator) -> None:
        """Its parameters are those of two embeddings, the last norm and all blocks, and no others; gradients reach them all."""
        model = student.GPT(6, 5, 3, [Mixing(3, generator) for _ in range(count)])
        weights = gpt_weights(6, 5, 3, generator)
        shapes = {name: tuple(value.shape) for name, value in weights.items()}
        for number in range(count):
            shapes |= {f"blocks.{number}.map.weight": (3, 3), f"blocks.{number}.map.bias": (3,)}
        own = {name: tuple(p.shape) for name, p in model.named_parameters(remove_duplicate=False)}
        missing = [f"{name} {shape}" for name, shape in shapes.items() if own.get(name) != shape]
        if missing:
            fail(f"The parameters lack {', '.join(missing)}.", f"There are {', '.join(sorted(own))}.")
        total, wanted = sum(p.numel() for p in model.parameters()), sum(map(math.prod, shapes.values()))
        if total != wanted:
            fail(f"There are {total} numbers to train, where {wanted} are needed. Is something kept twice?")
        load_weights(model, weights)
        named = dict(model.named_parameters(remove_duplicate=False))
        scores = model.eval()(torch.arange(5).unsqueeze(0)).square()
        for name, gradient in zip(shapes, gradients(scores, [named[name] for name in shapes]), strict=True):
            if not gradient.any():
                fail(f"No gradient flows from the scores to {name}.")

    def test_embeddings_start_small(self, student: Any) -> None:
        """The weights of both embeddings start as draws from N(0, 0.02²)."""
        model = student.GPT(300, 200, 20, [])
        named = dict(model.named_parameters(remove_duplicate=False))
        for name in ("token.weight", "position.weight"):
            if name not in named:
                fail(f"There is no parameter {name!r}.")
            values = named[name].detach().double().flatten() / 0.02
            count = len(values)
            assert_between(
                values.mean(), -6 / count**0.5, 6 / count**0.5, tolerance=0, what=f"the mean of {name} / 0.02"
            )
            spread = 6 / (2 * count) ** 0.5
            assert_between(values.std(), 1 - spread, 1 + spread, tolerance=0, what=f"the deviation of {name} / 0.02")

    @given(context=st.integers(1, 4), generator=generators())
    @settings(max_examples=3)
    def test_the_context_is_the_limit(self, student: Any, context: int, generator: torch.Generator) -> None:
        """A text as long as the context is read, a longer one raises ValueError."""
        model = student.GPT(6, context, 4, []).eval()
        assert_shape(model(torch.zeros(1, context, dtype=torch.int64)), (1, context, 6), what="the result")
        with pytest.raises(ValueError):
            model(torch.zeros(1, context + 1, dtype=torch.int64))


# ---- tokens


def as_text(tokens: Sequence[int]) -> str:
    """Each token as one character."""
    return "".join(chr(0x4E00 + token) for token in tokens)


def as_tokens(text: str) -> list[int]:
    """The inverse of `as_text`."""
    return [ord(character) - 0x4E00 for character in text]


def small_words(most: int = 8) -> st.SearchStrategy[list[int]]:
    """Words over three tokens."""
    return st.lists(st.integers(0, 2), max_size=most)


def assert_tokens(actual: Any, expected: list[int], *, what: str = "the result", hint: str | None = None) -> None:
    """Check a list of token ids."""
    if not isinstance(actual, list) or not all(isinstance(token, int) for token in actual):
        fail(f"{what.capitalize()} should be a list of ints, but it is {describe(actual)}.")
    if actual != expected:
        fail(f"{what.capitalize()} should be {expected}, but it is {actual}.", f"Hint: {hint}" if hint else None)


@exercise(
    "merge_pairs",
    contract=st.tuples(small_words(), st.tuples(st.integers(0, 2), st.integers(0, 2)), st.integers(3, 9)).map(
        lambda drawn: (drawn, {})
    ),
)
class TestMergePairs:
    @required
    @given(before=st.lists(st.integers(5, 7), max_size=3), after=st.lists(st.integers(5, 7), max_size=3))
    @settings(max_examples=5)
    def test_one_pair(self, student: Any, before: list[int], after: list[int]) -> None:
        """A pair that occurs once is replaced by the new token, all else stays."""
        received = student.merge_pairs([*before, 1, 2, *after], (1, 2), 9)
        assert_tokens(received, [*before, 9, *after])

    @weight(4)
    @given(
        tokens=st.lists(st.integers(0, 1), min_size=3, max_size=10),
        pair=st.tuples(st.integers(0, 1), st.integers(0, 1)),
        new=st.sampled_from([7, 0, 1]),
    )
    @settings(max_examples=15)
    def test_equals_replacing_text(self, student: Any, tokens: list[int], pair: tuple[int, int], new: int) -> None:
        """With letters for tokens it is what replacing one piece of text by another does."""
        expected = as_tokens(as_text(tokens).replace(as_text(pair), as_text([new])))
        assert_tokens(student.merge_pairs(tokens, pair, new), expected)

    @weight(2)
    @given(length=st.integers(1, 9), before=st.integers(0, 1))
    @settings(max_examples=5)
    def test_a_run_of_the_same_token(self, student: Any, length: int, before: int) -> None:
        """In a run of equal tokens the pairs are taken from the left: an odd one remains at the end."""
        expected = [3] * before + [9] * (length // 2) + [7] * (length % 2)
        assert_tokens(student.merge_pairs([3] * before + [7] * length, (7, 7), 9), expected)

    @weight(2)
    @given(zeros=st.integers(1, 3), ones=st.integers(1, 3), times=st.integers(1, 2), new=st.integers(0, 1))
    @settings(max_examples=8)
    def test_what_is_new_is_not_merged_again(self, student: Any, zeros: int, ones: int, times: int, new: int) -> None:
        """The new token takes part in no merge itself, even where it is equal to one of the pair."""
        expected = [*[0] * (zeros - 1), new, *[1] * (ones - 1)] * times
        assert_tokens(student.merge_pairs(([0] * zeros + [1] * ones) * times, (0, 1), new), expected)

    @given(tokens=small_words(10), pair=st.tuples(st.integers(0, 2), st.integers(0, 2)))
    @settings(max_examples=6)
    def test_nothing_is_lost(self, student: Any, tokens: list[int], pair: tuple[int, int]) -> None:
        """With the pair put back in place of the new token the text is what it was; a tuple of tokens will do as well."""
        received = student.merge_pairs(tuple(tokens), pair, 9)
        if not isinstance(received, list):
            fail(f"The result should be a list, but it is {describe(received)}.")
        back = [part for token in received for part in (pair if token == 9 else (token,))]
        assert_tokens(back, tokens, what="the text with the pair put back")


def merges_by_text(words: Sequence[Sequence[int]], count: int, first: int) -> list[tuple[int, int]]:
    """Byte-pair encoding on strings, which shares nothing with the way that lists are merged."""
    texts, found = [as_text(word) for word in words], []
    for new in range(first, first + count):
        places = [text[i : i + 2] for text in texts for i in range(len(text) - 1)]
        ranked = sorted({(-places.count(pair), pair) for pair in places})
        if not ranked or ranked[0][0] > -2:
            break
        pair = ranked[0][1]
        texts = [text.replace(pair, as_text([new])) for text in texts]
        found.append((as_tokens(pair)[0], as_tokens(pair)[1]))
    return found


def learned(student: Any, words: Sequence[Sequence[int]], count: int, **options: Any) -> list[tuple[int, ...]]:
    """The student's merges."""
    received = student.learn_merges(words, count, merge=reference.merge_pairs, **options)
    if not isinstance(received, list) or not all(isinstance(pair, tuple | list) for pair in received):
        fail(f"A list of pairs should be returned, but it is {describe(received)}.")
    return [tuple(pair) for pair in received]


def assert_merges(received: list[tuple[int, ...]], expected: list[tuple[int, int]]) -> None:
    """Check a list of merges."""
    if received != expected:
        fail(f"The merges should be {expected}, but they are {received}.")


@exercise(
    "learn_merges",
    contract=st.tuples(st.lists(small_words(5), max_size=3), st.integers(0, 3)).map(
        lambda drawn: (drawn, {"merge": reference.merge_pairs})
    ),
)
class TestLearnMerges:
    @required
    @given(pair=st.tuples(st.integers(0, 4), st.integers(5, 9)), times=st.integers(3, 5))
    @settings(max_examples=5)
    def test_begins_with_the_most_frequent_pair(self, student: Any, pair: tuple[int, int], times: int) -> None:
        """The first merge is the pair that occurs most often."""
        received = learned(student, [[*pair]] * times + [[9, 0], [9, 0], [1, 2, 3]], 1)
        assert_merges(received, [pair])

    @weight(5)
    @given(
        words=st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=7), min_size=1, max_size=4),
        count=st.integers(2, 4),
        first=st.sampled_from([256, 2]),
    )
    @settings(max_examples=15)
    def test_equals_merging_texts(self, student: Any, words: list[list[int]], count: int, first: int) -> None:
        """The merges are those that come out of counting and replacing pieces of text."""
        assert_merges(learned(student, words, count, first=first), merges_by_text(words, count, first))

    @weight(2)
    @given(word=st.permutations(range(4)), times=st.integers(2, 3))
    @settings(max_examples=5)
    def test_merges_build_on_one_another(self, student: Any, word: list[int], times: int) -> None:
        """A word that is repeated becomes one token in the end, and each merge knows what those before it have made."""
        expected = merges_by_text([word] * times, 9, 256)
        assert_merges(learned(student, [word] * times, 9), expected)

    @weight(2)
    @given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=5, unique=True))
    @settings(max_examples=8)
    def test_the_smallest_of_equals(self, student: Any, pairs: list[tuple[int, int]]) -> None:
        """Among pairs that are equally frequent the smallest is merged first."""
        received = learned(student, [pair for pair in pairs for _ in range(2)], 1)
        assert_merges(received, [min(pairs)])

    @weight(2)
    @given(tokens=st.permutations(range(6)), count=st.integers(1, 4))
    @settings(max_examples=4)
    def test_stops_when_no_pair_occurs_twice(self, student: Any, tokens: list[int], count: int) -> None:
        """A pair that occurs once is not merged, so there may be fewer merges than were asked for, or none."""
        assert_merges(learned(student, [tokens], count), [])
        assert_merges(learned(student, [tokens, tokens[:2]], count), [(tokens[0], tokens[1])])

    @weight(2)
    @given(left=st.integers(0, 2), right=st.integers(3, 5), times=st.integers(2, 4))
    @settings(max_examples=4)
    def test_words_are_apart(self, student: Any, left: int, right: int, times: int) -> None:
        """The end of a word and the beginning of the next are no pair."""
        assert_merges(learned(student, [[left], [right]] * times, 3), [])

    @weight(2)
    @given(token=st.integers(0, 5), length=st.integers(3, 4))
    @settings(max_examples=4)
    def test_pairs_that_overlap_count_each(self, student: Any, token: int, length: int) -> None:
        """In a run of n equal tokens the pair of two of them counts n − 1 times."""
        rival = [[6, 7]] * (length - 2)
        assert_merges(learned(student, [[token] * length, *rival], 1), [(token, token)])


# ---- scores and generation


@st.composite
def scored_texts(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits (batch, length, vocabulary) and labels (batch, length), at least one of which counts."""
    batch, length, vocabulary = draw(sizes(1, 4)), draw(sizes(2, 5)), draw(sizes(2, 5))
    labels, counted = draw(ids((batch, length), vocabulary - 1)), draw(flags(batch, length))
    counted[0, -1] = True
    return draw(tensors((batch, length, vocabulary))), labels.masked_fill(~counted, IGNORED)


def mean_surprise(logits: Tensor, labels: Tensor) -> float:
    """In nats, one token after the other."""
    surprises = []
    for scores, row in zip(logits.tolist(), labels.tolist(), strict=True):
        for before, token in zip(scores[:-1], row[1:], strict=True):
            if token != IGNORED:
                highest = max(before)
                total = math.log(math.fsum(math.exp(score - highest) for score in before))
                surprises.append(total + highest - before[token])
    return math.fsum(surprises) / len(surprises)


@exercise("perplexity", contract=scored_texts().map(lambda drawn: (drawn, {})))
class TestPerplexity:
    @required
    @given(labels=ids((2, 4), 4), confidence=st.sampled_from([1.0, 3.0]))
    @settings(max_examples=5)
    def test_falls_as_the_model_gets_better(self, student: Any, labels: Tensor, confidence: float) -> None:
        """It is lower the more probability the model gives to every next token, and never below 1."""
        right = F.one_hot(labels.roll(-1, 1), 5).float()
        found = [student.perplexity(scale * confidence * right, labels) for scale in (-1, 0, 1, 20)]
        for value in found:
            assert_shape(value, (), what="the perplexity")
        for better, worse in itertools.pairwise(reversed(found)):
            assert_between(worse - better, 1e-2, tolerance=0, what="how much higher a worse model's perplexity is,")
        assert_between(found[3], 1.0, what="the perplexity of a model that is right")

    @weight(4)
    @given(drawn=scored_texts())
    @settings(max_examples=12)
    def test_equals_the_mean_surprise_by_hand(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """It is e to the mean of −log p over all tokens that count, in the whole batch, here one by one."""
        logits, labels = drawn
        expected = torch.tensor(math.exp(mean_surprise(logits, labels)))
        received = student.perplexity(logits, labels)
        names = dict(zip(("batch", "length", "vocabulary"), logits.shape, strict=True))
        assert_close(received, expected, tolerance=1e-4, what="the perplexity", sizes=names)

    @weight(2)
    @given(vocabulary=sizes(2, 9), labels=ids((2, 3), 1), score=tensors((2, 3, 1)))
    @settings(max_examples=5)
    def test_guessing_costs_the_vocabulary(self, student: Any, vocabulary: int, labels: Tensor, score: Tensor) -> None:
        """A model that finds all tokens equally likely hesitates between as many as the vocabulary has."""
        received = student.perplexity(score.expand(2, 3, vocabulary), labels)
        names = {"vocabulary": vocabulary, "length": 3}
        assert_close(received, torch.tensor(float(vocabulary)), tolerance=1e-4, what="the perplexity", sizes=names)

    @given(drawn=scored_texts())
    @settings(max_examples=5)
    def test_equals_transformers_loss(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """Its logarithm is the loss with which the library transformers trains language models."""
        logits, labels = drawn
        loss = ForCausalLMLoss(logits, labels, logits.shape[2])
        assert_close(student.perplexity(logits, labels).log(), loss, tolerance=1e-4, what="log perplexity")

    @given(drawn=scored_texts(), generator=generators())
    @settings(max_examples=5)
    def test_each_token_is_judged_by_the_scores_before_it(
        self, student: Any, drawn: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> None:
        """The first label and the last scores of a text have no influence."""
        logits, labels = drawn
        before = student.perplexity(logits, labels)
        logits, labels = logits.clone(), labels.clone()
        logits[:, -1] = torch.randn(logits[:, -1].shape, generator=generator)
        labels[:, 0] = 0
        assert_close(student.perplexity(logits, labels), before, tolerance=1e-4, what="the perplexity afterwards")

    @weight(5)
    @given(count=sizes(2, 6), surprise=st.sampled_from([120, 150]))
    @settings(max_examples=3)
    def test_great_surprises_are_finite(self, student: Any, count: int, surprise: int) -> None:
        """One token with a surprise of over 100 nats makes a mean that is large, and no infinity."""
        logits, labels = torch.zeros(1, 2 * count + 1, 2), torch.zeros(1, 2 * count + 1, dtype=torch.int64)
        logits[:, :, 1] = -200.0  # next to no surprise at all
        logits[0, 0, 1] = float(surprise)
        expected = torch.tensor(surprise / (2 * count))
        assert_close(student.perplexity(logits, labels).log(), expected, tolerance=1e-4, what="log perplexity")

    @given(logits=tensors((2, 3, 4)))
    @settings(max_examples=2)
    def test_nothing_to_count_is_refused(self, student: Any, logits: Tensor) -> None:
        """If no token counts, ValueError is raised."""
        labels = torch.full((2, 3), IGNORED)
        labels[:, 0] = 1  # nothing stands before these
        with pytest.raises(ValueError):
            student.perplexity(logits, labels)


@dataclass(frozen=True)
class Pieces:
    """Queries, keys and values of a whole sequence, and where it is cut."""

    query: Tensor
    key: Tensor
    value: Tensor
    cut: int

    def before(self) -> tuple[Tensor, Tensor] | None:
        """The cache of what stands before the cut."""
        return (self.key[:, :, : self.cut], self.value[:, :, : self.cut]) if self.cut else None

    def after(self) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of what stands behind it."""
        return self.query[:, :, self.cut :], self.key[:, :, self.cut :], self.value[:, :, self.cut :]

    def all_at_once(self) -> Tensor:
        """What torch's causal attention makes of the whole sequence."""
        return F.scaled_dot_product_attention(self.query, self.key, self.value, is_causal=True)


@st.composite
def pieces(draw: st.DrawFn, *, cached: bool | None = None, new: int | None = None) -> Pieces:
    """Sequences with and without a past."""
    batch, heads, d_key, d_value = (draw(sizes(1, 3)) for _ in range(4))
    past = draw(st.integers(0, 4) if cached is None else st.integers(1, 4) if cached else st.just(0))
    length = past + (draw(st.integers(1, 4)) if new is None else new)
    generator = draw(generators())
    query, key = (planes((batch, heads, length, d_key), generator) for _ in range(2))
    return Pieces(query, key, planes((batch, heads, length, d_value), generator), past)


def with_cache(student: Any, *inputs: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The student's `attend_with_cache`; fails if it returns something else than a result and a pair."""
    returned = student.attend_with_cache(*inputs, attend=reference.scaled_dot_product_attention)
    match returned:
        case [Tensor(), [Tensor(), Tensor()]]:
            return returned[0], (returned[1][0], returned[1][1])
    return fail(f"The result and the cache (keys, values) should be returned, but it is {describe(returned)}.")


@exercise(
    "attend_with_cache",
    contract=pieces().map(lambda p: ((*p.after(), p.before()), {"attend": reference.scaled_dot_product_attention})),
)
class TestAttendWithCache:
    @required
    @given(piece=pieces(cached=True, new=1))
    @settings(max_examples=4)
    def test_looks_at_what_is_remembered(self, student: Any, piece: Pieces) -> None:
        """A new position depends on the values in the cache and on its own; without a cache it gets its own value alone."""
        past = tuple(part.clone().requires_grad_() for part in piece.before() or ())
        query, key, value = piece.after()
        value.requires_grad_()
        out, _ = with_cache(student, query, key, value, past)
        assert_shape(out, tuple(value.shape), what="the result")
        assert_depends(out, past[1], what="the result", on_what="the values in the cache")
        assert_depends(out, value, what="the result", on_what="the new values")
        alone, _ = with_cache(student, query, key, value)
        assert_close(alone, value.detach(), what="the result of a single position without a cache")

    @weight(4)
    @given(piece=pieces())
    @settings(max_examples=10)
    def test_equals_attention_over_everything(self, student: Any, piece: Pieces) -> None:
        """New positions get what causal attention over the whole sequence gives them."""
        out, _ = with_cache(student, *piece.after(), piece.before())
        expected = piece.all_at_once()[:, :, piece.cut :]
        names = {"past": piece.cut, "new": expected.shape[2]}
        assert_close(out, expected, tolerance=1e-4, what="the result", sizes=names)

    @weight(3)
    @given(piece=pieces())
    @settings(max_examples=8)
    def test_the_cache_holds_everything_in_order(self, student: Any, piece: Pieces) -> None:
        """The cache for the next call is all keys and all values, oldest first."""
        _, (keys, values) = with_cache(student, *piece.after(), piece.before())
        assert_close(keys, piece.key, tolerance=0, what="the keys in the cache")
        assert_close(values, piece.value, tolerance=0, what="the values in the cache")

    @weight(2)
    @given(piece=pieces(cached=False, new=4), first=st.integers(1, 2))
    @settings(max_examples=5)
    def test_in_three_pieces(self, student: Any, piece: Pieces, first: int) -> None:
        """A sequence that is read in three pieces, cache by cache, gives what it gives at once."""
        cache, parts = None, []
        for start, end in itertools.pairwise([0, first, 3, 4]):
            part = (tensor[:, :, start:end] for tensor in (piece.query, piece.key, piece.value))
            out, cache = with_cache(student, *part, cache)
            parts.append(out)
        assert_close(torch.cat(parts, dim=2), piece.all_at_once(), tolerance=1e-4, what="the results, put together,")

    @weight(2)
    @given(piece=pieces(new=3), place=st.integers(0, 1))
    @settings(max_examples=5)
    def test_sees_no_future(self, student: Any, piece: Pieces, place: int) -> None:
        """A new position looks at new positions before it, and at none after it."""
        query, key, value = piece.after()
        value.requires_grad_()
        out, _ = with_cache(student, query, key, value, piece.before())
        assert_shape(out, tuple(value.shape), what="the result")
        (gradient,) = gradients(out[:, :, place + 1], [value])
        (before,) = gradients(out[:, :, place], [value])
        if not gradient[:, :, place].any():
            fail(f"New position {place + 1} does not look at new position {place}.")
        if not gradient[:, :, place + 1].any():
            fail(f"New position {place + 1} does not look at itself.")
        later = before[:, :, place + 1 :]
        assert_close(later, torch.zeros_like(later), what=f"the gradient of new position {place} for later values")


class Teller:
    """A toy language model that is called like `step`: what it says next depends on every token so far.

    Its cache is a number for each text, in whatever wrapping; it notes how it is called.
    """

    MODULUS = 11

    def __init__(
        self, vocabulary: int, generator: torch.Generator, wrap: str = "tensor", end: int | None = None
    ) -> None:
        self.table = torch.rand(self.MODULUS, vocabulary, generator=generator)
        if end is not None:  # texts should end now and then
            self.table[:3, end] = 2.0
        self.calls: list[tuple[Tensor, Any]] = []
        self.returned: list[Any] = []
        self.recorded: list[bool] = []
        self._wrap = wrap

    def _wrapped(self, state: Tensor) -> Any:
        return {"tensor": state, "tuple": (state, None), "dict": {"state": state}}[self._wrap]

    def _unwrapped(self, cache: Any) -> Tensor:
        return {"tensor": lambda: cache, "tuple": lambda: cache[0], "dict": lambda: cache["state"]}[self._wrap]()

    def __call__(self, ids: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        """Logits (batch, new, vocabulary) and the cache."""
        self.calls.append((ids.clone(), cache))
        self.recorded.append(torch.is_grad_enabled())
        state = torch.zeros(len(ids), dtype=torch.int64) if cache is None else self._unwrapped(cache)
        logits = []
        for column in ids.long().unbind(1):
            state = (3 * state + column + 1) % self.MODULUS
            logits.append(self.table[state])
        self.returned.append(self._wrapped(state))
        return torch.stack(logits, dim=1), self.returned[-1]

    def uncached(
        self, prompt: Tensor, new_tokens: int, end: int | None = None, pick: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """The same texts, one at a time, with all of it read again for each token."""
        texts = []
        for row in prompt.tolist():
            added: list[int] = []
            while len(added) < new_tokens:
                if end is not None and end in added:
                    added.append(end)
                    continue
                state = 0
                for token in [*row, *added]:
                    state = (3 * state + token + 1) % self.MODULUS
                scores = self.table[state]
                added.append(int(scores.argmax() if pick is None else pick(scores.unsqueeze(0))[0]))
            texts.append([*row, *added])
        return torch.tensor(texts).view(len(texts), -1)


def second_best(logits: Tensor) -> Tensor:
    """A way to choose that is not the default."""
    return logits.topk(2, dim=1).indices[:, 1]


WRAPS = st.sampled_from(["tensor", "tuple", "dict"])


@exercise("generate_with_cache", contract=False)
class TestGenerateWithCache:
    @required
    @given(prompt=ids((2, 3), 4), generator=generators())
    @settings(max_examples=4)
    def test_goes_on_with_the_prompt(self, student: Any, prompt: Tensor, generator: torch.Generator) -> None:
        """The prompt comes first, and the first new token is the one with the highest score after the prompt."""
        teller = Teller(7, generator)
        received = student.generate_with_cache(teller, prompt, 2)
        assert_shape(received, (2, 5), what="the texts")
        expected = teller.uncached(prompt, 1)
        assert_close(received[:, :4], expected, what="the prompt and the first new token")

    @weight(4)
    @given(
        prompt=st.tuples(st.sampled_from([3, 2, 1]), sizes(1, 4)).flatmap(lambda shape: ids(shape, 3)),
        new_tokens=st.integers(3, 7),
        wrap=WRAPS,
        end=st.sampled_from([4, 4, None]),
        choose=st.sampled_from([None, None, second_best]),
        generator=generators(),
    )
    @settings(max_examples=16)
    def test_equals_generation_without_a_cache(
        self,
        student: Any,
        prompt: Tensor,
        new_tokens: int,
        wrap: str,
        end: int | None,
        choose: Callable[[Tensor], Tensor] | None,
        generator: torch.Generator,
    ) -> None:
        """The texts are those that come out if everything is read again for each new token."""
        teller = Teller(5, generator, wrap, end=end)
        received = student.generate_with_cache(teller, prompt, new_tokens, end=end, choose=choose)
        assert_close(received, teller.uncached(prompt, new_tokens, end, choose), what="the texts")

    @weight(7)
    @given(prompt=ids((2, 3), 4), new_tokens=st.integers(2, 5), wrap=WRAPS, generator=generators())
    @settings(max_examples=6)
    def test_reads_no_token_twice(
        self, student: Any, prompt: Tensor, new_tokens: int, wrap: str, generator: torch.Generator
    ) -> None:
        """`step` is called once for each new token: with the prompt and None, then with the last tokens and the last cache."""
        teller = Teller(5, generator, wrap)
        student.generate_with_cache(teller, prompt, new_tokens)
        if len(teller.calls) != new_tokens:
            fail(f"For {new_tokens} new tokens `step` was called {len(teller.calls)} times.")
        expected = teller.uncached(prompt, new_tokens)
        for number, (tokens, cache) in enumerate(teller.calls):
            if number == 0:
                assert_close(tokens.long(), prompt, what="what the first call was given")
                if cache is not None:
                    fail(f"The first call should be given None as the cache, but it was given {describe(cache)}.")
                continue
            place = prompt.shape[1] + number - 1
            assert_close(tokens.long(), expected[:, place : place + 1], what=f"what call {number} was given")
            if cache is None:
                fail(f"Call {number} was given no cache.")
            before = teller._unwrapped(teller.returned[number - 1])
            assert_close(teller._unwrapped(cache), before, what=f"the cache that call {number} was given")

    @weight(3)
    @given(prompt=ids((2, 2), 4), new_tokens=st.integers(1, 4), generator=generators())
    @settings(max_examples=5)
    def test_tokens_are_chosen_by_choose(
        self, student: Any, prompt: Tensor, new_tokens: int, generator: torch.Generator
    ) -> None:
        """`choose` is given the logits of the last position (batch, vocabulary), and its tokens are taken."""
        teller, shapes = Teller(5, generator), []

        def choose(logits: Tensor) -> Tensor:
            shapes.append(tuple(logits.shape))
            return second_best(logits)

        received = student.generate_with_cache(teller, prompt, new_tokens, choose=choose)
        if wrong := [shape for shape in shapes if shape != (2, 5)]:
            fail(f"`choose` should be given logits of shape (2, 5), but it was given {wrong[0]}.")
        assert_close(received, teller.uncached(prompt, new_tokens, pick=second_best), what="the texts")

    @weight(4)
    @given(batch=st.sampled_from([3, 1, 2]), new_tokens=st.integers(3, 8), generator=generators())
    @settings(max_examples=10)
    def test_after_the_end_there_is_nothing_else(
        self, student: Any, batch: int, new_tokens: int, generator: torch.Generator
    ) -> None:
        """After `end` a text is filled up with `end`, while others go on; when all have ended, `step` is called no more."""
        teller = Teller(5, generator, end=4)
        prompt = torch.randint(0, 4, (batch, 2), generator=generator)
        received = student.generate_with_cache(teller, prompt, new_tokens, end=4)
        expected = teller.uncached(prompt, new_tokens, end=4)
        assert_close(received, expected, what="the texts")
        needed = max((row.index(4) + 1 if 4 in row else new_tokens) for row in expected[:, 2:].tolist())
        if len(teller.calls) != needed:
            fail(f"All texts had ended after {needed} calls of `step`, but there were {len(teller.calls)}.")

    @weight(2)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_equals_the_librarys_generate(self, student: Any, generator: torch.Generator) -> None:
        """With a GPT-2 of the library transformers it writes what the library's own `generate` writes."""
        model = gpt2(8, 2, 7, 2)
        redraw(model, generator)
        caches: list[Any] = []

        def step(ids: Tensor, ticket: int | None = None) -> tuple[Tensor, int]:
            out = model(ids, past_key_values=None if ticket is None else caches[ticket], use_cache=True)
            caches.append(out.past_key_values)
            return out.logits, len(caches) - 1

        prompt = torch.randint(0, 6, (2, 3), generator=generator)
        expected = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=5,
            do_sample=False,
            eos_token_id=6,
            pad_token_id=6,
        )
        expected = F.pad(expected, (0, 8 - expected.shape[1]), value=6)
        assert_close(student.generate_with_cache(step, prompt, 5, end=6), expected, what="the texts")

    @given(prompt=ids((2, 3), 4, dtype=torch.int32), generator=generators())
    @settings(max_examples=3)
    def test_no_new_tokens(self, student: Any, prompt: Tensor, generator: torch.Generator) -> None:
        """With no new tokens it is the prompt, as int64, and `step` is not called."""
        teller = Teller(5, generator)
        assert_close(student.generate_with_cache(teller, prompt, 0), prompt.long(), what="the texts")
        if teller.calls:
            fail(f"`step` was called {len(teller.calls)} times, though no token was asked for.")

    @given(prompt=ids((1, 2), 4), generator=generators())
    @settings(max_examples=2)
    def test_keeps_no_graph(self, student: Any, prompt: Tensor, generator: torch.Generator) -> None:
        """`step` is called without recording a graph, which would grow with each token."""
        teller = Teller(5, generator)
        student.generate_with_cache(teller, prompt, 2)
        if any(teller.recorded):
            fail("Gradients are enabled while `step` is called, so a graph of everything is kept.")


# ---- denoising


def draws(*shape: int) -> st.SearchStrategy[Tensor]:
    """Draws from [0, 1), multiples of 1/16."""
    return tensors(shape, dtype=torch.int64, low=0, high=15).map(lambda whole: whole / 16)


@st.composite
def masking_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `mask_tokens`."""
    shape = draw(sizes(1, 4)), draw(sizes(1, 5))
    tensors_ = (draw(ids(shape, 6)), draw(draws(*shape)), draw(draws(*shape)), draw(ids(shape, 6)))
    options = {"mask_token": draw(st.integers(0, 9)), "rate": draw(st.integers(0, 8)) / 8}
    return tensors_, options | {"protected": tuple(draw(st.lists(st.integers(0, 6), unique=True, max_size=2)))}


def masked(student: Any, *inputs: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """The pair that `mask_tokens` returns; fails if it is none."""
    returned = student.mask_tokens(*inputs, **options)
    match returned:
        case [Tensor(), Tensor()]:
            return returned[0], returned[1]
    return fail(f"The pair (inputs, labels) should be returned, but it is {describe(returned)}.")


@exercise("mask_tokens", contract=masking_calls())
class TestMaskTokens:
    @required
    @given(tokens=ids((3, 4), 9), replacements=ids((3, 4), 19, low=10))
    @settings(max_examples=5)
    def test_hides_and_asks(self, student: Any, tokens: Tensor, replacements: Tensor) -> None:
        """What is selected with a low `action` is hidden and asked for; what is not selected stays, and is not asked for."""
        select = torch.tensor([0.0, 0.9, 0.05, 0.5]).expand(3, 4)
        inputs, labels = masked(student, tokens, select, torch.full((3, 4), 0.3), replacements, mask_token=50)
        hidden = torch.tensor([True, False, True, False]).expand(3, 4)
        assert_close(inputs, tokens.masked_fill(hidden, 50), what="the inputs")
        assert_close(labels[hidden], tokens[hidden], what="the labels of what is hidden")

    @weight(4)
    @given(call=masking_calls())
    @settings(max_examples=15)
    def test_token_by_token(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """Each token is hidden, replaced, kept and asked for, or left alone, as its own two draws say."""
        (tokens, select, action, replacements), options = call
        inputs, labels = [], []
        for token, chosen, act, other in zip(
            *(part.flatten().tolist() for part in (tokens, select, action, replacements)), strict=True
        ):
            takes_part = chosen < options["rate"] and token not in options["protected"]
            labels.append(token if takes_part else IGNORED)
            hidden = options["mask_token"] if act < 0.8 else other if act < 0.9 else token
            inputs.append(hidden if takes_part else token)
        received = masked(student, *call[0], **options)
        assert_close(received[0], torch.tensor(inputs).view(tokens.shape), what="the inputs")
        assert_close(received[1], torch.tensor(labels).view(tokens.shape), what="the labels")

    @weight(3)
    @given(tokens=ids((2, 7), 9), replacements=ids((2, 7), 19, low=10))
    @settings(max_examples=4)
    def test_three_kinds_of_gaps(self, student: Any, tokens: Tensor, replacements: Tensor) -> None:
        """Of what takes part 80% are hidden, 10% are replaced, 10% stay, and all of it has to be predicted."""
        # In double precision, where 0.8 and 0.9 are what they are in Python.
        action = torch.tensor([0.0, 0.79, 0.8, 0.89, 0.9, 0.91, 0.99], dtype=torch.float64).expand(2, 7)
        inputs, labels = masked(student, tokens, torch.zeros_like(action), action, replacements, mask_token=50)
        assert_shape(inputs, (2, 7), what="the inputs")
        assert_close(inputs[:, :2], torch.full((2, 2), 50), what="the inputs where action is 0 and 0.79")
        assert_close(inputs[:, 2:4], replacements[:, 2:4], what="the inputs where action is 0.8 and 0.89")
        assert_close(inputs[:, 4:], tokens[:, 4:], what="the inputs where action is 0.9 and more")
        assert_close(labels, tokens, what="the labels")

    @weight(2)
    @given(tokens=ids((2, 4), 3), protected=st.integers(0, 3), generator=generators())
    @settings(max_examples=5)
    def test_protected_tokens_never_take_part(
        self, student: Any, tokens: Tensor, protected: int, generator: torch.Generator
    ) -> None:
        """Protected tokens stay and are not asked for, whatever is drawn."""
        tokens[0, 0] = protected
        action = torch.rand(2, 4, generator=generator)
        options: dict[str, Any] = {"mask_token": 9, "protected": (protected, 17), "rate": 1.0}
        inputs, labels = masked(student, tokens, torch.zeros(2, 4), action, tokens + 20, **options)
        safe = tokens == protected
        assert_close(inputs[safe], tokens[safe], what="the inputs at protected tokens")
        assert_close(labels[safe], torch.full_like(tokens[safe], IGNORED), what="the labels at protected tokens")

    @weight(2)
    @given(tokens=ids((2, 3), 9, dtype=torch.int32), rate=st.sampled_from([0.25, 0.5]))
    @settings(max_examples=4)
    def test_the_rate(self, student: Any, tokens: Tensor, rate: float) -> None:
        """A token takes part if its draw is less than the rate, 0.15 by default; results have the dtype of the tokens."""
        action, other = torch.zeros(2, 3), torch.zeros_like(tokens)
        for options, limit in (({}, 0.15), ({"rate": rate}, rate)):
            select = torch.tensor([limit - 1 / 128, limit + 1 / 128, 0.99]).expand(2, 3)
            inputs, labels = masked(student, tokens, select, action, other, mask_token=50, **options)
            first = torch.tensor([True, False, False])
            assert_close(inputs, tokens.masked_fill(first, 50), what="the inputs")
            assert_close(labels, tokens.masked_fill(~first, IGNORED), what="the labels")


@st.composite
def corruptions(draw: st.DrawFn, dtype: torch.dtype = torch.int64) -> tuple[Tensor, Tensor]:
    """Texts with some tokens marked."""
    length = draw(st.integers(1, 8))
    marks = draw(st.lists(st.booleans(), min_size=length, max_size=length))
    return draw(ids(length, 20, dtype=dtype)), torch.tensor(marks)


def corrupted_text(student: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
    """The pair that `corrupt_spans` returns; fails if it is none."""
    returned = student.corrupt_spans(*inputs)
    match returned:
        case [Tensor(), Tensor()]:
            return returned[0], returned[1]
    return fail(f"The pair (inputs, targets) should be returned, but it is {describe(returned)}.")


@exercise("corrupt_spans", contract=corruptions().map(lambda drawn: ((*drawn, 99), {})))
class TestCorruptSpans:
    @required
    @given(drawn=corruptions())
    @settings(max_examples=6)
    def test_every_token_is_in_one_of_both(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """In order, what is kept stands in the inputs, and what is missing there in the targets, besides sentinels."""
        tokens, marks = drawn
        marks = torch.cat([marks, torch.tensor([False, True, False])])
        tokens = torch.cat([tokens, torch.tensor([7, 8, 9])])
        inputs, targets = corrupted_text(student, tokens, marks, 99)
        for received, wanted, name in ((inputs, tokens[~marks], "inputs"), (targets, tokens[marks], "targets")):
            assert_close(received[received <= 20], wanted, what=f"the {name} without sentinels")

    @weight(4)
    @given(drawn=corruptions(), sentinel=st.integers(60, 99))
    @settings(max_examples=15)
    def test_equals_groups(self, student: Any, drawn: tuple[Tensor, Tensor], sentinel: int) -> None:
        """Each run of corrupted tokens becomes one sentinel; sentinels count down, and one more ends the targets."""
        tokens, marks = drawn
        free = itertools.count(sentinel, -1)
        inputs: list[int] = []
        targets: list[int] = []
        for gone, run in itertools.groupby(zip(marks.tolist(), tokens.tolist(), strict=True), key=lambda pair: pair[0]):
            words = [token for _, token in run]
            if gone:
                name = next(free)
                inputs, targets = [*inputs, name], [*targets, name, *words]
            else:
                inputs += words
        received = corrupted_text(student, tokens, marks, sentinel)
        assert_close(received[0], torch.tensor(inputs), what="the inputs")
        assert_close(received[1], torch.tensor([*targets, next(free)]), what="the targets")

    @weight(2)
    @given(drawn=corruptions())
    @settings(max_examples=6)
    def test_the_gaps_can_be_filled(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """With each sentinel of the inputs replaced by what stands behind it in the targets, the text is back."""
        tokens, marks = drawn
        inputs, targets = corrupted_text(student, tokens, marks, 99)
        fillings: dict[int, list[int]] = {}
        current: list[int] = []
        for token in targets.tolist():
            if token > 20:
                current = fillings.setdefault(token, [])
            else:
                current.append(token)
        text = [part for token in inputs.tolist() for part in (fillings.get(token, [-1]) if token > 20 else [token])]
        assert_tokens(text, tokens.tolist(), what="the text with its gaps filled")

    @weight(2)
    @given(drawn=corruptions())
    @settings(max_examples=6)
    def test_sentinels(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """The inputs have a sentinel for each span, from the first id downwards, and the targets one more."""
        tokens, marks = drawn
        spans = int(marks[0]) + int((marks[1:] & ~marks[:-1]).sum())
        inputs, targets = corrupted_text(student, tokens, marks, 99)
        assert_close(inputs[inputs > 20], 99 - torch.arange(spans), what="the sentinels in the inputs")
        assert_close(targets[targets > 20], 99 - torch.arange(spans + 1), what="the sentinels in the targets")

    @given(tokens=ids((4,), 20, dtype=torch.int32), gone=st.booleans())
    @settings(max_examples=4)
    def test_all_or_nothing(self, student: Any, tokens: Tensor, gone: bool) -> None:
        """With nothing corrupted the targets are one sentinel; with everything the inputs are. The dtype stays."""
        inputs, targets = corrupted_text(student, tokens, torch.full((4,), gone), 99)
        if gone:
            assert_close(inputs, tokens.new_tensor([99]), what="the inputs")
            assert_close(targets, tokens.new_tensor([99, *tokens.tolist(), 98]), what="the targets")
        else:
            assert_close(inputs, tokens, what="the inputs")
            assert_close(targets, tokens.new_tensor([99]), what="the targets")


@dataclass(frozen=True)
class Drawers:
    """The options of `relative_position_bucket`."""

    bidirectional: bool
    buckets: int
    max_distance: int

    @property
    def options(self) -> dict[str, Any]:
        """By name."""
        return {"bidirectional": self.bidirectional, "buckets": self.buckets, "max_distance": self.max_distance}

    @property
    def side(self) -> int:
        """Drawers for one direction."""
        return self.buckets // 2 if self.bidirectional else self.buckets

    def by_t5(self, positions: Tensor) -> Tensor:
        """What T5 of the library transformers says."""
        bucket: Callable[..., Tensor] = T5Attention._relative_position_bucket
        return bucket(positions, self.bidirectional, num_buckets=self.buckets, max_distance=self.max_distance)

    def undecided(self, positions: Tensor) -> Tensor:
        """Where the logarithm is so near a whole number that rounding decides."""
        exact = self.side // 2
        distance = positions.abs().double().clamp(min=1)
        place = (distance / exact).log() / math.log(self.max_distance / exact) * (self.side - exact)
        return (
            (distance >= exact)
            & (distance < self.max_distance)
            & ((place - place.round()).abs() < 1e-3)
            & (distance > exact)
        )


drawers = st.one_of(
    st.builds(Drawers, st.booleans(), st.sampled_from([32, 8, 12, 20]), st.sampled_from([128, 40, 20, 1000])),
    st.sampled_from([Drawers(False, 3, 3), Drawers(True, 4, 5)]),  # the fewest that there can be
)


def buckets(student: Any, drawer: Drawers, positions: Tensor) -> Tensor:
    """What the student says, in the shape that was asked about."""
    received = student.relative_position_bucket(positions, **drawer.options)
    assert_shape(received, tuple(positions.shape))
    return received


@exercise(
    "relative_position_bucket",
    contract=st.tuples(ids((3, 2), 40, -40)).map(lambda drawn: (drawn, {})),
)
class TestRelativePositionBucket:
    @required
    @given(drawer=drawers)
    @settings(max_examples=6)
    def test_farther_keys_have_later_drawers(self, student: Any, drawer: Drawers) -> None:
        """Distance 0 is in drawer 0; the farther a key lies before the query, the later its drawer, and many are used."""
        received = buckets(student, drawer, -torch.arange(drawer.max_distance + 5))
        if received[0].item() != 0 or (received.diff() < 0).any() or received.unique().numel() < drawer.side // 2:
            fail(f"For distances 0, 1, 2, … before the query the drawers are {received.tolist()[:40]} …")

    @weight(5)
    @given(drawer=drawers, generator=generators())
    @settings(max_examples=12)
    def test_equals_t5(self, student: Any, drawer: Drawers, generator: torch.Generator) -> None:
        """It is what T5 of the library transformers does, in both directions, near and far."""
        far = torch.randint(-1500, 1501, (20,), generator=generator)
        positions = torch.cat([torch.arange(-45, 46), far])
        received = buckets(student, drawer, positions)
        decided = ~drawer.undecided(positions)
        assert_close(received[decided], drawer.by_t5(positions)[decided], what=f"the drawers for {drawer}")

    @weight(2)
    @given(drawer=drawers)
    @settings(max_examples=5)
    def test_near_keys_have_a_drawer_each(self, student: Any, drawer: Drawers) -> None:
        """The first half of the drawers of a side holds one distance each."""
        near = torch.arange(drawer.side // 2)
        assert_close(buckets(student, drawer, -near), near, what=f"the drawers of near keys for {drawer}")

    @weight(2)
    @given(drawer=drawers, more=st.integers(0, 900))
    @settings(max_examples=5)
    def test_far_keys_share_the_last_drawer(self, student: Any, drawer: Drawers, more: int) -> None:
        """From max_distance on, all distances share the last drawer of their side."""
        far = torch.arange(drawer.max_distance, drawer.max_distance + 3) + more
        last = torch.full((3,), drawer.side - 1)
        assert_close(
            buckets(student, drawer, -far), last, what=f"the drawers of far keys before the query for {drawer}"
        )
        if drawer.bidirectional:
            after = buckets(student, drawer, far)
            assert_close(after, last + drawer.side, what=f"the drawers of far keys after the query for {drawer}")

    @weight(2)
    @given(drawer=drawers)
    @settings(max_examples=6)
    def test_keys_after_the_query(self, student: Any, drawer: Drawers) -> None:
        """Keys after the query have the upper half of the drawers if bidirectional; without it, they are at distance 0."""
        distance = torch.arange(1, 60)
        after, before = (buckets(student, drawer, sign * distance) for sign in (1, -1))
        expected = before + drawer.side if drawer.bidirectional else torch.zeros_like(before)
        assert_close(after, expected, what=f"the drawers of keys after the query for {drawer}")

    @given(positions=ids((2, 3), 9, -9, dtype=torch.int32))
    @settings(max_examples=3)
    def test_any_shape_and_its_own_defaults(self, student: Any, positions: Tensor) -> None:
        """It takes int32 of any shape and returns int64; by default there are 32 drawers, bidirectional, up to 128."""
        for some in (positions, positions[0, 0]):
            expected = T5Attention._relative_position_bucket(some.long())
            assert_close(student.relative_position_bucket(some), expected, what="the drawers")


# ---- fine-tuning, conversations, scores


@dataclass(frozen=True)
class Lessons:
    """Prompts and answers in one batch."""

    tokens: Tensor
    prompt_lengths: Tensor
    mask: Tensor

    def ask(self, student: Any) -> Tensor:
        """The student's labels."""
        return student.fine_tuning_labels(self.tokens, self.prompt_lengths, self.mask)

    def by_hand(self) -> Tensor:
        """Row by row."""
        rows = []
        for row, prompt, mask in zip(
            self.tokens.tolist(), self.prompt_lengths.tolist(), self.mask.tolist(), strict=True
        ):
            places = [place for place, there in enumerate(mask) if there][prompt:]
            rows.append([token if place in places else IGNORED for place, token in enumerate(row)])
        return torch.tensor(rows, dtype=self.tokens.dtype)


@st.composite
def lessons(
    draw: st.DrawFn, *, left: bool | None = None, dtype: torch.dtype = torch.int64, low: int = 0, high: int = 9
) -> Lessons:
    """Texts of different lengths, all padded at the same side or none."""
    batch, length = draw(sizes(2, 4)), draw(st.integers(2, 7))
    at_left = draw(st.booleans()) if left is None else left
    counts = [draw(st.integers(1, length)) for _ in range(batch)]
    prompts = [draw(st.integers(0, count)) for count in counts]
    places = torch.arange(length).expand(batch, -1)
    number = torch.tensor(counts).unsqueeze(1)
    mask = places >= length - number if at_left else places < number
    return Lessons(draw(ids((batch, length), high, low, dtype)), torch.tensor(prompts), mask)


@exercise(
    "fine_tuning_labels",
    contract=lessons().map(lambda drawn: ((drawn.tokens, drawn.prompt_lengths, drawn.mask), {})),
)
class TestFineTuningLabels:
    @required
    @given(tokens=ids((3, 6), 9, low=1), prompt=st.integers(1, 3))
    @settings(max_examples=5)
    def test_the_answer_is_learnt_and_the_question_is_not(self, student: Any, tokens: Tensor, prompt: int) -> None:
        """Without padding, the prompt is −100, and the rest of the answer after its first token stays as it is."""
        labels = Lessons(tokens, torch.full((3,), prompt), torch.ones(3, 6, dtype=torch.bool)).ask(student)
        assert_shape(labels, (3, 6), what="the labels")
        assert_close(labels[:, 0], torch.full((3,), IGNORED), what="the labels of the first token of the prompt")
        if (labels[:, prompt + 1 :] == IGNORED).all():
            fail("Nothing of the answer is to be learnt.")

    @weight(4)
    @given(lesson=lessons(left=False))
    @settings(max_examples=8)
    def test_padding_at_the_right(self, student: Any, lesson: Lessons) -> None:
        """With padding at the right, the prompt is the first tokens of a row; labels are tokens from there to the padding."""
        assert_close(lesson.ask(student), lesson.by_hand(), what="the labels")

    @weight(4)
    @given(lesson=lessons(left=True))
    @settings(max_examples=8)
    def test_padding_at_the_left(self, student: Any, lesson: Lessons) -> None:
        """With padding at the left, the prompt begins where the padding ends."""
        assert_close(lesson.ask(student), lesson.by_hand(), what="the labels")

    @weight(4)
    @given(lesson=lessons(high=2))
    @settings(max_examples=8)
    def test_padding_is_where_the_mask_says(self, student: Any, lesson: Lessons) -> None:
        """The mask says what is padding, not the id: it may occur within a text, and the answer may end in it."""
        padding = lesson.tokens.masked_fill(~lesson.mask, 1)
        same = Lessons(padding, lesson.prompt_lengths, lesson.mask)
        assert_close(same.ask(student), same.by_hand(), what="the labels")

    @weight(2)
    @given(lesson=lessons(), generator=generators())
    @settings(max_examples=4)
    def test_transformers_learns_the_answers(self, student: Any, lesson: Lessons, generator: torch.Generator) -> None:
        """The loss of the library transformers teaches, with these labels, the positions right before the answer's tokens."""
        labels = lesson.ask(student)
        assert_shape(labels, tuple(lesson.tokens.shape), what="the labels")
        taught = []
        for each in (labels, lesson.by_hand()):
            logits = torch.randn(*lesson.tokens.shape, 10, generator=generator).requires_grad_()
            (gradient,) = torch.autograd.grad(ForCausalLMLoss(logits, each, 10, num_items_in_batch=1), logits)
            taught.append(gradient.abs().sum(2) > 0)
        assert_close(taught[0], taught[1], what="which positions are taught")

    @given(lesson=lessons(dtype=torch.int32))
    @settings(max_examples=3)
    def test_keeps_the_dtype(self, student: Any, lesson: Lessons) -> None:
        """Labels have the dtype of the tokens, here int32."""
        assert_close(lesson.ask(student), lesson.by_hand(), what="the labels")


CONTENTS = st.text(alphabet="ab \n<|>{", max_size=6)


@dataclass(frozen=True)
class Format:
    """The markers of a chat template."""

    name: str
    begin: dict[str, str]
    end: dict[str, str]
    special: tuple[str, ...]

    @property
    def options(self) -> dict[str, Any]:
        """What `format_chat` is told about it."""
        return {"begin": self.begin, "end": self.end, "special": self.special}


ROLES = ("system", "user", "assistant")
FORMATS = (
    Format(
        "ChatML",
        {role: f"<|im_start|>{role}\n" for role in ROLES},
        dict.fromkeys(ROLES, "<|im_end|>\n"),
        ("<|im_start|>", "<|im_end|>"),
    ),
    Format("Zephyr", {role: f"<|{role}|>\n" for role in ROLES}, dict.fromkeys(ROLES, "</s>\n"), ("</s>", "<|user|>")),
    Format(
        "Plain",
        {"system": "", "user": "Q: ", "assistant": "A:", "tool": "T: "},
        {"assistant": "[end]"},
        ("[end]", "[stop]"),
    ),
)
FORMAT = st.sampled_from(FORMATS)
TEMPLATE = (
    "{% for message in messages %}"
    "{{ begin[message['role']] + message['content'] + end.get(message['role'], '') }}"
    "{% endfor %}{% if add_generation_prompt %}{{ begin['assistant'] }}{% endif %}"
)


def message(role: str, content: str) -> dict[str, str]:
    """One message."""
    return {"role": role, "content": content}


@st.composite
def chats(draw: st.DrawFn, contents: st.SearchStrategy[str] = CONTENTS, least: int = 0) -> list[dict[str, str]]:
    """Conversations, with a system message in front or without."""
    roles = draw(st.lists(st.sampled_from(["user", "assistant"]), min_size=least, max_size=5))
    roles = ["system", *roles] if draw(st.booleans()) else roles
    return [message(role, draw(contents)) for role in roles]


def assert_text(actual: Any, expected: str, *, what: str = "The text") -> None:
    """Check a string."""
    if not isinstance(actual, str):
        fail(f"{what} should be a string, but it is {describe(actual)}.")
    if actual != expected:
        fail(f"{what} should be {expected!r},", f"but it is {actual!r}.")


@exercise(
    "format_chat",
    contract=st.tuples(chats(), FORMAT).map(lambda drawn: ((drawn[0],), drawn[1].options)),
)
class TestFormatChat:
    @required
    @given(content=st.text(alphabet="abc", min_size=1, max_size=4))
    @settings(max_examples=4)
    def test_says_who_says_what(self, student: Any, content: str) -> None:
        """The text has what stands before a message, the content and what stands after it, for each message in order."""
        text = student.format_chat([message("user", content), message("assistant", content * 2)], **FORMATS[0].options)
        if not isinstance(text, str):
            fail(f"A string should be returned, but it is {describe(text)}.")
        place = 0
        for part in ("<|im_start|>user", content, "<|im_end|>", "<|im_start|>assistant", content * 2, "<|im_end|>"):
            place = text.find(part, place)
            if place < 0:
                fail(f"In {text!r} there is no {part!r} where it should be.")
            place += len(part)

    @weight(4)
    @given(chat=chats(), markers=FORMAT, prompted=st.booleans())
    @settings(max_examples=15)
    def test_equals_a_template_of_the_library(
        self, student: Any, chat: list[dict[str, str]], markers: Format, prompted: bool
    ) -> None:
        """It is what the library transformers makes of a conversation with a chat template of the same markers."""
        (rendered, *_), *_ = render_jinja_template(
            [chat], chat_template=TEMPLATE, add_generation_prompt=prompted, begin=markers.begin, end=markers.end
        )
        received = student.format_chat(chat, add_generation_prompt=prompted, **markers.options)
        assert_text(received, rendered, what=f"The text in the format {markers.name}")

    @weight(3)
    @given(chat=chats(least=1), prompted=st.booleans())
    @settings(max_examples=8)
    def test_can_be_read_back(self, student: Any, chat: list[dict[str, str]], prompted: bool) -> None:
        """Cut at its markers, the text gives back every message, its content as it was; after it comes the prompt, if any."""
        text = student.format_chat(chat, add_generation_prompt=prompted, **FORMATS[0].options)
        if not isinstance(text, str):
            fail(f"A string should be returned, but it is {describe(text)}.")
        nothing, *parts = text.split("<|im_start|>")
        found = [tuple(part.split("\n", 1)) for part in parts]
        expected = [(said["role"], said["content"] + "<|im_end|>\n") for said in chat] + [("assistant", "")] * prompted
        if nothing or found != expected:
            fail(f"Cut up, the text should be {expected},", f"but it is {found}.")

    @weight(6)
    @given(chat=chats(st.just("a"), least=1), markers=FORMAT, content=st.text(alphabet="ab", max_size=2))
    @settings(max_examples=4)
    def test_refuses_what_would_deceive(
        self, student: Any, chat: list[dict[str, str]], markers: Format, content: str
    ) -> None:
        """A role without a beginning, a system message that is not the first, and a special string in a content are refused."""
        deceptions = [
            message("critic", content),
            message("User", content),
            message("system", content),
            *(message("user", f"{content}{special}{content}") for special in markers.special),
        ]
        for last in deceptions:
            try:
                text = student.format_chat([*chat, last], **markers.options)
            except ValueError:
                continue
            fail(f"The message {last} should be refused with ValueError after others, but the text is {text!r}.")

    @weight(2)
    @given(chat=chats(least=1), markers=FORMAT)
    @settings(max_examples=5)
    def test_what_is_not_special_is_text(self, student: Any, chat: list[dict[str, str]], markers: Format) -> None:
        """Only strings in `special` are refused, by default none; roles of one's own are welcome if they have a beginning."""
        begin = {**markers.begin, "tool": "<tool>"}
        said = "".join([*markers.special, *markers.begin.values()])
        chat = [*chat, message("tool", said)]
        lines = [begin[each["role"]] + each["content"] + markers.end.get(each["role"], "") for each in chat]
        assert_text(student.format_chat(chat, begin=begin, end=markers.end), "".join(lines))

    @given(markers=FORMAT, prompted=st.booleans())
    @settings(max_examples=3)
    def test_no_messages(self, student: Any, markers: Format, prompted: bool) -> None:
        """Without messages it is empty, or the generation prompt alone."""
        received = student.format_chat([], add_generation_prompt=prompted, **markers.options)
        assert_text(received, markers.begin["assistant"] if prompted else "")


def count_words(messages: Sequence[dict[str, str]]) -> int:
    """Three tokens for the conversation, one for each message, and its words."""
    return 3 + sum(1 + len(said["content"].split()) for said in messages)


def count_pairs(messages: Sequence[dict[str, str]]) -> int:
    """A count that is no sum over messages: it goes with the square of all words."""
    return len(" ".join(said["content"] for said in messages).split()) ** 2


WORDS = st.integers(0, 4).map(lambda count: " ".join("w" * count))
COUNTS = st.sampled_from([count_words, count_pairs])


def longest_history(
    messages: list[dict[str, str]], budget: int, count: Callable[..., int]
) -> list[dict[str, str]] | None:
    """All histories that are allowed, and the longest of these; None if there is none."""
    system = [said for said in messages[:1] if said["role"] == "system"]
    rest = messages[len(system) :]
    runs = [rest[start:] for start in range(len(rest)) if rest[start]["role"] == "user"]
    return max((system + run for run in runs if count(system + run) <= budget), key=len, default=None)


def assert_history(actual: Any, expected: list[dict[str, str]], messages: list[dict[str, str]], budget: int) -> None:
    """Check which messages were kept."""
    if actual != expected:
        fail(
            f"With a budget of {budget} {len(expected)} of {len(messages)} messages should be kept: {expected}.",
            f"Kept are {describe(actual)}.",
        )


def numbered(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The same with contents that differ from each other, of as many words."""
    return [
        message(said["role"], f"{number}{said['content']}" if said["content"] else "")
        for number, said in enumerate(messages)
    ]


@exercise(
    "trim_history",
    contract=chats(WORDS).map(lambda drawn: (([*drawn, message("user", "a")], 99, count_words), {})),
)
class TestTrimHistory:
    @required
    @given(length=st.integers(3, 5), kept=st.integers(1, 2))
    @settings(max_examples=5)
    def test_forgets_the_oldest(self, student: Any, length: int, kept: int) -> None:
        """Of a long conversation of the user's the latest messages are kept, as many as fit."""
        chat = [message("user", f"word{number}") for number in range(length)]
        assert_history(student.trim_history(chat, 3 + 2 * kept, count_words), chat[-kept:], chat, 3 + 2 * kept)

    @weight(5)
    @given(chat=chats(WORDS), budget=st.integers(5, 24), count=COUNTS)
    @settings(max_examples=20)
    def test_equals_the_longest_of_all(
        self, student: Any, chat: list[dict[str, str]], budget: int, count: Callable[..., int]
    ) -> None:
        """Of all histories that are allowed the longest that fits is kept; if none fits, ValueError is raised."""
        chat = numbered([*chat, message("user", "w w")])
        expected = longest_history(chat, budget, count)
        try:
            received = student.trim_history(chat, budget, count)
        except ValueError:
            if expected is not None:
                fail(f"{expected} fits into {budget} tokens, but ValueError was raised.")
            return
        if expected is None:
            fail(
                f"Nothing fits into {budget} tokens, so ValueError should be raised.", f"Kept are {describe(received)}."
            )
        assert_history(received, expected, chat, budget)

    @weight(3)
    @given(chat=chats(WORDS, least=2), count=COUNTS)
    @settings(max_examples=8)
    def test_a_budget_that_is_just_enough(
        self, student: Any, chat: list[dict[str, str]], count: Callable[..., int]
    ) -> None:
        """A history that takes exactly the budget is kept whole; `count` is asked about all of it together."""
        system = [said for said in chat[:1] if said["role"] == "system"]
        chat = numbered([*system, message("user", "w w"), *chat[len(system) :], message("user", "w")])
        budget = count(chat)
        assert_history(student.trim_history(chat, budget, count), chat, chat, budget)

    @weight(2)
    @given(answers=st.integers(1, 3), system=st.booleans())
    @settings(max_examples=5)
    def test_begins_with_the_user(self, student: Any, answers: int, system: bool) -> None:
        """The run begins with a message of the user: answers whose question is forgotten, or never was, are left out."""
        first = [message("system", "be kind")] * system
        rest = [message("user", "so"), message("assistant", "yes"), message("user", "and")]
        chat = [*first, *[message("assistant", f"hello {n}") for n in range(answers)], *rest]
        assert_history(student.trim_history(chat, 99, count_words), [*first, *rest], chat, 99)
        budget = count_words([*first, *rest[1:]])
        assert_history(student.trim_history(chat, budget, count_words), [*first, *rest[2:]], chat, budget)

    @weight(2)
    @given(long=st.integers(5, 9), system=st.booleans())
    @settings(max_examples=5)
    def test_leaves_no_gaps(self, student: Any, long: int, system: bool) -> None:
        """A message that is too long ends the run: shorter ones before it are not kept either."""
        first = [message("system", "be kind")] * system
        last = [message("user", "and now"), message("assistant", "what")]
        chat = [*first, message("user", "hi"), message("user", "word " * long), *last]
        budget = count_words([*first, *last]) + 3
        assert_history(student.trim_history(chat, budget, count_words), [*first, *last], chat, budget)

    @weight(2)
    @given(chat=st.sampled_from(["", "s", "a", "sa", "aa"]), words=st.integers(2, 5))
    @settings(max_examples=7)
    def test_what_cannot_be_kept_is_refused(self, student: Any, chat: str, words: int) -> None:
        """If there is no message of the user, or the last one and what follows it do not fit, ValueError is raised."""
        roles = {"s": "system", "a": "assistant"}
        messages = [message(roles[letter], "w") for letter in chat]
        with pytest.raises(ValueError):
            student.trim_history(messages, 99, count_words)
        messages = [*messages, message("user", "w " * words), message("assistant", "w")]
        least = [said for said in messages[:1] if said["role"] == "system"] + messages[-2:]
        with pytest.raises(ValueError):
            student.trim_history(messages, count_words(least) - 1, count_words)


def chance_by_counting(samples: int, correct: int, k: int) -> float:
    """Among all ways to draw k programs, the share of those that hold one that passed."""
    draws = list(itertools.combinations(range(samples), k))
    return sum(any(program < correct for program in drawn) for drawn in draws) / len(draws)


@st.composite
def programs(draw: st.DrawFn) -> tuple[int, int, int]:
    """How many samples, how many of them correct, how many drawn."""
    samples = draw(st.sampled_from([6, 7, 5, 4, 8, 2, 1]))
    return samples, draw(st.integers(0, samples)), draw(st.integers(1, samples))


@exercise("pass_at_k", contract=programs().map(lambda drawn: (drawn, {})))
class TestPassAtK:
    @required
    @given(samples=st.integers(2, 9), correct=st.integers(1, 8))
    @settings(max_examples=6)
    def test_one_draw(self, student: Any, samples: int, correct: int) -> None:
        """With k = 1 it is the share of programs that passed."""
        correct = min(correct, samples - 1)
        assert_close(student.pass_at_k(samples, correct, 1), correct / samples, tolerance=1e-9, what="pass@1")

    @weight(4)
    @given(drawn=programs())
    @settings(max_examples=15)
    def test_equals_counting(self, student: Any, drawn: tuple[int, int, int]) -> None:
        """It is the share of all ways to draw k programs without replacement that hold one that passed."""
        received = student.pass_at_k(*drawn)
        names = dict(zip(("samples", "correct", "k"), drawn, strict=True))
        assert_close(received, chance_by_counting(*drawn), tolerance=1e-9, what="the estimate", sizes=names)

    @weight(3)
    @given(samples=st.integers(900, 4000), correct=st.integers(1, 3), part=st.sampled_from([2, 5, 10]))
    @settings(max_examples=5)
    def test_thousands_of_samples(self, student: Any, samples: int, correct: int, part: int) -> None:
        """With thousands of samples it is exact, here as a product of few fractions."""
        k = samples // part
        missed = math.prod(Fraction(samples - k - i, samples - i) for i in range(correct))
        received = student.pass_at_k(samples, correct, k)
        assert_close(received, float(1 - missed), tolerance=1e-9, what=f"pass@{k} of {samples} samples")

    @weight(2)
    @given(samples=st.integers(2, 400), wrong=st.integers(0, 5))
    @settings(max_examples=6)
    def test_enough_draws_cannot_miss(self, student: Any, samples: int, wrong: int) -> None:
        """It is 1 if there are fewer wrong programs than draws, and 0 if all are wrong."""
        wrong = min(wrong, samples - 1)
        assert_close(student.pass_at_k(samples, samples - wrong, wrong + 1), 1.0, tolerance=1e-12, what="the estimate")
        assert_close(student.pass_at_k(samples, 0, wrong + 1), 0.0, tolerance=1e-12, what="the estimate with 0 correct")

    @weight(3)
    @given(case=st.sampled_from([(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4), (0, 0, 1), (5, 6, 6), (4, 2, -1)]))
    @settings(max_examples=7)
    def test_what_cannot_be_is_refused(self, student: Any, case: tuple[int, int, int]) -> None:
        """More correct programs than there are, fewer than none, and k below 1 or above the samples raise ValueError."""
        try:
            received = student.pass_at_k(*case)
        except ValueError:
            return
        fail(f"pass_at_k{case} should raise ValueError, but it returned {describe(received)}.")


def is_subsequence(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the words of `part` occur in `whole` in that order."""
    rest = iter(whole)
    return all(word in rest for word in part)


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """By trying every selection of words."""
    for length in range(len(one), 0, -1):
        if any(is_subsequence(part, other) for part in itertools.combinations(one, length)):
            return length
    return 0


def scores(student: Any, candidate: Sequence[str], summary: Sequence[str]) -> tuple[float, ...]:
    """The triple that `rouge_l` returns; fails if it is none."""
    returned = student.rouge_l(candidate, summary)
    if not isinstance(returned, tuple | list) or len(returned) != 3:
        fail(f"The triple (precision, recall, F) should be returned, but it is {describe(returned)}.")
    return tuple(returned)


SENTENCES = st.lists(st.sampled_from("abc"), max_size=6)
LONGER = st.lists(st.sampled_from("abc"), min_size=4, max_size=6)


@exercise("rouge_l", contract=st.tuples(SENTENCES, SENTENCES).map(lambda drawn: (drawn, {})))
class TestRougeL:
    @required
    @given(words=st.lists(st.sampled_from("abc"), min_size=1, max_size=5), more=st.integers(1, 3))
    @settings(max_examples=5)
    def test_same_words_and_other_words(self, student: Any, words: list[str], more: int) -> None:
        """A summary scores 1, 1, 1 against itself, 0, 0, 0 against other words, and one half where half is shared."""
        assert_close(scores(student, words, words), (1.0, 1.0, 1.0), what="(precision, recall, F) of the same summary")
        assert_close(
            scores(student, ["x"] * more, words), (0.0, 0.0, 0.0), what="(precision, recall, F) of other words"
        )
        half = scores(student, [*words, *["x"] * len(words)], [*words, *["y"] * len(words)])
        assert_close(half, (0.5, 0.5, 0.5), what="(precision, recall, F) of two summaries that share one half")

    @weight(5)
    @given(candidate=LONGER, summary=LONGER)
    @settings(max_examples=15)
    def test_equals_trying_all_subsequences(self, student: Any, candidate: list[str], summary: list[str]) -> None:
        """The length of the longest common subsequence is divided by both lengths, and F is 2PR / (P + R)."""
        common = longest_common(candidate, summary)
        precision, recall = (Fraction(common, len(words)) if words else Fraction(0) for words in (candidate, summary))
        f = 2 * precision * recall / (precision + recall) if common else Fraction(0)
        expected = tuple(map(float, (precision, recall, f)))
        assert_close(scores(student, candidate, summary), expected, tolerance=1e-9, what="(precision, recall, F)")

    @weight(2)
    @given(gaps=st.lists(st.integers(0, 2), min_size=2, max_size=5))
    @settings(max_examples=6)
    def test_words_need_not_be_neighbours(self, student: Any, gaps: list[int]) -> None:
        """Words in between cost precision, and nothing else: recall stays 1."""
        summary = [f"w{number}" for number in range(len(gaps))]
        candidate = [part for word, gap in zip(summary, gaps, strict=True) for part in (word, *["x"] * gap)]
        precision = len(summary) / len(candidate)
        expected = (precision, 1.0, 2 * precision / (precision + 1))
        assert_close(scores(student, candidate, summary), expected, tolerance=1e-9, what="(precision, recall, F)")

    @weight(2)
    @given(length=st.integers(2, 6))
    @settings(max_examples=4)
    def test_order_matters(self, student: Any, length: int) -> None:
        """Read backwards, a summary of different words shares one word with itself."""
        words = [f"w{number}" for number in range(length)]
        expected = (1 / length,) * 3
        assert_close(scores(student, words[::-1], words), expected, tolerance=1e-9, what="(precision, recall, F)")

    @weight(2)
    @given(candidate=SENTENCES, summary=SENTENCES)
    @settings(max_examples=6)
    def test_exchanging_both_exchanges_precision_and_recall(
        self, student: Any, candidate: list[str], summary: list[str]
    ) -> None:
        """Precision is about the candidate, recall about the reference: longer candidates cost precision."""
        there, back = scores(student, candidate, summary), scores(student, summary, candidate)
        assert_close((there[1], there[0], there[2]), back, tolerance=1e-9, what="(recall, precision, F)")
        longer = scores(student, [*candidate, "x"], [*candidate])
        expected = len(candidate) / (len(candidate) + 1)
        assert_close(longer[0], expected, tolerance=1e-9, what="the precision with one word too many")

    @weight(2)
    @given(words=SENTENCES)
    @settings(max_examples=4)
    def test_empty_summaries(self, student: Any, words: list[str]) -> None:
        """An empty summary gets 0, 0, 0, and so does any other compared with it."""
        nothing: list[str] = []
        for candidate, summary in ((nothing, words), (words, nothing), (nothing, nothing)):
            assert_close(scores(student, candidate, summary), (0.0, 0.0, 0.0), what="(precision, recall, F)")
