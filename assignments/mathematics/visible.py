# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.properties import assert_between, assert_close, assert_shape, dimensions, exercise, tensors

JOINT = torch.tensor([[[0.05, 0.1, 0.05], [0.2, 0.0, 0.1]], [[0.1, 0.1, 0.0], [0.15, 0.1, 0.05]]])
"""A table of probabilities p(A, B, C) with A and B in {0, 1}, and C in {0, 1, 2}."""


@exercise("bayes_posterior", contract=False)
class TestBayesPosterior:
    def test_a_medical_test(self, student):
        """One in 100 is ill; the test finds 9 of 10 of these, and frightens 1 of 20 others: p(ill|positive) is 2/13."""
        positive, negative = [0.9, 0.05], [0.1, 0.95]
        result = student.bayes_posterior(torch.tensor([0.01, 0.99]), torch.tensor([positive, negative]))
        expected = torch.tensor([[2 / 13, 11 / 13], [2 / 1883, 1881 / 1883]])
        assert_close(result, expected, what="the posterior")

    @given(likelihood=tensors((3, 4), low=0.125, high=2))
    def test_a_flat_prior(self, student, likelihood):
        """If all hypotheses are equally probable beforehand, it is the likelihood, scaled so that each row sums to 1."""
        result = student.bayes_posterior(torch.full((4,), 0.25), likelihood)
        expected = torch.stack([row / row.sum() for row in likelihood])
        assert_close(result, expected, what="the posterior", sizes={"batch": 3, "hypotheses": 4})

    def test_impossible(self, student):
        """What cannot happen under any hypothesis has no posterior: a ValueError."""
        with pytest.raises(ValueError):
            student.bayes_posterior(torch.tensor([0.5, 0.5]), torch.tensor([[0.5, 0.5], [0.0, 0.0]]))


@exercise("update_beliefs", contract=False)
class TestUpdateBeliefs:
    @given(log_likelihood=tensors((3, 2), low=-3, high=0))
    def test_rows(self, student, log_likelihood):
        """It starts with the prior, there is a row for each observation, and each row is a distribution."""
        log_prior = torch.tensor([0.25, 0.75]).log()
        result = student.update_beliefs(log_prior, log_likelihood)
        assert_shape(result, (4, 2), what="the result")
        assert_close(result[0], log_prior, what="row 0")
        assert_close(result.exp().sum(dim=1), torch.ones(4), what="the sum of the probabilities in each row")

    def test_two_coins(self, student):
        """A coin is fair, or always shows heads: after three heads the odds are 1 to 8."""
        heads = torch.tensor([0.5, 1.0]).log()
        result = student.update_beliefs(torch.tensor([0.5, 0.5]).log(), heads.repeat(3, 1))
        expected = torch.tensor([[1 / 2, 1 / 2], [1 / 3, 2 / 3], [1 / 5, 4 / 5], [1 / 9, 8 / 9]])
        assert_close(result.exp(), expected, what="the posterior probabilities")

    def test_tiny_probabilities(self, student):
        """Probabilities of e⁻⁹⁰⁰⁰ are no trouble: only their ratio matters."""
        log_likelihood = torch.tensor([[-9000.0, -9001.0]]).repeat(2, 1)
        result = student.update_beliefs(torch.tensor([0.5, 0.5]).log(), log_likelihood)
        odds = result[:, 0] - result[:, 1]
        assert_close(odds, torch.tensor([0.0, 1.0, 2.0]), tolerance=1e-2, what="the log of the odds in each row")


@exercise("marginalize", contract=False)
class TestMarginalize:
    def test_an_example(self, student):
        """Summing out B and C of the table p(A, B, C) in this file leaves p(A) = [½, ½]."""
        assert_close(student.marginalize(JOINT, (1, 2)), torch.tensor([0.5, 0.5]), what="p(A)")

    def test_order(self, student):
        """The variables that are left stand in their old order: without A it is the table p(B, C)."""
        expected = torch.tensor([[0.15, 0.2, 0.05], [0.35, 0.1, 0.15]])
        assert_close(student.marginalize(JOINT, (0,)), expected, what="p(B, C)")

    def test_nothing_and_everything(self, student):
        """Without axes the table stays as it is; with all of them its sum is left."""
        assert_close(student.marginalize(JOINT, ()), JOINT, what="the table")
        assert_close(student.marginalize(JOINT, (2, 0, 1)), torch.tensor(1.0), what="the sum")


