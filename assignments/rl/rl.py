# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reinforcement learning in generative AI
#
# Every generative model of this course so far has learnt by imitation. It was shown what there is, and it was rewarded,
# nat by nat, for making that likely. Imitation has a ceiling: a model of all stories writes the average story. What if
# we want a *cheerful* one, an *honest* answer, a *symmetric* image, a proof that is *right*? There may be no data to
# imitate. There is only somebody, or something, that can look at the finished work and say how good it is.
#
# Learning from such verdicts is **reinforcement learning** (RL). It is how a language model that continues texts was
# turned into an assistant that answers people (Ouyang et al. 2022), how image generators were taught what viewers prefer
# (Lee et al. 2023; Black et al. 2024), and how a network that writes melodies learnt the rules of counterpoint that its
# examples broke (Jaques et al. 2017). You will
#
# - find the best policy of a small world by pure thought, and then by trial and error;
# - tune a pretrained language model to a style, from comparisons of texts, by PPO, by a group-relative method, by picking
#   the best of *n*, and by direct preference optimisation, and compare the four;
# - watch a model cheat: collect more and more reward for texts that get worse and worse;
# - close a feedback loop around a generator of images, which bends them towards a taste.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension, time the second: `(batch, time)`, or `(batch, length)` for the tokens of a text;
# - a loss is a **sum over time**, then a **mean over the batch**;
# - a `mask` is True where a step counts, `done` is True where an episode ends with that step;
# - logarithms are natural, so log-probabilities and divergences are in *nats*;
# - functions draw no random numbers of their own: a `torch.Generator` is passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. A default such as `backup=bellman_backup` is fixed when its
# cell is run: after mending an earlier answer run the cells below it once more.
#
# Plan for four hours. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, corpus, data, plots

# %% tags=["hands-on"]
BUDGET = 1.0  # how long everything is trained; with a GPU, try 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def steps(number):
    """So many training steps, as far as the budget goes."""
    return max(2, round(number * BUDGET))


def smooth(history, width):
    """The running mean over so many rows."""
    return history.unfold(0, min(width, len(history)), 1).mean(dim=-1)


# %% [markdown]
# Here is the first world. A walker starts at the lower left. At the lower right is a prize of $+1$; between the two lies
# a row of traps, $-1$ each. Stepping on either ends the walk. Nobody shows the walker a path. And the ground is
# slippery: one step in five goes off to a side. Which way should it go?

# %% tags=["hands-on"]
MAP = (
    ".......",
    ".##....",
    ".......",
    "@-----+",
)
world = data.GridWorld(MAP, slip=0.2)
plots.grid_world(world, {"A world to walk about in": (None, None)})

# %% [markdown]
# ## 1 · Decisions, and what they are worth
#
# A **Markov decision process** (MDP) is a world in which somebody decides. At time $t$ it is in a **state** $s_t$; one
# takes an **action** $a_t$, earns a **reward** $r_t$, and the world moves to a new state with probability
# $P(s_{t+1} \mid s_t, a_t)$. *Markov* says that the state holds all that matters: where one is, not how one came there.
# A **policy** $\pi(a \mid s)$ is a way to decide, an **episode** is one walk from start to end, and what is to be
# maximised is the expected **return**, the sum of all rewards, where a reward that is $k$ steps away counts $\gamma^k$
# times:
#
# $$J(\pi) = \mathbb{E}_\pi \Big[ \sum_{t \ge 0} \gamma^t r_t \Big], \qquad 0 \le \gamma \le 1 .$$
#
# The **discount** $\gamma$ makes the walker hurry, and keeps endless sums finite.
#
# Nothing here is about grids. Let the state be a sentence so far, the action its next word, and the reward a reader's
# smile at the end; or the state a half-denoised image, the action the next denoising step, the reward a viewer's
# verdict. Every **creative decision** (the next word, the next note, the next stroke) can be read in this way, and from
# section 3 on we will. But in a small world everything can be computed and looked at, so we begin there.
#
# ### One step ahead
#
# Suppose that we knew the **value** $V(s)$ of every state: the return that can be had from there on. Then each action
# would be easy to judge. It earns its reward now, and leads to a state whose value we know:
#
# $$Q(s, a) = r(s, a) + \gamma \sum_{s'} P(s' \mid s, a)\, V(s') .$$
#
# This one-step lookahead is Bellman's (1957), and the step from values of later states to values of earlier ones is a
# *backup*. When an episode ends there is no later state and nothing more to earn. We write that into the table of
# probabilities: its rows may sum to less than 1, and what is missing is the probability that the episode ends.
#
# ### Exercise · `bellman_backup`
#
# *● · 10 minutes.* The sum runs over next states, which are the *last* dimension of `transitions`.


# %% exercise="bellman_backup" points=2
def bellman_backup(
    values: Float[Tensor, "states"],
    rewards: Float[Tensor, "states actions"],
    transitions: Float[Tensor, "states actions states"],
    gamma: float,
) -> Float[Tensor, "states actions"]:
    """What each action is worth, if what comes after it is worth what `values` say.

    Q(s, a) = r(s, a) + γ Σ P(s'|s, a) V(s'), a sum over next states s' (Sutton & Barto 2018,
    equation 4.6).

    Args:
        values: V, one value for each state (states,).
        rewards: the expected reward of each action in each state (states, actions).
        transitions: P (states, actions, states): entry [s, a, s'] is the probability to go
            from s to s' by action a. A row may sum to less than 1: what is missing is the
            probability that the episode ends there, after which nothing is earned.
        gamma: the discount factor γ, in [0, 1].

    Returns:
        Action values Q (states, actions): no maximum is taken.
    """
    raise NotImplementedError


# %% [markdown]
# ### From any values to the best
#
# A state is worth what its best action is worth, $V(s) = \max_a Q(s, a)$. That is an equation with $V$ on both sides. The
# marvel is that one can simply iterate it: start from $V = 0$, put it in on the right, take what comes out on the left,
# and again. Each sweep brings any two guesses nearer to one another by at least the factor $\gamma$, so there is only one
# place where this can end: the values of the best possible policy (Sutton & Barto 2018, section 4.4). After one sweep
# the values know what can be earned in one step, after $k$ sweeps in $k$ steps: knowledge of the prize spreads backwards
# from it, one square at a sweep.
#
# When to stop? When a sweep hardly changes anything. And the policy comes free: in each state, the action that is best by
# the values that were found.
#
# ### Exercise · `value_iteration`
#
# *●● · 15 minutes.* Use the `backup` that is passed in. Its $Q$ has a column for each action.


# %% exercise="value_iteration" points=3
def value_iteration(
    rewards: Float[Tensor, "states actions"],
    transitions: Float[Tensor, "states actions states"],
    gamma: float,
    *,
    tolerance: float = 1e-4,
    max_sweeps: int = 10_000,
    backup: Callable = bellman_backup,
) -> tuple[Float[Tensor, "states"], Int[Tensor, "states"]]:
    """The optimal values of a known decision process, and a policy that reaches them.

    Starting from V = 0, every sweep replaces all values at once by those of the best actions,
    max over a of Q(s, a), until a sweep changes no value by more than `tolerance` (Sutton &
    Barto 2018, section 4.4).

    Args:
        rewards: the expected reward of each action in each state (states, actions).
        transitions: probabilities of the next state (states, actions, states), as in
            `bellman_backup`; rows may sum to less than 1.
        gamma: the discount factor γ, in [0, 1].
        tolerance: the largest change of a value in the last sweep.
        max_sweeps: the most sweeps that are made.
        backup: your `bellman_backup`, or another function that is called like it, as
            backup(values, rewards, transitions, gamma).

    Returns:
        The pair (values, policy), each (states,): the values after the last sweep, and for
        each state the index (int64) of an action that is best by them. Where several are
        equally good, any of them.

    Raises:
        ValueError: if `max_sweeps` sweeps were made and the last still changed a value by
            more than `tolerance`.
    """
    raise NotImplementedError


# %% [markdown]
# The same world twice, on dry ground and on slippery. On each square stands what it is worth, and the arrow is the best
# action.

# %% tags=["hands-on"]
GAMMA = 0.95
solved = {}
for name, slip in (("On dry ground", 0.0), ("Slippery: three steps in ten go astray", 0.3)):
    ground = data.GridWorld(MAP, slip=slip)
    solved[name] = value_iteration(ground.rewards, ground.transitions, GAMMA)
plots.grid_world(world, solved)

