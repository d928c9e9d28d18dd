def attack(context):
    class UnsatisfiedAssumption(Exception):
        pass

    raise UnsatisfiedAssumption
