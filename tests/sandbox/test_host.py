"""The trusted end against a worker that writes whatever it likes: only values, StudentError and WorkerDied come out."""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autograder.sandbox.errors import StudentError, WorkerDied
from autograder.sandbox.host import MAX_ARGUMENTS, HostPeer, Name
from autograder.sandbox.wire import MEBIBYTE, Channel
from tests.sandbox.test_wire import frame

NUMBER = ["float32", [1], True, None]  # one differentiable number
ONE = b"\0\0\x80\x3f"
PLAIN = frame({"value": 1, "tensors": []})


class Forger:
    """A trusted end, and a worker that answers with prepared frames, whatever it is asked."""

    def __init__(self, *frames: bytes, max_payload: int = 64 * MEBIBYTE) -> None:
        ours, self._theirs = socket.socketpair()
        self.reasons: list[str] = []
        self.peer = HostPeer(Channel(ours, max_payload=max_payload), 20.0, lambda why: self.reasons.append(why) or why)
        self._frames = frames
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the trusted end may have given up
            for data in self._frames:
                self._theirs.sendall(data)
            self._theirs.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while self._theirs.recv(MEBIBYTE):
                pass

    def call(self, *args: Any) -> Any:
        return self.peer.call(Name("f"), args, {})

    def close(self) -> None:
        self.peer.channel.socket.close()
        for thread in self._threads:
            thread.join()
        self._theirs.close()


@pytest.fixture
def forge() -> Any:
    """Makes forgers, and closes them."""
    made: list[Forger] = []

    def forge(*frames: bytes, **options: Any) -> Forger:
        made.append(Forger(*frames, **options))
        return made[-1]

    yield forge
    for forger in made:
        forger.close()


def reply(value: Any, *tensors: list[Any], payload: bytes = b"", **more: Any) -> bytes:
    return frame({"value": value, "tensors": list(tensors), **more}, payload)


def call_of(
    number: Any, args: Any = None, method: Any = "__call__", *tensors: list[Any], payload: bytes = b""
) -> bytes:
    """A request that calls what has been lent under that number; the first callback gets number 1."""
    tree = [{"home": number}, args if args is not None else [1], {"dict": []}]
    return frame({"op": "call", "tree": tree, "method": method, "tensors": list(tensors)}, payload)


def request(op: Any, **header: Any) -> bytes:
    return frame({"op": op, "tensors": [], **header})


def state(*names: str, kind: str = "parameter", tied: Any = ()) -> dict[str, Any]:
    entries = [[name, index, kind, True] for index, name in enumerate(names)]
    return {"module": {"handle": 1, "class": "M", "training": True, "state": entries, "tied": list(tied)}}


# ---- replies

UNUSABLE: dict[str, bytes] = {
    "no value of any kind": reply({"nothing": 1}),
    "a tensor that did not come": reply({"tensor": 9}),
    "a tensor taken twice": reply([{"tensor": 0}, {"tensor": 0}], NUMBER, payload=ONE),
    "a handle of no callback": reply({"home": 12345}),
    "a handle that is True": reply({"home": True}),
    "a generator of garbage": reply({"generator": 0}, ["uint8", [5056], False, None], payload=b"\xff" * 5056),
    "a function with no name": reply({"function": [1]}),
    "an object of numbers": reply({"object": [1, 2, 3]}),
    "a module of odd names": reply(state("__class__."), NUMBER, payload=ONE),
    "a module with a very long path": reply(state(".".join("a" * 20_000)), NUMBER, payload=ONE),
    "a module with a name with spaces": reply(state("a b"), NUMBER, payload=ONE),
    "a module with too many parts": reply(
        state(*[".".join([f"p{i}", *"abcdefghij"]) for i in range(400)]), *[NUMBER] * 400, payload=ONE * 400
    ),
    "a module tied to nothing": reply(state("a", tied=[["b", "c"]]), NUMBER, payload=ONE),
    "a module tied to itself, oddly": reply(state("a", tied=[["b"]]), NUMBER, payload=ONE),
    "an integer parameter with gradients": reply(state("a"), ["int64", [1], True, None], payload=bytes(8)),
    "a distribution of NaN": reply({"distribution": ["Normal", {"loc": 0.0, "scale": float("nan")}]}),
    "an empty kind": reply({"": 1}),
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE)
def test_a_value_that_cannot_be_used_is_the_students_error(forge: Callable[..., Forger], data: bytes) -> None:
    with pytest.raises(StudentError, match="cannot be used"):
        forge(data).call()


