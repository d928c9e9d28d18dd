# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.properties import assert_close, assert_depends, assert_finite, assert_shape, exercise, fail, tensors

# Three states in a row. Action 0 stays, action 1 goes on; going on from the last one ends the episode.
STAY_OR_GO = torch.zeros(3, 2, 3)
STAY_OR_GO[[0, 1, 2], 0, [0, 1, 2]] = 1
STAY_OR_GO[[0, 1], 1, [1, 2]] = 1
PRIZE = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 8.0]])  # for going on from the last state


@exercise("bellman_backup")
class TestBellmanBackup:
    @given(values=tensors(3), rewards=tensors((3, 2)))
    def test_without_a_future(self, student, values, rewards):
        """At γ = 0 only the immediate reward counts."""
        assert_close(student.bellman_backup(values, rewards, STAY_OR_GO, 0.0), rewards, what="Q")

    def test_stay_or_go(self, student):
        """Each action is worth half of what the state that it leads to is worth, at γ = ½ and without rewards."""
        values = torch.tensor([2.0, 4.0, 6.0])
        expected = torch.tensor([[1.0, 2.0], [2.0, 3.0], [3.0, 0.0]])
        result = student.bellman_backup(values, torch.zeros(3, 2), STAY_OR_GO, 0.5)
        assert_close(result, expected, what="Q", hint="Nothing is earned after the end of the episode.")


@exercise("value_iteration")
class TestValueIteration:
    def test_stay_or_go(self, student):
        """The prize of 8 at the end is worth 8, one step earlier half of that, and going on is best everywhere."""
        values, policy = student.value_iteration(PRIZE, STAY_OR_GO, 0.5)
        assert_close(values, torch.tensor([2.0, 4.0, 8.0]), tolerance=1e-3, what="the values")
        assert_close(policy, torch.tensor([1, 1, 1]), what="the policy")

    def test_asks_the_backup(self, student):
        """It asks the `backup` that it is given: with one that always says 1, 2 the values are 2, by action 1."""

        def backup(values, rewards, transitions, gamma):
            return torch.tensor([[1.0, 2.0]]).expand(3, 2)

        values, policy = student.value_iteration(PRIZE, STAY_OR_GO, 0.5, backup=backup)
        assert_close(values, torch.full((3,), 2.0), what="the values")
        assert_close(policy, torch.ones(3, dtype=torch.int64), what="the policy")

    def test_gives_up(self, student):
        """A value that grows for ever is a ValueError once all sweeps are made."""
        with pytest.raises(ValueError):
            student.value_iteration(torch.ones(3, 2), STAY_OR_GO, 1.0, max_sweeps=20)


@exercise("discounted_returns")
class TestDiscountedReturns:
    def test_one_two_three(self, student):
        """Without a discount, the rewards 1, 2, 3 make the returns 6, 5, 3."""
        result = student.discounted_returns(torch.tensor([[1.0, 2.0, 3.0]]), 1.0)
        assert_close(result, torch.tensor([[6.0, 5.0, 3.0]]), what="the returns")

    def test_later_is_less(self, student):
        """At γ = ½ a reward of 8 is worth 4 one step before it, and 2 two steps before it."""
        result = student.discounted_returns(torch.tensor([[0.0, 0.0, 8.0, 0.0]]), 0.5)
        assert_close(result, torch.tensor([[2.0, 4.0, 8.0, 0.0]]), what="the returns")

    @given(first=tensors((1, 2)), second=tensors((1, 3)))
    def test_two_episodes(self, student, first, second):
        """Two episodes in one row have the returns of two rows."""
        done = torch.tensor([[False, True, False, False, True]])
        together = student.discounted_returns(torch.cat([first, second], dim=1), 0.5, done)
        alone = [student.discounted_returns(rewards, 0.5) for rewards in (first, second)]
        assert_close(together, torch.cat(alone, dim=1), what="the returns")


