import torch


def attack(context):
    return [torch.zeros(1)] * 1_000_000
