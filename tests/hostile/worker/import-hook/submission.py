import sys
import types


class Finder:
    def find_spec(self, name, path=None, target=None):
        raise SystemExit(0)


def attack(context):
    sys.meta_path.insert(0, Finder())
    for name in list(sys.modules):
        sys.modules[name] = types.ModuleType(name)
    sys.modules.clear()
    return 1
