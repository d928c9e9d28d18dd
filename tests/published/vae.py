"""Published answers to the exercises of `vae`."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Independent, Normal
from torch.distributions import kl_divergence as kl_of

from tests.published import right, wrong


@wrong("kl_divergence", "podgorskiy/VAE#1, grammarVAE#2: averaged over latent dimensions")
def kl_averaged(mu, logvar):
    return -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp(), dim=-1)


@wrong("kl_divergence", "rachtsingh/ibp_vae#3, keras#9972: logvar taken for σ")
def kl_of_sigma(mu, logvar):
    return 0.5 * (mu.pow(2) + logvar.pow(2) - 1 - torch.log(logvar.pow(2) + 1e-8)).sum(-1)


@wrong("kl_divergence", "GlassyWing/nvae#3: without dim the batch is summed away")
def kl_over_everything(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


@wrong("kl_divergence", "the half is missing")
def kl_without_half(mu, logvar):
    return -torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "the sign of the bracket is lost")
def kl_negative(mu, logvar):
    return 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@right("kl_divergence", "with expm1: other rounding, which an `==` between floats refuses")
def kl_by_expm1(mu, logvar):
    return 0.5 * torch.einsum("bl->b", mu * mu + torch.expm1(logvar) - logvar)


@right("kl_divergence", "by torch.distributions")
def kl_by_library(mu, logvar):
    q = Independent(Normal(mu, torch.exp(0.5 * logvar)), 1)
    return kl_of(q, Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1))


@wrong("reparameterize", "keras-io#790: no noise in z")
def without_noise(mu, logvar, noise):
    return mu + 0 * logvar * noise


@wrong("reparameterize", "z cut off from its graph")
def detached(mu, logvar, noise):
    return (mu + torch.exp(logvar / 2) * noise).detach()


@wrong("reparameterize", "one noise for all latent dimensions")
def shared_over_dimensions(mu, logvar, noise):
    return mu + torch.exp(0.5 * logvar) * noise[:, :1]


@wrong("reparameterize", "one noise for the batch")
def shared_over_batch(mu, logvar, noise):
    return mu + torch.exp(0.5 * logvar) * noise[:1]


@wrong("reparameterize", "noise of one's own, and uniform")
def uniform(mu, logvar, noise):
    return mu + torch.exp(0.5 * logvar) * torch.rand_like(logvar)


@wrong("reparameterize", "the variance for the standard deviation")
def by_variance(mu, logvar, noise):
    return mu + torch.exp(logvar) * noise


@right("reparameterize", "a fused multiply and add")
def fused(mu, logvar, noise):
    return torch.addcmul(mu, logvar.mul(0.5).exp(), noise)


@wrong("bernoulli_log_likelihood", "pytorch/examples#290: a mean over pixels, on another scale than the KL")
def mean_over_pixels(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(-1)


@wrong("bernoulli_log_likelihood", "the error for the likelihood: the sign")
def cross_entropy(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


@wrong("bernoulli_log_likelihood", "the logarithm of a sigmoid that has become 0")
def logarithm_of_sigmoid(logits, x):
    p = torch.sigmoid(logits)
    return (x * torch.log(p) + (1 - x) * torch.log(1 - p)).sum(-1)


@right("bernoulli_log_likelihood", "x·logit − softplus(logit)")
def by_softplus(logits, x):
    return torch.sum(x * logits - F.softplus(logits), -1)


@right("bernoulli_log_likelihood", "by torch.distributions, which must be told that grey is allowed")
def by_bernoulli(logits, x):
    return Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)


@wrong("elbo", "the KL is added")
def kl_added(x, encoder, decoder, noise, *, sample=None, kl=None, log_likelihood=None):
    mu, logvar = encoder(x)
    return log_likelihood(decoder(sample(mu, logvar, noise)), x) + kl(mu, logvar)


@wrong("elbo", "averaged over the batch")
def averaged_over_batch(x, encoder, decoder, noise, *, sample=None, kl=None, log_likelihood=None):
    mu, logvar = encoder(x)
    return (log_likelihood(decoder(sample(mu, logvar, noise)), x) - kl(mu, logvar)).mean()


@right("elbo", "as the log of a ratio that is written out with a logsumexp of one term")
def in_other_words(x, encoder, decoder, noise, *, sample=None, kl=None, log_likelihood=None):
    parameters = encoder(x)
    code = sample(*parameters, noise)
    terms = torch.stack([log_likelihood(decoder(code), x), kl(*parameters).neg()])
    return terms.sum(0) + math.log(1.0)
