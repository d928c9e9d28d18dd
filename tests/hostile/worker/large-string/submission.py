def attack(context):
    return "x" * 1_000_000_000
