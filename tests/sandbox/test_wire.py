"""Frames: they bring back what was sent, and anything else raises ProtocolError."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox.errors import ProtocolError
from autograder.sandbox.wire import DTYPES, HEAD, MAX_HEADER, MEBIBYTE, Channel, Message, Timeout, clean


def frame(header: object, payload: bytes = b"", *, length: int | None = None, total: int | None = None) -> bytes:
    """A frame that may be anything but right."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return HEAD.pack(len(text) if length is None else length, len(payload) if total is None else total) + text + payload


def received(data: bytes, *, max_payload: int = MEBIBYTE) -> Message:
    """What a channel makes of bytes after which the connection closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=lambda: (theirs.sendall(data), theirs.shutdown(socket.SHUT_WR)))
        sender.start()
        try:
            return Channel(ours, max_payload=max_payload).receive()
        finally:
            ours.close()  # a sender that still writes gets an error
            sender.join()


def exchanged(header: dict[str, Any], *tensors: torch.Tensor, worker: bool = False) -> Message:
    """What arrives when one channel sends to another."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=Channel(ours).send, args=(header, tensors))
        sender.start()
        message = Channel(theirs, keep_strides=worker).receive()
        sender.join()
    return message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def dense_tensors(draw: st.DrawFn) -> torch.Tensor:
    dtype = draw(st.sampled_from(list(DTYPES.values())))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    raw = draw(st.binary(min_size=(size := math.prod(shape) * dtype.itemsize), max_size=size))
    if dtype is torch.bool:
        raw = bytes(byte & 1 for byte in raw)
    return torch.frombuffer(bytearray(raw), dtype=dtype).view(shape) if raw else torch.empty(shape, dtype=dtype)


def bits(tensor: torch.Tensor) -> bytes:
    """Values with their NaNs."""
    return bytes(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()) if tensor.numel() else b""


