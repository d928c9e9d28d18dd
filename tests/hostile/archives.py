"""Archives that come in from outside: the family `archive`.

A case is an `expected.toml` that describes a zip file (or stands beside one, `handed-in.zip`), and what must come of it:

    about     what it tries, in words
    refused   a regular expression for the one sentence that it is refused with; without it, it is taken in
    students  who handed in, if it is taken in
    [[entry]] a member of the archive, exactly as written there:
        name      its name, whatever that is; `bytes` (hexadecimal) for a name in another encoding
        content   its text, or `zeros`, a number of zero bytes
        mode      Unix mode, such as 0o120777 for a link to its content
        encrypted whether it says so
    [patch]   bytes of the finished file to replace, hexadecimal: {old = new}
    cut       only so many bytes of the file arrive
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook.collect import collect
from tests.hostile.cases import Case, Finding


def write_archive(path: Path, description: dict[str, Any]) -> None:
    """The zip file that a case describes."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # a name that stands there twice
        for member in description.get("entry", ()):
            entry = zipfile.ZipInfo("x")
            entry.filename = bytes.fromhex(member["bytes"]).decode("latin-1") if "bytes" in member else member["name"]
            entry.external_attr = member.get("mode", 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, bytes(member["zeros"]) if "zeros" in member else member.get("content", ""))
    data = path.read_bytes()
    for old, new in description.get("patch", {}).items():
        assert bytes.fromhex(old) in data, f"{old} is not in the archive"
        data = data.replace(bytes.fromhex(old), bytes.fromhex(new))
    path.write_bytes(data[: description.get("cut")])


def everything_below(folder: Path) -> dict[str, bytes]:
    """Every file and link below a folder, with what is in it."""
    return {
        str(path.relative_to(folder)): os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def collect_archive(case: Case, course: Course, scratch: Path) -> Finding:
    """Collect one archive into a course that has no submissions yet.

    Args:
        case: what it is.
        course: with an assignment `mini`; its folder is inside `scratch`.
        scratch: an empty folder otherwise, to see what was written outside the course.
    """
    archive = scratch / "handed-in.zip"
    if (case.folder / archive.name).exists():
        shutil.copy(case.folder / archive.name, archive)
    else:
        write_archive(archive, case.expected)
    before = everything_below(scratch)
    wrong = []
    try:
        collected = {one.student for one in collect(course, "mini", archive)}
    except CourseError as error:
        if not re.search(case.expected.get("refused", "a^"), str(error)) or "\n" in str(error):
            wrong.append(f"refused with: {error}")
        collected = set()
    else:
        if "refused" in case.expected or collected != set(case.expected["students"]):
            wrong.append(f"taken in, from {sorted(collected)}")
    inside = course.assignment("mini").submitted_root.relative_to(scratch)
    after = {name: data for name, data in everything_below(scratch).items() if not Path(name).is_relative_to(inside)}
    kept = everything_below(scratch / inside) if (scratch / inside).is_dir() else {}
    if not collected and kept:
        wrong.append(f"something of it was kept: {sorted(kept)[:3]}")
    if any(path.is_symlink() for path in scratch.rglob("*")):
        wrong.append("a link was made")
    return Finding(
        bystanders_harmed=tuple(
            name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)
        ),
        otherwise="; ".join(wrong),
    )
