"""Takes up to 100 messages at a time."""

from benchmarks.peers.faststream_app import subscribe, tally, work


@subscribe(batch=True, max_records=100)
async def handle(messages: list[dict[str, str]]):
    tally.add(len(messages))


work()
