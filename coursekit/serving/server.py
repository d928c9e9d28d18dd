"""An app on a port of this machine, and many requests to it."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from coursekit.serving.asking import App


@contextmanager
def serve(app: App, *, port: int = 0) -> Iterator[str]:
    """Serve an app by uvicorn, in a thread, while the block runs; its address.

    Only this machine can reach it.

    Args:
        app: an ASGI app.
        port: where; 0 takes any that is free.
    """
    import uvicorn

    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(256)  # from here on nobody is turned away: who comes before the server is up waits
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def send(url: str, bodies: Sequence[Any], arrivals: Sequence[float]) -> tuple[list[Any], list[float]]:
    """Post JSON to an address at given moments, without waiting for one answer before the next request.

    Args:
        url: such as "http://127.0.0.1:8000/generate".
        bodies: what to send.
        arrivals: when to send each, in seconds from now.

    Returns:
        The answers, from JSON, and how many seconds each took from the moment when it was to be sent.

    Raises:
        OSError: a request failed, or its status is no success.
    """
    start = time.monotonic()

    def one(body: Any, arrival: float) -> tuple[Any, float]:
        time.sleep(max(0.0, start + arrival - time.monotonic()))
        request = urllib.request.Request(
            url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        return answer, time.monotonic() - start - arrival

    with ThreadPoolExecutor(max(1, len(bodies))) as pool:
        results = list(pool.map(one, bodies, arrivals))
    return [answer for answer, _ in results], [seconds for _, seconds in results]