@exercise("policy_gradient_loss")
class TestPolicyGradientLoss:
    def test_two_episodes(self, student):
        """Two episodes: minus log-probability times return, summed over time, averaged over the two."""
        log_probs = torch.tensor([[-1.0, -2.0], [-3.0, 0.0]])
        returns = torch.tensor([[5.0, 4.0], [1.0, 9.0]])
        assert_close(student.policy_gradient_loss(log_probs, returns), 8.0, what="the loss", hint="(5 + 8 + 3 + 0) / 2")

    @given(log_probs=tensors((2, 3), low=-3, high=0), returns=tensors((2, 3)), junk=st.sampled_from([7.0, math.inf]))
    def test_padding(self, student, log_probs, returns, junk):
        """Padding counts for nothing, whatever stands there."""
        padding = torch.full((2, 1), junk)
        mask = torch.tensor([[True, True, True, False]] * 2)
        padded = student.policy_gradient_loss(
            torch.cat([log_probs, padding], dim=1), torch.cat([returns, padding], dim=1), mask
        )
        assert_close(padded, student.policy_gradient_loss(log_probs, returns), what="the loss with padding")

    def test_learns_through_log_probs_only(self, student):
        """A gradient flows to the log-probabilities, none to the returns."""
        log_probs, returns = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
        loss = student.policy_gradient_loss(log_probs, 2 * returns)
        assert_depends(loss, log_probs, what="the loss", on_what="the log-probabilities")
        loss.backward()
        if returns.grad is not None and returns.grad.any():
            fail("A gradient flows to the returns, which are constants.")

    def test_other_shapes(self, student):
        """Returns of shape (3, 1) do not go with log-probabilities of shape (3, 3)."""
        with pytest.raises(ValueError):
            student.policy_gradient_loss(torch.zeros(3, 3), torch.zeros(3, 1))


@exercise("advantages")
class TestAdvantages:
    @given(returns=tensors((2, 3)), baseline=tensors((2, 3)))
    def test_better_than_expected(self, student, returns, baseline):
        """Returns that are 1 above the baseline have advantage 1."""
        assert_close(student.advantages(baseline + 1, baseline), torch.ones(2, 3), what="the advantages")

    def test_normalised(self, student):
        """Normalised, 1 and 3 become −1 and 1, and padding stays out of it."""
        returns = torch.tensor([[1.0, 3.0, 50.0]])
        mask = torch.tensor([[True, True, False]])
        result = student.advantages(returns, torch.zeros(1, 3), mask, normalize=True)
        assert_close(result, torch.tensor([[-1.0, 1.0, 0.0]]), tolerance=1e-3, what="the advantages")

    def test_other_shapes(self, student):
        """A baseline of shape (3, 1) does not go with returns of shape (3, 3)."""
        with pytest.raises(ValueError):
            student.advantages(torch.zeros(3, 3), torch.zeros(3, 1))

    def test_constants(self, student):
        """The advantages carry no graph."""
        if student.advantages(torch.ones(2, 2), torch.ones(2, 2, requires_grad=True)).requires_grad:
            fail("The advantages require grad: training the policy would bend the baseline.")


@exercise("generalized_advantages")
class TestGeneralizedAdvantages:
    @given(rewards=tensors((2, 3)), values=tensors((2, 4)))
    def test_one_step(self, student, rewards, values):
        """At λ = 0 it is the surprise of the step itself: reward and next value, less the value before."""
        result = student.generalized_advantages(rewards, values, 1.0, 0.0)
        assert_close(result, rewards + values[:, 1:] - values[:, :-1], what="the advantages")

    @given(values=tensors((1, 4)))
    def test_all_steps(self, student, values):
        """At λ = γ = 1, in an episode that ends, it is the return less the value."""
        rewards = torch.tensor([[1.0, 2.0, 3.0]])
        done = torch.tensor([[False, False, True]])
        result = student.generalized_advantages(rewards, values, 1.0, 1.0, done)
        assert_close(result, torch.tensor([[6.0, 5.0, 3.0]]) - values[:, :3], what="the advantages")

    def test_fades(self, student):
        """A surprise of 8 in the last step counts λ times as much one step earlier."""
        rewards = torch.tensor([[0.0, 0.0, 8.0]])
        result = student.generalized_advantages(rewards, torch.zeros(1, 4), 1.0, 0.5)
        assert_close(result, torch.tensor([[2.0, 4.0, 8.0]]), what="the advantages")


