"""Packing a notebook or script for submission: one zip that a learning platform takes, always the same for one file."""

from __future__ import annotations

import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from coursekit.check import VISIBLE
from coursekit.errors import CoursekitError, UsageError
from coursekit.notebook import Document, read_document
from coursekit.source import Definition, definitions, exercises_in, unwritten

SLUG = re.compile(r"[a-z][a-z0-9_]*")
EXCHANGE = Path("/usr/local/share/nbgrader/exchange")  # nbgrader's default
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


@dataclass(frozen=True)
class Packed:
    """A packed submission.

    Attributes:
        zip: the file to hand in.
        assignment: its slug.
        written: the exercises that have an answer.
        warnings: what may be missing, in sentences.
        attached: files beside it that are handed in, too.
        command: how to hand it in through nbgrader, from the folder above, if an exchange is set up here.
    """

    zip: Path
    assignment: str
    written: tuple[str, ...]
    warnings: tuple[str, ...]
    attached: tuple[Path, ...] = ()
    command: str | None = None


def submit(path: Path, *, assignment: str | None = None, exchange: Path = EXCHANGE) -> Packed:
    """Write `<assignment>-submission.zip` beside a notebook or script.

    The zip holds the file as it is, under the name that the grader expects, and such files beside it as the assignment
    takes: a model's weights, for instance. Exercises that are missing or still unwritten
    are warned of, never refused: what is there counts.

    Args:
        path: the notebook or script.
        assignment: its slug; by default what the notebook's metadata says, or else the folder that holds `visible.py`.
        exchange: the folder of nbgrader's exchange.

    Raises:
        CoursekitError: the file cannot be read, or the zip not be written.
        UsageError: the assignment cannot be told.
    """
    document = read_document(path)
    slug = _slug(document, assignment)
    written, warnings = _answers(document)
    target = path.parent / f"{slug}-submission.zip"
    attached = _attached(document, slug)
    contents = {f"{slug}{path.suffix}": path, **{file.name: file for file in attached}}
    _write(target, {name: file.read_bytes() for name, file in contents.items()})
    through_exchange = shutil.which("nbgrader") and exchange.is_dir() and path.resolve().parent.name == slug
    command = f"nbgrader submit {slug}" if through_exchange else None
    return Packed(target, slug, written, warnings, attached, command)


def _attached(document: Document, slug: str) -> tuple[Path, ...]:
    """The files to hand in with it. A script has no metadata; then the notebook that was released beside it says."""
    folder = document.path.parent
    released = folder / f"{slug}.ipynb"
    suffixes = document.attachments
    if document.path.suffix == ".py" and released.is_file():
        suffixes = read_document(released).attachments
    return tuple(path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes and path.is_file())


def _slug(document: Document, given: str | None) -> str:
    folder = document.path.resolve().parent
    slug = given or document.assignment or (folder.name if (folder / VISIBLE).is_file() else None)
    if slug is None:
        raise UsageError(f"which assignment {document.path.name} belongs to cannot be told; add --assignment NAME")
    if not SLUG.fullmatch(slug):
        raise UsageError(f"{slug!r} is no assignment's name; add --assignment NAME, such as --assignment vae")
    return slug


def _answers(document: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The exercises that are answered, and a warning for each that is not."""
    found: dict[str, Definition] = {}
    warnings = []
    for cell in document.cells:
        try:
            found.update(definitions(cell.python))
        except (SyntaxError, ValueError) as error:
            where = f"cell {cell.number}" if len(document.cells) > 1 else document.path.name
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            warnings.append(f"{where} is not valid Python ({reason}); nothing in it will count.")
    exercises = _expected(document)
    for name in exercises:
        if name not in found:
            warnings.append(f"{name} is not defined.")
        elif stub := unwritten(found[name]):
            warnings.append(f"{stub} is not written yet.")
    written = tuple(name for name in exercises if name in found and not unwritten(found[name]))
    return written, tuple(warnings)


def _expected(document: Document) -> list[str]:
    """The exercises of the assignment: those that the cells are named for, and those that have visible checks."""
    named = [cell.name for cell in document.cells if cell.name]
    checks = document.path.resolve().parent / VISIBLE
    return list(dict.fromkeys([*named, *(exercises_in(checks) if checks.is_file() else [])]))


def _write(target: Path, contents: dict[str, bytes]) -> None:
    """A zip that depends on names and contents alone: no time, no user, no system."""
    try:
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in contents.items():
                entry = zipfile.ZipInfo(name, date_time=EPOCH)
                entry.create_system = 3  # Unix, wherever this runs
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
    except OSError as error:
        raise CoursekitError(f"{target} cannot be written: {error.strerror}") from None
