"""Known mistakes in `intro`."""

from autograder.mistakes import edited
from solutions import intro as reference

# ---- fit_gaussian_classes

fit_divided_by_one_less = edited(
    reference.fit_gaussian_classes,
    {"away / len(members)": "away / (len(members) - 1)"},
    says="The covariances are too large by n/(n − 1), and NaN for a class of one example: they are divided by n − 1.",
)
fit_with_sums_for_covariances = edited(
    reference.fit_gaussian_classes,
    {"away.T @ away / len(members)": "away.T @ away"},
    says="The covariances grow with the number of examples: products are added up, where their mean was asked for.",
)
fit_divided_by_all_examples = edited(
    reference.fit_gaussian_classes,
    {"away.T @ away / len(members)": "away.T @ away / len(x)"},
    says="The covariances are too small by the share of their class: they are divided by the number of all examples.",
)
fit_about_the_common_mean = edited(
    reference.fit_gaussian_classes,
    {"away = members - mean": "away = members - x.mean(dim=0)"},
    says="The spread is measured about the mean of all examples: each class has a mean of its own.",
)
fit_of_moments_about_zero = edited(
    reference.fit_gaussian_classes,
    {"away = members - mean": "away = members"},
    says="The covariances grow when the data are moved away from the origin: the mean is not taken off.",
)
fit_by_a_difference_of_squares = edited(
    reference.fit_gaussian_classes,
    {"away.T @ away / len(members)": "(members.T @ members / len(members) - torch.outer(mean, mean))"},
    says="Far from the origin the covariances lose their digits: a small difference of two large numbers is taken.",
)
fit_with_one_covariance_for_all = edited(
    reference.fit_gaussian_classes,
    {"torch.stack(covariances)": "(priors[:, None, None] * torch.stack(covariances)).sum(0).expand(classes, -1, -1)"},
    says="All classes have the same covariance: it is averaged over the classes.",
)
fit_of_variances_only = edited(
    reference.fit_gaussian_classes,
    {"away.T @ away / len(members)": "torch.diag(away.square().mean(dim=0))"},
    says="The covariances are 0 off the diagonal: how two features vary together is missing.",
)
fit_with_equal_priors = edited(
    reference.fit_gaussian_classes,
    {"torch.bincount(labels, minlength=classes).to(x) / len(x)": "x.new_ones(classes) / classes"},
    says="All priors are equal: they should be the shares of the classes among the examples.",
)
fit_with_the_ridge_everywhere = edited(
    reference.fit_gaussian_classes,
    {"ridge * torch.eye(x.shape[1]).to(x)": "ridge"},
    says="The ridge is added to all of the covariance: it belongs on its diagonal.",
)
fit_of_sorted_examples = edited(
    reference.fit_gaussian_classes,
    {
        "        members = x[labels == label]\n": "        start = int((labels < label).sum())\n"
        "        members = x[start : start + int((labels == label).sum())]\n"
    },
    says="Examples get into the wrong class when labels are not in order: the class of row i stands in labels[i].",
)

# ---- gaussian_log_density

