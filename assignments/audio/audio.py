# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Generative audio
#
# A voice that reads a letter to somebody who cannot see it. Ten minutes of music for a film that nobody could afford to
# have composed. The footsteps, the wind and the explosion of a game, never twice the same. All of this is made by
# machines today, and all of it is sound: a row of numbers, thousands of them for every second.
#
# Nobody writes sound number by number if it can be helped. The art is to find the right way to write it down first, and
# then to let a model write in that way. In this notebook you will use four:
#
# - **amplitudes**, the thing itself: autoregressive models from the speech coders of 1971 to WaveNet, and flows;
# - **spectrograms**, which show a sound as an ear hears it: for speech, and for painting one sound in the style of
#   another;
# - **events**, *this note begins, that one ends*: with them music becomes a language, and a Transformer can write it;
# - **envelopes and filters**, which say how a noise changes: the door of a spaceship, out of nothing.
#
# At the end you will have a small Music Transformer that composes, a small Tacotron that reads aloud words that it has
# never seen, a small WaveGlow that whispers, bells that speak, and a laser gun.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension; a sound is (samples,), a batch of them (batch, samples); a spectrogram is
#   (batch, bins, frames), frequency before time;
# - time is in seconds and frequency in hertz, unless they are counted in samples, frames or steps;
# - logarithms are natural, unless decibels are said;
# - functions draw no random numbers of their own: the noise, the phase, the draws are passed in;
# - masks are True where something is there, or allowed;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run, listened to and played with; put headphones on. After mending an earlier
# answer run the cells below it once more. Plan for five hours. Each exercise says how hard it is (● to ●●●) and how
# long it takes when it goes well.

# %%
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, midi, music, plots, sounds

# %% tags=["hands-on"]
BUDGET = 1.0  # how much training the cells do; with a GPU, try 20
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.set_num_threads(1)  # networks as small as these gain nothing from a second

RATE = sounds.RATE  # samples a second
WINDOW, HOP = torch.hann_window(256), 64


def seeded(seed):
    """A source of random numbers."""
    return torch.Generator().manual_seed(seed)


# %% [markdown]
# Here is one piece of music, written in three ways. Above, the amplitudes: what a loudspeaker needs, and what nobody
# can read. In the middle its *spectrogram*, how much of each frequency there is at each moment: you can see the notes,
# and the overtones of each as a ladder above it. Below, the notes. From top to bottom the description gets thousands of
# times shorter, and with every step something is lost: the phase, then the instrument.

# %% tags=["hands-on"]
from IPython.display import display

composer = music.Composer(bars=4)
tune, _ = composer.compose(generator=seeded(5))
song = sounds.play(tune)
display(sounds.listen(song))
short_time = torch.stft(song, 256, HOP, window=WINDOW, return_complex=True)
plots.three_ways(song, short_time.abs().square(), tune, rate=RATE, hop=HOP)

# %% [markdown]
# ## 1 · What a sound is made of
#
# Sound is air pressure over time. But an ear does not feel pressure go up and down; it hears *tones*. In the inner ear
# lies a membrane that is stiff at one end and slack at the other; each place of it resonates with one frequency and
# reports how strongly. The same can be computed. The discrete Fourier transform writes any $N$ numbers as a sum of
# waves of $N$ frequencies; how much of each is a complex number, whose absolute value is the strength of the wave and
# whose angle, the **phase**, says where the wave begins.
#
# Of a whole piece of music, that would say which notes occur but not when. So one takes short pieces, the **frames**,
# one every few milliseconds, and transforms each. Cutting a frame out of a sound with sharp scissors makes clicks at
# both ends, which contain all frequencies. A **window**, a hill that is 0 at the ends, fades each frame in and out
# (Gabor 1946):
#
# $$X[k, t] = \sum_{n=0}^{N-1} w[n]\; x[n + t \cdot \text{hop} - N/2]\; e^{-2 \pi i k n / N} .$$
#
# This is the *short-time Fourier transform*, and $|X|^2$ is the **spectrogram**. A sound of real numbers needs only the
# bins $k = 0, \dots, N/2$; bin $k$ is a frequency of $k \cdot \text{rate} / N$ hertz. Every library puts frame 0
# somewhere else, pads in its own way, and calls either $|X|$ or $|X|^2$ the spectrogram. Ours is in the docstring.
#
# ### Exercise · `spectrogram`
#
# *●● · 20 minutes.* `Tensor.unfold` cuts a tensor into overlapping pieces. Or find out which options of `torch.stft`
# say the same; not all of its defaults do.


# %% exercise="spectrogram" points=3
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
    raise NotImplementedError


# %% [markdown]
# A plucked string: overtones at whole multiples of its pitch, and the high ones die first. A bell: overtones as well,
# but at odd places, which is why nobody can say for sure which note a bell plays. A voice that sings a, e, i, o, u: the
# ladder of overtones stays where it is, for the pitch stays; what moves are the dark bands across it, the **formants**.
# Mouth and tongue make a filter, and the filter is the vowel.

# %% tags=["hands-on"]
examples = {
    "a string": sounds.pluck(220, 1.5),
    "a bell": sounds.bell(440, 1.5),
    "a e i o u": sounds.speak("aaeeiioouu", generator=seeded(0))[0],
}
for name, sound in examples.items():
    print(name)
    display(sounds.listen(sound))
plots.spectrograms(
    {name: spectrogram(sound[None], WINDOW, HOP)[0] for name, sound in examples.items()},
    rate=RATE,
    hop=HOP,
)

# %% [markdown]
# **A choice that cannot be avoided.** A long window tells frequencies apart that lie close together, a short one tells
# moments apart. No window does both: it is Heisenberg's inequality, here in its oldest job. The same word, seen through
# both; the short window shows single beats of the vocal cords as upright lines, the long one shows the overtones
# instead.

# %% tags=["hands-on"]
word = "maseti lukoxa"
voice, begins = sounds.speak(word, generator=seeded(1))
display(sounds.listen(voice))
views = {}
for width in (64, 512):
    title = f"“{word}”, frames of {1000 * width / RATE:g} ms"
    views[title] = spectrogram(voice[None], torch.hann_window(width), 16)[0]
letters = {title: list(zip(begins, word, strict=True)) for title in views}
plots.spectrograms(views, rate=RATE, hop=16, columns=1, letters=letters)

# %% [markdown]
# ### As an ear hears it
#
# From 200 to 300 Hz is a big step for the ear; from 3000 to 3100 Hz is hardly one. Stevens, Volkmann & Newman (1937)
# asked listeners to set tones so that they seemed equally far apart, and called the scale that came out *mel*, from
# melody. One of many formulas for it, that of the HTK toolkit, is
#
# $$m(f) = 2595 \log_{10}\!\Big( 1 + \frac{f}{700\ \text{Hz}} \Big) :$$
#
# nearly straight below 700 Hz, nearly logarithmic above. A **mel filterbank** gathers the hundreds of bins of a
# spectrogram into a few dozen bands that are equally wide on this scale. Each filter is a triangle, which begins where
# the last but one ends. (Slaney's version, the default of librosa, has another scale and another height. Models that
# were trained with the one hear nonsense through the other.)
#
# ### Exercise · `mel_filterbank`
#
# *●● · 20 minutes.* The corners of the triangles are equally spaced in mel; the triangles are straight in hertz.


# %% exercise="mel_filterbank" points=2
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
    raise NotImplementedError


# %% tags=["hands-on"]
hertz = torch.linspace(0, RATE / 2, 257)
triangles = enumerate(mel_filterbank(257, 12, RATE))
plots.curves(
    {"Twelve filters": {" " * i: (hertz, triangle) for i, triangle in triangles}},
    xlabel="frequency, Hz",
    ylabel="weight",
    alt="Twelve triangular filters, narrow at low frequencies and wide at high ones.",
)

