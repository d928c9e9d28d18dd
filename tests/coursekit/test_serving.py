"""Serving: asking an app without a network, batches, limits, the page, and all of it on a real port with a real browser."""

import asyncio
import importlib
import json
import os
import re
import socket
import sys
import threading
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect

from autograder.course import Course
from autograder.reference import reference_sources
from coursekit.serving import (
    PAGE_HEADERS,
    Batcher,
    LimitBody,
    Overloaded,
    ask,
    ask_together,
    headers_of,
    page,
    send,
    serve,
    writer,
)
from solutions.advanced import create_app

REPOSITORY = Path(__file__).parents[2]
SCRIPT = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"


def shout(prompts: list[str], max_tokens: list[int]) -> list[str]:
    """A model that repeats every prompt in capitals, and fails where it is told to."""
    if "fail" in prompts:
        raise RuntimeError("the password is swordfish")
    return [f" {prompt.upper()} {most}" for prompt, most in zip(prompts, max_tokens, strict=True)]


@pytest.fixture
def app() -> FastAPI:
    return create_app(shout, max_wait=0.0)


# ---- asking


def test_json_comes_back_as_json_and_other_things_as_text(app: FastAPI):
    assert ask(app, "GET", "/health") == (200, {"status": "ok"})
    assert ask(app, "GET", "/") == (200, page())


def test_a_status_is_no_exception(app: FastAPI):
    assert ask(app, "GET", "/nowhere")[0] == 404
    assert ask(app, "GET", "/generate")[0] == 405


def test_an_exception_of_the_app_is_answered_by_500():
    failing = FastAPI()

    @failing.get("/")
    def index() -> None:
        raise KeyError("inside")

    assert ask(failing, "GET", "/")[0] == 500


def test_an_exception_before_any_answer_comes_through():
    async def failing(scope: object, receive: object, send: object) -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        ask(failing, "GET", "/")


def test_an_app_that_never_answers_is_given_up():
    async def silent(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=r"GET / was not answered within 0\.05 seconds"):
        ask(silent, "GET", "/", seconds=0.05)


def test_an_app_that_forgets_to_answer_is_named():
    async def silent(scope: object, receive: object, send: object) -> None:
        return

    with pytest.raises(RuntimeError, match="without a whole answer"):
        ask(silent, "GET", "/")


def test_it_can_be_asked_where_a_loop_is_running(app: FastAPI):
    """As in a notebook, whose kernel has one."""

    async def cell() -> tuple[int, object]:
        return ask(app, "GET", "/health")

    assert asyncio.run(cell()) == (200, {"status": "ok"})


def test_a_body_arrives_whole_however_long_it_is():
    echo = FastAPI()

    @echo.post("/")
    def count(given: dict[str, str]) -> int:
        return len(given["text"])

    assert ask(echo, "POST", "/", {"text": "x" * 100_000}) == (200, 100_000)


# ---- batches


def batches_of(count: int, **options: float) -> list[list[int]]:
    """Ask a batcher for so many items at once; the batches that it made."""
    made: list[list[int]] = []

    def run(items: list[int]) -> list[int]:
        made.append(items)
        return [10 * item for item in items]

    async def all_of_them() -> list[int]:
        batcher = Batcher(run, **options)  # type: ignore[arg-type]
        return await asyncio.gather(*map(batcher, range(count)))

    assert asyncio.run(all_of_them()) == [10 * item for item in range(count)]
    return made


def test_a_full_batch_does_not_wait():
    assert batches_of(6, max_batch=3, max_wait=1000) == [[0, 1, 2], [3, 4, 5]]


def test_what_fills_no_batch_waits_no_longer_than_it_must():
    assert batches_of(4, max_batch=3, max_wait=0.01) == [[0, 1, 2], [3]]


