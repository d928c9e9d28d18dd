def attack(context):
    while True:
        context["callback"](1)
