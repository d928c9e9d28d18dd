import ctypes


def attack(context):
    ctypes.string_at(0)
