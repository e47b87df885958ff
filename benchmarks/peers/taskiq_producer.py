"""Kicks tasks, 100 at the same time."""

import asyncio

from benchmarks.console import Console, on_loop
from benchmarks.peers.taskiq_app import TEXT, broker, handle

AT_ONCE = 100


async def main():
    await broker.startup()

    async def enqueue(request):
        left = request["number"]
        while left > 0:
            now = min(AT_ONCE, left)
            await asyncio.gather(*[handle.kiq(TEXT) for _ in range(now)])
            left -= now
        return {}

    Console(enqueue=on_loop(asyncio.get_running_loop(), enqueue)).start()
    await asyncio.Event().wait()


asyncio.run(main())
