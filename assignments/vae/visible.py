# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import (
    assert_close,
    assert_depends,
    assert_finite,
    assert_shape,
    dimensions,
    exercise,
    fail,
    tensors,
)


class Flat(nn.Module):
    """A stand-in for an encoder: mu is a linear map of the data, logvar is −2 throughout."""

    def __init__(self, data: int, latent: int) -> None:
        super().__init__()
        self.mu = nn.Linear(data, latent)

    def forward(self, x):
        """Return the pair (mu, logvar)."""
        return self.mu(x), torch.full((len(x), self.mu.out_features), -2.0)


@exercise("Decoder")
class TestDecoder:
    @given(sizes=dimensions("batch latent hidden data"))
    def test_shape(self, student, sizes):
        """Codes (batch, latent_dim) become logits (batch, data_dim)."""
        decoder = student.Decoder(sizes["latent"], sizes["hidden"], sizes["data"])
        logits = decoder(torch.zeros(sizes["batch"], sizes["latent"]))
        assert_shape(logits, (sizes["batch"], sizes["data"]), what="the decoder's output")

    @given(z=tensors((4, 3)))
    def test_everything_takes_part(self, student, z):
        """The logits depend on the code, and the decoder has weights to train."""
        decoder = student.Decoder(3, 64, 5)
        z = (z + torch.randn(4, 3)).requires_grad_()
        assert_depends(decoder(z), z, what="the decoder's output", on_what="the code")
        if not list(decoder.parameters()):
            fail("The decoder has no parameters. Make the layers in __init__, as attributes of self.")

    def test_bends(self, student):
        """It is no straight line: there is a nonlinearity between the layers."""
        decoder = student.Decoder(2, 64, 8)
        end = 10 * torch.randn(1, 2)
        there, here, back = decoder(torch.cat([end, torch.zeros(1, 2), -end]))
        if torch.allclose(there + back, 2 * here, atol=1e-4):
            fail("Halfway between two codes the logits are exactly halfway: two linear layers in a row are one.")


