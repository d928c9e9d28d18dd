"""Correct answers to `foundations` that calculate in double precision, by einsum and by other but equal formulas."""

import itertools
import math

import torch


def cross_entropy(logits, labels):
    # log Σ exp(s_c − s_label): the surprise is that of a score of 0 among the differences.
    wide = logits.double()
    differences = wide - torch.take_along_dim(wide, labels[:, None], dim=1)
    return differences.logsumexp(dim=1).mean().to(logits.dtype)


def initialize_mlp(sizes, *, generator=None):
    total = sum(a * b for a, b in itertools.pairwise(sizes))
    numbers = torch.randn(total, generator=generator, dtype=torch.float64)
    weights = []
    for inputs, outputs in itertools.pairwise(sizes):
        mine, numbers = numbers[: inputs * outputs], numbers[inputs * outputs :]
        weights.append((mine.view(inputs, outputs).T * (inputs / 2) ** -0.5).float().contiguous())
    return weights, [weight.new_zeros(len(weight)) for weight in weights]


def mlp_forward(x, weights, biases):
    """Biases as one more input that is always 1."""
    inputs, outputs, dtype = [x], [], x.dtype
    for weight, bias in zip(weights, biases, strict=True):
        given = torch.cat([inputs[-1], torch.ones_like(inputs[-1][:, :1])], dim=1).double()
        extended = torch.cat([weight, bias[:, None]], dim=1).double()
        outputs.append(torch.einsum("bi,oi->bo", given, extended).to(dtype))
        inputs.append((outputs[-1] + outputs[-1].abs()) / 2)
    return inputs[:-1], outputs


def cross_entropy_backward(logits, labels):
    p = logits.double().log_softmax(dim=1).exp()
    p[torch.arange(len(labels)), labels] -= 1
    return p.div(len(labels)).to(logits.dtype)


def linear_backward(grad, x, weight):
    g = grad.double()
    parts = (
        torch.einsum("bo,oi->bi", g, weight.double()),
        torch.einsum("bo,bi->oi", g, x.double()),
        torch.einsum("bo->o", g),
    )
    return tuple(part.to(x.dtype) for part in parts)


def relu_backward(grad, z):
    return torch.heaviside(z, torch.zeros((), dtype=z.dtype)).mul(grad)


def mlp_backward(grad, inputs, outputs, weights, *, linear=linear_backward, relu=relu_backward):
    """From layer to layer by recursion: the rest of the network first."""
    if len(weights) > 1:
        grad, grad_weights, grad_biases = mlp_backward(
            grad, inputs[1:], outputs[1:], weights[1:], linear=linear, relu=relu
        )
        grad = relu(grad, outputs[0])
    else:
        grad_weights, grad_biases = [], []
    grad_x, first_weight, first_bias = linear(grad, inputs[0], weights[0])
    return grad_x, [first_weight, *grad_weights], [first_bias, *grad_biases]


def sgd_step(param, grad, velocity, *, learning_rate, momentum=0.0, weight_decay=0.0):
    p, g, v = param.double(), grad.double(), velocity.double()
    moved = (1 - learning_rate * weight_decay) * p - learning_rate * (g + momentum * v)
    return moved.to(param.dtype), ((p - moved) / learning_rate).to(param.dtype)


def adam_step(param, grad, mean, square, step, *, learning_rate=1e-3, betas=(0.9, 0.999), eps=1e-8):
    # The efficient form of Kingma & Ba's section 2, with eps brought to the same scale.
    p, g = param.double(), grad.double()
    m = torch.lerp(g, mean.double(), betas[0])
    s = torch.lerp(g * g, square.double(), betas[1])
    scale = math.sqrt(1 - betas[1] ** step)
    rate = learning_rate * scale / (1 - betas[0] ** step)
    moved = torch.addcdiv(p, m, s.sqrt() + eps * scale, value=-rate)
    return moved.to(param.dtype), m.to(param.dtype), s.to(param.dtype)


def train_classifier(
    model,
    images,
    labels,
    *,
    epochs,
    batch_size=64,
    learning_rate=1e-3,
    generator=None,
    on_epoch=None,
    loss=cross_entropy,
):
    adam = torch.optim.Adam([{"params": [p]} for p in model.parameters()], lr=learning_rate)
    mean_losses = []
    while len(mean_losses) < epochs:
        model.train()
        order = torch.randperm(len(labels), generator=generator)
        shuffled, names = images[order], labels[order]
        share = 0.0
        for x, y in zip(shuffled.split(batch_size), names.split(batch_size), strict=True):
            value = loss(model(x), y)
            model.zero_grad()
            value.backward()
            adam.step()
            share += value.item() * x.size(0) / images.size(0)
        mean_losses += [share]
        model.eval()
        if on_epoch is not None and on_epoch(len(mean_losses) - 1, share):
            break
    return mean_losses


def search_hyperparameters(evaluate, grid, *, trials=None, generator=None):
    names, lengths = list(grid), [len(values) for values in grid.values()]
    total = math.prod(lengths)
    if total == 0:
        raise ValueError
    numbers = list(range(total))
    if trials is not None:
        # The settings with the smallest keys, in the order of the grid.
        keys = torch.rand(total, generator=generator, dtype=torch.float64)
        numbers = sorted(keys.argsort()[:trials].tolist())
    table = []
    for number in numbers:
        digits = []
        for length in reversed(lengths):
            number, digit = divmod(number, length)
            digits.insert(0, digit)
        row = {name: grid[name][digit] for name, digit in zip(names, digits, strict=True)}
        row["score"] = evaluate(**row)
        table.append(row)
    order = sorted((row for row in table if not math.isnan(row["score"])), key=lambda row: -row["score"])
    return (order[0] if order else None), table


def kmeans_step(points, centroids):
    # ‖p − c‖² = ‖p‖² − 2 p·c + ‖c‖², of which ‖p‖² is the same for all centroids.
    p, c = points.double(), centroids.double()
    labels = (c.square().sum(1) - 2 * torch.einsum("nd,kd->nk", p, c)).argmin(dim=1)
    sums = torch.zeros_like(c).index_add(0, labels, p)
    counts = torch.bincount(labels, minlength=len(c)).unsqueeze(1)
    moved = torch.where(counts == 0, c, sums / counts.clamp(min=1))
    return labels, moved.to(centroids.dtype)


def epsilon_greedy(values, epsilon, uniform, random_actions):
    explores = (uniform < epsilon).long()
    return explores * random_actions + (1 - explores) * torch.argsort(values, dim=1, descending=True)[:, 0]


def q_learning_update(q, state, action, reward, next_state, done, *, learning_rate, gamma):
    here = torch.zeros_like(q)
    here[state, action] = learning_rate
    target = reward + (0 if done else gamma * torch.sort(q[next_state]).values[-1])
    return (1 - here) * q + here * target
