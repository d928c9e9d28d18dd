"""Scores that change, as tables in a terminal."""

from rich.console import Console

from autograder.gradebook.history import Change
from autograder.preview import Foreseen, Preview, summary
from autograder.report.changes import changes_table, preview_table


def printed(renderable) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(renderable)
    return " ".join(capture.get().split())


def foreseen(
    name: str, score: float, becomes: float, *why: str, kept: bool = False, commented: bool = False
) -> Foreseen:
    return Foreseen(name, score, becomes, 3.0, kept, commented, why)


def test_a_preview_shows_what_changes_and_what_people_entered() -> None:
    exercises = (
        foreseen("Shift", 1.5, 0.6, "test_a weighs 4 and weighed 1"),
        foreseen("square", 1.75, 1.75, kept=True, commented=True),
        foreseen("dull", 1.0, 1.0),
    )
    previews = [
        Preview("ben", "loses", 4.25, 2.65, 0.0, 0.7, exercises),
        Preview("eve", "fails", 3.5, None, 0.0, 0.0, (), failure="the runner [red]was killed"),
    ]
    text = printed(preview_table(previews, summary(previews)))
    assert "ben 4.25 2.65 Shift 1.5 0.6 test_a weighs 4 and weighed 1 square 1.75 1.75 set by a grader: stays" in text
    assert "a grader's comment stays late 0 −0.7" in text
    assert "eve 3.5 – the runner [red]was killed" in text
    assert "dull" not in text
    assert text.endswith("Nothing was recorded. Students: 1 lose, 1 cannot be graded.")


def test_the_log_is_a_line_for_each_change() -> None:
    about = ("2027-01-01T10:00:00Z", "kim", "course grade mini", "mini", "ben", "Shift")
    text = printed(
        changes_table([Change(*about, None, 0.6, None, "b" * 32), Change(*about, 0.6, 0.7, "b" * 32, "b" * 32)])
    )
    assert "2027-01-01T10:00:00Z kim course grade mini mini ben Shift – 0.6 – → bbbbbbbb" in text
    assert text.endswith("Shift 0.6 0.7 bbbbbbbb")
