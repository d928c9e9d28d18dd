"""placeholder"""


def check(exercise: object) -> None:
    """placeholder."""
