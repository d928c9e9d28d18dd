# ruff: noqa: D101
"""Hidden properties of `vae`."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from autograder.properties.distributions import (
    BernoulliModel,
    DiagonalGaussian,
    LinearGaussianModel,
    bernoulli_models,
    diagonal_gaussians,
    linear_gaussian_models,
    standard_normal_nodes,
)
from autograder.properties.networks import (
    ALTERNATING,
    CORNERS,
    Parallel,
    affine_encoder,
    assert_learns,
    assert_not_affine,
    assert_parameters_matter,
    assert_rows_apart,
    assert_spread,
    assert_state_is_complete,
    redraw,
)
from coursekit.data import load_digits
from coursekit.properties import (
    arguments,
    assert_between,
    assert_close,
    assert_depends,
    assert_independent,
    assert_shape,
    describe,
    exercise,
    fail,
    generators,
    required,
    sizes,
    tensors,
    weight,
)
from solutions import vae as reference

DIGITS = load_digits("bundled").train[:96]
# What a function that builds on earlier exercises is given, so that a mistake in those costs once.
PIECES: dict[str, Callable] = {
    "sample": reference.reparameterize,
    "kl": reference.kl_divergence,
    "log_likelihood": reference.bernoulli_log_likelihood,
}


def images(data: int, count: int = 2) -> st.SearchStrategy[Tensor]:
    """Black-and-white images (count, data)."""
    return tensors((count, data), dtype=torch.int64, low=0, high=1).map(Tensor.float)


def nonzero(tensor: Tensor) -> Tensor:
    """The same with 1 in place of 0, ready to be differentiated with respect to."""
    return tensor.masked_fill(tensor == 0, 1).requires_grad_()


# ---- the two networks


@exercise("Decoder", contract=False)
class TestDecoder:
    @given(batch=sizes(), latent=sizes(), data=sizes())
    @settings(max_examples=5)
    def test_shape(self, student: Any, batch: int, latent: int, data: int) -> None:
        """Codes (batch, latent_dim) become logits (batch, data_dim), whatever the three sizes are."""
        decoder = student.Decoder(latent, 8, data).eval()
        assert_shape(decoder(torch.zeros(batch, latent)), (batch, data), what="the decoder's output")

    @required
    @given(generator=generators())
    @settings(max_examples=3)
    def test_depends_on_code_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """The logits change with the code, and with the network's weights."""
        decoder = student.Decoder(2, 32, 6)
        redraw(decoder, generator)
        z = torch.randn(4, 2, generator=generator, requires_grad=True)
        logits = decoder.eval()(z)
        assert_depends(logits, z, what="the decoder's output", on_what="the code")
        assert_parameters_matter(logits, decoder, what="the decoder's output")

    @weight(3)
    def test_learns_what_no_affine_map_can(self, student: Any) -> None:
        """It can learn: Adam fits its logits at the corners of a rectangle to 3, −3, 3, −3, round and round."""
        assert_learns(
            lambda: student.Decoder(2, 32, 1),
            lambda decoder: (decoder(CORNERS) - ALTERNATING).square().mean() / 9,
            hint="a hidden layer needs a nonlinearity after it, and the last layer none: logits may be any real number.",
        )

    @given(generator=generators())
    @settings(max_examples=2)
    def test_any_real_number(self, student: Any, generator: torch.Generator) -> None:
        """Logits may be any real numbers: large weights give values above 1 and values below −1."""
        decoder = student.Decoder(3, 32, 32)
        redraw(decoder, generator)
        logits = decoder.eval()(torch.randn(16, 3, generator=generator))
        assert_spread(logits, what="a logit")

    @given(generator=generators())
    @settings(max_examples=2)
    def test_is_not_affine(self, student: Any, generator: torch.Generator) -> None:
        """It is no affine map: halfway between two codes the logits are not halfway."""
        decoder = student.Decoder(3, 32, 4)
        redraw(decoder, generator)
        assert_not_affine(decoder.eval(), *2 * torch.randn(2, 8, 3, generator=generator))

    @given(generator=generators())
    @settings(max_examples=2)
    def test_each_code_by_itself(self, student: Any, generator: torch.Generator) -> None:
        """Each code of a batch is decoded by itself, the others do not change it."""
        decoder = student.Decoder(2, 8, 3)
        redraw(decoder, generator)
        assert_rows_apart(decoder.eval(), torch.randn(4, 2, generator=generator), what="the decoder's output")

    @weight(4)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_all_weights_are_registered(self, student: Any, generator: torch.Generator) -> None:
        """Its state_dict holds all of it: a second decoder that loads it gives the same logits."""
        first, second = student.Decoder(2, 8, 3), student.Decoder(2, 8, 3)
        z = torch.randn(4, 2, generator=generator)
        assert_state_is_complete(first, second, lambda decoder: decoder(z))


@exercise("Encoder", contract=False)
class TestEncoder:
    @given(batch=sizes(), data=sizes(), latent=sizes())
    @settings(max_examples=5)
    def test_shapes(self, student: Any, batch: int, data: int, latent: int) -> None:
        """Data (batch, data_dim) become a pair, mu and logvar, each (batch, latent_dim), whatever the three sizes are."""
        mu, logvar = encode(student.Encoder(data, 8, latent).eval(), torch.zeros(batch, data))
        assert_shape(mu, (batch, latent), what="mu")
        assert_shape(logvar, (batch, latent), what="logvar")

    @required
    @given(generator=generators())
    @settings(max_examples=3)
    def test_mu_depends_on_image_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """mu changes with the image, and with the network's weights."""
        encoder = student.Encoder(6, 32, 2)
        redraw(encoder, generator)
        x = torch.randn(4, 6, generator=generator, requires_grad=True)
        mu, _ = encode(encoder.eval(), x)
        assert_depends(mu, x, what="mu", on_what="the image")
        assert_parameters_matter(mu, encoder, what="mu")

    @given(generator=generators())
    @settings(max_examples=3)
    def test_logvar_depends_on_image_and_weights(self, student: Any, generator: torch.Generator) -> None:
        """logvar changes with the image and with the network's weights, and it is not mu again."""
        encoder = student.Encoder(6, 32, 2)
        redraw(encoder, generator)
        x = torch.randn(4, 6, generator=generator, requires_grad=True)
        mu, logvar = encode(encoder.eval(), x)
        assert_depends(logvar, x, what="logvar", on_what="the image")
        assert_parameters_matter(logvar, encoder, what="logvar")
        if (mu - logvar).abs().max() < 1e-3:
            fail("mu and logvar are the same numbers. Each needs a last layer of its own.")

    @weight(3)
    def test_learns_what_no_affine_map_can(self, student: Any) -> None:
        """It can learn: Adam fits mu at the corners of a rectangle to 3, −3, 3, −3, round and round, logvar to the opposite."""

        def loss(encoder: nn.Module) -> Tensor:
            mu, logvar = encode(encoder, CORNERS)
            return ((mu - ALTERNATING).square().mean() + (logvar + ALTERNATING).square().mean()) / 18

        assert_learns(
            lambda: student.Encoder(2, 32, 1),
            loss,
            hint="a hidden layer needs a nonlinearity after it; mu and logvar need a last layer each, with none after it.",
        )

    @given(generator=generators())
    @settings(max_examples=2)
    def test_any_real_number(self, student: Any, generator: torch.Generator) -> None:
        """mu and logvar may be any real numbers: large weights give values above 1 and values below −1."""
        encoder = student.Encoder(3, 32, 32)
        redraw(encoder, generator)
        mu, logvar = encode(encoder.eval(), torch.randn(16, 3, generator=generator))
        assert_spread(mu, what="a mean")
        assert_spread(logvar, what="a log-variance")

    @given(generator=generators())
    @settings(max_examples=2)
    def test_is_not_affine(self, student: Any, generator: torch.Generator) -> None:
        """It is no affine map: halfway between two images mu and logvar are not halfway."""
        encoder = student.Encoder(3, 32, 4)
        redraw(encoder, generator)
        encoder.eval()
        points = 2 * torch.randn(2, 8, 3, generator=generator)
        assert_not_affine(lambda x: torch.cat(encode(encoder, x), dim=1), *points)

    @given(generator=generators())
    @settings(max_examples=2)
    def test_each_image_by_itself(self, student: Any, generator: torch.Generator) -> None:
        """Each image of a batch is encoded by itself, the others do not change its code."""
        encoder = student.Encoder(3, 8, 2)
        redraw(encoder, generator)
        encoder.eval()
        x = torch.randn(4, 3, generator=generator)
        assert_rows_apart(lambda x: torch.cat(encode(encoder, x), dim=1), x, what="the pair (mu, logvar)")

    @weight(4)
    @given(generator=generators())
    @settings(max_examples=2)
    def test_all_weights_are_registered(self, student: Any, generator: torch.Generator) -> None:
        """Its state_dict holds all of it: a second encoder that loads it gives the same codes."""
        first, second = student.Encoder(3, 8, 2), student.Encoder(3, 8, 2)
        x = torch.randn(4, 3, generator=generator)
        assert_state_is_complete(first, second, lambda encoder: torch.cat(encode(encoder, x), dim=1))


