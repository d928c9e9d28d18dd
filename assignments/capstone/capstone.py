# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Capstone
#
# Twelve assignments have given you the parts. This one asks for a whole: something that *you* wanted to exist, that makes
# new things on demand, and that somebody else can use, judge and take further without asking you.
#
# There are four options. In each the machine differs, and what surrounds it is the same:
#
# | option | you build | it makes | you know the parts from |
# | --- | --- | --- | --- |
# | `art` | an art generator by diffusion | images | `diffusion`, `gan`, `rl` |
# | `text` | a personal text generator or chatbot | texts | `transformers`, `rl`, `autoregressive` |
# | `music` | music composition with a GAN or a VAE | notes | `audio`, `vae`, `gan` |
# | `finetuning` | a pretrained model, tuned for a domain | texts or images | `advanced`, `transformers`, `intro` |
#
# For each option there is a **template** in the folder `templates`: a project that works from end to end, and is dull. It
# earns the automated points as it stands, and few others. Your work is to make it interesting, or to begin from nothing
# and make something else.
#
# You hand in three things: the **implementation** with a live demo, its **documentation**, and a **presentation**. The
# first section says exactly what, when, and what it earns. Plan for three weeks, some thirty hours in all. They go fast,
# and most of them go into data and into finding out why the first idea does not work. Begin small, have something that
# runs from end to end on the second day, and keep it running.

# %%
import math
from collections.abc import Callable
from itertools import pairwise

import diffusers
import torch
import torch.nn.functional as F
import transformers
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, corpus, data, plots, sounds
from coursekit.capstone import (
    MAX_PROMPT,
    MAX_SEED,
    OPTIONS,
    PAGE_HEADERS,
    Work,
    from_json,
    load_template,
    page,
    random_state,
    read_card,
    show,
    to_json,
)

# The grader looks at your work through these: leave their names to them.
from coursekit.capstone.grading import (
    ask_demo,
    media_type_of_demo,
    random_fingerprint,
    stir_random,
)
from coursekit.serving import ask, headers_of, send, serve

# %% [markdown]
# Before anything else, see what is there. The next cell runs all four templates, which takes half a minute the first
# time: two of them train, and keep their weights. Then each shows what it makes.

# %% tags=["hands-on"]
templates = {option: load_template(option) for option in tqdm(OPTIONS)}

# %% [markdown]
# ### Option `art` · An art generator by diffusion
#
# Somebody types what they want to see, and a diffusion model paints it, or something that they did not expect and like
# better. The template paints one coloured shape on white paper with the smallest Stable Diffusion there is. Ideas that fit
# into three weeks: a model of your own, trained on a few thousand small images of one kind (leaves, sprites, letters of an
# alphabet, tiles, your own drawings cut to pieces); a pretrained one that is *steered*, by guidance with a classifier, by
# a sketch to begin from, by a reward as in `rl`; patterns that continue beyond their edges. What fails most often: too few
# images, too many pixels, and no number that says which of two models is better.

# %% tags=["hands-on"]
wishes = [
    "a large red circle",
    "a small blue ring",
    "a large green triangle",
    "a small yellow cross",
]
paint = templates["art"].generate
painted = {wish: torch.stack([paint(wish, seed).flatten() for seed in range(6)]) for wish in wishes}
plots.strips(painted, (128, 128), title="The art template: six seeds for each prompt")

# %% [markdown]
# ### Option `text` · A personal text generator or chatbot
#
# A language model that writes like *you*, or for you: letters in your manner, the diary of an invented person, a chatbot
# that knows your field and says so when it does not know. The template goes on with a story, and nothing about it is
# personal. Ideas: tune a model on your own messages (your side of them, or with everybody's consent), a chatbot with a
# memory that is trimmed well, verse in a fixed form with a check that the form is kept, a style learnt from comparisons as
# in `rl`. What fails most often: a model that repeats its training texts word for word, and nobody who looked.

# %% tags=["hands-on"]
tell = templates["text"].generate
show({f"seed {seed}": tell("One morning, Otto the wolf", seed) for seed in range(3)})

