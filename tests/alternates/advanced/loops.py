"""Correct answers to `advanced` written with Python loops and plain numbers, one text, one word, one row at a time."""

import math
from collections.abc import Callable

import torch
from torch import nn


def few_shot_prompt(examples, query, *, instruction="", limit=None, length=len):
    def written(kept):
        text = ""
        if instruction != "":
            text += instruction + "\n\n"
        for pair in kept:
            text += "Input: " + pair[0] + "\n"
            text += "Output: " + pair[1] + "\n\n"
        return text + "Input: " + query + "\nOutput:"

    kept = list(examples)
    while limit is not None and length(written(kept)) > limit:
        if not kept:
            raise ValueError("too long")
        kept.pop(0)
    return written(kept)


def label_log_likelihoods(model, prompt, labels, *, padding=0, normalize=False):
    longest = 0
    for label in labels:
        longest = max(longest, len(label))
    rows = []
    for label in labels:
        rows.append(prompt.tolist() + label.tolist() + [padding] * (longest - len(label)))
    logits = model(torch.tensor(rows))
    found = []
    for row, label in enumerate(labels):
        total = logits.new_zeros(())
        for place, token in enumerate(label.tolist()):
            scores = logits[row, len(prompt) - 1 + place]
            total = total + scores[token] - torch.logsumexp(scores, 0)
        found.append(total / len(label) if normalize else total)
    return torch.stack(found)


def zero_shot_classify(scores, content_free=None):
    priors = None
    if content_free is not None:
        logs = [row - torch.logsumexp(row, 0) for row in content_free]
        priors = []
        for label in range(content_free.shape[1]):
            highest = max(float(row[label]) for row in logs)
            total = 0
            for row in logs:
                total += math.exp(float(row[label]) - highest)
            priors.append(highest + math.log(total / len(logs)))
    choices, rows = [], []
    for row in scores:
        odds = [float(value) - (priors[label] if priors else 0) for label, value in enumerate(row)]
        best = max(range(len(odds)), key=odds.__getitem__)
        weights = [math.exp(value - odds[best]) for value in odds]
        choices.append(best)
        rows.append([value / sum(weights) for value in weights])
    return torch.tensor(choices), torch.tensor(rows, dtype=scores.dtype)


def demographic_parity_gap(decisions, groups, *, qualified=None):
    sums, counts = {}, {}
    for index in range(len(decisions)):
        if qualified is not None and qualified[index] == 0:
            continue
        group = int(groups[index])
        sums[group] = sums.get(group, 0) + decisions[index]
        counts[group] = counts.get(group, 0) + 1
    if not counts:
        raise ValueError
    highest, lowest = None, None
    for group in counts:
        rate = sums[group] / counts[group]
        highest = rate if highest is None or rate > highest else highest
        lowest = rate if lowest is None or rate < lowest else lowest
    return highest - lowest


def swap_terms(text, pairs):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    found, word = [], ""
    for character in text + "\0":
        if character in letters:
            word += character
            continue
        for one, other in pairs:
            if word.lower() in (one, other) and word:
                new = other if word.lower() == one else one
                word = new[0].upper() + new[1:] if word[0] == word[0].upper() else new
                break
        found.append(word + character)
        word = ""
    return "".join(found)[:-1]


def counterfactual_gap(score, texts, swap):
    distances = []
    for text in texts:
        other = swap(text)
        if other == text:
            continue
        distances.append(abs(score([text])[0] - score([other])[0]))
    if len(distances) == 0:
        raise ValueError("nothing to compare")
    total = distances[0]
    for distance in distances[1:]:
        total = total + distance
    return total / len(distances)


def embedding_association(x, y, a, b):
    def one(w):
        total = 0
        for words, sign in ((a, 1), (b, -1)):
            for v in words:
                total = total + sign * (w * v).sum() / (w * w).sum().sqrt() / (v * v).sum().sqrt() / len(words)
        return total

    of_x, of_y = [one(w) for w in x], [one(w) for w in y]
    everything = of_x + of_y
    mean = sum(everything) / len(everything)
    variance = sum((value - mean) ** 2 for value in everything) / (len(everything) - 1)
    effect = (sum(of_x) / len(of_x) - sum(of_y) / len(of_y)) / variance**0.5
    return effect, torch.stack(of_x), torch.stack(of_y)


def permutation_p_value(x, y):
    pool = x.tolist() + y.tolist()
    observed = sum(pool[: len(x)]) / len(x) - sum(pool[len(x) :]) / len(y)
    count = total = 0
    for mask in range(2 ** len(pool)):
        first = [value for place, value in enumerate(pool) if mask >> place & 1]
        if len(first) != len(x):
            continue
        second = [value for place, value in enumerate(pool) if not mask >> place & 1]
        total += 1
        if sum(first) / len(x) - sum(second) / len(y) > observed - 1e-6:
            count += 1
    return count / total


