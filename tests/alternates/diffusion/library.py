"""Correct answers to `diffusion` that leave the work to torch's own functions, and write formulas as libraries do."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def linear_beta_schedule(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    scale = 1000 / steps
    return torch.linspace(scale * start, scale * end, steps).clamp_(max=0.999)


def alpha_bars(betas: Tensor) -> Tensor:
    return torch.log1p(-betas).cumsum(0).exp()


def cosine_beta_schedule(steps: int, *, offset: float = 0.008) -> Tensor:
    # As in Nichol & Dhariwal's code: T + 1 points from 0 to T, then ratios of neighbours, all in float32.
    x = torch.linspace(0, steps, steps + 1)
    alphas_cumprod = torch.cos((x / steps + offset) / (1 + offset) * torch.pi * 0.5) ** 2
    alphas_cumprod = alphas_cumprod / alphas_cumprod[0]
    betas = 1 - alphas_cumprod[1:] / alphas_cumprod[:-1]
    return torch.clip(betas, 0, 0.999)


def signal_to_noise(alpha_bar: Tensor) -> Tensor:
    return torch.logit(alpha_bar).exp()


def extract(schedule: Tensor, t: Tensor, like: Tensor) -> Tensor:
    return schedule.gather(0, t).reshape(len(t), *((1,) * (like.dim() - 1)))


def q_sample(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = extract(alpha_bar, t, x0)
    return torch.addcmul(left.sqrt() * x0, torch.sqrt(1 - left), noise)


def predict_x0(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    inverse = alpha_bar.reciprocal()
    x0 = extract(inverse.sqrt(), t, xt) * xt - extract((inverse - 1).sqrt(), t, xt) * noise
    if clip is not None:
        x0 = F.hardtanh(x0, -clip, clip)
    return x0


def posterior_mean_variance(
    x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor, alpha_bar: Tensor
) -> tuple[Tensor, Tensor]:
    before = F.pad(alpha_bar[:-1], (1, 0), value=1.0)
    variance = betas * (1 - before) / (1 - alpha_bar)
    first = betas * before.sqrt() / (1 - alpha_bar)
    second = (1 - before) * (1 - betas).sqrt() / (1 - alpha_bar)
    return extract(first, t, xt) * x0 + extract(second, t, xt) * xt, variance.gather(0, t)


def ddpm_loss(
    model: Callable, x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, corrupt: Callable = q_sample
) -> Tensor:
    return F.mse_loss(model(corrupt(x0, t, noise, alpha_bar), t), noise)


def timestep_embedding(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    frequencies = torch.logspace(0, -1, dim // 2 + 1, base=max_period, device=t.device)[:-1]
    waves = torch.polar(torch.ones(len(t), dim // 2), torch.outer(t.float(), frequencies))
    return torch.hstack([waves.imag, waves.real])


def train_diffusion(
    model: nn.Module,
    images: Tensor,
    alpha_bar: Tensor,
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
    loss: Callable = ddpm_loss,
) -> list[float]:
    from torch.utils.data import DataLoader, TensorDataset

    model.train()
    adam = torch.optim.Adam(model.parameters(), lr=learning_rate)
    loader = DataLoader(TensorDataset(images), batch_size=batch_size, shuffle=True, generator=generator)
    history: list[float] = []
    for epoch in range(epochs):
        losses, counts = [], []
        for (x0,) in loader:
            t = torch.randint(0, alpha_bar.shape[0], (x0.shape[0],), generator=generator)
            noise = torch.normal(0.0, 1.0, x0.shape, generator=generator).type_as(x0)
            value = loss(model, x0, t, noise, alpha_bar)
            adam.zero_grad(set_to_none=False)
            value.backward()
            adam.step()
            losses.append(value.detach())
            counts.append(len(x0))
        weights = torch.tensor(counts, dtype=torch.float64)
        history.append(float(weights @ torch.stack(losses).double() / weights.sum()))
        if on_epoch:
            on_epoch(epoch, history[-1])
    return history


@torch.no_grad()
def ddpm_step(
    xt: Tensor,
    t: Tensor,
    predicted: Tensor,
    noise: Tensor,
    betas: Tensor,
    alpha_bar: Tensor,
    *,
    clip: float | None = None,
    predict: Callable = predict_x0,
    posterior: Callable = posterior_mean_variance,
) -> Tensor:
    mean, variance = posterior(predict(xt, t, predicted, alpha_bar, clip=clip), xt, t, betas, alpha_bar)
    std = torch.exp(0.5 * variance.clamp(min=1e-20).log())
    nonzero = (t != 0).to(xt.dtype)
    return torch.addcmul(mean, (nonzero * std).reshape(-1, *(1,) * (xt.dim() - 1)), noise)


@torch.inference_mode()
def _walk(model: Callable, x: Tensor, times: list[int], step: Callable) -> Tensor:
    ends = [*times[1:], -1]
    for index in range(len(times)):
        t = x.new_full((x.shape[0],), times[index], dtype=torch.long)
        following = x.new_full((x.shape[0],), ends[index], dtype=torch.long)
        x = step(x, t, following, model(x, t))
    return x


def generate(model: Callable, x: Tensor, times: list[int], step: Callable) -> Tensor:
    return _walk(model, x, times, step).clone()


def ddim_step(
    xt: Tensor,
    t: Tensor,
    following: Tensor,
    predicted: Tensor,
    alpha_bar: Tensor,
    *,
    noise: Tensor | None = None,
    eta: float = 0.0,
    clip: float | None = None,
    predict: Callable = predict_x0,
) -> Tensor:
    # ᾱ with a 1 in front, so that −1 is found at index 0.
    padded = F.pad(alpha_bar, (1, 0), value=1.0)
    a, b = extract(padded, t + 1, xt), extract(padded, following + 1, xt)
    x0 = predict(xt, t, predicted, alpha_bar, clip=clip)
    epsilon = (xt - a.sqrt() * x0) / (1 - a).sqrt()
    variance = (1 - b) / (1 - a) * (1 - a / b)
    sigma = eta * variance.sqrt()
    direction = torch.sqrt(F.relu(1 - b - sigma**2)) * epsilon
    result = b.sqrt() * x0 + direction
    if eta > 0:
        result = result + sigma * noise
    return result


def guided_noise(model: Callable, xt: Tensor, t: Tensor, labels: Tensor, *, scale: float, null: int) -> Tensor:
    both = torch.cat([labels.new_full(labels.shape, null), labels])
    without, with_label = model(torch.cat([xt, xt]), torch.cat([t, t]), both).chunk(2)
    return torch.lerp(without, with_label, scale)


def cross_attention(
    x: Tensor,
    context: Tensor,
    to_q: Tensor,
    to_k: Tensor,
    to_v: Tensor,
    *,
    heads: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    def split(rows: Tensor) -> Tensor:
        return rows.view(rows.shape[0], rows.shape[1], heads, -1).transpose(1, 2)

    q, k, v = split(F.linear(x, to_q)), split(F.linear(context, to_k)), split(F.linear(context, to_v))
    seen = None if mask is None else mask.unsqueeze(1).unsqueeze(1)
    read = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    return read.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1)


def to_latents(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    with torch.no_grad():
        mu, logvar = encode(images.mul(2).sub(1))
    return torch.addcmul(mu, torch.exp(logvar).sqrt(), noise).mul(scale)


def from_latents(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return decode(latents.div(scale)).clamp(-1, 1).add(1).mul(0.5)


def frechet_distance(real: Tensor, generated: Tensor) -> Tensor:
    # The trace of the root is the sum of the roots of the eigenvalues, which are real and not negative but for rounding.
    means = real.mean(0) - generated.mean(0)
    first, second = torch.cov(real.T), torch.cov(generated.T)
    values = torch.linalg.eigvals(first @ second)
    overlap = values.real.clamp(min=0).sqrt().sum()
    return means @ means + first.trace() + second.trace() - 2 * overlap


def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> tuple[float, float]:
    def radii(points: Tensor) -> Tensor:
        return torch.cdist(points, points).topk(k + 1, dim=1, largest=False).values[:, -1]

    distances = torch.cdist(real, generated)
    precision = (distances <= radii(real)[:, None]).any(dim=0)
    recall = (distances <= radii(generated)[None, :]).any(dim=1)
    return precision.double().mean().item(), recall.double().mean().item()
