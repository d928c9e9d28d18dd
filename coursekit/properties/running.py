"""Running visible properties: ordinary pytest and Hypothesis in this process, leaving no trace in it."""

from __future__ import annotations

import functools
import inspect
import io
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import HealthCheck, Phase
from hypothesis.errors import HypothesisException
from hypothesis.strategies import DataObject, SearchStrategy

from coursekit.errors import ChecksUnreadable
from coursekit.explain import Explainer, NotDefined
from coursekit.properties.describe import describe
from coursekit.report import Outcome

EXAMPLES = 25
SHRINKING_SECONDS = 3  # for each property that fails
SEED = 0
PRINTED = 2000  # characters of output that are kept, the last ones
LONG = 100  # characters of a line that is better broken
PROFILE = "coursekit"

hypothesis.settings.register_profile(
    PROFILE,
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


class Student:
    """What properties call: the names of a namespace as attributes."""

    def __init__(self, namespace: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self._names = (given, namespace)

    def __getattr__(self, name: str) -> Any:
        for names in self._names:
            if name in names:
                return names[name]
        raise NotDefined(f"{name} is not defined; run the cell that defines it first")


def run_properties(
    checks: Path, exercise: str, namespace: Mapping[str, Any], given: Mapping[str, Any]
) -> list[Outcome]:
    """Run the properties of one exercise.

    Args:
        checks: the file that holds the visible properties.
        exercise: its name there.
        namespace: the student's globals.
        given: names that win over those of the namespace.

    Raises:
        ChecksUnreadable: the file cannot be imported.
        KeyboardInterrupt: the student stopped it.
    """
    output = _Tail(PRINTED)
    plugin = _Properties(exercise, Student(namespace, given), Explainer(namespace, checks), output)
    options = ["--capture=no", "--assert=plain", "--noconftest", "--import-mode=importlib"]
    for unneeded in ("cacheprovider", "terminal", "faulthandler", "logging", "debugging", "unraisableexception",
                     "threadexception"):  # fmt: skip
        options += ["-p", f"no:{unneeded}"]
    with _undisturbed(checks.stem), tempfile.TemporaryDirectory() as empty:
        configuration = Path(empty, "pytest.ini")  # so that none around the notebook is read
        configuration.write_text("[pytest]\n")
        options += ["-c", str(configuration), "--rootdir", str(checks.parent), str(checks)]
        with redirect_stdout(output), redirect_stderr(output):
            pytest.main(options, plugins=[plugin])
    if plugin.broken:
        raise ChecksUnreadable(checks.name, plugin.broken)
    if plugin.interrupted:
        raise KeyboardInterrupt
    return plugin.outcomes


class _Properties:
    """The pytest plugin: provides `student`, picks the exercise's properties, collects what becomes of them."""

    def __init__(self, exercise: str, student: Student, explainer: Explainer, output: _Tail) -> None:
        self._exercise = exercise
        self._student = student
        self._explainer = explainer
        self._output = output
        self._example: _Example | None = None
        self._failed: tuple[BaseException, _Example] | None = None
        self.outcomes: list[Outcome] = []
        self.broken: str | None = None
        self.interrupted = False

    @pytest.fixture(scope="session")
    def student(self) -> Student:
        """The student's names."""
        return self._student

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.broken is None:
            lines = str(report.longrepr).strip().splitlines()
            self.broken = lines[-1].removeprefix("E").strip() if lines else "it holds no properties"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if getattr(getattr(item, "cls", None), "exercise", None) == self._exercise]

    def pytest_keyboard_interrupt(self) -> None:
        self.interrupted = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Function) -> Iterator[None]:
        self._example = self._failed = None
        self._begin(_Example())
        handle = getattr(item.function, "hypothesis", None)
        if handle is None:
            return (yield)
        with _replaced(handle, "inner_test", self._watched(handle.inner_test)):
            return (yield)

    def pytest_runtest_makereport(self, item: pytest.Function, call: pytest.CallInfo[None]) -> None:
        statement = _statement(item)
        if call.excinfo is not None:
            error, example = call.excinfo.value, self._example or _Example()
            if isinstance(error, _Enough) and self._failed is not None:
                error, example = self._failed
            explanation = self._explainer.explain(error)
            message = "\n".join([explanation.message, *example.changes()])
            found = (tuple(example.inputs), example.printed or self._output.text, explanation.unwritten)
            self.outcomes.append(Outcome(statement, False, message, *found))
        elif call.when == "call":
            self.outcomes.append(Outcome(statement, True))

    def _begin(self, example: _Example) -> None:
        """Forget the example before, and let random numbers begin anew."""
        self._example = example
        self._output.clear()
        torch.default_generator.manual_seed(SEED)

    def _watched(self, test: Callable[..., Any]) -> Callable[..., Any]:
        """`test`, remembering its inputs: Hypothesis ends with the simplest ones that fail, unless it takes too long."""
        deadline = math.inf

        @functools.wraps(test)
        def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal deadline
            if time.monotonic() > deadline:
                raise _Enough
            self._begin(example := _Example())
            for name, value in kwargs.items():
                if isinstance(value, DataObject):
                    kwargs[name] = _Draws(value, example)
                elif name != "self" and value is not self._student:
                    example.add(name, value)
            try:
                return test(*args, **kwargs)
            except (Exception, SystemExit, pytest.skip.Exception) as error:
                if not isinstance(error, HypothesisException):  # assume() is no failure
                    deadline = min(deadline, time.monotonic() + SHRINKING_SECONDS)
                    example.printed = self._output.text
                    self._failed = error, example
                raise

        return watched


