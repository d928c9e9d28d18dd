"""Known mistakes in `mathematics`."""

from collections.abc import Callable

import torch
from torch import Tensor

from autograder.mistakes import edited, mistake
from solutions import mathematics as reference

# ---- bayes_posterior

posterior_without_evidence = edited(
    reference.bayes_posterior,
    {"joint / evidence": "joint"},
    says="The rows do not sum to 1: these are the joint probabilities, not yet divided by the evidence.",
)
posterior_summed_over_observations = edited(
    reference.bayes_posterior,
    {"dim=1": "dim=0"},
    says="The columns sum to 1 instead of the rows: the evidence is a sum over hypotheses, not over observations.",
)
posterior_without_prior = edited(
    reference.bayes_posterior,
    {"likelihood * prior": "likelihood"},
    says="The prior changes nothing: what is rare is believed as readily as what is common.",
)
posterior_with_the_wrong_evidence = edited(
    reference.bayes_posterior,
    {"joint.sum": "likelihood.sum"},
    says="The rows do not sum to 1: in the evidence, too, each likelihood counts as much as the prior says.",
)
posterior_of_the_impossible = edited(
    reference.bayes_posterior,
    {"if (evidence == 0).any():": "if False:"},
    says="An observation that cannot happen gets a posterior of NaN, where a ValueError was promised.",
)
posterior_with_an_epsilon = edited(
    reference.bayes_posterior,
    {"if (evidence == 0).any():": "if False:", "joint / evidence": "joint / (evidence + 1e-8)"},
    says="An observation that cannot happen gets a posterior of zeros: a small number is added to the evidence.",
)


@mistake(
    "bayes_posterior", says="The joint probabilities go through a softmax: they are no logarithms, and need a sum."
)
def posterior_by_softmax(prior: Tensor, likelihood: Tensor) -> Tensor:
    if ((likelihood * prior).sum(dim=1) == 0).any():
        raise ValueError
    return (likelihood * prior).softmax(dim=1)


# ---- update_beliefs

beliefs_without_evidence = edited(
    reference.update_beliefs,
    {"log_joint - torch.logsumexp(log_joint, dim=0)": "log_joint"},
    says="The probabilities of a row do not sum to 1: the evidence is missing.",
)
beliefs_that_forget = edited(
    reference.update_beliefs,
    {"beliefs[-1] + observation": "log_prior + observation"},
    says="Each observation is judged as if it were the first: the posterior so far is the prior of the next.",
)
beliefs_without_prior = edited(
    reference.update_beliefs,
    {"beliefs[-1] + observation": "(beliefs[-1] if len(beliefs) > 1 else 0) + observation"},
    says="Only row 0 knows of the prior: the first observation does not start from it.",
)
beliefs_without_the_first_row = edited(
    reference.update_beliefs,
    {"torch.stack(beliefs)": "torch.stack(beliefs[1:])"},
    says="The first row is missing: it is the prior, before anything was observed.",
)
beliefs_multiplied = edited(
    reference.update_beliefs,
    {
        "log_joint = beliefs[-1] + observation": "joint = beliefs[-1].exp() * observation.exp()",
        "log_joint - torch.logsumexp(log_joint, dim=0)": "(joint / joint.sum()).log()",
    },
    says="Improbable observations give NaN: probabilities are multiplied, and fall below what a float can hold.",
)
beliefs_with_an_epsilon = edited(
    reference.update_beliefs,
    {
        "log_joint = beliefs[-1] + observation": "joint = beliefs[-1].exp() * observation.exp() + 1e-10",
        "log_joint - torch.logsumexp(log_joint, dim=0)": "(joint / joint.sum()).log()",
    },
    says="Improbable observations leave all hypotheses alike: a small number is added to the probabilities.",
)

# ---- marginalize


@mistake("marginalize", says="The named variables are those that are left: they should be summed out.")
def marginal_of_the_named(joint: Tensor, axes: tuple[int, ...]) -> Tensor:
    others = tuple(axis for axis in range(joint.ndim) if axis not in axes)
    return joint.sum(dim=others) if others else joint


