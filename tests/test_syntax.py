import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.syntax import definitions, fingerprint, parse, parses, plain_python


@pytest.mark.parametrize(
    ("written", "python"),
    [
        ("%matplotlib inline\nx = 1", "# %matplotlib inline\nx = 1"),
        ("!pip install torch\nx = 1", "# !pip install torch\nx = 1"),
        ("!pip install \\\n  torch\nx = 1", "# !pip install \\\n\nx = 1"),
        ("?print\nx = 1", "# ?print\nx = 1"),
        ("torch.nn?\nx = 1", "# torch.nn?\nx = 1"),
        ("x = !ls\ny = 1", "x = []  # x = !ls\ny = 1"),
        ("x = %pwd\ny = 1", "x = None  # x = %pwd\ny = 1"),
        ("x = %time f()", "x = f()"),
        ("%time x = f()", "x = f()"),
        ("if ready:\n    %cd data\nx = 1", "if ready:\n    pass  # %cd data\nx = 1"),
        ("%%time\nx = 1", "\nx = 1"),
        ("%%capture out\n%%time\nx = 1", "\n\nx = 1"),
        ("%%time\n%cd data\nx = 1", "\n# %cd data\nx = 1"),
        ("%%ipytest -q\nx = 1", "\nx = 1"),
        ("%%bash\nls", ""),
        ("%%writefile answer.py\ndef f(): pass", ""),
        ("%%unheard_of\nls -l x", ""),
        ("pip install torch", "# pip install torch"),
        ("    x = 1\n    %cd data", "x = 1\n# %cd data"),
        (">>> x = 1\n>>> y = 2", "x = 1\ny = 2"),
    ],
)
def test_magic_goes_and_every_line_stays_where_it_was(written, python):
    assert plain_python(written) == python
    assert python == "" or python.count("\n") == written.count("\n")


@pytest.mark.parametrize(
    "source",
    [
        "y = (a\n%b)",
        "y = a \\\n  % b",
        's = """\n%matplotlib inline\n!ls\n"""',
        "s = 'a = %d' % 3",
        "if a != b:\n    pass",
        "# %matplotlib inline\nx = 1",
        "x = get_ipython()",
    ],
)
def test_what_is_python_already_is_left_alone(source):
    assert plain_python(source) == source


@pytest.mark.parametrize(
    "kept",
    [
        's = """\n%matplotlib inline\nwhat?\n"""',
        "s = '''\n!ls\n'''",
        "y = (a\n%b)",
        "y = a \\\n%b",
        "s = 'it\\'s' + \"# (\"\ny = [a,\n%b]",
        "assert x, \"rate = %d\" % r\nd['a = %d' % 3] = 5",
        "s = 'one \\\n%two'",
    ],
)
def test_lookalikes_beside_real_magic_are_left_alone(kept):
    assert plain_python(f"{kept}\n%matplotlib inline") == f"{kept}\n# %matplotlib inline"
    assert plain_python(f"%matplotlib inline\n{kept}") == f"# %matplotlib inline\n{kept}"


@pytest.mark.parametrize(
    ("saved", "notebook"),
    [
        ("get_ipython().run_line_magic('matplotlib', 'inline')\nx = 1", "%matplotlib inline\nx = 1"),
        ("get_ipython().system('pip install torch')\nx = 1", "!pip install torch\nx = 1"),
        ("μ = 'é'; files = get_ipython().getoutput('ls')", "μ = 'é'; files = !ls"),
        ("get_ipython().run_cell_magic('time', '', 'def f():\\n    return 1\\n')\n", "%%time\ndef f():\n    return 1"),
        ("get_ipython().run_cell_magic('bash', '', 'ls\\n')", "%%bash\nls"),
    ],
)
def test_a_script_that_jupyter_saved_reads_as_its_notebook(saved, notebook):
    """`Save as executable script` writes magics as calls of get_ipython, which only IPython has."""
    if ";" in notebook:  # not at the start of its line: IPython itself knows no such magic
        assert plain_python(saved) == saved
    else:
        assert plain_python(saved).rstrip() == plain_python(notebook)


def test_a_syntax_error_stays_on_its_line():
    plain = plain_python("%matplotlib inline\n\nx = (1\n")
    with pytest.raises(SyntaxError) as caught:
        parse(plain)
    assert caught.value.lineno == 3


@pytest.mark.parametrize("source", ["(" * 10_000, "-" * 100_000 + "1", "1" + "+1" * 100_000, "x = '\ud800'", "a\0b"])
def test_what_the_parser_cannot_take_is_a_syntax_error(source):
    with pytest.raises(SyntaxError):
        parse(source)


def test_many_cell_magics_are_read_in_one_pass():
    assert plain_python("%%time\n" * 20_000 + "x = 1").strip() == "x = 1"


@given(st.text(alphabet="ab =%!?\\\n\"'#([{}])x:1 ,"))
def test_any_text_comes_back_as_itself_or_with_its_lines(source):
    plain = plain_python(source)
    if parses(source):
        assert plain == source
    else:
        assert plain == "" or plain.count("\n") == source.count("\n") or source.lstrip().startswith("%%")


def test_definitions_are_the_last_at_top_level():
    tree = parse(
        "def f(): ...\nclass g:\n    def inner(self): ...\n"
        "if True:\n    h = lambda: hidden\nimport a.b as c, d.e\nf = 3\n"
    )
    assert {name: type(node).__name__ for name, node in definitions(tree).items()} == {
        "f": "Name",
        "g": "ClassDef",
        "h": "Name",
        "c": "Import",
        "d": "Import",
    }


def test_definitions_come_in_the_order_of_the_text():
    tree = parse("try:\n    def a(): ...\nexcept E:\n    def b(): ...\ndef c(): ...")
    assert list(definitions(tree)) == ["a", "b", "c"]


def test_fingerprint_ignores_layout_and_comments():
    assert fingerprint(parse("f( 1 )  # one")) == fingerprint(parse("f(1)"))
    assert fingerprint(parse("f(2)")) != fingerprint(parse("f(1)"))


def test_fingerprint_of_a_tree_too_deep_is_none():
    assert fingerprint(ast.parse("1" + "+1" * 1500)) is None
