"""Correct answers to `foundations` written with Python loops, one number or one row at a time."""

import math
import random

import torch


def cross_entropy(logits, labels):
    total = 0
    for row, label in zip(logits, labels, strict=True):
        highest = row.max()
        total = total + highest - row[label] + torch.log(sum(torch.exp(score - highest) for score in row))
    return total / labels.shape[0]


def initialize_mlp(sizes, *, generator=None):
    weights, biases = [], []
    for k in range(len(sizes) - 1):
        rows = []
        for _ in range(sizes[k + 1]):
            rows.append(torch.normal(0.0, (2 / sizes[k]) ** 0.5, (sizes[k],), generator=generator))
        weights.append(torch.stack(rows))
        biases.append(torch.tensor([0.0] * sizes[k + 1]))
    return weights, biases


def mlp_forward(x, weights, biases):
    inputs, outputs = [], []
    current = [list(row) for row in x]
    for k in range(len(weights)):
        inputs.append(torch.stack([torch.stack(row) for row in current]))
        answers = []
        for row in current:
            answers.append([
                sum((w * a for w, a in zip(weights[k][unit], row, strict=True)), biases[k][unit])
                for unit in range(len(weights[k]))
            ])  # fmt: skip
        outputs.append(torch.stack([torch.stack(row) for row in answers]))
        current = [[z if z > 0 else torch.zeros_like(z) for z in row] for row in answers]
    return inputs, outputs


def cross_entropy_backward(logits, labels):
    result = torch.empty_like(logits)
    batch, classes = logits.shape
    for b in range(batch):
        highest = max(logits[b].tolist())
        powers = [math.exp(score - highest) for score in logits[b].tolist()]
        for c in range(classes):
            probability = powers[c] / sum(powers)
            result[b, c] = (probability - 1 if c == labels[b] else probability) / batch
    return result


def linear_backward(grad, x, weight):
    grad_x, grad_weight = torch.zeros_like(x), torch.zeros_like(weight)
    grad_bias = torch.zeros_like(weight[:, 0])
    for b in range(x.shape[0]):
        for o in range(weight.shape[0]):
            grad_bias[o] += grad[b, o]
            for i in range(weight.shape[1]):
                grad_x[b, i] += grad[b, o] * weight[o, i]
                grad_weight[o, i] += grad[b, o] * x[b, i]
    return grad_x, grad_weight, grad_bias


def relu_backward(grad, z):
    result = grad.clone()
    for b in range(z.shape[0]):
        for u in range(z.shape[1]):
            if z[b, u] <= 0:
                result[b, u] = 0
    return result


def mlp_backward(grad, inputs, outputs, weights, *, linear=linear_backward, relu=relu_backward):
    layers = len(weights)
    grad_weights, grad_biases = [None] * layers, [None] * layers
    k = layers - 1
    while True:
        grad, grad_weights[k], grad_biases[k] = linear(grad, inputs[k], weights[k])
        if k == 0:
            return grad, grad_weights, grad_biases
        k -= 1
        grad = relu(grad, outputs[k])


def sgd_step(param, grad, velocity, *, learning_rate, momentum=0.0, weight_decay=0.0):
    moved, faster = param.clone(), velocity.clone()
    weights, speeds = moved.view(-1), faster.view(-1)
    for place, slope in enumerate(grad.reshape(-1)):
        speeds[place] = momentum * speeds[place] + slope + weight_decay * weights[place]
        weights[place] -= learning_rate * speeds[place]
    return moved, faster


def adam_step(param, grad, mean, square, step, *, learning_rate=1e-3, betas=(0.9, 0.999), eps=1e-8):
    flat = [tensor.flatten().tolist() for tensor in (param, grad, mean, square)]
    moved = []
    for weight, slope, first, second in zip(*flat, strict=True):
        first += (1 - betas[0]) * (slope - first)
        second += (1 - betas[1]) * (slope * slope - second)
        length = math.sqrt(second / (1 - betas[1] ** step)) + eps
        moved.append((weight - learning_rate * first / (1 - betas[0] ** step) / length, first, second))
    columns = zip(*moved, strict=True)
    return tuple(torch.tensor(column, dtype=param.dtype).reshape(param.shape) for column in columns)


def train_classifier(model, images, labels, *, epochs, batch_size=64, learning_rate=1e-3, generator=None,
                     on_epoch=None, loss=cross_entropy):  # fmt: skip
    """Adam by hand, on each parameter by itself."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    means = [torch.zeros_like(parameter) for parameter in parameters]
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    count, steps, history = len(images), 0, []
    for epoch in range(epochs):
        model.train()
        keys = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
        order = sorted(range(count), key=keys.__getitem__)
        sum_of_losses = 0.0
        for start in range(0, count, batch_size):
            rows = torch.tensor(order[start : start + batch_size])
            value = loss(model(images[rows]), labels[rows])
            gradients = torch.autograd.grad(value, parameters)
            steps += 1
            with torch.no_grad():
                for k, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
                    means[k] = 0.9 * means[k] + 0.1 * gradient
                    squares[k] = 0.999 * squares[k] + 0.001 * gradient**2
                    root = (squares[k] / (1 - 0.999**steps)).sqrt() + 1e-8
                    parameter -= learning_rate * means[k] / (1 - 0.9**steps) / root
            for _ in rows:
                sum_of_losses += float(value)
        history.append(sum_of_losses / count)
        model.eval()
        if on_epoch is not None:
            stop = on_epoch(epoch, history[epoch])
            if stop:
                break
    return history


def search_hyperparameters(evaluate, grid, *, trials=None, generator=None):
    settings = [{}]
    for name in grid:
        if len(grid[name]) == 0:
            raise ValueError(f"{name} has no values")
        settings = [dict(setting, **{name: value}) for setting in settings for value in grid[name]]
    if trials is not None:
        seed = torch.randint(2**62, (), generator=generator).item()
        settings = random.Random(seed).sample(settings, min(trials, len(settings)))
    best, table = None, []
    for setting in settings:
        row = dict(setting)
        row["score"] = evaluate(**setting)
        table.append(row)
        if row["score"] == row["score"] and (best is None or row["score"] > best["score"]):
            best = row
    return best, table


def kmeans_step(points, centroids):
    labels, heaps = [], [[] for _ in centroids]
    for point in points:
        nearest = 0
        for k in range(1, len(centroids)):
            if torch.dist(point, centroids[k]) < torch.dist(point, centroids[nearest]):
                nearest = k
        labels.append(nearest)
        heaps[nearest].append(point)
    moved = [sum(heap) / len(heap) if heap else centroids[k] for k, heap in enumerate(heaps)]
    return torch.tensor(labels), torch.stack(moved)


def epsilon_greedy(values, epsilon, uniform, random_actions):
    actions = []
    for row, number, action in zip(values.tolist(), uniform.tolist(), random_actions.tolist(), strict=True):
        actions.append(action if number < epsilon else row.index(max(row)))
    return torch.tensor(actions)


def q_learning_update(q, state, action, reward, next_state, done, *, learning_rate, gamma):
    table = q.tolist()
    target = reward
    if not done:
        target += gamma * max(table[next_state])
    table[state][action] += learning_rate * (target - table[state][action])
    return torch.tensor(table, dtype=q.dtype)
