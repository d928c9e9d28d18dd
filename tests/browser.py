"""A real browser, for tests of pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium without a window, for as long as the block runs. That there is none fails the test."""
    from playwright.sync_api import Error as PlaywrightError
    from playwright.sync_api import sync_playwright

    if not Path(CHROMIUM).exists():
        pytest.fail(f"there is no {CHROMIUM}; install it: apt-get install chromium")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        except PlaywrightError as error:
            pytest.fail(f"{CHROMIUM} does not start: {str(error).splitlines()[0]}")
        yield browser
        browser.close()
