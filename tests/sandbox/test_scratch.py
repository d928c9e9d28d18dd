"""Folders that untrusted code has written: bounded to look at, and removable whatever is in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.sandbox import scratch

LIMIT = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "scratch"
    made.mkdir()
    return made


def nest(folder: Path, depth: int) -> None:
    """Folders within folders, deeper than any path can say."""
    home = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("at the bottom").touch()
    finally:
        os.fchdir(home)
        os.close(home)


def test_a_little_is_not_too_much(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c").write_bytes(bytes(LIMIT // 2))
    assert not scratch.overfull(str(folder), LIMIT)


def test_too_many_bytes(folder: Path) -> None:
    for name in "abc":
        (folder / name).write_bytes(bytes(LIMIT // 2))
    assert scratch.overfull(str(folder), LIMIT)


def test_too_many_files(folder: Path) -> None:
    for number in range(scratch.MAX_ENTRIES + 1):
        (folder / str(number)).touch()
    assert scratch.overfull(str(folder), LIMIT)


def test_too_deep(folder: Path) -> None:
    nest(folder, scratch.MAX_DEPTH + 5)
    assert scratch.overfull(str(folder), LIMIT)


def test_holes_do_not_count_and_links_are_not_followed(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(100 * LIMIT)
    (folder / "up").symlink_to("/usr")
    assert not scratch.overfull(str(folder), LIMIT)


@pytest.mark.parametrize("depth", [0, 3, 3000])
def test_everything_is_removed(folder: Path, depth: int) -> None:
    """Also 3000 folders within each other, which recursion would not survive."""
    nest(folder, depth)
    (folder / "closed").mkdir()
    (folder / "closed" / "inside").mkdir()
    (folder / "closed").chmod(0)
    scratch.remove(str(folder))
    assert not folder.exists()


def test_what_a_link_points_at_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (folder / "link").symlink_to(tmp_path / "precious")
    scratch.remove(str(folder))
    assert (tmp_path / "precious" / "file").exists()
