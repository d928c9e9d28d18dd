"""The `course` command."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console, RenderableType

from autograder.course import Course
from autograder.errors import CourseError

app = typer.Typer(
    help="Release, grade and explain the assignments of the course.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()
errors = Console(stderr=True)

Slug = Annotated[str, typer.Argument(metavar="ASSIGNMENT", help="Its slug in course.toml, such as vae.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Trust = Annotated[
    bool, typer.Option("--trust-submissions", help="Run without isolation. Only for code that you wrote yourself.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Submissions graded at once; one a core if not said.")]


@app.command("release")
def release_command(slugs: Annotated[list[str] | None, typer.Argument(metavar="[ASSIGNMENT]…")] = None) -> None:
    """Build the notebooks of assignments (all, if none is named) and release them to students."""
    from autograder.release import release

    course = Course.find()
    chosen = [course.assignment(slug).slug for slug in slugs] if slugs else [item.slug for item in course]
    with console.status("Building the notebooks …"):
        folders = release(course, chosen)
    for folder in folders:
        console.print(f"Released {folder.relative_to(course.root)}", highlight=False)


@app.command("try")
def try_command(
    slug: Slug,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A notebook or a script.")],
    as_json: Json = False,
    trust: Trust = False,
) -> None:
    """Give the verdict on one notebook or script. Nothing is recorded."""
    from autograder.grade import Grader
    from autograder.report.terminal import verdict_table
    from autograder.submission import read_submission

    assignment = Course.find().assignment(slug)
    submission = read_submission(file, assignment)
    with errors.status("Grading …"), Grader(assignment, trust=trust, force=True) as grader:
        verdict = grader.verdict(submission)
    if verdict.failure is not None:
        raise CourseError(f"the grader itself failed on this submission: {verdict.failure.strip().splitlines()[-1]}")
    if as_json:
        print(verdict.to_json())
    else:
        console.print(verdict_table(verdict))


@app.command("collect")
def collect_command(
    slug: Slug,
    archive: Annotated[
        Path | None,
        typer.Option("--zip", metavar="FILE", help="An archive or a folder; without it, nbgrader's exchange."),
    ] = None,
    received: Annotated[
        datetime | None, typer.Option(help="When what --zip holds arrived, by your clock. Without it, nothing is late.")
    ] = None,
) -> None:
    """Bring submissions in."""
    from autograder.gradebook.collect import collect
    from autograder.report.terminal import collected_table

    course = Course.find()
    moment = received.replace(tzinfo=course.timezone) if received else None
    collected = collect(course, course.assignment(slug).slug, archive, received=moment)
    console.print(collected_table(collected))
    if any(item.outcome == "refused" for item in collected):
        raise typer.Exit(1)


@app.command("grade")
def grade_command(
    slug: Slug,
    student: Annotated[str | None, typer.Option(help="Only this student.")] = None,
    workers: Workers = None,
    force: Annotated[bool, typer.Option(help="Grade again what has a verdict.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what would change in the gradebook, and why, and record nothing.")
    ] = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Grade a class: verdicts for all, into the gradebook. A run that was stopped goes on where it was."""
    import json
    from dataclasses import asdict

    from autograder.classroom import grade_class
    from autograder.preview import foresee, summary
    from autograder.report.changes import preview_table
    from autograder.report.terminal import class_table, progress_bar

    assignment = Course.find().assignment(slug)
    only = [student] if student else None
    document: object
    table: RenderableType
    with progress_bar(errors) as progress:
        if preview:
            previews = foresee(assignment, only, workers=workers, force=force, trust=trust, progress=progress)
            failed = any(item.failure for item in previews)
            students = [asdict(item) for item in previews]
            document = {"assignment": slug, "summary": summary(previews), "students": students}
            table = preview_table(previews, summary(previews))
        else:
            graded = grade_class(assignment, only, workers=workers, force=force, trust=trust, progress=progress)
            failed = any(item.failure for item in graded)
            document = [asdict(item) for item in graded]
            table = class_table(graded)
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        console.print(table)
    if failed:
        raise typer.Exit(1)


@app.command("log")
def log_command(
    slug: Annotated[str | None, typer.Argument(metavar="[ASSIGNMENT]", help="Only this one.")] = None,
    student: Annotated[str | None, typer.Option(help="Only this student.")] = None,
    as_json: Json = False,
) -> None:
    """Say who changed which score in the gradebook by grading, and when."""
    import json

    from autograder.gradebook.history import changes, to_data
    from autograder.report.changes import changes_table

    course = Course.find()
    found = changes(course, course.assignment(slug).slug if slug else None, student)
    if as_json:
        print(json.dumps([to_data(change) for change in found], ensure_ascii=False, indent=1))
    else:
        console.print(changes_table(found))


@app.command("feedback")
def feedback_command(slug: Slug) -> None:
    """Write a page for each student who has been graded."""
    from autograder.report.feedback import feedback

    course = Course.find()
    with errors.status("Writing pages …"):
        pages = feedback(course, course.assignment(slug).slug)
    for student, page in pages.items():
        where = str(page) if isinstance(page, CourseError) else str(page.relative_to(course.root))
        console.print(f"{student}  {where}", highlight=False, markup=False)
    if not pages:
        raise CourseError(f"nobody has been graded yet; run `course grade {slug}` first")
    if any(isinstance(page, CourseError) for page in pages.values()):
        raise typer.Exit(1)


