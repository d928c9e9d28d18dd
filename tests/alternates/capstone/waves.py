"""A correct capstone that paints waves in the colour that the prompt names, with a module; its demo has handlers of errors."""

import base64
import io
from fractions import Fraction

import torch
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, StrictInt, StrictStr, field_validator
from torch import nn

from coursekit.capstone import kind_of, to_json

COLOURS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 0.8, 0.2), "blue": (0.1, 0.2, 1.0), "grey": (0.5, 0.5, 0.5)}


class Painter(nn.Module):
    """Sums of waves, squeezed into colours."""

    def __init__(self, colour):
        super().__init__()
        self.colour = nn.Parameter(torch.tensor(colour))

    def forward(self, waves, phases):
        rows, columns = torch.meshgrid(torch.linspace(0, 1, 24), torch.linspace(0, 1, 32), indexing="ij")
        angles = torch.einsum("wd,dhx->whx", waves, torch.stack([rows, columns])) + phases[:, None, None]
        light = torch.sin(angles).mean(0)
        return torch.sigmoid(2 * light + torch.logit(self.colour.clamp(0.02, 0.98))[:, None, None])


def generate(prompt, seed):
    wanted = [colour for colour in COLOURS if colour in prompt.lower()]
    state = torch.get_rng_state()
    try:
        torch.manual_seed(seed)
        waves, phases = 6 * torch.randn(5, 2), 6 * torch.rand(5)
    finally:
        torch.set_rng_state(state)
    # Words that are unknown paint in grey, another one for each length of a prompt.
    painter = Painter(COLOURS[wanted[0]] if wanted else (0.3 + len(prompt) % 40 / 100,) * 3)
    with torch.inference_mode():
        image = painter(waves, phases)
    return image.clone()


def evaluate(generate, seed):
    """How much redder what is asked for in red is than what is asked for in blue, and so on."""
    chance = torch.Generator().manual_seed(seed)
    total = Fraction(0)
    for number, colour in enumerate(("red", "green", "blue")):
        for each in torch.randperm(100_000, generator=chance)[:4].tolist():
            means = generate(f"{colour} waves", each).mean(dim=(1, 2)).tolist()
            total += Fraction(means[number]) - Fraction(sum(means)) / 3
    return float(total / 12)


def model_card():
    return (
        "---\noption: art\nmetric: gain of the colour\nvalue: 5.07e-1\nseed: 12345\n"
        + """prompts: red | green sea | Blue waves | grey
---

#   Waves

## Model details

The mean of five waves through a sigmoid, with a bias for the colour that was asked for. Nothing was trained; version one.

## Intended use

A background for slides, in one of four colours. For anything that has to look like something in the world it is no use.

## Factors

The colour that is named first in a fixed list, whatever else the prompt says. Words of other languages are not understood.

## Metrics

The gain of the colour: how far the mean of the channel that was asked for is above that of all channels, over twelve images.

## Evaluation data

Twelve prompts in three colours, with numbers that the seed draws without repeating any. There is nothing that was held back.

## Training data

None, since nothing is trained. The four colours were chosen by the author by looking at them on a single screen.

## Quantitative analyses

| metric | value |
| --- | --- |
| gain of the colour | 5.07e-1 |

Measured with seed 12345 on one core; the spread over seeds is small, as the mean over many waves hardly changes anything.

## Ethical considerations

About one man in twelve sees red and green alike, and for him the prompts promise more than the pictures can show.

## Caveats and recommendations

The gain of the colour does not see the waves at all: a plain sheet of paint would have more. Use a second metric beside it.
"""
    )


def create_demo(generate):
    class Wish(BaseModel):
        prompt: StrictStr
        seed: StrictInt = 0

        @field_validator("prompt")
        @classmethod
        def is_short(cls, prompt):
            if not 1 <= len(prompt) <= 1000:
                raise ValueError("1 to 1000 characters")
            return prompt

        @field_validator("seed")
        @classmethod
        def is_in_range(cls, seed):
            assert 0 <= seed <= 4_294_967_295
            return seed

    class Refused(Exception):
        pass

    app = FastAPI()

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError):
        return JSONResponse({"detail": "This is no wish."}, 400)

    @app.exception_handler(Refused)
    def refused(request: Request, error: Refused):
        return JSONResponse({"detail": error.args[0]}, 422)

    @app.post("/generate")
    def grant(wish: Wish):
        try:
            work = generate(prompt=wish.prompt, seed=wish.seed)
        except ValueError as error:
            raise Refused(str(error)) from error
        if kind_of(work) == "image":
            from PIL import Image

            file = io.BytesIO()
            Image.fromarray((work * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "PNG", optimize=True)
            return {"image": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), "kind": "image"}
        return to_json(work)

    app.add_api_route("/health", lambda: {"status": "ok"}, methods=["GET", "HEAD"])
    app.add_api_route("/", lambda: HTMLResponse("<html><body><input id=p></body></html>"))
    return app
