"""Correct answers to `gan` that compute in double precision, write sums as einsum, and pass arguments by name."""

import torch
import torch.nn.functional as F
from torch import nn


def discriminator_loss(real_logits, fake_logits, real_label=1.0):
    def logsigmoid(a):
        wide = a.double()
        return wide.clamp(max=0) - torch.log1p(torch.exp(-wide.abs()))

    real = torch.lerp(logsigmoid(-real_logits), logsigmoid(real_logits), real_label)
    return -(real.sum() / real.numel() + logsigmoid(-fake_logits).sum() / fake_logits.numel()).to(real_logits.dtype)


def minimax_generator_loss(fake_logits):
    wide = fake_logits.double()
    return -(wide.clamp(min=0) + torch.log1p(torch.exp(-wide.abs()))).mean().to(fake_logits.dtype)


def nonsaturating_generator_loss(fake_logits):
    wide = fake_logits.double()
    cost = torch.log1p(torch.exp(-wide.abs())) - wide.clamp(max=0)
    return torch.einsum("b->", cost).div(len(fake_logits)).to(fake_logits.dtype)


def train_gan(generator, discriminator, data, *, latent_dim, steps, batch_size=64, critic_steps=1, learning_rate=2e-4,
              betas=(0.5, 0.999), rng=None, on_step=None, d_loss=discriminator_loss, g_loss=nonsaturating_generator_loss,
              penalty=None):  # fmt: skip
    players = {"d": list(discriminator.parameters()), "g": list(generator.parameters())}
    adams = {name: torch.optim.Adam(weights, learning_rate, betas) for name, weights in players.items()}

    def descend(name, loss):
        for parameter, gradient in zip(players[name], torch.autograd.grad(loss, players[name]), strict=True):
            parameter.grad = gradient
        adams[name].step()
        return loss.item()

    def make():
        return generator(torch.empty(batch_size, latent_dim, dtype=data.dtype).normal_(generator=rng))

    history = []
    for step in range(steps):
        for _ in range(critic_steps):
            # One uniform key for each row; the smallest ones are a random minibatch.
            rows = torch.rand(len(data), generator=rng, dtype=torch.float64).argsort()[:batch_size]
            real = data.index_select(0, rows)
            with torch.no_grad():
                fake = make()
            extra = penalty(discriminator, real, fake) if penalty is not None else 0
            first = descend("d", d_loss(discriminator(real), discriminator(fake)) + extra)
        history += [(first, descend("g", g_loss(discriminator(make()))))]
        if on_step is not None:
            on_step(step, *history[-1])
    return history


def mode_coverage(samples, modes, std):
    s, m = samples.double(), modes.double()
    squared = s.square().sum(1)[:, None] - 2 * s @ m.T + m.square().sum(1)[None]
    nearest = squared.argmin(dim=1)
    good = squared.gather(1, nearest[:, None])[:, 0] <= 9 * std * std
    return torch.bincount(nearest[good], minlength=len(m)).gt(0).sum().item(), good.sum().item() / len(s)


def wasserstein_critic_loss(real_scores, fake_scores):
    scores = torch.cat([real_scores, fake_scores]).double()
    weights = [-1 / len(real_scores)] * len(real_scores) + [1 / len(fake_scores)] * len(fake_scores)
    return torch.einsum("b,b->", scores, torch.tensor(weights, dtype=torch.float64)).to(real_scores.dtype)


def wasserstein_generator_loss(fake_scores):
    return -(fake_scores.double().sum() / fake_scores.numel()).to(fake_scores.dtype)


def gradient_penalty(critic, real, fake, rng=None):
    t = torch.rand((real.shape[0],), generator=rng, dtype=torch.float64)
    mixed = torch.einsum("b...,b->b...", fake.double(), t) + torch.einsum("b...,b->b...", real.double(), 1 - t)
    mixed = mixed.to(real.dtype).detach().requires_grad_(True)
    # Rows do not touch each other, so the slopes can be had one score at a time, or all at once.
    slopes = [torch.autograd.grad(score, mixed, create_graph=True)[0][i] for i, score in enumerate(critic(mixed))]
    squares = torch.stack([torch.einsum("n,n->", s.flatten().double(), s.flatten().double()) for s in slopes])
    norms = torch.sqrt(squares + 1e-8)
    return (squares + 1e-8 - 2 * norms + 1).mean().to(real.dtype)


