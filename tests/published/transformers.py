"""Published answers to attention."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.published import altered, right


@right("scaled_dot_product_attention", "the weights of masked keys taken away after the softmax, too")
def by_hand(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e30)
    weights = scores.softmax(-1)
    return (weights if mask is None else weights * mask) @ value


without_scale = altered(by_hand, "no scaling", {" / math.sqrt(query.shape[-1])": ""})
scaled_by_d = altered(by_hand, "divided by d, not by its root", {"math.sqrt(query.shape[-1])": "query.shape[-1]"})
softmax_over_queries = altered(by_hand, "the softmax over the queries", {"softmax(-1)": "softmax(-2)"})
mask_afterwards = altered(
    by_hand, "the mask after the softmax only: weights that do not add up to 1", {".masked_fill(~mask, -1e+30)": ""}
)
zeros_are_masked = altered(
    by_hand,
    "scores that happen to be 0 are taken for masked ones",
    {
        "scores.masked_fill(~mask, -1e+30)": "scores * mask",
        "weights = scores": "weights = scores.masked_fill(scores == 0, -1e30)",
    },
)
minus_ten_thousand = altered(
    by_hand,
    "−10000 for −∞: masked keys win where scores are lower still",
    {"scores.masked_fill(~mask, -1e+30)": "scores + (1 - mask.to(scores)) * -10000", "weights * mask": "weights"},
)
mask_the_other_way_round = altered(
    by_hand, "True taken for “hide”", {"masked_fill(~mask": "masked_fill(mask", "weights * mask": "weights"}
)


@right("scaled_dot_product_attention", "torch's own")
def by_torch(query, key, value, mask=None):
    if mask is None:
        return F.scaled_dot_product_attention(query, key, value)
    shape = (*torch.broadcast_shapes(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
    mask = mask.expand(shape)
    some = mask.any(-1, keepdim=True)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask | ~some) * some


@right("scaled_dot_product_attention", "einsum, the scale on the queries")
def by_einsum(query, key, value, mask=None):
    scores = torch.einsum("...qd,...kd->...qk", query * query.shape[-1] ** -0.5, key)
    if mask is None:
        return torch.einsum("...qk,...kv->...qv", torch.softmax(scores, -1), value)
    scores = torch.where(mask, scores, torch.full_like(scores, -1e30))
    weights = torch.exp(scores - scores.amax(-1, keepdim=True).detach()) * mask
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)
    return torch.einsum("...qk,...kv->...qv", weights, value)


@right("SelfAttention", "all heads at once, the weights written out")
class AllHeadsAtOnce(nn.Module):
    def __init__(self, width, heads, *, causal=True, attend=None):
        super().__init__()
        if width % heads:
            raise ValueError("width is no multiple of heads")
        self.heads, self.causal, self.attend = heads, causal, attend
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.output = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x, mask=None):
        b, n, w = x.shape
        q, k, v = (f(x).view(b, n, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        allowed = torch.ones(n, n, dtype=torch.bool)
        allowed = allowed.tril() if self.causal else allowed
        allowed = allowed if mask is None else allowed & mask[:, None, None, :]
        return self.output(self.attend(q, k, v, allowed).transpose(1, 2).reshape(b, n, w))


ScaledByTheWidth = altered(
    AllHeadsAtOnce, "√width for √(width / heads)", {"self.attend(q, k": "self.attend(q / self.heads ** 0.5, k"}
)
MergedWithoutTranspose = altered(
    AllHeadsAtOnce, "heads merged without a transpose", {"allowed).transpose(1, 2).reshape": "allowed).reshape"}
)
PaddingOfQueries = altered(
    AllHeadsAtOnce, "padding masked on the side of the queries", {"mask[:, None, None, :]": "mask[:, None, :, None]"}
)
SeesTheNext = altered(
    AllHeadsAtOnce, "the causal mask one off: a position sees the next one", {"allowed.tril()": "allowed.tril(1)"}
)


@right("SelfAttention", "a loop over heads")
class LoopOverHeads(nn.Module):
    def __init__(self, width, heads, *, causal=True, attend=None):
        super().__init__()
        if width % heads:
            raise ValueError("width is no multiple of heads")
        self.heads, self.causal, self.attend = heads, causal, attend
        for name in ("query", "key", "value", "output"):
            setattr(self, name, nn.Linear(width, width))

    def forward(self, x, mask=None):
        n = x.shape[1]
        allowed = torch.full((len(x), n, n), True)
        if self.causal:
            allowed = torch.tril(allowed)
        if mask is not None:
            allowed = torch.logical_and(allowed, mask.unsqueeze(1))
        parts = zip(*(f(x).chunk(self.heads, dim=-1) for f in (self.query, self.key, self.value)), strict=True)
        return self.output(torch.cat([self.attend(q, k, v, allowed) for q, k, v in parts], dim=-1))
