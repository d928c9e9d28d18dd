"""Frames: how values travel between a trusted process and a worker.

A frame is a fixed head, a JSON header and the raw bytes of tensors, one after the other:

    u32 header length | u64 payload length | header, UTF-8 JSON | payload

The header's "tensors" describes each tensor as [dtype, shape, requires grad, strides or null]. The reader must survive
whatever the other side wrote. So it allocates nothing before it has checked the lengths, builds nothing but plain strided
CPU tensors, and raises `ProtocolError` for everything else. No pickle, no import by name, no attribute by name.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from autograder.sandbox.errors import ProtocolError

HEAD = struct.Struct("<IQ")
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_HEADER = 1 << 20
MAX_TENSORS = 4096
MAX_RANK = 16
BUFFER = 1 << 16
MEBIBYTE = 1 << 20
TOO_MANY_PARTS = "the value has too many parts to cross the sandbox boundary"

encode_json = json.JSONEncoder(separators=(",", ":")).encode
decode_json = json.JSONDecoder().decode


class Timeout(Exception):
    """The deadline passed while waiting for the other side."""


class Message(NamedTuple):
    """What one frame holds: a header, tensors, and for each tensor whether its sender differentiates through it."""

    header: dict[str, Any]
    tensors: list[torch.Tensor]
    differentiable: list[bool]


def clean(text: object, length: int = 4000) -> str:
    """Untrusted text, made safe to print, log and store: no control characters, no surrogates, bounded.

    Terminal escapes could rewrite what a TA sees, and lone surrogates cannot be written to a file.
    """
    cut = str(text)[:length].encode("utf-8", "replace").decode()
    return cut if cut.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "�" for c in cut)


class Channel:
    """One end of a stream socket that carries frames."""

    def __init__(self, sock: socket.socket, *, max_payload: int = 256 * MEBIBYTE, keep_strides: bool = False) -> None:
        """`keep_strides`: rebuild the memory layout that a header describes. Only the worker does: strides from an
        untrusted side could make tensors that overlap or reach far beyond their bytes."""
        self.socket = sock
        self.max_payload = max_payload
        self.keep_strides = keep_strides
        self.deadline: float | None = None
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0

    # ---- bytes

    def _arm(self) -> None:
        """Give the socket what is left of the deadline. Renewed for each call, or a slow drip would never time out."""
        if self.deadline is None:
            return
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Timeout
        self.socket.settimeout(left)

    def _receive_into(self, view: memoryview) -> int:
        self._arm()
        try:
            count = self.socket.recv_into(view)
        except TimeoutError:
            raise Timeout from None
        except OSError as error:
            raise ProtocolError(f"the connection broke: {error.strerror}") from None
        if count == 0:
            raise ProtocolError("the connection was closed")
        return count

    def _take(self, count: int) -> bytearray:
        """Exactly `count` bytes: what the buffer holds, then straight from the socket into their final place."""
        out = bytearray(count)
        view = memoryview(out)
        have = 0
        while have < count:
            if self._start == self._end:
                if count - have >= BUFFER:
                    have += self._receive_into(view[have:])
                    continue
                self._start, self._end = 0, self._receive_into(self._buffer)
            step = min(count - have, self._end - self._start)
            view[have : have + step] = self._buffer[self._start : self._start + step]
            self._start += step
            have += step
        return out

    def _send(self, data: bytes | memoryview) -> None:
        self._arm()
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise Timeout from None
        except OSError as error:
            raise ProtocolError(f"the connection broke: {error.strerror}") from None

    # ---- frames

    def send(
        self, header: dict[str, Any], tensors: Sequence[torch.Tensor] = (), differentiable: Sequence[bool] = ()
    ) -> None:
        """Send a frame. Large tensors go out from their own memory, without a copy.

        Args:
            header: what JSON can hold.
            tensors: strided, of a dtype in `DTYPES`, on any device.
            differentiable: for each tensor, whether the receiver may differentiate through it; if empty, through none.

        Raises:
            ValueError: the header is too large, or holds what JSON cannot (the sender's fault; nothing was sent).
            ProtocolError: the connection is gone.
            Timeout: the other side does not read.
        """
        described, parts = [], []
        for tensor, flag in zip(tensors, differentiable or [False] * len(tensors), strict=True):
            strides = None
            if not (self.keep_strides or tensor.is_contiguous() or 0 in tensor.stride()):
                strides = list(tensor.stride())  # but a view that repeats elements has a stride of 0, and is sent dense
            described.append([DTYPE_NAMES[tensor.dtype], list(tensor.shape), flag, strides])
            parts.append(raw_bytes(tensor))
        text = encode_json({**header, "tensors": described}).encode()
        if len(text) > MAX_HEADER or len(parts) > MAX_TENSORS:
            raise ValueError(TOO_MANY_PARTS)
        total = sum(map(len, parts))
        if total > self.max_payload:
            raise ValueError(
                f"the value has {total / MEBIBYTE:.0f} MB; at most {self.max_payload / MEBIBYTE:.0f} MB may cross the "
                "sandbox boundary"
            )
        head = HEAD.pack(len(text), total) + text
        if total < BUFFER:
            self._send(b"".join([head, *parts]))
        else:
            self._send(head)
            for part in parts:
                self._send(part)

    def receive(self) -> Message:
        """The next frame.

        Raises:
            ProtocolError: what came is no frame.
            Timeout: nothing (or too little) came in time.
        """
        length, total = HEAD.unpack(self._take(HEAD.size))
        if length > MAX_HEADER or total > self.max_payload:
            raise ProtocolError(f"a frame of {length + total} bytes is over the limit")
        try:
            header = decode_json(self._take(length).decode())
        except (ValueError, RecursionError):
            raise ProtocolError("a header that is not JSON") from None
        described = header.pop("tensors", None) if isinstance(header, dict) else None
        if not isinstance(described, list) or len(described) > MAX_TENSORS:
            raise ProtocolError("a header without its list of tensors")
        tensors, flags = [], []
        for entry in described:
            dtype, shape, differentiable, strides = check_description(entry)
            # Sizes beside a zero count, too: to unbind a tensor of shape (2**39, 0) would never end.
            if math.prod([dtype.itemsize, *[n or 1 for n in shape]]) > self.max_payload:
                raise ProtocolError("a tensor larger than any frame")
            size = math.prod([dtype.itemsize, *shape])
            if size > total:
                raise ProtocolError("a tensor larger than its frame")
            total -= size
            tensors.append(self._tensor(dtype, shape, strides, self._take(size)))
            flags.append(differentiable)
        if total:
            raise ProtocolError("a payload that no tensor claims")
        return Message(header, tensors, flags)

    def _tensor(self, dtype: torch.dtype, shape: list[int], strides: list[int] | None, raw: bytearray) -> torch.Tensor:
        if not raw:
            return torch.empty(shape, dtype=dtype)
        if dtype is torch.bool:
            # A bool whose byte is neither 0 nor 1 is undefined behaviour in C++.
            return torch.frombuffer(raw, dtype=torch.uint8).ne(0).view(shape)
        tensor = torch.frombuffer(raw, dtype=dtype).view(shape)
        if strides is not None and self.keep_strides:
            return torch.empty_strided(shape, strides, dtype=dtype).copy_(tensor)
        return tensor


def check_description(entry: object) -> tuple[torch.dtype, list[int], bool, list[int] | None]:
    """One entry of a header's "tensors", or `ProtocolError`."""
    match entry:
        case [str(name), list(shape), bool(differentiable), (list() | None) as strides]:
            # type(n) is int: True is an int, too
            if name in DTYPES and len(shape) <= MAX_RANK and all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
                return DTYPES[name], shape, differentiable, strides
    raise ProtocolError("a tensor that is badly described")


def raw_bytes(tensor: torch.Tensor) -> memoryview:
    """The bytes of a tensor in row-major order; shares its memory where the layout allows."""
    if tensor.dtype is torch.bfloat16:  # which numpy has not
        tensor = tensor.detach().view(torch.int16)
    array = np.ascontiguousarray(tensor.numpy(force=True))
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
