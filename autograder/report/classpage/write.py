"""Writing the class page of an assignment."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from autograder.course import Assignment
from autograder.report.classpage.gather import gather
from autograder.report.classpage.page import compose, render
from autograder.store import write_whole


def report(assignment: Assignment, output: Path | None = None) -> Path:
    """Write the page, and say where.

    Args:
        assignment: whose class.
        output: where to; `report/<slug>.html` in the course's folder if not said.

    Raises:
        CourseError: nobody handed anything in, the gradebook cannot be used, or the page cannot be written.
    """
    path = (output or assignment.course.root / "report" / f"{assignment.slug}.html").resolve()
    items = [*(item.name for item in assignment.exercises), *(item.name for item in assignment.questions)]
    made = datetime.now(assignment.course.timezone)
    write_whole(path, render(compose(assignment.title, items, gather(assignment), made, path.parent)))
    return path
