def attack(context):
    kept = []
    while True:
        kept.append([len(kept)])
