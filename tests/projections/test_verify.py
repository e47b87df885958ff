"""Verify finds what was changed or deleted by hand, and names it; rebuild mends what can be made again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from roost_tests.playing import computing
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.projections.rebuild import rebuild
from roost.projections.verify import Verdict, verify
from roost.streams import Event, Shard, Unit

DAMAGES = {
    "digest of note {id}": ("HSET", "note:{id}", "digest", "other"),
    "deadline of note {id}": ("HSET", "note:{id}", "deadline", "12"),
    "record of note {id}": ("HSET", "note:{id}", "record", "[]"),
    "work of note {id}": ("HSET", "note:{id}", "work", '{{"kind":"none"}}'),
    "entry of note {id}": ("HSET", "note:{id}", "entry", "1-1"),
    "size of note {id}": ("HSET", "note:{id}", "size", "999"),
    "key of note {id}": ("HSET", "note:{id}", "key", "other"),
    "note {id}": ("DEL", "note:{id}"),
    "note stranger": ("HSET", "note:stranger", "record", "{{}}"),
    "key k": ("HSET", "keys", "k", "another"),
    "key stray": ("HSET", "keys", "stray", "{id}"),
    "deadline of note stranger": ("ZADD", "deadlines", "inf", "stranger"),
    "content of expired note {id}": ("HSET", "expired", "{id}", "{digest}"),
    "content of expired note {gone}": ("HDEL", "expired", "{gone}"),
    "notes that name blob {digest}": ("HSET", "refs", "{digest}", "7"),
    "notes that name blob none": ("HSET", "refs", "none", "1"),
    "blob {digest}": ("PEXPIRE", "blob:{digest}", "60000"),
    "version of key/k": ("HSET", "versions", "key/k", "7 1-1"),
    "version of note/{id}": ("HDEL", "versions", "note/{id}"),
    "version of nothing": ("HSET", "versions", "nothing", "1 1-1"),
}


async def damage(shard: Shard, *words: str) -> None:
    await shard.command(words[0], shard.keys.prefix + words[1], *words[2:])


def told(verdict: Verdict) -> list[str]:
    return [finding.what for finding in verdict.findings]


async def test_each_field_that_was_changed_by_hand_is_named_and_a_rebuild_mends_it(
    server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        note = await flock.memory.once("k", computing("content"))
        gone = await flock.memory.put("soon gone", ttl=timedelta(milliseconds=1))
        await wait_until(flock.notes.expire)
        filled = {"id": note.id, "digest": note.record.digest, "gone": gone.id}
        assert (await verify([flock.shard])).is_clean
        for named, words in DAMAGES.items():
            await damage(flock.shard, *[word.format(**filled) for word in words])
            verdict = await verify([flock.shard])
            assert named.format(**filled) in told(verdict), (named, verdict.findings)
            await rebuild(flock.shard, "versions" if named.startswith("version") else "notes")
            after = await verify([flock.shard], content=True)
            assert after.is_clean, (named, [str(finding) for finding in after.findings])


async def make_log(flock: Flock) -> list[str]:
    """Entries of ten events of three subjects."""
    for number in range(10):
        event = Event(type="thing.happened", subject=f"thing/{number % 3}")
        await flock.writer.write(Unit().event(event))
    return [event.position.entry async for event in flock.log.read() if event.position is not None]


@pytest.mark.parametrize("index", [0, 4, 7, 8, 9])
async def test_an_entry_that_was_deleted_from_the_log_is_named(server_url: str, flock_name: str, index: int) -> None:
    """The head, one in the middle, the last of a subject, and the tail."""
    async with Flock.open(flock_name, server_url) as flock:
        entries = await make_log(flock)
        await damage(flock.shard, "XDEL", "log", entries[index])
        verdict = await verify([flock.shard])
        assert f"log entry {entries[index]}" in told(verdict)
        assert "number of events in the log" in told(verdict)
        assert ("last entry of the log" in told(verdict)) == (index == 9)
        text = "\n".join(map(str, verdict.findings))
        assert f"thing/{index % 3}" in text


async def test_the_tail_is_missed_even_when_the_versions_have_been_made_anew(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        entries = await make_log(flock)
        await damage(flock.shard, "XDEL", "log", entries[-1])
        await rebuild(flock.shard)
        assert told(await verify([flock.shard])) == [
            "number of events in the log", f"log entry {entries[-1]}", "last entry of the log",
        ]  # fmt: skip


async def test_a_damaged_entry_and_a_cause_that_is_not_there_are_named(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        await make_log(flock)
        await flock.writer.write(Unit().event(Event(type="t.h", subject="s", cause="f" * 24)))
        caused = await flock.log.last()
        await damage(flock.shard, "XADD", "log", "*", "type", "nonsense")
        odd = await flock.log.last()
        assert told(await verify([flock.shard])) == [f"log entry {odd}", f"cause of the event at {caused}"]


async def test_content_that_does_not_match_its_digest_is_found_when_it_is_asked_for(
    server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        note = await flock.memory.put("as it was")
        await damage(flock.shard, "SET", f"blob:{note.record.digest}", "changed")
        assert (await verify([flock.shard])).is_clean
        assert told(await verify([flock.shard], content=True))[0] == f"content of blob {note.record.digest}"
        await damage(flock.shard, "DEL", f"blob:{note.record.digest}")
        assert (await rebuild(flock.shard)).missing == [note.record.digest]
        assert told(await verify([flock.shard])) == [f"blob {note.record.digest}"]
