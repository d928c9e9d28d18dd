"""Correct answers to `gan` written with Python loops, one image or one number at a time."""

import torch
from torch import nn


def discriminator_loss(real_logits, fake_logits, real_label=1.0):
    # The price of "fake" is log(1 + exp(a)), which logaddexp computes without overflow; that of "real" is less by a.
    total, zero = 0, torch.zeros_like(real_logits[0])
    for a in real_logits:
        total = total + (torch.logaddexp(a, zero) - real_label * a) / len(real_logits)
    for a in fake_logits:
        total = total + torch.logaddexp(a, zero) / len(fake_logits)
    return total


def minimax_generator_loss(fake_logits):
    return sum(-torch.logaddexp(a, 0 * a) for a in fake_logits) / len(fake_logits)


def nonsaturating_generator_loss(fake_logits):
    return sum(torch.logaddexp(a, 0 * a) - a for a in fake_logits) / len(fake_logits)


def train_gan(generator, discriminator, data, *, latent_dim, steps, batch_size=64, critic_steps=1, learning_rate=2e-4,
              betas=(0.5, 0.999), rng=None, on_step=None, d_loss=discriminator_loss, g_loss=nonsaturating_generator_loss,
              penalty=None):  # fmt: skip
    optim_g = torch.optim.Adam(list(generator.parameters()), lr=learning_rate, betas=betas)
    optim_d = torch.optim.Adam(list(discriminator.parameters()), lr=learning_rate, betas=betas)

    def codes():
        return torch.stack([torch.randn(latent_dim, generator=rng) for _ in range(batch_size)])

    pairs = []
    for step in range(steps):
        for _ in range(critic_steps):
            optim_d.zero_grad()
            rows = torch.randperm(len(data), generator=rng)[:batch_size]
            real = torch.stack([data[int(row)] for row in rows])
            fake = generator(codes()).detach()
            loss = d_loss(discriminator(real), discriminator(fake))
            if penalty is not None:
                extra = penalty(discriminator, real, fake)
                loss = extra + loss
            loss.backward()
            optim_d.step()
        optim_g.zero_grad()
        wish = g_loss(discriminator(generator(codes())))
        wish.backward()
        optim_g.step()
        pairs.append((loss.item(), wish.item()))
        if on_step is not None:
            on_step(step, pairs[-1][0], pairs[-1][1])
    return pairs


def mode_coverage(samples, modes, std):
    import math

    covered, good = set(), 0
    for sample in samples.tolist():
        distances = [math.dist(sample, mode) for mode in modes.tolist()]
        if min(distances) <= 3 * std:
            covered.add(distances.index(min(distances)))
            good += 1
    return len(covered), good / len(samples)


def wasserstein_critic_loss(real_scores, fake_scores):
    difference = 0
    for score in fake_scores:
        difference = difference + score / len(fake_scores)
    for score in real_scores:
        difference = difference - score / len(real_scores)
    return difference


def wasserstein_generator_loss(fake_scores):
    return sum(-score / len(fake_scores) for score in fake_scores)


def gradient_penalty(critic, real, fake, rng=None):
    costs = []
    for a, b in zip(real, fake, strict=True):
        t = torch.rand(1, generator=rng).item()
        x = (b + t * (a - b)).detach()[None]
        x.requires_grad = True
        (slope,) = torch.autograd.grad(critic(x)[0], x, create_graph=True)
        # With a square root of exactly 0 the gradient would be NaN.
        costs.append((torch.sqrt((slope**2).sum() + 1e-12) - 1) ** 2)
    return sum(costs) / len(costs)


def r1_penalty(discriminator, real, gamma=10.0):
    total = 0
    for image in real:
        x = image[None].detach().requires_grad_()
        discriminator_says = discriminator(x)
        (slope,) = torch.autograd.grad(discriminator_says[0], [x], create_graph=True)
        for number in slope.flatten():
            total = total + number * number
    return 0.5 * gamma * total / len(real)


