# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""Hidden properties of `rl`."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, kl_divergence

from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_independent,
    assert_shape,
    exercise,
    fail,
    generators,
    required,
    sizes,
    tensors,
    weight,
)
from solutions import rl as reference

DISCOUNTS = st.sampled_from([0.5, 0.9, 1.0, 0.0])
JUNK = st.sampled_from([math.nan, 100.0, math.inf, -math.inf])


def masks(*shape: int) -> st.SearchStrategy[Tensor]:
    """Masks of that shape. The first entry is True: of what is all padding, nobody needs to find a gradient."""
    first = torch.zeros(shape, dtype=torch.bool)
    first.view(-1)[0] = True
    return tensors(shape, dtype=torch.bool, low=0, high=1).map(first.logical_or)


def log_probabilities(*shape: int) -> st.SearchStrategy[Tensor]:
    """Logarithms of probabilities, none of them 0."""
    return tensors(shape, low=-3, high=0)


def assert_constant(result: Tensor, what: str) -> None:
    """Check that no gradient flows through a result."""
    if isinstance(result, Tensor) and result.requires_grad:
        fail(f"{what} carries a graph, but no gradient may flow through it.", "Hint: it is a constant: look at detach.")


def assert_graph(result: Tensor, what: str, on_what: str) -> None:
    """Check that a gradient can flow from a result."""
    if not isinstance(result, Tensor) or not result.requires_grad:
        fail(f"No gradient flows from {what} to {on_what}.")


def gradient_of(result: Tensor, of: Tensor, *, what: str, of_what: str) -> Tensor:
    """The gradient of a scalar; fails if there is none."""
    assert_shape(result, (), what=what)
    assert_depends(result, of, what=what, on_what=of_what)
    (gradient,) = torch.autograd.grad(result, of, retain_graph=True)
    return gradient


# ---- a known world


@dataclass(frozen=True)
class World:
    """A Markov decision process: rewards (states, actions), transitions (states, actions, states), a discount factor."""

    rewards: Tensor
    transitions: Tensor
    gamma: float

    def backup(self, values: list[float]) -> list[list[float]]:
        """Q, one number at a time: what is earned at once, and what is earned later, by each next state."""
        return [
            [
                reward + self.gamma * sum(p * value for p, value in zip(row, values, strict=True))
                for reward, row in zip(rewards, rows, strict=True)
            ]
            for rewards, rows in zip(self.rewards.tolist(), self.transitions.tolist(), strict=True)
        ]

    def values_of(self, policy: tuple[int, ...]) -> Tensor:
        """The exact values of a policy: the solution of V = r + γ P V."""
        states = torch.arange(len(policy))
        chosen = torch.tensor(policy)
        p, r = self.transitions.double()[states, chosen], self.rewards.double()[states, chosen]
        return torch.linalg.solve(torch.eye(len(policy), dtype=torch.float64) - self.gamma * p, r)

    def optimum(self) -> Tensor:
        """The best values that any policy has, by trying every policy."""
        actions, states = range(self.rewards.shape[1]), len(self.rewards)
        return torch.stack([self.values_of(policy) for policy in itertools.product(actions, repeat=states)]).amax(0)


@st.composite
def worlds(draw: st.DrawFn, discounts: tuple[float, ...] = (0.5, 0.8, 0.0), ends: bool = True) -> World:
    """Small worlds, in which an episode may end with any step."""
    states, actions = draw(st.integers(2, 3)), draw(st.integers(2, 3))
    weights = draw(tensors((states, actions, states), low=0, high=1)) + 1 / 16
    total = weights.sum(dim=2, keepdim=True) + (draw(st.sampled_from([0.5, 0.0])) if ends else 0.0)
    return World(draw(tensors((states, actions))), weights / total, draw(st.sampled_from(discounts)))


@exercise("bellman_backup")
class TestBellmanBackup:
    @required
    @given(world=worlds(), data=st.data())
    @settings(max_examples=10)
    def test_equals_the_sum_over_next_states(self, student: Any, world: World, data: st.DataObject) -> None:
        """It is the reward at once and γ times the mean value of the next state, here added up state by state."""
        values = data.draw(tensors(len(world.rewards)), label="values")
        result = student.bellman_backup(values, world.rewards, world.transitions, world.gamma)
        assert_close(result, torch.tensor(world.backup(values.tolist())), what="Q")

    @given(world=worlds((0.5, 0.9)))
    @settings(max_examples=5)
    def test_a_richer_future(self, student: Any, world: World) -> None:
        """If every state were worth 1 more, an action would be worth γ more, times the probability to go on."""
        values = torch.zeros(len(world.rewards))
        more = student.bellman_backup(values + 1, world.rewards, world.transitions, world.gamma)
        less = student.bellman_backup(values, world.rewards, world.transitions, world.gamma)
        expected = world.gamma * world.transitions.sum(dim=2)
        assert_close(
            more - less, expected, what="the difference", hint="nothing is earned after the end of an episode."
        )

    @given(world=worlds((0.5, 0.9)))
    @settings(max_examples=5)
    def test_looks_at_next_states(self, student: Any, world: World) -> None:
        """Only the value of the state that a step leads to matters: transitions are summed over their last dimension."""
        for state in range(len(world.rewards)):
            values = torch.eye(len(world.rewards))[state]
            result = student.bellman_backup(values, torch.zeros_like(world.rewards), world.transitions, world.gamma)
            expected = world.gamma * world.transitions[:, :, state]
            assert_close(result, expected, what="Q", hint="entry [s, a, s'] is the probability to go from s to s'.")


FIND = {"tolerance": 1e-6, "backup": reference.bellman_backup}
CALLS = worlds(ends=False).map(
    lambda world: ((world.rewards, world.transitions, world.gamma), {"backup": reference.bellman_backup})
)


