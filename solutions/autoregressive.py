"""Reference answers to `autoregressive`. Each has the signature and the docstring of its stub in the starter."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def fit_markov_chain(
    tokens: Int[Tensor, "batch length"],
    states: int,
    *,
    order: int = 1,
    smoothing: float = 0.0,
) -> Float[Tensor, "*contexts states"]:
    """Estimate a Markov chain by counting: how often is a context followed by each state?

    The context of a token are the `order` tokens before it in the same sequence. With n(c, s)
    the number of times that state s follows context c, p(s | c) is estimated by

        (n(c, s) + smoothing) / (Σ_s' n(c, s') + smoothing · states).

    Args:
        tokens: sequences of states (batch, length), int64, from 0 to states − 1. Nothing is
            counted across the border of two sequences.
        states: how many states there are.
        order: how many tokens make a context, 0 or more; with 0 the result are the frequencies
            of the states, shape (states,).
        smoothing: is added to every count, 0 or more. Without it this is maximum likelihood.

    Returns:
        Probabilities, float32, with order + 1 dimensions of size `states` each: the entry
        [a, …, b, s] is the probability of s after the context a, …, b, in the order of reading,
        so that the last dimension adds up to 1. If without smoothing a context has never been
        followed by anything, all states are equally likely after it.
    """
    windows = [tokens[:, i : max(i, tokens.shape[1] - order + i)] for i in range(order + 1)]
    index = sum(window * states ** (order - i) for i, window in enumerate(windows))
    counts = torch.bincount(index.flatten(), minlength=states ** (order + 1))
    weights = counts.view((states,) * (order + 1)).float() + smoothing
    total = weights.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, weights / total, 1 / states)


def sequence_log_likelihood(
    tokens: Int[Tensor, "batch length"],
    transitions: Float[Tensor, "*contexts states"],
    initial: Float[Tensor, "*contexts"] | None = None,
) -> Float[Tensor, "batch"]:
    """The log-probability of each sequence under a Markov chain, by the chain rule.

    Σ_t log p(x_t | the `order` tokens before it), for all t that have so many before them. The
    order of the chain is one less than the number of dimensions of `transitions`.

    Args:
        tokens: sequences of states (batch, length), int64; length is at least the order.
        transitions: as `fit_markov_chain` returns them: the entry [a, …, b, s] is the
            probability of s after a, …, b.
        initial: the probability of the first `order` tokens together, [a, …, b]; its log is
            added. None takes these tokens as given: they cost nothing.

    Returns:
        Log-probabilities (batch,), in nats: a sum over positions, no mean. A sequence that the
        chain cannot produce has −∞.
    """
    order = transitions.ndim - 1
    windows = [tokens[:, i : tokens.shape[1] - order + i] for i in range(order + 1)]
    total = transitions[tuple(windows)].log().sum(dim=1)
    return total if initial is None else total + initial[tuple(tokens[:, :order].T)].log()


def stationary_distribution(transitions: Float[Tensor, "states states"]) -> Float[Tensor, "states"]:
    """The distribution π that a step of the chain leaves as it is: π P = π.

    Args:
        transitions: P (states, states), where P[a, b] is the probability of b after a, so that
            each row adds up to 1. Every state can be reached from every other one, in one step
            or several, so that there is exactly one π; the chain may be periodic.

    Returns:
        Probabilities π (states,), which add up to 1.
    """
    # π (P − I) = 0 is one equation too few, for the columns of P − I add up to 0: the last gives way to Σ π = 1.
    states = len(transitions)
    equations = transitions.T - torch.eye(states, dtype=transitions.dtype, device=transitions.device)
    equations = torch.cat([equations[:-1], torch.ones_like(equations[:1])])
    return torch.linalg.solve(equations, F.one_hot(torch.tensor(states - 1), states).to(equations))


def entropy_rate(
    transitions: Float[Tensor, "states states"],
    stationary: Float[Tensor, "states"],
) -> Float[Tensor, ""]:
    """The entropy of the next state, given the present one: H = −Σ_a π_a Σ_b P_ab log P_ab.

    What a long sequence of the chain costs for each token, for whoever knows the chain
    (Shannon 1948, section 7). 0 log 0 counts as 0.

    Args:
        transitions: P (states, states), where P[a, b] is the probability of b after a.
        stationary: π (states,), how often the chain is in each state.

    Returns:
        A scalar, of shape (), in nats for each token.
    """
    return -(stationary @ torch.xlogy(transitions, transitions).sum(dim=1))


def rnn_step(
    x: Float[Tensor, "batch input"],
    h: Float[Tensor, "batch hidden"],
    weight_ih: Float[Tensor, "hidden input"],
    weight_hh: Float[Tensor, "hidden hidden"],
    bias_ih: Float[Tensor, "hidden"],
    bias_hh: Float[Tensor, "hidden"],
) -> Float[Tensor, "batch hidden"]:
    """One step of a recurrent network (Elman 1990): the state after one more input.

    h′ = tanh(W_ih x + b_ih + W_hh h + b_hh), as in `torch.nn.RNNCell`.

    Args:
        x: what is read (batch, input), one in each row.
        h: the state before (batch, hidden).
        weight_ih: W_ih (hidden, input).
        weight_hh: W_hh (hidden, hidden).
        bias_ih: b_ih (hidden,).
        bias_hh: b_hh (hidden,).

    Returns:
        The state after (batch, hidden).
    """
    return torch.tanh(F.linear(x, weight_ih, bias_ih) + F.linear(h, weight_hh, bias_hh))


def unroll(
    step: Callable,
    inputs: Float[Tensor, "batch length input"],
    state: Float[Tensor, "batch hidden"],
) -> Float[Tensor, "batch length hidden"]:
    """Read sequences with a recurrent network, from the first input to the last.

    Args:
        step: step(x, h) gives the state (batch, hidden) after reading x (batch, input) in the
            state h; called once for each position, in order.
        inputs: what is read (batch, length, input); length is at least 1.
        state: the state before the first input (batch, hidden).

    Returns:
        The states after each input (batch, length, hidden); gradients flow through all of them
        back to `inputs` and `state`.
    """
    states = []
    for x in inputs.unbind(dim=1):
        state = step(x, state)
        states.append(state)
    return torch.stack(states, dim=1)


def gru_step(
    x: Float[Tensor, "batch input"],
    h: Float[Tensor, "batch hidden"],
    weight_ih: Float[Tensor, "3*hidden input"],
    weight_hh: Float[Tensor, "3*hidden hidden"],
    bias_ih: Float[Tensor, "3*hidden"],
    bias_hh: Float[Tensor, "3*hidden"],
) -> Float[Tensor, "batch hidden"]:
    """One step of a gated recurrent unit (Cho et al. 2014): the state after one more input.

    In the convention of `torch.nn.GRUCell`, where ⊙ is the elementwise product:

        r = σ(W_ir x + b_ir + W_hr h + b_hr)           the reset gate
        z = σ(W_iz x + b_iz + W_hz h + b_hz)           the update gate
        n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))  the candidate
        h′ = (1 − z) ⊙ n + z ⊙ h

    Args:
        x: what is read (batch, input), one in each row.
        h: the state before (batch, hidden).
        weight_ih: W_ir, W_iz and W_in, one below the other (3·hidden, input).
        weight_hh: W_hr, W_hz and W_hn, one below the other (3·hidden, hidden).
        bias_ih: b_ir, b_iz and b_in, one after the other (3·hidden,).
        bias_hh: b_hr, b_hz and b_hn, one after the other (3·hidden,).

    Returns:
        The state after (batch, hidden).
    """
    from_x = F.linear(x, weight_ih, bias_ih).chunk(3, dim=1)
    from_h = F.linear(h, weight_hh, bias_hh).chunk(3, dim=1)
    reset = torch.sigmoid(from_x[0] + from_h[0])
    update = torch.sigmoid(from_x[1] + from_h[1])
    candidate = torch.tanh(from_x[2] + reset * from_h[2])
    return (1 - update) * candidate + update * h


def next_token_loss(
    logits: Float[Tensor, "batch length vocab"],
    tokens: Int[Tensor, "batch length"],
    *,
    padding: int | None = None,
) -> Float[Tensor, ""]:
    """What a language model minimises: −log p(next token | tokens so far), averaged over tokens.

    Args:
        logits: scores of every token (batch, length, vocab): those at position t were computed
            from the tokens up to t, t included, and are about the token at t + 1.
        tokens: the ids that the model has read (batch, length), int64. The first of each
            sequence is predicted by nothing, and what is said after the last is not asked for.
        padding: the id, one of the vocabulary, that fills up short sequences: where it is the
            token to be predicted nothing counts. None means that there is no padding.

    Returns:
        A scalar, of shape (), in nats: the mean over all predicted tokens of the batch, each of
        which counts alike whatever the length of its sequence. 0 if there is none.
    """
    surprise = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    counts = torch.ones_like(surprise) if padding is None else (tokens[:, 1:] != padding).to(surprise)
    return (surprise * counts).sum() / counts.sum().clamp(min=1)


def influence(
    model: Callable,
    x: Float[Tensor, "channels *place"],
    position: tuple[int, ...],
) -> Float[Tensor, "*place"]:
    """Which inputs a model's output at one position depends on, found by differentiation.

    At each place the sum of |∂ output[o, position] / ∂ x[c, place]| over all input channels c
    and all output channels o.

    Args:
        model: model(batch) gives outputs (1, out_channels, *place) for inputs
            (1, channels, *place), differentiably.
        x: one input, without a batch dimension (channels, *place): *place is (length,) for
            sound and (height, width) for images.
        position: where the output is looked at, one index for each dimension of *place.

    Returns:
        Influences (*place), at least 0 and without a graph: 0 where the output at `position`
        does not depend on the input.
    """

    def output(x: Tensor) -> Tensor:
        return model(x.unsqueeze(0))[(0, slice(None), *position)]

    return torch.autograd.functional.jacobian(output, x).abs().sum(dim=(0, 1))


class MaskedConv2d(nn.Module):
    """A convolution that looks only at pixels that were drawn before (PixelCNN).

    Van den Oord et al. 2016a, section 3.4 and figure 2. Pixels are drawn row after row from
    the top, each row from the left. The output at a pixel depends on the rows above within the
    kernel, on what is left of it in its own row, and on its own place thus:

    - of type "A" not at all, if there is one colour: for the first layer, which sees the image;
    - of type "B" it does: for later layers, whose input has not seen its own pixel any more.

    With several colours the colours of a pixel are drawn one after the other. Input channels are
    cut into `colors` equal parts, one after the other, and output channels likewise; part i
    belongs to colour i. At its own place an output of colour i depends on inputs of the colours
    j < i if the type is "A", and j ≤ i if it is "B". At other places colours make no difference.

    The layer keeps the size of the image, as if zeros were around it. Its parameters are called
    `weight` (out_channels, in_channels, kernel_size, kernel_size) and `bias` (out_channels,),
    as in `nn.Conv2d`, and begin like that one's. Whatever values they are given later, what must
    not be seen has no influence.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: height and width of the kernel in pixels, odd.
        mask_type: "A" or "B".
        colors: how many colours there are, 1 or more.

    Raises:
        ValueError: if `kernel_size` is even, `mask_type` is neither "A" nor "B", or one of the
            numbers of channels is not a multiple of `colors`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        mask_type: Literal["A", "B"],
        *,
        colors: int = 1,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"a kernel of size {kernel_size} has no middle")
        if mask_type not in ("A", "B"):
            raise ValueError(f"the type of a mask is 'A' or 'B', not {mask_type!r}")
        if in_channels % colors or out_channels % colors:
            raise ValueError(f"{in_channels} and {out_channels} channels cannot be shared by {colors} colours")
        convolution = nn.Conv2d(in_channels, out_channels, kernel_size)
        self.weight, self.bias = convolution.weight, convolution.bias
        self.radius = kernel_size // 2

        mask = torch.zeros_like(self.weight)
        mask[:, :, : self.radius] = 1
        mask[:, :, self.radius, : self.radius] = 1
        of_output = torch.arange(out_channels) // (out_channels // colors)
        of_input = torch.arange(in_channels) // (in_channels // colors)
        later = of_output[:, None] - of_input[None, :]
        mask[:, :, self.radius, self.radius] = (later >= (1 if mask_type == "A" else 0)).float()
        self.register_buffer("mask", mask)

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"],
    ) -> Float[Tensor, "batch out_channels height width"]:
        """Apply the layer to a batch of images.

        Args:
            x: images or feature maps (batch, in_channels, height, width).

        Returns:
            Feature maps of the same height and width (batch, out_channels, height, width).
        """
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.radius)


