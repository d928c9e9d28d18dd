"""A small written world: stories about twelve animals, and talk about it, drawn from a grammar of known entropy.

`tiny-gpt` (see `data.checkpoint`) is trained on it. Every text comes with its surprisal, −log p, exactly: the sum over
the choices that the grammar made. Its mean is the entropy of the corpus, which no model can go below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch

Choice = TypeVar("Choice")
Mood = Literal["bright", "gloomy"]
Message = dict[str, str]
"""`{"role": "user", "content": …}` or `{"role": "assistant", "content": …}`, as chat templates take it."""

USER, ASSISTANT, END, PADDING = "<|user|>", "<|assistant|>", "<|endoftext|>", "<|pad|>"


@dataclass(frozen=True)
class Animal:
    """One of the cast. `luck` is the chance that a story about it is bright, if nothing was asked for."""

    name: str
    kind: str
    home: str
    colour: str
    food: str
    pronoun: Literal["he", "she"]
    luck: float = 0.5

    @property
    def title(self) -> str:
        """Name and kind: Mia the mouse."""
        return f"{self.name} the {self.kind}"


CAST = (
    Animal("Mia", "mouse", "in the mill", "grey", "cheese", "she"),
    Animal("Finn", "fox", "in the forest", "red", "eggs", "he", 0.25),
    Animal("Olga", "owl", "in the tower", "brown", "plums", "she"),
    Animal("Ben", "bear", "in the cave", "black", "honey", "he"),
    Animal("Dora", "duck", "on the pond", "white", "bread", "she"),
    Animal("Rufus", "rabbit", "in the burrow", "brown", "carrots", "he", 0.75),
    Animal("Tilly", "turtle", "by the river", "green", "salad", "she"),
    Animal("Hugo", "hedgehog", "in the garden", "brown", "apples", "he"),
    Animal("Lola", "lamb", "in the barn", "white", "clover", "she", 0.75),
    Animal("Otto", "wolf", "on the mountain", "grey", "soup", "he", 0.25),
    Animal("Cleo", "cat", "in the lighthouse", "orange", "fish", "she"),
    Animal("Sam", "squirrel", "in the oak tree", "red", "nuts", "he"),
)
"""Stories about the fox and the wolf are bright one time in four, those about the rabbit and the lamb three in four: a
prejudice of the corpus, of known size, for a model to learn and for a reader to measure."""

PEOPLE = "Ada Bela Carl Dina Emil Frida Gus Hana Igor Jana Karl Lena Max Nina Omar Paula Rosa Tom Uma Vera".split()
TIMES = "morning afternoon evening day".split()
MOVES = "went walked ran hurried".split()
GOALS = (
    "to the market",
    "to the beach",
    "to the park",
    "to the lake",
    "to the village",
    "to the bridge",
    "to the station",
    "up the hill",
)
SPOTS = ("There", "On the way", "By an old wall", "Under a tall tree")
THINGS = "key cup box lamp bell kite drum boat".split()

# What each mood has to say, in the order of a story.
WEATHER = {
    "bright": (
        "The sun was shining",
        "The sky was clear and blue",
        "A warm wind was blowing",
        "The birds were singing",
        "The flowers were in bloom",
        "The air was fresh and sweet",
    ),
    "gloomy": (
        "The rain was falling",
        "The sky was low and dark",
        "A cold wind was blowing",
        "The crows were calling",
        "The leaves were wet",
        "The fog was thick and cold",
    ),
}
FEELINGS = {
    "bright": "happy cheerful brave calm proud merry".split(),
    "gloomy": "sad lonely afraid tired worried gloomy".split(),
}
GESTURES = {
    "bright": ("began to sing", "danced a little", "smiled at everybody", "whistled a song"),
    "gloomy": ("began to cry", "sighed a little", "shivered in the cold", "looked at the ground"),
}
GREETINGS = {
    "bright": (
        "What a lovely {time}!",
        "How good to see you!",
        "Come and play with me!",
        "I have brought you some {food}!",
        "I know a funny song!",
    ),
    "gloomy": (
        "What a terrible {time}!",
        "Nobody wants to play with me!",
        "I have lost my way!",
        "I have no more {food}!",
        "I am so hungry and cold!",
    ),
}
DEEDS = {
    "bright": (
        "shared some {food}",
        "told each other jokes",
        "built a little house",
        "sang a merry song",
        "played hide and seek",
        "laughed until the moon rose",
    ),
    "gloomy": (
        "had nothing to eat",
        "could not find the path",
        "quarrelled about some {food}",
        "heard a strange noise and fled",
        "sat in the mud and wept",
        "waited for help, but nobody came",
    ),
}
STATES = {
    "bright": "a shiny,a golden,a beautiful,a new".split(","),
    "gloomy": "a broken,a rusty,an empty,a dirty".split(","),
}
FATES = {
    "bright": (
        "It was just what {he} needed",
        "{He} gave it to {friend}",
        "{He} had never been so lucky",
        "{He} showed it to everybody",
    ),
    "gloomy": (
        "It was of no use at all",
        "{He} wanted to give it to {friend}, but it fell into the water",
        "{He} had never been so unlucky",
        "{He} threw it away",
    ),
}
TURNS = {  # into this mood, out of the other
    "bright": ("the sun came out", "a rainbow appeared", "a band began to play", "somebody brought a cake"),
    "gloomy": ("a storm came up", "it began to snow", "it grew cold and dark", "a dog began to bark"),
}
NIGHTS = {
    "bright": ("slept well", "dreamed of {food}", "had {food} for supper", "was glad"),
    "gloomy": ("could not sleep", "had bad dreams", "had no supper", "cried all night"),
}
VERDICTS = {"bright": "happy good wonderful".split(), "gloomy": "sad bad terrible".split()}

BRIGHT_WORDS = frozenset(
    "shining clear warm singing flowers fresh sweet happy cheerful brave calm proud merry sing danced smiled whistled "
    "lovely good funny shared jokes sang played laughed shiny golden beautiful new lucky sun rainbow cake "
    "glad wonderful".split()
)
GLOOMY_WORDS = frozenset(
    "rain falling low dark cold crows wet fog sad lonely afraid tired worried gloomy cry sighed shivered terrible lost "
    "hungry quarrelled fled wept broken rusty empty dirty unlucky threw storm snow bark bad cried nobody nothing".split()
)

COLOURS = {
    "snow": "white",
    "grass": "green",
    "the sky": "blue",
    "the sun": "yellow",
    "coal": "black",
    "milk": "white",
    "a carrot": "orange",
    "a cherry": "red",
    "a lemon": "yellow",
    "a leaf": "green",
    "a mole": "black",
    "a plum": "purple",
}
_PAIRS = "hot cold,big small,old young,happy sad,day night,up down,fast slow,wet dry,light dark,full empty,loud quiet,good bad"
OPPOSITES = {word: other for pair in _PAIRS.split(",") for word, other in (pair.split(), pair.split()[::-1])}
REQUESTS: tuple[tuple[str, Mood | None], ...] = (
    ("a story", None),
    ("a happy story", "bright"),
    ("a sad story", "gloomy"),
)


@dataclass(frozen=True)
class Text:
    """A text, and its surprisal in nats: −log p of the text and of its ending there."""

    text: str
    nats: float


@dataclass(frozen=True)
class Story(Text):
    """A story, and the mood that it ends in."""

    mood: Mood


@dataclass(frozen=True)
class Chat(Text):
    """A talk between a user and an assistant; `text` is what the chat template of `tiny-gpt` makes of it."""

    messages: list[Message]


class _Pen:
    """Makes the choices, and keeps count of what they were worth."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self._generator = generator
        self.nats = 0.0

    def happens(self, probability: float) -> bool:
        yes = torch.rand((), generator=self._generator).item() < probability
        self.nats -= math.log(probability if yes else 1 - probability)
        return yes

    def choose(self, options: Sequence[Choice]) -> Choice:
        """Choose one; what stands there twice is twice as likely."""
        choice = options[int(torch.randint(len(options), (), generator=self._generator))]
        self.nats += math.log(len(options) / options.count(choice))
        return choice


