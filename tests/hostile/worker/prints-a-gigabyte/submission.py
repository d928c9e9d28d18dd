def attack(context):
    for _ in range(1000):
        print("x" * 1_000_000)
