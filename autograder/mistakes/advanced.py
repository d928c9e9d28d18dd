"""Known mistakes in `advanced`."""

import math

import torch

from autograder.mistakes import edited, mistake
from solutions import advanced as reference

# ---- few_shot_prompt

prompt_with_a_space_at_the_end = edited(
    reference.few_shot_prompt,
    {'Output:"])': 'Output: "])'},
    says="The prompt ends with a space: most tokenizers put it at the front of the next word, where it is missing now.",
)
prompt_with_single_line_breaks = edited(
    reference.few_shot_prompt,
    {'"\\n\\n".join': '"\\n".join'},
    says="Nothing parts one example from the next: there should be a blank line between blocks.",
)
prompt_newest_first = edited(
    reference.few_shot_prompt,
    {"in examples[first:]]": "in examples[first:][::-1]]"},
    says="The examples stand in the opposite order: the newest should be nearest to the query.",
)
prompt_drops_the_newest = edited(
    reference.few_shot_prompt,
    {"in examples[first:]]": "in examples[: len(examples) - first]]"},
    says="Under a limit the newest examples are left out, and the oldest kept.",
)
prompt_in_characters = edited(
    reference.few_shot_prompt,
    {"length(prompt) <= limit": "len(prompt) <= limit"},
    says="The limit is compared with the number of characters, whatever `length` was passed.",
)
prompt_below_the_limit = edited(
    reference.few_shot_prompt,
    {"length(prompt) <= limit": "length(prompt) < limit"},
    says="A prompt that is exactly as long as the limit is refused, though it fits.",
)
prompt_that_is_too_long = edited(
    reference.few_shot_prompt,
    {'    raise ValueError(f"the query alone is longer than {limit}")\n': "    return prompt\n"},
    says="A query that alone is longer than the limit is returned all the same: nobody is told that it does not fit.",
)
prompt_cut_off = edited(
    reference.few_shot_prompt,
    {
        "        if limit is None or length(prompt) <= limit:\n            return prompt\n": (
            "        return prompt if limit is None else prompt[-limit:]\n"
        )
    },
    says="A prompt that is too long is cut in the middle of an example: whole examples should go.",
)
prompt_with_all_or_nothing = edited(
    reference.few_shot_prompt,
    {"range(len(examples) + 1)": "sorted({0, len(examples)})"},
    says="If not all examples fit none is kept: no more should be left out than necessary.",
)
prompt_without_its_instruction = edited(
    reference.few_shot_prompt,
    {"[instruction] if instruction else []": "[instruction] if instruction and not first else []"},
    says="When examples have to be left out the instruction goes, too: it should always stay.",
)
prompt_that_strips = edited(
    reference.few_shot_prompt,
    {
        "Input: {given}\\nOutput: {answer}": "Input: {given.strip()}\\nOutput: {answer.strip()}",
        "{query}": "{query.strip()}",
    },
    says="The strings are not put in as they are: spaces at their ends are gone.",
)

# ---- label_log_likelihoods

labels_one_place_late = edited(
    reference.label_log_likelihoods,
    {"+ len(prompt) - 1": "+ len(prompt)"},
    says="Each token is scored by the logits at its own place, which have seen it already: those before it predict it.",
)
labels_with_their_prompt = edited(
    reference.label_log_likelihoods,
    {
        "torch.arange(len(label), device=label.device) + len(prompt) - 1": "torch.arange(len(prompt) + len(label) - 1)",
        "row[places, label]": "row[places, torch.cat([prompt, label])[1:]]",
    },
    says="The tokens of the prompt are scored, too: only the label's own count.",
)
labels_always_averaged = edited(
    reference.label_log_likelihoods,
    {"total / len(label) if normalize else total": "total / len(label)"},
    says="Every sum is divided by the number of tokens, although nobody asked for that.",
)
labels_never_averaged = edited(
    reference.label_log_likelihoods,
    {"total / len(label) if normalize else total": "total"},
    says="normalize changes nothing: the sums are not divided by the number of tokens.",
)
labels_averaged_over_the_row = edited(
    reference.label_log_likelihoods,
    {"total / len(label)": "total / (rows.shape[1] - len(prompt))"},
    says="Sums are divided by the length of the longest label, not by that of each one.",
)
labels_with_padding = edited(
    reference.label_log_likelihoods,
    {
        "torch.arange(len(label), device=label.device) + len(prompt) - 1": "torch.arange(len(prompt) - 1, rows.shape[1] - 1)",
        "row[places, label]": "row[places, F.pad(label, (0, rows.shape[1] - len(prompt) - len(label)), value=padding)]",
    },
    says="The padding of short labels is scored as if it were part of them.",
)
labels_without_softmax = edited(
    reference.label_log_likelihoods,
    {"model(rows).log_softmax(dim=-1)": "model(rows)"},
    says="The model's raw scores are added up: only after normalisation over the vocabulary are they log-probabilities.",
)
labels_of_their_first_token = edited(
    reference.label_log_likelihoods,
    {"row[places, label].sum()": "row[places, label][0]"},
    says="Only the first token of each label counts.",
)
labels_padded_on_the_left = edited(
    reference.label_log_likelihoods,
    {
        "padding_value=padding": 'padding_value=padding, padding_side="left"',
        "+ len(prompt) - 1": "+ rows.shape[1] - len(label) - 1",
    },
    says="Short labels are padded on the left, where the model reads the padding as part of the prompt.",
)
labels_without_the_padding_token = edited(
    reference.label_log_likelihoods,
    {"row[places, label].sum()": "row[places, label][label != padding].sum()"},
    says="A token of a label that happens to be the padding's is left out, though it stands in the label.",
)


