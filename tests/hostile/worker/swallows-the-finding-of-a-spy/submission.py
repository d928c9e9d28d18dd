def attack(context):
    try:
        context["spy"](1)
    except BaseException:
        pass
    return "all is well"
