import json

import jupytext
import nbformat
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.cells import notebook_cells, script_cells
from autograder.syntax import parses, plain_python


def notebook(*cells: object, **fields: object) -> str:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **fields})


def code(source: object, **fields: object) -> dict[str, object]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], **fields}


@pytest.mark.parametrize("source", ["x = 1\ny = 2\n", ["x = 1\n", "y = 2\n"], "x = 1\r\ny = 2"])
def test_a_source_may_be_text_or_lines(source):
    assert [cell.source for cell in notebook_cells(notebook(code(source)))] == ["x = 1\ny = 2"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ('{"cells": [}', "line 1"),
        ("[1, 2]", "no notebook"),
        ("null", "no notebook"),
        ('{"cells": {"a": 1}}', "no notebook"),
        ('{"worksheets": [3]}', "no notebook"),
        ("[" * 100_000, "deep"),
        ('{"cells": [], "n": ' + "9" * 5000 + "}", "endless"),
    ],
)
def test_what_is_no_notebook_is_said_in_words(text, reason):
    with pytest.raises(ValueError, match=reason):
        notebook_cells(text)


@pytest.mark.parametrize(
    "cell",
    [None, 3, [], "x", {"cell_type": "code", "source": 3}, {"source": [1]}, {"cell_type": "code", "source": {"a": 1}}],
)
def test_a_damaged_cell_damages_no_other(cell):
    before, damaged, after = notebook_cells(notebook(code("x = 1"), cell, code("y = 2")))
    assert (before.source, damaged.kind, after.source, after.number) == ("x = 1", "unreadable", "y = 2", 3)


@pytest.mark.parametrize("metadata", [None, 3, "x", [1], {"tags": 3}, {"tags": [3, {}]}, {"nbgrader": []}])
@pytest.mark.parametrize("name", [None, 3, [], {}])
def test_metadata_of_any_type_is_no_metadata(metadata, name):
    (cell,) = notebook_cells(notebook(code("x = 1", metadata=metadata, id=name)))
    assert (cell.source, cell.hands_on, cell.name) == ("x = 1", False, "")


@pytest.mark.parametrize("fields", [{"nbformat": 99}, {"nbformat": "four"}, {"nbformat": None}, {"metadata": 3}])
def test_the_version_of_the_format_does_not_matter(fields):
    assert len(notebook_cells(notebook(code("x = 1"), **fields))) == 1


def test_worksheets_of_version_3_are_read():
    old = {"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1"}]}, 7, {"cells": [None]}]}
    assert [(cell.kind, cell.source) for cell in notebook_cells(json.dumps(old))] == [
        ("code", "x = 1"),
        ("unreadable", ""),
    ]


def test_half_characters_and_nuls_do_not_survive():
    (cell,) = notebook_cells(notebook(code("x = '\ud800\0'")))
    assert cell.source == "x = '?'"


def test_names_come_from_nbgrader_whatever_its_schema():
    nbgrader = {"grade_id": "square", "schema_version": 99, "grade": "yes"}
    (cell,) = notebook_cells(notebook(code("x = 1", metadata={"nbgrader": nbgrader})))
    assert cell.name == "square"


SCRIPT = '''\
# ---
# jupyter: {}
# ---

# %% [markdown] question="why" points=2
# First line.
#
# Last line.

# %% Title of a cell tags=["hands-on"] points=4
x = 1


# %%
# %matplotlib inline
s = """
# %% not a marker
"""

# %% {"tags": ["hands-on"]}
def f():
    # %% nor is this
    return 1

# %% [markdown]
"""
In one string.
"""
# %% [raw]
# raw
#%%
y = 2
'''


def test_percent_scripts_have_their_cells_in_order():
    cells = script_cells(SCRIPT)
    assert [cell.kind for cell in cells] == ["code", "text", "code", "code", "code", "text", "text", "code"]
    assert [cell.source for cell in cells[1:]] == [
        "First line.\n\nLast line.",
        "x = 1",
        '%matplotlib inline\ns = """\n# %% not a marker\n"""',
        "def f():\n    # %% nor is this\n    return 1",
        "In one string.",
        "raw",
        "y = 2",
    ]
    assert [cell.hands_on for cell in cells] == [False, False, True, False, True, False, False, False]
    assert cells[1].name == "why"
    assert [cell.number for cell in cells] == list(range(8))


def test_cells_of_a_script_know_their_lines():
    lines = SCRIPT.split("\n")
    assert [lines[cell.line - 1] for cell in script_cells(SCRIPT) if cell.line][2:4] == [
        "x = 1",
        "# %matplotlib inline",
    ]


