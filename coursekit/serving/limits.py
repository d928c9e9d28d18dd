"""How much of a request is read."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]


class LimitBody:
    """ASGI middleware that answers 413 to a body of more than `max_bytes`, before the app has seen any of it.

    No more is read than the limit, whatever the header Content-Length says. For FastAPI:
    `app.add_middleware(LimitBody, max_bytes=65_536)`.

    Args:
        app: the app that gets the requests which are small enough.
        max_bytes: of a request's body.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        body, more = b"", True
        too_large = not announced.isdigit() or int(announced[:20]) > self._max_bytes
        while more and not too_large:
            message = await receive()
            if message["type"] != "http.request":  # the client has gone
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            too_large = len(body) > self._max_bytes
        if too_large:
            await self._refuse(send)
            return
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, again, send)

    async def _refuse(self, send: Callable[[Message], Awaitable[None]]) -> None:
        said = json.dumps({"detail": f"a request may have at most {self._max_bytes} bytes"}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": said})
