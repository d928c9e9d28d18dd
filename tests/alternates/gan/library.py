"""Correct answers to `gan` that leave the work to torch's own functions and modules."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    bce = nn.BCEWithLogitsLoss()
    real = bce(real_logits, torch.full_like(real_logits, real_label))
    return real + bce(fake_logits, torch.zeros_like(fake_logits))


def minimax_generator_loss(fake_logits: Tensor) -> Tensor:
    return F.logsigmoid(-fake_logits).mean()


def nonsaturating_generator_loss(fake_logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def train_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    data: Tensor,
    *,
    latent_dim: int,
    steps: int,
    batch_size: int = 64,
    critic_steps: int = 1,
    learning_rate: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    rng: torch.Generator | None = None,
    on_step: Callable[[int, float, float], None] | None = None,
    d_loss: Callable = discriminator_loss,
    g_loss: Callable = nonsaturating_generator_loss,
    penalty: Callable | None = None,
) -> list[tuple[float, float]]:
    from torch.utils.data import DataLoader, RandomSampler, TensorDataset

    sampler = RandomSampler(data, replacement=True, num_samples=steps * critic_steps * batch_size, generator=rng)
    minibatches = iter(DataLoader(TensorDataset(data), batch_size=batch_size, sampler=sampler))
    adams = [
        torch.optim.Adam(network.parameters(), lr=learning_rate, betas=betas) for network in (discriminator, generator)
    ]
    history = []
    for step in range(steps):
        for _ in range(critic_steps):
            (real,) = next(minibatches)
            z = torch.normal(0.0, 1.0, (batch_size, latent_dim), generator=rng)
            fake = generator(z).detach()
            scores = discriminator(fake), discriminator(real)
            loss = d_loss(scores[1], scores[0])
            if penalty:
                loss = loss + penalty(discriminator, real, fake)
            adams[0].zero_grad(set_to_none=False)
            loss.backward()
            adams[0].step()
        discriminator.requires_grad_(False)
        z = torch.normal(0.0, 1.0, (batch_size, latent_dim), generator=rng)
        verdict = g_loss(discriminator(generator(z)))
        adams[1].zero_grad()
        verdict.backward()
        adams[1].step()
        discriminator.requires_grad_(True)
        history.append((float(loss), float(verdict)))
        if on_step:
            on_step(step, float(loss), float(verdict))
    return history


def mode_coverage(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    distances = torch.linalg.vector_norm(samples[:, None] - modes[None], dim=-1)
    nearest = F.one_hot(distances.argmin(dim=1), len(modes)).bool()
    hits = nearest & (distances <= 3 * std)
    return int(hits.any(dim=0).count_nonzero()), float(hits.any(dim=1).float().mean())


def wasserstein_critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return torch.sub(fake_scores.mean(), real_scores.mean())


def wasserstein_generator_loss(fake_scores: Tensor) -> Tensor:
    return fake_scores.neg().mean()


def gradient_penalty(critic: Callable, real: Tensor, fake: Tensor, rng: torch.Generator | None = None) -> Tensor:
    alpha = torch.rand(real.size(0), *([1] * (real.dim() - 1)), generator=rng, dtype=real.dtype)
    x_hat = torch.lerp(real, fake, alpha.expand_as(real)).requires_grad_(True)
    scores = critic(x_hat)
    gradients = torch.autograd.grad(
        outputs=scores,
        inputs=x_hat,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    return ((gradients.reshape(real.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()


def r1_penalty(discriminator: Callable, real: Tensor, gamma: float = 10.0) -> Tensor:
    real = real.clone().requires_grad_(True)
    with torch.enable_grad():
        logits = discriminator(real)
    (slope,) = torch.autograd.grad(logits, real, torch.ones_like(logits), create_graph=True)
    return gamma * 0.5 * F.mse_loss(slope, torch.zeros_like(slope), reduction="sum") / len(real)


def spectral_normalize(weight: Tensor, u: Tensor, steps: int = 1) -> tuple[Tensor, Tensor]:
    w = weight.view(weight.size(0), -1)
    u = u.detach().clone()
    for _ in range(steps):
        v = F.normalize(torch.mv(w.detach().t(), u), dim=0, eps=1e-12)
        u = F.normalize(torch.mv(w.detach(), v), dim=0, eps=1e-12)
    return weight / torch.dot(u, torch.mv(w, v)), u


def feature_matching_loss(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return F.mse_loss(fake_features.mean(0), real_features.detach().mean(0), reduction="sum")


class DCGANGenerator(nn.Sequential):
    def __init__(self, latent_dim: int, channels: int, size: int, width: int = 32) -> None:
        doublings = (size // 4).bit_length() - 1
        top = width * 2 ** (doublings - 1)
        layers: list[nn.Module] = [
            nn.Unflatten(1, (latent_dim, 1, 1)),
            nn.ConvTranspose2d(latent_dim, top, 4, 1, 0, bias=False),
            nn.BatchNorm2d(top),
            nn.ReLU(True),
        ]
        for _ in range(doublings - 1):
            layers += [nn.ConvTranspose2d(top, top // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(top // 2), nn.ReLU(True)]
            top //= 2
        super().__init__(*layers, nn.ConvTranspose2d(top, channels, 4, 2, 1, bias=False), nn.Tanh())

        def init(module: nn.Module) -> None:
            if isinstance(module, nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)
                nn.init.zeros_(module.bias)

        self.apply(init)


class DCGANDiscriminator(nn.Module):
    def __init__(self, channels: int, size: int, width: int = 32, batch_norm: bool = True) -> None:
        super().__init__()

        def blocks():
            before, after, side = channels, width, size
            while side > 4:
                yield nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
                if batch_norm and side < size:
                    yield nn.BatchNorm2d(after)
                yield nn.LeakyReLU(0.2, inplace=True)
                before, after, side = after, 2 * after, side // 2
            self.count = before * side * side

        self.main = nn.Sequential(*blocks())
        self.head = nn.Linear(self.count, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.data.normal_(0.0, 0.02)
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.normal_(1.0, 0.02)
        self.head.bias.data.fill_(0)

    def features(self, images: Tensor) -> Tensor:
        return torch.flatten(self.main(images), start_dim=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images)).view(-1)


class ConditionalGenerator(nn.Module):
    def __init__(self, generator: nn.Module, classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(classes, embedding_dim))
        self.inner = generator

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.inner(torch.hstack([z, F.embedding(labels, self.table)]))


def matching_aware_loss(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    zero = torch.zeros_like(fake_logits)
    wrong = [F.binary_cross_entropy_with_logits(logits, zero) for logits in (mismatched_logits, fake_logits)]
    return F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits)) + 0.5 * (wrong[0] + wrong[1])


def cycle_consistency_loss(x: Tensor, y: Tensor, to_y: Callable, to_x: Callable) -> Tensor:
    return F.l1_loss(to_x(to_y(x)), x, reduction="sum") / len(x) + F.l1_loss(to_y(to_x(y)), y, reduction="sum") / len(y)


def identity_loss(x: Tensor, y: Tensor, to_y: Callable, to_x: Callable) -> Tensor:
    l1 = nn.L1Loss()
    return l1(to_y(y), y) * y[0].numel() + l1(to_x(x), x) * x[0].numel()


class ImagePool:
    def __init__(self, size: int) -> None:
        self.pool: Tensor | None = None
        self.size = size

    def query(self, images: Tensor, rng: torch.Generator | None = None) -> Tensor:
        out = images.detach().clone()
        if self.size == 0:
            return out
        if self.pool is None:
            self.pool = out.new_empty(0, *out.shape[1:])
        for i in range(len(out)):
            if len(self.pool) < self.size:
                self.pool = torch.cat([self.pool, out[i : i + 1]])
            elif torch.bernoulli(torch.tensor(0.5), generator=rng):
                j = torch.multinomial(torch.ones(self.size), 1, generator=rng).item()
                older = self.pool[j].clone()
                self.pool[j] = out[i]
                out[i] = older
        return out


def adaptive_instance_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    if x[0, 0].numel() == 1:  # torch refuses to normalise a single place, whose deviation is 0
        return 0 * x * scale[..., None, None] + shift[..., None, None]
    return F.instance_norm(x, eps=eps) * scale[..., None, None] + shift[..., None, None]


class MappingNetwork(nn.Module):
    def __init__(self, latent_dim: int, style_dim: int, layers: int = 8) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(latent_dim, style_dim))
        for _ in range(layers - 1):
            self.net.extend([nn.LeakyReLU(0.2), nn.Linear(style_dim, style_dim)])

    def forward(self, z: Tensor) -> Tensor:
        return self.net(F.normalize(z, dim=1) * z.size(1) ** 0.5)


def modulated_conv2d(x: Tensor, weight: Tensor, style: Tensor, demodulate: bool = True, eps: float = 1e-8) -> Tensor:
    # The style may as well scale the input, and demodulation the output: convolution is linear.
    out = F.conv2d(x * style[:, :, None, None], weight, padding=weight.shape[-1] // 2)
    if demodulate:
        squares = style.square() @ weight.square().sum(dim=(2, 3)).T
        out = out * torch.rsqrt(squares + eps)[:, :, None, None]
    return out


def path_length_penalty(synthesis: Callable, styles: Tensor, noise: Tensor, target: float) -> tuple[Tensor, Tensor]:
    import math

    w = styles if styles.requires_grad else styles.clone().requires_grad_()
    images = synthesis(w)
    scaled = noise / math.sqrt(images.shape[-1] * images.shape[-2])
    (grad,) = torch.autograd.grad(outputs=images, inputs=w, grad_outputs=scaled, create_graph=True)
    lengths = (grad.square().sum(dim=1) + 1e-8).sqrt()
    return F.mse_loss(lengths, torch.full_like(lengths, target)), lengths.detach()


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    try:
        return nn.PixelShuffle(factor)(x)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def super_resolution_loss(
    upscaled: Tensor,
    sharp: Tensor,
    fake_logits: Tensor,
    *,
    features: Callable,
    weight: float = 1e-3,
    adversarial: Callable = nonsaturating_generator_loss,
) -> Tensor:
    with torch.no_grad():
        target = features(sharp)
    return torch.add(F.mse_loss(features(upscaled), target), adversarial(fake_logits), alpha=weight)
