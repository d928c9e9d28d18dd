"""Correct answers to `intro` in double precision, by other but equal algebra, and brought back to the dtype of the inputs."""

import math

import torch
import torch.nn.functional as F


def fit_gaussian_classes(x, labels, classes, *, ridge=0.0):
    wide = x.double()
    members = F.one_hot(labels, num_classes=classes).double()  # (n, classes)
    counts = members.sum(0)
    means = torch.einsum("nc,nf->cf", members, wide) / counts[:, None]
    # Moments about zero less the mean's own: in double precision the difference keeps digits enough.
    moments = torch.einsum("nc,nf,ng->cfg", members, wide, wide) / counts[:, None, None]
    covariances = moments - means[:, :, None] * means[:, None, :]
    covariances = covariances + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    return (counts / counts.sum()).to(x.dtype), means.to(x.dtype), covariances.to(x.dtype)


def gaussian_log_density(x, mean, covariance):
    away = (x - mean).double()
    values, vectors = torch.linalg.eigh(covariance.double())
    distance = ((away @ vectors) ** 2 / values).sum(-1)
    return (-0.5 * distance - 0.5 * torch.log(2 * torch.pi * values).sum()).to(x.dtype)


def class_posterior(x, priors, means, covariances, *, log_density=gaussian_log_density):
    columns = []
    for prior, mean, covariance in zip(priors.double(), means, covariances, strict=True):
        columns.append(log_density(x, mean=mean, covariance=covariance).double() + prior.log())
    joint = torch.stack(columns, 1)
    joint = joint - joint.max(1, keepdim=True).values
    return (joint - joint.exp().sum(1, keepdim=True).log()).to(x.dtype)


def sample_from_class(labels, means, covariances, noise):
    roots = torch.linalg.cholesky(covariances.double())
    moved = torch.einsum("cij,sj->csi", roots, noise.double()) + means.double()[:, None]
    return moved[labels, torch.arange(len(labels))].to(noise.dtype)


def logistic_gradient(x, labels, weights, bias):
    scores = x.double() @ weights.double() + bias.double()
    error = (scores - scores.logsumexp(1, keepdim=True)).exp()
    error[torch.arange(len(x)), labels] -= 1
    return torch.einsum("nf,nc->fc", x.double(), error).div(len(x)).to(x.dtype), error.mean(0).to(x.dtype)


def fit_logistic(x, labels, classes, *, steps, learning_rate, gradient=logistic_gradient):
    # The sum of all gradients so far: weights and bias are minus the learning rate times that.
    walked = torch.zeros(x.shape[1] + 1, classes, dtype=torch.float64)
    for _ in range(steps):
        weights, bias = (-learning_rate * walked).to(x.dtype).split([x.shape[1], 1])
        walked = walked + torch.cat([torch.atleast_2d(part) for part in gradient(x, labels, weights, bias[0])]).double()
    weights, bias = (-learning_rate * walked).to(x.dtype).split([x.shape[1], 1])
    return weights, bias.squeeze(0)


def token_distribution(logits, *, temperature=1.0, top_k=None, top_p=None):
    if not temperature >= 0:
        raise ValueError("the temperature must not be negative")
    if top_k is not None and not top_k >= 1:
        raise ValueError("top_k must be positive")
    if top_p is not None and not (top_p > 0 and top_p <= 1):
        raise ValueError("top_p must be a probability, and not 0")
    wide, vocabulary = logits.double(), logits.size(1)
    if temperature == 0:
        first = torch.arange(vocabulary).where(wide == wide.amax(1, keepdim=True), vocabulary).amin(1)
        return (torch.arange(vocabulary) == first[:, None]).to(logits.dtype)
    probabilities = (wide / temperature).softmax(1)
    if top_k is not None and top_k < vocabulary:
        ranked = wide.sort(1, descending=True).values
        probabilities = probabilities * (wide >= ranked[:, top_k - 1 : top_k])
        probabilities = probabilities / probabilities.sum(1, keepdim=True)
    if top_p is not None:
        ranked, order = probabilities.sort(1, descending=True)
        crossed = F.pad(ranked.cumsum(1) >= top_p, (1, 0))[:, :-1]  # the token that crosses p is kept
        rank = order.argsort(1)
        probabilities = probabilities.masked_fill(crossed.gather(1, rank) & (torch.tensor(top_p) < 1), 0)
    return (probabilities / probabilities.sum(1, keepdim=True)).to(logits.dtype)


def sample_token(logits, uniform, *, temperature=1.0, top_k=None, top_p=None, distribution=token_distribution):
    probabilities = distribution(logits, top_p=top_p, top_k=top_k, temperature=temperature).double()
    ends = probabilities.cumsum(1)
    # The first of the tokens on or after which `uniform` has been passed; the last possible one if rounding hid it.
    passed = (ends > uniform.double()[:, None]) & (probabilities > 0)
    possible = torch.arange(probabilities.shape[1]).where(probabilities > 0, -1).amax(1)
    return torch.where(passed.any(1), passed.int().argmax(1), possible)


def generate_text(model, prompt, uniform, *, choose=sample_token, context=None, end=None):
    def step(ids, numbers):
        with torch.no_grad():
            logits = model(ids if context is None or ids.shape[1] <= context else ids[:, ids.shape[1] - context :])
        return choose(logits[:, logits.shape[1] - 1], numbers)

    added = prompt.new_empty(len(prompt), 0)
    while added.shape[1] < uniform.shape[1]:
        over = (added == end).any(1) if end is not None else torch.zeros(len(prompt), dtype=torch.bool)
        if over.all():
            filler = prompt.new_full((len(prompt), uniform.shape[1] - added.shape[1]), end)
            return torch.hstack([prompt, added, filler])
        token = step(torch.hstack([prompt, added]), uniform[:, added.shape[1]])
        token = torch.where(over, torch.full_like(token, -1 if end is None else end), token)
        added = torch.hstack([added, token[:, None]])
    return torch.hstack([prompt, added])


def generate_images(pipeline, prompts, seeds, *, batch_size=4):
    if len(list(prompts)) - len(list(seeds)):
        raise ValueError("prompts and seeds differ in number")
    batches = math.ceil(len(prompts) / batch_size)
    images = None
    for number in range(batches):
        rows = slice(number * batch_size, (number + 1) * batch_size)
        generators = []
        for seed in seeds[rows]:
            generators.append(torch.Generator(device="cpu").manual_seed(int(seed)))
        batch = pipeline([str(prompt) for prompt in prompts[rows]], generators)
        images = batch if images is None else torch.vstack([images, batch])
    return images
