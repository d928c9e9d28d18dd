"""The `coursekit` command: check a notebook or script from the terminal, pack it for submission."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from coursekit.errors import CoursekitError, UsageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
capstone = typer.Typer(
    no_args_is_help=True, help="Begin a capstone from a template, and check it before you hand it in."
)
app.add_typer(capstone, name="capstone")
Folder = Annotated[Path, typer.Argument(help="The folder that holds your project.", metavar="FOLDER")]
File = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="Your notebook (.ipynb) or script (.py).", metavar="FILE")
]


@app.command()
def check(
    file: File,
    exercise: Annotated[
        list[str] | None, typer.Option("--exercise", help="Check only this exercise; may be repeated.", metavar="NAME")
    ] = None,
) -> None:
    """Run a notebook's cells and then its visible checks.

    Of hands-on cells only the definitions are run. The exit status is 0 only if every check holds.
    """
    from coursekit.check import VISIBLE, check_in
    from coursekit.notebook import read_document, run_cells
    from coursekit.source import exercises_in

    checks = file.resolve().parent / VISIBLE
    if not checks.is_file():
        raise UsageError(f"there is no {VISIBLE} beside {file.name}; keep it in the assignment's folder")
    available = exercises_in(checks)
    for name in exercise or []:
        if name not in available:
            raise UsageError(f"{VISIBLE} has no checks for {name!r}; there are checks for {', '.join(available)}")
    document = read_document(file)
    namespace, faults = run_cells(document)
    for fault in faults:
        typer.echo(f"cell {fault.number}: {fault.message}\n" if len(document.cells) > 1 else f"{fault.message}\n")
    reports = [check_in(checks, name, namespace) for name in exercise or available]
    for report in reports:
        typer.echo(f"{report}\n" if report.details else report)
    passed = sum(report.passed for report in reports)
    typer.echo(f"\n{passed} of {len(reports)} exercises pass their visible checks.")
    if passed < len(reports):
        raise typer.Exit(1)


@app.command()
def submit(
    file: File,
    assignment: Annotated[
        str | None, typer.Option(help="Which assignment it is, if the file does not say.", metavar="NAME")
    ] = None,
) -> None:
    """Pack a notebook or script into the zip that you hand in."""
    from coursekit.submit import submit as pack

    packed = pack(file, assignment=assignment)
    for warning in packed.warnings:
        typer.echo(f"Warning: {warning}")
    for path in packed.attached:
        typer.echo(f"{path.name} goes with it ({path.stat().st_size / 2**20:.1f} MB).")
    typer.echo(f"{packed.zip} is ready to be uploaded.")
    if packed.command:
        typer.echo(f"Or hand it in through nbgrader's exchange: `{packed.command}`, in the folder above this one.")


@capstone.command("start")
def start_capstone(
    option: Annotated[str, typer.Argument(help="art, text, music or finetuning.")], folder: Folder = Path()
) -> None:
    """Begin your capstone from a template: fill the stubs of FOLDER/capstone.ipynb with a working, dull project."""
    from coursekit.capstone.folder import start

    typer.echo(f"{start(option, folder)} holds the template now. Run it, and then make it yours.")


@capstone.command("check")
def check_capstone(folder: Folder = Path()) -> None:
    """Say what FOLDER lacks before it is handed in; the exit status is 0 only if that is nothing."""
    from coursekit.capstone.folder import check_folder

    findings = check_folder(folder)
    for finding in findings:
        typer.echo(f"{'✓' if finding.sound else '✗'} {finding.text}")
    missing = sum(not finding.sound for finding in findings)
    typer.echo("\nNothing is missing." if not missing else f"\n{missing} to be mended.")
    if missing:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; a `CoursekitError` becomes one sentence and its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may have no ✓
    try:
        app(prog_name="coursekit")
    except CoursekitError as error:
        typer.echo(f"coursekit: {error}", err=True)
        sys.exit(error.status)


if __name__ == "__main__":
    main()