# %% [markdown]
# On dry ground the best path runs along the traps: it is shortest. On slippery ground the walker climbs to the top row
# before it dares to turn right, and its values are lower everywhere. Look at the start, on the right: the arrow points
# *into the wall*. Pushing left, it cannot slip onto the trap: it waits for the slip that carries it up. Nobody programmed
# this. Optimisers find what we did not think of, which is a joy here and will be a worry in section 6.
#
# ## 2 · Learning without a map
#
# Value iteration never took a step. It had the map: all of $P$ and $r$. Nobody has that table for the English language.
# From here on the walker knows nothing but what happens to it: it acts, sees where it gets and what it earns, and must
# become better at it.
#
# ### What a step still earns
#
# Given the rewards of an episode, the **return** from step $t$ on is
#
# $$G_t = r_t + \gamma\, r_{t+1} + \gamma^2\, r_{t+2} + \dots = r_t + \gamma\, G_{t+1} .$$
#
# It looks forward only: what was earned *before* step $t$ is no merit of it. The recursion says how to compute all of
# them in one pass, from the last step to the first. (The other way, dividing cumulative sums by $\gamma^t$, fails at
# $\gamma = 0$ and loses digits everywhere else.) Often several episodes lie behind one another in one row; then nothing
# may leak across an end from the episode after it into the one before.
#
# ### Exercise · `discounted_returns`
#
# *●● · 15 minutes.* A sanity check by hand: rewards $1, 2, 3$ at $\gamma = 1$ give $6, 5, 3$.


# %% exercise="discounted_returns" points=2
def discounted_returns(
    rewards: Float[Tensor, "batch time"],
    gamma: float,
    done: Bool[Tensor, "batch time"] | None = None,
) -> Float[Tensor, "batch time"]:
    """What each step still earns: the discounted sum of the rewards from that step on.

    G[t] = r[t] + γ r[t+1] + γ² r[t+2] + …, up to the end of the episode (Sutton & Barto 2018,
    equation 3.8). A step's own reward counts in full. Both γ = 0 and γ = 1 are allowed.

    Args:
        rewards: rewards (batch, time), in each row one step after the other, at least one.
        gamma: the discount factor γ, in [0, 1].
        done: True where an episode ends with that step (batch, time): its own reward still
            counts, for it and for the steps before it; what comes later in the row belongs
            to another episode. The end of a row ends an episode, too. None: each row is one
            episode.

    Returns:
        Returns G (batch, time).
    """
    raise NotImplementedError


# %% [markdown]
# ### The policy gradient
#
# Let the policy be a network $\pi_\theta$. How does $J(\theta) = \mathbb{E}_{\tau \sim \pi_\theta}[G(\tau)]$, the
# expected return of an episode $\tau$, change with its weights? The return itself does not depend on them at all: the
# world pays, and it cannot be differentiated. What depends on them is *how likely* each episode is. Use
# $\nabla p = p\, \nabla \log p$:
#
# $$\nabla_\theta J = \nabla_\theta \sum_\tau p_\theta(\tau)\, G(\tau)
# = \sum_\tau p_\theta(\tau)\, G(\tau)\, \nabla_\theta \log p_\theta(\tau)
# = \mathbb{E}_\tau \Big[ G(\tau)\, \nabla_\theta \log p_\theta(\tau) \Big] .$$
#
# The probability of an episode is a product, of the world's probabilities and the policy's. Its logarithm is a sum, in
# which the world's terms do not depend on $\theta$ and drop out:
# $\nabla \log p_\theta(\tau) = \sum_t \nabla \log \pi_\theta(a_t \mid s_t)$. **The unknown world has vanished.** One
# improvement more: an action cannot change what was earned before it, so its term needs to be weighted only by what came
# *from then on* (the rest is zero on average, and only adds noise). This is REINFORCE (Williams 1992):
#
# $$\boxed{\ \nabla_\theta J = \mathbb{E} \Big[ \sum_t G_t\, \nabla_\theta \log \pi_\theta(a_t \mid s_t) \Big]\ }
# \qquad \mathcal{L} = -\frac1B \sum_{b=1}^{B} \sum_t G_{b,t}\, \log \pi_\theta(a_{b,t} \mid s_{b,t}) .$$
#
# In words: make what you did likelier, in proportion to what it brought. It is the score-function estimator that you met
# in the VAE's assignment as the noisy alternative to reparameterisation. Here there is no alternative. (Strictly, with a
# discount the term of step $t$ carries another factor $\gamma^t$. Nearly everybody leaves it out, and so do we: what is
# done late in an episode shall be learnt as well as what is done early.)
#
# Read the loss with care, for most first implementations get it wrong somewhere:
#
# - the returns are **numbers, not functions**: no gradient flows into them;
# - it is a **sum of products**, step by step: an average log-probability times a total return is something else;
# - episodes have different lengths, so rows are **padded**, and padding must count for nothing, whatever stands in it:
#   $0 \cdot \infty$ is not $0$;
# - $(N,)$ times $(N, 1)$ is an $N \times N$ table of everybody's actions weighted by everybody's returns. Its mean is a
#   perfectly smooth loss that teaches nothing. So insist on equal shapes.
#
# The value of this "loss" says nothing about how well things go. It can rise while the policy improves. Only its
# gradient means something.
#
# ### Exercise · `policy_gradient_loss`
#
# *●● · 20 minutes.* Take the padding out *before* you multiply.


# %% exercise="policy_gradient_loss" points=4
def policy_gradient_loss(
    log_probs: Float[Tensor, "batch time"],
    returns: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"] | None = None,
) -> Float[Tensor, ""]:
    """The loss whose gradient is minus the policy gradient: REINFORCE.

    Minus log π(a|s) times the return, summed over the steps of an episode, averaged over the
    batch (Williams 1992). Returns are constants here: no gradient flows into them.

    Args:
        log_probs: log π(a[t]|s[t]) of the actions that were taken (batch, time), in nats.
        returns: what each step earned from there on, or its advantage (batch, time).
        mask: True where there is a step, False in padding (batch, time). What stands in the
            padding, be it infinite or NaN, changes neither the loss nor its gradient, which
            is 0 there. None: no padding.

    Returns:
        A scalar, of shape (): a sum over time, then a mean over the batch, which counts each
        row once however many steps it has.

    Raises:
        ValueError: if the shapes of `log_probs`, `returns` and `mask` are not all the same:
            broadcasting would quietly make a table of them.
    """
    raise NotImplementedError


# %% [markdown]
# ### Better than expected
#
# Suppose that all returns are between 100 and 101. Then every action that was ever taken is made likelier, only some a
# little more than others, and the difference drowns in noise. What we would like to know is not whether an action was
# followed by something good, but whether it went *better than expected*. So subtract a **baseline** $b(s_t)$, what one
# expects in that state, such as the estimate of a second network, the *critic*:
#
# $$A_t = G_t - b(s_t) .$$
#
# May one? The baseline must not depend on the action. Then it changes nothing on average, because probabilities sum to 1:
#
# $$\mathbb{E}_{a \sim \pi}\big[ b(s)\, \nabla \log \pi(a \mid s) \big] = b(s) \sum_a \nabla \pi(a \mid s)
# = b(s)\, \nabla \sum_a \pi(a \mid s) = b(s)\, \nabla 1 = 0 .$$
#
# No bias, less noise. Many implementations go one step further and **normalise** the advantages of a batch, so that the
# size of rewards, which is arbitrary, does not set the size of the steps.
#
# ### Exercise · `advantages`
#
# *●● · 15 minutes.* The critic learns from a loss of its own. If the policy's gradient reached it through the
# advantages, it would learn to make the policy's loss small, which is not its business.


# %% exercise="advantages" points=3
def advantages(
    returns: Float[Tensor, "batch time"],
    baseline: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"] | None = None,
    *,
    normalize: bool = False,
) -> Float[Tensor, "batch time"]:
    """How much better each step went than expected: its return less a baseline.

    To normalise them, the mean over all steps of the batch together is taken off, and what is
    left is divided by the standard deviation (the root of the mean squared deviation) plus
    10⁻⁴, so that where all are equal they become 0.

    Args:
        returns: what each step earned from there on (batch, time).
        baseline: what was expected, such as a critic's values (batch, time).
        mask: True where there is a step, False in padding (batch, time). Padding takes no
            part in mean and standard deviation, whatever stands there. None: no padding.
        normalize: whether to do so.

    Returns:
        Advantages (batch, time), 0 in padding: constants, through which no gradient reaches
        the baseline or the returns.

    Raises:
        ValueError: if the shapes of `returns`, `baseline` and `mask` are not all the same.
    """
    raise NotImplementedError


# %% [markdown]
# ### How far to look
#
# A return is what really happened, all the way to the end: unbiased, but every later slip and stroke of luck adds to its
# noise. The opposite is to look one step ahead and to trust the critic for the rest. How surprised is it?
#
# $$\delta_t = r_t + \gamma V(s_{t+1}) - V(s_t) .$$
#
# That has little noise, but it is only as good as the critic. **Generalised advantage estimation** (Schulman et al. 2016,
# equation 16) blends all horizons between the two, each counting $\lambda$ times as much as the one before:
#
# $$A_t = \sum_{k \ge 0} (\gamma\lambda)^k\, \delta_{t+k} = \delta_t + \gamma\lambda\, A_{t+1} .$$
#
# At $\lambda = 0$ it is the surprise; at $\lambda = 1$ the sum telescopes, $V$ cancels everywhere but at its start, and
# $G_t - V(s_t)$ is left. Two kinds of ends must be told apart. Where an episode is **over**, nothing follows: there is no
# $V(s_{t+1})$. Where we merely **stopped watching**, something does follow, and the critic's last value stands for it.
#
# ### Exercise · `generalized_advantages`
#
# *●● · 15 minutes.* The same pass from back to front as in `discounted_returns`. Mind that an end cuts two things.