def bias_direction(pairs):
    halves = [(first - second) / 2 for first, second in pairs.double()]
    direction = torch.zeros(pairs.shape[2], dtype=torch.float64)
    scatter = sum(torch.outer(half, half) for half in halves)
    # Power iteration from each axis; the best of them.
    best = -1.0
    for start in torch.eye(len(direction), dtype=torch.float64):
        vector = start + 1e-3
        for _ in range(2000):
            new = scatter @ vector
            if not new.any():
                break
            vector = new / new.norm()
        vector = vector / vector.norm()
        strength = float(vector @ scatter @ vector)
        if strength > best:
            best, direction = strength, vector
    if sum(float(half @ direction) for half in halves) < 0:
        direction = -direction
    return direction.to(pairs.dtype)


def remove_direction(vectors, direction, *, strength=1.0):
    found = []
    for v in vectors:
        share = sum(v[i] * direction[i] for i in range(len(v))) / sum(value * value for value in direction)
        found.append(v - strength * share * direction)
    return torch.stack(found)


class LoRALinear(nn.Module):
    def __init__(self, linear, rank, alpha, generator=None):
        super().__init__()
        self.linear, self.rank, self.alpha, self.merged = linear, rank, alpha, False
        for parameter in self.linear.parameters():
            parameter.requires_grad = False
        out, width = linear.weight.shape
        a = torch.empty(rank, width).normal_(0.0, width**-0.5, generator=generator)
        self.A = nn.Parameter(a.to(device=linear.weight.device, dtype=linear.weight.dtype))
        self.B = nn.Parameter(torch.zeros(out, rank, dtype=linear.weight.dtype, device=linear.weight.device))

    def _update(self):
        total = 0
        for r in range(self.rank):
            total = total + self.B[:, r : r + 1] * self.A[r : r + 1]
        return total * self.alpha / self.rank

    def forward(self, x):
        if self.merged:
            return self.linear(x)
        return self.linear(x) + x @ self._update().T

    def merge(self):
        if self.merged:
            return
        self.linear.weight.data += self._update().detach()
        self.merged = True

    def unmerge(self):
        if not self.merged:
            return
        self.linear.weight.data -= self._update().detach()
        self.merged = False


def apply_lora(model, targets, *, rank, alpha, adapt=LoRALinear):
    def walk(module):
        count = 0
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and name in targets:
                setattr(module, name, adapt(child, rank, alpha))
                count += 1
            else:
                count += walk(child)
        return count

    for parameter in model.parameters():
        parameter.requires_grad = False
    if walk(model) == 0:
        raise ValueError("no such layer")
    return model


def count_parameters(model):
    trainable = total = 0
    seen = []
    for parameter in model.parameters():
        if any(parameter is other for other in seen):
            continue
        seen.append(parameter)
        total += parameter.nelement()
        if parameter.requires_grad:
            trainable += parameter.nelement()
    return trainable, total


def quantize(weight, *, bits=8, per_row=True):
    most = (1 << (bits - 1)) - 1
    rows = weight.tolist()
    largest = [max(abs(value) for value in row) for row in rows]
    if not per_row:
        largest = [max(largest)]
    scales = [value / most if value > 0 else 1.0 for value in largest]
    codes = []
    for number, row in enumerate(rows):
        scale = scales[number] if per_row else scales[0]
        codes.append([max(-most, min(most, math.floor(value / scale + 0.5))) for value in row])
    return torch.tensor(codes, dtype=torch.int8), torch.tensor(scales, dtype=weight.dtype).reshape(-1, 1)


def dequantize(codes, scales):
    found = torch.empty(codes.shape, dtype=scales.dtype)
    for i in range(codes.shape[0]):
        for j in range(codes.shape[1]):
            found[i, j] = int(codes[i, j]) * scales[i if scales.shape[0] > 1 else 0, 0]
    return found


class Int8Linear(nn.Module):
    def __init__(self, linear, *, encode=quantize, decode=dequantize):
        super().__init__()
        with torch.no_grad():
            codes, scales = encode(linear.weight)
        self.register_buffer("codes", codes.clone())
        self.register_buffer("scales", scales.detach().clone())
        bias = linear.bias
        self.register_buffer("bias", bias if bias is None else bias.data.clone())
        self.decode = decode

    def forward(self, x):
        weight = self.decode(self.codes, self.scales)
        columns = [(x * row).sum(-1) for row in weight]
        if self.bias is not None:
            columns = [column + value for column, value in zip(columns, self.bias, strict=True)]
        return torch.stack(columns, dim=-1)


