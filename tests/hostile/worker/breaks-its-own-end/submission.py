import json

import torch


def attack(context):
    json.JSONEncoder.encode = lambda self, value: "{}"
    torch.Tensor.detach = lambda self: None
    torch.Tensor.requires_grad = True
    return torch.zeros(3)
