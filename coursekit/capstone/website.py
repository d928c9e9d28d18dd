"""The page of the demo: a prompt, a seed, and whatever comes of them, be it an image, a text or music."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from coursekit.serving.website import headers_for


def page(title: str, about: str, prompts: Sequence[str] = ()) -> str:
    """The page, in HTML. It sends {"prompt": …, "seed": …} to "generate" and shows what `to_json` makes of a work.

    Args:
        title: the name of the project.
        about: a sentence on what it does, and what to type.
        prompts: some that may be chosen; the first stands there already.
    """
    options = "".join(f'<option value="{html.escape(prompt)}">' for prompt in prompts)
    parts = {"title": html.escape(title), "about": html.escape(about), "options": options}
    parts["first"] = html.escape(prompts[0]) if prompts else ""
    before, *rest = _source().split("{{")
    pieces = [part.partition("}}") for part in rest]
    return before + "".join(parts[name] + text for name, _, text in pieces)


@cache
def _source() -> str:
    return Path(__file__).with_name("website.html").read_text("utf-8")


PAGE_HEADERS = headers_for(_source())
"""Headers to send with the page: a browser then runs its script and no other, and loads nothing from anywhere."""
