"""The suite of an assignment: which properties count, read from its hidden test module before any student code runs.

Only what stands here can earn points. Whatever else pytest reports, or fails to report, is not on the list.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.properties import contract
from autograder.verdict import Outcome, Picture, PropertyResult


@dataclass(frozen=True)
class Property:
    """One hidden property."""

    name: str
    statement: str
    weight: float
    required: bool

    def result(
        self,
        outcome: Outcome,
        message: str | None = None,
        counterexample: str | None = None,
        picture: Picture | None = None,
    ) -> PropertyResult:
        """What it found."""
        return PropertyResult(
            *(self.name, self.statement, outcome, message, counterexample, self.weight, self.required, picture)
        )


@dataclass(frozen=True)
class Suite:
    """All properties of an assignment, by exercise, in the order of the notebook."""

    assignment: Assignment
    module: ModuleType
    reference: ModuleType
    properties: dict[str, tuple[Property, ...]]

    def only(self, names: Collection[str]) -> Suite:
        """The part of the suite that is about some exercises."""
        return replace(self, properties={name: self.properties[name] for name in self.properties if name in names})


def test_methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The properties of a class, in the order in which they are written."""
    for name, function in vars(cls).items():
        if name.startswith("test_") and callable(function):
            yield name, function


def complete(cls: type, reference: Callable[..., Any] | type | None) -> None:
    """Add the automatic contract property to a class of properties, unless it has one or wants none."""
    if reference is None or cls.contract is False or contract.NAME in vars(cls):  # type: ignore[attr-defined]
        return
    test = contract.contract_property(reference, cls.exercise, cls.contract)  # type: ignore[attr-defined]
    if test is not None:
        test.__qualname__ = f"{cls.__name__}.{contract.NAME}"
        setattr(cls, contract.NAME, test)


def load_suite(assignment: Assignment) -> Suite:
    """Import the hidden properties of an assignment.

    Raises:
        CourseError: the module cannot be imported, or does not fit the starter.
    """
    where = assignment.hidden_path
    if not where.is_file():
        raise CourseError(f"{assignment.slug} has no hidden properties; write {where}")
    try:
        reference = import_file(assignment.solution_path, f"solutions.{assignment.slug}")
        module = import_file(where, f"autograder.hidden.{where.stem}")
    except Exception as error:
        raise CourseError(
            f"{where.name} or its solution cannot be imported: {type(error).__name__}: {error}"
        ) from error
    names = [exercise.name for exercise in assignment.exercises]
    properties: dict[str, list[Property]] = {name: [] for name in names}
    for cls in vars(module).values():
        if not inspect.isclass(cls) or not hasattr(cls, "exercise"):
            continue
        if cls.exercise not in properties:
            raise CourseError(
                f"{where.name}: {cls.__name__} is about {cls.exercise!r}, which the starter does not declare"
            )
        try:
            complete(cls, getattr(reference, cls.exercise, None))
        except TypeError as error:
            raise CourseError(f"{where.name}: {cls.__name__}: {error}; give @exercise a contract=") from None
        properties[cls.exercise] += [_property(where, cls, name, function) for name, function in test_methods(cls)]
    for name, listed in properties.items():
        if not listed:
            raise CourseError(f"{where.name} has no property of the exercise {name!r}")
        found = [item.name for item in listed]
        if len(set(found)) < len(found):
            raise CourseError(f"{where.name}: two properties of {name!r} have the same name")
    return Suite(assignment, module, reference, {name: tuple(listed) for name, listed in properties.items()})


def import_file(path: Path, name: str) -> ModuleType:
    """The module in a file, also where the course stands elsewhere than this package."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _property(where: Path, cls: type, name: str, function: Callable[..., Any]) -> Property:
    statement = inspect.getdoc(function)
    if not statement:
        raise CourseError(f"{where.name}: {cls.__name__}.{name} has no docstring, which is what students read")
    paragraph = " ".join(statement.partition("\n\n")[0].split())
    return Property(name, paragraph, getattr(function, "weight", 1.0), getattr(function, "required", False))
