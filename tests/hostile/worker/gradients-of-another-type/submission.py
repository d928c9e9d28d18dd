import torch


class Twisted(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient.to(torch.float64).repeat(7)


def attack(context):
    return Twisted.apply(context["tensor"])