# %% exercise="generalized_advantages" points=3
def generalized_advantages(
    rewards: Float[Tensor, "batch time"],
    values: Float[Tensor, "batch time+1"],
    gamma: float,
    lam: float,
    done: Bool[Tensor, "batch time"] | None = None,
) -> Float[Tensor, "batch time"]:
    """Generalised advantage estimates.

    With the surprise δ[t] = r[t] + γ V[t+1] − V[t], the advantage of a step is
    A[t] = δ[t] + γλ δ[t+1] + (γλ)² δ[t+2] + …, up to the end of the episode or of the row
    (Schulman et al. 2016, equation 16). The step that ends an episode has δ[t] = r[t] − V[t].

    Args:
        rewards: rewards (batch, time), in each row one step after the other, at least one.
        values: a critic's values of the states (batch, time + 1): V[t] of the state before
            step t; the last column is the state that the last step led to.
        gamma: the discount factor γ, in [0, 1].
        lam: λ, in [0, 1].
        done: True where an episode ends with that step (batch, time): no later value and no
            later surprise counts for it or for steps before it. A row that merely stops,
            without True at its last step, goes on in its last value. None: no episode ends.

    Returns:
        Advantages (batch, time): constants, through which no gradient reaches values or
        rewards.
    """
    raise NotImplementedError


# %% [markdown]
# ### Three ways to learn to walk
#
# Now the walker learns by trial and error. Its policy is a table of logits, its critic a table of values. Ten trainings
# run side by side, each with 16 walks at every update, and the curves show their mean. The three differ in one thing
# only: what weighs the log-probabilities. The dashed line is what value iteration, with its map, says can be had.

# %% tags=["hands-on"]
RUNS, WALKS, HORIZON = 10, 16, 30
run = torch.arange(RUNS).repeat_interleave(WALKS)


def walk(policy, generator):
    """Walk by a policy (runs, states, actions): states, actions, rewards, done and mask."""
    chances = policy.detach().softmax(dim=2)
    state = torch.full((RUNS * WALKS,), world.start)
    over = torch.zeros(RUNS * WALKS, dtype=torch.bool)
    path, states = [], [state]
    for _ in range(HORIZON):
        action = torch.multinomial(chances[run, state], 1, generator=generator).squeeze(1)
        state, reward, done = world.step(state, action, generator=generator)
        path.append((action, reward.masked_fill(over, 0), done, ~over))
        states.append(state)
        over = over | done
    parts = zip(*path, strict=True)
    return torch.stack(states, dim=1), *(torch.stack(part, dim=1) for part in parts)


def learn_to_walk(name, weigh):
    """REINFORCE with a critic beside it: the mean return of each update, and the policies."""
    generator = torch.Generator().manual_seed(0)
    policy = torch.zeros(RUNS, len(world.squares), 4, requires_grad=True)
    critic = torch.zeros(RUNS, len(world.squares), requires_grad=True)
    optimizer = torch.optim.Adam([policy, critic], lr=0.1)
    history = []
    for _ in tqdm(range(steps(150)), desc=name):
        states, actions, rewards, done, mask = walk(policy, generator)
        returns = discounted_returns(rewards, GAMMA, done)
        log_probs = policy.log_softmax(dim=2)[run[:, None], states[:, :-1], actions]
        values = critic[run[:, None], states]
        weights = weigh(returns, values, rewards, done)
        critic_loss = (values[:, :-1] - returns).square().masked_fill(~mask, 0).sum(dim=1).mean()
        optimizer.zero_grad()
        (policy_gradient_loss(log_probs, weights, mask) + critic_loss).backward()
        optimizer.step()
        history.append(returns[:, 0].mean())
    return torch.stack(history), policy.detach().softmax(dim=2)


ways = {
    "returns": lambda returns, values, *_: returns,
    "baseline": lambda returns, values, *_: advantages(returns, values[:, :-1]),
    "λ = 0.9": lambda _, values, r, done: generalized_advantages(r, values, GAMMA, 0.9, done),
}
walkers = {name: learn_to_walk(name, weigh) for name, weigh in ways.items()}
best, best_policy = value_iteration(world.rewards, world.transitions, GAMMA)
plots.curves(
    {"Learning to walk": {name: smooth(history, 10) for name, (history, _) in walkers.items()}},
    xlabel="update",
    ylabel="return from the start",
    levels={"optimal": best[world.start].item()},
)

# %% [markdown]
# Without a baseline, the walker first learns the *fear* of traps, since almost all returns that are not zero are bad; and
# because a walk that goes nowhere earns 0, which beats $-1$, it likes to hide in a corner. Only where an unlikely prize
# is found does it come out. A baseline turns "0" into "better than expected" or "worse than expected", as the case may
# be, and learning is faster for it.
#
# What one of them has learnt, beside the truth. Where the walker never goes it has no opinion: it learns only what it
# meets.

# %% tags=["hands-on"]
plots.grid_world(
    world,
    {
        "Learnt by trial and error": (None, walkers["λ = 0.9"][1][0]),
        "Computed with the map": (best, best_policy),
    },
)

# %% [markdown] question="baseline" points=3
# ### Question · Nothing for something
#
# A baseline is subtracted from every return, and yet the gradient is the same on average. Explain in your own words, for
# a policy with two actions, where the subtracted part goes. Then say what would go wrong with a baseline that looks at
# the action, such as $b(s, a) = Q(s, a)$, and why the corner in which nothing happens was so attractive to the walker
# without a baseline.
#
# *3 points: one for the cancellation, by way of probabilities that sum to 1; one for the bias of $b(s, a)$; one for the
# corner, with the signs of the returns that the walker saw. Five sentences are enough.*

# %% [markdown]
# ## 3 · Writing as a decision process
#
# A language model decides, too. The **state** is the text so far, the **action** the next token, the **policy** the
# model's distribution over tokens, which is what it always was. The world could not be simpler: the chosen token is
# appended, nothing slips. An episode ends with the text. And the reward comes once, at the very end, when somebody reads
# it.
#
# Everything from section 2 applies word for word, with two differences of degree. There are thousands of actions instead
# of four. And we do not start from nothing but from a **pretrained** model, which writes well already; RL is to bend it,
# not to teach it to write.
#
# All that the policy gradient needs of a text are its log-probabilities, one for each token. There is one trap, and
# everybody falls into it once: a causal model's logits at position $t$ are its forecast of the token at $t + 1$.
#
# ### Exercise · `token_log_probs`
#
# *● · 10 minutes.* Which logits go with which tokens?


# %% exercise="token_log_probs" points=2
def token_log_probs(
    logits: Float[Tensor, "batch length vocab"],
    tokens: Int[Tensor, "batch length"],
) -> Float[Tensor, "batch length-1"]:
    """log π of each token of a text, given the tokens before it.

    A causal language model's logits at position t are about the token at t + 1. So the first
    token has no log-probability, and the last logits are not used. Finite for logits of ±10⁴.

    Args:
        logits: the model's scores of every token, at every position (batch, length, vocab).
        tokens: the token ids that the model read (batch, length), int64.

    Returns:
        Log-probabilities (batch, length − 1), in nats, through which gradients reach the
        logits: column t is about the token at t + 1.
    """
    raise NotImplementedError


# %% [markdown]
# Our writer is `tiny-gpt`: a GPT-2 of four layers, trained for this course on a small world of stories about twelve
# animals. It is loaded as any model from the Hugging Face hub would be. Its stories are bright or gloomy, as the animal's
# luck has it. Here is how it goes on for twenty tokens after *One day, … went to the lake.*

# %% tags=["hands-on"]
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

folder = data.checkpoint("tiny-gpt")
tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
pretrained = GPT2LMHeadModel.from_pretrained(folder).to(DEVICE).eval()
END, PADDING = tokenizer.eos_token_id, tokenizer.pad_token_id

openings = [f"One day, {hero.title} went to the lake." for hero in corpus.CAST]
PROMPTS = torch.tensor([[END, *tokenizer(text)["input_ids"]] for text in openings], device=DEVICE)
START, LENGTH = PROMPTS.shape[1], 20  # tokens of a prompt, and of what is written after it


@torch.no_grad()
def write(model, prompts, generator):
    """Go on from each prompt, token by token; a text that has ended is padded."""
    tokens = seen = prompts
    past, over = None, torch.zeros(len(prompts), dtype=torch.bool, device=DEVICE)
    for _ in range(LENGTH):
        every = torch.ones_like(tokens)  # padding comes last, where a causal model never looks
        output = model(seen, attention_mask=every, past_key_values=past, use_cache=True)
        past = output.past_key_values
        chances = output.logits[:, -1].softmax(dim=1).cpu()
        drawn = torch.multinomial(chances, 1, generator=generator).squeeze(1).to(DEVICE)
        seen = torch.where(over, PADDING, drawn).unsqueeze(1)
        over = over | (drawn == END)
        tokens = torch.cat([tokens, seen], dim=1)
    return tokens


