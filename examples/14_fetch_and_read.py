"""One download and one read for all agents; asked again only whether anything has changed.

    python examples/14_fetch_and_read.py

The page comes from a server in this program, which counts what it is asked. Parts are served from the whole.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from roost import Flock

PAGE = b"Owls hunt at night.\nThey hear a mouse under the snow.\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.readuntil(b"\r\n\r\n")
    unchanged = b'If-None-Match: "1"' in asked
    print("asked whether it has changed" if unchanged else "downloaded")
    body = b"" if unchanged else PAGE
    status = b"304 Not Modified" if unchanged else b"200 OK"
    writer.write(
        b'HTTP/1.1 %s\r\nETag: "1"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' % (status, len(body)) + body
    )
    await writer.drain()
    writer.close()


def save(folder: str, text: str) -> Path:
    path = Path(folder, "storks.md")
    path.write_text(text)
    return path


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/owls"
    async with server, Flock.open("example-fetch") as flock:
        pages = await asyncio.gather(*[flock.fetch(url, allow_private=True) for _ in range(5)])
        print(len({page.note.id for page in pages}), "note")
        again = await flock.fetch(url, allow_private=True)
        print(again.note.id == pages[0].note.id, again.lines(2, 2).strip())

        with tempfile.TemporaryDirectory() as folder:
            path = save(folder, "# Storks\nThey walk in wet meadows.\n")
            file = await flock.read(path)
            print(file.media, file.lines(1, 1).strip())
            save(folder, "# Storks\nThey have flown.\n")
            print((await flock.read(path)).lines(2).strip())


asyncio.run(main())
