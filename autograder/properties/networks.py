"""Networks in hidden properties: small ones to pass to a student, and checks of those that a student wrote.

Nothing here looks at a student's design: names and number of layers, initialisation and the choice of nonlinearity are free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from coursekit.properties import assert_close, assert_finite, assert_independent, describe, fail

CORNERS = torch.tensor([[1.0, -2.0], [4.0, -2.0], [1.0, 2.0], [4.0, 2.0]])
"""The corners of a rectangle (4, 2), no two of them in line with 0, so that networks without biases have a chance, too."""
ALTERNATING = torch.tensor([[3.0], [-3.0], [-3.0], [3.0]])
"""A target at the corners (4, 1) that no affine map comes nearer to than 0 does."""


class Parallel(nn.Sequential):
    """Modules side by side: all are given the same input, and the result is the tuple of theirs."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each module makes of `x`."""
        return tuple(module(x) for module in self)


def affine_encoder(data_dim: int, latent_dim: int, generator: torch.Generator) -> Parallel:
    """An encoder whose mu and logvar are affine in the data, with weights of moderate size."""
    encoder = Parallel(nn.Linear(data_dim, latent_dim), nn.Linear(data_dim, latent_dim))
    redraw(encoder, generator, scale=0.3)
    return encoder


def redraw(module: nn.Module, generator: torch.Generator, scale: float = 1.0) -> None:
    """Draw every parameter anew from N(0, scale²), so that nothing hangs on how the module initialises them."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def assert_rows_apart(function: Callable[..., Any], *batches: Tensor, what: str = "the result") -> None:
    """Check that the first row of a result depends on the first rows of the arguments alone.

    Raises:
        PropertyFailed: a gradient flows to another row, or the result has not one row for each data point.
    """
    others = [batch[1:].detach().clone().requires_grad_() for batch in batches]
    result = function(*[torch.cat([batch[:1], rest]) for batch, rest in zip(batches, others, strict=True)])
    if not isinstance(result, Tensor) or result.shape[:1] != batches[0].shape[:1]:
        fail(f"There should be a row for each of {len(batches[0])} data points, but {what} is {describe(result)}.")
    for rest in others:
        assert_independent(result[0], rest, what=f"row 0 of {what}", of_what="the other rows of the batch")


def assert_parameters_matter(output: Tensor, module: nn.Module, *, what: str) -> None:
    """Check that gradients flow from `output` to some of a module's parameters.

    Raises:
        PropertyFailed: none does, or there are none.
    """
    parameters = list(module.parameters())
    if not parameters:
        fail("The network has no parameters: there is nothing that training could change.")
    gradients = torch.autograd.grad(output.sum(), parameters, allow_unused=True, retain_graph=True)
    if not any(gradient is not None and gradient.any() for gradient in gradients):
        fail(f"No gradient flows from {what} to any parameter of the network.")


def assert_learns(create: Callable[[], Any], loss: Callable[[Any], Tensor], *, hint: str) -> None:
    """Check that Adam brings a loss, which is 1 for the best affine map, down to a fifth of that.

    Most designs need 20 steps. One that does not get there is tried again, fresh, with smaller steps: deep networks of
    saturating nonlinearities need them.

    Args:
        create: a new network.
        loss: of a network.
        hint: what to look at if it does not learn.

    Raises:
        PropertyFailed: no attempt gets there.
    """
    best = torch.inf
    for rate in (0.05, 0.01, 0.003):
        module = create().eval()  # dropout would only add noise to the loss
        parameters = list(module.parameters())
        if not parameters:
            fail("The network has no parameters: there is nothing that training could change.")
        optimizer = torch.optim.Adam(parameters, lr=rate)
        for _ in range(200):
            value = loss(module)
            best = min(best, value.item())
            if best < 0.2:
                return
            if not value.requires_grad:
                fail("The network's output does not depend on its parameters: no gradient reaches them.")
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    fail(f"After 200 steps the squared error is still {best:.2f} of what an affine map would leave.", f"Hint: {hint}")


def assert_spread(values: Tensor, *, what: str) -> None:
    """Check that values are finite and reach beyond 1 on both sides of 0.

    Raises:
        PropertyFailed: they do not.
    """
    assert_finite(values, what=what)
    low, high = values.min().item(), values.max().item()
    if low > -1 or high < 1:
        fail(
            f"{values.numel()} values from a network with large random weights lie between {low:.3g} and {high:.3g},",
            f"but {what} may be any real number. Is there an activation after the last layer?",
        )


def assert_not_affine(function: Callable[[Tensor], Tensor], first: Tensor, last: Tensor) -> None:
    """Check that the value in the middle of two points is not always the middle of their values.

    Args:
        function: of a batch of points.
        first: several points (n, …).
        last: as many others, far from these.

    Raises:
        PropertyFailed: it is, for all n pairs.
    """
    start, end, middle = function(torch.cat([first, last, (first + last) / 2])).chunk(3)
    if not (middle - (start + end) / 2).abs().max() > 1e-3 * (start - end).abs().max():
        fail("The output halfway between two inputs is exactly halfway between their outputs: the network is affine.")


def assert_state_is_complete(first: nn.Module, second: nn.Module, call: Callable[[Any], Tensor]) -> None:
    """Check that two modules of the same class do the same once one has loaded the other's state_dict.

    Raises:
        PropertyFailed: they do not.
    """
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        expected, received = call(first.eval()), call(second.eval())
    hint = "a plain Python list hides layers from torch, and layers made in forward are new each time."
    assert_close(received, expected, tolerance=1e-4, what="the output of the second network", hint=hint)