density_without_half = edited(
    reference.gaussian_log_density,
    {"(away.square().sum(dim=0) + log_volume) / 2": "(away.square().sum(dim=0) + log_volume / 2)"},
    says="It falls off twice as fast as it should: the squared distance is not halved.",
)
density_with_the_sign_flipped = edited(
    reference.gaussian_log_density,
    {"return -(": "return ("},
    says="It grows with the distance from the mean: the sign is flipped.",
)
density_without_the_volume = edited(
    reference.gaussian_log_density,
    {"2 * root.diagonal().log().sum() + ": ""},
    says="The density does not integrate to 1: the determinant of the covariance is missing.",
)
density_without_the_constant = edited(
    reference.gaussian_log_density,
    {" + len(mean) * math.log(2 * math.pi)": ""},
    says="Every value is too large by half of log 2π for each feature: the constant is missing.",
)
density_with_the_constant_once = edited(
    reference.gaussian_log_density,
    {"len(mean) * math.log": "math.log"},
    says="It is right for one feature only: the constant log 2π comes once for each feature.",
)
density_of_the_covariance_times = edited(
    reference.gaussian_log_density,
    {"torch.linalg.solve_triangular(root, (x - mean).T, upper=False)": "root.T @ (x - mean).T"},
    says="It falls off fastest where the class spreads most: the distance is multiplied by Σ, and not by its inverse.",
)
density_of_variances_only = edited(
    reference.gaussian_log_density,
    {"torch.linalg.cholesky(covariance)": "torch.diag(covariance.diagonal().sqrt())"},
    says="What is off the diagonal of the covariance changes nothing: features that vary together are taken as independent.",
)
density_that_underflows = edited(
    reference.gaussian_log_density,
    {
        "return -(away.square().sum(dim=0) + log_volume) / 2": "return ((-away.square().sum(dim=0) / 2).exp() "
        "/ (log_volume / 2).exp()).log()"
    },
    says="Far from the mean it is −∞: the density is 0 there, and its logarithm is taken too late.",
)
density_with_a_determinant = edited(
    reference.gaussian_log_density,
    {"2 * root.diagonal().log().sum()": "torch.linalg.det(covariance).log()"},
    says="In many dimensions it is infinite: the determinant itself is too small or too large a number.",
)
density_of_the_average_distance = edited(
    reference.gaussian_log_density,
    {"away.square().sum(dim=0)": "away.square().mean(dim=0)"},
    says="The squared distance is too small by the number of features: a mean stands where a sum belongs.",
)

# ---- class_posterior

posterior_without_priors = edited(
    reference.class_posterior,
    {" + priors.log()": ""},
    says="The priors change nothing: a rare class is as likely as a frequent one.",
)
posterior_with_priors_as_they_are = edited(
    reference.class_posterior,
    {"priors.log()": "priors"},
    says="The priors are added to log-densities as they are: their logarithms belong there.",
)
posterior_that_is_not_normalised = edited(
    reference.class_posterior,
    {
        "torch.log_softmax(torch.stack(densities, dim=1) + priors.log(), dim=1)": "torch.stack(densities, dim=1) + "
        "priors.log()"
    },
    says="The probabilities of a point do not sum to 1: this is log p(x, class), not yet divided by p(x).",
)
posterior_of_probabilities = edited(
    reference.class_posterior,
    {"torch.log_softmax": "torch.softmax"},
    says="The values are probabilities: their logarithms are asked for.",
)
posterior_over_points = edited(
    reference.class_posterior,
    {"priors.log(), dim=1)": "priors.log(), dim=0)"},
    says="The probabilities of a class sum to 1 over the points: those of a point should sum to 1 over the classes.",
)
posterior_that_overflows = edited(
    reference.class_posterior,
    {
        "return torch.log_softmax(torch.stack(densities, dim=1) + priors.log(), dim=1)": "joint = "
        "torch.stack(densities, dim=1).exp() * priors\n    return (joint / joint.sum(dim=1, keepdim=True)).log()"
    },
    says="Large log-densities give NaN: exponentials are taken before the greatest of them is taken off.",
)
posterior_with_an_epsilon = edited(
    reference.class_posterior,
    {"return torch.log_softmax(": "return torch.log(1e-8 + torch.softmax("}
    | {"priors.log(), dim=1)": "priors.log(), dim=1))"},
    says="No posterior is ever less than about −18 nats: a small number is added before the logarithm.",
)
posterior_with_one_covariance = edited(
    reference.class_posterior,
    {"log_density(x, mean, covariance)": "log_density(x, mean, covariances[0])"},
    says="Every class is given the covariance of the first.",
)
posterior_with_the_priors_below = edited(
    reference.class_posterior,
    {"+ priors.log()": "- priors.log()"},
    says="A frequent class becomes less likely: the priors divide, where they should multiply.",
)

# ---- sample_from_class

