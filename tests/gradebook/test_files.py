"""Files from strangers: hostile archives are refused whole, and copying follows nothing."""

import io
import os
import stat
import struct
import zipfile

import pytest

from autograder.errors import CourseError
from autograder.gradebook import files
from autograder.gradebook.files import copy_tree, unpack

LINK = stat.S_IFLNK | 0o777
DEVICE = stat.S_IFBLK | 0o600


def archive(path, *members, mode=0):
    """A zip of (name, content) pairs, whatever the names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members:
            entry = zipfile.ZipInfo(name)
            entry.filename = name  # ZipInfo would mend it
            entry.external_attr = mode << 16
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


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "ada/../../evil",
        "/etc/evil",
        "ada//evil",
        "ada/./evil",
        "..\\evil",
        "C:\\evil",
        "ada\\..\\..\\evil",
        "",
    ],
)
def test_names_that_point_outside_are_refused(tmp_path, name):
    refused(archive(tmp_path / "a.zip", ("ada/mini.ipynb", "{}"), (name, "x")), tmp_path, "points outside")


@pytest.mark.parametrize("mode", [LINK, DEVICE])
def test_links_and_devices_are_refused(tmp_path, mode):
    refused(archive(tmp_path / "a.zip", ("ada/mini.ipynb", "/etc/passwd"), mode=mode), tmp_path, "link or a device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_is_refused(tmp_path):
    refused(archive(tmp_path / "a.zip", ("ada/mini.ipynb", "1"), ("ada/mini.ipynb", "2")), tmp_path, "twice")


def test_a_file_that_is_a_folder_too_is_refused(tmp_path):
    refused(archive(tmp_path / "a.zip", ("ada", "1"), ("ada/mini.ipynb", "2")), tmp_path, "both a file and a folder")


def test_control_characters_in_names_are_refused(tmp_path):
    refused(archive(tmp_path / "a.zip", ("ada/\x1b[2Jmini.ipynb", "1")), tmp_path, "control characters")


def test_names_too_long_for_any_disk_are_refused(tmp_path):
    refused(archive(tmp_path / "a.zip", ("ada/" + "x" * 300, "1")), tmp_path, "too long")


def test_a_bomb_is_refused_before_it_goes_off(tmp_path):
    bomb = archive(tmp_path / "a.zip", ("ada/mini.ipynb", bytes(300 * files.MEGABYTE)))
    refused(bomb, tmp_path, "grow")


def test_files_that_overlap_are_refused(tmp_path):
    path = archive(tmp_path / "a.zip", ("ada/x", os.urandom(5000)), ("ben/x", os.urandom(5000)))
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]  # both entries point at one piece of data
    data[second + 20 : second + 24] = struct.pack("<I", 9000)
    path.write_bytes(data)
    refused(path, tmp_path, "overlap|cannot be read|no zip archive")


def test_an_encrypted_archive_is_refused(tmp_path):
    path = archive(tmp_path / "a.zip", ("ada/mini.ipynb", "{}"))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    refused(path, tmp_path, "encrypted")


def test_names_in_an_unknown_encoding_are_refused_and_those_of_a_mac_are_not(tmp_path):
    path = archive(tmp_path / "a.zip", ("ada/XXXX.txt", "1"))
    latin = path.read_bytes().replace(b"XXXX", "Zoë!".encode("latin-1"))
    (tmp_path / "b.zip").write_bytes(latin)
    refused(tmp_path / "b.zip", tmp_path, "unknown encoding")
    (tmp_path / "c.zip").write_bytes(path.read_bytes().replace(b"XXXX", "Zoë".encode()))
    unpack(tmp_path / "c.zip", tmp_path / "out")
    assert (tmp_path / "out" / "ada" / "Zoë.txt").exists()


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
