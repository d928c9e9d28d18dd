import torch


def attack(context):
    return torch.distributions.Normal(torch.tensor(float("nan")), 1.0, validate_args=False)
