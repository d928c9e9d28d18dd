"""Correct answers to `autoregressive` in double precision and einsum, with keyword arguments and other algebra."""

import math

import torch
from torch import nn
from torch.nn.functional import one_hot, pad, unfold


def fit_markov_chain(tokens, states, *, order=1, smoothing=0.0):
    one = one_hot(tokens, states).double()
    length = max(0, tokens.size(1) - order)
    letters = "abcdefgh"[: order + 1]
    # Σ over sequences and places of the outer product of the states that follow each other.
    parts = [one[:, i : i + length] for i in range(order + 1)]
    parts = [part if part.size(1) == length else part[:, :0] for part in parts]
    equation = ",".join("xy" + letter for letter in letters) + "->" + letters
    counts = torch.einsum(equation, *parts)
    total = counts.sum(-1, keepdim=True) + smoothing * states
    prior = torch.full_like(counts, smoothing)
    nothing = total == 0
    return ((counts + prior + nothing) / (total + nothing * states)).to(torch.float32)


def sequence_log_likelihood(tokens, transitions, initial=None):
    order, states = transitions.dim() - 1, transitions.size(-1)
    length = tokens.size(1) - order
    # Numbers of contexts in base `states`, first token first.
    powers = torch.tensor([states**i for i in range(order, -1, -1)])
    numbers = sum((power * tokens[:, i : i + length] for i, power in enumerate(powers.tolist())), start=0)
    found = transitions.double().flatten().log()[numbers].sum(-1)
    if initial is not None:
        numbers = sum((states ** (order - 1 - i) * tokens[:, i] for i in range(order)), start=torch.tensor(0))
        found = initial.double().reshape(-1).log()[numbers] + found
    return found.to(transitions.dtype)


def stationary_distribution(transitions):
    # The kernel of (P − I)ᵀ, by singular values.
    matrix = transitions.double() - torch.eye(len(transitions), dtype=torch.double)
    _, _, basis = torch.linalg.svd(matrix.mT)
    return (basis[-1] / basis[-1].sum()).type_as(transitions)


def entropy_rate(transitions, stationary):
    p = transitions.double()
    log_p = p.clamp(min=torch.finfo(torch.float64).tiny).log()
    return torch.einsum("a,ab,ab->", -stationary.double(), p, log_p).to(transitions.dtype)


def rnn_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    joined = torch.cat([x, h], dim=1).double()
    weight = torch.cat([weight_ih, weight_hh], dim=1).double()
    return (torch.einsum("bi,hi->bh", joined, weight) + (bias_ih.double() + bias_hh)).tanh().to(h.dtype)


def gru_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    size = h.size(-1)
    a = torch.einsum("bi,gki->gbk", x.double(), weight_ih.double().view(3, size, -1)) + bias_ih.view(3, 1, size)
    b = torch.einsum("bi,gki->gbk", h.double(), weight_hh.double().view(3, size, -1)) + bias_hh.view(3, 1, size)
    r, z = torch.sigmoid(a[:2] + b[:2])
    n = torch.tanh(torch.addcmul(a[2], r, b[2]))
    return torch.lerp(n, h.double(), z).to(h.dtype)


def unroll(step, inputs, state):
    def states():
        h = state
        for x in inputs.split(1, dim=1):
            h = step(x.squeeze(1), h)
            yield h

    return torch.stack(list(states())).movedim(0, 1).contiguous()


def next_token_loss(logits, tokens, *, padding=None):
    log_p = logits.double()[:, :-1].log_softmax(-1)
    target = tokens[:, 1:, None]
    chosen = log_p.gather(2, target).squeeze(2)
    counts = torch.ones_like(chosen, dtype=torch.bool) if padding is None else target.squeeze(2).ne(padding)
    picked = chosen[counts]
    mean = -picked.mean() if picked.numel() else picked.sum()
    return mean.to(logits.dtype)


