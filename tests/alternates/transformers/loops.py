"""Correct answers to `transformers` written with Python loops: over heads, positions, tokens."""

import math

import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, mask=None):
    if query.dim() > 2:
        if mask is not None:
            mask = mask.expand(*query.shape[:-1], key.shape[-2])
        rows = [
            scaled_dot_product_attention(q, k, v, None if mask is None else mask[i])
            for i, (q, k, v) in enumerate(zip(query, key, value, strict=True))
        ]
        return torch.stack(rows)
    if mask is not None:
        mask = mask.expand(len(query), len(key))
    results = []
    for i, q in enumerate(query):
        places = [j for j in range(len(key)) if mask is None or mask[i, j]]
        if not places:
            results.append(value[0] * 0)
            continue
        scores = torch.stack([(q * key[j]).sum() for j in places]) * len(q) ** -0.5
        weights = torch.exp(scores - scores.max())
        weights = weights / weights.sum()
        results.append(sum(weight * value[j] for weight, j in zip(weights, places, strict=True)))
    return torch.stack(results)


class SelfAttention(nn.Module):
    def __init__(self, width, heads, *, causal=True, attend=scaled_dot_product_attention):
        super().__init__()
        if width // heads * heads != width:
            raise ValueError
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.size, self.causal, self.attend = width // heads, causal, attend

    def forward(self, x, mask=None):
        queries, keys, values = self.query(x), self.key(x), self.value(x)
        rows = []
        for i in range(x.shape[0]):
            allowed = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
            for p in range(x.shape[1]):
                for r in range(x.shape[1]):
                    if (self.causal and r > p) or (mask is not None and not mask[i, r]):
                        allowed[p, r] = False
            parts = []
            for start in range(0, x.shape[2], self.size):
                part = slice(start, start + self.size)
                parts.append(self.attend(queries[i, :, part], keys[i, :, part], values[i, :, part], allowed))
            rows.append(torch.cat(parts, dim=1))
        return self.output(torch.stack(rows))


def sinusoidal_positions(length, width, *, base=10_000.0):
    if width % 2 != 0:
        raise ValueError
    table = torch.empty(length, width)
    for p in range(length):
        for feature in range(width):
            angle = p / base ** (feature // 2 * 2 / width)
            table[p, feature] = math.cos(angle) if feature % 2 else math.sin(angle)
    return table


def rotary_embedding(x, positions, *, base=10_000.0):
    width = x.shape[-1]
    if width % 2 != 0:
        raise ValueError
    columns = [None] * width
    for i in range(0, width, 2):
        angles = [p / base ** (i / width) for p in positions.tolist()]
        cos = torch.tensor([math.cos(angle) for angle in angles], dtype=x.dtype)
        sin = torch.tensor([math.sin(angle) for angle in angles], dtype=x.dtype)
        columns[i] = cos * x[..., i] - sin * x[..., i + 1]
        columns[i + 1] = sin * x[..., i] + cos * x[..., i + 1]
    return torch.stack(columns, dim=-1)


class TransformerBlock(nn.Module):
    def __init__(self, width, attention):
        super().__init__()
        self.down = nn.Linear(4 * width, width)
        self.up = nn.Linear(width, 4 * width)
        self.norm2 = nn.LayerNorm(width)
        self.norm1 = nn.LayerNorm(width)
        self.attention = attention

    def forward(self, x, mask=None):
        attended = self.attention(self.norm1(x), mask)
        rows = []
        for old, found in zip(x, attended, strict=True):
            positions = []
            for o, f in zip(old, found, strict=True):
                total = o + f
                hidden = self.up(self.norm2(total))
                inner = math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)
                positions.append(total + self.down(0.5 * hidden * (1 + torch.tanh(inner))))
            rows.append(torch.stack(positions))
        return torch.stack(rows)


class GPT(nn.Module):
    def __init__(self, vocabulary, context, width, blocks):
        super().__init__()
        self.context = context
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        nn.init.normal_(self.token.weight, 0.0, 0.02)
        nn.init.normal_(self.position.weight, 0.0, 0.02)
        self.blocks = nn.ModuleList()
        for block in blocks:
            self.blocks.append(block)
        self.norm = nn.LayerNorm(width)

    def forward(self, ids, mask=None):
        if ids.shape[1] > self.context:
            raise ValueError
        rows = []
        for row in ids.tolist():
            rows.append(torch.stack([self.token.weight[t] + self.position.weight[p] for p, t in enumerate(row)]))
        x = torch.stack(rows)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return torch.stack([(x * vector).sum(-1) for vector in self.token.weight], dim=-1)


def merge_pairs(tokens, pair, new):
    merged = []
    waiting = None  # the first of the pair, which may or may not become one
    for token in tokens:
        if waiting is not None:
            if token == pair[1]:
                merged.append(new)
                waiting = None
                continue
            merged.append(waiting)
            waiting = None
        if token == pair[0]:
            waiting = token
        else:
            merged.append(token)
    if waiting is not None:
        merged.append(waiting)
    return merged


def learn_merges(words, count, *, first=256, merge=merge_pairs):
    words = list(words)
    merges = []
    for k in range(count):
        counts = {}
        for word in words:
            for i in range(len(word) - 1):
                pair = (word[i], word[i + 1])
                counts[pair] = counts.get(pair, 0) + 1
        best = None
        for pair, number in counts.items():
            if number >= 2 and (best is None or number > counts[best] or (number == counts[best] and pair < best)):
                best = pair
        if best is None:
            return merges
        for i, word in enumerate(words):
            words[i] = merge(word, best, first + k)
        merges.append(best)
    return merges


