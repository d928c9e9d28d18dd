"""The works that a capstone makes: an image, a text, or a piece of music; what makes one sound, and how one travels.

A work is a plain value, so that two can be compared, a page can show one, and a grader can read one.
"""

from __future__ import annotations

import base64
import hashlib
import io
import random
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

Option = Literal["art", "text", "music", "finetuning"]
Kind = Literal["image", "text", "music"]
Image = Float32[Tensor, "3 height width"]
Notes = list[tuple[float, float, int, int]]
Work = Image | str | Notes
"""What `generate` returns; see `fault_of_work` for what makes each of the three sound."""

KINDS: dict[str, tuple[Kind, ...]] = {
    "art": ("image",),
    "text": ("text",),
    "music": ("music",),
    "finetuning": ("text", "image"),
}
"""The options, and the kinds of work that each may make; a project makes always the same kind."""

OPTIONS = tuple(KINDS)
MAX_PROMPT = 1000  # characters that a demo takes
MAX_SEED = 2**32 - 1  # the largest that NumPy takes, too
SIDES = (8, 1024)  # pixels
MOST_CHARACTERS, MOST_NOTES, MOST_SECONDS = 10_000, 2000, 300.0


def kind_of(work: Any) -> Kind | None:
    """What kind of work a value could be, by its type alone: a tensor is an image, a list is music."""
    kinds: dict[type, Kind] = {Tensor: "image", str: "text", list: "music"}
    return next((kind for type_, kind in kinds.items() if isinstance(work, type_)), None)


def fault_of_work(work: Any, option: str | None = None) -> str | None:
    """Why a value is no sound work, in a sentence; None if it is one.

    - An image is a float32 tensor (3, height, width) of red, green and blue in [0, 1], both sides from 8 to 1024 pixels,
      without a graph.
    - A text has 1 to 10,000 characters, one of which is not white space.
    - Music is a list of 1 to 2000 notes (start, end, pitch, velocity), as in the assignment `audio`: start and end are in
      seconds, 0 ≤ start < end ≤ 300; pitch is an int from 0 to 127, 60 being middle C; velocity is an int from 1 to 127. Notes
      stand in the order of their starts.

    Args:
        work: what `generate` returned.
        option: the project's option, which says what kinds are welcome; None for all.
    """
    kind = kind_of(work)
    if kind is None:
        return f"A work is a tensor, a string or a list of notes, but this is a {type(work).__name__}."
    if option in KINDS and kind not in KINDS[option]:
        return f"The option {option} makes {' or '.join(KINDS[option])}, but this is {kind}."
    if kind == "image":
        return _fault_of_image(work)
    return _fault_of_text(work) if kind == "text" else _fault_of_music(work)


def _fault_of_image(image: Tensor) -> str | None:
    sizes = tuple(image.shape)
    if len(sizes) != 3 or sizes[0] != 3 or not all(SIDES[0] <= side <= SIDES[1] for side in sizes[1:]):
        return f"An image has the shape (3, height, width), sides from {SIDES[0]} to {SIDES[1]}, but this has {sizes}."
    if image.dtype != torch.float32:
        return f"An image has the dtype float32, but this has {str(image.dtype).removeprefix('torch.')}."
    if image.requires_grad:
        return "An image has no graph, but this one asks for gradients."
    if not bool(((image >= 0) & (image <= 1)).all()):  # NaN is neither
        low, high = image.min().item(), image.max().item()
        return f"The values of an image lie in [0, 1], but these reach from {low:.4g} to {high:.4g}."
    return None


def _fault_of_text(text: str) -> str | None:
    if not text.strip():
        return "A text holds more than white space, but this one does not."
    if len(text) > MOST_CHARACTERS:
        return f"A text has at most {MOST_CHARACTERS} characters, but this has {len(text)}."
    return None


def _fault_of_music(notes: list[Any]) -> str | None:
    if not 1 <= len(notes) <= MOST_NOTES:
        return f"Music has 1 to {MOST_NOTES} notes, but this has {len(notes)}."
    for number, note in enumerate(notes):
        if not isinstance(note, tuple) or len(note) != 4:
            return f"A note is a tuple (start, end, pitch, velocity), but number {number} is {str(note)[:80]}."
        start, end, pitch, velocity = note
        if not all(isinstance(time, float) for time in (start, end)) or not 0 <= start < end <= MOST_SECONDS:
            return (
                f"A note has floats 0 ≤ start < end ≤ {MOST_SECONDS:g}, but number {number} has {start!r} and {end!r}."
            )
        if type(pitch) is not int or type(velocity) is not int or not (0 <= pitch <= 127 and 1 <= velocity <= 127):
            return (
                f"A note has ints pitch 0–127 and velocity 1–127, but number {number} has {pitch!r} and {velocity!r}."
            )
        if number and start < notes[number - 1][0]:
            return f"Notes stand in the order of their starts, but number {number} starts before the one before it."
    return None


def same_work(one: Any, other: Any) -> bool:
    """Whether two works are the same to the last bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and not isinstance(one, Tensor) and bool(one == other)


def to_json(work: Work) -> dict[str, Any]:
    """A work as JSON can carry it, and as the demo's page shows it.

    Returns:
        {"kind": "text", "text": "…"}, {"kind": "music", "notes": [[start, end, pitch, velocity], …]}, or
        {"kind": "image", "image": "data:image/png;base64,…"}, each value of the image being rounded to the nearest of
        0, 1/255, …, 1.

    Raises:
        ValueError: it is no sound work.
    """
    if fault := fault_of_work(work):
        raise ValueError(fault)
    if isinstance(work, str):
        return {"kind": "text", "text": work}
    if isinstance(work, list):
        return {"kind": "music", "notes": [list(note) for note in work]}
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    pixels = (work.cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    Pillow.fromarray(pixels).save(buffer, "png")
    return {"kind": "image", "image": "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()}


def from_json(answer: Mapping[str, Any]) -> Work:
    """The inverse of `to_json`; an image comes back in steps of 1/255.

    Raises:
        ValueError: it is something else.
    """
    try:
        match answer["kind"]:
            case "text":
                return str(answer["text"])
            case "music":
                return [(float(start), float(end), pitch, velocity) for start, end, pitch, velocity in answer["notes"]]
            case "image":
                from PIL import Image as Pillow

                head, _, data = str(answer["image"]).partition(",")
                if head != "data:image/png;base64":
                    raise ValueError(head)
                with Pillow.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=["png"]) as png:
                    pixels = torch.from_numpy(np.array(png.convert("RGB")))
                return pixels.permute(2, 0, 1).contiguous().float() / 255
    except (KeyError, TypeError, ValueError, OSError):
        pass
    raise ValueError(f"this is no work as to_json writes it: {str(answer)[:100]}")


def random_state() -> str:
    """A fingerprint of the global random state of Python, NumPy and PyTorch: whoever draws from it, changes it."""
    numpy: Any = np.random.get_state(legacy=False)
    parts = [
        repr(random.getstate()).encode(),
        numpy["state"]["key"].tobytes(),
        repr((numpy["state"]["pos"], numpy["has_gauss"], numpy["gauss"])).encode(),
        torch.get_rng_state().numpy().tobytes(),
    ]
    return hashlib.sha256(b"".join(parts)).hexdigest()
