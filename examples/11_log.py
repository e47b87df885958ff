"""The log itself: events with an expected version, and everything that happened to a subject, reads and all.

    python examples/11_log.py

An append names the version it was decided on. If somebody was faster, it is refused, and nothing is overwritten.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from roost import Flock, event
from roost.streams import Conflict


@event("perch.taken", subject=lambda taken: f"perch/{taken.perch}")
@dataclass(frozen=True, slots=True)
class PerchTaken:
    perch: str
    bird: str


async def take(flock: Flock, bird: str) -> None:
    try:
        async with flock.acting(bird):
            await flock.append(PerchTaken("gate", bird), expected=0)  # nobody has taken it yet
        print(f"{bird} sits on the gate")
    except Conflict as conflict:
        print(f"{bird} is too late: {conflict.subject} is at version {conflict.current}")


async def main() -> None:
    async with Flock.open("example-log") as flock:
        await take(flock, "robin")
        await take(flock, "wren")
        for stored in await flock.log.subject("perch/gate"):
            print(f"version {stored.version}: {stored.type} {stored.data} by {stored.actor}")


asyncio.run(main())
