import sys
import threading


def tracer(frame, event, argument):
    raise SystemExit(0)


def attack(context):
    sys.settrace(tracer)
    threading.settrace_all_threads(tracer) if hasattr(threading, "settrace_all_threads") else None
    return 1