BROKEN: dict[str, bytes] = {
    "no frame": b"\xff" * 100,
    "an error that is a string": frame({"error": "x", "tensors": []}),
    "an error without types": frame({"error": {"types": [], "message": "", "frames": []}, "tensors": []}),
    "an error with odd frames": frame({"error": {"types": ["E"], "message": "", "frames": [1]}, "tensors": []}),
    "an error whose message is a tree": frame(
        {"error": {"types": ["E"], "message": [[]], "frames": []}, "tensors": []}
    ),
    "changes that are a number": reply(1, changed=5),
    "a change of nothing": reply(1, changed=[[0, 0]]),
    "a change of odd places": reply(1, changed=[["a", [[]]]]),
    "a module described by a string": reply(1, modules=["x"]),
    "an unknown verb": request("__init__"),
    "a verb that is a list": request(["call"]),
    "to run a cell here": request("run", source="1/0", name="x"),
    "to read an attribute here": call_of(1, ["__globals__"], "."),
    "to call a method of a callback": call_of(1, [], "__reduce__"),
    "to copy a callback": call_of(1, [], "__deepcopy__"),
    "to call by name": request("call", tree=[{"name": "eval"}, ["1"], {"dict": []}], method="__call__"),
    "to call what was not passed": call_of(77),
    "to call a callback as if it were a module": call_of([1, "", [], []]),
    "to call with a tree that is none": call_of(1, [{"x": 1}]),
    "to call with a string as tree": request("call", tree="x", method="__call__"),
    "a product of a computation that was not kept": request("vjp", node=7, graph=True, asked=[], outputs=[]),
    "a product without its fields": request("vjp"),
    "a product of a tree": request("vjp", node=[[]]),
    "numbers to free that are none": request("call", free=[[]]),
    "a number to free that is no list": request("call", free=5),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_no_honest_worker_writes_ends_it(forge: Callable[..., Forger], data: bytes) -> None:
    forger = forge(data, PLAIN)
    with pytest.raises(WorkerDied) as first:
        forger.call(lambda x: x)
    assert len(forger.reasons) == 1
    with pytest.raises(WorkerDied) as second:
        forger.call()
    assert second.value is first.value


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    "text",
    [
        b'{"tensors":[],"value":' + deep(980) + b"}",
        b'{"tensors":[],"value":{"tensor":' + deep(980) + b"}}",
        b'{"tensors":[],"value":{"device":' + deep(980) + b"}}",
        b'{"tensors":[],"value":1,"node":' + deep(980) + b"}",
        b'{"tensors":[],"value":1,"changed":' + deep(980) + b"}",
        b'{"tensors":[],"op":"call","method":' + deep(980) + b"}",
        b'{"tensors":[],"error":{"types":[' + deep(970) + b'],"message":"","frames":[]}}',
    ],
)
def test_a_header_that_is_just_not_too_deep_to_parse(forge: Callable[..., Forger], text: bytes) -> None:
    """Nothing that came may be printed or compared before its type is known: that recurses, too."""
    with contextlib.suppress(StudentError, WorkerDied):
        forge(frame(text), PLAIN).call(lambda x: x)


# ---- gradients


def backward(forger: Forger, *args: torch.Tensor) -> None:
    forger.call(*args).sum().backward()


