def attack(context):
    loop = []
    loop.append(loop)
    return loop