def encode(encoder: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The pair that an encoder returns; fails if it is none."""
    pair = encoder(x)
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
        fail(f"The encoder should return the pair (mu, logvar), but it returned {describe(pair)}.")
    return pair[0], pair[1]


# ---- the pieces of the bound


@exercise(
    "bernoulli_log_likelihood",
    contract=arguments(
        reference.bernoulli_log_likelihood, x=lambda dims: tensors((dims["batch"], dims["data"]), low=0, high=1)
    ),
)
class TestBernoulliLogLikelihood:
    @required
    @given(x=sizes().flatmap(images), confidence=st.sampled_from([0.5, 1.0, 2.0]))
    @settings(max_examples=8)
    def test_prefers_the_image_that_is_there(self, student: Any, x: Tensor, confidence: float) -> None:
        """Logits that point at the image are likelier than logits that point away, and gradients show the way there."""
        towards = (confidence * (2 * x - 1)).requires_grad_()
        likely, unlikely = (student.bernoulli_log_likelihood(logits, x) for logits in (towards, -towards.detach()))
        assert_depends(likely, towards, what="the log-likelihood", on_what="the logits")
        (gradient,) = torch.autograd.grad(likely.sum(), towards)
        assert_between(
            gradient * (2 * x - 1), 0, what="the gradient of the log-likelihood in the direction of the image"
        )
        if not likely.sum() > unlikely.sum():
            fail(f"Logits that point away from x get {describe(unlikely)}, those that point at it {describe(likely)}.")

    @given(logits=sizes(1, 4).flatmap(tensors))
    @settings(max_examples=6)
    def test_probabilities_of_all_images_add_up_to_one(self, student: Any, logits: Tensor) -> None:
        """The probabilities of all 2ⁿ black-and-white images of n pixels add up to 1."""
        x = all_sequences(2, len(logits)).float()
        log_p = student.bernoulli_log_likelihood(logits.expand_as(x), x)
        assert_shape(log_p, (len(x),), what="the log-likelihood")
        assert_close(
            log_p.exp().sum(), 1.0, tolerance=1e-4, what="the sum of all probabilities", sizes={"data": len(logits)}
        )

    @weight(2)
    @given(logits=tensors((2, 5), low=-6, high=6), x=images(5))
    @settings(max_examples=8)
    def test_equals_torchs_bernoulli(self, student: Any, logits: Tensor, x: Tensor) -> None:
        """For black-and-white images it is the log-probability of torch.distributions.Bernoulli, summed over pixels."""
        expected = Bernoulli(logits=logits).log_prob(x).sum(1)
        received = student.bernoulli_log_likelihood(logits, x)
        assert_close(received, expected, tolerance=1e-4, what="the log-likelihood", sizes={"batch": 2, "data": 5})

    @given(logits=tensors((1, 3)), x=tensors((1, 3), low=0, high=1))
    @settings(max_examples=6)
    def test_grey_pixels_are_coins(self, student: Any, logits: Tensor, x: Tensor) -> None:
        """A grey image gets the expectation over black-and-white ones, each pixel on with the probability that x says."""
        coins = all_sequences(2, 3).float()
        chances = Bernoulli(probs=x).log_prob(coins).sum(1).exp()
        both = student.bernoulli_log_likelihood(logits.expand(9, 3), torch.cat([x, coins]))
        assert_shape(both, (9,), what="the log-likelihood")
        assert_close(both[0], chances @ both[1:], tolerance=1e-4, what="the log-likelihood of a grey image")

    @weight(4)
    @given(sign=tensors((3, 2), dtype=torch.int64, low=0, high=1), x=images(2, 3), size=st.sampled_from([200.0, 1e4]))
    @settings(max_examples=8)
    def test_survives_large_logits(self, student: Any, sign: Tensor, x: Tensor, size: float) -> None:
        """At logits of ±200 and ±10⁴ each wrong pixel costs that many nats, each right one nothing; gradients stay finite."""
        logits = (size * (2.0 * sign - 1)).requires_grad_()
        log_p = student.bernoulli_log_likelihood(logits, x)
        assert_close(log_p, -size * (sign != x).sum(1).float(), what="the log-likelihood", sizes={"data": 2})
        (gradient,) = torch.autograd.grad(log_p.sum(), logits)
        assert_close(gradient, x - sign, what="the gradient with respect to the logits")

    @given(logits=tensors((3, 2)), x=images(2, 3))
    @settings(max_examples=4)
    def test_each_data_point_by_itself(self, student: Any, logits: Tensor, x: Tensor) -> None:
        """Each data point of a batch gets its own value, the others do not change it."""
        assert_rows_apart(student.bernoulli_log_likelihood, logits, x, what="the log-likelihood")


@exercise("kl_divergence")
class TestKLDivergence:
    @required
    @given(q=diagonal_gaussians())
    @settings(max_examples=8)
    def test_is_zero_at_the_prior_and_grows_away_from_it(self, student: Any, q: DiagonalGaussian) -> None:
        """At the prior it is 0; at unit variance it is positive elsewhere, and grows as the means move away from 0."""
        mu, zero = nonzero(q.mu), torch.zeros_like(q.mu)
        kl = student.kl_divergence(mu, zero)
        assert_depends(kl, mu, what="the divergence", on_what="mu")
        (gradient,) = torch.autograd.grad(kl.sum(), mu)
        assert_between(gradient * mu.sign(), 0, what="the gradient of the divergence in the direction away from 0")
        assert_close(student.kl_divergence(zero, zero).sum(), 0.0, what="the divergence at the prior")
        assert_between(kl.sum(), 1e-3, tolerance=0, what="the divergence at means other than 0")

    @weight(3)
    @given(q=diagonal_gaussians())
    @settings(max_examples=15)
    def test_equals_the_integral(self, student: Any, q: DiagonalGaussian) -> None:
        """It is the integral of q(z) (log q(z) − log p(z)), here by quadrature."""
        expected = q.kl_by_quadrature()
        received = student.kl_divergence(q.mu, q.logvar)
        assert_close(received, expected, tolerance=1e-4, what="the divergence", sizes=q.sizes)

    @given(q=diagonal_gaussians(latent=sizes(2, 4)))
    @settings(max_examples=5)
    def test_adds_up_over_dimensions(self, student: Any, q: DiagonalGaussian) -> None:
        """Latent dimensions are independent, so their divergences add up."""
        whole = student.kl_divergence(q.mu, q.logvar)
        columns = zip(q.mu.split(1, dim=1), q.logvar.split(1, dim=1), strict=True)
        parts = sum(student.kl_divergence(mu, logvar) for mu, logvar in columns)
        assert_close(whole, parts, tolerance=1e-4, what="the divergence", sizes=q.sizes)

    @given(q=diagonal_gaussians())
    @settings(max_examples=6)
    def test_gradients(self, student: Any, q: DiagonalGaussian) -> None:
        """Its gradient is μ with respect to mu, and (σ² − 1)/2 with respect to logvar."""
        mu, logvar = q.mu.clone().requires_grad_(), q.logvar.clone().requires_grad_()
        kl = student.kl_divergence(mu, logvar)
        by_mu, by_logvar = torch.autograd.grad(kl.sum(), (mu, logvar), allow_unused=True, materialize_grads=True)
        assert_close(by_mu, q.mu, tolerance=1e-4, what="the gradient with respect to mu", sizes=q.sizes)
        expected = ((q.normal.variance - 1) / 2).to(mu.dtype)
        assert_close(by_logvar, expected, tolerance=1e-4, what="the gradient with respect to logvar", sizes=q.sizes)

    @given(q=diagonal_gaussians(batch=st.just(3)))
    @settings(max_examples=4)
    def test_each_data_point_by_itself(self, student: Any, q: DiagonalGaussian) -> None:
        """Each data point of a batch gets its own value, the others do not change it."""
        assert_rows_apart(student.kl_divergence, q.mu, q.logvar, what="the divergence")


@exercise("reparameterize")
class TestReparameterize:
    @required
    @given(q=diagonal_gaussians())
    @settings(max_examples=8)
    def test_noise_moves_the_samples_away_from_the_means(self, student: Any, q: DiagonalGaussian) -> None:
        """Without noise the samples are the means, with noise they are not, and gradients flow back through them."""
        mu, logvar = q.mu.clone().requires_grad_(), nonzero(q.logvar.clone())
        still = student.reparameterize(mu, logvar, torch.zeros_like(q.mu))
        assert_close(still, q.mu, what="the sample at noise 0")
        moved = student.reparameterize(mu, logvar, torch.ones_like(q.mu))
        assert_between(
            (moved - q.mu).abs(), 1e-3, tolerance=0, what="the distance of the sample at noise 1 from the mean"
        )
        if not moved.requires_grad:
            fail("No gradient flows back through the samples: they are cut off from mu and logvar.")

    @weight(2)
    @given(q=diagonal_gaussians(batch=st.just(1), latent=sizes(1, 3)))
    @settings(max_examples=6)
    def test_mean_and_variance(self, student: Any, q: DiagonalGaussian) -> None:
        """Over standard normal noise the samples have the mean mu and the variance exp(logvar), here by quadrature."""
        nodes, weights = standard_normal_nodes()
        shape = (len(nodes), q.mu.shape[1])
        z = student.reparameterize(q.mu.expand(shape), q.logvar.expand(shape), nodes[:, None].float().expand(shape))
        assert_shape(z, shape, what="the sample")
        z = z.double()
        mean = weights @ z
        assert_close(mean, q.normal.mean[0], tolerance=1e-4, what="the mean of the samples")
        assert_close(
            weights @ (z - mean).square(), q.normal.variance[0], tolerance=1e-3, what="the variance of the samples"
        )

    @given(q=diagonal_gaussians(), generator=generators())
    @settings(max_examples=6)
    def test_keeps_the_quantile(self, student: Any, q: DiagonalGaussian, generator: torch.Generator) -> None:
        """Noise at some quantile of N(0, 1) becomes a sample at the same quantile of N(mu, exp(logvar))."""
        noise = torch.randn(q.mu.shape, generator=generator)
        z = student.reparameterize(q.mu, q.logvar, noise)
        assert_shape(z, tuple(q.mu.shape), what="the sample")
        assert_close(
            q.normal.cdf(z.double()),
            Normal(0.0, 1.0).cdf(noise.double()),
            tolerance=1e-4,
            what="the quantile of the sample",
        )

    @weight(3)
    @given(q=diagonal_gaussians(), generator=generators())
    @settings(max_examples=6)
    def test_gradients(self, student: Any, q: DiagonalGaussian, generator: torch.Generator) -> None:
        """The gradient of a sample is 1 with respect to its mean, and ½σε with respect to its log-variance."""
        mu, logvar = q.mu.clone().requires_grad_(), q.logvar.clone().requires_grad_()
        noise = torch.randn(q.mu.shape, generator=generator)
        z = student.reparameterize(mu, logvar, noise)
        assert_depends(z, mu, what="the sample", on_what="mu")
        by_mu, by_logvar = torch.autograd.grad(z.sum(), (mu, logvar), allow_unused=True, materialize_grads=True)
        assert_close(by_mu, torch.ones_like(mu), what="the gradient with respect to mu")
        expected = (q.normal.stddev * noise / 2).to(mu.dtype)
        assert_close(by_logvar, expected, tolerance=1e-4, what="the gradient with respect to logvar")

    @given(q=diagonal_gaussians(batch=sizes(1, 3), latent=sizes(1, 3)), generator=generators())
    @settings(max_examples=5)
    def test_each_number_has_its_own_noise(self, student: Any, q: DiagonalGaussian, generator: torch.Generator) -> None:
        """Each number of a sample moves with its own number of the noise, by one standard deviation, and with no other."""
        noise = torch.randn(q.mu.shape, generator=generator, requires_grad=True)
        z = student.reparameterize(q.mu, q.logvar, noise)
        assert_shape(z, tuple(q.mu.shape), what="the sample")
        assert_depends(z, noise, what="the sample", on_what="the noise")
        (gradient,) = torch.autograd.grad(z[-1, -1], noise)
        expected = torch.zeros_like(q.mu)
        expected[-1, -1] = q.normal.stddev[-1, -1]
        assert_close(gradient, expected, tolerance=1e-4, what="how the last number moves with the noise")


# ---- the bound


@st.composite
def elbo_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `elbo`, with linear networks that work in the dtype of their input."""
    batch, data, latent = (draw(sizes(1, 4)) for _ in range(3))
    to_mu, to_logvar, to_logits = (draw(tensors((data, latent), low=-1, high=1)) for _ in range(3))

    def encoder(x: Tensor) -> tuple[Tensor, Tensor]:
        return x @ to_mu.to(x.dtype), x @ to_logvar.to(x.dtype)

    def decoder(z: Tensor) -> Tensor:
        return z @ to_logits.T.to(z.dtype)

    x, noise = draw(tensors((batch, data), low=0, high=1)), draw(tensors((batch, latent)))
    return (x, encoder, decoder, noise), dict(PIECES)


@exercise("elbo", contract=elbo_calls())
class TestElbo:
    @required
    @given(x=images(4, 3), generator=generators())
    @settings(max_examples=5)
    def test_rewards_a_decoder_that_is_right(self, student: Any, x: Tensor, generator: torch.Generator) -> None:
        """A decoder that predicts the image earns a higher bound than one that predicts its negative, and can learn it."""
        encoder, noise = affine_encoder(4, 1, generator), torch.randn(3, 1, generator=generator)
        decoder = nn.Linear(1, 4)
        x = x[:1].expand(3, 4)
        bounds = []
        for direction in (1, -1):
            with torch.no_grad():
                decoder.weight.zero_()
                decoder.bias.copy_(direction * (2 * x[0] - 1))
            bounds.append(student.elbo(x, encoder, decoder, noise, **PIECES))
        assert_depends(bounds[1], decoder.bias, what="the bound", on_what="the decoder's weights")
        if not bounds[0].sum() > bounds[1].sum():
            fail(f"The right decoder gets {describe(bounds[0])}, the wrong one {describe(bounds[1])}.")

    @weight(3)
    @given(model=bernoulli_models(st.just(4)), x=images(4), generator=generators())
    @settings(max_examples=4)
    def test_equals_the_integral(
        self, student: Any, model: BernoulliModel, x: Tensor, generator: torch.Generator
    ) -> None:
        """Averaged over the noise it is the integral of q(z) (log p(x, z) − log q(z)), which is log p(x) − KL(q ‖ p(z|x))."""
        encoder = affine_encoder(4, 1, generator)
        with torch.no_grad():
            expected = model.bound(x, *encoder(x)).float()
            received = mean_elbo(student, x, encoder, decoder_of(model))
        assert_close(received, expected, tolerance=1e-3, what="the mean of the bound over the noise")

    @weight(4)
    @given(model=bernoulli_models(st.just(4)), x=images(4), generator=generators())
    @settings(max_examples=3)
    def test_gradients_reach_the_encoder(
        self, student: Any, model: BernoulliModel, x: Tensor, generator: torch.Generator
    ) -> None:
        """Its gradient for the encoder's weights is that of the integral: it flows through the sample and through the KL."""
        encoder = affine_encoder(4, 1, generator)
        expected = torch.autograd.grad(model.bound(x, *encoder(x)).sum(), list(encoder.parameters()))
        bound = mean_elbo(student, x, encoder, decoder_of(model)).sum()
        if not bound.requires_grad:
            fail("No gradient flows back from the bound to the encoder.")
        received = torch.autograd.grad(bound, list(encoder.parameters()), allow_unused=True, materialize_grads=True)
        names = ("mu's weights", "mu's bias", "logvar's weights", "logvar's bias")
        for name, got, wanted in zip(names, received, expected, strict=True):
            assert_close(got, wanted, tolerance=1e-3, what=f"the gradient with respect to {name}")

    @given(model=linear_gaussian_models(), generator=generators())
    @settings(max_examples=3)
    def test_is_tight_at_the_true_posterior(
        self, student: Any, model: LinearGaussianModel, generator: torch.Generator
    ) -> None:
        """In a linear-Gaussian model its mean is log p(x) at the true posterior, and KL(q ‖ p(z|x)) less elsewhere."""
        x = torch.randn(2, len(model.weight), generator=generator)
        posterior, other = model.encoder(), affine_encoder(len(model.weight), 1, generator)
        pieces = PIECES | {"log_likelihood": model.log_likelihood}
        with torch.no_grad():
            log_p = model.log_evidence(x)
            tight = mean_elbo(student, x, posterior, decoder_of(model), pieces)
            assert_close(tight, log_p, tolerance=1e-3, what="the mean bound at the true posterior")
            (p_mu, p_logvar), (q_mu, q_logvar) = posterior(x), other(x)
            gap = kl_divergence(Normal(q_mu, (q_logvar / 2).exp()), Normal(p_mu, (p_logvar / 2).exp()))
            loose = mean_elbo(student, x, other, decoder_of(model), pieces)
        assert_close(loose, log_p - gap[:, 0], tolerance=1e-3, what="the mean bound at another q")

    @given(generator=generators())
    @settings(max_examples=3)
    def test_each_data_point_by_itself(self, student: Any, generator: torch.Generator) -> None:
        """Each data point of a batch gets its own value, the others do not change it."""
        encoder, decoder = affine_encoder(4, 2, generator), nn.Linear(2, 4)
        x, noise = torch.rand(3, 4, generator=generator), torch.randn(3, 2, generator=generator)

        def bound(x: Tensor, noise: Tensor) -> Tensor:
            return student.elbo(x, encoder, decoder, noise, **PIECES)

        assert_rows_apart(bound, x, noise, what="the bound")


def decoder_of(model: BernoulliModel | LinearGaussianModel) -> nn.Linear:
    """The decoder of a toy model as a layer."""
    decoder = nn.Linear(1, len(model.weight))
    with torch.no_grad():
        decoder.weight.copy_(model.weight[:, None])
        decoder.bias.copy_(model.bias)
    return decoder


def mean_elbo(
    student: Any, x: Tensor, encoder: nn.Module, decoder: nn.Module, pieces: dict[str, Callable] | None = None
) -> Tensor:
    """The student's bound of each row of `x` for one latent dimension, averaged over standard normal noise by quadrature."""
    nodes, weights = standard_normal_nodes()
    noise = nodes.float().repeat_interleave(len(x)).unsqueeze(1)
    bounds = student.elbo(x.repeat(len(nodes), 1), encoder, decoder, noise, **(pieces or PIECES))
    assert_shape(bounds, (len(noise),), what="the bound")
    return weights.float() @ bounds.view(len(nodes), len(x))


@exercise("beta_vae_loss")
class TestBetaVaeLoss:
    @required
    @given(
        log_likelihood=tensors(3, low=-9, high=0), kl=tensors(3, low=0, high=9), beta=st.sampled_from([0.5, 1.0, 4.0])
    )
    @settings(max_examples=6)
    def test_falls_with_the_likelihood_and_rises_with_kl(
        self, student: Any, log_likelihood: Tensor, kl: Tensor, beta: float
    ) -> None:
        """It is lower the likelier the data are, and higher the larger the KL divergence is."""
        log_likelihood.requires_grad_(), kl.requires_grad_()
        loss = student.beta_vae_loss(log_likelihood, kl, beta)
        assert_depends(loss, log_likelihood, what="the loss", on_what="the log-likelihood")
        assert_depends(loss, kl, what="the loss", on_what="the KL divergence")
        by_likelihood, by_kl = torch.autograd.grad(loss.sum(), (log_likelihood, kl))
        hint = "the loss is minimised, so the likelihood has to lower it and the KL divergence to raise it."
        assert_between(by_likelihood, None, 0, what="the gradient with respect to the log-likelihood", hint=hint)
        assert_between(by_kl, 0, None, what="the gradient with respect to the KL divergence", hint=hint)

    @weight(3)
    @given(
        pairs=st.lists(st.tuples(st.integers(-80, 0), st.integers(0, 80)), min_size=1, max_size=6),
        beta=st.integers(0, 32),
    )
    @settings(max_examples=12)
    def test_is_the_mean_price(self, student: Any, pairs: list[tuple[int, int]], beta: int) -> None:
        """It is the mean over the batch of −log p(x|z) + β KL, here computed by hand."""
        log_likelihood, kl = torch.tensor(pairs).div(8).unbind(1)
        expected = math.fsum(-p / 8 + beta / 8 * price / 8 for p, price in pairs) / len(pairs)
        loss = student.beta_vae_loss(log_likelihood, kl, beta / 8)
        assert_close(loss, torch.tensor(expected), what="the loss", sizes={"batch": len(pairs)})

    @given(log_likelihood=tensors(4, low=-9, high=0), kl=tensors(4, low=0, high=9))
    @settings(max_examples=5)
    def test_beta_is_one_by_default(self, student: Any, log_likelihood: Tensor, kl: Tensor) -> None:
        """Without β it is minus the mean ELBO."""
        assert_close(student.beta_vae_loss(log_likelihood, kl), -(log_likelihood - kl).mean(), what="the loss")

    @given(beta=st.sampled_from([0.0, 0.25, 1.0, 4.0]), batch=sizes())
    @settings(max_examples=6)
    def test_gradients(self, student: Any, beta: float, batch: int) -> None:
        """In a batch of B its gradient is −1/B for each log-likelihood, and β/B for each KL divergence."""
        log_likelihood, kl = torch.zeros(batch, requires_grad=True), torch.zeros(batch, requires_grad=True)
        loss = student.beta_vae_loss(log_likelihood, kl, beta)
        assert_depends(loss, log_likelihood, what="the loss", on_what="the log-likelihood")
        gradients = torch.autograd.grad(loss.sum(), (log_likelihood, kl), allow_unused=True, materialize_grads=True)
        assert_close(gradients[0], torch.full((batch,), -1 / batch), what="the gradient for the log-likelihood")
        assert_close(gradients[1], torch.full((batch,), beta / batch), what="the gradient for the KL divergence")

    @given(
        log_likelihood=tensors(3, low=-9, high=0), kl=tensors(3, low=0, high=9), beta=st.sampled_from([0.0, 0.5, 2.0])
    )
    @settings(max_examples=4)
    def test_batch_given_twice(self, student: Any, log_likelihood: Tensor, kl: Tensor, beta: float) -> None:
        """A batch given twice has the same loss as given once, in whatever order."""
        once = student.beta_vae_loss(log_likelihood, kl, beta)
        twice = student.beta_vae_loss(log_likelihood.repeat(2).flip(0), kl.repeat(2).flip(0), beta)
        assert_close(twice, once, what="the loss of the doubled batch", sizes={"batch": 3})


@exercise("kl_weight", contract=arguments(reference.kl_weight, step=st.integers(0, 20), warmup=st.integers(0, 10)))
class TestKLWeight:
    @required
    @given(warmup=st.integers(1, 50))
    @settings(max_examples=6)
    def test_starts_at_zero_and_reaches_one(self, student: Any, warmup: int) -> None:
        """It is 0 at the first step, and 1 when the warm-up is over."""
        assert_close(student.kl_weight(0, warmup), 0.0, what="the weight at step 0")
        assert_close(student.kl_weight(warmup, warmup), 1.0, what=f"the weight at step {warmup}")

    @weight(4)
    @given(warmup=st.integers(2, 12))
    @settings(max_examples=6)
    def test_climbs_in_equal_steps_and_stays(self, student: Any, warmup: int) -> None:
        """Every step of the warm-up raises it by the same amount, and after it nothing does."""
        weights = [student.kl_weight(step, warmup) for step in range(2 * warmup + 1)]
        rises = [after - before for before, after in itertools.pairwise(weights)]
        assert_close(rises, [1 / warmup] * warmup + [0.0] * warmup, what="the rise from step to step")

    @given(step=st.integers(0, 10**6), warmup=st.integers(1, 1000))
    @settings(max_examples=15)
    def test_never_leaves_its_range(self, student: Any, step: int, warmup: int) -> None:
        """It is never below 0, never above 1, and exactly 1 from the end of the warm-up on."""
        value = student.kl_weight(step, warmup)
        assert_between(value, 1 if step >= warmup else 0, 1, tolerance=1e-9, what="the weight")

    @given(step=st.integers(0, 100), period=st.none() | st.integers(1, 10))
    @settings(max_examples=8)
    def test_no_warmup(self, student: Any, step: int, period: int | None) -> None:
        """A warm-up of 0 steps means the full weight from the start."""
        assert_close(student.kl_weight(step, 0, period=period), 1.0, what="the weight")

    @weight(4)
    @given(warmup=st.integers(1, 8), extra=st.integers(-3, 8), cycle=st.integers(1, 4))
    @settings(max_examples=6)
    def test_starts_again_with_every_period(self, student: Any, warmup: int, extra: int, cycle: int) -> None:
        """With a period, each cycle is the first cycle again, even one that ends before the climb does."""
        period = max(1, warmup + extra)
        for step in range(period):
            once = student.kl_weight(step, warmup)
            again = student.kl_weight(step + cycle * period, warmup, period=period)
            assert_close(again, once, what=f"the weight at step {step + cycle * period} with period={period}")


# ---- training


class Recorder:
    """The pieces that `train_vae` is given, each taking notes: what came in each step, and what went out."""

    def __init__(self, **pieces: Callable) -> None:
        self.pieces: dict[str, Callable] = {
            **PIECES,
            "loss": reference.beta_vae_loss,
            "weight": reference.kl_weight,
            **pieces,
        }
        self.images: list[Tensor] = []
        self.noise: list[Tensor] = []
        self.betas: list[float] = []
        self.epochs: list[tuple[int, float]] = []
        self._x = self._noise = torch.zeros(0)

    def sample(self, mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
        """Called like `reparameterize`."""
        self._noise = noise.detach().clone()
        return self.pieces["sample"](mu, logvar, noise)

    def log_likelihood(self, logits: Tensor, x: Tensor) -> Tensor:
        """Called like `bernoulli_log_likelihood`."""
        self._x = x.detach().clone()
        return self.pieces["log_likelihood"](logits, x)

    def loss(self, log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
        """Called like `beta_vae_loss`, once in each step."""
        self.images.append(self._x)
        self.noise.append(self._noise)
        self.betas.append(float(beta))
        return self.pieces["loss"](log_likelihood, kl, beta)

    def train(
        self, student: Any, encoder: nn.Module, decoder: nn.Module, data: Tensor, seed: int, **options: Any
    ) -> Any:
        """Call the student's `train_vae`; its history."""
        encoder.in_place = decoder.in_place = True  # type: ignore[assignment]  # what it trains here, we want trained
        history = student.train_vae(
            encoder, decoder, data,
            generator=torch.Generator().manual_seed(seed),
            sample=self.sample, kl=self.pieces["kl"], log_likelihood=self.log_likelihood,
            loss=self.loss, weight=self.pieces["weight"],
            **{"on_epoch": lambda epoch, bound: self.epochs.append((epoch, bound)), **options},
        )  # fmt: skip
        if not self.betas:
            fail("The function that is passed as loss= was never called: a step minimises what it returns.")
        if not self.images[0].numel():
            fail("The function that is passed as log_likelihood= was never called before the loss.")
        if not self.noise[0].numel():
            fail("The function that is passed as sample= was never called before the loss.")
        return history


def small_networks(generator: torch.Generator, data: int = 5, latent: int = 2) -> tuple[Parallel, nn.Sequential]:
    """An encoder and a decoder, ready to be trained."""
    encoder = affine_encoder(data, latent, generator)
    decoder = nn.Sequential(nn.Linear(latent, 4), nn.Tanh(), nn.Linear(4, data))
    redraw(decoder, generator, scale=0.5)
    return encoder, decoder


@exercise("train_vae", contract=False)
class TestTrainVae:
    @required
    def test_raises_the_bound_on_digits(self, student: Any) -> None:
        """After a few epochs on handwritten digits the networks it was given reach a higher bound than before."""
        generator = torch.Generator().manual_seed(0)
        encoder = affine_encoder(64, 2, generator)
        decoder = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 64))
        redraw(decoder, generator, scale=0.1)
        noise = torch.randn(len(DIGITS), 2, generator=generator)
        before = reference.elbo(DIGITS, encoder, decoder, noise).mean().item()
        Recorder().train(student, encoder, decoder, DIGITS, 1, epochs=4, batch_size=48, learning_rate=0.05)
        after = reference.elbo(DIGITS, encoder, decoder, noise).mean().item()
        if not after > before + 2:
            fail(f"Before training the mean bound is {before:.1f} nats, after it {after:.1f}.")

    @weight(4)
    @given(seed=st.integers(0, 1000), beta=st.sampled_from([0.5, 2.0, 4.0]))
    @settings(max_examples=2)
    def test_takes_the_steps_of_adam(self, student: Any, seed: int, beta: float) -> None:
        """Each step draws fresh noise; the final weights, and the bounds returned, are those of Adam on these minibatches."""
        generator = torch.Generator().manual_seed(seed)
        encoder, decoder = small_networks(generator)
        twins = copy.deepcopy(encoder), copy.deepcopy(decoder)
        data = torch.rand(7, 5, generator=generator)
        record = Recorder()
        options = {"epochs": 2, "batch_size": 3, "learning_rate": 0.01, "beta": beta, "warmup": 4}
        history = record.train(student, encoder, decoder, data, seed, **options)
        if len(record.betas) != 6:
            fail(
                f"2 epochs over 7 images in minibatches of 3 are 6 steps, but the loss was asked for {len(record.betas)} times."
            )
        assert_fresh(record.noise, [(len(x), 2) for x in record.images])
        weights = [beta * min(1.0, step / 4) for step in range(6)]
        assert_close(record.betas, weights, what="β · weight(step, warmup) as the loss got it, step by step")
        bounds = replay(*twins, record, learning_rate=0.01)
        expected = [sum(bounds[:3]) / 7, sum(bounds[3:]) / 7]
        assert_close(history, expected, tolerance=1e-3, what="the returned mean bounds")
        for name, trained, twin in zip(("the encoder", "the decoder"), (encoder, decoder), twins, strict=True):
            for part, parameter in trained.named_parameters():
                wanted = twin.get_parameter(part).detach()
                assert_close(parameter.detach(), wanted, tolerance=1e-3, what=f"after 6 steps, {part} of {name}")

    @weight(2)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_passes_over_all_images_in_a_new_order_each_epoch(self, student: Any, seed: int) -> None:
        """Each epoch takes every image once, in full minibatches and a last smaller one, in a new random order."""
        encoder, decoder = small_networks(torch.Generator().manual_seed(seed))
        data = torch.arange(14.0)[:, None].expand(14, 5) / 14
        record = Recorder()
        record.train(student, encoder, decoder, data, seed, epochs=2, batch_size=4)
        taken = [len(x) for x in record.images]
        if taken != [4, 4, 4, 2] * 2:
            fail(
                f"2 epochs over 14 images in minibatches of 4 should take 4, 4, 4, 2, 4, 4, 4, 2 images, but took {taken}."
            )
        orders = [torch.cat(record.images[i : i + 4])[:, 0].mul(14).round().int().tolist() for i in (0, 4)]
        if any(sorted(order) != list(range(14)) for order in orders):
            fail(f"The images of the first epoch, by number, were {orders[0]}: every one should be there once.")
        if orders[0] == orders[1] or orders[0] == sorted(orders[0]):
            fail(
                f"The order of the images was {orders[0]}, then {orders[1]}: it should be random, and new in each epoch."
            )

    @weight(4)
    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_the_generator_decides_everything(self, student: Any, seed: int) -> None:
        """Equal generators give the same minibatches and the same noise, another generator gives others."""
        records = []
        for own in (seed, seed, seed + 1):
            encoder, decoder = small_networks(torch.Generator().manual_seed(seed))
            record = Recorder()
            record.train(student, encoder, decoder, torch.arange(65.0).view(13, 5) / 65, own, epochs=1, batch_size=7)
            records.append((torch.cat(record.images), torch.cat(record.noise)))
        (images, noise), (same_images, same_noise), (other_images, other_noise) = records
        assert_close(same_images, images, what="the minibatches of a second training with an equal generator")
        assert_close(same_noise, noise, what="the noise of a second training with an equal generator")
        if torch.equal(images, other_images):
            fail("With another generator the images come in the same order: does it decide the order?")
        if torch.equal(noise, other_noise):
            fail("With another generator the noise is the same: is it drawn from it?")

    @given(seed=st.integers(0, 1000))
    @settings(max_examples=1)
    def test_noise_is_standard_normal(self, student: Any, seed: int) -> None:
        """Every step draws fresh standard normal noise, one number for each latent dimension of each image."""
        encoder, decoder = small_networks(torch.Generator().manual_seed(seed), latent=3)
        record = Recorder()
        record.train(student, encoder, decoder, torch.rand(50, 5), seed, epochs=2, batch_size=25, on_epoch=None)
        assert_fresh(record.noise, [(25, 3)] * 4)
        noise = torch.cat(record.noise).double()
        # 300 numbers: six standard errors each.
        assert_between(noise.mean(), -0.35, 0.35, what="the mean of the noise")
        assert_between(noise.var(), 0.5, 1.5, what="the variance of the noise")

    @given(offset=st.integers(-5, 5))
    @settings(max_examples=1)
    def test_returns_the_mean_bound_of_each_epoch(self, student: Any, offset: int) -> None:
        """It returns, and tells on_epoch, the mean over all data points of log p(x|z) − KL, whatever β and warm-up are."""
        encoder, decoder = small_networks(torch.Generator().manual_seed(0))
        record = Recorder(
            kl=lambda mu, logvar: 0 * mu.sum(1) + 2,
            # Two minibatches make an epoch; in each the bound is higher by 1.
            log_likelihood=lambda logits, x: 0 * logits.sum(1) + x[:, 0] - offset + len(record.betas) // 2,
        )
        data = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])[:, None].expand(5, 5)
        options = {"epochs": 3, "batch_size": 3, "beta": 5.0, "warmup": 100}
        history = record.train(student, encoder, decoder, data, 0, **options)
        bounds = [0.2 - offset - 2 + epoch for epoch in range(3)]
        assert_close(history, bounds, tolerance=1e-4, what="the returned list")
        if not all(isinstance(value, float) for value in history):
            fail(f"The list should hold floats, but it is {describe(history)}.")
        assert_close(record.epochs, list(enumerate(bounds)), tolerance=1e-4, what="what on_epoch was called with")