# %% [markdown]
# Loudness is a matter of ratios as well: ten violins sound about twice as loud as one. So one takes the logarithm; and
# since digital silence has a logarithm of $-\infty$, which no network likes to predict, whatever is quieter than a
# floor counts as the floor.
#
# ### Exercise · `log_mel`
#
# *● · 5 minutes.*


# %% exercise="log_mel" points=1
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
    raise NotImplementedError


# %% [markdown]
# The word from above, once more: 32 numbers for a frame instead of 257. You could still read it. This is what Tacotron
# writes, what Whisper reads, and what style will be transferred on.

# %% tags=["hands-on"]
fine = spectrogram(voice[None], torch.hann_window(512), HOP)
coarse = log_mel(fine, mel_filterbank(257, 32, RATE, low=60), floor=1e-6)
plots.spectrograms(
    {f"“{word}” through 32 mel filters": coarse[0].exp()},
    rate=RATE,
    hop=HOP,
    mel=True,
    letters={f"“{word}” through 32 mel filters": list(zip(begins, word, strict=True))},
)

# %% [markdown]
# ### The way back
#
# A model that paints spectrograms has done half the work: they are silent. To hear one needs the phase, and it is gone.
# Could it be invented? The key is that it is *not* free. Frames overlap; every sample is told by several of them, and
# they have to agree. Of all complex tables with the given magnitudes hardly any is the transform of a sound at all.
#
# Griffin & Lim (1984) look for one by walking back and forth. Take any phases. Turn the table into a sound: where
# frames disagree, take the sound whose transform is nearest to the table, which is a weighted mean of the overlapping
# frames,
#
# $$x[n] = \frac{\sum_t w[n - t\,\text{hop}]\; y_t[n - t\,\text{hop}]}{\sum_t w^2[n - t\,\text{hop}]}, \qquad
# y_t = \text{inverse Fourier transform of column } t .$$
#
# Transform this sound again. The result is consistent, being the transform of a sound, but its magnitudes are no longer
# the wanted ones. So put these back, keep the new phases, and repeat. Each of the two steps goes to the *nearest* point
# of a set, first that of consistent tables, then that of tables with the right magnitudes. So the distance between the
# two can never grow (counted over the full transform, where every bin but the first and the last occurs twice). It need
# not go to zero; it may get stuck.
#
# ### Exercise · `griffin_lim`
#
# *●●● · 30 minutes.* Mind that magnitude is not power, and what `torch.stft` pads with.


# %% exercise="griffin_lim" points=3
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
    raise NotImplementedError