def influence(model, x, position):
    def channels(image):
        out = model(image.unsqueeze(0)).squeeze(0)
        for index in position:
            out = out.select(1, index)
        return out

    slopes = torch.autograd.functional.jacobian(channels, x.detach())
    return torch.einsum("oc...->...", slopes.abs()).detach()


class MaskedConv2d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, mask_type, *, colors=1):
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError("even")
        if {mask_type} - {"A", "B"}:
            raise ValueError("unknown type")
        if any(channels % colors for channels in (in_channels, out_channels)):
            raise ValueError("channels")
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        nn.init.uniform_(self.bias, -(self.weight[0].numel() ** -0.5), self.weight[0].numel() ** -0.5)
        # A pixel's rank in raster order, and between pixels the colour's: what has a lower rank may be seen.
        out_rank = torch.arange(out_channels).mul(colors).div(out_channels, rounding_mode="floor")
        in_rank = torch.arange(in_channels).mul(colors).div(in_channels, rounding_mode="floor")
        place = torch.arange(kernel_size**2).sub(kernel_size**2 // 2).mul(2 * colors)
        rank = in_rank[None, :, None] + place + (0.5 if mask_type == "A" else -0.5)
        self.hidden = rank > out_rank[:, None, None]

    def forward(self, x):
        weight = torch.where(self.hidden, 0.0, self.weight.flatten(2)).flatten(1)
        size = self.weight.shape[-1]
        patches = unfold(x, size, padding=size // 2)
        found = torch.einsum("ok,bkn->bon", weight, patches)
        return found.unflatten(2, x.shape[2:]) + self.bias[:, None, None]


def sample_pixels(model, uniform, *, image=None, known=None):
    if image is None:
        image, known = torch.zeros_like(uniform).long(), torch.zeros(uniform.shape[1:], dtype=torch.bool)
    fixed = known.flatten()
    shown = (image * known).flatten(1)
    shape = uniform.shape
    for place, number in enumerate(uniform.flatten(1).double().unbind(1)):
        if fixed[place]:
            continue
        with torch.no_grad():
            logits = model(shown.view(shape)).flatten(2)[:, :, place].double()
        total = (logits - logits.logsumexp(1, keepdim=True)).exp().cumsum(1)
        total[:, -1] = torch.inf
        level = torch.argmax((total > number[:, None]).int(), dim=1)
        shown = torch.where(torch.arange(shown.size(1)) == place, level[:, None], shown)
    return shown.view(shape)


def bits_per_dim(log_likelihood, dimensions, *, bin_width=1.0):
    log2_p = log_likelihood.double() / math.log(2) + dimensions * math.log2(bin_width)
    return (-log2_p / dimensions).type_as(log_likelihood)


class GatedPixelCNNLayer(nn.Module):
    def __init__(self, channels, kernel_size, *, first=False):
        super().__init__()
        if (kernel_size + 1) % 2 or kernel_size <= 1:
            raise ValueError(f"{kernel_size}")
        self.channels, self.kernel_size, self.reach = channels, kernel_size, kernel_size // 2
        self.first = first
        self.weights_v = nn.Parameter(torch.randn(2 * channels, channels, self.reach + 1 - first, kernel_size) / 5)
        self.weights_h = nn.Parameter(torch.randn(2 * channels, channels, self.reach + 1 - first) / 5)
        self.bias = nn.Parameter(torch.zeros(2, 2 * channels, 1, 1))
        self.link = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, v, h):
        height, width, reach = v.size(2), v.size(3), self.reach
        rows = pad(v, (reach, reach, reach, 0)).unfold(3, self.kernel_size, 1)  # (…, height + reach, width, columns)
        rows = rows.unfold(2, self.weights_v.size(2), 1)[:, :, :height]  # (…, height, width, columns, rows)
        p = torch.einsum("bcijxy,ocyx->boij", rows, self.weights_v) + self.bias[0]
        left = pad(h, (reach, 0)).unfold(3, self.weights_h.size(2), 1)[:, :, :, :width]
        q = torch.einsum("bcijx,ocx->boij", left, self.weights_h) + self.bias[1]

        def gate(both):
            a, b = both.unflatten(1, (2, self.channels)).unbind(1)
            return a.tanh() * b.sigmoid()

        new = self.output(gate(self.link(p) + q))
        return gate(p), torch.where(torch.tensor(self.first), new, new + h)


class CausalAttention2d(nn.Module):
    def __init__(self, x_channels, memory_channels, key_dim, value_dim):
        super().__init__()
        for name, size, width in (
            ("query", x_channels, key_dim),
            ("key", memory_channels, key_dim),
            ("value", memory_channels, value_dim),
        ):
            self.add_module(name, nn.Conv2d(size, width, 1))

    def forward(self, x, memory):
        def at_pixels(part, features):
            weight = part.weight.double()[:, :, 0, 0]
            return torch.einsum("oc,bcyx->boyx", weight, features.double()).flatten(2) + part.bias[:, None]

        query, key, value = at_pixels(self.query, x), at_pixels(self.key, memory), at_pixels(self.value, memory)
        scores = torch.einsum("bdi,bdj->bij", query, key) * query.size(1) ** -0.5
        place = torch.arange(scores.size(1))
        later = place[None, :] >= place[:, None]
        later[0] = False  # the first looks at everything, and what it gathers is thrown away
        scores = scores.masked_fill(later, -torch.inf)
        weights = (scores - scores.amax(2, keepdim=True).detach()).exp()
        weights = weights / weights.sum(2, keepdim=True)
        found = torch.einsum("bij,bvj->bvi", weights, value)
        found = torch.where(place > 0, found, 0.0)
        return found.reshape(*found.shape[:2], *x.shape[2:]).to(x.dtype)


def mu_law_encode(x, levels=256):
    x = x.double().clip(min=-1, max=1)
    bent = torch.where(x < 0, -1.0, 1.0) * (x.abs() * (levels - 1) + 1).log() / math.log(levels)
    return torch.floor((bent * (levels - 1) + levels) / 2).to(torch.int64)


def mu_law_decode(codes, levels=256):
    y = (codes.double() * 2 - (levels - 1)) / (levels - 1)
    up = (math.log(levels) * y.abs()).exp() - 1
    return (torch.where(y < 0, -up, up) / (levels - 1)).float()


class CausalConv1d(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, *, dilation=1):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        bound = (in_channels * kernel_size) ** -0.5
        for part in (self.weight, self.bias):
            nn.init.uniform_(part, -bound, bound)
        self.reach = [(kernel_size - 1 - i) * dilation for i in range(kernel_size)]

    def forward(self, x):
        delayed = torch.stack([pad(x, (steps, 0))[:, :, : x.size(2)] for steps in self.reach])
        return torch.einsum("kbit,oik->bot", delayed, self.weight) + self.bias.unsqueeze(1)


def receptive_field(kernel_sizes, dilations):
    field = 1
    for kernel, dilation in reversed(list(zip(kernel_sizes, dilations, strict=True))):
        field += kernel * dilation - dilation
    return int(field)


class WaveNetBlock(nn.Module):
    def __init__(self, channels, skip_channels, filter, gate):
        super().__init__()
        self.filter = filter
        self.gate = gate
        self.residual = nn.Conv1d(in_channels=channels, out_channels=channels, kernel_size=1)
        self.skip = nn.Conv1d(in_channels=channels, out_channels=skip_channels, kernel_size=1)

    def forward(self, x):
        # tanh(a) = 2 σ(2a) − 1
        z = (2 * torch.sigmoid(2 * self.filter(x)) - 1).mul(self.gate(x).sigmoid())
        out = torch.einsum("oc,bct->bot", self.skip.weight[:, :, 0], z) + self.skip.bias[None, :, None]
        return x + self.residual(z), out
