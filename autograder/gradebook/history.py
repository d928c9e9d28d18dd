"""Who changed which score, and when: a log in the course's folder, where no student can write.

One line of JSON for each score that a run changes, written before the gradebook is. So a change without a line cannot be; a
line without its change can, where the run was stopped in between, and then the next line begins where that one began.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder.course import Course
from autograder.errors import CourseError
from autograder.gradebook.standing import Score

FILE = "changes.jsonl"
LATE = "late penalty"  # stands in the place of an exercise's name, which has no space
KEYS = {"was": "from", "becomes": "to", "before": "suite_before", "after": "suite_after"}  # names in a line


@dataclass(frozen=True)
class Change:
    """One score that was changed; None where there is none.

    Attributes:
        time: in UTC.
        who: the login name of whoever ran the command.
        command: what was run, up to its first option.
        exercise: or a written question, or `LATE`: points that lateness takes off.
        before, after: the digest of the suite under which each score was given.
    """

    time: str
    who: str
    command: str
    assignment: str
    student: str
    exercise: str
    was: float | None
    becomes: float | None
    before: str | None
    after: str | None


def differences(now: Score | None, then: Score) -> dict[str, tuple[float | None, float | None]]:
    """The scores that differ, by exercise: what each is, and what it becomes."""
    grades = now.grades if now else {}
    pairs: dict[str, tuple[float | None, float | None]] = {
        name: (grades[name].score if name in grades else None, then.grades[name].score if name in then.grades else None)
        for name in {**then.grades, **grades}
    }
    pairs[LATE] = (now.penalty or None if now else None), then.penalty or None
    return {name: (was, becomes) for name, (was, becomes) in pairs.items() if was != becomes}


def announce(course: Course, slug: str, now: Score | None, then: Score, before: str | None, after: str | None) -> None:
    """Log what is about to change, if anything is.

    Args:
        course: whose log.
        slug: the assignment.
        now: what the gradebook says.
        then: what it will say.
        before: the digest of the suite under which `now` was given.
        after: the digest of the suite under which `then` is given.

    Raises:
        CourseError: it cannot be written; then nothing of it is, and nothing may be changed.
    """
    about = (f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", login_name(), command(), slug, then.student)
    changes = [Change(*about, name, *pair, before, after) for name, pair in differences(now, then).items()]
    if changes:
        _append(course.root / FILE, "".join(_line(change) for change in changes).encode())


def check(course: Course) -> None:
    """Insist that the log can be written, before anything is begun.

    Raises:
        CourseError: it cannot.
    """
    _append(course.root / FILE, b"")


def changes(course: Course, slug: str | None = None, student: str | None = None) -> list[Change]:
    """What the log says of an assignment and a student, or of all, oldest first. A broken line is passed over."""
    try:
        text = (course.root / FILE).read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CourseError(f"{course.root / FILE} cannot be read: {error.strerror}") from None
    found = _read(text.split("\n"))
    return [item for item in found if slug in (None, item.assignment) and student in (None, item.student)]


def to_data(change: Change) -> dict[str, Any]:
    """The keys and values of its line."""
    return {KEYS.get(name, name): value for name, value in asdict(change).items()}


def login_name() -> str:
    """Who runs this process, by the operating system's word and not by a variable that anyone can set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container that has no such user
        return str(os.getuid())


def command() -> str:
    """What was run, without its options: a server's may hold secrets."""
    program, *arguments = sys.argv or [""]
    path = Path(program)
    name = path.parent.name if path.name == "__main__.py" else path.stem
    words = [name]
    for argument in arguments:
        if argument.startswith("-"):
            break
        words.append(argument)
    return " ".join(words)


def _line(change: Change) -> str:
    return json.dumps(to_data(change), ensure_ascii=False) + "\n"


def _read(lines: Iterable[str]) -> Iterator[Change]:
    names = {key: name for name, key in KEYS.items()}
    for line in lines:
        try:
            data = json.loads(line)
            yield Change(**{names.get(key, key): value for key, value in data.items()})
        except (ValueError, TypeError, AttributeError):
            continue


def _append(path: Path, content: bytes) -> None:
    """Append lines, all of them or none, and have them on the disk when this returns."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            end = os.fstat(descriptor).st_size
            if content and end and os.pread(descriptor, 1, end - 1) != b"\n":
                content = b"\n" + content  # one that was killed left a part of a line: readers pass over it
            try:
                written = 0
                while written < len(content):
                    written += os.pwrite(descriptor, content[written:], end + written)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CourseError(
            f"the log of changed scores, {path}, cannot be written ({error.strerror}), so no score was changed; "
            "free some space or mend its permissions"
        ) from None
