"""One exercise's result, in words: a fragment of a page, plain text, and the data itself for whoever makes a page of it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from nbformat import NotebookNode

from autograder.errors import CourseError
from autograder.report import TEMPLATES
from autograder.report.picture import svg
from autograder.verdict import ExerciseResult, MistakeFound, Outcome, PropertyResult

MIME = "application/vnd.course.exercise+json"  # beside the fragment, in the outputs of a grade cell

# A sign and a word: neither colour nor shape has to be told apart.
OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "passed": ("✓", "holds"),
    "failed": ("✗", "does not hold"),
    "error": ("!", "stopped with an error"),
    "timeout": ("…", "took too long"),
    "not_run": ("–", "was not tried"),
}


def number(value: float) -> str:
    """Points, without zeros that say nothing."""
    return f"{round(value, 2):g}"


pages = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
pages.filters["number"] = number
pages.filters["name"] = lambda name: escape(name).replace("_", Markup("_<wbr>"))  # where a narrow page may break it
pages.filters["prose"] = lambda text: Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
pages.globals["outcomes"] = OUTCOMES
pages.filters["svg"] = svg


def to_html(result: ExerciseResult) -> str:
    """All that is known about the exercise, as a fragment of HTML."""
    return pages.get_template("exercise.html.j2").render(result=result)


def to_text(result: ExerciseResult) -> str:
    """The same in a few lines, for a comment: points are elsewhere, and so are the inputs."""
    lines: list[str] = []
    if result.error:
        lines.append(result.error)
    if result.properties:
        held = sum(found.outcome == "passed" for found in result.properties)
        lines.append(f"{held} of {len(result.properties)} properties hold.")
    lines += [mistake.says for mistake in result.mistakes]
    for found in result.properties:
        if found.outcome != "passed":
            sign, word = OUTCOMES[found.outcome]
            lines.append(f"{sign} {found.statement} ({word})")
    return "\n".join(lines)


def to_bundle(result: ExerciseResult) -> dict[str, Any]:
    """What a grade cell displays: the fragment for the formgrader, and the data for the feedback page."""
    return {"text/html": to_html(result), "text/plain": to_text(result), MIME: json.loads(json.dumps(asdict(result)))}


def results_shown(notebook: NotebookNode) -> dict[str, ExerciseResult]:
    """The results that the cells of a notebook display, by exercise."""
    cells = [
        cell for cell in notebook.cells if any(MIME in output.get("data", {}) for output in cell.get("outputs", ()))
    ]
    return {result.name: result for result in map(shown_by, cells)}


def shown_by(cell: NotebookNode) -> ExerciseResult:
    """The result that a graded cell displays.

    Raises:
        CourseError: it displays none.
    """
    for output in cell.outputs:
        if data := output.get("data", {}).get(MIME):
            properties = tuple(map(PropertyResult.of, data["properties"]))
            mistakes = tuple(MistakeFound(**found) for found in data["mistakes"])
            return ExerciseResult(**{**data, "properties": properties, "mistakes": mistakes})
    raise CourseError("this notebook was graded without the course's nbgrader_config.py; run `course grade`")
