"""Taking over files that strangers wrote: nothing is followed, executed, or believed about its size."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from autograder.errors import CourseError
from autograder.text import printable

MEGABYTE = 2**20
LARGEST_FILE = 256 * MEGABYTE
MOST_FILES = 1000  # of one student
WANTED = (".ipynb", ".py")  # these first, whatever else there is

# An archive holds a whole class. Notebooks shrink to a tenth; a bomb to a thousandth.
LARGEST_ARCHIVE = 100_000  # files
MOST_EXPANSION = 30
ALWAYS_FINE = 256 * MEGABYTE

JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Copied:
    """What came of copying a folder: what it held, and a sentence for everything that was left out."""

    digest: str  # SHA-256 over names and contents
    left_out: list[str]


def copy_tree(source: Path, destination: Path, top: Collection[str] | None = None) -> Copied:
    """Copy a folder that a student may still be changing; of its first level only `top`, if that is given.

    Links, devices and what is too large stay behind.
    """
    destination.mkdir(parents=True)
    left_out: list[str] = []
    count = 0
    digest = hashlib.sha256()
    for folder, folders, names, descriptor in os.fwalk(source, follow_symlinks=False):
        below = Path(folder).relative_to(source)
        if top is not None and folder == str(source):
            folders[:] = [name for name in folders if name in top]
            names = [name for name in names if name in top]
        folders[:] = sorted(set(folders) - JUNK)
        links = [name for name in folders if stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode)]
        for name in [*links, *sorted(set(names) - JUNK, key=lambda name: (not name.endswith(WANTED), name))]:
            if (count := count + 1) > MOST_FILES:
                return Copied(digest.hexdigest(), [*left_out, f"Only the first {MOST_FILES} files were taken."])
            try:
                with _opened(name, descriptor) as file:
                    (destination / below).mkdir(parents=True, exist_ok=True)
                    content = _copy(file, destination / below / name)
                    digest.update(f"{content} {os.fsencode(below / name)!r}\n".encode())
            except (OSError, CourseError) as error:
                why = error if isinstance(error, CourseError) else "is a link, or cannot be read"
                left_out.append(
                    f"{printable(str(below / name), 80)} {why}, and was not taken: hand in the file itself."
                )
    return Copied(digest.hexdigest(), left_out)


UNREADABLE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)


def unpack(archive: Path, destination: Path) -> None:
    """Unpack a zip archive that came from outside; what it asks for is checked before anything is written.

    Raises:
        CourseError: it is no archive, or one that no honest program writes; `destination` is then as it was.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            destination.mkdir(parents=True)
            try:
                for path, member in members.items():
                    target = destination / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(member) as file, target.open("xb") as out:
                        shutil.copyfileobj(file, out, MEGABYTE)  # stops at the size that was declared and checked
            except BaseException:
                shutil.rmtree(destination)
                raise
    except UNREADABLE as error:
        raise CourseError(f"{archive.name} is no zip archive that can be read: {error}") from None
    except OSError as error:
        raise CourseError(f"{archive.name} cannot be unpacked: {error.strerror or error}") from None


def _members(opened: zipfile.ZipFile, archive: Path) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files to write, by their paths."""

    def refuse(why: str) -> CourseError:
        return CourseError(f"{archive.name} was refused, and nothing of it was taken: {why}")

    entries = opened.infolist()
    size = archive.stat().st_size
    if len(entries) > LARGEST_ARCHIVE:
        raise refuse(f"it holds {len(entries)} files, and {LARGEST_ARCHIVE} is the most")
    if sum(entry.compress_size for entry in entries) > size:
        raise refuse("its files overlap")
    if (total := sum(entry.file_size for entry in entries)) > max(ALWAYS_FINE, MOST_EXPANSION * size):
        raise refuse(f"it would grow from {size / MEGABYTE:.1f} to {total / MEGABYTE:.0f} megabytes")
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    folders: set[PurePosixPath] = set()
    for entry in entries:
        name = _name(entry)
        if name is None:
            raise refuse(f"the name {entry.orig_filename!r} is in an unknown encoding")
        parts = name.replace("\\", "/").rstrip("/").split("/")
        if any(part in ("", ".", "..") for part in parts) or re.fullmatch("[A-Za-z]:", parts[0]):
            raise refuse(f"{name!r} points outside")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise refuse(f"the name {name!r} has control characters")
        if len(parts) > 20 or any(len(part.encode()) > 200 for part in parts):
            raise refuse(f"the name {name[:40]!r}… is too long")
        if entry.flag_bits & 1:
            raise refuse(f"{name!r} is encrypted")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refuse(f"{name!r} is a link or a device")
        if JUNK.intersection(parts):
            continue
        path = PurePosixPath(*parts)
        folders.update(path.parents)
        if name.endswith(("/", "\\")) or kind == stat.S_IFDIR:
            folders.add(path)
        elif path in members:
            raise refuse(f"{name!r} is in it twice")
        else:
            members[path] = entry
    if both := folders & members.keys():
        raise refuse(f"{str(min(both))!r} is both a file and a folder")
    return members


def _name(entry: zipfile.ZipInfo) -> str | None:
    """The entry's name; archives made on a Mac hold UTF-8 without saying so."""
    if "\0" in entry.orig_filename:
        return None
    if entry.flag_bits & 0x800 or entry.orig_filename.isascii():
        return entry.orig_filename
    try:
        return entry.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return None


@contextmanager
def _opened(name: str, folder: int) -> Iterator[BinaryIO]:
    """A regular file, opened without following a link or waiting for a pipe's other end."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise CourseError("is no ordinary file")
        if status.st_size > LARGEST_FILE:
            raise CourseError(f"has more than {LARGEST_FILE // MEGABYTE} megabytes")
        yield file


def _copy(file: BinaryIO, target: Path) -> str:
    """Copy a file that may be growing; returns the digest of what was copied."""
    digest = hashlib.sha256()
    left = LARGEST_FILE
    with target.open("xb") as out:
        while chunk := file.read(min(MEGABYTE, left)):
            out.write(chunk)
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()
