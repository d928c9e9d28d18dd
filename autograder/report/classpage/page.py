"""The class page as one HTML file.

Bars are plain HTML buttons, drawn by the server and widened by classes of the style sheet, and not Vega-Lite charts: Vega
compiles expressions with `new Function`, which a strict content security policy forbids, its canvases are silent to
keyboards and screen readers, and a megabyte of it would draw what a row of buttons is. So the page is whole before its
script runs, follows dark mode and print by style alone, and a few dozen lines make it interactive.

Every figure carries the number of a *pick*: the students behind it. A click shows their rows and hides the others.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from autograder.report import TEMPLATES
from autograder.report.classpage import figures
from autograder.report.classpage.figures import Members
from autograder.report.classpage.gather import Student
from autograder.report.classpage.similarity import FEWEST, Alikeness, alikeness
from autograder.report.exercise import number, pages
from autograder.report.page import Grade

SHOWN = 8  # of a list; the rest unfolds
NAMES = 6  # of the students behind a line; a click shows the rest


@dataclass(frozen=True)
class Row:
    """A student's row. `marks` are shares of the points of each exercise and question; None if nobody has graded it."""

    name: str
    link: str | None
    earned: float | None
    points: float
    marks: tuple[float | None, ...]
    flags: tuple[str, ...]


class Picks:
    """The students behind each figure, numbered in the order in which the page names them."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Members]] = []

    def add(self, label: str, members: Iterable[int]) -> int:
        """Give students a number by which the page's script finds them; `label` says who they are."""
        self.all.append((label, tuple(members)))
        return len(self.all) - 1

    def json(self) -> Markup:
        """For the page's script; nothing in it can end the element that holds it."""
        return htmlsafe_json_dumps([[label, *members] for label, members in self.all], separators=(",", ":"))


@dataclass(frozen=True)
class ClassPage:
    """All of it, as the template takes it."""

    title: str
    made: datetime
    students: Sequence[Student]
    rows: tuple[Row, ...]
    counts: tuple[tuple[str, str, Members], ...]  # what, what that means, who
    bins: tuple[figures.Bin, ...]
    spread: figures.Spread | None
    points: float
    items: list[figures.ItemFigures]
    properties: list[figures.PropertyFigures]
    mistakes: list[figures.MistakeFigures]
    groups: list[figures.Group]
    stops: list[figures.Remark]
    notes: list[figures.Remark]
    alike: Alikeness

    @property
    def waiting(self) -> int:
        """How many of those who are graded wait for a person."""
        return sum(bool(item.waiting) for item in self.students)


def compose(title: str, items: Sequence[str], students: Sequence[Student], made: datetime, folder: Path) -> ClassPage:
    """Put the figures of a class together.

    Args:
        title: of the assignment.
        items: names of its exercises and written questions, in the order of the notebook.
        students: the class.
        made: when.
        folder: where the page will lie; links lead from there.
    """
    alike = alikeness([item.passages for item in students])
    return ClassPage(
        title=title,
        made=made,
        students=students,
        rows=_rows(students, items, alike, folder),
        counts=_counts(students),
        bins=figures.distribution(students, 20 if len(students) >= 50 else 10),
        spread=figures.spread(students),
        points=max((item.score.points for item in students if item.score), default=0.0),
        items=figures.items(students, items),
        properties=figures.properties(students),
        mistakes=figures.mistakes(students),
        groups=figures.groups(students),
        stops=figures.stops(students),
        notes=figures.notes(students),
        alike=alike,
    )


def render(page: ClassPage) -> str:
    """The page as one HTML document that needs nothing else, and of which nothing but its own script and style can act."""
    template = pages.get_template("class.html.j2")
    return template.render(
        page=page,
        picks=Picks(),
        style=Markup(STYLE),
        script=Markup(SCRIPT),
        style_digest=_digest(STYLE),
        script_digest=_digest(SCRIPT),
        shown=SHOWN,
        most_names=NAMES,
        fewest=figures.FEWEST,
        fewest_alike=FEWEST,
        percent=percent,
        width=width,
        number=number,
        quality=quality,
        strip=strip,
        signed=signed,
        story=story,
    )


def percent(share: float | None) -> str:
    """A share in words: never 100% or 0% unless it is exactly that."""
    if share is None:
        return "–"
    if 0 < share < 0.01:
        return "< 1%"
    return "> 99%" if 0.99 < share < 1 else f"{share:.0%}"


def width(share: float) -> int:
    """A share as a whole percentage, for a class of the style sheet; what is there at all is seen."""
    return max(round(100 * share), 1) if share > 0 else 0


def quality(discrimination: float) -> str:
    """What a discrimination says, in a word. The bounds are Ebel's, as item analysis commonly takes them."""
    if discrimination <= -0.2:
        return "reversed"
    return "weak" if discrimination < 0.2 else "fair" if discrimination < 0.4 else "good"


