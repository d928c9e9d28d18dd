"""Correct answers to `intro` written with Python loops, one number, point or text at a time."""

import math

import torch


def fit_gaussian_classes(x, labels, classes, *, ridge=0.0):
    features = x.shape[1]
    priors, means = torch.zeros(classes, dtype=x.dtype), torch.zeros(classes, features, dtype=x.dtype)
    covariances = torch.zeros(classes, features, features, dtype=x.dtype)
    for c in range(classes):
        rows = [row for row, label in zip(x, labels.tolist(), strict=True) if label == c]
        priors[c] = len(rows) / len(labels)
        for row in rows:
            means[c] += row / len(rows)
        for row in rows:
            covariances[c] += torch.outer(row - means[c], row - means[c]) / len(rows)
        for i in range(features):
            covariances[c, i, i] += ridge
    return priors, means, covariances


def gaussian_log_density(x, mean, covariance):
    # Σ = L Lᵀ by the schoolbook; then forward substitution for each point.
    d = len(mean)
    sigma = covariance.tolist()
    root = [[0.0] * d for _ in range(d)]
    for i in range(d):
        for j in range(i + 1):
            rest = sigma[i][j] - sum(root[i][k] * root[j][k] for k in range(j))
            root[i][j] = math.sqrt(rest) if i == j else rest / root[j][j]
    volume = sum(math.log(root[i][i]) for i in range(d)) + d / 2 * math.log(2 * math.pi)
    values = []
    for point in x.tolist():
        away = []
        for i in range(d):
            away.append((point[i] - mean[i].item() - sum(root[i][k] * away[k] for k in range(i))) / root[i][i])
        values.append(-0.5 * sum(a * a for a in away) - volume)
    return torch.tensor(values, dtype=x.dtype)


def class_posterior(x, priors, means, covariances, *, log_density=gaussian_log_density):
    result = torch.full((len(x), len(priors)), -math.inf, dtype=x.dtype)
    for c, prior in enumerate(priors.tolist()):
        if prior > 0:
            result[:, c] = log_density(x, means[c], covariances[c]) + math.log(prior)
    for row in result:
        highest = row.max()
        row -= highest.clone()
        row -= row.exp().sum().log()
    return result


def sample_from_class(labels, means, covariances, noise):
    samples = []
    for label, eps in zip(labels.tolist(), noise, strict=True):
        samples.append(means[label] + torch.linalg.cholesky(covariances[label]) @ eps)
    return torch.stack(samples)


def logistic_gradient(x, labels, weights, bias):
    for_weights, for_bias = torch.zeros_like(weights), torch.zeros_like(bias)
    for row, label in zip(x, labels.tolist(), strict=True):
        scores = row @ weights + bias
        powers = (scores - scores.max()).exp()
        for c in range(len(bias)):
            error = powers[c] / powers.sum() - (1 if c == label else 0)
            for_weights[:, c] += error * row / len(x)
            for_bias[c] += error / len(x)
    return for_weights, for_bias


def fit_logistic(x, labels, classes, *, steps, learning_rate, gradient=logistic_gradient):
    weights = torch.zeros((x.shape[1], classes), dtype=x.dtype)
    bias = torch.zeros((classes,), dtype=x.dtype)
    taken = 0
    while taken < steps:
        slopes = gradient(x, labels, weights.clone(), bias.clone())
        weights -= learning_rate * slopes[0]
        bias -= learning_rate * slopes[1]
        taken += 1
    return weights, bias


def token_distribution(logits, *, temperature=1.0, top_k=None, top_p=None):
    if temperature < 0:
        raise ValueError("temperature")
    if top_k is not None and top_k <= 0:
        raise ValueError("top_k")
    if top_p is not None and (top_p <= 0 or top_p > 1):
        raise ValueError("top_p")
    rows = []
    for row in logits.tolist():
        if temperature == 0:
            best = row.index(max(row))
            rows.append([1.0 if token == best else 0.0 for token in range(len(row))])
            continue
        highest = max(row)
        powers = [math.exp((value - highest) / temperature) for value in row]
        if top_k is not None and top_k < len(row):
            least = sorted(row, reverse=True)[top_k - 1]
            powers = [power if value >= least else 0.0 for power, value in zip(powers, row, strict=True)]
        total = sum(powers)
        chances = [power / total for power in powers]
        if top_p is not None and top_p < 1:
            kept, reached = set(), 0.0
            for token in sorted(range(len(row)), key=lambda token: -chances[token]):
                kept.add(token)
                reached += chances[token]
                if reached >= top_p:
                    break
            chances = [chance / reached if token in kept else 0.0 for token, chance in enumerate(chances)]
        rows.append(chances)
    return torch.tensor(rows, dtype=logits.dtype)


def sample_token(logits, uniform, *, temperature=1.0, top_k=None, top_p=None, distribution=token_distribution):
    table = distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    tokens = []
    for chances, number in zip(table.tolist(), uniform.tolist(), strict=True):
        total, chosen = 0.0, None
        for token, chance in enumerate(chances):
            total += chance
            if chance > 0:
                chosen = token
            if total > number:
                break
        tokens.append(chosen)
    return torch.tensor(tokens)


def generate_text(model, prompt, uniform, *, choose=sample_token, context=None, end=None):
    texts = [list(row) for row in prompt.tolist()]
    start = prompt.shape[1]
    for i in range(uniform.shape[1]):
        if end is not None and all(end in text[start:] for text in texts):
            for text in texts:
                text.append(end)
            continue
        seen = [text if context is None else text[max(0, len(text) - context) :] for text in texts]
        with torch.no_grad():
            logits = model(torch.tensor(seen))
        tokens = choose(torch.stack([rows[-1] for rows in logits]), uniform.T[i]).tolist()
        for text, token in zip(texts, tokens, strict=True):
            text.append(end if end is not None and end in text[start:] else token)
    return torch.tensor(texts)


def generate_images(pipeline, prompts, seeds, *, batch_size=4):
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts and {len(seeds)} seeds")
    images, words, generators = [], [], []
    for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True), 1):
        generator = torch.Generator()
        generator.manual_seed(seed)
        words.append(prompt)
        generators.append(generator)
        if len(words) == batch_size or number == len(prompts):
            for image in pipeline(words, generators):
                images.append(image.unsqueeze(0))
            words, generators = [], []
    return torch.cat(images)
