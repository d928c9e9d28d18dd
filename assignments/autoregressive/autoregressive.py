# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Autoregressive models
#
# How do you write a sentence? A word, and then the next one. A pianist who improvises does the same with notes, and a
# printer with dots: what comes next depends on what is already there. Teach a machine to answer one question,
#
# > *given everything so far, how probable is each possible next value?*
#
# and you can let it answer over and over, each time drawing a value from its answer and putting it behind the others.
# That is an **autoregressive model**: one that predicts a sequence from its own past. The idea is a hundred years old,
# and it is behind every large language model of today.
#
# You will build the whole family, each member for the data that it was invented for:
#
# - **Markov chains**, which look back a few letters and can be understood to the last number;
# - **recurrent networks**, which carry a memory along and write sentences that no chain could write;
# - **PixelCNN**, which paints images pixel by pixel, its famous blind spot, and **PixelSNAIL**, which looks anywhere;
# - **WaveNet**, which makes sound, sample by sample, thousands of them a second.
#
# On the way you will do what no other family of generative models allows: say *exactly* how probable every text, image
# and sound is, and hold it against the best that is possible at all.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension; images are (batch, channels, height, width), sounds (batch, channels, length);
# - tokens, pixels and amplitudes are *levels*: integers from 0 on, int64;
# - logarithms are natural, so information is measured in nats, unless a name says *bits*: 1 nat is
#   $1/\ln 2 \approx 1.44$ bits;
# - functions draw no random numbers of their own: the draws are passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with; after mending an earlier answer run the cells below it once
# more. Plan for five hours. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 1.0  # how much training the cells do; with a GPU, try 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # networks as small as these gain nothing from a second

language = data.Language()
text = "".join(f"{s}." for s in language.sample(2500, generator=torch.Generator().manual_seed(0)))
LETTERS = sorted(set(text))
codes = {letter: code for code, letter in enumerate(LETTERS)}
stream = torch.tensor([codes[letter] for letter in text])
stream, held_out = (
    stream[:80_000],
    stream[80_000:],
)  # one long text to learn from, one to be asked about

digits = data.load_digits()  # MNIST if it can be had, else scikit-learn's small collection
LEVELS = 8  # of grey


def levels_of(images):
    """Images as levels of grey, (n, height, width); large ones are made half as high and wide."""
    images = images.view(-1, digits.height, digits.width)
    images = F.avg_pool2d(images, 2) if digits.height > 16 else images
    return (images * (LEVELS - 1)).round().long()


train, test = levels_of(digits.train[:20_000]), levels_of(digits.test[:360])
SIZE = tuple(train.shape[1:])
print(f"{len(stream):,} letters to learn from, for instance: {text[:85]}")
print(f"{len(train):,} images of {SIZE[0]} × {SIZE[1]} pixels, from {digits.name}")

# %% [markdown]
# Three unfinished works. Below each you see how probable the next value is. No network has been trained yet: the
# probabilities were simply looked up, by finding the places in the data where *the past was most alike* and counting
# what came next. That already is an autoregressive model, if a poor one. Everything that follows is about answering the
# same question from a longer past, with fewer examples, for pasts that never occurred before.

# %% tags=["hands-on"]


def looked_up(past, pasts, nexts, levels, count):
    """How often each level followed the `count` pasts that are most like this one."""
    nearest = (pasts - past).abs().flatten(1).sum(dim=1).argsort(stable=True)[:count]
    return F.one_hot(nexts[nearest], levels).float().mean(dim=0)


beginning = "at night the s"
after = [s[len(beginning)] for s in language.probability if s.startswith(beginning)]
letters = {letter: after.count(letter) / len(after) for letter in sorted(set(after))}

known = SIZE[0] // 2 * SIZE[1] + SIZE[1] // 2
flat = train.flatten(1).float()
pixel = looked_up(flat[7, :known], flat[:, :known], train.flatten(1)[:, known], LEVELS, 40)

moment = torch.arange(4000) / 4000
hum = torch.sin(150 * moment) + torch.sin(211 * moment) + torch.sin(457 * moment)
hum += 0.3 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
windows = hum.unfold(0, 301, 1) / 4
levels = ((windows[:, -1] + 1) * 7.999).floor().long()
amplitude = looked_up(windows[3600, :-1], windows[:3000, :-1], levels[:3000], 16, 40)

plots.one_at_a_time(
    ("the old captain rows\nacross the bay.\nat night the s", letters),
    (flat[7] / (LEVELS - 1), SIZE, known, pixel),
    (windows[3600, :-1], amplitude),
)

# %% [markdown]
# ## 1 · One step at a time
#
# The probability of a whole is the product of the probabilities of its parts, each given those before it:
#
# $$p(x_1, x_2, \dots, x_T) = p(x_1)\, p(x_2 \mid x_1)\, p(x_3 \mid x_1, x_2) \cdots
# = \prod_{t=1}^{T} p(x_t \mid x_{<t}) .$$
#
# This is the *chain rule*, and it is no model and no approximation: every distribution over sequences, images or sounds
# can be written so, in any order of its parts. What makes it useful is that a monstrous distribution, over all texts of
# a page, becomes many small ones, each over a single letter. A network can put out numbers for 25 letters. Training is
# supervised learning: the data say what came next. And three things come for free, which VAEs and GANs have to
# struggle for:
#
# - the **exact likelihood**: multiply the answers, or rather add their logarithms;
# - **maximum likelihood training**, with neither bound nor adversary;
# - **exact samples**: draw $x_1$, then $x_2$ given it, and so on (*ancestral sampling*).
#
# The price shows in the last item. Drawing takes $T$ steps, one after the other, and there is no way to skip any. There
# is no code either, no two numbers that sum the whole up.
#
# Every model in this notebook answers one question in its own way: *how is the past, which gets longer and longer,
# turned into something of fixed size?*
#
# ### Markov's answer: forget
#
# In 1913 A. A. Markov counted vowels and consonants in the first 20 000 letters of Pushkin's *Eugene Onegin*, by hand.
# 43.2% were vowels. But after a vowel only 12.8% were, after a consonant 66.3%: the letters were not independent, and
# yet averages behaved as if they were. To show that such things can be calculated with he had invented what we now call
# a **Markov chain** of order $k$: the past matters through its last $k$ values only,
#
# $$p(x_t \mid x_{<t}) = p(x_t \mid x_{t-k}, \dots, x_{t-1}) .$$
#
# For $k = 1$ it is a matrix $P$ with $P_{ab} = p(b \mid a)$, the *transition matrix*, whose rows add up to 1. The
# estimate that makes the data most likely is the obvious one. Count:
#
# $$\hat p(s \mid c) = \frac{n(c, s)}{\sum_{s'} n(c, s')} .$$
#
# **What was never seen** gets probability 0, and a model that calls something impossible which then happens is
# infinitely wrong. The oldest remedy is to add a little to every count. (Laplace, who asked how sure one may be that the
# sun will rise tomorrow, added 1.)
#
# ### Exercise · `fit_markov_chain`
#
# *●● · 25 minutes.* Two traps: a text ends, and the next one in the batch does not follow it; and the order of the
# dimensions is the order of reading. Write a context and what follows as *one* number in base `states`, and
# `torch.bincount` counts them all.


# %% exercise="fit_markov_chain" points=3
def fit_markov_chain(
    tokens: Int[Tensor, "batch length"],
    states: int,
    *,
    order: int = 1,
    smoothing: float = 0.0,
) -> Float[Tensor, "*contexts states"]:
    """Estimate a Markov chain by counting: how often is a context followed by each state?

    The context of a token are the `order` tokens before it in the same sequence. With n(c, s)
    the number of times that state s follows context c, p(s | c) is estimated by

        (n(c, s) + smoothing) / (Σ_s' n(c, s') + smoothing · states).

    Args:
        tokens: sequences of states (batch, length), int64, from 0 to states − 1. Nothing is
            counted across the border of two sequences.
        states: how many states there are.
        order: how many tokens make a context, 0 or more; with 0 the result are the frequencies
            of the states, shape (states,).
        smoothing: is added to every count, 0 or more. Without it this is maximum likelihood.

    Returns:
        Probabilities, float32, with order + 1 dimensions of size `states` each: the entry
        [a, …, b, s] is the probability of s after the context a, …, b, in the order of reading,
        so that the last dimension adds up to 1. If without smoothing a context has never been
        followed by anything, all states are equally likely after it.
    """
    raise NotImplementedError


# %% [markdown]
# What follows what in our little language: each row is a letter, dark is probable. Find the rows with a single dark
# cell, where there is nothing to decide, and the row of the space, where a new word begins.

# %% tags=["hands-on"]
names = ["␣" if letter == " " else letter for letter in LETTERS]
pairs = fit_markov_chain(stream[None], len(LETTERS))
plots.matrices(
    {"p(next letter | this letter)": pairs},
    rows=names,
    columns=names,
    xlabel="next letter",
    ylabel="this letter",
)

# %% [markdown]
# ### How probable is this text?
#
# A product of hundreds of probabilities is too small for a computer, so we add their logarithms. The first $k$ values
# have no full context. Either somebody says how probable they are, or we take them as given and ask only about the rest.
#
# ### Exercise · `sequence_log_likelihood`
#
# *●● · 20 minutes.* No loop is needed: a tensor can be indexed by several tensors at once, one for each of its
# dimensions.


# %% exercise="sequence_log_likelihood" points=3
def sequence_log_likelihood(
    tokens: Int[Tensor, "batch length"],
    transitions: Float[Tensor, "*contexts states"],
    initial: Float[Tensor, "*contexts"] | None = None,
) -> Float[Tensor, "batch"]:
    """The log-probability of each sequence under a Markov chain, by the chain rule.

    Σ_t log p(x_t | the `order` tokens before it), for all t that have so many before them. The
    order of the chain is one less than the number of dimensions of `transitions`.

    Args:
        tokens: sequences of states (batch, length), int64; length is at least the order.
        transitions: as `fit_markov_chain` returns them: the entry [a, …, b, s] is the
            probability of s after a, …, b.
        initial: the probability of the first `order` tokens together, [a, …, b]; its log is
            added. None takes these tokens as given: they cost nothing.

    Returns:
        Log-probabilities (batch,), in nats: a sum over positions, no mean. A sequence that the
        chain cannot produce has −∞.
    """
    raise NotImplementedError


# %% [markdown]
# Now let chains of growing order write, and ask each what the held-out text costs it. This is the experiment by which
# Shannon introduced information theory (1948, section 3), there with a book, a pencil and patience.

# %% tags=["hands-on"]


