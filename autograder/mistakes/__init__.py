"""Known mistakes: wrong answers that people really give, runnable, each with the sentence that a student reads."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

Definition = TypeVar("Definition", bound=Callable[..., Any])


@dataclass(frozen=True)
class Mistake:
    """One wrong answer to one exercise.

    `says` tells what was observed and where to look, never the code. `definition` is the wrong function or class; it uses
    nothing but what the starter imports.
    """

    exercise: str
    name: str
    says: str
    definition: Callable[..., Any]

    @property
    def source(self) -> str:
        """The source of the definition, called as the exercise is, so that it can stand in a submission."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.definition)))
        (node,) = tree.body
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        node.name = self.exercise
        node.decorator_list = []
        return ast.unparse(node) + "\n"


def mistake(exercise: str, *, says: str) -> Callable[[Definition], Definition]:
    """Record a function or class as a known mistake in the exercise of that name."""

    def mark(definition: Definition) -> Definition:
        definition.mistake = Mistake(exercise, definition.__name__, says, definition)  # type: ignore[attr-defined]
        return definition

    return mark


def mistakes_in(module: ModuleType) -> tuple[Mistake, ...]:
    """The known mistakes that a module records, in the order in which it does."""
    found = (vars(value).get("mistake") for value in vars(module).values() if hasattr(value, "__dict__"))
    return tuple(item for item in found if isinstance(item, Mistake))


def known_mistakes(slug: str) -> tuple[Mistake, ...]:
    """The known mistakes of an assignment; an assignment may have none yet."""
    name = f"{__name__}.{slug}"
    return mistakes_in(importlib.import_module(name)) if importlib.util.find_spec(name) else ()
