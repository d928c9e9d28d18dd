# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""Hidden properties of `foundations`."""

from __future__ import annotations

import copy
import itertools
import math
import statistics
import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.distributions import Categorical

from autograder.properties.networks import redraw
from coursekit.data import load_digits
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_finite,
    assert_shape,
    exercise,
    fail,
    generators,
    required,
    sizes,
    tensors,
    weight,
)
from solutions import foundations as reference

Call = tuple[tuple[Any, ...], dict[str, Any]]


# ---- classifiers


@st.composite
def classified(draw: st.DrawFn, fewest: int = 2) -> tuple[Tensor, Tensor]:
    """Scores (batch, classes) and the right classes (batch,)."""
    batch, classes = draw(sizes(1, 4)), draw(sizes(fewest, 4))
    labels = draw(tensors(batch, dtype=torch.int64, low=0, high=classes - 1))
    return draw(tensors((batch, classes))), labels


CLASSIFIED: st.SearchStrategy[Call] = classified(fewest=1).map(lambda pair: (pair, {}))


@exercise("cross_entropy", contract=CLASSIFIED)
class TestCrossEntropy:
    @required
    @given(drawn=classified())
    @settings(max_examples=6)
    def test_the_right_class_lowers_it(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """A higher score of the right class lowers the loss, a higher score of any other class raises it."""
        logits, labels = drawn[0].requires_grad_(), drawn[1]
        loss = student.cross_entropy(logits, labels)
        assert_depends(loss, logits, what="the loss", on_what="the logits")
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        right = F.one_hot(labels, logits.shape[1]).bool()
        assert_between(gradient[right], None, -1e-6, tolerance=0, what="the gradient by the score of the right class")
        assert_between(gradient[~right], 1e-6, tolerance=0, what="the gradient by the score of another class")

    @weight(3)
    @given(drawn=classified())
    @settings(max_examples=10)
    def test_is_the_mean_surprise(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """It is the mean over examples of minus the log-probability that torch's Categorical gives to the right class."""
        logits, labels = drawn
        surprises = [-Categorical(logits=row).log_prob(label).item() for row, label in zip(logits, labels, strict=True)]
        expected = torch.tensor(statistics.fmean(surprises))
        named = dict(zip(("batch", "classes"), logits.shape, strict=True))
        assert_close(student.cross_entropy(logits, labels), expected, what="the loss", sizes=named)

    @given(level=st.sampled_from([0.0, 3.0, -7.0]), batch=sizes(1, 4), classes=sizes(2, 5))
    @settings(max_examples=6)
    def test_of_a_guess(self, student: Any, level: float, batch: int, classes: int) -> None:
        """If all scores are equal, on whatever level, it is the logarithm of the number of classes."""
        loss = student.cross_entropy(torch.full((batch, classes), level), torch.arange(batch) % classes)
        named = {"batch": batch, "classes": classes}
        assert_close(loss, torch.tensor(math.log(classes)), what="the loss", sizes=named)

    @weight(4)
    @given(far=st.sampled_from([1e4, 1e3]), level=st.sampled_from([0.0, 1e4, -1e4]), wrong=st.booleans())
    @settings(max_examples=8)
    def test_survives_large_scores(self, student: Any, far: float, level: float, wrong: bool) -> None:
        """At scores of ±10⁴ it and its gradient are finite: nothing for a sure right guess, the distance for a wrong one."""
        logits = (torch.tensor([[far, 0.0, 0.0]]) + level).requires_grad_()
        loss = student.cross_entropy(logits, torch.tensor([int(wrong)]))
        assert_close(loss, torch.tensor(far if wrong else 0.0), tolerance=1e-4, what="the loss")
        (gradient,) = torch.autograd.grad(loss, logits)
        expected = torch.tensor([[1.0, -1.0, 0.0]]) if wrong else torch.zeros(1, 3)
        assert_close(gradient, expected, what="the gradient by the logits")

    @given(drawn=classified())
    @settings(max_examples=4)
    def test_the_same_batch_twice(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """A batch in which every example stands twice has the same loss: it is a mean, one number for the batch."""
        logits, labels = drawn
        once = student.cross_entropy(logits, labels)
        assert_shape(once, (), what="the loss")
        assert_between(once, 1e-3, tolerance=0, what="the loss")
        twice = student.cross_entropy(logits.repeat(2, 1), labels.repeat(2))
        assert_close(twice, once, tolerance=1e-4, what="the loss of the same batch twice")


@exercise("cross_entropy_backward", contract=CLASSIFIED)
class TestCrossEntropyBackward:
    @required
    @given(drawn=classified())
    @settings(max_examples=6)
    def test_pulls_up_the_right_class(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """It is negative for the right class and positive for the others: a step downhill pulls up one, pushes the rest."""
        logits, labels = drawn
        gradient = student.cross_entropy_backward(logits, labels)
        assert_shape(gradient, tuple(logits.shape), what="the gradient")
        right = F.one_hot(labels, logits.shape[1]).bool()
        assert_between(gradient[right], None, -1e-6, tolerance=0, what="the derivative by the score of the right class")
        assert_between(gradient[~right], 1e-6, tolerance=0, what="the derivative by the score of another class")

    @weight(3)
    @given(drawn=classified())
    @settings(max_examples=10)
    def test_equals_autograd(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """It is what autograd finds for torch's own cross-entropy, averaged over the batch."""
        logits, labels = drawn[0].requires_grad_(), drawn[1]
        (expected,) = torch.autograd.grad(F.cross_entropy(logits, labels), logits)
        received = student.cross_entropy_backward(logits.detach(), labels)
        named = dict(zip(("batch", "classes"), logits.shape, strict=True))
        assert_close(received, expected, what="the gradient", sizes=named)

    @given(drawn=classified())
    @settings(max_examples=4)
    def test_adds_up_to_nothing(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """Raising all scores of an example alike changes no probability: the derivatives of a row add up to 0."""
        gradient = student.cross_entropy_backward(*drawn)
        assert_shape(gradient, tuple(drawn[0].shape), what="the gradient")
        assert_close(gradient.sum(dim=1), torch.zeros(len(gradient)), what="the sum of each row")

    @given(drawn=classified())
    @settings(max_examples=4)
    def test_examples_share_the_mean(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """In a batch of n each example has 1/n of the derivatives that it has alone."""
        logits, labels = drawn
        gradient = student.cross_entropy_backward(logits, labels)
        alone = [student.cross_entropy_backward(logits[i : i + 1], labels[i : i + 1]) for i in range(len(labels))]
        for part in alone:
            assert_shape(part, (1, logits.shape[1]), what="the gradient for one example")
        named = {"batch": len(labels)}
        assert_close(gradient, torch.cat(alone) / len(labels), what="the gradient for the batch", sizes=named)

    @weight(4)
    @given(far=st.sampled_from([1e4, 1e3]), level=st.sampled_from([0.0, 1e4, -1e4]))
    @settings(max_examples=6)
    def test_survives_large_scores(self, student: Any, far: float, level: float) -> None:
        """At scores of ±10⁴ it is 0 for a sure right guess, and for a wrong one ±1 over the size of the batch."""
        logits = torch.tensor([[far, 0.0, 0.0], [far, 0.0, 0.0]]) + level
        expected = torch.tensor([[0.0, 0.0, 0.0], [0.5, -0.5, 0.0]])
        received = student.cross_entropy_backward(logits, torch.tensor([0, 1]))
        assert_close(received, expected, what="the gradient")


# ---- networks


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron with ReLUs, and a batch to send through it."""

    x: Tensor
    weights: list[Tensor]
    biases: list[Tensor]

    def twin(self) -> nn.Sequential:
        """The same of torch's own layers."""
        parts: list[nn.Module] = []
        for matrix, bias in zip(self.weights, self.biases, strict=True):
            outputs, inputs = matrix.shape
            layer = nn.Linear(inputs, outputs)
            layer.load_state_dict({"weight": matrix, "bias": bias})
            parts += [layer, nn.ReLU()]
        return nn.Sequential(*parts[:-1])

    def passed(self) -> tuple[list[Tensor], list[Tensor]]:
        """What each layer of the twin is given, and what it answers, told by hooks."""
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []

        def note(layer: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> None:
            inputs.append(given[0])
            outputs.append(answer)

        twin = self.twin()
        for layer in twin[::2]:
            layer.register_forward_hook(note)
        with torch.no_grad():
            twin(self.x)
        return inputs, outputs

    def derivatives(self, grad: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """By x, by the weights and by the biases: what autograd finds in the twin."""
        twin, x = self.twin(), self.x.clone().requires_grad_()
        by_x, *rest = torch.autograd.grad(twin(x), [x, *twin.parameters()], grad)
        return by_x, rest[::2], rest[1::2]


@st.composite
def networks(draw: st.DrawFn, layers: tuple[int, int] = (1, 3), examples: tuple[int, int] = (1, 3)) -> Network:
    """Networks of a few layers, each of which may have as many units as the next, or one only."""
    widths = [draw(sizes(1, 4)) for _ in range(draw(st.integers(*layers)) + 1)]
    weights = [draw(tensors((outputs, inputs), low=-2, high=2)) for inputs, outputs in itertools.pairwise(widths)]
    biases = [draw(tensors(outputs, low=-2, high=2)) for outputs in widths[1:]]
    return Network(draw(tensors((draw(sizes(*examples)), widths[0]))), weights, biases)


@exercise(
    "initialize_mlp",
    contract=st.tuples(st.tuples(st.lists(sizes(1, 4), min_size=2, max_size=4)), st.just({})),
)
class TestInitializeMLP:
    @required
    @given(widths=st.lists(sizes(2, 5), min_size=2, max_size=4), generator=generators())
    @settings(max_examples=6)
    def test_has_a_matrix_and_a_vector_for_each_layer(
        self, student: Any, widths: list[int], generator: torch.Generator
    ) -> None:
        """Each layer has a matrix of different weights (outputs, inputs), and as many biases as outputs, all 0."""
        weights, biases = layers_of(student.initialize_mlp(widths, generator=generator), len(widths) - 1)
        for k, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            assert_shape(weights[k], (outputs, inputs), what=f"weights[{k}]")
            assert_finite(weights[k], what=f"weights[{k}]")
            if len(weights[k].unique()) <= weights[k].numel() / 2:
                fail(f"Many numbers of weights[{k}] are equal: hidden units that begin alike would learn alike.")
            assert_close(biases[k], torch.zeros(outputs), tolerance=0, what=f"biases[{k}]")

    @weight(3)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_spread(self, student: Any, generator: torch.Generator) -> None:
        """The weights of a layer scatter around 0, with a variance of 2 divided by the number of its own inputs."""
        widths = [8, 400, 5, 300]
        weights, _ = layers_of(student.initialize_mlp(widths, generator=generator), 3)
        for matrix, inputs in zip(weights, widths, strict=False):
            scaled, count = matrix.double() * math.sqrt(inputs / 2), matrix.numel()
            # Six standard errors each.
            what = f"the variance of the weights of a layer with {inputs} inputs, times {inputs} / 2,"
            assert_between(scaled.var(), 1 - 6 * math.sqrt(2 / count), 1 + 6 * math.sqrt(2 / count), what=what)
            assert_between(scaled.mean(), -6 / math.sqrt(count), 6 / math.sqrt(count), what="their scaled mean")
            far = 6 * math.sqrt(0.0455 * 0.9545 / count)
            beyond = (scaled.abs() > 2).double().mean()
            what = "the part of the weights that lie more than two standard deviations from 0"
            assert_between(beyond, 0.0455 - far, 0.0455 + far, what=what)

    @given(generator=generators())
    @settings(max_examples=2)
    def test_normal(self, student: Any, generator: torch.Generator) -> None:
        """The weights follow a normal distribution, whose fourth moment is 3 times the squared variance."""
        weights, _ = layers_of(student.initialize_mlp([60, 100, 60], generator=generator), 2)
        for matrix in weights:
            standard = (matrix.double() - matrix.double().mean()) / matrix.double().std()
            # Of 6000 numbers; six standard errors are 6 · √(24 / 6000).
            assert_between(standard.pow(4).mean(), 3 - 0.38, 3 + 0.38, what="the standardised fourth moment")

    @weight(3)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=3)
    def test_the_generator_decides_everything(self, student: Any, seed: int) -> None:
        """Equal generators give equal weights, another one or its next state others; no layer repeats another."""
        generator = torch.Generator().manual_seed(seed)
        first, _ = layers_of(student.initialize_mlp([3, 3, 3], generator=generator), 2)
        later, _ = layers_of(student.initialize_mlp([3, 3, 3], generator=generator), 2)
        again, _ = layers_of(student.initialize_mlp([3, 3, 3], generator=torch.Generator().manual_seed(seed)), 2)
        other, _ = layers_of(student.initialize_mlp([3, 3, 3], generator=torch.Generator().manual_seed(seed + 1)), 2)
        assert_close(list(again), list(first), tolerance=0, what="the weights from an equal generator")
        if any(torch.equal(a, b) for a, b in zip(first, other, strict=True)):
            fail("With another generator the weights are the same: are they drawn from it?")
        if any(torch.equal(a, b) for a, b in zip(first, later, strict=True)):
            fail("A second call with the same generator gives the same weights: is it set back, or copied?")
        if torch.equal(first[0], first[1]):
            fail("The two layers have the same weights: each should go on drawing where the one before stopped.")


def layers_of(pair: Any, layers: int) -> tuple[list[Tensor], list[Tensor]]:
    """A pair of lists with so many tensors each; fails if it is not one."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        fail("It should return a pair, two lists of tensors.")
    for part in pair:
        if not isinstance(part, tuple | list) or len(part) != layers or not all(isinstance(x, Tensor) for x in part):
            fail(f"Each of the two lists should hold {layers} tensors, one for each layer.")
    return pair[0], pair[1]


@exercise("mlp_forward", contract=networks().map(lambda net: ((net.x, net.weights, net.biases), {})))
class TestMLPForward:
    @required
    @given(net=networks())
    @settings(max_examples=8)
    def test_the_first_layer(self, student: Any, net: Network) -> None:
        """The first layer is given x, and answers as torch's linear layer does."""
        inputs, outputs = layers_of(student.mlp_forward(net.x, net.weights, net.biases), len(net.weights))
        assert_close(inputs[0], net.x, what="inputs[0]")
        assert_close(outputs[0], F.linear(net.x, net.weights[0], net.biases[0]), what="outputs[0]")

    @weight(4)
    @given(net=networks((2, 4)))
    @settings(max_examples=12)
    def test_every_layer(self, student: Any, net: Network) -> None:
        """Every layer is given and answers what hooks see in a network of torch's own layers."""
        expected = net.passed()
        inputs, outputs = layers_of(student.mlp_forward(net.x, net.weights, net.biases), len(net.weights))
        assert_close(list(inputs), expected[0], tolerance=1e-4, what="inputs")
        assert_close(list(outputs), expected[1], tolerance=1e-4, what="outputs")

    @weight(2)
    @given(x=tensors((4, 2)), up=st.integers(-3, 3))
    @settings(max_examples=5)
    def test_absolute_values(self, student: Any, x: Tensor, up: int) -> None:
        """Two layers can compute c − |x₁ − x₂|, since |d| is ReLU(d) + ReLU(−d); the logits may be negative."""
        weights = [torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), torch.tensor([[-1.0, -1.0]])]
        biases = [torch.zeros(2), torch.tensor([float(up)])]
        _, outputs = layers_of(student.mlp_forward(x, weights, biases), 2)
        expected = torch.tensor([[up - abs(a - b)] for a, b in x.tolist()])
        assert_close(outputs[-1], expected, what="the logits")

    @given(net=networks((2, 3), (3, 3)))
    @settings(max_examples=4)
    def test_each_example_by_itself(self, student: Any, net: Network) -> None:
        """An example has the same logits whatever else is in the batch."""
        _, together = layers_of(student.mlp_forward(net.x, net.weights, net.biases), len(net.weights))
        _, alone = layers_of(student.mlp_forward(net.x[1:2], net.weights, net.biases), len(net.weights))
        assert_shape(together[-1], (3, len(net.biases[-1])), what="the logits of three examples")
        assert_close(together[-1][1:2], alone[-1], tolerance=1e-4, what="the logits of one example of three")


@exercise("linear_backward")
class TestLinearBackward:
    @required
    @given(x=tensors((1, 3)), matrix=tensors((1, 3)), slope=st.sampled_from([2.0, -1.5]))
    @settings(max_examples=6)
    def test_of_one_number(self, student: Any, x: Tensor, matrix: Tensor, slope: float) -> None:
        """For one example and one output, z = w · x + b has the derivatives w by x, x by w and 1 by b, times ∂loss/∂z."""
        grad_x, grad_weight, grad_bias = triple(student.linear_backward(torch.tensor([[slope]]), x, matrix))
        assert_close(grad_x, slope * matrix, what="∂loss/∂x")
        assert_close(grad_weight, slope * x, what="∂loss/∂W")
        assert_close(grad_bias, torch.tensor([slope]), what="∂loss/∂b")

    @weight(3)
    @given(call=arguments(reference.linear_backward))
    @settings(max_examples=12)
    def test_equals_autograd(self, student: Any, call: Call) -> None:
        """All three are what autograd finds for torch's linear layer."""
        grad, x, matrix = call[0]
        leaves = [
            x.clone().requires_grad_(),
            matrix.clone().requires_grad_(),
            torch.zeros(len(matrix)).requires_grad_(),
        ]
        expected = torch.autograd.grad(F.linear(*leaves), leaves, grad)
        named = {"batch": len(x), "outputs": len(matrix), "inputs": x.shape[1]}
        received = triple(student.linear_backward(grad, x, matrix))
        for part, wanted, what in zip(received, expected, ("∂loss/∂x", "∂loss/∂W", "∂loss/∂b"), strict=True):
            assert_close(part, wanted, tolerance=1e-4, what=what, sizes=named)

    @weight(2)
    @given(x=tensors((3, 3)), matrix=tensors((3, 3)), grad=tensors((3, 3)), place=st.integers(0, 2))
    @settings(max_examples=6)
    def test_is_the_adjoint(self, student: Any, x: Tensor, matrix: Tensor, grad: Tensor, place: int) -> None:
        """A small change of x, W or b changes the loss by as much as ∂loss/∂z says of the change that it makes to z."""
        change = torch.arange(9.0).roll(place).view(3, 3) / 8
        grad_x, grad_weight, grad_bias = triple(student.linear_backward(grad, x, matrix))
        for part, shape, what in ((grad_x, (3, 3), "x"), (grad_weight, (3, 3), "W"), (grad_bias, (3,), "b")):
            assert_shape(part, shape, what=f"∂loss/∂{what}")
        # The answers z are linear in each of the three, so that what a change does to them is the layer itself.
        made = {"x": F.linear(change, matrix), "W": F.linear(x, change), "b": change[0].expand(3, 3)}
        felt = {"x": (grad_x * change).sum(), "W": (grad_weight * change).sum(), "b": (grad_bias * change[0]).sum()}
        for name, change_of_z in made.items():
            assert_close(
                felt[name], (grad * change_of_z).sum(), tolerance=1e-4, what=f"the effect of a change of {name}"
            )

    @given(grad=tensors((3, 2)), x=tensors((3, 4)), matrix=tensors((2, 4)))
    @settings(max_examples=4)
    def test_examples_add_up(self, student: Any, grad: Tensor, x: Tensor, matrix: Tensor) -> None:
        """The derivatives by W and b are the sums of those of the examples, those by x stand in the examples' rows."""
        grad_x, grad_weight, grad_bias = triple(student.linear_backward(grad, x, matrix))
        alone = [triple(student.linear_backward(grad[i : i + 1], x[i : i + 1], matrix)) for i in range(3)]
        rows, weights, biases = (list(parts) for parts in zip(*alone, strict=True))
        for row, by_weight, by_bias in alone:
            assert_shape(row, (1, 4), what="∂loss/∂x for one example")
            assert_shape(by_weight, (2, 4), what="∂loss/∂W for one example")
            assert_shape(by_bias, (2,), what="∂loss/∂b for one example")
        named = {"batch": 3}
        assert_close(grad_x, torch.cat(rows), tolerance=1e-4, what="∂loss/∂x", sizes=named)
        assert_close(grad_weight, torch.stack(weights).sum(0), tolerance=1e-4, what="∂loss/∂W", sizes=named)
        assert_close(grad_bias, torch.stack(biases).sum(0), tolerance=1e-4, what="∂loss/∂b", sizes=named)


def triple(result: Any) -> tuple[Any, Any, Any]:
    """Three things; fails if it is something else."""
    if not isinstance(result, tuple | list) or len(result) != 3:
        fail("It should return three things.")
    return result[0], result[1], result[2]


@exercise("relu_backward")
class TestReluBackward:
    @required
    @given(grad=tensors((2, 4)), z=tensors((2, 4), low=0.5, high=3))
    @settings(max_examples=6)
    def test_lets_through_or_not(self, student: Any, grad: Tensor, z: Tensor) -> None:
        """A positive gradient passes where z is positive, and nothing passes where z is negative."""
        signs, grad = torch.tensor([[1.0, -1.0, 1.0, -1.0]]), grad.abs() + 1
        expected = grad * torch.tensor([[1.0, 0.0, 1.0, 0.0]])
        assert_close(student.relu_backward(grad, signs * z), expected, what="the gradient")

    @weight(2)
    @given(grad=tensors((3, 4)), z=tensors((3, 4)))
    @settings(max_examples=8)
    def test_equals_autograd(self, student: Any, grad: Tensor, z: Tensor) -> None:
        """It is what autograd finds for torch's ReLU, whatever the sign of the gradient."""
        leaf = z.clone().requires_grad_()
        (expected,) = torch.autograd.grad(torch.relu(leaf), leaf, grad)
        assert_close(student.relu_backward(grad, z), expected, what="the gradient")

    @weight(2)
    @given(grad=tensors((1, 4), low=1, high=3))
    @settings(max_examples=3)
    def test_at_the_kink(self, student: Any, grad: Tensor) -> None:
        """Where z is exactly 0 the result is 0; a hair above, all of the gradient passes, a hair below, nothing."""
        z = torch.tensor([[0.0, 1e-20, -1e-20, -0.0]])
        expected = grad * torch.tensor([[0.0, 1.0, 0.0, 0.0]])
        assert_close(student.relu_backward(grad, z), expected, what="the gradient")

    @given(grad=tensors((2, 3)), z=tensors((2, 3)), factor=st.sampled_from([100.0, 0.01]))
    @settings(max_examples=4)
    def test_only_the_sign_of_z_matters(self, student: Any, grad: Tensor, z: Tensor, factor: float) -> None:
        """How far z is from 0 makes no difference, and twice the gradient gives twice the result."""
        z, grad = z.masked_fill(z == 0, 1), grad.masked_fill(grad == 0, 1)
        result = student.relu_backward(grad, z)
        assert_shape(result, (2, 3), what="the gradient")
        assert_close(student.relu_backward(grad, factor * z), result, what=f"the gradient for {factor:g} times the z")
        assert_close(student.relu_backward(2 * grad, z), 2 * result, what="the gradient for twice the gradient")
        if (result[z > 0] == 0).any():
            fail("Nothing passes in some places where z is positive.")


PARTS = {"linear": reference.linear_backward, "relu": reference.relu_backward}


@st.composite
def backward_calls(draw: st.DrawFn, layers: tuple[int, int] = (1, 3)) -> tuple[Network, Tensor]:
    """A network after its forward pass, and the derivatives of a loss by its logits."""
    net = draw(networks(layers))
    return net, draw(tensors((len(net.x), len(net.biases[-1]))))


def backward(student: Any, net: Network, grad: Tensor, **parts: Any) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Call the student's `mlp_backward`; its triple, with as many tensors as there are layers."""
    result = triple(student.mlp_backward(grad, *net.passed(), net.weights, **{**PARTS, **parts}))
    return (result[0], *layers_of(result[1:], len(net.weights)))


@exercise(
    "mlp_backward",
    contract=backward_calls().map(lambda drawn: ((drawn[1], *drawn[0].passed(), drawn[0].weights), PARTS)),
)
class TestMLPBackward:
    @required
    @given(drawn=backward_calls((1, 1)))
    @settings(max_examples=6)
    def test_one_layer(self, student: Any, drawn: tuple[Network, Tensor]) -> None:
        """For one layer alone, which has no ReLU, it is the backward pass of that layer."""
        net, grad = drawn
        assert_close(backward(student, net, grad + 4), net.derivatives(grad + 4), tolerance=1e-4, what="the result")

    @weight(4)
    @given(drawn=backward_calls((2, 4)))
    @settings(max_examples=15)
    def test_equals_autograd(self, student: Any, drawn: tuple[Network, Tensor]) -> None:
        """At any depth and width it is what autograd finds in a network of torch's own layers."""
        net, grad = drawn
        received, expected = backward(student, net, grad), net.derivatives(grad)
        for part, wanted, what in zip(received, expected, ("grad_x", "grad_weights", "grad_biases"), strict=True):
            assert_close(part, wanted, tolerance=1e-4, what=what)

    @weight(4)
    @given(layers=st.integers(2, 4), mark=st.integers(1, 3))
    @settings(max_examples=4)
    def test_asks_its_parts(self, student: Any, layers: int, mark: int) -> None:
        """It asks `linear` for each layer, from the last to the first, and `relu` between each layer and the one before."""
        # Every tensor holds one number, which says what it is.
        inputs, outputs, weights = (
            [torch.full((2, 2), float(base + k)) for k in range(layers)] for base in (10, 20, 30)
        )
        asked: list[tuple[float, ...]] = []

        def linear(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            asked.append((grad.mean().item(), x.mean().item(), weight.mean().item()))
            return grad + 1, weight + 100, weight[:, 0] + 200

        def relu(grad: Tensor, z: Tensor) -> Tensor:
            asked.append((grad.mean().item(), z.mean().item()))
            return grad * 2

        start = torch.full((2, 2), float(mark))
        result = triple(student.mlp_backward(start, inputs, outputs, weights, linear=linear, relu=relu))
        expected: list[tuple[float, ...]] = []
        now = float(mark)
        for k in reversed(range(layers)):
            expected.append((now, 10.0 + k, 30.0 + k))
            now += 1
            if k:
                expected.append((now, 19.0 + k))
                now *= 2
        assert_close(asked, expected, what="what `linear` (three numbers) and `relu` (two) are asked, in order,")
        wanted = (
            [torch.full((2, 2), 130.0 + k) for k in range(layers)],
            [torch.full((2,), 230.0 + k) for k in range(layers)],
        )
        assert_close(result, (torch.full((2, 2), now), *wanted), what="the result")

    @given(drawn=backward_calls((2, 3)))
    @settings(max_examples=5)
    def test_a_dead_layer(self, student: Any, drawn: tuple[Network, Tensor]) -> None:
        """Where no unit of the first layer is active, no derivative reaches that layer, or x; the bias above still learns."""
        net, grad = drawn
        dead = Network(net.x, net.weights, [torch.full_like(net.biases[0], -100), *net.biases[1:]])
        grad_x, grad_weights, grad_biases = backward(student, dead, grad)
        for part, like, what in (
            (grad_x, net.x, "grad_x"),
            (grad_weights[0], net.weights[0], "grad_weights[0]"),
            (grad_biases[0], net.biases[0], "grad_biases[0]"),
        ):
            assert_close(part, torch.zeros_like(like), what=what)
        assert_close(grad_biases[-1], grad.sum(dim=0), tolerance=1e-4, what="grad_biases[-1]")

    @given(drawn=backward_calls((2, 3)))
    @settings(max_examples=4)
    def test_examples_add_up(self, student: Any, drawn: tuple[Network, Tensor]) -> None:
        """The derivatives by weights and biases are the sums of those of the examples, one by one."""
        net, grad = drawn
        _, by_weights, by_biases = backward(student, net, grad)
        alone = [
            backward(student, Network(net.x[i : i + 1], net.weights, net.biases), grad[i : i + 1])
            for i in range(len(grad))
        ]
        for k, (matrix, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
            for _, weights, biases in alone:
                assert_shape(weights[k], tuple(matrix.shape), what=f"grad_weights[{k}] for one example")
                assert_shape(biases[k], tuple(bias.shape), what=f"grad_biases[{k}] for one example")
            expected = torch.stack([weights[k] for _, weights, _ in alone]).sum(0)
            assert_close(by_weights[k], expected, tolerance=1e-4, what=f"grad_weights[{k}]")
            expected = torch.stack([biases[k] for _, _, biases in alone]).sum(0)
            assert_close(by_biases[k], expected, tolerance=1e-4, what=f"grad_biases[{k}]")


# ---- optimisers

RATES = st.sampled_from([0.5, 0.125, 2.0])
SHAPES = st.sampled_from([(3,), (2, 3), (), (2, 1, 2)])


@st.composite
def weights_and_gradients(draw: st.DrawFn, steps: int = 1) -> tuple[Tensor, list[Tensor]]:
    """Weights, and a gradient for each of so many steps."""
    shape = draw(SHAPES)
    return draw(tensors(shape)), [draw(tensors(shape)) for _ in range(steps)]


def pair(result: Any) -> tuple[Any, Any]:
    """Two things; fails if it is something else."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        fail("It should return two things.")
    return result[0], result[1]


@exercise("sgd_step")
class TestSGDStep:
    @required
    @given(drawn=weights_and_gradients(), rate=RATES)
    @settings(max_examples=6)
    def test_plain(self, student: Any, drawn: tuple[Tensor, list[Tensor]], rate: float) -> None:
        """Without momentum and decay a step goes against the gradient, `learning_rate` times as far as it is long."""
        param, grad = drawn[0], drawn[1][0].abs() + 1
        moved, velocity = pair(student.sgd_step(param, grad, torch.zeros_like(param), learning_rate=rate))
        assert_close(moved, param - rate * grad, what="param after the step")
        assert_shape(velocity, tuple(param.shape), what="the velocity")

    @weight(4)
    @given(
        drawn=weights_and_gradients(3),
        rate=RATES,
        momentum=st.sampled_from([0.5, 0.0, 0.9]),
        decay=st.sampled_from([0.25, 0.0, 1.0]),
    )
    @settings(max_examples=12)
    def test_equals_torchs(
        self, student: Any, drawn: tuple[Tensor, list[Tensor]], rate: float, momentum: float, decay: float
    ) -> None:
        """Three steps in a row, each with the velocity of the one before, end where those of torch.optim.SGD do."""
        param, gradients = drawn
        twin = nn.Parameter(param.clone())
        optimizer = torch.optim.SGD([twin], lr=rate, momentum=momentum, weight_decay=decay)
        velocity = torch.zeros_like(param)
        for number, grad in enumerate(gradients, 1):
            twin.grad = grad.clone()
            optimizer.step()
            step = {"learning_rate": rate, "momentum": momentum, "weight_decay": decay}
            param, velocity = pair(student.sgd_step(param, grad, velocity, **step))
            assert_close(param, twin.detach(), tolerance=1e-4, what=f"param after step {number}")
        if momentum:
            assert_close(velocity, optimizer.state[twin]["momentum_buffer"], tolerance=1e-4, what="the velocity")

    @weight(2)
    @given(drawn=weights_and_gradients(), momentum=st.sampled_from([0.5, 0.75]), rate=RATES)
    @settings(max_examples=5)
    def test_gathers_speed(
        self, student: Any, drawn: tuple[Tensor, list[Tensor]], momentum: float, rate: float
    ) -> None:
        """Under a constant gradient g the n-th velocity is g (1 − mⁿ) / (1 − m), whatever the learning rate."""
        param, grad = drawn[0], drawn[1][0] + 4
        velocity = torch.zeros_like(param)
        for number in range(1, 5):
            param, velocity = pair(student.sgd_step(param, grad, velocity, learning_rate=rate, momentum=momentum))
            expected = grad * ((1 - momentum**number) / (1 - momentum))
            assert_close(velocity, expected, what=f"the velocity after {number} steps")

    @given(drawn=weights_and_gradients(), rate=st.sampled_from([0.5, 0.25]), decay=st.sampled_from([0.5, 0.25]))
    @settings(max_examples=4)
    def test_forgets(self, student: Any, drawn: tuple[Tensor, list[Tensor]], rate: float, decay: float) -> None:
        """Without a gradient, weight decay shrinks each weight by a constant factor, and sets it in motion towards 0."""
        param, zeros = drawn[0], torch.zeros_like(drawn[0])
        moved, velocity = pair(
            student.sgd_step(param, zeros, zeros, learning_rate=rate, momentum=0.5, weight_decay=decay)
        )
        assert_close(moved, param * (1 - rate * decay), what="param after the step")
        assert_close(velocity, param * decay, what="the velocity")

    @given(drawn=weights_and_gradients(), rate=RATES, momentum=st.sampled_from([0.5, 0.75]))
    @settings(max_examples=4)
    def test_rolls_on(self, student: Any, drawn: tuple[Tensor, list[Tensor]], rate: float, momentum: float) -> None:
        """Where the ground is level a weight rolls on, and loses part of its velocity before it moves."""
        (param, (velocity,)), zeros = drawn, torch.zeros_like(drawn[0])
        moved, slower = pair(student.sgd_step(param, zeros, velocity, learning_rate=rate, momentum=momentum))
        assert_close(slower, momentum * velocity, what="the velocity")
        assert_close(moved, param - rate * momentum * velocity, what="param after the step")


BETAS = st.sampled_from([(0.9, 0.999), (0.5, 0.75), (0.0, 0.5), (0.75, 0.0)])
EPS = st.sampled_from([1e-8, 0.5, 1e-3])


@dataclass(frozen=True)
class AdamState:
    """Weights, a gradient and the two running means, at any time of a training."""

    param: Tensor
    grad: Tensor
    mean: Tensor
    square: Tensor

    def by_torch(self, step: int, rate: float, betas: tuple[float, float], eps: float) -> tuple[Tensor, ...]:
        """What torch.optim.Adam makes of it in a step."""
        param = nn.Parameter(self.param.clone())
        optimizer = torch.optim.Adam([param], lr=rate, betas=betas, eps=eps)
        state = {
            "step": torch.tensor(step - 1.0),
            "exp_avg": self.mean.clone(),
            "exp_avg_sq": self.square.clone(),
        }
        optimizer.state[param], param.grad = state, self.grad.clone()
        optimizer.step()
        return param.detach(), state["exp_avg"], state["exp_avg_sq"]

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `adam_step` takes them."""
        return self.param, self.grad, self.mean, self.square


@st.composite
def adam_states(draw: st.DrawFn) -> AdamState:
    """States in which no squared gradient is negative, and none 0 where a gradient is not."""
    shape = draw(SHAPES)
    param, grad, mean = (draw(tensors(shape)) for _ in range(3))
    return AdamState(param, grad, mean, draw(tensors(shape, low=0.25, high=3)))


@exercise("adam_step", contract=adam_states().map(lambda state: ((*state.parts, 2), {})))
class TestAdamStep:
    @required
    @given(state=adam_states(), rate=RATES)
    @settings(max_examples=6)
    def test_goes_downhill(self, student: Any, state: AdamState, rate: float) -> None:
        """The first step moves every weight against the sign of its gradient, and remembers that sign."""
        zeros = torch.zeros_like(state.param)
        grad = state.grad.masked_fill(state.grad == 0, 1)
        moved, mean, _ = triple(student.adam_step(state.param, grad, zeros, zeros, 1, learning_rate=rate))
        for part, what in ((moved, "param"), (mean, "the running mean")):
            assert_shape(part, tuple(grad.shape), what=what)
        assert_close((state.param - moved).sign(), grad.sign(), what="the sign of each weight's way")
        assert_close(mean.sign(), grad.sign(), what="the sign of the running mean")

    @weight(4)
    @given(state=adam_states(), step=st.sampled_from([1, 2, 3, 10, 1000]), rate=RATES, betas=BETAS, eps=EPS)
    @settings(max_examples=15)
    def test_equals_torchs(
        self, student: Any, state: AdamState, step: int, rate: float, betas: tuple[float, float], eps: float
    ) -> None:
        """At any time of a training it takes the step of torch.optim.Adam."""
        options = {"learning_rate": rate, "betas": betas, "eps": eps}
        received = triple(student.adam_step(*state.parts, step, **options))
        expected = state.by_torch(step, rate, betas, eps)
        for part, wanted, what in zip(received, expected, ("param", "mean", "square"), strict=True):
            assert_close(part, wanted, tolerance=1e-4, what=f"{what} after step {step}")

    @weight(2)
    @given(drawn=weights_and_gradients(4), betas=BETAS, eps=EPS)
    @settings(max_examples=5)
    def test_several_steps(
        self, student: Any, drawn: tuple[Tensor, list[Tensor]], betas: tuple[float, float], eps: float
    ) -> None:
        """Four steps from the start, each with the running means of the one before, end where torch.optim.Adam does."""
        param, gradients = drawn[0], [grad + 4 for grad in drawn[1]]
        twin = nn.Parameter(param.clone())
        optimizer = torch.optim.Adam([twin], lr=0.25, betas=betas, eps=eps)
        mean, square = torch.zeros_like(param), torch.zeros_like(param)
        for number, grad in enumerate(gradients, 1):
            twin.grad = grad.clone()
            optimizer.step()
            options = {"learning_rate": 0.25, "betas": betas, "eps": eps}
            param, mean, square = triple(student.adam_step(param, grad, mean, square, number, **options))
            assert_close(param, twin.detach(), tolerance=1e-4, what=f"param after step {number}")

    @given(state=adam_states(), scale=st.sampled_from([1e-2, 1.0, 1e3]), rate=RATES)
    @settings(max_examples=5)
    def test_steps_of_equal_length(self, student: Any, state: AdamState, scale: float, rate: float) -> None:
        """Under a constant gradient every step is `learning_rate` long, however steep the slope and from the first on."""
        grad = scale * state.grad.masked_fill(state.grad == 0, 1)
        param, mean, square = torch.zeros_like(grad), torch.zeros_like(grad), torch.zeros_like(grad)
        for number in range(1, 4):
            param, mean, square = triple(student.adam_step(param, grad, mean, square, number, learning_rate=rate))
            assert_close(param, -rate * number * grad.sign(), tolerance=1e-4, what=f"param after {number} steps")

    @given(state=adam_states(), step=st.integers(1, 3))
    @settings(max_examples=3)
    def test_rests_where_nothing_pulls(self, student: Any, state: AdamState, step: int) -> None:
        """A weight whose gradient has always been 0 stays where it is: nothing is divided by 0."""
        zeros = torch.zeros_like(state.param)
        received = triple(student.adam_step(state.param, zeros, zeros, zeros, step))
        assert_close(received, (state.param, zeros, zeros), tolerance=0, what="the result")

    @given(state=adam_states(), eps=st.sampled_from([0.5, 4.0]))
    @settings(max_examples=4)
    def test_eps_stands_outside_the_root(self, student: Any, state: AdamState, eps: float) -> None:
        """The first step along a gradient g is learning_rate · g / (|g| + eps), with `eps` beside the root."""
        zeros = torch.zeros_like(state.param)
        moved, _, _ = triple(student.adam_step(state.param, state.grad, zeros, zeros, 1, learning_rate=1.0, eps=eps))
        assert_close(moved, state.param - state.grad / (state.grad.abs() + eps), tolerance=1e-4, what="param")


# ---- training

DIGITS = load_digits("bundled")


class Watched(nn.Module):
    """A classifier that takes notes of its training.

    It is also its own `on_epoch`: a module that lives at the other end of the sandbox is brought up to date when it is called.
    """

    def __init__(self, generator: torch.Generator, data: int = 3, classes: int = 3, stop: int | None = None) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(data, 4), nn.Tanh(), nn.Linear(4, classes))
        redraw(self.net, generator, scale=0.5)
        self.stop, self.in_place = stop, True
        self.steps: list[tuple[Tensor, Tensor]] = []  # of each call of the loss: the images, the labels
        self.epochs: list[tuple[int, float]] = []
        self.modes: list[tuple[str, bool]] = []
        self.x, self.learning = torch.zeros(0), False

    def forward(self, *args: Any) -> Any:
        """The logits of images; what `on_epoch` says to an epoch and its loss."""
        if len(args) == 1:
            self.x, self.learning = args[0].detach().clone(), self.training
            return self.net(args[0])
        self.modes.append(("on_epoch", self.training))
        self.epochs.append((args[0], args[1]))
        return None if self.stop is None else args[0] >= self.stop

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Something like the cross-entropy, and not the same."""
        self.steps.append((self.x, labels.clone()))
        self.modes.append(("step", self.learning))
        return F.cross_entropy(logits, labels, label_smoothing=0.25)

    def train_by(self, student: Any, images: Tensor, labels: Tensor, seed: int, **options: Any) -> Any:
        """Have it trained; what comes back."""
        generator = torch.Generator().manual_seed(seed)
        options = {"on_epoch": self, "generator": generator, "loss": self.loss, **options}
        history = student.train_classifier(self, images, labels, **options)
        if not self.steps:
            fail("The function that is passed as loss= was never called: a step minimises what it returns.")
        return history


def numbered(count: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3), each of which tells its number, and their labels."""
    numbers = torch.arange(count)
    return torch.stack([numbers / 8, (numbers % 2).float(), torch.ones(count)], dim=1), numbers * 2 % 3


def numbers_of(images: Tensor) -> list[int]:
    """The numbers of numbered images."""
    return images[:, 0].mul(8).round().int().tolist()


@exercise("train_classifier", contract=False)
class TestTrainClassifier:
    @required
    def test_learns_to_read_digits(self, student: Any) -> None:
        """After six epochs on 480 handwritten digits it reads at least 75% of digits that it has never seen."""
        generator = torch.Generator().manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
        redraw(model, generator, scale=0.2)
        model.in_place = True  # type: ignore[assignment]
        student.train_classifier(
            model, DIGITS.train[:480], DIGITS.train_labels[:480], epochs=6, batch_size=32, learning_rate=0.01,
            generator=generator, loss=reference.cross_entropy,
        )  # fmt: skip
        right = (model(DIGITS.test).argmax(dim=1) == DIGITS.test_labels).double().mean().item()
        if not right >= 0.75:
            fail(f"It reads {right:.0%} of the digits; guessing would read 10%.")

    @weight(7)
    @given(seed=st.integers(0, 1000), rate=st.sampled_from([0.02, 0.1]))
    @settings(max_examples=2)
    def test_takes_the_steps_of_adam(self, student: Any, seed: int, rate: float) -> None:
        """The final weights, and the mean loss over all images of each epoch, are those of Adam on the same minibatches."""
        model = Watched(torch.Generator().manual_seed(seed))
        twin, (images, labels) = copy.deepcopy(model.net), numbered(7)
        history = model.train_by(student, images, labels, seed, epochs=2, batch_size=3, learning_rate=rate)
        if len(model.steps) != 6:
            fail(f"2 epochs over 7 images in threes are 6 steps, but the loss was asked for {len(model.steps)} times.")
        optimizer, totals = torch.optim.Adam(twin.parameters(), lr=rate), []
        for x, _ in model.steps:
            optimizer.zero_grad()
            value = F.cross_entropy(twin(x), labels[numbers_of(x)], label_smoothing=0.25)
            value.backward()
            optimizer.step()
            totals.append(value.item() * len(x))
        for name, wanted in twin.named_parameters():
            received = model.net.get_parameter(name).detach()
            assert_close(received, wanted.detach(), tolerance=1e-3, what=f"after 6 steps, the model's {name}")
        assert_close(history, [sum(totals[:3]) / 7, sum(totals[3:]) / 7], tolerance=1e-3, what="the returned list")
        if not all(isinstance(value, float) for value in history):
            fail("The list should hold floats.")

    @weight(7)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=2)
    def test_passes_over_all_images_in_a_new_order_each_epoch(self, student: Any, seed: int) -> None:
        """Each epoch takes every image once, with its label, in a new random order that the generator decides."""
        orders = []
        for own in (seed, seed, seed + 1):
            model, (images, labels) = Watched(torch.Generator().manual_seed(seed)), numbered(14)
            model.train_by(student, images, labels, own, epochs=2, batch_size=4)
            taken = [len(x) for x, _ in model.steps]
            if taken != [4, 4, 4, 2] * 2:
                fail(f"2 epochs over 14 images in fours should take 4, 4, 4, 2, 4, 4, 4, 2 images, but took {taken}.")
            for x, given_labels in model.steps:
                assert_close(given_labels, labels[numbers_of(x)], what="the labels that came with some images")
            orders.append([[n for x, _ in model.steps[i : i + 4] for n in numbers_of(x)] for i in (0, 4)])
        first, later = orders[0]
        if sorted(first) != list(range(14)) or sorted(later) != list(range(14)):
            fail(f"The images of an epoch, by number, were {first}, then {later}: every one should be there once.")
        if first in (later, sorted(first)):
            fail(f"The images came in the order {first}, then {later}: it should be random, and new in each epoch.")
        if orders[0] != orders[1]:
            fail(f"With equal generators the images came in the order {first}, then {orders[1][0]}.")
        if orders[0] == orders[2]:
            fail("With another generator the images come in the same order: does it decide the order?")

    @weight(7)
    @given(stop=st.integers(0, 2), evaluating=st.booleans())
    @settings(max_examples=3)
    def test_listens_to_on_epoch(self, student: Any, stop: int, evaluating: bool) -> None:
        """on_epoch is told each epoch's number and mean loss, in evaluation mode; training goes on until it says True."""
        model = Watched(torch.Generator().manual_seed(0), stop=stop).train(not evaluating)
        history = model.train_by(student, *numbered(4), 0, epochs=4, batch_size=2)
        if (len(history), len(model.epochs), len(model.steps)) != (stop + 1, stop + 1, 2 * (stop + 1)):
            fail(
                f"on_epoch returned True after epoch {stop}, counting from 0: there should be {stop + 1} epochs of 2 steps,",
                f"but on_epoch was called {len(model.epochs)} times, {len(model.steps)} steps were taken, and the list "
                f"has {len(history)} entries.",
            )
        assert_close(model.epochs, list(enumerate(history)), tolerance=1e-4, what="what on_epoch was called with")
        if not all(training for kind, training in model.modes if kind == "step"):
            fail("The model was not in training mode in every step: dropout would do nothing.")
        if any(training for kind, training in model.modes if kind == "on_epoch"):
            fail("The model was in training mode when on_epoch was called: dropout would blur what it measures.")

    @given(answer=st.sampled_from([False, None]), epochs=st.integers(1, 2))
    @settings(max_examples=2)
    def test_goes_to_the_end(self, student: Any, answer: bool | None, epochs: int) -> None:
        """All epochs are made if on_epoch returns False or None, or if there is none."""
        for on_epoch in (None, lambda epoch, loss: answer):
            model = Watched(torch.Generator().manual_seed(0))
            history = model.train_by(student, *numbered(4), 0, epochs=epochs, batch_size=3, on_epoch=on_epoch)
            if len(history) != epochs or len(model.steps) != 2 * epochs:
                fail(f"{epochs} epochs of 2 steps were to be made, but {len(model.steps)} steps were.")


# ---- hyperparameters


@dataclass(frozen=True)
class Search:
    """A grid, and the score of every setting, in the order of nested loops. It takes note of what it is asked."""

    grid: dict[str, list[Any]]
    scores: list[float]

    def settings(self) -> list[dict[str, Any]]:
        """All settings: the last name changes fastest."""
        found: list[dict[str, Any]] = [{}]
        for name, values in self.grid.items():
            found = [{**setting, name: value} for setting in found for value in values]
        return found

    def score(self, setting: dict[str, Any]) -> float:
        """Of a setting."""
        known = self.settings()
        if setting not in known:
            fail(f"evaluate was asked for {setting}, which is not a setting of the grid {self.grid}.")
        return self.scores[known.index(setting)]

    def run(self, student: Any, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
        """The student's best row, and the settings that were evaluated, after a look at the table."""
        asked: list[dict[str, Any]] = []

        def evaluate(**setting: Any) -> float:
            asked.append(setting)
            return self.score(setting)

        best, table = pair(student.search_hyperparameters(evaluate, self.grid, **options))
        expected = [{**setting, "score": self.score(setting)} for setting in asked]
        if not isinstance(table, list) or list(map(plain, table)) != list(map(plain, expected)):
            fail(
                "The table should have a row for each setting that was evaluated, in that order, with its score:",
                f"expected  {expected}",
                f"received  {table}",
            )
        return best, asked

    def best_of(self, asked: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The first of the rows with the highest score, by comparing each with every other."""
        rows = [{**setting, "score": self.score(setting)} for setting in asked]
        rows = [row for row in rows if not nan(row)]
        return next((row for row in rows if all(row["score"] >= other["score"] for other in rows)), None)


def nan(row: dict[str, Any]) -> bool:
    """Whether the score of a row is NaN."""
    return math.isnan(row["score"])


def plain(row: Any) -> Any:
    """A row that can be compared: NaN is not equal to itself."""
    if isinstance(row, dict) and isinstance(row.get("score"), float) and nan(row):
        return {**row, "score": "NaN"}
    return row


@st.composite
def searches(draw: st.DrawFn, scores: st.SearchStrategy[float] | None = None, names: int = 3) -> Search:
    """Searches over one to three hyperparameters; all scores are different, and negative, unless `scores` says otherwise."""
    values: list[list[Any]] = [[16, 32, 64], [0.1, 0.01], ["relu", "tanh", "gelu"]]
    order = draw(st.permutations(["width", "rate", "act"]))[: draw(st.integers(1, names))]
    grid = {name: draw(st.permutations(values[k]))[: draw(st.integers(1, 3))] for k, name in enumerate(order)}
    count = math.prod(map(len, grid.values()))
    if scores is None:
        return Search(grid, [-1.0 - rank for rank in draw(st.permutations(range(count)))])
    return Search(grid, draw(st.lists(scores, min_size=count, max_size=count)))


def assert_best(best: Any, expected: dict[str, Any] | None) -> None:
    """Check the best row."""
    if best != expected:
        fail("The best row is wrong:", f"expected  {expected}", f"received  {best}")


@exercise(
    "search_hyperparameters",
    contract=searches().map(lambda search: ((lambda **setting: search.score(setting), search.grid), {})),
)
class TestSearchHyperparameters:
    @required
    @given(search=searches())
    @settings(max_examples=6)
    def test_finds_the_best(self, student: Any, search: Search) -> None:
        """Among all settings of a grid it finds the one with the highest score, though all scores are negative."""
        best, _ = pair(student.search_hyperparameters(lambda **setting: search.score(setting), search.grid))
        expected = max(zip(search.scores, search.settings(), strict=True), key=lambda item: item[0])
        if not isinstance(best, dict) or {**best, "score": None} != {**expected[1], "score": None}:
            fail("The best setting is wrong:", f"expected  {expected[1]}", f"received  {best}")

    @weight(4)
    @given(search=searches(st.sampled_from([-1.0, 0.5, 0.25, math.nan])), generator=st.none() | generators())
    @settings(max_examples=12)
    def test_tries_the_whole_grid(self, student: Any, search: Search, generator: torch.Generator | None) -> None:
        """It evaluates every setting once, the last name changing fastest; the first with the highest score is best."""
        best, asked = search.run(student, generator=generator)
        if asked != search.settings():
            fail("It evaluated these settings:", f"expected  {search.settings()}", f"received  {asked}")
        assert_best(best, search.best_of(asked))

    @given(search=searches(st.sampled_from([math.nan, -1.0, -2.0])), lost=st.booleans())
    @settings(max_examples=6)
    def test_failed_trainings(self, student: Any, search: Search, lost: bool) -> None:
        """A score of NaN stands in the table and is never best, not even as the first; if all are NaN, best is None."""
        scores = [math.nan] * len(search.scores) if lost else [math.nan, *search.scores[1:]]
        search = Search(search.grid, scores)
        best, asked = search.run(student)
        assert_best(best, search.best_of(asked))

    @weight(4)
    @given(search=searches(), trials=st.integers(1, 8), seed=st.integers(0, 1000))
    @settings(max_examples=8)
    def test_random_search(self, student: Any, search: Search, trials: int, seed: int) -> None:
        """With `trials` it evaluates so many different settings, or all there are, drawn from the generator."""
        best, asked = search.run(student, trials=trials, generator=torch.Generator().manual_seed(seed))
        if any(asked.count(setting) > 1 for setting in asked):
            fail(f"A setting was tried twice: {asked}.")
        if len(asked) != min(trials, len(search.scores)):
            fail(f"Of {len(search.scores)} settings {trials} should be tried, but {len(asked)} were.")
        assert_best(best, search.best_of(asked))
        large, generator = Search({"width": list(range(30))}, [-1.0] * 30), torch.Generator().manual_seed(seed)
        (_, first), (_, later) = (large.run(student, trials=8, generator=generator) for _ in range(2))
        _, again = large.run(student, trials=8, generator=torch.Generator().manual_seed(seed))
        if first != again:
            fail("With equal generators it tried different settings.")
        if first == later:
            fail("In a second search with the same generator it tried the same settings: is it drawn from?")

    @given(generator=generators())
    @settings(max_examples=1)
    def test_every_choice_is_equally_likely(self, student: Any, generator: torch.Generator) -> None:
        """Two trials out of four settings choose each of the six pairs equally often, up to chance, generator or not."""
        search = Search({"width": [1, 2], "rate": [0.1, 0.2]}, [-1.0, -2.0, -3.0, -4.0])
        chosen: list[tuple[int, ...]] = []
        for number in range(180):
            asked: list[int] = []

            def evaluate(width: int, rate: float, asked: list[int] = asked) -> float:
                asked.append(search.settings().index({"width": width, "rate": rate}))
                return 0.0

            options = {"generator": generator} if number < 150 else {}
            student.search_hyperparameters(evaluate, search.grid, trials=2, **options)
            chosen.append(tuple(sorted(asked)))
        for two in itertools.combinations(range(4), 2):
            # Six standard deviations of 5 around the expected 30.
            if not 0 < chosen.count(two) < 60:
                count = chosen.count(two)
                fail(f"The settings number {two[0]} and {two[1]} were chosen {count} times out of 180, not about 30.")

    @given(place=st.integers(0, 1), trials=st.sampled_from([None, 2]))
    @settings(max_examples=4)
    def test_nothing_to_try(self, student: Any, place: int, trials: int | None) -> None:
        """An empty list of values raises a ValueError, and nothing is evaluated."""
        grid: dict[str, list[Any]] = {"width": [1, 2], "rate": [0.1]}
        grid[["width", "rate"][place]] = []
        asked: list[Any] = []

        def evaluate(**setting: Any) -> float:
            asked.append(setting)
            return 1.0

        with pytest.raises(ValueError):
            student.search_hyperparameters(evaluate, grid, trials=trials)
        if asked:
            fail("Settings were evaluated before the error was raised.")


# ---- without labels


@st.composite
def clouds(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Points and centroids, of which no point is as far from one as from another."""
    count, clusters, dim = draw(sizes(2, 6)), draw(sizes(1, 4)), draw(sizes(1, 3))
    generator = draw(generators())
    return torch.randn(count, dim, generator=generator), 2 * torch.randn(clusters, dim, generator=generator)


@exercise("kmeans_step")
class TestKMeansStep:
    @required
    @given(offsets=tensors((6, 2), low=-1, high=1), swapped=st.booleans())
    @settings(max_examples=6)
    def test_two_heaps(self, student: Any, offsets: Tensor, swapped: bool) -> None:
        """Of two heaps that lie far apart each gets its own label, and its centroid moves into its middle."""
        middles = torch.tensor([[10.0, -10.0], [-10.0, 20.0]])
        middles = middles.flip(0) if swapped else middles
        belongs = torch.tensor([0, 1, 1, 0, 1, 1])
        points = middles[belongs] + offsets
        labels, centroids = pair(student.kmeans_step(points, middles + torch.tensor([3.0, 1.0])))
        assert_close(labels, belongs, what="the labels")
        means = [
            [statistics.fmean(column) for column in zip(*points[belongs == k].tolist(), strict=True)] for k in (0, 1)
        ]
        assert_close(centroids, torch.tensor(means), tolerance=1e-4, what="the centroids")

    @weight(4)
    @given(drawn=clouds())
    @settings(max_examples=12)
    def test_equals_scipys(self, student: Any, drawn: tuple[Tensor, Tensor]) -> None:
        """Labels and centroids are those of one round of scipy's kmeans2, empty clusters included."""
        points, before = drawn
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an empty cluster
            after, belongs = kmeans2(points.double().numpy(), before.double().numpy(), iter=1, minit="matrix")
        labels, centroids = pair(student.kmeans_step(points, before))
        named = {"n": len(points), "clusters": len(before), "dim": before.shape[1]}
        assert_close(labels, torch.from_numpy(belongs).long(), what="the labels", sizes=named)
        assert_close(centroids, torch.from_numpy(after).float(), tolerance=1e-4, what="the centroids", sizes=named)

    @weight(4)
    @given(offset=st.integers(-3, 3), scale=st.sampled_from([1.0, 0.5, -2.0]), swapped=st.booleans())
    @settings(max_examples=4)
    def test_labels_come_first(self, student: Any, offset: int, scale: float, swapped: bool) -> None:
        """The labels belong to the centroids that came in, even where a point is nearer to another one after the move."""
        # 6 is nearer to 10 than to −6; then the centroids move to 0 and 13, of which 0 is the nearer one.
        points, before, after = (torch.tensor([line]).T for line in ([0.0, 6.0, 20.0], [-6.0, 10.0], [0.0, 13.0]))
        belongs = torch.tensor([0, 1, 1])
        if swapped:
            before, after, belongs = before.flip(0), after.flip(0), 1 - belongs
        labels, centroids = pair(student.kmeans_step(scale * points + offset, scale * before + offset))
        assert_close(labels, belongs, what="the labels")
        assert_close(centroids, scale * after + offset, what="the centroids")

    @weight(2)
    @given(points=tensors((4, 2)), lonely=st.integers(0, 2), far=tensors(2, low=50, high=60))
    @settings(max_examples=5)
    def test_an_empty_cluster_stays(self, student: Any, points: Tensor, lonely: int, far: Tensor) -> None:
        """A centroid that is nearest to no point stays exactly where it is, and its label is not given."""
        before = torch.tensor([[-1.0, 0.0], [0.0, 0.5], [1.0, 0.0]])
        before[lonely] = far
        labels, centroids = pair(student.kmeans_step(points, before))
        assert_shape(centroids, (3, 2), what="the centroids")
        assert_shape(labels, (4,), what="the labels")
        assert_close(centroids[lonely], far, tolerance=0, what=f"centroid {lonely}, which has no points,")
        if (labels == lonely).any():
            fail(f"A point was given to centroid {lonely}, which is far away.")

    @given(points=tensors((5, 2), dtype=torch.int64, low=-1, high=1), centroids=tensors((3, 2), low=-1, high=1))
    @settings(max_examples=6)
    def test_ties(self, student: Any, points: Tensor, centroids: Tensor) -> None:
        """A point may go to any of the nearest centroids, to no other; each centroid is the mean of what it was given."""
        points = points.float()
        labels, moved = pair(student.kmeans_step(points, centroids))
        assert_shape(labels, (5,), what="the labels")
        assert_between(labels, 0, 2, what="a label")
        distances = [[math.dist(point, centre) for centre in centroids.tolist()] for point in points.tolist()]
        chosen = [row[label] for row, label in zip(distances, labels.tolist(), strict=True)]
        assert_close(chosen, [min(row) for row in distances], what="the distances to the chosen centroids")
        expected = [points[labels == k].mean(0) if (labels == k).any() else centroids[k] for k in range(3)]
        assert_close(moved, torch.stack(expected), what="the centroids")


# ---- reinforcement


@st.composite
def decisions(draw: st.DrawFn) -> tuple[Tensor, float, Tensor, Tensor]:
    """Arguments of `epsilon_greedy`."""
    batch, actions, epsilon = draw(sizes(1, 5)), draw(sizes(2, 4)), draw(st.integers(0, 8)) / 8
    uniform = draw(tensors(batch, low=0, high=7 / 8))
    uniform[-1] = draw(st.sampled_from([min(epsilon, 7 / 8), 0.0]))  # where it is ε itself, < and ≤ differ
    random_actions = draw(tensors(batch, dtype=torch.int64, low=0, high=actions - 1))
    return draw(tensors((batch, actions))), epsilon, uniform, random_actions


@exercise("epsilon_greedy", contract=decisions().map(lambda drawn: (drawn, {})))
class TestEpsilonGreedy:
    @required
    @given(best=st.permutations([0, 1, 2, 3]), step=st.integers(1, 3))
    @settings(max_examples=6)
    def test_explores_and_exploits(self, student: Any, best: list[int], step: int) -> None:
        """Where `uniform` is far below ε the random action is taken, where it is far above, the best one."""
        values = torch.tensor([[3.0 if action == chosen else -1.0 - action for action in range(4)] for chosen in best])
        random_actions = (torch.tensor(best) + step) % 4
        uniform = torch.tensor([0.125, 0.875, 0.25, 0.75])
        expected = torch.where(uniform < 0.5, random_actions, torch.tensor(best))
        assert_close(student.epsilon_greedy(values, 0.5, uniform, random_actions), expected, what="the actions")

    @weight(3)
    @given(drawn=decisions())
    @settings(max_examples=15)
    def test_row_by_row(self, student: Any, drawn: tuple[Tensor, float, Tensor, Tensor]) -> None:
        """A row explores if its number is less than ε, not if it is equal; otherwise it takes one of its best actions."""
        values, epsilon, uniform, random_actions = drawn
        actions = student.epsilon_greedy(*drawn)
        assert_shape(actions, tuple(uniform.shape), what="the actions")
        assert_between(actions, 0, values.shape[1] - 1, what="an action")
        for row, action in enumerate(actions.tolist()):
            if uniform[row].item() < epsilon:
                assert_close(action, random_actions[row].item(), what=f"the action in row {row}, which explores,")
            else:
                worth, highest = values[row, action].item(), max(values[row].tolist())
                assert_close(worth, highest, what=f"the value of the action in row {row}, which does not explore,")

    @weight(2)
    @given(drawn=decisions())
    @settings(max_examples=5)
    def test_at_the_ends(self, student: Any, drawn: tuple[Tensor, float, Tensor, Tensor]) -> None:
        """At ε = 0 no row explores, not even where `uniform` is 0; at ε = 1 all do."""
        values, _, uniform, random_actions = drawn
        always = student.epsilon_greedy(values, 1.0, uniform, random_actions)
        assert_close(always, random_actions, what="the actions at ε = 1")
        never = student.epsilon_greedy(values, 0.0, torch.zeros_like(uniform), random_actions)
        assert_shape(never, tuple(uniform.shape), what="the actions at ε = 0")
        assert_between(never, 0, values.shape[1] - 1, what="an action")
        worth = [row[action] for row, action in zip(values.tolist(), never.tolist(), strict=True)]
        assert_close(worth, [max(row) for row in values.tolist()], what="the values of the actions at ε = 0")

    @given(level=st.sampled_from([-100.0, 100.0]), best=st.integers(0, 2))
    @settings(max_examples=4)
    def test_only_the_order_of_values_matters(self, student: Any, level: float, best: int) -> None:
        """The best action is the one with the highest value, even where all values are below 0 or far above it."""
        values = torch.eye(3)[best].expand(2, 3) + torch.tensor([[level], [0.0]])
        other = torch.full((2,), (best + 1) % 3)
        actions = student.epsilon_greedy(values, 0.25, torch.tensor([0.5, 0.5]), other)
        assert_close(actions, torch.tensor([best, best]), what="the actions")


@st.composite
def moves(draw: st.DrawFn) -> Call:
    """Arguments of `q_learning_update`. A move may lead back to where it began."""
    states, actions = draw(sizes(2, 4)), draw(sizes(2, 3))
    state, next_state = draw(st.integers(0, states - 1)), draw(st.integers(0, states - 1))
    reward = draw(st.integers(-8, 8)) / 4
    args = (draw(tensors((states, actions))), state, draw(st.integers(0, actions - 1)), reward, next_state)
    rates = {"learning_rate": draw(st.integers(0, 8)) / 8, "gamma": draw(st.sampled_from([0.5, 0.875, 1.0, 0.0]))}
    return (*args, draw(st.booleans())), rates


@exercise("q_learning_update", contract=moves())
class TestQLearningUpdate:
    @required
    @given(q=tensors((3, 2)), state=st.integers(0, 2), action=st.integers(0, 1), rate=st.sampled_from([0.5, 1.0]))
    @settings(max_examples=6)
    def test_changes_one_entry(self, student: Any, q: Tensor, state: int, action: int, rate: float) -> None:
        """A move that earned far more than expected raises the entry of that state and action, and no other."""
        updated = student.q_learning_update(q, state, action, 50.0, 0, False, learning_rate=rate, gamma=0.5)
        assert_shape(updated, (3, 2), what="the table")
        others = torch.ones(3, 2, dtype=torch.bool)
        others[state, action] = False
        assert_close(updated[others], q[others], what="what the table says of all else")
        gain = updated[state, action] - q[state, action]
        assert_between(gain, 5, 60, what="the rise of the entry")

    @weight(4)
    @given(call=moves())
    @settings(max_examples=20)
    def test_goes_part_of_the_way(self, student: Any, call: Call) -> None:
        """The entry goes `learning_rate` of the way to the target: the reward, and γ times the best that can follow."""
        (q, state, action, reward, next_state, done), rates = call
        table = q.tolist()
        following = 0.0 if done else rates["gamma"] * max(table[next_state])
        old, part = table[state][action], rates["learning_rate"]
        table[state][action] = (1 - part) * old + part * (reward + following)
        assert_close(student.q_learning_update(*call[0], **rates), torch.tensor(table), what="the table")

    @weight(2)
    @given(q=tensors((3, 2), low=1, high=3), place=st.integers(0, 2), reward=st.sampled_from([1.0, -1.0]))
    @settings(max_examples=5)
    def test_the_end_of_an_episode(self, student: Any, q: Tensor, place: int, reward: float) -> None:
        """A move that ends the episode is worth its reward alone, whatever the table says of the state it led to."""
        options = {"learning_rate": 1.0, "gamma": 0.9}
        updated = student.q_learning_update(q, 1, 0, reward, place, True, **options)
        assert_shape(updated, (3, 2), what="the table")
        assert_close(updated[1, 0], torch.tensor(reward), what="the entry after a last move")
        updated = student.q_learning_update(q, 1, 0, reward, place, False, **options)
        assert_between(updated[1, 0] - reward, 0.5, what="the entry after another move, less the reward,")

    @weight(2)
    @given(gamma=st.sampled_from([0.5, 0.75]), length=st.integers(2, 4))
    @settings(max_examples=3)
    def test_finds_the_way(self, student: Any, gamma: float, length: int) -> None:
        """In a corridor with a prize at its end, all moves tried again and again, the table comes to say γ to the distance."""
        q = torch.zeros(length, 2)
        for _ in range(length + 1):
            for state, action in itertools.product(range(length), range(2)):
                done = action == 1 and state == length - 1
                after = min(length - 1, state + 1) if action else max(0, state - 1)
                q = student.q_learning_update(
                    q, state, action, float(done), after, done, learning_rate=1.0, gamma=gamma
                )
                assert_shape(q, (length, 2), what="the table")
        ahead = [gamma ** (length - 1 - state) for state in range(length)]
        expected = [[gamma * ahead[max(0, state - 1)], ahead[state]] for state in range(length)]
        assert_close(q, torch.tensor(expected), what="the table")
