def attack(context):
    error = None
    for number in range(10_000):
        following = ValueError(f"{number} " + "x" * 10_000)
        following.__cause__ = error
        error = following
    raise error
