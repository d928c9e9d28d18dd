# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""Checks of `capstone` that you can run yourself: `check(generate)` in the notebook, `coursekit check` in a terminal.

They are a selection. Grading asks the same questions with more prompts and seeds, and some more.
"""

import functools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.capstone import fault_of_work, faults_of_card, random_state, read_card, same_work, to_json
from coursekit.properties import assert_close, exercise, fail
from coursekit.serving import ask

PROMPTS = ["a red circle", "Once upon a time", "something calm", "What is 2 plus 2?"]


def card_of(student):
    """The student's card, or None if there is none yet that can be read."""
    try:
        return read_card(student.model_card())
    except Exception:
        return None


def prompts_of(student):
    """The prompts of the card, or some others as long as there is none."""
    card = card_of(student)
    return card.prompts if card else PROMPTS


def insist(sound, *words):
    """Fail with these words unless it is so."""
    if not sound:
        fail(*words)


@exercise("generate", contract=False)
class TestGenerate:
    def test_makes_works(self, student):
        """For every prompt of the card it makes a sound work of the option's kind."""
        card = card_of(student)
        for prompt in prompts_of(student):
            fault = fault_of_work(student.generate(prompt, 0), card.option if card else None)
            insist(fault is None, f"For the prompt {prompt!r}: {fault}")

    @given(seed=st.integers(0, 2**32 - 1))
    @settings(max_examples=3)
    def test_prompt_and_seed_settle_the_work(self, student, seed):
        """The same prompt and seed give the same work, whatever was made in between and whatever random numbers are about."""
        first, *others = prompts_of(student)
        work = student.generate(first, seed)
        student.generate(others[0], 7)
        before = random.getstate(), np.random.get_state()
        try:
            for scramble in (random.seed, np.random.seed, torch.manual_seed):
                scramble(seed)
            again = student.generate(first, seed)
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
        insist(same_work(again, work), f"The prompt {first!r} and the seed {seed} gave two works.")

    def test_seeds_count(self, student):
        """Eight seeds give at least six different works."""
        prompt = prompts_of(student)[0]
        works = [student.generate(prompt, seed) for seed in range(8)]
        different = [w for number, w in enumerate(works) if not any(same_work(w, other) for other in works[:number])]
        insist(len(different) >= 6, f"The prompt {prompt!r} gave {len(different)} different works for eight seeds.")

    def test_prompts_count(self, student):
        """The prompts of the card give different works."""
        works = {prompt: student.generate(prompt, 1) for prompt in prompts_of(student)}
        pairs = [(a, b) for a in works for b in works if a < b and same_work(works[a], works[b])]
        insist(not pairs, *(f"The prompts {a!r} and {b!r} gave the same work." for a, b in pairs[:1]))

    @pytest.mark.parametrize(
        "prompt", ["", "   ", "<b>Привет</b>", "no " * 5000], ids=["empty", "blank", "odd", "long"]
    )
    def test_odd_prompts(self, student, prompt):
        """An odd prompt gives a work, or a ValueError that says in a sentence what to type instead."""
        try:
            fault = fault_of_work(student.generate(prompt, 0))
        except ValueError as error:
            insist(len(str(error).split()) >= 3, f"The ValueError says {str(error)!r}, which helps nobody.")
        else:
            insist(fault is None, fault)

    def test_leaves_random_numbers_alone(self, student):
        """The global random numbers stand where they stood."""
        before = random_state()
        student.generate(prompts_of(student)[0], 3)
        insist(random_state() == before, "Something was drawn from, or seeded in, the global random numbers.")


@exercise("evaluate", contract=False)
class TestEvaluate:
    def test_measures_what_it_is_given(self, student):
        """It asks for 8 to 200 works, each a question of its own, and one that always answers the same has another value."""
        questions = []

        def generate(prompt, seed):
            questions.append((prompt, seed))
            return student.generate(prompt, seed)

        value = student.evaluate(generate, 0)
        insist(8 <= len(questions) <= 200, f"It asked for {len(questions)} works.")
        insist(len(set(questions)) == len(questions), "It asked for a work twice, with the same prompt and seed.")
        insist(
            isinstance(value, float) and abs(value) < float("inf"), f"It returned {value!r}, which is no finite number."
        )
        constant = student.generate(*questions[0])
        other = student.evaluate(lambda prompt, seed: constant, 0)
        insist(other != value, f"A generator that always gives the same work is worth {other}, as much as yours.")

    def test_seeds_settle_it(self, student):
        """The same seed gives the same number, and another seed asks for other works."""
        make = functools.cache(student.generate)
        asked, values = [], []
        for seed in (1, 1, 2):
            questions = []

            def generate(prompt, seed, questions=questions):
                questions.append((prompt, seed))
                return make(prompt, seed)

            values.append(student.evaluate(generate, seed))
            asked.append(set(questions))
        assert_close(values[1], values[0], tolerance=0, what="the value with the same seed")
        insist(asked[0] == asked[1], "With the same seed it asked for other works.")
        insist(asked[0] != asked[2], "With another seed it asked for the same works.")