@exercise("bernoulli_log_likelihood")
class TestBernoulliLogLikelihood:
    @given(x=dimensions("batch data").flatmap(lambda n: tensors((n["batch"], n["data"]), low=0, high=1)))
    def test_fair_coins(self, student, x):
        """Logits of 0 are fair coins: whatever the image, each pixel costs log 2 nats."""
        expected = torch.full((len(x),), -x.shape[1] * math.log(2))
        result = student.bernoulli_log_likelihood(torch.zeros_like(x), x)
        assert_close(result, expected, what="the log-likelihood", sizes={"batch": len(x), "data": x.shape[1]})

    @given(logits=tensors((3, 4)), x=tensors((3, 4), low=0, high=1))
    def test_negative(self, student, logits, x):
        """A photographic negative is as likely under logits of the opposite sign."""
        positive = student.bernoulli_log_likelihood(logits, x)
        assert_close(student.bernoulli_log_likelihood(-logits, 1 - x), positive, what="the log-likelihood")

    def test_certainty(self, student):
        """Certain and right costs nothing, certain and wrong costs the logit, with finite gradients both times."""
        logits = torch.tensor([[1e4, -1e4], [1e4, 1e4]], requires_grad=True)
        result = student.bernoulli_log_likelihood(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        assert_close(result, torch.tensor([0.0, -1e4]), what="the log-likelihood")
        result.sum().backward()
        assert_finite(logits.grad, what="the gradient with respect to the logits")


@exercise("Encoder")
class TestEncoder:
    @given(sizes=dimensions("batch data hidden latent"))
    def test_shapes(self, student, sizes):
        """Data (batch, data_dim) become the pair mu, logvar, each (batch, latent_dim)."""
        encoder = student.Encoder(sizes["data"], sizes["hidden"], sizes["latent"])
        pair = encoder(torch.zeros(sizes["batch"], sizes["data"]))
        if not isinstance(pair, tuple) or len(pair) != 2:
            fail(f"The encoder should return the pair (mu, logvar), but it returned a {type(pair).__name__}.")
        for part, what in zip(pair, ("mu", "logvar"), strict=True):
            assert_shape(part, (sizes["batch"], sizes["latent"]), what=what)

    @given(x=tensors((4, 6)))
    def test_two_answers(self, student, x):
        """Both mu and logvar depend on the image, and they are different answers."""
        encoder = student.Encoder(6, 64, 3)
        x = (x + torch.randn(4, 6)).requires_grad_()
        mu, logvar = encoder(x)
        assert_depends(mu, x, what="mu", on_what="the image")
        assert_depends(logvar, x, what="logvar", on_what="the image")
        if torch.allclose(mu, logvar):
            fail("mu and logvar are the same numbers: each needs a last layer of its own.")


@exercise("kl_divergence")
class TestKLDivergence:
    @given(sizes=dimensions("batch latent"))
    def test_silence_is_free(self, student, sizes):
        """At the prior, μ = 0 and σ = 1, the code costs nothing."""
        zeros = torch.zeros(sizes["batch"], sizes["latent"])
        assert_close(student.kl_divergence(zeros, zeros), zeros[:, 0], what="the divergence")

    @given(mu=tensors((3, 2)))
    def test_distance(self, student, mu):
        """At σ = 1 it costs half the squared distance from the origin."""
        result = student.kl_divergence(mu, torch.zeros_like(mu))
        assert_close(result, mu.square().sum(1) / 2, what="the divergence", sizes={"batch": 3, "latent": 2})

    @given(sizes=dimensions("batch latent"))
    def test_precision(self, student, sizes):
        """At μ = 0 and σ = 2 it costs 0.8069 nats for each latent dimension."""
        mu = torch.zeros(sizes["batch"], sizes["latent"])
        result = student.kl_divergence(mu, torch.full_like(mu, math.log(4)))
        expected = torch.full((sizes["batch"],), 0.8069 * sizes["latent"])
        assert_close(result, expected, tolerance=1e-3, what="the divergence", hint="logvar is log σ², here log 4.")


@exercise("reparameterize")
class TestReparameterize:
    @given(mu=tensors((3, 2)), logvar=tensors((3, 2)))
    def test_without_noise(self, student, mu, logvar):
        """Without noise the sample is the mean."""
        assert_close(student.reparameterize(mu, logvar, torch.zeros(3, 2)), mu, what="the sample")

    @given(mu=tensors((3, 2)), noise=tensors((3, 2)))
    def test_unit_variance(self, student, mu, noise):
        """At σ = 1 the noise is added as it is."""
        assert_close(student.reparameterize(mu, torch.zeros(3, 2), noise), mu + noise, what="the sample")

    @given(mu=tensors((3, 2)), logvar=tensors((3, 2)), noise=tensors((3, 2)))
    def test_four_times_the_variance(self, student, mu, logvar, noise):
        """Four times the variance takes the sample twice as far from the mean."""
        near = student.reparameterize(mu, logvar, noise) - mu
        far = student.reparameterize(mu, logvar + math.log(4), noise) - mu
        assert_close(far, 2 * near, tolerance=1e-4, what="the way from the mean to the sample")


@exercise("elbo")
class TestElbo:
    @given(x=tensors((3, 2), low=0, high=1), noise=tensors((3, 2)))
    def test_is_made_of_its_parts(self, student, x, noise):
        """It is what `log_likelihood` says of the decoded sample, less what `kl` says of mu and logvar."""
        result = student.elbo(
            x,
            lambda x: (x + 1, x + 2),
            lambda z: 10 * z,
            noise,
            sample=lambda mu, logvar, noise: mu + 2 * logvar + noise,
            kl=lambda mu, logvar: (mu - 3 * logvar).sum(1),
            log_likelihood=lambda logits, x: (logits - x).sum(1),
        )
        z = (x + 1) + 2 * (x + 2) + noise
        expected = (10 * z - x).sum(1) - ((x + 1) - 3 * (x + 2)).sum(1)
        assert_close(result, expected, tolerance=1e-4, what="the bound", hint="Here all three parts are made up.")

    @given(x=tensors((3, 4), low=0, high=1), noise=tensors((3, 2)))
    def test_reaches_the_encoder(self, student, x, noise):
        """Gradients flow through the decoder and the sample back to the encoder, even where the code is free."""
        mu = torch.zeros(3, 2, requires_grad=True)
        result = student.elbo(
            x,
            lambda x: (mu, torch.zeros(3, 2)),
            lambda z: z.repeat(1, 2),
            noise,
            sample=lambda mu, logvar, noise: mu + noise,
            kl=lambda mu, logvar: torch.zeros(len(mu)),
            log_likelihood=lambda logits, x: -(logits - x - 10).square().sum(1),
        )
        assert_depends(result, mu, what="the bound", on_what="the mean that the encoder gave")


@exercise("beta_vae_loss")
class TestBetaVaeLoss:
    @given(log_likelihood=tensors(3), kl=tensors(3, low=0))
    def test_without_beta(self, student, log_likelihood, kl):
        """Without β it is minus the ELBO, averaged over the batch."""
        bounds = [a - b for a, b in zip(log_likelihood.tolist(), kl.tolist(), strict=True)]
        result = student.beta_vae_loss(log_likelihood, kl)
        assert_shape(result, (), what="the loss")
        assert_close(result, -sum(bounds) / 3, what="the loss", sizes={"batch": 3})

    @given(log_likelihood=tensors(2), kl=tensors(2, low=0), beta=st.integers(0, 8))
    def test_each_unit_of_beta_costs_the_kl(self, student, log_likelihood, kl, beta):
        """Raising β by 1 raises the loss by the mean KL."""
        lower, higher = (student.beta_vae_loss(log_likelihood, kl, float(b)) for b in (beta, beta + 1))
        assert_close(higher - lower, sum(kl.tolist()) / 2, tolerance=1e-4, what="the rise of the loss")


@exercise("kl_weight")
class TestKLWeight:
    @given(half=st.integers(1, 50))
    def test_start_middle_end(self, student, half):
        """It is 0 at the start, ½ in the middle of the warm-up, 1 at its end and long after."""
        weights = [student.kl_weight(step, 2 * half) for step in (0, half, 2 * half, 100 * half)]
        assert_close(weights, [0.0, 0.5, 1.0, 1.0], what="the list of weights")

    @given(step=st.integers(0, 1000))
    def test_no_warm_up(self, student, step):
        """Without a warm-up it is 1 from the start."""
        assert_close(student.kl_weight(step, 0), 1.0, what="the weight")

    @given(step=st.integers(0, 9))
    def test_second_cycle(self, student, step):
        """With a period of 10 steps, the second ten are like the first."""
        first, second = (student.kl_weight(s, 4, period=10) for s in (step, step + 10))
        assert_close(second, first, what="the weight in the second cycle")


def train(student, seed: int, **options):
    """Train small networks on stripes, with stand-ins for the parts; returns what `train_vae` returns."""
    torch.manual_seed(0)
    encoder, decoder = Flat(4, 2), nn.Linear(2, 4)
    stripes = torch.eye(4).repeat(5, 1)
    parts = {
        "sample": lambda mu, logvar, noise: mu + noise / 4,
        "kl": lambda mu, logvar: mu.square().sum(1) / 100,
        "log_likelihood": lambda logits, x: -(logits - x).square().sum(1),
        "loss": lambda log_likelihood, kl, beta: -log_likelihood.mean(),
        "weight": lambda step, warmup: 1.0,
    }
    generator = torch.Generator().manual_seed(seed)
    return student.train_vae(encoder, decoder, stripes, generator=generator, **parts, **options)


@exercise("train_vae", contract=False)
class TestTrainVae:
    def test_learns(self, student):
        """Training raises the mean ELBO: the last epoch's is well above the first's."""
        history = train(student, 0, epochs=30, batch_size=5, learning_rate=0.02)
        if len(history) != 30:
            fail(f"30 epochs should give a list of 30 numbers, but it has {len(history)}.")
        if not history[-1] > history[0] + 0.3:
            fail(f"The mean ELBO was {history[0]:.2f} in the first epoch and {history[-1]:.2f} in the last.")

    @given(seed=st.integers(0, 100))
    @settings(max_examples=3)
    def test_can_be_repeated(self, student, seed):
        """Equal generators give equal trainings."""
        first, second = (train(student, seed, epochs=2, batch_size=8) for _ in range(2))
        assert_close(second, first, tolerance=0, what="what the second training returns")

    def test_reports_each_epoch(self, student):
        """After each epoch on_epoch hears its number, from 0, and its mean ELBO."""
        heard = []
        history = train(student, 0, epochs=3, batch_size=8, on_epoch=lambda *news: heard.append(news))
        assert_close(heard, list(enumerate(history)), what="what on_epoch heard")


@exercise("embed", contract=False)
class TestEmbed:
    @given(count=st.integers(1, 9), batch_size=st.integers(1, 4))
    def test_all_in_order(self, student, count, batch_size):
        """Every data point is there, in order, whatever the size of the batches."""
        x = torch.arange(2.0 * count).view(count, 2)
        codes = student.embed(lambda x: (10 * x, x), x, batch_size)
        assert_close(codes, 10 * x, what="the codes", sizes={"n": count, "batch_size": batch_size})

    def test_no_graph(self, student):
        """The codes carry no graph."""
        if student.embed(Flat(3, 2), torch.ones(5, 3)).requires_grad:
            fail("The codes require grad, though nothing will be trained with them.")


@exercise("interpolate_latents")
class TestInterpolateLatents:
    @given(start=tensors(3), end=tensors(3), steps=st.integers(2, 6))
    def test_ends(self, student, start, end, steps):
        """There are `steps` codes; the first is the start, the last is the end."""
        codes = student.interpolate_latents(start, end, steps)
        assert_shape(codes, (steps, 3), what="the result")
        assert_close(codes[[0, -1]], torch.stack([start, end]), what="the first and the last code")

    def test_five_codes(self, student):
        """Five codes from 0 to 8 are 0, 2, 4, 6, 8."""
        codes = student.interpolate_latents(torch.tensor([0.0]), torch.tensor([8.0]), 5)
        assert_close(codes, torch.tensor([[0.0], [2.0], [4.0], [6.0], [8.0]]), what="the codes")

    def test_one_step(self, student):
        """One code cannot be both ends: a ValueError."""
        with pytest.raises(ValueError):
            student.interpolate_latents(torch.zeros(2), torch.ones(2), 1)


@exercise("importance_weighted_bound")
class TestImportanceWeightedBound:
    @given(log_joint=tensors((1, 3)), log_q=tensors((1, 3)))
    def test_one_sample(self, student, log_joint, log_q):
        """With one sample it is log p(x, z) − log q(z|x)."""
        assert_close(student.importance_weighted_bound(log_joint, log_q), (log_joint - log_q)[0], what="the bound")

    @given(log_q=tensors((1, 3)), samples=st.integers(1, 5))
    def test_equal_weights(self, student, log_q, samples):
        """If p(x, z) is 7 times q(z|x) for every sample it is log 7, however many there are."""
        log_q = log_q.repeat(samples, 1)
        result = student.importance_weighted_bound(log_q + math.log(7), log_q)
        assert_close(result, torch.full((3,), math.log(7)), what="the bound", sizes={"samples": samples, "batch": 3})

    def test_mean_of_ratios(self, student):
        """Ratios p/q of 1 and 3 have the mean 2: it is log 2, also if both densities are e⁻⁵⁰⁰⁰ times as large."""
        log_joint = torch.tensor([[0.0, -5000.0], [math.log(3), -5000.0 + math.log(3)]])
        result = student.importance_weighted_bound(log_joint, torch.tensor([[0.0, -5000.0]]).repeat(2, 1))
        assert_close(result, torch.full((2,), math.log(2)), tolerance=1e-3, what="the bound")


@exercise("anomaly_score", contract=False)
class TestAnomalyScore:
    @given(x=tensors((3, 2)), noise=tensors((1, 3, 2)))
    def test_one_sample(self, student, x, noise):
        """With one sample it is minus the bound: high where the bound is low."""
        score = student.anomaly_score(x, lambda x, eps: (x + eps).sum(1), noise)
        assert_close(score, -(x + noise[0]).sum(1), what="the score")

    @given(x=tensors((2, 3)))
    def test_two_samples(self, student, x):
        """Two samples with bounds of −1 and −5 nats give a score of 3 nats."""
        noise = torch.stack([torch.full((2, 1), 1.0), torch.full((2, 1), 5.0)])
        score = student.anomaly_score(x, lambda x, eps: -eps[:, 0], noise)
        assert_close(score, torch.full((2,), 3.0), what="the score", sizes={"samples": 2, "batch": 2})


@exercise("word_dropout")
class TestWordDropout:
    def test_an_example(self, student):
        """At rate ½ the words with draws 0.1 and 0.4 are hidden, those with 0.5 and 0.9 are kept."""
        tokens = torch.tensor([[5, 6, 7, 8]])
        result = student.word_dropout(tokens, torch.tensor([[0.1, 0.4, 0.5, 0.9]]), 0.5, unknown=3)
        assert_close(result, torch.tensor([[3, 3, 7, 8]]), what="the result")

    @given(tokens=tensors((2, 5), dtype=torch.int64, low=0, high=6))
    def test_protected(self, student, tokens):
        """At rate 1 only protected words are left."""
        result = student.word_dropout(tokens, torch.zeros(2, 5), 1.0, unknown=9, protected=(0, 4))
        assert_close(result, torch.where((tokens == 0) | (tokens == 4), tokens, 9), what="the result")

    def test_leaves_its_input(self, student):
        """The tokens that came in are as they were: they are still to be predicted."""
        tokens = torch.tensor([[5, 6, 7, 8]])
        student.word_dropout(tokens, torch.zeros(1, 4), 1.0, unknown=3)
        assert_close(tokens, torch.tensor([[5, 6, 7, 8]]), what="the tensor that was passed in")


@exercise("text_elbo", contract=False)
class TestTextElbo:
    @given(length=st.integers(1, 5), vocab=st.integers(2, 6))
    def test_knowing_nothing(self, student, length, vocab):
        """If all words have the same score, each word of the sentence costs the logarithm of their number."""
        tokens = torch.ones(2, length, dtype=torch.int64)
        zeros = torch.zeros(2, 3)
        result = student.text_elbo(
            torch.full((2, length, vocab), 0.5), tokens, zeros, zeros, padding=0, kl=lambda mu, logvar: mu.sum(1)
        )
        expected = torch.full((2,), -length * math.log(vocab))
        assert_close(result, expected, what="the bound", sizes={"batch": 2, "length": length})

    @given(logits=tensors((2, 4, 5)), other=tensors((2, 4, 5)))
    def test_padding(self, student, logits, other):
        """Where padding stands the scores do not matter."""
        tokens = torch.tensor([[1, 3, 0, 0], [2, 4, 1, 0]])
        changed = torch.where((tokens == 0).unsqueeze(2), other, logits)
        first, second = (
            student.text_elbo(
                scores, tokens, torch.ones(2, 3), torch.zeros(2, 3), padding=0, kl=lambda mu, logvar: mu.sum(1)
            )
            for scores in (logits, changed)
        )
        assert_close(second, first, what="the bound with other scores at padding")

    def test_pays_for_the_code(self, student):
        """What `kl` says is taken off."""
        result = student.text_elbo(
            torch.zeros(1, 1, 2),
            torch.ones(1, 1, dtype=torch.int64),
            torch.tensor([[2.0, 3.0]]),
            torch.zeros(1, 2),
            padding=0,
            kl=lambda mu, logvar: mu.sum(1),
        )
        assert_close(result, torch.tensor([-5 - math.log(2)]), what="the bound", hint="Here kl is made up: mu.sum(1).")
