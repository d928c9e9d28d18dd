"""The `coursekit` command, called as the terminal calls it."""

import sys

import pytest

from coursekit.__main__ import main


@pytest.fixture
def coursekit(monkeypatch, capsys):
    """Run the command; returns its exit status, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["coursekit", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        output = capsys.readouterr()
        return stopped.value.code, output.out, output.err

    return run


def test_check_passes_only_if_all_pass(coursekit, write, right):
    status, out, _ = coursekit("check", write(*right))
    assert status == 0
    assert "✓ It is x + x." in out
    assert out.endswith("2 of 2 exercises pass their visible checks.\n")


def test_check_fails_if_one_fails(coursekit, write, right):
    status, out, _ = coursekit("check", write(*right[:-1], "def halve(x):\n    return x / 4", "1 / 0"))
    assert status == 1
    assert "cell 6: ZeroDivisionError: division by zero" in out
    assert "Every value is 2.0 times too small." in out
    assert "1 of 2 exercises" in out


def test_check_one_exercise(coursekit, write, right):
    status, out, _ = coursekit("check", write(*right[:3]), "--exercise", "double")
    assert status == 0
    assert "halve" not in out


def test_check_of_a_script(coursekit, folder):
    (folder / "doubling.py").write_text("def double(x): return 2 * x\ndef halve(x):\n    raise NotImplementedError")
    status, out, _ = coursekit("check", folder / "doubling.py")
    assert status == 1
    assert "halve: not written yet" in out


def test_wrong_calls_exit_with_2(coursekit, write, folder):
    path = write()
    assert coursekit("check", folder / "none.ipynb")[0] == 2
    assert coursekit("check")[0] == 2
    assert coursekit("no-such-command")[0] == 2
    status, _, err = coursekit("check", path, "--exercise", "triple")
    assert status == 2
    assert err == "coursekit: visible.py has no checks for 'triple'; there are checks for double, halve\n"
    (folder / "visible.py").unlink()
    status, _, err = coursekit("check", path)
    assert status == 2
    assert err.startswith("coursekit: there is no visible.py beside doubling.ipynb")


def test_a_broken_file_gets_one_sentence(coursekit, folder):
    (folder / "doubling.ipynb").write_text("{")
    for command in ("check", "submit"):
        status, out, err = coursekit(command, folder / "doubling.ipynb")
        assert status == 1
        assert out == ""
        assert err.startswith("coursekit: doubling.ipynb is no notebook")
        assert err.count("\n") == 1


def test_submit_says_what_it_packed_and_what_is_missing(coursekit, write, right, folder):
    status, out, _ = coursekit("submit", write(*right[:-1]))
    assert status == 0
    assert "Warning: halve is not defined." in out
    assert str(folder / "doubling-submission.zip") in out


def test_submit_under_a_given_name(coursekit, write, folder):
    assert coursekit("submit", write(), "--assignment", "vae")[0] == 0
    assert (folder / "vae-submission.zip").is_file()
