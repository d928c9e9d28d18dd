import re


def attack(context):
    re.match(r"(a+)+$", "a" * 64 + "b")
