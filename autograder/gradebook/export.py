"""Scores for a learning platform: tables in the columns that Canvas and Moodle import, and a plain one with every exercise.

Best is a table that the platform itself has given out: it is given back with the scores in it, so that rows and columns are
the platform's own. Without one, a table is made from what submissions told about their students.

Whoever's written answers wait for a grader gets no score yet; an empty cell changes nothing on either platform.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nbgrader.api import Gradebook
from nbgrader.plugins import ExportPlugin
from traitlets import Unicode

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.gradebook import ledger
from autograder.gradebook.context import CourseContext
from autograder.gradebook.record import scores
from autograder.gradebook.standing import Score
from autograder.store import write_whole
from autograder.text import decode

Platform = Literal["canvas", "moodle", "csv"]
Table = list[list[str]]

POSSIBLE = "Points Possible"  # Canvas's second row begins with it
MAXIMUM = "Maximum grade"
PARTICIPANT = "Participant "
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = ("Identifier", "Full name", "Email address", "Status", "Grade", MAXIMUM, "Last modified (grade)")
NUMBERS = {"ID", "Identifier"}  # columns that hold the platform's own number of a student
NAMES = {"Student", "SIS User ID", "SIS Login ID", "Full name", "Email address", "Username", "ID number"}


@dataclass(frozen=True)
class Standing:
    """One student's score, and their number on the platform, if it is known."""

    student: str
    number: str
    score: Score

    def cell(self, scale: float = 1.0) -> str:
        """The score as a cell."""
        return "" if self.score.waiting else figure(self.score.earned * scale)


@dataclass(frozen=True)
class Exported:
    """A table, and whose score is not in it: those who wait for a grader, and those who are not in the platform's table."""

    table: Table
    written: tuple[str, ...]
    waiting: tuple[str, ...]
    absent: tuple[str, ...] = ()
    delimiter: str = ","

    def text(self) -> str:
        """The table as CSV."""
        out = io.StringIO()
        csv.writer(out, delimiter=self.delimiter, lineterminator="\r\n").writerows(self.table)
        return out.getvalue()


def export(
    course: Course,
    slug: str,
    to: Platform,
    roster: Path | None = None,
    *,
    column: str | None = None,
    scale: bool = False,
) -> Exported:
    """The scores of an assignment as a table.

    Args:
        course: whose.
        slug: of which assignment.
        to: for which platform.
        roster: a table that the platform gave out: Canvas's gradebook, or Moodle's grading worksheet.
        column: its column for the scores, if that is called neither as the assignment is nor "Grade".
        scale: bring the scores to the points that the platform has, where it has others.

    Raises:
        CourseError: nobody has been graded, or the roster cannot be used.
    """
    assignment = course.assignment(slug)
    numbers = {student: number for number, student in ledger.numbers(course).items()}
    everyone = [Standing(who, numbers.get(who, ""), score) for who, score in scores(course, slug).items()]
    if not everyone:
        raise CourseError(f"nobody has been graded yet; run `course grade {slug}` first")
    waiting = tuple(item.student for item in everyone if item.score.waiting)
    written = tuple(item.student for item in everyone if not item.score.waiting)
    if roster is None:
        return Exported(MAKERS[to](assignment, everyone), written, waiting)
    if to == "csv":
        raise CourseError("--roster is a table of Canvas or Moodle; say --to canvas or --to moodle")
    sheet = Sheet.read(roster)
    place = sheet.column(assignment, to, column)
    factor = sheet.factor(place, everyone[0].score.points, scale=scale)
    absent = sheet.fill(place, [(item, item.cell(factor)) for item in everyone])
    written = tuple(who for who in written if who not in absent)
    return Exported(sheet.given_back(to, place), written, waiting, absent, sheet.delimiter)


