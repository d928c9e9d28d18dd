import torch


class Yes(torch.Tensor):
    def __eq__(self, other):
        return torch.tensor(True)

    @classmethod
    def __torch_function__(cls, *arguments, **options):
        return True


def attack(context):
    return torch.randn(3).as_subclass(Yes)
