import json
import socket
import struct
import time


def attack(context):
    header = json.dumps({"value": {"t": 0}, "tensors": [["float32", [1000], False, None]]}).encode()
    connection = socket.socket(fileno=3)
    connection.sendall(struct.pack("<IQ", len(header), 4000) + header + bytes(2000))
    time.sleep(100)
