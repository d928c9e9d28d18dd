"""`make fuzz`: mutated frames, notebooks, scripts and archives, many of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.fuzz.engine import TARGETS, fuzz

console = Console(stderr=True)


def main(
    frames: Annotated[int, typer.Option(help="Mutated conversations.")] = 1_000_000,
    files: Annotated[int, typer.Option(help="Mutated notebooks, scripts and archives, of each.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Of the mutations.")] = 0,
    faults: Annotated[Path, typer.Option(help="Where to keep what was not survived.")] = Path("faults"),
) -> None:
    """Fuzz every reader of what strangers write; exit status 1 if one failed."""
    torch.set_num_threads(1)
    table = Table("reader", "inputs", "kinds of ending", "slowest, ms", "faults")
    failed = False
    with Progress(console=console) as progress:
        for make in TARGETS:
            target = make()
            count = frames if target.name == "frames" else files
            task = progress.add_task(target.name, total=count)
            report = fuzz(target, count, seed, lambda task=task: progress.advance(task))
            table.add_row(
                target.name,
                f"{report.inputs:,}",
                str(len(report.endings)),
                f"{report.slowest * 1000:.1f}",
                str(len(report.faults)),
            )
            for number, (data, why) in enumerate(report.faults):
                faults.mkdir(exist_ok=True)
                kept = faults / f"{target.name.strip('.')}-{seed}-{number}"
                kept.write_bytes(data)
                console.print(f"[red]{kept}: {why}")
            failed = failed or bool(report.faults)
    Console().print(table)
    sys.exit(int(failed))


if __name__ == "__main__":
    typer.run(main)
