"""Reference answers to `mathematics`. Each has the signature and the docstring of its stub in the starter."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def bayes_posterior(
    prior: Float[Tensor, "hypotheses"],
    likelihood: Float[Tensor, "batch hypotheses"],
) -> Float[Tensor, "batch hypotheses"]:
    """What each observation, taken by itself, makes of the hypotheses: p(h|x).

    Bayes' theorem, p(h|x) = p(x|h) p(h) / p(x), where the evidence p(x) is the sum of
    p(x|h) p(h) over all hypotheses (Bayes 1763; Laplace 1774).

    Args:
        prior: p(h) of each hypothesis (hypotheses,); sums to 1, and may be 0 in places.
        likelihood: p(x|h) (batch, hypotheses): in each row one observation, how probable it
            is under each hypothesis. Not negative. Rows need not sum to 1, and densities,
            which may exceed 1, are welcome.

    Returns:
        Posterior probabilities (batch, hypotheses); each row sums to 1.

    Raises:
        ValueError: the evidence of an observation, in any row, is zero: it cannot happen under
            any hypothesis that the prior allows.
    """
    joint = likelihood * prior
    evidence = joint.sum(dim=1, keepdim=True)
    if (evidence == 0).any():
        raise ValueError("an observation is impossible under every hypothesis that the prior allows")
    return joint / evidence


def update_beliefs(
    log_prior: Float[Tensor, "hypotheses"],
    log_likelihood: Float[Tensor, "observations hypotheses"],
) -> Float[Tensor, "observations+1 hypotheses"]:
    """The log-posterior after each of several observations: yesterday's posterior is today's prior.

    Row t is log p(h | x₁, …, x_t), and row 0 is the prior. Given the hypothesis, the
    observations are independent of one another. Probabilities that no float can hold are no
    trouble: log-likelihoods may be as low as −10⁴, and a hundred of them may add up.

    Args:
        log_prior: log p(h) of each hypothesis (hypotheses,); the probabilities sum to 1.
        log_likelihood: log p(x_t|h) (observations, hypotheses), at least one observation.
            −∞ rules a hypothesis out for good; one hypothesis at least always remains.

    Returns:
        Log-posteriors (observations + 1, hypotheses), in nats: the exponentials of each row
        sum to 1.
    """
    beliefs = [log_prior]
    for observation in log_likelihood:
        log_joint = beliefs[-1] + observation
        beliefs.append(log_joint - torch.logsumexp(log_joint, dim=0))
    return torch.stack(beliefs)


def marginalize(joint: Float[Tensor, "..."], axes: tuple[int, ...]) -> Float[Tensor, "..."]:
    """The joint distribution of the variables that are left when some are summed out.

    Args:
        joint: a table of probabilities with one axis for each variable: joint[i, j, k] is
            p(A = i, B = j, C = k). Any number of axes.
        axes: the axes of the variables to sum out, in any order, each once, counted from 0.
            None of them, (), leaves the table as it is; all of them leave its sum.

    Returns:
        The table of the other variables, their axes in the order in which they stood.
    """
    return joint.sum(dim=axes) if axes else joint.clone()  # sum(dim=()) would sum over all


def condition(joint: Float[Tensor, "..."], evidence: dict[int, int]) -> Float[Tensor, "..."]:
    """The distribution of the other variables, given what is known of some: p(others | evidence).

    p(others | evidence) = p(others, evidence) / p(evidence).

    Args:
        joint: a table of probabilities with one axis for each variable: joint[i, j, k] is
            p(A = i, B = j, C = k). Any number of axes; all entries together sum to 1.
        evidence: what is known: {0: 2, 1: 5} says that the variable of axis 0 has the value 2
            and that of axis 1 the value 5. Both are counted from 0. Nothing may be known, {},
            or everything.

    Returns:
        The table of the variables that `evidence` does not name, their axes in the order in
        which they stood. Its entries sum to 1; if everything is known its shape is ().

    Raises:
        ValueError: the evidence has probability zero.
    """
    slices = joint[tuple(evidence.get(axis, slice(None)) for axis in range(joint.ndim))]
    probability = slices.sum()
    if probability == 0:
        raise ValueError(f"the evidence {evidence} has probability zero")
    return slices / probability


def transform_latents(
    z: Float[Tensor, "batch latent"],
    matrix: Float[Tensor, "out latent"],
    offset: Float[Tensor, "out"],
    *,
    centre: Float[Tensor, "latent"] | None = None,
) -> Float[Tensor, "batch out"]:
    """Send every point of a cloud through an affine map: z ↦ A (z − c) + b.

    Args:
        z: points (batch, latent), one in each row.
        matrix: A (out, latent). It acts on columns, as in the formula: its j-th column is where
            the j-th unit vector goes. It need not be square.
        offset: b (out,), where the centre goes.
        centre: c (latent,); None is the origin.

    Returns:
        The images of the points (batch, out), one in each row, in the same order.
    """
    centred = z if centre is None else z - centre
    return centred @ matrix.T + offset


def transform_gaussian(
    mean: Float[Tensor, "latent"],
    covariance: Float[Tensor, "latent latent"],
    matrix: Float[Tensor, "out latent"],
    offset: Float[Tensor, "out"],
) -> tuple[Float[Tensor, "out"], Float[Tensor, "out out"]]:
    """The mean and the covariance of A z + b, for a random z of which both are known.

    They are A m + b and A Σ Aᵀ, whatever the distribution of z; if it is Gaussian, so is that
    of A z + b.

    Args:
        mean: m (latent,), the mean of z.
        covariance: Σ (latent, latent), the covariance of z, symmetric.
        matrix: A (out, latent), acting on columns.
        offset: b (out,).

    Returns:
        The pair (mean, covariance) of A z + b: (out,) and (out, out).
    """
    return matrix @ mean + offset, matrix @ covariance @ matrix.T


def power_iteration(
    matrix: Float[Tensor, "n n"],
    start: Float[Tensor, "n"],
    steps: int,
) -> tuple[Float[Tensor, ""], Float[Tensor, "n"]]:
    """The dominant eigenvalue of a symmetric matrix, and its eigenvector.

    Dominant is the eigenvalue of greatest absolute value; it may be negative. The vector is
    multiplied by the matrix `steps` times and brought back to length 1 each time, so that
    nothing overflows or underflows, however many the steps (von Mises & Pollaczek-Geiringer
    1929). Of the two unit vectors on the line that is reached, v and −v, the one is returned
    whose entry of greatest absolute value is positive.

    Args:
        matrix: A (n, n), symmetric.
        start: where to start (n,), of any length; no power of A sends it to zero.
        steps: multiplications by the matrix, at least 1.

    Returns:
        The pair (eigenvalue, eigenvector): λ = vᵀ A v (the Rayleigh quotient), of shape (), and
        v (n,), of length 1, on the line of A^steps start.
    """
    vector = start
    for _ in range(steps):
        vector = matrix @ vector
        vector = vector / torch.linalg.vector_norm(vector)
    vector = vector * vector[vector.abs().argmax()].sign()
    return vector @ matrix @ vector, vector


def principal_components(
    x: Float[Tensor, "n data"],
    count: int,
) -> tuple[Float[Tensor, "data"], Float[Tensor, "count data"], Float[Tensor, "count"]]:
    """The directions in which data vary most: principal component analysis.

    Pearson 1901; Hotelling 1933. The first direction is the one along which the variance is
    greatest; each further one is the best among those at right angles to all before it.

    Args:
        x: data (n, data), one data point in each row, n ≥ 2; not centred.
        count: how many directions, from 1 to the smaller of n − 1 and data.

    Returns:
        The triple (mean, directions, variances). The mean of the data (data,). The directions
        (count, data), one in each row: of length 1, at right angles to one another, in order of
        falling variance; of a direction and its opposite either will do. The variances of the
        data along them (count,), sums of squares divided by n − 1.
    """
    mean = x.mean(dim=0)
    _, singular_values, directions = torch.linalg.svd(x - mean, full_matrices=False)
    return mean, directions[:count], singular_values[:count].square() / (len(x) - 1)


def numerical_gradient(
    f: Callable[[Tensor], Tensor],
    x: Float[Tensor, "*shape"],
    step: float = 1e-5,
) -> Float[Tensor, "*shape"]:
    """The gradient of a function by central differences: all its partial derivatives at x.

    For each entry of x in turn, [f(x + h e) − f(x − h e)] / 2h, where h is the step and e is 1
    at that entry and 0 elsewhere. Computed in double precision, whatever the dtype of x.

    Args:
        f: f(x) gives a scalar, a tensor of shape (). It is called with float64 tensors of the
            shape of x.
        x: where (*shape), any number of axes; it stays as it is.
        step: h, positive.

    Returns:
        The partial derivatives (*shape), in the dtype of x.
    """
    point = x.detach().double()
    gradient = torch.zeros_like(point)
    for place in range(point.numel()):
        shift = torch.zeros_like(point)
        shift.view(-1)[place] = step
        gradient.view(-1)[place] = (f(point + shift) - f(point - shift)) / (2 * step)
    return gradient.to(x.dtype)


def jacobian(
    f: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n"],
) -> Float[Tensor, "m n"]:
    """All partial derivatives of a function of several variables with several values.

    J[i, j] = ∂fᵢ / ∂xⱼ: a row for each output, a column for each input. Exact, so by
    automatic differentiation rather than by differences.

    Args:
        f: f(x) gives a tensor (m,). It is made of operations that `torch.autograd` can follow;
            the transforms of `torch.func` cannot look into it.
        x: where (n,), whether or not it requires grad.

    Returns:
        The Jacobian (m, n). Where an output does not depend on an input it is 0, also if it
        depends on no input at all.
    """
    return torch.autograd.functional.jacobian(f, x)


def change_of_variables(
    log_density: Float[Tensor, "batch"],
    jacobians: Float[Tensor, "batch n n"],
) -> Float[Tensor, "batch"]:
    """The log-density of y = g(z) at each point, for an invertible map g.

    log p(y) = log p(z) − log |det J|, where J is the Jacobian of g at z. Neither overflows nor
    underflows, also where the determinant is beyond any float.

    Args:
        log_density: log p(z) of each point (batch,).
        jacobians: J of g at each point (batch, n, n), a row for each output, none singular;
            its determinant may be negative, where g turns space over.

    Returns:
        log p(y) (batch,), in nats.
    """
    return log_density - torch.linalg.slogdet(jacobians).logabsdet


def entropy(p: Float[Tensor, "*batch outcomes"]) -> Float[Tensor, "*batch"]:
    """The average surprise of a distribution: H(p) = −Σ p log p.

    Shannon 1948, section 6.

    Args:
        p: probabilities (*batch, outcomes), any number of distributions; those along the last
            axis sum to 1. What never happens adds nothing: 0 log 0 is 0.

    Returns:
        Entropies (*batch,), in nats: a sum over outcomes, no mean over the batch.
    """
    return -torch.xlogy(p, p).sum(dim=-1)


def cross_entropy(
    p: Float[Tensor, "*batch outcomes"],
    q: Float[Tensor, "*batch outcomes"],
) -> Float[Tensor, "*batch"]:
    """The average surprise of one who expects q where p is true: H(p, q) = −Σ p log q.

    Args:
        p: the true probabilities (*batch, outcomes); those along the last axis sum to 1.
        q: the expected ones (*batch, outcomes). An outcome with p = 0 adds nothing, even where
            q = 0; one with p > 0 and q = 0 adds ∞.

    Returns:
        Cross-entropies (*batch,), in nats: a sum over outcomes, no mean over the batch.
    """
    return -torch.xlogy(p, q).sum(dim=-1)


def kl_divergence(
    p: Float[Tensor, "*batch outcomes"],
    q: Float[Tensor, "*batch outcomes"],
) -> Float[Tensor, "*batch"]:
    """What it costs to expect q where p is true: KL(p ‖ q) = Σ p log(p / q).

    Kullback & Leibler 1951.

    Args:
        p: the true probabilities (*batch, outcomes); those along the last axis sum to 1.
        q: the expected ones (*batch, outcomes). An outcome with p = 0 adds nothing, even where
            q = 0; one with p > 0 and q = 0 adds ∞.

    Returns:
        Divergences (*batch,), in nats: a sum over outcomes, no mean over the batch.
    """
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(dim=-1)


def gaussian_kl(
    mean_p: Float[Tensor, "n"],
    covariance_p: Float[Tensor, "n n"],
    mean_q: Float[Tensor, "n"],
    covariance_q: Float[Tensor, "n n"],
) -> Float[Tensor, ""]:
    """KL(p ‖ q) for two Gaussians p = N(m_p, Σ_p) and q = N(m_q, Σ_q), in closed form.

    ½ [tr(Σ_q⁻¹ Σ_p) + (m_q − m_p)ᵀ Σ_q⁻¹ (m_q − m_p) − n + log det Σ_q − log det Σ_p].

    Args:
        mean_p: m_p (n,).
        covariance_p: Σ_p (n, n), symmetric and positive definite.
        mean_q: m_q (n,).
        covariance_q: Σ_q (n, n), symmetric and positive definite.

    Returns:
        The divergence, of shape (), in nats.
    """
    difference = mean_q - mean_p
    traced = torch.linalg.solve(covariance_q, covariance_p).trace()
    distance = difference @ torch.linalg.solve(covariance_q, difference)
    volumes = torch.logdet(covariance_q) - torch.logdet(covariance_p)
    return (traced + distance - len(mean_p) + volumes) / 2


def mutual_information(
    joint: Float[Tensor, "rows columns"],
    *,
    kl: Callable = kl_divergence,
) -> Float[Tensor, ""]:
    """What two variables tell about each other: I(A; B) = KL(p(a, b) ‖ p(a) p(b)).

    Shannon 1948, section 12. It equals H(A) + H(B) − H(A, B).

    Args:
        joint: p(A = i, B = j) (rows, columns); all entries together sum to 1. Rows and columns
            may be zero throughout.
        kl: your `kl_divergence`, or another function that is called like it, for whoever wants
            to use it.

    Returns:
        The mutual information, of shape (), in nats.
    """
    product = torch.outer(joint.sum(dim=1), joint.sum(dim=0))
    return kl(joint.flatten(), product.flatten())


def lerp(
    start: Float[Tensor, "latent"],
    end: Float[Tensor, "latent"],
    t: Float[Tensor, "steps"],
) -> Float[Tensor, "steps latent"]:
    """Points on the straight line between two codes: (1 − t) start + t end.

    Args:
        start: the code at t = 0 (latent,).
        end: the code at t = 1 (latent,).
        t: how far along (steps,), in any order; below 0 and above 1 the line goes on.

    Returns:
        A code for each t (steps, latent).
    """
    return torch.outer(1 - t, start) + torch.outer(t, end)


def slerp(
    start: Float[Tensor, "latent"],
    end: Float[Tensor, "latent"],
    t: Float[Tensor, "steps"],
) -> Float[Tensor, "steps latent"]:
    """Points on the arc between two codes, turning at a steady rate (Shoemake 1985).

    [sin((1 − t) Ω) start + sin(t Ω) end] / sin Ω, where Ω, from 0 to π, is the angle between
    the two codes, whatever their lengths (White 2016).

    Args:
        start: the code at t = 0 (latent,), not zero.
        end: the code at t = 1 (latent,), not zero.
        t: how far along (steps,), in any order; below 0 and above 1 the arc goes on.

    Returns:
        A code for each t (steps, latent). Where the cosine of Ω is above 1 − 10⁻⁶, so that the
        arc is as good as straight, it is (1 − t) start + t end.

    Raises:
        ValueError: the codes point in opposite ways, with a cosine below −1 + 10⁻⁶: then no way
            round is the shortest.
    """
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=0)
    if cosine < -1 + 1e-6:
        raise ValueError("opposite codes have no shortest arc between them")
    if cosine > 1 - 1e-6:
        return torch.outer(1 - t, start) + torch.outer(t, end)
    angle = torch.acos(cosine)
    arc = torch.outer(torch.sin((1 - t) * angle), start) + torch.outer(torch.sin(t * angle), end)
    return arc / torch.sin(angle)
