# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.properties import assert_close, assert_finite, assert_shape, exercise, tensors


@exercise("fit_gaussian_classes", contract=False)
class TestFitGaussianClasses:
    def test_by_hand(self, student):
        """Class 0 at −1 and 3 has mean 1 and variance 4; class 1 at 10, 10 and 16 has mean 12 and variance 8."""
        x = torch.tensor([[-1.0], [10.0], [3.0], [16.0], [10.0]])
        priors, means, covariances = student.fit_gaussian_classes(x, torch.tensor([0, 1, 0, 1, 1]), 2)
        assert_close(priors, torch.tensor([0.4, 0.6]), what="the triple's priors")
        assert_close(means, torch.tensor([[1.0], [12.0]]), what="the triple's means")
        hint = "The squares are divided by how many examples the class has, not by one less."
        assert_close(covariances, torch.tensor([[[4.0]], [[8.0]]]), what="the triple's covariances", hint=hint)

    @given(x=tensors((8, 3)))
    def test_symmetric(self, student, x):
        """A covariance is a symmetric matrix, and `ridge` adds to its diagonal alone."""
        labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
        plain, ridged = (student.fit_gaussian_classes(x, labels, 2, ridge=ridge)[2] for ridge in (0.0, 0.5))
        assert_shape(plain, (2, 3, 3), what="the triple's covariances")
        assert_close(plain, plain.mT, what="the triple's covariances")
        assert_close(ridged - plain, 0.5 * torch.eye(3).repeat(2, 1, 1), tolerance=1e-4, what="what ridge=0.5 adds")

    @given(x=tensors((6, 2)), shift=st.integers(-9, 9))
    def test_moves_along(self, student, x, shift):
        """Data that are moved move the means, and leave the covariances as they are."""
        labels = torch.tensor([2, 0, 1, 1, 0, 2])
        _, means, covariances = student.fit_gaussian_classes(x, labels, 3)
        _, moved, same = student.fit_gaussian_classes(x + shift, labels, 3)
        assert_close(moved, means + shift, tolerance=1e-4, what="the means of the moved data")
        assert_close(same, covariances, tolerance=1e-4, what="the covariances of the moved data")


@exercise("gaussian_log_density")
class TestGaussianLogDensity:
    @given(x=tensors((4, 3)))
    def test_standard(self, student, x):
        """For the standard normal it is −½‖x‖² − ½ · features · log 2π."""
        expected = -x.square().sum(1) / 2 - 1.5 * math.log(2 * math.pi)
        assert_close(student.gaussian_log_density(x, torch.zeros(3), torch.eye(3)), expected, what="the log-density")

    @given(mean=tensors(2), away=tensors((3, 2)))
    def test_looks_the_same_from_both_sides(self, student, mean, away):
        """Points on opposite sides of the mean are equally likely."""
        covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
        left, right = (student.gaussian_log_density(mean + side * away, mean, covariance) for side in (-1, 1))
        assert_close(left, right, tolerance=1e-4, what="the log-density")

    def test_along_and_across(self, student):
        """With variances 9 and 1, a point 3 away along the wide axis is as likely as one 1 away along the narrow one."""
        x = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        wide, narrow = student.gaussian_log_density(x, torch.zeros(2), torch.diag(torch.tensor([9.0, 1.0]))).tolist()
        assert_close(wide, narrow, what="the first log-density")
        assert_close(narrow, -0.5 - math.log(2 * math.pi) - math.log(3), what="the second log-density")

    def test_many_dimensions(self, student):
        """In 400 dimensions of variance 10⁻⁴ the determinant is too small a number for any float, its logarithm is not."""
        result = student.gaussian_log_density(torch.zeros(1, 400), torch.zeros(400), 1e-4 * torch.eye(400))
        expected = torch.tensor([-200 * math.log(2 * math.pi * 1e-4)])
        assert_close(result, expected, tolerance=1e-4, what="the log-density")


def from_table(table):
    """A stand-in for `gaussian_log_density` that reads the answer in the table, at the class that the mean names."""
    return lambda x, mean, covariance: table[:, int(mean[0])]


