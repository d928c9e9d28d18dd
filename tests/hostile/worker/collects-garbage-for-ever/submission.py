import gc


def endless(phase, info):
    while True:
        pass


def attack(context):
    gc.callbacks.append(endless)
    gc.collect()
