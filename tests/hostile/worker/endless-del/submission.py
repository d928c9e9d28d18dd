class Endless:
    def __del__(self):
        while True:
            pass


def attack(context):
    Endless()
    return 1