samples_by_the_covariance = edited(
    reference.sample_from_class,
    {"torch.linalg.cholesky(covariances)[labels]": "covariances[labels]"},
    says="The noise is multiplied by the covariance itself: a factor of it is asked for, whose square it is.",
)
samples_by_the_upper_factor = edited(
    reference.sample_from_class,
    {"roots @ noise.unsqueeze(2)": "roots.mT @ noise.unsqueeze(2)"},
    says="The covariance of the samples is LᵀL and not LLᵀ: the factor stands on the wrong side of the noise.",
)
samples_by_standard_deviations = edited(
    reference.sample_from_class,
    {"(roots @ noise.unsqueeze(2)).squeeze(2)": "covariances.diagonal(dim1=1, dim2=2).sqrt()[labels] * noise"},
    says="The features of a sample are independent: what is off the diagonal of the covariance plays no part.",
)
samples_without_means = edited(
    reference.sample_from_class,
    {"means[labels] + ": ""},
    says="The samples lie about the origin: the mean of their class is missing.",
)
samples_without_noise = edited(
    reference.sample_from_class,
    {" + (roots @ noise.unsqueeze(2)).squeeze(2)": ""},
    says="The noise changes nothing: the samples are the means.",
)
samples_of_standard_noise = edited(
    reference.sample_from_class,
    {"(roots @ noise.unsqueeze(2)).squeeze(2)": "noise"},
    says="All classes spread alike: the covariance plays no part.",
)
samples_with_noise_of_their_own = edited(
    reference.sample_from_class,
    {"roots @ noise.unsqueeze(2)": "roots @ torch.randn_like(noise).unsqueeze(2)"},
    says="The same arguments give different samples: fresh noise is drawn, and the noise passed in goes unused.",
)
samples_with_one_factor = edited(
    reference.sample_from_class,
    {"torch.linalg.cholesky(covariances)[labels]": "torch.linalg.cholesky(covariances)[labels[:1]]"},
    says="All samples spread like the class of the first one.",
)
samples_by_a_symmetric_root = edited(
    reference.sample_from_class,
    {
        "    roots = torch.linalg.cholesky(covariances)[labels]\n": "    values, vectors = torch.linalg.eigh(covariances)\n"
        "    roots = (vectors @ torch.diag_embed(values.sqrt()) @ vectors.mT)[labels]\n"
    },
    says="The covariance of the samples is right, but the factor is the symmetric root: the lower Cholesky factor is "
    "asked for, with which a feature never moves with later noise.",
)

# ---- logistic_gradient

gradient_summed = edited(
    reference.logistic_gradient,
    {"- target) / len(x)": "- target)"},
    says="The gradient grows with the number of examples: it is a sum, where the mean was asked for.",
)
gradient_downhill = edited(
    reference.logistic_gradient,
    {"torch.softmax(x @ weights + bias, dim=1) - target": "target - torch.softmax(x @ weights + bias, dim=1)"},
    says="It points downhill: the sign is flipped.",
)
gradient_by_sigmoids = edited(
    reference.logistic_gradient,
    {"torch.softmax(x @ weights + bias, dim=1)": "torch.sigmoid(x @ weights + bias)"},
    says="The probabilities of a point do not sum to 1: classes exclude each other, so the softmax belongs here.",
)
gradient_without_bias = edited(
    reference.logistic_gradient,
    {"x @ weights + bias": "x @ weights"},
    says="The bias changes nothing: it is left out of the scores.",
)
gradient_over_examples = edited(
    reference.logistic_gradient,
    {"+ bias, dim=1)": "+ bias, dim=0)"},
    says="The softmax runs over the examples: it belongs over the classes.",
)
gradient_with_the_bias_summed = edited(
    reference.logistic_gradient,
    {"error.sum(dim=0)": "error.sum(dim=0) * len(x)"},
    says="The gradient for the bias is a sum over the examples, and that for the weights a mean: both should be means.",
)
gradient_with_the_bias_averaged_twice = edited(
    reference.logistic_gradient,
    {"error.sum(dim=0)": "error.mean(dim=0)"},
    says="The gradient for the bias is too small by the number of examples: it is averaged twice.",
)
gradient_that_overflows = edited(
    reference.logistic_gradient,
    {
        "    error = (torch.softmax(x @ weights + bias, dim=1) - target) / len(x)\n": "    powers = (x @ weights + bias)"
        ".exp()\n    error = (powers / powers.sum(dim=1, keepdim=True) - target) / len(x)\n"
    },
    says="Large scores give NaN: exponentials are taken of scores as they are.",
)
gradient_divided_by_classes = edited(
    reference.logistic_gradient,
    {"- target) / len(x)": "- target) / target.numel()"},
    says="The gradient is too small by the number of classes: the mean runs over examples only.",
)
gradient_of_squares = edited(
    reference.logistic_gradient,
    {
        "    error = (torch.softmax(x @ weights + bias, dim=1) - target) / len(x)\n": "    p = torch.softmax(x @ weights "
        "+ bias, dim=1)\n    slope = p * (p - target)\n    error = (slope - p * slope.sum(dim=1, keepdim=True)) / len(x)\n"
    },
    says="This is the gradient of a squared error between probabilities: the loss is the cross-entropy.",
)

