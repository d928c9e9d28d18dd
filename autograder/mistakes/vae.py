"""Known mistakes in `vae`."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from autograder.mistakes import edited, mistake
from solutions import vae as reference

# ---- Decoder


@mistake(
    "Decoder", says="Every output lies between 0 and 1: these are probabilities. Look at what follows the last layer."
)
class DecoderOfProbabilities(nn.Module):
    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int) -> None:
        super().__init__()
        layers = [nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, data_dim), nn.Sigmoid()]
        self.net = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


@mistake("Decoder", says="No output is ever negative, so no pixel can be off: look at what follows the last layer.")
class DecoderWithReluAtTheEnd(nn.Module):
    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int) -> None:
        super().__init__()
        layers = [nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, data_dim), nn.ReLU()]
        self.net = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


@mistake("Decoder", says="The whole network is one affine map of the code: something is missing between its layers.")
class DecoderWithoutNonlinearity(nn.Module):
    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(latent_dim, hidden_dim), nn.Linear(hidden_dim, data_dim))

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


@mistake(
    "Decoder",
    says="Some weights are not among `.parameters()`, so that no optimiser finds them: look at what holds the layers.",
)
class DecoderWithLayersInAList(nn.Module):
    def __init__(self, latent_dim: int, hidden_dim: int, data_dim: int) -> None:
        super().__init__()
        self.hidden = [nn.Linear(latent_dim, hidden_dim), nn.ReLU()]
        self.out = nn.Linear(hidden_dim, data_dim)

    def forward(self, z: Tensor) -> Tensor:
        for layer in self.hidden:
            z = layer(z)
        return self.out(z)


# ---- bernoulli_log_likelihood


@mistake(
    "bernoulli_log_likelihood",
    says="Every value is too small by the number of pixels: a mean stands where a sum was asked for.",
)
def likelihood_averaged(logits: Tensor, x: Tensor) -> Tensor:
    return -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(1)


@mistake(
    "bernoulli_log_likelihood",
    says="The sign is flipped: this is the cross-entropy, which is minus the log-likelihood.",
)
def likelihood_with_the_sign_flipped(logits: Tensor, x: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


@mistake("bernoulli_log_likelihood", says="Dark pixels cost nothing: the term for 1 − x is missing.")
def likelihood_of_bright_pixels_only(logits: Tensor, x: Tensor) -> Tensor:
    return (x * nn.functional.logsigmoid(logits)).sum(1)


@mistake(
    "bernoulli_log_likelihood", says="Large logits give infinities or NaN: the logarithm of a rounded sigmoid is taken."
)
def likelihood_that_overflows(logits: Tensor, x: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return (x * p.log() + (1 - x) * (1 - p).log()).sum(1)


@mistake(
    "bernoulli_log_likelihood",
    says="However wrong a confident logit is, its price stops growing: a small number is added inside the logarithm.",
)
def likelihood_with_an_epsilon(logits: Tensor, x: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return (x * (p + 1e-6).log() + (1 - x) * (1 - p + 1e-6).log()).sum(1)


@mistake(
    "bernoulli_log_likelihood",
    says="The sigmoid is applied twice: no pixel's probability ever leaves the range from 0.5 to 0.73.",
)
def likelihood_with_two_sigmoids(logits: Tensor, x: Tensor) -> Tensor:
    return -nn.functional.binary_cross_entropy_with_logits(logits.sigmoid(), x, reduction="none").sum(1)


@mistake(
    "bernoulli_log_likelihood",
    says="The values are squared errors: those belong to a Gaussian decoder, and this one is Bernoulli.",
)
def likelihood_of_a_gaussian(logits: Tensor, x: Tensor) -> Tensor:
    return -(logits.sigmoid() - x).square().sum(1)


@mistake(
    "bernoulli_log_likelihood", says="One number came for the whole batch: the sum has to keep the batch dimension."
)
def likelihood_of_the_whole_batch(logits: Tensor, x: Tensor) -> Tensor:
    return -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")


# ---- Encoder


@mistake("Encoder", says="The whole network is one affine map of the image: something is missing between its layers.")
class EncoderWithoutNonlinearity(nn.Module):
    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.body = nn.Linear(data_dim, hidden_dim)
        self.mu = nn.Linear(hidden_dim, latent_dim)
        self.logvar = nn.Linear(hidden_dim, latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(x)
        return self.mu(hidden), self.logvar(hidden)


@mistake("Encoder", says="mu and logvar are the same numbers: each needs a last layer of its own.")
class EncoderWithOneHead(nn.Module):
    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, latent_dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.net(x)
        return code, code


@mistake(
    "Encoder",
    says="logvar is never negative, so no σ can be below 1: is it a variance that comes out, and not its logarithm?",
)
class EncoderOfVariances(nn.Module):
    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.ReLU())
        self.mu = nn.Linear(hidden_dim, latent_dim)
        self.var = nn.Linear(hidden_dim, latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(x)
        return self.mu(hidden), nn.functional.softplus(self.var(hidden))


@mistake(
    "Encoder",
    says="No output is ever negative, and half of the latent space stays empty: look at what follows the last layer.",
)
class EncoderWithReluAtTheEnd(nn.Module):
    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.ReLU())
        self.mu = nn.Linear(hidden_dim, latent_dim)
        self.logvar = nn.Linear(hidden_dim, latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(x)
        return self.mu(hidden).relu(), self.logvar(hidden).relu()


@mistake("Encoder", says="logvar is the same for every image: is it a parameter, and no function of the input?")
class EncoderWithOneVariance(nn.Module):
    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.mu = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, latent_dim))
        self.logvar = nn.Parameter(torch.zeros(latent_dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.mu(x)
        return mu, self.logvar.expand_as(mu)


@mistake(
    "Encoder",
    says="Some weights are not among `.parameters()`, so that no optimiser finds them: look at what holds the layers.",
)
class EncoderWithLayersInAList(nn.Module):
    def __init__(self, data_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(data_dim, hidden_dim), nn.ReLU())
        self.heads = [nn.Linear(hidden_dim, latent_dim), nn.Linear(hidden_dim, latent_dim)]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(x)
        return self.heads[0](hidden), self.heads[1](hidden)


# ---- kl_divergence


@mistake("kl_divergence", says="Every value is twice what it should be: the ½ in front is missing.")
def kl_without_half(mu: Tensor, logvar: Tensor) -> Tensor:
    return (mu**2 + logvar.exp() - logvar - 1).sum(-1)


@mistake(
    "kl_divergence",
    says="Every value is too small by the number of latent dimensions: a mean stands where a sum was asked for.",
)
def kl_averaged(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1).mean(-1)


@mistake("kl_divergence", says="logvar is read as σ: it is the logarithm of σ².")
def kl_with_logvar_as_sigma(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu**2 + logvar**2 - (logvar**2).log() - 1).sum(-1)


@mistake("kl_divergence", says="logvar is read as log σ: it is log σ², twice as much.")
def kl_with_logvar_as_log_sigma(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu**2 + (2 * logvar).exp() - 2 * logvar - 1).sum(-1)


@mistake("kl_divergence", says="The sign is flipped: a divergence is never negative.")
def kl_with_the_sign_flipped(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(-1)


@mistake(
    "kl_divergence",
    says="At the prior itself the value is not 0 but half the number of latent dimensions: the constant term is missing.",
)
def kl_without_the_constant(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu**2 + logvar.exp() - logvar).sum(-1)


@mistake("kl_divergence", says="One number came for the whole batch: the sum has to keep the batch dimension.")
def kl_of_the_whole_batch(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum()


@mistake("kl_divergence", says="The means are not squared, so that it matters on which side of 0 they lie.")
def kl_with_absolute_means(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu.abs() + logvar.exp() - logvar - 1).sum(-1)


@mistake(
    "kl_divergence",
    says="This is the divergence the other way round, of the prior from q: it measures with the wrong Gaussian.",
)
def kl_the_other_way_round(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * ((1 + mu**2) / logvar.exp() + logvar - 1).sum(-1)


# ---- reparameterize


@mistake("reparameterize", says="The spread of the samples is σ² instead of σ: a factor is missing in the exponent.")
def samples_spread_by_the_variance(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu + logvar.exp() * noise


@mistake("reparameterize", says="The noise is multiplied by logvar itself: that is a logarithm, and may be negative.")
def samples_spread_by_logvar(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu + logvar * noise


@mistake("reparameterize", says="The spread of the samples is σ²/2: the factor ½ belongs into the exponent.")
def samples_with_half_outside(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu + 0.5 * logvar.exp() * noise


@mistake("reparameterize", says="The noise changes nothing: the samples are the means.")
def samples_without_noise(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu


@mistake(
    "reparameterize",
    says="The same arguments give different samples: fresh noise is drawn, and the noise passed in goes unused.",
)
def samples_with_noise_of_its_own(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu + (0.5 * logvar).exp() * torch.randn_like(mu)


@mistake("reparameterize", says="The samples move against the noise: it is subtracted.")
def samples_minus_noise(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu - (0.5 * logvar).exp() * noise


@mistake("reparameterize", says="All latent dimensions move with the first number of the noise: each needs its own.")
def samples_with_shared_noise(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu + (0.5 * logvar).exp() * noise[:, :1]


@mistake("reparameterize", says="No gradient reaches logvar: the spread is cut off from the graph.")
def samples_with_detached_spread(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    return mu + (0.5 * logvar).exp().detach() * noise


@mistake("reparameterize", says="No gradient comes back through the samples: they are cut off from the graph.")
def samples_without_a_graph(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    with torch.no_grad():
        return mu + (0.5 * logvar).exp() * noise


# ---- elbo

elbo_plus_kl = edited(
    reference.elbo,
    {"- kl(mu, logvar)": "+ kl(mu, logvar)"},
    says="A code far from the prior raises the bound: the KL divergence is added, where it has to be paid.",
)
elbo_without_kl = edited(
    reference.elbo,
    {" - kl(mu, logvar)": ""},
    says="A code far from the prior costs nothing: the KL divergence is missing.",
)
elbo_at_the_mean = edited(
    reference.elbo,
    {"sample(mu, logvar, noise)": "mu"},
    says="The noise changes nothing: the means are decoded, not a sample.",
)
elbo_of_the_prior = edited(
    reference.elbo,
    {"sample(mu, logvar, noise)": "noise"},
    says="The encoder plays no part in the sample: the noise itself is decoded.",
)
elbo_with_noise_of_its_own = edited(
    reference.elbo,
    {"sample(mu, logvar, noise)": "sample(mu, logvar, torch.randn_like(mu))"},
    says="The same noise gives different bounds: fresh noise is drawn, and the noise passed in goes unused.",
)
elbo_with_a_detached_sample = edited(
    reference.elbo,
    {"sample(mu, logvar, noise)": "sample(mu, logvar, noise).detach()"},
    says="No gradient comes back from the decoder to the encoder: the sample is cut off from the graph.",
)
elbo_of_probabilities = edited(
    reference.elbo,
    {"log_likelihood(logits, x)": "log_likelihood(logits.sigmoid(), x)"},
    says="The likelihood is given probabilities, and takes logits: the sigmoid is applied twice.",
)
elbo_of_the_whole_batch = edited(
    reference.elbo,
    {"log_likelihood(logits, x) - kl(mu, logvar)": "(log_likelihood(logits, x) - kl(mu, logvar)).mean()"},
    says="One number came for the whole batch: the mean is taken too early.",
)
elbo_with_the_mean_kl = edited(
    reference.elbo,
    {"- kl(mu, logvar)": "- kl(mu, logvar).mean()"},
    says="Every data point pays the batch's mean KL divergence instead of its own.",
)
elbo_with_swapped_outputs = edited(
    reference.elbo,
    {"mu, logvar = encoder(x)": "logvar, mu = encoder(x)"},
    says="What the encoder returns is taken in the wrong order: mu comes first, then logvar.",
)
elbo_with_the_sign_flipped = edited(
    reference.elbo,
    {"log_likelihood(logits, x) - kl(mu, logvar)": "kl(mu, logvar) - log_likelihood(logits, x)"},
    says="The sign is flipped: this is the loss, minus the bound.",
)

# ---- beta_vae_loss


@mistake(
    "beta_vae_loss",
    says="The loss goes down as the data become less likely: the sign is flipped, and this is maximised.",
)
def loss_with_the_sign_flipped(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return (log_likelihood - beta * kl).mean()


@mistake(
    "beta_vae_loss", says="The loss grows with the batch: a sum stands where the mean over the batch was asked for."
)
def loss_summed(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return (beta * kl - log_likelihood).sum()


@mistake("beta_vae_loss", says="β multiplies the likelihood: it belongs to the KL divergence.")
def loss_with_beta_on_the_likelihood(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return (kl - beta * log_likelihood).mean()


@mistake("beta_vae_loss", says="β multiplies both terms: it weights the KL divergence against the likelihood.")
def loss_with_beta_on_both(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return beta * (kl - log_likelihood).mean()


@mistake("beta_vae_loss", says="The loss is the same whatever β is.")
def loss_without_beta(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return (kl - log_likelihood).mean()


@mistake(
    "beta_vae_loss",
    says="A larger KL divergence lowers the loss: the two terms have the wrong signs relative to each other.",
)
def loss_minus_kl(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return -(log_likelihood + beta * kl).mean()


@mistake("beta_vae_loss", says="One loss came for each data point: an optimiser needs a single number, the mean.")
def loss_of_each_data_point(log_likelihood: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    return beta * kl - log_likelihood


# ---- kl_weight


@mistake("kl_weight", says="The weight goes on climbing after the warm-up: it has to stop at 1.")
def weight_without_end(step: int, warmup: int, *, period: int | None = None) -> float:
    if period is not None:
        step %= period
    return step / warmup if warmup else 1.0


@mistake("kl_weight", says="The weight goes from 1 down to 0: the KL term has to be faded in, not out.")
def weight_upside_down(step: int, warmup: int, *, period: int | None = None) -> float:
    if period is not None:
        step %= period
    return max(0.0, 1 - step / warmup) if warmup else 1.0


@mistake("kl_weight", says="The weight is a step ahead: at step 0 it should be 0.")
def weight_one_step_ahead(step: int, warmup: int, *, period: int | None = None) -> float:
    if period is not None:
        step %= period
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


@mistake("kl_weight", says="The weight jumps from 0 to 1 with nothing in between: the division drops the fraction.")
def weight_in_whole_numbers(step: int, warmup: int, *, period: int | None = None) -> float:
    if period is not None:
        step %= period
    return float(min(1, step // warmup)) if warmup else 1.0


@mistake("kl_weight", says="The weight never starts again: `period` has no effect.")
def weight_without_period(step: int, warmup: int, *, period: int | None = None) -> float:
    return min(1.0, step / warmup) if warmup else 1.0


@mistake(
    "kl_weight",
    says="The weight falls back to 0 right after the climb: it starts again every `warmup` steps, not every `period`.",
)
def weight_that_restarts_too_early(step: int, warmup: int, *, period: int | None = None) -> float:
    return step % warmup / warmup if warmup else 1.0


# ---- train_vae

training_of_the_decoder_only = edited(
    reference.train_vae,
    {"[*encoder.parameters(), *decoder.parameters()]": "decoder.parameters()"},
    says="The decoder's weights moved and the encoder's did not: look at what the optimiser is given.",
)
training_without_steps = edited(
    reference.train_vae,
    {"            optimizer.step()\n": ""},
    says="No weight has moved: gradients are computed, but no step is taken.",
)
training_with_gradients_that_pile_up = edited(
    reference.train_vae,
    {"            optimizer.zero_grad()\n": ""},
    says="Gradients pile up from step to step: they are never set back to zero.",
)
training_by_plain_gradient_descent = edited(
    reference.train_vae,
    {"torch.optim.Adam": "torch.optim.SGD"},
    says="The steps are those of plain gradient descent, and Adam was asked for.",
)
training_in_order = edited(
    reference.train_vae,
    {"torch.randperm(len(images), generator=generator)": "torch.arange(len(images))"},
    says="The images come in the same order in every epoch: nothing shuffles them.",
)
training_with_global_randomness = edited(
    reference.train_vae,
    {"torch.randperm(len(images), generator=generator)": "torch.randperm(len(images))"},
    says="Two runs with equal generators take the images in different orders: the order comes from elsewhere.",
)
training_with_global_noise = edited(
    reference.train_vae,
    {"torch.randn(mu.shape, generator=generator)": "torch.randn(mu.shape)"},
    says="Two runs with equal generators differ in their noise: it comes from elsewhere.",
)
training_with_uniform_noise = edited(
    reference.train_vae,
    {"torch.randn(mu.shape": "torch.rand(mu.shape"},
    says="The noise lies between 0 and 1: it is uniform, where standard normal noise was asked for.",
)
training_with_shared_noise = edited(
    reference.train_vae,
    {"torch.randn(mu.shape, generator=generator)": "torch.randn(mu.shape[1], generator=generator).expand(mu.shape)"},
    says="All images of a minibatch share one code's noise: each needs its own.",
)
training_that_drops_the_rest = edited(
    reference.train_vae,
    {
        "            x = images[rows.to(images.device)]\n": "            if len(rows) < batch_size:\n"
        "                continue\n"
        "            x = images[rows.to(images.device)]\n"
    },
    says="The last minibatch of an epoch is left out when it is smaller than the others.",
)
training_that_warms_up_every_epoch = edited(
    reference.train_vae,
    {"        total = 0.0\n": "        total, step = 0.0, 0\n"},
    says="The warm-up starts again in every epoch: steps have to go on counting.",
)
training_that_counts_epochs_as_steps = edited(
    reference.train_vae,
    {"beta * weight(step, warmup)": "beta * weight(epoch, warmup)"},
    says="The warm-up advances with epochs, not with steps.",
)
training_without_beta = edited(
    reference.train_vae,
    {"beta * weight(step, warmup))": "weight(step, warmup))"},
    says="β has no effect on the training.",
)
training_that_returns_weighted_bounds = edited(
    reference.train_vae,
    {"(log_px - price).sum()": "(log_px - beta * weight(step, warmup) * price).sum()"},
    says="What is returned depends on β and on the warm-up: the ELBO has the KL with weight 1.",
)
training_that_averages_minibatches = edited(
    reference.train_vae,
    {
        "(log_px - price).sum()": "(log_px - price).mean()",
        "total / len(images)": "total / -(-len(images) // batch_size)",
    },
    says="The small last minibatch counts as much as a full one: the mean is over data points.",
)

# ---- embed


@mistake("embed", says="The numbers are log-variances: the encoder's first output is asked for.")
def embedding_of_logvars(encoder: Callable, x: Tensor, batch_size: int = 256) -> Tensor:
    with torch.no_grad():
        return torch.cat([encoder(batch)[1] for batch in x.split(batch_size)])


@mistake("embed", says="The last data points are missing when their number is no multiple of batch_size.")
def embedding_without_the_rest(encoder: Callable, x: Tensor, batch_size: int = 256) -> Tensor:
    size = min(batch_size, len(x))
    with torch.no_grad():
        return torch.cat([encoder(x[i * size : (i + 1) * size])[0] for i in range(len(x) // size)])


@mistake("embed", says="The result still carries a graph: it requires grad.")
def embedding_with_a_graph(encoder: Callable, x: Tensor, batch_size: int = 256) -> Tensor:
    return torch.cat([encoder(batch)[0] for batch in x.split(batch_size)])


@mistake("embed", says="The encoder was given more than batch_size data points at once.")
def embedding_in_one_go(encoder: Callable, x: Tensor, batch_size: int = 256) -> Tensor:
    with torch.no_grad():
        return encoder(x)[0]


@mistake("embed", says="The codes are noisy: they are samples, where the means were asked for.")
def embedding_of_samples(encoder: Callable, x: Tensor, batch_size: int = 256) -> Tensor:
    with torch.no_grad():
        pairs = [encoder(batch) for batch in x.split(batch_size)]
        return torch.cat([mu + (0.5 * logvar).exp() * torch.randn_like(mu) for mu, logvar in pairs])


# ---- interpolate_latents


@mistake("interpolate_latents", says="The line goes from end to start: the two weights are swapped.")
def line_backwards(start: Tensor, end: Tensor, steps: int) -> Tensor:
    fraction = torch.linspace(0, 1, steps).unsqueeze(1)
    return fraction * start + (1 - fraction) * end


@mistake("interpolate_latents", says="The line stops one step before its end: both ends belong to it.")
def line_without_its_end(start: Tensor, end: Tensor, steps: int) -> Tensor:
    fraction = torch.arange(steps).unsqueeze(1) / steps
    return start + fraction * (end - start)


@mistake(
    "interpolate_latents", says="There is one code more than `steps`: count the codes, not the distances between them."
)
def line_with_one_code_more(start: Tensor, end: Tensor, steps: int) -> Tensor:
    fraction = torch.linspace(0, 1, steps + 1).unsqueeze(1)
    return start + fraction * (end - start)


@mistake("interpolate_latents", says="The codes are not at equal distances: the fraction is not linear in the step.")
def line_with_unequal_distances(start: Tensor, end: Tensor, steps: int) -> Tensor:
    fraction = torch.linspace(0, 1, steps).square().unsqueeze(1)
    return start + fraction * (end - start)


# ---- importance_weighted_bound


@mistake(
    "importance_weighted_bound",
    says="Averaging the logarithms gives the ELBO again: the mean belongs inside the logarithm.",
)
def bound_with_the_mean_outside(log_joint: Tensor, log_q: Tensor) -> Tensor:
    return (log_joint - log_q).mean(0)


@mistake(
    "importance_weighted_bound",
    says="The bound grows by log 2 when every sample is given twice: the weights are added up, not averaged.",
)
def bound_of_the_sum(log_joint: Tensor, log_q: Tensor) -> Tensor:
    return (log_joint - log_q).logsumexp(0)


@mistake(
    "importance_weighted_bound",
    says="Large log-densities give infinities: exponentials are taken before the largest weight is divided out.",
)
def bound_that_overflows(log_joint: Tensor, log_q: Tensor) -> Tensor:
    return (log_joint - log_q).exp().mean(0).log()


@mistake("importance_weighted_bound", says="q(z|x) multiplies the weights: it has to divide them.")
def bound_times_q(log_joint: Tensor, log_q: Tensor) -> Tensor:
    return (log_joint + log_q).logsumexp(0) - torch.tensor(float(len(log_q))).log()


@mistake(
    "importance_weighted_bound",
    says="Data points are averaged with each other: the samples lie along the first dimension.",
)
def bound_over_the_batch(log_joint: Tensor, log_q: Tensor) -> Tensor:
    return (log_joint - log_q).logsumexp(1) - torch.tensor(float(log_q.shape[1])).log()


@mistake("importance_weighted_bound", says="Only the best sample counts: a maximum is no average.")
def bound_of_the_best_sample(log_joint: Tensor, log_q: Tensor) -> Tensor:
    return (log_joint - log_q).amax(0)


@mistake("importance_weighted_bound", says="One number came for the whole batch: each data point has its own bound.")
def bound_of_the_whole_batch(log_joint: Tensor, log_q: Tensor) -> Tensor:
    return ((log_joint - log_q).logsumexp(0) - torch.tensor(float(len(log_q))).log()).mean()


# ---- anomaly_score


@mistake("anomaly_score", says="Likely data points get the higher score: the sign is missing.")
def score_with_the_sign_flipped(x: Tensor, bound: Callable, noise: Tensor) -> Tensor:
    return torch.stack([bound(x, eps) for eps in noise]).mean(0)


@mistake("anomaly_score", says="The score grows with the number of samples: it is their sum, not their mean.")
def score_summed(x: Tensor, bound: Callable, noise: Tensor) -> Tensor:
    return -torch.stack([bound(x, eps) for eps in noise]).sum(0)


@mistake("anomaly_score", says="Only the first sample of the noise is used.")
def score_of_one_sample(x: Tensor, bound: Callable, noise: Tensor) -> Tensor:
    return -bound(x, noise[0])


@mistake("anomaly_score", says="The noise is averaged before the bound is taken: then nothing is left of it.")
def score_at_the_mean_noise(x: Tensor, bound: Callable, noise: Tensor) -> Tensor:
    return -bound(x, noise.mean(0))


@mistake(
    "anomaly_score",
    says="The samples are averaged inside a logarithm: that is the importance-weighted bound, and the ELBO was asked for.",
)
def score_by_importance_weights(x: Tensor, bound: Callable, noise: Tensor) -> Tensor:
    bounds = torch.stack([bound(x, eps) for eps in noise])
    return torch.tensor(float(len(noise))).log() - bounds.logsumexp(0)


@mistake("anomaly_score", says="All data points get the same score: the mean runs over the batch, too.")
def score_of_the_whole_batch(x: Tensor, bound: Callable, noise: Tensor) -> Tensor:
    return -torch.stack([bound(x, eps) for eps in noise]).mean().expand(len(x))


# ---- word_dropout


@mistake("word_dropout", says="Words are hidden with probability 1 − rate: the comparison is the wrong way round.")
def dropout_the_wrong_way_round(
    tokens: Tensor, uniform: Tensor, rate: float, *, unknown: int, protected: tuple[int, ...] = ()
) -> Tensor:
    keep = torch.isin(tokens, torch.tensor(protected, dtype=tokens.dtype))
    return tokens.masked_fill((uniform > rate) & ~keep, unknown)


@mistake("word_dropout", says="Protected words are hidden as well.")
def dropout_of_protected_words(
    tokens: Tensor, uniform: Tensor, rate: float, *, unknown: int, protected: tuple[int, ...] = ()
) -> Tensor:
    return tokens.masked_fill(uniform < rate, unknown)


@mistake("word_dropout", says="At rate 0 words whose draw is exactly 0 are hidden: the comparison should be strict.")
def dropout_at_the_threshold(
    tokens: Tensor, uniform: Tensor, rate: float, *, unknown: int, protected: tuple[int, ...] = ()
) -> Tensor:
    keep = torch.isin(tokens, torch.tensor(protected, dtype=tokens.dtype))
    return tokens.masked_fill((uniform <= rate) & ~keep, unknown)


@mistake("word_dropout", says="Hidden words become 0, whatever `unknown` is.")
def dropout_to_zero(
    tokens: Tensor, uniform: Tensor, rate: float, *, unknown: int, protected: tuple[int, ...] = ()
) -> Tensor:
    keep = torch.isin(tokens, torch.tensor(protected, dtype=tokens.dtype))
    return tokens * ((uniform >= rate) | keep)


@mistake(
    "word_dropout",
    says="The same arguments hide different words: fresh random numbers are drawn, and those passed in go unused.",
)
def dropout_with_randomness_of_its_own(
    tokens: Tensor, uniform: Tensor, rate: float, *, unknown: int, protected: tuple[int, ...] = ()
) -> Tensor:
    keep = torch.isin(tokens, torch.tensor(protected, dtype=tokens.dtype))
    return tokens.masked_fill((torch.rand(tokens.shape) < rate) & ~keep, unknown)


@mistake("word_dropout", says="Whole sentences are hidden or kept: each word has its own number in `uniform`.")
def dropout_of_sentences(
    tokens: Tensor, uniform: Tensor, rate: float, *, unknown: int, protected: tuple[int, ...] = ()
) -> Tensor:
    keep = torch.isin(tokens, torch.tensor(protected, dtype=tokens.dtype))
    return tokens.masked_fill((uniform[:, :1] < rate) & ~keep, unknown)


# ---- text_elbo


@mistake("text_elbo", says="Padding counts as if it were words.")
def text_elbo_with_padding(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    return logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0].sum(1) - kl(mu, logvar)


@mistake(
    "text_elbo",
    says="A sentence's words are averaged, where their log-probabilities add up: long sentences cost too little.",
)
def text_elbo_averaged_over_words(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    chosen = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    words = tokens != padding
    return (chosen * words).sum(1) / words.sum(1).clamp(min=1) - kl(mu, logvar)


@mistake(
    "text_elbo",
    says="Scores are added up as they are: they become log-probabilities only by normalising over the vocabulary.",
)
def text_elbo_of_raw_scores(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    chosen = logits.gather(-1, tokens[..., None])[..., 0]
    return (chosen * (tokens != padding)).sum(1) - kl(mu, logvar)


@mistake("text_elbo", says="The scores are normalised over positions instead of over the vocabulary.")
def text_elbo_normalised_over_positions(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    chosen = logits.log_softmax(1).gather(-1, tokens[..., None])[..., 0]
    return (chosen * (tokens != padding)).sum(1) - kl(mu, logvar)


@mistake(
    "text_elbo", says="A code far from the prior raises the bound: the KL divergence is added, where it has to be paid."
)
def text_elbo_plus_kl(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    chosen = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return (chosen * (tokens != padding)).sum(1) + kl(mu, logvar)


@mistake("text_elbo", says="A code far from the prior costs nothing: the KL divergence is missing.")
def text_elbo_without_kl(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    chosen = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return (chosen * (tokens != padding)).sum(1)


@mistake("text_elbo", says="Every word pays the KL divergence: a sentence has one code and pays once.")
def text_elbo_with_kl_for_every_word(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    chosen = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return ((chosen - kl(mu, logvar)[:, None]) * (tokens != padding)).sum(1)


@mistake("text_elbo", says="The sign is flipped: this is the loss, minus the bound.")
def text_elbo_with_the_sign_flipped(
    logits: Tensor, tokens: Tensor, mu: Tensor, logvar: Tensor, *, padding: int, kl: Callable
) -> Tensor:
    chosen = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return kl(mu, logvar) - (chosen * (tokens != padding)).sum(1)
