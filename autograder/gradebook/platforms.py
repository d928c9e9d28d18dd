"""What learning platforms call the files in the archives that they give out: whose they are, and whether they came late."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.errors import CourseError
from autograder.gradebook.files import JUNK, unpack
from autograder.submission import SUFFIXES

# Canvas puts all files into one folder: sortable name, LATE, number of the user, number of the file, name of the file.
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)")
# Moodle makes a folder for each student: full name, number of the participant, kind of the submission.
MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(file|onlinetext)_?")
AGAIN = re.compile(r"(?P<stem>.+)-\d+")  # Canvas's name for a file that is handed in once more


@dataclass(frozen=True)
class HandedIn:
    """One student's files in an archive.

    Attributes:
        name: what the archive calls the student.
        number: the student's number on the platform, if there is one.
        late: whether the platform says that they came late; None if it says nothing.
        files: where they lie, by the names that the student gave them; a folder by the name "".
    """

    name: str
    number: str
    late: bool | None
    files: dict[str, Path]

    def gather(self, folder: Path) -> None:
        """Copy the files into a new folder, and open the archive that a student handed in instead of a notebook.

        Raises:
            CourseError: that archive is none, or one that no honest program writes.
        """
        if "" in self.files:
            shutil.copytree(self.files[""], folder, symlinks=True, ignore=_no_pipes)
        else:
            folder.mkdir(parents=True)
            for name, path in self.files.items():
                shutil.copyfile(path, folder / name)
        archives = [path for path in folder.rglob("*") if path.suffix.lower() == ".zip" and path.is_file()]
        if len(archives) == 1 and not any(path.suffix.lower() in SUFFIXES for path in folder.rglob("*")):
            unpack(archives[0], folder / "unpacked")
            archives[0].unlink()


def _no_pipes(folder: str, names: list[str]) -> set[str]:
    """What is neither a file, nor a folder, nor a link stays behind: to copy a pipe is to wait for ever."""
    paths = ((name, Path(folder, name)) for name in names)
    return {name for name, path in paths if not (path.is_symlink() or path.is_file() or path.is_dir())}


def handed_in(top: Path, slug: str) -> list[HandedIn]:
    """Whose is what in an archive that was unpacked, or in a folder like it.

    There may be a folder for each student, or files named `<student>_<anything>`, or what Canvas or Moodle make.

    Raises:
        CourseError: it is not clear whose something is.
    """
    found: dict[tuple[str, str], HandedIn] = {}
    for path in sorted(top.iterdir()):
        if path.name in JUNK or path.name.startswith(".") or path.is_symlink():
            continue
        one = _folder(path, slug) if path.is_dir() else _file(path, slug) if path.is_file() else None
        if one is None:
            continue
        before = found.setdefault((one.name, one.number), one)
        if before is one:
            continue
        if "" in {**before.files, **one.files} or not one.number:
            names = ", ".join(item.name for item in (*before.files.values(), path))
            raise CourseError(f"are {names} all of {one.name}? Put each student's files into a folder with their name")
        found[one.name, one.number] = HandedIn(one.name, one.number, one.late, {**before.files, **one.files})
    return [_as_first_handed_in(one, slug) for one in found.values()]


def _folder(path: Path, slug: str) -> HandedIn:
    inner = path / slug  # as nbgrader keeps them: alice/vae/vae.ipynb
    files = {"": inner if [inner] == list(path.iterdir()) else path}
    if match := MOODLE.fullmatch(path.name):
        return HandedIn(match["name"], match["id"], None, files)
    return HandedIn(path.name, "", None, files)


def _file(path: Path, slug: str) -> HandedIn:
    if match := CANVAS.fullmatch(path.name):
        return HandedIn(match["name"], match["id"], match["late"] is not None, {match["file"]: path})
    student, _, name = path.name.partition("_")
    if not name and path.suffix in SUFFIXES and path.stem != slug:
        student, name = path.stem, path.name
    if not student or not name:
        raise CourseError(f"whose is {path.name}? Put each student's files into a folder that has their name")
    return HandedIn(student, "", None, {name: path})


def _as_first_handed_in(one: HandedIn, slug: str) -> HandedIn:
    """The same under the names that the student gave the files, if Canvas has numbered those of a later attempt."""
    stems = {name: AGAIN.fullmatch(Path(name).stem) for name in one.files if name}
    again = any(match and match["stem"] in (slug, f"{slug}-submission") for match in stems.values())
    if not one.number or not again:
        return one
    renamed = {name: f"{match['stem']}{Path(name).suffix}" if match else name for name, match in stems.items()}
    taken = Counter(renamed.values())
    files = {(renamed[name] if taken[renamed[name]] == 1 else name): path for name, path in one.files.items()}
    return HandedIn(one.name, one.number, one.late, files)


def students_of(everyone: list[HandedIn], known: Mapping[str, str]) -> Iterator[tuple[str, HandedIn]]:
    """What each of them is called in the course.

    Whoever has handed in before, by the platform's number, keeps that name. Of several who have the same name each gets
    their number behind it.

    Args:
        everyone: whose files came.
        known: the course's name for a student, by the platform's number.
    """
    names = Counter(one.name for one in everyone)
    taken = {name: number for number, name in known.items()}
    for one in everyone:
        shared = names[one.name] > 1 or taken.get(one.name, one.number) != one.number
        yield known.get(one.number) or (f"{one.name} {one.number}" if shared and one.number else one.name), one
