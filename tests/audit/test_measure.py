"""The audit of a small assignment, through the real sandbox."""

import json

import pytest

from autograder.audit.measure import audit
from autograder.cli import main
from autograder.course import Course
from autograder.errors import CourseError

ALTERNATE = """
import torch
from torch import nn


def square(x):
    return torch.einsum("n,n->n", x, x)


class Shift(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return torch.stack([row + self.offset for row in x])
"""

MISTAKES = '''
"""Known mistakes in `mini`."""

from autograder.mistakes import mistake


@mistake("square", says="A negative number keeps its sign: look at what the square of -1 should be.")
def square_with_the_sign(x):
    return x * x.abs()


@mistake("square", says="Every value is twice what it should be.")
def square_doubled(x):
    return 2 * x * x


@mistake("square", says="This is the number itself.")
def square_of_the_first_power(x):
    return x * 1


@mistake("square", says="This one is right, which is why the audit complains.")
def square_that_is_right(x):
    return x * x
'''


@pytest.fixture
def audited(mini_course: Course) -> Course:
    """The small course, with two alternates and four mistakes, one of which is none."""
    alternates = mini_course.root / "tests" / "alternates" / "mini"
    alternates.mkdir(parents=True)
    (alternates / "einsum.py").write_text(ALTERNATE)
    (alternates / "cubes.py").write_text(ALTERNATE.replace("n,n->n", "n,n->").replace("x, x", "x, x"))
    mini = mini_course.assignment("mini")
    mini.mistakes_path.write_text(MISTAKES)
    # A reference with something in it that makes no difference: the magnitude of a number has the same square.
    mini.solution_path.write_text(mini.solution_path.read_text().replace("x.multiply(x.clone())", "x.abs().square()"))
    return mini_course


def test_the_table_of_a_small_assignment(audited: Course):
    result = audit(audited.assignment("mini"), ["square"], seeds=2)
    (row,) = result.exercises
    assert row.reference == 1
    assert row.stub == 0
    assert row.wrong == dict.fromkeys(("exception", "nothing", "object", "text"), 0.0)
    assert set(row.trivial) >= {"zeros", "ones", "noise", "echo", "constant"}
    assert row.trivial_max == 0
    assert not row.differentiated  # no property asks for a gradient: to cut it off is no mistake here
    assert row.alternates == {"einsum": 1.0, "cubes": 0.0}
    assert [(item.name, item.recognised) for item in row.mistakes] == [
        ("square_with_the_sign", True),
        ("square_doubled", True),
        ("square_of_the_first_power", True),
        ("square_that_is_right", False),
    ]
    assert [item.earned_fraction for item in row.mistakes] == [0.0, 0.0, 0.0, 1.0]
    assert row.mutants.total > row.mutants.killed > 0
    assert [survivor.after for survivor in row.mutants.survivors] == ["return x.square()"]
    assert result.seeds_tried == 2
    assert list(result.seeds) == ["another, number 0", "another, number 1"]
    for wrong, right in map(sorted, result.seeds.values()):
        assert wrong.startswith("square: the alternate cubes earns 0%, fails test_is")
        assert right == "square: the mistake square_that_is_right earns 100%, fails nothing"


def test_an_audit_finds_the_same_on_every_machine(audited: Course):
    """The inputs are not drawn from the secret of the course, which each checkout has made for itself."""
    found = []
    for secret in ("one", "other"):
        (audited.root / "course.seed").write_text(secret)
        table = audit(Course.load(audited.root).assignment("mini"), ["square"]).to_dict()
        found.append({name: value for name, value in table.items() if name != "seconds"})
    assert found[0] == found[1]


def test_what_misses_the_bar_is_said(audited: Course):
    complaints = "\n".join(audit(audited.assignment("mini"), ["square"]).complaints())
    assert "square: the alternate cubes earns 0%" in complaints
    assert "square: the mistake square_that_is_right earns 100%" in complaints
    assert "square: the mistake square_that_is_right is taken for nothing" in complaints
    assert "square: unexplained survivor (function): return x.abs().square() → return x.square()" in complaints


def test_survivors_are_explained_by_the_list_and_the_list_is_held_to_the_code(audited: Course):
    path = audited.assignment("mini").equivalents_path
    path.parent.mkdir(parents=True)
    entry = '[[equivalent]]\nexercise = "square"\nbefore = "{}"\nafter = "{}"\nreason = "the sign is lost anyway"\n'
    line = "return x.abs().square()"
    path.write_text(entry.format(line, "return x.square()") + entry.format(line, "return x.abs()"))
    result = audit(audited.assignment("mini"), ["square"])
    assert [survivor.reason for survivor in result.exercises[0].mutants.survivors] == ["the sign is lost anyway"]
    assert result.stale == [f"square: {line} → return x.abs()"]
    assert not any("survivor" in text for text in result.complaints())


def test_a_list_that_cannot_be_read_is_named(audited: Course):
    path = audited.assignment("mini").equivalents_path
    path.parent.mkdir(parents=True)
    path.write_text("[[equivalent]]\nexercise = 7\n")
    with pytest.raises(CourseError, match=r"mini\.toml cannot be used"):
        audit(audited.assignment("mini"), ["square"])


def test_an_unknown_exercise_is_named(audited: Course):
    with pytest.raises(CourseError, match="no exercise 'cube'; there are: square, Shift"):
        audit(audited.assignment("mini"), ["cube"])


def test_the_command_prints_one_document(audited: Course, monkeypatch, capsys):
    monkeypatch.chdir(audited.root)
    monkeypatch.setattr("sys.argv", ["course", "audit", "mini", "--exercise", "Shift", "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    (document,) = json.loads(capsys.readouterr().out)
    assert end.value.code == 1  # there are no known mistakes of Shift
    (row,) = document["exercises"]
    assert row["name"] == "Shift"
    assert set(row) >= {"reference", "stub", "trivial_max", "mistakes", "alternates", "mutants"}
    assert row["mutants"]["total"] == row["mutants"]["killed"] + len(row["mutants"]["survivors"])
    assert any("known mistakes" in text for text in document["complaints"])