def assert_fresh(noise: list[Tensor], shapes: list[tuple[int, int]]) -> None:
    """Check that each step's noise has its shape, and that no two numbers are the same and not all on one side of 0."""
    for step, (drawn, shape) in enumerate(zip(noise, shapes, strict=True)):
        assert_shape(drawn, shape, what=f"the noise of step {step}")
    numbers = torch.cat([drawn.flatten() for drawn in noise])
    if len(numbers.unique()) < 0.95 * len(numbers):
        fail("The same noise is used several times: each image needs its own, new in every step.")
    if (numbers >= 0).all() or (numbers <= 0).all():
        fail(f"All {len(numbers)} numbers of the noise lie on the same side of 0: it should be standard normal.")


def replay(encoder: nn.Module, decoder: nn.Module, record: Recorder, learning_rate: float) -> list[float]:
    """Train on the recorded minibatches with the recorded noise and weights; the sum of the bounds of each minibatch."""
    optimizers = [torch.optim.Adam(module.parameters(), lr=learning_rate) for module in (encoder, decoder)]
    bounds = []
    for x, noise, beta in zip(record.images, record.noise, record.betas, strict=True):
        mu, logvar = encoder(x)
        log_px = reference.bernoulli_log_likelihood(decoder(reference.reparameterize(mu, logvar, noise)), x)
        kl = reference.kl_divergence(mu, logvar)
        bounds.append((log_px - kl).sum().item())
        for optimizer in optimizers:
            optimizer.zero_grad()
        (beta * kl - log_px).mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    return bounds


