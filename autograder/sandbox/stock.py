"""Stock modules of torch.nn that cross by value: their type, their constructor arguments, their state.

A hidden test passes `nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))` as a critic; the student gets a real one,
whose parameters are the tensors that came along, so that gradients reach the test's own. Any other module stays where it is
and is called back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

CONVOLUTION = "in_channels out_channels kernel_size stride padding dilation groups padding_mode"
BATCH_NORM = "num_features eps momentum affine track_running_stats"
ARGUMENTS: dict[type[nn.Module], list[str]] = {
    kind: names.split()
    for kind, names in {
        nn.Linear: "in_features out_features",
        nn.Conv1d: CONVOLUTION,
        nn.Conv2d: CONVOLUTION,
        nn.Conv3d: CONVOLUTION,
        nn.Embedding: "num_embeddings embedding_dim padding_idx max_norm norm_type scale_grad_by_freq",
        nn.LayerNorm: "normalized_shape eps elementwise_affine",
        nn.GroupNorm: "num_groups num_channels eps affine",
        nn.BatchNorm1d: BATCH_NORM,
        nn.BatchNorm2d: BATCH_NORM,
        nn.ReLU: "",
        nn.GELU: "approximate",
        nn.SiLU: "",
        nn.Tanh: "",
        nn.Sigmoid: "",
        nn.LeakyReLU: "negative_slope",
        nn.ELU: "alpha",
        nn.Softplus: "beta threshold",
        nn.Flatten: "start_dim end_dim",
        nn.Identity: "",
        nn.Dropout: "p",
    }.items()
}
KINDS = {kind.__name__: kind for kind in ARGUMENTS}
WITH_BIAS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.LayerNorm)


def specification(module: nn.Module) -> list[Any] | None:
    """[type, arguments] of a stock module; None if it is not one, or if these and its state do not say all about it."""
    parts = list(module.modules())
    shared = len(parts) < sum(1 for _ in module.named_modules(remove_duplicate=False))
    if shared or any(part.training != module.training for part in parts):
        return None
    return _specification(module)


def _specification(module: nn.Module) -> list[Any] | None:
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or "forward" in vars(module):
        return None
    if type(module) is nn.Sequential:
        parts = [[name, _specification(part)] for name, part in module.named_children()]
        return None if any(spec is None for _, spec in parts) else ["Sequential", parts]
    names = ARGUMENTS.get(type(module))
    if names is None:
        return None
    values = {name: getattr(module, name) for name in names}
    arguments = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    if isinstance(module, WITH_BIAS):
        arguments["bias"] = module.bias is not None
    return [type(module).__name__, arguments]


def build(spec: list[Any], state: Mapping[str, torch.Tensor], training: bool) -> nn.Module:
    """The module of a specification. The received tensors themselves become its parameters: they are leaves of the graph."""
    with torch.device("meta"):
        module = _make(spec)
    for name, tensor in state.items():
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        if leaf in owner._parameters:
            tensor._is_param = True  # what isinstance(tensor, nn.Parameter) looks at
            owner._parameters[leaf] = tensor  # type: ignore[assignment]
        else:
            owner._buffers[leaf] = tensor
    return module.train(training)


def _make(spec: list[Any]) -> nn.Module:
    kind, arguments = spec
    if kind == "Sequential":
        return nn.Sequential(OrderedDict((name, _make(part)) for name, part in arguments))
    return KINDS[kind](**arguments)