def sample_pixels(
    model: Callable,
    uniform: Float[Tensor, "batch height width"],
    *,
    image: Int[Tensor, "batch height width"] | None = None,
    known: Bool[Tensor, "height width"] | None = None,
) -> Int[Tensor, "batch height width"]:
    """Draw images from an autoregressive model, pixel by pixel in raster order.

    Row after row from the top, each row from the left. The model is asked once for each pixel
    that is drawn, and not for others, without recording a graph: it is shown the images as far
    as they are drawn, with 0 in all pixels that are yet to come. A pixel becomes the smallest
    level k whose cumulative probability p(0) + … + p(k) exceeds the pixel's number in
    `uniform`, or the last level if rounding leaves none.

    Args:
        model: model(pixels) gives for images (batch, height, width), int64, the logits of the
            levels of every pixel (batch, levels, height, width). Those of a pixel depend only
            on pixels before it.
        uniform: draws from the uniform distribution on [0, 1) (batch, height, width), the only
            source of randomness.
        image: images to complete (batch, height, width), int64; they stay as they are. None
            draws all pixels.
        known: True where the pixels of `image` are kept (height, width); the model sees these
            from the start. Given together with `image`.

    Returns:
        Images (batch, height, width), int64: levels from 0 to levels − 1.
    """
    pixels = torch.zeros_like(uniform, dtype=torch.int64)
    if image is not None:
        pixels = torch.where(known, image, pixels)
    for y, x in itertools.product(*map(range, pixels.shape[1:])):
        if image is not None and known[y, x]:
            continue
        with torch.no_grad():
            cumulative = model(pixels)[:, :, y, x].softmax(dim=1).cumsum(dim=1)
        level = (cumulative <= uniform[:, y, x, None]).sum(dim=1)
        pixels[:, y, x] = level.clamp(max=cumulative.shape[1] - 1)
    return pixels