def test_a_script_without_markers_is_one_cell():
    (cell,) = script_cells("x = 1\r\n\r\n# %time is money\ny = 2\r\n")
    assert (cell.number, cell.source) == (1, "x = 1\n\n# %time is money\ny = 2")


def test_a_script_that_jupyter_exported_has_cells():
    exported = "#!/usr/bin/env python\n# coding: utf-8\n\n# # Title\n\n# In[1]:\n\n\nx = 1\n\n\n# In[ ]:\n\n\ny = 2\n"
    assert [cell.source.strip() for cell in script_cells(exported)][1:] == ["x = 1", "y = 2"]


def test_a_string_that_is_never_closed_swallows_no_other_cell():
    cells = script_cells('# %%\ns = """\n\n# %%\nx = 1\n\n# %%\nt = """a"""\n')
    assert [cell.source for cell in cells[1:]] == ['s = """', "x = 1", 't = """a"""']


@pytest.mark.parametrize("header", ['tags=["hands-on', "tags=hands-on", "a={ tags", '{"tags": ["hands-on"}', "[", "="])
def test_metadata_that_is_no_json_is_no_metadata(header):
    cell = script_cells(f"# %% {header}\nx = 1\n")[1]
    assert (cell.source, cell.hands_on) == ("x = 1", False)


def test_metadata_after_what_is_no_json_is_read():
    assert script_cells('# %% A {set} of a=b things tags=["hands-on"]\nx = 1\n')[1].hands_on


@pytest.mark.parametrize(
    "source",
    ["f(a,\n  # why?\n  b)", "# cat the tensors along dim 1\nx = 1", "if a:\n    x = 1\n# %else\nelse:\n    x = 2"],
)
def test_a_comment_that_looks_like_magic_stays_a_comment(source):
    assert plain_python(script_cells(f"# %%\n{source}\n")[1].source) == source


def test_many_cells_are_refused_before_they_are_looked_at():
    with pytest.raises(ValueError, match="more than 10000 cells"):
        script_cells("# %%\n" * 10_001)
    with pytest.raises(ValueError, match="more than 10000 cells"):
        notebook_cells('{"cells": [' + "[]," * 10_000 + "[]]}")


def test_strings_that_are_never_closed_are_looked_for_once():
    """Looked for from each marker to the end of the file, they would take hours."""
    assert len(script_cells('# %%\n"""\n' * 5_000)) > 2


LINES = st.sampled_from(
    [
        "x = 1",
        "def f(x):\n    return x % 2",
        "%matplotlib inline",
        "!pip install torch",
        "# a comment",
        "# %time is money",
        "# + one more",
        "files = !ls",
        "print?",
        's = """\n# %% in a string\n%magic\n"""',
        "",
        "class A:\n\n\n    pass",
        "# %%",
        "%%time",
        "@decorated",
        "y = (1 +",
    ]
)
CELLS = st.lists(
    st.one_of(
        st.builds(lambda lines: new_code_cell("\n".join(lines).rstrip()), st.lists(LINES, max_size=4)),
        st.builds(lambda lines: new_code_cell("\n".join(lines), metadata={"tags": ["hands-on"]}), st.just(["x = 1"])),
        st.builds(
            lambda name: new_markdown_cell("# T\n\ntext", metadata={"nbgrader": {"grade_id": name, "points": 1}}),
            st.sampled_from(["a", "b"]),
        ),
    ),
    min_size=1,
    max_size=5,
)


@given(cells=CELLS)
def test_a_script_that_jupytext_wrote_has_the_cells_of_its_notebook(cells):
    """But for cells that Jupytext itself would not give back as they were, such as one with a marker in it, and for a marker in
    a string of a cell with a syntax error, where nobody can tell whether the string was meant to end."""
    assume(not any("# %%" in cell.source and not parses(plain_python(cell.source)) for cell in cells))
    written = jupytext.writes(new_notebook(cells=cells), fmt="py:percent")
    back = jupytext.reads(written, fmt="py:percent").cells
    if [(cell.cell_type, cell.source) for cell in back] != [(cell.cell_type, cell.source) for cell in cells]:
        return
    script = [cell for cell in script_cells(written) if cell.number]
    ours = notebook_cells(nbformat.writes(new_notebook(cells=cells)))
    assert [(cell.kind, cell.name, cell.hands_on) for cell in script] == [
        (cell.kind, cell.name, cell.hands_on) for cell in ours
    ]
    for one, other in zip(script, ours, strict=True):
        if parses(plain_python(other.source)):
            assert one.source == other.source