# ---- what a trained model is used for


@exercise("embed", contract=False)
class TestEmbed:
    @required
    @given(x=tensors((3, 4)), generator=generators())
    @settings(max_examples=6)
    def test_gives_the_means(self, student: Any, x: Tensor, generator: torch.Generator) -> None:
        """The codes are the means that the encoder gives."""
        encoder = affine_encoder(4, 2, generator)
        received = student.embed(encoder, x)
        assert_close(detached(received), encoder(x)[0].detach(), what="the codes")

    @weight(3)
    @given(count=st.integers(2, 12), batch_size=st.integers(1, 5), generator=generators())
    @settings(max_examples=8)
    def test_every_data_point_in_order(
        self, student: Any, count: int, batch_size: int, generator: torch.Generator
    ) -> None:
        """All data points are there, in order, also when their number is no multiple of batch_size."""
        encoder, x = affine_encoder(3, 2, generator), torch.randn(count, 3, generator=generator)
        received = student.embed(encoder, x, batch_size)
        assert_close(detached(received), encoder(x)[0].detach(), tolerance=1e-4, what="the codes")

    @weight(3)
    @given(count=st.integers(2, 12), batch_size=st.integers(1, 5))
    @settings(max_examples=6)
    def test_batch_by_batch(self, student: Any, count: int, batch_size: int) -> None:
        """The encoder is never given more than batch_size data points at once."""
        encoder = CountingEncoder()
        student.embed(encoder, torch.arange(float(count)).unsqueeze(1), batch_size=batch_size)
        largest = max(encoder.counts, default=0)
        if largest > batch_size:
            fail(f"With batch_size={batch_size} the encoder was given {largest} data points at once.")
        if sum(encoder.counts) < count:
            fail(f"Of {count} data points the encoder was given {sum(encoder.counts)}.")

    @weight(3)
    @given(generator=generators())
    @settings(max_examples=3)
    def test_no_graph(self, student: Any, generator: torch.Generator) -> None:
        """The codes carry no graph, though the encoder's weights require gradients."""
        codes = student.embed(affine_encoder(3, 2, generator), torch.randn(4, 3, generator=generator), batch_size=2)
        assert_shape(codes, (4, 2), what="the codes")
        if codes.requires_grad:
            fail("The codes require grad: they keep the graph of the whole data set in memory.")


