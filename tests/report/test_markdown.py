"""Markdown from strangers."""

import pytest
from bs4 import BeautifulSoup

from autograder.report.markdown import LONGEST, safe_html


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("**bold** and `a < b`", "<p><strong>bold</strong> and <code>a &lt; b</code></p>"),
        ("a < b & c", "<p>a &lt; b &amp; c</p>"),
        ("# Title", "<h3>Title</h3>"),
        ("| a |\n|---|\n| 1 |", "<td>1</td>"),
        ("$a_b$ and $c_d$", r'<span class="math">\(a_b\)</span>'),
        ("[here](https://example.org/a?b=1)", '<a href="https://example.org/a?b=1">here</a>'),
    ],
)
def test_what_people_write_is_rendered(source, html):
    assert html in safe_html(source)


@pytest.mark.parametrize(
    "source",
    [
        "<script>x()</script>",
        "<img src=x onerror=x()>",
        "<svg onload=x()>",
        "<iframe src=//evil.example></iframe>",
        "[a](javascript:x())",
        "[a](JaVaScRiPt:x())",
        "[a](\x01javascript:x())",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "<javascript:x()>",
        "[a]: javascript:x()\n\n[a]",
        "![a](https://evil.example/x.png)",
        '![a" onerror="x()](y)',
        "![<script>x()</script>](y)",
        '```"><script>x()</script>\ny\n```',
        "$</span><script>x()</script>$",
        "$$</div><img src=x>$$",
        '[a](https://e.org "t\\" onclick=\\"x()")',
        "&lt;script&gt;x()&lt;/script&gt;",
    ],
)
def test_what_could_do_something_cannot(source):
    for tag in BeautifulSoup(safe_html(source), "html.parser").find_all():
        assert tag.name in {"p", "a", "em", "pre", "code", "span", "div"}
        assert set(tag.attrs) <= {"href", "class", "tabindex"}
        assert tag.get("href", "#").startswith(("#", "https://e.org", "https://example.org"))


def test_very_long_text_is_shown_as_it_was_typed():
    assert safe_html("*a" * LONGEST).startswith('<pre tabindex="0">*a*a')


@pytest.mark.parametrize("piece", ["[", "*a", "![[", "`", "$a", "<", "> ", "**a*", "[a](", "_a_", "&#", "- "])
def test_text_made_to_be_slow_is_rendered_all_the_same(piece):
    assert safe_html(piece * (LONGEST // len(piece)))