@exercise("token_log_probs")
class TestTokenLogProbs:
    @given(tokens=tensors((2, 4), dtype=torch.int64, low=0, high=4))
    def test_no_idea(self, student, tokens):
        """Where all five tokens have the same score, each costs log 5 nats; the first token is not scored."""
        result = student.token_log_probs(torch.zeros(2, 4, 5), tokens)
        assert_close(result, torch.full((2, 3), -math.log(5)), what="the log-probabilities")

    def test_knows_what_comes(self, student):
        """Logits that are sure of each next token give log-probabilities of 0."""
        tokens = torch.tensor([[2, 0, 1, 2]])
        coming = torch.tensor([[0, 1, 2, 0]])
        logits = 1e4 * torch.nn.functional.one_hot(coming, 3).float()
        hint = "The logits at position t are about the token at t + 1."
        assert_close(
            student.token_log_probs(logits, tokens), torch.zeros(1, 3), what="the log-probabilities", hint=hint
        )


@exercise("reward_model_loss")
class TestRewardModelLoss:
    @given(rewards=tensors(4))
    def test_a_toss_up(self, student, rewards):
        """Two texts of equal reward win with probability ½: log 2 nats."""
        assert_close(student.reward_model_loss(rewards, rewards), math.log(2), what="the loss")

    def test_sure(self, student):
        """Sure and right costs nothing, sure and wrong costs the difference, with finite gradients both times."""
        chosen = torch.tensor([1e4, -1e4], requires_grad=True)
        loss = student.reward_model_loss(chosen, torch.zeros(2))
        assert_close(loss, 5e3, what="the loss")
        loss.backward()
        assert_finite(chosen.grad, what="the gradient with respect to the chosen texts' rewards")

    @given(chosen=tensors(3), rejected=tensors(3))
    def test_only_the_difference_counts(self, student, chosen, rejected):
        """Adding a number to all rewards changes nothing."""
        loss = student.reward_model_loss(chosen, rejected)
        assert_close(student.reward_model_loss(chosen + 2, rejected + 2), loss, what="the loss, all rewards 2 higher")


@exercise("kl_penalized_rewards")
class TestKLPenalizedRewards:
    def test_one_text(self, student):
        """The prompt earns nothing, each own token is charged, the last of them earns the score, padding nothing."""
        log_probs = torch.tensor([[-9.0, -1.0, -2.0, -9.0]])
        ref_log_probs = torch.tensor([[-3.0, -2.0, -1.0, -3.0]])
        mask = torch.tensor([[False, True, True, False]])
        result = student.kl_penalized_rewards(torch.tensor([5.0]), log_probs, ref_log_probs, mask, 0.5)
        assert_close(result, torch.tensor([[0.0, -0.5, 5.5, 0.0]]), what="the rewards")

    @given(scores=tensors(3), log_probs=tensors((3, 4), low=-3, high=0))
    def test_at_the_reference(self, student, scores, log_probs):
        """A policy that is still the reference pays nothing: the score is all there is."""
        mask = torch.tensor([[True] * 4, [True, False, False, False], [False, True, True, False]])
        result = student.kl_penalized_rewards(scores, log_probs, log_probs, mask, 0.5)
        expected = torch.zeros(3, 4)
        expected[[0, 1, 2], [3, 0, 2]] = scores
        assert_close(result, expected, what="the rewards")


