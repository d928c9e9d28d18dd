"""Reference answers to `gan`. Each has the signature and the docstring of its stub in the starter."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


def discriminator_loss(
    real_logits: Float[Tensor, "real"],
    fake_logits: Float[Tensor, "fake"],
    real_label: float = 1.0,
) -> Float[Tensor, ""]:
    """What the discriminator minimises in the original game: two binary cross-entropies, added.

    The mean over the real images of −[r log σ(a) + (1 − r) log(1 − σ(a))], where r is
    `real_label`, plus the mean over the fake images of −log(1 − σ(a)); σ is the logistic sigmoid
    and a an image's logit. With r = 1 it is minus the value of Goodfellow et al. 2014, equation
    1; with r = 0.9 it has one-sided label smoothing (Salimans et al. 2016, section 3.4). It is
    finite, and so are its gradients, for logits of ±10⁴.

    Args:
        real_logits: the discriminator's logits of real images (real,), one for each.
        fake_logits: its logits of generated images (fake,); there may be more or fewer of them.
        real_label: the probability of "real" that it should give real images; the label of
            generated images is always 0.

    Returns:
        A scalar, of shape (), in nats: the sum of the two means, not halved.
    """
    real = real_label * F.softplus(-real_logits) + (1 - real_label) * F.softplus(real_logits)
    return real.mean() + F.softplus(fake_logits).mean()


def minimax_generator_loss(fake_logits: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """What the generator minimises in the zero-sum game: the mean of log(1 − σ(a)).

    Goodfellow et al. 2014, equation 1 and algorithm 1. Finite, and so are its gradients, for
    logits of ±10⁴.

    Args:
        fake_logits: the discriminator's logits a of generated images (batch,).

    Returns:
        A scalar, of shape (): the mean over the batch, in nats, never above 0.
    """
    return -F.softplus(fake_logits).mean()


def nonsaturating_generator_loss(fake_logits: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """What the generator minimises in practice: the mean of −log σ(a).

    Goodfellow et al. 2014, end of section 3. Finite, and so are its gradients, for logits of
    ±10⁴.

    Args:
        fake_logits: the discriminator's logits a of generated images (batch,).

    Returns:
        A scalar, of shape (): the mean over the batch, in nats, never below 0.
    """
    return F.softplus(-fake_logits).mean()


def train_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    data: Float[Tensor, "n *data"],
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
    """Train a generator and a discriminator against each other, in place, by Adam.

    A step has two parts. First, `critic_steps` times over, the discriminator learns: with a
    minibatch of real data drawn at random and as much generated from fresh noise, one step of
    its Adam minimises

        d_loss(discriminator(real), discriminator(fake)) + penalty(discriminator, real, fake),

    in which `fake` carries no graph. Then the generator learns: with fresh noise, one step of
    its Adam minimises

        g_loss(discriminator(generator(noise))).

    Each part changes the weights of its own network only, by the gradients of its own loss
    alone. Real and fake are scored in two calls, since batch normalisation would mix them in
    one. The same `rng` in the same state gives the same training. Goodfellow et al. 2014,
    algorithm 1.

    Args:
        generator: generator(z) makes samples (batch, *data) of noise z (batch, latent_dim).
        discriminator: discriminator(x) gives the logits or scores (batch,) of x.
        data: real samples (n, *data).
        latent_dim: numbers in a code z, which are drawn from N(0, 1).
        steps: how many steps, of both parts each.
        batch_size: samples in a minibatch. Real ones are drawn uniformly; whether one may come
            twice in a minibatch is left open.
        critic_steps: steps of the discriminator before each of the generator's.
        learning_rate: of both Adams.
        betas: of both Adams; their other settings are torch's defaults.
        rng: source of all randomness, on the CPU whatever the data's device; None is torch's
            global one.
        on_step: called as on_step(step, discriminator's loss, generator's loss) after each
            step, counting from 0, with the two numbers that the step adds to the result.
        d_loss: d_loss(real scores, fake scores), your `discriminator_loss` or another.
        g_loss: g_loss(fake scores), your `nonsaturating_generator_loss` or another.
        penalty: penalty(discriminator, real, fake), a scalar; None adds nothing.

    Returns:
        For each step the pair (discriminator's loss, generator's loss), each as measured just
        before the Adam step that it led to: the discriminator's with its penalty, and the last
        one if it took several steps.
    """

    def noise() -> Tensor:
        return torch.randn(batch_size, latent_dim, generator=rng).to(data)

    adam = {"lr": learning_rate, "betas": betas}
    d_optimizer = torch.optim.Adam(discriminator.parameters(), **adam)
    g_optimizer = torch.optim.Adam(generator.parameters(), **adam)
    history: list[tuple[float, float]] = []
    for step in range(steps):
        for _ in range(critic_steps):
            real = data[torch.randint(len(data), (batch_size,), generator=rng).to(data.device)]
            with torch.no_grad():
                fake = generator(noise())
            d_value = d_loss(discriminator(real), discriminator(fake))
            if penalty is not None:
                d_value = d_value + penalty(discriminator, real, fake)
            d_optimizer.zero_grad()
            d_value.backward()
            d_optimizer.step()
        g_value = g_loss(discriminator(generator(noise())))
        g_optimizer.zero_grad()
        g_value.backward()
        g_optimizer.step()
        history.append((d_value.item(), g_value.item()))
        if on_step is not None:
            on_step(step, *history[-1])
    return history


def mode_coverage(
    samples: Float[Tensor, "n dim"],
    modes: Float[Tensor, "k dim"],
    std: float,
) -> tuple[int, float]:
    """How many modes of a mixture of Gaussians a generator reaches, and how often it hits one.

    A sample is good if its Euclidean distance from the nearest mode is at most three standard
    deviations. A mode is covered if it is the nearest mode of at least one good sample.
    Srivastava et al. 2017 (VEEGAN), section 4.1.

    Args:
        samples: what the generator made (n, dim), n at least 1.
        modes: the means of the Gaussians (k, dim).
        std: their standard deviation, the same for all and in every direction.

    Returns:
        The pair (modes covered, from 0 to k; share of good samples, from 0 to 1), an int and a
        float.
    """
    distance, nearest = torch.cdist(samples, modes).min(dim=1)
    good = distance <= 3 * std
    return len(nearest[good].unique()), good.double().mean().item()


def wasserstein_critic_loss(
    real_scores: Float[Tensor, "real"],
    fake_scores: Float[Tensor, "fake"],
) -> Float[Tensor, ""]:
    """What the critic minimises: the mean score of fake samples minus that of real ones.

    Minus its estimate of the Wasserstein distance (Arjovsky et al. 2017, equation 3 and
    algorithm 1). Scores are any real numbers: no sigmoid, no logarithm.

    Args:
        real_scores: the critic's scores of real samples (real,).
        fake_scores: its scores of generated samples (fake,); there may be more or fewer of them.

    Returns:
        A scalar, of shape ().
    """
    return fake_scores.mean() - real_scores.mean()


def wasserstein_generator_loss(fake_scores: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """What the generator minimises against a critic: minus the mean score of its samples.

    Arjovsky et al. 2017, algorithm 1.

    Args:
        fake_scores: the critic's scores of generated samples (batch,).

    Returns:
        A scalar, of shape ().
    """
    return -fake_scores.mean()


def gradient_penalty(
    critic: Callable,
    real: Float[Tensor, "batch *data"],
    fake: Float[Tensor, "batch *data"],
    rng: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """How far the critic's slope is from 1 between real and fake samples.

    The mean over the batch of (‖∇D(x̂)‖ − 1)², where each x̂ is a point on the straight line
    between a real sample and the fake one in the same row, ε of the way from either end (Gulrajani
    et al. 2017, equation 3, without its factor λ). ε is drawn from the uniform distribution on
    [0, 1), anew for each sample, and the same for all numbers of a sample. The norm is the
    Euclidean one over all numbers of a sample, whatever their shape.

    Gradients flow from the result to the critic's parameters; whether any flow to `real` and
    `fake` is left open. Where the slope of the critic is 0 the penalty of that sample is 1, and
    its gradients are finite. A constant of at most 10⁻⁸ may be added under the square root.

    Args:
        critic: critic(x) gives the scores (batch,) of x (batch, *data), each row by itself.
        real: real samples (batch, *data).
        fake: generated samples (batch, *data), with or without a graph.
        rng: source of ε, on the CPU whatever the samples' device; None is torch's global one.

    Returns:
        A scalar, of shape (): not multiplied by any λ.
    """
    eps = torch.rand(len(real), generator=rng).to(real).view(-1, *[1] * (real.ndim - 1))
    between = (eps * real + (1 - eps) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1).square().mean()


def r1_penalty(
    discriminator: Callable,
    real: Float[Tensor, "batch *data"],
    gamma: float = 10.0,
) -> Float[Tensor, ""]:
    """The penalty R₁ on the discriminator's slope at real samples.

    γ/2 times the mean over the batch of ‖∇D(x)‖², the squared Euclidean norm over all numbers of
    a sample (Mescheder et al. 2018, equation 9). D is the discriminator's logit. Gradients flow
    from the result to the discriminator's parameters; whether any flow to `real` is left open.

    Args:
        discriminator: discriminator(x) gives the logits (batch,) of x (batch, *data), each row by
            itself.
        real: real samples (batch, *data).
        gamma: the weight γ.

    Returns:
        A scalar, of shape ().
    """
    real = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gamma / 2 * slope.flatten(1).square().sum(dim=1).mean()


def spectral_normalize(
    weight: Float[Tensor, "out *rest"],
    u: Float[Tensor, "out"],
    steps: int = 1,
) -> tuple[Float[Tensor, "out *rest"], Float[Tensor, "out"]]:
    """Divide a layer's weight by its largest singular value, found by power iteration.

    Of the weight as a matrix W (out, everything else). A step of the iteration is

        v ← Wᵀu / ‖Wᵀu‖,   u ← Wv / ‖Wv‖,

    and after the last one the singular value is σ = uᵀWv (Miyato et al. 2018, algorithm 1). u and
    v are constants: gradients flow to the weight through W / σ, where σ = uᵀWv, and not through
    the iteration. A constant of at most 10⁻⁸ may keep the divisions from 0.

    Args:
        weight: a layer's weight (out, *rest): (out, in) of a linear layer or (out, in, height,
            width) of a convolution; not 0.
        u: where the iteration starts (out,), of length 1; it stays as it is.
        steps: steps of the iteration, at least 1.

    Returns:
        The pair (weight / σ, in the shape of `weight`; the last u (out,), without a graph, from
        which the next call starts).
    """
    matrix = weight.flatten(1)
    with torch.no_grad():
        for _ in range(steps):
            v = F.normalize(matrix.T @ u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
    return weight / (u @ matrix @ v), u


def feature_matching_loss(
    real_features: Float[Tensor, "real *features"],
    fake_features: Float[Tensor, "fake *features"],
) -> Float[Tensor, ""]:
    """How far generated images are from real ones in their mean features.

    The squared Euclidean norm ‖E f(x) − E f(G(z))‖² of the difference of the two means, each
    over a batch (Salimans et al. 2016, section 3.1). Gradients flow to `fake_features`; whether
    any flow to `real_features` is left open.

    Args:
        real_features: a layer of the discriminator for real images (real, *features).
        fake_features: the same layer for generated images (fake, *features); there may be more or
            fewer of them.

    Returns:
        A scalar, of shape (): a sum over all features.
    """
    return (real_features.mean(dim=0) - fake_features.mean(dim=0)).square().sum()


class DCGANGenerator(nn.Module):
    """A convolutional generator, from a code to an image (Radford et al. 2016, section 3).

    The code becomes a small grid of many feature maps; transposed convolutions of stride 2 (or an
    upsampling and a convolution each) double its side until it is the image's. After every layer
    but the last comes batch normalisation, then ReLU; after the last tanh, so that the image is
    in [−1, 1]. There is at least one such hidden layer. In evaluation mode each image is made by
    itself.

    All weights with two or more dimensions start as draws from N(0, 0.02²), from torch's global
    random numbers; the biases of layers, if there are any, and the shifts of batch normalisation
    start at 0, its scales at 1 or at draws from N(1, 0.02²).

    Args:
        latent_dim: numbers in a code.
        channels: channels of an image, 1 for grey ones.
        size: height and width of an image, a power of two and at least 8.
        width: feature maps of the last hidden layer; earlier ones have at least as many.
    """

    def __init__(self, latent_dim: int, channels: int, size: int, width: int = 32) -> None:
        super().__init__()
        sides = size.bit_length() - 2  # the grid has sides of 2, 4, …, size / 2
        maps = [width * 2**k for k in reversed(range(sides))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_dim, maps[0], 2, bias=False)]
        for before, after in zip(maps, [*maps[1:], channels], strict=True):
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, 0.0, 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self,
        z: Float[Tensor, "batch latent"],
    ) -> Float[Tensor, "batch channels size size"]:
        """Make an image of each code.

        Args:
            z: codes (batch, latent_dim), one in each row.

        Returns:
            Images (batch, channels, size, size), in [−1, 1].
        """
        return self.layers(z[:, :, None, None])


class DCGANDiscriminator(nn.Module):
    """A convolutional discriminator, from an image to a logit (Radford et al. 2016, section 3).

    Convolutions of stride 2 halve the image's side again and again; after every one of them comes
    leaky ReLU of slope 0.2, and between the two batch normalisation, except in the first layer.
    The last grid, flattened, are the image's features; a linear layer makes the logit of them. No
    sigmoid follows. In evaluation mode each image is scored by itself; without batch
    normalisation in training mode, too, as a gradient penalty needs it.

    All weights with two or more dimensions start as draws from N(0, 0.02²), from torch's global
    random numbers; the biases of layers, if there are any, and the shifts of batch normalisation
    start at 0, its scales at 1 or at draws from N(1, 0.02²).

    Args:
        channels: channels of an image, 1 for grey ones.
        size: height and width of an image, a power of two and at least 8.
        width: feature maps of the first layer; later ones have at least as many.
        batch_norm: whether there is batch normalisation.
    """

    def __init__(self, channels: int, size: int, width: int = 32, batch_norm: bool = True) -> None:
        super().__init__()
        maps = [width * 2**k for k in range(size.bit_length() - 2)]
        layers: list[nn.Module] = []
        for before, after in zip([channels, *maps[:-1]], maps, strict=True):
            layers.append(nn.Conv2d(before, after, 4, 2, 1))
            if batch_norm and before != channels:
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.logit = nn.Linear(4 * maps[-1], 1)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, 0.0, 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def features(
        self,
        images: Float[Tensor, "batch channels size size"],
    ) -> Float[Tensor, "batch features"]:
        """What the last convolution makes of images.

        Args:
            images: images (batch, channels, size, size), in [−1, 1].

        Returns:
            Features (batch, features), after the nonlinearity, of which `forward` makes logits.
        """
        return self.layers(images)

    def forward(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch"]:
        """How real images look.

        Args:
            images: images (batch, channels, size, size), in [−1, 1].

        Returns:
            Logits (batch,): the sigmoid of one is the probability that the image is real.
        """
        return self.logit(self.features(images)).squeeze(1)


class ConditionalGenerator(nn.Module):
    """A generator that is told what to make (Mirza & Osindero 2014, section 3.2).

    Each class has a vector of its own, which is learned (an embedding). An image is what
    `generator` makes of the code followed by the vector of the wanted class.

    Args:
        generator: generator(code) makes an image of each code (batch, latent + embedding_dim).
        classes: how many classes there are; labels are 0, 1, …, classes − 1.
        embedding_dim: numbers in the vector of a class.
    """

    def __init__(self, generator: nn.Module, classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.generator = generator
        self.embedding = nn.Embedding(classes, embedding_dim)

    def forward(
        self,
        z: Float[Tensor, "batch latent"],
        labels: Int[Tensor, "batch"],
    ) -> Float[Tensor, "batch *image"]:
        """Make an image of each code, of the class that its label says.

        Args:
            z: codes (batch, latent), one in each row.
            labels: the wanted class of each (batch,), int64.

        Returns:
            What `generator` makes of [z, vector of the class], z first, side by side in each row.
        """
        return self.generator(torch.cat([z, self.embedding(labels)], dim=1))


def matching_aware_loss(
    real_logits: Float[Tensor, "batch"],
    mismatched_logits: Float[Tensor, "batch"],
    fake_logits: Float[Tensor, "batch"],
) -> Float[Tensor, ""]:
    """What the discriminator of a text-to-image GAN minimises: GAN-CLS.

    The mean over the batch of −log σ(r) − ½ [log(1 − σ(w)) + log(1 − σ(f))], where r, w and f are
    the three logits (Reed et al. 2016, algorithm 1). Finite, and so are its gradients, for logits
    of ±10⁴.

    Args:
        real_logits: r, of real images with their own texts (batch,).
        mismatched_logits: w, of real images with the texts of others (batch,).
        fake_logits: f, of images generated for a text, with that text (batch,).

    Returns:
        A scalar, of shape (), in nats.
    """
    wrong = F.softplus(mismatched_logits) + F.softplus(fake_logits)
    return (F.softplus(-real_logits) + wrong / 2).mean()


def cycle_consistency_loss(
    x: Float[Tensor, "n *x_data"],
    y: Float[Tensor, "m *y_data"],
    to_y: Callable,
    to_x: Callable,
) -> Float[Tensor, ""]:
    """How far there and back again leads from the start: E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁.

    G is `to_y` and F is `to_x`. ‖·‖₁ is the sum of absolute values over all numbers of an image,
    and each expectation a mean over its batch (Zhu et al. 2017, equation 2, without the factor
    λ).

    Args:
        x: images of the first kind (n, *x_data).
        y: images of the second kind (m, *y_data), in no way paired with x.
        to_y: to_y(x) turns images of the first kind into the second.
        to_x: to_x(y) turns images of the second kind into the first.

    Returns:
        A scalar, of shape (): the two means, added.
    """
    forth = (to_x(to_y(x)) - x).abs().flatten(1).sum(dim=1).mean()
    back = (to_y(to_x(y)) - y).abs().flatten(1).sum(dim=1).mean()
    return forth + back


def identity_loss(
    x: Float[Tensor, "n *data"],
    y: Float[Tensor, "m *data"],
    to_y: Callable,
    to_x: Callable,
) -> Float[Tensor, ""]:
    """How much a translator changes what needs no translation: E‖G(y) − y‖₁ + E‖F(x) − x‖₁.

    G is `to_y` and F is `to_x`. ‖·‖₁ is the sum of absolute values over all numbers of an image,
    and each expectation a mean over its batch (Zhu et al. 2017, section 5.2, without the factor
    λ/2).

    Args:
        x: images of the first kind (n, *data).
        y: images of the second kind (m, *data), in no way paired with x.
        to_y: to_y turns images of the first kind into the second.
        to_x: to_x turns images of the second kind into the first.

    Returns:
        A scalar, of shape (): the two means, added.
    """
    kept_y = (to_y(y) - y).abs().flatten(1).sum(dim=1).mean()
    kept_x = (to_x(x) - x).abs().flatten(1).sum(dim=1).mean()
    return kept_y + kept_x


class ImagePool:
    """A store of generated images, so that a discriminator does not forget what it has seen.

    Shrivastava et al. 2017, section 2.3; Zhu et al. 2017, section 4.

    Args:
        size: how many images it holds; with 0 it gives back every image as it came.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def query(
        self,
        images: Float[Tensor, "batch *image"],
        rng: torch.Generator | None = None,
    ) -> Float[Tensor, "batch *image"]:
        """Put images in, and get as many out: some of them, some older ones.

        The images are taken one after another. As long as the pool is not full, each is stored
        and given back. From then on a fair coin is tossed for each: either it is given back and
        not stored, or it is stored in the place of one of the stored images, each equally likely,
        and that one is given back.

        Args:
            images: images (batch, *image), with or without a graph.
            rng: source of all randomness, on the CPU; None is torch's global one.

        Returns:
            For each image what was given back for it (batch, *image), in order and without a
            graph.
        """
        given_back = []
        for image in images.detach().clone():
            if len(self.images) < self.size:
                self.images.append(image)
            elif self.size and torch.rand((), generator=rng) < 0.5:
                place = int(torch.randint(self.size, (), generator=rng))
                image, self.images[place] = self.images[place], image
            given_back.append(image)
        return torch.stack(given_back)


