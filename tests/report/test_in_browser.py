"""Students' pages in a real browser: on a phone and on a desk, in light and in dark, by keyboard, with a screen reader."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from rich.console import Console

from autograder.demo.road import demo
from tests.mini_course import make_course


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a student who made mistakes in every exercise, and answered the question. One of them can be seen."""
    folder = tmp_path_factory.mktemp("pages")
    course = make_course(folder / "course")
    hidden = course.assignment("mini").hidden_path
    hidden.write_text(hidden.read_text("utf-8").replace("x=tensors((3,))", "x=tensors((8,))"), "utf-8")
    demo(course, folder / "sample", Console(file=io.StringIO()), mistakes="mini")
    return folder / "sample/feedback/m01/mini/mini.html"


@pytest.fixture(
    params=[(360, "light"), (360, "dark"), (1200, "light"), (1200, "dark")], ids=lambda kind: "-".join(map(str, kind))
)
def page(request: pytest.FixtureRequest, browser: Browser, path: Path) -> Iterator[Page]:
    """It, open; whatever it wants from elsewhere, or complains of, is an error."""
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    wanted: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: wanted.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert wanted == [path.as_uri()]
    assert said == []


def test_nothing_stands_in_the_way_of_anyone(page: Page):
    """axe, with all that is closed opened, finds no fault."""
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    violations = Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations] == []


def test_nothing_is_wider_than_the_window(page: Page):
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_what_came_is_drawn_beside_what_was_expected(page: Page):
    picture = page.locator("#square .picture svg").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_be_in_viewport()
    assert picture.get_attribute("aria-label").startswith("Expected and received")
    strokes = [
        picture.locator(f"polyline.{name}").evaluate("e => getComputedStyle(e).stroke")
        for name in ("expected", "received")
    ]
    assert len({*strokes, "none"}) == 3


def test_what_to_look_at_first_leads_there(page: Page):
    first = page.locator(".first li").first
    assert "square" in first.inner_text()
    first.locator("a").click()
    page.wait_for_url("**#square")
    expect(page.locator("#square")).to_be_in_viewport()


def test_by_keyboard(page: Page):
    """The first key leads past the summary; a folded text opens with a key."""
    page.keyboard.press("Tab")
    expect(page.get_by_text("To the notebook")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**#notebook")
    folded = page.locator("main details").first
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(folded).to_have_attribute("open", "")
