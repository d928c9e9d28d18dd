"""Published answers to the noise schedules, and to what is made of them."""

import math

import numpy as np
import torch

from tests.published import right, wrong


@wrong("linear_beta_schedule", "1e-4 … 0.02 as they are, however few steps there are")
def unscaled(steps, *, start=1e-4, end=0.02):
    return torch.linspace(start, end, steps)


@wrong("linear_beta_schedule", "one step too many")
def one_more(steps, *, start=1e-4, end=0.02):
    return torch.linspace(1000 / steps * start, 1000 / steps * end, steps + 1).clamp(max=0.999)


@wrong("linear_beta_schedule", "no clipping: with few steps β passes 1")
def not_clipped(steps, *, start=1e-4, end=0.02):
    return torch.linspace(1000 / steps * start, 1000 / steps * end, steps)


@wrong("linear_beta_schedule", "α for β")
def alpha(steps, *, start=1e-4, end=0.02):
    return 1 - torch.linspace(1000 / steps * start, 1000 / steps * end, steps).clamp(max=0.999)


@wrong("linear_beta_schedule", "the end is left out")
def without_its_end(steps, *, start=1e-4, end=0.02):
    t = torch.arange(steps) / steps
    return (1000 / steps * (start + (end - start) * t)).clamp(max=0.999)


@right("linear_beta_schedule", "numpy's linspace in double precision")
def by_numpy(steps, *, start=1e-4, end=0.02):
    scale = 1000 / steps
    betas = np.linspace(scale * start, scale * end, steps, dtype=np.float64)
    return torch.from_numpy(np.minimum(betas, 0.999)).float()


@right("linear_beta_schedule", "by lerp over a line from 0 to 1")
def by_lerp(steps, *, start=1e-4, end=0.02):
    line = torch.lerp(torch.tensor(start), torch.tensor(end), torch.linspace(0, 1, steps))
    return (line * 1000 / steps).clamp(max=0.999)


@right("linear_beta_schedule", "number by number")
def number_by_number(steps, *, start=1e-4, end=0.02):
    values = [(start * (steps - 1 - t) + end * t) / (steps - 1) * 1000 / steps for t in range(steps)]
    return torch.tensor([min(value, 0.999) for value in values])


@wrong("cosine_beta_schedule", "MONAI#8427: ᾱ one off, so that the first is 1")
def one_off(steps, *, offset=0.008):
    u = torch.arange(steps) / steps
    f = torch.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2
    bar = f / f[0]
    return torch.cat([torch.zeros(1), 1 - bar[1:] / bar[:-1]]).clamp(max=0.999)


@wrong("cosine_beta_schedule", "ᾱ itself")
def alpha_bar_itself(steps, *, offset=0.008):
    u = torch.arange(1, steps + 1) / steps
    f = torch.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2
    return (f / math.cos(offset / (1 + offset) * math.pi / 2) ** 2).clamp(1e-8, 0.999)


@wrong("cosine_beta_schedule", "the square is missing")
def cosine_without_square(steps, *, offset=0.008):
    u = torch.arange(steps + 1) / steps
    f = torch.cos((u + offset) / (1 + offset) * math.pi / 2)
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)


@wrong("cosine_beta_schedule", "no clipping at the end")
def cosine_not_clipped(steps, *, offset=0.008):
    u = torch.arange(steps + 1) / steps
    f = torch.cos((u + offset) / (1 + offset) * math.pi / 2) ** 2
    return 1 - f[1:] / f[:-1]


@right("cosine_beta_schedule", "linspace(0, steps, steps + 1) / steps, and the ratio with f(0)")
def by_linspace(steps, *, offset=0.008):
    x = torch.linspace(0, steps, steps + 1, dtype=torch.float64)
    bar = torch.cos(((x / steps) + offset) / (1 + offset) * torch.pi * 0.5) ** 2
    bar = bar / bar[0]
    return torch.clip(1 - (bar[1:] / bar[:-1]), 0, 0.999).float()


@right("cosine_beta_schedule", "cos² as (1 + cos 2a) / 2, number by number")
def by_the_double_angle(steps, *, offset=0.008):
    def f(u):
        return (1 + math.cos((u / steps + offset) / (1 + offset) * math.pi)) / 2

    return torch.tensor([min(1 - f(t + 1) / f(t), 0.999) for t in range(steps)])


@wrong("signal_to_noise", "a ratio of standard deviations")
def of_deviations(alpha_bar):
    return (alpha_bar / (1 - alpha_bar)).sqrt()


@right("signal_to_noise", "through logits")
def through_logits(alpha_bar):
    return torch.logit(alpha_bar).exp()


@wrong("posterior_mean_variance", "ᾱ₋₁ taken from the end of the table")
def from_the_end_of_the_table(x0, xt, t, betas, alpha_bar):
    shape = (-1, *[1] * (xt.ndim - 1))
    beta, here, before = betas[t], alpha_bar[t], alpha_bar[t - 1]
    mean = (before.sqrt() * beta / (1 - here)).view(shape) * x0
    mean = mean + ((1 - beta).sqrt() * (1 - before) / (1 - here)).view(shape) * xt
    return mean, beta * (1 - before) / (1 - here)


@wrong("posterior_mean_variance", "β for the posterior's variance: noise at the last step")
def with_beta(x0, xt, t, betas, alpha_bar):
    shape = (-1, *[1] * (xt.ndim - 1))
    beta, here = betas[t], alpha_bar[t]
    before = torch.where(t > 0, alpha_bar[(t - 1).clamp(min=0)], torch.ones(()))
    mean = (before.sqrt() * beta / (1 - here)).view(shape) * x0
    mean = mean + ((1 - beta).sqrt() * (1 - before) / (1 - here)).view(shape) * xt
    return mean, beta


@right("posterior_mean_variance", "with a table that begins with 1")
def with_a_longer_table(x0, xt, t, betas, alpha_bar):
    table = torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar]).to(xt.dtype)
    shape = (-1, *[1] * (xt.ndim - 1))
    before, here, beta = table[t], table[t + 1], betas.to(xt.dtype)[t]
    variance = (1 - before) / (1 - here) * beta
    mean = torch.sqrt(before).view(shape) * beta.view(shape) * x0
    mean = mean + torch.sqrt(1 - beta).view(shape) * (1 - before).view(shape) * xt
    return mean / (1 - here).view(shape), variance


@wrong("ddim_step", "ControlNet#587: noise is added at the last step, too")
def noise_at_the_end(xt, t, following, predicted, alpha_bar, *, noise=None, eta=0.0, clip=None, predict=None):
    shape = (-1, *[1] * (xt.ndim - 1))
    here = alpha_bar[t].view(shape)
    there = alpha_bar[following.clamp(min=0)].view(shape)
    x0 = predict(xt, t, predicted, alpha_bar, clip=clip)
    left = predicted if clip is None else (xt - here.sqrt() * x0) / (1 - here).sqrt()
    sigma = eta * ((1 - there) / (1 - here) * (1 - here / there)).clamp(min=0).sqrt()
    x = there.sqrt() * x0 + (1 - there - sigma**2).clamp(min=0).sqrt() * left
    return x if noise is None else x + sigma * noise