def r1_penalty(discriminator, real, gamma=10.0):
    x = real.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        scores = discriminator(x)
        slope = torch.autograd.grad(scores.sum(), x, create_graph=True)[0].double()
    return (gamma * torch.mean(slope**2) * real[0].numel() / 2).to(real.dtype)


def spectral_normalize(weight, u, steps=1):
    w = weight.reshape(weight.shape[0], -1).double()
    constant = w.detach()
    left = u.double()
    for _ in range(steps):
        right = torch.einsum("or,o->r", constant, left)
        right = right / right.square().sum().sqrt()
        left = torch.einsum("or,r->o", constant, right)
        left = left / left.square().sum().sqrt()
    sigma = torch.einsum("o,or,r->", left, w, right)
    return (weight / sigma).to(weight.dtype), left.to(u.dtype)


def feature_matching_loss(real_features, fake_features):
    gap = fake_features.double().mean(0) - real_features.double().mean(0)
    return torch.einsum("n,n->", gap.flatten(), gap.flatten()).to(fake_features.dtype)


class DCGANGenerator(nn.Module):
    def __init__(self, latent_dim, channels, size, width=32):
        super().__init__()
        self.side = size // 8
        self.code = nn.Linear(latent_dim, 4 * width * self.side**2, bias=False)
        self.norm = nn.BatchNorm1d(4 * width * self.side**2)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 5, stride=2, padding=2, output_padding=1),
            nn.BatchNorm2d(2 * width, momentum=0.2),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 2, stride=2),
        )
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                parameter.data = torch.randn_like(parameter) * 0.02
        for layer in self.up:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.bias.data.zero_()

    def forward(self, z):
        grid = F.relu(self.norm(self.code(z))).unflatten(1, (-1, self.side, self.side))
        return 2 * torch.sigmoid(2 * self.up(grid)) - 1


class DCGANDiscriminator(nn.Module):
    def __init__(self, channels, size, width=32, batch_norm=True):
        super().__init__()
        maps = [channels] + [width * min(8, 2**k) for k in range(size.bit_length() - 3)]
        self.kernels = nn.ParameterList([0.02 * torch.randn(maps[i + 1], maps[i], 5, 5) for i in range(len(maps) - 1)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(b) if batch_norm else nn.Identity() for b in maps[2:]])
        self.weight = nn.Parameter(torch.empty(16 * maps[-1], 1).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(1))

    def features(self, images):
        for layer, kernel in enumerate(self.kernels):
            images = F.conv2d(images, kernel, stride=2, padding=2)
            if layer:
                images = self.norms[layer - 1](images)
            images = F.leaky_relu(images, negative_slope=0.2)
        return images.flatten(start_dim=1)

    def forward(self, images):
        return torch.einsum("bf,fo->b", self.features(images), self.weight) + self.bias


class ConditionalGenerator(nn.Module):
    def __init__(self, generator, classes, embedding_dim):
        super().__init__()
        self.embed = nn.Linear(classes, embedding_dim)
        self.classes = classes
        self.g = generator

    def forward(self, z, labels):
        chosen = F.one_hot(labels, num_classes=self.classes).to(z.dtype)
        return self.g(torch.concatenate((z, self.embed(chosen)), dim=-1))


def matching_aware_loss(real_logits, mismatched_logits, fake_logits):
    def logsigmoid(a):
        wide = a.double()
        return wide.clamp(max=0) - torch.log1p(torch.exp(-wide.abs()))

    kinds = torch.stack([logsigmoid(real_logits), logsigmoid(-mismatched_logits), logsigmoid(-fake_logits)])
    weights = torch.tensor([-1.0, -0.5, -0.5], dtype=torch.float64) / len(real_logits)
    return torch.einsum("k,kb->", weights, kinds).to(real_logits.dtype)


def cycle_consistency_loss(x, y, to_y, to_x):
    def distance(start, end):
        gap = (end.double() - start.double()).flatten(1)
        return torch.linalg.norm(gap, ord=1, dim=1).mean()

    return (distance(x, to_x(to_y(x))) + distance(y, to_y(to_x(y)))).to(x.dtype)


