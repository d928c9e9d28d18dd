import json
import socket
import struct
import time


def attack(context):
    connection = socket.socket(fileno=3)
    for message in ({"op": "call", "tree": [{"home": 1}, [], {}], "free": [1, 2, 3, -1, 10**30, None], "tensors": []},
                    {"op": "vjp", "node": 10**9, "outputs": [0], "asked": [0], "graph": True, "tensors": []}):
        header = json.dumps(message).encode()
        connection.sendall(struct.pack("<IQ", len(header), 0) + header)
    time.sleep(100)