def adaptive_instance_norm(
    x: Float[Tensor, "batch channels height width"],
    scale: Float[Tensor, "batch channels"],
    shift: Float[Tensor, "batch channels"],
    eps: float = 1e-5,
) -> Float[Tensor, "batch channels height width"]:
    """Give each feature map of each image a new mean and a new spread.

    scale · (x − μ) / √(σ² + eps) + shift, where μ and σ² are the mean and the variance of one
    feature map of one image, over its height · width places; the variance is the mean squared
    deviation (Huang & Belongie 2017, equation 8; Karras et al. 2019, equation 1).

    Args:
        x: feature maps (batch, channels, height, width).
        scale: the new standard deviation of each (batch, channels); it may be negative.
        shift: the new mean of each (batch, channels).
        eps: keeps a constant feature map from a division by 0.

    Returns:
        Feature maps (batch, channels, height, width).
    """
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) * (variance + eps).rsqrt() + shift[:, :, None, None]


class MappingNetwork(nn.Module):
    """From a code to a style: the f of StyleGAN (Karras et al. 2019, section 2).

    A code z is first brought to length √latent_dim, z / √(mean of z² + 10⁻⁸), with the mean over
    the numbers of that code. Then come linear layers, with a leaky ReLU of slope 0.2 after each
    (after the last it may be left out). Each row of a batch is mapped by itself.

    Args:
        latent_dim: numbers in a code.
        style_dim: numbers in a style, and the width of the layers between.
        layers: how many linear layers there are, at least 1.
    """

    def __init__(self, latent_dim: int, style_dim: int, layers: int = 8) -> None:
        super().__init__()
        before = [latent_dim] + [style_dim] * (layers - 1)
        self.layers = nn.ModuleList(nn.Linear(width, style_dim) for width in before)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch style"]:
        """Map codes to styles.

        Args:
            z: codes (batch, latent_dim), one in each row.

        Returns:
            Styles w (batch, style_dim).
        """
        w = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w


