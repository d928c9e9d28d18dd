# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Variational autoencoders
#
# Show a machine a few thousand handwritten digits, with no labels and no rules, and ask three things of it:
#
# - **Draw one that nobody has written.** Generation.
# - **Say in two numbers what matters about this one.** Representation, compression, dimensionality reduction.
# - **Tell whether this thing is a digit at all.** Anomaly detection.
#
# A *variational autoencoder* (VAE) answers all three with one pair of networks and one objective. It was found twice in
# the same winter (Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014), and it has not left since: image generators
# such as Stable Diffusion paint in the latent space of a VAE, chemists search molecules in one
# (Gómez-Bombarelli et al. 2018), and the objective that you will derive here returns almost unchanged in diffusion
# models.
#
# You will build it from its parts, then watch it: its plane of digits, its films from one digit to another, the letters
# that it finds strange. At the end the same objective writes sentences, and you will see it fail in the way that is
# most worth knowing about, *posterior collapse*, and mend it.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension;
# - `logvar` is $\log \sigma^2$: not $\sigma$, not $\sigma^2$, not $\log \sigma$;
# - logarithms are natural, so information is measured in *nats*: 1 nat is $1/\ln 2 \approx 1.44$ bits;
# - functions draw no random numbers of their own: the noise, or its generator, is passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. A default such as `kl=kl_divergence` is fixed when its cell
# is run: after mending an earlier answer run the cells below it once more.
#
# Plan for three to four hours. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 60_000  # images that each model sees in training; with a GPU, try 2_000_000
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

digits = data.load_digits()  # MNIST if it can be had, else scikit-learn's small collection
SIZE = digits.height, digits.width
train, train_labels = digits.train[:20_000].to(DEVICE), digits.train_labels[:20_000]
test, test_labels = digits.test[:1000].to(DEVICE), digits.test_labels[:1000]
print(f"{digits.name}: {len(train)} + {len(test)} images of {SIZE[0]} × {SIZE[1]} pixels")

# %% [markdown]
# Here is the whole machine. An image goes into the **encoder**, which answers not with one code but with a small cloud
# of codes, a Gaussian. One code is drawn from the cloud. The **decoder** turns it into an image: to be exact, into the
# probability of ink at each pixel. Training pulls in two directions. The image that comes out should be like the one
# that went in, and the clouds of all images together should look like one standard Gaussian, the *prior*. The first
# makes the code informative. The second makes it usable: whoever draws a code from the prior lands where the decoder
# knows what to do.
#
# (The picture on the right is the mean of the twelve training images nearest to the one on the left. That is what a
# decoder tends to: the average of the images whose clouds cover the code.)

# %% tags=["hands-on"]
nearest = (train - train[0]).square().sum(dim=1).argsort()[:12]
plots.autoencoder(train[0], train[nearest].mean(dim=0), SIZE)

# %% [markdown]
# ## 1 · A story of how images come about
#
# A *latent variable model* is a story in two steps. First nature draws a few numbers that nobody sees, the **code** $z$:
# which digit, how slanted, how bold. Then it draws the image $x$ by the light of that code:
#
# $$z \sim p(z) = \mathcal{N}(0, I), \qquad x \sim p_\theta(x \mid z), \qquad
# p_\theta(x) = \int p_\theta(x \mid z)\, p(z)\, \mathrm{d}z .$$
#
# The prior is as plain as can be, and next to nothing is lost by that: a network that is wide enough bends a Gaussian
# into almost any shape. All that is interesting sits in $p_\theta(x \mid z)$, the decoder, a network with weights
# $\theta$. We would like $\theta$ to make our data likely, that is, to maximise $\sum_n \log p_\theta(x_n)$. Hold that
# thought; the integral will be trouble.
#
# Our pixels lie between 0 (paper) and 1 (ink). We let each be an independent coin, given the code: pixel $i$ is on with
# probability $\sigma(a_i)$, where $a = \mathrm{decoder}(z)$ are **logits**, any real numbers, and
# $\sigma(a) = 1 / (1 + e^{-a})$. Pixels of one image are of course far from independent. They become so only *given*
# $z$: whatever two pixels have in common, the code must say. This is what gives the code something to do.
#
# ### Exercise · `Decoder`
#
# *● · 10 minutes.* One hidden layer will do. Leave the sigmoid out: the next exercise shows why.


# %% exercise="Decoder" points=2
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
        raise NotImplementedError

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch data"]:
        """Decode a batch of codes.

        Args:
            z: codes (batch, latent_dim), one in each row.

        Returns:
            Logits (batch, data_dim), not probabilities.
        """
        raise NotImplementedError


# %% [markdown]
# ### How likely is this image?
#
# For independent coins with probabilities $\pi_i = \sigma(a_i)$ the log-likelihood of an image is
#
# $$\log p_\theta(x \mid z) = \sum_i \big[\, x_i \log \pi_i + (1 - x_i) \log (1 - \pi_i) \,\big]$$
#
# (Kingma & Welling 2014, eq. 11; you know it, with the sign turned, as *binary cross-entropy*). Two remarks.
#
# **It is a sum over pixels.** In a moment it will be weighed against another number of nats, and the two must be on one
# scale. An average over pixels would make the image count 64 (or 784) times too little. It is among the most common
# mistakes in published VAE code.
#
# **It must be computed from logits.** A `float32` sigmoid is exactly 1 from $a = 17$ on, so $\log(1 - \pi)$ is
# $-\infty$ there, and its gradient is no number at all. The true value is harmless:
# $\log(1 - \sigma(a)) = \log \sigma(-a) \approx -a$. So work with $\log \sigma$ as one function, and it will stay exact
# for any logit.
#
# Grey pixels, $0 < x_i < 1$, are read as a coin's *expected* outcome: the formula then is the average log-likelihood of
# the black-and-white images that one would get by tossing each pixel. That is a convenient habit rather than a
# density over greys; Loaiza-Ganem & Cunningham (2019) say what it costs.
#
# ### Exercise · `bernoulli_log_likelihood`
#
# *●● · 15 minutes.*


# %% exercise="bernoulli_log_likelihood" points=3
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
    raise NotImplementedError


