# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Diffusion models
#
# Put a drop of ink into a glass of water, and it spreads until the water is evenly grey. That takes no skill. Putting
# the drop together again does. A **diffusion model** learns to do it for images: noise is mixed into a picture, a
# little at a time, until nothing but noise is left, and a network learns to take one such step *back*. Whoever can take
# every step back can begin with pure noise, and arrive at a picture that nobody has ever drawn.
#
# The idea comes from the physics of heat (Sohl-Dickstein et al. 2015) and met another, the *score* of a density (Song &
# Ermon 2019), in the model that made both work: *denoising diffusion probabilistic models*, DDPM (Ho, Jain & Abbeel
# 2020). Two years later Stable Diffusion painted whatever one could put in words (Rombach et al. 2022). Video, music,
# speech, molecules and the motions of robots are generated in this way today.
#
# Why does it work so well? Because it turns one hard question, *draw an image*, into a thousand easy ones, *what here
# is noise?* Each of these is ordinary regression with a right answer that we mixed in ourselves. There is no adversary
# as in a GAN, nothing to be balanced, no posterior to be guessed as in a VAE. Training is dull. Dull is what scales.
#
# You will build all of it: the schedules, the loss, the network's sense of time, the two best-known ways to sample,
# guidance by labels, and in small everything that makes Stable Diffusion, text included. You will measure how good the
# results are, and hold them against a GAN and a VAE.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension, and images are (batch, channels, height, width), with pixels from −1 to 1;
# - **times count from 0**, as indices do: `t = 0` is *one* step of noise, `t = T − 1` is all of it, and −1 stands for
#   clean data. Papers count from 1, so that their $\bar\alpha_1$ is our `alpha_bar[0]`. Clean data, their $x_0$, are a
#   plain $x$ in our formulas, and `x0` in code, where everybody calls them so;
# - functions draw no random numbers of their own: the noise, or its generator, is passed in;
# - results live on the device, and have the dtype, of the data that come in.
#
# Cells without a stub are there to be run and played with. A default such as `corrupt=q_sample` is fixed when its cell
# is run: after mending an earlier answer run the cells below it once more.
#
# Plan for four hours. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import copy
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 1.0  # how long models train: 1 suits two CPU cores; with a GPU, try 20
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

digits = data.load_digits("bundled")
SIZE = digits.height, digits.width
images = (2 * digits.train - 1).view(-1, 1, *SIZE).to(DEVICE)  # pixels from −1, paper, to 1, ink
labels = digits.train_labels.to(DEVICE)
print(f"{digits.name}: {len(images)} images of {SIZE[0]} × {SIZE[1]} pixels")


def epochs(count):
    """So many epochs, more or fewer if BUDGET says so."""
    return max(1, round(BUDGET * count))


def visible(x):
    """Pixels from −1 to 1 as rows of pixels from 0 to 1, for plots."""
    return ((x.detach().cpu() + 1) / 2).clamp(0, 1).flatten(1)


# %% [markdown]
# This is what you will have built at the end. A diffusion model that was trained on handwritten digits (it comes with
# the course) begins with noise on the left and arrives at digits on the right. Read it from right to left, and you see
# the noise being mixed in.

# %% tags=["hands-on"]
from diffusers import DDIMScheduler, DDPMPipeline
from diffusers.utils import logging as diffusers_logging

diffusers_logging.set_verbosity_error()  # its advice about devices is of no use here
diffusers_logging.disable_progress_bar()
pipeline = DDPMPipeline.from_pretrained(data.checkpoint("tiny-diffusion")).to(DEVICE)
scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
scheduler.set_timesteps(36)
x = torch.randn(5, 1, *SIZE, generator=torch.Generator().manual_seed(0)).to(DEVICE)
film = [x]
for t in tqdm(scheduler.timesteps):
    with torch.no_grad():
        x = scheduler.step(pipeline.unet(x, t).sample, t, x).prev_sample
    film.append(x)
frames = torch.stack(film[::3])  # (frames, 5, 1, height, width)
plots.strips(
    {f"{i + 1}": visible(frames[:, i]) for i in range(5)},
    SIZE,
    captions=["noise", *[""] * (len(frames) - 2), "digit"],
    title="From noise to digits",
)

# %% [markdown]
# ## 1 · Destroying is easy
#
# ### The forward process
#
# A picture $x$ is destroyed in $T$ steps, $x_0, x_1, \dots, x_{T-1}$. Each makes what is there a little fainter and
# mixes fresh Gaussian noise in (Ho et al. 2020, eq. 2, with our times; $x_{-1}$ is $x$):
#
# $$q(x_t \mid x_{t-1}) = \mathcal{N}\big(x_t;\ \sqrt{1 - \beta_t}\; x_{t-1},\ \beta_t I\big), \qquad t = 0, \dots, T - 1.$$
#
# The list $\beta_0, \dots, \beta_{T-1}$ is the **noise schedule**. Why the factor $\sqrt{1 - \beta_t}$? If the variance
# was 1 before, then it is $(1 - \beta_t) \cdot 1 + \beta_t = 1$ afterwards. Without the factor the noise would pile up
# without end; with it, everything tends to $\mathcal{N}(0, I)$, from which we know how to draw. Signal processing calls
# it *variance preserving*.
#
# Small steps first, while there is fine detail to lose, then larger ones: Ho et al. let $\beta$ grow on a straight line
# from $10^{-4}$ to $0.02$ in $T = 1000$ steps. These two numbers belong to that $T$. With 100 steps and the same
# numbers a tenth of the noise would be mixed in, the last $x_t$ would still show the picture, and sampling, which
# begins with pure noise, would begin with something that the network has never seen. That is a common mistake in code
# that is written for small experiments. So both ends are multiplied by $1000 / T$; and since no variance can exceed 1,
# values are confined to at most 0.999.
#
# ### Exercise · `linear_beta_schedule`
#
# *● · 10 minutes.* $T$ values, both ends included. Fence posts!


# %% exercise="linear_beta_schedule" points=3
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
    raise NotImplementedError


# %% [markdown]
# ### One leap instead of many steps
#
# A sum of Gaussians is a Gaussian, so $t + 1$ steps of noise are one step of more noise. Write
# $\alpha_t = 1 - \beta_t$, and look at two steps:
#
# $$\sqrt{\alpha_1}\, \Big( \sqrt{\alpha_0}\; x + \sqrt{1 - \alpha_0}\; \varepsilon' \Big)
# + \sqrt{1 - \alpha_1}\; \varepsilon''
# \;\sim\; \sqrt{\alpha_1 \alpha_0}\; x + \sqrt{\alpha_1 (1 - \alpha_0) + 1 - \alpha_1}\;\, \varepsilon .$$
#
# The variance of the noise is $1 - \alpha_0 \alpha_1$: the powers of signal and noise always add up to 1, and the
# signal's is multiplied by $\alpha_t$ in each step. So after step $t$
#
# $$q(x_t \mid x) = \mathcal{N}\big(x_t;\ \sqrt{\bar\alpha_t}\; x,\ (1 - \bar\alpha_t) I\big), \qquad
# \bar\alpha_t = \prod_{s = 0}^{t} (1 - \beta_s)$$
#
# (Ho et al. 2020, eq. 4). Training will need pictures at all times, and this gives each of them with one draw.
#
# ### Exercise · `alpha_bars`
#
# *● · 5 minutes.* The product includes its own step: $\bar\alpha_0 = 1 - \beta_0$ is not 1.


# %% exercise="alpha_bars" points=1
def alpha_bars(betas: Float[Tensor, "steps"]) -> Float[Tensor, "steps"]:
    """What is left of the signal's power after each step: ᾱ[t] = ∏ (1 − β[s]) over s ≤ t.

    Ho et al. 2020, below equation 3. Indices begin at 0, so ᾱ[0] = 1 − β[0], one step of noise.

    Args:
        betas: variances of the added noise (steps,), in (0, 1).

    Returns:
        ᾱ (steps,), of the same length, dtype and device.
    """
    raise NotImplementedError


# %% [markdown]
# ### A better schedule
#
# Nichol & Dhariwal (2021) noticed that the straight line destroys small pictures too soon: for the last fifth of the
# way there is nothing left to be seen, and steps that hardly teach anything are paid for all the same. They said how
# much signal should be left, and derived $\beta$ from that:
#
# $$\bar\alpha_t = \frac{f(t + 1)}{f(0)}, \qquad
# f(u) = \cos^2\!\left(\frac{u / T + s}{1 + s} \cdot \frac{\pi}{2}\right), \qquad
# \beta_t = 1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}} = 1 - \frac{f(t + 1)}{f(t)},$$
#
# a curve that is flat at both ends and nearly straight between (their eq. 17; our $t$ is one less than theirs). The
# offset $s = 0.008$ keeps the first steps from being too small: 8-bit pixels are rounded to steps of $1/127.5$, and
# noise far below that cannot be told from rounding. At the very end $f(T) = 0$, so the last $\beta$ would be 1, and a
# division by $\bar\alpha$ would fail later: it is confined to 0.999.
#
# ### Exercise · `cosine_beta_schedule`
#
# *●● · 15 minutes.* $T$ values need $T + 1$ points of $f$.


