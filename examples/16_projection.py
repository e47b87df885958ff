"""A projection of your own: what you want to read is folded from the log, and kept up to date.

python examples/16_projection.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from roost import Event, Flock, Projection, Rows


@dataclass(frozen=True)
class Author:
    """A row: what is known of somebody who writes notes."""

    notes: int = 0
    bytes: int = 0


class Authors(Projection[Author]):
    name = "authors"
    version = 1  # raise it when evolve() changes
    types = frozenset({"note.written"})  # it is not bothered with others

    def evolve(self, event: Event, rows: Rows[Author]) -> None:
        author = rows.get(event.actor or "nobody", Author())
        size = event.data["size"]
        rows[event.actor or "nobody"] = replace(author, notes=author.notes + 1, bytes=author.bytes + size)


async def main() -> None:
    async with Flock.open("example-projection") as flock:
        async with flock.follow(Authors):  # one process of the fleet folds; another takes over when it dies
            async with flock.acting("alice"):
                await flock.memory.put("Owls hunt at night.")
                await flock.memory.put("Bats do, too.")
            async with flock.acting("bob"):
                await flock.memory.put("Hens do not.")

        authors = flock.view(Authors)
        await authors.catch_up()  # nobody need follow: who reads can fold what is new
        async for name, author in authors.range():
            print(f"{name}: {author.notes} notes, {author.bytes} bytes")
        print("behind the log by", (await authors.lag()).events, "events")


if __name__ == "__main__":
    asyncio.run(main())
