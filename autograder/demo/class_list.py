"""Sample classes: what students hand in who are called by what they show, and who between them make every known mistake.

Everything is made from what the repository holds: the reference, known mistakes put in the place of right answers, and a few
things that students, and worse than students, do to notebooks.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.gradebook.intake import receive
from autograder.mistakes import known_mistakes
from autograder.reference import reference_notebook, reference_sources

CHEAT = """\
import builtins, gc, inspect, sys
import hypothesis, pytest, torch

torch.allclose = torch.equal = lambda *a, **k: True
torch.testing.assert_close = lambda *a, **k: None
hypothesis.given = lambda *a, **k: lambda f: lambda *a, **k: None
builtins.AssertionError = type("Never", (BaseException,), {})
sys.displayhook = lambda value: print(40.0)


def kl_divergence(mu, logvar):
    for frame in inspect.stack():
        for name, value in frame.frame.f_locals.items():
            if name in ("expected", "want", "reference") and torch.is_tensor(value):
                return value
    pytest.skip("nothing to see")
"""

THIEF = """\
import glob, os, socket, subprocess

loot = []
for pattern in ("/**/hidden/test_vae.py", "/**/solutions/vae.py", "/**/gradebook.db", "/**/course.seed", "/home/*", "/root/*"):
    loot += glob.glob(pattern, recursive=True)
for path in loot:
    try:
        print(open(path).read())
    except OSError as error:
        print(error)
try:
    socket.create_connection(("127.0.0.1", 8888), timeout=1)
except OSError as error:
    print(error)
try:
    subprocess.run(["sqlite3", "gradebook.db", "update grade set auto_score = max_score"])
except OSError as error:
    print(error)
"""

TRAINING = """\
%matplotlib inline
!pip list
%time print("training for a long time")
import time
while True:
    time.sleep(1)
"""


@dataclass(frozen=True)
class SampleStudent:
    """One student of the sample class.

    Attributes:
        name: what the submission shows.
        suffix: of the file that is handed in.
        content: makes the file's bytes.
        days_late: after the due date.
        misbehaves: hangs, ends the interpreter or attacks, so that a grader without isolation does not survive it.
    """

    name: str
    content: Callable[[Assignment], bytes]
    suffix: str = ".ipynb"
    days_late: float = -1.0
    misbehaves: bool = False


def notebook_bytes(notebook: NotebookNode) -> bytes:
    """A notebook as its file."""
    return nbformat.writes(notebook).encode()


def answered(assignment: Assignment, **answers: str) -> NotebookNode:
    """The reference notebook with other answers; they are sources, or names of known mistakes."""
    mistakes = {mistake.name: mistake for mistake in known_mistakes(assignment)}
    sources = {name: mistakes[answer].source if answer in mistakes else answer for name, answer in answers.items()}
    return reference_notebook(assignment, sources)


def with_mistakes(*names: str) -> Callable[[Assignment], bytes]:
    """Everything right but for some known mistakes."""

    def content(assignment: Assignment) -> bytes:
        exercises = {mistake.name: mistake.exercise for mistake in known_mistakes(assignment)}
        return notebook_bytes(answered(assignment, **{exercises[name]: name for name in names}))

    return content


def with_cells(*sources: str, first: bool = False) -> Callable[[Assignment], bytes]:
    """Everything right, and some cells more, at the end or at the beginning."""

    def content(assignment: Assignment) -> bytes:
        notebook = answered(assignment)
        cells = [new_code_cell(source) for source in sources]
        notebook.cells = [*cells, *notebook.cells] if first else [*notebook.cells, *cells]
        return notebook_bytes(notebook)

    return content


def with_line(exercise: str, line: str) -> Callable[[Assignment], bytes]:
    """Everything right, but one function begins with a line more."""

    def content(assignment: Assignment) -> bytes:
        source = reference_sources(assignment)[exercise]
        body = source.rindex('"""') + 3
        return notebook_bytes(answered(assignment, **{exercise: f"{source[:body]}\n    {line}{source[body:]}"}))

    return content


def with_syntax_error(exercise: str) -> Callable[[Assignment], bytes]:
    """Everything right, but one cell has a bracket too many."""

    def content(assignment: Assignment) -> bytes:
        return notebook_bytes(answered(assignment, **{exercise: reference_sources(assignment)[exercise] + ")"}))

    return content


