"""Two actors in a row. One stores a text as a note and tells its ID; the other opens the note and counts its words.

    python examples/02_actors.py

What a handler returns and the notes it puts are committed together with the acknowledgement of what it was given.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from roost import Actor, Context, Flock, event, on


@event("page.found")
@dataclass(frozen=True, slots=True)
class PageFound:
    name: str
    text: str


@event("page.stored")
@dataclass(frozen=True, slots=True)
class PageStored:
    name: str
    note: str  # the note's ID, not its text


class Librarian(Actor):
    @on(PageFound)
    async def store(self, found: PageFound, ctx: Context[None]) -> PageStored:
        note = await ctx.memory.put(found.text, key=f"page/{found.name}")
        return PageStored(found.name, note.id)


class Counter(Actor):
    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.done = asyncio.Event()

    @on(PageStored)
    async def count(self, stored: PageStored, ctx: Context[None]) -> None:
        note = await ctx.memory.get(stored.note)
        print(f"{stored.name}: {len(note.text.split())} words, stored by {note.author}")
        self.wanted -= 1
        if not self.wanted:
            self.done.set()


async def main() -> None:
    counter = Counter(wanted=2)
    async with Flock.open("example-actors") as flock, flock.work(Librarian, counter):
        await flock.append(PageFound("owls", "Owls hunt at night."), PageFound("wrens", "Wrens are small and loud."))
        await counter.done.wait()


asyncio.run(main())