# %% [markdown]
# ### Option `music` · Music composition with a GAN or a VAE
#
# A machine that composes, and a person who asks for a mood, a tempo, a beginning. The template draws four bars from a
# small VAE. Ideas: tunes from one tradition, with rhythm; two voices that listen to each other; walks through latent space
# that make a longer piece; drum patterns by a GAN that judges whole bars; a model that answers a melody which the user
# plays. What fails most often: music that is correct in every bar and goes nowhere, and a metric that cannot hear it.

# %% tags=["hands-on"]
asked = [("happy", 0), ("happy", 1), ("slow and sad", 1)]
compose = templates["music"].generate
tunes = {f"{prompt}, seed {seed}": compose(prompt, seed) for prompt, seed in asked}
plots.piano_roll(tunes)

# %% tags=["hands-on"]
sounds.listen(sounds.play(tunes["happy, seed 0"]))

# %% [markdown]
# ### Option `finetuning` · Fine-tuning for a domain
#
# A model that somebody else has trained, and a domain that it does not know yet. The template turns a teller of stories
# into a writer of recipes in fifty steps. Ideas: LoRA on a model from the hub for the language of law, chess or chemistry;
# a text-to-image model that learns one object or one style; a model for a language with few texts. What fails most often:
# data that nobody looked at, no baseline to compare with, and a model that has forgotten what it knew, unnoticed.

# %% tags=["hands-on"]
dishes = ["carrot soup", "plum cake", "dragon pie"]
cook = templates["finetuning"].generate
show({dish: cook(dish, 0) for dish in dishes})

# %% [markdown]
# ## 1 · What to hand in, and what it earns
#
# A folder, this one, with
#
# - `capstone.ipynb`, this notebook with your project in it (or `capstone.py`, the same as a script);
# - what it needs beside it: weights as `*.safetensors`, data as `*.json` or `*.txt`, at most 32 MB in all. Files of other
#   kinds stay at home;
# - your slides: `presentation.pdf`, `presentation.html` or `presentation.md`.
#
# `coursekit capstone check .` in a terminal looks through the folder as the grader will and says what is missing.
# `coursekit submit capstone.ipynb` packs it.
#
# **How it runs with the grader.** The cells are run in order, without hands-on cells (of those, only functions and
# constants), on one core, without network, with the files that you handed in lying in the current folder. A cell has 20
# seconds and so has no time to train: train in hands-on cells, save the weights, and load them in a plain cell. Models
# that come with the course are there (`data.checkpoint`); anything from a hub is not, so save what you need of it.
#
# **15 points are earned automatically**, by four functions whose contract is the same for all options. They do not ask
# whether your project is good. They ask whether it is *sound*: whether others can repeat, measure and use it.
#
# | exercise | the promise | points |
# | --- | --- | --- |
# | `generate` | a prompt and a seed make a work, always the same one | 5 |
# | `evaluate` | a number says how good works are, and anybody can measure it again | 3 |
# | `model_card` | the documentation has its sections, and the number that it states is true | 3 |
# | `create_demo` | a page in which anybody can try it | 4 |
#
# **42 points are earned by hand**, with the rubrics in section 6: implementation 16, demo 8, documentation 8,
# presentation 10. Read the rubrics now. They are what your graders will read.
#
# **When.**
#
# | by the end of | you have |
# | --- | --- |
# | day 2 | an option, the template running in this notebook, and one sentence: *who* would use it for *what* |
# | week 1 | your data, looked at; a metric; the template's value of it, which is your baseline |
# | week 2 | your own model, beaten or unbeaten by the baseline; at least two things tried, and what came of them |
# | week 3 | the demo, tried by somebody who was not told how; the card; the slides, rehearsed once with a clock |
#
# **How to begin.** In a terminal, in this folder, with this notebook closed:
#
#     coursekit capstone start music
#
# fills the four stubs below with the template's answers and puts its other cells behind the imports. Then open the
# notebook and run it: all checks hold. Or read a template, and write your own from nothing. You may work with pretrained
# models and other people's code if you say so in the card: what is yours has to be plain.

