import sys


def attack(context):
    sys.setrecursionlimit(60)
    return 1
