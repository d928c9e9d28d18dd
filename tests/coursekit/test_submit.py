import hashlib
import json
import zipfile

import pytest

from coursekit.errors import CoursekitError, UsageError
from coursekit.submit import submit


def test_the_zip_holds_the_file_alone_under_its_canonical_name(write, right, folder):
    path = write(*right)
    path = path.rename(folder / "my solution (2).ipynb")
    packed = submit(path)
    assert packed.zip == folder / "doubling-submission.zip"
    with zipfile.ZipFile(packed.zip) as archive:
        assert archive.namelist() == ["doubling.ipynb"]
        assert archive.read("doubling.ipynb") == path.read_bytes()


def test_a_script_stays_a_script(folder):
    (folder / "answers.py").write_text("def double(x): return 2 * x")
    with zipfile.ZipFile(submit(folder / "answers.py").zip) as archive:
        assert archive.namelist() == ["doubling.py"]


def test_what_the_assignment_takes_beside_it_is_packed_too(write, right, folder):
    """The notebook's metadata says what that is; for a script the released notebook beside it does."""
    (folder / "weights.safetensors").write_bytes(b"1234")
    (folder / "visible.txt").write_text("not this")
    (folder / "folder.safetensors").mkdir()
    path = write(*right)
    assert submit(path).attached == ()
    notebook = json.loads(path.read_text())
    notebook["metadata"]["course"] = {"assignment": "doubling", "attachments": [".safetensors"]}
    path.write_text(json.dumps(notebook))
    (folder / "answers.py").write_text("def double(x): return 2 * x")
    for handed_in in (path, folder / "answers.py"):
        packed = submit(handed_in)
        assert packed.attached == (folder / "weights.safetensors",)
        with zipfile.ZipFile(packed.zip) as archive:
            assert archive.namelist() == [f"doubling{handed_in.suffix}", "weights.safetensors"]
            assert archive.read("weights.safetensors") == b"1234"


def test_the_same_file_gives_the_same_zip(write, right):
    def digest():
        return hashlib.sha256(submit(path).zip.read_bytes()).hexdigest()

    path = write(*right)
    first = digest()
    path.touch()
    assert digest() == first


def test_nothing_to_warn_of(write, right):
    packed = submit(write(*right))
    assert packed.written == ("double", "halve")
    assert packed.warnings == ()


def test_what_is_missing_or_unwritten_is_warned_of(write):
    packed = submit(write("def double(x):\n    raise NotImplementedError", "def"))
    assert packed.written == ()
    assert packed.warnings == (
        "cell 2 is not valid Python (invalid syntax); nothing in it will count.",
        "double is not written yet.",
        "halve is not defined.",
    )


def test_exercises_are_known_without_the_checks_too(write, right, folder):
    (folder / "visible.py").unlink()
    packed = submit(
        write(*right[:3], ("", {"nbgrader": {"grade_id": "halve", "solution": True}})), assignment="doubling"
    )
    assert packed.written == ("double",)
    assert packed.warnings == ("halve is not defined.",)


def test_the_assignment_is_said_by_the_call_the_notebook_or_the_folder(write, folder):
    assert submit(write(), assignment="gan").assignment == "gan"
    assert submit(write(course={"assignment": "vae"})).assignment == "vae"
    assert submit(write()).assignment == "doubling"
    (folder / "visible.py").unlink()
    with pytest.raises(UsageError, match="--assignment"):
        submit(write())


@pytest.mark.parametrize("slug", ["../vae", "VAE 2", ""])
def test_a_name_that_is_no_slug_is_refused(write, slug):
    with pytest.raises(UsageError, match="--assignment"):
        submit(write(course={"assignment": slug or "."}))


def test_a_broken_notebook_is_refused(folder):
    (folder / "doubling.ipynb").write_text("{")
    with pytest.raises(CoursekitError, match="no notebook"):
        submit(folder / "doubling.ipynb")
    assert not (folder / "doubling-submission.zip").exists()


def test_a_zip_that_cannot_be_written_is_said(write, folder):
    (folder / "doubling-submission.zip").mkdir()
    with pytest.raises(CoursekitError, match="cannot be written"):
        submit(write())


def test_nbgraders_command_is_said_only_where_its_exchange_is(write, tmp_path, monkeypatch):
    command = tmp_path / "bin" / "nbgrader"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    assert submit(write(), exchange=tmp_path).command == "nbgrader submit doubling"
    assert submit(write(), exchange=tmp_path / "none").command is None
    assert submit(write(), exchange=tmp_path, assignment="vae").command is None
    monkeypatch.setenv("PATH", "")
    assert submit(write(), exchange=tmp_path).command is None
