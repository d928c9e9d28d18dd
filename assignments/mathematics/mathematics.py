# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Mathematical foundations
#
# A small grey image is a list of 64 numbers. A sentence is a list of symbols, a song a list of air pressures. Among all
# lists of 64 numbers those that show a digit are a vanishing few, and a *generative model* is a machine that knows
# where they lie, well enough to find new ones. Four old pieces of mathematics are what all such machines are made of:
#
# - **Probability** says what to believe after seeing something. It is how a model learns from data, and how it is asked.
# - **Matrices** move whole clouds of points at once, and their eigenvectors tell which directions matter.
# - **Derivatives** say which way is up, also where there are a million directions to choose from. All training is that.
# - **Information** measures surprise in one unit, and so tells how far a model still is from the truth.
#
# You will write each of them yourself, in a few lines, and hold it against real data: you will read digits with Bayes'
# theorem, find the directions in which handwriting varies, bend a cloud of points and predict its density, and see which
# pixels are worth looking at. At the end all four come together in a first *latent space*: a place where a picture is a
# point, and where moving, turning and stretching points changes pictures.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - points are rows: a batch or a data set is the first dimension;
# - a matrix acts on columns, as on paper: $z \mapsto A z$, so its columns are where the unit vectors go;
# - logarithms are natural, so information is measured in *nats*: 1 nat is $1/\ln 2 \approx 1.44$ bits;
# - functions are pure: they leave their arguments as they are and draw no random numbers;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. Use all of `torch` that you like; but an exercise on, say,
# eigenvectors is worth more to you if you do not leave it to the library at once. Plan for four hours. Each exercise
# says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 5_000  # images to compute with; nothing here needs a GPU, but MNIST has 60_000

digits = data.load_digits()  # MNIST if it can be had, else scikit-learn's small collection
SIZE = digits.height, digits.width
PIXELS = digits.height * digits.width
train, train_labels = digits.train[:BUDGET], digits.train_labels[:BUDGET]
test, test_labels = digits.test[:1000], digits.test_labels[:1000]
print(f"{digits.name}: {len(train)} + {len(test)} images of {SIZE[0]} × {SIZE[1]} pixels")

# %% [markdown]
# Where it leads: every picture below was made from *two* numbers, its place on the page. No network was trained. In
# the space of all images two directions were found, in which handwritten digits differ most, and the page is the plane
# that they span through the average digit. Some regions look like a 0, some like a 4 or a 3; you will find out how
# such a plane is found, what it loses, and how to walk about in it.

# %% tags=["hands-on"]
middle = train.mean(dim=0)
_, spread, ways = torch.pca_lowrank(train - middle, q=2, niter=10)
spread = spread / len(train) ** 0.5
plots.plane(
    lambda z: (middle + (z * spread) @ ways.T).clamp(0, 1),
    SIZE,
    cells=13,
    title="A plane through the space of images",
)

# %% [markdown]
# ## 1 · What do we know? Probability
#
# Two rules carry all of probability. Let $p(a, b)$ be the **joint** probability that $A = a$ *and* $B = b$.
#
# - The **sum rule**: $p(a) = \sum_b p(a, b)$. Whoever does not care about $B$ adds up over all that it may be. What
#   remains is called the **marginal** probability, after the margins of the tables where such sums used to be written.
# - The **product rule**: $p(a, b) = p(a \mid b)\, p(b)$. For both to happen, $b$ has to, and then $a$ *given* $b$. This
#   defines the **conditional** probability, $p(a \mid b) = p(a, b) / p(b)$: of the cases in which $b$, the share in which
#   also $a$.
#
# ### Bayes' theorem
#
# The product rule can be read in two ways, $p(h \mid x)\, p(x) = p(x, h) = p(x \mid h)\, p(h)$. Divide by $p(x)$:
#
# $$\underbrace{p(h \mid x)}_{\text{posterior}} = \frac{\overbrace{p(x \mid h)}^{\text{likelihood}}\
# \overbrace{p(h)}^{\text{prior}}}{\underbrace{p(x)}_{\text{evidence}}}, \qquad
# p(x) = \sum_{h'} p(x \mid h')\, p(h') .$$
#
# Thomas Bayes' essay was published after his death, in 1763; Laplace found the rule for himself in 1774, and gave it
# this form. It turns a question around. On the right stands what a model of the world can tell: if the hypothesis $h$
# were true, how probable would be what we see? On the left stands what we want to know: having seen it, what should we
# believe? The evidence is only what makes the answers sum to 1. If it is zero, then what we have seen cannot happen, by
# our own account, and no belief can be had from it.
#
# ### Exercise · `bayes_posterior`
#
# *● · 10 minutes.* Several observations at once, each judged by itself, from the same prior.


# %% exercise="bayes_posterior" points=3
def bayes_posterior(
    prior: Float[Tensor, "hypotheses"],
    likelihood: Float[Tensor, "batch hypotheses"],
) -> Float[Tensor, "batch hypotheses"]:
    """What each observation, taken by itself, makes of the hypotheses: p(h|x).

    Bayes' theorem, p(h|x) = p(x|h) p(h) / p(x), where the evidence p(x) is the sum of
    p(x|h) p(h) over all hypotheses (Bayes 1763; Laplace 1774).

    Args:
        prior: p(h) of each hypothesis (hypotheses,); sums to 1, and may be 0 in places.
        likelihood: p(x|h) (batch, hypotheses): in each row one observation, how probable it
            is under each hypothesis. Not negative. Rows need not sum to 1, and densities,
            which may exceed 1, are welcome.

    Returns:
        Posterior probabilities (batch, hypotheses); each row sums to 1.

    Raises:
        ValueError: the evidence of an observation, in any row, is zero: it cannot happen under
            any hypothesis that the prior allows.
    """
    raise NotImplementedError


# %% [markdown]
# **A test that is right nine times out of ten.** One person in a hundred has a disease. A test finds it in 90% of those
# who have it, and errs in 5% of those who do not. Yours is positive. How probable is it that you are ill? Most people,
# and most doctors when they were asked something like it (Eddy 1982), name a number not far below 90%. Here are a
# thousand people, one to a square.
# The first ten are ill. Dark blue are the nine of them whom the test finds, red the healthy ones whom it frightens for
# nothing. Being positive, you are one of the squares in a strong colour.

# %% tags=["hands-on"]
people = torch.full((1000,), -0.07)
people[:10] = torch.tensor([1.0] * 9 + [0.35])  # ill: nine are found, one is not
people[10:60] = -0.7  # not ill, but positive
square = torch.ones(6, 6)
square[0], square[:, 0] = 0, 0  # the white lines between people
posterior = bayes_posterior(torch.tensor([0.01, 0.99]), torch.tensor([[0.9, 0.05], [0.1, 0.95]]))
positive, negative = posterior[:, 0].tolist()
plots.matrices(
    {
        f"p(ill | positive) = {positive:.1%},   p(ill | negative) = {negative:.2%}": torch.kron(
            people.view(50, 20).T.contiguous(), square
        )
    },
    rows=[""] * 120,
    columns=[""] * 300,
    alt="A thousand squares: nine in dark blue, one in light blue, fifty in red, the others pale.",
)

# %% [markdown]
# The test is good, the disease is rare, and the many healthy people produce more false alarms than the few ill ones
# produce true ones. What you believe afterwards depends on what you believed before. The lines below say how. They also
# say what a second test does, if its errors are independent of the first one's: it starts from the posterior of the
# first, and from a *prior* of 15% it is a different test.

# %% tags=["hands-on"]
share = torch.sigmoid(torch.linspace(-9, 4, 100))
once, twice = torch.tensor([[0.9, 0.05]]), torch.tensor([[0.9**2, 0.05**2]])


def after(likelihood):
    """p(ill | what was observed), for each share of ill people."""
    priors = torch.stack([share, 1 - share], dim=1)
    return torch.cat([bayes_posterior(prior, likelihood)[:, 0] for prior in priors])


plots.curves(
    {
        "What a test means": {
            "one positive test": after(once),
            "two positive tests": after(twice),
            "a negative test": after(torch.tensor([[0.1, 0.95]])),
        }
    },
    x=share.log10(),
    xlabel="share of ill people, as log₁₀",
    ylabel="p(ill | observed)",
)

# %% [markdown] question="base_rates" points=3
# ### Question · A detector of generated images
#
# A company sells a detector of machine-made images: it flags 98% of these, and only 1% of photographs. A newspaper runs
# it over its archive, where one image in a thousand is machine-made, and finds that most of what is flagged is genuine.
# Show with numbers that nobody has lied. The company answers: "Run it twice." Why does this not help here, although two
# tests helped in the plot above? Last, somebody copies the detector's 98% into an advertisement as "98% of what we flag
# is machine-made". Name the two conditional probabilities that were confused.
#
# *3 points: one for the posterior with its calculation; one for what independence of the errors, given the truth, has to
# do with the second run; one for the two conditional probabilities.*

# %% [markdown]
# ### One observation after another
#
# Knowledge arrives in pieces, $x_1, x_2, \dots$ If the pieces are independent of each other *given* the hypothesis, then
# their likelihoods multiply, and one may go step by step: today's posterior is the prior of tomorrow,
#
# $$p(h \mid x_1, \dots, x_t) \ \propto\ p(x_t \mid h)\; p(h \mid x_1, \dots, x_{t-1}) .$$
#
# There is one trouble. A product of a few hundred probabilities is soon smaller than the smallest `float32`, about
# $10^{-45}$: it becomes 0 under every hypothesis, and the posterior $0/0$. The cure is the same in all of machine
# learning: *work with logarithms*. Products become sums, and the sum in the evidence becomes
#
# $$\log \sum_h e^{a_h} = m + \log \sum_h e^{a_h - m}, \qquad m = \max_h a_h ,$$
#
# where nothing overflows, since no exponent is positive, and at least one term is 1. It goes by the name `logsumexp`.
#
# ### Exercise · `update_beliefs`
#
# *●● · 15 minutes.*


