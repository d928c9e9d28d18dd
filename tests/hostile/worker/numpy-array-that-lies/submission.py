import numpy


class Anything:
    def __eq__(self, other):
        return True

    def __array__(self, *arguments):
        return numpy.array([self, self], dtype=object)


def attack(context):
    return numpy.array([Anything(), Anything()], dtype=object)
