"""The sandbox tiers that this machine can run, each started once for all tests that need it."""

from __future__ import annotations

import atexit
import functools

from autograder.sandbox import Sandbox
from autograder.sandbox.session import TIERS, unavailable

# That a tier is missing is no reason to pass over its tests in silence: test_doctor.py insists on being told why.
AVAILABLE = [tier for tier in TIERS[:2] if unavailable(tier) is None]


@functools.cache
def running(tier: str) -> Sandbox:
    """The one fork server of that tier; whoever asks first starts it, and it ends with the tests."""
    sandbox = Sandbox(tier)
    atexit.register(sandbox.close)
    return sandbox
