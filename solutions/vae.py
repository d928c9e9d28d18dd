"""Reference answers to `vae`. Each has the signature and the docstring of its stub in the starter."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class Decoder(nn.Module):
    """p(x|z): a network that turns a code into the logits of an image's pixels.

    It has at least one hidden layer with a nonlinearity, and no activation on its output: a
    logit may be any real number, and sigmoid(logit) is the probability that the pixel is on.
    Each row of a batch is decoded by itself. Kingma & Welling 2014, appendix C.1.

    Args:
        latent_dim: numbers in a code.
        hidden_dim: width of the hidden layer.
        data_dim: numbers in a data point, here the pixels of an image.
    """

    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(latent_dim, hidden_dim)
        self.logits = nn.Linear(hidden_dim, data_dim)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch data"]:
        """Decode a batch of codes.

        Args:
            z: codes (batch, latent_dim), one in each row.

        Returns:
            Logits (batch, data_dim), not probabilities.
        """
        return self.logits(F.relu(self.hidden(z)))


def bernoulli_log_likelihood(
    logits: Float[Tensor, "batch data"],
    x: Float[Tensor, "batch data"],
) -> Float[Tensor, "batch"]:
    """log p(x|z) of each data point, its pixels being independent Bernoulli variables.

    The sum over pixels of x log σ(logit) + (1 − x) log(1 − σ(logit)), where σ is the logistic
    sigmoid (Kingma & Welling 2014, equation 11). It is finite, and so are its gradients, for
    logits of ±10⁴.

    Args:
        logits: what the decoder returns (batch, data), one row for each data point.
        x: the data (batch, data), in [0, 1]; grey counts as on with that probability.

    Returns:
        Log-likelihoods (batch,), in nats: a sum over pixels, no mean over the batch.
    """
    return (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(dim=1)


class Encoder(nn.Module):
    """q(z|x): a network that gives each data point a Gaussian over its code.

    It has at least one hidden layer with a nonlinearity, and no activation on its outputs: a
    mean and a log-variance may be any real number. Each row of a batch is encoded by itself.
    Kingma & Welling 2014, appendix C.2.

    Args:
        data_dim: numbers in a data point, here the pixels of an image.
        hidden_dim: width of the hidden layer.
        latent_dim: numbers in a code.
    """

    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(data_dim, hidden_dim)
        self.mu = nn.Linear(hidden_dim, latent_dim)
        self.logvar = nn.Linear(hidden_dim, latent_dim)

    def forward(
        self,
        x: Float[Tensor, "batch data"],
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, "batch latent"]]:
        """Encode a batch of data points.

        Args:
            x: data (batch, data_dim), one data point in each row.

        Returns:
            The pair (mu, logvar), each (batch, latent_dim): the means and the log-variances
            log σ² of q(z|x).
        """
        hidden = F.relu(self.hidden(x))
        return self.mu(hidden), self.logvar(hidden)


def kl_divergence(
    mu: Float[Tensor, "batch latent"],
    logvar: Float[Tensor, "batch latent"],
) -> Float[Tensor, "batch"]:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each data point, in closed form.

    Kingma & Welling 2014, appendix B.

    Args:
        mu: means (batch, latent).
        logvar: log-variances log σ² (batch, latent); the dimensions are independent.

    Returns:
        Divergences (batch,), in nats: a sum over latent dimensions, no mean over the batch.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1)


def reparameterize(
    mu: Float[Tensor, "batch latent"],
    logvar: Float[Tensor, "batch latent"],
    noise: Float[Tensor, "batch latent"],
) -> Float[Tensor, "batch latent"]:
    """Turn standard normal noise into samples of N(μ, σ²), differentiably.

    Kingma & Welling 2014, section 2.4.

    Args:
        mu: means (batch, latent).
        logvar: log-variances log σ² (batch, latent).
        noise: draws from N(0, 1) (batch, latent); the function draws none of its own.

    Returns:
        Samples z (batch, latent), through which gradients reach `mu` and `logvar`.
    """
    return mu + (0.5 * logvar).exp() * noise


def elbo(
    x: Float[Tensor, "batch data"],
    encoder: Callable,
    decoder: Callable,
    noise: Float[Tensor, "batch latent"],
    *,
    sample: Callable = reparameterize,
    kl: Callable = kl_divergence,
    log_likelihood: Callable = bernoulli_log_likelihood,
) -> Float[Tensor, "batch"]:
    """The evidence lower bound of each data point, estimated with one code for each.

    log p(x|z) − KL(q(z|x) ‖ p(z)) with z drawn from q(z|x) (Kingma & Welling 2014, equation 7
    with L = 1).

    Args:
        x: data (batch, data), in [0, 1].
        encoder: encoder(x) gives (mu, logvar), each (batch, latent).
        decoder: decoder(z) gives logits (batch, data).
        noise: draws from N(0, 1) (batch, latent), the only source of randomness.
        sample: your `reparameterize`, or another function that is called like it.
        kl: your `kl_divergence`, or another function that is called like it.
        log_likelihood: your `bernoulli_log_likelihood`, or another that is called like it.

    Returns:
        Bounds (batch,), in nats: to be maximised, no mean over the batch.
    """
    mu, logvar = encoder(x)
    logits = decoder(sample(mu, logvar, noise))
    return log_likelihood(logits, x) - kl(mu, logvar)


def beta_vae_loss(
    log_likelihood: Float[Tensor, "batch"],
    kl: Float[Tensor, "batch"],
    beta: float = 1.0,
) -> Float[Tensor, ""]:
    """What training minimises: minus the ELBO, with its KL term weighted by β.

    Higgins et al. 2017, equation 4.

    Args:
        log_likelihood: log p(x|z) of each data point (batch,), in nats.
        kl: KL(q(z|x) ‖ p(z)) of each data point (batch,), in nats.
        beta: the weight β of the KL term; 1 gives minus the ELBO.

    Returns:
        A scalar, of shape (): the mean over the batch, in nats for each data point.
    """
    return (beta * kl - log_likelihood).mean()


def kl_weight(step: int, warmup: int, *, period: int | None = None) -> float:
    """The weight of the KL term at a training step: a straight line from 0 to 1, then 1.

    Bowman et al. 2016, section 3.1. With a period it starts again from 0 every `period` steps
    (cyclical annealing, Fu et al. 2019).

    Args:
        step: training steps done so far, 0 at the first.
        warmup: steps that the climb takes: the weight is step / warmup until it reaches 1.
            0 means no climb: always 1.
        period: steps from one start to the next, or None to climb only once.

    Returns:
        A weight in [0, 1].
    """
    if period is not None:
        step %= period
    return min(1.0, step / warmup) if warmup else 1.0


def train_vae(
    encoder: nn.Module,
    decoder: nn.Module,
    images: Float[Tensor, "n data"],
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
    """Train an encoder and a decoder together, in place, by Adam.

    Each epoch passes once over all images in a fresh random order, in minibatches; the last
    may be smaller. A minibatch is one step, with fresh noise, that minimises

        loss(log p(x|z), KL, beta * weight(step, warmup)).

    Steps count from 0, and go on counting from epoch to epoch. The same generator in the same
    state gives the same training. Kingma & Welling 2014, algorithm 1.

    Args:
        encoder: encoder(x) gives (mu, logvar), each (batch, latent).
        decoder: decoder(z) gives logits (batch, data).
        images: data (n, data), in [0, 1].
        epochs: passes over the data.
        batch_size: data points in a minibatch.
        learning_rate: Adam's; its other settings are torch's defaults.
        beta: the weight of the KL term after the warm-up.
        warmup: steps over which the KL term is faded in.
        generator: source of all randomness, order and noise, on the CPU whatever the images'
            device; None is torch's global one.
        on_epoch: called as on_epoch(epoch, mean ELBO) after each epoch, counting from 0.
        sample: your `reparameterize`, or another function that is called like it.
        kl: your `kl_divergence`, or another function that is called like it.
        log_likelihood: your `bernoulli_log_likelihood`, or another that is called like it.
        loss: your `beta_vae_loss`, or another function that is called like it.
        weight: your `kl_weight`, or another function that is called like it.

    Returns:
        For each epoch the mean over all data points of the one-sample ELBO, in nats:
        log p(x|z) − KL, the KL with weight 1 whatever β and the warm-up, as measured on each
        minibatch just before its step.
    """
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=learning_rate)
    history: list[float] = []
    step = 0
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(images), generator=generator).split(batch_size):
            x = images[rows.to(images.device)]
            mu, logvar = encoder(x)
            noise = torch.randn(mu.shape, generator=generator).to(mu)
            log_px = log_likelihood(decoder(sample(mu, logvar, noise)), x)
            price = kl(mu, logvar)
            optimizer.zero_grad()
            loss(log_px, price, beta * weight(step, warmup)).backward()
            optimizer.step()
            total += (log_px - price).sum().item()
            step += 1
        history.append(total / len(images))
        if on_epoch is not None:
            on_epoch(epoch, history[-1])
    return history


def embed(
    encoder: Callable,
    x: Float[Tensor, "n data"],
    batch_size: int = 256,
) -> Float[Tensor, "n latent"]:
    """The code of each data point: the mean of q(z|x), without noise and without a graph.

    Args:
        encoder: encoder(x) gives (mu, logvar), each (batch, latent).
        x: data (n, data).
        batch_size: the most data points that the encoder is given at once.

    Returns:
        Means (n, latent), in the order of the data, with `requires_grad` False.
    """
    with torch.no_grad():
        return torch.cat([encoder(batch)[0] for batch in x.split(batch_size)])


def interpolate_latents(
    start: Float[Tensor, "latent"],
    end: Float[Tensor, "latent"],
    steps: int,
) -> Float[Tensor, "steps latent"]:
    """Codes at equal distances on the straight line between two codes, both included.

    Args:
        start: the first code (latent,).
        end: the last code (latent,).
        steps: how many codes, at least 2.

    Returns:
        Codes (steps, latent): the first row is `start`, the last is `end`.

    Raises:
        ValueError: if `steps` is less than 2.
    """
    if steps < 2:
        raise ValueError(f"a line with both its ends needs at least 2 steps, not {steps}")
    fraction = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)
    return torch.lerp(start, end, fraction.unsqueeze(1))


def importance_weighted_bound(
    log_joint: Float[Tensor, "samples batch"],
    log_q: Float[Tensor, "samples batch"],
) -> Float[Tensor, "batch"]:
    """The importance-weighted bound on log p(x) of each data point.

    The log of the mean over samples of p(x, z) / q(z|x) (Burda et al. 2016, equation 8). It
    neither overflows nor underflows for log-densities of ±10⁴. One sample gives the ELBO's
    estimate log p(x, z) − log q(z|x).

    Args:
        log_joint: log p(x, z) (samples, batch), in nats, for codes z drawn from q(z|x).
        log_q: log q(z|x) of the same codes (samples, batch), in nats.

    Returns:
        Bounds (batch,), in nats.
    """
    log_weights = log_joint - log_q
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


def anomaly_score(
    x: Float[Tensor, "batch data"],
    bound: Callable,
    noise: Float[Tensor, "samples batch latent"],
) -> Float[Tensor, "batch"]:
    """How surprising each data point is: minus its ELBO, averaged over samples.

    After An & Cho 2015, whose score has no KL term.

    Args:
        x: data (batch, data).
        bound: bound(x, eps) gives the one-sample ELBO of each data point (batch,) for noise
            eps (batch, latent).
        noise: draws from N(0, 1) (samples, batch, latent); the s-th sample uses noise[s].

    Returns:
        Scores (batch,), in nats, the higher the stranger: on average an upper bound of
        −log p(x).
    """
    return -torch.stack([bound(x, eps) for eps in noise]).mean(dim=0)


def word_dropout(
    tokens: Int[Tensor, "batch length"],
    uniform: Float[Tensor, "batch length"],
    rate: float,
    *,
    unknown: int,
    protected: tuple[int, ...] = (),
) -> Int[Tensor, "batch length"]:
    """Hide words from the decoder, so that it has to ask the code.

    Bowman et al. 2016, section 3.1.

    Args:
        tokens: token ids (batch, length); they stay as they are.
        uniform: draws from the uniform distribution on [0, 1) (batch, length), the only
            source of randomness.
        rate: the probability of hiding a word: one is hidden where `uniform` < `rate`.
        unknown: the id that stands in place of a hidden word.
        protected: ids that are never hidden, such as those that begin, end and pad a
            sentence.

    Returns:
        A new tensor of token ids (batch, length), of the same dtype.
    """
    kept = torch.isin(tokens, torch.tensor(protected, dtype=tokens.dtype, device=tokens.device))
    return tokens.masked_fill((uniform < rate) & ~kept, unknown)


def text_elbo(
    logits: Float[Tensor, "batch length vocab"],
    tokens: Int[Tensor, "batch length"],
    mu: Float[Tensor, "batch latent"],
    logvar: Float[Tensor, "batch latent"],
    *,
    padding: int,
    kl: Callable = kl_divergence,
) -> Float[Tensor, "batch"]:
    """The evidence lower bound of each sentence.

    The log-probabilities of its words, summed over all positions but padding, minus
    KL(q(z|x) ‖ p(z)) (Bowman et al. 2016, equation 1).

    Args:
        logits: the decoder's scores of every word at every position (batch, length, vocab).
        tokens: the ids of the words that stand there (batch, length), int64.
        mu: means of q(z|x) (batch, latent).
        logvar: log-variances log σ² of q(z|x) (batch, latent).
        padding: the id that fills up short sentences, one of the vocabulary; where it stands
            nothing counts.
        kl: your `kl_divergence`, or another function that is called like it.

    Returns:
        Bounds (batch,), in nats for each sentence: no mean over words, none over the batch.
    """
    surprise = F.cross_entropy(logits.transpose(1, 2), tokens, ignore_index=padding, reduction="none")
    return -surprise.sum(dim=1) - kl(mu, logvar)
