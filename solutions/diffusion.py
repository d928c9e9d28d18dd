"""Reference answers to `diffusion`. Each has the signature and the docstring of its stub in the starter."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def linear_beta_schedule(
    steps: int,
    *,
    start: float = 1e-4,
    end: float = 0.02,
) -> Float[Tensor, "steps"]:
    """Variances of the noise that each step adds, on a straight line.

    Ho et al. 2020, section 4, who take T = 1000. For another number of steps both ends are
    multiplied by 1000 / T, so that all steps together destroy as much as theirs, and no value
    is greater than 0.999 (Nichol & Dhariwal 2021). With T = `steps`, for t = 0, …, T − 1,

        β[t] = min(0.999, 1000 / T · (start + (end − start) · t / (T − 1))).

    Args:
        steps: the number of steps T, at least 2.
        start: β of the first step where T = 1000, in (0, 1).
        end: β of the last step where T = 1000, in (0, 1).

    Returns:
        β (steps,), float32, on the CPU: both ends included, the first step first. How it is
        calculated is free: rounding does not count.
    """
    scale = 1000 / steps
    betas = torch.linspace(scale * start, scale * end, steps, dtype=torch.float64)
    return betas.clamp(max=0.999).float()


def alpha_bars(betas: Float[Tensor, "steps"]) -> Float[Tensor, "steps"]:
    """What is left of the signal's power after each step: ᾱ[t] = ∏ (1 − β[s]) over s ≤ t.

    Ho et al. 2020, below equation 3. Indices begin at 0, so ᾱ[0] = 1 − β[0], one step of noise.

    Args:
        betas: variances of the added noise (steps,), in (0, 1).

    Returns:
        ᾱ (steps,), of the same length, dtype and device.
    """
    return (1 - betas).cumprod(dim=0)


def cosine_beta_schedule(
    steps: int,
    *,
    offset: float = 0.008,
) -> Float[Tensor, "steps"]:
    """Variances of the noise that each step adds, such that ᾱ falls like a squared cosine.

    Nichol & Dhariwal 2021, equation 17. With T = `steps`, s = `offset` and

        f(u) = cos²((u / T + s) / (1 + s) · π / 2),

    β[t] = min(0.999, 1 − f(t + 1) / f(t)) for t = 0, …, T − 1: before the clipping at the very
    end, ᾱ[t] = f(t + 1) / f(0).

    Args:
        steps: the number of steps T, at least 1.
        offset: s, not negative: it keeps the first steps from being too small to notice.

    Returns:
        β (steps,), float32, on the CPU, the first step first. How it is calculated is free, in
        float32 or float64: rounding does not count.
    """
    u = torch.arange(steps + 1, dtype=torch.float64)
    f = ((u / steps + offset) / (1 + offset) * math.pi / 2).cos().square()
    return (1 - f[1:] / f[:-1]).clamp(max=0.999).float()


def signal_to_noise(alpha_bar: Float[Tensor, "steps"]) -> Float[Tensor, "steps"]:
    """The ratio of the signal's power to the noise's after each step: ᾱ / (1 − ᾱ).

    Kingma et al. 2021, equation 2. A plain ratio: no logarithm, no decibels.

    Args:
        alpha_bar: ᾱ (steps,), in (0, 1).

    Returns:
        Ratios (steps,), all positive.
    """
    return alpha_bar / (1 - alpha_bar)


def q_sample(
    x0: Float[Tensor, "batch *data"],
    t: Int[Tensor, "batch"],
    noise: Float[Tensor, "batch *data"],
    alpha_bar: Float[Tensor, "steps"],
) -> Float[Tensor, "batch *data"]:
    """Draw from q(xt | x0): t + 1 steps of noise in one leap.

    √ᾱ[t] · x0 + √(1 − ᾱ[t]) · noise (Ho et al. 2020, equation 4).

    Args:
        x0: data (batch, …), with any number of further dimensions.
        t: a time for each data point (batch,), int64, in 0, …, T − 1. Index 0 is one step of
            noise, not none.
        noise: draws from N(0, 1), shaped like `x0`, the only source of randomness.
        alpha_bar: ᾱ (steps,).

    Returns:
        Noisy data, of the shape and dtype of `x0`, through which gradients reach `x0` and `noise`.
        No argument is changed.
    """
    alpha_bar = alpha_bar[t].view(-1, *[1] * (x0.ndim - 1)).to(x0.dtype)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


def predict_x0(
    xt: Float[Tensor, "batch *data"],
    t: Int[Tensor, "batch"],
    noise: Float[Tensor, "batch *data"],
    alpha_bar: Float[Tensor, "steps"],
    *,
    clip: float | None = None,
) -> Float[Tensor, "batch *data"]:
    """The clean data that noisy data come from, if this is the noise in them.

    `q_sample` solved for x0: (xt − √(1 − ᾱ[t]) · noise) / √ᾱ[t] (Ho et al. 2020, equation 15).

    Args:
        xt: noisy data (batch, …).
        t: the time of each (batch,), int64, in 0, …, T − 1.
        noise: the noise, of variance 1, that is believed to be in them, shaped like `xt`.
        alpha_bar: ᾱ (steps,).
        clip: the result is confined to [−clip, clip], element by element; None leaves it.

    Returns:
        An estimate of the clean data, of the shape and dtype of `xt`, through which gradients
        reach `xt` and `noise`.
    """
    alpha_bar = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1)).to(xt.dtype)
    x0 = (xt - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()
    return x0 if clip is None else x0.clamp(-clip, clip)


def posterior_mean_variance(
    x0: Float[Tensor, "batch *data"],
    xt: Float[Tensor, "batch *data"],
    t: Int[Tensor, "batch"],
    betas: Float[Tensor, "steps"],
    alpha_bar: Float[Tensor, "steps"],
) -> tuple[Float[Tensor, "batch *data"], Float[Tensor, "batch"]]:
    """Mean and variance of the Gaussian q(x_{t−1} | x_t, x0): one step back, the goal known.

    Ho et al. 2020, equations 6 and 7. What stands before index 0 is the clean data: there ᾱ is
    1. So at t = 0 the mean is `x0` and the variance is exactly 0.

    Args:
        x0: clean data (batch, …).
        xt: noisy data at time t (batch, …).
        t: the time of each (batch,), int64, in 0, …, T − 1.
        betas: β (steps,).
        alpha_bar: the cumulative products ᾱ of 1 − β (steps,).

    Returns:
        The pair (mean, variance): means shaped like `xt`, and one variance (not a standard
        deviation) for each data point, (batch,), the same for all of its elements. Gradients
        flow through the mean to `x0` and `xt`.
    """
    beta, here = betas[t].to(xt.dtype), alpha_bar[t].to(xt.dtype)
    before = torch.where(t > 0, alpha_bar[(t - 1).clamp(min=0)], 1.0).to(xt.dtype)
    shape = (-1, *[1] * (xt.ndim - 1))
    of_x0 = before.sqrt() * beta / (1 - here)
    of_xt = (1 - beta).sqrt() * (1 - before) / (1 - here)
    mean = of_x0.view(shape) * x0 + of_xt.view(shape) * xt
    return mean, beta * (1 - before) / (1 - here)


def ddpm_loss(
    model: Callable,
    x0: Float[Tensor, "batch *data"],
    t: Int[Tensor, "batch"],
    noise: Float[Tensor, "batch *data"],
    alpha_bar: Float[Tensor, "steps"],
    *,
    corrupt: Callable = q_sample,
) -> Float[Tensor, ""]:
    """How badly the model tells the noise from the data: the mean squared error.

    L_simple of Ho et al. 2020, equation 14, but for a constant: the squares are averaged over
    the batch and over all elements of a data point, as nearly all implementations do, where
    the paper sums over elements.

    Args:
        model: model(xt, t) gives the noise that it believes to be in xt, shaped like xt.
        x0: clean data (batch, …).
        t: a time for each data point (batch,), int64, in 0, …, T − 1.
        noise: draws from N(0, 1), shaped like `x0`: what is mixed in, and to be found.
        alpha_bar: ᾱ (steps,).
        corrupt: your `q_sample`, or another function that is called like it; the model gets
            what it returns.

    Returns:
        A scalar, of shape (), through which gradients reach the model's parameters.
    """
    xt = corrupt(x0, t, noise, alpha_bar)
    return (model(xt, t) - noise).square().mean()


def timestep_embedding(
    t: Int[Tensor, "batch"],
    dim: int,
    *,
    max_period: float = 10_000.0,
) -> Float[Tensor, "batch dim"]:
    """Times as vectors of waves, from fast to slow, for a network to read.

    With half = dim / 2 and frequencies ω[i] = max_period^(−i / half) for i = 0, …, half − 1,
    the first half of a row is sin(t · ω[i]) and the second half is cos(t · ω[i]): not
    interleaved. After Vaswani et al. 2017, section 3.5.

    Args:
        t: times (batch,), int64.
        dim: numbers in an embedding, even.
        max_period: the waves' periods lie between 2π and 2π · max_period.

    Returns:
        Embeddings (batch, dim), float32, on the device of `t`.
    """
    half = dim // 2
    frequencies = max_period ** (-torch.arange(half, dtype=torch.float64, device=t.device) / half)
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


def train_diffusion(
    model: nn.Module,
    images: Float[Tensor, "n *data"],
    alpha_bar: Float[Tensor, "steps"],
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
    loss: Callable = ddpm_loss,
) -> list[float]:
    """Train a model in place, by Adam, to find the noise in noisy data.

    Each epoch passes once over all images in a fresh random order, in minibatches; the last
    may be smaller. A minibatch is one step, which minimises

        loss(model, x0, t, noise, alpha_bar)

    with a time for each of its images, uniform on 0, …, T − 1, and fresh noise from N(0, 1).
    The same generator in the same state gives the same training. Ho et al. 2020, algorithm 1.

    Args:
        model: model(xt, t) gives the noise that it believes to be in xt, shaped like xt.
        images: clean data (n, …).
        alpha_bar: ᾱ (steps,), on the device of the images; T is its length.
        epochs: passes over the data.
        batch_size: data points in a minibatch.
        learning_rate: Adam's; its other settings are torch's defaults.
        generator: source of all randomness (order, times and noise), on the CPU whatever the
            images' device; None is torch's global one.
        on_epoch: called as on_epoch(epoch, mean loss) after each epoch, counting from 0.
        loss: your `ddpm_loss`, or another function that is called like it.

    Returns:
        For each epoch the mean over all data points of the loss, as measured on each minibatch
        just before its step: a minibatch counts by its size.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    history: list[float] = []
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(images), generator=generator).split(batch_size):
            x0 = images[rows.to(images.device)]
            t = torch.randint(len(alpha_bar), (len(x0),), generator=generator).to(x0.device)
            noise = torch.randn(x0.shape, generator=generator).to(x0)
            value = loss(model, x0, t, noise, alpha_bar)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(x0)
        history.append(total / len(images))
        if on_epoch is not None:
            on_epoch(epoch, history[-1])
    return history