@mistake(
    "label_log_likelihoods",
    says="All tokens of a label are scored right after the prompt, as if those before them had not been said.",
)
def labels_all_at_once(model, prompt, labels, *, padding=0, normalize=False):
    log_probs = model(prompt[None])[0, -1].log_softmax(dim=-1)
    sums = [log_probs[label].sum() / (len(label) if normalize else 1) for label in labels]
    return torch.stack(sums)


# ---- zero_shot_classify

classes_without_calibration = edited(
    reference.zero_shot_classify,
    {"(log_probs - prior)": "(log_probs - 0 * prior)"},
    says="The content-free inputs change nothing.",
)
classes_times_the_prior = edited(
    reference.zero_shot_classify,
    {"log_probs - prior": "log_probs + prior"},
    says="The prior makes a favourite even more of a favourite: probabilities are multiplied by it, not divided.",
)
classes_less_the_prior = edited(
    reference.zero_shot_classify,
    {
        "log_probs = (log_probs - prior).log_softmax(dim=1)": (
            "log_probs = (log_probs.exp() - prior.exp() / len(content_free)).clamp(min=1e-30).log().log_softmax(dim=1)"
        )
    },
    says="The prior is subtracted from the probabilities: they should be divided by it.",
)
classes_by_the_mean_logarithm = edited(
    reference.zero_shot_classify,
    {"content_free.log_softmax(dim=1).logsumexp(dim=0)": ("content_free.log_softmax(dim=1).mean(dim=0)")},
    says="Of several content-free inputs the logarithms are averaged, and not the probabilities.",
)
classes_of_unnormalised_contents = edited(
    reference.zero_shot_classify,
    {"content_free.log_softmax(dim=1).logsumexp": "content_free.logsumexp"},
    says="Content-free inputs with higher scores count more: each one's should be made probabilities before averaging.",
)
classes_of_the_first_content = edited(
    reference.zero_shot_classify,
    {"content_free.log_softmax(dim=1).logsumexp(dim=0)": "content_free[0].log_softmax(dim=0)"},
    says="Only the first of several content-free inputs counts.",
)
classes_that_are_not_normalised = edited(
    reference.zero_shot_classify,
    {"(log_probs - prior).log_softmax(dim=1)": "log_probs - prior"},
    says="After the division the probabilities of an input no longer add up to 1.",
)
classes_over_the_batch = edited(
    reference.zero_shot_classify,
    {"scores.log_softmax(dim=1)": "scores.log_softmax(dim=0)"},
    says="Scores are normalised over the inputs of a batch, where they should be over the labels of each input.",
)


@mistake(
    "zero_shot_classify",
    says="Very small probabilities become 0, and dividing by them gives no number: stay with logarithms to the end.",
)
def classes_that_underflow(scores, content_free=None):
    p = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
    if content_free is not None:
        p = p / content_free.softmax(dim=1).mean(dim=0)
        p = p / p.sum(dim=1, keepdim=True)
    return p.argmax(dim=1), p


@mistake(
    "zero_shot_classify",
    says="The label is chosen before the calibration: it is right for the probabilities as they were.",
)
def classes_chosen_too_early(scores, content_free=None):
    log_probs = scores.log_softmax(dim=1)
    choice = log_probs.argmax(dim=1)
    if content_free is not None:
        prior = content_free.log_softmax(dim=1).logsumexp(dim=0) - math.log(len(content_free))
        log_probs = (log_probs - prior).log_softmax(dim=1)
    return choice, log_probs.exp()


# ---- demographic_parity_gap

gap_with_a_sign = edited(
    reference.demographic_parity_gap,
    {"rates.max() - rates.min()": "rates[0] - rates[-1]"},
    says="The first group is compared with the last one, with a sign: the best-treated belongs against the worst-treated.",
)
gap_by_the_deviation = edited(
    reference.demographic_parity_gap,
    {"rates.max() - rates.min()": "rates.std(correction=0)"},
    says="This is the standard deviation of the rates, not the distance of the largest from the smallest.",
)
gap_to_the_average = edited(
    reference.demographic_parity_gap,
    {"rates.max() - rates.min()": "(rates - decisions.mean()).abs().max()"},
    says="Groups are compared with everybody together: the gap is between two groups.",
)
gap_of_ratios = edited(
    reference.demographic_parity_gap,
    {"rates.max() - rates.min()": "1 - rates.min() / rates.max()"},
    says="Rates are divided, as in the four-fifths rule: the gap is a difference.",
)
gap_of_shares = edited(
    reference.demographic_parity_gap,
    {"decisions[groups == group].mean()": "decisions[groups == group].sum() / len(decisions)"},
    says="A group's favourable decisions are divided by the number of all people: large groups seem well treated.",
)
gap_whoever_is_qualified = edited(
    reference.demographic_parity_gap,
    {"if qualified is not None:": "if False:"},
    says="Everybody counts, whoever is qualified.",
)
gap_of_ones = edited(
    reference.demographic_parity_gap,
    {"decisions[qualified != 0], groups[qualified != 0]": "decisions[qualified == 1], groups[qualified == 1]"},
    says="Whoever has another number than 1 in `qualified` is left out: everything but 0 counts.",
)
gap_per_member = edited(
    reference.demographic_parity_gap,
    {
        "decisions, groups = decisions[qualified != 0], groups[qualified != 0]": "decisions = decisions * (qualified != 0)"
    },
    says="Those who are not qualified count as refused: they should not count at all, in the numbers of their groups either.",
)
gap_of_rounded_decisions = edited(
    reference.demographic_parity_gap,
    {"decisions[groups == group].mean()": "(decisions[groups == group] > 0.5).to(decisions).mean()"},
    says="Probabilities are turned into yes and no before the mean is taken.",
)

