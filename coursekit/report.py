"""What a check found, as plain text for a terminal and as HTML for a notebook: at most half a screen."""

from __future__ import annotations

import html
from dataclasses import dataclass

MOST_LINES = 6  # of a message, and of the inputs
MOST_PRINTED = 4  # lines of what the student's code printed
WIDTH = 160

# Readable on white and on black; all other colours are the notebook's own.
GREEN, RED, GREY = "#2a9d57", "#d64545", "#888888"


@dataclass(frozen=True)
class Outcome:
    """What became of one property.

    Attributes:
        statement: what should hold, in a sentence.
        held: whether it does.
        message: if not, what went wrong; a few lines.
        inputs: the input that shows it, a line for each argument.
        printed: what the student's code printed on that input.
        unwritten: the stub that was met on the way, such as `Encoder.forward`.
    """

    statement: str
    held: bool
    message: str = ""
    inputs: tuple[str, ...] = ()
    printed: str = ""
    unwritten: str | None = None


@dataclass(frozen=True)
class Report:
    """The visible properties of one exercise, or a note on why they could not be run."""

    exercise: str
    outcomes: tuple[Outcome, ...] = ()
    note: str | None = None

    @property
    def passed(self) -> bool:
        """Whether there are properties and all of them hold."""
        return bool(self.outcomes) and all(outcome.held for outcome in self.outcomes)

    @property
    def details(self) -> list[tuple[str, str]]:
        """Titled blocks about the first property that does not hold; the message needs no title if it is the only one."""
        failed = [outcome for outcome in self.outcomes if not outcome.held]
        if self.note or not failed:
            return []
        first = failed[0]
        blocks = [(f"✗ {first.statement}" if len(failed) > 1 else "", _shorten(first.message, MOST_LINES))]
        if first.inputs:
            blocks.append(("with", _shorten("\n".join(first.inputs), MOST_LINES)))
        if first.printed.strip():
            blocks.append(("your code printed", _shorten(first.printed, MOST_PRINTED)))
        return blocks

    @property
    def summary(self) -> str:
        """One line: how many hold, or the note."""
        if self.note:
            return self.note
        held, total = sum(outcome.held for outcome in self.outcomes), len(self.outcomes)
        if total == 1:
            return "the check holds" if self.passed else "the check does not hold"
        return f"all {total} checks hold" if self.passed else f"{held} of {total} checks hold"

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"{self.exercise}: {self.summary}"]
        if not self.note:
            lines += [f"  {'✓' if outcome.held else '✗'} {outcome.statement}" for outcome in self.outcomes]
        for title, text in self.details:
            lines += ["", *([f"  {title}"] if title else [])]
            lines += [f"  {'  ' if title else ''}{line}".rstrip() for line in text.splitlines()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        colour = GREY if self.note else GREEN if self.passed else RED
        parts = [
            f'<div style="border-left: 4px solid {colour}; padding: 0.2em 0 0.2em 0.9em; margin: 0.3em 0; '
            'line-height: 1.45; max-width: 60em">',
            f"<div><code><b>{html.escape(self.exercise)}</b></code>: {html.escape(self.summary)}</div>",
        ]
        if not self.note:
            parts += [_html_outcome(outcome) for outcome in self.outcomes]
        for title, text in self.details:
            if title:
                parts.append(f'<div style="opacity: 0.75; margin-top: 0.5em">{html.escape(title)}</div>')
            parts.append(
                '<pre style="white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3em 0 0 0; padding: 0; '
                "background: transparent; color: inherit; font-size: 0.92em; "
                f'font-family: var(--jp-code-font-family, monospace)">{html.escape(text)}</pre>'
            )
        return "\n".join([*parts, "</div>"])


def _html_outcome(outcome: Outcome) -> str:
    mark, colour, label = ("✓", GREEN, "holds") if outcome.held else ("✗", RED, "does not hold")
    return (
        f'<div><span role="img" aria-label="{label}" style="color: {colour}; font-weight: bold; '
        f'display: inline-block; width: 1.3em">{mark}</span>'
        f"{html.escape(outcome.statement)}</div>"
    )


def _shorten(text: str, most: int) -> str:
    lines = [line if len(line) <= WIDTH else f"{line[:WIDTH]}…" for line in text.strip("\n").splitlines()]
    return "\n".join(lines if len(lines) <= most else [*lines[: most - 1], f"… {len(lines) - most + 1} more lines"])
