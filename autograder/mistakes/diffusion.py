"""Known mistakes in `diffusion`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from autograder.mistakes import edited, mistake
from solutions import diffusion as reference

# ---- linear_beta_schedule


@mistake(
    "linear_beta_schedule",
    says="The values are the same for any number of steps: with few steps most of the signal is never destroyed.",
)
def linear_without_scaling(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    return torch.linspace(start, end, steps)


@mistake(
    "linear_beta_schedule",
    says="Fewer steps have smaller β, where each has to do more: the scale is the wrong way up.",
)
def linear_scaled_the_wrong_way(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    return (torch.linspace(start, end, steps) * steps / 1000).clamp(max=0.999)


@mistake(
    "linear_beta_schedule",
    says="The last value stops short of its end: count the distances between T values, there is one less.",
)
def linear_without_its_end(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    line = start + (end - start) * torch.arange(steps) / steps
    return (1000 / steps * line).clamp(max=0.999)


@mistake("linear_beta_schedule", says="β falls from step to step: the line goes from its end to its start.")
def linear_backwards(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    return (1000 / steps * torch.linspace(end, start, steps)).clamp(max=0.999)


@mistake(
    "linear_beta_schedule",
    says="The square roots of β lie on a line, not β itself: that is the schedule of Stable Diffusion.",
)
def linear_in_the_square_root(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    line = torch.linspace(start**0.5, end**0.5, steps) ** 2
    return (1000 / steps * line).clamp(max=0.999)


@mistake(
    "linear_beta_schedule", says="β grows by equal factors, not by equal differences: the logarithms are on a line."
)
def linear_in_the_logarithm(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    line = torch.logspace(math.log10(start), math.log10(end), steps)
    return (1000 / steps * line).clamp(max=0.999)


@mistake("linear_beta_schedule", says="With few steps β is greater than 1, and no variance can be: nothing limits it.")
def linear_without_a_limit(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    return 1000 / steps * torch.linspace(start, end, steps)


@mistake(
    "linear_beta_schedule",
    says="With few steps the whole line is flatter: its end is limited before the line is drawn, not its values.",
)
def linear_with_a_limited_end(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    scale = 1000 / steps
    return torch.linspace(min(0.999, scale * start), min(0.999, scale * end), steps)


@mistake(
    "linear_beta_schedule",
    says="The values fall from nearly 1: they are what is left of the signal, not what is added.",
)
def linear_alphas(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    return 1 - (1000 / steps * torch.linspace(start, end, steps)).clamp(max=0.999)


@mistake("linear_beta_schedule", says="There is one value more than there are steps.")
def linear_with_one_more(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    return (1000 / steps * torch.linspace(start, end, steps + 1)).clamp(max=0.999)


@mistake("linear_beta_schedule", says="`start` and `end` change nothing: the paper's values stand in their place.")
def linear_of_the_paper_only(steps: int, *, start: float = 1e-4, end: float = 0.02) -> Tensor:
    return (1000 / steps * torch.linspace(1e-4, 0.02, steps)).clamp(max=0.999)


# ---- alpha_bars


@mistake("alpha_bars", says="The values are those of single steps: what is left has to be multiplied up.")
def alpha_bars_of_single_steps(betas: Tensor) -> Tensor:
    return 1 - betas


@mistake("alpha_bars", says="β itself is multiplied up, where 1 − β is what a step leaves.")
def alpha_bars_of_beta(betas: Tensor) -> Tensor:
    return betas.cumprod(dim=0)


@mistake(
    "alpha_bars",
    says="ᾱ begins with 1 and ends one step too early: index 0 is one step of noise, not none.",
)
def alpha_bars_one_step_late(betas: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(betas[:1]), (1 - betas).cumprod(dim=0)[:-1]])


@mistake("alpha_bars", says="There is one value more than there are steps: a 1 stands in front.")
def alpha_bars_with_one_more(betas: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(betas[:1]), (1 - betas).cumprod(dim=0)])


@mistake("alpha_bars", says="What the steps take is added up, and falls below 0: it is a product, not a sum.")
def alpha_bars_by_a_sum(betas: Tensor) -> Tensor:
    return 1 - betas.cumsum(dim=0)


@mistake(
    "alpha_bars",
    says="The values are too large: these are the exponentials of −Σβ, which are near only where β is tiny.",
)
def alpha_bars_by_an_exponential(betas: Tensor) -> Tensor:
    return (-betas.cumsum(dim=0)).exp()


@mistake("alpha_bars", says="The values are square roots: ᾱ counts the signal's power, not its amplitude.")
def alpha_bars_of_amplitudes(betas: Tensor) -> Tensor:
    return (1 - betas).cumprod(dim=0).sqrt()


@mistake("alpha_bars", says="ᾱ grows from step to step: the product runs from the last step to the first.")
def alpha_bars_backwards(betas: Tensor) -> Tensor:
    return (1 - betas).flip(0).cumprod(dim=0).flip(0)


# ---- cosine_beta_schedule


@mistake(
    "cosine_beta_schedule",
    says="The values fall from nearly 1 to 0: they are ᾱ itself, and β follows from the ratio of two neighbours.",
)
def cosine_alpha_bars(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(1, steps + 1) / steps
    f = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** 2
    return f / math.cos(offset / (1 + offset) * math.pi / 2) ** 2


@mistake("cosine_beta_schedule", says="Too much signal is left: the cosine is not squared.")
def cosine_not_squared(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = ((u + offset) / (1 + offset) * math.pi / 2).cos()
    return (1 - f[1:] / f[:-1]).clamp(max=0.999).float()


@mistake("cosine_beta_schedule", says="The offset changes nothing: the curve is the same whatever s is.")
def cosine_without_offset(steps: int, *, offset: float = 0.008) -> Tensor:
    f = (torch.arange(steps + 1, dtype=torch.float64) / steps * math.pi / 2).cos() ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999).float()


@mistake(
    "cosine_beta_schedule",
    says="The angle goes beyond a quarter turn, since it is not divided by 1 + s: near the end β is wrong.",
)
def cosine_not_normalised(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = ((u + offset) * math.pi / 2).cos() ** 2
    return (1 - f[1:] / f[:-1]).clamp(0.0, 0.999).float()


@mistake(
    "cosine_beta_schedule",
    says="The curve is stretched by one step: T + 1 points lie at t/T, and here they lie elsewhere.",
)
def cosine_with_a_step_too_many(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps + 1, dtype=torch.float64) / (steps + 1)
    f = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999).float()


@mistake(
    "cosine_beta_schedule",
    says="β is a step late and begins with 0: for t the ratio of f at t + 1 and at t is asked for.",
)
def cosine_a_step_late(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps, dtype=torch.float64) / steps
    f = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** 2
    alpha_bar = f / f[0]
    return torch.cat([torch.zeros(1, dtype=torch.float64), 1 - alpha_bar[1:] / alpha_bar[:-1]]).clamp(max=0.999).float()


@mistake(
    "cosine_beta_schedule",
    says="The last β is 1, which leaves nothing at all to divide by: it is not limited to 0.999.",
)
def cosine_without_a_limit(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** 2
    return (1 - f[1:] / f[:-1]).float()


@mistake(
    "cosine_beta_schedule",
    says="The values are differences of ᾱ between steps: β is a ratio, relative to what was left.",
)
def cosine_by_differences(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** 2
    return ((f[:-1] - f[1:]) / f[0]).clamp(max=0.999).float()


@mistake("cosine_beta_schedule", says="The angle goes to a half turn instead of a quarter: π stands where π/2 belongs.")
def cosine_to_a_half_turn(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = ((u + offset) / (1 + offset) * math.pi).cos() ** 2
    return (1 - f[1:] / f[:-1]).clamp(0.0, 0.999).float()


@mistake("cosine_beta_schedule", says="There is one value more than there are steps.")
def cosine_with_one_more(steps: int, *, offset: float = 0.008) -> Tensor:
    u = torch.arange(steps + 2, dtype=torch.float64) / (steps + 1)
    f = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999).float()


# ---- signal_to_noise


@mistake("signal_to_noise", says="The ratio is upside down: the noise's power stands above the signal's.")
def snr_upside_down(alpha_bar: Tensor) -> Tensor:
    return (1 - alpha_bar) / alpha_bar


@mistake("signal_to_noise", says="The values are ratios of amplitudes: a ratio of powers has no roots.")
def snr_of_amplitudes(alpha_bar: Tensor) -> Tensor:
    return alpha_bar.sqrt() / (1 - alpha_bar).sqrt()


@mistake("signal_to_noise", says="The values are logarithms: at an ᾱ of ½ the ratio is 1, and here it is 0.")
def snr_in_logarithms(alpha_bar: Tensor) -> Tensor:
    return (alpha_bar / (1 - alpha_bar)).log()


@mistake("signal_to_noise", says="The values are in decibels, and a plain ratio was asked for.")
def snr_in_decibels(alpha_bar: Tensor) -> Tensor:
    return 10 * (alpha_bar / (1 - alpha_bar)).log10()


@mistake("signal_to_noise", says="The values are squares of the ratio: ᾱ is a power already.")
def snr_squared(alpha_bar: Tensor) -> Tensor:
    return (alpha_bar / (1 - alpha_bar)) ** 2


@mistake("signal_to_noise", says="The signal's power is divided by the noise's amplitude: there is one root too many.")
def snr_over_an_amplitude(alpha_bar: Tensor) -> Tensor:
    return alpha_bar / (1 - alpha_bar).sqrt()


# ---- q_sample


@mistake("q_sample", says="Data and noise are multiplied by ᾱ and 1 − ᾱ themselves: the square roots are missing.")
def forward_without_roots(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (x0.ndim - 1))
    return left * x0 + (1 - left) * noise


@mistake(
    "q_sample", says="The noise is multiplied by its variance: it takes the standard deviation, the root of 1 − ᾱ."
)
def forward_with_the_variance(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (x0.ndim - 1))
    return left.sqrt() * x0 + (1 - left) * noise


@mistake("q_sample", says="The two factors have changed places: at early times there is more noise than data.")
def forward_with_swapped_factors(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (x0.ndim - 1))
    return (1 - left).sqrt() * x0 + left.sqrt() * noise


@mistake("q_sample", says="The noise factor is 1 minus the root: the root belongs around the whole of 1 − ᾱ.")
def forward_with_the_root_inside(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    root = alpha_bar[t].view(-1, *[1] * (x0.ndim - 1)).sqrt()
    return root * x0 + (1 - root) * noise


@mistake("q_sample", says="The data come through undiminished: noise is added to them, but they are not faded.")
def forward_without_fading(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (x0.ndim - 1))
    return x0 + (1 - left).sqrt() * noise


@mistake("q_sample", says="There is one step of noise too few: index 0 is one step of noise, not none.")
def forward_one_step_late(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    before = torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])
    left = before[t].view(-1, *[1] * (x0.ndim - 1))
    return left.sqrt() * x0 + (1 - left).sqrt() * noise


@mistake("q_sample", says="The product over steps is taken twice: ᾱ, which is passed in, is a product already.")
def forward_with_the_product_twice(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar.cumprod(dim=0)[t].view(-1, *[1] * (x0.ndim - 1))
    return left.sqrt() * x0 + (1 - left).sqrt() * noise


@mistake("q_sample", says="The whole batch is given the time of its first data point: each has its own.")
def forward_at_one_time(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t[0]]
    return left.sqrt() * x0 + (1 - left).sqrt() * noise


@mistake(
    "q_sample", says="The times run along the last dimension of the data: a time belongs to a data point, in the first."
)
def forward_with_times_in_the_last_dimension(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t]
    return left.sqrt() * x0 + (1 - left).sqrt() * noise


@mistake(
    "q_sample",
    says="The same arguments give different data: fresh noise is drawn, and the noise passed in goes unused.",
)
def forward_with_noise_of_its_own(x0: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (x0.ndim - 1))
    return left.sqrt() * x0 + (1 - left).sqrt() * torch.randn_like(x0)


# ---- predict_x0


@mistake("predict_x0", says="ᾱ and 1 − ᾱ are used as they are: the square roots are missing.")
def x0_without_roots(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    x0 = (xt - (1 - left) * noise) / left
    return x0 if clip is None else x0.clamp(-clip, clip)


@mistake(
    "predict_x0", says="The noise is taken out, but what is left is not scaled up again: it is divided by nothing."
)
def x0_not_scaled_up(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    x0 = xt - (1 - left).sqrt() * noise
    return x0 if clip is None else x0.clamp(-clip, clip)


@mistake("predict_x0", says="The noise is not scaled before it is taken out: at time t its variance is 1 − ᾱ, not 1.")
def x0_with_unscaled_noise(
    xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None
) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    x0 = (xt - noise) / left.sqrt()
    return x0 if clip is None else x0.clamp(-clip, clip)


@mistake("predict_x0", says="The noise is added where it has to be taken out.")
def x0_plus_noise(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    x0 = (xt + (1 - left).sqrt() * noise) / left.sqrt()
    return x0 if clip is None else x0.clamp(-clip, clip)


@mistake("predict_x0", says="Only the data term is divided by the root of ᾱ: the fraction is over both.")
def x0_with_half_a_fraction(
    xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None
) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    x0 = xt / left.sqrt() - (1 - left).sqrt() * noise
    return x0 if clip is None else x0.clamp(-clip, clip)


@mistake("predict_x0", says="Estimates are as large as they like: `clip` has no effect.")
def x0_without_clip(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    return (xt - (1 - left).sqrt() * noise) / left.sqrt()


@mistake("predict_x0", says="Estimates are confined to [−1, 1] always: `clip` says to what, and whether at all.")
def x0_always_clipped(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    return ((xt - (1 - left).sqrt() * noise) / left.sqrt()).clamp(-1, 1)


@mistake("predict_x0", says="Negative values become 0: the range reaches to both sides, from −clip to clip.")
def x0_clipped_at_zero(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    x0 = (xt - (1 - left).sqrt() * noise) / left.sqrt()
    return x0 if clip is None else x0.clamp(0, clip)


@mistake("predict_x0", says="The estimate is confined before it is scaled up, and comes out larger than `clip`.")
def x0_clipped_too_early(
    xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None
) -> Tensor:
    left = alpha_bar[t].view(-1, *[1] * (xt.ndim - 1))
    signal = xt - (1 - left).sqrt() * noise
    return (signal if clip is None else signal.clamp(-clip, clip)) / left.sqrt()


@mistake("predict_x0", says="The whole batch is given the time of its first data point: each has its own.")
def x0_at_one_time(xt: Tensor, t: Tensor, noise: Tensor, alpha_bar: Tensor, *, clip: float | None = None) -> Tensor:
    left = alpha_bar[t[0]]
    x0 = (xt - (1 - left).sqrt() * noise) / left.sqrt()
    return x0 if clip is None else x0.clamp(-clip, clip)


# ---- posterior_mean_variance

posterior_that_wraps_around = edited(
    reference.posterior_mean_variance,
    {"torch.where(t > 0, alpha_bar[(t - 1).clamp(min=0)], 1.0)": "alpha_bar[t - 1]"},
    says="At the first step what stands before is taken from the far end of the schedule: index −1 is its last.",
)
posterior_that_never_arrives = edited(
    reference.posterior_mean_variance,
    {"torch.where(t > 0, alpha_bar[(t - 1).clamp(min=0)], 1.0)": "alpha_bar[(t - 1).clamp(min=0)]"},
    says="At time 0 the variance is not 0: what stands before the first step is the clean data, where ᾱ is 1.",
)
posterior_with_swapped_weights = edited(
    reference.posterior_mean_variance,
    {"of_x0.view(shape) * x0 + of_xt.view(shape) * xt": "of_xt.view(shape) * x0 + of_x0.view(shape) * xt"},
    says="The weights of x0 and of xt have changed places.",
)
posterior_with_the_variance_of_the_step = edited(
    reference.posterior_mean_variance,
    {"return mean, beta * (1 - before) / (1 - here)": "return mean, beta"},
    says="The variance is β itself: knowing x0 makes it smaller, and at time 0 nothing is left of it.",
)
posterior_with_standard_deviations = edited(
    reference.posterior_mean_variance,
    {
        "return mean, beta * (1 - before) / (1 - here)": "return mean, (beta * (1 - before) / (1 - here)).sqrt()",
    },
    says="Standard deviations came back, and variances were asked for: there is a root too many.",
)
posterior_with_logarithms = edited(
    reference.posterior_mean_variance,
    {
        "return mean, beta * (1 - before) / (1 - here)": "return mean, "
        "(beta * (1 - before) / (1 - here)).clamp(min=1e-20).log()",
    },
    says="The logarithm of the variance came back, and the variance itself was asked for.",
)
posterior_without_roots = edited(
    reference.posterior_mean_variance,
    {"before.sqrt() * beta": "before * beta", "(1 - beta).sqrt() *": "(1 - beta) *"},
    says="The mean is too small after the first step: the square roots are missing in its weights.",
)
posterior_with_the_present_twice = edited(
    reference.posterior_mean_variance,
    {"of_x0 = before.sqrt()": "of_x0 = here.sqrt()"},
    says="The weight of x0 is too small: it has the root of ᾱ a step earlier, not that of now.",
)
posterior_with_alpha_bar_for_alpha = edited(
    reference.posterior_mean_variance,
    {"of_xt = (1 - beta).sqrt()": "of_xt = here.sqrt()"},
    says="The weight of xt is too small: it has the root of 1 − β, that of one step, not the product of all.",
)
posterior_with_the_step_before = edited(
    reference.posterior_mean_variance,
    {"beta, here = betas[t].to(xt.dtype),": "beta, here = betas[(t - 1).clamp(min=0)].to(xt.dtype),"},
    says="β is that of the step before: was t counted down before β was looked up?",
)
posterior_with_a_variance_for_each_element = edited(
    reference.posterior_mean_variance,
    {
        "return mean, beta * (1 - before) / (1 - here)": "return mean, "
        "(beta * (1 - before) / (1 - here)).view(shape).expand_as(xt)",
    },
    says="The variance has the shape of the data: one number for each data point is asked for.",
)
posterior_at_one_time = edited(
    reference.posterior_mean_variance,
    {
        "    shape = (-1, *[1] * (xt.ndim - 1))\n": "    shape = (-1, *[1] * (xt.ndim - 1))\n"
        "    beta, here, before = (part[:1].expand(len(t)) for part in (beta, here, before))\n"
    },
    says="The whole batch is given the time of its first data point: each has its own.",
)

# ---- ddpm_loss

loss_against_the_data = edited(
    reference.ddpm_loss,
    {"- noise)": "- x0)"},
    says="The model is compared with the clean data: it is the noise that it has to tell.",
)
loss_against_the_noisy_data = edited(
    reference.ddpm_loss,
    {"- noise)": "- xt)"},
    says="The model is compared with what it was given: it has to tell the noise in it.",
)
loss_against_fresh_noise = edited(
    reference.ddpm_loss,
    {"- noise)": "- torch.randn_like(noise))"},
    says="The model is compared with new noise that it never saw: the noise that was mixed in is the one to find.",
)
loss_on_clean_data = edited(
    reference.ddpm_loss,
    {"model(xt, t)": "model(x0, t)"},
    says="The model is shown the clean data: nothing was mixed in that it could find.",
)
loss_at_fractions_of_time = edited(
    reference.ddpm_loss,
    {"model(xt, t)": "model(xt, t / len(alpha_bar))"},
    says="The model is given fractions as times: it takes t as it is.",
)
loss_summed_over_elements = edited(
    reference.ddpm_loss,
    {
        ".square().mean()": ".square().flatten(1).sum(1).mean() if x0.ndim > 1 else (model(xt, t) - noise).square().mean()"
    },
    says="The squares are summed over the elements of a data point, where they should be averaged.",
)
loss_summed_over_everything = edited(
    reference.ddpm_loss,
    {".square().mean()": ".square().sum()"},
    says="The loss grows with the batch: a sum stands where the mean was asked for.",
)
loss_with_a_root = edited(
    reference.ddpm_loss,
    {".square().mean()": ".square().mean().sqrt()"},
    says="The loss is the root of the mean square: the paper's has no root.",
)
loss_with_absolute_errors = edited(
    reference.ddpm_loss,
    {".square().mean()": ".abs().mean()"},
    says="Errors count by their size, not by their square.",
)
loss_with_a_half = edited(
    reference.ddpm_loss,
    {".square().mean()": ".square().mean() / 2"},
    says="The loss is half of what it should be.",
)
loss_of_each_data_point = edited(
    reference.ddpm_loss,
    {".square().mean()": ".square().flatten(1).mean(1) if x0.ndim > 1 else (model(xt, t) - noise).square()"},
    says="One loss came for each data point: an optimiser needs a single number, the mean.",
)

# ---- timestep_embedding


@mistake("timestep_embedding", says="Sines and cosines alternate: all sines come first, then all cosines.")
def embedding_interleaved(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    half = dim // 2
    angles = t[:, None] * max_period ** (-torch.arange(half) / half)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


@mistake("timestep_embedding", says="The cosines come first: the first half of a row are the sines.")
def embedding_with_cosines_first(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    half = dim // 2
    angles = t[:, None] * max_period ** (-torch.arange(half) / half)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


@mistake(
    "timestep_embedding",
    says="The waves slow down too fast: the exponent is divided by half − 1, as in older code, not by half.",
)
def embedding_with_one_less(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    half = dim // 2
    angles = t[:, None] * max_period ** (-torch.arange(half) / max(1, half - 1))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@mistake(
    "timestep_embedding",
    says="The waves do not slow down enough: the exponent is divided by dim, twice as much as half.",
)
def embedding_divided_by_dim(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    angles = t[:, None] * max_period ** (-torch.arange(dim // 2) / dim)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@mistake("timestep_embedding", says="The waves become faster, not slower: the sign of the exponent is missing.")
def embedding_speeding_up(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    half = dim // 2
    angles = t[:, None] * max_period ** (torch.arange(half, dtype=torch.float64) / half)
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


@mistake("timestep_embedding", says="The waves are the same whatever `max_period` is.")
def embedding_of_one_period(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    half = dim // 2
    angles = t[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@mistake(
    "timestep_embedding", says="Frequencies fall in equal differences: they should fall by one factor, like octaves."
)
def embedding_with_even_frequencies(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    half = dim // 2
    angles = t[:, None] * torch.linspace(1, 1 / max_period, half)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@mistake(
    "timestep_embedding",
    says="Each wave is a full turn for each unit of time: the angle is t times the frequency, without 2π.",
)
def embedding_in_full_turns(t: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    half = dim // 2
    angles = 2 * math.pi * t[:, None] * max_period ** (-torch.arange(half) / half)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


# ---- train_diffusion

training_without_steps = edited(
    reference.train_diffusion,
    {"            optimizer.step()\n": ""},
    says="No weight has moved: gradients are computed, but no step is taken.",
)
training_with_gradients_that_pile_up = edited(
    reference.train_diffusion,
    {"            optimizer.zero_grad()\n": ""},
    says="Gradients pile up from step to step: they are never set back to zero.",
)
training_by_plain_gradient_descent = edited(
    reference.train_diffusion,
    {"torch.optim.Adam": "torch.optim.SGD"},
    says="The steps are those of plain gradient descent, and Adam was asked for.",
)
training_in_order = edited(
    reference.train_diffusion,
    {"torch.randperm(len(images), generator=generator)": "torch.arange(len(images))"},
    says="The images come in the same order in every epoch: nothing shuffles them.",
)
training_with_an_order_from_elsewhere = edited(
    reference.train_diffusion,
    {"torch.randperm(len(images), generator=generator)": "torch.randperm(len(images))"},
    says="Two runs with equal generators take the images in different orders: the order comes from elsewhere.",
)
training_with_times_from_elsewhere = edited(
    reference.train_diffusion,
    {"torch.randint(len(alpha_bar), (len(x0),), generator=generator)": "torch.randint(len(alpha_bar), (len(x0),))"},
    says="Two runs with equal generators have different times: they come from elsewhere.",
)
training_with_noise_from_elsewhere = edited(
    reference.train_diffusion,
    {"torch.randn(x0.shape, generator=generator)": "torch.randn(x0.shape)"},
    says="Two runs with equal generators differ in their noise: it comes from elsewhere.",
)
training_with_uniform_noise = edited(
    reference.train_diffusion,
    {"torch.randn(x0.shape": "torch.rand(x0.shape"},
    says="The noise lies between 0 and 1: it is uniform, where standard normal noise was asked for.",
)
training_with_shared_noise = edited(
    reference.train_diffusion,
    {"torch.randn(x0.shape, generator=generator)": "torch.randn(x0.shape[1:], generator=generator).expand(x0.shape)"},
    says="All images of a minibatch share one noise: each needs its own.",
)
training_at_one_time = edited(
    reference.train_diffusion,
    {"(len(x0),), generator=generator)": "(1,), generator=generator).expand(len(x0))"},
    says="All images of a minibatch have the same time: each needs its own.",
)
training_never_at_the_last_time = edited(
    reference.train_diffusion,
    {"torch.randint(len(alpha_bar), (len(x0),)": "torch.randint(len(alpha_bar) - 1, (len(x0),)"},
    says="The last time never comes, so the model is never shown pure noise: the upper end of a draw is not drawn.",
)
training_never_at_the_first_time = edited(
    reference.train_diffusion,
    {"torch.randint(len(alpha_bar), (len(x0),)": "torch.randint(1, len(alpha_bar), (len(x0),)"},
    says="Time 0 never comes: times count from 0, which is one step of noise.",
)
training_that_drops_the_rest = edited(
    reference.train_diffusion,
    {
        "            x0 = images[rows.to(images.device)]\n": "            if len(rows) < batch_size:\n"
        "                continue\n"
        "            x0 = images[rows.to(images.device)]\n"
    },
    says="The last minibatch of an epoch is left out when it is smaller than the others.",
)
training_that_averages_minibatches = edited(
    reference.train_diffusion,
    {
        "value.item() * len(x0)": "value.item()",
        "total / len(images)": "total / -(-len(images) // batch_size)",
    },
    says="The small last minibatch counts as much as a full one: the mean is over data points.",
)

# ---- ddpm_step

_NOISY_TAIL = "mean + variance.sqrt().view(-1, *[1] * (xt.ndim - 1)) * noise"
ddpm_with_noise_at_the_end = edited(
    reference.ddpm_step,
    {
        _NOISY_TAIL: "mean + variance.where(t > 0, betas[t]).sqrt().view(-1, *[1] * (xt.ndim - 1)) * noise",
    },
    says="The last step adds noise, which stays in the result: at time 0 nothing is added.",
)
ddpm_with_the_larger_variance = edited(
    reference.ddpm_step,
    {_NOISY_TAIL: "mean + ((t > 0) * betas[t]).sqrt().view(-1, *[1] * (xt.ndim - 1)) * noise"},
    says="Too much noise is added: its variance is β, the larger of the paper's two choices, and the smaller was asked for.",
)
ddpm_with_the_variance_for_its_root = edited(
    reference.ddpm_step,
    {"variance.sqrt()": "variance"},
    says="Too little noise is added: it is multiplied by the variance, not by its root.",
)
ddpm_without_noise = edited(
    reference.ddpm_step,
    {_NOISY_TAIL: "mean"},
    says="No noise is added: the mean of the posterior came back, not a draw from it.",
)
ddpm_with_unscaled_noise = edited(
    reference.ddpm_step,
    {_NOISY_TAIL: "mean + (t > 0).to(xt.dtype).view(-1, *[1] * (xt.ndim - 1)) * noise"},
    says="The noise is added as it was drawn: it is not scaled to the posterior's variance.",
)
ddpm_with_noise_of_its_own = edited(
    reference.ddpm_step,
    {_NOISY_TAIL: _NOISY_TAIL.replace("* noise", "* torch.randn_like(xt)")},
    says="The same arguments give different results: fresh noise is drawn, and the noise passed in goes unused.",
)
ddpm_without_clip = edited(
    reference.ddpm_step,
    {"clip=clip)": "clip=None)"},
    says="`clip` has no effect.",
)
ddpm_that_clips_the_result = edited(
    reference.ddpm_step,
    {
        "clip=clip)": "clip=None)",
        f"return {_NOISY_TAIL}": f"x = {_NOISY_TAIL}\n    return x if clip is None else x.clamp(-clip, clip)",
    },
    says="The result is confined: it is the predicted x0 that `clip` is about, and noisy data may lie beyond.",
)
ddpm_with_the_noise_as_data = edited(
    reference.ddpm_step,
    {"posterior(x0, xt,": "posterior(predicted, xt,"},
    says="The predicted noise is used as if it were the clean data: x0 has to be worked out from it.",
)
ddpm_straight_to_the_data = edited(
    reference.ddpm_step,
    {_NOISY_TAIL: _NOISY_TAIL.replace("mean +", "x0 +")},
    says="Each step leaps to the predicted x0 itself: it should go only to the mean of the posterior.",
)
ddpm_at_the_time_of_the_first = edited(
    reference.ddpm_step,
    {_NOISY_TAIL: "mean + (variance.sqrt().view(-1, *[1] * (xt.ndim - 1)) * noise if t[0] > 0 else 0)"},
    says="Whether noise is added depends on the time of the first data point alone: each has its own.",
)


@mistake(
    "ddpm_step",
    says="The step is divided by the root of ᾱ, the product of all steps: one step is undone, so it takes the root of 1 − β.",
)
def ddpm_with_alpha_bar_for_alpha(
    xt: Tensor,
    t: Tensor,
    predicted: Tensor,
    noise: Tensor,
    betas: Tensor,
    alpha_bar: Tensor,
    *,
    clip: float | None = None,
    predict=None,
    posterior=None,
) -> Tensor:
    beta, here = (part[t].view(-1, *[1] * (xt.ndim - 1)) for part in (betas, alpha_bar))
    x0 = predict(xt, t, predicted, alpha_bar, clip=clip)
    left = (xt - here.sqrt() * x0) / (1 - here).sqrt()
    mean = (xt - beta / (1 - here).sqrt() * left) / here.sqrt()
    _, variance = posterior(x0, xt, t, betas, alpha_bar)
    return mean + variance.sqrt().view(-1, *[1] * (xt.ndim - 1)) * noise


# ---- generate

walk_upwards = edited(
    reference.generate,
    {"zip(times, [*times[1:], -1], strict=True)": "zip(times[::-1], [*times[::-1][1:], -1], strict=True)"},
    says="The times are walked in the wrong order: the list begins with the latest, where the noise is.",
)
walk_that_stops_early = edited(
    reference.generate,
    {"zip(times, [*times[1:], -1], strict=True)": "zip(times, times[1:])"},
    says="One step is missing: the last time of the list takes a step, too, to the clean data.",
)
walk_by_single_steps = edited(
    reference.generate,
    {"[*times[1:], -1]": "[time - 1 for time in times]"},
    says="Each step is told to go to the time before: the next time of the list may lie further.",
)
walk_that_ends_at_zero = edited(
    reference.generate,
    {"[*times[1:], -1]": "[*times[1:], 0]"},
    says="The last step is told to go to time 0, which is one step of noise: clean data are −1.",
)
walk_on_the_spot = edited(
    reference.generate,
    {"torch.full_like(t, then)": "t"},
    says="Each step is told to go where it is.",
)
walk_with_the_first_noise = edited(
    reference.generate,
    {
        "    with torch.no_grad():\n": "    start = x\n    with torch.no_grad():\n",
        "model(x, t))": "model(start, t))",
    },
    says="The model is asked about the noise of the beginning each time: it has to see what the last step gave.",
)
walk_with_a_graph = edited(
    reference.generate,
    {"with torch.no_grad():": "if True:", "return x.detach()": "return x"},
    says="The result still carries a graph: it requires grad.",
)
walk_with_times_for_one = edited(
    reference.generate,
    {"torch.full((len(x),), time, device=x.device)": "torch.tensor([time], device=x.device)"},
    says="There is one time for the whole batch: model and step take a time for each data point.",
)
walk_with_fractional_times = edited(
    reference.generate,
    {"torch.full((len(x),), time, device=x.device)": "torch.full((len(x),), float(time), device=x.device)"},
    says="Times are passed as fractional numbers: they are indices, whole numbers of 64 bits.",
)

# ---- ddim_step

ddim_by_single_steps = edited(
    reference.ddim_step,
    {"following >= 0, alpha_bar[following.clamp(min=0)]": "t > 0, alpha_bar[(t - 1).clamp(min=0)]"},
    says="Each leap goes to the time before, whatever `following` is.",
)
ddim_that_wraps_around = edited(
    reference.ddim_step,
    {"torch.where(following >= 0, alpha_bar[following.clamp(min=0)], 1.0)": "alpha_bar[following]"},
    says="The last leap goes to the far end of the schedule: index −1 is its last, and clean data have ᾱ equal to 1.",
)
ddim_that_never_arrives = edited(
    reference.ddim_step,
    {"torch.where(following >= 0, alpha_bar[following.clamp(min=0)], 1.0)": "alpha_bar[following.clamp(min=0)]"},
    says="The last leap leaves noise in the result: it goes to time 0, and clean data have ᾱ equal to 1.",
)
ddim_with_too_much_noise = edited(
    reference.ddim_step,
    {"(1 - there - sigma.square())": "(1 - there)"},
    says="With eta above 0 the result has too much noise: what is added anew is not taken off the old.",
)
ddim_without_eta = edited(
    reference.ddim_step,
    {"eta * (": "0 * ("},
    says="eta has no effect: no new noise is ever added.",
)
ddim_always_with_noise = edited(
    reference.ddim_step,
    {"eta * (": "(1.0 if noise is not None else 0.0) * ("},
    says="Noise is added as if eta were 1 whenever it is passed in.",
)
ddim_with_the_variance_for_its_root = edited(
    reference.ddim_step,
    {"(1 - here / there)).sqrt()": "(1 - here / there))"},
    says="With eta above 0 too little new noise is added: σ is the root of what is computed.",
)
ddim_with_eta_under_the_root = edited(
    reference.ddim_step,
    {
        "eta * ((1 - there) / (1 - here) * (1 - here / there)).sqrt()": (
            "(eta * (1 - there) / (1 - here) * (1 - here / there)).sqrt()"
        )
    },
    says="Between 0 and 1 eta has too much effect: it multiplies σ, not its square.",
)
ddim_in_the_old_direction = edited(
    reference.ddim_step,
    {"(1 - there - sigma.square())": "(1 - here - sigma.square())"},
    says="As much of the predicted noise is put back as was there before: less belongs to the time that follows.",
)
ddim_without_the_direction = edited(
    reference.ddim_step,
    {"(1 - there - sigma.square()).clamp(min=0).sqrt() * left": "0 * left"},
    says="The predicted noise is taken out and none put back: before the end some belongs there.",
)
ddim_without_roots = edited(
    reference.ddim_step,
    {"x = there.sqrt() * x0": "x = there * x0"},
    says="The predicted x0 comes out too faint: it takes the root of ᾱ, not ᾱ itself.",
)
ddim_without_clip = edited(
    reference.ddim_step,
    {"clip=clip)": "clip=None)"},
    says="The predicted x0 is never confined, though ε is computed as if it were: `clip` does not reach it.",
)
ddim_with_the_unconfined_noise = edited(
    reference.ddim_step,
    {"predicted if clip is None else (xt - here.sqrt() * x0) / (1 - here).sqrt()": "predicted"},
    says="With clip the model's own noise is put back: ε should follow from the confined x0.",
)
ddim_at_one_time = edited(
    reference.ddim_step,
    {"alpha_bar[following.clamp(min=0)], 1.0)": "alpha_bar[following.clamp(min=0)], 1.0)[:1]"},
    says="The whole batch leaps to the time of its first data point: each has its own.",
)

# ---- guided_noise


def _guided(formula: str, says: str, **more: str):
    return edited(
        reference.guided_noise,
        {"unconditional + scale * (conditional - unconditional)": formula, **more},
        says=says,
    )


guidance_the_wrong_way = _guided(
    "conditional + scale * (unconditional - conditional)",
    "The labels push the wrong way: the noise goes from conditional to unconditional.",
)
guidance_of_the_paper = _guided(
    "(1 + scale) * conditional - scale * unconditional",
    "The effect is one unit too strong, and scale 0 still follows the labels: the paper's w is scale − 1.",
)
guidance_added_up = _guided(
    "unconditional + scale * conditional",
    "The whole conditional noise is added, where its difference from the unconditional one belongs.",
)
guidance_scaled_as_a_whole = _guided(
    "scale * (unconditional + (conditional - unconditional))",
    "The conditional noise is multiplied by scale: at scale 0 nothing is left of it.",
)
guidance_without_a_scale = _guided(
    "conditional",
    "Scale has no effect: the plain conditional noise came back.",
)
guidance_with_label_zero = edited(
    reference.guided_noise,
    {"torch.full_like(labels, null)": "torch.zeros_like(labels)"},
    says="Label 0 stands for no condition: the label that does is `null`.",
)
guidance_with_the_labels_twice = edited(
    reference.guided_noise,
    {"torch.full_like(labels, null)": "labels"},
    says="Both calls of the model get the labels, so scale has nothing to work with.",
)
guidance_cut_off = edited(
    reference.guided_noise,
    {
        "    conditional = model(xt, t, labels)\n": "    with torch.no_grad():\n"
        "        conditional = model(xt, t, labels)\n",
        "    unconditional = model(": "        unconditional = model(",
    },
    says="No gradient comes back from the guided noise to the model.",
)

# ---- cross_attention

attention_without_scale = edited(
    reference.cross_attention,
    {" / math.sqrt(q.shape[3])": ""},
    says="Attention is too sharp: the scores are not divided by √d.",
)
attention_scaled_by_all_heads = edited(
    reference.cross_attention,
    {"math.sqrt(q.shape[3])": "math.sqrt(len(to_q))"},
    says="With several heads attention is too soft: scores are divided by the root of all channels, not of one head's.",
)
attention_divided_by_d = edited(
    reference.cross_attention,
    {"math.sqrt(q.shape[3])": "q.shape[3]"},
    says="Attention is too soft: the scores are divided by d, not by its root.",
)
attention_over_pixels = edited(
    reference.cross_attention,
    {"scores.softmax(dim=3)": "scores.softmax(dim=2)"},
    says="The shares of one pixel do not add up to 1: the softmax runs over pixels, not over words.",
)
attention_without_softmax = edited(
    reference.cross_attention,
    {"scores.softmax(dim=3)": "scores.masked_fill(scores.isinf(), 0)"},
    says="The scores themselves are the weights: a softmax is missing.",
)
attention_without_mask = edited(
    reference.cross_attention,
    {"if mask is not None:": "if False:"},
    says="Padding is read like any word: the mask has no effect.",
)
attention_with_the_mask_inverted = edited(
    reference.cross_attention,
    {"~mask[": "mask["},
    says="Words are hidden and padding is read: True marks what may be looked at.",
)
attention_masked_with_zero = edited(
    reference.cross_attention,
    {"-torch.inf": "0.0"},
    says="Padding still gets a share: a score of 0 is not the lowest, and only −∞ leaves nothing.",
)
attention_masked_too_late = edited(
    reference.cross_attention,
    {
        "    if mask is not None:\n": "",
        "        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)\n": (
            "    shares = scores.softmax(dim=3)\n    if mask is not None:\n"
            "        shares = shares * mask[:, None, None]\n"
        ),
        "scores.softmax(dim=3) @ v": "shares @ v",
    },
    says="Next to padding the shares do not add up to 1: it is masked after the softmax.",
)
attention_with_heads_mixed_up = edited(
    reference.cross_attention,
    {".transpose(1, 2).flatten(2)": ".flatten(1, 2).reshape(*x.shape[:2], -1)"},
    says="With several heads pixels and heads are mixed up in the result: heads were merged before being put side by side.",
)
attention_with_interleaved_heads = edited(
    reference.cross_attention,
    {".unflatten(2, (heads, -1)).transpose(1, 2)": ".unflatten(2, (-1, heads)).permute(0, 3, 1, 2)"},
    says="Each head takes every second or third channel: a head owns channels that stand side by side.",
)
attention_that_reads_keys = edited(
    reference.cross_attention,
    {"(context, to_v)": "(context, to_k)"},
    says="Keys are read in place of values.",
)

# ---- to_latents


@mistake("to_latents", says="The encoder is given pixels from 0 to 1: it expects them from −1 to 1.")
def latents_of_pixels_from_zero(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    mu, logvar = encode(images)
    return scale * (mu + (0.5 * logvar).exp() * noise)


@mistake("to_latents", says="Latents are divided by the scale: this way it is a multiplication.")
def latents_divided(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    mu, logvar = encode(2 * images - 1)
    return (mu + (0.5 * logvar).exp() * noise) / scale


@mistake("to_latents", says="The scale has no effect.")
def latents_without_scale(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    mu, logvar = encode(2 * images - 1)
    return mu + (0.5 * logvar).exp() * noise


@mistake("to_latents", says="The scale reaches the mean, but not the noise: it multiplies the whole draw.")
def latents_with_half_a_scale(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    mu, logvar = encode(2 * images - 1)
    return scale * mu + (0.5 * logvar).exp() * noise


@mistake("to_latents", says="The spread of the latents is σ² instead of σ: a factor is missing in the exponent.")
def latents_spread_by_the_variance(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    mu, logvar = encode(2 * images - 1)
    return scale * (mu + logvar.exp() * noise)


@mistake("to_latents", says="The noise changes nothing: the latents are the means.")
def latents_without_noise(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    mu, _ = encode(2 * images - 1)
    return scale * mu


@mistake("to_latents", says="What the encoder returns is taken in the wrong order: mu comes first, then logvar.")
def latents_with_swapped_outputs(images: Tensor, encode: Callable, noise: Tensor, *, scale: float) -> Tensor:
    logvar, mu = encode(2 * images - 1)
    return scale * (mu + (0.5 * logvar).exp() * noise)


# ---- from_latents


@mistake("from_latents", says="The latents are multiplied by the scale once more: the way back divides.")
def images_multiplied(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return ((decode(latents * scale) + 1) / 2).clamp(0, 1)


@mistake("from_latents", says="The decoder is given the latents with their scale: it has to be taken off before.")
def images_of_scaled_latents(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return ((decode(latents) + 1) / 2).clamp(0, 1)


@mistake("from_latents", says="The images are divided by the scale, not the latents: that is undone before decoding.")
def images_divided(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return ((decode(latents) / scale + 1) / 2).clamp(0, 1)


@mistake("from_latents", says="Pixels leave the range from 0 to 1: nothing confines them.")
def images_without_limits(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return (decode(latents / scale) + 1) / 2


@mistake(
    "from_latents",
    says="All that is darker than grey is black: pixels from −1 to 1 are cut at 0 before they are shifted.",
)
def images_cut_too_early(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return (decode(latents / scale).clamp(0, 1) + 1) / 2


@mistake("from_latents", says="Pixels are not taken from [−1, 1] to [0, 1]: what the decoder gives is only cut.")
def images_not_shifted(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return decode(latents / scale).clamp(0, 1)


@mistake("from_latents", says="Pixels are shifted but not halved: all that is brighter than grey is white.")
def images_not_halved(latents: Tensor, decode: Callable, *, scale: float) -> Tensor:
    return (decode(latents / scale) + 1).clamp(0, 1)


# ---- frechet_distance

frechet_with_a_root = edited(
    reference.frechet_distance,
    {"distance.to(real.dtype)": "distance.clamp(min=0).sqrt().to(real.dtype)"},
    says="The root of the distance came back: the squared distance was asked for.",
)
frechet_of_means_only = edited(
    reference.frechet_distance,
    {" + first.trace() + second.trace() - 2 * overlap": ""},
    says="Only the means are compared: sets of another form or size are at distance 0.",
)
frechet_of_covariances_only = edited(
    reference.frechet_distance,
    {"(means[0] - means[1]).square().sum() + first": "first"},
    says="The means play no part: a set that is moved stays at distance 0.",
)
frechet_with_the_plain_distance_of_means = edited(
    reference.frechet_distance,
    {"(means[0] - means[1]).square().sum()": "(means[0] - means[1]).norm()"},
    says="The distance of the means is not squared, while all else is.",
)
frechet_with_one_overlap = edited(
    reference.frechet_distance,
    {"- 2 * overlap": "- overlap"},
    says="A set is far from itself: the root of the product is taken off once, not twice.",
)
frechet_with_division_by_n = edited(
    reference.frechet_distance,
    {"points.T.cov()": "points.T.cov(correction=0)"},
    says="In small sets the spread comes out too small: covariances are divided by n, not by n − 1.",
)
frechet_of_single_features = edited(
    reference.frechet_distance,
    {"2 * overlap": "2 * (first.diagonal() * second.diagonal()).sqrt().sum()"},
    says="How features go together is ignored: the root is taken of the variances alone.",
)
frechet_with_roots_element_by_element = edited(
    reference.frechet_distance,
    {
        "torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()": (
            "(first @ second).clamp(min=0).sqrt().trace()"
        )
    },
    says="The root is taken of each element: a matrix root is the matrix whose square is the product.",
)
frechet_of_separate_roots = edited(
    reference.frechet_distance,
    {
        "overlap = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()": (
            "theirs, directions = torch.linalg.eigh(second)\n"
            "    overlap = (root @ (directions * theirs.clamp(min=0).sqrt() @ directions.T)).trace()"
        )
    },
    says="Sets of other directions come out too far apart: two roots are multiplied, where the root of the product belongs.",
)

# ---- precision_recall

_RADIUS = "among.kthvalue(k + 1, dim=1).values"
shares_exchanged = edited(
    reference.precision_recall,
    {"covered(generated, real), covered(real, generated)": "covered(real, generated), covered(generated, real)"},
    says="Precision and recall have changed places.",
)
shares_with_the_point_as_neighbour = edited(
    reference.precision_recall,
    {_RADIUS: "among.kthvalue(k, dim=1).values"},
    says="The balls are too small: each point counts as its own nearest neighbour.",
)
shares_with_one_neighbour_more = edited(
    reference.precision_recall,
    {_RADIUS: "among.kthvalue(min(k + 2, len(centres)), dim=1).values"},
    says="The balls are too large: they reach to one neighbour more than k.",
)
shares_with_open_balls = edited(
    reference.precision_recall,
    {"distance <= radius": "distance < radius"},
    says="Points on the surface of a ball are counted as outside.",
)
shares_with_one_radius = edited(
    reference.precision_recall,
    {_RADIUS: f"{_RADIUS}.mean()"},
    says="All balls have the same radius, the mean: each point has its own.",
)
shares_with_the_largest_radius = edited(
    reference.precision_recall,
    {_RADIUS: f"{_RADIUS}.max()"},
    says="All balls are as large as the largest: each point has its own radius.",
)
shares_with_the_radius_of_the_point = edited(
    reference.precision_recall,
    {
        "among = torch.cdist(centres, centres,": "among = torch.cdist(points, points,",
        "distance <= radius": "distance <= radius[:, None]",
    },
    says="A point is held against the ball around itself: it is the other set's balls that count.",
)
shares_by_the_nearest_ball = edited(
    reference.precision_recall,
    {"(distance <= radius).any(dim=1)": "(distance.min(dim=1).values <= radius[distance.argmin(dim=1)])"},
    says="Only the ball of the nearest centre is asked, where a point may lie in one that is further away and larger.",
)
shares_in_all_balls = edited(
    reference.precision_recall,
    {".any(dim=1)": ".all(dim=1)"},
    says="A point has to lie in all balls at once: one is enough.",
)
shares_of_balls = edited(
    reference.precision_recall,
    {".any(dim=1)": ".any(dim=0)"},
    says="The share is of balls that hold a point, not of points that lie in a ball: that is another measure, coverage.",
)
shares_fixed_at_three = edited(
    reference.precision_recall,
    {_RADIUS: "among.kthvalue(4, dim=1).values"},
    says="k has no effect: it is always the third neighbour that sets the radius.",
)
