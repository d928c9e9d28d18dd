import os


def attempt(**tries):
    """What came of each try."""
    found = {}
    for name, action in tries.items():
        try:
            found[name] = "done: " + repr(action())[:200]
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error}"[:200]
    return found


def attack(context):
    return attempt(
        secret=lambda: os.link(context["secret"], "mine"),
        tests=lambda: os.link(context["grader"], "mine"),
        through_proc=lambda: os.link("/proc/self/exe", "mine"),
        descriptor=lambda: os.link("/proc/self/fd/3", "mine", follow_symlinks=True),
        rename=lambda: os.rename(context["secret"], "mine"),
        truncate=lambda: os.truncate(context["secret"], 0),
        change_times=lambda: os.utime(context["secret"], (0, 0)),
        change_mode=lambda: os.chmod(context["secret"], 0o777),
        change_owner=lambda: os.chown(context["secret"], os.getuid(), os.getgid()),
        remove=lambda: os.unlink(context["secret"]),
    )
