"""From the cells of a file to the code that is run: what each cell defines, what is mended, and the notes on it."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from autograder.cells import RawCell
from autograder.course import Assignment
from autograder.exercise import HANDS_ON, definition
from autograder.syntax import (
    DEFINITIONS,
    IMPORTS,
    bound_anywhere,
    definitions,
    fingerprint,
    parse,
    plain_python,
    read_anywhere,
)
from autograder.text import printable

CODE_LIMIT = 500_000  # characters; parsing takes up to 500 times as much memory


@dataclass(frozen=True)
class Cell:
    """One code cell, as plain Python.

    Attributes:
        source: the code, every line where the student has it; it may hold a syntax error.
        exercise: the first exercise that it defines at top level.
        definitions_only: a hands-on cell, of which only imports, functions, classes and constants are run.
        number: its place, from 1, among all cells that the student sees; 0 for the released cell of imports.
    """

    source: str
    exercise: str | None = None
    definitions_only: bool = False
    number: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Released:
    """What submissions are compared with, by the fingerprints of syntax trees."""

    stubs: Mapping[str, str | None]
    stub_cells: Mapping[str, str | None]
    hands_on: frozenset[str]
    imports: str

    @property
    def imported(self) -> set[str]:
        """The names that the first cell imports."""
        found = definitions(parse(self.imports)).items()
        return {name for name, node in found if isinstance(node, IMPORTS)}


@lru_cache(maxsize=32)
def released_with(assignment: Assignment) -> Released:
    """What was released with an assignment."""
    exercises: tuple[Exercise, ...] = assignment.exercises
    code = [cell for cell in assignment.starter.notebook.cells if cell.cell_type == "code"]
    hands_on = [cell.source for cell in code if HANDS_ON in cell.metadata.get("tags", [])]
    given = [cell.source for cell in code if cell.source not in hands_on and "exercise" not in cell.metadata]
    return Released(
        stubs={exercise.name: fingerprint(definition(exercise.source, exercise.name)) for exercise in exercises},
        stub_cells={exercise.name: fingerprint(parse(exercise.source)) for exercise in exercises},
        hands_on=frozenset(filter(None, (fingerprint(parse(source)) for source in hands_on))),
        imports=given[0] if given else "",
    )


@dataclass(frozen=True)
class _Code:
    """A code cell, parsed; `names` are what it binds at top level."""

    raw: RawCell
    source: str
    tree: ast.Module | None
    names: Mapping[str, ast.AST]
    fault: SyntaxError | None = None

    @classmethod
    def of(cls, raw: RawCell) -> _Code:
        source = plain_python(raw.source)
        try:
            tree = parse(source)
        except SyntaxError as error:
            return cls(raw, source, None, {}, error)
        return cls(raw, source, tree, definitions(tree))

    @property
    def fingerprint(self) -> str | None:
        return fingerprint(self.tree) if self.tree else None


class Reading:
    """What the cells of one file amount to, and the notes made on the way."""

    def __init__(self, raw: list[RawCell], released: Released) -> None:
        self.notes: list[str] = []
        self._exercises = released.stubs
        codes = self._revived([_Code.of(cell) for cell in raw if cell.kind == "code"], raw)
        codes = [code for code in codes if code.fault or (code.tree and code.tree.body)]
        self._note_faults(codes, raw)
        self._note_misspelt(codes)
        codes = self._without_late_stubs(codes, released)
        self.cells = [*self._missing_imports(codes, released), *(self._cell(code, released) for code in codes)]

    def _revived(self, codes: list[_Code], raw: list[RawCell]) -> list[_Code]:
        """Cells turned into Markdown by a slip of the finger count as code if no code cell defines what they do."""
        defined = {name for code in codes for name in code.names}
        missing = [name for name in self._exercises if name not in defined]
        likely = re.compile(rf"^\s*(?:async\s+def|def|class)\s+(?:{'|'.join(missing)})\b", re.MULTILINE)
        left = CODE_LIMIT
        for cell in raw if missing else []:
            if cell.kind == "text" and len(cell.source) <= left and likely.search(cell.source):
                left -= len(cell.source)
                code = _Code.of(cell)
                if names := [name for name in missing if name in code.names]:
                    codes = [*codes, code]
                    self.notes.append(f"{_place(cell)} is no code cell, but was read as one: it defines `{names[0]}`.")
        return sorted(codes, key=lambda code: code.raw.number)

    def _note_faults(self, codes: list[_Code], raw: list[RawCell]) -> None:
        faults = {code.raw.number: code.fault for code in codes if code.fault}
        for cell in raw:
            if cell.kind == "unreadable":
                self.notes.append(f"Cell {cell.number} is damaged and was left out.")
            elif fault := faults.get(cell.number):
                message = printable(fault.msg or "this is not Python", 120)
                if cell.line is None:
                    self.notes.append(f"{_place(cell)} has a syntax error on line {fault.lineno or 1}: {message}.")
                else:
                    self.notes.append(f"Line {cell.line + (fault.lineno or 1) - 1} has a syntax error: {message}.")

    def _note_misspelt(self, codes: list[_Code]) -> None:
        latest = {name: node for code in codes for name, node in code.names.items()}
        own = [name for name, node in latest.items() if isinstance(node, DEFINITIONS) and name not in self._exercises]
        for exercise, stub in self._exercises.items():
            if exercise not in latest or fingerprint(latest[exercise]) == stub:
                for name in difflib.get_close_matches(exercise, own[:1000], n=1, cutoff=0.8):
                    self.notes.append(f"`{printable(name, 60)}` is defined, but the exercise is called `{exercise}`.")

    def _without_late_stubs(self, codes: list[_Code], released: Released) -> list[_Code]:
        """An untouched stub that stands after the answer would undo it, whatever the order the student ran them in."""
        kept: list[_Code] = []
        answered: dict[str, RawCell] = {}
        for code in codes:
            name = next(iter(code.names), "")
            stub = released.stub_cells.get(name)
            untouched = stub is not None and len(code.names) == 1 and code.fingerprint == stub
            if untouched and name in answered:
                self.notes.append(f"The stub of `{name}` stands after your answer and was left out.")
                continue
            if not untouched:
                answered.update(dict.fromkeys(code.names, code.raw))
            kept.append(code)
        return kept

    def _missing_imports(self, codes: list[_Code], released: Released) -> Iterator[Cell]:
        """The released cell of imports, for a submission that needs it and lost it."""
        lost = released.imported.difference(*(code.names for code in codes))
        trees = [code.tree for code in codes if code.tree] if lost else []
        read = {name for tree in trees for name in read_anywhere(tree)}
        bound = {name for tree in trees for name in bound_anywhere(tree)}
        if missing := sorted(lost & read - bound):
            names = ", ".join(f"`{name}`" for name in missing[:5])
            self.notes.append(f"Nothing imports {names}: the cell of imports that was handed out was run first.")
            yield Cell(released.imports)

    def _cell(self, code: _Code, released: Released) -> Cell:
        exercises = [name for name in code.names if name in self._exercises]
        hands_on = code.raw.hands_on or (not exercises and code.fingerprint in released.hands_on)
        # An answer that is an assignment would be lost with the rest of a hands-on cell.
        assigned = any(not isinstance(code.names[name], (*DEFINITIONS, *IMPORTS)) for name in exercises)
        return Cell(code.source, next(iter(exercises), None), hands_on and not assigned, code.raw.number)


def _place(cell: RawCell) -> str:
    """Where something is, as the student sees it: notebooks number no cells, so its first words help."""
    if cell.line is not None:
        return f"The cell from line {cell.line}"
    begins = re.search(r"^\s*(?:def|class)\s.*", cell.source, re.MULTILINE) or re.search(r"\S.*", cell.source)
    shown = printable(begins.group(), 40).replace("`", "'") if begins else ""
    return f"Cell {cell.number} (`{shown}`)"
