"""Verdicts and findings as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from autograder.verdict import ExerciseResult, Verdict

if TYPE_CHECKING:
    from autograder.audit.table import Audit
    from autograder.classroom import Graded, Progress
    from autograder.doctor import Finding
    from autograder.gradebook.exchange import Collected

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
    texts = [Text.assemble(("→ ", "yellow"), (f"{result.name}: ", "bold"), mistake.says) for mistake in result.mistakes]
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


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A progress bar with the time left, for as long as the block runs."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield progress


def class_table(graded: Iterable[Graded]) -> Table:
    """A class, one line a student."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("student", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("late", justify="right", no_wrap=True)
    table.add_column("full/half/none", justify="center", no_wrap=True)
    table.add_column("notes")
    for item in graded:
        if item.failure is not None:
            table.add_row(item.student, Text("failed", style="red"), "", "", item.failure)
            continue
        late = f"−{number(item.penalty)}" if item.penalty else ""
        score = f"{number(item.score or 0.0)} / {number(item.points)}"
        table.add_row(item.student, score, late, spread(item), Text("\n".join(item.notes[:3])))
    return table


def spread(item: Graded) -> Text:
    """How many exercises earned everything, something, nothing."""
    earned = [(item.exercises[name], item.worth[name]) for name in item.exercises]
    full = sum(score >= points for score, points in earned)
    none = sum(score == 0 for score, _ in earned)
    parts = ((str(full), "green"), " / ", (str(len(earned) - full - none), "yellow"), " / ", (str(none), "red"))
    return Text.assemble(*parts)


def collected_table(collected: Iterable[Collected]) -> Table:
    """What was collected, one line a student."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("student", "submission", "problem"):
        table.add_column(column)
    for item in collected:
        style = "red" if item.outcome == "refused" else ""
        table.add_row(item.student, Text(item.outcome, style=style), item.problem or "")
    return table


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


def audit_table(audit: Audit) -> RenderableType:
    """What the suite of an assignment lets pass, one line an exercise, and all that misses the bar."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    table.add_column("exercise", footer=audit.assignment)
    for column in ("reference", "alternates", "stub, wrong", "trivial", "mistakes", "recognised"):
        table.add_column(column, justify="right")
    table.add_column("mutants killed", justify="right", footer=f"{audit.killed:.1%}")
    for row in audit.exercises:
        recognised = sum(item.recognised for item in row.mistakes)
        table.add_row(
            row.name,
            f"{row.reference:.0%}",
            f"{min(row.alternates.values(), default=0):.0%} of {len(row.alternates)}",
            f"{max([row.stub, *row.wrong.values()]):.0%}",
            f"≤ {row.trivial_max:.0%}",
            f"≤ {max((item.earned_fraction for item in row.mistakes), default=0):.0%}",
            f"{recognised} of {len(row.mistakes)}",
            f"{row.mutants.killed} of {row.mutants.total}",
        )
    complaints = [Text(f"✗ {text}", style="red") for text in audit.complaints()]
    seeds = f", {audit.seeds_tried} seeds" if audit.seeds_tried else ""
    return Group(table, *complaints, Text(f"isolation {audit.isolation}{seeds}, {audit.seconds:.0f} s", style="dim"))
