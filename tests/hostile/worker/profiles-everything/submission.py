import sys


def profiler(frame, event, argument):
    for name in frame.f_locals:
        if name in ("header", "answer", "message"):
            frame.f_locals[name]["value"] = 42


def attack(context):
    sys.setprofile(profiler)
    return 1
