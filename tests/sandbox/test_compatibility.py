"""What ordinary course code does still works behind all the locks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

CASES: dict[str, str] = {
    "trains a convolutional network": """
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 10))
        optimizer = torch.optim.AdamW(net.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(torch.randn(8, 1, 8, 8)), torch.randint(0, 10, (8,))).backward()
            optimizer.step()
    """,
    "does linear algebra": "x = torch.randn(200, 200); torch.linalg.svd(x @ x); torch.fft.rfft2(x)",
    "uses attention": "nn.MultiheadAttention(16, 2)(*[torch.randn(5, 2, 16)] * 3)",
    "uses function transforms": "torch.vmap(torch.func.grad(lambda x: x.sin().sum()))(torch.randn(4, 3))",
    "loads data": "from torch.utils.data import *; assert len(list(DataLoader(TensorDataset(torch.randn(64, 3)), 8))) == 8",
    "saves and loads": "torch.save({'a': torch.ones(3)}, 'a.pt'); assert torch.load('a.pt')['a'].sum() == 3",
    "saves in the temporary folder": "import tempfile; torch.save(torch.ones(3), tempfile.mkdtemp() + '/a.pt')",
    "uses temporary files": "import tempfile as t; t.TemporaryFile().write(b'x'); t.NamedTemporaryFile().write(b'x')",
    "makes folders": "import os; os.makedirs('runs/1'); open('runs/1/log', 'w').write('x'); os.remove('runs/1/log')",
    "scripts a module": "torch.jit.script(nn.ReLU())(torch.ones(1))",
    "uses threads": "import concurrent.futures as f; assert sum(f.ThreadPoolExecutor(2).map(abs, [-1, 2])) == 3",
    "runs an event loop": "import asyncio; assert asyncio.run(asyncio.sleep(0, 3)) == 3",
    "asks for threads": "torch.set_num_threads(4); torch.randn(300, 300) @ torch.randn(300, 300)",
    "asks for a GPU": "assert torch.device('cuda' if torch.cuda.is_available() else 'cpu').type in ('cuda', 'cpu')",
    "measures time": "import time; time.sleep(0.001); time.perf_counter()",
    "warns": "import warnings; warnings.warn('careful')",
    "shows progress": "from tqdm import tqdm; assert sum(tqdm(range(3))) == 3",
    "draws a picture": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.savefig('a.png'); plt.close()",
    "annotates": "from jaxtyping import Float\ndef f(x: Float[torch.Tensor, 'n']) -> float: return x.sum()\nf(torch.ones(2))",
    "reads its own source": "import inspect; assert 'Module' in inspect.getsource(nn.Module)",
    "computes with numpy": "import numpy as np; np.linalg.inv(np.eye(3)); np.random.default_rng(0).normal(size=3)",
    "uses dataclasses": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 1\nassert A() == A(1)",
    "counts processors": "import os; assert os.cpu_count() is None or os.cpu_count() > 0",
}  # fmt: skip


@pytest.mark.parametrize("source", CASES.values(), ids=CASES)
def test_it(load: Callable[..., Any], source: str) -> None:
    load(source)
