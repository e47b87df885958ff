"""Notes when each handler starts. Arguments: URL, flock."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

from benchmarks.console import Answer, Console, Request
from roost import Actor, Context, Flock, event, on

starts_us: list[float] = []


@event("bench.sent")
@dataclass(frozen=True, slots=True)
class Sent:
    at_ns: int
    """By the clock that all processes of a machine share."""


class Starter(Actor):
    @on(Sent)
    async def start(self, sent: Sent, ctx: Context[None]) -> None:
        starts_us.append((time.monotonic_ns() - sent.at_ns) / 1000)


def answer_starts(_: Request) -> Answer:
    return {"starts_us": starts_us}


async def main(url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, url) as flock, flock.work(Starter):
        Console(starts=answer_starts).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
