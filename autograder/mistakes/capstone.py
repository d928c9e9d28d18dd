"""Known mistakes in `capstone`: faults of the contract, each made in the reference's project."""

import math
from collections.abc import Callable

import torch

from autograder.mistakes import edited, mistake
from coursekit import corpus
from coursekit.capstone import Work
from solutions import capstone as reference

# ---- generate

generate_without_the_seed = edited(
    reference.generate,
    {", generator=torch.Generator().manual_seed(seed)": ""},
    says="One prompt and one seed give another work each time: chance comes from somewhere that the seed does not "
    "settle. Every draw needs a generator that was seeded in this very call.",
)


@mistake(
    "generate",
    says="The works are right, but the seed is planted in the global random numbers, so that whatever the user does "
    "afterwards is no longer random. A generator of your own does the same and leaves the world alone.",
)
def generate_planting_a_global_seed(prompt: str, seed: int) -> Work:
    torch.manual_seed(seed)
    (story,) = corpus.write_stories(1, hero=prompt)
    return story.text


generate_with_one_seed_for_all = edited(
    reference.generate,
    {"manual_seed(seed)": "manual_seed(0)"},
    says="The seed makes no difference: it is one and the same, whatever the caller asks for. Look at what seeds "
    "the generator.",
)

generate_for_anybody = edited(
    reference.generate,
    {" hero=prompt,": ""},
    says="All prompts give the same work: the prompt is taken, and then nothing that is made depends on it.",
)


@mistake(
    "generate",
    says="Only very few works can come of a prompt: the seed is cut down to a handful of numbers, or chooses from a "
    "short list.",
)
def generate_with_three_seeds(prompt: str, seed: int) -> Work:
    (story,) = corpus.write_stories(1, hero=prompt, generator=torch.Generator().manual_seed(seed % 3))
    return story.text


@mistake(
    "generate",
    says="The first work for a prompt is kept and given again for every other seed. What is remembered has to be "
    "remembered by prompt and seed.",
)
def generate_remembering_the_first(prompt: str, seed: int) -> Work:
    known = globals()["generate"].__dict__
    if prompt not in known:
        (story,) = corpus.write_stories(1, hero=prompt, generator=torch.Generator().manual_seed(seed))
        known[prompt] = story.text
    return known[prompt]


@mistake(
    "generate",
    says="A prompt that the project does not know ends in an exception from deep inside, which tells the user "
    "nothing. Look at the prompt before anything is done with it, and raise a ValueError that says what to "
    "type instead.",
)
def generate_looking_up_the_prompt(prompt: str, seed: int) -> Work:
    heroes = {animal.name: animal.name for animal in corpus.CAST}
    (story,) = corpus.write_stories(1, hero=heroes[prompt], generator=torch.Generator().manual_seed(seed))
    return story.text


@mistake(
    "generate",
    says="A prompt that the project does not know gives an empty work, and nobody is told why. It takes a work, or "
    "a ValueError that says what to type instead.",
)
def generate_nothing_for_odd_prompts(prompt: str, seed: int) -> Work:
    try:
        (story,) = corpus.write_stories(1, hero=prompt, generator=torch.Generator().manual_seed(seed))
    except ValueError:
        return ""
    return story.text


@mistake(
    "generate",
    says="The ValueError for an odd prompt says nothing. Its message is what the user reads: a sentence on what to "
    "type instead.",
)
def generate_without_a_message(prompt: str, seed: int) -> Work:
    if prompt not in [animal.name for animal in corpus.CAST]:
        raise ValueError("unknown")
    (story,) = corpus.write_stories(1, hero=prompt, generator=torch.Generator().manual_seed(seed))
    return story.text


generate_a_batch = edited(
    reference.generate,
    {"return story.text": "return [story.text]"},
    says="A list with one work in it is returned, as models give a batch of them. What is asked for is the work "
    "itself.",
)


@mistake(
    "generate",
    says="The values of the image reach far above 1: they are counted from 0 to 255, as in a file, where a share "
    "from 0 to 1 is promised.",
)
def generate_an_image_of_bytes(prompt: str, seed: int) -> Work:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 16, 16, generator=generator) * 255


# ---- evaluate

evaluate_of_the_own_generator = edited(
    reference.evaluate,
    {"[generate(animal.name, each)": "[globals()['generate'](animal.name, each)"},
    says="The generator that is passed is never asked: the notebook's own one is measured, whoever's works were meant.",
)

