"""What `roost bridge kafka` mirrors, read by a plain Kafka client: notes as they were written, with their contents.

python examples/19_kafka_consumer.py HOST:PORT FLOCK
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """All records that are there, in the order of each partition. Only what was committed: the rest never happened."""
    consumer: Any = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        records: list[Any] = []
        while found := await consumer.getmany(timeout_ms=3000):
            records += [record for some in found.values() for record in some]
        return records
    finally:
        await consumer.stop()


async def main(bootstrap: str, flock: str) -> None:
    contents: dict[str, dict[int, bytes]] = {}
    for record in await read_all(bootstrap, f"roost-contents.{flock}"):
        shard, digest, number = record.key.decode().split("/")
        if record.value is None:  # it was forgotten
            contents.pop(f"{shard}/{digest}", None)
        else:
            contents.setdefault(f"{shard}/{digest}", {})[int(number)] = record.value
    for record in await read_all(bootstrap, f"roost.{flock}"):
        headers = {name: value.decode() for name, value in record.headers}
        if headers["ce_type"] == "note.written":
            data = json.loads(record.value)
            parts = contents.get(f"{headers['ce_shard']}/{data['digest']}")
            text = "forgotten" if parts is None else repr(b"".join(parts[n] for n in sorted(parts)).decode()[:40])
            print(f"{headers['ce_time']} {data.get('key') or headers['ce_subject']}: {text}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