def cost(tokens, transitions):
    """What a letter of a text costs a chain on average, in nats."""
    given = transitions.ndim - 1
    return -sequence_log_likelihood(tokens[None], transitions).item() / (len(tokens) - given)


def write(transitions, start, length, seed=1):
    """Let a chain go on with a text, letter by letter."""
    generator = torch.Generator().manual_seed(seed)
    written, order = list(start), transitions.ndim - 1
    for _ in range(length):
        context = tuple(written[len(written) - order :])
        written.append(torch.multinomial(transitions[context], 1, generator=generator).item())
    return "".join(LETTERS[code] for code in written[len(start) :])


costs = []
start = [codes[letter] for letter in text[: text.index(".") + 1]]
for order in range(5):
    chain = fit_markov_chain(stream[None], len(LETTERS), order=order, smoothing=1e-3)
    costs.append(cost(held_out, chain))
    print(f"order {order}: {write(chain, start, 70)}")

# %% [markdown]
# It gets better with every letter of context: first the letters have the right frequencies, then pairs can be
# pronounced, then words, then halves of sentences. Order 4 still forgets who is acting: what the owl does depends on a
# word that is long out of sight. And we cannot just go on: a chain of order $k$ over 25 letters has $25^{k+1}$ numbers
# to learn, for $k = 4$ ten million, from a text of eighty thousand letters.
#
# ### Where does a chain go?
#
# Start somewhere, take many steps, look where you are. If every state can be reached from every other one, the
# share of the time that is spent in each settles down, and it does not matter where you started: there is exactly one
# distribution $\pi$ that a step leaves as it is,
#
# $$\pi P = \pi, \qquad \sum_a \pi_a = 1 .$$
#
# In the words of linear algebra: $\pi$ is a left eigenvector of $P$ with eigenvalue 1. Markov's two numbers suffice to
# find how many letters are vowels: $\pi_v = 0.128\,\pi_v + 0.663\,(1 - \pi_v)$ gives $\pi_v = 0.432$, and so it was.
# Take web pages as states and links as steps, let the reader now and then jump to any page at all, and $\pi$ is what
# Google's first search results were ordered by (Page et al. 1999).
#
# ### Exercise · `stationary_distribution`
#
# *●● · 25 minutes.* Taking many steps does not always lead there: a chain that goes round in a circle never settles,
# though its $\pi$ exists. Solve the equations instead, or ask for the eigenvector; mind its sign and its sum.


# %% exercise="stationary_distribution" points=3
def stationary_distribution(transitions: Float[Tensor, "states states"]) -> Float[Tensor, "states"]:
    """The distribution π that a step of the chain leaves as it is: π P = π.

    Args:
        transitions: P (states, states), where P[a, b] is the probability of b after a, so that
            each row adds up to 1. Every state can be reached from every other one, in one step
            or several, so that there is exactly one π; the chain may be periodic.

    Returns:
        Probabilities π (states,), which add up to 1.
    """
    raise NotImplementedError


# %% [markdown]
# Below, the weather in a small land: three chains over sun, cloud and rain. Each line is the probability of sun, day
# after day, from one of the three states of today. Two chains forget where they started, the second one slowly. The
# third is a clockwork and never forgets. The grey line is your $\pi$, the same for all starts.

