"""Correct answers to `intro` by calls of libraries: torch.distributions, torch.cov, autograd, torch.optim, transformers."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical, MultivariateNormal
from transformers.generation import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


def fit_gaussian_classes(x, labels, classes, *, ridge=0.0):
    onehot = F.one_hot(labels, classes).to(x.dtype)
    priors = onehot.mean(0)
    means = (onehot.T @ x) / onehot.sum(0).unsqueeze(1)
    covariances = []
    for label in range(classes):
        covariance = torch.cov(x[labels == label].T, correction=0).reshape(x.shape[1], x.shape[1])
        covariance.diagonal().add_(ridge)
        covariances.append(covariance)
    return priors, means, torch.stack(covariances)


def gaussian_log_density(x, mean, covariance):
    return MultivariateNormal(mean, covariance_matrix=covariance).log_prob(x)


def class_posterior(x, priors, means, covariances, *, log_density=gaussian_log_density):
    likelihoods = [log_density(x, means[c], covariances[c]) for c in range(len(priors))]
    joint = torch.stack(likelihoods, dim=-1) + torch.log(priors)
    return joint - joint.logsumexp(dim=-1, keepdim=True)


def sample_from_class(labels, means, covariances, noise):
    gaussians = MultivariateNormal(means[labels], covariances[labels])
    return gaussians.loc + torch.einsum("sij,sj->si", gaussians.scale_tril, noise)


def logistic_gradient(x, labels, weights, bias):
    with torch.enable_grad():
        weights = weights.detach().clone().requires_grad_()
        bias = bias.detach().clone().requires_grad_()
        loss = F.cross_entropy(torch.addmm(bias, x.detach(), weights), labels)
        return torch.autograd.grad(loss, (weights, bias))


def fit_logistic(x, labels, classes, *, steps, learning_rate, gradient=logistic_gradient):
    weights = nn.Parameter(torch.zeros(x.shape[1], classes, dtype=x.dtype))
    bias = nn.Parameter(torch.zeros(classes, dtype=x.dtype))
    optimizer = torch.optim.SGD([weights, bias], lr=learning_rate)
    for _ in range(steps):
        weights.grad, bias.grad = gradient(x=x, labels=labels, weights=weights.detach(), bias=bias.detach())
        optimizer.step()
    return weights.detach(), bias.detach()


def token_distribution(logits, *, temperature=1.0, top_k=None, top_p=None):
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError("a setting is out of range")
    if temperature == 0:
        best = (logits == logits.max(dim=-1, keepdim=True).values).int().argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter_(-1, best, 1.0)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(float(temperature))])
    if top_k is not None:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p is not None:
        warpers.append(TopPLogitsWarper(top_p))
    return Categorical(logits=warpers(None, logits)).probs


def sample_token(logits, uniform, *, temperature=1.0, top_k=None, top_p=None, distribution=token_distribution):
    probs = distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    below = (probs.cumsum(-1) <= uniform[:, None]).sum(-1)
    # the last token that can be drawn at all, for sums that rounding leaves below `uniform`
    last = probs.shape[1] - 1 - (probs > 0).int().flip(-1).argmax(-1)
    return torch.minimum(below, last)


def generate_text(model, prompt, uniform, *, choose=sample_token, context=None, end=None):
    new = uniform.shape[1]
    texts = F.pad(prompt, (0, new), value=0 if end is None else end)
    open_ = torch.ones(len(prompt), dtype=torch.bool)
    for i in range(new):
        if not open_.any():
            break
        length = prompt.shape[1] + i
        first = 0 if context is None else max(0, length - context)
        with torch.inference_mode():
            logits = model(texts[:, first:length])
            token = choose(logits[:, -1, :], uniform[:, i])
        texts[open_, length] = token[open_]
        if end is not None:
            open_ &= token != end
    return texts


def generate_images(pipeline, prompts, seeds, *, batch_size=4):
    if len(seeds) != len(prompts):
        raise ValueError("as many seeds as prompts, please")
    jobs = zip(prompts, map(int, seeds), strict=True)
    images = []
    while batch := list(itertools.islice(jobs, batch_size)):
        generators = [torch.Generator("cpu") for _ in batch]
        for generator, (_, seed) in zip(generators, batch, strict=True):
            generator.manual_seed(seed)
        images.extend(pipeline([prompt for prompt, _ in batch], generators))
    return torch.stack(images)
