"""Cells, run as a notebook runs them."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from autograder.sandbox.execution import CellRunner, student_frames


def ran(*cells: str, only_definitions: bool = False) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "submission"}
    runner = CellRunner(namespace)
    for number, cell in enumerate(cells, 1):
        runner.run(textwrap.dedent(cell), f"cell {number}", only_definitions=only_definitions)
    return namespace


def test_later_cells_see_earlier_ones() -> None:
    assert ran("a = 1", "b = a + 1")["b"] == 2


def test_what_a_cell_defined_before_it_raised_stands() -> None:
    namespace: dict[str, Any] = {}
    with pytest.raises(ZeroDivisionError):
        CellRunner(namespace).run("a = 1\n1 / 0\nb = 2", "cell 1")
    assert namespace["a"] == 1
    assert "b" not in namespace


def test_a_future_import_holds_for_the_cells_after_it() -> None:
    """As in a notebook: an annotation may name what is defined later."""
    assert "f" in ran("from __future__ import annotations", "def f(x: Later) -> Later: ...")
    with pytest.raises(NameError):
        ran("def f(x: Later) -> Later: ...")


def test_the_sandbox_s_own_future_imports_do_not_hold() -> None:
    assert ran("def f(x: int): ...")["f"].__annotations__ == {"x": int}


def test_only_definitions() -> None:
    cell = """
        import math
        from math import pi
        SIZES = [1, 2]
        LIMIT: float = 0.5
        computed = pi + 1
        print("not printed")
        def helper():
            return SIZES, math.e
        class Thing: ...
        for _ in range(3): computed = 0
        assert False
    """
    names = ran(cell, only_definitions=True)
    assert {"math", "pi", "SIZES", "LIMIT", "helper", "Thing"} <= set(names)
    assert "computed" not in names
    assert names["helper"]()[0] == [1, 2]


def frames_of(*cells: str) -> list[list[Any]]:
    with pytest.raises(Exception) as caught:
        ran(*cells)
    return student_frames(caught.value)


def test_frames_are_the_students_own_lines() -> None:
    frames = frames_of("import json\ndef f(x):\n    return json.loads(x)", "f('{')")
    assert frames == [["cell 2", 1, "<module>", "f('{')"], ["cell 1", 3, "f", "return json.loads(x)"]]


def test_a_syntax_error_has_its_line() -> None:
    assert frames_of("x = 1\ny = = 2") == [["cell 1", 2, "", "y = = 2"]]


def test_an_endless_recursion_has_few_frames() -> None:
    assert len(frames_of("def f(): f()", "f()")) == 12
