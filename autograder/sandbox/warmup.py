"""Imports that a process makes once, so that its forks need not.

PyTorch imports parts of itself at first use: the first derivative brings sympy (about half a second), the first optimiser
torch._dynamo (several). Both the fork server and the parent of the test runners go through this before they fork. Nothing here
computes in parallel: a fork after a parallel region would deadlock at the next one.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterable


def import_torch() -> None:
    """Import PyTorch with everything that ordinary course code triggers later."""
    import inspect
    import linecache
    import traceback

    import torch
    import torch.distributions
    import torch.fx.experimental.symbolic_shapes
    import torch.nn.utils.parametrizations

    torch.set_num_threads(1)
    del inspect, linecache, traceback
    x = torch.zeros(2, 2, requires_grad=True)
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    (gradient,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    gradient.sum().backward()
    torch.optim.Adam(net.parameters()).step()
    torch.distributions.Normal(x, 1.0).rsample()
    torch.nn.functional.scaled_dot_product_attention(x[None], x[None], x[None])
    torch.func.functional_call(net, dict(net.named_parameters()), (x,))
    repr(x)


def import_modules(names: Iterable[str]) -> list[str]:
    """Import what can be imported; the names of what cannot. The student's own import will say why."""
    failed = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            failed.append(name)
    return failed


def settle() -> int:
    """Prepare the heap for forking; the number of threads, which has to be 1.

    Frozen objects are left alone by the garbage collector, whose marks would otherwise copy every shared page into the child.
    """
    gc.collect()
    gc.freeze()
    return len(os.listdir("/proc/self/task"))
