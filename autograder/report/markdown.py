"""Markdown that strangers wrote, as HTML that can do nothing but be read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import bleach
import mistune
from markupsafe import Markup, escape

LONGEST = 20_000  # characters; longer text is shown as it was typed

_TAGS = frozenset(
    "a blockquote br code del div em h1 h2 h3 h4 h5 h6 hr li ol p pre span strong table tbody td th thead tr ul".split()
)
_ATTRIBUTES = {
    "pre": ["tabindex"],
    "a": ["href"],
    "code": ["class"],
    "span": ["class"],
    "div": ["class"],
    "ol": ["start"],
}


class _Renderer(mistune.HTMLRenderer):
    """Raw HTML is text, and an image, which could be fetched from anywhere, is its description."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f"<em>[picture: {text or escape(url[:100])}]</em>"

    def block_code(self, code: str, info: str | None = None) -> str:
        # What is scrolled must be within reach of the keyboard.
        return super().block_code(code, info).replace("<pre>", '<pre tabindex="0">', 1)

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        # Below the headings of the page that it stands in.
        return f"<h{min(level + 2, 6)}>{text}</h{min(level + 2, 6)}>\n"


_render = mistune.create_markdown(
    escape=True, renderer=_Renderer(escape=True), plugins=["math", "strikethrough", "table"]
)


@lru_cache(maxsize=1024)  # most texts are the same in everyone's notebook
def safe_html(source: str) -> Markup:
    """Render Markdown. Mathematics stays in TeX, for a reader, or for MathJax where there is one."""
    if len(source) > LONGEST:
        return Markup('<pre tabindex="0">{}</pre>').format(source)
    html = str(_render(source))
    # The renderer lets nothing through; bleach would, too, if it did.
    return Markup(bleach.clean(html, tags=_TAGS, attributes=_ATTRIBUTES, protocols={"http", "https", "mailto"}))
