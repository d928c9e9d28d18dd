import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from autograder.properties.distributions import (
    BernoulliModel,
    DiagonalGaussian,
    LinearGaussianModel,
    bernoulli_models,
    diagonal_gaussians,
    linear_gaussian_models,
    standard_normal_nodes,
)
from coursekit.properties import tensors

FEW = settings(max_examples=10, deadline=None)


@pytest.mark.parametrize(("power", "moment"), [(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)])
def test_nodes_have_the_moments_of_a_standard_normal(power, moment):
    nodes, weights = standard_normal_nodes()
    assert (weights * nodes**power).sum().item() == pytest.approx(moment, rel=1e-6, abs=1e-6)


@given(q=diagonal_gaussians())
@FEW
def test_the_divergence_by_quadrature_is_the_one_in_closed_form(q):
    expected = kl_divergence(q.normal, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(q.kl_by_quadrature().double(), expected, rtol=1e-5, atol=1e-5)


def test_the_divergence_has_the_dtype_of_the_means():
    q = DiagonalGaussian(torch.ones(2, 3), torch.zeros(2, 3))
    assert q.kl_by_quadrature().dtype == torch.float32


@given(bias=tensors(3), mu=tensors((1, 1)), logvar=tensors((1, 1), low=-2, high=2))
@FEW
def test_a_decoder_that_ignores_its_code_pays_the_divergence_from_the_prior(bias, mu, logvar):
    x = torch.tensor([[1.0, 0.0, 1.0]])
    log_p = (x * bias - torch.nn.functional.softplus(bias)).sum().double()
    expected = log_p - DiagonalGaussian(mu, logvar).kl_by_quadrature().double()
    torch.testing.assert_close(BernoulliModel(0 * bias, bias).bound(x, mu, logvar), expected, rtol=1e-5, atol=1e-5)


@given(model=bernoulli_models(st.just(3)), mu=tensors((1, 1)), logvar=tensors((1, 1), low=-2, high=2))
@FEW
def test_the_bound_is_below_the_evidence(model, mu, logvar):
    x = torch.tensor([[1.0, 0.0, 1.0]])
    nodes, weights = standard_normal_nodes(2001, 9.0)
    joint = model.log_joint(x, nodes) - Normal(0.0, 1.0).log_prob(nodes)
    evidence = (weights * joint.exp()).sum().log().item()
    assert model.bound(x, mu, logvar).item() <= evidence + 1e-6


@given(model=linear_gaussian_models(), x=st.integers(0, 100))
@FEW
def test_the_posterior_of_a_linear_gaussian_model_makes_the_bound_tight(model, x):
    x = torch.randn(2, len(model.weight), generator=torch.Generator().manual_seed(x))
    with torch.no_grad():
        mu, logvar = model.encoder()(x)
    q = Normal(mu.double(), (logvar.double() / 2).exp())
    nodes, weights = standard_normal_nodes()
    z = q.mean + q.stddev * nodes
    log_p = torch.stack([model.log_likelihood(model.decode(column[:, None]), x) for column in z.T], dim=1)
    bound = (weights * (log_p + Normal(0.0, 1.0).log_prob(z) - q.log_prob(z))).sum(1)
    torch.testing.assert_close(bound, model.log_evidence(x).double(), rtol=1e-4, atol=1e-4)


def test_the_evidence_of_a_linear_gaussian_model_is_the_integral_over_its_codes():
    model = LinearGaussianModel(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.0]), 1.0)
    x = torch.tensor([[1.0, 2.0]])
    nodes, weights = standard_normal_nodes(2001, 9.0)
    likelihood = model.log_likelihood(model.decode(nodes[:, None]), x.double()).exp()
    assert (weights * likelihood).sum().log().item() == pytest.approx(model.log_evidence(x).item(), abs=1e-5)