# %% exercise="cosine_beta_schedule" points=4
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
    raise NotImplementedError


# %% [markdown]
# ### What counts is the ratio
#
# The times are but names. What a network meets at time $t$ is a mixture, and all that matters of it is the
# **signal-to-noise ratio** of powers,
#
# $$\mathrm{SNR}(t) = \frac{\bar\alpha_t}{1 - \bar\alpha_t}$$
#
# (Kingma et al. 2021, who show that with endlessly many steps the likelihood depends on nothing of a schedule but the
# ratios at its two ends). It is large at first, falls all the time, and should be next to nothing at the end. Many
# published schedules stop too early: then the model never sees pure noise in training, and in sampling it cannot paint
# a picture that is very dark or very bright as a whole (Lin et al. 2024).
#
# ### Exercise · `signal_to_noise`
#
# *● · 5 minutes.*


# %% exercise="signal_to_noise" points=1
def signal_to_noise(alpha_bar: Float[Tensor, "steps"]) -> Float[Tensor, "steps"]:
    """The ratio of the signal's power to the noise's after each step: ᾱ / (1 − ᾱ).

    Kingma et al. 2021, equation 2. A plain ratio: no logarithm, no decibels.

    Args:
        alpha_bar: ᾱ (steps,), in (0, 1).

    Returns:
        Ratios (steps,), all positive.
    """
    raise NotImplementedError


# %% [markdown]
# Both schedules, and the linear one with the mistake that was spoken of above.

# %% tags=["hands-on"]
T = 1000
schedules = {"linear": linear_beta_schedule(T), "cosine": cosine_beta_schedule(T)}
left = {name: alpha_bars(betas) for name, betas in schedules.items()}
unscaled = alpha_bars(torch.linspace(1e-4, 0.02, 100))
hundred = (torch.arange(0, T, 10), unscaled)
log_ratio = {name: signal_to_noise(rates).log() for name, rates in left.items()}
plots.curves(
    {
        "Signal that is left": {**left, "100 steps, not scaled": hundred},
        "Signal to noise": {
            **log_ratio,
            "100 steps, not scaled": (hundred[0], signal_to_noise(unscaled).log()),
        },
    },
    x=torch.arange(T),
    xlabel="time t (for 100 steps: 10 t)",
    ylabel=("ᾱ", "log SNR"),
    legend=True,
)

# %% [markdown]
# ### Mixing the noise in
#
# Drawing from $q(x_t \mid x)$ is the reparameterisation that you may know from VAEs: with noise
# $\varepsilon \sim \mathcal{N}(0, I)$ of the picture's shape,
#
# $$x_t = \sqrt{\bar\alpha_t}\; x + \sqrt{1 - \bar\alpha_t}\; \varepsilon .$$
#
# Every picture of a batch has its own time. So `alpha_bar[t]` has shape (batch,), and has to meet pictures of shape
# (batch, channels, height, width), or points of shape (batch, 2): give it as many dimensions of size 1 as it takes.
# Beware of what happens if you do not. Where the batch is as large as a picture is wide, broadcasting finds a meaning
# without complaint, and it is the wrong one.
#
# ### Exercise · `q_sample`
#
# *●● · 10 minutes.*


# %% exercise="q_sample" points=3
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
    raise NotImplementedError


# %% [markdown]
# A digit on both schedules, and a letter of sixteen times as many pixels on the second. By eye the letter is there long
# after the digit has gone, though each of its pixels is exactly as noisy. Neighbouring pixels of a large picture agree,
# and the eye averages over them; so does a network. **Large pictures need more noise** (Hoogeboom et al. 2023): a
# schedule that suits 32 × 32 pixels lets 512 × 512 ones shine through to the end.

# %% tags=["hands-on"]
large = replace(digits, height=32, width=32, margin=3)
letter = data.draw_letters(large, letters="R", generator=torch.Generator().manual_seed(4))[0][2]
letter = (2 * letter - 1).view(1, 1, 32, 32)
three = images[labels == 3][:1].cpu()
some_times = torch.linspace(0, T - 1, 13).long()
rows = {}
for name, picture, rates in (
    ("8 × 8, linear", three, left["linear"]),
    ("8 × 8, cosine", three, left["cosine"]),
    ("32 × 32, cosine", letter, left["cosine"]),
):
    copies = picture.expand(13, -1, -1, -1)
    noise = torch.randn(copies.shape, generator=torch.Generator().manual_seed(1))
    noisy = q_sample(copies, some_times, noise, rates)
    rows[name] = visible(F.interpolate(noisy, size=(32, 32)))
plots.strips(
    rows,
    (32, 32),
    captions=[str(time) for time in some_times.tolist()],
    title="The forward process",
)

# %% [markdown]
# ## 2 · The way back
#
# ### Why many small steps
#
# What would we need in order to go back? The distribution $q(x_{t-1} \mid x_t)$: where may this have come from? In
# general nobody knows its form. But if $\beta_t$ is small it is very nearly a **Gaussian** again, whatever the data
# look like (Feller 1949; Sohl-Dickstein et al. 2015): within the small reach of one step, any smooth density looks like
# a slope, and a Gaussian on a slope is a shifted Gaussian. That is why diffusion takes many steps. A network need not
# draw from anything complicated: it says *one mean*, and that suffices.
#
# See it in one dimension, where everything can be computed on a grid. The data are −1 or 1, with some noise on them
# already. One more step of noise has led to 0.2: where were we before? After a small step the answer is a Gaussian.
# After a large one it has two humps, and no Gaussian will do.

# %% tags=["hands-on"]
grid = torch.linspace(-3, 3, 1201)
gap = 6 / 1200


def normal(x, mean, variance):
    """The density of a Gaussian."""
    return torch.distributions.Normal(mean, variance**0.5).log_prob(x).exp()


panels = {}
for beta in (0.01, 0.2, 0.8):
    before = 0.5 * (normal(grid, -0.9, 0.19) + normal(grid, 0.9, 0.19))  # ᾱ = 0.81
    back = before * normal(torch.tensor(0.2), (1 - beta) ** 0.5 * grid, torch.tensor(beta))
    back /= back.sum() * gap
    mean = (grid * back).sum() * gap
    variance = ((grid - mean).square() * back).sum() * gap
    panels[f"β = {beta}"] = {
        "truth": (grid, back),
        "Gaussian": (grid, normal(grid, mean, variance)),
    }
plots.curves(panels, xlabel="x before the step", ylabel="density")

# %% [markdown]
# ### If one knew the noise
#
# Suppose somebody told us the noise $\varepsilon$ in $x_t$. Then $x$ follows, by solving the equation of `q_sample` for
# it (Ho et al. 2020, eq. 15):
#
# $$\hat x = \frac{x_t - \sqrt{1 - \bar\alpha_t}\; \varepsilon}{\sqrt{\bar\alpha_t}} .$$
#
# Noise and picture are two ways to say the same thing. The network will tell the noise, and it will not be quite right.
# Near the end of the schedule the division by a tiny $\sqrt{\bar\alpha_t}$ makes a small error huge; since we know that
# pixels lie in $[-1, 1]$, it helps a lot to confine the estimate to that.
#
# ### Exercise · `predict_x0`
#
# *● · 10 minutes.*


# %% exercise="predict_x0" points=2
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
    raise NotImplementedError


# %% [markdown]
# ### If one knew the picture
#
# And suppose somebody told us $x$. Then one step back is a matter of Bayes' rule, since all three parts are Gaussian:
#
# $$q(x_{t-1} \mid x_t, x) \propto q(x_t \mid x_{t-1})\; q(x_{t-1} \mid x)
# = \mathcal{N}\big(x_t; \sqrt{\alpha_t}\, x_{t-1}, \beta_t\big)\;
# \mathcal{N}\big(x_{t-1}; \sqrt{\bar\alpha_{t-1}}\, x, 1 - \bar\alpha_{t-1}\big).$$
#
# A product of two Gaussians in $x_{t-1}$: precisions add up, means are weighed by them. The precision is
#
# $$\frac{\alpha_t}{\beta_t} + \frac{1}{1 - \bar\alpha_{t-1}}
# = \frac{\alpha_t - \bar\alpha_t + \beta_t}{\beta_t (1 - \bar\alpha_{t-1})}
# = \frac{1 - \bar\alpha_t}{\beta_t (1 - \bar\alpha_{t-1})},$$
#
# and so (Ho et al. 2020, eq. 6 and 7) the **posterior** of the forward process is
# $\mathcal{N}(\tilde\mu_t, \tilde\beta_t I)$ with
#
# $$\tilde\mu_t = \frac{\sqrt{\bar\alpha_{t-1}}\; \beta_t}{1 - \bar\alpha_t}\, x
# + \frac{\sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}\, x_t, \qquad
# \tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\, \beta_t .$$
#
# At the first index there is no $\bar\alpha_{t-1}$ in the list. What stands before it is the clean picture, with
# nothing lost: 1. Python would answer `alpha_bar[-1]` without complaint, with the *last* value.
#
# ### Exercise · `posterior_mean_variance`
#
# *●● · 20 minutes.*