class CountingEncoder(nn.Module):
    """An encoder that notes how many data points it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Something different for each data point."""
        self.counts.append(len(x))
        return 2 * x, x


def detached(value: Any) -> Any:
    """A tensor cut off from its graph; anything else as it is, for assert_close to refuse."""
    return value.detach() if isinstance(value, Tensor) else value


@exercise("interpolate_latents", contract=arguments(reference.interpolate_latents, steps=st.integers(2, 6)))
class TestInterpolateLatents:
    @required
    @given(start=tensors(3), steps=st.integers(2, 6), generator=generators())
    @settings(max_examples=6)
    def test_goes_from_start_towards_end(
        self, student: Any, start: Tensor, steps: int, generator: torch.Generator
    ) -> None:
        """The first code is `start`, and the last one is nearer to `end` than the first."""
        end = start + 1 + torch.rand(3, generator=generator)
        line = student.interpolate_latents(start, end, steps)
        assert_close(line[0], start, what="the first code")
        if not (line[-1] - end).norm() < (line[0] - end).norm():
            fail(f"The last code is {describe(line[-1])}: no nearer to `end` than the first.")

    @weight(3)
    @given(start=tensors(3), end=tensors(3), steps=st.integers(2, 9))
    @settings(max_examples=12)
    def test_equal_distances(self, student: Any, start: Tensor, end: Tensor, steps: int) -> None:
        """Both ends are there, and every step covers the same part of the way between them."""
        line = student.interpolate_latents(start, end, steps)
        assert_shape(line, (steps, 3), what="the line")
        step = ((end - start) / (steps - 1)).expand(steps - 1, 3)
        assert_close(line[1:] - line[:-1], step, tolerance=1e-4, what="the way from one code to the next")
        assert_close(line[[0, -1]], torch.stack([start, end]), tolerance=1e-4, what="the two ends")

    @given(start=tensors(3), end=tensors(3))
    @settings(max_examples=5)
    def test_the_middle_of_three(self, student: Any, start: Tensor, end: Tensor) -> None:
        """Three codes are the start, the middle and the end."""
        line = student.interpolate_latents(start, end, 3)
        assert_close(line, torch.stack([start, (start + end) / 2, end]), what="the line")

    @given(start=tensors(2), end=tensors(2), steps=st.integers(2, 6))
    @settings(max_examples=5)
    def test_there_and_back(self, student: Any, start: Tensor, end: Tensor, steps: int) -> None:
        """From end to start it passes the same codes in the opposite order."""
        there, back = student.interpolate_latents(start, end, steps), student.interpolate_latents(end, start, steps)
        assert_shape(back, (steps, 2), what="the line")
        assert_close(there, back.flip(0), tolerance=1e-4, what="the line")

    @given(steps=st.integers(-2, 1))
    @settings(max_examples=4)
    def test_refuses_a_line_without_two_ends(self, student: Any, steps: int) -> None:
        """Fewer than 2 steps are a ValueError."""
        try:
            line = student.interpolate_latents(torch.zeros(2), torch.ones(2), steps)
        except ValueError:
            return
        fail(f"steps={steps} should raise a ValueError, but it returned {describe(line)}.")