# ---- fit_logistic

descent_uphill = edited(
    reference.fit_logistic,
    {"weights - learning_rate": "weights + learning_rate", "bias - learning_rate": "bias + learning_rate"},
    says="The loss grows with every step: the gradient is added, where it has to be taken off.",
)
descent_with_one_step_less = edited(
    reference.fit_logistic,
    {"range(steps)": "range(steps - 1)"},
    says="One step is missing.",
)
descent_without_a_bias = edited(
    reference.fit_logistic,
    {"bias - learning_rate * for_bias": "bias"},
    says="The bias stays at zero.",
)
descent_from_a_random_place = edited(
    reference.fit_logistic,
    {"x.new_zeros(x.shape[1], classes)": "0.01 * torch.randn(x.shape[1], classes).to(x)"},
    says="The weights do not begin at zero.",
)
descent_that_asks_twice = edited(
    reference.fit_logistic,
    {
        "        for_weights, for_bias = gradient(x, labels, weights, bias)\n": "        weights = weights - learning_rate "
        "* gradient(x, labels, weights, bias)[0]\n        bias = bias - learning_rate * gradient(x, labels, weights, "
        "bias)[1]\n",
        "        weights, bias = weights - learning_rate * for_weights, bias - learning_rate * for_bias\n": "",
    },
    says="The bias takes its step from where the weights have just gone: both gradients belong to the same place.",
)
descent_of_single_examples = edited(
    reference.fit_logistic,
    {
        "    for _ in range(steps):\n        for_weights, for_bias = gradient(x, labels, weights, bias)\n": "    for i in "
        "range(steps):\n        i = i % len(x)\n        for_weights, for_bias = gradient(x[i : i + 1], labels[i : i + 1], "
        "weights, bias)\n"
    },
    says="Each step looks at one example: every step should take all of them.",
)
descent_by_the_mean_step = edited(
    reference.fit_logistic,
    {"learning_rate * for_weights": "learning_rate / len(x) * for_weights"}
    | {"learning_rate * for_bias": "learning_rate / len(x) * for_bias"},
    says="The steps are too short by the number of examples: the gradient is a mean already.",
)
descent_that_forgets = edited(
    reference.fit_logistic,
    {"gradient(x, labels, weights, bias)": "gradient(x, labels, x.new_zeros(x.shape[1], classes), bias)"},
    says="The gradient is taken at zero weights every time: it belongs to where the step before has led.",
)

# ---- token_distribution

