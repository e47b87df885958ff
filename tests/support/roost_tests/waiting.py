"""Waiting for something to become true, instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 3
"""Beside five others on two cores, everything takes longer. Whoever does not fail does not wait for it."""


async def wait_until(predicate: Callable[[], object], *, timeout: float = 5.0, every: float = 0.01) -> Any:
    """Asks `predicate` (plain or async) until its answer is true, and gives it. Fails after `timeout` seconds of a
    machine that has nothing else to do."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        answer: Any = predicate()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        if time.monotonic() > deadline:
            where = inspect.getsource(predicate).strip() if inspect.isfunction(predicate) else repr(predicate)
            raise AssertionError(f"not true within {timeout} s (last answer {found!r}): {where}")
        await asyncio.sleep(every)
