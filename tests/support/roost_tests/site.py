"""A web site for tests: it answers conditional requests, remembers what it was asked, and can be slow or break off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Page:
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    status: str = "200 OK"
    etag: str = ""
    last_modified: str = ""
    cut_after: int | None = None
    """How much of the body comes before the connection breaks off."""
    door: asyncio.Event | None = None
    """The answer waits for it."""


class Site:
    """Its pages, by path, and the requests so far: their path and headers."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[dict[str, str]] = []
        self.answered: list[str] = []
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            asked = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            path = first.split()[1]
            self.requests.append({"path": path, **asked})
            page = self.pages.get(path, Page(b"nothing here", status="404 Not Found"))
            if page.door is not None:
                await page.door.wait()
            writer.write(self._answer(page, asked))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as some tests want it to
        finally:
            writer.close()

    def _answer(self, page: Page, asked: dict[str, str]) -> bytes:
        is_known = (page.etag and asked.get("if-none-match") == page.etag) or (
            page.last_modified and asked.get("if-modified-since") == page.last_modified
        )
        status, body = ("304 Not Modified", b"") if is_known else (page.status, page.body)
        self.answered.append(status[:3])
        headers = {"Content-Length": str(len(body)), "Connection": "close"}
        headers |= {"ETag": page.etag, "Last-Modified": page.last_modified} | page.headers
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body[: page.cut_after]


@asynccontextmanager
async def serving() -> AsyncGenerator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        await server.wait_closed()
