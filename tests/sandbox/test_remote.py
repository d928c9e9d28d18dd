"""Objects of the student's through a real sandbox."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from autograder.sandbox import Opaque, RemoteIterator, RemoteObject

Load = Callable[..., Any]

SUBMISSION = """
import collections, dataclasses, fractions

class Buffer:
    def __init__(self, capacity): self.capacity, self.items = capacity, []
    def push(self, state, *, action): self.items = (self.items + [(state, action)])[-self.capacity:]
    def states(self): return torch.stack([state for state, _ in self.items])
    def me(self): return self
    def __len__(self): return len(self.items)
    def __getitem__(self, index): return self.items[index]
    def __setitem__(self, index, value): self.items[index] = value
    def __contains__(self, item): return any(action == item for _, action in self.items)
    def __iter__(self): return iter(self.items)
    def __call__(self, x): return x + self.capacity

class Countdown:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self):
        if not self.n: raise StopIteration
        self.n -= 1
        return self.n

class Plain: ...

class Always:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = None

@dataclasses.dataclass
class Point:
    x: float
    y: "torch.Tensor"

def size_of(buffer): return len(buffer)
def fraction(): return fractions.Fraction(3, 4)
def queue(): return collections.deque([1, 2])
def squares(n): return map(lambda i: i * i, range(n))
def optimizer(): return torch.optim.SGD([torch.zeros(2, requires_grad=True)], lr=0.5)
"""


@pytest.fixture
def student(load: Load) -> Any:
    return load(SUBMISSION)


@pytest.fixture
def buffer(student: Any) -> Any:
    buffer = student.Buffer(2)
    for action in range(3):
        buffer.push(torch.tensor([float(action)]), action=action)
    return buffer


def test_methods_and_attributes(buffer: Any) -> None:
    assert buffer.capacity == 2
    assert buffer.states().tolist() == [[1.0], [2.0]]
    buffer.capacity = 5
    assert buffer.capacity == 5
    with pytest.raises(AttributeError, match="nothing"):
        buffer.nothing  # noqa: B018


def test_the_ways_of_containers(buffer: Any) -> None:
    assert len(buffer) == 2
    assert buffer[0][1] == 1
    assert [action for _, action in buffer] == [1, 2]
    assert 2 in buffer
    assert 7 not in buffer
    buffer[0] = (torch.zeros(1), 9)
    assert 9 in buffer
    with pytest.raises(IndexError):
        buffer[7]


def test_it_comes_home_as_itself(student: Any, buffer: Any) -> None:
    assert student.size_of(buffer) == 2
    assert buffer.me() is buffer


def test_it_can_be_called_and_copied(buffer: Any) -> None:
    assert buffer(1) == 3
    other = copy.deepcopy(buffer)
    other.capacity = 9
    assert buffer.capacity == 2


def test_without_a_length_it_is_true(student: Any) -> None:
    assert student.Plain()
    assert not student.Buffer(1)
    with pytest.raises(TypeError):
        len(student.Plain())


def test_an_object_that_equals_everything_equals_only_itself(student: Any) -> None:
    always = student.Always()
    assert always != 1
    assert always != student.Always()
    assert always == always


def test_dataclasses_have_fields(student: Any) -> None:
    point = student.Point(1.5, torch.ones(2))
    assert point.x == 1.5
    assert torch.equal(point.y, torch.ones(2))
    assert repr(point) == "<Point object>"


def test_iterators(student: Any) -> None:
    assert list(student.Countdown(3)) == [2, 1, 0]
    assert list(student.squares(3)) == [0, 1, 4]
    assert isinstance(student.queue(), RemoteIterator)
    assert list(student.queue()) == [1, 2]


def test_objects_of_other_classes_are_shown_and_can_be_asked(student: Any) -> None:
    fraction = student.fraction()
    assert isinstance(fraction, Opaque)
    assert isinstance(fraction, RemoteObject)
    assert repr(fraction) == "<Fraction: Fraction(3, 4)>"
    assert fraction.numerator == 3
    assert student.optimizer().param_groups[0]["lr"] == 0.5
