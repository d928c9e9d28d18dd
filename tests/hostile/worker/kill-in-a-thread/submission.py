import os
import threading
import time


def attack(context):
    threading.Thread(target=os._exit, args=(5,)).start()
    time.sleep(100)
