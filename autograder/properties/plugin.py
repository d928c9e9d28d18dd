"""The pytest plugin that runs a suite on a student and writes down what each property finds.

The same plugin serves grading (`examine`, in a forked runner) and an author at the keyboard:

    pytest autograder/hidden/test_vae.py --submission FILE       in the sandbox
    pytest autograder/hidden/test_vae.py --reference             the reference, in this process

Every property is seeded from the course's secret and its own name, so that the same submission gets the same verdict. The
student's code cannot touch what is counted: it lives in another process, and whatever it raises arrives as `StudentError`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure, HypothesisException
from hypothesis.internal.conjecture import providers

from autograder.properties.picture import picture_of
from autograder.properties.student import Session, Student
from autograder.properties.suite import Property, Suite
from autograder.sandbox import StudentError, WorkerDied
from autograder.verdict import ExerciseResult, Picture, PropertyResult, score
from coursekit.properties import PropertyFailed, describe

SHRINK_CALLS = 150  # examples spent on making a counterexample small: a count, so that it is the same every time
FIXTURES = ("self", "student")
MESSAGE_LENGTH, COUNTEREXAMPLE_LENGTH = 1500, 2000


# Hypothesis mixes constants of the code that happens to be loaded into what it draws. The same seed shall draw the same inputs
# whatever else this process has imported, or an audit would hold for one state of the grader's code only.
NO_CONSTANTS = providers.Constants()
providers._get_local_constants = lambda: NO_CONSTANTS
providers.CONSTANTS_CACHE.cache.clear()


class ShrinkingDone(BaseException):
    """The examples for shrinking are spent."""


@dataclass
class Failure:
    """Why a property does not hold."""

    error: BaseException
    arguments: dict[str, Any]


class Recorder:
    """Stands between Hypothesis and a property: remembers the example that failed last, and counts."""

    def __init__(self, shrink_calls: int | None = None) -> None:
        self.last: Failure | None = None
        self.calls = 0
        self._left = shrink_calls

    def watch(self, test: Callable[..., None]) -> Callable[..., None]:
        """The same test, watched."""

        @functools.wraps(test)
        def watched(*args: Any, **kwargs: Any) -> None:
            self.calls += 1
            if self._left is not None and self.last is not None:
                self._left -= 1
                if self._left < 0:
                    raise ShrinkingDone
            try:
                without_outcomes(test, *args, **kwargs)
            except (Exception, WorkerDied) as error:
                if not isinstance(error, HypothesisException):  # assume() is not a failure
                    self.last = Failure(error, {name: value for name, value in kwargs.items() if name not in FIXTURES})
                raise

        return watched


def without_outcomes(test: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """Run a test; pytest's own way of failing, as in `pytest.raises`, becomes an ordinary failed assertion."""
    try:
        test(*args, **kwargs)
    except pytest.fail.Exception as error:
        unraised = re.fullmatch(r"DID NOT RAISE (?:<class '(?:.*\.)?(\w+)'>|(\w+))", str(error))
        raise AssertionError(f"No {unraised[1] or unraised[2]} was raised." if unraised else str(error)) from None


class SuiteModule(pytest.Module):
    """The hidden test module as pytest sees it: already imported, with its contract properties."""

    suite: Suite

    @classmethod
    def of(cls, suite: Suite, parent: pytest.Collector, path: Path) -> SuiteModule:
        """The collector of a suite."""
        module: SuiteModule = cls.from_parent(parent, path=path)
        module.suite = suite
        return module

    def _getobj(self) -> ModuleType:
        return self.suite.module