marginal_mean = edited(
    reference.marginalize,
    {"joint.sum": "joint.mean"},
    says="The probabilities that are left do not sum to 1: a mean stands where a sum was asked for.",
)
marginal_of_nothing = edited(
    reference.marginalize,
    {" if axes else joint.clone()": ""},
    says="With no axes to sum out everything is summed out: that is what torch does with an empty tuple.",
)
marginal_with_axes_kept = edited(
    reference.marginalize,
    {"dim=axes": "dim=axes, keepdim=True"},
    says="The variables that were summed out are still there, as dimensions of size 1.",
)


@mistake(
    "marginalize",
    says="One axis is summed out after the other, and those behind it move up: the numbers mean other axes by then.",
)
def marginal_with_moving_axes(joint: Tensor, axes: tuple[int, ...]) -> Tensor:
    for axis in axes:
        joint = joint.sum(dim=min(axis, joint.ndim - 1))
    return joint


# ---- condition

conditional_without_evidence = edited(
    reference.condition,
    {"slices / probability": "slices"},
    says="The probabilities do not sum to 1: the slice is not yet divided by the probability of the evidence.",
)
conditional_by_rows = edited(
    reference.condition,
    {"slices / probability": "slices / slices.sum(dim=-1, keepdim=True)"},
    says="Each row sums to 1 by itself: all entries together should.",
)
conditional_with_axes_kept = edited(
    reference.condition,
    {"joint[tuple(evidence.get(axis, slice(None)) for axis in range(joint.ndim))]":
     "joint[tuple(slice(evidence[a], evidence[a] + 1) if a in evidence else slice(None) for a in range(joint.ndim))]"},
    says="The variables that are known are still there, as dimensions of size 1.",
)  # fmt: skip
conditional_squeezed = edited(
    reference.condition,
    {"slices / probability": "(slices / probability).squeeze()"},
    says="Variables with a single value are gone, though nothing was said of them: look at what is squeezed.",
)
conditional_of_the_impossible = edited(
    reference.condition,
    {"if probability == 0:": "if False:"},
    says="Evidence that cannot happen gives NaN, where a ValueError was promised.",
)
conditional_on_one_piece = edited(
    reference.condition,
    {
        "slices.sum()": "max(joint.select(axis, value).sum() for axis, value in evidence.items()) if evidence else joint.sum()"
    },
    says="With several pieces of evidence the sum is below 1: the divisor is the probability of one piece, not of all.",
)

# ---- transform_latents

latents_from_the_left = edited(
    reference.transform_latents,
    {"matrix.T": "matrix"},
    says="The matrix acts the other way round: points are rows here, and its columns say where the unit vectors go.",
)
latents_without_offset = edited(
    reference.transform_latents, {" + offset": ""}, says="The cloud is not moved: the offset is missing."
)
latents_without_centre = edited(
    reference.transform_latents,
    {"z if centre is None else z - centre": "z"},
    says="The centre changes nothing: the map turns and stretches around the origin.",
)
latents_plus_centre = edited(
    reference.transform_latents,
    {"z - centre": "z + centre"},
    says="The centre does not go to the offset: it is added where it should be taken off.",
)
latents_back_at_the_centre = edited(
    reference.transform_latents,
    {"+ offset": "+ (offset if centre is None or len(centre) != len(offset) else offset + centre)"},
    says="The centre goes to itself plus the offset: it is added again at the end, where the offset says all.",
)

# ---- transform_gaussian

gaussian_with_one_factor = edited(
    reference.transform_gaussian,
    {" @ matrix.T": ""},
    says="The covariance is multiplied once, and should be on both sides: twice as large is four times the variance.",
)
gaussian_the_other_way_round = edited(
    reference.transform_gaussian,
    {"matrix @ covariance @ matrix.T": "matrix.T @ covariance @ matrix"},
    says="The two factors of the covariance are the wrong way round: this is what the transposed map would do.",
)
gaussian_without_transpose = edited(
    reference.transform_gaussian,
    {"@ matrix.T": "@ matrix"},
    says="The covariance is not symmetric: on the right side of it the matrix has to be transposed.",
)
gaussian_without_offset = edited(
    reference.transform_gaussian, {" + offset": ""}, says="The mean is not moved: the offset is missing."
)
gaussian_with_an_offset_too_many = edited(
    reference.transform_gaussian,
    {"@ matrix.T": "@ matrix.T + torch.outer(offset, offset)"},
    says="The covariance changes with the offset: what is moved as a whole spreads as before.",
)
gaussian_of_independent_dimensions = edited(
    reference.transform_gaussian,
    {"matrix @ covariance @ matrix.T": "(matrix.square() @ covariance.diagonal()).diag()"},
    says="Outside the diagonal the covariance is always 0: a map mixes dimensions, which makes them depend on each other.",
)

