"""Correct answers to `rl` that leave the work to torch's own functions and distributions."""

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical
from torch.nn import functional as F


def bellman_backup(values: Tensor, rewards: Tensor, transitions: Tensor, gamma: float) -> Tensor:
    return torch.einsum("sat,t->sa", transitions, values).mul(gamma).add(rewards)


def value_iteration(rewards, transitions, gamma, *, tolerance=1e-4, max_sweeps=10_000, backup=bellman_backup):
    values, sweeps = rewards.new_zeros(len(rewards)), 0
    while sweeps < max_sweeps:
        sweeps += 1
        new = torch.max(backup(values, rewards, transitions, gamma), dim=-1).values
        change, values = torch.linalg.vector_norm(new - values, ord=torch.inf), new
        if change.item() <= tolerance:
            return values, torch.max(backup(values, rewards, transitions, gamma), dim=-1).indices
    raise ValueError("no convergence")


def _powers(factor: float, length: int, like: Tensor) -> Tensor:
    """The upper triangular matrix [t, s] of factor^(s − t)."""
    steps = torch.arange(length)
    ahead = (steps - steps[:, None]).clamp(min=0)
    return torch.triu(torch.tensor(float(factor), dtype=like.dtype) ** ahead)


def _same_episode(done: Tensor | None, like: Tensor) -> Tensor:
    """Where two steps of a row belong to one episode (batch, time, time)."""
    ends = torch.zeros(like.shape) if done is None else done.float()
    episode = F.pad(ends, (1, -1)).cumsum(dim=1)
    return torch.eq(episode.unsqueeze(2), episode.unsqueeze(1))


def discounted_returns(rewards: Tensor, gamma: float, done: Tensor | None = None) -> Tensor:
    counts = _powers(gamma, rewards.shape[1], rewards) * _same_episode(done, rewards)
    return torch.bmm(counts.to(rewards.dtype), rewards.unsqueeze(2)).squeeze(2)


def policy_gradient_loss(log_probs: Tensor, returns: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is None:
        mask = torch.ones_like(log_probs, dtype=torch.bool)
    if not log_probs.shape == returns.shape == mask.shape:
        raise ValueError("log_probs, returns and mask must have one shape")
    zero = torch.zeros_like(log_probs)
    kept, weights = torch.where(mask, log_probs, zero), torch.where(mask, returns, zero).detach()
    return -torch.tensordot(kept, weights, dims=2) / log_probs.shape[0]


def advantages(returns, baseline, mask=None, *, normalize=False):
    if mask is None:
        mask = torch.ones(returns.shape, dtype=torch.bool)
    if not returns.shape == baseline.shape == mask.shape:
        raise ValueError("returns, baseline and mask must have one shape")
    result = torch.zeros_like(returns)
    chosen = torch.masked_select(returns - baseline, mask).detach()
    if normalize and len(chosen):
        deviation, mean = torch.std_mean(chosen, correction=0)
        chosen = torch.div(chosen - mean, deviation + 1e-4)
    return result.detach().masked_scatter(mask, chosen)


def generalized_advantages(rewards, values, gamma, lam, done=None):
    with torch.no_grad():
        alive = 1.0 if done is None else (~done).to(rewards.dtype)
        surprises = rewards + gamma * alive * values[:, 1:] - values[:, :-1]
        counts = _powers(gamma * lam, rewards.shape[1], rewards) * _same_episode(done, rewards)
        return torch.bmm(counts.to(rewards.dtype), surprises.unsqueeze(2)).squeeze(2)


def ppo_loss(log_probs, old_log_probs, advantages, mask=None, *, clip=0.2):
    mask = torch.ones_like(log_probs, dtype=torch.bool) if mask is None else mask
    zero = torch.zeros_like(log_probs)
    ratio = torch.exp(torch.where(mask, log_probs, zero) - torch.where(mask, old_log_probs, zero).detach())
    gain = torch.where(mask, advantages, zero).detach()
    terms = torch.stack([ratio * gain, torch.clip(ratio, 1 - clip, 1 + clip) * gain])
    return -terms.amin(dim=0).sum() / len(log_probs)


def token_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    return Categorical(logits=logits[:, :-1, :]).log_prob(tokens[:, 1:])


def reward_model_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    if chosen.shape != rejected.shape:
        raise ValueError("one reward for each text of a pair")
    return F.binary_cross_entropy_with_logits(chosen - rejected, torch.ones_like(chosen))


def kl_penalized_rewards(scores, log_probs, ref_log_probs, mask, beta):
    with torch.no_grad():
        penalties = torch.where(mask, beta * (ref_log_probs - log_probs), torch.zeros_like(log_probs))
        left = mask.long().flip(1).cumsum(1).flip(1)  # how many tokens are still to come, this one included
        return penalties + torch.where(mask & (left == 1), scores[:, None], torch.zeros_like(penalties))


def kl_estimate(log_probs, ref_log_probs, mask=None):
    mask = torch.ones_like(log_probs, dtype=torch.bool) if mask is None else mask
    zero = torch.zeros_like(log_probs)
    difference = torch.where(mask, ref_log_probs, zero) - torch.where(mask, log_probs, zero)
    return (torch.expm1(difference) - difference).sum(-1)


def group_relative_advantages(rewards, *, scale=True):
    deviation, mean = torch.std_mean(rewards.detach(), dim=-1, keepdim=True, correction=0)
    return torch.sub(rewards.detach(), mean) / (deviation + 1e-4 if scale else torch.ones_like(deviation))


def best_of_n(prompts, sample, reward, n, *, generator=None):
    if n <= 0:
        raise ValueError("n must be positive")
    texts = torch.stack([sample(prompts, generator) for _ in range(n)], dim=1)
    rewards = torch.stack([reward(tokens) for tokens in texts.unbind(1)], dim=1)
    # argmax may return any of several equals, so the first is asked for
    first = (rewards == rewards.amax(dim=1, keepdim=True)).long().cumsum(1).eq(0).sum(1)
    rows = torch.arange(len(prompts))
    return texts[rows, first], rewards[rows, first]


def dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=0.1):
    implicit = beta * (chosen - ref_chosen.detach()) - beta * (rejected - ref_rejected.detach())
    return -Bernoulli(logits=implicit).log_prob(torch.ones_like(implicit)).mean()


def reward_weighted_loss(losses, rewards, temperature=1.0):
    if temperature <= 0:
        raise ValueError("temperature must be positive")
    return torch.dot(F.softmax(rewards.detach().div(temperature), dim=-1), losses)