@exercise("class_posterior", contract=False)
class TestClassPosterior:
    def test_a_rare_class(self, student):
        """If x is 9 times as likely under a class that is 9 times as rare, it is half and half."""
        means, covariances = torch.tensor([[0.0], [1.0]]), torch.ones(2, 1, 1)
        table = torch.tensor([[0.0, math.log(9)], [0.0, 0.0]])
        result = student.class_posterior(
            torch.zeros(2, 1), torch.tensor([0.9, 0.1]), means, covariances, log_density=from_table(table)
        )
        expected = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
        assert_close(result, expected, what="the log-posterior", hint="Here log_density is made up.")

    @given(table=tensors((4, 3)), far=st.sampled_from([-100_000.0, 0.0, 100_000.0]))
    def test_sums_to_one(self, student, table, far):
        """The probabilities of each row sum to 1, also where log-densities are ±10⁵ nats."""
        means, covariances = torch.tensor([[0.0], [1.0], [2.0]]), torch.ones(3, 1, 1)
        result = student.class_posterior(
            torch.zeros(4, 1), torch.full((3,), 1 / 3), means, covariances, log_density=from_table(table + far)
        )
        assert_finite(result, what="the log-posterior")
        assert_close(result.exp().sum(1), torch.ones(4), what="the sum of the probabilities of each row")

    def test_halfway(self, student):
        """Halfway between two equal Gaussians the prior decides alone."""
        priors = torch.tensor([0.25, 0.75])
        means, covariances = torch.tensor([[-2.0, 0.0], [2.0, 0.0]]), torch.eye(2).repeat(2, 1, 1)
        result = student.class_posterior(torch.tensor([[0.0, 5.0]]), priors, means, covariances)
        assert_close(result, priors.log().unsqueeze(0), what="the log-posterior")


@exercise("sample_from_class", contract=False)
class TestSampleFromClass:
    def test_without_noise(self, student):
        """Without noise a sample is the mean of the class that was asked for."""
        means = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        labels = torch.tensor([2, 0, 0, 1])
        samples = student.sample_from_class(labels, means, torch.eye(2).repeat(3, 1, 1), torch.zeros(4, 2))
        assert_close(samples, means[labels], what="the samples")

    @given(noise=tensors((5, 2)))
    def test_stretched(self, student, noise):
        """Variances of 4 and 9 stretch the noise by 2 and 3."""
        covariances = torch.diag(torch.tensor([4.0, 9.0])).unsqueeze(0)
        samples = student.sample_from_class(torch.zeros(5, dtype=torch.int64), torch.zeros(1, 2), covariances, noise)
        assert_close(samples, noise * torch.tensor([2.0, 3.0]), what="the samples")

    def test_correlated(self, student):
        """The noise (1, 0) and (0, 1) is turned into the columns of L, and L Lᵀ is the covariance."""
        covariance = torch.tensor([[4.0, 2.0], [2.0, 2.0]])
        labels = torch.zeros(2, dtype=torch.int64)
        columns = student.sample_from_class(labels, torch.zeros(1, 2), covariance.unsqueeze(0), torch.eye(2))
        assert_close(columns, torch.tensor([[2.0, 1.0], [0.0, 1.0]]), what="the samples")


@exercise("logistic_gradient", contract=False)
class TestLogisticGradient:
    def test_undecided(self, student):
        """At zero weights each class has the same probability: the errors are ½ here, with either sign."""
        x = torch.tensor([[2.0, 4.0], [6.0, -8.0]])
        gradients = student.logistic_gradient(x, torch.tensor([0, 1]), torch.zeros(2, 2), torch.zeros(2))
        assert_close(gradients[0], torch.tensor([[1.0, -1.0], [-3.0, 3.0]]), what="the gradient of the weights")
        assert_close(gradients[1], torch.zeros(2), what="the gradient of the bias")

    @given(x=tensors((4, 3)), weights=tensors((3, 2)), bias=tensors(2))
    def test_nothing_in_common(self, student, x, weights, bias):
        """Raising the scores of all classes changes nothing, so over the classes a gradient sums to 0."""
        gradients = student.logistic_gradient(x, torch.tensor([0, 1, 1, 0]), weights, bias)
        for name, gradient in zip(("weights", "bias"), gradients, strict=True):
            total = gradient.sum(-1)
            assert_close(total, torch.zeros_like(total), what=f"the sum over classes of the gradient of the {name}")

    @given(x=tensors((3, 2)), weights=tensors((2, 3)), bias=tensors(3))
    def test_a_mean(self, student, x, weights, bias):
        """Seeing every example twice changes nothing: it is a mean over the examples."""
        labels = torch.tensor([2, 0, 1])
        once = student.logistic_gradient(x, labels, weights, bias)
        twice = student.logistic_gradient(x.repeat(2, 1), labels.repeat(2), weights, bias)
        assert_close(tuple(twice), tuple(once), what="the pair")


