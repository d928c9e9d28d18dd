import torch


class Liar(torch.Tensor):
    @property
    def shape(self):
        return torch.Size([3])

    @property
    def dtype(self):
        return torch.float64

    def numel(self):
        return 3

    def __len__(self):
        return 3

    def is_contiguous(self, *arguments, **named):
        return True


def attack(context):
    return torch.arange(12.0).as_subclass(Liar)
