import torch


class Takeover:
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True


def attack(context):
    torch.overrides.is_tensor_like = lambda value: True
    return Takeover()
