"""Small changes to bytes and to JSON, some blind and some with an eye for what readers forget."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

BYTES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\n",
    b'"',
    b"[",
    b"{",
    b"\\",
    b"../",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"#",
    b"%",
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 255, 2**31, 2**32 - 1, 2**39, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "x", "float32", "cuda", "__class__", "\0", "\ud800", "[2J", "a" * 5000),
    *([], {}, [[]], [None], [0] * 100, {"": []}, {"tensor": 0}, {"home": 1}, {"error": {}}, [[[[[[[[]]]]]]]]),
)  # fmt: skip


def mutated_bytes(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """One to four places changed: replaced, removed, repeated, or taken from another."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(changed) + 1)
        end = min(len(changed), start + random.choice((0, 1, 2, 4, 16, 64)))
        match random.randrange(6):
            case 0:
                changed[start:end] = random.randbytes(end - start)
            case 1:
                del changed[start:end]
            case 2:
                changed[start:start] = changed[start:end]
            case 3:
                changed[start:end] = random.choice(BYTES)
            case 4:
                other = random.choice(others)
                cut = random.randrange(len(other) + 1)
                changed[start:end] = other[cut : cut + 64]
            case 5:
                if start < len(changed):
                    changed[start] ^= 1 << random.randrange(8)
    return bytes(changed)


def mutated_json(value: Any, random: Random, others: list[Any]) -> Any:
    """A copy with one to three parts replaced, removed, repeated or taken from another document."""
    root = [copy.deepcopy(value)]
    for _ in range(random.randint(1, 3)):
        places = list(_places(root))
        holder, key = random.choice(places)
        match random.randrange(6):
            case 0 | 1:
                holder[key] = copy.deepcopy(random.choice(VALUES))
            case 2 if holder is not root:
                del holder[key]
            case 3 if isinstance(holder, list) and holder is not root:
                holder.insert(key, copy.deepcopy(holder[key]))
            case 4:
                source, place = random.choice(places)
                holder[key] = copy.deepcopy(source[place])
            case _:
                source, place = random.choice(list(_places([random.choice(others)])))
                holder[key] = copy.deepcopy(source[place])
    return root[0]


def _places(value: Any) -> Any:
    """Every (container, key) below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield value, key
        yield from _places(child)