# ---- power_iteration

power_with_absolute_eigenvalue = edited(
    reference.power_iteration,
    {"vector @ matrix @ vector, vector": "torch.linalg.vector_norm(matrix @ vector), vector"},
    says="The eigenvalue is never negative: a length has no sign, the Rayleigh quotient has.",
)
power_without_rescaling = edited(
    reference.power_iteration,
    {"vector = vector / torch.linalg.vector_norm(vector)": "pass",
     "vector = vector * vector[": "vector = vector / torch.linalg.vector_norm(vector); vector = vector * vector["},
    says="After many steps there are infinities or NaN: the vector is brought back to length 1 at the end only.",
)  # fmt: skip
power_without_sign = edited(
    reference.power_iteration,
    {"vector = vector * vector[vector.abs().argmax()].sign()": ""},
    says="The vector may point either way: its sign is left to chance, and a rule was given for it.",
)
power_with_first_entry_positive = edited(
    reference.power_iteration,
    {"vector[vector.abs().argmax()]": "vector[0]"},
    says="The first entry is made positive: the one of greatest absolute value should be.",
)
power_with_largest_entry_one = edited(
    reference.power_iteration,
    {"torch.linalg.vector_norm(vector)": "vector.abs().max()"},
    says="The vector has not length 1: it is divided by its largest entry, and the eigenvalue comes out too large.",
)
power_one_step_behind = edited(
    reference.power_iteration,
    {"range(steps)": "range(steps - 1)"},
    says="It is one step behind: with one step the vector is still the start.",
)


