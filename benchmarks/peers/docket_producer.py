"""Adds tasks, many at once."""

import asyncio

from benchmarks.console import Console, on_loop
from benchmarks.peers.docket_app import TEXT, handle, open_docket


async def main():
    async with open_docket() as docket:

        async def enqueue(request):
            await docket.add_many([docket.call(handle)(TEXT) for _ in range(request["number"])])
            return {}

        Console(enqueue=on_loop(asyncio.get_running_loop(), enqueue)).start()
        await asyncio.Event().wait()


asyncio.run(main())
