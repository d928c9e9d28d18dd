"""Known mistakes in `rl`."""

import torch

from autograder.mistakes import edited, mistake
from solutions import rl as reference

# ---- bellman_backup

backup_without_rewards = edited(
    reference.bellman_backup,
    {"rewards + gamma": "0 * rewards + gamma"},
    says="What an action earns at once is missing: only the future counts here.",
)
backup_without_discount = edited(
    reference.bellman_backup,
    {"gamma * (": "("},
    says="The future counts in full, whatever γ is: where γ is 0 only the immediate reward should be left.",
)
backup_discounts_the_reward = edited(
    reference.bellman_backup,
    {"rewards + gamma * (transitions @ values)": "gamma * (rewards + transitions @ values)"},
    says="The immediate reward is discounted, too: γ belongs to what comes after it.",
)


@mistake(
    "bellman_backup",
    says="The values of the states that one comes from are averaged: look at which dimension of the transitions is s'.",
)
def backup_of_the_past(values, rewards, transitions, gamma):
    return rewards + gamma * torch.einsum("sat,s->ta", transitions, values)


@mistake("bellman_backup", says="The best of the next states is counted on, as if one could choose where a step leads.")
def backup_of_the_luckiest(values, rewards, transitions, gamma):
    reachable = torch.where(transitions > 0, values, -torch.inf).amax(dim=2)
    return rewards + gamma * reachable


@mistake(
    "bellman_backup",
    says="Rows that sum to less than 1 are stretched to 1: the episode can end there, after which nothing is earned.",
)
def backup_that_never_ends(values, rewards, transitions, gamma):
    return rewards + gamma * (transitions @ values) / transitions.sum(dim=2).clamp(min=1e-9)


# ---- value_iteration

value_iteration_of_the_mean = edited(
    reference.value_iteration,
    {
        "backup(before, rewards, transitions, gamma).amax(dim=1)": "backup(before, rewards, transitions, gamma).mean(dim=1)"
    },
    says="The values are those of somebody who acts at random: the mean over actions stands where the best belongs.",
)
value_iteration_of_the_worst = edited(
    reference.value_iteration,
    {"argmax(dim=1)": "argmin(dim=1)"},
    says="The policy takes the worst action of each state, though the values are right.",
)
value_iteration_that_gives_up_quietly = edited(
    reference.value_iteration,
    {
        '    raise ValueError(f"the values still changed by more than {tolerance} after {max_sweeps} sweeps")\n': (
            "    return values, backup(values, rewards, transitions, gamma).argmax(dim=1)\n"
        )
    },
    says="When the sweeps run out, unfinished values are returned as if they were final: nobody is told.",
)
value_iteration_from_one = edited(
    reference.value_iteration,
    {"zeros_like": "ones_like"},
    says="The first values are not 0, which shows as long as the sweeps have not forgotten it.",
)
value_iteration_of_one_sweep = edited(
    reference.value_iteration,
    {"if (values - before).abs().max() <= tolerance:": "if True:"},
    says="It stops after the first sweep: look at the condition that ends the loop.",
)
value_iteration_that_stops_at_the_first = edited(
    reference.value_iteration,
    {".abs().max() <=": ".abs().min() <="},
    says="It stops when one state has settled: all of them have to.",
)


@mistake(
    "value_iteration",
    says="Within a sweep new values are used at once: each sweep should work with the values of the one before.",
)
def value_iteration_in_place(rewards, transitions, gamma, *, tolerance=1e-4, max_sweeps=10_000, backup=None):
    values = torch.zeros_like(rewards[:, 0])
    for _ in range(max_sweeps):
        before = values.clone()
        for state in range(len(values)):
            values[state] = backup(values, rewards, transitions, gamma)[state].max()
        if (values - before).abs().max() <= tolerance:
            return values, backup(values, rewards, transitions, gamma).argmax(dim=1)
    raise ValueError("no convergence")


# ---- discounted_returns

