class Yes(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


def attack(context):
    return Yes(0.5)
