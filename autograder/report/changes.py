"""Scores that change, as tables in a terminal: what a grading would change, and what gradings have changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autograder.report.terminal import number

if TYPE_CHECKING:
    from autograder.gradebook.history import Change
    from autograder.preview import Foreseen, Outlook, Preview

STYLES: dict[Outlook, str] = {"gains": "green", "loses": "red", "stays": "dim", "new": "", "fails": "red"}
SENTENCES: dict[Outlook, str] = {
    "gains": "gain",
    "loses": "lose",
    "stays": "stay",
    "new": "graded for the first time",
    "fails": "cannot be graded",
}


def preview_table(previews: Sequence[Preview], summary: Mapping[Outlook, int]) -> RenderableType:
    """A class, one line a student, and one for each of their exercises that changes or of which there is something to say."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("student", no_wrap=True)
    table.add_column("exercise", no_wrap=True)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column("becomes", justify="right", no_wrap=True)
    table.add_column("why")
    for item in previews:
        notes = Text("\n".join(filter(None, [item.failure, *item.notes])))
        style = STYLES[item.outlook]
        table.add_row(Text(item.student, "bold"), "", _points(item.score), Text(_points(item.becomes), style), notes)
        for exercise in item.exercises:
            if exercise.score != exercise.becomes or exercise.why or exercise.kept:
                row = (exercise.name, _points(exercise.score), _points(exercise.becomes), _why(exercise))
                table.add_row("", *row)
        if item.penalty != item.penalty_becomes:
            table.add_row(
                "", "late", *(f"−{number(off)}" if off else "0" for off in (item.penalty, item.penalty_becomes))
            )
    counts = [f"{count} {SENTENCES[kind]}" for kind, count in summary.items() if count]
    return Group(table, Text(f"Nothing was recorded. Students: {', '.join(counts)}."))


def changes_table(changes: Iterable[Change]) -> Table:
    """The log, one line a change."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("time (UTC)", no_wrap=True)
    for column in ("who", "command", "assignment", "student", "exercise"):
        table.add_column(column)
    for column in ("from", "to"):
        table.add_column(column, justify="right")
    table.add_column("suite")
    for item in changes:
        suites = [digest[:8] if digest else "–" for digest in (item.before, item.after)]
        suite = suites[0] if suites[0] == suites[1] else " → ".join(suites)
        words = (item.time, item.who, item.command, item.assignment, item.student, item.exercise)
        table.add_row(*map(Text, words), _points(item.was), _points(item.becomes), suite)
    return table


def _why(exercise: Foreseen) -> Text:
    kept = [*["set by a grader: stays"] * exercise.kept, *["a grader's comment stays"] * exercise.commented]
    return Text("\n".join([*kept, *exercise.why]))


def _points(score: float | None) -> str:
    return "–" if score is None else number(score)
