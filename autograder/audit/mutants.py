"""Mutants: the reference with one small thing wrong, made from its syntax tree by operators for this field.

Each operator looks at one node and offers others in its place: another constant, another reduction, another dimension, a
gradient that is cut or let through, a clamp or a mask less. A suite that lets a mutant pass does not look closely enough, or
the mutant means the same as the reference, which a person has to say (see `equivalents`).
"""

from __future__ import annotations

import ast
import copy
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Operator = Callable[[ast.AST], Iterator[ast.AST]]
OPERATORS: list[Operator] = []


@dataclass(frozen=True)
class Mutant:
    """One changed reference.

    Attributes:
        exercise: what it answers, wrongly.
        operator: the kind of change.
        before: the lines of the reference that changed, as `ast.unparse` writes them.
        after: the lines in their place.
        source: the whole definition.
    """

    exercise: str
    operator: str
    before: str
    after: str
    source: str

    @property
    def cuts_gradients(self) -> bool:
        """Whether all that changes is that a value is cut off from its graph."""
        return self.operator == "gradient" and ".detach()" in self.after


def mutants(exercise: str, source: str) -> tuple[Mutant, ...]:
    """Every mutant of a definition, each once, in the order of the code."""
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.FunctionDef | ast.ClassDef)
    bare = without_prose(tree)
    original = ast.unparse(bare)
    found: dict[str, Mutant] = {}
    meanings = {meaning(bare)}
    for node in executed(bare):
        for operator in OPERATORS:
            for other in operator(node):
                mutated = ast.fix_missing_locations(replaced(bare, node, other))
                changed = ast.unparse(mutated)
                if changed in found or not compiles(changed) or (means := meaning(mutated)) in meanings:
                    continue
                meanings.add(means)
                found[changed] = Mutant(exercise, operator.__name__, *difference(original, changed), changed + "\n")
    return tuple(found.values())


def meaning(tree: ast.AST) -> str:
    """A text that is the same for definitions of which it is plain that they mean the same."""
    return ast.unparse(Plain().visit(copy.deepcopy(tree)))


class Plain(ast.NodeTransformer):
    """Takes away what makes no difference: an order that does not matter, a check of lengths, a second `detach`."""

    symmetric = frozenset("allclose equal logaddexp max maximum min minimum promote_types transpose".split())
    even = frozenset("abs square".split())  # (a − b)² = (b − a)²
    no_grad = False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Calls, from the inside out."""
        self.generic_visit(node)
        name, inner = method_of(node), subject(node)
        if name in self.symmetric and len(node.args) == 2:
            node.args.sort(key=ast.unparse)
        if name in self.even and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub):
            inner.left, inner.right = sorted((inner.left, inner.right), key=ast.unparse)
        if name == "zip":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "strict"]
        if name == "detach" and inner is not None and (self.no_grad or method_of(inner) == "detach"):
            return inner
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        """Under `no_grad` there is nothing to detach."""
        before, self.no_grad = self.no_grad, self.no_grad or "no_grad" in ast.unparse(node.items[0])
        self.generic_visit(node)
        self.no_grad = before
        return node


def without_prose(tree: ast.FunctionDef | ast.ClassDef) -> ast.FunctionDef | ast.ClassDef:
    """The definition less its docstrings and messages: words are not what a suite looks at."""
    bare = copy.deepcopy(tree)
    for node in ast.walk(bare):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return bare


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a definition's bodies. Signatures belong to the contract, and a message of an error to its reader."""
    yield tree
    for name, child in ast.iter_fields(tree):
        if name in ("returns", "annotation", "decorator_list", "bases", "keywords") and not isinstance(tree, ast.Call):
            continue
        if isinstance(tree, ast.Raise) or isinstance(child, ast.arguments):
            continue
        if isinstance(tree, ast.keyword) and tree.arg == "device":
            continue  # where all is on one device nobody can tell
        for node in child if isinstance(child, list) else [child]:
            if isinstance(node, ast.AST):
                yield from executed(node)


def replaced(tree: ast.AST, target: ast.AST, other: ast.AST) -> ast.AST:
    """A copy of a tree with one node exchanged; a statement exchanged for `Pass` keeps its place."""
    if tree is target:
        return other
    fields = {}
    for name, value in ast.iter_fields(tree):
        if isinstance(value, list):
            value = [replaced(item, target, other) if isinstance(item, ast.AST) else item for item in value]
        elif isinstance(value, ast.AST):
            value = replaced(value, target, other)
        fields[name] = value
    return type(tree)(**fields)


