"""Collecting from nbgrader's exchange, for `nbgrader collect`, the formgrader and `course collect` alike."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from nbgrader.exchange import ExchangeError
from nbgrader.exchange.default import ExchangeCollect

from autograder.errors import CourseError
from autograder.gradebook.context import CourseContext
from autograder.gradebook.intake import receive


@dataclass(frozen=True)
class Collected:
    """What came of one student's submission."""

    student: str
    outcome: Literal["new", "updated", "unchanged", "refused"]
    problem: str | None = None


class Collect(CourseContext, ExchangeCollect):
    """nbgrader's collect, but each submission is taken in, at the time at which the exchange's disk last saw it change.

    A submission's folder belongs to its student, with all dates in it and in its name. What a student cannot set back is
    the time of the last change that the system itself keeps: to change anything, a date too, moves it to now.
    """

    def _path_to_record(self, path: str) -> dict[str, Any]:
        """Anyone may put a folder into the inbox, under any name; nbgrader would give up at one that it cannot read."""
        try:
            return super()._path_to_record(path)
        except (ExchangeError, ValueError, OverflowError):
            self.log.error("%s is named as no submission is, and was passed over", path)
            return {"username": "", "filename": Path(path).name, "timestamp": datetime.min}

    def copy_files(self) -> None:
        """Take in each student's newest submission. One that cannot be read is reported, and the others go on."""
        assignment = self.assignment(self.coursedir.assignment_id)
        self.collected: list[Collected] = []
        for record in sorted(self.src_records, key=lambda record: record["username"]):
            student, folder = record["username"], Path(self.inbound_path) / record["filename"]
            if not student:
                continue
            if not self.update and assignment.submission_directory(student).exists():
                self.collected.append(Collected(student, "unchanged"))
                continue
            try:
                outcome = receive(assignment, student, folder, received=last_change(folder), origin=folder.name)
                self.collected.append(Collected(student, outcome))
                self.log.info("%s: %s", student, outcome)
            except (CourseError, OSError) as error:
                self.collected.append(Collected(student, "refused", str(error)))
                self.log.error("%s: %s", student, error)


def last_change(folder: Path) -> datetime:
    """When anything in a folder last changed: contents, names, permissions or dates, by the clock of its disk.

    Raises:
        OSError: it cannot be read.
    """
    times = [os.lstat(folder).st_ctime_ns]
    for _, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        times += [os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_ctime_ns for name in (*folders, *files)]
    return datetime.fromtimestamp(max(times) // 1000 / 1e6, UTC)