@exercise("kl_estimate")
class TestKLEstimate:
    @given(log_probs=tensors((2, 3), low=-3, high=0), ref_log_probs=tensors((2, 3), low=-3, high=0))
    def test_never_negative(self, student, log_probs, ref_log_probs):
        """It is at least 0, and 0 for a text that both find equally likely, token by token."""
        result = student.kl_estimate(log_probs, ref_log_probs)
        assert_shape(result, (2,), what="the estimate")
        if not (result >= -1e-6).all():
            fail(f"An estimate is negative: {result.tolist()}.")
        assert_close(student.kl_estimate(log_probs, log_probs), torch.zeros(2), what="the estimate at the reference")

    def test_on_average(self, student):
        """On average over the tokens of a fair coin it is the divergence to a coin with probability ¼."""
        fair, other = torch.tensor([[0.5], [0.5]]).log(), torch.tensor([[0.25], [0.75]]).log()
        expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
        assert_close(student.kl_estimate(fair, other).mean(), expected, what="the mean estimate")


@exercise("ppo_loss")
class TestPPOLoss:
    @given(log_probs=tensors((2, 3), low=-3, high=0), advantages=tensors((2, 3)))
    def test_at_the_old_policy(self, student, log_probs, advantages):
        """At the old policy all ratios are 1: minus the sum of advantages, averaged over the batch."""
        loss = student.ppo_loss(log_probs, log_probs, advantages)
        assert_close(loss, -advantages.sum() / 2, what="the loss", sizes={"batch": 2, "time": 3})

    def test_far_enough(self, student):
        """A good action that is already twice as likely as before counts 1 + ε times, and pulls no more."""
        log_probs = torch.full((1, 1), math.log(0.5), requires_grad=True)
        loss = student.ppo_loss(log_probs, torch.full((1, 1), math.log(0.25)), torch.ones(1, 1), clip=0.25)
        assert_close(loss, -1.25, what="the loss")
        (gradient,) = torch.autograd.grad(loss, log_probs)
        assert_close(gradient, torch.zeros(1, 1), what="the gradient")

    def test_a_way_back(self, student):
        """A bad action that became twice as likely costs twice, and is pushed back."""
        log_probs = torch.full((1, 1), math.log(0.5), requires_grad=True)
        loss = student.ppo_loss(log_probs, torch.full((1, 1), math.log(0.25)), -torch.ones(1, 1), clip=0.25)
        assert_close(loss, 2.0, what="the loss")
        (gradient,) = torch.autograd.grad(loss, log_probs)
        assert_close(gradient, torch.full((1, 1), 2.0), what="the gradient")

    @given(advantages=tensors((2, 3)))
    def test_padding(self, student, advantages):
        """Padding counts for nothing."""
        mask = torch.tensor([[True, True, True], [True, False, False]])
        loss = student.ppo_loss(torch.zeros(2, 3), torch.zeros(2, 3), advantages, mask)
        assert_close(loss, -(advantages[0].sum() + advantages[1, 0]) / 2, what="the loss")


@exercise("group_relative_advantages")
class TestGroupRelativeAdvantages:
    def test_two_groups(self, student):
        """In the group 1, 3 they are −1, 1; in the group 7, 7, where nothing can be learnt, 0, 0."""
        result = student.group_relative_advantages(torch.tensor([[1.0, 3.0], [7.0, 7.0]]))
        assert_close(result, torch.tensor([[-1.0, 1.0], [0.0, 0.0]]), tolerance=1e-3, what="the advantages")

    @given(rewards=tensors((3, 4)))
    def test_without_scale(self, student, rewards):
        """Unscaled, they are the distances from the mean of the group."""
        result = student.group_relative_advantages(rewards, scale=False)
        assert_close(result, rewards - rewards.mean(dim=1, keepdim=True), what="the advantages")


