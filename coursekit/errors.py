"""What went wrong with a file or a call, in one sentence for whoever can mend it."""


class CoursekitError(Exception):
    """The command line prints the sentence and exits with `status`."""

    status = 1


class ChecksUnreadable(CoursekitError):
    """The file with the visible properties cannot be used."""

    def __init__(self, name: str, reason: object) -> None:
        super().__init__(f"{name} cannot be read ({reason}); take a fresh copy of the assignment")


class UsageError(CoursekitError):
    """A wrong call."""

    status = 2
