"""A correct capstone that makes music: a walk on the scale that the prompt names, drawn from NumPy's generator of its own."""

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Body, FastAPI, HTTPException
from fastapi.responses import Response
from pydantic import StrictInt, StrictStr

from coursekit.capstone import PAGE_HEADERS, Notes, Work, to_json

SCALES = {"major": [0, 2, 4, 5, 7, 9, 11], "minor": [0, 2, 3, 5, 7, 8, 10], "blue": [0, 3, 5, 6, 7, 10]}
TEMPI = {"slow": 1.0, "quick": 0.25}


def generate(prompt: str, seed: int) -> Notes:
    words = set(prompt.casefold().split())
    scale = next((SCALES[name] for name in SCALES if name in words), None)
    if scale is None or len(prompt) > 500:
        raise ValueError(f"Name a scale, and slow or quick if you like: {', '.join(SCALES)}.")
    beat = next((TEMPI[name] for name in TEMPI if name in words), 0.5)
    rng = np.random.default_rng(seed)
    steps = rng.integers(-2, 3, size=24)
    lengths = rng.choice([1, 2], size=24)
    degree, start, notes = 0, 0.0, []
    for step, length in zip(steps, lengths, strict=True):
        degree = min(max(degree + int(step), -7), 14)
        octave, place = divmod(degree, len(scale))
        end = start + beat * float(length)
        notes.append((start, end, 60 + 12 * octave + scale[place], 64 + 8 * int(length)))
        start = end
    return notes


def evaluate(generate: Callable[[str, int], Work], seed: int) -> float:
    rng = np.random.RandomState(seed)
    leaps: list[int] = []
    for tempo in TEMPI:
        for scale in SCALES:
            for number in rng.permutation(1000)[:5]:
                pitches = [pitch for _, _, pitch, _ in generate(f"{tempo} {scale}", int(number))]
                leaps += [abs(b - a) for a, b in pairwise(pitches)]
    return float(np.mean(leaps))


def model_card() -> str:
    sections = {
        "Model details": "A walk on the steps of a scale, up to two steps at a time, in notes of one beat or two.",
        "Intended use": "To hear what a walk sounds like, and to have something to compare a network with.",
        "Factors": "The scale, of which there are three, and the tempo, of which there are three too.",
        "Metrics": "The mean leap between neighbouring notes, in semitones. Melodies that people sing have leaps of about two.",
        "Evaluation data": "Thirty tunes, five for each of two tempi and three scales, with numbers that the seed draws.",
        "Training data": "There is none. The scales are those of any textbook, and the rest are even draws.",
        "Quantitative analyses": "With seed 99 the Mean leap is 2.19 semitones. The blue one leaps more: its steps are wider.",
        "Ethical considerations": "It takes away nobody's work. The blue scale comes from people who were rarely paid for it.",
        "Caveats and recommendations": "It has no bars, no harmony and no end. Do not judge generators by the leap alone.",
    }
    head = ["---", "option: music", "metric: mean leap", "value: 2.19", "seed: 99"]
    head += ["prompts: slow major | quick major | slow minor | a blue tune", "---", "", "# A walk", ""]
    return "\r\n".join(head + [f"## {name.upper()}\n\n{text}\n" for name, text in sections.items()])


def create_demo(generate: Callable[[str, int], Work]) -> FastAPI:
    router = APIRouter()
    home = b"<!doctype html><title>A walk</title><form><textarea name=prompt></textarea><button>Play</button></form>"

    @router.get("/")
    def index() -> Response:
        return Response(home, media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)

    @router.get("/health")
    def health() -> dict:
        return dict(status="ok")

    @router.post("/generate")
    def play(
        prompt: Annotated[StrictStr, Body(min_length=1, max_length=1000)],
        seed: Annotated[StrictInt, Body(ge=0, lt=2**32)] = 0,
    ) -> dict:
        try:
            return to_json(generate(prompt, seed))
        except ValueError as error:
            raise HTTPException(400, detail=f"{error}") from error

    app = FastAPI(title="A walk")
    app.include_router(router)
    return app
