def attack(context):
    while True:
        pass
