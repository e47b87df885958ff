"""Serving one client over standard input and output, as editors and desktop programs start it."""

from __future__ import annotations

from collections.abc import AsyncIterable

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server.stdio import stdio_server

from .mending import Message, mend
from .surface import Surface


async def serve_stdio(surface: Surface) -> None:
    """Until the client closes standard input. Whatever else is printed meanwhile goes to standard error."""
    send, mended = anyio.create_memory_object_stream[Message](0)
    async with stdio_server() as (read, write), anyio.create_task_group() as tasks:
        tasks.start_soon(_relay, read, send)
        await surface.server.run(mended, write, surface.server.create_initialization_options())
        tasks.cancel_scope.cancel()


async def _relay(read: AsyncIterable[Message], send: MemoryObjectSendStream[Message]) -> None:
    async with send:
        async for message in read:
            await send.send(mend(message))
