"""A machine that fails: no space, no gradebook, a gradebook that is locked or broken, two graders at once.

Each time one sentence says what is wrong, nothing is lost, and the next run goes on by itself.
"""

import os
import resource
import signal
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autograder.course import Course
from autograder.errors import CourseError
from autograder.grade import Grader
from autograder.gradebook.settings import DATABASE
from autograder.reference import reference_script
from autograder.release import release
from autograder.submission import read_submission
from tests.faults.road import in_a_process, outcome, travel
from tests.sandbox.processes import below, eventually


def sentence(action: Callable[[], object], where: Path) -> str:
    """What a run in a process of its own says when it cannot go on: one sentence, and no other exception."""

    def run() -> None:
        try:
            action()
        except CourseError as error:
            where.write_text(str(error))
            os._exit(2)

    status, _ = in_a_process(run)
    assert os.waitstatus_to_exitcode(status) in (0, 2)
    said = where.read_text() if where.exists() else ""
    where.unlink(missing_ok=True)
    assert "\n" not in said
    return said


@pytest.fixture
def expected(fresh: Callable[[], Path]) -> dict[str, Any]:
    """What an undisturbed run leaves."""
    folder = fresh()
    assert in_a_process(lambda: travel(folder / "course", folder / "ada.zip"))[0] == 0
    return outcome(folder / "course")


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kilobytes", [0, 1, 4, 16, 64])
def test_a_disk_without_space(
    fresh: Callable[[], Path], expected: dict[str, Any], tmp_path: Path, kilobytes: int
) -> None:
    """No file can grow beyond so many kilobytes; a write that goes over fails, as on a disk that is full."""
    folder = fresh()

    def cramped() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, resource.RLIM_INFINITY))
        try:
            travel(folder / "course", folder / "ada.zip")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert sentence(cramped, tmp_path / "said")
    assert outcome(folder / "course")["scores"]["ben"] == expected["scores"]["ben"]
    assert not sentence(lambda: travel(folder / "course", folder / "ada.zip"), tmp_path / "said")
    assert outcome(folder / "course") == expected


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_gradebook_that_somebody_else_has_locked(
    fresh: Callable[[], Path], expected: dict[str, Any], tmp_path: Path
) -> None:
    folder = fresh()
    with sqlite3.connect(folder / "course" / "gradebook.db", isolation_level=None) as other:
        other.execute("begin exclusive")
        said = sentence(lambda: travel(folder / "course", folder / "ada.zip"), tmp_path / "said")
        other.execute("rollback")
    assert "locked" in said
    assert not sentence(lambda: travel(folder / "course", folder / "ada.zip"), tmp_path / "said")
    assert outcome(folder / "course") == expected


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
@pytest.mark.parametrize("content", [b"", b"this is no database" * 1000])
def test_a_gradebook_that_is_lost_or_broken(
    fresh: Callable[[], Path], expected: dict[str, Any], tmp_path: Path, content: bytes
) -> None:
    """It is rebuilt by a release; the submissions and the verdicts on them are still there."""
    folder = fresh()
    root = folder / "course"
    (root / "gradebook.db").write_bytes(content)
    said = sentence(lambda: travel(root, folder / "ada.zip"), tmp_path / "said")
    assert "gradebook" in said
    (root / "gradebook.db").unlink()
    course = Course.load(root)
    release(course, ["mini"])
    for student in ("ben", "ada"):  # pages are written for all who were graded
        assert not sentence(lambda student=student: travel(root, folder / f"{student}.zip"), tmp_path / "said")
    assert outcome(root) == expected


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_lock_that_cannot_be_made(fresh: Callable[[], Path], expected: dict[str, Any], tmp_path: Path) -> None:
    """Something stands where the locks are kept, as after a restored backup gone wrong."""
    folder = fresh()
    ledgers = folder / "course" / "submitted" / ".ledger"
    kept = ledgers.rename(folder / "kept")
    ledgers.write_text("")
    said = sentence(lambda: travel(folder / "course", folder / "ada.zip"), tmp_path / "said")
    assert "cannot lock" in said
    ledgers.unlink()
    kept.rename(ledgers)
    assert not sentence(lambda: travel(folder / "course", folder / "ada.zip"), tmp_path / "said")
    assert outcome(folder / "course") == expected


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_a_gradebook_whose_server_is_gone(
    fresh: Callable[[], Path], expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fresh()
    address = os.environ[DATABASE]
    monkeypatch.setenv(DATABASE, f"{address}-nowhere")
    said = sentence(lambda: travel(folder / "course", folder / "ada.zip"), tmp_path / "said")
    assert "the gradebook cannot be used" in said
    monkeypatch.setenv(DATABASE, address)
    assert not sentence(lambda: travel(folder / "course", folder / "ada.zip"), tmp_path / "said")
    assert outcome(folder / "course") == expected


def test_two_graders_at_once(fresh: Callable[[], Path], expected: dict[str, Any]) -> None:
    folder = fresh()
    running = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                travel(folder / "course", folder / "ada.zip")
                os._exit(0)
            except CourseError:
                os._exit(2)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        running.append(pid)
    ended = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in running)
    assert ended == [0, 0]
    assert outcome(folder / "course") == expected


def test_a_fork_server_that_dies(mini_course: Course, tmp_path: Path) -> None:
    """One sentence, and the next run grades what has no verdict yet."""
    assignment = mini_course.assignment("mini")
    (tmp_path / "mini.py").write_text(reference_script(assignment), "utf-8")
    submission = read_submission(tmp_path / "mini.py", assignment)
    with Grader(assignment, workers=1) as grader:
        parent = grader.engine._process.pid
        children = below({parent})
        assert children
        for child in children:
            os.kill(child, signal.SIGKILL)
        assert eventually(lambda: not (below({parent}) & children) or all(_is_dead(child) for child in children))
        with pytest.raises(CourseError, match="run the command again"):
            grader.verdict(submission)
    with Grader(assignment, workers=1) as grader:
        assert grader.verdict(submission).earned == 5.0


def _is_dead(pid: int) -> bool:
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
