# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Generative adversarial networks
#
# A forger paints, an expert judges. The expert learns to tell the forger's pictures from real ones; the forger learns,
# from what gave him away, to paint better ones. If both learn long enough, the expert is left to toss a coin, and the
# forger's pictures come from the same distribution as the real ones. Nobody has written down what a real picture is.
#
# That is a *generative adversarial network* (GAN; Goodfellow et al. 2014): two networks and no likelihood. Where a VAE
# asks "how probable is this image under my model?" and answers with an average, blurred where it is unsure, a GAN asks
# only "would this pass for real?". So its images are sharp, and they are made in one pass, which is why GANs still sit
# in image upscalers, in codecs, in speech synthesis, and as a sharpening loss in the autoencoders below many diffusion
# models. The price is training. Two networks chase each other instead of descending one hill, and they can circle
# forever, or agree on a single picture.
#
# You will build both networks and every loss that matters, watch the game go wrong on a toy where everything can be
# seen, and mend it. Then digits: a DCGAN that paints them, one that paints the digit you name, one that paints what a
# sentence says. After that pairs that nobody paired (CycleGAN), pictures put together from two styles (StyleGAN), and
# letters read from sixteen pixels, with a warning.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension, and images are (batch, channels, height, width) with values in [−1, 1];
# - a discriminator returns *logits* $a$, any real numbers; the probability of "real" is $\sigma(a) = 1 / (1 + e^{-a})$;
# - logarithms are natural, so losses are in *nats*;
# - *generator* always means the network. What draws random numbers is called `rng` (a `torch.Generator`), lives on the
#   CPU, and is passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. A default such as `d_loss=discriminator_loss` is fixed when
# its cell is run: after mending an earlier answer run the cells below it once more.
#
# Plan for five to six hours, in several sittings. Each exercise says how hard it is (● to ●●●) and how long it takes
# when it goes well.

# %%
import copy
import math
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 1.0  # how long every model here trains; with a GPU, try 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # networks as small as these gain nothing from a second


def steps(count):
    """So many training steps, as the budget allows."""
    return max(4, round(BUDGET * count))


digits = data.load_digits()  # MNIST if it can be had, else scikit-learn's small collection


def to_images(pixels):
    """Rows of pixels in [0, 1] become images in [−1, 1], whose side is a power of two."""
    images = pixels.view(-1, 1, digits.height, digits.width)
    if digits.height == 28:  # MNIST: a border makes it 32, and every four pixels become one
        images = F.avg_pool2d(F.pad(images, (2, 2, 2, 2)), 2)
    return 2 * images - 1


def to_pixels(images):
    """And back: images in [−1, 1] become rows of pixels in [0, 1], to be drawn."""
    return ((images.detach().cpu() + 1) / 2).clamp(0, 1).flatten(1)


train, labels = to_images(digits.train[:20_000]).to(DEVICE), digits.train_labels[:20_000]
SIDE = train.shape[2]
print(f"{digits.name}: {len(train)} images of {SIDE} × {SIDE} pixels")

# %% [markdown]
# Here is the whole machine. Noise goes into the **generator** $G$, which makes a forged image $G(z)$ of it. The
# **discriminator** $D$ is given images, some real and some forged, and says of each how likely it is to be real. It
# learns as any classifier does. The generator never sees a real image at all: it learns from the gradient that comes
# *back through the discriminator*, which tells it pixel by pixel what would have looked more real.
#
# (The forgery in the picture is two real digits shuffled together pixel by pixel. It would be found out quickly.)

# %% tags=["hands-on"]
one, other = train[labels == labels[2]][:2]
shuffled = torch.rand(one.shape, generator=torch.Generator().manual_seed(0)).to(DEVICE) < 0.5
forged = torch.where(shuffled, one, other)
plots.adversaries(*to_pixels(torch.stack([one, forged])), (SIDE, SIDE))

# %% [markdown]
# ## 1 · The game
#
# The discriminator is a classifier of two classes, real (1) and forged (0), and it is trained like one, by
# cross-entropy. With logits $a = D(x)$:
#
# $$\mathcal{L}_D = \mathbb{E}_{x \sim p_{\text{data}}}\big[-\log \sigma(D(x))\big]
# + \mathbb{E}_{z}\big[-\log \big(1 - \sigma(D(G(z)))\big)\big].$$
#
# Goodfellow et al. write the same with the sign turned, as a value that $D$ maximises and $G$ minimises:
#
# $$\min_G \max_D V(D, G), \qquad V = \mathbb{E}_{p_{\text{data}}}[\log \sigma(D(x))]
# + \mathbb{E}_{p_G}[\log (1 - \sigma(D(x)))] .$$
#
# **What does the best discriminator say?** At each point $x$ it has to weigh $p_{\text{data}}(x)$ against $p_G(x)$, and
# the minimum of $-p \log s - q \log (1 - s)$ over $s$ lies at $s = p / (p + q)$. So
#
# $$\sigma(D^*(x)) = \frac{p_{\text{data}}(x)}{p_{\text{data}}(x) + p_G(x)}, \qquad
# D^*(x) = \log \frac{p_{\text{data}}(x)}{p_G(x)} .$$
#
# Its *logit* is the log-ratio of the two densities, and neither density was ever computed. Put $D^*$ into the loss, and
# what is left for the generator to play for is a distance between distributions, the *Jensen–Shannon divergence*:
#
# $$\min_D \mathcal{L}_D = 2 \log 2 - 2\, \mathrm{JS}(p_{\text{data}} \,\|\, p_G),$$
#
# which is $2 \log 2$, the price of tossing a coin, exactly when the two are the same (their theorem 1).
#
# Two practical matters. **From logits**: in `float32`, $\sigma(17)$ rounds to exactly 1, and $\log(1 - 1)$ is
# $-\infty$. The true values are harmless, $-\log \sigma(a) = \log(1 + e^{-a})$ and
# $-\log(1 - \sigma(a)) = \log(1 + e^{a})$, and torch has that function ready (*softplus*). **One-sided smoothing**: a
# discriminator that is sure of itself gives the generator extreme gradients. Salimans et al. (2016) ask it to say 0.9
# for real images instead of 1. Only for those: smoothing the forged ones too would reward the generator for staying
# where it is.
#
# ### Exercise · `discriminator_loss`
#
# *● · 15 minutes.*


# %% exercise="discriminator_loss" points=3
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
    raise NotImplementedError


# %% [markdown]
# See that it is right where everything is known: the data are $\mathcal{N}(-1, 1)$, the forger's are
# $\mathcal{N}(2, 0.7^2)$. The best discriminator follows from the two densities; its loss, estimated by your function
# from samples, should be $2 \log 2 - 2\, \mathrm{JS}$, where JS is computed on a grid.

# %% tags=["hands-on"]
p, q = torch.distributions.Normal(-1.0, 1.0), torch.distributions.Normal(2.0, 0.7)


def best(x):
    """The logits of the best discriminator."""
    return p.log_prob(x) - q.log_prob(x)


torch.manual_seed(0)
estimate = discriminator_loss(best(p.sample((100_000,))), best(q.sample((100_000,))))
x = torch.linspace(-5, 5, 2001)
middle = (p.log_prob(x).exp() + q.log_prob(x).exp()) / 2
js = sum((r.log_prob(x).exp() * (r.log_prob(x) - middle.log())).sum() for r in (p, q)) / 2 * 0.005
print(f"loss of the best discriminator: {estimate:.3f}")
print(f"2 log 2 − 2 JS:                 {2 * math.log(2) - 2 * js:.3f}   (tossing a coin: 1.386)")
plots.curves(
    {
        "Two distributions, and who can tell them apart": {
            "real": (x, p.log_prob(x).exp()),
            "forged": (x, q.log_prob(x).exp()),
            "σ(D*)": (x, torch.sigmoid(best(x))),
        }
    },
    xlabel="x",
    ylabel="density, probability",
    legend=True,
)

# %% [markdown]
# ### What the generator wants
#
# In the game as written, the generator minimises the same $V$. Only its second term depends on $G$:
#
# $$\mathcal{L}_G^{\text{minimax}} = \mathbb{E}_z\big[\log\big(1 - \sigma(D(G(z)))\big)\big].$$
#
# ### Exercise · `minimax_generator_loss`
#
# *● · 5 minutes.* The sign is easily lost: this is a quantity below 0, and the generator wants it far below.


