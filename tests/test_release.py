import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.errors import CourseError
from autograder.leaks import leaks
from autograder.release import build_notebook, build_wheel, release, version
from autograder.submission import ANSWER_PLACEHOLDER, read_submission
from tests.mini_course import make_course

SECRET = "return x.multiply(x.clone())"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The small course, released once; tests look and touch nothing."""
    course = make_course(tmp_path_factory.mktemp("released") / "course")
    folder = course.assignment("mini").directory
    (folder / "data").mkdir()
    (folder / "data" / "digits.csv").write_text("1,2,3\n")
    for name in ("__pycache__/visible.pyc", ".ipynb_checkpoints/mini-checkpoint.ipynb", ".secret", "scratch.ipynb"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    release(course, ["mini"])
    return course


@pytest.fixture
def course(released: Course, tmp_path: Path) -> Course:
    """A copy of the released course, to change."""
    shutil.copytree(released.root, tmp_path / "course")
    return Course.load(tmp_path / "course")


def gradebook(course: Course) -> Gradebook:
    return Gradebook(f"sqlite:///{course.root}/gradebook.db", course.id)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def roles(notebook: nbformat.NotebookNode) -> list[tuple[str, ...]]:
    """Kind, id, and what nbgrader does with each cell."""
    found = []
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        found.append((cell.cell_type, cell.id, *(key for key in ("grade", "solution", "locked") if meta.get(key))))
    return found


def edit(course: Course, old: str, new: str) -> Course:
    """Change the starter."""
    path = course.assignment("mini").starter_path
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return Course.load(course.root)


def test_every_cell_has_its_role(mini_course):
    assert roles(build_notebook(mini_course.assignment("mini"))) == [
        ("markdown", "markdown-1"),
        ("code", "imports", "locked"),
        ("markdown", "markdown-2"),
        ("code", "square", "solution"),
        ("code", "check_square", "grade", "locked"),
        ("code", "Shift", "solution"),
        ("code", "check_Shift", "grade", "locked"),
        ("markdown", "why_squares_prompt", "locked"),
        ("markdown", "why_squares", "grade", "solution"),
        ("code", "hands-on-1"),
    ]


def test_points_stand_on_grade_cells_alone(mini_course):
    cells = build_notebook(mini_course.assignment("mini")).cells
    points = {cell.id: cell.metadata.nbgrader.points for cell in cells if "points" in cell.metadata.get("nbgrader", {})}
    assert points == {"check_square": 2, "check_Shift": 3, "why_squares": 2}


def test_cells_hold_what_the_starter_says(mini_course):
    assignment = mini_course.assignment("mini")
    cells = {cell.id: cell for cell in build_notebook(assignment).cells}
    assert cells["square"].source == assignment.exercises[0].source
    assert cells["check_square"].source == "check(square)"
    assert cells["why_squares_prompt"].source == "Why are squares never negative?"
    assert cells["why_squares"].source == ANSWER_PLACEHOLDER
    assert cells["hands-on-1"].metadata.tags == ["hands-on"]
    assert "exercise" not in cells["square"].metadata


def test_the_notebook_says_what_it_was_made_from(mini_course):
    assignment = mini_course.assignment("mini")
    notebook = build_notebook(assignment)
    assert notebook.metadata.course == {"assignment": "mini", "version": version(assignment)}
    assert notebook.metadata.kernelspec.name == "python3"


def test_the_same_starter_gives_the_same_notebook(mini_course):
    one, other = (nbformat.writes(build_notebook(mini_course.assignment("mini"))) for _ in range(2))
    assert one == other
    changed = edit(mini_course, "# # Small steps", "# # Smaller steps")
    assert nbformat.writes(build_notebook(changed.assignment("mini"))) != one


def test_check_is_imported_even_if_the_starter_forgot(mini_course):
    course = edit(mini_course, "\n\nfrom coursekit import check\n", "\n")
    cell = build_notebook(course.assignment("mini")).cells[1]
    assert cell.source.endswith("from torch import Tensor, nn\n\nfrom coursekit import check")


def test_a_starter_that_begins_with_an_exercise_gets_a_cell_of_imports(mini_course):
    path = mini_course.assignment("mini").starter_path
    path.write_text('# %% exercise="one" points=1\ndef one():\n    """One."""\n    raise NotImplementedError\n')
    cells = build_notebook(mini_course.assignment("mini")).cells
    assert [cell.id for cell in cells] == ["imports", "one", "check_one"]
    assert cells[0].source == "from coursekit import check"


@pytest.mark.parametrize("name", ["imports", "check_square"])
def test_a_name_that_nbgrader_would_know_twice_is_refused(mini_course, name):
    course = edit(mini_course, 'question="why_squares"', f'question="{name}"')
    with pytest.raises(CourseError, match=f"two cells as '{name}'"):
        build_notebook(course.assignment("mini"))


@pytest.mark.parametrize("name", ["why?", "größe", "two words", "", "x" * 65])
def test_a_name_that_nbgrader_cannot_use_is_refused(mini_course, name):
    course = edit(mini_course, 'question="why_squares"', f'question="{name}"')
    with pytest.raises(CourseError, match=r"mini\.py: nbgrader cannot call"):
        build_notebook(course.assignment("mini"))


def test_a_release_holds_the_notebook_the_checks_the_data_and_the_wheel(released):
    wheel = "coursekit-0.1.0-py3-none-any.whl"
    assert set(content(released.assignment("mini").release_directory)) == {
        "mini.ipynb",
        "visible.py",
        "data/digits.csv",
        wheel,
    }
    assert sorted(path.name for path in (released.root / "release").iterdir()) == [wheel, "mini"]


def test_students_may_read_all_of_a_release(released):
    for path in released.assignment("mini").release_directory.rglob("*"):
        mode = path.stat().st_mode
        assert mode & stat.S_IROTH
        assert path.is_file() or mode & stat.S_IXOTH


def test_nbgrader_has_locked_the_cells_and_knows_their_checksums(released):
    notebook = nbformat.read(released.assignment("mini").release_directory / "mini.ipynb", nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        role = cell.metadata.get("nbgrader")
        if role:
            assert role.checksum
            assert cell.metadata.deletable is False
            assert cell.metadata.get("editable", True) is not role.locked


def test_stubs_are_released_as_they_are(released):
    """Stock nbgrader would put its own stub in place of any that has no solution region."""
    notebook = nbformat.read(released.assignment("mini").release_directory / "mini.ipynb", nbformat.NO_CONVERT)
    sources = {cell.id: cell.source for cell in notebook.cells}
    for exercise in released.assignment("mini").exercises:
        assert sources[exercise.name] == exercise.source


def test_the_gradebook_knows_the_points(released):
    with gradebook(released) as book:
        notebook = book.find_notebook("mini", "mini")
        assert {cell.name: cell.max_score for cell in notebook.grade_cells} == {
            "check_square": 2,
            "check_Shift": 3,
            "why_squares": 2,
        }
        assert {cell.name for cell in notebook.solution_cells} == {"square", "Shift", "why_squares"}
        assert [notebook.name for notebook in book.find_assignment("mini").notebooks] == ["mini"]


def test_a_released_notebook_reads_as_its_starter(released):
    assignment = released.assignment("mini")
    from_notebook = read_submission(assignment.release_directory / "mini.ipynb", assignment)
    from_starter = read_submission(assignment.starter_path, assignment)
    asked = [cell for cell in from_notebook.cells if not cell.source.startswith("check(")]
    assert asked == list(from_starter.cells)
    assert from_notebook.answers == from_starter.answers == {}
    assert from_notebook.notes == ()


def test_one_command_installs_the_wheel_and_notebooks_find_check(released, tmp_path):
    folder = released.assignment("mini").release_directory
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(tmp_path)]
    subprocess.run([*pip, *map(str, folder.glob("*.whl"))], check=True, capture_output=True)
    code = "import coursekit, sys; print(coursekit.__file__); from coursekit import check"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)


def test_the_same_sources_give_the_same_wheel(mini_course, tmp_path):
    first = build_wheel(mini_course, tmp_path / "one")
    for path in (mini_course.root / "coursekit").rglob("*.py"):
        path.chmod(0o600)
    (mini_course.root / "coursekit" / "__pycache__").mkdir()
    (mini_course.root / "coursekit" / "__pycache__" / "check.pyc").write_bytes(b"x")
    assert build_wheel(mini_course, tmp_path / "two").read_bytes() == first.read_bytes()
    assert not (mini_course.root / "coursekit" / "build").exists()


def test_a_wheel_that_cannot_be_built_is_an_error(mini_course, tmp_path):
    (mini_course.root / "coursekit" / "pyproject.toml").write_text("[build")
    with pytest.raises(CourseError, match="wheel of coursekit cannot be built"):
        build_wheel(mini_course, tmp_path)


def test_releasing_again_changes_nothing_and_loses_no_score(course):
    before = content(course.root / "release")
    with gradebook(course) as book:
        book.add_student("alice")
        book.add_submission("mini", "alice")
        grade = book.find_grade("check_square", "mini", "mini", "alice")
        grade.auto_score, grade.manual_score = 1.5, 2.0
        book.db.commit()
    release(course, ["mini"])
    assert content(course.root / "release") == before
    with gradebook(course) as book:
        grade = book.find_grade("check_square", "mini", "mini", "alice")
        assert (grade.auto_score, grade.manual_score) == (1.5, 2.0)


def test_new_text_and_new_points_are_released_beside_scores(course):
    with gradebook(course) as book:
        book.add_student("alice")
        book.add_submission("mini", "alice")
    course = edit(
        edit(course, "# # Small steps", "# # Smaller steps"), 'exercise="square" points=2', 'exercise="square" points=6'
    )
    release(course, ["mini"])
    assert "Smaller" in (course.assignment("mini").release_directory / "mini.ipynb").read_text()
    with gradebook(course) as book:
        assert book.find_grade_cell("check_square", "mini", "mini").max_score == 6
        assert book.find_submission("mini", "alice")


def test_when_nbgrader_refuses_the_old_release_stays(course):
    """It refuses to add or remove cells once there are submissions."""
    with gradebook(course) as book:
        book.add_student("alice")
        book.add_submission("mini", "alice")
    before = content(course.root / "release")
    course = edit(course, 'question="why_squares"', 'question="why_so"')
    with pytest.raises(CourseError, match="it has submissions"):
        release(course, ["mini"])
    assert content(course.root / "release") == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("assignments/mini/data/notes.txt", f"x\n  {SECRET}  # done\n"),
        ("assignments/mini/data/old.ipynb.json", json.dumps({"source": [f"{SECRET}\n"]})),
    ],
)
def test_nothing_is_released_with_a_private_line_in_it(course, name, words):
    before = content(course.root / "release")
    (course.root / name).write_text(words)
    book = (course.root / "gradebook.db").read_bytes()
    with pytest.raises(CourseError, match=r"line \d+ of solutions/mini\.py"):
        release(course, ["mini"])
    assert content(course.root / "release") == before
    assert (course.root / "gradebook.db").read_bytes() == book


def test_a_private_line_within_the_wheel_is_found(course):
    path = next((course.root / "release").glob("*.whl"))
    with zipfile.ZipFile(path, "a") as wheel:
        wheel.writestr("coursekit/extra.py", f"def f(x):\n    {SECRET}\n", zipfile.ZIP_DEFLATED)
    found = leaks(course, course.root / "release")
    assert [leak.partition(" holds ")[0] for leak in found] == [f"{path.name}!coursekit/extra.py"]


@pytest.mark.parametrize("name", ["assignments/mini/mini.py", "coursekit/extra.py"])
def test_nothing_is_released_with_an_answer_in_a_public_source(course, name):
    path = course.root / name
    before = content(course.root / "release")
    text = path.read_text("utf-8") if path.exists() else "\n\n# %%\n"
    path.write_text(f"{text}\n\ndef square(x):\n    {SECRET}\n", "utf-8")
    with pytest.raises(CourseError, match="holds the answer to square"):
        release(course, ["mini"])
    assert content(course.root / "release") == before


def test_an_unknown_assignment_is_an_error(mini_course):
    with pytest.raises(CourseError, match="did you mean 'mini'"):
        release(mini_course, ["mimi"])
    assert not (mini_course.root / "release").exists()


def test_a_release_that_cannot_be_put_in_place_leaves_the_old_one(course, monkeypatch):
    before = content(course.root / "release")
    course = edit(course, "# # Small steps", "# # Smaller steps")
    rename, moved = os.rename, []

    def fails_once(source: Path, target: Path) -> None:
        """The disk is full when the notebook's folder arrives."""
        if Path(target) == course.root / "release" / "mini" and not moved:
            moved.append(target)
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(CourseError, match="No space left on device"):
        release(course, ["mini"])
    assert moved
    assert content(course.root / "release") == before
