def attack(context):
    errors = [ValueError("x")]
    for _ in range(200):
        errors = [ExceptionGroup("\x1b[2J", errors)]
    raise errors[0]
