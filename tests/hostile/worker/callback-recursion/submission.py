def attack(context):
    def again(x):
        return context["apply"](again, x)

    return again(1)