# %% exercise="update_beliefs" points=2
def update_beliefs(
    log_prior: Float[Tensor, "hypotheses"],
    log_likelihood: Float[Tensor, "observations hypotheses"],
) -> Float[Tensor, "observations+1 hypotheses"]:
    """The log-posterior after each of several observations: yesterday's posterior is today's prior.

    Row t is log p(h | x₁, …, x_t), and row 0 is the prior. Given the hypothesis, the
    observations are independent of one another. Probabilities that no float can hold are no
    trouble: log-likelihoods may be as low as −10⁴, and a hundred of them may add up.

    Args:
        log_prior: log p(h) of each hypothesis (hypotheses,); the probabilities sum to 1.
        log_likelihood: log p(x_t|h) (observations, hypotheses), at least one observation.
            −∞ rules a hypothesis out for good; one hypothesis at least always remains.

    Returns:
        Log-posteriors (observations + 1, hypotheses), in nats: the exponentials of each row
        sum to 1.
    """
    raise NotImplementedError


# %% [markdown]
# **Reading a digit pixel by pixel.** Ten hypotheses, one for each digit. From the training images we count how often a
# pixel is inked in each kind of digit. Then we uncover the pixels of a new image one after another, in random order, and
# watch the ten beliefs. Each pixel alone says next to nothing. (That pixels are independent given the digit is plainly
# false. The method is called *naive* Bayes for it, and it works all the same, but it is far too sure of itself: it takes
# every neighbour's confirmation for news.)

# %% tags=["hands-on"]
inked = (train > 0.5).float()
prior = torch.bincount(train_labels, minlength=10) / len(train)
counts = torch.stack([inked[train_labels == digit].sum(dim=0) for digit in range(10)])
of_each = torch.bincount(train_labels, minlength=10).unsqueeze(1)
ink = (counts + 1) / (of_each + 2)  # one imagined case of each kind, so that nothing is impossible


def pixel_log_likelihood(image):
    """How probable each pixel is under each of the ten digits: (pixels, 10), as logarithms."""
    return torch.where(image > 0.5, ink.log(), (1 - ink).log()).T


order = torch.randperm(PIXELS, generator=torch.Generator().manual_seed(0))
image = test[(test_labels == 3).nonzero()[2].item()]
beliefs = update_beliefs(prior.log(), pixel_log_likelihood(image)[order]).exp()
seen = [0, *(round(PIXELS * part) for part in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1))]
uncovered = torch.full((len(seen), PIXELS), 0.3)
for row, number in zip(uncovered, seen, strict=True):
    row[order[:number]] = (image[order[:number]] > 0.5).float()
plots.strips({"seen": uncovered}, SIZE, captions=[str(number) for number in seen], scale=1.6)

# %% tags=["hands-on"]
plots.matrices(
    {"What one believes, in percent": beliefs[seen]},
    rows=[f"{number} pixels" for number in seen],
    columns=[str(digit) for digit in range(10)],
    xlabel="digit",
    numbers=True,
)

# %% [markdown]
# ### Tables of probabilities
#
# Three variables that take a few values each have a joint table with three axes, `joint[i, j, k]` $= p(A = i, B = j,
# C = k)$, and everything that can be asked about them is in it. The two rules become two operations on a table. *Sum
# out* an axis, and its variable is forgotten. *Cut a slice* at what is known and divide it by its sum, and it is
# conditioned on. A large language model does nothing else: it conditions on the words so far. Only is its table too
# large to be written down.
#
# ### Exercise · `marginalize`
#
# *● · 5 minutes.* Any number of axes. Beware: to `torch`, a sum over no axis in particular is a sum over all.


# %% exercise="marginalize" points=1
def marginalize(joint: Float[Tensor, "..."], axes: tuple[int, ...]) -> Float[Tensor, "..."]:
    """The joint distribution of the variables that are left when some are summed out.

    Args:
        joint: a table of probabilities with one axis for each variable: joint[i, j, k] is
            p(A = i, B = j, C = k). Any number of axes.
        axes: the axes of the variables to sum out, in any order, each once, counted from 0.
            None of them, (), leaves the table as it is; all of them leave its sum.

    Returns:
        The table of the other variables, their axes in the order in which they stood.
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `condition`
#
# *●● · 15 minutes.* A variable that is known is gone from the table. The others stay, in their order.


# %% exercise="condition" points=3
def condition(joint: Float[Tensor, "..."], evidence: dict[int, int]) -> Float[Tensor, "..."]:
    """The distribution of the other variables, given what is known of some: p(others | evidence).

    p(others | evidence) = p(others, evidence) / p(evidence).

    Args:
        joint: a table of probabilities with one axis for each variable: joint[i, j, k] is
            p(A = i, B = j, C = k). Any number of axes; all entries together sum to 1.
        evidence: what is known: {0: 2, 1: 5} says that the variable of axis 0 has the value 2
            and that of axis 1 the value 5. Both are counted from 0. Nothing may be known, {},
            or everything.

    Returns:
        The table of the variables that `evidence` does not name, their axes in the order in
        which they stood. Its entries sum to 1; if everything is known its shape is ().

    Raises:
        ValueError: the evidence has probability zero.
    """
    raise NotImplementedError


# %% [markdown]
# **Explaining away.** Rain and the lawn sprinkler know nothing of each other; both make the grass wet. The grass is wet:
# so it may have rained. Then you hear that the sprinkler was on, and the rain is acquitted, though rain and sprinkler
# have nothing to do with each other. They have become dependent *given* their common effect (Pearl 1988). In a
# generative model this is why the posterior of a latent code is complicated even where the prior is as plain as can be.

# %% tags=["hands-on"]
rain, sprinkler = torch.tensor([0.8, 0.2]), torch.tensor([0.7, 0.3])  # no, yes
wet = torch.tensor([[0.01, 0.80], [0.90, 0.98]])  # given rain (row) and sprinkler (column)
both = torch.outer(rain, sprinkler)
joint = torch.stack([both * (1 - wet), both * wet], dim=2)  # axes: rain, sprinkler, wet
print(f"p(rain)                  = {marginalize(joint, (1, 2))[1]:.2f}")
print(f"p(rain | wet)            = {marginalize(condition(joint, {2: 1}), (1,))[1]:.2f}")
print(f"p(rain | wet, sprinkler) = {condition(joint, {2: 1, 1: 1})[1]:.2f}")
print(f"p(rain | sprinkler)      = {marginalize(condition(joint, {1: 1}), (1,))[1]:.2f}")

# %% [markdown]
# The same with real data: a table with three axes, the digit, the share of its ink in the upper half, and the share in
# the right half, counted over the training images. In each panel an image stands where its ink is. The first has the
# digit summed out, the others are conditioned on it. They overlap, so two such numbers do not settle which digit it is.
# But they narrow it down, as the table below the panels says: the same joint table, conditioned on the other two axes.

# %% tags=["hands-on"]
BINS = 9


def place(part):
    """In which of the bins the share of ink in a part of each image falls, from 0.3 to 0.7."""
    share = part.flatten(1).sum(dim=1) / train.sum(dim=1)
    return ((share - 0.3) / 0.4 * BINS).long().clamp(0, BINS - 1)


squares = train.view(-1, *SIZE)
above, right = place(squares[:, : SIZE[0] // 2]), place(squares[:, :, SIZE[1] // 2 :])
table = torch.zeros(10, BINS, BINS)
table.index_put_((train_labels, above, right), torch.ones(len(train)), accumulate=True)
table = table / table.sum()
panels = {"any digit": marginalize(table, (0,))}
panels |= {f"given a {digit}": condition(table, {0: digit}) for digit in (0, 6, 3, 9)}
plots.matrices(
    {name: panel.flip(0) for name, panel in panels.items()},  # the upper half comes on top
    rows=[""] * BINS,
    columns=[""] * BINS,
    xlabel="ink on the right →",
    ylabel="ink above →",
)

# %% tags=["hands-on"]
favourite = {digit: condition(table, {0: digit}).argmax().item() for digit in (0, 6, 3, 9)}
cells = {f"where most {digit}s are": divmod(cell, BINS) for digit, cell in favourite.items()}
plots.matrices(
    {
        "p(digit | where the ink is), in percent": torch.stack(
            [condition(table, {1: upper, 2: righter}) for upper, righter in cells.values()]
        )
    },
    rows=list(cells),
    columns=[str(digit) for digit in range(10)],
    numbers=True,
)

# %% [markdown]
# ## 2 · Clouds and what moves them: matrices
#
# ### A matrix is a map
#
# A table of numbers $A$ with $m$ rows and $n$ columns sends a point $z$ of an $n$-dimensional space to the point $A z$ of
# an $m$-dimensional one, with $(A z)_i = \sum_j A_{ij} z_j$. What such maps have in common: they keep the origin, and they
# keep straight lines straight and parallel ones parallel. To know one it is enough to know where the unit vectors go:
# these are its columns. Add an offset, and the map is *affine*,
#
# $$z \ \mapsto\ A\,(z - c) + b ,$$
#
# which sends the centre $c$ to $b$, and acts around it like $A$. A layer of a neural network is one such map and a
# nonlinearity. Encoding an image into a few numbers, decoding it again, turning a cloud about its middle: all are affine
# maps, with different $A$, $b$ and $c$.
#
# One practical matter. In code a cloud is a table with a point in each *row*, while the formula writes points as
# columns. Mind on which side the matrix stands, and whether it must be transposed: with a square matrix the wrong way
# round raises no error. It merely turns everything the other way.
#
# ### Exercise · `transform_latents`
#
# *● · 10 minutes.*


# %% exercise="transform_latents" points=2
def transform_latents(
    z: Float[Tensor, "batch latent"],
    matrix: Float[Tensor, "out latent"],
    offset: Float[Tensor, "out"],
    *,
    centre: Float[Tensor, "latent"] | None = None,
) -> Float[Tensor, "batch out"]:
    """Send every point of a cloud through an affine map: z ↦ A (z − c) + b.

    Args:
        z: points (batch, latent), one in each row.
        matrix: A (out, latent). It acts on columns, as in the formula: its j-th column is where
            the j-th unit vector goes. It need not be square.
        offset: b (out,), where the centre goes.
        centre: c (latent,); None is the origin.

    Returns:
        The images of the points (batch, out), one in each row, in the same order.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