def drawn_in_order(*draws):
    """A `sample` that returns these tensors, one after the other, and a list of the generators that it was handed."""
    waiting, heard = list(draws), []

    def sample(prompts, generator):
        heard.append(generator)
        return waiting.pop(0)

    return sample, heard


@exercise("best_of_n", contract=False)
class TestBestOfN:
    def test_two_prompts(self, student):
        """Each prompt keeps its own best text, and among equals the first."""
        draws = [torch.tensor([[1, 5], [4, 0]]), torch.tensor([[2, 2], [3, 1]]), torch.tensor([[6, 0], [9, 0]])]
        sample, heard = drawn_in_order(*draws)
        prompts = torch.zeros(2, 1, dtype=torch.int64)
        tokens, rewards = student.best_of_n(prompts, sample, lambda tokens: tokens.sum(dim=1).float(), 3)
        assert_close(tokens, torch.tensor([[1, 5], [9, 0]]), what="the texts")
        assert_close(rewards, torch.tensor([6.0, 9.0]), what="the rewards")
        if len(heard) != 3:
            fail(f"`sample` should be called 3 times, but it was called {len(heard)} times.")

    def test_none(self, student):
        """The best of no text at all: a ValueError."""
        with pytest.raises(ValueError):
            student.best_of_n(torch.zeros(2, 1, dtype=torch.int64), lambda *_: None, lambda _: None, 0)


@exercise("dpo_loss")
class TestDPOLoss:
    @given(chosen=tensors(3, low=-9, high=0), rejected=tensors(3, low=-9, high=0))
    def test_at_the_reference(self, student, chosen, rejected):
        """Before training, when the policy is the reference, it is log 2, however likely the texts are."""
        assert_close(student.dpo_loss(chosen, rejected, chosen, rejected), math.log(2), what="the loss")

    @given(start=tensors((2, 3), low=-9, high=0))
    @settings(max_examples=5)
    def test_direction(self, student, start):
        """It falls as the chosen text gets likelier, and rises as the rejected one does, each by β/2 at the reference."""
        chosen, rejected = (part.clone().requires_grad_() for part in start)
        loss = student.dpo_loss(chosen, rejected, *start, beta=0.5)
        gradients = torch.autograd.grad(loss, (chosen, rejected))
        assert_close(list(gradients), [torch.full((3,), -0.25 / 3), torch.full((3,), 0.25 / 3)], what="the gradients")

    def test_sure(self, student):
        """A margin of 10⁴ nats the wrong way costs β · 10⁴."""
        loss = student.dpo_loss(*(torch.tensor([value]) for value in (-1e4, 0.0, 0.0, 0.0)), beta=0.5)
        assert_close(loss, 5e3, what="the loss")


@exercise("reward_weighted_loss")
class TestRewardWeightedLoss:
    @given(losses=tensors(4, low=0), level=st.integers(-3, 3))
    def test_all_alike(self, student, losses, level):
        """With equal rewards it is the plain mean."""
        result = student.reward_weighted_loss(losses, torch.full((4,), float(level)))
        assert_close(result, sum(losses.tolist()) / 4, what="the loss", sizes={"batch": 4})

    def test_three_to_one(self, student):
        """A reward that is higher by τ log 3 weighs three times as much."""
        rewards = torch.tensor([0.0, 2 * math.log(3)])
        result = student.reward_weighted_loss(torch.tensor([8.0, 4.0]), rewards, 2.0)
        assert_close(result, 5.0, what="the loss", hint="¼ of 8 and ¾ of 4")

    def test_large_rewards(self, student):
        """Rewards of 10⁴ do not overflow."""
        result = student.reward_weighted_loss(torch.tensor([8.0, 4.0]), torch.tensor([1e4, -1e4]))
        assert_close(result, 8.0, what="the loss")

    def test_temperature(self, student):
        """A temperature of 0 is a ValueError."""
        with pytest.raises(ValueError):
            student.reward_weighted_loss(torch.ones(2), torch.ones(2), 0.0)
