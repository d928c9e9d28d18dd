"""Correct answers to `mathematics` written with Python loops and plain numbers, as far as that goes."""

import math

import torch


def like(values, tensor):
    return torch.tensor(values, dtype=tensor.dtype, device=tensor.device)


def bayes_posterior(prior, likelihood):
    rows = []
    for observation in likelihood.tolist():
        joint = [density * p for density, p in zip(observation, prior.tolist(), strict=True)]
        evidence = math.fsum(joint)
        if not evidence > 0:
            raise ValueError("impossible")
        rows.append([value / evidence for value in joint])
    return like(rows, likelihood)


def update_beliefs(log_prior, log_likelihood):
    beliefs = log_prior.tolist()
    rows = [beliefs]
    for observation in log_likelihood.tolist():
        joint = [a + b for a, b in zip(rows[-1], observation, strict=True)]
        top = max(joint)
        evidence = top + math.log(math.fsum(math.exp(value - top) for value in joint))
        rows.append([value - evidence for value in joint])
    return like(rows, log_prior)


def marginalize(joint, axes):
    result = joint
    for axis in sorted(axes, reverse=True):
        total = torch.zeros_like(result.select(axis, 0))
        for value in range(result.shape[axis]):
            total = total + result.select(axis, value)
        result = total
    return result


def condition(joint, evidence):
    table = joint
    for axis in sorted(evidence, reverse=True):
        table = table.select(axis, evidence[axis])
    total = math.fsum(table.flatten().tolist())
    if total <= 0:
        raise ValueError
    return like([value / total for value in table.flatten().tolist()], joint).reshape(table.shape)


def transform_latents(z, matrix, offset, *, centre=None):
    middle = [0.0] * z.shape[1] if centre is None else centre.tolist()
    rows = []
    for point in z.tolist():
        rows.append([
            b + sum(a[j] * (point[j] - middle[j]) for j in range(len(point)))
            for a, b in zip(matrix.tolist(), offset.tolist(), strict=True)
        ])  # fmt: skip
    return like(rows, z)


def transform_gaussian(mean, covariance, matrix, offset):
    a, s = matrix.tolist(), covariance.tolist()
    latent, out = range(len(mean)), range(len(offset))
    moved = [offset[i].item() + sum(a[i][j] * mean[j].item() for j in latent) for i in out]
    spread = [[sum(a[i][k] * s[k][m] * a[j][m] for k in latent for m in latent) for j in out] for i in out]
    return like(moved, mean), like(spread, covariance)


def power_iteration(matrix, start, steps):
    a, v = matrix.tolist(), start.tolist()
    for _ in range(steps):
        largest = max(abs(value) for value in v)
        v = [value / largest for value in v]
        v = [sum(row[j] * v[j] for j in range(len(v))) for row in a]
    length = math.sqrt(sum(value * value for value in v))
    v = [value / length for value in v]
    if max(v) < -min(v):
        v = [-value for value in v]
    value = sum(v[i] * a[i][j] * v[j] for i in range(len(v)) for j in range(len(v)))
    return like(value, matrix), like(v, start)


def principal_components(x, count):
    """One direction after the other: the best one, by many multiplications, and then the rest without it."""
    n, data = x.shape
    mean = sum(x.double()) / n
    covariance = torch.zeros(data, data, dtype=torch.float64)
    for point in x.double():
        covariance += torch.outer(point - mean, point - mean) / (n - 1)
    directions, variances = [], []
    for _ in range(count):
        # The column of a high power of the covariance that has grown most.
        power = covariance / covariance.norm().clamp(min=1e-300)
        for _ in range(40):
            power = power @ power
            power = power / power.norm().clamp(min=1e-300)
        direction = power[:, power.norm(dim=0).argmax()]
        if not direction.norm() > 0.5 / data:
            direction = torch.eye(data, dtype=torch.float64)[len(directions)]
        direction = direction / direction.norm()
        variance = direction @ covariance @ direction
        covariance = covariance - variance * torch.outer(direction, direction)
        directions.append(direction)
        variances.append(variance)
    return mean.to(x.dtype), torch.stack(directions).to(x.dtype), torch.stack(variances).to(x.dtype)


def numerical_gradient(f, x, step=1e-5):
    numbers = x.detach().flatten().tolist()

    def at(place, change):
        moved = list(numbers)
        moved[place] += change
        return float(f(torch.tensor(moved, dtype=torch.float64).reshape(x.shape)))

    slopes = [(at(i, step) - at(i, -step)) / step / 2 for i in range(len(numbers))]
    return like(slopes, x).reshape(x.shape)