scattered = 4 * torch.rand(9000, 2, generator=torch.Generator().manual_seed(0)) - 2
x, y = scattered.T
stem, arms = (x > -1) & (x < -0.4), (x > -1) & ((y > 0.9) | ((y > -0.2) & (y < 0.35) & (x < 0.5)))
letter = scattered[(stem | arms) & (x < 1) & (y.abs() < 1.5)]
angle = math.radians(35)
turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
maps = {
    "turn by 35°": turn,
    "stretch": torch.tensor([[1.6, 0.0], [0.0, 0.6]]),
    "shear": torch.tensor([[1.0, 0.7], [0.0, 1.0]]),
    "mirror": torch.tensor([[-1.0, 0.0], [0.0, 1.0]]),
    "flatten": torch.tensor([[0.5, 0.5], [0.5, 0.5]]),
}
origin = torch.zeros(2)
moved = {name: transform_latents(letter, matrix, origin) for name, matrix in maps.items()}
plots.clouds({"": moved}, behind=letter, extent=2.6)

# %% [markdown]
# How much larger does a map make areas? By $|\det A|$: 1 for the turn, the shear and the mirror, 0.96 for the stretch,
# and 0 for the last, which cannot be undone, since it sends whole lines to single points. The mirror has determinant
# $-1$: the sign tells that space was turned over.
#
# ### What becomes of a cloud
#
# A cloud of points has a mean $m = \mathbb{E}[z]$ and a **covariance** $\Sigma = \mathbb{E}\big[(z - m)(z - m)^\top\big]$:
# on its diagonal stands how far each coordinate scatters (its variance), beside it which coordinates go together. An
# expectation is a sum, and a matrix can be taken out of a sum, so for $y = A z + b$
#
# $$\mathbb{E}[y] = A\, m + b, \qquad
# \mathbb{E}\big[(y - \mathbb{E} y)(y - \mathbb{E} y)^\top\big]
# = \mathbb{E}\big[A (z - m)(z - m)^\top A^\top\big] = A\, \Sigma\, A^\top .$$
#
# The matrix appears twice, as a scale does in $\mathrm{Var}[a z] = a^2\, \mathrm{Var}[z]$. This holds for every
# distribution. A Gaussian is given by its mean and covariance, and stays Gaussian under affine maps, so there it says
# everything. It is how one draws from any Gaussian: take a standard one, and choose $A$ with $A A^\top = \Sigma$.
#
# ### Exercise · `transform_gaussian`
#
# *● · 5 minutes.*


# %% exercise="transform_gaussian" points=2
def transform_gaussian(
    mean: Float[Tensor, "latent"],
    covariance: Float[Tensor, "latent latent"],
    matrix: Float[Tensor, "out latent"],
    offset: Float[Tensor, "out"],
) -> tuple[Float[Tensor, "out"], Float[Tensor, "out out"]]:
    """The mean and the covariance of A z + b, for a random z of which both are known.

    They are A m + b and A Σ Aᵀ, whatever the distribution of z; if it is Gaussian, so is that
    of A z + b.

    Args:
        mean: m (latent,), the mean of z.
        covariance: Σ (latent, latent), the covariance of z, symmetric.
        matrix: A (out, latent), acting on columns.
        offset: b (out,).

    Returns:
        The pair (mean, covariance) of A z + b: (out,) and (out, out).
    """
    raise NotImplementedError


# %% [markdown]
# ### Directions that stay: eigenvectors
#
# Most vectors are turned by a matrix. A few are only stretched:
#
# $$A\, v = \lambda\, v .$$
#
# Such a $v$ is an **eigenvector**, and the factor $\lambda$ its **eigenvalue**. For a *symmetric* matrix, $A = A^\top$, as
# every covariance is, they could not be better: there are $n$ of them, at right angles to one another, with real
# eigenvalues (the *spectral theorem*). Seen along these axes the matrix does nothing but stretch each by its own factor,
# and $A = \sum_i \lambda_i\, v_i v_i^\top$.
#
# In the picture points of the circle are joined to where the matrix sends them, the red dots on the ellipse. On two lines
# through the middle the way leads straight outward or inward. They stand at right angles, and are the axes of the
# ellipse.

# %% tags=["hands-on"]
matrix = torch.tensor([[1.6, 0.7], [0.7, 0.7]])
values, vectors = torch.linalg.eigh(matrix)
around = torch.linspace(0, 2 * math.pi, 601)[:-1] + torch.atan2(*vectors[:, 1].flip(0))
circle = torch.stack([around.cos(), around.sin()], dim=1)
sent = transform_latents(circle, matrix, origin)
ways = [torch.stack([circle[i], sent[i]]) for i in range(0, 600, 25)]
axes = [torch.stack([-2.3 * v, 2.3 * v, 0 * v]) for v in vectors.T]
title = f"Eigenvalues {values[1]:.2f} and {values[0]:.2f}"
plots.fields({title: (torch.cat([circle, sent]), None, None)}, extent=2.3, paths=ways + axes)

# %% [markdown]
# How to find them? Write any start as a sum over eigenvectors, $x = \sum_i c_i v_i$, and multiply by $A$, again and
# again:
#
# $$A^k x = \sum_i \lambda_i^k\, c_i\, v_i
# = \lambda_1^k \Big( c_1 v_1 + \sum_{i > 1} (\lambda_i / \lambda_1)^k\, c_i v_i \Big) .$$
#
# If $|\lambda_1|$ is the greatest, then all else fades, and fast: what remains of the second eigenvector shrinks by
# $|\lambda_2 / \lambda_1|$ in each step. Only the length has to be kept in check. This is **power iteration** (von Mises &
# Pollaczek-Geiringer 1929). Nothing is asked of $A$ but a multiplication, and so it works where $A$ is far too large to
# be written down: the first PageRank was one, on a matrix with 26 million rows, and in generative networks it keeps a
# layer's greatest stretch below 1 (spectral normalisation, Miyato et al. 2018).
#
# With the direction found, the eigenvalue is the **Rayleigh quotient** $v^\top A v / v^\top v$: multiply $A v = \lambda v$
# by $v^\top$ from the left. It has the right sign, which the growth of the length has not. An eigenvector has no sign of its
# own: with $v$ also $-v$ is one. For the answer to be one answer, the docstring chooses.
#
# ### Exercise · `power_iteration`
#
# *●● · 20 minutes.*


