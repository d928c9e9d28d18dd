"""Rebuilding a notebook: the released one, with a student's answers and other cells in it.

A student's notebook can carry anything in its structure: grade cells twice, retyped or deleted, tags that switch cells
off, another version's metadata, outputs that are scripts. So its structure is not repaired but thrown away; what remains
is text, in cells that this module makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograder.cells import RawCell
from autograder.course import Assignment
from autograder.release import build_notebook
from autograder.report.page import STUDENT_CELL
from autograder.submission import Submission, raw_cells
from autograder.syntax import definitions, parse
from autograder.text import Unreadable

# What graders and students look at. The verdict is on the whole submission, however long.
MOST_CELLS = 1000
LONGEST_CELL = 50_000  # characters


@dataclass(frozen=True)
class Plain:
    """A cell of the student's that answers nothing: shown, and that is all."""

    kind: str
    source: str


def rebuild(assignment: Assignment, submission: Submission) -> NotebookNode:
    """The released notebook as the student left it, made anew from text."""
    notebook = deepcopy(_released(assignment))
    released = [
        cell.metadata.get("nbgrader", {}).get("grade_id") or Plain(cell.cell_type, cell.source.strip())
        for cell in notebook.cells
    ]
    raw = _raw_cells(submission)[:MOST_CELLS]
    answers = _answers(assignment, submission, raw)
    texts = {name: cell.source for cell, name in zip(notebook.cells, released, strict=True) if isinstance(name, str)}
    theirs = list(_counterparts(raw, answers, texts))
    for cell, name in zip(notebook.cells, released, strict=True):
        if name in answers:
            cell.source = _shortened(answers[name].source)
    cells: list[NotebookNode] = []
    for tag, i, j, k, m in SequenceMatcher(None, released, theirs, autojunk=False).get_opcodes():
        # Released text stays even where the student deleted it. Released code that is gone was edited or not wanted.
        for cell, item in zip(notebook.cells[i:j], released[i:j], strict=True):
            if tag == "equal" or isinstance(item, str) or cell.cell_type == "markdown":
                cells.append(cell)
        if tag != "equal":
            cells += [_cell(item, k + n) for n, item in enumerate(theirs[k:m]) if isinstance(item, Plain)]
    notebook.cells = cells
    return notebook


@lru_cache(maxsize=32)
def _released(assignment: Assignment) -> NotebookNode:
    return build_notebook(assignment)


@dataclass(frozen=True)
class Answer:
    """The text of an answer, and the number of the student's cell that it fills; 0 for none."""

    source: str
    number: int = 0


def _answers(assignment: Assignment, submission: Submission, raw: list[RawCell]) -> dict[str, Answer]:
    """What the student put in place of every released stub and question, by its name."""
    named = {cell.name: Answer(cell.source, cell.number) for cell in reversed(raw) if cell.kind == "code"}
    defined: dict[str, Answer] = {}
    for cell in submission.cells:
        for name in _defined(cell.source):
            defined[name] = Answer(cell.source, cell.number)  # the last one counts, as it does in a kernel
    answers: dict[str, Answer] = {}
    shown: dict[int, str] = {}
    for exercise in assignment.exercises:
        answer = defined.get(exercise.name) or named.get(exercise.name)  # the latter may hold a syntax error
        if answer and answer.number in shown:
            answers[exercise.name] = Answer(f"# Defined together with {shown[answer.number]}.")
        elif answer:
            answers[exercise.name] = answer
            shown[answer.number] = exercise.name
    return answers | {name: Answer(text) for name, text in submission.answers.items()}


def _counterparts(raw: list[RawCell], answers: dict[str, Answer], texts: dict[str, str]) -> Iterator[str | Plain]:
    """The student's cells in order; for one that has a counterpart in the release, its name.

    What answers nothing has one only if its text is the released text, in `texts`, whatever it is called: a student may
    write into the cell of a question, or of a check, and an editor may drop names.
    """
    fills = {answer.number: name for name, answer in answers.items() if answer.number}
    unchanged: dict[str, list[str]] = {}
    for name, text in texts.items():
        if name not in answers:
            unchanged.setdefault(text.strip(), []).append(name)
    seen: set[str] = set()
    for cell in raw:
        source = cell.source.strip()
        written = cell.name if cell.name in answers and not answers[cell.name].number else ""
        candidates = [fills.get(cell.number, ""), written, *unchanged.get(source, [])]
        if name := next((name for name in candidates if name in texts and name not in seen), ""):
            seen.add(name)
            yield name
        elif source:
            yield Plain("code" if cell.kind == "code" else "markdown", _shortened(source))


def _defined(source: str) -> set[str]:
    try:
        return set(definitions(parse(source)))
    except SyntaxError:
        return set()


def _raw_cells(submission: Submission) -> list[RawCell]:
    try:
        return [] if submission.path.is_dir() else raw_cells(submission.path)
    except Unreadable:
        return []


def _cell(item: Plain, number: int) -> NotebookNode:
    make = new_code_cell if item.kind == "code" else new_markdown_cell
    return make(item.source, id=f"{STUDENT_CELL}{number}")


def _shortened(source: str) -> str:
    return source if len(source) <= LONGEST_CELL else f"{source[:LONGEST_CELL]}\n… ({len(source)} characters in all)"
