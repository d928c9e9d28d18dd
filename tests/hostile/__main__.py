"""`make hostile`: the corpus as a table."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from autograder.course import Course
from autograder.grade import Grader
from tests.hostile.archives import collect_archive
from tests.hostile.cases import Case, Finding, cases
from tests.hostile.gradings import Grading
from tests.hostile.workers import attack, grading_host
from tests.mini_course import REPOSITORY, make_course
from tests.sandbox.tiers import AVAILABLE

console = Console(stderr=True)


def run_all(family: str, words: str, run: Callable[[Case], Finding]) -> dict[str, Finding]:
    """The findings of one family, by case; those that are not contained are told at once."""
    found = {}
    for case in track(cases(family), words, console=console, transient=True):
        found[case.name] = finding = run(case)
        if not finding.contained:
            console.print(f"[red]{words}: {case.name}: {finding}")
    return found


def archive(case: Case) -> Finding:
    """One archive, collected into a course of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        return collect_archive(case, make_course(Path(scratch, "course")), Path(scratch))


def main() -> int:
    """Run the corpus in every tier, print the table; 1 if something was not contained."""
    families = {}
    with grading_host() as host:
        for tier in AVAILABLE:
            words = f"attacks on the sandbox, {tier}"
            families[words] = run_all("worker", words, lambda case, tier=tier: attack(case, host, tier))
    for tier in AVAILABLE:
        with Grader(Course.load(REPOSITORY).assignment("vae"), force=True, tier=tier) as grader:
            words = f"submissions that cheat, {tier}"
            families[words] = run_all("grading", words, Grading(grader).cheat)
    families["archives"] = run_all("archive", "archives", archive)

    who = "as root" if os.geteuid() == 0 else "unprivileged"
    table = Table(
        "family", "cases", "contained", "points gained", "private bytes", "harmed", "left", title=f"Run {who}"
    )
    rows = {words: summary(list(found.values())) for words, found in families.items()}
    everything = [sum(column) for column in zip(*rows.values(), strict=True)]
    for words, row in rows.items():
        table.add_row(words, *(f"{value:g}" for value in row))
    Console().print(table)
    print(
        "{:g} cases, {:g} contained, {:g} points gained, {:g} private bytes read, {:g} bystanders harmed, "
        "{:g} processes left".format(*everything)
    )
    return int(everything[0] != everything[1])


def summary(findings: list[Finding]) -> list[float]:
    """A row of the table."""
    return [
        len(findings),
        sum(finding.contained for finding in findings),
        sum(finding.points_gained for finding in findings),
        sum(finding.private_bytes_read for finding in findings),
        sum(len(finding.bystanders_harmed) for finding in findings),
        sum(finding.processes_left for finding in findings),
    ]


if __name__ == "__main__":
    sys.exit(main())
