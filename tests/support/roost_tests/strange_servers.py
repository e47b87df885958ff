"""Things that listen on a port and are no Redis server that Roost can use."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from .frames import read_command, take_frames

CERTIFICATE = Path(__file__).with_name("tls") / "certificate.pem"
"""Of localhost and 127.0.0.1, signed by itself, until 2126; its key stands beside it. For tests only."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listen(serve: Serve, *, tls: bool = False, authority: Path | None = None) -> AsyncGenerator[int]:
    """Gives the port on which `serve` answers; over TLS to whom the authority has given a certificate, if there is
    one."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
        if authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def serve_ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    await reader.read()


async def serve_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


def serve_replies(replies: dict[str, bytes]) -> Serve:
    """A server that knows these commands and PING, and says OK to the rest."""
    known = {"PING": b"+PONG\r\n", **replies}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = bytearray()
        while chunk := await reader.read(65_536):
            data += chunk
            for frame in take_frames(data):
                writer.write(known.get(read_command(frame)[0].decode().upper(), b"+OK\r\n"))
            await writer.drain()

    return serve


def info_reply(**lines: str) -> bytes:
    """What INFO answers."""
    text = "".join(f"{name}:{value}\r\n" for name, value in lines.items()).encode()
    return b"$%d\r\n%s\r\n" % (len(text), text)


def forward_to(port: int) -> Serve:
    """Passes everything on to another port of this machine."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        further_reader, further_writer = await asyncio.open_connection("127.0.0.1", port)
        there = asyncio.create_task(pump(reader, further_writer))
        back = asyncio.create_task(pump(further_reader, writer))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in (there, back):
                way.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            further_writer.close()

    return serve