# %% exercise="posterior_mean_variance" points=3
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
    raise NotImplementedError


# %% [markdown]
# ## 3 · What the network learns
#
# ### A bound that becomes a regression
#
# A diffusion model is a latent variable model: $x_{T-1}$ (as good as pure noise), …, $x_1$, $x_0$ and the picture $x$
# are drawn one after another, and only the picture is seen. Its evidence lower bound has one term for each step, a
# Kullback–Leibler divergence between two Gaussians: the posterior that we just derived, and the model's step
# $p_\theta(x_{t-1} \mid x_t)$ (Ho et al. 2020, eq. 5). If both have the same variance, the divergence is the squared
# distance between the means, divided by twice that variance. Now let the network tell the noise,
# $\varepsilon_\theta(x_t, t)$, compute $\hat x$ from it, and put that into $\tilde\mu_t$: everything cancels but
#
# $$\frac{\beta_t^2}{2 \tilde\beta_t\, \alpha_t (1 - \bar\alpha_t)}\;
# \big\lVert \varepsilon - \varepsilon_\theta(x_t, t) \big\rVert^2 .$$
#
# It is the ELBO that you may know from VAEs, with an encoder that has nothing to learn. And then Ho et al. did what
# gave the good pictures: they **dropped the factor**. It is largest for the first times, where hardly visible noise is
# to be told from hardly visible detail, and that is not where pictures are made. What remains is
#
# $$L_{\text{simple}} = \mathbb{E}_{x,\, \varepsilon,\, t}\, \big\lVert \varepsilon
# - \varepsilon_\theta\big(\sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\, \varepsilon,\ t\big) \big\rVert^2$$
#
# (their eq. 14): draw a picture, a time and some noise; mix; ask what the noise was.
#
# ### What it learns in truth: the score
#
# Nobody can tell the noise exactly. The best answer to squared error is the *mean* of all noises that could have led
# here, and it has a meaning of its own. By Tweedie's formula (Robbins 1956; Efron 2011)
#
# $$\mathbb{E}[\varepsilon \mid x_t] = -\sqrt{1 - \bar\alpha_t}\;\; \nabla_{x_t} \log q(x_t):$$
#
# it points *away* from where noisy data are dense. Turned around and scaled it is the **score**, the direction in which
# the logarithm of the density grows fastest (Vincent 2011; Song & Ermon 2019; Song et al. 2021). So a network that was
# only ever asked "what here is noise?" knows the slope of the density of the data at every level of blur. In a moment
# you will see these arrows.
#
# ### Exercise · `ddpm_loss`
#
# *●● · 10 minutes.* Use the function that is passed in (`corrupt`), not yours by name.


# %% exercise="ddpm_loss" points=3
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
    raise NotImplementedError


# %% [markdown]
# ### A sense of time
#
# One network serves all times, so it must be told which one it is. A bare number from 0 to 999 is a poor input:
# networks are slow to react to small changes of a large number. As with positions in Transformers (Vaswani et al.
# 2017), the time is written as a row of waves of different lengths: the fast ones tell neighbours apart, the slow ones
# early from late, like the hands of a clock.
#
# $$\omega_i = P^{-i / h}, \quad i = 0, \dots, h - 1; \qquad
# \big[\sin(t\, \omega_0), \dots, \sin(t\, \omega_{h-1}),\ \cos(t\, \omega_0), \dots, \cos(t\, \omega_{h-1})\big],$$
#
# with $P = 10\,000$. Libraries differ in the order (sines and cosines in turns; cosines first) and in the exponent ($h$
# or $h - 1$). None of it matters to a network that is trained with it, all of it to one that was trained by others.
#
# ### Exercise · `timestep_embedding`
#
# *● · 10 minutes.*


# %% exercise="timestep_embedding" points=2
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
    raise NotImplementedError


# %% tags=["hands-on"]
waves = timestep_embedding(torch.arange(0, 400), 16)
plots.curves(
    {
        "Sines": {f"i = {i}": waves[:, i] for i in (1, 3, 5)},
        "Cosines": {f"i = {i}": waves[:, 8 + i] for i in (1, 3, 5)},
    },
    x=torch.arange(400),
    xlabel="time t",
    ylabel="embedding",
)

# %% [markdown]
# ### The loop
#
# Ho et al.'s algorithm 1:
#
# > for each epoch, in a fresh random order, for each minibatch $x$: a random time for each picture, fresh noise,
# > loss, step.
#
# A *different* time for each picture of the batch, from all $T$ of them: one time for the whole batch would make the
# gradients lurch from one kind of question to another.
#
# Reproducible means: the same generator in the same state gives the same training. So take all randomness, the order,
# the times and the noise, from the generator that is passed in.
#
# ### Exercise · `train_diffusion`
#
# *●●● · 30 minutes.* As in `ddpm_loss`, use the function that is passed in.


# %% exercise="train_diffusion" points=4
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
    raise NotImplementedError


# %% [markdown]
# ### From scratch, in the plane
#
# Before pictures, something that we can see all of: points on a spiral. The network has a few layers, each of which
# hears the time; all else is yours.

# %% tags=["hands-on"]


class PlaneNet(nn.Module):
    """Tells the noise in points of the plane."""

    def __init__(self, width=128):
        super().__init__()
        self.enter, self.leave = nn.Linear(2, width), nn.Linear(width, 2)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.times = nn.ModuleList(nn.Linear(32, width) for _ in range(3))

    def forward(self, x, t):
        """The noise that is believed to be in x."""
        when = timestep_embedding(t, 32)
        h = self.enter(x)
        for layer, time in zip(self.layers, self.times, strict=True):
            h = h + F.silu(layer(h) + time(when))
        return self.leave(h)


torch.manual_seed(0)
angle = math.pi * (1 + 2.5 * torch.rand(2000))
spiral = 0.17 * angle[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
spiral = (spiral + 0.04 * torch.randn(2000, 2)).to(DEVICE)

PLANE_T = 200
plane_betas = linear_beta_schedule(PLANE_T).to(DEVICE)
plane_rates = alpha_bars(plane_betas)
plane_net = PlaneNet().to(DEVICE)
history = []
with tqdm(total=2 * epochs(90), desc="points") as bar:
    for rate in (5e-3, 8e-4):  # first fast, then carefully
        history += train_diffusion(
            plane_net,
            spiral,
            plane_rates,
            epochs=epochs(90),
            batch_size=256,
            learning_rate=rate,
            generator=torch.Generator().manual_seed(0),
            on_epoch=lambda epoch, loss: bar.update(),
        )
plots.curves({"Points on a spiral": {"": history}}, xlabel="epoch", ylabel="loss")

# %% [markdown]
# The loss falls quickly and then hardly at all, far above zero. That is as it should be: at most times nobody could
# tell the noise exactly. **A diffusion model's loss says little about its samples**; look at these.
#
# Below, noisy points at three times, and the score as the network tells it,
# $-\varepsilon_\theta / \sqrt{1 - \bar\alpha_t}$ (long arrows are drawn shorter than they are, to let one see the short
# ones). Where all is noise the arrows lead to the middle; then the spiral's coarse form appears; at last each arrow
# leads to the nearest arm. Sampling follows these arrows, from the left picture to the right one.

# %% tags=["hands-on"]
side = torch.linspace(-2.3, 2.3, 21)
places = torch.cartesian_prod(side, side).to(DEVICE)
panels = {}
for time in (120, 30, 6):
    t = torch.full((len(spiral),), time, device=DEVICE)
    noise = torch.randn(spiral.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    noisy = q_sample(spiral, t, noise, plane_rates)
    with torch.no_grad():
        score = -plane_net(places, t[: len(places)]) / (1 - plane_rates[time]).sqrt()
    length = score.norm(dim=1, keepdim=True)
    panels[f"t = {time}"] = noisy[:1000], places, score / (length + length.median())
plots.fields(panels, extent=2.5)

# %% [markdown]
# ## 4 · Sampling
#
# ### One step back
#
# All is there. The network tells the noise, `predict_x0` turns that into a picture, the posterior says where one step
# back most likely lies, and the new $x_{t-1}$ is drawn from it. Without confinement everything can be collected into
# one line (Ho et al. 2020, eq. 11 and algorithm 2):
#
# $$x_{t-1} = \frac{1}{\sqrt{\alpha_t}} \left( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\,
# \varepsilon_\theta(x_t, t) \right) + \sigma_t\, z, \qquad z \sim \mathcal{N}(0, I).$$
#
# Two things surprise at first. Why is noise *added*, on the way to less noise? Because $x_{t-1}$ is to be a noisy
# picture too, just less so, and the mean alone would be too smooth. The fresh noise also mends mistakes: what an
# earlier step got wrong is blurred and decided anew. And why predict all of $x$, only to go a thousandth of the way?
# Because the guess is poor at first, an average of all pictures that might come of this; a small step keeps the choice
# open.
#
# Ho et al. tried $\sigma_t^2 = \beta_t$ and $\sigma_t^2 = \tilde\beta_t$, and found both alike. We take the second,
# which is zero at the end, where noise would only spoil the result.
#
# ### Exercise · `ddpm_step`
#
# *●●● · 20 minutes.* Every data point has its own time here too.


# %% exercise="ddpm_step" points=4
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
    raise NotImplementedError


# %% [markdown]
# ### All steps
#
# Whatever the step, sampling is the same walk down a list of times. At each of them the network is asked once. The step
# is told where it stands, and where it goes: for DDPM that is always the time before, other samplers leap.
#
# ### Exercise · `generate`
#
# *●● · 10 minutes.* Nothing will be trained here, so no graph should be kept: a thousand steps of it would fill the
# memory.


# %% exercise="generate" points=2
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
    raise NotImplementedError


# %% [markdown]
# The spiral, from noise. The lines in the last picture are the ways of two points: they tremble all the time, and still
# find home.

# %% tags=["hands-on"]


def ddpm(betas, alpha_bar, *, clip=None, seed=0):
    """DDPM's step, drawing its own noise, as `generate` calls it."""
    generator = torch.Generator().manual_seed(seed)

    def step(x, t, following, predicted):
        noise = torch.randn(x.shape, generator=generator).to(x)
        return ddpm_step(x, t, predicted, noise, betas, alpha_bar, clip=clip)

    return step


def filmed(step, film, bar=None):
    """The same step, with everything that it returns kept in a list."""

    def keep(*args):
        film.append(step(*args))
        if bar is not None:
            bar.update()
        return film[-1]

    return keep


noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(2)).to(DEVICE)
times = list(range(PLANE_T - 1, -1, -1))
film = [noise]
generate(plane_net, noise, times, filmed(ddpm(plane_betas, plane_rates), film))
ways = torch.stack(film)[:, :2]
panels = {"noise": 0, "after 180 of 200 steps": 180, "after all": 200}
plots.fields(
    {name: (film[index], None, None) for name, index in panels.items()},
    extent=2.5,
    paths=list(ways.unbind(dim=1)),
)

# %% [markdown]
# ### From scratch, on digits
#
# For pictures the network of choice is a **U-Net** (Ronneberger et al. 2015; Ho et al. 2020). One half looks at coarser
# and coarser versions of the picture, so that far pixels hear of each other, the other half returns to the full size,
# and bridges hand the details across. The time enters every block as a stretch and a shift of its features. This one is
# tiny, two sizes and about 160 000 weights; that of Stable Diffusion has four sizes and 860 million. The two hooks,
# `hear` and `read`, do nothing yet: labels and words will come in through them.

# %% tags=["hands-on"]


class Block(nn.Module):
    """Two convolutions and a bridge around them; the time stretches and shifts the features."""

    def __init__(self, before, after, width):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, before), nn.GroupNorm(8, after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.time = nn.Linear(width, 2 * after)
        self.bridge = nn.Conv2d(before, after, 1)

    def forward(self, x, when):
        """Features (batch, after, height, width)."""
        stretch, shift = self.time(when)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h) * (1 + stretch) + shift))
        return self.bridge(x) + h


