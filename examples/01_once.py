"""The same work, asked for by several agents at the same time, is done once.

    python examples/01_once.py

Run it again: the note is still there, and nothing is downloaded.
"""

from __future__ import annotations

import asyncio

from roost import Flock, fingerprint

URL = "https://example.com/guide"


async def download(url: str) -> str:
    """Stands in for something slow."""
    print(f"downloading {url}")
    await asyncio.sleep(0.3)
    return f"What {url} says about nests."


async def read(flock: Flock, agent: str) -> str:
    async with flock.acting(agent):  # who reads and writes stands in the log
        note = await flock.memory.once(fingerprint("fetch", URL), lambda: download(URL))
        print(f"{agent} has: {note.text}")
        return note.id


async def main() -> None:
    async with Flock.open("example-once") as flock:
        ids = await asyncio.gather(*[read(flock, agent) for agent in ("robin", "wren", "finch")])
        print(f"notes: {len(set(ids))}")


asyncio.run(main())
