# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Template · Fine-tuning for a domain
#
# Works, and is dull. A language model that knew stories only is tuned for some seconds on recipes, all of its weights at
# once, and then writes recipes. They are recipes from a program, so nobody will cook them.
#
# **What to try first.** The same model without tuning (`STEPS = 0`): how far apart are the two values of the metric? That is
# the number that your presentation will begin with. Then make it yours: a domain that you know (a club's minutes, chess,
# poems in a form, a programming language), with data that you may use and have cleaned; LoRA in place of all weights
# (`advanced`); what the model has *forgotten*, measured on what it knew before; a larger model from the hub.

# %%
import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_model, save_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from coursekit import data
from coursekit.capstone import MAX_PROMPT, MAX_SEED, PAGE_HEADERS, Work, page, to_json

STEPS, LENGTH, TEMPERATURE = 50, 56, 0.8
WEIGHTS = Path("recipes.safetensors")
FOODS = "carrot pea bean leek onion apple plum nut beet pear lemon egg".split()
DISHES = {
    "soup": ("Cut", "add water", "boil"),
    "cake": ("Grate", "add flour and eggs", "bake"),
    "salad": ("Slice", "add oil and salt", "cool"),
    "pie": ("Chop", "add butter and flour", "bake"),
}
ENDINGS = ("Serve it warm.", "Serve it cold.", "Serve it with bread.", "Share it with a friend.")


def write_recipe(chance: torch.Generator) -> str:
    """A recipe that nobody has tried."""

    def choose(options):
        return list(options)[int(torch.randint(len(options), (), generator=chance))]

    food, dish = choose(FOODS), choose(DISHES)
    cut, add, cook = DISHES[dish]
    number, minutes = choose(range(2, 7)), 5 * choose(range(2, 10))
    return f"{food.capitalize()} {dish}. {cut} {number} {food}s, {add}, and {cook} for {minutes} minutes. {choose(ENDINGS)}"


def tune(model, tokenizer) -> None:
    """Train all weights on recipes: some seconds."""
    chance = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    torch.manual_seed(0)  # of the dropout
    for _ in range(STEPS):
        texts = [write_recipe(chance) + tokenizer.eos_token for _ in range(8)]
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
        logits = model(**batch).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


# %%
# Weights that lie beside the notebook are handed in with it: then nobody has to train again.
folder = data.checkpoint("tiny-gpt")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder).eval()
if WEIGHTS.is_file():
    load_model(model, WEIGHTS)
else:
    tune(model, tokenizer)
    save_model(model, str(WEIGHTS))


# %% exercise="generate"
@torch.no_grad()
def generate(prompt: str, seed: int) -> Work:
    """Write a recipe for the dish that the prompt names."""
    title = prompt.strip().rstrip(".").capitalize()
    beginning = tokenizer(f"{title}.", add_special_tokens=False).input_ids
    if not title or len(beginning) > 60:
        raise ValueError("Name a dish in a word or two, such as: carrot soup")
    chance = torch.Generator().manual_seed(seed)
    written, new, past = list(beginning), beginning, None
    for _ in range(LENGTH):
        answer = model(torch.tensor([new]), past_key_values=past, use_cache=True)
        token = (answer.logits[0, -1] / TEMPERATURE).softmax(dim=0).multinomial(1, generator=chance).item()
        if token == tokenizer.eos_token_id:
            break
        written, new, past = [*written, token], [token], answer.past_key_values
    return tokenizer.decode(written, skip_special_tokens=True).strip() or "…"


# %% exercise="evaluate"
def evaluate(generate: Callable[[str, int], Work], seed: int) -> float:
    """Bits that a word costs a bigram model of new recipes, on average: low if what is written is like them."""
    draw = torch.Generator().manual_seed(seed)
    fresh = [write_recipe(draw).split() for _ in range(300)]
    words = Counter(word for recipe in fresh for word in recipe)
    pairs = Counter(pair for recipe in fresh for pair in pairwise(recipe))
    bits = []
    for dish in DISHES:
        for _ in range(4):
            food = FOODS[int(torch.randint(len(FOODS), (), generator=draw))]
            number = int(torch.randint(2**31, (), generator=draw))
            work = str(generate(f"{food} {dish}", number)).split()
            bits += [-math.log2((pairs[a, b] + 0.01) / (words[a] + 0.01 * len(words))) for a, b in pairwise(work)]
    return sum(bits) / max(len(bits), 1)


# %% exercise="model_card"
def model_card() -> str:
    """The card of the template: true, and as dull as the rest."""
    return """---
option: finetuning
metric: bits per word under a bigram model
value: 1.784
seed: 0
prompts: carrot soup | plum cake | lemon pie | bean salad | nut cake
---

# A small cook

## Model details

The tiny GPT of the course, 726,144 parameters, all of them tuned for 50 steps of AdamW on 8 recipes each; temperature 0.8.

## Intended use

To begin a capstone with. It writes a recipe for a dish that the prompt names. Do not cook it.

## Factors

The dish and what it is made of: four dishes and twelve foods are known. Of others it makes something up.

## Metrics

Bits per word under a bigram model, which counts pairs of words in 300 new recipes of the program, with 0.01 added to every
count: the mean over the words of 16 works. Lower is more like a recipe.

## Evaluation data

300 recipes by the program of the template and 16 names of dishes, drawn with the seed of the evaluation.

## Training data

400 recipes by the same program, drawn with another seed; before that, the stories and chats of the course. Nobody's words are
in either.

## Quantitative analyses

With seed 0 it takes 1.784 bits per word under a bigram model. The same model before tuning takes four times as many.

## Ethical considerations

A recipe that is wrong can hurt: undercooked beans are poisonous. Whoever tunes a model on real recipes has to say here how
that is prevented.

## Caveats and recommendations

It has forgotten how to tell stories. The metric sees pairs of words only, and is content with a recipe that takes three
carrots for a plum cake.
"""


# %% exercise="create_demo"
def create_demo(generate: Callable[[str, int], Work]) -> FastAPI:
    """The page of the course, and behind it the least that has to be there."""
    prompts = ["carrot soup", "plum cake", "bean salad"]
    home = page("A small cook", "It writes a recipe for the dish that you name. Do not cook it.", prompts)

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
for dish in ("carrot soup", "plum cake", "dragon pie"):
    print(generate(dish, 0), end="\n\n")