def ddpm_step(
    xt: Float[Tensor, "batch *data"],
    t: Int[Tensor, "batch"],
    predicted: Float[Tensor, "batch *data"],
    noise: Float[Tensor, "batch *data"],
    betas: Float[Tensor, "steps"],
    alpha_bar: Float[Tensor, "steps"],
    *,
    clip: float | None = None,
    predict: Callable = predict_x0,
    posterior: Callable = posterior_mean_variance,
) -> Float[Tensor, "batch *data"]:
    """One step back, from x_t to x_{t−1}: draw from the posterior, with x0 as predicted.

    Ho et al. 2020, algorithm 2, with the smaller of their two variances: that of
    `posterior_mean_variance`, which is 0 at t = 0, so that the last step adds no noise.
    Without `clip` the mean is that of their equation 11, and may be written so.

    Args:
        xt: noisy data at time t (batch, …).
        t: the time of each (batch,), int64, in 0, …, T − 1.
        predicted: the noise that the model believes to be in `xt`, shaped like it.
        noise: fresh draws from N(0, 1), shaped like `xt`: what the step adds, before it is
            scaled, where t > 0.
        betas: β (steps,).
        alpha_bar: the cumulative products ᾱ of 1 − β (steps,).
        clip: the predicted x0 is confined to [−clip, clip] before it is used; None leaves it.
        predict: your `predict_x0`, or another function that is called like it.
        posterior: your `posterior_mean_variance`, or another that is called like it.

    Returns:
        Data at time t − 1, of the shape and dtype of `xt`.
    """
    x0 = predict(xt, t, predicted, alpha_bar, clip=clip)
    mean, variance = posterior(x0, xt, t, betas, alpha_bar)
    return mean + variance.sqrt().view(-1, *[1] * (xt.ndim - 1)) * noise