@exercise("importance_weighted_bound")
class TestImportanceWeightedBound:
    @required
    @given(log_joint=tensors((1, 3)), log_q=tensors((1, 3)))
    @settings(max_examples=6)
    def test_one_sample_gives_the_elbo(self, student: Any, log_joint: Tensor, log_q: Tensor) -> None:
        """With one sample it is log p(x, z) − log q(z|x), and gradients flow back to both."""
        log_joint.requires_grad_(), log_q.requires_grad_()
        bound = student.importance_weighted_bound(log_joint, log_q)
        assert_close(bound, (log_joint - log_q)[0], tolerance=1e-4, what="the bound")
        assert_depends(bound, log_joint, what="the bound", on_what="log_joint")
        assert_depends(bound, log_q, what="the bound", on_what="log_q")

    @weight(2)
    @given(log_joint=st.tuples(sizes(2, 5), sizes(1, 3)).flatmap(tensors))
    @settings(max_examples=8)
    def test_exact_for_a_latent_with_few_states(self, student: Any, log_joint: Tensor) -> None:
        """If z has K states, q is uniform and each is sampled once, it is log p(x) exactly: the log of a sum over states."""
        states, batch = log_joint.shape
        evidence = [math.log(math.fsum(map(math.exp, column))) for column in log_joint.T.tolist()]
        bound = student.importance_weighted_bound(log_joint, torch.full_like(log_joint, -math.log(states)))
        assert_close(
            bound, torch.tensor(evidence), tolerance=1e-4, what="the bound", sizes={"samples": states, "batch": batch}
        )

    @given(log_q=tensors((4, 3)), log_p=tensors(3))
    @settings(max_examples=5)
    def test_exact_at_the_true_posterior(self, student: Any, log_q: Tensor, log_p: Tensor) -> None:
        """If q is the true posterior, every sample gives log p(x), and so does the bound."""
        assert_close(student.importance_weighted_bound(log_q + log_p, log_q), log_p, tolerance=1e-4, what="the bound")

    @given(log_joint=tensors((3, 2)), log_q=tensors((3, 2)))
    @settings(max_examples=6)
    def test_samples_given_twice(self, student: Any, log_joint: Tensor, log_q: Tensor) -> None:
        """Samples given twice, in any order, change nothing; and it is no lower than the mean ELBO, no higher than the best."""
        once = student.importance_weighted_bound(log_joint, log_q)
        twice = student.importance_weighted_bound(log_joint.repeat(2, 1).flip(0), log_q.repeat(2, 1).flip(0))
        assert_close(twice, once, tolerance=1e-4, what="the bound of samples given twice", sizes={"samples": 3})
        assert_shape(once, (2,), what="the bound")
        log_weights = log_joint - log_q
        assert_between(
            once - log_weights.mean(0), 0, tolerance=1e-4, what="the bound, less the mean of log p(x, z) − log q(z|x),"
        )
        assert_between(
            log_weights.amax(0) - once, 0, tolerance=1e-4, what="the log-weight of the best sample, less the bound,"
        )

    @weight(4)
    @given(log_weights=tensors((3, 2)), shift=st.sampled_from([-1e4, 1e4, -200.0, 200.0]), of=st.booleans())
    @settings(max_examples=8)
    def test_survives_large_densities(self, student: Any, log_weights: Tensor, shift: float, of: bool) -> None:
        """At log-densities of ±200 and ±10⁴ it neither overflows nor vanishes, and its gradients are the normalised weights."""
        log_weights = log_weights.round()  # whole numbers, so that ±10⁴ loses none of their digits
        log_joint = (log_weights + shift if of else log_weights).requires_grad_()
        log_q = torch.zeros_like(log_weights) if of else torch.full_like(log_weights, -shift)
        bound = student.importance_weighted_bound(log_joint, log_q)
        small = [math.log(math.fsum(map(math.exp, column)) / 3) for column in log_weights.T.tolist()]
        assert_close(
            bound - shift, torch.tensor(small), tolerance=5e-3, what=f"the bound, less the shift of {shift:g},"
        )
        (gradient,) = torch.autograd.grad(bound.sum(), log_joint)
        assert_close(gradient, log_weights.softmax(0), tolerance=1e-3, what="the gradient with respect to log_joint")

    @given(log_joint=tensors((3, 4)), log_q=tensors((3, 4)))
    @settings(max_examples=4)
    def test_each_data_point_by_itself(self, student: Any, log_joint: Tensor, log_q: Tensor) -> None:
        """Each data point of a batch gets its own bound, the others do not change it."""

        def bound(*columns: Tensor) -> Tensor:
            return student.importance_weighted_bound(*[column.T for column in columns])

        assert_rows_apart(bound, log_joint.T, log_q.T, what="the bound")


