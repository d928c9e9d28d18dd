# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Template · An art generator by diffusion
#
# Works, and is dull. A pretrained text-to-image model paints one coloured shape on white paper, because that is all it has
# ever seen. Ten steps of DDIM, no guidance, and the picture is blown up without a thought.
#
# **What to try first.** Guidance (`GUIDANCE = 5`) and more steps: how do the value of the metric and the time of a picture
# change? Then make it yours. Train a U-Net of your own on images that you care about (your photographs, leaves, letters,
# sprites; `diffusion` has all the parts), or keep this model and compose: several shapes on one sheet, a pattern from tiles,
# an image that begins from a sketch instead of from noise (Meng et al. 2022, *SDEdit*). And find a metric that tells what
# *you* want from a picture: that the colour is right is the least one can ask.

# %%
import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, StableDiffusionPipeline
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from coursekit import data, plots
from coursekit.capstone import MAX_PROMPT, MAX_SEED, PAGE_HEADERS, Work, page, to_json
from coursekit.data import SHAPE_COLOURS, SHAPE_SIZES, SHAPES

STEPS, GUIDANCE = 10, 1.0
KNOWN = {*SHAPE_SIZES, *SHAPE_COLOURS, *SHAPES}

folder = data.checkpoint("tiny-stable-diffusion")
pipeline = StableDiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
pipeline.set_progress_bar_config(disable=True)


# %% exercise="generate"
def generate(prompt: str, seed: int) -> Work:
    """Paint a shape; the words that the model does not know are passed over."""
    words = [word for word in re.findall(r"[a-z]+", prompt.lower()) if word in KNOWN]
    if not words:
        raise ValueError("Ask for a shape, such as: a large red circle, or: a small blue ring.")
    caption = "a " + " ".join(words[:3])
    noise = torch.Generator().manual_seed(seed)
    options = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "pt"}
    image = pipeline(caption, generator=noise, **options).images
    return F.interpolate(image.float().clamp(0, 1), scale_factor=4, mode="nearest")[0]


# %% exercise="evaluate"
def evaluate(generate: Callable[[str, int], Work], seed: int) -> float:
    """How near the colour of the ink is to the colour asked for: 1 if it is that very one, less by the mean distance."""
    draw = torch.Generator().manual_seed(seed)
    likeness = []
    for colour, tint in SHAPE_COLOURS.items():
        for place in range(2):
            shape = SHAPES[int(torch.randint(len(SHAPES), (), generator=draw))]
            number = int(torch.randint(2**31, (), generator=draw))
            image = generate(f"a {('small', 'large')[place]} {colour} {shape}", number)
            ink = (1 - image).amax(dim=0)  # how far a pixel is from white
            mean = (ink * image).sum(dim=(1, 2)) / ink.sum().clamp(min=1e-6)
            likeness.append(1 - (mean - torch.tensor(tint)).abs().mean().item())
    return sum(likeness) / len(likeness)


# %% exercise="model_card"
def model_card() -> str:
    """The card of the template: true, and as dull as the rest."""
    return """---
option: art
metric: likeness of the colour
value: 0.879
seed: 0
prompts: a large red circle | a small blue ring | a large green triangle | a small yellow cross | a large black square
---

# Shapes

## Model details

The tiny Stable Diffusion of the course (a text encoder, an autoencoder, a U-Net of 1.3 million parameters in all), unchanged,
sampled by DDIM in ten steps without guidance.

## Intended use

To begin a capstone with. It paints one coloured shape on white paper, as asked for in English; it is no use for anything else.

## Factors

Size, colour and shape of what is asked for: two sizes, six colours, five shapes. Other words are passed over.

## Metrics

Likeness of the colour: 1 less the mean distance between the colour of the ink and the colour asked for, over red, green and
blue, in twelve pictures, two for each colour.

## Evaluation data

Twelve captions, drawn with the seed of the evaluation. There are no pictures to compare with: the captions say enough.

## Training data

The model was trained by the course on shapes drawn by a program (`data.draw_shapes`). Nobody's pictures are in it.

## Quantitative analyses

With seed 0 the likeness of the colour is 0.879. It does not tell whether shape and size are right, which they often are not.

## Ethical considerations

Red circles hurt nobody. With a model of photographs or of artists' works one would have to ask whose they are, and here
stands the answer.

## Caveats and recommendations

Without guidance about one picture in eight is not what was asked for. The metric does not see shapes, so do not trust it
to compare models.
"""


# %% exercise="create_demo"
def create_demo(generate: Callable[[str, int], Work]) -> FastAPI:
    """The page of the course, and behind it the least that has to be there."""
    prompts = ["a large red circle", "a small blue ring", "a large green triangle"]
    home = page("Shapes", "It paints one shape. Name its size, its colour and its form.", prompts)

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
wishes = ["a large red circle", "a small blue ring", "a large green triangle", "a small yellow cross"]
rows = {wish: torch.stack([generate(wish, seed).flatten() for seed in range(6)]) for wish in wishes}
plots.strips(rows, (128, 128), title="Six seeds each")
