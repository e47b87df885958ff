"""Single flight across processes: three agents, each a process of its own, ask for the same thing at once.

    python examples/06_processes.py

One computes, the others wait for its note. If the one dies, another takes over.
"""

from __future__ import annotations

import asyncio
import sys

from roost import Flock, fingerprint


async def answer(agent: str) -> None:
    """What each of the processes does."""

    async def think() -> int:
        print(f"{agent} computes", flush=True)
        await asyncio.sleep(0.5)
        return 6 * 7

    async with Flock.open("example-processes", agent=agent) as flock:
        note = await flock.memory.once(fingerprint("answer", 42), think)
        print(f"{agent} has {note.content}, computed by {note.author}", flush=True)


async def main() -> None:
    agents = ("robin", "wren", "finch")
    children = [await asyncio.create_subprocess_exec(sys.executable, __file__, agent) for agent in agents]
    await asyncio.gather(*[child.wait() for child in children])


asyncio.run(answer(sys.argv[1]) if len(sys.argv) > 1 else main())
