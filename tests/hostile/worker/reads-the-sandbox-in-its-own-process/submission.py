import gc
import os


def attack(context):
    kinds = {type(thing).__name__ for thing in gc.get_objects()}
    return sorted(kinds & {"Sandbox", "Control", "HostPeer", "Worker", "Course", "Session"}), [
        k for k in os.environ if k.startswith("COURSE_")
    ]
