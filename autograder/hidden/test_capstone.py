# ruff: noqa: D101
"""Hidden properties of `capstone`: the contract, for whatever project was handed in.

Nothing is known of the project but what its model card says. So that mistakes can be told apart in projects of all kinds,
messages speak of the card's prompts by number, and quote nothing of the work.
"""

import math
import re
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from types import ModuleType
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.capstone import (
    MAX_PROMPT,
    MAX_SEED,
    OPTIONS,
    Work,
    fault_of_work,
    faults_of_card,
    from_json,
    grading,
    kind_of,
    same_work,
    to_json,
)
from coursekit.properties import describe, exercise, fail, required, weight

PROMPTS = ("a red circle", "Once upon a time", "something calm", "What is 2 plus 2?")  # as long as a card names none
MANY = 8  # seeds, of which six have to make a difference
LEAST_DIFFERENT = 6
FEWEST_QUESTIONS, MOST_QUESTIONS = 8, 200
TOLERANCE = 0.05  # between the metric as stated and as measured again


def seeds(count: int) -> list[int]:
    """Some seeds, all different, the same in each run of a property."""
    drawn = torch.randint(1, MAX_SEED, (4 * count,)).tolist()
    return list(dict.fromkeys(drawn))[:count]


def tool(student: Any, name: str) -> Callable[..., Any]:
    """A function of `coursekit.capstone.grading`, where the student's code runs."""
    return getattr(grading if isinstance(student, ModuleType) else student, name)


def insist(sound: object, *lines: str | None) -> None:
    """Fail with these words unless it is so."""
    if not sound:
        fail(*lines)


# ---- what the card says, as far as it can be read


def card_of(student: Any) -> str:
    """The card; empty if there is none."""
    try:
        card = student.model_card()
    except Exception:
        return ""
    return card if isinstance(card, str) else ""