class _Enough(BaseException):
    """Enough time has gone into a simpler input: the simplest so far will do."""


class _Example:
    """One example of a property: its inputs as they were, and what came of them."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.printed = ""
        self._versions: list[tuple[str, torch.Tensor, int]] = []

    def add(self, name: str, value: Any) -> None:
        """Note an input before the student's code has it, which may change it."""
        self.inputs += _assignments(name, value)
        self._versions += [(name, tensor, tensor._version) for tensor in _tensors(value) if not tensor.is_inference()]

    def changes(self) -> list[str]:
        """A sentence for each input that was changed in place, which makes any comparison with it meaningless."""
        names = dict.fromkeys(name for name, tensor, version in self._versions if tensor._version != version)
        return [f"{name} is no longer what it was: something changed it in place. Make a new tensor." for name in names]


class _Draws:
    """What stands in for `st.data()`: notes each value that is drawn."""

    def __init__(self, data: DataObject, example: _Example) -> None:
        self._data = data
        self._example = example
        self._count = 0

    def draw(self, strategy: SearchStrategy[Any], label: str | None = None) -> Any:
        """As Hypothesis's own."""
        value = self._data.draw(strategy, label)
        self._count += 1
        self._example.add(label or f"draw {self._count}", value)
        return value


class _Tail(io.TextIOBase):
    """A stream that keeps the end of what is written to it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text = (self.text + text)[-self._size :]
        return len(text)

    def clear(self) -> None:
        """Forget everything."""
        self.text = ""


@contextmanager
def _undisturbed(module: str) -> Iterator[None]:
    """Afterwards everything global is as it was: modules, paths, environment, settings, random numbers.

    `module` is imported anew each time, so that a new version of its file is never mistaken for the old one.
    """
    profile = hypothesis.settings.get_current_profile_name()
    random_numbers = torch.default_generator.get_state()
    environment = dict(os.environ)
    imported = sys.modules.pop(module, None)
    for name in environment:
        if name.startswith("PYTEST_"):
            del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    hypothesis.settings.load_profile(PROFILE)
    try:
        with _replaced(sys, "path", [*sys.path]), _replaced(sys, "dont_write_bytecode", True):
            yield
    finally:
        hypothesis.settings.load_profile(profile)
        os.environ.clear()
        os.environ.update(environment)
        torch.default_generator.set_state(random_numbers)
        sys.modules.pop(module, None)
        if imported is not None:
            sys.modules[module] = imported


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _assignments(name: str, value: Any) -> list[str]:
    """A line for an input, or a line for each item of a long one."""
    line = f"{name} = {describe(value)}"
    if len(line) > LONG and isinstance(value, list | tuple | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [f"{name}[{key!r}] = {describe(item)}" for key, item in items]
    return [line]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _statement(item: pytest.Function) -> str:
    doc: Sequence[str] = (inspect.getdoc(item.function) or "").strip().split("\n\n")
    said = " ".join(doc[0].split()) or item.originalname.removeprefix("test_").replace("_", " ").capitalize()
    return f"{said} [{item.callspec.id}]" if hasattr(item, "callspec") else said
