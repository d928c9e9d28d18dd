"""Verdicts and findings as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from autograder.verdict import ExerciseResult, Verdict

if TYPE_CHECKING:
    from autograder.doctor import Finding

MARKS = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "error": ("!", "red"),
    "timeout": ("⧗", "yellow"),
    "not_run": ("–", "dim"),
}
STATES = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}


def number(points: float) -> str:
    """Points without needless zeros: 4, 2.5, 1.33."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def verdict_table(verdict: Verdict) -> RenderableType:
    """All exercises of a verdict, with the properties that do not hold."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("exercise", footer="total")
    table.add_column("points", justify="right", footer=f"{number(verdict.earned)} / {number(verdict.points)}")
    table.add_column("properties")
    for result in verdict.exercises:
        table.add_row(result.name, f"{number(result.earned)} / {number(result.points)}", marks(result))
    details = [Padding(part, (0, 0, 1, 2)) for result in verdict.exercises for part in explanations(result)]
    notes = [Text(f"Note: {note}") for note in verdict.notes]
    footer = Text(
        f"isolation {verdict.isolation}, suite {verdict.suite[:8]}, submission {verdict.submission[:8]}", style="dim"
    )
    return Group(table, *details, *notes, footer)


def marks(result: ExerciseResult) -> Text:
    """One sign for each property."""
    return Text(" ").join(Text(*MARKS[item.outcome]) for item in result.properties)


def explanations(result: ExerciseResult) -> list[Text]:
    """What does not hold in an exercise, and why."""
    if result.error is not None:
        return [Text.assemble((result.name, "bold"), "  ", result.error)]
    texts = []
    said: set[str] = set()
    for item in result.properties:
        if item.outcome == "passed" or (item.message or "") in said:
            continue  # the same exception in every property is said once
        said.add(item.message or item.name)
        sign, style = MARKS[item.outcome]
        text = Text.assemble((f"{sign} ", style), (f"{result.name}: ", "bold"), item.statement)
        for line in filter(None, (item.message, item.counterexample)):
            text.append("\n  " + line.replace("\n", "\n  "), style="dim")
        texts.append(text)
    return texts


def findings_table(findings: Iterable[Finding]) -> Table:
    """What `course doctor` found."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("what")
    table.add_column("found")
    for finding in findings:
        sign, style = STATES[finding.status]
        detail = Text(finding.detail)
        if finding.mend:
            detail.append(f"\n→ {finding.mend}", style="bold")
        table.add_row(Text(sign, style=style), finding.what, detail)
    return table