def modulated_conv2d(
    x: Float[Tensor, "batch in_channels height width"],
    weight: Float[Tensor, "out_channels in_channels kernel kernel"],
    style: Float[Tensor, "batch in_channels"],
    demodulate: bool = True,
    eps: float = 1e-8,
) -> Float[Tensor, "batch out_channels height width"]:
    """A convolution whose weight is made to each image's style: the layer of StyleGAN2.

    The weight for an image is style[i] · weight[o, i, :, :], and with `demodulate` each output
    channel o of it is divided by the square root of the sum, over input channels and kernel, of
    its squares + eps (Karras et al. 2020, equations 1 and 3). Convolution is torch's, of stride 1
    and with zeros around the image, so that its size stays. There is no bias.

    Args:
        x: feature maps (batch, in_channels, height, width).
        weight: the weight that images share (out_channels, in_channels, kernel, kernel), the
            kernel being odd.
        style: a factor for each input channel of each image (batch, in_channels).
        demodulate: whether output channels are brought back to unit length.
        eps: added once to the sum of squares.

    Returns:
        Feature maps (batch, out_channels, height, width).
    """
    batch, _, height, width = x.shape
    weights = weight * style[:, None, :, None, None]
    if demodulate:
        weights = weights * (weights.square().sum(dim=(2, 3, 4), keepdim=True) + eps).rsqrt()
    # All images as the channels of one, in groups: each group meets the weight of its own image.
    joined, stacked = x.reshape(1, -1, height, width), weights.flatten(0, 1)
    out = F.conv2d(joined, stacked, padding="same", groups=batch)
    return out.view(batch, -1, height, width)