@exercise("fit_logistic", contract=False)
class TestFitLogistic:
    def test_two_steps(self, student):
        """With a gradient that is always 1, and 2, two steps of ¼ lead from 0 to −½, and −1."""
        weights, bias = student.fit_logistic(
            torch.zeros(4, 3),
            torch.zeros(4, dtype=torch.int64),
            2,
            steps=2,
            learning_rate=0.25,
            gradient=lambda x, labels, weights, bias: (torch.ones(3, 2), torch.full((2,), 2.0)),
        )
        assert_close(weights, torch.full((3, 2), -0.5), what="the weights")
        assert_close(bias, torch.full((2,), -1.0), what="the bias")

    def test_goes_where_it_is_led(self, student):
        """Each gradient is asked for at the place to which the step before has led."""
        heard = []

        def gradient(x, labels, weights, bias):
            heard.append((weights.clone(), bias.clone()))
            return weights - 1, bias - 2

        student.fit_logistic(
            torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), 1, steps=3, learning_rate=0.5, gradient=gradient
        )
        expected = [(torch.tensor([[w]]), torch.tensor([2 * w])) for w in (0.0, 0.5, 0.75)]
        assert_close(heard, expected, what="the list of places", hint="Here the gradient leads to 1, and 2.")


@exercise("token_distribution")
class TestTokenDistribution:
    def test_temperature(self, student):
        """Probabilities of ⅕ and ⅘ are sharpened to 1/17 and 16/17 at temperature ½, and to 0 and 1 at 0."""
        logits = torch.tensor([[0.2, 0.8]]).log()
        for temperature, expected in ((1.0, [0.2, 0.8]), (0.5, [1 / 17, 16 / 17]), (0.0, [0.0, 1.0])):
            result = student.token_distribution(logits, temperature=temperature)
            assert_close(result, torch.tensor([expected]), what=f"the distribution at temperature {temperature}")

    def test_top_k(self, student):
        """The two likeliest of four tokens share everything, in their old proportion."""
        result = student.token_distribution(torch.tensor([[0.1, 0.6, 0.2, 0.1]]).log(), top_k=2)
        assert_close(result, torch.tensor([[0.0, 0.75, 0.25, 0.0]]), what="the distribution")

    @given(p=st.sampled_from([0.1, 0.45, 0.6, 0.75, 0.85, 0.95, 1.0]))
    def test_top_p(self, student, p):
        """It keeps the fewest tokens that together reach p, the one that reaches it included."""
        tokens = [0.1, 0.5, 0.2, 0.2 - 1e-3, 1e-3]
        ranked = sorted(tokens, reverse=True)
        count = next(k for k in range(1, 6) if sum(ranked[:k]) >= p - 1e-6)
        kept = torch.tensor([[t if t in ranked[:count] else 0.0 for t in tokens]])
        result = student.token_distribution(torch.tensor([tokens]).log(), top_p=p)
        assert_close(result, kept / kept.sum(), what=f"the distribution at p = {p}")

    @given(
        top_k=st.integers(-2, 0), top_p=st.sampled_from([-0.5, 0.0, 1.5]), temperature=st.sampled_from([-1.0, -0.01])
    )
    @settings(max_examples=3)
    def test_nonsense(self, student, top_k, top_p, temperature):
        """A negative temperature, no tokens at all, and no probability raise a ValueError."""
        for setting in ({"top_k": top_k}, {"top_p": top_p}, {"temperature": temperature}):
            with pytest.raises(ValueError):
                student.token_distribution(torch.zeros(1, 4), **setting)


@exercise("sample_token", contract=False)
class TestSampleToken:
    def test_end_to_end(self, student):
        """Of ¼, ½ and ¼, the draws 0.1, 0.3, 0.7 and 0.8 give tokens 0, 1, 1 and 2."""
        uniform = torch.tensor([0.1, 0.3, 0.7, 0.8])
        tokens = student.sample_token(torch.tensor([[0.25, 0.5, 0.25]]).log().repeat(4, 1), uniform)
        assert_close(tokens, torch.tensor([0, 1, 1, 2]), what="the tokens")

    @given(logits=tensors((3, 5)))
    def test_never_the_impossible(self, student, logits):
        """The draw 0 gives the first token that is possible, a draw just below 1 the last."""
        logits[:, 0] = logits[:, 4] = -torch.inf
        for draw, token in ((0.0, 1), (1 - 2**-24, 3)):
            tokens = student.sample_token(logits, torch.full((3,), draw))
            assert_close(tokens, torch.full((3,), token), what=f"the tokens drawn by {draw}")

    def test_asks_for_the_distribution(self, student):
        """The settings go to `distribution`, and what it answers is drawn from."""
        heard = {}

        def distribution(logits, **given):
            heard.update(given)
            return logits

        tokens = student.sample_token(
            torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
            torch.tensor([0.5, 0.5]),
            temperature=0.7,
            top_k=3,
            top_p=0.9,
            distribution=distribution,
        )
        assert_close(heard, {"temperature": 0.7, "top_k": 3, "top_p": 0.9}, what="what distribution heard")
        assert_close(tokens, torch.tensor([1, 0]), what="the tokens", hint="Here distribution is made up.")