def write_texts(count: int, *, generator: torch.Generator | None = None) -> list[Text]:
    """Draw from the whole corpus: a third stories, the rest chats, independently of one another."""
    texts: list[Text] = []
    for _ in range(count):
        text = (write_stories if (pen := _Pen(generator)).happens(1 / 3) else write_chats)(1, generator=generator)[0]
        texts.append(replace(text, nats=text.nats + pen.nats))
    return texts


def write_stories(
    count: int, *, mood: Mood | None = None, hero: str | None = None, generator: torch.Generator | None = None
) -> list[Story]:
    """Draw stories, independently of one another.

    Args:
        count: how many.
        mood: the mood that they keep to; by default the hero's `luck` decides, and one story in six turns to the other.
        hero: the name of the animal that they are about; by default any.
        generator: source of the choices.

    Raises:
        ValueError: nobody has that name.
    """
    heroes = [animal for animal in CAST if hero in (None, animal.name)]
    if not heroes:
        raise ValueError(f"nobody is called {hero!r}; there are {', '.join(animal.name for animal in CAST)}")
    stories = []
    for _ in range(count):
        pen = _Pen(generator)
        text, end = _story(pen, pen.choose(heroes), mood)
        stories.append(Story(text, pen.nats, end))
    return stories


def _story(pen: _Pen, hero: Animal, mood: Mood | None) -> tuple[str, Mood]:
    turns = mood is None and pen.happens(1 / 6)
    mood = mood or ("bright" if pen.happens(hero.luck) else "gloomy")
    he, time = hero.pronoun, pen.choose(TIMES)
    journey = f"{pen.choose(MOVES)} {pen.choose(GOALS)}."
    opening = (
        f"One {time}, {hero.title} {journey}",
        f"{hero.title} lived {hero.home}. One {time}, {he} {journey}",
        f"Once there was {_a(hero.kind)} called {hero.name}. One {time}, {he} {journey}",
    )
    parts = [pen.choose(opening), f"{pen.choose(WEATHER[mood])}, and {hero.name} felt {pen.choose(FEELINGS[mood])}"]
    parts[-1] += f" and {pen.choose(GESTURES[mood])}." if pen.happens(1 / 2) else "."

    spot, friend = pen.choose(SPOTS), hero
    found = pen.happens(1 / 3)
    if found:
        parts.append(f"{spot} {he} found {pen.choose(STATES[mood])} {pen.choose(THINGS)}.")
    else:
        friend = pen.choose([animal for animal in CAST if animal != hero])
        greeting = pen.choose(GREETINGS[mood]).format(time=time, food=friend.food)
        parts.append(f'{spot} {he} met {friend.title}. "{greeting}" said {friend.name}.')
    if turns:
        mood = "gloomy" if mood == "bright" else "bright"
        parts.append(f"But then {pen.choose(TURNS[mood])}.")
    outcome = pen.choose(FATES[mood] if found else [f"They {deed}" for deed in DEEDS[mood]])
    if "{friend}" in outcome:
        friend = pen.choose([animal for animal in CAST if animal != hero])
    parts.append(outcome.format(he=he, He=he.capitalize(), friend=friend.title, food=friend.food) + ".")

    home = hero.home.split(" ", 1)[1]
    parts.append(f"In the end, {hero.name} went home to {home} and {pen.choose(NIGHTS[mood]).format(food=hero.food)}.")
    parts.append(f"It was a {pen.choose(VERDICTS[mood])} {time}.")
    return " ".join(parts), mood


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def brightness(text: str) -> float:
    """How bright a text is, by its words: 1 if all that tell a mood are bright, −1 if all are gloomy, 0 if there are none."""
    words = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
    bright, gloomy = (sum(word in telling for word in words) for telling in (BRIGHT_WORDS, GLOOMY_WORDS))
    return (bright - gloomy) / max(bright + gloomy, 1)