@exercise("condition", contract=False)
class TestCondition:
    def test_an_example(self, student):
        """In the table p(A, B, C) in this file, p(B | A = 1, C = 0) is [0.4, 0.6]."""
        assert_close(student.condition(JOINT, {0: 1, 2: 0}), torch.tensor([0.4, 0.6]), what="p(B | A = 1, C = 0)")

    @given(axis=st.integers(0, 2), value=st.integers(0, 1))
    def test_sums_to_one(self, student, axis, value):
        """Whatever is known, what remains is a distribution over the other variables."""
        result = student.condition(JOINT, {axis: value})
        assert_shape(result, tuple(size for i, size in enumerate(JOINT.shape) if i != axis), what="the table")
        assert_close(result.sum(), 1.0, what="the sum of the table")

    def test_impossible(self, student):
        """What has probability zero cannot be known: a ValueError."""
        with pytest.raises(ValueError):
            student.condition(JOINT, {0: 0, 1: 1, 2: 1})


@exercise("transform_latents")
class TestTransformLatents:
    def test_a_quarter_turn(self, student):
        """The matrix [[0, −1], [1, 0]] turns the plane by 90° to the left: (1, 0) goes to (0, 1)."""
        turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]])
        expected = torch.tensor([[0.0, 1.0], [-1.0, 0.0], [-3.0, 2.0]])
        assert_close(student.transform_latents(z, turn, torch.zeros(2)), expected, what="the points")

    @given(matrix=tensors((2, 3)), offset=tensors(2), centre=tensors(3))
    def test_where_the_centre_goes(self, student, matrix, offset, centre):
        """The centre goes to the offset, whatever the matrix."""
        result = student.transform_latents(centre.unsqueeze(0), matrix, offset, centre=centre)
        assert_close(result, offset.unsqueeze(0), what="where the centre goes")

    @given(matrix=tensors((2, 3)))
    def test_columns(self, student, matrix):
        """The unit vectors go to the columns of the matrix."""
        result = student.transform_latents(torch.eye(3), matrix, torch.zeros(2))
        assert_close(result, torch.stack([matrix[:, j] for j in range(3)]), what="where the unit vectors go")


@exercise("transform_gaussian")
class TestTransformGaussian:
    @given(scale=st.integers(-3, 3), shift=st.integers(-3, 3))
    def test_one_dimension(self, student, scale, shift):
        """In one dimension the variance grows with the square of the scale, and the shift does not matter to it."""
        one = torch.ones(1, 1)
        mean, covariance = student.transform_gaussian(one[0], 2 * one, scale * one, torch.tensor([float(shift)]))
        assert_close(mean, torch.tensor([float(scale + shift)]), what="the mean")
        assert_close(covariance, torch.tensor([[2.0 * scale**2]]), what="the covariance")

    def test_sum_and_difference(self, student):
        """Of two independent variables with variances 1 and 4, sum and difference have variance 5 and covariance −3."""
        matrix = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        _, covariance = student.transform_gaussian(
            torch.zeros(2), torch.diag(torch.tensor([1.0, 4.0])), matrix, torch.zeros(2)
        )
        assert_close(covariance, torch.tensor([[5.0, -3.0], [-3.0, 5.0]]), what="the covariance")


@exercise("power_iteration", contract=False)
class TestPowerIteration:
    def test_an_example(self, student):
        """The matrix [[2, 1], [1, 2]] has the dominant eigenvalue 3, with the eigenvector (1, 1) / √2."""
        matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
        value, vector = student.power_iteration(matrix, torch.tensor([1.0, 0.5]), 30)
        assert_close(value, torch.tensor(3.0), what="the eigenvalue")
        assert_close(vector, torch.full((2,), math.sqrt(0.5)), what="the eigenvector")

    def test_negative(self, student):
        """The eigenvalue of greatest absolute value may be negative, and has its sign."""
        matrix = torch.diag(torch.tensor([2.0, -3.0, 1.0]))
        value, vector = student.power_iteration(matrix, torch.ones(3), 61)
        assert_close(value, torch.tensor(-3.0), what="the eigenvalue")
        assert_close(vector, torch.tensor([0.0, 1.0, 0.0]), what="the eigenvector")

    @given(steps=st.integers(1, 3))
    def test_steps(self, student, steps):
        """After so many steps, not more: from (1, 1) the matrix diag(2, 1) leads to (2ⁿ, 1), scaled to length 1."""
        expected = torch.tensor([2.0**steps, 1.0])
        _, vector = student.power_iteration(torch.diag(torch.tensor([2.0, 1.0])), torch.ones(2), steps)
        assert_close(vector, expected / expected.norm(), what="the vector")


