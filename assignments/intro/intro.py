# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Introduction to generative AI
#
# Most programs that learn give *verdicts*. This mail is spam, that shadow on the X-ray is harmless, the figure at the
# kerb is about to cross. For decades nearly all of machine learning was of that kind. **Generative AI** is the other
# half of it: programs that *make* something, a text, a picture, a tune, that nobody has made before, and that could
# have stood among the examples from which they learnt.
#
# Below are two of them at work. One paints what it is told to paint, the other tells stories about animals. Both are
# small relatives of Stable Diffusion and of GPT, made in the same way, of the same parts and loaded by the same line of
# code; both come with this course and run on your machine.
#
# In this notebook you will
#
# - turn a classifier around, so that it *writes* the digits it was made to read, and see what that takes;
# - meet the four families to which nearly every generative model belongs, each at work on the same small problem;
# - write the loop that makes a language model write, and the dials that make it dull or daring;
# - let a pretrained diffusion pipeline paint, in such a way that every picture can be had again;
# - let a machine compose, and listen.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension;
# - logarithms are natural, so that information is measured in *nats*: 1 nat is $1/\ln 2 \approx 1.44$ bits;
# - functions draw no random numbers of their own: the noise is passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. Some of them train networks that you are not yet meant to
# understand line by line: the rest of the course is there for that. A default such as `choose=sample_token` is fixed
# when its cell is run: after mending an earlier answer run the cells below it once more.
#
# Plan for an evening. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 1.0  # how long the models of section 3 train; with a GPU, try 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # networks as small as these gain nothing from a second

from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

for logging in (diffusers_logging, transformers_logging):
    logging.set_verbosity_error()
    logging.disable_progress_bar()

tokenizer = AutoTokenizer.from_pretrained(data.checkpoint("tiny-gpt"))
gpt = AutoModelForCausalLM.from_pretrained(data.checkpoint("tiny-gpt")).to(DEVICE).eval()
folder = data.checkpoint("tiny-stable-diffusion")
painter = StableDiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False).to(DEVICE)
painter.set_progress_bar_config(disable=True)

torch.manual_seed(1)
start = tokenizer(f"{tokenizer.eos_token}Once there was a", return_tensors="pt").to(DEVICE)
story = gpt.generate(**start, do_sample=True, max_new_tokens=120)
print(tokenizer.decode(story[0], skip_special_tokens=True))

wishes = ["a large red circle", "a small blue square", "a large green triangle"]
wishes += ["a small purple ring", "a large black cross", "a large yellow ring"]
generator = torch.Generator().manual_seed(1)
painted = painter(wishes, num_inference_steps=25, generator=generator, output_type="pt").images
plots.strips({"": painted.flatten(1)}, (32, 32), captions=wishes, scale=2.0)

# %% [markdown]
# ## 1 · What it is
#
# Think of all the pictures of $32 \times 32$ coloured pixels. There are more than $10^{7000}$ of them, and nearly all
# are coloured noise. The few that show something, a red circle, a face, lie in that space like dust in the sky. A
# **generative model** is a machine that knows where they lie, and can put its finger there: it has learnt, from
# examples, a probability distribution $p(x)$ over all that $x$ could be, and it *draws* from it. Two things are asked
# of it at once. What it draws should be like the examples, or it is useless; and it should not simply *be* one of the
# examples, or a photocopier would do.
#
# Mostly one wants to have a say in what is drawn. Then the model learns a **conditional** distribution, $p(x \mid c)$:
# images given a caption, answers given a question, the next note given the notes before. The caption in the picture
# above, the *prompt*, is such a condition.
#
# ### Where it is used: text, images, music
#
# | what is drawn | given | for example | assignment |
# | --- | --- | --- | --- |
# | text | the text so far | GPT-3 (Brown et al. 2020), ChatGPT, translation | `transformers` |
# | program code | a description | Codex (Chen et al. 2021) | `transformers` |
# | images | a caption, a sketch | Stable Diffusion (Rombach et al. 2022) | `gan`, `diffusion` |
# | speech, sound | a text, a voice | WaveNet (van den Oord et al. 2016) | `autoregressive`, `audio` |
# | music | a beginning, a style | Jukebox (Dhariwal et al. 2020) | `audio` |
# | video | a caption, a first frame | VideoGPT (Yan et al. 2021) | `video` |
# | proteins | what they should bind | RFdiffusion (Watson et al. 2023) | |
#
# The last row says why the field is more than a toy. Whatever is made of parts, and of which there are many examples,
# can be drawn anew: a drug, a chip's layout, the weather of next week. There are humbler uses, too, that need no
# drawing at all. A model that knows what is *likely* fills gaps, removes noise, compresses, and notices what is odd.
#
# ## 2 · Telling apart, and drawing anew
#
# Let $x$ be an image of a digit and $y$ which digit it is. There are two ways to learn to read.
#
# - A **discriminative** model learns $p(y \mid x)$, and nothing else: what *tells apart* a 3 from an 8. How digits look
#   is no business of its.
# - A **generative** model learns $p(x, y) = p(y)\, p(x \mid y)$: how often each digit comes, and what each looks like.
#   To read, it asks of every digit: how likely would *you* have made this image? Bayes' rule turns the one into the
#   other:
#
# $$p(y \mid x) = \frac{p(x \mid y)\, p(y)}{\sum_{y'} p(x \mid y')\, p(y')} .$$
#
# The second is the larger task. It is often said that one should not solve a harder problem on the way to an easier one
# (Vapnik 1998), and for reading alone there is something in that. But whoever has solved the harder one can do more
# than read. You will build both, on the same digits.
#
# To be able to look at it we begin in a plane: images of ones, sixes and eights, each reduced to two numbers, its place
# in the plane in which they spread most (found by *principal component analysis*; the third assignment builds it).

# %% tags=["hands-on"]
digits = data.load_digits("bundled")
SIZE = digits.height, digits.width
NAMES = (1, 6, 8)


def subset(images, labels):
    """The images of the digits in NAMES, with labels from 0 to 2."""
    kept = torch.isin(labels, torch.tensor(NAMES))
    return images[kept], torch.searchsorted(torch.tensor(NAMES), labels[kept])


seen, seen_labels = subset(digits.train, digits.train_labels)
unseen, unseen_labels = subset(digits.test, digits.test_labels)
centre = seen.mean(dim=0)
axes = torch.linalg.svd(seen - centre, full_matrices=False).Vh[:2].T  # (64, 2)
flat, flat_unseen = (seen - centre) @ axes, (unseen - centre) @ axes
plots.scatter({"Three digits in a plane": flat}, [NAMES[label] for label in seen_labels])

# %% [markdown]
# ### The generative road
#
# What does each class look like? The simplest answer that is more than a point is a **Gaussian**: a mean $\mu$, the
# typical example, and a covariance $\Sigma$, in which directions and how far examples stray from it.
#
# $$p(x \mid y) = \mathcal{N}(x;\, \mu_y, \Sigma_y), \qquad p(y) = \pi_y .$$
#
# Which numbers fit the examples best? Those that make the examples most likely. For $n_y$ examples of class $y$ among
# $n$ the answer of this *maximum likelihood* is what one would hope for (Bishop 2006, section 4.2.2):
#
# $$\pi_y = \frac{n_y}{n}, \qquad \mu_y = \frac{1}{n_y} \sum_{i:\, y_i = y} x_i, \qquad
# \Sigma_y = \frac{1}{n_y} \sum_{i:\, y_i = y} (x_i - \mu_y)(x_i - \mu_y)^\top .$$
#
# A practical matter. In the corner of our images no ink has ever been seen, so the variance there is 0, and the
# Gaussian would swear that none can come: a flat pancake, whose covariance cannot be inverted. A small **ridge**
# $\lambda$ added to the diagonal, $\Sigma_y + \lambda I$, stands for a little noise in every pixel.
#
# ### Exercise · `fit_gaussian_classes`
#
# *●● · 15 minutes.*


# %% exercise="fit_gaussian_classes" points=3
def fit_gaussian_classes(
    x: Float[Tensor, "n features"],
    labels: Int[Tensor, "n"],
    classes: int,
    *,
    ridge: float = 0.0,
) -> tuple[
    Float[Tensor, "classes"],
    Float[Tensor, "classes features"],
    Float[Tensor, "classes features features"],
]:
    """Fit a Gaussian to the examples of each class, by maximum likelihood.

    The covariance of a class is the mean, over its n_c examples, of (x − μ)(x − μ)ᵀ, where μ is
    the mean of that class: divided by n_c, not by n_c − 1. `ridge` is then added to its diagonal.
    All three stay accurate for data that lie a thousand standard deviations from the origin
    (Bishop 2006, section 4.2.2, here with a covariance for each class).

    Args:
        x: data (n, features), one example in each row.
        labels: the class of each example (n,), int64, from 0 to classes − 1. Each class has at
            least one example; they may come in any order.
        classes: how many classes there are.
        ridge: what is added to the diagonal of every covariance, 0 or more: the variance of a
            little noise in every direction, with which a covariance can always be inverted.

    Returns:
        The triple (priors, means, covariances): the share of each class among the examples
        (classes,), the mean of each class (classes, features), and the covariance of each class
        (classes, features, features), all of the dtype of `x`.
    """
    raise NotImplementedError


