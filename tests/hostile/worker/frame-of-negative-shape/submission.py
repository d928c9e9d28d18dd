import json
import struct
import socket


def attack(context):
    header = json.dumps({"value": {"t": 0}, "tensors": [["float32", [-1, 4], False, None]]}).encode()
    connection = socket.socket(fileno=3)
    connection.sendall(struct.pack("<IQ", len(header), 0) + header)
    while True:
        pass
