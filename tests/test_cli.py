"""The `course` command, run as people run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.reference import reference_script


def course(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `course` in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "COURSE_ROOT"}
    command = [sys.executable, "-P", "-m", "autograder.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def verdict(folder: Path, file: Path) -> dict:
    """What `course try --json` prints, without the times."""
    done = course(folder, "try", "mini", str(file), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    del document["seconds"]
    return document


def test_try_prints_one_document_and_the_same_again(shared_course: Course, tmp_path: Path) -> None:
    file = tmp_path / "mini.py"
    file.write_text(reference_script(shared_course.assignment("mini")))
    first = verdict(shared_course.root, file)
    assert first["earned"] == first["points"] == 5.0
    assert verdict(shared_course.root, file) == first


def test_try_shows_a_table(shared_course: Course) -> None:
    done = course(shared_course.root, "try", "mini", str(shared_course.assignment("mini").starter_path))
    assert done.returncode == 0
    assert "0 / 5" in done.stdout
    assert "not written yet" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["try", "mimi", "x.py"], 1, "did you mean 'mini'?"),
        (["try", "mini", "no_such_file.py"], 1, "no_such_file.py"),
        (["try", "mini"], 2, "FILE"),
        (["grade", "mini", "--workers", "0"], 2, "workers"),
        (["grade", "mini"], 1, "course collect mini"),
        (["grade", "mini", "--student", "nobody"], 1, "nobody has handed in nothing"),
        (["feedback", "mini"], 1, "course grade mini"),
        (["report", "mini"], 1, "course collect mini"),
        (["report", "mimi"], 1, "did you mean 'mini'?"),
        (["collect", "mini", "--zip", "no_such.zip"], 1, "no_such.zip"),
        (["no-such-command"], 2, "no-such-command"),
    ],
)
def test_a_wrong_call_gets_a_sentence(mini_course: Course, arguments: list[str], status: int, words: str) -> None:
    done = course(mini_course.root, *arguments)
    assert done.returncode == status
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_outside_a_course_it_says_so(tmp_path: Path) -> None:
    done = course(tmp_path, "release")
    assert done.returncode == 1
    assert "course.toml" in done.stderr


def test_a_wrong_course_file_is_named(mini_course: Course) -> None:
    path = mini_course.root / "course.toml"
    path.write_text(path.read_text().replace("seconds_per_call = 5", "seconds_per_call = -5"))
    done = course(mini_course.root, "release")
    assert done.returncode == 1
    assert "limits.seconds_per_call" in done.stderr
