def attack(context):
    return 10**100_000