# %% tags=["hands-on"]
weathers = {
    "changeable": [[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.2, 0.4, 0.4]],
    "stubborn": [[0.94, 0.05, 0.01], [0.05, 0.88, 0.07], [0.02, 0.08, 0.9]],
    "clockwork": [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
}
panels = {}
for name, rows in weathers.items():
    P, now, sun = torch.tensor(rows), torch.eye(3), []
    for _ in range(25):
        sun.append(now[:, 0])
        now = now @ P
    names = ("from sun", "from cloud", "from rain")
    starts = dict(zip(names, torch.stack(sun, dim=1), strict=True))
    if name == "clockwork":  # one line says it all
        starts = {"from sun": starts["from sun"]}
    stays = stationary_distribution(P)
    title = f"{name}: π = ({', '.join(f'{share:.2f}' for share in stays.tolist())})"
    panels[title] = starts | {"": stays[0].expand(25)}
plots.curves(
    panels,
    x=torch.arange(25),
    xlabel="days",
    ylabel=["probability of sun", "", ""],
)

# %% [markdown]
# ### The least that a text can cost
#
# How much does a step of a chain surprise someone who knows the chain? In state $a$ it is the entropy of row $a$, and
# state $a$ comes up in a share $\pi_a$ of all steps:
#
# $$H = -\sum_a \pi_a \sum_b P_{ab} \log P_{ab} .$$
#
# This is the **entropy rate** (Shannon 1948, section 7). It is a floor: no model whatever can pay less than $H$ nats a
# step on average, however long it looks back, because the chain itself does not know more. So it turns "this model is
# good" into a number: how far above the floor?
#
# ### Exercise · `entropy_rate`
#
# *● · 10 minutes.* $0 \log 0$ is 0 here, since what never happens surprises nobody; computers think otherwise.


# %% exercise="entropy_rate" points=2
def entropy_rate(
    transitions: Float[Tensor, "states states"],
    stationary: Float[Tensor, "states"],
) -> Float[Tensor, ""]:
    """The entropy of the next state, given the present one: H = −Σ_a π_a Σ_b P_ab log P_ab.

    What a long sequence of the chain costs for each token, for whoever knows the chain
    (Shannon 1948, section 7). 0 log 0 counts as 0.

    Args:
        transitions: P (states, states), where P[a, b] is the probability of b after a.
        stationary: π (states,), how often the chain is in each state.

    Returns:
        A scalar, of shape (), in nats for each token.
    """
    raise NotImplementedError


# %% [markdown]
# A chain with 12 states and known entropy talks; we listen for a while, count, and then pay for what it says next. With
# few observations the estimate explains what it has heard *better than the truth does*, below the floor: it has learnt
# accidents by heart. On new text it pays for them. Both lines meet at $H$, one from each side. You have seen this
# picture with every kind of network; here is the one where the dashed line is known.

# %% tags=["hands-on"]


def walk(P, batch, length, generator):
    """Sequences of a chain (batch, length), each from a random start."""
    states = [torch.randint(len(P), (batch,), generator=generator)]
    for _ in range(length - 1):
        states.append(torch.multinomial(P[states[-1]], 1, generator=generator)[:, 0])
    return torch.stack(states, dim=1)


generator = torch.Generator().manual_seed(3)
true = torch.randn(12, 12, generator=generator).mul(1.5).softmax(dim=1)
floor = entropy_rate(true, stationary_distribution(true)).item()
new = walk(true, 100, 100, generator)
lengths = [2**k for k in range(1, 10)]
paid = {"on what was counted": [], "on new sequences": []}
for length in lengths:
    heard = walk(true, 50, length, generator)
    estimate = fit_markov_chain(heard, 12, smoothing=0.1)
    for name, tokens in zip(paid, (heard, new), strict=True):
        price = -sequence_log_likelihood(tokens, estimate).mean().item() / (tokens.shape[1] - 1)
        paid[name].append(price)
plots.curves(
    {"What a step costs": paid},
    x=torch.tensor([50 * (length - 1) for length in lengths]).log10(),
    xlabel="steps that were counted, as log₁₀",
    ylabel="nats a step",
    levels={f"entropy rate, {floor:.2f}": floor},
)

# %% [markdown]
# ## 2 · A memory to carry along
#
# A chain remembers the last $k$ letters perfectly and nothing else. Better would be to remember *what matters*, however
# long ago. A **recurrent network** has a vector of fixed size, its state $h$, and rewrites it with every value that it
# reads (Elman 1990):
#
# $$h_t = f(x_t, h_{t-1}), \qquad p(x_{t+1} \mid x_{\le t}) = \mathrm{softmax}(W h_t + b) .$$
#
# One function $f$, the same at every step, whatever the length; what the state keeps is learnt. The plainest $f$ is a
# linear map of both, and a tanh that keeps the numbers small.
#
# ### Exercise · `rnn_step`
#
# *● · 10 minutes.* The two biases are one too many. That is how `torch` has it.


# %% exercise="rnn_step" points=2
def rnn_step(
    x: Float[Tensor, "batch input"],
    h: Float[Tensor, "batch hidden"],
    weight_ih: Float[Tensor, "hidden input"],
    weight_hh: Float[Tensor, "hidden hidden"],
    bias_ih: Float[Tensor, "hidden"],
    bias_hh: Float[Tensor, "hidden"],
) -> Float[Tensor, "batch hidden"]:
    """One step of a recurrent network (Elman 1990): the state after one more input.

    h′ = tanh(W_ih x + b_ih + W_hh h + b_hh), as in `torch.nn.RNNCell`.

    Args:
        x: what is read (batch, input), one in each row.
        h: the state before (batch, hidden).
        weight_ih: W_ih (hidden, input).
        weight_hh: W_hh (hidden, hidden).
        bias_ih: b_ih (hidden,).
        bias_hh: b_hh (hidden,).

    Returns:
        The state after (batch, hidden).
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `unroll`
#
# *● · 10 minutes.* A loop in Python, and nothing wrong with it: step $t$ needs the state of step $t - 1$. This is just
# why recurrent networks are slow to train, and why something else took over. Mind that backpropagation has to find its
# way through all the states (*backpropagation through time*).


# %% exercise="unroll" points=2
def unroll(
    step: Callable,
    inputs: Float[Tensor, "batch length input"],
    state: Float[Tensor, "batch hidden"],
) -> Float[Tensor, "batch length hidden"]:
    """Read sequences with a recurrent network, from the first input to the last.

    Args:
        step: step(x, h) gives the state (batch, hidden) after reading x (batch, input) in the
            state h; called once for each position, in order.
        inputs: what is read (batch, length, input); length is at least 1.
        state: the state before the first input (batch, hidden).

    Returns:
        The states after each input (batch, length, hidden); gradients flow through all of them
        back to `inputs` and `state`.
    """
    raise NotImplementedError


# %% [markdown]
# ### What is forgotten on the way back
#
# To learn that a word depends on another one fifty letters before, the gradient has to travel back through fifty steps.
# By the chain rule of calculus it is multiplied at each step by the same kind of matrix,
#
# $$\frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(1 - h_t^2)\, W_{hh} ,$$
#
# and a product of fifty similar matrices does what the fiftieth power of a number does: it **vanishes** or
# **explodes** (Hochreiter 1991; Bengio, Simard & Frasconi 1994). Exploding gradients can be clipped. Vanished ones are
# gone.
#
# The remedy is a state that by default *stays as it is*. A **gate**, a number between 0 and 1 for each entry of the
# state, decides how much of it is replaced. Hochreiter & Schmidhuber (1997) built the LSTM on this; the *gated recurrent
# unit* (GRU, Cho et al. 2014) is its slimmer relative:
#
# $$\begin{aligned}
# r &= \sigma(W_{ir} x + b_{ir} + W_{hr} h + b_{hr}) && \text{reset: how much of the past the candidate may use} \\
# z &= \sigma(W_{iz} x + b_{iz} + W_{hz} h + b_{hz}) && \text{update: how much of the past stays} \\
# n &= \tanh\!\big(W_{in} x + b_{in} + r \odot (W_{hn} h + b_{hn})\big) && \text{the candidate} \\
# h' &= (1 - z) \odot n + z \odot h .
# \end{aligned}$$
#
# Where $z = 1$ the entry is handed on untouched, and so is its gradient: the derivative of $h'$ with respect to $h$ is
# 1, and $1^{50} = 1$.
#
# Books and libraries disagree about two things: whether $z$ or $1 - z$ multiplies the old state, and whether $r$ is
# applied before or after the multiplication by $W_{hn}$. The above is `torch`'s way. The three matrices of each kind
# stand in one tensor, in the order $r$, $z$, $n$.
#
# ### Exercise · `gru_step`
#
# *●● · 20 minutes.*


# %% exercise="gru_step" points=3
def gru_step(
    x: Float[Tensor, "batch input"],
    h: Float[Tensor, "batch hidden"],
    weight_ih: Float[Tensor, "3*hidden input"],
    weight_hh: Float[Tensor, "3*hidden hidden"],
    bias_ih: Float[Tensor, "3*hidden"],
    bias_hh: Float[Tensor, "3*hidden"],
) -> Float[Tensor, "batch hidden"]:
    """One step of a gated recurrent unit (Cho et al. 2014): the state after one more input.

    In the convention of `torch.nn.GRUCell`, where ⊙ is the elementwise product:

        r = σ(W_ir x + b_ir + W_hr h + b_hr)           the reset gate
        z = σ(W_iz x + b_iz + W_hz h + b_hz)           the update gate
        n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))  the candidate
        h′ = (1 − z) ⊙ n + z ⊙ h

    Args:
        x: what is read (batch, input), one in each row.
        h: the state before (batch, hidden).
        weight_ih: W_ir, W_iz and W_in, one below the other (3·hidden, input).
        weight_hh: W_hr, W_hz and W_hn, one below the other (3·hidden, hidden).
        bias_ih: b_ir, b_iz and b_in, one after the other (3·hidden,).
        bias_hh: b_hr, b_hz and b_hn, one after the other (3·hidden,).

    Returns:
        The state after (batch, hidden).
    """
    raise NotImplementedError


# %% [markdown]
# How much does the state after 60 steps still depend on the input $k$ steps before? The picture shows the size of that
# gradient, for untrained networks whose recurrent matrix stretches vectors by a factor of 0.7, 1 or 1.6, and for a GRU
# whose update gate has been given a bias of 3, so that it mostly stays shut: $\sigma(3) = 0.95$.

# %% tags=["hands-on"]
torch.manual_seed(0)
WIDTH, STEPS = 32, 60
turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH)).Q
small = 0.2 * torch.randn(1, STEPS, WIDTH)
no_bias = torch.zeros(WIDTH)


def reach(step):
    """log₁₀ of the gradient of the last state with respect to each input, the latest first."""
    inputs = small.clone().requires_grad_()
    last = unroll(step, inputs, torch.zeros(1, WIDTH))[:, -1]
    (gradient,) = torch.autograd.grad((last * torch.randn(WIDTH)).sum(), inputs)
    return gradient[0].norm(dim=1).flip(0).clamp(min=1e-12).log10()


gradients = {}
for factor in (0.7, 1.0, 1.6):

    def plain_step(x, h, factor=factor):
        """A plain network whose recurrent matrix is a rotation, stretched."""
        return rnn_step(x, h, torch.eye(WIDTH), factor * turn, no_bias, no_bias)

    gradients[f"plain, × {factor:g}"] = reach(plain_step)
W_x, W_h = (torch.randn(3 * WIDTH, WIDTH) / math.sqrt(WIDTH) for _ in range(2))
shut = torch.cat([no_bias, no_bias + 3, no_bias])
no_biases = torch.zeros(3 * WIDTH)
gradients["GRU, gate shut"] = reach(lambda x, h: gru_step(x, h, W_x, W_h, shut, no_biases))
plots.curves(
    {"What the last state still owes to an input": gradients},
    x=torch.arange(STEPS),
    xlabel="steps before",
    ylabel="size of the gradient, log₁₀",
)

# %% [markdown]
# ### Language modelling
#
# A network that gives the probability of each next token is a **language model**. It reads the text $x_1, \dots, x_T$
# once, and in this one pass makes $T$ predictions: its output at position $t$, computed from $x_1, \dots, x_t$, is about
# $x_{t+1}$. What it is trained with is the mean surprise,
#
# $$\mathcal{L} = -\frac{1}{N} \sum_{t} \log p(x_{t+1} \mid x_{\le t}) ,$$
#
# over all $N$ tokens that are predicted. Its exponential is called *perplexity*: among how many equally likely tokens
# the model seems to be choosing.
#
# In training the model always reads the true text, not its own: *teacher forcing* (Williams & Zipser 1989). Therefore
# all positions can be trained at once. In section 4 you will hear what it costs.
#
# **Off by one.** The single most frequent mistake in language modelling is to compare the output at $t$ with the token
# at $t$. The loss then falls quickly to zero, since the model has just read what it is asked for. If your model is too
# good to be true, look here first. The second most frequent one is to count padding.
#
# ### Exercise · `next_token_loss`
#
# *●● · 15 minutes.* The same function is the last line of GPT's training.


# %% exercise="next_token_loss" points=3
def next_token_loss(
    logits: Float[Tensor, "batch length vocab"],
    tokens: Int[Tensor, "batch length"],
    *,
    padding: int | None = None,
) -> Float[Tensor, ""]:
    """What a language model minimises: −log p(next token | tokens so far), averaged over tokens.

    Args:
        logits: scores of every token (batch, length, vocab): those at position t were computed
            from the tokens up to t, t included, and are about the token at t + 1.
        tokens: the ids that the model has read (batch, length), int64. The first of each
            sequence is predicted by nothing, and what is said after the last is not asked for.
        padding: the id, one of the vocabulary, that fills up short sequences: where it is the
            token to be predicted nothing counts. None means that there is no padding.

    Returns:
        A scalar, of shape (), in nats: the mean over all predicted tokens of the batch, each of
        which counts alike whatever the length of its sequence. 0 if there is none.
    """
    raise NotImplementedError


# %% [markdown]
# Now the same 80 000 letters for a plain recurrent network and a GRU, everything in it yours but the embedding and the
# last linear map. It reads pieces of 64 letters.

# %% tags=["hands-on"]


class LetterModel(nn.Module):
    """A recurrent language model over letters."""

    def __init__(self, step, gates, width=96):
        super().__init__()
        self.step = step
        self.embedding = nn.Embedding(len(LETTERS), width)
        self.scores = nn.Linear(width, len(LETTERS))
        bound = 1 / math.sqrt(width)
        shapes = [
            (gates * width, width),
            (gates * width, width),
            (gates * width,),
            (gates * width,),
        ]
        weights = (nn.Parameter(torch.empty(shape).uniform_(-bound, bound)) for shape in shapes)
        self.weights = nn.ParameterList(weights)

    def forward(self, tokens, state=None):
        """Logits of the next letter after each one, and the last state."""
        x = self.embedding(tokens)
        state = x.new_zeros(len(x), x.shape[2]) if state is None else state
        states = unroll(lambda x, h: self.step(x, h, *self.weights), x, state)
        return self.scores(states), states[:, -1]


def some(sequence, count, length, generator):
    """Random pieces of a long sequence (count, length)."""
    starts = torch.randint(len(sequence) - length, (count,), generator=generator)
    return sequence[starts[:, None] + torch.arange(length)]


def train_letters(name, step, gates):
    """Train a LetterModel on pieces of the text."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = LetterModel(step, gates).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in tqdm(range(round(180 * BUDGET)), desc=name):
        tokens = some(stream, 32, 64, generator).to(DEVICE)
        optimizer.zero_grad()
        next_token_loss(model(tokens)[0], tokens).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


letter_models = {
    "plain": train_letters("plain network", rnn_step, 1),
    "GRU": train_letters("GRU", gru_step, 3),
}

# %% [markdown]
# What a letter of held-out text costs. The grammar of this language is known, and so is the floor: the entropy of a
# sentence, divided by the letters that it takes on average.

