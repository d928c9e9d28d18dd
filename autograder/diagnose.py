"""Diagnosis: which known mistake an answer that lost points behaves like.

The answer's transcript is compared with those of the known mistakes of its exercise, and with the reference's. A mistake is
named if it says what the answer says on every input, those included on which the reference says something else. Two mistakes
that agree equally are both named. No name is better than a wrong one.

Networks of free design start from other random weights than the mistake's, and functions that draw may draw in another order.
Their figures cannot be compared; for them a mistake is named if the same properties have the same complaints.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from autograder.exercise import Exercise, definition
from autograder.mistakes import Mistake
from autograder.properties.student import Session
from autograder.properties.suite import Suite
from autograder.properties.transcript import Answer, Example, Transcript, transcripts
from autograder.reference import completed
from autograder.sandbox import Control, WorkerDied
from autograder.store import write_whole
from autograder.submission import submission_of
from autograder.verdict import ExerciseResult, MistakeFound

SAME = 1e-4  # relative distance of figures that are the same but for rounding
EXPLAINED = 0.02  # or this part of the distance to the reference, where rounding has grown on the way
MOST_NAMED = 2
ENOUGH = 2  # inputs on which the answer and the reference differ

Behaviours = Mapping[str, Transcript]  # by the mistake's name; the reference's under REFERENCE
REFERENCE = ""


class Diagnosis:
    """Knows how the reference and the known mistakes behave; finds out on first use, and keeps it in a folder.

    Args:
        suite: whose inputs are answered.
        mistakes: the known mistakes of its assignment.
        references: the reference's source of each exercise.
        folder: where behaviours are kept, from one run to the next.
    """

    def __init__(self, suite: Suite, mistakes: Sequence[Mistake], references: Mapping[str, str], folder: Path) -> None:
        self._suite, self._mistakes, self._references, self._folder = suite, mistakes, references, folder

    def explain(
        self, result: ExerciseResult, session: Session, control: Control, seed: bytes
    ) -> tuple[MistakeFound, ...]:
        """The known mistakes that behave as the submission in this session does, on inputs that the seed draws."""
        known = [item for item in self._mistakes if item.exercise == result.name]
        if not known or not worth_explaining(result):
            return ()
        exercise = next(item for item in self._suite.assignment.exercises if item.name == result.name)
        free = self._suite.assignment.one_work or is_free(exercise)
        try:
            for thorough in (False, True):  # some mistakes show on few inputs only
                answer = transcripts(self._suite.only([result.name]), session, seed, thorough)[result.name]
                behaviours = self.behaviours(result.name, control, seed, thorough)
                named = agreeing(answer, behaviours) or (alike(answer, behaviours) if free else [])
                if named or differing(answer, behaviours[REFERENCE]) >= ENOUGH:
                    break
        except WorkerDied:  # on a machine that is too busy to find out how the mistakes behave
            return ()
        says = {item.name: item.says for item in known}
        return tuple(MistakeFound(name, says[name]) for name in named)

    def behaviours(self, exercise: str, control: Control, seed: bytes, thorough: bool = False) -> Behaviours:
        """The transcripts of the reference and of the mistakes in one exercise; see `transcripts`."""
        drawn = hashlib.sha256(seed).hexdigest()[:8]
        path = self._folder / f"{exercise}-{drawn}{'-thorough' if thorough else ''}.json"
        try:
            return from_json(path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            pass
        sources = {item.name: item.source for item in self._mistakes if item.exercise == exercise}
        found = self._find_out(exercise, {REFERENCE: self._references[exercise], **sources}, control, seed, thorough)
        write_whole(path, to_json(found))
        return found

    def _find_out(
        self, exercise: str, sources: Mapping[str, str], control: Control, seed: bytes, thorough: bool
    ) -> Behaviours:
        """One transcript after the other, from a worker in which each source replaces the one before."""
        suite = self._suite.only([exercise])
        whole = functools.partial(completed, suite.assignment, self._references, exercise)
        session = Session(control, submission_of(whole(sources[REFERENCE])), suite.assignment)
        found = {}
        try:
            for name, source in sources.items():
                session.begin(self._suite.assignment.limits.seconds_per_exercise)
                session.redefine("\n\n".join(whole(source).values()))
                found[name] = transcripts(suite, session, seed, thorough)[exercise]
        finally:
            session.close()
        return found


def worth_explaining(result: ExerciseResult) -> bool:
    """Whether the exercise lost points by what its code computes, not by being absent or ending the program."""
    outcomes = {item.outcome for item in result.properties}
    return result.error is None and bool(outcomes & {"failed", "error"}) and not outcomes & {"timeout", "not_run"}


def is_free(exercise: Exercise) -> bool:
    """Whether correct answers to an exercise can differ in their figures: networks, and functions that draw."""
    node = definition(exercise.source, exercise.name)
    if isinstance(node, ast.ClassDef):
        return True
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return any("Generator" in ast.unparse(item.annotation) for item in arguments if item.annotation is not None)


def agreeing(answer: Transcript, behaviours: Behaviours) -> list[str]:
    """The mistakes that say what the answer says on every input, if the reference often says something else."""
    if differing(answer, behaviours[REFERENCE]) < ENOUGH or not any(has_values(e) for e in all_of(answer)):
        return []
    distances = distances_between(answer, behaviours[REFERENCE])

    def agrees(mistake: Transcript) -> bool:
        counts = {name: len(examples) for name, examples in answer.items()}
        return counts == {name: len(examples) for name, examples in mistake.items()} and all(
            distance(answer, mistake, where) <= max(SAME, EXPLAINED * far if math.isfinite(far) else SAME)
            for where, far in distances.items()
        )

    named = [name for name, transcript in behaviours.items() if name != REFERENCE and agrees(transcript)]
    return named if len(named) <= MOST_NAMED else []


def distances_between(one: Transcript, other: Transcript) -> dict[tuple[str, int], float]:
    """How far apart two transcripts are on every input of the first."""
    inputs = [(name, place) for name, examples in one.items() for place in range(len(examples))]
    return {where: distance(one, other, where) for where in inputs}


def differing(answer: Transcript, reference: Transcript) -> int:
    """The number of inputs on which they say different things."""
    return sum(value > SAME for value in distances_between(answer, reference).values())


def alike(answer: Transcript, behaviours: Behaviours) -> list[str]:
    """The mistakes with the same complaints, property by property."""
    complaints = complaints_of(answer)
    if not any(
        text.startswith("AssertionError") or text.startswith("PropertyFailed") for text in complaints_in(complaints)
    ):
        return []
    named = [
        name for name, transcript in behaviours.items() if name != REFERENCE and complaints_of(transcript) == complaints
    ]
    return named if len(named) <= MOST_NAMED else []


def complaints_of(transcript: Transcript) -> dict[str, frozenset[str]]:
    """What each property complained about, if it did."""
    found = {name: frozenset(e.complaint for e in examples if e.complaint) for name, examples in transcript.items()}
    return {name: texts for name, texts in found.items() if texts}


def complaints_in(complaints: Mapping[str, frozenset[str]]) -> list[str]:
    """All of them."""
    return [text for texts in complaints.values() for text in texts]


def all_of(transcript: Transcript) -> list[Example]:
    """Every example of every property."""
    return [example for examples in transcript.values() for example in examples]


def has_values(example: Example) -> bool:
    """Whether anything in it can be compared but the kind of an exception."""
    return not all(answer.form.startswith("error") for answer in example.answers)


def distance(one: Transcript, other: Transcript, where: tuple[str, int]) -> float:
    """How far apart two transcripts are on one input, relative to the size of the figures; infinite if in form."""
    name, place = where
    try:
        ours, theirs = one[name][place].answers, other[name][place].answers
    except (KeyError, IndexError):
        return math.inf
    if len(ours) != len(theirs):
        return math.inf
    return max((between(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)


def between(one: Answer, other: Answer) -> float:
    """The same for one answer."""
    if one.form != other.form:
        return math.inf
    a, b = np.array(one.numbers), np.array(other.numbers)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return math.inf
    a, b = a[finite], b[finite]
    size = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return float(np.abs(a - b).max(initial=0.0) / size) if size > 0 else 0.0


def to_json(behaviours: Behaviours) -> str:
    """Behaviours as text."""
    return json.dumps(
        {name: {p: [asdict(e) for e in es] for p, es in transcript.items()} for name, transcript in behaviours.items()}
    )


def from_json(text: str) -> Behaviours:
    """The inverse of `to_json`.

    Raises:
        ValueError: the text is something else.
    """
    try:
        return {
            name: {
                p: [Example([Answer(a["form"], tuple(a["numbers"])) for a in e["answers"]], e["complaint"]) for e in es]
                for p, es in transcript.items()
            }
            for name, transcript in json.loads(text).items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not transcripts: {error}") from None
