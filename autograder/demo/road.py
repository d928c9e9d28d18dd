"""`course demo`: the whole road on a sample class, in a course folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from autograder.classroom import grade_class
from autograder.course import Course
from autograder.errors import CourseError
from autograder.report.terminal import class_table, progress_bar

SLUG = "vae"  # the assignment that CLASS hands in
MARK = ".sample-course"  # only a folder that holds it is ever removed
PARTS = (
    *("course.toml", "nbgrader_config.py", "assignments", "solutions", "coursekit"),
    *("autograder/hidden", "autograder/mistakes"),
)


def build_course(source: Course, folder: Path) -> Course:
    """A copy of the course without its secret, its gradebook and its submissions; an older sample there is replaced.

    Raises:
        CourseError: the folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise CourseError(f"{folder} is not empty and was not made by `course demo`; name another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    skip = shutil.ignore_patterns("__pycache__", "*.pyc", "*.ipynb", ".ipynb_checkpoints", "build", "*.egg-info")
    for part in PARTS:
        if (source.root / part).is_dir():
            shutil.copytree(source.root / part, folder / part, ignore=skip)
        elif (source.root / part).is_file():
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source.root / part, folder / part)
    (folder / MARK).touch()
    return Course.load(folder.resolve())


def demo(source: Course, folder: Path, console: Console, mistakes: str | None = None) -> None:
    """Release, hand in, grade, record, explain; then say where to look.

    Args:
        source: the course of which a sample is made.
        folder: where.
        console: where to say so.
        mistakes: an assignment whose known mistakes the class makes, instead of all kinds of things with `vae`.

    Raises:
        CourseError: a step failed.
    """
    from autograder.demo.class_list import CLASS, class_of_mistakes, hand_in
    from autograder.release import release
    from autograder.report.classpage.write import report
    from autograder.report.feedback import feedback

    slug = source.assignment(mistakes or SLUG).slug
    console.print(f"[bold]1[/]  A sample course in {folder}/, with the assignment {slug}")
    course = build_course(source, folder)
    assignment = course.assignment(slug)
    console.print("[bold]2[/]  Release: starters become notebooks; every byte is searched for answers")
    release(course, [slug])
    console.print("[bold]3[/]  A class hands in")
    with tempfile.TemporaryDirectory(prefix="class-") as desk:
        students = class_of_mistakes(assignment) if mistakes else CLASS
        hand_in(assignment, Path(desk), students)
    console.print(f"[bold]4[/]  Grading {len(students)} submissions, each in isolation; recording them with nbgrader")
    with progress_bar(console) as progress:
        graded = grade_class(assignment, progress=progress)
    console.print("[bold]5[/]  A page for each student, and one for their teachers")
    pages = feedback(course, slug)
    report(assignment)
    console.print(class_table(graded))
    for line in (
        f"Gradebook      {folder}/gradebook.db",
        f"Students' pages {folder}/feedback/<student>/{slug}/{slug}.html",
        f"The class page {folder}/report/{slug}.html",
        f"Release        {folder}/release/{slug}/",
        f"Verdicts       {folder}/verdicts/{slug}/",
    ):
        console.print(line, highlight=False)
    failed = [item for item in graded if item.failure]
    missing = [str(page) for page in pages.values() if isinstance(page, CourseError)]
    if failed or missing:
        raise CourseError(f"the demo did not go through: {(failed[0].failure if failed else missing[0])}")