def jacobian(f, x):
    point = x.detach().clone().requires_grad_(True)
    outputs = f(point)
    rows = []
    for output in outputs:
        gradient = None
        if output.requires_grad:
            (gradient,) = torch.autograd.grad(output, point, retain_graph=True, allow_unused=True)
        rows.append(torch.zeros_like(x) if gradient is None else gradient)
    return torch.stack(rows).detach()


def change_of_variables(log_density, jacobian):
    results = []
    for log_p, matrix in zip(log_density.tolist(), jacobian.double(), strict=True):
        # Elimination with pivots: the determinant is the product of the pivots, its logarithm their sum.
        matrix, n = matrix.clone(), len(matrix)
        for k in range(n):
            pivot = k + int(matrix[k:, k].abs().argmax())
            matrix[[k, pivot]] = matrix[[pivot, k]]
            log_p -= math.log(abs(matrix[k, k].item()))
            matrix[k + 1 :] -= torch.outer(matrix[k + 1 :, k] / matrix[k, k], matrix[k])
        results.append(log_p)
    return like(results, log_density)


def entropy(p):
    flat = p.reshape(-1, p.shape[-1]).tolist()
    return like([-math.fsum(v * math.log(v) for v in row if v > 0) for row in flat], p).reshape(p.shape[:-1])


def cross_entropy(p, q):
    results = []
    for true, expected in zip(p.reshape(-1, p.shape[-1]).tolist(), q.reshape(-1, q.shape[-1]).tolist(), strict=True):
        total = 0.0
        for a, b in zip(true, expected, strict=True):
            if a > 0:
                total += math.inf if b == 0 else -a * math.log(b)
        results.append(total)
    return like(results, p).reshape(p.shape[:-1])


def kl_divergence(p, q):
    results = []
    for true, expected in zip(p.reshape(-1, p.shape[-1]).tolist(), q.reshape(-1, q.shape[-1]).tolist(), strict=True):
        total = 0.0
        for a, b in zip(true, expected, strict=True):
            if a > 0:
                total += a * math.log(a / b) if b > 0 else math.inf
        results.append(total)
    return like(results, p).reshape(p.shape[:-1])


def gaussian_kl(mean_p, covariance_p, mean_q, covariance_q):
    """In the coordinates in which q is standard and p has independent dimensions, one dimension after the other."""
    factor = torch.linalg.cholesky(covariance_q.double())
    whitened = torch.linalg.solve_triangular(factor, covariance_p.double(), upper=False)
    whitened = torch.linalg.solve_triangular(factor, whitened.T, upper=False)
    variances, axes = torch.linalg.eigh((whitened + whitened.T) / 2)
    moved = torch.linalg.solve_triangular(factor, (mean_p - mean_q).double()[:, None], upper=False)[:, 0]
    total = 0.0
    for mean, variance in zip((axes.T @ moved).tolist(), variances.tolist(), strict=True):
        total += 0.5 * (variance + mean**2 - 1 - math.log(variance))
    return like(total, mean_p)


def mutual_information(joint, *, kl=kl_divergence):
    cells = joint.tolist()
    rows = [math.fsum(row) for row in cells]
    columns = [math.fsum(column) for column in zip(*cells, strict=True)]
    total = 0.0
    for i, row in enumerate(cells):
        for j, p in enumerate(row):
            if p:
                total += p * (math.log(p) - math.log(rows[i]) - math.log(columns[j]))
    return like(total, joint)


def lerp(start, end, t):
    return like([[a + fraction * (b - a) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
                 for fraction in t.tolist()], start)  # fmt: skip


def slerp(start, end, t):
    a, b = start.tolist(), end.tolist()
    product = math.fsum(u * v for u, v in zip(a, b, strict=True))
    cosine = product / math.sqrt(math.fsum(u * u for u in a)) / math.sqrt(math.fsum(v * v for v in b))
    if cosine < -1 + 1e-6:
        raise ValueError("which way round?")
    rows = []
    for fraction in t.tolist():
        first, second = 1 - fraction, fraction
        if cosine <= 1 - 1e-6:
            angle = math.acos(cosine)
            first, second = math.sin(first * angle) / math.sin(angle), math.sin(second * angle) / math.sin(angle)
        rows.append([first * u + second * v for u, v in zip(a, b, strict=True)])
    return like(rows, start)
