"""Correct answers to `autoregressive` that leave the work to torch's own modules, functions and distributions."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical


def fit_markov_chain(tokens, states, *, order=1, smoothing=0.0):
    counts = torch.zeros((states,) * (order + 1), dtype=torch.float64)
    if tokens.shape[1] > order:
        windows = tokens.unfold(1, order + 1, 1).flatten(0, 1)
        ones = torch.ones(len(windows), dtype=torch.float64)
        counts.index_put_(tuple(windows.T), ones, accumulate=True)
    counts += smoothing
    counts[counts.sum(-1) == 0] = 1.0
    return F.normalize(counts, p=1, dim=-1).float()


def sequence_log_likelihood(tokens, transitions, initial=None):
    order, states = transitions.ndim - 1, transitions.shape[-1]
    total = transitions.new_zeros(len(tokens))
    if tokens.shape[1] > order:
        windows = tokens.unfold(1, order + 1, 1)  # (batch, positions, order + 1)
        places = torch.zeros_like(windows[:, :, 0])
        for part in windows[:, :, :-1].unbind(2):
            places = places * states + part
        log_p = torch.log(transitions.reshape(-1, states))[places]
        total = -F.nll_loss(log_p.transpose(1, 2), windows[:, :, -1], reduction="none").sum(-1)
    if initial is not None:
        start = torch.zeros(len(tokens), dtype=torch.int64)
        for place in range(order):
            start = start * states + tokens[:, place]
        total = total + torch.log(initial.flatten())[start]
    return total


def stationary_distribution(transitions):
    values, vectors = torch.linalg.eig(transitions.T.double())
    found = vectors[:, torch.argmin((values - 1).abs())].real
    return (found / found.sum()).to(transitions.dtype)


def entropy_rate(transitions, stationary):
    return torch.dot(stationary, torch.special.entr(transitions).sum(-1))


def rnn_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    return torch.rnn_tanh_cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh)


def gru_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    return torch.gru_cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh)


def unroll(step, inputs, state):
    states = torch.empty(inputs.shape[0], 0, state.shape[1], dtype=state.dtype)
    for x in inputs.transpose(0, 1):
        state = step(x, state)
        states = torch.hstack([states, state.unsqueeze(1)])
    return states


def next_token_loss(logits, tokens, *, padding=None):
    labels = tokens[:, 1:].reshape(-1)
    if padding is not None:
        labels = labels.masked_fill(labels == padding, -100)
    if not (labels >= 0).any():
        return logits.new_zeros(())
    return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels, ignore_index=-100)


def influence(model, x, position):
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        out = model(leaf.unsqueeze(0))[0][(slice(None), *position)]
        total = torch.zeros(x.shape[1:], dtype=x.dtype)
        for number in range(len(out)):
            seed = F.one_hot(torch.tensor(number), len(out)).to(out.dtype)
            (slopes,) = torch.autograd.grad(out, leaf, seed, retain_graph=True)
            total += torch.linalg.vector_norm(slopes, ord=1, dim=0)
    return total


class MaskedConv2d(nn.Conv2d):
    def __init__(self, in_channels, out_channels, kernel_size, mask_type, *, colors=1):
        if not kernel_size % 2:
            raise ValueError("kernel_size is even")
        if mask_type != "A" and mask_type != "B":
            raise ValueError("mask_type")
        if in_channels % colors != 0 or out_channels % colors != 0:
            raise ValueError("colors")
        super().__init__(in_channels, out_channels, kernel_size, padding="same")
        middle = kernel_size * kernel_size // 2
        mask = torch.ones(out_channels, in_channels, kernel_size * kernel_size)
        mask[:, :, middle:] = 0
        blocks = torch.ones(colors, colors).tril(-1 if mask_type == "A" else 0)
        mask[:, :, middle] = torch.kron(blocks, torch.ones(out_channels // colors, in_channels // colors))
        self.register_buffer("seen", mask.view_as(self.weight).bool(), persistent=False)

    def forward(self, x):
        self.weight.data.masked_fill_(~self.seen, 0.0)
        return super().forward(x)


def sample_pixels(model, uniform, *, image=None, known=None):
    pixels = torch.zeros(uniform.shape, dtype=torch.int64)
    if image is not None:
        pixels.masked_scatter_(known.expand_as(pixels), image[known.expand_as(image)])
        free = ~known
    else:
        free = torch.ones(uniform.shape[1:], dtype=torch.bool)
    with torch.inference_mode():
        for y, x in free.nonzero().tolist():
            table = Categorical(logits=model(pixels)[:, :, y, x]).probs.cumsum(-1)
            level = torch.searchsorted(table, uniform[:, y, x].unsqueeze(1).to(table.dtype).contiguous(), right=True)
            pixels[:, y, x] = level.squeeze(1).clamp_max(table.shape[1] - 1)
    return pixels.clone()


def bits_per_dim(log_likelihood, dimensions, *, bin_width=1.0):
    return log_likelihood.mul(-math.log2(math.e)).div(dimensions).sub(math.log2(bin_width))


class GatedPixelCNNLayer(nn.Module):
    def __init__(self, channels, kernel_size, *, first=False):
        super().__init__()
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError("kernel_size")
        r = kernel_size // 2
        self.vertical = nn.Conv2d(channels, 2 * channels, kernel_size, padding=r)
        self.horizontal = nn.Conv2d(channels, 2 * channels, (1, kernel_size), padding=(0, r))
        self.link = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)
        self.first = first
        end = r if first else r + 1
        rows, columns = torch.zeros(kernel_size, 1), torch.zeros(1, kernel_size)
        rows[:end], columns[:, :end] = 1, 1
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    def forward(self, v, h):
        def masked(part, mask, x):
            return F.conv2d(x, part.weight * mask, part.bias, padding=part.padding)

        p = masked(self.vertical, self.rows, v)
        q = masked(self.horizontal, self.columns, h)

        def gate(x):
            # glu is a · σ(b): the first half is bent before.
            a, b = x.tensor_split(2, dim=1)
            return F.glu(torch.cat([a.tanh(), b], dim=1), dim=1)

        new = self.output(gate(q + self.link(p)))
        return gate(p), new if self.first else new + h


class CausalAttention2d(nn.Module):
    def __init__(self, x_channels, memory_channels, key_dim, value_dim):
        super().__init__()
        self.query = nn.Conv2d(x_channels, key_dim, (1, 1))
        self.key = nn.Conv2d(memory_channels, key_dim, (1, 1))
        self.value = nn.Conv2d(memory_channels, value_dim, (1, 1))

    def forward(self, x, memory):
        n = x.shape[2] * x.shape[3]
        query, key, value = (part.flatten(2).mT for part in (self.query(x), self.key(memory), self.value(memory)))
        if n == 1:
            return torch.zeros_like(value).mT.reshape(*value.mT.shape[:2], 1, 1) + 0 * query.sum()
        # The first pixel is left out and put back as zeros.
        mask = torch.ones(n - 1, n - 1, dtype=torch.bool).tril()
        found = F.scaled_dot_product_attention(query[:, 1:], key[:, :-1], value[:, :-1], attn_mask=mask)
        return F.pad(found, (0, 0, 1, 0)).mT.reshape(x.shape[0], -1, *x.shape[2:])


def mu_law_encode(x, levels=256):
    # The level is the number of borders between levels that the amplitude has reached.
    mu = levels - 1
    y = 2 * (torch.arange(mu, dtype=torch.float64) + 0.5) / mu - 1
    borders = torch.copysign((levels ** y.abs() - 1) / mu, y)
    return torch.bucketize(x.double(), borders, right=True)


def mu_law_decode(codes, levels=256):
    table = torch.linspace(-1, 1, levels, dtype=torch.float64)
    table = torch.copysign(torch.pow(float(levels), table.abs()).sub(1).div(levels - 1), table)
    return F.embedding(codes.long(), table.unsqueeze(1)).squeeze(-1).float()


class CausalConv1d(nn.Conv1d):
    def __init__(self, in_channels, out_channels, kernel_size, *, dilation=1):
        past = (kernel_size - 1) * dilation
        super().__init__(in_channels, out_channels, kernel_size, padding=past, dilation=dilation)

    def forward(self, x):
        return super().forward(x)[..., : x.shape[-1]]


def receptive_field(kernel_sizes, dilations):
    probe = torch.zeros(1, 1, 1)
    probe[:] = 1.0
    for k, d in zip(kernel_sizes, dilations, strict=True):
        probe = F.conv_transpose1d(probe, torch.ones(1, 1, k), dilation=d)
    return probe.shape[-1]


class WaveNetBlock(nn.Module):
    def __init__(self, channels, skip_channels, filter, gate):
        super().__init__()
        self.filter = filter
        self.gate = gate
        self.residual = nn.Conv1d(channels, channels, kernel_size=1)
        self.skip = nn.Conv1d(channels, skip_channels, kernel_size=1)

    def forward(self, x):
        z = F.glu(torch.cat([self.filter(x).tanh(), self.gate(x)], 1), 1)
        return torch.add(x, self.residual(z)), self.skip(z)