@st.composite
def anomaly_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `anomaly_score`."""
    samples, batch, data, latent = (draw(sizes(1, 3)) for _ in range(4))
    return (draw(tensors((batch, data), low=0, high=1)), toy_bound, draw(tensors((samples, batch, latent)))), {}


def toy_bound(x: Tensor, eps: Tensor) -> Tensor:
    """A made-up bound: smooth in the noise, and different for each data point."""
    return -(x.sum(1) + eps.sum(1)).square() - eps.square().sum(1) / 2


@exercise("anomaly_score", contract=anomaly_calls())
class TestAnomalyScore:
    @required
    @given(x=tensors((3, 2)), noise=tensors((1, 3, 2)))
    @settings(max_examples=6)
    def test_one_sample(self, student: Any, x: Tensor, noise: Tensor) -> None:
        """With one sample of noise it is minus the bound."""
        assert_close(student.anomaly_score(x, toy_bound, noise), -toy_bound(x, noise[0]), what="the score")

    @weight(3)
    @given(x=tensors((3, 2)), samples=sizes(2, 4), generator=generators())
    @settings(max_examples=8)
    def test_averages_over_samples(self, student: Any, x: Tensor, samples: int, generator: torch.Generator) -> None:
        """With several samples it is the mean of what each of them gives, here one by one and by hand."""
        noise = torch.randn(samples, 3, 2, generator=generator)
        each = [[-toy_bound(x[i : i + 1], eps[i : i + 1]).item() for eps in noise] for i in range(3)]
        expected = torch.tensor([math.fsum(values) / samples for values in each])
        received = student.anomaly_score(x, toy_bound, noise)
        assert_close(received, expected, tolerance=1e-4, what="the score", sizes={"samples": samples, "batch": 3})

    @given(model=linear_gaussian_models(), generator=generators())
    @settings(max_examples=5)
    def test_is_the_surprise_at_the_true_posterior(
        self, student: Any, model: LinearGaussianModel, generator: torch.Generator
    ) -> None:
        """With the exact ELBO of a linear-Gaussian model and noise of ±1, whose moments are right, it is −log p(x)."""
        x, (encoder, decoder) = torch.randn(3, len(model.weight), generator=generator), (model.encoder(), model.decode)
        pieces = PIECES | {"log_likelihood": model.log_likelihood}

        def bound(x: Tensor, eps: Tensor) -> Tensor:
            return reference.elbo(x, encoder, decoder, eps, **pieces)

        with torch.no_grad():
            score = student.anomaly_score(x, bound, torch.tensor([1.0, -1.0])[:, None, None].expand(2, 3, 1))
        assert_close(score, -model.log_evidence(x), tolerance=1e-3, what="the score")

    @given(x=tensors((3, 2)), noise=tensors((4, 3, 2)))
    @settings(max_examples=4)
    def test_each_data_point_by_itself(self, student: Any, x: Tensor, noise: Tensor) -> None:
        """A data point scores the same whatever else is in the batch."""
        together = student.anomaly_score(x, toy_bound, noise)
        assert_shape(together, (3,), what="the score")
        alone = student.anomaly_score(x[1:2], toy_bound, noise[:, 1:2])
        assert_close(together[1:2], alone, tolerance=1e-4, what="the score of one data point in a batch of three")


# ---- a VAE for text


def draws(*shape: int) -> st.SearchStrategy[Tensor]:
    """Draws from [0, 1), multiples of 1/8."""
    return tensors(shape, low=0, high=7 / 8)


@exercise(
    "word_dropout",
    contract=arguments(reference.word_dropout, uniform=lambda dims: draws(dims["batch"], dims["length"])),
)
class TestWordDropout:
    @required
    @given(tokens=tensors((3, 4), dtype=torch.int64, low=2, high=9), uniform=draws(3, 4), unknown=st.integers(10, 12))
    @settings(max_examples=6)
    def test_hides_some_words_and_keeps_others(
        self, student: Any, tokens: Tensor, uniform: Tensor, unknown: int
    ) -> None:
        """Where `uniform` is far below the rate the word is hidden, where it is far above the word stays."""
        uniform[:, 0], uniform[:, -1] = 0.125, 0.875
        hidden = student.word_dropout(tokens, uniform, 0.5, unknown=unknown)
        assert_shape(hidden, (3, 4), what="the result")
        assert_close(
            hidden[:, 0], torch.full((3,), unknown), what="the first word, where uniform is 0.125 and the rate 0.5,"
        )
        assert_close(hidden[:, -1], tokens[:, -1], what="the last word, where uniform is 0.875 and the rate 0.5,")

    @weight(3)
    @given(
        tokens=tensors((3, 5), dtype=torch.int64, low=0, high=5),
        uniform=draws(3, 5),
        rate=st.integers(0, 8),
        unknown=st.integers(0, 6),
        protected=st.lists(st.integers(0, 5), unique=True, max_size=3),
    )
    @settings(max_examples=15)
    def test_word_by_word(
        self, student: Any, tokens: Tensor, uniform: Tensor, rate: int, unknown: int, protected: list[int]
    ) -> None:
        """A word is hidden if its number in `uniform` is less than the rate and its id is not protected, and only then."""
        pairs = zip(tokens.flatten().tolist(), uniform.flatten().tolist(), strict=True)
        words = [unknown if number < rate / 8 and word not in protected else word for word, number in pairs]
        received = student.word_dropout(tokens, uniform, rate / 8, unknown=unknown, protected=tuple(protected))
        assert_close(received, torch.tensor(words).view(3, 5), what="the result")

    @given(tokens=tensors((2, 4), dtype=torch.int64, low=1, high=5), uniform=draws(2, 4))
    @settings(max_examples=5)
    def test_rate_zero_and_rate_one(self, student: Any, tokens: Tensor, uniform: Tensor) -> None:
        """At rate 0 nothing is hidden, not even where `uniform` is 0; at rate 1 everything is."""
        assert_close(student.word_dropout(tokens, uniform, 0.0, unknown=0), tokens, what="the result at rate 0")
        everything = student.word_dropout(tokens, uniform, 1.0, unknown=0)
        assert_close(everything, torch.zeros_like(tokens), what="the result at rate 1")

    @weight(2)
    @given(tokens=tensors((2, 4), dtype=torch.int64, low=0, high=3), protected=st.integers(0, 3))
    @settings(max_examples=6)
    def test_protected_words_stay(self, student: Any, tokens: Tensor, protected: int) -> None:
        """Protected words stay, at any rate and wherever they stand."""
        tokens[0, 0] = protected
        received = student.word_dropout(tokens, torch.zeros(2, 4), 1.0, unknown=7, protected=(protected,))
        expected = torch.tensor([[word if word == protected else 7 for word in row] for row in tokens.tolist()])
        assert_close(received, expected, what=f"the result with {protected} protected")

    @given(tokens=tensors((2, 3), dtype=torch.int32, low=1, high=5), uniform=draws(2, 3))
    @settings(max_examples=4)
    def test_keeps_the_dtype(self, student: Any, tokens: Tensor, uniform: Tensor) -> None:
        """The result has the dtype of the tokens, here int32."""
        received = student.word_dropout(tokens, uniform, 0.5, unknown=0, protected=(1, 2))
        if received.dtype != torch.int32:
            fail(f"The result should have dtype torch.int32, like the tokens, but it has {received.dtype}.")


@st.composite
def text_calls(draw: st.DrawFn) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of `text_elbo`: every sentence has at least one word, and some end in padding, whose id is drawn."""
    batch, length, latent, vocabulary = (draw(sizes(low, 4)) for low in (1, 1, 1, 3))
    padding = draw(st.integers(0, vocabulary - 1))
    tokens = draw(tensors((batch, length), dtype=torch.int64, low=0, high=vocabulary - 1))
    tokens[:, 0] = (padding + 1) % vocabulary
    q = draw(diagonal_gaussians(st.just(batch), st.just(latent)))
    logits = draw(tensors((batch, length, vocabulary)))
    return (logits, tokens, q.mu, q.logvar), {"padding": padding, "kl": reference.kl_divergence}


