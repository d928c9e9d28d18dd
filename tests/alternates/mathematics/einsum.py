"""Correct answers to `mathematics` that compute in double precision, and write sums as einsum or matrix products."""

import numpy as np
import torch
from torch import einsum

WIDE = torch.float64


def bayes_posterior(prior, likelihood):
    evidence = einsum("bh,h->b", likelihood.to(WIDE), prior.to(WIDE))
    if torch.any(evidence <= 0):
        raise ValueError("no hypothesis allows this")
    return einsum("bh,h,b->bh", likelihood.to(WIDE), prior.to(WIDE), 1 / evidence).to(likelihood.dtype)


def update_beliefs(log_prior, log_likelihood):
    # All at once: a triangle of ones adds up the first t observations. What is impossible is put aside first.
    observations = len(log_likelihood)
    impossible = torch.isneginf(log_likelihood)
    finite = log_likelihood.to(WIDE).masked_fill(impossible, 0.0)
    triangle = torch.ones(observations + 1, observations, dtype=WIDE).tril(-1)
    joint = log_prior.to(WIDE) + einsum("to,oh->th", triangle, finite)
    joint = joint.masked_fill(einsum("to,oh->th", triangle, impossible.to(WIDE)) > 0, -torch.inf)
    top = joint.max(dim=1, keepdim=True).values
    return (joint - top - torch.log(torch.exp(joint - top).sum(1, keepdim=True))).to(log_prior.dtype)


def marginalize(joint, axes):
    letters = "abcdefghij"[: joint.ndim]
    kept = "".join(letter for axis, letter in enumerate(letters) if axis not in axes)
    return einsum(f"{letters}->{kept}", joint)


def condition(joint, evidence):
    # Each variable that is known is multiplied by a vector that is 1 at its value.
    letters = "abcdefghij"[: joint.ndim]
    kept = "".join(letter for axis, letter in enumerate(letters) if axis not in evidence)
    chosen = [torch.eye(joint.shape[axis], dtype=joint.dtype)[value] for axis, value in evidence.items()]
    terms = ",".join([letters, *(letters[axis] for axis in evidence)])
    table = einsum(f"{terms}->{kept}", joint, *chosen)
    probability = float(table.sum())
    if probability == 0.0:
        raise ValueError("this cannot be")
    return table.mul(1 / probability)


def transform_latents(z, matrix, offset, *, centre=None):
    # In homogeneous coordinates an affine map is one matrix.
    origin = torch.zeros_like(z[0]) if centre is None else centre
    shift = offset.to(WIDE) - einsum("ol,l->o", matrix.to(WIDE), origin.to(WIDE))
    whole = torch.cat([matrix.to(WIDE), shift[:, None]], dim=1)
    points = torch.cat([z.to(WIDE), torch.ones(len(z), 1, dtype=WIDE)], dim=1)
    return einsum("bl,ol->bo", points, whole).to(z.dtype)


def transform_gaussian(mean, covariance, matrix, offset):
    a = matrix.to(WIDE)
    spread = einsum("ik,kl,jl->ij", a, covariance.to(WIDE), a)
    return (einsum("ik,k->i", a, mean.to(WIDE)) + offset).to(mean.dtype), spread.to(covariance.dtype)


def power_iteration(matrix, start, steps):
    a, v = matrix.to(WIDE), start.to(WIDE)
    v = v / v.norm()
    while steps:
        w = einsum("ij,j->i", a, v)
        v = w / einsum("i,i->", w, w).sqrt()
        steps -= 1
    v = torch.where(v.max() >= -v.min(), v, -v)
    # Of a unit vector: the Rayleigh quotient with its denominator.
    value = einsum("i,ij,j->", v, a, v) / einsum("i,i->", v, v)
    return value.to(matrix.dtype), v.to(start.dtype)