evaluate_with_one_seed_for_all = edited(
    reference.evaluate,
    {"manual_seed(seed)": "manual_seed(0)"},
    says="The seed makes no difference: the same works are asked for each time, so nobody can see how much is due "
    "to chance.",
)

evaluate_without_the_seed = edited(
    reference.evaluate,
    {", generator=generator)": ")"},
    says="With the same seed other works are asked for each time, and the number can be had by nobody else: a draw "
    "comes from the global random numbers.",
)


@mistake(
    "evaluate",
    says="The number is right, but the seed is planted in the global random numbers, which do not stand afterwards "
    "where they stood. A generator of your own does the same and leaves the world alone.",
)
def evaluate_planting_a_global_seed(generate: Callable[[str, int], Work], seed: int) -> float:
    torch.manual_seed(seed)
    seeds = torch.randint(2**32 - 1, (len(corpus.CAST),)).tolist()
    works = [generate(animal.name, each) for animal, each in zip(corpus.CAST, seeds, strict=True)]
    return math.log2(len(set(" ".join(map(str, works)).split())))


evaluate_of_three_works = edited(
    reference.evaluate,
    {"zip(corpus.CAST, seeds, strict=True)": "zip(corpus.CAST[:3], seeds[:3], strict=True)"},
    says="The number is made of very few works, so that chance decides: at least eight are to be asked for.",
)

evaluate_of_one_question = edited(
    reference.evaluate,
    {"[generate(animal.name, each)": '[generate("Mia", seed)'},
    says="One and the same question is asked again and again, by prompt and by seed: however many times it is "
    "asked, it is one work that is measured.",
)

evaluate_of_the_first_work = edited(
    reference.evaluate,
    {"map(str, works)": "map(str, works[:1])"},
    says="Many works are asked for, and only the first one is looked at.",
)

evaluate_of_the_training_data = edited(
    reference.evaluate,
    {
        "map(str, works)": "[story.text for story in "
        "corpus.write_stories(len(works), generator=torch.Generator().manual_seed(seed))]"
    },
    says="Whatever works come, the number stays: it is made of the data, or of something kept from before, and not "
    "of them.",
)

evaluate_as_a_tensor = edited(
    reference.evaluate,
    {"return bits": "return torch.tensor(bits)"},
    says="A tensor is returned, where a number is promised: nothing else stands well in a card or in JSON.",
)


# ---- model_card

card_without_a_head = edited(
    reference.model_card,
    {'"""---\noption: text': '"""option: text'},
    says="The card does not begin with a head between two lines of three dashes, so no program finds what it states.",
)

card_of_another_option = edited(
    reference.model_card,
    {"option: text": "option: music"},
    says="The option in the card's head is another one than that of the works which generate makes.",
)

card_with_two_prompts = edited(
    reference.model_card,
    {"Mia | Finn | Olga | Ben | Dora | Rufus": "Mia | Finn"},
    says="There are too few prompts in the card's head to try the project with: it takes four to twelve.",
)

card_with_a_unit = edited(
    reference.model_card,
    {"value: 7.77": "value: 7.77 bits"},
    says="The value in the card's head is no number that a program can read: a unit, a sign of per cent or a word "
    "stands with it.",
)

card_of_better_days = edited(
    reference.model_card,
    {"value: 7.77": "value: 8.61", "have 7.77 bits": "have 8.61 bits"},
    says="Measured again, the metric is not what the card says: it may come from another seed, from the training "
    "data, or from before the last change.",
)

card_in_per_cent = edited(
    reference.model_card,
    {"value: 7.77": "value: 777", "have 7.77 bits": "have 777 bits"},
    says="The card states a hundred times what evaluate gives: one of the two is in per cent.",
)

card_without_caveats = edited(
    reference.model_card,
    {"## Caveats and recommendations": "## Thanks"},
    says="A section is missing, and it is the one that people need most: what the model cannot do, and what to "
    "beware of.",
)

card_with_an_empty_section = edited(
    reference.model_card,
    {
        "Stories about the fox and the wolf end badly more often than those about the rabbit and the lamb: a prejudice, "
        "and on purpose.": "None."
    },
    says="A section has a heading and hardly a word: every model can do harm to somebody, and the card is where to "
    "think of it.",
)

card_with_large_headings = edited(
    reference.model_card,
    {
        f"## {name}": f"# {name}"
        for name in (
            *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
            *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
        )
    },
    says="The sections have headings of the first level, or no headings at all: each takes one of the second, with "
    "two signs.",
)

card_with_other_results = edited(
    reference.model_card,
    {"have 7.77 bits": "have 8.61 bits"},
    says="The text of the card gives another value than its head: one of them was forgotten when the number changed.",
)

