"""Mutants of small definitions."""

import ast

import pytest

from autograder.audit.mutants import OPERATORS, mutants

KL = '''
def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Nats, 0.5 of them."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1)
'''


def bodies(source: str) -> set[str]:
    """The bodies of all mutants, in a line each."""
    (original,) = ast.parse(source).body
    found = set()
    for mutant in mutants(original.name, source):
        (tree,) = ast.parse(mutant.source).body
        found.add("; ".join(ast.unparse(node) for node in tree.body))
    return found


@pytest.mark.parametrize(
    "body",
    [
        "return 1.0 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1)",  # the half
        "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(dim=1)",
        "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()",
        "return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=0)",
        "return 0.5 * (mu.square() + logvar.exp() - 1 + logvar).sum(dim=1)",
        "return 0.5 * (mu + logvar.exp() - 1 - logvar).sum(dim=1)",
        "return 0.5 * (mu.square() + mu.exp() - 1 - logvar).sum(dim=1)",
        "return (0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1)).detach()",
        "return -(0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1))",
    ],
)
def test_typical_mistakes_are_among_them(body: str):
    assert body in bodies(KL)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("return a - b", "return b - a"),
        ("return a @ b.mT", "return a @ b"),
        ("return x.clamp(0, 1)", "return x"),
        ("return torch.tril(x)", "return torch.triu(x)"),
        ("return torch.where(~mask, x, y)", "return torch.where(mask, x, y)"),
        ("return torch.autograd.grad(y, x, create_graph=True)", "return torch.autograd.grad(y, x, create_graph=False)"),
        ("return x.masked_fill(mask, -inf)", "return x"),
        ("return torch.sqrt(x + 1e-12)", "return torch.sqrt(x + 0.0)"),
        ("return x[:-1]", "return x[1:-1]"),
        ("return x.sum(-1)", "return x.sum(0)"),
        ("return (a, b)", "return (b, a)"),
        ("x = f(x); return x", "pass; return x"),
        ("x += 1; return x", "pass; return x"),
        ("update(x); return x", "pass; return x"),
        ("return x if flag else y", "return y"),
        ("return a < b", "return a <= b"),
        ("return torch.zeros(3, dtype=torch.float64)", "return torch.zeros(3, dtype=torch.float32)"),
        ("return y.detach() + x", "return y + x"),
        ("return torch.randn(3, generator=g)", "return torch.randn(3)"),
    ],
)
def test_operators_of_the_field(body: str, changed: str):
    source = f"def f(*args):\n    {body}\n"
    assert changed in bodies(source)


def test_a_context_that_stops_gradients_is_taken_away():
    source = "def f(x):\n    with torch.no_grad():\n        return x + x\n"
    assert "if True:\n    return x + x" in bodies(source)


def test_parameters_are_taken_for_each_other():
    assert "return (y, y)" in bodies("def f(x, y):\n    return (x, y)\n")


@pytest.mark.parametrize(
    ("body", "same"),
    [
        ("return (a - b).square()", "return (b - a).square()"),
        ("return torch.maximum(a, b)", "return torch.maximum(b, a)"),
        ("return x.transpose(1, 2)", "return x.transpose(2, 1)"),
        ("return list(zip(a, b, strict=True))", "return list(zip(a, b))"),
        ("return x.detach()", "return x.detach().detach()"),
        (
            "with torch.no_grad():\n        y = f(x)\n    return y",
            "with torch.no_grad():\n    y = f(x).detach(); return y",
        ),
        ("return torch.randn(3).to(x)", "return torch.randn(3).to(x).detach()"),
        ("mask = a & b\n    return mask", "mask = (a & b).detach(); return mask"),
        ("return torch.zeros(3, device=x.device)", "return torch.zeros(3)"),
    ],
)
def test_what_plainly_means_the_same_is_no_mutant(body: str, same: str):
    assert same not in bodies(f"def f(*args):\n    {body}\n")


def test_each_is_given_once_and_none_is_the_reference():
    found = [mutant.source for mutant in mutants("kl_divergence", KL)]
    assert len(set(found)) == len(found)
    assert ast.unparse(ast.parse(KL)) not in [ast.unparse(ast.parse(source)) for source in found]


def test_what_belongs_to_the_contract_stays():
    """Signature, defaults, annotations and the words of errors."""
    source = 'def f(x: Float[Tensor, "n 3"], scale: float = 1.0) -> int:\n    raise ValueError(f"less than {1 + 1}")\n'
    assert [mutant.source for mutant in mutants("f", source)] == []


def test_a_class_is_mutated_in_its_methods():
    source = "class Shift(nn.Module):\n    def forward(self, x):\n        return x + self.offset\n"
    assert any("x - self.offset" in mutant.source for mutant in mutants("Shift", source))


def test_the_lines_that_differ_are_told():
    (mutant,) = [m for m in mutants("f", "def f(a, b):\n    c = a\n    return c - b\n") if "b - c" in m.source]
    assert (mutant.operator, mutant.before, mutant.after) == ("arithmetic", "return c - b", "return b - c")


def test_every_operator_says_what_it_does():
    assert all(operator.__doc__ for operator in OPERATORS)
    assert len(OPERATORS) >= 10