# %% [markdown]
# ### How likely is this?
#
# The density of a Gaussian in $d$ dimensions is
#
# $$\log \mathcal{N}(x;\, \mu, \Sigma) = -\tfrac12 \Big( (x - \mu)^\top \Sigma^{-1} (x - \mu)
# + \log \det \Sigma + d \log 2\pi \Big).$$
#
# The first term is a squared distance, measured in standard deviations of each direction. The second is the price of
# being undecided: a Gaussian that spreads wide is nowhere high.
#
# Two traps lie here, and both are about size. With 400 dimensions of variance $10^{-4}$ the determinant is
# $10^{-1600}$, and no float can hold it, though its logarithm is harmless: never form the determinant first. And an
# image that is far away has a density like $e^{-5000}$: never form the density first either. Stay with logarithms.
#
# Of the many ways to do it, the **Cholesky factor** is the one to know: the lower triangular $L$ with $L L^\top =
# \Sigma$, a kind of square root. With it $\log \det \Sigma = 2 \sum_i \log L_{ii}$, and the squared distance is $\lVert
# L^{-1} (x - \mu) \rVert^2$, where $L^{-1}$ need not be formed: solving a triangular system is enough. You will need
# $L$ once more when it comes to drawing.
#
# ### Exercise · `gaussian_log_density`
#
# *●● · 15 minutes.* Look at `torch.linalg.cholesky` and `torch.linalg.solve_triangular`.


# %% exercise="gaussian_log_density" points=3
def gaussian_log_density(
    x: Float[Tensor, "n features"],
    mean: Float[Tensor, "features"],
    covariance: Float[Tensor, "features features"],
) -> Float[Tensor, "n"]:
    """log N(x; μ, Σ) of each data point.

    Minus half of (x − μ)ᵀ Σ⁻¹ (x − μ) + log det Σ + features · log 2π (Bishop 2006, equation
    2.43). It is finite, and exact up to rounding, for points that are 10⁴ standard deviations
    away, and where det Σ itself is too large or too small a number for the dtype.

    Args:
        x: data (n, features), one point in each row.
        mean: the mean μ (features,).
        covariance: the covariance Σ (features, features), symmetric and positive definite.

    Returns:
        Log-densities (n,), in nats.
    """
    raise NotImplementedError


# %% [markdown]
# ### Reading by Bayes' rule
#
# Everything is there: the prior, the likelihood of each class. In logarithms, with $\ell_y = \log p(x \mid y) + \log
# \pi_y$,
#
# $$\log p(y \mid x) = \ell_y - \log \sum_{y'} e^{\ell_{y'}} .$$
#
# The sum is the trap once more. If all $\ell$ are near $-5000$ every $e^{\ell}$ is 0, and $0/0$ is no probability. But
# only differences between the $\ell$ matter, and these are small: $\log \sum_y e^{\ell_y} = m + \log \sum_y e^{\ell_y -
# m}$ with $m = \max_y \ell_y$, and the largest summand is now 1. torch has it ready, as a function of its own and
# within another one. (That other one is called *softmax* and is the last layer of almost every classifier: a neural
# network that ends in a softmax is doing Bayes' rule with log-likelihoods that it has made up.)
#
# ### Exercise · `class_posterior`
#
# *●● · 15 minutes.* Use the function that is passed in as `log_density`, not yours by name: then other densities can be
# had, and in grading a mistake in the earlier exercise is not counted twice.


# %% exercise="class_posterior" points=4
def class_posterior(
    x: Float[Tensor, "n features"],
    priors: Float[Tensor, "classes"],
    means: Float[Tensor, "classes features"],
    covariances: Float[Tensor, "classes features features"],
    *,
    log_density: Callable = gaussian_log_density,
) -> Float[Tensor, "n classes"]:
    """log p(class|x) of each data point and class, by Bayes' rule.

    The logarithm of p(x|class) p(class), divided by its sum over classes. Everything is done in
    log space: the result is right for log-densities of ±10⁵ nats, where the densities themselves
    are 0 or infinite in any dtype.

    Args:
        x: data (n, features), one point in each row.
        priors: p(class) (classes,), not negative; they sum to 1. A class whose prior is 0 has
            the posterior 0, so −∞ in the result.
        means: the mean of each class (classes, features).
        covariances: the covariance of each class (classes, features, features).
        log_density: your `gaussian_log_density`, or another function that is called like it:
            log_density(x, mean, covariance) gives log p(x|class) (n,), for one class at a time.

    Returns:
        Log-probabilities (n, classes), in nats: of each row the exponentials sum to 1.
    """
    raise NotImplementedError


# %% [markdown]
# ### The discriminative road
#
# Now for the twin, which skips all that. It makes one score for each class, a weighted sum of the pixels, and turns
# scores into probabilities at once:
#
# $$p(y \mid x) = \frac{e^{a_y}}{\sum_{y'} e^{a_{y'}}}, \qquad a = x^\top W + b .$$
#
# This is **logistic regression**. Why call it a twin? Take your Gaussians, but give all classes the *same* covariance.
# Then the quadratic term $x^\top \Sigma^{-1} x$ is the same in every $\ell_y$ and drops out of Bayes' rule, and what
# remains is linear in $x$: exactly this formula. The two models say the same kind of thing about $y$. They differ in
# what they were asked to learn.
#
# The weights have no closed form. We go downhill on the **cross-entropy**, the mean of $-\log p(y_i \mid x_i)$ over the
# examples: how surprised the model is by the labels. Its gradient is of a beautiful simplicity (Bishop 2006, equation
# 4.109). With $P$ the table of predicted probabilities (a row for each example) and $T$ the truth (a 1 in each row, at
# the label),
#
# $$\frac{\partial \mathcal{L}}{\partial W} = \frac1n X^\top (P - T), \qquad
# \frac{\partial \mathcal{L}}{\partial b} = \frac1n \sum_{i=1}^{n} (P - T)_i .$$
#
# What was predicted minus what was true, times what was seen. A network with a hundred layers begins its way back with
# the same $P - T$.
#
# ### Exercise · `logistic_gradient`
#
# *●● · 15 minutes.* Scores may be large: mind what you exponentiate.


# %% exercise="logistic_gradient" points=4
def logistic_gradient(
    x: Float[Tensor, "n features"],
    labels: Int[Tensor, "n"],
    weights: Float[Tensor, "features classes"],
    bias: Float[Tensor, "classes"],
) -> tuple[Float[Tensor, "features classes"], Float[Tensor, "classes"]]:
    """The gradient of the mean cross-entropy of a linear classifier.

    The classifier says p(class|x) = softmax(x · weights + bias). The loss is −log p(label|x),
    averaged over the n examples (Bishop 2006, equations 4.108 and 4.109). The gradient is finite
    for scores of ±10⁴.

    Args:
        x: data (n, features), one example in each row.
        labels: the class of each example (n,), int64, from 0 to classes − 1.
        weights: (features, classes).
        bias: (classes,).

    Returns:
        The pair (with respect to weights, with respect to bias), of the shapes of these: means
        over the examples, not sums.
    """
    raise NotImplementedError


# %% [markdown]
# ### Downhill
#
# One step against the gradient, $W \leftarrow W - \eta\, \partial \mathcal{L} / \partial W$ and likewise for $b$, and
# again. This is *gradient descent* (Cauchy 1847), and with small refinements it trains everything in this course.
#
# ### Exercise · `fit_logistic`
#
# *● · 10 minutes.* As before: use the `gradient` that is passed in.


# %% exercise="fit_logistic" points=2
def fit_logistic(
    x: Float[Tensor, "n features"],
    labels: Int[Tensor, "n"],
    classes: int,
    *,
    steps: int,
    learning_rate: float,
    gradient: Callable = logistic_gradient,
) -> tuple[Float[Tensor, "features classes"], Float[Tensor, "classes"]]:
    """Train a linear classifier by plain gradient descent, on all examples at every step.

    Weights and bias begin at zero. Each step takes `learning_rate` times their gradient off both,
    and both gradients of a step are taken at the same place: where the step before has led.

    Args:
        x: data (n, features), one example in each row.
        labels: the class of each example (n,), int64, from 0 to classes − 1.
        classes: how many classes there are.
        steps: how many steps to take; 0 gives zeros.
        learning_rate: the length of a step, in units of the gradient.
        gradient: your `logistic_gradient`, or another function that is called like it:
            gradient(x, labels, weights, bias), once for each step.

    Returns:
        The pair (weights, bias), (features, classes) and (classes,), of the dtype of `x`.
    """
    raise NotImplementedError


