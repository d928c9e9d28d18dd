"""What source text declares, read without running it: exercises with checks, definitions, stubs not yet written."""

from __future__ import annotations

import ast
from pathlib import Path

from coursekit.errors import ChecksUnreadable

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def exercises_in(checks: Path) -> list[str]:
    """The exercises that a file of properties marks with `@exercise("name")`, in order.

    Raises:
        ChecksUnreadable: it is no Python file.
    """
    try:
        tree = ast.parse(checks.read_text("utf-8"), checks.name)
    except (OSError, ValueError, SyntaxError) as error:
        raise ChecksUnreadable(checks.name, error) from None
    names: dict[str, None] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                match decorator:
                    case ast.Call(func=ast.Name(id="exercise"), args=[ast.Constant(value=str(name)), *_]):
                        names[name] = None
    return list(names)


def definitions(source: str) -> dict[str, Definition]:
    """The functions and classes that `source` defines at top level; the last one of a name counts.

    Raises:
        SyntaxError: the text is no Python.
    """
    return {node.name: node for node in ast.parse(source).body if isinstance(node, Definition)}


def unwritten(node: Definition) -> str | None:
    """The name of the stub that is left in a definition, such as `Encoder.forward`; None if there is none.

    A stub raises NotImplementedError or has no body but its docstring.
    """
    if isinstance(node, ast.ClassDef):
        inside = (unwritten(item) for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))
        return next((f"{node.name}.{name}" for name in inside if name), None)
    return node.name if _ends_in_a_stub(node.body) else None


def definitions_only(source: str) -> str:
    """The imports, functions, classes and constants of a cell, each on its line: what other cells may rely on.

    Raises:
        SyntaxError: the text is no Python.
    """
    kept = [node for node in ast.parse(source).body if _defines(node)]
    wanted = {line for node in kept for line in range(_first_line(node), (node.end_lineno or node.lineno) + 1)}
    return "\n".join(line if number in wanted else "" for number, line in enumerate(source.split("\n"), 1))


def _ends_in_a_stub(body: list[ast.stmt]) -> bool:
    statements = [node for node in body if not _is_docstring(node)]
    if not statements:
        return True
    match statements[-1]:
        case ast.Raise(exc=ast.Name(id="NotImplementedError") | ast.Call(func=ast.Name(id="NotImplementedError"))):
            return True
        case ast.Pass():
            return len(statements) == 1
    return False


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _defines(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        return all(isinstance(part, ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.UnaryOp | ast.USub | ast.Load)
                   for part in ast.walk(node.value))  # fmt: skip
    return isinstance(node, ast.Import | ast.ImportFrom | Definition)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, Definition) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
