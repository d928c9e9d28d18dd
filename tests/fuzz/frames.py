"""What a worker says to the trusted end, mutated: frames of real conversations as seeds."""

from __future__ import annotations

import json
import math
import socket
import textwrap
from random import Random
from typing import Any

import torch
from torch import nn

from autograder.sandbox import Sandbox, StudentError, WorkerDied, WorkerLimits
from autograder.sandbox.control import Name
from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.host import HostPeer
from autograder.sandbox.wire import DTYPES, HEAD, Channel
from tests.fuzz.mutate import mutated_bytes, mutated_json

Frame = tuple[Any, bytes]  # header and payload

ANSWERS = """
def plain(call, critic, x): return {"a": [1, 2.5, "x", None, True], "b": (x.detach(), {3}, 1 + 2j)}
def tensors(call, critic, x): return [x * 2, x.detach().int(), x.bool(), x.detach().double(), torch.zeros(0, 3)]
def back(call, critic, x): return call(x) * call(x.detach())
def uses_critic(call, critic, x): return critic(x[:2][None]).sum() + x.sum()
def penalty(call, critic, x):
    y = x[:2].detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(y[None]).sum(), y, create_graph=True)
    return slope.square().sum() + x.sum()
def trains(call, critic, x):
    with torch.no_grad():
        for parameter in critic.parameters(): parameter.add_(1)
    return critic
def copies(call, critic, x): return copy.deepcopy(critic)
def network(call, critic, x): return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3))
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("count", torch.tensor(0))
    def forward(self, x): return x * self.weight
def own_network(call, critic, x): return Own()
def distribution(call, critic, x): return torch.distributions.Normal(x, x.exp())
def generator(call, critic, x): return torch.Generator().manual_seed(1)
def function(call, critic, x): return lambda y: y + x
def iterator(call, critic, x): return iter([1, 2, 3])
def thing(call, critic, x): return object()
def arrays(call, critic, x): return numpy.arange(6.0).reshape(2, 3), numpy.float32(2), torch.float16, torch.Size([1, 2])
def raises(call, critic, x): raise ValueError("no")
def prints(call, critic, x):
    call(critic)
    return "done"
"""


class Critic(nn.Module):
    """What the trusted end passes to the worker, and wants back as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


class Scripted(Channel):
    """A channel whose other end has said everything in advance, and reads nothing."""

    _nowhere = socket.socket()

    def __init__(self, said: bytes) -> None:
        super().__init__(self._nowhere, max_payload=1 << 20)
        self._said = memoryview(said)

    def _receive_into(self, view: memoryview) -> int:
        count = min(len(view), len(self._said))
        if not count:
            raise ProtocolError("the connection was closed")
        view[:count] = self._said[:count]
        self._said = self._said[count:]
        return count

    def _send(self, data: bytes | memoryview) -> None:
        pass


class Conversations:
    """The trusted end against a worker that says anything."""

    name = "frames"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.critic = Critic()
        self.weights = [parameter.detach().clone() for parameter in self.critic.parameters()]

    def seeds(self) -> list[bytes]:
        """What real workers say when they answer honestly."""
        found = []
        names = [line.split("(")[0].removeprefix("def ") for line in ANSWERS.splitlines() if line.startswith("def ")]
        with Sandbox() as sandbox:
            for name in names:
                with sandbox.control.spawn(WorkerLimits(), 10.0) as worker:
                    worker.run("import copy, numpy, torch\nfrom torch import nn\n" + textwrap.dedent(ANSWERS), "cell 1")
                    said = bytearray()
                    original = worker.peer.channel._receive_into

                    def receive(view: memoryview, original: Any = original, said: bytearray = said) -> int:
                        count: int = original(view)
                        said.extend(view[:count])
                        return count

                    worker.peer.channel._receive_into = receive  # type: ignore[method-assign]
                    self._ask(worker.peer, name)
                    found.append(bytes(said))
        return found

    def mutate(self, data: bytes, random: Random, others: list[bytes]) -> bytes:
        """Bytes, headers, payloads and the order of frames change; the lengths mostly fit."""
        frames = split(data)
        if not frames or random.random() < 0.2:
            return mutated_bytes(data, random, others)
        pool = split(random.choice(others)) or frames
        match random.randrange(10):
            case 0:
                frames.insert(random.randrange(len(frames) + 1), random.choice(pool))
            case 1:
                frames.pop(random.randrange(len(frames)))
            case 2:
                number = random.randrange(len(frames))
                header, payload = frames[number]
                frames[number] = header, mutated_bytes(payload, random, others)
            case _:
                number = random.randrange(len(frames))
                header, payload = frames[number]
                header = mutated_json(header, random, [header for header, _ in pool])
                frames[number] = header, fitted(header, payload) if random.random() < 0.8 else payload
        return b"".join(joined(header, payload) for header, payload in frames)

    def run(self, data: bytes) -> str:
        """How it ends; anything but a value, an error of the student's or the worker's end is a fault.

        Raises:
            Exception: a fault of the trusted end.
        """
        peer = HostPeer(Scripted(data), 10.0, lambda reason: reason)
        try:
            return self._ask(peer, "plain")
        finally:
            for parameter, weight in zip(self.critic.parameters(), self.weights, strict=True):
                assert torch.equal(parameter, weight), "the critic was changed"

    def _ask(self, peer: HostPeer, name: str) -> str:
        x = torch.ones(3, requires_grad=True)
        try:
            value = peer.call(Name(name), (lambda y: y * 2 if isinstance(y, torch.Tensor) else y, self.critic, x), {})
            if isinstance(value, torch.Tensor) and value.requires_grad and value.is_floating_point():
                torch.autograd.grad(value.sum(), x, allow_unused=True, create_graph=True)
        except StudentError as error:
            return f"error {str(error)[:24]}"
        except WorkerDied as death:
            return f"died {death.reason[:24]}"
        return f"value {type(value).__name__}"


def split(data: bytes) -> list[Frame]:
    """The frames of a conversation, as far as they can be told apart."""
    found, start = [], 0
    while start + HEAD.size <= len(data):
        length, total = HEAD.unpack_from(data, start)
        start += HEAD.size
        try:
            found.append((json.loads(data[start : start + length]), data[start + length : start + length + total]))
        except (ValueError, RecursionError):
            break
        start += length + total
    return found


def joined(header: Any, payload: bytes) -> bytes:
    """A frame with lengths that fit."""
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return HEAD.pack(len(text), len(payload)) + text + payload


def fitted(header: Any, payload: bytes) -> bytes:
    """The payload, as long as the header says that it is, if that is not much."""
    match header:
        case {"tensors": list(described)}:
            wanted = 0
            for entry in described:
                match entry:
                    case [str(dtype), list(shape), *_] if dtype in DTYPES and all(type(n) is int for n in shape):
                        wanted += DTYPES[dtype].itemsize * math.prod(shape)
            if 0 <= wanted <= 1 << 16:
                return payload[:wanted].ljust(wanted, b"\1")
    return payload