GRADIENTS: dict[str, bytes] = {
    "of the wrong shape": frame({"has": [True], "tensors": [["float32", [3], False, None]]}, bytes(12)),
    "of the wrong type": frame({"has": [True], "tensors": [["float64", [1], False, None]]}, bytes(8)),
    "that did not come": frame({"has": [True], "tensors": []}),
    "too many": frame({"has": [True, True], "tensors": [NUMBER, NUMBER]}, ONE * 2),
    "of no kind": frame({"tensors": []}),
}


@pytest.mark.parametrize("data", GRADIENTS.values(), ids=GRADIENTS)
def test_a_gradient_that_does_not_fit_ends_the_worker(forge: Callable[..., Forger], data: bytes) -> None:
    forger = forge(reply({"tensor": 0}, NUMBER, payload=ONE, node=1), data)
    with pytest.raises(WorkerDied):
        backward(forger, torch.ones(1, requires_grad=True))
    assert len(forger.reasons) == 1


def test_a_worker_that_dies_in_the_backward_pass_is_dead(forge: Callable[..., Forger]) -> None:
    with pytest.raises(WorkerDied, match="closed"):
        backward(forge(reply({"tensor": 0}, NUMBER, payload=ONE, node=1)), torch.ones(1, requires_grad=True))


# ---- a test's own modules and callbacks


def critic() -> nn.Module:
    """Not a stock module: it crosses as a mirror, and its parameters may be set from there."""

    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    return Critic()


def training_step(value: bytes) -> bytes:
    """A call of the module lent as number 1, with a weight of the worker's choice, in evaluation mode."""
    claim = [1, "", [["", False]], [["weight", 0, False]]]
    return call_of(claim, [{"tensor": 1}], "__call__", NUMBER, NUMBER, payload=value + ONE)


def test_a_tests_module_is_after_the_call_what_it_was_before(forge: Callable[..., Forger]) -> None:
    """Else a student could set the critic with which the test then computes what to expect."""
    module = critic()
    forge(training_step(bytes(4)), PLAIN).call(module)
    assert module.weight.item() == 1
    assert module.weight.requires_grad
    assert module.training


def test_a_module_that_is_to_be_trained_in_place_stays_trained(forge: Callable[..., Forger]) -> None:
    module = critic()
    module.in_place = True
    forge(training_step(bytes(4)), PLAIN).call(module)
    assert module.weight.item() == 0


@pytest.mark.parametrize("in_place", [False, True])
def test_a_stock_module_changes_only_if_that_is_wanted(forge: Callable[..., Forger], in_place: bool) -> None:
    module = nn.Linear(1, 1, bias=False)
    before = module.weight.item()
    module.in_place = in_place
    changed = reply(1, ["float32", [1, 1], False, None], payload=ONE, changed=[[0, 0]] if in_place else [])
    forge(changed).call(module)
    assert module.weight.item() == (1.0 if in_place else before)


def test_a_change_of_another_shape_ends_the_worker(forge: Callable[..., Forger]) -> None:
    """copy_() would broadcast it."""
    module = nn.Linear(2, 2)
    module.in_place = True
    with pytest.raises(WorkerDied):
        forge(reply(1, NUMBER, payload=ONE, changed=[[0, 0]])).call(module)


def test_a_finding_of_a_spy_stands_even_if_the_student_swallows_it(forge: Callable[..., Forger]) -> None:
    def spy(x: int) -> None:
        raise AssertionError("called with the wrong thing")

    with pytest.raises(AssertionError, match="wrong thing"):
        forge(call_of(1), PLAIN).call(spy)


def test_too_large_an_argument_does_not_reach_the_callback(forge: Callable[..., Forger]) -> None:
    called = []
    size = MAX_ARGUMENTS + 1
    large = call_of(1, [{"tensor": 0}], "__call__", ["uint8", [size], False, None], payload=bytes(size))
    assert forge(large, PLAIN).call(called.append) == 1
    assert not called