# %% [markdown]
# ## 2 · The question that Bayes cannot answer, and an answer that is good enough
#
# Given an image, which codes could it have come from? Bayes' rule knows:
#
# $$p_\theta(z \mid x) = \frac{p_\theta(x \mid z)\, p(z)}{p_\theta(x)}, \qquad
# p_\theta(x) = \int p_\theta(x \mid z)\, p(z)\, \mathrm{d}z .$$
#
# But the denominator, the **evidence**, is an integral through a neural network over all of latent space. On paper
# there is no hope for it, and sampling codes from the prior helps little: almost no code explains *this* image, so
# almost all samples contribute nothing. (In section 5 you will watch this happen.)
#
# *Variational inference* turns the integral into an optimisation: choose a family of distributions that one can handle,
# and find the member that comes nearest to the posterior. Our family are Gaussians with independent dimensions,
#
# $$q_\phi(z \mid x) = \prod_j \mathcal{N}\big(z_j;\ \mu_j(x),\ \sigma_j^2(x)\big),$$
#
# and to find the member we do not start afresh for each image: a network with weights $\phi$, the **encoder**, reads
# the image and answers with $\mu$ and $\log \sigma^2$. Solving a problem once for all inputs is called *amortised
# inference*. Why $\log \sigma^2$? Because a network's output may be any real number, a variance may not, and a logarithm
# takes the one to the other, with as much room for tiny variances as for large ones.
#
# ### Exercise · `Encoder`
#
# *●● · 15 minutes.* A shared hidden layer, and two heads on it (or one head, cut in two).


# %% exercise="Encoder" points=3
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
        raise NotImplementedError

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
        raise NotImplementedError


# %% [markdown]
# ### The evidence lower bound
#
# How near is $q$ to the posterior? Measure by the Kullback–Leibler divergence,
# $\mathrm{KL}(q \,\|\, p) = \mathbb{E}_{q}[\log q - \log p]$, which is never negative, and zero only if the two are
# equal. It contains the posterior, which we do not have. Watch what happens if we write it out all the same, with
# $p(z \mid x) = p(x, z) / p(x)$:
#
# $$\begin{aligned}
# \mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big)
#   &= \mathbb{E}_{q}\big[\log q(z \mid x) - \log p(z \mid x)\big] \\
#   &= \mathbb{E}_{q}\big[\log q(z \mid x) - \log p(x, z) + \log p(x)\big] \\
#   &= \log p(x) - \mathbb{E}_{q}\big[\log p(x, z) - \log q(z \mid x)\big].
# \end{aligned}$$
#
# The evidence does not depend on $z$, so it leaves the expectation. Turn the equation around:
#
# $$\boxed{\ \log p(x) \;=\; \underbrace{\mathbb{E}_{q}\big[\log p(x, z) - \log q(z \mid x)\big]}_{\text{ELBO}}
# \;+\; \underbrace{\mathrm{KL}\big(q(z \mid x) \,\|\, p(z \mid x)\big)}_{\text{gap}\ \ge\ 0}\ }$$
#
# No approximation, no inequality yet: an identity, for every $q$. Now read it.
#
# - The gap is not negative, so the first term is a lower bound of the log-evidence: the **evidence lower bound**, ELBO.
# - It contains nothing that we cannot compute: we can evaluate $p(x, z) = p(x \mid z)\, p(z)$, and sample from $q$.
# - For a fixed model the left side does not move. Raising the ELBO over $\phi$ *must* then shrink the gap: the encoder
#   comes nearer to the true posterior without ever having seen it.
# - Raising it over $\theta$ pushes the evidence up from below: the model gets better at the data.
#
# One objective, two networks, one gradient. Before we go on, see the identity at work where everything can be computed.
# A toy with one latent dimension: three coins, each on with probability $\sigma(4z - 2)$, all came up heads. The
# integral over $z$ is a sum over a fine grid. For three candidates $q$ the bound and the gap add up to the same
# log-evidence.

# %% tags=["hands-on"]
z = torch.linspace(-2, 4, 3001)
dz = 6 / 3000


def log_gaussian(mean, std):
    """The log-density of a Gaussian on the grid."""
    return torch.distributions.Normal(mean, std).log_prob(z)


log_joint = log_gaussian(0.0, 1.0) + 3 * F.logsigmoid(4 * z - 2)
log_evidence = torch.logsumexp(log_joint, dim=0) + math.log(dz)
log_posterior = log_joint - log_evidence

lines = {"posterior": (z, log_posterior.exp())}
for mean, std in ((0.0, 1.0), (1.8, 0.3), (1.1, 0.5)):
    log_q = log_gaussian(mean, std)
    bound = (log_q.exp() * (log_joint - log_q)).sum() * dz
    gap = (log_q.exp() * (log_q - log_posterior)).sum() * dz
    lines[f"q = N({mean}, {std}²):  {bound:.2f} + {gap:.2f}"] = (z, log_q.exp())
plots.curves(
    {f"ELBO + gap = log p(x) = {log_evidence:.2f} nats, whatever q": lines},
    xlabel="z",
    ylabel="density",
    legend=True,
)

# %% [markdown]
# The second form of the ELBO is the one that we train with. Split the joint, $p(x, z) = p(x \mid z)\, p(z)$, and
# collect:
#
# $$\mathrm{ELBO}(x) = \underbrace{\mathbb{E}_{q(z \mid x)}\big[\log p_\theta(x \mid z)\big]}_{\text{how well the code
# tells the image}} \;-\; \underbrace{\mathrm{KL}\big(q_\phi(z \mid x) \,\|\, p(z)\big)}_{\text{what the code costs}} .$$
#
# ### The price of a code
#
# Read it as the bill of a message. Alice has an image, Bob has the decoder and knows the prior. She sends him a code,
# then whatever the decoder still gets wrong. The second part costs $-\log p(x \mid z)$ nats. And the first? A code with
# endless digits would cost endlessly much, but Alice need not be that precise: any draw from $q(z \mid x)$ will do, and
# the freedom to choose among them is worth something (the *bits-back* argument, Hinton & van Camp 1993). What remains to
# pay is exactly $\mathrm{KL}(q \,\|\, p(z))$: how much more sharply $q$ says where $z$ is than the prior already did.
# The negative ELBO is the length of the whole message. A good VAE is a good compressor.
#
# For Gaussians the price has a closed form, so this part of the ELBO needs no sampling (Kingma & Welling 2014,
# appendix B). In one dimension, with $q = \mathcal{N}(\mu, \sigma^2)$ and $p = \mathcal{N}(0, 1)$:
#
# $$\log q(z) - \log p(z) = -\tfrac12 \log \sigma^2 - \frac{(z - \mu)^2}{2 \sigma^2} + \frac{z^2}{2} ,$$
#
# the $\log 2\pi$ having cancelled. Now take the expectation under $q$, where $\mathbb{E}(z - \mu)^2 = \sigma^2$ and
# $\mathbb{E} z^2 = \mu^2 + \sigma^2$:
#
# $$\mathrm{KL}\big(\mathcal{N}(\mu, \sigma^2) \,\|\, \mathcal{N}(0, 1)\big)
# = \tfrac12 \big(\mu^2 + \sigma^2 - 1 - \log \sigma^2\big).$$
#
# Both Gaussians factorise over dimensions, so the logarithm of the ratio, and with it the divergence, is a **sum** over
# dimensions.
#
# ### Exercise · `kl_divergence`
#
# *● · 10 minutes.*


