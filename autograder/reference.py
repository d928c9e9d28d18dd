"""The reference as a submission: the starter, with the solution's definitions in place of the stubs."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import jupytext
from nbformat import NotebookNode

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.exercise import definition


def reference_sources(assignment: Assignment) -> dict[str, str]:
    """The reference's source of every exercise, in the order of the notebook.

    Raises:
        CourseError: the solution is missing, or lacks an exercise.
    """
    path = assignment.solution_path
    try:
        module = path.read_text("utf-8")
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}") from None
    return {exercise.name: _source(module, exercise.name, str(path)) for exercise in assignment.exercises}


def completed(assignment: Assignment, references: Mapping[str, str], exercise: str, source: str) -> dict[str, str]:
    """The answers that are handed in to have one of them questioned, by exercise.

    That is `source` alone; but where all exercises are parts of one work, the reference's other answers stand around it.

    Args:
        assignment: whose exercise it is.
        references: the reference's source of every exercise.
        exercise: which one is questioned.
        source: the answer to it.
    """
    return {**(references if assignment.one_work else {}), exercise: source}


def reference_notebook(assignment: Assignment, answers: Mapping[str, str] | None = None) -> NotebookNode:
    """A notebook that answers every exercise as the reference does, but for those that `answers` names.

    Args:
        assignment: whose starter is filled.
        answers: sources that stand in place of the reference's, by exercise: a known mistake, another correct way.

    Raises:
        CourseError: the solution lacks an exercise, or `answers` names something that is none.
    """
    sources = reference_sources(assignment)
    if unknown := sorted(set(answers or {}) - set(sources)):
        raise CourseError(f"{assignment.slug} has no exercise {unknown[0]!r}; there are: {', '.join(sources)}")
    sources.update(answers or {})
    notebook = copy.deepcopy(assignment.starter.notebook)
    for cell in notebook.cells:
        if "exercise" in cell.metadata:
            cell.source = sources[cell.metadata["exercise"]].rstrip("\n")
    return notebook


def reference_script(assignment: Assignment, answers: Mapping[str, str] | None = None) -> str:
    """The same as a Jupytext percent script; see `reference_notebook`."""
    return str(jupytext.writes(reference_notebook(assignment, answers), fmt="py:percent"))


def _source(module: str, name: str, where: str) -> str:
    try:
        node = definition(module, name)
    except LookupError:
        raise CourseError(f"{where}: defines no function or class {name!r}") from None
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(module.splitlines()[first - 1 : node.end_lineno])