# ---- swap_terms


@mistake(
    "swap_terms",
    says="A word that was put in is replaced again: look at what happens to a text that holds both words of a pair.",
)
def terms_one_after_the_other(text, pairs):
    def replace(text, one, other):
        def partner(found):
            return other.capitalize() if found[0][0].isupper() else other

        return re.sub(f"(?<![A-Za-z]){one}(?![A-Za-z])", partner, text, flags=re.IGNORECASE)

    for one, other in pairs:
        text = replace(replace(text, one, other), other, one)
    return text


terms_inside_of_words = edited(
    reference.swap_terms,
    {
        "    def swapped": '    terms = "|".join(sorted(partner, key=len, reverse=True)) or "(?!)"\n\n    def swapped',
        '"[A-Za-z]+", swapped, text': "terms, swapped, text, flags=re.IGNORECASE",
    },
    says="Terms are replaced inside of longer words, too, so that “there” becomes “tshere”.",
)
terms_in_one_direction = edited(
    reference.swap_terms,
    {"((one, other), (other, one))": "((one, other),)"},
    says="Only the first word of each pair is replaced: the second should become the first.",
)
terms_in_small_letters_only = edited(
    reference.swap_terms,
    {"partner.get(word.lower())": "partner.get(word)"},
    says="Terms with capitals are not found: a word at the beginning of a sentence stays.",
)
terms_that_lose_their_capital = edited(
    reference.swap_terms,
    {"return other.capitalize() if word[0].isupper() else other": "return other"},
    says="A replacement at the beginning of a sentence is written with a small letter.",
)
terms_that_keep_all_capitals = edited(
    reference.swap_terms,
    {"return other.cap": "return other.upper() if word.isupper() else other.cap"},
    says="A word in capitals is replaced by a word in capitals: only the first letter should be one.",
)
terms_between_spaces = edited(
    reference.swap_terms,
    {'re.sub("[A-Za-z]+"': 're.sub(r"\\S+"'},
    says="Words are taken from space to space: with a comma or a full stop behind it a term is not found.",
)
terms_with_digits = edited(
    reference.swap_terms,
    {'re.sub("[A-Za-z]+"': 're.sub(r"[\\w\']+"'},
    says="Digits, underscores, apostrophes and letters with accents are taken as part of a word: “he's” is not found.",
)


@mistake("swap_terms", says="Spaces and line breaks of the text do not survive: it is taken apart and joined anew.")
def terms_joined_by_spaces(text, pairs):
    partner = {a: b for one, other in pairs for a, b in ((one, other), (other, one))}

    def swapped(found):
        other = partner.get(found[0].lower())
        return found[0] if other is None else other.capitalize() if found[0][0].isupper() else other

    return " ".join(re.sub("[A-Za-z]+", swapped, word) for word in text.split())


# ---- counterfactual_gap

counterfactual_with_a_sign = edited(
    reference.counterfactual_gap,
    {".abs().mean()": ".mean()"},
    says="Differences of opposite sign cancel: a score that is unfair in both directions seems fair.",
)
counterfactual_of_the_mean = edited(
    reference.counterfactual_gap,
    {".abs().mean()": ".mean().abs()"},
    says="The absolute value is taken of the mean: differences of opposite sign have cancelled by then.",
)
counterfactual_of_everybody = edited(
    reference.counterfactual_gap,
    {"if (other := swap(text)) != text]": "for other in [swap(text)]]"},
    says="Texts without anything to swap count, too, and make the gap seem smaller than it is.",
)
counterfactual_of_the_worst = edited(
    reference.counterfactual_gap,
    {".abs().mean()": ".abs().max()"},
    says="This is the largest distance of all texts, not their mean.",
)
counterfactual_squared = edited(
    reference.counterfactual_gap,
    {".abs().mean()": ".square().mean()"},
    says="The differences are squared, so that one large one outweighs many small ones.",
)
counterfactual_summed = edited(
    reference.counterfactual_gap,
    {".abs().mean()": ".abs().sum()"},
    says="The distances are added up: the gap grows with the number of texts.",
)
counterfactual_of_nobody = edited(
    reference.counterfactual_gap,
    {'        raise ValueError("no text holds anything to swap")\n': "        return torch.tensor(0.0)\n"},
    says="Where no text could be swapped the gap is 0, as if it had been measured.",
)

# ---- embedding_association

