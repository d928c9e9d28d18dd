import random

import numpy as np
import pytest
import torch
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from coursekit.capstone.grading import ask_demo, media_type_of_demo, random_fingerprint, stir_random


@pytest.fixture
def app():
    app = FastAPI()
    app.add_api_route("/", lambda: HTMLResponse("<p>here</p>"))
    app.add_api_route("/double", lambda number: {"number": 2 * int(number)}, methods=["POST"])
    return app


def test_a_demo_is_asked(app):
    assert ask_demo(app, "POST", "/double?number=4") == (200, {"number": 8})
    assert ask_demo(app, "GET", "/") == (200, "<p>here</p>")


def test_a_demo_says_what_its_page_is(app):
    assert media_type_of_demo(app, "/") == "text/html"
    assert media_type_of_demo(app, "/nowhere") == "application/json"


@pytest.mark.parametrize("draw", [random.random, np.random.random, lambda: torch.rand(1)])
def test_stirred_with_one_seed_the_global_numbers_stand_at_one_place(draw):
    stir_random(3)
    before = random_fingerprint()
    first = float(draw())
    assert random_fingerprint() != before
    stir_random(3)
    assert random_fingerprint() == before
    assert float(draw()) == first
    stir_random(2**32 - 1)
    assert random_fingerprint() != before