# %% [markdown]
# Side by side. Dots are images, colours are what each classifier would answer, pale where it is in doubt. The rings on
# the left are the three Gaussians, at one, two and three standard deviations: sixes stray to the left and right,
# ones lie in a wide arc around the eights, and the borders bend accordingly. In the second panel all three share one
# shape, and the borders have become straight, as promised. In the third nobody has asked what a class looks like, and
# the borders are straight by construction.

# %% tags=["hands-on"]


def same_shape(priors, means, covariances):
    """The same Gaussians, but all with the average covariance."""
    shared = (priors.view(-1, 1, 1) * covariances).sum(dim=0)
    return priors, means, shared.expand_as(covariances)


def densities_of(means, covariances):
    """A function from places to the density of each class there."""
    pairs = list(zip(means, covariances, strict=True))
    return lambda x: torch.stack([gaussian_log_density(x, *pair) for pair in pairs], dim=1).exp()


own = fit_gaussian_classes(flat, seen_labels, len(NAMES))
shared = same_shape(*own)
weights, bias = fit_logistic(flat, seen_labels, len(NAMES), steps=500, learning_rate=0.5)
roads = {
    "a Gaussian for each": lambda x: class_posterior(x, *own).exp(),
    "one shape for all": lambda x: class_posterior(x, *shared).exp(),
    "discriminative": lambda x: torch.softmax(x @ weights + bias, dim=1),
}
for name, classify in roads.items():
    right = (classify(flat_unseen).argmax(dim=1) == unseen_labels).float().mean()
    print(f"{name + ':':22}{right:.0%} of images that it has not seen")
plots.regions(
    roads,
    flat,
    seen_labels,
    extent=2.8,
    densities={
        "a Gaussian for each": densities_of(*own[1:]),
        "one shape for all": densities_of(*shared[1:]),
    },
)

# %% [markdown]
# ### Which of them learns faster?
#
# Now with all 64 pixels and all ten digits: the errors on new images, after training on so many examples of each digit.
# Ng & Jordan (2002) studied such twins and found that the generative one tends to need fewer examples, the
# discriminative one tends to win in the end; and that it is the *assumption* that decides. Look at what happens here.

# %% tags=["hands-on"]
counts = (2, 4, 8, 16, 32, 64, 128)
errors = {"a Gaussian for each": [], "one shape for all": [], "discriminative": []}
generator = torch.Generator().manual_seed(0)
for count in tqdm(counts, desc="more and more examples"):
    missed = []
    for _ in range(3):
        order = torch.randperm(len(digits.train), generator=generator)
        kinds = [order[digits.train_labels[order] == digit][:count] for digit in range(10)]
        x, y = digits.train[torch.cat(kinds)], digits.train_labels[torch.cat(kinds)]
        fitted = fit_gaussian_classes(x, y, 10, ridge=0.02)
        weights, bias = fit_logistic(x, y, 10, steps=300, learning_rate=1.0)
        scores = [
            class_posterior(digits.test, *fitted),
            class_posterior(digits.test, *same_shape(*fitted)),
            digits.test @ weights + bias,
        ]
        answers = torch.stack(scores).argmax(dim=2)
        missed.append((answers != digits.test_labels).float().mean(dim=1))
    for line, error in zip(errors.values(), torch.stack(missed).mean(dim=0).tolist(), strict=True):
        line.append(100 * error)
plots.curves(
    {"Reading ten digits": errors},
    x=torch.tensor(counts).log2(),
    xlabel="examples of each digit, as log₂",
    ylabel="errors, %",
)

# %% [markdown]
# Two classifiers with straight borders, and the discriminative one is never worse: it spends everything it has on the
# border, while the other must also explain what lies far away from it, by an assumption that is false (digits do *not*
# all stray in the same directions). Yet the generative one whose assumption is nearer the truth, a shape for each
# class, beats both, with few examples and with many. Assumptions are what a model knows before it has seen anything.
# Good ones are worth more than data, bad ones cost for ever.
#
# ### What only one of them can do
#
# A generative model can be run backwards: choose a class, then draw an image of it. How does one draw from a Gaussian?
# Begin with noise $\varepsilon \sim \mathcal{N}(0, I)$, a round cloud; stretch and turn it with the Cholesky factor,
# and move it:
#
# $$x = \mu_y + L_y\, \varepsilon, \qquad L_y L_y^\top = \Sigma_y .$$
#
# Its mean is $\mu_y$, its covariance $\mathbb{E}[L \varepsilon \varepsilon^\top L^\top] = L L^\top = \Sigma_y$.
# Remember the pattern. *Noise goes in, a function that was learnt bends it, and something new comes out.* Nearly every
# generative model in this course is of that form, only with more interesting functions.
#
# ### Exercise · `sample_from_class`
#
# *●● · 10 minutes.*


# %% exercise="sample_from_class" points=3
def sample_from_class(
    labels: Int[Tensor, "samples"],
    means: Float[Tensor, "classes features"],
    covariances: Float[Tensor, "classes features features"],
    noise: Float[Tensor, "samples features"],
) -> Float[Tensor, "samples features"]:
    """Turn standard normal noise into new data, each from the Gaussian of the class asked for.

    Sample s is μ + L ε, where ε is noise[s], μ the mean of class labels[s], and L the lower
    Cholesky factor of its covariance, L Lᵀ = Σ (Bishop 2006, section 11.1.1).

    Args:
        labels: the class of which each sample is wanted (samples,), int64, from 0 to
            classes − 1.
        means: the mean of each class (classes, features).
        covariances: the covariance of each class (classes, features, features), symmetric and
            positive definite.
        noise: draws from N(0, 1) (samples, features); the function draws none of its own.

    Returns:
        Samples (samples, features), in the order of `labels`.
    """
    raise NotImplementedError


# %% [markdown]
# In four rows new zeros to nines: nobody has written them. In the last row we ask the discriminative model for the
# same, in the only way there is. It has no idea of how a digit looks, so we take a grey image, and change its pixels,
# step by step, into whatever makes the model surest that it sees a 0, a 1, and so on.

# %% tags=["hands-on"]
model = fit_gaussian_classes(digits.train, digits.train_labels, 10, ridge=2e-3)
weights, bias = fit_logistic(digits.train, digits.train_labels, 10, steps=1000, learning_rate=1.0)
labels = torch.arange(10)
generator = torch.Generator().manual_seed(0)
rows = {"training": torch.stack([digits.train[digits.train_labels == k][0] for k in range(10)])}
for name in ("drawn", " ", "  ", "   "):
    noise = torch.randn(10, digits.train.shape[1], generator=generator)
    rows[name] = sample_from_class(labels, *model[1:], noise).clamp(0, 1)

dream = torch.full((10, digits.train.shape[1]), 0.3)
for _ in range(30):
    dream.requires_grad_()
    surprise = F.cross_entropy(dream @ weights + bias, labels, reduction="sum")
    dream = (dream - torch.autograd.grad(surprise, dream)[0]).detach().clamp(0, 1)
certain = torch.softmax(dream @ weights + bias, dim=1).diagonal()
print(f"the discriminative model is {certain.min():.2%} sure of its own images, or more")
rows["discriminative"] = dream
plots.strips(rows, SIZE, captions=[str(k) for k in range(10)], title="Who can draw?")

# %% [markdown]
# The last row shows caricatures. What sets a digit *apart* is there, exaggerated, with ink in places where nobody puts
# any; what makes it a digit is not, because nobody asked. And the model is as sure of them as one can be. (Images that
# are made in this way to fool a classifier are called *adversarial*, and much larger ones fall for them, too: Szegedy
# et al. 2014.)
#
# **What is odd?** The other thing that only the generative model knows is $p(x) = \sum_y p(x \mid y)\, p(y)$: how
# likely this image is, whatever it shows. Let us give both models something that is no digit at all, printed capital
# letters. The discriminative one must say which digit each of them is. It has no other words.

# %% tags=["hands-on"]
letters, names = data.draw_letters(digits, generator=torch.Generator().manual_seed(0))


priors, *shapes = fit_gaussian_classes(digits.train, digits.train_labels, 10, ridge=0.02)


def log_evidence(x):
    """log p(x) under the Gaussians, whatever the digit."""
    each = [gaussian_log_density(x, *shape) for shape in zip(*shapes, strict=True)]
    return torch.logsumexp(torch.stack(each, dim=1) + priors.log(), dim=1)


