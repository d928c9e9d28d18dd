def attack(context):
    kept = []
    while True:
        kept.append(b"x" * 50_000_000)
