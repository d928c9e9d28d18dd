import os


def attack(context):
    os.abort()
