# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import assert_close, assert_finite, assert_shape, dimensions, exercise, fail, sizes, tensors


@exercise("cross_entropy", contract=False)
class TestCrossEntropy:
    @given(shape=dimensions("batch classes"))
    def test_knowing_nothing(self, student, shape):
        """Equal scores for all classes cost the logarithm of their number, whatever the labels and the batch."""
        labels = torch.arange(shape["batch"]) % shape["classes"]
        logits = torch.full((shape["batch"], shape["classes"]), 2.0)
        result = student.cross_entropy(logits, labels)
        assert_shape(result, (), what="the loss")
        assert_close(result, math.log(shape["classes"]), what="the loss", sizes=shape)

    def test_odds(self, student):
        """Odds of three to one cost log 4/3 if the favourite is right, log 4 if not, on average half of both."""
        logits = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
        expected = (math.log(4 / 3) + math.log(4)) / 2
        assert_close(student.cross_entropy(logits, torch.tensor([0, 1])), expected, what="the loss")

    def test_certainty(self, student):
        """Certain and wrong costs the difference of the scores, and the gradient is finite."""
        logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
        result = student.cross_entropy(logits, torch.tensor([1]))
        assert_close(result, 2e4, what="the loss")
        result.backward()
        assert_finite(logits.grad, what="the gradient with respect to the logits")


@exercise("initialize_mlp", contract=False)
class TestInitializeMLP:
    def test_shapes(self, student):
        """Sizes 5, 4, 3 make two layers, with weights (4, 5) and (3, 4) and biases of zeros."""
        weights, biases = student.initialize_mlp([5, 4, 3], generator=torch.Generator().manual_seed(0))
        if len(weights) != 2:
            fail(f"Three sizes make two layers, but there are {len(weights)} tensors of weights.")
        for weight, bias, shape in zip(weights, biases, ((4, 5), (3, 4)), strict=True):
            assert_shape(weight, shape, what="a layer's weights")
            assert_close(bias, torch.zeros(shape[0]), what="a layer's bias")

    @given(seed=st.integers(0, 100))
    @settings(max_examples=3)
    def test_can_be_repeated(self, student, seed):
        """Equal generators give equal weights."""
        first, second = (student.initialize_mlp([3, 2], generator=torch.Generator().manual_seed(seed)) for _ in "ab")
        assert_close(second[0], first[0], tolerance=0, what="the list of weights")

    def test_spread(self, student):
        """Weights of a layer with 50 inputs have a variance of 2/50, up to chance."""
        weights, _ = student.initialize_mlp([50, 2000], generator=torch.Generator().manual_seed(0))
        assert_close(50 * weights[0].var(), 2.0, tolerance=0.06, what="50 times the variance")


@exercise("mlp_forward", contract=False)
class TestMLPForward:
    def test_one_layer(self, student):
        """One layer is a linear map: x Wᵀ + b."""
        x, weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]]), torch.tensor([0.5, -50])
        inputs, outputs = student.mlp_forward(x, [weight], [bias])
        assert_close(list(inputs), [x], what="the list of inputs")
        assert_close(list(outputs), [torch.tensor([[11.5, -33.0]])], what="the list of outputs")

    @given(x=tensors((3, 2)))
    def test_absolute_value(self, student, x):
        """Two layers can make absolute values, as relu(x) + relu(−x); the answers before the ReLU are kept."""
        eye = torch.eye(2)
        weights = [torch.cat([eye, -eye]), torch.cat([eye, eye], dim=1)]
        inputs, outputs = student.mlp_forward(x, weights, [torch.zeros(4), torch.zeros(2)])
        assert_close(outputs[-1], x.abs(), what="the last layer's output", hint="There is a ReLU between the layers.")
        assert_close(outputs[0], torch.cat([x, -x], dim=1), what="the first layer's output, before the ReLU")
        assert_close(inputs[1], torch.cat([x, -x], dim=1).clamp(min=0), what="the second layer's input")

    @given(x=tensors((3, 2)))
    def test_negative_logits(self, student, x):
        """No ReLU comes after the last layer: logits may be negative."""
        _, outputs = student.mlp_forward(x, [-torch.eye(2)], [torch.full((2,), -4.0)])
        assert_close(outputs[-1], -x - 4, what="the logits")


