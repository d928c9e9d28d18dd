"""Every assignment is held to the audit table.

What an author has changed since the last recorded audit is audited here in full, which takes minutes; of the rest one exercise,
another one whenever anything changes. `course audit SLUG --record` before a commit keeps this short.
"""

import hashlib
import json
from pathlib import Path

import pytest

from autograder.audit.measure import audit, sources_digest
from autograder.course import Assignment, Course
from autograder.mistakes import known_mistakes

REPOSITORY = Path(__file__).parents[2]
ASSIGNMENTS = list(Course.load(REPOSITORY))
SOURCES = {assignment.slug: sources_digest(assignment) for assignment in ASSIGNMENTS}
every_assignment = pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda assignment: assignment.slug)


def recorded(assignment: Assignment) -> dict | None:
    """The last audit, if it was of these very files."""
    path = assignment.audit_path
    found = json.loads(path.read_text("utf-8")) if path.is_file() else None
    return found if found and found["sources"] == SOURCES[assignment.slug] else None


@every_assignment
def test_an_assignment_meets_the_bar(assignment: Assignment):
    record = recorded(assignment)
    if record is None:
        assert audit(assignment).complaints() == []
        return
    assert record["complaints"] == []
    names = [exercise.name for exercise in assignment.exercises]
    assert [row["name"] for row in record["exercises"]] == names
    lot = int(hashlib.sha256("".join(SOURCES.values()).encode()).hexdigest(), 16) % len(names)
    result = audit(assignment, [names[lot]])
    complaints = [text for row in result.exercises for text in row.complaints()]
    assert complaints == []


@every_assignment
def test_a_mistake_says_what_was_seen_and_shows_no_code(assignment: Assignment):
    for mistake in known_mistakes(assignment):
        assert mistake.says.endswith((".", "?")), mistake.name
        assert not any(sign in mistake.says for sign in ("torch.", "(0", " = ", "**", "dim=")), mistake.name
