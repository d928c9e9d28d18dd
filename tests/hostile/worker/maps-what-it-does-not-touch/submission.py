import mmap


def attack(context):
    kept = []
    try:
        for _ in range(10_000):
            kept.append(mmap.mmap(-1, 1 << 30))
    except (OSError, ValueError, MemoryError):
        pass
    return len(kept)