def successor(ids):
    """A model that is sure of one thing: after token t comes t + 1."""
    return 9.0 * torch.nn.functional.one_hot((ids + 1) % 10, 10)


def surest(logits, uniform):
    """A stand-in for `sample_token` that takes the token with the highest score."""
    return logits.argmax(1)


@exercise("generate_text", contract=False)
class TestGenerateText:
    @given(start=st.integers(0, 9), new=st.integers(0, 5))
    def test_counts(self, student, start, new):
        """With a model that counts on, the text counts on, the prompt first."""
        result = student.generate_text(successor, torch.tensor([[7, start]]), torch.zeros(1, new), choose=surest)
        expected = torch.tensor([[7, start, *((start + 1 + i) % 10 for i in range(new))]])
        assert_close(result, expected, what="the text")

    def test_one_draw_for_each_token(self, student):
        """The i-th new token is chosen with column i of `uniform`, each row with its own draw."""
        uniform = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
        heard = []

        def choose(logits, uniform):
            heard.append(uniform)
            return logits.argmax(1)

        student.generate_text(successor, torch.tensor([[0], [0]]), uniform, choose=choose)
        assert_close(heard, list(uniform.T.contiguous()), what="the list of draws")

    def test_ends(self, student):
        """After a chosen `end` there is only `end`; in the prompt it ends nothing; all at their end, nobody is asked."""
        calls = []

        def model(ids):
            calls.append(ids.shape[1])
            return successor(ids)

        prompt = torch.tensor([[5, 3], [3, 5]])
        result = student.generate_text(model, prompt, torch.zeros(2, 6), choose=surest, end=5)
        expected = torch.tensor([[5, 3, 4, 5, 5, 5, 5, 5], [3, 5, 6, 7, 8, 9, 0, 1]])
        assert_close(result, expected, what="the texts")
        calls.clear()
        student.generate_text(model, prompt[:1], torch.zeros(1, 6), choose=surest, end=5)
        assert_close(len(calls), 2, what="the number of calls of the model")

    def test_window(self, student):
        """With context=3 the model is given the last three tokens, and never more."""
        heard = []

        def model(ids):
            heard.append(ids)
            return successor(ids)

        student.generate_text(model, torch.tensor([[0, 1]]), torch.zeros(1, 3), choose=surest, context=3)
        expected = [torch.tensor([ids]) for ids in ([0, 1], [0, 1, 2], [1, 2, 3])]
        assert_close(heard, expected, what="what the model was given")


def canvas(prompts, generators):
    """A stand-in for a pipeline: each image is noise, as bright as its prompt is long."""
    noise = [torch.rand(3, 2, 2, generator=generator) for generator in generators]
    return torch.stack([len(prompt) + image for prompt, image in zip(prompts, noise, strict=True)])


@exercise("generate_images", contract=False)
class TestGenerateImages:
    @given(batch_size=st.integers(1, 6))
    def test_batches_do_not_matter(self, student, batch_size):
        """Each image is that of its prompt and its seed, in the order of the prompts, whatever the batches."""
        prompts, seeds = ["a", "a cat", "a", "two cats", "a"], [4, 4, 7, 1, 4]
        images = student.generate_images(canvas, prompts, seeds, batch_size=batch_size)
        expected = torch.cat(
            [canvas([p], [torch.Generator().manual_seed(s)]) for p, s in zip(prompts, seeds, strict=True)]
        )
        assert_close(images, expected, what="the images")

    def test_full_batches(self, student):
        """Five prompts in batches of two are painted as two, two and one."""
        heard = []

        def pipeline(prompts, generators):
            heard.append((len(prompts), len(generators)))
            return canvas(prompts, generators)

        student.generate_images(pipeline, list("abcde"), range(5), batch_size=2)
        assert_close(heard, [(2, 2), (2, 2), (1, 1)], what="the batches")

    def test_a_seed_is_missing(self, student):
        """Without a seed for each prompt it is a ValueError."""
        with pytest.raises(ValueError):
            student.generate_images(canvas, ["a", "b"], [1])
