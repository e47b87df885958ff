"""Word count as a map-reduce job over notes: map counts, shuffle groups by first letter, reduce adds up.

    python examples/05_wordcount_mapreduce.py

Only IDs travel between the agents. `once` makes the counts shared: run it again, and no text is counted again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from roost import Context, Flock, Note, fingerprint
from roost.actors.mapreduce import Mapped, MapReduce, Step, map_reduce

TEXTS = ("a wren and an owl", "an owl and a robin", "the wren sings")


class WordCount(MapReduce):
    async def map(self, note: Note, label: str, ctx: Context[Any]) -> Note:
        async def count() -> dict[str, int]:
            print(f"counting: {note.text}")
            return Counter(note.text.split())

        return await ctx.memory.once(fingerprint("words", 1, note.text), count)

    async def shuffle(self, parts: Sequence[Mapped], ctx: Context[Any]) -> Mapping[str, Sequence[str]]:
        groups: dict[str, list[str]] = {}
        for part in parts:
            counts = await ctx.memory.get(part.mapped)
            for letter in sorted({word[0] for word in counts.content}):
                groups.setdefault(letter, []).append(counts.id)
        return groups

    async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> dict[str, int]:
        total: Counter[str] = Counter()
        for note in notes:
            total.update({word: n for word, n in note.content.items() if word[0] == step.group})
        return total


async def main() -> None:
    async with Flock.open("example-wordcount") as flock:
        notes = [await flock.memory.put(text) for text in TEXTS]
        finished = await map_reduce(flock, WordCount(), [note.id for note in notes])
        for letter, result in sorted(finished.results.items()):
            assert result is not None, finished.missing
            print(letter, (await flock.memory.get(result)).content)


asyncio.run(main())
