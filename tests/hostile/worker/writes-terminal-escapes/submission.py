def attack(context):
    print("\x1b[2J\x1b]0;owned\x07::error::hi\r", flush=True)
    raise ValueError("\x1b[2J\ud800 ::set-output")
