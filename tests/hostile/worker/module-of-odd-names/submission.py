import torch


def attack(context):
    module = torch.nn.Module()
    for name in ("__class__", "forward", "_parameters", "__dict__", "state_dict"):
        module._parameters[name] = torch.nn.Parameter(torch.zeros(1))
    return module