# %% exercise="kl_divergence" points=4
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
    raise NotImplementedError


# %% [markdown]
# The price list, for one dimension. Saying nothing ($\mu = 0$, $\sigma = 1$) is free. Moving away from the origin costs
# $\mu^2/2$. Precision costs a logarithm: once $\sigma$ is small, each halving costs $\ln 2 \approx 0.69$ nats, which is
# one bit, as it should be: one more binary digit of $z$.

# %% tags=["hands-on"]
means, stds = torch.linspace(-3, 3, 121), torch.linspace(0.05, 2.5, 99)
mu, std = torch.cartesian_prod(means, stds).split(1, dim=1)
price = kl_divergence(mu, 2 * std.log()).view(len(means), len(stds)).T
plots.contours(
    price,
    means,
    stds,
    xlabel="mean μ",
    ylabel="standard deviation σ",
    levels=(0.1, 0.5, 1, 2, 4),
    unit="nats",
    title="What a code costs",
)

# %% [markdown]
# ### Gradients through chance
#
# The other half of the ELBO is an expectation over $z \sim q_\phi(z \mid x)$, estimated by drawing a $z$. But the encoder
# must learn from it, and how do you differentiate a die with respect to its maker?
#
# There is a general answer, the *score-function* estimator (REINFORCE, from the policy gradients of reinforcement
# learning), $\nabla_\phi \mathbb{E}_q[f(z)] = \mathbb{E}_q[f(z)\, \nabla_\phi \log q_\phi(z)]$. It needs nothing of $f$
# but its values, and that is its weakness: it learns only *how good* a draw was, never *which way* is better. It is
# unbiased, and so noisy that it trains no VAE of any size.
#
# Gaussians allow a better one. Any Gaussian variable is a standard one, stretched and shifted:
#
# $$z = \mu + \sigma\, \varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I), \qquad \sigma = e^{\frac12 \log \sigma^2}.$$
#
# Now chance comes in from outside, as an input that depends on no weight, and $z$ is an ordinary differentiable
# function of $\mu$ and $\sigma$: $\partial z / \partial \mu = 1$, $\partial z / \partial \sigma = \varepsilon$. So
#
# $$\nabla_\phi\, \mathbb{E}_{q_\phi}\big[f(z)\big]
# = \mathbb{E}_{\varepsilon}\big[\nabla_\phi\, f(\mu_\phi + \sigma_\phi\, \varepsilon)\big] ,$$
#
# and the gradient of the decoder itself says which way to move. This is the **reparameterisation trick**, what made VAEs
# trainable by plain backpropagation.
#
# ### Exercise · `reparameterize`
#
# *● · 5 minutes.* Mind what `logvar` is.


# %% exercise="reparameterize" points=3
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
    raise NotImplementedError


# %% [markdown]
# What it buys: both estimators below are right on average, for the gradient of $\mathbb{E}\,\lVert z \rVert^2$ with
# respect to the first of ten means (the truth is $2\mu_1 = 3$). One draw of the first is worth hundreds of the second,
# and the ratio worsens with every further dimension.

# %% tags=["hands-on"]
torch.manual_seed(0)
mu = torch.full((5000, 10), 1.5, requires_grad=True)
logvar, noise = torch.zeros(5000, 10), torch.randn(5000, 10)
value = reparameterize(mu, logvar, noise).square().sum(dim=1)
pathwise = torch.autograd.grad(value.sum(), mu)[0][:, 0]
score_function = value.detach() * noise[:, 0]  # f(z) ∂ log q / ∂μ₁, where ∂ log q / ∂μ₁ = ε₁ / σ₁
gradients = {"reparameterised": pathwise, "score function": score_function}
plots.histogram(
    {f"{name}: {g.mean():.1f} ± {g.std():.1f}": g for name, g in gradients.items()},
    xlabel="estimate of a gradient that is 3, from one draw",
)

# %% [markdown]
# ### The ELBO, estimated
#
# All parts are there. For each data point: encode, draw one code, decode, and subtract the price from the
# log-likelihood:
#
# $$\widehat{\mathrm{ELBO}}(x) = \log p_\theta(x \mid z) - \mathrm{KL}\big(q_\phi(z \mid x) \,\|\, p(z)\big), \qquad
# z = \mu_\phi(x) + \sigma_\phi(x)\, \varepsilon .$$
#
# One draw is enough. The estimate is unbiased whatever the number of draws, a minibatch averages over many images
# anyway, and the next step brings fresh noise (Kingma & Welling 2014, section 2.3).
#
# ### Exercise · `elbo`
#
# *●● · 10 minutes.* Use the functions that are passed in (`sample`, `kl`, `log_likelihood`), not yours by name: then
# other models can be had for other parts, and in grading a mistake in an earlier part is not counted twice.


# %% exercise="elbo" points=4
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
    raise NotImplementedError


# %% [markdown]
# ## 3 · Training
#
# Optimisers minimise, so the loss is minus the ELBO, averaged over the batch. Higgins et al. (2017) put a weight on one
# of its two terms,
#
# $$\mathcal{L}_\beta = \frac{1}{B} \sum_{n=1}^{B}
# \Big( \beta\, \mathrm{KL}\big(q(z \mid x_n) \,\|\, p(z)\big) - \log p(x_n \mid z_n) \Big),$$
#
# where $\beta = 1$ is the ELBO. Larger values make codes dear: fewer of them are used, and what is stored tends to be what
# is common to many images, one factor to a dimension, which is why it was proposed for *disentangling*. What is then
# maximised still lies below the evidence, only further below it. Smaller values make codes cheap, and the bound is lost.
# Think of $\beta$ as the exchange rate between two currencies that both happen to be called nats.
#
# ### Exercise · `beta_vae_loss`
#
# *● · 5 minutes.*


# %% exercise="beta_vae_loss" points=2
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
    raise NotImplementedError


