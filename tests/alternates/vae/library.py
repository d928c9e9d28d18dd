"""Correct answers to `vae` that leave the work to torch's own functions and distributions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal
from torch.nn import functional as F


class Decoder(nn.Sequential):
    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int) -> None:
        super().__init__(
            nn.Linear(latent_dim, hidden_dim),
            nn.LayerNorm(hidden_dim),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(hidden_dim, data_dim),
        )


def bernoulli_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


class Encoder(nn.Module):
    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(data_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, hidden_dim), nn.GELU()),
            nn.Linear(hidden_dim, 2 * latent_dim),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.layers(x).chunk(2, dim=-1)


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    q = Independent(Normal(mu, (logvar / 2).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    return torch.distributions.kl_divergence(q, p)


def reparameterize(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return torch.addcmul(mu, torch.exp(logvar).sqrt(), noise)


def elbo(
    x: Tensor,
    encoder: Callable,
    decoder: Callable,
    noise: Tensor,
    *,
    sample: Callable = reparameterize,
    kl: Callable = kl_divergence,
    log_likelihood: Callable = bernoulli_log_likelihood,
) -> Tensor:
    mu, logvar = encoder(x)
    z = sample(mu=mu, logvar=logvar, noise=noise)
    return log_likelihood(logits=decoder(z), x=x) - kl(mu=mu, logvar=logvar)


def beta_vae_loss(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return -torch.mean(torch.sub(log_likelihood, kl, alpha=beta))


def kl_weight(step: int, warmup: int, *, period: int | None = None) -> float:
    import numpy as np

    position = step if period is None else divmod(step, period)[1]
    return 1.0 if warmup == 0 else float(np.interp(position, [0, warmup], [0.0, 1.0]))


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
    on_epoch: Callable[[int, float], None] | None = None,
    sample: Callable = reparameterize,
    kl: Callable = kl_divergence,
    log_likelihood: Callable = bernoulli_log_likelihood,
    loss: Callable = beta_vae_loss,
    weight: Callable = kl_weight,
) -> list[float]:
    from torch.utils.data import DataLoader, TensorDataset

    networks = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).train()
    adam = torch.optim.Adam(networks.parameters(), lr=learning_rate)
    loader = DataLoader(TensorDataset(images), batch_size=batch_size, shuffle=True, generator=generator)
    history: list[float] = []
    steps = 0
    for epoch in range(epochs):
        bounds = []
        for (x,) in loader:
            mu, logvar = encoder(x)
            noise = torch.normal(0.0, 1.0, mu.shape, generator=generator).type_as(mu)
            log_px = log_likelihood(decoder(sample(mu, logvar, noise)), x)
            divergence = kl(mu, logvar)
            bounds.append((log_px - divergence).detach())
            objective = loss(log_px, divergence, beta=beta * weight(step=steps, warmup=warmup))
            adam.zero_grad(set_to_none=False)
            objective.backward()
            adam.step()
            steps += 1
        history.append(torch.cat(bounds).mean().item())
        if on_epoch:
            on_epoch(epoch, history[-1])
    return history


@torch.no_grad()
def embed(encoder: Callable, x: Tensor, batch_size: int = 256) -> Tensor:
    from torch.utils.data import DataLoader

    return torch.cat([encoder(batch)[0] for batch in DataLoader(x, batch_size=batch_size)])


def interpolate_latents(start: Tensor, end: Tensor, steps: int) -> Tensor:
    if steps < 2:
        raise ValueError("at least two steps, please")
    return F.interpolate(torch.stack([start, end], dim=-1)[None], size=steps, mode="linear", align_corners=True)[0].T


def importance_weighted_bound(log_joint: Tensor, log_q: Tensor) -> Tensor:
    weights = log_joint - log_q
    samples = weights.new_tensor(weights.shape[0])
    return weights.logsumexp(dim=0) - samples.log()


def anomaly_score(x: Tensor, bound: Callable, noise: Tensor) -> Tensor:
    samples, batch = noise.shape[:2]
    bounds = bound(x.repeat(samples, 1), noise.flatten(0, 1))
    return bounds.reshape(samples, batch).mean(dim=0).neg()


def word_dropout(
    tokens: Tensor, uniform: Tensor, rate: float, *, unknown: int, protected: tuple[int, ...] = ()
) -> Tensor:
    hidden = uniform.lt(rate)
    for word in protected:
        hidden &= tokens.ne(word)
    return torch.where(hidden, torch.full_like(tokens, unknown), tokens)


def text_elbo(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable = kl_divergence
) -> Tensor:
    log_p = Categorical(logits=logits).log_prob(tokens)
    return log_p.masked_fill(tokens == padding, 0.0).sum(1).sub(kl(mu, logvar))
