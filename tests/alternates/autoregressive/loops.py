"""Correct answers to `autoregressive` written with Python loops, one number, one row or one pixel at a time."""

import math
from collections import defaultdict

import torch
from torch import nn


def fit_markov_chain(tokens, states, *, order=1, smoothing=0.0):
    seen = defaultdict(lambda: [0] * states)
    for sequence in tokens.tolist():
        for place in range(order, len(sequence)):
            seen[tuple(sequence[place - order : place])][sequence[place]] += 1
    chain = torch.full((states,) * (order + 1), 1 / states)
    for context, counts in seen.items():
        total = sum(counts) + smoothing * states
        chain[context] = torch.tensor([(count + smoothing) / total for count in counts])
    return chain


def sequence_log_likelihood(tokens, transitions, initial=None):
    order = transitions.dim() - 1
    found = []
    for row in tokens.tolist():
        total = transitions.new_zeros(())
        if initial is not None:
            total = total + initial[tuple(row[:order])].log()
        for place in range(order, len(row)):
            total = total + transitions[tuple(row[place - order : place + 1])].log()
        found.append(total)
    return torch.stack(found)


def stationary_distribution(transitions):
    # A chain that rests every second step has the same distribution, and is never periodic: square it until it stands still.
    lazy = (transitions.double() + torch.eye(len(transitions), dtype=torch.float64)) / 2
    for _ in range(60):
        lazy = lazy @ lazy
        lazy = lazy / lazy.sum(dim=1, keepdim=True)
    return lazy[0].to(transitions.dtype)


def entropy_rate(transitions, stationary):
    total = torch.zeros_like(stationary[0])
    for share, row in zip(stationary, transitions, strict=True):
        for p in row:
            if p > 0:
                total = total - share * p * torch.log(p)
    return total


def rnn_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    columns = []
    for i in range(h.shape[1]):
        total = (x * weight_ih[i]).sum(1) + (h * weight_hh[i]).sum(1) + bias_ih[i] + bias_hh[i]
        columns.append(1 - 2 / (torch.exp(2 * total) + 1))
    return torch.stack(columns, dim=1)


def gru_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    hidden = h.shape[1]
    rows = []
    for one_x, one_h in zip(x, h, strict=True):
        new = []
        for i in range(hidden):
            heard = [weight_ih[k] @ one_x + bias_ih[k] for k in (i, hidden + i, 2 * hidden + i)]
            kept = [weight_hh[k] @ one_h + bias_hh[k] for k in (i, hidden + i, 2 * hidden + i)]
            r = 1 / (1 + torch.exp(-(heard[0] + kept[0])))
            z = 1 / (1 + torch.exp(-(heard[1] + kept[1])))
            n = torch.tanh(heard[2] + r * kept[2])
            new.append(n + z * (one_h[i] - n))
        rows.append(torch.stack(new))
    return torch.stack(rows)


def unroll(step, inputs, state):
    states = [state]
    for place in range(inputs.size(1)):
        states.append(step(inputs[:, place, :], states[-1]))
    return torch.cat([s[:, None] for s in states[1:]], 1)


def next_token_loss(logits, tokens, *, padding=None):
    costs = []
    for scores, sequence in zip(logits, tokens.tolist(), strict=True):
        for place, token in enumerate(sequence[1:]):
            if token != padding:
                costs.append(torch.logsumexp(scores[place], 0) - scores[place, token])
    if not costs:
        return 0 * logits.sum()
    return sum(costs) / len(costs)


def influence(model, x, position):
    x = x.detach().clone().requires_grad_()
    out = model(x[None])
    total = torch.zeros(x.shape[1:], dtype=x.dtype)
    for channel in range(out.shape[1]):
        index = (0, channel, *position)
        if out[index].requires_grad:
            (slope,) = torch.autograd.grad(out[index], x, retain_graph=True, allow_unused=True)
            if slope is not None:
                for part in slope:
                    total = total + part.abs()
    return total


