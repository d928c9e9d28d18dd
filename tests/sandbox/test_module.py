"""Modules through a real sandbox, in both directions: mirrors behave as the modules themselves would in one process."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from autograder.sandbox import RemoteModule

Load = Callable[..., Any]

SUBMISSION = """
class Net(nn.Module):
    def __init__(self, size=3, hidden=4):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(size, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 1)
        self.size, self.names = size, ["a", "b"]

    def forward(self, x): return self.last(self.norm(self.first(x)).tanh())
    def features(self, x, *, scale=1.0): return self.first(x) * scale
    def reset(self):
        self.first.weight.data -= 1.0
        self.last.bias = nn.Parameter(torch.ones(1))
        self.eval()
    @property
    def norm_of_weights(self): return self.first.weight.square().sum()

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("mask", torch.ones(2, 2).tril(), persistent=False)
        self.register_buffer("steps", torch.tensor(0))
        self.register_parameter("nothing", None)
    def forward(self, tokens): return self.head(self.embed(tokens))

class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(2)
    def forward(self, x): return self.layer(x)

class Masked(nn.Conv2d):
    def __init__(self, how="data"):
        super().__init__(1, 2, 3, padding=1)
        self.how, self.mask = how, torch.ones(3, 3).tril()
    def forward(self, x):
        if self.how == "data":
            self.weight.data *= self.mask
        else:
            with torch.no_grad():
                self.weight.mul_(self.mask)
        return super().forward(x)

def train(model, x, steps=3, rate=0.01):
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model

def train_with(model, x, loss):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss(model, x).backward()
        optimizer.step()

def penalty(critic, x):
    gradient, = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.square().sum()

def grow(model):
    model.extra = nn.Linear(1, 1)
    model.first.weight.requires_grad_(False)

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    def step(self, x):
        self.optimizer.zero_grad()
        self.model(x).square().mean().backward()
        self.optimizer.step()