# %% tags=["hands-on"]
sentence_length = sum(p * (len(s) + 1) for s, p in language.probability.items())
least = language.entropy / sentence_length
pieces = held_out[: len(held_out) // 200 * 200].view(-1, 200).to(DEVICE)
levels = {f"entropy, {least:.2f}": least}
with torch.no_grad():
    for name, model in letter_models.items():
        price = next_token_loss(model(pieces)[0], pieces).item()
        levels[f"{name}, {price:.2f}"] = price
plots.curves(
    {"What a letter of new text costs": {"Markov chains": costs[1:]}},
    x=torch.arange(1, 5),
    xlabel="order of the Markov chain",
    ylabel="nats a letter",
    levels=levels,
)

# %% [markdown]
# A few seconds of training beat a table of ten million numbers. Let both write, and look at where in a sentence the
# surprise sits. Dark is surprising. The chain is surprised again and again in the middle of what it should know. The GRU
# is surprised where something is decided: at *old*, which could have been *young*; at the first letters of *captain*; at
# *sails*, which could have been *rows*; and a little at *across*. Everything else it saw coming.

# %% tags=["hands-on"]


@torch.no_grad()
def go_on(model, start, length, seed=1):
    """Let a LetterModel go on with a text."""
    generator = torch.Generator().manual_seed(seed)
    written = []
    logits, state = model(torch.tensor([start], device=DEVICE))
    for _ in range(length):
        chances = logits[0, -1].softmax(dim=0).cpu()
        written.append(torch.multinomial(chances, 1, generator=generator).item())
        logits, state = model(torch.tensor([written[-1:]], device=DEVICE), state)
    return "".join(LETTERS[code] for code in written)


def surprise(logits, tokens):
    """−log₂ of the probability that each token but the first had."""
    found = F.cross_entropy(logits[:-1], tokens[1:], reduction="none")
    return found.cpu() / math.log(2)


for name, model in letter_models.items():
    print(f"{name:8}{go_on(model, start, 110)}")
line = ".at night the old captain sails across the bay."
tokens = torch.tensor([codes[letter] for letter in line])
chain = fit_markov_chain(stream[None], len(LETTERS), order=2, smoothing=1e-3)
by_chain = -sequence_log_likelihood(tokens.unfold(0, 3, 1), chain) / math.log(2)
with torch.no_grad():
    logits, _ = letter_models["GRU"](tokens[None].to(DEVICE))
by_network = surprise(logits[0], tokens.to(DEVICE))[1:]
plots.matrices(
    {"Surprise at each letter: from 0 to 4 bits": torch.stack([by_chain, by_network]).clamp(max=4)},
    rows=["order 2", "GRU"],
    columns=["␣" if letter == " " else letter for letter in line[2:]],
)

# %% [markdown] question="floor" points=3
# ### Question · Below the floor
#
# A friend trains a letter model on the text above and reports 0.12 nats a letter, less than the entropy of the language.
# Name two different ways in which this can have come about, one of which is a bug and one is not, and say for each which
# measurement would tell. Then explain why the plain recurrent network and the GRU cost almost the same here although the
# picture of the gradients looks so different, and describe a language on which they would come apart.
#
# *3 points: one for each way, with the measurement that tells it; one for the comparison, argued with how far back this
# language makes one look.*

# %% [markdown]
# ## 3 · Pixel by pixel
#
# An image has no beginning. But the chain rule does not care: agree on any order, say row after row from the top, each
# row from the left (*raster order*), and
#
# $$p(\text{image}) = \prod_{i} p(x_i \mid \text{the pixels above, and those left of it in its row}) .$$
#
# Van den Oord, Kalchbrenner & Kavukcuoglu (2016a) let a network paint in this way. To learn from a whole image at once,
# as the language model learns from a whole sentence at once, it should put out the distributions of *all* pixels in one
# pass. A convolutional network does, with a flaw: its output at a pixel looks at that pixel and at all its neighbours,
# the later ones too. It would read the answer and learn nothing.
#
# So before anything else we need a tool that catches a network looking where it must not.
#
# ### Finding out what a network sees
#
# Do not trust a picture of the masks: *measure*. The output at one position depends on an input at another if and only
# if the derivative of the one with respect to the other is not zero (somewhere). A row of the **Jacobian** matrix, drawn
# as an image, is the map of everything that counts. Leaks by one pixel, off-by-one shifts, paddings on the wrong side:
# all of it shows.
#
# ### Exercise · `influence`
#
# *●● · 15 minutes.* `torch.autograd.functional.jacobian`, or one backward pass for each output channel.


# %% exercise="influence" points=2
def influence(
    model: Callable,
    x: Float[Tensor, "channels *place"],
    position: tuple[int, ...],
) -> Float[Tensor, "*place"]:
    """Which inputs a model's output at one position depends on, found by differentiation.

    At each place the sum of |∂ output[o, position] / ∂ x[c, place]| over all input channels c
    and all output channels o.

    Args:
        model: model(batch) gives outputs (1, out_channels, *place) for inputs
            (1, channels, *place), differentiably.
        x: one input, without a batch dimension (channels, *place): *place is (length,) for
            sound and (height, width) for images.
        position: where the output is looked at, one index for each dimension of *place.

    Returns:
        Influences (*place), at least 0 and without a graph: 0 where the output at `position`
        does not depend on the input.
    """
    raise NotImplementedError


# %% [markdown]
# ### Masked convolutions
#
# Multiply the weights of a convolution by a mask of zeros and ones, and it cannot see what the zeros hide. Which pixels
# came before? The rows above, and what is left in the same row. And the middle itself? That depends on the layer:
#
# - **Type A**, for the first layer: the input there is the image, and the pixel is what is to be predicted. Hidden.
# - **Type B**, for all later layers: the input there has been through a layer of type A and knows nothing of its own
#   pixel any more. Visible; hiding it again would only throw information away.
#
# A colour image has three numbers in each pixel, drawn one after the other, red, green, blue: green may depend on the
# red of the same pixel, blue on both. So the channels are shared out among the colours, and at the middle of the kernel
# the mask is about *pairs* of channels: type A lets a colour see the earlier ones, type B itself as well.
#
# The mask belongs into the computation, not into the initialisation: the optimiser will soon have filled the zeros.
#
# ### Exercise · `MaskedConv2d`
#
# *●●● · 40 minutes.*


# %% exercise="MaskedConv2d" points=4
class MaskedConv2d(nn.Module):
    """A convolution that looks only at pixels that were drawn before (PixelCNN).

    Van den Oord et al. 2016a, section 3.4 and figure 2. Pixels are drawn row after row from
    the top, each row from the left. The output at a pixel depends on the rows above within the
    kernel, on what is left of it in its own row, and on its own place thus:

    - of type "A" not at all, if there is one colour: for the first layer, which sees the image;
    - of type "B" it does: for later layers, whose input has not seen its own pixel any more.

    With several colours the colours of a pixel are drawn one after the other. Input channels are
    cut into `colors` equal parts, one after the other, and output channels likewise; part i
    belongs to colour i. At its own place an output of colour i depends on inputs of the colours
    j < i if the type is "A", and j ≤ i if it is "B". At other places colours make no difference.

    The layer keeps the size of the image, as if zeros were around it. Its parameters are called
    `weight` (out_channels, in_channels, kernel_size, kernel_size) and `bias` (out_channels,),
    as in `nn.Conv2d`, and begin like that one's. Whatever values they are given later, what must
    not be seen has no influence.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: height and width of the kernel in pixels, odd.
        mask_type: "A" or "B".
        colors: how many colours there are, 1 or more.

    Raises:
        ValueError: if `kernel_size` is even, `mask_type` is neither "A" nor "B", or one of the
            numbers of channels is not a multiple of `colors`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        mask_type: Literal["A", "B"],
        *,
        colors: int = 1,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"],
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Apply the layer to a batch of images.

        Args:
            x: images or feature maps (batch, in_channels, height, width).

        Returns:
            Feature maps of the same height and width (batch, out_channels, height, width).
        """
        raise NotImplementedError


# %% [markdown]
# Let us look. First the rule for colours: which colour's output sees which colour of its own pixel, in a layer of either
# type, and in two layers on top of each other. Then stacks of masked $3 \times 3$ convolutions in grey, one of type A and
# then more of type B: what does the dark pixel see?

# %% tags=["hands-on"]
torch.manual_seed(0)
tables = {}
for kinds in ("A", "B", "AB"):
    layers = nn.Sequential(*(MaskedConv2d(3, 3, 3, kind, colors=3) for kind in kinds))
    jacobian = torch.autograd.functional.jacobian(layers, torch.randn(1, 3, 5, 5))
    own = jacobian[0, :, 2, 2, 0, :, 2, 2] != 0
    tables[f"type {', then '.join(kinds)}"] = own.float()
colours = ["red", "green", "blue"]
plots.matrices(tables, rows=colours, columns=colours, xlabel="is seen", ylabel="looks")

# %% tags=["hands-on"]


def masked_stack(depth):
    """One masked convolution of type A, then some of type B."""
    layers = [MaskedConv2d(1, 4, 3, "A"), *(MaskedConv2d(4, 4, 3, "B") for _ in range(depth - 1))]
    return nn.Sequential(*layers)


def seen_by(model, channels=1, side=13):
    """1 where the pixel in the middle looks, 2 for the pixel itself."""
    middle = (side // 2 + 2, side // 2)
    seen = (influence(model, torch.randn(channels, side, side), middle) > 0).float()
    seen[middle] += 2
    return seen


named = {"1 layer": 1, "2 layers": 2, "4 layers": 4, "7 layers": 7}
blank = [""] * 13
stacks = {name: seen_by(masked_stack(depth)) for name, depth in named.items()}
plots.matrices(stacks, rows=blank, columns=blank)

# %% [markdown]
# Nothing below, nothing to the right, and nothing of the pixel itself: the stack is causal. But look at the upper right.
# However many layers, a wedge stays white, although these pixels were drawn long before. This is PixelCNN's famous
# **blind spot**. Follow the ways that lead there: a layer can go up and right at once, but to the right only when it
# goes up, so of all that lies to the right it reaches no more than one column for each row up. What is beyond is never
# seen. The authors noticed in time for their next paper; more below.

# %% [markdown]
# ### Drawing
#
# A model that is trained gives, for an image, the distribution of every pixel given those before it. To *draw* one, start
# with an empty canvas; ask for the distribution of the first pixel; draw it; ask again, now with one pixel on the
# canvas; and so on. One pass through the network for each pixel, of which one output is used. (For a canvas of
# $256 \times 256$ in colour that makes 196 608 passes. It is why you do not see PixelCNNs in daily use.)
#
# From a number $u$, uniform on $[0, 1)$, to a level: walk through the levels, adding up their probabilities, and stop as
# soon as the sum exceeds $u$. This *inverse transform* gives each level its own share of $[0, 1)$.
#
# **Completing an image** costs nothing extra: leave the pixels that are known as they are, and draw the others. No GAN
# can do that without being trained for it. (There is a catch. Which pixels can be given?)
#
# ### Exercise · `sample_pixels`
#
# *●●● · 30 minutes.* Without a graph: nobody wants to differentiate through 64 passes.


# %% exercise="sample_pixels" points=4
def sample_pixels(
    model: Callable,
    uniform: Float[Tensor, "batch height width"],
    *,
    image: Int[Tensor, "batch height width"] | None = None,
    known: Bool[Tensor, "height width"] | None = None,
) -> Int[Tensor, "batch height width"]:
    """Draw images from an autoregressive model, pixel by pixel in raster order.

    Row after row from the top, each row from the left. The model is asked once for each pixel
    that is drawn, and not for others, without recording a graph: it is shown the images as far
    as they are drawn, with 0 in all pixels that are yet to come. A pixel becomes the smallest
    level k whose cumulative probability p(0) + … + p(k) exceeds the pixel's number in
    `uniform`, or the last level if rounding leaves none.

    Args:
        model: model(pixels) gives for images (batch, height, width), int64, the logits of the
            levels of every pixel (batch, levels, height, width). Those of a pixel depend only
            on pixels before it.
        uniform: draws from the uniform distribution on [0, 1) (batch, height, width), the only
            source of randomness.
        image: images to complete (batch, height, width), int64; they stay as they are. None
            draws all pixels.
        known: True where the pixels of `image` are kept (height, width); the model sees these
            from the start. Given together with `image`.

    Returns:
        Images (batch, height, width), int64: levels from 0 to levels − 1.
    """
    raise NotImplementedError


# %% [markdown]
# ### A painter
#
# Five masked layers, each with a way around it, and a $1 \times 1$ convolution for the logits: a network of a few
# thousand weights. Pixels go in as *categories* and come out as categories: that grey 3 lies between 2 and 4 is for the
# network to find out. (The model also gets a learnt vector for each place, so that it knows where the border is.) The
# class can be built from three kinds of layers; two of them you will write below.

# %% tags=["hands-on"]


class Painter(nn.Module):
    """Logits of every pixel's level, each from the pixels before it."""

    def __init__(self, kind, size=SIZE, width=24, depth=4, levels=LEVELS):
        super().__init__()
        self.levels = levels
        self.embedding = nn.Conv2d(levels, width, 1)
        self.place = nn.Parameter(torch.randn(1, width, *size))
        self.gated = kind != "masked"
        self.layers = nn.ModuleList()
        for i in range(depth):
            gated = self.gated and GatedPixelCNNLayer(width, 3, first=i == 0)
            self.layers.append(gated or MaskedConv2d(width, width, 3, "B" if i else "A"))
        self.attention = None
        if kind == "snail":
            self.attention = CausalAttention2d(2 * width, 2 * width, width, width)
        self.mix = nn.Conv2d(width, width, 1)
        last = [nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, levels, 1)]
        self.scores = nn.Sequential(nn.ReLU(), *last)

    def forward(self, pixels):
        """Logits (batch, levels, height, width) for images (batch, height, width)."""
        place = self.place.expand(len(pixels), -1, -1, -1)
        x = self.embedding(F.one_hot(pixels, self.levels).movedim(3, 1).float()) + place
        v, h = x, x
        for i, layer in enumerate(self.layers):
            if self.gated:
                v, h = layer(v, h)
            else:
                h = layer(F.relu(h)) + (h if i else 0)
        if self.attention is not None:
            asks, knows = torch.cat([h, place], dim=1), torch.cat([x, place], dim=1)
            h = h + self.mix(self.attention(asks, knows))
        return self.scores(h)


def train_painter(kind, take, steps, rate, **options):
    """Train a Painter by maximum likelihood; take(n) gives n images."""
    torch.manual_seed(0)
    model = Painter(kind, **options).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters())
    steps = round(steps * BUDGET)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in tqdm(range(steps), desc=kind):
        pixels = take(32).to(DEVICE)
        optimizer.zero_grad()
        F.cross_entropy(model(pixels), pixels).backward()
        optimizer.step()
        rates.step()
    return model