def compiles(source: str) -> bool:
    """Whether the source is Python."""
    try:
        compile(source, "<mutant>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def difference(original: str, changed: str) -> tuple[str, str]:
    """The lines that differ."""
    before, after = original.splitlines(), changed.splitlines()
    pieces = [
        (before[a:b], after[c:d])
        for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    return tuple("\n".join(line.strip() for piece in pieces for line in piece[side]) for side in (0, 1))  # type: ignore[return-value]


# ---- operators


def operator(function: Operator) -> Operator:
    """Add an operator to the list."""
    OPERATORS.append(function)
    return function


def method_of(node: ast.AST) -> str | None:
    """The name by which something is called: `sum` in both `x.sum()` and `torch.sum(x)`."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            return node.func.attr
        if isinstance(node.func, ast.Name):
            return node.func.id
    return None


def is_module(node: ast.AST) -> bool:
    """Whether it is a module of functions, such as `torch` or `F`, rather than a value."""
    return isinstance(node, ast.Name) and node.id in ("torch", "F", "math", "nn", "np")


def subject(call: ast.Call) -> ast.expr | None:
    """The value that a call is about: x in `x.sum()` and in `torch.sum(x)`."""
    if isinstance(call.func, ast.Attribute) and not is_module(call.func.value):
        root = call.func.value
        while isinstance(root, ast.Attribute):
            root = root.value
        return None if is_module(root) else call.func.value
    return call.args[0] if call.args else None


def renamed(call: ast.Call, name: str) -> ast.Call:
    """The same call of something else."""
    func: ast.expr
    if isinstance(call.func, ast.Attribute):
        func = ast.Attribute(call.func.value, name, ast.Load())
    else:
        func = ast.Name(name, ast.Load())
    return ast.Call(func, call.args, call.keywords)


@operator
def constant(node: ast.AST) -> Iterator[ast.AST]:
    """Another number, or the other truth value."""
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        if value > 0:
            yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(0.0 if value else 1.0)
        yield ast.Constant(value * 2)


EXCHANGED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
INEXACT = (ast.Sub, ast.Div, ast.Pow, ast.MatMult)  # the order of whose sides matters


@operator
def arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    """Another sign between two terms, their order, or one of them only."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in EXCHANGED:
            yield ast.BinOp(node.left, EXCHANGED[type(node.op)](), node.right)
        if isinstance(node.op, INEXACT):
            yield ast.BinOp(node.right, node.op, node.left)
        if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.Pow):
            yield node.left
            if isinstance(node.op, ast.Add | ast.Mult):
                yield node.right
    elif isinstance(node, ast.AugAssign) and type(node.op) in EXCHANGED:
        yield ast.AugAssign(node.target, EXCHANGED[type(node.op)](), node.value)


@operator
def sign(node: ast.AST) -> Iterator[ast.AST]:
    """A minus or a negation less; a returned value with the other sign."""
    match node:
        case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.Not()) if not isinstance(node.operand, ast.Constant):
            yield node.operand
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)):  # a dimension: -1
            yield ast.Constant(0)
            yield ast.UnaryOp(ast.USub(), ast.Constant(2))
        case ast.Return(value=ast.Call() | ast.BinOp() as value):
            yield ast.Return(ast.UnaryOp(ast.USub(), value))


COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@operator
def comparison(node: ast.AST) -> Iterator[ast.AST]:
    """A bound that is (not) part of the interval; a condition turned round; `and` for `or`."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            yield ast.Compare(node.left, [COMPARISONS[type(op)]()], node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.IfExp():
            yield node.body
            yield node.orelse


OTHERS = {
    "sum": ("mean",),
    "mean": ("sum",),
    "prod": ("sum",),
    "max": ("min",),
    "min": ("max",),
    "amax": ("amin",),
    "amin": ("amax",),
    "argmax": ("argmin",),
    "argmin": ("argmax",),
    "maximum": ("minimum",),
    "minimum": ("maximum",),
    "cumsum": ("cumprod",),
    "cumprod": ("cumsum",),
    "sin": ("cos",),
    "cos": ("sin",),
    "exp": ("expm1",),
    "expm1": ("exp",),
    "log": ("log1p",),
    "log1p": ("log",),
    "floor": ("ceil",),
    "ceil": ("floor",),
    "tril": ("triu",),
    "triu": ("tril",),
    "zeros": ("ones",),
    "ones": ("zeros",),
    "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",),
    "randn": ("rand",),
    "rand": ("randn",),
    "randn_like": ("rand_like",),
    "rand_like": ("randn_like",),
    "any": ("all",),
    "all": ("any",),
    "softmax": ("log_softmax",),
    "log_softmax": ("softmax",),
    "logsigmoid": ("sigmoid",),
    "sigmoid": ("tanh",),
    "tanh": ("sigmoid",),
    "relu": ("leaky_relu",),
    "leaky_relu": ("relu",),
    "mse_loss": ("l1_loss",),
    "l1_loss": ("mse_loss",),
    "unsqueeze": ("squeeze",),
    "train": ("eval",),
    "eval": ("train",),
}
TRANSPARENT = frozenset(
    "abs absolute bool ceil clamp clamp_max clamp_min clip cos cumprod cumsum detach diagonal double exp expm1 flatten "
    "flip float floor log log1p logsumexp masked_fill mean neg norm permute pow relu repeat_interleave roll round "
    "rsqrt sigmoid sin softmax sort sqrt square squeeze sum tanh transpose tril triu unsqueeze".split()
)


@operator
def function(node: ast.AST) -> Iterator[ast.AST]:
    """A function's sibling, or its argument as it is: a clamp, a mask, a root, a `detach` less."""
    name = method_of(node)
    if name is None or not isinstance(node, ast.Call):
        return
    for other in OTHERS.get(name, ()):
        yield renamed(node, other)
    inner = subject(node)
    if name in TRANSPARENT and inner is not None:
        yield inner