weat_of_the_population = edited(
    reference.embedding_association,
    {".std()": ".std(correction=0)"},
    says="The standard deviation divides by n: the sample's divides by n − 1.",
)
weat_of_products = edited(
    reference.embedding_association,
    {"F.cosine_similarity(targets[:, None], words, dim=2)": "(targets[:, None] * words).sum(dim=2)"},
    says="Inner products stand for cosines: long vectors count more than short ones.",
)
weat_without_scale = edited(
    reference.embedding_association,
    {" / torch.cat([of_x, of_y]).std()": ""},
    says="d is only the difference of the two means: it is not divided by the standard deviation.",
)
weat_pooled = edited(
    reference.embedding_association,
    {"torch.cat([of_x, of_y]).std()": "torch.cat([of_x - of_x.mean(), of_y - of_y.mean()]).std()"},
    says="The deviation is taken within each set, as in Cohen's d: it belongs to both sets together.",
)
weat_of_one_set = edited(
    reference.embedding_association,
    {"torch.cat([of_x, of_y]).std()": "of_x.std()"},
    says="The standard deviation is that of x alone: y's associations belong to it.",
)
weat_the_other_way_round = edited(
    reference.embedding_association,
    {"near - far": "far - near"},
    says="The sign is turned: a word near to a should have a positive association.",
)
weat_with_sums = edited(
    reference.embedding_association,
    {"dim=2).mean(dim=1)": "dim=2).sum(dim=1)"},
    says="Cosines are added up: a larger set of attribute words seems nearer.",
)
weat_to_the_nearest = edited(
    reference.embedding_association,
    {"dim=2).mean(dim=1)": "dim=2).amax(dim=1)"},
    says="Only the nearest attribute word counts: the association is a mean over all of them.",
)

# ---- permutation_p_value

p_strictly_above = edited(
    reference.permutation_p_value,
    {">= observed - 1e-6": "> observed + 1e-6"},
    says="Choices that differ just as much do not count, not even the one that was observed: the p-value can be 0.",
)
p_on_both_sides = edited(
    reference.permutation_p_value,
    {"differences >= observed - 1e-6": "differences.abs() >= observed.abs() - 1e-6"},
    says="Differences in the other direction count, too: the test is one-sided.",
)
p_from_below = edited(
    reference.permutation_p_value,
    {"differences >= observed - 1e-6": "differences <= observed + 1e-6"},
    says="Small differences are counted: where x lies far above y the p-value should be small.",
)
p_plus_one = edited(
    reference.permutation_p_value,
    {
        "    return (differences >= observed - 1e-6).double().mean().item()": (
            "    return (int((differences >= observed - 1e-6).sum()) + 1) / (len(differences) + 1)"
        )
    },
    says="One is added above and below, as for sampled permutations: here every choice was looked at, the observed one too.",
)


@mistake(
    "permutation_p_value",
    says="Permutations are sampled, so that the p-value is only nearly right: there are few enough to look at all.",
)
def p_of_samples(x, y):
    pool, larger = torch.cat([x, y]).double(), 0
    observed = pool[: len(x)].mean() - pool[len(x) :].mean()
    for _ in range(500):
        mixed = pool[torch.randperm(len(pool))]
        larger += int(mixed[: len(x)].mean() - mixed[len(x) :].mean() >= observed - 1e-6)
    return larger / 500


@mistake(
    "permutation_p_value",
    says="This is the p-value of a normal distribution: with so few numbers the choices themselves should be counted.",
)
def p_of_a_normal_distribution(x, y):
    spread = (x.var(correction=0) / len(x) + y.var(correction=0) / len(y)).sqrt().clamp(min=1e-9)
    return float(torch.erfc((x.mean() - y.mean()) / spread / math.sqrt(2)) / 2)


# ---- bias_direction

direction_of_the_means = edited(
    reference.bias_direction,
    {
        "direction = torch.linalg.svd(centred.flatten(0, 1), full_matrices=False).Vh[0]": (
            "direction = F.normalize(centred[:, 0].mean(dim=0), dim=0)"
        )
    },
    says="This is the mean of the differences: it is near to the first principal component, but not the same.",
)
direction_not_centred = edited(
    reference.bias_direction,
    {"pairs - pairs.mean(dim=1, keepdim=True)": "pairs - 0 * pairs"},
    says="The words are not centred: the direction is that of where the pairs lie, not of how they differ.",
)
direction_centred_together = edited(
    reference.bias_direction,
    {"pairs.mean(dim=1, keepdim=True)": "pairs.mean(dim=(0, 1), keepdim=True)"},
    says="All pairs are centred by one mean: each has its own.",
)
direction_of_the_last = edited(
    reference.bias_direction,
    {".Vh[0]": ".Vh[-1]"},
    says="This is the direction in which the pairs differ least: the components come in descending order.",
)
direction_of_a_column = edited(
    reference.bias_direction,
    {".Vh[0]": ".Vh[:, 0]"},
    says="A column of the matrix of right singular vectors is taken: they are its rows.",
)
direction_with_any_sign = edited(
    reference.bias_direction,
    {"(centred[:, 0] @ direction).sum() < 0": "direction[0] < 0"},
    says="The sign has nothing to do with which word of a pair comes first.",
)
direction_to_the_second_words = edited(
    reference.bias_direction,
    {".sum() < 0": ".sum() > 0"},
    says="The direction points towards the second words: the first ones belong on its positive side.",
)

# ---- remove_direction

