"""Known mistakes in `transformers`."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autograder.mistakes import edited, mistake
from solutions import transformers as reference

# ---- scaled_dot_product_attention


@mistake(
    "scaled_dot_product_attention",
    says="The more features a key has, the more one key takes all: the products are not divided by anything.",
)
def attention_without_scaling(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1)
    if mask is None:
        return scores.softmax(dim=-1) @ value
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0) @ value


@mistake(
    "scaled_dot_product_attention",
    says="The weights are too even, and more so the more features there are: products are divided by d, not by its root.",
)
def attention_divided_by_the_width(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / query.shape[-1]
    if mask is None:
        return scores.softmax(dim=-1) @ value
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0) @ value


@mistake(
    "scaled_dot_product_attention",
    says="The scale goes with the number of keys, or of values' features: it is the width of queries and keys that counts.",
)
def attention_scaled_by_the_values_width(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(value.shape[-1])
    if mask is None:
        return scores.softmax(dim=-1) @ value
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0) @ value


@mistake(
    "scaled_dot_product_attention",
    says="The weights of one query do not add up to 1: the softmax runs over the queries instead of the keys.",
)
def attention_normalised_over_queries(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is None:
        return scores.softmax(dim=-2) @ value
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-2).masked_fill(~mask, 0.0) @ value


@mistake(
    "scaled_dot_product_attention",
    says="Under a mask the weights do not add up to 1: masked keys still took their share when the softmax was computed.",
)
def attention_masked_after_the_softmax(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)
    return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ value


@mistake(
    "scaled_dot_product_attention",
    says="Queries look at exactly those keys that they may not look at: True means allowed, and it is read as hidden.",
)
def attention_with_the_mask_inverted(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is None:
        return scores.softmax(dim=-1) @ value
    scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(mask, 0.0) @ value


@mistake("scaled_dot_product_attention", says="Masked keys count like all others: the mask has no effect.")
def attention_without_the_mask(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    return (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1) @ value


@mistake(
    "scaled_dot_product_attention",
    says="Where other scores are very low, masked keys are looked at: what hides them is a number that is not low enough.",
)
def attention_with_a_soft_mask(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -1e4)).softmax(dim=-1) @ value


@mistake(
    "scaled_dot_product_attention",
    says="A masked key with a high score shows through: a penalty is added to its score, and that does not always suffice.",
)
def attention_with_a_penalty(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return (scores if mask is None else scores + ~mask * -1e4).softmax(dim=-1) @ value


@mistake(
    "scaled_dot_product_attention",
    says="A query that may look at no key gets NaN: a softmax over nothing but −∞ divides zero by zero.",
)
def attention_to_nothing_is_nan(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(dim=-1) @ value


@mistake(
    "scaled_dot_product_attention",
    says="A query that may look at no key gets the mean of all values, where zeros were asked for.",
)
def attention_to_nothing_is_the_mean(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -1e30)).softmax(dim=-1) @ value


@mistake(
    "scaled_dot_product_attention",
    says="Keys whose score happens to be 0 are hidden: a score of 0 says nothing about the mask.",
)
def attention_that_hides_zero_scores(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is None:
        return scores.softmax(dim=-1) @ value
    scores = scores * mask
    scores = scores.masked_fill(scores == 0, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0) @ value


@mistake(
    "scaled_dot_product_attention",
    says="Large scores give infinities or NaN: exponentials are taken without subtracting the largest score first.",
)
def attention_that_overflows(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).exp()
    if mask is None:
        return weights / weights.sum(dim=-1, keepdim=True) @ value
    weights = weights.masked_fill(~mask, 0.0)
    total = weights.sum(dim=-1, keepdim=True)
    return weights / total.masked_fill(total == 0, 1.0) @ value


# ---- SelfAttention

self_attention_merged_without_transposing = edited(
    reference.SelfAttention,
    {"heads.transpose(1, 2).flatten(2)": "heads.reshape(x.shape)"},
    says="With several heads, features of different positions are mixed up: look at how the heads are put together again.",
)
self_attention_split_without_transposing = edited(
    reference.SelfAttention,
    {
        "x.unflatten(2, (self.heads, -1)).transpose(1, 2)": "x.reshape(x.shape[0], self.heads, x.shape[1], -1)",
        "heads.transpose(1, 2).flatten(2)": "heads.reshape(x.shape)",
    },
    says="With several heads a head mixes features of different positions: look at how they are cut.",
)
self_attention_with_interleaved_heads = edited(
    reference.SelfAttention,
    {
        "x.unflatten(2, (self.heads, -1)).transpose(1, 2)": "x.unflatten(2, (-1, self.heads)).permute(0, 3, 1, 2)",
        "heads.transpose(1, 2).flatten(2)": "heads.permute(0, 2, 3, 1).flatten(2)",
    },
    says="Each head takes every n-th feature, where it should have one block of neighbouring features.",
)
self_attention_with_one_head = edited(
    reference.SelfAttention,
    {"x.unflatten(2, (self.heads, -1))": "x.unflatten(2, (1, -1))"},
    says="The result is that of a single head, however many were asked for.",
)
self_attention_scaled_by_the_whole_width = edited(
    reference.SelfAttention,
    {"self.attend(query, key, value, allowed)": "self.attend(query / self.heads ** 0.5, key, value, allowed)"},
    says="With several heads the weights are too even: the scale is that of the whole width, and a head has a part of it.",
)
self_attention_without_the_output_map = edited(
    reference.SelfAttention,
    {"self.output(heads.transpose(1, 2).flatten(2))": "heads.transpose(1, 2).flatten(2)"},
    says="The weights of the map `output` have no effect: the heads are put side by side, and left like that.",
)
self_attention_that_sees_the_future = edited(
    reference.SelfAttention,
    {"if self.causal:": "if False:"},
    says="A position looks at later ones although it is asked to be causal.",
)
self_attention_that_is_always_causal = edited(
    reference.SelfAttention,
    {"if self.causal:": "if True:"},
    says="A position never looks at later ones, not even where `causal` is False.",
)
self_attention_upside_down = edited(
    reference.SelfAttention,
    {"allowed.tril()": "allowed.triu()"},
    says="If causal, a position looks at itself and at later ones: the triangle is the wrong one.",
)
self_attention_that_misses_itself = edited(
    reference.SelfAttention,
    {"allowed.tril()": "allowed.tril(-1)"},
    says="If causal, a position does not look at itself: the triangle begins one place too low.",
)
self_attention_that_looks_one_too_far = edited(
    reference.SelfAttention,
    {"allowed.tril()": "allowed.tril(1)"},
    says="If causal, a position looks at the next one as well: the triangle begins one place too high.",
)
self_attention_with_padding_as_queries = edited(
    reference.SelfAttention,
    {"mask[:, None, None, :]": "mask[:, None, :, None]"},
    says="Padding is kept from looking, and not from being looked at: the mask belongs to the keys.",
)
self_attention_without_the_mask = edited(
    reference.SelfAttention,
    {"if mask is not None:": "if False:"},
    says="What stands in the padding changes the results: the padding mask has no effect.",
)
self_attention_with_the_mask_alone = edited(
    reference.SelfAttention,
    {"allowed & mask": "torch.ones_like(allowed) & mask"},
    says="With a padding mask the future is visible: one mask replaces the other, where both should hold.",
)
self_attention_with_either_mask = edited(
    reference.SelfAttention,
    {"allowed & mask": "allowed | mask"},
    says="With a padding mask more can be seen than without: a key is visible if one mask allows it, where both have to.",
)

# ---- sinusoidal_positions


@mistake(
    "sinusoidal_positions",
    says="All sines come first and then all cosines: they should take turns.",
)
def positions_in_two_halves(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2:
        raise ValueError
    angles = torch.arange(length).unsqueeze(1) * base ** (-torch.arange(0, width, 2) / width)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@mistake(
    "sinusoidal_positions",
    says="The waves get longer too slowly, so that the slowest one is far too fast: the exponent has lost its factor 2.",
)
def positions_with_half_the_exponent(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2:
        raise ValueError
    angles = torch.arange(length).unsqueeze(1) * base ** (-torch.arange(width // 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


@mistake(
    "sinusoidal_positions",
    says="A sine and the cosine beside it have different wavelengths: the two of a pair share one angle.",
)
def positions_with_a_wave_for_each_feature(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2:
        raise ValueError
    angles = torch.arange(length).unsqueeze(1) * base ** (-torch.arange(width) / width)
    return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)


@mistake("sinusoidal_positions", says="The first row is not that of position 0: positions are counted from 1.")
def positions_from_one(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2:
        raise ValueError
    angles = torch.arange(1, length + 1).unsqueeze(1) * base ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


@mistake("sinusoidal_positions", says="Sines and cosines have changed places: the sine comes first.")
def positions_with_cosines_first(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2:
        raise ValueError
    angles = torch.arange(length).unsqueeze(1) * base ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)


@mistake(
    "sinusoidal_positions",
    says="The angles grow with the feature, where they should shrink: the power of the base belongs below the line.",
)
def positions_times_the_power(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2:
        raise ValueError
    angles = torch.arange(length).unsqueeze(1) * base ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


@mistake(
    "sinusoidal_positions",
    says="The slowest wave reaches the base itself: the exponents go up to 1, where the last should stop one step before.",
)
def positions_up_to_the_base(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2:
        raise ValueError
    angles = torch.arange(length).unsqueeze(1) * base ** (-torch.arange(width // 2) / max(1, width // 2 - 1))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


# ---- rotary_embedding

rotary_of_halves = edited(
    reference.rotary_embedding,
    {
        "x.to(exact).unflatten(-1, (-1, 2)).unbind(-1)": "x.to(exact).chunk(2, dim=-1)",
        "torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)": (
            "torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).unflatten(-1, (-1, 2))"
        ),
    },
    says="Feature i is turned together with feature i + width/2: the pairs should be neighbours.",
)
rotary_backwards = edited(
    reference.rotary_embedding,
    {
        "first * cos - second * sin, first * sin + second * cos": "first * cos + second * sin, second * cos - first * sin"
    },
    says="The pairs are turned the other way round: look at the signs in front of the sines.",
)
rotary_that_mirrors = edited(
    reference.rotary_embedding,
    {
        "first * cos - second * sin, first * sin + second * cos": "first * cos + second * sin, first * sin - second * cos"
    },
    says="At position 0 the second feature of each pair changes its sign: that is a reflection, and not a rotation.",
)
rotary_from_zero = edited(
    reference.rotary_embedding,
    {"positions.to(exact)": "torch.arange(len(positions), device=x.device).to(exact)"},
    says="The positions that are passed in have no effect: vectors are turned as if they stood at 0, 1, 2, ….",
)
rotary_from_one = edited(
    reference.rotary_embedding,
    {"positions.to(exact)": "(positions + 1).to(exact)"},
    says="Position 0 is turned, too: there is one step too many everywhere.",
)
rotary_with_half_the_exponent = edited(
    reference.rotary_embedding,
    {"(-pairs / width)": "(-pairs / (2 * width))"},
    says="The later pairs turn too fast: the exponent has lost its factor 2.",
)
rotary_with_one_speed = edited(
    reference.rotary_embedding,
    {"base ** (-pairs / width)": "base ** (-0 * pairs)"},
    says="All pairs turn at the same speed, where each should be slower than the one before.",
)
rotary_without_the_base = edited(
    reference.rotary_embedding,
    {"base ** (-pairs / width)": "10_000.0 ** (-pairs / width)"},
    says="`base` has no effect: the angles are always those of base 10 000.",
)
rotary_with_a_changed_first_feature = edited(
    reference.rotary_embedding,
    {
        "    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)\n": (
            "    first = first * cos - second * sin\n"
            "    turned = torch.stack([first, first * sin + second * cos], dim=-1)\n"
        )
    },
    says="The second feature of a pair is computed from the first one after that was turned: lengths change.",
)
rotary_that_adds = edited(
    reference.rotary_embedding,
    {"first * cos - second * sin, first * sin + second * cos": "first + sin, second + cos"},
    says="Sines and cosines are added to the vectors: they should turn them.",
)

# ---- TransformerBlock

block_with_normalisation_last = edited(
    reference.TransformerBlock,
    {
        "x = x + self.attention(self.norm1(x), mask)": "x = self.norm1(x + self.attention(x, mask))",
        'return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))': (
            'return self.norm2(x + self.down(F.gelu(self.up(x), approximate="tanh")))'
        ),
    },
    says="What was there is normalised as well: this is the block of 2017, which normalises last, and GPT-2 does so first.",
)
block_without_what_was_there = edited(
    reference.TransformerBlock,
    {"x = x + self.attention(": "x = self.attention("},
    says="The attention replaces what was there, where it should be added to it.",
)
block_that_forgets_before_thinking = edited(
    reference.TransformerBlock,
    {"return x + self.down(": "return self.down("},
    says="The second half of the block replaces what was there, where it should be added to it.",
)
block_that_adds_what_is_normalised = edited(
    reference.TransformerBlock,
    {"x = x + self.attention(self.norm1(x), mask)": "x = self.norm1(x)\n        x = x + self.attention(x, mask)"},
    says="The attention is added to the normalised input: it belongs to the input as it was.",
)
block_with_the_exact_gelu = edited(
    reference.TransformerBlock,
    {', approximate="tanh"': ""},
    says="Results are off in the fourth digit: this is the exact GELU, and GPT-2 has the one with tanh.",
)
block_with_relu = edited(
    reference.TransformerBlock,
    {'F.gelu(self.up(self.norm2(x)), approximate="tanh")': "F.relu(self.up(self.norm2(x)))"},
    says="The nonlinearity cuts everything below zero off: it is a ReLU, where a GELU was asked for.",
)
block_without_a_nonlinearity = edited(
    reference.TransformerBlock,
    {'F.gelu(self.up(self.norm2(x)), approximate="tanh")': "self.up(self.norm2(x))"},
    says="The second half of the block is affine: something is missing between its two maps.",
)
block_that_thinks_without_normalising = edited(
    reference.TransformerBlock,
    {"self.up(self.norm2(x))": "self.up(x)"},
    says="The weights of norm2 have no effect: the second half of the block works on what is not normalised.",
)
block_with_one_norm = edited(
    reference.TransformerBlock,
    {"self.up(self.norm2(x))": "self.up(self.norm1(x))"},
    says="The weights of norm2 have no effect, and those of norm1 work twice.",
)
block_without_the_mask = edited(
    reference.TransformerBlock,
    {"self.attention(self.norm1(x), mask)": "self.attention(self.norm1(x), None)"},
    says="The attention is never told of padding: the mask is not handed on.",
)
block_in_parallel = edited(
    reference.TransformerBlock,
    {
        "x = x + self.attention(self.norm1(x), mask)": "attended = self.attention(self.norm1(x), mask)",
        "return x + self.down(": "return x + attended + self.down(",
    },
    says="The second half of the block does not see what the attention has found: both work on the same input.",
)

# ---- GPT

gpt_with_an_output_of_its_own = edited(
    reference.GPT,
    {
        "self.norm = nn.LayerNorm(width)": (
            "self.norm = nn.LayerNorm(width)\n        self.head = nn.Linear(width, vocabulary, bias=False)"
        ),
        "self.norm(x) @ self.token.weight.T": "self.head(self.norm(x))",
    },
    says="The output has weights of its own: it should share those of the token embedding.",
)
gpt_without_the_last_norm = edited(
    reference.GPT,
    {"self.norm(x) @": "x @"},
    says="The weights of the last norm have no effect: the scores come right from the last block.",
)
gpt_without_positions = edited(
    reference.GPT,
    {" + self.position(torch.arange(length, device=ids.device))": ""},
    says="Tokens do not know where they stand: the position vectors have no effect.",
)
gpt_with_positions_from_one = edited(
    reference.GPT,
    {
        "torch.arange(length, device=ids.device)": "torch.arange(1, length + 1).clamp(max=self.position.num_embeddings - 1)"
    },
    says="Every token gets the position vector of the next place: positions count from 0.",
)
gpt_with_the_last_position_everywhere = edited(
    reference.GPT,
    {"torch.arange(length, device=ids.device)": "torch.tensor(length - 1)"},
    says="All tokens of a text get one and the same position vector.",
)
gpt_with_scaled_embeddings = edited(
    reference.GPT,
    {"self.token(ids) +": "self.token(ids) * self.token.embedding_dim ** 0.5 +"},
    says="Token vectors are multiplied by the root of the width before positions are added: GPT-2 adds them as they are.",
)
gpt_with_blocks_in_a_list = edited(
    reference.GPT,
    {"nn.ModuleList(blocks)": "list(blocks)"},
    says="The blocks are not among `.parameters()`, so that no optimiser finds them: look at what holds them.",
)
gpt_without_the_mask = edited(
    reference.GPT,
    {"block(x, mask)": "block(x, None)"},
    says="The blocks are never told of padding: the mask is not handed on.",
)
gpt_backwards = edited(
    reference.GPT,
    {"for block in self.blocks:": "for block in reversed(self.blocks):"},
    says="The blocks follow in the wrong order: the last one comes first.",
)
gpt_that_adds_blocks = edited(
    reference.GPT,
    {"x = block(x, mask)": "x = x + block(x, mask)"},
    says="What goes into a block is added to what comes out: a block does that itself.",
)
gpt_of_probabilities = edited(
    reference.GPT,
    {"self.norm(x) @ self.token.weight.T": "(self.norm(x) @ self.token.weight.T).softmax(-1)"},
    says="The scores of a position add up to 1: these are probabilities, and logits were asked for.",
)
# ---- merge_pairs


@mistake("merge_pairs", says="Only the first occurrence of the pair is replaced.")
def merging_once(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    merged = list(tokens)
    for position in range(len(merged) - 1):
        if tuple(merged[position : position + 2]) == tuple(pair):
            merged[position : position + 2] = [new]
            break
    return merged


@mistake(
    "merge_pairs",
    says="Merges go on with what they have made: where the new token is one of the pair, it is merged again.",
)
def merging_again_and_again(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    merged: list[int] = []
    for token in tokens:
        merged.append(token)
        while tuple(merged[-2:]) == tuple(pair):
            merged[-2:] = [new]
    return merged


@mistake(
    "merge_pairs", says="In a run of three equal tokens the last two are merged: pairs should be taken from the left."
)
def merging_from_the_right(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    merged: list[int] = []
    position = len(tokens)
    while position > 0:
        if position > 1 and tuple(tokens[position - 2 : position]) == tuple(pair):
            merged.append(new)
            position -= 2
        else:
            position -= 1
            merged.append(tokens[position])
    return merged[::-1]


@mistake(
    "merge_pairs", says="In a run of three equal tokens two pairs are found: a token takes part in one merge at most."
)
def merging_pairs_that_overlap(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    merged: list[int] = []
    covered = False
    for position, token in enumerate(tokens):
        if tuple(tokens[position : position + 2]) == tuple(pair):
            merged.append(new)
            covered = True
        elif covered:
            covered = False
        else:
            merged.append(token)
    return merged


@mistake("merge_pairs", says="The last token is missing where it is part of no pair.")
def merging_without_the_last(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    merged: list[int] = []
    position = 0
    while position < len(tokens) - 1:
        if tuple(tokens[position : position + 2]) == tuple(pair):
            merged.append(new)
            position += 2
        else:
            merged.append(tokens[position])
            position += 1
    return merged


@mistake("merge_pairs", says="The pair is merged in either order: the first of it has to stand before the second.")
def merging_in_either_order(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    merged: list[int] = []
    position = 0
    while position < len(tokens):
        if tuple(tokens[position : position + 2]) in (tuple(pair), tuple(pair)[::-1]):
            merged.append(new)
            position += 2
        else:
            merged.append(tokens[position])
            position += 1
    return merged


@mistake("merge_pairs", says="The second token of the pair stays: it should go, with the first.")
def merging_that_keeps_the_second(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    return [new if tuple(tokens[i : i + 2]) == tuple(pair) else token for i, token in enumerate(tokens)]


# ---- learn_merges

merges_with_the_largest_of_equals = edited(
    reference.learn_merges,
    {"min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)": (
        "max(pairs, key=lambda pair: (pairs[pair], pair), default=None)"
    )},
    says="Among equally frequent pairs the largest is chosen, and the smallest should be.",
)  # fmt: skip
merges_with_the_first_of_equals = edited(
    reference.learn_merges,
    {"key=lambda pair: (-pairs[pair], pair)": "key=lambda pair: -pairs[pair]"},
    says="Among equally frequent pairs the one that was met first is chosen, and the smallest should be.",
)
merges_of_different_words = edited(
    reference.learn_merges,
    {"words = [list(word) for word in words]": "words = [list(word) for word in dict.fromkeys(map(tuple, words))]"},
    says="A word counts once, however often it occurs.",
)
merges_that_are_not_made = edited(
    reference.learn_merges,
    {
        "        words = [merge(word, best, new) for word in words]\n": "",
        "pairs = Counter(pair for word in words for pair in itertools.pairwise(word))": (
            "pairs = Counter(p for word in words for p in itertools.pairwise(word) if p not in merges)"
        ),
    },
    says="No merge builds on an earlier one: pairs are chosen, but not merged in the words.",
)
merges_across_words = edited(
    reference.learn_merges,
    {"words = [list(word) for word in words]": "words = [[token for word in words for token in word]]"},
    says="Pairs are found where one word ends and the next begins.",
)
merges_of_what_occurs_once = edited(
    reference.learn_merges,
    {"pairs[best] < 2": "pairs[best] < 1"},
    says="Pairs that occur only once are merged: it should stop before.",
)
merges_that_need_three = edited(
    reference.learn_merges,
    {"pairs[best] < 2": "pairs[best] < 3"},
    says="It stops too early: a pair that occurs twice is still to be merged.",
)
merges_numbered_from_one = edited(
    reference.learn_merges,
    {"range(first, first + count)": "range(first + 1, first + 1 + count)"},
    says="The new tokens are numbered one too high: the first merge makes the token `first`.",
)
merges_counted_once_a_word = edited(
    reference.learn_merges,
    {"for pair in itertools.pairwise(word))": "for pair in set(itertools.pairwise(word)))"},
    says="A pair counts once for each word, however often it occurs in it.",
)

# ---- perplexity

perplexity_without_a_shift = edited(
    reference.perplexity,
    {
        "logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten().long()": "logits.flatten(0, 1), labels.flatten().long()",
        "count = (labels[:, 1:] != -100)": "count = (labels != -100)",
    },
    says="The model is judged by the token that it has just read: its scores are about the next one.",
)
perplexity_shifted_the_wrong_way = edited(
    reference.perplexity,
    {
        "logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten().long()": (
            "logits[:, 1:].flatten(0, 1), labels[:, :-1].flatten().long()"
        ),
        "count = (labels[:, 1:] != -100)": "count = (labels[:, :-1] != -100)",
    },
    says="The model is judged by the token before: logits and labels are shifted against each other the wrong way.",
)
perplexity_over_all_places = edited(
    reference.perplexity,
    {"return (surprises / count).exp()": "return (surprises / labels[:, 1:].numel()).exp()"},
    says="Labels of −100 cost nothing and count all the same: the mean is over the tokens that are asked for.",
)
perplexity_that_averages_texts = edited(
    reference.perplexity,
    {
        'reduction="sum"\n    )': 'reduction="none"\n    ).view(len(labels), -1)',
        "return (surprises / count).exp()": (
            "return (surprises.sum(1) / (labels[:, 1:] != -100).sum(1).clamp(min=1)).mean().exp()"
        ),
    },
    says="Each text counts the same, however many tokens it has: the mean should be over tokens.",
)
perplexity_averaged_after_the_exponential = edited(
    reference.perplexity,
    {
        'reduction="sum"': 'reduction="none"',
        "return (surprises / count).exp()": ("return surprises[labels[:, 1:].flatten() != -100].exp().mean()"),
    },
    says="One unlikely token ruins everything: the mean is taken after the exponential, and belongs before it.",
)
perplexity_without_the_exponential = edited(
    reference.perplexity,
    {"return (surprises / count).exp()": "return surprises / count"},
    says="A model that guesses gets the logarithm of the vocabulary's size: this is the loss, its exponential is missing.",
)
perplexity_to_base_two = edited(
    reference.perplexity,
    {"return (surprises / count).exp()": "return 2 ** (surprises / count)"},
    says="The surprise is in nats, and 2 is raised to it: the base of the power has to fit the logarithm.",
)
perplexity_of_rounded_probabilities = edited(
    reference.perplexity,
    {
        "F.cross_entropy(\n        logits[:, :-1].flatten(0, 1)": (
            "F.nll_loss(\n        logits[:, :-1].flatten(0, 1).softmax(1).log()"
        )
    },
    says="A very unlikely token gives infinity: the logarithm is taken of a softmax that was rounded to 0.",
)
perplexity_of_the_sum = edited(
    reference.perplexity,
    {"return (surprises / count).exp()": "return surprises.exp()"},
    says="The longer the text, the higher the perplexity: a sum stands where a mean was asked for.",
)

# ---- attend_with_cache

cached_attention_without_causality = edited(
    reference.attend_with_cache,
    {".tril(past)": ""},
    says="Of several new positions the earlier ones look at the later ones.",
)
cached_attention_from_the_corner = edited(
    reference.attend_with_cache,
    {".tril(past)": ".tril()"},
    says="New positions see the beginning of the cache only: the triangle has to begin after what is in the cache.",
)
cached_attention_that_misses_itself = edited(
    reference.attend_with_cache,
    {".tril(past)": ".tril(past - 1)"},
    says="A new position does not look at itself: the triangle begins one place too low.",
)
cached_attention_that_looks_one_too_far = edited(
    reference.attend_with_cache,
    {".tril(past)": ".tril(past + 1)"},
    says="A new position looks at the next one as well: the triangle begins one place too high.",
)
cached_attention_with_the_newest_first = edited(
    reference.attend_with_cache,
    {
        "torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)": (
            "torch.cat([key, cache[0]], dim=2), torch.cat([value, cache[1]], dim=2)"
        )
    },
    says="In the cache the newest positions stand before the older ones.",
)
cached_attention_that_forgets = edited(
    reference.attend_with_cache,
    {
        "    past = 0\n": "    past, new = 0, (key, value)\n",
        "return attend(query, key, value, mask), (key, value)": "return attend(query, key, value, mask), new",
    },
    says="The cache holds the newest positions alone: what was remembered before is dropped.",
)
cached_attention_without_the_cache = edited(
    reference.attend_with_cache,
    {"if cache is not None:": "if False:"},
    says="New positions look at new ones alone: the cache has no effect.",
)
cached_attention_that_returns_the_old_cache = edited(
    reference.attend_with_cache,
    {
        "    past = 0\n": "    past, before = 0, cache\n",
        "return attend(query, key, value, mask), (key, value)": (
            "return attend(query, key, value, mask), ((key, value) if before is None else before)"
        ),
    },
    says="The cache does not grow: the new positions are not remembered.",
)

# ---- generate_with_cache

generation_that_reads_everything_again = edited(
    reference.generate_with_cache,
    {"ids = chosen.unsqueeze(1)\n            texts = torch.cat([texts, ids], dim=1)": (
        "texts = torch.cat([texts, chosen.unsqueeze(1)], dim=1)\n            ids = texts"
    )},
    says="The whole text is read again with each call, on top of the cache: only the newest tokens are to be read.",
)  # fmt: skip
generation_without_the_cache = edited(
    reference.generate_with_cache,
    {"logits, cache = step(ids, cache)": "logits, _ = step(ids, None)"},
    says="What a call returns as its cache never comes back with the next call.",
)
generation_without_using_a_cache = edited(
    reference.generate_with_cache,
    {"logits, cache = step(ids, cache)": "logits, _ = step(texts, None)"},
    says="The texts are right, but every call reads all of the text anew, without a cache.",
)
generation_from_the_first_scores = edited(
    reference.generate_with_cache,
    {"logits[:, -1].argmax(dim=1) if choose is None else choose(logits[:, -1])": (
        "logits[:, 0].argmax(dim=1) if choose is None else choose(logits[:, 0])"
    )},
    says="The first new token is chosen by the scores of the first position of the prompt: those of the last one count.",
)  # fmt: skip
generation_without_choose = edited(
    reference.generate_with_cache,
    {"logits[:, -1].argmax(dim=1) if choose is None else choose(logits[:, -1])": "logits[:, -1].argmax(dim=1)"},
    says="`choose` is never asked: the token with the highest score is always taken.",
)
generation_that_goes_on_after_the_end = edited(
    reference.generate_with_cache,
    {"                chosen = chosen.masked_fill(ended, end)\n": ""},
    says="After its end a text goes on as long as others do: it should be filled up with the end token.",
)
generation_that_stops_with_the_first = edited(
    reference.generate_with_cache,
    {"if ended.all():": "if ended.any():"},
    says="As soon as one text has ended, all of them stop.",
)
generation_that_is_cut_short = edited(
    reference.generate_with_cache,
    {"return torch.cat([texts, rest], dim=1)": "return texts"},
    says="The result has fewer columns than were asked for when all texts end early: the rest is to be filled up.",
)
generation_that_never_ends = edited(
    reference.generate_with_cache,
    {"if end is not None:": "if False:"},
    says="The end token ends nothing: texts go on behind it.",
)
generation_without_the_prompt = edited(
    reference.generate_with_cache,
    {"    return texts\n": "    return texts[:, prompt.shape[1] :]\n"},
    says="The prompt is missing: only the new tokens are returned.",
)
generation_with_one_call_too_many = edited(
    reference.generate_with_cache,
    {"    return texts\n": "        if new_tokens:\n            step(ids, cache)\n    return texts\n"},
    says="After the last token `step` is called once more, and nobody reads what it says.",
)

# ---- mask_tokens

masking_of_everything_selected = edited(
    reference.mask_tokens,
    {
        "selected & (action < 0.8), mask_token": "selected, mask_token",
        "    inputs = torch.where(selected & (action >= 0.8) & (action < 0.9), replacements, inputs)\n": "",
    },
    says="Everything that takes part is hidden: some tokens should be replaced by others, and some left as they are.",
)
masking_that_asks_for_everything = edited(
    reference.mask_tokens,
    {"tokens.masked_fill(~selected, -100)": "tokens.clone()"},
    says="All tokens are to be predicted, also those that take no part.",
)
masking_that_asks_for_hidden_tokens_only = edited(
    reference.mask_tokens,
    {"tokens.masked_fill(~selected, -100)": "tokens.masked_fill(~(selected & (action < 0.8)), -100)"},
    says="Only hidden tokens are to be predicted: those that were replaced or left as they are belong to them, too.",
)
masking_that_asks_for_changed_tokens_only = edited(
    reference.mask_tokens,
    {"tokens.masked_fill(~selected, -100)": "tokens.masked_fill(~(selected & (action < 0.9)), -100)"},
    says="Tokens that take part and stay as they are are not to be predicted: all three kinds are.",
)
masking_that_asks_for_what_it_shows = edited(
    reference.mask_tokens,
    {"return inputs, labels": "return inputs, inputs.masked_fill(~selected, -100)"},
    says="The labels hold what the model sees in the gaps: they should hold what stood there before.",
)
masking_of_protected_tokens = edited(
    reference.mask_tokens,
    {"(select < rate) & ~kept": "select < rate"},
    says="Protected tokens take part as well.",
)
masking_the_wrong_way_round = edited(
    reference.mask_tokens,
    {"select < rate": "select >= rate"},
    says="Tokens take part where the draw is above the rate: the comparison is the wrong way round.",
)
masking_at_a_fixed_rate = edited(
    reference.mask_tokens,
    {"select < rate": "select < 0.15"},
    says="`rate` has no effect: it is always 15%.",
)
masking_with_shares_exchanged = edited(
    reference.mask_tokens,
    {"(action >= 0.8) & (action < 0.9)": "(action >= 0.9)"},
    says="Where the draw is between 0.8 and 0.9 tokens stay, and above 0.9 they are replaced: it should be the reverse.",
)
masking_with_zero_labels = edited(
    reference.mask_tokens,
    {"-100": "0"},
    says="What is not to be predicted has the label 0, which is a token: it should be −100.",
)

# ---- corrupt_spans

spans_that_count_up = edited(
    reference.corrupt_spans,
    {"sentinel -= 1": "sentinel += 1"},
    says="The sentinels count up: in T5 they count down from the first one.",
)
spans_of_single_tokens = edited(
    reference.corrupt_spans,
    {"gone and not before": "gone"},
    says="Each corrupted token gets a sentinel of its own: neighbours form one span with one sentinel.",
)
spans_without_an_end = edited(
    reference.corrupt_spans,
    {"[*targets, sentinel]": "targets"},
    says="The targets stop with the last missing token: one further sentinel should end them.",
)
spans_ended_by_the_last_sentinel = edited(
    reference.corrupt_spans,
    {"[*targets, sentinel]": "[*targets, sentinel + 1]"},
    says="The targets end with the sentinel of the last span once more: the one that ends them is the next.",
)
spans_with_one_sentinel = edited(
    reference.corrupt_spans,
    {"            sentinel -= 1\n": ""},
    says="All gaps have the same sentinel, so that nobody can tell which filling belongs to which.",
)
spans_without_sentinels_in_the_targets = edited(
    reference.corrupt_spans,
    {"            targets.append(sentinel)\n": ""},
    says="The targets hold the missing tokens without sentinels: where one span ends and the next begins is lost.",
)
spans_without_sentinels_in_the_inputs = edited(
    reference.corrupt_spans,
    {"            inputs.append(sentinel)\n": ""},
    says="The inputs do not show where something is missing: the sentinels are not in them.",
)
spans_one_too_low = edited(
    reference.corrupt_spans,
    {"    before = False\n": "    before = False\n    sentinel -= 1\n"},
    says="The first sentinel is one too low: the first gap gets the id that was passed in.",
)
spans_inverted = edited(
    reference.corrupt_spans,
    {"corrupted.tolist()": "(~corrupted).tolist()"},
    says="What should be kept is taken out, and the other way round.",
)

# ---- relative_position_bucket

drawers_with_the_sides_exchanged = edited(
    reference.relative_position_bucket,
    {"(relative_position > 0)": "(relative_position < 0)"},
    says="The upper half of the drawers holds the keys before the query: it is for those after it.",
)
drawers_with_zero_above = edited(
    reference.relative_position_bucket,
    {"(relative_position > 0)": "(relative_position >= 0)"},
    says="Distance 0 is in the upper half: only keys after the query belong there.",
)
drawers_that_look_ahead = edited(
    reference.relative_position_bucket,
    {"(-relative_position).clamp(min=0)": "relative_position.clamp(min=0)"},
    says="Without `bidirectional` the keys before the query share one drawer: the sign of the position is flipped.",
)
drawers_that_ignore_the_side = edited(
    reference.relative_position_bucket,
    {"(-relative_position).clamp(min=0)": "relative_position.abs()"},
    says="Without `bidirectional` keys after the query have drawers like those before it: they count as distance 0.",
)
drawers_of_equal_width = edited(
    reference.relative_position_bucket,
    {
        "(distance.clamp(min=1).double() / exact).log() / math.log(max_distance / exact) * (side - exact)": (
            "(distance.double() - exact) / (max_distance - exact) * (side - exact)"
        )
    },
    says="Far drawers are all equally wide: they should get wider with the logarithm of the distance.",
)
drawers_that_round = edited(
    reference.relative_position_bucket,
    {"far.long()": "far.round().long()"},
    says="Some far distances are one drawer too high: the logarithm is rounded, where it should be cut off.",
)
drawers_without_a_last = edited(
    reference.relative_position_bucket,
    {"(exact + far.long()).clamp(max=side - 1)": "exact + far.long()"},
    says="Distances from max_distance on leave the drawers that there are: the last one should hold them all.",
)
drawers_not_halved = edited(
    reference.relative_position_bucket,
    {"side = buckets // 2": "side = buckets"},
    says="With `bidirectional` there are twice as many drawers as asked for: the two sides share them.",
)
drawers_with_more_exact_ones = edited(
    reference.relative_position_bucket,
    {"exact = side // 2": "exact = side // 2 + 1"},
    says="One distance too many has a drawer of its own: it is half of the drawers of a side.",
)

# ---- fine_tuning_labels

labels_shifted = edited(
    reference.fine_tuning_labels,
    {"return tokens.masked_fill(~answer, -100)": (
        "return F.pad(tokens.masked_fill(~answer, -100)[:, 1:], (0, 1), value=-100)"
    )},
    says="The labels are shifted by one place: whoever computes the loss does that.",
)  # fmt: skip
labels_with_the_prompt = edited(
    reference.fine_tuning_labels,
    {"mask & (mask.cumsum(dim=1) > prompt_lengths.unsqueeze(1))": "mask"},
    says="The prompt is to be learnt as well: only the answer should be.",
)
labels_with_padding = edited(
    reference.fine_tuning_labels,
    {"answer = mask & (mask": "answer = (mask"},
    says="Padding behind a text is to be learnt, like an answer.",
)
labels_that_count_columns = edited(
    reference.fine_tuning_labels,
    {"(mask.cumsum(dim=1) > prompt_lengths": "(torch.arange(1, tokens.shape[1] + 1) > prompt_lengths"},
    says="With padding at the left a part of the prompt is to be learnt: the prompt is counted from the first column.",
)
labels_that_miss_the_first_word = edited(
    reference.fine_tuning_labels,
    {"> prompt_lengths.unsqueeze(1)": "> prompt_lengths.unsqueeze(1) + 1"},
    says="The first token of the answer is not to be learnt: the prompt is taken to be one token longer than it is.",
)
labels_that_begin_too_early = edited(
    reference.fine_tuning_labels,
    {"> prompt_lengths": ">= prompt_lengths"},
    says="The last token of the prompt is to be learnt: the prompt is taken to be one token shorter than it is.",
)
labels_with_padding_by_its_id = edited(
    reference.fine_tuning_labels,
    {"~answer, -100": "~answer | (tokens == tokens[~mask][:1]).logical_and((~mask).any()), -100"},
    says="Where the id of padding occurs within an answer it is not to be learnt: the mask says what is padding.",
)
labels_of_zero = edited(
    reference.fine_tuning_labels,
    {"-100": "0"},
    says="What is not to be learnt has the label 0, which is a token: it should be −100.",
)

# ---- format_chat

chat_with_stripped_contents = edited(
    reference.format_chat,
    {"{content}{end": "{content.strip()}{end"},
    says="Spaces and line breaks at the ends of a content are lost: it is to stay as it is.",
)
chat_with_lines = edited(
    reference.format_chat,
    {"{end.get(role, '')}": "{end.get(role, '')}\\n"},
    says="There is a line break after each message that the markers do not hold: nothing is put between messages.",
)
chat_without_ends = edited(
    reference.format_chat,
    {"{end.get(role, '')}": ""},
    says="Nothing says where a message ends: what should stand after it is missing.",
)
chat_that_always_prompts = edited(
    reference.format_chat,
    {'return text + begin["assistant"] if add_generation_prompt else text': 'return text + begin["assistant"]'},
    says="The beginning of an answer stands at the end even if nobody asked for it.",
)
chat_that_never_prompts = edited(
    reference.format_chat,
    {'return text + begin["assistant"] if add_generation_prompt else text': "return text"},
    says="The beginning of an answer is missing at the end: `add_generation_prompt` has no effect.",
)
chat_with_a_prompt_that_ends = edited(
    reference.format_chat,
    {'begin["assistant"] if': 'begin["assistant"] + end.get("assistant", "") if'},
    says="The prompt for an answer is closed again: an empty answer stands there already.",
)
chat_with_special_strings = edited(
    reference.format_chat,
    {"if any(marker in content for marker in special):": "if False:"},
    says="A content with a special string in it is let through: a user can speak as somebody else.",
)
chat_with_the_first_special_string_alone = edited(
    reference.format_chat,
    {"for marker in special)": "for marker in special[:1])"},
    says="Only the first special string is refused in a content.",
)
chat_with_system_messages_anywhere = edited(
    reference.format_chat,
    {'role not in begin or (role == "system" and index > 0)': "role not in begin"},
    says="A system message is let through in the middle of a conversation.",
)
chat_with_unknown_roles = edited(
    reference.format_chat,
    {"role not in begin or (role": "(role", "{begin[role]}": "{begin.get(role, role)}"},
    says="A message with an unknown role is let through.",
)

# ---- trim_history

history_without_the_system = edited(
    reference.trim_history,
    {"kept = [*system, *messages[start:]]": "kept = [*messages[start:]]"},
    says="The system message is forgotten with the oldest messages: it always stays.",
)
history_with_an_uncounted_system = edited(
    reference.trim_history,
    {"count(kept) <= budget": "count(messages[start:]) <= budget"},
    says="What is kept takes more than the budget: the system message is not counted.",
)
history_that_begins_with_an_answer = edited(
    reference.trim_history,
    {'messages[start]["role"] == "user" and ': ""},
    says="What is kept can begin with an answer whose question is forgotten.",
)
history_below_the_budget = edited(
    reference.trim_history,
    {"<= budget": "< budget"},
    says="A history that takes exactly the budget is cut: it fits.",
)
history_counted_piece_by_piece = edited(
    reference.trim_history,
    {"count(kept) <= budget": "sum(count([each]) for each in kept) <= budget"},
    says="Messages are counted one by one and added up: a list of messages has to be counted as a whole.",
)
history_of_nothing = edited(
    reference.trim_history,
    {'raise ValueError(f"no part of the conversation fits into {budget} tokens")': "return system"},
    says="If not even the last question fits, the system message alone is kept: that should be refused.",
)


@mistake(
    "trim_history",
    says="A message that is too long is left out and older ones are kept: what is kept should be an unbroken run.",
)
def history_with_gaps(messages: Sequence[dict[str, str]], budget: int, count: Callable) -> list[dict[str, str]]:
    system = list(messages[:1]) if messages and messages[0]["role"] == "system" else []
    kept: list[dict[str, str]] = []
    for message in reversed(messages[len(system) :]):
        if count([*system, message, *kept]) <= budget:
            kept = [message, *kept]
    while kept and kept[0]["role"] != "user":
        kept = kept[1:]
    if not kept:
        raise ValueError
    return [*system, *kept]


@mistake("trim_history", says="The latest messages are forgotten and the oldest are kept.")
def history_of_the_oldest(messages: Sequence[dict[str, str]], budget: int, count: Callable) -> list[dict[str, str]]:
    kept = list(messages)
    while kept and count(kept) > budget:
        kept = kept[:-1]
    if not any(message["role"] == "user" for message in kept):
        raise ValueError
    return kept


# ---- pass_at_k


@mistake(
    "pass_at_k",
    says="The estimate is too low: programs are drawn with replacement, as if the same could come twice.",
)
def pass_with_replacement(samples: int, correct: int, k: int) -> float:
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError
    return 1.0 - (1.0 - correct / samples) ** k


@mistake("pass_at_k", says="The estimate does not depend on k: it is the share of programs that passed.")
def pass_at_one(samples: int, correct: int, k: int) -> float:
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError
    return correct / samples


@mistake(
    "pass_at_k",
    says="The chances of k draws are added up, which counts twice what passes twice: see what their sum is at.",
)
def pass_by_adding_up(samples: int, correct: int, k: int) -> float:
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError
    return min(1.0, k * correct / samples)


@mistake("pass_at_k", says="This is the probability that all k programs are right: one of them is enough.")
def pass_of_all(samples: int, correct: int, k: int) -> float:
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError
    return math.comb(correct, k) / math.comb(samples, k)


@mistake("pass_at_k", says="This is the probability that exactly one of k programs is right: it may be more.")
def pass_of_exactly_one(samples: int, correct: int, k: int) -> float:
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError
    return correct * math.comb(samples - correct, k - 1) / math.comb(samples, k)


@mistake("pass_at_k", says="This is the probability that none of k programs is right: it has to be taken from 1.")
def fail_at_k(samples: int, correct: int, k: int) -> float:
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError
    return math.comb(samples - correct, k) / math.comb(samples, k)


@mistake(
    "pass_at_k",
    says="With hundreds of samples there is an OverflowError or NaN: the factorials do not fit into a float.",
)
def pass_by_float_factorials(samples: int, correct: int, k: int) -> float:
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError
    wrong = samples - correct
    if wrong < k:
        return 1.0
    ways = float(math.factorial(wrong)) / float(math.factorial(wrong - k))
    return 1.0 - ways * float(math.factorial(samples - k)) / float(math.factorial(samples))


# ---- rouge_l

rouge_of_neighbours = edited(
    reference.rouge_l,
    {
        "lengths[index + 1] = diagonal + 1 if word == other else max(above, lengths[index])": (
            "lengths[index + 1] = diagonal + 1 if word == other else 0\n            best = max(best, lengths[index + 1])"
        ),
        "    for word in candidate:\n": "    best = 0\n    for word in candidate:\n",
        "common = lengths[-1]": "common = best",
    },
    says="Only words that follow one another without a gap are counted: this is the longest common piece.",
)
rouge_of_bags = edited(
    reference.rouge_l,
    {"common = lengths[-1]": "common = (Counter(candidate) & Counter(reference)).total()"},
    says="The order of the words does not matter: this is the overlap of two bags of words.",
)
rouge_of_sets = edited(
    reference.rouge_l,
    {"common = lengths[-1]": "common = len(set(candidate) & set(reference))"},
    says="Neither order nor repetition of the words matter: this is the overlap of two sets.",
)
rouge_exchanged = edited(
    reference.rouge_l,
    {"common / len(candidate), common / len(reference)": "common / len(reference), common / len(candidate)"},
    says="Precision and recall have changed places: precision is about the candidate.",
)
rouge_with_the_plain_mean = edited(
    reference.rouge_l,
    {"2 * precision * recall / (precision + recall)": "(precision + recall) / 2"},
    says="F is the plain mean of precision and recall: the harmonic one was asked for.",
)
rouge_without_two = edited(
    reference.rouge_l,
    {"2 * precision * recall / (precision + recall)": "precision * recall / (precision + recall)"},
    says="F is half of what it should be: equal precision and recall should give the same again.",
)
rouge_of_nothing = edited(
    reference.rouge_l,
    {"    if common == 0:\n        return 0.0, 0.0, 0.0\n": ""},
    says="Summaries that share nothing end in a ZeroDivisionError: 0/0 should count as 0.",
)


@mistake(
    "rouge_l",
    says="A word that is found late hides those before it: each is matched with its first occurrence, come what may.",
)
def rouge_by_greed(candidate: Sequence[str], reference: Sequence[str]) -> tuple[float, float, float]:
    rest, common = list(reference), 0
    for word in candidate:
        if word in rest:
            common += 1
            rest = rest[rest.index(word) + 1 :]
    if common == 0:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(candidate), common / len(reference)
    return precision, recall, 2 * precision * recall / (precision + recall)
