"""Bodies of responses: a live one, which the provider is still sending, and one that is known already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2

from .provider import ProviderCall

PIECE_BYTES = 64 * 1024


class LiveStream(httpx2.AsyncByteStream):
    """The answer to this very call, as it comes in; its end waits until the note is written."""

    def __init__(self, provider: ProviderCall, end: Callable[[], Awaitable[None]]) -> None:
        self._provider = provider
        self._end = end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._provider.listen():
            yield piece
        await self._end()

    async def aclose(self) -> None:
        await self._provider.leave()
        await self._end()


class KnownStream(httpx2.AsyncByteStream):
    """A known body, in pieces: other tasks have their turn between them."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for first in range(0, len(self._body), PIECE_BYTES):
            yield self._body[first : first + PIECE_BYTES]
            await asyncio.sleep(0)