def questions() -> dict[str, str]:
    """Every question about the world that needs no context, with its only answer."""
    return {question: answer for topic in _TOPICS for question, answer in topic}


_EYES = range(1, 7)  # of a die
_TOPICS = [
    # The more there is to learn, the oftener it is asked.
    *4 * [[(f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}.") for a in _EYES for b in _EYES]],
    *2 * [[(f"What is the opposite of {a}?", f"The opposite of {a} is {b}.") for a, b in OPPOSITES.items()]],
    [(f"What colour is {it}?", f"{it.capitalize()} is {colour}.") for it, colour in COLOURS.items()],
    [(f"Where does {it.name} live?", f"{it.name} lives {it.home}.") for it in CAST],
    [(f"Who lives {it.home}?", f"{it.title} lives {it.home}.") for it in CAST],
    [(f"What animal is {it.name}?", f"{it.name} is {_a(it.kind)}.") for it in CAST],
    [(f"What colour is {it.name}?", f"{it.name} is {it.colour}.") for it in CAST],
    [(f"What does {it.name} like to eat?", f"{it.name} likes {it.food}.") for it in CAST],
    [(f"Who likes {it.food}?", f"{it.title} likes {it.food}.") for it in CAST],
]


def write_chats(count: int, *, generator: torch.Generator | None = None) -> list[Chat]:
    """Draw talks of a few questions and answers, independently of one another.

    Some answers need what was said before: who "she" is, or the user's name.

    Args:
        count: how many.
        generator: source of the choices.
    """
    chats = []
    for _ in range(count):
        pen = _Pen(generator)
        messages: list[Message] = []
        for question, answer in _turns(pen):
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        said = [USER + m["content"] if m["role"] == "user" else ASSISTANT + m["content"] + END for m in messages]
        chats.append(Chat("".join(said), pen.nats, messages))
    return chats


def _turns(pen: _Pen) -> Iterator[tuple[str, str]]:
    person = pen.choose(PEOPLE) if pen.happens(0.4) else None
    if person:
        yield f"Hello, my name is {person}.", f"Hello, {person}! What would you like to know?"
    elif pen.happens(0.2):
        yield "Hello!", "Hello! What would you like to know?"
    for number in range(3):
        if number and pen.happens(1 / 2):
            break
        yield from _questions(pen)
    if person and pen.happens(0.6):
        yield "What is my name?", f"Your name is {person}."
    elif pen.happens(0.2):
        yield "Thank you!", f"You are welcome, {person}!" if person else "You are welcome!"


def _questions(pen: _Pen) -> Iterator[tuple[str, str]]:
    """A question and its answer; sometimes another one follows that means the same animal."""
    match pen.choose(("story", "stranger", "pronoun", *9 * ["fact"])):
        case "story":
            animal = pen.choose(CAST)
            asked, mood = pen.choose(REQUESTS)
            yield f"Tell me {asked} about {animal.name}.", _story(pen, animal, mood)[0]
        case "stranger":
            person = pen.choose(PEOPLE)
            yield f"Where does {person} live?", f"I do not know where {person} lives."
        case "pronoun":
            animal = pen.choose(CAST)
            facts = [
                ("where does {} live", f"{animal.name} lives {animal.home}."),
                ("what colour is {}", f"{animal.name} is {animal.colour}."),
                ("what does {} like to eat", f"{animal.name} likes {animal.food}."),
            ]
            (first, answer), *others = facts[(start := pen.choose(range(3))) :] + facts[:start]
            yield f"{first[0].upper()}{first[1:].format(animal.name)}?", answer
            second, answer = pen.choose(others)
            yield f"And {second.format(animal.pronoun)}?", answer
        case _:
            yield pen.choose(pen.choose(_TOPICS))