# %% exercise="power_iteration" points=3
def power_iteration(
    matrix: Float[Tensor, "n n"],
    start: Float[Tensor, "n"],
    steps: int,
) -> tuple[Float[Tensor, ""], Float[Tensor, "n"]]:
    """The dominant eigenvalue of a symmetric matrix, and its eigenvector.

    Dominant is the eigenvalue of greatest absolute value; it may be negative. The vector is
    multiplied by the matrix `steps` times and brought back to length 1 each time, so that
    nothing overflows or underflows, however many the steps (von Mises & Pollaczek-Geiringer
    1929). Of the two unit vectors on the line that is reached, v and −v, the one is returned
    whose entry of greatest absolute value is positive.

    Args:
        matrix: A (n, n), symmetric.
        start: where to start (n,), of any length; no power of A sends it to zero.
        steps: multiplications by the matrix, at least 1.

    Returns:
        The pair (eigenvalue, eigenvector): λ = vᵀ A v (the Rayleigh quotient), of shape (), and
        v (n,), of length 1, on the line of A^steps start.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
basis = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2)).double()).Q
rest = torch.tensor([0.4, 0.3, 0.2, 0.1])
steps = range(1, 31)
lines = {}
for second in (0.5, 0.8, 0.95, -0.9):
    eigenvalues = torch.cat([torch.tensor([1.0, second]), rest]).double()
    system = basis @ eigenvalues.diag() @ basis.T
    start = basis.sum(dim=1)
    found = [power_iteration(system, start, n)[1] for n in steps]
    errors = torch.stack([(basis[:, 1:].T @ vector).norm() for vector in found])
    lines[f"λ₂ = {second:g}".replace("-", "−")] = errors.log10()
plots.curves(
    {"How far from the first eigenvector (λ₁ = 1)": lines},
    xlabel="steps of power iteration",
    ylabel="log₁₀ of the sine of the angle",
)

# %% [markdown]
# A straight line in this plot is a factor in each step, and the factor is $|\lambda_2 / \lambda_1|$. When two eigenvalues
# are nearly alike the method has trouble to tell them apart. So would you: if they are equal, then every vector between
# the two is an eigenvector too.
#
# ### The directions that matter: principal components
#
# Along a unit vector $v$ a cloud with covariance $\Sigma$ has the variance $v^\top \Sigma\, v$ (that is $A \Sigma A^\top$ with
# $A = v^\top$). Which direction has the most? Expand in the eigenvectors of $\Sigma$, $v = \sum_i c_i v_i$ with
# $\sum_i c_i^2 = 1$:
#
# $$v^\top \Sigma\, v = \sum_i \lambda_i\, c_i^2 \ \le\ \lambda_1 ,$$
#
# a weighted mean of the eigenvalues. It is greatest if all the weight lies on the greatest: at the first eigenvector.
# Among the directions at right angles to this one, the best is the second, and so on. These are the **principal
# components** (Pearson 1901; Hotelling 1933). Turned around: of all planes through the middle of the data, the one along
# the first two components is that from which the data are least far away, as what is not kept as variance is lost as
# distance (Pythagoras).
#
# There are two ways to compute them. Build the covariance and ask for its eigenvectors. Or take the *singular value
# decomposition* of the centred data, $X = U S V^\top$: then $\Sigma = X^\top X / (n - 1) = V\, S^2 / (n - 1)\, V^\top$, so
# the right singular vectors are the directions, and the variances are $s_i^2 / (n - 1)$. The second way never squares the
# data, and so loses fewer digits. Three things to mind: subtract the mean first, bring the greatest to the front, and
# watch which way the vectors lie in what the library returns.
#
# ### Exercise · `principal_components`
#
# *●●● · 25 minutes.*


# %% exercise="principal_components" points=4
def principal_components(
    x: Float[Tensor, "n data"],
    count: int,
) -> tuple[Float[Tensor, "data"], Float[Tensor, "count data"], Float[Tensor, "count"]]:
    """The directions in which data vary most: principal component analysis.

    Pearson 1901; Hotelling 1933. The first direction is the one along which the variance is
    greatest; each further one is the best among those at right angles to all before it.

    Args:
        x: data (n, data), one data point in each row, n ≥ 2; not centred.
        count: how many directions, from 1 to the smaller of n − 1 and data.

    Returns:
        The triple (mean, directions, variances). The mean of the data (data,). The directions
        (count, data), one in each row: of length 1, at right angles to one another, in order of
        falling variance; of a direction and its opposite either will do. The variances of the
        data along them (count,), sums of squares divided by n − 1.
    """
    raise NotImplementedError


# %% [markdown]
# **Eigen-digits.** The average digit, and the first directions in which handwriting departs from it (blue: ink is
# added, red: taken away; one could as well exchange the two). Below each stands its share of the variance. None of them
# is a digit. They are what digits are mixed from.

# %% tags=["hands-on"]
MOST = min(60, PIXELS)
mean, directions, variances = principal_components(train, MOST)
panels = {"mean": mean / mean.max() * directions[:6].abs().max()}
panels |= {f"$v_{i + 1}$": direction for i, direction in enumerate(directions[:6])}
shares = variances / train.var(dim=0).sum()
plots.matrices(
    {name: values.view(SIZE) for name, values in panels.items()},
    rows=[""] * SIZE[0],
    columns=[""] * SIZE[1],
    xlabel=("", *(f"{share:.0%}" for share in shares[:6].tolist())),
)

# %% [markdown]
# To *encode* an image, measure how far it goes along each direction: $z = V (x - m)$. To *decode*, go there again:
# $\hat x = m + V^\top z$. Both are affine maps, so `transform_latents` does both. Together they are the best *linear*
# autoencoder there is, by squared error, and the codes are our first latent space.

# %% tags=["hands-on"]


def encode(x, count):
    """The first principal components of images (n, pixels): codes (n, count)."""
    return transform_latents(x, directions[:count], torch.zeros(count), centre=mean)


def decode(z):
    """The images (n, pixels) of codes (n, count)."""
    return transform_latents(z, directions[: z.shape[1]].T, mean)


pairs = encode(train, 2)
shown = slice(0, 1200)
axis_names = ("first component", "second component")
plots.scatter({"Every image is a point": pairs[shown]}, train_labels[shown], axis_names=axis_names)

# %% [markdown]
# The labels took no part in this, and yet the digits come apart: a good deal of what distinguishes handwritten digits is
# where their ink varies most. How much is lost? With 2 numbers an image keeps its rough kind, with 30 it is nearly back.

# %% tags=["hands-on"]
sizes = [2, 5, 10, 20, MOST // 2, MOST]
rebuilt = {f"{count} numbers": decode(encode(test[:14], count)).clamp(0, 1) for count in sizes}
plots.strips({"image": test[:14], **rebuilt}, SIZE, title="Images from their first components")

# %% tags=["hands-on"]
noise = torch.randn(train.shape, generator=torch.Generator().manual_seed(0))
_, _, of_noise = principal_components(noise, MOST)
plots.curves(
    {
        "Share of the variance that is kept": {
            "digits": shares.cumsum(dim=0),
            "noise": of_noise.cumsum(dim=0) / noise.var(dim=0).sum(),
        }
    },
    xlabel="principal components",
    ylabel="share",
)

# %% [markdown]
# The difference between the two lines is why generative models are possible at all: real data fill only a thin part of
# the space that they live in. Noise has no directions that matter, digits have.

# %% [markdown] question="linear" points=3
# ### Question · What a plane cannot do
#
# (a) A friend computes the principal components of a table with the columns height in metres, weight in kilograms and
# income in euros, and finds that "99.9% of the variance is income". What went wrong, and what would you do? (b) Another
# forgets to subtract the mean and takes the eigenvectors of $X^\top X$ of the digits. What will the first "component"
# look like, and why? (c) Rotate one image of a digit slowly by 360°: the images form a closed curve, and one number, the
# angle, tells all about them. Why does PCA need many components for it, and what would a *nonlinear* encoder do?
#
# *3 points, one for each part, with a reason.*

# %% [markdown]
# ## 3 · Which way is up? Derivatives
#
# ### Partial derivatives and the gradient
#
# A function of many variables has a slope in every direction. Along the $i$-th axis, with all other variables held, it is
# the **partial derivative**
#
# $$\frac{\partial f}{\partial x_i} = \lim_{h \to 0} \frac{f(x + h\, e_i) - f(x)}{h} ,$$
#
# and all of them together are the **gradient** $\nabla f(x)$. Near $x$ the function is as good as linear,
# $f(x + d) \approx f(x) + \nabla f(x) \cdot d$. Among all $d$ of one length this is greatest if $d$ points as the gradient
# does (Cauchy–Schwarz). So the gradient points in the direction of steepest ascent, its length is the slope there, and
# whoever wants to go down walks against it. With a million weights this is the only map that training has.
#
# A computer cannot take the limit, but it can take a small $h$. One-sided differences err by about $\tfrac12 h f''$.
# Look to both sides, and by Taylor's theorem the second-order terms cancel:
#
# $$\frac{f(x + h\, e_i) - f(x - h\, e_i)}{2h}
# = \frac{\partial f}{\partial x_i} + \frac{h^2}{6}\, \frac{\partial^3 f}{\partial x_i^3} + \dots$$
#
# It costs two evaluations for each variable, hopeless for a network, but it needs nothing of $f$ but its values: the
# honest judge of every gradient that was derived by hand. (The hidden checks of this course use it for that.)
#
# ### Exercise · `numerical_gradient`
#
# *●● · 15 minutes.* `float32` has seven digits. A difference of two nearly equal numbers leaves few of them: hence the
# double precision.


# %% exercise="numerical_gradient" points=2
def numerical_gradient(
    f: Callable[[Tensor], Tensor],
    x: Float[Tensor, "*shape"],
    step: float = 1e-5,
) -> Float[Tensor, "*shape"]:
    """The gradient of a function by central differences: all its partial derivatives at x.

    For each entry of x in turn, [f(x + h e) − f(x − h e)] / 2h, where h is the step and e is 1
    at that entry and 0 elsewhere. Computed in double precision, whatever the dtype of x.

    Args:
        f: f(x) gives a scalar, a tensor of shape (). It is called with float64 tensors of the
            shape of x.
        x: where (*shape), any number of axes; it stays as it is.
        step: h, positive.

    Returns:
        The partial derivatives (*shape), in the dtype of x.
    """
    raise NotImplementedError


# %% [markdown]
# How small should $h$ be? Not as small as possible. From right to left the formula errs less and less, as promised: a
# tenth of $h$ is a hundredth of the error with differences to both sides, a tenth with one-sided ones. But the subtraction
# loses digits, about $10^{-16} / h$, and from some point on this is all that one sees.

# %% tags=["hands-on"]
point = torch.tensor([0.7], dtype=torch.float64)
truth = point.cos() * point.sin().exp()  # the derivative of exp(sin x)


def wave(x):
    """A function whose derivative we know: exp(sin x)."""
    return x.sin().exp().sum()


exponents = torch.linspace(-12, -0.5, 70)
both_sides, one_side = [], []
for h in (10 ** exponents.double()).tolist():
    both_sides.append((numerical_gradient(wave, point, step=h) - truth).abs())
    one_side.append(((wave(point + h) - wave(point)) / h - truth).abs())
lines = {"both sides": torch.cat(both_sides), "one side": torch.cat(one_side)}
plots.curves(
    {"Error of a numerical derivative": {k: v.clamp(min=1e-14).log10() for k, v in lines.items()}},
    x=exponents,
    xlabel="log₁₀ of the step h",
    ylabel="log₁₀ of the error",
    legend=True,
)

# %% [markdown]
# **Walking uphill in a density.** Three Gaussian bumps, and the gradient of their *log*-density at every place: an arrow
# that says where to go to make a point more probable. The dark lines start anywhere and follow the arrows in small
# steps. Each ends on a bump, and which one depends on where it began. This field has a name, the *score*. Diffusion
# models learn it by a network, and it is what turns noise into pictures there.

# %% tags=["hands-on"]
bumps = torch.tensor([[-1.3, -0.8], [1.4, -0.5], [0.1, 1.4]], dtype=torch.float64)


def log_density(x):
    """The log-density of a mixture of three round Gaussians with standard deviation 0.6."""
    return torch.logsumexp(-(x - bumps).square().sum(dim=-1) / (2 * 0.6**2), dim=0)


side = torch.linspace(-2.6, 2.6, 17)
places = torch.cartesian_prod(side, side)
arrows = torch.stack([numerical_gradient(log_density, place) for place in places])
generator = torch.Generator().manual_seed(1)
picked = bumps[torch.randint(3, (900,), generator=generator)].float()
cloud = picked + 0.6 * torch.randn(900, 2, generator=generator)
paths = []
for start in 5 * torch.rand(14, 2, generator=generator) - 2.5:
    path = [start]
    for _ in range(60):
        path.append(path[-1] + 0.05 * numerical_gradient(log_density, path[-1]))
    paths.append(torch.stack(path))
plots.fields(
    {
        "The gradient of the log-density": (cloud, places, arrows),
        "Following it": (cloud, None, None),
    },
    extent=2.8,
    paths=paths,
)

# %% [markdown]
# ### Many outputs: the Jacobian
#
# A map $f$ from $n$ numbers to $m$ has a gradient for each output. Written as rows of a table they are the **Jacobian**,
#
# $$J_{ij} = \frac{\partial f_i}{\partial x_j}, \qquad f(x + d) \approx f(x) + J\, d .$$
#
# Read the approximation once more: *seen from near, every smooth map is an affine one*, and the Jacobian is its matrix.
# The **chain rule** follows at once, since the matrix of two maps in a row is the product of their matrices:
# $J_{g \circ f}(x) = J_g(f(x))\, J_f(x)$. Backpropagation is this product, evaluated from the left, so that a row vector
# is passed on through the layers and no Jacobian is ever built. That is why one call of `torch.autograd.grad` gives one
# *row*, and the gradient of a loss with a million inputs costs no more than a few evaluations of it.
#
# ### Exercise · `jacobian`
#
# *●● · 20 minutes.* One call of `torch.autograd.grad` for each output, or one of `torch.autograd.functional`. What if an
# output does not depend on the input at all?


# %% exercise="jacobian" points=3
def jacobian(
    f: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n"],
) -> Float[Tensor, "m n"]:
    """All partial derivatives of a function of several variables with several values.

    J[i, j] = ∂fᵢ / ∂xⱼ: a row for each output, a column for each input. Exact, so by
    automatic differentiation rather than by differences.

    Args:
        f: f(x) gives a tensor (m,). It is made of operations that `torch.autograd` can follow;
            the transforms of `torch.func` cannot look into it.
        x: where (n,), whether or not it requires grad.

    Returns:
        The Jacobian (m, n). Where an output does not depend on an input it is 0, also if it
        depends on no input at all.
    """
    raise NotImplementedError


# %% [markdown]
# A whirl: the further from the middle, the more it turns. Blue are small discs, sent through the whirl point by point.
# The dark lines are their rims, sent through the *affine map* with the Jacobian at the middle of each disc; the red dot
# is where the rightmost point of the rim goes. Near the middle there is no difference. Further out the whirl bends
# faster, and a disc would have to be smaller for the map to look straight.

# %% tags=["hands-on"]


def whirl(x):
    """Turn a point of the plane about the origin, by an angle that grows with its distance."""
    angle = 0.4 * x.square().sum()
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x[0] - sin * x[1], sin * x[0] + cos * x[1]])


side = torch.linspace(-1.6, 1.6, 6)
centres = torch.cartesian_prod(side, side)
generator = torch.Generator().manual_seed(0)
radius = 0.13 * torch.rand(200, 1, generator=generator).sqrt()
angles = 2 * math.pi * torch.rand(200, 1, generator=generator)
disc = torch.cat([radius * angles.cos(), radius * angles.sin()], dim=1)
around = torch.linspace(0, 2 * math.pi, 60)
rim = 0.13 * torch.stack([around.cos(), around.sin()], dim=1)
before = torch.cat([centre + disc for centre in centres])
ellipses = [transform_latents(c + rim, jacobian(whirl, c), whirl(c), centre=c) for c in centres]
plots.fields(
    {
        "Small discs": (before, None, None),
        "Through the whirl, and through its Jacobians": (
            torch.stack([whirl(x) for x in before]),
            None,
            None,
        ),
    },
    extent=2.6,
    paths=ellipses,
)

# %% [markdown]
# ### What becomes of a density
#
# Send a random point $z$ through an invertible map, $y = g(z)$. What is the density of $y$? The probability in a small
# region does not change: it only comes to lie on an area that is $|\det J|$ times as large. So the density falls by this
# factor,
#
# $$\log p(y) = \log p(z) - \log \lvert \det J \rvert, \qquad J = \frac{\partial g}{\partial z} .$$
#
# This is the **change of variables**. A whole family of generative models, the *normalising flows* (Rezende & Mohamed
# 2015), stacks invertible maps until a Gaussian looks like the data, and knows the exact density of everything it makes.
# Mind the absolute value, since a map may turn space over; and that the determinant of a thousand-dimensional
# matrix is easily larger than any float, while its logarithm is harmless.
#
# ### Exercise · `change_of_variables`
#
# *●● · 10 minutes.*


# %% exercise="change_of_variables" points=2
def change_of_variables(
    log_density: Float[Tensor, "batch"],
    jacobians: Float[Tensor, "batch n n"],
) -> Float[Tensor, "batch"]:
    """The log-density of y = g(z) at each point, for an invertible map g.

    log p(y) = log p(z) − log |det J|, where J is the Jacobian of g at z. Neither overflows nor
    underflows, also where the determinant is beyond any float.

    Args:
        log_density: log p(z) of each point (batch,).
        jacobians: J of g at each point (batch, n, n), a row for each output, none singular;
            its determinant may be negative, where g turns space over.

    Returns:
        log p(y) (batch,), in nats.
    """
    raise NotImplementedError


# %% [markdown]
# A funnel: $y_1 = e^{z_1/2} - 1$ and $y_2 = e^{z_1/2} z_2$. First a standard Gaussian and where it goes, with the circles
# of radius 1 and 2; then the density that your two functions predict, with no look at any sample. It integrates to 1.

# %% tags=["hands-on"]


def funnel(z):
    """Stretch the plane by a factor that depends on where one is."""
    wide = (z[0] / 2).exp()
    return torch.stack([wide - 1, wide * z[1]])


z = torch.randn(2500, 2, generator=torch.Generator().manual_seed(0))
rim = torch.stack([around.cos(), around.sin()], dim=1)
circles = [torch.stack([funnel(radius * x) for x in rim]) for radius in (1, 2)]
plots.fields(
    {
        "Standard normal z": (z, None, None),
        "y, with the circles of radius 1 and 2": (torch.stack(list(map(funnel, z))), None, None),
    },
    extent=4,
    paths=circles,
)

# %% tags=["hands-on"]
y1, y2 = torch.linspace(-0.98, 4, 66), torch.linspace(-6, 6, 61)
targets = torch.cartesian_prod(y1, y2)
sources = torch.stack([2 * (targets[:, 0] + 1).log(), targets[:, 1] / (targets[:, 0] + 1)], dim=1)
log_pz = torch.distributions.Normal(0, 1).log_prob(sources).sum(dim=1)
slopes = torch.stack([jacobian(funnel, z) for z in tqdm(sources, desc="Jacobians")])
density = change_of_variables(log_pz, slopes).exp().view(len(y1), len(y2))
total = density.sum() * (y1[1] - y1[0]) * (y2[1] - y2[0])
plots.contours(
    density.T,
    y1,
    y2,
    xlabel="$y_1$",
    ylabel="$y_2$",
    levels=(0.01, 0.03, 0.1, 0.3),
    title=f"The predicted density; its integral is {total:.2f}",
)

# %% [markdown]
# ## 4 · Surprise, measured: information
#
# ### Entropy
#
# How surprising is an event of probability $p$? Shannon (1948) asked for a measure that adds up over independent events,
# as their probabilities multiply. Only a logarithm does: the surprise is $-\log p$. What is certain does not surprise,
# and halving the probability adds $\log 2$, one bit. The **entropy** of a distribution is the surprise that it causes on
# average,
#
# $$H(p) = -\sum_x p(x) \log p(x) ,$$
#
# and, in bits, no scheme of yes-or-no questions finds out $x$ with fewer of them on average. What never happens
# contributes nothing, $p \log p \to 0$, but a computer that multiplies $0 \cdot (-\infty)$ says `nan`.
#
# ### Exercise · `entropy`
#
# *● · 5 minutes.*


# %% exercise="entropy" points=1
def entropy(p: Float[Tensor, "*batch outcomes"]) -> Float[Tensor, "*batch"]:
    """The average surprise of a distribution: H(p) = −Σ p log p.

    Shannon 1948, section 6.

    Args:
        p: probabilities (*batch, outcomes), any number of distributions; those along the last
            axis sum to 1. What never happens adds nothing: 0 log 0 is 0.

    Returns:
        Entropies (*batch,), in nats: a sum over outcomes, no mean over the batch.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