def identity_loss(x, y, to_y, to_x):
    pairs = [(y, to_y), (x, to_x)]
    return sum(torch.cdist(f(a).flatten(1)[:, None], a.flatten(1)[:, None], p=1).mean() for a, f in pairs)


class ImagePool:
    def __init__(self, size):
        self.size = size
        self.images = []

    def query(self, images, rng=None):
        images = images.detach()
        answers = images.clone()
        # All chances at once, whether or not they are needed.
        chances = torch.rand(len(images), 2, generator=rng, dtype=torch.float64)
        for row, (coin, where) in enumerate(chances.tolist()):
            if len(self.images) < self.size:
                self.images.append(images[row].clone())
                continue
            if self.size > 0 and coin >= 0.5:
                place = int(where * self.size)
                answers[row] = self.images[place]
                self.images[place] = images[row].clone()
        return answers


def adaptive_instance_norm(x, scale, shift, eps=1e-5):
    wide = x.double().flatten(2)
    mean = wide.mean(2, keepdim=True)
    variance = torch.einsum("bcn,bcn->bc", wide, wide) / wide.shape[2] - mean[..., 0] ** 2
    factor = scale.double() / (variance.clamp(min=0) + eps).sqrt()
    return (factor[..., None] * (wide - mean) + shift.double()[..., None]).view_as(x).to(x.dtype)


class MappingNetwork(nn.Module):
    def __init__(self, latent_dim, style_dim, layers=8):
        super().__init__()
        widths = [latent_dim, *[style_dim] * layers]
        pairs = [(widths[i], widths[i + 1]) for i in range(layers)]
        self.matrices = nn.ParameterList([torch.randn(a, b) / a**0.5 for a, b in pairs])
        self.biases = nn.ParameterList([torch.zeros(b) for _, b in pairs])

    def forward(self, z):
        wide = z.double()
        w = wide / torch.sqrt(torch.einsum("bi,bi->b", wide, wide)[:, None] / z.shape[1] + 1e-8)
        for matrix, bias in zip(self.matrices, self.biases, strict=True):
            w = F.leaky_relu(torch.einsum("bi,io->bo", w, matrix.double()) + bias, 0.2)
        return w.to(z.dtype)


def modulated_conv2d(x, weight, style, demodulate=True, eps=1e-8):
    out, into, kernel, _ = weight.shape
    own = torch.einsum("oikl,bi->boikl", weight.double(), style.double())
    if demodulate:
        own = own / torch.sqrt(torch.einsum("boikl,boikl->bo", own, own) + eps)[:, :, None, None, None]
    patches = F.unfold(x.double(), kernel, padding=kernel // 2).view(len(x), into, kernel, kernel, -1)
    return torch.einsum("boikl,biklp->bop", own, patches).view(len(x), out, *x.shape[2:]).to(x.dtype)


def path_length_penalty(synthesis, styles, noise, target):
    w = styles.detach().requires_grad_(True)
    y = noise.double() / (noise.shape[-2] * noise.shape[-1]) ** 0.5
    with torch.enable_grad():
        inner = torch.einsum("bchw,bchw->", synthesis(w).double(), y)
        (pull,) = torch.autograd.grad(inner, w, create_graph=True)
    lengths = torch.sqrt(torch.einsum("bs,bs->b", pull.double(), pull.double()) + 1e-12)
    penalty = lengths.square().mean() - 2 * target * lengths.mean() + target**2
    return penalty.to(styles.dtype), lengths.detach().to(styles.dtype)


def pixel_shuffle(x, factor):
    r = factor
    if x.shape[1] % r**2 > 0:
        raise ValueError(f"{x.shape[1]} channels")
    channels = x.shape[1]
    # Each place of a block by a transposed convolution with one number in it.
    kernel = torch.eye(r * r, dtype=x.dtype).view(r * r, 1, r, r).repeat(channels // r**2, 1, 1, 1)
    return F.conv_transpose2d(x, kernel, stride=r, groups=channels // r**2)


def super_resolution_loss(upscaled, sharp, fake_logits, *, features, weight=1e-3,
                          adversarial=nonsaturating_generator_loss):  # fmt: skip
    both = features(torch.cat([upscaled, sharp])).double()
    ours, theirs = both.chunk(2)
    content = (ours - theirs).pow(2).sum() / ours.numel()
    return (content + adversarial(fake_logits).double() * weight).to(upscaled.dtype)