distribution_at_the_inverse_temperature = edited(
    reference.token_distribution,
    {"logits / temperature": "logits * temperature"},
    says="A higher temperature sharpens the distribution: logits are multiplied by it, and should be divided.",
)
distribution_without_temperature = edited(
    reference.token_distribution,
    {"scores = logits / temperature": "scores = logits"},
    says="The temperature changes nothing, unless it is 0.",
)
distribution_with_a_warm_zero = edited(
    reference.token_distribution,
    {"return F.one_hot(logits.argmax(dim=1), logits.shape[1]).to(logits)": "temperature = 1e-6"},
    says="At temperature 0 equal logits share the probability: it is a rule of its own, and takes the first of them.",
)
distribution_that_divides_by_zero = edited(
    reference.token_distribution,
    {
        "    if temperature == 0:\n        return F.one_hot(logits.argmax(dim=1), logits.shape[1]).to(logits)\n": "",
    },
    says="At temperature 0 there is NaN: division by it needs a rule of its own.",
)
distribution_of_exactly_k = edited(
    reference.token_distribution,
    {
        "        least = scores.topk(min(top_k, scores.shape[1]), dim=1).values[:, -1:]\n": "        rest = scores.sort("
        "dim=1, descending=True, stable=True).indices[:, top_k:]\n",
        "scores.masked_fill(scores < least, -torch.inf)": "scores.scatter(1, rest, -torch.inf)",
    },
    says="Of tokens that equal the k-th largest some are dropped: all of them are to be kept.",
)
distribution_with_k_zeroed = edited(
    reference.token_distribution,
    {"scores.masked_fill(scores < least, -torch.inf)": "scores.masked_fill(scores < least, 0.0)"},
    says="Tokens beyond top_k still have a probability: a logit of 0 is not a probability of 0.",
)
distribution_without_top_k = edited(
    reference.token_distribution,
    {"scores = scores.masked_fill(scores < least, -torch.inf)": "pass"},
    says="top_k changes nothing.",
)
distribution_without_top_p = edited(
    reference.token_distribution,
    {"scores = scores.masked_fill(beyond, -torch.inf)": "pass"},
    says="top_p changes nothing.",
)
distribution_that_stops_short_of_p = edited(
    reference.token_distribution,
    {"before >= top_p": "before + probabilities >= top_p"},
    says="What top_p keeps does not reach p: the token that crosses it belongs to the set, and the first one always.",
)
distribution_without_sorting = edited(
    reference.token_distribution,
    {
        "torch.softmax(scores, dim=1).sort(dim=1, descending=True)": "torch.softmax(scores, dim=1), "
        "torch.arange(scores.shape[1]).expand(scores.shape)"
    },
    says="top_p keeps the tokens with the lowest ids: the likeliest come first.",
)
distribution_with_the_order_lost = edited(
    reference.token_distribution,
    {"torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, before >= top_p)": "before >= top_p"},
    says="top_p drops the tokens with the highest ids: what was decided in sorted order was not put back in place.",
)
distribution_that_is_not_renormalised = edited(
    reference.token_distribution,
    {"scores = scores.masked_fill(beyond, -torch.inf)": "return torch.softmax(scores, dim=1).masked_fill(beyond, 0.0)"},
    says="After top_p the probabilities sum to less than 1: the kept ones have to be renormalised.",
)
distribution_with_p_of_everything = edited(
    reference.token_distribution,
    {"softmax(scores, dim=1).sort": "softmax(logits / temperature, dim=1).sort"},
    says="With top_k, top_p keeps too many: it counts probabilities that were not renormalised after top_k.",
)
distribution_with_p_before_the_temperature = edited(
    reference.token_distribution,
    {"softmax(scores, dim=1).sort": "softmax(scores * temperature, dim=1).sort"},
    says="What top_p keeps does not change with the temperature: logits are to be divided by it first.",
)

# ---- sample_token