p = torch.linspace(0.004, 1, 250)
coin = torch.linspace(0, 1, 201)
coins = torch.stack([coin, 1 - coin], dim=1)
plots.curves(
    {
        "Surprise": {"": (p, -p.log() / math.log(2))},
        "Entropy of a coin": {"": (coin, entropy(coins) / math.log(2))},
    },
    xlabel=("probability", "probability of heads"),
    ylabel="bits",
)

# %% [markdown]
# ### Cross-entropy
#
# Now let the world follow $p$, while we expect $q$. Our surprise at $x$ is $-\log q(x)$, and it comes up with probability
# $p(x)$:
#
# $$H(p, q) = -\sum_x p(x) \log q(x) .$$
#
# This is the **cross-entropy**, *the* loss function of this field. If $p$ are the data, each of $N$ observations with
# weight $1/N$, then it is $-\frac1N \sum_n \log q(x_n)$: to minimise it is to maximise the likelihood. Every classifier,
# every language model is trained on it. If something happens that $q$ held to be impossible, the surprise is infinite,
# and rightly so.
#
# ### Exercise · `cross_entropy`
#
# *● · 10 minutes.* Where $p = 0$ it does not matter what $q$ says.


# %% exercise="cross_entropy" points=1
def cross_entropy(
    p: Float[Tensor, "*batch outcomes"],
    q: Float[Tensor, "*batch outcomes"],
) -> Float[Tensor, "*batch"]:
    """The average surprise of one who expects q where p is true: H(p, q) = −Σ p log q.

    Args:
        p: the true probabilities (*batch, outcomes); those along the last axis sum to 1.
        q: the expected ones (*batch, outcomes). An outcome with p = 0 adds nothing, even where
            q = 0; one with p > 0 and q = 0 adds ∞.

    Returns:
        Cross-entropies (*batch,), in nats: a sum over outcomes, no mean over the batch.
    """
    raise NotImplementedError


