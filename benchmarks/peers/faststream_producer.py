"""Publishes through a Redis pipeline, 100 messages each: the quickest way that the documentation shows."""

import asyncio

from redis.asyncio import Redis

from benchmarks.console import Console, on_loop
from benchmarks.peers.faststream_app import NAME, TEXT, URL, broker

AT_ONCE = 100


async def main():
    await broker.connect()
    client = Redis.from_url(URL)

    async def enqueue(request):
        left = request["number"]
        while left > 0:
            now = min(AT_ONCE, left)
            async with client.pipeline(transaction=False) as pipeline:
                for _ in range(now):
                    await broker.publish({"text": TEXT}, stream=NAME, pipeline=pipeline)
                await pipeline.execute()
            left -= now
        return {}

    Console(enqueue=on_loop(asyncio.get_running_loop(), enqueue)).start()
    await asyncio.Event().wait()


asyncio.run(main())