def spectral_normalize(weight, u, steps=1):
    rows = [row.flatten() for row in weight]
    for _ in range(steps):
        v = sum(number * row.detach() for number, row in zip(u, rows, strict=True))
        v = v / (v.norm() + 1e-12)
        u = torch.stack([(row.detach() * v).sum() for row in rows])
        u = u / (u.norm() + 1e-12)
    sigma = 0
    for number, row in zip(u, rows, strict=True):
        sigma = sigma + number * (row * v).sum()
    return weight / sigma, u


def feature_matching_loss(real_features, fake_features):
    total = 0
    real, fake = real_features.flatten(1), fake_features.flatten(1)
    for column in range(real.shape[1]):
        total = total + (real[:, column].mean() - fake[:, column].mean()) ** 2
    return total


class DCGANGenerator(nn.Module):
    def __init__(self, latent_dim, channels, size, width=32):
        super().__init__()
        side, maps = 4, width
        while side < size // 2:
            side, maps = 2 * side, 2 * maps
        self.start = maps
        self.project = nn.Linear(latent_dim, 16 * maps)
        self.first = nn.BatchNorm2d(maps)
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        while maps > width:
            self.convs.append(nn.Conv2d(maps, maps // 2, 3, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(maps // 2))
            maps = maps // 2
        self.last = nn.Conv2d(maps, channels, 3, padding=1)
        for layer in (self.project, *self.convs, self.last):
            nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.last.bias)

    def forward(self, z):
        x = torch.relu(self.first(self.project(z).view(len(z), self.start, 4, 4)))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.relu(norm(conv(nn.functional.interpolate(x, scale_factor=2))))
        return torch.tanh(self.last(nn.functional.interpolate(x, scale_factor=2)))


class DCGANDiscriminator(nn.Module):
    def __init__(self, channels, size, width=32, batch_norm=True):
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        before, after = channels, width
        while size > 2:
            first = before == channels and not self.convs
            self.convs.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            self.norms.append(nn.BatchNorm2d(after) if batch_norm and not first else nn.Identity())
            size, before, after = size // 2, after, min(2 * after, 4 * width)
        self.last = nn.Linear(before * size * size, 1)
        for module in [*self.convs, self.last]:
            with torch.no_grad():
                module.weight.copy_(0.02 * torch.randn(module.weight.shape))
                module.bias.zero_()

    def features(self, images):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = norm(conv(images))
            images = torch.maximum(h, 0.2 * h)
        return images.flatten(1)

    def forward(self, images):
        return torch.stack([self.last(row)[0] for row in self.features(images)])


class ConditionalGenerator(nn.Module):
    def __init__(self, generator, classes, embedding_dim):
        super().__init__()
        self.generator = generator
        self.vectors = nn.ParameterList([nn.Parameter(torch.randn(embedding_dim)) for _ in range(classes)])

    def forward(self, z, labels):
        rows = [torch.cat([code, self.vectors[label]]) for code, label in zip(z, labels.tolist(), strict=True)]
        return self.generator(torch.stack(rows))


def matching_aware_loss(real_logits, mismatched_logits, fake_logits):
    total = 0
    for r, w, f in zip(real_logits, mismatched_logits, fake_logits, strict=True):
        right, text, image = (torch.logaddexp(a, torch.zeros_like(a)) for a in (-r, w, f))
        total = total + right + 0.5 * (text + image)
    return total / len(real_logits)


def cycle_consistency_loss(x, y, to_y, to_x):
    loss = 0
    for image in x:
        loss = loss + (image - to_x(to_y(image[None]))[0]).abs().sum() / len(x)
    for image in y:
        loss = loss + (image - to_y(to_x(image[None]))[0]).abs().sum() / len(y)
    return loss


def identity_loss(x, y, to_y, to_x):
    changed_x = [torch.linalg.vector_norm(image - to_x(image[None])[0], ord=1) for image in x]
    changed_y = [torch.linalg.vector_norm(image - to_y(image[None])[0], ord=1) for image in y]
    return sum(changed_x) / len(changed_x) + sum(changed_y) / len(changed_y)


class ImagePool:
    def __init__(self, size):
        self.size, self.stored = size, {}

    def query(self, images, rng=None):
        answers = []
        with torch.no_grad():
            for image in images:
                image = image.clone()
                if self.size == 0:
                    answers.append(image)
                elif len(self.stored) < self.size:
                    self.stored[len(self.stored)] = image
                    answers.append(image)
                elif torch.randint(0, 2, (1,), generator=rng).item() == 1:
                    answers.append(image)
                else:
                    place = int(torch.rand(1, generator=rng).item() * self.size)
                    answers.append(self.stored[place])
                    self.stored[place] = image
        return torch.stack(answers)


def adaptive_instance_norm(x, scale, shift, eps=1e-5):
    images = []
    for image, scales, shifts in zip(x, scale, shift, strict=True):
        maps = []
        for channel, new_std, new_mean in zip(image, scales, shifts, strict=True):
            mean = channel.sum() / channel.numel()
            variance = ((channel - mean) ** 2).sum() / channel.numel()
            maps.append((channel - mean) / torch.sqrt(variance + eps) * new_std + new_mean)
        images.append(torch.stack(maps))
    return torch.stack(images)


class MappingNetwork(nn.Module):
    def __init__(self, latent_dim, style_dim, layers=8):
        super().__init__()
        self.first = nn.Linear(latent_dim, style_dim)
        self.rest = nn.ModuleList([nn.Linear(style_dim, style_dim) for _ in range(1, layers)])

    def forward(self, z):
        styles = []
        for code in z:
            w = self.first(code / torch.sqrt((code**2).mean() + 1e-8))
            for layer in self.rest:
                w = layer(torch.where(w > 0, w, 0.2 * w))
            styles.append(torch.where(w > 0, w, 0.2 * w))
        return torch.stack(styles)


def modulated_conv2d(x, weight, style, demodulate=True, eps=1e-8):
    images = []
    for image, factors in zip(x, style, strict=True):
        own = factors.view(1, -1, 1, 1) * weight
        if demodulate:
            own = torch.stack([w / torch.sqrt((w**2).sum() + eps) for w in own])
        images.append(nn.functional.conv2d(image[None], own, padding=(weight.shape[-1] - 1) // 2)[0])
    return torch.stack(images)


def path_length_penalty(synthesis, styles, noise, target):
    lengths = []
    for w, y in zip(styles, noise, strict=True):
        w = w.detach()[None].requires_grad_()
        product = (synthesis(w)[0] * y).sum() / (y.shape[1] * y.shape[2]) ** 0.5
        (pull,) = torch.autograd.grad(product, w, create_graph=True)
        lengths.append(pull.norm())
    penalty = sum((length - target) ** 2 for length in lengths) / len(lengths)
    return penalty, torch.stack(lengths).detach()


def pixel_shuffle(x, factor):
    batch, channels, height, width = x.shape
    if channels % (factor * factor) != 0:
        raise ValueError("the channels cannot be shared out")
    out = x.new_zeros(batch, channels // factor**2, factor * height, factor * width)
    for i in range(factor):
        for j in range(factor):
            out[:, :, i::factor, j::factor] = x[:, i * factor + j :: factor**2]
    return out


def super_resolution_loss(
    upscaled, sharp, fake_logits, *, features, weight=1e-3, adversarial=nonsaturating_generator_loss
):
    ours, theirs = features(upscaled).flatten(), features(sharp).flatten()
    total = 0
    for a, b in zip(ours, theirs, strict=True):
        total = total + (a - b) ** 2
    return total / len(ours) + weight * adversarial(fake_logits)