@exercise("text_elbo", contract=text_calls())
class TestTextElbo:
    @required
    @given(call=text_calls())
    @settings(max_examples=6)
    def test_rewards_the_words_that_are_there(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """The bound rises with the score of each word that stands in the sentence, more than with any other word's."""
        (logits, tokens, mu, logvar), options = call
        logits = logits.clone().requires_grad_()
        bound = student.text_elbo(logits, tokens, mu, logvar, **options)
        assert_depends(bound, logits, what="the bound", on_what="the scores")
        (gradient,) = torch.autograd.grad(bound.sum(), logits)
        place = tokens.unsqueeze(2)
        chosen = gradient.gather(2, place).squeeze(2)
        others = gradient.scatter(2, place, -torch.inf).amax(2)
        words = tokens != options["padding"]
        assert_between(chosen[words], 1e-6, tolerance=0, what="the gradient for the score of a word that is there")
        above = "the gradient for that score, less the largest for another word at its place,"
        assert_between((chosen - others)[words], 1e-6, tolerance=0, what=above)

    @weight(3)
    @given(call=text_calls())
    @settings(max_examples=10)
    def test_equals_torchs_categorical(self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        """It is the sum of log-probabilities by torch.distributions.Categorical over all words but padding, less the KL."""
        (logits, tokens, mu, logvar), options = call
        log_p = Categorical(logits=logits).log_prob(tokens)
        words = torch.stack([row[ids != options["padding"]].sum() for row, ids in zip(log_p, tokens, strict=True)])
        expected = words - DiagonalGaussian(mu, logvar).kl_by_quadrature()
        received = student.text_elbo(logits, tokens, mu, logvar, **options)
        names = zip(("batch", "length", "vocab"), logits.shape, strict=True)
        assert_close(received, expected, tolerance=1e-4, what="the bound", sizes=dict(names))

    @weight(2)
    @given(logits=sizes(1, 3).flatmap(lambda length: tensors((length, 3))), q=diagonal_gaussians(st.just(1)))
    @settings(max_examples=5)
    def test_probabilities_of_all_sentences_add_up_to_one(
        self, student: Any, logits: Tensor, q: DiagonalGaussian
    ) -> None:
        """Without the KL, the probabilities of all sentences of a given length add up to 1, padding being impossible."""
        sentences = all_sequences(2, len(logits)) + 1
        logits = torch.cat([torch.full((len(logits), 1), -1e4), logits[:, 1:]], dim=1)
        mu, logvar = (part.expand(len(sentences), -1) for part in (q.mu, q.logvar))
        bound = student.text_elbo(
            logits.expand(len(sentences), -1, -1), sentences, mu, logvar, padding=0, kl=reference.kl_divergence
        )
        assert_shape(bound, (len(sentences),), what="the bound")
        total = (bound.double() + q.kl_by_quadrature().double()).exp().sum()
        assert_close(total, 1.0, tolerance=1e-3, what="the sum of all probabilities")

    @weight(2)
    @given(call=text_calls(), more=sizes(1, 3), generator=generators())
    @settings(max_examples=5)
    def test_padding_counts_for_nothing(
        self, student: Any, call: tuple[tuple[Any, ...], dict[str, Any]], more: int, generator: torch.Generator
    ) -> None:
        """Padding that is appended changes nothing, and no gradient flows to the scores where it stands."""
        (logits, tokens, mu, logvar), options = call
        batch, _, vocabulary = logits.shape
        extra = torch.randn(batch, more, vocabulary, generator=generator, requires_grad=True)
        padded = torch.cat([tokens, torch.full((batch, more), options["padding"])], dim=1)
        before = student.text_elbo(logits, tokens, mu, logvar, **options)
        after = student.text_elbo(torch.cat([logits, extra], dim=1), padded, mu, logvar, **options)
        assert_close(detached(after), detached(before), tolerance=1e-4, what="the bound with more padding")
        assert_independent(after, extra, what="the bound", of_what="the scores at padding")

    @given(generator=generators())
    @settings(max_examples=3)
    def test_each_sentence_by_itself(self, student: Any, generator: torch.Generator) -> None:
        """Each sentence of a batch gets its own bound, the others do not change it."""
        logits, mu, logvar = (torch.randn(*size, generator=generator) for size in ((3, 4, 5), (3, 2), (3, 2)))
        tokens = torch.randint(1, 5, (3, 4), generator=generator)

        def bound(logits: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
            return student.text_elbo(logits, tokens, mu, logvar, padding=0, kl=reference.kl_divergence)

        assert_rows_apart(bound, logits, mu, logvar, what="the bound")


def all_sequences(symbols: int, length: int) -> Tensor:
    """All sequences of that length over 0, …, symbols − 1: (symbols ** length, length)."""
    return torch.tensor(list(itertools.product(range(symbols), repeat=length)))
