"""Asking an ASGI app in this process: no socket, no port, no server.

ASGI is the interface between a server and an app: the server calls `await app(scope, receive, send)` for each request, and here
we play the server ourselves (https://asgi.readthedocs.io/en/latest/specs/www.html).
"""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

App = Callable[..., Awaitable[None]]
"""An ASGI app, such as FastAPI's."""

T = TypeVar("T")
SECONDS = 10.0
CHUNK = 16_384  # bytes of a body that are handed over at a time, as a server does


def ask(
    app: App,
    method: str,
    path: str,
    json: Any = None,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> tuple[int, Any]:
    """Send one request to an app, and wait for its answer.

    Args:
        app: an ASGI app.
        method: "GET", "POST" and so on.
        path: such as "/generate", with a query if there is one.
        json: sent as the body, in JSON; nothing if None.
        body: sent as it is, in place of `json`.
        headers: further headers.
        seconds: how long to wait.

    Returns:
        The status, and the body: read as JSON if it says that it is, else as text.

    Raises:
        TimeoutError: no answer came in time.
        Exception: what the app raised, if it did so before it began to answer.
    """
    answer = _run(_ask(app, _Request(method, path, json, body, dict(headers or {})), seconds))
    return answer.status, answer.content


def ask_together(
    app: App, requests: Sequence[tuple[str, str, Any]], *, seconds: float = SECONDS
) -> list[tuple[int, Any]]:
    """Send several requests at the same moment, as so many people would; their answers in the order of the requests.

    Args:
        app: an ASGI app.
        requests: (method, path, json) of each, as for `ask`.
        seconds: how long to wait for all of them.

    Raises:
        TimeoutError: one of them was not answered in time.
        Exception: what the app raised, if it did so before it began to answer.
    """

    async def all_of_them() -> list[_Answer]:
        return await asyncio.gather(*(_ask(app, _Request(*request), seconds) for request in requests))

    return [(answer.status, answer.content) for answer in _run(all_of_them())]


def headers_of(app: App, method: str, path: str, json: Any = None) -> dict[str, str]:
    """The headers of an app's answer, their names in small letters; see `ask`."""
    return _run(_ask(app, _Request(method, path, json), SECONDS)).headers


@dataclass
class _Request:
    method: str
    path: str
    json: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        if self.body is not None:
            return self.body
        return b"" if self.json is None else json_module.dumps(self.json).encode()

    def scope(self) -> dict[str, Any]:
        url = urlsplit(self.path)
        headers = {"host": "testserver", "content-length": str(len(self.payload()))}
        if self.json is not None or self.body is not None:
            headers["content-type"] = "application/json"
        headers |= {name.lower(): value for name, value in self.headers.items()}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method.upper(),
            "scheme": "http",
            "path": url.path,
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "state": {},
        }


@dataclass
class _Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content(self) -> Any:
        text = self.body.decode("utf-8", "replace")
        if self.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
            return json_module.loads(text)
        return text


async def _ask(app: App, request: _Request, seconds: float) -> _Answer:
    answer, done = _Answer(), asyncio.Event()
    payload = request.payload()
    chunks = [payload[start : start + CHUNK] for start in range(0, len(payload), CHUNK)] or [b""]

    async def receive() -> dict[str, Any]:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
        await done.wait()  # the client stays until it has its answer
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")
            if not message.get("more_body", False):
                done.set()

    try:
        await asyncio.wait_for(app(request.scope(), receive, send), seconds)
    except TimeoutError:
        raise TimeoutError(f"{request.method} {request.path} was not answered within {seconds:g} seconds") from None
    except Exception:
        # Starlette answers with status 500 and then lets the exception through, for the server's log.
        if not done.is_set():
            raise
    if not done.is_set():
        raise RuntimeError(f"the app finished with {request.method} {request.path} without a whole answer")
    return answer


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to its end, in a notebook too, where this thread has a loop that is busy with the cell."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
