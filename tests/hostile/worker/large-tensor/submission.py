import torch


def attack(context):
    return torch.zeros(80_000_000)
