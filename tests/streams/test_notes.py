"""Notes: every read in the log, none past its deadline or after forget, content once."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import pytest
from roost_tests.core import ME, MINUTE, SOON, Core, happened, make_core, note_unit, open_core
from roost_tests.proxy import Proxy
from roost_tests.waiting import wait_until

from roost.streams import LimitExceeded, Note, NoteNotFound, NoteRecord, Reader, RoostError
from roost.streams.answer import BlobMissing, Written
from roost.streams.client import ask_all_nodes
from roost.streams.connection import Connection, connect
from roost.streams.note import to_stored
from roost.streams.notes import MAX_NOTE_BYTES
from roost.streams.unit import INLINE_BYTES, StoredContent

StartProxy = Callable[[str], Awaitable[Proxy]]


async def got(core: Core, note_id: str) -> bytes | None:
    note = await core.notes.get(note_id, ME)
    return None if note is None else note.raw


async def keys(core: Core, kind: str) -> list[str]:
    pattern = core.shard.keys.key(kind, "").replace("{", "\\{") + "*"
    found = await ask_all_nodes(core.connection.client, "KEYS", pattern)
    return [key.decode().rpartition(":")[2] for keys in found for key in keys]


async def refs(core: Core) -> dict[str, int]:
    stored = await core.connection.client.hgetall(core.shard.keys.key("refs"))
    return {digest.decode(): int(count) for digest, count in stored.items()}


async def test_a_note_comes_back_by_its_id_and_by_its_key(core: Core) -> None:
    record = await core.put(b"a finding", key="k")
    by_id, by_key = await core.notes.get(record.id, ME), await core.notes.find("k", ME)
    assert by_id == by_key
    assert by_id is not None
    assert (by_id.record, by_id.raw, by_id.position) == (record, b"a finding", (await core.events())[0].position)


async def test_each_read_is_in_the_log_with_who_read(core: Core) -> None:
    record = await core.put(b"a finding", key="k")
    reader = Reader("critic", "run-1", "cause-1", "00-a-b-01")
    await core.notes.get(record.id, reader)
    await core.notes.find("k", reader)
    _, first, second = await core.events()
    for event in (first, second):
        assert (event.type, event.subject) == ("note.read", f"note/{record.id}")
        assert (event.actor, event.run, event.cause, event.traceparent) == ("critic", "run-1", "cause-1", "00-a-b-01")
        assert event.data == {"note": record.id, "size": 9, "count": 1}
    assert first.id != second.id


async def test_reused_work_is_in_the_log_with_what_it_spared(core: Core) -> None:
    unit, record = note_unit(await core.notes.store(b"x"), key='a "key"')
    unit.args[-3] = b'{"seconds":2.5}'
    await core.writer.write(unit)
    await core.notes.find('a "key"', ME, reused="joined")
    event = (await core.events())[-1]
    assert (event.type, event.subject) == ("work.reused", f"note/{record.id}")
    assert event.data == {"note": record.id, "key": 'a "key"', "how": "joined", "work": {"seconds": 2.5}}


async def test_a_miss_is_in_the_log_unless_the_caller_will_make_up_for_it(core: Core) -> None:
    assert await core.notes.get('no "such" id', ME) is None
    assert await core.notes.find("no such key", ME) is None
    assert await core.notes.find("no such key", ME, log_miss=False) is None
    assert [(event.type, event.subject, event.data) for event in await core.events()] == [
        ("note.missed", "actor/me", {"note": 'no "such" id'}),
        ("note.missed", "actor/me", {"key": "no such key"}),
    ]


async def test_reads_reach_who_subscribes_to_them(core: Core) -> None:
    inbox = core.inbox("Watcher")
    await inbox.subscribe(["note.read", "note.missed", "work.reused"])
    record = await core.put(b"x", key="k")
    await core.notes.find("k", ME, reused="found")
    await core.notes.get("nothing", ME)
    assert [delivery.event.type for delivery in await core.read(inbox)] == ["note.read", "work.reused", "note.missed"]
    await core.notes.forget(record.id, ME)


async def test_a_read_through_stale_routes_misses_no_inbox(connection: Connection, core: Core) -> None:
    record = await core.put(b"x")
    other = await make_core(connection, core.shard.keys.flock)
    await other.inbox("Watcher").subscribe(["note.read"])
    assert await got(core, record.id) == b"x"
    assert len(await core.read(core.inbox("Watcher"))) == 1


@pytest.mark.parametrize("lost", ["read", "miss"])
async def test_a_read_whose_reply_was_lost_is_in_the_log_once(
    server_url: str, flock_name: str, proxy: StartProxy, lost: str
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        record = await core.put(b"x", key="k")
        await core.notes.find("k", ME)
        await core.notes.get("nothing", ME)
        before = await core.log.length()
        fault = faulty.lose_reply("EVALSHA")
        if lost == "read":
            assert await core.notes.find("k", ME, reused="found") is not None
        else:
            assert await core.notes.get("nothing", ME) is None
        assert fault.happened.is_set()
        events = await core.events()
        assert len(events) == before + (2 if lost == "read" else 1)
        assert len({event.id for event in events}) == len(events)
        assert (await core.notes.resolve(record.id)) == record.id


async def test_a_note_past_its_deadline_is_gone_whether_or_not_anyone_has_swept(core: Core) -> None:
    record = await core.put(b"short", key="k", ttl=SOON)
    await wait_until(lambda: is_missed(core, record.id))
    assert await core.notes.find("k", ME) is None
    assert await core.connection.client.exists(core.shard.keys.key("note", record.id)), "nobody has swept"


async def test_a_live_note_knows_how_long_it_will_be(core: Core) -> None:
    record = await core.put(b"x", ttl=MINUTE)
    note = await core.notes.get(record.id, ME)
    assert note is not None
    assert note.expires is not None
    assert 59 < note.expires - time.monotonic() <= 60
    assert note.is_live
    for_ever = await core.notes.get((await core.put(b"y")).id, ME)
    assert for_ever is not None
    assert for_ever.expires is None


async def test_a_deadline_counts_from_the_question_not_from_the_answer(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    slow = await proxy(server_url)
    async with await connect(slow.url) as connection, open_core(connection, flock_name) as core:
        record = await core.put(b"x", ttl=MINUTE)
        held, before = slow.hold_reply("EVALSHA"), time.monotonic()
        asking = asyncio.create_task(core.notes.get(record.id, ME))
        await held.happened.wait()
        await asyncio.sleep(0.2)  # the answer is on its way for so long
        held.release()
        note = await asking
        assert note is not None
        assert note.expires is not None
        assert note.expires - before < 60.1


async def test_sweeping_takes_what_is_past_its_deadline_with_an_event_each(core: Core) -> None:
    kept = await core.put(b"kept", key="a", ttl=MINUTE)
    for_ever = await core.put(b"for ever")
    gone = [await core.put(b"gone", key=f"k{number}", ttl=SOON) for number in range(5)]
    await wait_until(lambda: is_missed(core, gone[-1].id))
    before = len(await core.events())
    assert await core.notes.expire(limit=3) == 3
    assert await core.notes.expire(limit=3) == 2
    assert await core.notes.expire() == 0
    expired = (await core.events())[before:]
    assert {(event.type, event.subject) for event in expired} == {("note.expired", f"note/{n.id}") for n in gone}
    assert len({event.id for event in expired}) == 5
    digest = sha256(b"gone").hexdigest()
    assert all(event.data["digest"] == digest and event.data["deadline"] <= event.time_ms for event in expired)
    assert sorted(await keys(core, "note")) == sorted([kept.id, for_ever.id])
    assert await core.connection.client.hgetall(core.shard.keys.key("keys")) == {b"a": kept.id.encode()}
    assert digest in await keys(core, "blob")
    assert (await refs(core))[digest] == 5, "the log still names the content"


async def test_sweeping_again_after_a_lost_reply_uses_no_event_id_twice(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        gone = [await core.put(b"gone", ttl=SOON) for _ in range(4)]
        await wait_until(lambda: is_missed(core, gone[-1].id))
        await core.notes.expire(limit=0)  # so that the server knows the script
        faulty.lose_reply("EVALSHA")
        assert await core.notes.expire(limit=2) == 2
        expired = [event.id for event in await core.events() if event.type == "note.expired"]
        assert len(set(expired)) == len(expired) == 4


async def test_a_newer_note_of_a_key_takes_it_over_and_the_older_stays_by_id(core: Core) -> None:
    old = await core.put(b"old", key="k")
    new = await core.put(b"new", key="k")
    found = await core.notes.find("k", ME)
    assert found is not None
    assert found.id == new.id
    assert await got(core, old.id) == b"old"
    await core.notes.forget(old.id, ME)
    assert await core.notes.find("k", ME) == found, "the key means the newer one"


async def test_a_forgotten_note_is_gone_with_its_content(core: Core) -> None:
    record = await core.put(b"secret", key="k")
    await core.notes.forget(record.id, ME)
    assert await got(core, record.id) is None
    assert await core.notes.find("k", ME) is None
    assert await keys(core, "blob") == []
    assert await refs(core) == {}
    assert [event.type for event in await core.events()][:2] == ["note.written", "note.forgotten"]
    with pytest.raises(NoteNotFound, match=record.id):
        await core.notes.forget(record.id, ME)
    with pytest.raises(NoteNotFound):
        await core.notes.forget("never", ME)


async def test_an_expired_note_can_be_forgotten_too_because_the_log_names_its_content(core: Core) -> None:
    record = await core.put(b"secret", ttl=SOON)
    await wait_until(lambda: is_missed(core, record.id))
    await core.notes.expire()
    # A read that a cache had served before the deadline may be logged after it.
    await core.append(happened(f"note/{record.id}", "note.read"))
    assert len(await keys(core, "blob")) == 1
    await core.notes.forget(record.id, ME)
    assert await keys(core, "blob") == []
    assert not await core.connection.client.exists(core.shard.keys.key("expired"))
    with pytest.raises(NoteNotFound):
        await core.notes.forget(record.id, ME)


async def test_forgetting_whose_reply_was_lost_is_done_once_and_no_error(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        record, other = await core.put(b"x"), await core.put(b"x")
        await core.notes.forget(other.id, ME)
        faulty.lose_reply("EVALSHA")
        await core.notes.forget(record.id, ME)
        assert [kind for kind, _ in await core.story()].count("note.forgotten") == 2


async def test_equal_content_is_stored_once_and_counted(core: Core) -> None:
    first, second = await core.put(b"same"), await core.put(b"same", key="k")
    digest = sha256(b"same").hexdigest()
    assert await keys(core, "blob") == [digest]
    assert await refs(core) == {digest: 2}
    await core.notes.forget(first.id, ME)
    assert await got(core, second.id) == b"same"
    await core.notes.forget(second.id, ME)
    assert await keys(core, "blob") == []


async def test_equal_content_in_one_call_is_stored_once_and_counted(core: Core) -> None:
    units = [note_unit(await core.notes.store(b"same"))[0] for _ in range(3)]
    await core.write(*units)
    assert await refs(core) == {sha256(b"same").hexdigest(): 3}


async def test_large_content_is_uploaded_first_and_kept_once_a_note_names_it(core: Core) -> None:
    raw = os.urandom(INLINE_BYTES + 1)
    stored = await core.notes.store(raw)
    assert stored.inline is None
    blob = core.shard.keys.key("blob", stored.digest)
    assert 0 < await core.connection.client.execute_command("PTTL", blob) <= 600_000
    unit, record = note_unit(stored)
    assert isinstance(await core.writer.write(unit), Written)
    assert await core.connection.client.execute_command("PTTL", blob) == -1
    assert await got(core, record.id) == raw


async def test_content_that_is_there_is_not_sent_again(server_url: str, flock_name: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        raw = os.urandom(INLINE_BYTES + 1)
        await core.notes.store(raw)
        await core.notes.store(raw)
        assert sum(raw in words for words in faulty.requests if words[0] == b"EVALSHA") == 1


async def test_content_that_was_taken_away_meanwhile_is_refused_and_can_be_sent_again(core: Core) -> None:
    raw = os.urandom(INLINE_BYTES + 1)
    first = await core.put(raw)
    stored = await core.notes.store(raw)
    await core.notes.forget(first.id, ME)
    unit, record = note_unit(stored)
    assert await core.writer.write(unit) == BlobMissing(stored.digest)
    await core.notes.upload(stored.digest, raw)
    assert isinstance(await core.writer.write(unit), Written)
    assert await got(core, record.id) == raw


async def test_an_upload_that_no_note_names_goes_by_itself(core: Core) -> None:
    digest = sha256(b"x").hexdigest()
    await core.shard.run("upload", digest, 30, b"x")
    await wait_until(lambda: has_no_blob(core))
    assert await core.shard.run("upload", digest, 30, b"") == 0


async def test_an_empty_note_and_any_bytes_are_content(core: Core) -> None:
    assert await got(core, (await core.put(b"")).id) == b""
    every_byte = bytes(range(256))
    assert await got(core, (await core.put(every_byte)).id) == every_byte


async def test_content_over_the_bound_is_refused_before_it_is_sent(core: Core) -> None:
    with pytest.raises(LimitExceeded, match="holds up to 67,108,864 bytes"):
        await core.notes.store(bytes(MAX_NOTE_BYTES + 1))
    assert await keys(core, "blob") == []


async def test_an_id_over_the_bound_is_refused(core: Core) -> None:
    with pytest.raises(LimitExceeded, match="up to 512 bytes"):
        await core.notes.get("x" * 513, ME)


async def test_everyone_hears_of_a_forgotten_note(core: Core) -> None:
    heard: list[bytes | None] = []
    await core.connection.pushes().subscribe(core.shard.keys.key("bell", ""), heard.append)
    record = await core.put(b"x")
    await core.notes.forget(record.id, ME)
    await wait_until(lambda: heard == [f"forgotten {record.id}".encode()])


async def test_another_flock_sees_nothing_of_it(connection: Connection, core: Core, flock_name: str) -> None:
    record = await core.put(b"ours", key="k")
    async with open_core(connection, f"{flock_name}-other") as other:
        assert await got(other, record.id) is None
        assert await other.notes.find("k", ME) is None
        with pytest.raises(NoteNotFound):
            await other.notes.forget(record.id, ME)
        assert await other.notes.resolve(record.id[:6]) is None
        unit, _ = note_unit(StoredContent(record.digest, record.size, None))
        assert await other.writer.write(unit) == BlobMissing(record.digest), "knowing a digest gives nothing"
        assert {kind for kind, _ in await other.story()} == {"note.missed"}
    assert await got(core, record.id) == b"ours"


async def test_a_few_digits_are_enough_to_name_a_note(core: Core) -> None:
    record = await core.put(b"x", key="k")
    for number in range(3):
        unit, _ = note_unit(await core.notes.store(b"y"), key=f"k{number}")
        unit.args[unit.args.index(b"y") - 8] = f"ab{number}"
        await core.writer.write(unit)
    assert await core.notes.resolve(record.id[:8]) == record.id
    assert await core.notes.resolve("ab1") == "ab1"
    assert await core.notes.resolve("zz") is None
    assert await core.notes.resolve("*") is None
    with pytest.raises(RoostError, match="3 notes: give more digits"):
        await core.notes.resolve("ab")


@pytest.mark.parametrize(
    ("form", "raw", "content", "text"),
    [
        ("text", "ü".encode(), "ü", "ü"),
        ("json", b'{"a":1}', {"a": 1}, '{"a":1}'),
        ("bytes", b"\xff", b"\xff", "\ufffd"),
    ],
)
def test_content_is_what_was_put(form: str, raw: bytes, content: Any, text: str) -> None:
    note = Note(record=NoteRecord(id="n", form=form), raw=raw)
    assert (note.content, note.text) == (content, text)
    assert to_stored(content) == (form, raw)


async def is_missed(core: Core, note_id: str) -> bool:
    return await core.notes.get(note_id, ME) is None


async def has_no_blob(core: Core) -> bool:
    return await keys(core, "blob") == []
