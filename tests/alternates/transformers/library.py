"""Correct answers to `transformers` that leave the work to torch, numpy and the standard library."""

import bisect
import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


class SelfAttention(nn.Module):
    def __init__(
        self, width: int, heads: int, *, causal: bool = True, attend: Callable = scaled_dot_product_attention
    ) -> None:
        super().__init__()
        if width % heads != 0:
            raise ValueError("width must be a multiple of heads")
        self.width, self.heads, self.causal = width, heads, causal
        for name in ("query", "key", "value", "output"):
            self.add_module(name, nn.Linear(width, width))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        sequence = x.transpose(0, 1)
        later = torch.ones(len(sequence), len(sequence), dtype=torch.bool).triu(1) if self.causal else None
        out, _ = F.multi_head_attention_forward(
            *(sequence, sequence, sequence, self.width, self.heads),
            in_proj_weight=None,
            in_proj_bias=torch.cat([self.query.bias, self.key.bias, self.value.bias]),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=self.output.weight,
            out_proj_bias=self.output.bias,
            key_padding_mask=None if mask is None else mask.logical_not(),
            attn_mask=later,
            need_weights=False,
            use_separate_proj_weight=True,
            q_proj_weight=self.query.weight,
            k_proj_weight=self.key.weight,
            v_proj_weight=self.value.weight,
        )
        out = out.transpose(0, 1)
        # What stands at padding may be NaN here, where nothing may be looked at.
        return out if mask is None else torch.where(mask.unsqueeze(2), out, torch.zeros_like(out))


