"""Distributions and toy models of which everything is known: what hidden properties compare answers with.

Nothing here repeats a formula that students are asked for. Expectations are taken by quadrature, evidence and posteriors come
from models small enough for a closed form or a grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from autograder.properties.networks import Parallel
from coursekit.properties import sizes, tensors


def standard_normal_nodes(count: int = 61, reach: float = 6.5) -> tuple[Tensor, Tensor]:
    """E[f(ε)] = Σ weightᵢ f(nodeᵢ) for ε ~ N(0, 1), to about eight digits for any smooth f.

    The trapezoid rule on an even grid, which converges exponentially for integrands that die off at both ends (Trefethen &
    Weideman 2014). The weights sum to 1.

    Returns:
        Nodes and weights, each (count,), in double precision.
    """
    nodes = torch.linspace(-reach, reach, count, dtype=torch.float64)
    density = (-nodes.square() / 2).exp()
    return nodes, density / density.sum()


@dataclass(frozen=True)
class DiagonalGaussian:
    """A batch of Gaussians with independent dimensions: `mu` and `logvar` = log σ², each (batch, latent)."""

    mu: Tensor
    logvar: Tensor

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the dimensions, by name."""
        return dict(zip(("batch", "latent"), self.mu.shape, strict=True))

    @property
    def normal(self) -> Normal:
        """The same as a distribution of torch's, in double precision."""
        return Normal(self.mu.detach().double(), (self.logvar.detach().double() / 2).exp())

    def kl_by_quadrature(self) -> Tensor:
        """KL(q ‖ N(0, I)) of each Gaussian (batch,): the expectation under q of log q(z) − log p(z)."""
        nodes, weights = (grid[:, None, None] for grid in standard_normal_nodes())
        z = self.normal.mean + self.normal.stddev * nodes
        log_ratio = self.normal.log_prob(z) - Normal(0.0, 1.0).log_prob(z)
        return (weights * log_ratio).sum(dim=(0, 2)).to(self.mu.dtype)


@dataclass(frozen=True)
class BernoulliModel:
    """z ~ N(0, 1); the pixels given z are Bernoulli with logits weight · z + bias. `weight` and `bias` are (data,)."""

    weight: Tensor
    bias: Tensor

    def decode(self, z: Tensor) -> Tensor:
        """The logits (batch, data) of codes (batch, 1)."""
        return z * self.weight + self.bias

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) for black-and-white data (…, data) and codes (…,)."""
        pixels = Bernoulli(logits=z.unsqueeze(-1) * self.weight.double() + self.bias.double())
        return pixels.log_prob(x.double()).sum(-1) + Normal(0.0, 1.0).log_prob(z)

    def bound(self, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        """∫ q(z) (log p(x, z) − log q(z)) dz for each data point (batch,), which is log p(x) − KL(q ‖ p(z|x)).

        Differentiable in `mu` and `logvar`, which are (batch, 1); in double precision.
        """
        q = Normal(mu.double(), (logvar.double() / 2).exp())
        nodes, weights = standard_normal_nodes(201)
        z = q.mean + q.stddev * nodes
        return (weights * (self.log_joint(x.unsqueeze(1), z) - q.log_prob(z))).sum(1)


@dataclass(frozen=True)
class LinearGaussianModel:
    """z ~ N(0, 1); x given z is N(weight · z + bias, std² I): everything about it is known in closed form.

    Bishop, Pattern Recognition and Machine Learning, section 12.2. `weight` and `bias` are (data,).
    """

    weight: Tensor
    bias: Tensor
    std: float

    def decode(self, z: Tensor) -> Tensor:
        """The means (batch, data) of codes (batch, 1)."""
        return z * self.weight + self.bias

    def log_likelihood(self, logits: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) of each data point (batch,), given what `decode` returns; called like `bernoulli_log_likelihood`."""
        return Normal(logits, self.std).log_prob(x).sum(dim=1)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) of each data point (batch,)."""
        weight = self.weight.double()
        covariance = torch.outer(weight, weight) + self.std**2 * torch.eye(len(weight), dtype=torch.float64)
        return MultivariateNormal(self.bias.double(), covariance).log_prob(x.double()).to(x.dtype)

    def encoder(self) -> Parallel:
        """The true posterior p(z|x), as an encoder."""
        variance = 1 / (1 + float(self.weight.square().sum()) / self.std**2)
        mu, logvar = nn.Linear(len(self.weight), 1), nn.Linear(len(self.weight), 1)
        with torch.no_grad():
            mu.weight.copy_(variance / self.std**2 * self.weight)
            mu.bias.copy_(-(mu.weight @ self.bias))
            logvar.weight.zero_()
            logvar.bias.fill_(math.log(variance))
        return Parallel(mu, logvar)


def diagonal_gaussians(
    batch: SearchStrategy[int] | None = None, latent: SearchStrategy[int] | None = None
) -> SearchStrategy[DiagonalGaussian]:
    """Gaussians with means from −3 to 3 and standard deviations from 1/7 to 7."""

    @st.composite
    def draw_gaussian(draw: st.DrawFn) -> DiagonalGaussian:
        shape = draw(sizes() if batch is None else batch), draw(sizes() if latent is None else latent)
        return DiagonalGaussian(draw(tensors(shape)), draw(tensors(shape, low=-4, high=4)))

    return draw_gaussian()


def bernoulli_models(data: SearchStrategy[int] | None = None) -> SearchStrategy[BernoulliModel]:
    """Bernoulli models with weights and biases from −3 to 3."""
    parts: SearchStrategy[Any] = (sizes(2, 5) if data is None else data).flatmap(
        lambda n: st.tuples(tensors(n), tensors(n))
    )
    return parts.map(lambda part: BernoulliModel(*part))


def linear_gaussian_models(data: SearchStrategy[int] | None = None) -> SearchStrategy[LinearGaussianModel]:
    """Linear-Gaussian models with weights and biases from −3 to 3, and a standard deviation from ½ to 2."""
    parts: SearchStrategy[Any] = (sizes(2, 4) if data is None else data).flatmap(
        lambda n: st.tuples(tensors(n), tensors(n), st.sampled_from([0.5, 1.0, 2.0]))
    )
    return parts.map(lambda part: LinearGaussianModel(*part))