# %% [markdown]
# ## 2 · A prompt, a seed, a work
#
# Why so strict about the seed? Because a generator that cannot repeat itself cannot be debugged, compared, cited or
# complained about. "It made something terrible yesterday" has to be a sentence that can be checked.
#
# Chance therefore comes from one place: a generator made from the seed, `torch.Generator().manual_seed(seed)`, that is
# handed to everything that draws. Three things break this without a sound. The **global** random numbers:
# `torch.randn(3)` without a generator, `random.choice`, the sampling of a library that takes no generator. Calling
# `torch.manual_seed(seed)` inside `generate` gives the same work each time, but whatever else draws in the program is
# then reset with each work. **Memory**: a cache that answers the second prompt with the first work, dropout that was left
# on (`model.eval()`), a list that grows from call to call. And **Python's `hash` of a string**, which is another one each
# time Python starts.
#
# A prompt is whatever a stranger types. Some type nothing, some their whole thesis, some in Greek, some try what a
# `<script>` does. Each of them deserves a work, or one sentence that says what to type instead. A ValueError carries that
# sentence to the page of the demo.
#
# ### Exercise · `generate`
#
# *●● · days.* The function below is the heart of your project, but it should be short: networks, training and helpers
# have cells of their own, above it. If an external thing draws and takes no generator, seed it and put everything back:
# `torch.random.fork_rng()` does both for PyTorch.


# %% exercise="generate" points=5
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
    raise NotImplementedError


# %% [markdown]
# ## 3 · How good is it?
#
# No number says whether art is good. All the same you need one, and soon: without it, two weeks of changes are two weeks of
# impressions. Choose what your project must not fail at, and measure *that*.
#
# | option | what can be measured | in which assignment |
# | --- | --- | --- |
# | `art` | Fréchet distance or precision and recall in the features of a classifier; whether a classifier sees what was asked for | `diffusion`, `gan` |
# | `text` | perplexity of held-out texts; distinct $n$-grams; whether facts or the form are right; overlap with the training texts | `transformers`, `rl` |
# | `music` | distance between distributions of intervals, durations, chords; whether the key is kept; repetition at the length of a bar | `audio`, `vae` |
# | `finetuning` | any of these in the domain, and the same on what the model knew before | `advanced` |
#
# Three ways to fool yourself, all of them common. **Measuring on the training data**, or on works that resemble it because
# they are copies: hold something out, and look for the nearest neighbour of a work. **Measuring once**: with another
# seed the number is another one, and if it moves by as much as your improvement, there was none. And **becoming what you
# measure**: a model that is tuned until a number is perfect has learnt the number (Goodhart's law; you saw it in `rl`). So
# take a second look with something that was not tuned for.
#
# ### Exercise · `evaluate`
#
# *●● · hours.* It takes `generate` as an argument, so that you can measure the template, last week's model and a friend's
# with the same yardstick. The seed chooses which works are asked for. Take enough of them that one more or less does not
# matter: the value in your card has to come out again within 5%, on another machine.


# %% exercise="evaluate" points=3
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
    raise NotImplementedError


# %% [markdown]
# ## 4 · The model card
#
# A *model card* (Mitchell et al. 2019) is the page that should come with every model: what it is, what it is for and not
# for, on what it was measured and how, and where it fails. It is written for three readers. Somebody who wants to **use**
# it reads "Intended use" and "Caveats". Somebody who wants to **trust** it reads "Metrics", "Evaluation data" and
# "Quantitative analyses", and measures again. Somebody who is **affected** by it, whose pictures were in the training data
# or whose dialect the model mocks, reads "Training data" and "Ethical considerations". Cards on the Hugging Face hub begin
# with a head that programs read, and so does yours.
#
# What a good section says:
#
# | section | answers |
# | --- | --- |
# | Model details | What is inside: architecture, sizes, what is pretrained and by whom, what you trained, for how long? |
# | Intended use | Who would use it for what? For what should nobody use it? |
# | Factors | For which prompts, styles, people or conditions does it work differently well? |
# | Metrics | What is measured, in which unit, which way is better, and why this? |
# | Evaluation data | On what, and why is none of it in the training data? |
# | Training data | Where is it from, who made it, did they agree, what is missing in it? |
# | Quantitative analyses | The value, its spread over seeds, the baseline's, and at least one comparison that taught you something |
# | Ethical considerations | Who could be hurt, how, and what did you do about it? |
# | Caveats and recommendations | Where does it fail? What should be tried next? |
#
# The value is not decoration. The grader reads it, asks your `evaluate` for it again, and compares.
#
# ### Exercise · `model_card`
#
# *● · an evening.* Fill it while you work, not at the end: what you tried in week 2 is forgotten in week 3.


