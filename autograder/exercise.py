"""Exercises and questions, as the starter of an assignment declares them.

A starter is a Jupytext percent script. A code cell with `exercise="name" points=4` holds one stub; a Markdown cell with
`question="name" points=3` asks for a written answer; the tag `hands-on` marks cells that are played with, not graded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jupytext
from nbformat import NotebookNode

from autograder.errors import CourseError

HANDS_ON = "hands-on"


@dataclass(frozen=True)
class Exercise:
    """One stub that students fill: a function or a class."""

    name: str
    points: float
    kind: Literal["function", "class"]
    source: str

    @property
    def purpose(self) -> str:
        """The first line of the stub's docstring."""
        return (ast.get_docstring(definition(self.source, self.name)) or "").partition("\n")[0]


@dataclass(frozen=True)
class Question:
    """One question that is answered in words and graded by hand."""

    name: str
    points: float
    text: str


@dataclass(frozen=True)
class Starter:
    """A parsed starter: its cells with their metadata, and what they declare."""

    path: Path
    notebook: NotebookNode
    exercises: tuple[Exercise, ...]
    questions: tuple[Question, ...]

    @property
    def imports(self) -> tuple[str, ...]:
        """The modules that its code cells import: what a worker should have at hand before a submission comes."""
        names: dict[str, None] = {}
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                names.update(dict.fromkeys(imported_modules(cell.source)))
        return tuple(names)


def definition(source: str, name: str) -> ast.FunctionDef | ast.ClassDef:
    """The top-level function or class of that name in `source`.

    Raises:
        LookupError: there is none.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
    raise LookupError(name)


def imported_modules(source: str) -> Iterable[str]:
    """Dotted names that `source` imports anywhere, in order; some may be functions and classes of modules."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # a module, or something in one


def read_starter(path: Path) -> Starter:
    """Parse a starter, and insist that it is well formed.

    Raises:
        CourseError: naming the cell that its author has to mend.
    """
    try:
        notebook = jupytext.reads(path.read_text("utf-8"), fmt="py:percent")
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}") from None
    exercises: list[Exercise] = []
    questions: list[Question] = []
    for number, cell in enumerate(notebook.cells, 1):
        where = f"{path.name}, cell {number}"
        metadata = cell.metadata
        if cell.cell_type == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                raise CourseError(f"{where}: not valid Python: {error}") from None
        if "exercise" in metadata:
            exercises.append(_exercise(cell, where))
        elif "question" in metadata:
            questions.append(Question(str(metadata["question"]), _points(metadata, where), cell.source))
    names = [exercise.name for exercise in exercises] + [question.name for question in questions]
    if twice := {name for name in names if names.count(name) > 1}:
        raise CourseError(f"{path.name}: {sorted(twice)[0]!r} is declared twice")
    return Starter(path, notebook, tuple(exercises), tuple(questions))


def _exercise(cell: NotebookNode, where: str) -> Exercise:
    name = str(cell.metadata["exercise"])
    try:
        node = definition(cell.source, name)
    except LookupError:
        raise CourseError(f"{where}: the cell of exercise {name!r} defines no function or class of that name") from None
    if not ast.get_docstring(node):
        raise CourseError(f"{where}: exercise {name!r} has no docstring")
    kind: Literal["function", "class"] = "class" if isinstance(node, ast.ClassDef) else "function"
    return Exercise(name, _points(cell.metadata, where), kind, cell.source)


def _points(metadata: NotebookNode, where: str) -> float:
    try:
        points = float(metadata["points"])
    except (KeyError, TypeError, ValueError):
        raise CourseError(f"{where}: points=… is missing or no number") from None
    if not 0 < points < 1000:
        raise CourseError(f"{where}: points must be positive, not {points}")
    return points