@exercise("cross_entropy_backward", contract=False)
class TestCrossEntropyBackward:
    @given(logits=tensors((4, 3)))
    def test_sums_to_zero(self, student, logits):
        """Each row sums to 0: raising all scores of an example alike changes nothing. Only the right one is negative."""
        labels = torch.tensor([0, 1, 2, 1])
        result = student.cross_entropy_backward(logits, labels)
        assert_shape(result, (4, 3), what="the gradient")
        assert_close(result.sum(dim=1), torch.zeros(4), what="the sums of the rows")
        negative = torch.nn.functional.one_hot(labels, 3).bool()
        if not torch.equal(result < 0, negative):
            fail("It should be negative for the right class, and for no other: a step downhill raises that score.")

    @given(batch=sizes())
    def test_fair_coin(self, student, batch):
        """For two classes with equal scores, and one example, it is −½ for the right one; for a batch that is shared."""
        result = student.cross_entropy_backward(torch.ones(batch, 2), torch.zeros(batch, dtype=torch.int64))
        expected = torch.tensor([[-0.5, 0.5]]).repeat(batch, 1) / batch
        assert_close(result, expected, what="the gradient", sizes={"batch": batch})


@exercise("linear_backward")
class TestLinearBackward:
    @given(shape=dimensions("batch inputs outputs"))
    def test_shapes(self, student, shape):
        """Each derivative has the shape of what it is a derivative by."""
        batch, inputs, outputs = shape.values()
        result = student.linear_backward(
            torch.ones(batch, outputs), torch.ones(batch, inputs), torch.ones(outputs, inputs)
        )
        shapes = (batch, inputs), (outputs, inputs), (outputs,)
        if not isinstance(result, tuple) or len(result) != 3:
            fail("It should return the triple (∂loss/∂x, ∂loss/∂W, ∂loss/∂b).")
        for part, expected, what in zip(result, shapes, ("∂loss/∂x", "∂loss/∂W", "∂loss/∂b"), strict=True):
            assert_shape(part, expected, what=what)

    def test_by_hand(self, student):
        """For z = 3x + b at x = 2, with ∂loss/∂z = 10, they are 30, 20 and 10."""
        result = student.linear_backward(torch.tensor([[10.0]]), torch.tensor([[2.0]]), torch.tensor([[3.0]]))
        expected = (torch.tensor([[30.0]]), torch.tensor([[20.0]]), torch.tensor([10.0]))
        assert_close(result, expected, what="the triple")

    @given(grad=tensors((3, 2)), x=tensors((3, 4)), weight=tensors((2, 4)))
    def test_examples_add_up(self, student, grad, x, weight):
        """For weights and bias the derivatives of a batch are the sum of those of its examples."""
        _, by_weight, by_bias = student.linear_backward(grad, x, weight)
        alone = [student.linear_backward(grad[[i]], x[[i]], weight) for i in range(3)]
        assert_close(by_weight, sum(part[1] for part in alone), tolerance=1e-4, what="∂loss/∂W")
        assert_close(by_bias, sum(part[2] for part in alone), tolerance=1e-4, what="∂loss/∂b")


@exercise("relu_backward")
class TestReluBackward:
    def test_open_and_shut(self, student):
        """Where z was positive the derivative passes, where it was negative or 0 nothing does."""
        z = torch.tensor([[2.0, -2.0, 0.0, 0.5]])
        result = student.relu_backward(torch.tensor([[5.0, 6.0, 7.0, -8.0]]), z)
        assert_close(result, torch.tensor([[5.0, 0.0, 0.0, -8.0]]), what="the gradient")


