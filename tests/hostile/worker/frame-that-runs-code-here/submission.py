import json
import os
import struct
import time


def write(header, payload=b"", length=None, total=None):
    """Write a frame past the sandbox's own code."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    head = struct.pack("<IQ", len(text) if length is None else length, len(payload) if total is None else total)
    data = head + text + payload
    while data:
        data = data[os.write(3, data) :]


def attack(context):
    write({"op": "run", "source": "import os; os._exit(0)", "name": "cell 1", "definitions_only": False, "tensors": []})
    time.sleep(100)