def principal_components(x, count):
    data = x.double().numpy()
    mean = np.mean(data, axis=0)
    scores, singular, rows = np.linalg.svd(data - mean, full_matrices=False)
    rows = -rows[:count]
    variances = (scores * singular).var(axis=0, ddof=1)[:count]
    return tuple(torch.from_numpy(np.ascontiguousarray(part)).to(x.dtype) for part in (mean, rows, variances))


def numerical_gradient(f, x, step=1e-5):
    with torch.no_grad():
        point = x.to(torch.float64).clone()
        flat, result = point.view(-1), torch.empty(x.numel(), dtype=torch.float64)
        for i in range(flat.numel()):
            before = flat[i].item()
            flat[i] = before + step
            above = f(point)
            flat[i] = before - step
            below = f(point)
            flat[i] = before
            result[i] = above.sub(below).mul(0.5 / step)
    return result.view(x.shape).type(x.dtype)


def jacobian(f, x):
    return torch.autograd.functional.jacobian(func=f, inputs=x.detach(), create_graph=False, strict=False)


def change_of_variables(log_density, jacobian):
    # |det J|² = det J Jᵀ, and the determinant of a product of triangles is the product of the diagonal.
    _, triangle = torch.linalg.qr(jacobian.to(WIDE))
    return (log_density.to(WIDE) - torch.diagonal(triangle, dim1=-2, dim2=-1).abs().log().sum(-1)).to(log_density.dtype)


def entropy(p):
    wide = p.to(WIDE)
    logarithm = wide.clamp(min=torch.finfo(WIDE).tiny).log()
    return einsum("...o,...o->...", wide, -logarithm).to(p.dtype)


def cross_entropy(p, q):
    happens = p > 0
    surprise = torch.where(happens, -q.to(WIDE).log(), 0.0)
    impossible = (happens & (q == 0)).any(dim=-1)
    total = einsum("...o,...o->...", p.to(WIDE), torch.where(surprise.isinf(), 0.0, surprise))
    return total.masked_fill(impossible, torch.inf).to(p.dtype)


def kl_divergence(p, q):
    happens = p > 0
    ratio = torch.where(happens, p.to(WIDE), 1.0) / torch.where(happens, q.to(WIDE), 1.0)
    return torch.sum(p.to(WIDE) * ratio.log(), dim=-1).to(p.dtype)


def gaussian_kl(mean_p, covariance_p, mean_q, covariance_q):
    p, q, d = covariance_p.to(WIDE), covariance_q.to(WIDE), (mean_p - mean_q).to(WIDE)
    precision = torch.linalg.inv(q)
    terms = einsum("ij,ji->", precision, p) + einsum("i,ij,j->", d, precision, d) - d.numel()
    return (0.5 * (terms - torch.linalg.slogdet(precision @ p)[1])).to(mean_p.dtype)


def mutual_information(joint, *, kl=kl_divergence):
    # How far each row, as a distribution of the columns, is from their mean, on average.
    rows, columns = joint.sum(dim=1), joint.sum(dim=0)
    seen = rows > 0
    conditional = joint[seen] / rows[seen, None]
    return einsum("r,r->", rows[seen], kl(conditional, columns.expand_as(conditional).contiguous()))


def lerp(start, end, t):
    weights = torch.stack([1 - t.to(WIDE), t.to(WIDE)])
    return einsum("es,el->sl", weights, torch.stack([start, end]).to(WIDE)).to(start.dtype)


def slerp(start, end, t):
    u, v, t = start.to(WIDE), end.to(WIDE), t.to(WIDE)
    cosine = einsum("i,i->", u / u.norm(), v / v.norm())
    if cosine + 1 < 1e-6:
        raise ValueError("opposite codes")
    if 1 - cosine < 1e-6:
        return (u + t[:, None] * (v - u)).to(start.dtype)
    # sin((1 − t) Ω) / sin Ω = cos(t Ω) − sin(t Ω) cot Ω
    angle = torch.acos(cosine)
    second = torch.sin(t * angle) / torch.sin(angle)
    first = torch.cos(t * angle) - second * cosine
    return (einsum("s,l->sl", first, u) + einsum("s,l->sl", second, v)).to(start.dtype)
