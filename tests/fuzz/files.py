"""What students hand in, mutated: notebooks, scripts and archives are read, or refused in one sentence."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from random import Random

import nbformat

from autograder.errors import CourseError
from autograder.gradebook.files import unpack
from autograder.reference import reference_notebook, reference_script
from autograder.submission import read_submission
from tests.fuzz.mutate import mutated_bytes, mutated_json
from tests.mini_course import make_course


class Files:
    """A folder to write each candidate into, and the small course."""

    name = ""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name)
        self.assignment = make_course(self.folder / "course").assignment("mini")

    def mutate(self, data: bytes, random: Random, others: list[bytes]) -> bytes:
        return mutated_bytes(data, random, others)

    def read(self, data: bytes) -> str:
        """Read it as a submission."""
        path = self.folder / f"mini{self.name}"
        path.write_bytes(data)
        submission = read_submission(path, self.assignment)
        assert submission.problem is None or "\n" not in submission.problem
        if submission.problem:
            return f"problem: {submission.problem[:30]}"
        kinds = sorted({note.partition(": ")[2][:20] for note in submission.notes})
        return f"{'cell ' * len(submission.cells)}{kinds}"


class Notebooks(Files):
    """Notebooks, as bytes and as JSON."""

    name = ".ipynb"

    def seeds(self) -> list[bytes]:
        notebook = reference_notebook(self.assignment)
        return [nbformat.writes(notebook).encode(), nbformat.writes(notebook, version=3).encode()]

    def mutate(self, data: bytes, random: Random, others: list[bytes]) -> bytes:
        try:
            value = json.loads(data)
            assert isinstance(value, dict | list)
        except (ValueError, RecursionError, AssertionError):
            return super().mutate(data, random, others)
        if random.random() < 0.2:
            return super().mutate(data, random, others)
        return json.dumps(mutated_json(value, random, [value])).encode()

    def run(self, data: bytes) -> str:
        return self.read(data)


class Scripts(Files):
    """Scripts, with and without cell marks."""

    name = ".py"

    def seeds(self) -> list[bytes]:
        script = reference_script(self.assignment)
        magics = "\n# %% [markdown]\n# text\n\n# %%\n%matplotlib inline\n!ls\nx = !ls\n%%bash\nls\n?x\nfiles?\n"
        return [script.encode(), script.replace("# %%", "#").encode(), (script + magics).encode()]

    def run(self, data: bytes) -> str:
        return self.read(data)


class Archives(Files):
    """Zip archives."""

    name = ".zip"

    def seeds(self) -> list[bytes]:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("ada/mini.ipynb", "{}" * 50)
            archive.writestr("ben/mini/mini.py", b"x = 1\n")
            archive.writestr("ben/notes/", b"")
        stored = io.BytesIO()
        with zipfile.ZipFile(stored, "w") as archive:
            archive.writestr("eve_mini.ipynb", "{}")
        return [buffer.getvalue(), stored.getvalue()]

    def run(self, data: bytes) -> str:
        path, out = self.folder / "handed-in.zip", self.folder / "out"
        path.write_bytes(data)
        before = sorted(self.folder.iterdir())
        refusal = None
        try:
            unpack(path, out)
        except CourseError as error:
            refusal = str(error)
        finally:
            assert sorted(path for path in self.folder.iterdir() if path != out) == before, (
                "something was written outside"
            )
            members = list(out.rglob("*"))
            shutil.rmtree(out, ignore_errors=True)
        if refusal is None:
            return f"taken in, {len(members)} members"
        assert not members
        assert "\n" not in refusal
        return f"refused: {refusal.partition(': ')[2][:40]}"
