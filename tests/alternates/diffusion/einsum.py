"""Correct answers to `diffusion` that compute in double precision, write sums as einsum, and pass arguments by name."""

import itertools

import torch


def linear_beta_schedule(steps, *, start=1e-4, end=0.02):
    # The form that puts the time first: from 0 to T − 1, then scaled.
    t = torch.linspace(0, steps - 1, steps, dtype=torch.float64)
    line = start + t * ((end - start) / (steps - 1))
    return torch.minimum(line * (1000 / steps), torch.tensor(0.999, dtype=torch.float64)).to(torch.float32)


def alpha_bars(betas):
    steps = len(betas)
    past = torch.tril(torch.ones(steps, steps, dtype=torch.float64))
    return torch.einsum("ts,s->t", past, (1 - betas.double()).log()).exp().to(betas.dtype)


def cosine_beta_schedule(steps, *, offset=0.008):
    # 1 − cos²b / cos²a = (sin²b − sin²a) / cos²a = sin(b − a) sin(b + a) / cos²a
    angles = (torch.arange(steps + 1, dtype=torch.float64) / steps + offset) / (1 + offset) * torch.pi / 2
    a, b = angles[:-1], angles[1:]
    betas = torch.sin(b - a) * torch.sin(b + a) / torch.cos(a).square()
    return betas.clamp(max=0.999).float()


def signal_to_noise(alpha_bar):
    left = alpha_bar.double()
    return (1 / (1 / left - 1)).to(alpha_bar.dtype)


def wide(schedule, t, like):
    return schedule.double()[t][(...,) + (None,) * (like.ndim - 1)]


def q_sample(x0, t, noise, alpha_bar):
    left = alpha_bar.double()[t]
    pairs = torch.stack([x0, noise]).double()
    factors = torch.stack([left, 1 - left]).sqrt()
    return torch.einsum("pb...,pb->b...", pairs, factors).to(x0.dtype)


def predict_x0(xt, t, noise, alpha_bar, *, clip=None):
    # With the angle whose cosine is √ᾱ.
    angle = torch.arccos(wide(alpha_bar, t, xt).sqrt())
    x0 = xt.double() / torch.cos(angle) - torch.tan(angle) * noise.double()
    return (x0 if clip is None else x0.clip(min=-clip, max=clip)).to(xt.dtype)


def posterior_mean_variance(x0, xt, t, betas, alpha_bar):
    here = alpha_bar.double()[t]
    before = torch.cat([here.new_ones(1), alpha_bar.double()])[t]
    alpha = 1 - betas.double()[t]
    mean = torch.einsum("b,b...->b...", before.sqrt() * (1 - alpha) / (1 - here), x0.double())
    mean = mean + torch.einsum("b,b...->b...", alpha.sqrt() * (1 - before) / (1 - here), xt.double())
    variance = (1 - alpha) * (1 - before) / (1 - here)
    return mean.to(xt.dtype), variance.to(xt.dtype)


def ddpm_loss(model, x0, t, noise, alpha_bar, *, corrupt=q_sample):
    xt = corrupt(x0=x0, t=t, noise=noise, alpha_bar=alpha_bar)
    error = (noise - model(xt, t)).flatten()
    return torch.einsum("i,i->", error, error) / noise.numel()


def timestep_embedding(t, dim, *, max_period=10_000.0):
    half = dim // 2
    exponent = -torch.log(torch.tensor(max_period, dtype=torch.float64)) * torch.arange(half) / half
    angles = torch.einsum("b,h->bh", t.double(), exponent.exp())
    return torch.stack([angles, angles + torch.pi / 2], dim=1).sin().flatten(1).float()


def train_diffusion(model, images, alpha_bar, *, epochs, batch_size=64, learning_rate=1e-3, generator=None,
                    on_epoch=None, loss=ddpm_loss):  # fmt: skip
    parameters = [*model.parameters()]
    adam = torch.optim.Adam([{"params": parameters, "lr": learning_rate}])
    history = []
    for epoch in range(epochs):
        # One uniform key for each image; sorting them is a random order. Times are uniform numbers, rounded down.
        order = torch.rand(len(images), generator=generator, dtype=torch.float64).argsort()
        sums = torch.zeros((), dtype=torch.float64)
        for first in range(0, len(images), batch_size):
            x0 = images.index_select(0, order[first : first + batch_size])
            t = (torch.rand(len(x0), generator=generator, dtype=torch.float64) * len(alpha_bar)).floor().long()
            noise = torch.empty_like(x0).normal_(generator=generator)
            value = loss(model, x0=x0, t=t, noise=noise, alpha_bar=alpha_bar)
            for parameter, gradient in zip(parameters, torch.autograd.grad(value, parameters), strict=True):
                parameter.grad = gradient
            adam.step()
            sums += value.detach().double() * len(x0)
        history += [float(sums / len(images))]
        if on_epoch is not None:
            on_epoch(epoch, history[-1])
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
    # Without clip the mean is that of equation 11, written out; nothing is asked of the earlier exercises.
    here, beta = wide(alpha_bar, t, xt), wide(betas, t, xt)
    before = torch.where(t.view(here.shape) > 0, here / (1 - beta), torch.ones_like(here))
    variance = beta * (1 - before) / (1 - here)
    if clip is None:
        mean = (xt.double() - beta / (1 - here).sqrt() * predicted.double()) / (1 - beta).sqrt()
    else:
        x0 = predict(xt=xt, t=t, noise=predicted, alpha_bar=alpha_bar, clip=clip)
        mean = posterior(x0=x0, xt=xt, t=t, betas=betas, alpha_bar=alpha_bar)[0].double()
    return (mean + variance.clamp(min=0).sqrt() * noise.double()).to(xt.dtype)