def bits_per_dim(
    log_likelihood: Float[Tensor, "batch"],
    dimensions: int,
    *,
    bin_width: float = 1.0,
) -> Float[Tensor, "batch"]:
    """How many bits a lossless code needs for each number of a data point, each pixel say.

    A level of a quantised number is a bin of width Δ = `bin_width`, and a density p, which does
    not change much within a bin, gives it the probability p · Δ. So the bits are
    −log₂(p · Δ^D) / D, with D = `dimensions` (Theis et al. 2016, section 3.1).

    Args:
        log_likelihood: in nats, for each data point (batch,): the log of a density of
            dequantised data, or of the probability of the levels themselves.
        dimensions: D, how many numbers a data point has: for a colour image channels · height ·
            width.
        bin_width: Δ, in the unit in which `log_likelihood` is a density: 1/256 if levels
            0, …, 255 were scaled to [0, 1]. 1 if it is a probability of levels, or a density
            of unscaled levels.

    Returns:
        Bits for each dimension (batch,).
    """
    return -(log_likelihood / dimensions + math.log(bin_width)) / math.log(2)


class GatedPixelCNNLayer(nn.Module):
    """A layer of the gated PixelCNN: two stacks of features, which together have no blind spot.

    Van den Oord et al. 2016b, section 2 and figure 2. The vertical stack v knows the rows above,
    the horizontal stack h knows what is left in the same row, and is told by the vertical one.
    With r = kernel_size // 2 and gate(a, b) = tanh(a) ⊙ σ(b), where a is the first half of the
    channels and b the second, the layer computes at pixel (i, j)

        p  = convolution of v over the rows i − r, …, i and the columns j − r, …, j + r
        q  = convolution of h over the columns j − r, …, j of row i
        v′ = gate(p)
        h′ = h + output(gate(q + link(p)))

    If it is the `first` layer, whose inputs know their own pixel, it leaves that out: p is over
    the rows i − r, …, i − 1 only, q over the columns j − r, …, j − 1 only, and h′ lacks the
    summand h. Beyond the border of the image there are zeros.

    p and q have 2 · channels channels. `link`, `nn.Conv2d(2 · channels, 2 · channels, 1)`, and
    `output`, `nn.Conv2d(channels, channels, 1)`, are attributes of these names. All four
    convolutions have biases.

    Args:
        channels: channels of either stack, in the input and in the output.
        kernel_size: width of the kernel in pixels, odd and at least 3.
        first: whether the inputs know their own pixel.

    Raises:
        ValueError: if `kernel_size` is even or less than 3.
    """

    def __init__(self, channels: int, kernel_size: int, *, first: bool = False) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or kernel_size < 3:
            raise ValueError(f"the size of the kernel should be 3, 5, 7, …, not {kernel_size}")
        self.first = first
        self.radius = kernel_size // 2
        reach = self.radius if first else self.radius + 1
        self.vertical = nn.Conv2d(channels, 2 * channels, (reach, kernel_size))
        self.horizontal = nn.Conv2d(channels, 2 * channels, (1, reach))
        self.link = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(
        self,
        v: Float[Tensor, "batch channels height width"],
        h: Float[Tensor, "batch channels height width"],
    ) -> tuple[
        Float[Tensor, "batch channels height width"],
        Float[Tensor, "batch channels height width"],
    ]:
        """Pass both stacks through the layer.

        Args:
            v: features of the vertical stack (batch, channels, height, width).
            h: features of the horizontal stack, of the same shape.

        Returns:
            The pair (v′, h′), of the same shape each.
        """
        r, less = self.radius, int(self.first)  # padding of −1 takes a row or column away
        p = self.vertical(F.pad(v, (r, r, r, -less)))
        q = self.horizontal(F.pad(h, (r, -less, 0, 0)))
        a, b = (q + self.link(p)).chunk(2, dim=1)
        new = self.output(torch.tanh(a) * torch.sigmoid(b))
        a, b = p.chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b), new if self.first else h + new