# %% [markdown]
# ### Paying later
#
# There is a trap at the very start. The decoder does not know yet what codes mean, so they are of no use to it; but
# their price is due at once, and the quickest way to lower the bill is to send nothing: $\mu = 0$, $\sigma = 1$ for every
# image. Then the decoder learns to do without a code, and no gradient ever tells the encoder to speak again. This is
# *posterior collapse*, and section 7 will show it at its worst.
#
# A remedy is to let the price come in slowly: weight 0 at the first step, growing in a straight line to 1 over a
# *warm-up* (Bowman et al. 2016). Fu et al. (2019) do it again and again: every restart finds a decoder that already
# knows how to use codes, and improves on them. With $t$ steps done, a warm-up of $W$ steps and a period of $P$,
#
# $$w(t) = \min\!\Big(1, \frac{t}{W}\Big) \quad \text{or, with a period,} \quad w(t) = \min\!\Big(1, \frac{t \bmod P}{W}\Big).$$
#
# ### Exercise · `kl_weight`
#
# *● · 5 minutes.*


# %% exercise="kl_weight" points=2
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
    raise NotImplementedError


# %% tags=["hands-on"]
steps = range(1000)
plots.curves(
    {
        "once (Bowman et al.)": {"": [kl_weight(step, 400) for step in steps]},
        "again and again (Fu et al.)": {"": [kl_weight(step, 150, period=300) for step in steps]},
    },
    x=steps,
    xlabel="training step",
    ylabel="weight of the KL term",
)

# %% [markdown]
# ### The loop
#
# Kingma & Welling's algorithm 1, with Adam in place of their plain gradient ascent:
#
# > for each epoch, in a fresh random order, for each minibatch $x$:
# > encode → draw noise → sample → decode → loss → step,
# > the loss with KL weight $\beta \cdot w(t)$.
#
# What the loop *reports* is the true ELBO, with weight 1. A curve of the weighted loss would rise while the warm-up
# does, and curves for different $\beta$ could not be compared.
#
# Reproducible means: the same generator in the same state gives the same training, to the last digit. So take all
# randomness, the order of the images and the noise, from the generator that is passed in.
#
# ### Exercise · `train_vae`
#
# *●●● · 30 minutes.* As in `elbo`, use the functions that are passed in.


# %% exercise="train_vae" points=4
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
    raise NotImplementedError


# %% [markdown]
# ### Your first VAE
#
# Two latent dimensions, so that nothing is hidden: we can look at all of latent space.

# %% tags=["hands-on"]


def fit(latent_dim, *, beta=1.0, seed=0):
    """A fresh VAE, trained under a progress bar: encoder, decoder, the ELBO of each epoch."""
    torch.manual_seed(seed)
    encoder = Encoder(train.shape[1], 256, latent_dim).to(DEVICE)
    decoder = Decoder(latent_dim, 256, train.shape[1]).to(DEVICE)
    epochs = max(1, round(BUDGET / len(train)))
    with tqdm(total=epochs, desc=f"{latent_dim} latent dimensions, β = {beta:g}") as bar:

        def show(epoch, mean_elbo):
            bar.set_postfix_str(f"ELBO {mean_elbo:.2f} nats")
            bar.update()

        history = train_vae(
            encoder,
            decoder,
            train,
            epochs=epochs,
            learning_rate=2e-3,
            beta=beta,
            generator=torch.Generator().manual_seed(seed),
            on_epoch=show,
        )
    return encoder, decoder, history


@torch.no_grad()
def paint(decoder, z):
    """What the decoder makes of codes: the probability of ink at each pixel."""
    return torch.sigmoid(decoder(z.to(DEVICE))).cpu()


flat = fit(latent_dim=2)
encoder, decoder, history = flat
plots.curves({"Two latent dimensions": {"": history}}, xlabel="epoch", ylabel="ELBO, nats")

# %% [markdown]
# Test images, what the decoder makes of the mean of their codes, and what it makes of codes drawn from the prior. The
# images in the last row were never written by anyone.

# %% tags=["hands-on"]
with torch.no_grad():
    means = encoder(test[:15])[0]
drawn = torch.randn(15, 2, generator=torch.Generator().manual_seed(1))
plots.strips(
    {"image": test[:15], "reconstruction": paint(decoder, means), "sample": paint(decoder, drawn)},
    SIZE,
    title="Two numbers for an image",
)

# %% [markdown]
# And the whole of latent space. Neighbours look alike; digits melt into one another; every place means something.
# Nobody told the machine that there are ten kinds.

# %% tags=["hands-on"]
plots.plane(lambda z: paint(decoder, z), SIZE, title="What the decoder paints over the plane")

# %% [markdown]
# Walk about in it yourself (the sliders need a running kernel).

# %% tags=["hands-on"]
plots.explore(lambda z: paint(decoder, z), SIZE)

# %% [markdown]
# ### What β does
#
# Eight latent dimensions now, and four exchange rates. The left panel is the ELBO, the right its two terms at the end of
# training in one plane: the *rate*, nats spent on the code, against the *distortion*, nats still missing afterwards
# (Alemi et al. 2018). The ELBO is minus their sum, so lines of equal ELBO fall at 45°; $\beta$ chooses the place on the
# curve.

# %% tags=["hands-on"]
models = {beta: fit(latent_dim=8, beta=beta) for beta in (4, 1, 1 / 4, 1 / 16)}


@torch.no_grad()
def terms(encoder, decoder):
    """The mean rate and distortion on the test images, in nats."""
    mu, logvar = encoder(test)
    noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    distortion = -bernoulli_log_likelihood(decoder(reparameterize(mu, logvar, noise)), test)
    return kl_divergence(mu, logvar).mean().item(), distortion.mean().item()


rates, distortions = zip(*(terms(*model[:2]) for model in models.values()), strict=True)
ends = {f"β = {b:g}": ([r], [d]) for b, r, d in zip(models, rates, distortions, strict=True)}
plots.curves(
    {
        "Training": {f"β = {beta:g}": history for beta, (_, _, history) in models.items()},
        "Rate and distortion": {"": (rates, distortions), **ends},
    },
    xlabel=("epoch", "rate, nats"),
    ylabel=("ELBO, nats per image", "distortion, nats"),
)

# %% tags=["hands-on"]
with torch.no_grad():
    codes = {beta: encoder(test[:15])[0] for beta, (encoder, _, _) in models.items()}
rebuilt = {f"β = {beta:g}": paint(models[beta][1], codes[beta]) for beta in models}
plots.strips({"image": test[:15], **rebuilt}, SIZE, title="Reconstructions")

# %% tags=["hands-on"]
drawn = torch.randn(15, 8, generator=torch.Generator().manual_seed(2))
samples = {f"β = {beta:g}": paint(models[beta][1], drawn) for beta in models}
plots.strips(samples, SIZE, title="Samples from the prior")

