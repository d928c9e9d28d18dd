import ast

import pytest

from coursekit.errors import ChecksUnreadable
from coursekit.source import definitions, definitions_only, exercises_in, unwritten

CHECKS = """
@exercise("kl")
class TestKL: ...

@exercise("Encoder", contract=False)
class TestEncoder: ...

@exercise("kl")
class TestMoreKL: ...

class Helper: ...
"""


def test_exercises_are_found_in_order_and_once(tmp_path):
    (tmp_path / "visible.py").write_text(CHECKS)
    assert exercises_in(tmp_path / "visible.py") == ["kl", "Encoder"]


@pytest.mark.parametrize("content", [b"def", b"\xff\xfe", b"\0"])
def test_a_file_that_is_no_python_is_said(tmp_path, content):
    (tmp_path / "visible.py").write_bytes(content)
    with pytest.raises(ChecksUnreadable, match=r"visible\.py cannot be read .* fresh copy"):
        exercises_in(tmp_path / "visible.py")


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ChecksUnreadable):
        exercises_in(tmp_path / "visible.py")


@pytest.mark.parametrize(
    ("source", "stub"),
    [
        ("def f(x):\n    raise NotImplementedError", "f"),
        ("def f(x):\n    '''Doc.'''\n    raise NotImplementedError('soon')", "f"),
        ("def f(x):\n    '''Doc.'''", "f"),
        ("def f(x): ...", "f"),
        ("def f(x):\n    pass", "f"),
        ("def f(x):\n    y = x\n    raise NotImplementedError", "f"),
        ("def f(x):\n    return x", None),
        ("def f(x):\n    if x:\n        raise NotImplementedError\n    return x", None),
        (
            "class C:\n    def __init__(self):\n        self.a = 1\n    def go(self):\n        raise NotImplementedError",
            "C.go",
        ),
        ("class C:\n    a = 1", None),
    ],
)
def test_stubs_are_recognised(source, stub):
    (node,) = ast.parse(source).body
    assert unwritten(node) == stub


def test_the_last_definition_of_a_name_counts():
    assert unwritten(definitions("def f():\n    raise NotImplementedError\ndef f():\n    return 1")["f"]) is None


def test_of_a_hands_on_cell_only_definitions_stay_each_on_its_line():
    source = "import torch\ntrain()\nLIMIT = [1, -2]\n@wrapped\ndef f():\n    return 1\nx = f()\nclass C: ..."
    kept = definitions_only(source)
    assert kept.split("\n") == [
        "import torch", "", "LIMIT = [1, -2]", "@wrapped", "def f():", "    return 1", "", "class C: ...",
    ]  # fmt: skip
