import os
import time


def attack(context):
    try:
        for _ in range(20_000):
            os.mkdir("d")
            os.chdir("d")
    except OSError:
        return "enough"
    time.sleep(100)
