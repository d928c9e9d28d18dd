"""The part of a suite that the results of some exercises depend on.

A submission is graded in shares, each in a process and a worker of its own (`engines/job.py`). So when only other shares'
properties have changed, the results of a share are what they were, and it need not be questioned again. Within a share they may
not be: what one exercise leaves behind in the worker, the next one finds.

Whatever cannot be told apart for certain belongs to every share.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection

from autograder.exercise import Starter


def hidden_part(source: str, exercises: Collection[str]) -> str:
    """A hidden module without the classes of properties of all but some exercises.

    The whole of it, if what is left could notice what is missing: if it names a class that would go, or if the module keeps
    anything from one property to the next (`functools.cache`, `global`), which the first one to come determines.
    """
    module = ast.parse(source)
    kept = [node for node in module.body if not _is_about_others(node, exercises)]
    gone = {node.name for node in module.body if isinstance(node, ast.ClassDef) and node not in kept}
    if _remembers(module) or any(name in gone for node in kept for name in _words(node)):
        return source
    return ast.unparse(ast.Module(kept, []))


def starter_part(starter: Starter) -> str:
    """All of a starter but its points: every worker runs all of its code, and points are reckoned apart."""
    cells = [
        {"type": cell.cell_type, "source": cell.source, "about": {**cell.metadata, "points": None}}
        for cell in starter.notebook.cells
    ]
    return json.dumps(cells, sort_keys=True)


def _is_about_others(node: ast.stmt, exercises: Collection[str]) -> bool:
    """Whether it is a class of properties of another exercise, which does nothing but define them."""
    if not isinstance(node, ast.ClassDef) or node.bases or node.keywords:
        return False
    named = [_exercise(decorator) for decorator in node.decorator_list]
    return (
        len(named) == 1
        and named[0] is not None
        and named[0] not in exercises
        and all(isinstance(item, ast.FunctionDef) or _is_docstring(item) for item in node.body)
        and not any(isinstance(item, ast.Import | ast.ImportFrom) for item in ast.walk(node))
    )


def _exercise(decorator: ast.expr) -> str | None:
    """The name in `@exercise("name", …)`."""
    match decorator:
        case ast.Call(func=ast.Name(id="exercise"), args=[ast.Constant(value=str(name))]):
            return name
    return None


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _remembers(module: ast.Module) -> bool:
    identifiers = {name for node in ast.walk(module) if not isinstance(node, ast.Constant) for name in _names(node)}
    return any("cache" in name for name in identifiers) or any(
        isinstance(node, ast.Global) for node in ast.walk(module)
    )


def _words(node: ast.AST) -> set[str]:
    return {name for item in ast.walk(node) for name in _names(item)}


def _names(node: ast.AST) -> list[str]:
    """What a node calls by name, be it in a string."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
            return [name]
        case ast.Constant(value=str(text)):
            return text.split()
    return []
