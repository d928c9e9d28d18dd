"""Submissions whose code is more alike than the class's code is in general: a hint for a person to look at, no verdict.

Code is freed of what is easily changed (layout, comments, texts, annotations, the names of variables) and becomes a row of
tokens. Of every K tokens in a row a hash is taken, and of every WINDOW hashes in a row the smallest is kept: two pieces of
code that share K + WINDOW - 1 tokens in a row share a fingerprint, wherever they stand (Schleimer, Wilkerson and Aiken:
Winnowing: local algorithms for document fingerprinting, SIGMOD 2003, doi:10.1145/872757.872770).

Answers to small stubs are alike by nature, so what is counted is rarity. What was released counts nothing, what half of the
class wrote counts nothing, and the fewer have a passage, the more it weighs. Then a pair is only named if it is alike far
beyond what each one's nearest neighbour in this class is like.

copydetect, the library for this, compares files two by two and knows no class, takes away the names of library functions as
it does those of variables, and draws its hashes from Python's, which differ from run to run.
"""

from __future__ import annotations

import ast
import io
import tokenize
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]

from autograder.course import Assignment
from autograder.reading import Cell
from autograder.syntax import bound_anywhere, parse

K = 10  # tokens: about a line of code
WINDOW = 6
FEWEST = 10  # submissions: below, nothing is known of what is usual
RARE = 0.05  # of the class, and at least the two of a pair: who has a rare passage
RARE_SHARED = 8  # passages: fewer can be chance
PLACES = 2  # exercises with such passages: two students may well make one and the same mistake
LEAST = 0.5  # of the weighed code: less is not worth anybody's time
SPREADS = 6.0  # above what is usual

Passages = Mapping[str, np.ndarray]
_SKIPPED = {tokenize.NL, tokenize.COMMENT, tokenize.ENCODING, tokenize.ENDMARKER}


@dataclass(frozen=True)
class Pair:
    """Two submissions that are alike.

    Attributes:
        first, second: their places in the class.
        share: of the code that sets them apart from the class, how much is common to both; 1 is all of it.
        rare: passages that both have and next to nobody else.
        where: exercises that hold these passages, most of them first; "" is code outside any exercise.
    """

    first: int
    second: int
    share: float
    rare: int
    where: tuple[str, ...]


@dataclass(frozen=True)
class Alikeness:
    """What a class's code has in common.

    Attributes:
        usual: the median over the class of how much of one's code is one's nearest neighbour's; None if too few to say.
        threshold: from which share on a pair is named.
        pairs: the most alike first.
    """

    usual: float | None
    threshold: float
    pairs: tuple[Pair, ...]


class _Plain(ast.NodeTransformer):
    """Frees code of what is changed without thought."""

    def __init__(self, own: set[str]) -> None:
        self.own = own

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name("v", node.ctx) if node.id in self.own else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return ast.Attribute(node.value, "v", node.ctx) if node.attr in self.own else node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg("v")

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        return ast.Assign([node.target], node.value or ast.Constant(None), lineno=0)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant):  # a docstring, or nothing
            return ast.Pass()
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def tokens(source: str) -> list[str]:
    """The tokens of a piece of code, freed of what is easily changed; none if it is no Python."""
    try:
        tree = parse(source)
        stored = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name))
        own = bound_anywhere(tree) | {
            node.attr for node in stored if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        plain = ast.unparse(_Plain(own).visit(tree))
        found = tokenize.generate_tokens(io.StringIO(plain).readline)
        return [token.string for token in found if token.type not in _SKIPPED and token.string.strip()]
    except (SyntaxError, tokenize.TokenError, RecursionError, ValueError):
        return []


def winnow(words: Sequence[str], k: int = K, window: int = WINDOW) -> np.ndarray:
    """The fingerprints of a row of tokens: of every `window` hashes of `k` tokens the smallest, each once, in order of size."""
    if len(words) < k:
        return np.empty(0, np.uint64)
    letters = np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in words], np.uint64)
    powers = np.cumprod(np.full(k, 0x9E3779B97F4A7C15, np.uint64))  # of an odd number; products wrap
    hashes = np.lib.stride_tricks.sliding_window_view(letters, k) @ powers
    hashes ^= hashes >> np.uint64(29)  # high digits into low ones: the smallest is to be any of them
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(32)
    width = min(window, len(hashes))
    return np.unique(np.lib.stride_tricks.sliding_window_view(hashes, width).min(axis=1))