def two_layers():
    """A network of two layers with three examples: inputs, outputs and weights."""
    generator = torch.Generator().manual_seed(0)
    x, first, second = (torch.randn(shape, generator=generator) for shape in ((3, 4), (5, 4), (2, 5)))
    hidden = x @ first.T
    return [x, hidden.relu()], [hidden, hidden.relu() @ second.T], [first, second]


@exercise("mlp_backward", contract=False)
class TestMLPBackward:
    def test_shapes(self, student):
        """Each derivative has the shape of what it is a derivative by, and the first layer comes first."""
        inputs, outputs, weights = two_layers()
        parts = {
            "linear": lambda grad, x, weight: (torch.zeros_like(x), torch.zeros_like(weight), torch.zeros(len(weight))),
            "relu": lambda grad, z: torch.zeros_like(z),
        }
        grad_x, grad_weights, grad_biases = student.mlp_backward(torch.ones(3, 2), inputs, outputs, weights, **parts)
        assert_shape(grad_x, (3, 4), what="∂loss/∂x")
        assert_close(list(grad_weights), [torch.zeros(5, 4), torch.zeros(2, 5)], what="the list for the weights")
        assert_close(list(grad_biases), [torch.zeros(5), torch.zeros(2)], what="the list for the biases")

    def test_finite_differences(self, student):
        """Moving one number of x by a millionth moves the loss as `grad_x` says, if the parts are right."""
        inputs, outputs, weights = two_layers()
        inputs, outputs, weights = ([part.double() for part in parts] for parts in (inputs, outputs, weights))

        def linear(grad, x, weight):
            return torch.autograd.functional.vjp(lambda x, w, b: x @ w.T + b, (x, weight, weight[:, 0]), grad)[1]

        def relu(grad, z):
            return torch.autograd.functional.vjp(torch.relu, z, grad)[1]

        grad = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=torch.float64)
        grad_x, _, _ = student.mlp_backward(grad, inputs, outputs, weights, linear=linear, relu=relu)

        def loss(x):
            return ((x @ weights[0].T).relu() @ weights[1].T * grad).sum()

        moved = inputs[0].clone()
        moved[1, 2] += 1e-6
        assert_close(grad_x[1, 2], (loss(moved) - loss(inputs[0])) / 1e-6, tolerance=1e-3, what="∂loss/∂x[1, 2]")


@exercise("sgd_step")
class TestSGDStep:
    @given(param=tensors((2, 3)), grad=tensors((2, 3)))
    def test_plain(self, student, param, grad):
        """Without momentum and weight decay it goes against the gradient."""
        result, _ = student.sgd_step(param, grad, torch.zeros(2, 3), learning_rate=0.5)
        assert_close(result, param - grad / 2, what="the weights")

    def test_momentum(self, student):
        """Under a constant gradient of 1, at momentum ½, the velocities are 1, 1.5, 1.75, and each is gone at once."""
        param, velocity = torch.tensor(0.0), torch.tensor(0.0)
        found = []
        for _ in range(3):
            param, velocity = student.sgd_step(param, torch.tensor(1.0), velocity, learning_rate=1.0, momentum=0.5)
            found.append((velocity.item(), param.item()))
        assert_close(found, [(1.0, -1.0), (1.5, -2.5), (1.75, -4.25)], what="the list of velocities and weights")

    @given(param=tensors(3))
    def test_weight_decay(self, student, param):
        """Without a gradient, weight decay draws every weight towards 0."""
        before = param.clone()
        zeros = torch.zeros(3)
        result, _ = student.sgd_step(param, zeros, zeros, learning_rate=0.5, weight_decay=0.5)
        assert_close(result, before * 0.75, what="the weights")
        assert_close(param, before, what="the weights that were passed in, which stay as they are,")


