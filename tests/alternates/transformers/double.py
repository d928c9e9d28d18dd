"""Correct answers to `transformers` in double precision and einsum, with keyword arguments and other algebra."""

import math
from itertools import groupby, pairwise

import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None):
    d = query.size(-1)
    # The root is shared by both sides, and the bias of the mask is −∞ where something else is allowed.
    scores = torch.einsum("...qd,...kd->...qk", query.double() / d**0.25, key.double() / d**0.25)
    if mask is not None:
        some = mask.any(dim=-1, keepdim=True)
        bias = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask & some, -torch.inf)
        scores = scores + bias
    log_weights = scores - scores.logsumexp(dim=-1, keepdim=True)
    found = torch.einsum("...qk,...kv->...qv", log_weights.exp(), value.double())
    if mask is not None:
        found = torch.where(some, found, torch.zeros_like(found))
    return found.to(value.dtype)


class SelfAttention(nn.Module):
    def __init__(self, width, heads, *, causal=True, attend=scaled_dot_product_attention):
        super().__init__()
        size, rest = divmod(width, heads)
        if rest:
            raise ValueError(f"{width} is no multiple of {heads}")
        self.shape = (heads, size)
        self.causal = causal
        self.attend = attend
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x, mask=None):
        def heads(part):
            weight, bias = part.weight.view(*self.shape, -1), part.bias.view(*self.shape)
            return torch.einsum("btw,hdw->bhtd", x, weight) + bias[:, None]

        place = torch.arange(x.size(1))
        allowed = None
        if self.causal:
            allowed = (place[None, :] <= place[:, None])[None, None]
        if mask is not None:
            there = mask[:, None, None, :]
            allowed = there if allowed is None else allowed & there
        found = self.attend(query=heads(self.query), key=heads(self.key), value=heads(self.value), mask=allowed)
        weight = self.output.weight.view(-1, *self.shape)
        return torch.einsum("bhtd,whd->btw", found, weight) + self.output.bias


