import fractions


class Endless(fractions.Fraction):
    def __repr__(self):
        while True:
            pass


Endless.__module__ = "elsewhere"


def attack(context):
    return Endless(1, 2)
