"""What a student handed in: a notebook or a script, read as data and never imported or run by this process.

Whatever can be read counts. A fault in one cell is that cell's alone, and a note tells the student what was met.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.attachments import Attachment, find_attachments
from autograder.cells import RawCell, notebook_cells, script_cells
from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.reading import CODE_LIMIT, Cell, Reading, released_with
from autograder.syntax import definitions, fingerprint, parse, parses
from autograder.text import Unreadable, decode, printable, read_bytes

MOST_NOTES = 20
SUFFIXES = (".ipynb", ".py")
ANSWER_PLACEHOLDER = "*Write your answer here.*"


@dataclass(frozen=True)
class Submission:
    """A submission as the grader takes it.

    Attributes:
        path: the file that was read.
        cells: code cells in order.
        answers: written answers by the question's name; what was left unanswered is not among them.
        notes: what was met on the way, in sentences for the student.
        problem: why there is nothing to run, in a sentence; `cells` is empty then.
        digest: SHA-256 over `cells` and `attachments`: the same work has the same digest, as a notebook and as a script.
        attachments: files beside it that its code may read.
    """

    path: Path
    cells: tuple[Cell, ...]
    answers: dict[str, str]
    notes: tuple[str, ...]
    problem: str | None
    digest: str
    attachments: tuple[Attachment, ...] = ()


def read_submission(path: Path, assignment: Assignment) -> Submission:
    """Read a student's notebook or script; of a folder, the file that `find_submission` finds there.

    Raises:
        CourseError: there is no such file, or this user may not read it.
    """
    if path.is_dir():
        try:
            path = _find(path, assignment)
        except Unreadable as reason:
            return _submission(path, problem=f"The folder that was handed in {reason}.")
    submission = _with_attachments(_read(path, assignment), assignment)
    return replace(submission, notes=(*_on_its_name(submission, assignment), *submission.notes))


def submission_of(answers: Mapping[str, str]) -> Submission:
    """A submission that holds nothing but these sources, by exercise: what an author, not a student, wants graded."""
    return _submission(Path(), [Cell(source, name, number=n) for n, (name, source) in enumerate(answers.items(), 1)])


def raw_cells(path: Path) -> list[RawCell]:
    """All cells of a submission, text too, as they were handed in.

    Raises:
        Unreadable: the file is neither a notebook nor a script.
        CourseError: there is no such file, or this user may not read it.
    """
    return _raw_cells(path)[0]


def find_submission(directory: Path, assignment: Assignment) -> Path:
    """The file in a student's folder that is the submission.

    That is `<slug>.ipynb` or `<slug>.py`, whichever answers more exercises, or if they answer none, the only other
    notebook that does, or else the only other script. What was released beside the notebook is no submission.

    Raises:
        CourseError: there is none, or there are several that could be meant.
    """
    if not directory.is_dir():
        raise CourseError(f"there is no folder {directory}")
    try:
        return _find(directory, assignment)
    except Unreadable as reason:
        raise CourseError(f"{directory} {reason}") from None


def _find(directory: Path, assignment: Assignment) -> Path:
    candidates = _candidates(directory, assignment)
    if len(candidates) > 1:
        answered = {path: _answered(_read(path, assignment), assignment) for path in candidates}
        if any(answered[path] for path in candidates if path.parent == directory):  # the rest is copies, or older
            candidates = [path for path in candidates if path.parent == directory]
        named = [path for path in candidates if path.stem == assignment.slug]
        others = [path for path in candidates if path not in named]
        working = [path for path in others if answered[path]]
        candidates = _notebooks(working) or working or named[:1] or _notebooks(others) or others
        if done := [path for path in named if answered[path]]:
            best = max(done, key=lambda path: answered[path])  # of equals the first, and notebooks come first
            candidates = [best] if all(path.parent == best.parent for path in done) else done
    expected = f"{assignment.slug}.ipynb"
    match candidates:
        case [path]:
            return path
        case []:
            raise Unreadable(f"holds no notebook and no script; {expected} is what to hand in")
    names = ", ".join(printable(str(path.relative_to(directory)), 60) for path in candidates[:5])
    raise Unreadable(f"holds several files that could be meant ({names}); name the right one {expected}")


def _candidates(directory: Path, assignment: Assignment) -> list[Path]:
    """Ordinary notebooks and scripts that were not handed out, notebooks first."""
    released = {path.name for path in assignment.directory.rglob("*")} - {f"{assignment.slug}.py"}
    found = [
        path
        for path in sorted(directory.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not path.is_symlink()
        and not any(part.startswith((".", "__")) for part in path.relative_to(directory).parts)
        and (path.stem == assignment.slug or path.name not in released)
    ]
    return sorted(found, key=lambda path: path.suffix.lower() != ".ipynb")


def _notebooks(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() == ".ipynb"]


def _with_attachments(submission: Submission, assignment: Assignment) -> Submission:
    """The same with the files beside it."""
    attachments, notes = find_attachments(submission.path, assignment)
    digest = submission.digest
    if attachments:
        parts = [digest, *(f"{item.name} {item.digest}" for item in attachments)]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return replace(submission, attachments=attachments, digest=digest, notes=(*submission.notes, *notes))


def _answered(submission: Submission, assignment: Assignment) -> int:
    """How many exercises the submission defines in another way than their stubs."""
    latest: dict[str, ast.AST] = {}
    for cell in submission.cells:
        latest.update(definitions(parse(cell.source)) if parses(cell.source) else {})
    stubs = released_with(assignment).stubs.items()
    return sum(name in latest and fingerprint(latest[name]) != stub for name, stub in stubs)


def _on_its_name(submission: Submission, assignment: Assignment) -> Iterator[str]:
    path = submission.path
    if path.stem != assignment.slug:
        yield f"The file should be called {assignment.slug}{path.suffix}, not {printable(path.name, 60)}."
        return
    other = path.with_suffix(".py" if path.suffix == ".ipynb" else ".ipynb")
    if other.is_file() and not other.is_symlink():
        total = len(assignment.exercises)
        yield (
            f"There are {path.name} ({_answered(submission, assignment)} of {total} exercises answered) and "
            f"{other.name} ({_answered(_read(other, assignment), assignment)} of {total}); {path.name} was graded."
        )


def _submission(
    path: Path,
    cells: Iterable[Cell] = (),
    answers: dict[str, str] | None = None,
    notes: Iterable[str] = (),
    problem: str | None = None,
) -> Submission:
    cells, notes = tuple(cells), tuple(notes)
    if len(notes) > MOST_NOTES:
        notes = (*notes[: MOST_NOTES - 1], f"… and {len(notes) - MOST_NOTES + 1} more notes of this kind.")
    content = json.dumps([[cell.source, cell.definitions_only] for cell in cells])
    return Submission(path, cells, answers or {}, notes, problem, hashlib.sha256(content.encode()).hexdigest())


def _raw_cells(path: Path) -> tuple[list[RawCell], str | None]:
    text, guess = decode(read_bytes(path))
    if not text.strip(" \t\r\n\0\ufeff"):
        raise Unreadable("is empty")
    try:
        if path.suffix.lower() == ".ipynb" or text.lstrip().startswith("{"):
            cells = notebook_cells(text)
        else:
            cells = script_cells(text) if len(text) <= CODE_LIMIT else [RawCell(1, "code", text)]
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if sum(len(cell.source) for cell in cells if cell.kind == "code") > CODE_LIMIT:
        raise Unreadable(f"holds more than {CODE_LIMIT // 1000} kB of code; keep large data out of the code")
    return cells, guess


def _read(path: Path, assignment: Assignment) -> Submission:
    shown = printable(path.name, 60)
    try:
        raw, guess = _raw_cells(path)
    except Unreadable as reason:
        return _submission(path, problem=f"{shown} {reason}.")
    reading = Reading(raw, released_with(assignment))
    notes = ([f"{shown} {guess}."] if guess else []) + reading.notes
    problem = None if reading.cells else f"{shown} holds no code."
    return _submission(path, reading.cells, _answers(raw, assignment), notes, problem)


def _answers(raw: list[RawCell], assignment: Assignment) -> dict[str, str]:
    """Written answers. One that was split or given twice is put together: a person reads it."""
    answers: dict[str, str] = {}
    for question in assignment.questions:
        texts = [cell.source.strip() for cell in raw if cell.name == question.name]
        texts = [text.removeprefix(question.text.strip()).removeprefix(ANSWER_PLACEHOLDER).strip() for text in texts]
        if answer := "\n\n".join(dict.fromkeys(text for text in texts if text)):
            answers[question.name] = answer
    return answers
