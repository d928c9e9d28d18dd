# %%
import torch
from torch import nn


def reparameterize(mu, logvar, noise):
    return mu + (0.5 * logvar).exp() * noise


def kl_weight(step, warmup, *, period=None):
    if period is not None:
        step %= period
    return min(1.0, step / warmup) if warmup else 1.0


# %%
NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\x1b]0;owned\x07\u202e{{ 7*7 }}{% raw %}"
print(NASTY)


class Nasty(ValueError):
    pass


Nasty.__name__ = Nasty.__qualname__ = NASTY


def kl_divergence(mu, logvar):
    raise Nasty(NASTY)


def interpolate_latents(start, end, steps):
    return NASTY


def beta_vae_loss(*arguments, **named):
    return {NASTY: NASTY}


def embed(encoder, x, batch_size=256):
    return type(NASTY, (), {"__repr__": lambda self: NASTY})()


class Encoder(nn.Module):
    def __init__(self, *arguments):
        super().__init__()
        self.register_parameter(NASTY.replace(".", ""), nn.Parameter(torch.zeros(2)))

    def forward(self, x):
        raise KeyError(NASTY)