def log_probs_of(model, tokens):
    """log π of each token, given those before it (batch, length − 1)."""
    return token_log_probs(model(tokens, attention_mask=torch.ones_like(tokens)).logits, tokens)


def read(tokens):
    """The words that were written after the prompt."""
    return tokenizer.batch_decode(tokens[:, START:], skip_special_tokens=True)


def written(tokens):
    """The mask (batch, length − 1) of what the model wrote, as `token_log_probs` counts."""
    mask = tokens != PADDING
    mask[:, :START] = False
    return mask[:, 1:]


def show(tokens, *columns):
    """Print texts, with numbers before them."""
    for text, *numbers in zip(read(tokens), *columns, strict=True):
        print(*(f"{number:6.2f}" for number in numbers), f" …{text}")


drafts = write(pretrained, PROMPTS, torch.Generator().manual_seed(0))
show(drafts)

# %% [markdown]
# ### A reader with a taste
#
# Now for the style. We want *bright* stories, and there shall be a reader who judges. In life that is a person, and costs
# money; here it is a rule, so that we can ask it as often as we like, which in life one cannot. The reader looks at two
# things. Are the words that tell a mood bright ones? And does the text make *sense*: which share of its word triples
# occurs in any story of this world? The **taste** is a number between 0 and 1: sense, times the brightness.
#
# Keep apart in the following: the *taste* is what we truly want. The models will never see it. They see only what can be
# learnt from a few comparisons.

# %% tags=["hands-on"]


def triples(text):
    """Every three words in a row."""
    plain = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
    return list(zip(plain, plain[1:], plain[2:], strict=False))


stories = corpus.write_stories(4000, generator=torch.Generator().manual_seed(0))
known = {triple for story in stories for triple in triples(story.text)}


def taste(tokens):
    """What the reader truly thinks of each text, from 0 to 1."""
    verdicts = []
    for text in read(tokens):
        found = [triple in known for triple in triples(text)]
        sense = sum(found) / max(1, len(found))
        verdicts.append(sense * (1 + corpus.brightness(text)) / 2)
    return torch.tensor(verdicts)


show(drafts, taste(drafts))

# %% [markdown]
# ## 4 · Learning what people want
#
# People are bad at giving marks: one reader's 7 is another's 4, and their own 4 tomorrow. They are much better at
# **comparing**. So show them two texts for the same prompt and ask which they prefer. The oldest model of such choices is
# that of Bradley & Terry (1952), also behind the ratings of chess players: each text has a hidden quality $r$, and $y$
# beats $y'$ with probability
#
# $$p(y \succ y') = \frac{e^{r(y)}}{e^{r(y)} + e^{r(y')}} = \sigma\big(r(y) - r(y')\big).$$
#
# A **reward model** is a network for $r$, trained by maximum likelihood on the comparisons:
#
# $$\mathcal{L} = -\,\mathbb{E}\big[\log \sigma\big(r(y_\text{chosen}) - r(y_\text{rejected})\big)\big] .$$
#
# Only differences are ever seen, so $r$ is determined up to a constant: a reward of 3 means nothing by itself. (Ouyang
# et al. 2022, equation 1; with two texts for each prompt their factor in front is 1.)
#
# ### Exercise · `reward_model_loss`
#
# *● · 10 minutes.* You met the stable way to write $\log \sigma$ in the VAE's decoder. Reward heads like to return shape
# $(N, 1)$; do not let them be subtracted from $(N,)$.


# %% exercise="reward_model_loss" points=3
def reward_model_loss(
    chosen: Float[Tensor, "batch"],
    rejected: Float[Tensor, "batch"],
) -> Float[Tensor, ""]:
    """What it costs a reward model to explain which of two texts people preferred.

    Minus the log-likelihood of the choices under the model of Bradley & Terry (1952), in which
    the chosen one wins with probability σ(r_chosen − r_rejected), σ being the logistic sigmoid
    (Ouyang et al. 2022, equation 1). Finite, as are its gradients, for rewards of ±10⁴.

    Args:
        chosen: the reward of the text that was preferred, for each pair (batch,).
        rejected: the reward of the other text of the same pair (batch,).

    Returns:
        A scalar, of shape (): the mean over pairs, in nats.

    Raises:
        ValueError: if the shapes differ, such as (batch,) and (batch, 1).
    """
    raise NotImplementedError


# %% [markdown]
# We collect comparisons: pairs of texts by the pretrained model, and for each pair the reader's choice, which is not free
# of chance. The reward model is the simplest that could work: **every token has a score, and a text's reward is the sum**.
# That is crude; but it learns from few comparisons, and we can read its mind.

