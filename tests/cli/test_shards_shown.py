"""The commands show a flock with several shards as one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from roost_tests.command import RoostCommand
from roost_tests.crew import Cutter, Given, Weigher
from roost_tests.waiting import wait_until

from roost.actors import Flock


async def test_log_notes_note_dead_status_and_forget_know_all_shards(
    roost: RoostCommand, server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url, shards=3, delivery_lease=timedelta(seconds=1)) as flock:
        async with flock.work(Cutter(), Weigher()):
            await asyncio.gather(*[flock.append(Given(n), subject=f"given/{n}") for n in range(3)])

            async def done() -> bool:
                seen = [one.type async for one in flock.log.read()]
                return seen.count("note.written") == 9 and seen.count("delivery.handled") == 12

            await wait_until(done, timeout=10)
        events = [one async for one in flock.log.read()]
    shown, first, notes, dead, status = await asyncio.gather(
        roost("log", "--json", "--limit", "1000"), roost("log", "--json", "--limit", "5", "--after", "0"),
        roost("notes", "--json"), roost("dead", "list", "--json"), roost("status", "--json"),
    )  # fmt: skip
    assert [one["id"] for one in shown.json_lines] == [one.id for one in events]
    assert [one["id"] for one in first.json_lines] == [one.id for one in events[:5]]
    found = {one["key"]: one["id"] for one in notes.json_lines}
    assert set(found) == {f"weight/{n}/{part}" for n in range(3) for part in range(3)}
    [size] = [one for one in status.json["flocks"] if one["name"] == flock_name]
    assert (size["shards"], size["notes"], size["inbox_count"], size["relaying"]) == (3, 9, 2, 0)
    assert (dead.code, dead.out) == (0, "")
    key, note_id = found.popitem()
    by_key, by_id = await asyncio.gather(
        roost("note", key, "--raw"), roost("note", note_id[:12], "--json", "--lineage")
    )
    assert by_key.out == f"weight of {key.removeprefix('weight/')}"
    assert by_id.json["id"] == note_id
    assert (await roost("forget", note_id, "--yes")).code == 0
    assert (await roost("note", note_id)).code == 1


async def test_what_needs_one_shard_says_so(roost: RoostCommand, server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, shards=2):
        pass
    refused = await roost("run", "-", "-q", "Why?", stdin=b"Because.")
    assert refused.code != 0
    assert "was made with 2 shards, not 1" in refused.err
