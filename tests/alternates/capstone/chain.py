"""A correct capstone that writes text: a Markov chain of the second order over words, counted once; chance is Python's own."""

import functools
import itertools
import math
import random
from collections import defaultdict

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from coursekit import corpus
from coursekit.capstone import page, to_json

LENGTH = 40
CARD = """
---
# Lines that begin with a sign are remarks.
Option: text
metric: mean surprise in bits
seed: 4
prompts: One morning, Mia the mouse | Once there was a bear | Finn the fox lived | In the end,|It was a
value: 3.71
---

Some words before the title.

# A chain with two links

## Caveats and Recommendations
It forgets all but two words, so its stories have neither a beginning nor an end, and nobody in them keeps a name for long.

## Model details
A Markov chain of the second order over words, with a chain of the first order where a pair of words was never seen before.

## Intended use
To go on with the beginning of a story. Nothing that anybody relies on should be made with it, and nobody should take advice.

## Factors ##
What the text begins with: after words that are unknown the chain begins anywhere, and the first words are copied as they are.

## Metrics
The mean surprise of a word under a chain that was counted on other stories, in bits; the lower, the more it is like a story.

## Evaluation data
Eighty stories from the same grammar, drawn with another seed than those which the chain was counted on, and never seen by it.

## Training data
Sixty stories from the grammar of the course, about twelve animals, with a fixed seed. Nobody has written them by hand.

## Quantitative analyses
The **mean surprise in bits** is 3.71, measured in sixteen works with the seed 4. With other seeds it differs by some tenths.

## Ethical considerations
The stories have a prejudice against foxes and wolves, which the chain takes over. Whoever is a fox may well feel offended.

## A word of thanks
To Andrei Markov, who counted letters.
"""


@functools.cache
def chain() -> dict[tuple[str, ...], list[str]]:
    following = defaultdict(list)
    for story in corpus.write_stories(60, generator=chance(11)):
        words = story.text.split()
        for i in range(1, len(words)):
            following[words[i - 1],].append(words[i])
            if i > 1:
                following[words[i - 2], words[i - 1]].append(words[i])
    return dict(following)


def chance(seed):
    import torch

    return torch.Generator(device="cpu").manual_seed(seed)


def generate(prompt: str, seed: int) -> str:
    dice = random.Random(seed)
    text = prompt.strip()[:400].split() or ["Once"]
    following = chain()
    for _ in range(LENGTH):
        options = following.get(tuple(text[-2:])) or following.get((text[-1],))
        if options is None:
            options = sorted(word for (word, *rest) in following if not rest)
        text.append(dice.choice(options))
    return " ".join(text)


def evaluate(generate, seed) -> float:
    dice = random.Random(str(seed))
    fresh = corpus.write_stories(80, generator=chance(7))
    counts = defaultdict(lambda: defaultdict(int))
    for story in fresh:
        words = story.text.split()
        for one, two in itertools.pairwise(words):
            counts[one][two] += 1
    surprises = []
    for number in range(16):
        beginning = " ".join(fresh[number].text.split()[: 3 + number % 2])
        words = generate(seed=dice.getrandbits(32), prompt=beginning).split()
        for one, two in itertools.pairwise(words):
            seen = counts[one]
            surprises.append(-math.log2((seen[two] + 0.1) / (sum(seen.values()) + 0.1 * 300)))
    return math.fsum(surprises) / len(surprises)


def model_card() -> str:
    return CARD


def create_demo(generate):
    app = FastAPI(docs_url=None)

    @app.get("/", response_class=HTMLResponse)
    async def home():
        return page("A chain with two links", "Begin.", ["Once there was"])

    @app.get("/health")
    async def health():
        return JSONResponse({"status": "ok"})

    @app.post("/generate")
    async def work(request: Request):
        try:
            sent = await request.json()
        except ValueError:
            return JSONResponse({"detail": "That was no JSON."}, status_code=400)
        if not isinstance(sent, dict):
            return JSONResponse({"detail": "Send an object."}, status_code=400)
        prompt, seed = sent.get("prompt"), sent.get("seed", 0)
        if not isinstance(prompt, str) or not 0 < len(prompt) <= 1000:
            return JSONResponse({"detail": "A prompt has 1 to 1000 characters."}, status_code=422)
        if type(seed) is not int or not 0 <= seed < 2**32:
            return JSONResponse({"detail": "A seed is a whole number."}, status_code=422)
        try:
            made = generate(prompt, seed)
        except ValueError as error:
            return JSONResponse({"detail": str(error)}, status_code=400)
        except Exception:
            return JSONResponse({"detail": "Something went wrong."}, status_code=500)
        return to_json(made)

    return app
