"""Where student code runs: a locked-down process that exchanges values, and only values, with the trusted one.

Nothing in here knows the course. `Sandbox` starts a fork server, `Control.spawn` asks it for a `Worker`, and a worker runs
cells and answers calls.
"""

from autograder.sandbox.control import Control, Worker, WorkerLimits
from autograder.sandbox.errors import Frame, ProtocolError, SandboxError, StudentError, WorkerDied
from autograder.sandbox.host import Observer
from autograder.sandbox.module import RemoteModule
from autograder.sandbox.peer import RemoteFunction
from autograder.sandbox.remote import Opaque, RemoteIterator, RemoteObject
from autograder.sandbox.session import Sandbox, Tier

__all__ = [
    "Control",
    "Frame",
    "Observer",
    "Opaque",
    "ProtocolError",
    "RemoteFunction",
    "RemoteIterator",
    "RemoteModule",
    "RemoteObject",
    "Sandbox",
    "SandboxError",
    "StudentError",
    "Tier",
    "Worker",
    "WorkerDied",
    "WorkerLimits",
]