def path_length_penalty(
    synthesis: Callable,
    styles: Float[Tensor, "batch style"],
    noise: Float[Tensor, "batch channels height width"],
    target: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, "batch"]]:
    """How unevenly images change as their styles do: the path length regularizer of StyleGAN2.

    The length of an image is ‖Jᵀy‖, where J is the Jacobian of the image with respect to its
    style, and y = noise / √(height · width). The penalty is the mean over the batch of (length −
    target)² (Karras et al. 2020, equation 4 and appendix B).

    Gradients flow from the penalty to the parameters of `synthesis`; whether any flow to `styles`
    is left open. Where a length is 0 its gradients are finite. A constant of at most 10⁻⁸ may be
    added under the square root.

    Args:
        synthesis: synthesis(styles) makes an image (channels, height, width) of each style, each
            row by itself.
        styles: styles w (batch, style).
        noise: draws from N(0, 1) in the shape of the images (batch, channels, height, width).
        target: the length that is aimed at, a in the paper: a running mean that the caller keeps.

    Returns:
        The pair (penalty, a scalar of shape (); the lengths (batch,), without a graph, from which
        the caller updates his running mean).
    """
    styles = styles.detach().requires_grad_()
    y = noise / (noise.shape[2] * noise.shape[3]) ** 0.5
    (pull,) = torch.autograd.grad((synthesis(styles) * y).sum(), styles, create_graph=True)
    lengths = torch.linalg.vector_norm(pull, dim=1)
    return (lengths - target).square().mean(), lengths.detach()