# %% [markdown]
# Look down the column of one image. At $\beta = 4$ no code is worth its price: none is sent, and every image becomes the
# average of all. At $\beta = 1$ the reconstructions are blurred, but what comes from the prior is as good as what comes
# from an image. Cheap codes bring back the details of the image; but their clouds are small and no longer fill the prior,
# and a draw from the prior falls into the gaps between them.
#
# With small grey images $\beta < 1$ has a second reading. Dividing the loss by $\beta$ leaves its minimum where it is and
# puts the weight $1/\beta$ on the likelihood, as if each pixel were $1/\beta$ coins instead of one. In scikit-learn's
# digits each pixel in truth *is* sixteen: it counts the black cells in a $4 \times 4$ block of a larger scan.

# %% [markdown] question="blur" points=3
# ### Question · Blur
#
# At $\beta = 1$ the reconstructions are blurred, and no amount of training sharpens them. Why? Say what the best
# possible decoder answers when the clouds of several images overlap, and why training lets them overlap at all. Which
# assumption about pixels, given the code, keeps a *sample* from settling on one of the sharp images?
#
# *3 points: one for what the decoder answers where clouds overlap; one for why overlap pays, in nats; one for the
# assumption and its effect. Five sentences are enough.*

# %% [markdown]
# ## 4 · The latent space
#
# For most uses one wants *one* code for an image: the mean of its cloud. Two practical matters: a data set may not fit
# into memory at once, so it is encoded in batches; and nothing will be trained, so no graph should be kept.
#
# ### Exercise · `embed`
#
# *● · 10 minutes.*


# %% exercise="embed" points=2
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
    raise NotImplementedError


# %% [markdown]
# **Dimensionality reduction.** A linear autoencoder finds the same plane as principal component analysis, and so does a
# VAE with a linear decoder and Gaussian pixels (Tipping & Bishop 1999; Lucas et al. 2019). What do the nonlinear
# networks add? Both maps below were made without labels; the colours came afterwards.

# %% tags=["hands-on"]
encoder, decoder, _ = flat
centred = (train - train.mean(dim=0)).cpu()
components = torch.linalg.svd(centred, full_matrices=False).Vh[:2]
maps = {"Means of a VAE": embed(encoder, train).cpu(), "PCA": centred @ components.T}
plots.scatter({name: points[:3000] for name, points in maps.items()}, train_labels[:3000])

# %% [markdown]
# ### From here to there
#
# Halfway between two images, pixel by pixel, lie two ghosts on top of one another. Halfway between their *codes* lies,
# with luck, something that is an image itself. The path is a straight line,
#
# $$z_k = (1 - t_k)\, z_{\text{start}} + t_k\, z_{\text{end}}, \qquad t_k = \frac{k}{K - 1}, \qquad k = 0, \dots, K - 1 .$$
#
# (In spaces of hundreds of dimensions people prefer an arc, for there the middle of a line is nearer to the origin than
# the prior ever goes: White 2016.)
#
# ### Exercise · `interpolate_latents`
#
# *● · 5 minutes.* Both ends are included. Fence posts!


# %% exercise="interpolate_latents" points=1
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
    raise NotImplementedError


# %% tags=["hands-on"]
encoder, decoder, _ = models[1 / 4]


def example_of(digit, nth=0):
    """The nth test image of a digit."""
    return test[(test_labels == digit).nonzero()[nth].item()]


films = {}
for first, last in ((2, 4), (0, 1), (6, 7)):
    a, b = example_of(first), example_of(last)
    start, end = embed(encoder, torch.stack([a, b]))
    films[f"{first} to {last}"] = paint(decoder, interpolate_latents(start, end, 11))
    films[f"{first} to {last}, faded"] = interpolate_latents(a, b, 11)
plots.strips(films, SIZE, title="Between two test images: through latent space, and faded")

# %% [markdown]
# Fading takes ink away in one place and puts it in another, so halfway there are two pale digits at once. The path
# through latent space bends strokes, and what it passes looks, more often than not, like something that a hand could
# have written.
#
# **Traversal.** Take one image, and move one number of its code at a time. Beside each row stands how many nats that
# dimension costs on average. Dimensions that say nothing cost nothing, and turning them changes nothing: at
# $\beta = 1$ the model has chosen for itself how many of its eight it needs.

# %% tags=["hands-on"]
encoder, decoder, _ = models[1]
with torch.no_grad():
    mu, logvar = encoder(test)
    costs = torch.stack([kl_divergence(mu[:, [j]], logvar[:, [j]]).mean() for j in range(8)])
code = embed(encoder, example_of(3, 1).unsqueeze(0)).repeat(11, 1)
rows = {}
for j in costs.argsort(descending=True).tolist():
    turned = code.clone()
    turned[:, j] = torch.linspace(-2.5, 2.5, 11)
    rows[f"$z_{j + 1}$, {costs[j]:.1f} nats"] = paint(decoder, turned)
plots.strips(rows, SIZE, title="One dimension at a time, from −2.5 to 2.5")

# %% [markdown]
# ## 5 · How loose is the bound?
#
# The ELBO is $\log p(x)$ minus a gap that we cannot see. But we can make it smaller. Draw $K$ codes from $q(z \mid x)$
# and average the *ratios* before taking the logarithm (Burda, Grosse & Salakhutdinov 2016, eq. 8):
#
# $$\mathcal{L}_K = \mathbb{E}_{z_1, \dots, z_K \sim q}\left[ \log \frac1K \sum_{k=1}^{K}
# \frac{p_\theta(x, z_k)}{q_\phi(z_k \mid x)} \right].$$
#
# The average inside is *importance sampling*: an unbiased estimate of $p(x)$, whatever $q$, since
# $\mathbb{E}_q[p(x, z)/q(z)] = \int p(x, z)\,\mathrm{d}z$. The logarithm is concave, so by Jensen's inequality its
# expectation lies below $\log p(x)$. The more samples, the less the average scatters and the less is lost:
# $\mathrm{ELBO} = \mathcal{L}_1 \le \mathcal{L}_2 \le \dots \to \log p(x)$ (their theorem 1).
#
# Densities of images are numbers like $e^{-100}$, or $e^{-10\,000}$, which no float can hold. Stay with logarithms
# throughout: $\log \sum_k e^{a_k} = m + \log \sum_k e^{a_k - m}$ with $m = \max_k a_k$, and torch has it ready.
#
# ### Exercise · `importance_weighted_bound`
#
# *●● · 10 minutes.*


# %% exercise="importance_weighted_bound" points=3
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
    raise NotImplementedError