@exercise("value_iteration", contract=CALLS)
class TestValueIteration:
    @required
    @given(world=worlds())
    @settings(max_examples=8)
    def test_finds_the_best_values(self, student: Any, world: World) -> None:
        """The values are the highest that any policy has, here by solving for every policy there is."""
        values, _ = student.value_iteration(world.rewards, world.transitions, world.gamma, **FIND)
        assert_close(values, world.optimum().float(), tolerance=1e-4, what="the values")

    @required
    @given(world=worlds())
    @settings(max_examples=8)
    def test_finds_a_best_policy(self, student: Any, world: World) -> None:
        """Who follows the policy earns the highest values, from every state."""
        _, policy = student.value_iteration(world.rewards, world.transitions, world.gamma, **FIND)
        assert_shape(policy, (len(world.rewards),), what="the policy")
        assert_between(policy, 0, world.rewards.shape[1] - 1, what="an action of the policy")
        earned = world.values_of(tuple(map(int, policy.tolist())))
        assert_close(earned, world.optimum(), tolerance=1e-4, what="what the policy earns")
        # Now 1, or later γ · 8 = 4: who counts only what comes at once takes the 1.
        for later in (0, 1):
            rewards, transitions = torch.tensor([[1.0, 1.0], [8.0, 8.0]]), torch.zeros(2, 2, 2)
            rewards[0, later], transitions[0, later, 1] = 0.0, 1.0
            _, policy = student.value_iteration(rewards, transitions, 0.5, **FIND)
            assert_close(policy[0], torch.tensor(later), what="the action that waits for the larger reward")

    @weight(4)
    @given(world=worlds((0.8, 0.5)), sweeps=st.integers(1, 3))
    @settings(max_examples=6)
    def test_sweeps_replace_all_values_at_once(self, student: Any, world: World, sweeps: int) -> None:
        """Each sweep replaces all values at once, beginning with V = 0, until none changes by more than the tolerance."""
        history = [[0.0] * len(world.rewards)]
        for _ in range(sweeps + 1):
            history.append([max(row) for row in world.backup(history[-1])])
        changes = [max(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in itertools.pairwise(history)]
        tolerance = 1.01 * changes[sweeps] + 1e-3
        expected = next(values for values, change in zip(history[1:], changes, strict=True) if change <= tolerance)
        values, _ = student.value_iteration(
            world.rewards, world.transitions, world.gamma, tolerance=tolerance, backup=reference.bellman_backup
        )
        assert_close(values, torch.tensor(expected), what="the values", hint="old values are used for the whole sweep.")

    @given(world=worlds(), state=st.integers(0, 1), action=st.integers(0, 1))
    @settings(max_examples=4)
    def test_asks_the_backup(self, student: Any, world: World, state: int, action: int) -> None:
        """It asks the `backup` that it is given, with the values of the sweep before."""
        rewards = torch.zeros_like(world.rewards)
        rewards[state, action] = 8.0

        def halving(values: Tensor, given: Tensor, transitions: Tensor, gamma: float) -> Tensor:
            return given + 0.5 * values.unsqueeze(1)

        values, policy = student.value_iteration(rewards, world.transitions, world.gamma, backup=halving)
        expected = torch.zeros(len(rewards))
        expected[state] = 16.0
        assert_close(values, expected, tolerance=1e-3, what="the values")
        assert_close(policy[state], torch.tensor(action), what="the best action")

    @weight(4)
    @given(reward=st.sampled_from([1.0, 4.0]), enough=st.booleans())
    @settings(max_examples=4)
    def test_gives_up(self, student: Any, reward: float, enough: bool) -> None:
        """A ValueError says that the last sweep that was allowed still changed a value; one sweep more, and all is well."""
        rewards, stay = torch.full((1, 2), reward), torch.ones(1, 2, 1)
        # The sweeps change the value by reward · ½ⁿ, n = 0, 1, …: the fifth is the first to change it by a 16th or less.
        options = {"tolerance": 1.01 * reward / 16, "backup": reference.bellman_backup}
        if enough:
            values, _ = student.value_iteration(rewards, stay, 0.5, max_sweeps=5, **options)
            assert_close(values, torch.tensor([reward * 31 / 16]), what="the values after five sweeps")
        else:
            with pytest.raises(ValueError):
                student.value_iteration(rewards, stay, 0.5, max_sweeps=4, **options)


# ---- episodes


@dataclass(frozen=True)
class Episodes:
    """Rewards (batch, time), and where episodes end; a critic's values (batch, time + 1)."""

    rewards: Tensor
    done: Tensor
    values: Tensor

    def returns(self, gamma: float) -> Tensor:
        """Returns by their definition, step by step: what comes later in the same episode, discounted."""
        rewards = self.rewards.tolist()
        return torch.tensor(
            [
                [sum(gamma ** (later - t) * row[later] for later in self.rest(b, t)) for t in range(len(row))]
                for b, row in enumerate(rewards)
            ]
        )

    def rest(self, row: int, start: int) -> range:
        """The steps from `start` to the end of its episode."""
        ends = [t for t in range(start, self.done.shape[1]) if self.done[row, t]]
        return range(start, (ends[0] if ends else self.done.shape[1] - 1) + 1)

    def surprise(self, row: int, t: int, gamma: float) -> float:
        """r[t] + γ V[t+1] − V[t]; at the end of an episode nothing follows."""
        following = 0.0 if self.done[row, t] else self.values[row, t + 1].item()
        return self.rewards[row, t].item() + gamma * following - self.values[row, t].item()

    def advantages(self, gamma: float, lam: float) -> Tensor:
        """Generalised advantages by their definition."""
        batch, time = self.rewards.shape
        return torch.tensor(
            [
                [
                    sum((gamma * lam) ** (later - t) * self.surprise(b, later, gamma) for later in self.rest(b, t))
                    for t in range(time)
                ]
                for b in range(batch)
            ]
        )


@st.composite
def episodes(draw: st.DrawFn) -> Episodes:
    """Rows of one or more episodes."""
    batch, time = draw(sizes(1, 3)), draw(sizes(1, 5))
    rewards, done = draw(tensors((batch, time))), draw(masks(batch, time))
    return Episodes(rewards, done, draw(tensors((batch, time + 1))))


@exercise("discounted_returns")
class TestDiscountedReturns:
    @required
    @given(rewards=tensors((2, 4)), gamma=DISCOUNTS)
    @settings(max_examples=8)
    def test_adds_up_what_is_still_to_come(self, student: Any, rewards: Tensor, gamma: float) -> None:
        """It is the sum of the rewards from each step on, each discounted by how many steps away it is."""
        alone = Episodes(rewards, torch.zeros(2, 4, dtype=torch.bool), torch.zeros(2, 5))
        assert_close(student.discounted_returns(rewards, gamma), alone.returns(gamma), what="the returns")

    @weight(3)
    @given(drawn=episodes(), gamma=DISCOUNTS)
    @settings(max_examples=12)
    def test_episode_by_episode(self, student: Any, drawn: Episodes, gamma: float) -> None:
        """Several episodes in a row: what comes after the end of one belongs to another, its last reward is its own."""
        result = student.discounted_returns(drawn.rewards, gamma, drawn.done)
        hint = "the reward of the step that ends an episode still counts for it."
        assert_close(result, drawn.returns(gamma), what="the returns", hint=hint)

    @given(rewards=tensors((2, 4)))
    @settings(max_examples=4)
    def test_extremes(self, student: Any, rewards: Tensor) -> None:
        """At γ = 0 the returns are the rewards, at γ = 1 the first one is their sum."""
        assert_close(student.discounted_returns(rewards, 0.0), rewards, what="the returns at γ = 0")
        first = student.discounted_returns(rewards, 1.0)[:, 0]
        assert_close(first, rewards.sum(dim=1), what="the first return at γ = 1")

    @given(rewards=tensors((1, 4)), gamma=st.sampled_from([0.5, 0.9]))
    @settings(max_examples=4)
    def test_bellman(self, student: Any, rewards: Tensor, gamma: float) -> None:
        """Each return is the reward of its step and γ times the next return; the last is the last reward."""
        result = student.discounted_returns(rewards, gamma)
        assert_shape(result, (1, 4), what="the returns")
        following = torch.cat([result[:, 1:], torch.zeros(1, 1)], dim=1)
        assert_close(result, rewards + gamma * following, what="the returns")


@exercise("generalized_advantages")
class TestGeneralizedAdvantages:
    @required
    @given(drawn=episodes(), gamma=DISCOUNTS, lam=st.sampled_from([0.5, 0.9, 1.0, 0.0]))
    @settings(max_examples=12)
    def test_adds_up_the_surprises(self, student: Any, drawn: Episodes, gamma: float, lam: float) -> None:
        """It is the sum of all surprises from each step to the end of its episode, discounted by γλ a step: a constant."""
        rewards, values = drawn.rewards.clone().requires_grad_(), drawn.values.clone().requires_grad_()
        result = student.generalized_advantages(rewards, values, gamma, lam, drawn.done)
        assert_constant(result, "The result")
        assert_close(result, drawn.advantages(gamma, lam), what="the advantages")

    @given(rewards=tensors((2, 4)), values=tensors((2, 5)), gamma=st.sampled_from([0.5, 0.9]))
    @settings(max_examples=6)
    def test_no_end(self, student: Any, rewards: Tensor, values: Tensor, gamma: float) -> None:
        """Without an end the last value stands for what is still to come: at λ = 1 return and last value, less the value."""
        time = rewards.shape[1]
        returns = [
            sum(gamma ** (s - t) * rewards[:, s] for s in range(t, time)) + gamma ** (time - t) * values[:, -1]
            for t in range(time)
        ]
        expected = torch.stack(returns, dim=1) - values[:, :-1]
        assert_close(student.generalized_advantages(rewards, values, gamma, 1.0), expected, what="the advantages")

    @given(values=tensors((2, 4)), gamma=DISCOUNTS, lam=st.sampled_from([0.5, 1.0]))
    @settings(max_examples=5)
    def test_a_critic_that_is_right(self, student: Any, values: Tensor, gamma: float, lam: float) -> None:
        """A critic that foresees every reward is never surprised; 1 more for one step surprises it there, by 1."""
        rewards = values[:, :-1] - gamma * values[:, 1:]
        result = student.generalized_advantages(rewards, values, gamma, lam)
        assert_close(result, torch.zeros(2, 3), what="the advantages")
        more = student.generalized_advantages(rewards + torch.tensor([0.0, 0.0, 1.0]), values, gamma, lam)
        assert_close(more[:, 2], torch.ones(2), what="the last advantage")

    @given(rewards=tensors((1, 3)), values=tensors((1, 4)))
    @settings(max_examples=4)
    def test_one_step_ahead(self, student: Any, rewards: Tensor, values: Tensor) -> None:
        """At λ = 0 the step itself counts, and none after it: at γ = 1 reward and next value, less the value before."""
        result = student.generalized_advantages(rewards, values, 1.0, 0.0)
        assert_close(result, rewards + values[:, 1:] - values[:, :-1], what="the advantages")


# ---- the policy gradient


@dataclass(frozen=True)
class Coins:
    """Three choices between two actions, each with its own probability; every sequence has a reward of its own.

    The smallest world in which the policy gradient can be had in two ways: from all eight episodes, weighted by how
    probable they are, and by differentiating the expected reward.
    """

    logits: Tensor
    prizes: Tensor

    def log_probs(self, logits: Tensor) -> Tensor:
        """Of each action in each of the eight episodes (8, 3)."""
        actions = torch.tensor(list(itertools.product([0, 1], repeat=3)))
        return torch.where(actions == 1, logits, -logits).sigmoid().log()

    def ascent(self) -> Tensor:
        """The gradient of the expected reward with respect to the logits."""
        logits = self.logits.clone().requires_grad_()
        expected = (self.log_probs(logits).sum(dim=1).exp() * self.prizes).sum()
        (gradient,) = torch.autograd.grad(expected, logits)
        return gradient

    def weighted(self) -> Tensor:
        """Returns (8, 3) that count in a mean over the episodes as much as the episodes are probable."""
        probabilities = self.log_probs(self.logits).sum(dim=1).exp()
        return (8 * probabilities * self.prizes).unsqueeze(1).expand(8, 3)


COINS = st.builds(Coins, tensors(3, low=-1, high=1), tensors(8))


@exercise("policy_gradient_loss")
class TestPolicyGradientLoss:
    @required
    @given(coins=COINS)
    @settings(max_examples=8)
    def test_descends_as_the_expected_reward_ascends(self, student: Any, coins: Coins) -> None:
        """Averaged over all episodes of a tiny world, its gradient is minus that of the expected reward, found exactly."""
        logits, returns = coins.logits.clone().requires_grad_(), coins.weighted().clone().requires_grad_()
        loss = student.policy_gradient_loss(coins.log_probs(logits), returns)
        assert_shape(loss, (), what="the loss")
        assert_graph(loss, "the loss", "the log-probabilities")
        assert_independent(loss, returns, what="the loss", of_what="the returns, which are constants")
        (gradient,) = torch.autograd.grad(loss, logits)
        assert_close(-gradient, coins.ascent(), what="minus the gradient of the loss")

    @required
    @given(log_probs=log_probabilities(3, 4), returns=tensors((3, 4)))
    @settings(max_examples=8)
    def test_sum_over_time_mean_over_the_batch(self, student: Any, log_probs: Tensor, returns: Tensor) -> None:
        """It is minus log-probability times return, summed over the steps of an episode and averaged over episodes."""
        pairs = zip(log_probs.flatten().tolist(), returns.flatten().tolist(), strict=True)
        expected = torch.tensor(-sum(a * b for a, b in pairs) / 3)
        assert_close(student.policy_gradient_loss(log_probs, returns), expected, what="the loss")

    @weight(3)
    @given(log_probs=log_probabilities(3, 4), returns=tensors((3, 4)), mask=masks(3, 4), junk=JUNK)
    @settings(max_examples=10)
    def test_padding(self, student: Any, log_probs: Tensor, returns: Tensor, mask: Tensor, junk: float) -> None:
        """What stands in the padding, infinite or NaN, counts for nothing, and each row counts once however short it is."""
        expected = -(log_probs * returns * mask).sum() / 3
        spoilt = log_probs.masked_fill(~mask, junk).requires_grad_()
        loss = student.policy_gradient_loss(spoilt, returns.masked_fill(~mask, junk), mask)
        assert_close(loss.detach(), expected, what="the loss")
        assert_graph(loss, "the loss", "the log-probabilities")
        (gradient,) = torch.autograd.grad(loss, spoilt)
        assert_close(gradient, -returns * mask / 3, what="its gradient with respect to the log-probabilities")

    @weight(3)
    @given(rows=st.integers(2, 4), short=st.sampled_from(["column", "row", "mask"]))
    @settings(max_examples=4)
    def test_shapes_that_differ(self, student: Any, rows: int, short: str) -> None:
        """Returns or a mask of another shape are a ValueError: broadcasting would make a table of them."""
        shape = (1, rows) if short == "row" else (rows, 1)
        returns = torch.zeros(rows, rows) if short == "mask" else torch.zeros(shape)
        mask = torch.ones(shape, dtype=torch.bool) if short == "mask" else None
        with pytest.raises(ValueError):
            student.policy_gradient_loss(torch.zeros(rows, rows), returns, mask)


def standardised(values: list[float]) -> list[float]:
    """Values less their mean, divided by their standard deviation and a little."""
    mean, deviation = statistics.fmean(values), statistics.pstdev(values)
    return [(value - mean) / (deviation + 1e-4) for value in values]


@exercise("advantages")
class TestAdvantages:
    @required
    @given(returns=tensors((2, 3)), baseline=tensors((2, 3)))
    @settings(max_examples=8)
    def test_more_than_expected(self, student: Any, returns: Tensor, baseline: Tensor) -> None:
        """It is the return less the baseline, positive where more came than was expected: a constant."""
        result = student.advantages(returns.clone().requires_grad_(), baseline.clone().requires_grad_())
        assert_constant(result, "The result")
        assert_close(result, returns - baseline, what="the advantages")

    @weight(3)
    @given(returns=tensors((2, 4)), baseline=tensors((2, 4)), mask=masks(2, 4))
    @settings(max_examples=12)
    def test_normalised(self, student: Any, returns: Tensor, baseline: Tensor, mask: Tensor) -> None:
        """Normalised, those that count have mean 0 and standard deviation 1, over all steps of the batch together."""
        expected = torch.zeros(2, 4)
        if mask.any():
            expected[mask] = torch.tensor(standardised((returns - baseline)[mask].tolist()))
        result = student.advantages(returns, baseline, mask, normalize=True)
        assert_close(result, expected, tolerance=1e-3, what="the advantages")

    @weight(2)
    @given(returns=tensors((2, 3)), mask=masks(2, 3), junk=JUNK, normalize=st.booleans())
    @settings(max_examples=10)
    def test_padding(self, student: Any, returns: Tensor, mask: Tensor, junk: float, normalize: bool) -> None:
        """Padding has advantage 0, and what stands there, infinite or NaN, changes nothing."""
        baseline = torch.full((2, 3), 0.5)
        clean = student.advantages(returns, baseline, mask, normalize=normalize)
        assert_close(clean.masked_fill(mask, 0.0), torch.zeros(2, 3), what="the advantages in padding")
        spoilt = student.advantages(returns.masked_fill(~mask, junk), baseline, mask, normalize=normalize)
        assert_close(spoilt, clean, what="the advantages with other padding")

    @given(value=st.sampled_from([2.0, -1.0]), steps=sizes(1, 3))
    @settings(max_examples=4)
    def test_all_equal(self, student: Any, value: float, steps: int) -> None:
        """Where all are equal, or there is only one, the normalised advantages are 0; tiny differences stay small."""
        result = student.advantages(torch.full((1, steps), value), torch.zeros(1, steps), normalize=True)
        assert_close(result, torch.zeros(1, steps), tolerance=1e-3, what="the advantages")
        tiny = student.advantages(torch.tensor([[1e-4, -1e-4]]), torch.zeros(1, 2), normalize=True)
        assert_close(tiny, torch.tensor([[0.5, -0.5]]), tolerance=1e-3, what="the advantages of ±10⁻⁴")

    @given(rows=st.integers(2, 4), which=st.sampled_from(["baseline", "mask"]))
    @settings(max_examples=4)
    def test_shapes_that_differ(self, student: Any, rows: int, which: str) -> None:
        """A baseline or a mask of another shape is a ValueError."""
        square, column = torch.zeros(rows, rows), torch.zeros(rows, 1)
        mask = torch.ones(rows, 1, dtype=torch.bool) if which == "mask" else None
        with pytest.raises(ValueError):
            student.advantages(square, column if which == "baseline" else square, mask)


def surrogate(ratio: float, advantage: float, clip: float) -> float:
    """What a step earns, by cases: a good action no more than up to 1 + ε, a bad one no less than from 1 − ε."""
    if advantage >= 0:
        return min(ratio, 1 + clip) * advantage
    return max(ratio, 1 - clip) * advantage


@exercise("ppo_loss")
class TestPPOLoss:
    @required
    @given(log_probs=log_probabilities(3, 2), advantages=tensors((3, 2)))
    @settings(max_examples=6)
    def test_starts_as_the_policy_gradient(self, student: Any, log_probs: Tensor, advantages: Tensor) -> None:
        """Before the policy has moved, its gradient is the policy gradient: minus the advantage of each step."""
        advantages = advantages.masked_fill(advantages == 0, 1.0)
        moving = log_probs.clone().requires_grad_()
        loss = student.ppo_loss(moving, log_probs, advantages)
        assert_close(loss.detach(), -advantages.sum() / 3, what="the loss")
        gradient = gradient_of(loss, moving, what="the loss", of_what="the log-probabilities")
        assert_close(gradient, -advantages / 3, what="its gradient with respect to the log-probabilities")

    @weight(3)
    @given(moved=tensors((3, 4), low=-1, high=1), advantages=tensors((3, 4)), clip=st.sampled_from([0.2, 0.5, 0.1]))
    @settings(max_examples=10)
    def test_case_by_case(self, student: Any, moved: Tensor, advantages: Tensor, clip: float) -> None:
        """It is what each step costs, by cases: a good action gains up to a ratio of 1 + ε, a bad one down to 1 − ε."""
        old = torch.full((3, 4), -2.0)
        pairs = zip(moved.flatten().tolist(), advantages.flatten().tolist(), strict=True)
        expected = torch.tensor(-sum(surrogate(math.exp(d), a, clip) for d, a in pairs) / 3)
        assert_close(student.ppo_loss(old + moved, old, advantages, clip=clip), expected, what="the loss")

    @given(sign=st.sampled_from([1.0, -1.0]), size=st.sampled_from([0.5, 1.0]))
    @settings(max_examples=4)
    def test_stops_where_it_has_gone_far_enough(self, student: Any, sign: float, size: float) -> None:
        """Where the ratio has left the interval in the direction that pays, the gradient is 0; in the other it is not."""
        old = torch.full((1, 2), -2.0)
        log_probs = (old + torch.tensor([[size, -size]]) * sign).requires_grad_()
        loss = student.ppo_loss(log_probs, old, torch.full((1, 2), sign))
        gradient = gradient_of(loss, log_probs, what="the loss", of_what="the log-probabilities")
        expected = torch.tensor([[0.0, -sign * math.exp(-sign * size)]])
        assert_close(gradient, expected, what="the gradient with respect to the log-probabilities")

    @given(log_probs=log_probabilities(2, 3), advantages=tensors((2, 3)), mask=masks(2, 3), junk=JUNK)
    @settings(max_examples=8)
    def test_padding(self, student: Any, log_probs: Tensor, advantages: Tensor, mask: Tensor, junk: float) -> None:
        """What stands in the padding, infinite or NaN, counts for nothing, and each row counts once however short it is."""
        spoilt = log_probs.masked_fill(~mask, junk).requires_grad_()
        old = log_probs.masked_fill(~mask, -junk)
        loss = student.ppo_loss(spoilt, old, advantages.masked_fill(~mask, junk), mask)
        assert_close(loss.detach(), -(advantages * mask).sum() / 2, what="the loss")
        assert_graph(loss, "the loss", "the log-probabilities")
        (gradient,) = torch.autograd.grad(loss, spoilt)
        assert_close(gradient, -advantages * mask / 2, what="its gradient with respect to the log-probabilities")

    @given(log_probs=log_probabilities(2, 3))
    @settings(max_examples=3)
    def test_constants(self, student: Any, log_probs: Tensor) -> None:
        """Gradients reach the policy that is being trained, not the one that acted, nor the advantages."""
        moving, old = log_probs.clone().requires_grad_(), log_probs.clone().requires_grad_()
        advantages = torch.ones(2, 3, requires_grad=True)
        loss = student.ppo_loss(moving, old, advantages)
        assert_depends(loss, moving, what="the loss", on_what="the log-probabilities")
        assert_independent(loss, old, what="the loss", of_what="the old log-probabilities")
        assert_independent(loss, advantages, what="the loss", of_what="the advantages")


# ---- texts


def texts(vocab: int, batch: int = 2, length: int = 3) -> st.SearchStrategy[Tensor]:
    """Token ids (batch, length)."""
    return tensors((batch, length), dtype=torch.int64, low=0, high=vocab - 1)


@exercise(
    "token_log_probs",
    contract=arguments(
        reference.token_log_probs,
        length=sizes(2, 5),
        tokens=lambda dims: texts(dims["vocab"], dims["batch"], dims["length"]),
    ),
)
class TestTokenLogProbs:
    @required
    @given(logits=tensors((2, 3, 5)), tokens=texts(5))
    @settings(max_examples=8)
    def test_equals_torchs_categorical(self, student: Any, logits: Tensor, tokens: Tensor) -> None:
        """It is what torch's categorical distribution says of each token, by the logits of the position before it."""
        columns = [Categorical(logits=logits[:, t]).log_prob(tokens[:, t + 1]) for t in range(2)]
        assert_close(student.token_log_probs(logits, tokens), torch.stack(columns, dim=1), what="the log-probabilities")

    @given(logits=tensors((1, 2, 4)))
    @settings(max_examples=5)
    def test_probabilities_of_all_next_tokens_add_up_to_one(self, student: Any, logits: Tensor) -> None:
        """Over all tokens that could come next the probabilities add up to 1."""
        tokens = torch.stack([torch.zeros(4, dtype=torch.int64), torch.arange(4)], dim=1)
        result = student.token_log_probs(logits.expand(4, 2, 4), tokens)
        assert_shape(result, (4, 1), what="the log-probabilities")
        assert_close(result.exp().sum(), torch.tensor(1.0), what="the sum of the probabilities")

    @required
    @given(logits=tensors((2, 3, 4), requires_grad=True), tokens=texts(4))
    @settings(max_examples=4)
    def test_position_by_position(self, student: Any, logits: Tensor, tokens: Tensor) -> None:
        """Each column depends on the logits of one position, in its own text; the last logits are not used."""
        result = student.token_log_probs(logits, tokens)
        assert_shape(result, (2, 2), what="the log-probabilities")
        assert_depends(result, logits, what="the log-probabilities", on_what="the logits")
        for t in range(2):
            (gradient,) = torch.autograd.grad(result[0, t], logits, retain_graph=True)
            touched = [[bool(gradient[b, s].any()) for s in range(3)] for b in range(2)]
            expected = [[s == t for s in range(3)], [False] * 3]
            if touched != expected:
                fail(
                    f"Column {t} of text 0 should depend on the logits of position {t} of that text, and on no others."
                )

    @weight(3)
    @given(tokens=texts(3), size=st.sampled_from([1e4, -1e4]))
    @settings(max_examples=4)
    def test_survives_large_logits(self, student: Any, tokens: Tensor, size: float) -> None:
        """It is right and finite, and its gradients are finite, for logits of ±10⁴."""
        logits = torch.zeros(2, 3, 3)
        logits[:, :, 0] = size
        logits.requires_grad_()
        result = student.token_log_probs(logits, tokens)
        # Either the first token has all of the probability, or the other two share it.
        of_first, of_others = (0.0, -1e4) if size > 0 else (-1e4 - math.log(2), -math.log(2))
        expected = torch.where(tokens[:, 1:] == 0, of_first, of_others)
        assert_close(result.detach(), expected, what="the log-probabilities")
        (gradient,) = torch.autograd.grad(result.sum(), logits)
        assert_finite(gradient, what="the gradient with respect to the logits")


@exercise("reward_model_loss")
class TestRewardModelLoss:
    @required
    @given(chosen=tensors(4), rejected=tensors(4))
    @settings(max_examples=8)
    def test_equals_the_likelihood_of_the_choices(self, student: Any, chosen: Tensor, rejected: Tensor) -> None:
        """It is minus the mean log-probability of the choices, each won with probability eᵃ / (eᵃ + eᵇ)."""
        pairs = zip(chosen.tolist(), rejected.tolist(), strict=True)
        expected = -statistics.fmean(math.log(math.exp(a) / (math.exp(a) + math.exp(b))) for a, b in pairs)
        assert_close(student.reward_model_loss(chosen, rejected), torch.tensor(expected), what="the loss")

    @required
    @given(chosen=tensors(3, requires_grad=True), rejected=tensors(3, requires_grad=True))
    @settings(max_examples=5)
    def test_gradients(self, student: Any, chosen: Tensor, rejected: Tensor) -> None:
        """A pair that surprises it pulls most: the gradient is the probability that the model gave to the other outcome."""
        loss = student.reward_model_loss(chosen, rejected)
        assert_shape(loss, (), what="the loss")
        surprise = Bernoulli(logits=(rejected - chosen).detach()).probs / 3
        for rewards, sign, name in ((chosen, -1, "chosen"), (rejected, 1, "rejected")):
            gradient = gradient_of(loss, rewards, what="the loss", of_what=f"the {name} rewards")
            assert_close(gradient, sign * surprise, what=f"the gradient with respect to the {name} rewards")

    @weight(3)
    @given(right=st.booleans(), size=st.sampled_from([1e4, 3e3]))
    @settings(max_examples=4)
    def test_survives_large_rewards(self, student: Any, right: bool, size: float) -> None:
        """It is finite, as are its gradients, for rewards of ±10⁴: right choices cost nothing, wrong ones the difference."""
        reward = size if right else -size
        chosen = torch.tensor([reward], requires_grad=True)
        loss = student.reward_model_loss(chosen, torch.tensor([-reward]))
        assert_close(loss.detach(), torch.tensor(0.0 if right else 2 * size), what="the loss")
        (gradient,) = torch.autograd.grad(loss, chosen)
        assert_close(gradient, torch.tensor([0.0 if right else -1.0]), what="the gradient")

    @weight(3)
    @given(pairs=st.integers(2, 5))
    @settings(max_examples=3)
    def test_shapes_that_differ(self, student: Any, pairs: int) -> None:
        """Rewards of shapes (n,) and (n, 1) are a ValueError: broadcasting would compare every text with every other."""
        with pytest.raises(ValueError):
            student.reward_model_loss(torch.zeros(pairs), torch.zeros(pairs, 1))


@exercise("kl_penalized_rewards")
class TestKLPenalizedRewards:
    @required
    @given(
        scores=tensors(3),
        log_probs=log_probabilities(3, 4),
        ref_log_probs=log_probabilities(3, 4),
        mask=masks(3, 4),
        beta=st.sampled_from([0.1, 0.5, 2.0]),
    )
    @settings(max_examples=12)
    def test_token_by_token(
        self, student: Any, scores: Tensor, log_probs: Tensor, ref_log_probs: Tensor, mask: Tensor, beta: float
    ) -> None:
        """Each token that the policy wrote costs β times its log-ratio, and the last also earns the score: constants."""
        rows = []
        for b in range(3):
            wrote = [t for t in range(4) if mask[b, t]]
            charges = {t: -beta * (log_probs[b, t] - ref_log_probs[b, t]).item() for t in wrote}
            if wrote:
                charges[wrote[-1]] += scores[b].item()
            rows.append([charges.get(t, 0.0) for t in range(4)])
        scores, log_probs = scores.requires_grad_(), log_probs.requires_grad_()
        result = student.kl_penalized_rewards(scores, log_probs, ref_log_probs, mask, beta)
        assert_constant(result, "The result")
        assert_close(result, torch.tensor(rows), what="the rewards")

    @given(scores=tensors(2), log_probs=log_probabilities(2, 3))
    @settings(max_examples=4)
    def test_who_stays_pays_nothing(self, student: Any, scores: Tensor, log_probs: Tensor) -> None:
        """A policy that is still the reference pays nothing: each text earns its score, at its last token."""
        mask = torch.tensor([[True, True, False], [False, True, True]])
        expected = torch.zeros(2, 3)
        expected[0, 1], expected[1, 2] = scores
        result = student.kl_penalized_rewards(scores, log_probs, log_probs, mask, 0.5)
        assert_close(result, expected, what="the rewards")

    @given(log_probs=log_probabilities(2, 4), junk=JUNK, mask=masks(2, 4))
    @settings(max_examples=6)
    def test_prompt_and_padding(self, student: Any, log_probs: Tensor, junk: float, mask: Tensor) -> None:
        """What the policy did not write has reward 0, whatever stands there, infinite or NaN."""
        scores, reference_ = torch.tensor([1.0, -2.0]), torch.full((2, 4), -1.0)
        result = student.kl_penalized_rewards(
            scores, log_probs.masked_fill(~mask, junk), reference_.masked_fill(~mask, -junk), mask, 0.5
        )
        expected = student.kl_penalized_rewards(scores, log_probs, reference_, mask, 0.5)
        assert_close(result, expected, what="the rewards with other prompts and padding")
        assert_close(result.masked_fill(mask, 0.0), torch.zeros(2, 4), what="the rewards of prompt and padding")

    @given(log_probs=log_probabilities(1, 2), score=st.sampled_from([3.0, -1.0]))
    @settings(max_examples=3)
    def test_a_text_that_is_all_prompt(self, student: Any, log_probs: Tensor, score: float) -> None:
        """A text of which the policy wrote nothing earns nothing, not even its score."""
        mask = torch.tensor([[False, False]])
        result = student.kl_penalized_rewards(torch.tensor([score]), log_probs, 2 * log_probs, mask, 1.0)
        assert_close(result, torch.zeros(1, 2), what="the rewards")


@exercise("kl_estimate")
class TestKLEstimate:
    @required
    @given(policy=tensors(4), other=tensors(4))
    @settings(max_examples=8)
    def test_is_the_divergence_on_average(self, student: Any, policy: Tensor, other: Tensor) -> None:
        """Averaged over all tokens that the policy could have written it is the divergence, as torch has it."""
        p, q = Categorical(logits=policy), Categorical(logits=other)
        log_probs = p.logits.unsqueeze(1).requires_grad_()  # each token is a text of its own
        result = student.kl_estimate(log_probs, q.logits.unsqueeze(1))
        assert_shape(result, (4,), what="the estimates")
        assert_graph(result, "the estimates", "the policy's log-probabilities")
        assert_close((p.probs * result.detach()).sum(), kl_divergence(p, q), what="the mean of the estimates")

    @required
    @given(log_probs=log_probabilities(2, 3), ref_log_probs=log_probabilities(2, 3))
    @settings(max_examples=6)
    def test_adds_up_over_tokens(self, student: Any, log_probs: Tensor, ref_log_probs: Tensor) -> None:
        """It is eᵈ − d − 1 with d = log π_ref − log π, added up over the tokens of each text."""
        difference = (ref_log_probs - log_probs).tolist()
        expected = torch.tensor([sum(math.expm1(d) - d for d in row) for row in difference])
        assert_close(student.kl_estimate(log_probs, ref_log_probs), expected, what="the estimates")

    @given(log_probs=log_probabilities(3, 4), moved=tensors((3, 4), low=-1, high=1))
    @settings(max_examples=5)
    def test_never_negative(self, student: Any, log_probs: Tensor, moved: Tensor) -> None:
        """No estimate is negative, and where both models say the same it is 0."""
        assert_between(student.kl_estimate(log_probs, log_probs + moved), low=0.0, what="an estimate")
        assert_close(student.kl_estimate(log_probs, log_probs), torch.zeros(3), what="the estimates of equal models")

    @weight(3)
    @given(log_probs=log_probabilities(2, 3), ref_log_probs=log_probabilities(2, 3), mask=masks(2, 3), junk=JUNK)
    @settings(max_examples=8)
    def test_padding(self, student: Any, log_probs: Tensor, ref_log_probs: Tensor, mask: Tensor, junk: float) -> None:
        """What the policy did not write counts for nothing, and has gradient 0; elsewhere the gradient is 1 − eᵈ."""
        difference = ref_log_probs - log_probs
        spoilt = log_probs.masked_fill(~mask, junk).requires_grad_()
        result = student.kl_estimate(spoilt, ref_log_probs.masked_fill(~mask, -junk), mask)
        expected = ((difference.exp() - difference - 1) * mask).sum(dim=1)
        assert_close(result.detach(), expected, what="the estimates")
        assert_graph(result, "the estimates", "the policy's log-probabilities")
        (gradient,) = torch.autograd.grad(result.sum(), spoilt)
        assert_close(gradient, (1 - difference.exp()) * mask, what="the gradient with respect to the log-probabilities")


@exercise("group_relative_advantages")
class TestGroupRelativeAdvantages:
    @required
    @given(rewards=tensors((2, 4)))
    @settings(max_examples=10)
    def test_group_by_group(self, student: Any, rewards: Tensor) -> None:
        """It is how many standard deviations of its own group a reward lies above the group's mean: a constant."""
        expected = torch.tensor([standardised(row) for row in rewards.tolist()])
        result = student.group_relative_advantages(rewards.requires_grad_())
        assert_constant(result, "The result")
        assert_close(result, expected, tolerance=1e-3, what="the advantages")

    @weight(3)
    @given(rewards=tensors((3, 3)))
    @settings(max_examples=5)
    def test_without_scale(self, student: Any, rewards: Tensor) -> None:
        """Without scale it is the reward less the mean of its row, and nothing else."""
        expected = torch.tensor([[value - statistics.fmean(row) for value in row] for row in rewards.tolist()])
        assert_close(student.group_relative_advantages(rewards, scale=False), expected, what="the advantages")

    @given(rewards=tensors((2, 3)), easier=st.sampled_from([5.0, -2.0]))
    @settings(max_examples=4)
    def test_an_easier_prompt(self, student: Any, rewards: Tensor, easier: float) -> None:
        """If one prompt is easier, and all its texts earn more, no advantage changes, neither there nor elsewhere."""
        result = student.group_relative_advantages(rewards + torch.tensor([[easier], [0.0]]))
        assert_close(result, student.group_relative_advantages(rewards), tolerance=1e-3, what="the advantages")

    @weight(3)
    @given(value=st.sampled_from([0.0, 3.0, -1.0]), samples=sizes(1, 4))
    @settings(max_examples=4)
    def test_all_equal(self, student: Any, value: float, samples: int) -> None:
        """A group in which all earn the same teaches nothing: zeros, also for a group of one. Tiny differences stay small."""
        result = student.group_relative_advantages(torch.full((2, samples), value))
        assert_close(result, torch.zeros(2, samples), tolerance=1e-3, what="the advantages")
        tiny = student.group_relative_advantages(torch.tensor([[1e-4, -1e-4]]))
        assert_close(tiny, torch.tensor([[0.5, -0.5]]), tolerance=1e-3, what="the advantages of ±10⁻⁴")


class Writer:
    """A sampler of texts that remembers what it was asked for and what it wrote, and what each text is worth."""

    def __init__(self, worth: list[float], length: int = 2) -> None:
        self.worth, self.length = torch.tensor(worth), length
        self.asked: list[Tensor] = []
        self.wrote: list[Tensor] = []

    def sample(self, prompts: Tensor, generator: torch.Generator | None) -> Tensor:
        """One text for each prompt."""
        self.asked.append(prompts)
        tokens = torch.randint(len(self.worth), (len(prompts), self.length), generator=generator)
        self.wrote.append(tokens)
        return tokens

    def reward(self, tokens: Tensor) -> Tensor:
        """What each text is worth: the sum of what its tokens are."""
        return self.worth[tokens].sum(dim=1)

    def best(self) -> tuple[Tensor, Tensor]:
        """For each prompt the first of the texts with the highest reward, by looking at one after the other."""
        texts = [list(column) for column in zip(*[tokens.tolist() for tokens in self.wrote], strict=True)]
        worth = [[sum(self.worth[token].item() for token in text) for text in column] for column in texts]
        chosen = [column[found.index(max(found))] for column, found in zip(texts, worth, strict=True)]
        return torch.tensor(chosen), torch.tensor([max(found) for found in worth])


PROMPTS = texts(4, batch=3, length=2)


@exercise(
    "best_of_n",
    contract=arguments(
        reference.best_of_n,
        prompts=PROMPTS,
        sample=st.just(Writer([0.0, 1.0, 2.0, 3.0]).sample),
        reward=st.just(Writer([0.0, 1.0, 2.0, 3.0]).reward),
    ),
)
class TestBestOfN:
    @required
    @given(worth=tensors(6, low=-3, high=3), prompts=PROMPTS, n=st.integers(1, 5), generator=generators())
    @settings(max_examples=10)
    def test_keeps_the_best(
        self, student: Any, worth: Tensor, prompts: Tensor, n: int, generator: torch.Generator
    ) -> None:
        """For each prompt it returns the text with the highest reward of all that were drawn for it, and that reward."""
        copy = torch.Generator()
        copy.set_state(generator.get_state())
        writer = Writer(worth.tolist(), length=3)
        tokens, rewards = student.best_of_n(prompts, writer.sample, writer.reward, n, generator=generator)
        if len(writer.wrote) != n:
            fail(f"`sample` should be called {n} times, but it was called {len(writer.wrote)} times.")
        expected = [torch.randint(len(worth), (len(prompts), 3), generator=copy) for _ in range(n)]
        hint = "`sample` is handed the generator, and nothing else draws from it."
        assert_close(torch.stack(writer.wrote), torch.stack(expected), what="what `sample` draws", hint=hint)
        _, highest = writer.best()
        assert_close(rewards, highest, what="the rewards")
        assert_close(writer.reward(tokens), highest, what="what the texts are worth")

    @weight(3)
    @given(prompts=PROMPTS, n=st.integers(2, 5), generator=generators())
    @settings(max_examples=6)
    def test_the_first_among_equals(self, student: Any, prompts: Tensor, n: int, generator: torch.Generator) -> None:
        """Among texts with equal rewards it keeps the one that was drawn first."""
        writer = Writer([1.0, 1.0, 0.0])
        tokens, _ = student.best_of_n(prompts, writer.sample, writer.reward, n, generator=generator)
        assert_close(tokens, writer.best()[0], what="the texts")

    @given(prompts=PROMPTS, n=st.integers(1, 3), generator=generators())
    @settings(max_examples=4)
    def test_asks_with_all_prompts(self, student: Any, prompts: Tensor, n: int, generator: torch.Generator) -> None:
        """Every call of `sample` is given all prompts, in their order."""
        writer = Writer([0.0, 1.0, 2.0, 3.0])
        student.best_of_n(prompts, writer.sample, writer.reward, n, generator=generator)
        if not writer.asked:
            fail("`sample` was never called.")
        for asked in writer.asked:
            assert_close(asked, prompts, what="what `sample` is given")

    @weight(3)
    @given(n=st.sampled_from([0, -1]))
    @settings(max_examples=2)
    def test_the_best_of_none(self, student: Any, n: int) -> None:
        """The best of no text is a ValueError."""
        writer = Writer([0.0, 1.0])
        with pytest.raises(ValueError):
            student.best_of_n(torch.zeros(1, 1, dtype=torch.int64), writer.sample, writer.reward, n)


@exercise("dpo_loss")
class TestDPOLoss:
    @required
    @given(
        chosen=tensors(3), rejected=tensors(3), ref_chosen=tensors(3), ref_rejected=tensors(3),
        beta=st.sampled_from([0.5, 2.0, 0.1]),
    )  # fmt: skip
    @settings(max_examples=10)
    def test_is_a_reward_model_in_disguise(
        self, student: Any, chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
    ) -> None:
        """It is the loss of a reward model whose reward is β log(π / π_ref): minus the mean log-probability of the choices."""
        wins = Bernoulli(logits=beta * ((chosen - ref_chosen) - (rejected - ref_rejected)))
        expected = -wins.log_prob(torch.ones(3)).mean()
        result = student.dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
        assert_close(result, expected, what="the loss")

    @given(log_probs=tensors((2, 3)), beta=st.sampled_from([0.5, 2.0]))
    @settings(max_examples=4)
    def test_starts_at_log_two(self, student: Any, log_probs: Tensor, beta: float) -> None:
        """While the policy is the reference, every choice is a coin toss: the loss is log 2."""
        chosen, rejected = log_probs
        result = student.dpo_loss(chosen, rejected, chosen, rejected, beta)
        assert_close(result, torch.tensor(math.log(2)), what="the loss")

    @required
    @given(
        chosen=tensors(2, requires_grad=True), rejected=tensors(2, requires_grad=True), beta=st.sampled_from([0.5, 2.0])
    )
    @settings(max_examples=5)
    def test_gradients(self, student: Any, chosen: Tensor, rejected: Tensor, beta: float) -> None:
        """It pulls the chosen text up and the rejected one down, by β times the probability of the wrong choice."""
        reference_ = torch.zeros(2, 2, requires_grad=True)
        loss = student.dpo_loss(chosen, rejected, reference_[0], reference_[1], beta)
        wrong = beta * Bernoulli(logits=beta * (rejected - chosen).detach()).probs / 2
        for log_probs, sign, name in ((chosen, -1, "chosen"), (rejected, 1, "rejected")):
            gradient = gradient_of(loss, log_probs, what="the loss", of_what=f"the {name} texts")
            assert_close(gradient, sign * wrong, what=f"the gradient with respect to the {name} texts")
        assert_independent(loss, reference_, what="the loss", of_what="the reference")

    @weight(3)
    @given(right=st.booleans(), low=st.sampled_from([-1e4, -3e3]))
    @settings(max_examples=4)
    def test_survives_small_probabilities(self, student: Any, right: bool, low: float) -> None:
        """It is finite, as are its gradients, for log-probabilities down to −10⁴."""
        chosen = torch.tensor([-1.0 if right else low], requires_grad=True)
        loss = student.dpo_loss(chosen, torch.tensor([low if right else -1.0]), torch.zeros(1), torch.zeros(1), 1.0)
        assert_close(loss.detach(), torch.tensor(0.0 if right else -1.0 - low), what="the loss")
        (gradient,) = torch.autograd.grad(loss, chosen)
        assert_close(gradient, torch.tensor([0.0 if right else -1.0]), what="the gradient")

    def test_beta_is_a_tenth_by_default(self, student: Any) -> None:
        """Without a word β is 0.1."""
        loss = student.dpo_loss(torch.tensor([20.0]), torch.zeros(1), torch.zeros(1), torch.zeros(1))
        assert_close(loss, torch.tensor(math.log1p(math.exp(-2.0))), what="the loss")


@exercise("reward_weighted_loss")
class TestRewardWeightedLoss:
    @required
    @given(losses=tensors(4, low=0, high=3), rewards=tensors(4), temperature=st.sampled_from([0.5, 2.0, 1.0]))
    @settings(max_examples=10)
    def test_weighs_by_reward(self, student: Any, losses: Tensor, rewards: Tensor, temperature: float) -> None:
        """It is the mean of the losses with weights in the ratio of exp(reward / temperature)."""
        odds = [math.exp(reward / temperature) for reward in rewards.tolist()]
        expected = sum(w * loss for w, loss in zip(odds, losses.tolist(), strict=True)) / sum(odds)
        result = student.reward_weighted_loss(losses, rewards, temperature)
        assert_close(result, torch.tensor(expected), what="the loss")

    @required
    @given(losses=tensors(3, requires_grad=True), rewards=tensors(3, requires_grad=True))
    @settings(max_examples=4)
    def test_gradients(self, student: Any, losses: Tensor, rewards: Tensor) -> None:
        """Each sample is learnt with its weight, and the weights add up to 1; no gradient flows into the rewards."""
        loss = student.reward_weighted_loss(losses, rewards)
        gradient = gradient_of(loss, losses, what="the loss", of_what="the losses")
        odds = torch.tensor([math.exp(reward) for reward in rewards.tolist()])
        assert_close(gradient, odds / odds.sum(), what="the gradient with respect to the losses")
        assert_independent(loss, rewards, what="the loss", of_what="the rewards")

    @given(losses=tensors(4), reward=st.sampled_from([1e4, 0.0, -1e4]), temperature=st.sampled_from([1.0, 0.1]))
    @settings(max_examples=5)
    def test_equal_rewards(self, student: Any, losses: Tensor, reward: float, temperature: float) -> None:
        """Equal rewards make it the plain mean, be they ±10⁴."""
        result = student.reward_weighted_loss(losses, torch.full((4,), reward), temperature)
        assert_close(result, losses.mean(), what="the loss")

    @given(losses=tensors(3), best=st.integers(0, 2))
    @settings(max_examples=5)
    def test_picky(self, student: Any, losses: Tensor, best: int) -> None:
        """At a low temperature, or with a reward far above the others, only the best sample counts."""
        rewards = torch.zeros(3)
        rewards[best] = 1.0
        assert_close(student.reward_weighted_loss(losses, rewards, 0.01), losses[best], what="the loss when cold")
        assert_close(student.reward_weighted_loss(losses, 1e4 * rewards), losses[best], what="the loss with 10⁴")

    @given(temperature=st.sampled_from([0.0, -1.0]))
    @settings(max_examples=2)
    def test_no_temperature(self, student: Any, temperature: float) -> None:
        """A temperature that is not positive is a ValueError."""
        with pytest.raises(ValueError):
            student.reward_weighted_loss(torch.ones(2), torch.ones(2), temperature)