sure = torch.softmax(letters @ weights + bias, dim=1).max(dim=1).values
believed = (sure > 0.9).float().mean()
print(f"{believed:.0%} of the letters are taken for a digit with a certainty of over 90%")
known, strange = log_evidence(digits.test), log_evidence(letters)
auc = (known[:, None] > strange).float().mean()
print(f"in {auc:.0%} of all pairs the generative model finds the digit likelier than the letter")
plots.histogram({"digits": known, "letters": strange}, xlabel="log p(x), nats")

# %% [markdown] question="two_roads" points=3
# ### Question · Two roads
#
# A hospital has ten thousand X-ray images, each with a diagnosis, and wants two things: a program that proposes a
# diagnosis, and a warning whenever an image should not have been given to that program at all (a picture of a hand
# where it knows only lungs). Which road would you take for which, and why? Use what you saw above: what each road
# models, what its assumptions cost, and what a discriminative model says of a thing that it has never seen.
#
# *3 points: one for what each road models and so can answer; one for a choice for each of the two wishes, with its
# reason; one for a weakness of the choice, or for what it assumes. Five sentences are enough.*

# %% [markdown]
# ## 3 · Four families at a glance
#
# A Gaussian can draw a digit of $8 \times 8$ pixels, blurred. It has no chance with a face, whose images are no cloud
# around a mean. What is needed are distributions that can be bent into any shape, by a neural network. The difficulty
# is the price: for a distribution over millions of numbers nobody can compute the integral that makes it sum to 1. Each
# of the four families below is a way around that integral.
#
# Here is a small problem for all of them: points in a plane, whose distribution is anything but a Gaussian. Yours comes
# first. The networks are small, the code is as short as it can be; look at its *shape*, the details have a whole
# assignment each.

# %% tags=["hands-on"]


def face(count, generator):
    """Points (count, 2) of a face: an outline, a mouth and two eyes."""
    turn = 2 * math.pi * torch.rand(count, 1, generator=generator)
    part = torch.rand(count, 1, generator=generator)
    outline = 2 * torch.cat([turn.cos(), turn.sin()], dim=1)
    bow = math.pi * 1.2 + 0.3 * turn
    mouth = 1.25 * torch.cat([bow.cos(), bow.sin() + 0.12], dim=1)
    eyes = torch.cat([0.7 * turn.sin().sign(), torch.full_like(turn, 0.6)], dim=1)
    points = torch.where(part < 0.55, outline, torch.where(part < 0.8, mouth, eyes))
    return points + 0.09 * torch.randn(count, 2, generator=generator)


points = face(4000, torch.Generator().manual_seed(0)).to(DEVICE)


class Waves(nn.Module):
    """Numbers, and waves of them: what lets a small network draw fine detail."""

    def forward(self, x):
        """From (batch, n) to (batch, 7 n)."""
        waves = [wave(k * x) for k in (1, 2, 4) for wave in (torch.sin, torch.cos)]
        return torch.cat([x, *waves], dim=1)


def network(inputs, outputs, width=96):
    """Three layers that bend, and one that does not."""
    layers = [Waves()]
    for size in (7 * inputs, width, width):
        layers += [nn.Linear(size, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, outputs)).to(DEVICE)


def batches(name, steps):
    """Random minibatches of the points, under a progress bar."""
    for _ in tqdm(range(max(1, round(BUDGET * steps))), desc=name):
        yield points[torch.randint(len(points), (256,))]


