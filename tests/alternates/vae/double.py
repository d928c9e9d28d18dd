"""Correct answers to `vae` that compute in double precision and write sums as einsum or matrix products."""

import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, latent_dim, hidden_dim, data_dim):
        super().__init__()
        self.first = nn.Parameter(torch.randn(latent_dim, hidden_dim) / latent_dim**0.5)
        self.second = nn.Parameter(torch.randn(hidden_dim, data_dim) / hidden_dim**0.5)
        self.shift = nn.Parameter(torch.randn(hidden_dim))
        self.bias = nn.Parameter(torch.zeros(data_dim))

    def forward(self, z):
        hidden = torch.sigmoid(torch.einsum("bl,lh->bh", z, self.first) + self.shift)
        return torch.einsum("bh,hd->bd", hidden, self.second) + self.bias


def bernoulli_log_likelihood(logits, x):
    wide, target = logits.double(), x.double()
    # max(−l, 0) + log(1 + exp(−|l|)) is softplus(−l), so that nothing overflows.
    softplus = torch.clamp(-wide, min=0) + torch.log1p(torch.exp(-wide.abs()))
    return torch.einsum("bd->b", (target - 1) * wide - softplus).to(logits.dtype)


class Encoder(nn.Module):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        self.mu = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.Softplus(), nn.Linear(hidden_dim, latent_dim))
        self.logvar = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, latent_dim))

    def forward(self, x):
        return self.mu(x), self.logvar(x)


def kl_divergence(mu, logvar):
    m, v = mu.double(), logvar.double()
    return (0.5 * (torch.einsum("bl,bl->b", m, m) + torch.expm1(v).sum(1) - v.sum(1))).to(mu.dtype)


def reparameterize(mu, logvar, noise):
    sigma = torch.pow(
        torch.tensor(2.0, dtype=torch.float64), logvar.double() / (2 * torch.log(torch.tensor(2.0).double()))
    )
    return (mu.double() + sigma * noise.double()).to(mu.dtype)


def elbo(
    x, encoder, decoder, noise, *, sample=reparameterize, kl=kl_divergence, log_likelihood=bernoulli_log_likelihood
):
    q = encoder(x)
    price = kl(*q)
    return torch.add(log_likelihood(decoder(sample(*q, noise)), x), price, alpha=-1)


def beta_vae_loss(log_likelihood, kl, beta=1.0):
    batch = log_likelihood.shape[0]
    terms = torch.stack([log_likelihood, kl]).double()
    weights = torch.tensor([-1.0, beta], dtype=torch.float64) / batch
    return torch.einsum("t,tb->", weights, terms).to(kl.dtype)


def kl_weight(step, warmup, *, period=None):
    progress = step if period is None else step - step // period * period
    return min(progress, warmup) / warmup if warmup > 0 else 1.0


def train_vae(encoder, decoder, images, *, epochs, batch_size=64, learning_rate=1e-3, beta=1.0, warmup=0, generator=None,
              on_epoch=None, sample=reparameterize, kl=kl_divergence, log_likelihood=bernoulli_log_likelihood,
              loss=beta_vae_loss, weight=kl_weight):  # fmt: skip
    parameters = list(encoder.parameters()) + list(decoder.parameters())
    adam = torch.optim.Adam([{"params": parameters}], lr=learning_rate)
    step, history = 0, []
    for epoch in range(epochs):
        bounds = torch.zeros((), dtype=torch.float64)
        # One uniform key for each image; sorting them is a random order.
        order = torch.rand(len(images), generator=generator, dtype=torch.float64).argsort()
        for first in range(0, len(images), batch_size):
            x = images.index_select(0, order[first : first + batch_size])
            q = encoder(x)
            noise = torch.empty_like(q[0]).normal_(generator=generator)
            log_px, price = log_likelihood(decoder(sample(*q, noise)), x), kl(*q)
            objective = loss(log_px, price, beta * weight(step, warmup))
            for parameter, gradient in zip(parameters, torch.autograd.grad(objective, parameters), strict=True):
                parameter.grad = gradient
            adam.step()
            with torch.no_grad():
                bounds += log_px.double().sum() - price.double().sum()
            step += 1
        history += [float(bounds / len(images))]
        if on_epoch is not None:
            on_epoch(epoch, history[-1])
    return history


def embed(encoder, x, batch_size=256):
    with torch.inference_mode():
        means = None
        for batch in torch.tensor_split(x, list(range(batch_size, len(x), batch_size))):
            mu = encoder(batch)[0]
            if means is None:
                means = mu.new_empty(len(x), mu.shape[1])
                filled = 0
            means[filled : filled + len(mu)] = mu
            filled += len(mu)
    return means.clone()


def interpolate_latents(start, end, steps):
    if steps < 2:
        raise ValueError
    t = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    weights = torch.stack([1 - t, t], dim=1)
    return (weights @ torch.stack([start, end]).double()).to(start.dtype)


def importance_weighted_bound(log_joint, log_q):
    weights = log_joint.double() - log_q.double()
    normalised = weights.log_softmax(0)
    # log Σ w = w − log softmax(w), the same for every sample.
    log_sum = (weights - normalised).mean(0)
    return (log_sum - torch.log(torch.tensor(weights.size(0), dtype=torch.float64))).to(log_q.dtype)


def anomaly_score(x, bound, noise):
    with torch.no_grad():
        mean = sum(bound(x, eps).double() / len(noise) for eps in noise.unbind())
    return -mean.to(x.dtype)


def word_dropout(tokens, uniform, rate, *, unknown, protected=()):
    ids = torch.tensor([*protected, -1], dtype=torch.int64)
    free = (tokens[..., None] != ids).all(-1)
    hide = ((uniform.double() < rate) & free).to(tokens.dtype)
    return hide * unknown + (1 - hide) * tokens


def text_elbo(logits, tokens, mu, logvar, *, padding, kl=kl_divergence):
    log_p = torch.log_softmax(logits.double(), dim=-1)
    chosen = torch.nn.functional.one_hot(tokens, logits.shape[-1]).double()
    words = (tokens != padding).double()
    return torch.einsum("blv,blv,bl->b", log_p, chosen, words).to(logits.dtype) - kl(mu, logvar)