token_that_is_likeliest = edited(
    reference.sample_token,
    {"return torch.searchsorted(ends, place, right=True).squeeze(1)": "return probabilities.argmax(dim=1)"},
    says="The random number changes nothing: the likeliest token is taken.",
)
token_by_chance_of_its_own = edited(
    reference.sample_token,
    {
        "return torch.searchsorted(ends, place, right=True).squeeze(1)": "return torch.multinomial(probabilities, 1)."
        "squeeze(1)"
    },
    says="The same arguments give different tokens: fresh random numbers are drawn, and those passed in go unused.",
)
token_at_the_edge = edited(
    reference.sample_token,
    {"right=True": "right=False"},
    says="A number that falls on the edge between two tokens goes to the left one, and 0 to a token of probability 0.",
)
token_one_too_far = edited(
    reference.sample_token,
    {
        "return torch.searchsorted(ends, place, right=True).squeeze(1)": "return (torch.searchsorted(ends, place, "
        "right=True).squeeze(1) + 1).clamp(max=probabilities.shape[1] - 1)"
    },
    says="The token after the right one is taken: the sums include the token itself.",
)
token_of_one_row = edited(
    reference.sample_token,
    {"uniform.unsqueeze(1)": "uniform[:1].unsqueeze(1)"},
    says="All rows are drawn with the first random number: each has its own.",
)
token_at_default_settings = edited(
    reference.sample_token,
    {"distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)": "distribution(logits)"},
    says="Temperature, top_k and top_p change nothing: they are not passed on.",
)
token_beyond_the_last = edited(
    reference.sample_token,
    {"uniform.unsqueeze(1) * ends[:, -1:]": "uniform.unsqueeze(1)"},
    says="At the greatest random number a token of probability 0 is drawn, or one that does not exist: rounding leaves "
    "the sum a little less than 1.",
)
token_from_the_other_end = edited(
    reference.sample_token,
    {"place = uniform.unsqueeze(1) * ends[:, -1:]": "place = (1 - uniform.unsqueeze(1)) * ends[:, -1:]"},
    says="Small random numbers give the last tokens: token 0 comes first.",
)
token_of_sorted_probabilities = edited(
    reference.sample_token,
    {
        "ends = probabilities.double().cumsum(dim=1)": "probabilities, order = probabilities.sort(dim=1, descending=True)\n"
        "    ends = probabilities.double().cumsum(dim=1)",
        "return torch.searchsorted(ends, place, right=True).squeeze(1)": "return order.gather(1, torch.searchsorted("
        "ends, place, right=True)).squeeze(1)",
    },
    says="The likeliest token comes first: the probabilities are laid end to end in the order of the ids.",
)

# ---- generate_text

text_without_the_prompt = edited(
    reference.generate_text,
    {"    return ids\n": "    return ids[:, prompt.shape[1] :]\n"},
    says="The prompt is missing from the texts: it comes first.",
)
text_from_the_first_position = edited(
    reference.generate_text,
    {"logits[:, -1]": "logits[:, 0]"},
    says="The next token is chosen from the logits of the first position: the last one says what follows.",
)
text_that_reads_the_newest_token_only = edited(
    reference.generate_text,
    {"model(ids if context is None else ids[:, -context:])": "model(ids if ids is prompt else ids[:, -1:])"},
    says="After the prompt the model is given the newest token only, and forgets everything before.",
)
text_without_a_context = edited(
    reference.generate_text,
    {"model(ids if context is None else ids[:, -context:])": "model(ids)"},
    says="The model is given more tokens than it can read: `context` changes nothing.",
)
text_with_the_first_tokens = edited(
    reference.generate_text,
    {"ids[:, -context:]": "ids[:, :context]"},
    says="Of a long text the model is given the first tokens: it should be given the last ones.",
)
text_cut_to_the_context = edited(
    reference.generate_text,
    {
        "ids = torch.cat([ids, token.unsqueeze(1)], dim=1)": "ids = torch.cat([ids, token.unsqueeze(1)], dim=1)"
        "[:, -(context or 0) :]"
    },
    says="What the model cannot read any more is lost from the texts: only the model is given less.",
)
text_with_the_first_numbers = edited(
    reference.generate_text,
    {"choose(logits[:, -1], draw)": "choose(logits[:, -1], uniform[:, 0])"},
    says="Every token is drawn with the first column of random numbers: each has its own.",
)
text_that_never_ends = edited(
    reference.generate_text,
    {"ended = ended | (token == end)": "ended = ended"},
    says="Texts go on after `end`.",
)
text_that_ends_with_the_first = edited(
    reference.generate_text,
    {"ended = ended | (token == end)": "ended = (ended | (token == end)).any().expand(len(ended))"},
    says="When one text ends, all of them end: each has an end of its own.",
)
text_that_ends_in_the_prompt = edited(
    reference.generate_text,
    {
        "torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)": "(prompt == (-1 if end is None else end))"
        ".any(dim=1)"
    },
    says="A text whose prompt holds `end` is not continued: it counts only once it has been chosen.",
)
text_that_asks_in_vain = edited(
    reference.generate_text,
    {"if ended.all():": "if False:"},
    says="The model is still called when all texts have ended.",
)
text_that_is_too_short = edited(
    reference.generate_text,
    {"            token = torch.full_like(prompt[:, 0], end)\n": "            break\n"},
    says="The texts are too short when all have ended: they are filled up with `end`.",
)
text_of_the_likeliest = edited(
    reference.generate_text,
    {"choose(logits[:, -1], draw)": "logits[:, -1].argmax(dim=1)"},
    says="The likeliest token is taken: `choose` is never asked.",
)

