"""Reference answers to `audio`."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def spectrogram(
    sound: Float[Tensor, "batch samples"],
    window: Float[Tensor, "width"],
    hop: int,
    *,
    power: float = 2.0,
) -> Float[Tensor, "batch width//2+1 samples//hop+1"]:
    """How much of each frequency there is in each moment of a sound.

    The sound gets width // 2 zeros before it and as many after it. Frame t are the `width`
    samples of that from t · hop on, so that its middle is sample t · hop of the sound itself.
    It is multiplied by the window; bin k of its discrete Fourier transform is

        X[k, t] = Σ_n window[n] · frame_t[n] · exp(−2πi k n / width),   k = 0, …, width / 2,

    without any further factor, and the result is |X|^power. There is a frame for every
    t = 0, …, samples // hop.

    Args:
        sound: amplitudes (batch, samples).
        window: what a frame is multiplied by (width,), an even number of samples.
        hop: samples from the middle of one frame to the middle of the next.
        power: 2 for power |X|², 1 for magnitude |X|.

    Returns:
        The spectrogram (batch, width / 2 + 1, samples // hop + 1), frequency before time; bin k
        stands for k · rate / width hertz.
    """
    padded = F.pad(sound, (len(window) // 2, len(window) // 2))
    frames = padded.unfold(1, len(window), hop)
    return torch.fft.rfft(frames * window).abs().pow(power).transpose(1, 2)


def mel_filterbank(
    bins: int,
    mels: int,
    rate: int,
    *,
    low: float = 0.0,
    high: float | None = None,
) -> Float[Tensor, "mels bins"]:
    """Triangular filters at equal distances on the mel scale.

    The scale is HTK's, m(f) = 2595 · log₁₀(1 + f / 700). With mels + 2 frequencies
    f₀ < f₁ < … from `low` to `high`, both included, whose mels are equally spaced, filter i
    rises from 0 at fᵢ to 1 at fᵢ₊₁, falls back to 0 at fᵢ₊₂, both in a straight line over
    frequency in hertz, and is 0 elsewhere. Bin k lies at k · rate / (2 · (bins − 1)) hertz, from
    0 to rate / 2. The filters are not normalised: a peak that falls on a bin is 1 there; a
    filter so narrow that no bin falls inside is all zeros.

    Args:
        bins: bins of the spectrogram, at least 2.
        mels: how many filters.
        rate: samples a second, in hertz, even.
        low: where the first filter begins, in hertz.
        high: where the last filter ends, in hertz; None is rate / 2.

    Returns:
        Weights (mels, bins), float32, in [0, 1]: filter by bin.
    """
    ends = torch.tensor([low, rate / 2 if high is None else high], dtype=torch.float64)
    first, last = (2595 * torch.log10(1 + ends / 700)).tolist()
    corners = 700 * (10 ** (torch.linspace(first, last, mels + 2, dtype=torch.float64) / 2595) - 1)
    frequency = torch.linspace(0, rate / 2, bins, dtype=torch.float64)
    left, peak, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rise, fall = (frequency - left) / (peak - left), (right - frequency) / (right - peak)
    return torch.minimum(rise, fall).clamp(min=0).float()


def log_mel(
    spectrum: Float[Tensor, "batch bins frames"],
    filterbank: Float[Tensor, "mels bins"],
    *,
    floor: float = 1e-5,
) -> Float[Tensor, "batch mels frames"]:
    """The logarithm of what passes through each filter in each frame.

    For every filter the sum over bins of weight · spectrum, in each frame; a sum that is less
    than `floor` is replaced by it; then the natural logarithm (Shen et al. 2018, section 2.1).

    Args:
        spectrum: a spectrogram (batch, bins, frames), of power or of magnitude, as you like it.
        filterbank: weights (mels, bins), as `mel_filterbank` returns them.
        floor: the least sum that counts, positive.

    Returns:
        Log-mel spectrograms (batch, mels, frames).
    """
    return (filterbank.to(spectrum) @ spectrum).clamp(min=floor).log()


def griffin_lim(
    magnitude: Float[Tensor, "batch width//2+1 length//hop+1"],
    window: Float[Tensor, "width"],
    hop: int,
    length: int,
    phase: Float[Tensor, "batch width//2+1 length//hop+1"],
    *,
    iterations: int = 32,
) -> Float[Tensor, "batch length"]:
    """Find a sound whose spectrogram has the given magnitudes.

    Griffin & Lim 1984. Start from the complex spectrogram C = magnitude · exp(i · phase). Each
    iteration takes the inverse transform x of C, transforms it again to X, and keeps the angles
    of X only: C = magnitude · X / |X|, where the angle of X = 0 counts as 0. The result is the
    inverse transform of the last C: with 0 iterations, that of the first.

    The transform is the one that `spectrogram` describes, before |·|, with zeros at both ends.
    The inverse is the sound of `length` samples whose transform is nearest to C in the
    least-squares sense: frames by inverse Fourier transform, times the window, added up where
    they overlap, divided by the sum of the squared windows there, without the samples that
    belong to the zeros. (`torch.stft` and `torch.istft` do this.)

    Args:
        magnitude: |X|, not |X|² (batch, width / 2 + 1, length // hop + 1).
        window: the window (width,), positive but perhaps for its first sample; width is even.
        hop: samples from frame to frame, at most width / 2.
        length: samples of the sound.
        phase: angles to start from, in radians, of the same shape as `magnitude`: the only
            source of randomness.
        iterations: how often to go back and forth.

    Returns:
        Sounds (batch, length).
    """

    def inverse(spectrum: Tensor) -> Tensor:
        return torch.istft(spectrum, len(window), hop, window=window, length=length)

    sound = inverse(torch.polar(magnitude, phase))
    for _ in range(iterations):
        again = torch.stft(sound, len(window), hop, window=window, pad_mode="constant", return_complex=True)
        sound = inverse(torch.polar(magnitude, again.angle()))
    return sound


def linear_prediction(
    sound: Float[Tensor, "batch samples"],
    order: int,
) -> Float[Tensor, "batch order"]:
    """Fit the linear autoregressive model x[n] ≈ a₁ x[n−1] + … + a_p x[n−p] to sounds.

    The coefficients make the squared error of the prediction as small as possible, summed over
    all n, where the sound is followed and preceded by silence: x[n] = 0 for n < 0 and for
    n ≥ samples, and n runs from 0 to samples + order − 1. So they solve the normal equations

        Σ_j r[|i − j|] a_j = r[i],   i = 1, …, order,   with r[k] = Σ_n x[n] x[n + k]

    (the autocorrelation method: Atal & Hanauer 1971; Makhoul 1975, section II.B).

    Args:
        sound: amplitudes (batch, samples), none of the sounds silent.
        order: p, how many samples back the model looks, less than `samples`.

    Returns:
        Coefficients (batch, order): a₁, for the sample just before, comes first.
    """
    samples = sound.shape[1]
    lags = [(sound[:, : samples - k] * sound[:, k:]).sum(dim=1) for k in range(order + 1)]
    r = torch.stack(lags, dim=1)
    places = torch.arange(order, device=sound.device)
    matrix = r[:, (places[:, None] - places[None, :]).abs()]
    return torch.linalg.solve(matrix, r[:, 1:])


def encode_events(
    notes: Sequence[tuple[float, float, int, int]],
    *,
    steps_per_second: int = 100,
) -> Int[Tensor, "events"]:
    """Write notes down as a sequence of events, which a language model can learn.

    The vocabulary of Music Transformer (Huang et al. 2019, section 3.1; after Oore et al. 2018),
    388 events:

        0 … 127     the note of that pitch begins
        128 … 255   the note of pitch (event − 128) ends
        256 … 355   time passes: 1 … 100 steps
        356 … 387   notes from here on have velocity bin 0 … 31

    Times are rounded to the nearest step; a note that would end on the step on which it begins
    ends one step later. The velocity bin is velocity // 4.

    Events come in order of time. On one step, first all ends come, those of low pitches first,
    then all beginnings, those of low pitches first. The event of a velocity comes just before a
    beginning, and only where the bin is another than that of the beginning before; so the first
    beginning always has one. Time that passes, also before the first note, is written when the
    next end or beginning needs it: as many events of 100 steps as fit, then the rest if there is
    one. Nothing follows the last end.

    If a pitch is struck again while it sounds, the note that sounds ends there.

    Args:
        notes: in any order, of each note (start, end, pitch, velocity): start and end in
            seconds, 0 ≤ start < end, no time halfway between two steps; pitch from 0 to 127,
            60 being middle C; velocity, the force of the stroke, from 1 to 127. No two notes of
            the same pitch begin on the same step.
        steps_per_second: how finely time is measured.

    Returns:
        Events (events,), int64; empty if there are no notes.
    """
    starts: dict[int, list[tuple[int, int, int]]] = {}
    for begin, end, pitch, velocity in notes:
        first, last = round(begin * steps_per_second), round(end * steps_per_second)
        starts.setdefault(pitch, []).append((first, max(last, first + 1), velocity // 4))
    changes: list[
        tuple[int, bool, int, int]
    ] = []  # (step, whether a beginning, pitch, bin): sorted as they are written
    for pitch, same in starts.items():
        same.sort()
        for place, (first, last, velocity_bin) in enumerate(same):
            if place + 1 < len(same):
                last = min(last, same[place + 1][0])
            changes += [(first, True, pitch, velocity_bin), (last, False, pitch, 0)]
    events: list[int] = []
    now, velocity_now = 0, -1
    for step, beginning, pitch, velocity_bin in sorted(changes):
        whole, rest = divmod(step - now, 100)
        events += [355] * whole + [255 + rest] * (rest > 0)
        now = step
        if beginning and velocity_bin != velocity_now:
            events.append(356 + velocity_bin)
            velocity_now = velocity_bin
        events.append(pitch if beginning else 128 + pitch)
    return torch.tensor(events, dtype=torch.int64)


def decode_events(
    events: Int[Tensor, "events"],
    *,
    steps_per_second: int = 100,
) -> list[tuple[float, float, int, int]]:
    """Read events as notes, whoever wrote them: the other way round from `encode_events`.

    The vocabulary is that of `encode_events`. The clock starts at 0, and goes on only by the
    events for time. What a model writes need not make sense, so:

    - the end of a pitch that does not sound is passed over;
    - if a pitch begins that sounds already, the note that sounds ends there, and a new one begins;
    - what still sounds after the last event ends there;
    - a note that ends on the step on which it began is left out;
    - until the first event of a velocity, the velocity is 64.

    Args:
        events: events (events,), from 0 to 387.
        steps_per_second: how finely time is measured.

    Returns:
        Of each note the tuple (start, end, pitch, velocity): start and end in seconds,
        step / steps_per_second; the velocity is the middle of its bin, 4 · bin + 2. Sorted by
        start, notes that start together by pitch.
    """
    notes: list[tuple[float, float, int, int]] = []
    sounding: dict[int, tuple[int, int]] = {}
    now, velocity = 0, 64

    def end(pitch: int) -> None:
        if pitch in sounding:
            begin, force = sounding.pop(pitch)
            if now > begin:
                notes.append((begin / steps_per_second, now / steps_per_second, pitch, force))

    for event in events.tolist():
        if event < 128:
            end(event)
            sounding[event] = (now, velocity)
        elif event < 256:
            end(event - 128)
        elif event < 356:
            now += event - 255
        else:
            velocity = 4 * (event - 356) + 2
    for pitch in list(sounding):
        end(pitch)
    return sorted(notes, key=lambda note: (note[0], note[2]))


def relative_attention(
    query: Float[Tensor, "*batch length d_key"],
    key: Float[Tensor, "*batch length d_key"],
    value: Float[Tensor, "*batch length d_value"],
    distances: Float[Tensor, "most d_key"],
) -> Float[Tensor, "*batch length d_value"]:
    """Causal attention that knows how far back it looks.

    Huang et al. 2019, sections 3.3 and 3.4. Position i looks at the positions j ≤ i, itself
    included, with

        score[i, j] = (q_i · k_j + q_i · e_(i−j)) / √d_key,   weights = softmax over j ≤ i,

    where e_r is a vector for the distance r, the same for every position and batch entry. As in
    the paper the vectors stand in the order from far to near: the last row of `distances` is
    e_0, the row before it e_1, and so on.

    Args:
        query: what is looked for (*batch, length, d_key), with any number of batch dimensions,
            also none.
        key: what is on offer (*batch, length, d_key).
        value: what is handed over (*batch, length, d_value).
        distances: a vector for every distance (most, d_key), for at least as many distances as
            there are positions; if there are more, the rows of the far distances, at the
            beginning, are not used.

    Returns:
        Averages of the values (*batch, length, d_value). It stays finite at scores of ±10⁴.
    """
    length = query.shape[-2]
    # Column c of this table belongs to distance length − 1 − c; skewing moves it to column j = i − distance.
    table = query @ distances[-length:].T
    padded = F.pad(table, (1, 0))
    skewed = padded.reshape(*table.shape[:-2], length + 1, length)[..., 1:, :]
    scores = (query @ key.transpose(-1, -2) + skewed) / math.sqrt(query.shape[-1])
    before = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    return scores.masked_fill(~before, -math.inf).softmax(dim=-1) @ value


def allowed_events(
    events: Int[Tensor, "batch length"],
    *,
    scale: tuple[int, ...] = tuple(range(12)),
    voices: int = 128,
) -> Bool[Tensor, "batch 388"]:
    """Which events may come next, so that what is written remains music.

    The vocabulary is that of `encode_events`. A pitch sounds if the last event about it, among
    the events so far, was its beginning. Then

    - a pitch may begin if it does not sound, if its place in the octave, pitch mod 12, is in the
      scale, and if fewer than `voices` pitches sound;
    - a pitch may end if it sounds, whatever the scale;
    - time may always pass;
    - a velocity may be set unless the last event has just set one.

    Args:
        events: what has been written so far (batch, length); the length may be 0.
        scale: the places in the octave that may be struck, 0 being C: all twelve by default;
            (0, 2, 4, 5, 7, 9, 11) is C major.
        voices: how many pitches may sound at a time.

    Returns:
        True where an event is allowed (batch, 388).
    """
    batch, length = events.shape
    place = torch.arange(1, length + 1, device=events.device).expand(batch, -1)
    latest = torch.zeros(batch, 257, dtype=torch.int64, device=events.device)  # where each event was last seen
    latest = latest.scatter_reduce(1, events.long().clamp(max=256), place, "amax")
    sounding = latest[:, :128] > latest[:, 128:256]
    octave = torch.arange(128, device=events.device) % 12
    inside = torch.isin(octave, torch.tensor(scale, dtype=torch.int64, device=events.device))
    room = sounding.sum(dim=1, keepdim=True) < voices
    time = torch.ones(batch, 100, dtype=torch.bool, device=events.device)
    free = events[:, -1:] < 356 if length else time[:, :1]
    return torch.cat([inside & room & ~sounding, sounding, time, free.expand(-1, 32)], dim=1)


def sample_music(
    model: Callable,
    start: Int[Tensor, "batch given"],
    uniform: Float[Tensor, "batch steps"],
    *,
    allowed: Callable = allowed_events,
    temperature: float = 1.0,
) -> Int[Tensor, "batch given+steps"]:
    """Let a model go on with pieces of music, event by event, within rules.

    Step s asks the model once about all events so far, and `allowed` once about the same. The
    probabilities of the next event are softmax(logits / temperature) over the allowed events,
    and 0 for all others. The next event is the smallest one whose cumulative probability
    p(0) + … + p(event) exceeds uniform[:, s], or the last allowed event if rounding leaves none.
    No graph is recorded.

    Args:
        model: model(events) gives for events (batch, length), int64, the logits of the event
            after each (batch, length, vocabulary); only those after the last are needed.
        start: how the pieces begin (batch, given), int64, at least one event.
        uniform: draws from the uniform distribution on [0, 1) (batch, steps), the only source
            of randomness.
        allowed: allowed(events) tells for events (batch, length) which may come next (batch,
            vocabulary), True for at least one: your `allowed_events`, or another function that
            is called like it.
        temperature: what the logits are divided by, positive.

    Returns:
        The events (batch, given + steps), int64, the given ones first.
    """
    events = start
    with torch.no_grad():
        for draw in uniform.unbind(dim=1):
            may = allowed(events)
            logits = (model(events)[:, -1] / temperature).masked_fill(~may, -math.inf)
            cumulative = logits.softmax(dim=1).cumsum(dim=1)
            chosen = (cumulative <= draw[:, None]).sum(dim=1, keepdim=True)
            last = may.shape[1] - 1 - may.int().flip(1).argmax(dim=1, keepdim=True)
            events = torch.cat([events, torch.minimum(chosen, last)], dim=1)
    return events


def location_sensitive_attention(
    query: Float[Tensor, "batch d_query"],
    memory: Float[Tensor, "batch length d_memory"],
    past: Float[Tensor, "batch length"],
    *,
    query_weight: Float[Tensor, "hidden d_query"],
    memory_weight: Float[Tensor, "hidden d_memory"],
    filters: Float[Tensor, "channels width"],
    location_weight: Float[Tensor, "hidden channels"],
    bias: Float[Tensor, "hidden"],
    score: Float[Tensor, "hidden"],
    mask: Bool[Tensor, "batch length"] | None = None,
) -> tuple[Float[Tensor, "batch d_memory"], Float[Tensor, "batch length"]]:
    """One look at a text, by content and by where the looks so far have been.

    Chorowski et al. 2015, equations 8 and 9, as used by Tacotron 2 (Shen et al. 2018, section
    2.2). With the query s, the memory h_j of letter j and the past looks α, it computes

        f_j[c]  = Σ_m filters[c, m] · α_(j + m − width // 2),   α being 0 beyond both ends,
        e_j     = score · tanh(query_weight s + memory_weight h_j + location_weight f_j + bias),
        weights = softmax over j of e_j,

    and the context Σ_j weights_j h_j.

    Args:
        query: s, the state of the decoder (batch, d_query).
        memory: h, what the encoder says about each letter (batch, length, d_memory).
        past: α, for each letter the sum of the weights of all looks so far (batch, length).
        query_weight: W (hidden, d_query).
        memory_weight: V (hidden, d_memory).
        filters: F (channels, width), the width an odd number.
        location_weight: U (hidden, channels).
        bias: b (hidden,).
        score: v (hidden,).
        mask: True where there is a letter, at least one in each row (batch, length); where it is
            False, the weight is exactly 0. None means that there are letters everywhere.

    Returns:
        The pair (context, weights): (batch, d_memory) and (batch, length), the weights of each
        row adding up to 1. `past` is left as it is.
    """
    location = F.conv1d(past.unsqueeze(1), filters.unsqueeze(1), padding=filters.shape[1] // 2)
    hidden = (query @ query_weight.T).unsqueeze(1) + memory @ memory_weight.T
    hidden = hidden + location.transpose(1, 2) @ location_weight.T + bias
    energy = torch.tanh(hidden) @ score
    if mask is not None:
        energy = energy.masked_fill(~mask, -math.inf)
    weights = energy.softmax(dim=1)
    return (weights.unsqueeze(1) @ memory).squeeze(1), weights


def tacotron_loss(
    before: Float[Tensor, "batch mels frames"],
    after: Float[Tensor, "batch mels frames"],
    target: Float[Tensor, "batch mels frames"],
    stop_logits: Float[Tensor, "batch frames"],
    lengths: Int[Tensor, "batch"],
    *,
    positive_weight: float = 5.0,
) -> Float[Tensor, ""]:
    """What Tacotron 2 minimises: the error of both spectrograms, and that of the stop token.

    After Shen et al. 2018, section 2.2. Only real frames count: of sequence b those before
    lengths[b]. The loss is the sum of three means:

    - the squared difference of `before` and `target`, a mean over all mels of all real frames of
      the batch together;
    - the same for `after`;
    - the binary cross-entropy of the stop token, a mean over all real frames of the batch
      together: the last real frame of each sequence should stop, the others should not. Where
      it should, the cross-entropy counts `positive_weight` times (the mean still divides by the
      number of frames).

    Args:
        before: the spectrogram before the post-net (batch, mels, frames).
        after: the spectrogram after the post-net, of the same shape.
        target: the true one, of the same shape; what stands in its padding does not matter.
        stop_logits: logits of the probability of stopping after each frame (batch, frames).
        lengths: the number of real frames of each sequence (batch,), from 1 to frames.
        positive_weight: the weight of frames that should stop, since they are rare.

    Returns:
        A scalar, of shape (). Padding has no influence on it, and gets no gradient.
        Finite, gradients too, for stop logits of ±10⁴.
    """
    frame = torch.arange(target.shape[2], device=target.device)
    real = frame < lengths[:, None]
    last = (frame == lengths[:, None] - 1).to(stop_logits)
    weight = torch.as_tensor(positive_weight, dtype=stop_logits.dtype, device=stop_logits.device)
    stop = F.binary_cross_entropy_with_logits(stop_logits[real], last[real], pos_weight=weight)
    errors = [(mel - target).transpose(1, 2)[real].square().mean() for mel in (before, after)]
    return errors[0] + errors[1] + stop


class InvertibleConv1x1(nn.Module):
    """A flow that mixes the channels of each moment, and can be undone.

    Kingma & Dhariwal 2018, section 3.2; Prenger et al. 2019, section 2.2. With the parameter
    `weight` (channels, channels) it computes z[:, :, t] = weight @ x[:, :, t]. The weight begins
    as a random orthogonal matrix.

    Args:
        channels: channels of the sequence.
        generator: source of the first weight; None is torch's global one.
    """

    def __init__(self, channels: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels, generator=generator)).Q)

    def forward(
        self,
        x: Float[Tensor, "batch channels length"],
    ) -> tuple[Float[Tensor, "batch channels length"], Float[Tensor, "batch"]]:
        """Mix the channels.

        Args:
            x: sequences (batch, channels, length).

        Returns:
            The pair (z, log_det): the mixed sequences (batch, channels, length), and for each of
            them log |det ∂z/∂x| (batch,), where z and x are one vector of channels · length
            numbers each.
        """
        log_det = x.shape[2] * torch.linalg.slogdet(self.weight).logabsdet
        return self.weight @ x, log_det.expand(len(x))

    def inverse(
        self,
        z: Float[Tensor, "batch channels length"],
    ) -> Float[Tensor, "batch channels length"]:
        """Undo it: find the x of which `forward` makes z.

        Args:
            z: mixed sequences (batch, channels, length).

        Returns:
            Sequences (batch, channels, length).
        """
        return torch.linalg.solve(self.weight, z)


class AffineCoupling(nn.Module):
    """A flow that scales and shifts one half of the channels, as the other half says.

    Dinh et al. 2017, section 3.2; Prenger et al. 2019, section 2.1. The first half of the
    channels, x_a, stays as it is, and tells a network what to do with the second half, x_b:

        (log s, t) = network(x_a, condition),   z = (x_a, s ⊙ x_b + t).

    Args:
        network: network(x_a, condition) gives for x_a (batch, channels / 2, length) a tensor
            (batch, channels, length): log s is the first half of its channels, t the second. It
            is kept as the attribute `network`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        x: Float[Tensor, "batch channels length"],
        condition: Float[Tensor, "batch features length"],
    ) -> tuple[Float[Tensor, "batch channels length"], Float[Tensor, "batch"]]:
        """Scale and shift.

        Args:
            x: sequences (batch, channels, length), the number of channels even.
            condition: what the network is told besides (batch, features, length).

        Returns:
            The pair (z, log_det): sequences (batch, channels, length), and for each of them
            log |det ∂z/∂x| (batch,), where z and x are one vector of channels · length numbers
            each.
        """
        kept, moved = x.chunk(2, dim=1)
        log_scale, shift = self.network(kept, condition).chunk(2, dim=1)
        return torch.cat([kept, log_scale.exp() * moved + shift], dim=1), log_scale.sum(dim=(1, 2))

    def inverse(
        self,
        z: Float[Tensor, "batch channels length"],
        condition: Float[Tensor, "batch features length"],
    ) -> Float[Tensor, "batch channels length"]:
        """Undo it: find the x of which `forward` makes z, given the same condition.

        Args:
            z: sequences (batch, channels, length).
            condition: what the network is told besides (batch, features, length).

        Returns:
            Sequences (batch, channels, length).
        """
        kept, moved = z.chunk(2, dim=1)
        log_scale, shift = self.network(kept, condition).chunk(2, dim=1)
        return torch.cat([kept, (moved - shift) * (-log_scale).exp()], dim=1)


def waveglow_loss(
    z: Float[Tensor, "batch channels length"],
    log_det: Float[Tensor, "batch"],
    *,
    sigma: float = 1.0,
) -> Float[Tensor, ""]:
    """The negative log-likelihood of sounds under a flow, for each of their numbers.

    The flow takes a sound x to z, whose numbers should be independent with N(0, σ²), so that

        log p(x) = Σ log N(z; 0, σ²) + log |det ∂z/∂x|

    (Prenger et al. 2019, section 2). Here log N has its constant −½ log(2πσ²), which the paper
    leaves out, so that the result is what a sample costs, in nats.

    Args:
        z: what the flow makes of the sounds (batch, channels, length).
        log_det: log |det ∂z/∂x| of each sound, summed over all layers (batch,).
        sigma: σ, the standard deviation of the prior.

    Returns:
        A scalar, of shape (): −log p(x) divided by channels · length, a mean over the batch.
    """
    surprise = z.square() / (2 * sigma**2) + math.log(sigma) + 0.5 * math.log(2 * math.pi)
    return surprise.mean() - log_det.mean() / z[0].numel()


def gram_matrix(
    features: Float[Tensor, "batch channels frames"],
) -> Float[Tensor, "batch channels channels"]:
    """How often each pair of features is active at the same time: F Fᵀ / frames.

    Gatys et al. 2016, equation 3, but divided by the number of frames, so that sounds of
    different lengths can be compared.

    Args:
        features: feature maps over time (batch, channels, frames).

    Returns:
        Gram matrices (batch, channels, channels): products of two channels, a mean over frames.
    """
    return features @ features.transpose(1, 2) / features.shape[2]


def style_loss(
    features: Sequence[Float[Tensor, "batch _ _"]],
    style: Sequence[Float[Tensor, "batch _ _"]],
    *,
    weights: Sequence[float] | None = None,
    gram: Callable = gram_matrix,
) -> Float[Tensor, ""]:
    """How far the texture of sounds is from a wanted one, over several layers of features.

    Σ_l w_l · ‖G_l − A_l‖² / channels_l², where G_l and A_l are the Gram matrices of `features[l]`
    and `style[l]`, and ‖·‖² is the sum of all squared entries; a mean over the batch (Gatys et
    al. 2016, equations 4 and 5, but for a constant; for sound: Ulyanov & Lebedev 2016).

    Args:
        features: for each layer, features of the sounds in question (batch, channels, frames).
        style: for each layer, features of the sounds whose style is wanted (batch, channels,
            frames): as many channels, but perhaps another number of frames.
        weights: the weight w of each layer; None gives every layer the weight 1.
        gram: your `gram_matrix`, or another function that is called like it.

    Returns:
        A scalar, of shape ().
    """
    distances = [(gram(f) - gram(s)).square().mean(dim=(1, 2)).mean() for f, s in zip(features, style, strict=True)]
    shares = [1.0] * len(distances) if weights is None else weights
    return torch.stack([w * d for w, d in zip(shares, distances, strict=True)]).sum()


def adsr_envelope(
    samples: int,
    rate: int,
    *,
    attack: float,
    decay: float,
    sustain: float,
    release: float,
) -> Float[Tensor, "samples"]:
    """How the loudness of a sound goes up and down: attack, decay, sustain, release.

    At time t = n / rate of a sound that lasts T = samples / rate seconds it is the product of

    - a level that climbs from 0 to 1 while t < attack, then falls from 1 to `sustain` while
      t < attack + decay, both in a straight line, and stays there;
    - a fade-out min(1, (T − t) / release).

    A part that lasts 0 seconds is left out: without an attack the level begins at 1.

    Args:
        samples: how many samples.
        rate: samples a second.
        attack: seconds of the climb, 0 or more.
        decay: seconds of the fall, 0 or more.
        sustain: the level afterwards, in [0, 1].
        release: seconds of the fade-out, 0 or more.

    Returns:
        Factors (samples,), float32, in [0, 1].
    """
    time = torch.arange(samples, dtype=torch.float64) / rate
    level = torch.full_like(time, sustain)
    falling = time < attack + decay
    level[falling] = 1 - (1 - sustain) * (time[falling] - attack) / (decay or 1)
    climbing = time < attack
    level[climbing] = time[climbing] / (attack or 1)
    if release > 0:
        level = level * ((samples / rate - time) / release).clamp(max=1)
    return level.float()


def synthesize_effect(
    noise: Float[Tensor, "batch samples"],
    gain: Float[Tensor, "width//2+1 samples//hop+1"],
    envelope: Float[Tensor, "samples"],
    window: Float[Tensor, "width"],
    hop: int,
    *,
    peak: float = 0.9,
) -> Float[Tensor, "batch samples"]:
    """Make a sound effect of noise: a filter that changes over time, then an envelope.

    The noise is transformed as `spectrogram` describes, before |·|; the complex number in bin k
    of frame t is multiplied by gain[k, t]; the inverse transform, as in `griffin_lim`, brings it
    back; the result is multiplied by the envelope, and then each sound is scaled so that its
    largest absolute amplitude is `peak`. A sound that is all zeros stays so.

    Args:
        noise: white noise (batch, samples), the only source of randomness.
        gain: factors for bins and frames (width / 2 + 1, samples // hop + 1), 0 or more.
        envelope: factors for samples (samples,), as `adsr_envelope` returns them.
        window: the window (width,), positive but perhaps for its first sample; width is even.
        hop: samples from frame to frame, at most width / 2.
        peak: the largest amplitude of each sound.

    Returns:
        Sounds (batch, samples).
    """
    spectrum = torch.stft(noise, len(window), hop, window=window, pad_mode="constant", return_complex=True)
    filtered = torch.istft(spectrum * gain, len(window), hop, window=window, length=noise.shape[1])
    sound = filtered * envelope
    loudest = sound.abs().amax(dim=1, keepdim=True)
    return peak * sound / torch.where(loudest > 0, loudest, 1.0)
