"""What students' source text is, as Python: parsed, searched for definitions, freed of IPython's extra syntax.

Nothing here executes anything, whatever the text says.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)


def parse(source: str) -> ast.Module:
    """The syntax tree of `source`.

    Raises:
        SyntaxError: it has none, for whatever reason: the parser's own limits included.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (RecursionError, MemoryError):
        raise SyntaxError("the code is nested too deeply") from None
    except ValueError as error:
        raise SyntaxError(str(error)) from None


def parses(source: str) -> bool:
    """Whether `source` is Python."""
    try:
        parse(source)
    except SyntaxError:
        return False
    return True


def fingerprint(tree: ast.AST) -> str | None:
    """A text that two trees share if they differ in layout and comments alone; None for a tree too deep to have one."""
    try:
        return ast.dump(tree)
    except RecursionError:
        return None


def definitions(tree: ast.Module) -> dict[str, ast.AST]:
    """What each name is last bound by at top level: a function, a class, an import, or an assignment's target."""
    found: dict[str, ast.AST] = {}
    for node in _module_scope(tree):
        for name in _binds(node):
            found[name] = node
    return found


def bound_anywhere(tree: ast.Module) -> set[str]:
    """The names that `tree` binds in any scope."""
    return {name for node in ast.walk(tree) for name in _binds(node)}


def read_anywhere(tree: ast.Module) -> set[str]:
    """The names that `tree` reads in any scope."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _module_scope(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes outside every function and class, in the order of the text."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending += reversed(list(ast.iter_child_nodes(node)))


def _binds(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name.partition(".")[0] for alias in aliases]
    return []


class Position:
    """Where in Python code a line ends: between statements, or inside a string, brackets or a continued line."""

    def __init__(self) -> None:
        self.quote = ""
        self.depth = 0
        self.continued = False

    @property
    def between_statements(self) -> bool:
        """Whether the next line begins a statement."""
        return not (self.quote or self.depth or self.continued)

    def feed(self, line: str) -> None:
        """Go on by one line, given without its end."""
        at = 0
        self.continued = False
        while at < len(line):
            if self.quote:
                closing = _CLOSING[self.quote].match(line, at)
                if closing:
                    at = closing.end()
                    self.quote = ""
                    continue
                if len(self.quote) == 1 and not line.endswith("\\"):
                    self.quote = ""  # a string that its line does not end: a fault of this line alone
                return
            token = _TOKEN.search(line, at)
            if token is None or token.group().startswith("#"):
                return
            at = token.end()
            match token.group():
                case "(" | "[" | "{":
                    self.depth += 1
                case ")" | "]" | "}":
                    self.depth = max(0, self.depth - 1)
                case "\\":
                    self.continued = True
                case quote:
                    self.quote = quote


_TOKEN = re.compile(r"""\#|\"{3}|'{3}|["']|[()\[\]{}]|\\$""")
_CLOSING = {quote: re.compile(rf"(?:[^\\]|\\.)*?{quote}") for quote in ('"""', "'''", '"', "'")}

# Cell magics whose body runs somewhere else than in the notebook: in a shell, a browser, a file, a scope of its own.
_ELSEWHERE = re.compile(
    r"!|bash|cmd|cython|file|html|javascript|js|julia|latex|markdown|perl|pypy|python[23]?|r|ruby|script|sh|sql|svg|sx"
    r"|system|timeit|writefile",
    re.IGNORECASE,
)
_HERE = frozenset(["capture", "prun", "time"])
# Line magics that IPython understands without the percent sign, in a cell that has nothing else.
_AUTOMAGIC = re.compile(r"\s*(?:pip|conda|mamba|uv|cd|ls|ll|cat|cp|mv|rm|mkdir|rmdir|time|timeit|load_ext|run)\s")
_TARGET = r"[^\W\d][\w.]*(?:\[[^\]]*\])*(?:\s*,\s*[^\W\d][\w.]*)*\s*=\s*"
_MAGIC = re.compile(rf"(?P<indent>\s*)(?P<target>{_TARGET}(?=[%!]))?(?P<escape>%%?(?=[^\W\d])|!|\?)(?P<rest>.*)")
_HELP = re.compile(r"(?P<indent>\s*)%{0,2}[^\W\d*][\w.*]*(?:\[-?\d+\])*\?\??\s*$")


