import mmap


def attack(context):
    kept = []
    try:
        while True:
            kept.append(mmap.mmap(-1, 64 << 20))
            for page in range(0, 64 << 20, 4096):
                kept[-1][page] = 1
    except OSError:
        return len(kept) * 64