# %% [markdown]
# With two latent dimensions the truth can be had by brute force: a sum over a fine grid of the plane. Below, the bound
# for a growing number of samples, from the encoder's $q$ and from the prior. Both climb to the truth, but the encoder
# starts nearly there. The prior, which is the hopeless road of section 2, needs some $e^{\mathrm{KL}}$ draws to find a
# code that explains the image (Chatterjee & Diaconis 2018): dozens for these two numbers, billions for a code of 20 nats.

# %% tags=["hands-on"]
encoder, decoder, _ = flat
some = test[:50]


@torch.no_grad()
def log_joint_of(z):
    """log p(x, z) of `some` images, for codes (samples, batch, latent)."""
    log_prior = torch.distributions.Normal(0, 1).log_prob(z).sum(dim=2)
    log_px = torch.stack([bernoulli_log_likelihood(decoder(codes), some) for codes in z])
    return log_prior + log_px


torch.manual_seed(0)
with torch.no_grad():
    mu, logvar = encoder(some)
std = reparameterize(torch.zeros_like(mu), logvar, torch.ones_like(mu))
q = torch.distributions.Normal(mu, std)
p = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
counts = [2**k for k in range(11)]
lines = {}
for name, proposal in (("from the encoder", q), ("from the prior", p)):
    z = proposal.sample((counts[-1],))
    log_p, log_q = log_joint_of(z), proposal.log_prob(z).sum(dim=2)
    bounds = []
    for k in counts:  # the mean over as many groups of k samples as there are
        groups = zip(log_p.split(k), log_q.split(k), strict=True)
        estimates = [importance_weighted_bound(*group) for group in groups]
        bounds.append(torch.stack(estimates).mean().item())
    lines[name] = bounds

side = torch.linspace(-5, 5, 101)
grid = torch.cartesian_prod(side, side).to(DEVICE)
log_prior = torch.distributions.Normal(0, 1).log_prob(grid).sum(dim=1)
with torch.no_grad():
    logits = decoder(grid)
    log_joints = [log_prior + bernoulli_log_likelihood(logits, x.expand_as(logits)) for x in some]
log_area = 2 * math.log(10 / 100)
exact = torch.stack(log_joints).logsumexp(dim=1).mean().item() + log_area
plots.curves(
    {"Bounds of log p(x), mean of 50 test images": lines},
    x=torch.tensor(counts).log2(),
    xlabel="samples K, as log₂ K",
    ylabel="nats",
    levels={"log p(x), by brute force": exact},
)

# %% [markdown] question="gap" points=3
# ### Question · Two models, two bounds
#
# Model A has a mean ELBO of −90 nats on test images, model B of −93 nats. A colleague concludes that A gives the images
# a higher likelihood. Can B nevertheless be the better model of the data? Say what the ELBO leaves out, on what that
# depends, and how you would settle the matter with the tools of this section. Which difference between A and B would
# make you suspicious from the start?
#
# *3 points: one for the gap and what it is a divergence between; one for a method that settles it, with its reason; one
# for a difference that matters (think of encoders, or of decoders with odd posteriors).*

# %% [markdown]
# ## 6 · What is strange?
#
# A model that knows how likely an image is should also know what is *unlikely*. The score is minus the ELBO, averaged
# over a few draws of the code: on average an upper bound of the surprise $-\log p(x)$, in nats. It asks both of a VAE's
# questions: can the decoder draw this ($-\log p(x \mid z)$), and does the code lie where codes belong (KL)? An & Cho
# (2015) proposed the first part alone, as *reconstruction probability*.
#
# ### Exercise · `anomaly_score`
#
# *● · 10 minutes.* The noise decides how many draws there are. Call `bound` once for each.


# %% exercise="anomaly_score" points=2
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
    raise NotImplementedError


# %% [markdown]
# Our strangers are printed capital letters, scaled like the digits. The **AUC** is the probability that a letter drawn at
# random scores above a digit drawn at random: ½ is guessing, 1 is perfect. Two baselines keep us honest: a score is
# worth only what it adds to the silliest rule that works, and here that is the amount of ink.

# %% tags=["hands-on"]
letters, _ = data.draw_letters(digits, generator=torch.Generator().manual_seed(0))
letters = letters.to(DEVICE)
encoder, decoder, _ = models[1]


def auc(strangers, natives):
    """The probability that a stranger scores above a native."""
    return (strangers[:, None] > natives).float().mean().item()


