"""Running a submission's cells one after the other in one namespace, as a notebook does."""

from __future__ import annotations
import __future__

import ast
import linecache
import traceback
from typing import Any

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
FUTURE_FLAGS = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
MAX_FRAMES = 12


class CellRunner:
    """Executes cells in `namespace`. A `from __future__ import` holds for the cells after it, too."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._flags = 0

    def run(self, source: str, name: str, *, only_definitions: bool = False) -> None:
        """Execute one cell; `name` is what tracebacks call it.

        With `only_definitions` everything is left out but imports, functions, classes and plain constants: a hands-on cell may
        train for minutes, yet hold a helper that later cells use.
        """
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        tree = ast.parse(source, name)
        if only_definitions:
            tree.body = [node for node in tree.body if isinstance(node, DEFINITIONS) or is_constant(node)]
        code = compile(tree, name, "exec", flags=self._flags, dont_inherit=True)
        self._flags |= code.co_flags & FUTURE_FLAGS
        exec(code, self._namespace)


def is_constant(node: ast.stmt) -> bool:
    """Whether a statement gives a name a literal value."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return False
    try:
        ast.literal_eval(node.value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def student_frames(error: BaseException) -> list[list[Any]]:
    """[cell, line, function, source line] for each step of the traceback that lies in a cell of the student's."""
    steps = []
    if isinstance(error, SyntaxError) and (error.filename or "").startswith("cell "):
        steps.append([error.filename, error.lineno or 0, "", (error.text or "").strip()])
    for step in traceback.extract_tb(error.__traceback__):
        if step.filename.startswith("cell "):
            steps.append([step.filename, step.lineno or 0, step.name, step.line or ""])
    return steps[-MAX_FRAMES:]
