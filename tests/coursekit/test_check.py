"""`check` as a notebook calls it: with the caller's globals, and `visible.py` in the working directory."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import hypothesis
import pytest
import torch

from coursekit.check import check, check_in

VISIBLE = '''
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.properties import assert_close, exercise, tensors


@exercise("double")
class TestDouble:
    @given(x=tensors(3))
    def test_adds_itself(self, student, x):
        """It is x + x,
        element by element.

        More about it.
        """
        assert_close(student.double(x), x + x, what="the double")

    def test_keeps_zero(self, student):
        assert torch.equal(student.double(torch.zeros(2)), torch.zeros(2))


@exercise("quadruple")
class TestQuadruple:
    @pytest.mark.parametrize("n", [1, 2])
    def test_is_twice_the_double(self, student, n):
        """It is twice the double."""
        x = torch.arange(float(n))
        assert_close(student.quadruple(x), 2 * student.double(x))


@exercise("Net")
class TestNet:
    @given(data=st.data())
    def test_answers(self, student, data):
        """It answers with as many numbers as it is given."""
        x = data.draw(tensors(2))
        assert student.Net()(x).shape == (2,)
'''


@pytest.fixture
def visible(tmp_path):
    path = tmp_path / "visible.py"
    path.write_text(VISIBLE)
    return path


@pytest.fixture
def run(visible):
    """Run a cell's source, as a notebook does, and check an exercise of it."""

    def run(source, name="double"):
        namespace = {"torch": torch, "__name__": "__main__"}
        exec(compile(textwrap.dedent(source), "<cell>", "exec"), namespace)
        return check_in(visible, namespace.get(name, name), namespace)

    return run


def test_a_right_answer_passes(run):
    report = run("def double(x): return 2 * x")
    assert report.passed
    assert [outcome.statement for outcome in report.outcomes] == ["It is x + x, element by element.", "Keeps zero"]


def test_a_wrong_answer_is_explained_with_the_simplest_input(run):
    report = run("def double(x): return x ** 2 + 0 * x")
    assert str(report).splitlines() == [
        "double: 1 of 2 checks hold",
        "  ✗ It is x + x, element by element.",
        "  ✓ Keeps zero",
        "",
        "  The double is wrong everywhere; most of all at [0]: it should be 2.0, but it is 1.0.",
        "  expected  [2.0, 2.0, 2.0]",
        "  received  [1.0, 1.0, 1.0]",
        "  Every value is 2.0 times too small.",
        "",
        "  with",
        "    x = tensor([1.0, 1.0, 1.0])",
    ]


def test_the_same_answer_gets_the_same_report(run):
    source = "def double(x): return x + torch.rand(3)"
    assert str(run(source)) == str(run(source))


def test_a_stub_is_not_written_yet(run):
    assert str(run("def double(x): raise NotImplementedError")) == "double: not written yet"


def test_a_method_that_is_a_stub_is_named(run):
    report = run("class Net(torch.nn.Module):\n    def forward(self, x): raise NotImplementedError", "Net")
    assert str(report) == "Net: Net.forward is not written yet"


def test_a_stub_that_another_exercise_needs_is_named(run):
    report = run("def double(x): raise NotImplementedError\ndef quadruple(x): return double(double(x))", "quadruple")
    assert str(report) == "quadruple: it needs double, which is not written yet"


def test_parameters_are_said(run):
    report = run("def double(x): return 2 * x\ndef quadruple(x): return 4 * x", "quadruple")
    assert [outcome.statement for outcome in report.outcomes] == [f"It is twice the double. [{n}]" for n in (1, 2)]
    assert report.passed


def test_an_exception_shows_only_the_students_lines(run):
    report = run(
        """
        def helper(x):
            return x @ torch.ones(7)
        def double(x):
            return helper(x)
        """
    )
    message = report.outcomes[0].message.splitlines()
    assert message[0].startswith("RuntimeError:")
    assert message[1].startswith("  in double, line 5")
    assert message[2].startswith("  in helper, line 3")
    assert len(message) == 3
    assert report.outcomes[0].inputs == ("x = tensor([0.0, 0.0, 0.0])",)


def test_an_assertion_of_the_students_own_is_theirs(run):
    assert run("def double(x):\n    assert x.sum() > 99, 'too small'").outcomes[0].message.splitlines()[0] == (
        "AssertionError: too small"
    )


def test_a_wrong_signature_is_said(run):
    assert "TypeError: double() takes 0 positional arguments but 1 was given" in str(run("def double(): return 1"))


def test_a_bare_assertion_is_shown_as_its_condition(run):
    source = "class Net(torch.nn.Module):\n    def forward(self, x): return x[:1]"
    report = run(source, "Net")
    assert report.outcomes[0].message == "This does not hold: student.Net()(x).shape == (2,)"
    assert report.outcomes[0].inputs == ("draw 1 = tensor([0.0, 0.0])",)


def test_a_missing_name_is_said(run):
    report = run("def quadruple(x): return 4 * x", "quadruple")
    assert report.outcomes[1].message == "double is not defined; run the cell that defines it first"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import sys; sys.exit()", "SystemExit"),
        ("import pytest; pytest.skip('easy')", "what is skipped does not count"),
        ("import hypothesis; hypothesis.assume(False)", ""),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise KeyError", "KeyError"),
        ("return None", "The double should be a tensor, but it is None."),
    ],
)
def test_nothing_that_an_answer_does_makes_it_pass(run, line, said):
    report = run(f"def double(x):\n    {line}\n    return 2 * x")
    assert not any(outcome.held for outcome in report.outcomes)
    assert said in report.outcomes[0].message


