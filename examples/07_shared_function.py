"""Single flight around a function: its name, a version and its arguments make the key.

    python examples/07_shared_function.py

Raise `version` when the function changes, and everything is computed anew. Arguments count by value; the result comes
back as what the function says that it answers. `shared` uses the flock that is open when the function is called.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from roost import Flock, shared


@dataclass(frozen=True)
class Bird:
    name: str
    weight: float


@shared(version=1, ttl=timedelta(days=7))
async def embed(text: str, size: int = 4) -> list[float]:
    print(f"embedding {text!r}")
    return [round(ord(letter) / 128, 2) for letter in text[:size]]


@shared
async def fatten(bird: Bird) -> Bird:
    print(f"feeding {bird.name}")
    return Bird(bird.name, bird.weight * 2)


async def main() -> None:
    async with Flock.open("example-shared") as flock:
        print(await asyncio.gather(embed("heron"), embed("heron", size=4), embed("egret")))
        print(await embed("heron"))
        print(await fatten(Bird("wren", 9.5)))
        note = await fatten.note(Bird("wren", 9.5))  # the note behind the result, to be passed on by its ID
        print((await flock.memory.get(note.id)).content, note.key == fatten.key_of(Bird("wren", 9.5)))


asyncio.run(main())
