"""What must never be released: a distinctive line of a solution, a hidden property or a known mistake.

Every byte of a release is looked at, however it is wrapped: archives are opened, JSON is parsed, base64 is decoded.
"""

from __future__ import annotations

import ast
import base64
import binascii
import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from string import punctuation

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.syntax import DEFINITIONS, parse

DISTINCTIVE = 20  # characters: shorter lines are the same everywhere
DEEPEST = 6  # wrappings within wrappings

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4}\s*){6,}(?:[A-Za-z0-9+/]{2,3}={0,2})?")
_UNPACK = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}


def leaks(course: Course, folder: Path) -> list[str]:
    """Everything in a folder that students must not see, each in a sentence.

    A line counts if it has at least 20 characters and, apart from punctuation at its ends, stands in no starter, no
    visible check, no template and nowhere in coursekit.
    """
    private = {line: source for line, source in _private_lines(course) if len(line) >= DISTINCTIVE}
    known_to_all = _held({line.strip(punctuation) for line in private}, "\n".join(_public_texts(course)))
    secrets = _Lines(line for line in private if line.strip(punctuation) not in known_to_all)
    found: dict[str, None] = {}
    known: dict[bytes, list[str]] = {}  # the package and its models stand in every assignment's folder
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for where, data in _layers(path.relative_to(folder).as_posix(), path.read_bytes()):
            digest = hashlib.sha256(data).digest()
            if digest not in known:
                known[digest] = secrets.within(data.decode("utf-8", "ignore"))
            for line in known[digest]:
                found[f"{where} holds {private[line]}"] = None
    return list(found)


def answers_left_in(course: Course, assignments: Iterable[Assignment]) -> list[str]:
    """The answers of the solutions that stand, word for word, in what is public: no line of them is a secret any more."""
    answers: dict[tuple[str, str], str] = {}
    for assignment in assignments:
        if assignment.solution_path.is_file():
            names = {exercise.name for exercise in assignment.exercises}
            written = [node for node in _definitions(assignment.solution_path) if node.name in names]
            answers |= {_shape(node): node.name for node in written}
    return [
        f"{path.relative_to(course.root)} holds the answer to {answers[shape]}"
        for path in _public_files(course)
        for node in _definitions(path)
        if (shape := _shape(node)) in answers
    ]


def _definitions(path: Path) -> list[Definition]:
    try:
        tree = parse(path.read_text("utf-8"))
    except SyntaxError as error:
        raise CourseError(f"{path}, line {error.lineno}: not valid Python: {error.msg}") from None
    return [node for node in ast.walk(tree) if isinstance(node, DEFINITIONS)]


def _shape(node: Definition) -> tuple[str, str]:
    """The name and the statements of a definition, docstrings apart."""
    statements = []
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list):
            documented = isinstance(inner, DEFINITIONS) and ast.get_docstring(inner) is not None
            kept = [item for item in body[documented:] if not isinstance(item, DEFINITIONS)]
            statements += [ast.dump(item) for item in kept]
    return node.name, "\n".join(statements)


class _Lines:
    """Lines of at least 20 characters, to be found anywhere in a text, even in the middle of another line."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._by_start: dict[str, list[str]] = {}
        for line in lines:
            self._by_start.setdefault(line[:DISTINCTIVE], []).append(line)

    def within(self, text: str) -> list[str]:
        """The lines that the text holds, each once."""
        found: dict[str, None] = {}
        for at in range(len(text) - DISTINCTIVE + 1):
            for line in self._by_start.get(text[at : at + DISTINCTIVE], ()):
                if line not in found and text.startswith(line, at):
                    found[line] = None
        return list(found)


def _held(lines: Collection[str], text: str) -> set[str]:
    """Which of the lines the text holds."""
    short = {line for line in lines if len(line) < DISTINCTIVE and line in text}
    return short.union(_Lines(line for line in lines if len(line) >= DISTINCTIVE).within(text))


def _private_lines(course: Course) -> Iterator[tuple[str, str]]:
    """Lines without indentation, and where each stands."""
    folders = [
        course.root / name
        for name in ("solutions", "autograder/hidden", "autograder/mistakes", "autograder/equivalents")
    ]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    for path in (*files, course.root / "course.seed"):
        if path.is_file():
            for number, line in enumerate(path.read_text("utf-8", "ignore").splitlines(), 1):
                yield line.strip(), f"line {number} of {path.relative_to(course.root)}"


def _public_files(course: Course) -> list[Path]:
    files = [path for assignment in course for path in (assignment.starter_path, assignment.visible_path)]
    files += [path for assignment in course for path in sorted((assignment.directory / "templates").glob("*.py"))]
    files += sorted((course.root / "coursekit").rglob("*.py"))
    return [path for path in files if path.is_file()]


def _public_texts(course: Course) -> Iterator[str]:
    for path in _public_files(course):
        text = path.read_text("utf-8")
        yield text
        yield re.sub(r"(?m)^# ?", "", text)  # as Markdown


def _layers(where: str, data: bytes, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """The data, and whatever it wraps."""
    yield where, data
    if depth == DEEPEST:
        return
    inner = [
        *_members(where, data),
        *((where, text.encode("utf-8", "ignore")) for text in (*_strings(data), *_readings(data))),
        *((where, decoded) for run in _BASE64.findall(data) if (decoded := _from_base64(run))),
    ]
    for place, content in inner:
        yield from _layers(place, content, depth + 1)


def _members(where: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of an archive, or what was compressed; nothing for what only begins like one."""
    for start, unpack in _UNPACK.items():
        if data.startswith(start):
            try:
                yield where, unpack(data)
            except (OSError, EOFError, zlib.error, lzma.LZMAError):
                continue
    if data.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                yield from [(f"{where}!{name}", archive.read(name)) for name in archive.namelist()]
        except (zipfile.BadZipFile, zlib.error):
            return
    if data[257:262] == b"ustar":
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                files = [(member.name, archive.extractfile(member)) for member in archive]
                yield from [(f"{where}!{name}", file.read()) for name, file in files if file]
        except tarfile.TarError:
            return


def _readings(data: bytes) -> Iterator[str]:
    """Other texts that the bytes may stand for: in UTF-16, or with the entities of HTML."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield data.decode("utf-16", "ignore")
    if b"&" in data:
        text = data.decode("utf-8", "ignore")
        if (plain := html.unescape(text)) != text:
            yield plain


def _strings(data: bytes) -> Iterator[str]:
    """All strings of a JSON document, and each list of them joined, as notebooks write text."""
    if not data.lstrip().startswith((b"{", b"[")):
        return
    try:
        pending = [json.loads(data)]
    except (ValueError, RecursionError):
        return
    while pending:
        match pending.pop():
            case str() as text:
                yield text
            case dict() as table:
                pending += [*table.keys(), *table.values()]
            case list() as items:
                pending += items
                if len(items) > 1 and all(isinstance(item, str) for item in items):
                    yield "".join(items)


def _from_base64(run: bytes) -> bytes | None:
    packed = b"".join(run.split())
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4))
    except binascii.Error:
        return None
