"""The page by itself: its parts, and that it needs nothing from elsewhere."""

import base64
import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from markupsafe import Markup

from autograder.report.page import Grade, Item, Page, Part, render
from autograder.verdict import ExerciseResult, MistakeFound, PropertyResult


@pytest.fixture
def page():
    result = ExerciseResult("square", 2.0, 1.0, None, (PropertyResult("t", "It holds.", "timeout", required=True),))
    items = (Item("square", Grade(2.0, 1.0, 1.0), result), Item("why", Grade(3.0, None)))
    parts = (
        Part("released", Markup("<p>Read this.</p>"), "Squares"),
        Part("code", Markup("<pre>x</pre>")),
        Part("result", item=items[0]),
        Part("answer", Markup("<p>Because.</p>"), item=items[1]),
    )
    return Page("Small <steps>", "ada & co", datetime(2027, 2, 1, 9, 5, tzinfo=UTC), 0.5, items, parts, ("A <note>.",))


def test_points_are_added_up(page):
    assert (page.points, page.earned, page.waiting) == (5.0, 0.5, 1)


def test_everything_that_others_named_is_escaped(page):
    html = render(page)
    assert "Small &lt;steps&gt;" in html
    assert "ada &amp; co" in html
    assert "A &lt;note&gt;." in html


def test_outcomes_are_words_and_not_only_colours(page):
    html = render(page)
    assert "took too long" in html
    assert "Nothing counts without this one." in html
    assert "not graded yet" in html


def test_its_policy_allows_its_own_style_and_nothing_else(page):
    html = render(page)
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in html
    assert "url(" not in style
    assert not re.search(r"\sstyle=", html)


def test_every_exercise_in_the_summary_leads_to_its_place(page):
    html = render(page)
    assert set(re.findall(r'href="#([\w-]+)"', html)) <= set(re.findall(r'id="([\w-]+)"', html))


def test_an_overridden_score_says_so():
    assert Item("square", Grade(2.0, 0.5, 2.0)).overridden
    assert not Item("square", Grade(2.0, 2.0, 2.0)).overridden
    assert not Item("why", Grade(2.0, 1.0, None)).overridden


def test_what_lost_most_is_named_first_with_its_reason():
    """Three at most; what stands, what waits and what a person grades are not among them."""
    held, broken = PropertyResult("t", "It holds.", "passed"), PropertyResult("u", "It is even.", "failed")
    mistake = (MistakeFound("m", "The sign is turned."),)

    def item(name: str, lost: float | None, **found: Any) -> Item:
        score = None if lost is None else 4 - lost
        return Item(
            name, Grade(4.0, score, score), ExerciseResult(name, 4.0, score or 0, properties=(held, broken), **found)
        )

    items = (
        *(item("a", 1), item("b", 3, error="in line 2:\nValueError: no", mistakes=mistake), item("c", 0)),
        *(
            item("d", 2, error="in line 2:\nValueError: no"),
            item("e", None),
            item("f", 0.5),
            Item("why", Grade(3.0, 0.0)),
        ),
    )
    first = Page("Small", "ada", None, 0, items, (), ()).first
    assert [(found.name, found.reason) for found in first] == [
        *(("b", "The sign is turned."), ("d", "ValueError: no"), ("a", "It is even.")),
    ]
