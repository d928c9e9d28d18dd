"""A small assignment folder, as students download it, and a browser."""

import json
from collections.abc import Iterator

import pytest

from tests.browser import chromium

CHECKS = '''
import torch
from hypothesis import given

from coursekit.properties import assert_close, exercise, tensors


@exercise("double")
class TestDouble:
    @given(x=tensors(3))
    def test_adds_itself(self, student, x):
        """It is x + x."""
        assert_close(student.double(x), x + x, what="the double")


@exercise("halve")
class TestHalve:
    @given(x=tensors(3))
    def test_undoes_doubling(self, student, x):
        """Doubled again, it is what it was."""
        assert_close(student.double(student.halve(x)), x, what="the double of the half")
'''


@pytest.fixture
def folder(tmp_path):
    """The folder of the assignment `doubling`."""
    folder = tmp_path / "doubling"
    folder.mkdir()
    (folder / "visible.py").write_text(CHECKS)
    return folder


@pytest.fixture
def write(folder):
    """Write a notebook into the folder.

    A cell is the source of a code cell, or a pair of source and metadata; metadata None make it Markdown.
    """

    def write(*cells, **metadata):
        path = folder / "doubling.ipynb"
        document = {
            "cells": [_cell(number, cell) for number, cell in enumerate(cells)],
            "metadata": metadata,
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path.write_text(json.dumps(document))
        return path

    return write


@pytest.fixture
def right():
    """Cells that solve the assignment."""
    return (
        ("# Doubling", None),
        "%matplotlib inline\nimport torch\nfrom coursekit import check",
        ("def double(x):\n    return 2 * x", {"nbgrader": {"grade_id": "double", "solution": True}}),
        ("check(double)", {"nbgrader": {"grade_id": "check_double", "solution": False}}),
        ("def halve(x):\n    return x / 2", {"nbgrader": {"grade_id": "halve", "solution": True}}),
    )


@pytest.fixture(scope="module")
def browser_page() -> Iterator[object]:
    """A page of a real browser."""
    with chromium() as browser:
        yield browser.new_page()


def _cell(number, cell):
    source, metadata = (cell, {}) if isinstance(cell, str) else cell
    if metadata is None:
        return {"cell_type": "markdown", "id": f"cell-{number}", "source": source, "metadata": {}}
    name = metadata.get("id", f"cell-{number}")
    metadata = {key: value for key, value in metadata.items() if key != "id"}
    lines = source.splitlines(keepends=True)  # as Jupyter writes it
    return {"cell_type": "code", "id": name, "source": lines, "metadata": metadata, "outputs": [], "execution_count": 1}