returns_from_the_start = edited(
    reference.discounted_returns,
    {"reversed(range(rewards.shape[1]))": "range(rewards.shape[1])", "returns[::-1]": "returns"},
    says="What has been earned so far is added up, not what is still to come: without a discount 1, 2, 3 give 6, 5, 3.",
)
returns_the_wrong_way_round = edited(
    reference.discounted_returns,
    {"returns[::-1]": "returns"},
    says="The right numbers in the wrong order: they were found from the end, and have to be turned round.",
)
returns_across_episodes = edited(
    reference.discounted_returns,
    {"following.masked_fill(ends[:, step], 0)": "following"},
    says="Rewards of the next episode are counted for the one before: nothing may cross an end.",
)
returns_without_the_last_reward = edited(
    reference.discounted_returns,
    {
        "rewards[:, step] + gamma * following.masked_fill(ends[:, step], 0)": (
            "(rewards[:, step] + gamma * following).masked_fill(ends[:, step], 0)"
        )
    },
    says="The reward of the step that ends an episode is lost: it still counts, only what comes later does not.",
)
returns_without_discount = edited(
    reference.discounted_returns,
    {"gamma * following": "following"},
    says="Later rewards count in full, whatever γ is.",
)
returns_of_the_future_only = edited(
    reference.discounted_returns,
    {"rewards[:, step] + gamma * following": "gamma * (rewards[:, step] + following)"},
    says="A step's own reward is discounted, too: it counts in full.",
)


@mistake("discounted_returns", says="Where γ is 0 the result is not a number: somewhere it is divided by a power of γ.")
def returns_by_division(rewards, gamma, done=None):
    ends = torch.zeros_like(rewards, dtype=torch.bool) if done is None else done
    episode = ends.long().cumsum(1) - ends.long()
    powers = torch.tensor(gamma, dtype=rewards.dtype) ** torch.arange(rewards.shape[1])
    together = (episode[:, :, None] == episode[:, None, :]) & torch.ones(2 * (rewards.shape[1],)).triu().bool()
    return torch.einsum("bs,bts->bt", rewards * powers, together.to(rewards)) / powers


# ---- policy_gradient_loss

policy_gradient_uphill = edited(
    reference.policy_gradient_loss,
    {"return -(": "return ("},
    says="The sign is wrong: descending this loss makes well rewarded actions rarer.",
)
policy_gradient_mean_over_time = edited(
    reference.policy_gradient_loss,
    {".sum(dim=1).mean()": ".mean()"},
    says="The steps of an episode are averaged, so that long episodes count less: they should be added up.",
)
policy_gradient_sum_over_batch = edited(
    reference.policy_gradient_loss,
    {".sum(dim=1).mean()": ".sum()"},
    says="It grows with the number of episodes: over the batch it should be a mean.",
)
policy_gradient_through_returns = edited(
    reference.policy_gradient_loss,
    {"returns.detach()": "returns"},
    says="A gradient flows into the returns, which would be bent instead of earned: they are constants.",
)
policy_gradient_broadcasts = edited(
    reference.policy_gradient_loss,
    {
        "if other is not None and other.shape != log_probs.shape:": "if False:",
    },
    says="Returns or a mask of another shape are broadcast without a word, each step against the returns of all others.",
)
policy_gradient_of_products = edited(
    reference.policy_gradient_loss,
    {
        "-(log_probs * returns.detach()).sum(dim=1).mean()": "-(log_probs.mean(dim=1) * returns.detach().sum(dim=1)).mean()"
    },
    says="Each step is weighed with the returns of all steps: two reductions are multiplied, where products should be reduced.",
)
policy_gradient_of_probabilities = edited(
    reference.policy_gradient_loss,
    {"-(log_probs * ": "-(log_probs.exp() * "},
    says="Probabilities stand where their logarithms belong.",
)
policy_gradient_per_step = edited(
    reference.policy_gradient_loss,
    {
        "    return -(log_probs * returns.detach()).sum(dim=1).mean()": (
            "    count = log_probs.numel() / len(log_probs) if mask is None else mask.sum() / len(mask)\n"
            "    return -(log_probs * returns.detach()).sum(dim=1).mean() / max(1, count) * log_probs.shape[1]"
        )
    },
    says="Rows with padding count more than they should: it is divided by how many steps there really are.",
)

# ---- advantages

