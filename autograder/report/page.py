"""The page that a student reads: points, why, and the notebook that earned them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal

from markupsafe import Markup
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from autograder.course import Assignment, Reveal
from autograder.report import TEMPLATES
from autograder.report.exercise import pages, shown_by
from autograder.report.markdown import safe_html
from autograder.report.reveal import revealed
from autograder.verdict import ExerciseResult

NOTES = "course"  # in a graded notebook's metadata: what was met on the way
CHECK = "check_"  # the name of an exercise's grade cell begins with it
STUDENT_CELL = "student-"  # the id of a cell that the course did not release begins with it


@dataclass(frozen=True)
class Grade:
    """What the gradebook says of one exercise or question.

    Attributes:
        score: what counts; None if nobody has graded it yet.
        auto: what the autograder gave; None for a question.
        manual: what a grader gave in its place.
        comment: a grader's, in Markdown.
    """

    points: float
    score: float | None
    auto: float | None = None
    comment: str | None = None
    manual: float | None = None


@dataclass(frozen=True)
class Item:
    """An exercise or a question, and how it went."""

    name: str
    grade: Grade
    result: ExerciseResult | None = None  # of an exercise

    @property
    def overridden(self) -> bool:
        """Whether a person gave other points than the autograder."""
        return self.grade.auto is not None and self.grade.score != self.grade.auto

    @property
    def comment(self) -> Markup | None:
        """The grader's comment, rendered."""
        return safe_html(self.grade.comment) if self.grade.comment else None

    @property
    def lost(self) -> float:
        """Points that were not earned; 0 while nobody has graded it."""
        return 0.0 if self.grade.score is None else self.grade.points - self.grade.score

    @property
    def reason(self) -> str:
        """What an exercise lost its points for, in a line: the mistake if it is known, an error, a property."""
        if self.result is None:
            return ""
        said = [mistake.says for mistake in self.result.mistakes]
        said += [self.result.error.strip().splitlines()[-1]] if self.result.error else []
        said += [found.statement for found in self.result.properties if found.outcome != "passed"]
        return said[0] if said else ""


@dataclass(frozen=True)
class Part:
    """A part of the notebook as the page shows it.

    Attributes:
        html: what stands in it.
        heading: of text that was released.
        item: what was graded.
        about: where the text is that a graded part belongs to, by its place among the parts.
        question: to an answer, the question and what it is graded by.
    """

    kind: Literal["released", "text", "code", "result", "answer"]
    html: Markup = field(default_factory=Markup)
    heading: str = ""
    item: Item | None = None
    about: int | None = None
    question: Markup | None = None


@dataclass(frozen=True)
class Page:
    """All of it. `penalty` is what lateness took off."""

    title: str
    student: str
    received: datetime | None
    penalty: float
    items: tuple[Item, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]

    @property
    def points(self) -> float:
        """All that can be earned."""
        return sum(item.grade.points for item in self.items)

    @property
    def earned(self) -> float:
        """What counts as of now."""
        return sum(item.grade.score or 0.0 for item in self.items) - self.penalty

    @property
    def first(self) -> tuple[Item, ...]:
        """The exercises to look at first: those that lost most, three at most, and none if all is well."""
        losses = [item for item in self.items if item.result and item.lost > 0]
        return tuple(sorted(losses, key=lambda item: -item.lost)[:3])

    @property
    def waiting(self) -> int:
        """How many answers wait for a person."""
        return sum(item.grade.score is None for item in self.items)


def compose(
    notebook: NotebookNode,
    assignment: Assignment,
    student: str,
    grades: Mapping[str, Grade],
    levels: Mapping[str, Reveal],
    penalty: float = 0.0,
) -> Page:
    """Put a graded notebook and the gradebook's word on it together; hidden properties show what policy allows.

    Args:
        notebook: as `nbgrader autograde` leaves it.
        assignment: what it answers.
        student: who answered.
        grades: by the name of the exercise or question.
        levels: how much the student may see, by exercise.
        penalty: points that lateness took off.
    """
    items: list[Item] = []
    parts: list[Part] = []
    released: list[NotebookNode] = []

    questions = {question.name: safe_html(question.text) for question in assignment.questions}
    read: int | None = None

    def flush() -> None:
        if released:
            nonlocal read
            read = len(parts)
            parts.append(Part("released", Markup("").join(_rendered(cell) for cell in released), _heading(released)))
            released.clear()

    for cell in notebook.cells:
        roles = cell.metadata.get("nbgrader", {})
        name = roles.get("grade_id", "")
        given = roles.get("locked") and not roles.get("grade") and cell.cell_type == "code"  # the imports
        if given or not (name or cell.get("id", "").startswith(STUDENT_CELL)):
            released.append(cell)
            continue
        flush()
        kind: Literal["text", "code"] = "code" if cell.cell_type == "code" else "text"
        if roles.get("grade") and kind == "code":
            name = name.removeprefix(CHECK)
            result = revealed(shown_by(cell), levels[name])
            items.append(Item(name, grades[name], result))
            parts.append(Part("result", item=items[-1], about=read))
        elif roles.get("grade"):
            items.append(Item(name, grades[name]))
            parts.append(Part("answer", _rendered(cell), item=items[-1], question=questions.get(name)))
        else:
            parts.append(Part(kind, _rendered(cell)))
    flush()
    about = notebook.metadata[NOTES]
    received = about["received"] and datetime.fromisoformat(about["received"]).astimezone(assignment.course.timezone)
    return Page(assignment.title, student, received, penalty, tuple(items), tuple(parts), tuple(about["notes"]))


def render(page: Page) -> str:
    """The page as one HTML document that needs nothing else: no script, no font, no picture from anywhere."""
    template = pages.get_template("page.html.j2")
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return template.render(page=page, style=Markup(STYLE), digest=digest)


def _rendered(cell: NotebookNode) -> Markup:
    return _highlighted(cell.source) if cell.cell_type == "code" else safe_html(cell.source)


@lru_cache(maxsize=1024)  # most cells are the same in everyone's notebook
def _highlighted(source: str) -> Markup:
    html: str = highlight(source, PythonLexer(), _FORMATTER)
    return Markup(html.replace("<pre>", '<pre tabindex="0">', 1))  # scrolled by keyboard, too


def _heading(cells: list[NotebookNode]) -> str:
    for cell in cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^#+ +(.+)$", cell.source, re.MULTILINE)):
            return found[1].strip()
    return "the assignment"


_FORMATTER = HtmlFormatter(cssclass="code")


def _style() -> str:
    light = HtmlFormatter(style="xcode").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    own = (TEMPLATES / "style.css").read_text("utf-8")
    return f"\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


STYLE = _style()