class MaskedConv2d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, mask_type, *, colors=1):
        super().__init__()
        if kernel_size % 2 != 1 or mask_type not in {"A", "B"} or in_channels % colors or out_channels % colors:
            raise ValueError("these do not fit together")
        bound = 1 / math.sqrt(in_channels * kernel_size**2)
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))
        self.mask_type = mask_type
        self.colors = colors

    def forward(self, x):
        out_channels, in_channels, size, _ = self.weight.shape
        height, width = x.shape[2:]
        outputs = []
        for i in range(out_channels):
            total = self.bias[i].expand(len(x), height, width)
            for j in range(in_channels):
                for dy in range(-(size // 2), 1):
                    for dx in range(-(size // 2), size // 2 + 1):
                        if dy == 0 and dx > 0:
                            continue
                        if dy == dx == 0:
                            mine, other = i // (out_channels // self.colors), j // (in_channels // self.colors)
                            if other > mine or (other == mine and self.mask_type == "A"):
                                continue
                        total = total + self.weight[i, j, dy + size // 2, dx + size // 2] * moved(x[:, j], dy, dx)
            outputs.append(total)
        return torch.stack(outputs, dim=1)


def moved(plane, dy, dx):
    """What stands dy rows below and dx columns to the right of each pixel; zeros beyond the border."""
    height, width = plane.shape[1:]
    reach = max(abs(dy), abs(dx))
    wide = nn.functional.pad(plane, (reach,) * 4)
    return wide[:, reach + dy : reach + dy + height, reach + dx : reach + dx + width]


@torch.no_grad()
def sample_pixels(model, uniform, *, image=None, known=None):
    batch, height, width = uniform.shape
    canvas = torch.zeros(batch, height, width, dtype=torch.long)
    if known is not None:
        canvas[:, known] = image[:, known]
    for number in range(height * width):
        y, x = divmod(number, width)
        if known is not None and known[y, x].item():
            continue
        table = torch.softmax(model(canvas.clone())[:, :, y, x].double(), dim=1)
        for row in range(batch):
            total, level = table[row, 0].item(), 0
            while total <= uniform[row, y, x].item() and level < table.shape[1] - 1:
                level += 1
                total += table[row, level].item()
            canvas[row, y, x] = level
    return canvas


def bits_per_dim(log_likelihood, dimensions, *, bin_width=1.0):
    bits = []
    for one in log_likelihood:
        log_p = one + dimensions * math.log(bin_width)
        bits.append(-log_p / (dimensions * math.log(2)))
    return torch.stack(bits)


class GatedPixelCNNLayer(nn.Module):
    def __init__(self, channels, kernel_size, *, first=False):
        super().__init__()
        if kernel_size not in range(3, 1000, 2):
            raise ValueError(kernel_size)
        radius = kernel_size // 2
        self.first = first
        self.above = nn.ModuleList(
            nn.Conv2d(channels, 2 * channels, (1, kernel_size), padding=(0, radius), bias=i == 0)
            for i in range(radius + 1 - first)
        )
        self.left = nn.ModuleList(nn.Conv2d(channels, 2 * channels, 1, bias=i == 0) for i in range(radius + 1 - first))
        self.link = nn.Conv2d(2 * channels, 2 * channels, kernel_size=1)
        self.output = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, v, h):
        p = q = 0
        for steps, (row, column) in enumerate(zip(self.above, self.left, strict=True), start=int(self.first)):
            height, width = v.shape[2:]
            p = p + row(nn.functional.pad(v, (0, 0, steps, 0))[:, :, :height])
            q = q + column(nn.functional.pad(h, (steps, 0))[:, :, :, :width])
        c = v.size(1)
        both = q + self.link(p)
        new = self.output(both[:, :c].tanh() * both[:, c:].sigmoid())
        if not self.first:
            new = new + h
        return p[:, :c].tanh() * p[:, c:].sigmoid(), new


class CausalAttention2d(nn.Module):
    def __init__(self, x_channels, memory_channels, key_dim, value_dim):
        super().__init__()
        self.query = nn.Conv2d(x_channels, key_dim, 1)
        self.key = nn.Conv2d(memory_channels, key_dim, 1)
        self.value = nn.Conv2d(memory_channels, value_dim, 1)

    def forward(self, x, memory):
        batch, _, height, width = x.shape
        queries, keys, values = self.query(x), self.key(memory), self.value(memory)
        found = [torch.zeros_like(values[:, :, 0, 0])]
        for number in range(1, height * width):
            query = queries[:, :, number // width, number % width]
            scores, gathered = [], []
            for before in range(number):
                y, x_ = divmod(before, width)
                scores.append((query * keys[:, :, y, x_]).sum(1) / query.shape[1] ** 0.5)
                gathered.append(values[:, :, y, x_])
            weights = torch.stack(scores, dim=1).softmax(dim=1)
            found.append(sum(weights[:, i, None] * value for i, value in enumerate(gathered)))
        return torch.stack(found, dim=2).view(batch, -1, height, width)


def mu_law_encode(x, levels=256):
    mu = levels - 1
    codes = []
    for amplitude in x.flatten().tolist():
        amplitude = min(1.0, max(-1.0, amplitude))
        bent = math.copysign(math.log(1 + mu * abs(amplitude)) / math.log(1 + mu), amplitude)
        codes.append(math.floor((bent + 1) * mu / 2 + 0.5))
    return torch.tensor(codes, dtype=torch.long).view(x.shape)


def mu_law_decode(codes, levels=256):
    mu = levels - 1
    amplitudes = []
    for code in codes.flatten().tolist():
        y = (code - mu / 2) / (mu / 2)
        amplitudes.append(math.copysign((levels ** abs(y) - 1) / mu, y))
    return torch.tensor(amplitudes, dtype=torch.float32).view(codes.shape)


class CausalConv1d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, *, dilation=1):
        super().__init__()
        like = nn.Conv1d(in_channels, out_channels, kernel_size)
        self.weight = nn.Parameter(like.weight.detach().clone())
        self.bias = nn.Parameter(like.bias.detach().clone())
        self.dilation = dilation

    def forward(self, x):
        length, taps = x.shape[2], self.weight.shape[2]
        columns = []
        for t in range(length):
            total = self.bias
            for i in range(taps):
                then = t - (taps - 1 - i) * self.dilation
                if then >= 0:
                    total = total + x[:, :, then] @ self.weight[:, :, i].T
            columns.append(total.expand(len(x), -1))
        return torch.stack(columns, dim=2)


def receptive_field(kernel_sizes, dilations):
    oldest = 0
    for k, d in zip(kernel_sizes, dilations, strict=True):
        for _ in range(1, k):
            oldest -= d
    return len(range(oldest, 1))


class WaveNetBlock(nn.Module):
    def __init__(self, channels, skip_channels, filter, gate):
        super().__init__()
        self.filter, self.gate = filter, gate
        self.residual = nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, skip_channels, 1)

    def forward(self, x):
        filtered, opened = self.filter(x), self.gate(x)
        e, f = torch.exp(-2 * filtered.abs()), torch.exp(-opened)
        z = filtered.sign() * (1 - e) / (1 + e) / (1 + f)
        return self.residual(z) + x, self.skip(z)
