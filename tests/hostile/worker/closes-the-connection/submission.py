import os
import time


def attack(context):
    os.close(3)
    time.sleep(100)
