"""Takes messages one at a time."""

from benchmarks.peers.faststream_app import subscribe, tally, work


@subscribe()
async def handle(message: dict[str, str]):
    tally.add()


work()