def fingerprints(cells: Iterable[Cell], released: np.ndarray) -> dict[str, np.ndarray]:
    """Fingerprints of a submission's code by exercise, without those of what was released. Hands-on cells are left out."""
    found: dict[str, list[np.ndarray]] = {}
    for cell in cells:
        if not cell.definitions_only and cell.number:
            found.setdefault(cell.exercise or "", []).append(_fingerprints_of(cell.source))
    whole = {name: np.setdiff1d(np.concatenate(parts), released) for name, parts in found.items()}
    return {name: prints for name, prints in whole.items() if len(prints)}


@lru_cache(maxsize=4096)  # many cells are the same in everyone's notebook
def _fingerprints_of(source: str) -> np.ndarray:
    return winnow(tokens(source))


def released_fingerprints(assignment: Assignment) -> np.ndarray:
    """Fingerprints of everything that was released. Not winnowed: whatever a submission keeps of it is to be known."""
    code = [cell.source for cell in assignment.starter.notebook.cells if cell.cell_type == "code"]
    return np.unique(np.concatenate([np.empty(0, np.uint64), *(winnow(tokens(source), window=1) for source in code)]))


def alikeness(everyone: Sequence[Passages]) -> Alikeness:
    """Who is far more alike than this class is in general.

    The share of a pair is the Dice coefficient of their fingerprints, each weighed by log(class / how many have it).
    """
    authors = [index for index, passages in enumerate(everyone) if passages]
    if len(authors) < FEWEST:
        return Alikeness(None, 1.0, ())
    prints = [np.unique(np.concatenate(list(everyone[index].values()))) for index in authors]
    vocabulary, columns = np.unique(np.concatenate(prints), return_inverse=True)
    rows = np.repeat(np.arange(len(authors)), [len(found) for found in prints])
    ones = np.ones(len(rows))
    has = sparse.csr_array((ones, (rows, columns)), shape=(len(authors), len(vocabulary)))
    owners = np.bincount(columns, minlength=len(vocabulary))
    weight = np.where(owners <= len(authors) / 2, np.log(len(authors) / owners), 0.0)
    told = has[:, weight > 0]
    common = (told.multiply(weight[weight > 0]) @ told.T).toarray()
    rare = has[:, owners <= max(2, RARE * len(authors))]
    rare_common = (rare @ rare.T).toarray()

    own = np.diag(common)
    total = own[:, None] + own[None, :]
    share = np.divide(2 * common, total, out=np.zeros_like(common), where=total > 0)
    np.fill_diagonal(share, 0.0)
    nearest = share.max(axis=1)
    usual = float(np.median(nearest))
    spread = max(float(np.median(np.abs(nearest - usual))) * 1.4826, 0.03)  # of a bell curve, its standard deviation
    # Where the usual is so high that no distance above it is left, whoever shares all but everything is named.
    threshold = min(max(LEAST, usual + SPREADS * spread), 0.95)

    chosen = np.argwhere(np.triu((share >= threshold) & (rare_common >= RARE_SHARED)))
    seldom = vocabulary[owners <= max(2, RARE * len(authors))]
    pairs = []
    for a, b in chosen:
        first, second = authors[a], authors[b]
        where = _where(everyone[first], everyone[second], seldom)
        if len(where) >= PLACES:
            pairs.append(Pair(first, second, float(share[a, b]), int(rare_common[a, b]), where))
    return Alikeness(usual, threshold, tuple(sorted(pairs, key=lambda pair: (-pair.share, -pair.rare, pair.first))))


def _where(first: Passages, second: Passages, rare: np.ndarray) -> tuple[str, ...]:
    theirs = np.concatenate(list(second.values()))
    counts = {
        name: len(np.intersect1d(np.intersect1d(prints, theirs), rare, assume_unique=True))
        for name, prints in first.items()
    }
    return tuple(name for name in sorted(counts, key=lambda name: -counts[name]) if counts[name])