def some_digits(count):
    """Training images."""
    return train[torch.randint(len(train), (count,))]


painters = {"masked": train_painter("masked", some_digits, 360, rate=6e-3)}

# %% [markdown]
# It draws. In each row a digit comes into being, from left to right: grey is what is yet to come. You can see at which
# pixel it becomes clear what it is going to be. Nobody had planned it.

# %% tags=["hands-on"]
GREY = 0.13


def film(model, count, frames, seed):
    """Images (count, frames, pixels) as they are drawn, what is to come in grey."""
    uniform = torch.rand(count, *SIZE, generator=torch.Generator().manual_seed(seed)).to(DEVICE)
    shots = []

    def watched(pixels):
        shots.append(pixels.clone())
        return model(pixels)

    shots.append(sample_pixels(watched, uniform))
    total = SIZE[0] * SIZE[1]
    chosen = []
    for done in torch.linspace(total / frames, total, frames).long().tolist():
        shot = shots[done].cpu().flatten(1) / (LEVELS - 1)
        shot[:, done:] = GREY
        chosen.append(shot)
    return torch.stack(chosen, dim=1)


shots = film(painters["masked"], 5, 12, seed=5)
plots.strips({f"digit {i + 1}": row for i, row in enumerate(shots)}, SIZE)

# %% [markdown]
# ### What an image costs, in bits
#
# Likelihoods of images are quoted in **bits per dimension**: the bits that a lossless code built on the model would need
# for each number of the image, $-\log_2 p(x) / D$. One can compare them across sizes of images, and with a PNG file.
#
# A trap lurks between discrete and continuous models. A PixelCNN gives *probabilities* of levels. A VAE with a Gaussian
# decoder or a normalising flow gives a *density*, of pixels that were scaled to $[0, 1]$, say, and made continuous by
# noise as wide as a level (*dequantisation*). A density is not bounded by 1 and depends on the unit: measure in a unit
# twice as large and it is twice as large. To compare, turn it into probabilities: a level is a bin of width $\Delta$, and
# gets the probability $p \cdot \Delta$, with $\Delta = 1/256$ if 256 levels were scaled to $[0, 1]$. Without this step a
# paper's model can beat any other one by a choice of units (Theis, van den Oord & Bethge 2016, section 3.1).
#
# ### Exercise · `bits_per_dim`
#
# *● · 10 minutes.*


# %% exercise="bits_per_dim" points=2
def bits_per_dim(
    log_likelihood: Float[Tensor, "batch"],
    dimensions: int,
    *,
    bin_width: float = 1.0,
) -> Float[Tensor, "batch"]:
    """How many bits a lossless code needs for each number of a data point, each pixel say.

    A level of a quantised number is a bin of width Δ = `bin_width`, and a density p, which does
    not change much within a bin, gives it the probability p · Δ. So the bits are
    −log₂(p · Δ^D) / D, with D = `dimensions` (Theis et al. 2016, section 3.1).

    Args:
        log_likelihood: in nats, for each data point (batch,): the log of a density of
            dequantised data, or of the probability of the levels themselves.
        dimensions: D, how many numbers a data point has: for a colour image channels · height ·
            width.
        bin_width: Δ, in the unit in which `log_likelihood` is a density: 1/256 if levels
            0, …, 255 were scaled to [0, 1]. 1 if it is a probability of levels, or a density
            of unscaled levels.

    Returns:
        Bits for each dimension (batch,).
    """
    raise NotImplementedError


# %% [markdown]
# ### No blind spot
#
# The remedy (van den Oord et al. 2016b) is to split the work. A **vertical stack** $v$ looks at the rows above, all of
# their width, without any mask along the row: what is above was drawn before, wherever it is. A **horizontal stack** $h$
# looks at what is left in the same row. At each layer the vertical stack tells the horizontal one what it knows, never
# the other way round: what $h$ knows of its own row must not get into the rows above of someone else.
#
# ```
#             v ──► conv over rows above ──► p ──► gate ──────────────► v'
#                                            │
#                                          link
#                                            ▼
#             h ──► conv to the left ──────► + ──► gate ──► output ─► + ─► h'
#             └───────────────────────────────────────────────────────┘
# ```
#
# The layer also has the **gate** by which recurrent networks had been winning so far: $\tanh(a) \odot \sigma(b)$, one
# half of the channels says what, the other how much.
#
# Which rows may $v'$ at row $i$ use? In the first layer the input is the image, and only rows *above* $i$ are known. In
# later layers row $i$ of $v$ knows only the image's rows above $i$, so row $i$ itself may be used, too, along the whole
# width. The same goes for $h$ within the row. And the shortcut around the first layer must go: it would carry the pixel
# itself to the output.
#
# You do not need masks for this. A convolution with a kernel of $r + 1$ rows, over an image that was padded with $r$ rows
# of zeros at the top and none at the bottom, looks up and never down. (`F.pad` takes negative numbers as well: they cut
# off.)
#
# ### Exercise · `GatedPixelCNNLayer`
#
# *●●● · 50 minutes.* Draw the kernel on squared paper before you write; afterwards let `influence` tell you what you have
# built.


# %% exercise="GatedPixelCNNLayer" points=4
class GatedPixelCNNLayer(nn.Module):
    """A layer of the gated PixelCNN: two stacks of features, which together have no blind spot.

    Van den Oord et al. 2016b, section 2 and figure 2. The vertical stack v knows the rows above,
    the horizontal stack h knows what is left in the same row, and is told by the vertical one.
    With r = kernel_size // 2 and gate(a, b) = tanh(a) ⊙ σ(b), where a is the first half of the
    channels and b the second, the layer computes at pixel (i, j)

        p  = convolution of v over the rows i − r, …, i and the columns j − r, …, j + r
        q  = convolution of h over the columns j − r, …, j of row i
        v′ = gate(p)
        h′ = h + output(gate(q + link(p)))

    If it is the `first` layer, whose inputs know their own pixel, it leaves that out: p is over
    the rows i − r, …, i − 1 only, q over the columns j − r, …, j − 1 only, and h′ lacks the
    summand h. Beyond the border of the image there are zeros.

    p and q have 2 · channels channels. `link`, `nn.Conv2d(2 · channels, 2 · channels, 1)`, and
    `output`, `nn.Conv2d(channels, channels, 1)`, are attributes of these names. All four
    convolutions have biases.

    Args:
        channels: channels of either stack, in the input and in the output.
        kernel_size: width of the kernel in pixels, odd and at least 3.
        first: whether the inputs know their own pixel.

    Raises:
        ValueError: if `kernel_size` is even or less than 3.
    """

    def __init__(self, channels: int, kernel_size: int, *, first: bool = False) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        v: Float[Tensor, "batch channels height width"],
        h: Float[Tensor, "batch channels height width"],
    ) -> tuple[
        Float[Tensor, "batch channels height width"],
        Float[Tensor, "batch channels height width"],
    ]:
        """Pass both stacks through the layer.

        Args:
            v: features of the vertical stack (batch, channels, height, width).
            h: features of the horizontal stack, of the same shape.

        Returns:
            The pair (v′, h′), of the same shape each.
        """
        raise NotImplementedError


# %% [markdown]
# The same picture again, with your layers. The blind spot is gone: with enough of them everything is seen that was drawn
# before, and nothing else.

# %% tags=["hands-on"]


class GatedStack(nn.Module):
    """What the horizontal stack says after some gated layers."""

    def __init__(self, depth):
        super().__init__()
        self.layers = nn.ModuleList(GatedPixelCNNLayer(2, 3, first=i == 0) for i in range(depth))

    def forward(self, x):
        """Pass an image through both stacks."""
        v, h = x, x
        for layer in self.layers:
            v, h = layer(v, h)
        return h


torch.manual_seed(0)
stacks = {"7 masked layers": seen_by(masked_stack(7))}
named = {"1 gated layer": 1, "4 gated layers": 4, "7 gated layers": 7}
stacks |= {name: seen_by(GatedStack(depth), 2) for name, depth in named.items()}
plots.matrices(stacks, rows=blank, columns=blank)

# %% tags=["hands-on"]
painters["gated"] = train_painter("gated", some_digits, 360, rate=6e-3)
draws = torch.rand(14, *SIZE, generator=torch.Generator().manual_seed(6)).to(DEVICE)
rows = {"data": test[:14].flatten(1) / (LEVELS - 1)}
for name, model in painters.items():
    rows[name] = sample_pixels(model, draws).cpu().flatten(1) / (LEVELS - 1)