def stated(card: str, key: str) -> str:
    """What stands in the card's head under a key, whatever else is wrong with the card; empty if nothing does."""
    found = re.search(rf"^[ \t]*{key}[ \t]*:(.*)$", card, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""


def prompts_of(student: Any) -> list[str]:
    """The prompts of the card, each once; some others if it has none."""
    listed = [prompt.strip() for prompt in stated(card_of(student), "prompts").split("|")]
    return list(dict.fromkeys(prompt for prompt in listed if prompt)) or list(PROMPTS)


def number_in(text: str) -> float | None:
    """A number that is written there, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None


# ---- generate


def different(works: list[Work]) -> int:
    """How many of the works are different ones."""
    found: list[Work] = []
    for work in works:
        if not any(same_work(work, other) for other in found):
            found.append(work)
    return len(found)


# What people type all the same. Each by a name, for a message.
ODD = {
    "An empty prompt": "",
    "A prompt of white space": " \n\t ",
    "A prompt in several scripts": "Żółw, 猫 и кот 🐢 مرحبا",
    "A prompt of markup": "<script>alert('hello')</script> & <b>more</b>",
    "A prompt of 20,000 letters without a space": "x" * 20_000,
    "A prompt of 7000 words": "no " * 7000,
    "A prompt with characters that cannot be seen": "a\x00b\u200bc\r\nd",
    "A prompt of punctuation": "!?|{}%s\\n'\"",
}


@exercise("generate", contract=False)
class TestGenerate:
    @required
    def test_seeds_count(self, student: Any) -> None:
        """Eight seeds give eight sound works of one kind, and at least six different ones."""
        prompts = prompts_of(student)
        place = int(torch.randint(len(prompts), ()))
        works = [student.generate(prompts[place], seed) for seed in (0, MAX_SEED, *seeds(MANY - 2))]
        for work in works:
            fault = fault_of_work(work)
            insist(fault is None, f"Prompt number {place + 1} of the card gave no sound work.", fault)
        insist(len({kind_of(work) for work in works}) == 1, "The works are not all of one kind.")
        count = different(works)
        insist(
            count >= LEAST_DIFFERENT,
            f"Prompt number {place + 1} of the card gave {count} different works for {MANY} seeds, where at least "
            f"{LEAST_DIFFERENT} are promised.",
        )

    @weight(4)
    def test_prompt_and_seed_settle_the_work(self, student: Any) -> None:
        """Prompt and seed settle the work, whatever was made before; global random numbers neither matter nor change."""
        first, *others = prompts_of(student)
        seed, other, chance = seeds(3)
        before = tool(student, "random_fingerprint")()
        work = student.generate(first, seed)
        moved = tool(student, "random_fingerprint")() != before
        for prompt in (first, *others[:1]):
            student.generate(prompt, other)
        tool(student, "stir_random")(chance)
        again = student.generate(first, seed)
        insist(
            same_work(again, work),
            "One prompt and one seed gave two works. In between others were made, and the global random numbers changed.",
        )
        insist(
            not moved,
            "The global random numbers were drawn from, or set anew: afterwards they do not stand where they stood.",
            "Whatever the user does next with random numbers depends on it.",
        )

    @weight(4)
    def test_prompts_count(self, student: Any) -> None:
        """With one seed the prompts of the card give sound works of one kind, no two of them the same."""
        (seed,) = seeds(1)
        works: list[Work] = []
        for number, prompt in enumerate(prompts_of(student), 1):
            work = student.generate(prompt, seed)
            fault = fault_of_work(work)
            insist(fault is None, f"Prompt number {number} of the card gave no sound work.", fault)
            twin = next((place for place, found in enumerate(works, 1) if same_work(found, work)), None)
            insist(twin is None, f"The prompts number {twin} and {number} of the card gave the same work for one seed.")
            works.append(work)
        insist(len({kind_of(work) for work in works}) == 1, "The works are not all of one kind.")

    @weight(4)
    def test_odd_prompts(self, student: Any) -> None:
        """Any other string gives a sound work, or a ValueError that tells the user in a sentence what to type instead."""
        (seed,) = seeds(1)
        for name, prompt in ODD.items():
            try:
                work = student.generate(prompt, seed)
            except ValueError as error:
                said = str(error).removeprefix(f"{getattr(error, 'kind', '')}: ")
                insist(len(said.split()) >= 3, f"{name} gave a ValueError that says no sentence.")
            except Exception as error:
                kind = getattr(error, "kind", type(error).__name__)
                fail(f"{name} ended in a {kind}. It gives a work, or a ValueError that tells what to type instead.")
            else:
                fault = fault_of_work(work)
                insist(fault is None, f"{name} gave no sound work.", fault)


# ---- evaluate


class Asked:
    """Stands in the place of the project's generator, and remembers what it was asked."""

    def __init__(self, answer: Callable[[str, int], Work]) -> None:
        self._answer = answer
        self.questions: list[tuple[str, int]] = []

    def __call__(self, prompt: str, seed: int) -> Work:
        """A work."""
        insist(isinstance(prompt, str), f"The generator was asked with {describe(prompt)}, which is no prompt.")
        whole = isinstance(seed, Integral) and not isinstance(seed, bool) and 0 <= seed <= MAX_SEED
        insist(whole, f"The generator was asked with {describe(seed)}, which is no seed from 0 to 2³² − 1.")
        self.questions.append((prompt, int(seed)))
        return self._answer(prompt, int(seed))

    def asked(self) -> set[tuple[str, int]]:
        """What it was asked since the last time."""
        found = set(self.questions)
        self.questions.clear()
        return found


def remembering(student: Any) -> Callable[[str, int], Work]:
    """The project's generator, asked only once for each work: what it does the second time is another exercise."""
    works: dict[tuple[str, int], Work] = {}

    def generate(prompt: str, seed: int) -> Work:
        if (prompt, seed) not in works:
            works[prompt, seed] = student.generate(prompt, seed)
        return works[prompt, seed]

    return generate


def repeating(student: Any) -> Callable[[str, int], Work]:
    """A generator that answers all questions with what the project's answers to the first."""
    works: list[Work] = []

    def generate(prompt: str, seed: int) -> Work:
        if not works:
            works.append(student.generate(prompt, seed))
        return works[0]

    return generate


def measured(value: Any) -> float:
    """A number that `evaluate` returned; fails if it is none."""
    sound = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    insist(sound, f"It should return a finite number, but it returned {describe(value)}.")
    return float(value)


def near(one: float, other: float) -> bool:
    """Whether two numbers are the same but for rounding."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


@exercise("evaluate", contract=False)
class TestEvaluate:
    @required
    def test_measures_the_works_that_it_is_given(self, student: Any) -> None:
        """The same works are worth the same number twice, and one work for all questions is worth another."""
        (seed,) = seeds(1)
        generator = Asked(remembering(student))
        value, again = (measured(student.evaluate(generator, seed)) for _ in range(2))
        insist(near(again, value), "The same works, asked for with the same seed, were worth two different numbers.")
        insist(generator.questions, "It asked the generator for no work at all.")
        constant = measured(student.evaluate(Asked(repeating(student)), seed))
        insist(
            not near(constant, value),
            "A generator that answers every question with one and the same work is worth as much as yours.",
            "Are the works that this generator makes looked at, and all of them?",
        )

    @weight(4)
    def test_asks_good_questions(self, student: Any) -> None:
        """It asks for 8 to 200 works, no two with the same prompt and the same seed."""
        generator = Asked(repeating(student))
        student.evaluate(generator, *seeds(1))
        count = len(generator.questions)
        insist(
            FEWEST_QUESTIONS <= count <= MOST_QUESTIONS,
            f"It asked for {count} works, not for {FEWEST_QUESTIONS} to {MOST_QUESTIONS}.",
        )
        twice = count - len(set(generator.questions))
        insist(not twice, f"It asked {twice} times for a work that it had asked for before, by prompt and by seed.")

    @weight(4)
    def test_the_seed_settles_what_is_asked(self, student: Any) -> None:
        """The same seed asks the same questions, whatever the global random numbers stand at; another asks other ones."""
        seed, other, chance = seeds(3)
        generator = Asked(repeating(student))
        student.evaluate(generator, seed)
        first = generator.asked()
        tool(student, "stir_random")(chance)
        student.evaluate(generator, seed)
        insist(generator.asked() == first, "With the same seed it asked for other works the second time.")
        student.evaluate(generator, other)
        insist(generator.asked() != first, "With another seed it asked for the very same works.")

    @weight(4)
    def test_leaves_random_numbers_alone(self, student: Any) -> None:
        """The global random numbers stand afterwards where they stood before."""
        seed, other = seeds(2)
        generator = Asked(repeating(student))
        student.evaluate(generator, seed)  # from here on nothing of the project's own generator is called
        before = tool(student, "random_fingerprint")()
        student.evaluate(generator, other)
        insist(
            tool(student, "random_fingerprint")() == before,
            "The global random numbers were drawn from, or set anew: afterwards they do not stand where they stood.",
        )


# ---- model_card


def faults(card: str, about: str) -> Iterator[str]:
    """What `coursekit.capstone.read_card` complains about: in the head, in the sections, or between the two (results)."""
    for fault in faults_of_card(card):
        place = "results" if "of the card's head" in fault else "sections" if "`#" in fault else "head"
        if place == about:
            yield fault


@exercise("model_card", contract=False)
class TestModelCard:
    @required
    def test_has_a_head(self, student: Any) -> None:
        """Its head names the option, whose kind of work `generate` makes, the metric, value and seed, and some prompts."""
        card = student.model_card()
        insist(isinstance(card, str), f"The card should be a string, but it is {describe(card)}.")
        insist(card == student.model_card(), "Two calls gave two different cards.")
        for fault in faults(card, "head"):
            fail(fault)
        option = stated(card, "option")
        insist(option in OPTIONS, "The card names no option.")
        work = student.generate(prompts_of(student)[0], 0)
        if fault_of_work(work) is None:  # which is for another exercise to say
            insist(fault_of_work(work, option) is None, fault_of_work(work, option))

    @weight(4)
    def test_states_what_evaluate_gives(self, student: Any) -> None:
        """The value in its head is what evaluate(generate, seed) gives for the seed in its head, within 5%."""
        card = card_of(student)
        value, seed = number_in(stated(card, "value")), stated(card, "seed")
        insist(value is not None and seed.isdigit(), "The head of the card states no value, or no seed.")
        assert value is not None
        found = measured(student.evaluate(student.generate, int(seed)))
        if abs(found - value) <= TOLERANCE * abs(value):
            return
        percent = math.isclose(value, 100 * found, rel_tol=TOLERANCE)
        relation = "That is a hundred times as much: is one of the two in per cent?" if percent else None
        fail(f"The card states {value:.6g} with the seed {seed}, but measured again it is {found:.6g}.", relation)

    @weight(4)
    def test_has_all_sections(self, student: Any) -> None:
        """It has a title and the nine sections of Mitchell et al. 2019, each with at least 15 words of text."""
        for fault in faults(student.model_card(), "sections"):
            fail(fault)

    @weight(4)
    def test_tells_its_results(self, student: Any) -> None:
        """Under Quantitative analyses stand the metric and its value, spelt as in the head."""
        card = student.model_card()
        insist(
            re.search(r"(?im)^##[ \t]+quantitative analyses", card), "There is no section `## Quantitative analyses`."
        )
        for fault in faults(card, "results"):
            missing = "metric" if "the metric" in fault else "value"
            fail(f"The {missing} of the head does not stand, spelt as there, under `## Quantitative analyses`.")


# ---- create_demo


class Toy:
    """A generator whose works tell what it was asked for; `fault` is what it raises where the prompt says so."""

    def __init__(self, kind: str = "text", fault: Exception | None = None) -> None:
        self.kind, self.fault = kind, fault
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, prompt: str, seed: int) -> Work:
        """A work of its kind."""
        self.calls.append((prompt, seed))
        if self.fault is not None and prompt == "bad":
            raise self.fault
        return self.work(prompt, seed)

    def work(self, prompt: str, seed: int) -> Work:
        """The work that belongs to a question."""
        generator = torch.Generator().manual_seed(len(prompt) + 1000 * seed)
        match self.kind:
            case "image":
                return torch.randint(256, (3, 9, 8), generator=generator).float() / 255
            case "music":
                pitches = torch.randint(128, (5,), generator=generator).tolist()
                return [(place / 2, place / 2 + 0.75, pitch, 1 + place) for place, pitch in enumerate(pitches)]
        return f'<i>{prompt}</i> & {seed} "猫"'


def post(student: Any, app: Any, sent: Any) -> tuple[int, Any]:
    """The answer to a request to /generate: bytes are sent as they are, all else as JSON."""
    if isinstance(sent, bytes):
        return tool(student, "ask_demo")(app, "POST", "/generate", body=sent)
    return tool(student, "ask_demo")(app, "POST", "/generate", sent)


def meaning(status: int) -> str:
    """A status, and what it says."""
    said = {2: "as if all were well", 4: "as if the user were to blame", 5: "as if the demo were broken"}
    return f"{status}, {said.get(status // 100, 'which is none for this')}"


def check_work(answer: tuple[int, Any], work: Work) -> None:
    """Check that an answer of the demo holds that work."""
    status, content = answer
    kind = to_json(work)["kind"]
    insist(status == 200, f"A question in order was answered with status {meaning(status)}.")
    sound = isinstance(content, dict) and content.keys() == to_json(work).keys() and content["kind"] == kind
    insist(sound, f"A {kind} was answered with {describe(content)}, which is not of the form that to_json makes.")
    try:
        shown = from_json(content)
    except ValueError as error:
        fail(str(error))
    insist(
        same_work(shown, from_json(to_json(work))),
        f"Another {kind} was shown than the generator made for that question.",
    )


REFUSED: tuple[Any, ...] = (
    *({"prompt": prompt} for prompt in ("", "x" * (MAX_PROMPT + 1), 7, None, ["a"], {"a": "b"})),
    *({"prompt": "x", "seed": seed} for seed in (-1, MAX_SEED + 1, "5", 2.5, True, [1])),
    {"seed": 3},
    {},
    ["x", 3],
    "x",
    *(b"", b"null", b"{", b'{"prompt": "x"', b"prompt=x&seed=3", b"\xff\xfe"),
)
TAKEN: tuple[tuple[dict[str, Any], int], ...] = (
    ({"prompt": "x"}, 0),
    ({"prompt": "y" * MAX_PROMPT, "seed": 0}, 0),
    ({"prompt": '猫 <b>&amp;</b>\n"\\', "seed": MAX_SEED}, MAX_SEED),
    ({"prompt": "5", "seed": 2**31}, 2**31),
)


@exercise("create_demo", contract=False)
class TestCreateDemo:
    @required
    @given(prompt=st.sampled_from(["a prompt", "<b>ü & 猫</b>", 'a "quote"\nand a line']), seed=st.integers(1, 10**9))
    @settings(max_examples=2)
    def test_shows_what_the_generator_makes(self, student: Any, prompt: str, seed: int) -> None:
        """It asks the generator once for each question, and shows that work, be it a text, music or an image."""
        for kind in ("text", "music", "image"):
            toy = Toy(kind)
            app = student.create_demo(toy)
            answer = post(student, app, {"prompt": prompt, "seed": seed})
            insist(len(toy.calls) == 1, f"For one question the generator was asked {len(toy.calls)} times.")
            insist(toy.calls == [(prompt, seed)], "The generator was asked for another prompt or seed than the user's.")
            check_work(answer, toy.work(prompt, seed))
            check_work(post(student, app, {"prompt": prompt, "seed": seed + 1}), toy.work(prompt, seed + 1))
            check_work(post(student, app, {"prompt": prompt, "seed": seed}), toy.work(prompt, seed))

    @weight(4)
    def test_takes_what_is_promised_and_no_more(self, student: Any) -> None:
        """A prompt of 1 to 1000 characters, and a seed or none, are taken; all else is refused unasked, with 422 or 400."""
        toy = Toy()
        app = student.create_demo(toy)
        for sent, seed in TAKEN:
            toy.calls.clear()
            answer = post(student, app, sent)
            insist(
                toy.calls == [(sent["prompt"], seed)],
                f"{describe(sent)} asks for the seed {seed}, but the generator was asked {describe(toy.calls)}.",
            )
            check_work(answer, toy.work(sent["prompt"], seed))
        toy.calls.clear()
        for sent in REFUSED:
            status, _ = post(student, app, sent)
            insist(
                status in (400, 422),
                f"{describe(sent)} should be refused with 422 or 400, but got status {meaning(status)}.",
            )
            insist(not toy.calls, f"{describe(sent)} was refused, but the generator was asked all the same.")

    @weight(4)
    @given(
        kind=st.sampled_from([RuntimeError, KeyError, ZeroDivisionError, OSError, TypeError]),
        number=st.integers(100, 999),
    )
    @settings(max_examples=3)
    def test_what_goes_wrong(self, student: Any, kind: type[Exception], number: int) -> None:
        """A ValueError's message reaches the user, with 422 or 400; that of any other exception does not, with 500."""
        said = f"Name one of {number} colours, such as <red> or „blau“."
        toy = Toy(fault=ValueError(said))
        app = student.create_demo(toy)
        status, content = post(student, app, {"prompt": "bad", "seed": number})
        insist(
            status in (400, 422),
            f"Where the generator raises a ValueError, the status is {meaning(status)}. It should be 422 or 400.",
        )
        insist(
            isinstance(content, dict) and content.get("detail") == said,
            f"Where the generator raises ValueError({said!r}), the answer is {describe(content)}: "
            "its detail should be that message.",
        )
        toy.fault = kind(f"/home/secret-{number}")
        status, content = post(student, app, {"prompt": "bad", "seed": number})
        insist(
            status == 500,
            f"Where the generator raises something else than a ValueError, the status is {meaning(status)}. It should be 500.",
        )
        insist(
            f"secret-{number}" not in str(content),
            "The user is told the message of an exception that is no ValueError.",
        )
        check_work(post(student, app, {"prompt": "good", "seed": number}), toy.work("good", number))

    @weight(4)
    def test_page_and_health(self, student: Any) -> None:
        """GET / is an HTML page to type in, GET /health says that all is well; neither asks the generator."""

        def generate(prompt: str, seed: int) -> Work:
            fail("The generator was asked, though nobody sent a prompt.")

        app = student.create_demo(generate)
        status, content = tool(student, "ask_demo")(app, "GET", "/health")
        insist(status == 200, f"GET /health should be answered with status 200, but it is answered with {status}.")
        insist(
            content == {"status": "ok"}, f"GET /health should say {{'status': 'ok'}}, but it says {describe(content)}."
        )
        status, content = tool(student, "ask_demo")(app, "GET", "/")
        insist(status == 200, f"GET / should be answered with status 200, but it is answered with {status}.")
        media_type = tool(student, "media_type_of_demo")(app, "/")
        insist(media_type == "text/html", f"The page should be sent as text/html, but it is sent as {media_type!r}.")
        typed = re.search(r"input|textarea|contenteditable", str(content), re.IGNORECASE)
        insist(typed, "The page has nothing to type a prompt in: no input, textarea or contenteditable.")