# %% [markdown]
# ### The Kullback–Leibler divergence
#
# However good our expectations, the world's own entropy must be paid. What we pay *beyond* it is due to us (Kullback &
# Leibler 1951):
#
# $$\mathrm{KL}(p \,\|\, q) = H(p, q) - H(p) = \sum_x p(x) \log \frac{p(x)}{q(x)} .$$
#
# It is never negative, and 0 only if $q = p$. For the logarithm is concave, so by Jensen's inequality
# $-\mathrm{KL} = \mathbb{E}_p[\log (q/p)] \le \log \mathbb{E}_p[q/p] \le \log 1 = 0$. Since $H(p)$ does not depend on the
# model, minimising cross-entropy *is* minimising this divergence. But it is no distance: there and back are not the
# same.
#
# ### Exercise · `kl_divergence`
#
# *●● · 10 minutes.* Mind the zeros: of $p$, of $q$, and of both.


# %% exercise="kl_divergence" points=3
def kl_divergence(
    p: Float[Tensor, "*batch outcomes"],
    q: Float[Tensor, "*batch outcomes"],
) -> Float[Tensor, "*batch"]:
    """What it costs to expect q where p is true: KL(p ‖ q) = Σ p log(p / q).

    Kullback & Leibler 1951.

    Args:
        p: the true probabilities (*batch, outcomes); those along the last axis sum to 1.
        q: the expected ones (*batch, outcomes). An outcome with p = 0 adds nothing, even where
            q = 0; one with p > 0 and q = 0 adds ∞.

    Returns:
        Divergences (*batch,), in nats: a sum over outcomes, no mean over the batch.
    """
    raise NotImplementedError


# %% [markdown]
# **Two ways to be wrong.** The world has two bumps, our model $q$ is one Gaussian; some 3000 candidates are tried out on
# a grid. Minimise $\mathrm{KL}(p \,\|\, q)$, and $q$ covers both bumps and all that lies between, because to hold anything
# for impossible that happens costs dearly. Minimise $\mathrm{KL}(q \,\|\, p)$, and it settles on one bump and forgets the
# other, because it pays only for what it claims itself.

# %% tags=["hands-on"]
grid = torch.linspace(-6, 6, 301, dtype=torch.float64)


def on_the_grid(means, stds):
    """Gaussians as probabilities of the points of the grid, in rows that sum to 1."""
    weights = (-(grid - means.unsqueeze(1)).square() / (2 * stds.unsqueeze(1) ** 2)).exp()
    return weights / weights.sum(dim=1, keepdim=True)


two = on_the_grid(torch.tensor([-1.8, 2.0]).double(), torch.tensor([0.6, 0.8]).double())
world = (torch.tensor([[0.45, 0.55]]).double() @ two).squeeze(0)
candidates = torch.cartesian_prod(torch.linspace(-3, 3, 61), torch.linspace(0.4, 3, 53))
models = on_the_grid(*candidates.double().T)
worlds = world.expand_as(models)
costs = {
    "least KL(p ‖ q): cover all": kl_divergence(worlds, models),
    "least KL(q ‖ p): be on the safe side": kl_divergence(models, worlds),
}
best = {name: models[cost.argmin()] for name, cost in costs.items()}
plots.curves(
    {name: {"p": (grid, world), "q": (grid, model)} for name, model in best.items()},
    xlabel="x",
    ylabel="probability",
    legend=True,
)

# %% [markdown] question="which_way" points=3
# ### Question · Which way round?
#
# (a) A model is trained by maximum likelihood on photographs of cats and dogs. It is too small to represent both well.
# Which of the two divergences does it minimise, and what will its samples look like? (b) Another way of training
# minimises the divergence the other way round. What will *its* samples look like, and what would you not learn from
# looking at a few of them? (c) Your model gives probability exactly 0 to a picture of the test set. What is its
# cross-entropy on the test set, and why do language models never give probability 0 to any word?
#
# *3 points: one for each part. Say for (a) and (b) which sum is taken over what, and where the divergence is large.*

# %% [markdown]
# ### Between two Gaussians
#
# For continuous variables the sums are integrals, and for Gaussians these can be had in closed form. Take the difference
# of the two log-densities, and its expectation under $p$. Each contains a squared length, for which
# $\mathbb{E}_p\big[(x - m)^\top B\, (x - m)\big] = \mathrm{tr}(B\, \Sigma_p) + (m_p - m)^\top B\, (m_p - m)$, whatever $m$ and
# the symmetric matrix $B$; with $B = \Sigma_q^{-1}$ and $B = \Sigma_p^{-1}$ it follows that
#
# $$\mathrm{KL}(p \,\|\, q) = \tfrac12 \Big[ \mathrm{tr}(\Sigma_q^{-1} \Sigma_p)
# + (m_q - m_p)^\top \Sigma_q^{-1} (m_q - m_p) - n + \log \frac{\det \Sigma_q}{\det \Sigma_p} \Big] .$$
#
# Everything in it you have met: a linear map, a squared length, a change of volume. A variational autoencoder pays this
# price, with $\Sigma_q = I$ and a diagonal $\Sigma_p$, for every image that it encodes.
#
# ### Exercise · `gaussian_kl`
#
# *●● · 15 minutes.* Solving a linear system is better than inverting a matrix, and the logarithm of a determinant better
# than a determinant.


# %% exercise="gaussian_kl" points=2
def gaussian_kl(
    mean_p: Float[Tensor, "n"],
    covariance_p: Float[Tensor, "n n"],
    mean_q: Float[Tensor, "n"],
    covariance_q: Float[Tensor, "n n"],
) -> Float[Tensor, ""]:
    """KL(p ‖ q) for two Gaussians p = N(m_p, Σ_p) and q = N(m_q, Σ_q), in closed form.

    ½ [tr(Σ_q⁻¹ Σ_p) + (m_q − m_p)ᵀ Σ_q⁻¹ (m_q − m_p) − n + log det Σ_q − log det Σ_p].

    Args:
        mean_p: m_p (n,).
        covariance_p: Σ_p (n, n), symmetric and positive definite.
        mean_q: m_q (n,).
        covariance_q: Σ_q (n, n), symmetric and positive definite.

    Returns:
        The divergence, of shape (), in nats.
    """
    raise NotImplementedError


# %% [markdown]
# Too narrow is worse than too wide, if one is judged by $\mathrm{KL}(p \,\|\, q)$; the other way round it is the
# opposite. (Above the plot: the closed form against the sum over a fine grid, your two functions against each other.)

