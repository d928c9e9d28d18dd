"""What goes around a model that is served over HTTP: a queue that makes batches, a limit on what is read, a page to type in.

`ask` questions an app without any network; `serve` puts it on a port of this machine.
"""

from coursekit.serving.asking import App, ask, ask_together, headers_of
from coursekit.serving.batching import Batcher, Overloaded
from coursekit.serving.limits import LimitBody
from coursekit.serving.server import send, serve
from coursekit.serving.website import PAGE_HEADERS, page
from coursekit.serving.writer import writer

__all__ = [
    "PAGE_HEADERS",
    "App",
    "Batcher",
    "LimitBody",
    "Overloaded",
    "ask",
    "ask_together",
    "headers_of",
    "page",
    "send",
    "serve",
    "writer",
]