# %% tags=["hands-on"]
width = len(WINDOW)
wanted = spectrogram(voice[None], WINDOW, HOP, power=1.0)
guess = 2 * math.pi * torch.rand(wanted.shape, generator=seeded(2))
twice = torch.full((width // 2 + 1, 1), 2.0)
twice[[0, -1]] = 1.0
errors, rounds = [], (0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80)
found = {}
for number in rounds:
    found[number] = griffin_lim(wanted, WINDOW, HOP, len(voice), guess, iterations=number)
    again = spectrogram(found[number], WINDOW, HOP, power=1.0)
    off = (twice * (again - wanted).square()).sum() / (twice * wanted.square()).sum()
    errors.append(10 * off.log10().item())
trials = {"random phases": found[0], "80 iterations": found[80], "the voice": voice}
for name, sound in trials.items():
    print(name)
    display(sounds.listen(sound))
plots.curves(
    {"How far the magnitudes are off": {"": (torch.tensor(rounds), errors)}},
    xlabel="iteration",
    ylabel="squared error, dB",
)

# %% [markdown] question="phase" points=3
# ### Question · What the ear does not hear
#
# (a) With a window of 256 samples and a hop of 64, how many numbers does a spectrogram hold for each sample of the
# sound? How can it then be said to have *lost* something, and why does this surplus make Griffin & Lim's method
# possible? What happens to it at hop = width? (b) The sound after 80 iterations has waves that look nothing like those
# of the voice, yet it sounds almost the same. Would you train a model with the squared error between *waveforms*?
# Describe two sounds that no one can tell apart, and whose waveforms are further from each other than from silence. (c)
# Why do vocoders that generate waveforms still get a mel spectrogram rather than a magnitude spectrogram from the model
# before them?
#
# *3 points, one for each part: (a) the count, overlap as redundancy, and what is left without overlap; (b) a pair of
# sounds with its reason, such as a phase turned by 180°; (c) what is easier to predict, and who has to fill in the
# rest.*

# %% [markdown]
# ## 2 · Autoregressive sound
#
# You have met WaveNet: every sample is drawn from a distribution that a deep network computes from the samples before
# (van den Oord et al. 2016). Its grandfather is forty-five years older, has some ten numbers instead of millions, and
# was in every mobile phone call of the nineties:
#
# $$x[n] = a_1\, x[n-1] + a_2\, x[n-2] + \dots + a_p\, x[n-p] + e[n] .$$
#
# The next sample is a weighted sum of the last $p$, plus a little surprise $e$. If $e$ is Gaussian noise, this is an
# autoregressive model like any other, $p(x[n] \mid x[<n]) = \mathcal{N}\big(\sum_j a_j x[n-j],\, \sigma^2\big)$, and
# maximum likelihood means least squares. Setting the derivative of the squared error to zero gives the *normal
# equations*
#
# $$\sum_{j=1}^{p} r[|i - j|]\; a_j = r[i], \quad i = 1, \dots, p, \qquad r[k] = \sum_n x[n]\, x[n + k],$$
#
# whose matrix has the same number along each diagonal, and needs nothing of the sound but its **autocorrelation** $r$.
#
# Why ten numbers are enough for a vowel: read the equation as a machine. Surprise goes in, sound comes out, and the
# feedback through $a$ resonates at certain frequencies, which are the formants. The $e$ is what the vocal cords do
# (pulses, if one speaks; noise, if one whispers), the $a$ are the shape of the mouth. Source and filter, taken apart by
# solving ten equations (Atal & Hanauer 1971).
#
# ### Exercise · `linear_prediction`
#
# *●● · 20 minutes.* A matrix of all $r[|i-j|]$ comes from indexing $r$ with a table of distances.


# %% exercise="linear_prediction" points=2
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
    raise NotImplementedError


# %% [markdown]
# In grey the spectrum of two vowels, with its ladder of overtones. In colour the filter that ten coefficients make,
# $1 / |1 - \sum_k a_k e^{-i \omega k}|$: it runs over the tops of the ladder and peaks at the formants.

# %% tags=["hands-on"]


def sung(vowel, count=4):
    """A vowel, held for a while."""
    return sounds.speak(vowel * count, generator=seeded(3))[0]


panels, filters = {}, {}
hertz = torch.linspace(0, RATE / 2, 1025)
for vowel in "ai":
    held = sung(vowel)[None, 800:2848] * torch.hann_window(2048)
    filters[vowel] = linear_prediction(held + 1e-4 * torch.randn(2048, generator=seeded(0)), 10)[0]
    polynomial = torch.cat([torch.ones(1), -filters[vowel]])
    ringing = -20 * torch.fft.rfft(polynomial, 2048).abs().log10()
    overtones = 20 * torch.fft.rfft(held[0]).abs().clamp(min=1e-3).log10()
    shift = overtones.max() - ringing.max()
    panels[f"“{vowel}”"] = {"": (hertz, overtones), "filter": (hertz, ringing + shift)}
plots.curves(panels, xlabel="frequency, Hz", ylabel="dB")

# %% [markdown]
# Now the machine runs: the vowels of *a e i o u* come from filters of ten coefficients each, sample by sample, each
# from the ten before. Only the surprise differs. Once it is a click 110 times a second, once 160 times, once it is
# noise.

# %% tags=["hands-on"]


def run(coefficients, surprise):
    """The autoregressive model, run by hand: each sample from those before it, and a surprise."""
    past = [0.0] * len(coefficients)
    a = coefficients.tolist()
    for e in surprise.tolist():
        past.append(e + sum(c * x for c, x in zip(a, reversed(past[-len(a) :]), strict=True)))
    return torch.tensor(past[len(a) :])


spoken = {}
length = RATE // 3
for name in ("a low voice", "a high voice", "a whisper"):
    pieces = []
    for vowel in "aeiou":
        held = sung(vowel)[None, 800:2848] * torch.hann_window(2048)
        model = linear_prediction(held + 1e-4 * torch.randn(2048, generator=seeded(0)), 10)[0]
        clicks = torch.zeros(length)
        clicks[:: RATE // (160 if "high" in name else 110)] = 1.0
        source = torch.randn(length, generator=seeded(4)) if "whisper" in name else clicks
        piece = run(model, source) * torch.hann_window(length).sqrt()
        pieces.append(piece / piece.abs().max())
    spoken[name] = torch.cat(pieces)
for name, sound in spoken.items():
    print(name)
    display(sounds.listen(sound))
plots.spectrograms(
    {name: spectrogram(sound[None], WINDOW, HOP)[0] for name, sound in spoken.items()},
    rate=RATE,
    hop=HOP,
)

# %% [markdown]
# A linear filter with ten numbers cannot know what word comes next, or that a string was plucked. WaveNet replaces the
# sum by a network with a long memory, and Gaussian noise by a distribution over levels. The price you know: one pass of
# the network for each of 16 000 samples a second. All that follows is about avoiding it: by writing something shorter
# (sections 3 and 4), or all samples at once (section 5).

# %% [markdown]
# ## 3 · Music as a language
#
# A score is a text about what to do when, and computers have one of their own since 1983: MIDI. *Note 60 begins, with
# force 80; half a second passes; note 60 ends.* Write such events one after another, and music is a sequence of tokens
# like any other. Everything that you have built for text works.
#
# This is how machines compose. **Jukedeck**, a company in London (2012–2019), sold music to order: choose a mood, a
# length and where the climax should be; models trained on scores wrote notes, and a second program chose instruments
# and mixed them. **MuseNet** (Payne 2019) is a GPT: 72 layers, trained to predict the next event in hundreds of
# thousands of MIDI files, for ten instruments, with composer and instruments as first tokens of the prompt. It goes on
# from six notes by Chopin with a band. **Music Transformer** (Huang et al. 2019) plays the piano, with a vocabulary of
# 388 events after that of Performance RNN (Oore et al. 2018), and this is the one that you will use:
#
# | events | mean |
# | --- | --- |
# | 0 – 127 | the note of this pitch begins (60 is middle C, each step a semitone) |
# | 128 – 255 | the note of pitch (event − 128) ends |
# | 256 – 355 | time passes: 1 to 100 steps of 10 ms |
# | 356 – 387 | from here on notes are struck with force 0 to 31 |
#
# There is no "note of half a second": a note is over when its end comes, and in between anything may happen. So a
# performance can be written as it was played, chords, pedal, hesitation and all.
#
# The devil is in what is left open. What comes first, if a note ends and another begins at the same moment? What if a
# key is struck that is down already? Two programs that answer differently make two languages, and a model that learns
# from both learns neither. The docstring has an answer for each.
#
# ### Exercise · `encode_events`
#
# *●●● · 40 minutes.* Turn notes into changes, *(when, what)*, sort them, and write them down.


# %% exercise="encode_events" points=3
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
    raise NotImplementedError


# %% [markdown]
# On the way back you are reading what a model wrote, and it may have written anything. Whatever it is, make music of
# it.
#
# ### Exercise · `decode_events`
#
# *●● · 20 minutes.*


# %% exercise="decode_events" points=3
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
    raise NotImplementedError


# %% [markdown]
# The first bar of the tune from above, as a model will read it. Below, all of it, after the way there and back; and as
# `tune.mid` beside this notebook, a standard MIDI file, which any music program opens and plays on any instrument.

# %% tags=["hands-on"]


def spelled(event):
    """An event in words."""
    if event < 256:
        return f"{'on' if event < 128 else 'off'} {event % 128}"
    return f"wait {10 * (event - 255)} ms" if event < 356 else f"force {event - 356}"


written = encode_events(tune)
print(f"{len(tune)} notes, {len(written)} events:")
print(*map(spelled, written[:18].tolist()), "…", sep=", ")
read = decode_events(written)
midi.save_midi(read, "tune.mid")
plots.piano_roll({"The tune, written down and read again": read})

# %% [markdown]
# ### How long ago?
#
# Music is about repetition: this bar is like the one four bars ago, the bass comes every two seconds. What matters for
# attention is therefore not *where* an event stands but *how far back* it lies. Shaw et al. (2018) gave every distance
# $r$ a vector $e_r$ of its own, learnt like any other weight, which the query is compared with:
#
# $$\text{score}_{ij} = \frac{q_i \cdot k_j + q_i \cdot e_{i-j}}{\sqrt d}, \qquad j \le i .$$
#
# Done naively, this needs a table of $n \times n \times d$ numbers, a vector for every pair, and for two thousand
# events, a minute of piano, that is too much. Huang et al. (2019) saw that all the products which are needed stand
# already in $Q E^\top$, with $n \times n$ numbers, only in the wrong places. Row $i$ has the distances in order; the
# score wants them in order of the position $j = i - r$. Every row has to be shifted, each by one place more than the
# one below. The trick is called *skewing*: put a column of zeros before the table, read the same numbers in memory as a
# table that is one narrower and one higher, and drop its first row. Try it with paper and pencil for $n = 3$; it takes
# two minutes and is hard to believe otherwise.
#
# $$\begin{pmatrix} \cdot & \cdot & e_0 \\ \cdot & e_1 & e_0 \\ e_2 & e_1 & e_0 \end{pmatrix}
# \;\longrightarrow\;
# \begin{pmatrix} 0 & \cdot & \cdot & e_0 \\ 0 & \cdot & e_1 & e_0 \\ 0 & e_2 & e_1 & e_0 \end{pmatrix}
# \;\longrightarrow\;
# \begin{pmatrix} e_0 & \cdot & \cdot \\ e_1 & e_0 & \cdot \\ e_2 & e_1 & e_0 \end{pmatrix}$$
#
# (Only the $e$ are shown. In row $i$ they stand for $q_i \cdot e_r$. What is written as a dot belongs to the future,
# and is masked.)
#
# ### Exercise · `relative_attention`
#
# *●●● · 40 minutes.* Skew, or gather with a table of distances: both are right.


# %% exercise="relative_attention" points=4
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
    raise NotImplementedError


# %% [markdown]
# ### A composer whose every choice is known
#
# To see how good a model is, know what perfect is. The tunes below are drawn from a small grammar: chords that follow
# one another by a Markov chain, a bass, and above it a melody in one of four rhythms. It was built so that a tune tells
# every choice that was made; so its entropy is the sum of the entropies of the choices, and known exactly. No model can
# need fewer nats for a tune, on average.
#
# Two Transformers, equal but for one thing: the first has learnt vectors for distances, the second has zeros there, and
# knows the order of events only as far as a causal mask gives it away. Watch the gap.

# %% tags=["hands-on"]
generator = seeded(6)
tunes = [encode_events(composer.compose(generator=generator)[0]) for _ in range(1060)]
LONGEST = max(map(len, tunes))
REST = -100  # what fills up short tunes: never read, never scored
scores = torch.stack([F.pad(t, (0, LONGEST - len(t)), value=REST) for t in tunes])
learnt_from, held_out = scores[:1000], scores[1000:].to(DEVICE)


class MusicTransformer(nn.Module):
    """Logits of the event after each one, from two layers of relative attention."""

    def __init__(self, relative, width=64, heads=4, layers=2):
        super().__init__()
        self.heads = heads
        self.embedding = nn.Embedding(388, width)
        self.layers = nn.ModuleList()
        for _ in range(layers):
            layer = nn.ModuleDict(
                {
                    "looks": nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * width)),
                    "gathers": nn.Linear(width, width),
                    "thinks": nn.Sequential(
                        nn.LayerNorm(width),
                        nn.Linear(width, 4 * width),
                        nn.GELU(),
                        nn.Linear(4 * width, width),
                    ),
                }
            )
            far_to_near = 0.3 * relative * torch.randn(LONGEST, width // heads)
            layer.distances = nn.Parameter(far_to_near, requires_grad=relative)
            self.layers.append(layer)
        self.logits = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 388))

    def forward(self, events):
        """Logits (batch, length, 388)."""
        x = self.embedding(events)
        for layer in self.layers:
            parts = layer["looks"](x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            seen = relative_attention(*parts, layer.distances)
            x = x + layer["gathers"](seen.transpose(1, 2).flatten(2))
            x = x + layer["thinks"](x)
        return self.logits(x)


def nats(model, events):
    """What each tune costs the model, but for its first event."""
    logits = model(events[:, :-1].clamp(min=0)).transpose(1, 2)
    price = F.cross_entropy(logits, events[:, 1:], ignore_index=REST, reduction="none")
    return price.sum(dim=1)


def train_music(name, relative):
    """Train a Music Transformer, and ask it now and then what held-out tunes cost."""
    torch.manual_seed(0)
    generator, steps = seeded(0), round(170 * BUDGET)
    model = MusicTransformer(relative).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters())
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    history = []
    for step in tqdm(range(steps), desc=name):
        events = learnt_from[torch.randint(1000, (16,), generator=generator)].to(DEVICE)
        loss = nats(model, events).sum() / (events[:, 1:] != REST).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        if step % 20 == 19:
            with torch.no_grad():
                history.append((step + 1, nats(model, held_out).mean().item()))
    return model, tuple(zip(*history, strict=True))


