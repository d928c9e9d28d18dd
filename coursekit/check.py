"""`check(exercise)` in a notebook: runs the visible properties of one exercise on what the notebook defines."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coursekit.errors import ChecksUnreadable
from coursekit.report import Report
from coursekit.source import exercises_in

VISIBLE = "visible.py"
GRADING = "COURSEKIT_GRADING"


def check(exercise: Any) -> None:
    """Run the checks that `visible.py`, in the working directory, has for an exercise, and show what they find.

    One line for each property, and for the first one that does not hold, why. Everything that the checks need beside the
    exercise is taken from the caller's globals, as it is now. While a submission is graded, when other checks run, this
    does nothing.

    Args:
        exercise: your function or class, or its name.
    """
    if os.environ.get(GRADING) != "1":
        _show(check_in(Path.cwd() / VISIBLE, exercise, sys._getframe(1).f_globals))


def check_in(checks: Path, exercise: Any, namespace: Mapping[str, Any]) -> Report:
    """Run the checks of the file `checks` for an exercise, with the names of `namespace`.

    Raises:
        KeyboardInterrupt: whoever waited lost patience.
    """
    checks = checks.resolve()
    names = _names(exercise, namespace)
    if not checks.is_file():
        folder = checks.parent
        return Report(
            names[0], note=f"there is no {checks.name} in {folder}; open the notebook in the assignment's folder"
        )
    if isinstance(exercise, str) and exercise not in namespace:
        return Report(exercise, note="not defined yet; run the cell that defines it first")

    from coursekit.properties.running import run_properties

    try:
        available = exercises_in(checks)
        chosen = next((name for name in names if name in available), None)
        if chosen is None:
            return Report(names[0], note=f"{checks.name} has no checks for it; {_nearest(names[0], available)}")
        given = {} if isinstance(exercise, str) else dict.fromkeys(names, exercise)
        outcomes = run_properties(checks, chosen, namespace, given)
    except ChecksUnreadable as error:
        return Report(names[0], note=str(error))
    if not outcomes:
        return Report(chosen, note=f"{checks.name} has no checks for it")
    unwritten = next((outcome.unwritten for outcome in outcomes if outcome.unwritten), None)
    if unwritten and not any(outcome.held for outcome in outcomes):
        return Report(chosen, note=_not_written(chosen, unwritten))
    return Report(chosen, tuple(outcomes))


def _names(exercise: Any, namespace: Mapping[str, Any]) -> list[str]:
    """What the exercise may be called: by its definition, or by a variable that holds it."""
    if isinstance(exercise, str):
        return [exercise]
    own = getattr(exercise, "__name__", None)
    variables = [name for name, value in namespace.items() if value is exercise and not name.startswith("_")]
    return list(dict.fromkeys([*([own] if isinstance(own, str) else []), *variables])) or [type(exercise).__name__]


def _not_written(exercise: str, unwritten: str) -> str:
    if unwritten == exercise or unwritten == f"{exercise}.__init__":
        return "not written yet"
    if unwritten.startswith(f"{exercise}."):
        return f"{unwritten} is not written yet"
    return f"it needs {unwritten}, which is not written yet"


def _nearest(name: str, available: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, available, n=1)
    return f"did you mean {near[0]}?" if near else f"there are checks for {', '.join(available) or 'nothing'}"


def _show(report: Report) -> None:
    """In a notebook as HTML, elsewhere as text."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(report)
    else:
        print(report)