removal_of_long_directions = edited(
    reference.remove_direction,
    {"direction / direction.norm()": "direction"},
    says="The direction is used with the length that it has: what is taken out grows with its square.",
)
removal_divided_once = edited(
    reference.remove_direction,
    {"torch.outer(vectors @ unit, unit)": "torch.outer(vectors @ direction, unit)"},
    says="The direction was scaled to length 1 in one of its two places only.",
)
removal_and_normalising = edited(
    reference.remove_direction,
    {
        "return vectors - strength * torch.outer(vectors @ unit, unit)": (
            "return F.normalize(vectors - strength * torch.outer(vectors @ unit, unit), dim=1)"
        )
    },
    says="What is left is scaled to length 1, as in the paper: here it should keep the length that it has.",
)
removal_that_adds = edited(
    reference.remove_direction,
    {"vectors - strength": "vectors + strength"},
    says="The component along the direction is doubled where it should go.",
)
removal_of_everything_else = edited(
    reference.remove_direction,
    {"return vectors - strength * torch": "return strength * torch"},
    says="What is returned is the component along the direction, and not what is left without it.",
)
removal_whatever_the_strength = edited(
    reference.remove_direction,
    {"strength * torch": "(strength > -1) * torch"},
    says="The whole component goes, whatever the strength.",
)
removal_by_the_mean = edited(
    reference.remove_direction,
    {"vectors @ unit, unit": "(vectors @ unit).mean().expand(len(vectors)), unit"},
    says="The same is taken from every vector, the mean of their components: each should lose its own.",
)

# ---- LoRALinear

lora_without_its_rank = edited(
    reference.LoRALinear,
    {"alpha / rank": "alpha"},
    says="The update is not divided by the rank.",
)
lora_without_alpha = edited(
    reference.LoRALinear,
    {"alpha / rank": "1 / rank"},
    says="alpha changes nothing.",
)
lora_by_the_root_of_the_rank = edited(
    reference.LoRALinear,
    {"alpha / rank": "alpha / math.sqrt(rank)"},
    says="The update is divided by the root of the rank, as a later paper proposes: here it is by the rank itself.",
)
lora_with_random_b = edited(
    reference.LoRALinear,
    {"weight.new_zeros(linear.out_features, rank)": "torch.randn(linear.out_features, rank).to(weight)"},
    says="At the start the layer does something else than the given one: B should be zero.",
)
lora_of_zeros = edited(
    reference.LoRALinear,
    {"nn.Parameter(start.to(weight))": "nn.Parameter(torch.zeros_like(start).to(weight))"},
    says="A and B are both zero at the start: no gradient ever reaches either of them.",
)
lora_that_trains_everything = edited(
    reference.LoRALinear,
    {"linear.requires_grad_(False)": "linear"},
    says="The given layer is not frozen: its weight would be trained along.",
)
lora_with_a_free_bias = edited(
    reference.LoRALinear,
    {"self.linear = linear.requires_grad_(False)": "self.linear = linear\n        linear.weight.requires_grad_(False)"},
    says="The bias of the given layer is not frozen.",
)
lora_merged_and_added = edited(
    reference.LoRALinear,
    {"return y if self.merged else y + self.scale": "return y + self.scale"},
    says="Once merged, the update counts twice: it is in the weight, and still added in the forward pass.",
)
lora_merged_again = edited(
    reference.LoRALinear,
    {"if not self.merged:": "if True:", "        if self.merged:": "        if True:"},
    says="Merging twice adds the update twice: it has to be known whether it is in the weight already.",
)
lora_merged_without_scale = edited(
    reference.LoRALinear,
    {
        "self.linear.weight += self.scale * (self.B @ self.A)": "self.linear.weight += self.B @ self.A",
        "self.linear.weight -= self.scale * (self.B @ self.A)": "self.linear.weight -= self.B @ self.A",
    },
    says="`merge` forgets the scale: after it the outputs are others.",
)
lora_from_the_global_generator = edited(
    reference.LoRALinear,
    {"generator=generator": "generator=None"},
    says="The generator that is passed in goes unused: equal generators give different layers.",
)
lora_with_unit_noise = edited(
    reference.LoRALinear,
    {" / math.sqrt(linear.in_features)": ""},
    says="A is drawn with standard deviation 1: it should be smaller, the more inputs there are.",
)

# ---- apply_lora

adapters_frozen_too = edited(
    reference.apply_lora,
    {"    return model\n": "    return model.requires_grad_(False)\n"},
    says="Nothing is trained at all: the model is frozen after the adapters came, and they with it.",
)
adapters_in_a_free_model = edited(
    reference.apply_lora,
    {"    model.requires_grad_(False)\n": ""},
    says="The rest of the model is still trained: it should be frozen.",
)
adapters_that_all_learn = edited(
    reference.apply_lora,
    {"adapt(getattr(owner, leaf), rank, alpha))": "adapt(getattr(owner, leaf), rank, alpha).requires_grad_(True))"},
    says="Everything that adapters bring is trained, the layer that they have frozen too.",
)
adapters_at_the_top_only = edited(
    reference.apply_lora,
    {"in model.named_modules()": "in model.named_children()"},
    says="Only layers directly below the model are found: those inside of its blocks are not.",
)
adapters_by_the_end_of_the_name = edited(
    reference.apply_lora,
    {'name.rpartition(".")[2] in targets': "any(part in name for part in targets)"},
    says="A name that only contains one of the targets is enough: names should be compared whole.",
)
adapters_of_whatever_has_the_name = edited(
    reference.apply_lora,
    {"isinstance(part, nn.Linear)": 'hasattr(part, "weight")'},
    says="Whatever has a weight and the right name is replaced: only linear layers should be.",
)
adapters_for_the_first = edited(
    reference.apply_lora,
    {"for name in found:": "for name in found[:1]:"},
    says="Only the first layer is replaced.",
)
adapters_of_nothing = edited(
    reference.apply_lora,
    {"    if not found:\n": "    if not found:\n        return model\n    if not found:\n"},
    says="If no layer has such a name nothing happens, and nobody notices the slip of the pen.",
)
adapters_with_fixed_numbers = edited(
    reference.apply_lora,
    {"rank, alpha))": "8, 16.0))"},
    says="The adapters are made with numbers of their own: rank and alpha are to be passed on.",
)