class UNet(nn.Module):
    """Tells the noise in pictures whose height and width are even."""

    def __init__(self, channels, width, conditions=1):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64))
        self.condition = nn.Embedding(conditions, 64)
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.down = Block(width, width, 64)
        self.deep1 = Block(width, 2 * width, 64)
        self.deep2 = Block(2 * width, 2 * width, 64)
        self.up1 = Block(4 * width, width, 64)
        self.up2 = Block(2 * width, width, 64)
        self.leave = nn.Conv2d(width, channels, 3, padding=1)

    def hear(self, when, condition):
        """Let the condition join the time."""
        return when if condition is None else when + self.condition(condition)

    def read(self, features, condition):
        """Let the condition join the features in the middle."""
        return features

    def forward(self, x, t, condition=None):
        """The noise that is believed to be in x."""
        when = F.silu(self.hear(self.time(timestep_embedding(t, 64)), condition))
        fine = self.down(self.enter(x), when)
        coarse = self.read(self.deep1(F.avg_pool2d(fine, 2), when), condition)
        h = self.up1(torch.cat([self.deep2(coarse, when), coarse], dim=1), when)
        h = self.up2(torch.cat([F.interpolate(h, scale_factor=2), fine], dim=1), when)
        return self.leave(h)


torch.manual_seed(0)
betas = cosine_beta_schedule(T).to(DEVICE)
alpha_bar = alpha_bars(betas)
digit_net = UNet(1, 24, conditions=11).to(DEVICE)
history = []
with tqdm(total=2 * epochs(16), desc="digits") as bar:
    for rate in (2e-3, 5e-4):
        history += train_diffusion(
            digit_net,
            images,
            alpha_bar,
            epochs=epochs(16),
            batch_size=128,
            learning_rate=rate,
            generator=torch.Generator().manual_seed(0),
            on_epoch=lambda epoch, loss: (bar.set_postfix_str(f"loss {loss:.3f}"), bar.update()),
        )

# %% [markdown]
# A thousand steps of DDPM. Above, what is there at some times of one walk; below, the picture that the network has in
# mind at that time, `predict_x0`. It begins as a blur, something like the average of all digits, becomes *some* digit
# halfway, and spends the second half on its edges. Coarse things are decided first, details last.

# %% tags=["hands-on"]
noise = torch.randn(30, 1, *SIZE, generator=torch.Generator().manual_seed(3)).to(DEVICE)
times = list(range(T - 1, -1, -1))
film = [noise]
with tqdm(total=T, desc="sampling") as bar:
    samples = generate(digit_net, noise, times, filmed(ddpm(betas, alpha_bar, clip=1.0), film, bar))

shown = torch.linspace(950, 0, 15).long()
frames = torch.cat([film[T - 1 - time][8:9] for time in shown.tolist()])
with torch.no_grad():
    told = digit_net(frames, shown.to(DEVICE))
guesses = predict_x0(frames, shown.to(DEVICE), told, alpha_bar, clip=1.0)
plots.strips(
    {"$x_t$": visible(frames), "in mind": visible(guesses)},
    SIZE,
    captions=[str(time) for time in shown.tolist()],
    title="One walk from noise to a digit",
)

# %% tags=["hands-on"]
plots.strips(
    {
        "generated": visible(samples[:15]),
        "generated ": visible(samples[15:]),
        "written": visible(images[:15]),
    },
    SIZE,
    title="Digits that nobody has written, and some that somebody has",
)

# %% [markdown] question="many_steps" points=3
# ### Question · Why not in one step?
#
# A friend asks: "The network predicts $x$ at $t = T - 1$ already. Why not stop there and save 999 steps?" In your own
# words: what does the best possible network answer at $t = T - 1$, and what would *all* samples of your friend look
# like? Why does the same network, asked a thousand times, nevertheless arrive at sharp and different pictures? Then say
# what the smallness of the steps has to do with the network's answering with one mean only.
#
# *3 points: one for what squared error makes of the prediction at the first step; one for how the walk comes to choose,
# naming where the choice comes from; one for why the step back may be a Gaussian if it is small.*

# %% [markdown]
# ## 5 · How good is it?
#
# A diffusion model gives no likelihood for the asking, and its loss says little. So people compare *samples* with data,
# as two clouds of points in a space of **features**. For photographs these are what the last layers of a classifier say
# of them, since distances between pixels would mind a shift by one pixel more than a missing face. Our digits are so
# small, and so well centred, that their 64 pixels will do.
#
# ### Fréchet distance
#
# Pretend that both clouds are Gaussian, and measure the distance between the Gaussians. Among all ways to carry the one
# onto the other, the cheapest costs, in squared distance,
#
# $$d^2 = \lVert \mu_1 - \mu_2 \rVert^2
# + \operatorname{Tr}\!\big(\Sigma_1 + \Sigma_2 - 2\, (\Sigma_1 \Sigma_2)^{1/2}\big)$$
#
# (Fréchet 1957; Dowson & Landau 1982). With features of the Inception network and 50 000 samples this is the **FID** of
# Heusel et al. (2017), by which nearly every image generator since has been judged. Less is better. It minds both
# pictures that look wrong and kinds that are missing, and cannot tell which. It is also biased: few samples make it
# larger, so compare only at equal numbers.
#
# The square root of a matrix is not that of its entries. Of the product, only the *trace* of the root is needed, which
# is the sum of the roots of its eigenvalues, and these are those of the symmetric matrix
# $\Sigma_1^{1/2}\, \Sigma_2\, \Sigma_1^{1/2}$, which is kinder to rounding. An eigenvalue that should be 0 may come out
# as $-10^{-9}$.
#
# ### Exercise · `frechet_distance`
#
# *●●● · 25 minutes.*


# %% exercise="frechet_distance" points=3
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
    raise NotImplementedError


