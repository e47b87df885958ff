"""Serving one client over standard input and output, as editors and desktop programs start it."""

from __future__ import annotations

from mcp.server.stdio import stdio_server

from .surface import Surface


async def serve_stdio(surface: Surface) -> None:
    """Until the client closes standard input. Whatever else is printed meanwhile goes to standard error."""
    async with stdio_server() as (read, write):
        await surface.server.run(read, write, surface.server.create_initialization_options())
