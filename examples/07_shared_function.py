"""Single flight around a function: its name, a version and its arguments make the key.

    python examples/07_shared_function.py

Raise `version` when the function changes, and everything is computed anew. Arguments and results are what JSON holds.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from roost import Flock


async def main() -> None:
    async with Flock.open("example-shared") as flock:

        @flock.shared(version=1, ttl=timedelta(days=7))
        async def embed(text: str, size: int = 4) -> list[float]:
            print(f"embedding {text!r}")
            return [round(ord(letter) / 128, 2) for letter in text[:size]]

        print(await asyncio.gather(embed("heron"), embed("heron", size=4), embed("egret")))
        print(await embed("heron"))


asyncio.run(main())
