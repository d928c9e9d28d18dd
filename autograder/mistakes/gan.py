"""Known mistakes in `gan`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.mistakes import edited, mistake
from solutions import gan as reference

# ---- discriminator_loss


@mistake("discriminator_loss", says="The loss is half of what it should be: the two means are added, not averaged.")
def discriminator_loss_halved(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    real = real_label * F.softplus(-real_logits) + (1 - real_label) * F.softplus(real_logits)
    return (real.mean() + F.softplus(fake_logits).mean()) / 2


@mistake("discriminator_loss", says="The loss grows with the number of images: sums stand where means were asked for.")
def discriminator_loss_summed(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    real = real_label * F.softplus(-real_logits) + (1 - real_label) * F.softplus(real_logits)
    return real.sum() + F.softplus(fake_logits).sum()


@mistake("discriminator_loss", says="Real images are pulled to 0 and generated ones to 1: the labels are swapped.")
def discriminator_loss_with_swapped_labels(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    fake = real_label * F.softplus(-fake_logits) + (1 - real_label) * F.softplus(fake_logits)
    return F.softplus(real_logits).mean() + fake.mean()


@mistake("discriminator_loss", says="Large logits give infinities or NaN: the logarithm of a rounded sigmoid is taken.")
def discriminator_loss_that_overflows(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    p, q = real_logits.sigmoid(), fake_logits.sigmoid()
    real = real_label * p.log() + (1 - real_label) * (1 - p).log()
    return -(real.mean() + (1 - q).log().mean())


@mistake(
    "discriminator_loss",
    says="However wrong a confident logit is, its price stops growing: a small number is added inside the logarithm.",
)
def discriminator_loss_with_an_epsilon(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    p, q = real_logits.sigmoid(), fake_logits.sigmoid()
    real = real_label * (p + 1e-6).log() + (1 - real_label) * (1 - p + 1e-6).log()
    return -(real.mean() + (1 - q + 1e-6).log().mean())


@mistake(
    "discriminator_loss",
    says="The labels of generated images are smoothed as well: one-sided smoothing leaves them at 0.",
)
def discriminator_loss_smoothed_on_both_sides(
    real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0
) -> Tensor:
    real = real_label * F.softplus(-real_logits) + (1 - real_label) * F.softplus(real_logits)
    fake = real_label * F.softplus(fake_logits) + (1 - real_label) * F.softplus(-fake_logits)
    return real.mean() + fake.mean()


@mistake("discriminator_loss", says="The loss is the same whatever the label of real images is.")
def discriminator_loss_without_smoothing(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


@mistake(
    "discriminator_loss",
    says="The label only scales the price of real images: what is left of 1 is the probability that they are fake.",
)
def discriminator_loss_with_a_scaled_term(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    return real_label * F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


@mistake(
    "discriminator_loss",
    says="The more images of one kind there are, the more they count: one mean is taken over both kinds together.",
)
def discriminator_loss_with_one_mean(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    real = real_label * F.softplus(-real_logits) + (1 - real_label) * F.softplus(real_logits)
    return 2 * torch.cat([real, F.softplus(fake_logits)]).mean()


@mistake("discriminator_loss", says="Generated images play no part in the loss.")
def discriminator_loss_of_real_images_only(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    return (real_label * F.softplus(-real_logits) + (1 - real_label) * F.softplus(real_logits)).mean()


@mistake(
    "discriminator_loss", says="The sigmoid is applied twice: no image's probability leaves the range 0.5 to 0.73."
)
def discriminator_loss_with_two_sigmoids(real_logits: Tensor, fake_logits: Tensor, real_label: float = 1.0) -> Tensor:
    p, q = real_logits.sigmoid(), fake_logits.sigmoid()
    real = real_label * F.softplus(-p) + (1 - real_label) * F.softplus(p)
    return real.mean() + F.softplus(q).mean()


# ---- minimax_generator_loss


@mistake("minimax_generator_loss", says="This is the loss that does not saturate; the zero-sum game has another.")
def minimax_that_does_not_saturate(fake_logits: Tensor) -> Tensor:
    return F.softplus(-fake_logits).mean()


@mistake(
    "minimax_generator_loss",
    says="The sign is flipped: this is what the discriminator minimises, so the generator helps it.",
)
def minimax_with_the_sign_flipped(fake_logits: Tensor) -> Tensor:
    return F.softplus(fake_logits).mean()


@mistake("minimax_generator_loss", says="The loss grows with the batch: a sum stands where a mean was asked for.")
def minimax_summed(fake_logits: Tensor) -> Tensor:
    return -F.softplus(fake_logits).sum()


@mistake(
    "minimax_generator_loss", says="Large logits give infinities or NaN: the logarithm of a rounded sigmoid is taken."
)
def minimax_that_overflows(fake_logits: Tensor) -> Tensor:
    return (1 - fake_logits.sigmoid()).log().mean()


@mistake(
    "minimax_generator_loss",
    says="However large a logit is, the loss stops falling: a small number is added inside the logarithm.",
)
def minimax_with_an_epsilon(fake_logits: Tensor) -> Tensor:
    return (1 - fake_logits.sigmoid() + 1e-6).log().mean()


@mistake("minimax_generator_loss", says="Without a logarithm: this is minus the mean probability of being real.")
def minimax_without_logarithm(fake_logits: Tensor) -> Tensor:
    return -fake_logits.sigmoid().mean()


# ---- nonsaturating_generator_loss


@mistake(
    "nonsaturating_generator_loss",
    says="This is the loss of the zero-sum game: its gradient vanishes where the discriminator is sure.",
)
def nonsaturating_that_saturates(fake_logits: Tensor) -> Tensor:
    return -F.softplus(fake_logits).mean()


@mistake("nonsaturating_generator_loss", says="The sign is flipped: the generator learns to be found out.")
def nonsaturating_with_the_sign_flipped(fake_logits: Tensor) -> Tensor:
    return F.logsigmoid(fake_logits).mean()


@mistake("nonsaturating_generator_loss", says="The loss grows with the batch: a sum stands where a mean was asked for.")
def nonsaturating_summed(fake_logits: Tensor) -> Tensor:
    return F.softplus(-fake_logits).sum()


@mistake(
    "nonsaturating_generator_loss",
    says="Large logits give infinities or NaN: the logarithm of a rounded sigmoid is taken.",
)
def nonsaturating_that_overflows(fake_logits: Tensor) -> Tensor:
    return -fake_logits.sigmoid().log().mean()


@mistake(
    "nonsaturating_generator_loss",
    says="However small a logit is, its price stops growing: a small number is added inside the logarithm.",
)
def nonsaturating_with_an_epsilon(fake_logits: Tensor) -> Tensor:
    return -(fake_logits.sigmoid() + 1e-6).log().mean()


@mistake("nonsaturating_generator_loss", says="The logits are taken for probabilities: this is minus their mean.")
def nonsaturating_as_wasserstein(fake_logits: Tensor) -> Tensor:
    return -fake_logits.mean()


# ---- train_gan

training_with_the_labels_swapped = edited(
    reference.train_gan,
    {"d_loss(discriminator(real), discriminator(fake))": "d_loss(discriminator(fake), discriminator(real))"},
    says="The discriminator's loss is given fake scores first: real ones come first.",
)
training_of_the_discriminator_only = edited(
    reference.train_gan,
    {"        g_optimizer.step()\n": ""},
    says="The generator's weights never move: its gradients are computed, but no step is taken.",
)
training_of_the_generator_only = edited(
    reference.train_gan,
    {"            d_optimizer.step()\n": ""},
    says="The discriminator's weights never move: its gradients are computed, but no step is taken.",
)
training_with_gradients_of_the_other_loss = edited(
    reference.train_gan,
    {
        "            d_optimizer.zero_grad()\n": "",
        "            d_optimizer.step()\n": "            d_optimizer.step()\n            d_optimizer.zero_grad()\n",
    },
    says="The discriminator also steps along the gradients of the generator's loss: look at what is set to zero, and when.",
)
training_with_gradients_that_pile_up = edited(
    reference.train_gan,
    {"        g_optimizer.zero_grad()\n": ""},
    says="The generator's gradients pile up from step to step: they are never set back to zero.",
)
training_of_one_optimizer = edited(
    reference.train_gan,
    {
        "torch.optim.Adam(generator.parameters(),": "torch.optim.Adam([*generator.parameters(), *discriminator.parameters()],",
    },
    says="The generator's step moves the discriminator's weights as well: each optimiser is given one network.",
)
training_with_the_same_fakes = edited(
    reference.train_gan,
    {
        "fake = generator(noise())": "z = noise()\n                fake = generator(z)",
        "g_loss(discriminator(generator(noise())))": "g_loss(discriminator(generator(z)))",
    },
    says="The generator learns on the noise that the discriminator has just seen: it needs fresh noise.",
)
training_through_detached_fakes = edited(
    reference.train_gan,
    {"g_loss(discriminator(generator(noise())))": "g_loss(discriminator(generator(noise()).detach()))"},
    says="No gradient reaches the generator: its samples are cut off from the graph where it should learn from them.",
)
training_with_fixed_noise = edited(
    reference.train_gan,
    {
        "        return torch.randn(batch_size, latent_dim, generator=rng).to(data)\n": "        return fixed\n",
        "    adam = {": "    fixed = torch.randn(batch_size, latent_dim, generator=rng).to(data)\n    adam = {",
    },
    says="The noise is drawn once, and used again in every step.",
)
training_with_uniform_noise = edited(
    reference.train_gan,
    {"torch.randn(batch_size": "torch.rand(batch_size"},
    says="The noise lies between 0 and 1: it is uniform, where standard normal noise was asked for.",
)
training_with_global_noise = edited(
    reference.train_gan,
    {"torch.randn(batch_size, latent_dim, generator=rng)": "torch.randn(batch_size, latent_dim)"},
    says="Two trainings with an equal rng differ in their noise: it comes from elsewhere.",
)
training_with_global_minibatches = edited(
    reference.train_gan,
    {"torch.randint(len(data), (batch_size,), generator=rng)": "torch.randint(len(data), (batch_size,))"},
    says="Two trainings with an equal rng differ in their real samples: they are drawn from elsewhere.",
)
training_in_order = edited(
    reference.train_gan,
    {"torch.randint(len(data), (batch_size,), generator=rng)": "torch.arange(batch_size).remainder(len(data))"},
    says="The same real samples come in every step: minibatches are drawn at random.",
)
training_without_critic_steps = edited(
    reference.train_gan,
    {"range(critic_steps)": "range(1)"},
    says="The discriminator takes one step for each of the generator's, whatever critic_steps is.",
)
training_of_the_generator_critic_steps_times = edited(
    reference.train_gan,
    {
        "        g_value = g_loss(": "            g_value = g_loss(",
        "        g_optimizer.zero_grad()\n": "            g_optimizer.zero_grad()\n",
        "        g_value.backward()\n": "            g_value.backward()\n",
        "        g_optimizer.step()\n": "            g_optimizer.step()\n",
    },
    says="The generator, too, takes critic_steps steps: it takes one, after the discriminator's.",
)
training_without_penalty = edited(
    reference.train_gan,
    {"if penalty is not None": "if False"},
    says="The penalty plays no part in the training.",
)
training_with_default_betas = edited(
    reference.train_gan,
    {'adam = {"lr": learning_rate, "betas": betas}': 'adam = {"lr": learning_rate}'},
    says="The steps are Adam's, but not with the betas that were passed in.",
)
training_by_plain_gradient_descent = edited(
    reference.train_gan,
    {
        "torch.optim.Adam(discriminator.parameters(), **adam)": "torch.optim.SGD(discriminator.parameters(), lr=learning_rate)",
        "torch.optim.Adam(generator.parameters(), **adam)": "torch.optim.SGD(generator.parameters(), lr=learning_rate)",
    },
    says="The steps are those of plain gradient descent, and Adam was asked for.",
)
training_against_the_loss = edited(
    reference.train_gan,
    {"g_value.backward()": "(-g_value).backward()"},
    says="The generator climbs where it should descend: its loss is minimised, not maximised.",
)
training_with_one_call = edited(
    reference.train_gan,
    {"d_loss(discriminator(real), discriminator(fake))": "d_loss(*discriminator(torch.cat([real, fake])).chunk(2))"},
    says="Real and fake samples are scored in one batch: they are to be scored in two calls.",
)

# ---- mode_coverage


@mistake("mode_coverage", says="A single standard deviation is allowed, where three were asked for.")
def coverage_within_one_deviation(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    distance, nearest = torch.cdist(samples, modes).min(dim=1)
    good = distance <= std
    return len(nearest[good].unique()), good.double().mean().item()


@mistake("mode_coverage", says="A squared distance is compared with three standard deviations.")
def coverage_by_squared_distance(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    distance, nearest = torch.cdist(samples, modes).square().min(dim=1)
    good = distance <= 3 * std
    return len(nearest[good].unique()), good.double().mean().item()


@mistake("mode_coverage", says="Modes are covered by samples that are far from them: only good samples count.")
def coverage_by_bad_samples(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    distance, nearest = torch.cdist(samples, modes).min(dim=1)
    return len(nearest.unique()), (distance <= 3 * std).double().mean().item()


@mistake("mode_coverage", says="A sample within reach of two modes covers both: it covers the nearest one.")
def coverage_of_every_mode_in_reach(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    near = torch.cdist(samples, modes) <= 3 * std
    return int(near.any(dim=0).sum()), near.any(dim=1).double().mean().item()


@mistake("mode_coverage", says="The number of good samples came, where their share was asked for.")
def coverage_with_a_count(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    distance, nearest = torch.cdist(samples, modes).min(dim=1)
    good = distance <= 3 * std
    return len(nearest[good].unique()), float(good.sum())


@mistake("mode_coverage", says="The share is of modes: the share of good samples was asked for.")
def coverage_with_the_share_of_modes(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    distance, nearest = torch.cdist(samples, modes).min(dim=1)
    covered = len(nearest[distance <= 3 * std].unique())
    return covered, covered / len(modes)


@mistake("mode_coverage", says="Distances are measured in each coordinate apart: the Euclidean distance was asked for.")
def coverage_in_a_box(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    distance, nearest = torch.cdist(samples, modes, p=float("inf")).min(dim=1)
    good = distance <= 3 * std
    return len(nearest[good].unique()), good.double().mean().item()


# ---- wasserstein_critic_loss


@mistake("wasserstein_critic_loss", says="The sign is flipped: this is the estimate of the distance, to be maximised.")
def critic_loss_with_the_sign_flipped(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return real_scores.mean() - fake_scores.mean()


@mistake("wasserstein_critic_loss", says="The loss grows with the number of samples: means were asked for, not sums.")
def critic_loss_summed(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return fake_scores.sum() - real_scores.sum()


@mistake("wasserstein_critic_loss", says="A sigmoid squashes the scores: a critic's scores may be any real numbers.")
def critic_loss_of_probabilities(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return fake_scores.sigmoid().mean() - real_scores.sigmoid().mean()


@mistake("wasserstein_critic_loss", says="This is the loss of the original game: there is no logarithm in this one.")
def critic_loss_of_the_original_game(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return F.softplus(fake_scores).mean() + F.softplus(-real_scores).mean()


@mistake(
    "wasserstein_critic_loss", says="The distance itself is not signed: an absolute value hides who scores higher."
)
def critic_loss_without_sign(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return -(fake_scores.mean() - real_scores.mean()).abs()


@mistake("wasserstein_critic_loss", says="The scores stop counting beyond 1: this is the hinge loss.")
def critic_loss_with_a_hinge(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    return (1 + fake_scores).relu().mean() + (1 - real_scores).relu().mean()


# ---- wasserstein_generator_loss


@mistake("wasserstein_generator_loss", says="The sign is flipped: the generator learns to be scored low.")
def critics_favour_with_the_sign_flipped(fake_scores: Tensor) -> Tensor:
    return fake_scores.mean()


@mistake("wasserstein_generator_loss", says="The loss grows with the batch: a sum stands where a mean was asked for.")
def critics_favour_summed(fake_scores: Tensor) -> Tensor:
    return -fake_scores.sum()


@mistake("wasserstein_generator_loss", says="This is the loss of the original game: there is no logarithm in this one.")
def critics_favour_of_the_original_game(fake_scores: Tensor) -> Tensor:
    return F.softplus(-fake_scores).mean()


@mistake("wasserstein_generator_loss", says="A sigmoid squashes the scores: a critic's scores may be any real numbers.")
def critics_favour_of_probabilities(fake_scores: Tensor) -> Tensor:
    return -fake_scores.sigmoid().mean()


# ---- gradient_penalty

penalty_of_the_last_dimension = edited(
    reference.gradient_penalty,
    {"slope.flatten(1)": "slope"},
    says="With images the penalty is another than with flat samples: the norm runs over one dimension, not over all numbers "
    "of a sample.",
)
penalty_of_the_whole_batch = edited(
    reference.gradient_penalty,
    {"torch.linalg.vector_norm(slope.flatten(1), dim=1)": "slope.norm()"},
    says="The penalty depends on the size of the batch: one norm is taken over all samples, where each has its own.",
)
penalty_with_one_epsilon = edited(
    reference.gradient_penalty,
    {"torch.rand(len(real), generator=rng)": "torch.rand(1, generator=rng).repeat(len(real))"},
    says="All samples of a batch go the same part of the way: each needs an ε of its own.",
)
penalty_with_epsilon_for_every_number = edited(
    reference.gradient_penalty,
    {
        "torch.rand(len(real), generator=rng)": "torch.rand(real.shape, generator=rng)",
        ".view(-1, *[1] * (real.ndim - 1))": "",
    },
    says="The points lie off the straight line from fake to real: each number of a sample has an ε of its own.",
)
penalty_with_normal_epsilon = edited(
    reference.gradient_penalty,
    {"torch.rand(": "torch.randn("},
    says="Some points lie beyond the samples: ε is normal, where it should be uniform.",
)
penalty_in_the_middle = edited(
    reference.gradient_penalty,
    {"torch.rand(len(real), generator=rng)": "torch.full((len(real),), 0.5)"},
    says="All points lie half-way: ε is to be drawn at random.",
)
penalty_at_real_samples = edited(
    reference.gradient_penalty,
    {"eps * real + (1 - eps) * fake": "real"},
    says="The slope is taken at the real samples: it is to be taken between real and fake ones.",
)
penalty_at_fake_samples = edited(
    reference.gradient_penalty,
    {"eps * real + (1 - eps) * fake": "fake"},
    says="The slope is taken at the fake samples: it is to be taken between real and fake ones.",
)
penalty_off_the_line = edited(
    reference.gradient_penalty,
    {"eps * real + (1 - eps) * fake": "fake + eps * real"},
    says="The points do not lie between the samples: the two weights should add up to 1.",
)
penalty_with_randomness_of_its_own = edited(
    reference.gradient_penalty,
    {"torch.rand(len(real), generator=rng)": "torch.rand(len(real))"},
    says="An equal rng gives other points: ε is drawn from elsewhere.",
)
penalty_without_a_graph = edited(
    reference.gradient_penalty,
    {", create_graph=True": ""},
    says="The value is right, but no gradient reaches the critic: the slope is computed without a graph of its own.",
)
penalty_of_a_detached_slope = edited(
    reference.gradient_penalty,
    {
        "dim=1) - 1": "dim=1).detach() - 1",
        ".square().mean()": ".square().mean() + 0 * slope.sum()",
    },
    says="The gradient for the critic is zero, though there is one: the norm of the slope is cut off from the graph.",
)
penalty_of_the_norm = edited(
    reference.gradient_penalty,
    {"dim=1) - 1).square()": "dim=1)).square()"},
    says="A critic of slope 1 pays as well: it is the distance of the slope from 1 that costs.",
)
penalty_without_the_square = edited(
    reference.gradient_penalty,
    {"dim=1) - 1).square()": "dim=1) - 1)"},
    says="Slopes below 1 earn a reward: the distance from 1 is not squared.",
)
penalty_of_the_squared_norm = edited(
    reference.gradient_penalty,
    {"torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1": "slope.flatten(1).square().sum(dim=1) - 1"},
    says="The squared norm is compared with 1, where the norm itself was asked for.",
)
penalty_on_one_side = edited(
    reference.gradient_penalty,
    {"dim=1) - 1).square()": "dim=1) - 1).relu().square()"},
    says="Slopes below 1 cost nothing: both sides of 1 are to be punished.",
)
penalty_summed = edited(
    reference.gradient_penalty,
    {".square().mean()": ".square().sum()"},
    says="The penalty grows with the batch: a sum stands where the mean was asked for.",
)
penalty_with_lambda = edited(
    reference.gradient_penalty,
    {"return (": "return 10 * ("},
    says="The penalty is ten times too large: the factor λ is left to the caller.",
)
penalty_with_the_sign_flipped = edited(
    reference.gradient_penalty,
    {"return (": "return -("},
    says="The sign is flipped: the critic would be rewarded for steep slopes.",
)
penalty_with_infinite_gradients = edited(
    reference.gradient_penalty,
    {"torch.linalg.vector_norm(slope.flatten(1), dim=1)": "slope.flatten(1).square().sum(dim=1).sqrt()"},
    says="Where the critic is level the gradients are NaN: a square root has no derivative at 0.",
)
penalty_of_the_mean_score = edited(
    reference.gradient_penalty,
    {"critic(between).sum()": "critic(between).mean()"},
    says="The slopes are too small by the size of the batch: the mean score is differentiated, not each score.",
)

# ---- r1_penalty

r1_without_half = edited(
    reference.r1_penalty,
    {"gamma / 2": "gamma"},
    says="Every value is twice what it should be: the ½ in front is missing.",
)
r1_of_the_norm = edited(
    reference.r1_penalty,
    {"slope.flatten(1).square().sum(dim=1)": "slope.flatten(1).norm(dim=1)"},
    says="The price grows in proportion to the slope: the norm is not squared.",
)
r1_of_the_distance_from_one = edited(
    reference.r1_penalty,
    {"slope.flatten(1).square().sum(dim=1)": "(slope.flatten(1).norm(dim=1) - 1).square()"},
    says="A discriminator of slope 1 pays nothing: that is the penalty of the Wasserstein critic, R₁ pulls slopes to 0.",
)
r1_averaged_over_numbers = edited(
    reference.r1_penalty,
    {".square().sum(dim=1)": ".square().mean(dim=1)"},
    says="The price is too small by the number of numbers in a sample: a mean stands where a sum was asked for.",
)
r1_summed_over_the_batch = edited(
    reference.r1_penalty,
    {".sum(dim=1).mean()": ".sum()"},
    says="The price grows with the batch: a sum stands where the mean was asked for.",
)
r1_of_one_dimension = edited(
    reference.r1_penalty,
    {"slope.flatten(1)": "slope"},
    says="With images the price is too small: the sum runs over one dimension, not over all numbers of a sample.",
)
r1_without_a_graph = edited(
    reference.r1_penalty,
    {", create_graph=True": ""},
    says="The value is right, but no gradient reaches the discriminator: the slope is computed without a graph of its own.",
)
r1_without_gamma = edited(
    reference.r1_penalty,
    {"gamma / 2": "5"},
    says="The penalty is the same whatever γ is.",
)
r1_of_probabilities = edited(
    reference.r1_penalty,
    {"discriminator(real).sum()": "discriminator(real).sigmoid().sum()"},
    says="A discriminator that is sure pays almost nothing: the slope of its probabilities is taken, not of its logits.",
)
r1_of_the_mean_logit = edited(
    reference.r1_penalty,
    {"discriminator(real).sum()": "discriminator(real).mean()"},
    says="The slopes are too small by the size of the batch: the mean logit is differentiated, not each logit.",
)

# ---- spectral_normalize

normalised_by_frobenius = edited(
    reference.spectral_normalize,
    {"(u @ matrix @ v)": "matrix.norm()"},
    says="The weight is divided by the root of the sum of all its squares: the largest singular value is smaller.",
)
normalised_by_a_constant = edited(
    reference.spectral_normalize,
    {"(u @ matrix @ v)": "(u @ matrix @ v).detach()"},
    says="The gradient takes σ for a constant: it depends on the weight, too.",
)
normalised_through_the_iteration = edited(
    reference.spectral_normalize,
    {"with torch.no_grad():": "with torch.enable_grad():"},
    says="Gradients flow through the iteration: u and v are constants, and the u that is returned has no graph.",
)
normalised_without_news = edited(
    reference.spectral_normalize,
    {
        "    with torch.no_grad():": "    start = u\n    with torch.no_grad():",
        "(u @ matrix @ v), u": "(u @ matrix @ v), start",
    },
    says="The u that comes back is the one that went in: the next call would start from nothing again.",
)
normalised_in_one_step = edited(
    reference.spectral_normalize,
    {"range(steps)": "range(1)"},
    says="The iteration takes one step, however many are asked for.",
)
normalised_by_the_square = edited(
    reference.spectral_normalize,
    {"(u @ matrix @ v)": "(u @ matrix @ v).square()"},
    says="The result shrinks as the weight grows: it is divided by σ², not by σ.",
)
normalised_with_long_vectors = edited(
    reference.spectral_normalize,
    {"u = F.normalize(matrix @ v, dim=0)": "u = matrix @ v"},
    says="The u that comes back is not of length 1.",
)
normalised_row_by_row = edited(
    reference.spectral_normalize,
    {"weight / (u @ matrix @ v)": "F.normalize(matrix, dim=1).view_as(weight)"},
    says="Every row is divided by its own length: the whole weight is to be divided by one number.",
)
normalised_by_the_old_u = edited(
    reference.spectral_normalize,
    {
        "            u = F.normalize(matrix @ v, dim=0)\n": "            old, u = u, F.normalize(matrix @ v, dim=0)\n",
        "(u @ matrix @ v), u": "(old @ matrix @ v), u",
    },
    says="The singular value is too small: it is computed with the u before the last step.",
)

# ---- feature_matching_loss


@mistake(
    "feature_matching_loss", says="The loss is too small by the number of features: they are averaged, not added up."
)
def matching_averaged(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return (real_features.mean(dim=0) - fake_features.mean(dim=0)).square().mean()


@mistake("feature_matching_loss", says="The distance is not squared.")
def matching_by_distance(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return ((real_features.mean(dim=0) - fake_features.mean(dim=0)).square().sum() + 1e-12).sqrt()


@mistake("feature_matching_loss", says="Absolute differences are added up, where squares were asked for.")
def matching_by_absolute_differences(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return (real_features.mean(dim=0) - fake_features.mean(dim=0)).abs().sum()


@mistake("feature_matching_loss", says="All features are averaged into one number before they are compared.")
def matching_of_one_number(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return (real_features.mean() - fake_features.mean()).square()


@mistake(
    "feature_matching_loss",
    says="Every pair of images is compared, so that the loss is positive even where the means agree: means come first.",
)
def matching_of_pairs(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return torch.cdist(real_features.flatten(1), fake_features.flatten(1)).square().mean()


@mistake(
    "feature_matching_loss", says="The loss grows with the number of images: features are added up over the batch."
)
def matching_of_sums(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return (real_features.sum(dim=0) - fake_features.sum(dim=0)).square().sum()


@mistake("feature_matching_loss", says="No gradient reaches the generated features: they are cut off from the graph.")
def matching_of_detached_features(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return (real_features.mean(dim=0) - fake_features.detach().mean(dim=0)).square().sum()


@mistake("feature_matching_loss", says="The mean runs over the last dimension, not over the images of the batch.")
def matching_over_features(real_features: Tensor, fake_features: Tensor) -> Tensor:
    return (real_features.flatten(1).mean(dim=1).mean() - fake_features.flatten(1).mean(dim=1)).square().sum()


# ---- DCGANGenerator

generator_without_tanh = edited(
    reference.DCGANGenerator,
    {"nn.Sequential(*layers, nn.Tanh())": "nn.Sequential(*layers)"},
    says="Pixels lie beyond −1 and 1: look at what follows the last layer.",
)
generator_of_probabilities = edited(
    reference.DCGANGenerator,
    {"nn.Tanh()": "nn.Sigmoid()"},
    says="No pixel is ever negative: the images should reach from −1 to 1, and these reach from 0 to 1.",
)
generator_without_batch_norm = edited(
    reference.DCGANGenerator,
    {"nn.BatchNorm2d(before), nn.ReLU()": "nn.ReLU()"},
    says="Nothing keeps the feature maps at one scale: there is no batch normalisation.",
)
generator_with_instance_norm = edited(
    reference.DCGANGenerator,
    {"nn.BatchNorm2d(before)": "nn.InstanceNorm2d(before, affine=True, track_running_stats=True)"},
    says="Each image is normalised by itself: batch normalisation measures all images of the batch together.",
)
generator_with_batch_norm_at_the_end = edited(
    reference.DCGANGenerator,
    {"nn.Sequential(*layers, nn.Tanh())": "nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.Tanh())"},
    says="The last layer is normalised, too, so that no image can be darker than the others: it should not be.",
)
generator_with_leaky_relu = edited(
    reference.DCGANGenerator,
    {"nn.ReLU()": "nn.LeakyReLU(0.2)"},
    says="The hidden layers let through what is negative: leaky ReLU belongs to the discriminator, ReLU to the generator.",
)
generator_with_default_weights = edited(
    reference.DCGANGenerator,
    {"nn.init.normal_(parameter, 0.0, 0.02)": "pass"},
    says="The weights do not start with a standard deviation of 0.02: they are as their layers made them.",
)
generator_with_wide_weights = edited(
    reference.DCGANGenerator,
    {"nn.init.normal_(parameter, 0.0, 0.02)": "nn.init.normal_(parameter, 0.0, 0.02**0.5)"},
    says="The weights start with a variance of 0.02: their standard deviation should be 0.02.",
)


@mistake(
    "DCGANGenerator",
    says="Some weights are not among `.parameters()`, so that no optimiser finds them: look at what holds the layers.",
)
class GeneratorWithLayersInAList(nn.Module):
    def __init__(self, latent_dim: int, channels: int, size: int, width: int = 32) -> None:
        super().__init__()
        maps = [width * 2**k for k in reversed(range(size.bit_length() - 2))]
        self.first = nn.ConvTranspose2d(latent_dim, maps[0], 2)
        self.hidden = []
        for before, after in zip(maps, [*maps[1:], channels], strict=True):
            self.hidden += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0.0, 0.02)

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z[:, :, None, None])
        for layer in self.hidden:
            x = layer(x)
        return x.tanh()


# ---- DCGANDiscriminator

discriminator_of_probabilities = edited(
    reference.DCGANDiscriminator,
    {"self.logit(self.features(images)).squeeze(1)": "self.logit(self.features(images)).squeeze(1).sigmoid()"},
    says="Every output lies between 0 and 1: these are probabilities. Look at what follows the last layer.",
)
discriminator_with_a_column_of_logits = edited(
    reference.DCGANDiscriminator,
    {".squeeze(1)": ""},
    says="The logits come as a column (batch, 1): against the labels of a batch that makes a table of all pairs.",
)
discriminator_with_relu = edited(
    reference.DCGANDiscriminator,
    {"nn.LeakyReLU(0.2)": "nn.ReLU()"},
    says="No feature is ever negative: ReLU belongs to the generator, leaky ReLU to the discriminator.",
)
discriminator_with_a_flatter_slope = edited(
    reference.DCGANDiscriminator,
    {"nn.LeakyReLU(0.2)": "nn.LeakyReLU()"},
    says="The slope of leaky ReLU is its default of 0.01, where 0.2 was asked for.",
)
discriminator_normalised_everywhere = edited(
    reference.DCGANDiscriminator,
    {"if batch_norm and before != channels": "if batch_norm"},
    says="The first layer is normalised, too: the discriminator no longer sees how bright an image is.",
)
discriminator_always_normalised = edited(
    reference.DCGANDiscriminator,
    {"if batch_norm and before": "if before"},
    says="`batch_norm` has no effect: without it no image should be touched by the others.",
)
discriminator_never_normalised = edited(
    reference.DCGANDiscriminator,
    {"if batch_norm and before != channels": "if False"},
    says="There is no batch normalisation, though it is asked for by default.",
)
discriminator_with_default_weights = edited(
    reference.DCGANDiscriminator,
    {"nn.init.normal_(parameter, 0.0, 0.02)": "pass"},
    says="The weights do not start with a standard deviation of 0.02: they are as their layers made them.",
)
discriminator_with_wide_weights = edited(
    reference.DCGANDiscriminator,
    {"nn.init.normal_(parameter, 0.0, 0.02)": "nn.init.normal_(parameter, 0.0, 0.02**0.5)"},
    says="The weights start with a variance of 0.02: their standard deviation should be 0.02.",
)
discriminator_with_features_of_its_own = edited(
    reference.DCGANDiscriminator,
    {
        "        return self.layers(images)\n": "        return self.layers[:-2](images).flatten(1)\n",
        "self.logit(self.features(images))": "self.logit(self.layers(images))",
    },
    says="The features come from before the last nonlinearity, and the logit is not made of them.",
)


@mistake(
    "DCGANDiscriminator",
    says="Some weights are not among `.parameters()`, so that no optimiser finds them: look at what holds the layers.",
)
class DiscriminatorWithLayersInAList(nn.Module):
    def __init__(self, channels: int, size: int, width: int = 32, batch_norm: bool = True) -> None:
        super().__init__()
        maps = [width * 2**k for k in range(size.bit_length() - 2)]
        self.layers: list[nn.Module] = []
        for before, after in zip([channels, *maps[:-1]], maps, strict=True):
            self.layers.append(nn.Conv2d(before, after, 4, 2, 1))
            if batch_norm and before != channels:
                self.layers.append(nn.BatchNorm2d(after))
            self.layers.append(nn.LeakyReLU(0.2))
        self.logit = nn.Linear(4 * maps[-1], 1)
        nn.init.normal_(self.logit.weight, 0.0, 0.02)
        nn.init.zeros_(self.logit.bias)

    def features(self, images: Tensor) -> Tensor:
        for layer in self.layers:
            images = layer(images)
        return images.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.logit(self.features(images)).squeeze(1)


# ---- ConditionalGenerator

condition_first = edited(
    reference.ConditionalGenerator,
    {"[z, self.embedding(labels)]": "[self.embedding(labels), z]"},
    says="The vector of the class comes before the code: it should follow it.",
)
condition_of_the_first_row = edited(
    reference.ConditionalGenerator,
    {"self.embedding(labels)]": "self.embedding(labels[:1]).expand(len(z), -1)]"},
    says="All rows get the class of the first one: each has a label of its own.",
)
condition_without_gradient = edited(
    reference.ConditionalGenerator,
    {"self.embedding(labels)]": "self.embedding(labels).detach()]"},
    says="The vectors of the classes are never learned: they are cut off from the graph.",
)
condition_ignored = edited(
    reference.ConditionalGenerator,
    {"self.embedding(labels)]": "self.embedding(0 * labels)]"},
    says="The label changes nothing: every class has the same vector.",
)


@mistake(
    "ConditionalGenerator", says="The label itself is appended, as a number: each class needs a vector of its own."
)
class ConditionByNumber(nn.Module):
    def __init__(self, generator: nn.Module, classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.generator, self.embedding_dim = generator, embedding_dim

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        number = labels.to(z.dtype)[:, None].expand(-1, self.embedding_dim)
        return self.generator(torch.cat([z, number], dim=1))


@mistake(
    "ConditionalGenerator",
    says="The vectors of the classes are not among `.parameters()`: they are a plain tensor, which no optimiser finds.",
)
class ConditionByPlainTensor(nn.Module):
    def __init__(self, generator: nn.Module, classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.generator = generator
        self.scale = nn.Parameter(torch.ones(()))
        self.vectors = torch.randn(classes, embedding_dim)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.generator(torch.cat([z, self.scale * self.vectors[labels]], dim=1))


@mistake("ConditionalGenerator", says="New vectors are made in every call: the layer belongs into the constructor.")
class ConditionMadeAnew(nn.Module):
    def __init__(self, generator: nn.Module, classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.generator = generator
        self.classes, self.embedding_dim = classes, embedding_dim
        self.bias = nn.Parameter(torch.zeros(embedding_dim))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        embedding = nn.Embedding(self.classes, self.embedding_dim)
        return self.generator(torch.cat([z, embedding(labels) + self.bias], dim=1))


# ---- matching_aware_loss


@mistake("matching_aware_loss", says="The two wrong kinds cost twice what they should: the ½ before them is missing.")
def matching_without_half(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (F.softplus(-real_logits) + F.softplus(mismatched_logits) + F.softplus(fake_logits)).mean()


@mistake("matching_aware_loss", says="Real images with the texts of others are pulled to real: they are wrong, too.")
def matching_of_any_text(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (F.softplus(-real_logits) + F.softplus(-mismatched_logits) / 2 + F.softplus(fake_logits) / 2).mean()


@mistake("matching_aware_loss", says="Real images with the texts of others cost nothing.")
def matching_without_mismatched(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (F.softplus(-real_logits) + F.softplus(fake_logits)).mean()


@mistake(
    "matching_aware_loss", says="All three kinds have the same weight of a third: right ones weigh as much as wrong."
)
def matching_averaged_over_kinds(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (F.softplus(-real_logits) + F.softplus(mismatched_logits) + F.softplus(fake_logits)).mean() / 3


@mistake("matching_aware_loss", says="Everything is halved: the ½ belongs to the two wrong kinds alone.")
def matching_all_halved(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (F.softplus(-real_logits) + F.softplus(mismatched_logits) + F.softplus(fake_logits)).mean() / 2


@mistake(
    "matching_aware_loss", says="Large logits give infinities or NaN: the logarithm of a rounded sigmoid is taken."
)
def matching_that_overflows(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    r, w, f = real_logits.sigmoid(), mismatched_logits.sigmoid(), fake_logits.sigmoid()
    return -(r.log() + ((1 - w).log() + (1 - f).log()) / 2).mean()


@mistake("matching_aware_loss", says="The loss grows with the batch: a sum stands where a mean was asked for.")
def matching_summed(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (F.softplus(-real_logits) + F.softplus(mismatched_logits) / 2 + F.softplus(fake_logits) / 2).sum()


@mistake("matching_aware_loss", says="The sign is flipped: this is what the algorithm's last line maximises.")
def matching_with_the_sign_flipped(real_logits: Tensor, mismatched_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return -(F.softplus(-real_logits) + F.softplus(mismatched_logits) / 2 + F.softplus(fake_logits) / 2).mean()


# ---- cycle_consistency_loss

cycle_averaged = edited(
    reference.cycle_consistency_loss,
    {
        "(to_x(to_y(x)) - x).abs().flatten(1).sum(dim=1).mean()": "(to_x(to_y(x)) - x).abs().mean()",
        "(to_y(to_x(y)) - y).abs().flatten(1).sum(dim=1).mean()": "(to_y(to_x(y)) - y).abs().mean()",
    },
    says="The loss is too small by the number of numbers in an image: a mean stands where a sum was asked for.",
)
cycle_summed = edited(
    reference.cycle_consistency_loss,
    {
        "(to_x(to_y(x)) - x).abs().flatten(1).sum(dim=1).mean()": "(to_x(to_y(x)) - x).abs().sum()",
        "(to_y(to_x(y)) - y).abs().flatten(1).sum(dim=1).mean()": "(to_y(to_x(y)) - y).abs().sum()",
    },
    says="The loss grows with the number of images: a sum stands where a mean over the batch was asked for.",
)
cycle_of_squares = edited(
    reference.cycle_consistency_loss,
    {
        "(to_x(to_y(x)) - x).abs()": "(to_x(to_y(x)) - x).square()",
        "(to_y(to_x(y)) - y).abs()": "(to_y(to_x(y)) - y).square()",
    },
    says="Differences are squared: absolute ones were asked for.",
)
cycle_one_way = edited(
    reference.cycle_consistency_loss,
    {"return forth + back": "return forth"},
    says="Only images of the first kind come back: the cycle that starts from the second kind is missing.",
)
cycle_halved = edited(
    reference.cycle_consistency_loss,
    {"return forth + back": "return (forth + back) / 2"},
    says="Every value is half of what it should be: the two ways are added, not averaged.",
)
cycle_of_detached_images = edited(
    reference.cycle_consistency_loss,
    {"to_x(to_y(x))": "to_x(to_y(x).detach())", "to_y(to_x(y))": "to_y(to_x(y).detach())"},
    says="The first translator of each cycle learns nothing: its images are cut off from the graph.",
)
cycle_with_lambda = edited(
    reference.cycle_consistency_loss,
    {"return forth + back": "return 10 * (forth + back)"},
    says="Every value is ten times too large: the factor λ is left to the caller.",
)

# ---- identity_loss

identity_of_translations = edited(
    reference.identity_loss,
    {
        "to_y(y)": "to_y(x)",
        "to_x(x)": "to_x(y)",
        " - y)": " - x)",
        " - x).abs().flatten(1).sum(dim=1).mean()\n    return": " - y).abs().flatten(1).sum(dim=1).mean()\n    return",
    },
    says="Translators are given what they should translate: each is to be given what it makes.",
)
identity_averaged = edited(
    reference.identity_loss,
    {
        "(to_y(y) - y).abs().flatten(1).sum(dim=1).mean()": "(to_y(y) - y).abs().mean()",
        "(to_x(x) - x).abs().flatten(1).sum(dim=1).mean()": "(to_x(x) - x).abs().mean()",
    },
    says="The loss is too small by the number of numbers in an image: a mean stands where a sum was asked for.",
)
identity_of_squares = edited(
    reference.identity_loss,
    {"(to_y(y) - y).abs()": "(to_y(y) - y).square()", "(to_x(x) - x).abs()": "(to_x(x) - x).square()"},
    says="Differences are squared: absolute ones were asked for.",
)
identity_one_way = edited(
    reference.identity_loss,
    {"return kept_y + kept_x": "return kept_y"},
    says="Only one of the two translators is asked what it changes.",
)
identity_halved = edited(
    reference.identity_loss,
    {"return kept_y + kept_x": "return (kept_y + kept_x) / 2"},
    says="Every value is half of what it should be: the factor λ/2 is left to the caller.",
)
identity_exchanged = edited(
    reference.identity_loss,
    {"to_y(y)": "to_x(y)", "to_x(x)": "to_y(x)"},
    says="The two translators are exchanged: the one that makes images of the second kind is given those.",
)

# ---- ImagePool

pool_that_always_exchanges = edited(
    reference.ImagePool,
    {"torch.rand((), generator=rng) < 0.5": "torch.rand((), generator=rng) < 2"},
    says="Once the pool is full, every image is exchanged for an older one: a coin should decide.",
)
pool_that_never_exchanges = edited(
    reference.ImagePool,
    {"torch.rand((), generator=rng) < 0.5": "torch.rand((), generator=rng) < 0"},
    says="Every image comes back as it was: the pool never gives an older one.",
)
pool_that_keeps_the_old = edited(
    reference.ImagePool,
    {"image, self.images[place] = self.images[place], image": "image = self.images[place]"},
    says="Stored images come back, but new ones never take their places: the pool stays as it was when it became full.",
)
pool_with_graphs = edited(
    reference.ImagePool,
    {"images.detach().clone()": "images.clone()"},
    says="What comes back carries a graph: the pool keeps alive everything that made its images.",
)
pool_with_randomness_of_its_own = edited(
    reference.ImagePool,
    {
        "torch.rand((), generator=rng)": "torch.rand(())",
        "torch.randint(self.size, (), generator=rng)": "torch.randint(self.size, ())",
    },
    says="An equal rng gives other images: chance is drawn from elsewhere.",
)
pool_with_one_coin = edited(
    reference.ImagePool,
    {
        "        given_back = []\n": "        given_back, coin = [], torch.rand((), generator=rng)\n",
        "torch.rand((), generator=rng) < 0.5": "coin < 0.5",
    },
    says="All images of a batch are exchanged, or none: the coin is tossed for each image by itself.",
)
pool_first_in_first_out = edited(
    reference.ImagePool,
    {
        "                place = int(torch.randint(self.size, (), generator=rng))\n": "",
        "image, self.images[place] = self.images[place], image": "self.images.append(image)\n"
        "                image = self.images.pop(0)",
    },
    says="Always the oldest image comes back: each that is stored should be equally likely.",
)
pool_that_spares_the_last = edited(
    reference.ImagePool,
    {"torch.randint(self.size, ()": "torch.randint(max(1, self.size - 1), ()"},
    says="The last place of the pool is never taken: the range of places ends one too early.",
)
pool_that_stores_everything = edited(
    reference.ImagePool,
    {
        "            elif self.size and torch.rand((), generator=rng) < 0.5:\n": "            elif self.size:\n",
        "image, self.images[place] = self.images[place], image": "old, self.images[place] = self.images[place], image\n"
        "                image = old if torch.rand((), generator=rng) < 0.5 else image",
    },
    says="Images that come back as they were are stored as well, so that others are lost: those should not be stored.",
)


@mistake("ImagePool", says="Two pools share their images: the list belongs to the class, not to each pool.")
class PoolSharedByAll:
    images: list[Tensor] = []  # noqa: RUF012

    def __init__(self, size: int) -> None:
        self.size = size

    def query(self, images: Tensor, rng: torch.Generator | None = None) -> Tensor:
        given_back = []
        for image in images.detach().clone():
            if len(self.images) < self.size:
                self.images.append(image)
            elif self.size and torch.rand((), generator=rng) < 0.5:
                place = int(torch.randint(self.size, (), generator=rng))
                image, self.images[place] = self.images[place], image
            given_back.append(image)
        return torch.stack(given_back)


# ---- adaptive_instance_norm


@mistake("adaptive_instance_norm", says="Statistics run over the batch: each image has its own mean and spread.")
def norm_over_the_batch(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) * (variance + eps).rsqrt() + shift[:, :, None, None]


@mistake("adaptive_instance_norm", says="Statistics run over the channels, too: each feature map has its own.")
def norm_over_channels(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x, dim=(1, 2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) * (variance + eps).rsqrt() + shift[:, :, None, None]


@mistake(
    "adaptive_instance_norm",
    says="Values are slightly too small: the variance is divided by the number of places less one.",
)
def norm_with_the_sample_variance(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    variance = (x - x.mean(dim=(2, 3), keepdim=True)).square().sum(dim=(2, 3), keepdim=True)
    variance = variance / max(1, x.shape[2] * x.shape[3] - 1)
    mean = x.mean(dim=(2, 3), keepdim=True)
    return scale[:, :, None, None] * (x - mean) * (variance + eps).rsqrt() + shift[:, :, None, None]


@mistake("adaptive_instance_norm", says="The small constant is added to σ: it belongs to σ², under the square root.")
def norm_with_eps_outside(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / (variance.sqrt() + eps) + shift[:, :, None, None]


@mistake("adaptive_instance_norm", says="Deviations are divided by the variance, not by its square root.")
def norm_by_the_variance(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / (variance + eps) + shift[:, :, None, None]


@mistake("adaptive_instance_norm", says="Scale and shift are exchanged.")
def norm_with_style_exchanged(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return shift[:, :, None, None] * (x - mean) * (variance + eps).rsqrt() + scale[:, :, None, None]


@mistake("adaptive_instance_norm", says="The new spread is one more than the scale that was asked for.")
def norm_with_one_plus_scale(x: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return (1 + scale[:, :, None, None]) * (x - mean) * (variance + eps).rsqrt() + shift[:, :, None, None]


# ---- MappingNetwork

mapping_without_normalisation = edited(
    reference.MappingNetwork,
    {"z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()": "z"},
    says="Longer codes have other styles: the code is not brought to one length first.",
)
mapping_of_unit_length = edited(
    reference.MappingNetwork,
    {"z.square().mean(dim=1, keepdim=True)": "z.square().sum(dim=1, keepdim=True)"},
    says="Codes are brought to length 1: their numbers should have a mean square of 1, whatever their count.",
)
mapping_normalised_over_the_batch = edited(
    reference.MappingNetwork,
    {"z.square().mean(dim=1, keepdim=True)": "z.square().mean(dim=0, keepdim=True)"},
    says="The other codes of a batch change a style: each code is brought to its length by itself.",
)
mapping_with_relu = edited(
    reference.MappingNetwork,
    {"F.leaky_relu(layer(w), 0.2)": "F.relu(layer(w))"},
    says="Negative numbers are lost in every layer: ReLU stands where leaky ReLU was asked for.",
)
mapping_with_a_flatter_slope = edited(
    reference.MappingNetwork,
    {"F.leaky_relu(layer(w), 0.2)": "F.leaky_relu(layer(w))"},
    says="The slope of leaky ReLU is its default of 0.01, where 0.2 was asked for.",
)
mapping_without_nonlinearity = edited(
    reference.MappingNetwork,
    {"F.leaky_relu(layer(w), 0.2)": "layer(w)"},
    says="All layers together are one affine map of the code: there is nothing between them.",
)
mapping_with_eight_layers = edited(
    reference.MappingNetwork,
    {"before = ": "layers = 8\n        before = "},
    says="There are eight layers, however many are asked for.",
)


@mistake("MappingNetwork", says="All layers but the first share their weights: each needs its own.")
class MappingWithOneLayerAgainAndAgain(nn.Module):
    def __init__(self, latent_dim: int, style_dim: int, layers: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(latent_dim, style_dim)])
        self.layers.extend([nn.Linear(style_dim, style_dim)] * (layers - 1))

    def forward(self, z: Tensor) -> Tensor:
        w = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w


@mistake(
    "MappingNetwork",
    says="Some weights are not among `.parameters()`, so that no optimiser finds them: look at what holds the layers.",
)
class MappingWithLayersInAList(nn.Module):
    def __init__(self, latent_dim: int, style_dim: int, layers: int = 8) -> None:
        super().__init__()
        self.layers = [nn.Linear(latent_dim if i == 0 else style_dim, style_dim) for i in range(layers)]
        self.last = self.layers[-1]

    def forward(self, z: Tensor) -> Tensor:
        w = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w


# ---- modulated_conv2d

modulation_of_outputs = edited(
    reference.modulated_conv2d,
    {
        "weight * style[:, None, :, None, None]": "weight * style.repeat(1, len(weight))[:, : len(weight), None, None, None]"
    },
    says="The style multiplies output channels: it has a number for each input channel.",
)
modulation_without_demodulation = edited(
    reference.modulated_conv2d,
    {"if demodulate:": "if False:"},
    says="A larger style gives larger maps: the weights are not brought back to unit length.",
)
modulation_always_demodulated = edited(
    reference.modulated_conv2d,
    {"if demodulate:": "if True:"},
    says="`demodulate` has no effect: the weights are always brought back to unit length.",
)
modulation_demodulated_by_input = edited(
    reference.modulated_conv2d,
    {"dim=(2, 3, 4), keepdim": "dim=(3, 4), keepdim"},
    says="Each input channel is brought to unit length by itself: the sum runs over them, too.",
)
modulation_demodulated_together = edited(
    reference.modulated_conv2d,
    {"dim=(2, 3, 4), keepdim": "dim=(1, 2, 3, 4), keepdim"},
    says="All output channels are divided by one number: each is brought to unit length by itself.",
)
modulation_by_the_mean_square = edited(
    reference.modulated_conv2d,
    {"weights.square().sum(dim=(2, 3, 4)": "weights.square().mean(dim=(2, 3, 4)"},
    says="The maps are too large by the root of the number of weights: a mean stands where a sum was asked for.",
)
modulation_divided_by_squares = edited(
    reference.modulated_conv2d,
    {".rsqrt()": ".reciprocal()"},
    says="Weights are divided by their sum of squares, not by its square root.",
)
modulation_demodulated_without_style = edited(
    reference.modulated_conv2d,
    {"weights.square().sum(dim=(2, 3, 4), keepdim=True)": "weight.square().sum(dim=(1, 2, 3), keepdim=True)"},
    says="A larger style still gives larger maps: the length is that of the weight before the style came in.",
)
modulation_by_the_mean_style = edited(
    reference.modulated_conv2d,
    {"style[:, None, :, None, None]": "style.mean(dim=0).expand_as(style)[:, None, :, None, None]"},
    says="All images have the same style, the mean of the batch: each has its own.",
)
modulation_with_eps_outside = edited(
    reference.modulated_conv2d,
    {"keepdim=True) + eps).rsqrt()": "keepdim=True).sqrt() + eps).reciprocal()"},
    says="The small constant is added to the length: it belongs to the sum of squares, under the square root.",
)
modulation_of_flipped_weights = edited(
    reference.modulated_conv2d,
    {"weights.flatten(0, 1)\n": "weights.flatten(0, 1).flip(2, 3)\n"},
    says="The kernel is turned upside down: convolution is torch's, which does not flip it.",
)

# ---- path_length_penalty

paths_without_the_root = edited(
    reference.path_length_penalty,
    {"y = noise / (noise.shape[2] * noise.shape[3]) ** 0.5": "y = noise"},
    says="Lengths grow with the size of the image: the noise is not divided by the root of the number of pixels.",
)
paths_divided_by_the_pixels = edited(
    reference.path_length_penalty,
    {"(noise.shape[2] * noise.shape[3]) ** 0.5": "(noise.shape[2] * noise.shape[3])"},
    says="The noise is divided by the number of pixels, not by its square root.",
)
paths_divided_by_all_numbers = edited(
    reference.path_length_penalty,
    {"(noise.shape[2] * noise.shape[3]) ** 0.5": "noise[0].numel() ** 0.5"},
    says="Channels are counted as pixels: only height and width count.",
)
paths_averaged_over_the_style = edited(
    reference.path_length_penalty,
    {"torch.linalg.vector_norm(pull, dim=1)": "(pull.square().mean(dim=1) + 1e-12).sqrt()"},
    says="Lengths are too small by the root of the number of style numbers: a mean stands where a sum was asked for.",
)
paths_of_the_whole_batch = edited(
    reference.path_length_penalty,
    {"torch.linalg.vector_norm(pull, dim=1)": "torch.linalg.vector_norm(pull).expand(len(pull))"},
    says="All images have the same length, which grows with the batch: each has its own.",
)
paths_without_target = edited(
    reference.path_length_penalty,
    {"(lengths - target)": "lengths"},
    says="The target has no effect: lengths are pulled to 0.",
)
paths_without_the_square = edited(
    reference.path_length_penalty,
    {"(lengths - target).square()": "(lengths - target).abs()"},
    says="The distance from the target is not squared.",
)
paths_without_a_graph = edited(
    reference.path_length_penalty,
    {", create_graph=True": ""},
    says="The value is right, but no gradient reaches the network: the derivative is computed without a graph of its own.",
)
paths_with_a_graph = edited(
    reference.path_length_penalty,
    {"lengths.detach()": "lengths"},
    says="The lengths carry a graph, which the caller's running mean would keep alive.",
)
paths_with_noise_of_their_own = edited(
    reference.path_length_penalty,
    {"y = noise /": "y = torch.randn_like(noise) /"},
    says="The same noise gives different lengths: fresh noise is drawn, and the noise passed in goes unused.",
)
paths_without_noise = edited(
    reference.path_length_penalty,
    {"synthesis(styles) * y": "synthesis(styles)"},
    says="The noise changes nothing: the sum of all pixels is differentiated.",
)
paths_with_infinite_gradients = edited(
    reference.path_length_penalty,
    {"torch.linalg.vector_norm(pull, dim=1)": "pull.square().sum(dim=1).sqrt()"},
    says="Where a length is 0 the gradients are NaN: a square root has no derivative at 0.",
)

# ---- pixel_shuffle


@mistake("pixel_shuffle", says="Rows and columns are exchanged inside each block of pixels.")
def shuffle_with_blocks_turned(x: Tensor, factor: int) -> Tensor:
    batch, channels, height, width = x.shape
    if channels % factor**2:
        raise ValueError("wrong number of channels")
    blocks = x.reshape(batch, -1, factor, factor, height, width)
    return blocks.permute(0, 1, 4, 3, 5, 2).reshape(batch, -1, factor * height, factor * width)


@mistake(
    "pixel_shuffle",
    says="Channels are taken in another order, as other libraries have it: the position in a block comes last.",
)
def shuffle_with_channels_last(x: Tensor, factor: int) -> Tensor:
    batch, channels, height, width = x.shape
    if channels % factor**2:
        raise ValueError("wrong number of channels")
    blocks = x.reshape(batch, factor, factor, -1, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, factor * height, factor * width)


@mistake("pixel_shuffle", says="The numbers are only poured into the new shape: neighbours are torn apart.")
def shuffle_by_reshaping(x: Tensor, factor: int) -> Tensor:
    batch, channels, height, width = x.shape
    if channels % factor**2:
        raise ValueError("wrong number of channels")
    return x.reshape(batch, -1, factor * height, factor * width)


@mistake("pixel_shuffle", says="Other numbers of channels are no error: the surplus channels are dropped in silence.")
def shuffle_without_error(x: Tensor, factor: int) -> Tensor:
    batch, channels, height, width = x.shape
    blocks = x[:, : channels // factor**2 * factor**2].reshape(batch, -1, factor, factor, height, width)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(batch, channels // factor**2, factor * height, factor * width)


@mistake(
    "pixel_shuffle", says="Whole maps stand side by side, like tiles: each channel's numbers should be spread apart."
)
def shuffle_into_tiles(x: Tensor, factor: int) -> Tensor:
    batch, channels, height, width = x.shape
    if channels % factor**2:
        raise ValueError("wrong number of channels")
    blocks = x.reshape(batch, -1, factor, factor, height, width)
    return blocks.permute(0, 1, 2, 4, 3, 5).reshape(batch, -1, factor * height, factor * width)


@mistake("pixel_shuffle", says="The first channel of each block is repeated, and the others are lost.")
def shuffle_by_repetition(x: Tensor, factor: int) -> Tensor:
    if x.shape[1] % factor**2:
        raise ValueError("wrong number of channels")
    return x[:, :: factor**2].repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


# ---- super_resolution_loss

resolution_of_pixels = edited(
    reference.super_resolution_loss,
    {"features(upscaled) - features(sharp)": "upscaled - sharp"},
    says="Pixels are compared, whatever `features` is.",
)
resolution_summed = edited(
    reference.super_resolution_loss,
    {".square().mean()": ".square().sum()"},
    says="The content loss grows with the size of the image: a sum stands where the mean was asked for.",
)
resolution_by_absolute_differences = edited(
    reference.super_resolution_loss,
    {".square().mean()": ".abs().mean()"},
    says="Differences of features are not squared.",
)
resolution_without_weight = edited(
    reference.super_resolution_loss,
    {"weight * adversarial": "adversarial"},
    says="The adversarial loss counts fully, whatever its weight is.",
)
resolution_with_the_weight_on_the_content = edited(
    reference.super_resolution_loss,
    {"content + weight * adversarial(fake_logits)": "weight * content + adversarial(fake_logits)"},
    says="The content loss is weighted: the weight belongs to the adversarial loss.",
)
resolution_by_minus_adversarial = edited(
    reference.super_resolution_loss,
    {"content + weight": "content - weight"},
    says="The adversarial loss is taken off: it is to be minimised along with the content loss.",
)
resolution_with_a_loss_of_its_own = edited(
    reference.super_resolution_loss,
    {"adversarial(fake_logits)": "F.softplus(-fake_logits).mean()"},
    says="The adversarial loss is always the same one, whatever `adversarial` is.",
)
resolution_without_the_generator = edited(
    reference.super_resolution_loss,
    {"features(upscaled)": "features(upscaled.detach())"},
    says="The content loss teaches nothing: the upscaled image is cut off from the graph.",
)