def generate(
    model: Callable,
    x: Float[Tensor, "batch *data"],
    times: list[int],
    step: Callable,
) -> Float[Tensor, "batch *data"]:
    """Turn noise into data: walk down a list of times, one call of the model for each.

    Ho et al. 2020, algorithm 2; Song, Meng & Ermon 2021, section 4.2. At each time, in the
    order of the list, the model tells the noise in x, and the step takes x to the next time of
    the list, the last one to the clean data:

        x = step(x, t, following, model(x, t))

    Args:
        model: model(x, t) gives the noise that it believes to be in x, shaped like x.
        x: noise to begin with, at time times[0] (batch, …).
        times: at least one time, falling, such as [999, 500, 0].
        step: step(x, t, following, predicted) gives x at the time that follows.

    Both get times as tensors (batch,), int64, on the device of x, the same for all data points.
    `following` is −1 after the last time, which stands for clean data.

    Returns:
        What the last step gives, computed without a graph: `requires_grad` is False, and `x`
        itself is not changed.
    """
    with torch.no_grad():
        for time, then in zip(times, [*times[1:], -1], strict=True):
            t = torch.full((len(x),), time, device=x.device)
            x = step(x, t, torch.full_like(t, then), model(x, t))
    return x.detach()


def frechet_distance(
    real: Float[Tensor, "n dim"],
    generated: Float[Tensor, "m dim"],
) -> Float[Tensor, ""]:
    """How far two sets of points lie apart, as if each were Gaussian: the squared distance.

    ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), with the means and covariances of the two sets,
    which are estimated with division by n − 1 and m − 1 (Fréchet 1957; Dowson & Landau 1982;
    Heusel et al. 2017, equation 6). It is finite and real also where a covariance is singular,
    as it is for fewer points than dimensions.

    Args:
        real: features of data (n, dim), n at least 2.
        generated: features of samples (m, dim), m at least 2.

    Returns:
        The squared distance, a scalar of shape (), in the dtype of `real`. Only its value
        counts: no gradient is needed.
    """
    means, covariances = zip(
        *((points.mean(dim=0), points.T.cov()) for points in (real.double(), generated.double())),
        strict=True,
    )
    first, second = (covariance.reshape(real.shape[1], real.shape[1]) for covariance in covariances)
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    distance = (means[0] - means[1]).square().sum() + first.trace() + second.trace() - 2 * overlap
    return distance.to(real.dtype)


