"""Releasing: from a starter to the notebook that students get, by nbgrader's own hand.

Everything is made beside the old release and looked through before it takes its place, so a release that fails changes
nothing for students.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.exercise import HANDS_ON
from autograder.leaks import answers_left_in, leaks
from autograder.submission import ANSWER_PLACEHOLDER
from autograder.syntax import definitions, parse

CHECK = "from coursekit import check"
IMPORTS = "imports"  # nbgrader's name for the first code cell
NAMES = "at most 57 letters from A to Z, digits, _ and - make a name"  # 64, less a prefix or suffix of ours
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
EPOCH = "315532800"  # 1980, the first year that a zip can hold: the same sources give the same wheel


def release(course: Course, slugs: Iterable[str]) -> list[Path]:
    """Build the notebooks of assignments and release them: all of them, or none.

    Scores that are in the gradebook stay there.

    Returns:
        The folders that students get.

    Raises:
        CourseError: a starter is faulty, nbgrader refuses, or something private would get out.
    """
    assignments = [course.assignment(slug) for slug in slugs]
    _refuse(answers_left_in(course, assignments))
    (course.root / "release").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=course.root / "release") as scratch:
        wheel = build_wheel(course, Path(scratch))
        new = Path(scratch) / "release"
        for assignment in assignments:
            write_notebook(assignment)
        for recorded in (False, True):  # the gradebook hears of a release only after it was looked through
            for assignment in assignments:
                _generate(assignment, new, recorded=recorded)
                shutil.copy(wheel, new / assignment.slug)
            _refuse(leaks(course, new))
        _exchange(course, [*(new / assignment.slug for assignment in assignments), wheel])
    return [assignment.release_directory for assignment in assignments]


def build_notebook(assignment: Assignment) -> NotebookNode:
    """The notebook of a starter, with nbgrader's metadata; the same starter always gives the same notebook.

    Raises:
        CourseError: a name in the starter is none that nbgrader can use, or one is used twice.
    """
    cells = [cell for given in assignment.starter.notebook.cells for cell in _cells(given, assignment)]
    _begin_with_imports(cells)
    count: Counter[str] = Counter()
    for cell in cells:
        kind = HANDS_ON if HANDS_ON in cell.metadata.get("tags", []) else cell.cell_type
        count[kind] += 1
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", f"{kind}-{count[kind]}")
        if not _NAME.fullmatch(cell.id):
            raise CourseError(f"{assignment.starter_path.name}: nbgrader cannot call a cell {cell.id!r}; {NAMES}")
    (name, times), *_ = Counter(cell.id for cell in cells).most_common()
    if times > 1:
        raise CourseError(f"{assignment.starter_path.name}: nbgrader would know two cells as {name!r}; rename one")
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "course": {
            "assignment": assignment.slug,
            "version": version(assignment),
            **({"attachments": list(assignment.attachments)} if assignment.attachments else {}),
        },
    }
    return new_notebook(cells=cells, metadata=metadata)


def version(assignment: Assignment) -> str:
    """Which text of the starter a notebook was made from."""
    return hashlib.sha256(assignment.starter_path.read_bytes()).hexdigest()[:12]


def write_notebook(assignment: Assignment) -> Path:
    """Write the notebook where nbgrader looks for an instructor's version."""
    path = assignment.directory / f"{assignment.slug}.ipynb"
    nbformat.write(build_notebook(assignment), path)
    return path


