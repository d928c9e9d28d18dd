"""Published cases: wrong answers that stood in public code, and right ones that public tests refused.

Each is written afresh. `where` names the public place (repository#issue), or what is particular about a right answer.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from autograder.mistakes import mistake


@dataclass(frozen=True)
class Case:
    """One answer to one exercise, and whether it is right."""

    exercise: str
    right: bool
    where: str
    source: str


def _case(exercise: str, where: str, *, is_right: bool) -> Callable[[Any], Any]:
    def mark(definition: Any) -> Any:
        source = mistake(exercise, says=where)(definition).mistake.source
        definition.case = Case(exercise, is_right, where, source)
        return definition

    return mark


def right(exercise: str, where: str) -> Callable[[Any], Any]:
    """A correct answer: it earns everything."""
    return _case(exercise, where, is_right=True)


def wrong(exercise: str, where: str) -> Callable[[Any], Any]:
    """A wrong answer: it loses points."""
    return _case(exercise, where, is_right=False)


def altered(known: Any, where: str, changes: Mapping[str, str]) -> Case:
    """A case with some of its code replaced, which makes a right answer wrong.

    Raises:
        ValueError: what is to be replaced is not there exactly once.
    """
    source = known.case.source
    for old, new in changes.items():
        if source.count(old) != 1:
            raise ValueError(f"{old!r} stands {source.count(old)} times in {known.__name__}, not once")
        source = source.replace(old, new)
    return Case(known.case.exercise, not known.case.right, where, source)


def cases(module: ModuleType) -> dict[str, Case]:
    """The cases in a module, by their names there; each brings the module's imports along."""
    nodes = ast.parse(inspect.getsource(module)).body
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    lines = "".join(f"{ast.unparse(node)}\n" for node in imports if getattr(node, "module", "") != __name__)
    found = {name: getattr(item, "case", item) for name, item in vars(module).items()}
    return {name: replace(item, source=lines + item.source) for name, item in found.items() if isinstance(item, Case)}
