"""A small course that is released and in nbgrader's gradebook, and verdicts that need no grading."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from autograder.course import Assignment, Course
from autograder.gradebook import graders
from autograder.release import build_notebook, release
from autograder.submission import Submission
from autograder.verdict import ExerciseResult, Verdict, blank_verdict

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves what a release makes: a new gradebook takes seconds."""
    return tmp_path_factory.mktemp("releases")


@pytest.fixture
def course(mini_course: Course, releases: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    """The small course, released, with nbgrader's settings in it."""
    shutil.copy(REPOSITORY / "nbgrader_config.py", mini_course.root)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(mini_course.root / "jupyter"))  # no settings but the course's own
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    made = ["assignments/mini/mini.ipynb", "release", "gradebook.db"]
    if not any(releases.iterdir()):
        release(mini_course, ["mini"])
        for name in made:
            _copy(mini_course.root / name, releases / name)
    else:
        for name in made:
            _copy(releases / name, mini_course.root / name)
    return mini_course


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


@pytest.fixture
def mini(course: Course) -> Assignment:
    """The assignment of the small course."""
    return course.assignment("mini")


@dataclass
class Oracle:
    """Stands where a grader would, and gives the verdict that a test wants of a student's code.

    Verdicts themselves are the business of other tests.
    """

    assignment: Assignment
    results: dict[str, ExerciseResult] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)  # a piece of the source, and the grader's failure on it
    asked: list[Submission] = field(default_factory=list)

    def verdict(self, submission: Submission) -> Verdict:
        """Points for whatever the code says it earns, in lines such as `# square: 1.5`."""
        self.asked.append(submission)
        text = "\n".join(cell.source for cell in submission.cells)
        verdict = blank_verdict(self.assignment, submission, isolation="none", device="cpu", suite="test")
        for words, failure in self.failing.items():
            if words in text:
                return replace(verdict, failure=failure)
        exercises = tuple(self._result(result, text) for result in verdict.exercises)
        return replace(verdict, exercises=exercises, earned=sum(result.earned for result in exercises))

    def _result(self, result: ExerciseResult, text: str) -> ExerciseResult:
        stated = [line.split(":")[1] for line in text.splitlines() if line.strip().startswith(f"# {result.name}:")]
        given = self.results.get(result.name, result)
        return replace(given, earned=float(stated[-1])) if stated else given


@pytest.fixture
def oracle(mini: Assignment) -> Iterator[Oracle]:
    """Verdicts by what the code says."""
    stand_in = Oracle(mini)
    with graders.using(mini, stand_in):
        yield stand_in


@dataclass
class Desk:
    """Where students hand in."""

    assignment: Assignment

    def folder(self, student: str) -> Path:
        folder = self.assignment.submission_directory(student)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def notebook(self, square: str = "# square: 2", shift: str = "# Shift: 3", answer: str = "") -> NotebookNode:
        """The released notebook, filled in."""
        notebook = build_notebook(self.assignment)
        texts = {
            "square": f"def square(x):\n    {square}\n    return x * x",
            "Shift": f"class Shift(nn.Module):\n    {shift}\n    pass",
        }
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = texts.get(name, cell.source)
            if name == "why_squares" and answer:
                cell.source = answer
        return notebook

    def hand_in(
        self, student: str, notebook: NotebookNode | None = None, name: str = "mini.ipynb", **answers: str
    ) -> Path:
        """Put a notebook into a student's folder, as it is."""
        path = self.folder(student) / name
        path.write_text(nbformat.writes(notebook or self.notebook(**answers)), "utf-8")
        return path


@pytest.fixture
def desk(mini: Assignment) -> Desk:
    return Desk(mini)
