import torch


def attack(context):
    torch.empty(50_000_000_000 // 4).fill_(1)