players = {"with distances": train_music("with distances", True)}
players["without"] = train_music("without", False)
costs = {name: (steps[2:], cost[2:]) for name, (_, (steps, cost)) in players.items()}
plots.curves(
    {"What a tune costs": costs},
    xlabel="training step",
    ylabel="nats",
    levels={"the entropy": composer.entropy},
)

# %% [markdown]
# ### Rules of the game
#
# A model that has learnt from examples knows the rules only as habits. It may, one time in a thousand, end a note that
# never began, or leave the scale. A product cannot live on hope: what is not allowed gets probability zero,
# whatever the network says, before the draw. A mask on the logits is the simplest way to have a machine that learns
# *and* obeys, and it works for chess moves, JSON and SQL just as well.
#
# A tidy way to write it: one function looks at what has been written, and says what may come next.
#
# ### Exercise · `allowed_events`
#
# *●● · 25 minutes.* What sounds is decided by the *last* event about each pitch.


# %% exercise="allowed_events" points=2
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
    raise NotImplementedError


# %% [markdown]
# The draw itself is the one that you know from PixelCNN: cumulate the probabilities, and take the first event at which
# they exceed a uniform number. Note what a mask is not: taking draws until one is allowed gives the same distribution,
# but may take for ever; taking the most likely allowed event gives another one.
#
# ### Exercise · `sample_music`
#
# *●● · 20 minutes.*


# %% exercise="sample_music" points=2
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
    raise NotImplementedError


# %% [markdown]
# The network was given the first event, and wrote the rest. Above, free but for the rule that music makes sense. Below,
# the same network and the same draws with one rule more: only the five notes of the pentatonic scale, the black keys
# moved to C. It has never heard such music, and follows.

# %% tags=["hands-on"]
composed = {}
model = players["with distances"][0].cpu()
draws = torch.rand(1, LONGEST - 1, generator=seeded(8))
for name, scale in (("as it likes", tuple(range(12))), ("pentatonic", (0, 2, 4, 7, 9))):
    events = sample_music(
        model,
        tunes[0][None, :1],
        draws,
        allowed=lambda events, scale=scale: allowed_events(events, scale=scale, voices=2),
        temperature=0.8,
    )
    composed[name] = [note for note in decode_events(events[0]) if note[0] < 8]
    print(name)
    display(sounds.listen(sounds.play(composed[name])))
    midi.save_midi(composed[name], f"{name.replace(' ', '_')}.mid")
plots.piano_roll({f"Composed {name}": notes for name, notes in composed.items()}, seconds=8.5)

# %% [markdown]
# Look closely. Is there a bass note in every bar, and has every bar four beats? Do bass and melody go together? Does it
# begin on C? What is wrong is not forbidden; it is only improbable, and a few nats are missing. More training mends it
# (`BUDGET`), while what is *forbidden* cannot happen at all. And beyond the fourth bar it would be lost: it has never
# seen a fifth.

# %% [markdown]
# ## 4 · Text to speech
#
# For decades a machine that reads aloud was an office with many departments: one for abbreviations, one for
# pronunciation, one for the length of each sound, one for pitch, and a vocoder at the end. **Tacotron** (Wang et al.
# 2017; Tacotron 2, Shen et al. 2018) replaced all but the last by one network. Letters go in, a mel spectrogram comes
# out, and in between is a recurrent network that *reads*: for each frame that it writes, it looks at one place of the
# text.
#
# Nobody tells it where. That *mmm* takes ten frames and *t* takes four, that the letters come in order, that none may
# be left out: it has to find out by itself, from pairs of a text and its sound. The whole difficulty of speech
# synthesis is in that one place, the **alignment**.
#
# Attention as you know it compares contents. For reading that is dangerous: a text has many *e*, all alike in content,
# and a reader who has just read one might jump to another, leave out a line, or read one again for ever. Whoever reads
# aloud follows with a finger. **Location-sensitive attention** (Chorowski et al. 2015) gives the network such a finger:
# it also sees where it has looked so far, the sum $\alpha$ of all weights, through a small convolution:
#
# $$f = F * \alpha, \qquad e_j = v^\top \tanh\big( W s + V h_j + U f_j + b \big), \qquad
# \text{weights} = \mathrm{softmax}(e) .$$
#
# If a filter has its weight on the letter *before*, then $f_j$ is large where the letter before has just been read, and
# the network can learn: look there next. This is *additive* attention (Bahdanau et al. 2015): a small network with a
# hidden layer compares query and key, rather than an inner product.
#
# ### Exercise · `location_sensitive_attention`
#
# *●●● · 35 minutes.* The convolution is the one of `F.conv1d`. Work out the shapes on paper first.


# %% exercise="location_sensitive_attention" points=3
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
    raise NotImplementedError


# %% [markdown]
# ### What it is told
#
# Tacotron 2 writes its spectrogram twice: once step by step, and once more corrected by a *post-net*, a few
# convolutions that may look at both sides. Both are compared with the truth. Beside each frame it says whether this was
# the last one, the **stop token**, for otherwise it would mumble on. One frame in a hundred is the last, so that saying
# *no* each time is right 99% of the time; the rare *yes* therefore counts several times.
#
# And there is padding again. Here it is worse than in text: whoever forgets the mask teaches the network above all to
# be silent, since silence is what padding sounds like and there is a lot of it.
#
# ### Exercise · `tacotron_loss`
#
# *●● · 25 minutes.*


# %% exercise="tacotron_loss" points=3
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
    raise NotImplementedError


# %% [markdown]
# ### A small Tacotron
#
# Our speaker is a program: `sounds.speak` knows sixteen letters, and each is one sound, hiss, buzz or bang, of slightly
# random length, gliding into the next. The network gets 400 words with their sounds, and is to find out which letter
# makes which sound, and when.
#
# It predicts three frames at each step (Wang et al. call this the *reduction factor*), and the frames that it has
# written reach it only through dropout: a network that sees the last frame all too well just continues it, and never
# learns to read. To get there in seconds rather than hours, it is pushed for a while: looks far from the diagonal cost
# something (*guided attention*, Tachibana et al. 2018), and less and less. By the end nobody holds its finger any more.

