"""A grader that is killed, at every step of the road: nothing is lost, nothing is graded twice, the next run goes on."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.faults.road import in_a_process, outcome, travel


def test_a_road_that_is_cut_anywhere_can_be_gone_again(fresh: Callable[[], Path]) -> None:
    def go(folder: Path, kill_at: int | None = None) -> tuple[int, int]:
        root = folder / "course"
        return in_a_process(lambda: travel(root, folder / "ada.zip"), kill_at=kill_at, below=root)

    before = outcome(fresh() / "course")
    whole = fresh()
    status, steps = go(whole)
    assert status == 0
    assert steps > 50
    expected = outcome(whole / "course")
    assert expected["log"]["ada", "square"] == 2.0
    assert expected["scores"]["ada"] == ({"square": 2.0, "Shift": 3.0, "why_squares": 0.0}, 0.0)
    for step in range(1, steps + 1):
        folder = fresh()
        status, made = go(folder, kill_at=step)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert made == step
        assert outcome(folder / "course")["scores"]["ben"] == before["scores"]["ben"], f"cut before step {step}: ben"
        assert go(folder)[0] == 0, f"cut before step {step}: the next run fails"
        assert outcome(folder / "course") == expected, f"cut before step {step}: it leaves its mark"
