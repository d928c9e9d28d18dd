"""Starter, reference and visible checks of every assignment, held together."""

import ast
import importlib
from pathlib import Path

import pytest

from autograder.course import Assignment, Course
from autograder.errors import CourseError
from autograder.exercise import Exercise, definition, imported_modules
from autograder.reference import completed, reference_notebook, reference_script, reference_sources
from coursekit.check import check_in

REPOSITORY = Path(__file__).parents[1]
ASSIGNMENTS = list(Course.load(REPOSITORY))
EXERCISES = [
    pytest.param(assignment, exercise, id=f"{assignment.slug}-{exercise.name}")
    for assignment in ASSIGNMENTS
    for exercise in assignment.exercises
]
every_assignment = pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda assignment: assignment.slug)
every_exercise = pytest.mark.parametrize(("assignment", "exercise"), EXERCISES)


def promises(node: ast.FunctionDef | ast.ClassDef) -> dict[str, tuple[str, str | None]]:
    """The signature and the docstring of a definition and of each of its methods, by name."""
    found = {}
    for part in ast.walk(node):
        if isinstance(part, ast.ClassDef):
            bases = ", ".join(map(ast.unparse, part.bases))
            found[part.name] = (f"class {part.name}({bases})", ast.get_docstring(part))
        elif isinstance(part, ast.FunctionDef):
            returns = ast.unparse(part.returns) if part.returns else ""
            found[part.name] = (f"def {part.name}({ast.unparse(part.args)}) -> {returns}", ast.get_docstring(part))
    return found


@every_exercise
def test_starter_and_reference_promise_the_same(assignment: Assignment, exercise: Exercise):
    """Every signature and docstring of the stub stands in the reference, which may have helper methods beside."""
    stub = promises(definition(exercise.source, exercise.name))
    answer = promises(definition(assignment.solution_path.read_text("utf-8"), exercise.name))
    assert {name: answer.get(name) for name in stub} == stub


@every_exercise
def test_the_stub_gives_nothing_away(assignment: Assignment, exercise: Exercise):
    """A stub's functions hold a docstring and `raise NotImplementedError`, a constructor at most super().__init__()."""
    node = definition(exercise.source, exercise.name)
    functions = [part for part in ast.walk(node) if isinstance(part, ast.FunctionDef)]
    assert functions
    for function in functions:
        *before, last = [ast.unparse(statement) for statement in function.body]
        assert last == "raise NotImplementedError"
        docstring = [ast.unparse(function.body[0])] if ast.get_docstring(function) else []
        assert before in (docstring, [*docstring, "super().__init__()"])


@every_exercise
def test_every_argument_is_described(assignment: Assignment, exercise: Exercise):
    """The Args section of a docstring names each parameter, and Returns is there if anything is returned."""
    node = definition(exercise.source, exercise.name)
    functions = [part for part in ast.walk(node) if isinstance(part, ast.FunctionDef)]
    for function in functions:
        documented = node if function.name == "__init__" else function
        docstring = ast.get_docstring(documented) or ""
        arguments = function.args
        names = [item.arg for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        assert [name for name in names if name != "self" and f"    {name}: " not in docstring] == []
        if function.returns is not None and ast.unparse(function.returns) != "None":
            assert "Returns:" in docstring


@every_assignment
def test_code_fits_a_notebook(assignment: Assignment):
    """A cell is narrower than an editor: what goes beyond 100 columns has to be scrolled for."""
    cells = [cell for cell in assignment.starter.notebook.cells if cell.cell_type == "code"]
    lines = [line for cell in cells for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > 100] == []


@every_assignment
def test_the_reference_holds_nothing_else(assignment: Assignment):
    """A solution is its docstring, imports that the starter has too, and the answers: so that each can stand alone."""
    source = assignment.solution_path.read_text("utf-8")
    docstring, *rest = ast.parse(source).body
    assert isinstance(docstring, ast.Expr)
    definitions = [node for node in rest if not isinstance(node, ast.Import | ast.ImportFrom)]
    assert [getattr(node, "name", ast.unparse(node)) for node in definitions] == [e.name for e in assignment.exercises]
    assert set(imported_modules(source)) <= set(assignment.starter.imports)


@every_exercise
def test_the_reference_passes_the_visible_checks(assignment: Assignment, exercise: Exercise):
    answers = vars(importlib.import_module(f"solutions.{assignment.slug}"))
    report = check_in(assignment.visible_path, exercise.name, answers)
    assert report, str(report)


@every_exercise
def test_a_check_knows_the_stub(assignment: Assignment, exercise: Exercise):
    """It says that there is nothing to check yet, where it could complain about every property."""
    answers = dict(vars(importlib.import_module(f"solutions.{assignment.slug}")))
    exec(compile(exercise.source, "stub", "exec"), answers)
    assert check_in(assignment.visible_path, exercise.name, answers).note == "not written yet"


@every_assignment
def test_the_reference_notebook_has_no_stub_left(assignment: Assignment):
    notebook = reference_notebook(assignment)
    cells = [cell for cell in notebook.cells if "exercise" in cell.metadata]
    assert [cell.source for cell in cells] == list(reference_sources(assignment).values())
    assert not [cell.source for cell in cells if "raise NotImplementedError" in cell.source]


@every_assignment
def test_the_starter_stays_as_it_is(assignment: Assignment):
    """Answers are filled into a copy of the parsed starter."""
    reference_notebook(assignment)
    cells = [cell for cell in assignment.starter.notebook.cells if "exercise" in cell.metadata]
    assert [cell.source for cell in cells] == [exercise.source for exercise in assignment.exercises]


def test_an_answer_can_stand_in_place_of_the_reference(mini_course: Course):
    script = reference_script(mini_course.assignment("mini"), {"square": "def square(x):\n    return 7\n"})
    assert "return 7" in script
    assert "multiply" not in script
    assert "self.offset" in script


def test_an_answer_to_no_exercise_is_refused(mini_course: Course):
    with pytest.raises(CourseError, match="no exercise 'cube'; there are: square, Shift"):
        reference_notebook(mini_course.assignment("mini"), {"cube": "def cube(x): ..."})


def test_answers_that_are_parts_of_one_work_come_together(mini_course: Course):
    mini = mini_course.assignment("mini")
    references = reference_sources(mini)
    assert completed(mini, references, "square", "mine") == {"square": "mine"}
    with (mini_course.root / "course.toml").open("a") as file:
        file.write("one_work = true\n")
    mini = Course.load(mini_course.root).assignment("mini")
    assert completed(mini, references, "square", "mine") == {"square": "mine", "Shift": references["Shift"]}
    assert list(completed(mini, references, "Shift", "mine")) == ["square", "Shift"]


def test_a_decorator_belongs_to_its_definition(mini_course: Course):
    mini = mini_course.assignment("mini")
    source = mini.solution_path.read_text("utf-8")
    mini.solution_path.write_text(source.replace("def square", "@torch.no_grad()\ndef square"), "utf-8")
    assert reference_sources(mini)["square"].startswith("@torch.no_grad()\ndef square")


def test_a_missing_answer_is_named(mini_course: Course):
    mini = mini_course.assignment("mini")
    source = mini.solution_path.read_text("utf-8")
    mini.solution_path.write_text(source.replace("def square", "def cube"), "utf-8")
    with pytest.raises(CourseError, match="defines no function or class 'square'"):
        reference_sources(mini)