def descend(optimizer, loss):
    """One step downhill."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def noise(count, size=2):
    """Standard normal noise."""
    return torch.randn(count, size, device=DEVICE)


everything = torch.zeros(len(points), dtype=torch.int64, device=DEVICE)
_, mean, covariance = fit_gaussian_classes(points, everything, 1)
drawn = {"a Gaussian": sample_from_class(everything[:2000], mean, covariance, noise(2000))}

# %% [markdown]
# **Variational autoencoders** (VAE; Kingma & Welling 2014; Rezende et al. 2014). Two networks and a *code* between
# them. The *encoder* reads an example and says which codes it might come from; the *decoder* turns a code back into an
# example. They are trained together, to lose as little as possible on the way, and to keep the codes of all examples
# together looking like plain Gaussian noise: so noise can later be decoded into something new. What is maximised is a
# bound from below on $\log p(x)$, since that itself cannot be had:
#
# $$\log p(x) \ge \mathbb{E}_{q(z \mid x)}\big[\log p(x \mid z)\big] - \mathrm{KL}\big(q(z \mid x) \,\|\, p(z)\big).$$
#
# Training is steady, and the codes are useful in themselves. Draws tend to be blurred. → Assignment `vae`.

# %% tags=["hands-on"]
torch.manual_seed(0)
encoder, decoder = network(2, 4), network(2, 2)
log_spread = nn.Parameter(torch.tensor(-5.0, device=DEVICE))  # of what the decoder leaves open
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 2e-3)
for x in batches("VAE", 900):
    mu, logvar = encoder(x).chunk(2, dim=1)
    z = mu + (logvar / 2).exp() * torch.randn_like(mu)
    missing = (x - decoder(z)).square().sum(dim=1) / (2 * log_spread.exp())
    price = (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1) / 2
    descend(optimizer, (missing + price).mean())
with torch.no_grad():
    drawn["VAE"] = decoder(noise(2000)) + (log_spread / 2).exp() * noise(2000)

# %% [markdown]
# **Generative adversarial networks** (GAN; Goodfellow et al. 2014). A forger and a detective. The *generator* $G$ turns
# noise into a forgery; the *discriminator* $D$, a discriminative model, is shown real things and forgeries and learns
# to tell them apart; the generator learns by whatever would have fooled it:
#
# $$\min_G \max_D \; \mathbb{E}_x\big[\log \sigma(D(x))\big] + \mathbb{E}_z\big[\log(1 - \sigma(D(G(z))))\big].$$
#
# No likelihood at all is computed, so nothing forces the generator to cover everything; but what it does draw is sharp.
# The balance between the two is delicate. → Assignment `gan`.

# %% tags=["hands-on"]
torch.manual_seed(0)
forger, detective = network(2, 2), network(2, 1)
forging = torch.optim.Adam(forger.parameters(), 1e-3, betas=(0.5, 0.9))
detecting = torch.optim.Adam(detective.parameters(), 1e-3, betas=(0.5, 0.9))
for x in batches("GAN", 1000):
    forged = forger(noise(len(x)))
    verdict = detective(x.requires_grad_())
    (slope,) = torch.autograd.grad(verdict.sum(), x, create_graph=True)
    calm = 0.1 * slope.square().sum(dim=1).mean()  # a detective who is too sure teaches nothing
    caught = F.softplus(-verdict).mean() + F.softplus(detective(forged.detach())).mean()
    descend(detecting, caught + calm)
    descend(forging, F.softplus(-detective(forged)).mean())
with torch.no_grad():
    drawn["GAN"] = forger(noise(2000))

# %% [markdown]
# **Diffusion models** (Sohl-Dickstein et al. 2015; Ho, Jain & Abbeel 2020). Destroy an example bit by bit by mixing
# noise into it, and train a network to tell *what of this is noise*, which is ordinary regression with a known answer.
# Then begin with pure noise, and take off a little of what the network says is noise, again and again:
#
# $$x_t = \sqrt{\bar\alpha_t}\; x + \sqrt{1 - \bar\alpha_t}\; \varepsilon, \qquad
# \min_\theta\; \mathbb{E}\,\lVert \varepsilon - \varepsilon_\theta(x_t, t) \rVert^2 .$$
#
# One hard problem has become fifty easy ones. Training is dull and dependable, the results are the best there are for
# images; drawing takes many steps. → Assignment `diffusion`.

# %% tags=["hands-on"]
torch.manual_seed(0)
STEPS = 50
kept = torch.cos(torch.linspace(0.03, 0.98, STEPS, device=DEVICE) * math.pi / 2).square()
denoiser = network(4, 2)


def noise_in(x, t):
    """What the network takes for noise in points (batch, 2) at times t (batch, 1)."""
    angle = math.pi * t / STEPS
    return denoiser(torch.cat([x, angle.cos(), angle.sin()], dim=1))


optimizer = torch.optim.Adam(denoiser.parameters(), 2e-3)
for x in batches("diffusion", 2000):
    t = torch.randint(STEPS, (len(x), 1), device=DEVICE)
    added = torch.randn_like(x)
    destroyed = kept[t].sqrt() * x + (1 - kept[t]).sqrt() * added
    descend(optimizer, F.mse_loss(noise_in(destroyed, t), added))

x, film = noise(2000), {}
for t in reversed(range(STEPS)):
    if t + 1 in (50, 20, 10, 5, 2):
        film[f"{t + 1} steps to go"] = x
    now, before = kept[t], kept[t - 1] if t else torch.ones((), device=DEVICE)
    with torch.no_grad():
        told = noise_in(x, torch.full((len(x), 1), t, device=DEVICE))
    x = (x - (1 - now / before) / (1 - now).sqrt() * told) * (before / now).sqrt()
    if t:
        x = x + ((1 - now / before) * (1 - before) / (1 - now)).sqrt() * noise(len(x))
drawn["diffusion"] = x
plots.clouds({"": {**film, "done": x}}, behind=points.cpu(), extent=2.8)

# %% [markdown]
# **Autoregressive models, and Transformers** (Vaswani et al. 2017). Cut the thing into a sequence of small pieces, and
# draw one piece after another, each given all that came before:
#
# $$p(x) = p(x_1)\; p(x_2 \mid x_1)\; p(x_3 \mid x_1, x_2) \cdots$$
#
# That is no approximation, and each factor is a plain classification: the integral has become a softmax over the
# possible next pieces. The *Transformer* is the network that does it best, because every piece can look at every
# earlier one. It is how language models work, and with pieces of pictures or of sound it draws these, too. Here the
# pieces are the two coordinates, each rounded to one of 40 cells. The likelihood is exact, with no bound and no
# adversary; but one piece at a time is slow, and everything must be put in an order. → Assignments `autoregressive` and
# `transformers`.

# %% tags=["hands-on"]
CELLS, EDGE = 40, 2.8


class TinyTransformer(nn.Module):
    """Scores of the next cell, given the cells so far; cell number CELLS means *begin*."""

    def __init__(self, width=64):
        super().__init__()
        self.embedding = nn.Embedding(CELLS + 1, width)
        self.position = nn.Parameter(torch.zeros(2, width))
        self.block = nn.TransformerEncoderLayer(width, 4, 128, 0.0, batch_first=True)
        self.scores = nn.Linear(width, CELLS)

    def forward(self, ids):
        """From ids (batch, length) to scores (batch, length, CELLS)."""
        length = ids.shape[1]
        later = nn.Transformer.generate_square_subsequent_mask(length, device=ids.device)
        x = self.embedding(ids) + self.position[:length]
        return self.scores(self.block(x, src_mask=later, is_causal=True))


torch.manual_seed(0)
transformer = TinyTransformer().to(DEVICE)
optimizer = torch.optim.Adam(transformer.parameters(), 4e-3)
for x in batches("Transformer", 700):
    cells = ((x + EDGE) / (2 * EDGE) * CELLS).long().clamp(0, CELLS - 1)
    before = F.pad(cells[:, :1], (1, 0), value=CELLS)
    descend(optimizer, F.cross_entropy(transformer(before).flatten(0, 1), cells.flatten()))

cells = torch.full((2000, 1), CELLS, device=DEVICE)  # *begin*, then two cells, one after the other
with torch.no_grad():
    for _ in range(2):
        chances = transformer(cells)[:, -1].softmax(dim=1)
        cells = torch.cat([cells, torch.multinomial(chances, 1)], dim=1)
inside = torch.rand(2000, 2, device=DEVICE)  # anywhere in the cell
drawn["Transformer"] = (cells[:, 1:] + inside) / CELLS * 2 * EDGE - EDGE
plots.clouds({"": drawn}, behind=points.cpu(), extent=2.8)

# %% [markdown]
# Grey is the truth, blue is what each has drawn. The Gaussian has the right mean and the right spread, and everything
# else wrong. The VAE covers all of the face, but smears: its noise is continuous and the face is in pieces, so some of
# it must land between them. The GAN is sharp, almost too sharp, and pays with places that it forgets or bends.
# Diffusion and the Transformer do best, and both are slow at drawing: fifty calls of the network for the one, one for
# every piece for the other.
#
# | family | learns by | draws in | strong at | weak at |
# | --- | --- | --- | --- | --- |
# | VAE | a bound on the likelihood | one step | codes, steadiness | blur |
# | GAN | a contest | one step | sharpness, speed | covering everything, steadiness |
# | diffusion | regression on noise | many steps | quality, steadiness | speed |
# | Transformer | exact likelihood, piece by piece | one step a piece | text, anything in sequence | speed, order |
#
# They are ingredients rather than rivals. Stable Diffusion, which painted the first picture of this notebook, is a
# diffusion model that works on the codes of a VAE, whose decoder was sharpened by a GAN's discriminator, and it is told
# what to paint by a Transformer.

# %% [markdown] question="families" points=3
# ### Question · Which family?
#
# For each of these, choose a family and say what decides it: (a) new levels for a game, in real time, on a telephone;
# (b) a few excellent illustrations for a book, overnight; (c) finishing the sentence that somebody is typing. Then look
# at the picture above once more and say in which *different* ways the VAE and the GAN go wrong, and how that follows
# from what each is trained to do.
#
# *3 points: one for three choices with their reasons; one for each of the two failures, traced back to the objective.*

# %% [markdown]
# ## 4 · Writing
#
# A language model is the last family, with *tokens* for pieces: words, or parts of words. Ask it with some text and it
# answers with one score, a **logit**, for every token of its vocabulary. The softmax of the scores is its distribution
# over what comes next. Everything else, story, answer, program, comes out of drawing from that distribution, appending,
# and asking again.

# %% tags=["hands-on"]


def ask(ids):
    """Logits (batch, length, vocab) of the token after each of the ids (batch, length)."""
    return gpt(ids).logits


def tokens_of(text):
    """Token ids (1, length) of a text, after the mark at which every text begins."""
    return tokenizer(tokenizer.eos_token + text, return_tensors="pt")["input_ids"].to(DEVICE)


beginning = "One morning, Finn the fox went to the market. The"
ids = tokens_of(beginning)
print([tokenizer.decode([token]) for token in ids[0].tolist()], "\n")
with torch.no_grad():
    next_logits = ask(ids)[:, -1]
chances, likely = torch.softmax(next_logits, dim=1).topk(9)
# Long words are several tokens: let the model finish what each of these begins.
begun = torch.cat([ids.expand(9, -1), likely.T], dim=1)
rest = gpt.generate(begun, attention_mask=torch.ones_like(begun), do_sample=False, max_new_tokens=4)
words = [tokenizer.decode(row[ids.shape[1] :]).split()[0] for row in rest]
for token, chance, word in zip(likely[0].tolist(), chances[0].tolist(), words, strict=True):
    print(f"{chance:6.1%}  {tokenizer.decode([token]):5} as in {word}")

# %% [markdown]
# ### The dials
#
# Drawing from the distribution as it is would be the honest thing. There are two reasons to meddle with it. The model
# has spread a little probability over hundreds of tokens that make no sense; each is unlikely, but over a long text one
# of them *will* be drawn, and the text does not recover. And sometimes one wants a text that is safer, or bolder, than
# the average one. Hence three dials, which every library and every service has:
#
# **Temperature** divides the logits by $T$ before the softmax, $p_i \propto e^{a_i / T}$, which is $p_i^{1/T}$,
# renormalised. Below 1 the likely becomes likelier; at 0 only the likeliest is left (*greedy* decoding); above 1
# everything moves towards the same probability. The word is from physics, where the same formula says how a gas
# distributes itself over energies.
#
# **Top-k** (Fan et al. 2018) keeps the $k$ likeliest tokens and forgets the rest. But how many tokens make sense
# depends on the place: after *Finn the* it is one, after *One* it is four.
#
# **Top-p**, or *nucleus sampling* (Holtzman et al. 2020), therefore keeps as many as it takes: the fewest tokens that
# together have the probability $p$. Mind the edge: the token with which the sum *reaches* $p$ belongs to them, so there
# is always at least one.
#
# In which order? In `transformers`, and here, it is temperature, top-k, top-p, each working on what the one before has
# left.
#
# ### Exercise · `token_distribution`
#
# *●●● · 25 minutes.* What is dropped gets the logit $-\infty$ (a logit of 0 would be a perfectly possible token).


# %% exercise="token_distribution" points=4
def token_distribution(
    logits: Float[Tensor, "batch vocab"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "batch vocab"]:
    """The probabilities that a next token is drawn from.

    The three settings act in this order. Logits are divided by the temperature. Of these, top_k
    keeps the k largest. Of the distribution that is left, renormalised, top_p keeps the smallest
    set of most likely tokens whose probabilities together reach p: at least one token (the
    nucleus; Holtzman et al. 2020, section 3.1). Every other token gets the probability 0, and the
    kept ones are renormalised.

    Args:
        logits: scores of every token (batch, vocab), each row for itself; −∞ is a probability
            of 0, and each row has a finite one.
        temperature: 1 leaves the distribution as it is, less sharpens it, more flattens it. 0 is
            the limit: probability 1 for the largest logit, for the lowest id if several are
            equal; the other two settings then change nothing.
        top_k: how many tokens to keep; all that equal the k-th largest are kept, too. None, or
            k ≥ vocab, keeps all.
        top_p: the probability p to keep, 0 < p ≤ 1. Where tokens that are equally likely compete
            for the last place, any of them may get it. None, or 1, keeps all.

    Returns:
        Probabilities (batch, vocab), each row summing to 1.

    Raises:
        ValueError: if `temperature` is negative, `top_k` is less than 1, or `top_p` is not in
            (0, 1].
    """
    raise NotImplementedError


# %% [markdown]
# The nine likeliest tokens after "…went to the market. The", in per cent, under several settings of the dials. (Fog,
# crows and rain before birds and sun: the texts that this model has read are unkind to foxes. We shall come back to
# it.)

# %% tags=["hands-on"]
settings = {
    "as it is": {},
    "temperature 0.5": {"temperature": 0.5},
    "temperature 2": {"temperature": 2.0},
    "temperature 0": {"temperature": 0.0},
    "top-k 3": {"top_k": 3},
    "top-p 0.75": {"top_p": 0.75},
}
table = torch.cat([token_distribution(next_logits, **setting) for setting in settings.values()])
title = f"After “…{beginning[-23:]}”"
plots.matrices({title: table[:, likely[0]]}, rows=list(settings), columns=words, numbers=True)

# %% [markdown]
# ### Drawing
#
# How does one draw from a list of probabilities, with nothing but a number $u$ between 0 and 1 that was drawn
# *uniformly*? Lay the probabilities end to end. Together they make up the interval from 0 to 1, and $u$ falls on one of
# them, on each with just its probability. In other words: run along the cumulative sums $c_1 \le c_2 \le \dots$, and
# take the first that exceeds $u$. (This *inversion* of the cumulative distribution is the oldest way to draw from
# anything.) That $u$ is passed in makes the function testable, and a text repeatable.
#
# Mind the rounding: in floating point the sums may end at 0.9999999, and then $u$ may lie beyond all of them.
#
# ### Exercise · `sample_token`
#
# *●● · 10 minutes.*


# %% exercise="sample_token" points=2
def sample_token(
    logits: Float[Tensor, "batch vocab"],
    uniform: Float[Tensor, "batch"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    distribution: Callable = token_distribution,
) -> Int[Tensor, "batch"]:
    """Draw a token for each row, by inverting the cumulative distribution.

    Lay the probabilities end to end, token 0 first: they fill the interval from 0 to 1. The token
    drawn is the one on whose stretch `uniform` falls: the lowest id up to which (that one
    included) the probabilities sum to more than `uniform`. It is never a token of probability 0:
    where rounding leaves all of them a sum of no more than `uniform`, it is the last possible one.

    Args:
        logits: scores of every token (batch, vocab).
        uniform: draws from the uniform distribution on [0, 1) (batch,), the only source of
            randomness.
        temperature: passed on to `distribution`.
        top_k: passed on to `distribution`.
        top_p: passed on to `distribution`.
        distribution: your `token_distribution`, or another function that is called like it:
            distribution(logits, temperature=…, top_k=…, top_p=…).

    Returns:
        Token ids (batch,), int64.
    """
    raise NotImplementedError


# %% [markdown]
# ### The loop
#
# > predict → choose → append, again and again.
#
# That is all there is between a table of scores and a novel. Three practical matters. The model can read no more than
# its **context** at once (`tiny-gpt` 256 tokens, GPT-3 2048), so of a longer text it is shown the end. Texts in a batch
# end at different times: the model says so by drawing a special token, and whatever would follow in that row is of no
# interest. (Our model's mark for the end is also its mark for the beginning, so one that stands in the prompt must not
# count.) And nothing is being trained: keeping a graph would fill the memory for nothing.
#
# It is wasteful to have the model read the whole text again for every token. What can be kept from one step to the next
# is a matter for the assignment `transformers`.
#
# ### Exercise · `generate_text`
#
# *●● · 20 minutes.* Use the functions that are passed in: `model`, and `choose`.


# %% exercise="generate_text" points=3
def generate_text(
    model: Callable,
    prompt: Int[Tensor, "batch length"],
    uniform: Float[Tensor, "batch new"],
    *,
    choose: Callable = sample_token,
    context: int | None = None,
    end: int | None = None,
) -> Int[Tensor, "batch length+new"]:
    """Continue texts token by token: predict, choose, append, and again.

    The model is called once for each new token, with everything that has been written so far, and
    no more once all texts have ended. It is called without recording a graph (torch.no_grad).

    Args:
        model: model(ids) gives the logits (batch, length, vocab) of the token that follows each of
            the ids (batch, length). The last position counts.
        prompt: how the texts begin (batch, length), int64, at least one token each.
        uniform: draws from the uniform distribution on [0, 1) (batch, new), the only source of
            randomness: as many columns as tokens are added, column i for the i-th of them.
        choose: your `sample_token`, or another function that picks tokens (batch,) in this way:
            choose(logits, uniform), of the last position (batch, vocab) and one column (batch,).
        context: how many tokens the model can read: of a longer text it is given the last
            `context` ones only. None sets no limit.
        end: the token that ends a text: whatever would follow it there is `end` again. It counts
            only once it has been chosen: one in the prompt ends nothing. None never ends.

    Returns:
        Token ids (batch, length + new), int64, the prompt first.
    """
    raise NotImplementedError


# %% [markdown]
# The same beginning, and the same random numbers, at four temperatures.

# %% tags=["hands-on"]
END, CONTEXT = tokenizer.eos_token_id, gpt.config.n_positions


def write(prompt, count, *, length=90, seed=0, **setting):
    """So many continuations of a prompt, as token ids, with the prompt at the front."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(count, length, generator=generator).to(DEVICE)
    start = tokens_of(prompt).repeat(count, 1)

    def choose(logits, draw):
        return sample_token(logits, draw, **setting)

    return generate_text(ask, start, uniform, choose=choose, context=CONTEXT, end=END)