def perplexity(logits, labels):
    total, count = 0.0, 0
    for scores, row in zip(logits, labels, strict=True):
        for p in range(1, len(row)):
            if row[p] != -100:
                total = total + torch.logsumexp(scores[p - 1], dim=0) - scores[p - 1, row[p]]
                count += 1
    if count == 0:
        raise ValueError
    return torch.exp(total / count)


def attend_with_cache(query, key, value, cache=None, *, attend=scaled_dot_product_attention):
    keys, values = ([], []) if cache is None else (list(cache[0].unbind(2)), list(cache[1].unbind(2)))
    results = []
    for i in range(query.shape[2]):
        keys.append(key[:, :, i])
        values.append(value[:, :, i])
        results.append(attend(query[:, :, i : i + 1], torch.stack(keys, 2), torch.stack(values, 2)))
    return torch.cat(results, 2), (torch.stack(keys, 2), torch.stack(values, 2))


def generate_with_cache(step, prompt, new_tokens, *, choose=None, end=None):
    texts = [[] for _ in prompt]
    cache, ids = None, prompt
    for _ in range(new_tokens):
        if end is not None and all(end in text for text in texts):
            for text in texts:
                text.append(end)
            continue
        with torch.no_grad():
            logits, cache = step(ids, cache)
            last = logits[:, logits.shape[1] - 1]
            tokens = last.max(dim=1).indices if choose is None else choose(last)
        for text, token in zip(texts, tokens.tolist(), strict=True):
            text.append(end if end is not None and end in text else token)
        ids = torch.tensor([[text[-1]] for text in texts])
    return torch.tensor([row + text for row, text in zip(prompt.tolist(), texts, strict=True)], dtype=torch.int64)


def mask_tokens(tokens, select, action, replacements, *, mask_token, protected=(), rate=0.15):
    inputs, labels = tokens.clone(), tokens.clone()
    for i in range(tokens.shape[0]):
        for j in range(tokens.shape[1]):
            if select[i, j] >= rate or tokens[i, j].item() in protected:
                labels[i, j] = -100
            elif action[i, j] < 0.8:
                inputs[i, j] = mask_token
            elif action[i, j] < 0.9:
                inputs[i, j] = replacements[i, j]
    return inputs, labels


def corrupt_spans(tokens, corrupted, sentinel):
    inputs, targets, spans, i = [], [], 0, 0
    while i < len(tokens):
        if not corrupted[i]:
            inputs.append(tokens[i])
            i += 1
            continue
        name = torch.tensor(sentinel - spans, dtype=tokens.dtype)
        inputs.append(name)
        targets.append(name)
        spans += 1
        while i < len(tokens) and corrupted[i]:
            targets.append(tokens[i])
            i += 1
    targets.append(torch.tensor(sentinel - spans, dtype=tokens.dtype))
    return torch.stack(inputs), torch.stack(targets)


def relative_position_bucket(relative_position, *, bidirectional=True, buckets=32, max_distance=128):
    drawers = []
    n = buckets // 2 if bidirectional else buckets
    for position in relative_position.flatten().tolist():
        d = abs(position) if bidirectional else max(0, -position)
        drawer = d
        if d >= n // 2:
            share = math.log(d / (n // 2)) / math.log(max_distance / (n // 2))
            drawer = min(n - 1, n // 2 + math.floor(share * (n - n // 2)))
        drawers.append(drawer + n if bidirectional and position > 0 else drawer)
    return torch.tensor(drawers, dtype=torch.int64).reshape(relative_position.shape)


def fine_tuning_labels(tokens, prompt_lengths, mask):
    labels = torch.full(tokens.shape, -100, dtype=tokens.dtype)
    for i in range(len(tokens)):
        left = int(prompt_lengths[i])
        for j in range(len(tokens[i])):
            if mask[i, j]:
                if left > 0:
                    left -= 1
                else:
                    labels[i, j] = tokens[i, j]
    return labels


def format_chat(messages, *, begin, end, special=(), add_generation_prompt=False):
    text, first = "", True
    for message in messages:
        role, content = message["role"], message["content"]
        if role == "system" and not first:
            raise ValueError
        if role not in begin:
            raise ValueError
        for marker in special:
            if marker in content:
                raise ValueError
        text += begin[role]
        text += content
        if role in end:
            text += end[role]
        first = False
    if add_generation_prompt:
        text += begin["assistant"]
    return text


def trim_history(messages, budget, count):
    messages = list(messages)
    system = messages[:1] if messages and messages[0]["role"] == "system" else []
    best, run = None, []
    for message in reversed(messages[len(system) :]):
        run.insert(0, message)
        if message["role"] == "user":
            if count(system + run) > budget:
                break
            best = system + run
    if best is None:
        raise ValueError
    return best


def pass_at_k(samples, correct, k):
    if correct < 0 or correct > samples or k < 1 or k > samples:
        raise ValueError
    missed = 1.0
    for i in range(k):  # the i-th program drawn is wrong, too
        missed *= max(0, samples - correct - i) / (samples - i)
    return 1.0 - missed


def rouge_l(candidate, reference):
    table = [[0] * (len(reference) + 1) for _ in range(len(candidate) + 1)]
    for i, word in enumerate(candidate, start=1):
        for j, other in enumerate(reference, start=1):
            if word == other:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    length = table[-1][-1]
    if length == 0:
        return [0, 0, 0]
    p, r = length / len(candidate), length / len(reference)
    return [p, r, 2 / (1 / p + 1 / r)]