def build_wheel(course: Course, directory: Path) -> Path:
    """Build the wheel of coursekit; the same sources always give the same bytes.

    Raises:
        CourseError: pip cannot build it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch) / "coursekit"
        shutil.copytree(
            course.root / "coursekit",
            sources,
            ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info"),
        )
        for path in sources.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        options = "--quiet --no-deps --no-build-isolation --no-index --no-cache-dir --disable-pip-version-check".split()
        command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(directory), str(sources)]
        done = subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH}, capture_output=True, text=True)
    wheels = list(directory.glob("coursekit-*.whl"))
    if done.returncode or len(wheels) != 1:
        raise CourseError(f"the wheel of coursekit cannot be built: {(done.stderr or done.stdout).strip()[-500:]}")
    return wheels[0]


def _cells(given: NotebookNode, assignment: Assignment) -> Iterator[NotebookNode]:
    """What students get for one cell of the starter."""
    match given.metadata:
        case {"exercise": str(name), "points": points}:
            yield new_code_cell(given.source, metadata=_nbgrader(name, solution=True))
            yield new_code_cell(f"check({name})", metadata=_nbgrader(f"check_{name}", locked=True, points=points))
        case {"question": str(name), "points": points}:
            yield new_markdown_cell(given.source, metadata=_nbgrader(f"{name}_prompt", locked=True))
            yield new_markdown_cell(ANSWER_PLACEHOLDER, metadata=_nbgrader(name, solution=True, points=points))
        case {"tags": [*tags]}:
            yield _plain(given, {"tags": tags})
        case _:
            yield _plain(given, {})


def _plain(given: NotebookNode, metadata: dict[str, Any]) -> NotebookNode:
    make = new_code_cell if given.cell_type == "code" else new_markdown_cell
    return make(given.source, metadata=metadata)


def _begin_with_imports(cells: list[NotebookNode]) -> None:
    """Lock the first code cell, which students should not lose, and see to it that it imports `check`."""
    first = next((number for number, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    if first == len(cells) or cells[first].metadata:
        cells.insert(first, new_code_cell(CHECK))
    elif "check" not in definitions(parse(cells[first].source)):
        cells[first].source += f"\n\n{CHECK}"
    cells[first].metadata = _nbgrader(IMPORTS, locked=True)


def _nbgrader(
    name: str, *, solution: bool = False, locked: bool = False, points: float | None = None
) -> dict[str, Any]:
    role: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": name,
        "grade": points is not None,
        "solution": solution,
        "locked": locked,
        "task": False,
    }
    return {"nbgrader": role if points is None else {**role, "points": points}}


def _generate(assignment: Assignment, directory: Path, *, recorded: bool) -> None:
    """Run `nbgrader generate_assignment` into `directory`; only if `recorded` does the gradebook hear of it."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.utils import capture_log

    from autograder.gradebook import settings

    config = settings.load(assignment.course)
    config.CourseDirectory.root = str(assignment.course.root)
    config.CourseDirectory.release_directory = os.path.relpath(directory, assignment.course.root)
    config.CourseDirectory.assignment_id = config.CourseDirectory.notebook_id = assignment.slug
    if not recorded:
        steps = config.GenerateAssignment.preprocessors
        config.GenerateAssignment.preprocessors = [step for step in steps if not step.endswith(".SaveCells")]
        config.GenerateAssignment.no_database = True
    shutil.rmtree(directory / assignment.slug, ignore_errors=True)
    done = capture_log(GenerateAssignment(coursedir=CourseDirectory(config=config), config=config))
    if not done["success"]:
        raise CourseError(f"nbgrader cannot release {assignment.slug}: {_reason(done)}")


def _reason(done: dict[str, Any]) -> str:
    """What nbgrader was stopped by, from its log."""
    if "Cannot add or remove cells" in done.get("log", ""):
        return (
            "it has submissions, so no exercise or question can be added, removed or renamed any more; put them back, "
            "or release them as a new assignment"
        )
    raised = [line for line in done.get("log", "").splitlines() if "Error: " in line]
    return (raised or done["error"].strip().splitlines())[-1]


def _refuse(found: list[str]) -> None:
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise CourseError(f"nothing is released, for {'; '.join(found[:3])}{more}; take it out of what is public")


def _exchange(course: Course, new: list[Path]) -> None:
    """Put files and folders in place of those of the same name in the release; if one cannot be, all old ones return."""
    target = course.root / "release"
    with tempfile.TemporaryDirectory(prefix=".old-", dir=target) as scratch:
        old = Path(scratch)
        stale = {path.name for path in new} | {path.name for path in target.glob("coursekit-*.whl")}
        try:
            for name in sorted(stale):
                if (target / name).exists():
                    os.rename(target / name, old / name)
            for path in new:
                os.rename(path, target / path.name)
        except BaseException as error:
            for path in new:
                shutil.rmtree(target / path.name, ignore_errors=True)
            for path in old.iterdir():
                os.rename(path, target / path.name)
            if isinstance(error, OSError):
                raise CourseError(f"the release cannot be written: {error.strerror}; the old one stays") from None
            raise
