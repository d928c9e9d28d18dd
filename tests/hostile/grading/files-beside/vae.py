# %%
import torch
from torch import nn


def reparameterize(mu, logvar, noise):
    return mu + (0.5 * logvar).exp() * noise


def kl_weight(step, warmup, *, period=None):
    if period is not None:
        step %= period
    return min(1.0, step / warmup) if warmup else 1.0