def pixel_shuffle(
    x: Float[Tensor, "batch channels height width"],
    factor: int,
) -> Float[Tensor, "batch fewer taller wider"]:
    """Turn channels into resolution (Shi et al. 2016, equation 4, with torch's order of channels).

    With factor r, the r² channels c · r² + i · r + j of the input, where 0 ≤ i, j < r, become one
    channel c: the value that stood at (h, w) comes to row r · h + i and column r · w + j.

    Args:
        x: feature maps (batch, channels, height, width).
        factor: r, at least 1.

    Returns:
        Feature maps (batch, channels / r², r · height, r · width).

    Raises:
        ValueError: if the number of channels is not a multiple of r².
    """
    batch, channels, height, width = x.shape
    if channels % factor**2:
        raise ValueError(f"{channels} channels are no multiple of {factor}²")
    blocks = x.reshape(batch, -1, factor, factor, height, width)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, factor * height, factor * width)


def super_resolution_loss(
    upscaled: Float[Tensor, "batch channels height width"],
    sharp: Float[Tensor, "batch channels height width"],
    fake_logits: Float[Tensor, "batch"],
    *,
    features: Callable,
    weight: float = 1e-3,
    adversarial: Callable = nonsaturating_generator_loss,
) -> Float[Tensor, ""]:
    """What a super-resolution generator minimises: the perceptual loss of SRGAN.

    The content loss, which is the mean squared difference between the features of the two images,
    the mean being over everything (batch and all features), plus `weight` times the adversarial
    loss (Ledig et al. 2017, equations 3, 5 and 6).

    Args:
        upscaled: what the generator made of small images (batch, channels, height, width).
        sharp: the large images that they should have been (batch, channels, height, width).
        fake_logits: the discriminator's logits of `upscaled` (batch,).
        features: features(images) gives what images are compared by (batch, …): a layer of a
            trained network, or the pixels themselves.
        weight: of the adversarial loss.
        adversarial: adversarial(logits) gives a scalar, your `nonsaturating_generator_loss` or
            another.

    Returns:
        A scalar, of shape (), through which gradients reach `upscaled` and `fake_logits`.
    """
    content = (features(upscaled) - features(sharp)).square().mean()
    return content + weight * adversarial(fake_logits)
