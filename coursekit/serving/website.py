"""The page in which one types a prompt.

It is one file, loads nothing from anywhere, and runs only its own script: the browser is told so by a content security policy
that names the script and the style by their hashes (https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path


@cache
def page() -> str:
    """The page, in HTML. It sends {"prompt": …, "max_tokens": …} to "generate", and shows the "text" of the answer as text."""
    return Path(__file__).with_name("website.html").read_text("utf-8")


def headers_for(html: str) -> dict[str, str]:
    """Headers to send with a page, so that a browser runs its script and no other, and loads nothing from anywhere."""

    def hashes(tag: str) -> str:
        """What stands in the page between such tags, as the policy names it."""
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    policy = (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


PAGE_HEADERS = headers_for(page())
"""Headers to send with the page: nothing else is loaded, run, framed or sent anywhere."""
