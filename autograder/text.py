"""A student's file as text: nothing but an ordinary file of bounded size is opened, and any encoding is met halfway."""

from __future__ import annotations

import codecs
import io
import os
import stat
import tokenize
from pathlib import Path

from autograder.errors import CourseError

FILE_LIMIT = 64 * 2**20  # bytes, pictures and all

_MARKS = {  # the longer before those that they begin with
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SLOW = ("idna", "punycode")  # codecs that take quadratic time, and that no source is written in


class Unreadable(Exception):
    """A file cannot be read as text; the message goes on after its name."""


def read_bytes(path: Path) -> bytes:
    """The content of an ordinary file.

    Raises:
        Unreadable: it is a link, a folder, a device, or too large; the student can mend that.
        CourseError: there is no such file, or this user may not read it.
    """
    try:
        if path.is_symlink():
            raise Unreadable("is a link, and links are not followed; hand in the file itself")
        # Neither a link put there meanwhile nor a pipe without a writer may lead astray.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("is no ordinary file; hand in a notebook or a script")
            content = file.read(FILE_LIMIT + 1) if status.st_size <= FILE_LIMIT else b""
            if status.st_size > FILE_LIMIT or len(content) > FILE_LIMIT:
                raise Unreadable(
                    f"is larger than {FILE_LIMIT >> 20} MB; clear the outputs of its cells, save it and hand it in again"
                )
            return content
    except IsADirectoryError:
        raise Unreadable("is no ordinary file; hand in a notebook or a script") from None
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}") from None


def decode(data: bytes) -> tuple[str, str | None]:
    """Text, and what to tell the student if its encoding had to be guessed.

    A byte-order mark decides, or else the declaration of PEP 263, or else it is UTF-8.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, "replace"), None
    for encoding in (_declared(data), "utf-8"):
        try:
            return data.decode(encoding), None
        except (ValueError, LookupError):
            continue
    repaired = data.decode("utf-8", "replace")
    if any(character > "\x7f" and character != "\ufffd" for character in repaired):
        return repaired, "is not quite UTF-8; what could not be read was replaced by �"
    return data.decode("latin-1"), "is not in UTF-8; it was read as Latin-1"


def _declared(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data[:4096]).readline)
    except (SyntaxError, ValueError):
        return "utf-8"
    return "utf-8" if encoding in _SLOW else encoding


def clean(text: str) -> str:
    """Text that can be parsed, hashed and written: lines end in newlines; no NUL, byte-order mark or half a character."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").removeprefix("\ufeff")
    return text.encode("utf-8", "replace").decode("utf-8")


def printable(text: str, length: int) -> str:
    """Text of a student's within a sentence: one line, at most so long, and no character that does something."""
    line = "".join(character if character.isprintable() else " " for character in text[: length + 1]).strip()
    return line if len(line) <= length else f"{line[: length - 1]}…"