@exercise("principal_components", contract=False)
class TestPrincipalComponents:
    def test_an_example(self, student):
        """Points on a line through (1, 2) in direction (3, 4) have this direction, and the variance along the line."""
        x = torch.tensor([1.0, 2.0]) + torch.tensor([-2.0, 0.0, 2.0]).unsqueeze(1) * torch.tensor([0.6, 0.8])
        mean, directions, variances = student.principal_components(x, 1)
        assert_close(mean, torch.tensor([1.0, 2.0]), what="the mean")
        assert_close(directions.abs(), torch.tensor([[0.6, 0.8]]), what="the direction, without its sign")
        assert_close(variances, torch.tensor([4.0]), tolerance=1e-4, what="the variance")

    @given(x=tensors((8, 4)))
    def test_at_right_angles(self, student, x):
        """The directions have length 1 and stand at right angles to one another; their variances fall."""
        x = x + torch.randn(8, 4)
        _, directions, variances = student.principal_components(x, 3)
        assert_shape(directions, (3, 4), what="the directions")
        assert_close(
            directions @ directions.T, torch.eye(3), tolerance=1e-4, what="the directions times their transpose"
        )
        assert_between(variances[:-1] - variances[1:], 0, tolerance=1e-3, what="the fall of the variances")


@exercise("numerical_gradient", contract=False)
class TestNumericalGradient:
    @given(x=tensors((2, 3)))
    def test_a_parabola(self, student, x):
        """The gradient of Σ x² is 2x, in the shape and the dtype of x."""
        result = student.numerical_gradient(lambda x: x.square().sum(), x)
        assert_close(result, 2 * x, what="the gradient")

    def test_the_step(self, student):
        """Central differences of x³ are 3x² + h²: with a step of 1 they are 13 at x = 2."""
        result = student.numerical_gradient(lambda x: x.pow(3).sum(), torch.tensor([2.0]), step=1.0)
        assert_close(result, torch.tensor([13.0]), what="the gradient")


@exercise("jacobian", contract=False)
class TestJacobian:
    @given(matrix=tensors((2, 3)), x=tensors(3))
    def test_a_linear_map(self, student, matrix, x):
        """The Jacobian of x ↦ A x is A."""
        assert_close(student.jacobian(lambda x: matrix @ x, x), matrix, what="the Jacobian")

    def test_an_example(self, student):
        """At (2, 3) the function (x₁ x₂, x₁²) has the Jacobian [[3, 2], [4, 0]]."""
        result = student.jacobian(lambda x: torch.stack([x[0] * x[1], x[0] ** 2]), torch.tensor([2.0, 3.0]))
        assert_close(result, torch.tensor([[3.0, 2.0], [4.0, 0.0]]), what="the Jacobian")

    def test_a_constant(self, student):
        """A function that does not depend on its input has a Jacobian of zeros."""
        result = student.jacobian(lambda x: torch.ones(2), torch.zeros(3))
        assert_close(result, torch.zeros(2, 3), what="the Jacobian")


@exercise("change_of_variables", contract=False)
class TestChangeOfVariables:
    @given(log_density=tensors(3))
    def test_stretching(self, student, log_density):
        """A map that stretches both directions of the plane by 3 makes every density 9 times smaller."""
        result = student.change_of_variables(log_density, 3 * torch.eye(2).repeat(3, 1, 1))
        assert_close(result, log_density - math.log(9), what="the log-density")

    def test_a_mirror(self, student):
        """A mirror image is as dense as what it mirrors."""
        mirror = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
        assert_close(student.change_of_variables(torch.zeros(1), mirror), torch.zeros(1), what="the log-density")


@exercise("entropy", contract=False)
class TestEntropy:
    @given(outcomes=st.integers(1, 8))
    def test_a_fair_die(self, student, outcomes):
        """Of n equally probable outcomes it is log n."""
        result = student.entropy(torch.full((2, outcomes), 1 / outcomes))
        assert_close(result, torch.full((2,), math.log(outcomes)), what="the entropy", sizes={"outcomes": outcomes})

    def test_certainty(self, student):
        """Where the outcome is certain nothing is surprising: it is 0."""
        assert_close(student.entropy(torch.tensor([0.0, 1.0, 0.0])), torch.tensor(0.0), what="the entropy")


@exercise("cross_entropy", contract=False)
class TestCrossEntropy:
    def test_a_fair_expectation(self, student):
        """Whoever expects a fair coin pays log 2, whatever the coin is."""
        p = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]])
        result = student.cross_entropy(p, torch.full((3, 2), 0.5))
        assert_close(result, torch.full((3,), math.log(2)), what="the cross-entropy")

    def test_an_example(self, student):
        """Where the first is certain it is −log of what was expected of it, also if nothing was expected of the second."""
        p, q = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
        assert_close(student.cross_entropy(p, q), torch.tensor([math.log(4), 0.0]), what="the cross-entropy")