plots.strips(rows, SIZE, title="Drawn by both painters from the same random numbers")

# %% [markdown]
# Now the account. *Uniform* knows nothing. *One histogram* knows how often each level of grey occurs, *one for each
# pixel* knows the average image, but not that pixels have to do with one another. The painters know that. A file format
# that was built on the last one would need little more than half the space of one that is built on a histogram.

# %% tags=["hands-on"]
D = SIZE[0] * SIZE[1]
everywhere = fit_markov_chain(train.flatten()[None], LEVELS, order=0)
local = F.one_hot(train, LEVELS).float().sum(dim=0) + 0.1
local = local / local.sum(dim=2, keepdim=True)
shown = F.one_hot(test, LEVELS)
scores = {
    "uniform": torch.full((len(test),), -D * math.log(LEVELS)),
    "one histogram": (shown * everywhere.log()).sum(dim=(1, 2, 3)),
    "one for each pixel": (shown * local.log()).sum(dim=(1, 2, 3)),
}
maps = {}
for name, model in painters.items():
    with torch.no_grad():
        log_p = -F.cross_entropy(model(test.to(DEVICE)), test.to(DEVICE), reduction="none").cpu()
    scores[f"PixelCNN, {name}"] = log_p.sum(dim=(1, 2))
    maps[name] = -log_p / math.log(2)
for name, log_likelihood in scores.items():
    print(f"{name:20}{bits_per_dim(log_likelihood, D).mean():6.2f} bits per dimension")

# %% [markdown]
# Where are the bits? Below each digit, how surprised the model was at each of its pixels, black is 4 bits or more. The
# corners cost nothing. What costs is where strokes begin and where they turn: it is there that somebody with a pen made
# up his mind.

# %% tags=["hands-on"]
surprises = {
    "digit": test[:12].flatten(1) / (LEVELS - 1),
    "surprise": maps["gated"][:12].flatten(1) / 4,
}
plots.strips(surprises, SIZE)

# %% [markdown]
# And completions. The first rows of each digit are given, the rest is drawn, five times with different random numbers.
# Some beginnings leave no choice, some leave several, and the model finds more than one.

# %% tags=["hands-on"]
half = test[20:32]
known = torch.zeros(SIZE, dtype=torch.bool)
known[: SIZE[0] // 2] = True
shown = half.flatten(1) / (LEVELS - 1)
shown[:, ~known.flatten()] = GREY
rows = {"given": shown}
for i in range(5):
    uniform = torch.rand(half.shape, generator=torch.Generator().manual_seed(i)).to(DEVICE)
    drawn = sample_pixels(painters["gated"], uniform, image=half.to(DEVICE), known=known.to(DEVICE))
    rows[f"drawn {i + 1}"] = drawn.cpu().flatten(1) / (LEVELS - 1)
plots.strips(rows | {"the truth": half.flatten(1) / (LEVELS - 1)}, SIZE)

# %% [markdown]
# ### Looking anywhere: PixelSNAIL
#
# A convolution sees its neighbourhood. What was drawn twenty rows ago reaches it through twenty layers, a little blurred
# by each. PixelSNAIL (Chen et al. 2018) adds another way: **causal attention**. (The next assignment is about attention
# and nothing else; here it is in one paragraph.) Each pixel $j$ that has been drawn offers a *value* $v_j$ under a *key*
# $k_j$. Pixel $i$ comes with a *query* $q_i$ and compares it with all keys by an inner product. It gets the average of
# the values, those with better keys weighing more:
#
# $$\sum_{j < i} w_{ij}\, v_j, \qquad
# w_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt d)}{\sum_{l < i} \exp(q_i \cdot k_l / \sqrt d)} ,$$
#
# with $d$ the size of keys. Any pixel before $i$ is *one* step away. Queries, keys and values are linear maps of
# features, the same at each pixel: $1 \times 1$ convolutions.
#
# Why $j < i$ and not $j \le i$? So that keys and values may be made of the image itself, and know their own pixel. And
# then the first pixel has nobody to ask: a softmax over nothing is $0/0$. It should get zeros, and its gradients must
# not become NaN, since one NaN spoils all weights at the next step.
#
# ### Exercise · `CausalAttention2d`
#
# *●●● · 40 minutes.* Flatten the pixels in raster order, attend, and fold the result up again.


# %% exercise="CausalAttention2d" points=4
class CausalAttention2d(nn.Module):
    """Every pixel looks at all pixels before it, however far away (PixelSNAIL).

    Chen et al. 2018. Pixel i, counted in raster order (row after row from the top,
    each from the left), gathers from the pixels j < i, never from itself,

        Σ_j w_ij v_j,   w_ij = softmax over j < i of (q_i · k_j / √key_dim),

    with a query q = query(x), a key k = key(memory) and a value v = value(memory) at each pixel.
    `query`, `key` and `value` are attributes of these names: 1 × 1 convolutions, `nn.Conv2d`
    with a bias.

    Args:
        x_channels: channels of the features that ask.
        memory_channels: channels of what is asked.
        key_dim: numbers in a query and in a key.
        value_dim: numbers in a value.
    """

    def __init__(
        self,
        x_channels: int,
        memory_channels: int,
        key_dim: int,
        value_dim: int,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "batch x_channels height width"],
        memory: Float[Tensor, "batch memory_channels height width"],
    ) -> Float[Tensor, "batch value_dim height width"]:
        """Let every pixel gather what it asks for.

        Args:
            x: features that ask (batch, x_channels, height, width).
            memory: what is asked (batch, memory_channels, height, width). It may know its own
                pixel, since nobody looks at his own place.

        Returns:
            What was gathered (batch, value_dim, height, width). The first pixel, which has none
            before it, gets zeros. All gradients are finite.
        """
        raise NotImplementedError


# %% [markdown]
# A task that needs a long memory: patterns of $5 \times 5$ coin tosses, each drawn **twice**, one below the other. What
# is possible is known exactly: 1 bit a pixel in the first half, and 0 in the second, for whoever can look up five rows.
# Two gated layers reach two rows. With attention the model discovers, from likelihood alone, that it can copy. Below: some
# pairs, and how surprised either model is at each of their pixels. (If a single place stays grey in the second half, the
# training was too short for it to be found.)

# %% tags=["hands-on"]


def patterns(count):
    """Random patterns, each drawn twice (count, 10, 5)."""
    return torch.randint(2, (count, 5, 5)).repeat(1, 2, 1)


SMALL = {"size": (10, 5), "levels": 2, "width": 32, "depth": 2}
copiers, unsure = {}, {}
for kind in ("gated", "snail"):
    copiers[kind] = train_painter(kind, patterns, 170, rate=3e-3, **SMALL)
    torch.manual_seed(1)
    pairs = patterns(200)
    with torch.no_grad():
        logits = copiers[kind](pairs.to(DEVICE))
    unsure[kind] = F.cross_entropy(logits, pairs.to(DEVICE), reduction="none").cpu()
    halves = [-half.sum(dim=(1, 2)) for half in unsure[kind].split(5, dim=1)]
    first, second = (bits_per_dim(half, 25).mean() for half in halves)
    print(f"{kind:6}{first:6.2f} bits a pixel in the first half, {second:.2f} in the second")


def square(images):
    """Patterns with a margin, as pictures of 10 × 10 pixels."""
    return F.pad(images.float(), (2, 3)).flatten(1)


rows = {"patterns": square(pairs[:12])}
rows |= {f"surprise, {kind}": square(nats[:12] / 1.4) for kind, nats in unsure.items()}
plots.strips(rows, (10, 10))

# %% [markdown]
# Where does it look? For three pixels of the second half, in red, the weights of all pixels before them, from the layer's
# queries and keys. Then let it complete: the first half is given, the second is drawn.

# %% tags=["hands-on"]
copier = copiers["snail"].cpu()
with torch.no_grad():
    x = copier.embedding(F.one_hot(pairs[:1], 2).movedim(3, 1).float()) + copier.place
    v, h = x, x
    for layer in copier.layers:
        v, h = layer(v, h)
    query = copier.attention.query(torch.cat([h, copier.place], dim=1))[0].flatten(1)
    key = copier.attention.key(torch.cat([x, copier.place], dim=1))[0].flatten(1)
panels = {"the pattern": pairs[0]}
for row, column in ((5, 1), (7, 3), (9, 0)):
    place = 5 * row + column
    weights = (query[:, place] @ key[:, :place] / math.sqrt(len(key))).softmax(dim=0)
    looks = F.pad(weights, (0, 50 - place)).view(10, 5)
    looks[row, column] = -1
    panels[f"row {row + 1}, column {column + 1}"] = looks
plots.matrices(panels, rows=[""] * 10, columns=[""] * 5)

# %% tags=["hands-on"]
known = (torch.arange(10) < 5)[:, None].expand(10, 5)
given = torch.where(known, pairs[:12], 0)
uniform = torch.rand(given.shape, generator=torch.Generator().manual_seed(0))
completed = {"given": square(given + GREY * ~known)}
for kind, model in copiers.items():
    drawn = sample_pixels(model.cpu(), uniform, image=given, known=known)
    completed[kind] = square(drawn)
plots.strips(completed, (10, 10))

# %% [markdown] question="order" points=3
# ### Question · In what order?
#
# (a) The chain rule holds for every order of the pixels. Why then does a PixelCNN that was trained in raster order fill in
# the *lower* half of a digit with ease, but not the upper half given the lower one? What would have to be computed? (b)
# Both of your painters define a distribution over images that is a product of conditionals. Suppose that their bits per
# dimension on test images are equal. Does this mean that their samples look equally good? Describe a model with good
# likelihood and poor samples, or the other way round. (c) Name one thing that a VAE can do with an image which none of the
# models in this notebook can, and one that is the other way round.
#
# *3 points, one for each part: (a) the sum over the unknown pixels that Bayes' rule asks for; (b) an example with its
# reason; (c) both directions.*

# %% [markdown]
# ## 4 · Sample by sample
#
# Sound is the hardest case: 16 000 numbers a second, and a melody is about seconds. Even so WaveNet (van den Oord et al.
# 2016c) draws them one at a time, and when it was new its speech sounded more natural than anything else had. It took
# three ideas.
#
# ### Few levels, well placed
#
# CD quality has 65 536 levels, too many for a softmax. But our ears hear ratios, not differences: between loud sounds
# small differences are lost, between soft ones they matter. Telephones have used this since 1972. The **μ-law** bends
# amplitudes before they are rounded, so that the levels lie dense around silence:
#
# $$f(x) = \operatorname{sign}(x)\, \frac{\ln(1 + \mu |x|)}{\ln(1 + \mu)}, \qquad -1 \le x \le 1,$$
#
# with $\mu = 255$ for 256 levels.
#
# ### Exercise · `mu_law_encode`
#
# *●● · 10 minutes.*


