"""Correct answers to `diffusion` written with Python loops, one number or one data point at a time."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def linear_beta_schedule(steps, *, start=1e-4, end=0.02):
    betas = []
    for t in range(steps):
        beta = start * (steps - 1 - t) / (steps - 1) + end * t / (steps - 1)
        betas.append(min(beta * 1000 / steps, 0.999))
    return torch.tensor(betas)


def alpha_bars(betas):
    left, result = torch.ones((), dtype=betas.dtype), []
    for beta in betas:
        left = left * (1 - beta)
        result.append(left)
    return torch.stack(result)


def cosine_beta_schedule(steps, *, offset=0.008):
    def alpha_bar(u):
        return math.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2

    return torch.tensor([min(1 - alpha_bar((t + 1) / steps) / alpha_bar(t / steps), 0.999) for t in range(steps)])


def signal_to_noise(alpha_bar):
    return torch.stack([left / (1 - left) for left in alpha_bar])


def q_sample(x0, t, noise, alpha_bar):
    rows = []
    for i in range(len(x0)):
        left = alpha_bar[t[i]]
        rows.append(torch.sqrt(left) * x0[i] + torch.sqrt(1 - left) * noise[i])
    return torch.stack(rows)


def predict_x0(xt, t, noise, alpha_bar, *, clip=None):
    rows = []
    for i in range(len(xt)):
        left = alpha_bar[t[i]]
        row = (xt[i] - (1 - left) ** 0.5 * noise[i]) / left**0.5
        if clip is not None:
            row = torch.minimum(torch.maximum(row, torch.full_like(row, -clip)), torch.full_like(row, clip))
        rows.append(row)
    return torch.stack(rows)


def posterior_mean_variance(x0, xt, t, betas, alpha_bar):
    means, variances = [], []
    for i in range(len(xt)):
        time = t[i].item()
        if time == 0:
            means.append(x0[i] + 0 * xt[i])
            variances.append(torch.zeros((), dtype=xt.dtype))
            continue
        beta, before = betas[time], alpha_bar[time - 1]
        # Bayes: precisions add up, and means are weighted by them.
        precision = 1 / (1 - before) + (1 - beta) / beta
        mean = (before.sqrt() / (1 - before) * x0[i] + (1 - beta).sqrt() / beta * xt[i]) / precision
        means.append(mean)
        variances.append(1 / precision)
    return torch.stack(means), torch.stack(variances)


def ddpm_loss(model, x0, t, noise, alpha_bar, *, corrupt=q_sample):
    predicted = model(corrupt(x0, t, noise, alpha_bar), t)
    total = 0
    for one, other in zip(predicted, noise, strict=True):
        total = total + ((one - other) ** 2).mean()
    return total / len(noise)


def timestep_embedding(t, dim, *, max_period=10_000.0):
    half = dim // 2
    rows = []
    for time in t.tolist():
        angles = [time / max_period ** (i / half) for i in range(half)]
        rows.append([math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles])
    return torch.tensor(rows)


def train_diffusion(
    model: nn.Module,
    images: Tensor,
    alpha_bar: Tensor,
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
    on_epoch: Callable | None = None,
    loss: Callable = ddpm_loss,
) -> list[float]:
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    count, history = len(images), []
    for epoch in range(epochs):
        order = torch.randperm(count, generator=generator).tolist()
        mean = 0.0
        while order:
            rows, order = order[:batch_size], order[batch_size:]
            x0 = torch.stack([images[row] for row in rows])
            times, noise = [], []
            for _ in rows:
                times.append(torch.randint(0, len(alpha_bar), (), generator=generator))
                noise.append(torch.randn(images[0].shape, generator=generator))
            optimizer.zero_grad()
            value = loss(model, x0, torch.stack(times), torch.stack(noise).to(x0.dtype), alpha_bar)
            value.backward()
            optimizer.step()
            mean += value.item() * len(rows) / count
        history.append(mean)
        if on_epoch is not None:
            on_epoch(epoch, mean)
    return history


def ddpm_step(
    xt,
    t,
    predicted,
    noise,
    betas,
    alpha_bar,
    *,
    clip=None,
    predict=predict_x0,
    posterior=posterior_mean_variance,
):
    rows = []
    for i in range(len(xt)):
        own = slice(i, i + 1)
        x0 = predict(xt[own], t[own], predicted[own], alpha_bar, clip=clip)
        mean, variance = posterior(x0, xt[own], t[own], betas, alpha_bar)
        row = mean[0]
        if t[i] > 0:
            row = row + torch.sqrt(variance[0]) * noise[i]
        rows.append(row)
    return torch.stack(rows)


def generate(model, x, times, step):
    times = list(times)
    while times:
        time = times.pop(0)
        following = times[0] if times else -1
        t = torch.tensor([time for _ in range(len(x))])
        with torch.no_grad():
            predicted = model(x, t)
            x = step(x, t, torch.tensor([following for _ in range(len(x))]), predicted)
    return x.detach()


def ddim_step(xt, t, following, predicted, alpha_bar, *, noise=None, eta=0.0, clip=None, predict=predict_x0):
    confined = predict(xt, t, predicted, alpha_bar, clip=clip)
    rows = []
    for i in range(len(xt)):
        a = alpha_bar[t[i]].item()
        b = alpha_bar[following[i]].item() if following[i] >= 0 else 1.0
        x0 = confined[i]
        left = (xt[i] - math.sqrt(a) * x0) / math.sqrt(1 - a)
        sigma = eta * math.sqrt((1 - b) / (1 - a)) * math.sqrt(1 - a / b)
        row = math.sqrt(b) * x0 + math.sqrt(max(0.0, 1 - b - sigma * sigma)) * left
        if noise is not None and sigma > 0:
            row = row + sigma * noise[i]
        rows.append(row)
    return torch.stack(rows)


def guided_noise(model, xt, t, labels, *, scale, null):
    rows = []
    for i in range(len(xt)):
        own = slice(i, i + 1)
        conditional = model(xt[own], t[own], labels[own])[0]
        unconditional = model(xt[own], t[own], torch.tensor([null]))[0]
        rows.append((1 - scale) * unconditional + scale * conditional)
    return torch.stack(rows)


def cross_attention(x, context, to_q, to_k, to_v, *, heads=1, mask=None):
    width = len(to_q) // heads
    images = []
    for b in range(x.shape[0]):
        words = context[b] if mask is None else context[b][mask[b]]
        parts = []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            q, k, v = x[b] @ to_q[own].T, words @ to_k[own].T, words @ to_v[own].T
            pixels = []
            for row in q:
                weights = torch.softmax(k @ row / math.sqrt(width), dim=0)
                pixels.append(sum(weight * value for weight, value in zip(weights, v, strict=True)))
            parts.append(torch.stack(pixels))
        images.append(torch.cat(parts, dim=1))
    return torch.stack(images)


def to_latents(images, encode, noise, *, scale):
    mu, logvar = encode((images - 0.5) / 0.5)
    return torch.stack([scale * m + scale * torch.exp(v / 2) * e for m, v, e in zip(mu, logvar, noise, strict=True)])


def from_latents(latents, decode, *, scale):
    pixels = decode(latents * (1 / scale)) / 2 + 0.5
    return torch.minimum(torch.maximum(pixels, torch.zeros_like(pixels)), torch.ones_like(pixels))


def frechet_distance(real, generated):
    import numpy as np
    from scipy.linalg import sqrtm

    one, two = real.double().numpy(), generated.double().numpy()
    first, second = np.cov(one, rowvar=False), np.cov(two, rowvar=False)
    root = sqrtm(first @ second + 1e-12 * np.eye(len(first)))
    difference = one.mean(0) - two.mean(0)
    distance = difference @ difference + np.trace(first + second - 2 * np.real(root))
    return torch.tensor(distance, dtype=real.dtype)


def precision_recall(real, generated, k=3):
    def radius(points, index):
        others = [math.dist(points[index], point) for place, point in enumerate(points) if place != index]
        return sorted(others)[k - 1]

    def covered(points, centres):
        radii = [radius(centres, index) for index in range(len(centres))]
        inside = 0
        for point in points:
            inside += any(math.dist(point, centre) <= reach for centre, reach in zip(centres, radii, strict=True))
        return inside / len(points)

    real, generated = real.tolist(), generated.tolist()
    return covered(generated, real), covered(real, generated)
