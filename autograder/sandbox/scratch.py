"""The scratch folder of a worker that has no file system of its own, written by untrusted code: how full it is; its removal."""

from __future__ import annotations

import contextlib
import os

MAX_ENTRIES = 4096
MAX_DEPTH = 32


def overfull(folder: str, limit: int) -> bool:
    """Whether the files in a folder take more than `limit` bytes, or are too many, or too deep."""
    size, entries, pending = 0, 0, [(folder, 0)]
    while pending:
        path, depth = pending.pop()
        try:
            with os.scandir(path) as found:
                for entry in found:
                    entries += 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, depth + 1))
                    else:
                        with contextlib.suppress(FileNotFoundError):  # removed in this very moment
                            size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if size > limit or entries > MAX_ENTRIES or depth > MAX_DEPTH:
                        return True
        except (FileNotFoundError, PermissionError):
            continue
    return False


def remove(folder: str) -> None:
    """Remove a folder, whatever is in it.

    Folders can be nested deeper than any recursion or path goes. So what lies in a subfolder is moved up before the subfolder
    is removed, until nothing is left.
    """
    count = 0
    while entries := list(os.scandir(folder)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for below in list(os.scandir(entry.path)):
                if below.is_dir(follow_symlinks=False):
                    count += 1
                    os.chmod(below.path, 0o700)  # to move a folder is to change what its `..` says
                    os.rename(below.path, os.path.join(folder, f".removed-{count}"))
                else:
                    os.unlink(below.path)
            os.rmdir(entry.path)
    os.rmdir(folder)
