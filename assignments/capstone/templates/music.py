# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Template · Music by a VAE
#
# Works, and is dull. A small variational autoencoder learns four bars of melody and bass from two thousand tunes that a
# program has composed. What it draws from the prior sounds like those tunes, a little muddled, and every tune is four bars
# long. Of your prompt it knows six words.
#
# **What to try first.** More latent numbers, more training (`STEPS`), a weight on the KL that rises slowly: what does the
# metric say, and what do your ears? Then make it yours: tunes that you like in place of the program's (a MIDI file is a list
# of notes, `mido` reads them), a decoder that remembers what it has played (a GRU, or the music Transformer of `audio`),
# longer pieces by walking through latent space, a GAN that judges whole bars (Dong et al. 2018, *MuseGAN*). And measure
# something that you can hear.

# %%
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from coursekit import plots, sounds
from coursekit.capstone import MAX_PROMPT, MAX_SEED, PAGE_HEADERS, Work, page, to_json
from coursekit.music import BEAT, CHORDS, WHITE_KEYS, Composer

BARS, LOWEST, DEGREES = 4, -7, 24  # the melody's degrees of the scale, from LOWEST on; 0 is middle C
PLACES, SYMBOLS = 4 * BARS, DEGREES + 1  # a symbol for each beat: 0 holds the note, the others begin one
STEPS, LATENT = 400, 12
WEIGHTS = Path("melodies.safetensors")


def write_down(notes) -> tuple[list[int], list[int]]:
    """The melody, a symbol for each beat, and the chord of each bar."""
    melody, bass = [0] * PLACES, [0] * BARS
    for start, end, pitch, _ in notes:
        octave, key = divmod(pitch - 60, 12)
        degree, beat = 7 * octave + WHITE_KEYS.index(key), round(start / BEAT)
        if round((end - start) / BEAT) == 4:  # only the bass holds a note for a whole bar
            bass[beat // 4] = list(CHORDS.values()).index(degree + 7)
        else:
            melody[beat] = min(max(degree - LOWEST, 0), DEGREES - 1) + 1
    return melody, bass


class MelodyVAE(nn.Module):
    """q(z|tune) and p(tune|z), with one hidden layer each; every beat is independent given z."""

    def __init__(self) -> None:
        super().__init__()
        width = PLACES * SYMBOLS + BARS * len(CHORDS)
        self.encoder = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, 128), nn.ReLU(), nn.Linear(128, width))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the melody (batch, beats, symbols) and of the chords (batch, bars, chords)."""
        melody, bass = self.decoder(z).split([PLACES * SYMBOLS, BARS * len(CHORDS)], dim=1)
        return melody.unflatten(1, (PLACES, SYMBOLS)), bass.unflatten(1, (BARS, len(CHORDS)))

    def loss(self, melody: Tensor, bass: Tensor, noise: Tensor) -> Tensor:
        """Minus the ELBO, averaged over the batch."""
        hot = [F.one_hot(melody, SYMBOLS).flatten(1), F.one_hot(bass, len(CHORDS)).flatten(1)]
        mu, logvar = self.encoder(torch.cat(hot, dim=1).float()).chunk(2, dim=1)
        kl = (mu**2 + logvar.exp() - logvar - 1).sum() / 2
        logits = self.decode(mu + (logvar / 2).exp() * noise)
        pairs = zip(logits, (melody, bass), strict=True)
        misses = sum(F.cross_entropy(x.transpose(1, 2), y, reduction="sum") for x, y in pairs)
        return (misses + kl) / len(melody)


def train() -> MelodyVAE:
    """Train it from nothing: some seconds."""
    torch.manual_seed(0)
    composer, chance = Composer(BARS), torch.Generator().manual_seed(0)
    tunes = [write_down(composer.compose(generator=chance)[0]) for _ in range(1500)]
    melody, bass = (torch.tensor(part) for part in zip(*tunes, strict=True))
    vae = MelodyVAE()
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    for _ in range(STEPS):
        rows = torch.randint(len(melody), (64,))
        loss = vae.loss(melody[rows], bass[rows], torch.randn(64, LATENT))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return vae


# %%
# Weights that lie beside the notebook are handed in with it: then nobody has to train again.
vae = MelodyVAE()
if WEIGHTS.is_file():
    vae.load_state_dict(load_file(WEIGHTS))
else:
    vae = train()
    save_file(vae.state_dict(), WEIGHTS)


# %% exercise="generate"
@torch.no_grad()
def generate(prompt: str, seed: int) -> Work:
    """Draw a code, play what it says; the prompt chooses tempo, register and mode."""
    words = set(prompt.lower().split())
    beat = BEAT * (1.5 if "slow" in words else 0.6 if "fast" in words else 1.0)
    shift = 12 * (("high" in words) - ("low" in words))
    flat = {4, 9, 11} if "sad" in words else set()  # E, A and B: C major becomes C minor
    chance = torch.Generator().manual_seed(seed)
    melody, bass = vae.decode(torch.randn(1, LATENT, generator=chance))
    symbols = melody[0].softmax(dim=1).multinomial(1, generator=chance)[:, 0].tolist()
    symbols[0] = symbols[0] or 1 - LOWEST
    degrees = [(place, symbol - 1 + LOWEST) for place, symbol in enumerate(symbols) if symbol]
    ends = [place for place, _ in degrees[1:]] + [PLACES]
    played = [(start, min(end, start + 4), degree, 90) for (start, degree), end in zip(degrees, ends, strict=True)]
    for bar, chord in enumerate(bass[0].argmax(dim=1).tolist()):
        played.append((4 * bar, 4 * bar + 4, list(CHORDS.values())[chord] - 7, 66))
    notes = []
    for start, end, degree, velocity in sorted(played):
        key = WHITE_KEYS[degree % 7]
        pitch = 60 + 12 * (degree // 7) + key - (key in flat) + shift
        notes.append((beat * start, beat * end, pitch, velocity))
    return notes


# %% exercise="evaluate"
def evaluate(generate: Callable[[str, int], Work], seed: int) -> float:
    """The total variation distance between the melodies' intervals and those of new tunes by the program."""
    draw = torch.Generator().manual_seed(seed)

    def intervals(tunes) -> Tensor:
        counts = torch.zeros(25)
        for notes in tunes:
            tops = {start: pitch for start, _, pitch, _ in sorted(notes, key=lambda note: note[2])}
            for before, after in pairwise(tops[start] for start in sorted(tops)):
                counts[min(max(after - before, -12), 12) + 12] += 1
        return counts / counts.sum().clamp(min=1)

    numbers = torch.randint(2**31, (32,), generator=draw).tolist()
    works = [generate("happy", number) for number in numbers]
    fresh = [Composer(BARS).compose(generator=draw)[0] for _ in range(100)]
    return (intervals(works) - intervals(fresh)).abs().sum().item() / 2