card_with_another_metric = edited(
    reference.model_card,
    {"have 7.77 bits of vocabulary": "have a richness of 7.77"},
    says="The text of the card calls the metric something else than its head, so that nobody knows whether they are "
    "the same.",
)


# ---- create_demo

demo_without_the_seed = edited(
    reference.create_demo,
    {"generate(question.prompt, question.seed)": "generate(question.prompt, 0)"},
    says="Whatever seed the user asks for, the generator is asked for the same one: the demo drops it on the way.",
)

demo_of_text_only = edited(
    reference.create_demo,
    {"return to_json(work)": 'return {"text": str(work)}'},
    says="The answer has not the form that to_json makes: an image or a tune sent as text cannot be shown by anybody.",
)

demo_asking_twice = edited(
    reference.create_demo,
    {
        "            work = generate(": "            generate(question.prompt, question.seed)\n            work = generate("
    },
    says="For each question the generator is asked twice, and the user waits twice as long.",
)

demo_by_get = edited(
    reference.create_demo,
    {'@app.post("/generate")': '@app.get("/generate")'},
    says="A question that is posted to the demo is not answered: look at the method for which the path is declared.",
)

demo_remembering_the_first = edited(
    reference.create_demo,
    {
        "    app = FastAPI()\n": "    app, known = FastAPI(), {}\n",
        "            work = generate(question.prompt, question.seed)\n": "            if question.prompt not in known:\n"
        "                known[question.prompt] = generate(question.prompt, question.seed)\n"
        "            work = known[question.prompt]\n",
    },
    says="The first answer to a prompt is kept and given again for every other seed: what is remembered has to be "
    "remembered by prompt and seed.",
)

demo_with_lax_types = edited(
    reference.create_demo,
    {"        model_config = ConfigDict(strict=True)\n": ""},
    says="Strings and truth values are taken for numbers: unless it is told to be strict, pydantic makes of a value "
    "what it can.",
)

demo_without_limits = edited(
    reference.create_demo,
    {"Field(min_length=1, max_length=MAX_PROMPT)": "Field()"},
    says="A prompt of any length is taken, the empty one and one of megabytes too: the least and the most are to be "
    "declared.",
)

demo_with_any_seed = edited(
    reference.create_demo,
    {", ge=0, le=MAX_SEED": ""},
    says="Seeds below zero, or too large for a generator, are taken and passed on: the least and the most are to be "
    "declared.",
)

demo_insisting_on_a_seed = edited(
    reference.create_demo,
    {"default=0, ": ""},
    says="A question without a seed is refused, though the seed may be left out, and is 0 then.",
)

demo_breaking_at_odd_prompts = edited(
    reference.create_demo,
    {"except ValueError as error": "except ZeroDivisionError as error"},
    says="Where the generator refuses a prompt with a ValueError, the demo breaks down with status 500, and the "
    "user is not told what to type instead.",
)

demo_blaming_the_user = edited(
    reference.create_demo,
    {"except ValueError as error": "except Exception as error"},
    says="Whatever goes wrong inside is told to the user as if it were the user's fault: only a ValueError was "
    "written for users.",
)

demo_answering_faults_with_success = edited(
    reference.create_demo,
    {"raise HTTPException(422, str(error)) from None": 'return {"detail": str(error)}'},
    says="A question that is refused is answered with status 200, as if all were well: programs go by the status.",
)

demo_with_a_message_of_its_own = edited(
    reference.create_demo,
    {"HTTPException(422, str(error))": 'HTTPException(422, "This cannot be answered.")'},
    says="What the generator's ValueError says does not reach the user, who is told that something is wrong, and "
    "not what to do.",
)

demo_with_the_page_as_json = edited(
    reference.create_demo,
    {
        "-> HTMLResponse:\n        return HTMLResponse(": "-> str:\n        return (",
        ", 200, PAGE_HEADERS)": ")",
    },
    says="The page is sent as JSON, so a browser shows its source: it has to be said that it is HTML.",
)

demo_without_health = edited(
    reference.create_demo,
    {'@app.get("/health")': '@app.get("/healthz")'},
    says="Nothing is found at the path where a machine asks whether the demo is well.",
)

demo_with_an_expensive_health = edited(
    reference.create_demo,
    {'        return {"status": "ok"}': '        generate("Mia", 0)\n        return {"status": "ok"}'},
    says="To say that it is well, the demo makes a work: this is asked every few seconds and has to cost nothing.",
)