advantages_upside_down = edited(
    reference.advantages,
    {"(returns - baseline)": "(baseline - returns)"},
    says="The sign is wrong: an advantage is positive where more came than was expected.",
)
advantages_with_a_graph = edited(
    reference.advantages,
    {"(returns - baseline).detach()": "returns - baseline"},
    says="The advantages carry a graph: training the policy would bend the baseline.",
)
advantages_with_padding = edited(
    reference.advantages,
    {"result[kept].mean()": "result.mean()", "centred[kept].square()": "centred.square()"},
    says="Padding takes part in the mean and in the standard deviation.",
)
advantages_not_centred = edited(
    reference.advantages,
    {"result - result[kept].mean()": "result - 0"},
    says="Normalised advantages do not have mean 0: the mean over all steps has to be taken off.",
)
advantages_by_the_variance = edited(
    reference.advantages,
    {".mean().sqrt() + 1e-4": ".mean() + 1e-4"},
    says="It is divided by the variance, where the standard deviation belongs.",
)
advantages_row_by_row = edited(
    reference.advantages,
    {
        "        centred = result - result[kept].mean()\n"
        "        result = centred / (centred[kept].square().mean().sqrt() + 1e-4)\n": (
            "        count = kept.sum(1, keepdim=True).clamp(min=1)\n"
            "        result = result.masked_fill(~kept, 0)\n"
            "        centred = (result - result.sum(1, keepdim=True) / count).masked_fill(~kept, 0)\n"
            "        result = centred / ((centred.square().sum(1, keepdim=True) / count).sqrt() + 1e-4)\n"
        )
    },
    says="Each episode is normalised by itself: mean and deviation are those of all steps of the batch together.",
)
advantages_always_normalised = edited(
    reference.advantages,
    {"if normalize and kept.any():": "if kept.any():"},
    says="They are normalised although nobody asked for it.",
)
advantages_in_padding = edited(
    reference.advantages,
    {"return result.masked_fill(~kept, 0)": "return result"},
    says="Padding has advantages that are not 0.",
)

# ---- generalized_advantages

gae_without_lambda = edited(
    reference.generalized_advantages,
    {"gamma * lam * following": "gamma * following"},
    says="Surprises are discounted by γ alone: each step further away costs a factor of λ, too.",
)
gae_with_a_cut_value_only = edited(
    reference.generalized_advantages,
    {"gamma * lam * following.masked_fill(ends[:, step], 0)": "gamma * lam * following"},
    says="Surprises of the next episode are counted for the one before: nothing may cross an end.",
)
gae_with_the_value_after_the_end = edited(
    reference.generalized_advantages,
    {"values[:, step + 1].masked_fill(ends[:, step], 0)": "values[:, step + 1]"},
    says="After the last step of an episode a value is still counted on: nothing follows an end.",
)
gae_with_a_graph = edited(
    reference.generalized_advantages,
    {"    rewards, values = rewards.detach(), values.detach()\n": ""},
    says="The advantages carry a graph: training the policy would bend the critic.",
)
gae_with_the_same_value_twice = edited(
    reference.generalized_advantages,
    {"gamma * values[:, step + 1]": "gamma * values[:, step]"},
    says="The surprise is taken between a state and itself: the next value belongs to the state that the step led to.",
)
gae_that_ends_with_the_row = edited(
    reference.generalized_advantages,
    {
        "values[:, step + 1].masked_fill(ends[:, step], 0)": (
            "values[:, step + 1].masked_fill(ends[:, step] | (step + 1 == rewards.shape[1]), 0)"
        )
    },
    says="A row that merely stops is treated as an end: it goes on in its last value.",
)
gae_backwards = edited(
    reference.generalized_advantages,
    {"result[::-1]": "result"},
    says="The right numbers in the wrong order: they were found from the end, and have to be turned round.",
)

# ---- ppo_loss

