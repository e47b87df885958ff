"""Several commands at once: when one fails, none goes on behind the back of who asked."""

from __future__ import annotations

import asyncio

import pytest

from roost.streams.together import together


async def test_answers_come_in_the_order_of_the_questions() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await together(after(3), after(0), after(2)) == [3, 0, 2]
    assert await together() == []


@pytest.mark.parametrize("cancelled", [False, True])
async def test_when_one_fails_or_who_asked_is_cancelled_the_others_have_ended(cancelled: bool) -> None:
    ended: list[str] = []

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("waiting")

    async def failing() -> None:
        if cancelled:
            await asyncio.Event().wait()
        raise LookupError("no")

    asked = asyncio.create_task(together(waiting(), failing(), waiting()))
    for _ in range(3):
        await asyncio.sleep(0)
    asked.cancel() if cancelled else None
    with pytest.raises(asyncio.CancelledError if cancelled else LookupError):
        await asked
    assert ended == ["waiting", "waiting"]