# %% exercise="model_card"
def model_card() -> str:
    """The card of the template: true, and as dull as the rest."""
    return """---
option: music
metric: total variation distance of intervals
value: 0.306
seed: 0
prompts: happy | slow and sad | fast and high | low and slow | fast and sad
---

# Four bars

## Model details

A variational autoencoder with one hidden layer of 128 units on either side and a code of 12 numbers; beats are independent
given the code. Trained for 400 steps of Adam on 64 tunes each.

## Intended use

To begin a capstone with. It makes four bars of melody and bass in C; fast, slow, high, low and sad are the words it heeds.

## Factors

Tempo, register and mode, which the prompt sets by rule; the network knows nothing of them and makes the same tunes.

## Metrics

The total variation distance of intervals: between the distribution of steps, in semitones, from one melody note to the next
in 32 works, and that in a hundred new tunes of the program. 0 is best, 1 is worst.

## Evaluation data

A hundred tunes by the program of the course, drawn with the seed of the evaluation; the model has not seen them.

## Training data

1500 tunes by the same program (`coursekit.music.Composer`), drawn with another seed. No composer's works are in it.

## Quantitative analyses

With seed 0 the total variation distance of intervals is 0.306. Its tunes leap where the program's go step by step.

## Ethical considerations

The tunes belong to nobody. With a model of other people's music one would have to ask them, and here stands what they said.

## Caveats and recommendations

Since beats are independent given the code, the melody stumbles. The metric sees neighbouring notes only, no form and no
harmony.
"""


# %% exercise="create_demo"
def create_demo(generate: Callable[[str, int], Work]) -> FastAPI:
    """The page of the course, and behind it the least that has to be there."""
    prompts = ["happy", "slow and sad", "fast and high"]
    home = page("Four bars", "It plays four bars. The words fast, slow, high, low and sad make a difference.", prompts)

    class Wish(BaseModel):
        model_config = ConfigDict(strict=True)
        prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
        seed: int = Field(default=0, ge=0, le=MAX_SEED)

    def show() -> HTMLResponse:
        return HTMLResponse(home, headers=PAGE_HEADERS)

    def make(wish: Wish) -> dict:
        try:
            work = generate(wish.prompt, wish.seed)
        except ValueError as reason:  # written for the user; anything else that goes wrong is answered with status 500
            raise HTTPException(status_code=422, detail=str(reason)) from None
        return to_json(work)

    demo = FastAPI()
    demo.add_api_route("/", show)
    demo.add_api_route("/health", lambda: {"status": "ok"})
    demo.add_api_route("/generate", make, methods=["POST"])
    return demo


# %% tags=["hands-on"]
tunes = {
    f"{prompt}, seed {seed}": generate(prompt, seed)
    for prompt, seed in (("happy", 0), ("happy", 1), ("slow and sad", 1))
}
plots.piano_roll(tunes)

# %% tags=["hands-on"]
sounds.listen(sounds.play(generate("happy", 0)))