ppo_uphill = edited(
    reference.ppo_loss,
    {"return -gain": "return gain"},
    says="The sign is wrong: this is a gain, and a loss is minus that.",
)
ppo_without_clipping = edited(
    reference.ppo_loss,
    {"ratio.clamp(1 - clip, 1 + clip)": "ratio"},
    says="Nothing is clipped: however far the ratio has moved, its gradient goes on.",
)
ppo_clipped_always = edited(
    reference.ppo_loss,
    {
        "torch.minimum(ratio * advantages.detach(), ": "(",
    },
    says="Only the clipped term is left: a ratio that moved in the wrong direction never comes back.",
)
ppo_with_the_larger = edited(
    reference.ppo_loss,
    {"torch.minimum": "torch.maximum"},
    says="The larger of the two terms is taken: the smaller one makes the step careful.",
)
ppo_of_differences = edited(
    reference.ppo_loss,
    {"(log_probs - old_log_probs.detach()).exp()": "1 + log_probs - old_log_probs.detach()"},
    says="The ratio is off where the policy has moved: a difference of logarithms has to be exponentiated.",
)
ppo_of_a_quotient = edited(
    reference.ppo_loss,
    {"(log_probs - old_log_probs.detach()).exp()": "(log_probs / old_log_probs.detach().clamp(max=-1e-6))"},
    says="Logarithms are divided by each other: the ratio is one of probabilities.",
)
ppo_mean_over_time = edited(
    reference.ppo_loss,
    {"gain.sum(dim=1).mean()": "gain.mean()"},
    says="The steps of a row are averaged: they should be added up.",
)
ppo_of_a_constant_policy = edited(
    reference.ppo_loss,
    {"(log_probs - old_log_probs.detach())": "(log_probs.detach() - old_log_probs)"},
    says="The gradient reaches the policy that acted, not the one that is being trained.",
)
ppo_with_a_clip_of_its_own = edited(
    reference.ppo_loss,
    {"ratio.clamp(1 - clip, 1 + clip)": "ratio.clamp(0.8, 1.2)"},
    says="It always clips at 0.2, whatever `clip` says.",
)

# ---- token_log_probs

token_log_probs_not_shifted = edited(
    reference.token_log_probs,
    {"logits[:, :-1]": "logits[:, 1:]"},
    says="Each token is judged by the logits of its own position, which have already seen it.",
)
token_log_probs_of_the_token_read = edited(
    reference.token_log_probs,
    {"tokens[:, 1:]": "tokens[:, :-1]"},
    says="The logits are asked for the token that was just read, not for the next one.",
)
token_log_probs_that_are_logits = edited(
    reference.token_log_probs,
    {".log_softmax(dim=2)": ""},
    says="These are plain logits: probabilities of all tokens do not add up to 1.",
)
token_log_probs_over_positions = edited(
    reference.token_log_probs,
    {"log_softmax(dim=2)": "log_softmax(dim=1)"},
    says="It is normalised over positions: over the tokens of one position probabilities do not add up to 1.",
)
token_log_probs_of_probabilities = edited(
    reference.token_log_probs,
    {".log_softmax(dim=2)": ".softmax(dim=2)"},
    says="These are probabilities: their logarithm is wanted.",
)
token_log_probs_by_a_logarithm = edited(
    reference.token_log_probs,
    {".log_softmax(dim=2)": ".softmax(dim=2).log()"},
    says="At large logits a probability becomes 0, and its logarithm infinite: take both steps at once.",
)
token_log_probs_of_negatives = edited(
    reference.token_log_probs,
    {"return logits": "return -logits"},
    says="This is the cross-entropy of each token, or the model's preferences turned round: the sign is wrong.",
)

# ---- reward_model_loss

