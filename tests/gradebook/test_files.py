"""Files from strangers; hostile archives of every kind are in tests/hostile/archive."""

import io
import os
import struct
import zipfile

import pytest

from autograder.errors import CourseError
from autograder.gradebook import files
from autograder.gradebook.files import copy_tree, unpack


def archive(path, *members):
    """A zip of (name, content) pairs, whatever the names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members:
            entry = zipfile.ZipInfo(name)
            entry.filename = name  # ZipInfo would mend it
            entry.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(entry, content)
    return path


def refused(path, tmp_path, match):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CourseError, match=match) as caught:
        unpack(path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before, "something was written"


def test_an_honest_archive_is_unpacked(tmp_path):
    unpack(archive(tmp_path / "a.zip", ("ada/mini.ipynb", "{}"), ("ben/x/y.txt", "y")), tmp_path / "out")
    assert (tmp_path / "out" / "ada" / "mini.ipynb").read_text() == "{}"
    assert (tmp_path / "out" / "ben" / "x" / "y.txt").read_text() == "y"


def test_files_that_overlap_are_refused(tmp_path):
    path = archive(tmp_path / "a.zip", ("ada/x", os.urandom(5000)), ("ben/x", os.urandom(5000)))
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]  # both entries point at one piece of data
    data[second + 20 : second + 24] = struct.pack("<I", 9000)
    path.write_bytes(data)
    refused(path, tmp_path, "overlap|cannot be read|no zip archive")


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"PK\5\6" + bytes(18) + b"trailing"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    if zipfile.is_zipfile(io.BytesIO(content)):
        unpack(tmp_path / "a.zip", tmp_path / "out")  # an empty one
        assert not list((tmp_path / "out").iterdir())
    else:
        refused(tmp_path / "a.zip", tmp_path, "no zip archive")


def test_a_damaged_archive_leaves_nothing_behind(tmp_path):
    path = archive(tmp_path / "a.zip", ("ada/mini.ipynb", os.urandom(5000)), ("ben/mini.ipynb", os.urandom(5000)))
    data = bytearray(path.read_bytes())
    data[7000] ^= 0xFF
    path.write_bytes(data)
    refused(path, tmp_path, "no zip archive that can be read")


def test_what_operating_systems_add_is_passed_over(tmp_path):
    unpack(archive(tmp_path / "a.zip", ("__MACOSX/ada/._mini", "x"), ("ada/.DS_Store", "x")), tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_copying_follows_no_link_and_waits_for_no_pipe(tmp_path):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "mini.ipynb").write_text("{}")
    (source / "passwd.ipynb").symlink_to("/etc/passwd")
    (source / "root").symlink_to("/")
    os.mkfifo(source / "inner" / "pipe")
    copied = copy_tree(source, tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()] == ["mini.ipynb"]
    assert len(copied.left_out) == 3
    assert all("was not taken" in sentence for sentence in copied.left_out)


def test_the_notebook_is_taken_however_many_other_files_there_are(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(files.MOST_FILES + 5):
        (source / f"{number}.png").touch()
    (source / "mini.ipynb").touch()
    copied = copy_tree(source, tmp_path / "copy")
    assert (tmp_path / "copy" / "mini.ipynb").exists()
    assert copied.left_out == [f"Only the first {files.MOST_FILES} files were taken."]


def test_what_is_too_large_is_left_out(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    with (source / "data.bin").open("wb") as file:
        file.truncate(files.LARGEST_FILE + 1)
    copied = copy_tree(source, tmp_path / "copy")
    assert not list((tmp_path / "copy").iterdir())
    assert "megabytes" in copied.left_out[0]


def test_the_digest_tells_contents_and_names_apart(tmp_path):
    def digest(name, text):
        folder = tmp_path / f"{name}{text}"
        folder.mkdir()
        (folder / name).write_text(text)
        return copy_tree(folder, tmp_path / f"copy of {name}{text}").digest

    assert len({digest("a", "1"), digest("a", "2"), digest("b", "1")}) == 3
