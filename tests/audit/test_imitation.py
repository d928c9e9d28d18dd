"""Imitations of apps; of tensors, numbers and words the audits of all assignments have them."""

import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from autograder.audit.imitation import CHANGES, imitation
from coursekit.serving import ask


def make_app():
    app = FastAPI()

    @app.post("/shout")
    def shout(sent: dict[str, str]) -> dict:
        return {"text": sent["text"].upper(), "length": len(sent["text"]), "exact": True}

    app.add_api_route("/", lambda: PlainTextResponse("as it is"))
    return app


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("zeros", {"text": "", "length": 0, "exact": False}),
        ("ones", {"text": "", "length": 1, "exact": True}),
        ("echo", {"text": "ho", "length": 0, "exact": False}),
        ("detached", {"text": "HO", "length": 2, "exact": True}),
    ],
)
def test_an_app_answers_in_the_same_form_with_other_values(change, expected):
    app = imitation(make_app, CHANGES[change])()
    assert ask(app, "POST", "/shout", {"text": "ho"}) == (200, expected)
    assert ask(app, "GET", "/") == (200, "as it is")


def test_what_an_app_refuses_its_imitation_refuses():
    app = imitation(make_app, CHANGES["zeros"])()
    assert ask(app, "POST", "/shout", body=b"{")[0] == 422