# %% exercise="minimax_generator_loss" points=1
def minimax_generator_loss(fake_logits: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """What the generator minimises in the zero-sum game: the mean of log(1 − σ(a)).

    Goodfellow et al. 2014, equation 1 and algorithm 1. Finite, and so are its gradients, for
    logits of ±10⁴.

    Args:
        fake_logits: the discriminator's logits a of generated images (batch,).

    Returns:
        A scalar, of shape (): the mean over the batch, in nats, never above 0.
    """
    raise NotImplementedError


# %% [markdown]
# There is a catch, and the paper that proposed the game says so itself. At the start forgeries are bad and the
# discriminator knows: $D(G(z)) \ll 0$. There $\log(1 - \sigma(a)) \approx -e^{a}$ is flat. The worse the generator, the
# weaker the signal that it learns from: it *saturates*. The remedy is another loss with the same fixed point. Do not
# minimise the probability of being found out, *maximise* the (log-)probability of passing:
#
# $$\mathcal{L}_G^{\text{non-saturating}} = \mathbb{E}_z\big[-\log \sigma(D(G(z)))\big].$$
#
# ### Exercise · `nonsaturating_generator_loss`
#
# *● · 5 minutes.*


# %% exercise="nonsaturating_generator_loss" points=2
def nonsaturating_generator_loss(fake_logits: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """What the generator minimises in practice: the mean of −log σ(a).

    Goodfellow et al. 2014, end of section 3. Finite, and so are its gradients, for logits of
    ±10⁴.

    Args:
        fake_logits: the discriminator's logits a of generated images (batch,).

    Returns:
        A scalar, of shape (): the mean over the batch, in nats, never below 0.
    """
    raise NotImplementedError


# %% [markdown]
# The two losses and their slopes, for one logit. Both push the logit up everywhere, but the slope of the first dies
# where the generator needs it most, on the left.

# %% tags=["hands-on"]
logits = torch.linspace(-6, 6, 121, requires_grad=True)
losses = {"minimax": minimax_generator_loss, "non-saturating": nonsaturating_generator_loss}
values, slopes = {}, {}
for name, loss in losses.items():
    each = torch.stack([loss(a) for a in logits.split(1)])
    values[name] = (logits.detach(), each.detach())
    slopes[name] = (logits.detach(), torch.autograd.grad(each.sum(), logits)[0])
plots.curves(
    {"The generator's loss": values, "Its slope": slopes},
    xlabel="logit of a forged image",
    ylabel=("nats", "nats for each unit of the logit"),
    legend=True,
)

# %% [markdown]
# ## 2 · Two players, one loop
#
# > repeat: improve $D$ by a step or a few, with the forgeries of the present $G$; then improve $G$ by one step, against
# > the present $D$
#
# (Goodfellow et al. 2014, algorithm 1). In code it is short, and it can go wrong in ways that no error message will
# show:
#
# - In the discriminator's part the forgeries are *data*. If their graph is kept, the generator's weights collect
#   gradients that would make it easier to find out.
# - In the generator's part the gradient flows *through* the discriminator and must not change it; but it leaves
#   gradients on the discriminator's weights, which must be gone before the discriminator's next step.
# - The generator's part needs a fresh forward pass: the discriminator has just changed.
# - Real and forged images are scored in separate calls. Batch normalisation would otherwise compute its statistics over
#   both, and the answer would leak from one to the other.
#
# ### Exercise · `train_gan`
#
# *●●● · 40 minutes.* Use the functions that are passed in (`d_loss`, `g_loss`, `penalty`), not yours by name: the same
# loop will play every game in this notebook. `penalty` comes into its own in sections 3 and 4.


# %% exercise="train_gan" points=4
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
    raise NotImplementedError


# %% [markdown]
# ### A ring of Gaussians
#
# How good is a generator? With images that is hard to say. So the first game is played where it can be seen: eight
# small Gaussians on a circle, the data set on which mode collapse is usually shown. A *mode* is a bump of the density,
# here one of the eight, among images perhaps one kind of digit. Two numbers say how a generator does (Srivastava et al.
# 2017): how many modes it reaches at all, and what share of its samples lies within three standard deviations of one.
#
# ### Exercise · `mode_coverage`
#
# *●● · 15 minutes.*


# %% exercise="mode_coverage" points=2
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
    raise NotImplementedError


# %% [markdown]
# Both networks have two hidden layers. One game uses the minimax loss and Adam as it comes out of the box, with
# momentum $\beta_1 = 0.9$. The other has the non-saturating loss and $\beta_1 = 0.5$, a setting found by trial (Radford
# et al. 2016) that nearly every GAN has used since.

# %% tags=["hands-on"]
STD = 0.1
angles = torch.arange(8) * math.pi / 4
modes = 2 * torch.stack([angles.cos(), angles.sin()], dim=1)
rng = torch.Generator().manual_seed(0)
points = modes[torch.randint(8, (5000,), generator=rng)]
points = (points + STD * torch.randn(5000, 2, generator=rng)).to(DEVICE)


class PointCritic(nn.Module):
    """One number for each point of the plane; `linear` makes its layers."""

    def __init__(self, linear=nn.Linear, width=64):
        super().__init__()
        self.layers = nn.ModuleList([linear(2, width), linear(width, width), linear(width, 1)])

    def forward(self, x):
        """Logits, or scores."""
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
        return self.layers[-1](x).squeeze(1)


snapshots, results = {}, {}


def play(name, count, *, linear=nn.Linear, **options):
    """Train on the ring; keeps what was generated on the way, and how good it was in the end."""
    torch.manual_seed(0)
    hidden = nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()
    generator = nn.Sequential(*hidden, nn.Linear(64, 2)).to(DEVICE)
    critic = PointCritic(linear).to(DEVICE)
    z = torch.randn(1000, 2, generator=torch.Generator().manual_seed(9)).to(DEVICE)
    count, panels = steps(count), {}
    with tqdm(total=count, desc=name) as bar:

        def watch(step, d_value, g_value):
            if (step + 1) % (count // 4) == 0 and len(panels) < 4:
                with torch.no_grad():
                    panels[f"{(len(panels) + 1) * 25}%"] = generator(z)
            bar.update()

        rng = torch.Generator().manual_seed(0)
        options = {"latent_dim": 2, "batch_size": 128, "learning_rate": 1e-3, **options}
        train_gan(generator, critic, points, steps=count, rng=rng, on_step=watch, **options)
    with torch.no_grad():
        covered, good = mode_coverage(generator(z).cpu(), modes, STD)
    results[name] = f"{covered} of 8 modes, {good:4.0%} good samples"
    snapshots[name] = panels


play("minimax, β₁ = 0.9", 700, g_loss=minimax_generator_loss, betas=(0.9, 0.999))
play("non-saturating, β₁ = 0.5", 700)
print(*(f"{name:26}{result}" for name, result in results.items()), sep="\n")
plots.clouds(snapshots, behind=points[:500], extent=3)

# %% [markdown]
# The columns are quarters of the training; grey is where the data are. In the first row the generator runs from place
# to place: it goes where the discriminator is weakest, with everything it has; the discriminator learns to reject that
# place; the generator moves on. Momentum makes it worse, for momentum means to go on in the direction of a few steps
# ago, and in a game the right direction turns. This is **mode collapse**: samples that pass, of a few kinds only. In
# the second row the same networks find all eight, in the same time.

# %% [markdown] question="mode_collapse" points=3
# ### Question · Why not all of them?
#
# Think of a generator that makes the same convincing "1" for every $z$. Against a *fixed* discriminator, why is there
# no gradient that would tell it to make other digits as well? What does the game need, then, for that gradient to come
# into being? And why does a model that is trained by maximum likelihood, such as a VAE, not fail in this way, and in
# which way does it fail instead?
#
# *3 points: one for what the generator's loss depends on, and what it does not; one for the part that a discriminator
# that answers in time plays; one for the comparison, in terms of what each objective punishes. Six sentences are
# enough.*

# %% [markdown]
# ## 3 · The distance that the earth moves
#
# Is there something wrong with the game itself? Suppose the data and the forgeries do not overlap: two parallel lines
# in the plane, or, what is the normal case, two thin sheets in the space of all images. Then a perfect discriminator
# exists, JS is $\log 2$ *however far apart they are*, and a perfect discriminator is flat: no gradient says which way
# to go (Arjovsky & Bottou 2017). One would wish for a distance that shrinks as the sheets come nearer.
#
# There is one: how much work it is to carry the one heap of sand over to the other, grain by grain. The **Wasserstein
# distance**
#
# $$W(p, q) = \inf_{\gamma} \mathbb{E}_{(x, y) \sim \gamma} \lVert x - y \rVert$$
#
# takes the best of all plans $\gamma$ of which grain goes where. As it stands nobody can compute it. But it has a
# second form (Kantorovich and Rubinstein), as a competition between functions:
#
# $$W(p, q) = \sup_{\lVert f \rVert_L \le 1}\ \mathbb{E}_{x \sim p}[f(x)] - \mathbb{E}_{x \sim q}[f(x)],$$
#
# over all functions whose slope is nowhere steeper than 1 (*1-Lipschitz*). Let $f$ be a network, and there is a GAN
# again (Arjovsky, Chintala & Bottou 2017). Since it no longer says "real" or "forged", but gives a score on an open
# scale, it is called a **critic**. No sigmoid, no logarithm, and two losses of one line each.
#
# ### Exercise · `wasserstein_critic_loss`
#
# *● · 5 minutes.* Losses are minimised, and the critic wants the difference large.


# %% exercise="wasserstein_critic_loss" points=2
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
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `wasserstein_generator_loss`
#
# *● · 3 minutes.*


# %% exercise="wasserstein_generator_loss" points=1
def wasserstein_generator_loss(fake_scores: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
    """What the generator minimises against a critic: minus the mean score of its samples.

    Arjovsky et al. 2017, algorithm 1.

    Args:
        fake_scores: the critic's scores of generated samples (batch,).

    Returns:
        A scalar, of shape ().
    """
    raise NotImplementedError


# %% [markdown]
# Data at 0 and forgeries at $\theta$, each with a little spread ($\sigma = 0.1$). On the left what the best
# discriminator leaves the generator to play for, on the right what the best 1-Lipschitz critic does (here
# $f(x) = \pm x$). Both are computed by your losses. The left one knows *that* there is a difference, the right one how
# large it is.

# %% tags=["hands-on"]
torch.manual_seed(0)
shifts, noise = torch.linspace(-2, 2, 81), 0.1 * torch.randn(2, 4000)
game, distance = [], []
for shift in shifts:
    real, fake = noise[0], noise[1] + shift
    log_ratio = [((x - shift) ** 2 - x**2) / (2 * 0.1**2) for x in (real, fake)]
    game.append(2 * math.log(2) - discriminator_loss(*log_ratio))
    distance.append(-wasserstein_critic_loss(-shift.sign() * real, -shift.sign() * fake))
plots.curves(
    {
        "Twice the Jensen–Shannon divergence": {"": torch.stack(game)},
        "Wasserstein distance": {"": torch.stack(distance)},
    },
    x=shifts,
    xlabel="where the forgeries are, θ",
    ylabel=("nats", "distance"),
)

# %% [markdown]
# ### Keeping the slope at 1
#
# All of it hangs on the constraint. Without it the critic multiplies its scores by ten, and by ten again. The first
# WGAN clipped every weight to a small interval, "a clearly terrible way", its authors wrote. A better one looks at the
# slope itself. The best critic has slope *exactly* 1 almost everywhere on the straight lines along which the grains are
# carried (Gulrajani et al. 2017, proposition 1). So draw points on lines between real and forged samples, and fine the
# critic for any other slope there:
#
# $$\mathrm{GP} = \mathbb{E}_{\hat x}\Big[\big(\lVert \nabla_{\hat x} D(\hat x) \rVert_2 - 1\big)^2\Big], \qquad
# \hat x = \varepsilon\, x + (1 - \varepsilon)\, G(z), \qquad \varepsilon \sim \mathcal{U}[0, 1],$$
#
# added to the critic's loss with weight $\lambda$ (10 in the paper). What to mind:
#
# - The gradient is with respect to the *input*, and its norm is that of a whole sample: of all channels and pixels
#   together.
# - One $\varepsilon$ for each sample. One for every pixel gives points that lie on no line; one for the whole batch
#   gives far fewer of them.
# - The penalty is a loss: the critic must be able to learn from it, so that gradient has to be differentiable itself.
#   `torch.autograd.grad` can record its own computation, if it is told to.
# - The critic must score each sample by itself. With batch normalisation "the slope at $\hat x$" would be mixed up with
#   the slopes at its neighbours.
#
# Why is the sum of the scores differentiated, when each sample has a slope of its own? Because a score depends on its
# own sample only, the gradient of the sum holds, row by row, the gradients of all of them.
#
# ### Exercise · `gradient_penalty`
#
# *●●● · 30 minutes.*


# %% exercise="gradient_penalty" points=4
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
    raise NotImplementedError


# %% [markdown]
# Back to the ring, with five steps of the critic for each of the generator's, as the paper has it, so that the critic
# is near its best and its loss means something: minus the loss, plus the penalty, is an estimate of the distance.

# %% tags=["hands-on"]
gp_rng = torch.Generator().manual_seed(1)
WASSERSTEIN = {"d_loss": wasserstein_critic_loss, "g_loss": wasserstein_generator_loss}
play(
    "WGAN-GP",
    300,
    critic_steps=5,
    learning_rate=2e-3,
    betas=(0.5, 0.9),
    penalty=lambda critic, real, fake: gradient_penalty(critic, real, fake, gp_rng),
    **WASSERSTEIN,
)
print(*(f"{name:26}{result}" for name, result in results.items()), sep="\n")
plots.clouds(
    {name: snapshots[name] for name in ("minimax, β₁ = 0.9", "WGAN-GP")},
    behind=points[:500],
    extent=3,
)

# %% [markdown]
# The collapsed game against WGAN-GP. The critic's scores rise from forged to real everywhere, also far from the data,
# so every sample is told where to go from the first step on, and no place is given up. It spreads first and sharpens
# later; the price is five critic steps for one, each with a gradient of a gradient.

# %% [markdown]
# ## 4 · Keeping the peace
#
# Why do GANs circle at all? The smallest GAN has two numbers (Mescheder, Geiger & Nowozin 2018, the *Dirac-GAN*): all
# data lie at 0, the generator puts everything at $\theta$, the discriminator is $D(x) = \psi x$. The way out is
# $\theta = 0, \psi = 0$. Near it each player's gradient is the other's position, $\theta$ is pushed along $\psi$ and
# $\psi$ against $\theta$, and that is the equation of a wheel. Alternating steps go round for ever, whatever the loss.
# What is missing is friction.
#
# Friction on the discriminator's slope, right where the data are, is enough to make training converge near the solution
# (their theorem 4.1). In equilibrium the discriminator should be flat there, so any slope is fined, not only a slope
# other than 1:
#
# $$R_1 = \frac{\gamma}{2}\, \mathbb{E}_{x \sim p_{\text{data}}}\big[\lVert \nabla_x D(x) \rVert^2\big].$$
#
# Set it beside the gradient penalty: no lines between real and forged, no root, no 1. It is cheaper, it goes with the
# non-saturating loss, and StyleGAN is trained with it.
#
# ### Exercise · `r1_penalty`
#
# *●● · 15 minutes.* You know the way.


# %% exercise="r1_penalty" points=3
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
    raise NotImplementedError


# %% [markdown]
# The Dirac-GAN, played by your losses: data at 0, start at $\theta = 1$, $\psi = 0$. With the Wasserstein losses alone
# it is a wheel that never stops. The non-saturating loss creeps inward, but ever more slowly. With $R_1$ both come to
# rest. (WGAN-GP, which did so well on the ring, does not come to rest here: at the solution its penalty still asks for
# a slope of 1.)

# %% tags=["hands-on"]


def walk(d_loss, g_loss, gamma, rate=0.15, count=250):
    """The two numbers of a Dirac-GAN, step after step, by plain gradient descent in turns."""
    theta, psi, real = torch.ones(1, 1), torch.zeros(1), torch.zeros(1, 1)
    places = [(1.0, 0.0)]
    for _ in range(count):
        psi.requires_grad_()
        value = d_loss((psi * real)[:, 0], (psi * theta)[:, 0])
        value = value + r1_penalty(lambda x, psi=psi: (psi * x)[:, 0], real, gamma)
        psi = (psi - rate * torch.autograd.grad(value, psi)[0]).detach()
        theta.requires_grad_()
        value = g_loss((psi * theta)[:, 0])
        theta = (theta - rate * torch.autograd.grad(value, theta)[0]).detach()
        places.append((theta.item(), psi.item()))
    return tuple(zip(*places, strict=True))


nonsaturating = discriminator_loss, nonsaturating_generator_loss
plots.curves(
    {
        "Two numbers chase each other": {
            "Wasserstein": walk(wasserstein_critic_loss, wasserstein_generator_loss, 0.0),
            "non-saturating": walk(*nonsaturating, 0.0),
            "non-saturating + R₁": walk(*nonsaturating, 0.3),
        }
    },
    xlabel="generator, θ",
    ylabel="discriminator, ψ",
    legend=True,
)

# %% [markdown]
# ### Slopes by construction
#
# A penalty asks for gentle slopes; one can also *build* them. A linear layer $x \mapsto Wx$ stretches no vector by more
# than the largest singular value $\sigma(W)$, its *spectral norm*, and leaky ReLU stretches none. So if every layer's
# weight is divided by its own spectral norm, the whole network is 1-Lipschitz, everywhere, at no further cost in the
# loss (Miyato et al. 2018).
#
# A singular value decomposition in every step would be dear. *Power iteration* is cheap: multiply some vector by
# $W^\top$ and by $W$ in turn, bringing it back to length 1 each time. In each round its part along the leading singular
# vector grows against the others. And because weights change little from step to step, one round for each training step
# is enough, if the next one starts from the vector that this one ended with. That vector $u$ is therefore passed in and
# handed back.
#
# For the gradient $u$ and $v$ count as constants: with them $\sigma = u^\top W v$, whose derivative with respect to $W$
# is $u v^\top$, is all that is needed.
#
# ### Exercise · `spectral_normalize`
#
# *●● · 20 minutes.*


# %% exercise="spectral_normalize" points=3
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
    raise NotImplementedError


# %% [markdown]
# Four ways to play on the ring, beside the one that collapsed.

# %% tags=["hands-on"]


class SpectralLinear(nn.Linear):
    """A linear layer that stretches no vector."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))

    def forward(self, x):
        """Apply the normalised weight."""
        weight, self.u = spectral_normalize(self.weight, self.u)
        return F.linear(x, weight, self.bias)


play(
    "non-saturating + R₁",
    700,
    learning_rate=2e-3,
    penalty=lambda critic, real, fake: r1_penalty(critic, real, 0.1),
)
play("spectral normalisation", 700, linear=SpectralLinear, learning_rate=2e-3)
print(*(f"{name:26}{result}" for name, result in results.items()), sep="\n")
latest = {name: panels["100%"] for name, panels in snapshots.items() if "β₁" not in name}
plots.clouds({"": latest}, behind=points[:500], extent=3)

# %% [markdown]
# Do not read a league table out of this. The ring is small, each method has settings that could be chosen better, and a
# change of seed shuffles the places. Large comparisons found that with a fair search for settings most of these methods
# come out close to one another (Lucic et al. 2018). What they differ in is how *much* searching they need.
#
# ### Another aim for the generator
#
# The generator may also be given something quieter to do than to beat an opponent: make images whose *features*, in a
# hidden layer $f$ of the discriminator, are on average those of real images (Salimans et al. 2016),
#
# $$\mathcal{L}_{\text{FM}} = \big\lVert\, \mathbb{E}_{x \sim p_{\text{data}}} f(x)
# - \mathbb{E}_{z} f(G(z)) \,\big\rVert_2^2 .$$
#
# It compares batches, not images. Each image alone may be whatever it likes, as long as the average is right; a
# generator that makes only ones has the average of ones.
#
# ### Exercise · `feature_matching_loss`
#
# *● · 10 minutes.* The difference of two means, not the mean of differences: nobody has paired the images.


# %% exercise="feature_matching_loss" points=2
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
    raise NotImplementedError


# %% [markdown] question="loss_curves" points=3
# ### Question · Whose loss is it?
#
# Three students watch three trainings. The first sees the generator's non-saturating loss rise slowly for an hour and
# wants to stop. The second sees the discriminator's loss fall to 0.01. The third trains a WGAN-GP, sees the critic's
# loss climb from −8 towards −1 and is content. What can each conclude about the *images*, and what not? What is
# different about the third curve, and why?
#
# *3 points, one for each of them: what the number measures at that moment, what it depends on besides the images, and
# what the student should look at or do.*

# %% [markdown]
# ## 5 · Networks for images
#
# The first GANs of any depth would not train. The *deep convolutional* GAN (DCGAN; Radford, Metz & Chintala 2016) was
# not a theory but a list of rules, found by trying:
#
# - no pooling and no fully connected hidden layers: the generator doubles the resolution by *transposed* convolutions
#   of stride 2, the discriminator halves it by convolutions of stride 2;
# - batch normalisation in both networks, but not at the generator's output, and not at the discriminator's input;
# - ReLU in the generator, tanh at its end; leaky ReLU (slope 0.2) in the discriminator;
# - weights start at $\mathcal{N}(0, 0.02^2)$; Adam has $\beta_1 = 0.5$.
#
# A transposed convolution of kernel 4, stride 2 and padding 1 doubles the side exactly (a kernel that the stride
# divides also keeps checkerboards away: Odena et al. 2016). A code $z$ is an image of one pixel and many channels; the
# first layer makes a grid of 2 × 2 of it.
#
# With the initial weights mind *which* weights: those of convolutions and linear layers. Batch normalisation has a
# `weight`, too, a scale that belongs at 1. A well-known line of initialisation code draws it from
# $\mathcal{N}(0, 0.02^2)$ along with the others, and all but switches the layer off.
#
# ### Exercise · `DCGANGenerator`
#
# *●● · 30 minutes.* How many times must the side double? Keep the layers in an `nn.Sequential` or an `nn.ModuleList`: a
# plain list hides them from `parameters()`.


# %% exercise="DCGANGenerator" points=3
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
        raise NotImplementedError

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
        raise NotImplementedError


# %% [markdown]
# ### Exercise · `DCGANDiscriminator`
#
# *●● · 25 minutes.* The generator run backwards. `features` is what feature matching compares; `forward` should use it.


# %% exercise="DCGANDiscriminator" points=3
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
        raise NotImplementedError

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
        raise NotImplementedError

    def forward(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch"]:
        """How real images look.

        Args:
            images: images (batch, channels, size, size), in [−1, 1].

        Returns:
            Logits (batch,): the sigmoid of one is the probability that the image is real.
        """
        raise NotImplementedError


# %% [markdown]
# ### Your first DCGAN

# %% tags=["hands-on"]
LATENT = 32


def fit(name, count, discriminator, **options):
    """A fresh generator, trained on the digits: it, its losses, and what it made on the way."""
    generator = DCGANGenerator(LATENT, 1, SIDE).to(DEVICE)
    z = torch.randn(15, LATENT, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    count, rows = steps(count), {}
    marks = [round(count * share) - 1 for share in (0.05, 0.15, 0.4, 1.0)]
    with tqdm(total=count, desc=name) as bar:

        def watch(step, d_value, g_value):
            if step in marks:
                generator.eval()
                with torch.no_grad():
                    rows[f"step {step + 1}"] = to_pixels(generator(z))
                generator.train()
            bar.update()

        options = {"latent_dim": LATENT, "learning_rate": 1e-3, "on_step": watch, **options}
        options["rng"] = torch.Generator().manual_seed(0)
        history = train_gan(generator, discriminator, train, steps=count, **options)
    return generator.eval(), torch.tensor(history), rows


torch.manual_seed(0)
painter, history, rows = fit("DCGAN", 600, DCGANDiscriminator(1, SIDE).to(DEVICE))
plots.strips(rows, (SIDE, SIDE), title="The same fifteen codes, as training goes on")

# %% [markdown]
# Were they copied? Below each sample stands the training image nearest to it, pixel by pixel. And are all ten digits
# there? For want of a better judge each of 500 samples counts as the digit of its nearest training image.

# %% tags=["hands-on"]


@torch.no_grad()
def nearest(images, among):
    """Which of `among` is nearest to each image."""
    return torch.cdist(images.flatten(1), among.flatten(1)).argmin(dim=1).cpu()


codes = torch.randn(500, LATENT, generator=torch.Generator().manual_seed(2)).to(DEVICE)
with torch.no_grad():
    samples = painter(codes)
found = nearest(samples, train)
print("digit  ", *(f"{digit:5}" for digit in range(10)))
print("samples", *(f"{count:5}" for count in labels[found].bincount(minlength=10).tolist()))
plots.strips(
    {"sample": to_pixels(samples[:15]), "nearest real": to_pixels(train)[found[:15]]},
    (SIDE, SIDE),
    title="Made, and found",
)

# %% tags=["hands-on"]
ways = torch.randn(4, 2, LATENT, generator=torch.Generator().manual_seed(3))
films = {}
for number, (start, end) in enumerate(ways, 1):
    path = torch.lerp(start, end, torch.linspace(0, 1, 13)[:, None])
    path = path * (LATENT**0.5 / path.norm(dim=1, keepdim=True))  # the shell where codes are drawn
    with torch.no_grad():
        films[f"walk {number}"] = to_pixels(painter(path.to(DEVICE)))
plots.strips(films, (SIDE, SIDE), title="From one code to another")

# %% [markdown]
# The walks are the best evidence that nothing was copied: between two codes lie images that the data do not contain,
# and most of them are digits, or nearly. Look at how sharp they are, too. A VAE of this size would have washed out the
# middle of each walk; a generator that does so is found out.
#
# Now the losses, smoothed. A quiet pair of curves at some middle height is all that one can hope to see. They do *not*
# say how good the images are: both are measured against an opponent that changes.

# %% tags=["hands-on"]
window = max(1, len(history) // 40)
smooth = history[: len(history) // window * window].view(-1, window, 2).mean(dim=1)
plots.curves(
    {"DCGAN": {"discriminator": smooth[:, 0], "generator": smooth[:, 1]}},
    x=window * torch.arange(1, len(smooth) + 1),
    xlabel="step",
    ylabel="loss, nats",
    levels={"discriminator tosses a coin": 2 * math.log(2)},
)

# %% [markdown]
# ## 6 · Say what you want
#
# A generator of digits is a toy. A generator of the digit that you *name* is a tool. Tell both players the class $y$
# (Mirza & Osindero 2014):
#
# $$\min_G \max_D\ \mathbb{E}[\log \sigma(D(x, y))] + \mathbb{E}[\log(1 - \sigma(D(G(z, y), y)))] .$$
#
# The discriminator's half is essential. A generator that is told $y$, against a discriminator that is not, has no
# reason to listen. As it is, a fine 3 that was asked for as a 7 is found out.
#
# How does a network take in a class? As an **embedding**: a table with a row of numbers for each class, learned like
# any weight. The row is simply put behind the code.
#
# ### Exercise · `ConditionalGenerator`
#
# *● · 15 minutes.* It wraps any generator whose codes have room for the embedding.


# %% exercise="ConditionalGenerator" points=2
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
        raise NotImplementedError

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
        raise NotImplementedError


# %% [markdown]
# The discriminator gets the class as ten more channels of the image, all 0 but one, which is all 1. The generator's
# loss has a little feature matching in it. In the picture every column is one class and every row one code: the code
# that makes a bold leaning 0 tends to make a bold leaning 7. Nobody has asked for that; it is cheaper to learn once
# what "bold" is than ten times.

# %% tags=["hands-on"]


def with_maps(images, condition):
    """Images with the numbers of a condition as further channels, each constant."""
    maps = condition[:, :, None, None].expand(-1, -1, SIDE, SIDE)
    return torch.cat([images, maps], dim=1)


def adam(*networks):
    """An optimiser of several networks."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return torch.optim.Adam(parameters, lr=1e-3, betas=(0.5, 0.999))


def descend(optimizer, loss):
    """One step."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


torch.manual_seed(0)
known = labels.to(DEVICE)
named = ConditionalGenerator(DCGANGenerator(LATENT + 10, 1, SIDE), 10, 10).to(DEVICE)
judge = DCGANDiscriminator(1 + 10, SIDE).to(DEVICE)
g_adam, d_adam = adam(named), adam(judge)
for _ in tqdm(range(steps(400)), desc="conditional GAN"):
    rows = torch.randint(len(train), (64,), device=DEVICE)
    wanted = F.one_hot(known[rows], 10).float()
    real = with_maps(train[rows], wanted)
    fake = with_maps(named(torch.randn(64, LATENT, device=DEVICE), known[rows]), wanted)
    descend(d_adam, discriminator_loss(judge(real), judge(fake.detach())))
    matched = feature_matching_loss(judge.features(real).detach(), judge.features(fake))
    descend(g_adam, nonsaturating_generator_loss(judge(fake)) + 0.1 * matched)

named.eval()
codes = torch.randn(40, LATENT, generator=torch.Generator().manual_seed(4)).to(DEVICE)
asked = torch.arange(10).repeat(40).to(DEVICE)
with torch.no_grad():
    drawn = named(codes.repeat_interleave(10, dim=0), asked)
right = (labels[nearest(drawn, train)] == asked.cpu()).float().mean()
print(f"{right:.0%} of 400 samples are nearest to a training image of the digit that was asked for")
plots.strips(
    {f"code {row + 1}": to_pixels(drawn[10 * row : 10 * row + 10]) for row in range(5)},
    (SIDE, SIDE),
    captions=list("0123456789"),
    title="One code in each row, one class in each column",
)

# %% [markdown]
# ### Text to image
#
# A class is a poor sentence. Let the condition be a caption, read into a vector by a text encoder, and the
# discriminator judge *pairs* of image and caption (Reed et al. 2016). It now has two ways to object: the image looks
# forged, or it is fine and does not show what the caption says. From real pairs and forged images alone it has to work
# out the second kind by itself, and early on everything forged looks so bad that it never needs to read. So it is shown
# a third kind of pair, real images with *wrong* captions, and asked to reject them, too:
#
# $$\mathcal{L}_D = \mathbb{E}\Big[-\log \sigma(r) - \tfrac12 \big(\log (1 - \sigma(w)) + \log (1 - \sigma(f))\big)\Big],$$
#
# with the logits $r$ of real images with their captions, $w$ of real images with wrong captions, $f$ of forged images
# with the captions that they were made for. They call it *GAN-CLS*, matching-aware.
#
# ### Exercise · `matching_aware_loss`
#
# *● · 10 minutes.*


# %% exercise="matching_aware_loss" points=2
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
    raise NotImplementedError


# %% [markdown]
# Our captions say what digit it is and whether there is more or less ink than in half of its kind: "a thin seven", "a
# bold two". One combination is kept back: **no "bold three" is ever shown.** A text encoder that adds up vectors of
# words can nevertheless read it.

# %% tags=["hands-on"]
WORDS = ["thin", "bold", *"zero one two three four five six seven eight nine".split()]
ink = train.mean(dim=(1, 2, 3)).cpu()
medians = torch.stack([ink[labels == digit].median() for digit in range(10)])
bold = ink > medians[labels]
captions = torch.stack([bold.long(), labels + 2], dim=1)  # two words for each image
unseen = torch.tensor([WORDS.index("bold"), WORDS.index("three")])
shown = (captions != unseen).any(dim=1)
pictures, texts = train[shown.to(DEVICE)], captions[shown].to(DEVICE)

torch.manual_seed(0)
readers = [nn.EmbeddingBag(len(WORDS), 16, mode="sum").to(DEVICE) for _ in range(2)]
painter_of_texts = DCGANGenerator(LATENT + 16, 1, SIDE).to(DEVICE)
judge = DCGANDiscriminator(1 + 16, SIDE).to(DEVICE)
g_adam, d_adam = adam(painter_of_texts, readers[0]), adam(judge, readers[1])


def paint(texts, z):
    """An image of each caption."""
    return painter_of_texts(torch.cat([z, readers[0](texts)], dim=1))


def judged(images, texts):
    """How well each image goes with its caption, and how real it is: one logit."""
    return judge(with_maps(images, readers[1](texts)))


for _ in tqdm(range(steps(400)), desc="text to image"):
    rows = torch.randint(len(pictures), (64,), device=DEVICE)
    others = texts[torch.randint(len(texts), (64,), device=DEVICE)]
    fake = paint(texts[rows], torch.randn(64, LATENT, device=DEVICE))
    logits = (
        judged(pictures[rows], texts[rows]),
        judged(pictures[rows], others),
        judged(fake.detach(), texts[rows]),
    )
    descend(d_adam, matching_aware_loss(*logits))
    descend(g_adam, nonsaturating_generator_loss(judged(fake, texts[rows])))

painter_of_texts.eval()
wishes = ["thin zero", "bold zero", "thin seven", "bold seven", "thin three", "bold three"]
asked = [torch.tensor([[WORDS.index(word) for word in wish.split()]] * 100) for wish in wishes]
with torch.no_grad():
    drawn = [paint(text.to(DEVICE), codes[:, :LATENT].repeat(3, 1)[:100]) for text in asked]
for wish, images, text in zip(wishes, drawn, asked, strict=True):
    digit = (labels[nearest(images, train)] + 2 == text[:, 1]).float().mean()
    bold = (images.mean(dim=(1, 2, 3)).cpu() > medians[text[0, 1] - 2]).float().mean()
    print(f"{wish:12}{digit:5.0%} are the digit, {bold:4.0%} have more ink than half")
names = [f"a {wish}" + " (never shown)" * (wish == "bold three") for wish in wishes]
plots.strips(
    {name: to_pixels(images[:12]) for name, images in zip(names, drawn, strict=True)},
    (SIDE, SIDE),
    title="From a caption",
)

# %% [markdown]
# The last row was painted from a caption that does not occur in the data: "bold" and "three" were learned apart and are
# put together. Look along the rows, too. Twelve people do not write their sevens as much alike as these. To be right
# about the caption is one thing, to be *various* given the caption is another, and this loss asks for it only through
# the discriminator.

# %% [markdown]
# ## 7 · Pairs that nobody paired
#
# Turn a photograph into a painting, a summer into a winter, print into handwriting. With pairs (this photograph, that
# painting of the same view) it would be supervised learning, but there are no pairs, only two heaps: images $x$ of the
# one kind, images $y$ of the other. A generator $G$ that turns $x$ into something which a discriminator takes for a $y$
# solves half of it. The other half is that it should be *the same thing* in the other style, and of this the
# discriminator knows nothing: turning every photograph into the same fine painting would pass.
#
# CycleGAN (Zhu et al. 2017) asks for a way back. A second generator $F$ leads from $y$ to $x$, and there and back again
# should lead home:
#
# $$\mathcal{L}_{\text{cyc}} = \mathbb{E}_x \lVert F(G(x)) - x \rVert_1 + \mathbb{E}_y \lVert G(F(y)) - y \rVert_1 .$$
#
# What was thrown away on the way there cannot be found again, so nothing that matters may be thrown away.
#
# ### Exercise · `cycle_consistency_loss`
#
# *● · 10 minutes.* A sum over pixels, a mean over each heap. The two heaps need not be of the same size.


# %% exercise="cycle_consistency_loss" points=2
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
    raise NotImplementedError


# %% [markdown]
# One more wish. A translator that is handed what is already of the right kind has nothing to do and should do nothing:
# $\mathbb{E}_y \lVert G(y) - y \rVert_1 + \mathbb{E}_x \lVert F(x) - x \rVert_1$. Without it, Zhu et al. found,
# paintings came out as photographs of another time of day: the tint was free.
#
# ### Exercise · `identity_loss`
#
# *● · 5 minutes.* Mind which translator gets which heap.


# %% exercise="identity_loss" points=1
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
    raise NotImplementedError


# %% [markdown]
# ### The pool
#
# A discriminator that sees only the newest forgeries forgets the older ones, and the generator can come back with them:
# round and round, as on the ring. A cheap remedy is to keep some old forgeries and show the discriminator a mixture
# (Shrivastava et al. 2017). The pool stores 50 images. Once it is full, every new image is either passed straight on,
# or is exchanged for a stored one, by the toss of a coin.
#
# ### Exercise · `ImagePool`
#
# *●● · 20 minutes.* Images that go into store must not drag the graph of an old training step along.


# %% exercise="ImagePool" points=3
class ImagePool:
    """A store of generated images, so that a discriminator does not forget what it has seen.

    Shrivastava et al. 2017, section 2.3; Zhu et al. 2017, section 4.

    Args:
        size: how many images it holds; with 0 it gives back every image as it came.
    """

    def __init__(self, size: int) -> None:
        raise NotImplementedError

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
        raise NotImplementedError


# %% [markdown]
# Print and handwriting. The first heap are digits printed in four typefaces, the second are those that people wrote;
# nobody says which digit any of them is. Two trainings, one without the cycle.

# %% tags=["hands-on"]
rng = torch.Generator().manual_seed(0)
printed, names = data.draw_letters(digits, letters="0123456789" * 8, generator=rng)
printed, which = to_images(printed).to(DEVICE), torch.tensor([int(name) for name in names])


class Translator(nn.Module):
    """From an image to an image of the same size; it begins near to changing nothing."""

    def __init__(self, width=20):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, 2, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 1, 3, 1, 1),
        )

    def forward(self, image):
        """Translate."""
        return torch.tanh(2 * image + self.layers(image))


def fit_cycle(name, cycle, identity, count=220):
    """Train two translators and two discriminators; the weights are for each pixel."""
    torch.manual_seed(0)
    to_hand, to_print = Translator().to(DEVICE), Translator().to(DEVICE)
    knows_print = DCGANDiscriminator(1, SIDE, 16).to(DEVICE)
    knows_hand = DCGANDiscriminator(1, SIDE, 16).to(DEVICE)
    g_adam, d_adam = adam(to_hand, to_print), adam(knows_print, knows_hand)
    pools = ImagePool(50), ImagePool(50)
    rng = torch.Generator().manual_seed(0)
    for _ in tqdm(range(steps(count)), desc=name):
        x = printed[torch.randint(len(printed), (24,), generator=rng).to(DEVICE)]
        y = train[torch.randint(len(train), (24,), generator=rng).to(DEVICE)]
        hand, print_ = to_hand(x), to_print(y)
        loss = nonsaturating_generator_loss(knows_hand(hand))
        loss = loss + nonsaturating_generator_loss(knows_print(print_))
        if cycle:
            loss = loss + cycle / SIDE**2 * cycle_consistency_loss(x, y, to_hand, to_print)
            loss = loss + identity / SIDE**2 * identity_loss(x, y, to_hand, to_print)
        descend(g_adam, loss)
        loss = discriminator_loss(knows_hand(y), knows_hand(pools[0].query(hand, rng)))
        old = pools[1].query(print_, rng)
        descend(d_adam, loss + discriminator_loss(knows_print(x), knows_print(old)))
    return to_hand.eval(), to_print.eval()


translators = {
    "with the cycle": fit_cycle("with the cycle", 10.0, 5.0),
    "without": fit_cycle("without the cycle", 0.0, 0.0),
}
chosen = torch.stack([(which == digit).nonzero()[digit % 4 + 4, 0] for digit in range(10)])
written = torch.stack([(labels == digit).nonzero()[0, 0] for digit in range(10)])
rows = {"print": to_pixels(printed[chosen])}
for name, (to_hand, to_print) in translators.items():
    with torch.no_grad():
        hand = to_hand(printed)
        rows |= {f"to hand, {name}": to_pixels(hand[chosen])}
        rows |= {f"and back, {name}": to_pixels(to_print(hand[chosen]))}
    kept = (labels[nearest(hand, train)] == which).float().mean()
    print(f"{name:16}{kept:5.0%} of the printed digits stay the same digit when written")
kept = (labels[nearest(printed, train)] == which).float().mean()
print(f"{'untranslated':16}{kept:5.0%} are nearest to a written one of their kind as they are")
plots.strips(rows, (SIDE, SIDE), title="From print to handwriting, and back")

# %% tags=["hands-on"]
rows = {"hand": to_pixels(train[written])}
for name, (_, to_print) in translators.items():
    with torch.no_grad():
        rows |= {f"to print, {name}": to_pixels(to_print(train[written]))}
plots.strips(rows, (SIDE, SIDE), title="The other way")

# %% [markdown]
# Without the cycle the forgeries have the look of the other heap, but what is written is often no longer what was
# printed, and the way back does not lead home. With it most digits remain themselves, though no label was ever seen.
# Most, not all: a cycle is just as content with a code in which every printed 4 is written as a 9 and every 9 as a 4,
# if it is kept to. That the two translators begin near to changing nothing, and the identity loss, speak against such
# codes. Nothing forbids them.

# %% [markdown]
# ## 8 · Pictures from two styles
#
# In a DCGAN the code enters at the bottom and has to carry everything, pose and pimples, up through all layers. The
# style-based generator (StyleGAN; Karras, Laine & Aila 2019) turns this round. The image grows out of a *constant*. The
# code becomes a *style* $w$, and at every resolution the style says how strong each feature map shall be there.
#
# How to impose a style on feature maps was known from style transfer: *adaptive instance normalisation* (Huang &
# Belongie 2017). Take out of each feature map of each image the mean and the spread that it has, and put in those that
# the style wants:
#
# $$\mathrm{AdaIN}(x_i, y) = y_{s, i}\, \frac{x_i - \mu(x_i)}{\sigma(x_i)} + y_{b, i} .$$
#
# ### Exercise · `adaptive_instance_norm`
#
# *●● · 15 minutes.* Over which dimensions are mean and spread taken, and over which not?


# %% exercise="adaptive_instance_norm" points=2
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
    raise NotImplementedError


# %% [markdown]
# ### Where styles come from
#
# Codes are drawn from a ball; what varies in images does not vary like a ball. If, say, no bearded children exist, the
# generator must fold the ball so that this combination has no place in it. StyleGAN leaves the folding to a network of
# its own, the **mapping network**, eight plain layers from $z$ to $w$, so that $w$ may be laid out as suits the images.
#
# At its entrance each code is brought to the same length. In many dimensions nearly all draws from $\mathcal{N}(0, I)$
# have that length anyway; what is lost is a number that would only tempt the network to read meaning into it.
#
# ### Exercise · `MappingNetwork`
#
# *● · 15 minutes.*


# %% exercise="MappingNetwork" points=2
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
        raise NotImplementedError

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch style"]:
        """Map codes to styles.

        Args:
            z: codes (batch, latent_dim), one in each row.

        Returns:
            Styles w (batch, style_dim).
        """
        raise NotImplementedError


# %% [markdown]
# ### The droplet
#
# StyleGAN's images all had a flaw in common, a blob like a drop of water somewhere in the picture. Its makers traced it
# to AdaIN. Normalising every map by itself destroys what the maps tell by their *relative* strength. The generator
# smuggles it past: it makes one enormous spike, which fixes $\sigma(x_i)$, and so keeps the rest at a strength of its
# own choosing.
#
# StyleGAN2 (Karras et al. 2020) scales the *weights* instead. Style $s$ modulates the input channels of a convolution,
#
# $$w'_{oihw} = s_i \cdot w_{oihw}, \qquad
# w''_{oihw} = w'_{oihw} \Big/ \sqrt{\textstyle\sum_{i,h,w} {w'_{oihw}}^2 + \epsilon},$$
#
# and then each output channel is brought back to unit length, *demodulated*. If the inputs were independent with unit
# variance, the outputs would have unit variance again: it normalises what is to be expected, not what is there. A spike
# gains nothing, and no information about strength is wiped out.
#
# Every image of a batch now has weights of its own, for which `conv2d` has no room. A grouped convolution has: put the
# batch into the channels, one group to an image. (Or scale the input by $s$, convolve as usual, and divide the output.)
#
# ### Exercise · `modulated_conv2d`
#
# *●●● · 35 minutes.*


# %% exercise="modulated_conv2d" points=4
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
    raise NotImplementedError


# %% [markdown]
# The argument about droplets, in numbers. One channel of the input is made ten times as strong. AdaIN gives exactly
# what it gave before: the message is gone. Modulation passes it on.

# %% tags=["hands-on"]
rng = torch.Generator().manual_seed(0)
x, style = torch.randn(1, 4, 8, 8, generator=rng), torch.rand(1, 4, generator=rng) + 0.5
weight = torch.randn(4, 4, 3, 3, generator=rng)
louder = x * torch.tensor([10.0, 1, 1, 1])[:, None, None]
layers = {
    "AdaIN": lambda x: adaptive_instance_norm(x, style, torch.zeros_like(style)),
    "modulated convolution": lambda x: modulated_conv2d(x, weight, style),
}
for name, layer in layers.items():
    change = (layer(louder) - layer(x)).norm() / layer(x).norm()
    print(f"{name:23}changes its output by {change:7.2%}")

# %% [markdown]
# ### Even steps
#
# A good space of styles is *even*: a step of the same size changes the image by the same amount, wherever one stands
# and in whatever direction one goes. Let $J_w = \partial g(w) / \partial w$ be the Jacobian of the image. For a random
# direction $y$ in the space of images, $\lVert J_w^\top y \rVert$ says how strongly the style pulls in that direction.
# Its *spread* is what is to be fined:
#
# $$\mathbb{E}_{w}\, \mathbb{E}_{y \sim \mathcal{N}(0, I)} \big(\lVert J_w^\top y \rVert_2 - a\big)^2 ,$$
#
# where $a$ is a running mean of the lengths: the network itself chooses the scale. And nobody needs the Jacobian, which
# would be enormous, for $J_w^\top y = \nabla_w (g(w) \cdot y)$ is the gradient of one number. So that lengths do not
# grow with the resolution, $y$ is divided by $\sqrt{\text{height} \cdot \text{width}}$.
#
# ### Exercise · `path_length_penalty`
#
# *●●● · 25 minutes.* A gradient within a loss, once more, with respect to styles this time.


# %% exercise="path_length_penalty" points=3
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
    raise NotImplementedError


# %% [markdown]
# To see what styles at different resolutions do, the data must have something at different resolutions. These are
# *quilts*: an arrangement of patches (coarse), all of one pattern (fine). The generator has four style layers, on grids
# of 2, 4, 8 and 8. As in StyleGAN, two codes share an image in training: one for the first layers, the other for the
# rest (*mixing regularisation*). R₁ and the path length are computed in every fourth step only, with four times the
# weight (*lazy regularisation*, StyleGAN2). And the pictures are made by a running mean of the generator's weights,
# which wanders less than the weights themselves.

# %% tags=["hands-on"]


def sew(count, rng):
    """Images (count, 1, 8, 8): two of four patches, in one of four patterns, more or less dark."""
    pairs = [[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    chosen = torch.tensor(pairs)[torch.randint(6, (count,), generator=rng)].float()
    patches = F.interpolate(chosen.view(-1, 1, 2, 2), scale_factor=4)
    down, across = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    patterns = torch.stack([torch.ones(8, 8), down % 2, across % 2, (down + across) % 2])
    pattern = patterns[torch.randint(4, (count,), generator=rng)].unsqueeze(1)
    dark = 0.6 + 0.4 * torch.rand(count, 1, 1, 1, generator=rng)
    return 2 * patches * pattern * dark - 1


class StyleLayer(nn.Module):
    """A modulated convolution; its bias is a tile of 2 × 2, laid out over the whole image.

    The tile tells odd from even rows and columns, which patterns need, and one place from another
    in the first layer only.
    """

    def __init__(self, width, style_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3) / (9 * width) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(width, 2, 2))
        self.style = nn.Linear(style_dim, width)
        nn.init.normal_(self.style.weight, 0.0, style_dim**-0.5)
        nn.init.ones_(self.style.bias)

    def forward(self, x, w):
        """Feature maps in the style w."""
        x = modulated_conv2d(x, self.weight, self.style(w))
        return F.leaky_relu(x + self.bias.repeat(1, x.shape[2] // 2, x.shape[3] // 2), 0.2)


class Synthesis(nn.Module):
    """From styles (batch, 4, style), one for each layer, to images that grow from a constant."""

    def __init__(self, style_dim=16, width=20):
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, width, 2, 2))
        self.layers = nn.ModuleList([StyleLayer(width, style_dim) for _ in range(4)])
        self.ink = nn.Conv2d(width, 1, 1)

    def forward(self, w):
        """Images (batch, 1, 8, 8)."""
        x = self.constant.expand(len(w), -1, -1, -1)
        for number, layer in enumerate(self.layers):
            if number in (1, 2):
                x = F.interpolate(x, scale_factor=2)
            x = layer(x, w[:, number])
        return torch.tanh(self.ink(x))


def share(first, second, cut):
    """Styles for the four layers: the first `cut` from one code, the others from the other."""
    own = torch.arange(4, device=first.device) < cut
    return torch.where(own[..., None], first[:, None], second[:, None])


torch.manual_seed(0)
quilts = sew(3000, torch.Generator().manual_seed(0)).to(DEVICE)
mapping, synthesis = MappingNetwork(16, 16, 3).to(DEVICE), Synthesis().to(DEVICE)
for parameter in mapping.parameters():
    if parameter.ndim == 2:  # torch's default would shrink the styles layer by layer
        nn.init.kaiming_normal_(parameter, 0.2)
learning = nn.ModuleList([mapping, synthesis])
averaged = copy.deepcopy(learning)  # a running mean of the weights, less restless than they are
judge = DCGANDiscriminator(1, 8, 16, batch_norm=False).to(DEVICE)
slow = {"params": mapping.parameters(), "lr": 6e-4}  # the mapping network learns slowly
g_adam = torch.optim.Adam([{"params": synthesis.parameters()}, slow], lr=3e-3, betas=(0.0, 0.99))
d_adam = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.0, 0.99))


def mixed(count=32):
    """Styles of two codes each, that meet at a random layer."""
    first, second = mapping(torch.randn(2 * count, 16, device=DEVICE)).chunk(2)
    return share(first, second, torch.randint(1, 5, (count, 1), device=DEVICE))


def everywhere(w):
    """Images whose four layers all have the same style."""
    return synthesis(share(w, w, 4))


mean_length = 0.0
for step in tqdm(range(steps(500)), desc="style-based generator"):
    real = quilts[torch.randint(len(quilts), (32,), device=DEVICE)]
    with torch.no_grad():
        fake = synthesis(mixed())
    loss = discriminator_loss(judge(real), judge(fake))
    if step % 4 == 0:
        loss = loss + 4 * r1_penalty(judge, real, 0.2)
    descend(d_adam, loss)
    loss = nonsaturating_generator_loss(judge(synthesis(mixed())))
    if step % 4 == 0:
        w = mapping(torch.randn(8, 16, device=DEVICE))
        noise = torch.randn(8, 1, 8, 8, device=DEVICE)
        penalty, lengths = path_length_penalty(everywhere, w, noise, mean_length)
        mean_length += 0.05 * (lengths.mean().item() - mean_length)
        loss = loss + 4 * 0.02 * penalty
    descend(g_adam, loss)
    with torch.no_grad():
        for mean, parameter in zip(averaged.parameters(), learning.parameters(), strict=True):
            mean.lerp_(parameter, 0.03)

mapping, synthesis = averaged
with torch.no_grad():
    w = mapping(torch.randn(16, 16, generator=torch.Generator().manual_seed(5)).to(DEVICE))
    own = everywhere(w)
rows = {"real": to_pixels(quilts[:12]), "drawn": to_pixels(own[:12])}
plots.strips(rows, (8, 8), title="Quilts")

# %% [markdown]
# **Style mixing.** Every column keeps the first two styles (grids of 2 and 4) of the image on top, every row gets the
# last two (grids of 8) from the image on its left. The *pattern* is taken from the left, row by row. *Where* the
# patches lie is settled partly above and partly on the left: nothing in the loss says which layer shall decide what, it
# only follows from what a layer of that resolution is able to do. In a generator of faces the coarse styles hold pose
# and shape, the middle ones features and hair, the fine ones colour and texture (Karras et al. 2019, figure 3).

# %% tags=["hands-on"]
blank = torch.zeros(1, 64)
table = {"coarse from": torch.cat([blank, to_pixels(own[:11])])}
for donor in (11, 12, 13, 14):
    with torch.no_grad():
        mix = synthesis(share(w[:11], w[donor].expand(11, -1), 2))
    table[f"fine from {donor - 10}"] = torch.cat([to_pixels(own[[donor]]), to_pixels(mix)])
plots.strips(table, (8, 8), title="Two styles in one picture")

# %% [markdown]
# ## 9 · More pixels than there were
#
# Four pixels by four, and you are asked for sixteen by sixteen. Countless sharp images shrink to the same small one. A
# network that is trained on the squared error answers with the *mean* of all that are possible, which is a blur, since
# the mean minimises squared error. A discriminator accepts no mean of sharp images, for it is not a sharp image. SRGAN
# (Ledig et al. 2017) therefore adds an adversarial loss and picks *one* of the possible images. You may read that as a
# virtue or as a warning.
#
# ### More room
#
# To get from a small grid to a large one, let a convolution compute $r^2$ times as many channels on the *small* grid,
# and then sort them into place, each group of $r^2$ channels becoming one block of $r \times r$ pixels (Shi et al.
# 2016). Nothing is computed in this step, numbers only move.
#
# ### Exercise · `pixel_shuffle`
#
# *●● · 20 minutes.* One `reshape`, one `permute`, one `reshape`; or ask torch. Write down on paper which index becomes
# which.


# %% exercise="pixel_shuffle" points=2
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
    raise NotImplementedError


# %% [markdown]
# ### The perceptual loss
#
# $$\mathcal{L}_{\text{SR}} = \underbrace{\frac1N \big\lVert \phi(\hat x) - \phi(x) \big\rVert_2^2}_{\text{content}}
# + \lambda\, \underbrace{\mathbb{E}\big[-\log \sigma(D(\hat x))\big]}_{\text{adversarial}}$$
#
# Content is compared in features $\phi$, and $N$ is the number of all features in the batch. With $\phi(x) = x$ it is
# the mean squared error of pixels. Ledig et al. take a layer of a network that was trained to recognise objects, so
# that a texture need not sit at the right pixel to be right.
#
# ### Exercise · `super_resolution_loss`
#
# *● · 10 minutes.*


# %% exercise="super_resolution_loss" points=2
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
    raise NotImplementedError


# %% [markdown]
# Printed capitals of 16 × 16 pixels, shrunk to 4 × 4 and brought back. The discriminator is shown the small image, too
# (enlarged, as a second channel), so that it can object to an image that is sharp but does not belong to it.

# %% tags=["hands-on"]
page = replace(digits, height=16, width=16, margin=1)


def letters(seed, **options):
    """Printed characters as images (n, 1, 16, 16)."""
    drawn, _ = data.draw_letters(page, generator=torch.Generator().manual_seed(seed), **options)
    return (2 * drawn.view(-1, 1, 16, 16) - 1).to(DEVICE)


capitals = torch.cat([letters(seed) for seed in range(5)])
new, digits_in_print = letters(100), letters(101, letters="0123456789")


def shrink(images):
    """A quarter of the side."""
    return F.avg_pool2d(images, 4)


def blocks(small):
    """Small images on a large grid, as they are."""
    return F.interpolate(small, scale_factor=4)


class Upscaler(nn.Module):
    """From 4 × 4 to 16 × 16 in two steps."""

    def __init__(self, width=48):
        super().__init__()
        self.see = nn.Conv2d(1, width, 3, 1, 1)
        self.first = nn.Conv2d(width, 4 * width, 3, 1, 1)
        self.second = nn.Conv2d(width, 4 * 16, 3, 1, 1)
        self.draw = nn.Conv2d(16, 1, 3, 1, 1)

    def forward(self, small):
        """Enlarge."""
        x = F.relu(self.see(small))
        x = F.relu(pixel_shuffle(self.first(x), 2))
        x = F.relu(pixel_shuffle(self.second(x), 2))
        return torch.tanh(self.draw(x))


def fit_upscaler(name, weight, count=240):
    """An upscaler whose adversarial loss has this weight."""
    torch.manual_seed(0)
    upscaler, judge = Upscaler().to(DEVICE), DCGANDiscriminator(2, 16, 16).to(DEVICE)
    g_adam, d_adam = adam(upscaler), adam(judge)
    for _ in tqdm(range(steps(count)), desc=name):
        sharp = capitals[torch.randint(len(capitals), (32,), device=DEVICE)]
        small = shrink(sharp)
        made, seen = upscaler(small), blocks(small)
        if weight:
            logits = judge(torch.cat([sharp, seen], 1)), judge(torch.cat([made.detach(), seen], 1))
            descend(d_adam, discriminator_loss(*logits))
        logits = judge(torch.cat([made, seen], 1))
        loss = super_resolution_loss(made, sharp, logits, features=lambda x: x, weight=weight)
        descend(g_adam, loss)
    return upscaler.eval()


upscalers = {"squared error": fit_upscaler("squared error", 0.0)}
upscalers["adversarial"] = fit_upscaler("adversarial", 0.1)
shown = torch.arange(0, 26, 2) + 26 * (torch.arange(13) % 4)
rows = {"given": to_pixels(blocks(shrink(new[shown])))}
for name, upscaler in upscalers.items():
    with torch.no_grad():
        made = upscaler(shrink(new))
    error, grey = (made - new).square().mean(), (1 - made.square()).mean()
    print(f"{name:15}squared error {error:.3f}, greyness {grey:.3f}")
    rows[name] = to_pixels(made[shown])
print(f"{'true':15}{'':21}greyness {(1 - new.square()).mean():.3f}")
rows["true"] = to_pixels(new[shown])
plots.strips(rows, (16, 16), title="Capitals from sixteen pixels")

# %% [markdown]
# Letters of these typefaces are all that the networks know, and sixteen pixels are often enough to tell them apart.
# Where they are not, the first answers with several letters at once, in grey, and has the smaller error. The second
# makes up its mind, and errs in black and white. (*Greyness* is the mean of $1 - x^2$, which is 0 for an image of ink
# and paper alone.)
#
# Now give them what they have never seen, printed **digits**.

# %% tags=["hands-on"]
rows = {"given": to_pixels(blocks(shrink(digits_in_print[:10])))}
for name, upscaler in upscalers.items():
    with torch.no_grad():
        rows[name] = to_pixels(upscaler(shrink(digits_in_print[:10])))
rows["true"] = to_pixels(digits_in_print[:10])
plots.strips(rows, (16, 16), title="Digits, read by networks that know letters only")

# %% [markdown] question="invention" points=4
# ### Question · Enhance
#
# A police department wants to sharpen number plates, and faces, in footage from a car park with a network trained as
# above. The demonstration is impressive. In your own words: where do the added details come from, and why can no amount
# of training data make them evidence? Which loss is the more dangerous in court, the squared error or the adversarial
# one, and why? Use the last picture. Then name one use of the same network that is harmless, and one way to report
# honestly how sure it is.
#
# *4 points: one for where details come from, argued with the many images that shrink to the same small one; one for the
# comparison of the two losses; one for what the training data have to do with who is harmed; one for the harmless use
# and the honest report.*

# %% [markdown]
# ## Further reading
#
# - I. Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014,
#   [arXiv:1406.2661](https://arxiv.org/abs/1406.2661). Nine pages. The tutorial of 2016
#   ([arXiv:1701.00160](https://arxiv.org/abs/1701.00160)) is the best next step.
# - T. Salimans et al., *Improved Techniques for Training GANs*, NeurIPS 2016,
#   [arXiv:1606.03498](https://arxiv.org/abs/1606.03498); A. Srivastava et al., *VEEGAN*, NeurIPS 2017,
#   [arXiv:1705.07761](https://arxiv.org/abs/1705.07761): feature matching, smoothing; coverage of modes.
# - M. Arjovsky & L. Bottou, *Towards Principled Methods for Training GANs*, ICLR 2017,
#   [arXiv:1701.04862](https://arxiv.org/abs/1701.04862); M. Arjovsky, S. Chintala & L. Bottou, *Wasserstein GAN*, ICML
#   2017, [arXiv:1701.07875](https://arxiv.org/abs/1701.07875); I. Gulrajani et al., *Improved Training of Wasserstein
#   GANs*, NeurIPS 2017, [arXiv:1704.00028](https://arxiv.org/abs/1704.00028).
# - L. Mescheder, A. Geiger & S. Nowozin, *Which Training Methods for GANs do actually Converge?*, ICML 2018,
#   [arXiv:1801.04406](https://arxiv.org/abs/1801.04406); T. Miyato et al., *Spectral Normalization*, ICLR 2018,
#   [arXiv:1802.05957](https://arxiv.org/abs/1802.05957); M. Lucic et al., *Are GANs Created Equal?*, NeurIPS 2018,
#   [arXiv:1711.10337](https://arxiv.org/abs/1711.10337).
# - A. Radford, L. Metz & S. Chintala, *DCGAN*, ICLR 2016, [arXiv:1511.06434](https://arxiv.org/abs/1511.06434); A.
#   Odena, V. Dumoulin & C. Olah, *Deconvolution and Checkerboard Artifacts*, Distill 2016,
#   [doi:10.23915/distill.00003](https://doi.org/10.23915/distill.00003).
# - M. Mirza & S. Osindero, *Conditional Generative Adversarial Nets*, 2014,
#   [arXiv:1411.1784](https://arxiv.org/abs/1411.1784); S. Reed et al., *Generative Adversarial Text to Image
#   Synthesis*, ICML 2016, [arXiv:1605.05396](https://arxiv.org/abs/1605.05396).
# - J.-Y. Zhu et al., *CycleGAN*, ICCV 2017, [arXiv:1703.10593](https://arxiv.org/abs/1703.10593); A. Shrivastava et
#   al., *Learning from Simulated and Unsupervised Images through Adversarial Training*, CVPR 2017,
#   [arXiv:1612.07828](https://arxiv.org/abs/1612.07828). C. Chu, A. Zhmoginov & M. Sandler, *CycleGAN, a Master of
#   Steganography*, 2017, [arXiv:1712.02950](https://arxiv.org/abs/1712.02950): how a cycle can cheat.
# - X. Huang & S. Belongie, *Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization*, ICCV 2017,
#   [arXiv:1703.06868](https://arxiv.org/abs/1703.06868); T. Karras, S. Laine & T. Aila, *StyleGAN*, CVPR 2019,
#   [arXiv:1812.04948](https://arxiv.org/abs/1812.04948); T. Karras et al., *StyleGAN2*, CVPR 2020,
#   [arXiv:1912.04958](https://arxiv.org/abs/1912.04958).
# - W. Shi et al., *Sub-Pixel Convolution*, CVPR 2016, [arXiv:1609.05158](https://arxiv.org/abs/1609.05158); C. Ledig et
#   al., *SRGAN*, CVPR 2017, [arXiv:1609.04802](https://arxiv.org/abs/1609.04802); Y. Blau & T. Michaeli, *The
#   Perception-Distortion Tradeoff*, CVPR 2018, [arXiv:1711.06077](https://arxiv.org/abs/1711.06077): sharp or faithful,
#   and why not both.
