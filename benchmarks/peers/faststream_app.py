"""FastStream: a subscriber to a Redis stream in a consumer group; a message is acknowledged when its handler ends."""

import asyncio
import sys

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from benchmarks.console import Console, Tally

URL, NAME = sys.argv[1:3]
TEXT = "x" * 289

broker = RedisBroker(URL, logger=None)
app = FastStream(broker, logger=None)
tally = Tally()


def subscribe(**how):
    return broker.subscriber(stream=StreamSub(NAME, group="workers", consumer="one", **how))


def work():
    @app.after_startup
    async def ready():
        Console(tally=tally.answer).start()

    asyncio.run(app.run())