def checkpointed(blocks, x, segments):
    from torch.utils.checkpoint import checkpoint

    lengths = [len(blocks) // segments] * segments
    for extra in range(len(blocks) % segments):
        lengths[extra] += 1
    remaining = list(blocks)
    for count in lengths:
        mine, remaining = remaining[:count], remaining[count:]

        def run(value, mine=mine):
            for block in mine:
                value = block(value)
            return value

        x = checkpoint(run, x, use_reentrant=False, determinism_check="none")
    return x


def accumulate_gradients(model, criterion, batches):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    everybody = 0
    for x, _ in batches:
        everybody += x.shape[0]
    sums, losses = [0] * len(trained), []
    for x, y in batches:
        mean = criterion(model(x), y)
        share = x.shape[0] / everybody
        found = torch.autograd.grad(mean, trained, allow_unused=True)
        for place, gradient in enumerate(found):
            if gradient is not None:
                sums[place] = sums[place] + share * gradient
        losses.append(share * mean.detach())
    gradients = [
        total if torch.is_tensor(total) else torch.zeros_like(p) for total, p in zip(sums, trained, strict=True)
    ]
    return torch.stack(losses).sum(), gradients


def dynamic_batches(arrivals, lengths, *, max_size, max_wait, max_tokens=None, seconds=None):
    for place in range(1, len(arrivals)):
        if arrivals[place] < arrivals[place - 1]:
            raise ValueError("not in order")
    waiting, coming, batches = [], list(range(len(arrivals))), []
    now = free = float("-inf")

    def next_batch():
        batch = []
        for index in waiting:
            longest = max(lengths[other] for other in [*batch, index])
            if len(batch) == max_size:
                return batch, True
            if batch and max_tokens is not None and longest * (len(batch) + 1) > max_tokens:
                return batch, True
            batch.append(index)
        return batch, len(batch) == max_size

    while waiting or coming:
        # Everything that can happen next: somebody comes, the server is free, the oldest has waited long enough.
        while coming and arrivals[coming[0]] <= now:
            waiting.append(coming.pop(0))
        if waiting and now >= free:
            batch, full = next_batch()
            if full or now >= arrivals[waiting[0]] + max_wait:
                batches.append((now, batch))
                waiting = waiting[len(batch) :]
                free = now + (seconds([lengths[index] for index in batch]) if seconds is not None else 0.0)
                continue
        events = [arrivals[coming[0]]] if coming else []
        if waiting:
            events += [moment for moment in (free, arrivals[waiting[0]] + max_wait) if moment > now]
        now = min(events)
    return batches


def create_app(
    generate: Callable,
    *,
    max_prompt=1000,
    max_tokens=100,
    max_body=65_536,
    max_batch=8,
    max_wait=0.02,
    max_waiting=64,
):
    """Starlette by hand: requests are read and checked without pydantic."""
    import json

    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse, JSONResponse

    from coursekit.serving import PAGE_HEADERS, Batcher, LimitBody, Overloaded, page

    app = FastAPI()
    ask_model = Batcher(
        lambda waiting: generate([prompt for prompt, _ in waiting], [tokens for _, tokens in waiting]),
        max_batch=max_batch,
        max_wait=max_wait,
        max_waiting=max_waiting,
    )

    def fault(status, text):
        return JSONResponse({"detail": text}, status_code=status)

    async def index(request: Request):
        return HTMLResponse(page(), headers=PAGE_HEADERS)

    async def health(request: Request):
        return JSONResponse({"status": "ok"})

    async def write(request: Request):
        try:
            body = json.loads(await request.body())
        except ValueError:
            return fault(400, "no JSON")
        if not isinstance(body, dict) or set(body) - {"prompt", "max_tokens"}:
            return fault(422, "an object with a prompt is expected")
        prompt, tokens = body.get("prompt"), body.get("max_tokens", min(20, max_tokens))
        if type(prompt) is not str or not 1 <= len(prompt) <= max_prompt:
            return fault(422, "this is no prompt")
        if type(tokens) is not int or tokens < 1 or tokens > max_tokens:
            return fault(422, "this is no number of tokens")
        try:
            return JSONResponse({"text": await ask_model((prompt, tokens))})
        except Overloaded:
            return fault(503, "too many requests")
        except Exception:
            return fault(500, "something went wrong")

    app.add_route("/", index, methods=["GET"])
    app.add_route("/health", health, methods=["GET"])
    app.add_route("/generate", write, methods=["POST"])
    app.add_middleware(LimitBody, max_bytes=max_body)
    return app
