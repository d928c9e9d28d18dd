"""Known mistakes: wrong answers that people really give, runnable, each with the sentence that a student reads.

One file for each assignment. A short mistake is written out, a mistake in a long answer is an edit of the reference:

    @mistake("kl_divergence", says="Every value is twice what it should be: the ½ in front is missing.")
    def kl_without_half(mu, logvar):
        return (mu**2 + logvar.exp() - logvar - 1).sum(-1)

    elbo_without_kl = edited(reference.elbo, {" - kl(mu, logvar)": ""}, says="A code far from the prior costs nothing: …")
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, TypeVar

from autograder.course import Assignment
from autograder.properties.suite import import_file

Definition = TypeVar("Definition", bound=Callable[..., Any])


@dataclass(frozen=True)
class Mistake:
    """One wrong answer to one exercise.

    `says` tells what was observed and where to look, never the code. `source` defines the exercise, wrongly, with nothing
    but what the starter imports and defines, so that it can stand in a submission. `name` is the mistake's own in its module.
    """

    exercise: str
    says: str
    source: str
    name: str = ""


def mistake(exercise: str, *, says: str) -> Callable[[Definition], Definition]:
    """Record a function or class as a known mistake in the exercise of that name."""

    def mark(definition: Definition) -> Definition:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(definition))).body
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        node.name, node.decorator_list = exercise, []
        definition.mistake = Mistake(exercise, says, ast.unparse(node) + "\n")  # type: ignore[attr-defined]
        return definition

    return mark


def edited(reference: Callable[..., Any], changes: Mapping[str, str], *, says: str) -> Mistake:
    """The reference with some of its code replaced, as a known mistake.

    Raises:
        ValueError: what is to be replaced is not there exactly once, since the reference has changed.
    """
    source = bare_source(reference)
    for old, new in changes.items():
        if source.count(old) != 1:
            raise ValueError(
                f"{old!r} stands {source.count(old)} times in the reference of {reference.__name__}, not once"
            )
        source = source.replace(old, new)
    return Mistake(reference.__name__, says, source)


@functools.cache
def bare_source(reference: Callable[..., Any]) -> str:
    """The source of a reference without its docstrings; read once, however many edits it has."""
    return without_docstring(inspect.getsource(reference))


def without_docstring(source: str) -> str:
    """The source of a function or class, less the lines of its docstring and of its methods' docstrings."""
    lines = source.splitlines(keepends=True)
    documented = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    docstrings = [node.body[0] for node in documented if ast.get_docstring(node) is not None]
    for docstring in sorted(docstrings, key=lambda node: node.lineno, reverse=True):
        del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "".join(lines)


def mistakes_in(module: ModuleType) -> tuple[Mistake, ...]:
    """The known mistakes of a module, in its order."""
    found = {name: getattr(value, "mistake", value) for name, value in vars(module).items()}
    return tuple(replace(item, name=name) for name, item in found.items() if isinstance(item, Mistake))


def known_mistakes(assignment: Assignment) -> tuple[Mistake, ...]:
    """The known mistakes of an assignment; none if it has no file of them."""
    path = assignment.mistakes_path
    return mistakes_in(import_file(path, f"{__name__}.{assignment.slug}")) if path.is_file() else ()
