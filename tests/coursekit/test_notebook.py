import os
import sys

import pytest

from coursekit.errors import CoursekitError
from coursekit.notebook import CodeCell, read_document, run_cells


def test_a_notebook_has_code_cells_with_their_place_and_name(write, right):
    cells = read_document(write(*right)).cells
    assert [cell.number for cell in cells] == [2, 3, 4, 5]
    assert [cell.name for cell in cells] == ["", "double", "", "halve"]


def test_a_script_is_read_like_a_notebook(folder):
    path = folder / "doubling.py"
    path.write_text('# %% [markdown]\n# Text\n# %% exercise="double" points=1\ndef double(x): ...\n# %%\nx = 1\n')
    cells = read_document(path).cells
    assert [(cell.number, cell.name) for cell in cells] == [(2, "double"), (3, "")]


def test_a_plain_script_is_one_cell(folder):
    path = folder / "doubling.py"
    path.write_text("x = 1\n\n\ndef double(x):\n    return 2 * x\n")
    (cell,) = read_document(path).cells
    assert run_cells(read_document(path))[0]["x"] == 1
    assert "def double" in cell.source


def test_the_release_names_the_assignment(write):
    assert read_document(write(course={"assignment": "vae", "version": "1"})).assignment == "vae"
    assert read_document(write()).assignment is None
    assert read_document(write(course=["vae"])).assignment is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not valid JSON (line 1"),
        (b"[]", "has no cells"),
        (b'{"cells": 3}', "has no cells"),
        (b'{"cells": [{}], "metadata": {}}', "no sound notebook"),
        (b'{"cells": [3], "metadata": {}}', "no sound notebook"),
        (b'{"cells": []}', "no sound notebook"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "not valid JSON"),
    ],
)
def test_a_broken_notebook_gets_a_sentence(folder, content, said):
    path = folder / "doubling.ipynb"
    path.write_bytes(content)
    with pytest.raises(CoursekitError) as caught:
        read_document(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_kind_of_file_is_refused(folder):
    with pytest.raises(CoursekitError, match="neither a notebook"):
        read_document(folder / "doubling.pdf")


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("x = 10\n%matplotlib inline", "x = 10\npass"),
        ("if x:\n    !ls", "if x:\n    pass"),
        ("%%time\nx = 1", "\nx = 1"),
        ("%%bash\nls", ""),
        ("y = a\\\n% b", "y = a\\\n% b"),
        ("'''\n%%s'''", "'''\n%%s'''"),
    ],
)
def test_magics_are_taken_out_and_lines_stay(source, python):
    assert CodeCell(1, source).python == python


def test_cells_share_their_names(write, right):
    names, faults = run_cells(read_document(write(*right)))
    assert faults == []
    assert names["halve"](names["double"](3)) == 3


def test_a_cell_that_fails_does_not_stop_the_next(write):
    names, faults = run_cells(
        read_document(write("def f(x):\n    return 1 / x\nf(0)", "def", "import sys; sys.exit(3)", "f()", "x = 1"))
    )
    assert names["x"] == 1
    assert [fault.number for fault in faults] == [1, 2, 3, 4]
    assert faults[0].message.splitlines() == [
        "ZeroDivisionError: division by zero",
        "  line 3: f(0)",
        "  in f, line 2: return 1 / x",
    ]
    assert faults[1].message == "line 1: invalid syntax"
    assert faults[2].message.startswith("SystemExit: 3")
    assert "missing 1 required positional argument" in faults[3].message


def test_of_hands_on_cells_only_definitions_run(write):
    names, faults = run_cells(
        read_document(
            write(
                ("LIMIT = 3\ndef f(): ...\ny = 1 / 0", {"tags": ["hands-on"]}),
                ("class C: ...\nz = 1 / 0", {"id": "hands-on-2"}),
            )
        )
    )
    assert faults == []
    assert names["LIMIT"] == 3
    assert {"f", "C"} <= set(names)
    assert not {"y", "z"} & set(names)


def test_cells_run_quietly_in_their_own_folder(write, folder, capfd):
    before = dict(os.environ), os.getcwd()
    path = write("import os, sys\nprint('a'); print('b', file=sys.stderr)\nhere = os.getcwd()")
    names, _ = run_cells(read_document(path))
    assert names["here"] == str(folder)
    assert capfd.readouterr() == ("", "")
    assert before == (dict(os.environ), os.getcwd())


def test_dataclasses_and_type_hints_find_their_names(write):
    source = (
        "from __future__ import annotations\nimport dataclasses, typing\n@dataclasses.dataclass\nclass P:\n    x: Q\n"
        "class Q: ...\nhints = typing.get_type_hints(P)"
    )
    names, faults = run_cells(read_document(write(source)))
    assert faults == []
    assert names["hints"] == {"x": names["Q"]}
    assert names["__name__"] in sys.modules


def test_main_guards_are_not_entered(write):
    names, _ = run_cells(read_document(write("if __name__ == '__main__':\n    trained = True")))
    assert "trained" not in names


def test_an_unwritten_stub_is_said(write):
    _, faults = run_cells(read_document(write("def f():\n    raise NotImplementedError\nf()")))
    assert faults[0].message == "f is not written yet."