class CausalAttention2d(nn.Module):
    """Every pixel looks at all pixels before it, however far away (PixelSNAIL).

    Chen et al. 2018. Pixel i, counted in raster order (row after row from the top,
    each from the left), gathers from the pixels j < i, never from itself,

        Σ_j w_ij v_j,   w_ij = softmax over j < i of (q_i · k_j / √key_dim),

    with a query q = query(x), a key k = key(memory) and a value v = value(memory) at each pixel.
    `query`, `key` and `value` are attributes of these names: 1 × 1 convolutions, `nn.Conv2d`
    with a bias.

    Args:
        x_channels: channels of the features that ask.
        memory_channels: channels of what is asked.
        key_dim: numbers in a query and in a key.
        value_dim: numbers in a value.
    """

    def __init__(
        self,
        x_channels: int,
        memory_channels: int,
        key_dim: int,
        value_dim: int,
    ) -> None:
        super().__init__()
        self.query = nn.Conv2d(x_channels, key_dim, 1)
        self.key = nn.Conv2d(memory_channels, key_dim, 1)
        self.value = nn.Conv2d(memory_channels, value_dim, 1)

    def forward(
        self,
        x: Float[Tensor, "batch x_channels height width"],
        memory: Float[Tensor, "batch memory_channels height width"],
    ) -> Float[Tensor, "batch value_dim height width"]:
        """Let every pixel gather what it asks for.

        Args:
            x: features that ask (batch, x_channels, height, width).
            memory: what is asked (batch, memory_channels, height, width). It may know its own
                pixel, since nobody looks at his own place.

        Returns:
            What was gathered (batch, value_dim, height, width). The first pixel, which has none
            before it, gets zeros. All gradients are finite.
        """
        query, key, value = (f.flatten(2) for f in (self.query(x), self.key(memory), self.value(memory)))
        scores = query.transpose(1, 2) @ key / math.sqrt(key.shape[1])
        before = torch.ones_like(scores[0], dtype=torch.bool).tril(diagonal=-1)
        # −∞ would leave the first row without any weight: 0/0.
        weights = scores.masked_fill(~before, torch.finfo(scores.dtype).min).softmax(dim=2) * before
        return (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])