def precision_recall(
    real: Float[Tensor, "n dim"],
    generated: Float[Tensor, "m dim"],
    k: int = 3,
) -> tuple[float, float]:
    """How many samples look real, and how much of reality the samples cover.

    Around each point of a set lies a ball that reaches to its k-th nearest neighbour *in the
    same set*, not counting the point itself. A set's manifold is the union of its balls.
    Precision is the share of generated points on the real manifold, recall the share of real
    points on the generated one (Kynkäänniemi et al. 2019, equations 1 and 2). Distances are
    Euclidean, and a ball includes its surface.

    Args:
        real: features of data (n, dim), n greater than k.
        generated: features of samples (m, dim), m greater than k.
        k: which neighbour sets the radius, at least 1.

    Returns:
        The pair (precision, recall), each a number in [0, 1].
    """

    def covered(points: Tensor, centres: Tensor) -> float:
        among = torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist")
        radius = among.kthvalue(k + 1, dim=1).values  # the nearest of all is the point itself
        distance = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")
        return (distance <= radius).any(dim=1).float().mean().item()

    return covered(generated, real), covered(real, generated)


def ddim_step(
    xt: Float[Tensor, "batch *data"],
    t: Int[Tensor, "batch"],
    following: Int[Tensor, "batch"],
    predicted: Float[Tensor, "batch *data"],
    alpha_bar: Float[Tensor, "steps"],
    *,
    noise: Float[Tensor, "batch *data"] | None = None,
    eta: float = 0.0,
    clip: float | None = None,
    predict: Callable = predict_x0,
) -> Float[Tensor, "batch *data"]:
    """One leap back, from time t to any earlier one.

    Song, Meng & Ermon 2021, equations 12 and 16. With a = ᾱ[t], b = ᾱ[following], the
    predicted x0, and the noise ε that it leaves in xt, ε = (xt − √a · x0) / √(1 − a):

        √b · x0 + √(1 − b − σ²) · ε + σ · noise,   σ = eta · √((1 − b) / (1 − a)) · √(1 − a / b).

    Without `clip` that ε is `predicted` itself.

    Args:
        xt: noisy data at time t (batch, …).
        t: the time of each (batch,), int64, in 0, …, T − 1.
        following: the time to go to (batch,), int64, less than t; −1 stands for clean data,
            where ᾱ is 1.
        predicted: the noise that the model believes to be in `xt`, shaped like it.
        alpha_bar: ᾱ (steps,).
        noise: fresh draws from N(0, 1), shaped like `xt`; may be None where `eta` is 0.
        eta: 0 adds no noise, 1 as much as DDPM (η in the paper).
        clip: the predicted x0 is confined to [−clip, clip], and ε follows from the confined
            one; None leaves both.
        predict: your `predict_x0`, or another function that is called like it.

    Returns:
        Data at time `following`, of the shape and dtype of `xt`.
    """
    shape = (-1, *[1] * (xt.ndim - 1))
    here = alpha_bar[t].to(xt.dtype).view(shape)
    there = torch.where(following >= 0, alpha_bar[following.clamp(min=0)], 1.0)
    there = there.to(xt.dtype).view(shape)
    x0 = predict(xt, t, predicted, alpha_bar, clip=clip)
    left = predicted if clip is None else (xt - here.sqrt() * x0) / (1 - here).sqrt()
    sigma = eta * ((1 - there) / (1 - here) * (1 - here / there)).sqrt()
    x = there.sqrt() * x0 + (1 - there - sigma.square()).clamp(min=0).sqrt() * left
    return x if noise is None else x + sigma * noise