@exercise("adam_step", contract=False)
class TestAdamStep:
    @given(grad=tensors(4, low=0.5), learning_rate=st.sampled_from([0.5, 0.125]))
    def test_first_step(self, student, grad, learning_rate):
        """The first step is as long as the learning rate, whatever the size of the gradient."""
        zeros = torch.zeros(4)
        signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
        param, _, _ = student.adam_step(zeros, signs * grad, zeros, zeros, 1, learning_rate=learning_rate)
        assert_close(param, -learning_rate * signs, what="the weights", hint="Mind the correction of the bias.")

    def test_running_means(self, student):
        """They keep β of what they were, and are returned with their bias."""
        values = [torch.tensor([x]) for x in (0.0, 2.0, 1.0, 8.0)]
        _, mean, square = student.adam_step(*values, 3, betas=(0.75, 0.5))
        assert_close(mean, torch.tensor([1.25]), what="the running mean")
        assert_close(square, torch.tensor([6.0]), what="the running mean of squares")

    @given(param=tensors((2, 2)))
    def test_no_gradient(self, student, param):
        """Where no gradient ever was nothing moves, and nothing is divided by zero."""
        zeros = torch.zeros(2, 2)
        assert_close(student.adam_step(param, zeros, zeros, zeros, 1)[0], param, what="the weights")


def corners(seed: int):
    """Forty points near the corners of a square, opposite ones of one class: images and labels."""
    labels = torch.arange(40) % 2
    places = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]).repeat(10, 1)
    return places + 0.3 * torch.randn(40, 2, generator=torch.Generator().manual_seed(seed)), labels


def small_network() -> nn.Sequential:
    """Two layers with sixteen hidden units."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))


@exercise("train_classifier", contract=False)
class TestTrainClassifier:
    def test_learns(self, student):
        """After 60 epochs it knows opposite corners, which no straight line can tell from the others."""
        model, (images, labels) = small_network(), corners(0)
        loss = nn.functional.cross_entropy
        history = student.train_classifier(
            model, images, labels, epochs=60, batch_size=10, learning_rate=0.02, loss=loss
        )
        if len(history) != 60:
            fail(f"60 epochs should give a list of 60 numbers, but it has {len(history)}.")
        right = (model(images).argmax(dim=1) == labels).float().mean().item()
        if right < 0.95:
            fail(f"Of the points that it was trained on {right:.0%} are classified rightly.")

    @given(seed=st.integers(0, 100))
    @settings(max_examples=2)
    def test_can_be_repeated(self, student, seed):
        """Equal generators give equal trainings."""
        found = []
        for _ in range(2):
            options = {"epochs": 2, "batch_size": 16, "generator": torch.Generator().manual_seed(seed)}
            loss = nn.functional.cross_entropy
            found.append(student.train_classifier(small_network(), *corners(seed), **options, loss=loss))
        assert_close(found[1], found[0], tolerance=0, what="what the second training returns")

    def test_stops_when_told(self, student):
        """on_epoch hears each epoch's number, from 0, and its loss; when it returns True, training ends."""
        heard = []

        def on_epoch(epoch, loss):
            heard.append((epoch, loss))
            return epoch == 2

        options = {"epochs": 10, "on_epoch": on_epoch, "loss": nn.functional.cross_entropy}
        history = student.train_classifier(small_network(), *corners(0), **options)
        assert_close(heard, list(enumerate(history)), what="what on_epoch heard")
        if len(heard) != 3:
            fail(f"on_epoch returned True in its third call, but it was called {len(heard)} times.")


