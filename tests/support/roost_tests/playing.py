"""Steps of agents on a flock's notes, for tests that fold what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st

from roost.actors import Computed, Flock, Work
from roost.streams import NoteNotFound

BLINK = timedelta(milliseconds=1)
LEASE = timedelta(milliseconds=300)
"""Short: a claim that was overtaken is waited for."""
LARGE = "x" * 70_000

keys = st.sampled_from(["a", "b", "c"])
ttls = st.sampled_from([None, BLINK, timedelta(hours=1)])
contents = st.sampled_from(["one", "two", LARGE])
steps = st.one_of(
    st.tuples(st.just("put"), contents, st.none() | keys, ttls),
    st.tuples(st.just("once"), contents, keys, ttls),
    st.tuples(st.just("fresh"), contents, keys, ttls),
    st.tuples(st.just("together"), contents, keys, ttls),
    st.tuples(st.just("overtaken"), contents, keys, ttls),
    st.tuples(st.just("fail"), contents, keys, ttls),
    st.tuples(st.just("look_aside"), contents, keys, ttls),
    st.tuples(st.just("forget"), st.integers(0, 20)),
    st.tuples(st.just("get"), st.integers(0, 20)),
    st.tuples(st.just("expire")),
)


class Playing:
    """Plays steps on a flock, as its agents would."""

    def __init__(self, flock: Flock, other: Flock, aside: Flock) -> None:
        self.flock, self.other, self.aside = flock, other, aside
        self.written: list[str] = []

    async def play(self, step: tuple[Any, ...]) -> None:
        name, *arguments = step
        await getattr(self, f"_{name}")(*arguments)

    async def _put(self, content: str, key: str | None, ttl: timedelta | None) -> None:
        self.written.append((await self.flock.memory.put(content, key=key, ttl=ttl, tags=["t"])).id)

    async def _once(self, content: str, key: str, ttl: timedelta | None) -> None:
        self.written.append((await self.flock.memory.once(key, computing(content), ttl=ttl)).id)

    async def _fresh(self, content: str, key: str, ttl: timedelta | None) -> None:
        self.written.append((await self.flock.memory.once(key, computing(content), ttl=ttl, fresh=True)).id)

    async def _together(self, content: str, key: str, ttl: timedelta | None) -> None:
        asked = [flock.memory.once(key, computing(content), ttl=ttl) for flock in (self.flock, self.other, self.other)]
        self.written += [note.id for note in await asyncio.gather(*asked)]

    async def _overtaken(self, content: str, key: str, ttl: timedelta | None) -> None:
        async def compute() -> str:
            await self.other.memory.put("written meanwhile", key=key)
            return content

        self.written.append((await self.flock.memory.once(key, compute, ttl=ttl, fresh=True)).id)

    async def _fail(self, content: str, key: str, ttl: timedelta | None) -> None:
        async def compute() -> str:
            raise ValueError(content[:10])

        with pytest.raises(ValueError, match=content[:3]):
            await self.flock.memory.once(key, compute, ttl=ttl, fresh=True)

    async def _look_aside(self, content: str, key: str, ttl: timedelta | None) -> None:
        self.written.append((await self.aside.memory.once(key, computing(content), ttl=ttl)).id)

    async def _forget(self, number: int) -> None:
        await self._if_it_is_there(number, self.flock.memory.forget)

    async def _get(self, number: int) -> None:
        await self._if_it_is_there(number, self.flock.memory.get)

    async def _if_it_is_there(self, number: int, act: Callable[[str], Awaitable[object]]) -> None:
        if not self.written:
            return
        try:
            await act(self.written[number % len(self.written)])
        except NoteNotFound:
            return

    async def _expire(self) -> None:
        await self.flock.notes.expire()


def computing(content: str) -> Callable[[], Awaitable[Computed]]:
    async def compute() -> Computed:
        await asyncio.sleep(0.002)  # long enough for the others to find the claim taken
        return Computed(content, Work(kind="section", model="offline", calls=1, input_tokens=3, output_tokens=1))

    return compute
