import glob
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
        secret=lambda: open(context["secret"]).read(),
        secret_by_a_link=lambda: (os.symlink(context["secret"], "link"), open("link").read()),
        secret_by_root=lambda: open("/proc/self/root" + context["secret"]).read(),
        secret_by_dots=lambda: open("../" * 20 + context["secret"]).read(),
        folder_of_the_secret=lambda: os.listdir(os.path.dirname(context["secret"])),
        grader=lambda: open(context["grader"]).read(),
        passwd=lambda: open("/etc/passwd").read(),
        shadow=lambda: open("/etc/shadow").read(),
        root=lambda: os.listdir("/root"),
        slash=lambda: os.listdir("/"),
        home=lambda: os.listdir("/home"),
        temporary=lambda: [n for n in os.listdir("/tmp") if n not in os.listdir(os.environ["HOME"])][0],
        devices=lambda: os.listdir("/dev"),
        disk=lambda: open("/dev/vda", "rb").read(1),
        memory=lambda: open("/dev/mem", "rb").read(1),
        kernel_memory=lambda: open("/proc/kcore", "rb").read(1),
        kernel_log=lambda: open("/dev/kmsg").read(1),
        system=lambda: os.listdir("/sys"),
        solutions=lambda: [p for p in glob.glob("/**/solutions/*.py", recursive=True)][0],
    )