def sinusoidal_positions(length: int, width: int, *, base: float = 10_000.0) -> Tensor:
    if width % 2 == 1:
        raise ValueError("width must be even")
    angles = torch.outer(
        torch.arange(length, dtype=torch.float32), torch.pow(base, torch.arange(0, width, 2).div(width)).reciprocal()
    )
    table = torch.zeros(length, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(angles), torch.cos(angles)
    return table


def rotary_embedding(x: Tensor, positions: Tensor, *, base: float = 10_000.0) -> Tensor:
    width = x.shape[-1]
    if width % 2:
        raise ValueError("width must be even")
    speeds = torch.logspace(0, -1 + 2 / width, width // 2, base=base, dtype=torch.float64)
    angles = torch.outer(positions.double(), speeds)
    numbers = torch.view_as_complex(x.double().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(numbers * torch.polar(torch.ones_like(angles), angles)).reshape(x.shape).to(x.dtype)


class TransformerBlock(nn.Module):
    def __init__(self, width: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = attention
        self.up, self.down = nn.Linear(width, width * 4), nn.Linear(width * 4, width)
        self.activation = nn.GELU(approximate="tanh")
        self.dropout = nn.Dropout(0.0)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = torch.add(x, self.attention(self.norm1(x), mask=mask))
        return torch.add(x, self.dropout(self.down(self.activation(self.up(self.norm2(x))))))


class GPT(nn.Module):
    def __init__(self, vocabulary: int, context: int, width: int, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        self.head.weight = self.token.weight
        self.blocks = nn.ModuleList([*blocks])
        self.norm = nn.LayerNorm(width)
        self.register_buffer("places", torch.arange(context), persistent=False)
        for embedding in (self.token, self.position):
            embedding.weight.data.normal_(0.0, 0.02)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        if ids.shape[1] > len(self.places):
            raise ValueError("the text is longer than the context")
        x = self.token(ids) + self.position(self.places[: ids.shape[1]])
        return self.head(self.norm(functools.reduce(lambda x, block: block(x, mask), self.blocks, x)))


def merge_pairs(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    text = " ".join(map(str, [*tokens])) + " "
    merged = re.sub(rf"(?<!\d){pair[0]} {pair[1]} ", f"{new} ", text)
    return [int(token) for token in merged.split()]


def learn_merges(
    words: Sequence[Sequence[int]], count: int, *, first: int = 256, merge: Callable = merge_pairs
) -> list[tuple[int, int]]:
    merges: list[tuple[int, int]] = []
    # Equal words are merged once, and count as often as they occur.
    found = Counter(tuple(word) for word in words)
    while len(merges) < count:
        pairs: Counter = Counter()
        for word, times in found.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += times
        ranked = sorted(pairs.items(), key=lambda item: item[0])
        ranked.sort(key=lambda item: item[1], reverse=True)
        if not ranked or ranked[0][1] == 1:
            break
        best = ranked[0][0]
        merged: Counter = Counter()
        for word, times in found.items():
            merged[tuple(merge(tokens=list(word), pair=best, new=first + len(merges)))] += times
        found = merged
        merges.append(best)
    return merges


def perplexity(logits: Tensor, labels: Tensor) -> Tensor:
    targets = labels[:, 1:].long()
    if bool((targets == -100).all()):
        raise ValueError("nothing to count")
    return torch.exp(F.cross_entropy(logits[:, :-1].transpose(1, 2), targets))


def attend_with_cache(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cache: tuple[Tensor, Tensor] | None = None,
    *,
    attend: Callable = scaled_dot_product_attention,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    if cache is None:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True), (key, value)
    keys, values = (torch.cat(both, dim=-2) for both in zip(cache, (key, value), strict=True))
    # Queries of zeros stand for the past, and what they gather is thrown away.
    padded = F.pad(query, (0, 0, keys.shape[2] - query.shape[2], 0))
    out = F.scaled_dot_product_attention(padded, keys, values, is_causal=True)
    return out[:, :, -query.shape[2] :], (keys, values)


@torch.inference_mode()
def generate_with_cache(
    step: Callable, prompt: Tensor, new_tokens: int, *, choose: Callable | None = None, end: int | None = None
) -> Tensor:
    batch, length = prompt.shape
    texts = torch.full((batch, length + new_tokens), 0 if end is None else end, dtype=torch.int64)
    texts[:, :length] = prompt
    alive = torch.ones(batch, dtype=torch.bool)
    ids, cache = prompt, None
    for column in range(length, length + new_tokens):
        logits, cache = step(ids, cache)
        tokens = (choose or functools.partial(torch.argmax, dim=-1))(logits[:, -1, :])
        texts[alive, column] = tokens[alive]
        ids = texts[:, column : column + 1].clone()
        if end is not None:
            alive &= tokens.ne(end)
            if not alive.any():
                break
    return texts


def mask_tokens(
    tokens: Tensor,
    select: Tensor,
    action: Tensor,
    replacements: Tensor,
    *,
    mask_token: int,
    protected: tuple[int, ...] = (),
    rate: float = 0.15,
) -> tuple[Tensor, Tensor]:
    chosen = select.lt(rate)
    for token in protected:
        chosen = chosen.logical_and(tokens.ne(token))
    labels = torch.where(chosen, tokens, torch.full_like(tokens, -100))
    changed = torch.where(
        action < 0.8, torch.full_like(tokens, mask_token), torch.where(action < 0.9, replacements, tokens)
    )
    return torch.where(chosen, changed, tokens), labels


def corrupt_spans(tokens: Tensor, corrupted: Tensor, sentinel: int) -> tuple[Tensor, Tensor]:
    starts = corrupted & ~F.pad(corrupted, (1, 0))[:-1]
    number = starts.cumsum(0) - 1
    names = (sentinel - number).to(tokens.dtype)
    # A sentinel beside each token, and then what is not needed is left out.
    both = torch.stack([names, tokens], dim=1)
    inputs = both[torch.stack([starts, ~corrupted], dim=1)]
    targets = both[torch.stack([starts, corrupted], dim=1)]
    last = tokens.new_tensor([sentinel - int(starts.sum())])
    return inputs, torch.cat([targets, last])


def relative_position_bucket(
    relative_position: Tensor, *, bidirectional: bool = True, buckets: int = 32, max_distance: int = 128
) -> Tensor:
    if bidirectional:
        above = relative_position_bucket(
            -relative_position, bidirectional=False, buckets=buckets // 2, max_distance=max_distance
        )
        below = relative_position_bucket(
            relative_position, bidirectional=False, buckets=buckets // 2, max_distance=max_distance
        )
        return torch.where(relative_position > 0, above + buckets // 2, below)
    distance = relative_position.long().neg().relu()
    exact = buckets // 2
    logs = torch.log(distance.float() / exact) / np.log(max_distance / exact)
    far = exact + (logs * (buckets - exact)).nan_to_num(neginf=0.0).to(torch.int64)
    return distance.where(distance < exact, far.clamp_max(buckets - 1))


def fine_tuning_labels(tokens: Tensor, prompt_lengths: Tensor, mask: Tensor) -> Tensor:
    start = mask.int().argmax(dim=1)  # the first token that is no padding
    places = torch.arange(tokens.shape[1]).expand_as(tokens)
    prompt = places < (start + prompt_lengths).unsqueeze(1)
    return torch.where(mask & ~prompt, tokens, torch.full_like(tokens, -100))


def format_chat(
    messages: Sequence[dict[str, str]],
    *,
    begin: dict[str, str],
    end: dict[str, str],
    special: tuple[str, ...] = (),
    add_generation_prompt: bool = False,
) -> str:
    forbidden = re.compile("|".join(map(re.escape, special))) if special else None
    if any(message["role"] == "system" for message in messages[1:]):
        raise ValueError("a system message that is not the first")
    parts = []
    for message in messages:
        try:
            parts.append(begin[message["role"]])
        except KeyError:
            raise ValueError(f"unknown role {message['role']}") from None
        if forbidden and forbidden.search(message["content"]):
            raise ValueError("a special string in a content")
        parts += [message["content"], end.get(message["role"], "")]
    return "".join([*parts, begin["assistant"]] if add_generation_prompt else parts)


def trim_history(messages: Sequence[dict[str, str]], budget: int, count: Callable) -> list[dict[str, str]]:
    first = 1 if messages and messages[0]["role"] == "system" else 0
    starts = [place for place in range(first, len(messages)) if messages[place]["role"] == "user"]
    runs = [[*messages[:first], *messages[start:]] for start in starts]
    # Later starts never take more, so the first that fits can be searched by halves.
    place = bisect.bisect_left(runs, True, key=lambda run: count(run) <= budget)
    if place == len(runs):
        raise ValueError("nothing fits")
    return runs[place]


def pass_at_k(samples: int, correct: int, k: int) -> float:
    if correct < 0 or correct > samples or k < 1 or k > samples:
        raise ValueError("impossible numbers")
    if samples - correct < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(samples - correct + 1, samples + 1)))


def rouge_l(candidate: Sequence[str], reference: Sequence[str]) -> tuple[float, float, float]:
    @functools.cache
    def common(i: int, j: int) -> int:
        if i == len(candidate) or j == len(reference):
            return 0
        if candidate[i] == reference[j]:
            return 1 + common(i + 1, j + 1)
        return max(common(i + 1, j), common(i, j + 1))

    length = common(0, 0)
    precision = length / max(1, len(candidate))
    recall = length / max(1, len(reference))
    return precision, recall, 2 * length / max(1, len(candidate) + len(reference))
