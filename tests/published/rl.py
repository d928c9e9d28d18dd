"""Published answers to the policy gradient and its returns."""

import torch

from tests.published import right, wrong


@wrong("policy_gradient_loss", "Gymnasium#1336: the mean of log π times the sum of G")
def mean_times_sum(log_probs, returns, mask=None):
    if mask is not None:
        log_probs, returns = log_probs.masked_fill(~mask, 0), returns.masked_fill(~mask, 0)
    return -(log_probs.mean(1) * returns.detach().sum(1)).mean()


@wrong("policy_gradient_loss", "the sign: gradient descent makes good actions rarer")
def downhill(log_probs, returns, mask=None):
    if mask is not None:
        log_probs, returns = log_probs.masked_fill(~mask, 0), returns.masked_fill(~mask, 0)
    return (log_probs * returns.detach()).sum(1).mean()


@wrong("policy_gradient_loss", "many repositories: (N,) against (N, 1) makes a table of N × N")
def a_table(log_probs, returns, mask=None):
    if mask is not None:
        log_probs, returns = log_probs.masked_fill(~mask, 0), returns.masked_fill(~mask, 0)
    return -(log_probs.unsqueeze(0) * returns.detach().unsqueeze(1)).sum(-1).mean()


@wrong("policy_gradient_loss", "returns that are not constants")
def through_the_returns(log_probs, returns, mask=None):
    if log_probs.shape != returns.shape or (mask is not None and mask.shape != returns.shape):
        raise ValueError("shapes differ")
    if mask is not None:
        log_probs, returns = log_probs.masked_fill(~mask, 0), returns.masked_fill(~mask, 0)
    return -(log_probs * returns).sum(1).mean()


@wrong("policy_gradient_loss", "probabilities for their logarithms")
def of_probabilities(log_probs, returns, mask=None):
    if mask is not None:
        log_probs, returns = log_probs.masked_fill(~mask, -torch.inf), returns.masked_fill(~mask, 0)
    return -(log_probs.exp() * returns.detach()).sum(1).mean()


@right("policy_gradient_loss", "einsum, with the division at the end")
def by_einsum(log_probs, returns, mask=None):
    if returns.shape != log_probs.shape or (mask is not None and mask.shape != log_probs.shape):
        raise ValueError("log_probs, returns and mask need one shape")
    with torch.no_grad():
        weights = returns.clone() if mask is None else torch.where(mask, returns, torch.zeros_like(returns))
    kept = log_probs if mask is None else torch.where(mask, log_probs, torch.zeros_like(log_probs))
    return torch.einsum("bt,bt->", kept, weights) / -len(log_probs)


@wrong("discounted_returns", "discounted from the wrong end: [1, 2, 3] gives [1, 3, 6]")
def from_the_start(rewards, gamma, done=None):
    running, found = torch.zeros_like(rewards[:, 0]), []
    for step in range(rewards.shape[1]):
        running = rewards[:, step] + gamma * running
        found.append(running)
    return torch.stack(found, 1)


@wrong("discounted_returns", "divided by γᵗ: not a number at γ = 0")
def by_division(rewards, gamma, done=None):
    if done is not None and done.any():
        raise NotImplementedError
    powers = torch.tensor(gamma, dtype=rewards.dtype) ** torch.arange(rewards.shape[1])
    return (rewards * powers).flip(1).cumsum(1).flip(1) / powers


@wrong("discounted_returns", "summed across the end of an episode")
def across_episodes(rewards, gamma, done=None):
    running, found = torch.zeros_like(rewards[:, 0]), []
    for step in range(rewards.shape[1] - 1, -1, -1):
        running = rewards[:, step] + gamma * running
        found.insert(0, running)
    return torch.stack(found, 1)


@wrong("discounted_returns", "the reward of a last step is thrown away with what follows it")
def without_the_last_reward(rewards, gamma, done=None):
    done = torch.zeros_like(rewards, dtype=torch.bool) if done is None else done
    running, found = torch.zeros_like(rewards[:, 0]), []
    for step in range(rewards.shape[1] - 1, -1, -1):
        running = (rewards[:, step] + gamma * running) * (~done[:, step])
        found.insert(0, running)
    return torch.stack(found, 1)


@right("discounted_returns", "as one matrix product")
def by_a_matrix(rewards, gamma, done=None):
    length = rewards.shape[1]
    steps = torch.arange(length)
    ahead = steps[None, :] - steps[:, None]
    discounts = torch.where(ahead >= 0, torch.tensor(float(gamma), dtype=rewards.dtype) ** ahead.clamp(min=0), 0.0)
    if done is None:
        return torch.einsum("bs,ts->bt", rewards, discounts.to(rewards))
    episode = done.long().cumsum(1) - done.long()
    together = episode[:, :, None] == episode[:, None, :]
    return torch.einsum("bs,bts->bt", rewards, discounts.to(rewards) * together)


@wrong("advantages", "a baseline that is not a constant")
def through_the_baseline(returns, baseline, mask=None, *, normalize=False):
    kept = torch.ones_like(returns, dtype=torch.bool) if mask is None else mask
    result = returns - baseline
    if normalize:
        result = (result - result[kept].mean()) / (result[kept].std(correction=0) + 1e-4)
    return result.masked_fill(~kept, 0)


@wrong("advantages", "padding counts in the mean and the deviation")
def padding_counts(returns, baseline, mask=None, *, normalize=False):
    result = (returns - baseline).detach()
    if normalize:
        result = (result - result.mean()) / (result.std(correction=0) + 1e-4)
    return result if mask is None else result.masked_fill(~mask, 0)


@right("advantages", "by masked means")
def by_masked_means(returns, baseline, mask=None, *, normalize=False):
    if returns.shape != baseline.shape or (mask is not None and mask.shape != returns.shape):
        raise ValueError("returns, baseline and mask need one shape")
    kept = torch.full_like(returns, True, dtype=torch.bool) if mask is None else mask
    result = torch.where(kept, returns - baseline, torch.zeros_like(returns)).detach()
    if normalize:
        count = kept.sum().clamp(min=1)
        result = torch.where(kept, result - result.sum() / count, torch.zeros_like(result))
        result = result / (torch.linalg.vector_norm(result) / count.sqrt() + 1e-4)
    return result
