"""Reference answers of `rl`."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


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
    return rewards + gamma * (transitions @ values)


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
    values = torch.zeros_like(rewards[:, 0])
    for _ in range(max_sweeps):
        before = values
        values = backup(before, rewards, transitions, gamma).amax(dim=1)
        if (values - before).abs().max() <= tolerance:
            return values, backup(values, rewards, transitions, gamma).argmax(dim=1)
    raise ValueError(f"the values still changed by more than {tolerance} after {max_sweeps} sweeps")


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
    ends = torch.zeros_like(rewards, dtype=torch.bool) if done is None else done
    following = torch.zeros_like(rewards[:, 0])
    returns = []
    for step in reversed(range(rewards.shape[1])):
        following = rewards[:, step] + gamma * following.masked_fill(ends[:, step], 0)
        returns.append(following)
    return torch.stack(returns[::-1], dim=1)


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
    for other in (returns, mask):
        if other is not None and other.shape != log_probs.shape:
            raise ValueError(f"shapes differ: log_probs {tuple(log_probs.shape)}, the other {tuple(other.shape)}")
    if mask is not None:
        log_probs, returns = log_probs.masked_fill(~mask, 0), returns.masked_fill(~mask, 0)
    return -(log_probs * returns.detach()).sum(dim=1).mean()


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
    for other in (baseline, mask):
        if other is not None and other.shape != returns.shape:
            raise ValueError(f"shapes differ: returns {tuple(returns.shape)}, the other {tuple(other.shape)}")
    kept = torch.ones_like(returns, dtype=torch.bool) if mask is None else mask
    result = (returns - baseline).detach()
    if normalize and kept.any():
        centred = result - result[kept].mean()
        result = centred / (centred[kept].square().mean().sqrt() + 1e-4)
    return result.masked_fill(~kept, 0)


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
    rewards, values = rewards.detach(), values.detach()
    ends = torch.zeros_like(rewards, dtype=torch.bool) if done is None else done
    following = torch.zeros_like(rewards[:, 0])
    result = []
    for step in reversed(range(rewards.shape[1])):
        surprise = rewards[:, step] + gamma * values[:, step + 1].masked_fill(ends[:, step], 0) - values[:, step]
        following = surprise + gamma * lam * following.masked_fill(ends[:, step], 0)
        result.append(following)
    return torch.stack(result[::-1], dim=1)


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
    return logits[:, :-1].log_softmax(dim=2).gather(2, tokens[:, 1:].unsqueeze(2)).squeeze(2)


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
    if chosen.shape != rejected.shape:
        raise ValueError(f"shapes differ: chosen {tuple(chosen.shape)}, rejected {tuple(rejected.shape)}")
    return -F.logsigmoid(chosen - rejected).mean()


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
    rewards = (-beta * (log_probs - ref_log_probs)).detach().masked_fill(~mask, 0)
    positions = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    last = (mask * positions).argmax(dim=1)
    return rewards + F.one_hot(last, mask.shape[1]) * mask * scores.detach().unsqueeze(1)


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
    if mask is not None:
        log_probs, ref_log_probs = log_probs.masked_fill(~mask, 0), ref_log_probs.masked_fill(~mask, 0)
    difference = ref_log_probs - log_probs
    return (difference.exp() - difference - 1).sum(dim=1)


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
    if mask is not None:
        log_probs, old_log_probs, advantages = (
            part.masked_fill(~mask, 0) for part in (log_probs, old_log_probs, advantages)
        )
    ratio = (log_probs - old_log_probs.detach()).exp()
    gain = torch.minimum(ratio * advantages.detach(), ratio.clamp(1 - clip, 1 + clip) * advantages.detach())
    return -gain.sum(dim=1).mean()


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
    rewards = rewards.detach()
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (rewards.std(dim=1, keepdim=True, correction=0) + 1e-4) if scale else centred


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
    if n < 1:
        raise ValueError(f"the best of {n} texts does not exist: n must be at least 1")
    best = sample(prompts, generator)
    highest = reward(best)
    for _ in range(n - 1):
        tokens = sample(prompts, generator)
        rewards = reward(tokens)
        better = rewards > highest
        best = torch.where(better.unsqueeze(1), tokens, best)
        highest = torch.where(better, rewards, highest)
    return best, highest


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
    margin = (chosen - rejected) - (ref_chosen - ref_rejected).detach()
    return -F.logsigmoid(beta * margin).mean()


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
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature}")
    weights = (rewards.detach() / temperature).softmax(dim=0)
    return (weights * losses).sum()