class TestRoundTrip:
    @given(header=st.dictionaries(st.text().filter(lambda key: key != "tensors"), JSON, max_size=4))
    def test_headers(self, header: dict[str, Any]) -> None:
        assert exchanged(header).header == header

    @given(tensors=st.lists(dense_tensors(), max_size=5))
    def test_tensors(self, tensors: list[torch.Tensor]) -> None:
        """Every dtype, shape and bit pattern, empty ones too."""
        arrived = exchanged({}, *tensors).tensors
        assert [(x.dtype, x.shape, bits(x)) for x in arrived] == [(x.dtype, x.shape, bits(x)) for x in tensors]

    @pytest.mark.parametrize(
        "layout", [lambda x: x.T, lambda x: x[::2, 1:], lambda x: x[:1].expand(4, 6), lambda x: x[:, :1]]
    )
    def test_views(self, layout: Any) -> None:
        view = layout(torch.randn(4, 6))
        assert torch.equal(exchanged({}, view).tensors[0], view)
        assert torch.equal(exchanged({}, view, worker=True).tensors[0], view)

    def test_the_worker_sees_the_strides_of_the_test(self) -> None:
        """So that `.view(-1)` of a transposed tensor fails there as it does here."""
        assert exchanged({}, torch.zeros(3, 5).T, worker=True).tensors[0].stride() == (1, 5)

    def test_the_test_sees_no_strides_of_the_worker(self) -> None:
        message = received(frame({"tensors": [["float32", [2], False, [10**9]]]}, bytes(8)))
        assert message.tensors[0].stride() == (1,)

    def test_lazy_conjugates_are_resolved(self) -> None:
        z = torch.tensor([1 + 2j])
        assert exchanged({}, z.conj(), z.conj().imag).tensors[0].item() == 1 - 2j

    def test_several_frames_in_one_packet(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(frame({"a": 1, "tensors": []}) + frame({"b": 2, "tensors": []}))
            channel = Channel(theirs)
            assert [channel.receive().header for _ in range(2)] == [{"a": 1}, {"b": 2}]


FLOAT = ["float32", [1], False, None]
MALFORMED = {
    "nothing": b"",
    "half a head": b"\0\0\0",
    "a header longer than allowed": frame(b"", length=MAX_HEADER + 1),
    "a header of 4 GB": frame(b"", length=2**32 - 1),
    "a payload of 2**60 bytes": frame({"tensors": []}, total=2**60),
    "a header that is cut off": frame(b"{}", length=99),
    "a payload that is cut off": frame({"tensors": [["float32", [9], False, None]]}, b"1234", total=36),
    "no JSON": frame(b"{{{{"),
    "no UTF-8": frame(b'"\xff"'),
    "500,000 brackets": frame(b"[" * 500_000),
    "an integer of 5,000 digits": frame(b'{"tensors":[],"x":' + b"9" * 5000 + b"}"),
    "a list": frame([1]),
    "a string": frame("x"),
    "no list of tensors": frame({}),
    "tensors that are no list": frame({"tensors": {"0": FLOAT}}),
    "a tensor that is no list": frame({"tensors": [1]}),
    "a description too short": frame({"tensors": [["float32", [1]]]}, b"1234"),
    "an unknown dtype": frame({"tensors": [["__class__", [1], False, None]]}, b"1234"),
    "a dtype that is a list": frame({"tensors": [[["float32"], [1], False, None]]}, b"1234"),
    "a negative size": frame({"tensors": [["float32", [-1, -1], False, None]]}, b"1234"),
    "a fractional size": frame({"tensors": [["float32", [1.0], False, None]]}, b"1234"),
    "a size that is True": frame({"tensors": [["float32", [True], False, None]]}, b"1234"),
    "a size that is a tree": frame({"tensors": [["float32", [[[[1]]]], False, None]]}, b"1234"),
    "a flag that is no bool": frame({"tensors": [["float32", [1], 1, None]]}, b"1234"),
    "strides that are no list": frame({"tensors": [["float32", [1], False, "1"]]}, b"1234"),
    "more dimensions than torch has": frame({"tensors": [["uint8", [1] * 65, False, None]]}, b"1"),
    "sizes whose product overflows": frame({"tensors": [["float32", [2**40, 2**40, 0, 2**39], False, None]]}),
    "a huge size beside a zero": frame({"tensors": [["float32", [2**39, 0], False, None]]}),
    "more bytes than the frame has": frame({"tensors": [FLOAT, FLOAT]}, b"1234"),
    "bytes that no tensor claims": frame({"tensors": [FLOAT]}, b"12345678"),
    "5,000 tensors": frame({"tensors": [["uint8", [0], False, None]] * 5000}),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_frame_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        received(data)


def test_bools_are_zero_or_one_whatever_their_bytes() -> None:
    message = received(frame({"tensors": [["bool", [4], False, None]]}, b"\0\1\2\xff"))
    assert bits(message.tensors[0]) == b"\0\1\1\1"


@settings(max_examples=300)
@given(data=st.data())
def test_a_mutated_frame_is_a_frame_or_a_protocol_error(data: st.DataObject) -> None:
    raw = bytearray(frame({"value": {"tensor": 0}, "tensors": [["float32", [2, 2], True, None], FLOAT]}, bytes(20)))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(raw) - 1))
        raw[where : where + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        message = received(bytes(raw))
    except ProtocolError:
        return
    assert all(tensor.numel() * tensor.itemsize <= MEBIBYTE for tensor in message.tensors)


@pytest.fixture
def channel() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the raw other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Channel(ours, max_payload=MEBIBYTE), theirs


def test_a_silent_sender_times_out(channel: tuple[Channel, socket.socket]) -> None:
    channel[0].deadline = time.monotonic() + 0.05
    with pytest.raises(Timeout):
        channel[0].receive()


def test_a_sender_who_drips_times_out(channel: tuple[Channel, socket.socket]) -> None:
    """The deadline is for the frame, not for each byte of it."""
    stop = threading.Event()

    def drip() -> None:
        for byte in frame({"pad": "x" * 2000, "tensors": []}):
            if stop.wait(0.01):
                return
            channel[1].send(bytes([byte]))

    dripping = threading.Thread(target=drip)
    dripping.start()
    channel[0].deadline = time.monotonic() + 0.2
    with pytest.raises(Timeout):
        channel[0].receive()
    stop.set()
    dripping.join()


def test_a_reader_who_does_not_read_times_out(channel: tuple[Channel, socket.socket]) -> None:
    channel[0].deadline = time.monotonic() + 0.05
    with pytest.raises(Timeout):
        channel[0].send({}, [torch.zeros(200_000)])


def test_a_reader_who_is_gone_is_a_protocol_error(channel: tuple[Channel, socket.socket]) -> None:
    channel[1].close()
    with pytest.raises(ProtocolError):
        channel[0].send({}, [torch.zeros(200_000)])


@pytest.mark.parametrize(
    ("header", "tensors"),
    [
        ({"x": "y" * MAX_HEADER}, []),
        ({}, [torch.zeros(1)] * 5000),
        ({}, [torch.zeros(MEBIBYTE)]),
        ({"x": 10**5000}, []),
    ],
)
def test_what_is_too_large_is_the_senders_own_error(
    channel: tuple[Channel, socket.socket], header: dict[str, Any], tensors: list[torch.Tensor]
) -> None:
    """It is raised before a byte is sent, so that the conversation can go on."""
    with pytest.raises(ValueError):
        channel[0].send(header, tensors)
    channel[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        channel[1].recv(1)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\nb\tc", "a\nb\tc"),
        ("\x1b[2J\r\a\0", "�[2J���"),
        ("\ud800", "?"),
        ("\u202eabc", "�abc"),
        ("π ≈ 3", "π ≈ 3"),
        ("x" * 10_000, "x" * 4000),
    ],
)
def test_untrusted_text_is_cleaned(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