@app.command("report")
def report_command(
    slug: Slug,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; report/ASSIGNMENT.html if not said.")
    ] = None,
) -> None:
    """Write the class page: what the class misunderstood, and who."""
    from autograder.report.classpage.write import report

    assignment = Course.find().assignment(slug)
    with errors.status("Reading what is stored of the class …"):
        page = report(assignment, output)
    console.print(f"{page}", highlight=False, markup=False, soft_wrap=True)


@app.command("extend")
def extend_command(
    slug: Slug,
    student: Annotated[str, typer.Argument(metavar="STUDENT")],
    until: Annotated[datetime | None, typer.Option(help="Their due date, in the course's time zone.")] = None,
    days: Annotated[float | None, typer.Option(min=0, help="So many days after everybody's due date.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Take it back.")] = False,
) -> None:
    """Give one student another due date."""
    from autograder.gradebook.extend import extend

    course = Course.find()
    assignment = course.assignment(slug)
    if (until is not None) + (days is not None) + none != 1:
        raise typer.BadParameter("say one of --until, --days and --none")
    due = until.replace(tzinfo=course.timezone) if until else None
    if days is not None and assignment.due is not None:
        due = assignment.due + timedelta(days=days)
    extend(course, assignment.slug, student, due)
    console.print(f"{student}: {f'due {due:%Y-%m-%d %H:%M %Z}' if due else 'due as everybody'}", highlight=False)


@app.command("export")
def export_command(
    slug: Slug,
    to: Annotated[Literal["canvas", "moodle", "csv"], typer.Option(help="For which platform; csv for a plain table.")],
    roster: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Canvas's gradebook or Moodle's grading worksheet, to be given back filled in."
        ),
    ] = None,
    column: Annotated[str | None, typer.Option(help="Its column for the scores, if that has another name.")] = None,
    scale: Annotated[bool, typer.Option("--scale", help="Bring scores to the points that the platform has.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; ASSIGNMENT-PLATFORM.csv if not said.")
    ] = None,
) -> None:
    """Write scores as a table that a learning platform imports."""
    from autograder.gradebook.export import export
    from autograder.store import write_whole

    course = Course.find()
    exported = export(course, course.assignment(slug).slug, to, roster, column=column, scale=scale)
    target = out or Path(f"{slug}-{to}.csv")
    write_whole(target, exported.text())
    console.print(f"{len(exported.written)} scores in {target}", highlight=False, markup=False)
    if exported.waiting:
        errors.print(
            f"left empty, as a grader is awaited: {', '.join(exported.waiting)}", highlight=False, markup=False
        )
    if exported.absent:
        raise CourseError(f"not in {roster}, and so not exported: {', '.join(exported.absent)}")


@app.command("audit")
def audit_command(
    slugs: Annotated[list[str] | None, typer.Argument(metavar="[ASSIGNMENT]…")] = None,
    exercise: Annotated[list[str] | None, typer.Option(help="Only this exercise; may be said several times.")] = None,
    seeds: Annotated[
        int,
        typer.Option(min=0, help="Question right answers with so many other seeds, too, and wrong ones with up to 10."),
    ] = 0,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the result in autograder/audits/ for the tests.")
    ] = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Grade the tests: hand in answers of which it is known what they are worth (all assignments, if none is named)."""
    import json

    from autograder.audit.measure import audit
    from autograder.report.terminal import audit_table, progress_bar
    from autograder.store import write_whole

    course = Course.find()
    chosen = [course.assignment(slug) for slug in slugs] if slugs else list(course)
    if record and exercise:
        raise typer.BadParameter("only a whole audit can be recorded: leave --exercise out", param_hint="--record")
    results = []
    with progress_bar(errors) as progress:
        for assignment in chosen:
            result = audit(assignment, exercise or (), seeds=seeds, workers=workers, progress=progress)
            results.append(result)
            if record:
                write_whole(assignment.audit_path, json.dumps(result.to_dict(), ensure_ascii=False, indent=1) + "\n")
    if as_json:
        print(json.dumps([result.to_dict() for result in results], ensure_ascii=False, indent=1))
    else:
        for result in results:
            console.print(audit_table(result))
    if any(result.complaints() for result in results):
        raise typer.Exit(1)


@app.command("demo")
def demo_command(
    folder: Annotated[Path, typer.Option(help="Where to build the sample course.")] = Path("demo"),
    mistakes: Annotated[
        str | None, typer.Option(metavar="ASSIGNMENT", help="A class that makes every known mistake of this one.")
    ] = None,
) -> None:
    """Go the whole road on a sample class: release, collect, grade, gradebook, feedback."""
    from autograder.demo.road import demo

    demo(Course.find(), folder, console, mistakes)


@app.command("doctor")
def doctor_command(as_json: Json = False) -> None:
    """Say what this machine can isolate, run and accelerate, and how to mend what it cannot."""
    import json
    from dataclasses import asdict

    from autograder.doctor import diagnose
    from autograder.report.terminal import findings_table

    with errors.status("Looking at this machine …"):
        findings = diagnose()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        console.print(findings_table(findings))
    if any(finding.status == "bad" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run a command. An error that its reader can mend is one sentence on stderr."""
    try:
        app()
    except CourseError as error:
        errors.print(f"course: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(error.status)
    except KeyboardInterrupt:
        errors.print("course: stopped; what has a verdict is kept, run the command again to go on", style="red")
        sys.exit(130)


if __name__ == "__main__":
    main()
