# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Template · A personal text generator
#
# Works, and is dull. A pretrained language model goes on with whatever you begin, word by word, at one temperature, and it
# knows a dozen animals and nothing else. It has no idea who *you* are, though the option is called personal.
#
# **What to try first.** Temperature and `TOP`: watch how the metric rises while the stories fall apart, which shows what the
# metric is worth. Then make it yours: fine-tune on texts of your own (letters, recipes, your chats, with everybody's
# consent), or make a chatbot of it that remembers (`transformers` has the template and the trimming of the history), or give
# it a style by a reward (`rl`). And measure something that a reader would care about.

# %%
from collections.abc import Callable
from itertools import pairwise

import torch
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from transformers import AutoModelForCausalLM, AutoTokenizer

from coursekit import corpus, data
from coursekit.capstone import MAX_PROMPT, MAX_SEED, PAGE_HEADERS, Work, page, to_json

TEMPERATURE, TOP, LENGTH = 0.9, 50, 40

folder = data.checkpoint("tiny-gpt")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder).eval()


# %% exercise="generate"
@torch.no_grad()
def generate(prompt: str, seed: int) -> Work:
    """Go on with a text, up to so many tokens or to the end of the story."""
    beginning = tokenizer(prompt.strip(), add_special_tokens=False).input_ids
    if not 1 <= len(beginning) <= 150:
        raise ValueError("Begin a story in one sentence or two, such as: One morning, Rufus the rabbit")
    chance = torch.Generator().manual_seed(seed)
    written, new, past = list(beginning), beginning, None
    for _ in range(LENGTH):
        answer = model(torch.tensor([new]), past_key_values=past, use_cache=True)
        scores, candidates = (answer.logits[0, -1] / TEMPERATURE).topk(TOP)
        token = candidates[scores.softmax(dim=0).multinomial(1, generator=chance)].item()
        if token == tokenizer.eos_token_id:
            break
        written, new, past = [*written, token], [token], answer.past_key_values
    return tokenizer.decode(written, skip_special_tokens=True).strip() or "…"


# %% exercise="evaluate"
def evaluate(generate: Callable[[str, int], Work], seed: int) -> float:
    """Of all pairs of neighbouring words in twelve stories, the share that is different from all others."""
    draw = torch.Generator().manual_seed(seed)
    pairs = []
    for animal in corpus.CAST:
        number = int(torch.randint(2**31, (), generator=draw))
        words = str(generate(f"One morning, {animal.title}", number)).lower().split()
        pairs += list(pairwise(words))
    return len(set(pairs)) / max(len(pairs), 1)


# %% exercise="model_card"
def model_card() -> str:
    """The card of the template: true, and as dull as the rest."""
    return """---
option: text
metric: share of distinct word pairs
value: 0.663
seed: 0
prompts: One morning, Rufus the rabbit | Once there was a wolf called Otto. | Olga the owl lived | Tell me a sad story
---

# Stories that go on

## Model details

The tiny GPT of the course, a GPT-2 of three layers with 726,144 parameters, unchanged; temperature 0.9, the 50 most likely
tokens, at most 40 new ones.

## Intended use

To begin a capstone with. It goes on with the beginning of a story about one of twelve animals; of anything else it knows
nothing.

## Factors

The animal that a story is about. Stories about the fox and the wolf end badly more often than those about rabbit and lamb.

## Metrics

The share of distinct word pairs (Li et al. 2016): in twelve stories, different pairs of neighbouring words over all pairs.
Higher is more varied, which is not the same as better.

## Evaluation data

Twelve beginnings, one for each animal, continued with seeds that are drawn from the seed of the evaluation.

## Training data

The model was trained by the course on stories and chats from a grammar (`coursekit/corpus.py`). Nobody's words are in it.

## Quantitative analyses

With seed 0 the share of distinct word pairs is 0.663. A model that writes at random would be near 1.

## Ethical considerations

The model has a prejudice against foxes and wolves, put there on purpose. A model of people's texts has some, too, and here
stands who would be hurt by them.

## Caveats and recommendations

It stops in the middle of a sentence when its tokens are spent. It cannot answer for what it says, and forgets everything
between two prompts.
"""


# %% exercise="create_demo"
def create_demo(generate: Callable[[str, int], Work]) -> FastAPI:
    """The page of the course, and behind it the least that has to be there."""
    prompts = ["One morning, Rufus the rabbit", "Once there was a wolf called Otto.", "Olga the owl lived"]
    home = page("Stories that go on", "It goes on with the story that you begin. It knows twelve animals.", prompts)

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
for seed in range(3):
    print(generate("One morning, Rufus the rabbit", seed), end="\n\n")