# ---- count_parameters


@mistake("count_parameters", says="Tensors are counted, not the numbers in them.")
def count_of_tensors(model):
    parameters = list(model.parameters())
    return sum(p.requires_grad for p in parameters), len(parameters)


@mistake("count_parameters", says="A parameter that is used in two places is counted twice.")
def count_of_places(model):
    parameters = [p for _, p in model.named_parameters(remove_duplicate=False)]
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


@mistake("count_parameters", says="Buffers are counted, such as the running statistics of a batch norm.")
def count_of_the_state(model):
    sizes = [(p.numel(), p.requires_grad) for p in (*model.parameters(), *model.buffers())]
    return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)


@mistake("count_parameters", says="Frozen parameters are counted as trained.")
def count_without_freezing(model):
    total = sum(p.numel() for p in model.parameters())
    return total, total


@mistake("count_parameters", says="The two numbers come in the wrong order: the trained ones first, then all.")
def count_the_other_way_round(model):
    total = sum(p.numel() for p in model.parameters())
    return total, sum(p.numel() for p in model.parameters() if p.requires_grad)


@mistake("count_parameters", says="The second number is that of the frozen parameters: it should be that of all.")
def count_of_frozen(model):
    return (
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        sum(p.numel() for p in model.parameters() if not p.requires_grad),
    )


@mistake("count_parameters", says="A layer counts as trained as a whole: in one layer a bias may be frozen alone.")
def count_by_layer(model):
    trainable, total, seen = 0, 0, set()
    for module in model.modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen |= set(map(id, own))
        total += sum(p.numel() for p in own)
        trainable += sum(p.numel() for p in own) * any(p.requires_grad for p in own)
    return trainable, total


# ---- quantize

quantize_cut_off = edited(
    reference.quantize,
    {".round()": ".trunc()"},
    says="Values are cut off towards zero: the nearest whole number may be the next one.",
)
quantize_by_128 = edited(
    reference.quantize,
    {"2 ** (bits - 1) - 1": "2 ** (bits - 1)", "clamp(-most, most)": "clamp(-most, most - 1)"},
    says="The largest value is mapped to 2 to the power of bits − 1, which is one too many.",
)
quantize_by_columns = edited(
    reference.quantize,
    {"weight.abs().amax(dim=1, keepdim=True)": "weight.abs().amax(dim=0, keepdim=True)"},
    says="There is a scale for each column, where each row should have one.",
)
quantize_all_alike = edited(
    reference.quantize,
    {"if per_row else weight": "if False else weight"},
    says="There is one scale for the whole matrix: rows with small values lose most of their digits.",
)
quantize_always_by_rows = edited(
    reference.quantize,
    {"if per_row else weight": "if True else weight"},
    says="per_row changes nothing: every row has a scale of its own.",
)
quantize_in_eight_bits = edited(
    reference.quantize,
    {"2 ** (bits - 1) - 1": "127"},
    says="`bits` changes nothing: codes go up to 127.",
)
quantize_dividing_by_zero = edited(
    reference.quantize,
    {"torch.where(largest > 0, largest / most, torch.ones_like(largest))": "largest / most"},
    says="A row of zeros gives no number: it is divided by its largest value, which is zero.",
)
quantize_without_signs = edited(
    reference.quantize,
    {
        "weight.abs().amax(dim=1, keepdim=True)": "weight.amax(dim=1, keepdim=True)",
        "weight.abs().amax().view": "weight.amax().view",
    },
    says="The largest value is taken with its sign: a row whose largest value is negative is cut off.",
)
quantize_with_inverse_scales = edited(
    reference.quantize,
    {"to(torch.int8), scales": "to(torch.int8), 1 / scales"},
    says="The scales are the inverse of what they should be: codes are to be multiplied by them.",
)

# ---- dequantize


@mistake("dequantize", says="Codes are divided by their scales: they should be multiplied.")
def dequantize_dividing(codes, scales):
    return codes.to(scales.dtype) / scales


@mistake("dequantize", says="Each column is multiplied by a scale, where each row has one.")
def dequantize_by_columns(codes, scales):
    scales = scales.expand(len(codes), 1).repeat(codes.shape[1], 1)[: codes.shape[1]]
    return codes.to(scales.dtype) * scales.T


@mistake("dequantize", says="Scales are rounded to whole numbers: the product is taken in int8, where it overflows.")
def dequantize_in_int8(codes, scales):
    return (codes * scales.to(torch.int8)).to(scales.dtype)


@mistake("dequantize", says="Every row is multiplied by the first scale.")
def dequantize_with_the_first_scale(codes, scales):
    return codes.to(scales.dtype) * scales[0]


@mistake("dequantize", says="The weights are in single precision, whatever the dtype of the scales.")
def dequantize_in_single_precision(codes, scales):
    return codes.float() * scales.float()


@mistake("dequantize", says="Scales are divided by 127 once more: that was done when they were made.")
def dequantize_divided_again(codes, scales):
    return codes.to(scales.dtype) * scales / 127


# ---- Int8Linear

