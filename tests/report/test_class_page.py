"""The class page by itself: what it says, that it names strangers safely, and that it needs nothing from elsewhere."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from autograder.report.classpage.gather import Student
from autograder.report.classpage.page import compose, percent, quality, render, signed, strip, width
from tests.report.synthetic import NAMES, result, student, synthetic_class

EVIL = "</script><script>steal()</script><img src=x onerror=steal()>\"'&"


def page_of(class_, items=(*NAMES, "why"), folder=Path("/course/report")):
    """The page, as text."""
    return render(compose("Small <steps>", items, class_, datetime(2027, 2, 1, 9, 5, tzinfo=UTC), folder))


def picked(html, button):
    """Labels and names behind a button."""
    soup = BeautifulSoup(html, "html.parser")
    label, *members = json.loads(soup.find(id="picks").string)[int(button["data-pick"])]
    rows = soup.find(id="table").tbody.find_all("tr")
    return label, [rows[place].th.get_text() for place in members]


def test_hostile_names_and_texts_stay_text():
    results = [replace(result("e", (False, True, True), mistake=EVIL, error=EVIL), name=EVIL)]
    class_ = [student(EVIL, results, notes=(EVIL,)), student(EVIL + "2", results, notes=(EVIL,))]
    html = page_of(class_, [EVIL])
    soup = BeautifulSoup(html, "html.parser")
    assert len(soup.find_all("script")) == 2
    assert not soup.find_all(["img", "iframe", "object", "form", "link", "base"])
    assert not [tag for tag in soup.find_all() for name in tag.attrs if name.startswith("on") or name == "style"]
    assert EVIL in soup.find(id="table").get_text()
    label, names = picked(html, soup.find(id="mistakes").parent.find("button"))
    assert EVIL in label
    assert names == [EVIL, EVIL + "2"]


def test_its_policy_allows_its_own_script_and_style_and_nothing_else():
    html = page_of(synthetic_class(12))
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in html
    assert "default-src 'none'" in html
    assert "unsafe" not in html
    assert "url(" not in style
    assert not re.search(r"https?://", html)


def test_every_pick_is_a_button_with_a_name_and_every_anchor_leads_somewhere():
    soup = BeautifulSoup(page_of(synthetic_class(60)), "html.parser")
    buttons = soup.select("[data-pick]")
    assert len(buttons) > 100
    assert all(button.name == "button" and button.get_text(strip=True) for button in buttons)
    ids = {tag["id"] for tag in soup.select("[id]")}
    assert {tag["href"][1:] for tag in soup.select('a[href^="#"]')} <= ids
    assert len(ids) == len(soup.select("[id]"))


def test_figures_lead_to_the_students_behind_them():
    class_ = synthetic_class(60)
    html = page_of(class_)
    soup = BeautifulSoup(html, "html.parser")
    for button in soup.select(".counts button"):
        assert len(picked(html, button)[1]) == int(button.b.get_text())
    late = next(button for button in soup.select(".counts button") if button.get_text(strip=True).endswith("late"))
    assert picked(html, late)[1] == [item.name for item in class_ if item.late]
    assert sum(len(picked(html, button)[1]) for button in soup.select(".histogram button")) == 60


def test_a_row_leads_to_the_page_that_its_student_reads():
    there = student("ada b", [result("e", (True,) * 3)], page=Path("/course/feedback/ada b/mini/mini.html"))
    soup = BeautifulSoup(page_of([there, student("bob", [result("e", (True,) * 3)])], ["e"]), "html.parser")
    [link] = soup.select("#table tbody a")
    assert link["href"] == "../feedback/ada%20b/mini/mini.html"


def test_a_class_without_scores_says_so():
    html = page_of([Student("ada"), Student("bob", handed_in=False)])
    assert "Nobody has been graded yet." in html
    assert "There is no verdict under the present suite." in html
    assert "nobody can say what is usual" in html
    assert "not graded" in html
    assert "handed in nothing" in html


def test_a_group_without_a_known_mistake_is_marked():
    class_ = [student(name, [result("e", (True, False, True))]) for name in ("ada", "bob")]
    html = page_of(class_, ["e"])
    assert "no known mistake" in html
    named = [student(name, [result("e", (True, False, True), mistake="m")]) for name in ("ada", "bob")]
    assert '<span class="flag">no known mistake</span>' not in page_of(named, ["e"])


def test_the_same_class_makes_the_same_page():
    assert page_of(synthetic_class(30)) == page_of(synthetic_class(30))


@pytest.mark.parametrize(
    ("share", "words", "class_"),
    [
        (None, "–", None),
        (0.0, "0%", 0),
        (0.001, "< 1%", 1),
        (0.5, "50%", 50),
        (0.999, "> 99%", 100),
        (1.0, "100%", 100),
    ],
)
def test_a_share_is_whole_only_if_it_is(share, words, class_):
    assert percent(share) == words
    if share is not None:
        assert width(share) == class_


def test_discriminations_have_words():
    assert [quality(value) for value in (-0.5, 0.0, 0.3, 0.6)] == ["reversed", "weak", "fair", "good"]
    assert [signed(value) for value in (-0.5, 0.25)] == ["−0.50", "+0.25"]


def test_a_strip_is_read_aloud():
    svg = strip([1.0, 0.5, 0.0, None])
    assert 'aria-label="1 full, 1 in part, 1 nothing, 1 not graded"' in svg
    assert 'data-shares="100 50 0 -"' in svg