# %% exercise="model_card" points=3
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
    raise NotImplementedError


# %% tags=["hands-on"]
from IPython.display import Markdown

Markdown(model_card().split("---", 2)[2])

# %% [markdown]
# Look at what you have, and look at it often: some works at a time for the same prompt tell more than any number.

# %% tags=["hands-on"]
card = read_card(model_card())
show({f"seed {seed}": generate(card.prompts[0], seed) for seed in range(4)})

# %% [markdown]
# What is your number worth? Here it is for five seeds, and for the poorest generator there is, which always makes the same
# work. If the two are not far apart, or if the five are, think again.

# %% tags=["hands-on"]
constant = generate(card.prompts[0], 0)
yours = torch.tensor([evaluate(generate, seed) for seed in tqdm(range(5))])
poorest = torch.tensor([evaluate(lambda prompt, seed: constant, seed) for seed in range(5)])
places = torch.arange(5.0)
plots.curves(
    {card.metric: {"yours": (places, yours), "always the same": (places, poorest)}},
    xlabel="seed of the evaluation",
    ylabel="value",
)

# %% [markdown]
# ## 5 · The demo
#
# A demo is the shortest way from your work to somebody's opinion of it. You know how an app is built from `advanced`; this
# one is smaller. It serves one page, answers one question, and says that it is alive. What it must not do is break: the
# first thing that a stranger types is never what you expected.
#
# Status codes are the grammar of this conversation. 200 carries a work. 422 says *your* question cannot be answered, and
# why, so its text is for the user. 500 says *we* have failed, and its text is for nobody: what an exception says about
# your files and keys belongs into your log, not onto a stranger's screen.
#
# ### Exercise · `create_demo`
#
# *●● · an hour.* `page(title, about, prompts)` makes a page that shows images, texts and notes (and plays them).
# `ask(app, "POST", "/generate", {"prompt": "…"})` tries the app without any network.


# %% exercise="create_demo" points=4
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
    raise NotImplementedError


# %% [markdown]
# Here it is alive, for the length of a cell: a server on this machine, and a request over a real connection.

# %% tags=["hands-on"]
with serve(create_demo(generate)) as address:
    questions = [{"prompt": prompt, "seed": 1} for prompt in card.prompts[:3]]
    answers, seconds = send(f"{address}/generate", questions, arrivals=[0.0, 0.0, 0.0])
print(f"{address} answered after {min(seconds):.2f} to {max(seconds):.2f} seconds")
show({asked["prompt"]: from_json(answer) for asked, answer in zip(questions, answers, strict=True)})

# %% [markdown]
# To keep it running, for your presentation or for a friend in the same network, save this notebook as a script
# (`jupytext --to py capstone.ipynb`) and start
#
#     python -m uvicorn capstone:app --port 8000
#
# after a last cell that says `app = create_demo(generate)`. Then open http://127.0.0.1:8000. What it takes to put it on a
# machine that others can reach is in `advanced`. Try it with somebody who has not seen it, say nothing, and watch where
# they stop.

# %% [markdown]
# ## 6 · What people will judge
#
# Four parts are graded by hand. For each of them write a few sentences below: they lead the grader to what you are proud
# of. The points are for the work itself.

# %% [markdown] question="implementation" points=16
# ### Question · Implementation
#
# In at most 200 words: what did you build, and for whom? What in it is yours, what is the template's, a library's or
# somebody else's? Which cells should a grader look at first? Name two things that you tried and that did *not* help, and
# how you know.
#
# | points | for | all of them | half of them |
# | --- | --- | --- | --- |
# | 4 | ambition | goes well beyond the template: a model, data or control of your own that needed thought | a template with other settings or other data |
# | 4 | soundness | losses, masks, splits and sampling are right; nothing of the evaluation is in the training | works, with a flaw that changes the result |
# | 4 | experiments | compared with the baseline and with at least two variants, over several seeds, and the conclusions follow | one comparison, or one seed |
# | 2 | works | the prompts of the card give what the card promises, and most works are worth looking at | some do |
# | 2 | code | can be read from top to bottom: names, small functions, no dead cells; runs after a restart | runs, but has to be puzzled out |

