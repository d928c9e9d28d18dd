import torch


def attack(context):
    for parameter in context["critic"].parameters():
        parameter.data.zero_()
    context["critic"].eval()
    return float(context["critic"](torch.ones(1, 2)).sum())