def mu_law_encode(x: Float[Tensor, "*shape"], levels: int = 256) -> Int[Tensor, "*shape"]:
    """Quantise sound to a few levels, finely where it is quiet (ITU-T G.711).

    With μ = levels − 1, x is first bent to y = sign(x) · log(1 + μ|x|) / log(1 + μ), again
    between −1 and 1, and then becomes the level nearest to (y + 1) / 2 · μ; a half goes up
    (van den Oord et al. 2016c, section 2.2).

    Args:
        x: amplitudes (*shape), in [−1, 1]; what lies outside counts as the nearer end.
        levels: how many levels there are.

    Returns:
        Levels (*shape), int64, from 0 for −1 to levels − 1 for 1.
    """
    mu = levels - 1
    x = x.clamp(-1, 1)
    y = x.sign() * torch.log1p(mu * x.abs()) / math.log1p(mu)
    return ((y + 1) / 2 * mu + 0.5).floor().long()


def mu_law_decode(codes: Int[Tensor, "*shape"], levels: int = 256) -> Float[Tensor, "*shape"]:
    """The amplitude that a level of the μ-law stands for.

    With μ = levels − 1 and y = 2 · level / μ − 1 it is sign(y) · ((1 + μ)^|y| − 1) / μ, so that
    encoding it gives the same level again.

    Args:
        codes: levels (*shape), from 0 to levels − 1, of any integer dtype.
        levels: how many levels there are.

    Returns:
        Amplitudes (*shape), float32, from −1 for the first level to 1 for the last.
    """
    mu = levels - 1
    y = 2 * codes.float() / mu - 1
    return y.sign() * torch.expm1(y.abs() * math.log1p(mu)) / mu