def test_a_fault_is_everybodys_in_the_batch_and_nobodys_after_it():
    def run(items: list[int]) -> list[int]:
        if 0 in items:
            raise KeyError("zero")
        return items

    async def all_of_them() -> list[object]:
        batcher = Batcher(run, max_batch=2, max_wait=1000)
        return await asyncio.gather(*map(batcher, range(4)), return_exceptions=True)

    first, second, *others = asyncio.run(all_of_them())
    assert isinstance(first, KeyError)
    assert isinstance(second, KeyError)
    assert others == [2, 3]


def test_a_function_that_loses_results_is_found_out():
    async def one() -> None:
        await Batcher(lambda items: [], max_wait=0.0)(1)

    with pytest.raises(ValueError, match="1 items were asked about, but 0 results came"):
        asyncio.run(one())


def test_too_many_are_turned_away_and_the_others_are_not():
    async def all_of_them() -> list[object]:
        batcher = Batcher(list, max_batch=8, max_wait=0.01, max_waiting=2)
        return await asyncio.gather(*map(batcher, range(3)), return_exceptions=True)

    first, second, third = asyncio.run(all_of_them())
    assert [first, second] == [0, 1]
    assert isinstance(third, Overloaded)


def test_who_leaves_is_not_waited_for():
    made: list[list[int]] = []

    async def some_of_them() -> int:
        batcher = Batcher(lambda items: made.append(items) or items, max_batch=2, max_wait=1000)
        gone = asyncio.ensure_future(batcher(1))
        await asyncio.sleep(0)
        gone.cancel()
        return await batcher(2)

    assert asyncio.run(some_of_them()) == 2
    assert made == [[2]]


def test_a_batcher_outlives_its_loop():
    """As an app does that is asked again and again."""
    batcher = Batcher(list, max_wait=0.0)

    async def one() -> int:
        return await batcher(7)

    assert [asyncio.run(one()) for _ in range(3)] == [7, 7, 7]


def test_the_app_answers_others_while_the_model_works():
    well = threading.Event()

    def slow(prompts: list[str], max_tokens: list[int]) -> list[str]:
        assert well.wait(30), "nobody asked about the app's health"
        return prompts

    app = create_app(slow, max_wait=0.0)

    async def health_first(scope: dict[str, str], receive: object, send: object) -> None:
        await app(scope, receive, send)  # type: ignore[arg-type]
        if scope["path"] == "/health":
            well.set()

    answers = ask_together(health_first, [("POST", "/generate", {"prompt": "x"}), ("GET", "/health", None)], seconds=30)
    assert [status for status, _ in answers] == [200, 200]


# ---- limits


@pytest.mark.parametrize(
    "headers", [{}, {"content-length": "1"}, {"content-length": "9" * 30}, {"content-length": "x"}]
)
def test_a_large_body_is_refused_whatever_its_header_says(app: FastAPI, headers: dict[str, str]):
    status, _ = ask(app, "POST", "/generate", body=b" " * 70_000, headers=headers)
    assert status == 413


def test_no_more_is_read_than_the_limit():
    read = []

    async def endless() -> dict[str, object]:
        read.append(100)
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def take(message: dict[str, object]) -> None:
        pass

    async def never(scope: object, receive: object, send: object) -> None:
        pytest.fail("the app saw it")

    scope = {"type": "http", "headers": []}
    asyncio.run(LimitBody(never, 1000)(scope, endless, take))
    assert sum(read) == 1100


