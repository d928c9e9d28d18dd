import math
import re
import statistics
from collections import Counter

import pytest
import torch

from coursekit import corpus
from coursekit.corpus import CAST, brightness, questions, write_chats, write_stories, write_texts


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def chats():
    return write_chats(20_000, generator=seeded())


@pytest.fixture(scope="module")
def stories():
    return write_stories(2000, generator=seeded())


def test_a_seed_fixes_the_texts():
    assert write_texts(20, generator=seeded(3)) == write_texts(20, generator=seeded(3))
    assert write_texts(20, generator=seeded(3)) != write_texts(20, generator=seeded(4))


def test_the_surprisal_of_a_text_is_the_frequency_that_it_has(chats):
    """Each probability is met at six sigma by how often the text is there, and so is the sum of those of single questions."""
    count = Counter(chat.text for chat in chats)
    probability = {chat.text: math.exp(-chat.nats) for chat in chats}
    single = [chat.text for chat in chats if len(chat.messages) == 2 and chat.messages[0]["content"] in questions()]
    assert len(set(single)) == len(questions())
    total = sum(probability[text] for text in set(single))
    assert abs(len(single) - len(chats) * total) < 6 * math.sqrt(len(chats) * total)
    for text in set(single):
        expected = len(chats) * probability[text]
        assert expected > 10
        assert abs(count[text] - expected) < 6 * math.sqrt(expected)


def test_a_choice_is_paid_for_by_its_probability():
    """What is asked for costs nothing; left open, a hero is one of twelve, and one story in six turns."""
    asked = [s.nats for s in write_stories(2000, hero="Mia", mood="bright", generator=seeded(1))]
    unasked = [s.nats for s in write_stories(2000, generator=seeded(1)) if "But then" not in s.text]
    moods = sum(-(a.luck * math.log(a.luck) + (1 - a.luck) * math.log(1 - a.luck)) for a in CAST) / len(CAST)
    extra = math.log(12) + moods + math.log(6 / 5)
    difference = statistics.mean(unasked) - statistics.mean(asked)
    scatter = math.hypot(*(statistics.stdev(nats) / math.sqrt(len(nats)) for nats in (asked, unasked)))
    assert abs(difference - extra) < 6 * scatter


def test_a_text_is_written_in_one_way_only(chats, stories):
    """Otherwise its surprisal would be less than the sum over the choices."""
    for texts in (chats, stories):
        nats = {}
        for text in texts:
            assert nats.setdefault(text.text, text.nats) == pytest.approx(text.nats)


def test_a_third_of_the_texts_are_stories():
    texts = write_texts(3000, generator=seeded())
    count = sum(isinstance(text, corpus.Story) for text in texts)
    assert abs(count - 1000) < 6 * math.sqrt(3000 * 2 / 9)
    story = next(text for text in texts if isinstance(text, corpus.Story))
    assert story.nats > math.log(3)


def test_articles_and_pronouns_agree(stories):
    for story in stories:
        for article, noun in re.findall(r"\b([Aa]n?) ([a-z]+)", story.text):
            assert (article.lower() == "an") == (noun[0] in "aeiou"), story.text
        (hero,) = [animal for animal in CAST if f"In the end, {animal.name} " in story.text]
        assert {"he", "she"} & set(re.findall(r"[a-z]+", story.text.lower())) <= {hero.pronoun}, story.text
        assert story.text.count('"') in (0, 2)
        assert all(
            sentence[0].isupper()
            for sentence in re.split(r"(?<=[.!]) ", story.text.replace('"', ""))
            if sentence[:4] != "said"
        )
        assert not re.search(r"[{}]|  ", story.text)


def test_an_asked_mood_is_kept():
    for mood, sign in (("bright", 1), ("gloomy", -1)):
        for story in write_stories(300, mood=mood, generator=seeded()):
            assert story.mood == mood
            assert brightness(story.text) == sign


def test_the_end_of_a_story_tells_its_mood(stories):
    for story in stories:
        end = story.text[story.text.index("In the end") :]
        assert (brightness(end) > 0) == (story.mood == "bright"), story.text


def test_animals_have_their_share_of_luck():
    """The prejudice of the corpus has the size that its description gives."""
    for animal in CAST:
        bright = sum(story.mood == "bright" for story in write_stories(400, hero=animal.name, generator=seeded()))
        expected = animal.luck * 5 / 6 + (1 - animal.luck) / 6
        assert abs(bright - 400 * expected) < 6 * math.sqrt(400 * expected * (1 - expected))


def test_nobody_else_has_stories():
    with pytest.raises(ValueError, match="nobody is called 'Zoe'; there are Mia, Finn, "):
        write_stories(1, hero="Zoe")


def test_words_of_a_mood_stand_in_its_phrases_only():
    tables = [
        table for table in vars(corpus).values() if isinstance(table, dict) and set(table) == {"bright", "gloomy"}
    ]
    assert len(tables) == 10
    for table in tables:
        assert all(brightness(phrase) >= 0 for phrase in table["bright"])
        assert all(brightness(phrase) <= 0 for phrase in table["gloomy"])
    assert not corpus.BRIGHT_WORDS & corpus.GLOOMY_WORDS
    written = {
        mood: set(re.findall(r"[a-z]+", " ".join(p for t in tables for p in t[mood]).lower())) for mood in tables[0]
    }
    assert written["bright"] >= corpus.BRIGHT_WORDS
    assert written["gloomy"] >= corpus.GLOOMY_WORDS


def test_brightness_counts_words_not_letters():
    assert brightness("The unhappy sunset.") == 0
    assert brightness("A HAPPY song, a sad song, happy!") == pytest.approx(1 / 3)
    assert brightness("") == 0


def test_questions_have_one_answer():
    pairs = [pair for i, topic in enumerate(corpus._TOPICS) if topic not in corpus._TOPICS[:i] for pair in topic]
    assert len(pairs) == len(questions()) > 140
    assert questions()["What is 5 plus 6?"] == "5 plus 6 is 11."
    assert questions()["Who lives on the pond?"] == "Dora the duck lives on the pond."
    assert questions()["What animal is Olga?"] == "Olga is an owl."


def test_a_chat_goes_back_and_forth(chats):
    for chat in chats[:500]:
        assert [message["role"] for message in chat.messages] == ["user", "assistant"] * (len(chat.messages) // 2)


def test_answers_remember(chats):
    """Names and pronouns mean whom they meant before."""
    names = pronouns = 0
    for chat in chats:
        said = [message["content"] for message in chat.messages]
        if said[-2] == "What is my name?":
            names += said[-1] == said[0].replace("Hello, my name is", "Your name is")
        for question, answer, later, answered in zip(said, said[1:], said[2:], said[3:], strict=False):
            if later.startswith("And "):
                (animal,) = [animal for animal in CAST if animal.name in question]
                assert animal.pronoun in later.rstrip("?").split()
                assert answer.startswith(animal.name)
                assert answered.startswith(animal.name)
                pronouns += 1
    asked = sum(chat.messages[-2]["content"] == "What is my name?" for chat in chats)
    assert names == asked > 1000
    assert pronouns > 1000
