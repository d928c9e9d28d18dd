"""What went wrong with a file or a call, in one sentence for whoever can mend it."""


class CoursekitError(Exception):
    """The command line prints the sentence and exits with `status`."""

    status = 1


class UsageError(CoursekitError):
    """A wrong call."""

    status = 2
