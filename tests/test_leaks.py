import base64
import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.errors import CourseError
from autograder.leaks import answers_left_in, leaks

SECRETS = {
    "solutions/mini.py": "return x.multiply(x.clone())",
    "autograder/hidden/test_mini.py": "assert_close(student.square(-x), x.abs() ** 2.0)",
    "autograder/mistakes/mini.py": "return x * x.abs().clone().detach()",
}
LINE = SECRETS["solutions/mini.py"]


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("coursekit/data.py", data)
    return file.getvalue()


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("data.py")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def in_json(data: bytes) -> bytes:
    return json.dumps({"cells": [{"source": ["x\n", f'"""{data.decode("latin-1")}\n']}]}).encode()


def split_in_json(data: bytes) -> bytes:
    text = data.decode()
    return json.dumps({"cells": [{"source": [text[:15], text[15:]]}]}).encode()


def in_an_output(data: bytes) -> bytes:
    return json.dumps(
        {"outputs": [{"data": {"image/png": base64.encodebytes(b"\x89PNG\r\n" + data).decode()}}]}
    ).encode()


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "in another line": lambda data: b"eval('" + data + b"')  # quick",
    "among other bytes": lambda data: b"\x00\xff\xfe" + data + b"\x80\x00",
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "HTML": lambda data: b"<p>" + data.replace(b"x", b"&#120;") + b"</p>",
    "zip": zipped,
    "tar": tarred,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "JSON": in_json,
    "split in JSON": split_in_json,
    "base64": base64.b64encode,
    "an output": in_an_output,
    "a zip in base64 in JSON in a zip": lambda data: zipped(in_json(base64.b64encode(zipped(data)))),
}


def put(folder: Path, data: bytes, name: str = "mini/data.bin") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_line_of_the_solution_is_found_however_it_is_wrapped(mini_course, tmp_path, wrap):
    (found,) = {leak.partition(" holds ")[2] for leak in leaks(mini_course, put(tmp_path / "out", wrap(LINE.encode())))}
    assert found.endswith("of solutions/mini.py")


@pytest.mark.parametrize("path", SECRETS)
def test_solutions_hidden_properties_and_mistakes_are_private(mini_course, tmp_path, path):
    (found,) = leaks(mini_course, put(tmp_path / "out", SECRETS[path].encode()))
    lines = [line.strip() for line in (mini_course.root / path).read_text("utf-8").splitlines()]
    assert found == f"mini/data.bin holds line {lines.index(SECRETS[path]) + 1} of {path}"


def test_the_seed_is_private_and_is_not_printed(mini_course, tmp_path):
    assert mini_course.seed
    seed = (mini_course.root / "course.seed").read_text().strip()
    (found,) = leaks(mini_course, put(tmp_path / "out", f"seed = {seed}".encode()))
    assert found == "mini/data.bin holds line 1 of course.seed"


def test_the_place_within_an_archive_is_told(mini_course, tmp_path):
    (found,) = leaks(mini_course, put(tmp_path / "out", zipped(LINE.encode()), "coursekit-1-py3-none-any.whl"))
    assert found.startswith("coursekit-1-py3-none-any.whl!coursekit/data.py holds ")


def test_what_is_public_is_no_leak(mini_course, tmp_path):
    """Signatures, docstrings and imports stand in the solution and in the starter."""
    out = put(tmp_path / "out", mini_course.assignment("mini").starter_path.read_bytes())
    put(out, (mini_course.root / "coursekit" / "check.py").read_bytes(), "check.py")
    put(out, in_json(b"# Small steps\nclass Shift(nn.Module):\nreturn x * x\n"), "mini.ipynb")
    assert leaks(mini_course, out) == []


def test_a_public_name_on_a_line_of_its_own_is_no_leak(mini_course, tmp_path):
    put(mini_course.root, b'@mistake(\n    "why_squares_are_positive",\n)\n', "autograder/mistakes/mini.py")
    starter = mini_course.assignment("mini").starter_path
    starter.write_text(starter.read_text("utf-8").replace("why_squares", "why_squares_are_positive"), "utf-8")
    assert leaks(mini_course, put(tmp_path / "out", b'{"grade_id": "why_squares_are_positive", "points": 2}')) == []


def test_a_copy_of_the_solution_is_found_beside_the_starter(mini_course):
    """Only starters, visible checks and coursekit are public by themselves; a data file is not."""
    folder = mini_course.assignment("mini").directory
    put(folder, mini_course.assignment("mini").solution_path.read_bytes(), "helpers.py")
    assert any(leak.startswith("helpers.py holds ") for leak in leaks(mini_course, folder))


@pytest.mark.parametrize("data", [b"PK\x03\x04 no zip", b"\x1f\x8bno gzip", b"BZh", b"\xfd7zXZ", b"{", b"[" * 99999])
def test_what_only_begins_like_an_archive_is_still_looked_at(mini_course, tmp_path, data):
    assert leaks(mini_course, put(tmp_path / "out", data + LINE.encode()))


def test_an_answer_left_in_the_starter_is_found(mini_course):
    assignment = mini_course.assignment("mini")
    text = assignment.starter_path.read_text("utf-8")
    assert answers_left_in(mini_course, [assignment]) == []
    assignment.starter_path.write_text(
        text.replace("    raise NotImplementedError\n\n\n# %% exer", f"    {LINE}\n\n\n# %% exer")
    )
    assert answers_left_in(mini_course, mini_course) == ["assignments/mini/mini.py holds the answer to square"]


def test_an_answer_left_in_coursekit_is_found(mini_course):
    put(mini_course.root, f"def square(values, x=0):\n    '''Another.'''\n    {LINE}\n".encode(), "coursekit/data.py")
    assert answers_left_in(mini_course, mini_course) == ["coursekit/data.py holds the answer to square"]


def test_a_faulty_solution_is_an_error_of_its_author(mini_course: Course):
    put(mini_course.root, b"def square(:\n", "solutions/mini.py")
    with pytest.raises(CourseError, match="line 1: not valid Python"):
        answers_left_in(mini_course, mini_course)
