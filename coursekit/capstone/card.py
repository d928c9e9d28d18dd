"""Reading a model card: its head, which a program reads, and its sections, which people read.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting"; a head between two lines of dashes is how
cards on the Hugging Face hub begin.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from coursekit.capstone.works import MAX_PROMPT, MAX_SEED, OPTIONS

SECTIONS = (
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
)
KEYS = ("option", "metric", "value", "seed", "prompts")
LEAST_WORDS = 15
LEAST_PROMPTS, MOST_PROMPTS = 4, 12
_FENCE = re.compile(r"^```.*?^```[^\n]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Card:
    """A model card, read.

    Attributes:
        option: art, text, music or finetuning.
        metric: what is measured, in words.
        value: what `evaluate(generate, seed)` gives.
        seed: the seed of that.
        prompts: some that the project is made for.
        title: the name of the project.
        sections: the text of each section, by its heading in small letters.
        stated: the value as it is written in the head.
    """

    option: str
    metric: str
    value: float
    seed: int
    prompts: tuple[str, ...]
    title: str
    sections: dict[str, str]
    stated: str


def read_card(text: str) -> Card:
    """Read a model card.

    Raises:
        ValueError: with the first thing that is wrong in it; see `faults_of_card`.
    """
    if faults := faults_of_card(text):
        raise ValueError(faults[0])
    head, body = _parts(text)
    return Card(
        option=head["option"],
        metric=head["metric"],
        value=float(head["value"]),
        seed=int(head["seed"]),
        prompts=_prompts(head),
        title=_title(body),
        sections=_sections(body),
        stated=head["value"],
    )


def faults_of_card(text: str) -> list[str]:
    """All that is wrong in a model card, each in a sentence that says what to do; empty if it is sound."""
    head, body = _parts(text)
    if not head:
        return [f"Begin the card with a head: a line of three dashes, lines for {', '.join(KEYS)}, three dashes again."]
    faults = [f"Add the line `{key}: …` to the head of the card." for key in KEYS if not head.get(key)]
    if head.get("option") and head["option"] not in OPTIONS:
        faults.append(f"The option in the card's head has to be one of {', '.join(OPTIONS)}.")
    if head.get("value") and not _is_measure(head["value"]):
        faults.append("The value in the card's head has to be a finite number other than 0, such as 0.87.")
    if head.get("seed") and not (re.fullmatch(r"[0-9]{1,10}", head["seed"]) and int(head["seed"]) <= MAX_SEED):
        faults.append(f"The seed in the card's head has to be a whole number from 0 to {MAX_SEED}.")
    if head.get("prompts"):
        faults += _faults_of_prompts(_prompts(head))
    if not _title(body):
        faults.append("Give the card a title: a line `# …` with the name of your project.")
    sections = _sections(body)
    for name in SECTIONS:
        words = len(re.findall(r"\w+", sections.get(name.lower(), "")))
        if name.lower() not in sections:
            faults.append(f"Add the section `## {name}` to the card.")
        elif words < LEAST_WORDS:
            faults.append(
                f"Say more under `## {name}`: it has {words} words, and at least {LEAST_WORDS} are asked for."
            )
    results = sections.get("quantitative analyses")
    if results is not None:
        for key in ("metric", "value"):
            sound = bool(head.get(key)) and (key != "value" or _is_measure(head[key]))
            if sound and not _stands_in(head[key], results):
                faults.append(
                    f"Say the {key} of the card's head, {head[key]!r}, under `## Quantitative analyses`, too."
                )
    return faults


def _parts(text: str) -> tuple[dict[str, str], str]:
    """The head, by key, and what follows it."""
    lines = text.replace("\r\n", "\n").strip().split("\n")
    marks = [number for number, line in enumerate(lines) if line.strip() == "---"]
    if len(marks) < 2 or marks[0] != 0:
        return {}, text
    pairs = (line.partition(":") for line in lines[1 : marks[1]] if ":" in line and not line.lstrip().startswith("#"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs}, "\n".join(lines[marks[1] + 1 :])


def _prompts(head: dict[str, str]) -> tuple[str, ...]:
    return tuple(prompt.strip() for prompt in head["prompts"].split("|"))


def _faults_of_prompts(prompts: tuple[str, ...]) -> list[str]:
    faults = []
    if not LEAST_PROMPTS <= len(prompts) <= MOST_PROMPTS:
        faults.append(
            f"Give {LEAST_PROMPTS} to {MOST_PROMPTS} prompts in the card's head, with | between them; it has {len(prompts)}."
        )
    if len(set(prompts)) < len(prompts):
        faults.append("The prompts in the card's head have to be different ones.")
    if not all(1 <= len(prompt) <= MAX_PROMPT for prompt in prompts):
        faults.append(f"Each prompt in the card's head has to have 1 to {MAX_PROMPT} characters.")
    return faults


def _is_measure(value: str) -> bool:
    try:
        return math.isfinite(float(value)) and float(value) != 0
    except ValueError:
        return False


def _stands_in(phrase: str, text: str) -> bool:
    """Whether a text says a phrase: not within a longer word or number, however it is spaced, in small or large letters."""
    words = r"\s+".join(map(re.escape, phrase.lower().split()))
    return re.search(rf"(?<![\w.]){words}(?!\w|\.\d)", text.lower()) is not None


def _title(body: str) -> str:
    found = re.search(r"^#[ \t]+(\S.*)$", _FENCE.sub("", body), re.MULTILINE)
    return found[1].strip() if found else ""


def _sections(body: str) -> dict[str, str]:
    """The text below each heading of the second level; of two of one name the first that says something."""
    pieces = re.split(r"^##[ \t]+(\S.*?)[ \t#]*$", _FENCE.sub("", body), flags=re.MULTILINE)
    found: dict[str, str] = {}
    for heading, text in zip(pieces[1::2], pieces[2::2], strict=True):
        name = " ".join(heading.lower().split())
        found[name] = found.get(name) or text.strip()
    return found