reward_model_prefers_the_rejected = edited(
    reference.reward_model_loss,
    {"chosen - rejected)": "rejected - chosen)"},
    says="The rejected text is taught to be the better one: the difference has the wrong sign.",
)
reward_model_gain = edited(
    reference.reward_model_loss,
    {"return -F": "return F"},
    says="It is negative: this is the log-likelihood, and the loss is minus that.",
)
reward_model_of_probabilities = edited(
    reference.reward_model_loss,
    {"-F.logsigmoid(chosen - rejected)": "-torch.sigmoid(chosen - rejected)"},
    says="The probability of the choices stands where its logarithm belongs.",
)
reward_model_by_a_logarithm = edited(
    reference.reward_model_loss,
    {"F.logsigmoid(chosen - rejected)": "torch.sigmoid(chosen - rejected).log()"},
    says="At large differences a probability becomes 0, and the loss infinite: take both steps at once.",
)
reward_model_sum = edited(
    reference.reward_model_loss,
    {".mean()": ".sum()"},
    says="It grows with the number of pairs: it should be their mean.",
)
reward_model_broadcasts = edited(
    reference.reward_model_loss,
    {
        '        raise ValueError(f"shapes differ: chosen {tuple(chosen.shape)}, rejected {tuple(rejected.shape)}")\n': (
            "        rejected = rejected.reshape(-1).flip(0)\n"
        )
    },
    says="Rewards of another shape are taken without a word.",
)
reward_model_hinge = edited(
    reference.reward_model_loss,
    {"-F.logsigmoid(chosen - rejected)": "F.relu(1 - (chosen - rejected))"},
    says="This is a hinge loss: the probabilities of Bradley and Terry come from a sigmoid.",
)

# ---- kl_penalized_rewards

penalty_as_a_bonus = edited(
    reference.kl_penalized_rewards,
    {"(-beta * (": "(beta * ("},
    says="Leaving the reference is rewarded: the sign of the penalty is wrong.",
)
penalty_without_beta = edited(
    reference.kl_penalized_rewards,
    {"(-beta * (": "(-1.0 * ("},
    says="A nat costs 1, whatever β is.",
)
score_at_every_token = edited(
    reference.kl_penalized_rewards,
    {"F.one_hot(last, mask.shape[1]) * mask * scores": "mask * scores"},
    says="Every token earns the score of the whole text: only the last one does.",
)
score_at_the_end_of_the_row = edited(
    reference.kl_penalized_rewards,
    {"(mask * positions).argmax(dim=1)": "torch.full_like(mask.sum(dim=1), mask.shape[1] - 1)"},
    says="The score falls to the end of the row, where there is padding: it belongs to the last token that was written.",
)
score_at_the_first_token = edited(
    reference.kl_penalized_rewards,
    {"(mask * positions).argmax(dim=1)": "(mask * positions.flip(0)).argmax(dim=1)"},
    says="The first token earns the score: it belongs to the last one.",
)
score_counted_from_the_left = edited(
    reference.kl_penalized_rewards,
    {"(mask * positions).argmax(dim=1)": "(mask.sum(dim=1) - 1).clamp(min=0)"},
    says="The number of tokens is taken for the place of the last one, which is wrong where a prompt comes before.",
)
rewards_with_a_graph = edited(
    reference.kl_penalized_rewards,
    {".detach().masked_fill": ".masked_fill", "scores.detach()": "scores"},
    says="A gradient flows through the rewards: they are what the world says, not part of the policy.",
)
penalty_on_the_prompt = edited(
    reference.kl_penalized_rewards,
    {".detach().masked_fill(~mask, 0)": ".detach()"},
    says="Prompt and padding are charged, too: only what the policy wrote should be.",
)

# ---- kl_estimate

kl_estimate_k1 = edited(
    reference.kl_estimate,
    {"(difference.exp() - difference - 1)": "(-difference)"},
    says="Single estimates are negative: right on average, this one is noisier than the estimate that is asked for.",
)
kl_estimate_k2 = edited(
    reference.kl_estimate,
    {"(difference.exp() - difference - 1)": "(0.5 * difference.square())"},
    says="This is half the square of the log-ratio, which is not the divergence on average.",
)
kl_estimate_of_the_other_direction = edited(
    reference.kl_estimate,
    {"ref_log_probs - log_probs": "log_probs - ref_log_probs"},
    says="The ratio is upside down: averaged over what the policy writes it is not the divergence.",
)
kl_estimate_mean = edited(
    reference.kl_estimate,
    {".sum(dim=1)": ".mean(dim=1)"},
    says="The tokens of a text are averaged: they should be added up.",
)
kl_estimate_of_the_batch = edited(
    reference.kl_estimate,
    {".sum(dim=1)": ".sum(dim=1).mean()"},
    says="One number for the batch: there should be one for each text.",
)
kl_estimate_masked_too_late = edited(
    reference.kl_estimate,
    {
        "        log_probs, ref_log_probs = log_probs.masked_fill(~mask, 0), ref_log_probs.masked_fill(~mask, 0)\n": (
            "        log_probs, ref_log_probs = log_probs * mask, ref_log_probs * mask\n"
        )
    },
    says="Where the padding is infinite the result is not a number: infinity times 0 is not 0.",
)
kl_estimate_without_one = edited(
    reference.kl_estimate,
    {" - difference - 1": " - difference"},
    says="Two equal models are a whole nat apart for every token: something is missing at the end.",
)
kl_estimate_detached = edited(
    reference.kl_estimate,
    {"ref_log_probs - log_probs\n": "(ref_log_probs - log_probs).detach()\n"},
    says="No gradient reaches the policy: it can never be drawn back to its reference.",
)

