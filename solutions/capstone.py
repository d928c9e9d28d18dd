"""Reference answers to `capstone`: stories by a grammar. Each has the signature and the docstring of its stub."""

import math
from collections.abc import Callable

import torch
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from coursekit import corpus
from coursekit.capstone import MAX_PROMPT, MAX_SEED, PAGE_HEADERS, Work, page, to_json


def generate(prompt: str, seed: int) -> Work:
    """Make a work.

    A work is an image, a text or music, whichever your option asks for, always of the same
    kind, and sound in the sense of `coursekit.capstone.fault_of_work`:

    - art: an image, a float32 tensor (3, height, width) of red, green and blue in [0, 1], both
      sides from 8 to 1024 pixels, without a graph;
    - text: a string of 1 to 10,000 characters, not all of them white space;
    - music: a list of 1 to 2000 notes (start, end, pitch, velocity) in the order of their
      starts, tuples of two floats and two ints: seconds, 0 ≤ start < end ≤ 300, pitch from 0 to
      127, 60 being middle C, velocity from 1 to 127;
    - finetuning: a text or an image.

    Prompt and seed settle the work to the last bit: it does not matter what was made before, nor
    what the global random numbers of Python, NumPy and PyTorch stand at, and they stand where
    they stood when it is done.

    - Seeds count: any of the prompts in your card, asked with 8 different seeds, gives at least
      6 different works.
    - Prompts count: the prompts in your card, asked with one seed, give works of which no two
      are the same.
    - Every prompt in your card, with any seed, gives a work. Any other string, be it empty,
      endless, in another script or full of markup, gives a work or a ValueError whose message
      tells the user in a sentence what to type instead.

    Args:
        prompt: what the user asks for.
        seed: from 0 to 2³² − 1, which of the works that the prompt allows.

    Returns:
        The work. On one core it takes a second or less: the grader asks for some thirty works,
        and stops after a minute in all.
    """
    (story,) = corpus.write_stories(1, hero=prompt, generator=torch.Generator().manual_seed(seed))
    return story.text


def evaluate(generate: Callable[[str, int], Work], seed: int) -> float:
    """Measure how good a generator's works are: the metric of your model card.

    It asks `generate` for 8 to 200 works, all for prompts that your project understands and no
    two with the same prompt and the same seed, and makes one number of what comes back. It
    looks at works that were made for it, not at your own `generate`, your training data or
    anything kept from an earlier call, so:

    - a generator that answers every question with one and the same work, be it a work of your
      own `generate`, is worth another number;
    - the same seed asks the same questions and gives the same number, and another seed asks
      other ones, by other prompts or other seeds;
    - the global random numbers stand afterwards where they stood before, and do not matter.

    Args:
        generate: a function with the contract of `generate`, of the kind of work that your
            project makes.
        seed: from 0 to 2³² − 1, settles which works are asked for, and any other chance.

    Returns:
        A finite number, whichever unit and direction your card says. On one core it takes at
        most a few seconds beside what `generate` takes; after ten in all the grader stops it.
    """
    generator = torch.Generator().manual_seed(seed)
    seeds = torch.randint(MAX_SEED, (len(corpus.CAST),), generator=generator).tolist()
    works = [generate(animal.name, each) for animal, each in zip(corpus.CAST, seeds, strict=True)]
    words = " ".join(map(str, works)).split()
    bits = math.log2(len(set(words)))
    return bits