def guided_noise(
    model: Callable,
    xt: Float[Tensor, "batch *data"],
    t: Int[Tensor, "batch"],
    labels: Int[Tensor, "batch *condition"],
    *,
    scale: float,
    null: int,
) -> Float[Tensor, "batch *data"]:
    """The noise as classifier-free guidance tells it: beyond what the condition alone says.

    ε(∅) + scale · (ε(label) − ε(∅)). So 0 ignores the labels, 1 is the plain conditional
    model, and larger values exaggerate what sets it apart. Ho & Salimans 2022, equation 6, whose
    w is scale − 1.

    Args:
        model: model(xt, t, labels) gives the noise that it believes to be in xt, each row by
            itself: it may be called twice, or once with a batch of twice the size.
        xt: noisy data (batch, …).
        t: the time of each (batch,), int64.
        labels: the condition of each, int64: one label (batch,), or a row of tokens
            (batch, words).
        scale: the strength of guidance, any number.
        null: the label that stands for "no condition"; ∅ is shaped like `labels` and holds
            nothing else.

    Returns:
        Noise, shaped like `xt`, through which gradients reach the model's parameters.
    """
    conditional = model(xt, t, labels)
    unconditional = model(xt, t, torch.full_like(labels, null))
    return unconditional + scale * (conditional - unconditional)


