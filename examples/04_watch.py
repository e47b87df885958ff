"""Notes as they are written: one agent watches what others learn, and needs to know nothing about them.

    python examples/04_watch.py

A prefix of the key, tags and the author choose which notes are seen; the server sends no others.
"""

from __future__ import annotations

import asyncio

from roost import Flock, Position

seen: list[str] = []


async def watch(flock: Flock, since: Position | str, wanted: int) -> None:
    async for note in flock.memory.watch("sighting/", tags=["bird"], since=since):
        print(f"{note.author} saw {note.content['kind']} ({note.key})")
        seen.append(str(note.position))  # where to go on from: a program that may be restarted keeps it somewhere
        wanted -= 1
        if not wanted:
            return


async def report(flock: Flock, agent: str, place: str, kind: str) -> None:
    async with flock.acting(agent):
        await flock.memory.put({"kind": kind}, key=f"sighting/{place}", tags=["bird"])
        await flock.memory.put(f"{agent} was at the {place}", key=f"diary/{agent}")  # not watched


async def main() -> None:
    async with Flock.open("example-watch") as flock:
        since = await flock.log.last()  # from now on; a position kept from an earlier run goes on from there
        watcher = asyncio.create_task(watch(flock, since, wanted=2))
        await report(flock, "robin", "marsh", "a heron")
        await report(flock, "wren", "barn", "an owl")
        await watcher

        await report(flock, "wren", "reed", "a bittern")
        await watch(flock, since=seen[-1], wanted=1)


asyncio.run(main())