def figure(value: float) -> str:
    """Points as platforms read them: as few digits as there are, at most four behind the point."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


# ---- without a table of the platform's


def _canvas(assignment: Assignment, everyone: Sequence[Standing]) -> Table:
    possible = [f"    {POSSIBLE}", "", "", "", "", figure(everyone[0].score.points)]
    rows = [[item.student, item.number, "", item.student, "", item.cell()] for item in everyone]
    return [[*CANVAS, assignment.title], possible, *rows]


def _moodle(assignment: Assignment, everyone: Sequence[Standing]) -> Table:
    def row(item: Standing) -> list[str]:
        identifier = f"{PARTICIPANT}{item.number}" if item.number else ""
        return [identifier, item.student, "", "", item.cell(), figure(item.score.points), "-"]

    return [list(MOODLE), *map(row, everyone)]


def _plain(assignment: Assignment, everyone: Sequence[Standing]) -> Table:
    names = list(everyone[0].score.grades)
    points = [figure(grade.points) for grade in everyone[0].score.grades.values()]
    table = [
        ["student", "number", *names, "late", "score", "of"],
        ["points", "", *points, "", "", figure(everyone[0].score.points)],
    ]
    for item in everyone:
        grades = item.score.grades
        parts = ["" if (score := grades[name].score) is None else figure(score) for name in names]
        late = figure(-item.score.penalty) if item.score.penalty else ""
        table.append([item.student, item.number, *parts, late, item.cell(), figure(item.score.points)])
    return table


MAKERS: dict[Platform, Callable[[Assignment, Sequence[Standing]], Table]] = {
    "canvas": _canvas,
    "moodle": _moodle,
    "csv": _plain,
}


# ---- with one


@dataclass(frozen=True)
class Sheet:
    """A table that a platform gave out, header first."""

    path: Path
    rows: Table
    delimiter: str

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """Read one.

        Raises:
            CourseError: it is no table.
        """
        try:
            text, _ = decode(path.read_bytes())
        except OSError as error:
            raise CourseError(f"{path} cannot be read: {error.strerror}") from None
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        if len(rows) < 2 or len(rows[0]) < 2:
            raise CourseError(f"{path} is no table of students; export the gradebook as CSV once more")
        width = len(rows[0])
        return cls(path, [[*row, *[""] * (width - len(row))] for row in rows], delimiter)

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        return [name.strip() for name in self.rows[0]]

    def column(self, assignment: Assignment, to: Platform, stated: str | None) -> int:
        """The place of the column for the scores.

        Raises:
            CourseError: there is none, or more than one.
        """
        wanted = {stated} if stated else {"Grade"} if to == "moodle" else {assignment.title, assignment.slug}
        names = {name.casefold() for name in wanted}
        plain = [re.sub(r"\s*\(\d+\)$", "", name).casefold() for name in self.header]  # Canvas: title (number)
        places = [place for place, name in enumerate(self.header) if name.casefold() in names or plain[place] in names]
        if len(places) != 1:
            found = "no column" if not places else f"{len(places)} columns"
            called = " or ".join(repr(name) for name in sorted(wanted))
            raise CourseError(f"{self.path} has {found} called {called}; say --column NAME")
        return places[0]

    def factor(self, place: int, points: float, *, scale: bool) -> float:
        """What to multiply scores by.

        Raises:
            CourseError: the platform has other points, and nobody has said that this is meant.
        """
        stated = {row[place] for row in self.rows[1:] if _is_possible(row)}
        if MAXIMUM in self.header:
            stated |= {row[self.header.index(MAXIMUM)] for row in self.rows[1:]}
        possible = {float(text.replace(",", ".")) for text in stated if re.fullmatch(r"\s*\d+([.,]\d+)?\s*", text)}
        if not possible or possible == {points}:
            return 1.0
        if not scale or len(possible) > 1:
            there = " and ".join(figure(value) for value in sorted(possible))
            raise CourseError(
                f"{self.path} has {there} points where the course has {figure(points)}; "
                "change that on the platform, or say --scale"
            )
        return possible.pop() / points

    def fill(self, place: int, cells: Sequence[tuple[Standing, str]]) -> tuple[str, ...]:
        """Write the scores; the students who are in no row.

        Raises:
            CourseError: somebody could be in several rows.
        """
        by_number: dict[str, list[int]] = {}
        by_name: dict[str, list[int]] = {}
        for index, row in enumerate(self.rows[1:], 1):
            if _is_possible(row):
                continue
            for number in self._numbers(row):
                by_number.setdefault(number, []).append(index)
            for name in set(self._names(row)):
                by_name.setdefault(name, []).append(index)
        absent = []
        for item, cell in cells:
            found = by_number.get(item.number) or by_name.get(_folded(item.student)) or []
            if len(found) > 1:
                raise CourseError(
                    f"{item.student} could be each of {len(found)} students in {self.path}; "
                    "give them different names in the course"
                )
            if not found:
                absent.append(item.student)
            elif cell:
                self.rows[found[0]][place] = cell
        return tuple(absent)

    def _numbers(self, row: list[str]) -> Iterator[str]:
        for name, cell in zip(self.header, row, strict=False):
            if name in NUMBERS and (match := re.search(r"\d+$", cell.strip())):
                yield match[0]

    def _names(self, row: list[str]) -> Iterator[str]:
        for name, cell in zip(self.header, row, strict=False):
            if name in NAMES and cell.strip():
                yield _folded(cell)
                yield _folded(re.sub(r"\W", "", cell))  # as Canvas names files: Doe, Jane is doejane

    def given_back(self, to: Platform, place: int) -> Table:
        """For Canvas the columns that say who it is, and the one with the scores, so that nothing else changes; else all."""
        if to != "canvas":
            return self.rows
        last = self.header.index("Section") if "Section" in self.header else 1
        return [[*row[: last + 1], row[place]] for row in self.rows]


def _is_possible(row: list[str]) -> bool:
    return POSSIBLE in row[0]


def _folded(name: str) -> str:
    return name.strip().casefold()


# ---- for nbgrader


class _Exporter(ExportPlugin):
    """`nbgrader export --exporter=… --assignment="['vae']" --to=FILE` writes what `course export` writes."""

    platform: Platform
    roster = Unicode("", help="A table that the platform gave out.").tag(config=True)

    def export(self, gradebook: Gradebook) -> None:
        """Write the table of the one assignment that was named."""
        if len(self.assignment) != 1:
            raise CourseError("name one assignment: --assignment=\"['vae']\"")
        slug = str(self.assignment[0])
        course = Course.load(Path(CourseContext(parent=self).course_root))
        exported = export(course, slug, self.platform, Path(self.roster) if self.roster else None)
        write_whole(Path(self.to or f"{slug}-{self.platform}.csv"), exported.text())


class CanvasExport(_Exporter):
    """For Canvas."""

    platform = "canvas"


class MoodleExport(_Exporter):
    """For Moodle."""

    platform = "moodle"
