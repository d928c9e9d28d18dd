"""Using nbgrader's converters in this process: without their talk, and with the reason when one fails."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from traitlets.log import get_logger

from autograder.errors import CourseError


class Overheard(logging.Handler):
    """What nbgrader reports: it catches what goes wrong with a submission, and only its log says what that was."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception that is being reported, or else the report."""
        cause = sys.exc_info()[1]
        said = str(cause) if isinstance(cause, CourseError) else repr(cause) if cause else record.getMessage()
        self.said.append(said)

    @property
    def reason(self) -> str:
        """The first thing that went wrong."""
        return self.said[0] if self.said else "nbgrader gave no reason"


@contextmanager
def quietly() -> Iterator[Overheard]:
    """Keep what nbgrader and its libraries say from the terminal."""
    logger = get_logger()
    overheard = Overheard()
    logger.addHandler(overheard)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield overheard
    finally:
        logger.removeHandler(overheard)
        logger.setLevel(level)
        logger.propagate = propagate