def to_latents(
    images: Float[Tensor, "batch *data"],
    encode: Callable,
    noise: Float[Tensor, "batch *latent"],
    *,
    scale: float,
) -> Float[Tensor, "batch *latent"]:
    """Images as the latents in which a diffusion model works.

    Pixels go from [0, 1] to [−1, 1], the encoder gives a Gaussian, a draw from it is multiplied
    by `scale` (Rombach et al. 2022, appendix G, who choose it so that latents have a standard
    deviation of 1).

    Args:
        images: pixels in [0, 1] (batch, …).
        encode: encode(x) gives (mu, logvar) for pixels in [−1, 1], each (batch, …), where
            logvar is log σ².
        noise: draws from N(0, 1), shaped like mu, the only source of randomness.
        scale: what latents are multiplied by.

    Returns:
        Latents, shaped like `noise`: scale · (mu + σ · noise).
    """
    mu, logvar = encode(2 * images - 1)
    return scale * (mu + (0.5 * logvar).exp() * noise)


def from_latents(
    latents: Float[Tensor, "batch *latent"],
    decode: Callable,
    *,
    scale: float,
) -> Float[Tensor, "batch *data"]:
    """The images that latents stand for: the way back from `to_latents`.

    Args:
        latents: scaled latents (batch, …).
        decode: decode(z) gives pixels, nominally in [−1, 1], for latents without the scale.
        scale: what the latents had been multiplied by.

    Returns:
        Pixels, taken from [−1, 1] to [0, 1] and confined to [0, 1].
    """
    return ((decode(latents / scale) + 1) / 2).clamp(0, 1)


def cross_attention(
    x: Float[Tensor, "batch pixels dim"],
    context: Float[Tensor, "batch words context_dim"],
    to_q: Float[Tensor, "inner dim"],
    to_k: Float[Tensor, "inner context_dim"],
    to_v: Float[Tensor, "inner context_dim"],
    *,
    heads: int = 1,
    mask: Bool[Tensor, "batch words"] | None = None,
) -> Float[Tensor, "batch pixels inner"]:
    """Let every pixel look at the words: queries from the image, keys and values from the text.

    softmax(Q Kᵀ / √d) V for each head, with Q = x to_qᵀ, K = context to_kᵀ, V = context to_vᵀ
    and d = inner / heads (Rombach et al. 2022, section 3.3; Vaswani et al. 2017, equation 1).
    Head h owns the channels h · d, …, (h + 1) · d − 1 of Q, K, V and of the result. There is no
    residual connection and no projection afterwards.

    Args:
        x: an image's features, its pixels in a row (batch, pixels, dim).
        context: embeddings of words (batch, words, context_dim).
        to_q: weights (inner, dim), laid out like those of `nn.Linear`.
        to_k: weights (inner, context_dim), likewise.
        to_v: weights (inner, context_dim), likewise.
        heads: the number of heads, a divisor of inner.
        mask: True at words that may be looked at, False at padding (batch, words); at least
            one word of each text is True. None means all.

    Returns:
        What each pixel read (batch, pixels, inner), the heads side by side, through which
        gradients reach all five tensors.
    """
    q, k, v = (
        (rows @ weight.T).unflatten(2, (heads, -1)).transpose(1, 2)
        for rows, weight in ((x, to_q), (context, to_k), (context, to_v))
    )
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
    return (scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2)