@exercise("model_card", contract=False)
class TestModelCard:
    def test_can_be_read(self, student):
        """It has its head, its title and its nine sections, and says what is promised there."""
        faults = faults_of_card(student.model_card())
        insist(not faults, *faults[:3])

    def test_names_the_option(self, student):
        """The option is that of the works that `generate` makes."""
        card = read_card(student.model_card())
        fault = fault_of_work(student.generate(card.prompts[0], card.seed), card.option)
        insist(fault is None, fault)

    def test_states_the_truth(self, student):
        """The metric, measured again, is what the card says, within 5%."""
        card = read_card(student.model_card())
        value = student.evaluate(student.generate, card.seed)
        insist(
            abs(value - card.value) <= 0.05 * abs(card.value), f"The card says {card.stated}, but it is {value:.5g}."
        )


def works():
    """A text, music and an image."""
    image = torch.linspace(0, 1, 3 * 8 * 9).reshape(3, 8, 9)
    return {"text": "<b>so</b>", "music": [(0.0, 0.5, 60, 80), (0.5, 1.0, 64, 90)], "image": image}


@exercise("create_demo", contract=False)
class TestCreateDemo:
    @pytest.mark.parametrize("kind", ["text", "music", "image"])
    def test_shows_works(self, student, kind):
        """It asks for the work of a prompt and a seed, and answers with it."""
        asked = []
        app = student.create_demo(lambda prompt, seed: asked.append((prompt, seed)) or works()[kind])
        status, answer = ask(app, "POST", "/generate", {"prompt": "a prompt", "seed": 5})
        insist(status == 200, f"It answered with status {status}: {str(answer)[:200]}")
        insist(asked == [("a prompt", 5)], f"The generator was asked {asked}, and not once with 'a prompt' and 5.")
        insist(answer == to_json(works()[kind]), f"It answered {str(answer)[:200]}, which is not what to_json gives.")

    def test_page_and_health(self, student):
        """It has a page to type in, and says that it is well without asking the generator."""
        app = student.create_demo(lambda prompt, seed: fail("The generator was asked."))
        status, text = ask(app, "GET", "/")
        insist(status == 200, f"GET / gave status {status}.")
        insist(
            "<input" in text or "<textarea" in text, "The page has nothing to type in: neither <input> nor <textarea>."
        )
        status, answer = ask(app, "GET", "/health")
        insist((status, answer) == (200, {"status": "ok"}), f"GET /health gave status {status} and {answer!r}.")

    @pytest.mark.parametrize(
        "sent",
        [
            {},
            {"prompt": 7},
            {"prompt": ""},
            {"prompt": "x" * 1001},
            {"prompt": "x", "seed": -1},
            {"prompt": "x", "seed": "5"},
        ],
        ids=["no prompt", "a number", "empty", "too long", "negative seed", "a string as seed"],
    )
    def test_refuses_nonsense(self, student, sent):
        """What makes no sense is refused with status 422 or 400, and the generator is not asked."""
        asked = []
        app = student.create_demo(lambda prompt, seed: asked.append(prompt) or "a text")
        status, _ = ask(app, "POST", "/generate", sent)
        insist(status in (400, 422), f"It answered with status {status}.")
        insist(not asked, "The generator was asked all the same.")

    def test_says_why_not(self, student):
        """What the generator says against a prompt, the user reads; what else goes wrong there, not."""

        def generate(prompt, seed):
            raise ValueError("Name a colour.") if prompt == "odd" else KeyError("a secret")

        app = student.create_demo(generate)
        status, answer = ask(app, "POST", "/generate", {"prompt": "odd"})
        insist(status in (400, 422), f"After a ValueError it answered with status {status}.")
        insist(isinstance(answer, dict) and answer.get("detail") == "Name a colour.", f"It answered {answer!r}.")
        status, answer = ask(app, "POST", "/generate", {"prompt": "other"})
        insist(status == 500, f"After a KeyError it answered with status {status}.")
        insist("a secret" not in str(answer), "It told the user what went wrong inside.")