for temperature in (0.0, 1.0, 1.5, 2.0):
    text = write("One morning,", 1, seed=3, temperature=temperature)[0]
    print(f"temperature {temperature}:\n{tokenizer.decode(text, skip_special_tokens=True)}\n")

# %% [markdown]
# At temperature 0 it is always the same story. At 2 it has lost its way within a sentence, and once it has, nothing
# that it has read helps it to find back. Below, what the dial does, measured on 32 beginnings of stories for each
# setting. On the left, how surprised the model itself is by what it has written: its mean $-\log p$ of a token, at
# temperature 1; in green, how surprised it is by stories of the kind that it learnt from. At temperature 1 the two
# meet: that is what it means to have learnt a *distribution*. On the right, how much of what it writes is no word at
# all. Top-p keeps the nonsense out that a high temperature lets in.

# %% tags=["hands-on"]
from coursekit import corpus

LENGTH = 20  # tokens that are added
true_stories = corpus.write_stories(900, generator=torch.Generator().manual_seed(0))
true_stories = [story.text for story in true_stories if story.text.startswith("One ")]
true_ids = torch.cat([tokens_of(text)[:, : LENGTH + 2] for text in true_stories])


def words_of(text):
    """Its words, without signs, and without the last, which may have been cut off."""
    return "".join(c if c.isalpha() else " " for c in text).split()[:-1]


known_words = {word for text in true_stories for word in words_of(text)}


@torch.no_grad()
def surprise_of(ids):
    """How surprised the model is by a token of these texts, on average, in nats."""
    log_p = ask(ids[:, :-1]).log_softmax(dim=2)
    return -log_p.gather(2, ids[:, 1:, None])[:, 1:].mean().item()  # the first is given


temperatures = (0.1, 0.4, 0.7, 1.0, 1.3, 1.6)
dials = {"without top-p": None, "top-p 0.9": 0.9}
surprise, nonsense = {name: [] for name in dials}, {name: [] for name in dials}
with tqdm(total=len(dials) * len(temperatures), desc="writing") as bar:
    for name, top_p in dials.items():
        for temperature in temperatures:
            ids = write("One", 32, length=LENGTH, temperature=temperature, top_p=top_p)
            texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
            unknown = [word not in known_words for text in texts for word in words_of(text)]
            surprise[name].append(surprise_of(ids))
            nonsense[name].append(100 * sum(unknown) / len(unknown))
            bar.update()
surprise["true stories"] = [surprise_of(true_ids)] * len(temperatures)
plots.curves(
    {"How surprised it is by itself": surprise, "Words that do not exist": nonsense},
    x=temperatures,
    xlabel="temperature",
    ylabel=("nats a token", "%"),
    legend=True,
)

