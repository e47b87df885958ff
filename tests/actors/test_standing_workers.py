"""Who takes from an inbox: those that are there, plain or keyed, and nobody once they have gone."""

from __future__ import annotations

from dataclasses import dataclass

from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.standing.workers import find_workers
from roost.streams import event


@event("perch.taken")
@dataclass(frozen=True, slots=True)
class PerchTaken:
    perch: str


class Plain(Actor):
    """Each worker takes what comes."""

    @on(PerchTaken)
    async def see(self, taken: PerchTaken, ctx: Context[None]) -> None:
        pass


class Keyed(Actor):
    """Workers share its lanes."""

    @on(PerchTaken, key=lambda taken: taken.perch)
    async def see(self, taken: PerchTaken, ctx: Context[None]) -> None:
        pass


async def test_workers_are_seen_while_they_are_there(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock, Flock.open(flock_name, server_url) as other:
        names = ["Plain", "Keyed", "Nobody"]

        async def seen() -> list[int]:
            workers = await find_workers([flock.shard], names)
            assert all(workers[name].there == workers[name].known for name in names)
            return [len(workers[name].there) for name in names]

        assert await seen() == [0, 0, 0]
        async with flock.work(Plain(), Keyed()):
            async with other.work(Plain(), Keyed()):

                async def are_two() -> bool:
                    return await seen() == [2, 2, 0]

                await wait_until(are_two, timeout=10)
            assert await seen() == [1, 1, 0]
        assert await seen() == [0, 0, 0]