# %% [markdown] question="demo" points=8
# ### Question · Demo
#
# In at most 100 words: what should the grader type first, what second, and what happens? Who tried your demo, where did
# they stop, and what did you change then? What did you do so that it cannot be misused, or what would you have to do before
# strangers may use it?
#
# | points | for | all of them | half of them |
# | --- | --- | --- | --- |
# | 3 | use | a stranger makes something within a minute, knows what to type and what comes of it | works, once it is explained |
# | 2 | control | the prompt does what one expects, seeds give variety, and another control is worth having | the prompt matters a little |
# | 2 | failing well | odd prompts get helpful sentences; it stays alive and is not slow | it survives |
# | 1 | tried out | somebody else has tried it, and something was changed for that | said, but nothing followed |

# %% [markdown] question="documentation" points=8
# ### Question · Documentation
#
# In at most 100 words: which sentence of your model card was hardest to write, and why? Which claim in it could a sceptic
# attack, and what is your answer?
#
# | points | for | all of them | half of them |
# | --- | --- | --- | --- |
# | 3 | evaluation | metric, data, value, spread and baseline are such that a stranger could repeat and would believe them | the value, without what it means |
# | 2 | data | where it comes from, who made it, under which terms, what is missing in it | a name and a link |
# | 2 | limits and harm | concrete failures, with examples; who could be hurt and what was done | general warnings that fit any model |
# | 1 | sources | models, code and papers are named where they are used | somewhere in a list |

# %% [markdown] question="presentation" points=10
# ### Question · Presentation
#
# Ten minutes and five for questions, with at most ten slides and the demo live. In at most 50 words: what should your
# listeners remember tomorrow? If it is recorded, say where.
#
# | points | for | all of them | half of them |
# | --- | --- | --- | --- |
# | 2 | story | a problem, an idea, what came of it: one line, understood by a classmate of another option | parts in the order in which they were made |
# | 3 | evidence | a result that surprised you, shown with numbers and works that were not picked (or that are said to be) | the best works only |
# | 2 | live demo | shown live, with a prompt from the audience, and a plan for when it fails | shown as a film or as pictures |
# | 2 | slides and speech | few words, readable pictures with labelled axes, within the time | too full, too small or too long |
# | 1 | questions | answered plainly, also by "we do not know, one would have to measure" | answered beside the point |

# %% [markdown]
# ## Further reading
#
# - M. Mitchell et al., *Model Cards for Model Reporting*, FAT* 2019, [arXiv:1810.03993](https://arxiv.org/abs/1810.03993);
#   T. Gebru et al., *Datasheets for Datasets*, Communications of the ACM 2021,
#   [arXiv:1803.09010](https://arxiv.org/abs/1803.09010).
# - J. Pineau et al., *Improving Reproducibility in Machine Learning Research*, JMLR 2021,
#   [arXiv:2003.12206](https://arxiv.org/abs/2003.12206): a checklist that fits your project, too.
# - D. Sculley et al., *Hidden Technical Debt in Machine Learning Systems*, NeurIPS 2015: how little of a system is its model.
# - A. Borji, *Pros and Cons of GAN Evaluation Measures*, 2018, [arXiv:1802.03446](https://arxiv.org/abs/1802.03446); J. Li
#   et al., *A Diversity-Promoting Objective Function for Neural Conversation Models*, NAACL 2016,
#   [arXiv:1510.03055](https://arxiv.org/abs/1510.03055): distinct $n$-grams.
# - C. Meng et al., *SDEdit*, ICLR 2022, [arXiv:2108.01073](https://arxiv.org/abs/2108.01073); H.-W. Dong et al., *MuseGAN*,
#   AAAI 2018, [arXiv:1709.06298](https://arxiv.org/abs/1709.06298); A. Roberts et al., *A Hierarchical Latent Vector Model
#   for Learning Long-Term Structure in Music*, ICML 2018, [arXiv:1803.05428](https://arxiv.org/abs/1803.05428); E. Hu et
#   al., *LoRA*, ICLR 2022, [arXiv:2106.09685](https://arxiv.org/abs/2106.09685): one to begin with for each option.