# ---- generate_images

images_with_one_generator = edited(
    reference.generate_images,
    {
        "[torch.Generator().manual_seed(seed) for seed in seeds[start : start + batch_size]]": "[torch.Generator()."
        "manual_seed(seeds[start])] * len(seeds[start : start + batch_size])"
    },
    says="The images of a batch share the generator of the first: each needs one of its own, with its own seed.",
)
images_by_global_seeds = edited(
    reference.generate_images,
    {"torch.Generator().manual_seed(seed) for seed": "torch.manual_seed(seed) for seed"},
    says="The images of a batch share torch's global generator, whose seed is the last one that was set.",
)
images_with_the_first_seed = edited(
    reference.generate_images,
    {"seeds[start : start + batch_size]": "seeds[:1] * len(prompts[start : start + batch_size])"},
    says="All images are painted with the first seed: each has its own.",
)
images_with_the_first_seeds_again = edited(
    reference.generate_images,
    {"seeds[start : start + batch_size]": "seeds[: len(prompts[start : start + batch_size])]"},
    says="Every batch is painted with the seeds of the first one.",
)
images_of_numbered_seeds = edited(
    reference.generate_images,
    {"for seed in seeds[start : start + batch_size]": "for seed in range(len(seeds[start : start + batch_size]))"},
    says="The seeds change nothing: images are numbered within their batch instead.",
)
images_with_unseeded_generators = edited(
    reference.generate_images,
    {"torch.Generator().manual_seed(seed)": "torch.Generator()"},
    says="The seeds change nothing: the generators are not seeded.",
)
images_without_the_rest = edited(
    reference.generate_images,
    {"range(0, len(prompts), batch_size)": "range(0, max(len(prompts) - batch_size + 1, 1), batch_size)"},
    says="The last images are missing when their number is no multiple of batch_size.",
)
images_in_one_go = edited(
    reference.generate_images,
    {"    painted = []\n": "    painted, batch_size = [], len(prompts)\n"},
    says="The pipeline was given more than batch_size prompts at once.",
)
images_one_by_one = edited(
    reference.generate_images,
    {"    painted = []\n": "    painted, batch_size = [], 1\n"},
    says="The pipeline was given one prompt at a time: it should be given batch_size.",
)
images_in_a_list = edited(
    reference.generate_images,
    {"torch.cat(painted)": "painted"},
    says="The result is a list of batches: one tensor with all images is asked for.",
)
images_sorted_by_prompt = edited(
    reference.generate_images,
    {
        "    painted = []\n": "    pairs = sorted(zip(prompts, seeds, strict=True))\n"
        "    prompts, seeds = [p for p, _ in pairs], [s for _, s in pairs]\n    painted = []\n"
    },
    says="The images are not in the order of the prompts.",
)