@exercise("search_hyperparameters", contract=False)
class TestSearchHyperparameters:
    def test_grid(self, student):
        """It tries all settings, the last name changing fastest, and finds the best."""
        grid = {"width": [1, 2], "rate": [10, 20, 30]}
        best, table = student.search_hyperparameters(lambda width, rate: -abs(width * rate - 40), grid)
        tried = [(row["width"], row["rate"], row["score"]) for row in table]
        expected = [(1, 10, -30), (1, 20, -20), (1, 30, -10), (2, 10, -20), (2, 20, 0), (2, 30, -20)]
        if tried != expected:
            fail(f"The table's rows (width, rate, score) should be {expected}, but they are {tried}.")
        assert_close(best, {"width": 2, "rate": 20, "score": 0}, what="the best row")

    def test_failed_training(self, student):
        """A score of NaN stays in the table and is never best."""
        scores = {1: math.nan, 2: 0.5, 3: math.nan}
        best, table = student.search_hyperparameters(lambda x: scores[x], {"x": [1, 2, 3]})
        assert_close(best, {"x": 2, "score": 0.5}, what="the best row")
        if len(table) != 3:
            fail(f"Three settings were tried, but the table has {len(table)} rows.")

    @given(seed=st.integers(0, 100), trials=st.integers(1, 6))
    @settings(max_examples=5)
    def test_random(self, student, seed, trials):
        """A random search tries as many settings as it was told, all different."""
        tried = []
        generator = torch.Generator().manual_seed(seed)
        student.search_hyperparameters(
            lambda a, b: tried.append((a, b)) or 1.0, {"a": [1, 2], "b": [3, 4, 5]}, trials=trials, generator=generator
        )
        if len(tried) != trials or len(set(tried)) != trials:
            fail(f"It should try {trials} different settings, but it tried {tried}.")

    def test_nothing_to_try(self, student):
        """An empty list in the grid is a ValueError."""
        with pytest.raises(ValueError):
            student.search_hyperparameters(lambda a, b: 1.0, {"a": [1], "b": []})


@exercise("kmeans_step")
class TestKMeansStep:
    def test_two_pairs(self, student):
        """Two pairs of points on a line, two centroids: each moves into the middle of its pair."""
        points = torch.tensor([[0.0], [2.0], [10.0], [12.0]])
        labels, centroids = student.kmeans_step(points, torch.tensor([[9.0], [3.0]]))
        assert_close(labels, torch.tensor([1, 1, 0, 0]), what="the labels")
        assert_close(centroids, torch.tensor([[11.0], [1.0]]), what="the centroids")

    def test_empty_cluster(self, student):
        """A centroid that is nearest to no point stays where it is."""
        points = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
        _, centroids = student.kmeans_step(points, torch.tensor([[50.0, 50.0], [0.0, 0.0]]))
        assert_close(centroids, torch.tensor([[50.0, 50.0], [0.0, 2.0]]), what="the centroids")


@exercise("epsilon_greedy", contract=False)
class TestEpsilonGreedy:
    def test_an_example(self, student):
        """At ε = ½ the draws 0.2 and 0.4 explore, 0.5 and 0.9 do not."""
        values = torch.tensor([[1.0, 3.0, 2.0]]).repeat(4, 1)
        uniform, actions = torch.tensor([0.2, 0.4, 0.5, 0.9]), torch.tensor([0, 2, 0, 2])
        result = student.epsilon_greedy(values, 0.5, uniform, actions)
        assert_close(result, torch.tensor([0, 2, 1, 1]), what="the actions")


@exercise("q_learning_update", contract=False)
class TestQLearningUpdate:
    def test_half_of_the_way(self, student):
        """At learning rate ½ the entry goes half of the way to the reward and the discounted best of what follows."""
        q = torch.tensor([[0.0, 2.0], [4.0, 8.0]])
        result = student.q_learning_update(q, 0, 1, 1.0, 1, False, learning_rate=0.5, gamma=0.75)
        assert_close(result, torch.tensor([[0.0, 4.5], [4.0, 8.0]]), what="the table", hint="(2 + 1 + 0.75 · 8) / 2")
        assert_close(q, torch.tensor([[0.0, 2.0], [4.0, 8.0]]), what="the table that was passed in")

    def test_the_end(self, student):
        """After the end of an episode nothing is earned, whatever the table says of the next state."""
        q = torch.tensor([[0.0, 2.0], [4.0, 8.0]])
        result = student.q_learning_update(q, 0, 0, 1.0, 1, True, learning_rate=1.0, gamma=0.75)
        assert_close(result, torch.tensor([[1.0, 2.0], [4.0, 8.0]]), what="the table")