@exercise("kl_divergence", contract=False)
class TestKLDivergence:
    def test_an_example(self, student):
        """From [½, ½] to [¾, ¼] it is ½ log 4/3, and the way back is not as long."""
        p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25])
        assert_close(student.kl_divergence(p, q), torch.tensor(math.log(4 / 3) / 2), what="KL(p ‖ q)")
        there = 0.75 * math.log(3 / 2) - 0.25 * math.log(2)
        assert_close(student.kl_divergence(q, p), torch.tensor(there), what="KL(q ‖ p)")

    @given(weights=tensors((3, 4), low=0.125, high=2))
    def test_to_itself(self, student, weights):
        """From a distribution to itself it is 0."""
        p = weights / weights.sum(dim=1, keepdim=True)
        assert_close(student.kl_divergence(p, p), torch.zeros(3), what="the divergence")

    def test_surprised_beyond_measure(self, student):
        """It is infinite where something happens that was held to be impossible, and only there."""
        p, q = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        assert_close(student.kl_divergence(p, q), torch.tensor([math.inf, math.log(2)]), what="the divergence")


@exercise("gaussian_kl", contract=False)
class TestGaussianKL:
    @given(difference=tensors(3))
    def test_distance(self, student, difference):
        """With unit covariances it is half the squared distance of the means."""
        result = student.gaussian_kl(difference, torch.eye(3), torch.zeros(3), torch.eye(3))
        assert_close(result, difference.square().sum() / 2, what="the divergence")

    def test_one_dimension(self, student):
        """From variance 1 to variance 4, with one mean, it is log 2 − 3/8; the other way it is 3/2 − log 2."""
        zero, one = torch.zeros(1), torch.eye(1)
        there, back = (student.gaussian_kl(zero, a * one, zero, b * one) for a, b in ((1, 4), (4, 1)))
        assert_close(there, torch.tensor(math.log(2) - 3 / 8), what="the divergence from variance 1 to variance 4")
        assert_close(back, torch.tensor(3 / 2 - math.log(2)), what="the divergence from variance 4 to variance 1")


@exercise("mutual_information", contract=False)
class TestMutualInformation:
    @given(n=st.integers(1, 5))
    def test_one_and_the_same(self, student, n):
        """Two names for one fair die with n faces tell all about each other: log n."""
        result = student.mutual_information(torch.eye(n) / n, kl=kl)
        assert_close(result, torch.tensor(math.log(n)), what="the mutual information", sizes={"n": n})

    @given(rows=tensors(3, low=0.125, high=1), columns=tensors(4, low=0.125, high=1))
    def test_independent(self, student, rows, columns):
        """Independent variables tell nothing about each other."""
        joint = torch.outer(rows, columns)
        result = student.mutual_information(joint / joint.sum(), kl=kl)
        assert_close(result, torch.tensor(0.0), what="the mutual information")


def kl(p, q):
    """The Kullback–Leibler divergence, so that this check does not depend on yours."""
    return torch.distributions.kl_divergence(*(torch.distributions.Categorical(weights) for weights in (p, q)))


@exercise("lerp")
class TestLerp:
    def test_an_example(self, student):
        """From 0 to 8: a quarter of the way, all of it, and half of it again beyond."""
        result = student.lerp(torch.tensor([0.0]), torch.tensor([8.0]), torch.tensor([0.25, 1.0, 1.5]))
        assert_close(result, torch.tensor([[2.0], [8.0], [12.0]]), what="the codes")

    @given(start=tensors(3), end=tensors(3))
    def test_ends(self, student, start, end):
        """At 0 it is the start, at 1 the end."""
        result = student.lerp(start, end, torch.tensor([0.0, 1.0]))
        assert_close(result, torch.stack([start, end]), what="the codes")


@exercise("slerp", contract=False)
class TestSlerp:
    def test_a_quarter_circle(self, student):
        """A third of the way from (1, 0) to (0, 1) is at 30°, two thirds are at 60°."""
        result = student.slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([1 / 3, 2 / 3]))
        half, height = 0.5, math.sqrt(0.75)
        assert_close(result, torch.tensor([[height, half], [half, height]]), what="the codes")

    @given(sizes=dimensions("latent steps"), factor=st.integers(1, 3))
    def test_one_direction(self, student, sizes, factor):
        """Between codes of one direction it is the straight line."""
        start, t = torch.ones(sizes["latent"]), torch.linspace(0, 1, sizes["steps"])
        result = student.slerp(start, factor * start, t)
        expected = (1 + (factor - 1) * t).unsqueeze(1).expand(-1, sizes["latent"])
        assert_close(result, expected, tolerance=1e-4, what="the codes")

    def test_opposite(self, student):
        """Between opposite codes no arc is the shortest: a ValueError."""
        with pytest.raises(ValueError):
            student.slerp(torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -2.0]), torch.tensor([0.5]))
