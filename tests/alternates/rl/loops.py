"""Correct answers to `rl`, number by number and in double precision where that is allowed."""

import math

import torch


def bellman_backup(values, rewards, transitions, gamma):
    states, actions = rewards.shape
    rows = []
    for s in range(states):
        row = []
        for a in range(actions):
            future = sum(transitions[s, a, t] * values[t] for t in range(states))
            row.append(rewards[s, a] + gamma * future)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def value_iteration(rewards, transitions, gamma, *, tolerance=1e-4, max_sweeps=10_000, backup=bellman_backup):
    values = torch.zeros(rewards.shape[0], dtype=rewards.dtype)
    for _ in range(max_sweeps):
        table = backup(values, rewards, transitions, gamma).tolist()
        best = torch.tensor([max(row) for row in table], dtype=rewards.dtype)
        settled = all(abs(a - b) <= tolerance for a, b in zip(best.tolist(), values.tolist(), strict=True))
        values = best
        if settled:
            table = backup(values, rewards, transitions, gamma).tolist()
            return values, torch.tensor([row.index(max(row)) for row in table])
    raise ValueError("the sweeps ran out")


def discounted_returns(rewards, gamma, done=None):
    rows = []
    for b, row in enumerate(rewards):
        columns = []
        for t in range(len(row)):
            total, factor = 0.0, 1.0
            for s in range(t, len(row)):
                total = total + factor * row[s]
                factor *= gamma
                if done is not None and done[b, s]:
                    break
            columns.append(total)
        rows.append(torch.stack(columns))
    return torch.stack(rows)


def policy_gradient_loss(log_probs, returns, mask=None):
    if returns.shape != log_probs.shape or (mask is not None and mask.shape != log_probs.shape):
        raise ValueError("all shapes must agree")
    total = log_probs.new_zeros(())
    for b in range(log_probs.shape[0]):
        for t in range(log_probs.shape[1]):
            if mask is None or mask[b, t]:
                total = total - log_probs[b, t] * returns[b, t].item()
    return total / log_probs.shape[0]


def advantages(returns, baseline, mask=None, *, normalize=False):
    if baseline.shape != returns.shape or (mask is not None and mask.shape != returns.shape):
        raise ValueError("all shapes must agree")
    places = [tuple(place) for place in (torch.ones(returns.shape) if mask is None else mask).nonzero().tolist()]
    found = {place: (returns[place] - baseline[place]).item() for place in places}
    if normalize and found:
        mean = math.fsum(found.values()) / len(found)
        deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in found.values()) / len(found))
        found = {place: (x - mean) / (deviation + 1e-4) for place, x in found.items()}
    result = torch.zeros(returns.shape, dtype=returns.dtype)
    for place, x in found.items():
        result[place] = x
    return result


def generalized_advantages(rewards, values, gamma, lam, done=None):
    result = torch.zeros(rewards.shape, dtype=rewards.dtype)
    for b in range(rewards.shape[0]):
        running = 0.0
        for t in range(rewards.shape[1] - 1, -1, -1):
            over = done is not None and bool(done[b, t])
            bootstrap = 0.0 if over else values[b, t + 1].item()
            running = (
                rewards[b, t].item()
                + gamma * bootstrap
                - values[b, t].item()
                + (0.0 if over else gamma * lam * running)
            )
            result[b, t] = running
    return result


def ppo_loss(log_probs, old_log_probs, advantages, mask=None, *, clip=0.2):
    costs = []
    for b in range(log_probs.shape[0]):
        for t in range(log_probs.shape[1]):
            if mask is not None and not mask[b, t]:
                continue
            ratio = torch.exp(log_probs[b, t] - old_log_probs[b, t].item())
            a = advantages[b, t].item()
            costs.append(-torch.min(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a))
    if not costs:
        return (log_probs.masked_fill(torch.ones_like(log_probs, dtype=torch.bool), 0.0)).sum()
    return torch.stack(costs).sum() / log_probs.shape[0]


def token_log_probs(logits, tokens):
    rows = []
    for scores, text in zip(logits, tokens.tolist(), strict=True):
        columns = [scores[t, token] - torch.logsumexp(scores[t], 0) for t, token in enumerate(text[1:])]
        rows.append(torch.stack(columns))
    return torch.stack(rows)


def reward_model_loss(chosen, rejected):
    if chosen.shape != rejected.shape:
        raise ValueError("chosen and rejected do not fit")
    zero = torch.zeros_like(chosen)
    return torch.logaddexp(zero, rejected - chosen).sum() / len(chosen)


def kl_penalized_rewards(scores, log_probs, ref_log_probs, mask, beta):
    rewards = torch.zeros(log_probs.shape, dtype=log_probs.dtype)
    for b, row in enumerate(mask.tolist()):
        places = [t for t, wrote in enumerate(row) if wrote]
        for t in places:
            rewards[b, t] = beta * (ref_log_probs[b, t].item() - log_probs[b, t].item())
        if places:
            rewards[b, places[-1]] += scores[b].item()
    return rewards


def kl_estimate(log_probs, ref_log_probs, mask=None):
    rows = []
    for b in range(log_probs.shape[0]):
        total = log_probs.new_zeros(()) + 0 * log_probs.masked_fill(torch.ones_like(log_probs).bool(), 0).sum()
        for t in range(log_probs.shape[1]):
            if mask is None or mask[b, t]:
                d = ref_log_probs[b, t] - log_probs[b, t]
                total = total + d.exp() - d - 1
        rows.append(total)
    return torch.stack(rows)


def group_relative_advantages(rewards, *, scale=True):
    rows = []
    for row in rewards.tolist():
        mean = math.fsum(row) / len(row)
        centred = [x - mean for x in row]
        deviation = math.sqrt(math.fsum(x * x for x in centred) / len(row)) + 1e-4
        rows.append([x / deviation if scale else x for x in centred])
    return torch.tensor(rows, dtype=rewards.dtype)


def best_of_n(prompts, sample, reward, n, *, generator=None):
    if n < 1:
        raise ValueError("at least one text has to be drawn")
    draws = [sample(prompts, generator) for _ in range(n)]
    worth = [reward(tokens) for tokens in draws]
    texts, rewards = [], []
    for b in range(len(prompts)):
        column = [found[b].item() for found in worth]
        best = column.index(max(column))
        texts.append(draws[best][b])
        rewards.append(worth[best][b])
    return torch.stack(texts), torch.stack(rewards)


def dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=0.1):
    losses = []
    for win, lose, ref_win, ref_lose in zip(chosen, rejected, ref_chosen.tolist(), ref_rejected.tolist(), strict=True):
        margin = beta * ((win - ref_win) - (lose - ref_lose))
        losses.append(torch.logaddexp(torch.zeros_like(margin), -margin))
    return torch.stack(losses).mean()


def reward_weighted_loss(losses, rewards, temperature=1.0):
    if not temperature > 0:
        raise ValueError("the temperature must be above 0")
    highest = max(rewards.tolist())
    odds = [math.exp((reward - highest) / temperature) for reward in rewards.tolist()]
    return sum(w / sum(odds) * loss for w, loss in zip(odds, losses, strict=True))
