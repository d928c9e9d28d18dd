import pytest
import torch
from torch import nn

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
from coursekit.properties import PropertyFailed


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def perceptron(last: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1), last or nn.Identity())


def error(network: nn.Module) -> torch.Tensor:
    return (network(CORNERS) - ALTERNATING).square().mean() / 9


class WithHiddenLayers(nn.Module):
    """Its first layer stands in a list, where torch does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(2, 4)]
        self.last = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.layers[0](x).relu())


def test_parallel_returns_what_each_module_makes_of_the_input():
    double, same = Parallel(nn.Linear(1, 1), nn.Identity())(torch.ones(2, 1))
    assert double.shape == (2, 1)
    assert torch.equal(same, torch.ones(2, 1))


def test_an_affine_encoder_gives_mu_and_logvar(generator):
    mu, logvar = affine_encoder(4, 2, generator)(torch.zeros(3, 4))
    assert mu.shape == logvar.shape == (3, 2)


def test_redrawing_gives_every_parameter_new_values(generator):
    network = perceptron()
    before = [parameter.clone() for parameter in network.parameters()]
    redraw(network, generator)
    assert not any(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_no_affine_map_comes_nearer_to_the_alternating_target_than_zero():
    inputs = torch.cat([CORNERS, torch.ones(4, 1)], dim=1)
    assert torch.linalg.lstsq(inputs, ALTERNATING).solution.abs().max() < 1e-5


def test_a_perceptron_learns():
    assert_learns(perceptron, error, hint="")


@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Softplus()], ids=str)
def test_an_activation_on_the_output_keeps_it_from_learning(last):
    with pytest.raises(PropertyFailed, match="After 200 steps"):
        assert_learns(lambda: perceptron(last), error, hint="look at the last layer")


def test_an_affine_network_does_not_learn():
    with pytest.raises(PropertyFailed, match="After 200 steps"):
        assert_learns(lambda: nn.Sequential(nn.Linear(2, 32), nn.Linear(32, 1)), error, hint="")


def test_a_network_without_parameters_does_not_learn():
    with pytest.raises(PropertyFailed, match="no parameters"):
        assert_learns(lambda: nn.Flatten(), lambda network: network(CORNERS).sum(), hint="")


def test_a_perceptron_is_not_affine(generator):
    assert_not_affine(perceptron(), *2 * torch.randn(2, 8, 2, generator=generator))


def test_two_linear_layers_are_affine(generator):
    with pytest.raises(PropertyFailed, match="affine"):
        assert_not_affine(nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 3)), *torch.randn(2, 8, 2, generator=generator))


def test_values_that_stay_on_one_side_are_no_spread():
    assert_spread(torch.tensor([-2.0, 2.0]), what="a mean")
    with pytest.raises(PropertyFailed, match="may be any real number"):
        assert_spread(torch.tensor([0.0, 2.0]), what="a mean")


def test_rows_of_a_layer_are_apart_and_those_of_a_batch_norm_are_not():
    x = torch.randn(4, 2)
    assert_rows_apart(nn.Linear(2, 3), x)
    with pytest.raises(PropertyFailed, match="other rows"):
        assert_rows_apart(nn.Sequential(nn.BatchNorm1d(2), nn.Sigmoid()), x)


def test_a_result_without_rows_is_refused():
    with pytest.raises(PropertyFailed, match="a row for each of 4"):
        assert_rows_apart(lambda x: x.sum(), torch.randn(4, 2))


def test_parameters_matter_only_if_gradients_reach_them():
    layer = nn.Linear(2, 1)
    assert_parameters_matter(layer(torch.ones(1, 2)), layer, what="the output")
    with pytest.raises(PropertyFailed, match="No gradient"):
        assert_parameters_matter(torch.ones(1, requires_grad=True) * 1, layer, what="the output")


def test_a_state_is_complete_only_if_it_carries_the_function_over():
    x = torch.randn(3, 2)
    assert_state_is_complete(perceptron(), perceptron(), lambda network: network(x))
    with pytest.raises(PropertyFailed, match="plain Python list"):
        assert_state_is_complete(WithHiddenLayers(), WithHiddenLayers(), lambda network: network(x))
