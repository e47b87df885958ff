"""taskiq: a task on a RedisStreamBroker."""

import sys

from taskiq_redis import RedisStreamBroker

from benchmarks.console import Tally

URL, NAME = sys.argv[1:3]
TEXT = "x" * 289

broker = RedisStreamBroker(url=URL, queue_name=NAME)
tally = Tally()


@broker.task
async def handle(text: str) -> None:
    tally.add()