# ---- group_relative_advantages

group_of_the_whole_batch = edited(
    reference.group_relative_advantages,
    {
        "rewards.mean(dim=1, keepdim=True)": "rewards.mean()",
        "rewards.std(dim=1, keepdim=True, correction=0)": "rewards.std(correction=0)",
    },
    says="All texts are compared with all others: a text should be compared with those for the same prompt.",
)
group_over_prompts = edited(
    reference.group_relative_advantages,
    {"rewards.mean(dim=1": "rewards.mean(dim=0", "rewards.std(dim=1": "rewards.std(dim=0"},
    says="Texts for different prompts are compared with each other: a group is a row.",
)
group_with_bessel = edited(
    reference.group_relative_advantages,
    {"correction=0": "correction=1"},
    says="The deviation is a little too large, and of a group of one not a number: it is the root of a plain mean.",
)
group_with_a_graph = edited(
    reference.group_relative_advantages,
    {"rewards = rewards.detach()": "rewards = rewards * 1"},
    says="A gradient flows through the advantages into the rewards.",
)
group_always_scaled = edited(
    reference.group_relative_advantages,
    {" if scale else centred": ""},
    says="It is divided by the deviation although `scale` is off.",
)
group_without_epsilon = edited(
    reference.group_relative_advantages,
    {" + 1e-4)": ")"},
    says="Where all texts of a group earn the same the result is not a number: 0 is divided by 0.",
)
group_by_the_variance = edited(
    reference.group_relative_advantages,
    {"rewards.std(": "rewards.var("},
    says="It is divided by the variance, where the standard deviation belongs.",
)
group_not_centred = edited(
    reference.group_relative_advantages,
    {"centred = rewards - rewards.mean(dim=1, keepdim=True)": "centred = rewards"},
    says="The mean of the group is not taken off: on an easy prompt every text would look good.",
)

# ---- best_of_n

best_of_n_plus_one = edited(
    reference.best_of_n,
    {"range(n - 1)": "range(n)"},
    says="One text too many is drawn for each prompt.",
)
worst_of_n = edited(
    reference.best_of_n,
    {
        "rewards > highest": "rewards < highest",
        "torch.where(better, rewards, highest)": "torch.minimum(rewards, highest)",
    },
    says="The text with the lowest reward is kept.",
)
last_of_equals = edited(
    reference.best_of_n,
    {"rewards > highest": "rewards >= highest"},
    says="Among equals the last one is kept: the first should be.",
)
best_for_the_whole_batch = edited(
    reference.best_of_n,
    {"better = rewards > highest": "better = (rewards.sum() > highest.sum()).expand(len(rewards))"},
    says="One draw is kept for the whole batch: each prompt has a best text of its own.",
)
best_without_its_reward = edited(
    reference.best_of_n,
    {"        highest = torch.where(better, rewards, highest)\n": ""},
    says="The highest reward so far is not remembered: each text is compared with the first one only.",
)
best_without_generator = edited(
    reference.best_of_n,
    {
        "    best = sample(prompts, generator)": "    best = sample(prompts, None)",
        "        tokens = sample(prompts, generator)": "        tokens = sample(prompts, None)",
    },
    says="The generator is not handed to `sample`: the same seed does not give the same texts.",
)
best_of_none_too = edited(
    reference.best_of_n,
    {'        raise ValueError(f"the best of {n} texts does not exist: n must be at least 1")\n': "        n = 1\n"},
    says="Where n is 0 a text is returned as if one had been asked for.",
)
last_of_n = edited(
    reference.best_of_n,
    {"better = rewards > highest": "better = torch.ones_like(rewards, dtype=torch.bool)"},
    says="Whatever was drawn last is kept, not what was rewarded most.",
)