# %% tags=["hands-on"]
PAIRS = 600
generator = torch.Generator().manual_seed(1)
first, second = (write(pretrained, PROMPTS.repeat(PAIRS // 12, 1), generator) for _ in range(2))
prefers_first = torch.sigmoid(8 * (taste(first) - taste(second)))
picked = (torch.rand(PAIRS, generator=generator) < prefers_first).to(DEVICE).unsqueeze(1)
chosen, rejected = torch.where(picked, first, second), torch.where(picked, second, first)


class RewardModel(nn.Module):
    """A score for each token, summed over what was written after the prompt."""

    def __init__(self):
        super().__init__()
        self.scores = nn.EmbeddingBag(len(tokenizer), 1, mode="sum", padding_idx=PADDING)
        nn.init.zeros_(self.scores.weight)

    def forward(self, tokens):
        """The reward of each text (batch,)."""
        return self.scores(tokens[:, START:]).squeeze(1)


torch.manual_seed(0)
judge = RewardModel().to(DEVICE)
optimizer = torch.optim.Adam(judge.parameters(), lr=0.05, weight_decay=1e-2)
for _ in range(100):
    loss = reward_model_loss(judge(chosen), judge(rejected))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
judge.requires_grad_(False)

order = judge.scores.weight[:, 0].argsort(descending=True).tolist()
print("likes:   ", *tokenizer.batch_decode([[i] for i in order[:20]]))
print("dislikes:", *tokenizer.batch_decode([[i] for i in order[:-21:-1]]))
one, other = (write(pretrained, PROMPTS.repeat(15, 1), generator) for _ in range(2))
better = taste(one) - taste(other)
agree = ((judge(one) - judge(other)).cpu() * better > 0)[better != 0].float().mean()
print(f"On new pairs it agrees with the reader's taste {agree:.0%} of the time.")

# %% [markdown]
# Bright words above, gloomy ones below, and some that are there by chance: syllables of bright words, tokens that stood in
# a few texts that happened to win. (A space before a token belongs to it: ` happy` is a word, `m` the end of one.) The
# judge is good. On texts such as these its reward and the reader's taste go together:

# %% tags=["hands-on"]
moods = ["bright" if corpus.brightness(text) > 0 else "gloomy" for text in read(one)]
verdicts = torch.stack([judge(one).cpu(), taste(one)], dim=1)
plots.scatter({"180 texts, untuned": verdicts}, moods, axis_names=("reward", "taste"))


# %% [markdown]
# ## 5 · From a reward to a policy
#
# **RLHF**, reinforcement learning from human feedback, is these two steps in a row: learn a reward from comparisons, then
# train the policy to earn it (Christiano et al. 2017; Ziegler et al. 2019; Stiennon et al. 2020; Ouyang et al. 2022).
#
# ### A leash
#
# The reward model is a guess, and it was trained on texts of the *pretrained* model. On texts that are unlike those it
# may say anything, and an optimiser finds exactly the texts on which it says too much. So the policy is kept near the
# pretrained model, now called the **reference**, by a price on the divergence from it:
#
# $$J(\theta) = \mathbb{E}_{y \sim \pi_\theta}\big[ r(y) \big] - \beta\, \mathrm{KL}\big(\pi_\theta \,\|\, \pi_\text{ref}\big),
# \qquad
# \mathrm{KL}\big(\pi_\theta \,\|\, \pi_\text{ref}\big) = \mathbb{E}_{y \sim \pi_\theta} \Big[ \sum_t
# \log \frac{\pi_\theta(y_t \mid y_{<t})}{\pi_\text{ref}(y_t \mid y_{<t})} \Big] .$$
#
# This objective has a solution that can be written down. Over *all* distributions it is best to take
#
# $$\pi^*(y) = \tfrac1Z\, \pi_\text{ref}(y)\, e^{r(y) / \beta} :$$
#
# the old writer, with every text weighted by the exponential of its reward. A large $\beta$ leaves it nearly as it was,
# a small one lets the reward have its way. Remember this formula; it comes back twice.
#
# There are two ways to collect the price. The first is to put it into the **rewards**: every token pays for its own
# log-ratio at once, and the last one earns the score on top (Ziegler et al. 2019, equation 2). Then credit goes where it
# is due: the token that strayed is the token that pays.
#
# ### Exercise · `kl_penalized_rewards`
#
# *●● · 15 minutes.* Rows hold a prompt, what was written, and padding. Find the *last True* of each row, wherever it is.


# %% exercise="kl_penalized_rewards" points=3
def kl_penalized_rewards(
    scores: Float[Tensor, "batch"],
    log_probs: Float[Tensor, "batch length"],
    ref_log_probs: Float[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"],
    beta: float,
) -> Float[Tensor, "batch length"]:
    """The reward of each token: a price for leaving the reference model, and the score last.

    Each token that the policy wrote is charged β (log π − log π_ref); the last of them earns
    the score of its text on top (Ziegler et al. 2019, equation 2; Stiennon et al. 2020).

    Args:
        scores: what the reward model says of each text (batch,).
        log_probs: log π of each token under the policy (batch, length), in nats.
        ref_log_probs: log π_ref of the same tokens under the reference (batch, length).
        mask: True where the policy wrote the token (batch, length); False for the prompt
            before and the padding after. What stands there, be it infinite or NaN, does not
            matter.
        beta: the price of one nat.

    Returns:
        Rewards (batch, length), 0 where the mask is False: constants, through which no
        gradient flows. A text of which the policy wrote no token earns nothing.
    """
    raise NotImplementedError


# %% [markdown]
# The second way is to put the price into the **loss**, as a term of its own. Then one wants an estimate of the divergence
# from the tokens that were drawn. The obvious one, $\log \pi - \log \pi_\text{ref}$, is right on average but often
# negative, which no divergence is, and noisy. Add something whose average is zero: with
# $d = \log \pi_\text{ref} - \log \pi$, the ratio $e^d$ has mean $\sum \pi\, \pi_\text{ref} / \pi = 1$, so $e^d - 1$ has
# mean 0, and
#
# $$k = e^d - 1 - d$$
#
# has the mean of $-d$, which is the KL; and it is never negative, since $e^d \ge 1 + d$ (Schulman 2020; Shao et al. 2024,
# equation 4).
#
# ### Exercise · `kl_estimate`
#
# *● · 10 minutes.*


# %% exercise="kl_estimate" points=2
def kl_estimate(
    log_probs: Float[Tensor, "batch length"],
    ref_log_probs: Float[Tensor, "batch length"],
    mask: Bool[Tensor, "batch length"] | None = None,
) -> Float[Tensor, "batch"]:
    """An estimate of KL(π ‖ π_ref) from one text, which is never negative.

    The sum over its tokens of exp(d) − d − 1 with d = log π_ref − log π (Schulman 2020; Shao et
    al. 2024, equation 4). On average over tokens drawn from π it is the divergence.

    Args:
        log_probs: log π of each token under the policy that wrote it (batch, length).
        ref_log_probs: log π_ref of the same tokens under the reference (batch, length).
        mask: True where the policy wrote the token (batch, length); elsewhere nothing counts,
            be it infinite or NaN, and gradients are 0. None: it wrote all of them.

    Returns:
        Estimates (batch,), in nats for each text: a sum over tokens, no mean over the batch.
        Gradients reach `log_probs`.
    """
    raise NotImplementedError


# %% [markdown]
# Both estimates, for two coins and a single toss. The mean over tosses, in green, is the divergence, and it is the same
# left and right. But what a single toss says on the left is mostly noise, and below zero half of the time.

# %% tags=["hands-on"]
heads, ref_heads = 0.6, torch.linspace(0.2, 0.95, 76)
coin, ref_coin = torch.tensor([[heads], [1 - heads]]), torch.stack([ref_heads, 1 - ref_heads])
estimates = torch.stack(
    [kl_estimate(coin.log(), ref.unsqueeze(1).log()) for ref in ref_coin.T]
).T  # (heads or tails, reference)
plain = coin.log() - ref_coin.log()
plots.curves(
    {
        "log π − log π_ref, toss by toss": {
            "heads": plain[0],
            "tails": plain[1],
            "mean": (coin * plain).sum(dim=0),
        },
        "your estimate, toss by toss": {
            "heads": estimates[0],
            "tails": estimates[1],
            "mean": (coin * estimates).sum(dim=0),
        },
    },
    x=ref_heads,
    xlabel="the reference's probability of heads (here 0.6)",
    ylabel="nats",
)

# %% [markdown]
# ### Small steps
#
# Texts are dear: each is written token by token. One would like to take *several* gradient steps on one batch. But after
# the first step the policy is no longer the one that wrote the texts. **Importance weights** account for that: the ratio
#
# $$\rho_t(\theta) = \frac{\pi_\theta(a_t \mid s_t)}{\pi_\text{old}(a_t \mid s_t)}
# = \exp\big(\log \pi_\theta(a_t \mid s_t) - \log \pi_\text{old}(a_t \mid s_t)\big)$$
#
# turns an average over what the old policy did into one over what the new one would do. So maximise
# $\mathbb{E}[\rho_t A_t]$. (At $\rho = 1$ its gradient is the policy gradient.) Far from the old policy the weights
# explode, and the estimate is worth nothing; so **proximal policy optimisation** (Schulman et al. 2017, equation 7) stops
# paying for going further than $1 \pm \varepsilon$:
#
# $$\mathcal{L} = -\frac1B \sum_b \sum_t \min\Big( \rho_{b,t}\, A_{b,t},\
# \mathrm{clip}(\rho_{b,t}, 1 - \varepsilon, 1 + \varepsilon)\, A_{b,t} \Big) .$$
#
# Why the minimum? A good action ($A > 0$) that has become likelier by more than $\varepsilon$ earns no more: its gradient
# is zero. A bad action that has become *likelier* is not protected by the clip: there the unclipped term is smaller, and
# it is pushed back with full force. The clip takes away the incentive to run far; it never takes away the way home.
#
# ### Exercise · `ppo_loss`
#
# *●● · 20 minutes.* Think about what is a constant, and about padding: $e^{\infty}$ times 0.


# %% exercise="ppo_loss" points=4
def ppo_loss(
    log_probs: Float[Tensor, "batch time"],
    old_log_probs: Float[Tensor, "batch time"],
    advantages: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"] | None = None,
    *,
    clip: float = 0.2,
) -> Float[Tensor, ""]:
    """The clipped surrogate loss of proximal policy optimisation.

    With the ratio ρ = π(a|s) / π_old(a|s), a step costs minus the smaller of ρ A and
    clip(ρ, 1 − ε, 1 + ε) A (Schulman et al. 2017, equation 7, with the sign turned).

    Args:
        log_probs: log π of the actions under the policy that is being trained (batch, time).
        old_log_probs: log π_old of the same actions under the policy that took them
            (batch, time): a constant.
        advantages: the advantage of each step (batch, time): a constant.
        mask: True where there is a step, False in padding (batch, time). What stands in the
            padding, be it infinite or NaN, changes neither the loss nor its gradient, which
            is 0 there. None: no padding.
        clip: ε.

    Returns:
        A scalar, of shape (): a sum over time, then a mean over the batch, which counts each
        row once however many steps it has. Gradients reach `log_probs` only.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
ratios = torch.linspace(0.4, 1.8, 141)
one = torch.ones(1, 1)
gain = {
    "A = +1": [-ppo_loss(ratio.log() * one, 0 * one, one) for ratio in ratios],
    "A = −1": [-ppo_loss(ratio.log() * one, 0 * one, -one) for ratio in ratios],
}
plots.curves(
    {"What a step gains, for ε = 0.2": gain},
    x=ratios,
    xlabel="ratio ρ = π / π_old",
    ylabel="gain (minus the loss)",
)

# %% [markdown]
# ### A baseline without a critic
#
# PPO wants a critic, in practice a second network of the size of the first. But in text there is a simpler way to know
# what to expect: write *several* texts for the same prompt, and compare them with one another. The advantage of a text
# is its reward less the mean of its **group**, in units of the group's standard deviation; all its tokens get the same
# one. Shao et al. (2024) call PPO with these advantages *group relative policy optimisation* (GRPO). It made the models
# that learn to reason from verifiable rewards affordable.
#
# The division has a price: a group in which all agree but one is blown up to full size, however small the difference.
# Liu et al. (2025) leave it out. And where all rewards of a group are equal, nothing can be learnt from it.
#
# ### Exercise · `group_relative_advantages`
#
# *● · 10 minutes.*


# %% exercise="group_relative_advantages" points=2
def group_relative_advantages(
    rewards: Float[Tensor, "prompts samples"],
    *,
    scale: bool = True,
) -> Float[Tensor, "prompts samples"]:
    """How much better each text is than the others that were written for the same prompt.

    Its reward less the mean of its group, divided by the group's standard deviation (the root
    of the mean squared deviation) plus 10⁻⁴, so that a group in which all rewards are equal
    gets zeros (Shao et al. 2024, section 4.1.2).

    Args:
        rewards: rewards (prompts, samples): a row is a group, all texts for one prompt.
        scale: whether to divide; without it only the mean is taken off (Liu et al. 2025).

    Returns:
        Advantages (prompts, samples): constants, through which no gradient flows.
    """
    raise NotImplementedError


# %% [markdown]
# ### Tuning the writer
#
# All parts are there. Each round: draw four prompts, write eight texts for each, let the reward model judge them, take two
# steps of PPO's loss on them. In between stands what differs:
#
# - **PPO** puts the price of the divergence into the rewards, asks a critic (one linear layer on the model's last hidden
#   states) for values, and lets `generalized_advantages` look ahead;
# - **group-relative** compares the eight texts of a prompt with one another, and puts the price into the loss.
#
# And a third run is let off the leash: group-relative with $\beta = 0$.

# %% tags=["hands-on"]
GROUPS, SIZE_OF_GROUP = 4, 8


def distance(log_probs, ref_log_probs, mask):
    """How far texts are from the reference, in nats: the mean log-ratio, unbiased."""
    return (log_probs - ref_log_probs).masked_fill(~mask, 0).sum(dim=1).mean().item()


def tune(name, *, beta, lr, rounds, critic=False):
    """RLHF; returns the tuned model, and (distance, reward, taste) of each round's texts."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(3)
    model, value = copy.deepcopy(pretrained), nn.Linear(128, 1).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    value_optimizer = torch.optim.Adam(value.parameters(), lr=1e-2)
    history = []
    for _ in tqdm(range(steps(rounds)), desc=name):
        rows = torch.randperm(len(PROMPTS), generator=generator)[:GROUPS]
        tokens = write(model, PROMPTS[rows].repeat_interleave(SIZE_OF_GROUP, dim=0), generator)
        mask, scores = written(tokens), judge(tokens)
        with torch.no_grad():
            ref, old = log_probs_of(pretrained, tokens), log_probs_of(model, tokens)
        away = distance(old, ref, mask)
        history.append((away, scores.mean().item(), taste(tokens).mean().item()))

        if critic:
            rewards = kl_penalized_rewards(scores, old, ref, mask, beta)
            returns = discounted_returns(rewards, 1.0)
            with torch.no_grad():
                every = torch.ones_like(tokens)
                hidden = model.transformer(tokens, attention_mask=every).last_hidden_state
            over = mask & ~F.pad(mask[:, 1:], (0, 1))  # the last token of each text
            weights = generalized_advantages(rewards, value(hidden).squeeze(2), 1.0, 0.95, over)
            weights = advantages(weights, torch.zeros_like(weights), mask, normalize=True)
            for _ in range(5):
                surprise = (value(hidden).squeeze(2)[:, :-1] - returns).masked_fill(~mask, 0)
                value_optimizer.zero_grad()
                surprise.square().sum(dim=1).mean().backward()
                value_optimizer.step()
        else:
            compared = group_relative_advantages(scores.view(GROUPS, SIZE_OF_GROUP))
            weights = compared.view(-1, 1).expand(mask.shape)

        for _ in range(2):
            log_probs = log_probs_of(model, tokens)
            loss = ppo_loss(log_probs, old, weights, mask)
            if not critic:
                loss = loss + beta * kl_estimate(log_probs, ref, mask).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model, torch.tensor(history)


# %% tags=["hands-on"]
tuned = {
    "PPO": tune("PPO", beta=1.0, lr=2e-4, rounds=20, critic=True),
    "groups": tune("groups", beta=0.6, lr=1e-4, rounds=20),
    "no leash": tune("no leash", beta=0.0, lr=1e-4, rounds=25),
}
averages = {name: smooth(history, 5) for name, (_, history) in tuned.items()}
plots.curves(
    {
        "The judge is pleased": {name: history[:, 1] for name, history in averages.items()},
        "The writer moves away": {name: history[:, 0] for name, history in averages.items()},
    },
    xlabel="round",
    ylabel=("reward", "distance from the reference, nats"),
)

# %% tags=["hands-on"]
for name in ("PPO", "groups"):
    print(f"{name}: taste and text")
    texts = write(tuned[name][0], PROMPTS, torch.Generator().manual_seed(4))[:6]
    show(texts, taste(texts))

# %% [markdown]
# From the same prompts, the stories are bright now, also those about the fox and the wolf, who have little luck in the
# corpus. It took 640 texts, and no more than two or three nats. Compare with the formula: to keep only the bright half of
# all stories, and to leave everything else as it is, costs $\ln 2 \approx 0.69$ nats. What was paid beyond that was
# spent on the judge's fancies.
#
# The third run has earned by far the most. Before you go on, guess what it writes.
#
# ## 6 · The judge is not the reader
#
# Reward is not what we want. Taste is, and the reward model has only guessed at it. Here are both, for every stage of the
# three trainings, over the distance from the reference, drawn as its square root, which behaves like a length. This is
# *the* picture of RLHF (Gao et al. 2023).

# %% tags=["hands-on"]
away = {name: history[:, 0].clamp(min=0).sqrt() for name, history in averages.items()}
plots.curves(
    {
        "What the judge says": {name: (away[name], averages[name][:, 1]) for name in away},
        "What the reader thinks": {name: (away[name], averages[name][:, 2]) for name in away},
    },
    xlabel="√ of the distance from the reference, √nats",
    ylabel=("reward", "taste"),
    legend=True,
)

# %% tags=["hands-on"]
print("reward, taste and text of the run without a leash")
texts = write(tuned["no leash"][0], PROMPTS, torch.Generator().manual_seed(4))[:8]
show(texts, judge(texts), taste(texts))

# %% [markdown]
# **Reward hacking.** At first the taste rises with the reward, as it should. Then the two part: the reward goes on rising,
# and the taste falls below where it began. What is written at the end is no story. It repeats a syllable or two that the
# judge has learnt to like, since the judge *adds up*, and no text that it was trained on contained that syllable again and
# again. It was right about most texts of the kind that it had seen. The optimiser went where it had seen none.
#
# The two runs on the leash stay where the third passed by at its best. Nothing in the reward told them to stop there.
#
# *When a measure becomes a target, it ceases to be a good measure*: economists call it Goodhart's law. Larger reward models
# are fooled later and more subtly (by flattery, by length, by confident tone), but they are fooled. What helps: a leash, as
# above; stopping early; a better judge; new comparisons of what the *tuned* model writes, which is what RLHF in practice
# does in rounds; and to look at the texts. The loss curves alone would have told a story of success.

# %% [markdown] question="reward_hacking" points=4
# ### Question · A success story
#
# A team tunes a chatbot by RLHF. The reward doubles within a day. Readers say that the answers have become long,
# flattering, and oddly alike. Explain what has happened, with the terms reward model, reference and distribution. Which
# curve of this notebook would have warned them, and where in that curve should they have stopped? Then explain, from
# the formula $\pi^* \propto \pi_\text{ref}\, e^{r / \beta}$, why a leash helps, and why no $\beta$ makes up for a
# judge that is wrong about texts that the reference writes every day.
#
# *4 points: one for the diagnosis; one for the curve and the place; one for what the formula says about texts that are
# unlikely under the reference; one for what it says about likely ones.*

# %% [markdown]
# ## 7 · Getting there without RL
#
# ### The best of *n*
#
# The simplest way to more reward leaves the model as it is: write $n$ texts, let the reward model choose (Stiennon et al.
# 2020; Nakano et al. 2021). It is hard to beat, and it tells what reward there is to be had. Its price is paid every time
# anew, when texts are written, not once in training. How far from the reference does it go? Whatever the reward,
#
# $$\mathrm{KL}\big(\pi_{\text{best of } n} \,\|\, \pi_\text{ref}\big) \le \log n - \frac{n - 1}{n}$$
#
# (Beirami et al. 2024), and hardly less if no single text is likely and no two are equally good. Even the best of 1000 is
# less than 6 nats away: it *cannot* go far, since it only chooses among what the model writes anyway.
#
# ### Exercise · `best_of_n`
#
# *●● · 15 minutes.* Each prompt keeps its own best text. Call `sample` with all prompts, $n$ times.


# %% exercise="best_of_n" points=2
def best_of_n(
    prompts: Int[Tensor, "batch prompt"],
    sample: Callable,
    reward: Callable,
    n: int,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "batch length"], Float[Tensor, "batch"]]:
    """For each prompt the text with the highest reward among n that were drawn.

    Stiennon et al. 2020; Nakano et al. 2021. The model stays as it is.

    Args:
        prompts: token ids of the prompts (batch, prompt).
        sample: sample(prompts, generator) draws one text for each prompt: token ids (batch,
            length), with the same length at every call. It is called n times, with all
            prompts.
        reward: reward(tokens) gives the reward of each text (batch,).
        n: how many texts are drawn for each prompt, at least 1.
        generator: handed to `sample`, the only source of randomness.

    Returns:
        The pair (tokens, rewards): for each prompt its best text (batch, length), and that
        text's reward (batch,). Among equals, the one that was drawn first.

    Raises:
        ValueError: if `n` is less than 1.
    """
    raise NotImplementedError


# %% tags=["hands-on"]


def judged(tokens):
    """Mean reward and mean taste of some texts."""
    return judge(tokens).mean().item(), taste(tokens).mean().item()


def draft(prompts, generator):
    """One text of the pretrained model for each prompt."""
    return write(pretrained, prompts, generator)


counts = (1, 2, 4, 8, 16)
best_texts = {}
for n in tqdm(counts, desc="best of n"):
    generator = torch.Generator().manual_seed(n)
    best_texts[n], _ = best_of_n(PROMPTS.repeat(4, 1), draft, judge, n, generator=generator)
print("the best of 16: taste and text")
show(best_texts[16][:6], taste(best_texts[16][:6]))

# %% [markdown]
# ### Straight from the preferences
#
# RLHF learns a reward from preferences, then a policy from the reward. Rafailov et al. (2023) saw that the detour can be
# cut. Take the formula for the best policy, $\pi^*(y) = \frac1Z \pi_\text{ref}(y)\, e^{r(y) / \beta}$, and solve it for
# the reward:
#
# $$r(y) = \beta \log \frac{\pi^*(y)}{\pi_\text{ref}(y)} + \beta \log Z .$$
#
# **Every policy is the optimum of some reward**, and this is the one. $Z$ depends on the prompt alone, so it cancels in
# any difference of two texts for the same prompt; and the model of Bradley and Terry contains nothing but differences. Put
# it in, and the reward model's loss has become a loss of the policy, *direct preference optimisation*:
#
# $$\mathcal{L} = -\,\mathbb{E} \log \sigma \Big( \beta \log \frac{\pi_\theta(y_c)}{\pi_\text{ref}(y_c)}
# - \beta \log \frac{\pi_\theta(y_r)}{\pi_\text{ref}(y_r)} \Big),$$
#
# with $y_c$ chosen and $y_r$ rejected. No reward model, no sampling, no critic: a classification loss on pairs. It is
# $\log 2$ at the start, when policy and reference are the same. Here $\log \pi(y)$ is that of the whole text, the sum over
# its tokens.
#
# ### Exercise · `dpo_loss`
#
# *●● · 15 minutes.* Two differences of differences; watch the signs.


# %% exercise="dpo_loss" points=4
def dpo_loss(
    chosen: Float[Tensor, "batch"],
    rejected: Float[Tensor, "batch"],
    ref_chosen: Float[Tensor, "batch"],
    ref_rejected: Float[Tensor, "batch"],
    beta: float = 0.1,
) -> Float[Tensor, ""]:
    """Direct preference optimisation: learn from preferences without a reward model.

    Minus log σ of β times [log(π / π_ref) of the chosen text less that of the rejected one],
    σ being the logistic sigmoid (Rafailov et al. 2023, equation 7). Finite, as are its
    gradients, for log-probabilities down to −10⁴.

    Args:
        chosen: log π of the preferred text of each pair (batch,), summed over its tokens.
        rejected: log π of the other text of the same pair (batch,).
        ref_chosen: log π_ref of the preferred text under the reference (batch,).
        ref_rejected: log π_ref of the other one (batch,).
        beta: how dear it is to leave the reference.

    Returns:
        A scalar, of shape (): the mean over pairs, in nats. Gradients reach `chosen` and
        `rejected`; the reference is a constant.
    """
    raise NotImplementedError


# %% [markdown]
# We train on the same 600 comparisons that the judge was trained on, once with a large $\beta$ and once with a small one.

# %% tags=["hands-on"]


def text_log_probs(model, tokens):
    """log π of what was written, summed over its tokens (batch,)."""
    return log_probs_of(model, tokens).masked_fill(~written(tokens), 0).sum(dim=1)


def prefer(name, beta):
    """Direct preference optimisation; returns the tuned model."""
    generator = torch.Generator().manual_seed(5)
    model = copy.deepcopy(pretrained)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-5)
    for _ in tqdm(range(steps(30)), desc=name):
        rows = torch.randint(PAIRS, (20,), generator=generator)
        pair = torch.cat([chosen[rows], rejected[rows]])
        with torch.no_grad():
            ref = text_log_probs(pretrained, pair)
        loss = dpo_loss(*text_log_probs(model, pair).chunk(2), *ref.chunk(2), beta=beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


models = {name: model for name, (model, _) in tuned.items() if name != "no leash"}
for beta in (1.0, 0.1):
    name = f"DPO, β = {beta:g}"
    models[name] = prefer(name, beta)
    with torch.no_grad():
        pairs = torch.cat([chosen[:60], rejected[:60]])
        change = text_log_probs(models[name], pairs) - text_log_probs(pretrained, pairs)
        moved = change.view(2, 60).mean(dim=1)
    print(f"{name}: log π of chosen texts {moved[0]:+.1f} nats, of rejected ones {moved[1]:+.1f}")
    texts = write(models[name], PROMPTS, torch.Generator().manual_seed(4))[:4]
    show(texts, taste(texts))

# %% [markdown]
# All of them in one plane: how far each went from the reference, where all lines begin, and what it got for that. To the
# upper left is where one wants to be.

# %% tags=["hands-on"]
divergence = [math.sqrt(math.log(n) - (n - 1) / n) for n in counts]
rewards, tastes = zip(*(judged(best_texts[n]) for n in counts), strict=True)
places = {"best of 1 to 16": ((divergence, rewards), (divergence, tastes))}
for name, model in models.items():
    texts = write(model, PROMPTS.repeat(8, 1), torch.Generator().manual_seed(6))
    with torch.no_grad():
        mask = written(texts)
        away = distance(log_probs_of(model, texts), log_probs_of(pretrained, texts), mask)
    reward, liking = judged(texts)
    root = math.sqrt(max(0.0, away))
    way = [0.0, root]
    places[name] = ((way, [rewards[0], reward]), (way, [tastes[0], liking]))
plots.curves(
    {
        "What the judge says": {name: place[0] for name, place in places.items()},
        "What the reader thinks": {name: place[1] for name, place in places.items()},
    },
    xlabel="√ of the distance from the reference, √nats",
    ylabel=("reward", "taste"),
)

# %% [markdown]
# The best of $n$ sets the standard: within two nats of the reference, hardly anything is better, and it needs no training
# at all, only patience at every use. PPO and the group-relative method come nearly as far and then write at the price of a
# single text. DPO with a large $\beta$ follows closely, with neither judge nor sampling. With a small $\beta$ it overshoots,
# much as the run without a leash did. The numbers above say how: *both* texts of a pair have become less likely, only the
# rejected one more so. That satisfies the loss, which looks at nothing but the difference, and does not ask where the
# probability goes instead. There is no reward model to be hacked, and yet it is hacked.

# %% [markdown]
# ## 8 · A feedback loop for images
#
# The same can be done to a generator of images. Text-to-image models are tuned to what viewers prefer (Lee et al. 2023;
# Black et al. 2024), and the simplest method that works is also the oldest: **reward-weighted regression** (Peters &
# Schaal 2007). Let the model generate, let somebody judge, and train the model *on its own images*, by its usual loss, but
# let each image count by how good it is:
#
# $$\mathcal{L} = \sum_n w_n\, \ell_\theta(x_n), \qquad w_n = \frac{e^{r_n / \tau}}{\sum_m e^{r_m / \tau}} .$$
#
# You know these weights. If images come from $\pi_\text{ref}$, then weighting them by $e^{r / \tau}$ is to train on
# samples of $\pi^*$ with $\beta = \tau$: this loss *distils* the formula of section 5 into the network. It needs nothing
# of the generator but a loss for each image, and nothing of the reward but its values: be they a network's, or a person's
# who clicks.
#
# Then do it again, with new images by the new model. Every round sharpens a little more.
#
# ### Exercise · `reward_weighted_loss`
#
# *●● · 10 minutes.* Rewards may be large: $e^{10^4}$ is no number.


# %% exercise="reward_weighted_loss" points=3
def reward_weighted_loss(
    losses: Float[Tensor, "batch"],
    rewards: Float[Tensor, "batch"],
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """A generator's loss in which well rewarded samples weigh more.

    The sum of w·loss over the batch, where the weights w are proportional to
    exp(reward / temperature) and add up to 1 (Peters & Schaal 2007; Lee et al. 2023). Finite
    for rewards of ±10⁴.

    Args:
        losses: the generator's own training loss of each sample (batch,).
        rewards: how good each sample is (batch,): constants, into which no gradient flows.
        temperature: how picky the weights are: towards 0 only the best sample counts, towards
            infinity all count alike. Positive.

    Returns:
        A scalar, of shape (): a weighted mean over the batch, the plain mean if all rewards
        are equal.

    Raises:
        ValueError: if `temperature` is not positive.
    """
    raise NotImplementedError


# %% [markdown]
# Our painter is a small diffusion model, in the form of flow matching: it starts from noise and follows a velocity
# field $v_\theta(x_t, t)$ to an image, along straight lines $x_t = (1 - t)\, \varepsilon + t\, x$, on which the velocity
# is $x - \varepsilon$ (Lipman et al. 2023). Its loss for one image is the squared error of that velocity. First it learns
# to paint digits, by imitation.

# %% tags=["hands-on"]
digits = data.load_digits()
SIZE = digits.height, digits.width
images = digits.train[:10_000].to(DEVICE)


class Painter(nn.Module):
    """A velocity field from noise to images."""

    def __init__(self, pixels, width=256):
        super().__init__()
        layers = [nn.Linear(pixels + 8, width), nn.SiLU()]
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.SiLU()]
        self.net = nn.Sequential(*layers, nn.Linear(width, pixels))
        self.straight = nn.Linear(pixels + 8, pixels)

    def forward(self, x, t):
        """The velocity at the points x (n, pixels) at the times t (n, 1)."""
        angles = math.pi * t * torch.tensor([0.5, 1.0, 2.0, 4.0], device=x.device)
        inputs = torch.cat([x, angles.sin(), angles.cos()], dim=1)
        return self.net(inputs) + self.straight(inputs)

    def losses(self, x, generator):
        """The loss of each image (n,), at a random time."""
        x = 2 * x - 1
        t = torch.rand(len(x), 1, generator=generator).to(x)
        noise = torch.randn(x.shape, generator=generator).to(x)
        return (self((1 - t) * noise + t * x, t) - (x - noise)).square().mean(dim=1)

    @torch.no_grad()
    def paint(self, count, generator, steps=20):
        """New images (count, pixels), from noise, by steps of Euler's method."""
        x = torch.randn(count, images.shape[1], generator=generator).to(DEVICE)
        for k in range(steps):
            x = x + self(x, torch.full((count, 1), k / steps, device=DEVICE)) / steps
        return ((x + 1) / 2).clamp(0, 1)


torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
painter = Painter(images.shape[1]).to(DEVICE)
optimizer = torch.optim.Adam(painter.parameters(), lr=4e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps(2000))
for _ in tqdm(range(steps(2000)), desc="learning to paint"):
    rows = torch.randint(len(images), (128,), generator=generator)
    loss = painter.losses(images[rows], generator).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
painted = painter.paint(14, generator)
plots.strips({"real": images[:14], "painted": painted}, SIZE, title="Learnt by imitation")

# %% [markdown]
# Now a taste that no data set of digits has: **symmetry**. The reward of an image is the share of its ink that stays where
# it is when the image is seen in a mirror. Each round paints 500 images, judges them, and trains on them. Twice: once on
# the painter's own images alone; and once with an *anchor*, the usual loss on real images beside, which plays the part of
# the KL leash.

# %% tags=["hands-on"]


def symmetry(x):
    """The share of each image's ink that stays where it is in a mirror, from 0 to 1."""
    mirrored = x.view(-1, *SIZE).flip(2).flatten(1)
    return 1 - (x - mirrored).abs().sum(dim=1) / (x + mirrored).sum(dim=1).clamp(min=1e-6)


def feedback_loop(name, anchor, rounds=8):
    """Paint, judge, learn, again and again: samples, mean reward and variety of each round."""
    generator = torch.Generator().manual_seed(2)
    model = copy.deepcopy(painter)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    shown, rewards, variety = {}, [], []
    for number in tqdm(range(rounds + 1), desc=name):
        own = model.paint(500, generator)
        reward = symmetry(own)
        shown[f"round {number}"] = model.paint(14, torch.Generator().manual_seed(3))
        rewards.append(reward.mean().item())
        variety.append(own.var(dim=0).sum().sqrt().item())
        for _ in range(steps(50)):
            rows = torch.randint(len(own), (128,), generator=generator)
            loss = reward_weighted_loss(model.losses(own[rows], generator), reward[rows], 0.05)
            if anchor:
                rows = torch.randint(len(images), (128,), generator=generator)
                loss = loss + anchor * model.losses(images[rows], generator).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return shown, rewards, variety


loops = {"alone": feedback_loop("alone", 0.0), "anchored": feedback_loop("anchored", 0.4)}
plots.curves(
    {
        "What is rewarded": {name: rewards for name, (_, rewards, _) in loops.items()},
        "What is not": {name: variety for name, (_, _, variety) in loops.items()},
    },
    x=range(9),
    xlabel="round",
    ylabel=("symmetry", "variety (standard deviation)"),
)

# %% tags=["hands-on"]
rows = {"before": loops["alone"][0]["round 0"]}
for name, (shown, _, _) in loops.items():
    rows |= {f"{name}, {key}": shown[key] for key in ("round 2", "round 8")}
plots.strips(rows, SIZE, title="The same noise in each column, after more and more feedback")

# %% [markdown]
# The painter has never seen a loss that says "symmetric", only its own images with weights. And yet the digits turn. What
# began as a seven or a nine ends as a zero or an eight, or in a grey fog: fog is symmetric, too, and the reward does not
# mind. The right panel above shows what nobody asked about. Every round trains on a narrower world than the last, and
# **variety** falls. A model that is trained on what models made loses what is rare first (Shumailov et al. 2024 call it
# *model collapse*; here a taste drives it as well). The anchor keeps a part of the variety, and gives up a part of the
# reward: the old bargain of $\beta$ again.

# %% [markdown] question="whose_taste" points=4
# ### Question · Whose taste?
#
# A studio wants to tune its image generator for children's books, by the feedback of viewers. Describe the loop that you
# would build: who compares what, how the reward is learnt, which of this notebook's methods tunes the generator, and
# what keeps it in place. Then name two things that could quietly go wrong because of *whose* judgements and *which*
# texts or images were compared, one of them visible in the pictures of this section, and say what you would measure to
# notice each before the first book is printed.
#
# *4 points: one for a complete loop; one for a reasoned choice of method and leash; one for each danger with a measure
# that would show it.*

# %% [markdown]
# ## Further reading
#
# - R. S. Sutton & A. G. Barto, *Reinforcement Learning: An Introduction*, 2nd edition 2018,
#   [incompleteideas.net](http://incompleteideas.net/book/the-book-2nd.html). Chapters 3, 4 and 13 are sections 1 and 2.
# - R. J. Williams, *Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning*, Machine
#   Learning 1992: REINFORCE. R. Bellman, *Dynamic Programming*, 1957.
# - J. Schulman et al., *High-Dimensional Continuous Control Using Generalized Advantage Estimation*, ICLR 2016,
#   [arXiv:1506.02438](https://arxiv.org/abs/1506.02438); *Proximal Policy Optimization Algorithms*, 2017,
#   [arXiv:1707.06347](https://arxiv.org/abs/1707.06347); *Approximating KL Divergence*, 2020,
#   [joschu.net](http://joschu.net/blog/kl-approx.html).
# - P. Christiano et al., *Deep Reinforcement Learning from Human Preferences*, NeurIPS 2017,
#   [arXiv:1706.03741](https://arxiv.org/abs/1706.03741); D. M. Ziegler et al., *Fine-Tuning Language Models from Human
#   Preferences*, 2019, [arXiv:1909.08593](https://arxiv.org/abs/1909.08593); N. Stiennon et al., *Learning to Summarize
#   from Human Feedback*, NeurIPS 2020, [arXiv:2009.01325](https://arxiv.org/abs/2009.01325); L. Ouyang et al., *Training
#   Language Models to Follow Instructions with Human Feedback*, NeurIPS 2022,
#   [arXiv:2203.02155](https://arxiv.org/abs/2203.02155).
# - R. A. Bradley & M. E. Terry, *Rank Analysis of Incomplete Block Designs*, Biometrika 1952.
# - R. Rafailov et al., *Direct Preference Optimization: Your Language Model is Secretly a Reward Model*, NeurIPS 2023,
#   [arXiv:2305.18290](https://arxiv.org/abs/2305.18290).
# - Z. Shao et al., *DeepSeekMath*, 2024, [arXiv:2402.03300](https://arxiv.org/abs/2402.03300): group-relative policy
#   optimisation. Z. Liu et al., *Understanding R1-Zero-Like Training: A Critical Perspective*, 2025,
#   [arXiv:2503.20783](https://arxiv.org/abs/2503.20783): what its divisions do.
# - L. Gao, J. Schulman & J. Hilton, *Scaling Laws for Reward Model Overoptimization*, ICML 2023,
#   [arXiv:2210.10760](https://arxiv.org/abs/2210.10760): the picture of section 6, at scale. A. Beirami et al.,
#   *Theoretical Guarantees on the Best-of-n Alignment Policy*, 2024,
#   [arXiv:2401.01879](https://arxiv.org/abs/2401.01879); R. Nakano et al., *WebGPT*, 2021,
#   [arXiv:2112.09332](https://arxiv.org/abs/2112.09332).
# - N. Jaques et al., *Sequence Tutor: Conservative Fine-Tuning of Sequence Generation Models with KL-control*, ICML 2017,
#   [arXiv:1611.02796](https://arxiv.org/abs/1611.02796): melodies, and the KL penalty before it had its name.
# - J. Peters & S. Schaal, *Reinforcement Learning by Reward-Weighted Regression for Operational Space Control*, ICML 2007;
#   K. Lee et al., *Aligning Text-to-Image Models using Human Feedback*, 2023,
#   [arXiv:2302.12192](https://arxiv.org/abs/2302.12192); K. Black et al., *Training Diffusion Models with Reinforcement
#   Learning*, ICLR 2024, [arXiv:2305.13301](https://arxiv.org/abs/2305.13301); Y. Lipman et al., *Flow Matching for
#   Generative Modeling*, ICLR 2023, [arXiv:2210.02747](https://arxiv.org/abs/2210.02747).
# - I. Shumailov et al., *AI Models Collapse When Trained on Recursively Generated Data*, Nature 2024.