def generate(model, x, times, step):
    stops = torch.tensor([*times, -1])[:, None].expand(-1, len(x))
    with torch.no_grad():
        for now, then in itertools.pairwise(stops):
            x = step(x, now.clone(), then.clone(), model(x, now.clone()))
    return x


def ddim_step(xt, t, following, predicted, alpha_bar, *, noise=None, eta=0.0, clip=None, predict=predict_x0):
    padded = torch.cat([alpha_bar, alpha_bar.new_ones(1)])  # index −1 is the last: clean data
    a, b = wide(padded, t, xt), wide(padded, following, xt)
    x0 = predict(xt=xt, t=t, noise=predicted, alpha_bar=alpha_bar, clip=clip).double()
    variance = eta**2 * (1 - b) / (1 - a) * (1 - a / b)
    epsilon = (xt.double() - a.sqrt() * x0) / (1 - a).sqrt()
    x = b.sqrt() * x0 + (1 - b - variance).clamp(min=0).sqrt() * epsilon
    if noise is not None:
        x += variance.sqrt() * noise.double()
    return x.to(xt.dtype)


def guided_noise(model, xt, t, labels, *, scale, null):
    # In the paper's own form, w being scale − 1.
    w = scale - 1
    return (1 + w) * model(xt, t, labels) - w * model(xt, t, labels * 0 + null)


def cross_attention(x, context, to_q, to_k, to_v, *, heads=1, mask=None):
    q, k, v = (
        torch.einsum("bnc,hdc->bhnd", rows.double(), weight.double().view(heads, -1, weight.shape[1]))
        for rows, weight in ((x, to_q), (context, to_k), (context, to_v))
    )
    scores = torch.einsum("bhnd,bhwd->bhnw", q, k) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + torch.where(mask, 0.0, -1e9)[:, None, None, :]
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("bhnw,bhwd->bnhd", weights, v).reshape(*x.shape[:2], -1).to(x.dtype)


def to_latents(images, encode, noise, *, scale):
    mu, logvar = encode(images + images - 1)
    sigma = torch.pow(2.0, logvar / (2 * torch.log(torch.tensor(2.0))))
    return scale * mu + (scale * sigma) * noise


def from_latents(latents, decode, *, scale):
    x = decode(latents / scale)
    return torch.where(x < -1, 0.0, torch.where(x > 1, 1.0, (x + 1) / 2))


def frechet_distance(real, generated):
    centered = [points.double() - points.double().mean(dim=0, keepdim=True) for points in (real, generated)]
    first, second = (torch.einsum("ni,nj->ij", part, part) / (len(part) - 1) for part in centered)
    # Denman and Beavers would need an inverse; a symmetric root by singular values does not.
    u, s, _ = torch.linalg.svd(first)
    root = torch.einsum("ik,k,jk->ij", u, s.sqrt(), u)
    overlap = torch.linalg.svdvals(root @ second @ root).sqrt().sum()
    moved = (real.double().mean(dim=0) - generated.double().mean(dim=0)).pow(2).sum()
    traces = torch.einsum("ii->", first) + torch.einsum("ii->", second)
    return (moved + traces - 2 * overlap).to(real.dtype)


def precision_recall(real, generated, k=3):
    def squared(a, b):
        return ((a[:, None, :].double() - b[None, :, :].double()) ** 2).sum(dim=2)

    shares = []
    for points, centres in ((generated, real), (real, generated)):
        among = squared(centres, centres)
        among.fill_diagonal_(torch.inf)
        radius = among.sort(dim=1).values[:, k - 1]
        inside = (squared(points, centres) <= radius[None, :]).any(dim=1)
        shares.append(float(inside.double().mean()))
    return tuple(shares)
