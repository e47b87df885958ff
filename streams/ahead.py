"""Reading ahead: while one page is worked on, the server already looks for the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

T = TypeVar("T")


async def ahead(pages: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same pages, the next of which is asked for before one is given."""
    asking: asyncio.Task[T] = asyncio.create_task(_next(pages))
    try:
        while True:
            try:
                page = await asking
            except StopAsyncIteration:
                return
            asking = asyncio.create_task(_next(pages))
            await asyncio.sleep(0)  # so that it is on its way
            yield page
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await pages.aclose()


async def _next(pages: AsyncGenerator[T]) -> T:
    """As `anext`. A task cannot end with StopAsyncIteration of a coroutine's own, but with one that is passed on."""
    following: Any = pages.__anext__()
    return await following  # type: ignore[no-any-return]  # the generator's
