"""What a grader calls beside a project's own functions, under names that no project needs for something else."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from coursekit.capstone.works import random_state
from coursekit.serving import App, ask, headers_of


def ask_demo(app: App, method: str, path: str, json: Any = None, *, body: bytes | None = None) -> tuple[int, Any]:
    """Status and content of a demo's answer to one request; see `coursekit.serving.ask`."""
    return ask(app, method, path, json, body=body)


def media_type_of_demo(app: App, path: str) -> str:
    """What a demo says that its answer to GET is, such as text/html."""
    return headers_of(app, "GET", path).get("content-type", "").partition(";")[0].strip().lower()


def random_fingerprint() -> str:
    """See `random_state`."""
    return random_state()


def stir_random(seed: int) -> None:
    """Set the global random numbers of Python, NumPy and PyTorch to something else.

    Args:
        seed: to what, from 0 to 2³² − 1.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
