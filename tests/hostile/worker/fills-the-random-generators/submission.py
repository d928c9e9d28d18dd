import random

import numpy
import torch


def attack(context):
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)
    torch.manual_seed = lambda seed: torch.default_generator
    torch.default_generator.manual_seed = lambda seed: None
    random.random = lambda: 0.0
    return 1