class Examination:
    """One run of a suite on one student; a pytest plugin object.

    Args:
        suite: what counts.
        student: the submission's session, or a module to question in this very process.
        seed: the course's secret.
        depth: how much is found out about an exercise that fails.
        loud: let pytest report failures, for an author at the keyboard.
    """

    def __init__(
        self,
        suite: Suite,
        student: Session | Any,
        *,
        seed: bytes,
        depth: Depth = "feedback",
        loud: bool = False,
    ) -> None:
        self.suite = suite
        self._seed = seed
        self._depth = depth
        self._loud = loud
        self._session = student if isinstance(student, Session) else None
        self._student = Student(student) if isinstance(student, Session) else student
        self._exercise: str | None = None
        self._dead: dict[str, str] = {}
        self.results: dict[tuple[str, str], PropertyResult] = {}
        self.seconds: dict[str, float] = {}

    def run(self) -> Self:
        """Run the suite, and nothing else that lies about."""
        pytest.main(pytest_arguments(self.suite), plugins=[self])
        return self

    # ---- pytest's hooks

    def pytest_configure(self, config: pytest.Config) -> None:
        """Offer the fixture `student`, for the whole session, as Hypothesis wants it: one student answers all examples."""
        fixtures = ModuleType("student_fixture")
        fixtures.student = pytest.fixture(scope="session")(lambda: self._student)  # type: ignore[attr-defined]
        config.pluginmanager.register(fixtures)

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        """Collect the module that the suite was read from, not a second copy of it."""
        if module_path != self.suite.assignment.hidden_path:
            return None
        return SuiteModule.of(self.suite, parent, module_path)

    def pytest_pycollect_makeitem(self, collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
        """Pass by what the suite is not about, at once: a part of a suite is collected in a part of the time."""
        others = isinstance(collector, SuiteModule) and getattr(obj, "exercise", None) not in self.suite.properties
        return [] if others else None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Only what the suite lists is run."""
        items[:] = [item for item in items if self._identify(item)[0] is not None]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Run one property and write down what it finds. In grading, nothing that it raises goes any further."""
        exercise, name = self._identify(pyfuncitem)
        assert exercise is not None
        if exercise != self._exercise:
            self._exercise = exercise
            self._begin(exercise)
        start = time.perf_counter()
        if exercise in self._dead:
            self._record(exercise, name, "not_run", self._dead[exercise], None)
        else:
            arguments = {fixture: pyfuncitem.funcargs[fixture] for fixture in pyfuncitem._fixtureinfo.argnames}
            failure = self._run(pyfuncitem, arguments)
            if failure is None:
                self._record(exercise, name, "passed", None, None)
            else:
                self._fail(exercise, name, failure)
        self.seconds[exercise] = self.seconds.get(exercise, 0.0) + time.perf_counter() - start
        result = self.results[exercise, name]
        if self._loud and result.outcome != "passed":
            parts = (result.statement, result.message, result.counterexample)
            pytest.fail("\n".join(filter(None, parts)), pytrace=False)
        return True

    # ---- running

    def _identify(self, item: pytest.Item) -> tuple[str | None, str]:
        cls = getattr(item, "cls", None)
        name = getattr(item, "originalname", item.name)
        exercise = getattr(cls, "exercise", None)
        listed = any(listed.name == name for listed in self.suite.properties.get(exercise, ())) if exercise else False
        return (exercise if listed else None), name

    def _begin(self, exercise: str) -> None:
        if self._session is None:
            return
        try:
            self._session.begin(self.suite.assignment.limits.seconds_per_exercise)
        except WorkerDied as death:
            self._dead[exercise] = f"not run: {death.reason}"
            return
        if exercise not in self._session.names:
            self._dead[exercise] = f"not run: `{exercise}` is not defined"

    def _run(self, item: pytest.Function, arguments: dict[str, Any]) -> Failure | None:
        seed = int.from_bytes(hashlib.sha256(self._seed + item.nodeid.rpartition("/")[2].encode()).digest()[:8], "big")
        torch.default_generator.manual_seed(seed)
        if self._session is not None:
            self._session.seed(seed)
        test = item.obj
        handle = getattr(test, "hypothesis", None)
        if handle is None:
            recorder = self._recorder(item)
            return self._call(recorder.watch(test), recorder, arguments)
        function = item.function
        original = handle.inner_test
        chosen: settings = function._hypothesis_internal_use_settings
        examples = self._examples(chosen)
        function._hypothesis_internal_use_seed = seed
        function._hypothesis_internal_database_key = b""  # or it would hash the source of each test, for no database
        try:
            recorder = self._recorder(item)
            handle.inner_test = recorder.watch(original)
            function._hypothesis_internal_use_settings = grading_settings(chosen, examples)
            failure = self._call(test, recorder, arguments)
            if failure is not None and self._depth == "feedback" and worth_shrinking(failure, recorder):
                recorder = Recorder(SHRINK_CALLS)
                handle.inner_test = recorder.watch(original)
                function._hypothesis_internal_use_settings = grading_settings(chosen, examples, Phase.shrink)
                smaller = self._call(test, recorder, arguments)
                if isinstance(getattr(smaller, "error", None), WorkerDied) and self._session is not None:
                    self._session.bury()  # found on the way: the failure that stands is the first one
                elif smaller is not None and type(smaller.error) is type(failure.error):
                    failure = smaller
            return failure
        finally:
            handle.inner_test = original
            function._hypothesis_internal_use_settings = chosen

    def _recorder(self, item: pytest.Function) -> Recorder:
        """What watches a property while inputs are generated."""
        return Recorder()

    def _examples(self, chosen: settings) -> int:
        """How many inputs are drawn. A property that says nothing carries the default of when it was imported."""
        default = settings.get_profile("default").max_examples
        return self.suite.assignment.policy.examples if chosen.max_examples == default else chosen.max_examples

    def _call(self, test: Callable[..., None], recorder: Recorder, arguments: dict[str, Any]) -> Failure | None:
        try:
            test(**arguments)
        except FlakyFailure:
            # It failed, then passed on the same input: code that gives different answers to the same question.
            return recorder.last
        except (Exception, WorkerDied, ShrinkingDone, pytest.skip.Exception, pytest.xfail.Exception) as error:
            if isinstance(error, WorkerDied) or recorder.last is None:
                return Failure(error, recorder.last.arguments if recorder.last else {})
            return recorder.last
        return None

    def _fail(self, exercise: str, name: str, failure: Failure) -> None:
        error = failure.error
        counterexample = describe_arguments(failure.arguments)
        if isinstance(error, WorkerDied):
            message = (
                f"{'The time limit was reached' if error.timeout else 'Your code stopped the grader'}: {error.reason}."
            )
            self._dead[exercise] = "not run: an earlier property of this exercise stopped the program"
            if self._session is not None:
                self._session.bury()
            self._record(exercise, name, "timeout" if error.timeout else "error", message, counterexample)
        elif isinstance(error, StudentError):
            self._record(exercise, name, "error", student_message(error), counterexample)
        elif isinstance(error, AssertionError):
            compared = error.compared if isinstance(error, PropertyFailed) else None
            picture = picture_of(compared) if compared else None
            self._record(exercise, name, "failed", str(error) or None, counterexample, picture)
        elif isinstance(error, HypothesisException) or not isinstance(error, Exception):
            self._record(exercise, name, "not_run", f"the property could not be run: {error}", None)
        else:
            # The property stumbled over what it was given, such as None where a tensor was promised.
            message = f"The result could not be used: {type(error).__name__}: {error}"
            self._record(exercise, name, "failed", message, counterexample)

    def _record(
        self,
        exercise: str,
        name: str,
        outcome: Any,
        message: str | None,
        counterexample: str | None,
        picture: Picture | None = None,
    ) -> None:
        previous = self.results.get((exercise, name))
        if previous is not None and previous.outcome != "passed":
            return  # one parametrised case failed before: that stands
        listed = next(item for item in self.suite.properties[exercise] if item.name == name)
        if outcome != "passed" and self._depth == "failure":
            self._dead.setdefault(exercise, "not run: an earlier property of this exercise failed")
        cut = message[:MESSAGE_LENGTH] if message else None
        self.results[exercise, name] = listed.result(outcome, cut, counterexample, picture)

    # ---- what came of it

    def exercise_results(self) -> tuple[ExerciseResult, ...]:
        """One result for every exercise and property of the suite, whether or not pytest came that far."""
        return tuple(
            self._exercise_result(exercise.name, exercise.points, self.suite.properties[exercise.name])
            for exercise in self.suite.assignment.exercises
            if exercise.name in self.suite.properties
        )

    def _exercise_result(self, name: str, points: float, listed: tuple[Property, ...]) -> ExerciseResult:
        results = tuple(
            self.results.get((name, item.name)) or item.result("not_run", "not run: grading did not come this far")
            for item in listed
        )
        return ExerciseResult(name, points, score(points, results), self._error(name, results), results)

    def _error(self, name: str, results: tuple[PropertyResult, ...]) -> str | None:
        """What is wrong with an exercise as a whole, if something is."""
        if self._session is not None and name not in self._session.names:
            faults = [fault for fault in self._session.faults.values() if fault.exercise == name]
            if faults:
                return f"`{name}` is not defined, since {faults[-1].cell} stopped: {faults[-1].text}"
            return f"`{name}` is not defined in the submission."
        if all(r.outcome == "error" and (r.message or "").startswith("NotImplementedError") for r in results):
            return f"`{name}` is not written yet."
        deaths = [
            r.message for r in results if r.outcome == "timeout" or (r.message or "").startswith("Your code stopped")
        ]
        return deaths[0] if deaths else None


def grading_settings(chosen: settings, examples: int, *more: Phase) -> settings:
    """A property's own settings, made deterministic: no database, no deadline, nothing that depends on the clock."""
    return settings(
        chosen,
        max_examples=examples,
        phases=(Phase.explicit, Phase.generate, *more),
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def worth_shrinking(failure: Failure, recorder: Recorder) -> bool:
    """Not if the very first example failed, which is the simplest already, nor if shrinking could end the worker again."""
    return recorder.calls > 2 and isinstance(failure.error, AssertionError | StudentError)


def describe_arguments(arguments: dict[str, Any]) -> str | None:
    """The inputs of a failed example, one a line."""
    lines = [f"{name} = {describe(value)}" for name, value in arguments.items()]
    return "\n".join(lines)[:COUNTEREXAMPLE_LENGTH] or None


def student_message(error: StudentError) -> str:
    """A student's own exception, with the student's own lines."""
    lines = [str(error)]
    for frame in error.frames[-4:]:
        where = f", in {frame.function}" if frame.function not in ("", "<module>") else ""
        lines.append(f"  {frame.cell}, line {frame.line}{where}: {frame.source}")
    return "\n".join(lines)


# Plugins of pytest that have nothing to do here; some cost tenths of a second at the end of every run.
QUIET = """
    terminal cacheprovider faulthandler unraisableexception threadexception logging doctest junitxml pastebin unittest
    hypothesispytest
""".split()


def examine(suite: Suite, student: Session | Any, *, seed: bytes, depth: Depth = "feedback") -> Examination:
    """Run a suite on a student, in this process."""
    return Examination(suite, student, seed=seed, depth=depth).run()


def pytest_arguments(suite: Suite) -> list[str]:
    """The command line for a quiet run of nothing but this suite, whatever configuration lies about."""
    return [
        str(suite.assignment.hidden_path),
        *[part for name in QUIET for part in ("-p", f"no:{name}")],
        *("--assert=plain", "--noconftest", "-c", os.devnull, f"--rootdir={suite.assignment.course.root}"),
    ]
