import os
import sys


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
        package=lambda: open(os.path.join(os.path.dirname(sys.modules["torch"].__file__), "x.py"), "w"),
        package_append=lambda: open(sys.modules["torch"].__file__, "a"),
        package_truncate=lambda: os.truncate(sys.modules["torch"].__file__, 0),
        package_open_truncate=lambda: os.open(sys.modules["torch"].__file__, os.O_RDONLY | os.O_TRUNC),
        package_remove=lambda: os.unlink(sys.modules["torch"].__file__),
        package_rename=lambda: os.rename(sys.modules["torch"].__file__, "stolen"),
        package_link=lambda: os.link(sys.modules["torch"].__file__, "link"),
        package_chmod=lambda: os.chmod(sys.modules["torch"].__file__, 0),
        package_touch=lambda: os.utime(sys.modules["torch"].__file__, (0, 0)),
        package_chown=lambda: os.chown(sys.modules["torch"].__file__, 0, 0),
        package_attribute=lambda: os.setxattr(sys.modules["torch"].__file__, "user.x", b"1"),
        open_file_chmod=lambda: os.fchmod(os.open(sys.modules["torch"].__file__, os.O_RDONLY), 0),
        secret_truncate=lambda: os.truncate(context["secret"], 0),
        secret_chmod=lambda: os.chmod(context["secret"], 0o777),
        secret_remove=lambda: os.unlink(context["secret"]),
        root=lambda: open("/x", "w"),
        root_folder=lambda: os.mkdir("/x"),
        course=lambda: open("/opt/course/x", "w"),
        oom_score=lambda: open("/proc/self/oom_score_adj", "w").write("-1000"),
        core_pattern=lambda: open("/proc/sys/kernel/core_pattern", "w").write("x"),
        sysrq=lambda: open("/proc/sysrq-trigger", "w").write("b"),
        device=lambda: os.mknod("device", 0o60666, os.makedev(254, 0)),
    )
