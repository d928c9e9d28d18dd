"""Measuring: every answer handed in, through the sandbox, in parallel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from autograder.audit.answers import Answer, alternates, answers, with_other_seeds
from autograder.audit.equivalents import equivalents
from autograder.audit.mutants import Mutant
from autograder.audit.table import Audit, ExerciseAudit, MistakeAudit, Survivor, misses
from autograder.course import Assignment
from autograder.errors import CourseError
from autograder.grade import Grader
from autograder.mistakes import known_mistakes
from autograder.store import digest
from autograder.verdict import ExerciseResult, Verdict

Progress = Callable[[str, int, int], None]


def audit(
    assignment: Assignment,
    only: Sequence[str] = (),
    *,
    seeds: int = 0,
    workers: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Audit:
    """The audit table of an assignment.

    Args:
        assignment: whose suite is audited.
        only: names of exercises; all if empty.
        seeds: so many other seeds with which right answers must earn everything, too, and some of them wrong ones little.
        workers: answers at once; None for one a core.
        progress: told how far it is.

    Raises:
        CourseError: there is no such exercise, or nothing can be graded here.
    """
    names = [exercise.name for exercise in assignment.exercises]
    if unknown := sorted(set(only) - set(names)):
        raise CourseError(f"{assignment.slug} has no exercise {unknown[0]!r}; there are: {', '.join(names)}")
    chosen = tuple(name for name in names if not only or name in only)
    start = time.perf_counter()
    known = known_mistakes(assignment)
    everything = list(answers(assignment, known, chosen))
    table = {e.name: ExerciseAudit(e.name, e.points) for e in assignment.exercises if e.name in chosen}
    mutants: list[tuple[str, Mutant, bool]] = []  # the exercise, what was tried, whether it lived
    with Grader(assignment, workers=workers) as grader:
        result = Audit(assignment.slug, grader.engine.isolation, sources_digest(assignment), list(table.values()))
        for done, (answer, verdict) in enumerate(handed_in(grader, everything), 1):
            progress(assignment.slug, done, len(everything))
            for found in verdict.exercises:
                if isinstance(answer.of, Mutant):
                    mutants.append((found.name, answer.of, found.earned == found.points))
                else:
                    enter(table[found.name], answer, found)
        for exercise in result.exercises:
            settle(exercise, [item.name for item in known])
        again = list(with_other_seeds(assignment, chosen, everything, seeds))
        for done, (answer, verdict) in enumerate(handed_in(grader, again), 1):
            progress(f"{assignment.slug}, seeds", done, len(again))
            for found in verdict.exercises:
                if text := complaint(table[found.name], answer, found):
                    result.seeds.setdefault(str(answer.job.seed), []).append(text)
        result.seeds = {seed: sorted(texts) for seed, texts in sorted(result.seeds.items())}
    result.seeds_tried = seeds
    explain(result, mutants, assignment)
    result.seconds = round(time.perf_counter() - start, 1)
    return result


def sources_digest(assignment: Assignment) -> str:
    """Digest of the files of an assignment that an audit is about."""
    files = [assignment.starter_path, assignment.solution_path, assignment.hidden_path]
    files += [assignment.mistakes_path, assignment.equivalents_path, *alternates(assignment)]
    return digest(files)


def handed_in(grader: Grader, everything: Sequence[Answer]) -> Iterator[tuple[Answer, Verdict]]:
    """Verdicts, as they come."""
    by_job = {id(answer.job): answer for answer in everything}
    for job, verdict in grader.engine.verdicts(answer.job for answer in everything):
        answer = by_job[id(job)]
        if verdict.failure is not None:
            raise CourseError(
                f"the grader failed on {answer.kind} {answer.name} of {answer.exercise}: {verdict.failure}"
            )
        yield answer, verdict


def enter(row: ExerciseAudit, answer: Answer, found: ExerciseResult) -> None:
    """Write one result into the table."""
    earned = found.earned / found.points
    match answer.kind:
        case "reference":
            row.reference = earned
        case "alternate":
            row.alternates[answer.name] = earned
        case "stub":
            row.stub = earned
        case "wrong":
            row.wrong[answer.name] = earned
        case "trivial":
            row.trivial[answer.name] = earned
        case "mistake":
            named = tuple(item.name for item in found.mistakes)
            row.mistakes.append(MistakeAudit(answer.name, round(earned, 4), answer.name in named, named))


def complaint(row: ExerciseAudit, answer: Answer, found: ExerciseResult) -> str | None:
    """What is wrong with a result under another seed, in a sentence."""
    if answer.kind == "trivial" and answer.name not in row.trivial:  # it does not apply to this exercise
        return None
    earned = found.earned / found.points
    lost = ", ".join(item.name for item in found.properties if item.outcome != "passed")
    text = f"{row.name}: the {answer.kind} {answer.name} earns {earned:.0%}, fails {lost or 'nothing'}"
    return text if misses(answer.kind, earned) else None


def settle(row: ExerciseAudit, names_in_order: Sequence[str]) -> None:
    """Bring a row into order, and leave out what does not apply to it."""
    row.mistakes.sort(key=lambda item: names_in_order.index(item.name))
    # The answer that refuses to be differentiated earns everything where nobody asks for a gradient.
    row.differentiated = row.trivial.pop("attached", 0.0) < 1
    if not row.differentiated:
        row.trivial.pop("detached", None)


def explain(result: Audit, mutants: Sequence[tuple[str, Mutant, bool]], assignment: Assignment) -> None:
    """Count mutants, join survivors with the reasons that the repository gives, and find reasons without a survivor."""
    rows = {row.name: row for row in result.exercises}
    reasons = {(e.exercise, e.before, e.after): e.reason for e in equivalents(assignment) if e.exercise in rows}
    alive = set()
    for name, mutant, lives in sorted(mutants, key=lambda item: (item[1].operator, item[1].before, item[1].after)):
        row, change = rows[name], (name, mutant.before, mutant.after)
        if mutant.cuts_gradients and not row.differentiated:
            alive.add(change)  # nobody asks for a gradient there, so it is no mutant
            continue
        row.mutants.total += 1
        row.mutants.killed += not lives
        if lives:
            alive.add(change)
            row.mutants.survivors.append(Survivor(mutant.operator, *change[1:], reasons.get(change)))
    result.stale = [
        f"{name}: {before} → {after}" for name, before, after in reasons if (name, before, after) not in alive
    ]
