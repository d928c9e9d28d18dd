"""Correct answers to `foundations` that leave the work to torch's own functions, layers and optimisers."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def initialize_mlp(sizes, *, generator=None):
    layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(sizes)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(layer.bias)
    return [layer.weight.detach() for layer in layers], [layer.bias.detach() for layer in layers]


def mlp_forward(x, weights, biases):
    inputs, outputs = [x], [F.linear(x, weights[0], biases[0])]
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        inputs.append(torch.clamp(outputs[-1], min=0))
        outputs.append(torch.addmm(bias, inputs[-1], weight.mT))
    return inputs, outputs


def cross_entropy_backward(logits: Tensor, labels: Tensor) -> Tensor:
    leaf = logits.detach().requires_grad_()
    return torch.autograd.grad(F.nll_loss(F.log_softmax(leaf, dim=-1), labels), leaf)[0]


def linear_backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    bias = torch.zeros(weight.shape[0], dtype=weight.dtype)
    _, derivatives = torch.autograd.functional.vjp(F.linear, (x, weight, bias), grad)
    return derivatives


def relu_backward(grad: Tensor, z: Tensor) -> Tensor:
    return torch.where(torch.gt(z, 0), grad, torch.zeros_like(grad))


def mlp_backward(grad, inputs, outputs, weights, *, linear=linear_backward, relu=relu_backward):
    # What each layer sees of the layer after it: None after the first, since no ReLU comes before x.
    before = [None, *outputs[:-1]]
    found = []
    for x, weight, z in reversed(list(zip(inputs, weights, before, strict=True))):
        grad, *derivatives = linear(grad=grad, x=x, weight=weight)
        grad = grad if z is None else relu(grad=grad, z=z)
        found.append(derivatives)
    grad_weights, grad_biases = map(list, zip(*found[::-1], strict=True))
    return grad, grad_weights, grad_biases


def sgd_step(param, grad, velocity, *, learning_rate, momentum=0.0, weight_decay=0.0):
    leaf = nn.Parameter(param.clone())
    leaf.grad = grad.clone()
    optimizer = torch.optim.SGD([leaf], lr=learning_rate, momentum=momentum, weight_decay=weight_decay)
    if momentum:
        optimizer.state[leaf]["momentum_buffer"] = velocity.clone()
        optimizer.step()
        return leaf.detach(), optimizer.state[leaf]["momentum_buffer"]
    optimizer.step()
    return leaf.detach(), grad + weight_decay * param


def adam_step(param, grad, mean, square, step, *, learning_rate=1e-3, betas=(0.9, 0.999), eps=1e-8):
    leaf = nn.Parameter(param.clone())
    leaf.grad = grad.clone()
    optimizer = torch.optim.Adam([leaf], lr=learning_rate, betas=tuple(betas), eps=eps)
    state = {"step": torch.tensor(float(step - 1)), "exp_avg": mean.clone(), "exp_avg_sq": square.clone()}
    optimizer.state[leaf].update(state)
    optimizer.step()
    return leaf.detach(), optimizer.state[leaf]["exp_avg"], optimizer.state[leaf]["exp_avg_sq"]


def train_classifier(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
    on_epoch: Callable | None = None,
    loss: Callable = cross_entropy,
) -> list[float]:
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True, generator=generator)
    adam = torch.optim.Adam(params=model.parameters(), lr=learning_rate)
    history = []
    for epoch in range(epochs):
        losses, counts = [], []
        model.train(True)
        for x, y in loader:
            adam.zero_grad(set_to_none=False)
            objective = loss(logits=model(x), labels=y)
            objective.backward()
            adam.step()
            losses.append(objective.detach())
            counts.append(len(x))
        weights = torch.tensor(counts) / len(images)
        history.append(float(torch.stack(losses).double() @ weights.double()))
        model.train(False)
        if on_epoch and on_epoch(epoch, history[-1]):
            return history
    return history


def search_hyperparameters(evaluate, grid, *, trials=None, generator=None):
    from sklearn.model_selection import ParameterGrid

    if not all(map(len, grid.values())):
        raise ValueError("there is a name without values")
    # scikit-learn sorts the names, so they are numbered first.
    numbered = ParameterGrid({f"{place:03d}{name}": values for place, (name, values) in enumerate(grid.items())})
    settings = [{name[3:]: value for name, value in sorted(setting.items())} for setting in numbered]
    if trials is not None:
        count = min(trials, len(settings))
        chosen = torch.multinomial(torch.ones(len(settings)), count, replacement=False, generator=generator)
        settings = [settings[place] for place in chosen.tolist()]
    scores = torch.tensor([evaluate(**setting) for setting in settings], dtype=torch.float64)
    table: list[dict[str, Any]] = [dict(s, score=v) for s, v in zip(settings, scores.tolist(), strict=True)]
    if scores.isnan().all():
        return None, table
    highest = scores[~scores.isnan()].max().item()
    return next(row for row in table if math.isclose(row["score"], highest, rel_tol=0)), table


def kmeans_step(points: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    labels = torch.cdist(points, centroids).min(dim=1).indices
    moved = centroids.clone()
    moved.scatter_reduce_(0, labels.unsqueeze(1).expand_as(points), points, reduce="mean", include_self=False)
    return labels, moved


def epsilon_greedy(values: Tensor, epsilon: float, uniform: Tensor, random_actions: Tensor) -> Tensor:
    return values.max(dim=-1).indices.masked_scatter(uniform < epsilon, random_actions[uniform < epsilon])


def q_learning_update(q, state, action, reward, next_state, done, *, learning_rate, gamma):
    future = torch.amax(q, dim=1)[next_state] * (1 - int(done))
    place = (torch.tensor([state]), torch.tensor([action]))
    change = learning_rate * (reward + gamma * future - q[state, action])
    return q.index_put(place, change.reshape(1), accumulate=True)