def test_an_answer_that_remembers_is_called_unsteady(run):
    report = run("calls = []\ndef double(x):\n    calls.append(x)\n    return 2 * x + (len(calls) == 7)")
    assert "With the same input it once failed and once did not" in report.outcomes[0].message


def test_only_what_was_printed_last_is_shown(run):
    report = run("def double(x):\n    print('sum', x.sum())\n    return x")
    assert report.outcomes[0].printed == "sum tensor(3.)\n"


def test_an_input_that_was_changed_in_place_is_shown_as_it_was_and_said(run):
    """The comparison that follows is with what is left of it."""
    report = run("def double(x):\n    x *= 2\n    return x")
    assert report.outcomes[0].inputs == ("x = tensor([1.0, 1.0, 1.0])",)
    assert "x is no longer what it was" in report.outcomes[0].message


def test_a_slow_answer_gets_the_simplest_input_found_in_time(run, monkeypatch):
    monkeypatch.setattr("coursekit.properties.running.SHRINKING_SECONDS", 0)
    report = run("def double(x): return 2 * x if x.numel() and x.max() <= 0 else x")
    assert "should be" in report.outcomes[0].message
    assert len(report.outcomes[0].inputs) == 1


def test_stopping_a_check_stops_it(run):
    with pytest.raises(KeyboardInterrupt):
        run("def double(x): raise KeyboardInterrupt")


def test_what_is_passed_in_wins_over_the_notebooks_name(visible):
    def double(x):
        return 2 * x

    assert check_in(visible, double, {"double": None}).passed
    assert not check_in(visible, "double", {"double": None}).passed


def test_an_answer_is_found_by_the_variable_that_holds_it(visible):
    answer = lambda x: 2 * x  # noqa: E731
    assert check_in(visible, answer, {"double": answer}).passed


@pytest.mark.parametrize(
    ("exercise", "note"),
    [
        ("double", "not defined yet; run the cell that defines it first"),
        (len, "visible.py has no checks for it; there are checks for double, quadruple, Net"),
        (3, "visible.py has no checks for it; there are checks for double, quadruple, Net"),
        (type("Nett", (), {}), "visible.py has no checks for it; did you mean Net?"),
    ],
)
def test_what_cannot_be_checked_gets_a_sentence(visible, exercise, note):
    assert check_in(visible, exercise, {}).note == note


def test_a_missing_file_gets_a_sentence(tmp_path):
    assert "there is no visible.py" in check_in(tmp_path / "visible.py", len, {}).note


@pytest.mark.parametrize(
    "text", ["def", 'from coursekit.properties import exercise\n1 / 0\n@exercise("len")\nclass TestLen: ...']
)
def test_a_broken_file_gets_a_sentence(visible, text):
    visible.write_text(text)
    assert "visible.py cannot be read" in check_in(visible, len, {}).note


def test_a_class_without_properties_gets_a_sentence(visible):
    visible.write_text('from coursekit.properties import exercise\n@exercise("len")\nclass TestLen: ...')
    assert check_in(visible, len, {}).note == "visible.py has no checks for it"


def test_a_new_version_of_the_file_is_read(run, visible):
    assert run("def double(x): return 2 * x").passed
    visible.write_text(VISIBLE.replace("x + x,", "x - x,"))
    assert not run("def double(x): return 2 * x").passed


def test_nothing_global_changes(run, visible, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    (visible.parent / "conftest.py").write_text("1 / 0")
    (visible.parent / "pytest.ini").write_text("[pytest]\naddopts = --nonsense")
    before = dict(os.environ), list(sys.path), hypothesis.settings.get_current_profile_name(), sys.stdout
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert run("def double(x):\n    torch.rand(5)\n    return 2 * x").passed
    assert torch.equal(torch.rand(1), expected)
    assert before == (dict(os.environ), list(sys.path), hypothesis.settings.get_current_profile_name(), sys.stdout)
    assert "visible" not in sys.modules
    assert {path.name for path in visible.parent.iterdir()} == {"conftest.py", "pytest.ini", "visible.py"}


def test_a_script_prints_what_a_notebook_shows(visible, monkeypatch, capsys):
    monkeypatch.chdir(visible.parent)
    check(len)
    assert capsys.readouterr().out == f"{check_in(visible, len, {})}\n"


def test_while_grading_nothing_is_checked(monkeypatch, capsys):
    monkeypatch.setenv("COURSEKIT_GRADING", "1")
    check(len)
    assert capsys.readouterr().out == ""


def test_cells_can_be_run_again_in_ipython(visible):
    """Each check is about the newest definition, with the cell's own lines, wherever in a cell it stands."""
    script = """
        from IPython.core.interactiveshell import InteractiveShell
        from IPython.utils.capture import capture_output
        shell = InteractiveShell.instance(colors="nocolor")
        shell.run_cell("from coursekit import check")
        shell.run_cell("def double(x): return x @ x @ x")
        shell.run_cell("check(double); None")
        shell.run_cell("def double(x): return 2 * x")
        with capture_output() as shown:
            shell.run_cell("check(double)")
        print(shown.outputs[0].data["text/plain"], shown.outputs[0].data["text/html"], len(shown.outputs))
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=visible.parent,
        env={**os.environ, "PYTHONPATH": str(root), "IPYTHONDIR": str(visible.parent / "ipython")},
        capture_output=True,
        text=True,
        check=True,
    )
    failed, passed = done.stdout.index("0 of 2 checks hold"), done.stdout.index("all 2 checks hold")
    assert failed < passed
    assert "in double, line 1: def double(x): return x @ x @ x" in done.stdout
    assert "<code><b>double</b></code>" in done.stdout
    assert done.stdout.rstrip().endswith("</div> 1")
