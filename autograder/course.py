"""The course: what `course.toml` says, and where everything stands on disk."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import secrets
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from autograder.errors import CourseError
from autograder.exercise import Exercise, Question, Starter, read_starter

Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(gt=0)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Suffix = Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]
Reveal = Literal["score", "property", "message", "counterexample"]


class Strict(BaseModel):
    """A table of `course.toml`: unknown keys are mistakes, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Strict):
    """What one submission may use; seconds of wall time, and megabytes."""

    seconds_per_cell: Positive = 20.0
    seconds_per_call: Positive = 10.0
    seconds_per_exercise: Positive = 60.0
    seconds_per_submission: Positive = 300.0
    memory_mb: PositiveInt = 4096
    disk_mb: PositiveInt = 64
    output_mb: PositiveInt = 8
    message_mb: PositiveInt = 256
    attachments_mb: PositiveInt = 32

    @model_validator(mode="after")
    def _leave_room(self) -> Limits:
        if self.attachments_mb >= self.disk_mb:
            raise ValueError(f"attachments_mb = {self.attachments_mb} must be less than disk_mb = {self.disk_mb}")
        return self


class Policy(Strict):
    """What students are shown, and what lateness costs.

    More is shown from so many submissions on, or once nobody can hand in any more; what `reveal_of` says of an exercise stays.
    """

    reveal: Reveal = "counterexample"
    reveal_after_attempts: dict[PositiveInt, Reveal] = {}
    reveal_after_due: Reveal | None = None
    reveal_of: dict[str, Reveal] = {}
    late_penalty_per_day: Annotated[float, Field(ge=0, le=1)] = 0.1
    late_days: Annotated[int, Field(ge=0)] = 5
    examples: PositiveInt = 25


class CourseTable(Strict):
    """The `[course]` table."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    title: str
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone; use a name such as Europe/Berlin") from None
        return name


class AssignmentTable(Strict):
    """One `[[assignment]]` table; its limits and policy are the course's, but for what it says itself."""

    slug: Slug
    title: str
    due: datetime | None = None
    attachments: tuple[Suffix, ...] = ()
    one_work: bool = False
    limits: Limits = Limits()
    policy: Policy = Policy()


class CourseFile(Strict):
    """All of `course.toml`."""

    course: CourseTable
    limits: Limits = Limits()
    policy: Policy = Policy()
    assignment: list[AssignmentTable]

    @field_validator("assignment", mode="before")
    @classmethod
    def _inherit(cls, tables: Any, info: ValidationInfo) -> Any:
        course = {name: info.data[name].model_dump() for name in ("limits", "policy") if name in info.data}
        try:
            return [
                {**table, **{name: {**values, **table.get(name, {})} for name, values in course.items()}}
                for table in tables
            ]
        except (AttributeError, TypeError):
            return tables  # not of this form at all, as pydantic will say