# ---- dpo_loss

dpo_prefers_the_rejected = edited(
    reference.dpo_loss,
    {
        "margin = (chosen - rejected) - (ref_chosen - ref_rejected)": (
            "margin = (rejected - chosen) - (ref_rejected - ref_chosen)"
        )
    },
    says="It pulls the rejected text up: the two are confused.",
)
dpo_without_reference = edited(
    reference.dpo_loss,
    {" - (ref_chosen - ref_rejected).detach()": ""},
    says="The reference plays no part: at the start, where both models agree, the loss should be log 2.",
)
dpo_with_the_reference_added = edited(
    reference.dpo_loss,
    {") - (ref_chosen": ") + (ref_chosen"},
    says="The reference is added, where its log-probabilities should be taken off.",
)
dpo_without_beta = edited(
    reference.dpo_loss,
    {"F.logsigmoid(beta * margin)": "F.logsigmoid(margin)"},
    says="β plays no part.",
)
dpo_with_beta_outside = edited(
    reference.dpo_loss,
    {"-F.logsigmoid(beta * margin)": "-beta * F.logsigmoid(margin)"},
    says="β stands outside of the sigmoid: at the start the loss should be log 2, whatever β is.",
)
dpo_sum = edited(
    reference.dpo_loss, {".mean()": ".sum()"}, says="It grows with the number of pairs: it should be their mean."
)
dpo_trains_the_reference = edited(
    reference.dpo_loss,
    {"(ref_chosen - ref_rejected).detach()": "(ref_chosen - ref_rejected)"},
    says="A gradient flows into the reference, which is a constant.",
)
dpo_by_a_logarithm = edited(
    reference.dpo_loss,
    {"F.logsigmoid(beta * margin)": "torch.sigmoid(beta * margin).log()"},
    says="At small probabilities the loss becomes infinite: take the sigmoid and its logarithm at once.",
)

# ---- reward_weighted_loss

weights_that_do_not_add_up = edited(
    reference.reward_weighted_loss,
    {".softmax(dim=0)": ".exp()"},
    says="The weights do not add up to 1: with equal rewards the result should be the plain mean.",
)
weights_of_the_worst = edited(
    reference.reward_weighted_loss,
    {"(rewards.detach() / temperature)": "(-rewards.detach() / temperature)"},
    says="Badly rewarded samples weigh more.",
)
weights_with_a_graph = edited(
    reference.reward_weighted_loss,
    {"rewards.detach()": "rewards"},
    says="A gradient flows into the rewards.",
)
weights_with_mean = edited(
    reference.reward_weighted_loss,
    {"(weights * losses).sum()": "(weights * losses).mean()"},
    says="It is divided by the number of samples once more: the weights already add up to 1.",
)
weights_times_temperature = edited(
    reference.reward_weighted_loss,
    {"rewards.detach() / temperature": "rewards.detach() * temperature"},
    says="A low temperature makes all samples count alike: it is the wrong way round.",
)
weights_without_temperature = edited(
    reference.reward_weighted_loss,
    {"rewards.detach() / temperature": "rewards.detach()"},
    says="The temperature plays no part.",
)
weights_in_proportion = edited(
    reference.reward_weighted_loss,
    {
        "(rewards.detach() / temperature).softmax(dim=0)": (
            "F.normalize(rewards.detach().clamp(min=0) + 1e-9, p=1, dim=0)"
        )
    },
    says="The weights are in proportion to the rewards themselves, and negative rewards are lost.",
)
weights_that_overflow = edited(
    reference.reward_weighted_loss,
    {
        "(rewards.detach() / temperature).softmax(dim=0)": (
            "(rewards.detach() / temperature).exp() / (rewards.detach() / temperature).exp().sum()"
        )
    },
    says="At large rewards the result is not a number: the exponentials overflow, or all become 0.",
)
