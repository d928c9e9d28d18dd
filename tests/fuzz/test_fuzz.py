"""A bounded run of what `make fuzz` does at length."""

from collections.abc import Callable

import pytest

from tests.fuzz.engine import TARGETS, Target, fuzz
from tests.fuzz.frames import Conversations

COUNTS = {"frames": 20_000, ".ipynb": 400, ".py": 400, ".zip": 1000}


@pytest.mark.parametrize("make", TARGETS, ids=lambda make: make.__name__)
def test_readers_survive_what_strangers_write(make: Callable[[], Target]) -> None:
    target = make()
    report = fuzz(target, COUNTS[target.name], seed=0)
    assert report.faults == []
    assert len(report.endings) >= 5, "the mutations do not get far enough"


def test_honest_conversations_end_with_values() -> None:
    """The seeds, told to the trusted end once more, mean what they meant."""
    target = Conversations()
    endings = [target.run(seed) for seed in target.seeds()]
    assert sum(ending.startswith("value") for ending in endings) >= len(endings) - 2