class Assignment:
    """One assignment: its files carry its slug everywhere."""

    def __init__(self, course: Course, table: AssignmentTable) -> None:
        self.course = course
        self.slug = table.slug
        self.title = table.title
        self.due = table.due
        self.one_work = table.one_work  # whether its exercises are parts of one work, and questioned together
        self.attachments = table.attachments  # suffixes of the files beside a submission that its code may read
        self.limits = table.limits
        self.policy = table.policy

    def __repr__(self) -> str:
        return f"Assignment({self.slug!r})"

    @property
    def directory(self) -> Path:
        """The public folder, from which nbgrader releases."""
        return self.course.root / "assignments" / self.slug

    @property
    def starter_path(self) -> Path:
        """What students start from, a Jupytext percent script."""
        return self.directory / f"{self.slug}.py"

    @property
    def visible_path(self) -> Path:
        """The checks that students can run."""
        return self.directory / "visible.py"

    @property
    def solution_path(self) -> Path:
        """The reference answers, private."""
        return self.course.root / "solutions" / f"{self.slug}.py"

    @property
    def hidden_path(self) -> Path:
        """The hidden properties, private."""
        return self.course.root / "autograder" / "hidden" / f"test_{self.slug}.py"

    @property
    def mistakes_path(self) -> Path:
        """The known mistakes, private; may not exist yet."""
        return self.course.root / "autograder" / "mistakes" / f"{self.slug}.py"

    @property
    def equivalents_path(self) -> Path:
        """Mutants that mean the same as the reference, private; may not exist."""
        return self.course.root / "autograder" / "equivalents" / f"{self.slug}.toml"

    @property
    def audit_path(self) -> Path:
        """The last audit that was recorded, private; may not exist."""
        return self.course.root / "autograder" / "audits" / f"{self.slug}.json"

    @property
    def release_directory(self) -> Path:
        """What students download, written by nbgrader."""
        return self.course.root / "release" / self.slug

    @property
    def submitted_root(self) -> Path:
        """Parent of every student's folder."""
        return self.course.root / "submitted"

    def submission_directory(self, student: str) -> Path:
        """Where one student's files lie."""
        return self.submitted_root / student / self.slug

    @cached_property
    def starter(self) -> Starter:
        """The parsed starter.

        Raises:
            CourseError: it is faulty, or the policy speaks of an exercise that it does not have.
        """
        starter = read_starter(self.starter_path)
        if unknown := sorted(self.policy.reveal_of.keys() - {exercise.name for exercise in starter.exercises}):
            raise CourseError(f"course.toml: reveal_of speaks of {unknown[0]!r}, which is no exercise of {self.slug}")
        return starter

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """The stubs that properties grade, in the order of the notebook."""
        return self.starter.exercises

    @property
    def questions(self) -> tuple[Question, ...]:
        """The written questions, graded by hand."""
        return self.starter.questions

    @property
    def points(self) -> float:
        """Points of all exercises; written questions are apart."""
        return sum(exercise.points for exercise in self.exercises)


class Course:
    """A course directory, the one that holds `course.toml`."""

    def __init__(self, root: Path, file: CourseFile) -> None:
        self.root = root
        self.id = file.course.id
        self.title = file.course.title
        self.timezone = ZoneInfo(file.course.timezone)
        self.assignments = {table.slug: Assignment(self, table) for table in file.assignment}

    @classmethod
    def find(cls, start: Path | None = None) -> Course:
        """The course of `$COURSE_ROOT`, or of the nearest folder at or above `start` (default: here).

        Raises:
            CourseError: there is none, or its `course.toml` is wrong.
        """
        named = os.environ.get("COURSE_ROOT")
        start = Path(named) if named and start is None else Path(start or ".")
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / "course.toml").is_file():
                return cls.load(folder)
        raise CourseError(f"there is no course.toml in {start.resolve()} or above it; run this in the course's folder")

    @classmethod
    def load(cls, root: Path) -> Course:
        """Read `root/course.toml`.

        Raises:
            CourseError: with the first thing that is wrong in it.
        """
        path = root / "course.toml"
        try:
            file = CourseFile.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CourseError(f"{path} cannot be read: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise CourseError(f"{path}: {where}: {first['msg']}") from None
        slugs = [table.slug for table in file.assignment]
        if twice := {slug for slug in slugs if slugs.count(slug) > 1}:
            raise CourseError(f"{path}: assignment {sorted(twice)[0]!r} is listed twice")
        return cls(root, file)

    def assignment(self, slug: str) -> Assignment:
        """The assignment of that name.

        Raises:
            CourseError: there is none; names the nearest.
        """
        if slug in self.assignments:
            return self.assignments[slug]
        near = difflib.get_close_matches(slug, self.assignments, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self.assignments)}"
        raise CourseError(f"there is no assignment {slug!r}; {hint}")

    def __iter__(self) -> Iterator[Assignment]:
        return iter(self.assignments.values())

    @property
    def verdicts_directory(self) -> Path:
        """Where verdicts are kept, by their key."""
        return self.root / "verdicts"

    @cached_property
    def seed(self) -> bytes:
        """The course's secret: hidden inputs are drawn from it. Made at first use, readable by its owner alone."""
        path = self.root / "course.seed"
        if not path.exists():
            # Complete from the first moment that it is there: two graders may begin together.
            with tempfile.NamedTemporaryFile(
                "w", dir=self.root, prefix=".seed-"
            ) as file:  # readable by its owner alone
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                with contextlib.suppress(FileExistsError):
                    os.link(file.name, path)
        return hashlib.sha256(path.read_text("ascii").strip().encode()).digest()