HOSTILE = [
    b"",
    b"null",
    b"[]",
    b'"prompt"',
    b"\xff\xfe\x00",
    b"[" * 60_000,
    b'{"prompt": 5}',
    b'{"prompt": {"$gt": ""}}',
    b'{"prompt": ["a"]}',
    b'{"prompt": "a", "max_tokens": "20"}',
    b'{"prompt": "a", "max_tokens": NaN}',
    b'{"prompt": "a", "max_tokens": 1e999}',
    b'{"prompt": "a", "max_tokens": ' + b"9" * 5000 + b"}",
    b'{"prompt": "a", "max_tokens": -1}',
    b'{"prompt": "a", "max_tokens": true}',
    b'{"prompt": "a", "__class__": "x"}',
    b'{"prompt": "\\ud800"}',
    b'{"\\ud800": NaN, "prompt": "a"}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: repr(body[:40]))
def test_hostile_bodies_are_refused_and_the_model_is_not_asked(body: bytes):
    asked: list[list[str]] = []
    app = create_app(lambda prompts, most: asked.append(prompts) or prompts, max_wait=0.0)
    status, answer = ask(app, "POST", "/generate", body=body)
    assert status in (400, 422)
    assert isinstance(answer, dict)
    assert asked == []
    assert ask(app, "POST", "/generate", {"prompt": "a"}) == (200, {"text": "a"})


def test_a_failure_keeps_its_reason_to_itself(app: FastAPI):
    status, answer = ask(app, "POST", "/generate", {"prompt": "fail"})
    assert status == 500
    assert "swordfish" not in json.dumps(answer)


# ---- the page


def test_the_page_loads_nothing_from_elsewhere():
    assert re.findall(r"""(?:src|href|action)\s*=\s*["']?(?!data:)[^\s"'>]+""", page()) == []
    assert "innerHTML" not in re.sub(r"//.*", "", page())


def test_the_policy_allows_nothing_by_default(app: FastAPI):
    headers = headers_of(app, "GET", "/")
    assert {name.lower(): value for name, value in PAGE_HEADERS.items()}.items() <= headers.items()
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def type_and_send(browser_page: Page, address: str, prompt: str, tokens: int = 7) -> None:
    browser_page.goto(address)
    browser_page.get_by_label("Beginning").fill(prompt)
    browser_page.get_by_label("Tokens").fill(str(tokens))
    browser_page.get_by_role("button", name="Write on").click()


def test_a_prompt_typed_into_the_page_is_answered(app: FastAPI, browser_page: Page):
    complaints: list[str] = []
    browser_page.on("console", lambda message: complaints.append(message.text))
    with serve(app) as address:
        type_and_send(browser_page, address, "once upon a time")
        expect(browser_page.locator("output")).to_have_text("once upon a time ONCE UPON A TIME 7")
        expect(browser_page.get_by_role("button")).to_be_enabled()
    assert complaints == []


def test_markup_is_shown_as_text(app: FastAPI, browser_page: Page):
    with serve(app) as address:
        type_and_send(browser_page, address, SCRIPT)
        expect(browser_page.locator("output")).to_have_text(f"{SCRIPT} {SCRIPT.upper()} 7")
        assert browser_page.title() == "A small language model"
        assert browser_page.locator("output script, output img").count() == 0


def test_the_page_says_what_went_wrong(app: FastAPI, browser_page: Page):
    with serve(app) as address:
        type_and_send(browser_page, address, "x" * 2000)
        expect(browser_page.locator("output.wrong")).to_contain_text("does not accept this")
        browser_page.get_by_label("Beginning").fill("fail")
        browser_page.get_by_role("button").click()
        expect(browser_page.locator("output.wrong")).to_have_text("The server answered with status 500.")
    browser_page.get_by_role("button").click()
    expect(browser_page.locator("output.wrong")).to_have_text("The server cannot be reached.")


# ---- on a port


def test_requests_at_the_same_time_share_a_batch():
    sizes: list[int] = []

    def write(prompts: list[str], max_tokens: list[int]) -> list[str]:
        sizes.append(len(prompts))
        return prompts

    with serve(create_app(write, max_batch=4, max_wait=1000)) as address:
        answers, seconds = send(f"{address}/generate", [{"prompt": str(n)} for n in range(8)], [0.0] * 8)
    assert answers == [{"text": str(n)} for n in range(8)]
    assert len(seconds) == 8
    assert sizes == [4, 4]


def test_only_this_machine_can_reach_it(app: FastAPI):
    with serve(app) as address:
        assert address.startswith("http://127.0.0.1:")
        port = int(address.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0  # and nobody, afterwards


def test_a_refused_request_raises(app: FastAPI):
    with serve(app) as address, pytest.raises(OSError, match="422"):
        send(f"{address}/generate", [{}], [0.0])


# ---- a model


@pytest.fixture(scope="module")
def tiny_gpt() -> tuple[object, object]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from coursekit import data

    folder = data.checkpoint("tiny-gpt")
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def test_a_batch_gets_what_each_would_get_alone(tiny_gpt: tuple[object, object]):
    write = writer(*tiny_gpt)
    prompts, most = ["One morning, Mia the mouse", "Once", "What is", ""], [30, 5, 12, 8]
    together = write(prompts, most)
    assert together == [write([prompt], [count])[0] for prompt, count in zip(prompts, most, strict=True)]
    assert all(together)


def test_it_writes_what_generate_writes(tiny_gpt: tuple[object, object]):
    import torch

    model, tokenizer = tiny_gpt
    ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer("Once there was").input_ids]])  # type: ignore[attr-defined]
    wanted = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)  # type: ignore[attr-defined]
    text = tokenizer.decode(wanted[0, ids.shape[1] :], skip_special_tokens=True)  # type: ignore[attr-defined]
    assert writer(model, tokenizer)(["Once there was"], [20]) == [text]