# %% exercise="mu_law_encode" points=2
def mu_law_encode(x: Float[Tensor, "*shape"], levels: int = 256) -> Int[Tensor, "*shape"]:
    """Quantise sound to a few levels, finely where it is quiet (ITU-T G.711).

    With μ = levels − 1, x is first bent to y = sign(x) · log(1 + μ|x|) / log(1 + μ), again
    between −1 and 1, and then becomes the level nearest to (y + 1) / 2 · μ; a half goes up
    (van den Oord et al. 2016c, section 2.2).

    Args:
        x: amplitudes (*shape), in [−1, 1]; what lies outside counts as the nearer end.
        levels: how many levels there are.

    Returns:
        Levels (*shape), int64, from 0 for −1 to levels − 1 for 1.
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `mu_law_decode`
#
# *● · 10 minutes.*


# %% exercise="mu_law_decode" points=2
def mu_law_decode(codes: Int[Tensor, "*shape"], levels: int = 256) -> Float[Tensor, "*shape"]:
    """The amplitude that a level of the μ-law stands for.

    With μ = levels − 1 and y = 2 · level / μ − 1 it is sign(y) · ((1 + μ)^|y| − 1) / μ, so that
    encoding it gives the same level again.

    Args:
        codes: levels (*shape), from 0 to levels − 1, of any integer dtype.
        levels: how many levels there are.

    Returns:
        Amplitudes (*shape), float32, from −1 for the first level to 1 for the last.
    """
    raise NotImplementedError


# %% [markdown]
# Left: the bent scale, for 16 levels. Right: how far the rounding error lies below the signal, for a tone of every
# loudness and 64 levels. Evenly spaced levels serve loud tones well and lose soft ones; with the μ-law all are served
# alike.

# %% tags=["hands-on"]
x = torch.linspace(-1, 1, 2001)
tone = torch.sin(torch.arange(4000) * 0.1)
decibels = torch.linspace(-50, 0, 51)
kept = {"evenly": [], "μ-law": []}
for level in decibels:
    sound = 10 ** (level / 20) * tone
    even = ((sound + 1) / 2 * 63).round() / 63 * 2 - 1
    for name, rounded in (("evenly", even), ("μ-law", mu_law_decode(mu_law_encode(sound, 64), 64))):
        error = (rounded - sound).square().mean()
        kept[name].append(10 * (sound.square().mean() / error).log10().item())
plots.curves(
    {
        "The bent scale": {"": (x, mu_law_encode(x, 16))},
        "What is left of a tone": {name: (decibels, values) for name, values in kept.items()},
    },
    xlabel=["amplitude", "loudness of the tone, dB"],
    ylabel=["level", "signal over error, dB"],
)

# %% [markdown]
# ### Causal convolutions with holes
#
# A convolution over time is causal if it is padded on the *left* only: the output at $t$ then sees $x_t$ and what was
# before. (As a rule one pads both sides, and looks ahead by half a kernel. A network that does so predicts the past very
# well.) To predict $x_{t+1}$ from the output at $t$, shift: you have already written `next_token_loss`.
#
# With kernels of size 2, each layer looks one step further back than the one before. To see a tenth of a second of
# sound one would need 1600 layers. Now leave holes: let the $l$-th layer look at $x_t$ and $x_{t - 2^l}$. The
# *dilations* 1, 2, 4, 8, … double with every layer, and so does what is seen: ten layers see 1024 samples, and no sample
# is left out.
#
# ### Exercise · `CausalConv1d`
#
# *●● · 20 minutes.*


# %% exercise="CausalConv1d" points=3
class CausalConv1d(nn.Module):
    """A convolution over time that never looks ahead, with holes (WaveNet).

    Van den Oord et al. 2016c, section 2.1. With k = kernel_size and d = dilation,

        y[t] = bias + Σ_i weight[:, :, i] x[t − (k − 1 − i) · d],   i = 0, …, k − 1:

    the last weight is for the present, the one before it for d steps ago, and so on. Before the
    beginning there are zeros, so that the output is as long as the input. The parameters are
    called `weight` (out_channels, in_channels, kernel_size) and `bias` (out_channels,), as in
    `nn.Conv1d`, and begin like that one's.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: how many inputs are looked at.
        dilation: how many steps they are apart.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "batch in_channels length"],
    ) -> Float[Tensor, "batch out_channels length"]:
        """Apply the layer to a batch of sequences.

        Args:
            x: sequences (batch, in_channels, length), of any length.

        Returns:
            Sequences of the same length (batch, out_channels, length).
        """
        raise NotImplementedError


# %% [markdown]
# ### Exercise · `receptive_field`
#
# *● · 5 minutes.* Each layer adds something to what the last one saw.


