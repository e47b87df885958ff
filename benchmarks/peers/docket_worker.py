"""A worker with 50 tasks at a time that looks for more every 2 ms.

As it comes it has 10 and sleeps 250 ms whenever all are in use, which bounds it to 40 a second; with 100 it fails now
and then, for want of connections.
"""

import asyncio
from datetime import timedelta

from docket import Worker

from benchmarks.console import Console
from benchmarks.peers.docket_app import handle, open_docket, tally


async def main():
    async with open_docket() as docket:
        docket.register(handle)
        async with Worker(docket, concurrency=50, minimum_check_interval=timedelta(milliseconds=2)) as worker:
            Console(tally=tally.answer).start()
            await worker.run_forever()


asyncio.run(main())