def test_special_tokens_in_a_prompt_are_letters(tiny_gpt: tuple[object, object]):
    """Whoever types the end of a text does not end it."""
    model, tokenizer = tiny_gpt
    seen: list[list[int]] = []

    class Spy:
        config, device = model.config, model.device  # type: ignore[attr-defined]

        def __call__(self, ids, **options):
            seen.append(ids[0].tolist())
            return model(ids, **options)  # type: ignore[operator]

    writer(Spy(), tokenizer)(["a<|endoftext|>b<|user|>"], [1])
    special = {tokenizer.convert_tokens_to_ids(name) for name in ("<|endoftext|>", "<|user|>", "<|assistant|>")}  # type: ignore[attr-defined]
    assert not special & set(seen[0][1:])


def test_a_long_prompt_loses_its_beginning(tiny_gpt: tuple[object, object]):
    write = writer(*tiny_gpt)
    assert write(["Otto " * 1000 + "Once there was an owl"], [8])[0]


# ---- the way to the cloud


def test_the_app_of_the_deployment_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As docs/deploy.md says: the imports and `create_app` in answer.py, beside docs/deploy/app.py."""
    advanced = Course.load(REPOSITORY).assignment("advanced")
    imports = next(cell.source for cell in advanced.starter.notebook.cells if cell.cell_type == "code")
    (tmp_path / "answer.py").write_text(f"{imports}\n\n\n{reference_sources(advanced)['create_app']}\n", "utf-8")
    (tmp_path / "app.py").write_text((REPOSITORY / "docs" / "deploy" / "app.py").read_text("utf-8"), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    try:
        app = importlib.import_module("app").app
        assert ask(app, "GET", "/health") == (200, {"status": "ok"})
        status, answer = ask(app, "POST", "/generate", {"prompt": "One morning, Mia the mouse", "max_tokens": 5})
        assert status == 200
        assert answer["text"]
    finally:
        for name in ("app", "answer"):
            sys.modules.pop(name, None)


def test_the_container_file_copies_what_the_guide_names():
    containerfile = (REPOSITORY / "docs" / "deploy" / "Containerfile").read_text("utf-8")
    guide = (REPOSITORY / "docs" / "deploy.md").read_text("utf-8")
    for name in ("app.py", "answer.py", "coursekit-"):
        assert name in containerfile
        assert name in guide
    assert os.path.exists(REPOSITORY / "docs" / "deploy" / "app.py")
    assert "USER app" in containerfile