def copied(model): return copy.deepcopy(model)
def apply(model, x): return model(x)
import copy
"""
namespace: dict[str, Any] = {"torch": torch, "nn": nn}
exec(compile(SUBMISSION, "the submission", "exec"), namespace)


@pytest.fixture
def student(load: Load) -> Any:
    torch.manual_seed(0)
    return load(SUBMISSION)


def local(name: str, *args: Any) -> Any:
    """The same class or function, in this process."""
    return namespace[name](*args)


def twins(student: Any, name: str = "Net", *args: Any) -> tuple[Any, nn.Module]:
    """A mirror, and a module of this process with the same values."""
    mirror, twin = getattr(student, name)(*args), local(name, *args)
    twin.load_state_dict(mirror.state_dict())
    return mirror, twin


def assert_same_state(mirror: nn.Module, twin: nn.Module) -> None:
    assert list(mirror.state_dict()) == list(twin.state_dict())
    for name, value in twin.state_dict().items():
        assert torch.allclose(mirror.state_dict()[name], value, atol=1e-6), name


X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


class TestMirrors:
    def test_have_the_same_state(self, student: Any) -> None:
        mirror, twin = twins(student)
        assert [(n, p.shape) for n, p in mirror.named_parameters()] == [
            (n, p.shape) for n, p in twin.named_parameters()
        ]
        assert [n for n, _ in mirror.named_buffers()] == [n for n, _ in twin.named_buffers()]
        assert mirror.training

    def test_compute_and_differentiate(self, student: Any) -> None:
        mirror, twin = twins(student)
        x = X.clone().requires_grad_()
        mirror(X).square().sum().backward(), twin(X).square().sum().backward()
        for p, q in zip(mirror.parameters(), twin.parameters(), strict=True):
            assert torch.allclose(p.grad, q.grad, atol=1e-6)
        mirror.double().eval()
        assert gradcheck(mirror, (x.detach().double().requires_grad_(),))

    def test_differentiate_with_respect_to_parameters(self, student: Any) -> None:
        mirror = student.Net().double().eval()

        def of(weight: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(mirror, {"first.weight": weight}, (X.double(),))

        assert gradcheck(of, (mirror.first.weight.detach().requires_grad_(),))

    def test_second_derivatives(self, student: Any) -> None:
        mirror, twin = twins(student)
        mirror.eval(), twin.eval()
        for module in (mirror, twin):
            x = X.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
            gradient.square().sum().backward()
        assert torch.allclose(mirror.first.weight.grad, twin.first.weight.grad, atol=1e-6)

    def test_follow_load_state_dict_and_data(self, student: Any) -> None:
        """Changes that leave a trace on the tensor, and those that do not."""
        mirror, twin = twins(student)
        other = local("Net")
        for module in (mirror, twin):
            module.load_state_dict(other.state_dict())
            module.first.weight.data *= 2
            with torch.no_grad():
                module.last.bias.fill_(3.0)
            module.norm.running_mean = torch.ones(4)
        assert torch.allclose(mirror.eval()(X), twin.eval()(X))

    def test_train_as_in_one_process(self, student: Any) -> None:
        mirror, twin = twins(student)
        for module in (mirror, twin):
            optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
            for _ in range(5):
                optimizer.zero_grad()
                module(X).square().mean().backward()
                optimizer.step()
        assert_same_state(mirror, twin)
        assert torch.equal(mirror(X), twin(X))

    def test_bring_batch_statistics_home(self, student: Any) -> None:
        mirror, twin = twins(student)
        mirror(X), twin(X)
        assert mirror.norm.num_batches_tracked == 1
        assert_same_state(mirror, twin)

    @pytest.mark.parametrize("how", ["data", "no_grad"])
    def test_of_a_layer_that_masks_its_weights_when_it_is_called(self, student: Any, how: str) -> None:
        """Much public code does; neither the first backward nor the next may tell that the mirror has changed meanwhile."""
        mirror, twin = twins(student, "Masked", how)
        x = torch.randn(2, 1, 4, 4)
        for _ in range(2):
            for module in (mirror, twin):
                module.zero_grad()
                module(x).square().sum().backward()
                with torch.no_grad():
                    for parameter in module.parameters():
                        parameter -= 0.01 * parameter.grad
            assert torch.allclose(mirror.weight.grad, twin.weight.grad, atol=1e-5)
            assert_same_state(mirror, twin)

    def test_modes(self, student: Any) -> None:
        mirror, twin = twins(student)
        for module in (mirror, twin):
            module.eval()
            module.norm.train()
        assert torch.allclose(mirror(X), twin(X), atol=1e-6)
        assert_same_state(mirror, twin)

    def test_convert(self, student: Any) -> None:
        mirror = student.Net().double()
        assert mirror(X.double()).dtype == torch.float64
        assert mirror.float()(X).dtype == torch.float32

    def test_freeze(self, student: Any) -> None:
        mirror = student.Net()
        mirror.first.requires_grad_(False)
        mirror(X).sum().backward()
        assert mirror.first.weight.grad is None
        assert mirror.last.weight.grad is not None

    def test_have_methods_attributes_and_parts(self, student: Any) -> None:
        mirror, twin = twins(student)
        assert mirror.size == 3
        assert mirror.names == ["a", "b"]
        assert torch.equal(mirror.features(X, scale=2.0), twin.features(X, scale=2.0))
        assert torch.equal(mirror.first(X), twin.first(X))
        assert torch.equal(student.Net().last(torch.ones(1, 4)), student.Net().last(torch.ones(1, 4))) is False
        mirror.size = 5
        assert mirror.size == 5
        with pytest.raises(AttributeError):
            mirror.nothing_of_the_kind  # noqa: B018
        assert not hasattr(mirror, "__nothing__")

    def test_attributes_differentiate(self, student: Any) -> None:
        mirror = student.Net()
        with torch.no_grad():
            mirror.first.weight.fill_(2.0)
        (gradient,) = torch.autograd.grad(mirror.norm_of_weights, mirror.first.weight)
        assert torch.equal(gradient, torch.full((4, 3), 4.0))

    def test_take_what_a_method_changed(self, student: Any) -> None:
        """Also by `.data`, a parameter that was replaced, and the mode."""
        mirror, twin = twins(student)
        mirror.reset(), twin.reset()
        assert_same_state(mirror, twin)
        assert not mirror.training
        assert torch.allclose(mirror(X), twin(X))

    def test_take_layers_that_a_call_added(self, student: Any) -> None:
        mirror, twin = twins(student)
        first = mirror.first.weight
        student.grow(mirror), local("grow", twin)
        assert list(mirror.state_dict()) == list(twin.state_dict())
        assert [p.requires_grad for p in mirror.parameters()] == [p.requires_grad for p in twin.parameters()]
        assert mirror.first.weight is first
        assert torch.equal(mirror.extra(torch.ones(1, 1)), mirror.extra(torch.ones(1, 1)))

    def test_of_shared_parameters_and_passing_buffers(self, student: Any) -> None:
        mirror, twin = twins(student, "Tied")
        assert mirror.head.weight is mirror.embed.weight
        assert len(list(mirror.parameters())) == 1
        assert mirror.nothing is None
        mirror(torch.tensor([1])).sum().backward(), twin(torch.tensor([1])).sum().backward()
        assert torch.allclose(mirror.embed.weight.grad, twin.embed.weight.grad)

    def test_of_layers_that_get_their_shape_from_the_first_call(self, student: Any) -> None:
        mirror = student.Lazy()
        mirror(X)
        assert mirror.layer.weight.shape == (2, 3)
        mirror(X).sum().backward()
        assert mirror.layer.weight.grad is not None

    def test_copy(self, student: Any) -> None:
        mirror = student.Net().eval()
        other = copy.deepcopy(mirror)
        with torch.no_grad():
            other.last.weight.zero_()
            other.last.bias.zero_()
        assert not other(X).any()
        assert mirror(X).any()

    def test_stay_the_same_object_while_there_is_one(self, student: Any) -> None:
        mirror = student.Net()
        assert student.train(mirror, X) is mirror

    def test_end_with_their_last_user(self, student: Any) -> None:
        peer = student.worker.peer
        part = student.Net().first
        gc.collect()
        assert part(X).shape == (6, 4)
        del part
        gc.collect()
        student.copied([1])
        assert not peer._mirrors


class TestModulesOfTheStudents:
    def test_trained_in_a_call_come_home_trained(self, student: Any) -> None:
        mirror, twin = twins(student)
        student.train(mirror, X), local("train", twin, X)
        assert_same_state(mirror, twin)

    def test_trained_with_a_loss_of_the_tests(self, student: Any) -> None:
        """The student's loop hands the student's model to the test's loss, which calls it in the worker again."""
        mirror, twin = twins(student)
        student.train_with(mirror, X, lambda model, x: model(x).square().mean())
        local("train_with", twin, X, lambda model, x: model(x).square().mean())
        assert_same_state(mirror, twin)

    def test_passed_as_arguments_get_gradients(self, student: Any) -> None:
        mirror, twin = twins(student)
        for penalty, module in ((student.penalty, mirror), (namespace["penalty"], twin)):
            penalty(module.eval(), X.clone().requires_grad_()).backward()
        assert torch.allclose(mirror.first.weight.grad, twin.first.weight.grad, atol=1e-6)

    def test_kept_in_an_object_are_up_to_date_when_next_called(self, student: Any) -> None:
        mirror, twin = twins(student)
        trainers = student.Trainer(mirror), local("Trainer", twin)
        for _ in range(3):
            trainers[0].step(X), trainers[1].step(X)
        assert torch.allclose(mirror.eval()(X), twin.eval()(X), atol=1e-6)
        assert_same_state(mirror, twin)