# %% [markdown]
# ### Precision and recall
#
# One number cannot tell *bad pictures* from *missing pictures*. Two can (Sajjadi et al. 2018; Kynkäänniemi et al.
# 2019):
#
# - **Precision**: what share of the samples look like data?
# - **Recall**: what share of the data could the model have made?
#
# "Looks like data" is made exact by balls. Around each real point lies one that reaches to its $k$-th nearest real
# neighbour; a sample that lies in any of them counts as real. For recall the roles are exchanged. A GAN whose modes
# have collapsed may have a high precision; its recall is low.
#
# ### Exercise · `precision_recall`
#
# *●● · 20 minutes.* A point is not its own neighbour.


# %% exercise="precision_recall" points=3
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
    raise NotImplementedError


# %% [markdown]
# What is the best that can be had? The training images: they are another draw from the same writers. And what do the
# measures say of pictures that are blurred, of all but three digits missing, of noise?

# %% tags=["hands-on"]
test = (2 * digits.test - 1).view(-1, 1, *SIZE).to(DEVICE)


def measure(samples):
    """Fréchet distance to the test images, precision, recall."""
    x = samples.clamp(-1, 1).flatten(1)
    real = test.flatten(1)
    return frechet_distance(real, x).item(), *precision_recall(real, x)


generator = torch.Generator().manual_seed(0)
for name, some in {
    "training images": images[:300],
    "the same, blurred": F.avg_pool2d(images[:300], 3, stride=1, padding=1),
    "only 0, 1 and 2": images[labels < 3][:300],
    "noise": torch.randn(300, 1, *SIZE, generator=generator).to(DEVICE),
}.items():
    distance, precision, recall = measure(some)
    print(f"{name:20} distance {distance:6.2f}   precision {precision:4.0%}   recall {recall:4.0%}")

# %% [markdown]
# (Why has noise any recall at all? Its points lie so far from each other that their balls are huge, and some real
# digits lie in them. Who measures should know the ruler: Naeem et al. 2020 propose a sturdier one.)
#
# %% [markdown]
# ## 6 · Fewer steps
#
# A thousand calls of the network for one batch of pictures is the price of DDPM, and its greatest fault. Song, Meng &
# Ermon (2021) noticed that training fixes less than one thinks. The loss knows only the *marginals* $q(x_t \mid x)$,
# not how one step depends on the other, and there are many processes with the same marginals. Among them is one that
# adds no noise at all on the way back: **DDIM**. Take the predicted $\hat x$, take the predicted noise, and mix them
# anew, in the proportions of any earlier time $s < t$:
#
# $$x_s = \sqrt{\bar\alpha_s}\; \hat x + \sqrt{1 - \bar\alpha_s - \sigma^2}\;\, \hat\varepsilon + \sigma z,
# \qquad \sigma = \eta\, \sqrt{\frac{1 - \bar\alpha_s}{1 - \bar\alpha_t}}\, \sqrt{1 - \frac{\bar\alpha_t}{\bar\alpha_s}}$$
#
# (their eq. 12 and 16). With $\eta = 0$ nothing is left to chance; with $\eta = 1$ and $s = t - 1$ it is DDPM. Look at
# the powers: whatever $\sigma$, the noise that is kept and the noise that is new add up to $1 - \bar\alpha_s$.
#
# A deterministic walk can take long strides, since it follows a smooth curve, the solution of a differential equation
# (Song et al. 2021). And the noise it begins with *determines* the picture, like a code. That makes samples comparable,
# lets one interpolate, and, walking the other way, find the noise of a given picture in order to edit it.
#
# ### Exercise · `ddim_step`
#
# *●●● · 25 minutes.* Any earlier time, and −1 for clean data. If the predicted picture is confined, the noise has to
# fit the confined one.


# %% exercise="ddim_step" points=4
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
    raise NotImplementedError


# %% [markdown]
# First in the plane, with the network that knows the spiral: the ways of forty points. They are smooth curves now, and
# each place in the noise has its own place on the spiral.

# %% tags=["hands-on"]


def spaced(count):
    """So many times at equal distances, from the last to the first."""
    return torch.linspace(T - 1, 0, count).round().long().tolist()


def ddim(alpha_bar, *, eta=0.0, clip=1.0, seed=0):
    """DDIM's step, drawing its own noise if need be, as `generate` calls it."""
    generator = torch.Generator().manual_seed(seed)

    def step(x, t, following, predicted):
        noise = torch.randn(x.shape, generator=generator).to(x) if eta else None
        return ddim_step(x, t, following, predicted, alpha_bar, noise=noise, eta=eta, clip=clip)

    return step


noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(2)).to(DEVICE)
film = [noise]
times = list(range(PLANE_T - 1, -1, -2))
generate(plane_net, noise, times, filmed(ddim(plane_rates, clip=None), film))
ways = torch.stack(film)[:, :40]
plots.fields(
    {"noise": (film[0], None, None), "100 steps with η = 0": (film[-1], None, None)},
    extent=2.5,
    paths=list(ways.unbind(dim=1)),
)

# %% [markdown]
# The same noise, the same network, fewer and fewer steps, with and without fresh noise.

# %% tags=["hands-on"]

noise = torch.randn(300, 1, *SIZE, generator=torch.Generator().manual_seed(3)).to(DEVICE)
counts = (3, 5, 10, 30)
rows, found = {}, {"η = 0 (DDIM)": [], "η = 1 (DDPM)": []}
with tqdm(total=2 * sum(counts), desc="sampling") as bar:
    for values, eta in zip(found.values(), (0.0, 1.0), strict=True):
        for count in counts:
            step = filmed(ddim(alpha_bar, eta=eta), [], bar)
            samples = generate(digit_net, noise, spaced(count), step)
            values.append(measure(samples))
            rows[f"η = {eta:g}, {count} steps"] = visible(samples[:15])
plots.strips(rows, SIZE, title="The same noise, walked down in different ways", scale=0.8)

# %% tags=["hands-on"]
kinds = ("Fréchet distance", "precision", "recall")
panels = {}
for i, kind in enumerate(kinds):
    panels[kind] = {name: torch.tensor(values)[:, i] for name, values in found.items()}
plots.curves(
    panels,
    x=torch.tensor(counts).log2(),
    xlabel="steps, as log₂",
    ylabel=kinds,
    legend=True,
)

# %% [markdown]
# Look down a column. With $\eta = 0$ the digit stays the same digit as soon as there are a few steps, only its edges
# improve; with $\eta = 1$ every row is another walk and may end anywhere. The deterministic walk needs fewer steps, and
# covers more of the data at any number of them. Fresh noise, given enough steps, mends earlier mistakes: its samples
# are more often good ones, so that its precision is higher. Three steps are too few for either, and what comes out is
# blurred towards the average. Today's samplers get by with some twenty steps (DPM-Solver: Lu et al. 2022), and networks
# that were trained to take a whole walk at once with one to four (consistency models: Song et al. 2023; adversarial
# distillation: Sauer et al. 2024).
#
# ## 7 · Guidance
#
# ### Saying what one wants
#
# To make a *seven*, tell the network the label: $\varepsilon_\theta(x_t, t, y)$. A label is one more embedding that is
# added to the time's. This alone works, and works rather weakly: networks listen to the loud noise first and to the
# quiet label second.
#
# **Classifier-free guidance** (Ho & Salimans 2022) turns up the volume. While training, the label is dropped now and
# then (in one case out of ten, say) and replaced by $\varnothing$, "no condition". So one network learns both, the
# noise given the label and the noise given nothing. Their difference points to what makes this label *this* label, and
# one walks further in that direction than the model itself would:
#
# $$\hat\varepsilon = \varepsilon_\theta(x_t, t, \varnothing)
# + s\, \big(\varepsilon_\theta(x_t, t, y) - \varepsilon_\theta(x_t, t, \varnothing)\big).$$
#
# In terms of scores this climbs $\log q(x) + s \log q(y \mid x)$, where the second part is what a classifier would say,
# though there is none. Beware of two conventions: the paper's weight is $w = s - 1$. Ours is that of most software,
# where $s = 1$ is the plain conditional model; Stable Diffusion's usual strength is $s = 7.5$.
#
# ### Exercise · `guided_noise`
#
# *●● · 10 minutes.* Two calls, or one with both halves in a batch.


# %% exercise="guided_noise" points=3
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
    raise NotImplementedError


# %% [markdown]
# The network for digits learns labels in a few seconds more, for it knows digits already. The loop is that of
# `train_diffusion`, with labels beside the images; label 10 is $\varnothing$.


