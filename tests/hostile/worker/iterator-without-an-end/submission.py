import itertools


def attack(context):
    return context["apply"](lambda: itertools.count())