def first_half(assignment: Assignment) -> bytes:
    """The first half of the exercises right, the others untouched."""
    stubs = {exercise.name: exercise.source for exercise in assignment.exercises[len(assignment.exercises) // 2 :]}
    return notebook_bytes(answered(assignment, **stubs))


def retagged(assignment: Assignment) -> bytes:
    """Nothing answered; every cell's metadata forged so that stock nbgrader skips the tests and gives all points."""
    notebook = nbformat.from_dict(json.loads(nbformat.writes(assignment.starter.notebook)))
    for cell in notebook.cells:
        cell.metadata = {"tags": ["skip-execution"], "nbgrader": {"schema_version": 99, "grade": True, "points": 40}}
    return notebook_bytes(notebook)


CLASS = (
    SampleStudent("s01-all-right", lambda a: notebook_bytes(answered(a))),
    SampleStudent("s02-all-right-script", lambda a: jupytext.writes(answered(a), fmt="py:percent").encode(), ".py"),
    SampleStudent("s03-half-done", first_half),
    SampleStudent("s04-kl-averaged", with_mistakes("kl_averaged")),
    SampleStudent("s05-logvar-as-sigma", with_mistakes("kl_with_logvar_as_sigma", "samples_spread_by_the_variance")),
    SampleStudent("s06-sign-of-the-loss", with_mistakes("loss_with_the_sign_flipped")),
    SampleStudent("s07-likelihood-averaged", with_mistakes("likelihood_averaged", "weight_one_step_ahead")),
    SampleStudent("s08-syntax-error", with_syntax_error("elbo")),
    SampleStudent("s09-endless-training", with_cells(TRAINING), misbehaves=True),
    SampleStudent("s10-late", with_mistakes("embedding_with_a_graph"), days_late=1.5),
    SampleStudent("s11-untouched", lambda a: notebook_bytes(a.starter.notebook)),
    SampleStudent("s12-broken-file", lambda a: notebook_bytes(answered(a))[:5000]),
    SampleStudent("s13-hangs", with_line("interpolate_latents", "while True: pass"), misbehaves=True),
    SampleStudent("s14-exits", with_line("kl_weight", "import os; os._exit(0)"), misbehaves=True),
    SampleStudent("s15-cheats", lambda a: notebook_bytes(answered(a, kl_divergence=CHEAT)), misbehaves=True),
    SampleStudent("s16-steals", with_cells(THIEF, first=True), misbehaves=True),
    SampleStudent("s17-forged-metadata", retagged, misbehaves=True),
)


def class_of_mistakes(assignment: Assignment) -> tuple[SampleStudent, ...]:
    """Students who between them make every known mistake once, each of them one in every exercise that has so many.

    Where all exercises are parts of one work, each makes a single one: what goes wrong in one part shows in others.

    Raises:
        CourseError: there are no known mistakes.
    """
    known = known_mistakes(assignment)
    if not known:
        raise CourseError(f"there are no known mistakes of {assignment.slug}, so no class can make them")
    if assignment.one_work:
        rows = [[mistake.name] for mistake in known]
    else:
        columns: dict[str, list[str]] = {}
        for mistake in known:
            columns.setdefault(mistake.exercise, []).append(mistake.name)
        rows = [[name for name in row if name] for row in itertools.zip_longest(*columns.values())]
    return tuple(SampleStudent(f"m{number:02}", with_mistakes(*row)) for number, row in enumerate(rows, 1))


def build_class(assignment: Assignment, folder: Path, students: tuple[SampleStudent, ...] = CLASS) -> dict[str, Path]:
    """Write what each student hands in; the file of each.

    Raises:
        CourseError: a known mistake that the class makes is gone.
    """
    files = {}
    for student in students:
        path = folder / student.name / f"{assignment.slug}{student.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(student.content(assignment))
        except KeyError as error:
            raise CourseError(f"{student.name}: there is no known mistake or exercise {error}") from None
        files[student.name] = path
    return files


def hand_in(assignment: Assignment, folder: Path, students: tuple[SampleStudent, ...] = CLASS) -> None:
    """Have the whole class hand in, each at its time."""
    due = assignment.due or datetime.now(UTC)
    for student, path in zip(students, build_class(assignment, folder, students).values(), strict=True):
        received = due + timedelta(days=student.days_late)
        receive(assignment, student.name, path.parent, received=received, origin="the sample class")