class Own(nn.Module):
    """A module of the test's: the student gets a mirror, and each call of that is computed here."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.inner(x)


def stock() -> nn.Module:
    return Own().inner


@pytest.mark.parametrize("make", [Own, stock], ids=["own", "stock"])
class TestModulesOfTheTests:
    def test_are_trained_in_place_if_that_is_wanted(self, student: Any, make: Callable[[], nn.Module]) -> None:
        module = make()
        twin = copy.deepcopy(module)
        module.in_place = True
        student.train(module, X), local("train", twin, X)
        assert_same_state(module, twin)

    def test_are_what_they_were_otherwise(self, student: Any, make: Callable[[], nn.Module]) -> None:
        module = make()
        before = copy.deepcopy(module.state_dict())
        trained, twin = student.train(module, X), local("train", copy.deepcopy(module), X)
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
        assert module.training
        if make is stock:
            assert torch.allclose(trained(X), twin(X), atol=1e-6)

    def test_get_gradients(self, student: Any, make: Callable[[], nn.Module]) -> None:
        module = make().eval()
        twin = copy.deepcopy(module)
        for penalty, net in ((student.penalty, module), (namespace["penalty"], twin)):
            penalty(net, X.clone().requires_grad_()).backward()
        for p, q in zip(module.parameters(), twin.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None)
            assert p.grad is None or torch.allclose(p.grad, q.grad, atol=1e-6)

    def test_can_be_copied_and_the_copy_trained(self, load: Load, make: Callable[[], nn.Module]) -> None:
        student = load(
            SUBMISSION + "\ndef f(model, x):\n    other = train(copy.deepcopy(model), x)\n    return other(x), model(x)"
        )
        module = make().eval()
        twin = copy.deepcopy(module)
        after, before = student.f(module, X)
        assert torch.allclose(before, twin(X), atol=1e-6)
        assert torch.allclose(after, local("train", copy.deepcopy(twin), X)(X), atol=1e-6)


def test_a_spy_among_modules_counts_its_calls(student: Any) -> None:
    module = Own()
    student.train(module, X, steps=3)
    assert module.calls == 3


def test_a_students_module_is_a_module(student: Any) -> None:
    assert isinstance(student.Net(), RemoteModule)
    assert isinstance(student.Net(), nn.Module)
    assert repr(student.Net()) == "<module Net>"