@operator
def attribute(node: ast.AST) -> Iterator[ast.AST]:
    """A transpose less."""
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT", "mH", "H"):
        yield node.value


@operator
def argument(node: ast.AST) -> Iterator[ast.AST]:
    """A keyword argument less, or the first two arguments exchanged."""
    if not isinstance(node, ast.Call):
        return
    for number, keyword in enumerate(node.keywords):
        # Where all is on one device, and a dtype is the default, nobody can tell; noise without its generator is seen.
        if keyword.arg not in ("device", None):
            yield ast.Call(node.func, node.args, node.keywords[:number] + node.keywords[number + 1 :])
    if len(node.args) >= 2 and not any(isinstance(item, ast.Starred) for item in node.args[:2]):
        yield ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)


@operator
def gradient(node: ast.AST) -> Iterator[ast.AST]:
    """A value cut off from its graph, or a `no_grad` less."""
    match node:
        case ast.Return(value=ast.Call() | ast.BinOp() as value) if not is_construction(value):
            yield ast.Return(called(value, "detach"))
        case ast.Assign(targets=[ast.Name() | ast.Attribute()], value=ast.Call() | ast.BinOp() as value) if (
            not is_construction(value)
        ):
            yield ast.Assign(node.targets, called(value, "detach"), lineno=0)
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Attribute(attr="no_grad")))]):
            yield ast.If(ast.Constant(True), node.body, [])


def called(value: ast.expr, name: str) -> ast.Call:
    """`value.name()`."""
    return ast.Call(ast.Attribute(value, name, ast.Load()), [], [])


WITHOUT_GRADIENT = frozenset(
    "arange argmax argmin argsort bool chunk detach empty enumerate eye float full full_like int len list long min nonzero "
    "one_hot ones ones_like rand rand_like randint randn randn_like randperm range size sorted split tensor tuple zeros "
    "zeros_like zip".split()
)


def is_construction(value: ast.expr) -> bool:
    """Whether it makes something new, which has no gradient, or a truth value, or several things at once."""
    while isinstance(value, ast.Call):
        name = method_of(value) or ""
        if name[:1].isupper() or name in WITHOUT_GRADIENT:
            return True
        receiver = value.func.value if isinstance(value.func, ast.Attribute) else None
        if receiver is None or is_module(receiver):
            return False
        value = receiver  # torch.randn(3).to(x).view(-1)
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitAnd | ast.BitOr)


@operator
def name(node: ast.AST) -> Iterator[ast.AST]:
    """One parameter in the place of another."""
    if not isinstance(node, ast.FunctionDef):
        return
    parameters = [item.arg for item in (*node.args.args, *node.args.kwonlyargs) if item.arg != "self"]
    if len(parameters) < 2:
        return
    following = dict(zip(parameters, [*parameters[1:], parameters[0]], strict=True))
    for part in executed(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id in following:
            yield replaced(node, part, ast.Name(following[part.id], ast.Load()))


@operator
def order(node: ast.AST) -> Iterator[ast.AST]:
    """Two returned values exchanged, a range one shorter, the elements of a slice one off at either end."""
    match node:
        case ast.Return(value=ast.Tuple(elts=[first, second, *rest])):
            yield ast.Return(ast.Tuple([second, first, *rest], ast.Load()))
        case ast.Call(func=ast.Name(id="range"), args=[*before, last]) if len(before) < 2:
            yield ast.Call(node.func, [*before, ast.BinOp(last, ast.Sub(), ast.Constant(1))], [])
        case ast.Slice(lower=None, upper=upper, step=None) if upper is not None:
            yield ast.Slice(ast.Constant(1), upper, None)
            yield ast.Slice(None, None, None)
        case ast.Slice(lower=lower, upper=None, step=None) if lower is not None:
            yield ast.Slice(None, None, None)


@operator
def statement(node: ast.AST) -> Iterator[ast.AST]:
    """A statement less: a call for its effect, an update, a condition's body, a check."""
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield ast.Pass()
        case ast.If(test=test) if not isinstance(test, ast.Constant):
            yield ast.Pass()
            yield ast.If(ast.Constant(True), node.body, [])
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if mentions(value, name):
            yield ast.Pass()  # x = f(x)


def mentions(tree: ast.AST, name: str) -> bool:
    """Whether a name is read in a tree."""
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


@operator
def dtype(node: ast.AST) -> Iterator[ast.AST]:
    """Single for double precision, and the other way round."""
    match node:
        case ast.Attribute(attr="float32"):
            yield ast.Attribute(node.value, "float64", ast.Load())
        case ast.Attribute(attr="float64" | "double"):
            yield ast.Attribute(node.value, "float32", ast.Load())
        case ast.Call(func=ast.Attribute(attr="double"), args=[]):
            yield renamed(node, "float")