def plain_python(source: str) -> str:
    """The cell with IPython's syntax taken out and every line where it was.

    Text that is Python as it stands has none, so `a % b` or a string that starts a line with a percent sign is safe.
    `%time f()` and the body of `%%time` or `%%capture` stay, for they run in the notebook; what runs elsewhere goes.
    Text that is no Python either way comes back with what looks like magics taken out.
    """
    try:
        tree = parse(source)
    except SyntaxError:
        return _without_magics(_unindented(source))
    if "get_ipython" not in source:
        return source
    plain = _without_magics(_with_magics(source, tree))
    return plain if parses(plain) else source


def _unindented(source: str) -> str:
    """As IPython begins: prompts and common indentation go."""
    if source.lstrip().startswith(">>>"):
        source = re.sub(r"(?m)^\s*(?:>>>|\.\.\.)(?: |$)", "", source)
    return textwrap.dedent(source) if source.lstrip("\n")[:1].isspace() else source


def _without_magics(source: str) -> str:
    lines = source.split("\n")
    known = True  # whether every cell magic is one that runs its body in the notebook
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        cell_magic = re.match(r"%%\s*(!|\w+)(?!.*\?)", line)
        if cell_magic is None:
            break
        if _ELSEWHERE.fullmatch(cell_magic[1]):
            return ""
        known = known and cell_magic[1] in _HERE
        lines[number] = ""
    if _AUTOMAGIC.match(source) and "\n" not in source.strip():
        return f"# {source.strip()}"
    plain = "\n".join(_without_line_magics(lines))
    return plain if known or parses(plain) else ""


def _without_line_magics(lines: list[str]) -> Iterator[str]:
    position = Position()
    goes_on = False  # the line before was a magic, continued by a backslash
    for line in lines:
        replaced = "" if goes_on else _python_for(line) if position.between_statements else None
        goes_on = replaced is not None and line.endswith("\\")
        if replaced is None:
            position.feed(line)
        yield line if replaced is None else replaced


def _python_for(line: str) -> str | None:
    """What stands in place of a line of magic; None if it is no magic."""
    if helped := _HELP.match(line):
        return _nothing(helped["indent"], line)
    magic = _MAGIC.match(line)
    if magic is None:
        return None
    indent, target = magic["indent"], magic["target"] or ""
    name, _, argument = magic["rest"].partition(" ")
    if magic["escape"] == "%" and name == "time" and argument.strip() and parses(argument.strip()):
        return f"{indent}{target}{argument.strip()}"
    if target:
        return f"{indent}{target}{'[]' if magic['escape'] == '!' else None}  # {line.strip()}"
    return _nothing(indent, line)


def _nothing(indent: str, line: str) -> str:
    """A line that does nothing: a comment, which leaves `from __future__` first, or the body that a block needs."""
    return f"{indent}pass  # {line.strip()}" if indent else f"# {line.strip()}"


def _with_magics(source: str, tree: ast.Module) -> str:
    """The source with magics in place of the calls that Jupyter writes for them when it saves a script."""
    match tree.body:
        case [ast.Expr(value=call)] if (
            (words := _magic_call(call)) and words[0] == "run_cell_magic" and len(words) == 4
        ):
            return f"%%{words[1]} {words[2]}\n{words[3]}".rstrip("\n")
    lines = [line.encode() for line in source.split("\n")]  # the tree counts columns in bytes
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Assign) and node.value.end_lineno == node.lineno:
            match _magic_call(node.value):
                case ["run_line_magic", name, argument]:
                    magic = f"%{name} {argument}".rstrip()
                case ["system" | "getoutput", command]:
                    magic = f"!{command}"
                case _:
                    continue
            call, row = node.value, node.lineno - 1
            rest = lines[row][call.end_col_offset :]
            if "\n" not in magic and not rest.strip():
                lines[row] = lines[row][: call.col_offset] + magic.encode()
    return b"\n".join(lines).decode()


def _magic_call(call: Any) -> list[str] | None:
    """The method and the arguments of `get_ipython().method("…", …)`; None for anything else."""
    match call:
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=method), args=args, keywords=[]
        ):
            words = [word.value for word in args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
            return [method, *words] if len(words) == len(args) else None
    return None
