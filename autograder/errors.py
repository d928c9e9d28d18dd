"""What people did wrong, said in one sentence that tells them what to do."""


class CourseError(Exception):
    """A fault that its reader can mend. The command line prints the sentence and exits with `status`."""

    status = 1


class UsageError(CourseError):
    """A wrong call of a command."""

    status = 2
