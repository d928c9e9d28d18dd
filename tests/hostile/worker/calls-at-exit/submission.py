import atexit
import os
import threading
import time


def attack(context):
    atexit.register(time.sleep, 1000)
    threading.Thread(target=time.sleep, args=(1000,)).start()
    os.register_at_fork(before=lambda: time.sleep(1000))
    return 1
