import torch


def attack(context):
    kept = []
    while True:
        kept.append(context["callback"](torch.zeros(60_000_000, requires_grad=True)))
