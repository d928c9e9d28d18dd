"""Reference answers of the assignment foundations."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


def cross_entropy(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, "batch"],
) -> Float[Tensor, ""]:
    """The mean surprise of a classifier at the right labels, −log p(label | x), in nats.

    The probabilities of a row are softmax(logits), so this is log Σ exp(logits) minus the logit
    of the label. It is finite, and so are its gradients, for logits of ±10⁴. Bishop 2006, section
    4.3.4.

    Args:
        logits: scores of the classes (batch, classes), one row for each example; any real
            numbers.
        labels: the index of the right class of each example (batch,), int64.

    Returns:
        A scalar, of shape (): the mean over the batch.
    """
    return (torch.logsumexp(logits, dim=1) - logits.gather(1, labels.unsqueeze(1)).squeeze(1)).mean()


def initialize_mlp(
    sizes: list[int],
    *,
    generator: torch.Generator | None = None,
) -> tuple[list[Float[Tensor, "_outputs _inputs"]], list[Float[Tensor, "_outputs"]]]:
    """Weights and biases to start from, for a multilayer perceptron with ReLUs.

    A weight is drawn from a normal distribution with mean 0 and variance 2 / inputs, where
    inputs is the number of inputs of its own layer; all are independent. Biases are 0. He et al.
    2015, equation 10.

    Args:
        sizes: the numbers of inputs, of units in each hidden layer, and of outputs, in that
            order: [64, 32, 10] has two layers of weights.
        generator: the only source of randomness; None is torch's global one.

    Returns:
        The pair (weights, biases): two lists with one float32 tensor for each layer, of shapes
        (outputs, inputs) and (outputs,).
    """
    weights, biases = [], []
    for inputs, outputs in itertools.pairwise(sizes):
        weights.append(math.sqrt(2 / inputs) * torch.randn(outputs, inputs, generator=generator))
        biases.append(torch.zeros(outputs))
    return weights, biases


def mlp_forward(
    x: Float[Tensor, "batch data"],
    weights: list[Float[Tensor, "_outputs _inputs"]],
    biases: list[Float[Tensor, "_outputs"]],
) -> tuple[list[Float[Tensor, "batch _inputs"]], list[Float[Tensor, "batch _outputs"]]]:
    """Send a batch through a multilayer perceptron, and keep what came up on the way.

    Layer k answers z = a Wᵀ + b to its input a, where W is weights[k] and b is biases[k]. The
    first layer's input is x, every other layer's input is the ReLU of the answer of the layer
    before. No ReLU comes after the last layer, whose answers are the logits. One layer alone is
    a linear classifier.

    Args:
        x: the data (batch, data), one example in each row.
        weights: one matrix (outputs, inputs) for each layer, first layer first.
        biases: one vector (outputs,) for each layer.

    Returns:
        The pair (inputs, outputs), two lists with one tensor for each layer: inputs[k] is what
        layer k was given (batch, inputs), outputs[k] what it answered, before any ReLU (batch,
        outputs). So inputs[0] is x, and outputs[-1] are the logits.
    """
    inputs, outputs = [], []
    for weight, bias in zip(weights, biases, strict=True):
        inputs.append(x)
        outputs.append(x @ weight.T + bias)
        x = F.relu(outputs[-1])
    return inputs, outputs


def cross_entropy_backward(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, "batch"],
) -> Float[Tensor, "batch classes"]:
    """The gradient of `cross_entropy` with respect to the logits, in closed form.

    The loss is a mean over the batch, so each row is divided by the size of the batch. It is finite
    for logits of ±10⁴. Bishop 2006, section 4.3.4.

    Args:
        logits: scores of the classes (batch, classes).
        labels: the index of the right class of each example (batch,), int64.

    Returns:
        Derivatives of the mean loss (batch, classes), by each logit.
    """
    right = F.one_hot(labels, logits.shape[1]).to(logits)
    return (torch.softmax(logits, dim=1) - right) / len(logits)


def linear_backward(
    grad: Float[Tensor, "batch outputs"],
    x: Float[Tensor, "batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
) -> tuple[
    Float[Tensor, "batch inputs"],
    Float[Tensor, "outputs inputs"],
    Float[Tensor, "outputs"],
]:
    """The backward pass of a linear layer z = x Wᵀ + b.

    From the derivatives of a loss by the layer's answers come those by its input, its weights
    and its bias. No mean is taken: whatever the loss averages is in `grad` already. Rumelhart,
    Hinton & Williams 1986.

    Args:
        grad: ∂loss/∂z (batch, outputs).
        x: the layer's input in the forward pass (batch, inputs).
        weight: W (outputs, inputs).

    Returns:
        The triple (∂loss/∂x, ∂loss/∂W, ∂loss/∂b), of shapes (batch, inputs), (outputs, inputs)
        and (outputs,).
    """
    return grad @ weight, grad.T @ x, grad.sum(dim=0)


def relu_backward(
    grad: Float[Tensor, "batch units"],
    z: Float[Tensor, "batch units"],
) -> Float[Tensor, "batch units"]:
    """The backward pass of a rectified linear unit a = max(0, z).

    Args:
        grad: ∂loss/∂a (batch, units).
        z: the input of the ReLU in the forward pass (batch, units).

    Returns:
        ∂loss/∂z (batch, units): `grad` where z is positive, 0 where it is negative, and 0 where
        it is exactly 0, as in torch.
    """
    return grad * (z > 0)


def mlp_backward(
    grad: Float[Tensor, "batch classes"],
    inputs: list[Float[Tensor, "batch _inputs"]],
    outputs: list[Float[Tensor, "batch _outputs"]],
    weights: list[Float[Tensor, "_outputs _inputs"]],
    *,
    linear: Callable = linear_backward,
    relu: Callable = relu_backward,
) -> tuple[
    Float[Tensor, "batch data"],
    list[Float[Tensor, "_outputs _inputs"]],
    list[Float[Tensor, "_outputs"]],
]:
    """The backward pass of a multilayer perceptron: the chain rule, last layer first.

    Rumelhart, Hinton & Williams 1986.

    Args:
        grad: ∂loss/∂logits (batch, classes).
        inputs: what each layer was given in the forward pass, as `mlp_forward` returns it.
        outputs: what each layer answered, before any ReLU, as `mlp_forward` returns it.
        weights: one matrix (outputs, inputs) for each layer, first layer first.
        linear: your `linear_backward`, or another function that is called like it, as
            linear(grad, x, weight).
        relu: your `relu_backward`, or another function that is called like it, as
            relu(grad, z).

    Returns:
        The triple (grad_x, grad_weights, grad_biases): ∂loss/∂x (batch, data), and two lists
        with the derivatives by the weights and by the biases of each layer, first layer first.
    """
    grad_weights: list[Tensor] = []
    grad_biases: list[Tensor] = []
    for k in reversed(range(len(weights))):
        grad, grad_weight, grad_bias = linear(grad, inputs[k], weights[k])
        grad_weights.insert(0, grad_weight)
        grad_biases.insert(0, grad_bias)
        if k > 0:
            grad = relu(grad, outputs[k - 1])
    return grad, grad_weights, grad_biases


def sgd_step(
    param: Float[Tensor, "*shape"],
    grad: Float[Tensor, "*shape"],
    velocity: Float[Tensor, "*shape"],
    *,
    learning_rate: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """One step of stochastic gradient descent, with momentum and weight decay.

        v ← momentum · v + (grad + weight_decay · param)
        param ← param − learning_rate · v

    The second line uses the new v. These are the steps of torch.optim.SGD (Polyak 1964; Sutskever
    et al. 2013).

    Args:
        param: weights, of any shape.
        grad: the gradient of the loss with respect to them.
        velocity: v as the step before returned it; zeros before the first step.
        learning_rate: the size of a step.
        momentum: how much of the velocity is kept, in [0, 1).
        weight_decay: the weight of a penalty ½‖param‖² in the loss.

    Returns:
        The pair (param, velocity) after the step: new tensors, the arguments stay as they are.
    """
    velocity = momentum * velocity + grad + weight_decay * param
    return param - learning_rate * velocity, velocity


def adam_step(
    param: Float[Tensor, "*shape"],
    grad: Float[Tensor, "*shape"],
    mean: Float[Tensor, "*shape"],
    square: Float[Tensor, "*shape"],
    step: int,
    *,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """One step of Adam.

    With β₁, β₂ = betas, t = step, and every operation element by element,

        mean ← β₁ · mean + (1 − β₁) · grad
        square ← β₂ · square + (1 − β₂) · grad²
        param ← param − learning_rate · m / (√s + eps)

    where m = mean / (1 − β₁ᵗ) and s = square / (1 − β₂ᵗ) are the new averages without their bias
    towards 0. eps stands outside the square root. These are the steps of torch.optim.Adam
    (Kingma & Ba 2015, algorithm 1).

    Args:
        param: weights, of any shape.
        grad: the gradient of the loss with respect to them.
        mean: the running mean of the gradient, as the step before returned it; zeros before the
            first step.
        square: the running mean of the squared gradient, likewise.
        step: the number of this step, 1 at the first.
        learning_rate: the size of a step.
        betas: how much of each running mean is kept at a step, each in [0, 1).
        eps: keeps the quotient finite where the gradient was always 0.

    Returns:
        The triple (param, mean, square) after the step, the averages with their bias: new
        tensors, the arguments stay as they are.
    """
    beta1, beta2 = betas
    mean = beta1 * mean + (1 - beta1) * grad
    square = beta2 * square + (1 - beta2) * grad.square()
    unbiased_mean, unbiased_square = mean / (1 - beta1**step), square / (1 - beta2**step)
    return param - learning_rate * unbiased_mean / (unbiased_square.sqrt() + eps), mean, square


def train_classifier(
    model: nn.Module,
    images: Float[Tensor, "n data"],
    labels: Int[Tensor, "n"],
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
    on_epoch: Callable[[int, float], bool | None] | None = None,
    loss: Callable = cross_entropy,
) -> list[float]:
    """Train a classifier in place, by Adam on minibatches.

    Each epoch passes once over all images in a fresh random order, in minibatches; the last may
    be smaller. A minibatch is one step that minimises loss(model(x), y). The model is in training
    mode while it learns, and in evaluation mode whenever `on_epoch` is called and afterwards. The
    same generator in the same state gives the same order.

    Args:
        model: model(x) gives logits (batch, classes).
        images: data (n, data).
        labels: the index of the right class of each image (n,), int64.
        epochs: passes over the data, at most.
        batch_size: images in a minibatch.
        learning_rate: Adam's; its other settings are torch's defaults.
        generator: source of the order of the images, on the CPU whatever the images' device;
            None is torch's global one.
        on_epoch: called as on_epoch(epoch, mean loss) after each epoch, counting from 0. If it
            returns True, training ends there.
        loss: your `cross_entropy`, or another function that is called like it: loss(logits,
            labels) is the mean over a minibatch.

    Returns:
        For each epoch that was made the mean loss over all images, as measured on each minibatch
        just before its step: every image counts the same, also those of a smaller minibatch.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    history: list[float] = []
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(images), generator=generator).split(batch_size):
            rows = rows.to(images.device)
            value = loss(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item() * len(rows)
        history.append(total / len(images))
        model.eval()
        if on_epoch is not None and on_epoch(epoch, history[-1]) is True:
            break
    return history


def search_hyperparameters(
    evaluate: Callable[..., float],
    grid: dict[str, list[Any]],
    *,
    trials: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Try settings of hyperparameters, and say which is best: a grid search or a random search.

    A setting takes one value from each list of the grid. Each setting that is tried is evaluated
    once, as evaluate(**setting). Bergstra & Bengio 2012 compare the two kinds of search.

    Args:
        evaluate: returns the score of a setting, the higher the better; NaN if training failed.
        grid: for each name of a hyperparameter the values to try, a list without repetitions. No
            name is "score".
        trials: None tries all settings, in the order of itertools.product: the last name changes
            fastest. A number tries so many different settings, or all if there are not so many,
            drawn at random without repetition, each set of that size with the same probability.
        generator: the only source of randomness; None is torch's global one.

    Returns:
        The pair (best, table). The table has one row for each setting that was tried, in the
        order in which they were tried: the setting with its score added, under the key "score".
        Best is the row with the highest score, the first such row if there are several; a score
        of NaN is never best, and best is None if there is no other.

    Raises:
        ValueError: if a list of the grid is empty, before anything is evaluated.
    """
    settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if not settings:
        raise ValueError("a list of the grid is empty: there is nothing to try")
    if trials is not None:
        chosen = torch.randperm(len(settings), generator=generator)[:trials].tolist()
        settings = [settings[i] for i in chosen]
    table = [{**setting, "score": evaluate(**setting)} for setting in settings]
    scored = [row for row in table if not math.isnan(row["score"])]
    return max(scored, key=lambda row: row["score"], default=None), table


def kmeans_step(
    points: Float[Tensor, "n dim"],
    centroids: Float[Tensor, "clusters dim"],
) -> tuple[Int[Tensor, "n"], Float[Tensor, "clusters dim"]]:
    """One round of k-means: give each point to the nearest centroid, then move the centroids.

    Nearest is by Euclidean distance to the centroids that came in. Then each centroid moves to
    the mean of the points that were given to it; one that was given none stays where it is. Lloyd
    1982.

    Args:
        points: the data (n, dim).
        centroids: the centres of the clusters before the round (clusters, dim).

    Returns:
        The pair (labels, centroids): for each point the index (int64) of the centroid that it was
        given to (n,), any of the nearest if several are equally near, and the new centroids
        (clusters, dim).
    """
    labels = (points.unsqueeze(1) - centroids).square().sum(dim=2).argmin(dim=1)
    members = F.one_hot(labels, len(centroids)).to(points)
    counts = members.sum(dim=0).unsqueeze(1)
    return labels, torch.where(counts > 0, members.T @ points / counts, centroids)


def epsilon_greedy(
    values: Float[Tensor, "batch actions"],
    epsilon: float,
    uniform: Float[Tensor, "batch"],
    random_actions: Int[Tensor, "batch"],
) -> Int[Tensor, "batch"]:
    """Choose actions: mostly the best known, now and then any. Sutton & Barto 2018, section 2.2.

    Args:
        values: what each action is thought to be worth (batch, actions), one row for each
            decision.
        epsilon: the probability of exploring: a row takes its random action where `uniform` <
            epsilon, and its best action elsewhere.
        uniform: draws from the uniform distribution on [0, 1) (batch,).
        random_actions: an action (batch,), int64, for each row that explores, drawn beforehand.

    Returns:
        The indices of the chosen actions (batch,), int64. Where several are equally good, any of
        them.
    """
    return torch.where(uniform < epsilon, random_actions, values.argmax(dim=1))


def q_learning_update(
    q: Float[Tensor, "states actions"],
    state: int,
    action: int,
    reward: float,
    next_state: int,
    done: bool,
    *,
    learning_rate: float,
    gamma: float,
) -> Float[Tensor, "states actions"]:
    """Learn from one move: Q(s, a) ← Q(s, a) + α (target − Q(s, a)).

    The target is r + γ max over a' of Q(s', a'), and r alone if the episode ended with this move,
    whatever the table says of s'. All other entries stay as they are. Watkins & Dayan 1992; Sutton
    & Barto 2018, equation 6.8.

    Args:
        q: what each action is thought to be worth in each state (states, actions).
        state: s, where the move began.
        action: a, what was done.
        reward: r, what was earned by it.
        next_state: s', where the move led.
        done: whether the episode ended with this move.
        learning_rate: α, the part of the way to the target, in [0, 1].
        gamma: the discount factor γ, in [0, 1].

    Returns:
        The table after the update (states, actions): a new tensor, `q` stays as it is.
    """
    target = reward if done else reward + gamma * q[next_state].max()
    updated = q.clone()
    updated[state, action] += learning_rate * (target - q[state, action])
    return updated
