"""docs/curriculum.md, held to the starters: what it says keeps a promise is there."""

import re
from pathlib import Path

import pytest

from autograder.course import Assignment, Course

REPOSITORY = Path(__file__).parents[1]
ASSIGNMENTS = list(Course.load(REPOSITORY))
KEEPER = re.compile(r"(?P<kind>exercise|question) `(?P<name>\w+)`|section “(?P<heading>[^”]+)”")


def tables() -> dict[str, dict[str, str]]:
    """What keeps each promise of each assignment: {slug: {promise: cell of the table}}."""
    found: dict[str, dict[str, str]] = {}
    for line in (REPOSITORY / "docs" / "curriculum.md").read_text("utf-8").splitlines():
        if heading := re.match(r"## `(\w+)`", line):
            rows = found.setdefault(heading[1], {})
        elif (row := re.fullmatch(r"\| (.+?) \| (.*?) ?\|", line)) and row[1] not in ("promise", "---"):
            rows[row[1]] = row[2]
    return found


def headings(assignment: Assignment) -> set[str]:
    """The headings of a starter's text."""
    text = "\n".join(cell.source for cell in assignment.starter.notebook.cells if cell.cell_type == "markdown")
    return {heading.strip() for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def test_every_assignment_has_its_table():
    assert list(tables()) == [assignment.slug for assignment in ASSIGNMENTS]


@pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda assignment: assignment.slug)
def test_every_promise_is_kept_by_something_that_is_there(assignment: Assignment):
    exercises = {exercise.name for exercise in assignment.exercises}
    questions = {question.name for question in assignment.questions}
    for promise, keepers in tables()[assignment.slug].items():
        found = list(KEEPER.finditer(keepers))
        assert found, f"nothing keeps “{promise}”"
        assert not KEEPER.sub("", keepers).strip(", "), f"not understood: {keepers}"
        for keeper in found:
            there = {"exercise": exercises, "question": questions, None: headings(assignment)}[keeper["kind"]]
            assert (keeper["name"] or keeper["heading"]) in there, f"“{promise}”: {keeper[0]} is not there"