# %% tags=["hands-on"]
one, zero = torch.eye(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
stds = torch.linspace(0.35, 3, 80, dtype=torch.float64)
there = [gaussian_kl(zero, one, zero, std**2 * one) for std in stds]
back = [gaussian_kl(zero, std**2 * one, zero, one) for std in stds]
lines = {"KL(p ‖ q)": (stds, torch.stack(there)), "KL(q ‖ p)": (stds, torch.stack(back))}
for std in (0.5, 0.8, 1.1):
    bells = on_the_grid(zero.expand(2), torch.tensor([1.0, std]).double())
    exact = gaussian_kl(zero, one, zero, std**2 * one)
    print(f"σ = {std}: {exact:.6f} nats, on the grid {kl_divergence(bells[0], bells[1]):.6f}")
plots.curves(
    {"p has standard deviation 1, q has σ": lines},
    xlabel="σ",
    ylabel="nats",
)

# %% [markdown]
# ### What one thing tells about another
#
# If two variables were independent, their joint table would be the product of its margins. How far it is from that is
# how much they tell about each other, the **mutual information** (Shannon 1948):
#
# $$I(A; B) = \mathrm{KL}\big(p(a, b) \,\|\, p(a)\, p(b)\big) = H(A) + H(B) - H(A, B) .$$
#
# It is symmetric, 0 for independent variables and for no others, and never more than either entropy. Correlation sees
# only straight lines. This sees any dependence.
#
# ### Exercise · `mutual_information`
#
# *●● · 10 minutes.* By the divergence or by the entropies, as you like. To have a mistake in `kl_divergence` count
# once, use the function that is passed in, or none.


# %% exercise="mutual_information" points=2
def mutual_information(
    joint: Float[Tensor, "rows columns"],
    *,
    kl: Callable = kl_divergence,
) -> Float[Tensor, ""]:
    """What two variables tell about each other: I(A; B) = KL(p(a, b) ‖ p(a) p(b)).

    Shannon 1948, section 12. It equals H(A) + H(B) − H(A, B).

    Args:
        joint: p(A = i, B = j) (rows, columns); all entries together sum to 1. Rows and columns
            may be zero throughout.
        kl: your `kl_divergence`, or another function that is called like it, for whoever wants
            to use it.

    Returns:
        The mutual information, of shape (), in nats.
    """
    raise NotImplementedError


# %% [markdown]
# **Which pixels are worth looking at?** For each pixel a table of two rows, inked or not, and ten columns, the digits:
# how many bits does the pixel tell about the digit? (All there is to know are $\log_2 10 \approx 3.3$ bits.) The corners
# are always empty and tell nothing. Nor is the middle of a stroke that all digits share of much use.

# %% tags=["hands-on"]
is_digit = torch.eye(10)[train_labels]
tables = torch.stack([(1 - inked).T @ is_digit, inked.T @ is_digit], dim=1) / len(train)
bits = torch.stack([mutual_information(table) for table in tables]) / math.log(2)
plots.matrices(
    {
        f"Bits about the digit, at most {bits.max():.2f}": bits.view(SIZE),
        "Where there is ink, for comparison": (inked.mean(dim=0) * bits.max()).view(SIZE),
    },
    rows=[""] * SIZE[0],
    columns=[""] * SIZE[1],
)

# %% [markdown]
# Now read digits again, pixel by pixel, but this time in order of what the pixels tell. With the sixteen best ones it
# goes far better than with sixteen at random. It is not the best order there is: neighbours tell the same thing twice,
# which a table for each pixel alone cannot know. (And even with all pixels it stays behind a small network: that is the
# price of naivety.)

# %% tags=["hands-on"]
LOOKS, READERS = 64, 200
orders = {
    "most telling first": bits.argsort(descending=True),
    "at random": order,
    "line by line": torch.arange(PIXELS),
}
evidence = [pixel_log_likelihood(image) for image in test[:READERS]]
lines = {}
for name, pixels in orders.items():
    right = torch.zeros(LOOKS + 1)
    for rows, label in zip(tqdm(evidence, desc=name), test_labels, strict=False):
        beliefs = update_beliefs(prior.log(), rows[pixels[:LOOKS]])
        right += beliefs.argmax(dim=1) == label
    lines[name] = (torch.arange(LOOKS + 1), right / READERS)
plots.curves(
    {f"Share of {READERS} test digits that are read": lines},
    xlabel="pixels seen",
    ylabel="share",
    levels={"guessing": 0.1},
    legend=True,
)

# %% [markdown]
# **Letters.** The same tools, on text: the joint table of a letter and the letter after it, in sentences of a toy
# language. The letters by themselves have an entropy; knowing the letter before takes away as many bits as the mutual
# information says. A model that writes letter by letter can live on that, and the more letters it looks back on, the
# more it saves. This is how language models began (Shannon 1948, section 3), and what autoregressive models are about.

# %% tags=["hands-on"]
sentences = data.Language().sample(3000, generator=torch.Generator().manual_seed(0))
text = " ".join(sentences) + " "
alphabet = sorted(set(text))
codes = torch.tensor([alphabet.index(character) for character in text])
following = torch.zeros(len(alphabet), len(alphabet))
following.index_put_((codes[:-1], codes[1:]), torch.ones(len(codes) - 1), accumulate=True)
following = following / following.sum()
single = marginalize(following, (0,))
uniform = torch.full_like(single, 1 / len(alphabet))
bit = math.log(2)
print(f"expecting every letter alike  {cross_entropy(single, uniform) / bit:5.2f} bits a letter")
print(f"knowing how often each comes  {entropy(single) / bit:5.2f}")
told = mutual_information(following)
print(f"knowing the letter before     {(entropy(single) - told) / bit:5.2f}")
rows = [condition(following, {0: row}) for row in range(len(alphabet))]
names = [character if character != " " else "␣" for character in alphabet]
plots.matrices(
    {"p(next letter | this letter)": torch.stack(rows)},
    rows=names,
    columns=names,
    xlabel="next letter",
    ylabel="this letter",
)

# %% [markdown]
# ## 5 · Walking in a latent space
#
# A **latent space** is a space of codes: a decoder turns each point into a picture, and the prior, mostly a standard
# Gaussian $\mathcal{N}(0, I)$, says where codes are at home. Ours is linear: the principal components, each divided by its
# standard deviation so that the cloud of all codes is round. The spaces of the coming assignments are curved by
# networks, but what one does in them is the same.

# %% tags=["hands-on"]
LATENT = 20
stretch = variances[:LATENT].sqrt()
to_code = directions[:LATENT] / stretch.unsqueeze(1)
to_image = directions[:LATENT].T * stretch


def embed(x):
    """Codes (n, LATENT) of images (n, pixels): mean 0, variance 1 along every axis."""
    return transform_latents(x, to_code, torch.zeros(LATENT), centre=mean)


def paint(z):
    """Images (n, pixels) of codes (n, LATENT)."""
    return transform_latents(z, to_image, mean).clamp(0, 1)


mu, sigma = mean, torch.cov(train.T)
code_mean, code_covariance = transform_gaussian(mu, sigma, to_code, -to_code @ mu)
off = (code_covariance - torch.eye(LATENT)).abs().max()
print(f"covariance of the codes: the identity, up to {off:.0e}")

# %% [markdown]
# Walk about in it: two sliders for the first two of the twenty numbers, the others at 0. (The sliders need a running
# kernel.)

# %% tags=["hands-on"]
plots.explore(lambda z: paint(torch.nn.functional.pad(z, (0, LATENT - 2))), SIZE)

# %% [markdown]
# ### From here to there
#
# A picture halfway between two pictures: decode the point halfway between their codes. Linear interpolation, in the
# trade called **lerp**, goes straight.
#
# ### Exercise · `lerp`
#
# *● · 5 minutes.*


# %% exercise="lerp" points=1
def lerp(
    start: Float[Tensor, "latent"],
    end: Float[Tensor, "latent"],
    t: Float[Tensor, "steps"],
) -> Float[Tensor, "steps latent"]:
    """Points on the straight line between two codes: (1 − t) start + t end.

    Args:
        start: the code at t = 0 (latent,).
        end: the code at t = 1 (latent,).
        t: how far along (steps,), in any order; below 0 and above 1 the line goes on.

    Returns:
        A code for each t (steps, latent).
    """
    raise NotImplementedError


# %% [markdown]
# There is something strange about spaces of many dimensions. The squared length of a standard normal vector is a sum of
# $n$ squares, each 1 on average. So it lies near $n$, and by the law of large numbers ever more closely, in proportion:
# the length is about $\sqrt n$, give or take 0.7, *whatever $n$ is*. Though the density is greatest at the origin, next to
# nothing lies there. Almost all the mass is in a thin shell.

# %% tags=["hands-on"]
generator = torch.Generator().manual_seed(0)
lengths = {}
for n in (3, 10, 30, 300):
    lengths[f"{n} dimensions"] = torch.randn(20_000, n, generator=generator).norm(dim=1) / n**0.5
plots.histogram(lengths, xlabel="length of a standard normal vector, divided by √n")

# %% [markdown]
# Two such vectors are nearly at right angles, since their product is a sum of $n$ terms of either sign. Hence the middle
# of the straight line between them has the length $\sqrt{n/2}$: it lies far *inside* the shell, at a place where the
# decoder has never been in training. An arc stays on the shell. **Slerp**, spherical linear interpolation, comes from
# computer animation, where it turns cameras at a steady rate (Shoemake 1985), and White (2016) brought it to latent
# spaces. In the plane of the two vectors, with the angle $\Omega$ between them,
#
# $$\mathrm{slerp}(a, b; t) = \frac{\sin\big((1 - t)\, \Omega\big)}{\sin \Omega}\; a + \frac{\sin(t\, \Omega)}{\sin \Omega}\; b,
# \qquad \cos \Omega = \frac{a \cdot b}{\lVert a \rVert\, \lVert b \rVert} .$$
#
# Two cases need care. If $a$ and $b$ point the same way, then $\sin \Omega = 0$, but the limit is harmless: the straight
# line. (Rounding may even make the cosine greater than 1, which has no angle.) If they point in opposite ways, then
# no way round is shorter than any other, and there is no answer. Among vectors of many dimensions drawn at random you
# will never meet either.
#
# ### Exercise · `slerp`
#
# *●● · 20 minutes.*


# %% exercise="slerp" points=3
def slerp(
    start: Float[Tensor, "latent"],
    end: Float[Tensor, "latent"],
    t: Float[Tensor, "steps"],
) -> Float[Tensor, "steps latent"]:
    """Points on the arc between two codes, turning at a steady rate (Shoemake 1985).

    [sin((1 − t) Ω) start + sin(t Ω) end] / sin Ω, where Ω, from 0 to π, is the angle between
    the two codes, whatever their lengths (White 2016).

    Args:
        start: the code at t = 0 (latent,), not zero.
        end: the code at t = 1 (latent,), not zero.
        t: how far along (steps,), in any order; below 0 and above 1 the arc goes on.

    Returns:
        A code for each t (steps, latent). Where the cosine of Ω is above 1 − 10⁻⁶, so that the
        arc is as good as straight, it is (1 − t) start + t end.

    Raises:
        ValueError: the codes point in opposite ways, with a cosine below −1 + 10⁻⁶: then no way
            round is the shortest.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
t = torch.linspace(0, 1, 41)
lines = {}
for name, way in (("lerp", lerp), ("slerp", slerp)):
    for n in (10, 500):
        pairs = torch.randn(200, 2, n, generator=torch.Generator().manual_seed(n))
        norms = torch.stack([way(a, b, t).norm(dim=1) for a, b in pairs]).mean(dim=0)
        lines[f"{name}, {n} dimensions"] = (t, norms / n**0.5)
plots.curves(
    {"Length of the codes on the way, mean of 200 ways": lines},
    xlabel="t",
    ylabel="length / √n",
    levels={"½√2": 0.5**0.5},
    legend=True,
)

# %% [markdown]
# And with digits. The decoder is linear here, so a straight line through latent space is the same as fading one picture
# into the other, and halfway, where the code is short, everything is pale: the average digit shines through. The arc
# keeps the contrast. (With the curved decoders of later assignments both ways look better, and what lies between is
# more often a digit.)

# %% tags=["hands-on"]


def example_of(digit, nth=0):
    """The code of the nth test image of a digit."""
    return embed(test[(test_labels == digit).nonzero()[nth].item()].unsqueeze(0))[0]


t = torch.linspace(0, 1, 11)
films = {}
for first, last in ((0, 7), (6, 1), (2, 4)):
    a, b = example_of(first, 1), example_of(last, 1)
    films[f"{first} to {last}, lerp"] = paint(lerp(a, b, t))
    films[f"{first} to {last}, slerp"] = paint(slerp(a, b, t))
plots.strips(films, SIZE, captions=[f"{x:.1f}" for x in t.tolist()])

# %% [markdown]
# ### Transformations of the latent space
#
# Whatever moves codes moves pictures. Three films, made by `transform_latents` with one picture's code: scaled about the
# origin, from the average digit (0) over itself (1) to its caricature (2); turned in the plane of the first two
# components, all the way around; and shifted by −1 to 1 times the way from the mean of all 1s to the mean of all 0s,
# which makes any digit rounder. Such arithmetic with directions that mean something is a favourite in every latent space: the
# smile vectors of faces (White 2016), "king − man + woman" for words (Mikolov et al. 2013).

# %% tags=["hands-on"]
code = example_of(3, 2).unsqueeze(0)
identity, still = torch.eye(LATENT), torch.zeros(LATENT)


def turned(angle):
    """The matrix that turns the plane of the first two components, and leaves the others."""
    matrix = torch.eye(LATENT)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]])
    return matrix


means = torch.stack([embed(train[train_labels == digit]).mean(dim=0) for digit in range(10)])
rounder = means[0] - means[1]
parts, shifts = torch.linspace(0, 1, 11).tolist(), torch.linspace(-1, 1, 11).tolist()
films = {
    "scaled, 0 to 2": [transform_latents(code, 2 * s * identity, still) for s in parts],
    "turned by 360°": [transform_latents(code, turned(2 * math.pi * s), still) for s in parts],
    "less round, rounder": [transform_latents(code, identity, s * rounder) for s in shifts],
}
plots.strips({name: paint(torch.cat(film)) for name, film in films.items()}, SIZE)

# %% [markdown]
# **One cloud onto another.** The 5s and the 3s are two clouds in latent space, each with its mean and covariance. Is there
# an affine map that takes the one to the other? With `transform_gaussian` in mind we look for an $A$ with
# $A\, \Sigma_5\, A^\top = \Sigma_3$. There are many. The one that moves points least, on average, is
#
# $$A = \Sigma_5^{-1/2} \big( \Sigma_5^{1/2}\, \Sigma_3\, \Sigma_5^{1/2} \big)^{1/2}\, \Sigma_5^{-1/2}$$
#
# (it is the *optimal transport* between two Gaussians). A root of a symmetric matrix is had by its eigenvectors: keep
# them, and take the roots of the eigenvalues. Every 5 becomes a 3 in its own hand: a slanted one slanted, a bold one
# bold.

# %% tags=["hands-on"]


def power(matrix, exponent):
    """A power of a symmetric positive definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


def gaussian_of(digit):
    """Mean and covariance of the codes of a digit."""
    codes = embed(train[train_labels == digit])
    return codes.mean(dim=0), torch.cov(codes.T) + 1e-2 * torch.eye(LATENT)


(mean_5, covariance_5), (mean_3, covariance_3) = gaussian_of(5), gaussian_of(3)
half, back = power(covariance_5, 0.5), power(covariance_5, -0.5)
move = back @ power(half @ covariance_3 @ half, 0.5) @ back
fives = embed(test[test_labels == 5])
threes = transform_latents(fives, move, mean_3, centre=mean_5)
arrived = transform_gaussian(mean_5, covariance_5, move, mean_3 - move @ mean_5)
print(f"KL(5s ‖ 3s) before: {gaussian_kl(mean_5, covariance_5, mean_3, covariance_3):6.2f} nats")
print(f"KL(5s ‖ 3s) after:  {gaussian_kl(*arrived, mean_3, covariance_3).abs():6.2f} nats")
halfway = (fives + threes) / 2
rows = {"5": fives, "halfway": halfway, "3": threes}
plots.strips({name: paint(codes[:14]) for name, codes in rows.items()}, SIZE, title="5s into 3s")

# %% [markdown]
# Before and after, in the plane that shows the two clouds best: the direction from one mean to the other, and the
# direction of greatest variance at right angles to it.

# %% tags=["hands-on"]
across = torch.nn.functional.normalize(mean_3 - mean_5, dim=0)
everything = torch.cat([embed(train[train_labels == digit]) for digit in (5, 3)])
flat = everything - torch.outer(everything @ across, across)
_, upward, _ = principal_components(flat, 1)
view = torch.stack([across, upward[0]])
all_fives = embed(train[train_labels == 5])
all_threes = embed(train[train_labels == 3])
moving = {
    "5s": all_fives,
    "halfway": (all_fives + transform_latents(all_fives, move, mean_3, centre=mean_5)) / 2,
    "5s, sent to the 3s": transform_latents(all_fives, move, mean_3, centre=mean_5),
}
centre = (mean_5 + mean_3) / 2
origin = torch.zeros(2)
seen = {k: transform_latents(codes, view, origin, centre=centre) for k, codes in moving.items()}
plots.clouds(
    {"": seen},
    behind=transform_latents(all_threes, view, origin, centre=centre),
    extent=4,
    alt="Blue points, the 5s, move over the grey ones, the 3s, in three panels.",
)

# %% [markdown]
# ### A generative model, all your own
#
# Put it together. The codes of all digits have mean 0 and covariance $I$: draw codes from $\mathcal{N}(0, I)$ and decode
# them, and you have new images (it is called *probabilistic PCA*, Tipping & Bishop 1999). They look like scribbles, because
# one Gaussian is a poor description of ten clouds. Take one Gaussian for each digit instead: choose the digit by its
# prior, draw a code $z = L\, \varepsilon + m$ with $L L^\top = \Sigma$, decode. Probability chose the digit, a matrix
# made the code, eigenvectors painted the picture, and information would measure how far it is from the truth. What is
# still missing is curvature. That is what networks, and the rest of this course, are for.

# %% tags=["hands-on"]
generator = torch.Generator().manual_seed(5)
rows = {"one Gaussian": paint(torch.randn(14, LATENT, generator=generator))}
for digit in (0, 2, 3, 5, 6):
    centre_of, covariance_of = gaussian_of(digit)
    noise = torch.randn(14, LATENT, generator=generator)
    codes = transform_latents(noise, torch.linalg.cholesky(covariance_of), centre_of)
    rows[f"the Gaussian of {digit}"] = paint(codes)
plots.strips(rows, SIZE, title="Digits that nobody has written")

# %% [markdown]
# ## Further reading
#
# - D. MacKay, *Information Theory, Inference, and Learning Algorithms*, Cambridge 2003, free online: probability and
#   information as one subject, with the best exercises there are.
# - M. Deisenroth, A. Faisal & C. S. Ong, *Mathematics for Machine Learning*, Cambridge 2020, free online: what this
#   notebook passes over, with proofs.
# - C. E. Shannon, *A Mathematical Theory of Communication*, Bell System Technical Journal 1948. Still the best
#   introduction to itself; section 3 has the letters, section 6 the entropy.
# - T. Bayes, *An Essay towards solving a Problem in the Doctrine of Chances*, Philosophical Transactions 1763;
#   P.-S. Laplace, *Mémoire sur la probabilité des causes par les évènements*, 1774; J. Pearl, *Probabilistic Reasoning in
#   Intelligent Systems*, 1988; D. Eddy, *Probabilistic reasoning in clinical medicine*, 1982.
# - G. Strang, *Introduction to Linear Algebra*; K. Pearson, *On lines and planes of closest fit to systems of points in
#   space*, 1901; H. Hotelling, *Analysis of a complex of statistical variables into principal components*, 1933; R. von
#   Mises & H. Pollaczek-Geiringer, *Praktische Verfahren der Gleichungsauflösung*, 1929.
# - A. G. Baydin et al., *Automatic Differentiation in Machine Learning: a Survey*, JMLR 2018,
#   [arXiv:1502.05767](https://arxiv.org/abs/1502.05767); D. J. Rezende & S. Mohamed, *Variational Inference with
#   Normalizing Flows*, ICML 2015, [arXiv:1505.05770](https://arxiv.org/abs/1505.05770).
# - S. Kullback & R. A. Leibler, *On Information and Sufficiency*, Annals of Mathematical Statistics 1951; M. Tipping &
#   C. Bishop, *Probabilistic Principal Component Analysis*, JRSS B 1999.
# - K. Shoemake, *Animating Rotation with Quaternion Curves*, SIGGRAPH 1985; T. White, *Sampling Generative Networks*,
#   2016, [arXiv:1609.04468](https://arxiv.org/abs/1609.04468); T. Mikolov et al., *Linguistic Regularities in Continuous
#   Space Word Representations*, NAACL 2013; T. Miyato et al., *Spectral Normalization for Generative Adversarial
#   Networks*, ICLR 2018, [arXiv:1802.05957](https://arxiv.org/abs/1802.05957).