class CausalConv1d(nn.Module):
    """A convolution over time that never looks ahead, with holes (WaveNet).

    Van den Oord et al. 2016c, section 2.1. With k = kernel_size and d = dilation,

        y[t] = bias + Σ_i weight[:, :, i] x[t − (k − 1 − i) · d],   i = 0, …, k − 1:

    the last weight is for the present, the one before it for d steps ago, and so on. Before the
    beginning there are zeros, so that the output is as long as the input. The parameters are
    called `weight` (out_channels, in_channels, kernel_size) and `bias` (out_channels,), as in
    `nn.Conv1d`, and begin like that one's.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: how many inputs are looked at.
        dilation: how many steps they are apart.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        convolution = nn.Conv1d(in_channels, out_channels, kernel_size)
        self.weight, self.bias = convolution.weight, convolution.bias
        self.dilation = dilation

    def forward(
        self,
        x: Float[Tensor, "batch in_channels length"],
    ) -> Float[Tensor, "batch out_channels length"]:
        """Apply the layer to a batch of sequences.

        Args:
            x: sequences (batch, in_channels, length), of any length.

        Returns:
            Sequences of the same length (batch, out_channels, length).
        """
        past = (self.weight.shape[2] - 1) * self.dilation
        return F.conv1d(F.pad(x, (past, 0)), self.weight, self.bias, dilation=self.dilation)


def receptive_field(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    """How many inputs an output of a stack of causal convolutions depends on.

    The present one included: a layer with kernel size k and dilation d looks (k − 1) · d steps
    further back than the layer below.

    Args:
        kernel_sizes: the kernel size of each layer.
        dilations: the dilation of each layer; as many as kernel sizes.

    Returns:
        The number of time steps from the first input that counts to the present one, both
        included; 1 if there are no layers.
    """
    return 1 + sum((k - 1) * d for k, d in zip(kernel_sizes, dilations, strict=True))


class WaveNetBlock(nn.Module):
    """A layer of WaveNet: a gate around two causal convolutions, a shortcut, and a way out.

    Van den Oord et al. 2016c, sections 2.3 and 2.4 and figure 4:

        z = tanh(filter(x)) ⊙ σ(gate(x)),   x′ = x + residual(z),   s = skip(z).

    The four parts are attributes of these names. `residual` is `nn.Conv1d(channels, channels, 1)`
    and `skip` is `nn.Conv1d(channels, skip_channels, 1)`.

    Args:
        channels: channels of the sequence that passes through.
        skip_channels: channels of what goes straight to the output of the network.
        filter: a module, such as your `CausalConv1d(channels, channels, 2, dilation=4)`.
        gate: another one of the same kind.
    """

    def __init__(
        self,
        channels: int,
        skip_channels: int,
        filter: nn.Module,
        gate: nn.Module,
    ) -> None:
        super().__init__()
        self.filter = filter
        self.gate = gate
        self.residual = nn.Conv1d(channels, channels, 1)
        self.skip = nn.Conv1d(channels, skip_channels, 1)

    def forward(
        self,
        x: Float[Tensor, "batch channels length"],
    ) -> tuple[
        Float[Tensor, "batch channels length"],
        Float[Tensor, "batch skip_channels length"],
    ]:
        """Pass a batch of sequences through the layer.

        Args:
            x: sequences (batch, channels, length).

        Returns:
            The pair (x′, s): what the next layer reads (batch, channels, length), and what goes
            to the output of the network (batch, skip_channels, length).
        """
        z = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))
        return x + self.residual(z), self.skip(z)