# %% [markdown]
# ### The same in one line
#
# All this is what a library does for you. With `transformers` it is one line; with a network and some patience, any
# model of the Hugging Face hub can stand in the place of ours:
#
# ```python
# from transformers import pipeline
# writer = pipeline("text-generation", model="openai-community/gpt2")
# ```
#
# First, a proof that there is no magic in it: greedy decoding by the library, and by your loop, token for token. Then
# the pipeline, as a storyteller and as a chatbot (the prompt of a chat is a text, too: the questions and answers so
# far, with marks between them).

# %% tags=["hands-on"]
from transformers import pipeline

prompt = tokens_of("Once there was a")
mask = torch.ones_like(prompt)
theirs = gpt.generate(prompt, attention_mask=mask, do_sample=False, max_new_tokens=80)
yours = write("Once there was a", 1, length=80, temperature=0.0)
same = theirs[0].tolist() == yours[0, : theirs.shape[1]].tolist()
print(f"the same, token for token: {same}\n")

torch.manual_seed(0)
writer = pipeline("text-generation", model=str(data.checkpoint("tiny-gpt")), device=DEVICE)
dial = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "max_new_tokens": 120}
print(writer("Mia the mouse lived in", **dial)[0]["generated_text"], "\n")
chat = []
for question in ("What does Olga like to eat?", "And where does she live?", "What is 3 plus 4?"):
    chat = [*chat, {"role": "user", "content": question}]
    chat = writer(chat, do_sample=False, max_new_tokens=40)[0]["generated_text"]
    print(f"{question}\n    {chat[-1]['content']}")

# %% [markdown]
# **What it has picked up.** A model of a distribution is a model of *all* of it. In the stories that `tiny-gpt` has
# read the fox and the wolf have bad luck more often than not, the rabbit and the lamb good luck. Nobody told the model
# so, and no single story is unfair. Let your loop write, and count: it has learnt that, too.

# %% tags=["hands-on"]
animals = {"rabbit": "Rufus", "duck": "Dora", "wolf": "Otto", "fox": "Finn"}


def bright(texts):
    """The share of texts in whose first 26 tokens bright words prevail."""
    heads = [tokenizer.decode(ids[:26], skip_special_tokens=True) for ids in texts]
    return sum(corpus.brightness(text) > 0 for text in heads) / len(heads)


generator = torch.Generator().manual_seed(0)
shares = []
for kind, name in tqdm(animals.items(), desc="stories"):
    read = [story.text for story in corpus.write_stories(900, hero=name, generator=generator)]
    read = [tokens_of(text)[0] for text in read if text.startswith("One ")]
    written = write(f"One morning, {name} the {kind}", 100, length=18, seed=len(shares))
    shares.append([bright(read), bright(written)])
plots.matrices(
    {"Stories that begin well, %": torch.tensor(shares).T},
    rows=["what it has read", "what it writes"],
    columns=list(animals),
    numbers=True,
)

# %% [markdown] question="temperature" points=3
# ### Question · The dial
#
# A colleague sets the temperature to 0 "so that the model makes no mistakes". Another says that 1 is the only honest
# setting. What is right about each, and what is wrong? Say what temperature 0 and temperature 1 do to the distribution,
# for which task each of the two is the better choice, and why top-p is of more help at 1.3 than at 0.3.
#
# *3 points: one for what each setting does; one for a task for each, with the reason; one for top-p.*

# %% [markdown]
# ## 5 · Painting
#
# For images the library is `diffusers`, and the unit is again the *pipeline*: a network, a schedule of noise, and all
# that comes before and after. The first one knows digits, and takes no prompt.

# %% tags=["hands-on"]
from diffusers import DDIMScheduler, DDPMPipeline

folder = data.checkpoint("tiny-diffusion")
ddpm = DDPMPipeline.from_pretrained(folder, low_cpu_mem_usage=False).to(DEVICE)
ddpm.scheduler = DDIMScheduler.from_config(ddpm.scheduler.config)  # fewer steps, hardly worse
ddpm.set_progress_bar_config(disable=True)
made = ddpm(
    batch_size=30,
    generator=torch.Generator().manual_seed(0),
    num_inference_steps=25,
    output_type="np",
).images
made = torch.from_numpy(made).flatten(1)
noise_rows = torch.randn(30, 64, generator=torch.Generator().manual_seed(1))
labels = torch.randint(10, (30,), generator=torch.Generator().manual_seed(2))
gaussian = sample_from_class(labels, *model[1:], noise_rows).clamp(0, 1)
plots.strips(
    {
        "diffusion": made[:15],
        " ": made[15:],
        "your Gaussians": gaussian[:15],
        "  ": gaussian[15:],
    },
    SIZE,
    title="Digits that nobody has written",
)

# %% [markdown]
# The second is a text-to-image pipeline: `StableDiffusionPipeline`, the class that Stable Diffusion runs in, with a
# Transformer that reads the prompt, a diffusion model that works on codes, and the decoder of a VAE. Only that its
# world is coloured shapes on white paper, and that it was trained in minutes instead of months.
#
# ### Every picture can be had again
#
# Painting begins with noise, so a picture is made of its prompt, the settings, and the *noise*. Keep the seed, and you
# can have the picture again, larger, or with another word in the prompt. But mind how the noise is drawn. If one
# generator serves a whole batch, then what comes third depends on the first two, and another batch size changes every
# picture from the second on. People have lost pictures they loved to this. The remedy is simple: **a generator of its
# own for each picture**. Pipelines of `diffusers` take a list of them.
#
# ### Exercise · `generate_images`
#
# *●● · 10 minutes.*


# %% exercise="generate_images" points=2
def generate_images(
    pipeline: Callable,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    batch_size: int = 4,
) -> Float[Tensor, "n channels height width"]:
    """Paint an image for each prompt, so that it depends on its prompt and its seed alone.

    Image i is painted with a generator of its own, a fresh torch.Generator on the CPU that is
    seeded with seeds[i]. So it is the same image whatever else is painted, in whichever order and
    batches.

    Args:
        pipeline: pipeline(prompts, generators) gives images (batch, channels, height, width) for a
            list of strings and a list of as many generators.
        prompts: what to paint, at least one; the same may come several times.
        seeds: an integer for each prompt; the same may come several times.
        batch_size: the most prompts that the pipeline is given at once; every batch but the last
            has as many.

    Returns:
        Images (n, channels, height, width), in the order of the prompts.

    Raises:
        ValueError: if there are not as many seeds as prompts.
    """
    raise NotImplementedError


# %% [markdown]
# A table of wishes: colours down, shapes across. All pictures share one seed, so they begin with the same noise, and it
# is the prompt alone that makes the difference. Look at where the shapes stand.

# %% tags=["hands-on"]


def paint(prompts, generators, *, steps=25, guidance=3.0):
    """Images (batch, 3, 32, 32) in [0, 1]."""
    return painter(
        prompts,
        generator=generators,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="pt",
    ).images


def rows_of(images, names):
    """Images in as many rows as there are names."""
    return dict(zip(names, images.flatten(1).chunk(len(names)), strict=True))


prompts = [f"a large {colour} {shape}" for colour in data.SHAPE_COLOURS for shape in data.SHAPES]
images = generate_images(paint, prompts, [4] * len(prompts), batch_size=10)
plots.strips(
    rows_of(images, list(data.SHAPE_COLOURS)),
    (32, 32),
    captions=data.SHAPES,
    title="One seed, thirty wishes",
    scale=1.3,
)

# %% [markdown]
# One wish, ten seeds: a prompt does not fix a picture, it fixes a *distribution* of pictures. The rows differ in how
# strongly the model is held to the prompt. **Guidance** computes the noise twice, with the prompt and without it, and
# goes further in the direction in which the prompt has changed it: the dial that for images is what temperature is for
# text. At 1 it is off, and pictures are varied and often wrong; higher, they do as they are told; too high, and they
# overshoot (Ho & Salimans 2022; you will build it in `diffusion`).

# %% tags=["hands-on"]
rows = {}
for guidance in (1.0, 3.0, 7.5):

    def guided(prompts, generators, guidance=guidance):
        """Paint with this guidance."""
        return paint(prompts, generators, guidance=guidance)

    images = generate_images(guided, ["a small blue ring"] * 10, range(10), batch_size=10)
    rows[f"guidance {guidance:g}"] = images.flatten(1)
seeds = [f"seed {seed}" for seed in range(10)]
plots.strips(rows, (32, 32), captions=seeds, title="a small blue ring")

# %% [markdown]
# And the limits. It has seen six colours and five shapes, each alone on the page, so much the better can we see what it
# does with words that it has met in another order, twice, or never. Real models fail in the same ways, only later: with
# counting, with *not*, with which colour belongs to which thing (see Marcus, Davis & Aaronson 2022).