int8_of_the_weight_itself = edited(
    reference.Int8Linear,
    {
        "return F.linear(x, self.decode(self.codes, self.scales), self.bias)": "return F.linear(x, self.exact, self.bias)",
        "self.decode = decode": "self.decode = decode\n        self.exact = linear.weight.detach().clone()",
    },
    says="The outputs are those of the given layer, to the last digit: its weight was kept, and the codes are not used.",
)
int8_with_parameters = edited(
    reference.Int8Linear,
    {'self.register_buffer("scales", scales)': "self.scales = nn.Parameter(scales)"},
    says="It has parameters, as if it were to be trained: what it keeps belongs into buffers.",
)
int8_without_bias = edited(
    reference.Int8Linear,
    {"self.scales), self.bias)": "self.scales))"},
    says="The bias is missing.",
)
int8_with_plain_attributes = edited(
    reference.Int8Linear,
    {
        'self.register_buffer("codes", codes)': "self.codes = codes",
        'self.register_buffer("scales", scales)': "self.scales = scales",
    },
    says="Codes and scales are plain attributes: they are in no state_dict, and stay behind when the layer moves to a GPU.",
)
int8_that_decodes_by_itself = edited(
    reference.Int8Linear,
    {"self.decode(self.codes, self.scales)": "self.codes.to(x.dtype) * self.scales"},
    says="`decode` is never asked: whoever passes another way of coding gets wrong weights.",
)
int8_without_scales = edited(
    reference.Int8Linear,
    {"self.decode(self.codes, self.scales)": "self.codes.to(x.dtype)"},
    says="The codes themselves are used as weights: nobody multiplies them by their scales.",
)
int8_without_gradients = edited(
    reference.Int8Linear,
    {"return F.linear(x, ": "return F.linear(x.detach(), "},
    says="No gradient reaches the input: what stands below the layer could not be trained.",
)
# ---- checkpointed


@mistake(
    "checkpointed",
    says="The backward pass calls no block again: everything is kept from the forward pass, and no memory is saved.",
)
def checkpoints_of_nothing(blocks, x, segments):
    for block in blocks:
        x = block(x)
    return x


checkpoints_of_each_block = edited(
    reference.checkpointed,
    {"divmod(len(blocks), segments)": "divmod(len(blocks), len(blocks))", "range(segments)": "range(len(blocks))"},
    says="Every block is a segment of its own, whatever their number: the input of each one is kept.",
)
checkpoints_of_everything = edited(
    reference.checkpointed,
    {"divmod(len(blocks), segments)": "divmod(len(blocks), 1)", "range(segments)": "range(1)"},
    says="All blocks are one segment, whatever the number of segments.",
)
checkpoints_without_the_last = edited(
    reference.checkpointed,
    {"size + (index < longer)": "size"},
    says="If the blocks cannot be divided evenly the last ones are not called at all.",
)
checkpoints_longer_at_the_end = edited(
    reference.checkpointed,
    {"(index < longer)": "(index >= segments - longer)"},
    says="The longer segments are the last ones: they should be the first.",
)
checkpoints_that_cut = edited(
    reference.checkpointed,
    {"blocks[start:end], x, use_reentrant": "blocks[start:end], x.detach().requires_grad_(), use_reentrant"},
    says="The gradient ends where the last segment begins: their inputs are cut off from each other.",
)
checkpoints_without_gradients = edited(
    reference.checkpointed,
    {
        "        x = checkpoint(run, blocks[start:end], x, use_reentrant=False)\n": (
            "        with torch.no_grad():\n            x = run(blocks[start:end], x)\n"
        )
    },
    says="No gradient comes back at all: the forward pass without a graph was not followed by a second one with it.",
)
checkpoints_of_the_older_kind = edited(
    reference.checkpointed,
    {"use_reentrant=False": "use_reentrant=True"},
    says="The older way of checkpointing knows only `backward`, and gives no gradients where x requires none.",
)
checkpoints_that_forget_their_dice = edited(
    reference.checkpointed,
    {"use_reentrant=False": "use_reentrant=False, preserve_rng_state=False"},
    says="Dropout drops other numbers when a segment is run again: the gradient belongs to another network.",
)

# ---- accumulate_gradients

accumulated_evenly = edited(
    reference.accumulate_gradients,
    {"(len(x) / count)": "(1 / len(batches))"},
    says="Every part weighs the same: an example in a small part counts more than one in a large part.",
)
accumulated_without_weights = edited(
    reference.accumulate_gradients,
    {" * (len(x) / count)": ""},
    says="The losses of the parts are added up as they are: loss and gradients grow with the number of parts.",
)
accumulated_as_sums = edited(
    reference.accumulate_gradients,
    {"(len(x) / count)": "len(x)"},
    says="This is a sum over examples: it should be divided by the number of all of them.",
)
accumulated_of_the_last = edited(
    reference.accumulate_gradients,
    {"gradient += part": "gradient.copy_(part)"},
    says="Only the gradient of the last part is left: each one overwrites those before it.",
)
accumulated_with_the_last_loss = edited(
    reference.accumulate_gradients,
    {"total = total.to(loss) + loss.detach()": "total = criterion(model(x), y).detach()"},
    says="The loss is that of the last part.",
)


@mistake(
    "accumulate_gradients",
    says="All parts are passed forward before the first gradient is computed: all graphs are in memory at once.",
)
def accumulated_at_the_end(model, criterion, batches):
    parameters = [p for p in model.parameters() if p.requires_grad]
    count = sum(len(x) for x, _ in batches)
    outputs = [model(x) for x, _ in batches]
    loss = sum(criterion(out, y) * (len(y) / count) for out, (_, y) in zip(outputs, batches, strict=True))
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return loss.detach(), list(gradients)


