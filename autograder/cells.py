"""The cells of a notebook or a percent script, read as data: neither is trusted to be well formed.

A notebook is read without nbformat and a script without Jupytext: both assume what a submission need not fulfil, and
take more than linear time over files that were made to be slow. That both ways give the same cells is tested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jupytext.magics import uncomment_magic, unescape_code_start

from autograder.exercise import HANDS_ON
from autograder.syntax import Position, parses, plain_python
from autograder.text import clean

Kind = Literal["code", "text", "unreadable"]
MOST_CELLS = 10_000
_SAVE = "open it in Jupyter, save it and hand it in again"
_TOO_MANY = f"has more than {MOST_CELLS} cells; leave out those that are no part of your work"


@dataclass(frozen=True)
class RawCell:
    """A cell as it was handed in.

    Attributes:
        number: its place, from 1, among all cells of its file.
        line: the line of the file at which its source begins; None in a notebook.
    """

    number: int
    kind: Kind
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    line: int | None = None

    @property
    def hands_on(self) -> bool:
        """Whether the release marked it as one that is played with, not graded."""
        tags = self.metadata.get("tags")
        return self.id.startswith(HANDS_ON) or (isinstance(tags, list) and HANDS_ON in tags)

    @property
    def name(self) -> str:
        """What the release, or a starter, calls it; empty for a cell that has no name."""
        nbgrader = self.metadata.get("nbgrader")
        name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else self.metadata.get("question")
        return name if isinstance(name, str) else ""


def notebook_cells(text: str) -> list[RawCell]:
    """The cells of a notebook of any version, in order.

    Raises:
        ValueError: the text is no notebook; the message goes on after the file's name.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON (line {error.lineno}: {error.msg}); {_SAVE}") from None
    except (RecursionError, ValueError):
        raise ValueError(f"is nested too deeply for a notebook, or holds endless numbers; {_SAVE}") from None
    if not isinstance(document, dict):
        raise ValueError(f"is JSON, but no notebook; {_SAVE}")
    sheets = [document]
    if "cells" not in document and isinstance(document.get("worksheets"), list):  # before version 4
        sheets = [sheet for sheet in document["worksheets"] if isinstance(sheet, dict)]
    lists = [sheet["cells"] for sheet in sheets if isinstance(sheet.get("cells"), list)]
    if not lists:
        raise ValueError(f"is JSON, but no notebook; {_SAVE}")
    if sum(map(len, lists)) > MOST_CELLS:
        raise ValueError(_TOO_MANY)
    return [_notebook_cell(number, cell) for number, cell in enumerate((cell for cells in lists for cell in cells), 1)]


def _notebook_cell(number: int, cell: object) -> RawCell:
    if not isinstance(cell, dict):
        return RawCell(number, "unreadable", "")
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        return RawCell(number, "unreadable", "")
    kind: Kind = "code" if cell.get("cell_type") == "code" else "text"
    metadata, name = cell.get("metadata"), cell.get("id")
    return RawCell(
        number,
        kind,
        clean(source).rstrip(),
        metadata if isinstance(metadata, dict) else {},
        name if isinstance(name, str) else "",
    )


# As Jupytext's percent format, and as Jupyter itself exports scripts. An indented marker is an ordinary comment.
_MARKER = re.compile(r"#\s*(?:%%+(?:\s(?P<header>.*))?|<codecell>|In\s?\[[0-9 ]*\]:?\s*)$")
_TEXT = re.compile(r"[^=\[{]*\[(?:markdown|md|raw)\]")
_KEY = re.compile(r"(?:^|\s)(?:([\w.@/-]+)=|(?=\{))")
HEADER_LIMIT = 4096  # characters of a marker's line in which metadata is looked for
_json = json.JSONDecoder()


def script_cells(text: str) -> list[RawCell]:
    """The cells of a Jupytext percent script; a script without markers is one cell.

    Raises:
        ValueError: it has too many; the message goes on after the file's name.
    """
    lines = clean(text).split("\n")
    markers = [(number, marker["header"] or "") for number, line in enumerate(lines) if (marker := _MARKER.match(line))]
    if len(markers) > MOST_CELLS:
        raise ValueError(_TOO_MANY)
    if not markers:
        return [RawCell(1, "code", "\n".join(lines).rstrip(), line=1)]
    headers = ["", *(header for _, header in markers)]  # what stands before the first marker is a cell too, number 0
    starts = [0, *(number + 1 for number, _ in markers)]
    ends = [*(number for number, _ in markers), len(lines)]
    cells: list[RawCell] = []
    piece = 0
    while piece < len(starts):
        kind: Kind = "text" if _TEXT.match(headers[piece]) else "code"
        last = piece if kind == "text" else _last_piece(lines, starts, ends, piece)
        body = lines[starts[piece] : ends[last]]
        source = _uncommented(body) if kind == "text" else _with_magics(body)
        if piece == 0 and all(not line.strip() or line.startswith("#") for line in body):
            source = ""  # Jupytext's header, or a shebang: nothing that anybody wrote as a cell
        cells.append(RawCell(len(cells), kind, source.rstrip(), _metadata(headers[piece]), line=starts[piece] + 1))
        piece = last + 1
    return cells


def _last_piece(lines: list[str], starts: list[int], ends: list[int], piece: int) -> int:
    """Where a code cell ends: a marker within a string ends none, unless the string is never closed as it should be."""
    position = Position()
    for last in range(piece, len(starts)):
        for line in lines[starts[last] : ends[last]]:
            position.feed(line)
        if not position.quote:
            joined = "\n".join(lines[starts[piece] : ends[last]])
            return last if last == piece or parses(plain_python(joined)) else piece
    return piece


def _metadata(header: str) -> dict[str, Any]:
    """`key=value` pairs, or one object, with values in JSON; what cannot be read is passed over."""
    metadata: dict[str, Any] = {}
    at = 0
    while key := _KEY.search(header, at, HEADER_LIMIT):
        try:
            value, at = _json.raw_decode(header, key.end())
            metadata.update({key[1]: value} if key[1] else value)
        except (ValueError, RecursionError):
            at = key.end() + 1
    return metadata


def _uncommented(lines: list[str]) -> str:
    """The text of a Markdown cell: in comments, or in one long string."""
    text = "\n".join(lines).strip()
    for quote in ('"""', "'''"):
        if text.startswith((quote, "r" + quote)) and text.endswith(quote) and len(text) >= 6:
            return text.removeprefix("r")[3:-3].strip()
    return "\n".join(line.removeprefix("#").removeprefix(" ") if line.startswith("#") else line for line in lines)


def _with_magics(lines: list[str]) -> str:
    """The source of a code cell: Jupytext comments magics out. A comment that only looks like one stays a comment."""
    written = "\n".join(lines)
    magics = "\n".join(unescape_code_start(uncomment_magic(list(lines)), ".py"))
    return magics if magics != written and parses(plain_python(magics)) else written
