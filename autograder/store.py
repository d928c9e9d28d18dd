"""Where verdicts are kept: one file for each share of a submission, so that nothing is graded twice.

The key holds everything that the results in it depend on: the submission, the share's part of the suite, the environment.
A file is complete or absent: it is written beside and then renamed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from autograder.course import Assignment
from autograder.engines.job import Job
from autograder.engines.pending import Pending
from autograder.errors import CourseError
from autograder.share import hidden_part, starter_part
from autograder.submission import Submission
from autograder.verdict import Verdict, with_points, with_results

LIBRARIES = (  # what runs properties, and what they ask for an answer
    *("torch", "torchvision", "numpy", "hypothesis", "pytest", "jaxtyping"),
    *("diffusers", "peft", "scikit-learn", "scipy", "tokenizers", "transformers"),
)
HERE = Path(__file__).parent


def suite_digest(assignment: Assignment) -> str:
    """Changes whenever a verdict on the same code might: properties, reference, mistakes, starter, secret seed."""
    return digest([assignment.hidden_path, assignment.starter_path], _shared_digest(assignment).encode())


def share_digest(assignment: Assignment, exercises: Sequence[str]) -> str:
    """Changes whenever the results of a share of the exercises, graded together, might; but not with their points."""
    if assignment.one_work:  # each exercise may be asked about any other
        return suite_digest(assignment)
    try:
        hidden = hidden_part(assignment.hidden_path.read_text("utf-8"), exercises)
    except (OSError, ValueError, SyntaxError):
        return suite_digest(assignment)  # whoever imports the module says what is wrong with it
    parts = (_shared_digest(assignment), starter_part(assignment.starter), hidden)
    return digest([], "\0".join(parts).encode())


def _shared_digest(assignment: Assignment) -> str:
    """Of what every result depends on: properties ask the reference, and diagnoses compare with the mistakes."""
    files = [
        *(assignment.solution_path, assignment.mistakes_path),
        *sorted((HERE / "properties").glob("*.py")),
        *sorted((assignment.course.root / "coursekit").rglob("*.py")),  # properties and submissions use all of it
    ]
    return digest(files, assignment.course.seed, str(assignment.policy.examples).encode())


def environment_digest(assignment: Assignment, device: str) -> str:
    """Changes with the machinery around the suite: libraries, sandbox, scoring, limits, device."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    about = [
        platform.python_version(),
        platform.machine(),
        device,
        *versions,
        assignment.limits.model_dump_json(),
    ]
    files = [*sorted((HERE / "sandbox").glob("*.py"))]
    files += [HERE / name for name in ("verdict.py", "diagnose.py", "engines/job.py", "engines/runner.py", "share.py")]
    return digest(files, "\n".join(about).encode())


def behaviours_directory(assignment: Assignment, suite: str, device: str) -> Path:
    """Where it is kept how the known mistakes of an assignment behave under a suite and the present environment."""
    key = digest([], suite.encode(), environment_digest(assignment, device).encode())
    return assignment.course.verdicts_directory / assignment.slug / f"behaviours-{key[:12]}"


def digest(files: Iterable[Path], *more: bytes) -> str:
    """Hexadecimal digest of files' names and contents, and of more bytes."""
    total = hashlib.sha256()
    for path in files:
        if path.is_file():
            content = path.read_bytes()
            total.update(f"{path.name} {len(content)}\n".encode())
            total.update(content)
    for part in more:
        total.update(part)
    return total.hexdigest()[:32]


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is complete or absent, whatever happens on the way.

    Raises:
        CourseError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise CourseError(f"{path.name} cannot be stored in {path.parent}: {error.strerror}") from None


class VerdictStore:
    """The verdicts on shares of submissions to one assignment, under the present suite and environment."""

    def __init__(self, assignment: Assignment, device: str) -> None:
        self._assignment = assignment
        self._parts: dict[tuple[str, ...], str] = {}
        self.suite = suite_digest(assignment)
        self.environment = environment_digest(assignment, device)
        self._directory = assignment.course.verdicts_directory / assignment.slug

    def _path(self, share: Job) -> Path:
        # Notes, and the numbers of cells, are about the file, not the code: they are told in the verdict, too.
        submission, exercises = share.submission, share.exercises or ()
        if exercises not in self._parts:
            self._parts[exercises] = share_digest(self._assignment, exercises)
        numbers = ",".join(str(cell.number) for cell in submission.cells)
        about = [submission.digest, numbers, *submission.notes, submission.problem or ""]
        about += [*exercises, self._parts[exercises], self.environment]
        return self._directory / f"{hashlib.sha256(chr(0).join(about).encode()).hexdigest()[:40]}.json"

    def get(self, share: Job) -> Verdict | None:
        """The verdict on this share of this very code, if there is one, for the points that exercises are worth now."""
        try:
            verdict = Verdict.from_json(self._path(share).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None  # a file that is no verdict is graded again and replaced
        points = {exercise.name: exercise.points for exercise in self._assignment.exercises}
        if {result.name for result in verdict.exercises} != set(share.exercises or ()):
            return None
        results = tuple(with_points(result, points[result.name]) for result in verdict.exercises)
        about = replace(verdict, points=self._assignment.points, suite=self.suite)
        return with_results(about, results)

    def known(self, submission: Submission) -> Pending:
        """A submission's shares, with the verdicts that are kept on them."""
        pending = Pending.of(Job(submission), [exercise.name for exercise in self._assignment.exercises])
        pending.verdicts = [self.get(share) for share in pending.shares]
        return pending

    def put(self, share: Job, verdict: Verdict) -> None:
        """Keep the verdict on a share, unless the grader itself failed.

        Raises:
            CourseError: it cannot be written.
        """
        if verdict.failure is None:
            write_whole(self._path(share), verdict.to_json())
