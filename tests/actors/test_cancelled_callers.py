"""Callers cancelled while the server has not answered: nothing that happened is lost, nobody waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from roost_tests.crew import events_of
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.actors import Flock

StartProxy = Callable[[str], Awaitable[Proxy]]


def writes(word: bytes) -> Callable[[list[bytes]], bool]:
    """Whether a request is a script call that writes events of that type."""
    return lambda request: request[0].upper() == b"EVALSHA" and any(word in part for part in request)


async def test_a_read_that_a_cancelled_caller_was_to_log_is_logged_before_the_next_effect(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    slow = await proxy(server_url)
    async with Flock.open(flock_name, server_url) as watching, Flock.open(flock_name, slow.url) as flock:
        note = await flock.memory.put("read by many")
        await flock.memory.get(note.id)
        read = time.monotonic()
        held = slow.hold_reply(writes(b"note.written"))
        first = asyncio.create_task(flock.memory.put("keeps the writer busy"))
        await wait_until(lambda: bool(held.request))
        await flock.memory.get(note.id)  # served by the cache: owed
        await wait_until(lambda: time.monotonic() > read + 1)  # within a second a reader's reads are logged as one
        cancelled = asyncio.create_task(flock.memory.put("never written"))
        await asyncio.sleep(0)
        effect = asyncio.create_task(flock.memory.put("effect"))
        await asyncio.sleep(0)
        cancelled.cancel()
        held.release()
        await first
        written = await effect
        reads = [event.position for event in await events_of(watching, "note.read")]
        assert len(reads) == 2
        assert written.position is not None
        assert all(position is not None and position < written.position for position in reads)
        assert len(await events_of(watching, "note.written")) == 3


async def test_a_claim_that_is_granted_to_a_cancelled_caller_is_given_up(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    async def compute() -> str:
        return "done"

    slow = await proxy(server_url)
    async with Flock.open(flock_name, server_url) as other, Flock.open(flock_name, slow.url) as flock:
        await flock.memory.put("warm")
        held = slow.hold_reply(writes(b"work.claimed"))
        asking = asyncio.create_task(flock.memory.once("k", compute))
        await wait_until(lambda: bool(held.request))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        held.release()
        async with asyncio.timeout(9):  # its lease would end after ten seconds
            assert (await other.memory.once("k", compute)).content == "done"