def score(x, **parts):
    """The anomaly score, with 50 draws of the code."""

    def bound(x, eps):
        return elbo(x, encoder, decoder, eps, **parts)

    noise = torch.randn(50, len(x), 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return anomaly_score(x, bound, noise.to(DEVICE))


def free(mu, logvar):
    """A price list on which every code is free: it takes the KL out of a bound."""
    return torch.zeros(len(mu), device=mu.device)


strangeness = score(letters), score(test)
print(f"AUC of minus the ELBO:              {auc(*strangeness):.3f}")
reconstruction = score(letters, kl=free), score(test, kl=free)
print(f"AUC of the reconstruction alone:    {auc(*reconstruction):.3f}")
print(f"AUC of the ink, a baseline:         {auc(letters.sum(dim=1), test.sum(dim=1)):.3f}")
plots.histogram({"digits": strangeness[1], "letters": strangeness[0]}, xlabel="score, nats")

# %% tags=["hands-on"]
letter_order, digit_order = (scores.argsort() for scores in strangeness)
plots.strips(
    {
        "the most digit-like letters": letters[letter_order[:15]],
        "the strangest letters": letters[letter_order[-15:]],
        "the strangest digits": test[digit_order[-15:]],
        "the most ordinary digits": test[digit_order[:15]],
    },
    SIZE,
    title="Where the score errs, and where it is sure",
)

# %% [markdown]
# The letters that slip through could well be digits: an I is a 1, a Z a 2, an S a 5. More instructive is the last row.
# The most "ordinary" digits are not the most typical, they are the *simplest*, bold strokes in pure black and white: a
# grey pixel costs at least its own entropy, whatever the decoder answers, and an image with few of them is cheap
# however it looks. Likelihood mixes how *typical* an image is with how *simple* it is. Models that were trained on
# photographs of animals and vehicles found house numbers *likelier* than such photographs, for much the same reason
# (Nalisnick et al. 2019). Keep the silly baselines.

# %% [markdown]
# ## 7 · Sentences from a continuous space
#
# Nothing in the ELBO is about images. Let $x$ be a sentence $w_1, \dots, w_T$ and the decoder a recurrent network that
# writes word after word, each given the code and *the words so far*:
#
# $$\log p_\theta(x \mid z) = \sum_{t=1}^{T} \log p_\theta(w_t \mid w_{<t}, z).$$
#
# That last condition changes everything. A Bernoulli decoder can do little without its code. A recurrent one is a
# language model, and needs no code at all to be a good one: $p(x) = \prod_t p(w_t \mid w_{<t})$ is *exact*. Every nat
# that is spent on the code must then be saved again in the words, at best one for one, and until the decoder has learnt
# to read codes it is not saved at all. So the code is not bought: posterior collapse is no accident here, it is the
# nearest optimum (Bowman et al. 2016; Chen et al. 2017).
#
# The remedy, beside annealing, is to make the decoder need help: **word dropout**. In training, each word that the
# decoder gets to see as "the words so far" is replaced by *unknown* with some probability. What it no longer remembers,
# it must ask the code. The words that it is asked to *predict* stay as they are.
#
# ### Exercise · `word_dropout`
#
# *●● · 10 minutes.* The draws are passed in, so the result is no matter of chance. Do not change `tokens` itself: the
# same tensor is still needed as what is to be predicted.


# %% exercise="word_dropout" points=2
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
    raise NotImplementedError


# %% [markdown]
# Sentences of different lengths share a batch by *padding*, and padding is no part of a sentence: it must not count, or
# the longest sentence in the batch decides what the others cost.
#
# ### Exercise · `text_elbo`
#
# *●● · 15 minutes.* A sum over words, as it was a sum over pixels.


# %% exercise="text_elbo" points=3
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
    raise NotImplementedError


# %% [markdown]
# ### A language whose entropy we know
#
# To see how good a model is, know what perfect is. Our toy language has four topics and a handful of words for each; its
# 1296 sentences can be listed, so its entropy $H$ is known exactly. By Gibbs' inequality no model can score a higher mean
# log-likelihood than $-H$, hence no higher mean ELBO.

# %% tags=["hands-on"]
language = data.Language()
vocabulary = data.Vocabulary(language.words)
print(f"{len(language.probability)} sentences, {len(language.words)} words")
print(f"H = {language.entropy:.3f} nats a sentence\n")
print(*language.sample(6, generator=torch.Generator().manual_seed(4)), sep="\n")

# %% [markdown]
# The model: one recurrent network reads, another writes. The code is given to the writer with every word. All of it is
# `torch`'s; only `reparameterize`, `kl_divergence`, `kl_weight`, `word_dropout` and `text_elbo` are yours.

# %% tags=["hands-on"]


class TextVAE(nn.Module):
    """Reads a sentence into a Gaussian over codes, and writes one from a code."""

    def __init__(self, words, width=64, latent_dim=2):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.reader = nn.GRU(width, width, batch_first=True)
        self.posterior = nn.Linear(width, 2 * latent_dim)
        self.writer = nn.GRU(width + latent_dim, width, batch_first=True)
        self.scores = nn.Linear(width, words)

    def encode(self, tokens):
        """Mean and log-variance, from the reader's state at the end of each sentence."""
        states, _ = self.reader(self.embedding(tokens))
        last = (tokens != vocabulary.padding).sum(dim=1) - 1
        return self.posterior(states[torch.arange(len(tokens)), last]).chunk(2, dim=1)

    def decode(self, z, seen):
        """Scores of the next word after each of the words `seen`."""
        codes = z.unsqueeze(1).expand(-1, seen.shape[1], -1)
        states, _ = self.writer(torch.cat([self.embedding(seen), codes], dim=2))
        return self.scores(states)

    @torch.no_grad()
    def write(self, z, length=12):
        """The sentence for each code, always taking the most likely word."""
        seen = torch.full((len(z), 1), vocabulary.begin, device=z.device)
        for _ in range(length):
            seen = torch.cat([seen, self.decode(z, seen)[:, -1:].argmax(dim=2)], dim=1)
        return vocabulary.decode(seen[:, 1:])


def shifted(tokens):
    """What the writer sees when it is to predict `tokens`: the words before each of them."""
    return F.pad(tokens[:, :-1], (1, 0), value=vocabulary.begin)


SPECIAL = (vocabulary.padding, vocabulary.begin, vocabulary.end)
WORDS = {"unknown": vocabulary.unknown, "protected": SPECIAL}
corpus = vocabulary.encode(language.sample(5000, generator=torch.Generator().manual_seed(5)))


STEPS = max(10, BUDGET // 100)


def fit_text(name, *, warmup, dropout):
    """Train a TextVAE; returns it, and its KL and its ELBO, each the mean of ten steps."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = TextVAE(len(vocabulary)).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    records = []
    for step in tqdm(range(STEPS), desc=name):
        tokens = corpus[torch.randint(len(corpus), (64,), generator=generator)].to(DEVICE)
        uniform = torch.rand(tokens.shape, generator=generator).to(DEVICE)
        seen = word_dropout(shifted(tokens), uniform, dropout, **WORDS)
        mu, logvar = model.encode(tokens)
        noise = torch.randn(mu.shape, generator=generator).to(DEVICE)
        logits = model.decode(reparameterize(mu, logvar, noise), seen)
        log_px = text_elbo(logits, tokens, mu, logvar, padding=vocabulary.padding, kl=free)
        price = kl_divergence(mu, logvar)
        optimizer.zero_grad()
        beta_vae_loss(log_px, price, kl_weight(step, warmup)).backward()
        optimizer.step()
        records.append([price.mean().item(), (log_px - price).mean().item()])
    return model, torch.tensor(records)[: STEPS // 10 * 10].view(-1, 10, 2).mean(dim=1)


texts = {
    "plain": fit_text("plain", warmup=0, dropout=0.0),
    "annealing": fit_text("annealing", warmup=STEPS // 2, dropout=0.0),
    "annealing + dropout": fit_text("annealing + dropout", warmup=STEPS // 2, dropout=0.6),
}

# %% tags=["hands-on"]
plots.curves(
    {
        "What is spent on the code": {name: records[:, 0] for name, (_, records) in texts.items()},
        "What it gains": {name: records[:, 1] for name, (_, records) in texts.items()},
    },
    x=10 * torch.arange(1, STEPS // 10 + 1),
    xlabel="training step",
    ylabel=("KL, nats a sentence", "ELBO, nats a sentence"),
    levels={"−H, the best possible": -language.entropy},
)

# %% [markdown]
# Read it slowly, for this is the lesson.
#
# - *Plain*: the KL is zero from the first steps on. The code says nothing at all. And yet the ELBO is all but perfect:
#   the model has become a language model. **A good ELBO does not mean a good code.**
# - *Annealing*: while codes are free the encoder speaks. As the price comes in it falls silent again. With so able a
#   decoder annealing alone does not help; with a weaker one it does.
# - *Annealing + dropout*: the code is kept. The ELBO in the plot is worse, because the decoder is half blind in
#   training. That is the price of making it listen.
#
# What the codes are worth shows when the models rewrite a sentence from its code alone. The table gives the ELBO with
# nothing hidden, the nats spent on the code, and how often the rewritten sentence keeps the topic (guessing: 25%).

# %% tags=["hands-on"]
held_out = language.sample(500, generator=torch.Generator().manual_seed(6))
tokens = vocabulary.encode(held_out).to(DEVICE)
print(f"{'':22}{'ELBO':>8}{'KL':>8}{'topic kept':>12}")
for name, (model, _) in texts.items():
    with torch.no_grad():
        mu, logvar = model.encode(tokens)
        noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(7)).to(DEVICE)
        logits = model.decode(reparameterize(mu, logvar, noise), shifted(tokens))
        bound = text_elbo(logits, tokens, mu, logvar, padding=vocabulary.padding).mean()
    rewritten = model.write(mu)
    pairs = zip(held_out, rewritten, strict=True)
    kept = sum(language.topic.get(after) == language.topic[before] for before, after in pairs)
    price = kl_divergence(mu, logvar).mean()
    print(f"{name:22}{bound:8.2f}{price:8.2f}{kept / len(held_out):12.0%}")

model = texts["annealing + dropout"][0]
print("\nFrom the prior:")
z = torch.randn(6, 2, generator=torch.Generator().manual_seed(8)).to(DEVICE)
print(*model.write(z), sep="\n")

# %% [markdown]
# From one sentence to another: each line is a code on the straight way between the two. It does not pass through
# gibberish. It changes its mind about one thing after another.

# %% tags=["hands-on"]
ends = ["today the captain sails across the bay", "at night the clown bows before the show"]
codes = embed(model.encode, vocabulary.encode(ends).to(DEVICE))
print(*dict.fromkeys(model.write(interpolate_latents(codes[0], codes[1], 50))), sep="\n")

# %% tags=["hands-on"]
compared = ("plain", "annealing + dropout")
maps = {name: embed(texts[name][0].encode, tokens).cpu() for name in compared}
plots.scatter(maps, [language.topic[sentence] for sentence in held_out])

# %% [markdown] question="posterior_collapse" points=4
# ### Question · Posterior collapse
#
# A friend has trained a text VAE. Its ELBO is excellent, and its samples read well, but every sentence is rewritten as
# something unrelated. In your own words: what has happened, and which number in the training log would have shown it?
# Why is it an optimum of the objective, rather than a bug? Then name two remedies, say *why* each works, and what each
# costs.
#
# *4 points: one for the diagnosis and the number that shows it; one for why the objective does not object, argued with
# the two terms of the ELBO; one for each remedy with its reason and its cost.*

# %% [markdown]
# ## Further reading
#
# - D. P. Kingma & M. Welling, *Auto-Encoding Variational Bayes*, ICLR 2014,
#   [arXiv:1312.6114](https://arxiv.org/abs/1312.6114). Fourteen pages, all worth it. Their longer
#   *Introduction to Variational Autoencoders* (2019, [arXiv:1906.02691](https://arxiv.org/abs/1906.02691)) is the best
#   next step.
# - D. J. Rezende, S. Mohamed & D. Wierstra, *Stochastic Backpropagation and Approximate Inference in Deep Generative
#   Models*, ICML 2014, [arXiv:1401.4082](https://arxiv.org/abs/1401.4082). The same discovery, from the other side.
# - I. Higgins et al., *β-VAE*, ICLR 2017; A. Alemi et al., *Fixing a Broken ELBO*, ICML 2018,
#   [arXiv:1711.00464](https://arxiv.org/abs/1711.00464): what β trades, and why the ELBO alone does not tell a good code.
# - Y. Burda, R. Grosse & R. Salakhutdinov, *Importance Weighted Autoencoders*, ICLR 2016,
#   [arXiv:1509.00519](https://arxiv.org/abs/1509.00519); T. Rainforth et al., *Tighter Variational Bounds are Not
#   Necessarily Better*, ICML 2018, [arXiv:1802.04537](https://arxiv.org/abs/1802.04537).
# - S. R. Bowman et al., *Generating Sentences from a Continuous Space*, CoNLL 2016,
#   [arXiv:1511.06349](https://arxiv.org/abs/1511.06349); H. Fu et al., *Cyclical Annealing Schedule*, NAACL 2019,
#   [arXiv:1903.10145](https://arxiv.org/abs/1903.10145); X. Chen et al., *Variational Lossy Autoencoder*, ICLR 2017,
#   [arXiv:1611.02731](https://arxiv.org/abs/1611.02731); J. Lucas et al., *Don't Blame the ELBO!*, NeurIPS 2019,
#   [arXiv:1911.02469](https://arxiv.org/abs/1911.02469).
# - J. An & S. Cho, *Variational Autoencoder based Anomaly Detection using Reconstruction Probability*, SNU Data Mining
#   Center, 2015; E. Nalisnick et al., *Do Deep Generative Models Know What They Don't Know?*, ICLR 2019,
#   [arXiv:1810.09136](https://arxiv.org/abs/1810.09136).
# - S. Chatterjee & P. Diaconis, *The Sample Size Required in Importance Sampling*, Annals of Applied Probability 2018,
#   [arXiv:1511.01437](https://arxiv.org/abs/1511.01437).
# - S. Mohamed et al., *Monte Carlo Gradient Estimation in Machine Learning*, JMLR 2020,
#   [arXiv:1906.10652](https://arxiv.org/abs/1906.10652): everything on gradients through chance.
# - G. Loaiza-Ganem & J. P. Cunningham, *The continuous Bernoulli: fixing a pervasive error in variational autoencoders*,
#   NeurIPS 2019, [arXiv:1907.06845](https://arxiv.org/abs/1907.06845); M. Tipping & C. Bishop, *Probabilistic Principal
#   Component Analysis*, JRSS B 1999; T. White, *Sampling Generative Networks*, 2016,
#   [arXiv:1609.04468](https://arxiv.org/abs/1609.04468); G. Hinton & D. van Camp, *Keeping Neural Networks Simple by
#   Minimizing the Description Length of the Weights*, COLT 1993; R. Gómez-Bombarelli et al., *Automatic Chemical Design
#   Using a Data-Driven Continuous Representation of Molecules*, ACS Central Science 2018.