# %% tags=["hands-on"]
odd = ["circle red large a", "a red and blue circle", "two green squares"]
odd += ["not a black cross", "a purple horse", ""]
images = generate_images(paint, odd, [2] * len(odd), batch_size=6)
captions = [wish or "(nothing)" for wish in odd]
plots.strips({"": images.flatten(1)}, (32, 32), captions=captions, scale=2.0)

# %% [markdown]
# With a GPU and a network, the large relative is a change of one line:
#
# ```python
# painter = StableDiffusionPipeline.from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5").to("cuda")
# ```
#
# and `generate_images(paint, ["a watercolour of a lighthouse at dawn"] * 4, [1, 2, 3, 4])` paints four of them.
#
# ## 6 · A tune
#
# Nothing in `generate_text` is about text. A melody is a sequence, too; let its tokens be notes, each with a pitch and
# a length, and let the model be the oldest of all: **count** what followed what. Below it reads three old songs, and
# predicts the next note from the last three, or two, or one, whichever have occurred before (an *n-gram model*; Shannon
# 1948 wrote English in this way, by hand). Your loop does the rest.

# %% tags=["hands-on"]
SONGS = """
c c g g a a g2 f f e e d d c2 g g f f e e d2 g g f f e e d2 c c g g a a g2 f f e e d d c2

e e f g g f e d c c d e e. d, d2 e e f g g f e d c c d e d. c, c2
d d e c d e, f, e c d e, f, e d c d G2 e e f g g f e d c c d e d. c, c2

c d e c c d e c e f g2 e f g2 g, a, g, f, e c g, a, g, f, e c c G c2 c G c2
""".split("\n\n")  # Ah! vous dirai-je, maman; Ode to Joy; Frère Jacques
LENGTHS = {"": 1.0, "2": 2.0, ".": 1.5, ",": 0.5}
notes = sorted({note for song in SONGS for note in song.split()})
songs = [torch.tensor([notes.index(note) for note in song.split()]) for song in SONGS]


def follow(history):
    """Probabilities (notes,) of the next note: mostly by the longest history that was seen."""
    chances = torch.full((len(notes),), 1e-3)
    for order in range(1, 4):
        counts = torch.zeros(len(notes))
        for song in songs:
            for i in range(order, len(song)):
                if song[i - order : i].tolist() == history[-order:]:
                    counts[song[i]] += 1
        chances = chances + 4.0**order * counts / counts.sum().clamp(min=1)
    return chances / chances.sum()


def composer(ids):
    """Logits (batch, length, notes) of the note after each."""
    rows = [[follow(row[: i + 1]) for i in range(len(row))] for row in ids.tolist()]
    return torch.stack([torch.stack(row) for row in rows]).log()


uniform = torch.rand(1, 47, generator=torch.Generator().manual_seed(21))
tune = generate_text(composer, torch.tensor([[notes.index("c")]]), uniform, context=3)
tune = [notes[note] for note in tune[0].tolist()]
print(*tune)

PITCHES = dict(zip("Gcdefga", (55, 60, 62, 64, 65, 67, 69), strict=True))  # MIDI numbers
beats = sum(LENGTHS[note[1:]] for note in tune)
roll = torch.zeros(len(PITCHES), int(8 * beats))  # eight columns a beat
place = 0
for note in tune:
    columns = int(8 * LENGTHS[note[1:]])
    roll["agfedcG".index(note[0]), place : place + columns - 1] = 1
    place += columns
plots.matrices({"A tune": roll}, rows="agfedcG", xlabel="time, eight to a beat")

# %% [markdown]
# And what it sounds like: each note a few overtones that die away, as on a plucked string. (The assignment `audio`
# makes better instruments; play with the seed above, or pass `choose` a temperature.)

# %% tags=["hands-on"]
from IPython.display import Audio

RATE = 16_000
sound = torch.zeros(int(RATE * (0.32 * beats + 2)))
place = 0
for note in tune:
    t = torch.arange(int(1.2 * RATE)) / RATE
    pitch = 440 * 2 ** ((PITCHES[note[0]] - 69) / 12)
    for k in range(1, 6):  # the tone and its overtones
        overtone = (2 * math.pi * pitch * k * t).sin() * (-(3 + 2 * k) * t).exp() / k
        sound[place : place + len(t)] += overtone
    place += int(RATE * 0.32 * LENGTHS[note[1:]])
Audio((sound / sound.abs().max()).numpy(), rate=RATE)

# %% [markdown]
# ## 7 · Before you use one
#
# You have now seen, in small, most of what there is to be wary of. **They make things up**: a language model writes
# what is likely, and a false sentence can be likelier than a true one; nothing in $p(x)$ is about truth. **They repeat
# what they have read**, its prejudices included, as with our fox. **They may copy**: with enough capacity and few
# examples the best way to be like the examples is to *be* one of them, and large models do return some of their
# training images and texts word for word (Carlini et al. 2021, 2023), which matters to those who made them. **They can
# be told apart from us less and less**, which is fine for a story about a fox and not for the voice of your bank. And
# the large ones cost energy, in training once and in use every day. None of this is a reason not to build them. It is a
# reason to measure: the last assignments of the course do.

# %% [markdown] question="use" points=2
# ### Question · A use
#
# Choose something that you would like a generative model to make, in text, images, music or anything else. What is
# drawn, and given what? Where would the examples come from, and who might object? Which of the warnings above matters
# most for it, and how would you notice, with numbers, that it has come true?
#
# *2 points: one for the use, stated as a conditional distribution with its data; one for a warning that fits, and a
# measurement that would show it.*

# %% [markdown]
# ## Further reading
#
# - C. M. Bishop, *Pattern Recognition and Machine Learning*, Springer 2006: chapter 4 has both roads of section 2.
# - A. Y. Ng & M. I. Jordan, *On Discriminative vs. Generative Classifiers*, NeurIPS 2001 (proceedings of 2002): a short
#   paper that settled an old quarrel by asking *when*.
# - D. P. Kingma & M. Welling, *Auto-Encoding Variational Bayes*, ICLR 2014,
#   [arXiv:1312.6114](https://arxiv.org/abs/1312.6114); D. J. Rezende et al., *Stochastic Backpropagation*, ICML 2014,
#   [arXiv:1401.4082](https://arxiv.org/abs/1401.4082).
# - I. Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014,
#   [arXiv:1406.2661](https://arxiv.org/abs/1406.2661).
# - J. Sohl-Dickstein et al., *Deep Unsupervised Learning using Nonequilibrium Thermodynamics*, ICML 2015,
#   [arXiv:1503.03585](https://arxiv.org/abs/1503.03585); J. Ho, A. Jain & P. Abbeel, *Denoising Diffusion Probabilistic
#   Models*, NeurIPS 2020, [arXiv:2006.11239](https://arxiv.org/abs/2006.11239); J. Ho & T. Salimans, *Classifier-Free
#   Diffusion Guidance*, 2022, [arXiv:2207.12598](https://arxiv.org/abs/2207.12598).
# - C. Szegedy et al., *Intriguing Properties of Neural Networks*, ICLR 2014,
#   [arXiv:1312.6199](https://arxiv.org/abs/1312.6199): images that fool a classifier.
# - A. Vaswani et al., *Attention Is All You Need*, NeurIPS 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762);
#   T. Brown et al., *Language Models are Few-Shot Learners*, NeurIPS 2020,
#   [arXiv:2005.14165](https://arxiv.org/abs/2005.14165).
# - A. Holtzman et al., *The Curious Case of Neural Text Degeneration*, ICLR 2020,
#   [arXiv:1904.09751](https://arxiv.org/abs/1904.09751): why the likeliest text is not the best one; A. Fan, M. Lewis &
#   Y. Dauphin, *Hierarchical Neural Story Generation*, ACL 2018, [arXiv:1805.04833](https://arxiv.org/abs/1805.04833).
# - R. Rombach et al., *High-Resolution Image Synthesis with Latent Diffusion Models*, CVPR 2022,
#   [arXiv:2112.10752](https://arxiv.org/abs/2112.10752); A. Ramesh et al., *Hierarchical Text-Conditional Image
#   Generation with CLIP Latents*, 2022, [arXiv:2204.06125](https://arxiv.org/abs/2204.06125).
# - G. Marcus, E. Davis & S. Aaronson, *A very preliminary analysis of DALL-E 2*, 2022,
#   [arXiv:2204.13807](https://arxiv.org/abs/2204.13807).
# - N. Carlini et al., *Extracting Training Data from Large Language Models*, USENIX Security 2021,
#   [arXiv:2012.07805](https://arxiv.org/abs/2012.07805), and *… from Diffusion Models*, 2023,
#   [arXiv:2301.13188](https://arxiv.org/abs/2301.13188).
# - C. E. Shannon, *A Mathematical Theory of Communication*, 1948: section 3 writes English with a book and a pencil.
