"""Calls through a real sandbox: values, derivatives of every order, callbacks, errors. They read as in one process."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributions, nn
from torch.autograd import gradcheck, gradgradcheck

from autograder.sandbox import StudentError, Worker, WorkerDied
from tests.sandbox.processes import memory, reset_peak

Load = Callable[..., Any]

SUBMISSION = """
import random
import numpy as np

def elbo(x, logits, mu, logvar, *, scale=1.0):
    fit = -nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    kl = 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar).sum(1)
    return scale * (fit - kl).mean()

def gradient_penalty(critic, real, fake, mix):
    x = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    gradient, = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()

def split(x): return {"halves": (x[: len(x) // 2], x[len(x) // 2 :]), "size": len(x), "detached": x.detach()}
def rotate(z, angle): return z * torch.exp(1j * angle)
def apply_twice(f, x): return f(f(x))
def make_step(rate): return lambda w, g: w - rate * g
def in_place(x): return x.add_(1).sum()
def flatten(x): return x.view(-1)
def identity(x): return x
def unused(x, y): return x * 2
def average(array): return array.mean(0)
def drawn(): return random.random(), float(np.random.rand()), torch.rand(2)
def noise(size, generator): return torch.randn(size, generator=generator)
def draw_by(function, generator): return torch.stack([function(generator) for _ in range(2)])
def posterior(mu, sigma): return {"q": distributions.Normal(mu, sigma), "names": ("mu", "sigma")}
def kl(p, q): return distributions.kl_divergence(p, q)
def logits_of(model, ids): return model(ids).logits
def countdown(n):
    while n:
        yield n
        n -= 1
def grad_mode(): return torch.is_grad_enabled()
from torch import distributions
"""


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def student(load: Load) -> Any:
    torch.manual_seed(0)
    return load(SUBMISSION)


class TestDerivatives:
    def test_first_and_second(self, student: Any) -> None:
        x, arguments = torch.rand(3, 4, dtype=torch.float64).round(), (drawn(3, 4), drawn(3, 2), drawn(3, 2))
        assert gradcheck(lambda *a: student.elbo(x, *a), arguments)
        assert gradgradcheck(lambda *a: student.elbo(x, *a, scale=2.0), arguments)

    def test_third_by_create_graph(self, load: Load) -> None:
        y = x = torch.tensor(2.0, requires_grad=True)
        y = load("def f(x): return x ** 4").f(x)
        for _ in range(3):
            (y,) = torch.autograd.grad(y, x, create_graph=True)
        assert y.item() == 24 * 2

    def test_of_complex_numbers(self, student: Any) -> None:
        z = torch.randn(3, dtype=torch.complex128, requires_grad=True)
        assert gradcheck(student.rotate, (z, drawn(3)))

    def test_of_several_results_in_containers(self, student: Any) -> None:
        x = drawn(6)
        result = student.split(x)
        (gradient,) = torch.autograd.grad(result["halves"][1].sum() * 3, x)
        assert gradient.tolist() == [0, 0, 0, 3, 3, 3]
        assert not result["detached"].requires_grad

    def test_of_an_unused_argument(self, student: Any) -> None:
        x, y = drawn(2), drawn(2)
        assert torch.autograd.grad(student.unused(x, y).sum(), [x, y], allow_unused=True)[1] is None

    def test_accumulate_where_an_argument_occurs_twice(self, student: Any) -> None:
        x = torch.ones(2, requires_grad=True)
        student.apply_twice(lambda v: v * x, x).sum().backward()
        assert student.identity([x, x])[1].requires_grad
        sum(part.sum() for part in student.identity([x, x])).backward()

    def test_functional_jacobians_cross(self, student: Any) -> None:
        """torch.func transforms do not; torch.autograd.functional is the way."""
        x = torch.tensor([0.5, 2.0])
        jacobian = torch.autograd.functional.jacobian(lambda v: student.apply_twice(torch.sin, v), x)
        assert torch.allclose(jacobian, torch.diag(x.sin().cos() * x.cos()))

    def test_none_are_kept_without_gradients(self, student: Any) -> None:
        with torch.no_grad():
            assert not student.identity(drawn(2)).requires_grad
            assert student.grad_mode() is False
        assert not student.identity(torch.ones(2)).requires_grad
        assert student.grad_mode() is True


class Critic(nn.Module):
    """Not a stock module."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) * 2


class TestPenalty:
    """A derivative within a function that is itself differentiated, with a critic of the test's."""

    def expected(self, critic: Callable[..., Any], parameters: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        def gradient_penalty(x: torch.Tensor) -> torch.Tensor:
            (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
            return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()

        penalty = gradient_penalty((self.mix * self.real + (1 - self.mix) * self.fake).requires_grad_())
        return penalty, *torch.autograd.grad(penalty, parameters)

    def setup_method(self) -> None:
        torch.manual_seed(1)
        self.real, self.fake = torch.randn(2, 5, 3, dtype=torch.float64)
        self.mix = torch.rand(5, 1, dtype=torch.float64)

    @pytest.mark.parametrize("way", ["stock", "module", "callback"])
    def test_gradients_reach_the_critics_parameters(self, student: Any, way: str) -> None:
        critic = Critic()
        parameters = [p for name, p in critic.named_parameters() if name != "net.2.bias"]
        passed: Any = critic.net if way == "stock" else critic
        if way == "callback":
            passed = lambda x: critic(x)  # noqa: E731
            passed.linked = parameters
        penalty = student.gradient_penalty(passed, self.real, self.fake, mix=self.mix)
        found = penalty, *torch.autograd.grad(penalty, parameters)
        expected = self.expected(critic.net if way == "stock" else critic, parameters)
        assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))
        assert min(gradient.abs().max() for gradient in expected) > 1e-3

    def test_a_spy_sees_what_the_critic_is_given(self, student: Any) -> None:
        seen: list[torch.Tensor] = []
        critic = nn.Linear(3, 1).double()
        student.gradient_penalty(lambda x: (seen.append(x.detach()), critic(x))[1], self.real, self.fake, self.mix)
        assert len(seen) == 1
        assert torch.equal(seen[0], self.mix * self.real + (1 - self.mix) * self.fake)


class TestCallbacks:
    def test_differentiate_both_ways(self, student: Any) -> None:
        assert gradcheck(lambda x: student.apply_twice(torch.sin, x), (drawn(3),))
        assert gradgradcheck(lambda x: student.apply_twice(torch.sin, x), (drawn(3),))

    def test_a_function_of_the_students_can_be_returned_and_passed_back(self, student: Any) -> None:
        step = student.make_step(0.5)
        w, g = drawn(2), drawn(2)
        assert torch.equal(step(w, g), w - 0.5 * g)
        assert torch.equal(student.apply_twice(lambda x: step(x, g), w), w - 0.5 * g - 0.5 * g)
        assert student.identity(step) is step

    def test_come_home_as_themselves(self, student: Any) -> None:
        def callback() -> None: ...

        assert student.identity(callback) is callback

    def test_may_return_objects_with_fields(self, student: Any) -> None:
        """As the models of transformers do."""
        logits = student.logits_of(lambda ids: SimpleNamespace(logits=ids * 2.0), torch.tensor([1, 2]))
        assert logits.tolist() == [2.0, 4.0]

    def test_an_exception_of_a_callback_comes_back_as_itself(self, student: Any) -> None:
        class Own(Exception): ...

        error = Own("mine")

        def callback(x: Any) -> Any:
            raise error

        with pytest.raises(Own) as caught:
            student.apply_twice(callback, 1)
        assert caught.value is error

    def test_the_student_sees_an_exception_of_a_callback_as_what_it_is(self, load: Load) -> None:
        student = load("""
            def f(callback):
                try: callback()
                except KeyError as error: return repr(error)
            def g(callback):
                try: callback()
                except AssertionError as error: return repr(error)
        """)

        def missing() -> None:
            raise KeyError("k")

        def spying() -> None:
            raise AssertionError("the secret value is 42")

        assert student.f(missing) == "KeyError(\"'k'\")"
        with pytest.raises(AssertionError, match="secret"):
            student.g(spying)

    def test_an_exception_that_the_student_handles_is_over(self, load: Load) -> None:
        student = load("""
            def f(callback):
                try: callback()
                except KeyError: raise NotImplementedError("later")
        """)

        def missing() -> None:
            raise KeyError("k")

        with pytest.raises(NotImplementedError, match="later"):
            student.f(missing)

    def test_call_each_other_only_so_deep(self, load: Load) -> None:
        student = load("def f(callback): return callback(f)")
        with pytest.raises(RecursionError):
            student.f(lambda f: f(lambda g: student.f(lambda h: endless(student))))

    def test_may_be_kept_and_called_later(self, load: Load) -> None:
        student = load("def keep(f):\n    global kept\n    kept = f\ndef use(x): return kept(x)")
        student.keep(lambda x: x + 1)
        assert student.use(1) == 2


def endless(student: Any) -> Any:
    return student.f(lambda f: endless(student))


class TestValues:
    def test_numpy(self, student: Any) -> None:
        assert np.array_equal(student.average(np.arange(6.0).reshape(3, 2)), [2.0, 3.0])

    def test_distributions_with_derivatives(self, student: Any) -> None:
        mu, sigma = drawn(3), torch.rand(3, dtype=torch.float64) + 0.5
        q = student.posterior(mu, sigma)["q"]
        (gradient,) = torch.autograd.grad(q.log_prob(torch.zeros(3)).sum(), mu)
        assert torch.allclose(gradient, -mu / sigma**2)
        p, q = distributions.Normal(mu, sigma), distributions.Normal(0.0, sigma)
        assert torch.allclose(student.kl(p, q), distributions.kl_divergence(p, q))

    def test_generators_go_on_where_the_other_end_stopped(self, student: Any) -> None:
        """What is drawn from a generator there is drawn from it here, too."""
        one, two = (torch.Generator().manual_seed(3) for _ in range(2))
        for _ in range(2):
            assert torch.equal(student.noise(4, one), torch.randn(4, generator=two))
        assert torch.equal(torch.rand(2, generator=one), torch.rand(2, generator=two))

    def test_generators_go_on_in_callbacks(self, student: Any) -> None:
        one, two = (torch.Generator().manual_seed(3) for _ in range(2))
        found = student.draw_by(lambda g: torch.randn(2, generator=g), one)
        assert torch.equal(found, torch.randn(2, 2, generator=two))

    def test_python_generators(self, student: Any) -> None:
        assert list(student.countdown(3)) == [3, 2, 1]

    def test_seeds_decide_what_is_drawn_without_a_generator(self, student: Any) -> None:
        student.worker.peer.seed = 7
        random.seed(7), np.random.seed(7), torch.manual_seed(7)
        expected = random.random(), float(np.random.rand()), torch.rand(2)
        assert repr(student.drawn()) == repr(expected)

    def test_fresh_workers_draw_the_same(self, load: Load) -> None:
        assert repr(load(SUBMISSION).drawn()) == repr(load(SUBMISSION).drawn())

    def test_strides_survive(self, student: Any) -> None:
        with pytest.raises(RuntimeError, match="view size is not compatible"):
            student.flatten(torch.zeros(3, 4).T)

    def test_changes_of_argument_tensors_stay_there(self, student: Any) -> None:
        x = torch.zeros(2)
        assert student.in_place(x).item() == 2
        assert x.sum() == 0

    def test_a_leaf_may_not_be_changed_in_place_there_either(self, student: Any) -> None:
        with pytest.raises(RuntimeError, match="in-place"):
            student.in_place(drawn(2))


class TestErrors:
    @pytest.mark.parametrize(
        ("statement", "kind", "text"),
        [
            ("raise ValueError('no')", ValueError, "ValueError: no"),
            ("{}['a key']", KeyError, "KeyError: 'a key'"),
            ("1 / 0", ZeroDivisionError, "ZeroDivisionError: division by zero"),
            ("torch.zeros(2) @ torch.zeros(3)", RuntimeError, "RuntimeError: inconsistent tensor size"),
            ("raise type('Own', (LookupError,), {})('x')", LookupError, "Own: x"),
            ("import nowhere", ModuleNotFoundError, "ModuleNotFoundError: No module named 'nowhere'"),
            ("raise SystemExit(0)", StudentError, "SystemExit: 0"),
            ("raise KeyboardInterrupt", StudentError, "KeyboardInterrupt"),
            ("def f(): return f()\nf()", RecursionError, "RecursionError: maximum recursion depth"),
            ("assert False, 'no'", AssertionError, "AssertionError: no"),
        ],
    )  # fmt: skip
    def test_are_of_the_same_kind_here(self, load: Load, statement: str, kind: type[Exception], text: str) -> None:
        lines = "".join(f"    {line}\n" for line in statement.splitlines())
        with pytest.raises(kind) as caught:
            load(f"def g():\n{lines}").g()
        assert isinstance(caught.value, StudentError)
        assert str(caught.value).startswith(text)

    def test_name_the_students_lines_only(self, load: Load) -> None:
        with pytest.raises(StudentError) as caught:
            load("def inner(x):\n    return nn.Linear(2, 2)(x)\ndef outer(x):\n    return inner(x)").outer(
                torch.zeros(3)
            )
        assert [(frame.cell, frame.function, frame.source) for frame in caught.value.frames] == [
            ("cell 1", "outer", "return inner(x)"),
            ("cell 1", "inner", "return nn.Linear(2, 2)(x)"),
        ]

    def test_of_a_wrong_call_are_type_errors(self, student: Any) -> None:
        with pytest.raises(TypeError, match="positional argument"):
            student.apply_twice(1)
        with pytest.raises(NameError, match="nothing_of_the_kind"):
            student.nothing_of_the_kind()

    def test_in_the_backward_pass_come_out_of_it(self, load: Load) -> None:
        student = load("""
            class Bad(torch.autograd.Function):
                forward = staticmethod(lambda ctx, x: x * 1)
                @staticmethod
                def backward(ctx, g): raise ValueError("in the backward pass")
            def f(x): return Bad.apply(x)
        """)
        with pytest.raises(ValueError, match="in the backward pass"):
            student.f(drawn(2)).sum().backward()

    def test_with_terminal_escapes_are_cleaned(self, load: Load) -> None:
        with pytest.raises(ValueError) as caught:
            load("def f(): raise ValueError('\\x1b[2J\\ud800' + 'x' * 10**6)").f()
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 3000

    def test_are_over_when_the_call_is(self, student: Any) -> None:
        with pytest.raises(TypeError):
            student.apply_twice(1)
        assert student.identity(1) == 1


def test_a_worker_that_dies_in_the_backward_pass_is_dead(load: Load) -> None:
    student = load("""
        import os
        class Deadly(torch.autograd.Function):
            forward = staticmethod(lambda ctx, x: x * 1)
            backward = staticmethod(lambda ctx, g: os._exit(3))
        def f(x): return Deadly.apply(x)
    """)
    y = student.f(drawn(2)).sum()
    with pytest.raises(WorkerDied, match="exit status 3"):
        y.backward()
    with pytest.raises(WorkerDied, match="exit status 3"):
        student.f(drawn(2))


KEPT = """
import gc
def kept():
    gc.collect()
    peer = next(thing for thing in gc.get_objects() if type(thing).__name__ == "WorkerPeer")
    return len(peer.nodes), len(peer.lending.things)
"""


def test_nothing_is_kept_for_what_is_gone(load: Load) -> None:
    """Neither end grows with the number of calls."""
    student = load(SUBMISSION + KEPT)
    for _ in range(50):
        student.apply_twice(lambda x: x.sin(), drawn(2)).sum().backward()
        student.make_step(0.1)(drawn(2), drawn(2))
    gc.collect()
    nodes, things = student.kept()
    assert nodes <= 2
    assert things <= 3
    assert len(student.worker.peer.nodes) <= 4
    assert len(student.worker.peer.lending.things) <= 2


def test_a_large_tensor_crosses_without_needless_copies(load: Load) -> None:
    """The trusted process grows by the result, and by nothing else of that size."""
    student = load("def f(x): return x")
    x = torch.ones(10_000_000)
    size = x.nbytes
    student.f(torch.ones(1000))
    reset_peak()
    before = memory("VmRSS")
    y = student.f(x)
    assert memory("VmHWM") - before < 1.5 * size
    assert torch.equal(x, y)


def test_the_largest_value_is_bounded(spawn: Callable[..., Worker]) -> None:
    worker = spawn("import torch\ndef f(n): return torch.zeros(n)\ndef g(x): return 1", message_mb=1)
    assert worker.call("f", 1000).shape == (1000,)
    with pytest.raises(ValueError, match="at most 1 MB"):
        worker.call("f", 1_000_000)
    with pytest.raises(ValueError, match="at most 1 MB"):
        worker.call("g", torch.zeros(1_000_000))
    assert worker.call("g", 1) == 1
