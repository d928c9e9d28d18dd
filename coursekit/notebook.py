"""Reading a notebook or a percent script, and running its cells without a kernel."""

from __future__ import annotations

import json
import linecache
import os
import re
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coursekit.check import GRADING
from coursekit.errors import CoursekitError
from coursekit.explain import Explainer
from coursekit.source import definitions_only

HANDS_ON = "hands-on"
SUFFIXES = (".ipynb", ".py")
# A cell magic whose body runs in the notebook itself; any other cell magic takes the whole cell elsewhere.
_HERE = re.compile(r"%%(?:time|capture|prun)\b.*")
_MAGIC = re.compile(r"^(\s*)(?:%|!|\?).*$", re.MULTILINE)


@dataclass(frozen=True)
class CodeCell:
    """One code cell.

    Attributes:
        number: its place, from 1, among all cells of the file.
        source: its text, IPython's magics included.
        hands_on: whether it is there to play with; it may take minutes.
        name: what the assignment calls it: the exercise, for a cell that is to be filled.
    """

    number: int
    source: str
    hands_on: bool = False
    name: str = ""

    @property
    def python(self) -> str:
        """Its text without IPython's magics, every line in its place."""
        try:
            compile(self.source, "<cell>", "exec")
            return self.source
        except (SyntaxError, ValueError):
            first, _, rest = self.source.lstrip("\n").partition("\n")
            if first.startswith("%%"):
                return f"\n{rest}" if _HERE.match(first) else ""
            return _MAGIC.sub(r"\1pass", self.source)


@dataclass(frozen=True)
class Document:
    """A notebook or script: its code cells, and what the assignment wrote into its metadata."""

    path: Path
    cells: tuple[CodeCell, ...]
    metadata: dict[str, Any]

    @property
    def assignment(self) -> str | None:
        """The assignment that its metadata names."""
        name = self._course.get("assignment")
        return name if isinstance(name, str) else None

    @property
    def attachments(self) -> tuple[str, ...]:
        """Suffixes of the files beside it that are handed in with it, by its metadata."""
        suffixes = self._course.get("attachments")
        return tuple(map(str, suffixes)) if isinstance(suffixes, list) else ()

    @property
    def _course(self) -> dict[str, Any]:
        course = self.metadata.get("course")
        return course if isinstance(course, dict) else {}


@dataclass(frozen=True)
class CellFault:
    """A cell that did not run to its end, and why."""

    number: int
    message: str


def read_document(path: Path) -> Document:
    """Read a notebook or a Jupytext percent script.

    Raises:
        CoursekitError: it cannot be read as such.
    """
    if path.suffix not in SUFFIXES:
        raise CoursekitError(f"{path.name} is neither a notebook (.ipynb) nor a script (.py)")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CoursekitError(f"{path.name} cannot be read: {error}") from None
    notebook = _notebook(text, path.name) if path.suffix == ".ipynb" else _script(text)
    try:
        cells = tuple(
            CodeCell(number, "".join(cell["source"]), _is_hands_on(cell), _name(cell["metadata"]))
            for number, cell in enumerate(notebook["cells"], 1)
            if cell["cell_type"] == "code"
        )
        return Document(path, cells, dict(notebook["metadata"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CoursekitError(f"{path.name} is no sound notebook ({error!r}); save it again in Jupyter") from None


def run_cells(document: Document) -> tuple[dict[str, Any], list[CellFault]]:
    """Run the cells one after the other, of hands-on cells only what they define, and return the names they leave.

    What they print is dropped, figures are not shown, and `check` does nothing. A cell that fails does not stop the
    next.
    """
    module = types.ModuleType("submission")
    sys.modules[module.__name__] = module  # where dataclasses and type hints look their names up
    faults = []
    with _quiet(), chdir(document.path.resolve().parent):
        for cell in document.cells:
            filename = f"<{document.path.name}, cell {cell.number}>"
            linecache.cache[filename] = (len(cell.source), None, cell.source.splitlines(keepends=True), filename)
            try:
                source = definitions_only(cell.python) if cell.hands_on else cell.python
                exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)
            except KeyboardInterrupt:
                raise
            except SyntaxError as error:
                faults.append(CellFault(cell.number, f"line {error.lineno}: {error.msg}"))
            except BaseException as error:  # whatever a student's code raises, SystemExit included, is that cell's
                explanation = Explainer(module.__dict__, document.path).explain(error)
                faults.append(CellFault(cell.number, explanation.message))
    return module.__dict__, faults


def _notebook(text: str, name: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise CoursekitError(
            f"{name} is no notebook: it is not valid JSON (line {error.lineno}: {error.msg})"
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise CoursekitError(f"{name} is no notebook: it has no cells")
    return document


def _script(text: str) -> Mapping[str, Any]:
    import jupytext

    return jupytext.reads(text, fmt="py:percent")


def _is_hands_on(cell: Mapping[str, Any]) -> bool:
    tags = cell["metadata"].get("tags")
    return str(cell.get("id", "")).startswith(HANDS_ON) or (isinstance(tags, list) and HANDS_ON in tags)


def _name(metadata: Mapping[str, Any]) -> str:
    nbgrader = metadata.get("nbgrader")
    if isinstance(nbgrader, dict):
        return str(nbgrader.get("grade_id", "")) if nbgrader.get("solution") else ""
    return str(metadata.get("exercise", ""))


@contextmanager
def _quiet() -> Iterator[None]:
    """No output, no windows, no checks."""
    before = {name: os.environ.get(name) for name in (GRADING, "MPLBACKEND")}
    os.environ.update({GRADING: "1", "MPLBACKEND": "agg"})
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
