"""Student code that has several threads, as servers do, and calls what it was passed from all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

Load = Callable[..., Any]

SUBMISSION = """
import threading, time
from concurrent.futures import ThreadPoolExecutor

def all_at_once(call, inputs):
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(call, inputs))

def slope(call, x):
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(call, [x, 2 * x, 3 * x, 4 * x]))

late = []

def leave_one_behind(call):
    def ask():
        time.sleep(0.3)
        try:
            late.append(call(1))
        except Exception as error:
            late.append(f"{type(error).__name__}: {error}")
    threading.Thread(target=ask).start()
    return "done"

def what_became_of_it():
    time.sleep(0.6)
    return late
"""


@pytest.fixture
def student(load: Load) -> Any:
    return load(SUBMISSION)


def test_each_gets_the_answer_to_its_own_question(student: Any) -> None:
    for _ in range(5):
        inputs = list(range(40))
        assert student.all_at_once(lambda n: n * n, inputs) == [n * n for n in inputs]


def test_tensors_and_gradients_find_their_way(student: Any) -> None:
    x = torch.tensor(3.0, requires_grad=True)
    total = student.slope(lambda value: value * value, x)
    assert total.item() == 270.0
    total.backward()
    assert x.grad is not None
    assert x.grad.item() == 180.0


def test_an_answer_can_fail(student: Any) -> None:
    def one_of_them_fails(n: int) -> int:
        if n == 3:
            raise ValueError("not three")
        return n

    with pytest.raises(ValueError, match="not three"):
        student.all_at_once(one_of_them_fails, list(range(8)))
    assert student.all_at_once(lambda n: n, [1, 2]) == [1, 2]


def test_whoever_asks_when_the_call_is_over_gets_an_error(student: Any) -> None:
    asked: list[int] = []
    assert student.leave_one_behind(asked.append) == "done"
    time.sleep(0.5)  # while nobody here reads
    assert student.what_became_of_it() == [
        "RuntimeError: what was passed to a call can be used only until the call returns"
    ]
    assert asked == []
