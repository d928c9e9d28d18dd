"""One engine for all gradebooks of an address, while a class is at work."""

import pytest
from nbgrader import api
from nbgrader.api import Gradebook

from autograder.gradebook.connection import one_engine
from autograder.gradebook.settings import database


@pytest.fixture
def address(course):
    return database(course)


def test_gradebooks_share_an_engine_until_the_block_ends(course, address):
    create = api.create_engine
    with one_engine(), Gradebook(address, course.id) as first:
        with Gradebook(address, course.id) as second:
            assert second.engine is first.engine
        assert first.find_assignment("mini").name == "mini"  # the other one has been closed since
    assert api.create_engine is create


def test_another_gradebook_has_another(course, address, tmp_path):
    with (
        one_engine(),
        Gradebook(address, course.id) as first,
        Gradebook(f"sqlite:///{tmp_path / 'other.db'}", course.id) as other,
    ):
        assert other.engine is not first.engine
        assert [found.name for found in other.assignments] == []


def test_what_one_writes_another_reads(course, address):
    with one_engine(), Gradebook(address, course.id) as first:
        with Gradebook(address, course.id) as second:
            second.update_or_create_student("ada")
        assert [student.id for student in first.students] == ["ada"]
