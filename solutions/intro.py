"""Reference answers to `intro`. Each has the signature and the docstring of its stub in the starter."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def fit_gaussian_classes(
    x: Float[Tensor, "n features"],
    labels: Int[Tensor, "n"],
    classes: int,
    *,
    ridge: float = 0.0,
) -> tuple[
    Float[Tensor, "classes"],
    Float[Tensor, "classes features"],
    Float[Tensor, "classes features features"],
]:
    """Fit a Gaussian to the examples of each class, by maximum likelihood.

    The covariance of a class is the mean, over its n_c examples, of (x − μ)(x − μ)ᵀ, where μ is
    the mean of that class: divided by n_c, not by n_c − 1. `ridge` is then added to its diagonal.
    All three stay accurate for data that lie a thousand standard deviations from the origin
    (Bishop 2006, section 4.2.2, here with a covariance for each class).

    Args:
        x: data (n, features), one example in each row.
        labels: the class of each example (n,), int64, from 0 to classes − 1. Each class has at
            least one example; they may come in any order.
        classes: how many classes there are.
        ridge: what is added to the diagonal of every covariance, 0 or more: the variance of a
            little noise in every direction, with which a covariance can always be inverted.

    Returns:
        The triple (priors, means, covariances): the share of each class among the examples
        (classes,), the mean of each class (classes, features), and the covariance of each class
        (classes, features, features), all of the dtype of `x`.
    """
    priors = torch.bincount(labels, minlength=classes).to(x) / len(x)
    means, covariances = [], []
    for label in range(classes):
        members = x[labels == label]
        mean = members.mean(dim=0)
        away = members - mean
        means.append(mean)
        covariances.append(away.T @ away / len(members) + ridge * torch.eye(x.shape[1]).to(x))
    return priors, torch.stack(means), torch.stack(covariances)


def gaussian_log_density(
    x: Float[Tensor, "n features"],
    mean: Float[Tensor, "features"],
    covariance: Float[Tensor, "features features"],
) -> Float[Tensor, "n"]:
    """log N(x; μ, Σ) of each data point.

    Minus half of (x − μ)ᵀ Σ⁻¹ (x − μ) + log det Σ + features · log 2π (Bishop 2006, equation
    2.43). It is finite, and exact up to rounding, for points that are 10⁴ standard deviations
    away, and where det Σ itself is too large or too small a number for the dtype.

    Args:
        x: data (n, features), one point in each row.
        mean: the mean μ (features,).
        covariance: the covariance Σ (features, features), symmetric and positive definite.

    Returns:
        Log-densities (n,), in nats.
    """
    root = torch.linalg.cholesky(covariance)
    away = torch.linalg.solve_triangular(root, (x - mean).T, upper=False)
    log_volume = 2 * root.diagonal().log().sum() + len(mean) * math.log(2 * math.pi)
    return -(away.square().sum(dim=0) + log_volume) / 2


def class_posterior(
    x: Float[Tensor, "n features"],
    priors: Float[Tensor, "classes"],
    means: Float[Tensor, "classes features"],
    covariances: Float[Tensor, "classes features features"],
    *,
    log_density: Callable = gaussian_log_density,
) -> Float[Tensor, "n classes"]:
    """log p(class|x) of each data point and class, by Bayes' rule.

    The logarithm of p(x|class) p(class), divided by its sum over classes. Everything is done in
    log space: the result is right for log-densities of ±10⁵ nats, where the densities themselves
    are 0 or infinite in any dtype.

    Args:
        x: data (n, features), one point in each row.
        priors: p(class) (classes,), not negative; they sum to 1. A class whose prior is 0 has
            the posterior 0, so −∞ in the result.
        means: the mean of each class (classes, features).
        covariances: the covariance of each class (classes, features, features).
        log_density: your `gaussian_log_density`, or another function that is called like it:
            log_density(x, mean, covariance) gives log p(x|class) (n,), for one class at a time.

    Returns:
        Log-probabilities (n, classes), in nats: of each row the exponentials sum to 1.
    """
    densities = [log_density(x, mean, covariance) for mean, covariance in zip(means, covariances, strict=True)]
    return torch.log_softmax(torch.stack(densities, dim=1) + priors.log(), dim=1)


def logistic_gradient(
    x: Float[Tensor, "n features"],
    labels: Int[Tensor, "n"],
    weights: Float[Tensor, "features classes"],
    bias: Float[Tensor, "classes"],
) -> tuple[Float[Tensor, "features classes"], Float[Tensor, "classes"]]:
    """The gradient of the mean cross-entropy of a linear classifier.

    The classifier says p(class|x) = softmax(x · weights + bias). The loss is −log p(label|x),
    averaged over the n examples (Bishop 2006, equations 4.108 and 4.109). The gradient is finite
    for scores of ±10⁴.

    Args:
        x: data (n, features), one example in each row.
        labels: the class of each example (n,), int64, from 0 to classes − 1.
        weights: (features, classes).
        bias: (classes,).

    Returns:
        The pair (with respect to weights, with respect to bias), of the shapes of these: means
        over the examples, not sums.
    """
    target = F.one_hot(labels, len(bias)).to(x)
    error = (torch.softmax(x @ weights + bias, dim=1) - target) / len(x)
    return x.T @ error, error.sum(dim=0)


def fit_logistic(
    x: Float[Tensor, "n features"],
    labels: Int[Tensor, "n"],
    classes: int,
    *,
    steps: int,
    learning_rate: float,
    gradient: Callable = logistic_gradient,
) -> tuple[Float[Tensor, "features classes"], Float[Tensor, "classes"]]:
    """Train a linear classifier by plain gradient descent, on all examples at every step.

    Weights and bias begin at zero. Each step takes `learning_rate` times their gradient off both,
    and both gradients of a step are taken at the same place: where the step before has led.

    Args:
        x: data (n, features), one example in each row.
        labels: the class of each example (n,), int64, from 0 to classes − 1.
        classes: how many classes there are.
        steps: how many steps to take; 0 gives zeros.
        learning_rate: the length of a step, in units of the gradient.
        gradient: your `logistic_gradient`, or another function that is called like it:
            gradient(x, labels, weights, bias), once for each step.

    Returns:
        The pair (weights, bias), (features, classes) and (classes,), of the dtype of `x`.
    """
    weights, bias = x.new_zeros(x.shape[1], classes), x.new_zeros(classes)
    for _ in range(steps):
        for_weights, for_bias = gradient(x, labels, weights, bias)
        weights, bias = weights - learning_rate * for_weights, bias - learning_rate * for_bias
    return weights, bias


def sample_from_class(
    labels: Int[Tensor, "samples"],
    means: Float[Tensor, "classes features"],
    covariances: Float[Tensor, "classes features features"],
    noise: Float[Tensor, "samples features"],
) -> Float[Tensor, "samples features"]:
    """Turn standard normal noise into new data, each from the Gaussian of the class asked for.

    Sample s is μ + L ε, where ε is noise[s], μ the mean of class labels[s], and L the lower
    Cholesky factor of its covariance, L Lᵀ = Σ (Bishop 2006, section 11.1.1).

    Args:
        labels: the class of which each sample is wanted (samples,), int64, from 0 to
            classes − 1.
        means: the mean of each class (classes, features).
        covariances: the covariance of each class (classes, features, features), symmetric and
            positive definite.
        noise: draws from N(0, 1) (samples, features); the function draws none of its own.

    Returns:
        Samples (samples, features), in the order of `labels`.
    """
    roots = torch.linalg.cholesky(covariances)[labels]
    return means[labels] + (roots @ noise.unsqueeze(2)).squeeze(2)


def token_distribution(
    logits: Float[Tensor, "batch vocab"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "batch vocab"]:
    """The probabilities that a next token is drawn from.

    The three settings act in this order. Logits are divided by the temperature. Of these, top_k
    keeps the k largest. Of the distribution that is left, renormalised, top_p keeps the smallest
    set of most likely tokens whose probabilities together reach p: at least one token (the
    nucleus; Holtzman et al. 2020, section 3.1). Every other token gets the probability 0, and the
    kept ones are renormalised.

    Args:
        logits: scores of every token (batch, vocab), each row for itself; −∞ is a probability
            of 0, and each row has a finite one.
        temperature: 1 leaves the distribution as it is, less sharpens it, more flattens it. 0 is
            the limit: probability 1 for the largest logit, for the lowest id if several are
            equal; the other two settings then change nothing.
        top_k: how many tokens to keep; all that equal the k-th largest are kept, too. None, or
            k ≥ vocab, keeps all.
        top_p: the probability p to keep, 0 < p ≤ 1. Where tokens that are equally likely compete
            for the last place, any of them may get it. None, or 1, keeps all.

    Returns:
        Probabilities (batch, vocab), each row summing to 1.

    Raises:
        ValueError: if `temperature` is negative, `top_k` is less than 1, or `top_p` is not in
            (0, 1].
    """
    if temperature < 0:
        raise ValueError(f"the temperature cannot be negative, but it is {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must keep at least one token, but it is {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], but it is {top_p}")
    if temperature == 0:
        return F.one_hot(logits.argmax(dim=1), logits.shape[1]).to(logits)
    scores = logits / temperature
    if top_k is not None:
        least = scores.topk(min(top_k, scores.shape[1]), dim=1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if top_p is not None and top_p < 1:
        probabilities, order = torch.softmax(scores, dim=1).sort(dim=1, descending=True)
        before = probabilities.cumsum(dim=1) - probabilities  # what the likelier tokens sum to
        beyond = torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, before >= top_p)
        scores = scores.masked_fill(beyond, -torch.inf)
    return torch.softmax(scores, dim=1)


def sample_token(
    logits: Float[Tensor, "batch vocab"],
    uniform: Float[Tensor, "batch"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    distribution: Callable = token_distribution,
) -> Int[Tensor, "batch"]:
    """Draw a token for each row, by inverting the cumulative distribution.

    Lay the probabilities end to end, token 0 first: they fill the interval from 0 to 1. The token
    drawn is the one on whose stretch `uniform` falls: the lowest id up to which (that one
    included) the probabilities sum to more than `uniform`. It is never a token of probability 0:
    where rounding leaves all of them a sum of no more than `uniform`, it is the last possible one.

    Args:
        logits: scores of every token (batch, vocab).
        uniform: draws from the uniform distribution on [0, 1) (batch,), the only source of
            randomness.
        temperature: passed on to `distribution`.
        top_k: passed on to `distribution`.
        top_p: passed on to `distribution`.
        distribution: your `token_distribution`, or another function that is called like it:
            distribution(logits, temperature=…, top_k=…, top_p=…).

    Returns:
        Token ids (batch,), int64.
    """
    probabilities = distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    ends = probabilities.double().cumsum(dim=1)
    place = uniform.unsqueeze(1) * ends[:, -1:]  # rounding may make the sum a little less than 1
    return torch.searchsorted(ends, place, right=True).squeeze(1)


def generate_text(
    model: Callable,
    prompt: Int[Tensor, "batch length"],
    uniform: Float[Tensor, "batch new"],
    *,
    choose: Callable = sample_token,
    context: int | None = None,
    end: int | None = None,
) -> Int[Tensor, "batch length+new"]:
    """Continue texts token by token: predict, choose, append, and again.

    The model is called once for each new token, with everything that has been written so far, and
    no more once all texts have ended. It is called without recording a graph (torch.no_grad).

    Args:
        model: model(ids) gives the logits (batch, length, vocab) of the token that follows each of
            the ids (batch, length). The last position counts.
        prompt: how the texts begin (batch, length), int64, at least one token each.
        uniform: draws from the uniform distribution on [0, 1) (batch, new), the only source of
            randomness: as many columns as tokens are added, column i for the i-th of them.
        choose: your `sample_token`, or another function that picks tokens (batch,) in this way:
            choose(logits, uniform), of the last position (batch, vocab) and one column (batch,).
        context: how many tokens the model can read: of a longer text it is given the last
            `context` ones only. None sets no limit.
        end: the token that ends a text: whatever would follow it there is `end` again. It counts
            only once it has been chosen: one in the prompt ends nothing. None never ends.

    Returns:
        Token ids (batch, length + new), int64, the prompt first.
    """
    ids = prompt
    ended = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    for draw in uniform.unbind(dim=1):
        if ended.all():
            token = torch.full_like(prompt[:, 0], end)
        else:
            with torch.no_grad():
                logits = model(ids if context is None else ids[:, -context:])
                token = choose(logits[:, -1], draw)
        if end is not None:
            token = torch.where(ended, end, token)
            ended = ended | (token == end)
        ids = torch.cat([ids, token.unsqueeze(1)], dim=1)
    return ids


def generate_images(
    pipeline: Callable,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    batch_size: int = 4,
) -> Float[Tensor, "n channels height width"]:
    """Paint an image for each prompt, so that it depends on its prompt and its seed alone.

    Image i is painted with a generator of its own, a fresh torch.Generator on the CPU that is
    seeded with seeds[i]. So it is the same image whatever else is painted, in whichever order and
    batches.

    Args:
        pipeline: pipeline(prompts, generators) gives images (batch, channels, height, width) for a
            list of strings and a list of as many generators.
        prompts: what to paint, at least one; the same may come several times.
        seeds: an integer for each prompt; the same may come several times.
        batch_size: the most prompts that the pipeline is given at once; every batch but the last
            has as many.

    Returns:
        Images (n, channels, height, width), in the order of the prompts.

    Raises:
        ValueError: if there are not as many seeds as prompts.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"there are {len(prompts)} prompts, but {len(seeds)} seeds")
    painted = []
    for start in range(0, len(prompts), batch_size):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[start : start + batch_size]]
        painted.append(pipeline(list(prompts[start : start + batch_size]), generators))
    return torch.cat(painted)