# %% tags=["hands-on"]
def fit_condition(net, clean, conditions, null, *, passes, rate, name):
    """Teach a network conditions, dropping each with probability 0.1."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for done in tqdm(range(epochs(passes)), desc=name):
        for group in optimizer.param_groups:  # first fast, then carefully
            group["lr"] = rate * min(1.0, 2 - 2 * done / epochs(passes))
        for rows in torch.randperm(len(clean), generator=generator).split(96):
            x0, condition = clean[rows], conditions[rows].clone()
            condition[torch.rand(len(rows), generator=generator) < 0.1] = null
            t = torch.randint(T, (len(rows),), generator=generator).to(DEVICE)
            noise = torch.randn(x0.shape, generator=generator).to(DEVICE)
            optimizer.zero_grad()
            ddpm_loss(lambda xt, t, c=condition: net(xt, t, c), x0, t, noise, alpha_bar).backward()
            optimizer.step()


def guided(net, condition, *, scale, null):
    """A model for `generate` that is guided towards a condition."""
    return lambda x, t: guided_noise(net, x, t, condition, scale=scale, null=null)


NONE = 10
label_net = copy.deepcopy(digit_net)
fit_condition(label_net, images, labels, NONE, passes=14, rate=2e-3, name="labels")

# %% [markdown]
# Which digit is a sample? A small classifier is the judge of obedience.

# %% tags=["hands-on"]
torch.manual_seed(0)
classifier = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
classifier.to(DEVICE)
optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)
for _ in range(20):
    for rows in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        F.cross_entropy(classifier(images[rows]), labels[rows]).backward()
        optimizer.step()

wanted = torch.arange(10, device=DEVICE).repeat(20)
noise = torch.randn(200, 1, *SIZE, generator=torch.Generator().manual_seed(5)).to(DEVICE)
rows, table = {}, []
strengths = (0.0, 1.0, 2.0, 4.0, 8.0)
for strength in tqdm(strengths, desc="sampling"):
    model = guided(label_net, wanted, scale=strength, null=NONE)
    samples = generate(model, noise, spaced(15), ddim(alpha_bar))
    with torch.no_grad():
        obeyed = (classifier(samples).argmax(dim=1) == wanted).float().mean().item()
    table.append([obeyed, *measure(samples)[1:]])
    rows[f"strength {strength:g}"] = visible(samples[:20])
plots.strips(rows, SIZE, captions=[*"01234567890123456789"], title="The same noise, guided")

# %% tags=["hands-on"]
obeyed, precisions, recalls = torch.tensor(table).T
plots.curves(
    {"By strength": {"obeys": obeyed, "precision": precisions, "recall": recalls}},
    x=torch.tensor(strengths),
    xlabel="strength of guidance",
    ylabel="share",
)

# %% [markdown]
# Without guidance (0) the label is ignored, and one sample in ten is right by chance. At 1 most are. Beyond, every
# sample is the digit that it should be, and looks more and more like *the* seven, the boldest of its kind: recall
# falls. Guidance buys obedience and beauty with variety. At 8 it leaves what digits look like.

# %% [markdown] question="guidance" points=3
# ### Question · What guidance costs
#
# Guidance with a strength above 1 samples from none of the distributions that the network was trained on. Explain with
# the two noises in the formula what it does to a sample that lies between two classes, and to one that is typical of
# its class already. Which of precision and recall do you expect to move, and why? Then: a company finds that "a photo
# of a doctor" shows men more often the higher the strength, though in the training data it was six to four. Explain how
# that can be.
#
# *3 points: one for what the difference of the two noises points to, and where it is large; one for the effect on
# precision and recall with its reason; one for how an imbalance grows, with the name of the mechanism.*

# %% [markdown]
# ## 8 · Stable Diffusion, in small
#
# ### Paint in latent space
#
# All this has been about 8 × 8 pixels. A photograph has ten thousand times as many, and a thousand steps over all of
# them is what only few could afford. Most of those pixels say nothing that one would *see*: the exact grain of a wall,
# the exact place of each hair. Rombach et al. (2022) split the work. An **autoencoder**, trained once, squeezes
# pictures into a much smaller grid of numbers and back, and takes care of the grain. The diffusion model works in that
# grid, and takes care of what the picture *is*. This is latent diffusion, and Stable Diffusion is one:
#
# | part | in Stable Diffusion 1 | here |
# | --- | --- | --- |
# | autoencoder (a VAE, its KL weighted lightly) | 512 × 512 × 3 to 64 × 64 × 4 | 32 × 32 × 1 to 8 × 8 × 2 |
# | text encoder | CLIP's Transformer, frozen, 123 million weights | a table of embeddings |
# | denoiser | U-Net with cross-attention, 860 million weights | U-Net with cross-attention, 0.3 million |
# | trained on | hundreds of millions of pictures with captions from the web (LAION) | 700 drawn letters |
# | sampled by | some 20 to 50 steps, guidance of 7.5 | 25 steps, guidance of 3 |
#
# (Figures of the left column: Rombach et al. 2022 and the model card of Stable Diffusion v1. Its successors have the
# same parts with another denoiser, a Transformer over patches of latents: Peebles & Xie 2023, Esser et al. 2024.)
#
# One detail is easily forgotten. The schedule assumes data of variance about 1, and an autoencoder's latents have any
# variance they like. So they are multiplied by a constant, one over their standard deviation, on the way in, and
# divided by it on the way out. In Stable Diffusion it is the famous 0.18215. Who forgets it gets noise schedules that
# destroy far too little, and pictures in false colours.
#
# ### Exercise · `to_latents`
#
# *● · 10 minutes.* Mind the three scales: pixels in [0, 1], pixels in [−1, 1], latents.


# %% exercise="to_latents" points=2
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
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `from_latents`
#
# *● · 5 minutes.* The same way back, in the opposite order.


# %% exercise="from_latents" points=2
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
    raise NotImplementedError


# %% [markdown]
# Our pictures are capital letters in four typefaces, in black or in pale ink, each with a caption such as *pale slab
# R*. We keep some combinations back: no *slab R* and no *narrow K* is in the training set, whatever the ink, and no
# *pale roman S*. First the autoencoder, which sees no captions.

# %% tags=["hands-on"]
FACES, LETTERS = ("plain", "narrow", "slab", "roman"), "AGHKMRST"
UNSEEN = {"slab R", "pale slab R", "narrow K", "pale narrow K", "pale roman S"}
generator = torch.Generator().manual_seed(0)
drawn = [data.draw_letters(large, letters=LETTERS, generator=generator)[0] for _ in range(24)]
names = [f"{face} {letter}" for face in FACES for letter in LETTERS] * len(drawn)
pale = torch.rand(len(names), generator=generator) < 0.4
letters = torch.cat(drawn).view(-1, 1, 32, 32)
letters = torch.where(pale.view(-1, 1, 1, 1), 0.45 * letters, letters)
captions = ["pale " * p + name for p, name in zip(pale.tolist(), names, strict=True)]
kept = torch.tensor([caption not in UNSEEN for caption in captions])
letters = letters[kept].to(DEVICE)
captions = [caption for caption in captions if caption not in UNSEEN]

torch.manual_seed(0)
encoder = nn.Sequential(
    nn.Conv2d(1, 16, 3, stride=2, padding=1),
    nn.SiLU(),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.SiLU(),
    nn.Conv2d(32, 4, 3, padding=1),  # two channels of means, two of log-variances
).to(DEVICE)
decoder = nn.Sequential(
    nn.Conv2d(2, 32, 3, padding=1),
    nn.SiLU(),
    nn.Upsample(scale_factor=2),
    nn.Conv2d(32, 16, 3, padding=1),
    nn.SiLU(),
    nn.Upsample(scale_factor=2),
    nn.Conv2d(16, 1, 3, padding=1),
).to(DEVICE)


def encode(x):
    """The Gaussian over latents of each picture: means and log-variances."""
    return encoder(x).chunk(2, dim=1)


optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
for _ in tqdm(range(epochs(14)), desc="autoencoder"):
    for rows in torch.randperm(len(letters)).split(64):
        x = 2 * letters[rows] - 1
        mu, logvar = encode(x)
        z = to_latents(letters[rows], encode, torch.randn(mu.shape).to(DEVICE), scale=1.0)
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
        optimizer.zero_grad()
        (((decoder(z) - x).square().sum() + 0.03 * kl) / len(x)).backward()
        optimizer.step()

noise = torch.randn(len(letters), 2, 8, 8, generator=generator).to(DEVICE)
with torch.no_grad():
    SCALE = 1 / encode(2 * letters - 1)[0].std().item()
    latents = to_latents(letters, encode, noise, scale=SCALE)
    rebuilt = from_latents(latents[:15], decoder, scale=SCALE)
print(f"scale {SCALE:.3f}; {letters[0].numel()} pixels, {latents[0].numel()} latents")
first, second = F.interpolate(latents[:15] / 2, scale_factor=4).split(1, dim=1)
plots.strips(
    {
        "picture": visible(2 * letters[:15] - 1),
        "latents, channel 1": visible(first),
        "channel 2": visible(second),
        "rebuilt": visible(2 * rebuilt - 1),
    },
    (32, 32),
    title="Through the autoencoder",
)

# %% [markdown]
# The latents are still little pictures: convolutions keep things in their places, and so a U-Net can work on them.
#
# ### Let the picture read the text
#
# A label is one number; a caption is a row of words, and different places of the picture need different words. So let
# each place *ask*. In **cross-attention** every pixel (of the features in the middle of the U-Net) makes a query $q$
# out of itself, every word makes a key $k$ and a value $v$, and the pixel reads the values of the words whose keys
# match its query (Vaswani et al. 2017; Rombach et al. 2022, section 3.3):
#
# $$\mathrm{Attention}(Q, K, V) = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V, \qquad
# Q = x\, W_Q^\top,\quad K = c\, W_K^\top,\quad V = c\, W_V^\top .$$
#
# The softmax runs over *words*: each pixel distributes its attention among them, and padding gets none. The root of $d$
# keeps the scores of order 1, for a product of $d$ pairs of random numbers has variance $d$. Several **heads** with $d$
# channels each ask several questions at once, and $d$ is the size of one head, not of all of them together.
#
# ### Exercise · `cross_attention`
#
# *●●● · 25 minutes.*


# %% exercise="cross_attention" points=3
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
    raise NotImplementedError


# %% [markdown]
# Now all parts meet: letters go through your `to_latents`, the U-Net tells the noise in latents, reads the captions by
# your `cross_attention`, is trained by your `ddpm_loss`, guided by your `guided_noise`, walked by your `ddim_step`, and
# what comes out is painted by your `from_latents`. The empty caption $\varnothing$ is a row of *unknown*.

# %% tags=["hands-on"]


class TextUNet(UNet):
    """A U-Net whose pixels read words."""

    def __init__(self, channels, width, words):
        super().__init__(channels, width)
        self.words, self.places = nn.Embedding(words, 64), nn.Embedding(8, 64)
        self.to_q = nn.Linear(2 * width, 2 * width, bias=False)
        self.to_k = nn.Linear(64, 2 * width, bias=False)
        self.to_v = nn.Linear(64, 2 * width, bias=False)
        self.join = nn.Linear(2 * width, 2 * width)

    def hear(self, when, condition):
        """Words come in by another door."""
        return when

    def read(self, features, condition):
        """Let each pixel of the features read the words (batch, length)."""
        pixels = features.flatten(2).transpose(1, 2)
        place = torch.arange(condition.shape[1], device=condition.device)
        context = self.words(condition) + self.places(place)
        weights = self.to_q.weight, self.to_k.weight, self.to_v.weight
        mask = condition != vocabulary.padding
        told = self.join(cross_attention(pixels, context, *weights, heads=4, mask=mask))
        return features + told.transpose(1, 2).unflatten(2, features.shape[2:])


vocabulary = data.Vocabulary(sorted({word for caption in captions for word in caption.split()}))
tokens = vocabulary.encode(captions).to(DEVICE)
torch.manual_seed(0)
text_net = TextUNet(2, 32, len(vocabulary)).to(DEVICE)
EMPTY = vocabulary.unknown
fit_condition(text_net, latents, tokens, EMPTY, passes=48, rate=2e-3, name="text to latents")

# %% tags=["hands-on"]
prompts = ["plain A", "narrow G", "roman M", "pale slab T", *sorted(UNSEEN)]
asked = vocabulary.encode(prompts).to(DEVICE).repeat(3, 1)
generator = torch.Generator().manual_seed(1)
noise = torch.randn(len(asked), 2, 8, 8, generator=generator).to(DEVICE)
strengths = (0.0, 1.0, 3.0, 8.0)
painted = []
for strength in tqdm(strengths, desc="sampling"):
    model = guided(text_net, asked, scale=strength, null=EMPTY)
    z = generate(model, noise, spaced(25), ddim(alpha_bar, clip=4.0))
    with torch.no_grad():
        painted += from_latents(z, decoder, scale=SCALE).split(len(prompts))
films = visible(2 * torch.stack(painted, dim=1) - 1).view(len(prompts), 3 * len(strengths), -1)
plots.strips(
    dict(zip(prompts, films, strict=True)),
    (32, 32),
    captions=[word for s in strengths for word in ("", f"strength {s:g}", "")],
    title="Letters from words, three of each strength",
)

# %% [markdown]
# The last five rows are the point of it. No such picture was in the training set; the words were, in other company, and
# the network has learnt what each of them does. This **composition** is what lets a large model paint "an astronaut
# riding a horse" (and, like ours, it is no more than a habit: count the places in which it fails).
#
# ## 9 · A pretrained pipeline
#
# In practice one rarely trains from scratch. `diffusers` keeps model, schedule and preprocessing together in a
# *pipeline*. The one that comes with this course is small, and was trained on digits for a few thousand steps; it is
# loaded and used exactly like its large relatives. With a GPU, or patience, and a network, this is all it takes to run
# Stable Diffusion:
#
# ```python
# from diffusers import StableDiffusionPipeline
# pipeline = StableDiffusionPipeline.from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5")
# pipeline("a watercolour of a lighthouse at dawn", num_inference_steps=25, guidance_scale=7.5).images[0]
# ```
#
# Ours takes no prompt. Look inside: its schedule is one of yours.

# %% tags=["hands-on"]
settings = pipeline.scheduler.config
theirs = pipeline.scheduler.alphas_cumprod
parts = [type(part).__name__ for part in (pipeline, pipeline.unet, pipeline.scheduler)]
print(f"{parts[0]}: {parts[1]}, {parts[2]}")
print(f"{sum(weight.numel() for weight in pipeline.unet.parameters()):,} weights")
print(f"{settings.num_train_timesteps} steps, schedule {settings.beta_schedule}")
print(f"ᾱ differs from yours by at most {(theirs - alpha_bar.cpu()).abs().max():.1e}")
generator = torch.Generator().manual_seed(0)
pipeline.set_progress_bar_config(disable=True)
made = pipeline(batch_size=15, generator=generator, num_inference_steps=50, output_type="np").images
made = torch.from_numpy(made).permute(0, 3, 1, 2)
plots.strips({"the pipeline": made.flatten(1)}, SIZE, title="DDPMPipeline, 50 steps")

# %% [markdown]
# A scheduler can be exchanged without training anything anew, and so can *yours* be put in its place: the pipeline's
# network walked by your `generate` and `ddim_step`, beside `diffusers`' own `DDIMScheduler`, from the same noise.

# %% tags=["hands-on"]


@torch.no_grad()
def pretrained(x, t):
    """The noise as the pipeline's network tells it."""
    return pipeline.unet(x, t).sample