accumulated_for_all_parameters = edited(
    reference.accumulate_gradients,
    {"[p for p in model.parameters() if p.requires_grad]": "list(model.parameters())"},
    says="Gradients are asked for frozen parameters, too, which have none.",
)
accumulated_with_their_graphs = edited(
    reference.accumulate_gradients,
    {"+ loss.detach()": "+ loss"},
    says="The returned loss carries the graphs of all parts, so that they stay in memory.",
)

# ---- dynamic_batches

batches_that_never_wait = edited(
    reference.dynamic_batches,
    {"min(full, arrivals[first] + max_wait)": "min(full, arrivals[first])"},
    says="A batch is started as soon as the server is free: it does not wait for others.",
)
batches_that_always_wait = edited(
    reference.dynamic_batches,
    {"min(full, arrivals[first] + max_wait)": "arrivals[first] + max_wait"},
    says="A full batch waits until the time is over: it should start at once.",
)
batches_by_the_newest = edited(
    reference.dynamic_batches,
    {"arrivals[first] + max_wait": "arrivals[min(end, len(arrivals)) - 1] + max_wait"},
    says="Each request that comes lets the waiting begin anew: it is the oldest one's time that counts.",
)
batches_that_overlap = edited(
    reference.dynamic_batches,
    {"max(free, min(full": "max(-math.inf, min(full"},
    says="A batch is started while the server still works on the one before.",
)
batches_without_padding = edited(
    reference.dynamic_batches,
    {"longest * (end - first + 1) > max_tokens": "sum(lengths[first : end + 1]) > max_tokens"},
    says="The lengths are added up: every request of a batch is padded to the longest, and that is what has to fit.",
)
batches_without_tokens = edited(
    reference.dynamic_batches,
    {"max_tokens is not None and": "False and"},
    says="max_tokens changes nothing.",
)
batches_that_wait_for_the_future = edited(
    reference.dynamic_batches,
    {"if arrivals[index] <= start]": "]"},
    says="Requests are in a batch that started before they came.",
)
batches_of_those_who_were_early = edited(
    reference.dynamic_batches,
    {"if arrivals[index] <= start]": "if arrivals[index] < start or index == first]"},
    says="Who arrives at the very moment at which a batch starts is not taken along, though there is room.",
)
batches_that_wait_while_busy = edited(
    reference.dynamic_batches,
    {"min(full, arrivals[first] + max_wait)": "min(full, max(free, arrivals[first]) + max_wait)"},
    says="Waiting begins only when the server is free: the time while it was busy counts, too.",
)
batches_in_the_order_of_length = edited(
    reference.dynamic_batches,
    {
        "batches.append((start, batch))": "batches.append((start, sorted(batch, key=lambda index: (lengths[index], -index))))"
    },
    says="The requests of a batch are sorted by length: they should stand in the order of their arrival.",
)

# ---- create_app

app_without_batches = edited(
    reference.create_app,
    {
        "    return generate([r.prompt for r in requests], [r.max_tokens for r in requests])": (
            "    return [generate([r.prompt], [r.max_tokens])[0] for r in requests]"
        )
    },
    says="The model is called once for each request, though several wait at the same moment.",
)
app_that_repeats_the_prompt = edited(
    reference.create_app,
    {'{"text": await batcher(request)}': '{"text": request.prompt + await batcher(request)}'},
    says="The prompt stands in front of the text: only what the model wrote should be there.",
)
app_that_tells_too_much = edited(
    reference.create_app,
    {
        "except Exception:": "except Exception as error:",
        '(500, "the model failed")': "(500, str(error))",
    },
    says="The message of the model's exception is sent to whoever asked: it may hold anything.",
)
app_that_pretends = edited(
    reference.create_app,
    {'            raise HTTPException(500, "the model failed") from None': '            return {"text": ""}'},
    says="If the model fails the answer is an empty text with status 200: nobody learns that something went wrong.",
)
app_that_converts = edited(
    reference.create_app,
    {'extra="forbid", strict=True': 'extra="forbid"'},
    says="Numbers in quotation marks are accepted as numbers: types should be as they were asked for.",
)
app_that_ignores_what_it_does_not_know = edited(
    reference.create_app,
    {'extra="forbid", strict=True': "strict=True"},
    says="Keys that mean nothing are accepted: whoever writes max_token by mistake is never told.",
)
app_without_a_limit_for_bodies = edited(
    reference.create_app,
    {"    app.add_middleware(LimitBody, max_bytes=max_body)\n": ""},
    says="A body of any size is read: it should be refused with 413 beyond the limit.",
)
app_that_shortens = edited(
    reference.create_app,
    {"ge=1, le=most": "ge=1", "[r.max_tokens for r in requests]": "[min(r.max_tokens, most) for r in requests]"},
    says="More tokens than the limit are asked for, and the answer is only shorter: it should be refused with 422.",
)
app_that_takes_empty_prompts = edited(
    reference.create_app,
    {"min_length=1, max_length": "max_length"},
    says="An empty prompt is given to the model: it should be refused with 422.",
)
app_that_never_says_it_is_busy = edited(
    reference.create_app,
    {", max_waiting=max_waiting": ""},
    says="Everybody may wait, however many do: beyond the limit the answer should be 503 at once.",
)
app_that_fails_when_it_is_busy = edited(
    reference.create_app,
    {"HTTPException(503,": "HTTPException(500,"},
    says="Where too many wait the answer is a server error: 503 says that one may try again.",
)
