"""Runs the receiver in this process, with its defaults: up to 100 tasks at a time."""

import asyncio

from taskiq.api import run_receiver_task

from benchmarks.console import Console
from benchmarks.peers.taskiq_app import broker, tally


async def main():
    await broker.startup()
    worker = asyncio.create_task(run_receiver_task(broker))
    Console(tally=tally.answer).start()
    await worker


asyncio.run(main())