def signed(value: float) -> str:
    """A correlation, with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def story(item: figures.PropertyFigures) -> str:
    """A property's figures in words."""
    parts = [
        f"{len(who)} {words}"
        for who, words in (
            (item.failed, "failed"),
            (item.error, "stopped with an error"),
            (item.timeout, "took too long"),
        )
        if who
    ]
    untried = [f"{item.untried} never asked"] if item.untried else []
    return f"Holds for {item.passed} of {item.asked}: " + ", ".join([*parts, *untried])


def strip(shares: Sequence[float | None]) -> Markup:
    """A row of small columns, one for each exercise: as high as what was earned, red below for nothing, grey for open."""
    got, nil, none = [], [], []
    for place, share in enumerate(shares):
        if share is None:
            none.append(f"M{10 * place} 9h8v1h-8z")
        elif share <= 0:
            nil.append(f"M{10 * place} 8h8v2h-8z")
        else:
            got.append(f"M{10 * place} 10h8v-{max(10 * min(share, 1), 1):g}h-8z")
    full, some = sum(share == 1 for share in shares), sum(share is not None and 0 < share < 1 for share in shares)
    words = f"{full} full, {some} in part, {len(nil)} nothing" + (f", {len(none)} not graded" if none else "")
    figures = " ".join("-" if share is None else f"{100 * share:.0f}" for share in shares)
    paths = "".join(
        f'<path class="{kind}" d="{"".join(parts)}"></path>'
        for kind, parts in (("got", got), ("nil", nil), ("not", none))
        if parts
    )
    return Markup(  # figures alone: no text of anybody's is in it
        f'<svg class="strip" viewBox="0 0 {10 * len(shares)} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{words}" data-shares="{figures}">{paths}</svg>'
    )


def _counts(students: Sequence[Student]) -> tuple[tuple[str, str, Members], ...]:
    def who(what: Iterable[object]) -> Members:
        return tuple(index for index, true in enumerate(what) if true)

    found = [
        ("handed in", "There is a submission.", who(s.handed_in for s in students)),
        (
            "handed in nothing",
            "The gradebook knows them; there is no submission.",
            who(not s.handed_in for s in students),
        ),
        ("graded", "The gradebook has a score.", who(s.graded for s in students)),
        (
            "not graded",
            "Handed in, and the gradebook has no score.",
            who(s.handed_in and not s.graded for s in students),
        ),
        (
            "with an old verdict",
            "The suite or the submission has changed since it was graded.",
            who(s.graded and s.handed_in and s.verdict is None for s in students),
        ),
        ("late", "Arrived after the student's own due date.", who(s.late for s in students)),
        ("waiting for a grader", "Something in it is graded by hand.", who(s.waiting for s in students)),
        ("ran out of time", "Code went over a time limit.", figures.timed_out(students)),
        ("stopped", "Code took its process down: killed, out of memory, left.", figures.crashed(students)),
        ("with notes on the file", "Something was met while it was read.", who(s.notes for s in students)),
    ]
    always = ("handed in", "graded")
    return tuple(item for item in found if item[2] or item[0] in always)


def _rows(students: Sequence[Student], items: Sequence[str], alike: Alikeness, folder: Path) -> tuple[Row, ...]:
    late, stopped = set(figures.timed_out(students)), set(figures.crashed(students))
    paired = Counter(index for pair in alike.pairs for index in (pair.first, pair.second))
    rows = []
    for index, item in enumerate(students):
        grades = item.score.grades if item.score is not None else {}
        flags = [
            "" if item.handed_in else "handed in nothing",
            "not graded" if item.handed_in and not item.graded else "",
            "old verdict" if item.graded and item.handed_in and item.verdict is None else "",
            f"late by {_days(item.late)}" if item.late else "",
            "waits" if item.waiting else "",
            "out of time" if index in late else "",
            "stopped" if index in stopped else "",
            "similar" if paired[index] else "",
            "notes" if item.notes else "",
        ]
        rows.append(
            Row(
                item.name,
                quote(os.path.relpath(item.page, folder)) if item.page else None,
                item.score.earned if item.score is not None and item.graded else None,
                item.score.points if item.score is not None else 0.0,
                tuple(_mark(grades.get(name)) for name in items),
                tuple(filter(None, flags)),
            )
        )
    return tuple(rows)


def _mark(grade: Grade | None) -> float | None:
    return grade.score / grade.points if grade is not None and grade.score is not None else None


def _days(days: float) -> str:
    return f"{days:.1f} days" if days >= 1 else f"{max(days * 24, 0.1):.1f} h"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _style() -> str:
    widths = "".join(f".w{n}{{width:{n}%}}.h{n}{{height:{n}%}}" for n in range(101))  # a policy without inline styles
    return f"\n{(TEMPLATES / 'class.css').read_text('utf-8')}\n{widths}\n"


STYLE = _style()
SCRIPT = (TEMPLATES / "class.js").read_text("utf-8")
