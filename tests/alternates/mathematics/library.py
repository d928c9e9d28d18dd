"""Correct answers to `mathematics` that leave the work to torch's own functions and distributions."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.distributions import kl_divergence as divergence
from torch.nn import functional as F


def bayes_posterior(prior: Tensor, likelihood: Tensor) -> Tensor:
    log_joint = likelihood.log() + prior.log()
    if log_joint.isneginf().all(dim=1).any():
        raise ValueError("impossible")
    return log_joint.softmax(dim=1)


def update_beliefs(log_prior: Tensor, log_likelihood: Tensor) -> Tensor:
    log_joint = torch.cumsum(torch.cat([log_prior[None], log_likelihood]), dim=0)
    return log_joint.log_softmax(dim=1)


def marginalize(joint: Float[Tensor, "..."], axes: tuple[int, ...]) -> Float[Tensor, "..."]:
    kept = [axis for axis in range(joint.ndim) if axis not in axes]
    return joint.permute(*kept, *axes).reshape([joint.shape[axis] for axis in kept] + [-1]).sum(-1)


def condition(joint: Tensor, evidence: dict[int, int]) -> Tensor:
    known = sorted(evidence)
    others = [axis for axis in range(joint.ndim) if axis not in evidence]
    table = joint.permute(*known, *others)[tuple(evidence[axis] for axis in known)]
    if not torch.count_nonzero(table):
        raise ValueError
    return F.normalize(table.reshape(1, -1), p=1.0, dim=1).reshape(table.shape)


def transform_latents(z: Tensor, matrix: Tensor, offset: Tensor, *, centre: Tensor | None = None) -> Tensor:
    return F.linear(z if centre is None else z.sub(centre), matrix, offset)


def transform_gaussian(mean: Tensor, covariance: Tensor, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    return torch.addmv(offset, matrix, mean), torch.linalg.multi_dot([matrix, covariance, matrix.mT])


def power_iteration(matrix: Tensor, start: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    vector = F.normalize(start, dim=0)
    for _ in range(steps):
        vector = F.normalize(torch.mv(matrix, vector), dim=0, eps=0.0)
    if vector[vector.abs().argmax()] < 0:
        vector = -vector
    return torch.dot(vector, torch.mv(matrix, vector)), vector


def principal_components(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    covariance = torch.cov(x.T).reshape(x.shape[1], x.shape[1])
    values, vectors = torch.linalg.eigh(covariance)
    order = values.argsort(descending=True)[:count]
    return x.mean(0), vectors.T[order], values[order]


def numerical_gradient(f: Callable, x: Tensor, step: float = 1e-5) -> Tensor:
    x64 = x.detach().to(torch.float64)
    shifts = step * torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)
    values = torch.stack([torch.stack([f(x64 + shift), f(x64 - shift)]) for shift in shifts])
    return values.diff(dim=1).neg().div(2 * step).view_as(x).type_as(x)


def jacobian(f: Callable, x: Tensor) -> Tensor:
    point = x.detach().requires_grad_()
    value = f(point)
    if not value.requires_grad:
        return point.new_zeros(len(value), len(point))
    identity = torch.eye(len(value), dtype=value.dtype)
    rows = [torch.autograd.grad(value, point, row, retain_graph=True, materialize_grads=True, allow_unused=True)[0]
            for row in identity]  # fmt: skip
    return torch.stack(rows)


def change_of_variables(log_density: Tensor, jacobian: Tensor) -> Tensor:
    # |det J| is the product of the singular values.
    return log_density - torch.linalg.svdvals(jacobian).log().sum(-1)


def entropy(p: Tensor) -> Tensor:
    return torch.special.entr(p).sum(-1)


def cross_entropy(p: Tensor, q: Tensor) -> Tensor:
    surprise = -q.log()
    return torch.where(p == 0, torch.zeros_like(p), p * surprise).sum(-1)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    cost = F.kl_div(q.log(), p, reduction="none")
    return cost.masked_fill(p == 0, 0.0).sum(-1)


def gaussian_kl(mean_p: Tensor, covariance_p: Tensor, mean_q: Tensor, covariance_q: Tensor) -> Tensor:
    return divergence(MultivariateNormal(mean_p, covariance_p), MultivariateNormal(mean_q, covariance_q))


def mutual_information(joint: Tensor, *, kl: Callable = kl_divergence) -> Tensor:
    def surprise(table: Tensor) -> Tensor:
        return torch.special.entr(table).sum()

    return surprise(joint.sum(0)) + surprise(joint.sum(1)) - surprise(joint)


def lerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    return torch.lerp(start.expand(len(t), -1), end.expand(len(t), -1), t[:, None])


def slerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    u, v = F.normalize(start, dim=0), F.normalize(end, dim=0)
    cosine = torch.dot(u, v).clamp(-1.0, 1.0)
    if cosine.item() < -1 + 1e-6:
        raise ValueError("opposite")
    if cosine.item() > 1 - 1e-6:
        return torch.lerp(start, end, t.unsqueeze(-1))
    # The angle from its half: exact for small ones, too.
    angle = 2 * torch.atan2((u - v).norm(), (u + v).norm())
    weights = torch.stack([((1 - t) * angle).sin(), (t * angle).sin()], dim=1) / angle.sin()
    return weights @ torch.stack([start, end])