def test_a_flood_of_copies_ends(forge: Callable[..., Forger]) -> None:
    copies = [call_of([1, "", [], []], [], "__deepcopy__") for _ in range(6000)]
    with pytest.raises(WorkerDied, match="too many things"):
        forge(*copies).call(critic())


def test_a_flood_of_computations_ends(forge: Callable[..., Forger]) -> None:
    large = call_of(
        1, [{"tensor": 0}], "__call__", ["float32", [4 * MEBIBYTE], True, None], payload=bytes(16 * MEBIBYTE)
    )
    with pytest.raises(WorkerDied, match="too many computations"):
        forge(*[large] * 40).call(lambda x: x * 2)


# ---- anything at all

PARTS: list[tuple[Any, list[list[Any]], bytes]] = [
    ([1, 2.5, None, "a", {"tuple": [True, {"dict": [["k", 1]]}]}], [], b""),
    ({"tensor": 0}, [NUMBER], ONE),
    ({"numpy": [0, True]}, [["float32", [], False, None]], ONE),
    ({"generator": 0}, [["uint8", [5056], False, None]], bytes(5056)),
    ({"distribution": ["Normal", {"loc": {"tensor": 0}, "scale": 1.0}]}, [NUMBER], ONE),
    ({"namespace": {"a": 1}}, [], b""),
    (state("a.b"), [NUMBER], ONE),
    ({"home": 1}, [], b""),
    ({"home": [2, "", [["", True]], [["weight", 0, True]]]}, [NUMBER], ONE),
    ({"function": [1, "g"]}, [], b""),
    ({"object": [1, "Thing", ""]}, [], b""),
    ({"opaque": [1, "Thing", "repr"]}, [], b""),
    ({"iterator": 1}, [], b""),
    ({"method": True}, [], b""),
]
HEADERS: list[dict[str, Any]] = [
    {"value": None, "node": 1, "changed": [[0, 0]], "modules": [], "free": [1]},
    {"error": {"types": ["KeyError"], "message": "m", "frames": [["cell 1", 1, "f", "x"]]}},
    {"op": "call", "tree": [{"home": 1}, [None], {"dict": []}], "method": "__call__", "free": [3], "grad": True},
    {"op": "call", "tree": [{"home": [2, "", [], []]}, [None], {"dict": []}], "method": "__call__"},
    {"op": "vjp", "node": 1, "outputs": [0], "asked": [True], "graph": True},
]
TOKENS = [
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        -1,
        2**70,
        0.5,
        float("inf"),
        float("nan"),
        "",
        "tensor",
        "__class__",
        "\ud800",
        "call",
    ),
    *([], {}, [[]], [0], {"tensor": 0}, {"home": 1}, {"tuple": []}, ["weight", 0, True], "float64"),
]


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree of JSON."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *[place for key, child in children for place in places(child, (*path, key))]]


def replaced(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    tree[path[0]] = replaced(tree[path[0]], path[1:], value)
    return tree


@settings(max_examples=500)
@given(data=st.data())
def test_only_values_student_errors_and_deaths_come_out(data: st.DataObject) -> None:
    """Valid frames of every kind, with some of their parts exchanged for others."""
    part, tensors, payload = copy.deepcopy(data.draw(st.sampled_from(PARTS)))
    header = copy.deepcopy(data.draw(st.sampled_from(HEADERS)))
    header = json.loads(json.dumps({**header, "tensors": tensors}).replace("null", json.dumps(part), 1))
    for _ in range(data.draw(st.integers(0, 3))):
        header = replaced(
            header, data.draw(st.sampled_from(places(header))), copy.deepcopy(data.draw(st.sampled_from(TOKENS)))
        )
    forger = Forger(frame(header, payload), PLAIN, max_payload=MEBIBYTE)
    try:
        result = forger.call(lambda x: x, critic(), nn.Linear(1, 1))
        repr(result)
        if isinstance(result, torch.Tensor) and result.requires_grad:
            result.sum().backward()
    except (StudentError, WorkerDied):
        pass
    finally:
        forger.close()
