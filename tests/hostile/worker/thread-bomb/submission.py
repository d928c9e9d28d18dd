import threading
import time


def attack(context):
    threading.stack_size(64 * 1024)
    count = 0
    try:
        while count < 30_000:
            threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
            count += 1
    except RuntimeError:
        return count
    time.sleep(100)