noise = torch.randn(300, 1, *SIZE, generator=torch.Generator().manual_seed(6)).to(DEVICE)
scheduler = DDIMScheduler.from_config(settings, timestep_spacing="leading")
scheduler.set_timesteps(20)
x = noise[:15]
for t in scheduler.timesteps:
    step = scheduler.step(pretrained(x, t), t, x, use_clipped_model_output=True)
    x = step.prev_sample
yours = generate(pretrained, noise[:15], scheduler.timesteps.tolist(), ddim(alpha_bar))
print(f"largest difference of a pixel: {(x - yours).abs().max():.1e}")
plots.strips({"diffusers": visible(x), "yours": visible(yours)}, SIZE, title="DDIM, 20 steps")

# %% [markdown]
# ## 10 · Against GANs and VAEs
#
# Three ways to turn noise into pictures. What is each good at? Train a VAE and a GAN on the same digits (both are small
# and quickly trained; give them more if you find that unfair), and measure all three.

# %% tags=["hands-on"]


def layers(*widths, end=None):
    """A network with LeakyReLU between its layers."""
    parts = []
    for before, after in pairwise(widths):
        parts += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts[:-1], *([end] if end else [])).to(DEVICE)


def train_vae(passes):
    """A VAE with 16 latent dimensions; returns how to draw from it."""
    torch.manual_seed(0)
    encoder, decoder = layers(64, 256, 32), layers(16, 256, 64)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    for _ in tqdm(range(passes), desc="VAE"):
        for rows in torch.randperm(len(images)).split(64):
            x = images[rows].flatten(1)
            mu, logvar = encoder(x).chunk(2, dim=1)
            drawn = decoder(mu + (0.5 * logvar).exp() * torch.randn_like(mu))
            kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
            optimizer.zero_grad()  # pixels with a standard deviation of 0.3
            (((drawn - x).square().sum() / (2 * 0.3**2) + kl) / len(x)).backward()
            optimizer.step()
    return lambda z: decoder(z[:, :16])


