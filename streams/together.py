"""Several commands at once, of which none is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*each: Coroutine[Any, Any, T]) -> list[T]:
    """What these answer, in their order. Raises what the first of them raises, when the others have ended, too:
    `gather` would let them go on, and open connections of a client that is being closed."""
    tasks = [asyncio.ensure_future(one) for one in each]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
