"""The class page of a thousand students in a real browser."""

from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe

from autograder.report.classpage.page import compose, render
from tests.report.synthetic import NAMES, synthetic_class

SIZE = 1000


@pytest.fixture(scope="module")
def class_():
    return synthetic_class(SIZE)


def written(students, folder):
    path = folder / "mini.html"
    page = compose("Small steps", [*NAMES, "why"], students, datetime(2027, 2, 1, tzinfo=UTC), path.parent)
    path.write_text(render(page), "utf-8")
    return path


@pytest.fixture(scope="module")
def file(class_, tmp_path_factory):
    return written(class_, tmp_path_factory.mktemp("report"))


@pytest.fixture
def page(browser, file):
    """The page, loaded; at the end it has said nothing on the console and asked for nothing but itself."""
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert said == []
    assert asked == [file.as_uri()]


def shown(page):
    """The names in the rows that can be seen."""
    return page.evaluate("[...document.querySelectorAll('#table tbody tr:not([hidden]) th')].map(th => th.textContent)")


def test_a_click_shows_the_students_behind_a_figure_and_another_lets_go(page, class_):
    assert len(shown(page)) == SIZE
    button = page.get_by_role("button", name="late", exact=False).first
    button.click()
    late = [item.name for item in class_ if item.late]
    assert shown(page) == late
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#status").inner_text() == f"{len(late)} of {SIZE}: late"
    button.click()
    assert len(shown(page)) == SIZE


def test_the_keyboard_does_the_same(page, class_):
    button = page.locator(".histogram button:not(:disabled)").first
    button.focus()
    page.keyboard.press("Enter")
    first = page.evaluate("document.activeElement.dataset.tip")
    assert first.endswith("with 0 to below 2.5 points")
    assert shown(page) == [item.name for item in class_ if item.score.earned < 2.5]
    page.keyboard.press("Escape")
    assert len(shown(page)) == SIZE
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "students"


def test_shift_narrows(page, class_):
    page.locator(".counts button", has_text="late").click()
    page.locator(".counts button", has_text="waiting").click(modifiers=["Shift"])
    assert shown(page) == [item.name for item in class_ if item.late and item.waiting]


def test_shift_narrows_at_the_keyboard(page, class_):
    page.locator(".counts button", has_text="late").press("Enter")
    page.locator(".counts button", has_text="waiting").press("Shift+Enter")
    assert shown(page) == [item.name for item in class_ if item.late and item.waiting]


def test_a_student_is_found_by_name(page):
    page.get_by_label("Find a student").fill("T-0123 ")
    assert shown(page) == ["student-0123"]
    page.get_by_role("button", name="Show everyone").click()
    assert len(shown(page)) == SIZE


def test_figures_find_the_same_students_after_sorting(page, class_):
    page.get_by_role("button", name="Score").click()
    order = sorted(class_, key=lambda item: -item.score.earned)
    assert shown(page)[0] == order[0].name
    page.locator(".counts button", has_text="late").click()
    assert set(shown(page)) == {item.name for item in class_ if item.late}


def test_a_bar_says_its_figures_under_the_pointer(page, class_):
    page.locator(".histogram button:not(:disabled)").first.hover()
    assert "points" in page.locator("#tip").inner_text()
    strip = page.locator(".strip").first
    box = strip.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 5)
    share = class_[0].score.grades[NAMES[0]].score / 2
    assert page.locator("#tip").inner_text() == f"{NAMES[0]}: {100 * share:.0f}%"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator(".rate").first.click()
    page.get_by_role("link", name="See them").click()
    assert page.locator("#table").is_visible()


def test_print_shows_all_of_the_table(page):
    page.emulate_media(media="print")
    assert page.locator("#table tbody tr").last.is_visible()
    assert not page.locator("#find").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1300])
def test_nothing_stands_in_the_way_of_anyone(browser, tmp_path, width, scheme):
    """axe, with all that is closed opened, finds no fault."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(written(synthetic_class(30), tmp_path).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    violations = Axe().run(page).response["violations"]
    page.close()
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations] == []