def train_gan(passes):
    """A GAN with the non-saturating loss and a penalty on slopes; returns how to draw from it."""
    torch.manual_seed(0)
    generator, critic = layers(16, 128, 128, 64, end=nn.Tanh()), layers(64, 128, 128, 1)
    ours = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    theirs = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.99))
    for _ in tqdm(range(passes), desc="GAN"):
        for rows in torch.randperm(len(images)).split(64):
            real = images[rows].flatten(1).requires_grad_()
            fake = generator(torch.randn(len(real), 16, device=DEVICE))
            of_real = critic(real)
            (slope,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
            loss = F.softplus(-of_real).mean() + F.softplus(critic(fake.detach())).mean()
            theirs.zero_grad()
            (loss + 0.1 * slope.square().sum(dim=1).mean()).backward()
            theirs.step()
            ours.zero_grad()
            F.softplus(-critic(fake)).mean().backward()
            ours.step()
    return generator


makers = {"VAE": train_vae(epochs(50)), "GAN": train_gan(epochs(90))}
z = torch.randn(300, 64, generator=torch.Generator().manual_seed(7)).to(DEVICE)
made = {}
with torch.no_grad():
    made["VAE"] = makers["VAE"](z).view(-1, 1, *SIZE)
    made["GAN"] = makers["GAN"](z[:, :16]).view(-1, 1, *SIZE)
for name, model in (("diffusion", digit_net), ("pretrained diffusion", pretrained)):
    step = ddim(alpha_bar, eta=1.0)
    made[name] = generate(model, z.view(-1, 1, *SIZE), spaced(30), step)
made["training images"] = images[:300]
plots.strips({name: visible(x[:15]) for name, x in made.items()}, SIZE, title="Who made it?")

# %% tags=["hands-on"]
calls = {"VAE": 1, "GAN": 1, "diffusion": 30, "pretrained diffusion": 30}
points = {}
print(f"{'':22}{'distance':>9}{'precision':>11}{'recall':>8}{'calls':>7}")
for name, x in made.items():
    distance, precision, recall = measure(x)
    print(f"{name:22}{distance:9.2f}{precision:11.0%}{recall:8.0%}{calls.get(name, ''):>7}")
    points[name] = ([recall], [precision])
plots.curves({"Precision and recall": points}, xlabel="recall", ylabel="precision")

# %% [markdown]
# What you see in small has been found at large.
#
# - **VAE**: the samples are soft, since pixels are taken for independent given the code, and its best answer to doubt
#   is an average. An average lies in the midst of the data, so precision does not mind; recall does. One call of the
#   network, stable training, a bound on the likelihood, a code for every image.
# - **GAN**: sharp, in one call. But nobody asks a generator to cover the data, only to convince the critic, and much of
#   what people write is never made. Training is a game, and it can be lost.
# - **Diffusion**: sharp *and* varied, by plain regression. The price is paid in calls.
#
# Dhariwal & Nichol (2021) put it in their title, *Diffusion Models Beat GANs on Image Synthesis*: with guidance their
# model reached an FID of 4.59 on ImageNet at 256 × 256, it matched BigGAN-deep, the GAN to beat, in 25 steps already,
# and it covered more of the data at that. Xiao, Kreis & Vahdat (2022) speak of a **trilemma**: good samples, good
# coverage, fast sampling; each family has two of the three. Much of what has been published since buys the third corner
# back. And the families marry: latent diffusion *is* a VAE (or a GAN-trained autoencoder) with a diffusion model as its
# prior, and the fastest samplers are distilled with a critic.
#
# A word of caution that holds for all of them. Large models have been caught painting single training images again,
# photographs of private people among them (Carlini et al. 2023), and they draw the world with the prejudices of its
# captions (Luccioni et al. 2023). A model with 160 000 weights for 1437 digits is not above it. Look for the nearest
# training image of each sample before you call it new.

# %% tags=["hands-on"]
some = made["diffusion"][:15].flatten(1)
nearest = torch.cdist(some.clamp(-1, 1), images.flatten(1)).argmin(dim=1)
plots.strips(
    {"generated": visible(some), "nearest in training": visible(images[nearest])},
    SIZE,
    title="Is it new?",
)

# %% [markdown] question="three_families" points=4
# ### Question · Three families
#
# For each of these tasks choose a VAE, a GAN or a diffusion model, and defend the choice with properties that you have
# measured or derived in this notebook: (a) a phone filter that must change every frame of a video call; (b) a tool that
# proposes many different sketches of a chair for a designer; (c) an alarm for unusual images from a machine's camera.
# Then name one change to your choice in (b) that would make it ten times as fast, and what it would cost.
#
# *4 points: one for each choice that is defended with a property of the family (not only with a name), one for the
# change with its cost.*

# %% [markdown]
# ## Further reading
#
# - J. Ho, A. Jain & P. Abbeel, *Denoising Diffusion Probabilistic Models*, NeurIPS 2020,
#   [arXiv:2006.11239](https://arxiv.org/abs/2006.11239). Read this one first. Before it: J. Sohl-Dickstein et al.,
#   *Deep Unsupervised Learning using Nonequilibrium Thermodynamics*, ICML 2015,
#   [arXiv:1503.03585](https://arxiv.org/abs/1503.03585).
# - Y. Song & S. Ermon, *Generative Modeling by Estimating Gradients of the Data Distribution*, NeurIPS 2019,
#   [arXiv:1907.05600](https://arxiv.org/abs/1907.05600); Y. Song et al., *Score-Based Generative Modeling through
#   Stochastic Differential Equations*, ICLR 2021, [arXiv:2011.13456](https://arxiv.org/abs/2011.13456); P. Vincent, *A
#   Connection Between Score Matching and Denoising Autoencoders*, Neural Computation 2011.
# - A. Nichol & P. Dhariwal, *Improved Denoising Diffusion Probabilistic Models*, ICML 2021,
#   [arXiv:2102.09672](https://arxiv.org/abs/2102.09672); D. P. Kingma et al., *Variational Diffusion Models*, NeurIPS
#   2021, [arXiv:2107.00630](https://arxiv.org/abs/2107.00630); S. Lin et al., *Common Diffusion Noise Schedules and
#   Sample Steps are Flawed*, WACV 2024, [arXiv:2305.08891](https://arxiv.org/abs/2305.08891); E. Hoogeboom, J. Heek &
#   T. Salimans, *simple diffusion*, ICML 2023, [arXiv:2301.11093](https://arxiv.org/abs/2301.11093).
# - J. Song, C. Meng & S. Ermon, *Denoising Diffusion Implicit Models*, ICLR 2021,
#   [arXiv:2010.02502](https://arxiv.org/abs/2010.02502); C. Lu et al., *DPM-Solver*, NeurIPS 2022,
#   [arXiv:2206.00927](https://arxiv.org/abs/2206.00927); Y. Song et al., *Consistency Models*, ICML 2023,
#   [arXiv:2303.01469](https://arxiv.org/abs/2303.01469); A. Sauer et al., *Adversarial Diffusion Distillation*, ECCV
#   2024, [arXiv:2311.17042](https://arxiv.org/abs/2311.17042).
# - J. Ho & T. Salimans, *Classifier-Free Diffusion Guidance*, 2022,
#   [arXiv:2207.12598](https://arxiv.org/abs/2207.12598).
# - R. Rombach et al., *High-Resolution Image Synthesis with Latent Diffusion Models*, CVPR 2022,
#   [arXiv:2112.10752](https://arxiv.org/abs/2112.10752): Stable Diffusion. W. Peebles & S. Xie, *Scalable Diffusion
#   Models with Transformers*, ICCV 2023, [arXiv:2212.09748](https://arxiv.org/abs/2212.09748); P. Esser et al.,
#   *Scaling Rectified Flow Transformers for High-Resolution Image Synthesis*, ICML 2024,
#   [arXiv:2403.03206](https://arxiv.org/abs/2403.03206).
# - P. Dhariwal & A. Nichol, *Diffusion Models Beat GANs on Image Synthesis*, NeurIPS 2021,
#   [arXiv:2105.05233](https://arxiv.org/abs/2105.05233); Z. Xiao, K. Kreis & A. Vahdat, *Tackling the Generative
#   Learning Trilemma with Denoising Diffusion GANs*, ICLR 2022, [arXiv:2112.07804](https://arxiv.org/abs/2112.07804).
# - M. Heusel et al., *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, NeurIPS 2017,
#   [arXiv:1706.08500](https://arxiv.org/abs/1706.08500), where FID comes from; M. Sajjadi et al., *Assessing Generative
#   Models via Precision and Recall*, NeurIPS 2018, [arXiv:1806.00035](https://arxiv.org/abs/1806.00035); T.
#   Kynkäänniemi et al., *Improved Precision and Recall Metric for Assessing Generative Models*, NeurIPS 2019,
#   [arXiv:1904.06991](https://arxiv.org/abs/1904.06991); M. F. Naeem et al., *Reliable Fidelity and Diversity Metrics
#   for Generative Models*, ICML 2020, [arXiv:2002.09797](https://arxiv.org/abs/2002.09797).
# - N. Carlini et al., *Extracting Training Data from Diffusion Models*, USENIX Security 2023,
#   [arXiv:2301.13188](https://arxiv.org/abs/2301.13188); S. Luccioni et al., *Stable Bias*, NeurIPS 2023,
#   [arXiv:2303.11408](https://arxiv.org/abs/2303.11408).
# - W. Feller, *On the Theory of Stochastic Processes*, 1949; H. Robbins, *An Empirical Bayes Approach to Statistics*,
#   1956; B. Efron, *Tweedie's Formula and Selection Bias*, JASA 2011; D. Dowson & B. Landau, *The Fréchet Distance
#   between Multivariate Normal Distributions*, Journal of Multivariate Analysis 1982; O. Ronneberger, P. Fischer & T.
#   Brox, *U-Net*, MICCAI 2015, [arXiv:1505.04597](https://arxiv.org/abs/1505.04597); A. Vaswani et al., *Attention Is
#   All You Need*, NeurIPS 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762).
