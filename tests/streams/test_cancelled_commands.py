"""A cancellation during a command always arrives."""

from __future__ import annotations

import asyncio
import random

from roost.streams import Connection

ROUNDS = 300


async def test_a_cancellation_that_comes_while_a_command_is_written_is_never_lost(
    connection: Connection, flock_name: str
) -> None:
    told, key = False, f"roost:{{{flock_name}.0}}:meta"

    async def ask_on() -> None:
        while not told:
            await connection.client.get(key)

    chance, lost = random.Random(1), 0
    for _ in range(ROUNDS):
        told = False
        task = asyncio.create_task(ask_on())
        for _ in range(chance.randrange(3, 40)):
            await asyncio.sleep(0)
        task.cancel()
        told = True
        try:
            await task
            lost += 1  # it ended by itself, and never knew
        except asyncio.CancelledError:
            pass
    assert lost == 0