# %% exercise="receptive_field" points=1
def receptive_field(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    """How many inputs an output of a stack of causal convolutions depends on.

    The present one included: a layer with kernel size k and dilation d looks (k − 1) · d steps
    further back than the layer below.

    Args:
        kernel_sizes: the kernel size of each layer.
        dilations: the dilation of each layer; as many as kernel sizes.

    Returns:
        The number of time steps from the first input that counts to the present one, both
        included; 1 if there are no layers.
    """
    raise NotImplementedError


# %% [markdown]
# Measured, not believed: which inputs does the last output see, after one layer, two, three, four? Each title says what
# your formula promises.

# %% tags=["hands-on"]
torch.manual_seed(0)
panels = {}
for dilations in ((1, 1, 1, 1), (1, 2, 4, 8)):
    layers = [CausalConv1d(1 if i == 0 else 3, 3, 2, dilation=d) for i, d in enumerate(dilations)]
    stacks = [nn.Sequential(*layers[:depth]) for depth in (1, 2, 3, 4)]
    seen = torch.stack([influence(stack, torch.randn(1, 20), (19,)) > 0 for stack in stacks])
    promised = [receptive_field([2] * depth, dilations[:depth]) for depth in (1, 2, 3, 4)]
    panels[f"dilations {dilations}: sees {promised}"] = seen.float()
plots.matrices(
    panels,
    rows=["1 layer", "2 layers", "3 layers", "4 layers"],
    columns=[f"−{19 - i}" if i < 19 else "now" for i in range(20)],
)

# %% [markdown]
# ### A layer of WaveNet
#
# The third idea you know by now: gates, and shortcuts in two directions. Two causal convolutions look at the same past;
# one says what, the other how much. The result is added to what came in, for the next layer, and also goes straight to
# the output of the network, where what all layers had to say is added up:
#
# $$z = \tanh(\text{filter} * x) \odot \sigma(\text{gate} * x), \qquad
# x' = x + W_r z, \qquad s = W_s z .$$
#
# ### Exercise · `WaveNetBlock`
#
# *●● · 20 minutes.* The two convolutions are handed over ready-made.


# %% exercise="WaveNetBlock" points=3
class WaveNetBlock(nn.Module):
    """A layer of WaveNet: a gate around two causal convolutions, a shortcut, and a way out.

    Van den Oord et al. 2016c, sections 2.3 and 2.4 and figure 4:

        z = tanh(filter(x)) ⊙ σ(gate(x)),   x′ = x + residual(z),   s = skip(z).

    The four parts are attributes of these names. `residual` is `nn.Conv1d(channels, channels, 1)`
    and `skip` is `nn.Conv1d(channels, skip_channels, 1)`.

    Args:
        channels: channels of the sequence that passes through.
        skip_channels: channels of what goes straight to the output of the network.
        filter: a module, such as your `CausalConv1d(channels, channels, 2, dilation=4)`.
        gate: another one of the same kind.
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        filter: nn.Module,
        gate: nn.Module,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "batch channels length"],
    ) -> tuple[
        Float[Tensor, "batch channels length"],
        Float[Tensor, "batch skip_channels length"],
    ]:
        """Pass a batch of sequences through the layer.

        Args:
            x: sequences (batch, channels, length).

        Returns:
            The pair (x′, s): what the next layer reads (batch, channels, length), and what goes
            to the output of the network (batch, skip_channels, length).
        """
        raise NotImplementedError


# %% [markdown]
# ### A tune
#
# Our music: six notes of a pentatonic scale, each like a plucked string, a tone with two overtones that dies away, the
# next note a few steps up or down. A computer can make minutes of it in no time. At 3200 samples a second it is no
# concert, but it is sound. Listen:

# %% tags=["hands-on"]
from IPython.display import Audio, display

RATE, NOTE, LOUD = 3200, 480, 64  # samples a second, samples a note, levels of loudness
SCALE = [220 * 2 ** (steps / 12) for steps in (0, 3, 5, 7, 10, 12)]


def play(notes):
    """The sound of notes of the scale, one after the other."""
    time = torch.arange(NOTE) / RATE
    end = ((NOTE - torch.arange(NOTE)) / 30).clamp(max=1)
    sounds = []
    for note in notes:
        turns = 2 * math.pi * SCALE[note] * time
        waves = [torch.sin(k * turns) * torch.exp(-8 * k * time) / k for k in (1, 2, 3)]
        sounds.append(sum(waves) * end)
    return torch.cat(sounds) / 2


def compose(count, generator):
    """A walk up and down the scale."""
    notes = [2]
    for step in torch.randint(-2, 3, (count - 1,), generator=generator).tolist():
        notes.append(min(max(notes[-1] + step, 0), len(SCALE) - 1))
    return notes


def listen(sound):
    """A player; four times as many samples, since not every browser plays so few."""
    smooth = F.interpolate(sound.view(1, 1, -1), scale_factor=4, mode="linear")
    return Audio(smooth.flatten().numpy(), rate=4 * RATE)


music = play(compose(200, torch.Generator().manual_seed(0)))
print(f"{len(music) / RATE:.0f} seconds of music; here are the first five")
display(listen(music[: 5 * RATE]))
around = slice(NOTE - 120, NOTE + 120)
plots.curves(
    {"The end of a note, and the next": {"": music[around]}},
    x=torch.arange(len(music))[around] / RATE,
    xlabel="seconds",
    ylabel="amplitude",
)

# %% [markdown]
# Two networks, built and trained alike but for one thing. The first reads the music as it is. The second reads it with a
# little noise, and has to predict the *clean* next sample. As a predictor of music it can only be the worse for it. Wait
# for the concert.

# %% tags=["hands-on"]
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128)
WIDTH, SKIP = 24, 48


class WaveNet(nn.Module):
    """Logits of the next level after each one."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(LOUD, WIDTH)
        self.blocks = nn.ModuleList()
        for d in DILATIONS:
            pair = [CausalConv1d(WIDTH, WIDTH, 2, dilation=d) for _ in range(2)]
            self.blocks.append(WaveNetBlock(WIDTH, SKIP, *pair))
        self.first, self.second = nn.Conv1d(SKIP, SKIP, 1), nn.Conv1d(SKIP, LOUD, 1)

    def forward(self, levels):
        """Logits (batch, length, levels)."""
        x, total = self.embedding(levels).transpose(1, 2), 0
        for block in self.blocks:
            x, skip = block(x)
            total = total + skip
        return self.second(F.relu(self.first(F.relu(total)))).transpose(1, 2)


def train_wavenet(name, noise):
    """Train a WaveNet on pieces of music; what it reads is disturbed by noise."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    steps = round(230 * BUDGET)
    model = WaveNet().to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in tqdm(range(steps), desc=name):
        sound = some(music[: 180 * NOTE], 4, 800, generator)
        strength = 2 * noise * torch.rand(4, 1, generator=generator)
        disturbed = sound + strength * torch.randn(sound.shape, generator=generator)
        read, clean = (mu_law_encode(s, LOUD).to(DEVICE) for s in (disturbed, sound))
        optimizer.zero_grad()
        next_token_loss(model(read), clean).backward()
        optimizer.step()
        rates.step()
    return model


players = {"clean": train_wavenet("clean", 0.0), "noisy": train_wavenet("noisy", 0.03)}
rest = mu_law_encode(music[180 * NOTE :], LOUD)[None].to(DEVICE)
print(f"receptive field: {receptive_field([2] * len(DILATIONS), DILATIONS)} samples")
often = fit_markov_chain(mu_law_encode(music, LOUD)[None], LOUD, order=0, smoothing=1.0)
print(f"{'level frequencies':20}{-often.log()[rest.cpu()].mean() / math.log(2):6.2f} bits a sample")
for name, model in players.items():
    with torch.no_grad():
        price = next_token_loss(model(rest), rest)
    print(f"{'trained on ' + name:20}{price / math.log(2):6.2f} bits a sample")

# %% [markdown]
# To go on with a piece sample by sample, the network need not look at the whole past again each time: what each layer has
# said about earlier samples stays true. So every layer keeps what it will need, in a queue as long as its dilation, and a
# new sample costs a handful of small matrix products (*Fast WaveNet*, Le Paine et al. 2016). The next assignment does the
# same to GPT, under the name of key–value cache.

# %% tags=["hands-on"]


@torch.no_grad()
def improvise(model, start, length, seed=1):
    """Go on with a sound, sample by sample, until it has `length` levels."""
    model = model.cpu()
    uniform = torch.rand(length, generator=torch.Generator().manual_seed(seed)).tolist()
    queues = [[torch.zeros(1, WIDTH)] * d for d in DILATIONS]
    parts = []
    for block in model.blocks:
        pairs = ((block.filter, block.gate), (block.residual, block.skip))
        for pair in pairs:  # two layers as one matrix: the weights of the past, then those of now
            weight = torch.cat([layer.weight for layer in pair])
            bias = torch.cat([layer.bias for layer in pair])
            parts.append((weight.transpose(1, 2).flatten(1), bias))
    levels = start.tolist()
    for t in tqdm(range(length - 1), desc="sample by sample"):
        x, total = model.embedding.weight[levels[t]][None], 0
        for queue, taps, ways in zip(queues, parts[::2], parts[1::2], strict=True):
            past_and_now = torch.cat([queue[t % len(queue)], x], dim=1)
            queue[t % len(queue)] = x
            what, how_much = F.linear(past_and_now, *taps).chunk(2, dim=1)
            z = torch.tanh(what) * torch.sigmoid(how_much)
            more, skip = F.linear(z, *ways).split([WIDTH, SKIP], dim=1)
            x, total = x + more, total + skip
        if t + 1 >= len(start):
            hidden = F.relu(model.first(F.relu(total)[:, :, None]))
            cumulative = model.second(hidden)[0, :, 0].softmax(dim=0).cumsum(dim=0)
            levels.append(min(int((cumulative <= uniform[t]).sum()), LOUD - 1))
    return torch.tensor(levels)


opening = mu_law_encode(music[: 2 * NOTE], LOUD)
played = {name: improvise(model, opening, 2 * RATE) for name, model in players.items()}


def spectrogram(sound):
    """How loud each pitch is at each time: low pitches at the bottom."""
    window = torch.hann_window(256)
    parts = torch.stft(sound, 256, 64, window=window, return_complex=True)
    return parts.abs().clamp(min=0.03).log10()[:90].flip(0) + 1.6


for name, levels in played.items():
    print(name)
    display(listen(mu_law_decode(levels, LOUD)))
sounds = {"the music": music[: 2 * RATE]}
sounds |= {f"played by {name}": mu_law_decode(levels, LOUD) for name, levels in played.items()}
plots.matrices(
    {name: spectrogram(sound) for name, sound in sounds.items()},
    rows=[""] * 90,
    columns=[""] * 101,
    xlabel="time",
    ylabel="pitch",
)

# %% [markdown]
# Both were given the first two notes. The network that was trained on clean music predicts music almost perfectly, and
# plays noise. After a few samples of its own it has gone a little astray; the true past never goes astray, so it has
# learnt nothing about how to get back; from there it errs further. The other one has seen a disturbed past and knows what
# to do about it: it plays notes of the scale, plucks them, lets them die away, and has a rhythm, if not always a steady
# one.
#
# The likelihood does not tell the two apart; to be exact, it prefers the wrong one. *How well a model predicts and how
# well it behaves when it is left alone are two questions*, and between them lies the subject of the last question below.

# %% [markdown] question="free_running" points=4
# ### Question · Left alone
#
# In your own words: what is different between the pasts that a model reads in training and those it reads when it
# generates? Why do mistakes add up, and why is this no failure of the optimiser? Explain why training with noise helps,
# and what it costs, with the numbers that were printed above. Then carry it over to text: what corresponds to noise for a
# language model that has to go on from its own words, and why do large models suffer from the problem less than our
# WaveNet?
#
# *4 points: one for the two distributions of pasts; one for how errors come to add up although the likelihood is good;
# one for why noise helps and what it costs; one for the transfer to text.*

# %% [markdown]
# ## 5 · The family, side by side
#
# | | how the past is summed up | training | one sample of length $T$ | looks back |
# | --- | --- | --- | --- | --- |
# | Markov chain | the last $k$ values | counting | $T$ look-ups | $k$ |
# | recurrent network | a state, rewritten | $T$ steps in a row | $T$ steps | as far as the gradient |
# | PixelCNN, WaveNet | a window, by convolutions | all positions at once | $T$ passes | the receptive field |
# | PixelSNAIL, Transformer | an average, by attention | all positions at once | $T$ passes | everything |
#
# Read it from top to bottom, and it is the history of the field: each line took over when it could use more of the past
# and be trained more in parallel. The last line is the next assignment, and it is what writes when a chatbot writes. But
# the equation has not changed since section 1.
#
# Images took a different turn: pixel by pixel is too slow, and diffusion models, which refine all pixels at once, have
# replaced it. Yet the idea came back: compress an image to a few hundred discrete codes, and let an autoregressive model
# write *these* (van den Oord, Vinyals & Kavukcuoglu 2017; the first DALL·E, Ramesh et al. 2021). You will do the same to
# films.

# %% [markdown]
# ## Further reading
#
# - C. E. Shannon, *A Mathematical Theory of Communication*, Bell System Technical Journal 1948. The first forty pages hold
#   the first section of this notebook and much else. A. A. Markov, *An Example of Statistical Investigation of the Text
#   Eugene Onegin*, 1913, translated in Science in Context 19(4), 2006.
# - J. L. Elman, *Finding Structure in Time*, Cognitive Science 1990; S. Hochreiter & J. Schmidhuber, *Long Short-Term
#   Memory*, Neural Computation 1997; K. Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder*, EMNLP
#   2014, [arXiv:1406.1078](https://arxiv.org/abs/1406.1078); Y. Bengio, P. Simard & P. Frasconi, *Learning Long-Term
#   Dependencies with Gradient Descent is Difficult*, IEEE Transactions on Neural Networks 1994.
# - R. J. Williams & D. Zipser, *A Learning Algorithm for Continually Running Fully Recurrent Neural Networks*, Neural
#   Computation 1989; S. Bengio et al., *Scheduled Sampling*, NeurIPS 2015,
#   [arXiv:1506.03099](https://arxiv.org/abs/1506.03099); M. Ranzato et al., *Sequence Level Training with Recurrent Neural
#   Networks*, ICLR 2016, [arXiv:1511.06732](https://arxiv.org/abs/1511.06732), where *exposure bias* got its name.
# - A. van den Oord, N. Kalchbrenner & K. Kavukcuoglu, *Pixel Recurrent Neural Networks*, ICML 2016 (2016a),
#   [arXiv:1601.06759](https://arxiv.org/abs/1601.06759); A. van den Oord et al., *Conditional Image Generation with PixelCNN
#   Decoders*, NeurIPS 2016 (2016b), [arXiv:1606.05328](https://arxiv.org/abs/1606.05328); T. Salimans et al., *PixelCNN++*,
#   ICLR 2017, [arXiv:1701.05517](https://arxiv.org/abs/1701.05517); X. Chen et al., *PixelSNAIL*, ICML 2018,
#   [arXiv:1712.09763](https://arxiv.org/abs/1712.09763).
# - A. van den Oord et al., *WaveNet: A Generative Model for Raw Audio*, 2016 (2016c),
#   [arXiv:1609.03499](https://arxiv.org/abs/1609.03499), with sounds; T. Le Paine et al., *Fast WaveNet Generation
#   Algorithm*, 2016, [arXiv:1611.09482](https://arxiv.org/abs/1611.09482).
# - L. Theis, A. van den Oord & M. Bethge, *A Note on the Evaluation of Generative Models*, ICLR 2016,
#   [arXiv:1511.01844](https://arxiv.org/abs/1511.01844). Short, and worth more than many long papers.
# - M. Germain et al., *MADE: Masked Autoencoder for Distribution Estimation*, ICML 2015,
#   [arXiv:1502.03509](https://arxiv.org/abs/1502.03509): masks in a network without any order of its own. A. van den Oord, O.
#   Vinyals & K. Kavukcuoglu, *Neural Discrete Representation Learning*, NeurIPS 2017,
#   [arXiv:1711.00937](https://arxiv.org/abs/1711.00937); A. Ramesh et al., *Zero-Shot Text-to-Image Generation*, ICML 2021,
#   [arXiv:2102.12092](https://arxiv.org/abs/2102.12092).
# - L. Page et al., *The PageRank Citation Ranking: Bringing Order to the Web*, Stanford 1999.
