import torch


def attack(context):
    return torch.zeros(1).expand(10**12)