def sinusoidal_positions(length, width, *, base=10_000.0):
    if width & 1:
        raise ValueError
    exponents = -2 / width * math.log(base) * torch.arange(width // 2, dtype=torch.float64)
    angles = torch.einsum("p,i->pi", torch.arange(length, dtype=torch.float64), exponents.exp())
    phases = torch.tensor([0, math.pi / 2], dtype=torch.float64)  # cos x = sin(x + π/2)
    return torch.sin(angles[:, :, None] + phases).reshape(length, width).float()


def rotary_embedding(x, positions, *, base=10_000.0):
    width = x.size(-1)
    if width & 1:
        raise ValueError
    speeds = torch.exp(-torch.arange(width // 2, dtype=torch.float64) * 2 / width * math.log(base))
    angles = positions.double()[:, None] * speeds
    matrices = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], dim=-1)
    matrices = matrices.view(len(positions), width // 2, 2, 2)
    pairs = x.double().reshape(*x.shape[:-1], width // 2, 2)
    return torch.einsum("tiab,...tib->...tia", matrices, pairs).reshape(x.shape).to(x.dtype)


class TransformerBlock(nn.Module):
    def __init__(self, width, attention):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = attention
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def normalised(self, norm, x):
        x = x.double()
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return (centred / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias).to(norm.weight.dtype)

    def forward(self, x, mask=None):
        x = x + self.attention(self.normalised(self.norm1, x), mask)
        hidden = self.up(self.normalised(self.norm2, x))
        # (1 + tanh y) / 2 is the sigmoid of 2y.
        gate = torch.sigmoid(2 * (2 / math.pi) ** 0.5 * (hidden + 0.044715 * hidden.pow(3)))
        return x + self.down(hidden * gate)


class GPT(nn.Module):
    def __init__(self, vocabulary, context, width, blocks):
        super().__init__()
        self.token = nn.Embedding.from_pretrained(0.02 * torch.randn(vocabulary, width), freeze=False)
        self.position = nn.Embedding.from_pretrained(0.02 * torch.randn(context, width), freeze=False)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(tuple(blocks))

    def forward(self, ids, mask=None):
        length = ids.size(1)
        if length > len(self.position.weight):
            raise ValueError(f"at most {len(self.position.weight)} tokens")
        one_hot = nn.functional.one_hot(ids.long(), len(self.token.weight)).to(self.token.weight.dtype)
        x = torch.einsum("btv,vw->btw", one_hot, self.token.weight) + self.position.weight[None, :length]
        for block in self.blocks:
            x = block(x, mask=mask)
        return torch.einsum("btw,vw->btv", self.norm(x), self.token.weight)


def merge_pairs(tokens, pair, new):
    match list(tokens):
        case [a, b, *rest] if (a, b) == tuple(pair):
            return [new, *merge_pairs(rest, pair, new)]
        case [a, *rest]:
            return [a, *merge_pairs(rest, pair, new)]
    return []


def learn_merges(words, count, *, first=256, merge=merge_pairs):
    if count == 0:
        return []
    pairs = sorted(pair for word in words for pair in pairwise(word))
    groups = [(-len(list(same)), pair) for pair, same in groupby(pairs)]
    if not groups or min(groups)[0] > -2:
        return []
    best = min(groups)[1]
    merged = [merge(word, pair=best, new=first) for word in words]
    return [best, *learn_merges(merged, count - 1, first=first + 1, merge=merge)]


def perplexity(logits, labels):
    scores, targets = logits[:, :-1].double(), labels[:, 1:].long()
    counted = (targets != -100).double()
    if counted.sum() == 0:
        raise ValueError("nothing to count")
    one_hot = nn.functional.one_hot(targets.clamp(min=0), logits.shape[-1]).double()
    chosen = torch.einsum("btv,btv,bt->", torch.log_softmax(scores, dim=-1), one_hot, counted)
    # The geometric mean of the probabilities, upside down.
    return (1 / torch.exp(chosen / counted.sum())).to(logits.dtype)


def attend_with_cache(query, key, value, cache=None, *, attend=scaled_dot_product_attention):
    if cache is None:
        cache = key[:, :, :0], value[:, :, :0]
    keys = torch.hstack([cache[0].transpose(1, 2), key.transpose(1, 2)]).transpose(1, 2)
    values = torch.hstack([cache[1].transpose(1, 2), value.transpose(1, 2)]).transpose(1, 2)
    total = keys.size(2)
    mine = torch.arange(total - query.size(2), total)
    allowed = torch.arange(total) <= mine[:, None]
    return attend(query=query, key=keys, value=values, mask=allowed[None, None]), (keys, values)


def generate_with_cache(step, prompt, new_tokens, *, choose=None, end=None):
    def pick(scores):
        return scores.argmax(-1) if choose is None else choose(scores)

    columns = [*prompt.long().unbind(1)]
    done = torch.zeros(len(prompt), dtype=torch.int64)
    cache = None
    with torch.set_grad_enabled(False):
        while len(columns) < prompt.shape[1] + new_tokens:
            if bool(done.all()):
                columns.append(torch.full((len(prompt),), end))
                continue
            given = prompt if cache is None else columns[-1].reshape(-1, 1)
            logits, cache = step(given, cache)
            token = pick(logits[:, -1])
            if end is not None:
                token = done * end + (1 - done) * token
                done = done.maximum((token == end).long())
            columns.append(token)
    return torch.stack(columns, dim=1)


def mask_tokens(tokens, select, action, replacements, *, mask_token, protected=(), rate=0.15):
    ids = torch.tensor([*protected, -1], dtype=torch.int64)
    chosen = (select.double() < rate) & (tokens[..., None].long() != ids).all(-1)
    kinds = torch.stack([action < 0.8, (action >= 0.8) & (action < 0.9), action >= 0.9], dim=-1)
    options = torch.stack([torch.full_like(tokens, mask_token), replacements.to(tokens.dtype), tokens], dim=-1)
    changed = (options * kinds).sum(-1)
    chosen = chosen.to(tokens.dtype)
    inputs = chosen * changed + (1 - chosen) * tokens
    return inputs.to(tokens.dtype), (chosen * tokens - 100 * (1 - chosen)).to(tokens.dtype)


def corrupt_spans(tokens, corrupted, sentinel):
    sides = {False: [], True: []}
    spans = 0
    place = 0
    for gone, run in groupby(corrupted.tolist()):
        length = len(list(run))
        if gone:
            for side in sides.values():
                side.append(tokens.new_full((1,), sentinel - spans))
            spans += 1
        sides[gone].append(tokens[place : place + length])
        place += length
    sides[True].append(tokens.new_full((1,), sentinel - spans))
    return torch.cat(sides[False]), torch.cat(sides[True])


def relative_position_bucket(relative_position, *, bidirectional=True, buckets=32, max_distance=128):
    side = buckets // (1 + bidirectional)
    exact = side // 2
    # The drawer of every distance there is, looked up: from max_distance on all are in the last.
    distances = torch.arange(max_distance + 1, dtype=torch.float64)
    table = distances.clone()
    logs = torch.log2(distances[exact:] / exact) / math.log2(max_distance / exact)
    table[exact:] = (exact + torch.floor(logs * (side - exact))).clamp(max=side - 1)
    table = table.long()
    ahead = relative_position > 0
    distance = relative_position.long().abs() if bidirectional else (-relative_position.long()).clamp(min=0)
    return table[distance.clamp(max=max_distance)] + (ahead * side if bidirectional else 0)


def fine_tuning_labels(tokens, prompt_lengths, mask):
    real = mask.to(torch.int64)
    before = real.cumsum(1) - real  # how many tokens stand before this one
    learn = (real * (before >= prompt_lengths[:, None])).to(tokens.dtype)
    return learn * tokens - 100 * (1 - learn)


def format_chat(messages, *, begin, end, special=(), add_generation_prompt=False):
    roles = [message["role"] for message in messages]
    if "system" in roles[1:] or not set(roles) <= set(begin):
        raise ValueError("roles")
    if any(map("".join(f"\0{m['content']}\0" for m in messages).__contains__, special)):
        raise ValueError("special strings")
    lines = ["{}{}{}".format(begin[m["role"]], m["content"], end.get(m["role"], "")) for m in messages]
    return "".join(lines + [begin["assistant"]] * bool(add_generation_prompt))


def trim_history(messages, budget, count):
    kept = list(messages)
    first = 0
    if kept and kept[0]["role"] == "system":
        first = 1
    while len(kept) > first:
        if kept[first]["role"] == "user" and count(kept) <= budget:
            return kept
        kept = kept[:first] + kept[first + 1 :]
    raise ValueError("nothing fits")


def pass_at_k(samples, correct, k):
    if not 0 <= correct <= samples or not 1 <= k <= samples:
        raise ValueError((samples, correct, k))
    wrong = samples - correct
    if wrong < k:
        return 1.0
    terms = (math.log(wrong - i) - math.log(samples - i) for i in range(k))
    return -math.expm1(math.fsum(terms))


def rouge_l(candidate, reference):
    # Insertions and deletions alone turn one into the other: their distance says how much is common.
    def distance(a, b):
        row = list(range(len(b) + 1))
        for i, word in enumerate(a, start=1):
            fresh = [i]
            for j, other in enumerate(b, start=1):
                fresh.append(row[j - 1] if word == other else 1 + min(row[j], fresh[-1]))
            row = fresh
        return row[-1]

    common = (len(candidate) + len(reference) - distance(candidate, reference)) // 2
    precision = common / len(candidate) if candidate else 0.0
    recall = common / len(reference) if reference else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0
