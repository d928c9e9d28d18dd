"""Correct answers to `vae` written with Python loops, one number or one row at a time."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Decoder(nn.Module):
    def __init__(self, latent_dim, hidden_dim, data_dim):
        super().__init__()
        self.hidden = nn.ModuleList([nn.Linear(latent_dim, hidden_dim), nn.Linear(hidden_dim, hidden_dim)])
        self.out = nn.Linear(hidden_dim, data_dim)

    def forward(self, z):
        for layer in self.hidden:
            z = torch.tanh(layer(z))
        return self.out(z)


def bernoulli_log_likelihood(logits, x):
    rows = []
    for logit, pixels in zip(logits, x, strict=True):
        total = logit.new_zeros(())
        for one_logit, pixel in zip(logit, pixels, strict=True):
            total = total + pixel * one_logit - torch.logaddexp(torch.zeros_like(one_logit), one_logit)
        rows.append(total)
    return torch.stack(rows)


class Encoder(nn.Module):
    def __init__(self, data_dim, hidden_dim, latent_dim):
        super().__init__()
        self.first = nn.Linear(data_dim, hidden_dim)
        self.to_mu = nn.Linear(hidden_dim, latent_dim)
        self.to_logvar = nn.Linear(hidden_dim, latent_dim)
        # At the start σ = 1 for every image.
        nn.init.zeros_(self.to_logvar.weight)
        nn.init.zeros_(self.to_logvar.bias)

    def forward(self, x):
        mus, logvars = [], []
        for row in x:
            hidden = nn.functional.leaky_relu(self.first(row))
            mus.append(self.to_mu(hidden))
            logvars.append(self.to_logvar(hidden))
        return torch.stack(mus), torch.stack(logvars)


def kl_divergence(mu, logvar):
    totals = []
    for row in range(mu.shape[0]):
        total = 0
        for column in range(mu.shape[1]):
            m, v = mu[row, column], logvar[row, column]
            total = total - (1 + v - m * m - torch.exp(v)) / 2
        totals.append(total)
    return torch.stack(totals)


def reparameterize(mu, logvar, noise):
    rows = []
    for m, v, e in zip(mu, logvar, noise, strict=True):
        rows.append(torch.stack([m[i] + e[i] * torch.exp(v[i] / 2) for i in range(len(m))]))
    return torch.stack(rows)


def elbo(
    x, encoder, decoder, noise, *, sample=reparameterize, kl=kl_divergence, log_likelihood=bernoulli_log_likelihood
):
    bounds = []
    for i in range(len(x)):
        mu, logvar = encoder(x[i : i + 1])
        logits = decoder(sample(mu, logvar, noise[i : i + 1]))
        bounds.append(log_likelihood(logits, x[i : i + 1])[0] - kl(mu, logvar)[0])
    return torch.stack(bounds)


def beta_vae_loss(log_likelihood, kl, beta=1.0):
    total = 0
    for likelihood, divergence in zip(log_likelihood, kl, strict=True):
        total = total + beta * divergence - likelihood
    return total / len(kl)


def kl_weight(step, warmup, *, period=None):
    while period is not None and step >= period:
        step -= period * max(1, step // period)
    if step >= warmup:
        return 1
    return step / warmup


def train_vae(
    encoder: nn.Module,
    decoder: nn.Module,
    images: Tensor,
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    beta: float = 1.0,
    warmup: int = 0,
    generator: torch.Generator | None = None,
    on_epoch: Callable | None = None,
    sample: Callable = reparameterize,
    kl: Callable = kl_divergence,
    log_likelihood: Callable = bernoulli_log_likelihood,
    loss: Callable = beta_vae_loss,
    weight: Callable = kl_weight,
) -> list[float]:
    optimizers = [torch.optim.Adam(network.parameters(), lr=learning_rate) for network in (encoder, decoder)]
    count = images.size(0)
    minibatches = math.ceil(count / batch_size)
    history = []
    for epoch in range(epochs):
        order = torch.randperm(count, generator=generator)
        bound = 0.0
        for number in range(minibatches):
            for optimizer in optimizers:
                optimizer.zero_grad()
            x = images[order[number * batch_size : (number + 1) * batch_size]]
            mu, logvar = encoder(x)
            z = sample(mu, logvar, torch.randn(*mu.shape, generator=generator, dtype=mu.dtype))
            reconstruction, divergence = log_likelihood(decoder(z), x), kl(mu, logvar)
            step = epoch * minibatches + number
            loss(reconstruction, divergence, weight(step, warmup) * beta).backward()
            for optimizer in optimizers:
                optimizer.step()
            for r, d in zip(reconstruction.tolist(), divergence.tolist(), strict=True):
                bound += (r - d) / count
        history.append(bound)
        if on_epoch is not None:
            on_epoch(epoch, bound)
    return history


def embed(encoder, x, batch_size=256):
    codes = []
    first = 0
    while first < x.shape[0]:
        mu, _ = encoder(x[first : first + batch_size])
        codes.extend(row.detach() for row in mu)
        first += batch_size
    return torch.stack(codes)


def interpolate_latents(start, end, steps):
    if not steps >= 2:
        raise ValueError(f"{steps} steps are too few")
    return torch.stack([(1 - i / (steps - 1)) * start + i / (steps - 1) * end for i in range(steps)])


def importance_weighted_bound(log_joint, log_q):
    bounds = []
    for joint, q in zip(log_joint.unbind(1), log_q.unbind(1), strict=True):
        weights = joint - q
        largest = weights.max().detach()
        total = sum(torch.exp(weight - largest) for weight in weights)
        bounds.append(largest + torch.log(total / len(weights)))
    return torch.stack(bounds)


def anomaly_score(x, bound, noise):
    score = torch.zeros(len(x), dtype=x.dtype)
    for sample in range(len(noise)):
        score = score - bound(x, noise[sample])
    return score / len(noise)


def word_dropout(tokens, uniform, rate, *, unknown, protected=()):
    out = tokens.clone()
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            if uniform[i, j].item() < rate and out[i, j].item() not in protected:
                out[i, j] = unknown
    return out


def text_elbo(logits, tokens, mu, logvar, *, padding, kl=kl_divergence):
    bounds = []
    for scores, words, price in zip(logits, tokens, kl(mu, logvar), strict=True):
        bound = -price
        for position, word in enumerate(words.tolist()):
            if word != padding:
                bound = bound + scores[position, word] - torch.logsumexp(scores[position], dim=0)
        bounds.append(bound)
    return torch.stack(bounds)