# %% tags=["hands-on"]
generator = seeded(9)
MELS, STRIDE, FRAMES, FLOOR = 32, 160, 3, 1e-2
WIDE = torch.hann_window(512)
BANK = mel_filterbank(257, MELS, RATE, low=60)
ALPHABET = sounds.CONSONANTS + sounds.VOWELS
vocabulary = sounds.words(416, syllables=(2, 4), generator=generator)
recordings = [sounds.speak(word, generator=generator)[0] for word in vocabulary]


def heard(sound):
    """Its log-mel spectrogram, scaled so that silence is 0 and a loud sound about 2."""
    magnitude = spectrogram(sound[None], WIDE, STRIDE, power=1.0)
    return (log_mel(magnitude, BANK, floor=FLOOR)[0] - math.log(FLOOR)) / 4


mels = [heard(sound) for sound in recordings]


def padded(chosen):
    """Letters, their mask, spectrograms and their lengths, for these words."""
    frames = torch.tensor([mels[i].shape[1] for i in chosen])
    most = -(-int(frames.max()) // FRAMES) * FRAMES
    longest = max(len(vocabulary[i]) for i in chosen)
    ids = torch.zeros(len(chosen), longest, dtype=torch.int64)
    mask = torch.zeros(len(chosen), longest, dtype=torch.bool)
    for row, i in enumerate(chosen):
        word = vocabulary[i]
        ids[row, : len(word)] = torch.tensor([ALPHABET.index(letter) for letter in word])
        mask[row, : len(word)] = True
    target = torch.stack([F.pad(mels[i], (0, most - mels[i].shape[1])) for i in chosen])
    return tuple(part.to(DEVICE) for part in (ids, mask, target, frames))


class Tacotron(nn.Module):
    """Letters to a mel spectrogram, a few frames at a time."""

    def __init__(self, width=64, hidden=32, state=96, channels=8):
        super().__init__()
        self.embedding = nn.Embedding(len(ALPHABET), width)
        self.neighbours = nn.Conv1d(width, width, 3, padding=1)
        self.prenet = nn.Sequential(nn.Linear(MELS, 32), nn.ReLU(), nn.Dropout(0.5))
        self.cell = nn.GRUCell(32 + width, state)
        shapes = {
            "query_weight": (hidden, state),
            "memory_weight": (hidden, width),
            "filters": (channels, 7),
            "location_weight": (hidden, channels),
            "bias": (hidden,),
            "score": (hidden,),
        }
        draws = {name: torch.randn(shape) / shape[-1] ** 0.5 for name, shape in shapes.items()}
        self.finger = nn.ParameterDict({name: nn.Parameter(draw) for name, draw in draws.items()})
        self.writer = nn.Linear(state + width, (MELS + 1) * FRAMES)
        first, second = nn.Conv1d(MELS, 48, 5, padding=2), nn.Conv1d(48, MELS, 5, padding=2)
        self.postnet = nn.Sequential(first, nn.Tanh(), second)

    def forward(self, ids, mask, target=None, most=40):
        """The spectrogram before and after the post-net, stop logits, and the weights of each look.

        With a `target` each step is shown the true frame before it, else the one it wrote itself,
        until it says stop (for a batch of one word).
        """
        memory = self.embedding(ids) * mask.unsqueeze(2)
        memory = memory + F.relu(self.neighbours(memory.transpose(1, 2))).transpose(1, 2)
        state = memory.new_zeros(len(ids), self.cell.hidden_size)
        context, past = memory.new_zeros(memory[:, 0].shape), memory.new_zeros(mask.shape)
        last = memory.new_zeros(len(ids), MELS)
        if target is not None:
            most = target.shape[2] // FRAMES
            shown = F.pad(target[:, :, FRAMES - 1 :: FRAMES], (1, 0))
        looks, states = [], []
        for step in range(most):
            before = self.prenet(last if target is None else shown[:, :, step])
            state = self.cell(torch.cat([before, context], dim=1), state)
            looked = location_sensitive_attention(state, memory, past, mask=mask, **self.finger)
            context, weights = looked
            past = past + weights
            looks.append(weights)
            states.append(torch.cat([state, context], dim=1))
            if target is None:
                frames, stops = self.writer(states[-1]).split([MELS * FRAMES, FRAMES], dim=1)
                last = frames.unflatten(1, (MELS, FRAMES))[:, :, -1]
                if (stops > 0).any():
                    break
        written = self.writer(torch.stack(states, dim=1))
        frames, stops = written.split([MELS * FRAMES, FRAMES], dim=2)
        before = frames.unflatten(2, (MELS, FRAMES)).transpose(1, 2).flatten(2)
        return before, before + self.postnet(before), stops.flatten(1), torch.stack(looks, dim=1)


def astray(weights, mask, frames):
    """How much of the looking is far from the diagonal (Tachibana et al. 2018, equation 6)."""
    letter = (torch.arange(mask.shape[1], device=mask.device) + 0.5) / mask.sum(1)[:, None]
    steps = frames[:, None] / FRAMES
    time = (torch.arange(weights.shape[1], device=mask.device) + 0.5) / steps
    far = 1 - torch.exp(-((letter[:, None, :] - time[:, :, None]) ** 2) / (2 * 0.15**2))
    return (weights * far * (time < 1).unsqueeze(2)).sum(dim=2).mean()


torch.manual_seed(0)
reader = Tacotron().to(DEVICE)
steps = round(200 * BUDGET)
optimizer = torch.optim.Adam(reader.parameters())
rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, pct_start=0.2)
moments, errors = {}, []
probe = padded([404])
for step in (bar := tqdm(range(steps), desc="learning to read")):
    if step in (0, steps // 4):
        with torch.no_grad():
            moments[f"after {step} steps"] = (reader(*probe[:3])[3][0], vocabulary[404])
    ids, mask, target, frames = padded(torch.randint(400, (16,), generator=generator).tolist())
    before, after, stops, weights = reader(ids, mask, target)
    loss = tacotron_loss(before, after, target, stops, frames)
    push = max(0.0, 1 - 1.5 * step / steps)
    errors.append(loss.item())
    optimizer.zero_grad()
    (loss + 4 * push * astray(weights, mask, frames)).backward()
    nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
    optimizer.step()
    rates.step()
    bar.set_postfix_str(f"loss {loss.item():.2f}")
reader.eval()
with torch.no_grad():
    moments[f"after {steps} steps"] = (reader(*probe[:3])[3][0], vocabulary[404])
plots.alignments(moments, seconds=FRAMES * STRIDE / RATE)

# %% [markdown]
# This is the picture that people who train speech models wait for, at times for days. At first every letter is looked
# at alike. Then there is a diagonal: one letter after the other, each for as long as it sounds.
#
# Now it reads alone, words that it has never seen. It gets back only what it wrote itself, decides itself how long each
# letter lasts, and when to stop. To hear it, the mel spectrogram is spread over frequencies again (by the
# pseudo-inverse of the filterbank), and your `griffin_lim` invents the phases.

# %% tags=["hands-on"]


def audible(mel, iterations=60):
    """A sound for a log-mel spectrogram, as `heard` makes them."""
    loud = (4 * mel + math.log(FLOOR)).exp() - FLOOR
    magnitude = (torch.linalg.pinv(BANK) @ loud).clamp(min=0)[None]
    phase = 2 * math.pi * torch.rand(magnitude.shape, generator=seeded(0))
    length = (magnitude.shape[2] - 1) * STRIDE
    return griffin_lim(magnitude, WIDE, STRIDE, length, phase, iterations=iterations)[0]


pages, read_aloud = {}, {}
for i in (401, 404):
    ids, mask, _, _ = padded([i])
    with torch.no_grad():
        _, after, _, weights = reader(ids, mask)
    read_aloud[vocabulary[i]] = after[0].cpu()
    pages |= {
        f"“{vocabulary[i]}”, spoken": (4 * mels[i]).exp(),
        f"“{vocabulary[i]}”, read by the network": (4 * read_aloud[vocabulary[i]]).exp(),
    }
    print(f"“{vocabulary[i]}”: spoken; its mel spectrogram by Griffin–Lim; read by the network")
    for sound in (recordings[i], audible(mels[i]), audible(read_aloud[vocabulary[i]])):
        display(sounds.listen(sound))
plots.spectrograms(pages, rate=RATE, hop=STRIDE, mel=True, columns=2, reach=35)

# %% [markdown]
# ## 5 · All samples at once
#
# What is between a mel spectrogram and a sound is called a *vocoder*. Griffin–Lim needs no training, and one hears it:
# the metallic echo of phases that do not agree. WaveNet as a vocoder sounds like a human being, and takes minutes for a
# sentence. **WaveGlow** (Prenger et al. 2019) has the quality of the one and computes all samples at once. It is a
# *normalising flow*, and you have all that is needed to build one.
#
# A flow is an invertible function $f$ that takes sounds $x$ to noise $z = f(x)$ of the same size, so that every $z_i$
# is an independent Gaussian. In training, sounds go in, and the formula for a change of variables says how probable
# they were:
#
# $$\log p(x) = \log \mathcal{N}(f(x);\, 0, \sigma^2 I) + \log \left| \det \frac{\partial f(x)}{\partial x} \right| .$$
#
# No bound as in a VAE, no adversary as in a GAN, no steps as in diffusion: the exact likelihood. To generate, draw
# noise and run the function backwards. The price: every layer has to be invertible, and its determinant, in general a
# matter of $n^3$ steps for thousands of dimensions, has to be cheap. Two kinds of layers have both.
#
# A sound is first folded: every eight samples become one moment with eight channels. Then the layers alternate.
#
# **Mix the channels** of each moment by one square matrix (Kingma & Dhariwal 2018, who call it a 1 × 1 convolution).
# One and the same matrix $W$ at each of $T$ moments: the Jacobian is block-diagonal, and its log-determinant is $T
# \cdot \log |\det W|$.
#
# ### Exercise · `InvertibleConv1x1`
#
# *●● · 15 minutes.* A random matrix becomes orthogonal by a QR decomposition.


# %% exercise="InvertibleConv1x1" points=2
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
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError


# %% [markdown]
# **Change one half as the other half says** (Dinh et al. 2017). Of the channels, the first half stays. A network, as
# complicated as one likes, looks at it (and at the mel spectrogram), and says by how much to scale and shift each
# number of the second half. To invert that, the network need not be inverted: its input is still there. It is asked the
# same question again, and the answer is undone. The Jacobian is triangular; its determinant is the product of the
# scales. The mixing layers see to it that everybody gets to be in the second half.
#
# ### Exercise · `AffineCoupling`
#
# *●● · 20 minutes.*


# %% exercise="AffineCoupling" points=3
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
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError


# %% [markdown]
# What remains is to add it all up. Divided by the number of samples it can be compared between sounds of any length,
# and with what a sample costs under a plain Gaussian.
#
# ### Exercise · `waveglow_loss`
#
# *●● · 10 minutes.*


# %% exercise="waveglow_loss" points=2
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
    raise NotImplementedError


# %% [markdown]
# A small WaveGlow: four rounds of mixing and coupling, where the real one has twelve with a WaveNet in each. It hears
# snippets of a quarter of a second together with their mel spectrograms.

# %% tags=["hands-on"]
CHANNELS = 8
PER_FRAME = STRIDE // CHANNELS  # moments of eight samples for a frame of the spectrogram


class Adviser(nn.Module):
    """The network of a coupling. At first it says log s = t = 0: leave things as they are."""

    def __init__(self, width=48):
        super().__init__()
        self.first = nn.Conv1d(CHANNELS // 2 + MELS, width, 3, padding=1)
        layers = [nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in (2, 4)]
        self.further = nn.ModuleList(layers)
        self.last = nn.Conv1d(width, CHANNELS, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, kept, condition):
        """Scale and shift, one after the other."""
        hidden = F.relu(self.first(torch.cat([kept, condition], dim=1)))
        for layer in self.further:
            hidden = hidden + F.relu(layer(hidden))
        log_scale, shift = self.last(hidden).chunk(2, dim=1)
        return torch.cat([2 * torch.tanh(log_scale / 2), shift], dim=1)


class WaveGlow(nn.Module):
    """A flow between sounds and noise, told by a mel spectrogram."""

    def __init__(self, rounds=4):
        super().__init__()
        self.mixing = nn.ModuleList(InvertibleConv1x1(CHANNELS) for _ in range(rounds))
        self.coupling = nn.ModuleList(AffineCoupling(Adviser()) for _ in range(rounds))

    def forward(self, x, condition):
        """From sound to noise, and the log-determinant."""
        total = 0.0
        for mix, couple in zip(self.mixing, self.coupling, strict=True):
            x, first = mix(x)
            x, second = couple(x, condition)
            total = total + first + second
        return x, total

    @torch.no_grad()
    def generate(self, condition, sigma, generator):
        """Run it backwards, from noise of standard deviation sigma."""
        x = sigma * torch.randn(1, CHANNELS, condition.shape[2], generator=generator)
        x = x.to(condition.device)
        for mix, couple in zip(reversed(self.mixing), reversed(self.coupling), strict=True):
            x = mix.inverse(couple.inverse(x, condition))
        return x.transpose(1, 2).flatten() / LOUDER


LOUDER = 5.0  # so that amplitudes are of size 1


def stretched(mel):
    """A spectrogram (batch, mels, frames), brought to the pace of the folded sound."""
    moments = (mel.shape[2] - 1) * PER_FRAME
    return F.interpolate(mel, size=moments + 1, mode="linear", align_corners=True)[:, :, :moments]


def snippets(chosen, generator, frames=12):
    """Pieces of these recordings, folded, and their spectrograms."""
    sound, mel = [], []
    for i in chosen:
        first = int(torch.randint(mels[i].shape[1] - frames - 1, (), generator=generator))
        sound.append(recordings[i][first * STRIDE : (first + frames) * STRIDE])
        mel.append(mels[i][:, first : first + frames + 1])
    x = torch.stack(sound)
    # Digital silence has no density: a little noise gives it one.
    x = LOUDER * (x + 0.003 * torch.randn(x.shape, generator=generator))
    folded = x.unflatten(1, (-1, CHANNELS)).transpose(1, 2)
    return folded.to(DEVICE), stretched(torch.stack(mel)).to(DEVICE)


torch.manual_seed(0)
generator = seeded(10)
flow = WaveGlow().to(DEVICE)
steps = round(150 * BUDGET)
optimizer = torch.optim.Adam(flow.parameters())
rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.2)
costs = []
for _ in tqdm(range(steps), desc="a small WaveGlow"):
    x, condition = snippets(torch.randint(400, (12,), generator=generator).tolist(), generator)
    loss = waveglow_loss(*flow(x, condition))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
    optimizer.step()
    rates.step()
    costs.append(loss.item())
x, condition = snippets([*range(400, 416)] * 4, generator)
with torch.no_grad():
    flowed, log_det = flow(x, condition)
    print(f"held-out sounds: {waveglow_loss(flowed, log_det):.2f} nats a sample")
even = 0.5 * math.log(2 * math.pi * math.e * x.var().item())
plots.curves(
    {"What a sample costs": {"": torch.tensor(costs)[: steps // 5 * 5].view(-1, 5).mean(dim=1)}},
    x=5 * torch.arange(1, steps // 5 + 1),
    xlabel="training step",
    ylabel="nats",
    levels={"one Gaussian for all": even},
)

# %% [markdown]
# Before it speaks: the sounds on the left, as they are; on the right, what the flow makes of them. If it were perfect
# the right would be white noise, with nothing left to see. What can still be seen is what it
# has not understood.

# %% tags=["hands-on"]


def unfolded(x):
    """Eight channels as one row of samples again."""
    return x.transpose(1, 2).flatten().cpu()


pair = {"sounds": unfolded(x[:12]), "what the flow makes of them": unfolded(flowed[:12])}
plots.spectrograms(
    {name: spectrogram(sound[None], WINDOW, HOP)[0] for name, sound in pair.items()},
    rate=RATE,
    hop=HOP,
)

# %% tags=["hands-on"]
vocoded = {f"“{vocabulary[404]}”, recorded": recordings[404], "Griffin–Lim": audible(mels[404])}
condition = stretched(mels[404][None]).to(DEVICE)
vocoded["WaveGlow, σ = 1"] = flow.generate(condition, 1.0, seeded(0)).cpu()
vocoded["WaveGlow, σ = 0.6"] = flow.generate(condition, 0.6, seeded(0)).cpu()
for name, sound in vocoded.items():
    print(name)
    display(sounds.listen(sound))
plots.spectrograms(
    {name: spectrogram(sound[None], WINDOW, HOP)[0] for name, sound in vocoded.items()},
    rate=RATE,
    hop=HOP,
    columns=2,
)

# %% [markdown]
# Ours whispers. It has learnt to colour noise as the spectrogram says, hiss above, murmur below. What it has not learnt
# in a few seconds is that a voice repeats itself 120 times a second: for that, the numbers of distant moments have to
# be brought into line, and its couplings look a few milliseconds far. The real one had twelve rounds with eight dilated
# layers each, and 580 000 steps on eight GPUs. Drawing with a smaller σ than in training makes samples safer and
# duller, just like the temperature of a language model. And note the clock: all samples came in one pass.

# %% [markdown] question="one_by_one" points=4
# ### Question · One by one, or all at once
#
# You have used five ways to write a second of sound: sample by sample from a linear model or WaveNet, event by event, a
# few frames at a time (Tacotron), all samples from noise (WaveGlow), and back and forth without a model (Griffin–Lim).
# (a) For each of three of them say what has to be computed one after the other, how many such steps a second of sound
# takes here, and what could be computed in parallel in *training*. (b) Tacotron writes with its own frames as input,
# but learns with the true ones. Which two measures in the notebook work against what follows from that, and how? (c) A
# flow has the exact likelihood and can be sampled in one pass. Why has it not replaced everything else? Name what
# invertibility costs. (d) Two Transformers were trained on tunes; by how many nats a tune was each worse than perfect,
# and what must the second one have been missing?
#
# *4 points, one for each part: (a) three counts with their reasons; (b) the prenet's dropout and the reduction factor,
# or another with its reason; (c) same size throughout, restricted layers, so depth for the same power; (d) both gaps
# from the plot, and what a causal mask alone tells about distances.*

# %% [markdown]
# ## 6 · In the manner of
#
# A picture of a street, painted as van Gogh would have: Gatys, Ecker & Bethge (2016) found that the *content* of an
# image is **where** a network sees which features, and its *style* is **which features occur together**, wherever that
# is. The second is measured by the Gram matrix of the features,
#
# $$G = \frac{1}{T} F F^\top, \qquad G_{ij} = \frac{1}{T} \sum_t F_{it} F_{jt},$$
#
# in which the sum over all places throws the places away. For sounds put time in the place of space, and $G$ describes
# what psychologists call a **texture**: rain, applause, bells, a crowd. A texture has no beginning and no end; it is
# the same backwards and shuffled.
#
# ### Exercise · `gram_matrix`
#
# *● · 5 minutes.*


# %% exercise="gram_matrix" points=1
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
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `style_loss`
#
# *●● · 15 minutes.* Usually several layers are compared, small patterns and large ones.


# %% exercise="style_loss" points=2
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
    raise NotImplementedError


# %% [markdown]
# Which features? For images they come from a network that was trained to recognise things. Ulyanov & Lebedev (2016)
# found that for sounds a single layer of *random* filters over the log-spectrogram will do, if there are many of them,
# and treated its frequencies as channels. Start from the content, and change the log-spectrogram by gradient descent
# until its features have the Gram matrix of the other sound. Then Griffin–Lim.
#
# Here a voice and a row of bells. The result should say the words, on bells.

# %% tags=["hands-on"]
pitches = (523, 659, 784, 1047, 880, 587)
bells = torch.cat([sounds.bell(hertz, 0.45) for hertz in pitches])
reading = sounds.speak("lumani rose", generator=seeded(11))[0]
torch.manual_seed(0)
random_filters = [nn.Conv1d(129, 256, width, padding=width // 2) for width in (3, 11)]
for layer in random_filters:
    nn.init.normal_(layer.weight, std=(129 * layer.kernel_size[0]) ** -0.5)


def log_spectrum(sound):
    """The logarithm of 1 + 100 |X|, whose gradients are gentle."""
    return torch.log1p(100 * spectrogram(sound[None], WINDOW, HOP, power=1.0) / 20)


def features(spectrum):
    """What random filters make of a log-spectrogram."""
    return [F.relu(layer(spectrum)) for layer in random_filters]


with torch.no_grad():
    content, texture = log_spectrum(reading), log_spectrum(bells)
    content_features, texture_features = features(content), features(texture)
painting = content.clone().requires_grad_()
optimizer = torch.optim.Adam([painting], lr=0.05)
start = None
for _ in tqdm(range(round(120 * BUDGET)), desc="in the manner of bells"):
    now = features(painting.clamp(min=0))
    style = style_loss(now, texture_features)
    kept = sum((a - b).square().mean() for a, b in zip(now, content_features, strict=True))
    start = style.item() if start is None else start
    optimizer.zero_grad()
    (style / start + 0.15 * kept).backward()
    optimizer.step()
print(f"style loss: {start:.3f} at first, {style.item():.3f} at the end")
magnitude = painting.detach().clamp(min=0).expm1() / 5
phase = 2 * math.pi * torch.rand(magnitude.shape, generator=seeded(0))
stylised = griffin_lim(magnitude, WINDOW, HOP, len(reading), phase, iterations=60)[0]
gallery = {"content: a voice": reading, "style: bells": bells, "the voice, on bells": stylised}
for name, sound in gallery.items():
    print(name)
    display(sounds.listen(sound))
plots.spectrograms(
    {name: spectrogram(sound[None], WINDOW, HOP)[0] for name, sound in gallery.items()},
    rate=RATE,
    hop=HOP,
)

# %% [markdown]
# ## 7 · Sounds of things that are not there
#
# Games and films need sounds that no microphone has ever caught, thousands of them, and each time a little different.
# Most are made as speech is: a source, a filter that changes, and an **envelope**, how the loudness goes up and down.
# Robert Moog's synthesizers of the sixties gave the envelope four knobs that are on every instrument since: *attack*
# (how fast it comes), *decay* (how fast it falls back), *sustain* (to which level), *release* (how it ends).
#
# ### Exercise · `adsr_envelope`
#
# *● · 15 minutes.* A part may last 0 seconds; do not divide by it.


# %% exercise="adsr_envelope" points=1
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
    raise NotImplementedError


# %% [markdown]
# The richest source is noise: it has all frequencies, and a filter carves out what is wanted. A filter that changes
# over time is easy to write for somebody who can go to the spectrogram and back: multiply. Engel et al. (2020) let a
# network predict these factors, which makes the whole synthesizer differentiable, and a model of a violin needs minutes
# of recordings rather than days.
#
# ### Exercise · `synthesize_effect`
#
# *●● · 15 minutes.* Here the phases are those of the noise; nothing has to be invented.


# %% exercise="synthesize_effect" points=2
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
    raise NotImplementedError


# %% [markdown]
# Three effects out of the same noise, at 16 000 samples a second. Wind: a broad band that wanders. An explosion:
# everything at once, then the high frequencies go first, as they do in air. A laser, as every film has them though
# lasers are silent: a narrow band that falls by four octaves.

# %% tags=["hands-on"]
FAST, STEP = 16_000, 128
SMOOTH = torch.hann_window(512)
hertz = torch.linspace(0, FAST / 2, 257)[:, None]


def band(middle, width):
    """Gains (bins, frames) of a band whose middle and width, in hertz, change over time."""
    return torch.exp(-(((hertz - middle) / width) ** 2))


def moments_of(seconds):
    """The second of each frame."""
    return torch.arange(int(seconds * FAST) // STEP + 1) * STEP / FAST


t = moments_of(3.0)
gusts = 500 + 250 * torch.sin(2.1 * t) + 150 * torch.sin(5.3 * t)
wind = band(gusts, 130 + 60 * torch.sin(1.3 * t))
t = moments_of(2.0)
explosion = 1 / (1 + (hertz / (60 + 5000 * torch.exp(-4 * t))) ** 2)
t = moments_of(0.5)
laser = band(200 + 6000 * torch.exp(-9 * t), 30 + 300 * torch.exp(-9 * t))
knobs = {
    "wind": (wind, 3.0, {"attack": 1.0, "decay": 0.5, "sustain": 0.7, "release": 1.0}),
    "explosion": (explosion, 2.0, {"attack": 0.01, "decay": 0.6, "sustain": 0.25, "release": 1.4}),
    "laser": (laser, 0.5, {"attack": 0.0, "decay": 0.3, "sustain": 0.3, "release": 0.15}),
}
effects = {}
for name, (gain, seconds, times) in knobs.items():
    samples = int(seconds * FAST)
    noise = torch.randn(1, samples, generator=seeded(12))
    shape = adsr_envelope(samples, FAST, **times)
    effects[name] = synthesize_effect(noise, gain, shape, SMOOTH, STEP)[0]
    print(name)
    display(sounds.listen(effects[name], rate=FAST))
plots.spectrograms(
    {name: spectrogram(sound[None], SMOOTH, STEP)[0] for name, sound in effects.items()},
    rate=FAST,
    hop=STEP,
)

# %% [markdown] question="whose_voice" points=3
# ### Question · Whose voice?
#
# Some seconds of a recording are enough today to make a voice say anything, and a model that was trained on songs can
# write in the manner of those who sang them. (a) Name one use of synthetic speech or music that you would defend, and
# the people who gain by it; then one that does harm, and to whom. (b) A company wants to train on the recordings of an
# orchestra. Which of the representations in this notebook would let it say, with some right, that it has copied no
# recording? What might the orchestra answer? (c) Propose one technical measure against misuse, such as a mark in the
# sound or a detector, and say how it could be defeated: use what you know about phase, resampling, or style.
#
# *3 points, one for each part. What counts is that the argument is tied to how the systems work, not the opinion.*

# %% [markdown]
# ## 8 · Where it went
#
# | | writes | steps a second, one after the other | needs |
# | --- | --- | --- | --- |
# | WaveNet (2016) | samples | 16 000 | nothing after it |
# | Tacotron 2 (2018) | frames of a mel spectrogram | 80 | a vocoder |
# | WaveGlow (2019) | all samples at once | none | a mel spectrogram |
# | Music Transformer, MuseNet (2019) | events | some ten | an instrument |
# | Jukebox (2020), AudioLM (2022), MusicGen (2023) | codes of a learnt compression | 50 to hundreds | its decoder |
#
# The last line is where music generation is today: a VAE with discrete codes turns sound into tokens, a Transformer
# writes them, and the decoder turns them back into voices, drums and rooms, which no score can hold. The codes are what
# the next assignment does to films. Diffusion has taken over much of the rest, on the very spectrograms that you have
# been looking at.

# %% [markdown]
# ## Further reading
#
# - D. W. Griffin & J. S. Lim, *Signal Estimation from Modified Short-Time Fourier Transform*, IEEE Transactions on
#   Acoustics, Speech, and Signal Processing 1984. D. Gabor, *Theory of Communication*, 1946. S. S. Stevens, J. Volkmann
#   & E. B. Newman, *A Scale for the Measurement of the Psychological Magnitude Pitch*, JASA 1937.
# - B. S. Atal & S. L. Hanauer, *Speech Analysis and Synthesis by Linear Prediction of the Speech Wave*, JASA 1971; J.
#   Makhoul, *Linear Prediction: A Tutorial Review*, Proceedings of the IEEE 1975; G. E. Peterson & H. L. Barney,
#   *Control Methods Used in a Study of the Vowels*, JASA 1952, where our formants come from.
# - A. van den Oord et al., *WaveNet*, 2016, [arXiv:1609.03499](https://arxiv.org/abs/1609.03499).
# - S. Oore et al., *This Time with Feeling: Learning Expressive Musical Performance*, 2018,
#   [arXiv:1808.03715](https://arxiv.org/abs/1808.03715); C.-Z. A. Huang et al., *Music Transformer*, ICLR 2019,
#   [arXiv:1809.04281](https://arxiv.org/abs/1809.04281); P. Shaw, J. Uszkoreit & A. Vaswani, *Self-Attention with
#   Relative Position Representations*, NAACL 2018, [arXiv:1803.02155](https://arxiv.org/abs/1803.02155); C. Payne,
#   *MuseNet*, OpenAI 2019.
# - Y. Wang et al., *Tacotron*, Interspeech 2017, [arXiv:1703.10135](https://arxiv.org/abs/1703.10135); J. Shen et al.,
#   *Natural TTS Synthesis by Conditioning WaveNet on Mel Spectrogram Predictions* (Tacotron 2), ICASSP 2018,
#   [arXiv:1712.05884](https://arxiv.org/abs/1712.05884); J. Chorowski et al., *Attention-Based Models for Speech
#   Recognition*, NeurIPS 2015, [arXiv:1506.07503](https://arxiv.org/abs/1506.07503); D. Bahdanau, K. Cho & Y. Bengio,
#   *Neural Machine Translation by Jointly Learning to Align and Translate*, ICLR 2015,
#   [arXiv:1409.0473](https://arxiv.org/abs/1409.0473); H. Tachibana, K. Uenoyama & S. Aihara, *Efficiently Trainable
#   Text-to-Speech System Based on Deep Convolutional Networks with Guided Attention*, ICASSP 2018,
#   [arXiv:1710.08969](https://arxiv.org/abs/1710.08969).
# - R. Prenger, R. Valle & B. Catanzaro, *WaveGlow*, ICASSP 2019, [arXiv:1811.00002](https://arxiv.org/abs/1811.00002);
#   L. Dinh, J. Sohl-Dickstein & S. Bengio, *Density Estimation Using Real NVP*, ICLR 2017,
#   [arXiv:1605.08803](https://arxiv.org/abs/1605.08803); D. P. Kingma & P. Dhariwal, *Glow*, NeurIPS 2018,
#   [arXiv:1807.03039](https://arxiv.org/abs/1807.03039).
# - L. A. Gatys, A. S. Ecker & M. Bethge, *Image Style Transfer Using Convolutional Neural Networks*, CVPR 2016; D.
#   Ulyanov & V. Lebedev, *Audio Texture Synthesis and Style Transfer*, 2016 (a blog post that founded a field).
# - J. Engel et al., *DDSP: Differentiable Digital Signal Processing*, ICLR 2020,
#   [arXiv:2001.04643](https://arxiv.org/abs/2001.04643); J.-C. Risset, *An Introductory Catalogue of Computer
#   Synthesized Sounds*, 1969, where our bell was cast.
# - P. Dhariwal et al., *Jukebox*, 2020, [arXiv:2005.00341](https://arxiv.org/abs/2005.00341); Z. Borsos et al.,
#   *AudioLM*, 2022, [arXiv:2209.03143](https://arxiv.org/abs/2209.03143); J. Copet et al., *Simple and Controllable
#   Music Generation* (MusicGen), NeurIPS 2023, [arXiv:2306.05284](https://arxiv.org/abs/2306.05284).
