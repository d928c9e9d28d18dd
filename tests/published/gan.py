"""Published answers to `gradient_penalty`."""

import torch

from tests.published import altered, right


@right("gradient_penalty", "as the paper has it")
def as_in_the_paper(critic, real, fake, rng=None):
    eps = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng)
    x = (eps * real + (1 - eps) * fake).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()


norm_over_channels = altered(
    as_in_the_paper,
    "PyTorch-GAN#20, caogang/wgan-gp#25: the norm over channels only",
    {"slope.flatten(1).norm": "slope.norm"},
)
epsilon_per_pixel = altered(
    as_in_the_paper,
    "hwalsuklee#33: an ε for every pixel",
    {"torch.rand(len(real), *[1] * (real.ndim - 1), ": "torch.rand(real.shape, "},
)
epsilon_per_batch = altered(
    as_in_the_paper, "one ε for the batch", {"torch.rand(len(real), *[1] * (real.ndim - 1), ": "torch.rand((), "}
)
at_real = altered(as_in_the_paper, "at real samples only", {"eps * real + (1 - eps) * fake": "real + 0 * eps"})
without_graph = altered(
    as_in_the_paper,
    "no graph of the gradient: the critic never learns from it",
    {"create_graph=True": "create_graph=False"},
)
without_square = altered(as_in_the_paper, "the square is missing", {" ** 2": ""})
towards_zero = altered(as_in_the_paper, "the 1 is missing", {"dim=1) - 1)": "dim=1))"})
negative = altered(as_in_the_paper, "the sign", {"return ": "return -"})


@right("gradient_penalty", "a root that is finite at 0: sqrt(Σ + 1e-12)")
def with_a_safe_root(critic, real, fake, rng=None):
    eps = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng).to(real)
    x = (eps * real + (1 - eps) * fake).detach().requires_grad_(True)
    scores = critic(x)
    (slope,) = torch.autograd.grad(scores, x, torch.ones_like(scores), create_graph=True)
    norms = torch.sqrt(slope.square().flatten(1).sum(1) + 1e-12)
    return ((norms - 1) ** 2).mean()


@right("gradient_penalty", "ε from the other end, by lerp")
def from_the_other_end(critic, real, fake, rng=None):
    eps = torch.rand(len(real), generator=rng).to(real).reshape(-1, *[1] * (real.ndim - 1))
    x = torch.lerp(real, fake, eps).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return torch.nn.functional.mse_loss(slope.flatten(1).norm(dim=1), torch.ones(len(real)).to(real))


@right("gradient_penalty", "sample by sample")
def sample_by_sample(critic, real, fake, rng=None):
    eps = torch.rand(len(real), generator=rng).to(real)
    penalties = []
    for e, one, other in zip(eps, real.detach(), fake.detach(), strict=True):
        x = (e * one + (1 - e) * other).unsqueeze(0).requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        penalties.append((torch.einsum("i,i->", slope.flatten(), slope.flatten()).add(1e-16).sqrt() - 1) ** 2)
    return torch.stack(penalties).mean()