def model_card() -> str:
    """The model card of your project, in Markdown.

    It begins with a head that programs read, between two lines of three dashes:

        ---
        option: text
        metric: share of stories that end well
        value: 0.87
        seed: 0
        prompts: a story about a fox | a story about a hen | Once upon a time | ...
        ---

    `option` is art, text, music or finetuning, and `generate` makes what that option makes.
    `metric` is a name for what `evaluate` measures. `value` is what evaluate(generate, seed)
    gives for the `seed` in the head, rounded as you like: made again by the grader, the two are
    at most 5% of the stated value apart. It is a finite number other than 0. `prompts` are 4 to
    12 different prompts that your project is made for, none of more than 1000 characters, with
    | between them.

    Then comes a title, `# …`, and the nine sections of Mitchell et al. 2019, each with a
    heading of the second level and at least 15 words of text, in any order, further ones
    welcome: Model details, Intended use, Factors, Metrics, Evaluation data, Training data,
    Quantitative analyses, Ethical considerations, Caveats and recommendations. Under
    Quantitative analyses stand the metric and the value, spelt as in the head.

    `coursekit.capstone.read_card` reads it, and raises a ValueError that says what is wrong.

    Returns:
        The text of the card, the same each time.
    """
    return """---
option: text
metric: bits of vocabulary
value: 7.77
seed: 0
prompts: Mia | Finn | Olga | Ben | Dora | Rufus
---

# Stories about twelve animals

## Model details

A grammar with a chance for each of its choices, from the course (`corpus.write_stories`). It has no weights and learns nothing.

## Intended use

To tell a child, who names one of the animals, a story about it; another seed tells another one. It is no use for anything else.

## Factors

The animal that is named: some have more luck in their stories than others, which the grammar says openly.

## Metrics

Bits of vocabulary: the binary logarithm of the number of different words in twelve stories, one about each of the animals.

## Evaluation data

Twelve names and twelve seeds, which the seed of the evaluation draws. No story of another author is needed to compare with.

## Training data

There is none: a person wrote down the sentences from which the grammar chooses, and how likely each of them is.

## Quantitative analyses

With seed 0 the stories have 7.77 bits of vocabulary, and with ten other seeds between 7.74 and 7.89: chance matters little.

## Ethical considerations

Stories about the fox and the wolf end badly more often than those about the rabbit and the lamb: a prejudice, and on purpose.

## Caveats and recommendations

After some dozen stories the sentences come back. A large vocabulary makes no good story: a list of words would have more.
"""


def create_demo(generate: Callable[[str, int], Work]) -> FastAPI:
    """An HTTP app in which anybody can try a generator.

    - GET / answers 200 with an HTML page in which a prompt can be typed:
      `coursekit.capstone.page` makes one, to be sent with `PAGE_HEADERS`; your own will do.
    - GET /health answers 200 with {"status": "ok"}, without asking the generator.
    - POST /generate takes {"prompt": "…", "seed": 7}, asks generate(prompt, seed) once, and
      answers 200 with what `coursekit.capstone.to_json` makes of the work. `seed` may be left
      out, and is 0 then. The same question gets the same answer each time, as long as the
      generator does.

    What cannot be answered:

    - 422 or 400, without asking the generator, if what was sent is no JSON object, lacks the
      prompt, or if the prompt is no string of 1 to 1000 characters (`MAX_PROMPT`) or the seed no
      whole number from 0 to 2³² − 1 (`MAX_SEED`). The string "5" is none, nor is true.
    - 422 or 400 if the generator raises a ValueError: the answer is JSON, and its "detail" is the
      message, which was written for the user.
    - 500 if it raises anything else, and the answer does not hold the message, which was not.
      The requests after it are answered as if nothing had happened.

    Args:
        generate: a function with the contract of `generate`, of whatever kind of work.

    Returns:
        The app. Each call makes a new one, which shares nothing with others.
    """

    class Question(BaseModel):
        model_config = ConfigDict(strict=True)
        prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
        seed: int = Field(default=0, ge=0, le=MAX_SEED)

    app = FastAPI()

    @app.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(page("Stories about twelve animals", about="Is it Mia? Or Finn?"), 200, PAGE_HEADERS)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/generate")
    def answer(question: Question) -> dict[str, object]:
        try:
            work = generate(question.prompt, question.seed)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return to_json(work)

    return app
