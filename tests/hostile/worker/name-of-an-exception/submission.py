def attack(context):
    raise type("<script>alert(1)</script>\x1b[2J", (ValueError,), {"__module__": "\x00"})("text")
