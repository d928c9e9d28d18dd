class Changing(dict):
    def __init__(self):
        super().__init__(a=1)
        self.asked = 0

    def items(self):
        self.asked += 1
        return iter([("a", self.asked)] * 10**4)

    def __len__(self):
        return 1


def attack(context):
    return Changing()