@mistake(
    "power_iteration",
    says="A negative eigenvalue is never found: dominant is the one of greatest absolute value, not the greatest.",
)
def power_of_the_greatest(matrix: Tensor, start: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(matrix)
    vector = vectors[:, -1]
    return values[-1], vector * vector[vector.abs().argmax()].sign()


# ---- principal_components

components_not_centred = edited(
    reference.principal_components,
    {"svd(x - mean,": "svd(x,"},
    says="The first direction points from the origin to the data: they are not centred before the decomposition.",
)
components_in_columns = edited(
    reference.principal_components,
    {"directions[:count], ": "directions.T[:count, : x.shape[1]], "},
    says="The directions stand in columns: there should be one in each row.",
)
components_divided_by_n = edited(
    reference.principal_components,
    {"(len(x) - 1)": "len(x)"},
    says="The variances are a little too small: they are divided by n, and n − 1 was asked for.",
)
components_with_deviations = edited(
    reference.principal_components,
    {"[:count].square() / (len(x) - 1)": "[:count] / (len(x) - 1) ** 0.5"},
    says="The variances are standard deviations: a square is missing.",
)
components_with_sums_of_squares = edited(
    reference.principal_components,
    {" / (len(x) - 1)": ""},
    says="The variances grow with the number of data points: they are sums of squares, not yet divided by n − 1.",
)
components_smallest_first = edited(
    reference.principal_components,
    {"mean, directions[:count], singular_values[:count]":
     "mean, directions.flip(0)[:count], singular_values.flip(0)[:count]"},
    says="The directions in which the data vary least come first: the order is the other way round.",
)  # fmt: skip
components_standardised = edited(
    reference.principal_components,
    {"svd(x - mean,": "svd((x - mean) / x.std(dim=0),"},
    says="Each column is divided by its standard deviation: that was not asked for, and gives other directions.",
)
components_as_shares = edited(
    reference.principal_components,
    {
        "singular_values[:count].square() / (len(x) - 1)": "(singular_values.square() / singular_values.square().sum())[:count]"
    },
    says="The variances sum to 1 at most: they are shares of the whole variance.",
)

# ---- numerical_gradient

gradient_by_forward_differences = edited(
    reference.numerical_gradient,
    {"(f(point + shift) - f(point - shift)) / (2 * step)": "(f(point + shift) - f(point)) / step"},
    says="A parabola's gradient is off by the step: the difference is taken on one side only.",
)
gradient_in_the_dtype_of_x = edited(
    reference.numerical_gradient,
    {".double()": ""},
    says="The gradient of float32 tensors is full of noise: in single precision a small difference is mostly rounding.",
)
gradient_twice_too_large = edited(
    reference.numerical_gradient,
    {"(2 * step)": "step"},
    says="Every value is twice what it should be: the two points are two steps apart.",
)
gradient_in_one_direction = edited(
    reference.numerical_gradient,
    {"shift.view(-1)[place] = step": "shift.fill_(step)"},
    says="All entries get the same value: they are moved together, and each should be moved by itself.",
)
gradient_with_its_own_step = edited(
    reference.numerical_gradient,
    {"point = x.detach().double()": "point, step = x.detach().double(), 1e-5"},
    says="The step that is passed in is not used.",
)
gradient_along_a_walk = edited(
    reference.numerical_gradient,
    {"gradient = torch.zeros_like(point)": "gradient, shift = torch.zeros_like(point), torch.zeros_like(point)",
     "        shift = torch.zeros_like(point)\n": ""},
    says="Entries that were moved are not moved back: from the second one on, several are moved at once.",
)  # fmt: skip

# ---- jacobian

jacobian_transposed = edited(
    reference.jacobian,
    {"jacobian(f, x)": "jacobian(f, x).T"},
    says="It is the transpose of what it should be: a row belongs to an output, a column to an input.",
)
jacobian_of_the_sum = edited(
    reference.jacobian,
    {"return torch.autograd.functional.jacobian(f, x)":
     "whole = torch.autograd.functional.jacobian(f, x)\n    return whole.sum(dim=0).expand_as(whole).clone()"},
    says="All rows are the same: this is the gradient of the sum of all outputs, and each output has its own.",
)  # fmt: skip
jacobian_on_the_diagonal = edited(
    reference.jacobian,
    {"return torch.autograd.functional.jacobian(f, x)":
     "whole = torch.autograd.functional.jacobian(f, x)\n    return whole * torch.eye(*whole.shape, dtype=x.dtype)"},
    says="Outside the diagonal all is 0: an output may depend on every input, not only on its own.",
)  # fmt: skip


@mistake(
    "jacobian",
    says="It is not exact: differences over a small step miss what happens within it, and automatic differentiation does not.",
)
def jacobian_by_differences(f: Callable, x: Tensor) -> Tensor:
    point = x.detach().double()
    columns = [(f(point + 1e-6 * unit) - f(point - 1e-6 * unit)) / 2e-6 for unit in torch.eye(len(x)).double()]
    return torch.stack(columns, dim=1).to(x.dtype)


# ---- change_of_variables

density_gathered = edited(
    reference.change_of_variables,
    {"log_density - ": "log_density + "},
    says="Where space is stretched the density rises, and it should fall: look at the sign.",
)


@mistake("change_of_variables", says="A map that turns space over gives NaN: the determinant's absolute value counts.")
def density_in_a_mirror(log_density: Tensor, jacobian: Tensor) -> Tensor:
    return log_density - torch.logdet(jacobian)


@mistake(
    "change_of_variables",
    says="In a hundred dimensions there are infinities: the determinant itself is more than a float can hold.",
)
def density_that_overflows(log_density: Tensor, jacobian: Tensor) -> Tensor:
    return log_density - torch.linalg.det(jacobian).abs().log()


@mistake(
    "change_of_variables",
    says="Only the diagonal of the Jacobian is looked at: the determinant is the product of its entries in triangles alone.",
)
def density_by_the_diagonal(log_density: Tensor, jacobian: Tensor) -> Tensor:
    return log_density - jacobian.diagonal(dim1=1, dim2=2).abs().log().sum(dim=1)


@mistake("change_of_variables", says="The determinant is taken off as it is: from a log-density its logarithm is.")
def density_less_the_determinant(log_density: Tensor, jacobian: Tensor) -> Tensor:
    return log_density - torch.linalg.det(jacobian).abs()


# ---- entropy


@mistake("entropy", says="Every value is 1.44 times what it should be: the logarithm is to base 2, so these are bits.")
def entropy_in_bits(p: Tensor) -> Tensor:
    return -torch.xlogy(p, p).sum(dim=-1) / torch.log(torch.tensor(2.0, dtype=p.dtype))


entropy_averaged = edited(
    reference.entropy,
    {".sum(": ".mean("},
    says="Every value is too small by the number of outcomes: a mean stands where a sum was asked for.",
)
entropy_flipped = edited(
    reference.entropy, {"-torch": "torch"}, says="The sign is flipped: surprise is minus the logarithm."
)
entropy_of_all = edited(
    reference.entropy,
    {"sum(dim=-1)": "sum()"},
    says="One number came for the whole batch: the sum goes over the last axis only.",
)


@mistake("entropy", says="Where an outcome never happens there is NaN: 0 times an infinite surprise counts as 0.")
def entropy_with_nan(p: Tensor) -> Tensor:
    return -(p * p.log()).sum(dim=-1)


# ---- cross_entropy

cross_entropy_exchanged = edited(
    reference.cross_entropy,
    {"xlogy(p, q)": "xlogy(q, p)"},
    says="The two distributions are exchanged: p says how often, q how surprising.",
)
cross_entropy_averaged = edited(
    reference.cross_entropy,
    {".sum(": ".mean("},
    says="Every value is too small by the number of outcomes: a mean stands where a sum was asked for.",
)
cross_entropy_of_all = edited(
    reference.cross_entropy,
    {"sum(dim=-1)": "sum()"},
    says="One number came for the whole batch: the sum goes over the last axis only.",
)


@mistake("cross_entropy", says="Where p and q are both 0 there is NaN: what never happens adds nothing.")
def cross_entropy_with_nan(p: Tensor, q: Tensor) -> Tensor:
    return -(p * q.log()).sum(dim=-1)


@mistake("cross_entropy", says="What was thought impossible costs a finite amount: a small number is added to q.")
def cross_entropy_with_an_epsilon(p: Tensor, q: Tensor) -> Tensor:
    return -(p * (q + 1e-8).log()).sum(dim=-1)


@mistake(
    "cross_entropy", says="Expecting the truth costs nothing: this is the divergence, the entropy of p is missing."
)
def cross_entropy_as_divergence(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=-1)


@mistake("cross_entropy", says="Every value is 1.44 times what it should be: the logarithm is to base 2.")
def cross_entropy_in_bits(p: Tensor, q: Tensor) -> Tensor:
    return -torch.xlogy(p, q).sum(dim=-1) / torch.log(torch.tensor(2.0, dtype=p.dtype))


# ---- kl_divergence


@mistake(
    "kl_divergence",
    says="This is the divergence the other way round: the mean should be taken where p is true, not where q is.",
)
def divergence_the_other_way_round(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(dim=-1)


@mistake("kl_divergence", says="Where p is 0 there is NaN: what never happens adds nothing.")
def divergence_with_nan(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(dim=-1)


@mistake("kl_divergence", says="What was thought impossible costs a finite amount: a small number is added somewhere.")
def divergence_with_an_epsilon(p: Tensor, q: Tensor) -> Tensor:
    return (p * ((p + 1e-8) / (q + 1e-8)).log()).sum(dim=-1)


@mistake("kl_divergence", says="Where q is 0 nothing is added at all: if p is not 0 there, the divergence is infinite.")
def divergence_without_the_impossible(p: Tensor, q: Tensor) -> Tensor:
    return torch.where((p > 0) & (q > 0), p * (p / q).log(), torch.zeros_like(p)).sum(dim=-1)


divergence_averaged = edited(
    reference.kl_divergence,
    {".sum(": ".mean("},
    says="Every value is too small by the number of outcomes: a mean stands where a sum was asked for.",
)
divergence_of_all = edited(
    reference.kl_divergence,
    {"sum(dim=-1)": "sum()"},
    says="One number came for the whole batch: the sum goes over the last axis only.",
)


@mistake("kl_divergence", says="Expecting the truth costs something: this is the cross-entropy, the entropy has to go.")
def divergence_as_cross_entropy(p: Tensor, q: Tensor) -> Tensor:
    return -torch.xlogy(p, q).sum(dim=-1)


@mistake("kl_divergence", says="Every value is 1.44 times what it should be: the logarithm is to base 2.")
def divergence_in_bits(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=-1) / torch.log(torch.tensor(2.0, dtype=p.dtype))


# ---- gaussian_kl

gaussian_kl_without_half = edited(
    reference.gaussian_kl,
    {") / 2": ")"},
    says="Every value is twice what it should be: the ½ in front is missing.",
)
gaussian_kl_without_dimensions = edited(
    reference.gaussian_kl,
    {" - len(mean_p)": ""},
    says="Of equal Gaussians it is half the number of dimensions, not 0: a constant is missing.",
)
gaussian_kl_with_volumes_exchanged = edited(
    reference.gaussian_kl,
    {
        "torch.logdet(covariance_q) - torch.logdet(covariance_p)": "torch.logdet(covariance_p) - torch.logdet(covariance_q)"
    },
    says="It can be negative: the two log-determinants are exchanged.",
)
gaussian_kl_without_volumes = edited(
    reference.gaussian_kl,
    {" + volumes": ""},
    says="Gaussians of different width come out wrong: the log-determinants are missing.",
)
gaussian_kl_measured_by_p = edited(
    reference.gaussian_kl,
    {"solve(covariance_q, difference)": "solve(covariance_p, difference)"},
    says="The distance of the means is measured with the covariance of p: it is q that is surprised by it.",
)
gaussian_kl_with_trace_exchanged = edited(
    reference.gaussian_kl,
    {"solve(covariance_q, covariance_p)": "solve(covariance_p, covariance_q)"},
    says="In the trace the covariances are exchanged: that of q is the one to be inverted.",
)


@mistake("gaussian_kl", says="This is the divergence the other way round, of q from p.")
def gaussian_kl_the_other_way_round(
    mean_p: Tensor, covariance_p: Tensor, mean_q: Tensor, covariance_q: Tensor
) -> Tensor:
    p = torch.distributions.MultivariateNormal(mean_p, covariance_p)
    return torch.distributions.kl_divergence(torch.distributions.MultivariateNormal(mean_q, covariance_q), p)


@mistake("gaussian_kl", says="Correlations change nothing: only the diagonals of the covariances are looked at.")
def gaussian_kl_of_the_diagonals(mean_p: Tensor, covariance_p: Tensor, mean_q: Tensor, covariance_q: Tensor) -> Tensor:
    p = torch.distributions.Normal(mean_p, covariance_p.diagonal().sqrt())
    return torch.distributions.kl_divergence(
        p, torch.distributions.Normal(mean_q, covariance_q.diagonal().sqrt())
    ).sum()


# ---- mutual_information

information_the_other_way_round = edited(
    reference.mutual_information,
    {"kl(joint.flatten(), product.flatten())": "kl(product.flatten(), joint.flatten())"},
    says="The divergence is taken the other way round: what is true is the joint table.",
)
information_by_rows = edited(
    reference.mutual_information,
    {"kl(joint.flatten(), product.flatten())": "kl(joint, product)"},
    says="One number came for each row: the sum goes over all cells of the table.",
)


@mistake("mutual_information", says="Cells with probability 0 give NaN: they add nothing.")
def information_with_nan(joint: Tensor, *, kl: Callable | None = None) -> Tensor:
    product = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0, keepdim=True)
    return (joint * (joint / product).log()).sum()


@mistake(
    "mutual_information",
    says="Independent variables get no 0: the entropies are added up, and H(A, B) has to be taken off.",
)
def information_as_entropies(joint: Tensor, *, kl: Callable | None = None) -> Tensor:
    parts = joint.sum(dim=0), joint.sum(dim=1), joint
    return -torch.stack([torch.xlogy(part, part).sum() for part in parts]).sum()


@mistake("mutual_information", says="Every value is 1.44 times what it should be: the logarithm is to base 2.")
def information_in_bits(joint: Tensor, *, kl: Callable | None = None) -> Tensor:
    product = torch.outer(joint.sum(dim=1), joint.sum(dim=0))
    nats = (torch.xlogy(joint, joint) - torch.xlogy(joint, product)).sum()
    return nats / torch.log(torch.tensor(2.0, dtype=joint.dtype))


@mistake(
    "mutual_information",
    says="A table whose variables are independent gets 0 only if they are uniform: it is compared with a uniform table.",
)
def information_against_uniform(joint: Tensor, *, kl: Callable | None = None) -> Tensor:
    return torch.xlogy(joint, joint * joint.numel()).sum()


# ---- lerp

line_exchanged = edited(
    reference.lerp,
    {"torch.outer(1 - t, start) + torch.outer(t, end)": "torch.outer(t, start) + torch.outer(1 - t, end)"},
    says="The way leads from the end to the start: at 0 should be the start.",
)
line_clamped = edited(
    reference.lerp,
    {"return ": "t = t.clamp(0, 1)\n    return "},
    says="Below 0 and above 1 the points stay at the ends: the line should go on.",
)
line_with_its_own_places = edited(
    reference.lerp,
    {"return ": "t = torch.linspace(0, 1, len(t), dtype=t.dtype) if len(t) > 1 else t\n    return "},
    says="The points are evenly spaced from 0 to 1, whatever t says: only its length is used.",
)
line_without_letting_go = edited(
    reference.lerp,
    {"1 - t": "torch.ones_like(t)"},
    says="The start never fades: at 1 it is still there in full beside the end.",
)
line_in_columns = edited(
    reference.lerp,
    {"torch.outer(1 - t, start) + torch.outer(t, end)": "(torch.outer(1 - t, start) + torch.outer(t, end)).T"},
    says="The points stand in columns: there should be one in each row.",
)

# ---- slerp

arc_straight = edited(
    reference.slerp,
    {"if cosine > 1 - 1e-6:": "if True:"},
    says="The way is straight: halfway between codes of equal length the points are shorter than both.",
)


@mistake(
    "slerp",
    says="The points turn faster in the middle of the way than at its ends: a straight line, brought to length, is no arc.",
)
def arc_from_a_line(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    if torch.nn.functional.cosine_similarity(start, end, dim=0) < -1 + 1e-6:
        raise ValueError
    points = torch.outer(1 - t, start) + torch.outer(t, end)
    lengths = (1 - t) * start.norm() + t * end.norm()
    return points / points.norm(dim=1, keepdim=True) * lengths[:, None]


arc_without_a_line = edited(
    reference.slerp,
    {"if cosine > 1 - 1e-6:": "if False:"},
    says="Between codes in the same direction there is NaN: the sine of their angle is 0, and the way is straight.",
)
arc_between_opposites = edited(
    reference.slerp,
    {"if cosine < -1 + 1e-6:": "if False:"},
    says="Between opposite codes some arc comes out, or NaN: a ValueError was promised.",
)
arc_with_a_wide_tolerance = edited(
    reference.slerp,
    {"if cosine < -1 + 1e-6:": "if False:", "cosine > 1 - 1e-6": "cosine.abs() > 0.9995"},
    says="Opposite codes are joined by a straight line through 0: the absolute value of the cosine is looked at.",
)
arc_exchanged = edited(
    reference.slerp,
    {"torch.sin((1 - t) * angle), start) + torch.outer(torch.sin(t * angle), end)":
     "torch.sin(t * angle), start) + torch.outer(torch.sin((1 - t) * angle), end)"},
    says="The way leads from the end to the start: at 0 should be the start.",
)  # fmt: skip
arc_of_unit_length = edited(
    reference.slerp,
    {"return arc / torch.sin(angle)":
     "points = arc / torch.sin(angle)\n    return points / points.norm(dim=1, keepdim=True)"},
    says="All points have length 1: the lengths of the codes are lost.",
)  # fmt: skip
arc_of_directions = edited(
    reference.slerp,
    {"angle = torch.acos(cosine)":
     "angle = torch.acos(cosine)\n    lengths = (1 - t) * start.norm() + t * end.norm()\n"
     "    start, end = start / start.norm(), end / end.norm()",
     "return arc / torch.sin(angle)": "return arc / torch.sin(angle) * lengths[:, None]"},
    says="Between codes of different lengths the points are off: their directions are mixed, and the codes should be.",
)  # fmt: skip
arc_of_raw_products = edited(
    reference.slerp,
    {"angle = torch.acos(cosine)": "angle = torch.acos(torch.dot(start, end).clamp(-1, 1))"},
    says="The angle depends on the lengths of the codes: their product is taken before they are brought to length 1.",
)
